//! Walks rows by (time, id).
//!
//! Times are those of the account's zone, where one hour of autumn comes twice. A cursor therefore stands at the lowest
//! local time that what is wanted can carry: within that hour it begins at the hour's start. The newest rows are judged
//! by NetSuite's own clock, which an answer tells.

use connector::{Cx, Position, StepError, cursor_lost, read_cursor};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::netsuite::{settings, suiteql};

/// The newest moments are left for the next question: what is being saved now carries an older time.
const LAG: SignedDuration = SignedDuration::from_secs(5);
/// Read again with every question, for what was saved late.
const OVERLAP: SignedDuration = SignedDuration::from_mins(5);
const FORMAT: &str = "YYYY-MM-DD HH24:MI:SS";

/// What a question walks along.
pub(super) struct Walk {
    /// What follows `FROM`.
    pub(super) table: String,
    pub(super) filter: Vec<String>,
    pub(super) columns: String,
    /// The column of time.
    pub(super) time: String,
    /// The column that tells rows of one second apart.
    pub(super) id: String,
    /// Rows of one question.
    pub(super) rows: u64,
}

/// A row with its id and its time.
pub(super) struct Row {
    pub(super) row: Json,
    pub(super) id: String,
    pub(super) at: String,
}

/// What one question gave, and where the next goes on.
pub(super) struct Walked {
    pub(super) rows: Vec<Row>,
    pub(super) cursor: Json,
    pub(super) more: bool,
}

/// A place in the order of (time, id).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    at: String,
    /// Rows of that very second up to this id came already; empty for none.
    #[serde(default)]
    id: String,
    /// Where the trigger began; nothing before it is wanted.
    floor: String,
    /// How far the first page of this walk looked, by NetSuite's clock; nothing before it.
    #[serde(default)]
    until: Option<Timestamp>,
}

fn written(at: DateTime) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The lowest local time from a moment on: clocks that are set back soon show an hour again.
fn lowest(zone: &TimeZone, at: Timestamp) -> DateTime {
    let local = zone.to_datetime(at);
    zone.following(at).next().map_or(local, |change| local.min(change.offset().to_datetime(change.timestamp())))
}

/// The highest local time up to a moment: clocks that were set back showed later ones already.
fn highest(zone: &TimeZone, at: Timestamp) -> DateTime {
    let local = zone.to_datetime(at);
    let before = |change: Timestamp| zone.to_offset(change - SignedDuration::from_secs(1)).to_datetime(change);
    zone.preceding(at).next().map_or(local, |change| local.max(before(change.timestamp())))
}

impl Place {
    fn of(position: &Position, zone: &TimeZone) -> Result<Self, StepError> {
        match position {
            Position::Since(micros) => {
                // Times have whole seconds: what happens within the first one must not seem to be before it.
                let since = Timestamp::from_second(micros.div_euclid(1_000_000)).map_err(|_| cursor_lost())?;
                let at = written(lowest(zone, since));
                Ok(Self { at: at.clone(), id: String::new(), floor: at, until: None })
            }
            Position::After(cursor) => {
                let place: Self = read_cursor(cursor)?;
                // They become part of a query.
                let good =
                    [&place.at, &place.floor].iter().all(|text| text.parse::<DateTime>().is_ok_and(|at| written(at) == **text));
                if good { Ok(place) } else { Err(cursor_lost()) }
            }
        }
    }
}

pub(super) async fn walk(cx: &Cx, walk: &Walk, position: &Position) -> Result<Walked, StepError> {
    let zone = settings::zone(cx)?;
    let start = Place::of(position, &zone)?;
    let Walk { table, filter, columns, time, id, rows } = walk;
    let from = format!("TO_DATE('{}', '{FORMAT}')", start.at);
    let mut conditions = filter.clone();
    conditions.push(if start.id.is_empty() {
        format!("{time} >= {from}")
    } else {
        format!("({time} > {from} OR ({time} = {from} AND {id} > {}))", suiteql::literal(&json!(start.id))?)
    });
    let query = format!(
        "SELECT {columns}, {id} AS liaison_id, TO_CHAR({time}, '{FORMAT}') AS liaison_at FROM {table} WHERE {} ORDER BY {time}, {id}",
        conditions.join(" AND ")
    );
    let found = suiteql::page(cx, &query, *rows, 0).await?;
    let until = found.now.unwrap_or_else(|| Timestamp::from_microsecond(cx.now_us()).unwrap_or_default()) - LAG;
    let newest = written(highest(&zone, until));
    let count = found.rows.len();
    let mut taken = Vec::with_capacity(count);
    for row in &found.rows {
        let row = cleaned(row.clone()).ok_or_else(|| found.answer.unreadable("a row has no time or no id"))?;
        if !start.id.is_empty() && row.id == start.id && row.at == start.at {
            return Err(found.answer.unreadable("it begins with the last row of the page before"));
        }
        if row.at > newest {
            break;
        }
        taken.push(row);
    }
    let until = start.until.unwrap_or(until);
    let (place, more) = match taken.last() {
        Some(last) if found.more && taken.len() == count => {
            (Place { at: last.at.clone(), id: last.id.clone(), floor: start.floor, until: Some(until) }, true)
        }
        // What was looked at is done. A long rest does not grow the next question, and only a last stretch is read again.
        _ => {
            let at = written(lowest(&zone, until - OVERLAP)).max(start.floor.clone());
            (Place { at, id: String::new(), floor: start.floor, until: None }, false)
        }
    };
    Ok(Walked { rows: taken, cursor: json!(place), more })
}

/// A row without the columns of our own.
fn cleaned(mut row: Json) -> Option<Row> {
    let members = row.as_object_mut()?;
    let mut take = |name: &str| Some(members.remove(name)?.as_str()?.to_owned());
    let (id, at) = (take("liaison_id")?, take("liaison_at")?);
    Some(Row { row, id, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_that_comes_twice_is_walked_whole() {
        let zone = TimeZone::get("America/Los_Angeles").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        // Clocks go back from 02:00 to 01:00 at 09:00 UTC.
        for (moment, low, high) in [
            ("2026-11-01T07:30:00Z", "2026-11-01 00:30:00", "2026-11-01 00:30:00"),
            ("2026-11-01T08:30:00Z", "2026-11-01 01:00:00", "2026-11-01 01:30:00"),
            ("2026-11-01T09:10:00Z", "2026-11-01 01:10:00", "2026-11-01 02:00:00"),
            ("2026-11-01T10:10:00Z", "2026-11-01 02:10:00", "2026-11-01 02:10:00"),
            ("2026-03-08T10:30:00Z", "2026-03-08 03:30:00", "2026-03-08 03:30:00"),
        ] {
            assert_eq!(
                (written(lowest(&zone, at(moment))), written(highest(&zone, at(moment)))),
                (low.into(), high.into()),
                "{moment}"
            );
        }
    }
}
