//! Dates, date-times and durations in text.

use jiff::{
    SignedDuration, Span, Timestamp, Zoned,
    civil::{Date, DateTime},
    fmt::temporal::Pieces,
    tz::TimeZone,
};

use super::zone;
use crate::limits;

/// What a text in ISO 8601 says.
#[derive(Debug, Clone)]
pub(crate) enum Moment {
    /// A day.
    Date(Date),
    /// A day and a time of day, and not where.
    Local(DateTime),
    /// An instant. In UTC, unless the text names a zone in brackets.
    Instant(Zoned),
}

impl Moment {
    pub(crate) fn date(&self) -> Date {
        match self {
            Self::Date(date) => *date,
            Self::Local(local) => local.date(),
            Self::Instant(zoned) => zoned.date(),
        }
    }

    /// The time on the clock; midnight for a date.
    pub(crate) fn local(&self) -> DateTime {
        match self {
            Self::Date(date) => date.to_datetime(jiff::civil::Time::midnight()),
            Self::Local(local) => *local,
            Self::Instant(zoned) => zoned.datetime(),
        }
    }
}

/// Reads `2026-01-31`, `2026-01-31T10:00:00`, `2026-01-31T10:00:00Z`,
/// `2026-01-31T10:00:00+01:00` or `2026-01-31T10:00:00+01:00[Europe/Berlin]`.
pub(crate) fn moment(text: &str) -> Option<Moment> {
    let text = text.trim();
    if text.len() > limits::DATE_TEXT_BYTES_MAX {
        return None;
    }
    let pieces = Pieces::parse(text).ok()?;
    let in_years = |moment: Moment| limits::YEARS.contains(&moment.date().year()).then_some(moment);
    let Some(time) = pieces.time() else {
        let plain = pieces.offset().is_none() && pieces.time_zone_annotation().is_none();
        return plain.then(|| in_years(Moment::Date(pieces.date()))).flatten();
    };
    let local = pieces.date().to_datetime(time);
    let named = match pieces.time_zone_annotation() {
        Some(_) => Some(zone(text.split_once('[')?.1.split(']').next()?.trim_start_matches('!')).ok()?),
        None => None,
    };
    let zoned = match (pieces.to_numeric_offset(), named) {
        (None, None) => return in_years(Moment::Local(local)),
        (Some(offset), named) => offset.to_timestamp(local).ok()?.to_zoned(named.unwrap_or(TimeZone::UTC)),
        (None, Some(zone)) => local.to_zoned(zone).ok()?,
    };
    in_years(Moment::Instant(zoned))
}

/// Reads a duration as recipes write it (`90m`, and `-90m`), or in ISO 8601 (`PT1H30M`) without
/// months and years, whose length differs.
pub(crate) fn length(text: &str) -> Option<SignedDuration> {
    let text = text.trim();
    if text.len() > limits::DATE_TEXT_BYTES_MAX {
        return None;
    }
    let (negative, plain) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let length = if plain.starts_with(['P', 'p']) { iso_length(plain)? } else { recipe_length(plain)? };
    let length = if negative { length.checked_neg()? } else { length };
    in_bounds(length)
}

/// A length no longer than all the time there is.
pub(super) fn in_bounds(length: SignedDuration) -> Option<SignedDuration> {
    (length.as_secs().unsigned_abs() <= limits::DURATION_SECONDS_MAX).then_some(length)
}

fn recipe_length(text: &str) -> Option<SignedDuration> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let number: i64 = number.parse().ok()?;
    let seconds = |each: i64| number.checked_mul(each).map(SignedDuration::from_secs);
    match unit {
        "ms" => Some(SignedDuration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(60 * 60),
        "d" => seconds(24 * 60 * 60),
        _ => None,
    }
}

fn iso_length(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return None;
    }
    let days = i64::from(span.get_weeks()).checked_mul(7)?.checked_add(i64::from(span.get_days()))?;
    let rest = SignedDuration::try_from(span.weeks(0).days(0)).ok()?;
    SignedDuration::from_secs(days.checked_mul(86_400)?).checked_add(rest)
}

/// The instant of `now()`, as the engine says it.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{length, moment};
    use crate::time::{Time, fixed_offset, zoned};

    #[test]
    fn offsets() {
        for (text, seconds) in [("+02:00", 7200), ("-0530", -19_800), ("+00", 0), ("-23:59", -86_340)] {
            assert_eq!(fixed_offset(text).map(|offset| offset.seconds()), Some(seconds), "{text}");
        }
        for text in ["", "+", "02:00", "+2", "+02:60", "+99:00", "+é", "+02:00:00", "+1é1"] {
            assert!(fixed_offset(text).is_none(), "{text}");
        }
    }

    #[test]
    fn durations_come_back_as_they_were() {
        for text in ["500ms", "30s", "5m", "12h", "7d", "0s", "-90m", "36h"] {
            assert_eq!(length(text).map(|read| Time::Length(read).to_string()).as_deref(), Some(text));
        }
        for (text, written) in [("PT2H", "2h"), ("P1DT12H", "36h"), ("P2W", "14d"), ("PT0.5S", "500ms"), ("60m", "1h")] {
            assert_eq!(length(text).map(|read| Time::Length(read).to_string()).as_deref(), Some(written));
        }
        for text in ["", "s", "5", "1.5h", "1h30m", "P1M", "P1Y", "5 m", "99999999999999999999s", "99999999999d", "--5m", "P"] {
            assert!(length(text).is_none(), "{text}");
        }
    }

    #[test]
    fn instants_are_written_in_rfc_3339() {
        for (text, written) in [
            ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z"),
            ("2026-01-31T10:00:00.5+01:00", "2026-01-31T09:00:00.5Z"),
            ("2026-01-31 10:00Z", "2026-01-31T10:00:00Z"),
            ("2026-07-31T10:00:00+02:00[Europe/Berlin]", "2026-07-31T10:00:00+02:00"),
            ("2026-07-31T10:00:00[Europe/Berlin]", "2026-07-31T10:00:00+02:00"),
            ("1850-01-01T00:00:00[Europe/Berlin]", "1849-12-31T23:06:32Z"),
        ] {
            let Some(super::Moment::Instant(read)) = moment(text) else { panic!("{text}") };
            assert_eq!(zoned(read).unwrap().to_string(), written);
        }
        assert!(matches!(moment("2026-01-31"), Some(super::Moment::Date(_))));
        assert!(matches!(moment("2026-01-31T10:00"), Some(super::Moment::Local(_))));
        for text in ["", "31.01.2026", "2026-02-30", "2026-01-31T25:00", "2026", "0000-01-01", "-000001-01-01", "2026-01-31Z"] {
            assert!(moment(text).is_none(), "{text}");
        }
    }
}
