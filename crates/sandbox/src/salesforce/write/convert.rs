//! What a call gives for a field, understood.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::civil::{Date, Time};
use serde_json::Value as Json;

use crate::salesforce::{
    errors::{Outcome, Trouble},
    ids,
    schema::{Field, Kind},
    value::{Value, day_of, read_datetime},
};

/// The value of a field out of JSON.
pub(in super::super) fn typed(field: &Field, given: &Json) -> Outcome<Value> {
    match (given, field.kind) {
        (Json::Null, Kind::Boolean) => Err(wrong_type(field, "")),
        (Json::Null, _) => Ok(Value::Null),
        (_, Kind::Boolean) => boolean(given).map(Value::Bool).ok_or_else(|| unread(given, "boolean")),
        (_, kind) if kind.is_number() => number(field, given),
        (Json::String(text), _) if text.is_empty() => Ok(Value::Null),
        (Json::String(text), kind) => match kind {
            Kind::Date => date(text).map(Value::Day).ok_or_else(|| unread(given, "date")),
            Kind::Datetime => moment(text).map(Value::Moment).ok_or_else(|| unread(given, "datetime")),
            Kind::Time => time(text).map(Value::Time).ok_or_else(|| unread(given, "time")),
            Kind::Base64 => bytes(text).ok_or_else(|| unread(given, "base64")),
            Kind::Id | Kind::Reference => Ok(Value::Text(long_id(text))),
            _ => words(field, text),
        },
        _ => Err(unread(given, soap_word(field.kind))),
    }
}

fn soap_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Date => "date",
        Kind::Datetime => "datetime",
        Kind::Time => "time",
        Kind::Id | Kind::Reference => "id",
        Kind::Base64 => "base64",
        _ => "string",
    }
}

fn unread(given: &Json, kind: &str) -> Trouble {
    let (token, text) = match given {
        Json::String(text) => ("VALUE_STRING", text.clone()),
        Json::Number(number) if number.is_f64() => ("VALUE_NUMBER_FLOAT", number.to_string()),
        Json::Number(number) => ("VALUE_NUMBER_INT", number.to_string()),
        Json::Bool(true) => ("VALUE_TRUE", "true".to_owned()),
        Json::Bool(false) => ("VALUE_FALSE", "false".to_owned()),
        Json::Array(_) => ("START_ARRAY", "[".to_owned()),
        Json::Object(_) => ("START_OBJECT", "{".to_owned()),
        Json::Null => ("VALUE_NULL", "null".to_owned()),
    };
    let text: String = text.chars().take(100).collect();
    Trouble::json(format_args!(
        "Cannot deserialize instance of {kind} from {token} value {text} or request may be missing a required field"
    ))
}

fn wrong_type(field: &Field, text: &str) -> Trouble {
    Trouble::bad("INVALID_TYPE_ON_FIELD_IN_RECORD", format!("{}: value not of required type: {text}", field.label))
        .on(&field.name)
}

fn boolean(given: &Json) -> Option<bool> {
    match given {
        Json::Bool(value) => Some(*value),
        Json::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
        Json::String(text) if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
        _ => None,
    }
}

fn number(field: &Field, given: &Json) -> Outcome<Value> {
    let kind = if field.kind == Kind::Int { "int" } else { "double" };
    let number = match given {
        Json::Number(number) => number.as_f64(),
        Json::String(text) if text.is_empty() => return Ok(Value::Null),
        Json::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    let number = number.filter(|number| number.is_finite()).ok_or_else(|| unread(given, kind))?;
    let digits = field.precision.saturating_sub(if field.kind == Kind::Int { 0 } else { field.scale });
    let most = 10_f64.powi(i32::try_from(digits).unwrap_or(18));
    if number.abs() >= most {
        let message = format!("{}: value outside of valid range on numeric field: {number}", field.label);
        return Err(Trouble::bad("NUMBER_OUTSIDE_VALID_RANGE", message).on(&field.name));
    }
    if field.kind == Kind::Int && number.fract() != 0.0 {
        return Err(unread(given, kind));
    }
    let step = 10_f64.powi(i32::try_from(field.scale).unwrap_or_default());
    Ok(Value::Number((number * step).round() / step))
}

fn date(text: &str) -> Option<Date> {
    // A whole moment is taken, too; the day in UTC counts.
    if text.len() == 10 { text.parse().ok() } else { read_datetime(text).map(day_of) }
}

fn moment(text: &str) -> Option<i64> {
    if text.len() == 10 { text.parse().ok().map(super::super::value::start_ms) } else { read_datetime(text) }
}

fn time(text: &str) -> Option<Time> {
    text.trim_end_matches('Z').parse().ok()
}

fn bytes(text: &str) -> Option<Value> {
    STANDARD.decode(text.as_bytes()).ok().map(|bytes| Value::Bytes(bytes.into()))
}

/// Short ids are kept long; what is no id stays as it is and is refused by its field's check.
fn long_id(text: &str) -> std::sync::Arc<str> {
    match ids::read(text) {
        Some((prefix, serial)) if serial != u64::MAX => ids::make(&prefix, serial),
        _ => text.into(),
    }
}

fn words(field: &Field, text: &str) -> Outcome<Value> {
    let length = text.chars().count();
    if field.length > 0 && length > field.length {
        let shown: String = text.chars().take(100).collect();
        let message = format!("{}: data value too large: {shown} (max length={})", field.label, field.length);
        return Err(Trouble::bad("STRING_TOO_LONG", message).on(&field.name));
    }
    if field.kind == Kind::Email && !is_email(text) {
        return Err(
            Trouble::bad("INVALID_EMAIL_ADDRESS", format!("{}: invalid email address: {text}", field.label)).on(&field.name)
        );
    }
    let chosen = |value: &str| field.values.iter().find(|known| known.eq_ignore_ascii_case(value));
    if field.kind == Kind::Picklist && field.restricted && chosen(text).is_none() {
        return Err(not_chosen(field, text));
    }
    if field.kind == Kind::Multipicklist {
        let mut picked: Vec<&str> = text.split(';').map(str::trim).filter(|value| !value.is_empty()).collect();
        if let Some(wrong) = picked.iter().find(|value| field.restricted && chosen(value).is_none()) {
            return Err(not_chosen(field, wrong));
        }
        // Kept in the order of the list, as Salesforce does.
        picked.sort_by_key(|value| field.values.iter().position(|known| known.eq_ignore_ascii_case(value)));
        picked.dedup();
        return Ok(Value::Text(picked.join(";").into()));
    }
    // Blanks around a text are not kept, except in long ones.
    let kept = if field.kind == Kind::Textarea { text } else { text.trim() };
    Ok(if kept.is_empty() { Value::Null } else { Value::Text(kept.into()) })
}

fn not_chosen(field: &Field, value: &str) -> Trouble {
    let message = format!("{}: bad value for restricted picklist field: {value}", field.label);
    Trouble::bad("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message).on(&field.name)
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let good = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
    good(local)
        && good(domain)
        && domain.contains('.')
        && domain.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-'))
        && !local.chars().any(|letter| letter.is_whitespace() || matches!(letter, '@' | ',' | ';' | '<' | '>' | '(' | ')'))
}
