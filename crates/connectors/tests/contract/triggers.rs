//! Every trigger that asks, under every fault: each event starts one run when the fault is over.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use engine::LiveRecipe;
use sandbox::Fault;
use serde_json::{Value as Json, json};
use store::RunFilter;

use crate::{faults, world::World};

/// Time that goes by between two questions.
const BETWEEN: Duration = Duration::from_secs(100);
/// However often it is asked, its events are there by then.
const QUESTIONS_MAX: usize = 60;
/// A question that gets no answer for so long is held back by what the system said of its limits, ...
const HELD_AFTER: Duration = Duration::from_secs(1);
/// ... which ends when so much more time has gone by, again and again.
const HELD_FOR: Duration = Duration::from_secs(3_600);
/// An answer to a question is written down by then.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How a trigger starts runs.
enum Row {
    /// It asks with these settings; each occurrence is one event.
    Each(Json),
    /// It asks with these settings; each question that is answered is an event.
    Clock(Json),
    /// It waits for one thing and tells of it once.
    Once,
    /// It is told: there is no question that could meet a fault.
    Told,
    /// It listens to a stream that stays open, on which faults of single answers mean nothing: `salesforce/events.rs`
    /// breaks that one.
    Streamed,
}

fn row(vendor: &str, trigger: &str) -> Row {
    use Row::{Clock, Each, Once, Streamed, Told};
    match (vendor, trigger) {
        ("netsuite", "new_record") => Each(json!({ "type": "customer", "fields": ["companyname"] })),
        ("netsuite", "changed_record") => Each(json!({ "type": "customer", "fields": ["phone"] })),
        ("netsuite", "deleted_record") => Each(json!({ "type": "customer" })),
        ("netsuite", "query_rows") => Each(json!({ "query": "SELECT id, companyname FROM customer", "cursor_column": "id" })),
        ("netsuite", "saved_search_rows") => {
            Each(json!({ "search": "customsearch_customers", "search_type": "customer", "page_size": 1000 }))
        }
        ("netsuite", "async_finished") => Once,
        ("netsuite", "record_script") => Told,
        ("salesforce", "new_record") => Each(json!({"object": "Lead", "fields": ["LastName"]})),
        ("salesforce", "new_or_updated_record") => Each(json!({"object": "Lead", "lag_s": 0})),
        ("salesforce", "deleted_record") => Each(json!({"object": "Lead"})),
        ("salesforce", "scheduled_soql") => Clock(json!({"soql": "SELECT Id FROM Campaign"})),
        ("salesforce", "platform_event" | "change_event") => Streamed,
        ("salesforce", "outbound_message") => Told,
        ("servicenow", "new_record" | "new_or_updated_record" | "record_event" | "new_comment") => {
            Each(json!({"table": "incident"}))
        }
        ("servicenow", "deleted_record") => Each(json!({"table": "problem"})),
        ("servicenow", "scheduled_query") => Clock(json!({"table": "incident", "filter": "state=1", "every_minutes": 1})),
        ("stripe", "event") => Each(json!({"types": ["customer.created"]})),
        ("stripe", "record_changed") => Each(json!({"record": "customer", "changes": ["created"]})),
        ("stripe", "new_record") => Each(json!({"resource": "customers"})),
        ("stripe", "thin_event") => Each(json!({"types": ["v1.customer.created"]})),
        ("workday", "worker_changed" | "worker_hired" | "worker_terminated" | "job_changed" | "organization_changed") => {
            Each(json!({}))
        }
        ("workday", "change_effective") => Each(json!({ "organizations": ["SUP_ENG"] })),
        ("workday", "event_started" | "event_completed" | "time_off_approved" | "step_awaiting") => Each(json!({})),
        ("workday", "report_scheduled") => Clock(json!({ "report": "isu/Organizations", "batch_size": 1000 })),
        ("workday", "query_scheduled") => Clock(json!({ "query": "SELECT organization, name FROM allOrganizations" })),
        ("workday", "message_received") => Told,
        _ => panic!("{trigger} of {vendor} has no row"),
    }
}

/// Lets happen what a trigger waits for, once.
async fn occur(world: &World, trigger: &str) {
    let happen = |name: &str, with: Json| {
        let system = world.vendor.sandbox.vendor(world.vendor.connector.id).unwrap();
        system.happen(name, &with).unwrap_or_else(|problem| panic!("{name} {with}: {problem}"))
    };
    let customer = || json!({ "companyName": world.fresh("Moss"), "subsidiary": "1" });
    let lead = || json!({"object": "Lead", "fields": {"LastName": world.fresh("L"), "Company": "B"}});
    match (world.vendor.connector.id, trigger) {
        ("netsuite", "changed_record") => {
            let phone = json!({ "phone": world.fresh("+1") });
            happen("record_changed", json!({ "type": "customer", "id": "eid:C-0001", "values": phone }));
        }
        ("netsuite", "deleted_record") => {
            let fields = json!({ "companyName": world.fresh("Made"), "subsidiary": { "id": "1" } });
            let id = world.call("create_record", json!({ "type": "customer", "fields": fields })).await["id"].clone();
            happen("record_deleted", json!({ "type": "customer", "id": id }));
        }
        ("netsuite", _) => drop(happen("record_created", json!({ "type": "customer", "values": customer() }))),
        ("salesforce", "deleted_record") => {
            let id = happen("create", lead())["id"].clone();
            happen("delete", json!({"object": "Lead", "id": id, "for_good": true}));
        }
        ("salesforce", _) => drop(happen("create", lead())),
        ("servicenow", "deleted_record") => {
            let made = happen("create_record", json!({"table": "problem", "values": {"short_description": "x"}}));
            happen("delete_record", json!({"table": "problem", "sys_id": made["sys_id"]}));
        }
        ("servicenow", _) => {
            let values = json!({"short_description": "x", "comments": "c"});
            happen("create_record", json!({"table": "incident", "values": values}));
        }
        ("stripe", _) => drop(happen("new_customer", json!({"name": world.fresh("Acme"), "email": "a@acme.example"}))),
        ("workday", "job_changed") => {
            happen("change_worker", json!({ "employee": "21010", "title": world.fresh("Principal") }));
        }
        ("workday", "change_effective") => {
            let title = world.fresh("Principal");
            happen("change_worker", json!({ "employee": "21010", "organization": "ENG", "title": title, "days": 1 }));
            world.vendor.sandbox.world().clock().advance(Duration::from_secs(24 * 3_600));
        }
        ("workday", "worker_terminated") => {
            happen("terminate_worker", json!({ "employee": crate::workday::worker(world), "days": 0 }));
        }
        ("workday", "organization_changed") => {
            happen("rename_organization", json!({ "organization": "ENG", "name": world.fresh("Product") }));
        }
        ("workday", "step_awaiting") => drop(crate::workday::waiting(world).await),
        ("workday", "event_started" | "event_completed" | "time_off_approved") => {
            let day = world.next();
            let date = format!("2027-{:02}-{:02}", day / 28 % 12 + 1, day % 28 + 1);
            world.call("request_time_off", crate::workday::days_off(world, "21010", &date).await).await;
        }
        _ => drop(happen("hire_worker", json!({}))),
    }
}

/// A trigger under every fault; gives what is wrong.
pub(crate) async fn all_faults(world: &World, trigger: &str) -> Vec<String> {
    let vendor = world.vendor.connector.id;
    let (with, each) = match row(vendor, trigger) {
        Row::Each(with) => (with, true),
        Row::Clock(with) => (with, false),
        Row::Once => return once(world, trigger).await,
        Row::Told | Row::Streamed => return Vec::new(),
    };
    let source = format!("{{ from: {}.{trigger}, with: {with} }}", world.vendor.connection.name);
    let recipe = world.save(&source, "- id: end\n    return: {}\n").await;
    let mut wrong = Vec::new();
    // Where it begins, and what was there before.
    ask(world, &recipe).await;
    ask(world, &recipe).await;
    for kind in faults::kinds() {
        let before = runs(world, &recipe).await;
        occur(world, trigger).await;
        let faults = world.vendor.sandbox.world().faults();
        faults.add(Fault::new(vendor, kind.clone()).times(1)).unwrap();
        let mut questions = 0;
        loop {
            ask(world, &recipe).await;
            questions += 1;
            let met = faults.all().iter().any(|rule| rule.met == 1);
            if (met && runs(world, &recipe).await > before) || questions == QUESTIONS_MAX {
                break;
            }
        }
        faults.clear();
        // The last stretch is read again: nothing may come twice. A connection that was refused is left alone for a while.
        let mut poll;
        loop {
            ask(world, &recipe).await;
            questions += 1;
            poll = world.engine.store().poll(recipe.row.id).await.unwrap().unwrap();
            if poll.failures == 0 || questions > QUESTIONS_MAX {
                break;
            }
        }
        let after = runs(world, &recipe).await;
        let right = if each { after == before + 1 } else { after > before };
        if !right || poll.failures != 0 || poll.error.is_some() {
            wrong.push(format!(
                "{trigger} under {kind:?}: {} runs after {questions} questions, {:?}",
                after - before,
                poll.error
            ));
        }
    }
    world.engine.store().activate(recipe.row.id, None, &json!({}), world.engine.now()).await.unwrap();
    world.engine.refresh().await.unwrap();
    wrong
}

/// A trigger that waits for one call, which is another under every fault.
async fn once(world: &World, trigger: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for kind in faults::kinds() {
        let call = json!({ "path": "customer/eid:C-0001", "method": "PATCH", "body": { "phone": "+1" } });
        let job = world.call("submit_async", call).await["job"].clone();
        let faults = world.vendor.sandbox.world().faults();
        faults.add(Fault::new(world.vendor.connector.id, kind.clone()).times(1)).unwrap();
        let source = format!("{{ from: {}.{trigger}, with: {{ job: {job} }} }}", world.vendor.connection.name);
        let recipe = world.save(&source, "- id: end\n    return: {}\n").await;
        let mut questions = 0;
        while questions < QUESTIONS_MAX && (runs(world, &recipe).await == 0 || faults.all().iter().all(|rule| rule.met == 0)) {
            ask(world, &recipe).await;
            questions += 1;
        }
        faults.clear();
        // It is over: more questions change nothing.
        ask(world, &recipe).await;
        let poll = world.engine.store().poll(recipe.row.id).await.unwrap().unwrap();
        let count = runs(world, &recipe).await;
        if count != 1 || poll.failures != 0 {
            wrong.push(format!("{trigger} under {kind:?}: {count} runs after {questions} questions, {:?}", poll.error));
        }
        world.engine.store().activate(recipe.row.id, None, &json!({}), world.engine.now()).await.unwrap();
        world.engine.refresh().await.unwrap();
    }
    wrong
}

async fn runs(world: &World, recipe: &Arc<LiveRecipe>) -> usize {
    let filter = RunFilter { recipe: Some(recipe.row.id), limit: 10_000, ..RunFilter::default() };
    world.engine.store().runs(&filter).await.unwrap().len()
}

/// Lets time go by until a question was asked and what came of it is kept.
pub(crate) async fn ask(world: &World, recipe: &Arc<LiveRecipe>) {
    let place = async || {
        let poll = world.engine.store().poll(recipe.row.id).await.unwrap();
        poll.map(|poll| (poll.asked_at, poll.failures, poll.due_at > world.engine.now()))
    };
    let before = place().await.map(|(asked, failures, _)| (asked, failures));
    world.vendor.sandbox.world().clock().advance(BETWEEN);
    let answered = async {
        let mut began = Instant::now();
        loop {
            if began.elapsed() > HELD_AFTER {
                world.vendor.sandbox.world().clock().advance(HELD_FOR);
                began = Instant::now();
            }
            match place().await {
                Some((asked, failures, true)) if Some((asked, failures)) != before => return,
                _ => {}
            }
            drop(world.engine.hasten_poll(recipe).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(ANSWER_MAX, answered).await.unwrap_or_else(|_| panic!("{} is never asked", recipe.row.slug));
}
