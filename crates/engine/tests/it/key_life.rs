//! Effects that are known as repeats for a time only: after it nothing is repeated blindly.

use serde_json::{Value, json};
use store::{Entry, Journal, Then, write_chunk};

use crate::bench::{Answer, KEY_LIFE, World, program};

const PAY: &str = "steps:\n  - { id: pay, do: sys.pay, with: { amount: \"${ trigger.amount }\" } }\n";
const HOUR_US: i64 = 3600 * 1_000_000;

fn life_us() -> i64 {
    i64::try_from(KEY_LIFE.as_micros()).unwrap()
}

fn event() -> Value {
    json!({ "amount": 5 })
}

fn fine(_: &str, _: usize) -> Answer {
    Answer::Ok(json!({ "paid": true }))
}

/// The code a run failed with.
fn code(then: &Then) -> &str {
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!(error.path.as_deref(), Some("pay"));
    &error.code
}

#[test]
fn an_attempt_without_an_answer_is_repeated_as_long_as_its_key_is_known() {
    for (late, repeats) in [(-HOUR_US, true), (HOUR_US, false)] {
        let pause = (life_us() + late) / 1_000_000;
        let mut world = World::default();
        let mut state = world.begin(event());
        let script = |_: &str, before| if before == 0 { Answer::Lost(Some(pause)) } else { fine("", before) };
        let then = world.drive(&program(PAY), &mut state, &script, 1000).expect("the run ends");
        if repeats {
            assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
            assert_eq!(
                world.told(),
                ["accepted", "started pay 1", "failed pay 1", "started pay 2", "succeeded pay 2", "ended succeeded"]
            );
            continue;
        }
        assert_eq!(code(&then), "REPEAT_TOO_LATE");
        assert_eq!(world.told(), ["accepted", "started pay 1", "failed pay 1", "uncertain pay 1", "ended failed"]);
        let Then::Failed { error, .. } = &then else { unreachable!() };
        assert!(error.message.contains("try 1") && error.message.contains("24 h"), "{}", error.message);
        assert!(error.next.is_some());
    }
}

#[test]
fn the_time_counts_from_the_first_attempt_without_an_answer() {
    // Refused, lost, refused, lost: each within the life of the one before.
    let pause = life_us() / 1_000_000 * 2 / 3;
    let script = |_: &str, before| match before {
        0 | 2 => Answer::Again(pause),
        _ => Answer::Lost(Some(pause)),
    };
    let mut world = World::default();
    let mut state = world.begin(event());
    let then = world.drive(&program(PAY), &mut state, &script, 1000).expect("the run ends");
    assert_eq!(code(&then), "REPEAT_TOO_LATE");
    // What was refused at first leaves no doubt; what is refused later takes none back.
    let told = ["accepted", "started pay 1", "failed pay 1", "started pay 2", "failed pay 2", "started pay 3", "failed pay 3"];
    assert_eq!(world.told(), [&told[..], &["uncertain pay 3", "ended failed"]].concat());
}

#[test]
fn definite_answers_may_be_repeated_for_ever() {
    let pause = life_us() / 1_000_000 * 2;
    let script = |_: &str, before| if before < 3 { Answer::Again(pause) } else { fine("", before) };
    let mut world = World::default();
    let mut state = world.begin(event());
    let then = world.drive(&program(PAY), &mut state, &script, 1000).expect("the run ends");
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
}

#[test]
fn what_needs_no_key_may_be_repeated_for_ever() {
    let pause = life_us() / 1_000_000 * 2;
    let script = |_: &str, before| if before < 3 { Answer::Lost(Some(pause)) } else { fine("", before) };
    let mut world = World::default();
    let mut state = world.begin(event());
    let program = program("steps:\n  - { id: pay, do: sys.put }\n");
    let then = world.drive(&program, &mut state, &script, 1000).expect("the run ends");
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
}

#[test]
fn a_crash_is_found_in_time_or_too_late() {
    for (late, repeats) in [(-HOUR_US, true), (HOUR_US, false)] {
        let program = program(PAY);
        let mut world = World::default();
        let mut state = world.begin(event());
        // The process dies while the call is under way: only `started` is kept.
        assert!(world.drive(&program, &mut state, &fine, 1).is_none());
        world.now += life_us() + late;
        let mut recovered = world.recover();
        let then = world.drive(&program, &mut recovered, &fine, 1000).expect("the run ends");
        if repeats {
            assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
            continue;
        }
        assert_eq!(code(&then), "REPEAT_TOO_LATE");
        assert_eq!(world.calls.len(), 1, "it was called again");
    }
}

#[test]
fn a_crash_counts_from_the_first_one() {
    let program = program(PAY);
    let mut world = World::default();
    let mut state = world.begin(event());
    assert!(world.drive(&program, &mut state, &fine, 1).is_none());
    world.now += life_us() * 2 / 3;
    let mut recovered = world.recover();
    assert!(world.drive(&program, &mut recovered, &fine, 1).is_none(), "the second process dies, too");
    world.now += life_us() * 2 / 3;
    let mut recovered = world.recover();
    let then = world.drive(&program, &mut recovered, &fine, 1000).expect("the run ends");
    assert_eq!((code(&then), world.calls.len()), ("REPEAT_TOO_LATE", 2));
}

/// Lets the failed step try again, as a person does.
fn reopen(world: &mut World) {
    let at = store::Timestamp::from_micros(world.now);
    let by = || "ines".to_owned();
    let entries = [Entry::Resumed { at, by: by(), version: None }, Entry::Reopened { p: "pay".into(), at, by: by() }];
    world.chunks.push(write_chunk(&entries).unwrap());
}

#[test]
fn a_run_resumed_too_late_asks_and_does_what_people_say() {
    let program = program(PAY);
    let mut world = World::default();
    let mut state = world.begin(event());
    let then = world.drive(&program, &mut state, &|_, _| Answer::Lost(None), 1000).expect("the run ends");
    assert_eq!(code(&then), "HTTP_503");
    world.now += life_us() + HOUR_US;
    reopen(&mut world);
    let mut recovered = world.recover();
    let then = world.drive(&program, &mut recovered, &fine, 1000).expect("the run ends");
    assert_eq!((code(&then), world.calls.len()), ("REPEAT_TOO_LATE", 1));
    // Somebody looked and says "repeat it".
    reopen(&mut world);
    let mut recovered = world.recover();
    let then = world.drive(&program, &mut recovered, &fine, 1000).expect("the run ends");
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
    assert_eq!(world.calls.len(), 2);
}

#[test]
fn an_attempt_without_an_answer_is_not_followed_by_one_that_sends_something_else() {
    let mut world = World::default();
    let mut state = world.begin(event());
    world.drive(&program(PAY), &mut state, &|_, _| Answer::Lost(None), 1000).expect("the run ends");
    reopen(&mut world);
    let mut recovered = world.recover();
    let other = program("steps:\n  - { id: pay, do: sys.pay, with: { amount: 6 } }\n");
    let then = world.drive(&other, &mut recovered, &fine, 1000).expect("the run ends");
    assert_eq!((code(&then), world.calls.len()), ("REPEAT_TOO_LATE", 1));
    reopen(&mut world);
    let mut recovered = world.recover();
    let then = world.drive(&other, &mut recovered, &fine, 1000).expect("the run ends");
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
}

/// The attempts that were told that an earlier one may have happened.
fn in_doubt(world: &World) -> Vec<u32> {
    world.in_doubt.iter().map(|(_, number)| *number).collect()
}

#[test]
fn an_attempt_is_told_whether_an_earlier_one_may_have_happened() {
    let program = program("steps:\n  - { id: pay, do: sys.put }\n");
    let mut world = World::default();
    let mut state = world.begin(event());
    // Refused, lost, refused, done: what is refused later takes no doubt back.
    let script = |_: &str, before| match before {
        0 | 2 => Answer::Again(1),
        1 => Answer::Lost(Some(1)),
        _ => fine("", before),
    };
    world.drive(&program, &mut state, &script, 1000).expect("the run ends");
    assert_eq!((world.calls.len(), in_doubt(&world)), (4, vec![3, 4]));
}

#[test]
fn an_attempt_after_a_crash_or_a_wish_to_repeat_is_in_doubt_and_another_effect_is_not() {
    let program = program("steps:\n  - { id: pay, do: sys.post, with: { amount: \"${ trigger.amount }\" } }\n");
    let mut world = World::default();
    let mut state = world.begin(event());
    world.drive(&program, &mut state, &|_, _| Answer::Uncertain, 1000).expect("the run ends");
    reopen(&mut world);
    // Turned away, and lost again: the first one may still have happened.
    let mut recovered = world.recover();
    let script = |_: &str, before| if before == 1 { Answer::Again(1) } else { Answer::Failed };
    world.drive(&program, &mut recovered, &script, 1000).expect("the run ends");
    assert_eq!((world.calls.len(), in_doubt(&world)), (3, vec![2, 3]));
    // What is sent now was never sent before.
    reopen(&mut world);
    let other = self::program("steps:\n  - { id: pay, do: sys.post, with: { amount: 6 } }\n");
    let mut recovered = world.recover();
    world
        .drive(&other, &mut recovered, &|_, before| if before == 3 { Answer::Again(1) } else { fine("", before) }, 1000)
        .expect("the run ends");
    assert_eq!((world.calls.len(), in_doubt(&world)), (5, vec![2, 3]));

    let program = self::program("steps:\n  - { id: pay, do: sys.put }\n");
    let mut world = World::default();
    let mut state = world.begin(event());
    assert!(world.drive(&program, &mut state, &fine, 1).is_none());
    let mut recovered = world.recover();
    world.drive(&program, &mut recovered, &fine, 1000).expect("the run ends");
    assert_eq!(in_doubt(&world), [2]);
}

/// A step that can be taken back, and one that only a repeat can tell of.
const SAGA: &str =
    "steps:\n  - { id: book, do: sys.put, undo: { do: sys.put } }\n  - { id: pay, do: sys.pay, with: { amount: 5 } }\n";

#[test]
fn nothing_is_taken_back_while_a_repeat_can_still_tell() {
    let program = program(SAGA);
    let mut world = World::default();
    let mut state = world.begin(event());
    let lost = |path: &str, before| if path == "pay" { Answer::Lost(None) } else { fine(path, before) };
    let Some(Then::Failed { error, .. }) = world.drive(&program, &mut state, &lost, 1000) else { panic!("{:?}", world.told()) };
    assert_eq!((&*error.code, error.path.as_deref()), ("HTTP_503", Some("pay")));
    assert!(error.message.contains("Nothing is taken back yet: pay may have happened"), "{}", error.message);
    assert!(error.next.is_some_and(|next| next.contains("Resume the run")));
    assert_eq!(world.calls.len(), 2, "{:?}", world.told());
    reopen(&mut world);
    let mut recovered = world.recover();
    let then = world.drive(&program, &mut recovered, &fine, 1000).expect("the run ends");
    assert!(matches!(then, Then::Succeeded { .. }), "{then:?}");
    assert_eq!(world.calls.len(), 3);
}

#[test]
fn what_is_refused_is_taken_back_as_ever() {
    let program = program(SAGA);
    let mut world = World::default();
    let mut state = world.begin(event());
    let refused = |path: &str, before| if path == "pay" { Answer::Failed } else { fine(path, before) };
    let then = world.drive(&program, &mut state, &refused, 1000).expect("the run ends");
    assert!(matches!(then, Then::Failed { .. }), "{then:?}");
    assert_eq!(world.calls.last().map(|(path, ..)| path.to_string()), Some("book.undo".to_owned()));
}

#[test]
fn a_repeat_that_is_refused_has_told_and_one_that_is_turned_away_has_not() {
    // A system that judges the data first may refuse what it has done already.
    let data_first = SAGA.replace("sys.pay", "sys.send");
    let cases = [(SAGA, Answer::Refused, true), (SAGA, Answer::Failed, false), (&data_first, Answer::Refused, false)];
    for (steps, answer, taken_back) in cases {
        let program = program(steps);
        let mut world = World::default();
        let mut state = world.begin(event());
        let script = |path: &str, before| match (path, before) {
            ("pay", 0) => Answer::Lost(Some(1)),
            ("pay", _) => answer.clone(),
            _ => fine(path, before),
        };
        let then = world.drive(&program, &mut state, &script, 1000).expect("the run ends");
        assert!(matches!(then, Then::Failed { .. }), "{then:?}");
        let last = world.calls.last().map(|(path, ..)| path.to_string());
        assert_eq!(last.as_deref(), Some(if taken_back { "book.undo" } else { "pay" }), "{:?}", world.told());
    }
}

#[test]
fn journals_of_before_are_read_as_without_a_doubt() {
    let text =
        r#"{"e":"failed","p":"pay","n":1,"at":3,"err":{"class":"timeout","code":"TIMEOUT","message":"no answer"},"retry":4}"#;
    let Entry::Failed { doubt, .. } = serde_json::from_str(text).unwrap() else { panic!("{text}") };
    assert!(!doubt);
    let mut journal =
        Journal::new(store::Via::Api, std::sync::Arc::default(), std::sync::Arc::default(), store::Timestamp::from_micros(1));
    let started = Entry::Started { p: "pay".into(), n: 1, at: store::Timestamp::from_micros(2), input: None };
    journal.apply(&started).unwrap();
    assert_eq!(journal.doubts.len(), 1, "a call under way may have happened");
    journal.apply(&serde_json::from_str(text).unwrap()).unwrap();
    assert!(journal.doubts.is_empty());
}

#[test]
fn a_new_run_is_no_repeat_of_what_needs_a_key() {
    let steps = "steps:\n  - { id: pay, do: sys.pay }\n  - { id: put, do: sys.put }\n  - { id: post, do: sys.post }\n  - { id: get, do: sys.get }\n";
    let program = program(steps);
    let safe = |id| (program.is_safe_to_repeat(id, &json!({})), program.is_safe_to_replay(id, &json!({})));
    assert_eq!(safe("pay"), (Some(true), Some(false)), "its key is another one");
    assert_eq!(safe("put"), (Some(true), Some(true)));
    assert_eq!(safe("post"), (Some(false), Some(false)));
    assert_eq!(safe("get"), (Some(true), Some(true)));
}
