//! The SOAP services: operations, their WSDL, and who may call them.

pub(super) mod fault;
mod integrations;
mod organizations;
mod photos;
mod refs;
mod schema;
mod staffing;
mod worker;
mod workers;
mod writes;
mod wsdl;

pub(super) use self::{
    staffing::{WORKERS_MAX, next_number},
    worker::memberships,
};

use http::{Method, header};
use jiff::{Timestamp, civil::Date};

use super::{
    TENANT,
    answer::{Answer, Call},
    auth::{self, Who},
    state::State,
};
use crate::xml::{Element, Writer, soap};

/// The namespace of all of the vendor's elements and attributes.
pub(super) const BSVC: &str = "urn:com.workday/bsvc";
/// An operation: its name, the request's element and the answer's element.
type Operation = (&'static str, &'static str, &'static str);
/// Services by name with their operations.
const SERVICES: &[(&str, &[Operation])] = &[
    (
        "Human_Resources",
        &[
            ("Get_Workers", "Get_Workers_Request", "Get_Workers_Response"),
            ("Get_Server_Timestamp", "Server_Timestamp_Get", "Server_Timestamp"),
            ("Get_Organizations", "Get_Organizations_Request", "Get_Organizations_Response"),
            ("Get_Worker_Photos", "Get_Worker_Photos_Request", "Get_Worker_Photos_Response"),
            ("Put_Worker_Photo", "Put_Worker_Photo_Request", "Put_Worker_Photo_Response"),
            ("Change_Business_Title", "Change_Business_Title_Request", "Change_Business_Title_Response"),
            (
                "Change_Work_Contact_Information",
                "Change_Work_Contact_Information_Request",
                "Change_Work_Contact_Information_Response",
            ),
            (
                "Change_Home_Contact_Information",
                "Change_Home_Contact_Information_Request",
                "Change_Home_Contact_Information_Response",
            ),
            ("Change_Legal_Name", "Change_Legal_Name_Request", "Change_Legal_Name_Response"),
            ("Change_Personal_Information", "Change_Personal_Information_Request", "Change_Personal_Information_Response"),
            ("Add_Workday_Account", "Add_Workday_Account_Request", "Add_Workday_Account_Response"),
            ("Update_Workday_Account", "Update_Workday_Account_Request", "Update_Workday_Account_Response"),
            ("Change_Other_IDs", "Change_Other_IDs_Request", "Change_Other_IDs_Response"),
        ],
    ),
    (
        "Integrations",
        &[
            ("Get_References", "Get_References_Request", "Get_References_Response"),
            ("Launch_EIB", "Launch_EIB_Request", "Launch_EIB_Response"),
            ("Get_Integration_Events", "Get_Integration_Events_Request", "Get_Integration_Events_Response"),
        ],
    ),
    (
        "Staffing",
        &[
            ("Get_Workers", "Get_Workers_Request", "Get_Workers_Response"),
            ("Hire_Employee", "Hire_Employee_Request", "Hire_Employee_Event_Response"),
            ("Terminate_Employee", "Terminate_Employee_Request", "Terminate_Employee_Event_Response"),
            ("Change_Job", "Change_Job_Request", "Change_Job_Response"),
        ],
    ),
];
/// Versions that are answered; two come each year and old ones live for years.
const VERSIONS: std::ops::RangeInclusive<u32> = 20..=46;
/// The version when neither the address nor the request names one.
const VERSION: &str = "v44.2";

/// A request that was understood.
struct Ask<'a> {
    body: &'a Element,
    who: &'a Who,
    now: Timestamp,
    /// The tenant's day.
    today: Date,
    version: &'a str,
    /// References carry their descriptors.
    descriptors: bool,
    zones: bool,
}

/// What an operation answers: the inside of its answer's element.
type Done = Result<String, Answer>;

/// One call.
pub(super) fn answer(state: &mut State, call: &Call<'_>, tenant: &str, service: &str, rest: &[&str]) -> Answer {
    let known = SERVICES.iter().find(|(name, _)| *name == service);
    let version = match rest {
        [] => None,
        [version] => Some(*version),
        _ => return Answer::error(404, "not found"),
    };
    let (Some((_, operations)), true, true) = (known, tenant == TENANT, version.is_none_or(sound)) else {
        return fault::wrong_service();
    };
    match *call.method {
        Method::GET if call.query.iter().any(|(name, _)| name.eq_ignore_ascii_case("wsdl")) => {
            let text = wsdl::wsdl(service, version.unwrap_or(VERSION), call.base, operations);
            Answer::new(200, "text/xml;charset=UTF-8", text)
        }
        Method::POST => match operate(state, call, operations, version) {
            Ok(text) => Answer::new(200, "text/xml;charset=UTF-8", text),
            Err(fault) => fault,
        },
        _ => Answer::error(405, "method not allowed").with(header::ALLOW, "GET, POST"),
    }
}

/// `v44.2` and its like.
fn sound(version: &str) -> bool {
    let Some(digits) = version.strip_prefix('v') else { return false };
    let (major, minor) = digits.split_once('.').unwrap_or((digits, "0"));
    major.parse().is_ok_and(|major| VERSIONS.contains(&major)) && minor.len() == 1 && minor.parse::<u8>().is_ok()
}

fn operate(state: &mut State, call: &Call<'_>, operations: &[Operation], version: Option<&str>) -> Done {
    let message = soap::read(call.body).map_err(|problem| fault::invalid(&format!("Invalid request: {problem}"), ""))?;
    let who = signed_in(state, call, &message).ok_or_else(fault::authentication)?;
    let body = &message.body;
    let operation = operations.iter().find(|(_, request, _)| body.is(BSVC, request));
    let (operation, _, response) = operation.ok_or_else(fault::wrong_service)?;
    let named = body.attribute("version");
    // Where both name a version they must agree (unverified).
    if named.is_some_and(|named| !sound(named) || version.is_some_and(|version| version != named)) {
        return Err(fault::wrong_service());
    }
    schema::check(body)?;
    let descriptors =
        message.header("Workday_Common_Header").and_then(|header| header.text_of("Include_Reference_Descriptors_In_Response"));
    let ask = Ask {
        body,
        who: &who,
        now: call.now,
        today: state.day(call.now),
        version: named.or(version).unwrap_or(VERSION),
        descriptors: descriptors.is_none_or(truth),
        zones: state.settings.zone_suffixed_dates,
    };
    let inside = match *operation {
        "Get_Workers" | "Get_Organizations" | "Get_Worker_Photos" | "Get_References" | "Get_Integration_Events"
            if state.settings.hollow =>
        {
            Ok(String::new())
        }
        "Get_Workers" => workers::get(state, &ask),
        "Get_Organizations" => organizations::get(state, &ask),
        "Get_Server_Timestamp" => {
            let mut xml = Writer::new();
            xml.text("wd:Server_Timestamp_Data", &[], &moment(ask.now));
            Ok(xml.finish())
        }
        "Get_Worker_Photos" => photos::get(state, &ask),
        "Get_References" => integrations::references(state, &ask),
        "Get_Integration_Events" => integrations::events(state, &ask),
        _ if !who.rights.write => Err(fault::unauthorized()),
        "Put_Worker_Photo" => photos::put(state, &ask),
        "Launch_EIB" => integrations::launch(state, &ask),
        "Hire_Employee" => staffing::hire(state, &ask),
        "Terminate_Employee" => staffing::terminate(state, &ask),
        "Change_Job" => staffing::change_job(state, &ask),
        operation => writes::write(state, &ask, operation),
    }?;
    let tag = format!("wd:{response}");
    let attributes = [("xmlns:wd", BSVC), ("wd:version", ask.version)];
    Ok(soap::envelope(&[], |_| {}, |xml| xml.element(&tag, &attributes, |xml| xml.raw(&inside))))
}

/// By the name and password in the header, or by a bearer (unverified).
fn signed_in(state: &State, call: &Call<'_>, message: &soap::Message) -> Option<Who> {
    let Some(security) = message.header("Security") else { return auth::by_bearer(state, call) };
    let token = security.child("UsernameToken")?;
    // Only the plain form: digests are not taken. Nonce, Created and Timestamp may stand beside it.
    let password = token.child("Password")?;
    if password.attribute("Type").is_some_and(|kind| !kind.ends_with("#PasswordText")) {
        return None;
    }
    // Clients write it on a line of its own (PyPI's wws-api).
    auth::by_password(state, token.text_of("Username")?, password.text.trim())
}

fn truth(text: &str) -> bool {
    matches!(text, "true" | "1")
}

/// A flag of the request.
fn flag(element: Option<&Element>, name: &str) -> Option<bool> {
    element?.text_of(name).map(truth)
}

/// A moment as the services write it.
fn moment(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// A day, whose zone is cut off: it is never converted.
fn read_day(text: &str) -> Option<Date> {
    text.get(..10)?.parse().ok()
}

/// A moment; without a zone it is taken for UTC.
fn read_moment(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| format!("{text}Z").parse().ok())
}

impl Ask<'_> {
    fn day(&self, day: Date) -> String {
        if self.zones { format!("{day}-08:00") } else { day.to_string() }
    }

    /// A reference with its ids.
    fn reference(&self, xml: &mut Writer, tag: &str, descriptor: &str, ids: &[(&str, &str)]) {
        let attributes = [("wd:Descriptor", descriptor)];
        let attributes = if self.descriptors { &attributes[..] } else { &[] };
        xml.element(tag, attributes, |xml| {
            for (id_type, id) in ids {
                xml.text("wd:ID", &[("wd:type", id_type)], id);
            }
        });
    }

    fn item(&self, xml: &mut Writer, tag: &str, item: &super::items::Item) {
        self.reference(xml, tag, &item.name, &item.ids());
    }

    fn worker(&self, xml: &mut Writer, tag: &str, state: &State, place: usize) {
        let worker = &state.workers[place];
        let kind = if worker.contingent { "Contingent_Worker_ID" } else { "Employee_ID" };
        self.reference(xml, tag, &state.name_of(place, self.now), &[("WID", &worker.wid), (kind, &worker.number)]);
    }
}

/// A part of the request as it was sent.
fn echo(xml: &mut Writer, element: &Element) {
    let tag = format!("wd:{}", element.name);
    let names: Vec<String> = element.attributes.iter().map(|attribute| format!("wd:{}", attribute.name)).collect();
    let attributes: Vec<(&str, &str)> =
        names.iter().zip(&element.attributes).map(|(name, attribute)| (name.as_str(), attribute.value.as_str())).collect();
    if element.children.is_empty() {
        return xml.text(&tag, &attributes, &element.text);
    }
    xml.element(&tag, &attributes, |xml| element.children.iter().for_each(|child| echo(xml, child)));
}
