//! Changes of a text: what each one writes, and what it leaves alone.

use recipe::{Change, EditCode, FieldPath, NewValue, PathPart, Place, StepList, Wrapper, apply, edit, step_text};
use serde_json::json;

use crate::catalogue::real;

/// Makes a change and compares the text; undo gives the old one back.
#[track_caller]
fn check(text: &str, change: &Change, expected: &str) {
    let edited = edit(text, change, &real()).unwrap_or_else(|error| panic!("{error:?}\n{change:?}\n{text}"));
    assert_eq!(edited.text, expected, "{change:?}");
    assert_eq!(apply(&edited.text, &edited.undo).as_deref(), Some(text));
    assert_eq!(apply(text, &edited.patches).as_deref(), Some(expected));
}

#[track_caller]
fn refused(text: &str, change: &Change, code: EditCode) {
    let error = edit(text, change, &real()).expect_err("a refusal");
    assert_eq!(error.code, code, "{error:?}");
    assert!(error.message.ends_with('.'), "{error:?}");
}

fn set(step: &str, path: &[&str], value: serde_json::Value) -> Change {
    Change::SetField { at: at(step, path), value: NewValue::Json(value) }
}

fn at(step: &str, path: &[&str]) -> FieldPath {
    let part = |part: &&str| part.parse().map_or_else(|_| PathPart::Key((*part).to_owned()), PathPart::Index);
    FieldPath { step: (!step.is_empty()).then(|| step.to_owned()), path: path.iter().map(part).collect() }
}

fn insert(at: Place, step: &str) -> Change {
    Change::InsertStep { at, step: step.to_owned() }
}

fn after(id: &str) -> Place {
    Place::After(id.to_owned())
}

fn before(id: &str) -> Place {
    Place::Before(id.to_owned())
}

fn move_step(id: &str, to: Place) -> Change {
    Change::MoveStep { id: id.to_owned(), to }
}

fn rename(from: &str, to: &str) -> Change {
    Change::RenameId { from: from.to_owned(), to: to.to_owned() }
}

fn remove(id: &str) -> Change {
    Change::RemoveStep { id: id.to_owned() }
}

const TWO: &str = "# head
liaison: 1
recipe: two

trigger: { from: webhook }   # any

steps:
  # about a
  - id: a         # beside a
    do: http.request
    with:
      url: https://a.example   # where
      json: { n: 1, t: 'one', e: \"${ trigger.body.x }\" }
    # at the end of a

  # on its own

  # about b
  - id: b
    set:
      x: ${ steps.a.body.x }
";

#[test]
fn a_value_changes_in_its_place() {
    let with = |from: &str, to: &str| TWO.replace(from, to);
    check(TWO, &set("a", &["with", "url"], json!("https://b.example")), &with("https://a.example", "https://b.example"));
    check(TWO, &set("a", &["with", "url"], json!("a: b")), &with("https://a.example", "\"a: b\""));
    check(TWO, &set("a", &["with", "url"], json!("${ \"x\" }")), &with("https://a.example", "${ \"x\" }"));
    check(TWO, &set("a", &["with", "url"], json!("${ #{ a: \"x\" } }")), &with("https://a.example", "'${ #{ a: \"x\" } }'"));
    check(TWO, &set("a", &["with", "url"], json!(12)), &with("https://a.example", "12"));
    check(TWO, &set("a", &["with", "url"], json!("12")), &with("https://a.example", "\"12\""));
    check(TWO, &set("a", &["with", "url"], json!(null)), &with("https://a.example", "null"));
    check(TWO, &set("a", &["with", "json", "n"], json!(2.5)), &with("{ n: 1", "{ n: 2.5"));
    check(TWO, &set("a", &["with", "json", "t"], json!("two, three")), &with("'one'", "'two, three'"));
    check(TWO, &set("a", &["with", "json", "t"], json!("it's")), &with("'one'", "'it''s'"));
    check(TWO, &set("a", &["with", "json", "e"], json!("plain")), &with("${ trigger.body.x }", "plain"));
    check(TWO, &set("a", &["with", "json", "n"], json!("${ 1 }")), &with("{ n: 1", "{ n: \"${ 1 }\""));
    check(TWO, &set("", &["trigger", "from"], json!("api")), &with("webhook", "api"));
    check(TWO, &set("b", &["set", "x"], json!("${ steps.a.body.y }")), &with("body.x }\n", "body.y }\n"));
    check(TWO, &set("b", &["set", "x"], json!("${ steps.a.body.x }")), TWO);
}

#[test]
fn values_change_their_shape() {
    let with = |from: &str, to: &str| TWO.replace(from, to);
    let lines = " line one\nline two\n";
    check(
        TWO,
        &set("a", &["with", "url"], json!(lines.trim_start())),
        &with("https://a.example   # where", "|   # where\n        line one\n        line two"),
    );
    check(TWO, &set("a", &["with", "url"], json!(lines)), &with("https://a.example", "\" line one\\nline two\\n\""));
    check(
        TWO,
        &set("a", &["with", "url"], json!({"a": 1, "b": [true, {"c": "d"}]})),
        &with("url: https://a.example   # where", "url:   # where\n        a: 1\n        b:\n          - true\n          - c: d"),
    );
    check(TWO, &set("a", &["with", "url"], json!([])), &with("https://a.example", "[]"));
    check(TWO, &set("a", &["with", "json"], json!(7)), &with("{ n: 1, t: 'one', e: \"${ trigger.body.x }\" }", "7"));
    check(
        TWO,
        &set("b", &["set"], json!("let x = 1;\nx")),
        &with("set:\n      x: ${ steps.a.body.x }", "set: |-\n      let x = 1;\n      x"),
    );
    check(TWO, &set("b", &["set"], json!({"x": {"y": 1}})), &with("x: ${ steps.a.body.x }", "x:\n        y: 1"));
    check(
        TWO,
        &set("a", &["with", "json"], json!({"n": 1, "t": "one", "z": [1]})),
        &with("e: \"${ trigger.body.x }\"", "z: [1]"),
    );
}

#[test]
fn new_fields_find_their_place() {
    let with = |from: &str, to: &str| TWO.replace(from, to);
    check(TWO, &set("a", &["title"], json!("Ask")), &with("# beside a\n", "# beside a\n    title: Ask\n"));
    check(TWO, &set("a", &["retry", "times"], json!(3)), &with("http.request\n", "http.request\n    retry:\n      times: 3\n"));
    check(TWO, &set("a", &["with", "json", "new"], json!("x")), &with("body.x }\" }", "body.x }\", new: x }"));
    check(TWO, &set("a", &["with", "a b"], json!("x")), &with("body.x }\" }\n", "body.x }\" }\n      a b: x\n"));
    check(TWO, &set("", &["title"], json!("Two")), &with("two\n", "two\ntitle: Two\n"));
    check(TWO, &set("", &["settings", "timeout"], json!("5m")), &with("# any\n", "# any\n\nsettings:\n  timeout: 5m\n"));
    check(TWO, &set("", &["tags", "0"], json!("billing")), &with("two\n", "two\n\ntags:\n  - billing\n"));
    refused(TWO, &set("a", &["do", "x"], json!(1)), EditCode::UnknownField);
    for only in ["note: x\n", "{note: x}", " { note }"] {
        refused(only, &Change::RemoveField { at: FieldPath::recipe(["note"]) }, EditCode::Layout);
    }
    refused(TWO, &set("a", &["with", "list", "3"], json!(1)), EditCode::UnknownField);
    refused(TWO, &set("c", &["title"], json!(1)), EditCode::UnknownStep);
    refused(TWO, &set("a", &["id"], json!("z")), EditCode::NeedsRename);
}

#[test]
fn fields_go_with_their_comments() {
    let with = |from: &str, to: &str| TWO.replace(from, to);
    let remove = |step: &str, path: &[&str]| Change::RemoveField { at: at(step, path) };
    check(TWO, &remove("a", &["with", "url"]), &with("      url: https://a.example   # where\n", ""));
    check(TWO, &remove("a", &["with", "json", "n"]), &with("n: 1, ", ""));
    check(TWO, &remove("a", &["with", "json", "t"]), &with("t: 'one', ", ""));
    check(TWO, &remove("a", &["with", "json", "e"]), &with(", e: \"${ trigger.body.x }\"", ""));
    check(TWO, &remove("b", &["set", "x"]), &with("set:\n      x: ${ steps.a.body.x }", "set: {}"));
    check(TWO, &remove("", &["trigger"]), &with("trigger: { from: webhook }   # any\n\n", ""));
    check(TWO, &remove("a", &["id"]), &with("id: a         # beside a\n    do", "do"));
    refused(TWO, &remove("a", &["nothing"]), EditCode::UnknownField);
    check(TWO, &Change::RenameField { at: at("a", &["with", "url"]), name: "a, b".into() }, &with("url:", "\"a, b\":"));
    refused(TWO, &Change::RenameField { at: at("a", &["with", "url"]), name: "json".into() }, EditCode::KeyTaken);
}

#[test]
fn steps_come_and_go() {
    let with = |from: &str, to: &str| TWO.replace(from, to);
    let a = &TWO[TWO.find("  # about a").unwrap()..TWO.find("\n  # on its own").unwrap()];
    let b = &TWO[TWO.find("  # about b").unwrap()..];
    check(TWO, &remove("a"), &TWO.replace(&format!("{a}\n"), ""));
    check(TWO, &remove("b"), &TWO.replace(&format!("\n{b}"), ""));
    let new = "id: n\ndo: log.write\nwith: { message: hi }   # said\n";
    let lines = "  - id: n\n    do: log.write\n    with: { message: hi }   # said\n";
    check(TWO, &insert(after("b"), new), &format!("{TWO}\n{lines}"));
    check(TWO, &insert(after("a"), new), &with("end of a\n", &format!("end of a\n\n{lines}")));
    check(TWO, &insert(before("a"), new), &with("  # about a\n", &format!("{lines}\n  # about a\n")));
    check(
        TWO,
        &insert(Place::First(StepList::Recipe), &format!("# why\n  - {}", new.replace('\n', "\n    "))),
        &with("  # about a\n", &format!("  # why\n{lines}\n  # about a\n")),
    );
    check(
        TWO,
        &insert(after("b"), "{\"id\": \"n\", \"do\": \"log.write\", \"with\": {\"a\": [\"no\", 1]}}"),
        &format!("{TWO}\n  - id: n\n    do: log.write\n    with:\n      a:\n        - \"no\"\n        - 1\n"),
    );
    check(TWO, &insert(after("b"), "{ id: n, stop: x }   # done"), &format!("{TWO}\n  - {{ id: n, stop: x }}   # done\n"));
    refused(TWO, &insert(after("b"), "id: a\nstop: x"), EditCode::IdTaken);
    refused(TWO, &insert(after("b"), "just text"), EditCode::NotAStep);
    refused(TWO, &insert(after("b"), "- id: x\n- id: y"), EditCode::NotAStep);
    refused(TWO, &insert(after("zz"), new), EditCode::UnknownStep);
    refused("a: [", &remove("a"), EditCode::Unreadable);
    refused("- a", &remove("a"), EditCode::Unreadable);
    refused("", &remove("a"), EditCode::Unreadable);
}

#[test]
fn renames_reach_every_reference_and_nothing_else() {
    let text = r#"liaison: 1
recipe: r
connections: { sf: salesforce }
params: { low: { type: number } }
trigger: { from: sf.event, if: trigger.steps.a > params.low }
settings: { label: "steps.a ${ steps.a.x } $${ steps.a }" }
steps:
  - id: a   # a
    note: ${ steps.a } stays
    do: sf.query
    with: { soql: "SELECT a", limit: "${ $.steps.a.n ?? 'steps.a' }", other: "${ $['steps'][\"a\"] }" }
    undo: { do: sf.query, with: { soql: "${ steps['a'].id + meta.a.x }" } }
  - id: b
    if: steps.a.total > 0 && "steps.a" != ''
    set: |
      // steps.a is not spoken of
      let x = steps.a.total;
      x + steps.ab.total + params.low
  - id: p
    parallel:
      left:
        - id: c
          set: { folded: "a ${ steps.a
              .x } b" }
  - id: d
    repeat: { until: steps.a.done, max: 3 }
    steps:
      - id: e
        set:
          v: >-
            one ${ steps.a.x }
            two ${ steps.p.left.c.folded } ${ steps.c.folded } ${ steps.left.c }
          a: a
tests:
  - title: a
    given: { a: { x: 1 }, "d[0].e": 1, b.a: 2 }
    expect: { calls: { a: { soql: a } }, not_run: [a, b], error: { step: a } }
"#;
    let expected = text
        .replace("${ steps.a.x } $${", "${ steps.zeta.x } $${")
        .replace("id: a   #", "id: zeta   #")
        .replace("$.steps.a.n", "$.steps.zeta.n")
        .replace("[\\\"a\\\"]", "[\\\"zeta\\\"]")
        .replace("$['steps'][\"a\"]", "$['steps'][\"zeta\"]")
        .replace("steps['a'].id + meta.a", "steps['zeta'].id + meta.zeta")
        .replace("if: steps.a.total", "if: steps.zeta.total")
        .replace("x = steps.a.", "x = steps.zeta.")
        .replace("a ${ steps.a\n", "a ${ steps.zeta\n")
        .replace("until: steps.a", "until: steps.zeta")
        .replace("one ${ steps.a.x", "one ${ steps.zeta.x")
        .replace("given: { a:", "given: { zeta:")
        .replace("b.a: 2", "b.zeta: 2")
        .replace("calls: { a:", "calls: { zeta:")
        .replace("not_run: [a,", "not_run: [zeta,")
        .replace("step: a }", "step: zeta }");
    // Double quotes stand inside double quotes as escapes.
    let (text, expected) =
        (text.replace("[\"a\"] }\"", "[\\\"a\\\"] }\""), expected.replace("[\"zeta\"] }\"", "[\\\"zeta\\\"] }\""));
    check(&text, &rename("a", "zeta"), &expected);
    check(&expected, &rename("zeta", "a"), &text);
    check(
        &text,
        &rename("c", "cc"),
        &text.replace("id: c\n", "id: cc\n").replace("left.c.f", "left.cc.f").replace("steps.c.", "steps.cc."),
    );
    check(&text, &rename("p", "q"), &text.replace("id: p\n", "id: q\n").replace("steps.p.", "steps.q."));
    check(&text, &rename("e", "f"), &text.replace("id: e\n", "id: f\n").replace("[0].e", "[0].f"));
    check(&text, &Change::RenameParam { from: "low".into(), to: "least".into() }, &text.replace("low", "least"));
    check(
        &text,
        &Change::RenameConnection { from: "sf".into(), to: "crm".into() },
        &text.replace("sf:", "crm:").replace("sf.", "crm."),
    );
    refused(&text, &rename("a", "b"), EditCode::IdTaken);
    refused(&text, &rename("a", "A"), EditCode::Malformed);
    refused(&text, &rename("a", "trigger"), EditCode::Reserved);
    refused(&text, &rename("zz", "y"), EditCode::UnknownStep);
    refused(&text.replace("steps.a.done", "steps.a !!"), &rename("a", "zeta"), EditCode::UnreadableFormula);
    check(&text.replace("steps.a.done", "x !!"), &rename("a", "zeta"), &expected.replace("steps.zeta.done", "x !!"));
}

#[test]
fn steps_move_with_all_that_is_theirs() {
    let a = &TWO[TWO.find("  # about a").unwrap()..TWO.find("\n  # on its own").unwrap()];
    let b = &TWO[TWO.find("  # about b").unwrap()..];
    let head = &TWO[..TWO.find("  # about a").unwrap()];
    check(TWO, &move_step("b", before("a")), &format!("{head}{b}\n{a}\n  # on its own\n"));
    check(TWO, &move_step("a", after("b")), &format!("{head}  # on its own\n\n{b}\n{a}"));
    check(TWO, &move_step("a", before("b")), TWO);
    check(TWO, &move_step("a", after("a")), TWO);
    let text = "liaison: 1\nrecipe: n\nsteps:\n- id: x\n  choose:\n  - when: true\n    steps:\n    - id: i   # in\n      stop: |\n        why\n\n          so\n  - otherwise: [ ]\n- id: y\n  stop: z";
    check(
        text,
        &move_step("i", Place::Last(StepList::Recipe)),
        "liaison: 1\nrecipe: n\nsteps:\n- id: x\n  choose:\n  - when: true\n    steps: []\n  - otherwise: [ ]\n- id: y\n  stop: z\n- id: i   # in\n  stop: |\n    why\n\n      so",
    );
    check(
        text,
        &move_step("y", Place::First(StepList::Otherwise("x".into()))),
        "liaison: 1\nrecipe: n\nsteps:\n- id: x\n  choose:\n  - when: true\n    steps:\n    - id: i   # in\n      stop: |\n        why\n\n          so\n  - otherwise:\n    - id: y\n      stop: z\n",
    );
    refused(text, &move_step("x", after("i")), EditCode::InsideItself);
    refused(text, &move_step("x", Place::Last(StepList::When("x".into(), 0))), EditCode::InsideItself);
    refused(text, &move_step("y", Place::Last(StepList::When("x".into(), 9))), EditCode::UnknownField);
}

#[test]
fn the_text_of_a_step_goes_out_and_comes_back() {
    let shown = step_text(TWO, "a", &real()).unwrap();
    assert!(shown.starts_with("# about a\n- id: a ") && shown.ends_with("\n  # at the end of a\n"), "{shown}");
    let replace = |step: String| Change::ReplaceStep { id: "a".into(), step };
    check(TWO, &replace(shown.clone()), TWO);
    check(TWO, &replace(shown.replace("https", "http")), &TWO.replace("https", "http"));
    let json = json!({"id": "a", "do": "http.request", "with": {"url": "https://b.example", "json": {"n": 1, "t": "one"}}});
    let expected = TWO.replace("a.example", "b.example").replace(", e: \"${ trigger.body.x }\"", "");
    check(TWO, &replace(json.to_string()), &expected);
    refused(TWO, &replace("id: b\nstop: x".into()), EditCode::IdTaken);
    assert_eq!(step_text(TWO, "zz", &real()).unwrap_err().code, EditCode::UnknownStep);
}

#[test]
fn the_first_line_may_have_a_mark_and_a_comment() {
    let text = "\u{feff}# head\nliaison: 1\nrecipe: r\n";
    let remove = Change::RemoveField { at: at("", &["liaison"]) };
    check(text, &remove, "\u{feff}recipe: r\n");
    check("\u{feff}recipe: r\n", &set("", &["liaison"], json!(1)), "\u{feff}liaison: 1\nrecipe: r\n");
}

#[test]
fn what_cannot_be_written_is_refused_and_what_is_broken_elsewhere_is_not() {
    // The value of a key that is only announced cannot be given without its own line.
    let announced = "liaison: 1\nsettings:\n  ? timeout\n  ? label\nsteps:\n- id: a\n  stop: x\n";
    refused(announced, &set("", &["settings", "timeout"], json!("5m")), EditCode::Layout);
    refused("liaison: 1\n", &Change::RemoveField { at: at("", &["liaison"]) }, EditCode::Layout);
    let broken = "liaison: &v 2\nwhat: !tag [1]\nsteps:\n- id: a\n  stop: x\n  stop: y\n  <<: *v\n- id: b\n  do: nothing.${\n  with: 1e999\n";
    check(broken, &set("b", &["with"], json!(1)), &broken.replace("1e999", "1"));
    check(
        broken,
        &move_step("b", before("a")),
        &format!(
            "liaison: &v 2\nwhat: !tag [1]\nsteps:\n{}{}",
            "- id: b\n  do: nothing.${\n  with: 1e999\n", "- id: a\n  stop: x\n  stop: y\n  <<: *v\n"
        ),
    );
    let twice = "steps:\n- id: a\n  stop: x\n- id: a\n  stop: y\n";
    refused(twice, &remove("a"), EditCode::RepeatedId);
    let deep = format!("liaison: 1\nx-deep: {}{}\n", "[".repeat(64), "]".repeat(64));
    let path = std::iter::once(PathPart::from("x-deep")).chain((0..63).map(|_| PathPart::from(0)));
    let at = FieldPath::recipe(path);
    refused(&deep, &Change::SetField { at, value: NewValue::Json(json!([[1]])) }, EditCode::Layout);
    let large = NewValue::Json(json!("x".repeat(1_000_000)));
    refused(TWO, &Change::SetField { at: FieldPath::recipe(["title"]), value: large }, EditCode::TooLarge);
}

#[test]
fn copies_speak_of_themselves() {
    let text = "steps:\n  # all\n  - id: a\n    each: ${ steps.z.list }\n    steps:\n      - id: b_2\n        set: { x: \"${ steps.a.x + meta.b_2.y }\" }\n      - id: c\n        if: steps.b_2.x == steps.z.x\n";
    let copy = "  # all\n  - id: a_2\n    each: ${ steps.z.list }\n    steps:\n      - id: b_3\n        set: { x: \"${ steps.a_2.x + meta.b_3.y }\" }\n      - id: c_2\n        if: steps.b_3.x == steps.z.x\n";
    check(text, &Change::DuplicateStep { id: "a".into() }, &format!("{text}{copy}"));
}

#[test]
fn steps_are_wrapped_with_what_is_between_them() {
    let text = "steps:\n- id: a\n  stop: x\n\n# between\n\n# about b\n- id: b\n  stop: y   # why\n\n- id: c\n  stop: z\n";
    let wrap = |ids: &[&str], wrapper| Change::WrapStep { ids: ids.iter().map(|id| (*id).to_owned()).collect(), wrapper };
    check(
        text,
        &wrap(&["a", "b"], Wrapper::Each { id: "w".into(), items: "${ $.list[*] }".into(), binding: Some("line".into()) }),
        "steps:\n- id: w\n  each: ${ $.list[*] }\n  as: line\n  steps:\n  - id: a\n    stop: x\n\n  # between\n\n  # about b\n  - id: b\n    stop: y   # why\n\n- id: c\n  stop: z\n",
    );
    check(
        text,
        &wrap(&["c"], Wrapper::Choose { id: "w".into(), when: "steps.a.x > 1".into() }),
        "steps:\n- id: a\n  stop: x\n\n# between\n\n# about b\n- id: b\n  stop: y   # why\n\n- id: w\n  choose:\n  - when: steps.a.x > 1\n    steps:\n    - id: c\n      stop: z\n",
    );
    check(
        text,
        &wrap(&["c"], Wrapper::Parallel { id: "w".into(), branch: "left".into() }),
        "steps:\n- id: a\n  stop: x\n\n# between\n\n# about b\n- id: b\n  stop: y   # why\n\n- id: w\n  parallel:\n    left:\n    - id: c\n      stop: z\n",
    );
    refused(text, &wrap(&["a", "c"], Wrapper::Try { id: "w".into() }), EditCode::NotConsecutive);
    refused(text, &wrap(&["a"], Wrapper::Try { id: "c".into() }), EditCode::IdTaken);
    refused(text, &wrap(&[], Wrapper::Try { id: "w".into() }), EditCode::NotConsecutive);
}

#[test]
fn json_stays_json() {
    let text = "{\n\t\"liaison\": 1,\n\t\"steps\": [\n\t\t{\"id\": \"a\", \"return\": {\"x\": \"${ trigger.y }\"}},\n\t\t{\"id\": \"b\", \"stop\": \"${ steps[\\\"a\\\"].x }\"}\n\t]\n}\n";
    check(text, &rename("a", "c"), &text.replace("\"a\",", "\"c\",").replace("\\\"a\\\"", "\\\"c\\\""));
    check(text, &set("a", &["return", "x"], json!("it's \"so\"")), &text.replace("${ trigger.y }", "it's \\\"so\\\""));
    check(
        text,
        &set("a", &["return", "n"], json!([1, "no"])),
        &text.replace("trigger.y }\"", "trigger.y }\", \"n\": [1, \"no\"]"),
    );
    check(text, &remove("b"), &text.replace(",\n\t\t{\"id\": \"b\", \"stop\": \"${ steps[\\\"a\\\"].x }\"}", ""));
    check(text, &remove("a"), &text.replace("\t\t{\"id\": \"a\", \"return\": {\"x\": \"${ trigger.y }\"}},\n", ""));
    let serde = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    for change in [
        insert(after("b"), "id: c\nstop: no"),
        insert(before("a"), "id: c\nstop: |\n  x"),
        move_step("b", before("a")),
        Change::DuplicateStep { id: "a".into() },
        Change::WrapStep { ids: vec!["a".into(), "b".into()], wrapper: Wrapper::Try { id: "t".into() } },
        Change::ReplaceStep { id: "a".into(), step: "id: a\nstop: x # y".into() },
    ] {
        let edited = edit(text, &change, &real()).unwrap();
        assert_ne!(serde(&edited.text), serde(text));
    }
}
