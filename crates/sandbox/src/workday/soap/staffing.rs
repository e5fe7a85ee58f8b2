//! Coming, moving and leaving. The names of these requests are (unverified).

use jiff::civil::Date;

use super::{
    Ask, Done, fault, refs, workers,
    writes::{Parameters, day_of, event, text_of},
};
use crate::{
    workday::{
        answer::Answer,
        items::Kind,
        people::{Change, Channel, Contact, Hire, Worker},
        process::Process,
        seed,
        state::State,
    },
    xml::{Element, Writer},
};

/// Workers of the tenant.
pub(in crate::workday) const WORKERS_MAX: usize = 100_000;

/// `Hire_Employee`.
pub(super) fn hire(state: &mut State, ask: &Ask<'_>) -> Done {
    let path = "/wd:Hire_Employee_Request/wd:Hire_Employee_Data[1]";
    let none = Element::default();
    let data = ask.body.child("Hire_Employee_Data").unwrap_or(&none);
    let day = day_of(data, "Hire_Date", path)?;
    let details = data.child("Hire_Employee_Event_Data").unwrap_or(&none);
    let number = details.text_of("Employee_ID").map(str::to_owned);
    if let Some(number) = &number
        && state.worker_at(&format!("Employee_ID={number}")).is_some()
    {
        let words = format!("The Employee ID {number} is in use by another worker.");
        return Err(fault::invalid(&words, &format!("{path}/wd:Hire_Employee_Event_Data[1]/wd:Employee_ID[1]")));
    }
    if state.workers.len() >= WORKERS_MAX {
        return Err(fault::invalid(&format!("The tenant has {WORKERS_MAX} workers already."), path));
    }
    let open = position(state, ask, data.child("Position_Reference"), day, path)?;
    let new = Hire { position: open, ..newcomer(state, ask, data, details, path)? };
    let number = number.unwrap_or_else(|| next_number(state));
    let worker = seed::add_worker(state, number, false);
    let words = format!("Hire: {} {}", new.first, new.last);
    let wid = Parameters::read(ask.body).start(state, ask, Process::Hire, (worker, day), Change::Hire(Box::new(new)))?;
    let mut xml = Writer::new();
    ask.reference(&mut xml, "wd:Event_Reference", &words, &[("WID", &wid)]);
    ask.worker(&mut xml, "wd:Employee_Reference", state, worker);
    Ok(xml.finish())
}

/// The next free employee number.
pub(in crate::workday) fn next_number(state: &mut State) -> String {
    loop {
        let number = state.next_employee.to_string();
        state.next_employee += 1;
        if state.worker_at(&format!("Employee_ID={number}")).is_none() {
            return number;
        }
    }
}

fn newcomer(state: &mut State, ask: &Ask<'_>, data: &Element, details: &Element, path: &str) -> Result<Hire, Answer> {
    let none = Element::default();
    let personal = data.at(&["Applicant_Data", "Personal_Data"]).unwrap_or(&none);
    let name = personal.at(&["Name_Data", "Legal_Name_Data", "Name_Detail_Data"]).unwrap_or(&none);
    let (first, last) = (text_of(name, "First_Name", path)?, text_of(name, "Last_Name", path)?);
    let organization = data.child("Organization_Reference").unwrap_or(&none);
    let organization = refs::item(state, organization, &[Kind::Supervisory], path)?;
    let position = details.child("Position_Details").unwrap_or(&none);
    let kinds = [Kind::EmployeeType, Kind::ContingentType];
    let worker_type = refs::maybe_item(state, details.child("Employee_Type_Reference"), &kinds, path)?;
    let time_type = refs::maybe_item(state, position.child("Position_Time_Type_Reference"), &[Kind::TimeType], path)?;
    let location = refs::maybe_item(state, position.child("Location_Reference"), &[Kind::Location], path)?;
    let profile = refs::maybe_item(state, position.child("Job_Profile_Reference"), &[Kind::JobProfile], path)?;
    let title = position.text_of("Business_Title").or_else(|| position.text_of("Position_Title"));
    let title = title.map(str::to_owned).or_else(|| profile.map(|place| state.item(place).name.clone()));
    let title = title.unwrap_or_else(|| "New Hire".to_owned());
    let known = |state: &State, kind: Kind| state.items.of(kind).next().map(|(place, _)| place).unwrap_or_default();
    Ok(Hire {
        first: first.to_owned(),
        last: last.to_owned(),
        contact: reach(personal),
        birth: None,
        profile: profile.unwrap_or_else(|| seed::profile(state, &title, ask.now)),
        title,
        position: None,
        organization,
        location: location.unwrap_or_else(|| known(state, Kind::Location)),
        worker_type: worker_type.unwrap_or_else(|| known(state, Kind::EmployeeType)),
        time_type: time_type.unwrap_or_else(|| known(state, Kind::TimeType)),
        pay: pay(state, data, path)?.unwrap_or(6_000_000),
    })
}

/// The open position of a reference; nobody may hold it on the day.
fn position(state: &State, ask: &Ask<'_>, reference: Option<&Element>, day: Date, path: &str) -> Result<Option<usize>, Answer> {
    let found = refs::maybe_item(state, reference, &[Kind::Position], path)?;
    let holds = |worker: &Worker| worker.view(day, ask.now).is_some_and(|view| view.active(day) && view.position == found);
    match found {
        Some(place) if state.workers.iter().any(holds) => {
            Err(fault::invalid(&format!("The position {} is filled on {day}.", state.item(place).id), path))
        }
        found => Ok(found),
    }
}

/// What a hire proposes to pay, in hundredths a year. How often it is paid decides (unverified).
fn pay(state: &State, data: &Element, path: &str) -> Result<Option<i64>, Answer> {
    let plan =
        ["Propose_Compensation_for_Hire_Sub_Process", "Propose_Compensation_for_Hire_Data", "Pay_Plan_Data", "Pay_Plan_Sub_Data"];
    let Some(plan) = data.at(&plan) else { return Ok(None) };
    let none = Element::default();
    let item = |name: &str, kind: Kind| refs::item(state, plan.child(name).unwrap_or(&none), &[kind], path);
    item("Pay_Plan_Reference", Kind::PayPlan)?;
    item("Currency_Reference", Kind::Currency)?;
    let times = match state.item(item("Frequency_Reference", Kind::Frequency)?).id.as_str() {
        "Annual" => 1,
        "Monthly" => 12,
        _ => 2_080,
    };
    let amount = text_of(plan, "Amount", path)?;
    let hundredths = hundredths(amount).and_then(|hundredths| hundredths.checked_mul(times));
    hundredths.map(Some).ok_or_else(|| fault::invalid(&format!("The amount {amount} is not valid."), path))
}

/// An amount that is not below nothing, with at most two digits behind the point.
fn hundredths(amount: &str) -> Option<i64> {
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 2 {
        return None;
    }
    whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(format!("{part:0<2}").parse().ok()?)
}

/// How the applicant said they are reached; addresses are private unless marked for work.
fn reach(personal: &Element) -> Contact {
    let none = Element::default();
    let data = personal.child("Contact_Data").unwrap_or(&none);
    let read = |row: &str, value: &str| {
        let rows = data.all(row).filter_map(|row| {
            let usage = row.at(&["Usage_Data", "Type_Data", "Type_Reference"]).map(|reference| refs::id(reference).1);
            let value = row.text_of(value)?.to_owned();
            Some(Channel { value, home: usage != Some("WORK"), primary: true })
        });
        rows.take(20).collect()
    };
    Contact { emails: read("Email_Address_Data", "Email_Address"), phones: read("Phone_Data", "Phone_Number") }
}

/// `Terminate_Employee`.
pub(super) fn terminate(state: &mut State, ask: &Ask<'_>) -> Done {
    let path = "/wd:Terminate_Employee_Request/wd:Terminate_Employee_Data[1]";
    let none = Element::default();
    let data = ask.body.child("Terminate_Employee_Data").unwrap_or(&none);
    let worker = refs::worker(state, data.child("Employee_Reference"), path)?;
    let day = day_of(data, "Termination_Date", path)?;
    let reason = data.at(&["Terminate_Event_Data", "Primary_Reason_Reference"]).unwrap_or(&none);
    let reason = refs::item(state, reason, &[Kind::TerminationReason], path)?;
    let view = state.workers[worker].view(day, ask.now);
    if view.is_none_or(|view| view.left.is_some()) {
        return Err(fault::invalid("The worker is not employed on the termination date, or is terminated already.", path));
    }
    let involuntary = state.item(reason).id.contains("Involuntary");
    let change = Change::Terminate { reason, involuntary };
    let wid = Parameters::read(ask.body).start(state, ask, Process::Terminate, (worker, day), change)?;
    Ok(event(ask, "wd:Event_Reference", &format!("Terminate: {}", state.name_of(worker, ask.now)), &wid))
}

/// `Change_Job`.
pub(super) fn change_job(state: &mut State, ask: &Ask<'_>) -> Done {
    let path = "/wd:Change_Job_Request/wd:Change_Job_Data[1]";
    let none = Element::default();
    let data = ask.body.child("Change_Job_Data").unwrap_or(&none);
    let worker = refs::worker(state, data.child("Worker_Reference"), path)?;
    let day = day_of(data, "Effective_Date", path)?;
    let details = data.child("Change_Job_Detail_Data").unwrap_or(&none);
    refs::item(state, details.child("Reason_Reference").unwrap_or(&none), &[Kind::JobChangeReason], path)?;
    let organization = refs::maybe_item(state, details.child("Supervisory_Organization_Reference"), &[Kind::Supervisory], path)?;
    let job = details.child("Job_Details_Data").unwrap_or(&none);
    let profile = refs::maybe_item(state, job.child("Job_Profile_Reference"), &[Kind::JobProfile], path)?;
    let location = refs::maybe_item(state, job.child("Location_Reference"), &[Kind::Location], path)?;
    let title = job.text_of("Business_Title").or_else(|| job.text_of("Position_Title")).map(str::to_owned);
    let view = state.workers[worker].view(day, ask.now).filter(|view| view.active(day));
    let view = view.ok_or_else(|| fault::invalid(&format!("The worker is not employed on {day}."), path))?;
    // Which of the worker's jobs is changed; there is one that can be here.
    if let Some(held) = data.child("Position_Reference").map(|reference| refs::id(reference).1).filter(|id| !id.is_empty())
        && !workers::is_position(state, &view, held)
    {
        return Err(fault::invalid(&format!("The worker does not hold the position {held} on {day}."), path));
    }
    let position = position(state, ask, details.child("Proposed_Position_Reference"), day, path)?;
    let change = Change::Job { organization, location, profile, title, position };
    let wid = Parameters::read(ask.body).start(state, ask, Process::ChangeJob, (worker, day), change)?;
    Ok(event(ask, "wd:Event_Reference", &format!("Change Job: {}", state.name_of(worker, ask.now)), &wid))
}
