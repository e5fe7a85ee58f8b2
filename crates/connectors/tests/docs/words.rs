//! What a schema, an effect or a limit says, in words.

use std::time::Duration;

use connector::{Action, Effect};
use serde_json::{Map, Value as Json, json};

/// Levels of fields inside fields that are told.
const DEPTH_MAX: usize = 3;
/// Values of a choice that are told.
const VALUES_MAX: usize = 40;

/// What repeating an action does, and which input makes it something else.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Repeats {
    pub(crate) usual: String,
    pub(crate) unless: Vec<String>,
}

/// An effect is a function of the input, so it is asked: with nothing, and with each of the inputs alone.
pub(crate) fn repeating(action: &Action) -> Repeats {
    let usual = (action.effect)(&json!({}));
    let properties = action.input["properties"].as_object();
    let mut unless = Vec::new();
    for (name, schema) in properties.into_iter().flatten() {
        let choice = schema["enum"].as_array();
        let tried: Vec<Json> = match (choice, schema["type"].as_str()) {
            (Some(values), _) => values.clone(),
            (None, Some("boolean")) => vec![json!(true), json!(false)],
            (None, Some("object")) => vec![json!({"field": "value"})],
            (None, Some("integer" | "number")) => vec![json!(1)],
            (None, Some("array")) => vec![json!(["value"])],
            _ => vec![json!("value")],
        };
        let found = tried.into_iter().map(|value| ((action.effect)(&json!({ name: value })), value));
        for effect in [Effect::None, Effect::Idempotent, Effect::Once].into_iter().filter(|effect| *effect != usual) {
            let values: Vec<String> =
                found.clone().filter(|(found, _)| *found == effect).map(|(_, value)| plain(&value)).collect();
            let told = matches!(schema["type"].as_str(), Some("boolean")) || choice.is_some();
            match values.is_empty() {
                true => {}
                false if told => unless.push(format!("With `{name}: {}` {}", values.join("`, `"), small(effect))),
                false => unless.push(format!("With `{name}` {}", small(effect))),
            }
        }
    }
    let known = action.key_life_of(&json!({})).map(|life| match life {
        Duration::MAX => " It is known as a repeat within its run.".to_owned(),
        life => format!(" It is known as a repeat for {}.", duration(life)),
    });
    Repeats { usual: sentence(usual).to_owned() + known.as_deref().unwrap_or_default(), unless }
}

fn sentence(effect: Effect) -> &'static str {
    match effect {
        Effect::None => "It only reads.",
        Effect::Idempotent => "Repeating it leaves the same state.",
        Effect::Once => "Repeating it may do it twice.",
    }
}

fn small(effect: Effect) -> String {
    let sentence = sentence(effect);
    sentence[..1].to_lowercase() + &sentence[1..]
}

/// One field of a record, and the fields inside it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Field {
    /// `a.b`, and `a[].b` for records of a list.
    pub(crate) path: String,
    pub(crate) kind: String,
    /// Title, description, default, limits.
    pub(crate) about: String,
    pub(crate) required: bool,
}

/// The fields of a record, those inside others after them.
pub(crate) fn fields(schema: &Json) -> Vec<Field> {
    let mut found = Vec::new();
    collect(schema, "", 0, &mut found);
    found
}

fn collect(schema: &Json, before: &str, depth: usize, found: &mut Vec<Field>) {
    let none = Map::new();
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
    for (name, schema) in schema["properties"].as_object().unwrap_or(&none) {
        let path = format!("{before}{name}");
        found.push(Field { path: path.clone(), kind: kind(schema), about: about(name, schema), required: required(name) });
        if depth + 1 < DEPTH_MAX {
            collect(schema, &format!("{path}."), depth + 1, found);
            collect(&schema["items"], &format!("{path}[]."), depth + 1, found);
        }
    }
}

/// What a value may be: `text`, `list of records`, `"a" or "b"`.
pub(crate) fn kind(schema: &Json) -> String {
    if let Some(values) = schema["enum"].as_array() {
        let shown: Vec<String> = values.iter().take(VALUES_MAX).map(|value| format!("`{}`", plain(value))).collect();
        let more = if values.len() > VALUES_MAX { ", …" } else { "" };
        return shown.join(", ") + more;
    }
    if !schema["const"].is_null() {
        return format!("`{}`", plain(&schema["const"]));
    }
    for either in ["anyOf", "oneOf"] {
        if let Some(parts) = schema[either].as_array() {
            let mut kinds: Vec<String> = parts.iter().map(kind).collect();
            kinds.dedup();
            return kinds.join(" or ");
        }
    }
    match &schema["type"] {
        Json::String(word) => one(word, schema),
        Json::Array(words) => {
            words.iter().filter_map(Json::as_str).map(|word| one(word, schema)).collect::<Vec<_>>().join(" or ")
        }
        _ if schema["properties"].is_object() => "record".to_owned(),
        _ => "anything".to_owned(),
    }
}

fn one(word: &str, schema: &Json) -> String {
    match word {
        "string" => match schema["format"].as_str() {
            Some("date-time") => "time",
            Some("date") => "day",
            Some("uri") => "address",
            Some("email") => "e-mail address",
            _ => "text",
        },
        "integer" => "whole number",
        "number" => "number",
        "boolean" => "yes or no",
        "null" => "nothing",
        "array" => match kind(&schema["items"]).as_str() {
            "record" => "list of records",
            "anything" => "list",
            inside => return format!("list of {inside}"),
        },
        "object" => "record",
        other => other,
    }
    .to_owned()
}

fn about(name: &str, schema: &Json) -> String {
    let mut parts = Vec::new();
    let says_more = |title: &&str| title.to_lowercase().replace([' ', '-'], "_") != name.to_lowercase();
    if let Some(title) = schema["title"].as_str().filter(says_more) {
        parts.push(format!("**{title}.**"));
    }
    if let Some(description) = schema["description"].as_str() {
        parts.push(description.to_owned());
    }
    let (least, most) = (&schema["minimum"], &schema["maximum"]);
    match (least.is_null(), most.is_null()) {
        (false, false) => parts.push(format!("From {least} to {most}.")),
        (false, true) => parts.push(format!("At least {least}.")),
        (true, false) => parts.push(format!("At most {most}.")),
        (true, true) => {}
    }
    if let Some(most) = schema["maxItems"].as_u64() {
        parts.push(format!("At most {most}."));
    }
    if !schema["default"].is_null() {
        parts.push(format!("`{}` when left out.", plain(&schema["default"])));
    }
    parts.join(" ")
}

/// A value as recipes write it.
fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Text that fits into a cell of a table.
pub(crate) fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "&lt;")
}

/// `30 seconds`, `5 minutes`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        _ if seconds.is_multiple_of(3600) => (seconds / 3600, "hour"),
        _ if seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}
