//! Sound recipes: nothing to say about them, and the tree is what was written.

use std::time::Duration;

use recipe::{Jitter, Part, SetValue, StepKind, TriggerSource, ValueKind};
use serde_json::json;

use crate::{problems, sane};

/// Every word of the language.
pub(crate) const FULL: &str = r##"# The paid invoice closes the opportunity.
liaison: 1
recipe: paid-invoice-to-opportunity
title: Paid Stripe invoices close their Salesforce opportunity
note: |
  Free text, where ${ nothing } is evaluated.
tags: [billing, "2026"]
x-owner: { team: finance }
connections:
  sf: salesforce
  x-legacy: ignored

params:
  min_amount: { type: number, default: 100, title: Smallest amount }
  name: { type: string }
  dry: { type: boolean, default: false }
  count: { type: integer, default: 18446744073709551615 }
  codes: { type: list, default: [1, 2] }
  extra: { type: record, default: {} }

trigger:
  from: sf.event
  with: { types: [invoice.paid] }
  if: trigger.data.object.amount_paid > params.min_amount * 100
  dedupe: { by: "${ trigger.id }", for: 30d }

settings:
  timeout: 10m
  retry: 5
  label: "${ trigger.data.object.number }"

steps:
  - id: account
    title: Find the account
    note: By its ${ Stripe } id.
    do: sf.query
    retry: { times: 8, wait: 2s, factor: 1.5, max_wait: 5m, jitter: full, within: 1h, on: [timeout, rate_limited] }
    timeout: 30s
    with:
      soql: "SELECT Id FROM Account WHERE Stripe_Id__c = :customer"   # a comment
      params: { customer: "${ trigger.data.object.customer }", "x-1": ~ }
      limit: 10
      x-own: ignored
  - id: known
    choose:
      - when: steps.account.total_size == 0
        steps:
          - id: unknown
            fail: "No account for ${ trigger.data.object.customer }, in $${ braces }"
      - when: trigger.data.quiet == false
        steps:
          - { id: told, retry: none, do: http.request, with: { url: https://example.com, json: { a: [1, "${ run.id }"] } } }
      - otherwise:
          - id: nothing
            if: "!params.dry"
            set: { why: nothing }
  - id: lines
    each: ${ trigger.data.object.lines }
    as: line
    collect: ${ steps.price.cents + index }
    steps:
      - id: price
        set:
          cents: ${ line.amount * 100 }
          text: >-
            it is ${ line.amount }
            and ${ steps.account.records[0].Id }
          kept: '${ #{ a: "}" } }'
  - id: total
    set: |
      let sum = 0;
      sum + steps.lines.total
  - id: done
    return:
      total: $${ not evaluated }
      branch: ${ steps.known.branch }
      all: ${ $.steps.lines.results[*] }
      first: ${ meta.nothing.status ?? "none" }
"##;

#[test]
fn full_recipe_has_no_problem_and_the_tree_it_says() {
    let text = FULL.replace("      x-own: ignored\n", "");
    assert_eq!(problems(text.as_bytes()), Vec::<String>::new());
    let parsed = recipe::parse(text.as_bytes());
    sane(text.as_bytes(), &parsed);
    let recipe = parsed.recipe.expect("a recipe");
    assert_eq!(recipe.slug.value, "paid-invoice-to-opportunity");
    assert_eq!(&text[recipe.slug.span.start..recipe.slug.span.end], "paid-invoice-to-opportunity");
    assert_eq!(recipe.tags, ["billing", "2026"]);
    assert_eq!(recipe.connections.len(), 1);
    assert_eq!(recipe.params.len(), 6);
    assert_eq!(recipe.params[3].default, Some(json!(18_446_744_073_709_551_615_u64)));
    let trigger = &recipe.trigger;
    assert_eq!(trigger.from.value, TriggerSource::Connection { connection: "sf".into(), trigger: "event".into() });
    assert_eq!(trigger.with, json!({"types": ["invoice.paid"]}));
    assert_eq!(trigger.dedupe.as_ref().and_then(|d| d.keep), Some(Duration::from_secs(30 * 24 * 3600)));
    assert_eq!(recipe.settings.timeout, Some(Duration::from_secs(600)));
    assert_eq!(recipe.settings.retry.as_ref().map(|r| r.times), Some(5));
    let ids: Vec<_> = recipe.steps.iter().map(|s| s.id.value.as_str()).collect();
    assert_eq!(ids, ["account", "known", "lines", "total", "done"]);

    let account = &recipe.steps[0];
    let retry = account.retry.as_ref().expect("a retry");
    assert_eq!((retry.times, retry.factor, retry.jitter), (8, Some(1.5), Some(Jitter::Full)));
    assert_eq!(retry.on, Some(vec!["timeout".to_owned(), "rate_limited".to_owned()]));
    let StepKind::Do { connection, action, with, .. } = &account.kind else { panic!("{account:?}") };
    assert_eq!(&text[connection.span.start..connection.span.end], "sf");
    assert_eq!(&text[action.span.start..action.span.end], "query");
    let ValueKind::Record(fields) = &with.kind else { panic!("{with:?}") };
    assert!(matches!(&fields[2].1.kind, ValueKind::Literal(limit) if *limit == json!(10)));

    let StepKind::Choose(branches) = &recipe.steps[1].kind else { panic!() };
    assert_eq!(
        branches.iter().map(|b| b.when.as_ref().map(|w| w.source.as_str())).collect::<Vec<_>>(),
        [Some("steps.account.total_size == 0"), Some("trigger.data.quiet == false"), None]
    );
    let StepKind::Fail(message) = &branches[0].steps[0].kind else { panic!() };
    let ValueKind::Text(parts) = &message.kind else { panic!() };
    assert!(matches!(&parts[2], Part::Literal(rest) if rest == ", in ${ braces }"));
    assert_eq!(branches[1].steps[0].retry.as_ref().map(|r| r.times), Some(1));

    let StepKind::Each(each) = &recipe.steps[2].kind else { panic!() };
    assert!(matches!(&each.items.kind, ValueKind::Expr(e) if e.source == "trigger.data.object.lines"));
    assert_eq!(each.binding, "line");
    assert!(each.collect.is_some());
    let StepKind::Set(SetValue::Fields(fields)) = &each.steps[0].kind else { panic!() };
    let ValueKind::Record(fields) = &fields.kind else { panic!() };
    assert!(matches!(&fields[2].1.kind, ValueKind::Expr(e) if e.source == "#{ a: \"}\" }"));

    let StepKind::Set(SetValue::Script(script)) = &recipe.steps[3].kind else { panic!() };
    assert_eq!(script.source, "let sum = 0;\n      sum + steps.lines.total".replace("      ", ""));
    let StepKind::Return(result) = &recipe.steps[4].kind else { panic!() };
    let ValueKind::Record(fields) = &result.kind else { panic!() };
    assert!(matches!(&fields[0].1.kind, ValueKind::Literal(text) if *text == json!("${ not evaluated }")));
}

#[test]
fn fields_of_values_are_never_mistaken_for_keys_of_the_language() {
    // `x-` is ignored among the language's own keys only; among data it is data.
    assert_eq!(problems(FULL.as_bytes()), ["L0402 43:7"]);
}

/// Every expression's place is exactly its source in the file, or, across lines, its parts are.
#[test]
fn expressions_know_their_bytes() {
    let text = r#"liaison: 1
recipe: places
trigger: { from: webhook }
steps:
  - id: a
    set:
      plain: ${ trigger.body.é }
      before: é ${ trigger.method } and ${trigger.path}
      single: 'it''s ${ trigger.method }'
      double: "a\tb\u00e9\x41 ${ trigger.method } \"${ trigger.path }\""
      emoji: "\uD83D\uDE00 ${ trigger.body.query }"
      literal: |
        first
          ${ trigger.method }

        ${ trigger.path }
      folded: >-
        first
        ${ trigger.method }

        second ${ trigger.path }
      lines: before
        ${ trigger.body.query } after
      quoted: "before
        ${ trigger.body.headers } \
        ${ trigger.body }"
"#;
    for text in [text.to_owned(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
        let parsed = recipe::parse_and_check(text.as_bytes(), &crate::catalogue::catalogue());
        assert!(parsed.is_sound(), "{:?}", parsed.diagnostics);
        let recipe = parsed.recipe.expect("a recipe");
        let StepKind::Set(SetValue::Fields(value)) = &recipe.steps[0].kind else { panic!() };
        let ValueKind::Record(fields) = &value.kind else { panic!() };
        let mut seen = 0;
        let mut check = |expr: &recipe::Expr| {
            assert_eq!(&text[expr.span.start..expr.span.end], expr.source, "{text}");
            let inner = expr.place(3..6);
            assert_eq!(text[inner.start..inner.end], expr.source[3..6]);
            seen += 1;
        };
        for (_, value) in fields {
            match &value.kind {
                ValueKind::Expr(expr) => check(expr),
                ValueKind::Text(parts) => parts.iter().for_each(|part| {
                    if let Part::Expr(expr) = part {
                        check(expr);
                    }
                }),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, 14);
    }
}

#[test]
fn json_is_accepted_as_yaml() {
    let text = "{\n\t\"liaison\": 1,\n\t\"recipe\": \"j\",\n\t\"trigger\": {\"from\": \"api\"},\n\t\"steps\": [\n\t\t{\"id\": \"a\", \"return\": {\"x\": \"${ trigger.y }\"}}\n\t]\n}\n";
    assert_eq!(problems(text.as_bytes()), Vec::<String>::new());
}

#[test]
fn a_thousand_steps_are_read() {
    use std::fmt::Write;
    let mut text = String::from("liaison: 1\nrecipe: big\ntrigger: { from: api }\nsteps:\n");
    for n in 0..1000 {
        let _ = writeln!(
            text,
            "  - id: step_{n}\n    do: http.request\n    with:\n      url: https://example.com/{n}\n      json: {{ a: \"${{ trigger.x{n} }}\" }}"
        );
    }
    assert_eq!(problems(text.as_bytes()), Vec::<String>::new());
    let recipe = recipe::parse(text.as_bytes()).recipe.expect("a recipe");
    assert_eq!(recipe.steps.len(), 1000);
    assert_eq!(recipe.steps[999].id.value, "step_999");
}

#[test]
fn whole_values_keep_their_type_and_mixed_text_is_text() {
    let text = "liaison: 1\nrecipe: v\ntrigger: { from: webhook }\nsteps:\n- id: a\n  set:\n    whole: \" ${ 1 }\"\n    block: |\n      ${ 1 }\n    quoted: \"${ 1 }\"\n    list: [1, \"a\", \"${ 1 }\"]\n";
    let recipe = recipe::parse(text.as_bytes()).recipe.expect("a recipe");
    let StepKind::Set(SetValue::Fields(value)) = &recipe.steps[0].kind else { panic!() };
    let ValueKind::Record(fields) = &value.kind else { panic!() };
    assert!(matches!(fields[0].1.kind, ValueKind::Text(_)));
    assert!(matches!(fields[1].1.kind, ValueKind::Expr(_)));
    assert!(matches!(fields[2].1.kind, ValueKind::Expr(_)));
    let ValueKind::List(items) = &fields[3].1.kind else { panic!() };
    assert!(matches!(&items[0].kind, ValueKind::Literal(one) if *one == json!(1)));
}
