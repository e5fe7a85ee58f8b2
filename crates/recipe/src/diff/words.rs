//! Values and names as they stand in sentences.

use serde_json::Value as Json;

use crate::scan::{self, Piece};

/// Longer values are cut, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// The formula of a value that is one `${ }`.
pub(super) fn whole_formula(text: &str) -> Option<&str> {
    match scan::pieces(text).ok()?.as_slice() {
        [Piece::Expr { source, outer, .. }] if *outer == (0..text.len()) => {
            text.get(outer.start..).and_then(|_| find(text, source))
        }
        _ => None,
    }
}

fn find<'t>(text: &'t str, source: &str) -> Option<&'t str> {
    let at = text.find(source)?;
    text.get(at..at + source.len())
}

/// A value, short enough for a sentence. Formulas stand in backticks, text in quotation marks.
pub(super) fn shown(value: &Json) -> String {
    match value {
        Json::Null => "nothing (null)".to_owned(),
        Json::String(text) => match whole_formula(text) {
            Some(formula) => code(formula),
            None => format!("“{}”", cut(&text.split_whitespace().collect::<Vec<_>>().join(" "))),
        },
        Json::Array(items) if items.is_empty() => "an empty list".to_owned(),
        Json::Object(fields) if fields.is_empty() => "an empty record".to_owned(),
        other => code(&other.to_string()),
    }
}

/// Code in backticks.
pub(super) fn code(text: &str) -> String {
    format!("`{}`", cut(text))
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(SHOWN_CHARS_MAX - 1).collect();
    short.push('…');
    short
}

/// A word of the language as people say it.
pub(super) fn key(key: &str) -> String {
    key.replace('_', " ")
}
