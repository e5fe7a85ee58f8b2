//! The tenant's first records: the company's own people and organisations, and many more people beside them.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    items::{Item, Kind},
    people::{Change, Channel, Contact, Hire, Worker},
    process::{Event, Process, Status},
    state::{Settings, State},
    wid,
};
use crate::{Company, Random};

/// Workers of the tenant. The company's own come first; the rest are known to Workday alone.
const WORKERS: usize = 1_250;
/// The first number of the people known to Workday alone.
const FIRST_OTHER: u32 = 40_001;

/// A state with the company's books in it.
pub(super) fn state(seed: u64, company: &Company, random: &Random, now: Timestamp) -> State {
    let mut state = State {
        seed,
        settings: Settings::default(),
        next_employee: company.workers.iter().map(|worker| worker.number).max().unwrap_or(21_000) + 1,
        domain: company.domain.to_owned(),
        ..State::default()
    };
    picklists(&mut state, company);
    organizations(&mut state, company);
    for worker in &company.workers {
        own(&mut state, worker);
    }
    others(&mut state, company, random);
    special(&mut state, company, now);
    super::docs::seed(&mut state, company, now);
    state
}

/// When something of a day was entered: eight in the morning, three days ahead.
fn typed(date: Date) -> Timestamp {
    let ahead = date.checked_sub(jiff::Span::new().days(3)).unwrap_or(date);
    ahead.at(8, 0, 0, 0).to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).unwrap_or_default()
}

fn moment(company: &Company) -> Timestamp {
    let start = company.workers.iter().map(|worker| worker.hired).min().unwrap_or(company.today);
    typed(start)
}

fn picklists(state: &mut State, company: &Company) {
    let at = moment(company);
    let lists: &[(Kind, &[(&str, &str)])] = &[
        (
            Kind::OrganizationType,
            &[("Supervisory", "Supervisory"), ("Company", "Company"), ("Cost_Center", "Cost Center"), ("Region", "Region")],
        ),
        (
            Kind::JobChangeReason,
            &[
                ("Transfer_Move_to_another_Manager", "Transfer > Transfer > Move to another Manager"),
                ("Promotion_Promotion_Promotion", "Promotion > Promotion > Promotion"),
                ("Data_Change_Data_Change_Change_Job_Details", "Data Change > Data Change > Change Job Details"),
            ],
        ),
        (
            Kind::TerminationReason,
            &[
                ("Terminate_Employee_Voluntary_Other_Employment", "Terminate Employee > Voluntary > Other Employment"),
                ("Terminate_Employee_Voluntary_Retirement", "Terminate Employee > Voluntary > Retirement"),
                ("Terminate_Employee_Involuntary_Performance", "Terminate Employee > Involuntary > Performance"),
            ],
        ),
        (
            Kind::HireReason,
            &[
                ("Hire_Employee_New_Hire_Fill_Vacancy", "Hire Employee > New Hire > Fill Vacancy"),
                ("Hire_Employee_New_Hire_New_Position", "Hire Employee > New Hire > New Position"),
                ("Hire_Employee_Rehire_Less_than_12_months", "Hire Employee > Rehire > Less than 12 months"),
            ],
        ),
        (Kind::EmployeeType, &[("Regular", "Regular"), ("Fixed_Term", "Fixed Term (Fixed Term)")]),
        (Kind::ContingentType, &[("Contractor", "Contractor"), ("Consultant", "Consultant")]),
        (Kind::TimeType, &[("Full_time", "Full time"), ("Part_time", "Part time")]),
        (Kind::Currency, &[("USD", "USD"), ("EUR", "EUR"), ("GBP", "GBP"), ("JPY", "JPY")]),
        (Kind::StepType, &[("APPROVAL", "Approval"), ("TODO", "To Do"), ("ACTION", "Action")]),
        (Kind::AbsencePlan, &[("VACATION_PLAN", "Vacation Plan"), ("SICK_PLAN", "Sick Plan")]),
        (Kind::TimeOffType, &[("VACATION", "Vacation"), ("SICK", "Sick")]),
        (
            Kind::AbsenceStatus,
            &[("APPROVED", "Approved"), ("SUBMITTED", "Submitted"), ("NOT_SUBMITTED", "Not Submitted"), ("DENIED", "Denied")],
        ),
        (Kind::LeaveType, &[("PARENTAL", "Leave of Absence > Parental"), ("MEDICAL", "Leave of Absence > Medical")]),
        (Kind::Unit, &[("DAYS", "Days"), ("HOURS", "Hours")]),
        (
            Kind::ExpenseItem,
            &[("AIRFARE", "Airfare"), ("HOTEL", "Hotel"), ("MEALS", "Meals"), ("TAXI", "Taxi"), ("SOFTWARE", "Software")],
        ),
        (Kind::PaymentPlan, &[("SPOT_BONUS", "Spot Bonus"), ("SIGN_ON_BONUS", "Sign-On Bonus")]),
        (
            Kind::IntegrationSystem,
            &[("INT001_Journal_Load", "INT001 Journal Load"), ("INT002_Badge_Export", "INT002 Badge Export")],
        ),
        (Kind::PayComponent, &[("OVERTIME", "Overtime"), ("BONUS", "Bonus")]),
        (Kind::UsageType, &[("WORK", "Work"), ("HOME", "Home")]),
        (Kind::DeviceType, &[("Mobile", "Mobile"), ("Landline", "Landline")]),
        (Kind::ManagementLevel, &[("Manager", "Manager"), ("Individual_Contributor", "Individual Contributor")]),
        (
            Kind::Position,
            &[("P-00001", "P-00001 Welder"), ("P-00002", "P-00002 Analyst"), ("P-00003", "P-00003 Software Engineer")],
        ),
        (Kind::PayPlan, &[("SALARY_Salary_Plan", "Salary Plan"), ("HOURLY_Hourly_Plan", "Hourly Plan")]),
        (Kind::Frequency, &[("Annual", "Annual"), ("Monthly", "Monthly"), ("Hourly", "Hourly")]),
        (Kind::Gender, &[("Female", "Female"), ("Male", "Male"), ("Not_Declared", "Not Declared")]),
        (Kind::MaritalStatus, &[("Single", "Single"), ("Married", "Married"), ("Divorced", "Divorced")]),
        (Kind::DocumentCategory, &[("CONTRACT", "Contracts"), ("CERTIFICATE", "Certificates")]),
    ];
    for (kind, rows) in lists {
        for (id, name) in *rows {
            state.items.add(state.seed, *kind, id, name, at);
        }
    }
    for process in Process::ALL {
        state.items.add(state.seed, Kind::Process, process.name(), process.name(), at);
    }
    for (id, name) in Status::ALL.map(Status::words) {
        state.items.add(state.seed, Kind::EventStatus, id, name, at);
    }
    for (id, name) in [("US", "United States of America"), ("DE", "Germany"), ("GB", "United Kingdom"), ("JP", "Japan")] {
        state.items.add(state.seed, Kind::Country, id, name, at);
    }
    for kind in ["VACATION", "SICK"] {
        let plan = state.items.known(Kind::AbsencePlan, &format!("{kind}_PLAN"));
        if let Some(place) = state.items.known(Kind::TimeOffType, kind) {
            state.items.get_mut(place).parent = plan;
        }
    }
}

fn organizations(state: &mut State, company: &Company) {
    let (seed, at) = (state.seed, moment(company));
    state.items.add(seed, Kind::Company, "CO_NORTHWIND", company.name, at);
    let mut top = None;
    for organization in &company.organisations {
        let id = format!("SUP_{}", organization.code);
        let place = state.items.add(seed, Kind::Supervisory, &id, organization.name, at);
        let item: &mut Item = state.items.get_mut(place);
        organization.code.clone_into(&mut item.code);
        (item.parent, item.manager) = (top, Some(organization.manager.to_string()));
        top = top.or(Some(place));
        let center = format!("CC_{}", organization.code);
        let place = state.items.add(seed, Kind::CostCenter, &center, &format!("{} Cost Center", organization.name), at);
        organization.code.clone_into(&mut state.items.get_mut(place).code);
    }
    for location in &company.locations {
        let place = state.items.add(seed, Kind::Location, location.code, location.name, at);
        location.country.clone_into(&mut state.items.get_mut(place).code);
        let region = format!("REG_{}", location.country);
        state.items.add(seed, Kind::Region, &region, &format!("Region {}", location.country), at);
    }
    for worker in &company.workers {
        profile(state, worker.title, at);
    }
}

/// The job profile of a title, made when there is none yet.
pub(super) fn profile(state: &mut State, title: &str, at: Timestamp) -> usize {
    let id: String = title.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    match state.items.known(Kind::JobProfile, &id) {
        Some(place) => place,
        None => state.items.add(state.seed, Kind::JobProfile, &id, title, at),
    }
}

/// A worker without any facts yet.
pub(super) fn add_worker(state: &mut State, number: String, contingent: bool) -> usize {
    let place = state.workers.len();
    let key = if contingent { format!("Contingent {number}") } else { format!("Employee {number}") };
    let (wid, position_wid) = (wid(state.seed, &key), wid(state.seed, &format!("Position {key}")));
    state.workers.push(Worker { wid, number, contingent, position_wid, facts: Vec::new(), log: Vec::new() });
    state.index_worker(place);
    place
}

/// An event of the past, completed as it was entered.
fn past(state: &mut State, worker: usize, process: Process, day: Date, change: Change, entered: Timestamp) {
    let place = state.events.len();
    let wid = wid(state.seed, &format!("event {place}"));
    state.event_by_wid.insert(wid.clone(), place);
    state.events.push(Event {
        wid,
        process,
        worker,
        effective: day,
        initiated: entered,
        completed: None,
        status: Status::InProgress,
        initiator: "HR Administrator".to_owned(),
        comments: Vec::new(),
        step: None,
        change,
    });
    state.complete(place, entered);
}

/// A work address and number, and a private address.
pub(super) fn contact(work: &str, phone: &str, home: Option<&str>) -> Contact {
    let channel = |value: &str, home| Channel { value: value.to_owned(), home, primary: true };
    let mut emails = vec![channel(work, false)];
    emails.extend(home.map(|home| channel(home, true)));
    let phones = if phone.is_empty() { Vec::new() } else { vec![channel(phone, false)] };
    Contact { emails, phones }
}

struct Person<'a> {
    first: &'a str,
    last: &'a str,
    email: &'a str,
    title: &'a str,
    organization: &'a str,
    location: &'a str,
    hired: Date,
    contingent: bool,
    number: u32,
}

fn hire(state: &mut State, person: &Person<'_>) -> usize {
    let entered = typed(person.hired);
    let known = |state: &State, kind, id: &str| state.items.known(kind, id).unwrap_or_default();
    let n = i64::from(person.number);
    let worker = add_worker(state, person.number.to_string(), person.contingent);
    let (worker_type, process) = if person.contingent {
        (known(state, Kind::ContingentType, "Contractor"), Process::Contract)
    } else {
        (known(state, Kind::EmployeeType, "Regular"), Process::Hire)
    };
    let phone = format!("+1415555{:04}", n % 10_000);
    let birth =
        Date::new(i16::try_from(1960 + n % 40).unwrap_or(1980), i8::try_from(1 + n % 12).unwrap_or(1), 1 + (n % 28) as i8);
    let change = Change::Hire(Box::new(Hire {
        first: person.first.to_owned(),
        last: person.last.to_owned(),
        contact: contact(person.email, &phone, None),
        birth: birth.ok(),
        title: person.title.to_owned(),
        position: None,
        profile: profile(state, person.title, entered),
        organization: known(state, Kind::Supervisory, &format!("SUP_{}", person.organization)),
        location: known(state, Kind::Location, person.location),
        worker_type,
        time_type: known(state, Kind::TimeType, "Full_time"),
        pay: 4_800_000 + (n * 7_919 % 9_000_000),
    }));
    past(state, worker, process, person.hired, change, entered);
    let account =
        format!("{}.{}", person.number, person.last.chars().filter(char::is_ascii_alphabetic).collect::<String>()).to_lowercase();
    past(state, worker, Process::Account, person.hired, Change::UserName(account), entered);
    worker
}

fn leave(state: &mut State, worker: usize, day: Date, contingent: bool) {
    let reason = state.items.known(Kind::TerminationReason, "Terminate_Employee_Voluntary_Other_Employment").unwrap_or_default();
    let process = if contingent { Process::EndContract } else { Process::Terminate };
    past(state, worker, process, day, Change::Terminate { reason, involuntary: false }, typed(day));
}

fn own(state: &mut State, worker: &crate::Worker) {
    let place = hire(
        state,
        &Person {
            first: worker.first_name,
            last: worker.last_name,
            email: &worker.email,
            title: worker.title,
            organization: worker.organisation,
            location: worker.location,
            hired: worker.hired,
            contingent: false,
            number: worker.number,
        },
    );
    if let Some(left) = worker.left {
        leave(state, place, left, false);
    }
}

fn others(state: &mut State, company: &Company, random: &Random) {
    let back = |days: i64| company.today.checked_sub(jiff::Span::new().days(days)).unwrap_or(company.today);
    for number in (FIRST_OTHER..).take(WORKERS.saturating_sub(company.workers.len() + 2)) {
        let (name, like) = (random.pick(&company.workers), random.pick(&company.workers));
        let last = random.pick(&company.workers).last_name;
        // The leaders' titles are theirs alone.
        let title = if like.manager.is_none_or(|manager| manager == 21_001) { "Specialist" } else { like.title };
        let ago = i64::try_from(random.below(2_400)).unwrap_or_default() + 30;
        let contingent = random.below(12) == 0;
        let email = format!("worker.{number}@{}", company.domain);
        let person = Person {
            first: name.first_name,
            last,
            email: &email,
            title,
            organization: like.organisation,
            location: like.location,
            hired: back(ago),
            contingent,
            number,
        };
        let place = hire(state, &person);
        match random.below(20) {
            0 if ago > 400 => leave(state, place, back(ago - 300), contingent),
            1 if ago > 120 => {
                let until = back(ago - 120);
                past(state, place, Process::Leave, back(ago - 60), Change::Leave { until: Some(until) }, typed(back(ago - 60)));
            }
            2 | 3 if ago > 90 => {
                past(
                    state,
                    place,
                    Process::Title,
                    back(ago - 60),
                    Change::Title(format!("Senior {title}")),
                    typed(back(ago - 60)),
                );
            }
            _ => {}
        }
    }
}

/// One of each unusual case, at the end: two jobs, on leave now, a hire to come.
fn special(state: &mut State, company: &Company, now: Timestamp) {
    let today = state.day(now).max(company.today);
    let ahead = |days: i64| today.checked_add(jiff::Span::new().days(days)).unwrap_or(today);
    let entered = typed(company.today);
    let staff: Vec<usize> = company
        .workers
        .iter()
        .zip(0..)
        .filter(|(worker, _)| worker.left.is_none() && worker.manager.is_some_and(|manager| manager != 21_001))
        .map(|(_, place)| place)
        .take(2)
        .collect();
    if let [two_jobs, on_leave] = staff[..] {
        let organization = state.items.known(Kind::Supervisory, "SUP_OPS").unwrap_or_default();
        let second = Change::SecondJob { title: "First Aid Coordinator".to_owned(), organization };
        past(state, two_jobs, Process::AddJob, company.today, second, entered);
        past(state, on_leave, Process::Leave, company.today, Change::Leave { until: None }, entered);
    }
    for (number, days) in [(49_001_u32, 14_i64), (49_002, 45)] {
        let email = format!("worker.{number}@{}", company.domain);
        let (first, last) = if days == 14 { ("Nia", "Future") } else { ("Leo", "Later") };
        let person = Person {
            first,
            last,
            email: &email,
            title: "Analyst",
            organization: "FIN",
            location: "BER",
            hired: ahead(days),
            contingent: false,
            number,
        };
        let place = hire(state, &person);
        // It was typed in days ago, whatever day it is for.
        for fact in &mut state.workers[place].facts {
            fact.entered = entered;
        }
        for line in &mut state.workers[place].log {
            line.entered = entered;
        }
        for event in state.events.iter_mut().filter(|event| event.worker == place) {
            (event.initiated, event.completed) = (entered, Some(entered));
        }
    }
}
