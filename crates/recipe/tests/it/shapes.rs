//! Objects whose fields only the system knows: what steps write and read is held against what was told of them.

use std::collections::BTreeSet;

use recipe::{ActionInfo, Catalogue, ConnectorInfo, Effect, ShapeOf, ShapedInfo, Shapes, parse, parse_and_check, shapes_wanted};
use serde_json::{Value as Json, json};

use crate::catalogue;

fn action(id: &str, writes: Option<&str>, gives: Option<&str>, output: Json) -> ActionInfo {
    ActionInfo {
        id: id.into(),
        title: id.into(),
        summary: String::new(),
        input: json!({"type": "object", "properties": {"object": {"type": "string"}, "fields": {"type": "object"}}, "required": ["object"], "additionalProperties": false}),
        output,
        needs_connection: true,
        effect: Effect::None.into(),
        pages: true,
        shaped: Some(ShapedInfo { named_by: "object".into(), writes: writes.map(Into::into), gives: gives.map(Into::into) }),
    }
}

/// A system with one object that is known, reached through the connection `crm`.
fn told(shape: Json) -> Catalogue {
    let list = json!({"type": "object", "properties": {"records": {"type": "array", "items": {"type": "object"}}}});
    let one = json!({"type": "object", "properties": {"record": {"type": ["object", "null"]}}});
    let connector = ConnectorInfo {
        id: "desk".into(),
        title: "Desk".into(),
        builtin: false,
        actions: vec![
            action("write", Some("fields"), None, json!({"type": "null"})),
            action("get", None, Some("record"), one),
            action("search", None, Some("records[]"), list),
        ],
        triggers: Vec::new(),
    };
    let of = ShapeOf { connection: "crm".into(), object: "Deal".into() };
    Catalogue { connectors: vec![connector], shapes: Shapes::from([(of, shape)]), ..catalogue::real() }
}

fn deal() -> Json {
    json!({
        "type": "object",
        "properties": {
            "Name": {"type": "string"},
            "Amount": {"type": ["number", "null"]},
            "Stage": {"type": "string", "enum": ["open", "won"]},
            "CreatedDate": {"type": "string", "readOnly": true}
        },
        "required": ["Name"],
        "additionalProperties": false
    })
}

fn text(steps: &str) -> String {
    format!("liaison: 1\nrecipe: a\nconnections: {{ crm: desk }}\ntrigger: {{ from: api }}\nsteps:\n{steps}")
}

/// The problems of these steps, without advice.
fn problems(steps: &str, shape: Json) -> Vec<String> {
    let parsed = parse_and_check(text(steps).as_bytes(), &told(shape));
    let errors = parsed.diagnostics.into_iter().filter(|problem| problem.severity == recipe::Severity::Error);
    errors.map(|problem| format!("{} {} {}", problem.code, problem.message, problem.help.unwrap_or_default())).collect()
}

fn write(fields: &str) -> Vec<String> {
    problems(&format!("- {{ id: a, do: crm.write, with: {{ object: Deal, fields: {fields} }} }}\n"), deal())
}

#[test]
fn what_is_written_must_be_a_field_of_the_object() {
    assert_eq!(write("{ Name: Acme, Amount: 5, Stage: won }"), [""; 0]);
    assert_eq!(write("{ Amonut: 5 }"), ["L0402 \"Deal\" has no field \"Amonut\". Did you mean \"Amount\"?"]);
    assert_eq!(
        write("{ CreatedDate: today }"),
        ["L0406 \"CreatedDate\" of Deal can only be read. Leave it out: the other system sets it by itself."]
    );
    assert_eq!(
        write("{ Amount: five }"),
        [
            "L0403 \"Amount\" takes a number or nothing, but the text \"five\" was read. Write a number or nothing, or an expression that gives it."
        ]
    );
    assert!(write("{ Stage: lost }")[0].starts_with("L0404"));
    // What is missing may be set already: an update writes what changed.
    assert_eq!(write("{ Amount: null }"), [""; 0]);
    assert_eq!(write("\"${ trigger }\""), [""; 0]);
}

#[test]
fn in_undo_too() {
    let steps = "- { id: a, do: crm.get, with: { object: Deal }, undo: { do: crm.write, with: { object: Deal, fields: { Nmae: x } } } }\n";
    assert!(problems(steps, deal())[0].contains("Did you mean \"Name\"?"));
}

#[test]
fn what_is_read_must_be_a_field_of_the_object() {
    let read = |action: &str, formula: &str| {
        let steps =
            format!("- {{ id: a, do: crm.{action}, with: {{ object: Deal }} }}\n- {{ id: b, return: \"${{ {formula} }}\" }}\n");
        problems(&steps, deal())
    };
    assert_eq!(read("get", "steps.a.record.Name"), [""; 0]);
    assert_eq!(read("get", "steps.a.record.Nmae"), ["L0506 `steps.a.record` has no field \"Nmae\". Did you mean \"Name\"?"]);
    assert_eq!(read("search", "steps.a.records[0].Amount"), [""; 0]);
    assert!(read("search", "steps.a.records[0].Amonut")[0].contains("Did you mean \"Amount\"?"));
}

#[test]
fn fields_of_loops_over_records_are_known() {
    let steps = |stream: &str, list: &str, field: &str| {
        format!(
            "- {{ id: a, do: crm.search, with: {{ object: Deal }}{stream} }}\n- id: b\n  each: ${{ {list} }}\n  steps:\n    - {{ id: c, set: {{ x: \"${{ item.{field} }}\" }} }}\n"
        )
    };
    for (stream, list) in [("", "steps.a.records"), (", stream: true", "steps.a")] {
        assert_eq!(problems(&steps(stream, list, "Name"), deal()), [""; 0]);
        assert!(problems(&steps(stream, list, "Nmae"), deal())[0].contains("Did you mean \"Name\"?"), "{stream}");
    }
}

#[test]
fn values_of_known_fields_must_fit_where_they_go() {
    let steps = "- { id: a, do: crm.get, with: { object: Deal } }\n- { id: b, do: crm.write, with: { object: Deal, fields: { Amount: \"${ steps.a.record.Name }\" } } }\n";
    assert_eq!(
        problems(steps, deal()),
        ["L0208 \"Amount\" takes a number or nothing, but this gives text. Turn the text into a number: `to_number(…)`."]
    );
}

#[test]
fn nothing_is_said_of_what_nobody_told() {
    let other =
        |with: &str| problems(&format!("- {{ id: a, do: crm.write, with: {{ {with}, fields: {{ Nmae: x }} }} }}\n"), deal());
    assert_eq!(other("object: Invoice"), [""; 0]);
    assert_eq!(other("object: \"${ trigger.object }\""), [""; 0]);
    // A system that takes fields it does not tell of says so.
    let steps = "- { id: a, do: crm.write, with: { object: Deal, fields: { Nmae: x } } }\n";
    assert_eq!(problems(steps, json!({"properties": {"Name": {}}, "additionalProperties": true})), [""; 0]);
    // And one that says nothing may give more than it told, but is not asked to take it.
    let open = json!({"type": "object", "properties": {"Name": {"type": "string"}}});
    assert_eq!(problems(steps, open.clone()).len(), 1);
    let read = "- { id: a, do: crm.get, with: { object: Deal } }\n- { id: b, return: \"${ steps.a.record.Extra }\" }\n";
    assert_eq!(problems(read, open), [""; 0]);
}

#[test]
fn a_recipe_says_which_objects_it_wants_to_know() {
    let steps = "- { id: a, do: crm.search, with: { object: Deal } }\n- id: b\n  each: ${ steps.a.records }\n  steps:\n    - { id: c, do: crm.write, with: { object: Deal, fields: {} } }\n    - { id: d, do: crm.write, with: { object: \"${ item.type }\" }, undo: { do: crm.write, with: { object: Note } } }\n";
    let recipe = parse(text(steps).as_bytes()).recipe.expect("a recipe");
    let of = |object: &str| ShapeOf { connection: "crm".into(), object: object.into() };
    assert_eq!(shapes_wanted(&recipe, &told(deal())), BTreeSet::from([of("Deal"), of("Note")]));
}
