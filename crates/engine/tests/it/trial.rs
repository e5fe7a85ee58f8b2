//! Runs in memory by a script: what recipe tests stand on.

use std::sync::Arc;

use connector::ErrorClass;
use engine::trial::{CUTS_MAX, End, Failing, Harm, Script, Trial, crash, run};
use serde_json::{Value, json};
use store::{Entry, Timestamp};

use crate::bench::program;

const TWO: &str = "steps:\n  - id: a\n    do: sys.put\n    retry: { times: 4, wait: 10m, jitter: none, max_wait: 1h }\n    \
                   with: { n: \"${ trigger.n }\" }\n  - id: b\n    do: sys.post\n    with: { a: \"${ steps.a.v }\" }\n  \
                   - id: end\n    return: ${ steps.b }\n";

fn script(event: Value) -> Script {
    Script {
        at: Timestamp::from_micros(1_000_000),
        event: Arc::new(event),
        params: json!({}),
        state: json!({}),
        given: vec![("a".to_owned(), Arc::new(json!({ "v": 1 }))), ("b".to_owned(), Arc::new(json!("done")))],
        fails: Vec::new(),
        real: &[],
    }
}

fn failing(step: &str, class: ErrorClass, times: Option<u32>) -> Failing {
    Failing { step: step.to_owned(), class, code: None, message: None, times }
}

fn calls(trial: &Trial) -> Vec<(String, u32, Value)> {
    trial.calls.iter().map(|call| (call.path.to_string(), call.attempts, Value::clone(&call.input))).collect()
}

#[test]
fn a_script_answers_every_call() {
    let trial = run(&program(TWO), &script(json!({ "n": 7 })));
    assert_eq!(trial.end, End::Succeeded);
    assert_eq!(trial.output.as_deref(), Some(&json!("done")));
    assert_eq!(calls(&trial), [("a".to_owned(), 1, json!({ "n": 7 })), ("b".to_owned(), 1, json!({ "a": 1 }))]);
}

#[test]
fn a_call_without_an_answer_ends_the_test_and_says_what_it_would_have_sent() {
    let mut script = script(json!({ "n": 7 }));
    script.given.remove(1);
    let End::Missing(missing) = run(&program(TWO), &script).end else { panic!("nothing answers step b") };
    assert_eq!((&*missing.path, missing.calls.as_str(), &*missing.input), ("b", "sys.post", &json!({ "a": 1 })));
}

#[test]
fn failures_go_through_the_recipes_own_retries_in_virtual_time() {
    let mut script = script(json!({ "n": 7 }));
    script.fails = vec![failing("a", ErrorClass::Server, Some(2))];
    let trial = run(&program(TWO), &script);
    assert_eq!(trial.end, End::Succeeded);
    assert_eq!(calls(&trial)[0].1, 3);
    assert_eq!(trial.ended.since(trial.began).as_secs(), (10 + 20) * 60);

    script.fails = vec![failing("a", ErrorClass::Server, None)];
    let trial = run(&program(TWO), &script);
    assert_eq!((trial.end.clone(), calls(&trial)[0].1), (End::Failed, 4));
    let error = trial.error.expect("it failed");
    assert_eq!((error.class.as_str(), error.code.as_str(), error.path.as_deref()), ("server", "TEST_SERVER", Some("a")));

    script.fails = vec![failing("a", ErrorClass::Invalid, None)];
    assert_eq!(calls(&run(&program(TWO), &script))[0].1, 1, "what is not transient is not tried again");
}

#[test]
fn no_answer_to_an_effect_that_happens_once_is_a_doubt() {
    let mut script = script(json!({ "n": 7 }));
    script.fails = vec![failing("b", ErrorClass::Timeout, None)];
    let trial = run(&program(TWO), &script);
    assert_eq!((trial.end.clone(), calls(&trial)[1].1), (End::Failed, 1));
    assert!(trial.entries().any(|entry| matches!(entry, Entry::Uncertain { p, .. } if &**p == "b")));
}

#[test]
fn a_path_goes_before_an_id() {
    let program =
        program("steps:\n  - id: push\n    each: ${ $.trigger.rows[*] }\n    steps:\n      - id: up\n        do: sys.put\n");
    let mut script = script(json!({ "rows": [1, 2, 3] }));
    script.given = vec![("up".to_owned(), Arc::new(json!("any"))), ("push[1].up".to_owned(), Arc::new(json!("second")))];
    let trial = run(&program, &script);
    let outputs: Vec<_> = trial
        .entries()
        .filter_map(|entry| match entry {
            Entry::Succeeded { out, .. } => out.as_str(),
            _ => None,
        })
        .collect();
    assert_eq!(outputs, ["any", "second", "any"]);
}

#[test]
fn events_the_trigger_does_not_want_and_events_that_do_not_fit() {
    let text = "  with: { input: { type: object, required: [n], properties: { n: { type: number } } } }\n";
    let with_input = program_with_trigger(text);
    assert_eq!(run(&with_input, &script(json!({ "n": 1 }))).end, End::Succeeded);
    let End::Unfit(sentence) = run(&with_input, &script(json!({ "n": "1" }))).end else { panic!("text is no number") };
    assert!(sentence.starts_with("The event's n does not fit trigger.with.input"), "{sentence}");
    let picky = program_with_trigger("  if: trigger.n > 3\n");
    assert_eq!(run(&picky, &script(json!({ "n": 3 }))).end, End::Filtered);
    let mut unknown = script(json!({ "n": 4 }));
    unknown.params = json!({ "nobody": 1 });
    assert!(matches!(run(&picky, &unknown).end, End::Unfit(_)));
}

#[test]
fn a_stream_gives_what_is_given_for_its_step_and_is_one_of_the_calls() {
    let steps = "steps:\n  - { id: rows, do: sys.list, with: { of: \"${ trigger.of }\" }, stream: true }\n  \
                 - { id: push, each: \"${ steps.rows }\", collect: \"${ item.n }\", steps: [ { id: x, set: { a: 1 } } ] }\n  \
                 - { id: end, return: \"${ steps.push.results }\" }\n";
    let program = program(steps);
    for (given, output) in
        [(json!([{ "n": 1 }, { "n": 2 }]), json!([1, 2])), (json!([]), json!([])), (json!({ "n": 5 }), json!([5]))]
    {
        let mut script = script(json!({ "of": "orders" }));
        script.given = vec![("rows".to_owned(), Arc::new(given))];
        let trial = run(&program, &script);
        assert_eq!((&trial.end, trial.output.as_deref()), (&End::Succeeded, Some(&output)));
        let made: Vec<_> = trial.calls.iter().filter(|call| call.is_of("rows")).map(|call| Value::clone(&call.input)).collect();
        assert_eq!(made, [json!({ "of": "orders" })]);
        assert!(!trial.calls[0].is_of("push") && !trial.calls[0].is_of("pages"));
    }
    let mut script = script(json!({ "of": "orders" }));
    script.given.clear();
    let End::Missing(missing) = run(&program, &script).end else { panic!("nothing answers the stream") };
    assert_eq!((&*missing.path, missing.is_stream), ("rows", true), "it is told of the step that can be given for");
}

#[test]
fn a_run_whose_items_failed_keeps_what_it_saved_as_it_does_live() {
    let steps = "state: { last: { type: integer, default: 0 } }\nsteps:\n  - id: push\n    each: ${ trigger.rows }\n    partial: HOW\n    \
                 steps: [ { id: up, do: sys.put } ]\n  - { id: remember, save: { last: \"${ len(trigger.rows) }\" } }\n";
    for (how, kept) in [("dead_letter", 2), ("stop", 0)] {
        let program = program(&steps.replace("HOW", how));
        let mut script = script(json!({ "rows": ["a", "b"] }));
        script.given = vec![("up".to_owned(), Arc::new(json!({})))];
        script.fails = vec![failing("push[1].up", ErrorClass::Invalid, None)];
        let trial = run(&program, &script);
        assert_eq!((&trial.end, &trial.state), (&End::Failed, &json!({ "last": kept })), "{how}");
        crash(&program, &script, &trial).unwrap_or_else(|fault| panic!("{how}: {fault:?}"));
    }
}

fn program_with_trigger(trigger: &str) -> engine::Program {
    use engine::{CompileSettings, Program, catalogue};
    let text = format!("liaison: 1\nrecipe: story\ntrigger:\n  from: api\n{trigger}steps:\n  - id: a\n    set: {{ x: 1 }}\n");
    let connectors = crate::bench::connectors();
    let parsed = recipe::parse_and_check(text.as_bytes(), &catalogue::of(&connectors));
    let recipe = parsed.recipe.expect("a recipe");
    Program::compile(
        &recipe,
        &connectors,
        CompileSettings { step_timeout: std::time::Duration::from_secs(60), skips_waits: false },
    )
    .expect("compiles")
}

#[test]
fn a_cut_run_comes_to_the_same_end() {
    let program = program(TWO);
    for fails in [
        vec![],
        vec![failing("a", ErrorClass::Server, Some(2))],
        vec![failing("b", ErrorClass::Invalid, None)],
        vec![failing("b", ErrorClass::Timeout, None)],
    ] {
        let mut script = script(json!({ "n": 7 }));
        script.fails = fails;
        let whole = run(&program, &script);
        let survived = crash(&program, &script, &whole).unwrap_or_else(|fault| panic!("{:?}: {fault:?}", script.fails));
        assert!(survived.cuts >= 2 && survived.cuts == survived.places, "{survived:?}");
        assert!(survived.sent_again.contains("a") && survived.read_again.is_empty(), "{survived:?}");
        assert!(survived.asked.contains("b") && !survived.sent_again.contains("b"), "{survived:?}");
    }
}

#[test]
fn a_long_run_is_cut_in_many_places_and_says_in_how_many() {
    let program = program("steps:\n  - id: push\n    each: \"${ trigger.rows }\"\n    steps:\n      - { id: a, do: sys.get }\n");
    let script = script(json!({ "rows": vec![0; CUTS_MAX + 100] }));
    let survived = crash(&program, &script, &run(&program, &script)).expect("every cut is survived");
    assert_eq!(survived.places, CUTS_MAX + 100);
    assert!(survived.cuts <= CUTS_MAX && survived.cuts >= CUTS_MAX / 2, "{}", survived.cuts);
    assert_eq!(survived.read_again.into_iter().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_run_that_ends_otherwise_after_a_crash_is_told() {
    let program = program(TWO);
    let before = script(json!({ "n": 7 }));
    let whole = run(&program, &before);
    let mut after = script(json!({ "n": 7 }));
    after.given[1].1 = Arc::new(json!("something else"));
    let fault = crash(&program, &after, &whole).expect_err("the other system answers otherwise the second time");
    let what = Harm::Differs { what: "output", expected: json!("done"), actual: json!("something else") };
    assert_eq!((fault.commit, fault.what), (1, what));
}
