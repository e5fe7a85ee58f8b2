//! Changes of people who are there already: title, contact, name, account, other ids.

use jiff::civil::Date;

use super::{Ask, Done, fault, flag, read_day, refs};
use crate::{
    workday::{
        answer::Answer,
        items::Kind,
        people::{Change, Channel, Contact, Personal, View, Worker},
        process::{Process, Start},
        state::State,
    },
    xml::{Element, Writer},
};

/// Longest text of a title, a name or an id.
const TEXT_CHARS_MAX: usize = 200;
/// Addresses or numbers of one worker.
const CHANNELS_MAX: usize = 50;

/// What the parameters of a business process say.
pub(super) struct Parameters<'a> {
    auto_complete: bool,
    comment: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    pub(super) fn read(body: &'a Element) -> Self {
        let given = body.child("Business_Process_Parameters");
        let comment = given.and_then(|given| given.child("Comment_Data")).and_then(|data| data.text_of("Comment"));
        // `Run_Now` skips the wait as well (unverified).
        let auto_complete = ["Auto_Complete", "Run_Now"].iter().any(|name| flag(given, name).unwrap_or(false));
        Self { auto_complete, comment }
    }

    /// Starts the process; gives the event's WID.
    pub(super) fn start(
        &self,
        state: &mut State,
        ask: &Ask<'_>,
        process: Process,
        (worker, effective): (usize, Date),
        change: Change,
    ) -> Result<String, Answer> {
        let who = ask.who.user.as_str();
        let (auto_complete, comment) = (self.auto_complete, self.comment);
        let start = Start { process, worker, effective, change, auto_complete, comment, who };
        let place = state.start(start, ask.now).map_err(|why| fault::invalid(&why, &format!("/wd:{}", ask.body.name)))?;
        Ok(state.events[place].wid.clone())
    }
}

/// The day of an element that must be there.
pub(super) fn day_of(element: &Element, name: &str, path: &str) -> Result<Date, Answer> {
    let day = element.text_of(name).and_then(read_day);
    day.ok_or_else(|| fault::invalid(&format!("The field {name} is required and must have a value."), path))
}

/// A text of an element that must be there and not be too long.
pub(super) fn text_of<'a>(element: &'a Element, name: &str, path: &str) -> Result<&'a str, Answer> {
    let text = element.text_of(name);
    let text = text.ok_or_else(|| fault::invalid(&format!("The field {name} is required and must have a value."), path))?;
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(fault::invalid(&format!("The field {name} is longer than {TEXT_CHARS_MAX} characters."), path));
    }
    Ok(text)
}

/// The answer that is only a reference to the event.
pub(super) fn event(ask: &Ask<'_>, tag: &str, words: &str, wid: &str) -> String {
    let mut xml = Writer::new();
    ask.reference(&mut xml, tag, words, &[("WID", wid)]);
    xml.finish()
}

/// Answers one of the operations.
pub(super) fn write(state: &mut State, ask: &Ask<'_>, operation: &str) -> Done {
    match operation {
        "Change_Business_Title" => title(state, ask),
        "Change_Work_Contact_Information" => contact(state, ask, false),
        "Change_Home_Contact_Information" => contact(state, ask, true),
        "Change_Legal_Name" => name(state, ask),
        "Change_Personal_Information" => personal(state, ask),
        "Add_Workday_Account" | "Update_Workday_Account" => account(state, ask, operation.starts_with("Add")),
        _ => other_ids(state, ask),
    }
}

/// The worker, who must be known on the day.
fn present<'a>(state: &'a State, worker: usize, day: Date, ask: &Ask<'_>, path: &str) -> Result<View<'a>, Answer> {
    let view = state.workers[worker].view(day, ask.now);
    let view = view.ok_or_else(|| fault::invalid(&format!("The worker is not employed on {day}."), path))?;
    if view.active(day) { Ok(view) } else { Err(fault::invalid(&format!("The worker is terminated as of {day}."), path)) }
}

fn title(state: &mut State, ask: &Ask<'_>) -> Done {
    let name = "Change_Business_Title_Business_Process_Data";
    let path = format!("/wd:Change_Business_Title_Request/wd:{name}[1]");
    let none = Element::default();
    let data = ask.body.child(name).unwrap_or(&none);
    let worker = refs::worker(state, data.child("Worker_Reference"), &path)?;
    let inner = format!("{path}/wd:Change_Business_Title_Data[1]");
    let change = data.child("Change_Business_Title_Data");
    let change = change.ok_or_else(|| fault::invalid("Change_Business_Title_Data is required.", &path))?;
    let day = day_of(change, "Event_Effective_Date", &inner)?;
    let title = text_of(change, "Proposed_Business_Title", &inner)?;
    present(state, worker, day, ask, &path)?;
    let wid = Parameters::read(ask.body).start(state, ask, Process::Title, (worker, day), Change::Title(title.to_owned()))?;
    let words = format!("Title Change: {}", state.name_of(worker, ask.now));
    Ok(event(ask, "wd:Business_Title_Change_Event_Reference", &words, &wid))
}

fn contact(state: &mut State, ask: &Ask<'_>, home: bool) -> Done {
    let kind = if home { "Home" } else { "Work" };
    let name = format!("Change_{kind}_Contact_Information_Data");
    let path = format!("/wd:{}/wd:{name}[1]", ask.body.name);
    let none = Element::default();
    let data = ask.body.child(&name).unwrap_or(&none);
    let worker = refs::worker(state, data.child("Person_Reference"), &path)?;
    let day = day_of(data, "Event_Effective_Date", &path)?;
    let given = data.child("Contact_Information_Data").unwrap_or(&none);
    let now = present(state, worker, day, ask, &path)?.contact.clone();
    let emails = channels(now.emails, given, ("Email_Address_Data", "Email_Address"), home, &path)?;
    let phones = channels(now.phones, given, ("Phone_Data", "Phone_Number"), home, &path)?;
    if let Some(bad) = emails.iter().find(|email| !email.value.contains('@')) {
        return Err(fault::invalid(&format!("The email address {} is not valid.", bad.value), &path));
    }
    let change = Change::Contact(Contact { emails, phones });
    let wid = Parameters::read(ask.body).start(state, ask, Process::Contact, (worker, day), change)?;
    let tag = format!("wd:{kind}_Contact_Information_Change_Event_Reference");
    Ok(event(ask, &tag, &format!("Contact Change: {}", state.name_of(worker, ask.now)), &wid))
}

/// The channels after a request. The rows that are sent replace all of their usage, unless a row says
/// `Do_Not_Replace_All`; a row with `Delete` takes its own value away.
fn channels(
    mut now: Vec<Channel>,
    given: &Element,
    (row, value): (&str, &str),
    home: bool,
    path: &str,
) -> Result<Vec<Channel>, Answer> {
    let rows: Vec<&Element> = given.all(row).collect();
    let says = |row: &Element, name: &str| row.attribute(name).is_some_and(super::truth);
    if !rows.is_empty() && !rows.iter().any(|row| says(row, "Do_Not_Replace_All")) {
        now.retain(|channel| channel.home != home);
    }
    for row in rows {
        let place = format!("{path}/wd:Contact_Information_Data[1]/wd:{}[1]", row.name);
        let text = row.attribute("E164_Formatted_Phone").or_else(|| row.text_of(value));
        let text =
            text.ok_or_else(|| fault::invalid(&format!("The field {value} is required and must have a value."), &place))?;
        now.retain(|channel| channel.home != home || channel.value != text);
        if says(row, "Delete") {
            continue;
        }
        let primary = row.at(&["Usage_Data", "Type_Data"]).and_then(|data| data.attribute("Primary")).is_none_or(super::truth);
        if primary {
            now.iter_mut().filter(|channel| channel.home == home).for_each(|channel| channel.primary = false);
        }
        if now.len() >= CHANNELS_MAX {
            return Err(fault::invalid(&format!("A worker has at most {CHANNELS_MAX} of these."), &place));
        }
        now.push(Channel { value: text.to_owned(), home, primary });
    }
    Ok(now)
}

fn name(state: &mut State, ask: &Ask<'_>) -> Done {
    let path = "/wd:Change_Legal_Name_Request/wd:Change_Legal_Name_Data[1]";
    let none = Element::default();
    let data = ask.body.child("Change_Legal_Name_Data").unwrap_or(&none);
    let worker = refs::worker(state, data.child("Person_Reference"), path)?;
    let day = day_of(data, "Effective_Date", path)?;
    let given = data.child("Name_Data").unwrap_or(&none);
    let first = text_of(given, "First_Name", path)?.to_owned();
    let last = text_of(given, "Last_Name", path)?.to_owned();
    present(state, worker, day, ask, path)?;
    let words = format!("Legal Name Change: {first} {last}");
    let wid = Parameters::read(ask.body).start(state, ask, Process::Name, (worker, day), Change::Name { first, last })?;
    Ok(event(ask, "wd:Event_Reference", &words, &wid))
}

/// It has no day of its own: it holds from today on.
fn personal(state: &mut State, ask: &Ask<'_>) -> Done {
    let path = "/wd:Change_Personal_Information_Request/wd:Change_Personal_Information_Data[1]";
    let none = Element::default();
    let data = ask.body.child("Change_Personal_Information_Data").unwrap_or(&none);
    let worker = refs::worker(state, data.child("Person_Reference"), path)?;
    let given = data.child("Personal_Information_Data").unwrap_or(&none);
    let item = |name: &str, kind: Kind| refs::maybe_item(state, given.child(name), &[kind], path);
    let day = |name: &str| given.text_of(name).and_then(read_day);
    let city = given.text_of("City_of_Birth").map(|_| text_of(given, "City_of_Birth", path)).transpose()?;
    let change = Personal {
        birth: day("Date_of_Birth"),
        birth_country: item("Birth_Country_Reference", Kind::Country)?,
        birth_city: city.map(str::to_owned),
        gender: item("Gender_Reference", Kind::Gender)?,
        marital: item("Marital_Status_Reference", Kind::MaritalStatus)?,
        marital_since: day("Marital_Status_Date"),
        nationality: item("Primary_Nationality_Reference", Kind::Country)?,
    };
    if change.birth.is_some_and(|day| day > ask.today) {
        return Err(fault::invalid("The date of birth must not be in the future.", path));
    }
    present(state, worker, ask.today, ask, path)?;
    let words = format!("Personal Information Change: {}", state.name_of(worker, ask.now));
    let change = Change::Personal(Box::new(change));
    let wid = Parameters::read(ask.body).start(state, ask, Process::Personal, (worker, ask.today), change)?;
    Ok(event(ask, "wd:Personal_Information_Change_Event_Reference", &words, &wid))
}

fn account(state: &mut State, ask: &Ask<'_>, add: bool) -> Done {
    let path = format!("/wd:{}", ask.body.name);
    let worker = refs::worker(state, ask.body.child("Worker_Reference"), &path)?;
    let none = Element::default();
    let data = ask.body.child("Workday_Account_for_Worker_Data").unwrap_or(&none);
    let user = text_of(data, "User_Name", &path)?.to_owned();
    // A hire to come has an account before its first day, too.
    let ever = |worker: &'_ Worker| worker.view(Date::MAX, ask.now).map(|view| (view.hired, view.user_name.map(str::to_owned)));
    let Some((hired, name)) = ever(&state.workers[worker]) else {
        return Err(fault::invalid("The worker is not employed.", &path));
    };
    if add && name.is_some() {
        return Err(fault::invalid("The worker has a Workday Account already.", &path));
    }
    let mut others = state.workers.iter().enumerate().filter(|(place, _)| *place != worker);
    if others.any(|(_, other)| ever(other).is_some_and(|(_, name)| name.as_deref() == Some(&user))) {
        return Err(fault::invalid(&format!("The user name {user} is in use."), &path));
    }
    let day = ask.today.max(hired);
    // An account is no business process with approvals here.
    let parameters = Parameters { auto_complete: true, comment: None };
    parameters.start(state, ask, Process::Account, (worker, day), Change::UserName(user))?;
    let mut xml = Writer::new();
    ask.worker(&mut xml, "wd:Worker_Reference", state, worker);
    Ok(xml.finish())
}

fn other_ids(state: &mut State, ask: &Ask<'_>) -> Done {
    let path = "/wd:Change_Other_IDs_Request/wd:Change_Other_IDs_Data[1]";
    let none = Element::default();
    let data = ask.body.child("Change_Other_IDs_Data").unwrap_or(&none);
    let worker = refs::worker(state, data.child("Worker_Reference"), path)?;
    let custom = data.at(&["Custom_Identification_Data", "Custom_ID", "Custom_ID_Data"]).unwrap_or(&none);
    let id = text_of(custom, "ID", path)?.to_owned();
    let kind = custom.child("ID_Type_Reference").map(|reference| refs::id(reference).1).unwrap_or_default().to_owned();
    if kind.is_empty() {
        return Err(fault::invalid("The field ID_Type_Reference is required and must have a value.", path));
    }
    let day = ask.today;
    present(state, worker, day, ask, path)?;
    let wid = Parameters::read(ask.body).start(state, ask, Process::OtherIds, (worker, day), Change::OtherId { kind, id })?;
    let mut xml = Writer::new();
    ask.reference(&mut xml, "wd:Event_Reference", "Edit Other IDs", &[("WID", &wid)]);
    ask.worker(&mut xml, "wd:Worker_Reference", state, worker);
    Ok(xml.finish())
}
