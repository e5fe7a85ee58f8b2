//! Parameters against the description: unknown ones, missing ones, wrong types.

use serde_json::{Map, Value as Json, json};

use super::{
    api::{API, Shape},
    error::{Refused, Result},
};

/// Keys in `metadata`, and the longest key and value in characters (the vendor's documentation, from memory).
const METADATA_KEYS_MAX: usize = 50;
const METADATA_KEY_CHARS_MAX: usize = 40;
const METADATA_VALUE_CHARS_MAX: usize = 500;
/// Longest text in a parameter, in characters.
const TEXT_CHARS_MAX: usize = 20_000;

/// The parameters with their types. An emptied one is null.
pub(super) fn params(shape: &Shape, tree: Map<String, Json>) -> Result<Map<String, Json>> {
    let Shape::Record(place) = shape else {
        return Ok(tree);
    };
    record(*place, tree, "")
}

fn record(place: usize, tree: Map<String, Json>, path: &str) -> Result<Map<String, Json>> {
    let record = API.record(place);
    let mut read = Map::new();
    for (name, value) in tree {
        let path = under(path, &name);
        let Some(shape) = record.properties.get(&name) else {
            return Err(unknown(&path));
        };
        let value = if name == "metadata" { metadata(value, &path)? } else { typed(shape, value, &path)? };
        read.insert(name, value);
    }
    match record.required.iter().find(|name| !read.contains_key(*name)) {
        Some(name) => Err(Refused::needed(&under(path, name))),
        None => Ok(read),
    }
}

fn under(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}[{name}]") }
}

fn unknown(path: &str) -> Refused {
    Refused::invalid(format!("Received unknown parameter: {path}")).code("parameter_unknown").param(path)
}

fn empty(path: &str) -> Refused {
    let message = format!(
        "You passed an empty string for '{path}'. We assume empty values are an attempt to unset a parameter; however \
         '{path}' cannot be unset. You should remove '{path}' from your request or supply a non-empty value."
    );
    Refused::invalid(message).code("parameter_invalid_empty").param(path)
}

fn typed(shape: &Shape, value: Json, path: &str) -> Result<Json> {
    let blank = value.as_str() == Some("");
    match shape {
        Shape::Open(_) if blank => Ok(Json::Null),
        Shape::Open(inner) => typed(inner, value, path),
        // The package does not mark every text that can be emptied (`description`, `email`), so all can.
        Shape::Text | Shape::Expandable(_) if blank => Ok(Json::Null),
        Shape::Any => Ok(value),
        Shape::List(_) if blank => Ok(json!([])),
        Shape::Map(_) if blank => Ok(Json::Null),
        Shape::OneOf(choices) => one_of(choices, value, path),
        _ if blank => Err(empty(path)),
        Shape::List(inner) => list(inner, value, path),
        Shape::Map(inner) => map(inner, value, path),
        Shape::Record(place) => match value {
            Json::Object(tree) => record(*place, tree, path).map(Json::Object),
            _ => Err(Refused::invalid("Invalid object").param(path)),
        },
        Shape::Page(_) | Shape::Kind(_) => Ok(value),
        plain => match value {
            Json::String(text) => simple(plain, text, path),
            _ => Err(Refused::invalid("Invalid string: the value is an object or a list").param(path)),
        },
    }
}

fn simple(shape: &Shape, text: String, path: &str) -> Result<Json> {
    let wrong = |what: &str| Refused::invalid(format!("Invalid {what}: {text}")).param(path);
    match shape {
        Shape::Integer => match text.parse::<i64>() {
            Ok(number) => Ok(json!(number)),
            Err(_) => Err(wrong("integer").code("parameter_invalid_integer")),
        },
        Shape::Number => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(json!(number)),
            _ => Err(wrong("decimal")),
        },
        Shape::Flag => match text.as_str() {
            "true" => Ok(json!(true)),
            "false" => Ok(json!(false)),
            _ => Err(wrong("boolean")),
        },
        Shape::Enum(place) => {
            let values = API.values(*place);
            // Numbers and booleans stand in a few lists of values.
            let found =
                values.iter().find(|value| value.as_str().map_or_else(|| value.to_string() == text, |known| known == text));
            found.cloned().ok_or_else(|| Refused::invalid(format!("Invalid {path}: must be {}", words(values))).param(path))
        }
        _ if text.chars().count() > TEXT_CHARS_MAX => Err(wrong("string")),
        _ => Ok(Json::String(text)),
    }
}

/// `one of a, b, or c`.
fn words(values: &[Json]) -> String {
    let values: Vec<String> =
        values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
    match &values[..] {
        [] => "absent".to_owned(),
        [only] => only.clone(),
        [one, two] => format!("one of {one} or {two}"),
        [most @ .., last] => format!("one of {}, or {last}", most.join(", ")),
    }
}

fn one_of(choices: &[Shape], value: Json, path: &str) -> Result<Json> {
    let mut first = None;
    // An object is meant for the choice that is one.
    let objects = |shape: &&Shape| matches!(shape, Shape::Record(_)) == value.is_object();
    for shape in choices.iter().filter(objects) {
        match typed(shape, value.clone(), path) {
            Ok(read) => return Ok(read),
            Err(refused) => first = first.or(Some(refused)),
        }
    }
    Err(first.unwrap_or_else(|| Refused::invalid("Invalid value").param(path)))
}

fn list(inner: &Shape, value: Json, path: &str) -> Result<Json> {
    let wrong = || Refused::invalid("Invalid array").param(path);
    let Json::Object(tree) = value else { return Err(wrong()) };
    let mut items = Vec::with_capacity(tree.len());
    for (place, value) in tree {
        items.push((place.parse::<u64>().map_err(|_| wrong())?, value));
    }
    items.sort_by_key(|(place, _)| *place);
    items.into_iter().map(|(place, value)| typed(inner, value, &under(path, &place.to_string()))).collect()
}

fn map(inner: &Shape, value: Json, path: &str) -> Result<Json> {
    let Json::Object(tree) = value else {
        return Err(Refused::invalid("Invalid object").param(path));
    };
    let read = tree.into_iter().map(|(name, value)| Ok((name.clone(), typed(inner, value, &under(path, &name))?)));
    read.collect::<Result<Map<_, _>>>().map(Json::Object)
}

fn metadata(value: Json, path: &str) -> Result<Json> {
    let tree = match value {
        Json::String(text) if text.is_empty() => return Ok(Json::Null),
        Json::Object(tree) => tree,
        _ => return Err(Refused::invalid("Invalid object").param(path)),
    };
    if tree.len() > METADATA_KEYS_MAX {
        let message = format!("You can have at most {METADATA_KEYS_MAX} metadata keys on an object.");
        return Err(Refused::invalid(message).param(path));
    }
    let mut read = Map::new();
    for (key, value) in tree {
        let path = under(path, &key);
        let Json::String(text) = value else {
            return Err(Refused::invalid("Metadata values must be strings, but a nested object was passed.").param(&path));
        };
        if key.chars().count() > METADATA_KEY_CHARS_MAX {
            let message = format!("Metadata keys must be under {METADATA_KEY_CHARS_MAX} characters long. Invalid key: {key}");
            return Err(Refused::invalid(message).param(&path));
        }
        if text.chars().count() > METADATA_VALUE_CHARS_MAX {
            let message = format!(
                "Metadata values must be under {METADATA_VALUE_CHARS_MAX} characters, but you passed in a value that is {} long. \
                 Invalid value: {text}",
                text.chars().count()
            );
            return Err(Refused::invalid(message).param(&path));
        }
        read.insert(key, if text.is_empty() { Json::Null } else { Json::String(text) });
    }
    Ok(Json::Object(read))
}

/// A value cut to what a shape holds; what may be null and is not there becomes null.
pub(super) fn fit(shape: &Shape, value: &Json) -> Json {
    match (shape, value) {
        (Shape::Open(inner), _) => fit(inner, value),
        (Shape::Record(place), Json::Object(map)) => fit_record(&API.record(*place).properties, map),
        (Shape::Kind(name), Json::Object(map)) => {
            API.properties(name).map_or(Json::Null, |properties| fit_record(properties, map))
        }
        (Shape::List(inner), Json::Array(list)) => list.iter().map(|value| fit(inner, value)).collect(),
        (Shape::OneOf(choices), _) => {
            let object = |shape: &&Shape| matches!(shape, Shape::Record(_) | Shape::Kind(_)) == value.is_object();
            choices.iter().find(object).map_or_else(|| value.clone(), |shape| fit(shape, value))
        }
        _ => value.clone(),
    }
}

fn fit_record(properties: &std::collections::BTreeMap<String, Shape>, map: &Map<String, Json>) -> Json {
    let mut fitted = Map::new();
    for (name, shape) in properties {
        match map.get(name) {
            Some(value) => {
                fitted.insert(name.clone(), fit(shape, value));
            }
            // Of objects that may be missing there is one for each variant; they are left out.
            None if matches!(shape, Shape::Open(inner) if !matches!(**inner, Shape::Record(_) | Shape::Page(_))) => {
                fitted.insert(name.clone(), Json::Null);
            }
            None => {}
        }
    }
    Json::Object(fitted)
}
