//! Changes of people. All are business processes: without auto-complete they wait for approvals in Workday.
//!
//! Workday has no idempotency key. A process that leaves a comment carries a mark of the step in it; before it is
//! started again, the worker's events are looked through for that mark, so that a repeated attempt finds what an earlier
//! one began.

use std::time::Duration;

use connector::{Action, Cx, Effect, ErrorClass, StepError};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::{
    api::{self, invalid, text},
    people::{NOT_YET, get_worker, organization_reference, worker_id, worker_key, worker_reference},
    schema,
    settings::Settings,
    soap,
};

/// Most events of a worker that are looked through for the mark. Each is one more call; with more of them it is not known.
const EVENTS_LOOKED_AT: usize = 500;
/// Most comments of an event.
const COMMENTS_LOOKED_AT: usize = 1_000;
/// How long a repeat is known by its mark. One that comes later waits for a person.
const MARK_DAYS: u64 = 30;
/// Events are looked through so far back: the tenant's days may begin a day before ours.
const LOOK_BACK_DAYS: u64 = MARK_DAYS + 1;
const DAY_S: u64 = 24 * 3600;
/// Nobody is hired longer ahead than this.
const HIRED_AHEAD: Duration = Duration::from_secs(10 * 365 * DAY_S);

/// The mark of a step in a comment.
fn mark(cx: &Cx) -> String {
    let digest = Sha256::digest(cx.idempotency_key.as_bytes());
    format!("[lia:{}]", &hex::encode(digest)[..20])
}

fn comment(cx: &Cx, input: &Json) -> String {
    match input["comment"].as_str() {
        Some(text) => format!("{text} {}", mark(cx)),
        None => mark(cx),
    }
}

/// `Business_Process_Parameters` of an input.
pub(super) fn parameters(cx: &Cx, input: &Json) -> Json {
    json!({
        "Auto_Complete": input["auto_complete"].as_bool().unwrap_or(false),
        "Comment_Data": { "Comment": comment(cx, input) },
    })
}

/// Repeating is safe while earlier attempts are looked for.
fn effect(input: &Json) -> Effect {
    if input["find_earlier"].as_bool().unwrap_or(true) { Effect::Idempotent } else { Effect::Once }
}

/// The event that an earlier attempt of this step started.
///
/// # Errors
/// When it cannot be looked for: nothing was changed then.
async fn earlier(cx: &Cx, input: &Json, worker: &str) -> Result<Option<String>, StepError> {
    if effect(input) == Effect::Once {
        return Ok(None);
    }
    if !Settings::of(cx)?.has_client() {
        return Err(StepError::new(
            ErrorClass::Auth,
            "CANNOT_LOOK",
            "the connection has no API client, so it cannot be seen whether an earlier attempt has started this already",
        )
        .with_next("Add an API client to the connection, or set find_earlier: false in the step and decide about doubtful attempts by hand."));
    }
    // No attempt before this one can have started anything: after a crash, too, there is doubt.
    if !cx.in_doubt {
        return Ok(None);
    }
    let mark = mark(cx);
    let from = day_of((cx.now_s() - (LOOK_BACK_DAYS * DAY_S).cast_signed()).max(0));
    let query = [("worker", worker_key(worker)), ("initiatedOnOrAfter", from)];
    let (mut cursor, mut seen) = (None, 0);
    loop {
        let page = api::page(cx, ("businessProcess", &["events"]), &query, cursor).await?;
        seen += page.items.len();
        if seen > EVENTS_LOOKED_AT {
            return Err(too_many_events(worker));
        }
        for event in &page.items {
            let id = event["id"].as_str().unwrap_or_default();
            if has_comment(cx, id, &mark).await? {
                return Ok(Some(id.to_owned()));
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(None);
        }
    }
}

/// Whether somebody wrote the mark to an event.
async fn has_comment(cx: &Cx, event: &str, mark: &str) -> Result<bool, StepError> {
    let (mut cursor, mut seen) = (None, 0);
    loop {
        let page = api::page(cx, ("businessProcess", &["events", event, "comments"]), &[], cursor).await?;
        seen += page.items.len();
        if seen > COMMENTS_LOOKED_AT {
            return Err(too_many_comments(event));
        }
        if page.items.iter().any(|one| one["comment"].as_str().is_some_and(|text| text.contains(mark))) {
            return Ok(true);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(false);
        }
    }
}

fn too_many_events(worker: &str) -> StepError {
    too_many(format!("the worker {worker} has more than {EVENTS_LOOKED_AT} events of the last {LOOK_BACK_DAYS} days"))
}

fn too_many_comments(event: &str) -> StepError {
    too_many(format!("the event {event} has more than {COMMENTS_LOOKED_AT} comments"))
}

fn too_many(what: String) -> StepError {
    let words = format!("{what}, too many to see whether an earlier attempt has started this already");
    let mut error = StepError::new(ErrorClass::Conflict, "TOO_MANY_EVENTS", words).with_next(
        "Look at the worker's history in Workday. If it did not happen, set find_earlier: false in the step and resume the run.",
    );
    error.doubt = connector::Doubt::MayHaveHappened;
    error
}

/// The day of a time in seconds since 1970, in UTC.
pub(super) fn day_of(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or_default().strftime("%Y-%m-%d").to_string()
}

/// Today, as the connection's clock has it.
fn today(cx: &Cx) -> String {
    day_of(cx.now_s())
}

fn date(cx: &Cx, input: &Json) -> String {
    input["date"].as_str().map_or_else(|| today(cx), str::to_owned)
}

/// Starts a process over SOAP, unless an earlier attempt did.
async fn process(cx: &Cx, input: &Json, (service, request): (&str, &str), data: (&str, Json)) -> Result<Json, StepError> {
    let worker = text(input, "worker");
    if let Some(event) = earlier(cx, input, worker).await? {
        return Ok(json!({ "event": event, "adopted": true, "worker": worker }));
    }
    let mut body = Map::from_iter([("Business_Process_Parameters".to_owned(), parameters(cx, input))]);
    body.insert(data.0.to_owned(), data.1);
    let answer = soap::operation(cx, service, request, &Json::Object(body)).await?;
    Ok(json!({ "event": event_of(&answer)?, "adopted": false, "worker": worker }))
}

/// The WID of the event in an answer that is only its reference.
pub(super) fn event_of(answer: &Json) -> Result<String, StepError> {
    let fields = answer.as_object().into_iter().flatten();
    let found =
        fields.filter(|(name, _)| name.ends_with("Event_Reference")).find_map(|(_, reference)| soap::id_of(reference, "WID"));
    found.ok_or_else(|| {
        let mut error = StepError::new(
            ErrorClass::Server,
            "ANSWER_UNREADABLE",
            "Workday's answer names no event, so it is not known what was started",
        )
        .with_next("Look at the worker's history in Workday before it is done again.");
        error.doubt = connector::Doubt::MayHaveHappened;
        error
    })
}

async fn change_title(cx: Cx, input: Json) -> Result<Json, StepError> {
    let data = json!({
        "Worker_Reference": worker_reference(text(&input, "worker")),
        "Change_Business_Title_Data": { "Event_Effective_Date": date(&cx, &input), "Proposed_Business_Title": input["title"] },
    });
    let request = ("Human_Resources", "Change_Business_Title_Request");
    process(&cx, &input, request, ("Change_Business_Title_Business_Process_Data", data)).await
}

async fn change_contact(cx: Cx, input: Json, kind: &str) -> Result<Json, StepError> {
    let replace = input["replace_all"].as_bool().unwrap_or(false);
    let usage = json!({
        "Type_Data": { "@Primary": true, "Type_Reference": soap::reference("Communication_Usage_Type_ID", &kind.to_uppercase()) }
    });
    // A list that is sent replaces all of its kind unless every row says not to.
    let row = |field: &str, value: &Json| json!({ "@Do_Not_Replace_All": !replace, field: value, "Usage_Data": usage });
    let mut contact = Map::new();
    if !input["phone"].is_null() {
        contact.insert("Phone_Data".to_owned(), row("Phone_Number", &input["phone"]));
    }
    if !input["email"].is_null() {
        contact.insert("Email_Address_Data".to_owned(), row("Email_Address", &input["email"]));
    }
    if contact.is_empty() {
        return Err(invalid("an email or a phone is needed"));
    }
    let data = json!({
        "Person_Reference": worker_reference(text(&input, "worker")),
        "Event_Effective_Date": date(&cx, &input),
        "Contact_Information_Data": contact,
    });
    let (request, field) =
        (format!("Change_{kind}_Contact_Information_Request"), format!("Change_{kind}_Contact_Information_Data"));
    process(&cx, &input, ("Human_Resources", &request), (&field, data)).await
}

async fn change_name(cx: Cx, input: Json) -> Result<Json, StepError> {
    let data = json!({
        "Person_Reference": worker_reference(text(&input, "worker")),
        "Effective_Date": date(&cx, &input),
        "Name_Data": { "First_Name": input["first_name"], "Last_Name": input["last_name"] },
    });
    process(&cx, &input, ("Human_Resources", "Change_Legal_Name_Request"), ("Change_Legal_Name_Data", data)).await
}

/// The parts of somebody's personal information that are offered, in Workday's order: the field of the input, the vendor's
/// name, and the type of the id where it is a reference.
const PERSONAL: [(&str, &str, &str); 7] = [
    ("birth_date", "Date_of_Birth", ""),
    ("birth_country", "Birth_Country_Reference", COUNTRY),
    ("gender", "Gender_Reference", "Gender_Code"),
    ("marital_status", "Marital_Status_Reference", "Marital_Status_ID"),
    ("nationality", "Primary_Nationality_Reference", COUNTRY),
    ("birth_city", "City_of_Birth", ""),
    ("marital_status_date", "Marital_Status_Date", ""),
];
const COUNTRY: &str = "ISO_3166-1_Alpha-2_Code";

async fn change_personal(cx: Cx, input: Json) -> Result<Json, StepError> {
    let mut personal = Map::new();
    for (field, name, id_type) in PERSONAL {
        let value = match input[field].as_str() {
            Some(text) if !id_type.is_empty() => named(text, id_type),
            Some(text) => json!(text),
            None => continue,
        };
        personal.insert(name.to_owned(), value);
    }
    if personal.is_empty() {
        return Err(invalid("something to change is needed, such as birth_date"));
    }
    let data = json!({
        "Person_Reference": worker_reference(text(&input, "worker")),
        "Personal_Information_Data": personal,
    });
    let request = ("Human_Resources", "Change_Personal_Information_Request");
    process(&cx, &input, request, ("Change_Personal_Information_Data", data)).await
}

async fn set_other_id(cx: Cx, input: Json) -> Result<Json, StepError> {
    let data = json!({
        "Worker_Reference": worker_reference(text(&input, "worker")),
        "Custom_Identification_Data": { "Custom_ID": { "Custom_ID_Data": {
            "ID": input["id"], "ID_Type_Reference": soap::reference("Custom_ID_Type_ID", text(&input, "id_type")),
        } } },
    });
    process(&cx, &input, ("Human_Resources", "Change_Other_IDs_Request"), ("Change_Other_IDs_Data", data)).await
}

async fn set_account(cx: Cx, input: Json) -> Result<Json, StepError> {
    let worker = text(&input, "worker");
    let body = json!({
        "Worker_Reference": worker_reference(worker),
        "Workday_Account_for_Worker_Data": {
            "User_Name": input["user_name"],
            "Account_Disabled": input["disabled"],
            "Account_Expiration_Date": input["expires"],
        },
    });
    let create = input["create"].as_bool().unwrap_or(false);
    let request = if create { "Add_Workday_Account_Request" } else { "Update_Workday_Account_Request" };
    match soap::operation(&cx, "Human_Resources", request, &body).await {
        // The account may be there because an earlier attempt added it: the same values make sure of it. One of another
        // name is not ours to change.
        Err(error) if create && cx.in_doubt && error.code == "VALIDATION" => {
            let same = |user: &str| user.eq_ignore_ascii_case(text(&input, "user_name"));
            if !account_of(&cx, worker).await?.is_some_and(|user| same(&user)) {
                return Err(error);
            }
            soap::operation(&cx, "Human_Resources", "Update_Workday_Account_Request", &body).await?;
        }
        answer => {
            answer?;
        }
    }
    Ok(json!({ "worker": worker, "user_name": input["user_name"] }))
}

/// The user name of a worker, or of a hire to come, who is told of only as of a later day.
async fn account_of(cx: &Cx, worker: &str) -> Result<Option<String>, StepError> {
    let mut asked = json!({ "worker": worker, "groups": [] });
    let found = match get_worker(cx.clone(), asked.clone()).await {
        Err(error) if error.code == NOT_YET => {
            asked["as_of"] = json!(day_of(cx.now_s() + HIRED_AHEAD.as_secs().cast_signed()));
            get_worker(cx.clone(), asked).await?
        }
        found => found?,
    };
    Ok(found["user_id"].as_str().map(str::to_owned))
}

async fn terminate(cx: Cx, input: Json) -> Result<Json, StepError> {
    let day = text(&input, "date");
    let data = json!({
        "Employee_Reference": worker_reference(text(&input, "worker")),
        "Termination_Date": day,
        "Terminate_Event_Data": {
            "Last_Day_of_Work": day,
            "Primary_Reason_Reference": named(text(&input, "reason"), "Termination_Subcategory_ID"),
        },
    });
    process(&cx, &input, ("Staffing", "Terminate_Employee_Request"), ("Terminate_Employee_Data", data)).await
}

/// A reference by a WID, a type and value, or a bare value of the usual type.
pub(super) fn named(text: &str, usual: &str) -> Json {
    match worker_id(text) {
        (id_type, id) if id_type == "Employee_ID" && !text.contains('=') => soap::reference(usual, &id),
        (id_type, id) => soap::reference(&id_type, &id),
    }
}

async fn change_job(cx: Cx, input: Json) -> Result<Json, StepError> {
    let maybe = |field: &str, usual: &str| input[field].as_str().map(|text| named(text, usual));
    let organization = input["organization"].as_str().map(organization_reference);
    let details = json!({
        "Job_Profile_Reference": maybe("job_profile", "Job_Profile_ID"),
        "Business_Title": input["title"],
        "Location_Reference": maybe("location", "Location_ID"),
    });
    let data = json!({
        "Worker_Reference": worker_reference(text(&input, "worker")),
        "Position_Reference": maybe("job", "Position_ID"),
        "Effective_Date": date(&cx, &input),
        "Change_Job_Detail_Data": {
            "Reason_Reference": named(text(&input, "reason"), "Change_Job_Subcategory_ID"),
            "Supervisory_Organization_Reference": organization,
            "Proposed_Position_Reference": maybe("position", "Position_ID"),
            "Job_Details_Data": details,
        },
    });
    process(&cx, &input, ("Staffing", "Change_Job_Request"), ("Change_Job_Data", data)).await
}

/// Fields every process shares.
fn process_input(fields: &[(&str, Json)], required: &[&str]) -> Json {
    let find_earlier = format!(
        "True unless said otherwise: before it is started again, the worker's events of the last {LOOK_BACK_DAYS} days are \
         looked through for one that an earlier attempt of this step started. An attempt in doubt that is older than {MARK_DAYS} \
         days waits for a person. Needs an API client."
    );
    let mut all = vec![("worker", schema::worker())];
    all.extend(fields.iter().map(|(name, schema)| (*name, schema.clone())));
    all.extend([
        (
            "auto_complete",
            schema::flag(
                "Without approvals",
                "The process is completed at once instead of waiting for approvals. The integration user must be allowed to.",
            ),
        ),
        ("comment", schema::text("Comment", "Shown in Workday beside the process; a mark of this step is added.")),
        ("find_earlier", schema::flag("Find an earlier attempt", &find_earlier)),
    ]);
    let mut needed = vec!["worker"];
    needed.extend(required);
    schema::input(&all, &needed)
}

pub(super) fn actions() -> Vec<Action> {
    let effective = || schema::date("Effective date", "Today when left out. It may lie in the future or the past.");
    let contact = || {
        [
            ("email", schema::text("Email", "")),
            ("phone", schema::text("Phone", "Written internationally.")),
            ("date", effective()),
            (
                "replace_all",
                schema::flag(
                    "Replace all others",
                    "False unless said otherwise: what is there stays. True wipes every other address of this kind.",
                ),
            ),
        ]
    };
    let title = [("title", schema::text("New business title", "")), ("date", effective())];
    let job = [
        ("reason", schema::text("Reason", "A change job subcategory, for instance Promotion_Promotion_Promotion.")),
        ("date", effective()),
        ("organization", schema::text("New supervisory organization", "A reference id, a WID, or a type and value.")),
        ("position", schema::text("New position", "One that is open, for tenants that staff by position.")),
        ("job_profile", schema::text("New job profile", "")),
        ("location", schema::text("New location", "")),
        ("title", schema::text("New business title", "")),
        ("job", schema::text("Job that is changed", "The position held now, for workers with several jobs.")),
    ];
    let name =
        [("first_name", schema::text("First name", "")), ("last_name", schema::text("Last name", "")), ("date", effective())];
    let personal = [
        ("birth_date", schema::date("Date of birth", "")),
        ("birth_country", schema::text("Country of birth", "Its code of two letters.")),
        ("birth_city", schema::text("City of birth", "")),
        ("gender", schema::text("Gender", "A gender code of the tenant.")),
        ("marital_status", schema::text("Marital status", "The id of one of the tenant.")),
        ("marital_status_date", schema::date("Marital status since", "")),
        ("nationality", schema::text("Primary nationality", "The country's code of two letters.")),
    ];
    let other_id = [("id_type", schema::text("Type of id", "A custom id type.")), ("id", schema::text("Id", ""))];
    let leaving = [
        ("date", schema::date("Last day", "")),
        (
            "reason",
            schema::text("Reason", "A termination subcategory, for instance Terminate_Employee_Voluntary_Other_Employment."),
        ),
    ];
    let new = |id, title, summary, run: fn(Cx, Json) -> connector::Attempt| {
        Action::new(id, title, summary, run)
            .effect(effect)
            .key_life(Duration::from_secs(MARK_DAYS * DAY_S))
            .output(schema::event())
            .sample(schema::event_sample())
    };
    vec![
        new(
            "change_business_title",
            "Change a business title",
            "Starts the process that gives a worker another business title.",
            |cx, input| Box::pin(change_title(cx, input)),
        )
        .input(process_input(&title, &["title"])),
        new("change_job", "Change a job", "Starts a transfer, promotion or other job change.", |cx, input| {
            Box::pin(change_job(cx, input))
        })
        .input(process_input(&job, &["reason"])),
        new("update_work_contact", "Update work contact", "Sets a worker's work email or phone.", |cx, input| {
            Box::pin(change_contact(cx, input, "Work"))
        })
        .input(process_input(&contact(), &[])),
        new("update_home_contact", "Update home contact", "Sets a worker's private email or phone.", |cx, input| {
            Box::pin(change_contact(cx, input, "Home"))
        })
        .input(process_input(&contact(), &[])),
        new("change_legal_name", "Change a legal name", "Starts the process that changes a worker's legal name.", |cx, input| {
            Box::pin(change_name(cx, input))
        })
        .input(process_input(&name, &["first_name", "last_name"])),
        new(
            "change_personal_information",
            "Change personal information",
            "Starts the process that changes what is known of a worker beside their work. What is left out stays as it is.",
            |cx, input| Box::pin(change_personal(cx, input)),
        )
        .input(process_input(&personal, &[])),
        new("set_other_id", "Set another id", "Writes an id of another system to a worker.", |cx, input| {
            Box::pin(set_other_id(cx, input))
        })
        .input(process_input(&other_id, &["id_type", "id"])),
        new(
            "terminate_employee",
            "Terminate an employee",
            "Starts the process that ends an employment on a day.",
            |cx, input| Box::pin(terminate(cx, input)),
        )
        .input(process_input(&leaving, &["date", "reason"])),
        Action::new(
            "set_account",
            "Create or update a Workday account",
            "Sets the user name of a worker's Workday account, or disables it.",
            set_account,
        )
        .idempotent()
        .input(schema::input(
            &[
                ("worker", schema::worker()),
                ("user_name", schema::text("User name", "")),
                ("create", schema::flag("Create", "True for a worker who has no account yet.")),
                ("disabled", schema::flag("Disabled", "")),
                ("expires", schema::text("Expires", "When the account ends, for instance 2027-01-31T23:59:59Z.")),
            ],
            &["worker", "user_name"],
        ))
        .output(schema::output(&[("worker", schema::told("Worker")), ("user_name", schema::told("User name"))]))
        .sample(json!({ "worker": "21001", "user_name": "lmcneil" })),
    ]
}
