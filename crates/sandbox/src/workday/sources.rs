//! What can be reported on: data sources with their fields, for WQL and for reports.

use jiff::{Timestamp, civil::Date};
use serde_json::{Value as Json, json};

use super::{
    auth::Rights,
    items::{Item, Kind},
    people::View,
    soap,
    state::State,
};

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Date,
    Boolean,
    Numeric,
    Currency,
    Single,
    Multi,
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Date => "Date",
            Self::Boolean => "Boolean",
            Self::Numeric => "Numeric",
            Self::Currency => "Currency",
            Self::Single => "Single instance",
            Self::Multi => "Multi-instance",
        }
    }
}

/// A field of a source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) alias: &'static str,
    pub(super) name: &'static str,
    pub(super) of: Type,
    /// The business object a reference leads to.
    pub(super) object: &'static str,
}

const fn field(alias: &'static str, name: &'static str, of: Type) -> Field {
    Field { alias, name, of, object: "" }
}

const fn reference(alias: &'static str, name: &'static str, object: &'static str) -> Field {
    Field { alias, name, of: Type::Single, object }
}

const WORKER: &[Field] = &[
    reference("worker", "Worker", "Worker"),
    reference("employee", "Employee", "Worker"),
    field("employeeID", "Employee ID", Type::Text),
    field("fullName", "Full Name", Type::Text),
    field("firstName", "First Name", Type::Text),
    field("lastName", "Last Name", Type::Text),
    field("primaryWorkEmail", "Email - Primary Work", Type::Text),
    field("primaryWorkPhone", "Phone - Primary Work", Type::Text),
    field("businessTitle", "Business Title", Type::Text),
    reference("jobProfile", "Job Profile", "Job Profile"),
    reference("supervisoryOrganization", "Supervisory Organization", "Organization"),
    reference("company", "Company", "Organization"),
    reference("costCenter", "Cost Center", "Organization"),
    reference("location", "Location", "Location"),
    reference("manager", "Manager", "Worker"),
    reference("workerType", "Worker Type", "Worker Type"),
    field("hireDate", "Hire Date", Type::Date),
    field("originalHireDate", "Original Hire Date", Type::Date),
    field("terminationDate", "Termination Date", Type::Date),
    field("currentlyActive", "Currently Active", Type::Boolean),
    field("isManager", "Is Manager", Type::Boolean),
    field("userName", "User Name", Type::Text),
    field("dateOfBirth", "Date of Birth", Type::Date),
    field("totalBasePay", "Total Base Pay", Type::Currency),
    field("lastFunctionallyUpdated", "Last Functionally Updated", Type::Date),
    Field { alias: "organizations", name: "Organizations", of: Type::Multi, object: "Organization" },
];
const ORGANIZATION: &[Field] = &[
    reference("organization", "Organization", "Organization"),
    field("organizationID", "Reference ID", Type::Text),
    field("name", "Name", Type::Text),
    field("code", "Code", Type::Text),
    reference("organizationType", "Organization Type", "Organization Type"),
    reference("manager", "Manager", "Worker"),
    reference("superiorOrganization", "Superior Organization", "Organization"),
];
const INVOICE: &[Field] = &[
    reference("customerInvoice", "Customer Invoice", "Customer Invoice"),
    field("invoiceNumber", "Invoice Number", Type::Text),
    reference("billToCustomer", "Customer", "Customer"),
    field("invoiceDate", "Invoice Date", Type::Date),
    field("dueDate", "Due Date", Type::Date),
    field("netAmount", "Net Amount", Type::Currency),
    field("dueAmount", "Amount Due", Type::Currency),
    reference("paymentStatus", "Payment Status", "Payment Status"),
];
const JOURNAL: &[Field] = &[
    field("lineID", "Line ID", Type::Text),
    field("lineNumber", "Line Number", Type::Numeric),
    field("accountingDate", "Accounting Date", Type::Date),
    field("ledgerAccount", "Ledger Account", Type::Text),
    field("debitAmount", "Debit Amount", Type::Currency),
    field("creditAmount", "Credit Amount", Type::Currency),
    field("memo", "Line Memo", Type::Text),
];

/// A data source.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) alias: &'static str,
    pub(super) name: &'static str,
    pub(super) object: &'static str,
    pub(super) fields: &'static [Field],
    /// Filters of the source; one must be named when `needs_filter`.
    pub(super) filters: &'static [&'static str],
    pub(super) needs_filter: bool,
}

/// All data sources.
pub(super) const SOURCES: &[Source] = &[
    Source { alias: "allWorkers", name: "All Workers", object: "Worker", fields: WORKER, filters: &[], needs_filter: false },
    Source {
        alias: "allActiveWorkers",
        name: "All Active Workers",
        object: "Worker",
        fields: WORKER,
        filters: &[],
        needs_filter: false,
    },
    Source {
        alias: "workersForHCMReporting",
        name: "Workers for HCM Reporting",
        object: "Worker",
        fields: WORKER,
        filters: &["workersForHCMReportingFilter", "activeWorkersFilter"],
        needs_filter: true,
    },
    Source {
        alias: "allOrganizations",
        name: "All Organizations",
        object: "Organization",
        fields: ORGANIZATION,
        filters: &[],
        needs_filter: false,
    },
    Source {
        alias: "customerInvoices",
        name: "Customer Invoices",
        object: "Customer Invoice",
        fields: INVOICE,
        filters: &[],
        needs_filter: false,
    },
    Source {
        alias: "journalLines",
        name: "Journal Lines",
        object: "Journal Line",
        fields: JOURNAL,
        filters: &[],
        needs_filter: false,
    },
];

impl Source {
    pub(super) fn named(alias: &str) -> Option<&'static Self> {
        SOURCES.iter().find(|source| source.alias.eq_ignore_ascii_case(alias))
    }
}

/// The fields of a business object that a reference leads to.
pub(super) fn fields_of(object: &str) -> &'static [Field] {
    match object {
        "Worker" => WORKER,
        "Organization" => ORGANIZATION,
        _ => &[],
    }
}

/// A row by its place.
#[derive(Debug, Clone)]
pub(super) enum Row {
    Worker(usize),
    Item(usize),
    Invoice(String),
    Journal(u64),
}

/// As of which day, known at which moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    pub(super) day: Date,
    pub(super) known: Timestamp,
}

/// The rows of a source.
pub(super) fn rows<'s>(
    state: &'s State,
    source: &Source,
    filter: Option<&str>,
    when: When,
) -> Box<dyn Iterator<Item = Row> + 's> {
    let active = source.alias == "allActiveWorkers" || filter == Some("activeWorkersFilter");
    match source.object {
        "Worker" => {
            let there = move |(place, worker): (usize, &super::people::Worker)| {
                let view = worker.view(when.day, when.known)?;
                (!active || view.active(when.day)).then_some(Row::Worker(place))
            };
            Box::new(state.workers.iter().enumerate().filter_map(there))
        }
        "Organization" => {
            let organizations = state.items.iter().filter(|(_, item)| item.kind.is_organization());
            Box::new(organizations.map(|(place, _)| Row::Item(place)))
        }
        "Customer Invoice" => {
            let id = |record: &Json| Row::Invoice(record["id"].as_str().unwrap_or_default().to_owned());
            Box::new(state.docs.list("invoices").map(id))
        }
        _ => Box::new((0..state.settings.journal_lines).map(Row::Journal)),
    }
}

/// The value of a field; null when there is none.
pub(super) fn cell(state: &State, row: &Row, alias: &str, when: When) -> Json {
    match row {
        Row::Worker(place) => {
            state.workers[*place].view(when.day, when.known).map_or(Json::Null, |view| worker(state, *place, &view, alias, when))
        }
        Row::Item(place) => organization(state, state.item(*place), alias, when),
        Row::Invoice(id) => state.docs.get("invoices", id).map_or(Json::Null, |record| invoice(record, alias)),
        Row::Journal(number) => journal(*number, alias),
    }
}

fn person(state: &State, place: usize, when: When) -> Json {
    let worker = &state.workers[place];
    json!({ "id": worker.wid, "descriptor": worker.view(when.day, when.known).map(|view| view.name()) })
}

fn worker(state: &State, place: usize, view: &View<'_>, alias: &str, when: When) -> Json {
    let member = |kind: Kind| {
        let found = soap::memberships(state, view).into_iter().find(|place| state.item(*place).kind == kind);
        found.map_or(Json::Null, |place| state.item(place).json())
    };
    match alias {
        "worker" => person(state, place, when),
        "employee" if view.worker.contingent => Json::Null,
        "employee" => person(state, place, when),
        "employeeID" => json!(view.worker.number),
        "fullName" => json!(view.name()),
        "firstName" => json!(view.first),
        "lastName" => json!(view.last),
        "primaryWorkEmail" => json!(view.email(false)),
        "primaryWorkPhone" => json!(view.phone(false)),
        "businessTitle" => json!(view.title),
        "jobProfile" => state.item(view.profile).json(),
        "supervisoryOrganization" => state.item(view.organization).json(),
        "company" => member(Kind::Company),
        "costCenter" => member(Kind::CostCenter),
        "location" => state.item(view.location).json(),
        "manager" => state.manager_place(view).map_or(Json::Null, |place| person(state, place, when)),
        "workerType" => state.item(view.worker_type).json(),
        "hireDate" => json!(view.hired.to_string()),
        "originalHireDate" => json!(view.original_hire.to_string()),
        "terminationDate" => json!(view.left.map(|(left, ..)| left.to_string())),
        "currentlyActive" => json!(view.active(when.day)),
        "isManager" => json!(!state.led_by(view.worker).is_empty()),
        "userName" => json!(view.user_name),
        "dateOfBirth" => json!(view.personal.birth.map(|day| day.to_string())),
        "totalBasePay" => json!({ "currency": "USD", "value": view.pay / 100 }),
        "lastFunctionallyUpdated" => json!(view.worker.log.last().map(|line| line.entered.to_string())),
        "organizations" => soap::memberships(state, view).into_iter().map(|place| state.item(place).json()).collect(),
        _ => Json::Null,
    }
}

fn organization(state: &State, item: &Item, alias: &str, when: When) -> Json {
    match alias {
        "organization" => item.json(),
        "organizationID" => json!(item.id),
        "name" => json!(item.name),
        "code" => json!(item.code),
        "organizationType" => {
            let of = state.items.known(Kind::OrganizationType, item.kind.organization_type());
            of.map_or(Json::Null, |place| state.item(place).json())
        }
        "manager" => leader(state, item).map_or(Json::Null, |place| person(state, place, when)),
        "superiorOrganization" => item.parent.map_or(Json::Null, |place| state.item(place).json()),
        _ => Json::Null,
    }
}

fn leader(state: &State, item: &Item) -> Option<usize> {
    state.worker_at(&format!("Employee_ID={}", item.manager.as_ref()?))
}

fn invoice(record: &Json, alias: &str) -> Json {
    match alias {
        "customerInvoice" => json!({ "id": record["id"], "descriptor": record["descriptor"] }),
        known => record[known].clone(),
    }
}

/// Lines of a ledger that is made up as it is read, so that there can be very many.
fn journal(number: u64, alias: &str) -> Json {
    let cents = 1_000 + number * 37 % 900_000;
    let amount = json!({ "currency": "USD", "value": cents / 100 });
    match alias {
        "lineID" => json!(format!("JL-{number:08}")),
        "lineNumber" => json!(number),
        "accountingDate" => json!(format!("2026-{:02}-{:02}", 1 + number / 28 % 11, 1 + number % 28)),
        "ledgerAccount" => json!(if number.is_multiple_of(2) { "1200:Accounts Receivable" } else { "4000:Revenue" }),
        "debitAmount" if number.is_multiple_of(2) => amount,
        "creditAmount" if number % 2 == 1 => amount,
        "memo" => json!(format!("INV-{}", 1_001 + number / 2 % 180)),
        _ => Json::Null,
    }
}

/// The row a reference leads to.
pub(super) fn follow(state: &State, row: &Row, alias: &str, when: When) -> Option<Row> {
    match row {
        Row::Worker(place) => {
            let view = state.workers[*place].view(when.day, when.known)?;
            match alias {
                "worker" | "employee" => Some(row.clone()),
                "manager" => state.manager_place(&view).map(Row::Worker),
                "supervisoryOrganization" => Some(Row::Item(view.organization)),
                _ => None,
            }
        }
        Row::Item(place) => match alias {
            "organization" => Some(row.clone()),
            "manager" => leader(state, state.item(*place)).map(Row::Worker),
            "superiorOrganization" => state.item(*place).parent.map(Row::Item),
            _ => None,
        },
        Row::Invoice(_) | Row::Journal(_) => None,
    }
}

/// True when the caller's domains cover the field.
pub(super) fn allowed(rights: Rights, alias: &str) -> bool {
    match alias {
        "dateOfBirth" => rights.personal,
        "totalBasePay" => rights.compensation,
        _ => true,
    }
}
