//! What changed, in words.

use proptest::prelude::*;
use recipe::{Change, DifferenceKind, NewValue, diff};

use crate::catalogue::real;
use crate::edit_corpus::{Tape, recipe};
use crate::edit_model::{change, found};
use crate::edit_read::read;
use crate::good::FULL;

const BASE: &str = r#"liaison: 1
recipe: book
title: Book orders
connections: { shop: http }
params:
  least: { type: number, default: 100 }
trigger: { from: api }
settings: { retry: 5 }
steps:
  - id: order
    do: shop.request
    with: { path: "/orders/${ trigger.id }" }
  - id: line
    title: Book the line
    do: shop.request
    timeout: 60s
    with:
      method: POST
      path: /lines
      idempotent: true
      json: { Amount: "${ trigger.amount }", Name: "${ steps.order.body.name }" }
  - id: known
    choose:
      - when: steps.order.body.total > params.least
        steps:
          - id: big
            set: { size: big }
      - otherwise:
          - id: small
            set: { size: small }
  - id: done
    return: { line: "${ steps.line.body.id }" }
tests:
  - title: books
    event: { id: 1 }
    given: { order: { body: { name: x } } }
"#;

fn sentences(old: &str, new: &str) -> Vec<String> {
    diff(old, new, &real()).expect("readable texts").into_iter().map(|difference| difference.sentence).collect()
}

/// What people read after one replacement in the recipe above.
#[track_caller]
fn says(from: &str, to: &str, expected: &[&str]) {
    assert!(BASE.contains(from), "{from:?} is not in the recipe");
    assert_eq!(sentences(BASE, &BASE.replacen(from, to, 1)), expected);
}

#[test]
fn changed_fields_are_named_by_step_and_field() {
    says("${ trigger.amount }", "${ trigger.amount / 100 }", &["Step 2 “Book the line”, Amount: now divided by 100"]);
    says("${ trigger.amount }", "${ round(trigger.amount, 2) }", &["Step 2 “Book the line”, Amount: now rounded to 2 digits"]);
    says("${ trigger.amount }", "${ trigger.amount ?? 0 }", &["Step 2 “Book the line”, Amount: now falling back to 0"]);
    says("${ trigger.amount }", "${ trigger.sum }", &["Step 2 “Book the line”, Amount: now `trigger.sum`, was `trigger.amount`"]);
    says("path: /lines", "path: /rows", &["Step 2 “Book the line”, path: now “/rows”, was “/lines”"]);
    says("      idempotent: true\n", "", &["Step 2 “Book the line”, idempotent: no longer set, was `true`"]);
    says("timeout: 60s", "timeout: 5m", &["Step 2 “Book the line”, timeout: now “5m”, was “1m”"]);
    says(
        "timeout: 60s",
        "retry: none",
        &[
            "Step 2 “Book the line”, retry: now set to `{\"times\":1}`",
            "Step 2 “Book the line”, timeout: no longer set, was “1m”",
        ],
    );
    says("title: Book the line", "title: Book it", &["Step 2 “Book it”, title: now “Book it”, was “Book the line”"]);
    says("timeout: 60s", "timeout: 60s\n    if: trigger.paid", &["Step 2 “Book the line”: now only if `trigger.paid`"]);
    says("timeout: 60s", "timeout: 60s\n    disabled: true", &["Step 2 “Book the line”: switched off"]);
    says("set: { size: big }", "stop: enough", &["Step 3.1 (big): now `stop`, was `set`"]);
    says("do: shop.request", "do: http.request", &["Step 1 (order): now uses http.request, was shop.request"]);
    says(
        "when: steps.order.body.total > params.least",
        "when: trigger.big",
        &["Step 3 (known), choose 1 when: now `trigger.big`, was `steps.order.body.total > params.least`"],
    );
}

#[test]
fn the_parts_around_the_steps_are_told_too() {
    says(
        "least: { type: number, default: 100 }",
        "least: { type: integer, default: 50 }",
        &["Parameter least, type: now “integer”, was “number”", "Parameter least, default: now `50`, was `100`"],
    );
    says("{ shop: http }", "{ shop: http, crm: http }", &["Connection crm: added, “http”"]);
    says("trigger: { from: api }", "trigger: { from: webhook }", &["Trigger, from: now “webhook”, was “api”"]);
    says("{ retry: 5 }", "{ retry: 8 }", &["Settings, retry times: now `8`, was `5`"]);
    says("settings: { retry: 5 }\n", "", &["Settings, retry: no longer set, was `{\"times\":5}`"]);
    says("settings:", "state: { last: { type: string } }\nsettings:", &["State value last: added, `{\"type\":\"string\"}`"]);
    says("title: Book orders\n", "title: Orders\n", &["Recipe, title: now “Orders”, was “Book orders”"]);
    says("event: { id: 1 }", "event: { id: 2 }", &["Test “books”, event id: now `2`, was `1`"]);
    says("title: books", "title: sells", &["Test “sells”: added", "Test “books”: removed"]);
}

#[test]
fn steps_come_go_move_and_get_other_names() {
    says("  - id: line\n", "  - id: note\n    set: { a: 1 }\n  - id: line\n", &["Step 2 (note): added, `set`"]);
    says("  - id: done\n    return: { line: \"${ steps.line.body.id }\" }\n", "", &["Step 4 (done) of before: removed"]);
    let order = "  - id: order\n    do: shop.request\n    with: { path: \"/orders/${ trigger.id }\" }\n";
    let later = BASE.replace(order, "").replace("  - id: done\n", &format!("{order}  - id: done\n"));
    assert_eq!(sentences(BASE, &later), ["Step 3 (order): moved, now after step 2 (known)"]);
    let renamed =
        BASE.replace("id: order\n", "id: bought\n").replace("steps.order", "steps.bought").replace("{ order: {", "{ bought: {");
    assert_eq!(sentences(BASE, &renamed), ["Step 1 (bought): renamed, was `order`"]);
    let small = "          - id: small\n            set: { size: small }\n";
    let out = BASE
        .replace(&format!("      - otherwise:\n{small}"), "")
        .replace("  - id: done", "  - id: small\n    set: { size: small }\n  - id: done");
    let told = sentences(BASE, &out);
    assert_eq!(told.last().map(String::as_str), Some("Step 4 (small): moved, now outside any other step"), "{told:?}");
}

#[test]
fn steps_put_into_another_are_wrapped_not_moved() {
    let line = BASE.find("  - id: line\n").expect("a step");
    let end = BASE.find("  - id: known\n").expect("a step");
    let indented: String =
        BASE[line..end].lines().map(|line| format!("      {}\n", line.strip_prefix("  ").unwrap_or(line))).collect();
    let wrapped = format!(
        "{}  - id: safely\n    try:\n{indented}    catch:\n      - id: told\n        stop: no\n{}",
        &BASE[..line],
        &BASE[end..]
    );
    assert_eq!(sentences(BASE, &wrapped), ["Step 2 (safely): added around `line`", "Step 2.2 (told): added, `stop`"]);
    assert_eq!(
        sentences(&wrapped, BASE),
        ["Step 2 (safely) of before: removed, but `line` stays", "Step 2.2 (told) of before: removed"]
    );
}

#[test]
fn what_means_the_same_is_no_change() {
    let same = BASE
        .replace("timeout: 60s", "timeout: 1m   # a minute")
        .replace("{ retry: 5 }", "{ retry: { times: 5 } }")
        .replace("${ trigger.amount }", "${trigger.amount}")
        .replace(
            "    title: Book the line\n    do: shop.request\n",
            "    do: shop.request\n    title: \"Book the line\"\n    on_error: fail\n",
        )
        .replace("recipe: book\n", "recipe: book\nx-owner: me\n");
    assert_ne!(same, BASE);
    assert_eq!(sentences(BASE, &same), Vec::<String>::new());
    // Among data, `x-` keys and words of the language are data.
    says("{ size: big }", "{ size: big, x-a: 1 }", &["Step 3.1 (big), x-a: now set to `1`"]);
}

#[test]
fn a_text_that_cannot_be_read_is_named() {
    let error = diff(BASE, "a: [\n", &real()).expect_err("a refusal");
    assert!(error.in_new && error.to_string().starts_with("The new recipe cannot be read. Line "), "{error}");
    assert!(!diff("a: 1\na: 2\n", BASE, &real()).expect_err("a refusal").in_new);
}

/// Ten thousand steps of other names: neither silent nor slow.
#[test]
fn many_changed_steps_are_told_in_bounded_time() {
    let recipe = |name: &str| -> String {
        let steps = (0..10_000).map(|n| format!("  - {{ id: {name}_{n}, set: {{ a: {n} }} }}\n"));
        "liaison: 1\nrecipe: many\ntrigger: { from: api }\nsteps:\n".chars().chain(steps.collect::<String>().chars()).collect()
    };
    let told = diff(&recipe("a"), &recipe("b"), &real()).expect("readable texts");
    assert_eq!(told.len(), 20_000);
    assert!(told.iter().all(|one| matches!(one.kind, DifferenceKind::Added | DifferenceKind::Removed)));
}

#[test]
fn differences_say_their_kind_and_place() {
    let new = BASE.replacen("${ trigger.amount }", "${ trigger.amount / 100 }", 1);
    let all = diff(BASE, &new, &real()).expect("readable texts");
    assert_eq!((all[0].kind, all[0].step.as_deref()), (DifferenceKind::Changed, Some("line")));
    assert_eq!(all[0].path, ["with", "json", "Amount"]);
    assert_eq!(serde_json::to_value(&all[0]).expect("JSON")["kind"], "changed");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_differs_from_itself_in_any_layout(tape in prop::collection::vec(any::<u8>(), 0..400)) {
        let text = recipe(&mut Tape::new(&tape));
        if let Ok(formatted) = recipe::fmt(&text) {
            prop_assert_eq!(diff(&text, &formatted, &real()).map(|all| all.len()), Ok(0), "{}", text);
        }
    }

    /// A change that an editor made is told, and one that changed no meaning is not.
    #[test]
    fn every_change_is_told(tape in prop::collection::vec(any::<u8>(), 0..400), choice in prop::collection::vec(any::<u8>(), 40)) {
        let text = recipe(&mut Tape::new(&tape));
        let Some(old) = read(&text).filter(|old| !found(old).is_empty()) else { return Ok(()) };
        let change = change(&mut Tape::new(&choice), &old);
        let Ok(edited) = recipe::edit(&text, &change, &real()) else { return Ok(()) };
        let told = diff(&text, &edited.text, &real()).expect("readable texts");
        if read(&edited.text) == Some(old) {
            prop_assert!(told.is_empty(), "{:?}\n{}", told, text);
        }
        if let Change::SetField { value: NewValue::Json(_), .. } | Change::RemoveStep { .. } | Change::InsertStep { .. } = change {
            prop_assert_eq!(told.is_empty(), read(&edited.text) == read(&text), "{:?}\n{}\n=====\n{}", change, text, edited.text);
        }
    }
}

#[test]
fn the_full_recipe_loses_each_line_with_a_word() {
    let lines: Vec<&str> = FULL.lines().collect();
    let mut told = 0;
    for skip in 0..lines.len() {
        let text: String = lines.iter().enumerate().filter(|(at, _)| *at != skip).map(|(_, line)| format!("{line}\n")).collect();
        let Ok(all) = diff(FULL, &text, &real()) else { continue };
        let silent = lines[skip].trim().is_empty() || lines[skip].trim_start().starts_with(['#', 'x']);
        assert!(silent || !all.is_empty(), "{}", lines[skip]);
        told += usize::from(!all.is_empty());
    }
    assert!(told > 40, "{told}");
}
