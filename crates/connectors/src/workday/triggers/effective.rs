//! Changes to come, told when their day is there.
//!
//! The log is asked by the moment a change holds, from the last question on; what was typed on its day or after it was told
//! by the log already. The day begins at midnight in the tenant, and texts of moments in different zones cannot be
//! compared: so moments are. In which zone the log is searched is not known, so two days are read again every time, under
//! the same keys.

use connector::{Cx, Occurrence, Poll, Polled, Position, StepError, Trigger, cursor_lost, read_cursor};
use jiff::{
    SignedDuration, Timestamp,
    civil::DateTime,
    fmt::temporal::Pieces,
    tz::{Offset, TimeZone},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{CLASSES, EVERY, change_schema, changes, lag, unreadable_time, wanted};
use crate::workday::{api::invalid, people, schema};

/// More than the zones of the earth are apart.
const OVERLAP: SignedDuration = SignedDuration::from_hours(48);

/// Where the reading stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// What held before was told, but for what Workday finds late.
    from: Timestamp,
    /// Nothing that held before is wanted.
    start: Timestamp,
    /// In the middle of a reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reading: Option<Reading>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reading {
    /// Workday's time when the reading began, less the lag.
    through: Timestamp,
    /// The zone Workday told that time in, in seconds east of Greenwich.
    offset_s: i32,
    page: u64,
    count: u64,
}

impl Reading {
    async fn begin(cx: &Cx) -> Result<Self, StepError> {
        let told = people::server_time(cx).await?;
        let through = lag(told.parse().map_err(|_| unreadable_time())?);
        let offset = Pieces::parse(&told).ok().and_then(|pieces| pieces.to_numeric_offset());
        Ok(Self { through, offset_s: offset.map_or(0, Offset::seconds), page: 1, count: people::COUNT })
    }

    /// The zone of what comes without one.
    fn zone(&self) -> TimeZone {
        Offset::from_seconds(self.offset_s).map_or(TimeZone::UTC, TimeZone::fixed)
    }
}

/// A moment of an answer.
fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let plain = || text.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok().map(|at| at.timestamp());
    text.parse().ok().or_else(plain)
}

/// The zone people named.
fn named(with: &Json) -> Result<Option<TimeZone>, StepError> {
    let zone = with["time_zone"].as_str().map(|name| {
        TimeZone::get(name).map_err(|_| invalid(format!("\"{name}\" is no time zone; write it as in America/Los_Angeles")))
    });
    zone.transpose()
}

/// A cursor of a build that kept no start, perhaps in the middle of a reading: the reading begins anew.
fn old(cursor: &Json) -> Option<Place> {
    let from = cursor.get("from").filter(|_| cursor.get("start").is_none())?.as_str()?.parse().ok()?;
    Some(Place { from, start: from, reading: None })
}

async fn effective(cx: Cx, with: Json, position: Position) -> Result<Polled, StepError> {
    let place = match position {
        Position::Since(micros) => {
            let start = Timestamp::from_microsecond(micros).map_err(|_| cursor_lost())?;
            Place { from: start, start, reading: None }
        }
        Position::After(cursor) => old(&cursor).map_or_else(|| read_cursor(&cursor), Ok)?,
    };
    let named = named(&with)?;
    let mut reading = match place.reading.clone() {
        Some(reading) => reading,
        None => Reading::begin(&cx).await?,
    };
    if reading.through <= place.from {
        return Ok(Polled { events: Vec::new(), cursor: json!(Place { reading: None, ..place }), more: false });
    }
    let zone = named.clone().unwrap_or_else(|| reading.zone());
    let from = place.from.checked_sub(OVERLAP).unwrap_or(place.from);
    let mut input = with.clone();
    input["log"] = json!({ "effective_from": format!("{from:.3}"), "effective_through": format!("{:.3}", reading.through) });
    input["known_at"] = json!(format!("{:.3}", reading.through));
    // Without a named zone the day is Workday's own today. Who is hired for a day that has not begun there is not found
    // yet, and is when the day is read again.
    input["as_of"] = json!(named.as_ref().map(|zone| reading.through.to_zoned(zone.clone()).date().to_string()));
    let mut groups = people::groups(&with);
    groups["Include_Transaction_Log_Data"] = json!(true);
    let found = people::get_workers(&cx, &input, &groups, (reading.page, reading.count)).await?;
    (reading.page, reading.count) = (found.page, found.count);
    let wanted = wanted(&with, &[]);
    let mut lines: Vec<(String, Occurrence)> = Vec::new();
    for worker in &found.workers {
        changes(worker, &wanted, &mut lines);
    }
    let is_due = |change: &Json| {
        let text = |name: &str| change[name].as_str();
        let begins = match &named {
            Some(zone) => text("effective").and_then(|day| moment(&format!("{day}T00:00:00"), zone)),
            None => text("effective_moment").and_then(|at| moment(at, &zone)),
        };
        let (Some(begins), Some(entered)) = (begins, text("entered").and_then(|at| moment(at, &zone))) else { return false };
        entered < begins && place.start <= begins && begins <= reading.through && change["rescinded"] != true
    };
    let mut events: Vec<Occurrence> = lines.into_iter().map(|(_, event)| event).collect();
    events.retain(|event| is_due(&event.data["change"]));
    events.sort_by(|one, other| {
        let at = |event: &Occurrence| event.data["change"]["effective"].as_str().unwrap_or_default().to_owned();
        at(one).cmp(&at(other))
    });
    let more = reading.page < found.pages;
    let next = if more {
        Place { reading: Some(Reading { page: reading.page + 1, ..reading }), ..place }
    } else {
        Place { from: reading.through, start: place.start, reading: None }
    };
    Ok(Polled { events, cursor: json!(next), more })
}

pub(super) fn trigger() -> Trigger {
    let sample = json!({
        "worker": people::sample(),
        "change": { "class": "job_change", "process": "Change Job", "description": "Change Job: Logan McNeil", "effective": "2026-12-01", "effective_moment": "2026-12-01T00:00:00.000-08:00", "entered": "2026-11-20T08:00:00.000Z", "rescinded": false, "corrected": false },
    });
    Trigger::new(
        "change_effective",
        "Change to come becomes effective",
        "Fires on the day on which a change holds that was entered before, with the worker as of that day, or as of the day on which it is told later. What is entered on its own day or later comes from worker_changed only.",
    )
    .config(schema::input(
        &[
            (
                "organizations",
                schema::texts(
                    "Organizations",
                    "Only their members, with the organizations below: reference ids, WIDs, or a type and value.",
                ),
            ),
            ("include_contingent", schema::flag("With contingent workers", "True unless said otherwise.")),
            ("groups", people::groups_field()),
            ("time_zone", schema::text("Time zone", "The zone in which the tenant's days begin, such as America/Los_Angeles; needed only where Workday writes its moments in another zone.")),
            ("classes", json!({ "type": "array", "items": { "type": "string", "enum": CLASSES }, "title": "Classes of changes", "description": "All when left out." })),
        ],
        &[],
    ))
    .output(change_schema())
    .sample(sample)
    .poll(Poll::new(EVERY, effective))
}
