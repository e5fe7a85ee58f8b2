//! `Get_Workers`: who is asked for, as of when, in pages.

use jiff::{Timestamp, civil::Date};

use super::{Ask, Done, echo, fault, flag, moment, read_day, read_moment, refs, worker};
use crate::{
    workday::{
        answer::Answer,
        items::Kind,
        people::{Line, View, Worker},
        state::State,
    },
    xml::{Element, Writer},
};

const COUNT_DEFAULT: usize = 100;
const COUNT_MAX: usize = 999;
const ROOT: &str = "/wd:Get_Workers_Request";

/// Which version of the facts, and which page.
pub(super) struct Filter {
    pub(super) day: Date,
    pub(super) known: Timestamp,
    pub(super) page: usize,
    pub(super) count: usize,
}

/// Reads `Response_Filter`.
///
/// # Errors
/// A validation fault for a page or count out of bounds.
pub(super) fn filter(ask: &Ask<'_>) -> Result<Filter, Answer> {
    let given = ask.body.child("Response_Filter");
    let number = |name: &str, default: usize, most: usize| match given.and_then(|given| given.text_of(name)) {
        None => Ok(default),
        Some(text) => match text.split('.').next().and_then(|whole| whole.parse().ok()) {
            Some(number) if (1..=most).contains(&number) => Ok(number),
            _ => {
                let words = format!("{name} must be between 1 and {most}; it is {text}.");
                Err(fault::invalid(&words, &format!("/wd:{}/wd:Response_Filter[1]/wd:{name}[1]", ask.body.name)))
            }
        },
    };
    let day = given.and_then(|given| given.text_of("As_Of_Effective_Date"));
    let entered = given.and_then(|given| given.text_of("As_Of_Entry_DateTime"));
    Ok(Filter {
        day: day.and_then(read_day).unwrap_or(ask.today),
        known: entered.and_then(read_moment).unwrap_or(ask.now),
        page: number("Page", 1, usize::MAX)?,
        count: number("Count", COUNT_DEFAULT, COUNT_MAX)?,
    })
}

/// Writes the parts every list begins with: what was asked, and where the page lies.
pub(super) fn head(ask: &Ask<'_>, xml: &mut Writer, filter: &Filter, total: usize) -> std::ops::Range<usize> {
    for name in ["Request_References", "Request_Criteria"] {
        if let Some(part) = ask.body.child(name) {
            echo(xml, part);
        }
    }
    xml.element("wd:Response_Filter", &[], |xml| {
        xml.text("wd:As_Of_Effective_Date", &[], &ask.day(filter.day));
        xml.text("wd:As_Of_Entry_DateTime", &[], &moment(filter.known));
        xml.text("wd:Page", &[], &filter.page.to_string());
        xml.text("wd:Count", &[], &filter.count.to_string());
    });
    if let Some(part) = ask.body.child("Response_Group") {
        echo(xml, part);
    }
    let start = filter.count.saturating_mul(filter.page - 1).min(total);
    let end = start.saturating_add(filter.count).min(total);
    xml.element("wd:Response_Results", &[], |xml| {
        xml.text("wd:Total_Results", &[], &total.to_string());
        xml.text("wd:Total_Pages", &[], &total.div_ceil(filter.count).to_string());
        xml.text("wd:Page_Results", &[], &(end - start).to_string());
        xml.text("wd:Page", &[], &filter.page.to_string());
    });
    start..end
}

/// Answers the operation.
pub(super) fn get(state: &State, ask: &Ask<'_>) -> Done {
    let filter = filter(ask)?;
    let criteria = ask.body.child("Request_Criteria");
    let (found, unknown) = match ask.body.child("Request_References") {
        // Either references or criteria (unverified).
        Some(_) if criteria.is_some_and(|criteria| !criteria.children.is_empty()) => {
            return Err(fault::invalid("Request_References and Request_Criteria cannot be used together.", ROOT));
        }
        Some(references) => by_reference(state, references, &filter)?,
        None => (by_criteria(state, criteria, &filter, ask.now)?, Vec::new()),
    };
    let mut xml = Writer::new();
    let page = head(ask, &mut xml, &filter, found.len());
    let groups = worker::Groups::read(ask.body.child("Response_Group"));
    let ranges = criteria.map(|criteria| ranges(criteria, ask.now)).transpose()?.unwrap_or_default();
    if !page.is_empty() {
        xml.element("wd:Response_Data", &[], |xml| {
            for place in &found[page] {
                let one = worker::One { state, ask, filter: &filter, groups: &groups, ranges: &ranges };
                one.write(xml, *place);
            }
        });
    }
    if !unknown.is_empty() {
        xml.element("wd:Invalid_Reference_ID_Response", &[], |xml| {
            for (id_type, id) in unknown {
                xml.element("wd:Invalid_Reference", &[], |xml| {
                    xml.text("wd:Invalid_Reference_ID", &[], &id);
                    xml.text("wd:Invalid_Reference_ID_Type", &[], &id_type);
                });
            }
        });
    }
    Ok(xml.finish())
}

/// Places found, and ids that are nobody's with their types.
type Found = (Vec<usize>, Vec<(String, String)>);

fn by_reference(state: &State, references: &Element, filter: &Filter) -> Result<Found, Answer> {
    let skip = ["Skip_Non_Existing_Instances", "Ignore_Invalid_References"]
        .iter()
        .any(|name| references.attribute(name).is_some_and(super::truth));
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for reference in references.all("Worker_Reference") {
        match refs::maybe_worker(state, reference) {
            Some(place) if state.workers[place].view(filter.day, filter.known).is_some() => found.push(place),
            Some(_) => {}
            None if skip => {
                let (id_type, id) = refs::id(reference);
                unknown.push((id_type.to_owned(), id.to_owned()));
            }
            None => {
                refs::worker(state, Some(reference), &format!("{ROOT}/wd:Request_References[1]"))?;
            }
        }
    }
    found.dedup();
    Ok((found, unknown))
}

/// A `Transaction_Log_Criteria_Data`.
pub(super) struct Range {
    updated: Option<(Timestamp, Timestamp)>,
    effective: Option<(Timestamp, Timestamp)>,
    /// Names or WIDs of transaction types; all when empty.
    types: Vec<String>,
}

impl Range {
    /// True when the line is asked for.
    pub(super) fn holds(&self, line: &Line, state: &State) -> bool {
        let within = |range: Option<(Timestamp, Timestamp)>, at| range.is_none_or(|(from, through)| from <= at && at <= through);
        let name = line.process.name();
        let wid = || state.items.known(Kind::Process, name).map(|place| state.item(place).wid.as_str());
        within(self.updated, line.entered)
            && within(self.effective, state.midnight(line.effective).timestamp())
            && (self.types.is_empty() || self.types.iter().any(|wanted| wanted == name || Some(wanted.as_str()) == wid()))
    }
}

fn ranges(criteria: &Element, now: Timestamp) -> Result<Vec<Range>, Answer> {
    criteria.all("Transaction_Log_Criteria_Data").map(|given| range(given, now)).collect()
}

fn range(given: &Element, now: Timestamp) -> Result<Range, Answer> {
    let path = format!("{ROOT}/wd:Request_Criteria[1]/wd:Transaction_Log_Criteria_Data[1]");
    let dates = given.child("Transaction_Date_Range_Data");
    let read = |name: &str| dates.and_then(|dates| dates.text_of(name)).and_then(read_moment);
    let pair = |from: &str, through: &str| match (read(from), read(through)) {
        (None, None) => Ok(None),
        (Some(start), Some(end)) if start <= end => Ok(Some((start, end))),
        (Some(_), Some(_)) => Err(fault::invalid(&format!("{from} must not be after {through}."), &path)),
        _ => Err(fault::invalid(&format!("{from} and {through} are both required."), &path)),
    };
    let updated = pair("Updated_From", "Updated_Through")?;
    if updated.is_some_and(|(_, through)| through > now) {
        return Err(fault::invalid("Updated_Through must not be in the future.", &path));
    }
    let effective = pair("Effective_From", "Effective_Through")?;
    // A subscriber must be an integration system whose transaction log service is on; there is none here.
    if let Some(subscriber) = given.child("Subscriber_Reference").filter(|subscriber| !subscriber.children.is_empty()) {
        let (id_type, id) = refs::id(subscriber);
        let words = format!("Invalid ID value.  '{id}' is not a valid ID value for type = '{id_type}'");
        return Err(fault::invalid(&words, &format!("{path}/wd:Subscriber_Reference[1]")));
    }
    let types = given.child("Transaction_Type_References");
    let types = types.into_iter().flat_map(|types| types.all("Transaction_Type_Reference"));
    Ok(Range { updated, effective, types: types.map(|reference| refs::id(reference).1.to_owned()).collect() })
}

/// Criteria with their references resolved.
struct Wanted {
    ranges: Vec<Range>,
    organizations: Vec<usize>,
    countries: Vec<String>,
    subordinate: bool,
    positions: Vec<String>,
    event_of: Option<Option<usize>>,
    /// Nobody has national or universal ids here.
    nobody: bool,
    inactive: bool,
    employees: bool,
    contingent: bool,
}

fn wanted(state: &State, criteria: &Element, now: Timestamp) -> Result<Wanted, Answer> {
    let path = format!("{ROOT}/wd:Request_Criteria[1]");
    let kinds = [Kind::Supervisory, Kind::Company, Kind::CostCenter, Kind::Region];
    let organizations = criteria.all("Organization_Reference").map(|reference| refs::item(state, reference, &kinds, &path));
    let countries = criteria.all("Country_Reference").map(|reference| refs::item(state, reference, &[Kind::Country], &path));
    let event = criteria.child("Event_Reference").filter(|event| !event.children.is_empty());
    Ok(Wanted {
        ranges: ranges(criteria, now)?,
        organizations: organizations.collect::<Result<_, _>>()?,
        countries: countries.map(|found| found.map(|place| state.item(place).id.clone())).collect::<Result<_, _>>()?,
        subordinate: flag(Some(criteria), "Include_Subordinate_Organizations").unwrap_or(false),
        positions: criteria.all("Position_Reference").map(|reference| refs::id(reference).1.to_owned()).collect(),
        event_of: event.map(|event| state.event_by_wid.get(refs::id(event).1).map(|place| state.events[*place].worker)),
        nobody: ["National_ID_Criteria_Data", "Universal_ID_Reference"].iter().any(|name| criteria.child(name).is_some()),
        inactive: !flag(Some(criteria), "Exclude_Inactive_Workers").unwrap_or(true),
        employees: !flag(Some(criteria), "Exclude_Employees").unwrap_or(false),
        contingent: !flag(Some(criteria), "Exclude_Contingent_Workers").unwrap_or(false),
    })
}

fn by_criteria(state: &State, criteria: Option<&Element>, filter: &Filter, now: Timestamp) -> Result<Vec<usize>, Answer> {
    let none = Element::default();
    let wanted = wanted(state, criteria.unwrap_or(&none), now)?;
    let holds = |(place, worker): (usize, &Worker)| {
        let view = worker.view(filter.day, filter.known)?;
        wanted.holds(state, place, &view, filter).then_some(place)
    };
    Ok(state.workers.iter().enumerate().filter_map(holds).collect())
}

impl Wanted {
    fn holds(&self, state: &State, place: usize, view: &View<'_>, filter: &Filter) -> bool {
        let worker = view.worker;
        let logged = || {
            let known = worker.log.iter().filter(|line| line.entered <= filter.known);
            known.into_iter().any(|line| self.ranges.iter().any(|range| range.holds(line, state)))
        };
        !self.nobody
            && (self.inactive || view.active(filter.day))
            && (if worker.contingent { self.contingent } else { self.employees })
            && (self.ranges.is_empty() || logged())
            && (self.organizations.is_empty() || self.organizations.iter().any(|wanted| self.member(state, view, *wanted)))
            && (self.countries.is_empty() || self.countries.contains(&state.item(view.location).code))
            && (self.positions.is_empty() || self.positions.iter().any(|id| is_position(state, view, id)))
            && self.event_of.is_none_or(|of| of == Some(place))
    }

    fn member(&self, state: &State, view: &View<'_>, wanted: usize) -> bool {
        match state.item(wanted).kind {
            Kind::Supervisory if self.subordinate => state.items.within(view.organization, wanted),
            Kind::Supervisory => view.organization == wanted,
            _ => worker::memberships(state, view).contains(&wanted),
        }
    }
}

/// True for the WID or the id of the position somebody holds.
pub(super) fn is_position(state: &State, view: &View<'_>, wanted: &str) -> bool {
    let (wid, id) = state.position_of(view);
    wid == wanted || id == wanted
}
