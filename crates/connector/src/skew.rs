//! Whether our clock is wrong, as far as an answer tells: whoever signs with the time is refused for it, and is
//! seldom told why.

use ::http::{HeaderMap, header};

/// Less is nothing to speak of: systems take a minute and more, and answers take time.
const GAP_MIN_S: i64 = 60;

/// What to do about it.
pub(crate) const NEXT: &str = "Set the clock of the machine Liaison runs on, or of its database, best by a time service (NTP); then resume what failed. If it is refused then, too, the credentials are to be checked.";

/// How far our clock is from that of whoever answered (`Date`, RFC 9110, 6.6.1), as the end of a sentence; `None`
/// when it is right, or the answer does not tell.
pub(crate) fn clock_gap(headers: &HeaderMap, now_s: i64) -> Option<String> {
    let date = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?.trim()).ok()?;
    let theirs = i64::try_from(date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs()).ok()?;
    let gap = now_s.saturating_sub(theirs);
    let (size, side) = (gap.unsigned_abs(), if gap > 0 { "ahead of" } else { "behind" });
    if gap.saturating_abs() < GAP_MIN_S {
        return None;
    }
    let time = match size {
        ..7200 => format!("{} min", size / 60),
        7200..172_800 => format!("{} h", size / 3600),
        _ => format!("{} days", size / 86_400),
    };
    Some(format!("our clock is {time} {side} theirs, and what is signed with a wrong time is refused"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_795_219_200;

    fn told(date: &str, now_s: i64) -> Option<String> {
        let headers = [(header::DATE, date.parse().unwrap())].into_iter().collect();
        clock_gap(&headers, now_s)
    }

    #[test]
    fn a_wrong_clock_is_told_by_how_much_and_a_right_one_is_not() {
        let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(NOW_S.unsigned_abs()));
        assert_eq!((told(&date, NOW_S), told(&date, NOW_S + 59), told(&date, NOW_S - 59)), (None, None, None));
        for (gap, words) in [
            (420, "7 min ahead of theirs"),
            (-60, "1 min behind theirs"),
            (-7200, "2 h behind theirs"),
            (31_536_000, "365 days ahead of theirs"),
        ] {
            assert!(told(&date, NOW_S + gap).unwrap().contains(words), "{gap}");
        }
        assert_eq!((told("yesterday", NOW_S), clock_gap(&HeaderMap::new(), NOW_S)), (None, None));
    }
}
