//! Operators: which kinds they take, as `ops.rs` has it.

use crate::types::shape::{
    BOOLEAN, DATE, DATE_TIME, DURATION, FRACTION, INNER, Kinds, LIST, NULL, NUMBER, RECORD, TEXT, Type, WHOLE,
};

/// An operation that fails with all values of these types. The message begins with "this", for
/// the piece of source.
pub(super) struct Misfit {
    pub(super) message: String,
    pub(super) hint: Option<&'static str>,
    /// Whether it goes well, and gives false, while one of the values is null.
    pub(super) spares_null: bool,
}

/// What an operator between two values gives, or why it always fails.
pub(super) fn binary(sign: &str, a: &Type, b: &Type) -> Result<Type, Misfit> {
    if a.kinds == 0 || b.kinds == 0 {
        return Ok(Type::never());
    }
    match sign {
        "==" | "!=" => compare(a, b, &SAME, true),
        "<" | "<=" | ">" | ">=" => compare(a, b, &ORDERED, false),
        "in" | "!in" => contains(b, a),
        "+" => add(a, b),
        "-" => arithmetic(&DIFFERENCE, a, b, "subtracts", true),
        "*" => arithmetic(&PRODUCT, a, b, "multiplies", true),
        "%" => arithmetic(&NUMBERS, a, b, "divides", true),
        "/" => arithmetic(&QUOTIENT, a, b, "divides", false),
        "**" => arithmetic(&NUMBERS, a, b, "raises", false),
        ".." | "..=" => Ok(Type::of(INNER)),
        _ => Ok(Type::any()),
    }
}

/// Kinds that equal only their own.
const SAME: [Kinds; 9] = [BOOLEAN, NUMBER, TEXT, LIST, RECORD, INNER, DATE, DATE_TIME, DURATION];
const ORDERED: [Kinds; 5] = [NUMBER, TEXT, DATE, DATE_TIME, DURATION];

fn compare(a: &Type, b: &Type, alike: &[Kinds], null: bool) -> Result<Type, Misfit> {
    let fits = alike.iter().any(|kinds| a.kinds & kinds != 0 && b.kinds & kinds != 0);
    if fits || (null && (a.kinds == NULL || b.kinds == NULL)) {
        return Ok(Type::of(BOOLEAN));
    }
    if !null && (a.kinds == NULL || b.kinds == NULL) {
        return Err(Misfit {
            message: "this compares with null, which has no order".to_owned(),
            hint: Some("Say what a missing value counts as: (… ?? 0)"),
            spares_null: false,
        });
    }
    if !null && (a.kinds & b.kinds & !NULL) != 0 {
        let message = format!("this orders {} and {}; only numbers, texts and dates have an order", a.describe(), b.describe());
        return Err(Misfit { message, hint: None, spares_null: false });
    }
    Err(Misfit { spares_null: null && (a.kinds | b.kinds) & NULL != 0, ..unlike("compares", a, b) })
}

fn contains(whole: &Type, part: &Type) -> Result<Type, Misfit> {
    let fits = whole.kinds & LIST != 0 || (whole.kinds & (TEXT | RECORD) != 0 && part.kinds & TEXT != 0);
    if fits {
        return Ok(Type::of(BOOLEAN));
    }
    Err(if whole.kinds == NULL {
        Misfit {
            message: "what should contain something is null".to_owned(),
            hint: Some("Say what a missing list counts as: (… ?? [])"),
            spares_null: false,
        }
    } else {
        Misfit { message: format!("{} cannot contain {}", whole.describe(), part.describe()), hint: None, spares_null: false }
    })
}

/// What an operator makes of a left and a right kind.
type Row = (Kinds, Kinds, Kinds);

const SUM: [Row; 7] = [
    (NUMBER, NUMBER, NUMBER),
    (TEXT, TEXT, TEXT),
    (DURATION, DURATION, DURATION),
    (DATE, DURATION, DATE),
    (DURATION, DATE, DATE),
    (DATE_TIME, DURATION, DATE_TIME),
    (DURATION, DATE_TIME, DATE_TIME),
];
const DIFFERENCE: [Row; 6] = [
    (NUMBER, NUMBER, NUMBER),
    (DURATION, DURATION, DURATION),
    (DATE, DATE, DURATION),
    (DATE_TIME, DATE_TIME, DURATION),
    (DATE, DURATION, DATE),
    (DATE_TIME, DURATION, DATE_TIME),
];
const PRODUCT: [Row; 3] = [(NUMBER, NUMBER, NUMBER), (DURATION, NUMBER, DURATION), (NUMBER, DURATION, DURATION)];
const QUOTIENT: [Row; 3] = [(NUMBER, NUMBER, NUMBER), (DURATION, NUMBER, DURATION), (DURATION, DURATION, NUMBER)];
const NUMBERS: [Row; 1] = [(NUMBER, NUMBER, NUMBER)];

fn add(a: &Type, b: &Type) -> Result<Type, Misfit> {
    let mut sum = Type::of(look_up(&SUM, a, b, true));
    if a.kinds & b.kinds & LIST != 0 {
        sum = sum.or(&Type::list(a.items().or(&b.items())));
    }
    if sum.kinds != 0 {
        return Ok(sum);
    }
    if a.kinds == RECORD && b.kinds == RECORD {
        let hint = Some("Put one over the other with merge(a, b).");
        return Err(Misfit { message: "this adds two records".to_owned(), hint, spares_null: false });
    }
    Err(unlike("adds", a, b))
}

fn arithmetic(rows: &[Row], a: &Type, b: &Type, verb: &str, keeps_whole: bool) -> Result<Type, Misfit> {
    match look_up(rows, a, b, keeps_whole) {
        0 => Err(unlike(verb, a, b)),
        kinds => Ok(Type::of(kinds)),
    }
}

/// All that may come out. Of whole numbers comes a whole one, if the operator keeps them so.
fn look_up(rows: &[Row], a: &Type, b: &Type, keeps_whole: bool) -> Kinds {
    let fits = |(left, right, _): &&Row| a.kinds & left != 0 && b.kinds & right != 0;
    let found = rows.iter().filter(fits).fold(0, |all, (.., gives)| all | gives);
    let whole = keeps_whole && (a.kinds | b.kinds) & NUMBER == WHOLE;
    if whole { found & !FRACTION } else { found }
}

fn unlike(verb: &str, a: &Type, b: &Type) -> Misfit {
    let with = if verb == "compares" { "with" } else { "and" };
    if a.kinds == NULL || b.kinds == NULL {
        let other = if a.kinds == NULL { b } else { a };
        return Misfit {
            message: format!("this {verb} {} and null", other.describe()),
            hint: Some("Say what a missing value counts as: (… ?? 0) or (… ?? \"\")"),
            spares_null: false,
        };
    }
    let pair = |one: Kinds, other: Kinds| {
        let lies = |kinds: Kinds, within: Kinds| kinds & !(within | NULL) == 0;
        (lies(a.kinds, one) && lies(b.kinds, other)) || (lies(a.kinds, other) && lies(b.kinds, one))
    };
    let hint = if pair(TEXT, NUMBER) && verb == "adds" {
        Some("Turn one into the other first: to_number(…) to add, to_text(…) to join")
    } else if pair(TEXT, NUMBER) {
        Some("Turn the text into a number first: to_number(…)")
    } else if pair(TEXT, TEXT) {
        Some("Turn the texts into numbers first: to_number(…)")
    } else if pair(TEXT, DATE) {
        Some("Turn the text into a date first: date(…)")
    } else if pair(TEXT, DATE_TIME) {
        Some("Turn the text into a date-time first: datetime(…)")
    } else if pair(TEXT, DURATION) {
        Some("Turn the text into a duration first: duration(…)")
    } else if pair(DATE, DATE_TIME) {
        Some("Take the day of the date-time: date(…, \"Europe/Berlin\")")
    } else if pair(NUMBER, DATE | DATE_TIME) {
        Some("Say what the number counts: … + duration(\"3d\")")
    } else if verb == "compares" && (a.kinds | b.kinds) & LIST != 0 {
        Some("Ask whether a list has it: contains(list, value), or count(list) for its length")
    } else {
        None
    };
    Misfit { message: format!("this {verb} {} {with} {}", a.describe(), b.describe()), hint, spares_null: false }
}
