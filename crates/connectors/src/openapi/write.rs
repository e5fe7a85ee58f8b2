//! A connector file as text: blocks for people to read, and each schema of a field on one line.

use serde_json::{Map, Value as Json};

/// Deeper than this everything stands on one line.
const BLOCK_DEPTH_MAX: usize = 3;

/// The file.
pub(super) fn file(file: &Map<String, Json>) -> String {
    let mut out = String::new();
    for (key, value) in file {
        if ["connection", "actions"].contains(&key.as_str()) {
            out.push('\n');
        }
        entry(key, value, 0, &mut out);
    }
    out
}

fn entry(key: &str, value: &Json, depth: usize, out: &mut String) {
    indent(depth, out);
    out.push_str(&scalar(&Json::from(key)));
    out.push(':');
    match value {
        Json::Object(record) if !record.is_empty() && depth < BLOCK_DEPTH_MAX => {
            out.push('\n');
            for (key, value) in record {
                entry(key, value, depth + 1, out);
            }
        }
        Json::Array(items) if depth == 0 && items.iter().all(Json::is_object) => {
            out.push('\n');
            for item in items {
                list_item(item, depth + 1, out);
            }
        }
        _ => {
            out.push(' ');
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
}

fn list_item(item: &Json, depth: usize, out: &mut String) {
    let mut block = String::new();
    for (key, value) in item.as_object().into_iter().flatten() {
        entry(key, value, depth + 1, &mut block);
    }
    // The dash stands in the indentation of the first key.
    let dash = 2 * depth;
    if block.len() > dash {
        block.replace_range(dash..=dash, "-");
    }
    out.push_str(&block);
}

fn indent(depth: usize, out: &mut String) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

/// A value on one line: JSON, which is YAML; without quotes where a text is plainly text.
fn scalar(value: &Json) -> String {
    match value {
        Json::String(text) if plain(text) => text.clone(),
        other => other.to_string(),
    }
}

fn plain(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '.');
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(word)
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str())
}
