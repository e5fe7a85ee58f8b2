//! Records. What they give keeps the order of fields.

use rhai::{Array, Dynamic};
use serde_json::{Map, Value as Json};

use super::{Call, Line, function};
use crate::{
    Segment, Shared, limits,
    machine::{Fault, fault, spend},
    reference::place,
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
    function(
        GROUP,
        "rename(record: record, names: record) -> record",
        "The record with other names for fields: old name, then new name. A field of the new name is replaced.",
        "rename(#{ Id: 1, n: 2 }, #{ Id: \"id\" })",
        "{\"id\":1,\"n\":2}",
        rename,
    ),
    function(
        GROUP,
        "map_values(record: record, closure: closure) -> record",
        "What the closure makes of the value of each field.",
        "map_values(#{ a: 1, b: 2 }, |x| x * 10)",
        "{\"a\":10,\"b\":20}",
        |call| {
            let closure = call.closure(1)?;
            let mut out = Map::new();
            let record = call.record(0)?;
            for key in record.keys() {
                let made = call.apply(&closure, record.get(&key).map_err(fault)?)?;
                out.insert(key, value::json(made, &[]).map_err(fault)?);
            }
            Ok(made(out))
        },
    ),
    function(
        GROUP,
        "set(record: record, path: text, value: any) -> record",
        "The record with another value at a path, made where it is missing. The record itself stays.",
        "set(#{ a: #{ b: 1 } }, \"a.c\", 2)",
        "{\"a\":{\"b\":1,\"c\":2}}",
        set,
    ),
    function(
        GROUP,
        "merge_deep(records: record|null...) -> record",
        "As `merge`, and where both have a record in a field, that is merged as well.",
        "merge_deep(#{ a: #{ x: 1, y: 1 } }, #{ a: #{ y: 2 } })",
        "{\"a\":{\"x\":1,\"y\":2}}",
        |call| {
            let mut out = Map::new();
            for at in 0..call.args.len() {
                if call.kind(at) != Kind::Null {
                    merge_into(&mut out, fields(call, at)?);
                }
            }
            Ok(made(out))
        },
    ),
];

/// The fields whose values pass.
pub(super) fn kept(call: &Call<'_, '_>, pass: fn(&Json) -> bool) -> Result<Dynamic, Fault> {
    let mut fields = fields(call, 0)?;
    fields.retain(|_, value| pass(value));
    Ok(made(fields))
}

fn rename(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let names = fields(call, 1)?;
    let mut out = Map::new();
    let old = fields(call, 0)?;
    let taken: Vec<&str> = names.iter().filter(|(name, _)| old.contains_key(*name)).filter_map(|(_, new)| new.as_str()).collect();
    for (key, value) in old.clone() {
        match names.get(&key) {
            Some(Json::String(new)) => {
                out.insert(new.clone(), value);
            }
            Some(_) => return Err(call.bad("takes texts as new names")),
            None if taken.contains(&key.as_str()) => {}
            None => {
                out.insert(key, value);
            }
        }
    }
    Ok(made(out))
}

fn set(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (path, value) = (call.path(1)?, value::json(call.value(2), &[]).map_err(fault)?);
    let mut root = Json::Object(fields(call, 0)?);
    let mut at = &mut root;
    for segment in &path {
        if at.is_null() {
            *at = Json::Object(Map::new());
        }
        at = match (segment, at) {
            (Segment::Key(key), Json::Object(fields)) => fields.entry(key.as_str()).or_insert(Json::Null),
            (Segment::Index(index), Json::Array(items)) => match place(items.len(), *index) {
                Some(index) => &mut items[index],
                None => return Err(call.bad("finds no such item to put the value at")),
            },
            _ => return Err(call.bad("meets something on the path that is no record and no list")),
        };
    }
    *at = value;
    let Json::Object(out) = root else { return Err(call.bad("takes a path that begins with a field")) };
    // What was put deep inside may now be too deep.
    let out = Shared::from(Json::Object(out));
    spend(value::weigh(&out, limits::VALUE_DEPTH_MAX).map_err(fault)?).map_err(fault)?;
    Ok(Dynamic::from(out))
}

/// Puts the fields of the second record over those of the first. As deep as the values are, which
/// is bounded.
fn merge_into(out: &mut Map<String, Json>, more: Map<String, Json>) {
    for (key, value) in more {
        match (out.get_mut(&key), value) {
            (Some(Json::Object(old)), Json::Object(new)) => merge_into(old, new),
            (_, value) => {
                out.insert(key, value);
            }
        }
    }
}

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
