//! Conditions made ready and put to records.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Look,
    bind::{Aggregate, Column, Cond, Operand, Path},
    compare::{Piece, Ready, applied, like, order, pattern},
    run,
};
use crate::salesforce::{
    errors::Outcome,
    ids,
    org::{Org, Row},
    schema::place,
    value::Value,
};

/// A value at the end of a path from a record.
pub(super) fn value<'a>(org: &'a Org, row: &'a Row, path: &Path) -> Cow<'a, Value> {
    const NOTHING: &Value = &Value::Null;
    let mut at = (path.object, row);
    for (reference, _) in &path.hops {
        match at.1.get(*reference).text().and_then(|id| org.find(id)) {
            Some((object, parent)) => at = (object, parent),
            None => return Cow::Borrowed(NOTHING),
        }
    }
    let found =
        if path.several && !path.hops.is_empty() { by_name(org, at, &path.name) } else { Cow::Borrowed(at.1.get(path.field)) };
    if path.function.is_some() { Cow::Owned(applied(&found, path.function)) } else { found }
}

/// A field of a parent that may be of several kinds.
fn by_name<'a>(org: &'a Org, (object, row): (usize, &'a Row), name: &str) -> Cow<'a, Value> {
    let described = &org.schema.objects[object];
    if name == "Type" {
        return Cow::Owned(Value::Text(described.name.as_str().into()));
    }
    let place = if name == "Name" { described.name_place() } else { described.place(name) };
    place.map_or(Cow::Owned(Value::Null), |place| Cow::Borrowed(row.get(place)))
}

/// A condition ready for many records.
pub(super) enum Check {
    And(Vec<Check>),
    Or(Vec<Check>),
    Not(Box<Check>),
    Compare(Path, &'static str, Ready),
    Group(Aggregate, Option<Path>, &'static str, Ready),
    Like(Path, Vec<Piece>),
    In(Path, Vec<Ready>, bool),
    Set(Path, HashSet<Arc<str>>, bool),
    Includes(Path, Vec<Vec<String>>, bool),
}

/// What a condition is put to: one record, or the records of a group.
pub(super) enum Subject<'a> {
    Row(&'a Row),
    Group(&'a [Arc<Row>]),
}

impl Check {
    pub(super) fn new(org: &Org, cond: &Cond, look: &Look) -> Outcome<Self> {
        let all = |list: &[Cond]| list.iter().map(|cond| Self::new(org, cond, look)).collect::<Outcome<Vec<_>>>();
        let exact = |path: &Path| org.schema.objects[path.object].fields[path.field].case_sensitive;
        Ok(match cond {
            Cond::And(list) => Self::And(all(list)?),
            Cond::Or(list) => Self::Or(all(list)?),
            Cond::Not(inner) => Self::Not(Box::new(Self::new(org, inner, look)?)),
            Cond::Compare(Operand::Field(path), sign, literal) => {
                Self::Compare(path.clone(), sign, Ready::new(literal, Some(path), exact(path), look.now_ms))
            }
            Cond::Compare(Operand::Aggregate(aggregate, path), sign, literal) => {
                Self::Group(*aggregate, path.clone(), sign, Ready::new(literal, path.as_ref(), false, look.now_ms))
            }
            Cond::Like(path, text) => Self::Like(path.clone(), pattern(text)),
            Cond::In(path, values, not) => {
                let ready: Vec<Ready> =
                    values.iter().map(|value| Ready::new(value, Some(path), exact(path), look.now_ms)).collect();
                match texts(&ready) {
                    Some(set) => Self::Set(path.clone(), set, *not),
                    None => Self::In(path.clone(), ready, *not),
                }
            }
            Cond::InQuery(path, bound, not) => {
                let found = run::run(org, bound, look)?;
                let Some(Column::Field(inner)) = bound.columns.first() else { return Ok(Self::Or(Vec::new())) };
                let set = found.rows.iter().filter_map(|row| value(org, row, inner).text().map(folded)).collect();
                Self::Set(path.clone(), set, *not)
            }
            Cond::Includes(path, values, excludes) => {
                let wanted = values.iter().map(|value| value.split(';').map(str::to_lowercase).collect()).collect();
                Self::Includes(path.clone(), wanted, *excludes)
            }
        })
    }

    pub(super) fn holds(&self, org: &Org, subject: &Subject<'_>) -> bool {
        let first = match subject {
            Subject::Row(row) => Some(*row),
            Subject::Group(rows) => rows.first().map(|row| &**row),
        };
        let of = |path: &Path| first.map_or(Value::Null, |row| value(org, row, path).into_owned());
        match self {
            Self::And(list) => list.iter().all(|check| check.holds(org, subject)),
            Self::Or(list) => list.iter().any(|check| check.holds(org, subject)),
            Self::Not(inner) => !inner.holds(org, subject),
            Self::Compare(path, sign, ready) => first.is_some_and(|row| ready.holds(&value(org, row, path), sign)),
            Self::Group(aggregate, path, sign, ready) => match subject {
                Subject::Group(rows) => ready.holds(&aggregated(org, rows, *aggregate, path.as_ref()), sign),
                Subject::Row(_) => false,
            },
            Self::Like(path, pieces) => of(path).text().is_some_and(|text| like(text, pieces)),
            Self::In(path, values, not) => {
                let value = of(path);
                values.iter().any(|ready| ready.holds(&value, "=")) != *not
            }
            Self::Set(path, set, not) => of(path).text().is_some_and(|text| set.contains(&folded(text))) != *not,
            Self::Includes(path, wanted, excludes) => {
                let held: HashSet<String> =
                    of(path).text().map(|text| text.split(';').map(str::to_lowercase).collect()).unwrap_or_default();
                wanted.iter().any(|all| all.iter().all(|one| held.contains(one))) != *excludes
            }
        }
    }

    /// The span of `SystemModstamp` outside of which the condition cannot hold, in milliseconds.
    pub(super) fn stamps(&self) -> (i64, i64) {
        const ALL: (i64, i64) = (i64::MIN, i64::MAX);
        match self {
            Self::And(list) => list.iter().map(Self::stamps).fold(ALL, |all, one| (all.0.max(one.0), all.1.min(one.1))),
            Self::Or(list) if !list.is_empty() => {
                list.iter().map(Self::stamps).fold((i64::MAX, i64::MIN), |all, one| (all.0.min(one.0), all.1.max(one.1)))
            }
            Self::Compare(path, sign, Ready::Value(Value::Moment(ms), _))
                if path.hops.is_empty() && path.field == place::STAMP && path.function.is_none() =>
            {
                match *sign {
                    "=" => (*ms, *ms),
                    "<" | "<=" => (i64::MIN, *ms),
                    ">" | ">=" => (*ms, i64::MAX),
                    _ => ALL,
                }
            }
            _ => ALL,
        }
    }

    /// The number of a record before which the condition cannot hold, for an object whose ids begin with `prefix`.
    pub(super) fn first(&self, prefix: &str) -> u64 {
        match self {
            Self::And(list) => list.iter().map(|check| check.first(prefix)).max().unwrap_or(0),
            Self::Compare(path, ">" | ">=", Ready::Value(Value::Text(id), _))
                if path.hops.is_empty() && path.field == place::ID =>
            {
                // Ids of one object sort as their numbers do.
                ids::read(id).filter(|(of, serial)| of == prefix && *serial != u64::MAX).map_or(0, |(_, serial)| serial)
            }
            _ => 0,
        }
    }

    /// Values one of which an indexed field of the record must have.
    pub(super) fn keys(&self) -> Option<(usize, Vec<Value>)> {
        match self {
            Self::And(list) => list.iter().find_map(Self::keys),
            Self::Compare(path, "=", Ready::Value(value @ Value::Text(_), _)) if path.hops.is_empty() => {
                Some((path.field, vec![value.clone()]))
            }
            Self::Set(path, set, false) if path.hops.is_empty() => {
                let mut keys: Vec<&Arc<str>> = set.iter().collect();
                keys.sort_unstable();
                Some((path.field, keys.into_iter().map(|key| Value::Text(key.clone())).collect()))
            }
            _ => None,
        }
    }
}

/// Texts as a set of them is searched: ids as they are, others in small letters.
fn folded(text: &str) -> Arc<str> {
    if text.len() == 18 && ids::read(text).is_some() { text.into() } else { text.to_lowercase().into() }
}

fn texts(values: &[Ready]) -> Option<HashSet<Arc<str>>> {
    values
        .iter()
        .map(|value| match value {
            Ready::Value(Value::Text(text), false) => Some(folded(text)),
            _ => None,
        })
        .collect()
}

/// What an aggregate makes of the records of a group.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn aggregated(org: &Org, rows: &[Arc<Row>], aggregate: Aggregate, path: Option<&Path>) -> Value {
    let Some(path) = path else { return Value::Number(rows.len() as f64) };
    let values = || rows.iter().map(|row| value(org, row, path)).filter(|value| !value.is_null());
    let numbers = || {
        values().filter_map(|value| match *value {
            Value::Number(number) => Some(number),
            _ => None,
        })
    };
    match aggregate {
        Aggregate::Count => Value::Number(values().count() as f64),
        Aggregate::CountDistinct => {
            let mut seen: HashMap<String, ()> = HashMap::new();
            values().for_each(|value| {
                seen.insert(value.cell(path.kind).to_lowercase(), ());
            });
            Value::Number(seen.len() as f64)
        }
        Aggregate::Sum => numbers().reduce(|sum, number| sum + number).map_or(Value::Null, Value::Number),
        Aggregate::Average => match numbers().count() {
            0 => Value::Null,
            count => Value::Number(numbers().sum::<f64>() / count as f64),
        },
        Aggregate::Least => values().min_by(|left, right| order(left, right)).map_or(Value::Null, Cow::into_owned),
        Aggregate::Most => values().max_by(|left, right| order(left, right)).map_or(Value::Null, Cow::into_owned),
    }
}
