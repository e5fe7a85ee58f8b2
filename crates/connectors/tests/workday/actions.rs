//! What each action does.

use std::sync::Arc;

use connector::{Cx, Effect, ErrorClass};
use sandbox::{Fault, Kind};
use serde_json::{Value as Json, json};

use crate::{connection, happen, seen, set, shelf, vendor::Vendor, without, workday};

async fn done(vendor: &Vendor, action: &str, input: Json) -> Json {
    vendor.call(action, input).await.unwrap_or_else(|error| panic!("{action}: {error} {:?}", error.response))
}

async fn first(vendor: &Vendor, action: &str, input: Json) -> Json {
    let found = done(vendor, action, input).await;
    found["rows"][0].clone()
}

async fn id(vendor: &Vendor, action: &str, input: Json) -> String {
    let row = first(vendor, action, input).await;
    row["id"].as_str().unwrap_or_else(|| panic!("{action} gave {row}")).to_owned()
}

#[tokio::test]
async fn workers_are_read_one_by_one_and_all_together() {
    let vendor = workday().await;
    let one = done(
        &vendor,
        "get_worker",
        json!({ "worker": "21002", "groups": ["personal", "employment", "organizations", "compensation"] }),
    )
    .await;
    let company = vendor.sandbox.world().company();
    let known = company.workers.iter().find(|worker| worker.number == 21_002).unwrap();
    assert_eq!((one["work_email"].as_str(), one["business_title"].as_str()), (Some(known.email.as_str()), Some(known.title)));
    assert_eq!((&one["manager"], &one["active"]), (&json!("21001"), &json!(true)));
    assert!(one["annual_base_pay"].is_string() && one["supervisory_organization"]["id"].is_string());
    assert_eq!(done(&vendor, "get_worker", json!({ "worker": one["wid"] })).await["employee_id"], "21002");
    assert_eq!(done(&vendor, "get_worker_profile", json!({ "worker": "21002" })).await["descriptor"], one["name"]);
    let found = done(&vendor, "search_workers", json!({ "search": one["name"] })).await;
    assert!(found["workers"].as_array().unwrap().iter().any(|worker| worker["id"] == one["wid"]));
    let pages = vendor.pages("list_workers", json!({ "groups": ["employment"] })).await.unwrap();
    let all: Vec<&Json> = pages.iter().flat_map(|page| &page.items).collect();
    assert_eq!((pages.len(), all.len()), (13, 1_248));
    assert!(all.iter().any(|worker| worker["terminated"] == true), "who left is there");
    let active = done(&vendor, "list_workers", json!({ "include_terminated": false, "organizations": ["SUP_ENG"], "include_subordinate": false, "groups": ["organizations"] })).await;
    let active = active["workers"].as_array().unwrap();
    assert!(!active.is_empty() && active.iter().all(|worker| worker["supervisory_organization"]["id"] == "SUP_ENG"));
    for list in ["direct_reports", "organizations", "history", "inbox", "organizations_managed", "title_changes"] {
        done(&vendor, "list_worker_related", json!({ "worker": "21001", "list": list })).await;
    }
    let usual = done(&vendor, "get_worker", json!({ "worker": "21002" })).await;
    assert_eq!(
        (&usual["birth_date"], &usual["home_email"], &usual["details"]["Personal_Data"]),
        (&Json::Null, &Json::Null, &Json::Null)
    );
    vendor.sandbox.world().clock().advance(std::time::Duration::from_secs(60));
    let from = vendor.sandbox.world().clock().now().to_string();
    vendor.sandbox.world().clock().advance(std::time::Duration::from_secs(1));
    happen(&vendor, "change_worker", json!({ "employee": "21010", "title": "Principal" }));
    vendor.sandbox.world().clock().advance(std::time::Duration::from_secs(60));
    let log = json!({ "updated_from": from, "updated_through": vendor.sandbox.world().clock().now().to_string() });
    let changed = done(&vendor, "list_workers", json!({ "log": log })).await;
    assert_eq!(changed["workers"].as_array().unwrap().iter().map(|one| &one["employee_id"]).collect::<Vec<_>>(), ["21010"]);
    let error = vendor.call("get_worker", json!({ "worker": "nobody" })).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "INVALID_ID"));
    assert!(error.message.contains("'nobody' is not a valid ID value"), "{error}");
}

#[tokio::test]
async fn a_hire_to_come_is_found_as_of_its_day() {
    let vendor = workday().await;
    let hired = happen(&vendor, "hire_worker", json!({ "days": 20 }));
    let error = vendor.call("get_worker", json!({ "worker": hired["worker"]["number"] })).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::NotFound, "WORKER_NOT_YET"));
    let later = done(&vendor, "get_worker", json!({ "worker": hired["worker"]["number"], "as_of": hired["effective"] })).await;
    assert_eq!(later["name"], "Mira Novak");
}

#[tokio::test]
async fn people_are_changed_and_a_repeated_attempt_changes_nothing_more() {
    let vendor = workday().await;
    for (action, input) in [
        ("change_business_title", json!({ "worker": "21002", "title": "Chief Counter", "auto_complete": true })),
        (
            "change_job",
            json!({ "worker": "21003", "reason": "Promotion_Promotion_Promotion", "title": "Promoted", "location": "BER" }),
        ),
        ("update_work_contact", json!({ "worker": "21004", "email": "new@northwind.example" })),
        ("update_home_contact", json!({ "worker": "21004", "email": "private@home.example", "phone": "+491701234567" })),
        ("change_legal_name", json!({ "worker": "21005", "first_name": "Zoë", "last_name": "O'Brien & Co" })),
        ("change_personal_information", json!({ "worker": "21005", "birth_date": "1984-02-29", "gender": "Not_Declared" })),
        ("set_other_id", json!({ "worker": "21005", "id_type": "CRM_ID", "id": "003A" })),
        (
            "terminate_employee",
            json!({ "worker": "21006", "date": "2199-01-01", "reason": "Terminate_Employee_Voluntary_Retirement" }),
        ),
    ] {
        let key = format!("run/{action}");
        let made =
            vendor.call_with(vendor.cx(&key), action, input.clone()).await.unwrap_or_else(|error| panic!("{action}: {error}"));
        assert!(made["adopted"] == false && made["event"].as_str().unwrap().len() == 32, "{action}: {made}");
        let again = vendor.call_with(in_doubt(vendor.cx(&key)), action, input).await.unwrap();
        assert_eq!((&again["adopted"], &again["event"]), (&json!(true), &made["event"]), "{action}");
    }
    let title = done(&vendor, "get_worker", json!({ "worker": "21002" })).await;
    assert_eq!(title["business_title"], "Chief Counter");
    let moved = done(&vendor, "get_worker", json!({ "worker": "21003" })).await;
    assert_eq!((&moved["business_title"], &moved["location"]), (&json!("Promoted"), &json!("Berlin")));
    let reached = done(&vendor, "get_worker", json!({ "worker": "21004", "groups": ["personal"] })).await;
    assert_eq!(
        (&reached["work_email"], &reached["home_email"]),
        (&json!("new@northwind.example"), &json!("private@home.example"))
    );
    let mails = &reached["details"]["Personal_Data"]["Contact_Data"]["Email_Address_Data"];
    assert_eq!(mails.as_array().unwrap().len(), 3, "nothing was wiped: {mails}");
    assert_eq!(done(&vendor, "get_worker", json!({ "worker": "21005" })).await["name"], "Zoë O'Brien & Co");
    done(&vendor, "set_account", json!({ "worker": "21005", "user_name": "zoe" })).await;
    assert_eq!(done(&vendor, "get_worker", json!({ "worker": "21005" })).await["user_id"], "zoe");
}

/// What an attempt is given after one that may have happened.
fn in_doubt(cx: Cx) -> Cx {
    Cx { attempt: 2, in_doubt: true, ..cx }
}

#[tokio::test]
async fn an_earlier_attempt_is_found_among_more_events_than_a_page_has() {
    let vendor = workday().await;
    let title = |number: usize| json!({ "worker": "21008", "title": format!("Title {number}"), "auto_complete": true });
    let events = || async {
        let events = done(&vendor, "list_events", json!({ "worker": "21008", "initiated_from": "2000-01-01" })).await;
        events["rows"].as_array().unwrap().len()
    };
    for number in 0..120 {
        vendor.call_with(vendor.cx(&format!("run_{number}/other")), "change_business_title", title(number)).await.unwrap();
    }
    assert_eq!(seen(&vendor, "/events"), 0, "a first attempt has nothing to look for");
    let before = events().await;
    vendor.sandbox.world().faults().add(Fault::new("workday", Kind::ResetAfter).on("/Human_Resources/").times(1));
    vendor.call("change_business_title", title(120)).await.unwrap_err();
    let again = vendor.call_with(in_doubt(vendor.cx("run_1/step")), "change_business_title", title(120)).await.unwrap();
    assert_eq!((&again["adopted"], events().await), (&json!(true), before + 1));
}

#[tokio::test]
async fn with_too_many_events_nothing_is_started_twice() {
    let vendor = workday().await;
    let title = |number: usize| json!({ "worker": "21009", "title": format!("Title {number}"), "auto_complete": true });
    for number in 0..501 {
        vendor.call_with(vendor.cx(&format!("run_{number}/other")), "change_business_title", title(number)).await.unwrap();
    }
    let before = seen(&vendor, "/Human_Resources/");
    let error = vendor.call_with(in_doubt(vendor.cx("run_1/step")), "change_business_title", title(501)).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Conflict, "TOO_MANY_EVENTS"), "{error:?}");
    assert_eq!((error.doubt, seen(&vendor, "/Human_Resources/")), (connector::Doubt::MayHaveHappened, before));
}

#[tokio::test]
async fn an_account_whose_answer_was_lost_is_there_and_the_step_goes_on() {
    let vendor = workday().await;
    let worker = happen(&vendor, "hire_worker", json!({}))["worker"]["number"].clone();
    account_lost(&vendor, &worker, "mira").await;
    // A hire to come is not told of before its first day, and has an account all the same.
    let hired = happen(&vendor, "hire_worker", json!({ "days": 20, "first_name": "Nora" }));
    account_lost(&vendor, &hired["worker"]["number"], "nora").await;
    let day = json!({ "worker": hired["worker"]["number"], "as_of": hired["effective"] });
    assert_eq!(done(&vendor, "get_worker", day).await["user_id"], "nora");
    assert_eq!(done(&vendor, "get_worker", json!({ "worker": worker })).await["user_id"], "mira");
}

/// Adds an account whose answer is lost; the step finds it as its own, and leaves somebody else's alone.
async fn account_lost(vendor: &Vendor, worker: &Json, user: &str) {
    let input = json!({ "worker": worker, "user_name": user, "create": true, "expires": "2027-01-31T23:59:59Z" });
    vendor.sandbox.world().faults().add(Fault::new("workday", Kind::ResetAfter).on("/Human_Resources/").times(1));
    vendor.call("set_account", input.clone()).await.unwrap_err();
    let sent = vendor.sandbox.world().recorder().of("workday").last().unwrap().body.clone();
    assert!(sent.contains("<wd:Account_Expiration_Date>2027-01-31T23:59:59Z</wd:Account_Expiration_Date>"), "{sent}");
    vendor.call_with(in_doubt(vendor.cx("run_1/step")), "set_account", input.clone()).await.unwrap();
    let error = vendor.call("set_account", input).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "VALIDATION"), "nobody doubts: it is told");
    // In doubt, too, an account that somebody else gave the worker stays as it is.
    let other = json!({ "worker": worker, "user_name": format!("{user}bel"), "create": true });
    let error = vendor.call_with(in_doubt(vendor.cx("run_2/step")), "set_account", other).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "VALIDATION"), "{error:?}");
}

#[tokio::test]
async fn an_attempt_whose_answer_was_lost_is_found_again() {
    let vendor = workday().await;
    let input = json!({ "worker": "21007", "title": "Lost and Found" });
    let fault = Fault::new("workday", Kind::ResetAfter).on("/Human_Resources/").times(1);
    vendor.sandbox.world().faults().add(fault);
    let error = vendor.call("change_business_title", input.clone()).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Network, connector::Doubt::MayHaveHappened));
    let again = vendor.call_with(in_doubt(vendor.cx("run_1/step")), "change_business_title", input.clone()).await.unwrap();
    assert_eq!(again["adopted"], true);
    let changes = done(&vendor, "list_worker_related", json!({ "worker": "21007", "list": "title_changes" })).await;
    assert_eq!(changes["rows"].as_array().unwrap().len(), 1, "{changes}");
    let action = vendor.connector.action("change_business_title").unwrap();
    assert_eq!((action.effect)(&input), Effect::Idempotent);
    let month = std::time::Duration::from_secs(30 * 24 * 3600);
    assert_eq!(action.key_life_of(&input), Some(month), "events before that are not looked through");
    let mut alone = input;
    alone["find_earlier"] = json!(false);
    assert_eq!(((action.effect)(&alone), action.key_life_of(&alone)), (Effect::Once, None));
}

#[tokio::test]
async fn an_earlier_attempt_is_looked_for_as_far_back_as_is_said() {
    let vendor = workday().await;
    let input = json!({ "worker": "21007", "title": "Long Ago" });
    let action = vendor.connector.action("change_business_title").unwrap();
    let said = action.input["properties"]["find_earlier"]["description"].as_str().unwrap();
    assert!(said.contains("events of the last 31 days") && said.contains("older than 30 days waits"), "{said}");
    vendor.sandbox.world().faults().add(Fault::new("workday", Kind::ResetAfter).on("/Human_Resources/").times(1));
    vendor.call("change_business_title", input.clone()).await.unwrap_err();
    // The last moment at which a repeat comes by itself.
    vendor.sandbox.world().clock().advance(action.key_life_of(&input).unwrap());
    let again = vendor.call_with(in_doubt(vendor.cx("run_1/step")), "change_business_title", input).await.unwrap();
    assert_eq!(again["adopted"], true, "{again}");
}

#[tokio::test]
async fn a_connection_without_an_api_client_says_what_it_lacks_before_anything_is_changed() {
    let mut vendor = workday().await;
    without(&mut vendor, &["client_id", "client_secret", "refresh_token"]);
    let input = json!({ "worker": "21002", "title": "Alone" });
    let error = vendor.call("change_business_title", input.clone()).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str(), seen(&vendor, "/Human_Resources/")), (ErrorClass::Auth, "CANNOT_LOOK", 0));
    let mut alone = input;
    alone["find_earlier"] = json!(false);
    done(&vendor, "change_business_title", alone).await;
    let error = vendor.call("list_organizations", json!({})).await.unwrap_err();
    assert!(error.class == ErrorClass::Auth && error.message.contains("no API client"), "{error}");
}

#[tokio::test]
async fn the_api_client_alone_reaches_web_services_and_reports() {
    let mut vendor = workday().await;
    without(&mut vendor, &["username", "password"]);
    assert!(done(&vendor, "get_server_time", json!({})).await["time"].is_string());
    assert!(first(&vendor, "run_report", json!({ "report": "isu/Organizations" })).await["Organization"].is_string());
}

#[tokio::test]
async fn somebody_is_hired_once() {
    let vendor = workday().await;
    let input = json!({ "first_name": "Nia", "last_name": "Okafor", "date": "2026-01-05", "organization": "SUP_ENG", "employee_id": "88001", "title": "Welder", "location": "BER", "home_email": "nia@home.example", "auto_complete": true });
    let made = done(&vendor, "hire_employee", input.clone()).await;
    assert_eq!((&made["adopted"], &made["worker"]), (&json!(false), &json!("88001")));
    assert_eq!(done(&vendor, "hire_employee", input).await["adopted"], true);
    let worker = done(&vendor, "get_worker", json!({ "worker": "88001", "groups": ["personal", "employment"] })).await;
    assert_eq!(
        (&worker["name"], &worker["business_title"], &worker["home_email"]),
        (&json!("Nia Okafor"), &json!("Welder"), &json!("nia@home.example"))
    );
}

#[tokio::test]
async fn somebody_is_hired_into_an_open_position_and_paid_as_proposed_and_moves_on_to_another() {
    let vendor = workday().await;
    let pay = |amount: f64, frequency: &str| json!({ "plan": "SALARY_Salary_Plan", "amount": amount, "currency": "USD", "frequency": frequency });
    let hire = |number: &str, date: &str, pay: Json| json!({ "first_name": "Nia", "last_name": "Okafor", "date": date, "organization": "SUP_ENG", "position": "P-00001", "employee_id": number, "compensation": pay, "auto_complete": true });
    done(&vendor, "hire_employee", hire("88001", "2026-01-05", pay(7_000.5, "Monthly"))).await;
    let look = || done(&vendor, "get_worker", json!({ "worker": "88001", "groups": ["employment", "compensation"] }));
    let hired = look().await;
    assert_eq!((&hired["position_id"], &hired["annual_base_pay"]), (&json!("P-00001"), &json!("84006.00")));
    let error = vendor.call("hire_employee", hire("88002", "2199-01-01", pay(20.0, "Hourly"))).await.unwrap_err();
    assert!(error.code == "VALIDATION" && error.message.contains("The position P-00001 is filled"), "{error}");

    let reason = "Transfer_Move_to_another_Manager";
    let job = json!({ "worker": "88001", "reason": reason, "position": "P-00002", "job": "P-00001", "auto_complete": true });
    done(&vendor, "change_job", job.clone()).await;
    assert_eq!(look().await["position_id"], "P-00002");
    let error = vendor.call("change_job", job).await.unwrap_err();
    assert!(error.message.contains("does not hold the position P-00001"), "{error}");
    done(&vendor, "hire_employee", hire("88002", "2199-01-01", pay(20.0, "Hourly"))).await;
}

#[tokio::test]
async fn personal_information_is_changed_and_what_is_left_out_stays() {
    let vendor = workday().await;
    let known = || async {
        let worker = done(&vendor, "get_worker", json!({ "worker": "21010", "groups": ["personal"] })).await;
        let told = worker["details"]["Personal_Data"].clone();
        let id = |name: &str, kind: &str| soap_id(&told[name], kind);
        json!([
            worker["birth_date"],
            id("Country_of_Birth_Reference", "ISO_3166-1_Alpha-2_Code"),
            told["City_of_Birth"],
            id("Gender_Reference", "Gender_Code"),
            id("Marital_Status_Reference", "Marital_Status_ID"),
            told["Marital_Status_Date"],
            id("Primary_Nationality_Reference", "ISO_3166-1_Alpha-2_Code"),
        ])
    };
    let born = known().await[0].clone();
    let first = json!({ "worker": "21010", "birth_country": "DE", "birth_city": "Köln & Deutz", "gender": "Female", "nationality": "JP" });
    done(&vendor, "change_personal_information", first).await;
    assert_eq!(known().await, json!([born, "DE", "Köln & Deutz", "Female", null, null, "JP"]));
    let second = json!({ "worker": "21010", "birth_date": "1984-02-29", "marital_status": "Married", "marital_status_date": "2020-05-05" });
    vendor.call_with(vendor.cx("run_2/step"), "change_personal_information", second).await.unwrap();
    assert_eq!(known().await, json!(["1984-02-29", "DE", "Köln & Deutz", "Female", "Married", "2020-05-05", "JP"]));
    for (input, code) in [
        (json!({ "worker": "21010" }), "INPUT_INVALID"),
        (json!({ "worker": "21010", "gender": "Nothing" }), "INVALID_ID"),
        (json!({ "worker": "21010", "birth_date": "2199-01-01" }), "VALIDATION"),
    ] {
        let error = vendor.call("change_personal_information", input).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, code), "{error:?}");
    }
}

/// The id of a type in a reference of a web service.
fn soap_id(reference: &Json, kind: &str) -> Json {
    let ids = reference["ID"].as_array().into_iter().flatten();
    ids.filter(|id| id["@type"] == kind).map(|id| id["#text"].clone()).next().unwrap_or_default()
}

#[tokio::test]
async fn every_list_is_read() {
    let vendor = workday().await;
    let organization = id(&vendor, "list_supervisory_organizations", json!({})).await;
    let journal = id(&vendor, "list_journals", json!({ "from": "2020-01-01" })).await;
    let inputs = json!({
        "list_organizations": { "type": "Organization_Type_ID=Cost_Center" },
        "list_organization_workers": { "organization": organization },
        "list_time_off": { "worker": "21001", "from": "2026-01-01", "to": "2027-01-01" },
        "list_time_off_types": { "worker": "21001" },
        "get_time_off_balances": { "worker": "21001", "date": "2026-06-01" },
        "list_leaves_of_absence": { "worker": "21001" },
        "list_references": { "type": "Location_ID" },
        "list_events": { "worker": "21001", "initiated_from": "2000-01-01" },
        "list_customer_invoices": { "payment_status": "Unpaid" },
        "list_journal_lines": { "journal": journal },
    });
    let empty = ["list_time_off", "list_leaves_of_absence", "list_steps"];
    for action in
        vendor.connector.actions.iter().filter(|action| action.id.starts_with("list_") || action.id.ends_with("_balances"))
    {
        if matches!(action.id, "list_workers" | "list_worker_related") {
            continue;
        }
        let input = inputs.get(action.id).cloned().unwrap_or_else(|| json!({}));
        let rows = done(&vendor, action.id, input.clone()).await;
        let count = rows["rows"].as_array().unwrap().len();
        assert!(count > 0 || empty.contains(&action.id), "{} gave nothing", action.id);
        let pages = vendor.pages(action.id, input).await.unwrap();
        assert_eq!(pages.iter().map(|page| page.items.len()).sum::<usize>(), count, "{}", action.id);
    }
    assert_eq!(done(&vendor, "get_organization", json!({ "organization": organization })).await["id"], organization.as_str());
    assert_eq!(done(&vendor, "get_journal", json!({ "journal": journal })).await["id"], journal.as_str());
    for (list, single, field) in [
        ("list_expense_reports", "get_expense_report", "report"),
        ("list_customer_invoices", "get_customer_invoice", "invoice"),
        ("list_supplier_invoice_requests", "get_supplier_invoice_request", "request"),
    ] {
        let id = id(&vendor, list, json!({})).await;
        assert_eq!(done(&vendor, single, json!({ field: id })).await["id"], id.as_str(), "{single}");
    }
}

#[tokio::test]
async fn time_off_is_requested_and_decided() {
    let vendor = workday().await;
    set(&vendor, json!({ "approvals": true }));
    let kind = id(&vendor, "list_time_off_types", json!({ "worker": "21010" })).await;
    let ask =
        |date: &str| json!({ "worker": "21010", "days": [{ "date": date, "type": kind, "quantity": 1 }], "comment": "Sea" });
    done(&vendor, "request_time_off", ask("2027-07-01")).await;
    let step = first(&vendor, "list_steps", json!({ "worker": "21010" })).await;
    let (step, event) = (step["id"].clone(), step["event"]["id"].clone());
    assert_eq!(done(&vendor, "get_event", json!({ "event": event })).await["completed"], false);
    assert_eq!(done(&vendor, "get_step", json!({ "step": step })).await["id"], step);
    let told = done(&vendor, "approve_step", json!({ "step": step, "comment": "Enjoy." })).await;
    assert_eq!(told["eventStatus"]["descriptor"], "Successfully Completed");
    assert_eq!(done(&vendor, "get_event", json!({ "event": event, "wait_s": 5 })).await["completed"], true);
    for (date, action, more) in [
        ("2027-07-02", "deny_step", json!({ "comment": "No." })),
        ("2027-07-03", "send_back_step", json!({ "reason": "When?", "to": "3aa5550b7fe348b98d7b5741afc65534" })),
    ] {
        done(&vendor, "request_time_off", ask(date)).await;
        let mut input = more;
        input["step"] = json!(id(&vendor, "list_steps", json!({ "worker": "21010" })).await);
        done(&vendor, action, input).await;
    }
    let error = vendor.call("request_time_off", ask("2027-07-01")).await.unwrap_err();
    assert!(error.class == ErrorClass::Invalid && error.message.contains("already"), "{error}");
}

#[tokio::test]
async fn documents_are_made_and_submitted() {
    let vendor = workday().await;
    let item = id(&vendor, "list_expense_items", json!({ "search": "taxi" })).await;
    let line = json!({ "date": "2026-11-01", "item": item, "amount": 12.5, "currency": "USD", "memo": "Airport" });
    let made = done(
        &vendor,
        "create_expense_report",
        json!({ "worker": "21001", "memo": "Trip", "lines": [line.clone(), line], "submit": false }),
    )
    .await;
    let report = done(&vendor, "get_expense_report", json!({ "report": made["report"] })).await;
    assert_eq!((&made["lines"], &report["totalAmount"]["value"]), (&json!(2), &json!(25.0)));
    done(&vendor, "submit_expense_report", json!({ "report": made["report"] })).await;
    let company = first(&vendor, "list_organizations", json!({ "type": "Organization_Type_ID=Company" })).await["id"].clone();
    let supplier = first(&vendor, "list_supplier_invoice_requests", json!({})).await["supplier"]["id"].clone();
    let request = json!({ "company": company, "supplier": supplier, "currency": "USD", "number": "R-1", "invoice_date": "2026-11-01", "lines": [{ "description": "Rope", "amount": 10 }], "submit": true });
    assert_eq!(done(&vendor, "create_supplier_invoice_request", request).await["submitted"], true);
    let payment = json!({ "worker": "21001", "plan": "One-Time_Payment_Plan_ID=SPOT_BONUS", "amount": 500, "currency": "USD", "date": "2026-11-01" });
    assert!(done(&vendor, "request_one_time_payment", payment).await["event"].is_string());
}

#[tokio::test]
async fn queries_and_anything_else_are_called() {
    let vendor = workday().await;
    set(&vendor, json!({ "wql_without_total": true }));
    let query = "SELECT employeeID, worker FROM allWorkers";
    let pages = vendor.pages("run_wql", json!({ "query": query, "page_size": 500 })).await.unwrap();
    assert_eq!(pages.iter().map(|page| page.items.len()).collect::<Vec<_>>(), [500, 500, 248]);
    let (sources, source) = {
        let shapes = vendor.connector.shapes.clone().unwrap();
        (
            (shapes.objects)(vendor.cx("shape")).await.unwrap(),
            (shapes.object)(vendor.cx("shape"), "allWorkers".to_owned()).await.unwrap(),
        )
    };
    assert!(sources.iter().any(|object| object.name == "journalLines"));
    assert_eq!(source["properties"]["currentlyActive"]["type"], "boolean");
    let called = done(
        &vendor,
        "call_operation",
        json!({ "service": "Human_Resources", "operation": "Get_Organizations", "body": { "Response_Filter": { "Count": 1 } } }),
    )
    .await;
    assert_eq!(called["element"], "Get_Organizations_Response");
    let raw = r#"<wd:Server_Timestamp_Get xmlns:wd="urn:com.workday/bsvc"/>"#;
    assert_eq!(
        done(&vendor, "call_operation", json!({ "service": "Human_Resources", "xml": raw })).await["element"],
        "Server_Timestamp"
    );
    let rest =
        done(&vendor, "call_rest", json!({ "service": "staffing", "path": "jobProfiles", "query": { "limit": "3" } })).await;
    assert_eq!((&rest["status"], rest["body"]["data"].as_array().unwrap().len()), (&json!(200), 3));
    for path in ["../oauth2", "workers?x=1"] {
        assert_eq!(vendor.call("call_rest", json!({ "path": path })).await.unwrap_err().code, "INPUT_INVALID");
    }
}

#[tokio::test]
async fn reports_come_in_pages_and_as_files() {
    let vendor = workday().await;
    let pages = vendor.pages("run_report", json!({ "report": "isu/All Workers", "page_rows": 500 })).await.unwrap();
    assert_eq!(pages.iter().map(|page| page.items.len()).collect::<Vec<_>>(), [500, 500, 248]);
    assert_eq!(seen(&vendor, "customreport2"), 1, "the report ran once");
    let some = done(
        &vendor,
        "run_report",
        json!({ "report": "isu/All_Workers", "prompts": { "Location": "Location_ID=BER", "Hired_On_or_After": "2000-01-01" } }),
    )
    .await;
    let some = some["rows"].as_array().unwrap();
    assert!(!some.is_empty() && some.iter().all(|row| row["Location"] == "Berlin"));
    let xml = done(&vendor, "run_report", json!({ "report": "isu/Organizations", "format": "xml" })).await;
    assert!(xml["rows"][0]["Organization"]["ID"]["#text"].is_string(), "{}", xml["rows"][0]);
    set(&vendor, json!({ "empty_report_without_key": true }));
    assert_eq!(done(&vendor, "run_report", json!({ "report": "isu/Nobody" })).await, json!({ "rows": [] }));
    let file = done(&vendor, "download_report", json!({ "report": "isu/Customer_Invoices" })).await;
    assert!(file["file"]["name"] == "Customer_Invoices.csv" && file["file"]["size"].as_u64() > Some(1_000), "{file}");
    for (report, code) in [
        ("isu/Unknown", "REPORT_NOT_FOUND"),
        ("Unknown", "INPUT_INVALID"),
        ("https://evil.example/ccx/service/customreport2/acme/isu/X", "INPUT_INVALID"),
    ] {
        assert_eq!(vendor.call("run_report", json!({ "report": report })).await.unwrap_err().code, code, "{report}");
    }
    let error =
        vendor.call("run_report", json!({ "report": "isu/All_Workers", "prompts": { "Nonsense": "1" } })).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "REPORT_REFUSED"));
}

#[tokio::test]
async fn a_photo_goes_there_and_back_and_replaces_the_one_before() {
    let vendor = Vendor::start("workday", connection).await;
    let shelf = Arc::<shelf::Shelf>::default();
    vendor.http.keep_files_with(Arc::new(shelf::Door(Arc::clone(&shelf))));
    let error = vendor.call("get_worker_photo", json!({ "worker": "21001" })).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::NotFound, "PHOTO_MISSING"));
    let photo = [&[0x89, b'P', b'N', b'G'][..], &[7; 5_000]].concat();
    for content in [b"GIF8 old".to_vec(), photo.clone()] {
        let file = shelf.put("me & you.png", "image/png", &content).json();
        vendor.call("put_worker_photo", json!({ "worker": "21001", "file": file })).await.unwrap();
    }
    let got = vendor.call("get_worker_photo", json!({ "worker": "21001" })).await.unwrap();
    assert_eq!((&got["name"], &got["type"], &got["size"]), (&json!("me & you.png"), &json!("image/png"), &json!(5_004)));
    assert_eq!(shelf.contents().last().unwrap(), &photo);
    let error = vendor.call("get_worker_photo", json!({ "worker": "1" })).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "INVALID_ID"));
}

#[tokio::test]
async fn documents_come_as_files() {
    let vendor = Vendor::start("workday", connection).await;
    let get = |worker: &'static str| vendor.call("get_worker_documents", json!({ "worker": worker }));
    assert_eq!(get("21001").await.unwrap_err().code, "INPUT_INVALID", "a process without files says so");
    let shelf = Arc::<shelf::Shelf>::default();
    vendor.http.keep_files_with(Arc::new(shelf::Door(Arc::clone(&shelf))));
    assert_eq!(get("21001").await.unwrap(), json!({ "documents": [] }));
    for (name, text, category) in
        [("me & you.pdf", "%PDF-1.7", "CONTRACT"), ("../b.txt", "second", "CERTIFICATE"), ("empty", "", "CONTRACT")]
    {
        let paper = json!({ "employee": "21001", "name": name, "text": text, "category": category, "comment": "Signed" });
        happen(&vendor, "file_document", paper);
        // One document alone is a list, too.
        let found = get("21001").await.unwrap();
        assert_eq!(found["documents"].as_array().unwrap().last().unwrap()["name"], name);
    }
    let found = get("21001").await.unwrap();
    let rows = found["documents"].as_array().unwrap();
    let told: Vec<_> = rows.iter().map(|row| (&row["category"], &row["file"]["name"], &row["file"]["size"])).collect();
    let (contract, none) = (json!("CONTRACT"), Json::Null);
    assert_eq!(
        told,
        [
            (&contract, &json!("me & you.pdf"), &json!(8)),
            (&json!("CERTIFICATE"), &json!("b.txt"), &json!(6)),
            (&contract, &none, &none),
        ]
    );
    assert_eq!((&rows[0]["category_name"], &rows[0]["comment"]), (&json!("Contracts"), &json!("Signed")));
    assert_eq!(shelf.contents()[shelf.contents().len() - 2..], [b"%PDF-1.7".to_vec(), b"second".to_vec()]);
    assert_eq!(get("21002").await.unwrap(), json!({ "documents": [] }));
    assert_eq!(get("nobody").await.unwrap_err().code, "INVALID_ID");
    assert_eq!(get("49001").await.unwrap_err().code, "WORKER_NOT_YET");
}

#[tokio::test]
async fn reference_ids_are_listed_and_integrations_run_and_are_waited_for() {
    let vendor = workday().await;
    let rows = vendor.call("list_references", json!({ "type": "Location_ID" })).await.unwrap()["rows"].clone();
    assert!(rows.as_array().unwrap().iter().any(|row| row["id"] == "BER" && row["wid"].is_string()), "{rows}");
    assert!(vendor.call("list_references", json!({ "type": "Nothing_ID" })).await.is_err());

    set(&vendor, json!({ "integration_s": 3_600 }));
    let parameters =
        json!({ "Service_Component_Data": { "Field_Override_Data": { "Field_Name": "Day", "Value": "2026-11-01" } } });
    let input = json!({ "integration": "INT001_Journal_Load", "parameters": parameters });
    let run = vendor.call("launch_integration", input).await.unwrap();
    assert_eq!((&run["completed"], &run["status"]), (&json!(false), &json!("Processing")), "{run}");
    let look = || vendor.call("get_integration_event", json!({ "event": run["event"] }));
    assert_eq!(look().await.unwrap()["completed"], false);
    vendor.sandbox.world().clock().advance(std::time::Duration::from_secs(3_600));
    let over = look().await.unwrap();
    assert_eq!((&over["completed"], &over["message"]), (&json!(true), &json!("Integration Completed.")), "{over}");
    let unknown = vendor.call("launch_integration", json!({ "integration": "INT999" })).await.unwrap_err();
    assert_eq!(unknown.code, "INVALID_ID");
}
