//! Objects whose fields only the system knows: what steps write and read is held against what was told of them.

use std::collections::BTreeSet;

use recipe::{
    ActionInfo, Catalogue, ConnectorInfo, Effect, ShapeOf, ShapedInfo, Shapes, TriggerInfo, parse, parse_and_check, shapes_wanted,
};
use serde_json::{Value as Json, json};

use crate::catalogue;

fn action(id: &str, writes: Option<&str>, gives: Option<&str>, output: Json) -> ActionInfo {
    ActionInfo {
        id: id.into(),
        title: id.into(),
        summary: String::new(),
        input: json!({"type": "object", "properties": {"object": {"type": "string"}, "fields": {"type": "object"}, "columns": {"type": "array"}, "filter": {}, "rows": {}}, "required": ["object"], "additionalProperties": false}),
        output,
        needs_connection: true,
        effect: Effect::None.into(),
        pages: true,
        shaped: Some(ShapedInfo {
            named_by: "object".into(),
            names: vec!["columns".into(), "filter[].field".into(), "filter[].any[].field".into()],
            writes: writes.map(Into::into),
            keys: vec!["Id".into()],
            gives: gives.map(Into::into),
            only_with: None,
        }),
    }
}

fn trigger() -> TriggerInfo {
    let text = json!({"type": "string"});
    TriggerInfo {
        id: "changed".into(),
        title: "Changed record".into(),
        summary: String::new(),
        config: json!({"type": "object", "properties": {"object": text, "fields": {"type": "array"}, "by": text, "whole": {"type": "boolean"}}, "required": ["object"], "additionalProperties": false}),
        output: json!({"type": "object", "properties": {"at": text, "record": {"type": "object"}}, "additionalProperties": false}),
        dedupes: true,
        shaped: Some(ShapedInfo {
            named_by: "object".into(),
            names: vec!["fields".into(), "by".into()],
            gives: Some("record".into()),
            ..ShapedInfo::default()
        }),
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
            action("write_all", Some("rows[]"), None, json!({"type": "null"})),
            action("get", None, Some("record"), one),
            action("search", None, Some("records[]"), list),
        ],
        triggers: vec![trigger()],
    };
    let of = ShapeOf { connection: "crm".into(), object: "Deal".into() };
    Catalogue { connectors: std::sync::Arc::new(vec![connector]), shapes: Shapes::from([(of, shape)]), ..catalogue::real() }
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
    errors(&text(steps), &told(shape))
}

fn errors(text: &str, catalogue: &Catalogue) -> Vec<String> {
    let parsed = parse_and_check(text.as_bytes(), catalogue);
    let errors = parsed.diagnostics.into_iter().filter(|problem| problem.severity == recipe::Severity::Error);
    errors.map(|problem| format!("{} {} {}", problem.code, problem.message, problem.help.unwrap_or_default())).collect()
}

fn write(fields: &str) -> Vec<String> {
    problems(&format!("- {{ id: a, do: crm.write, with: {{ object: Deal, fields: {fields} }} }}\n"), deal())
}

#[test]
fn each_of_many_rows_is_a_record_of_the_object() {
    let write =
        |rows: &str| problems(&format!("- {{ id: a, do: crm.write_all, with: {{ object: Deal, rows: {rows} }} }}\n"), deal());
    assert_eq!(write("[{ Id: d1, Amount: 5 }, { Id: d2, Name: Acme }]"), [""; 0], "its key can only be read and says which");
    assert_eq!(write("[{ Amount: 5 }, { Amonut: 6 }]"), ["L0402 \"Deal\" has no field \"Amonut\". Did you mean \"Amount\"?"]);
    assert!(write("[{ CreatedDate: today }]")[0].starts_with("L0406"));
    assert_eq!(write("\"${ trigger.rows }\""), [""; 0]);
    assert_eq!(write("[\"${ trigger.row }\"]"), [""; 0]);
}

#[test]
fn a_filter_names_fields_of_the_object() {
    let search =
        |filter: &str| problems(&format!("- {{ id: a, do: crm.search, with: {{ object: Deal, filter: {filter} }} }}\n"), deal());
    assert_eq!(search("[{ field: Name, is: equal, value: x }, { field: stage }]"), [""; 0]);
    let wrong = ["L0402 \"Deal\" has no field \"Nmae\". Did you mean \"Name\"?"];
    assert_eq!(search("[{ field: Nmae }]"), wrong);
    assert_eq!(search("[{ any: [{ field: Name }, { field: Nmae.Part }] }]"), wrong);
    assert_eq!(search("\"name=x\""), [""; 0], "a query of the system's own");
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
fn fields_that_are_asked_for_must_be_there() {
    let names = |columns: &str| {
        problems(&format!("- {{ id: a, do: crm.search, with: {{ object: Deal, columns: {columns} }} }}\n"), deal())
    };
    assert_eq!(names("[Name, stage, Name.Of.Another]"), [""; 0], "in any case, and through fields");
    assert_eq!(names("[Name, Amonut]"), ["L0402 \"Deal\" has no field \"Amonut\". Did you mean \"Amount\"?"]);
    assert!(names("[Owenr.Name]")[0].starts_with("L0402 \"Deal\" has no field \"Owenr\"."));
    assert_eq!(names("[\"${ params.x }\"]").iter().filter(|problem| problem.starts_with("L0402")).count(), 0);
}

/// The problems of a recipe that begins with a change of a record.
fn started(with: &str, step: &str, catalogue: &Catalogue) -> Vec<String> {
    let text = format!(
        "liaison: 1\nrecipe: a\nconnections: {{ crm: desk }}\ntrigger: {{ from: crm.changed, with: {{ {with} }}, if: \"trigger.record.Amount > 5\" }}\nsteps:\n- {{ id: b, {step} }}\n"
    );
    errors(&text, catalogue)
}

#[test]
fn the_record_of_a_trigger_is_known() {
    let catalogue = told(deal());
    let read = |field: &str| started("object: Deal", &format!("return: \"${{ trigger.record.{field} }}\""), &catalogue);
    assert_eq!(read("Name"), [""; 0]);
    assert_eq!(read("Nmae"), ["L0506 `trigger.record` has no field \"Nmae\". Did you mean \"Name\"?"]);
    let write = "do: crm.write, with: { object: Deal, fields: { Amount: \"${ trigger.record.Name }\" } }";
    assert!(started("object: Deal", write, &catalogue)[0].starts_with("L0208"), "its values have types");
    // Another object, or one that only the event decides on, is left alone.
    let step = "return: \"${ trigger.record.Nmae }\"";
    assert_eq!(started("object: Invoice", step, &catalogue), [""; 0]);
    let mut closed = catalogue.clone();
    closed.shapes.clear();
    assert_eq!(started("object: Deal", step, &closed), [""; 0], "nobody told");
    // Its condition sees the same record.
    let other = json!({"properties": {"Name": {}}, "additionalProperties": false});
    assert!(started("object: Deal", "return: 1", &told(other))[0].starts_with("L0506 `trigger.record` has no field \"Amount\"."));
}

#[test]
fn fields_that_a_trigger_names_must_be_there() {
    let catalogue = told(deal());
    let set = |with: &str| started(&format!("object: Deal, {with}"), "return: 1", &catalogue);
    assert_eq!(set("fields: [Name, amount], by: CreatedDate"), [""; 0]);
    assert_eq!(set("fields: [Nmae]"), ["L0402 \"Deal\" has no field \"Nmae\". Did you mean \"Name\"?"]);
    assert_eq!(set("by: CreatedDaet"), ["L0402 \"Deal\" has no field \"CreatedDaet\". Did you mean \"CreatedDate\"?"]);
}

#[test]
fn a_record_that_is_whole_only_on_demand_is_known_only_then() {
    let mut catalogue = told(deal());
    let trigger = &mut std::sync::Arc::make_mut(&mut catalogue.connectors)[0].triggers[0];
    trigger.shaped = trigger.shaped.clone().map(|shaped| ShapedInfo { only_with: Some("whole".into()), ..shaped });
    let step = "return: \"${ trigger.record.Nmae }\"";
    assert!(started("object: Deal, whole: true", step, &catalogue)[0].starts_with("L0506"));
    for with in ["object: Deal", "object: Deal, whole: false"] {
        assert_eq!(started(with, step, &catalogue), [""; 0]);
    }
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
    let text = text(steps).replace("from: api", "from: crm.changed, with: { object: Task }");
    let recipe = parse(text.as_bytes()).recipe.expect("a recipe");
    let of = |object: &str| ShapeOf { connection: "crm".into(), object: object.into() };
    assert_eq!(shapes_wanted(&recipe, &told(deal())), BTreeSet::from([of("Deal"), of("Note"), of("Task")]));
}

#[test]
fn every_connection_has_its_own_objects() {
    let mut catalogue = told(deal());
    let other = json!({"type": "object", "properties": {"Region": {"type": "string"}}, "additionalProperties": false});
    catalogue.shapes.insert(ShapeOf { connection: "erp".into(), object: "Deal".into() }, other);
    let write = |connection: &str, field: &str| {
        let text = text(&format!("- {{ id: a, do: {connection}.write, with: {{ object: Deal, fields: {{ {field}: x }} }} }}\n"));
        errors(&text.replace("crm: desk", &format!("{connection}: desk")), &catalogue)
    };
    assert_eq!((write("crm", "Name"), write("erp", "Region")), (Vec::new(), Vec::new()));
    assert!(write("crm", "Region")[0].starts_with("L0402") && write("erp", "Name")[0].starts_with("L0402"));
    assert_eq!(write("other", "Region"), [""; 0], "it may be another account: nothing is known");
}
