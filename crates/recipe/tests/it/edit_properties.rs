//! What holds of every change of every text.

use std::collections::BTreeSet;

use proptest::prelude::*;
use recipe::{Change, EditCode, FieldPath, NewValue, apply, edit, step_text};
use serde_json::{Value as Json, json};

use crate::catalogue::real;
use crate::edit_corpus::{Tape, comments, recipe};
use crate::edit_model::{change, changed, found};
use crate::edit_read::read;
use crate::good::FULL;

/// Makes the change and holds the answer against the model.
fn holds(text: &str, change: &Change) -> Result<(), TestCaseError> {
    let old = read(text).expect("a readable text");
    let edited = match edit(text, change, &real()) {
        Ok(edited) => edited,
        Err(error) => {
            // Nothing that makes sense is refused, whatever the layout.
            prop_assert!(
                matches!(error.code, EditCode::InsideItself | EditCode::KeyTaken | EditCode::IdTaken | EditCode::UnknownField),
                "{error:?}\n{change:?}\n{text}"
            );
            return Ok(());
        }
    };
    prop_assert_eq!(apply(text, &edited.patches), Some(edited.text.clone()));
    prop_assert_eq!(apply(&edited.text, &edited.undo), Some(text.to_owned()));
    let new = read(&edited.text);
    prop_assert!(new.is_some(), "{change:?}\n{text}\n=====\n{}", edited.text);
    if let Some(expected) = changed(&old, change) {
        prop_assert_eq!(new.as_ref(), Some(&expected), "{:?}\n{}\n=====\n{}", change, text, edited.text);
    }
    kept(text, change, &edited.text)
}

/// No comment is lost but with what it belongs to.
fn kept(text: &str, change: &Change, new: &str) -> Result<(), TestCaseError> {
    let (before, after) = (comments(text), comments(new));
    match change {
        Change::RemoveStep { .. } | Change::RemoveField { .. } | Change::SetField { .. } | Change::ReplaceStep { .. } => {
            prop_assert!(after.iter().all(|mark| before.contains(mark)), "{change:?}\n{text}\n=====\n{new}");
        }
        Change::DuplicateStep { .. } => {
            prop_assert!(before.iter().all(|mark| after.contains(mark)), "{change:?}\n{text}\n=====\n{new}");
        }
        _ => prop_assert_eq!(before, after, "{:?}\n{}\n=====\n{}", change, text, new),
    }
    Ok(())
}

/// Every reference of a recipe to a step, as a set of paths.
fn references(json: &Json) -> BTreeSet<String> {
    fn texts<'j>(json: &'j Json, found: &mut Vec<&'j str>) {
        match json {
            Json::String(text) => found.push(text),
            Json::Array(items) => items.iter().for_each(|item| texts(item, found)),
            // What a title says is not evaluated.
            Json::Object(fields) => fields.iter().filter(|(key, _)| *key != "title").for_each(|(_, value)| texts(value, found)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    texts(json, &mut all);
    let mut found = BTreeSet::new();
    for text in all {
        let mut expressions: Vec<&str> = Vec::new();
        for piece in recipe::scan::pieces(text).into_iter().flatten() {
            if let recipe::scan::Piece::Expr { source, .. } = piece {
                expressions.push(source);
            }
        }
        for source in expressions {
            let Ok(info) = (real().expression)(source) else { continue };
            found.extend(info.references.iter().map(|r| format!("{} {:?}", r.root, r.path)));
        }
    }
    found
}

pub(crate) fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

/// Bits of text that mean something to YAML.
pub(crate) const BITS: &[&str] = &[
    "- id: a\n",
    "  - id: b\n",
    "steps:\n",
    "steps: [",
    "{id: c, stop: x}",
    "]",
    "}",
    ": ",
    "- ",
    "\n",
    "\r\n",
    "\t",
    " ",
    "  ",
    "# c\n",
    " # d",
    "|\n",
    ">-\n",
    "|2+\n",
    "\"",
    "'",
    "&a ",
    "*a",
    "!t ",
    "? ",
    "---\n",
    "...\n",
    "stop: x\n",
    "choose:\n",
    "when: steps.a\n",
    "parallel: {x: [",
    "try:\n",
    "${ steps.a.b }",
    "é",
    "\u{feff}",
    "\u{0}",
    "~",
    "[",
    "{",
    ",",
    "a",
    "<<: ",
];

/// Changes that any text can be asked for.
fn asked(id: &str, other: &str) -> Vec<Change> {
    let at = |path: &[&str]| FieldPath::step(id, path.iter().copied());
    let place = || recipe::Place::After(other.to_owned());
    vec![
        Change::RemoveStep { id: id.into() },
        Change::MoveStep { id: id.into(), to: place() },
        Change::MoveStep { id: id.into(), to: recipe::Place::First(recipe::StepList::Otherwise(other.into())) },
        Change::DuplicateStep { id: id.into() },
        Change::RenameId { from: id.into(), to: "zeta".into() },
        Change::InsertStep { at: place(), step: "id: n\nstop: x".into() },
        Change::SetField { at: at(&["stop"]), value: NewValue::Json(json!("a\nb\n")) },
        Change::SetField { at: at(&["with", "x"]), value: NewValue::Json(json!({"a": [1]})) },
        Change::RemoveField { at: at(&["stop"]) },
        Change::RemoveField { at: at(&["id"]) },
        Change::RenameField { at: at(&["stop"]), name: "fail".into() },
        Change::WrapStep { ids: vec![id.into()], wrapper: recipe::Wrapper::Try { id: "w".into() } },
        Change::ReplaceStep { id: id.into(), step: format!("# why\n- id: {id}\n  stop: |\n    x\n") },
        Change::SetField { at: FieldPath::recipe(["title"]), value: NewValue::Yaml("x # y".into()) },
        Change::RenameConnection { from: "sf".into(), to: "crm".into() },
        Change::RenameParam { from: "min_amount".into(), to: "least".into() },
    ]
}

/// An answer comes, and what was done can be undone.
fn survives(text: &str, change: &Change) {
    if let Ok(edited) = edit(text, change, &real()) {
        assert_eq!(apply(&edited.text, &edited.undo).as_deref(), Some(text), "{change:?}");
    }
}

/// The recipes of the repository, as they are and as Windows writes them.
fn files() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes");
    let mut paths: Vec<_> = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let mut texts: Vec<_> = paths.iter().map(|path| std::fs::read_to_string(path).expect("text")).collect();
    assert!(!texts.is_empty());
    texts.push(FULL.to_owned());
    let windows: Vec<_> = texts.iter().map(|text| format!("\u{feff}{}", text.replace('\n', "\r\n"))).collect();
    texts.extend(windows);
    texts
}

#[test]
fn every_step_of_every_file_can_be_changed_in_every_way() {
    for text in files() {
        let steps = found(&read(&text).expect("a readable text"));
        for step in &steps {
            let id = step.id.clone();
            let list = steps
                .iter()
                .find(|other| other.id != id)
                .map_or(recipe::Place::First(recipe::StepList::Recipe), |other| recipe::Place::Before(other.id.clone()));
            let wrapper = recipe::Wrapper::Try { id: "wrapped".into() };
            let title = NewValue::Json(json!("Another: title"));
            for change in [
                Change::RemoveStep { id: id.clone() },
                Change::MoveStep { id: id.clone(), to: list },
                Change::MoveStep { id: id.clone(), to: recipe::Place::Last(recipe::StepList::Recipe) },
                Change::DuplicateStep { id: id.clone() },
                Change::WrapStep { ids: vec![id.clone()], wrapper },
                Change::RenameId { from: id.clone(), to: "renamed".into() },
                Change::InsertStep { at: recipe::Place::After(id.clone()), step: "id: fresh\nstop: why\n".into() },
                Change::SetField { at: FieldPath::step(id.clone(), ["title"]), value: title },
                Change::ReplaceStep { id: id.clone(), step: step_text(&text, &id, &real()).expect("the step") },
            ] {
                let edited = edit(&text, &change, &real());
                assert!(
                    edited.is_ok() || matches!(&edited, Err(e) if e.code == EditCode::InsideItself),
                    "{edited:?}\n{change:?}"
                );
                holds(&text, &change).unwrap_or_else(|error| panic!("{error}"));
                if let (Change::ReplaceStep { .. }, Ok(edited)) = (&change, &edited) {
                    assert_eq!(edited.text, text, "what was shown and put back is the same");
                }
            }
        }
    }
}

#[test]
fn every_value_of_every_file_can_be_set_on_its_own_line() {
    for text in files() {
        let json = read(&text).expect("a readable text");
        for at in crate::edit_model::scalars(&json) {
            let change = Change::SetField { at, value: NewValue::Json(json!("x: ${ 1 }")) };
            let Change::SetField { at, .. } = &change else { continue };
            if matches!(at.path.last(), Some(recipe::PathPart::Key(key)) if key == "id") && at.path.len() == 3 {
                continue;
            }
            let edited = edit(&text, &change, &real()).unwrap_or_else(|error| panic!("{error}\n{change:?}\n{text}"));
            assert_eq!(apply(&edited.text, &edited.undo).as_deref(), Some(text.as_str()));
            assert_eq!(changed(&json, &change), read(&edited.text), "{change:?}");
            let old: Vec<_> = text.lines().collect();
            let new: Vec<_> = edited.text.lines().collect();
            let front = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
            let back = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
            // Text in lines has a line more, its head.
            let most = if old.len() > front + back + 1 { 2 } else { 1 };
            assert!(new.len() <= front + back + most, "{change:?}\n{}", edited.text);
        }
    }
}

/// More cases with `PROPTEST_CASES`.
pub(crate) fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn changes_do_what_they_say_in_every_layout(layout in bytes(300), what in bytes(24)) {
        let text = recipe(&mut Tape::new(&layout));
        let json = read(&text).expect("a readable text");
        let change = change(&mut Tape::new(&what), &json);
        holds(&text, &change)?;
    }

    #[test]
    fn several_changes_one_after_the_other(layout in bytes(200), whats in proptest::collection::vec(bytes(16), 1..5)) {
        let mut text = recipe(&mut Tape::new(&layout));
        for what in whats {
            let Some(json) = read(&text).filter(|json| !found(json).is_empty()) else { break };
            let change = change(&mut Tape::new(&what), &json);
            holds(&text, &change)?;
            if let Ok(edited) = edit(&text, &change, &real()) {
                text = edited.text;
            }
        }
    }

    #[test]
    fn renames_go_there_and_back(layout in bytes(300), which in any::<prop::sample::Index>()) {
        let text = recipe(&mut Tape::new(&layout));
        let json = read(&text).expect("a readable text");
        let steps = found(&json);
        let id = &steps[which.index(steps.len())].id;
        let rename = |from: &str, to: &str| Change::RenameId { from: from.into(), to: to.into() };
        let there = edit(&text, &rename(id, "zeta"), &real()).map_err(|e| TestCaseError::fail(format!("{e:?}\n{text}")))?;
        let back = edit(&there.text, &rename("zeta", id), &real()).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
        prop_assert_eq!(&back.text, &text);
        let renamed = |r: &String| r.replace(&format!("[Key(\"{id}\")"), "[Key(\"zeta\")");
        let old: BTreeSet<_> = references(&json).iter().map(renamed).collect();
        prop_assert_eq!(references(&read(&there.text).expect("a readable text")), old);
        prop_assert_eq!(there.text.lines().count(), text.lines().count());
    }

    #[test]
    fn one_value_changes_one_line(layout in bytes(300), which in any::<prop::sample::Index>()) {
        let text = recipe(&mut Tape::new(&layout));
        let steps = found(&read(&text).expect("a readable text"));
        let id = &steps[which.index(steps.len())].id;
        let change = Change::SetField { at: FieldPath::step(id.clone(), ["title"]), value: NewValue::Json(json!("One: line")) };
        let first = edit(&text, &change, &real()).map_err(|e| TestCaseError::fail(format!("{e:?}\n{text}")))?.text;
        let change = Change::SetField { at: FieldPath::step(id.clone(), ["title"]), value: NewValue::Json(json!("two # lines")) };
        let second = edit(&first, &change, &real()).map_err(|e| TestCaseError::fail(format!("{e:?}\n{first}")))?.text;
        let differing = first.lines().zip(second.lines()).filter(|(a, b)| a != b).count();
        prop_assert_eq!((differing, first.lines().count()), (1, second.lines().count()), "{}\n=====\n{}", first, second);
    }

    #[test]
    fn moved_steps_keep_their_bytes(layout in bytes(300), what in bytes(16)) {
        let text = recipe(&mut Tape::new(&layout));
        let json = read(&text).expect("a readable text");
        let mut tape = Tape::new(&what);
        let steps = found(&json);
        let id = steps[tape.below(steps.len())].id.clone();
        let to = recipe::Place::After(steps[tape.below(steps.len())].id.clone());
        let Ok(edited) = edit(&text, &Change::MoveStep { id: id.clone(), to }, &real()) else { return Ok(()) };
        let before = step_text(&text, &id, &real()).expect("the step");
        let after = step_text(&edited.text, &id, &real()).expect("the step");
        // Between brackets there are no lines to keep.
        let in_lines = |text: &str| !text.contains("- {");
        if in_lines(&before) && in_lines(&after) {
            prop_assert_eq!(before.trim_end(), after.trim_end(), "{}\n=====\n{}", text, edited.text);
        }
    }

    #[test]
    fn any_text_gets_an_answer(bits in proptest::collection::vec(proptest::sample::select(BITS), 0..40), which in 0..16_usize) {
        let text = bits.concat();
        survives(&text, &asked("a", "b")[which]);
        survives(&format!("steps:\n{text}"), &asked("b", "a")[which]);
    }

    #[test]
    fn broken_recipes_get_an_answer(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0..12_usize, proptest::sample::select(BITS)), 1..4),
        which in 0..16_usize,
    ) {
        let mut text = FULL.to_owned();
        for (at, cut, bit) in cuts {
            let floor = |mut at: usize| { while !text.is_char_boundary(at) { at -= 1; } at };
            let at = floor(at.index(text.len() + 1));
            let end = floor((at + cut).min(text.len()));
            text.replace_range(at..end, bit);
        }
        survives(&text, &asked("account", "known")[which]);
        survives(&text, &asked("price", "done")[which]);
    }
}
