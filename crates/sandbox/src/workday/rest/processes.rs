//! Business process v1: events, their steps, and the decisions on them.

use http::Method;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Value as Json, json};

use super::{Ask, Done, missing, not_with, text_in, without_nulls, wrong};
use crate::workday::{
    answer::Answer,
    items::Kind,
    process::{Event, Process, Status},
    state::State,
    wid,
};

pub(super) fn answer(state: &mut State, ask: &Ask<'_>, path: &[&str]) -> Done {
    match path {
        ["eventSteps", id, verb @ ("approve" | "deny" | "sendBack")] if ask.is(&Method::POST) => decide(state, ask, id, verb),
        ["eventSteps", _, "approve" | "deny" | "sendBack"] => Err(not_with("POST")),
        _ if !ask.is(&Method::GET) => Err(not_with("GET")),
        ["events"] => events(state, ask),
        ["events", id] => Ok(Answer::json(200, &event(state, ask, named(state, id)?))),
        ["events", id, list] => ask.rows(&of_event(state, ask, named(state, id)?, list)?),
        ["eventSteps"] => steps(state, ask),
        ["eventSteps", id] => {
            let place = *state.step_by_wid.get(*id).ok_or_else(missing)?;
            Ok(Answer::json(200, &step(state, ask, &state.events[place])))
        }
        ["types"] => {
            let all: Vec<Json> = state.items.of(Kind::Process).map(|(_, item)| item.json()).collect();
            ask.rows(&all)
        }
        ["types", id] => Ok(Answer::json(200, &ask.item(state, id, &[Kind::Process])?.1.json())),
        ["types", _, "attachmentCategories"] => ask.rows(&[]),
        ["values", "sendBack", "to"] => ask.rows(&[initiator("isu")]),
        _ => Err(missing()),
    }
}

fn named<'s>(state: &'s State, id: &str) -> Result<&'s Event, Answer> {
    state.event_by_wid.get(id).map(|place| &state.events[*place]).ok_or_else(missing)
}

fn initiator(who: &str) -> Json {
    json!({ "id": wid(0, &format!("account {who}")), "descriptor": who })
}

fn status(state: &State, status: Status) -> Json {
    state.items.known(Kind::EventStatus, status.words().0).map_or(Json::Null, |place| state.item(place).json())
}

fn kind(state: &State, process: Process) -> Json {
    state.items.known(Kind::Process, process.name()).map_or(Json::Null, |place| state.item(place).json())
}

fn subject(state: &State, ask: &Ask<'_>, event: &Event) -> Json {
    json!({ "id": state.workers[event.worker].wid, "descriptor": state.name_of(event.worker, ask.now()) })
}

fn event(state: &State, ask: &Ask<'_>, event: &Event) -> Json {
    without_nulls(json!({
        "id": event.wid,
        "descriptor": format!("{}: {}", event.process.name(), state.name_of(event.worker, ask.now())),
        "for": subject(state, ask, event),
        "overallBusinessProcess": { "id": event.wid, "descriptor": event.process.name() },
        "businessProcess": kind(state, event.process),
        "subBusinessProcesses": [],
        "initiator": initiator(&event.initiator),
        "status": status(state, event.status),
        "creationDate": event.initiated.to_string(),
        "completedDate": event.completed.map(|at| at.to_string()),
        "effectiveDate": event.effective.to_string(),
    }))
}

fn step(state: &State, ask: &Ask<'_>, event: &Event) -> Json {
    let Some(step) = &event.step else { return Json::Null };
    let kind_of = state.items.known(Kind::StepType, "APPROVAL").map(|place| state.item(place).json());
    let word = match (step.completed, event.status) {
        (None, _) => "Awaiting Action",
        (_, Status::Denied) => "Denied",
        (_, Status::SentBack) => "Sent Back",
        _ => "Approved",
    };
    let awaiting: Vec<Json> = step.awaiting.iter().map(|place| ask.worker_reference(state, *place)).collect();
    without_nulls(json!({
        "id": step.wid,
        "descriptor": format!("Approval for {}: {}", event.process.name(), state.name_of(event.worker, ask.now())),
        "event": { "id": event.wid, "descriptor": event.process.name() },
        "overallProcess": { "id": event.wid, "descriptor": event.process.name() },
        "businessProcess": kind(state, event.process),
        "stepType": kind_of,
        "status": { "id": wid(0, &format!("step status {word}")), "descriptor": word },
        "order": "b",
        "creationDate": step.created.to_string(),
        "completedDate": step.completed.map(|at| at.to_string()),
        "completedByPerson": step.completed.map(|_| initiator(&step.by)),
        "awaitingPersons": awaiting,
        "comments": comments(event),
    }))
}

fn comments(event: &Event) -> Vec<Json> {
    let row = |comment: &crate::workday::process::Comment| json!({ "person": initiator(&comment.who), "comment": comment.text, "commentDate": comment.at.to_string() });
    event.comments.iter().map(row).collect()
}

fn of_event(state: &State, ask: &Ask<'_>, event: &Event, list: &str) -> Result<Vec<Json>, Answer> {
    let done = event.step.as_ref().is_some_and(|step| step.completed.is_some());
    let steps = |wanted: bool| if event.step.is_some() && wanted { vec![step(state, ask, event)] } else { Vec::new() };
    match list {
        "completedSteps" => Ok(steps(done)),
        "inProgressSteps" => Ok(steps(!done)),
        "remainingSteps" | "attachments" => Ok(Vec::new()),
        "comments" => Ok(comments(event)),
        _ => Err(missing()),
    }
}

/// A border of a time: a date means its whole day.
#[derive(Clone, Copy)]
struct Border(Timestamp, Timestamp);

fn border(ask: &Ask<'_>, name: &str) -> Result<Option<Border>, Answer> {
    let Some(text) = ask.call.param(name) else { return Ok(None) };
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Some(Border(at, at)));
    }
    let day = text.parse::<Date>().map_err(|_| Answer::error(400, &format!("{name} parameter invalid: must be a date")))?;
    let edge = |time: jiff::civil::DateTime| time.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).unwrap_or_default();
    Ok(Some(Border(edge(day.at(0, 0, 0, 0)), edge(day.at(23, 59, 59, 999_999_999)))))
}

/// True between the borders of the query that begin with a name.
fn between(ask: &Ask<'_>, name: &str) -> Result<impl Fn(Option<Timestamp>) -> bool + use<>, Answer> {
    let (after, before) = (border(ask, &format!("{name}OnOrAfter"))?, border(ask, &format!("{name}OnOrBefore"))?);
    Ok(move |at: Option<Timestamp>| {
        after.is_none_or(|after| at.is_some_and(|at| at >= after.0))
            && before.is_none_or(|before| at.is_some_and(|at| at <= before.1))
    })
}

/// True when the query does not ask for the field, or asks for one of the keys.
fn asked(ask: &Ask<'_>, name: &str, keys: &[&str]) -> bool {
    let mut wanted = ask.call.query.iter().filter(|(known, _)| known == name).peekable();
    wanted.peek().is_none() || wanted.any(|(_, value)| keys.contains(&value.as_str()))
}

fn process_asked(state: &State, ask: &Ask<'_>, process: Process) -> bool {
    let place = state.items.known(Kind::Process, process.name());
    let wid = place.map(|place| state.item(place).wid.as_str()).unwrap_or_default();
    asked(ask, "businessProcess", &[wid, process.name(), &format!("Business_Process_Type={}", process.name())])
}

fn worker_asked(state: &State, ask: &Ask<'_>, event: &Event) -> bool {
    ask.call.param("worker").is_none_or(|key| state.worker_at(key) == Some(event.worker))
}

fn events(state: &State, ask: &Ask<'_>) -> Done {
    let (initiated, completed) = (between(ask, "initiated")?, between(ask, "completed")?);
    let holds = |event: &&Event| {
        let (id, words) = event.status.words();
        let place = state.items.known(Kind::EventStatus, id);
        let wid = place.map(|place| state.item(place).wid.as_str()).unwrap_or_default();
        initiated(Some(event.initiated))
            && completed(event.completed)
            && worker_asked(state, ask, event)
            && process_asked(state, ask, event.process)
            && asked(ask, "status", &[wid, id, words, &format!("Event_Status_ID={id}")])
    };
    // A worker's own events are few; the rest are walked through.
    let all: Vec<&Event> = state.events.iter().filter(holds).collect();
    ask.list(&all, |one| event(state, ask, one))
}

fn steps(state: &State, ask: &Ask<'_>) -> Done {
    let created = between(ask, "created")?;
    let open = |event: &&Event| {
        let step = event.step.as_ref();
        step.is_some_and(|step| step.completed.is_none() && created(Some(step.created)))
            && worker_asked(state, ask, event)
            && process_asked(state, ask, event.process)
    };
    let all: Vec<&Event> = state.events.iter().filter(open).collect();
    ask.list(&all, |one| step(state, ask, one))
}

/// `inboxTasks` of the common service.
pub(super) fn inbox(state: &State, ask: &Ask<'_>, place: usize) -> Vec<Json> {
    let waits = |event: &&Event| event.step.as_ref().is_some_and(|step| step.awaiting == Some(place) && step.completed.is_none());
    let row = |event: &Event| {
        let mut row = step(state, ask, event);
        row["subject"] = subject(state, ask, event);
        row["assigned"] = row["creationDate"].clone();
        row["initiator"] = initiator(&event.initiator);
        row
    };
    state.events.iter().filter(waits).map(row).collect()
}

fn decide(state: &mut State, ask: &Ask<'_>, id: &str, verb: &str) -> Done {
    let body = ask.call.json()?;
    let place = *state.step_by_wid.get(id).ok_or_else(missing)?;
    if state.events[place].status != Status::InProgress {
        return Err(wrong("", "The step is no longer awaiting action."));
    }
    let (decision, comment) = match verb {
        "approve" => (Status::Completed, body["comment"].as_str()),
        "deny" => (Status::Denied, Some(text_in(&body, "comment")?)),
        _ => {
            if body["to"]["id"].as_str().is_none() {
                return Err(wrong("to", "to is required."));
            }
            (Status::SentBack, Some(text_in(&body, "reason")?))
        }
    };
    state.decide(place, decision, &ask.done_by(), comment, ask.now());
    let event = &state.events[place];
    let mut told = json!({
        "id": id,
        "descriptor": format!("Approval for {}", event.process.name()),
        "eventStatus": status(state, event.status),
        "comment": comment,
    });
    if verb == "sendBack" {
        told["status"] = status(state, event.status);
        told["to"] = body["to"].clone();
        told["reason"] = json!(comment);
    }
    Ok(Answer::json(201, &without_nulls(told)))
}
