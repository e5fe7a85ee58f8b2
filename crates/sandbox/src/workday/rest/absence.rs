//! Absence management v1: balances, days off and requests for them.

use http::Method;
use jiff::civil::Date;
use serde_json::{Value as Json, json};

use super::{Ask, Done, common, day_in, missing, not_with, wrong};
use crate::workday::{
    answer::Answer,
    items::Kind,
    people::{Change, View},
    process::{Process, Status},
    state::{Absence, State},
    wid,
};

/// Days in one request, and absences of the tenant.
const DAYS_MAX: usize = 366;
const ABSENCES_MAX: usize = 500_000;
/// Days a year of each plan.
const YEARLY_DAYS: f64 = 25.0;

pub(super) fn answer(state: &mut State, ask: &Ask<'_>, path: &[&str]) -> Done {
    match path {
        ["workers", id, "requestTimeOff"] if ask.is(&Method::POST) => request(state, ask, id),
        ["workers", _, "requestTimeOff"] => Err(not_with("POST")),
        _ if !ask.is(&Method::GET) => Err(not_with("GET")),
        ["workers"] => ask.list(&common::searched(state, ask), |(_, view)| worker(state, view)),
        ["workers", id] => Ok(Answer::json(200, &worker(state, &ask.worker(state, id)?.1))),
        ["workers", id, list] => ask.rows(&of_worker(state, ask, id, list)?),
        ["workers", id, list, one] => {
            let rows = of_worker(state, ask, id, list)?;
            rows.into_iter().find(|row| row["id"] == *one).map(|row| Answer::json(200, &row)).ok_or_else(missing)
        }
        ["balances"] => balances(state, ask),
        ["values", "timeOff", "status"] | ["values", "leave", "status"] => {
            let all: Vec<Json> = state.items.of(Kind::AbsenceStatus).map(|(_, item)| item.json()).collect();
            ask.rows(&all)
        }
        _ => Err(missing()),
    }
}

fn worker(state: &State, view: &View<'_>) -> Json {
    let (organization, profile, location) = (state.item(view.organization), state.item(view.profile), state.item(view.location));
    json!({
        "id": view.worker.wid,
        "descriptor": view.name(),
        "person": { "id": view.worker.wid, "email": view.email(false), "phone": view.phone(false) },
        "primaryJob": {
            "id": state.position_of(view).0,
            "descriptor": format!("{} - {}", view.job_title, view.name()),
            "businessTitle": view.title,
            "supervisoryOrganization": organization.json(),
            "jobProfile": profile.json(),
            "location": location.json(),
        },
        "additionalJobs": [],
    })
}

fn unit(state: &State) -> Json {
    state.items.known(Kind::Unit, "DAYS").map_or(Json::Null, |place| state.item(place).json())
}

fn of_worker(state: &State, ask: &Ask<'_>, id: &str, list: &str) -> Result<Vec<Json>, Answer> {
    let (place, view) = ask.worker(state, id)?;
    match list {
        "eligibleAbsenceTypes" => Ok(eligible(state)),
        "validTimeOffDates" => {
            let day = ask.day("date")?.ok_or_else(|| Answer::error(400, "date parameter is required"))?;
            let sound =
                view.active(day) && !matches!(day.weekday(), jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday);
            let row = json!({ "date": day.to_string(), "dailyDefaultQuantity": 1, "unit": unit(state) });
            Ok(if sound { vec![row] } else { Vec::new() })
        }
        "timeOffDetails" => details(state, ask, place),
        "leavesOfAbsence" => Ok(leaves(state, ask, place)),
        _ => Err(missing()),
    }
}

fn eligible(state: &State) -> Vec<Json> {
    let unit = unit(state);
    let row = |(_, item): (usize, &crate::workday::items::Item)| {
        json!({
            "id": item.wid,
            "descriptor": item.name,
            "unitOfTime": unit,
            "dailyDefaultQuantity": 1,
            "reasonRequired": false,
            "startAndEndTimeRequired": false,
            "positionBased": false,
        })
    };
    state.items.of(Kind::TimeOffType).map(row).collect()
}

/// How a day off stands, as the picklist has it.
fn status(state: &State, absence: &Absence) -> Option<usize> {
    let id = match state.events[absence.event].status {
        Status::Completed => "APPROVED",
        Status::Denied | Status::Rescinded => "DENIED",
        Status::Draft | Status::Saved => "NOT_SUBMITTED",
        Status::InProgress | Status::SentBack => "SUBMITTED",
    };
    state.items.known(Kind::AbsenceStatus, id)
}

fn details(state: &State, ask: &Ask<'_>, place: usize) -> Result<Vec<Json>, Answer> {
    let (from, to) = (ask.day("fromDate")?, ask.day("toDate")?);
    let wanted =
        |name: &str| ask.call.query.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect::<Vec<_>>();
    let (statuses, types) = (wanted("status"), wanted("timeOffType"));
    let asked = |list: &[String], place: Option<usize>| {
        let item = place.map(|place| state.item(place));
        list.is_empty()
            || item.is_some_and(|item| {
                list.iter().any(|id| *id == item.wid || *id == format!("{}={}", item.kind.id_type(), item.id))
            })
    };
    let holds = |absence: &&Absence| {
        absence.worker == place
            && from.is_none_or(|from| absence.day >= from)
            && to.is_none_or(|to| absence.day <= to)
            && asked(&statuses, status(state, absence))
            && asked(&types, Some(absence.kind))
    };
    let row = |absence: &Absence| {
        json!({
            "id": absence.wid,
            "worker": { "id": state.workers[place].wid, "descriptor": state.name_of(place, ask.now()) },
            "date": absence.day.to_string(),
            "quantity": absence.quantity,
            "timeOffType": state.item(absence.kind).json(),
            "status": status(state, absence).map(|place| state.item(place).json()),
            "unit": unit(state),
            "comment": absence.comment,
        })
    };
    Ok(state.absences.iter().filter(holds).map(row).collect())
}

fn leaves(state: &State, ask: &Ask<'_>, place: usize) -> Vec<Json> {
    let row = |event: &crate::workday::process::Event| match &event.change {
        Change::Leave { until } => Some(json!({
            "id": event.wid,
            "worker": { "id": state.workers[place].wid, "descriptor": state.name_of(place, ask.now()) },
            "firstDayOfLeave": event.effective.to_string(),
            "estimatedLastDayOfLeave": until.map(|day| day.to_string()),
            "status": { "descriptor": event.status.words().1 },
        })),
        _ => None,
    };
    state.events.iter().filter(|event| event.worker == place).filter_map(row).collect()
}

/// Days of a kind that were approved or are asked for in a year.
fn taken(state: &State, worker: usize, kind: usize, year: i16) -> f64 {
    let counts = |absence: &&Absence| {
        let status = state.events[absence.event].status;
        absence.worker == worker
            && absence.kind == kind
            && absence.day.year() == year
            && matches!(status, Status::Completed | Status::InProgress)
    };
    state.absences.iter().filter(counts).map(|absence| absence.quantity).sum()
}

fn balances(state: &State, ask: &Ask<'_>) -> Done {
    let key = ask.call.param("worker").ok_or_else(|| Answer::error(400, "worker parameter is required"))?;
    let (place, view) = ask.worker(state, key)?;
    let effective = ask.day("effective")?.unwrap_or_else(|| state.day(ask.now()));
    let row = |(kind, item): (usize, &crate::workday::items::Item)| {
        let plan = item.parent.map(|plan| state.item(plan));
        json!({
            "id": wid(state.seed, &format!("balance {} {}", view.worker.wid, item.wid)),
            "worker": { "id": view.worker.wid, "descriptor": view.name() },
            "absencePlan": plan.map(crate::workday::items::Item::json),
            "quantity": YEARLY_DAYS - taken(state, place, kind, effective.year()),
            "unit": unit(state),
            "effectiveDate": effective.to_string(),
        })
    };
    let rows: Vec<Json> = state.items.of(Kind::TimeOffType).map(row).collect();
    ask.rows(&rows)
}

/// `timeOffEntries` of the common service.
pub(super) fn entries(state: &State, ask: &Ask<'_>, place: usize) -> Vec<Json> {
    let row = |absence: &Absence| {
        json!({
            "id": absence.wid,
            "descriptor": format!("{} on {}", state.item(absence.kind).name, absence.day),
            "href": format!("{}/workers/{}/timeOffEntries/{}", ask.root, state.workers[place].wid, absence.wid),
            "employee": ask.worker_reference(state, place),
            "date": absence.day.to_string(),
            "units": absence.quantity,
            "unitOfTime": unit(state),
            "timeOff": state.item(absence.kind).json(),
            "timeOffRequest": { "id": state.events[absence.event].wid, "status": state.events[absence.event].status.words().1 },
        })
    };
    state.absences.iter().filter(|absence| absence.worker == place).map(row).collect()
}

/// `timeOffPlans` of the common service.
pub(super) fn plans(state: &State, ask: &Ask<'_>, place: usize) -> Vec<Json> {
    let year = state.day(ask.now()).year();
    let row = |(kind, item): (usize, &crate::workday::items::Item)| {
        let plan = state.item(item.parent?);
        Some(json!({
            "id": plan.wid,
            "descriptor": plan.name,
            "timeOffBalance": YEARLY_DAYS - taken(state, place, kind, year),
            "unitOfTime": unit(state),
        }))
    };
    state.items.of(Kind::TimeOffType).filter_map(row).collect()
}

struct Day {
    date: Date,
    kind: usize,
    quantity: f64,
    comment: String,
}

fn request(state: &mut State, ask: &Ask<'_>, id: &str) -> Done {
    let mut body = ask.call.json()?;
    let worker = ask.worker(state, id)?.0;
    let given = body["days"].as_array().filter(|days| !days.is_empty()).ok_or_else(|| wrong("days", "days is required."))?;
    if given.len() > DAYS_MAX || state.absences.len() + given.len() > ABSENCES_MAX {
        return Err(wrong("days", format!("a request has at most {DAYS_MAX} days.")));
    }
    let days: Vec<Day> = given.iter().map(|day| read_day(state, worker, day)).collect::<Result<_, _>>()?;
    let first = days.iter().map(|day| day.date).min().unwrap_or_default();
    let event = common::begin(state, ask, Process::TimeOff, worker, first, Change::Elsewhere, &body)?;
    let mut ids = Vec::new();
    for day in days {
        let wid = wid(state.seed, &format!("absence {}", state.absences.len()));
        ids.push(wid.clone());
        let Day { date, kind, quantity, comment } = day;
        state.absences.push(Absence { wid, worker, day: date, kind, quantity, comment, event });
    }
    for (day, id) in body["days"].as_array_mut().into_iter().flatten().zip(ids) {
        day["id"] = json!(id);
    }
    let event = &state.events[event];
    if !body["businessProcessParameters"].is_object() {
        body["businessProcessParameters"] = json!({});
    }
    body["businessProcessParameters"]["overallBusinessProcess"] =
        json!({ "id": event.wid, "descriptor": format!("Absence Request: {}", state.name_of(worker, ask.now())) });
    body["businessProcessParameters"]["overallStatus"] = json!(event.status.words().1);
    Ok(Answer::json(201, &body))
}

fn read_day(state: &State, worker: usize, given: &Json) -> Result<Day, Answer> {
    let date = day_in(given, "date")?.ok_or_else(|| wrong("date", "date is required."))?;
    let kind = super::referred(state, given, "timeOffType", &[Kind::TimeOffType])?;
    let kind = kind.ok_or_else(|| wrong("timeOffType", "timeOffType is required."))?;
    let quantity = match &given["dailyQuantity"] {
        Json::Null => 1.0,
        Json::String(text) => text.parse().unwrap_or(f64::NAN),
        number => number.as_f64().unwrap_or(f64::NAN),
    };
    if !(quantity > 0.0 && quantity <= 24.0) {
        return Err(wrong("dailyQuantity", "dailyQuantity must be more than 0 and at most 24."));
    }
    let taken = |absence: &Absence| {
        let gone = matches!(state.events[absence.event].status, Status::Denied | Status::Rescinded);
        absence.worker == worker && absence.day == date && !gone
    };
    if state.absences.iter().any(taken) {
        return Err(wrong("date", format!("Time off is entered for {date} already.")));
    }
    let comment = given["comment"].as_str().unwrap_or_default().chars().take(super::TEXT_CHARS_MAX).collect();
    Ok(Day { date, kind, quantity, comment })
}
