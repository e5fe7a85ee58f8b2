//! Schedules against cases on which three unrelated libraries agree, and the rules around them.

use engine::cron::Schedule;
use serde_json::Value as Json;

/// The next fire times in UTC, as text.
fn next(expr: &str, zone: &str, start: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(expr, zone).unwrap_or_else(|problem| panic!("{expr} in {zone}: {problem}"));
    let mut at = start.parse::<jiff::Timestamp>().unwrap().as_microsecond();
    let mut times = Vec::new();
    while times.len() < count {
        let Some(next) = schedule.next_after(at) else { break };
        assert!(next > at, "{expr} in {zone} went back from {at} to {next}");
        at = next;
        times.push(jiff::Timestamp::from_microsecond(at).unwrap().to_string());
    }
    times
}

fn problem(expr: &str) -> String {
    let problem = Schedule::parse(expr, "UTC").expect_err(expr);
    assert_eq!(problem.field, "cron");
    format!("{}; {}", problem.message, problem.hint.unwrap_or_default())
}

/// The same sets, whatever the spelling.
fn same(left: &str, right: &str) {
    for start in ["2026-01-01T00:00:00Z", "2026-02-27T23:59:30Z", "2027-12-30T12:34:56Z"] {
        assert_eq!(next(left, "UTC", start, 40), next(right, "UTC", start, 40), "{left} and {right}");
    }
}

#[test]
fn three_libraries_agree_with_us() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("data/cron-cases.json")).unwrap();
    assert_eq!(cases.len(), 410);
    for case in &cases {
        let text = |name: &str| case[name].as_str().unwrap();
        let expected: Vec<String> =
            case["next"].as_array().unwrap().iter().map(|time| time.as_str().unwrap().to_owned()).collect();
        assert_eq!(next(text("expr"), text("tz"), text("start"), expected.len()), expected, "{case}");
    }
}

#[test]
fn a_fixed_time_fires_once_a_day_whatever_the_clock_does() {
    // New York skips 02:00 to 03:00 on 8 March 2026: it fires at the jump, 03:00 local, 07:00 UTC.
    assert_eq!(
        next("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", 3),
        ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z", "2026-03-10T06:30:00Z"]
    );
    // And repeats 01:00 to 02:00 on 1 November: the first time counts.
    assert_eq!(
        next("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 3),
        ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z", "2026-11-03T06:30:00Z"]
    );
    // Asked inside the second hour, the next is tomorrow's, never one of the past.
    for start in
        ["2026-11-01T05:30:00Z", "2026-11-01T06:00:00Z", "2026-11-01T06:10:00Z", "2026-11-01T06:29:59Z", "2026-11-01T06:30:00Z"]
    {
        assert_eq!(next("30 1 * * *", "America/New_York", start, 1), ["2026-11-02T06:30:00Z"], "{start}");
    }
    // Lord Howe moves by half an hour.
    assert_eq!(
        next("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2),
        ["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"]
    );
}

#[test]
fn other_times_follow_the_clock_on_the_wall() {
    // Skipped times are skipped, repeated ones fire twice.
    assert_eq!(
        next("*/30 1-3 * * *", "America/New_York", "2026-03-08T05:30:00Z", 5),
        ["2026-03-08T06:00:00Z", "2026-03-08T06:30:00Z", "2026-03-08T07:00:00Z", "2026-03-08T07:30:00Z", "2026-03-09T05:00:00Z"]
    );
    assert_eq!(
        next("0 * * * *", "America/New_York", "2026-11-01T04:30:00Z", 3),
        ["2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"]
    );
    assert_eq!(next("*/30 1 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 1), ["2026-03-29T00:30:00Z"]);
}

#[test]
fn a_change_at_midnight_is_no_trap() {
    // Cairo jumps from 00:00 to 01:00 on 24 April 2026; Havana goes back from 01:00 to 00:00 on 1 November.
    assert_eq!(next("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", 2), ["2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"]);
    assert_eq!(next("30 0 * * *", "America/Havana", "2026-10-31T12:00:00Z", 2), ["2026-11-01T04:30:00Z", "2026-11-02T05:30:00Z"]);
    // Samoa left out 30 December 2011 altogether: that day's firing comes at the jump.
    assert_eq!(
        next("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", 3),
        ["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"]
    );
}

#[test]
fn either_day_field_is_enough_when_both_are_set() {
    assert_eq!(
        next("0 0 13 * 5", "UTC", "2026-03-01T00:00:00Z", 4),
        ["2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z", "2026-03-20T00:00:00Z", "2026-03-27T00:00:00Z"]
    );
    assert_eq!(next("0 0 31 2 1", "UTC", "2026-01-01T00:00:00Z", 1), ["2026-02-02T00:00:00Z"]);
}

#[test]
fn letters_in_day_fields() {
    let days =
        |expr: &str| next(expr, "UTC", "2026-01-01T00:00:00Z", 3).iter().map(|time| time[..10].to_owned()).collect::<Vec<_>>();
    assert_eq!(days("0 1 L * *"), ["2026-01-31", "2026-02-28", "2026-03-31"]);
    assert_eq!(days("0 1 L-2 * *"), ["2026-01-29", "2026-02-26", "2026-03-29"]);
    assert_eq!(days("0 1 LW * *"), ["2026-01-30", "2026-02-27", "2026-03-31"]);
    assert_eq!(days("0 1 1W * *"), ["2026-01-01", "2026-02-02", "2026-03-02"]);
    assert_eq!(days("0 1 15W * *"), ["2026-01-15", "2026-02-16", "2026-03-16"]);
    assert_eq!(days("0 1 31W * *"), ["2026-01-30", "2026-03-31", "2026-05-29"]);
    assert_eq!(days("0 1 * * 5#2"), ["2026-01-09", "2026-02-13", "2026-03-13"]);
    assert_eq!(days("0 1 * * FRI#5"), ["2026-01-30", "2026-05-29", "2026-07-31"]);
    assert_eq!(days("0 1 * * 5L"), ["2026-01-30", "2026-02-27", "2026-03-27"]);
    same("0 1 * * FRIL", "0 1 * * 5#L");
    same("0 0 * * 7#1", "0 0 * * SUN#1");
}

#[test]
fn spellings_of_the_same() {
    same("0 0 ? * mon-FRI", "0 0 * * 1-5");
    same("5/15 * * * *", "5,20,35,50 * * * *");
    same("0 22-2 * * *", "0 22,23,0,1,2 * * *");
    same("0 0 * * FRI-MON", "0 0 * * 5,6,0,1");
    same("0 0 * * 5-7", "0 0 * * 5,6,0");
    same("0 0 * * 0-7", "0 0 * * *");
    same("0 0 * * 1-7", "0 0 * * *");
    same("0 0 * * 7-2", "0 0 * * 0-2");
    same("0 0 28-3 * *", "0 0 28,29,30,31,1,2,3 * *");
    same("0 0 1 NOV-FEB *", "0 0 1 11,12,1,2 *");
    same("@annually", "0 0 1 1 *");
    same("@Midnight", "0 0 * * *");
    same(" 0\t0  * * * ", "0 0 * * *");
}

#[test]
fn dates_that_never_come_are_told_at_once() {
    for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31W 2 *"] {
        let schedule = Schedule::parse(never, "Europe/Berlin").unwrap();
        let start = std::time::Instant::now();
        for _ in 0..1000 {
            assert_eq!(schedule.next_after(1_795_000_000_000_000), None, "{never}");
        }
        assert!(start.elapsed() < std::time::Duration::from_millis(200), "{never}");
    }
    assert_eq!(next("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1), ["2104-02-29T00:00:00Z"]);
    assert_eq!(next("0 0 * 2 5#5", "UTC", "2026-01-01T00:00:00Z", 1), ["2036-02-29T00:00:00Z"]);
}

#[test]
fn odd_moments_are_survived() {
    let schedule = Schedule::parse("*/5 * * * *", "America/New_York").unwrap();
    for at in [i64::MIN, i64::MIN / 2, -1, 0, i64::MAX / 2, i64::MAX] {
        if let Some(next) = schedule.next_after(at) {
            assert!(next > at);
        }
    }
    assert_eq!(schedule.next_after(-1), Some(0));
    assert_eq!(schedule.next_after(0), Some(300_000_000));
    assert_eq!(schedule.next_after(299_999_999), Some(300_000_000));
}

#[test]
fn mistakes_are_answered_with_what_to_write() {
    for (expr, part) in [
        ("", "five fields"),
        ("* * *", "* * * * *"),
        ("0 0 9 * * 1", "without them it is \"0 9 * * 1\""),
        ("0 0 9 * * 1 2027", "without them it is \"0 9 * * 1\""),
        ("60 * * * *", "minute 0"),
        ("0 24 * * *", "hour 0"),
        ("0 0 0 * *", "not between 1 and 31"),
        ("0 0 32 * *", "not between 1 and 31"),
        ("0 0 * 13 *", "not between 1 and 12"),
        ("0 0 * * 8", "not between 0 and 6"),
        ("*/0 * * * *", "leads nowhere"),
        ("*/90 * * * *", "fire only at 0"),
        ("0 0 * * MONDAY", "write MON"),
        ("0 0 * January *", "write JAN"),
        ("0 0 * * 5#6", "5#2"),
        ("0 0 * * L", "5L"),
        ("0 0 L-31 * *", "L-3"),
        ("H * * * *", "Jenkins"),
        ("? * * * *", "write *"),
        ("1,,2 * * * *", "something is missing"),
        ("1- * * * *", "something is missing"),
        ("-1 * * * *", "something is missing"),
        ("1-2-3 * * * *", "not known"),
        ("*/x * * * *", "step must be a number"),
        ("99999999999 * * * *", "not known"),
        ("@reboot", "@hourly"),
        ("@sometimes", "@daily"),
    ] {
        let problem = problem(expr);
        assert!(problem.contains(part), "{expr}: {problem}");
    }
    assert!(Schedule::parse(&"1,".repeat(5000), "UTC").is_err());
}

#[test]
fn unknown_zones_are_answered_with_what_to_write() {
    for (zone, part) in [
        ("berlin", "Europe/Berlin"),
        ("Europe/Los_Angeles", "America/Los_Angeles"),
        ("+02:00", "name a place"),
        ("", "write UTC"),
        ("Mars/Olympus", ""),
    ] {
        let problem = Schedule::parse("* * * * *", zone).expect_err(zone);
        assert_eq!(problem.field, "zone");
        assert!(problem.hint.unwrap_or_default().contains(part), "{zone}");
    }
    assert!(Schedule::parse("* * * * *", "europe/berlin").is_ok());
}

#[test]
fn words() {
    for (expr, words) in [
        ("0 9 * * 1-5", "at 09:00 on Monday to Friday"),
        ("*/15 * * * *", "every 15 minutes"),
        ("* * * * *", "every minute"),
        ("@hourly", "every hour"),
        ("@daily", "at 00:00 every day"),
        ("0 6,18 * * *", "at 06:00 and 18:00 every day"),
        ("0 0 L * *", "at 00:00 on the last day of the month"),
        ("30 8 * JAN,7 5#2", "at 08:30 on the 2nd Friday in January and July"),
        ("0 0 1,15 * *", "at 00:00 on day 1 and day 15"),
        ("0 0 13 * 5", "at 00:00 on day 13 and on every Friday"),
    ] {
        assert_eq!(Schedule::parse(expr, "UTC").unwrap().describe(), words, "{expr}");
    }
}

#[test]
fn answers_come_fast_enough_for_a_scheduler() {
    // A debug build on a busy machine; the release figure is some 0.2 µs.
    let schedules: Vec<Schedule> = ["*/5 * * * *", "0 9 * * 1-5", "0 0 29 2 *", "30 2 * * *", "0 0 L * *"]
        .iter()
        .map(|expr| Schedule::parse(expr, "America/New_York").unwrap())
        .collect();
    let start = std::time::Instant::now();
    for at in 0..2000_i64 {
        for schedule in &schedules {
            std::hint::black_box(schedule.next_after(1_790_000_000_000_000 + at * 86_400_000_000));
        }
    }
    let each = start.elapsed() / 10_000;
    assert!(each < std::time::Duration::from_micros(200), "{each:?}");
}
