//! Workday.

use sandbox::Sandbox;
use serde_json::{Value as Json, json};

use crate::world::World;

/// Ways of actions that promise less, or that make more calls.
pub(crate) const MORE: [&str; 9] = [
    "set_account#create",
    "change_business_title#once",
    "change_job#once",
    "update_work_contact#once",
    "hire_employee#once",
    "terminate_employee#once",
    "call_operation#once",
    "change_legal_name#once",
    "run_wql#pages",
];

pub(crate) fn connection(sandbox: &Sandbox) -> (Json, Json) {
    let system = sandbox.vendor("workday").unwrap();
    system.configure(&json!({ "calls_per_second": 0, "approvals": false })).unwrap();
    let told = system.credentials();
    let config = json!({ "rest_endpoint": told["rest_endpoint"], "token_endpoint": told["token_endpoint"] });
    let names = ["client_id", "client_secret", "refresh_token", "username", "password"];
    (config, names.iter().map(|name| ((*name).to_owned(), told[*name].clone())).collect())
}

/// A day nobody is off yet.
const DAY: &str = "2027-07-01";

/// A worker nobody has touched.
pub(crate) fn worker(world: &World) -> String {
    let hired = world.vendor.sandbox.vendor("workday").unwrap().happen("hire_worker", &json!({})).unwrap();
    hired["worker"]["number"].as_str().unwrap().to_owned()
}

async fn first(world: &World, action: &str, input: Json) -> Json {
    world.call(action, input).await["rows"][0].clone()
}

async fn id(world: &World, action: &str, input: Json) -> Json {
    first(world, action, input).await["id"].clone()
}

/// Days off that wait for somebody, asked for by a worker of its own: the worker, and the step.
pub(crate) async fn waiting(world: &World) -> (String, Json) {
    let worker = worker(world);
    world.configure(json!({ "approvals": true }));
    world.call("request_time_off", days_off(world, &worker, DAY).await).await;
    world.configure(json!({ "approvals": false }));
    let step = first(world, "list_steps", json!({ "worker": worker })).await;
    (worker, step)
}

pub(crate) async fn days_off(world: &World, worker: &str, date: &str) -> Json {
    let kind = id(world, "list_time_off_types", json!({ "worker": worker })).await;
    json!({ "worker": worker, "days": [{ "date": date, "type": kind, "quantity": 1 }] })
}

async fn report(world: &World, submit: bool) -> Json {
    let item = id(world, "list_expense_items", json!({ "search": "taxi" })).await;
    let line = json!({ "date": "2026-11-01", "item": item, "amount": 12.5, "currency": "USD", "memo": "Airport" });
    json!({ "worker": "21001", "memo": "Trip", "lines": [line.clone(), line], "submit": submit })
}

fn change(row: &str, world: &World) -> Json {
    let worker = worker(world);
    let mut input = match row.split('#').next().unwrap() {
        "change_business_title" => json!({ "worker": worker, "title": world.fresh("Chief"), "auto_complete": true }),
        "change_job" => {
            json!({ "worker": worker, "reason": "Promotion_Promotion_Promotion", "title": "Promoted", "location": "BER" })
        }
        "update_work_contact" => json!({ "worker": worker, "email": format!("{}@northwind.example", world.fresh("w")) }),
        "update_home_contact" => {
            json!({ "worker": worker, "email": format!("{}@home.example", world.fresh("h")), "phone": "+491701234567" })
        }
        "change_legal_name" => json!({ "worker": worker, "first_name": "Zoë", "last_name": world.fresh("O'Brien & Co") }),
        "change_personal_information" => json!({ "worker": worker, "birth_city": world.fresh("Köln & "), "gender": "Female" }),
        "set_other_id" => json!({ "worker": worker, "id_type": "CRM_ID", "id": world.fresh("003A") }),
        _ => {
            json!({ "worker": worker, "date": "2199-01-01", "reason": "Terminate_Employee_Voluntary_Retirement" })
        }
    };
    if row.ends_with("#once") {
        input["find_earlier"] = json!(false);
    }
    input
}

pub(crate) async fn input(world: &World, row: &str) -> Json {
    match row {
        "get_worker" => json!({ "worker": "21002" }),
        "get_worker_photo" => {
            world.call("put_worker_photo", json!({ "worker": "21002", "file": world.file().await })).await;
            json!({ "worker": "21002" })
        }
        "get_worker_documents" => {
            let worker = worker(world);
            let paper = json!({ "employee": worker, "name": "contract.pdf", "text": "%PDF-1.7" });
            world.vendor.sandbox.vendor("workday").unwrap().happen("file_document", &paper).unwrap();
            json!({ "worker": worker })
        }
        "put_worker_photo" => json!({ "worker": worker(world), "file": world.file().await }),
        "list_references" => json!({ "type": "Location_ID" }),
        "launch_integration" => json!({ "integration": "INT001_Journal_Load" }),
        "get_integration_event" => {
            let event = world.call("launch_integration", json!({ "integration": "INT002_Badge_Export" })).await["event"].clone();
            json!({ "event": event, "wait_s": 30 })
        }
        "get_worker_profile" => json!({ "worker": "21002" }),
        "search_workers" => json!({ "search": "Logan" }),
        "list_workers" => json!({ "organizations": ["SUP_ENG"], "include_subordinate": false, "groups": ["employment"] }),
        "list_worker_related" => json!({ "worker": "21001", "list": "organizations" }),
        "change_business_title"
        | "change_business_title#once"
        | "change_job"
        | "change_job#once"
        | "update_work_contact"
        | "update_work_contact#once"
        | "update_home_contact"
        | "change_legal_name"
        | "change_legal_name#once"
        | "change_personal_information"
        | "set_other_id"
        | "terminate_employee"
        | "terminate_employee#once" => change(row, world),
        "hire_employee" => {
            json!({ "first_name": "Nia", "last_name": "Okafor", "date": "2026-01-05", "organization": "SUP_ENG", "employee_id": (88_001 + world.next()).to_string(), "title": "Welder", "location": "BER", "auto_complete": true })
        }
        "hire_employee#once" => {
            json!({ "first_name": "Nia", "last_name": "Okafor", "date": "2026-01-05", "organization": "SUP_ENG", "title": "Welder", "location": "BER", "auto_complete": true })
        }
        "set_account" => json!({ "worker": "21005", "user_name": world.fresh("zoe") }),
        "set_account#create" => json!({ "worker": worker(world), "user_name": world.fresh("new"), "create": true }),
        "request_time_off" => days_off(world, &worker(world), DAY).await,
        "approve_step" => json!({ "step": waiting(world).await.1["id"], "comment": "Enjoy." }),
        "deny_step" => json!({ "step": waiting(world).await.1["id"], "comment": "No." }),
        "send_back_step" => {
            json!({ "step": waiting(world).await.1["id"], "reason": "When?", "to": "3aa5550b7fe348b98d7b5741afc65534" })
        }
        "get_step" => json!({ "step": waiting(world).await.1["id"] }),
        "get_event" => json!({ "event": waiting(world).await.1["event"]["id"] }),
        "create_expense_report" => report(world, false).await,
        "submit_expense_report" => {
            json!({ "report": world.call("create_expense_report", report(world, false).await).await["report"] })
        }
        "create_supplier_invoice_request" => {
            let company = id(world, "list_organizations", json!({ "type": "Organization_Type_ID=Company" })).await;
            let supplier = first(world, "list_supplier_invoice_requests", json!({})).await["supplier"]["id"].clone();
            let lines = json!([{ "description": "Rope", "amount": 10 }]);
            json!({ "company": company, "supplier": supplier, "currency": "USD", "number": world.fresh("R"), "invoice_date": "2026-11-01", "lines": lines })
        }
        "request_one_time_payment" => {
            json!({ "worker": "21001", "plan": "One-Time_Payment_Plan_ID=SPOT_BONUS", "amount": 5, "currency": "USD", "date": "2026-11-01" })
        }
        "list_organization_workers" | "get_organization" => {
            json!({ "organization": id(world, "list_supervisory_organizations", json!({})).await })
        }
        "list_time_off" => json!({ "worker": "21001", "from": "2026-01-01", "to": "2027-01-01" }),
        "list_time_off_types" | "list_leaves_of_absence" => json!({ "worker": "21001" }),
        "get_time_off_balances" => json!({ "worker": "21001", "date": "2026-06-01" }),
        "list_events" => json!({ "worker": "21001", "initiated_from": "2000-01-01" }),
        "list_steps" => json!({ "worker": "21001" }),
        "list_customer_invoices" => json!({ "payment_status": "Unpaid" }),
        "list_journals" => json!({ "from": "2020-01-01" }),
        "list_journal_lines" | "get_journal" => {
            json!({ "journal": id(world, "list_journals", json!({ "from": "2020-01-01" })).await })
        }
        "get_expense_report" => json!({ "report": id(world, "list_expense_reports", json!({})).await }),
        "get_customer_invoice" => json!({ "invoice": id(world, "list_customer_invoices", json!({})).await }),
        "get_supplier_invoice_request" => {
            json!({ "request": id(world, "list_supplier_invoice_requests", json!({})).await })
        }
        "check_connection"
        | "get_server_time"
        | "list_organizations"
        | "list_supervisory_organizations"
        | "list_positions"
        | "list_job_change_reasons"
        | "list_business_processes"
        | "list_expense_reports"
        | "list_expense_entries"
        | "list_expense_items"
        | "list_supplier_invoice_requests"
        | "list_currencies" => json!({}),
        "run_report" | "download_report" => json!({ "report": "isu/Organizations" }),
        "run_wql" => json!({ "query": "SELECT organization, name FROM allOrganizations" }),
        "run_wql#pages" => {
            let rows = world.counts()["organizations"];
            json!({ "query": "SELECT organization, name FROM allOrganizations", "page_size": rows / 3 + 1 })
        }
        "call_operation" => {
            let body = json!({ "Response_Filter": { "Count": 1 } });
            json!({ "service": "Human_Resources", "operation": "Get_Organizations", "body": body })
        }
        "call_operation#once" => {
            let xml = r#"<wd:Server_Timestamp_Get xmlns:wd="urn:com.workday/bsvc"/>"#;
            json!({ "service": "Human_Resources", "xml": xml })
        }
        "call_rest" => json!({ "service": "staffing", "path": "jobProfiles", "query": { "limit": "3" } }),
        other => panic!("{other} of Workday has no row"),
    }
}
