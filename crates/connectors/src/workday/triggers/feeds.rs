//! Organizations by the transaction log, and events and steps of business processes by their dates.

use connector::{Cx, Occurrence, Poll, Polled, Position, StepError, Trigger, cursor_lost, read_cursor};
use http::Method;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{EVERY, Stretch};
use crate::workday::{api, people, schema, soap};

async fn organizations(cx: Cx, with: Json, position: Position) -> Result<Polled, StepError> {
    let stretch = Stretch::of(&cx, &position, 0).await?;
    if stretch.through <= stretch.from {
        return Ok(Polled { events: Vec::new(), cursor: json!({ "from": stretch.from.to_string() }), more: false });
    }
    let of = with["type"].as_str().map(|kind| soap::reference("Organization_Type_ID", kind));
    let filter = json!({ "known_at": format!("{:.3}", stretch.through) });
    let body = json!({
        "Request_Criteria": { "Organization_Type_Reference": of, "Include_Inactive": true, "Transaction_Log_Criteria_Data": people::log_criteria(&stretch.typed()) },
        "Response_Filter": people::filter(&filter, stretch.page, people::COUNT),
        "Response_Group": { "Include_Roles_Data": true, "Include_Hierarchy_Data": true },
    });
    let answer = soap::operation(&cx, "Human_Resources", "Get_Organizations_Request", &body).await?;
    let (found, pages) = soap::page(&answer, "Organization", stretch.page)?;
    let event = |found: &Json| {
        let data = &found["Organization_Data"];
        let id = soap::id_of(&found["Organization_Reference"], "WID").unwrap_or_default();
        // Two changes may have the same time; what is read again without a change is the same.
        let key = format!("{id}:{}", super::hash(data.to_string().as_bytes()));
        let told = json!({
            "wid": id,
            "reference_id": data["Reference_ID"],
            "name": data["Name"],
            "code": data["Code"],
            "type": data["Organization_Type_Reference"]["@Descriptor"],
            "inactive": matches!(data["Inactive"].as_str(), Some("1" | "true")),
            "changed": data["Last_Updated_DateTime"],
            "details": data,
        });
        Occurrence { key, data: told }
    };
    let events = found.iter().map(event).collect();
    let (cursor, more) = stretch.next(pages, None);
    Ok(Polled { events, cursor, more })
}

/// A list that can be asked from a day on.
struct Feed {
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    list: &'static str,
    parameter: &'static str,
    /// The field with the time, and with the word of how it stands.
    at: &'static str,
    /// Words of the process's name; any when empty.
    about: &'static [&'static str],
    /// How it must have ended; any when empty.
    ended: &'static str,
}

const FEEDS: &[Feed] = &[
    Feed {
        id: "event_started",
        title: "Business process started",
        summary: "Fires when a business process was begun.",
        list: "events",
        parameter: "initiatedOnOrAfter",
        at: "creationDate",
        about: &[],
        ended: "",
    },
    Feed {
        id: "event_completed",
        title: "Business process completed",
        summary: "Fires when a business process is over: completed or denied.",
        list: "events",
        parameter: "completedOnOrAfter",
        at: "completedDate",
        about: &[],
        ended: "",
    },
    Feed {
        id: "time_off_approved",
        title: "Time off approved",
        summary: "Fires when a request for time off was approved.",
        list: "events",
        parameter: "completedOnOrAfter",
        at: "completedDate",
        about: &["time off", "absence"],
        ended: "Successfully Completed",
    },
    Feed {
        id: "step_awaiting",
        title: "Step awaiting somebody",
        summary: "Fires when a step of a business process lies in an inbox.",
        list: "eventSteps",
        parameter: "createdOnOrAfter",
        at: "creationDate",
        about: &[],
        ended: "",
    },
];

/// Where a reading stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reading {
    /// What is asked for happened after this.
    from: Timestamp,
    /// Nothing before it is wanted.
    start: Timestamp,
    /// When the first page was asked for, by Workday's clock; nothing before it.
    #[serde(default)]
    began: Option<Timestamp>,
    #[serde(default)]
    offset: u64,
}

/// Reads from the day before the last question on: the days of these parameters are whole days of the tenant's zone,
/// which is not known. What is read again has the same key.
async fn feed(feed: &'static Feed, cx: Cx, with: Json, position: Position) -> Result<Polled, StepError> {
    let reading = match position {
        Position::Since(micros) => {
            let start = Timestamp::from_microsecond(micros).map_err(|_| cursor_lost())?;
            Reading { from: start, start, began: None, offset: 0 }
        }
        Position::After(cursor) => read_cursor(&cursor)?,
    };
    let day = reading.from.to_zoned(TimeZone::UTC).date().yesterday().map_err(|_| cursor_lost())?;
    let mut query =
        vec![(feed.parameter, day.to_string()), ("limit", api::REST_LIMIT.to_string()), ("offset", reading.offset.to_string())];
    query.extend(with["process"].as_str().map(|process| ("businessProcess", process.to_owned())));
    let (rows, answer) = api::rows(&cx, Method::GET, ("businessProcess", &[feed.list]), &query, None).await?;
    let full = rows.len() >= api::REST_LIMIT;
    let mut events: Vec<(String, Occurrence)> = Vec::new();
    let count = rows.len() as u64;
    for row in rows {
        let at = row[feed.at].as_str().unwrap_or_default().to_owned();
        let name = row["descriptor"].as_str().unwrap_or_default().to_lowercase();
        let other = !feed.about.is_empty() && !feed.about.iter().any(|part| name.contains(part));
        let ended = row["status"]["descriptor"].as_str().unwrap_or_default();
        if at.is_empty() || is_before(&at, reading.start) || other || (!feed.ended.is_empty() && ended != feed.ended) {
            continue;
        }
        let key = format!("{}:{at}", row["id"].as_str().unwrap_or_default());
        events.push((at, Occurrence { key, data: row }));
    }
    events.sort_by(|(one, _), (other, _)| one.cmp(other));
    let began = match reading.began {
        Some(began) => began,
        None => api::server_time(&answer, &cx),
    };
    let next = if full {
        Reading { began: Some(began), offset: reading.offset + count, ..reading }
    } else {
        Reading { from: began.max(reading.start), start: reading.start, began: None, offset: 0 }
    };
    Ok(Polled { events: events.into_iter().map(|(_, event)| event).collect(), cursor: json!(next), more: full })
}

/// Whether something happened before a moment. A day without its time may be a day apart by the zone.
fn is_before(at: &str, start: Timestamp) -> bool {
    match at.parse::<Timestamp>() {
        Ok(at) => at < start,
        Err(_) => {
            let day = at.get(..10).and_then(|day| day.parse::<Date>().ok()).and_then(|day| day.tomorrow().ok());
            day.is_some_and(|day| day < start.to_zoned(TimeZone::UTC).date())
        }
    }
}

fn trigger(one: &'static Feed) -> Trigger {
    let sample = json!({
        "id": "3aa5550b7fe348b98d7b5741afc65534", "descriptor": "Change Job: Logan McNeil", "creationDate": "2026-11-20T08:00:00Z",
        "completedDate": "2026-11-20T09:00:00Z", "status": { "id": "a", "descriptor": "Successfully Completed" }
    });
    Trigger::new(one.id, one.title, one.summary)
        .config(schema::input(
            &[("process", schema::text("Business process", "Its id, as list_business_processes gives it; any when left out."))],
            &[],
        ))
        .output(schema::output(&[
            ("id", schema::told("Workday id")),
            ("descriptor", schema::told("Name")),
            ("status", schema::reference("Status")),
            ("creationDate", schema::told("Begun")),
            ("completedDate", schema::told("Over")),
        ]))
        .sample(sample)
        .poll(Poll::new(EVERY, move |cx, with, position| feed(one, cx, with, position)))
}

pub(super) fn all() -> Vec<Trigger> {
    let organization = Trigger::new("organization_changed", "Changed organization", "Fires when an organization was made or changed.")
        .config(schema::input(&[("type", schema::text("Type", "An organization type id, for instance Supervisory; all when left out."))], &[]))
        .output(schema::output(&[
            ("wid", schema::told("Workday id")),
            ("reference_id", schema::told("Reference id")),
            ("name", schema::told("Name")),
            ("type", schema::told("Type")),
            ("changed", schema::told("Changed at")),
        ]))
        .sample(json!({ "wid": "cb550da820584750aae8f807882fa79a", "reference_id": "SUP_ENG", "name": "Engineering", "type": "Supervisory", "inactive": false, "changed": "2026-11-20T08:00:00.000Z" }))
        .poll(Poll::new(EVERY, organizations));
    std::iter::once(organization).chain(FEEDS.iter().map(trigger)).collect()
}
