//! Values against values and literals.

use std::cmp::Ordering;

use jiff::civil::Date;

use super::{bind::Function, bind::Path, dates, parse::Literal};
use crate::salesforce::{
    ids,
    schema::Kind,
    value::{Value, day_of, read_datetime, start_ms},
};

/// Which comes first; nothing comes before everything. Letters' case does not matter.
pub(super) fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => left.total_cmp(right),
        (Value::Day(left), Value::Day(right)) => left.cmp(right),
        (Value::Moment(left), Value::Moment(right)) => left.cmp(right),
        (Value::Time(left), Value::Time(right)) => left.cmp(right),
        (Value::Text(left), Value::Text(right)) => words(left, right),
        _ => Ordering::Equal,
    }
}

/// Ids are told apart by case and sort byte by byte, in WHERE and in ORDER BY alike; other texts ignore case.
fn words(left: &str, right: &str) -> Ordering {
    if left.len() == 18 && right.len() == 18 && ids::read(left).is_some() && ids::read(right).is_some() {
        return left.cmp(right);
    }
    let fold = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    if left.is_ascii() && right.is_ascii() {
        let (left, right) = (left.bytes(), right.bytes());
        return left.map(|byte| byte.to_ascii_lowercase()).cmp(right.map(|byte| byte.to_ascii_lowercase()));
    }
    fold(left).cmp(&fold(right))
}

/// What a function makes of a date.
pub(super) fn applied(value: &Value, function: Option<Function>) -> Value {
    let Some(function) = function else { return value.clone() };
    let (day, hour) = match value {
        Value::Day(day) => (*day, 0),
        Value::Moment(ms) => (day_of(*ms), ms.rem_euclid(86_400_000) / 3_600_000),
        _ => return Value::Null,
    };
    Value::Number(match function {
        Function::DayOnly => return Value::Day(day),
        Function::CalendarYear => f64::from(day.year()),
        Function::CalendarQuarter => f64::from((day.month() - 1) / 3 + 1),
        Function::CalendarMonth => f64::from(day.month()),
        Function::DayInMonth => f64::from(day.day()),
        Function::HourInDay => f64::from(i32::try_from(hour).unwrap_or_default()),
    })
}

/// A literal made ready to be compared with a field, once for all rows.
#[derive(Debug, Clone)]
pub(super) enum Ready {
    Value(Value, bool),
    /// From the first value to before the last.
    Span(Value, Value),
}

impl Ready {
    /// `exact` is true for fields that tell upper from lower case.
    pub(super) fn new(literal: &Literal, path: Option<&Path>, exact: bool, now_ms: i64) -> Self {
        let kind = path.map(|path| path.kind);
        let whole_day = kind == Some(Kind::Date) || path.is_some_and(|path| path.function == Some(Function::DayOnly));
        let value = match literal {
            Literal::Null => Value::Null,
            Literal::Bool(value) => Value::Bool(*value),
            Literal::Number(number) => Value::Number(*number),
            Literal::Text(text) if matches!(kind, Some(Kind::Id | Kind::Reference)) => match ids::read(text) {
                Some((prefix, serial)) if serial != u64::MAX => Value::Text(ids::make(&prefix, serial)),
                _ => Value::Text(text.as_str().into()),
            },
            Literal::Text(text) => Value::Text(text.as_str().into()),
            Literal::Day(text) if kind == Some(Kind::Time) => text.trim_end_matches('Z').parse().map_or(Value::Null, Value::Time),
            Literal::Day(text) if whole_day => text.parse().map_or(Value::Null, Value::Day),
            Literal::Day(text) => read_datetime(text).map_or(Value::Null, Value::Moment),
            Literal::Span(word, n) => {
                let (from, to) = dates::span(word, *n, day_of(now_ms));
                let value = |day: Date| if whole_day { Value::Day(day) } else { Value::Moment(start_ms(day)) };
                return Self::Span(value(from), value(to));
            }
        };
        Self::Value(value, exact)
    }

    /// True when `value sign literal` holds.
    pub(super) fn holds(&self, value: &Value, sign: &str) -> bool {
        match self {
            Self::Value(wanted, exact) => {
                if wanted.is_null() || value.is_null() {
                    // Nothing is only equal or not equal to something.
                    let same = wanted.is_null() && (value.is_null());
                    return match sign {
                        "=" => same,
                        "!=" => !same,
                        _ => false,
                    };
                }
                let order = match (value, wanted) {
                    (Value::Text(left), Value::Text(right)) if *exact => left.cmp(right),
                    _ => order(value, wanted),
                };
                fits(order, sign)
            }
            Self::Span(from, to) => {
                if value.is_null() {
                    return sign == "!=";
                }
                let (after_begin, before_end) = (order(value, from).is_ge(), order(value, to).is_lt());
                match sign {
                    "=" => after_begin && before_end,
                    "!=" => !(after_begin && before_end),
                    "<" => !after_begin,
                    "<=" => before_end,
                    ">" => !before_end,
                    _ => after_begin,
                }
            }
        }
    }
}

fn fits(order: Ordering, sign: &str) -> bool {
    match sign {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }
}

/// `%` stands for any letters, `_` for one, a stroke before them for themselves. Case does not matter.
pub(super) fn like(text: &str, pattern: &[Piece]) -> bool {
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    // The usual two pointers: on a mismatch go back to the last `%` and let it take one letter more.
    let (mut at, mut piece, mut back) = (0, 0, None);
    while at < text.len() {
        match pattern.get(piece) {
            Some(Piece::Letter(letter)) if *letter == text[at] => (at, piece) = (at + 1, piece + 1),
            Some(Piece::One) => (at, piece) = (at + 1, piece + 1),
            Some(Piece::Any) => {
                back = Some((at, piece));
                piece += 1;
            }
            _ => match back {
                Some((from, any)) => {
                    back = Some((from + 1, any));
                    (at, piece) = (from + 1, any + 1);
                }
                None => return false,
            },
        }
    }
    pattern[piece..].iter().all(|piece| *piece == Piece::Any)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Letter(char),
    One,
    Any,
}

pub(super) fn pattern(text: &str) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => out.push(Piece::Any),
            '_' => out.push(Piece::One),
            '\\' => out.extend(letters.next().map(|letter| Piece::Letter(letter.to_lowercase().next().unwrap_or(letter)))),
            _ => out.extend(letter.to_lowercase().map(Piece::Letter)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{like, pattern};

    #[test]
    fn patterns_match_as_documented() {
        for (text, wanted, fits) in [
            ("Acme Corp", "acme%", true),
            ("Acme", "A_me", true),
            ("Acme", "%m%", true),
            ("Acme", "cme", false),
            ("50% off", r"50\%%", true),
            ("500 off", r"50\%%", false),
            ("", "%", true),
            ("aaaaaaaaab", "%a%a%a%c", false),
        ] {
            assert_eq!(like(text, &pattern(wanted)), fits, "{text} like {wanted}");
        }
    }
}
