//! The run page: one made-up run in each state a run can be in.

use super::*;
use crate::pages::Behind;

/// A step that ran from `from` to `to` in one try, relative to the run's start.
fn step(number: u32, path: &str, title: &str, mark: Mark, subtitle: &str, start_us: i64, (from, to): (i64, i64)) -> StepRow {
    let own = matches!(mark, Mark::Own { .. });
    StepRow {
        number: Some(number),
        subtitle: subtitle.to_owned(),
        started_us: Some(start_us + from),
        ended_us: Some(start_us + to),
        attempts: if own { Vec::new() } else { vec![bar(start_us, from, Some(to), BarStatus::Succeeded, None)] },
        input: Some(json!({"id": "10482", "note": "input of the step"}).into()),
        output: Some(json!({"id": "001A", "Name": "Acme Robotics"}).into()),
        ..StepRow::new(path, title, mark, StepStatus::Succeeded)
    }
}

fn bar(start_us: i64, from: i64, to: Option<i64>, status: BarStatus, error: Option<&str>) -> Bar {
    Bar { from_us: start_us + from, to_us: to.map(|to| start_us + to), status, error: error.map(str::to_owned) }
}

fn not_reached(number: u32, path: &str, title: &str, mark: Mark) -> StepRow {
    StepRow {
        number: Some(number),
        subtitle: "Not reached".to_owned(),
        ..StepRow::new(path, title, mark, StepStatus::NotReached)
    }
}

fn trigger(start_us: i64) -> StepRow {
    StepRow {
        kind: StepKind::Trigger,
        attempts: Vec::new(),
        input: None,
        output: Some(json!({"id": "006Qw00000A1xTz", "name": "Acme Robotics: 120 seats", "amount": 48_000, "currency": "EUR", "note": "<script>alert('x')</script>", "payment_term": "Net 45"}).into()),
        ..step(1, "trigger", "Opportunity closed won", app("salesforce"), "Trigger, Salesforce", start_us, (0, 20 * MS))
    }
}

fn head(status: RunStatus, start_us: i64, ended_us: Option<i64>) -> RunHead {
    RunHead {
        id: "run_01jd3k7q9v".to_owned(),
        status,
        recipe: "order-to-cash".to_owned(),
        recipe_title: "Order to cash".to_owned(),
        version: 14,
        newer_version: None,
        started_us: start_us,
        ended_us,
        label: Some("006Qw00000A1xTz".to_owned()),
        started_by: "Salesforce, “Acme Robotics: 120 seats”".to_owned(),
        waiting: None,
        error: None,
        links: Vec::new(),
        settled: None,
        doubts: Vec::new(),
        data_gone: None,
        left_out: None,
        may_operate: true,
    }
}

/// Steps 1 to 6 of the failed run of the prototype: an approval of 18 minutes, a step that took three tries.
fn first_six(start: i64) -> Vec<StepRow> {
    let wait = 18 * MIN + 32 * S;
    let asked = 440 * MS;
    vec![
        trigger(start),
        step(2, "account", "Get account", app("salesforce"), "Salesforce", start, (20 * MS, 430 * MS)),
        step(3, "big", "If amount is over 10,000", Mark::word("choose"), "Yes: 48,000 EUR", start, (430 * MS, 431 * MS)),
        StepRow {
            depth: 1,
            parks: vec![Park { from_us: start + asked, to_us: Some(start + asked + wait), reason: WaitFor::Approval }],
            ..step(
                4,
                "big.ask",
                "Ask Finance to approve",
                Mark::word("approval"),
                "Approved by Mara Lind",
                start,
                (asked, asked + wait),
            )
        },
        StepRow {
            attempts: vec![
                bar(start, asked + wait, Some(asked + wait + 600 * MS), BarStatus::Failed, Some("too many requests (429)")),
                bar(
                    start,
                    asked + wait + 2_600 * MS,
                    Some(asked + wait + 3_500 * MS),
                    BarStatus::Failed,
                    Some("service unavailable (503)"),
                ),
                bar(start, asked + wait + 7_500 * MS, Some(asked + wait + 8_300 * MS), BarStatus::Succeeded, None),
            ],
            tries_max: Some(6),
            ..step(
                5,
                "customer",
                "Find or create customer",
                app("netsuite"),
                "Worked on the 3rd try",
                start,
                (asked + wait, asked + wait + 8_300 * MS),
            )
        },
        step(
            6,
            "term",
            "Look up payment term",
            Mark::own("Lookup table", "table"),
            "No match, value passed on",
            start,
            (asked + wait + 8_310 * MS, asked + wait + 8_312 * MS),
        ),
    ]
}

fn order_input() -> Payload {
    let items = r#"[{"item":"SEAT-ANNUAL","quantity":120,"rate":348.00},{"item":"SETUP","quantity":1,"rate":1200.50},{"item":"TRAINING","quantity":2,"rate":900}]"#;
    Payload::Json(format!(
        r#"{{"entity":{{"id":"10482"}},"tranDate":"2026-11-19","subsidiary":{{"id":"3"}},"currency":"EUR","terms":"Net 45","memo":"Acme Robotics: 120 seats, owner R. Osei","items":{items},"apiKey":"•••","externalId":"liaison-006Qw00000A1xTz"}}"#
    ))
}

fn failed_step(start: i64, from: i64) -> StepRow {
    StepRow {
        status: StepStatus::Failed,
        attempts: vec![bar(start, from, Some(from + 920 * MS), BarStatus::Failed, Some("data not accepted (400)"))],
        input: Some(order_input()),
        output: None,
        error: Some(StepError {
            message: "NetSuite did not accept the payment term.".to_owned(),
            class: "invalid".to_owned(),
            code: Some("INVALID_KEY_OR_REF".to_owned()),
            said: Some("Invalid terms reference key Net 45.".to_owned()),
            field: Some("terms".to_owned()),
            field_problem: Some("Not in NetSuite’s list".to_owned()),
        }),
        request: Some(request()),
        ..step(7, "order", "Create sales order", app("netsuite"), "Not accepted: payment term", start, (from, from + 920 * MS))
    }
}

fn request() -> Request {
    Request {
        method: "POST".to_owned(),
        url: "https://4471120.suitetalk.api.netsuite.com/services/rest/record/v1/salesOrder".to_owned(),
        answer: Some("400 Bad Request".to_owned()),
        idempotency_key: Some("01jd3k7q9v-order".to_owned()),
        request_id: Some("b5f0-77".to_owned()),
        headers: vec![("Authorization".to_owned(), "•••".to_owned())],
        sent: None,
        received: None,
    }
}

fn card() -> ErrorCard {
    ErrorCard {
        what: "NetSuite did not accept the sales order".to_owned(),
        why: "Step 7 sent the payment term “Net 45”. NetSuite only accepts terms from its own list, and your lookup table Payment terms has no row for “Net 45”, so step 6 passed the value on unchanged.".to_owned(),
        said: None,
        retried: "NetSuite said the data is wrong. Sending it again would give the same answer.".to_owned(),
        next: vec![NextAction {
            text: "Add “Net 45” to Payment terms and choose its NetSuite term.".to_owned(),
            link: Some(("Open Payment terms".to_owned(), "/tables/payment-terms".to_owned())),
        }],
        codes: vec!["INVALID_KEY_OR_REF".to_owned(), "HTTP 400".to_owned(), "invalid".to_owned()],
        others: Some((17, "/runs?status=failed&q=Net+45".to_owned())),
    }
}

/// The failed run of the prototype, as a URL asks for it.
pub fn failed_run(query: &RunQuery, pane: RunPane) -> RunPage {
    let start = NOW_US - 25 * MIN;
    let from = 18 * MIN + 40_760 * MS;
    let mut steps = first_six(start);
    steps.push(failed_step(start, from));
    steps.push(not_reached(8, "lines", "For each line item", Mark::word("each")));
    steps.push(not_reached(10, "invoice", "Create invoice", app("stripe")));
    steps.push(StepRow {
        kind: StepKind::Handler,
        number: None,
        ..step(
            0,
            "incident",
            "On failure: open incident",
            app("servicenow"),
            "INC0012873, ServiceNow",
            start,
            (from + 940 * MS, from + 1_540 * MS),
        )
    });
    let run = RunHead {
        error: Some(card()),
        newer_version: Some(15),
        ..head(RunStatus::Failed, start, Some(start + 18 * MIN + 43 * S))
    };
    RunPage::new(shell("/runs/run_01jd3k7q9v"), run, steps, pane, query)
}

fn log() -> RunPane {
    let start = NOW_US - 25 * MIN;
    let entry = |seq, at: i64, what: &str, step: Option<&str>, detail: &str, tone| LogEntry {
        seq,
        at_us: start + at,
        what: what.to_owned(),
        step: step.map(str::to_owned),
        detail: detail.to_owned(),
        tone,
    };
    RunPane::Log(vec![
        entry(1, 0, "Accepted", None, "Event 006Qw00000A1xTz from Salesforce", "idle"),
        entry(2, 20 * MS, "Step started", Some("account"), "Try 1", "run"),
        entry(3, 430 * MS, "Step succeeded", Some("account"), "0.41 s", "ok"),
        entry(4, 440 * MS, "Waiting", Some("big.ask"), "For an approval by Finance", "hold"),
        entry(
            5,
            1_112 * S,
            "Step failed",
            Some("customer"),
            "Try 1: too many requests (429). Next try after 2 s because the answer said so <b>",
            "warn",
        ),
        entry(6, 1_121 * S, "Step failed", Some("order"), "invalid: INVALID_KEY_OR_REF, HTTP 400", "fail"),
        entry(7, 1_123 * S, "Run failed", None, "", "fail"),
    ])
}

fn looped() -> RunPage {
    let start = NOW_US - 3 * MIN;
    let mut steps = vec![trigger(start)];
    steps.push(StepRow {
        kind: StepKind::Loop,
        status: StepStatus::Failed,
        ..step(2, "push", "For each line item", Mark::word("each"), "24 items", start, (20 * MS, 4_900 * MS))
    });
    for item in 0..24_i64 {
        let from = 20 * MS + item * 200 * MS;
        let status = if item == 17 { StepStatus::Failed } else { StepStatus::Succeeded };
        steps.push(StepRow {
            kind: StepKind::Pass,
            depth: 1,
            number: None,
            status,
            ..step(
                0,
                &format!("push[{item}]"),
                &format!("Item {}: SEAT-{}", item + 1, 100 + item),
                Mark::own("Item", "right"),
                "",
                start,
                (from, from + 190 * MS),
            )
        });
        let failed = status == StepStatus::Failed;
        steps.push(StepRow {
            depth: 2,
            status,
            attempts: vec![bar(
                start,
                from,
                Some(from + 180 * MS),
                if failed { BarStatus::Failed } else { BarStatus::Succeeded },
                failed.then_some("not found (404)"),
            )],
            output: (!failed).then(|| json!({"ok": true}).into()),
            ..step(3, &format!("push[{item}].up"), "Reserve seats", app("stripe"), "Stripe", start, (from, from + 180 * MS))
        });
    }
    steps.push(not_reached(4, "done", "Tell the owner", app("salesforce")));
    let error = ErrorCard {
        what: "Stripe did not find the seat".to_owned(),
        why: String::new(),
        said: Some("No such price: 'price_<117>'".to_owned()),
        retried: "Stripe said it is not there. Asking again would give the same answer.".to_owned(),
        codes: vec!["resource_missing".to_owned(), "HTTP 404".to_owned()],
        ..ErrorCard::default()
    };
    let run = RunHead { error: Some(error), label: None, ..head(RunStatus::Failed, start, Some(start + 5 * S)) };
    RunPage::new(shell("/runs/run_01jd3k7q9v"), run, steps, RunPane::Timeline, &RunQuery::default())
}

fn succeeded() -> RunPage {
    let start = NOW_US - 5 * MIN;
    let mut steps = vec![trigger(start)];
    steps.push(step(2, "account", "Get account", app("salesforce"), "Salesforce", start, (20 * MS, 430 * MS)));
    steps.push(StepRow {
        status: StepStatus::Skipped,
        subtitle: "Amount is not over 10,000".to_owned(),
        started_us: None,
        ended_us: None,
        input: None,
        output: None,
        ..step(3, "ask", "Ask Finance to approve", Mark::word("approval"), "", start, (0, 0))
    });
    steps.push(StepRow {
        output: Some(Payload::Json(format!("[{}]", vec![r#"{"sku":"A-1","quantity":12345678901234567890.10}"#; 900].join(",")))),
        ..step(4, "lines", "Read the price list", app("netsuite"), "900 rows", start, (440 * MS, 2_300 * MS))
    });
    steps.push(StepRow {
        output: None,
        input: Some(Payload::Removed { at_us: NOW_US, kept_days: 30 }),
        ..step(5, "done", "Close the opportunity", app("salesforce"), "Salesforce", start, (2_310 * MS, 2_800 * MS))
    });
    let run = RunHead {
        links: vec![RunLink { relation: "Replay of".to_owned(), id: "run_01jd3k0000".to_owned() }],
        ..head(RunStatus::Succeeded, start, Some(start + 2_800 * MS))
    };
    RunPage::new(
        shell("/runs/run_01jd3k7q9v"),
        run,
        steps,
        RunPane::Timeline,
        &RunQuery { step: Some("lines".to_owned()), tab: Some("output".to_owned()), view: None, ..RunQuery::default() },
    )
}

fn running() -> RunPage {
    let start = NOW_US - 12 * S;
    let mut steps =
        vec![trigger(start), step(2, "account", "Get account", app("salesforce"), "Salesforce", start, (20 * MS, 430 * MS))];
    steps.push(StepRow {
        status: StepStatus::Running,
        ended_us: None,
        attempts: vec![bar(start, 450 * MS, None, BarStatus::Running, None)],
        output: None,
        ..step(3, "export", "Export the ledger", app("netsuite"), "NetSuite", start, (450 * MS, 0))
    });
    steps.push(not_reached(4, "invoice", "Create invoice", app("stripe")));
    RunPage::new(
        shell("/runs/run_01jd3k7q9v"),
        head(RunStatus::Running, start, None),
        steps,
        RunPane::Timeline,
        &RunQuery::default(),
    )
}

fn retrying() -> RunPage {
    let start = NOW_US - 4 * MIN;
    let mut steps =
        vec![trigger(start), step(2, "account", "Get account", app("salesforce"), "Salesforce", start, (20 * MS, 430 * MS))];
    let due = NOW_US + 7 * MIN + 20 * S;
    steps.push(StepRow {
        status: StepStatus::Retrying,
        ended_us: None,
        attempts: vec![
            bar(start, 450 * MS, Some(1_200 * MS), BarStatus::Failed, Some("too many requests (429)")),
            bar(start, 61 * S, Some(62 * S), BarStatus::Failed, Some("service unavailable (503)")),
        ],
        due_us: Some(due),
        tries_max: Some(6),
        output: None,
        ..step(3, "invoice", "Create invoice", app("stripe"), "", start, (450 * MS, 0))
    });
    steps.push(not_reached(4, "done", "Close the opportunity", app("salesforce")));
    let waiting = Waiting { until_us: Some(due), attempt: Some((3, 6)), ..Waiting::on(WaitFor::Retry) };
    let run = RunHead { waiting: Some(waiting), ..head(RunStatus::Waiting(WaitFor::Retry), start, None) };
    RunPage::new(
        shell("/runs/run_01jd3k7q9v"),
        run,
        steps,
        RunPane::Timeline,
        &RunQuery { tab: Some("tries".to_owned()), ..RunQuery::default() },
    )
}

fn paused() -> RunPage {
    let start = NOW_US - 40 * MIN;
    let mut steps = vec![trigger(start)];
    steps.push(StepRow {
        ended_us: None,
        attempts: Vec::new(),
        parks: vec![Park { from_us: start + 30 * MS, to_us: None, reason: WaitFor::Circuit }],
        output: None,
        status: StepStatus::Waiting(WaitFor::Circuit),
        ..step(2, "order", "Create sales order", app("netsuite"), "NetSuite does not answer", start, (30 * MS, 0))
    });
    let waiting =
        Waiting { who: Some("NetSuite production".to_owned()), until_us: Some(NOW_US + 40 * S), ..Waiting::on(WaitFor::Circuit) };
    let run = RunHead { waiting: Some(waiting), ..head(RunStatus::Waiting(WaitFor::Circuit), start, None) };
    RunPage::new(shell("/runs/run_01jd3k7q9v"), run, steps, RunPane::Timeline, &RunQuery::default())
}

fn in_line() -> RunPage {
    let start = NOW_US - 5 * MIN;
    let behind = Behind {
        run: "run_01jd3k7q9u".to_owned(),
        status: RunStatus::Waiting(WaitFor::Circuit),
        since_us: NOW_US - 40 * MIN,
        before: 3,
    };
    let waiting = Waiting { behind: Some(behind), ..Waiting::on(WaitFor::Order) };
    let run = RunHead { waiting: Some(waiting), ..head(RunStatus::Waiting(WaitFor::Order), start, None) };
    RunPage::new(shell("/runs/run_01jd3k7q9v"), run, vec![trigger(start)], RunPane::Timeline, &RunQuery::default())
}

fn uncertain(may_operate: bool) -> RunPage {
    let start = NOW_US - 9 * MIN;
    let mut steps =
        vec![trigger(start), step(2, "account", "Get account", app("salesforce"), "Salesforce", start, (20 * MS, 430 * MS))];
    steps.push(StepRow {
        status: StepStatus::Uncertain,
        attempts: vec![bar(start, 450 * MS, Some(30_450 * MS), BarStatus::Uncertain, Some("no answer within 30 s"))],
        output: None,
        input: Some(order_input()),
        request: Some(Request { answer: None, ..request() }),
        ..step(3, "order", "Create sales order", app("netsuite"), "No answer came", start, (450 * MS, 30_450 * MS))
    });
    let doubts = vec!["order".to_owned()];
    let run = RunHead { may_operate, doubts, ..head(RunStatus::Failed, start, Some(start + 31 * S)) };
    RunPage::new(
        shell("/runs/run_01jd3k7q9v"),
        run,
        steps,
        RunPane::Timeline,
        &RunQuery { tab: Some("request".to_owned()), ..RunQuery::default() },
    )
}

/// Two branches that went on at once, and nobody answered.
fn doubts() -> RunPage {
    let start = NOW_US - 9 * MIN;
    let cut = |number, path: &str, title, mark| StepRow {
        status: StepStatus::Uncertain,
        attempts: vec![bar(start, 450 * MS, Some(30_450 * MS), BarStatus::Uncertain, Some("no answer within 30 s"))],
        output: None,
        ..step(number, path, title, mark, "No answer came", start, (450 * MS, 30_450 * MS))
    };
    let steps = vec![
        trigger(start),
        cut(2, "both.shop.order", "Create sales order", app("netsuite")),
        cut(3, "both.desk.ticket", "Open a ticket", app("servicenow")),
    ];
    let doubts = vec!["both.shop.order".to_owned(), "both.desk.ticket".to_owned()];
    let run = RunHead { doubts, ..head(RunStatus::Failed, start, Some(start + 31 * S)) };
    RunPage::new(shell("/runs/run_01jd3k7q9v"), run, steps, RunPane::Timeline, &RunQuery::default())
}

/// The run page's samples by name.
pub fn run() -> Vec<(&'static str, RunPage)> {
    let tab = |step: &str, tab: &str, view: Option<&str>| RunQuery {
        step: Some(step.to_owned()),
        tab: Some(tab.to_owned()),
        view: view.map(str::to_owned),
        ..RunQuery::default()
    };
    let queued = RunPage::new(
        shell("/runs/run_01jd3k7q9v"),
        head(RunStatus::Queued, NOW_US - 400 * MS, None),
        vec![trigger(NOW_US - 400 * MS)],
        RunPane::Timeline,
        &RunQuery::default(),
    );
    let start = NOW_US - 31 * MIN;
    let cancelled = RunPage::new(
        shell("/runs/run_01jd3k7q9v"),
        head(RunStatus::Cancelled, start, Some(NOW_US)),
        vec![trigger(start), not_reached(2, "account", "Get account", app("salesforce"))],
        RunPane::Timeline,
        &RunQuery::default(),
    );
    vec![
        ("failed", failed_run(&RunQuery::default(), RunPane::Timeline)),
        ("failed-output", failed_run(&tab("order", "output", None), RunPane::Timeline)),
        ("failed-tries", failed_run(&tab("customer", "tries", None), RunPane::Timeline)),
        ("failed-request", failed_run(&tab("order", "request", None), RunPane::Timeline)),
        ("failed-raw", failed_run(&tab("order", "input", Some("raw")), RunPane::Timeline)),
        ("trigger", failed_run(&tab("trigger", "input", None), RunPane::Timeline)),
        ("not-reached", failed_run(&tab("invoice", "input", None), RunPane::Timeline)),
        ("log", failed_run(&RunQuery::default(), log())),
        ("loop", looped()),
        ("succeeded", succeeded()),
        ("running", running()),
        ("retrying", retrying()),
        ("paused", paused()),
        ("in-line", in_line()),
        ("uncertain", uncertain(true)),
        ("uncertain-viewer", uncertain(false)),
        ("doubts", doubts()),
        ("queued", queued),
        ("cancelled", cancelled),
    ]
}
