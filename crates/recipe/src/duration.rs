//! Durations and retry policies.

use std::time::Duration;

/// The longest duration a recipe may name: ten years.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// Reads `500ms`, `30s`, `5m`, `12h` or `7d`.
///
/// One whole number and one unit, nothing else; `None` also when the number is absurdly large.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(60 * 60),
        "d" => seconds(24 * 60 * 60),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    fn check(text: &str, millis: Option<u128>) {
        assert_eq!(parse_duration(text).map(|d| d.as_millis()), millis, "{text}");
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        check("500ms", Some(500));
        check("30s", Some(30_000));
        check("5m", Some(300_000));
        check("12h", Some(43_200_000));
        check("7d", Some(604_800_000));
        check("0s", Some(0));
        for text in ["", "s", "5", "-5s", "1.5h", "5 m", "5M", "1h30m", "99999999999999999999s", "99999999999999999d", "５s"] {
            check(text, None);
        }
    }
}
