//! Every page type in each of its states, with made-up data: for tests, screenshots and reading.
//!
//! A new page comes with its samples here; the test renders them all and checks what every page owes.

use serde_json::json;

use super::{
    Action, Bar, BarStatus, Count, ErrorCard, LastRun, LoadFailure, LogEntry, Mark, MessagePage, NavCounts, NextAction, Park,
    Payload, Person, RecipeChoice, RecipeRow, RecipeState, RecipesPage, Request, RunFilter, RunHead, RunKind, RunLink, RunPage,
    RunPane, RunQuery, RunRow, RunStatus, RunsPage, Shell, SigninPage, SigninState, StepError, StepKind, StepRow, StepStatus,
    WaitFor, Waiting, Zone,
    causes::{CauseRow, CausesPanel, HOURS},
    dead_letters::{ActPage, EditPage, LetterFilter, LetterRow, LettersPage, OperationPage, OperationView, RefusedRow, Repeated},
};

/// The clock of all samples: 2026-11-19T09:36:52Z.
pub const NOW_US: i64 = 1_795_081_012_000_000;
const MS: i64 = 1_000;
const S: i64 = 1_000_000;
const MIN: i64 = 60 * S;

/// The shell of the samples: Mara Lind in Berlin.
pub fn shell(here: &str) -> Shell {
    Shell {
        zone: Zone::named("Europe/Berlin"),
        user: Some(Person { name: "Mara Lind".to_owned() }),
        counts: NavCounts { dead_letters: 6, approvals: 3, connections: 1 },
        request_id: "req_01JD3M2".to_owned(),
        ..Shell::bare(NOW_US, here)
    }
}

fn failure(what: &str) -> LoadFailure {
    LoadFailure {
        what: what.to_owned(),
        why: "The database did not answer within 5 seconds. Your recipes keep running.".to_owned(),
    }
}

/// The sign-in page: its states by name.
pub fn signin() -> Vec<(&'static str, SigninPage)> {
    let page = |state| SigninPage { shell: Shell::bare(NOW_US, "/signin"), state, next: Some("/runs?status=failed".to_owned()) };
    vec![
        ("ask", page(SigninState::Ask)),
        ("confirm", page(SigninState::Confirm { token: "lsn_once_4f8a".to_owned() })),
        ("refused", page(SigninState::Refused)),
        ("unknown", page(SigninState::Unknown)),
        ("out", page(SigninState::SignedOut)),
    ]
}

/// Causes of the last two hours, and of yesterday.
fn causes() -> CausesPanel {
    let cause = |fingerprint: &str, message: &str, count: u64| {
        let mut hours = [0; HOURS];
        (hours[2], hours[HOURS - 2], hours[HOURS - 1]) = (1, 4, count - 5);
        CauseRow {
            fingerprint: fingerprint.to_owned(),
            message: message.to_owned(),
            recipe_title: "Order to cash".to_owned(),
            step: Some("order".to_owned()),
            count,
            first_us: NOW_US - 62 * MIN,
            last_us: NOW_US - 2 * MIN,
            hours,
        }
    };
    let net45 = "NetSuite does not know the payment term <Net 45>";
    let rows = vec![cause("8c37b0", net45, 18), cause("11ff00", "Stripe asked Liaison to slow down", 7)];
    CausesPanel { rows, more: false, chosen: None }
}

/// The dead letters: its states by name.
pub fn letters() -> Vec<(&'static str, LettersPage)> {
    let letter = |number: i64, reason: &str, label: Option<&str>| LetterRow {
        id: format!("run_01jd3m1aa{number}"),
        reason: reason.to_owned(),
        step: Some("order".to_owned()),
        recipe_title: "Order to cash".to_owned(),
        version: 14,
        label: label.map(str::to_owned),
        source: "a webhook",
        failed_us: NOW_US - number * MIN,
        tries: 5,
    };
    let net45 = "NetSuite does not know the payment term <Net 45>";
    let content = LettersPage {
        shell: shell("/dead-letters"),
        filter: LetterFilter::default(),
        recipes: vec![RecipeChoice { slug: "order-to-cash".to_owned(), title: "Order to cash".to_owned() }],
        causes: causes(),
        operations: vec![operation_view("running", 0)],
        total: (25, false),
        rows: Ok(vec![letter(2, net45, Some("ORD-4711")), letter(6, "Stripe asked Liaison to slow down", None)]),
        next_cursor: Some("run_01jd3m1aa6".to_owned()),
    };
    let chosen = LettersPage {
        causes: CausesPanel { chosen: Some("8c37b0".to_owned()), ..causes() },
        filter: LetterFilter { cause: Some("8c37b0".to_owned()), cursor: Some("x".to_owned()), ..LetterFilter::default() },
        total: (10_000, true),
        ..content.clone()
    };
    let none = LettersPage {
        causes: CausesPanel::default(),
        operations: Vec::new(),
        rows: Ok(Vec::new()),
        next_cursor: None,
        ..content.clone()
    };
    let nothing = LettersPage { filter: chosen.filter.clone(), ..none.clone() };
    let error = LettersPage { rows: Err(failure("The dead letters could not be loaded")), ..content.clone() };
    vec![("content", content), ("cause", chosen), ("empty", none), ("nothing", nothing), ("error", error)]
}

fn operation_view(state: &'static str, first: u64) -> OperationView {
    OperationView {
        id: "op_01jd3m1aaf".to_owned(),
        kind: "replay",
        state,
        first,
        total: 200,
        done: 118,
        failed: 2,
        note: (state == "stopped")
            .then(|| "The first one did not end well: NetSuite is down. The other 80 were left alone.".to_owned()),
        by: "Mara Lind".to_owned(),
        at_us: NOW_US - 3 * MIN,
    }
}

/// The page that asks before something is done to dead letters.
pub fn letters_act() -> Vec<(&'static str, ActPage)> {
    let step = |title: &str, safe| Repeated { title: title.to_owned(), uses: "http.request".to_owned(), safe };
    let many = ActPage {
        shell: shell("/dead-letters/act"),
        filter: LetterFilter { cause: Some("8c37b0".to_owned()), ..LetterFilter::default() },
        choice: "resume".to_owned(),
        total: (18, false),
        resumed: vec![step("Create the order", false)],
        replayed: vec![step("Find the customer", true), step("Create the order", false)],
        looked: 10,
        doubts: true,
    };
    let ids = vec!["run_01jd3m1aa2".to_owned()];
    let one = ActPage {
        filter: LetterFilter { ids, ..LetterFilter::default() },
        choice: "discard".to_owned(),
        total: (1, false),
        looked: 1,
        doubts: false,
        ..many.clone()
    };
    vec![("many", many), ("one", one)]
}

/// The page that corrects an event.
pub fn letters_edit() -> Vec<(&'static str, EditPage)> {
    let page = |problem: Option<&str>| EditPage {
        shell: shell("/dead-letters/run_01jd3m1aa2/edit"),
        run: "run_01jd3m1aa2".to_owned(),
        recipe_title: "Order to cash".to_owned(),
        event: "{\n  \"terms\": \"</textarea>Net 45\"\n}".to_owned(),
        problem: problem.map(str::to_owned),
    };
    vec![("first", page(None)), ("again", page(Some("This is not JSON: expected value at line 1 column 1.")))]
}

/// The progress of an operation: its states by name.
pub fn operation() -> Vec<(&'static str, OperationPage)> {
    let page = |state, first| OperationPage {
        shell: shell("/operations/op_01jd3m1aaf"),
        operation: operation_view(state, first),
        refused: vec![RefusedRow { run: "run_01jd3m1aa2".to_owned(), message: "This run was already replayed.".to_owned() }],
    };
    vec![
        ("running", page("running", 0)),
        ("first", page("running", 1)),
        ("paused", page("paused", 0)),
        ("done", page("done", 0)),
        ("stopped", page("stopped", 1)),
    ]
}

/// Pages of one message.
pub fn messages() -> Vec<(&'static str, MessagePage)> {
    let mut out: Vec<(&'static str, MessagePage)> =
        [("connections", "/connections"), ("editor", "/recipes/order-to-cash"), ("audit", "/audit")]
            .into_iter()
            .filter_map(|(name, path)| Some((name, MessagePage::not_here_yet(shell(path), path)?)))
            .collect();
    out.push(("not-found", MessagePage::not_found(shell("/nowhere"))));
    out.push(("run-not-found", MessagePage::run_not_found(shell("/runs/run_x"), "run_<x>")));
    out.push(("connection-signed-in", MessagePage::signed_in(shell("/connections"), "crm")));
    out.push((
        "connection-not-signed-in",
        MessagePage::sign_in_failed(
            shell("/connections"),
            "The sign-in did not work",
            "The connection \"crm\" could not sign in at https://id.example/token: it answered 400: invalid_grant. Nothing was changed. \
             Begin the sign-in anew.",
        ),
    ));
    out.push(("no-permission", MessagePage::no_permission(shell("/audit"), "the Admin role", "Robert Osei or another admin")));
    out.push((
        "failed",
        MessagePage::failed(shell("/runs"), "The runs could not be loaded", "The database did not answer within 5 seconds."),
    ));
    out.push(("own", MessagePage { actions: vec![Action::new("Home", "/")], ..MessagePage::not_found(shell("/")) }));
    out
}

fn app(id: &str) -> Mark {
    let name = match id {
        "salesforce" => "Salesforce",
        "netsuite" => "NetSuite",
        "stripe" => "Stripe",
        "servicenow" => "ServiceNow",
        "workday" => "Workday",
        other => other,
    };
    Mark::app(id, name)
}

/// The recipe list.
pub fn recipes() -> Vec<(&'static str, RecipesPage)> {
    let row = |slug: &str, title: &str, description: &str, marks: &[&str], runs: (u64, u64, u64)| RecipeRow {
        slug: slug.to_owned(),
        title: title.to_owned(),
        description: description.to_owned(),
        marks: marks.iter().map(|id| if *id == "schedule" { Mark::word(id) } else { app(id) }).collect(),
        state: RecipeState::On,
        runs_24h: runs.0,
        succeeded_24h: runs.1,
        failed_24h: runs.2,
        last_run: None,
        version: Some(9),
        newer_version: None,
    };
    let last = |status, ago_us: i64| Some(LastRun { id: "run_01jd3k7q9v".to_owned(), status, at_us: NOW_US - ago_us });
    let rows = vec![
        RecipeRow {
            last_run: last(RunStatus::Failed, 2 * MIN),
            version: Some(14),
            newer_version: Some(15),
            ..row(
                "order-to-cash",
                "Order to cash",
                "Won deals become orders and invoices",
                &["salesforce", "netsuite", "stripe"],
                (306, 288, 18),
            )
        },
        RecipeRow {
            last_run: last(RunStatus::Waiting(WaitFor::Circuit), 12 * S),
            ..row(
                "customer-sync",
                "Customer sync",
                "Accounts and customers stay the same",
                &["salesforce", "netsuite"],
                (8_310, 8_270, 3),
            )
        },
        RecipeRow {
            last_run: last(RunStatus::Succeeded, 37 * MIN),
            ..row(
                "payouts",
                "Stripe payouts to ledger",
                "Book payouts and fees every hour",
                &["schedule", "stripe", "netsuite"],
                (1_204, 1_197, 7),
            )
        },
        RecipeRow {
            last_run: last(RunStatus::Running, 3 * S),
            ..row("new-hire-accounts", "New hire accounts", "", &["workday", "servicenow"], (46, 44, 2))
        },
        RecipeRow {
            state: RecipeState::Off,
            version: Some(2),
            last_run: last(RunStatus::Cancelled, 49 * 60 * MIN),
            ..row(
                "refunds",
                "Refund approval",
                "A person approves refunds over 500 EUR",
                &["stripe", "webhook", "stripe"],
                (0, 0, 0),
            )
        },
        RecipeRow {
            state: RecipeState::Draft,
            version: None,
            ..row("draft", "<script>alert(1)</script>", "A title that tries to be more than a title", &["http"], (0, 0, 0))
        },
    ];
    let page = |q: &str, rows: Result<Vec<RecipeRow>, LoadFailure>, total| RecipesPage {
        shell: shell("/recipes"),
        q: q.to_owned(),
        rows,
        total,
    };
    vec![
        ("content", page("", Ok(rows), 6)),
        ("empty", page("", Ok(Vec::new()), 0)),
        ("nothing", page("salesfroce <b>", Ok(Vec::new()), 6)),
        ("error", page("", Err(failure("The recipes could not be loaded")), 6)),
    ]
}

/// The run list.
pub fn runs() -> Vec<(&'static str, RunsPage)> {
    let row = |id: &str, status, reason: &str, title: &str, label: Option<&str>, ago_us: i64, took_us: Option<i64>| RunRow {
        id: id.to_owned(),
        status,
        reason: reason.to_owned(),
        due_us: matches!(status, RunStatus::Waiting(WaitFor::Retry)).then_some(NOW_US + 7 * MIN + 20 * S),
        recipe: title.to_lowercase().replace(' ', "-"),
        recipe_title: title.to_owned(),
        version: 14,
        label: label.map(str::to_owned),
        started_us: NOW_US - ago_us,
        ended_us: took_us.map(|took| NOW_US - ago_us + took),
        tries: 1,
    };
    let net45 = "NetSuite does not know the payment term “Net 45”";
    let slow = "Stripe asked Liaison to slow down, and the tries ran out";
    let rows = vec![
        row("run_01jd3m1aaa", RunStatus::Queued, "", "Customer sync", Some("Birch & Sons"), 400 * MS, None),
        row("run_01jd3m1aab", RunStatus::Running, "", "New hire accounts", Some("WD-HIRE-20944"), 12 * S, None),
        row(
            "run_01jd3m1aac",
            RunStatus::Waiting(WaitFor::Retry),
            "Try 2 of 6 failed: Stripe answered “too many requests”",
            "Stripe payouts to ledger",
            Some("po_1Q8vXkL9"),
            4 * MIN,
            None,
        ),
        row(
            "run_01jd3m1aad",
            RunStatus::Waiting(WaitFor::Circuit),
            "Because NetSuite does not answer",
            "Customer sync",
            Some("006Qw00000A1xSa"),
            5 * MIN,
            None,
        ),
        row(
            "run_01jd3m1aae",
            RunStatus::Waiting(WaitFor::Approval),
            "For Mara Lind",
            "Order to cash",
            Some("006Qw00000A1xRm"),
            6 * MIN,
            None,
        ),
        row("run_01jd3m1aaf", RunStatus::Failed, net45, "Order to cash", Some("006Qw00000A1xRk"), 6 * MIN, Some(3_100 * MS)),
        row("run_01jd3m1aag", RunStatus::Succeeded, "", "Order to cash", Some("006Qw00000A1xQx"), 8 * MIN, Some(2_800 * MS)),
        row("run_01jd3k7q9v", RunStatus::Failed, net45, "Order to cash", Some("006Qw00000A1xTz"), 25 * MIN, Some(1_123 * S)),
        RunRow {
            tries: 6,
            ..row(
                "run_01jd3m1aah",
                RunStatus::Failed,
                slow,
                "Stripe payouts to ledger",
                Some("po_1Q8vXkL2"),
                37 * MIN,
                Some(64 * S),
            )
        },
        row("run_01jd3m1aai", RunStatus::Cancelled, "By Robert Osei", "Refund approval", None, 90 * MIN, Some(31 * MIN)),
        row(
            "run_01jd3m1aaj",
            RunStatus::Failed,
            "A required field was empty: <b>Work email</b>",
            "New hire accounts",
            Some("WD-HIRE-20931 with a label that is much longer than the column"),
            1_060 * MIN,
            Some(900 * MS),
        ),
    ];
    let choice = |slug: &str, title: &str| RecipeChoice { slug: slug.to_owned(), title: title.to_owned() };
    let all = RunsPage {
        shell: shell("/runs"),
        filter: RunFilter::default(),
        recipes: vec![
            choice("customer-sync", "Customer sync"),
            choice("order-to-cash", "Order to cash"),
            choice("payouts", "Stripe payouts to ledger"),
        ],
        counts: vec![
            (None, Count::MoreThan(10_000)),
            (Some(RunKind::Failed), Count::Exact(27)),
            (Some(RunKind::Waiting), Count::Exact(40)),
            (Some(RunKind::Running), Count::Exact(6)),
        ],
        causes: CausesPanel::default(),
        rows: Ok(rows.clone()),
        next_cursor: Some("AZkz".to_owned()),
        any: true,
        kept_days: Some(90),
    };
    let filtered = RunFilter {
        status: Some(RunKind::Failed),
        recipe: Some("order-to-cash".to_owned()),
        since: Some("24h".to_owned()),
        ..RunFilter::default()
    };
    let failed: Vec<RunRow> = rows.iter().filter(|row| row.status == RunStatus::Failed).cloned().collect();
    let nowhere = RunFilter { q: Some("\"><script>alert(1)</script>".to_owned()), ..filtered.clone() };
    vec![
        ("content", all.clone()),
        ("failed", RunsPage { filter: filtered, causes: causes(), rows: Ok(failed), next_cursor: None, ..all.clone() }),
        ("later", RunsPage { filter: RunFilter { cursor: Some("AZkz".to_owned()), ..RunFilter::default() }, ..all.clone() }),
        ("empty", RunsPage { rows: Ok(Vec::new()), counts: Vec::new(), any: false, next_cursor: None, ..all.clone() }),
        ("nothing", RunsPage { filter: nowhere, rows: Ok(Vec::new()), counts: Vec::new(), next_cursor: None, ..all.clone() }),
        ("error", RunsPage { rows: Err(failure("The runs could not be loaded")), counts: Vec::new(), next_cursor: None, ..all }),
    ]
}

mod run;
pub use self::run::{failed_run, run};
