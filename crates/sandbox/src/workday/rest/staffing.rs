//! Staffing v6: job changes that are drafts until they are submitted. Names of the parts are (unverified).

use http::Method;
use serde_json::{Value as Json, json};

use super::{Ask, Done, common, day_in, missing, not_with, referred, without_nulls, wrong};
use crate::workday::{
    answer::Answer,
    items::Kind,
    people::Change,
    process::{Process, Status},
    state::State,
};

/// The action that saves a draft for later, after which REST cannot edit it any more.
const SAVE_FOR_LATER: &str = "d9e41a8c446c11de98360015c5e6daf6";

pub(super) fn answer(state: &mut State, ask: &Ask<'_>, path: &[&str]) -> Done {
    match path {
        ["workers", id, "jobChanges"] if ask.is(&Method::POST) => draft(state, ask, id),
        ["jobChanges", id, "submit"] if ask.is(&Method::POST) => submit(state, ask, id),
        ["jobChanges", id, part, _] if ask.is(&Method::PATCH) => edit(state, ask, id, part),
        ["workers", _, "jobChanges"] | ["jobChanges", _, "submit"] => Err(not_with("POST")),
        _ if !ask.is(&Method::GET) => Err(not_with("GET")),
        ["jobChanges", id] | ["jobChanges", id, _] | ["jobChanges", id, _, _] => {
            let place = named(state, id)?;
            Ok(Answer::json(200, &told(state, ask, place)))
        }
        ["workers"] => ask.list(&common::searched(state, ask), |(place, view)| common::summary(state, ask, *place, view)),
        ["workers", id] => {
            let (place, view) = ask.worker(state, id)?;
            Ok(Answer::json(200, &common::summary(state, ask, place, &view)))
        }
        ["jobProfiles"] => all(state, ask, Kind::JobProfile),
        ["jobProfiles", id] => Ok(Answer::json(200, &ask.item(state, id, &[Kind::JobProfile])?.1.json())),
        ["supervisoryOrganizations"] => all(state, ask, Kind::Supervisory),
        ["values", "jobChangesGroup", "reason"] => all(state, ask, Kind::JobChangeReason),
        ["values", "jobChangesGroup", "locations"] => all(state, ask, Kind::Location),
        ["values", "jobChangesGroup", "jobs"] => all(state, ask, Kind::JobProfile),
        ["values", "jobChangesGroup", "workerTypes"] => all(state, ask, Kind::EmployeeType),
        _ => Err(missing()),
    }
}

fn all(state: &State, ask: &Ask<'_>, kind: Kind) -> Done {
    let rows: Vec<Json> = state.items.of(kind).map(|(_, item)| item.json()).collect();
    ask.rows(&rows)
}

fn named(state: &State, id: &str) -> Result<usize, Answer> {
    let place = state.event_by_wid.get(id).copied().ok_or_else(missing)?;
    Some(place).filter(|place| state.events[*place].process == Process::ChangeJob).ok_or_else(missing)
}

fn draft(state: &mut State, ask: &Ask<'_>, id: &str) -> Done {
    let body = ask.call.json()?;
    let (worker, view) = ask.worker(state, id)?;
    let effective = day_in(&body, "date")?.unwrap_or_else(|| state.day(ask.now()));
    if !view.active(effective) {
        return Err(wrong("date", format!("The worker is not employed on {effective}.")));
    }
    state.refuse_second(worker, Process::ChangeJob).map_err(|why| wrong("", why))?;
    let mut change = Change::Job { organization: None, location: None, profile: None, title: None, position: None };
    merge(state, &mut change, &body)?;
    let who = ask.done_by();
    let place = state.draft(Process::ChangeJob, worker, effective, change, &who, ask.now()).map_err(|why| wrong("", why))?;
    Ok(Answer::json(201, &told(state, ask, place)))
}

/// Takes the fields that are named into the change.
fn merge(state: &State, change: &mut Change, body: &Json) -> Result<(), Answer> {
    let Change::Job { organization, location, profile, title, .. } = change else { return Ok(()) };
    let put = |slot: &mut Option<usize>, found: Option<usize>| *slot = found.or(*slot);
    put(organization, referred(state, body, "supervisoryOrganization", &[Kind::Supervisory])?);
    put(location, referred(state, body, "location", &[Kind::Location])?);
    put(profile, referred(state, body, "jobProfile", &[Kind::JobProfile])?);
    referred(state, body, "reason", &[Kind::JobChangeReason])?;
    if let Some(text) = body["businessTitle"].as_str() {
        *title = Some(text.chars().take(super::TEXT_CHARS_MAX).collect());
    }
    Ok(())
}

fn edit(state: &mut State, ask: &Ask<'_>, id: &str, part: &str) -> Done {
    let known = ["startDetails", "jobProfile", "businessTitle", "location", "administrative", "comment", "moveTeam", "position"];
    if !known.contains(&part) {
        return Err(missing());
    }
    let body = ask.call.json()?;
    let place = named(state, id)?;
    open(state, place)?;
    let mut change = state.events[place].change.clone();
    merge(state, &mut change, &body)?;
    let effective = day_in(&body, "date")?;
    let event = &mut state.events[place];
    event.change = change;
    event.effective = effective.unwrap_or(event.effective);
    if part == "comment" {
        state.say(place, &ask.done_by(), body["comment"].as_str(), ask.now());
    }
    Ok(Answer::json(200, &told(state, ask, place)))
}

fn open(state: &State, place: usize) -> Result<(), Answer> {
    match state.events[place].status {
        Status::Draft => Ok(()),
        _ => Err(wrong("", "The event can no longer be edited.")),
    }
}

fn submit(state: &mut State, ask: &Ask<'_>, id: &str) -> Done {
    let body = ask.call.json()?;
    let place = named(state, id)?;
    open(state, place)?;
    let parameters = &body["businessProcessParameters"];
    if parameters["action"]["id"] == SAVE_FOR_LATER {
        state.events[place].status = Status::Saved;
        return Ok(Answer::json(201, &told(state, ask, place)));
    }
    state.refuse_second(state.events[place].worker, Process::ChangeJob).map_err(|why| wrong("", why))?;
    state.say(place, &ask.done_by(), parameters["comment"].as_str(), ask.now());
    let auto = !state.settings.approvals;
    state.submit(place, auto, ask.now());
    Ok(Answer::json(201, &told(state, ask, place)))
}

fn told(state: &State, ask: &Ask<'_>, place: usize) -> Json {
    let event = &state.events[place];
    let item = |place: &Option<usize>| place.map(|place| state.item(place).json());
    let mut row = json!({
        "id": event.wid,
        "descriptor": format!("Change Job: {}", state.name_of(event.worker, ask.now())),
        "href": format!("{}/jobChanges/{}", ask.root, event.wid),
        "worker": ask.worker_reference(state, event.worker),
        "date": event.effective.to_string(),
        "status": event.status.words().1,
    });
    if let Change::Job { organization, location, profile, title, .. } = &event.change {
        row["supervisoryOrganization"] = json!(item(organization));
        row["location"] = json!(item(location));
        row["jobProfile"] = json!(item(profile));
        row["businessTitle"] = json!(title);
    }
    without_nulls(row)
}
