//! Every step word told from event to journal, and cut after each commit.

use serde_json::{Value, json};
use store::{Entry, Then};

use crate::bench::{Answer, World, program};

fn fine(path: &str, _: usize) -> Answer {
    Answer::Ok(json!({ "from": path }))
}

/// Whatever has `bad` in its path fails.
fn some_fail(path: &str, before: usize) -> Answer {
    if path.contains("bad") { Answer::Failed } else { fine(path, before) }
}

fn run(steps: &str, event: Value, script: &dyn Fn(&str, usize) -> Answer) -> (World, Then) {
    let program = program(steps);
    let mut world = World::default();
    let mut state = world.begin(event.clone());
    let then = world.drive(&program, &mut state, script, 1000).expect("the story ends");
    assert_cut(steps, &world, script);
    (world, then)
}

/// Cut after any commit and recovered, the run ends the same way and does nothing twice.
fn assert_cut(steps: &str, reference: &World, script: &dyn Fn(&str, usize) -> Answer) {
    let program = program(steps);
    for cut in 1..reference.chunks.len() {
        let mut world = World { chunks: reference.chunks[..cut].to_vec(), now: reference.now, ..World::default() };
        let known = world.entries();
        let mut state = world.recover();
        world.drive(&program, &mut state, script, 1000).expect("the recovered run ends");
        assert_eq!(world.output(), reference.output(), "cut {cut} of\n{steps}");
        let ended = |world: &World| world.told().last().cloned();
        assert_eq!(ended(&world), ended(reference), "cut {cut} of\n{steps}");
        for (path, ..) in &world.calls {
            let done = known.iter().any(|entry| matches!(entry, Entry::Succeeded { p, .. } if **p == **path));
            assert!(!done, "cut {cut}: {path} was done again in\n{steps}");
        }
    }
}

fn output(steps: &str, event: Value) -> Value {
    let (world, then) = run(steps, event, &some_fail);
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}\n{:?}", world.told());
    world.output().expect("the story returns something")
}

#[test]
fn disabled_steps_are_passed_over() {
    let steps = "steps:\n  - { id: a, disabled: true, do: sys.put }\n  - { id: b, return: { a: \"${ steps.a }\", s: \"${ meta.a.status }\" } }\n";
    let (world, _) = run(steps, json!({}), &fine);
    assert!(world.calls.is_empty());
    assert_eq!(world.output(), Some(json!({ "a": null, "s": "skipped" })));
}

#[test]
fn a_failure_may_not_matter() {
    let steps = "steps:\n  - { id: bad, on_error: continue, do: sys.put }\n  - { id: bad2, fallback: { x: \"${ error.code }\" }, do: sys.put }\n  \
                 - { id: end, return: { a: \"${ steps.bad }\", b: \"${ steps.bad2.x }\", s: [\"${ meta.bad.status }\", \"${ meta.bad2.status }\"] } }\n";
    assert_eq!(output(steps, json!({})), json!({ "a": null, "b": "HTTP_503", "s": ["failed", "fallback"] }));
}

#[test]
fn a_doubt_is_never_caught() {
    let steps = "steps:\n  - id: t\n    try:\n      - { id: pay, on_error: continue, do: sys.post }\n    catch:\n      - { id: c, do: sys.put }\n";
    let (world, then) = run(steps, json!({}), &|_, _| Answer::Uncertain);
    assert!(matches!(then, Then::Failed { .. }), "{then:?}");
    assert_eq!(world.calls.len(), 1, "nothing comes after a doubt");
}

#[test]
fn stop_ends_a_run_well() {
    let (world, then) =
        run("steps:\n  - { id: a, stop: \"No ${ trigger.x }\" }\n  - { id: b, do: sys.put }\n", json!({ "x": 1 }), &fine);
    assert!(matches!(then, Then::Succeeded { .. }));
    assert_eq!(world.output(), Some(json!({ "stopped": "No 1" })));
    assert!(world.calls.is_empty());
}

#[test]
fn try_catch_finally() {
    let steps = "steps:\n  - id: t\n    try:\n      - { id: one, do: sys.put }\n      - { id: bad, do: sys.put }\n      - { id: never, do: sys.put }\n    \
                 catch:\n      - { id: note, do: sys.put, with: { why: \"${ error.code } at ${ error.step }\" } }\n    finally:\n      - { id: last, do: sys.put }\n  \
                 - { id: end, return: { o: \"${ steps.t.outcome }\", one: \"${ steps.one.from ?? 0 }\", bad: \"${ steps.bad ?? 1 }\" } }\n";
    let (world, _) = run(steps, json!({}), &some_fail);
    let calls: Vec<_> = world.calls.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(calls, ["one", "bad", "note", "last"]);
    assert_eq!(world.calls[2].2, json!({ "why": "HTTP_503 at bad" }));
    assert_eq!(world.output(), Some(json!({ "o": "caught", "one": "one", "bad": 1 })));
}

#[test]
fn finally_runs_whatever_ends_the_try() {
    let steps = "steps:\n  - id: t\n    try:\n      - { id: r, return: 5 }\n    finally:\n      - { id: last, do: sys.put }\n";
    let (world, _) = run(steps, json!({}), &fine);
    assert_eq!((world.calls.len(), world.output()), (1, Some(json!(5))));
    let steps =
        "steps:\n  - id: t\n    try:\n      - { id: bad, do: sys.put }\n    finally:\n      - { id: last, do: sys.put }\n";
    let (world, then) = run(steps, json!({}), &some_fail);
    assert_eq!(world.calls.len(), 2);
    assert!(matches!(then, Then::Failed { .. }), "without a catch the failure goes on");
}

#[test]
fn branches_go_side_by_side() {
    let steps = "steps:\n  - id: both\n    parallel:\n      left:\n        - { id: a, do: sys.put }\n        - { id: b, do: sys.put, with: { x: \"${ steps.a.from }\" } }\n      \
                 right:\n        - { id: c, do: sys.put }\n  - { id: end, return: { b: \"${ steps.both.left.b.from }\", c: \"${ steps.both.right.c.from }\" } }\n";
    let (world, _) = run(steps, json!({}), &fine);
    assert_eq!(world.told()[1..3], ["started a 1", "started c 1"], "both begin in one commit");
    assert_eq!(world.output(), Some(json!({ "b": "b", "c": "c" })));
}

#[test]
fn how_steps_in_branches_went_is_known_outside_of_them() {
    // A call comes between, so that what was known is found again in the journal.
    let told = |holder: &str, read: &str| {
        let then = "  - { id: then, do: sys.put }\n  - { id: end, return: \"${ READ }\" }\n".replace("READ", read);
        output(&format!("steps:\n  - id: box\n{holder}\n{then}"), json!({}))
    };
    let status = "[meta.a.status, meta.b.attempts > 0, meta.c?.status]";
    let both = "    parallel:\n      left:\n        - { id: a, do: sys.put }\n        - id: pick\n          choose:\n            - when: 1 == 1\n              steps: [ { id: b, do: sys.put } ]\n            \
                - otherwise: [ { id: c, do: sys.put } ]\n      right:\n        - { id: d, if: 1 == 2, do: sys.put }";
    assert_eq!(told(both, status), json!(["succeeded", true, null]));
    assert_eq!(told(both, "[meta.d.status, meta.pick.status]"), json!(["skipped", "succeeded"]));
    let choice = "    choose:\n      - when: 1 == 1\n        steps: [ { id: a, do: sys.put }, { id: b, do: sys.put } ]\n      - otherwise: [ { id: c, do: sys.put } ]";
    assert_eq!(told(choice, status), json!(["succeeded", true, null]));
    let tried = "    try: [ { id: a, do: sys.put }, { id: bad, do: sys.put } ]\n    catch: [ { id: b, do: sys.put } ]\n    finally: [ { id: c, do: sys.put } ]";
    assert_eq!(told(tried, status), json!(["succeeded", true, "succeeded"]));
    let rescued = |holder: &str| format!("{holder}\n    on_error: continue");
    let choice =
        rescued("    choose:\n      - when: 1 == 1\n        steps: [ { id: a, do: sys.put }, { id: bad, do: sys.put } ]");
    assert_eq!(told(&choice, "[meta.a.status, steps.a.from, meta.bad?.status]"), json!(["succeeded", "a", null]));
    let tried = rescued("    try: [ { id: a, do: sys.put }, { id: bad, do: sys.put } ]\n    finally: [ { id: c, do: sys.put } ]");
    assert_eq!(told(&tried, "[meta.a.status, meta.c.status]"), json!(["succeeded", "succeeded"]));
    let both = rescued("    parallel:\n      left: [ { id: a, do: sys.put } ]\n      right: [ { id: bad, do: sys.put } ]");
    assert_eq!(told(&both, "[meta.a.status, meta.bad?.status]"), json!(["succeeded", null]));
}

#[test]
fn a_catch_knows_how_steps_in_branches_went() {
    let steps = "steps:\n  - id: t\n    try:\n      - id: both\n        parallel:\n          left: [ { id: a, do: sys.put } ]\n          right: [ { id: bad, do: sys.put } ]\n    \
                 catch:\n      - { id: note, do: sys.put, with: { a: \"${ meta.a.status }\" } }\n      - { id: end, return: \"${ meta.a.status }\" }\n";
    let (world, _) = run(steps, json!({}), &some_fail);
    assert_eq!((&world.calls[2].2, world.output()), (&json!({ "a": "succeeded" }), Some(json!("succeeded"))));
}

#[test]
fn what_a_branch_does_later_than_anybody_waits_is_not_told_outside() {
    let steps = "steps:\n  - id: first\n    wait_for: any\n    parallel:\n      quick: [ { id: a, do: sys.put } ]\n      slow: [ { id: s, wait: { for: 1m } }, { id: c, do: sys.put } ]\n  \
                 - { id: then, wait: { for: 5m } }\n  - { id: end, return: [\"${ meta.a.status }\", \"${ meta.s?.status }\", \"${ meta.c?.status }\"] }\n";
    let (world, _) = run(steps, json!({}), &fine);
    assert_eq!(world.output(), Some(json!(["succeeded", null, null])));
}

#[test]
fn a_failed_branch_fails_its_step_when_the_others_are_done() {
    let steps = "steps:\n  - id: both\n    parallel:\n      left:\n        - { id: bad, do: sys.put }\n      right:\n        - { id: c, do: sys.put }\n        - { id: d, do: sys.put }\n";
    let (world, then) = run(steps, json!({}), &some_fail);
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!(error.path.as_deref(), Some("bad"));
    assert!(world.calls.iter().any(|(path, ..)| path == "d"));
}

#[test]
fn the_first_branches_may_be_enough() {
    let steps = "steps:\n  - id: race\n    parallel:\n      left:\n        - { id: bad, do: sys.put }\n      right:\n        - { id: c, do: sys.put }\n    wait_for: any\n  \
                 - { id: end, return: \"${ steps.race.right.c.from }\" }\n";
    assert_eq!(output(steps, json!({})), json!("c"));
}

/// Three branches of which two are waited for: those, then a call, then what the step gave.
fn two_of(branches: &str) -> String {
    format!(
        "steps:\n  - id: race\n    parallel:\n{branches}    wait_for: 2\n  - {{ id: then, do: sys.put }}\n  - {{ id: end, return: \"${{ steps.race }}\" }}\n"
    )
}

#[test]
fn so_many_branches_are_enough_and_the_rest_is_cut_short() {
    let steps = two_of(
        "      slow: [ { id: s, wait: { for: 1h } }, { id: never, do: sys.put } ]\n      one: [ { id: a, do: sys.put } ]\n      two: [ { id: nap, wait: { for: 1m } }, { id: b, do: sys.put } ]\n",
    );
    let (world, _) = run(&steps, json!({}), &fine);
    let calls: Vec<_> = world.calls.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(calls, ["a", "b", "then"], "two are waited for, one is not enough, and the third is left where it is");
    let out = world.output().expect("the run ends well");
    assert_eq!((&out["one"]["a"]["from"], &out["two"]["b"]["from"], &out["slow"]), (&json!("a"), &json!("b"), &json!({})));
    assert!(world.now < 3_600_000_000, "nobody waited an hour: {}", world.now);
}

#[test]
fn nothing_more_is_begun_in_a_branch_when_enough_are_done() {
    // All three calls are answered at once; the first branch would have one more to make.
    let steps = two_of(
        "      slow: [ { id: s, do: sys.put }, { id: never, do: sys.put } ]\n      one: [ { id: a, do: sys.put } ]\n      two: [ { id: b, do: sys.put } ]\n",
    );
    let (world, _) = run(&steps, json!({}), &fine);
    let calls: Vec<_> = world.calls.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(calls, ["s", "a", "b", "then"]);
    assert_eq!(world.output().expect("an output")["slow"]["s"]["from"], "s", "what it did is there");
}

#[test]
fn what_a_branch_reckons_after_its_last_call_is_no_reason_to_begin_more_in_another() {
    let ends = [
        "{ id: b, do: sys.put }, { id: sum, set: { n: 1 } }",
        "{ id: b, do: sys.put }, { id: pick, choose: [ { when: 1 == 1, steps: [ { id: n, set: { n: 1 } } ] } ] }",
        "{ id: round, try: [ { id: b, do: sys.put }, { id: sum, set: { n: 1 } } ], catch: [ { id: no, do: sys.put } ] }",
    ];
    // One that may still call is not over before it is walked.
    let go_on = [
        "{ id: b, do: sys.put }, { id: pick, choose: [ { when: 1 == 2, steps: [ { id: n, set: { n: 1 } } ] }, { otherwise: [ { id: c, do: sys.put } ] } ] }",
        "{ id: b, do: sys.put }, { id: c, do: sys.put }, { id: t, try: [ { id: n, set: { n: 1 } } ], catch: [ { id: no, do: sys.put } ] }",
    ];
    for end in ends {
        let steps = two_of(&format!(
            "      slow: [ {{ id: s, do: sys.put }}, {{ id: never, do: sys.put }} ]\n      one: [ {{ id: a, do: sys.put }} ]\n      two: [ {end} ]\n"
        ));
        let (world, _) = run(&steps, json!({}), &fine);
        let calls: Vec<_> = world.calls.iter().map(|(path, ..)| path.as_str()).collect();
        assert_eq!(calls, ["s", "a", "b", "then"], "{end}");
    }
    for goes_on in go_on {
        let steps = format!(
            "steps:\n  - id: race\n    parallel:\n      left: [ {goes_on} ]\n      right: [ {{ id: a, do: sys.put }} ]\n    wait_for: any\n  - {{ id: end, return: \"${{ steps.race }}\" }}\n"
        );
        let (world, _) = run(&steps, json!({}), &fine);
        let calls: Vec<_> = world.calls.iter().map(|(path, ..)| path.as_str()).collect();
        assert_eq!(calls, ["b", "a"], "{goes_on}: what is left to do there is no reason to walk it first");
    }
}

#[test]
fn what_was_dealt_with_at_the_end_of_a_branch_that_is_enough_stands_in_the_journal() {
    for rescue in ["fallback: { n: 1 }", "on_error: continue"] {
        let steps = format!(
            "steps:\n  - id: race\n    parallel:\n      slow: [ {{ id: s, wait: {{ for: 1h }} }} ]\n      one: [ {{ id: bad, do: sys.put, {rescue} }} ]\n    wait_for: any\n  \
             - {{ id: then, do: sys.put }}\n  - {{ id: end, return: \"${{ steps.race.one }}\" }}\n"
        );
        let (world, then) = run(&steps, json!({}), &some_fail);
        assert!(matches!(then, Then::Succeeded { .. }), "{rescue}: {then:?}");
        let caught: Vec<_> =
            world.entries().iter().filter(|entry| entry.word() == "caught").filter_map(|e| e.path().cloned()).collect();
        assert_eq!(caught, ["bad".into()], "{rescue}");
        assert!(world.output().is_some_and(|given| given.get("bad").is_some()), "{rescue}: {:?}", world.output());
    }
}

#[test]
fn a_failed_branch_is_none_of_those_waited_for() {
    let steps = two_of(
        "      one: [ { id: bad, do: sys.put } ]\n      two: [ { id: a, do: sys.put } ]\n      three: [ { id: nap, wait: { for: 1m } }, { id: b, do: sys.put } ]\n",
    );
    let (world, then) = run(&steps, json!({}), &some_fail);
    assert!(matches!(then, Then::Succeeded { .. }), "two came to their end: {then:?}");
    let calls: Vec<_> = world.calls.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(calls, ["bad", "a", "b", "then"]);
}

#[test]
fn with_too_few_branches_left_the_step_fails_when_they_are_done() {
    let branches = "      one: [ { id: bad, do: sys.put } ]\n      two: [ { id: bad2, do: sys.put } ]\n      three: [ { id: nap, wait: { for: 1m } }, { id: a, do: sys.put } ]\n";
    let (world, then) = run(&two_of(branches), json!({}), &some_fail);
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!((error.code.as_str(), error.path.as_deref()), ("HTTP_503", Some("bad")), "the first failure is told");
    let calls: Vec<_> = world.calls.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(calls, ["bad", "bad2", "a"], "what the last one began is not left half done");
    let caught = two_of(branches).replace("    wait_for: 2\n", "    wait_for: 2\n    fallback: { why: \"${ error.code }\" }\n");
    assert_eq!(output(&caught, json!({})), json!({ "why": "HTTP_503" }));
}

#[test]
fn a_doubt_in_a_branch_stands_however_many_are_done() {
    let steps = two_of(
        "      one: [ { id: a, do: sys.put } ]\n      two: [ { id: b, do: sys.put } ]\n      three: [ { id: pay, do: sys.post } ]\n",
    );
    let doubt = |path: &str, before: usize| if path == "pay" { Answer::Uncertain } else { fine(path, before) };
    let (world, then) = run(&steps, json!({}), &doubt);
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!(error.path.as_deref(), Some("pay"));
    assert_eq!(world.calls.len(), 3, "nothing comes after a doubt");
}

#[test]
fn passes_in_batches_and_several_at_once() {
    let steps = "steps:\n  - id: push\n    each: ${ trigger.rows }\n    batch: 2\n    parallel: 2\n    collect: ${ item }\n    steps:\n      \
                 - { id: up, do: sys.put, with: { rows: \"${ item }\", at: \"${ index }\" } }\n  - { id: end, return: \"${ steps.push }\" }\n";
    let (world, _) = run(steps, json!({ "rows": [1, 2, 3, 4, 5] }), &fine);
    assert_eq!(world.calls.len(), 3);
    assert_eq!(world.told()[1..3], ["started push[0].up 1", "started push[1].up 1"]);
    assert_eq!(world.output(), Some(json!({ "results": [[1, 2], [3, 4], [5]], "total": 3, "failed": 0, "filtered": 0 })));
}

#[test]
fn failed_passes_may_be_counted_and_left() {
    let steps = "steps:\n  - id: push\n    each: ${ trigger.rows }\n    partial: skip\n    steps:\n      - { id: up, do: sys.put }\n  - { id: end, return: \"${ steps.push }\" }\n";
    let script = |path: &str, before: usize| if path == "push[1].up" { Answer::Failed } else { fine(path, before) };
    let (world, _) = run(steps, json!({ "rows": [1, 2, 3] }), &script);
    let out = world.output().expect("an output");
    assert_eq!((&out["total"], &out["failed"], &out["results"][1]), (&json!(3), &json!(1), &Value::Null));
    assert_eq!(out["results"][2], json!({ "from": "push[2].up" }));
}

#[test]
fn failed_passes_may_be_held_for_a_person_while_the_rest_is_done() {
    let steps = "steps:\n  - id: push\n    each: ${ trigger.rows }\n    partial: dead_letter\n    parallel: 2\n    steps:\n      - { id: up, do: sys.put }\n      \
                 - { id: pay, do: sys.put }\n  - { id: after, do: sys.put }\n  - { id: end, return: \"${ steps.push.failed }\" }\n";
    let broken = |path: &str, before: usize| match path {
        "push[1].pay" | "push[3].up" => Answer::Failed,
        _ => fine(path, before),
    };
    let (mut world, then) = run(steps, json!({ "rows": [1, 2, 3, 4] }), &broken);
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!((&*error.class, &*error.code, error.path.as_deref()), ("partial", store::ITEMS_FAILED, Some("push[1].pay")));
    assert_eq!(world.output(), Some(json!(2)), "what it gives is kept");
    assert!(world.calls.iter().any(|(path, ..)| path == "after"), "the steps after the loop are done");

    // A person resumes it: only what failed is done again.
    world.calls.clear();
    let mut state = world.recover();
    let at = state.journal.accepted_at;
    state.push(Entry::Resumed { at, by: "ines".into(), version: None });
    for path in ["push[1]", "push[3]", "push[1].pay", "push[3].up"] {
        state.push(Entry::Reopened { p: path.into(), at, by: "ines".into() });
    }
    world.commit(&mut state);
    let resumed = world.chunks.len();
    let program = program(steps);
    let one_left = |path: &str, before: usize| if path == "push[1].pay" { Answer::Failed } else { fine(path, before) };
    let then = world.drive(&program, &mut state, &one_left, 100);
    assert!(matches!(then, Some(Then::Failed { error, .. }) if error.message.starts_with("1 item")));
    let called: Vec<&str> = world.calls.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(called, ["push[1].pay", "push[3].up", "push[3].pay"]);

    // A crash before its outcome is known makes no difference.
    for cut in resumed..world.chunks.len() - 1 {
        let mut cut = World { chunks: world.chunks[..cut].to_vec(), now: world.now, ..World::default() };
        let then = cut.drive(&program, &mut cut.recover(), &fine, 100);
        assert!(matches!(then, Some(Then::Succeeded { .. })), "{then:?}");
        assert_eq!(cut.output(), Some(json!(2)));
    }
}

#[test]
fn a_loop_goes_on_until_it_holds() {
    let steps = "steps:\n  - id: poll\n    repeat: { until: steps.ask.n == 3, wait: 1h, max: 10 }\n    steps:\n      - { id: ask, do: sys.get, with: { turn: \"${ index }\" } }\n  \
                 - { id: end, return: \"${ steps.poll }\" }\n";
    let script = |path: &str, _: usize| Answer::Ok(json!({ "n": if path == "poll[2].ask" { 3 } else { 0 } }));
    let (world, _) = run(steps, json!({}), &script);
    assert_eq!(world.output(), Some(json!({ "turns": 3, "last": { "n": 3 } })));
    assert!(world.now >= 2 * 3_600_000_000, "it waited between the turns");
}

#[test]
fn a_loop_that_never_holds_fails() {
    let steps =
        "steps:\n  - id: poll\n    repeat: { until: steps.ask.n == 3, max: 2 }\n    steps:\n      - { id: ask, do: sys.get }\n";
    let (world, then) = run(steps, json!({}), &|_, _| Answer::Ok(json!({ "n": 0 })));
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!((error.code.as_str(), world.calls.len()), ("TOO_MANY_TURNS", 2));
}

#[test]
fn waits_are_durable() {
    let steps = "steps:\n  - { id: nap, wait: { for: 1h } }\n  - { id: later, wait: { until: \"${ trigger.at }\" } }\n  - { id: end, return: \"${ steps.nap.outcome }\" }\n";
    let (world, _) = run(steps, json!({ "at": "1970-01-01T03:00:00Z" }), &fine);
    assert_eq!(
        world.told(),
        ["accepted", "waits nap", "computed nap", "waits later", "computed later", "computed end", "ended succeeded"]
    );
    assert!(world.now >= 3 * 3_600_000_000);
}

#[test]
fn a_time_that_is_none_is_told() {
    let (_, then) = run("steps:\n  - { id: nap, wait: { for: \"${ trigger.x }\" } }\n", json!({ "x": "soon" }), &fine);
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!(error.code, "NOT_A_TIME");
}

#[test]
fn nobody_decides_in_time() {
    let steps = "steps:\n  - id: ok\n    wait: { approval: { from: { group: g }, ask: \"Pay ${ trigger.x }?\" }, timeout: 3d }\n  - { id: end, return: \"${ steps.ok.outcome }\" }\n";
    let (world, _) = run(steps, json!({ "x": 5 }), &fine);
    assert_eq!(world.output(), Some(json!("timed_out")));
    let asked = world.entries().into_iter().find_map(|entry| match entry {
        Entry::Waits { ask, .. } => ask,
        _ => None,
    });
    assert_eq!(asked.as_deref(), Some(&json!({ "from": { "group": "g" }, "ask": "Pay 5?", "form": [] })));
}

#[test]
fn what_was_done_is_undone_newest_first() {
    let undo = |id: &str| format!("undo: {{ do: sys.put, with: {{ was: \"${{ steps.{id}.from }}\" }} }}");
    let steps = format!(
        "steps:\n  - {{ id: a, do: sys.put, {} }}\n  - {{ id: b, do: sys.put, {} }}\n  - {{ id: bad, do: sys.put }}\n",
        undo("a"),
        undo("b")
    );
    let (world, then) = run(&steps, json!({}), &some_fail);
    let calls: Vec<_> = world.calls.iter().map(|(path, _, input)| (path.as_str(), input.clone())).collect();
    assert_eq!(calls[3..], [("b.undo", json!({ "was": "b" })), ("a.undo", json!({ "was": "a" }))]);
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!(error.path.as_deref(), Some("bad"));
}

#[test]
fn an_undo_that_fails_is_told_and_the_rest_is_still_undone() {
    let steps = "steps:\n  - { id: a, do: sys.put, undo: { do: sys.put } }\n  - { id: b, do: sys.put, undo: { do: sys.put } }\n  - { id: bad, do: sys.put }\n";
    let script = |path: &str, before: usize| if path == "b.undo" { Answer::Failed } else { some_fail(path, before) };
    let (world, then) = run(steps, json!({}), &script);
    assert!(world.calls.iter().any(|(path, ..)| path == "a.undo"));
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert!(error.message.contains("b.undo"), "{}", error.message);
}

#[test]
fn the_server_refuses_what_it_cannot_run_yet() {
    let refused = |steps: &str| {
        let text = format!("liaison: 1\nrecipe: story\ntrigger: {{ from: api }}\n{steps}");
        engine::not_yet(&recipe::parse(text.as_bytes()).recipe.expect("a recipe"))
    };
    assert_eq!(refused("steps: [{ id: a, wait: { for: 1h } }]\n"), None);
    let overlap = "settings: { concurrency: { limit: 1, on_overlap: skip } }\nsteps: [{ id: a, return: 1 }]\n";
    assert!(refused(overlap).is_some_and(|why| why.contains("`from: schedule`")));
    assert_eq!(refused("settings: { keep: { succeeded: 1d, payloads: none } }\nsteps: [{ id: a, return: 1 }]\n"), None);
}
