//! Changes to come, told when their day is there.
//!
//! The log is asked by the moment a change holds, from the last question on; what was typed on its day or after it was told
//! by the log already.

use connector::{Cx, Occurrence, Poll, Polled, Position, StepError, Trigger};
use serde_json::{Value as Json, json};

use super::{CLASSES, EVERY, Stretch, change_schema, changes, wanted};
use crate::workday::{people, schema};

async fn effective(cx: Cx, with: Json, position: Position) -> Result<Polled, StepError> {
    let mut stretch = Stretch::of(&cx, &position).await?;
    if stretch.through <= stretch.from {
        return Ok(Polled { events: Vec::new(), cursor: json!({ "from": stretch.from.to_string() }), more: false });
    }
    let (from, through) = (format!("{:.3}", stretch.from), format!("{:.3}", stretch.through));
    let mut input = with.clone();
    input["log"] = json!({ "effective_from": from, "effective_through": through });
    input["known_at"] = json!(through);
    let mut groups = people::groups(&with);
    groups["Include_Transaction_Log_Data"] = json!(true);
    let found = people::get_workers(&cx, &input, &groups, (stretch.page, stretch.count)).await?;
    (stretch.page, stretch.count) = (found.page, found.count);
    let wanted = wanted(&with, &[]);
    let mut lines: Vec<(String, Occurrence)> = Vec::new();
    for worker in &found.workers {
        changes(worker, &wanted, &mut lines);
    }
    let to_come = |change: &Json| {
        let entered = change["entered"].as_str().and_then(|at| at.get(..10));
        change["effective"].as_str().zip(entered).is_some_and(|(effective, entered)| entered < effective)
    };
    let mut events: Vec<Occurrence> = lines.into_iter().map(|(_, event)| event).collect();
    events.retain(|event| to_come(&event.data["change"]) && event.data["change"]["rescinded"] != true);
    events.sort_by(|one, other| {
        let at = |event: &Occurrence| event.data["change"]["effective"].as_str().unwrap_or_default().to_owned();
        at(one).cmp(&at(other))
    });
    let (cursor, more) = stretch.next(found.pages, false);
    Ok(Polled { events, cursor, more })
}

pub(super) fn trigger() -> Trigger {
    let sample = json!({
        "worker": people::sample(),
        "change": { "class": "job_change", "process": "Change Job", "description": "Change Job: Logan McNeil", "effective": "2026-12-01", "entered": "2026-11-20T08:00:00.000Z", "rescinded": false, "corrected": false },
    });
    Trigger::new(
        "change_effective",
        "Change to come becomes effective",
        "Fires on the day on which a change holds that was entered before, with the worker as of that day. What is entered on its own day or later comes from worker_changed only.",
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
            ("classes", json!({ "type": "array", "items": { "type": "string", "enum": CLASSES }, "title": "Classes of changes", "description": "All when left out." })),
        ],
        &[],
    ))
    .output(change_schema())
    .sample(sample)
    .poll(Poll::new(EVERY, effective))
}
