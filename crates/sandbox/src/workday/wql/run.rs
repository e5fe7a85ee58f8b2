//! A query over the rows of its source.

use std::{cmp::Ordering, collections::BTreeMap};

use serde_json::{Map, Value as Json, json};

use super::parse::{Condition, Item, Query, Test};
use crate::workday::{
    sources::{Field, Row, Source, When, cell, fields_of, follow, rows},
    state::State,
};

/// A row of the answer: one of the source, or a group of them.
pub(super) type Group = Vec<Row>;

/// The first name that is no field of the source.
pub(super) fn unknown_field(source: &Source, query: &Query) -> Option<String> {
    let known = |fields: &[Field], name: &str| fields.iter().any(|field| field.alias == name);
    for item in query.items.iter().filter(|item| item.field != "*") {
        let Some(field) = source.fields.iter().find(|field| field.alias == item.field) else { return Some(item.field.clone()) };
        if let Some(bad) = item.inner.iter().find(|inner| !known(fields_of(field.object), &inner.field)) {
            return Some(bad.field.clone());
        }
    }
    let aliases: Vec<String> = query.items.iter().map(Item::name).collect();
    let mut named: Vec<&str> = Vec::new();
    if let Some(condition) = &query.condition {
        names(condition, &mut named);
    }
    named.extend(query.group.iter().map(String::as_str));
    let ordered = query.order.iter().map(|(name, _)| name.as_str()).filter(|name| !aliases.iter().any(|alias| alias == name));
    named.into_iter().chain(ordered).find(|name| !known(source.fields, name)).map(str::to_owned)
}

/// What stands outside of groups although it must not.
pub(super) fn misgrouped(query: &Query) -> Option<String> {
    let grouped = !query.group.is_empty() || query.items.iter().any(|item| item.function.is_some());
    let bad = query.items.iter().find(|item| grouped && item.function.is_none() && !query.group.contains(&item.field));
    bad.map(|item| format!("Invalid WQL query: {} must be in the GROUP BY clause or in a function", item.field))
}

/// All fields a query reads.
pub(super) fn fields(query: &Query) -> Vec<&str> {
    let mut all: Vec<&str> =
        query.items.iter().flat_map(|item| item.inner.iter().chain([item])).map(|item| item.field.as_str()).collect();
    if let Some(condition) = &query.condition {
        names(condition, &mut all);
    }
    all.extend(query.order.iter().map(|(name, _)| name.as_str()));
    all
}

fn names<'q>(condition: &'q Condition, all: &mut Vec<&'q str>) {
    match condition {
        Condition::And(list) | Condition::Or(list) => list.iter().for_each(|inner| names(inner, all)),
        Condition::Not(inner) => names(inner, all),
        Condition::Compare(field, ..) | Condition::In(field, _) | Condition::Empty(field) => all.push(field),
    }
}

/// How many rows there are, and a page of them.
pub(super) fn page(
    state: &State,
    source: &Source,
    query: &Query,
    when: When,
    offset: usize,
    limit: usize,
) -> (usize, Vec<Group>) {
    let simple = query.condition.is_none() && query.group.is_empty() && query.order.is_empty() && !query.distinct;
    if simple && query.items.iter().all(|item| item.function.is_none()) {
        let most = query.limit.unwrap_or(usize::MAX);
        let all = || rows(state, source, query.parameter("dataSourceFilter"), when).take(most);
        return (all().count(), all().skip(offset).take(limit).map(|row| vec![row]).collect());
    }
    let all = run(state, source, query, when);
    let start = offset.min(all.len());
    (all.len(), all[start..start.saturating_add(limit).min(all.len())].to_vec())
}

/// The rows of the answer in order, before the page is cut out.
fn run(state: &State, source: &Source, query: &Query, when: When) -> Vec<Group> {
    let fits = |row: &Row| query.condition.as_ref().is_none_or(|condition| holds(state, row, condition, when));
    let found = rows(state, source, query.parameter("dataSourceFilter"), when).filter(fits);
    let grouped = !query.group.is_empty() || query.items.iter().any(|item| item.function.is_some());
    let mut all: Vec<Group> = if grouped {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for row in found {
            let key: Vec<Json> = query.group.iter().map(|field| cell(state, &row, field, when)).collect();
            groups.entry(json!(key).to_string()).or_default().push(row);
        }
        groups.into_values().collect()
    } else {
        found.map(|row| vec![row]).collect()
    };
    if query.distinct {
        let mut seen = std::collections::HashSet::new();
        all.retain(|group| seen.insert(Json::Object(record(state, query, group, when)).to_string()));
    }
    if !query.order.is_empty() {
        sort(state, query, &mut all, when);
    }
    if let Some(limit) = query.limit {
        all.truncate(limit);
    }
    all
}

fn sort(state: &State, query: &Query, all: &mut [Group], when: When) {
    all.sort_by_cached_key(|group| {
        let keys = query.order.iter().map(|(name, descending)| {
            let item = query.items.iter().find(|item| item.name() == *name);
            let value = match item {
                Some(item) => value(state, item, group, when),
                None => group.first().map_or(Json::Null, |row| cell(state, row, name, when)),
            };
            Key(plain(&value), *descending)
        });
        keys.collect::<Vec<_>>()
    });
}

/// A value to sort by.
#[derive(PartialEq, Eq)]
struct Key(String, bool);

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = compare(&self.0, &other.0);
        if self.1 { order.reverse() } else { order }
    }
}

/// As numbers when both are, else as text.
fn compare(one: &str, other: &str) -> Ordering {
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) => one.total_cmp(&other),
        _ => one.to_lowercase().cmp(&other.to_lowercase()),
    }
}

/// A value as text: descriptors of references, the number of an amount.
fn plain(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Object(fields) => match (fields.get("descriptor"), fields.get("value")) {
            (Some(Json::String(text)), _) => text.clone(),
            (_, Some(number)) => number.to_string(),
            _ => String::new(),
        },
        Json::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

fn holds(state: &State, row: &Row, condition: &Condition, when: When) -> bool {
    match condition {
        Condition::And(list) => list.iter().all(|inner| holds(state, row, inner, when)),
        Condition::Or(list) => list.iter().any(|inner| holds(state, row, inner, when)),
        Condition::Not(inner) => !holds(state, row, inner, when),
        Condition::Empty(field) => plain(&cell(state, row, field, when)).is_empty(),
        Condition::In(field, values) => {
            let value = cell(state, row, field, when);
            values.iter().any(|wanted| is(state, &value, wanted))
        }
        Condition::Compare(field, test, wanted) => {
            let value = cell(state, row, field, when);
            tested(state, &value, *test, wanted)
        }
    }
}

/// True when a reference, or one of several, is the wanted one, by WID or `Type=value`; or the value itself.
fn is(state: &State, value: &Json, wanted: &str) -> bool {
    match value {
        Json::Object(fields) if fields.contains_key("id") => {
            let item = state.items.find(wanted).map(|place| state.item(place).wid.as_str());
            let worker = state.worker_at(wanted).map(|place| state.workers[place].wid.as_str());
            fields["id"] == item.or(worker).unwrap_or(wanted)
        }
        Json::Array(list) => list.iter().any(|one| is(state, one, wanted)),
        Json::Bool(yes) => {
            wanted.eq_ignore_ascii_case(if *yes { "true" } else { "false" }) || wanted == if *yes { "1" } else { "0" }
        }
        other => compare(&plain(other), wanted) == Ordering::Equal,
    }
}

fn tested(state: &State, value: &Json, test: Test, wanted: &str) -> bool {
    let text = plain(value);
    let order = || (!text.is_empty()).then(|| compare(&text, wanted));
    let (small, low) = (text.to_lowercase(), wanted.to_lowercase());
    match test {
        Test::Equal => is(state, value, wanted),
        Test::NotEqual => !is(state, value, wanted),
        Test::Less => order() == Some(Ordering::Less),
        Test::LessEqual => order().is_some_and(Ordering::is_le),
        Test::Greater => order() == Some(Ordering::Greater),
        Test::GreaterEqual => order().is_some_and(Ordering::is_ge),
        Test::StartsWith => small.starts_with(&low),
        Test::Contains => small.contains(&low),
        Test::EndsWith => small.ends_with(&low),
    }
}

/// The page as it is answered. Fields without a value are left out (unverified).
pub(super) fn shape(state: &State, query: &Query, page: &[Group], when: When) -> Vec<Json> {
    page.iter().map(|group| Json::Object(record(state, query, group, when))).collect()
}

fn record(state: &State, query: &Query, group: &Group, when: When) -> Map<String, Json> {
    let values = query.items.iter().map(|item| (item.name(), value(state, item, group, when)));
    values.filter(|(_, value)| !value.is_null()).collect()
}

fn value(state: &State, item: &Item, group: &Group, when: When) -> Json {
    let Some(first) = group.first() else { return Json::Null };
    match item.function.as_deref() {
        Some(function) => gathered(state, function, &item.field, group, when),
        None if item.inner.is_empty() => cell(state, first, &item.field, when),
        None => match follow(state, first, &item.field, when) {
            Some(row) => {
                let inner = item.inner.iter().map(|inner| (inner.name(), cell(state, &row, &inner.field, when)));
                Json::Object(inner.filter(|(_, value)| !value.is_null()).collect())
            }
            None => Json::Null,
        },
    }
}

fn gathered(state: &State, function: &str, field: &str, group: &Group, when: When) -> Json {
    if field == "*" {
        return json!(group.len());
    }
    let values: Vec<String> =
        group.iter().map(|row| plain(&cell(state, row, field, when))).filter(|text| !text.is_empty()).collect();
    let numbers = || values.iter().filter_map(|text| text.parse::<f64>().ok());
    match function {
        "COUNT" => json!(values.len()),
        "SUM" => json!(numbers().sum::<f64>()),
        "AVG" => {
            let (count, sum) = numbers().fold((0.0, 0.0), |(count, sum), number| (count + 1.0, sum + number));
            if count > 0.0 { json!(sum / count) } else { Json::Null }
        }
        "MIN" => json!(values.iter().min_by(|one, other| compare(one, other))),
        _ => json!(values.iter().max_by(|one, other| compare(one, other))),
    }
}
