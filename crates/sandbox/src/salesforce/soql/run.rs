//! Finds the rows of a query, sorts and groups them.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use super::{
    Look,
    bind::{Bound, Column, Operand, Order},
    compare::order,
    filter::{Check, Subject, aggregated, value},
};
use crate::salesforce::{
    errors::{Outcome, Trouble},
    org::{Org, Row},
    schema::{Kind, place},
    value::Value,
};

/// Groups an aggregate query may give.
const GROUPS_MAX: usize = 2_000;

/// What a query found.
#[derive(Debug, Default)]
pub(in super::super) struct Found {
    /// The records; none when the query is grouped.
    pub rows: Vec<Arc<Row>>,
    /// The groups: each a list of named values.
    pub groups: Vec<Vec<(String, Value, Kind)>>,
    /// How many there are.
    pub total: usize,
}

pub(super) fn run(org: &Org, bound: &Bound, look: &Look) -> Outcome<Found> {
    let check = bound.filter.as_ref().map(|cond| Check::new(org, cond, look)).transpose()?;
    let most = bound.limit.unwrap_or(usize::MAX).saturating_add(bound.offset);
    let in_order = bound.group.is_empty() && natural(bound);
    let aggregated = bound.aggregated() && !bound.only_count;
    let wanted = if in_order && !aggregated { most } else { usize::MAX };
    let mut rows = candidates(org, bound, check.as_ref(), look, wanted, in_order);
    if bound.only_count {
        return Ok(Found { total: rows.len().min(most), ..Found::default() });
    }
    if aggregated {
        return groups(org, bound, rows, look);
    }
    if !in_order {
        sort(org, &mut rows, &bound.order);
    }
    let rows: Vec<Arc<Row>> = rows.into_iter().skip(bound.offset).take(bound.limit.unwrap_or(usize::MAX)).collect();
    Ok(Found { total: rows.len(), rows, groups: Vec::new() })
}

/// Rows of one parent's list of children.
pub(super) fn children(org: &Org, bound: &Bound, field: usize, parent: &Row, look: &Look) -> Outcome<Vec<Arc<Row>>> {
    let check = bound.filter.as_ref().map(|cond| Check::new(org, cond, look)).transpose()?;
    let table = &org.tables[bound.object];
    let mut rows: Vec<Arc<Row>> = table
        .with_key(field, parent.id())
        .iter()
        .filter_map(|serial| table.row(*serial))
        .filter(|row| look.sees(row) && check.as_ref().is_none_or(|check| check.holds(org, &Subject::Row(row))))
        .cloned()
        .collect();
    sort(org, &mut rows, &bound.order);
    Ok(rows.into_iter().skip(bound.offset).take(bound.limit.unwrap_or(usize::MAX)).collect())
}

fn plain(order: &Order, field: usize) -> bool {
    !order.descending
        && matches!(&order.operand, Operand::Field(path) if path.hops.is_empty() && path.field == field && path.function.is_none())
}

/// True when rows come in the wanted order by themselves: no order, by id, or by stamp and id.
fn natural(bound: &Bound) -> bool {
    match &bound.order[..] {
        [] => true,
        [one] => plain(one, place::ID) || plain(one, place::STAMP),
        [first, second] => plain(first, place::STAMP) && plain(second, place::ID),
        _ => false,
    }
}

fn candidates(org: &Org, bound: &Bound, check: Option<&Check>, look: &Look, wanted: usize, in_order: bool) -> Vec<Arc<Row>> {
    let table = &org.tables[bound.object];
    let fits = |row: &&Arc<Row>| look.sees(row) && check.is_none_or(|check| check.holds(org, &Subject::Row(row)));
    let by_stamp = bound.order.first().is_some_and(|first| plain(first, place::STAMP));
    let keyed = check.and_then(Check::keys).and_then(|(field, values)| by_keys(org, bound.object, field, &values));
    if let Some(mut serials) = keyed {
        serials.sort_unstable();
        serials.dedup();
        let mut rows: Vec<Arc<Row>> = serials.into_iter().filter_map(|serial| table.row(serial)).filter(fits).cloned().collect();
        if by_stamp && in_order {
            rows.sort_by_key(|row| (row.stamp_ms(), row.serial));
        }
        return rows;
    }
    let (from_ms, to_ms) = check.map_or((i64::MIN, i64::MAX), Check::stamps);
    if from_ms > to_ms {
        return Vec::new();
    }
    if by_stamp && in_order {
        return table.stamped(from_ms, to_ms).filter_map(|serial| table.row(serial)).filter(fits).take(wanted).cloned().collect();
    }
    if from_ms > i64::MIN {
        let mut serials: Vec<u64> = table.stamped(from_ms, to_ms).collect();
        serials.sort_unstable();
        return serials.into_iter().filter_map(|serial| table.row(serial)).filter(fits).take(wanted).cloned().collect();
    }
    let first = check.map_or(0, |check| check.first(&org.schema.objects[bound.object].prefix));
    table.from(first).filter(fits).take(wanted).cloned().collect()
}

/// Numbers of records an index finds; `None` when the field has none.
fn by_keys(org: &Org, object: usize, field: usize, values: &[Value]) -> Option<Vec<u64>> {
    let table = &org.tables[object];
    if field == place::ID {
        return Some(values.iter().filter_map(|id| org.by_id(object, id.text()?)).map(|row| row.serial).collect());
    }
    org.schema.objects[object].fields[field].indexed().then(|| {
        let keys = values.iter().filter_map(|value| org.key(object, field, value));
        keys.flat_map(|key| table.with_key(field, &key).to_vec()).collect()
    })
}

fn sort(org: &Org, rows: &mut Vec<Arc<Row>>, by: &[Order]) {
    if by.is_empty() {
        return;
    }
    let mut keyed: Vec<(Vec<Value>, Arc<Row>)> = std::mem::take(rows)
        .into_iter()
        .map(|row| {
            let keys = by.iter().map(|order| match &order.operand {
                Operand::Field(path) => value(org, &row, path).into_owned(),
                Operand::Aggregate(..) => Value::Null,
            });
            (keys.collect(), row)
        })
        .collect();
    keyed.sort_by(|(left, one), (right, other)| compared(left, right, by).then(one.serial.cmp(&other.serial)));
    *rows = keyed.into_iter().map(|(_, row)| row).collect();
}

fn compared(left: &[Value], right: &[Value], by: &[Order]) -> Ordering {
    for ((left, right), by) in left.iter().zip(right).zip(by) {
        let found = match (left.is_null(), right.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => {
                if by.nulls_last {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (false, true) => {
                if by.nulls_last {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            _ if by.descending => order(right, left),
            _ => order(left, right),
        };
        if found.is_ne() {
            return found;
        }
    }
    Ordering::Equal
}

fn groups(org: &Org, bound: &Bound, rows: Vec<Arc<Row>>, look: &Look) -> Outcome<Found> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<(Vec<Value>, Vec<Arc<Row>>)> = Vec::new();
    if bound.group.is_empty() {
        groups.push((Vec::new(), rows));
    } else {
        for row in rows {
            let keys: Vec<Value> = bound.group.iter().map(|path| value(org, &row, path).into_owned()).collect();
            let name = format!("{keys:?}").to_lowercase();
            let place = *places.entry(name).or_insert_with(|| {
                groups.push((keys, Vec::new()));
                groups.len() - 1
            });
            groups[place].1.push(row);
        }
    }
    let having = bound.having.as_ref().map(|cond| Check::new(org, cond, look)).transpose()?;
    groups.retain(|(_, rows)| having.as_ref().is_none_or(|check| check.holds(org, &Subject::Group(rows))));
    // Without an order groups come sorted by what they are grouped by.
    groups.sort_by(|(left, one), (right, other)| {
        let keys = |rows: &[Arc<Row>]| -> Vec<Value> {
            bound
                .order
                .iter()
                .map(|by| match &by.operand {
                    Operand::Field(path) => rows.first().map_or(Value::Null, |row| value(org, row, path).into_owned()),
                    Operand::Aggregate(aggregate, path) => aggregated(org, rows, *aggregate, path.as_ref()),
                })
                .collect()
        };
        compared(&keys(one), &keys(other), &bound.order).then_with(|| {
            left.iter().zip(right).map(|(left, right)| order(left, right)).find(|found| found.is_ne()).unwrap_or(Ordering::Equal)
        })
    });
    let groups: Vec<_> = groups.into_iter().skip(bound.offset).take(bound.limit.unwrap_or(usize::MAX)).collect();
    if groups.len() > GROUPS_MAX {
        return Err(Trouble::bad(
            "EXCEEDED_MAX_SIZE_REQUEST",
            "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch",
        ));
    }
    let shown: Vec<_> = groups.into_iter().map(|(keys, rows)| group_row(org, bound, &keys, &rows)).collect();
    Ok(Found { total: shown.len(), rows: Vec::new(), groups: shown })
}

fn group_row(org: &Org, bound: &Bound, keys: &[Value], rows: &[Arc<Row>]) -> Vec<(String, Value, Kind)> {
    bound
        .columns
        .iter()
        .filter_map(|column| match column {
            Column::Group(place, name) => {
                let path = &bound.group[*place];
                let kind = if path.function.is_some() { Kind::Int } else { path.kind };
                Some((name.clone(), keys[*place].clone(), kind))
            }
            Column::Aggregate(aggregate, path, name) => {
                let kind = match aggregate {
                    super::bind::Aggregate::Count | super::bind::Aggregate::CountDistinct => Kind::Int,
                    _ => path.as_ref().map_or(Kind::Int, |path| path.kind),
                };
                Some((name.clone(), aggregated(org, rows, *aggregate, path.as_ref()), kind))
            }
            _ => None,
        })
        .collect()
}
