//! The same in loops, branches, attempts to rescue and steps that take back.

use serde_json::{Value, json};
use store::{Entry, Then, Timestamp, write_chunk};

use crate::bench::{Answer, KEY_LIFE, Script, World, program};

const HOUR: i64 = 3600;

/// Seconds after which a repeat is not known any more.
fn too_late() -> i64 {
    i64::try_from(KEY_LIFE.as_secs()).unwrap() + HOUR
}

fn fine(_: &str, _: usize) -> Answer {
    Answer::Ok(json!({ "paid": true }))
}

fn run(steps: &str, event: Value, script: Script<'_>) -> (World, Then) {
    let mut world = World::default();
    let mut state = world.begin(event);
    let then = world.drive(&program(steps), &mut state, script, 1000).expect("the run ends");
    (world, then)
}

/// The run goes on, as a person wishes who lets these steps be tried again.
fn resume(world: &mut World, steps: &str, paths: &[&str], script: Script<'_>) -> Then {
    let at = Timestamp::from_micros(world.now);
    let by = || "ines".to_owned();
    let reopened = paths.iter().map(|path| Entry::Reopened { p: (*path).into(), at, by: by() });
    let entries: Vec<Entry> = std::iter::once(Entry::Resumed { at, by: by(), version: None }).chain(reopened).collect();
    world.chunks.push(write_chunk(&entries).unwrap());
    let mut recovered = world.recover();
    world.drive(&program(steps), &mut recovered, script, 1000).expect("the run ends")
}

fn code(then: &Then) -> &str {
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    &error.code
}

/// What a person is asked about, in the order it was told.
fn asked(world: &World) -> Vec<String> {
    let mut asked: Vec<String> = Vec::new();
    for entry in world.entries() {
        match entry {
            Entry::Uncertain { p, .. } => asked.push(p.to_string()),
            Entry::Resumed { .. } => asked.clear(),
            _ => {}
        }
    }
    asked
}

const BRANCHES: &str = "steps:\n  - id: all\n    parallel:\n      left: [ { id: one, do: sys.pay } ]\n      right: [ { id: two, do: sys.pay } ]\n      \
                        late: [ { id: pause, wait: { for: 20h } }, { id: three, do: sys.pay } ]\n";

#[test]
fn branches_whose_repeats_are_too_late_are_one_question() {
    let late = too_late();
    // The third was begun later, so that its key is still known.
    let script = |path: &str, before| match (path, before) {
        (_, 1..) => fine(path, before),
        ("three", _) => Answer::Lost(None),
        _ => Answer::Lost(Some(late)),
    };
    let (mut world, then) = run(BRANCHES, json!({}), &script);
    assert_eq!((code(&then), world.calls.len()), ("REPEAT_TOO_LATE", 3));
    assert_eq!(asked(&world), ["one", "two"]);
    let then = resume(&mut world, BRANCHES, &["one", "two", "three"], &script);
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
    assert_eq!(world.calls.len(), 6);
}

#[test]
fn what_failed_beside_it_is_asked_about_with_it() {
    let late = too_late();
    let script = |path: &str, _| if path == "two" { Answer::Lost(Some(late)) } else { Answer::Lost(None) };
    let (world, then) = run(BRANCHES, json!({}), &script);
    assert_eq!((code(&then), asked(&world)), ("REPEAT_TOO_LATE", vec!["two".to_owned(), "one".to_owned()]));
    // What the recipe has dealt with is nobody's question.
    let rescued = BRANCHES.replace("{ id: one, ", "{ id: one, on_error: continue, ");
    let (world, then) = run(&rescued, json!({}), &script);
    assert_eq!((code(&then), asked(&world)), ("REPEAT_TOO_LATE", vec!["two".to_owned()]));
}

#[test]
fn what_is_resumed_too_late_is_one_question() {
    let (mut world, then) = run(BRANCHES, json!({}), &|_, _| Answer::Lost(None));
    assert_eq!(code(&then), "HTTP_503");
    world.now += too_late() * 1_000_000;
    let then = resume(&mut world, BRANCHES, &["one", "two", "three"], &fine);
    assert_eq!((code(&then), world.calls.len()), ("REPEAT_TOO_LATE", 3));
    assert_eq!(asked(&world), ["one", "three", "two"]);
    let then = resume(&mut world, BRANCHES, &["one", "two", "three"], &fine);
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
}

const PASSES: &str = "steps:\n  - id: walk\n    each: ${ trigger.rows }\n    parallel: 3\n    steps:\n      - { id: pay, do: sys.pay, with: { n: \"${ item }\" } }\n";

#[test]
fn passes_whose_repeats_are_too_late_are_one_question() {
    let late = too_late();
    let script = |path: &str, before| match (path, before) {
        ("walk[1].pay", 0) => fine(path, before),
        (_, 0) => Answer::Lost(Some(late)),
        _ => fine(path, before),
    };
    let (mut world, then) = run(PASSES, json!({ "rows": [1, 2, 3, 4, 5] }), &script);
    assert_eq!((code(&then), world.calls.len()), ("REPEAT_TOO_LATE", 4));
    let all = ["walk[0].pay", "walk[2].pay", "walk[3].pay"];
    assert_eq!(asked(&world), all);
    let then = resume(&mut world, PASSES, &all, &|path, before| {
        if path == "walk[4].pay" { fine(path, 1) } else { script(path, before) }
    });
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
    assert_eq!(world.calls.len(), 8);
}

/// Paths of all calls, in their order.
fn calls(world: &World) -> Vec<&str> {
    world.calls.iter().map(|(path, ..)| path.as_str()).collect()
}

const TRY: &str = "steps:\n  - id: t\n    try: [ { id: pay, do: sys.pay } ]\n    catch: [ { id: other, do: sys.put } ]\n  - { id: end, return: \"${ steps.t.outcome }\" }\n";
const GO_ON: &str =
    "steps:\n  - { id: pay, do: sys.pay, on_error: continue }\n  - { id: end, return: \"${ meta.pay.status }\" }\n";
const SKIP: &str = "steps:\n  - id: walk\n    each: [1]\n    partial: skip\n    steps: [ { id: pay, do: sys.pay } ]\n  - { id: end, return: \"${ steps.walk.failed }\" }\n";

#[test]
fn a_recipe_deals_with_a_step_that_gave_up_and_never_with_a_doubt() {
    for (steps, path, caught, settled) in [
        (TRY, "pay", json!("caught"), json!("succeeded")),
        (GO_ON, "pay", json!("failed"), json!("succeeded")),
        (SKIP, "walk[0].pay", json!(1), json!(0)),
    ] {
        // Its tries are used up while the key is known: a failure like any other.
        let (world, then) =
            run(steps, json!({}), &|path, before| if path.ends_with("pay") { Answer::Lost(None) } else { fine(path, before) });
        assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
        assert_eq!((world.output(), asked(&world).len()), (Some(caught), 0), "{steps}");
        // The repeat comes too late: nobody but a person can say.
        let script = |path: &str, before| if before == 0 { Answer::Lost(Some(too_late())) } else { fine(path, before) };
        let (mut world, then) = run(steps, json!({}), &script);
        assert_eq!((code(&then), calls(&world)), ("REPEAT_TOO_LATE", vec![path]), "{steps}");
        let then = resume(&mut world, steps, &[path], &script);
        assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
        assert_eq!((world.output(), calls(&world)), (Some(settled), vec![path, path]), "{steps}");
    }
}

/// Steps that can be taken back, and then one in a block whose time is over before it is tried again.
fn timed(rest: &str) -> String {
    format!("steps:\n  - {{ id: book, do: sys.put, undo: {{ do: sys.put }} }}\n{rest}")
}

#[test]
fn nothing_is_taken_back_when_the_time_of_a_block_is_over_before_a_repeat_could_tell() {
    let steps = timed(
        "  - id: both\n    timeout: 1h\n    parallel:\n      left: [ { id: pay, do: sys.pay } ]\n      right: [ { id: nap, wait: { for: 2h } } ]\n",
    );
    let script =
        |path: &str, before| if path == "pay" && before == 0 { Answer::Lost(Some(3 * HOUR)) } else { fine(path, before) };
    let (mut world, then) = run(&steps, json!({}), &script);
    let Then::Failed { error, .. } = &then else { panic!("{then:?}") };
    assert_eq!((code(&then), error.path.as_deref()), ("STEP_TIMEOUT", Some("both")));
    assert!(error.message.contains("Nothing is taken back yet: pay may have happened"), "{}", error.message);
    assert_eq!(calls(&world), ["book", "pay"]);
    // The time begins anew, and the repeat tells.
    let long = steps.replace("timeout: 1h", "timeout: 9h");
    let then = resume(&mut world, &long, &["both"], &script);
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
    assert_eq!(calls(&world), ["book", "pay", "pay"]);
}

#[test]
fn what_a_recipe_left_behind_in_doubt_holds_up_neither_the_taking_back_nor_a_question() {
    let late = too_late();
    let tried = "  - id: t\n    timeout: 1h\n    try:\n      - id: two\n        parallel:\n          left: [ { id: pay, do: sys.pay } ]\n          \
                 right: [ { id: nap, wait: { for: 2h } } ]\n    catch: [ { id: note, do: sys.put } ]\n";
    let race = "  - id: race\n    wait_for: any\n    parallel:\n      left: [ { id: pay, do: sys.pay } ]\n      right: [ { id: quick, do: sys.put } ]\n";
    let soft = "  - id: soft\n    on_error: continue\n    timeout: 1h\n    parallel:\n      left: [ { id: pay, do: sys.pay } ]\n";
    let skip = "  - id: walk\n    each: [1]\n    partial: skip\n    steps:\n      - id: two\n        timeout: 1h\n        parallel:\n          left: [ { id: pay, do: sys.pay } ]\n";
    for block in [tried, race, soft, skip] {
        let script = |path: &str, before| match path {
            "bad" => Answer::Refused,
            path if path.ends_with("pay") && before == 0 => Answer::Lost(Some(late)),
            _ => fine(path, before),
        };
        let (world, then) = run(&timed(&format!("{block}  - {{ id: bad, do: sys.put }}\n")), json!({}), &script);
        assert_eq!((code(&then), calls(&world).last().copied()), ("HTTP_400", Some("book.undo")), "{block}: {:?}", world.told());
        // Much later another one is in doubt.
        let script = |path: &str, before| match path {
            "bad" if before == 0 => Answer::Lost(Some(2 * late)),
            path if path.ends_with("pay") && before == 0 => Answer::Lost(Some(late)),
            _ => fine(path, before),
        };
        let (world, then) = run(&timed(&format!("{block}  - {{ id: bad, do: sys.pay }}\n")), json!({}), &script);
        assert_eq!((code(&then), asked(&world)), ("REPEAT_TOO_LATE", vec!["bad".to_owned()]), "{block}");
    }
}

#[test]
fn what_a_held_pass_has_in_doubt_is_asked_about_with_the_rest() {
    let steps = "steps:\n  - id: outer\n    each: [1]\n    steps:\n      - id: inner\n        each: [1, 2, 3]\n        partial: dead_letter\n        \
                 parallel: 3\n        steps: [ { id: pay, do: sys.pay } ]\n";
    let paths = ["outer[0].inner[0].pay", "outer[0].inner[2].pay"];
    let lost = |path: &str, _| if path == "outer[0].inner[1].pay" { fine(path, 0) } else { Answer::Lost(None) };
    let (mut world, then) = run(steps, json!({}), &lost);
    assert_eq!(code(&then), "ITEMS_FAILED", "everything else is done");
    world.now += too_late() * 1_000_000;
    let passes = ["outer[0].inner[0]", "outer[0].inner[2]"];
    let then = resume(&mut world, steps, &[&passes[..], &paths[..]].concat(), &fine);
    assert_eq!((code(&then), world.calls.len()), ("REPEAT_TOO_LATE", 3));
    assert_eq!(asked(&world), paths);
    let then = resume(&mut world, steps, &paths, &fine);
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
    assert_eq!(world.calls.len(), 5);
}

#[test]
fn what_takes_back_is_repeated_while_its_key_is_known_and_asked_about_then() {
    let steps = "steps:\n  - { id: book, do: sys.put, undo: { do: sys.pay } }\n  - { id: bad, do: sys.put }\n";
    for (pause, tries) in [(HOUR, 2), (too_late(), 1)] {
        let script = |path: &str, before| match (path, before) {
            ("bad", _) => Answer::Refused,
            ("book.undo", 0) => Answer::Lost(Some(pause)),
            _ => fine(path, before),
        };
        let (mut world, then) = run(steps, json!({}), &script);
        assert_eq!(code(&then), "HTTP_400", "why it failed stays the reason");
        assert_eq!(calls(&world).iter().filter(|path| **path == "book.undo").count(), tries);
        assert_eq!(asked(&world), if tries == 1 { vec!["book.undo"] } else { Vec::new() });
        if tries == 1 {
            let Then::Failed { error, .. } = &then else { unreachable!() };
            assert!(error.message.contains("Then book.undo could not be done"), "{}", error.message);
            resume(&mut world, steps, &["book.undo"], &script);
            assert_eq!(calls(&world), ["book", "bad", "book.undo", "book.undo"]);
        }
    }
}

#[test]
fn a_call_that_began_what_it_waits_for_is_in_doubt_no_more() {
    let at = Timestamp::from_micros(1);
    let mut journal = store::Journal::new(store::Via::Api, std::sync::Arc::default(), std::sync::Arc::default(), at);
    let path: store::StepPath = "sub".into();
    journal.apply(&Entry::Started { p: path.clone(), n: 1, at, input: Some(std::sync::Arc::default()) }).unwrap();
    assert!(journal.may_have_happened(&path));
    journal.apply(&Entry::Waits { p: path.clone(), at, what: "call".into(), until: None, ask: None }).unwrap();
    assert!(!journal.may_have_happened(&path));
}
