//! Crashes: every journal is cut after each of its commits, recovered, and driven to its end.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use store::{Entry, Then};

use crate::bench::{Answer, World, program};

const TEN_STEPS: &str = "steps:
  - id: first
    do: sys.get
    with: { id: \"${ trigger.id }\" }
  - id: mapped
    set: { id: \"${ trigger.id }\", from: \"${ steps.first.from }\" }
  - id: second
    do: sys.put
    with: { from: \"${ steps.mapped.from }\" }
  - id: kind
    choose:
      - when: steps.second.from == \"second\"
        steps:
          - id: inside
            do: sys.put
      - otherwise:
          - id: never
            do: sys.put
  - id: walk
    each: ${ trigger.rows }
    collect: ${ steps.up.from }
    steps:
      - id: up
        do: sys.put
        with: { row: \"${ item }\" }
      - id: down
        if: index > 0
        do: sys.get
  - id: last
    do: sys.put
    with: { rows: \"${ steps.walk.results }\" }
  - id: end
    return: { rows: \"${ steps.walk.results }\", kind: \"${ steps.kind.branch }\" }
";

fn event() -> Value {
    json!({ "id": 7, "rows": ["a", "b", "c"] })
}

fn fine(path: &str, _: usize) -> Answer {
    Answer::Ok(json!({ "from": path }))
}

/// Every call fails twice before it works.
fn flaky(path: &str, before: usize) -> Answer {
    if before < 2 { Answer::Again(5) } else { fine(path, before) }
}

fn whole(script: &dyn Fn(&str, usize) -> Answer) -> World {
    let mut world = World::default();
    let mut state = world.begin(event());
    world.drive(&program(TEN_STEPS), &mut state, script, 1000).expect("the run ends");
    world
}

#[test]
fn a_run_cut_after_any_commit_ends_as_if_nothing_had_happened() {
    for script in [fine, flaky] {
        let reference = whole(&script);
        let program = program(TEN_STEPS);
        for cut in 1..reference.chunks.len() {
            let mut world = World { chunks: reference.chunks[..cut].to_vec(), ..World::default() };
            // Calls whose outcome was committed before the cut.
            let done: HashSet<String> = world
                .entries()
                .iter()
                .filter(|entry| matches!(entry, Entry::Succeeded { .. }))
                .filter_map(|entry| entry.path().map(ToString::to_string))
                .collect();
            let mut state = world.recover();
            let then = world.drive(&program, &mut state, &script, 1000).expect("the recovered run ends");
            assert!(matches!(then, Then::Succeeded { .. }), "cut {cut}: {then:?}");
            assert_eq!(world.output(), reference.output(), "cut {cut}");
            let repeated: Vec<_> = world.calls.iter().filter(|(path, ..)| done.contains(path)).collect();
            assert!(repeated.is_empty(), "cut {cut}: finished steps were done again: {repeated:?}");
            // The call that was under way is made again with exactly what it was first given.
            let before: HashMap<&str, &Value> = reference.calls.iter().map(|(path, _, input)| (path.as_str(), input)).collect();
            for (path, _, input) in &world.calls {
                assert_eq!(Some(&input), before.get(path.as_str()), "cut {cut}, {path}");
            }
        }
    }
}

#[test]
fn a_run_that_crashes_at_every_commit_still_ends() {
    let program = program(TEN_STEPS);
    let mut world = World::default();
    let mut state = world.begin(event());
    let mut then = world.drive(&program, &mut state, &fine, 1);
    let mut crashes = 0;
    while then.is_none() {
        // The process dies right after a call: its answer is lost, only the `started` entry is kept.
        crashes += 1;
        assert!(crashes < 100, "the run never ends: {:?}", world.told());
        let mut recovered = world.recover();
        // Every second life gets one commit further, so that each call is lost once.
        then = world.drive(&program, &mut recovered, &fine, 2);
    }
    assert!(matches!(then, Some(Then::Succeeded { .. })), "{then:?}");
    assert!(crashes > 5);
}

#[test]
fn a_crash_during_a_once_effect_leaves_a_doubt_and_repeats_nothing() {
    let program = program("steps:\n  - id: pay\n    do: sys.post\n    with: { amount: 5 }\n  - id: after\n    do: sys.put\n");
    let mut world = World::default();
    let mut state = world.begin(event());
    assert!(world.drive(&program, &mut state, &fine, 1).is_none());
    let calls = world.calls.len();
    let mut recovered = world.recover();
    let then = world.drive(&program, &mut recovered, &fine, 1000).expect("the run ends");
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!((error.code.as_str(), error.path.as_deref()), ("OUTCOME_UNKNOWN", Some("pay")));
    assert_eq!(world.calls.len(), calls, "nothing was called again");
    assert_eq!(world.told(), ["accepted", "started pay 1", "uncertain pay 1", "ended failed"]);
}

#[test]
fn an_uncertain_answer_is_never_tried_again_by_itself() {
    let program = program("steps:\n  - id: pay\n    do: sys.post\n");
    let mut world = World::default();
    let mut state = world.begin(event());
    let then = world.drive(&program, &mut state, &|_, _| Answer::Uncertain, 1000).expect("the run ends");
    assert!(matches!(then, Then::Failed { .. }));
    assert_eq!(world.calls.len(), 1);
}

#[test]
fn a_step_that_takes_its_process_down_every_time_is_given_up() {
    let program = program("steps:\n  - id: poison\n    retry: 2\n    do: sys.put\n");
    let mut world = World::default();
    let mut state = world.begin(event());
    let mut then = world.drive(&program, &mut state, &fine, 1);
    while then.is_none() {
        assert!(world.calls.len() < 100, "it is repeated without end");
        let mut recovered = world.recover();
        then = world.drive(&program, &mut recovered, &fine, 1);
    }
    let Some(Then::Failed { error, .. }) = then else { panic!("{then:?}") };
    assert_eq!(error.code, "STOPPED_TOO_OFTEN");
}
