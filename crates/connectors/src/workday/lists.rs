//! Lists and single records over REST that need nothing but an address: organizations, positions, time off, events,
//! expenses, invoices, journals, reference values.

use connector::{Action, Cx, Page, StepError, whole};
use http::Method;
use serde_json::{Value as Json, json};

use super::{
    api::{self, ROWS_MAX, invalid},
    people::worker_key,
    schema,
};

/// A field of the input and the parameter it becomes.
struct Filter {
    field: &'static str,
    parameter: &'static str,
    title: &'static str,
    about: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Date,
    /// A worker, written as people write workers.
    Worker,
}

const fn filter(field: &'static str, parameter: &'static str, title: &'static str, about: &'static str, kind: Kind) -> Filter {
    Filter { field, parameter, title, about, kind }
}

/// A list. A part of the path in braces is an input.
struct List {
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    service: &'static str,
    path: &'static [&'static str],
    filters: &'static [Filter],
    required: &'static [&'static str],
}

const LISTS: &[List] = &[
    List {
        id: "list_organizations",
        title: "List organizations",
        summary: "Reads organizations of a type: supervisory, company, cost center, region.",
        service: "common",
        path: &["organizations"],
        filters: &[filter(
            "type",
            "organizationType",
            "Type",
            "The id of an organization type, for instance Organization_Type_ID=Supervisory.",
            Kind::Text,
        )],
        required: &[],
    },
    List {
        id: "list_supervisory_organizations",
        title: "List supervisory organizations",
        summary: "Reads supervisory organizations with their managers.",
        service: "common",
        path: &["supervisoryOrganizations"],
        filters: &[],
        required: &[],
    },
    List {
        id: "list_organization_workers",
        title: "List workers of an organization",
        summary: "Reads the active workers of one supervisory organization.",
        service: "common",
        path: &["supervisoryOrganizations", "{organization}", "workers"],
        filters: &[filter(
            "organization",
            "",
            "Supervisory organization",
            "Its WID, or Organization_Reference_ID=….",
            Kind::Text,
        )],
        required: &["organization"],
    },
    List {
        id: "list_positions",
        title: "List positions",
        summary: "Reads the jobs that workers hold.",
        service: "payroll",
        path: &["jobs"],
        filters: &[],
        required: &[],
    },
    List {
        id: "list_job_change_reasons",
        title: "List job change reasons",
        summary: "Reads the reasons a job can be changed for.",
        service: "common",
        path: &["jobChangeReasons"],
        filters: &[],
        required: &[],
    },
    List {
        id: "list_time_off",
        title: "List time off",
        summary: "Reads days off of a worker with their status.",
        service: "absenceManagement",
        path: &["workers", "{worker}", "timeOffDetails"],
        filters: &[
            filter("worker", "", "Worker", "", Kind::Worker),
            filter("from", "fromDate", "From", "", Kind::Date),
            filter("to", "toDate", "To", "", Kind::Date),
            filter("status", "status", "Status", "The id of a status.", Kind::Text),
            filter("type", "timeOffType", "Type of time off", "Its id.", Kind::Text),
        ],
        required: &["worker"],
    },
    List {
        id: "list_time_off_types",
        title: "List types of time off",
        summary: "Reads the kinds of time off a worker may ask for.",
        service: "absenceManagement",
        path: &["workers", "{worker}", "eligibleAbsenceTypes"],
        filters: &[filter("worker", "", "Worker", "", Kind::Worker)],
        required: &["worker"],
    },
    List {
        id: "get_time_off_balances",
        title: "Get time off balances",
        summary: "Reads what is left of a worker's plans on a day.",
        service: "absenceManagement",
        path: &["balances"],
        filters: &[
            filter("worker", "worker", "Worker", "", Kind::Worker),
            filter("date", "effective", "On", "Today when left out.", Kind::Date),
        ],
        required: &["worker"],
    },
    List {
        id: "list_leaves_of_absence",
        title: "List leaves of absence",
        summary: "Reads a worker's leaves.",
        service: "absenceManagement",
        path: &["workers", "{worker}", "leavesOfAbsence"],
        filters: &[filter("worker", "", "Worker", "", Kind::Worker)],
        required: &["worker"],
    },
    List {
        id: "list_events",
        title: "List business process events",
        summary: "Reads events by worker, process, status and dates.",
        service: "businessProcess",
        path: &["events"],
        filters: &[
            filter("worker", "worker", "Worker", "", Kind::Worker),
            filter("process", "businessProcess", "Business process", "Its id.", Kind::Text),
            filter("status", "status", "Status", "Its id.", Kind::Text),
            filter("initiated_from", "initiatedOnOrAfter", "Initiated on or after", "", Kind::Date),
            filter("initiated_to", "initiatedOnOrBefore", "Initiated on or before", "", Kind::Date),
            filter("completed_from", "completedOnOrAfter", "Completed on or after", "", Kind::Date),
            filter("completed_to", "completedOnOrBefore", "Completed on or before", "", Kind::Date),
        ],
        required: &[],
    },
    List {
        id: "list_steps",
        title: "List steps that wait",
        summary: "Reads steps of business processes that await somebody.",
        service: "businessProcess",
        path: &["eventSteps"],
        filters: &[
            filter("worker", "worker", "Worker", "", Kind::Worker),
            filter("process", "businessProcess", "Business process", "Its id.", Kind::Text),
            filter("created_from", "createdOnOrAfter", "Created on or after", "", Kind::Date),
            filter("due_from", "dueDateOnOrAfter", "Due on or after", "", Kind::Date),
        ],
        required: &[],
    },
    List {
        id: "list_business_processes",
        title: "List business processes",
        summary: "Reads the types of business processes with their ids.",
        service: "businessProcess",
        path: &["types"],
        filters: &[],
        required: &[],
    },
    List {
        id: "list_expense_reports",
        title: "List expense reports",
        summary: "Reads expense reports by status, memo and date.",
        service: "expense",
        path: &["reports"],
        filters: &[
            filter("from", "fromDate", "From", "", Kind::Date),
            filter("to", "toDate", "To", "", Kind::Date),
            filter("status", "expenseReportStatus", "Status", "", Kind::Text),
            filter("memo", "expenseReportMemo", "Memo", "", Kind::Text),
        ],
        required: &[],
    },
    List {
        id: "list_expense_entries",
        title: "List expense entries",
        summary: "Reads expense entries by status and date.",
        service: "expense",
        path: &["entries"],
        filters: &[
            filter("from", "fromDate", "From", "", Kind::Date),
            filter("to", "toDate", "To", "", Kind::Date),
            filter("status", "expenseEntryStatus", "Status", "", Kind::Text),
        ],
        required: &[],
    },
    List {
        id: "list_expense_items",
        title: "List expense items",
        summary: "Reads what can be claimed.",
        service: "expense",
        path: &["expenseItems"],
        filters: &[filter("search", "searchString", "Search", "", Kind::Text)],
        required: &[],
    },
    List {
        id: "list_supplier_invoice_requests",
        title: "List supplier invoice requests",
        summary: "Reads supplier invoice requests by supplier, status and dates.",
        service: "accountsPayable",
        path: &["supplierInvoiceRequests"],
        filters: &[
            filter("supplier", "supplier", "Supplier", "Its id.", Kind::Text),
            filter("status", "status", "Status", "Its id.", Kind::Text),
            filter("invoiced_from", "fromInvoiceDate", "Invoiced on or after", "", Kind::Date),
            filter("invoiced_to", "toInvoiceDate", "Invoiced on or before", "", Kind::Date),
        ],
        required: &[],
    },
    List {
        id: "list_customer_invoices",
        title: "List customer invoices",
        summary: "Reads customer invoices by customer, status and dates.",
        service: "customerAccounts",
        path: &["invoices"],
        filters: &[
            filter("customer", "billToCustomer", "Customer", "Its id.", Kind::Text),
            filter("payment_status", "paymentStatus", "Payment status", "Its id or word.", Kind::Text),
            filter("invoiced_from", "fromInvoiceDate", "Invoiced on or after", "", Kind::Date),
            filter("invoiced_to", "toInvoiceDate", "Invoiced on or before", "", Kind::Date),
        ],
        required: &[],
    },
    List {
        id: "list_journals",
        title: "List journals",
        summary: "Reads journals of the ledger by date and status, where the tenant's accounting service has them.",
        service: "coreAccounting",
        path: &["journals"],
        filters: &[
            filter("from", "fromAccountingDate", "From", "", Kind::Date),
            filter("to", "toAccountingDate", "To", "", Kind::Date),
            filter("status", "status", "Status", "", Kind::Text),
        ],
        required: &[],
    },
    List {
        id: "list_journal_lines",
        title: "List lines of a journal",
        summary: "Reads the lines of one journal.",
        service: "coreAccounting",
        path: &["journals", "{journal}", "lines"],
        filters: &[filter("journal", "", "Journal", "Its WID.", Kind::Text)],
        required: &["journal"],
    },
    List {
        id: "list_currencies",
        title: "List currencies",
        summary: "Reads the tenant's currencies.",
        service: "common",
        path: &["currencies"],
        filters: &[],
        required: &[],
    },
];

/// What an input says of a filter, as it is sent.
fn value(filter: &Filter, input: &Json) -> Option<String> {
    let text = input[filter.field].as_str()?;
    Some(if filter.kind == Kind::Worker { worker_key(text) } else { text.to_owned() })
}

async fn list_page(list: &'static List, cx: Cx, input: Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let mut parts: Vec<String> = Vec::new();
    for part in list.path {
        let named = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        let Some(field) = named else {
            parts.push((*part).to_owned());
            continue;
        };
        let filter = list.filters.iter().find(|filter| filter.field == field);
        let text = filter.and_then(|filter| value(filter, &input)).filter(|text| !text.is_empty());
        parts.push(text.ok_or_else(|| invalid(format!("{field} is missing")))?);
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let query = list.filters.iter().filter(|filter| !filter.parameter.is_empty());
    let query: Vec<(&str, String)> = query.filter_map(|filter| Some((filter.parameter, value(filter, &input)?))).collect();
    api::page(&cx, (list.service, &parts), &query, cursor).await
}

fn field(filter: &Filter) -> Json {
    match filter.kind {
        Kind::Worker => schema::worker(),
        Kind::Date => schema::date(filter.title, filter.about),
        Kind::Text => schema::text(filter.title, filter.about),
    }
}

fn action(list: &'static List) -> Action {
    let fields: Vec<(&str, Json)> = list.filters.iter().map(|filter| (filter.field, field(filter))).collect();
    let row = schema::output(&[("id", schema::told("Workday id")), ("descriptor", schema::told("Name"))]);
    Action::new(list.id, list.title, list.summary, move |cx, input| async move {
        let rows = whole(ROWS_MAX, |cursor| list_page(list, cx.clone(), input.clone(), cursor)).await?;
        Ok(json!({ "rows": rows }))
    })
    .reads()
    .input(schema::input(&fields, list.required))
    .output(schema::rows("rows", row))
    .sample(json!({ "rows": [{ "id": "cb550da820584750aae8f807882fa79a", "descriptor": "Northwind" }] }))
    .pages(move |cx, input, cursor| list_page(list, cx, input, cursor))
}

/// A record by its id.
struct Single {
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    service: &'static str,
    list: &'static str,
    field: &'static str,
    named: &'static str,
}

const SINGLES: &[Single] = &[
    Single {
        id: "get_organization",
        title: "Get an organization",
        summary: "Reads one supervisory organization with its manager.",
        service: "common",
        list: "supervisoryOrganizations",
        field: "organization",
        named: "Organization",
    },
    Single {
        id: "get_step",
        title: "Get a step",
        summary: "Reads one step of a business process.",
        service: "businessProcess",
        list: "eventSteps",
        field: "step",
        named: "Step",
    },
    Single {
        id: "get_expense_report",
        title: "Get an expense report",
        summary: "Reads one expense report.",
        service: "expense",
        list: "reports",
        field: "report",
        named: "Expense report",
    },
    Single {
        id: "get_journal",
        title: "Get a journal",
        summary: "Reads one journal.",
        service: "coreAccounting",
        list: "journals",
        field: "journal",
        named: "Journal",
    },
    Single {
        id: "get_customer_invoice",
        title: "Get a customer invoice",
        summary: "Reads one customer invoice.",
        service: "customerAccounts",
        list: "invoices",
        field: "invoice",
        named: "Customer invoice",
    },
    Single {
        id: "get_supplier_invoice_request",
        title: "Get a supplier invoice request",
        summary: "Reads one supplier invoice request.",
        service: "accountsPayable",
        list: "supplierInvoiceRequests",
        field: "request",
        named: "Supplier invoice request",
    },
];

fn single(one: &'static Single) -> Action {
    Action::new(one.id, one.title, one.summary, move |cx, input| async move {
        let key = input[one.field].as_str().unwrap_or_default();
        api::rest(&cx, Method::GET, (one.service, &[one.list, key]), &[], None).await
    })
    .reads()
    .input(schema::input(&[(one.field, schema::text(one.named, "Its WID, or a type and value."))], &[one.field]))
    .output(schema::output(&[("id", schema::told("Workday id")), ("descriptor", schema::told("Name"))]))
    .sample(json!({ "id": "cb550da820584750aae8f807882fa79a", "descriptor": one.named }))
}

pub(super) fn actions() -> Vec<Action> {
    LISTS.iter().map(action).chain(SINGLES.iter().map(single)).collect()
}
