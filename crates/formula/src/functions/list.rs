//! Lists. Where a function takes a closure it often takes a path as well, which is faster:
//! `pluck(list, "customer.city")`.

use std::cmp::Ordering;

use rhai::{Array, Dynamic};
use serde_json::{Map, Value as Json};

use super::{Call, Line, as_text, function, has_value};
use crate::{
    EvalError, Shared,
    machine::{Fault, fault, spend},
    number::Number,
    ops,
    reference::place,
    time,
    value::{self, Kind},
};

const GROUP: &str = "list";

pub(super) const FUNCTIONS: &[Line] = &[
    function(
        GROUP,
        "map(list: list, closure: closure|text) -> list",
        "What the closure makes of each item.",
        "[1, 2].map(|x| x * 10)",
        "[10,20]",
        map,
    ),
    function(
        GROUP,
        "filter(list: list, closure: closure) -> list",
        "The items for which the closure gives true.",
        "[1, 2, 3].filter(|x| x > 1)",
        "[2,3]",
        filter,
    ),
    function(
        GROUP,
        "find(list: list, closure: closure) -> any",
        "The first item for which the closure gives true, or null.",
        "[1, 2, 3].find(|x| x > 1)",
        "2",
        |call| {
            let closure = call.closure(1)?;
            for item in call.list(0)?.iter() {
                let item = item.map_err(fault)?;
                if call.test(&closure, item.clone())? {
                    return Ok(item);
                }
            }
            Ok(Dynamic::UNIT)
        },
    ),
    function(
        GROUP,
        "any(list: list, closure: closure) -> boolean",
        "Whether the closure gives true for one item at least.",
        "[1, 2].any(|x| x > 1)",
        "true",
        |call| quantify(call, true),
    ),
    function(
        GROUP,
        "all(list: list, closure: closure) -> boolean",
        "Whether the closure gives true for every item.",
        "[1, 2].all(|x| x > 1)",
        "false",
        |call| quantify(call, false),
    ),
    function(
        GROUP,
        "reduce(list: list, start: any, closure: closure) -> any",
        "One value of all items: the closure gets what came so far and the next item.",
        "[1, 2, 3].reduce(1, |so_far, x| so_far * x)",
        "6",
        |call| {
            let closure = call.closure(2)?;
            let mut so_far = call.value(1);
            for item in call.list(0)?.iter() {
                so_far = closure.call_raw(call.context, None, [so_far, item.map_err(fault)?])?;
                value::check_depth(&so_far).map_err(fault)?;
            }
            Ok(so_far)
        },
    ),
    function(
        GROUP,
        "where(list: list, path: text, op: text, value: any) -> list",
        "The items whose field compares: op is ==, !=, <, <=, >, >=, in or contains. A missing field is null, and null has no order. With a date or a date-time, the field may be text that says one.",
        "where([#{ n: 1 }, #{ n: 5 }], \"n\", \">\", 2)",
        "[{\"n\":5}]",
        where_,
    ),
    function(
        GROUP,
        "pluck(list: list, path: text) -> list",
        "One field of each item.",
        "pluck([#{ id: 1 }, #{ id: 2 }], \"id\")",
        "[1,2]",
        |call| {
            let (list, path) = (call.list(0)?, call.path(1)?);
            let fields: Result<Array, _> = (0..list.len()).map(|index| list.follow(index, &path)).collect();
            fields.map(Dynamic::from_array).map_err(fault)
        },
    ),
    function(
        GROUP,
        "sum(list: list, [path: text]) -> number",
        "The sum of the items, or of one field of them.",
        "sum([0.1, 0.2])",
        "0.3",
        |call| Ok(total(call)?.0.into()),
    ),
    function(
        GROUP,
        "average(list: list, [path: text]) -> number|null",
        "The mean of the items, null for an empty list.",
        "average([1, 2])",
        "1.5",
        |call| {
            let (sum, count) = total(call)?;
            if count == 0 {
                return Ok(Dynamic::UNIT);
            }
            sum.divide(Number::Int(count)).map(Into::into).map_err(fault)
        },
    ),
    function(
        GROUP,
        "count(list: list, [closure: closure]) -> integer",
        "How many items there are, or for how many the closure gives true.",
        "count([1, 2, 3], |x| x > 1)",
        "2",
        count,
    ),
    function(GROUP, "first(list: list) -> any", "The first item, null if there is none.", "first([1, 2])", "1", |call| {
        call.list(0)?.get(0).map_err(fault)
    }),
    function(GROUP, "last(list: list) -> any", "The last item, null if there is none.", "last([1, 2])", "2", |call| {
        call.list(0)?.get(-1).map_err(fault)
    }),
    function(
        GROUP,
        "slice(list: list, start: integer, [count: integer]) -> list",
        "A part of the list; a negative start counts from the end.",
        "slice([1, 2, 3], 1)",
        "[2,3]",
        slice,
    ),
    function(
        GROUP,
        "sort(list: list, [order: text]) -> list",
        "The items in rising order, or falling with \"desc\": numbers, texts or dates, but one kind.",
        "sort([2, 1])",
        "[1,2]",
        |call| sorted(call, false),
    ),
    function(
        GROUP,
        "sort_by(list: list, path: text|closure, [order: text]) -> list",
        "The items in rising order of a field, or of what a closure gives; with \"desc\" in falling order.",
        "sort_by([#{ n: 2 }, #{ n: 1 }], \"n\")",
        "[{\"n\":1},{\"n\":2}]",
        |call| sorted(call, true),
    ),
    function(GROUP, "reverse(list: list) -> list", "The items from the last to the first.", "reverse([1, 2])", "[2,1]", |call| {
        let mut items: Array = call.list(0)?.iter().collect::<Result<_, _>>().map_err(fault)?;
        items.reverse();
        Ok(Dynamic::from_array(items))
    }),
    function(
        GROUP,
        "unique(list: list, [path: text|closure]) -> list",
        "The items without those that came before, or whose field did.",
        "unique([1, 2, 1.0])",
        "[1,2]",
        unique,
    ),
    function(
        GROUP,
        "group_by(list: list, path: text|closure) -> record",
        "A record of lists, by the text of a field or of what a closure gives.",
        "group_by([#{ a: \"x\", n: 1 }, #{ a: \"y\", n: 2 }], \"a\").keys()",
        "[\"x\",\"y\"]",
        group_by,
    ),
    function(
        GROUP,
        "flatten(list: list) -> list",
        "The items of the lists in it, one level.",
        "flatten([[1], [2, 3], 4])",
        "[1,2,3,4]",
        flatten,
    ),
];

fn each(call: &Call<'_, '_>, mut make: impl FnMut(Dynamic) -> Result<Dynamic, Fault>) -> Result<Dynamic, Fault> {
    let list = call.list(0)?;
    let mut out = Array::with_capacity(list.len());
    for item in list.iter() {
        out.push(make(item.map_err(fault)?)?);
    }
    Ok(Dynamic::from_array(out))
}

fn map(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let selector = call.selector(1)?;
    each(call, |item| call.select(&selector, item))
}

fn filter(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let closure = call.closure(1)?;
    let mut out = Array::new();
    for item in call.list(0)?.iter() {
        let item = item.map_err(fault)?;
        if call.test(&closure, item.clone())? {
            out.push(item);
        }
    }
    Ok(Dynamic::from_array(out))
}

fn quantify(call: &mut Call<'_, '_>, wanted: bool) -> Result<Dynamic, Fault> {
    let closure = call.closure(1)?;
    for item in call.list(0)?.iter() {
        if call.test(&closure, item.map_err(fault)?)? == wanted {
            return Ok(wanted.into());
        }
    }
    Ok((!wanted).into())
}

fn where_(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (path, op, wanted) = (call.path(1)?, call.text(2)?, call.value(3));
    let mut out = Array::new();
    let list = call.list(0)?;
    for index in 0..list.len() {
        let field = time::alike(list.follow(index, &path).map_err(fault)?, &wanted);
        let ordered = |test: fn(Ordering) -> bool| {
            if Kind::of(&field) == Kind::Null { Ok(false) } else { ops::order(&field, &wanted).map(test) }
        };
        let fits = match op.as_str() {
            "==" => ops::equal(&field, &wanted),
            "!=" => ops::equal(&field, &wanted).map(|equal| !equal),
            "<" => ordered(Ordering::is_lt),
            "<=" => ordered(Ordering::is_le),
            ">" => ordered(Ordering::is_gt),
            ">=" => ordered(Ordering::is_ge),
            "in" => has_value(&wanted, &field),
            "contains" if Kind::of(&field) == Kind::Null => Ok(false),
            "contains" => has_value(&field, &wanted),
            _ => return Err(call.bad("compares with ==, !=, <, <=, >, >=, in or contains")),
        };
        let fits = fits.map_err(|error| {
            let message = error.message.replacen("this ", &format!("the field \"{}\" ", call.text(1).unwrap_or_default()), 1);
            fault(EvalError { message, ..error })
        })?;
        if fits {
            out.push(list.follow(index, &[]).map_err(fault)?);
        }
    }
    Ok(Dynamic::from_array(out))
}

fn total(call: &Call<'_, '_>) -> Result<(Number, i64), Fault> {
    let path = if call.args.len() > 1 { call.path(1)? } else { Vec::new() };
    let mut sum = Number::Int(0);
    let mut count = 0;
    let list = call.list(0)?;
    for index in 0..list.len() {
        let item = list.follow(index, &path).map_err(fault)?;
        let number = Number::of(&item).ok_or_else(|| {
            let kind = Kind::of(&item);
            let error = EvalError::new(
                if kind == Kind::Null { "null_value" } else { "type_mismatch" },
                format!("`{}` adds numbers, and item {} is {}", call.function.name, count + 1, kind.name()),
            );
            fault(match kind {
                Kind::Text => error.with_hint("Turn the texts into numbers first: sum(list.map(|x| to_number(x.price)))"),
                _ => error.with_hint("Leave such items out first: sum(list.filter(|x| x.price != null), \"price\")"),
            })
        })?;
        sum = sum.add(number).map_err(fault)?;
        count += 1;
    }
    Ok((sum, count))
}

fn count(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let mut count = call.list(0)?.len();
    if call.args.len() > 1 {
        let closure = call.closure(1)?;
        count = 0;
        for item in call.list(0)?.iter() {
            count += usize::from(call.test(&closure, item.map_err(fault)?)?);
        }
    }
    Ok(i64::try_from(count).unwrap_or(i64::MAX).into())
}

fn slice(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (list, start) = (call.list(0)?, call.whole(1)?);
    let count = if call.args.len() > 2 { usize::try_from(call.whole(2)?).unwrap_or(0) } else { usize::MAX };
    let start = place(list.len(), start).unwrap_or(if start < 0 { 0 } else { list.len() });
    let items: Result<Array, _> = list.iter().skip(start).take(count).collect();
    Ok(Dynamic::from_array(items.map_err(fault)?))
}

fn sorted(call: &mut Call<'_, '_>, by: bool) -> Result<Dynamic, Fault> {
    let selector = if by { Some(call.selector(1)?) } else { None };
    let at = if by { 2 } else { 1 };
    let falls = match if call.given(at) { call.text(at)? } else { "asc".into() }.as_str() {
        "asc" => false,
        "desc" => true,
        _ => return Err(call.bad("sorts \"asc\" or \"desc\"")),
    };
    let mut items = Vec::new();
    for item in call.list(0)?.iter() {
        let item = item.map_err(fault)?;
        let key = match &selector {
            Some(selector) => call.select(selector, item.clone())?,
            None => item.clone(),
        };
        items.push((key, item));
    }
    let mut failed = None;
    // A comparison that cannot be made counts as equal: the sort ends, and its result is not used.
    items.sort_by(|(a, _), (b, _)| {
        let order = ops::order(a, b).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            Ordering::Equal
        });
        if falls { order.reverse() } else { order }
    });
    match failed {
        Some(error) => Err(call.named(error)),
        None => Ok(Dynamic::from_array(items.into_iter().map(|(_, item)| item).collect())),
    }
}

fn unique(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let selector = if call.args.len() > 1 { Some(call.selector(1)?) } else { None };
    let mut seen = std::collections::HashSet::new();
    let mut out = Array::new();
    for item in call.list(0)?.iter() {
        let item = item.map_err(fault)?;
        let key = match &selector {
            Some(selector) => call.select(selector, item.clone())?,
            None => item.clone(),
        };
        // Equal values have one JSON text: numbers have one form, and records are sorted for it.
        let key = value::json(key, &[]).map_err(fault)?;
        if seen.insert(canonical(&key).map_err(fault)?) {
            out.push(item);
        }
    }
    Ok(Dynamic::from_array(out))
}

/// One text for all values that are equal.
pub(super) fn canonical(value: &Json) -> Result<String, EvalError> {
    Ok(match value {
        Json::Number(number) => Number::from_json(number)?.to_string(),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect::<Result<_, _>>()?;
            format!("[{}]", items.join(","))
        }
        Json::Object(fields) => {
            let mut fields: Vec<_> = fields
                .iter()
                .map(|(key, value)| Ok(format!("{}:{}", Json::from(key.as_str()), canonical(value)?)))
                .collect::<Result<_, EvalError>>()?;
            fields.sort();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    })
}

fn group_by(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let selector = call.selector(1)?;
    let mut groups: Map<String, Json> = Map::new();
    for item in call.list(0)?.iter() {
        let item = item.map_err(fault)?;
        let key = as_text(&call.select(&selector, item.clone())?).map_err(|error| {
            let message = format!("`group_by` groups by text, and for one item {}", error.message);
            fault(EvalError { message, ..error })
        })?;
        let item = value::json(item, &[]).map_err(fault)?;
        if let Json::Array(group) = groups.entry(key.as_str()).or_insert_with(|| Json::Array(Vec::new())) {
            group.push(item);
        }
    }
    Ok(Dynamic::from(Shared::from(Json::Object(groups))))
}

fn flatten(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let mut out = Array::new();
    for item in call.list(0)?.iter() {
        let item = item.map_err(fault)?;
        if let Some(inner) = value::List::of(&item) {
            spend(inner.len()).map_err(fault)?;
            for item in inner.iter() {
                out.push(item.map_err(fault)?);
            }
            continue;
        }
        out.push(item);
    }
    Ok(Dynamic::from_array(out))
}
