//! Date literals: `TODAY`, `LAST_N_DAYS:7`, `THIS_FISCAL_QUARTER`.

use jiff::{
    Span,
    civil::{Date, Weekday},
};

const PLAIN: &[&str] = &[
    "YESTERDAY",
    "TODAY",
    "TOMORROW",
    "LAST_WEEK",
    "THIS_WEEK",
    "NEXT_WEEK",
    "LAST_MONTH",
    "THIS_MONTH",
    "NEXT_MONTH",
    "LAST_90_DAYS",
    "NEXT_90_DAYS",
    "THIS_QUARTER",
    "LAST_QUARTER",
    "NEXT_QUARTER",
    "THIS_YEAR",
    "LAST_YEAR",
    "NEXT_YEAR",
    "THIS_FISCAL_QUARTER",
    "LAST_FISCAL_QUARTER",
    "NEXT_FISCAL_QUARTER",
    "THIS_FISCAL_YEAR",
    "LAST_FISCAL_YEAR",
    "NEXT_FISCAL_YEAR",
];
const COUNTED: &[&str] = &[
    "LAST_N_DAYS",
    "NEXT_N_DAYS",
    "N_DAYS_AGO",
    "LAST_N_WEEKS",
    "NEXT_N_WEEKS",
    "N_WEEKS_AGO",
    "LAST_N_MONTHS",
    "NEXT_N_MONTHS",
    "N_MONTHS_AGO",
    "LAST_N_QUARTERS",
    "NEXT_N_QUARTERS",
    "N_QUARTERS_AGO",
    "LAST_N_YEARS",
    "NEXT_N_YEARS",
    "N_YEARS_AGO",
    "LAST_N_FISCAL_QUARTERS",
    "NEXT_N_FISCAL_QUARTERS",
    "LAST_N_FISCAL_YEARS",
    "NEXT_N_FISCAL_YEARS",
];

pub(super) fn known(word: &str) -> bool {
    PLAIN.contains(&word) || counted(word)
}

/// True for those with a number behind a colon.
pub(super) fn counted(word: &str) -> bool {
    COUNTED.contains(&word)
}

#[derive(Clone, Copy)]
enum Unit {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// First day, and the day after the last, of a literal.
pub(super) fn span(word: &str, n: i64, today: Date) -> (Date, Date) {
    // The fiscal year of a new org is the calendar's.
    let plain = word.replace("FISCAL_", "");
    if let Some(days) = plain.strip_suffix("_90_DAYS") {
        return if days == "LAST" {
            (add(today, Unit::Day, -90), add(today, Unit::Day, 1))
        } else {
            (add(today, Unit::Day, 1), add(today, Unit::Day, 91))
        };
    }
    match plain.as_str() {
        "TODAY" => return (today, add(today, Unit::Day, 1)),
        "YESTERDAY" => return (add(today, Unit::Day, -1), today),
        "TOMORROW" => return (add(today, Unit::Day, 1), add(today, Unit::Day, 2)),
        _ => {}
    }
    let unit = unit(&plain);
    let begin = begin(today, unit);
    let next = add(begin, unit, 1);
    if plain.ends_with("_AGO") {
        return (add(begin, unit, -n), add(begin, unit, 1 - n));
    }
    match (plain.split('_').next(), plain.contains("_N_"), unit) {
        (Some("THIS"), ..) => (begin, next),
        (Some("LAST"), false, _) => (add(begin, unit, -1), begin),
        (Some("NEXT"), false, _) => (next, add(next, unit, 1)),
        // Days count up to today; longer units end before the running one.
        (Some("LAST"), true, Unit::Day) => (add(begin, unit, -n), next),
        (Some("LAST"), true, _) => (add(begin, unit, -n), begin),
        _ => (next, add(next, unit, n)),
    }
}

fn unit(word: &str) -> Unit {
    if word.contains("DAY") {
        Unit::Day
    } else if word.contains("WEEK") {
        Unit::Week
    } else if word.contains("MONTH") {
        Unit::Month
    } else if word.contains("QUARTER") {
        Unit::Quarter
    } else {
        Unit::Year
    }
}

fn begin(today: Date, unit: Unit) -> Date {
    match unit {
        Unit::Day => today,
        // Weeks begin on Sunday in the locale of the org.
        Unit::Week => add(today, Unit::Day, -i64::from(today.weekday().since(Weekday::Sunday))),
        Unit::Month => today.first_of_month(),
        Unit::Quarter => {
            let month = (today.month() - 1) / 3 * 3 + 1;
            Date::new(today.year(), month, 1).unwrap_or(today)
        }
        Unit::Year => today.first_of_year(),
    }
}

fn add(date: Date, unit: Unit, n: i64) -> Date {
    let span = match unit {
        Unit::Day => Span::new().try_days(n),
        Unit::Week => Span::new().try_weeks(n),
        Unit::Month => Span::new().try_months(n),
        Unit::Quarter => Span::new().try_months(n.saturating_mul(3)),
        Unit::Year => Span::new().try_years(n),
    };
    let edge = if n < 0 { Date::MIN } else { Date::MAX };
    span.ok().and_then(|span| date.checked_add(span).ok()).unwrap_or(edge)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::span;

    #[test]
    fn literals_are_whole_days_in_the_org_time() {
        let today = date(2026, 11, 18);
        for (word, n, from, to) in [
            ("TODAY", 0, date(2026, 11, 18), date(2026, 11, 19)),
            ("LAST_N_DAYS", 3, date(2026, 11, 15), date(2026, 11, 19)),
            ("NEXT_N_DAYS", 2, date(2026, 11, 19), date(2026, 11, 21)),
            ("THIS_WEEK", 0, date(2026, 11, 15), date(2026, 11, 22)),
            ("LAST_MONTH", 0, date(2026, 10, 1), date(2026, 11, 1)),
            ("THIS_FISCAL_QUARTER", 0, date(2026, 10, 1), date(2027, 1, 1)),
            ("LAST_N_MONTHS", 2, date(2026, 9, 1), date(2026, 11, 1)),
            ("N_DAYS_AGO", 2, date(2026, 11, 16), date(2026, 11, 17)),
            ("NEXT_YEAR", 0, date(2027, 1, 1), date(2028, 1, 1)),
        ] {
            assert_eq!(span(word, n, today), (from, to), "{word}:{n}");
        }
    }
}
