//! What functions give when more is known than their signature says: the items of the list they
//! get, the field a path leads to, what a closure makes of it.

use std::sync::Arc;

use super::{Inference, calls::Value};
use crate::{
    reference::parse_dotted,
    types::{
        Kind,
        shape::{BOOLEAN, Fields, LIST, NULL, NUMBER, RECORD, TEXT, Type, WHOLE},
        tree::{self, Call},
    },
};

impl<'a> Inference<'a> {
    /// What a call gives, if more can be said than its signature says. Infers the closures among
    /// the values in any case.
    pub(super) fn shaped(&mut self, call: &Call<'a>, values: &[Value<'_, 'a>]) -> Option<Type> {
        let first = values.first().map_or_else(Type::any, |value| value.found.clone());
        let item = if first.kinds & LIST == 0 { Type::any() } else { first.items() };
        let second = values.get(1);
        match call.name {
            "map" => Some(Type::list(self.selected(second?, &item))),
            "filter" | "find" | "any" | "all" => {
                self.test(call.name, second?, &item);
                match call.name {
                    "filter" => Some(Type::list(item)),
                    "find" => Some(item.or_null()),
                    _ => None,
                }
            }
            "count" => {
                if let Some(second) = second {
                    self.test(call.name, second, &item);
                }
                None
            }
            "sort_by" | "unique" | "group_by" => {
                if let Some(second) = second {
                    self.selected(second, &item);
                }
                let list = Type::list(item);
                Some(if call.name == "group_by" { Type::record_of(list) } else { list })
            }
            "where" | "slice" | "sort" | "reverse" => Some(Type::list(item)),
            "first" | "last" => Some(item.or_null()),
            "pluck" => Some(Type::list(self.selected(second?, &item))),
            "flatten" => Some(Type::list(item.only(!LIST).or(&item.items()))),
            "reduce" => self.reduced(values, &item),
            "sum" | "average" => self.total(call.name, values, &item),
            "min" | "max" => Some(extreme(values)),
            "split" => Some(Type::list(Type::of(TEXT))),
            "keys" => Some(Type::list(Type::of(TEXT))),
            "values" => Some(Type::list(first.only(RECORD).part())),
            "entries" => {
                let entry = [("key", Type::of(TEXT)), ("value", first.only(RECORD).part())];
                Some(Type::list(Type::record(entry, Type::of(NULL))))
            }
            "pick" | "omit" => chosen(&first, second?, call.name == "pick"),
            "merge" => merged(values),
            "get" => {
                let found = first.at(&parse_dotted(second?.literal()?)?);
                let other = values.get(2).map_or(Type::of(NULL), |other| other.found.clone());
                Some(if found.may_be(Kind::Null) { found.without_null().or(&other) } else { found })
            }
            "default" => Some(first.without_null().or(&second?.found)),
            _ => {
                self.closures(values);
                None
            }
        }
    }

    fn closures(&mut self, values: &[Value<'_, 'a>]) {
        for (params, body) in values.iter().filter_map(Value::closure) {
            self.closure(params, &[], body);
        }
    }

    /// What a path or a closure makes of an item.
    fn selected(&mut self, selector: &Value<'_, 'a>, item: &Type) -> Type {
        if let Some((params, body)) = selector.closure() {
            return self.closure(params, std::slice::from_ref(item), body);
        }
        match selector.literal().and_then(parse_dotted) {
            Some(path) => item.at(&path),
            None => Type::any(),
        }
    }

    /// A closure that answers yes or no.
    fn test(&mut self, name: &str, closure: &Value<'_, 'a>, item: &Type) {
        let Some((params, body)) = closure.closure() else { return };
        let found = self.closure(params, std::slice::from_ref(item), body);
        if found.kinds & BOOLEAN == 0 && found.kinds != 0 {
            let message = format!("the closure of `{name}` gives {}, and needs to give true or false", found.describe());
            let example = crate::functions::find(name).map(|function| format!("For example: {}", function.example));
            self.perhaps(|this| this.problem(body.range.clone(), message, example.as_deref()));
        }
    }

    fn reduced(&mut self, values: &[Value<'_, 'a>], item: &Type) -> Option<Type> {
        let [_, start, closure] = values else { return None };
        let (params, body) = closure.closure()?;
        let turn = self.closure(params, &[Type::any(), item.clone()], body);
        Some(start.found.or(&turn))
    }

    fn total(&mut self, name: &str, values: &[Value<'_, 'a>], item: &Type) -> Option<Type> {
        let part = match values.get(1) {
            Some(path) => self.selected(path, item),
            None => item.clone(),
        };
        if part.kinds & NUMBER == 0 && part.kinds != 0 {
            let message = format!("`{name}` adds numbers, and here an item is {}", part.describe());
            let hint = if part.may_be(Kind::Text) {
                "Turn the texts into numbers first: sum(list.map(|x| to_number(x.price)))"
            } else {
                "Name the field that holds the number: sum(list, \"price\")"
            };
            let range = values.last()?.range.clone();
            self.perhaps(|this| this.problem(range, message, Some(hint)));
        }
        (name == "sum" && part.kinds & NUMBER == WHOLE).then(|| Type::of(WHOLE))
    }
}

/// The smallest or largest of a list, or of the values.
fn extreme(values: &[Value<'_, '_>]) -> Type {
    match values {
        [one] => {
            let items = if one.found.may_be(Kind::List) { one.found.items().or_null() } else { Type::never() };
            one.found.only(!LIST).or(&items)
        }
        _ => values.iter().fold(Type::never(), |all, value| all.or(&value.found)),
    }
}

/// `pick` and `omit`.
fn chosen(record: &Type, names: &Value<'_, '_>, keep: bool) -> Option<Type> {
    let names: Vec<&str> = match (&names.node?.kind, names.literal()) {
        (_, Some(name)) => vec![name],
        (tree::Kind::List(names), None) => names
            .iter()
            .map(|name| match name.kind {
                tree::Kind::Text(name) => Some(name),
                _ => None,
            })
            .collect::<Option<_>>()?,
        _ => return None,
    };
    let record = record.only(RECORD);
    if keep {
        return Some(Type::record(names.into_iter().map(|name| (name, record.field(name))), Type::of(NULL)));
    }
    let fields = record.fields()?;
    let left = fields.known.iter().filter(|(name, _)| !names.contains(&&**name)).cloned();
    let gone = names.iter().map(|name| (Arc::from(*name), Type::of(NULL)));
    Some(Type::record(left.chain(gone), fields.rest.clone()))
}

/// `merge`: what comes later wins.
fn merged(values: &[Value<'_, '_>]) -> Option<Type> {
    let mut known: Vec<(Arc<str>, Type)> = Vec::new();
    let mut rest = Type::of(NULL);
    for value in values {
        let may_lack = value.found.may_be(Kind::Null);
        let record = value.found.only(RECORD);
        let Fields { known: more, rest: others } = record.fields()?;
        let over = |new: &Type, old: &Type| if new.may_be(Kind::Null) || may_lack { new.or(old) } else { new.clone() };
        for (name, old) in &mut known {
            match more.iter().find(|(other, _)| other == name) {
                Some((_, new)) => *old = over(new, old),
                None => *old = others.without_null().or(old),
            }
        }
        for (name, new) in more {
            if !known.iter().any(|(other, _)| other == name) {
                known.push((name.clone(), over(new, &rest)));
            }
        }
        rest = over(others, &rest);
    }
    Some(Type::record(known, rest))
}
