//! Step words within step words, told from event to journal and cut after each commit: what only shows
//! when loops, branches, failures and crashes meet.

use std::{collections::HashMap, sync::Arc};

use engine::{
    Program,
    decide::{Next, decide},
};
use serde_json::{Value, json};
use store::{Entry, Then, Timestamp};

use crate::bench::{Answer, Script, World, program};

fn fine(path: &str, _: usize) -> Answer {
    Answer::Ok(json!({ "from": path }))
}

/// Whatever has `bad` in its path fails.
fn some_fail(path: &str, before: usize) -> Answer {
    if path.contains("bad") { Answer::Failed } else { fine(path, before) }
}

/// A recipe, what its event is, what systems and people say.
struct Story<'a> {
    program: Program,
    event: Value,
    state: Value,
    script: Script<'a>,
    said: HashMap<String, Value>,
}

impl<'a> Story<'a> {
    fn new(text: &str, event: Value, script: Script<'a>) -> Self {
        Self { program: program(text), event, state: Value::Null, script, said: HashMap::new() }
    }

    fn said(mut self, path: &str, what: Value) -> Self {
        self.said.insert(path.to_owned(), what);
        self
    }

    fn world(&self) -> World {
        World { said: self.said.clone(), ..World::default() }
    }

    /// Runs it, then cuts its journal after each commit: recovered, it ends as if nothing had happened,
    /// and what was finished before the cut is not done again.
    fn told(&self) -> (World, Then) {
        let mut whole = self.world();
        let mut state = whole.begin(self.event.clone()).with_state(Arc::new(self.state.clone()));
        let then = whole.drive(&self.program, &mut state, self.script, 1000).expect("the story ends");
        for cut in 1..whole.chunks.len() {
            let mut world = World { chunks: whole.chunks[..cut].to_vec(), now: whole.now, ..self.world() };
            let known = world.entries();
            let mut recovered = world.recover();
            world.drive(&self.program, &mut recovered, self.script, 1000).expect("the recovered run ends");
            let end = |world: &World| (world.output(), world.told().last().cloned());
            assert_eq!(end(&world), end(&whole), "cut {cut}: {:#?}", world.told());
            assert_eq!(recovered.saved, state.saved, "cut {cut}");
            assert_eq!(recovered.response, state.response, "cut {cut}");
            for (path, _, input) in &world.calls {
                let done = known.iter().any(|entry| matches!(entry, Entry::Succeeded { p, .. } if **p == **path));
                assert!(!done, "cut {cut}: {path} was done again");
                let first = whole.calls.iter().find(|(known, ..)| known == path);
                assert_eq!(first.map(|(.., input)| input), Some(input), "cut {cut}: {path}");
            }
        }
        (whole, then)
    }

    /// Runs it without any crash.
    fn plain(&self) -> World {
        let mut world = self.world();
        let mut state = world.begin(self.event.clone());
        world.drive(&self.program, &mut state, self.script, 1000).expect("the story ends");
        world
    }

    fn output(&self) -> Value {
        let (world, then) = self.told();
        assert!(matches!(then, Then::Succeeded { .. }), "{then:?}\n{:#?}", world.told());
        world.output().expect("the story returns something")
    }
}

fn called(world: &World) -> Vec<&str> {
    world.calls.iter().map(|(path, ..)| path.as_str()).collect()
}

#[test]
fn passes_of_a_finished_loop_are_taken_back_too_even_after_a_crash() {
    let text = "steps:
  - id: push
    each: ${ trigger.rows }
    steps:
      - id: up
        do: sys.put
        undo: { do: sys.put, with: { was: \"${ steps.up.from }\", row: \"${ item }\" } }
  - { id: bad, do: sys.put }
";
    let (world, then) = Story::new(text, json!({ "rows": ["a", "b"] }), &some_fail).told();
    assert!(matches!(then, Then::Failed { .. }));
    assert_eq!(called(&world), ["push[0].up", "push[1].up", "bad", "push[1].up.undo", "push[0].up.undo"]);
    assert_eq!(world.calls[3].2, json!({ "was": "push[1].up", "row": "b" }));
}

#[test]
fn undo_reaches_into_branches_tries_and_what_failed_half_way() {
    let text = "steps:
  - id: both
    parallel:
      left:
        - { id: l, do: sys.put, undo: { do: sys.put } }
      right:
        - { id: r, do: sys.put, undo: { do: sys.put } }
  - id: t
    try:
      - { id: half, do: sys.put, undo: { do: sys.put } }
      - { id: bad_one, do: sys.put }
    catch:
      - { id: c, do: sys.put, undo: { do: sys.put } }
  - { id: off, disabled: true, do: sys.put, undo: { do: sys.put } }
  - { id: bad_soft, on_error: continue, do: sys.put, undo: { do: sys.put } }
  - { id: bad, do: sys.put }
";
    let (world, _) = Story::new(text, json!({}), &some_fail).told();
    let calls = called(&world);
    let undone = &calls[calls.iter().position(|path| *path == "bad").expect("it is called") + 1..];
    assert_eq!(undone, ["c.undo", "half.undo", "r.undo", "l.undo"], "all of them, newest first, and nothing that was not done");
}

#[test]
fn an_undo_is_tried_again_by_its_own_policy() {
    let text = "steps:\n  - { id: a, do: sys.put, undo: { do: sys.put } }\n  - { id: bad, do: sys.put }\n";
    let script =
        |path: &str, before: usize| if path == "a.undo" && before < 2 { Answer::Again(60) } else { some_fail(path, before) };
    let (world, then) = Story::new(text, json!({}), &script).told();
    assert_eq!(called(&world).iter().filter(|path| **path == "a.undo").count(), 3);
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!((error.code.as_str(), error.message.as_str()), ("HTTP_503", "down"), "the failure itself is told, not its undo");
}

#[test]
fn a_run_that_takes_too_long_is_taken_back() {
    let text = "settings: { timeout: 1m }\nsteps:\n  - { id: a, do: sys.put, undo: { do: sys.put } }\n  - { id: nap, wait: { for: 1h } }\n";
    let (world, then) = Story::new(text, json!({}), &fine).told();
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!(error.code, "RUN_TIMEOUT");
    assert_eq!(called(&world), ["a", "a.undo"]);
}

#[test]
fn meta_tells_status_attempts_times_and_errors() {
    let text = "steps:
  - { id: slow, do: sys.put }
  - { id: bad, fallback: null, do: sys.put }
  - { id: off, disabled: true, do: sys.put }
  - { id: end, return: { slow: \"${ meta.slow }\", bad: [\"${ meta.bad.status }\", \"${ meta.bad.error.code }\"], off: \"${ meta.off }\" } }
";
    let script =
        |path: &str, before: usize| if path == "slow" && before == 0 { Answer::Again(60) } else { some_fail(path, before) };
    let out = Story::new(text, json!({}), &script).plain().output().expect("an output");
    let slow = &out["slow"];
    assert_eq!((&slow["status"], &slow["attempts"], &slow["error"]), (&json!("succeeded"), &json!(2), &Value::Null));
    assert_eq!(slow["started_at"], "1970-01-01T00:00:00.001Z");
    assert!(slow["finished_at"].as_str().is_some_and(|at| at.starts_with("1970-01-01T00:01:00")), "{slow}");
    assert_eq!(out["bad"], json!(["fallback", "HTTP_503"]));
    assert_eq!(out["off"]["status"], "skipped");
    assert_eq!(out["off"]["started_at"], Value::Null);
}

#[test]
fn saved_values_are_seen_at_once_and_ride_with_the_end() {
    let text = "state: { n: { type: integer, default: 0 }, keep: { type: string, default: x } }
steps:
  - { id: one, save: { n: \"${ state.n + 1 }\" } }
  - id: push
    each: ${ trigger.rows }
    steps:
      - { id: more, save: { n: \"${ state.n + item }\" } }
      - { id: up, do: sys.put, with: { n: \"${ state.n }\" } }
  - { id: after, do: sys.put, with: { n: \"${ state.n }\" } }
  - { id: end, return: { n: \"${ state.n }\", keep: \"${ state.keep }\", out: \"${ steps.one }\" } }
";
    let mut story = Story::new(text, json!({ "rows": [10, 100] }), &fine);
    assert_eq!(story.output(), json!({ "n": 111, "keep": "x", "out": null }), "the defaults count before the first run");
    story.state = json!({ "n": 5, "keep": "y" });
    let (world, _) = story.told();
    assert_eq!(world.output(), Some(json!({ "n": 116, "keep": "y", "out": null })));
    assert_eq!(world.calls[0].2, json!({ "n": 16 }));
    assert_eq!(world.recover().journal.state, story.state.into());
}

#[test]
fn the_first_answer_to_the_caller_is_the_answer() {
    let text = "steps:\n  - { id: first, respond: { status: 201, body: { id: \"${ trigger.id }\" } } }\n  - { id: ring, do: sys.put }\n  - { id: second, respond: { status: 500 } }\n  - { id: end, return: [\"${ steps.first }\"] }\n";
    let story = Story::new(text, json!({ "id": 7 }), &fine);
    let (world, _) = story.told();
    let mut state = world.recover();
    assert!(matches!(decide(&story.program, &mut state, store::Timestamp::from_micros(world.now)), Next::End(_)));
    assert_eq!(state.response.as_deref(), Some(&json!({ "status": 201, "body": { "id": 7 } })));
    assert_eq!(world.output(), Some(json!([null])));
}

#[test]
fn people_and_callers_settle_what_waits_for_them() {
    let text = "steps:
  - id: ok
    wait: { approval: { from: { group: finance }, ask: Pay? }, timeout: 3d }
  - id: back
    wait: { callback: }
  - { id: end, return: [\"${ steps.ok.outcome }\", \"${ steps.ok.by }\", \"${ steps.back.body.x }\"] }
";
    let story = Story::new(text, json!({}), &fine)
        .said("ok", json!({ "outcome": "approved", "form": {}, "by": "ann", "comment": null }))
        .said("back", json!({ "outcome": "called", "body": { "x": 5 }, "headers": {} }));
    assert_eq!(story.output(), json!(["approved", "ann", 5]));
}

#[test]
fn a_wait_that_is_given_up_says_so() {
    let text = "steps:\n  - { id: nap, wait: { for: 1h }, timeout: 1m }\n  - { id: end, return: \"${ steps.nap.outcome }\" }\n";
    assert_eq!(Story::new(text, json!({}), &fine).output(), json!("timed_out"));
    let text = "steps:\n  - { id: nap, wait: { for: 1m }, timeout: 1h }\n  - { id: end, return: \"${ steps.nap.outcome }\" }\n";
    assert_eq!(Story::new(text, json!({}), &fine).output(), json!("done"));
}

#[test]
fn steps_that_hold_steps_have_their_own_time_limit() {
    for (holder, after) in [
        ("try:\n      - { id: nap, wait: { for: 1h } }", "timeout: 1m\n    finally:\n      - { id: fin, do: sys.put }"),
        ("each: [1, 2]\n    steps:\n      - { id: nap, wait: { for: 1h } }", "timeout: 1m"),
        ("repeat: { until: index == 5, wait: 1h, max: 10 }\n    steps:\n      - { id: ring, do: sys.put }", "timeout: 90m"),
        ("choose:\n      - when: true\n        steps:\n          - { id: nap, wait: { for: 1h } }", "timeout: 1m"),
        (
            "parallel:\n      a:\n        - { id: nap, wait: { for: 1h } }\n      b:\n        - { id: ring, do: sys.put }",
            "timeout: 1m",
        ),
    ] {
        let text = format!(
            "steps:\n  - id: box\n    {holder}\n    {after}\n    on_error: continue\n  - {{ id: end, return: '${{ meta.box.error?.code ?? \"none\" }}' }}\n"
        );
        assert_eq!(Story::new(&text, json!({}), &fine).output(), json!("STEP_TIMEOUT"), "{text}");
        let long = text.replace("timeout: 1m", "timeout: 9d").replace("timeout: 90m", "timeout: 9d");
        assert_eq!(Story::new(&long, json!({}), &fine).output(), json!("none"), "{long}");
    }
}

#[test]
fn a_pass_that_cannot_collect_is_a_failed_pass() {
    let text = "steps:
  - id: push
    each: ${ trigger.rows }
    partial: skip
    collect: ${ item.n + 1 }
    steps:
      - { id: up, do: sys.put }
  - { id: end, return: \"${ steps.push }\" }
";
    let story = Story::new(text, json!({ "rows": [{ "n": 1 }, { "n": "x" }, { "n": 3 }] }), &fine);
    assert_eq!(story.output(), json!({ "results": [2, null, 4], "total": 3, "failed": 1, "filtered": 0 }));
    let (world, _) = story.told();
    let caught: Vec<_> =
        world.entries().iter().filter(|entry| entry.word() == "caught").filter_map(|e| e.path().cloned()).collect();
    assert_eq!(caught, ["push[1]".into()], "the failed pass stands in the journal");
}

#[test]
fn a_failed_loop_waits_for_what_other_passes_have_under_way_and_begins_nothing_new() {
    let text = "steps:
  - id: push
    each: ${ trigger.rows }
    parallel: 3
    steps:
      - { id: one, do: sys.put }
      - { id: two, do: sys.put }
";
    let script = |path: &str, before: usize| if path == "push[1].one" { Answer::Failed } else { fine(path, before) };
    let (world, then) = Story::new(text, json!({ "rows": [1, 2, 3, 4] }), &script).told();
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!(error.path.as_deref(), Some("push[1].one"));
    assert!(!called(&world).iter().any(|path| path.starts_with("push[3]")), "{:?}", world.told());
}

#[test]
fn the_error_is_in_reach_of_its_handler_only() {
    let text = "steps:
  - id: outer
    try:
      - { id: bad, do: sys.put }
    catch:
      - id: inner
        try:
          - { id: f, fail: second }
        catch:
          - { id: seen, set: { code: \"${ error.code }\" } }
      - { id: again, set: { code: \"${ error.code }\", step: \"${ error.step }\" } }
  - { id: end, return: [\"${ steps.seen.code }\", \"${ steps.again.code }\", \"${ steps.again.step }\"] }
";
    assert_eq!(Story::new(text, json!({}), &some_fail).output(), json!(["FAILED_BY_RECIPE", "HTTP_503", "bad"]));
}

#[test]
fn a_catch_that_fails_still_leads_to_finally() {
    let text = "steps:
  - id: t
    try:
      - { id: bad, do: sys.put }
    catch:
      - { id: bad_too, do: sys.put }
    finally:
      - { id: last, do: sys.put }
";
    let (world, then) = Story::new(text, json!({}), &some_fail).told();
    assert_eq!(called(&world), ["bad", "bad_too", "last"]);
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!(error.path.as_deref(), Some("bad_too"));
    let causes =
        |error: &store::ErrorRecord| -> Vec<_> { error.causes.iter().filter_map(|earlier| earlier.path.clone()).collect() };
    assert_eq!(causes(&error), ["bad"], "what it all began with is told, too");
    assert_eq!((&*error.causes[0].code, &error.causes[0].run), ("HTTP_503", &None));
    let (_, then) = Story::new(&text.replace("id: last", "id: bad_last"), json!({}), &some_fail).told();
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!((error.path.as_deref(), causes(&error)), (Some("bad_last"), vec!["bad_too".to_owned(), "bad".to_owned()]));
}

#[test]
fn calls_of_recipes_are_attempts_that_name_them() {
    let text = "steps:\n  - { id: sub, call: other, with: { x: 1 } }\n  - { id: fire, start: other, with: { x: 2 } }\n  - { id: end, return: [\"${ steps.sub.from }\", \"${ steps.fire.run_id }\"] }\n";
    let script =
        |path: &str, _: usize| Answer::Ok(if path == "fire" { json!({ "run_id": "run_1" }) } else { json!({ "from": path }) });
    let (world, _) = Story::new(text, json!({}), &script).told();
    assert_eq!(world.output(), Some(json!(["sub", "run_1"])));
    assert_eq!(world.calls[0].2, json!({ "x": 1 }));
}

#[test]
fn a_branch_is_due_in_time_while_another_one_calls() {
    let text = "steps:\n  - id: both\n    parallel:\n      long:\n        - { id: one, do: sys.put }\n      short:\n        - { id: nap, wait: { for: 5s } }\n";
    let (program, mut world) = (program(text), World::default());
    let mut state = world.begin(json!({}));
    let now = store::Timestamp::from_micros(0);
    let Next::Act(attempts) = decide(&program, &mut state, now) else { panic!() };
    state.in_flight.extend(attempts.into_iter().map(|attempt| attempt.path));
    assert!(matches!(decide(&program, &mut state, now), Next::InFlight));
    assert_eq!(state.wake, Some(store::Timestamp::from_micros(5_000_000)));
}

#[test]
fn a_failed_loop_begins_nothing_while_it_waits() {
    let text = "steps:
  - id: push
    each: ${ trigger.rows }
    parallel: 3
    steps:
      - { id: one, do: sys.put }
      - { id: two, do: sys.put }
";
    let (program, mut world, now) = (program(text), World::default(), store::Timestamp::from_micros(0));
    let mut state = world.begin(json!({ "rows": [1, 2, 3] }));
    let Next::Act(attempts) = decide(&program, &mut state, now) else { panic!("three passes begin") };
    state.in_flight.extend(attempts.into_iter().map(|attempt| attempt.path));
    let err = crate::bench::error();
    state.in_flight.remove("push[1].one");
    state.push(Entry::Failed { p: "push[1].one".into(), n: 1, at: now, err, retry: None, doubt: false });
    assert!(matches!(decide(&program, &mut state, now), Next::InFlight));
    for (path, last) in [("push[0].one", false), ("push[2].one", true)] {
        state.in_flight.remove(path);
        state.push(Entry::Succeeded { p: path.into(), n: 1, at: now, out: Arc::default() });
        let next = decide(&program, &mut state, now);
        assert!(if last { matches!(next, Next::End(Then::Failed { .. })) } else { matches!(next, Next::InFlight) }, "{next:?}");
    }
}

#[test]
fn a_doubt_that_nobody_waited_for_is_found_at_the_end() {
    let text = "steps:
  - id: race
    parallel:
      quick:
        - { id: get, do: sys.get }
      slow:
        - { id: pay, do: sys.post }
    wait_for: any
  - { id: after, do: sys.put }
";
    let (program, mut world, now) = (program(text), World::default(), store::Timestamp::from_micros(0));
    let mut state = world.begin(json!({}));
    let Next::Act(attempts) = decide(&program, &mut state, now) else { panic!("both begin") };
    world.commit(&mut state);
    state.in_flight.extend(attempts.into_iter().map(|attempt| attempt.path));
    state.in_flight.remove("get");
    state.push(Entry::Succeeded { p: "get".into(), n: 1, at: now, out: Arc::default() });
    assert!(matches!(decide(&program, &mut state, now), Next::Act(_)), "the step after the race begins");
    world.commit(&mut state);
    // The process dies while `pay` is under way, and the race is long over.
    let then = world.drive(&program, &mut world.recover(), &fine, 1000).expect("the run ends");
    let Then::Failed { error, .. } = then else { panic!("{then:?} {:?}", world.told()) };
    assert_eq!((error.code.as_str(), error.path.as_deref()), ("OUTCOME_UNKNOWN", Some("pay")));
    assert!(called(&world).contains(&"after"));
}

#[test]
fn a_crash_shows_the_doubt_of_a_branch_nobody_waits_for() {
    // Both begin; the process dies; `quick` is repeated and wins, `pay` may have happened.
    let text = "steps:
  - id: race
    parallel:
      quick:
        - { id: get, do: sys.get }
      slow:
        - { id: pay, do: sys.post }
    wait_for: any
";
    let program = program(text);
    let mut world = World::default();
    let mut state = world.begin(json!({}));
    assert!(world.drive(&program, &mut state, &fine, 1).is_none());
    let mut recovered = world.recover();
    let then = world.drive(&program, &mut recovered, &fine, 1000).expect("the run ends");
    let Then::Failed { error, .. } = then else { panic!("{then:?} {:?}", world.told()) };
    assert_eq!((error.code.as_str(), error.path.as_deref()), ("OUTCOME_UNKNOWN", Some("pay")));
}

#[test]
fn every_doubt_that_a_crash_leaves_behind_is_told() {
    let text = "steps:
  - id: both
    parallel:
      one: [{ id: pay, do: sys.post }]
      two: [{ id: walk, each: [1, 2], parallel: 2, steps: [{ id: send, do: sys.post }] }]
";
    let story = Story::new(text, json!({}), &fine);
    let mut world = story.world();
    let mut state = world.begin(json!({}));
    let Next::Act(attempts) = decide(&story.program, &mut state, Timestamp::from_micros(world.now)) else {
        panic!("calls are made")
    };
    assert_eq!(attempts.len(), 3);
    world.commit(&mut state);
    let mut recovered = world.recover();
    let then = world.drive(&story.program, &mut recovered, &fine, 100).expect("it stands");
    assert!(matches!(then, Then::Failed { .. }));
    let mut doubts: Vec<String> = world
        .entries()
        .iter()
        .filter(|entry| matches!(entry, Entry::Uncertain { .. }))
        .filter_map(|entry| entry.path().map(ToString::to_string))
        .collect();
    doubts.sort();
    assert_eq!(doubts, ["pay", "walk[0].send", "walk[1].send"]);
    assert!(world.calls.is_empty(), "nothing is done again");
}
