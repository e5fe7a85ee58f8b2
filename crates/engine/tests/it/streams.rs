//! Loops over streams: page by page, in the memory of a page, and the same after any crash.

use serde_json::{Value, json};
use store::{Entry, Then};

use crate::bench::{Answer, World, program};

const STEPS: &str = "steps:
  - { id: rows, do: sys.list, with: { of: \"${ trigger.of }\" }, stream: true }
  - id: push
    each: ${ steps.rows }
    as: row
    PARTIAL
    steps:
      - { id: up, do: sys.put, with: { n: \"${ row.n }\", at: \"${ index }\" } UNDO }
    COLLECT
  - { id: end, return: \"${ steps.push }\" }
";

fn steps(partial: &str, undo: &str, collect: &str) -> String {
    let line = |text: &str, name: &str| if text.is_empty() { format!("x-{name}: 0") } else { text.to_owned() };
    STEPS.replace("PARTIAL", &line(partial, "a")).replace(" UNDO", undo).replace("COLLECT", &line(collect, "b"))
}

/// `pages` pages of `size` items, the last one shorter by one.
fn pages(pages: usize, size: usize) -> impl Fn(&str, usize) -> Answer {
    move |path: &str, _| {
        let Some(page) = path.strip_prefix("push.pages[").and_then(|rest| rest.strip_suffix(']')) else {
            return Answer::Ok(json!({ "from": path }));
        };
        let page: usize = page.parse().expect("a number");
        let last = page + 1 == pages;
        let items: Vec<Value> = (0..size - usize::from(last)).map(|item| json!({ "n": page * size + item })).collect();
        Answer::Ok(json!({ "items": items, "next": if last { Value::Null } else { json!({ "page": page + 1 }) } }))
    }
}

fn run(steps: &str, script: &dyn Fn(&str, usize) -> Answer) -> (World, Then) {
    let program = program(steps);
    let mut world = World::default();
    let mut state = world.begin(json!({ "of": "orders" }));
    let then = world.drive(&program, &mut state, script, 10_000).expect("the story ends");
    (world, then)
}

#[test]
fn a_stream_is_gone_through_page_by_page_and_the_same_after_any_crash() {
    let steps = steps("", "", "collect: ${ row.n * 10 }");
    let script = pages(3, 2);
    let (whole, then) = run(&steps, &script);
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
    assert_eq!(whole.output(), Some(json!({ "results": [0, 10, 20, 30, 40], "total": 5, "failed": 0, "filtered": 0 })));
    let called: Vec<&str> = whole.calls.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(
        called,
        ["push.pages[0]", "push[0].up", "push[1].up", "push.pages[1]", "push[2].up", "push[3].up", "push.pages[2]", "push[4].up"]
    );
    assert_eq!(whole.calls[7].2, json!({ "n": 4, "at": 4 }), "passes are counted through");
    assert_eq!(whole.calls[3].2, json!({ "of": "orders" }), "each page is asked for with what the step says");
    let program = program(&steps);
    for cut in 1..whole.chunks.len() {
        let mut world = World { chunks: whole.chunks[..cut].to_vec(), now: whole.now, ..World::default() };
        let known = world.entries();
        world.drive(&program, &mut world.recover(), &script, 1000).expect("the recovered run ends");
        assert_eq!(world.output(), whole.output(), "cut {cut}");
        for (path, ..) in &world.calls {
            let done = known.iter().any(|entry| matches!(entry, Entry::Succeeded { p, .. } if **p == **path));
            assert!(!done, "cut {cut}: {path} was done again");
        }
    }
}

#[test]
fn a_long_stream_needs_the_memory_of_a_page() {
    let (world, then) = run(&steps("parallel: 4", "", ""), &pages(300, 5));
    assert!(matches!(then, Then::Succeeded { .. }));
    assert_eq!(world.output().expect("an output")["total"], 1499);
    let mut most = 0;
    for cut in 1..world.chunks.len() {
        let cut = World { chunks: world.chunks[..cut].to_vec(), ..World::default() };
        let journal = cut.recover().journal;
        most = most.max(journal.steps.len() + journal.lived.len() + journal.inputs.len());
        if cut.chunks.len() > 60 {
            break;
        }
    }
    assert!(most < 40, "{most} entries are held in memory for pages of 5");
    let journal = world.recover().journal;
    assert!(journal.steps.len() < 20 && journal.streams.is_empty(), "{} steps stay", journal.steps.len());
}

#[test]
fn passes_of_all_pages_are_taken_back() {
    let undo = ", undo: { do: sys.put, with: { back: \"${ row.n }\" } }";
    let steps = steps("", undo, "").replace("  - { id: end", "  - { id: bad, do: sys.put }\n  - { id: end");
    let script = pages(2, 2);
    let (world, then) = run(&steps, &|path, before| if path == "bad" { Answer::Failed } else { script(path, before) });
    assert!(matches!(then, Then::Failed { .. }));
    let undone: Vec<&Value> = world.calls.iter().filter(|(path, ..)| path.ends_with(".undo")).map(|(.., input)| input).collect();
    assert_eq!(undone, [&json!({ "back": 2 }), &json!({ "back": 1 }), &json!({ "back": 0 })]);
}

#[test]
fn failed_items_of_pages_long_gone_can_be_done_again() {
    let steps = steps("partial: dead_letter", "", "");
    let script = pages(4, 3);
    let fails = |path: &str, before: usize| if path == "push[1].up" { Answer::Failed } else { script(path, before) };
    let (mut world, then) = run(&steps, &fails);
    assert!(matches!(&then, Then::Failed { error, .. } if error.code == store::ITEMS_FAILED), "{then:?}");
    assert_eq!(world.output(), Some(json!({ "results": [], "total": 11, "failed": 1, "filtered": 0 })));
    world.calls.clear();
    let mut state = world.recover();
    let at = state.journal.accepted_at;
    state.push(Entry::Resumed { at, by: "ines".into(), version: None });
    for path in ["push[1]", "push[1].up"] {
        state.push(Entry::Reopened { p: path.into(), at, by: "ines".into() });
    }
    world.commit(&mut state);
    let then = world.drive(&program(&steps), &mut state, &script, 100);
    assert!(matches!(then, Some(Then::Succeeded { .. })), "{then:?}");
    assert_eq!(
        world.calls.iter().map(|(path, _, input)| (path.as_str(), input)).collect::<Vec<_>>(),
        [("push[1].up", &json!({ "n": 1, "at": 1 }))]
    );
}

#[test]
fn a_page_that_cannot_be_fetched_is_tried_again_and_then_fails_the_run() {
    let steps = steps("", "", "");
    let script = pages(2, 2);
    let late = |path: &str, before: usize| match (path, before) {
        ("push.pages[1]", 0) => Answer::Again(5),
        _ => script(path, before),
    };
    let (world, then) = run(&steps, &late);
    assert!(matches!(then, Then::Succeeded { .. }));
    assert_eq!(world.output().expect("an output")["total"], 3);
    let never = |path: &str, before: usize| if path == "push.pages[1]" { Answer::Failed } else { script(path, before) };
    let (_, then) = run(&steps, &never);
    assert!(matches!(then, Then::Failed { error, .. } if error.path.as_deref() == Some("push.pages[1]")));
}

#[test]
fn a_stream_that_was_left_out_has_no_items() {
    let steps = steps("", "", "").replace(", stream: true }", ", stream: true, if: trigger.of == \"none\" }");
    let (world, then) = run(&steps, &pages(1, 2));
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
    assert_eq!(world.output(), Some(json!({ "results": [], "total": 0, "failed": 0, "filtered": 0 })));
}

#[test]
fn more_than_fits_is_told() {
    let (_, then) = run(&steps("", "", "collect: ${ row.n }").replace("do: sys.put, with", "x-a: 1, set"), &pages(3, 4_000));
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!((&*error.code, error.path.as_deref()), ("TOO_MANY_ITEMS", Some("push")));
}

#[test]
fn what_passes_give_goes_into_a_file_and_not_into_memory() {
    let steps = steps("", "", "collect: \"${ if row.n % 3 == 0 { null } else { row.n } }\"")
        .replace("    as: row", "    as: row\n    file: \"n-${ trigger.of }.jsonl\"");
    let script = pages(40, 3);
    let (world, then) = run(&steps, &script);
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
    let (path, _, input) = world.calls.last().expect("calls");
    assert_eq!(
        (path.as_str(), input),
        ("push.file", &json!({ "file": "n-orders.jsonl", "total": 119, "failed": 0, "filtered": 40 }))
    );
    let rows: Vec<Value> = world
        .entries()
        .iter()
        .filter_map(|entry| match entry {
            Entry::Paged { rows: Some(rows), .. } => rows.as_array().cloned(),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(rows, (0..119).filter(|n| n % 3 != 0).map(|n| json!(n)).collect::<Vec<_>>());
    let program = program(&steps);
    for cut in (1..world.chunks.len()).step_by(7) {
        let mut cut = World { chunks: world.chunks[..cut].to_vec(), now: world.now, ..World::default() };
        let mut state = cut.recover();
        assert!(state.journal.streams.values().all(|stream| stream.results.is_empty()));
        cut.drive(&program, &mut state, &script, 1000).expect("the recovered run ends");
        assert_eq!(cut.output(), world.output());
    }
}

#[test]
fn a_loop_with_a_time_limit_writes_its_file_once() {
    let steps = steps("", "", "timeout: 1h").replace("    as: row", "    as: row\n    file: rows.jsonl");
    let (world, then) = run(&steps, &pages(2, 2));
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
    let written = world.calls.iter().filter(|(path, ..)| path == "push.file").count();
    assert_eq!((written, world.output()), (1, Some(json!({ "from": "push.file" }))));
}
