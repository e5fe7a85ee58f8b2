//! Workers: one, some, all; as of a day, with the groups of data that are wanted.

use connector::{Action, Cx, ErrorClass, Page, StepError, whole};
use http::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    api::{self, ROWS_MAX, invalid},
    schema,
    settings::Settings,
    soap,
};

/// Workers asked for at once; large pages take Workday up to a minute.
pub(super) const COUNT: u64 = 100;
/// The fewest a page is cut to when Workday takes too long.
const COUNT_LEAST: u64 = 25;
/// Groups of data by the name people choose, and the vendor's flag.
const GROUPS: [(&str, &str); 8] = [
    ("personal", "Include_Personal_Information"),
    ("employment", "Include_Employment_Information"),
    ("additional_jobs", "Include_Additional_Jobs"),
    ("compensation", "Include_Compensation"),
    ("organizations", "Include_Organizations"),
    ("roles", "Include_Roles"),
    ("management_chain", "Include_Management_Chain_Data"),
    ("transaction_log", "Include_Transaction_Log_Data"),
];
/// Given when nothing is chosen. Sensitive groups are off.
const GROUPS_DEFAULT: [&str; 2] = ["employment", "organizations"];

/// Moments of the transaction log: what people write, and the vendor's name.
const LOG_MOMENTS: [(&str, &str); 4] = [
    ("updated_from", "Updated_From"),
    ("updated_through", "Updated_Through"),
    ("effective_from", "Effective_From"),
    ("effective_through", "Effective_Through"),
];

/// The type and the value of a worker's id.
pub(super) fn worker_id(text: &str) -> (String, String) {
    let text = text.trim();
    let is_wid = text.len() == 32 && text.bytes().all(|c| c.is_ascii_hexdigit());
    match text.split_once('=') {
        Some((id_type, id)) => (id_type.trim().to_owned(), id.trim().to_owned()),
        None if is_wid => ("WID".to_owned(), text.to_owned()),
        None => ("Employee_ID".to_owned(), text.to_owned()),
    }
}

/// The same as it stands in an address.
pub(super) fn worker_key(text: &str) -> String {
    let (id_type, id) = worker_id(text);
    if id_type == "WID" { id } else { format!("{id_type}={id}") }
}

/// A reference to a worker; on writes one id is sent.
pub(super) fn worker_reference(text: &str) -> Json {
    let (id_type, id) = worker_id(text);
    soap::reference(&id_type, &id)
}

pub(super) fn groups_field() -> Json {
    let names: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
    json!({ "type": "array", "items": { "type": "string", "enum": names }, "title": "Groups of data", "description": "Each costs time; employment and organizations when left out. personal holds the parts of the name, ways to reach somebody, also at home, and the date of birth. A group the integration user may not read is missing without a word." })
}

/// `Response_Group`, in the order the vendor wants.
pub(super) fn groups(input: &Json) -> Json {
    let chosen: Vec<&str> = match input["groups"].as_array() {
        Some(names) => names.iter().filter_map(Json::as_str).collect(),
        None => GROUPS_DEFAULT.to_vec(),
    };
    // Without it some tenants give no reference.
    let mut fields = Map::from_iter([("Include_Reference".to_owned(), json!(true))]);
    let order = [
        "personal",
        "additional_jobs",
        "employment",
        "compensation",
        "organizations",
        "roles",
        "management_chain",
        "transaction_log",
    ];
    for name in order.iter().filter(|name| chosen.contains(name)) {
        let flag = GROUPS.iter().find(|(known, _)| known == name).map(|(_, flag)| (*flag).to_owned());
        fields.extend(flag.map(|flag| (flag, json!(true))));
    }
    Json::Object(fields)
}

fn first(value: &Json) -> Json {
    soap::list(value).into_iter().next().unwrap_or(Json::Null)
}

fn on(value: &Json) -> bool {
    matches!(value.as_str(), Some("1" | "true"))
}

/// A date without its zone, which is never converted.
fn day(value: &Json) -> Json {
    value.as_str().and_then(|text| text.get(..10)).map_or(Json::Null, |day| json!(day))
}

/// A worker of a SOAP answer as recipes see it. Lists are always lists, booleans always booleans.
pub(super) fn worker(found: &Json) -> Json {
    let (reference, data) = (&found["Worker_Reference"], &found["Worker_Data"]);
    let personal = &data["Personal_Data"];
    let name = &personal["Name_Data"]["Legal_Name_Data"]["Name_Detail_Data"];
    let contact = &personal["Contact_Data"];
    let status = &data["Employment_Data"]["Worker_Status_Data"];
    let jobs = soap::list(&data["Employment_Data"]["Worker_Job_Data"]);
    // The primary job is marked; it need not come first.
    let primary = jobs.iter().find(|job| on(&job["@Primary_Job"])).or(jobs.first()).cloned().unwrap_or_default();
    let position = &primary["Position_Data"];
    let organization = |kind: &str| {
        let all = soap::list(&data["Organization_Data"]["Worker_Organization_Data"]);
        let of = all.into_iter().find(|one| {
            soap::id_of(&one["Organization_Data"]["Organization_Type_Reference"], "Organization_Type_ID").as_deref() == Some(kind)
        });
        of.map(|one| json!({ "id": one["Organization_Data"]["Organization_Reference_ID"], "name": one["Organization_Data"]["Organization_Name"] }))
    };
    let known = |flag: &Json| if flag.is_null() { Json::Null } else { json!(on(flag)) };
    json!({
        "wid": soap::id_of(reference, "WID"),
        "employee_id": soap::id_of(reference, "Employee_ID"),
        "contingent_worker_id": soap::id_of(reference, "Contingent_Worker_ID"),
        "worker_id": data["Worker_ID"],
        "user_id": data["User_ID"],
        "name": found["Worker_Descriptor"],
        "first_name": name["First_Name"],
        "last_name": name["Last_Name"],
        "birth_date": day(&personal["Birth_Date"]),
        "work_email": reached(&contact["Email_Address_Data"], "Email_Address", "WORK"),
        "home_email": reached(&contact["Email_Address_Data"], "Email_Address", "HOME"),
        "work_phone": reached(&contact["Phone_Data"], "@E164_Formatted_Phone", "WORK"),
        "business_title": position["Business_Title"],
        "position_id": position["Position_ID"],
        "job_profile": position["Job_Profile_Summary_Data"]["Job_Profile_Name"],
        "location": position["Business_Site_Summary_Data"]["Name"],
        "worker_type": position["Worker_Type_Reference"]["@Descriptor"],
        "manager": soap::id_of(&first(&position["Manager_as_of_last_detected_manager_change_Reference"]), "Employee_ID"),
        "supervisory_organization": organization("Supervisory"),
        "cost_center": organization("Cost_Center"),
        "company": organization("Company"),
        "active": known(&status["Active"]),
        "hire_date": day(&status["Hire_Date"]),
        "original_hire_date": day(&status["Original_Hire_Date"]),
        "terminated": known(&status["Terminated"]),
        "termination_date": day(&status["Termination_Date"]),
        "termination_reason": status["Primary_Termination_Reason_Reference"]["@Descriptor"],
        "on_leave": soap::list(&status["Leave_Status_Data"]).iter().any(|leave| on(&leave["On_Leave"])),
        "annual_base_pay": data["Compensation_Data"]["Employee_Compensation_Summary_Data"]["Annualized_Summary_Data"]["Total_Base_Pay"],
        "details": data,
    })
}

/// The primary address or number of a kind, else the first of it.
fn reached(rows: &Json, value: &str, usage: &str) -> Json {
    let rows = soap::list(rows);
    let kind = |row: &Json| first(&first(&row["Usage_Data"])["Type_Data"]);
    let fits = |row: &&Json| soap::id_of(&kind(row)["Type_Reference"], "Communication_Usage_Type_ID").as_deref() == Some(usage);
    let primary = rows.iter().filter(fits).find(|row| on(&kind(row)["@Primary"]));
    let found = primary.or_else(|| rows.iter().find(fits));
    found.map_or(Json::Null, |row| if row[value].is_null() { row["Phone_Number"].clone() } else { row[value].clone() })
}

pub(super) fn worker_schema() -> Json {
    let word = |title: &str| schema::told(title);
    let yes = |title: &str| json!({ "type": ["boolean", "null"], "title": title });
    let unit = |title: &str| json!({ "type": ["object", "null"], "title": title });
    schema::output(&[
        ("wid", word("Workday id")),
        ("employee_id", word("Employee number")),
        ("contingent_worker_id", word("Contingent worker number")),
        ("worker_id", word("Number")),
        ("user_id", word("User name")),
        ("name", word("Name")),
        ("first_name", word("First name")),
        ("last_name", word("Last name")),
        ("birth_date", word("Date of birth")),
        ("work_email", word("Work email")),
        ("home_email", word("Home email")),
        ("work_phone", word("Work phone")),
        ("business_title", word("Business title")),
        ("position_id", word("Position")),
        ("job_profile", word("Job profile")),
        ("location", word("Location")),
        ("worker_type", word("Worker type")),
        ("manager", word("Manager's employee number")),
        ("supervisory_organization", unit("Supervisory organization")),
        ("cost_center", unit("Cost center")),
        ("company", unit("Company")),
        ("active", yes("Active")),
        ("hire_date", word("Hire date")),
        ("original_hire_date", word("First hire date")),
        ("terminated", yes("Terminated")),
        ("termination_date", word("Last day")),
        ("termination_reason", word("Reason of leaving")),
        ("on_leave", yes("On leave")),
        ("annual_base_pay", word("Base pay a year")),
        (
            "details",
            json!({ "title": "All that Workday told", "description": "The worker's data as the web service gives it, without prefixes; attributes begin with @." }),
        ),
    ])
}

pub(super) fn sample() -> Json {
    json!({
        "wid": "3aa5550b7fe348b98d7b5741afc65534", "employee_id": "21001", "contingent_worker_id": null, "worker_id": "21001",
        "user_id": "lmcneil", "name": "Logan McNeil", "first_name": "Logan", "last_name": "McNeil", "birth_date": null,
        "work_email": "logan.mcneil@example.com", "home_email": null, "work_phone": "+14155550101",
        "business_title": "Vice President, Human Resources", "position_id": "P-21001", "job_profile": "Human Resources Director",
        "location": "San Francisco", "worker_type": "Regular", "manager": "21000",
        "supervisory_organization": { "id": "SUP_HRM", "name": "People" }, "cost_center": { "id": "CC_HRM", "name": "People Cost Center" },
        "company": { "id": "CO_1", "name": "Global Modern Services" }, "active": true, "hire_date": "2019-01-01",
        "original_hire_date": "2019-01-01", "terminated": false, "termination_date": null, "termination_reason": null,
        "on_leave": false, "annual_base_pay": null, "details": {}
    })
}

/// `Response_Filter` of an input, with the page.
pub(super) fn filter(input: &Json, page: u64, count: u64) -> Json {
    json!({
        "As_Of_Effective_Date": input["as_of"],
        "As_Of_Entry_DateTime": input["known_at"],
        "Page": page,
        "Count": count,
    })
}

pub(super) async fn get_worker(cx: Cx, input: Json) -> Result<Json, StepError> {
    let key = input["worker"].as_str().unwrap_or_default();
    let body = json!({
        "Request_References": { "Worker_Reference": worker_reference(key) },
        "Response_Filter": { "As_Of_Effective_Date": input["as_of"] },
        "Response_Group": groups(&input),
    });
    let body = if input["as_of"].is_null() {
        json!({ "Request_References": body["Request_References"], "Response_Group": body["Response_Group"] })
    } else {
        body
    };
    let answer = soap::operation(&cx, "Human_Resources", "Get_Workers_Request", &body).await?;
    match soap::list(&answer["Response_Data"]["Worker"]).first() {
        Some(found) => Ok(worker(found)),
        None => Err(not_yet(key)),
    }
}

/// The code of [`not_yet`].
pub(super) const NOT_YET: &str = "WORKER_NOT_YET";

/// Somebody whose id is known, and who is not there on the day that is asked for.
pub(super) fn not_yet(key: &str) -> StepError {
    let words = format!("Workday knows the worker {key}, but not on this day");
    StepError::new(ErrorClass::NotFound, NOT_YET, words)
        .with_next("Ask as of a later day: a hire to come is invisible until its first day.")
}

/// One page of workers. The moment of knowledge is fixed by the first page, so that rows do not move between pages.
pub(super) async fn workers_page(cx: &Cx, input: &Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let (place, known) = match &cursor {
        Some(cursor) => {
            let number = |name: &str, otherwise| cursor[name].as_u64().unwrap_or(otherwise);
            ((number("page", 1), number("count", COUNT)), cursor["known_at"].clone())
        }
        None if input["known_at"].is_null() => ((1, COUNT), json!(server_time(cx).await?)),
        None => ((1, COUNT), input["known_at"].clone()),
    };
    let mut asked = input.clone();
    asked["known_at"] = known.clone();
    let found = get_workers(cx, &asked, &groups(input), place).await?;
    let next = (found.page < found.pages).then(|| json!({ "page": found.page + 1, "count": found.count, "known_at": known }));
    Ok(Page { items: found.workers.iter().map(worker).collect(), next })
}

/// A page of `Get_Workers`, and the place it turned out to be.
pub(super) struct Workers {
    pub(super) workers: Vec<Json>,
    pub(super) page: u64,
    pub(super) count: u64,
    pub(super) pages: u64,
}

/// Asks for a page: its number, and workers a page. While that takes Workday too long, the same place is asked for with
/// half as many, in half of the time that is left.
pub(super) async fn get_workers(cx: &Cx, input: &Json, groups: &Json, place: (u64, u64)) -> Result<Workers, StepError> {
    let (mut page, mut count) = place;
    loop {
        let body = json!({
            "Request_Criteria": criteria(input),
            "Response_Filter": filter(input, page, count),
            "Response_Group": groups,
        });
        let mut part = cx.clone();
        if count > COUNT_LEAST {
            part.timeout = cx.timeout.saturating_sub(cx.left() / 2);
        }
        match soap::operation(&part, "Human_Resources", "Get_Workers_Request", &body).await {
            Err(error) if count > COUNT_LEAST && takes_too_long(&error) => {
                let before = page.saturating_sub(1) * count;
                count = (count / 2).max(COUNT_LEAST);
                page = before / count + 1;
            }
            answer => {
                let (workers, pages) = soap::page(&answer?, "Worker", page)?;
                return Ok(Workers { workers, page, count, pages });
            }
        }
    }
}

fn takes_too_long(error: &StepError) -> bool {
    let gateway = error.response.as_ref().is_some_and(|response| response["status"] == 504);
    error.class == ErrorClass::Timeout || error.code == "PROCESSING" || gateway
}

/// `Transaction_Log_Criteria_Data` of what people write.
pub(super) fn log_criteria(log: &Json) -> Json {
    let mut range = Map::new();
    for (field, name) in LOG_MOMENTS {
        if let Some(moment) = log[field].as_str() {
            range.insert(name.to_owned(), json!(moment));
        }
    }
    let types = log["types"].as_array().into_iter().flatten().filter_map(Json::as_str);
    let types: Vec<Json> = types.map(|kind| soap::reference("Business_Process_Type", kind)).collect();
    let mut fields = Map::from_iter([("Transaction_Date_Range_Data".to_owned(), Json::Object(range))]);
    if !types.is_empty() {
        fields.insert("Transaction_Type_References".to_owned(), json!({ "Transaction_Type_Reference": types }));
    }
    Json::Object(fields)
}

fn log_field() -> Json {
    let mut fields: Vec<(&str, Json)> =
        LOG_MOMENTS.iter().map(|(field, name)| (*field, schema::text(&name.replace('_', " "), ""))).collect();
    fields.push(("types", schema::texts("Processes", "Ids of business process types; all when left out.")));
    let mut log = schema::input(&fields, &[]);
    log["title"] = json!("Changed, by the transaction log");
    log["description"] = json!(
        "Only workers with such a line: entered (updated_…) or holding (effective_…) between two moments, both of which are needed, for instance 2026-11-20T00:00:00Z."
    );
    log
}

/// `Request_Criteria` of an input, in the vendor's order.
pub(super) fn criteria(input: &Json) -> Json {
    let organizations: Vec<Json> =
        input["organizations"].as_array().into_iter().flatten().filter_map(Json::as_str).map(organization_reference).collect();
    let contingent = input["include_contingent"].as_bool().unwrap_or(true);
    let mut fields = Map::new();
    if let Some(log) = input.get("log").filter(|log| !log.is_null()) {
        fields.insert("Transaction_Log_Criteria_Data".to_owned(), log_criteria(log));
    }
    if !organizations.is_empty() {
        fields.insert("Organization_Reference".to_owned(), json!(organizations));
        fields.insert(
            "Include_Subordinate_Organizations".to_owned(),
            json!(input["include_subordinate"].as_bool().unwrap_or(true)),
        );
    }
    // Those who left are kept back unless this is said.
    fields.insert("Exclude_Inactive_Workers".to_owned(), json!(!input["include_terminated"].as_bool().unwrap_or(true)));
    fields.insert("Exclude_Contingent_Workers".to_owned(), json!(!contingent));
    Json::Object(fields)
}

/// A reference to an organisation: a WID, a reference id, or a type and value.
pub(super) fn organization_reference(text: &str) -> Json {
    match worker_id(text) {
        (id_type, id) if id_type == "Employee_ID" && !text.contains('=') => soap::reference("Organization_Reference_ID", &id),
        (id_type, id) => soap::reference(&id_type, &id),
    }
}

/// Workday's own time, which its queries are asked with.
pub(super) async fn server_time(cx: &Cx) -> Result<String, StepError> {
    let answer = soap::operation(cx, "Human_Resources", "Server_Timestamp_Get", &json!({})).await?;
    let text = first(&answer["Server_Timestamp_Data"]);
    text.as_str().map(str::to_owned).ok_or_else(|| {
        StepError::new(ErrorClass::Server, "ANSWER_UNREADABLE", "Workday did not tell its time").with_next("It is tried again.")
    })
}

async fn list_workers(cx: Cx, input: Json) -> Result<Json, StepError> {
    let workers = whole(ROWS_MAX, |cursor| workers_page(&cx, &input, cursor)).await?;
    Ok(json!({ "workers": workers }))
}

async fn search_page(cx: Cx, input: Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let query: Vec<(&str, String)> = input["search"].as_str().map(|text| ("search", text.to_owned())).into_iter().collect();
    api::page(&cx, ("common", &["workers"]), &query, cursor).await
}

async fn search_workers(cx: Cx, input: Json) -> Result<Json, StepError> {
    let workers = whole(ROWS_MAX, |cursor| search_page(cx.clone(), input.clone(), cursor)).await?;
    Ok(json!({ "workers": workers }))
}

async fn profile(cx: Cx, input: Json) -> Result<Json, StepError> {
    let key = worker_key(input["worker"].as_str().unwrap_or_default());
    api::rest(&cx, Method::GET, ("common", &["workers", &key]), &[], None).await
}

/// A list below a worker, by the name people choose.
async fn related_page(cx: Cx, input: Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let key = worker_key(input["worker"].as_str().unwrap_or_default());
    let list = match input["list"].as_str() {
        Some("direct_reports") => "directReports",
        Some("organizations") => "organizations",
        Some("history") => "history",
        Some("inbox") => "inboxTasks",
        Some("organizations_managed") => "supervisoryOrganizationsManaged",
        Some("title_changes") => "businessTitleChanges",
        other => return Err(invalid(format!("there is no list \"{}\" of a worker", other.unwrap_or_default()))),
    };
    api::page(&cx, ("common", &["workers", &key, list]), &[], cursor).await
}

/// Each way to sign in is tried by itself: one that works says nothing of the other.
async fn check_connection(cx: Cx) -> Result<Json, StepError> {
    let settings = Settings::of(&cx)?;
    let (user, client) = (settings.user().is_some(), settings.has_client());
    if user {
        server_time(&cx).await.map_err(|error| of("the user of web services and reports", error))?;
    }
    if client {
        let first = [("limit", "1".to_owned())];
        match api::rest(&cx, Method::GET, ("common", &["workers"]), &first, None).await {
            // Whom it may see is another question than whether it is signed in.
            Err(error) if error.class != ErrorClass::Denied => return Err(of("the API client of REST and queries", error)),
            _ => {}
        }
    }
    Ok(json!({ "web_services": user, "api_client": client }))
}

/// Says which of the two was refused.
fn of(who: &str, mut error: StepError) -> StepError {
    error.message = format!("{who}: {}", error.message);
    error
}

pub(super) fn actions() -> Vec<Action> {
    let as_of = || schema::date("As of", "The day whose facts are wanted; today when left out.");
    let list_input = schema::input(
        &[
            ("as_of", as_of()),
            (
                "known_at",
                schema::text(
                    "Known at",
                    "The moment whose knowledge is wanted, for instance 2026-11-20T00:00:00Z; now when left out. It stays the same for all pages.",
                ),
            ),
            (
                "organizations",
                schema::texts(
                    "Organizations",
                    "Only their members: reference ids, WIDs, or a type and value such as Cost_Center_Reference_ID=CC_100.",
                ),
            ),
            ("include_subordinate", schema::flag("With organizations below", "True unless said otherwise.")),
            ("include_terminated", schema::flag("With those who left", "True unless said otherwise.")),
            ("include_contingent", schema::flag("With contingent workers", "True unless said otherwise.")),
            ("log", log_field()),
            ("groups", groups_field()),
        ],
        &[],
    );
    let search_input =
        schema::input(&[("search", schema::text("Search", "Words of the name. Everybody who is active when left out."))], &[]);
    let related_input = schema::input(
        &[
            ("worker", schema::worker()),
            (
                "list",
                json!({ "type": "string", "title": "List", "enum": ["direct_reports", "organizations", "history", "inbox", "organizations_managed", "title_changes"] }),
            ),
        ],
        &["worker", "list"],
    );
    let summary = || {
        schema::output(&[
            ("id", schema::told("Workday id")),
            ("descriptor", schema::told("Name")),
            ("businessTitle", schema::told("Business title")),
            ("primaryWorkEmail", schema::told("Work email")),
            ("primarySupervisoryOrganization", schema::reference("Supervisory organization")),
        ])
    };
    let short = json!({ "id": "3aa5550b7fe348b98d7b5741afc65534", "descriptor": "Logan McNeil", "businessTitle": "Director", "isManager": true });
    vec![
        Action::new(
            "get_worker",
            "Get a worker",
            "Reads one worker as of a day, with the groups of data that are wanted.",
            get_worker,
        )
        .reads()
        .input(schema::input(&[("worker", schema::worker()), ("as_of", as_of()), ("groups", groups_field())], &["worker"]))
        .output(worker_schema())
        .sample(sample()),
        Action::new(
            "get_worker_profile",
            "Get a worker's profile",
            "Reads one worker's short profile over REST, as of today.",
            profile,
        )
        .reads()
        .input(schema::input(&[("worker", schema::worker())], &["worker"]))
        .output(summary())
        .sample(short.clone()),
        Action::new("search_workers", "Search workers", "Finds active workers by words of their names.", search_workers)
            .reads()
            .input(search_input)
            .output(schema::rows("workers", summary()))
            .sample(json!({ "workers": [short.clone()] }))
            .pages(search_page),
        Action::new(
            "list_workers",
            "List workers",
            "Reads all workers that fit, as of a day and as known at one moment.",
            list_workers,
        )
        .reads()
        .input(list_input)
        .output(schema::rows("workers", worker_schema()))
        .sample(json!({ "workers": [sample()] }))
        .pages(|cx, input, cursor| async move { workers_page(&cx, &input, cursor).await }),
        Action::new(
            "list_worker_related",
            "List what belongs to a worker",
            "Reads direct reports, organizations, history, inbox or title changes of a worker.",
            |cx, input| async move {
                let rows = whole(ROWS_MAX, |cursor| related_page(cx.clone(), input.clone(), cursor)).await?;
                Ok(json!({ "rows": rows }))
            },
        )
        .reads()
        .input(related_input)
        .output(schema::rows("rows", json!({ "type": "object" })))
        .sample(json!({ "rows": [short] }))
        .pages(related_page),
        Action::new(
            "check_connection",
            "Check the connection",
            "Signs in with everything the connection holds: the user of web services, and the API client of REST and queries.",
            |cx, _| Box::pin(check_connection(cx)),
        )
        .reads()
        .output(schema::output(&[
            ("web_services", schema::flag("User works", "False where the connection has no user name.")),
            ("api_client", schema::flag("API client works", "False where the connection has none.")),
        ]))
        .sample(json!({ "web_services": true, "api_client": true })),
        Action::new(
            "get_server_time",
            "Get Workday's time",
            "Reads the time of Workday's own clock; a harmless test of the sign-in.",
            |cx, _| async move { Ok(json!({ "time": server_time(&cx).await? })) },
        )
        .reads()
        .output(schema::output(&[("time", schema::told("Time"))]))
        .sample(json!({ "time": "2026-11-20T08:00:00.000Z" })),
    ]
}
