//! What people do in the tenant, and its records to look at.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::{Span, Timestamp, civil::Date};
use serde_json::{Value as Json, json};

use super::{
    items::Kind,
    people::{Change, Hire},
    process::{Process, Start, Status},
    seed, soap,
    state::{Paper, State},
    wid,
};
use crate::{Problem, Table};

/// Changes that one call makes at most.
const CHANGES_MAX: u64 = 50_000;
/// Documents kept.
const PAPERS_MAX: usize = 10_000;

pub(super) fn all() -> Vec<(&'static str, &'static str, Json)> {
    vec![
        (
            "hire_worker",
            "Somebody is hired. `days` from today is the first day; without it, today.",
            json!({"first_name": "Mira", "last_name": "Novak", "title": "Software Engineer", "organization": "ENG", "location": "BER", "days": 0}),
        ),
        (
            "change_worker",
            "A worker gets another title, organisation, location, name or pay.",
            json!({"employee": "21010", "title": "Principal Engineer", "organization": "ENG", "days": 0}),
        ),
        ("terminate_worker", "A worker's last day is set.", json!({"employee": "21010", "days": 0})),
        ("rehire_worker", "Somebody who left comes back.", json!({"employee": "21010"})),
        ("rescind_event", "The last event of a worker, or one by its id, is taken back.", json!({"employee": "21010"})),
        ("correct_event", "The last event of a worker is moved to another day.", json!({"employee": "21010", "days": 7})),
        (
            "approve_event",
            "Whoever has it in the inbox approves an event that waits; the oldest when none is named.",
            json!({"event": "…"}),
        ),
        ("deny_event", "Likewise, but it is denied.", json!({"event": "…", "comment": "Not this year."})),
        (
            "change_workers",
            "Many workers get a new title within one second, for tests of ties and many pages.",
            json!({"count": 1000}),
        ),
        (
            "file_document",
            "A document is filed with a worker.",
            json!({"employee": "21010", "name": "contract.pdf", "text": "%PDF-1.7", "category": "CONTRACT", "comment": "Signed"}),
        ),
        (
            "rename_organization",
            "An organisation gets another name; no worker's log tells of it.",
            json!({"organization": "ENG", "name": "Product Engineering"}),
        ),
        ("expire_tokens", "Every access token ends now. Refresh tokens stay good.", json!({})),
        ("revoke_tokens", "Every token ends, refresh tokens too.", json!({})),
        ("lock_account", "The integration user is locked, as after an expired password.", json!({"user": "isu"})),
        ("unlock_account", "The integration user is unlocked.", json!({"user": "isu"})),
        (
            "register_certificate",
            "A client's certificate for signed assertions is registered.",
            json!({"pem": "-----BEGIN CERTIFICATE-----…"}),
        ),
    ]
}

fn problem(words: impl Into<String>) -> Problem {
    Problem(words.into())
}

pub(super) fn happen(state: &mut State, name: &str, with: &Json, now: Timestamp) -> Result<Json, Problem> {
    let text = |field: &str| with[field].as_str();
    match name {
        "hire_worker" => hire(state, with, now),
        "change_worker" => change(state, with, now),
        "terminate_worker" => {
            let reason = state.items.of(Kind::TerminationReason).next().map(|(place, _)| place).unwrap_or_default();
            let worker = worker(state, with)?;
            let process = if state.workers[worker].contingent { Process::EndContract } else { Process::Terminate };
            start(state, process, worker, on(state, with, now), Change::Terminate { reason, involuntary: false }, now)
        }
        "rehire_worker" => rehire(state, with, now),
        "rescind_event" => {
            let place = event(state, with)?;
            state.rescind(place, now);
            Ok(told(state, place, now))
        }
        "correct_event" => {
            let place = event(state, with)?;
            let (day, change) = (on(state, with, now), state.events[place].change.clone());
            state.correct(place, day, change, now);
            Ok(told(state, place, now))
        }
        "approve_event" => decide(state, with, Status::Completed, now),
        "deny_event" => decide(state, with, Status::Denied, now),
        "change_workers" => many(state, with, now),
        "rename_organization" => rename(state, with, now),
        "file_document" => file(state, with),
        "expire_tokens" => {
            state.sessions.tokens.expire_all();
            Ok(json!({}))
        }
        "revoke_tokens" => {
            state.sessions.tokens.revoke_all();
            Ok(json!({}))
        }
        "lock_account" | "unlock_account" => {
            let user = text("user").unwrap_or("isu").to_owned();
            state.sessions.locked.retain(|locked| *locked != user);
            if name == "lock_account" {
                state.sessions.locked.push(user.chars().take(100).collect());
            }
            Ok(json!({ "locked": state.sessions.locked }))
        }
        "register_certificate" => {
            let pem = text("pem").ok_or_else(|| problem("\"pem\" is needed"))?;
            if crate::tokens::assertion::public_key(pem).is_none() {
                return Err(problem("\"pem\" is no certificate or public key"));
            }
            if state.sessions.certificates.len() >= 20 {
                state.sessions.certificates.remove(0);
            }
            state.sessions.certificates.push(pem.to_owned());
            Ok(json!({}))
        }
        _ => Err(problem(format!("Workday knows no happening \"{name}\""))),
    }
}

fn worker(state: &State, with: &Json) -> Result<usize, Problem> {
    let number = match &with["employee"] {
        Json::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let keys = [format!("Employee_ID={number}"), format!("Contingent_Worker_ID={number}"), number.clone()];
    let found = keys.iter().find_map(|key| state.worker_at(key));
    found.ok_or_else(|| problem(format!("there is no worker \"{number}\"; \"employee\" is an employee number or a WID")))
}

/// Today and so many days.
fn on(state: &State, with: &Json, now: Timestamp) -> Date {
    let days = with["days"].as_i64().unwrap_or_default().clamp(-36_500, 36_500);
    let today = state.day(now);
    today.checked_add(Span::new().days(days)).unwrap_or(today)
}

/// The event named, or the worker's last one.
fn event(state: &State, with: &Json) -> Result<usize, Problem> {
    if let Some(wid) = with["event"].as_str() {
        return state.event_by_wid.get(wid).copied().ok_or_else(|| problem(format!("there is no event \"{wid}\"")));
    }
    let worker = worker(state, with)?;
    let of = state.events.iter().rposition(|event| event.worker == worker && event.status == Status::Completed);
    of.ok_or_else(|| problem("the worker has no completed event"))
}

fn told(state: &State, place: usize, now: Timestamp) -> Json {
    let event = &state.events[place];
    let worker = &state.workers[event.worker];
    json!({
        "event": event.wid,
        "status": event.status.words().1,
        "process": event.process.name(),
        "effective": event.effective.to_string(),
        "worker": { "id": worker.wid, "number": worker.number, "name": state.name_of(event.worker, now) },
    })
}

/// People complete what they begin: nobody else has to approve it.
fn start(
    state: &mut State,
    process: Process,
    worker: usize,
    effective: Date,
    change: Change,
    now: Timestamp,
) -> Result<Json, Problem> {
    let start = Start { process, worker, effective, change, auto_complete: true, comment: None, who: "HR Administrator" };
    let place = state.start(start, now).map_err(Problem)?;
    Ok(told(state, place, now))
}

fn place_of(state: &State, with: &Json, field: &str, kind: Kind, prefix: &str) -> Result<Option<usize>, Problem> {
    let Some(code) = with[field].as_str() else { return Ok(None) };
    let found = state.items.known(kind, &format!("{prefix}{code}")).or_else(|| state.items.known(kind, code));
    found.map(Some).ok_or_else(|| problem(format!("there is no {field} \"{code}\"")))
}

fn hire(state: &mut State, with: &Json, now: Timestamp) -> Result<Json, Problem> {
    if state.workers.len() >= soap::WORKERS_MAX {
        return Err(problem("the tenant is full"));
    }
    let text = |field: &str, default: &str| with[field].as_str().unwrap_or(default).chars().take(200).collect::<String>();
    let first_of = |state: &State, kind| state.items.of(kind).next().map(|(place, _)| place).unwrap_or_default();
    let organization = place_of(state, with, "organization", Kind::Supervisory, "SUP_")?;
    let location = place_of(state, with, "location", Kind::Location, "")?;
    let (first, last, title) = (text("first_name", "Mira"), text("last_name", "Novak"), text("title", "Specialist"));
    let number = soap::next_number(state);
    let email = format!("{}.{}.{number}@{}", first.to_lowercase(), last.to_lowercase(), state.domain).replace(' ', "");
    let email = with["email"].as_str().map_or(email, str::to_owned);
    let new = Hire {
        contact: seed::contact(&email, "", None),
        first,
        last,
        birth: None,
        profile: seed::profile(state, &title, now),
        title,
        position: None,
        organization: organization.unwrap_or_else(|| first_of(state, Kind::Supervisory)),
        location: location.unwrap_or_else(|| first_of(state, Kind::Location)),
        worker_type: first_of(state, Kind::EmployeeType),
        time_type: first_of(state, Kind::TimeType),
        pay: 6_000_000,
    };
    let worker = seed::add_worker(state, number, false);
    start(state, Process::Hire, worker, on(state, with, now), Change::Hire(Box::new(new)), now)
}

fn rehire(state: &mut State, with: &Json, now: Timestamp) -> Result<Json, Problem> {
    let worker = worker(state, with)?;
    let gone = state.today(worker, now).is_some_and(|view| view.left.is_some());
    let first = state.workers[worker].facts.iter().find_map(|fact| match &fact.change {
        Change::Hire(hire) => Some(hire.clone()),
        _ => None,
    });
    let hire = first.filter(|_| gone).ok_or_else(|| problem("only somebody who left can come back"))?;
    start(state, Process::Hire, worker, on(state, with, now), Change::Hire(hire), now)
}

fn change(state: &mut State, with: &Json, now: Timestamp) -> Result<Json, Problem> {
    let worker = worker(state, with)?;
    let text = |field: &str| with[field].as_str().map(|text| text.chars().take(200).collect::<String>());
    let organization = place_of(state, with, "organization", Kind::Supervisory, "SUP_")?;
    let location = place_of(state, with, "location", Kind::Location, "")?;
    let (process, change) = if let (Some(first), Some(last)) = (text("first_name"), text("last_name")) {
        (Process::Name, Change::Name { first, last })
    } else if let Some(pay) = with["pay"].as_i64() {
        (Process::Pay, Change::Pay(pay))
    } else if organization.is_some() || location.is_some() {
        (Process::ChangeJob, Change::Job { organization, location, profile: None, title: text("title"), position: None })
    } else if let Some(title) = text("title") {
        (Process::Title, Change::Title(title))
    } else {
        return Err(problem("one of title, organization, location, pay, or first_name with last_name is needed"));
    };
    start(state, process, worker, on(state, with, now), change, now)
}

fn file(state: &mut State, with: &Json) -> Result<Json, Problem> {
    if state.papers.len() >= PAPERS_MAX {
        return Err(problem("the tenant is full"));
    }
    let text = |field: &str, default: &str| with[field].as_str().unwrap_or(default).to_owned();
    let category = place_of(state, with, "category", Kind::DocumentCategory, "")?;
    let paper = Paper {
        wid: wid(state.seed, &format!("document {}", state.papers.len())),
        worker: worker(state, with)?,
        category: category.or(state.items.known(Kind::DocumentCategory, "CONTRACT")).unwrap_or_default(),
        name: text("name", "document.txt").chars().take(200).collect(),
        comment: text("comment", "").chars().take(200).collect(),
        file: BASE64_STANDARD.encode(text("text", "")),
    };
    let told = json!({ "id": paper.wid, "name": paper.name });
    state.papers.push(paper);
    Ok(told)
}

fn decide(state: &mut State, with: &Json, status: Status, now: Timestamp) -> Result<Json, Problem> {
    let named = with["event"].as_str().and_then(|wid| state.event_by_wid.get(wid).copied());
    let waits = |place: &usize| state.events[*place].status == Status::InProgress;
    let place = if with["event"].is_string() { named.filter(waits) } else { (0..state.events.len()).find(waits) };
    let place = place.ok_or_else(|| problem("no such event waits for an approval"))?;
    state.decide(place, status, "Manager", with["comment"].as_str(), now);
    Ok(told(state, place, now))
}

fn many(state: &mut State, with: &Json, now: Timestamp) -> Result<Json, Problem> {
    let count = with["count"].as_u64().unwrap_or(100).min(CHANGES_MAX);
    let today = state.day(now);
    let active: Vec<usize> = state.visible(now).filter(|(_, view)| view.active(today)).map(|(place, _)| place).collect();
    for (worker, number) in active.iter().cycle().zip(0..count) {
        let change = Change::Title(format!("Title {number}"));
        let start = Start {
            process: Process::Title,
            worker: *worker,
            effective: today,
            change,
            auto_complete: true,
            comment: None,
            who: "HR Administrator",
        };
        // Ten share each millisecond, so that borders of a query cut through ties.
        let at =
            now.checked_sub(Span::new().milliseconds(i64::try_from((count - number) / 10).unwrap_or_default())).unwrap_or(now);
        state.start(start, at).map_err(Problem)?;
    }
    Ok(json!({ "changed": count.min(if active.is_empty() { 0 } else { count }) }))
}

fn rename(state: &mut State, with: &Json, now: Timestamp) -> Result<Json, Problem> {
    let place = place_of(state, with, "organization", Kind::Supervisory, "SUP_")?;
    let place = place.ok_or_else(|| problem("\"organization\" is needed"))?;
    let name = with["name"].as_str().ok_or_else(|| problem("\"name\" is needed"))?;
    let item = state.items.get_mut(place);
    item.name = name.chars().take(200).collect();
    item.changed = now;
    Ok(item.json())
}

pub(super) fn tables(state: &State) -> Vec<Table> {
    let organizations = state.items.iter().filter(|(_, item)| item.kind.is_organization()).count();
    let lines = state.workers.iter().map(|worker| worker.log.len()).sum();
    let mut tables: Vec<Table> = [
        ("workers", state.workers.len()),
        ("organizations", organizations),
        ("events", state.events.len()),
        ("transaction_log", lines),
        ("absences", state.absences.len()),
        ("photos", state.photos.len()),
        ("documents", state.papers.len()),
        ("integration_events", state.launched.len()),
    ]
    .map(|(name, rows)| Table { name: name.to_owned(), rows })
    .into();
    tables.extend(state.docs.tables().map(|(name, rows)| Table { name: name.to_owned(), rows }));
    tables
}

pub(super) fn rows(state: &State, table: &str, from: usize, limit: usize, now: Timestamp) -> Option<Vec<Json>> {
    let list: Vec<Json> = match table {
        "workers" => (from..state.workers.len()).take(limit).map(|place| worker_row(state, place, now)).collect(),
        "organizations" => {
            let organizations = state.items.iter().filter(|(_, item)| item.kind.is_organization());
            let row = |item: &super::items::Item| json!({ "id": item.wid, "type": item.kind.organization_type(), "reference_id": item.id, "name": item.name });
            organizations.skip(from).take(limit).map(|(_, item)| row(item)).collect()
        }
        "events" => (from..state.events.len()).take(limit).map(|place| told(state, place, now)).collect(),
        "transaction_log" => {
            let lines = state.workers.iter().flat_map(|worker| worker.log.iter().map(move |line| (worker, line)));
            let row = |(worker, line): (&super::people::Worker, &super::people::Line)| {
                json!({ "id": line.wid, "worker": worker.number, "process": line.process.name(), "effective": line.effective.to_string(),
                    "entered": line.entered.to_string(), "rescind": line.rescind, "correction": line.correction })
            };
            lines.skip(from).take(limit).map(row).collect()
        }
        "absences" => {
            let row = |absence: &super::state::Absence| {
                json!({ "id": absence.wid, "worker": state.workers[absence.worker].number, "day": absence.day.to_string(),
                    "type": state.item(absence.kind).name, "quantity": absence.quantity, "status": state.events[absence.event].status.words().1 })
            };
            state.absences.iter().skip(from).take(limit).map(row).collect()
        }
        "photos" => {
            let mut photos: Vec<_> = state.photos.iter().collect();
            photos.sort_by_key(|(worker, _)| **worker);
            let row = |(worker, (name, file)): (&usize, &(String, String))| json!({ "worker": state.workers[*worker].number, "filename": name, "letters": file.len() });
            photos.into_iter().skip(from).take(limit).map(row).collect()
        }
        "documents" => {
            let row = |paper: &Paper| {
                json!({ "id": paper.wid, "worker": state.workers[paper.worker].number, "filename": paper.name,
                    "category": state.item(paper.category).name })
            };
            state.papers.iter().skip(from).take(limit).map(row).collect()
        }
        "integration_events" => {
            let row = |launched: &super::state::Launched| json!({ "id": launched.wid, "system": state.item(launched.system).name, "at": launched.at.to_string() });
            state.launched.iter().skip(from).take(limit).map(row).collect()
        }
        other => state.docs.rows(other, from, limit)?,
    };
    Some(list)
}

fn worker_row(state: &State, place: usize, now: Timestamp) -> Json {
    let worker = &state.workers[place];
    let mut row = json!({ "id": worker.wid, "number": worker.number, "contingent": worker.contingent });
    match state.today(place, now) {
        Some(view) => {
            row["name"] = json!(view.name());
            row["title"] = json!(view.title);
            row["organization"] = json!(state.item(view.organization).name);
            row["location"] = json!(state.item(view.location).name);
            row["active"] = json!(view.active(state.day(now)));
            row["email"] = json!(view.email(false));
        }
        None => row["first_day"] = json!(worker.first_day().map(|day| day.to_string())),
    }
    row
}
