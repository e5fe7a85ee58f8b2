//! Null, kinds of values, encodings, the instant, and what only scripts do.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rhai::Dynamic;
use serde_json::Value as Json;

use super::{Call, Line, function};
use crate::{
    EvalError, Shared,
    machine::{Fault, fault, spend},
    reference::place,
    value::{self, Kind, List, Record},
};

const GROUP: &str = "value";
const FORMAT: &str = "format";
const SCRIPT: &str = "script";

/// What stands as it is in a part of an address (RFC 3986, unreserved).
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) const FUNCTIONS: &[Line] = &[
    function(
        GROUP,
        "present(value: any) -> boolean",
        "Whether it is neither null nor an empty text, list or record.",
        "present(\"\")",
        "false",
        |call| Ok(present(&call.value(0)).into()),
    ),
    function(
        GROUP,
        "default(value: any, other: any) -> any",
        "The value, or the other if it is not present. For null alone there is `??`.",
        "default(\"\", \"none\")",
        "\"none\"",
        |call| {
            let value = call.value(0);
            Ok(if present(&value) { value } else { call.value(1) })
        },
    ),
    function(GROUP, "is_text(value: any) -> boolean", "Whether it is text.", "is_text(\"a\")", "true", |call| {
        is(call, Kind::Text)
    }),
    function(GROUP, "is_number(value: any) -> boolean", "Whether it is a number.", "is_number(\"1\")", "false", |call| {
        is(call, Kind::Number)
    }),
    function(GROUP, "is_boolean(value: any) -> boolean", "Whether it is true or false.", "is_boolean(false)", "true", |call| {
        is(call, Kind::Boolean)
    }),
    function(GROUP, "is_list(value: any) -> boolean", "Whether it is a list.", "is_list([])", "true", |call| {
        is(call, Kind::List)
    }),
    function(GROUP, "is_record(value: any) -> boolean", "Whether it is a record.", "is_record(#{})", "true", |call| {
        is(call, Kind::Record)
    }),
    function(
        FORMAT,
        "json(value: any) -> text",
        "The value as JSON text.",
        "json([1, #{ a: null }])",
        "\"[1,{\\\"a\\\":null}]\"",
        |call| {
            let text = value::json(call.value(0), &[]).map_err(fault)?.to_string();
            spend(text.len() / 64).map_err(fault)?;
            Ok(text.into())
        },
    ),
    function(
        FORMAT,
        "parse_json(text: text) -> any",
        "The value that a JSON text says.",
        "parse_json(\"[1, 2]\")[1]",
        "2",
        parse_json,
    ),
    function(FORMAT, "base64(text: text) -> text", "The text in Base64.", "base64(\"a:b\")", "\"YTpi\"", |call| {
        Ok(STANDARD.encode(call.text(0)?.as_bytes()).into())
    }),
    function(
        FORMAT,
        "from_base64(text: text) -> text",
        "The text that stands in Base64.",
        "from_base64(\"YTpi\")",
        "\"a:b\"",
        |call| {
            let bytes =
                STANDARD.decode(call.text(0)?.trim().as_bytes()).map_err(|_| call.bad("gets a text that is not Base64"))?;
            String::from_utf8(bytes).map(Dynamic::from).map_err(|_| call.bad("finds bytes that are no text"))
        },
    ),
    function(
        FORMAT,
        "url_encode(text: text) -> text",
        "The text as a part of an address.",
        "url_encode(\"a b&c\")",
        "\"a%20b%26c\"",
        |call| Ok(utf8_percent_encode(&call.text(0)?, &UNRESERVED).to_string().into()),
    ),
    function(
        FORMAT,
        "url_decode(text: text) -> text",
        "The text that stands in a part of an address.",
        "url_decode(\"a%20b\")",
        "\"a b\"",
        |call| {
            let text = call.text(0)?;
            percent_decode_str(&text)
                .decode_utf8()
                .map(|text| Dynamic::from(text.into_owned()))
                .map_err(|_| call.bad("finds bytes that are no text"))
        },
    ),
    function(
        SCRIPT,
        "push(list: list, item: any) -> null",
        "Adds an item to a list of the script.",
        "[1].push(2)",
        "null",
        |call| {
            let item = call.value(1);
            value::check_depth(&item).map_err(fault)?;
            change_list(call, |items| {
                items.push(item);
                Dynamic::UNIT
            })
        },
    ),
    function(SCRIPT, "pop(list: list) -> any", "Takes the last item off a list of the script.", "[1, 2].pop()", "2", |call| {
        change_list(call, |items| items.pop().unwrap_or(Dynamic::UNIT))
    }),
    function(
        SCRIPT,
        "insert(list: list, place: integer, item: any) -> null",
        "Puts an item into a list of the script.",
        "[1].insert(0, 2)",
        "null",
        |call| {
            let (at, item) = (call.whole(1)?, call.value(2));
            value::check_depth(&item).map_err(fault)?;
            change_list(call, |items| {
                let at = place(items.len(), at).unwrap_or(items.len());
                items.insert(at, item);
                Dynamic::UNIT
            })
        },
    ),
    function(
        SCRIPT,
        "remove(value: list|record, key: integer|text) -> any",
        "Takes an item off a list, or a field off a record, of the script.",
        "#{ a: 1 }.remove(\"a\")",
        "1",
        remove,
    ),
    function(SCRIPT, "clear(list: list) -> null", "Empties a list of the script.", "[1].clear()", "null", |call| {
        change_list(call, |items| {
            items.clear();
            Dynamic::UNIT
        })
    }),
];

/// Whether it is neither null nor empty.
pub(super) fn present(value: &Dynamic) -> bool {
    match Kind::of(value) {
        Kind::Null => false,
        Kind::Text => value::text(value).is_some_and(|text| !text.is_empty()),
        Kind::List => List::of(value).is_some_and(|list| list.len() > 0),
        Kind::Record => Record::of(value).is_some_and(|record| !record.keys().is_empty()),
        _ => true,
    }
}

/// The same for a field of a record.
pub(super) fn is_present_json(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

fn is(call: &Call<'_, '_>, kind: Kind) -> Result<Dynamic, Fault> {
    Ok((call.kind(0) == kind).into())
}

fn parse_json(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let text = call.text(0)?;
    let value: Json = serde_json::from_str(&text)
        .map_err(|error| fault(EvalError::new("bad_argument", format!("`parse_json` gets a text that is not JSON: {error}"))))?;
    value::dynamic(Shared::from(value)).map_err(fault)
}

fn change_list(call: &mut Call<'_, '_>, change: impl FnOnce(&mut rhai::Array) -> Dynamic) -> Result<Dynamic, Fault> {
    let kind = call.kind(0);
    let name = call.function.name;
    if let Some(list) = call.args.first_mut()
        && let Ok(mut items) = list.as_array_mut()
    {
        return Ok(change(&mut items));
    }
    Err(if kind == Kind::List { read_only(name) } else { call.misfit(0, "a list") })
}

fn remove(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    if call.kind(0) == Kind::Record {
        let key = call.text(1)?;
        return match call.args.first_mut().map(|record| record.as_map_mut()) {
            Some(Ok(mut fields)) => Ok(fields.remove(key.as_str()).unwrap_or(Dynamic::UNIT)),
            _ => Err(read_only(call.function.name)),
        };
    }
    let at = call.whole(1)?;
    change_list(call, |items| place(items.len(), at).map_or(Dynamic::UNIT, |at| items.remove(at)))
}

fn read_only(name: &str) -> Fault {
    fault(
        EvalError::new("read_only", format!("`{name}` would change data of the run, which can be read only"))
            .with_hint("Collect into a list of your own: let out = []; for x in … { out.push(x); } out"),
    )
}
