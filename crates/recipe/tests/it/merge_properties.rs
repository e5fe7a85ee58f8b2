//! What holds of every merge.

use std::collections::HashSet;

use proptest::prelude::*;
use recipe::{Change, FieldPath, NewValue, Place, Side, StepList, edit, merge, resolve};
use serde_json::{Value as Json, json};

use crate::catalogue::real;
use crate::edit_corpus::{Tape, recipe};
use crate::edit_model::{change, found};
use crate::edit_properties::{BITS, bytes, config};
use crate::edit_read::read;

/// A text after some random changes.
fn changed(text: &str, whats: &[Vec<u8>]) -> String {
    let mut text = text.to_owned();
    for what in whats {
        let Some(json) = read(&text).filter(|json| !found(json).is_empty()) else { break };
        if let Ok(edited) = edit(&text, &change(&mut Tape::new(what), &json), &real()) {
            text = edited.text;
        }
    }
    text
}

fn ids(json: &Json) -> HashSet<String> {
    found(json).into_iter().map(|step| step.id).collect()
}

fn fail(text: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(text.to_string())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_only_one_side_changed_is_what_comes_out(layout in bytes(250), whats in proptest::collection::vec(bytes(16), 1..4)) {
        let base = recipe(&mut Tape::new(&layout));
        let side = changed(&base, &whats);
        prop_assert_eq!(merge(&base, &base, &side, &real()).map_err(fail)?.text, side.clone());
        prop_assert_eq!(merge(&base, &side, &base, &real()).map_err(fail)?.text, side.clone());
        prop_assert_eq!(merge(&base, &side, &side, &real()).map_err(fail)?.text, side.clone());
        // The same with a base that is written differently, so that no shortcut is taken.
        if base.starts_with(['{', '\u{feff}']) {
            return Ok(());
        }
        let noted = format!("# noted\n{base}");
        for (ours, theirs) in [(&noted, &side), (&side, &noted)] {
            let merged = merge(&base, ours, theirs, &real()).map_err(|e| fail(format!("{e}\n{base}\n=====\n{ours}\n=====\n{theirs}")))?;
            prop_assert!(merged.conflicts.is_empty(), "{:?}\n{base}\n=====\n{side}", merged.conflicts);
            prop_assert_eq!(read(&merged.text), read(&side), "{}\n=====\n{}\n=====\n{}", base, side, merged.text);
        }
    }

    #[test]
    fn changes_of_different_steps_commute(layout in bytes(250), which in bytes(6), value in bytes(8)) {
        let base = recipe(&mut Tape::new(&layout));
        let steps = found(&read(&base).expect("a readable text"));
        let mut tape = Tape::new(&which);
        let (a, b) = (&steps[tape.below(steps.len())], &steps[tape.below(steps.len())]);
        prop_assume!(a.id != b.id);
        let set = |id: &str, key: &str| Change::SetField {
            at: FieldPath::step(id, [key]),
            value: NewValue::Json(crate::edit_corpus::value(&mut Tape::new(&value), 0)),
        };
        let first = set(&a.id, "note");
        let second = match tape.below(3) {
            0 => set(&b.id, "fallback"),
            1 => Change::MoveStep { id: b.id.clone(), to: Place::Last(StepList::Recipe) },
            _ => Change::InsertStep { at: Place::After(b.id.clone()), step: "id: fresh\nstop: x".into() },
        };
        let make = |text: &str, change: &Change| edit(text, change, &real()).map(|edited| edited.text).map_err(fail);
        let (ours, theirs) = (make(&base, &first)?, make(&base, &second)?);
        let here = merge(&base, &ours, &theirs, &real()).map_err(fail)?;
        let there = merge(&base, &theirs, &ours, &real()).map_err(fail)?;
        prop_assert_eq!((&here.conflicts, &there.conflicts), (&vec![], &vec![]), "{}\n=====\n{}\n=====\n{}", base, ours, theirs);
        let both = read(&make(&ours, &second)?);
        prop_assert_eq!(read(&here.text), both.clone(), "{}\n=====\n{}\n=====\n{}", ours, theirs, here.text);
        prop_assert_eq!(read(&there.text), both, "{}\n=====\n{}\n=====\n{}", theirs, ours, there.text);
    }

    #[test]
    fn every_merge_can_be_resolved(
        layout in bytes(250),
        whats in proptest::collection::vec(bytes(16), 1..4),
        others in proptest::collection::vec(bytes(16), 1..4),
    ) {
        let base = recipe(&mut Tape::new(&layout));
        let (ours, theirs) = (changed(&base, &whats), changed(&base, &others));
        let told = || format!("{base}\n===== ours\n{ours}\n===== theirs\n{theirs}");
        let merged = merge(&base, &ours, &theirs, &real()).map_err(|e| fail(format!("{e}\n{}", told())))?;
        let json = read(&merged.text);
        prop_assert!(json.is_some(), "{}\n=====\n{}", told(), merged.text);
        // What both sides have is never lost.
        let (o, t) = (ids(&read(&ours).unwrap_or(json!({}))), ids(&read(&theirs).unwrap_or(json!({}))));
        let all = ids(&json.unwrap_or(json!({})));
        prop_assert!(o.intersection(&t).all(|id| all.contains(id)), "{}\n=====\n{}", told(), merged.text);
        for side in [Side::Ours, Side::Theirs] {
            let mut choices: Vec<_> = merged.conflicts.iter().map(|conflict| conflict.choose(side)).collect();
            // A choice may bring a step back, and with it conflicts about what is in it.
            for _ in 0..4 {
                let resolved = resolve(&base, &ours, &theirs, &choices, &real()).map_err(|e| fail(format!("{e}\n{}", told())))?;
                prop_assert!(read(&resolved.text).is_some(), "{}\n=====\n{}", told(), resolved.text);
                if resolved.conflicts.is_empty() {
                    choices.clear();
                    break;
                }
                choices.extend(resolved.conflicts.iter().map(|conflict| conflict.choose(side)));
            }
            prop_assert!(choices.is_empty(), "{}", told());
        }
    }

    #[test]
    fn any_three_texts_get_an_answer(texts in proptest::collection::vec(proptest::collection::vec(proptest::sample::select(BITS), 0..20), 3)) {
        let texts: Vec<String> = texts.iter().map(|bits| format!("steps:\n{}", bits.concat())).collect();
        if let Ok(merged) = merge(&texts[0], &texts[1], &texts[2], &real()) {
            prop_assert!(read(&merged.text).is_some() || merged.text.contains(['*', '&', '?', '[', '{']), "{}", merged.text);
        }
    }
}
