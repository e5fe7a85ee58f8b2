//! The `q` parameter of collections: `field OPERATOR value`, joined by AND and OR, with parentheses.

use jiff::{Timestamp, civil::Date};
use serde_json::Value as Json;

use super::{
    refusal::Refusal,
    schema::{Kind, Type},
    settings::Settings,
    store::Record,
};

/// Deepest parentheses.
const DEPTH_MAX: usize = 50;
/// Words of a filter.
const WORDS_MAX: usize = 5_000;

#[derive(Debug)]
pub(super) enum Filter {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Is { field: Wanted, operator: String, negated: bool, values: Vec<String> },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    Id,
    External,
    Field(usize),
}

#[derive(Debug, Clone, PartialEq)]
enum Word {
    Bare(String),
    Quoted(String),
    Open,
    Close,
    List(Vec<String>),
}

fn refuse(detail: impl AsRef<str>) -> Refusal {
    Refusal::bad("INVALID_PARAMETER", format!("Invalid query parameter value. {}", detail.as_ref())).query("q")
}

/// Reads a filter on a type.
pub(super) fn parse(text: &str, kind: &'static Type, settings: &Settings) -> Result<Filter, Refusal> {
    let words = words(text)?;
    let mut reader = Reader { words: &words, kind, settings };
    let filter = reader.any(0)?;
    match reader.words.first() {
        None => Ok(filter),
        Some(word) => Err(refuse(format!("Unexpected {word:?} at the end of the query."))),
    }
}

fn words(text: &str) -> Result<Vec<Word>, Refusal> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if words.len() >= WORDS_MAX {
            return Err(refuse("The query is too long."));
        }
        let (word, after) = match first {
            '(' => (Word::Open, &rest[1..]),
            ')' => (Word::Close, &rest[1..]),
            '"' => quoted(&rest[1..]).map(|(text, after)| (Word::Quoted(text), after))?,
            '[' => {
                let (inside, after) = rest[1..].split_once(']').ok_or_else(|| refuse("A list is not closed."))?;
                let values = inside.split(',').map(|value| value.trim().trim_matches('"').to_owned()).collect();
                (Word::List(values), after)
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '[')).unwrap_or(rest.len());
                (Word::Bare(rest[..end].to_owned()), &rest[end..])
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

fn quoted(rest: &str) -> Result<(String, &str), Refusal> {
    let mut text = String::new();
    let mut letters = rest.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Ok((text, &rest[place + 1..])),
            '\\' => text.extend(letters.next().map(|(_, letter)| letter)),
            other => text.push(other),
        }
    }
    Err(refuse("A quoted value is not closed."))
}

struct Reader<'a> {
    words: &'a [Word],
    kind: &'static Type,
    settings: &'a Settings,
}

impl Reader<'_> {
    fn word(&mut self) -> Option<&Word> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn joined(&mut self, with: &str) -> bool {
        let is = matches!(self.words.first(), Some(Word::Bare(word)) if word.eq_ignore_ascii_case(with));
        if is {
            self.words = &self.words[1..];
        }
        is
    }

    fn any(&mut self, depth: usize) -> Result<Filter, Refusal> {
        let mut left = self.all(depth)?;
        while self.joined("OR") {
            left = Filter::Or(Box::new(left), Box::new(self.all(depth)?));
        }
        Ok(left)
    }

    fn all(&mut self, depth: usize) -> Result<Filter, Refusal> {
        let mut left = self.one(depth)?;
        while self.joined("AND") {
            left = Filter::And(Box::new(left), Box::new(self.one(depth)?));
        }
        Ok(left)
    }

    fn one(&mut self, depth: usize) -> Result<Filter, Refusal> {
        if depth > DEPTH_MAX {
            return Err(refuse("The query has too many parentheses."));
        }
        let name = match self.word() {
            Some(Word::Open) => {
                let inside = self.any(depth + 1)?;
                return match self.word() {
                    Some(Word::Close) => Ok(inside),
                    _ => Err(refuse("A parenthesis is not closed.")),
                };
            }
            Some(Word::Bare(name)) => name.clone(),
            _ => return Err(refuse("A field is missing.")),
        };
        let field = self.field(&name)?;
        let Some(Word::Bare(operator)) = self.word() else {
            return Err(refuse(format!("An operator is missing after '{name}'.")));
        };
        let written = operator.to_uppercase();
        let operator = written.strip_suffix("_NOT").unwrap_or(&written).to_owned();
        let negated = operator != written;
        let kind = match field {
            Wanted::Field(place) => &self.kind.fields[place].kind,
            Wanted::Id => &Kind::Integer,
            Wanted::External => &Kind::Text,
        };
        if !allowed(kind, &operator) {
            return Err(refuse(format!("The operator {written} cannot be used with the field '{name}'.")));
        }
        let values = if operator == "EMPTY" { Vec::new() } else { self.values(&name)? };
        if matches!(operator.as_str(), "BETWEEN" | "WITHIN") && values.len() != 2 {
            return Err(refuse(format!("{written} takes two values in brackets.")));
        }
        if let Kind::Date | Kind::Stamp = kind
            && let Some(wrong) =
                values.iter().find(|value| self.settings.read_date(value.split(' ').next().unwrap_or_default()).is_none())
        {
            let format = &self.settings.date_format;
            return Err(refuse(format!(
                "Parse of date/time \"{wrong}\" failed with date format \"{format}\" in time zone {}",
                self.settings.zone
            )));
        }
        Ok(Filter::Is { field, operator, negated, values })
    }

    fn field(&self, name: &str) -> Result<Wanted, Refusal> {
        if name.eq_ignore_ascii_case("id") {
            return Ok(Wanted::Id);
        }
        if name.eq_ignore_ascii_case("externalId") {
            return Ok(Wanted::External);
        }
        let place = self.kind.fields.iter().position(|field| field.name.eq_ignore_ascii_case(name) && field.filterable);
        place.map(Wanted::Field).ok_or_else(|| {
            let detail = format!("Record '{}' does not have a filterable field '{name}'.", self.kind.name);
            Refusal::bad("NONEXISTENT_FIELD", detail).query("q")
        })
    }

    fn values(&mut self, name: &str) -> Result<Vec<String>, Refusal> {
        match self.word() {
            Some(Word::Bare(value) | Word::Quoted(value)) => Ok(vec![value.clone()]),
            Some(Word::List(values)) => Ok(values.clone()),
            _ => Err(refuse(format!("A value is missing for the field '{name}'."))),
        }
    }
}

fn allowed(kind: &Kind, operator: &str) -> bool {
    if operator == "EMPTY" {
        return true;
    }
    match kind {
        Kind::Text | Kind::Address => matches!(operator, "CONTAIN" | "IS" | "START_WITH" | "END_WITH"),
        Kind::Boolean => operator == "IS",
        Kind::Date | Kind::Stamp => matches!(operator, "AFTER" | "BEFORE" | "ON" | "ON_OR_AFTER" | "ON_OR_BEFORE"),
        Kind::Choice(_) | Kind::Status(_) => matches!(operator, "ANY_OF" | "IS" | "EQUAL"),
        Kind::Integer | Kind::Float | Kind::Money | Kind::Ref(_) => {
            matches!(
                operator,
                "ANY_OF" | "BETWEEN" | "EQUAL" | "GREATER" | "GREATER_OR_EQUAL" | "LESS" | "LESS_OR_EQUAL" | "WITHIN"
            )
        }
    }
}

/// True when a record passes.
pub(super) fn fits(filter: &Filter, record: &Record, settings: &Settings) -> bool {
    match filter {
        Filter::And(left, right) => fits(left, record, settings) && fits(right, record, settings),
        Filter::Or(left, right) => fits(left, record, settings) || fits(right, record, settings),
        Filter::Is { field, operator, negated, values } => {
            let (kind, value) = match field {
                Wanted::Id => (&Kind::Integer, Json::from(record.id)),
                Wanted::External => (&Kind::Text, record.external.clone().map_or(Json::Null, Json::from)),
                Wanted::Field(place) => (&record.kind.fields[*place].kind, record.values[*place].clone()),
            };
            is(kind, &value, operator, values, settings) != *negated
        }
    }
}

fn is(kind: &Kind, value: &Json, operator: &str, wanted: &[String], settings: &Settings) -> bool {
    if operator == "EMPTY" || value.is_null() {
        return operator == "EMPTY" && value.is_null();
    }
    let first = wanted.first().map(String::as_str).unwrap_or_default();
    match kind {
        Kind::Boolean => value.as_bool() == Some(matches!(first.to_lowercase().as_str(), "true" | "t")),
        Kind::Date | Kind::Stamp => {
            let day = day_of(value.as_str().unwrap_or_default(), settings);
            let wanted = settings.read_date(first.split(' ').next().unwrap_or_default());
            day.zip(wanted).is_some_and(|(day, wanted)| compare(operator, &day, &wanted))
        }
        Kind::Text | Kind::Address | Kind::Choice(_) | Kind::Status(_) => {
            let text = value.as_str().unwrap_or_default().to_lowercase();
            let lower = first.to_lowercase();
            match operator {
                "CONTAIN" => text.contains(&lower),
                "START_WITH" => text.starts_with(&lower),
                "END_WITH" => text.ends_with(&lower),
                "ANY_OF" => wanted.iter().any(|wanted| wanted.to_lowercase() == text),
                _ => text == lower,
            }
        }
        Kind::Integer | Kind::Float | Kind::Money | Kind::Ref(_) => {
            let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
            let wanted: Vec<f64> = wanted.iter().filter_map(|wanted| wanted.parse().ok()).collect();
            number.is_some_and(|number| numbers(operator, number, &wanted))
        }
    }
}

fn numbers(operator: &str, number: f64, wanted: &[f64]) -> bool {
    let same = |wanted: &f64| (number - wanted).abs() < 1e-9;
    match (operator, wanted) {
        ("ANY_OF" | "EQUAL", _) => wanted.iter().any(same),
        ("BETWEEN" | "WITHIN", [from, to]) => number >= *from && number <= *to,
        ("GREATER", [other, ..]) => number > *other,
        ("GREATER_OR_EQUAL", [other, ..]) => number >= *other,
        ("LESS", [other, ..]) => number < *other,
        ("LESS_OR_EQUAL", [other, ..]) => number <= *other,
        _ => false,
    }
}

fn day_of(text: &str, settings: &Settings) -> Option<Date> {
    match text.parse::<Timestamp>() {
        Ok(at) => Some(at.to_zoned(settings.zone()).date()),
        Err(_) => text.parse().ok(),
    }
}

fn compare(operator: &str, day: &Date, wanted: &Date) -> bool {
    match operator {
        "AFTER" => day > wanted,
        "BEFORE" => day < wanted,
        "ON" => day == wanted,
        "ON_OR_AFTER" => day >= wanted,
        _ => day <= wanted,
    }
}
