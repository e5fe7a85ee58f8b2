//! Recipes told from event to journal.

use serde_json::{Value, json};
use store::Then;

use crate::bench::{Answer, World, program};

fn fine(path: &str, _: usize) -> Answer {
    Answer::Ok(json!({ "from": path }))
}

fn story(rest: &str, event: Value, script: &dyn Fn(&str, usize) -> Answer) -> (World, Then) {
    let program = program(rest);
    let mut world = World::default();
    let mut state = world.begin(event);
    let then = world.drive(&program, &mut state, script, 1000).expect("the story ends");
    (world, then)
}

#[test]
fn pure_steps_ride_with_the_one_commit_of_their_run() {
    let (world, then) = story(
        "steps:\n  - id: order\n    set: { total: \"${ trigger.amount / 100 }\", name: \"Order ${ trigger.id }\" }\n  \
         - id: big\n    choose:\n      - when: steps.order.total > 10\n        steps:\n          - id: mark\n            set: { big: true }\n  \
         - id: end\n    return: { total: \"${ steps.order.total }\", big: \"${ steps.mark.big }\" }\n",
        json!({ "amount": 1999, "id": "A-1" }),
        &fine,
    );
    assert!(matches!(then, Then::Succeeded { .. }));
    assert_eq!(world.chunks.len(), 1);
    assert_eq!(world.told(), ["accepted", "computed order", "computed big", "computed mark", "computed end", "ended succeeded"]);
    assert_eq!(world.output(), Some(json!({ "total": 19.99, "big": true })));
}

#[test]
fn a_run_with_k_calls_makes_k_plus_one_commits() {
    let (world, _) = story(
        "steps:\n  - id: a\n    do: sys.put\n  - id: b\n    do: sys.post\n    with: { before: \"${ steps.a.from }\" }\n  - id: c\n    do: sys.get\n",
        json!({}),
        &fine,
    );
    assert_eq!(world.chunks.len(), 4);
    assert_eq!(
        world.told(),
        [
            "accepted",
            "started a 1",
            "succeeded a 1",
            "started b 1",
            "succeeded b 1",
            "started c 1",
            "succeeded c 1",
            "ended succeeded"
        ]
    );
    assert_eq!(world.calls[1].2, json!({ "before": "a" }));
}

#[test]
fn skipped_steps_give_null_and_call_nothing() {
    let (world, _) = story(
        "steps:\n  - id: a\n    if: trigger.wanted\n    do: sys.put\n  - id: b\n    set: { seen: \"${ steps.a }\" }\n",
        json!({ "wanted": false }),
        &fine,
    );
    assert!(world.calls.is_empty());
    assert_eq!(world.told(), ["accepted", "skipped a", "computed b", "ended succeeded"]);
    assert_eq!(world.outputs()["b"], json!({ "seen": null }));
}

#[test]
fn a_condition_must_be_a_boolean() {
    let (world, then) = story("steps:\n  - id: a\n    if: trigger.wanted\n    do: sys.put\n", json!({ "wanted": "yes" }), &fine);
    assert!(world.calls.is_empty());
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!((error.class.as_str(), error.path.as_deref()), ("recipe", Some("a")));
}

#[test]
fn loops_give_their_results_in_order_and_name_their_passes() {
    let (world, _) = story(
        "steps:\n  - id: push\n    each: ${ $.trigger.rows[*] }\n    as: row\n    collect: ${ steps.up.from }\n    steps:\n      \
         - id: up\n        do: sys.put\n        with: { id: \"${ row.id }\", at: \"${ index }\" }\n  \
         - id: end\n    return: ${ steps.push }\n",
        json!({ "rows": [{ "id": "x" }, { "id": "y" }, { "id": "z" }] }),
        &fine,
    );
    let inputs: Vec<_> = world.calls.iter().map(|(path, _, input)| (path.as_str(), input.clone())).collect();
    assert_eq!(
        inputs,
        [
            ("push[0].up", json!({ "id": "x", "at": 0 })),
            ("push[1].up", json!({ "id": "y", "at": 1 })),
            ("push[2].up", json!({ "id": "z", "at": 2 })),
        ]
    );
    assert_eq!(
        world.output(),
        Some(json!({ "results": ["push[0].up", "push[1].up", "push[2].up"], "total": 3, "failed": 0, "filtered": 0 }))
    );
}

#[test]
fn loops_within_loops_see_their_own_pass_only() {
    let (world, _) = story(
        "steps:\n  - id: outer\n    each: ${ $.trigger.groups }\n    as: group\n    collect: ${ steps.inner.results }\n    steps:\n      \
         - id: inner\n        each: ${ group }\n        as: one\n        collect: ${ steps.ask.from }\n        steps:\n          \
         - id: ask\n            do: sys.get\n            with: { one: \"${ one }\" }\n  - id: end\n    return: ${ steps.outer.results }\n",
        json!({ "groups": [[1, 2], [], [3]] }),
        &fine,
    );
    assert_eq!(world.output(), Some(json!([["outer[0].inner[0].ask", "outer[0].inner[1].ask"], [], ["outer[2].inner[0].ask"]])));
}

#[test]
fn what_is_no_list_cannot_be_walked() {
    for (rows, code) in [(json!(null), "NOT_A_LIST"), (json!({ "a": 1 }), "NOT_A_LIST"), (json!("text"), "NOT_A_LIST")] {
        let (_, then) = story(
            "steps:\n  - id: push\n    each: ${ trigger.rows }\n    steps:\n      - id: up\n        do: sys.put\n",
            json!({ "rows": rows }),
            &fine,
        );
        let Then::Failed { error, .. } = then else { panic!("{then:?}") };
        assert_eq!(error.code, code);
    }
}

#[test]
fn a_failed_try_is_made_again_with_the_same_input() {
    let (world, _) =
        story("steps:\n  - id: a\n    do: sys.put\n    with: { at: \"${ trigger.n }\" }\n", json!({ "n": 5 }), &|_, before| {
            if before < 2 { Answer::Again(30) } else { Answer::Ok(json!(1)) }
        });
    assert_eq!(
        world.told(),
        ["accepted", "started a 1", "failed a 1", "started a 2", "failed a 2", "started a 3", "succeeded a 3", "ended succeeded"]
    );
    assert!(world.calls.iter().all(|(.., input)| *input == json!({ "at": 5 })));
    assert!(world.now > 60_000_000, "two pauses of 30 s were waited for");
}

#[test]
fn a_failure_ends_the_run_at_its_step() {
    let (world, then) = story("steps:\n  - id: a\n    do: sys.put\n  - id: b\n    do: sys.put\n", json!({}), &|path, _| {
        if path == "a" { Answer::Failed } else { Answer::Ok(json!(1)) }
    });
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!((error.path.as_deref(), error.code.as_str()), (Some("a"), "HTTP_503"));
    assert_eq!(world.told().last().map(String::as_str), Some("ended failed"));
    assert_eq!(world.calls.len(), 1);
}

#[test]
fn a_recipe_can_fail_on_purpose() {
    let (_, then) =
        story("steps:\n  - id: a\n    fail: \"No account for ${ trigger.customer }\"\n", json!({ "customer": "cus_1" }), &fine);
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!((error.code.as_str(), error.message.as_str()), ("FAILED_BY_RECIPE", "No account for cus_1"));
}

#[test]
fn null_does_not_turn_into_text() {
    let (world, then) =
        story("steps:\n  - id: a\n    do: sys.put\n    with: { path: \"/customers/${ trigger.customer }\" }\n", json!({}), &fine);
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!(error.code, "FORMULA_NULL_VALUE");
    assert!(world.calls.is_empty());
}

#[test]
fn a_run_that_takes_too_long_ends() {
    let (world, then) =
        story("settings: { timeout: 1m }\nsteps:\n  - id: a\n    do: sys.put\n", json!({}), &|_, _| Answer::Again(45));
    let Then::Failed { error, .. } = then else { panic!("{then:?}") };
    assert_eq!(error.code, "RUN_TIMEOUT");
    assert_eq!(world.calls.len(), 2);
}
