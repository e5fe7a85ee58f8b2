//! Common v1: workers, organisations and what hangs on them.

use http::Method;
use serde_json::{Value as Json, json};

use super::{Ask, Done, day_in, missing, not_with, referred, text_in, without_nulls, wrong};
use crate::workday::{
    answer::Answer,
    items::{Item, Kind},
    people::{Change, View},
    process::{Event, Process, Start},
    state::State,
};

const ORGANIZATIONS: [Kind; 4] = [Kind::Supervisory, Kind::Company, Kind::CostCenter, Kind::Region];

pub(super) fn answer(state: &mut State, ask: &Ask<'_>, path: &[&str]) -> Done {
    match path {
        ["workers", id, "businessTitleChanges"] if ask.is(&Method::POST) => change_title(state, ask, id),
        ["workers", id, "jobChanges"] if ask.is(&Method::POST) => change_job(state, ask, id),
        ["validateWorktags"] if ask.is(&Method::POST) => {
            let mut body = ask.call.json()?;
            body["status"] = json!("valid");
            Ok(Answer::json(201, &body))
        }
        ["workers", _, "jobChanges"] | ["validateWorktags"] => Err(not_with("POST")),
        ["workers", _, "businessTitleChanges"] if !ask.is(&Method::GET) => Err(not_with("GET, POST")),
        _ if !ask.is(&Method::GET) => Err(not_with("GET")),
        ["workers"] => workers(state, ask),
        ["workers", id] => profile(state, ask, id),
        ["workers", id, list] => ask.rows(&of_worker(state, ask, id, list)?),
        ["workers", id, list, one] => found(of_worker(state, ask, id, list)?, one),
        ["businessTitleChanges", id] => {
            let place = *state.event_by_wid.get(*id).ok_or_else(missing)?;
            let event = Some(&state.events[place]).filter(|event| event.process == Process::Title).ok_or_else(missing)?;
            Ok(Answer::json(200, &title_change(state, ask, event)))
        }
        ["customers", id] => super::documents::common_customer(state, id),
        ["customers", id, "activities"] => ask.rows(&super::documents::activities(state, ask, id)?),
        ["auditLogs"] => ask.rows(&[]),
        ["auditLogs", _] => Err(missing()),
        _ => lists(state, ask, path),
    }
}

fn found(rows: Vec<Json>, id: &str) -> Done {
    rows.into_iter().find(|row| row["id"] == id).map(|row| Answer::json(200, &row)).ok_or_else(missing)
}

fn lists(state: &State, ask: &Ask<'_>, path: &[&str]) -> Done {
    let of = |kind: Kind| state.items.of(kind).map(|(place, _)| place).collect::<Vec<usize>>();
    match path {
        ["organizationTypes"] => {
            ask.list(&of(Kind::OrganizationType), |place| ask.reference(state.item(*place), "organizationTypes"))
        }
        ["organizationTypes", id] => {
            Ok(Answer::json(200, &ask.reference(ask.item(state, id, &[Kind::OrganizationType])?.1, "organizationTypes")))
        }
        ["organizations"] => {
            let wanted = ask.call.param("organizationType");
            let holds = |item: &Item| {
                let of = state.items.known(Kind::OrganizationType, item.kind.organization_type());
                let keys = of.map(|place| [state.item(place).wid.clone(), state.item(place).id.clone()]);
                wanted.is_none_or(|wanted| {
                    let wanted = wanted.trim_start_matches("Organization_Type_ID=");
                    keys.is_some_and(|keys| keys.iter().any(|key| key == wanted))
                })
            };
            let all: Vec<&Item> =
                state.items.iter().map(|(_, item)| item).filter(|item| item.kind.is_organization() && holds(item)).collect();
            ask.list(&all, |item| ask.reference(item, "organizations"))
        }
        ["organizations", id] => Ok(Answer::json(200, &ask.reference(ask.item(state, id, &ORGANIZATIONS)?.1, "organizations"))),
        ["supervisoryOrganizations"] => ask.list(&of(Kind::Supervisory), |place| supervisory(state, ask, *place)),
        ["supervisoryOrganizations", id, rest @ ..] => {
            let (place, _) = ask.item(state, id, &[Kind::Supervisory])?;
            let members = || -> Vec<(usize, View<'_>)> {
                let today = state.day(ask.now());
                state.visible(ask.now()).filter(|(_, view)| view.organization == place && view.active(today)).collect()
            };
            match rest {
                [] => Ok(Answer::json(200, &supervisory(state, ask, place))),
                ["workers"] => ask.list(&members(), |(place, view)| summary(state, ask, *place, view)),
                ["workers", id] => {
                    let rows = members();
                    let one = rows.iter().find(|(_, view)| view.worker.wid == *id).ok_or_else(missing)?;
                    Ok(Answer::json(200, &summary(state, ask, one.0, &one.1)))
                }
                _ => Err(missing()),
            }
        }
        ["jobChangeReasons"] => ask.list(&of(Kind::JobChangeReason), |place| reason(ask, state.item(*place))),
        ["jobChangeReasons", id] => Ok(Answer::json(200, &reason(ask, ask.item(state, id, &[Kind::JobChangeReason])?.1))),
        ["currencies"] => ask.list(&of(Kind::Currency), |place| currency(ask, state.item(*place))),
        ["currencies", id] => Ok(Answer::json(200, &currency(ask, ask.item(state, id, &[Kind::Currency])?.1))),
        _ => Err(missing()),
    }
}

fn reason(ask: &Ask<'_>, item: &Item) -> Json {
    let mut row = ask.reference(item, "jobChangeReasons");
    row["isForEmployee"] = json!(true);
    row["isForContingentWorker"] = json!(true);
    row["managerReason"] = json!(true);
    row
}

pub(super) fn currency(ask: &Ask<'_>, item: &Item) -> Json {
    let mut row = ask.reference(item, "currencies");
    row["code"] = json!(item.id);
    row["precision"] = json!(if item.id == "JPY" { 0 } else { 2 });
    row
}

fn supervisory(state: &State, ask: &Ask<'_>, place: usize) -> Json {
    let item = state.item(place);
    let mut row = ask.reference(item, "supervisoryOrganizations");
    let manager = item.manager.as_ref().and_then(|number| state.worker_at(&format!("Employee_ID={number}")));
    row["name"] = json!(item.name);
    row["code"] = json!(item.code);
    row["workers"] = json!(format!("{}/supervisoryOrganizations/{}/workers", ask.root, item.wid));
    if let Some(manager) = manager {
        row["manager"] = ask.worker_reference(state, manager);
    }
    row
}

/// A worker in a list.
pub(super) fn summary(state: &State, ask: &Ask<'_>, place: usize, view: &View<'_>) -> Json {
    let mut row = ask.worker_reference(state, place);
    row["isManager"] = json!(!state.led_by(view.worker).is_empty());
    row["primaryWorkEmail"] = json!(view.email(false));
    row["primaryWorkPhone"] = json!(view.phone(false));
    row["businessTitle"] = json!(view.title);
    row["primarySupervisoryOrganization"] = ask.reference(state.item(view.organization), "supervisoryOrganizations");
    without_nulls(row)
}

/// Workers whose name, number, title or address holds every word of `search`. Who left is not listed.
pub(super) fn searched<'s>(state: &'s State, ask: &Ask<'_>) -> Vec<(usize, View<'s>)> {
    let search = ask.call.param("search").unwrap_or_default().to_lowercase();
    let words: Vec<&str> = search.split_whitespace().collect();
    let today = state.day(ask.now());
    let holds = |view: &View<'_>| {
        words.is_empty() || {
            let text = format!("{} {} {}", view.name(), view.worker.number, view.email(false).unwrap_or_default()).to_lowercase();
            words.iter().all(|word| text.contains(word))
        }
    };
    state.visible(ask.now()).filter(|(_, view)| view.active(today) && holds(view)).collect()
}

fn workers(state: &State, ask: &Ask<'_>) -> Done {
    ask.list(&searched(state, ask), |(place, view)| summary(state, ask, *place, view))
}

fn profile(state: &State, ask: &Ask<'_>, id: &str) -> Done {
    let (place, view) = ask.worker(state, id)?;
    let mut row = summary(state, ask, place, &view);
    let location = state.item(view.location);
    row["location"] = json!({ "id": location.wid, "descriptor": location.name });
    row["primaryWorkAddressText"] = json!(format!("{}, {}", location.name, location.code));
    let years = view.hired.until((jiff::Unit::Year, state.day(ask.now()))).map(|span| span.get_years()).unwrap_or_default();
    row["yearsOfService"] = json!(years);
    row["supervisoryOrganizationsManaged"] =
        json!(format!("{}/workers/{}/supervisoryOrganizationsManaged", ask.root, view.worker.wid));
    if let (true, Some(birth)) = (ask.who.rights.personal, view.personal.birth) {
        row["dateOfBirth"] = json!(birth.to_string());
    }
    Ok(Answer::json(200, &row))
}

/// A list below a worker.
fn of_worker(state: &State, ask: &Ask<'_>, id: &str, list: &str) -> Result<Vec<Json>, Answer> {
    let (place, view) = ask.worker(state, id)?;
    let worker = view.worker;
    let events = |process: Option<Process>| {
        state.events.iter().filter(move |event| event.worker == place && process.is_none_or(|process| event.process == process))
    };
    Ok(match list {
        "directReports" => {
            let today = state.day(ask.now());
            let reports = |(_, view): &(usize, View<'_>)| view.active(today) && state.manager_place(view) == Some(place);
            state.visible(ask.now()).filter(reports).map(|(place, view)| summary(state, ask, place, &view)).collect()
        }
        "organizations" => {
            let member = crate::workday::soap::memberships(state, &view);
            member.iter().map(|place| organization(state, ask, state.item(*place))).collect()
        }
        "supervisoryOrganizationsManaged" => state.led_by(worker).iter().map(|place| supervisory(state, ask, *place)).collect(),
        "history" => events(None).map(|event| history(state, ask, event)).collect(),
        "businessTitleChanges" => events(Some(Process::Title)).map(|event| title_change(state, ask, event)).collect(),
        "inboxTasks" => super::processes::inbox(state, ask, place),
        "timeOffEntries" => super::absence::entries(state, ask, place),
        "timeOffPlans" => super::absence::plans(state, ask, place),
        "paySlips" => Vec::new(),
        _ => return Err(missing()),
    })
}

fn organization(state: &State, ask: &Ask<'_>, item: &Item) -> Json {
    let mut row = ask.reference(item, "organizations");
    if let Some(of) = state.items.known(Kind::OrganizationType, item.kind.organization_type()) {
        row["organizationType"] = ask.reference(state.item(of), "organizationTypes");
    }
    row
}

fn history(state: &State, ask: &Ask<'_>, event: &Event) -> Json {
    json!({
        "id": event.wid,
        "descriptor": format!("{}: {}", event.process.name(), state.name_of(event.worker, ask.now())),
        "href": format!("{}/workers/{}/history/{}", ask.root, state.workers[event.worker].wid, event.wid),
        "subject": ask.worker_reference(state, event.worker),
        "initiator": { "descriptor": event.initiator },
        "initiated": event.initiated.to_string(),
        "effective": event.effective.to_string(),
    })
}

fn title_change(state: &State, ask: &Ask<'_>, event: &Event) -> Json {
    let mut row = history(state, ask, event);
    row["href"] = json!(format!("{}/businessTitleChanges/{}", ask.root, event.wid));
    if let Change::Title(title) = &event.change {
        row["proposedBusinessTitle"] = json!(title);
    }
    let before = event.initiated.checked_sub(jiff::Span::new().milliseconds(1)).unwrap_or(event.initiated);
    let current = state.workers[event.worker].view(event.effective, before).map(|view| view.title.to_owned());
    row["currentBusinessTitle"] = json!(current);
    without_nulls(row)
}

fn change_title(state: &mut State, ask: &Ask<'_>, id: &str) -> Done {
    let body = ask.call.json()?;
    let title = text_in(&body, "proposedBusinessTitle")?.to_owned();
    let worker = ask.worker(state, id)?.0;
    let place = begin(state, ask, Process::Title, worker, state.day(ask.now()), Change::Title(title.clone()), &body)?;
    let wid = &state.events[place].wid;
    Ok(Answer::json(
        201,
        &json!({
            "proposedBusinessTitle": title,
            "descriptor": format!("Title Change: {}", state.name_of(worker, ask.now())),
            "href": format!("{}/businessTitleChanges/{wid}", ask.root),
            "id": wid,
        }),
    ))
}

fn change_job(state: &mut State, ask: &Ask<'_>, id: &str) -> Done {
    let mut body = ask.call.json()?;
    let worker = ask.worker(state, id)?.0;
    let organization = referred(state, &body, "supervisoryOrganization", &[Kind::Supervisory])?;
    if referred(state, &body, "jobChangeReason", &[Kind::JobChangeReason])?.is_none() {
        return Err(wrong("jobChangeReason", "jobChangeReason is required."));
    }
    let effective = day_in(&body, "effective")?.unwrap_or_else(|| state.day(ask.now()));
    let change = Change::Job { organization, location: None, profile: None, title: None, position: None };
    let place = begin(state, ask, Process::ChangeJob, worker, effective, change, &body)?;
    let wid = state.events[place].wid.clone();
    body["descriptor"] = json!(format!("Change Job: {}", state.name_of(worker, ask.now())));
    body["href"] = json!(format!("{}/workers/{}/history/{wid}", ask.root, state.workers[worker].wid));
    body["id"] = json!(wid);
    Ok(Answer::json(201, &body))
}

/// Starts a process of a REST call; what refuses it is a validation error.
pub(super) fn begin(
    state: &mut State,
    ask: &Ask<'_>,
    process: Process,
    worker: usize,
    effective: jiff::civil::Date,
    change: Change,
    body: &Json,
) -> Result<usize, Answer> {
    let left = state.workers[worker].view(effective, ask.now()).is_none_or(|view| !view.active(effective));
    if left {
        return Err(wrong("", format!("The worker is not employed on {effective}.")));
    }
    let comment = body["businessProcessParameters"]["comment"].as_str();
    let who = ask.done_by();
    let start = Start { process, worker, effective, change, auto_complete: false, comment, who: &who };
    state.start(start, ask.now()).map_err(|why| wrong("", why))
}
