//! Oracle's functions, as far as SuiteQL has them.

use jiff::civil::DateTime;

use super::{
    dates,
    tables::Ctx,
    value::{Val, plain},
};

pub(super) const AGGREGATES: [&str; 5] = ["COUNT", "SUM", "MIN", "MAX", "AVG"];

/// Name, and how many arguments at least and at most.
pub(super) const NAMES: [(&str, usize, usize); 43] = [
    ("TO_CHAR", 1, 3),
    ("TO_DATE", 1, 2),
    ("TO_TIMESTAMP", 1, 2),
    ("TO_NUMBER", 1, 2),
    ("NVL", 2, 2),
    ("NVL2", 3, 3),
    ("COALESCE", 1, 50),
    ("DECODE", 3, 255),
    ("NULLIF", 2, 2),
    ("UPPER", 1, 1),
    ("LOWER", 1, 1),
    ("INITCAP", 1, 1),
    ("LENGTH", 1, 1),
    ("SUBSTR", 2, 3),
    ("TRIM", 1, 1),
    ("LTRIM", 1, 2),
    ("RTRIM", 1, 2),
    ("REPLACE", 2, 3),
    ("INSTR", 2, 2),
    ("CONCAT", 2, 2),
    ("LPAD", 2, 3),
    ("RPAD", 2, 3),
    ("ROUND", 1, 2),
    ("TRUNC", 1, 2),
    ("ABS", 1, 1),
    ("MOD", 2, 2),
    ("FLOOR", 1, 1),
    ("CEIL", 1, 1),
    ("SIGN", 1, 1),
    ("POWER", 2, 2),
    ("SQRT", 1, 1),
    ("GREATEST", 1, 50),
    ("LEAST", 1, 50),
    ("ADD_MONTHS", 2, 2),
    ("LAST_DAY", 1, 1),
    ("MONTHS_BETWEEN", 2, 2),
    ("SYSDATE", 0, 0),
    ("CURRENT_DATE", 0, 0),
    ("CURRENT_TIMESTAMP", 0, 0),
    ("SYS_EXTRACT_UTC", 1, 1),
    ("EXTRACT", 2, 2),
    ("CHR", 1, 1),
    ("ASCII", 1, 1),
];

/// Longest text a function pads to.
const PAD_MAX: usize = 4_000;

/// A function of values. What makes no sense is null.
pub(super) fn call(name: &str, given: &[Val], ctx: &Ctx<'_>) -> Val {
    let settings = ctx.settings;
    let at = |place: usize| given.get(place).cloned().unwrap_or(Val::Null);
    let text = |place: usize| at(place).text(settings);
    match name {
        "SYSDATE" | "CURRENT_DATE" | "CURRENT_TIMESTAMP" => Val::Moment(ctx.now()),
        "NVL" | "COALESCE" => given.iter().find(|value| !value.is_null()).cloned().unwrap_or(Val::Null),
        "NVL2" => {
            if at(0).is_null() {
                at(2)
            } else {
                at(1)
            }
        }
        "NULLIF" => {
            if at(0).order(&at(1), settings) == Some(std::cmp::Ordering::Equal) {
                Val::Null
            } else {
                at(0)
            }
        }
        "DECODE" => decode(given, ctx),
        "GREATEST" | "LEAST" => most(name, given, ctx),
        "TO_CHAR" => to_char(&at(0), text(1).as_deref(), ctx),
        "TO_DATE" | "TO_TIMESTAMP" => match (at(0), text(1)) {
            (Val::Text(text), Some(format)) => dates::read(&text, &format).map_or(Val::Null, Val::Moment),
            (value, _) => value.moment(settings).map_or(Val::Null, Val::Moment),
        },
        "SYS_EXTRACT_UTC" => {
            let utc = at(0)
                .moment(settings)
                .and_then(|local| local.to_zoned(ctx.zone.clone()).ok())
                .map(|zoned| zoned.with_time_zone(jiff::tz::TimeZone::UTC).datetime());
            utc.map_or(Val::Null, Val::Moment)
        }
        "ADD_MONTHS" | "LAST_DAY" | "MONTHS_BETWEEN" | "EXTRACT" => calendar(name, &at(0), &at(1), ctx),
        "TRUNC" if matches!(at(0), Val::Day(_) | Val::Moment(_)) => trunc(&at(0), text(1).as_deref(), ctx),
        "TO_NUMBER" | "ROUND" | "TRUNC" | "ABS" | "MOD" | "FLOOR" | "CEIL" | "SIGN" | "POWER" | "SQRT" => {
            arithmetic(name, &at(0), &at(1))
        }
        _ => match text(0) {
            Some(first) => words(name, &first, given, ctx),
            None if name == "CONCAT" => at(1),
            None => Val::Null,
        },
    }
}

impl Ctx<'_> {
    fn now(&self) -> DateTime {
        self.local(self.clock)
    }
}

fn decode(given: &[Val], ctx: &Ctx<'_>) -> Val {
    let Some((value, rest)) = given.split_first() else { return Val::Null };
    let mut pairs = rest.chunks_exact(2);
    for pair in pairs.by_ref() {
        let both_null = value.is_null() && pair[0].is_null();
        if both_null || value.order(&pair[0], ctx.settings) == Some(std::cmp::Ordering::Equal) {
            return pair[1].clone();
        }
    }
    pairs.remainder().first().cloned().unwrap_or(Val::Null)
}

fn most(name: &str, given: &[Val], ctx: &Ctx<'_>) -> Val {
    let wanted = if name == "GREATEST" { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Less };
    if given.iter().any(Val::is_null) {
        return Val::Null;
    }
    let mut values = given.iter();
    let first = values.next().cloned().unwrap_or(Val::Null);
    values.fold(first, |best, value| if value.order(&best, ctx.settings) == Some(wanted) { value.clone() } else { best })
}

fn to_char(value: &Val, format: Option<&str>, ctx: &Ctx<'_>) -> Val {
    match (value, format) {
        (Val::Day(_) | Val::Moment(_), Some(format)) => {
            value.moment(ctx.settings).map_or(Val::Null, |at| Val::of(dates::write(at, format)))
        }
        (Val::Number(number), Some(format)) => {
            let digits =
                format.rsplit_once(['.', 'D']).map_or(0, |(_, after)| after.chars().filter(|c| matches!(c, '9' | '0')).count());
            Val::of(format!("{number:.digits$}"))
        }
        _ => value.text(ctx.settings).map_or(Val::Null, Val::of),
    }
}

fn trunc(value: &Val, format: Option<&str>, ctx: &Ctx<'_>) -> Val {
    let Some(at) = value.moment(ctx.settings) else { return Val::Null };
    let day = at.date();
    let first = match format.map(str::to_uppercase).as_deref() {
        Some("MM" | "MON" | "MONTH") => day.first_of_month(),
        Some("YYYY" | "YEAR" | "Y" | "YY") => day.first_of_year(),
        _ => day,
    };
    Val::Day(first)
}

#[expect(clippy::cast_possible_truncation, reason = "months and days are bounded before")]
fn calendar(name: &str, first: &Val, second: &Val, ctx: &Ctx<'_>) -> Val {
    let settings = ctx.settings;
    match name {
        "ADD_MONTHS" => {
            let months = second.number().filter(|months| months.abs() < 12_000.0).map(|months| months as i32);
            let moved =
                first.moment(settings).zip(months).and_then(|(at, months)| at.checked_add(jiff::Span::new().months(months)).ok());
            moved.map_or(Val::Null, Val::Moment)
        }
        "LAST_DAY" => first.moment(settings).map_or(Val::Null, |at| Val::Day(at.date().last_of_month())),
        "MONTHS_BETWEEN" => match (first.moment(settings), second.moment(settings)) {
            (Some(to), Some(from)) => {
                let months =
                    (i32::from(to.year()) - i32::from(from.year())) * 12 + i32::from(to.month()) - i32::from(from.month());
                Val::Number(f64::from(months) + f64::from(to.day() - from.day()) / 31.0)
            }
            _ => Val::Null,
        },
        _ => match (first.text(settings).as_deref(), second.moment(settings)) {
            (Some("YEAR"), Some(at)) => Val::Number(at.year().into()),
            (Some("MONTH"), Some(at)) => Val::Number(at.month().into()),
            (Some("DAY"), Some(at)) => Val::Number(at.day().into()),
            (Some("HOUR"), Some(at)) => Val::Number(at.hour().into()),
            (Some("MINUTE"), Some(at)) => Val::Number(at.minute().into()),
            (Some("SECOND"), Some(at)) => Val::Number(at.second().into()),
            _ => Val::Null,
        },
    }
}

fn arithmetic(name: &str, first: &Val, second: &Val) -> Val {
    let Some(number) = first.number() else { return Val::Null };
    let other = second.number();
    let scale = 10_f64.powf(other.unwrap_or_default().clamp(-15.0, 15.0).trunc());
    let done = match name {
        "ROUND" => (number * scale).round() / scale,
        "TRUNC" => (number * scale).trunc() / scale,
        "ABS" => number.abs(),
        "FLOOR" => number.floor(),
        "CEIL" => number.ceil(),
        "SIGN" => {
            if number == 0.0 {
                0.0
            } else {
                number.signum()
            }
        }
        "SQRT" => number.sqrt(),
        "MOD" => match other {
            Some(other) if other != 0.0 => number % other,
            _ => number,
        },
        "POWER" => number.powf(other.unwrap_or(1.0)),
        _ => number,
    };
    if done.is_finite() { Val::Number(done) } else { Val::Null }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "places in texts are bounded before")]
fn words(name: &str, first: &str, given: &[Val], ctx: &Ctx<'_>) -> Val {
    let text = |place: usize| given.get(place).and_then(|value| value.text(ctx.settings)).unwrap_or_default();
    let number = |place: usize| given.get(place).and_then(Val::number);
    let cut = |place: usize| {
        let set = text(place);
        if set.is_empty() { vec![' '] } else { set.chars().collect::<Vec<char>>() }
    };
    match name {
        "UPPER" => Val::of(first.to_uppercase()),
        "LOWER" => Val::of(first.to_lowercase()),
        "INITCAP" => {
            let mut begin = true;
            let letters = first.chars().flat_map(|letter| {
                let out: Vec<char> = if begin { letter.to_uppercase().collect() } else { letter.to_lowercase().collect() };
                begin = !letter.is_alphanumeric();
                out
            });
            Val::of(letters.collect::<String>())
        }
        "LENGTH" => super::tables::whole(first.chars().count() as u64),
        "SUBSTR" => {
            let letters: Vec<char> = first.chars().collect();
            let start = number(1).unwrap_or(1.0).clamp(-1e9, 1e9) as i64;
            let begin = if start > 0 {
                start as usize - 1
            } else if start == 0 {
                0
            } else {
                letters.len().saturating_sub(start.unsigned_abs() as usize)
            };
            let most = number(2).map_or(usize::MAX, |most| most.clamp(0.0, 1e9) as usize);
            Val::of(letters.into_iter().skip(begin).take(most).collect::<String>())
        }
        "TRIM" => Val::of(first.trim()),
        "LTRIM" => Val::of(first.trim_start_matches(cut(1).as_slice())),
        "RTRIM" => Val::of(first.trim_end_matches(cut(1).as_slice())),
        "REPLACE" => {
            let from = text(1);
            if from.is_empty() {
                Val::of(first)
            } else {
                Val::of(first.replace(&from, &text(2)).chars().take(PAD_MAX).collect::<String>())
            }
        }
        "INSTR" => {
            first.find(&text(1)).map_or(Val::Number(0.0), |place| super::tables::whole(first[..place].chars().count() as u64 + 1))
        }
        "CONCAT" => Val::of(first.to_owned() + &text(1)),
        "LPAD" | "RPAD" => {
            let length = (number(1).unwrap_or_default().max(0.0) as usize).min(PAD_MAX);
            let fill = if text(2).is_empty() { " ".to_owned() } else { text(2) };
            let missing = length.saturating_sub(first.chars().count());
            let padding: String = fill.chars().cycle().take(missing).collect();
            let whole = if name == "LPAD" { padding + first } else { first.to_owned() + &padding };
            Val::of(whole.chars().take(length).collect::<String>())
        }
        "CHR" => number(0).and_then(|code| char::from_u32(code as u32)).map_or(Val::Null, Val::of),
        "ASCII" => first.chars().next().map_or(Val::Null, |letter| Val::Number(f64::from(u32::from(letter)))),
        _ => Val::of(plain(f64::NAN)),
    }
}
