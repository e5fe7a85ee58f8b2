//! Failed items of loops inside other loops and branches, done again when somebody resumes the run.

use serde_json::{Value, json};
use store::{Entry, Then};

use crate::bench::{Answer, World, program};

const INNER: &str =
    "{ id: inner, each: [1, 2, 3], partial: dead_letter, steps: [{ id: up, do: sys.put, with: { of: 'OF', n: '${ item }' } }] }";

fn steps(outer: &str, of: &str) -> String {
    let outer = outer.replace("INNER", &INNER.replace("OF", of));
    format!("steps:\n{outer}\n  - {{ id: after, do: sys.put }}\n  - {{ id: end, return: \"done\" }}\n")
}

/// Runs a story in which one step fails, lets that item be done again, and tells what was called then.
fn again(steps: &str, fails: &str, pass: &str) -> Vec<(String, Value)> {
    let program = program(steps);
    let fine = |path: &str, _: usize| match path.strip_suffix(']').and_then(|path| path.rsplit_once(".pages[")) {
        Some((_, "4")) => Answer::Ok(json!({ "items": [{ "n": 4 }], "next": null })),
        Some((_, page)) => {
            let page: usize = page.parse().expect("a number");
            Answer::Ok(json!({ "items": [{ "n": page }], "next": page + 1 }))
        }
        None => Answer::Ok(json!({ "from": path })),
    };
    let broken = |path: &str, before: usize| if path == fails { Answer::Failed } else { fine(path, before) };
    let mut world = World::default();
    let mut state = world.begin(json!({ "rows": ["a", "b", "c"] }));
    let then = world.drive(&program, &mut state, &broken, 10_000).expect("the story ends");
    assert!(matches!(&then, Then::Failed { error, .. } if error.code == store::ITEMS_FAILED), "{then:?}");
    assert!(world.calls.iter().any(|(path, ..)| path == "after"), "the steps after it are done");

    world.calls.clear();
    let mut state = world.recover();
    let at = state.journal.accepted_at;
    state.push(Entry::Resumed { at, by: "ines".into(), version: None });
    for path in [pass, fails] {
        state.push(Entry::Reopened { p: path.into(), at, by: "ines".into() });
    }
    world.commit(&mut state);
    let resumed = world.chunks.len();
    let then = world.drive(&program, &mut state, &fine, 1000);
    assert!(matches!(then, Some(Then::Succeeded { .. })), "{then:?}");
    assert_eq!(world.output(), Some(json!("done")));
    for cut in resumed..world.chunks.len() {
        let mut cut = World { chunks: world.chunks[..cut].to_vec(), now: world.now, ..World::default() };
        let then = cut.drive(&program, &mut cut.recover(), &fine, 1000);
        assert!(matches!(then, Some(Then::Succeeded { .. })), "{then:?}");
    }
    world.calls.iter().map(|(path, _, input)| (path.clone(), input.clone())).collect()
}

#[test]
fn inside_a_loop() {
    let outer = "  - { id: outer, each: '${ trigger.rows }', as: row, steps: [INNER, { id: sum, do: sys.put }] }";
    let called = again(&steps(outer, "${ row }"), "outer[1].inner[2].up", "outer[1].inner[2]");
    assert_eq!(called, [("outer[1].inner[2].up".to_owned(), json!({ "of": "b", "n": 3 }))]);
}

#[test]
fn inside_a_pass_that_failed_itself() {
    let outer = "  - { id: outer, each: '${ trigger.rows }', as: row, partial: skip, steps: [INNER, { id: bad, fail: no }] }";
    let called = again(&steps(outer, "${ row }"), "outer[2].inner[0].up", "outer[2].inner[0]");
    assert_eq!(called, [("outer[2].inner[0].up".to_owned(), json!({ "of": "c", "n": 1 }))]);
}

#[test]
fn inside_turns() {
    let outer = "  - { id: outer, repeat: { max: 3 }, steps: [{ id: t, set: { n: '${ index }' } }, INNER] }";
    let called = again(&steps(outer, "${ steps.t.n }"), "outer[1].inner[1].up", "outer[1].inner[1]");
    assert_eq!(called, [("outer[1].inner[1].up".to_owned(), json!({ "of": 1, "n": 2 }))]);
}

#[test]
fn beside_a_branch_that_was_left() {
    let left = "[{ id: nap, wait: { for: 1h } }, { id: never, do: sys.put }]";
    let outer = format!("  - {{ id: outer, parallel: {{ one: [INNER], two: {left} }}, wait_for: any }}");
    let called = again(&steps(&outer, "x"), "inner[0].up", "inner[0]");
    assert_eq!(called, [("inner[0].up".to_owned(), json!({ "of": "x", "n": 1 }))]);
}

#[test]
fn inside_a_choice_in_a_try_in_a_loop() {
    let choice = "{ id: which, choose: [{ when: row == 'b', steps: [INNER] }] }";
    let held = format!("{{ id: t, try: [{choice}], catch: [{{ id: c, set: {{ x: 1 }} }}] }}");
    let outer = format!("  - {{ id: outer, each: '${{ trigger.rows }}', as: row, steps: [{held}] }}");
    let called = again(&steps(&outer, "${ row }"), "outer[1].inner[1].up", "outer[1].inner[1]");
    assert_eq!(called, [("outer[1].inner[1].up".to_owned(), json!({ "of": "b", "n": 2 }))]);
}

#[test]
fn inside_a_stream_whose_pages_are_gone() {
    let outer = "  - { id: rows, do: sys.list, with: {}, stream: true }\n  - { id: outer, each: '${ steps.rows }', as: row, steps: [INNER] }";
    let called = again(&steps(outer, "${ row.n }"), "outer[1].inner[2].up", "outer[1].inner[2]");
    assert_eq!(called, [("outer[1].inner[2].up".to_owned(), json!({ "of": 1, "n": 3 }))]);
}
