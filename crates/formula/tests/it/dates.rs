//! Dates, date-times and durations.

use serde_json::{Value as Json, json};

use crate::{check, check_script, eval, fails, wrong};

/// A formula that gives text.
#[track_caller]
fn gives(source: &str, expected: &str) {
    assert_eq!(eval(source), Ok(Json::from(expected)), "{source}");
}

#[test]
fn they_leave_as_text() {
    gives("date(\"2026-01-31\")", "2026-01-31");
    gives("datetime(\"2026-01-31T10:00:00Z\")", "2026-01-31T10:00:00Z");
    gives("datetime(\"2026-01-31T10:00:00.250+01:00\")", "2026-01-31T09:00:00.25Z");
    gives("datetime(\"2026-01-31 10:00\", \"Europe/Berlin\")", "2026-01-31T10:00:00+01:00");
    gives("datetime(date(\"2026-07-31\"), \"Europe/Berlin\")", "2026-07-31T00:00:00+02:00");
    gives("datetime(\"2026-07-31T10:00:00-04:00\", \"+05:30\")", "2026-07-31T19:30:00+05:30");
    gives("duration(\"36h\")", "36h");
    gives("duration(\"48h\")", "2d");
    gives("duration(\"PT1H30M\")", "90m");
    gives("now()", "2026-01-02T03:04:05Z");
    gives("today(\"Pacific/Auckland\")", "2026-01-02");
    gives("today(\"America/Los_Angeles\")", "2026-01-01");
    gives("`due ${date(\"2026-01-31\")} in ${duration(\"2d\")}`", "due 2026-01-31 in 2d");
    gives("json([date(\"2026-01-31\")])", "[\"2026-01-31\"]");
    gives("to_text(datetime(\"2026-01-31T10:00:00Z\"))", "2026-01-31T10:00:00Z");
    check("#{ at: now(), for: duration(\"5m\") }", json!({ "at": "2026-01-02T03:04:05Z", "for": "5m" }));
    check("[date(\"2026-01-31\")]", json!(["2026-01-31"]));
    check("group_by([#{ d: date(\"2026-01-31\") }], |x| x.d)", json!({ "2026-01-31": [{ "d": "2026-01-31" }] }));
    check("present(date(\"2026-01-31\"))", json!(true));
    check_script(
        "let r = \"\"; try { throw date(\"2026-01-31\"); } catch (e) { r = `caught ${e}`; } r",
        json!("caught 2026-01-31"),
    );
    fails("first([date(\"2026-01-31\")]).map(|x| x)", "type_mismatch", "a date");
}

#[test]
fn operators() {
    gives("datetime(\"2026-01-31T10:00:00Z\") - datetime(\"2026-01-30T09:30:00Z\")", "1470m");
    gives("date(\"2026-03-01\") - date(\"2026-01-31\")", "29d");
    gives("datetime(\"2026-01-31T10:00:00Z\") + duration(\"36h\")", "2026-02-01T22:00:00Z");
    gives("duration(\"36h\") + datetime(\"2026-01-31T10:00:00Z\")", "2026-02-01T22:00:00Z");
    gives("date(\"2026-01-31\") + duration(\"2d\")", "2026-02-02");
    gives("date(\"2026-01-31\") - duration(\"48h\")", "2026-01-29");
    gives("duration(\"2h\") + duration(\"30m\") - duration(\"1m\")", "149m");
    gives("duration(\"2h\") * 1.5", "3h");
    gives("3 * duration(\"20m\")", "1h");
    gives("duration(\"1h\") / 4", "15m");
    gives("-duration(\"1h\")", "-1h");
    check("duration(\"90m\") / duration(\"1h\")", json!(1.5));
    check("date(\"2026-01-31\") < date(\"2026-02-01\")", json!(true));
    check("datetime(\"2026-01-31T10:00:00Z\") == datetime(\"2026-01-31T11:00:00+01:00\")", json!(true));
    check("to_zone(now(), \"Asia/Tokyo\") == now()", json!(true));
    check("duration(\"60m\") == duration(\"1h\")", json!(true));
    check("duration(\"60m\") >= duration(\"61m\")", json!(false));
    check("date(\"2026-01-31\") != null", json!(true));
    check("now() > datetime(\"2026-01-01T00:00:00Z\")", json!(true));
    check("max(date(\"2026-01-31\"), date(\"2026-02-01\"))", json!("2026-02-01"));
    check("sort([date(\"2026-02-01\"), date(\"2026-01-31\")])", json!(["2026-01-31", "2026-02-01"]));
    check_script("let at = now(); at += duration(\"1h\"); at -= duration(\"5s\"); at", json!("2026-01-02T04:04:00Z"));
    check("unique([date(\"2026-01-31\"), date(\"2026-01-31\")])", json!(["2026-01-31"]));
}

#[test]
fn what_does_not_compare() {
    fails("date(\"2026-01-31\") == \"2026-01-31\"", "type_mismatch", "compares a date with text");
    fails("date(\"2026-01-31\") == \"2026-01-31\"", "type_mismatch", "date(…)");
    fails("now() > \"2026-01-01\"", "type_mismatch", "datetime(…)");
    fails("now() > 5", "type_mismatch", "a date-time with a number");
    fails("duration(\"5m\") > \"4m\"", "type_mismatch", "duration(…)");
    fails("date(\"2026-01-31\") < now()", "type_mismatch", "date(…, \"Europe/Berlin\")");
    fails("date(\"2026-01-31\") + 1", "type_mismatch", "add_days(…, 3)");
    fails("duration(\"1h\") + 1", "type_mismatch", "duration(3, \"h\")");
    fails("now() + now()", "type_mismatch", "adds a date-time and a date-time");
    fails("now() * 2", "type_mismatch", "multiplies a date-time and a number");
    fails("-now()", "type_mismatch", "stands before a date-time");
    fails("\"on \" + date(\"2026-01-31\")", "type_mismatch", "to_text(…)");
    fails("date(\"2026-01-31\") + duration(\"1h\")", "bad_argument", "no number of days");
    fails("date(\"2026-01-31\") > null", "null_value", "no order");
    fails("duration(\"1h\") / 0", "arithmetic", "divides by zero");
    fails("duration(\"1h\") / duration(\"0s\")", "arithmetic", "zero");
    fails("date(trigger.nope)", "null_value", "a date");
    fails("year(5)", "type_mismatch", "from_unix");
    fails("upper(now())", "type_mismatch", "to_text(…)");
}

#[test]
fn data_may_say_dates_as_text() {
    let list = "[#{ on: \"2026-01-31\", n: 1 }, #{ on: \"2026-02-01\", n: 2 }, #{ on: null, n: 3 }]";
    check(&format!("where({list}, \"on\", \">\", date(\"2026-01-31\")).pluck(\"n\")"), json!([2]));
    check(&format!("where({list}, \"on\", \"==\", date(\"2026-01-31\")).pluck(\"n\")"), json!([1]));
    check("date(\"2026-12-25\") in [\"2026-12-24\", \"2026-12-25\"]", json!(true));
    check("contains([\"2026-12-24\"], date(\"2026-12-25\"))", json!(false));
    check("where([#{ at: \"2026-01-31T10:00:00+01:00\" }], \"at\", \"==\", datetime(\"2026-01-31T09:00:00Z\")).len()", json!(1));
    check("where([#{ t: \"90m\" }], \"t\", \">\", duration(\"1h\")).len()", json!(1));
    fails("where([#{ on: \"soon\" }], \"on\", \">\", date(\"2026-01-31\"))", "type_mismatch", "the field \"on\"");
}

#[test]
fn reading_and_writing() {
    gives("date(\"2026-01-31T23:30:00-05:00\")", "2026-02-01");
    gives("date(\"2026-01-31T23:30:00-05:00\", \"America/New_York\")", "2026-01-31");
    gives("date(\"2026-01-31T23:30:00\")", "2026-01-31");
    gives("parse_date(\"31.1.2026\", \"%d.%m.%Y\")", "2026-01-31");
    gives("parse_date(\"Jan 31, 2026\", \"%b %d, %Y\")", "2026-01-31");
    gives("parse_datetime(\"31.01.2026 10:00\", \"%d.%m.%Y %H:%M\", \"Europe/Berlin\")", "2026-01-31T10:00:00+01:00");
    gives("parse_datetime(\"2026-01-31 10:00 +0200\", \"%Y-%m-%d %H:%M %z\")", "2026-01-31T08:00:00Z");
    gives("parse_datetime(\"2026-01-31 10:00 +0200\", \"%Y-%m-%d %H:%M %z\", \"Asia/Tokyo\")", "2026-01-31T17:00:00+09:00");
    gives("parse_datetime(\"31.01.2026\", \"%d.%m.%Y\", \"UTC\")", "2026-01-31T00:00:00Z");
    gives("format_date(\"2026-01-31T10:00:00Z\", \"%Y-%m-%d %H:%M %Z\", \"Europe/Berlin\")", "2026-01-31 11:00 CET");
    gives("format_date(date(\"2026-01-31\"), \"%A, %-d %B %Y, week %V\")", "Saturday, 31 January 2026, week 05");
    gives("format_date(\"2026-01-31T10:00:00\", \"%H:%M\")", "10:00");
    gives("from_unix(1722268800.5)", "2024-07-29T16:00:00.5Z");
    gives("from_unix(1722268800123, \"ms\")", "2024-07-29T16:00:00.123Z");
    gives("from_unix(-1)", "1969-12-31T23:59:59Z");
    check("to_unix(\"1969-12-31T23:59:59.5Z\")", json!(-1));
    check("to_unix(now(), \"ms\")", json!(1_767_323_045_000_i64));
    gives("make_date(2028, 2, 29)", "2028-02-29");
    fails("make_date(2026, 2, 29)", "bad_argument", "no calendar");
    fails("make_date(10000, 1, 1)", "bad_argument", "no calendar");
    fails("make_date(99999999999, 1, 1)", "bad_argument", "no calendar");
    fails("datetime(\"2026-01-31T10:00:00\")", "bad_argument", "in which time zone");
    fails("datetime(\"2026-01-31\")", "bad_argument", "no time of day");
    wrong("datetime(\"2026-01-31\", \"Europe/Berln\")", "bad_argument", "no time zone");
    wrong("date(\"31.01.2026\")", "bad_argument", "parse_date");
    wrong("date(\"\")", "bad_argument", "no date");
    fails("parse_date(\"2026-01-31\", \"%d.%m.%Y\")", "bad_argument", "finds no date");
    fails("parse_datetime(\"10:00\", \"%H:%M\", \"UTC\")", "bad_argument", "no whole date");
    fails("parse_datetime(\"2026-01-31 10:00\", \"%Y-%m-%d %H:%M\")", "bad_argument", "time zone");
    fails("format_date(\"2026-01-31\", \"%H\")", "bad_argument", "time of day");
    wrong("format_date(\"2026-01-31\", \"%é\")", "bad_argument", "%d is the day");
    fails("format_date(\"2026-01-31\", \"%99d\")", "bad_argument", "too long");
    fails(&format!("format_date(\"2026-01-31\", \"\" + \"{}\")", "%A".repeat(200)), "bad_argument", "too long");
    wrong("duration(\"1h30m\")", "bad_argument", "no duration");
    fails("duration(5)", "bad_argument", "needs a unit");
    fails("duration(\"5m\", \"h\")", "type_mismatch", "a number");
    fails("duration(1e20, \"d\")", "number_range", "ten thousand years");
    fails("from_unix(1e20)", "number_range", "9999");
    wrong("from_unix(5, \"us\")", "bad_argument", "ms");
}

#[test]
fn parts() {
    check("[2026, 1, 31].map(|n| n) == [year(\"2026-01-31\"), month(\"2026-01-31\"), day(\"2026-01-31\")]", json!(true));
    check("weekday(\"2026-02-01\")", json!(7));
    check("[week(\"2027-01-03\"), week(\"2027-01-04\"), quarter(\"2026-12-31\")]", json!([53, 1, 4]));
    check("year(\"2026-12-31T23:30:00Z\")", json!(2026));
    check("year(datetime(\"2026-12-31T23:30:00Z\", \"Europe/Berlin\"))", json!(2027));
    check("hour(to_zone(now(), \"Asia/Kolkata\"))", json!(8));
    check("minute(to_zone(now(), \"Asia/Kolkata\"))", json!(34));
    check("hour(\"2026-01-31T14:00:00\")", json!(14));
    fails("hour(\"2026-01-31\")", "bad_argument", "no time of day");
}

#[test]
fn moving_on_the_calendar() {
    gives("add_days(\"2026-02-28\", 1)", "2026-03-01");
    gives("add_days(now(), -2)", "2025-12-31T03:04:05Z");
    gives("add_months(\"2026-03-31\", -1)", "2026-02-28");
    gives("add_months(\"2028-01-31\", 1)", "2028-02-29");
    gives("add_months(datetime(\"2026-01-31T22:00:00\", \"Europe/Berlin\"), 6)", "2026-07-31T22:00:00+02:00");
    gives("add_years(\"2028-02-29\", 4)", "2032-02-29");
    gives("add_hours(now(), 1.5)", "2026-01-02T04:34:05Z");
    gives("add(\"2026-01-31\", \"1d\")", "2026-02-01");
    gives("add(duration(\"1h\"), \"30m\")", "90m");
    check("days_between(\"2026-01-02\", \"2026-01-01\")", json!(-1));
    check("days_between(\"2026-01-01T23:59:00Z\", \"2026-01-02\")", json!(1));
    check("months_between(\"2026-01-31\", \"2026-02-28\")", json!(1));
    check("months_between(\"2026-03-30\", \"2026-01-31\")", json!(-1));
    check("years_between(\"2028-02-29\", \"2029-02-28\")", json!(1));
    check("hours_between(\"2026-01-31T00:00:00Z\", now())", json!(-692.931_944_444_444_4));
    fails("add_days(\"2026-01-31T10:00:00\", 1)", "bad_argument", "which time zone");
    fails("add_days(\"9999-12-31\", 1)", "number_range", "9999");
    fails("add_days(\"2026-01-31\", 9223372036854775807)", "number_range", "9999");
    fails("add_months(\"0001-01-31\", -1)", "number_range", "years 1");
    fails("add_days(\"2026-01-31\", 1.5)", "type_mismatch", "whole number");
    fails("date(\"9999-12-31\") + duration(\"1d\")", "number_range", "9999");
    fails("add_hours(\"9999-12-30T00:00:00Z\", 1e20)", "number_range", "years");
}

#[test]
fn business_days() {
    gives("add_business_days(\"2026-01-30\", 1)", "2026-02-02");
    gives("add_business_days(\"2026-01-31\", 1)", "2026-02-02");
    gives("add_business_days(\"2026-02-01\", -1)", "2026-01-30");
    gives("add_business_days(\"2026-02-01\", 0)", "2026-02-01");
    gives("add_business_days(\"2026-12-24\", 1, [\"2026-12-25\", date(\"2026-12-28\"), \"2026-12-27\"])", "2026-12-29");
    gives("add_business_days(datetime(\"2026-03-27T09:00:00\", \"Europe/Berlin\"), 1)", "2026-03-30T09:00:00+02:00");
    check("business_days_between(\"2026-01-30\", \"2026-02-02\")", json!(1));
    check("business_days_between(\"2026-02-02\", \"2026-01-30\")", json!(-1));
    check("business_days_between(\"2026-01-31\", \"2026-02-01\")", json!(0));
    check("business_days_between(\"0001-01-01\", \"9999-12-31\")", json!(2_608_614));
    check("is_business_day(\"2026-01-31\")", json!(false));
    fails("add_business_days(\"2026-01-30\", 9999999999)", "number_range", "9999");
    fails("add_business_days(\"2026-01-30\", -9223372036854775807)", "number_range", "9999");
    fails("is_business_day(\"2026-01-31\", [5])", "type_mismatch", "one item is a number");
    fails("is_business_day(\"2026-01-31\", [\"2026-12-25T00:00:00Z\"])", "bad_argument", "no date");
}

#[test]
fn periods() {
    gives("start_of(\"2026-05-20\", \"week\")", "2026-05-18");
    gives("end_of(\"2026-05-20\", \"week\")", "2026-05-24");
    gives("end_of(\"2026-05-20\", \"quarter\")", "2026-06-30");
    gives("end_of(\"2026-05-20\", \"year\")", "2026-12-31");
    gives("end_of(\"9999-12-31\", \"year\")", "9999-12-31");
    gives("start_of(\"2026-05-20T12:34:56.789Z\", \"hour\")", "2026-05-20T12:00:00Z");
    gives("end_of(\"2026-05-20T12:34:56.789Z\", \"minute\")", "2026-05-20T12:34:59.999Z");
    gives("start_of(\"2026-05-20T23:30:00Z\", \"day\", \"Europe/Berlin\")", "2026-05-21T00:00:00+02:00");
    gives("end_of(\"2026-05-20T23:30:00Z\", \"month\")", "2026-05-31T23:59:59.999Z");
    fails("start_of(\"2026-05-20\", \"hour\")", "bad_argument", "no time of day");
    wrong("start_of(\"2026-05-20\", \"decade\")", "bad_argument", "minute, hour, day");
    fails("end_of(\"0001-01-01T00:00:00Z\", \"week\", \"America/New_York\")", "number_range", "years 1");
}

/// Where the clock goes forward, an hour is missing; where it goes back, one comes twice.
#[test]
fn clock_changes() {
    // 29 March 2026 in Berlin: 02:00 becomes 03:00. What is skipped counts an hour later.
    gives("datetime(\"2026-03-29T02:30:00\", \"Europe/Berlin\")", "2026-03-29T03:30:00+02:00");
    gives("add_days(datetime(\"2026-03-28T02:30:00\", \"Europe/Berlin\"), 1)", "2026-03-29T03:30:00+02:00");
    // A day on the calendar has 23 hours there, a duration of a day has 24.
    gives("add_days(datetime(\"2026-03-28T12:00:00\", \"Europe/Berlin\"), 1)", "2026-03-29T12:00:00+02:00");
    gives("datetime(\"2026-03-28T12:00:00\", \"Europe/Berlin\") + duration(\"1d\")", "2026-03-29T13:00:00+02:00");
    gives("add_hours(datetime(\"2026-03-29T01:30:00\", \"Europe/Berlin\"), 1)", "2026-03-29T03:30:00+02:00");
    // 25 October 2026 in Berlin: 03:00 becomes 02:00. What comes twice counts the first time.
    gives("datetime(\"2026-10-25T02:30:00\", \"Europe/Berlin\")", "2026-10-25T02:30:00+02:00");
    gives("add_hours(datetime(\"2026-10-25T02:30:00\", \"Europe/Berlin\"), 1)", "2026-10-25T02:30:00+01:00");
    gives("start_of(add_hours(datetime(\"2026-10-25T02:30:00\", \"Europe/Berlin\"), 1), \"hour\")", "2026-10-25T02:00:00+01:00");
    gives("end_of(datetime(\"2026-10-25T12:00:00\", \"Europe/Berlin\"), \"day\")", "2026-10-25T23:59:59.999+01:00");
    check("hours_between(datetime(\"2026-10-25\", \"Europe/Berlin\"), datetime(\"2026-10-26\", \"Europe/Berlin\"))", json!(25));
    // Clocks that change at midnight: the day begins at 01:00.
    gives("start_of(datetime(\"2018-11-04T12:00:00\", \"America/Sao_Paulo\"), \"day\")", "2018-11-04T01:00:00-02:00");
    // Samoa had no 30 December 2011 at all.
    check("days_between(datetime(\"2011-12-29\", \"Pacific/Apia\"), datetime(\"2011-12-31\", \"Pacific/Apia\"))", json!(2));
}
