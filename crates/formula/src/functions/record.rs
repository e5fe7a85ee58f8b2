//! Records. What they give keeps the order of fields.

use rhai::{Array, Dynamic};
use serde_json::{Map, Value as Json};

use super::{Call, Line, function};
use crate::{
    Shared, limits,
    machine::{Fault, fault, spend},
    value::{self, Kind, Record},
};

const GROUP: &str = "record";

pub(super) const FUNCTIONS: &[Line] = &[
    function(
        GROUP,
        "keys(record: record) -> list",
        "The names of the fields.",
        "keys(#{ a: 1, b: 2 })",
        "[\"a\",\"b\"]",
        |call| Ok(Dynamic::from_array(call.record(0)?.keys().into_iter().map(Dynamic::from).collect::<Array>())),
    ),
    function(GROUP, "values(record: record) -> list", "The values of the fields.", "values(#{ a: 1, b: 2 })", "[1,2]", |call| {
        let record = call.record(0)?;
        let values: Result<Array, _> = record.keys().iter().map(|key| record.get(key)).collect();
        values.map(Dynamic::from_array).map_err(fault)
    }),
    function(
        GROUP,
        "entries(record: record) -> list",
        "A list of records with `key` and `value`.",
        "entries(#{ a: 1 })",
        "[{\"key\":\"a\",\"value\":1}]",
        |call| {
            let mut out = Vec::new();
            let record = call.record(0)?;
            for key in record.keys() {
                let value = value::json(record.get(&key).map_err(fault)?, &[]).map_err(fault)?;
                out.push(Json::Object(
                    [("key".to_owned(), Json::String(key)), ("value".to_owned(), value)].into_iter().collect(),
                ));
            }
            Ok(Dynamic::from(Shared::from(Json::Array(out))))
        },
    ),
    function(
        GROUP,
        "from_entries(list: list) -> record",
        "The record of a list with `key` and `value`.",
        "from_entries([#{ key: \"a\", value: 1 }])",
        "{\"a\":1}",
        from_entries,
    ),
    function(
        GROUP,
        "pick(record: record, names: list|text) -> record",
        "Only these fields.",
        "pick(#{ a: 1, b: 2 }, [\"b\"])",
        "{\"b\":2}",
        |call| chosen(call, true),
    ),
    function(
        GROUP,
        "omit(record: record, names: list|text) -> record",
        "All but these fields.",
        "omit(#{ a: 1, b: 2 }, [\"b\"])",
        "{\"a\":1}",
        |call| chosen(call, false),
    ),
    function(
        GROUP,
        "merge(records: record|null...) -> record",
        "The fields of all; the last one wins.",
        "merge(#{ a: 1, b: 2 }, #{ b: 3 })",
        "{\"a\":1,\"b\":3}",
        |call| {
            let mut out = Map::new();
            for at in 0..call.args.len() {
                if call.kind(at) != Kind::Null {
                    for (key, value) in fields(call, at)? {
                        out.insert(key, value);
                    }
                }
            }
            Ok(made(out))
        },
    ),
    function(
        GROUP,
        "get(value: any, path: text, [default: any]) -> any",
        "What a path leads to, or the default, or null.",
        "get(#{ a: [#{ b: 1 }] }, \"a[0].b\")",
        "1",
        |call| {
            let found = value::follow(&call.value(0), &call.path(1)?).map_err(fault)?;
            Ok(if found.is_unit() { call.value(2) } else { found })
        },
    ),
    function(
        GROUP,
        "has(record: record, name: text) -> boolean",
        "Whether there is such a field, even if it is null.",
        "has(#{ a: null }, \"a\")",
        "true",
        |call| Ok(call.record(0)?.has(&call.text(1)?).into()),
    ),
];

fn fields(call: &Call<'_, '_>, at: usize) -> Result<Map<String, Json>, Fault> {
    let record = call.record(at)?;
    if let Record::Data(shared) = &record
        && let Json::Object(fields) = &****shared
    {
        spend(value::weigh(shared, limits::VALUE_DEPTH_MAX).map_err(fault)?).map_err(fault)?;
        return Ok(fields.clone());
    }
    let mut out = Map::new();
    for key in record.keys() {
        let value = value::json(record.get(&key).map_err(fault)?, &[]).map_err(fault)?;
        out.insert(key, value);
    }
    Ok(out)
}

fn made(fields: Map<String, Json>) -> Dynamic {
    Dynamic::from(Shared::from(Json::Object(fields)))
}

fn chosen(call: &mut Call<'_, '_>, keep: bool) -> Result<Dynamic, Fault> {
    let names: Vec<String> = if call.kind(1) == Kind::Text {
        vec![call.text(1)?.to_string()]
    } else {
        let names: Vec<Dynamic> = call.list(1)?.iter().collect::<Result<_, _>>().map_err(fault)?;
        names.iter().filter_map(value::text).map(Into::into).collect()
    };
    let mut all = fields(call, 0)?;
    let mut out = Map::new();
    if keep {
        for name in names {
            if let Some(value) = all.remove(&name) {
                out.insert(name, value);
            }
        }
    } else {
        out.extend(all.into_iter().filter(|(name, _)| !names.contains(name)));
    }
    Ok(made(out))
}

fn from_entries(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let mut out = Map::new();
    for entry in call.list(0)?.iter() {
        let entry = entry.map_err(fault)?;
        let key = value::field(&entry, "key").map_err(fault)?;
        let Some(key) = value::text(&key) else {
            return Err(call.bad("takes records with a text in `key`"));
        };
        let value = value::json(value::field(&entry, "value").map_err(fault)?, &[]).map_err(fault)?;
        out.insert(key.to_string(), value);
    }
    Ok(made(out))
}
