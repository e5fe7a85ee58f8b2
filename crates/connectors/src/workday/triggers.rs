//! What starts recipes: changes of workers by the transaction log, and other things that are asked for.
//!
//! Two clocks run in Workday: when something holds, and when somebody typed it. The log is asked by the second one, from
//! the last question up to a minute ago by Workday's own clock; then once more as of a later day, for those whose first
//! day is still to come; and then for what begins that many days later, for those who were further away when they were
//! typed. What is told twice has the same key.

mod effective;
mod feeds;
mod schedules;

use std::time::Duration;

use connector::{
    Cx, ErrorClass, Inbound, Occurrence, Poll, Polled, Position, Refused, StepError, Trigger, Verified, Webhook, cursor_lost,
};
use jiff::{SignedDuration, Span, Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{people, schema, soap};

/// How long ago the log is believed to be whole, in seconds.
const LAG_S: i64 = 60;
/// The zones of the earth are no further apart, in days.
const ZONES_DAYS: i64 = 2;
/// Days ahead when nothing is said.
const LOOK_AHEAD_DAYS: i64 = 30;
/// Usual pause between questions.
const EVERY: Duration = Duration::from_secs(300);
/// The header in which messages from Workday carry the secret.
const SECRET_HEADER: &str = "x-workday-secret";
/// The header that tells messages apart. Without it the same body is the same message.
const MESSAGE_HEADER: &str = "x-workday-message-id";

/// Where a question goes on: the stretch of the log, and the page in it.
struct Stretch {
    from: Timestamp,
    through: Timestamp,
    page: u64,
    /// Workers of a page.
    count: u64,
    question: Question,
    /// So many days ahead were looked at before this stretch; `None` by builds that did not ask for who comes near.
    looked: Option<i64>,
    /// Who is not told of when the first day comes near.
    past: Vec<Past>,
}

/// Whoever was typed until a moment and begins before a day was told of, or was near before the trigger began.
///
/// One for the start, and one for each time the look ahead was made shorter: what was typed later is seen by the shorter
/// one alone. On the edge, where it is not sure, people are told of again, under the same key, rather than never.
#[derive(Clone, Serialize, Deserialize)]
struct Past {
    typed: Timestamp,
    before: Date,
}

impl Past {
    /// What was seen up to a moment by a look so many days ahead.
    fn of(typed: Timestamp, days: i64) -> Self {
        Self { typed, before: utc_day(later(typed, days)) }
    }

    /// Whether this holds all that the other one does.
    fn covers(&self, other: &Self) -> bool {
        other.typed <= self.typed && other.before <= self.before
    }
}

/// What a stretch is asked for, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Question {
    /// What was typed in it, as of its end.
    Typed,
    /// The same as of a later day: people to come.
    Ahead,
    /// What begins so many days after it. Workday shows nobody before the first day, so people who were too far away
    /// when they were typed are found when they come near.
    Nearing,
}

fn moment(value: &Json) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A short hash that tells contents apart.
fn hash(content: &[u8]) -> String {
    hex::encode(&Sha256::digest(content)[..12])
}

/// Workday's own time, less the lag.
async fn settled(cx: &Cx) -> Result<Timestamp, StepError> {
    people::server_time(cx).await?.parse().map(lag).map_err(|_| unreadable_time())
}

/// The moment up to which the log is believed to be whole.
fn lag(now: Timestamp) -> Timestamp {
    now.checked_sub(Span::new().seconds(LAG_S)).unwrap_or(now)
}

fn unreadable_time() -> StepError {
    StepError::new(ErrorClass::Server, "ANSWER_UNREADABLE", "Workday's time cannot be read").with_next("It is tried again.")
}

impl Stretch {
    /// `days` ahead are looked at.
    async fn of(cx: &Cx, position: &Position, days: i64) -> Result<Self, StepError> {
        let (from, kept) = match position {
            Position::Since(micros) => (Timestamp::from_microsecond(*micros).map_err(|_| cursor_lost())?, None),
            Position::After(cursor) => {
                (moment(&cursor["from"]).ok_or_else(cursor_lost)?, moment(&cursor["through"]).map(|at| (at, cursor)))
            }
        };
        let (looked, mut past) = match position {
            Position::Since(_) => (Some(days), vec![Past::of(from, days)]),
            Position::After(cursor) => (cursor["looked"].as_i64(), Vec::deserialize(&cursor["past"]).unwrap_or_default()),
        };
        // Who was looked at from further away than now was told of then.
        if let Some(looked) = looked.filter(|looked| *looked > days) {
            let seen = Past::of(from, looked);
            past.retain(|known| !seen.covers(known));
            past.push(seen);
        }
        past.retain(|known| known.before >= utc_day(from));
        let begun = Self { from, through: from, page: 1, count: people::COUNT, question: Question::Typed, looked, past };
        match kept {
            Some((through, cursor)) => Ok(Self {
                through,
                page: cursor["page"].as_u64().unwrap_or(1),
                count: cursor["count"].as_u64().unwrap_or(people::COUNT),
                question: Question::deserialize(&cursor["question"]).unwrap_or(Question::Typed),
                ..begun
            }),
            None => Ok(Self { through: settled(cx).await?, ..begun }),
        }
    }

    /// Where the next question goes on, and whether there is more at once.
    ///
    /// `days` ahead are looked at; `None` where what was typed is all there is to ask for.
    fn next(&self, pages: u64, days: Option<i64>) -> (Json, bool) {
        let (page, question) = match self.question {
            question if self.page < pages => (self.page + 1, question),
            Question::Typed if days.is_some_and(|days| days > 0) => (1, Question::Ahead),
            Question::Typed | Question::Ahead if days.is_some() => (1, Question::Nearing),
            // Only now the stretch is done. Its end is read again: it is inclusive on both sides.
            _ => return (self.over(days), false),
        };
        let (from, through) = (self.from.to_string(), self.through.to_string());
        let cursor = json!({
            "from": from, "through": through, "page": page, "count": self.count, "question": question,
            "looked": self.looked, "past": self.past,
        });
        (cursor, true)
    }

    /// Where the next stretch begins.
    fn over(&self, looked: Option<i64>) -> Json {
        json!({ "from": self.through.to_string(), "looked": looked, "past": self.past })
    }

    /// What was typed in it, as criteria of the log.
    fn typed(&self) -> Json {
        json!({ "updated_from": format!("{:.3}", self.from), "updated_through": format!("{:.3}", self.through) })
    }

    /// The criteria of the log, as people write them.
    fn range(&self, days: i64) -> Json {
        if self.question != Question::Nearing {
            return self.typed();
        }
        // A day may begin there before it does here, and whoever looks further ahead than before has not seen the rest.
        let from = later(self.from, days.min(self.looked.unwrap_or(0)) - ZONES_DAYS);
        let through = later(self.through, days);
        json!({ "effective_from": format!("{from:.3}"), "effective_through": format!("{through:.3}") })
    }

    /// The day whose workers are wanted; `None` for today's.
    fn as_of(&self, days: i64) -> Option<Date> {
        let day = |days| utc_day(later(self.through, days));
        match self.question {
            Question::Typed => None,
            Question::Ahead => Some(day(days)),
            // A day begins earlier in the east.
            Question::Nearing => Some(day(days + ZONES_DAYS)),
        }
    }
}

fn utc_day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn later(at: Timestamp, days: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(at)
}

/// Whether a change was typed when its worker was further away than the look ahead, so that no question found it then.
fn was_too_far(data: &Json, days: i64, past: &[Past]) -> bool {
    let day = |value: &Json| value.as_str()?.get(..10)?.parse::<Date>().ok();
    let worker = &data["worker"];
    let hired = || day(&data["change"]["effective"]).filter(|_| data["change"]["class"] == "hire");
    let first = day(&worker["original_hire_date"]).or_else(|| day(&worker["hire_date"])).or_else(hired);
    let (Some(entered), Some(first)) = (day(&data["change"]["entered"]), first) else { return false };
    // What was told as well is known by its key.
    let far = entered.checked_add(Span::new().days(days - ZONES_DAYS)).is_ok_and(|seen| seen < first);
    let typed = moment(&data["change"]["entered"]);
    far && !past.iter().any(|known| first < known.before && typed.is_some_and(|typed| typed <= known.typed))
}

/// The class of a change by the name of its process. One thing people do has many names, so nothing is left out.
pub(super) fn class(process: &str, rehired: bool) -> &'static str {
    let low = process.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| low.contains(part));
    if has(&["terminat", "end contingent", "end contract", "resign", "retire"]) {
        "termination"
    } else if has(&["hire", "contract contingent", "onboard"]) {
        if rehired { "rehire" } else { "hire" }
    } else if has(&["change job", "promot", "transfer", "demot", "title", "additional job", "move", "lateral"]) {
        "job_change"
    } else if has(&["contact", "address", "phone", "email"]) {
        "contact"
    } else if has(&["compensation", "pay", "bonus", "salary"]) {
        "compensation"
    } else if has(&["organization", "cost center", "reorg"]) {
        "organization"
    } else if has(&["leave"]) {
        "leave"
    } else if has(&["name", "personal"]) {
        "personal"
    } else {
        "other"
    }
}

const CLASSES: [&str; 10] =
    ["hire", "rehire", "termination", "job_change", "contact", "compensation", "organization", "leave", "personal", "other"];

/// One question for changed workers, of some classes.
async fn workers(cx: Cx, with: Json, position: Position, classes: &'static [&'static str]) -> Result<Polled, StepError> {
    let days = with["look_ahead_days"].as_i64().unwrap_or(LOOK_AHEAD_DAYS);
    let mut stretch = Stretch::of(&cx, &position, days).await?;
    if stretch.through <= stretch.from {
        let nothing = Stretch { through: stretch.from, ..stretch };
        return Ok(Polled { events: Vec::new(), cursor: nothing.over(nothing.looked), more: false });
    }
    let mut input = with.clone();
    input["log"] = stretch.range(days);
    input["known_at"] = json!(format!("{:.3}", stretch.through));
    input["as_of"] = json!(stretch.as_of(days).map(|day| day.to_string()));
    if let (Question::Nearing, Some(groups)) = (stretch.question, input["groups"].as_array_mut()) {
        // Holds the first day.
        groups.push(json!("employment"));
    }
    let mut groups = people::groups(&input);
    groups["Include_Transaction_Log_Data"] = json!(true);
    let found = people::get_workers(&cx, &input, &groups, (stretch.page, stretch.count)).await?;
    (stretch.page, stretch.count) = (found.page, found.count);
    let wanted = wanted(&with, classes);
    let mut events: Vec<(String, Occurrence)> = Vec::new();
    for worker in &found.workers {
        changes(worker, &wanted, &mut events);
    }
    if stretch.question == Question::Nearing {
        let looked = stretch.looked.map_or(days, |looked| looked.min(days));
        events.retain(|(_, event)| was_too_far(&event.data, looked, &stretch.past));
    }
    events.sort_by(|(one, _), (other, _)| one.cmp(other));
    let (cursor, more) = stretch.next(found.pages, Some(days));
    Ok(Polled { events: events.into_iter().map(|(_, event)| event).collect(), cursor, more })
}

fn wanted(with: &Json, classes: &'static [&'static str]) -> Vec<String> {
    match with["classes"].as_array() {
        Some(chosen) if !chosen.is_empty() => chosen.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        _ => classes.iter().map(|class| (*class).to_owned()).collect(),
    }
}

/// The log's lines of one worker as events, with the moment they were typed.
fn changes(found: &Json, wanted: &[String], events: &mut Vec<(String, Occurrence)>) {
    let worker = people::worker(found);
    let rehired = found["Worker_Data"]["Employment_Data"]["Worker_Status_Data"]["Rehire"].as_str() == Some("1");
    let on = |value: &Json| matches!(value.as_str(), Some("1" | "true"));
    for entry in soap::list(&found["Worker_Data"]["Transaction_Log_Entry_Data"]["Transaction_Log_Entry"]) {
        let line = &entry["Transaction_Log_Data"];
        let kind = soap::list(&line["Transaction_Log_Type_Reference"]);
        let process = kind
            .first()
            .and_then(|kind| soap::id_of(kind, "Business_Process_Type"))
            .or_else(|| kind.first()?["@Descriptor"].as_str().map(str::to_owned));
        let process = process.unwrap_or_default();
        let class = class(&process, rehired);
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == class) {
            continue;
        }
        let entered = line["Transaction_Entry_Moment"].as_str().unwrap_or_default().to_owned();
        let id = soap::id_of(&entry["Transaction_Log_Reference"], "WID");
        let who = worker["wid"].as_str().or(worker["worker_id"].as_str()).unwrap_or_default();
        let key = id.unwrap_or_else(|| format!("{who}:{entered}:{process}"));
        let mut told = worker.clone();
        if let Some(details) = told["details"].as_object_mut() {
            details.shift_remove("Transaction_Log_Entry_Data");
        }
        let data = json!({
            "worker": told,
            "change": {
                "class": class,
                "process": process,
                "description": line["Transaction_Log_Description"],
                "effective": line["Transaction_Effective_Moment"].as_str().and_then(|at| at.get(..10)),
                "effective_moment": line["Transaction_Effective_Moment"],
                "entered": entered,
                "rescinded": on(&line["Is_Rescind_Or_Rescinded"]),
                "corrected": on(&line["Is_Correction_Or_Corrected"]),
            },
        });
        events.push((entered, Occurrence { key, data }));
    }
}

fn change_schema() -> Json {
    schema::output(&[
        ("worker", people::worker_schema()),
        (
            "change",
            schema::output(&[
                ("class", json!({ "type": "string", "enum": CLASSES, "title": "Class" })),
                ("process", schema::told("Business process")),
                ("description", schema::told("Description")),
                ("effective", schema::told("Effective date")),
                ("effective_moment", schema::told("Effective from, as Workday writes it")),
                ("entered", schema::told("Entered at")),
                ("rescinded", json!({ "type": "boolean", "title": "Rescinded" })),
                ("corrected", json!({ "type": "boolean", "title": "Corrected" })),
            ]),
        ),
    ])
}

fn worker_trigger(id: &'static str, title: &'static str, summary: &'static str, classes: &'static [&'static str]) -> Trigger {
    let mut fields = vec![
        (
            "organizations",
            schema::texts(
                "Organizations",
                "Only their members, with the organizations below: reference ids, WIDs, or a type and value.",
            ),
        ),
        ("include_contingent", schema::flag("With contingent workers", "True unless said otherwise.")),
        (
            "look_ahead_days",
            json!({ "type": "integer", "minimum": 0, "maximum": 365, "default": LOOK_AHEAD_DAYS, "title": "Days ahead", "description": "Somebody whose first day is to come is told of so many days before it, or when it is entered later than that; 0 for on the day itself." }),
        ),
        ("groups", people::groups_field()),
    ];
    if classes.is_empty() {
        fields.push(("classes", json!({ "type": "array", "items": { "type": "string", "enum": CLASSES }, "title": "Classes of changes", "description": "All when left out." })));
    }
    let sample = json!({
        "worker": people::sample(),
        "change": { "class": classes.first().unwrap_or(&"job_change"), "process": "Hire Employee", "description": "Hire: Logan McNeil", "effective": "2026-12-01", "effective_moment": "2026-12-01T00:00:00.000-08:00", "entered": "2026-11-20T08:00:00.000Z", "rescinded": false, "corrected": false },
    });
    Trigger::new(id, title, summary)
        .config(schema::input(&fields, &[]))
        .output(change_schema())
        .sample(sample)
        .poll(Poll::new(EVERY, move |cx, with, position| workers(cx, with, position, classes)))
}

/// A message that Workday sends by a notification, an orchestration or an integration of the tenant.
fn message() -> Trigger {
    let refused = |code, message: &str| Refused { code, message: message.to_owned() };
    let verify = move |connection: &connector::Connection, request: &Inbound<'_>| {
        let secret = connection.credentials.get("webhook_secret");
        let secret =
            secret.ok_or_else(|| refused("SECRET_MISSING", "the connection has no secret for messages; add webhook_secret"))?;
        let given = request
            .header(SECRET_HEADER)
            .ok_or_else(|| refused("SIGNATURE_MISSING", "the header X-Workday-Secret is missing"))?;
        if bool::from(given.as_bytes().ct_eq(secret.expose().as_bytes())) {
            let key = request.header(MESSAGE_HEADER).map_or_else(|| hash(request.body), str::to_owned);
            return Ok(Verified { event_key: Some(key) });
        }
        Err(refused("SIGNATURE_MISMATCH", "the secret in the header X-Workday-Secret is not the connection's"))
    };
    Trigger::new(
        "message_received",
        "Message received",
        "Fires at once when an integration of the tenant calls, with the secret in the header X-Workday-Secret. The header X-Workday-Message-Id tells messages apart; without it the same body starts one run, however often it comes.",
    )
    .output(json!({ "type": "object" }))
    .webhook(Webhook::new(verify, |_| vec![SECRET_HEADER.to_owned()]))
}

pub(super) fn all() -> Vec<Trigger> {
    let mut all = vec![
        worker_trigger(
            "worker_changed",
            "New or changed worker",
            "Fires for every line of the transaction log: hires, changes, terminations, corrections and rescinds.",
            &[],
        ),
        worker_trigger(
            "worker_hired",
            "New hire",
            "Fires when somebody was hired or contracted, also for a day to come.",
            &["hire", "rehire"],
        ),
        worker_trigger(
            "worker_terminated",
            "Terminated worker",
            "Fires when a last day was set, also for a day to come.",
            &["termination"],
        ),
        worker_trigger("job_changed", "Job changed", "Fires for transfers, promotions and new titles.", &["job_change"]),
    ];
    all.push(effective::trigger());
    all.extend(feeds::all());
    all.extend(schedules::all());
    all.push(message());
    all
}
