//! A query's names looked up in the schema.

use super::{
    OFFSET_MAX,
    lex::{malformed, trouble},
    parse::{Cond as RawCond, Item, Literal, Name, Raw, Term},
};
use crate::salesforce::{
    errors::{Outcome, Trouble},
    schema::{Field, Kind, Object, Schema},
};

/// Relations a path may go through.
const HOPS_MAX: usize = 5;

/// The way to a field from a record: through parents, then the field.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Path {
    /// Reference fields on the way, and the relation names they were asked by.
    pub hops: Vec<(usize, String)>,
    /// The object the field is of; of a reference to several objects the first.
    pub object: usize,
    pub field: usize,
    /// The field's name, for parents of several kinds.
    pub name: String,
    pub kind: Kind,
    /// True when the last parent may be of several kinds.
    pub several: bool,
    pub function: Option<Function>,
}

/// What is made of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Function {
    CalendarYear,
    CalendarQuarter,
    CalendarMonth,
    DayOnly,
    DayInMonth,
    HourInDay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Aggregate {
    Count,
    CountDistinct,
    Sum,
    Average,
    Least,
    Most,
}

/// A column of the answer.
#[derive(Debug, Clone)]
pub(in super::super) enum Column {
    Field(Path),
    /// A column of a grouped query: the place of its grouping, and its name.
    Group(usize, String),
    Aggregate(Aggregate, Option<Path>, String),
    Children(String, usize, std::sync::Arc<Bound>),
}

#[derive(Debug, Clone)]
pub(super) enum Cond {
    And(Vec<Cond>),
    Or(Vec<Cond>),
    Not(Box<Cond>),
    Compare(Operand, &'static str, Literal),
    Like(Path, String),
    In(Path, Vec<Literal>, bool),
    InQuery(Path, Box<Bound>, bool),
    Includes(Path, Vec<String>, bool),
}

impl Cond {
    fn places(&self, out: &mut Vec<usize>) {
        match self {
            Self::And(list) | Self::Or(list) => list.iter().for_each(|cond| cond.places(out)),
            Self::Not(inner) => inner.places(out),
            Self::Compare(Operand::Field(path), ..)
            | Self::Like(path, _)
            | Self::In(path, ..)
            | Self::InQuery(path, ..)
            | Self::Includes(path, ..) => out.extend(path.hops.is_empty().then_some(path.field)),
            Self::Compare(Operand::Aggregate(..), ..) => {}
        }
    }
}

/// What is compared: a field, or in HAVING an aggregate.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    Field(Path),
    Aggregate(Aggregate, Option<Path>),
}

#[derive(Debug, Clone)]
pub(super) struct Order {
    pub operand: Operand,
    pub descending: bool,
    pub nulls_last: bool,
}

/// A query that can be run.
#[derive(Debug, Clone)]
pub(in super::super) struct Bound {
    pub object: usize,
    pub columns: Vec<Column>,
    pub(super) filter: Option<Cond>,
    pub(super) group: Vec<Path>,
    pub(super) having: Option<Cond>,
    pub(super) order: Vec<Order>,
    pub limit: Option<usize>,
    pub offset: usize,
    /// `SELECT COUNT()`: the number alone.
    pub only_count: bool,
}

impl Bound {
    /// True when the answer has groups instead of records.
    pub(in super::super) fn aggregated(&self) -> bool {
        !self.group.is_empty() || self.columns.iter().any(|column| matches!(column, Column::Aggregate(..)))
    }

    /// Places of the record's own fields that are selected.
    pub(in super::super) fn selected(&self) -> Vec<usize> {
        let own = self.columns.iter().filter_map(|column| match column {
            Column::Field(path) if path.hops.is_empty() => Some(path.field),
            _ => None,
        });
        own.collect()
    }

    /// Places of the record's own fields that the condition is about.
    pub(in super::super) fn filtered(&self) -> Vec<usize> {
        let mut places = Vec::new();
        if let Some(filter) = &self.filter {
            filter.places(&mut places);
        }
        places
    }
}

pub(super) fn bind(schema: &Schema, text: &str, raw: &Raw) -> Outcome<Bound> {
    let object = schema.find(&raw.from.text).filter(|place| !schema.objects[*place].event()).ok_or_else(|| {
        let name = &raw.from.text;
        trouble(text, raw.from.at, "INVALID_TYPE", &format!("sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."))
    })?;
    Binder { schema, text, object, alias: raw.alias.as_deref() }.query(raw)
}

struct Binder<'a> {
    schema: &'a Schema,
    text: &'a str,
    object: usize,
    alias: Option<&'a str>,
}

impl Binder<'_> {
    fn query(&self, raw: &Raw) -> Outcome<Bound> {
        let group: Vec<Path> = raw.group.iter().map(|term| self.field_of(term)).collect::<Outcome<_>>()?;
        let mut columns = Vec::new();
        let mut only_count = false;
        for item in &raw.items {
            match item {
                Item::Fields(which, at) => columns.extend(self.every(which, *at, raw)?),
                Item::Children(children) => columns.push(self.children(children)?),
                Item::Term(term, alias) => {
                    if term.function.as_deref() == Some("COUNT") && term.name.is_none() {
                        only_count = raw.items.len() == 1 && raw.group.is_empty();
                    }
                    let column = self.column(term, alias.as_deref(), &group, &columns)?;
                    columns.push(column);
                }
            }
        }
        let filter = raw.filter.as_ref().map(|cond| self.cond(cond, false)).transpose()?;
        let having = raw.having.as_ref().map(|cond| self.cond(cond, true)).transpose()?;
        let order = raw.order.iter().map(|order| {
            let operand = self.operand(&order.term, true)?;
            let nulls_last = order.nulls_last.unwrap_or(order.descending);
            Ok(Order { operand, descending: order.descending, nulls_last })
        });
        let order = order.collect::<Outcome<Vec<_>>>()?;
        let (offset, at) = raw.offset.unwrap_or_default();
        if offset > OFFSET_MAX {
            let message = format!("Maximum SOQL offset allowed is {OFFSET_MAX}");
            return Err(trouble(self.text, at, "NUMBER_OUTSIDE_VALID_RANGE", &message));
        }
        let bound = Bound { object: self.object, columns, filter, group, having, order, limit: raw.limit, offset, only_count };
        if bound.aggregated() && bound.columns.iter().any(|column| matches!(column, Column::Field(_) | Column::Children(..))) {
            let name = raw.items.iter().find_map(|item| match item {
                Item::Term(Term { function: None, name: Some(name), .. }, _) => Some(name),
                _ => None,
            });
            let (shown, at) = name.map_or(("", 0), |name| (name.text.as_str(), name.at));
            return Err(malformed(self.text, at, &format!("Field must be grouped or aggregated: {shown}")));
        }
        Ok(bound)
    }

    /// `FIELDS(ALL)`, `FIELDS(STANDARD)`, `FIELDS(CUSTOM)`.
    fn every(&self, which: &str, at: usize, raw: &Raw) -> Outcome<Vec<Column>> {
        if which != "STANDARD" && raw.limit.is_none_or(|limit| limit > 200) {
            let message = format!("The SOQL FIELDS function must have a LIMIT of at most 200: FIELDS({which})");
            return Err(malformed(self.text, at, &message));
        }
        let wanted = |field: &Field| match which {
            "ALL" => Some(true),
            "STANDARD" => Some(!field.custom()),
            "CUSTOM" => Some(field.custom()),
            _ => None,
        };
        let object = &self.schema.objects[self.object];
        let mut columns = Vec::new();
        for (place, field) in object.live_fields() {
            match wanted(field) {
                Some(true) => columns.push(Column::Field(straight(self.object, place, field))),
                Some(false) => {}
                None => return Err(malformed(self.text, at, &format!("unexpected token: '{which}'"))),
            }
        }
        Ok(columns)
    }

    fn children(&self, raw: &Raw) -> Outcome<Column> {
        let lists = self.schema.children_of(self.object);
        let list = lists.into_iter().find(|list| list.name.eq_ignore_ascii_case(&raw.from.text)).ok_or_else(|| {
            let message = format!(
                "Didn't understand relationship '{}' in FROM part of query call. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.",
                raw.from.text
            );
            trouble(self.text, raw.from.at, "INVALID_TYPE", &message)
        })?;
        let binder = Binder { schema: self.schema, text: self.text, object: list.object, alias: raw.alias.as_deref() };
        let bound = binder.query(raw)?;
        if bound.aggregated() || bound.columns.iter().any(|column| matches!(column, Column::Children(..))) {
            return Err(malformed(
                self.text,
                raw.from.at,
                "A relationship query can be nested one level deep and cannot be aggregated",
            ));
        }
        Ok(Column::Children(list.name, list.field, bound.into()))
    }

    fn column(&self, term: &Term, alias: Option<&str>, group: &[Path], before: &[Column]) -> Outcome<Column> {
        let unnamed = || {
            let count = before
                .iter()
                .filter(
                    |column| matches!(column, Column::Aggregate(_, _, name) | Column::Group(_, name) if name.starts_with("expr")),
                )
                .count();
            format!("expr{count}")
        };
        match self.operand(term, true)? {
            Operand::Aggregate(aggregate, path) => {
                Ok(Column::Aggregate(aggregate, path, alias.map_or_else(unnamed, str::to_owned)))
            }
            Operand::Field(path) => match group.iter().position(|grouped| *grouped == path) {
                Some(place) if path.function.is_some() => Ok(Column::Group(place, alias.map_or_else(unnamed, str::to_owned))),
                Some(place) => Ok(Column::Group(place, alias.unwrap_or(&path.name).to_owned())),
                None => Ok(Column::Field(path)),
            },
        }
    }

    fn operand(&self, term: &Term, aggregates: bool) -> Outcome<Operand> {
        let aggregate = match term.function.as_deref() {
            Some("COUNT") => Some(Aggregate::Count),
            Some("COUNT_DISTINCT") => Some(Aggregate::CountDistinct),
            Some("SUM") => Some(Aggregate::Sum),
            Some("AVG") => Some(Aggregate::Average),
            Some("MIN") => Some(Aggregate::Least),
            Some("MAX") => Some(Aggregate::Most),
            _ => None,
        };
        let Some(aggregate) = aggregate else { return self.field_of(term).map(Operand::Field) };
        if !aggregates {
            return Err(malformed(self.text, term.at, "Aggregate functions are not allowed here"));
        }
        let path = term.name.as_ref().map(|name| self.path(name)).transpose()?;
        match &path {
            None if aggregate != Aggregate::Count => Err(malformed(self.text, term.at, "unexpected token: ')'")),
            Some(path) if matches!(aggregate, Aggregate::Sum | Aggregate::Average) && !path.kind.is_number() => Err(malformed(
                self.text,
                term.at,
                &format!(
                    "field {} does not support aggregate operator {}",
                    path.name,
                    term.function.as_deref().unwrap_or_default()
                ),
            )),
            _ => Ok(Operand::Aggregate(aggregate, path)),
        }
    }

    fn field_of(&self, term: &Term) -> Outcome<Path> {
        let function = match term.function.as_deref() {
            // The labels of this org are its values, and its locale has no formats of its own.
            None | Some("TOLABEL" | "FORMAT" | "CONVERTCURRENCY" | "CONVERTTIMEZONE") => None,
            Some("CALENDAR_YEAR" | "FISCAL_YEAR") => Some(Function::CalendarYear),
            Some("CALENDAR_QUARTER" | "FISCAL_QUARTER") => Some(Function::CalendarQuarter),
            Some("CALENDAR_MONTH" | "FISCAL_MONTH") => Some(Function::CalendarMonth),
            Some("DAY_ONLY") => Some(Function::DayOnly),
            Some("DAY_IN_MONTH") => Some(Function::DayInMonth),
            Some("HOUR_IN_DAY") => Some(Function::HourInDay),
            Some(other) => return Err(malformed(self.text, term.at, &format!("unknown function: {other}"))),
        };
        let name = term.name.as_ref().ok_or_else(|| malformed(self.text, term.at, "unexpected token: ')'"))?;
        let mut path = self.path(name)?;
        if function.is_some() && !matches!(path.kind, Kind::Date | Kind::Datetime) {
            return Err(malformed(self.text, term.at, &format!("field {} is not a date", path.name)));
        }
        path.function = function;
        Ok(path)
    }

    fn path(&self, name: &Name) -> Outcome<Path> {
        let mut parts: Vec<&str> = name.text.split('.').collect();
        let object = &self.schema.objects[self.object];
        let is_own = |part: &str| {
            self.alias.is_some_and(|alias| alias.eq_ignore_ascii_case(part)) || object.name.eq_ignore_ascii_case(part)
        };
        if parts.len() > 1 && is_own(parts[0]) && object.relation(parts[0]).is_none() {
            parts.remove(0);
        }
        let last = parts.pop().unwrap_or_default();
        if parts.len() > HOPS_MAX {
            return Err(malformed(self.text, name.at, "SOQL relationship is nested too deeply"));
        }
        let (mut at, mut hops, mut several) = (self.object, Vec::new(), false);
        for part in parts {
            let object = &self.schema.objects[at];
            let reference = object.relation(part).ok_or_else(|| self.no_relation(name, part, object))?;
            let field = &object.fields[reference];
            hops.push((reference, field.relation.clone().unwrap_or_default()));
            several = field.refers.len() > 1;
            at = field.refers.first().and_then(|parent| self.schema.find(parent)).unwrap_or(at);
        }
        let object = &self.schema.objects[at];
        if several && last.eq_ignore_ascii_case("Type") {
            return Ok(Path { hops, object: at, field: 0, name: "Type".to_owned(), kind: Kind::String, several, function: None });
        }
        let place = object.place(last).ok_or_else(|| self.no_column(name, last, object))?;
        let field = &object.fields[place];
        Ok(Path { hops, object: at, field: place, name: field.name.clone(), kind: field.kind, several, function: None })
    }

    fn no_column(&self, name: &Name, column: &str, object: &Object) -> Trouble {
        let message = format!(
            "No such column '{column}' on entity '{}'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.",
            object.name
        );
        trouble(self.text, name.at, "INVALID_FIELD", &message)
    }

    fn no_relation(&self, name: &Name, part: &str, object: &Object) -> Trouble {
        let message = format!(
            "Didn't understand relationship '{part}' in field path on entity '{}'. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.",
            object.name
        );
        trouble(self.text, name.at, "INVALID_FIELD", &message)
    }

    fn cond(&self, raw: &RawCond, aggregates: bool) -> Outcome<Cond> {
        let all = |list: &[RawCond]| list.iter().map(|cond| self.cond(cond, aggregates)).collect::<Outcome<Vec<_>>>();
        Ok(match raw {
            RawCond::And(list) => Cond::And(all(list)?),
            RawCond::Or(list) => Cond::Or(all(list)?),
            RawCond::Not(inner) => Cond::Not(Box::new(self.cond(inner, aggregates)?)),
            RawCond::Compare(term, sign, literal, at) => {
                let operand = self.operand(term, aggregates)?;
                if let Operand::Field(path) = &operand {
                    self.fits(path, literal, *at)?;
                }
                Cond::Compare(operand, sign, literal.clone())
            }
            RawCond::Like(term, pattern) => {
                let path = self.filterable(term)?;
                if path.kind.is_number()
                    || matches!(path.kind, Kind::Date | Kind::Datetime | Kind::Boolean | Kind::Id | Kind::Reference)
                {
                    return Err(trouble(self.text, term.at, "INVALID_OPERATOR", "invalid operator"));
                }
                Cond::Like(path, pattern.clone())
            }
            RawCond::In(term, values, not, at) => {
                let path = self.filterable(term)?;
                for value in values {
                    self.fits(&path, value, *at)?;
                }
                Cond::In(path, values.clone(), *not)
            }
            RawCond::InQuery(term, inner, not) => {
                let bound = bind(self.schema, self.text, inner)?;
                if !matches!(bound.columns[..], [Column::Field(_)]) {
                    return Err(malformed(self.text, inner.from.at, "semi join sub-selects can only query one field"));
                }
                Cond::InQuery(self.filterable(term)?, Box::new(bound), *not)
            }
            RawCond::Includes(term, values, excludes) => {
                let path = self.filterable(term)?;
                if path.kind != Kind::Multipicklist {
                    return Err(trouble(
                        self.text,
                        term.at,
                        "INVALID_OPERATOR",
                        "includes or excludes operator only valid on multipicklist field",
                    ));
                }
                Cond::Includes(path, values.clone(), *excludes)
            }
        })
    }

    fn filterable(&self, term: &Term) -> Outcome<Path> {
        let path = self.field_of(term)?;
        if self.schema.objects[path.object].fields[path.field].filterable {
            return Ok(path);
        }
        let message = format!("field '{}' can not be filtered in a query call", path.name);
        Err(trouble(self.text, term.at, "INVALID_FIELD", &message))
    }

    /// Whether a literal is of the field's type.
    fn fits(&self, path: &Path, literal: &Literal, at: usize) -> Outcome<()> {
        let field = &self.schema.objects[path.object].fields[path.field];
        if !field.filterable {
            return Err(trouble(
                self.text,
                at,
                "INVALID_FIELD",
                &format!("field '{}' can not be filtered in a query call", path.name),
            ));
        }
        let number = path.kind.is_number() || path.function.is_some_and(|function| function != Function::DayOnly);
        let (good, kind) = match literal {
            Literal::Null => (true, ""),
            Literal::Bool(_) => (path.kind == Kind::Boolean, "boolean"),
            _ if path.kind == Kind::Boolean => (false, "boolean"),
            Literal::Number(_) => (number, "string"),
            _ if number => (false, if path.kind == Kind::Int { "int" } else { path.kind.name() }),
            Literal::Day(_) | Literal::Span(..) => (matches!(path.kind, Kind::Date | Kind::Datetime | Kind::Time), "string"),
            Literal::Text(_) => (!matches!(path.kind, Kind::Date | Kind::Datetime | Kind::Time), path.kind.name()),
        };
        let quotes = if kind == "string" { "should be enclosed in quotes" } else { "should not be enclosed in quotes" };
        if !good {
            let message = format!(
                "value of filter criterion for field '{}' must be of type {} and {quotes}",
                path.name,
                if kind == "string" { path.kind.name() } else { kind }
            );
            return Err(trouble(self.text, at, "INVALID_FIELD", &message));
        }
        if let Literal::Day(text) = literal {
            self.fits_day(path, text, at)?;
        }
        Ok(())
    }

    fn fits_day(&self, path: &Path, text: &str, at: usize) -> Outcome<()> {
        let whole_day = path.kind == Kind::Date || path.function == Some(Function::DayOnly);
        let good = match path.kind {
            Kind::Time => text.contains(':'),
            _ if whole_day => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
            _ => crate::salesforce::value::read_datetime(text).is_some(),
        };
        if good {
            return Ok(());
        }
        let kind = if whole_day { "date" } else { "dateTime" };
        let message = format!(
            "value of filter criterion for field '{}' must be of type {kind} and should not be enclosed in quotes",
            path.name
        );
        Err(trouble(self.text, at, "INVALID_FIELD", &message))
    }
}

fn straight(object: usize, place: usize, field: &Field) -> Path {
    Path { hops: Vec::new(), object, field: place, name: field.name.clone(), kind: field.kind, several: false, function: None }
}
