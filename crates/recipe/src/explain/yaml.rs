//! Writes data as YAML in lines.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::{Explained, pointer};
use crate::scalar::{self, Plain};

/// The longest list or record that is written in brackets, in characters.
const BRACKETS_CHARS_MAX: usize = 80;

pub(super) fn write(explained: &Explained) -> String {
    let mut out = String::from("# Every default is filled in; what stands beside a value tells where it comes from.\n");
    fields(explained, &explained.recipe, "", 0, &mut out);
    out
}

/// The fields of a record or the items of a list, one a line.
fn fields(explained: &Explained, json: &Json, at: &str, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match json {
        Json::Object(all) => {
            for (key, inner) in all {
                let _ = write!(out, "{pad}{}:", scalar(key));
                value(explained, inner, &format!("{at}/{}", pointer(key)), indent, out);
            }
        }
        Json::Array(all) => {
            for (index, inner) in all.iter().enumerate() {
                let _ = write!(out, "{pad}-");
                value(explained, inner, &format!("{at}/{index}"), indent, out);
            }
        }
        _ => {}
    }
    for line in explained.silent.get(at).into_iter().flatten() {
        let _ = writeln!(out, "{pad}# {line}");
    }
}

fn value(explained: &Explained, json: &Json, at: &str, indent: usize, out: &mut String) {
    let note = explained.notes.get(at).map(|note| format!("  # {note}")).unwrap_or_default();
    let inside = format!("{at}/");
    let noted = explained.silent.contains_key(at)
        || explained.notes.range(inside.clone()..).next().is_some_and(|(key, _)| key.starts_with(&inside));
    match json {
        Json::Object(_) | Json::Array(_) if !noted && brackets(json).is_some() => {
            let _ = writeln!(out, " {}{note}", brackets(json).unwrap_or_default());
        }
        Json::Object(_) | Json::Array(_) => {
            let _ = writeln!(out, "{note}");
            fields(explained, json, at, indent + 2, out);
        }
        Json::String(text) if is_block(text) => {
            let _ = writeln!(out, " |{}{note}", if text.ends_with('\n') { "" } else { "-" });
            for line in text.lines() {
                let pad = if line.is_empty() { String::new() } else { " ".repeat(indent + 2) };
                let _ = writeln!(out, "{pad}{line}");
            }
        }
        Json::String(text) => {
            let _ = writeln!(out, " {}{note}", scalar(text));
        }
        other => {
            let _ = writeln!(out, " {other}{note}");
        }
    }
}

/// A small list or record of scalars in one line.
fn brackets(json: &Json) -> Option<String> {
    let flat = |json: &Json| match json {
        Json::String(text) => Some(quoted_in_brackets(text)),
        Json::Object(all) if all.is_empty() => Some("{}".to_owned()),
        Json::Array(all) if all.is_empty() => Some("[]".to_owned()),
        Json::Object(_) | Json::Array(_) => None,
        other => Some(other.to_string()),
    };
    let text = match json {
        Json::Object(all) if all.is_empty() => "{}".to_owned(),
        Json::Object(all) => {
            let all: Option<Vec<_>> =
                all.iter().map(|(key, inner)| Some(format!("{}: {}", quoted_in_brackets(key), flat(inner)?))).collect();
            format!("{{ {} }}", all?.join(", "))
        }
        Json::Array(all) => format!("[{}]", all.iter().map(flat).collect::<Option<Vec<_>>>()?.join(", ")),
        _ => return None,
    };
    (text.chars().count() <= BRACKETS_CHARS_MAX).then_some(text)
}

fn quoted_in_brackets(text: &str) -> String {
    if text.contains([',', '[', ']', '{', '}']) { quoted(text) } else { scalar(text) }
}

/// Text of several lines that can stand as it is.
fn is_block(text: &str) -> bool {
    let blank = |line: &str| line.trim().is_empty() && !line.is_empty();
    text.contains('\n')
        && !text.starts_with([' ', '\t', '\n'])
        && !text.ends_with("\n\n")
        && !text.lines().any(blank)
        && !text.chars().any(|c| c != '\n' && (c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')))
}

/// Text without quotes where it stays the same text, else with.
fn scalar(text: &str) -> String {
    let bare = text.chars().next().is_some_and(|c| c.is_alphanumeric() || matches!(c, '/' | '$' | '_' | '('))
        && !text.contains([':', '#', '\n', '\t', '"', '\\', '\'', '`'])
        && !text.ends_with(' ')
        && !text.chars().any(char::is_control)
        && matches!(scalar::resolve(text), Plain::Text)
        && !scalar::looks_numeric(text);
    if bare { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    // JSON's quoting is YAML's, but for DEL and the breaks that only YAML knows.
    let mut out = String::new();
    for c in Json::String(text.to_owned()).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
