//! Texts. Lengths and places count characters, not bytes.

use rhai::Dynamic;

use super::{Call, Line, as_text, function, has_value};
use crate::{
    limits,
    machine::{Fault, fault},
    value::{Kind, List, Record},
};

const GROUP: &str = "text";

pub(super) const FUNCTIONS: &[Line] = &[
    function(GROUP, "upper(text: text) -> text", "The text in capital letters.", "upper(\"ab\")", "\"AB\"", |call| {
        Ok(call.text(0)?.to_uppercase().into())
    }),
    function(GROUP, "lower(text: text) -> text", "The text in small letters.", "\"AB\".lower()", "\"ab\"", |call| {
        Ok(call.text(0)?.to_lowercase().into())
    }),
    function(GROUP, "trim(text: text) -> text", "The text without blanks at both ends.", "trim(\" a b \")", "\"a b\"", |call| {
        Ok(call.text(0)?.trim().into())
    }),
    function(
        GROUP,
        "len(value: text|list|record) -> integer",
        "How many characters a text, items a list or fields a record has.",
        "len(\"größe\")",
        "5",
        len,
    ),
    function(
        GROUP,
        "contains(value: text|list|record, part: any) -> boolean",
        "Whether a text has a part, a list an item, a record a field.",
        "contains([1, 2], 2)",
        "true",
        |call| has_value(&call.value(0), &call.value(1)).map(Dynamic::from).map_err(fault),
    ),
    function(
        GROUP,
        "starts_with(text: text, part: text) -> boolean",
        "Whether the text begins with the part.",
        "\"INV-7\".starts_with(\"INV\")",
        "true",
        |call| Ok(call.text(0)?.starts_with(call.text(1)?.as_str()).into()),
    ),
    function(
        GROUP,
        "ends_with(text: text, part: text) -> boolean",
        "Whether the text ends with the part.",
        "ends_with(\"a.pdf\", \".pdf\")",
        "true",
        |call| Ok(call.text(0)?.ends_with(call.text(1)?.as_str()).into()),
    ),
    function(
        GROUP,
        "replace(text: text, old: text, new: text) -> text",
        "The text with every `old` replaced.",
        "replace(\"a-b-c\", \"-\", \"\")",
        "\"abc\"",
        replace,
    ),
    function(
        GROUP,
        "split(text: text, separator: text) -> list",
        "The pieces between the separators, as a list.",
        "split(\"a,b\", \",\")",
        "[\"a\",\"b\"]",
        split,
    ),
    function(
        GROUP,
        "join(list: list, [separator: text]) -> text",
        "The items as one text.",
        "join([\"a\", 1], \", \")",
        "\"a, 1\"",
        join,
    ),
    function(
        GROUP,
        "substring(text: text, start: integer, [count: integer]) -> text",
        "A part of the text; a negative start counts from the end.",
        "substring(\"invoice\", 0, 3)",
        "\"inv\"",
        substring,
    ),
    function(
        GROUP,
        "pad(text: text|number|boolean, width: integer, [fill: text]) -> text",
        "The text or number, filled up on the left.",
        "pad(7, 3, \"0\")",
        "\"007\"",
        |call| padded(call, true),
    ),
    function(
        GROUP,
        "to_text(value: text|number|boolean|date|datetime|duration) -> text",
        "A number, true or false, or a date as text.",
        "to_text(12.5)",
        "\"12.5\"",
        |call| as_text(&call.value(0)).map(Dynamic::from).map_err(fault),
    ),
];

fn len(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let value = call.value(0);
    let len = match Kind::of(&value) {
        Kind::List => List::of(&value).map_or(0, |list| list.len()),
        Kind::Record => Record::of(&value).map_or(0, |record| record.keys().len()),
        _ => call.text(0)?.chars().count(),
    };
    Ok(i64::try_from(len).unwrap_or(i64::MAX).into())
}

fn replace(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (text, old, new) = (call.text(0)?, call.text(1)?, call.text(2)?);
    if old.is_empty() {
        return Err(call.bad("gets an empty text to look for"));
    }
    let grown = text.len() + text.matches(old.as_str()).count().saturating_mul(new.len());
    if grown > limits::TEXT_BYTES_MAX.saturating_mul(2) {
        return Err(call.too_long());
    }
    Ok(text.replace(old.as_str(), &new).into())
}

fn split(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (text, separator) = (call.text(0)?, call.text(1)?);
    if separator.is_empty() {
        return Err(call.bad("gets an empty separator"));
    }
    call.pieces(text.split(separator.as_str()))
}

fn join(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let separator = if call.args.len() > 1 { call.text(1)? } else { "".into() };
    let mut out = String::new();
    for (place, item) in call.list(0)?.iter().enumerate() {
        if place > 0 {
            out.push_str(&separator);
        }
        out.push_str(&as_text(&item.map_err(fault)?).map_err(fault)?);
        if out.len() > limits::TEXT_BYTES_MAX {
            return Err(call.too_long());
        }
    }
    Ok(out.into())
}

fn substring(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (text, start) = (call.text(0)?, call.whole(1)?);
    let count = if call.args.len() > 2 { usize::try_from(call.whole(2)?).unwrap_or(0) } else { usize::MAX };
    let start = match usize::try_from(start) {
        Ok(start) => start,
        Err(_) => text.chars().count().saturating_sub(usize::try_from(start.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    Ok(text.chars().skip(start).take(count).collect::<String>().into())
}

/// The text or number, filled up to a width on the left or on the right.
pub(super) fn padded(call: &Call<'_, '_>, left: bool) -> Result<Dynamic, Fault> {
    let text = as_text(&call.value(0)).map_err(fault)?;
    let width = usize::try_from(call.whole(1)?).unwrap_or(0);
    let fill = if call.given(2) { call.text(2)? } else { " ".into() };
    let missing = width.saturating_sub(text.chars().count());
    if missing > limits::TEXT_BYTES_MAX {
        return Err(call.too_long());
    }
    if fill.is_empty() {
        return Err(call.bad("gets an empty text to fill with"));
    }
    let filling = fill.chars().cycle().take(missing);
    let out: String = if left { filling.chain(text.chars()).collect() } else { text.chars().chain(filling).collect() };
    Ok(out.into())
}
