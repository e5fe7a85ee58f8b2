//! The language as a whole: recipes in, problems with their places out.

mod assist;
mod bad_input;
mod broken;
mod catalogue;
mod diff;
mod edit;
mod edit_corpus;
mod edit_model;
mod edit_properties;
mod edit_read;
mod explain;
mod fmt;
mod good;
mod merge;
mod merge_properties;
mod properties;
mod schema;
mod shapes;
mod yaml_suite;

use recipe::{Diagnostic, LineIndex, Parsed, Severity};

/// The problems of a text, as `L0102 3:1`, warnings with a `w` behind. Small samples use little of what
/// they declare, which is not said each time.
fn problems(text: &[u8]) -> Vec<String> {
    let parsed = recipe::parse_and_check(text, &catalogue::catalogue());
    let lines = LineIndex::new(text);
    parsed.diagnostics.iter().filter(|d| d.code != "L0605").map(|d| place(d, &lines)).collect()
}

fn place(d: &Diagnostic, lines: &LineIndex) -> String {
    let (line, column) = lines.position(d.span.start);
    let mark = if d.severity == Severity::Warning { "w" } else { "" };
    format!("{} {line}:{column}{mark}", d.code)
}

/// What must hold of any answer whatsoever.
fn sane(text: &[u8], parsed: &Parsed) {
    for d in &parsed.diagnostics {
        assert!(recipe::codes().iter().any(|c| c.code == d.code), "{} is in no table", d.code);
        assert!(d.span.start <= d.span.end && d.span.end <= text.len().max(d.span.start), "{d:?} in {} bytes", text.len());
        assert!(!d.message.is_empty() && d.message.len() < 1000, "{d:?}");
        if let Ok(text) = std::str::from_utf8(text) {
            assert!(text.is_char_boundary(d.span.start) && text.is_char_boundary(d.span.end), "{d:?}");
            if let Some(edit) = &d.edit {
                assert!(text.get(edit.span.start..edit.span.end).is_some(), "{d:?}");
            }
        }
    }
    let starts: Vec<_> = parsed.diagnostics.iter().map(|d| d.span.start).collect();
    assert!(starts.is_sorted(), "problems come in the order of the text: {starts:?}");
    assert!(parsed.recipe.is_some() || !parsed.diagnostics.is_empty(), "no recipe, and nobody said why");
}
