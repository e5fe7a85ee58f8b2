//! Finds the records an encoded query asks for.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    data::{Data, Person, Record, instant},
    moments,
    query::{Query, Test},
    schema::{DEPTH_MAX, Kind},
};

/// The vendor's ids of the dynamic filters "Me" and "One of My Groups".
const ME: &str = "90d1921e5f510100a9ad2572f2b477fe";
const MY_GROUPS: &str = "d6435e965f510100a9ad2572f2b477fe";

/// What a query is asked against.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) data: &'a Data,
    pub(super) person: &'a Person,
    pub(super) now: Timestamp,
    /// `glide.invalid_query.returns_no_rows`: conditions on unknown fields find nothing instead of being left out.
    pub(super) strict: bool,
}

/// A test made ready: fields are known, scripts are run, queries inside are answered.
enum Check {
    Compare { path: String, kind: Kind, operator: &'static str, value: String },
    OneOf { path: String, values: HashSet<String> },
    Fields { path: String, operator: &'static str, other: String, kind: Kind },
    Between { path: String, kind: Kind, low: String, high: String, inside: bool },
    Apart { path: String, other: String, seconds: i64, before: bool, more: bool },
    Part { path: String, part: moments::Part },
    Family { path: String, base: String },
    Under { path: String, table: String, top: String },
    Counted { counts: HashMap<String, usize>, operator: String, wanted: usize },
    Anywhere(String),
    Constant(bool),
}

impl<'a> Ask<'a> {
    /// The records of a table the query finds, in its order.
    pub(super) fn find(&self, table: &str, query: &Query) -> Vec<&'a Arc<Record>> {
        let data = self.data;
        let plans: Vec<Vec<Vec<Check>>> = query.branches.iter().map(|branch| self.branch(table, branch)).collect();
        if query.dropped && self.strict {
            return Vec::new();
        }
        let fits = |record: &&Arc<Record>| {
            plans.iter().any(|plan| plan.iter().all(|group| group.iter().any(|check| self.holds(check, record))))
        };
        if let Some(id) = query.one_id() {
            return data.find(table, id).into_iter().filter(fits).collect();
        }
        let mut found: Vec<&Arc<Record>> = data.all(table).filter(fits).collect();
        self.sort(table, &mut found, query);
        found
    }

    /// True when the query finds this record, which need not be kept.
    pub(super) fn fits(&self, table: &str, query: &Query, record: &'a Record) -> bool {
        let plans = query.branches.iter().map(|branch| self.branch(table, branch));
        plans.into_iter().any(|plan| plan.iter().all(|group| group.iter().any(|check| self.holds(check, record))))
    }

    fn sort(&self, table: &str, found: &mut Vec<&'a Arc<Record>>, query: &Query) {
        let known: Vec<_> = query
            .order
            .iter()
            .filter_map(|(path, descending)| Some((path, self.data.schema.walk(table, path)?, *descending)))
            .collect();
        if known.is_empty() {
            return;
        }
        let mut keyed: Vec<(Vec<Key>, &Arc<Record>)> = found
            .drain(..)
            .map(|record| {
                (known.iter().map(|(path, field, _)| self.key(record, path, field.kind, &field.target)).collect(), record)
            })
            .collect();
        keyed.sort_by(|(left, _), (right, _)| {
            let each = left.iter().zip(right).zip(&known).map(
                |((left, right), (_, _, descending))| {
                    if *descending { right.cmp(left) } else { left.cmp(right) }
                },
            );
            each.fold(Ordering::Equal, Ordering::then)
        });
        found.extend(keyed.into_iter().map(|(_, record)| record));
    }

    fn key(&self, record: &'a Record, path: &str, kind: Kind, target: &str) -> Key {
        let value = self.value(record, path);
        match kind {
            _ if kind.is_number() => Key::Number(number(value).map(|number| (number * 10_000.0) as i64)),
            Kind::Reference => Key::Text(self.data.name_of(target, value).to_lowercase()),
            _ => Key::Text(value.to_lowercase()),
        }
    }

    fn value(&self, record: &'a Record, path: &str) -> &'a str {
        self.data.walk(record, path).map_or("", |(holder, field)| holder.get(field))
    }

    fn branch(&self, table: &str, branch: &[Vec<Test>]) -> Vec<Vec<Check>> {
        let mut plan = Vec::new();
        for group in branch {
            let checks: Vec<Check> = group.iter().filter_map(|test| self.ready(table, test)).collect();
            // The trap the documentation names: what it does not know, it leaves out.
            if checks.len() < group.len() && self.strict {
                plan.push(vec![Check::Constant(false)]);
            } else if !checks.is_empty() {
                plan.push(checks);
            }
        }
        plan
    }

    fn ready(&self, table: &str, test: &Test) -> Option<Check> {
        match test {
            Test::Anywhere(words) => Some(Check::Anywhere(words.to_lowercase())),
            Test::Field { path, operator, value } => self.ready_field(table, path, operator, value),
            Test::Join { field, table: other_table, other, query } => {
                self.data.schema.field(table, field)?;
                self.data.schema.field(other_table, other)?;
                let values = self.find(other_table, query).into_iter().map(|record| record.get(other).to_owned()).collect();
                Some(Check::OneOf { path: field.clone(), values })
            }
            Test::Related { table: other, field, operator, count, query } => {
                self.data.schema.field(other, field)?;
                let mut counts = HashMap::new();
                for record in self.find(other, query) {
                    *counts.entry(record.get(field).to_owned()).or_insert(0) += 1;
                }
                Some(Check::Counted { counts, operator: operator.clone(), wanted: *count })
            }
        }
    }

    fn ready_field(&self, table: &str, path: &str, operator: &'static str, value: &str) -> Option<Check> {
        let field = self.data.schema.walk(table, path)?;
        let (path, kind) = (path.to_owned(), field.kind);
        let run = |text: &str| moments::value(text, self.person, self.now);
        Some(match operator {
            "VALCHANGES" | "CHANGESFROM" | "CHANGESTO" => return None,
            "ANYTHING" => Check::Constant(true),
            "IN" | "NOT IN" | "NOTIN" => {
                let values = value.split(',').map(|value| run(value.trim())).collect::<Vec<_>>();
                if operator == "IN" && !kind.is_number() {
                    Check::OneOf { path, values: values.into_iter().map(|value| value.to_lowercase()).collect() }
                } else {
                    Check::Compare { path, kind, operator, value: values.join(",") }
                }
            }
            "BETWEEN" => {
                let (low, high) = value.split_once('@')?;
                Check::Between { path, kind, low: run(low), high: run(high), inside: true }
            }
            "ON" | "NOTON" => {
                let mut parts = value.split('@').skip(1);
                let (low, high) = (run(parts.next()?), run(parts.next()?));
                Check::Between { path, kind, low, high, inside: operator == "ON" }
            }
            "RELATIVEGT" | "RELATIVEGE" | "RELATIVELT" | "RELATIVELE" | "RELATIVEEE" => {
                let point = moments::relative(value, self.now)?;
                let operator = match operator {
                    "RELATIVEGT" => ">",
                    "RELATIVEGE" => ">=",
                    "RELATIVELT" => "<",
                    "RELATIVELE" => "<=",
                    _ => "=",
                };
                Check::Compare { path, kind, operator, value: point }
            }
            "SAMEAS" | "NSAMEAS" | "GT_FIELD" | "LT_FIELD" | "GT_OR_EQUALS_FIELD" | "LT_OR_EQUALS_FIELD" => {
                let other = value.rsplit('@').next().unwrap_or_default();
                self.data.schema.walk(table, other)?;
                Check::Fields { path, operator, other: other.to_owned(), kind }
            }
            "MORETHAN" | "LESSTHAN" => {
                let [other, unit, side, count] = value.split('@').collect::<Vec<_>>()[..] else { return None };
                self.data.schema.walk(table, other)?;
                let seconds = moments::unit_seconds(unit)?.checked_mul(count.parse().ok()?)?;
                let (before, more) = (side == "before", operator == "MORETHAN");
                Check::Apart { path, other: other.to_owned(), seconds, before, more }
            }
            "DATEPART" => Check::Part { path, part: moments::Part::read(value)? },
            "DYNAMIC" => Check::OneOf { path, values: self.dynamic(value) },
            "INSTANCEOF" => Check::Family { path, base: value.to_owned() },
            "IN_HIERARCHY" => Check::Under { path, table: field.target.clone(), top: run(value) },
            _ => Check::Compare { path, kind, operator, value: if value == "NULL" { String::new() } else { run(value) } },
        })
    }

    fn dynamic(&self, id: &str) -> HashSet<String> {
        match id {
            ME => HashSet::from([self.person.id.clone()]),
            MY_GROUPS => {
                let member = self.data.all("sys_user_grmember").filter(|row| row.get("user") == self.person.id);
                member.map(|row| row.get("group").to_owned()).collect()
            }
            _ => HashSet::new(),
        }
    }

    fn holds(&self, check: &Check, record: &'a Record) -> bool {
        match check {
            Check::Constant(holds) => *holds,
            Check::Compare { path, kind, operator, value } => compare(self.value(record, path), operator, value, *kind),
            Check::OneOf { path, values } => {
                let value = self.value(record, path);
                values.contains(value) || values.contains(&value.to_lowercase())
            }
            Check::Fields { path, operator, other, kind } => {
                let (left, right) = (self.value(record, path), self.value(record, other));
                let operator = match *operator {
                    "SAMEAS" => "=",
                    "NSAMEAS" => "!=",
                    "GT_FIELD" => ">",
                    "LT_FIELD" => "<",
                    "GT_OR_EQUALS_FIELD" => ">=",
                    _ => "<=",
                };
                compare(left, operator, right, *kind)
            }
            Check::Between { path, kind, low, high, inside } => {
                let value = self.value(record, path);
                (compare(value, ">=", low, *kind) && compare(value, "<=", high, *kind)) == *inside
            }
            Check::Apart { path, other, seconds, before, more } => {
                let (Some(left), Some(right)) = (instant(self.value(record, path)), instant(self.value(record, other))) else {
                    return false;
                };
                let apart = (right.as_second() - left.as_second()) * if *before { 1 } else { -1 };
                if *more { apart > *seconds } else { (0..*seconds).contains(&apart) }
            }
            Check::Part { path, part } => instant(self.value(record, path)).is_some_and(|at| part.holds(at, &self.person.zone)),
            Check::Family { path, base } => self.data.schema.is_a(self.value(record, path), base),
            Check::Under { path, table, top } => self.under(table, self.value(record, path), top),
            Check::Counted { counts, operator, wanted } => {
                let count = counts.get(record.id()).copied().unwrap_or_default();
                match operator.as_str() {
                    ">" => count > *wanted,
                    ">=" => count >= *wanted,
                    "<" => count < *wanted,
                    "<=" => count <= *wanted,
                    "!=" => count != *wanted,
                    _ => count == *wanted,
                }
            }
            Check::Anywhere(words) => record.values.values().any(|value| value.to_lowercase().contains(words)),
        }
    }

    fn under(&self, table: &str, id: &str, top: &str) -> bool {
        let mut id = id;
        for _ in 0..DEPTH_MAX {
            if id == top {
                return !id.is_empty();
            }
            let Some(record) = self.data.find(table, id) else { return false };
            id = record.get(if table == "sys_user" { "manager" } else { "parent" });
        }
        false
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(Option<i64>),
    Text(String),
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Compares as the vendor's data base does: without regard to case, and nothing is larger or smaller than an empty value.
fn compare(value: &str, operator: &str, wanted: &str, kind: Kind) -> bool {
    let order = || match (number(value), number(wanted)) {
        (Some(left), Some(right)) if kind.is_number() => left.partial_cmp(&right),
        _ if kind.is_number() && (value.is_empty() || wanted.is_empty()) => Some(value.cmp(wanted)),
        _ => Some(value.to_lowercase().cmp(&wanted.to_lowercase())),
    };
    let both = || !value.is_empty() && !wanted.is_empty();
    let has = || value.to_lowercase().contains(&wanted.to_lowercase());
    let one_of = || wanted.split(',').any(|wanted| compare(value, "=", wanted, kind));
    match operator {
        "=" => order() == Some(Ordering::Equal),
        "!=" => order() != Some(Ordering::Equal),
        "<" => both() && order() == Some(Ordering::Less),
        "<=" => both() && order() != Some(Ordering::Greater),
        ">" => both() && order() == Some(Ordering::Greater),
        ">=" => both() && order() != Some(Ordering::Less),
        "LIKE" | "CONTAINS" | "*" => has(),
        "NOT LIKE" | "NOTLIKE" | "DOES NOT CONTAIN" | "!*" => !has(),
        "STARTSWITH" => value.to_lowercase().starts_with(&wanted.to_lowercase()),
        "ENDSWITH" | "%" => value.to_lowercase().ends_with(&wanted.to_lowercase()),
        "ISEMPTY" | "EMPTYSTRING" => value.is_empty(),
        "ISNOTEMPTY" => !value.is_empty(),
        "IN" => one_of(),
        "NOT IN" | "NOTIN" => !one_of(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, compare};

    #[test]
    fn numbers_compare_as_numbers_texts_without_case_and_empty_values_never_order() {
        assert!(compare("10", ">", "9", Kind::Integer) && !compare("10", ">", "9", Kind::Text));
        assert!(compare("Ada", "=", "ADA", Kind::Text) && compare("Ada", "STARTSWITH", "a", Kind::Text));
        assert!(!compare("", "<", "9", Kind::Integer) && compare("", "!=", "9", Kind::Integer));
        assert!(compare("2", "IN", "1,2", Kind::Integer) && compare("3", "NOT IN", "1,2", Kind::Integer));
        assert!(compare("printer on fire", "*", "ON", Kind::Text) && compare("", "NOT LIKE", "x", Kind::Text));
    }
}
