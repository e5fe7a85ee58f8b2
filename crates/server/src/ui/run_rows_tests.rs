//! Hand-made journals to rows.

use std::sync::Arc;

use serde_json::json;
use store::{Ending, ErrorRecord, RecipeId, RunId, RunRow, Via, WaitingFor};

use super::{super::run_story, *};
use crate::{detail, pages::WaitFor};

const S: i64 = 1_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * S)
}

fn outline() -> Vec<OutlineStep> {
    let step = |id: &str, title: &str, uses: &str, depth, within: Option<&str>| OutlineStep {
        id: id.to_owned(),
        title: title.to_owned(),
        uses: uses.to_owned(),
        depth,
        within: within.map(str::to_owned),
        undo: (id == "customer" || id == "book").then(|| "desk.request".to_owned()),
    };
    vec![
        step("customer", "Find the customer", "desk.request", 0, None),
        step("size", "Large or small", "choose", 0, None),
        step("ticket", "Show it to finance", "desk.request", 1, None),
        step("lines", "Book every line", "each", 0, None),
        step("book", "Book the line", "desk.request", 1, Some("lines")),
        step("result", "Tell what was booked", "return", 0, None),
    ]
}

fn connections() -> Vec<(String, String)> {
    vec![("desk".to_owned(), "http".to_owned())]
}

fn run(status: RunStatus, entries: Vec<Entry>) -> RunDetail {
    let ended_at = status.is_final().then(|| entries.last().unwrap().at());
    let row = RunRow {
        id: RunId::new(at(0), [7; 10]),
        recipe: RecipeId::new(at(0), [1; 10]),
        slug: "invoices".to_owned(),
        title: "Invoices".to_owned(),
        version: 3,
        status,
        waiting_for: (status == RunStatus::Waiting).then_some(WaitingFor::Retry),
        due_at: None,
        label: None,
        via: Via::Webhook,
        replay_of: None,
        parent: None,
        accepted_at: at(0),
        ended_at,
        attempts: 1,
        error: None,
        dead_letter: None,
    };
    let accepted = Entry::Accepted {
        at: at(0),
        via: "webhook".into(),
        event: json!({"id": "evt_1"}).into(),
        params: Arc::default(),
        state: Arc::default(),
        trace: None,
    };
    detail::tell(row, std::iter::once(accepted).chain(entries).collect())
}

fn started(path: &str, n: u32, seconds: i64, input: Json) -> Entry {
    Entry::Started { p: path.into(), n, at: at(seconds), input: (n == 1).then(|| Arc::new(input)) }
}

fn succeeded(path: &str, n: u32, seconds: i64, out: Json) -> Entry {
    Entry::Succeeded { p: path.into(), n, at: at(seconds), out: Arc::new(out) }
}

fn computed(path: &str, seconds: i64, out: Json) -> Entry {
    Entry::Computed { p: path.into(), at: at(seconds), out: Arc::new(out) }
}

fn error(class: &str, code: &str) -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: class.to_owned(),
        code: code.to_owned(),
        message: "GET https://desk.example/customers/c1 answered.".to_owned(),
        next: Some("Look at it.".to_owned()),
        path: None,
        request: Some(
            json!({"method": "GET", "url": "https://desk.example/customers/c1", "headers": {"idempotency-key": "k", "accept": "*/*"}}),
        ),
        response: Some(json!({"status": 503, "headers": {"x-request-id": "r1"}, "body": null})),
        causes: Vec::new(),
    })
}

fn failed(path: &str, n: u32, seconds: i64, err: Box<ErrorRecord>, retry: Option<i64>) -> Entry {
    Entry::Failed { p: path.into(), n, at: at(seconds), err, retry: retry.map(at), doubt: false }
}

fn ended(seconds: i64, how: Ending, error: Option<(&str, Box<ErrorRecord>)>) -> Entry {
    let err = error.map(|(path, error)| Box::new(ErrorRecord { path: Some(path.to_owned()), ..*error }));
    Entry::Ended { at: at(seconds), how, out: Some(json!({"booked": 3}).into()), err, by: None }
}

fn rows_of(detail: &RunDetail) -> Vec<StepRow> {
    let outline = outline();
    let mark = Mark::word("webhook");
    let connections = connections();
    let plan = Plan {
        outline: &outline,
        connections: &connections,
        connectors: &[],
        tries: &|id| match id {
            "customer" | "ticket" | "book" => Some(3),
            "customer.undo" => Some(2),
            _ => None,
        },
        trigger: ("Webhook received", &mark),
    };
    rows(detail, plan)
}

fn row<'a>(rows: &'a [StepRow], path: &str) -> &'a StepRow {
    rows.iter().find(|row| row.path == path).unwrap_or_else(|| panic!("no row {path}"))
}

/// Everything goes well: branch 1, three lines.
fn whole() -> RunDetail {
    let mut entries = vec![
        started("customer", 1, 1, json!({"path": "/customers/c1"})),
        succeeded("customer", 1, 2, json!({"status": 200, "headers": {"x-request-id": "r9"}, "body": {"name": "Acme"}})),
        computed("size", 2, json!({"branch": 1})),
        started("ticket", 1, 2, json!({"method": "POST", "path": "/tickets", "idempotent": true})),
        succeeded("ticket", 1, 3, json!({"status": 201, "headers": {}, "body": {"id": "T-1"}})),
    ];
    for pass in 0..3_i64 {
        let path = format!("lines[{pass}].book");
        let name = ["Robot arm", "Gripper", "Spare cable"][usize::try_from(pass).unwrap()];
        entries.push(started(&path, 1, 3 + pass, json!({"method": "PUT", "json": {"text": name}})));
        entries.push(succeeded(&path, 1, 4 + pass, json!({"status": 200})));
    }
    entries.push(computed("lines", 6, json!({"results": ["a", "b", "c"], "total": 3, "failed": 0})));
    entries.push(computed("result", 6, Json::Null));
    entries.push(ended(6, Ending::Succeeded, None));
    run(RunStatus::Succeeded, entries)
}

#[test]
fn a_run_reads_as_its_recipe() {
    let detail = whole();
    let rows = rows_of(&detail);
    let told: Vec<_> = rows.iter().map(|row| (row.path.as_str(), row.title.as_str(), row.depth, row.number)).collect();
    assert_eq!(
        told,
        [
            ("trigger", "Webhook received", 0, Some(1)),
            ("customer", "Find the customer", 0, Some(2)),
            ("size", "Large or small", 0, Some(3)),
            ("ticket", "Show it to finance", 1, Some(4)),
            ("lines", "Book every line", 0, Some(5)),
            ("lines[0]", "Robot arm", 1, None),
            ("lines[0].book", "Book the line", 2, Some(6)),
            ("lines[1]", "Gripper", 1, None),
            ("lines[1].book", "Book the line", 2, Some(6)),
            ("lines[2]", "Spare cable", 1, None),
            ("lines[2].book", "Book the line", 2, Some(6)),
            ("result", "Tell what was booked", 0, Some(7)),
        ]
    );
    assert!(rows.iter().all(|row| row.status == StepStatus::Succeeded));
    assert_eq!(row(&rows, "size").subtitle, "Branch 1");
    assert_eq!(row(&rows, "lines").subtitle, "3 items");
    assert_eq!((row(&rows, "lines").started_us, row(&rows, "lines").ended_us), (Some(3 * S), Some(6 * S)));
    assert_eq!(row(&rows, "lines[1]").kind, StepKind::Pass);
    assert_eq!(row(&rows, "lines[1]").subtitle, "Item 2");
    assert_eq!(row(&rows, "customer").subtitle, "HTTP, desk");
}

#[test]
fn data_is_found_for_every_kind_of_row() {
    let (detail, outline) = (whole(), outline());
    let data = |path: &str, input: bool| data_of(&detail, &outline, path, input).cloned();
    assert_eq!(data("trigger", false), Some(json!({"id": "evt_1"})));
    assert_eq!(data("trigger", true), None);
    assert_eq!(data("customer", true), Some(json!({"path": "/customers/c1"})));
    assert_eq!(data("lines[1].book", true), Some(json!({"method": "PUT", "json": {"text": "Gripper"}})));
    assert_eq!(data("lines[1]", false), Some(json!("b")));
    assert_eq!(data("result", false), Some(json!({"booked": 3})), "a return gives its value to the run");
    assert_eq!(data("nowhere", false), None);
}

#[test]
fn a_call_that_worked_shows_its_request() {
    let (detail, outline) = (whole(), outline());
    let mut rows = rows_of(&detail);
    for row in &mut rows {
        run_story::complete(row, &detail, &outline);
    }
    let request = row(&rows, "ticket").request.clone().unwrap();
    assert_eq!(
        (request.method.as_str(), request.url.as_str(), request.answer.as_deref()),
        ("POST", "/tickets", Some("201 Created"))
    );
    assert!(request.idempotency_key.is_some());
    assert_eq!(row(&rows, "customer").request.clone().unwrap().request_id.as_deref(), Some("r9"));
    assert_eq!(row(&rows, "size").request, None);
}

#[test]
fn a_run_that_failed_after_its_tries_says_so() {
    let problem = || error("server", "HTTP_503");
    let detail = run(
        RunStatus::Failed,
        vec![
            started("customer", 1, 1, json!({"path": "/c"})),
            failed("customer", 1, 2, problem(), Some(3)),
            started("customer", 2, 3, Json::Null),
            failed("customer", 2, 4, problem(), Some(6)),
            started("customer", 3, 6, Json::Null),
            failed("customer", 3, 7, problem(), None),
            ended(7, Ending::Failed, Some(("customer", problem()))),
        ],
    );
    let rows = rows_of(&detail);
    let customer = row(&rows, "customer");
    assert_eq!((customer.status, customer.attempts.len(), customer.tries_max), (StepStatus::Failed, 3, Some(3)));
    assert_eq!(customer.attempts[1].error.as_deref(), Some("service unavailable (503)"));
    assert_eq!(customer.subtitle, "Service unavailable (503)");
    assert_eq!(row(&rows, "lines").status, StepStatus::NotReached);
    assert_eq!(row(&rows, "lines[0].book").status, StepStatus::NotReached, "steps of a loop that was not come to are listed");
    let card = run_story::card(&detail, &rows).unwrap();
    assert_eq!(card.what, "“desk” failed on its side");
    assert_eq!(card.retried, "Liaison tried 3 times, with pauses between. Those were all the tries the recipe allows.");
    assert_eq!(card.next[0].text, "Look at it.");
    assert_eq!(card.codes, ["HTTP_503", "server"]);
    let mut customer = customer.clone();
    run_story::complete(&mut customer, &detail, &outline());
    let request = customer.request.unwrap();
    assert_eq!((request.answer.as_deref(), request.request_id.as_deref()), (Some("503 Service Unavailable"), Some("r1")));
    assert_eq!((request.idempotency_key.as_deref(), request.headers.len()), (Some("k"), 1));
    assert_eq!(customer.error.unwrap().class, "server");
}

#[test]
fn a_retrying_run_names_the_coming_try() {
    let mut detail = run(
        RunStatus::Waiting,
        vec![started("customer", 1, 1, json!({})), failed("customer", 1, 2, error("timeout", "TIMEOUT"), Some(30))],
    );
    detail.row.due_at = Some(at(30));
    let rows = rows_of(&detail);
    let customer = row(&rows, "customer");
    assert_eq!((customer.status, customer.due_us), (StepStatus::Retrying, Some(30 * S)));
    assert_eq!(run_story::coming(&rows), Some((2, 3)));
    assert_eq!(row(&rows, "result").subtitle, "Not reached yet");
    let log = run_story::log(&detail);
    assert_eq!(log.last().unwrap().what, "Try 1 failed");
    assert!(log.last().unwrap().detail.ends_with("Next try after 28 s"), "{}", log.last().unwrap().detail);
}

#[test]
fn tries_count_on_after_somebody_reopened_the_step() {
    let problem = || error("server", "HTTP_503");
    let detail = run(
        RunStatus::Waiting,
        vec![
            started("customer", 1, 1, json!({})),
            failed("customer", 1, 2, problem(), None),
            ended(2, Ending::Failed, Some(("customer", problem()))),
            Entry::Resumed { at: at(9), by: "Admin".to_owned(), version: None },
            Entry::Reopened { p: "customer".into(), at: at(9), by: "Admin".to_owned() },
            started("customer", 2, 9, Json::Null),
            failed("customer", 2, 10, problem(), Some(12)),
        ],
    );
    assert_eq!(run_story::coming(&rows_of(&detail)), Some((3, 4)));
}

#[test]
fn a_step_that_may_have_happened_is_a_question() {
    let problem = || error("timeout", "TIMEOUT");
    let detail = run(
        RunStatus::Failed,
        vec![
            started("customer", 1, 1, json!({})),
            Entry::Uncertain { p: "customer".into(), n: 1, at: at(31), err: problem() },
            ended(31, Ending::Failed, Some(("customer", problem()))),
        ],
    );
    let rows = rows_of(&detail);
    assert_eq!(row(&rows, "customer").status, StepStatus::Uncertain);
    assert_eq!(row(&rows, "customer").attempts[0].status, BarStatus::Uncertain);
    assert_eq!(run_story::settled(&detail), None);
}

#[test]
fn a_doubt_about_taking_back_has_its_row_and_its_request() {
    let problem = || error("timeout", "TIMEOUT");
    let detail = run(
        RunStatus::Failed,
        vec![
            started("customer", 1, 1, json!({"path": "/c"})),
            succeeded("customer", 1, 2, json!({})),
            started("lines[0].book", 1, 3, json!({})),
            succeeded("lines[0].book", 1, 4, json!({})),
            computed("lines", 4, json!({"total": 1})),
            failed("result", 0, 5, error("recipe", "NO"), None),
            started("lines[0].book.undo", 1, 6, json!({})),
            succeeded("lines[0].book.undo", 1, 7, json!({})),
            started("customer.undo", 1, 8, json!({"method": "POST", "path": "/c/undo", "idempotent": true})),
            Entry::Uncertain { p: "customer.undo".into(), n: 1, at: at(38), err: problem() },
            ended(38, Ending::Failed, Some(("result", error("recipe", "NO")))),
        ],
    );
    let rows = rows_of(&detail);
    let paths: Vec<_> = rows.iter().map(|row| row.path.as_str()).collect();
    assert_eq!(paths[paths.len() - 2..], ["lines[0].book.undo", "customer.undo"], "{paths:?}");
    let undo = row(&rows, "customer.undo");
    assert_eq!(
        (undo.title.as_str(), undo.kind, undo.status),
        ("Take back: Find the customer", StepKind::Handler, StepStatus::Uncertain)
    );
    assert_eq!((undo.number, undo.tries_max, undo.system.as_deref()), (None, Some(2), Some("“desk”")));
    let mut undo = undo.clone();
    run_story::complete(&mut undo, &detail, &outline());
    assert!(undo.input.is_some() && undo.error.is_some());
    assert!(!rows_of(&whole()).iter().any(|row| row.path.ends_with(".undo")), "nothing was taken back");
}

#[test]
fn turns_of_a_repeat_are_shown_like_items() {
    let mut outline = outline();
    outline[3].uses = "repeat".to_owned();
    let detail = run(
        RunStatus::Failed,
        vec![
            started("lines[0].book", 1, 1, json!({})),
            succeeded("lines[0].book", 1, 2, json!({})),
            computed("lines[0]", 2, json!({"done": false})),
            started("lines[1].book", 1, 3, json!({})),
            Entry::Uncertain { p: "lines[1].book".into(), n: 1, at: at(33), err: error("timeout", "TIMEOUT") },
            ended(33, Ending::Failed, Some(("lines[1].book", error("timeout", "TIMEOUT")))),
        ],
    );
    let mark = Mark::word("webhook");
    let connections = connections();
    let trigger = ("Webhook received", &mark);
    let rows = rows(&detail, Plan { outline: &outline, connections: &connections, connectors: &[], tries: &|_| None, trigger });
    assert_eq!(row(&rows, "lines[0]").title, "Turn 1");
    assert_eq!(row(&rows, "lines[1].book").status, StepStatus::Uncertain);
    assert_eq!((row(&rows, "lines").kind, row(&rows, "lines").status), (StepKind::Loop, StepStatus::Uncertain));
}

#[test]
fn a_failing_pass_fails_its_loop() {
    let detail = run(
        RunStatus::Failed,
        vec![
            started("lines[0].book", 1, 1, json!({"json": {"text": "Robot arm"}})),
            succeeded("lines[0].book", 1, 2, json!({})),
            started("lines[1].book", 1, 2, json!({})),
            failed("lines[1].book", 1, 3, error("invalid", "HTTP_422"), None),
            ended(3, Ending::Failed, Some(("lines[1].book", error("invalid", "HTTP_422")))),
        ],
    );
    let rows = rows_of(&detail);
    let statuses: Vec<_> = ["lines", "lines[0]", "lines[1]", "lines[1].book"].map(|path| row(&rows, path).status).to_vec();
    assert_eq!(statuses, [StepStatus::Failed, StepStatus::Succeeded, StepStatus::Failed, StepStatus::Failed]);
    assert_eq!(row(&rows, "lines[1]").title, "Item 2");
    let card = run_story::card(&detail, &rows).unwrap();
    assert_eq!(card.what, "“desk” did not accept what step 6 sent");
    assert_eq!(card.retried, "Sending the same again would give the same answer.");
}

#[test]
fn branches_not_taken_and_skipped_steps_say_why() {
    let detail = run(
        RunStatus::Succeeded,
        vec![
            Entry::Skipped { p: "customer".into(), at: at(1) },
            computed("size", 1, json!({"branch": null})),
            computed("lines", 1, json!({"results": [], "total": 0, "failed": 0})),
            computed("result", 1, Json::Null),
            ended(1, Ending::Succeeded, None),
        ],
    );
    let rows = rows_of(&detail);
    assert_eq!(row(&rows, "customer").subtitle, "Its condition was not met");
    assert_eq!(row(&rows, "size").subtitle, "No branch");
    assert_eq!(row(&rows, "ticket").status, StepStatus::NotReached);
    assert_eq!(row(&rows, "lines").subtitle, "The list was empty");
    assert!(!rows.iter().any(|row| row.path.starts_with("lines[")));
}

#[test]
fn a_running_loop_is_not_over_between_its_passes() {
    let detail =
        run(RunStatus::Running, vec![started("lines[0].book", 1, 1, json!({})), succeeded("lines[0].book", 1, 2, json!({}))]);
    let rows = rows_of(&detail);
    assert_eq!((row(&rows, "lines").status, row(&rows, "lines").ended_us), (StepStatus::Running, None));
    assert_eq!(row(&rows, "lines[0]").status, StepStatus::Succeeded);
}

#[test]
fn a_step_that_waits_for_a_person_is_not_at_work() {
    let waits =
        |what: &'static str| Entry::Waits { p: "result".into(), at: at(2), what: what.into(), until: Some(at(90)), ask: None };
    let detail = run(RunStatus::Waiting, vec![waits("approval")]);
    let asked = row(&rows_of(&detail), "result").clone();
    assert_eq!((asked.status, asked.due_us), (StepStatus::Waiting(WaitFor::Approval), Some(90 * S)));
    assert_eq!(asked.parks, [Park { from_us: 2 * S, to_us: None, reason: WaitFor::Approval }]);
    let answered = Entry::Settled { p: "result".into(), at: at(60), out: Arc::new(json!({})), by: "ann".into() };
    let detail = run(RunStatus::Running, vec![waits("approval"), answered]);
    let asked = row(&rows_of(&detail), "result").clone();
    assert_eq!((asked.status, asked.parks[0].to_us), (StepStatus::Succeeded, Some(60 * S)));
    let limited = row(&rows_of(&run(RunStatus::Running, vec![waits("steps")])), "result").clone();
    assert_eq!((limited.status, limited.parks.len()), (StepStatus::Running, 0), "a limit of steps is no wait");
}

#[test]
fn what_was_taken_back_is_shown_after_the_steps() {
    let undo = vec![
        started("customer", 1, 1, json!({})),
        succeeded("customer", 1, 2, json!({})),
        started("customer.undo", 1, 3, json!({})),
    ];
    let rows = rows_of(&run(RunStatus::Running, undo));
    let last = rows.last().unwrap();
    assert_eq!((last.title.as_str(), last.kind, last.number), ("Take back: Find the customer", StepKind::Handler, None));
    assert_eq!((last.status, last.attempts.len()), (StepStatus::Running, 1));
}

#[test]
fn what_was_under_way_when_the_run_was_cancelled_has_ended() {
    let detail = run(
        RunStatus::Cancelled,
        vec![
            started("customer", 1, 1, json!({})),
            Entry::Ended { at: at(2), how: Ending::Cancelled, out: None, err: None, by: None },
        ],
    );
    let customer = row(&rows_of(&detail), "customer").clone();
    assert_eq!(customer.status, StepStatus::Stopped, "nobody says that it failed");
    assert_eq!(customer.attempts[0].status, BarStatus::Uncertain);
}
