//! Numbers, sizes, durations and instants as people read them.
//!
//! Machine formats (ids, JSON, `datetime` attributes) are never localised; see `ui.md` 4.7.

use jiff::{Timestamp, tz::TimeZone};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// The zone in which one page shows its times.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

/// One instant, ready for `<time>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// `2026-11-19T09:12:04Z`, for the `datetime` attribute and for copying.
    pub utc: String,
    /// `10:12:04` if today, else `18 Nov, 10:12`.
    pub clock: String,
    /// `Thu 19 Nov, 10:12:04 CET`.
    pub full: String,
    /// `6 min ago`.
    pub ago: String,
    /// Microseconds since the epoch, for the script that keeps `ago` true.
    pub us: i64,
}

impl Zone {
    /// Coordinated universal time, used until the browser has told its zone.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// A zone by its IANA name, or UTC if there is none of that name. For the `tz` cookie.
    pub fn named(name: &str) -> Self {
        TimeZone::get(name).map_or_else(|_| Self::utc(), Self)
    }

    /// The IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The short name at an instant, such as `CET`.
    pub fn short(&self, us: i64) -> String {
        zoned(us, &self.0).strftime("%Z").to_string()
    }

    /// An instant as shown in this zone, seen from `now_us`.
    pub fn moment(&self, us: i64, now_us: i64) -> Moment {
        let at = zoned(us, &self.0);
        let now = zoned(now_us, &self.0);
        let clock = if at.date() == now.date() { "%H:%M:%S" } else { "%-d %b, %H:%M" };
        Moment {
            utc: zoned(us, &TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            clock: at.strftime(clock).to_string(),
            full: at.strftime("%a %-d %b, %H:%M:%S %Z").to_string(),
            ago: ago(now_us - us),
            us,
        }
    }
}

fn zoned(us: i64, zone: &TimeZone) -> jiff::Zoned {
    Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone())
}

/// How long ago, in words: `12 s ago`, `6 min ago`, `2 h ago`, `3 days ago`, `in 40 s`.
pub fn ago(us: i64) -> String {
    let span = |us: i64| match us {
        us if us < MINUTE_US => format!("{} s", us / SECOND_US),
        us if us < HOUR_US => format!("{} min", us / MINUTE_US),
        us if us < DAY_US => format!("{} h", us / HOUR_US),
        us if us < 2 * DAY_US => "1 day".to_owned(),
        us => format!("{} days", us / DAY_US),
    };
    match us {
        us if us <= -SECOND_US => format!("in {}", span(-us)),
        us if us < SECOND_US => "now".to_owned(),
        us => format!("{} ago", span(us)),
    }
}

/// A duration: `20 ms`, `0.41 s`, `8.3 s`, `18 m 43 s`, `2 h 05 m`, `3 d 4 h`.
pub fn duration(us: i64) -> String {
    let us = us.max(0);
    match us {
        us if us < 1_000 => "under 1 ms".to_owned(),
        us if us < 100_000 => format!("{} ms", us / 1_000),
        us if us < SECOND_US => format!("0.{:02} s", us / 10_000),
        us if us < 10 * SECOND_US && us % SECOND_US >= 100_000 => {
            format!("{}.{} s", us / SECOND_US, us % SECOND_US / 100_000)
        }
        us if us < MINUTE_US => format!("{} s", us / SECOND_US),
        us if us < HOUR_US => format!("{} m {:02} s", us / MINUTE_US, us % MINUTE_US / SECOND_US),
        us if us < DAY_US => format!("{} h {:02} m", us / HOUR_US, us % HOUR_US / MINUTE_US),
        us => format!("{} d {} h", us / DAY_US, us % DAY_US / HOUR_US),
    }
}

/// A size: `812 bytes`, `1.1 KB`, `2.1 MB`.
pub fn size(bytes: usize) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        b if b < 1_000 => format!("{b} bytes"),
        b if b < 1_000_000 => tenths(b / 100, "KB"),
        b => tenths(b / 100_000, "MB"),
    }
}

fn tenths(tenths: usize, unit: &str) -> String {
    if tenths >= 1_000 { format!("{} {unit}", tenths / 10) } else { format!("{}.{} {unit}", tenths / 10, tenths % 10) }
}

/// A count with separators: `12,482`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 run`, `12,482 runs`.
pub fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// `1st`, `2nd`, `3rd`, `4th`.
pub fn ordinal(n: usize) -> String {
    let suffix = match (n % 10, n % 100) {
        (1, t) if t != 11 => "st",
        (2, t) if t != 12 => "nd",
        (3, t) if t != 13 => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}

/// A share of runs as a percentage that never rounds up to 100: `99.9%`, `100%`.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    if part >= whole {
        return "100%".to_owned();
    }
    let tenths = u128::from(part) * 1_000 / u128::from(whole);
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// An instant from a URL: `24h`, `7d` (before now) or an ISO 8601 time. `None` if it is neither.
pub fn parse_instant(text: &str, now_us: i64) -> Option<i64> {
    let ago_us = |digits: &str, unit: i64| digits.parse::<i64>().ok()?.checked_mul(unit).and_then(|us| now_us.checked_sub(us));
    let text = text.trim();
    for (suffix, unit) in [("m", MINUTE_US), ("h", HOUR_US), ("d", DAY_US)] {
        if let Some(digits) = text.strip_suffix(suffix).filter(|d| d.bytes().all(|b| b.is_ascii_digit())) {
            return ago_us(digits, unit);
        }
    }
    text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (us, want) in [
            (300, "under 1 ms"),
            (20_000, "20 ms"),
            (410_000, "0.41 s"),
            (8_300_000, "8.3 s"),
            (2_000_000, "2 s"),
            (11_000_000, "11 s"),
            (1_123_000_000, "18 m 43 s"),
            (7_500_000_000, "2 h 05 m"),
            (273_600_000_000, "3 d 4 h"),
        ] {
            assert_eq!(duration(us), want);
        }
    }

    #[test]
    fn counts_sizes_and_shares() {
        assert_eq!(count(0), "0");
        assert_eq!(count(12_482), "12,482");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(size(1_100), "1.1 KB");
        assert_eq!(size(2_100_000), "2.1 MB");
        assert_eq!(size(64_000), "64.0 KB");
        assert_eq!(size(640_000), "640 KB");
        assert_eq!(percent(9_999_999, 10_000_000), "99.9%");
        assert_eq!(percent(1, 0), "–");
        assert_eq!(ordinal(3), "3rd");
        assert_eq!(ordinal(11), "11th");
    }

    #[test]
    fn instants_show_in_the_persons_zone() {
        let us = 1_795_079_524_000_000; // 2026-11-19T09:12:04Z
        let moment = Zone::named("Europe/Berlin").moment(us, us + 6 * MINUTE_US);
        assert_eq!(moment.utc, "2026-11-19T09:12:04Z");
        assert_eq!(moment.clock, "10:12:04");
        assert_eq!(moment.full, "Thu 19 Nov, 10:12:04 CET");
        assert_eq!(moment.ago, "6 min ago");
        assert_eq!(Zone::named("No/Where").name(), "UTC");
        assert_eq!(Zone::utc().moment(us, us + 2 * DAY_US).clock, "19 Nov, 09:12");
    }

    #[test]
    fn urls_may_say_since_when() {
        assert_eq!(parse_instant("24h", DAY_US), Some(0));
        assert_eq!(parse_instant("1970-01-01T00:00:01Z", 5), Some(SECOND_US));
        assert_eq!(parse_instant("soon", 5), None);
        assert_eq!(parse_instant("99999999999999d", 5), None);
    }
}
