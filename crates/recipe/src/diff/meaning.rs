//! One way of writing for everything that can be written in several.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::duration::parse_duration;
use crate::scan::{self, Piece};

/// Keys of the language that hold durations, wherever they stand outside data.
const DURATIONS: &[&str] = &["timeout", "wait", "max_wait", "within", "for", "succeeded", "failed"];
/// Keys of the language whose values are formulas without delimiters.
const FORMULAS: &[&str] = &["if", "when", "until"];
/// Keys of the language whose values are data: nothing inside is a key of the language.
const DATA: &[&str] = &[
    "with", "set", "save", "sample", "default", "return", "fallback", "body", "headers", "given", "event", "expect", "input",
    "collect", "file", "schema",
];

/// The recipe as it would be if everything were written in one way.
pub(super) fn of(data: Json) -> Json {
    language(data, "")
}

/// Data, with the blanks inside `${ }` made equal.
fn plain(data: Json) -> Json {
    match data {
        Json::String(text) => Json::String(expressions(text)),
        Json::Array(items) => items.into_iter().map(plain).collect(),
        Json::Object(fields) => fields.into_iter().map(|(key, value)| (key, plain(value))).collect(),
        other => other,
    }
}

/// A part of the recipe that holds words of the language.
fn language(data: Json, key: &str) -> Json {
    if DATA.contains(&key) {
        return plain(data);
    }
    match data {
        Json::Object(fields) if matches!(key, "params" | "state" | "connections") => {
            named(fields.into_iter().map(|(name, value)| (name, language(value, ""))).collect())
        }
        Json::Object(fields) => {
            let written = fields.into_iter().filter(|(key, _)| !key.starts_with("x-"));
            let mut fields: Map<String, Json> = written.map(|(key, value)| (key.clone(), language(value, &key))).collect();
            fields.retain(|key, value| !is_default(key, value));
            match fields.remove("retry") {
                Some(retry) => fields.insert("retry".to_owned(), policy(retry)),
                None => None,
            };
            Json::Object(fields)
        }
        Json::Array(items) => items.into_iter().map(|item| language(item, "")).collect(),
        Json::String(text) if DURATIONS.contains(&key) => match parse_duration(&text) {
            Some(duration) => Json::String(duration_text(duration)),
            None => Json::String(expressions(text)),
        },
        Json::String(text) if FORMULAS.contains(&key) => Json::String(text.trim().to_owned()),
        Json::String(text) => Json::String(expressions(text)),
        other => other,
    }
}

fn named(mut fields: Map<String, Json>) -> Json {
    fields.retain(|name, _| !name.starts_with("x-"));
    Json::Object(fields)
}

/// What says the same as leaving the key out.
fn is_default(key: &str, value: &Json) -> bool {
    match key {
        "on_error" => value == "fail",
        "disabled" | "required" | "exact" => *value == Json::Bool(false),
        "wait_for" => value == "all",
        "partial" => value == "stop",
        "as" => value == "item",
        "on_overlap" => value == "queue",
        "payloads" => value == "full",
        "with" | "settings" | "defaults" | "params" | "state" | "connections" => value.as_object().is_some_and(Map::is_empty),
        "tags" | "tests" | "catch" | "finally" => value.as_array().is_some_and(Vec::is_empty),
        _ => false,
    }
}

/// `retry: 5` and `retry: none` as records.
fn policy(retry: Json) -> Json {
    match retry {
        Json::Number(times) => json!({ "times": times }),
        Json::String(word) if word == "none" => json!({ "times": 1 }),
        other => other,
    }
}

/// A duration as recipes write it, in the largest unit that keeps it whole.
pub(crate) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    match units.iter().find(|(_, each)| millis > 0 && millis.is_multiple_of(*each)) {
        Some((unit, each)) => format!("{}{unit}", millis / each),
        None => format!("{millis}ms"),
    }
}

fn expressions(text: String) -> String {
    let Ok(pieces) = scan::pieces(&text) else { return text };
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for piece in &pieces {
        if let Piece::Expr { source, outer, .. } = piece {
            out.push_str(&text[at..outer.start]);
            out.push_str("${ ");
            out.push_str(source);
            out.push_str(" }");
            at = outer.end;
        }
    }
    out.push_str(&text[at..]);
    out
}
