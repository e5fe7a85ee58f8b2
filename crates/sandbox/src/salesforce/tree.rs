//! Records with their children in one call, all or nothing.

use serde_json::{Value as Json, json};

use super::{
    answer::Answer,
    errors::{Outcome, Trouble},
    org::Org,
    rest::Call,
    system::System,
    write::Writer,
};

/// Records of a tree, levels, and types of records.
const RECORDS_MAX: usize = 200;
const LEVELS_MAX: usize = 5;
const TYPES_MAX: usize = 5;

#[derive(Default)]
struct Grown {
    results: Vec<Json>,
    errors: Vec<Json>,
    types: std::collections::HashSet<usize>,
    ids: std::collections::HashSet<String>,
}

impl System {
    pub(super) fn tree(&self, org: &mut Org, call: &Call, name: &str) -> Outcome<Answer> {
        let object = org.schema.find(name).ok_or_else(|| Trouble::no_type(name))?;
        let body = call.object()?;
        let records = body.get("records").and_then(Json::as_array).ok_or_else(|| Trouble::json("records is required"))?;
        let mut grown = Grown::default();
        let mark = org.mark();
        let writer = call.writer(self);
        for record in records {
            grow(org, &writer, object, record, None, 1, &mut grown);
        }
        if grown.errors.is_empty() {
            return Ok(Answer::json(201, json!({ "hasErrors": false, "results": grown.results })));
        }
        org.roll_back(mark);
        Ok(Answer::json(400, json!({ "hasErrors": true, "results": grown.errors })))
    }
}

fn grow(
    org: &mut Org,
    writer: &Writer,
    object: usize,
    record: &Json,
    parent: Option<(&str, &str)>,
    level: usize,
    grown: &mut Grown,
) {
    let reference = record["attributes"]["referenceId"].as_str().unwrap_or_default().to_owned();
    let outcome = one(org, writer, object, record, parent, (level, &reference), grown);
    match outcome {
        Ok((id, children)) => {
            grown.results.push(json!({ "referenceId": reference, "id": id }));
            for (child, field, records) in children {
                for record in &records {
                    grow(org, writer, child, record, Some((&field, &id)), level + 1, grown);
                }
            }
        }
        Err(trouble) => grown.errors.push(json!({ "referenceId": reference, "errors": [trouble.row()] })),
    }
}

type Children = Vec<(usize, String, Vec<Json>)>;

fn one(
    org: &mut Org,
    writer: &Writer,
    object: usize,
    record: &Json,
    parent: Option<(&str, &str)>,
    (level, reference): (usize, &str),
    grown: &mut Grown,
) -> Outcome<(String, Children)> {
    grown.types.insert(object);
    if level > LEVELS_MAX || grown.types.len() > TYPES_MAX || grown.results.len() + grown.errors.len() >= RECORDS_MAX {
        return Err(Trouble::bad(
            "INVALID_INPUT",
            format!("A tree may have {RECORDS_MAX} records, {LEVELS_MAX} levels and {TYPES_MAX} types"),
        ));
    }
    if reference.is_empty() || !grown.ids.insert(reference.to_owned()) {
        return Err(Trouble::bad("INVALID_INPUT", format!("Duplicate or missing ReferenceId in request: {reference}")));
    }
    let kind = record["attributes"]["type"].as_str().unwrap_or_default();
    if org.schema.find(kind) != Some(object) {
        return Err(Trouble::bad("INVALID_INPUT", format!("Record type {kind} does not match the tree's place for it")));
    }
    let mut fields = record.as_object().cloned().unwrap_or_default();
    let mut children = Children::new();
    for list in org.schema.children_of(object) {
        let name = fields
            .iter()
            .find(|(name, value)| name.eq_ignore_ascii_case(&list.name) && value["records"].is_array())
            .map(|(name, _)| name.clone());
        if let Some(records) = name.and_then(|name| fields.shift_remove(&name)) {
            let field = org.schema.objects[list.object].fields[list.field].name.clone();
            children.push((list.object, field, records["records"].as_array().cloned().unwrap_or_default()));
        }
    }
    fields.remove("attributes");
    if let Some((field, id)) = parent {
        fields.insert(field.to_owned(), json!(id));
    }
    let id = org.insert(writer, object, &fields)?;
    Ok((id.to_string(), children))
}
