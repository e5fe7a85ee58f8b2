//! A run can be cancelled wherever it stands, from any process: it ends there, nothing of it begins any
//! more, and nobody is left waiting for it.

use std::time::Duration;

use engine::{Decision, EngineSettings, TalkError, control::ControlError, resume::Resumption};
use serde_json::{Map, Value, json};
use store::{DeadLetter, Ending, Entry, RunId, RunRow, RunStatus, WaitingFor};

use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);

/// A recipe that would be told of a failure.
const ALARM: &str = "steps:\n  - { id: end, return: told }\n";

/// What a run is doing when it is cancelled.
struct Case {
    name: &'static str,
    /// The recipe from `settings:` or `steps:` on, with `crm` connected.
    recipe: &'static str,
    /// Where it stands then.
    stands: (RunStatus, Option<WaitingFor>),
    /// Calls made by then; no other is made after it.
    calls: usize,
}

const RUNNING: (RunStatus, Option<WaitingFor>) = (RunStatus::Running, None);

const fn waits(reason: WaitingFor) -> (RunStatus, Option<WaitingFor>) {
    (RunStatus::Waiting, Some(reason))
}

/// A call that is under way for half a minute.
macro_rules! slow {
    ($id:literal) => {
        concat!("{ id: ", $id, ", do: crm.put, with: { slow: 30 } }")
    };
}

/// A call, and what must never begin after it.
const AFTER: &str = "\n  - { id: never, do: crm.put }\n";

const CASES: &[Case] = &[
    Case { name: "inside a call", recipe: concat!("steps:\n  - ", slow!("a")), stands: RUNNING, calls: 1 },
    Case {
        name: "inside a call that happens once",
        recipe: "steps:\n  - { id: a, do: crm.post, with: { slow: 30 } }",
        stands: RUNNING,
        calls: 1,
    },
    Case {
        name: "between two tries, in memory",
        recipe: "steps:\n  - { id: a, do: crm.put, with: { fails: true }, retry: { times: 90, wait: 1500ms, factor: 1, jitter: none } }",
        stands: RUNNING,
        calls: 7,
    },
    Case {
        name: "between two tries, in the store",
        recipe: "steps:\n  - { id: a, do: crm.put, with: { fails: true }, retry: { times: 90, wait: 10m, jitter: none } }",
        stands: waits(WaitingFor::Retry),
        calls: 1,
    },
    Case {
        name: "waiting for a while",
        recipe: "steps:\n  - { id: a, wait: { for: 1h } }",
        stands: waits(WaitingFor::Timer),
        calls: 0,
    },
    Case {
        name: "waiting until an instant",
        recipe: "steps:\n  - { id: a, wait: { until: \"2099-01-01T00:00:00Z\" } }",
        stands: waits(WaitingFor::Timer),
        calls: 0,
    },
    Case {
        name: "waiting for a callback",
        recipe: "steps:\n  - id: a\n    wait: { callback: }",
        stands: waits(WaitingFor::Callback),
        calls: 0,
    },
    Case {
        name: "waiting for a decision",
        recipe: "steps:\n  - id: a\n    wait: { approval: { from: { group: g }, ask: \"ok?\" }, timeout: 2h }",
        stands: waits(WaitingFor::Approval),
        calls: 0,
    },
    Case {
        name: "in a pass over a list",
        recipe: concat!("steps:\n  - id: a\n    each: [1, 2, 3]\n    steps: [", slow!("b"), "]"),
        stands: RUNNING,
        calls: 1,
    },
    Case {
        name: "in several passes over a list",
        recipe: concat!(
            "steps:\n  - id: a\n    each: [1, 2, 3]\n    parallel: 2\n    partial: dead_letter\n    steps: [",
            slow!("b"),
            "]"
        ),
        stands: RUNNING,
        calls: 2,
    },
    Case {
        name: "in batches",
        recipe: concat!("steps:\n  - id: a\n    each: [1, 2, 3]\n    batch: 2\n    steps: [", slow!("b"), "]"),
        stands: RUNNING,
        calls: 1,
    },
    Case {
        name: "in a pass over a stream",
        recipe: concat!(
            "steps:\n  - { id: rows, do: crm.list, stream: true }\n  - id: a\n    each: ${ steps.rows }\n    steps: [",
            slow!("b"),
            "]"
        ),
        stands: RUNNING,
        calls: 2,
    },
    Case {
        name: "asking for a page of a stream",
        recipe: "steps:\n  - { id: rows, do: crm.list, stream: true, with: { slow: 30 } }\n  - id: a\n    each: ${ steps.rows }\n    steps: [{ id: b, do: crm.put }]",
        stands: RUNNING,
        calls: 1,
    },
    Case {
        name: "in a turn of a loop",
        recipe: concat!("steps:\n  - id: a\n    repeat: { until: index > 3, max: 9 }\n    steps: [", slow!("b"), "]"),
        stands: RUNNING,
        calls: 1,
    },
    Case {
        name: "between two turns of a loop",
        recipe: "steps:\n  - id: a\n    repeat: { until: index > 3, wait: 1h, max: 9 }\n    steps: [{ id: b, do: crm.put }]",
        stands: waits(WaitingFor::Timer),
        calls: 1,
    },
    Case {
        name: "in branches, one calling, one waiting",
        recipe: concat!(
            "steps:\n  - id: a\n    parallel:\n      left: [",
            slow!("b"),
            "]\n      right: [{ id: c, wait: { for: 1h } }]"
        ),
        stands: RUNNING,
        calls: 1,
    },
    Case {
        name: "in branches of which one is enough",
        recipe: concat!(
            "steps:\n  - id: a\n    parallel:\n      left: [",
            slow!("b"),
            "]\n      right: [",
            slow!("c"),
            "]\n    wait_for: any"
        ),
        stands: RUNNING,
        calls: 2,
    },
    Case {
        name: "in a choice",
        recipe: concat!(
            "steps:\n  - id: a\n    choose:\n      - when: trigger.n == 1\n        steps: [{ id: c, do: crm.put }]\n      - otherwise: [",
            slow!("b"),
            "]"
        ),
        stands: RUNNING,
        calls: 1,
    },
    Case {
        name: "in a try",
        recipe: concat!(
            "steps:\n  - id: a\n    try: [",
            slow!("b"),
            "]\n    catch: [{ id: c, do: crm.put }]\n    finally: [{ id: d, do: crm.put }]"
        ),
        stands: RUNNING,
        calls: 1,
    },
    Case {
        name: "in a catch",
        recipe: concat!(
            "steps:\n  - id: a\n    try: [{ id: b, do: crm.put, with: { bad: true } }]\n    catch: [",
            slow!("c"),
            "]\n    finally: [{ id: d, do: crm.put }]"
        ),
        stands: RUNNING,
        calls: 2,
    },
    Case {
        name: "in a finally",
        recipe: concat!("steps:\n  - id: a\n    try: [{ id: b, do: crm.put }]\n    finally: [", slow!("c"), "]"),
        stands: RUNNING,
        calls: 2,
    },
    Case {
        name: "taking back",
        recipe: "steps:\n  - { id: z, do: crm.put, undo: { do: crm.put } }\n  - { id: a, do: crm.put, undo: { do: crm.put, with: { slow: 30 } } }\n  - { id: b, do: crm.put, with: { bad: true } }",
        stands: RUNNING,
        calls: 4,
    },
    Case {
        name: "in steps with a time of their own",
        recipe: concat!(
            "settings: { timeout: 1h }\nsteps:\n  - id: a\n    timeout: 50s\n    try: [",
            slow!("b"),
            "]\n    catch: [{ id: c, do: crm.put }]"
        ),
        stands: RUNNING,
        calls: 1,
    },
    Case {
        name: "in doubt while another branch calls",
        recipe: concat!(
            "steps:\n  - id: a\n    parallel:\n      left: [{ id: b, do: crm.post, with: { lost: true } }]\n      right: [",
            slow!("c"),
            "]"
        ),
        stands: RUNNING,
        calls: 2,
    },
    Case {
        name: "after an answer and a kept value",
        recipe: "state: { n: { type: integer, default: 0 } }\nsteps:\n  - id: r\n    respond: { status: 201 }\n  - { id: s, save: { n: 5 } }\n  - { id: a, wait: { for: 1h } }",
        stands: waits(WaitingFor::Timer),
        calls: 0,
    },
    Case {
        name: "after a step with an undo, with a recipe to tell of failures",
        recipe: "settings: { on_failure: alarm }\nsteps:\n  - { id: z, do: crm.put, undo: { do: crm.put } }\n  - { id: a, wait: { for: 1h } }",
        stands: waits(WaitingFor::Timer),
        calls: 1,
    },
];

fn recipe(rest: &str) -> String {
    format!("connections: {{ crm: sys }}\n{rest}{AFTER}")
}

fn two() -> EngineSettings {
    EngineSettings { shared_store: true, ..EngineSettings::default() }
}

fn calls(world: &World) -> usize {
    world.system("crm", |crm| crm.calls.len())
}

fn refused(outcome: Result<(), ControlError>) -> String {
    match outcome {
        Err(ControlError::NotNow(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// It is over as a cancelled run is, nothing holds it or is held by it, and time changes nothing.
async fn assert_cancelled(world: &World, run: RunId, by: &str, name: &str) -> RunRow {
    let row = world.run(run).await;
    assert_eq!((row.status, row.waiting_for, row.due_at), (RunStatus::Cancelled, None, None), "{name}");
    assert!(row.ended_at.is_some() && row.dead_letter.is_none() && row.error.is_none(), "{name}: {row:?}");
    let told = world.entries(run).await;
    let ends = told.iter().filter(|entry| matches!(entry, Entry::Ended { .. })).count();
    assert!(
        matches!(told.last(), Some(Entry::Ended { how: Ending::Cancelled, by: Some(who), out: None, err: None, .. }) if who == by),
        "{name}: {told:?}"
    );
    assert_eq!(ends, 1, "{name}");
    world.engines[0].journal(run).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    row
}

#[tokio::test(start_paused = true)]
async fn a_run_is_cancelled_whatever_it_does() {
    for (place, case) in CASES.iter().enumerate() {
        let name = case.name;
        let calm = json!({ "circuit": { "in_a_row": 1000, "calls_min": 1000 } });
        let world = World::with(2, &[("crm", calm)], &[("story", &recipe(case.recipe)), ("alarm", ALARM)], two()).await;
        let run = world.send(0, "story", json!({})).await;
        world.pass(Duration::from_secs(10)).await;
        let row = world.run(run).await;
        assert_eq!((row.status, row.waiting_for), case.stands, "{name}");
        assert_eq!(calls(&world), case.calls, "{name}");
        // By the process that has it, or by another one.
        world.engines[place % 2].cancel(run, "ines").await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let row = assert_cancelled(&world, run, "ines", name).await;
        assert_eq!(row.ended_at, Some(world.now()), "{name}");
        let told = world.entries(run).await;
        for engine in &world.engines {
            assert_eq!(refused(engine.cancel(run, "ben").await), "This run is already over: it cancelled.", "{name}");
            assert!(refused(engine.resume(run, None, "ben").await).starts_with("Only a failed run"), "{name}");
            assert!(refused(engine.discard(run, "no", "ben").await).contains("no open dead letter"), "{name}");
        }
        world.leap(MINUTE).await;
        assert_eq!(world.entries(run).await, told, "{name}: something was written after it");
        assert_eq!(assert_cancelled(&world, run, "ines", name).await, row, "{name}");
        assert_eq!(calls(&world), case.calls, "{name}: something began after it");
        assert_eq!(world.runs().await.len(), 1, "{name}: nobody is told of it");
        assert_eq!(world.store().next_due().await.unwrap(), None, "{name}");
        assert!(world.engines.iter().all(|engine| engine.runs_in_memory() == 0), "{name}: a place is still taken");
        assert!(world.store().approvals(true, None, 10).await.unwrap().is_empty(), "{name}: somebody is still asked");
        assert!(world.store().recipe_state(row.recipe).await.unwrap().is_empty(), "{name}: what it saved is not kept");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_nobody_took_up_is_cancelled() {
    let settings = EngineSettings { works: false, ..EngineSettings::default() };
    let world =
        World::with(1, &[("crm", json!({}))], &[("story", &recipe("steps:\n  - { id: a, do: crm.put }"))], settings).await;
    let run = world.send(0, "story", json!({})).await;
    assert_eq!(world.run(run).await.status, RunStatus::Queued);
    world.engines[0].cancel(run, "ines").await.unwrap();
    assert_cancelled(&world, run, "ines", "queued").await;
    assert_eq!((calls(&world), world.store().next_due().await.unwrap()), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_before_a_gate_is_cancelled() {
    let gates = [
        ("a circuit", json!({ "circuit": { "in_a_row": 1 } }), WaitingFor::Circuit),
        ("a circuit opened by hand", json!({}), WaitingFor::Circuit),
        ("a budget", json!({ "budget": { "per_day": 1 } }), WaitingFor::Budget),
    ];
    for (name, config, reason) in gates {
        let world = World::with(2, &[("crm", config)], &[("story", &recipe("steps:\n  - { id: a, do: crm.put, with: { bad: \"${ trigger.bad ?? false }\", lost: \"${ trigger.lost ?? false }\", fails: \"${ trigger.fails ?? false }\" }, retry: none }"))], two()).await;
        if name.ends_with("hand") {
            world.engines[0].set_circuit("crm", None, true, "ann", "it is sick").await.unwrap();
        } else {
            world.send(0, "story", json!({ "fails": true })).await;
        }
        world.pass(Duration::from_secs(5)).await;
        let made = calls(&world);
        let run = world.send(0, "story", json!({})).await;
        world.pass(Duration::from_secs(10)).await;
        let row = world.run(run).await;
        assert_eq!((row.status, row.waiting_for, row.attempts), (RunStatus::Waiting, Some(reason), 0), "{name}");
        world.engines[1].cancel(run, "ines").await.unwrap();
        assert_cancelled(&world, run, "ines", name).await;
        world.pass(25 * MINUTE).await;
        assert_cancelled(&world, run, "ines", name).await;
        assert_eq!(calls(&world), made, "{name}");
        assert!(world.engines.iter().all(|engine| engine.runs_in_memory() == 0), "{name}: a place is still taken");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_lets_its_lane_go_on() {
    let lane = "settings: { concurrency: { limit: 1, key: \"${ trigger.k }\" } }\nsteps:\n  - { id: a, do: crm.put, with: { slow: 30 } }\n";
    let world = World::with(2, &[("crm", json!({}))], &[("story", &format!("connections: {{ crm: sys }}\n{lane}"))], two()).await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(world.send(0, "story", json!({ "k": 1 })).await);
    }
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(world.run(runs[1]).await.waiting_for, Some(WaitingFor::Order));
    // One that waits its turn, then the one whose turn it is.
    world.engines[0].cancel(runs[1], "ines").await.unwrap();
    assert_cancelled(&world, runs[1], "ines", "in a lane").await;
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(calls(&world), 1, "the others keep waiting");
    world.engines[1].cancel(runs[0], "ines").await.unwrap();
    world.pass(Duration::from_secs(5)).await;
    assert_eq!((calls(&world), world.run(runs[2]).await.status), (2, RunStatus::Running), "the next one's turn has come");
    world.pass(2 * MINUTE).await;
    assert_eq!(world.counts().await, [(RunStatus::Cancelled, 2), (RunStatus::Succeeded, 2)].into());
}

const CHILD: &str = "connections: { crm: sys }\nsteps:\n  - { id: nap, wait: { for: 10m } }\n  - { id: up, do: crm.put }\n";

#[tokio::test(start_paused = true)]
async fn a_cancelled_caller_cancels_the_runs_it_waits_for() {
    let recipes = [
        (
            "top",
            "steps:\n  - id: both\n    parallel:\n      left: [{ id: sub, call: middle }]\n      right: [{ id: own, start: leaf }, { id: nap, wait: { for: 1h } }]\n",
        ),
        ("middle", "steps:\n  - { id: sub, call: leaf }\n  - { id: two, call: leaf }\n"),
        ("leaf", CHILD),
    ];
    let world = World::with(2, &[("crm", json!({}))], &recipes, two()).await;
    let run = world.send(0, "top", json!({})).await;
    world.pass(MINUTE).await;
    let status = async |slug: &str| -> Vec<RunStatus> {
        world.runs().await.into_iter().filter(|row| row.slug == slug).map(|row| row.status).collect()
    };
    assert_eq!(
        (status("top").await, status("middle").await, status("leaf").await.len()),
        (vec![RunStatus::Waiting], vec![RunStatus::Waiting], 2)
    );
    world.engines[1].cancel(run, "ines").await.unwrap();
    assert_eq!((status("top").await, status("middle").await), (vec![RunStatus::Cancelled], vec![RunStatus::Cancelled]));
    world.pass(20 * MINUTE).await;
    let mut leaves = status("leaf").await;
    leaves.sort_by_key(|status| status.number());
    assert_eq!(leaves, [RunStatus::Succeeded, RunStatus::Cancelled], "what was only started goes on");
    assert_eq!(calls(&world), 1);
}

/// Its caller went on without it and was cancelled later; that says nothing of a dead letter a person lets go on.
#[tokio::test(start_paused = true)]
async fn a_called_run_that_is_resumed_goes_on_though_its_caller_was_cancelled_before() {
    let caller = "steps:\n  - id: t\n    try: [{ id: sub, call: leaf }]\n    catch: [{ id: c, set: { why: x } }]\n  \
                  - id: ask\n    wait: { approval: { from: { group: g }, ask: \"ok?\" } }\n";
    let leaf = "connections: { crm: sys }\nsteps:\n  - { id: pay, do: crm.post, with: { bad: true } }\n";
    let world = World::with(2, &[("crm", json!({}))], &[("top", caller), ("leaf", leaf)], two()).await;
    let run = world.send(0, "top", json!({})).await;
    world.pass(MINUTE).await;
    let child = world.runs().await.into_iter().find(|row| row.slug == "leaf").unwrap();
    assert_eq!((world.run(run).await.status, child.status), (RunStatus::Waiting, RunStatus::Failed));
    world.engines[1].cancel(run, "ines").await.unwrap();
    world.pass(Duration::from_secs(5)).await;
    let before = calls(&world);
    world.engines[0].resume_with(child.id, &Resumption::default(), "ines").await.unwrap();
    world.pass(MINUTE).await;
    assert_eq!((world.run(child.id).await.status, calls(&world)), (RunStatus::Failed, before + 1), "it was tried again");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_called_run_fails_the_step_that_waits_for_it() {
    let caller = "steps:\n  - id: t\n    try: [{ id: sub, call: leaf }]\n    catch: [{ id: c, set: { why: \"${ error.code }\" } }]\n  - { id: end, return: \"${ steps.c.why }\" }\n";
    let world = World::with(2, &[("crm", json!({}))], &[("top", caller), ("leaf", CHILD)], two()).await;
    let run = world.send(0, "top", json!({})).await;
    world.pass(MINUTE).await;
    let child = world.runs().await.into_iter().find(|row| row.slug == "leaf").unwrap().id;
    world.engines[1].cancel(child, "ines").await.unwrap();
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(world.run(run).await.status, RunStatus::Succeeded);
    let told = world.entries(run).await;
    assert!(matches!(told.last(), Some(Entry::Ended { out: Some(out), .. }) if **out == json!("CALL_CANCELLED")), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_answers_a_cancelled_run() {
    let steps = "steps:\n  - { id: tell, do: crm.put, with: { address: \"${ meta.back.callback }\" } }\n  - id: both\n    parallel:\n      left:\n        - id: back\n          wait: { callback: }\n      \
                 right:\n        - id: ask\n          wait: { approval: { from: { group: g }, ask: \"ok?\" } }\n";
    let world = World::with(2, &[("crm", json!({}))], &[("story", &recipe(steps))], two()).await;
    let run = world.send(0, "story", json!({})).await;
    world.pass(Duration::from_secs(5)).await;
    let address = world.system("crm", |crm| crm.calls[0].1["address"].as_str().unwrap().to_owned());
    let proof = address.rsplit('/').next().unwrap().to_owned();
    let question = world.store().approvals(true, None, 10).await.unwrap().remove(0);
    world.engines[0].cancel(run, "ines").await.unwrap();
    let called = world.engines[1].call_back(run, "back", &proof, json!({}), Value::Null).await;
    assert!(matches!(called, Err(TalkError::Over(_))), "{called:?}");
    let decision = Decision { approved: true, form: Map::new(), comment: None, by: "ben".to_owned() };
    let decided = world.engines[1].decide_approval(question.id, decision).await;
    assert!(matches!(decided, Err(TalkError::Over(_))), "{decided:?}");
    world.pass(MINUTE).await;
    assert_cancelled(&world, run, "ines", "answered late").await;
}

#[tokio::test(start_paused = true)]
async fn only_one_of_many_cancels_a_run() {
    let world = World::with(2, &[("crm", json!({}))], &[("story", &recipe(concat!("steps:\n  - ", slow!("a"))))], two()).await;
    let run = world.send(0, "story", json!({})).await;
    world.pass(Duration::from_secs(1)).await;
    let (one, other) = tokio::join!(world.engines[0].cancel(run, "one"), world.engines[1].cancel(run, "other"));
    let who = if one.is_ok() { "one" } else { "other" };
    assert_ne!(one.is_ok(), other.is_ok(), "{one:?} {other:?}");
    assert_eq!(refused(if one.is_ok() { other } else { one }), "This run is already over: it cancelled.");
    world.pass(MINUTE).await;
    assert_cancelled(&world, run, who, "twice").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_not_cancelled() {
    let steps = "steps:\n  - { id: a, do: crm.post, with: { bad: \"${ trigger.bad ?? false }\", lost: \"${ trigger.lost ?? false }\", fails: \"${ trigger.fails ?? false }\" }, retry: none }\n";
    let world = World::with(
        1,
        &[("crm", json!({}))],
        &[("story", &format!("connections: {{ crm: sys }}\n{steps}"))],
        EngineSettings::default(),
    )
    .await;
    for (event, status) in [
        (json!({}), RunStatus::Succeeded),
        (json!({ "bad": true }), RunStatus::Failed),
        (json!({ "lost": true }), RunStatus::Failed),
    ] {
        let run = world.send(0, "story", event).await;
        world.pass(Duration::from_secs(1)).await;
        let row = world.run(run).await;
        assert_eq!(row.status, status);
        let told = world.entries(run).await;
        let why = refused(world.engines[0].cancel(run, "ines").await);
        assert_eq!(why, format!("This run is already over: it {}.", status.as_str()));
        assert_eq!((world.run(run).await, world.entries(run).await), (row.clone(), told), "nothing changed");
        assert_eq!(row.dead_letter.is_some(), status == RunStatus::Failed);
        assert!(matches!(row.dead_letter, None | Some(DeadLetter::Open)));
    }
    let nobody = RunId::new(world.now(), [9; 10]);
    assert!(matches!(world.engines[0].cancel(nobody, "ines").await, Err(ControlError::NotFound(_))));
}
