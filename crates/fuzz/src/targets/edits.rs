//! Changes of any text: undone exactly, and saying what was asked.

use std::hash::{DefaultHasher, Hash, Hasher};

use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};
use recipe::{Catalogue, Change, Edited, FieldPath, NewValue, PathPart, Place, StepList, Wrapper, apply, edit, step_text};
use serde_json::{Value as Json, json};

use super::catalogue::catalogue;

pub(super) use super::recipe::WORDS;

/// Changes tried of one text.
const CHANGES: usize = 6;

pub(super) fn check(input: &[u8]) {
    let Some(text) = super::text(input) else { return };
    let catalogue = catalogue();
    let old = read(text);
    let data = old.clone().or_else(|| recipe::data(input).0).unwrap_or_default();
    let mut ids = Vec::new();
    let mut fields = Vec::new();
    collect(&data, &mut Vec::new(), &mut ids, &mut fields);
    let mut hash = DefaultHasher::new();
    text.hash(&mut hash);
    let mut rng = SmallRng::seed_from_u64(hash.finish());
    for _ in 0..CHANGES {
        if let Some(change) = any(&ids, &fields, &mut rng) {
            one(text, old.as_ref(), &change, &catalogue);
        }
    }
}

/// What a text says; nothing if it cannot be read whole.
pub(super) fn read(text: &str) -> Option<Json> {
    let (data, problems) = recipe::data(text.as_bytes());
    let unreadable = |d: &recipe::Diagnostic| d.severity == recipe::Severity::Error && d.code < "L0100";
    data.filter(|data| data.is_object() && !problems.iter().any(unreadable))
}

fn one(text: &str, old: Option<&Json>, change: &Change, catalogue: &Catalogue) {
    let edited = match edit(text, change, catalogue) {
        Ok(edited) => edited,
        Err(error) => {
            assert!(!error.message.is_empty(), "{error:?}");
            return;
        }
    };
    assert_eq!(edit(text, change, catalogue).as_ref(), Ok(&edited), "the same twice");
    assert_eq!(apply(text, &edited.patches).as_ref(), Some(&edited.text), "{change:?}");
    assert_eq!(apply(&edited.text, &edited.undo).as_deref(), Some(text), "{change:?}");
    // Of a text with problems only a part is known.
    if let Some(old) = old {
        let Some(new) = read(&edited.text) else { panic!("{change:?} gives what cannot be read: {:?}", edited.text) };
        said(old, &new, &edited, change, catalogue);
    }
}

/// The new text says what was asked.
fn said(old: &Json, new: &Json, edited: &Edited, change: &Change, catalogue: &Catalogue) {
    match change {
        Change::SetField { at, value: NewValue::Json(value) } if at.step.is_none() => {
            assert_eq!(at_path(new, &at.path), Some(value), "{change:?} in {:?}", edited.text);
        }
        Change::RemoveField { at } if at.step.is_none() && matches!(at.path.last(), Some(PathPart::Key(_))) => {
            assert_eq!(at_path(new, &at.path), None, "{change:?} in {:?}", edited.text);
        }
        Change::RenameId { from, to } => {
            let back = Change::RenameId { from: to.clone(), to: from.clone() };
            if let Ok(back) = edit(&edited.text, &back, catalogue) {
                assert_eq!(read(&back.text).as_ref(), Some(old), "there and back: {change:?}");
            }
        }
        Change::DuplicateStep { id } => assert_eq!(steps(new, id), steps(old, id)),
        Change::RemoveStep { id } => assert!(steps(new, id) < steps(old, id), "{change:?}"),
        Change::MoveStep { id, .. } => {
            assert_eq!(steps(new, id), steps(old, id), "{change:?}");
            assert!(step_text(&edited.text, id, catalogue).is_ok(), "{change:?}");
        }
        _ => {}
    }
}

fn at_path<'j>(json: &'j Json, path: &[PathPart]) -> Option<&'j Json> {
    path.iter().try_fold(json, |at, part| match part {
        PathPart::Key(key) => at.get(key),
        PathPart::Index(index) => at.get(*index),
    })
}

/// How many steps have the id, wherever they stand.
fn steps(json: &Json, id: &str) -> usize {
    let mut ids = Vec::new();
    collect(json, &mut Vec::new(), &mut ids, &mut Vec::new());
    ids.iter().filter(|found| *found == id).count()
}

/// The ids of steps, and every place.
fn collect(json: &Json, path: &mut Vec<PathPart>, ids: &mut Vec<String>, fields: &mut Vec<Vec<PathPart>>) {
    if !path.is_empty() {
        fields.push(path.clone());
    }
    match json {
        Json::Object(record) => {
            let in_list = matches!(path.last(), Some(PathPart::Index(_)));
            ids.extend(record.get("id").filter(|_| in_list).and_then(Json::as_str).map(str::to_owned));
            for (key, value) in record {
                path.push(PathPart::Key(key.clone()));
                collect(value, path, ids, fields);
                path.pop();
            }
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(PathPart::Index(index));
                collect(item, path, ids, fields);
                path.pop();
            }
        }
        _ => {}
    }
}

fn any(ids: &[String], fields: &[Vec<PathPart>], rng: &mut impl Rng) -> Option<Change> {
    let mut id = || (!ids.is_empty()).then(|| ids[rng.random_range(0..ids.len())].clone());
    let (one, other) = (id(), id());
    let field = (!fields.is_empty()).then(|| FieldPath::recipe(fields[rng.random_range(0..fields.len())].clone()));
    Some(match rng.random_range(0..13) {
        0 => Change::RemoveStep { id: one? },
        1 => Change::DuplicateStep { id: one? },
        2 => Change::MoveStep { id: one?, to: Place::Before(other?) },
        3 => Change::MoveStep { id: one?, to: Place::After(other?) },
        4 => Change::MoveStep { id: one?, to: Place::Last(StepList::Recipe) },
        5 => Change::RenameId { from: one?, to: "other_1".to_owned() },
        6 => Change::WrapStep { ids: vec![one?], wrapper: Wrapper::Try { id: "around".to_owned() } },
        7 => Change::WrapStep {
            ids: vec![one?, other?],
            wrapper: Wrapper::Choose { id: "around".to_owned(), when: "true".to_owned() },
        },
        8 => Change::InsertStep { at: Place::After(one?), step: "id: new\nset: { x: 1 } # new\n".to_owned() },
        9 => Change::InsertStep {
            at: Place::First(StepList::Recipe),
            step: "- id: new\n  note: |\n    two\n    lines\n  set: { x: 1 }\n".to_owned(),
        },
        10 => Change::RemoveField { at: field? },
        11 => Change::RenameField { at: field?, name: "x-other".to_owned() },
        _ => Change::SetField { at: field?, value: NewValue::Json(value(rng)) },
    })
}

fn value(rng: &mut impl Rng) -> Json {
    let values = [
        json!(null),
        json!(true),
        json!(1.5),
        json!("plain"),
        json!("a: b # c"),
        json!("two\nlines\n"),
        json!(" blanks "),
        json!("0123"),
        json!("${ trigger.id }"),
        json!(""),
        json!("\u{1F600}'\"\\"),
        json!([]),
        json!({}),
        json!([1, ["x"], {"y": null}]),
        json!({"a": {"b": [1, 2]}, "c d": "- e"}),
    ];
    values[rng.random_range(0..values.len())].clone()
}
