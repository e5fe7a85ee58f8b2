//! Types in words.

use std::fmt;

use super::shape::{
    ALL, BOOLEAN, DATE, DATE_TIME, DURATION, FRACTION, INNER, Kinds, LIST, NULL, NUMBER, RECORD, TEXT, TIMES, Type,
};

impl Type {
    /// For people: "a whole number or null".
    #[must_use]
    pub fn describe(&self) -> String {
        const ANYTHING: Kinds = ALL & !(INNER | TIMES | NULL);
        if self.kinds & ANYTHING == ANYTHING {
            return if self.kinds & NULL == 0 { "anything but null" } else { "anything" }.to_owned();
        }
        let words: Vec<String> = words(self.kinds)
            .map(|(kind, one, _)| match kind {
                LIST => list(&self.items()),
                _ => one.to_owned(),
            })
            .collect();
        join(&words)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// The kinds of a set, with their names for one and for many. Null comes last.
fn words(kinds: Kinds) -> impl Iterator<Item = (Kinds, &'static str, &'static str)> {
    let number = if kinds & FRACTION == 0 { ("a whole number", "whole numbers") } else { ("a number", "numbers") };
    [
        (BOOLEAN, "true or false", "true and false"),
        (NUMBER, number.0, number.1),
        (TEXT, "text", "texts"),
        (DATE, "a date", "dates"),
        (DATE_TIME, "a date-time", "date-times"),
        (DURATION, "a duration", "durations"),
        (LIST, "a list", "lists"),
        (RECORD, "a record", "records"),
        (INNER, "a closure", "closures"),
        (NULL, "null", "null"),
    ]
    .into_iter()
    .filter(move |(kind, _, _)| kinds & kind != 0)
}

fn list(item: &Type) -> String {
    let kinds = item.kinds & !INNER;
    let many: Vec<String> = words(kinds).map(|(_, _, many)| many.to_owned()).collect();
    match many.len() {
        0 => "an empty list".to_owned(),
        1 | 2 => format!("a list of {}", many.join(" and ")),
        _ => "a list".to_owned(),
    }
}

fn join(words: &[String]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
