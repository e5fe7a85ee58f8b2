//! Changes made to plain data, to compare with what an edited text says.

use recipe::{Change, FieldPath, NewValue, PathPart, Place, StepList, Wrapper};
use serde_json::{Value as Json, json};

use crate::edit_corpus::{Tape, value};

/// A step in data: its id, the list it stands in as a JSON pointer, and the place there.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) list: String,
    pub(crate) index: usize,
    pub(crate) lists: Vec<(StepList, String)>,
}

pub(crate) fn found(json: &Json) -> Vec<Found> {
    let mut found = Vec::new();
    walk(json, "/steps", &mut found);
    found
}

fn walk(json: &Json, list: &str, found: &mut Vec<Found>) {
    for (index, step) in json.pointer(list).and_then(Json::as_array).into_iter().flatten().enumerate() {
        let at = format!("{list}/{index}");
        let Some(id) = step["id"].as_str().map(str::to_owned) else { continue };
        let mut lists = Vec::new();
        type Make = fn(String) -> StepList;
        let plain: [(&str, Make); 4] =
            [("steps", StepList::Steps), ("try", StepList::Try), ("catch", StepList::Catch), ("finally", StepList::Finally)];
        for (key, make) in plain {
            if step[key].is_array() {
                lists.push((make(id.clone()), format!("{at}/{key}")));
            }
        }
        for (branch, inner) in step["choose"].as_array().into_iter().flatten().enumerate() {
            if inner["steps"].is_array() {
                lists.push((StepList::When(id.clone(), branch), format!("{at}/choose/{branch}/steps")));
            }
            if inner["otherwise"].is_array() {
                lists.push((StepList::Otherwise(id.clone()), format!("{at}/choose/{branch}/otherwise")));
            }
        }
        for (name, _) in step["parallel"].as_object().into_iter().flatten() {
            lists.push((StepList::Branch(id.clone(), name.clone()), format!("{at}/parallel/{name}")));
        }
        found.push(Found { id: id.clone(), list: list.to_owned(), index, lists: lists.clone() });
        for (_, inner) in lists {
            walk(json, &inner, found);
        }
    }
}

/// Stands where a step was until all is done; no recipe says that.
const GONE: &str = "\u{0}gone";
/// The keys of a step that hold steps, and its id.
const OWN: &[&str] = &["id", "steps", "choose", "parallel", "try", "catch", "finally"];

/// The fields of a record, but for some keys.
fn fields(json: &Json, pointer: &str, step: &str, without: &[&str]) -> Vec<FieldPath> {
    fn inside(json: &Json, path: &mut Vec<PathPart>, step: &str, without: &[&str], out: &mut Vec<FieldPath>) {
        if !path.is_empty() {
            out.push(FieldPath { step: Some(step.to_owned()), path: path.clone() });
        }
        let children: Vec<(PathPart, &Json)> = match json {
            Json::Object(fields) => fields.iter().map(|(key, value)| (PathPart::Key(key.clone()), value)).collect(),
            Json::Array(items) => items.iter().enumerate().map(|(at, value)| (PathPart::Index(at), value)).collect(),
            _ => return,
        };
        for (part, value) in children {
            if path.is_empty() && matches!(&part, PathPart::Key(key) if without.contains(&key.as_str())) {
                continue;
            }
            path.push(part);
            inside(value, path, step, without, out);
            path.pop();
        }
    }
    let mut out = Vec::new();
    if let Some(json) = json.pointer(pointer) {
        inside(json, &mut Vec::new(), step, without, &mut out);
    }
    out
}

/// Every value of a recipe that is no list and no record, found from its root.
pub(crate) fn scalars(json: &Json) -> Vec<FieldPath> {
    let all = fields(json, "", "", &[]);
    let plain = |at: &FieldPath| {
        let value = at.path.iter().try_fold(json, |json, part| match part {
            PathPart::Index(index) => json.get(index),
            PathPart::Key(key) => json.get(key),
        });
        value.is_some_and(|value| !value.is_object() && !value.is_array())
    };
    without_step(all.into_iter().filter(plain).collect())
}

fn without_step(all: Vec<FieldPath>) -> Vec<FieldPath> {
    all.into_iter().map(|at| FieldPath { step: None, path: at.path }).collect()
}

/// A change that can be made to this recipe.
pub(crate) fn change(tape: &mut Tape<'_>, json: &Json) -> Change {
    let steps = found(json);
    let step = &steps[tape.below(steps.len())];
    let id = step.id.clone();
    // Now and then of the recipe itself.
    let fields = match tape.below(4) {
        3 => without_step(fields(json, "", "", &["steps"])),
        _ => fields(json, &format!("{}/{}", step.list, step.index), &id, OWN),
    };
    let at = fields.get(tape.below(fields.len())).cloned().unwrap_or(FieldPath::recipe(["title"]));
    match tape.below(11) {
        0 => Change::SetField { at, value: NewValue::Json(value(tape, 0)) },
        1 => Change::RemoveField { at },
        2 => {
            let step = json!({"id": "fresh", "set": value(tape, 0), "note": "x"});
            let text = ["id: fresh\nset:\n    a: 1   # x\n", "# above\n- id: fresh\n  note: |\n    t\n\n    u\n  stop: a\n"];
            Change::InsertStep { at: place(tape, &steps), step: [text[0], text[1], &step.to_string()][tape.below(3)].to_owned() }
        }
        3 => Change::RemoveStep { id },
        4 => Change::MoveStep { id, to: place(tape, &steps) },
        5 => Change::DuplicateStep { id },
        6 => {
            let beside = steps.iter().find(|other| other.list == step.list && other.index == step.index + 1);
            let ids = std::iter::once(step).chain(beside.filter(|_| tape.below(2) == 1)).map(|step| step.id.clone()).collect();
            let id = "wrapper".to_owned();
            let wrapper = match tape.below(5) {
                0 => Wrapper::Each { id, items: "${ $.trigger.list[*] }".into(), binding: None },
                1 => Wrapper::Choose { id, when: "steps.s0.x > 1".into() },
                2 => Wrapper::Try { id },
                3 => Wrapper::Parallel { id, branch: "left".into() },
                _ => Wrapper::Repeat { id, until: "true".into(), max: Some(3) },
            };
            Change::WrapStep { ids, wrapper }
        }
        7 => Change::RenameId { from: id, to: "renamed_id".into() },
        8 => Change::RenameField { at, name: ["zz", "a: b", "12"][tape.below(3)].into() },
        9 => {
            let mut step = json.pointer(&format!("{}/{}", step.list, step.index)).cloned().unwrap_or_default();
            step["note"] = json!("replaced\n");
            Change::ReplaceStep { id, step: step.to_string() }
        }
        _ => {
            let list = at.path.iter().position(|part| matches!(part, PathPart::Index(_)));
            match list {
                Some(end) => Change::InsertItem {
                    at: FieldPath { step: at.step, path: at.path[..=end].to_vec() },
                    value: NewValue::Json(value(tape, 1)),
                },
                None => Change::SetField { at, value: NewValue::Yaml("# c\n- a   # b\n- { b: 1 }\n".into()) },
            }
        }
    }
}

fn place(tape: &mut Tape<'_>, steps: &[Found]) -> Place {
    let step = &steps[tape.below(steps.len())];
    let list = step.lists.get(tape.below(step.lists.len().max(1))).map_or(StepList::Recipe, |(list, _)| list.clone());
    match tape.below(4) {
        0 => Place::Before(step.id.clone()),
        1 => Place::After(step.id.clone()),
        2 => Place::First(list),
        _ => Place::Last(list),
    }
}

/// The data after a change; `None` where the model does not say (ids and what refers to them).
pub(crate) fn changed(json: &Json, change: &Change) -> Option<Json> {
    let mut json = json.clone();
    let steps = found(&json);
    let step = |id: &str| steps.iter().find(|step| step.id == id).cloned();
    let pointer = |at: &FieldPath| {
        let base =
            at.step.as_ref().and_then(|id| step(id)).map(|step| format!("{}/{}", step.list, step.index)).unwrap_or_default();
        let part = |part: &PathPart| match part {
            PathPart::Index(index) => format!("/{index}"),
            PathPart::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        };
        format!("{base}{}", at.path.iter().map(part).collect::<String>())
    };
    match change {
        Change::SetField { at, value } => {
            let value = match value {
                NewValue::Json(value) => value.clone(),
                NewValue::Yaml(_) => json!(["a", {"b": 1}]),
            };
            *json.pointer_mut(&pointer(at))? = value;
        }
        Change::RemoveField { at } => {
            let pointer = pointer(at);
            let (holder, _) = pointer.rsplit_once('/')?;
            match (json.pointer_mut(holder)?, at.path.last()?) {
                (Json::Array(items), PathPart::Index(index)) => drop(items.remove(*index)),
                (Json::Object(fields), PathPart::Key(key)) => drop(fields.shift_remove(key)),
                _ => return None,
            }
        }
        Change::RenameField { at, name } => {
            let pointer = pointer(at);
            let (holder, _) = pointer.rsplit_once('/')?;
            let (Json::Object(fields), PathPart::Key(key)) = (json.pointer_mut(holder)?, at.path.last()?) else { return None };
            let value = fields.shift_remove(key)?;
            fields.insert(name.clone(), value);
        }
        Change::InsertItem { at, value: NewValue::Json(value) } => {
            let pointer = pointer(at);
            let (holder, index) = pointer.rsplit_once('/')?;
            json.pointer_mut(holder)?.as_array_mut()?.insert(index.parse().ok()?, value.clone());
        }
        Change::InsertStep { at, step: text } => {
            let step = serde_json::from_str(text)
                .ok()
                .or_else(|| crate::edit_read::read(text).map(|json| if json.is_array() { json[0].clone() } else { json }))?;
            insert(&mut json, &steps, at, step, None)?;
        }
        Change::RemoveStep { id } => {
            let step = step(id)?;
            json.pointer_mut(&step.list)?.as_array_mut()?.remove(step.index);
        }
        Change::MoveStep { id, to } => {
            if matches!(to, Place::Before(other) | Place::After(other) if other == id) {
                return Some(json);
            }
            let from = step(id)?;
            let slot = json.pointer_mut(&from.list)?.get_mut(from.index)?;
            let step = std::mem::replace(slot, json!(GONE));
            insert(&mut json, &steps, to, step, Some(&from))?;
            without_gone(&mut json);
        }
        Change::WrapStep { ids, wrapper } => {
            let first = step(&ids[0])?;
            let list = json.pointer_mut(&first.list)?.as_array_mut()?;
            let steps: Vec<Json> = list.drain(first.index..first.index + ids.len()).collect();
            list.insert(first.index, wrapped(wrapper, steps));
        }
        Change::ReplaceStep { id, step: text } => {
            let step = step(id)?;
            *json.pointer_mut(&step.list)?.get_mut(step.index)? = serde_json::from_str(text).ok()?;
        }
        _ => return None,
    }
    Some(json)
}

/// Forgets the place a step was taken from.
fn without_gone(json: &mut Json) {
    match json {
        Json::Array(items) => {
            items.retain(|item| item != GONE);
            items.iter_mut().for_each(without_gone);
        }
        Json::Object(fields) => fields.values_mut().for_each(without_gone),
        _ => {}
    }
}

fn wrapped(wrapper: &Wrapper, steps: Vec<Json>) -> Json {
    match wrapper {
        Wrapper::Each { id, items, .. } => json!({"id": id, "each": items, "steps": steps}),
        Wrapper::Choose { id, when } => json!({"id": id, "choose": [{"when": when, "steps": steps}]}),
        Wrapper::Try { id } => json!({"id": id, "try": steps}),
        Wrapper::Parallel { id, branch } => json!({"id": id, "parallel": {branch: steps}}),
        Wrapper::Repeat { id, max, .. } => json!({"id": id, "repeat": {"until": true, "max": max}, "steps": steps}),
    }
}

fn insert(json: &mut Json, steps: &[Found], at: &Place, step: Json, moved: Option<&Found>) -> Option<()> {
    let (list, index) = match at {
        Place::Before(id) | Place::After(id) => {
            let other = steps.iter().find(|step| step.id == *id)?;
            (other.list.clone(), other.index + usize::from(matches!(at, Place::After(_))))
        }
        Place::First(list) | Place::Last(list) => {
            let all = steps.iter().flat_map(|step| &step.lists);
            let list =
                if *list == StepList::Recipe { "/steps".to_owned() } else { all.clone().find(|(l, _)| l == list)?.1.clone() };
            let len = json.pointer(&list)?.as_array()?.len();
            (list, if matches!(at, Place::First(_)) { 0 } else { len })
        }
    };
    let own = moved.map(|from| format!("{}/{}", from.list, from.index));
    if own.is_some_and(|own| list == own || list.starts_with(&format!("{own}/"))) {
        return None;
    }
    json.pointer_mut(&list)?.as_array_mut()?.insert(index, step);
    Some(())
}
