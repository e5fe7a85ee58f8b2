//! More of lists: parts of them, one against another, by a field.

use std::{cmp::Ordering, collections::HashSet};

use rhai::{Array, Dynamic};
use serde_json::{Map, Value as Json};

use super::{Call, Line, as_text, function, list::canonical};
use crate::{
    EvalError, Shared, limits,
    machine::{Fault, fault, spend},
    ops,
    value::{self, Kind, List},
};

const GROUP: &str = "list";

pub(super) const FUNCTIONS: &[Line] = &[
    function(
        GROUP,
        "take(list: list, count: integer) -> list",
        "The first so many items.",
        "take([1, 2, 3], 2)",
        "[1,2]",
        |call| {
            let count = count_of(call, 1)?;
            some(call, |place, _| place < count)
        },
    ),
    function(
        GROUP,
        "drop(list: list, count: integer) -> list",
        "The items without the first so many.",
        "drop([1, 2, 3], 2)",
        "[3]",
        |call| {
            let count = count_of(call, 1)?;
            some(call, |place, _| place >= count)
        },
    ),
    function(
        GROUP,
        "chunk(list: list, size: integer) -> list",
        "Lists of so many items each; the last one may be shorter.",
        "chunk([1, 2, 3], 2)",
        "[[1,2],[3]]",
        chunk,
    ),
    function(
        GROUP,
        "compact(value: list|record) -> list|record",
        "The list or record without what is null or an empty text, list or record.",
        "compact([1, null, \"\", 2])",
        "[1,2]",
        |call| match call.kind(0) {
            Kind::Record => super::record::kept(call, super::other::is_present_json),
            _ => some(call, |_, item| super::other::present(item)),
        },
    ),
    function(
        GROUP,
        "flat_map(list: list, closure: closure|text) -> list",
        "What the closure or the path makes of each item, and of a list its items.",
        "flat_map([#{ tags: [1, 2] }, #{ tags: [3] }], \"tags\")",
        "[1,2,3]",
        flat_map,
    ),
    function(
        GROUP,
        "zip(list: list, other: list) -> list",
        "Pairs of the items at the same places; as many as the shorter list has.",
        "zip([\"a\", \"b\"], [1, 2])",
        "[[\"a\",1],[\"b\",2]]",
        |call| {
            let (left, right) = (call.list(0)?, call.list(1)?);
            let pairs = left.iter().zip(right.iter()).map(|(a, b)| Ok(Dynamic::from_array(vec![a?, b?])));
            pairs.collect::<Result<Array, EvalError>>().map(Dynamic::from_array).map_err(fault)
        },
    ),
    function(
        GROUP,
        "index_by(list: list, path: text|closure) -> record",
        "A record of the items, by the text of a field or of what a closure gives; the last one wins.",
        "index_by([#{ id: \"a\", n: 1 }, #{ id: \"b\", n: 2 }], \"id\").b.n",
        "2",
        index_by,
    ),
    function(
        GROUP,
        "count_by(list: list, path: text|closure) -> record",
        "How many items there are for each text of a field, or of what a closure gives.",
        "count_by([\"a\", \"b\", \"a\"], |x| x)",
        "{\"a\":2,\"b\":1}",
        count_by,
    ),
    function(
        GROUP,
        "min_by(list: list, path: text|closure) -> any",
        "The item whose field is the smallest, null for an empty list. Items without the field do not count.",
        "min_by([#{ n: 2 }, #{ n: 1 }], \"n\")",
        "{\"n\":1}",
        |call| extreme_by(call, Ordering::Less),
    ),
    function(
        GROUP,
        "max_by(list: list, path: text|closure) -> any",
        "The item whose field is the largest, null for an empty list. Items without the field do not count.",
        "max_by([#{ n: 2 }, #{ n: 1 }], \"n\")",
        "{\"n\":2}",
        |call| extreme_by(call, Ordering::Greater),
    ),
    function(
        GROUP,
        "index_of(list: list, value: any) -> integer|null",
        "The place of the first such item, counted from 0; null if there is none.",
        "index_of([\"a\", \"b\"], \"b\")",
        "1",
        |call| {
            let wanted = call.value(1);
            for (place, item) in call.list(0)?.iter().enumerate() {
                if ops::same(&item.map_err(fault)?, &wanted).map_err(fault)? {
                    return Ok(i64::try_from(place).unwrap_or(i64::MAX).into());
                }
            }
            Ok(Dynamic::UNIT)
        },
    ),
    function(
        GROUP,
        "union(list: list, other: list) -> list",
        "The items of both lists, each once.",
        "union([1, 2], [2, 3])",
        "[1,2,3]",
        |call| {
            let mut seen = HashSet::new();
            let mut out = Array::new();
            for at in 0..2 {
                for item in call.list(at)?.iter() {
                    let item = item.map_err(fault)?;
                    if seen.insert(key(&item)?) {
                        out.push(item);
                    }
                }
            }
            Ok(Dynamic::from_array(out))
        },
    ),
    function(
        GROUP,
        "intersect(list: list, other: list) -> list",
        "The items that both lists have.",
        "intersect([1, 2, 3], [3, 2])",
        "[2,3]",
        |call| against(call, true),
    ),
    function(
        GROUP,
        "difference(list: list, other: list) -> list",
        "The items that the other list has not.",
        "difference([1, 2, 3], [2])",
        "[1,3]",
        |call| against(call, false),
    ),
    function(
        GROUP,
        "range(from: integer, to: integer, [step: integer]) -> list",
        "The whole numbers from one to another, both included.",
        "range(1, 10, 3)",
        "[1,4,7,10]",
        range,
    ),
];

fn count_of(call: &Call<'_, '_>, at: usize) -> Result<usize, Fault> {
    usize::try_from(call.whole(at)?).map_err(|_| call.bad("takes no number below 0"))
}

/// The items that pass.
fn some(call: &Call<'_, '_>, pass: impl Fn(usize, &Dynamic) -> bool) -> Result<Dynamic, Fault> {
    let mut out = Array::new();
    for (place, item) in call.list(0)?.iter().enumerate() {
        let item = item.map_err(fault)?;
        if pass(place, &item) {
            out.push(item);
        }
    }
    Ok(Dynamic::from_array(out))
}

fn chunk(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let size = count_of(call, 1)?;
    if size == 0 {
        return Err(call.bad("makes lists of 1 item at least"));
    }
    let items: Array = call.list(0)?.iter().collect::<Result<_, _>>().map_err(fault)?;
    Ok(Dynamic::from_array(items.chunks(size).map(|part| Dynamic::from_array(part.to_vec())).collect()))
}

fn flat_map(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let selector = call.selector(1)?;
    let mut out = Array::new();
    for item in call.list(0)?.iter() {
        let made = call.select(&selector, item.map_err(fault)?)?;
        if let Some(items) = List::of(&made) {
            spend(items.len()).map_err(fault)?;
            for item in items.iter() {
                out.push(item.map_err(fault)?);
            }
        } else if !made.is_unit() {
            out.push(made.clone());
        }
        if out.len() > limits::LIST_ITEMS_MAX {
            return Err(too_many());
        }
    }
    Ok(Dynamic::from_array(out))
}

/// The name under which an item goes into a record.
fn name(call: &Call<'_, '_>, made: &Dynamic) -> Result<String, Fault> {
    as_text(made).map(|text| text.to_string()).map_err(|error| {
        let message = format!("`{}` names by text, and for one item {}", call.function.name, error.message);
        fault(EvalError { message, ..error })
    })
}

fn index_by(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let selector = call.selector(1)?;
    let mut out = Map::new();
    for item in call.list(0)?.iter() {
        let item = item.map_err(fault)?;
        let name = name(call, &call.select(&selector, item.clone())?)?;
        out.insert(name, value::json(item, &[]).map_err(fault)?);
    }
    Ok(Dynamic::from(Shared::from(Json::Object(out))))
}

fn count_by(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let selector = call.selector(1)?;
    let mut out: Map<String, Json> = Map::new();
    for item in call.list(0)?.iter() {
        let name = name(call, &call.select(&selector, item.map_err(fault)?)?)?;
        let count = out.get(&name).and_then(Json::as_i64).unwrap_or(0) + 1;
        out.insert(name, count.into());
    }
    Ok(Dynamic::from(Shared::from(Json::Object(out))))
}

fn extreme_by(call: &mut Call<'_, '_>, wanted: Ordering) -> Result<Dynamic, Fault> {
    let selector = call.selector(1)?;
    let mut best: Option<(Dynamic, Dynamic)> = None;
    for item in call.list(0)?.iter() {
        let item = item.map_err(fault)?;
        let key = call.select(&selector, item.clone())?;
        if key.is_unit() {
            continue;
        }
        let better = match &best {
            Some((least, _)) => ops::order(&key, least).map_err(|error| call.named(error))? == wanted,
            None => true,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or(Dynamic::UNIT, |(_, item)| item))
}

/// A text that equal items share.
fn key(item: &Dynamic) -> Result<String, Fault> {
    value::json(item.clone(), &[]).and_then(|item| canonical(&item)).map_err(fault)
}

fn against(call: &mut Call<'_, '_>, both: bool) -> Result<Dynamic, Fault> {
    let mut others = HashSet::new();
    for item in call.list(1)?.iter() {
        others.insert(key(&item.map_err(fault)?)?);
    }
    let mut out = Array::new();
    for item in call.list(0)?.iter() {
        let item = item.map_err(fault)?;
        if others.contains(&key(&item)?) == both {
            out.push(item);
        }
    }
    Ok(Dynamic::from_array(out))
}

fn range(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (from, to) = (call.whole(0)?, call.whole(1)?);
    let step = if call.given(2) { call.whole(2)? } else { 1 };
    if step == 0 {
        return Err(call.bad("gets a step of 0"));
    }
    let mut out = Array::new();
    let mut next = Some(from);
    while let Some(number) = next.filter(|number| if step > 0 { *number <= to } else { *number >= to }) {
        if out.len() >= limits::LIST_ITEMS_MAX {
            return Err(too_many());
        }
        spend(1).map_err(fault)?;
        out.push(Dynamic::from(number));
        next = number.checked_add(step);
    }
    Ok(Dynamic::from_array(out))
}

fn too_many() -> Fault {
    fault(EvalError::new("limit", format!("the list grows beyond {} items", limits::LIST_ITEMS_MAX)))
}
