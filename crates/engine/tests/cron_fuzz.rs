//! Cron expressions nobody would write: refused with a reason, or firing in order.

use engine::cron::Schedule;
use fuzz::{Target, Trial};

/// All chance of the test comes from here, so that it is the same everywhere.
const CHANCE: u64 = 20_260_331;
/// Firings looked at of one schedule.
const FIRINGS: usize = 12;
/// Where looking begins, in microseconds: before and in clock changes, a leap day, long ago and far off.
const STARTS: [i64; 7] = [
    -62_000_000_000_000_000,
    0,
    1_709_164_800_000_000,
    1_772_935_200_000_001,
    1_793_507_400_000_000,
    4_102_444_799_999_999,
    253_000_000_000_000_000,
];

const CRON: Target = Target { name: "cron", check, words: WORDS, rounds: 4_000 };

const WORDS: &[&str] = &[
    "*",
    "?",
    "/",
    "-",
    ",",
    "L",
    "W",
    "#",
    "LW",
    "L-3",
    "15W",
    "5L",
    "5#2",
    "5#L",
    "MON",
    "fri",
    "SUN",
    "JAN",
    "DEC",
    "@daily",
    "@hourly",
    "@reboot",
    "0",
    "7",
    "12",
    "31",
    "59",
    "60",
    "99999999999",
    " ",
    "\t",
    "*/5",
    "1-5",
    "22-2",
    "FRI-MON",
    "\nEurope/Berlin",
    "\nAmerica/New_York",
    "\nAustralia/Lord_Howe",
    "\nAfrica/Cairo",
    "\nPacific/Apia",
    "\nUTC",
    "\n+02:00",
    "\u{a0}",
    "é",
    "H",
    "0 0 29 2 *",
];

/// The first line is the expression, the second the zone.
fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (expr, zone) = text.split_once('\n').unwrap_or((text, "America/New_York"));
    match Schedule::parse(expr, zone) {
        Ok(schedule) => {
            assert!(!schedule.describe().is_empty());
            STARTS.iter().for_each(|start| fires(&schedule, *start));
        }
        Err(problem) => {
            assert!(["cron", "zone"].contains(&problem.field) && !problem.message.is_empty(), "{problem:?}");
            assert!(problem.message.len() < 1_000, "{problem:?}");
            assert_eq!(Schedule::parse(expr, zone).err(), Some(problem), "the same twice");
        }
    }
}

/// Firings come one after the other, at whole minutes, and none is left out in between.
fn fires(schedule: &Schedule, start: i64) {
    let mut at = start;
    for _ in 0..FIRINGS {
        let Some(next) = schedule.next_after(at) else { return };
        assert!(next > at, "{schedule:?} goes back from {at} to {next}");
        assert_eq!(next % 1_000_000, 0, "{schedule:?} fires at {next}");
        for between in [at + (next - at) / 2, next - 1] {
            assert_eq!(schedule.next_after(between), Some(next), "{schedule:?} from {between}");
        }
        at = next;
    }
}

#[test]
fn cron_expressions_are_refused_or_fire_in_order() {
    let mut trial = Trial::new(&CRON, CHANCE);
    let result = trial.replay().and_then(|()| trial.go(CRON.rounds));
    assert!(result.is_ok(), "{}", result.expect_err("a failure"));
}
