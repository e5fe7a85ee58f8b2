//! Operators: which kinds they take, as `ops.rs` has it.

use crate::types::shape::{BOOLEAN, DURATION, INNER, Kinds, LIST, NULL, NUMBER, RECORD, TEXT, TIMES, Type, WHOLE};

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
        "-" => arithmetic(a, b, "subtracts", true),
        "*" => arithmetic(a, b, "multiplies", true),
        "%" => arithmetic(a, b, "divides", true),
        "/" => arithmetic(a, b, "divides", false),
        "**" => arithmetic(a, b, "raises", false),
        ".." | "..=" => Ok(Type::of(INNER)),
        _ => Ok(Type::any()),
    }
}

const SAME: [Kinds; 7] = [BOOLEAN, NUMBER, TEXT, LIST, RECORD, INNER, TIMES];
const ORDERED: [Kinds; 3] = [NUMBER, TEXT, TIMES];

fn compare(a: &Type, b: &Type, alike: &[Kinds], null: bool) -> Result<Type, Misfit> {
    let fits = alike.iter().any(|kinds| a.kinds & kinds != 0 && b.kinds & kinds != 0);
    if fits || (null && (a.kinds == NULL || b.kinds == NULL)) || times(a, b) {
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
        let message = format!("this orders {} and {}; only numbers and texts have an order", a.describe(), b.describe());
        return Err(Misfit { message, hint: None, spares_null: false });
    }
    Err(Misfit { spares_null: null && (a.kinds | b.kinds) & NULL != 0, ..unlike("compares", a, b) })
}

fn contains(whole: &Type, part: &Type) -> Result<Type, Misfit> {
    let fits = whole.kinds & LIST != 0 || (whole.kinds & (TEXT | RECORD) != 0 && part.kinds & TEXT != 0);
    if fits || times(whole, part) {
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

fn add(a: &Type, b: &Type) -> Result<Type, Misfit> {
    if times(a, b) {
        return Ok(Type::any());
    }
    let common = |kinds: Kinds| a.kinds & kinds != 0 && b.kinds & kinds != 0;
    let mut sum = Type::never();
    if common(NUMBER) {
        sum = number(a, b, true);
    }
    if common(TEXT) {
        sum = sum.or(&Type::of(TEXT));
    }
    if common(LIST) {
        sum = sum.or(&Type::list(a.items().or(&b.items())));
    }
    if common(TIMES) {
        sum = sum.or(&Type::of(TIMES));
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

fn arithmetic(a: &Type, b: &Type, verb: &str, keeps_whole: bool) -> Result<Type, Misfit> {
    if times(a, b) {
        return Ok(Type::any());
    }
    let mut found = Type::of(measured(a, b, verb));
    if a.kinds & NUMBER != 0 && b.kinds & NUMBER != 0 {
        found = found.or(&number(a, b, keeps_whole));
    }
    if found.kinds == 0 { Err(unlike(verb, a, b)) } else { Ok(found) }
}

fn number(a: &Type, b: &Type, keeps_whole: bool) -> Type {
    let whole = keeps_whole && (a.kinds | b.kinds) & NUMBER == WHOLE;
    Type::of(if whole { WHOLE } else { NUMBER })
}

/// What times give with each other, and durations with numbers.
fn measured(a: &Type, b: &Type, verb: &str) -> Kinds {
    let has = |a: &Type, kinds: Kinds| a.kinds & kinds != 0;
    match verb {
        "subtracts" if has(a, TIMES) && has(b, TIMES) => TIMES,
        "multiplies" if has(a, DURATION) && has(b, NUMBER) || has(a, NUMBER) && has(b, DURATION) => DURATION,
        "divides" if has(a, DURATION) && has(b, NUMBER | DURATION) => DURATION | NUMBER,
        _ => 0,
    }
}

/// Dates have rules of their own.
const fn times(a: &Type, b: &Type) -> bool {
    a.kinds & !(TIMES | NULL) == 0 && a.kinds & TIMES != 0 || b.kinds & !(TIMES | NULL) == 0 && b.kinds & TIMES != 0
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
    } else if verb == "compares" && (a.kinds | b.kinds) & LIST != 0 {
        Some("Ask whether a list has it: contains(list, value), or count(list) for its length")
    } else {
        None
    };
    Misfit { message: format!("this {verb} {} {with} {}", a.describe(), b.describe()), hint, spares_null: false }
}
