//! Records of the smaller services, kept as they are told: expenses, supplier and customer invoices, payroll, journals.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{items::Kind, process::Process, state::State, wid};
use crate::{Company, Customer, Invoice};

/// Records of one list.
pub(super) const ROWS_MAX: usize = 100_000;

/// How a parameter of a list picks its records.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// By WID, `Type=value` or descriptor of a reference, or by the text itself.
    Is,
    /// From a day on.
    From,
    /// Up to a day.
    To,
    /// The text holds it.
    Holds,
}

/// A list of a service and what can be done with it.
pub(super) struct Spec {
    pub(super) service: &'static str,
    pub(super) name: &'static str,
    pub(super) verbs: &'static str,
    /// Fields a new record must have.
    pub(super) required: &'static [&'static str],
    pub(super) filters: &'static [(&'static str, &'static str, How)],
    /// Lists in a record, and whether they can be added to.
    pub(super) parts: &'static [(&'static str, bool)],
    /// The field and the word of a new record's state.
    pub(super) state: Option<(&'static str, &'static str)>,
    /// The process that `submit` starts.
    pub(super) submit: Option<Process>,
}

const NONE: Spec =
    Spec { service: "", name: "", verbs: "GET", required: &[], filters: &[], parts: &[], state: None, submit: None };

/// All lists. Journals are (unverified): the description of that service at hand has none.
pub(super) const SPECS: &[Spec] = &[
    Spec {
        service: "expense",
        name: "entries",
        verbs: "GET, POST, PUT, PATCH, DELETE",
        required: &["date", "expenseItem"],
        filters: &[
            ("fromDate", "date", How::From),
            ("toDate", "date", How::To),
            ("expenseEntryStatus", "expenseEntryStatus", How::Is),
            ("entryType", "entryType", How::Is),
        ],
        parts: &[("attachments", true)],
        state: Some(("expenseEntryStatus", "New")),
        submit: None,
    },
    Spec {
        service: "expense",
        name: "reports",
        verbs: "GET, POST",
        required: &["payee"],
        filters: &[
            ("fromDate", "creationDate", How::From),
            ("toDate", "creationDate", How::To),
            ("expenseReportMemo", "expenseReportMemo", How::Holds),
            ("expenseReportStatus", "expenseReportStatus", How::Is),
        ],
        parts: &[("lines", true)],
        state: Some(("expenseReportStatus", "Draft")),
        submit: Some(Process::Expense),
    },
    Spec {
        service: "accountsPayable",
        name: "supplierInvoiceRequests",
        verbs: "GET, POST",
        required: &["company", "supplier"],
        filters: &[
            ("company", "company", How::Is),
            ("supplier", "supplier", How::Is),
            ("requester", "requester", How::Is),
            ("status", "status", How::Is),
            ("fromDueDate", "dueDate", How::From),
            ("toDueDate", "dueDate", How::To),
            ("fromInvoiceDate", "invoiceDate", How::From),
            ("toInvoiceDate", "invoiceDate", How::To),
        ],
        parts: &[("lines", false), ("attachments", true)],
        state: Some(("status", "Draft")),
        submit: Some(Process::SupplierInvoice),
    },
    Spec {
        service: "payroll",
        name: "payrollInputs",
        verbs: "GET, POST, PATCH, DELETE",
        required: &["payComponent", "worker", "startDate"],
        filters: &[
            ("worker", "worker", How::Is),
            ("payComponent", "payComponent", How::Is),
            ("startDate", "startDate", How::From),
            ("endDate", "startDate", How::To),
        ],
        ..NONE
    },
    Spec { service: "payroll", name: "payGroups", ..NONE },
    Spec {
        service: "compensation",
        name: "scorecards",
        verbs: "GET, POST, PUT, DELETE",
        required: &["scorecardName"],
        filters: &[],
        ..NONE
    },
    Spec { service: "compensation", name: "scorecardResults", verbs: "GET, POST, DELETE", ..NONE },
    Spec {
        service: "compensation",
        name: "oneTimePayments",
        // They are made below a worker.
        verbs: "GET",
        ..NONE
    },
    Spec { service: "customerAccounts", name: "customers", filters: &[("name", "name", How::Holds)], ..NONE },
    Spec {
        service: "customerAccounts",
        name: "invoices",
        filters: &[
            ("billToCustomer", "billToCustomer", How::Is),
            ("company", "company", How::Is),
            ("invoiceStatus", "invoiceStatus", How::Is),
            ("paymentStatus", "paymentStatus", How::Is),
            ("transactionType", "transactionType", How::Is),
            ("fromDueDate", "dueDate", How::From),
            ("toDueDate", "dueDate", How::To),
            ("fromInvoiceDate", "invoiceDate", How::From),
            ("toInvoiceDate", "invoiceDate", How::To),
        ],
        parts: &[("printRuns", false)],
        ..NONE
    },
    Spec {
        service: "customerAccounts",
        name: "payments",
        verbs: "GET, POST",
        required: &["amount", "date", "remitFromCustomer"],
        parts: &[("remittanceDetails", true)],
        ..NONE
    },
    Spec {
        service: "coreAccounting",
        name: "journals",
        filters: &[
            ("company", "company", How::Is),
            ("fromAccountingDate", "accountingDate", How::From),
            ("toAccountingDate", "accountingDate", How::To),
            ("status", "status", How::Is),
        ],
        parts: &[("lines", false)],
        ..NONE
    },
    Spec {
        service: "connect",
        name: "messageTemplates",
        verbs: "GET, POST, PUT, PATCH",
        required: &["name"],
        filters: &[("name", "name", How::Holds), ("notificationType", "notificationType", How::Is)],
        ..NONE
    },
    Spec { service: "connect", name: "notificationTypes", ..NONE },
    Spec { service: "connect", name: "sentMessages", verbs: "GET", ..NONE },
];

#[derive(Default)]
struct Rows {
    /// Deleted ones leave their place empty.
    all: Vec<Option<Json>>,
    by: HashMap<String, usize>,
    live: usize,
}

/// The records by list.
#[derive(Default)]
pub(super) struct Docs {
    lists: BTreeMap<&'static str, Rows>,
    made: u64,
}

impl Docs {
    /// Puts a record with its id into a list; it can be found by other keys, too. False when the list is full.
    pub(super) fn put(&mut self, list: &'static str, keys: &[String], record: Json) -> bool {
        let rows = self.lists.entry(list).or_default();
        if rows.live >= ROWS_MAX {
            return false;
        }
        let place = rows.all.len();
        let id = record["id"].as_str().unwrap_or_default().to_owned();
        rows.by.extend(keys.iter().cloned().chain([id]).map(|key| (key, place)));
        rows.all.push(Some(record));
        rows.live += 1;
        true
    }

    pub(super) fn next_id(&mut self, seed: u64) -> String {
        self.made += 1;
        wid(seed, &format!("record {}", self.made))
    }

    pub(super) fn get(&self, list: &str, key: &str) -> Option<&Json> {
        let rows = self.lists.get(list)?;
        rows.all.get(*rows.by.get(key)?)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, list: &str, key: &str) -> Option<&mut Json> {
        let rows = self.lists.get_mut(list)?;
        rows.all.get_mut(*rows.by.get(key)?)?.as_mut()
    }

    pub(super) fn remove(&mut self, list: &str, key: &str) -> bool {
        let Some(rows) = self.lists.get_mut(list) else { return false };
        let place = rows.by.get(key).copied();
        let gone = place.and_then(|place| rows.all[place].take()).is_some();
        rows.live -= usize::from(gone);
        gone
    }

    /// The records of a list in order.
    pub(super) fn list(&self, list: &str) -> impl Iterator<Item = &Json> {
        self.lists.get(list).into_iter().flat_map(|rows| rows.all.iter().flatten())
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = (&str, usize)> {
        self.lists.iter().map(|(name, rows)| (*name, rows.live))
    }

    pub(super) fn rows(&self, table: &str, from: usize, limit: usize) -> Option<Vec<Json>> {
        self.lists.get(table)?;
        Some(self.list(table).skip(from).take(limit).cloned().collect())
    }
}

/// An amount as REST and WQL write it.
fn money(cents: i64, currency: &str) -> Json {
    #[expect(clippy::cast_precision_loss, reason = "amounts of a made-up company are far below 2^52 hundredths")]
    let value = cents as f64 / 100.0;
    json!({ "value": value, "currency": currency })
}

/// The first records of every list.
pub(super) fn seed(state: &mut State, company: &Company, now: Timestamp) {
    let mut docs = std::mem::take(&mut state.docs);
    let own = state.items.known(Kind::Company, "CO_NORTHWIND").map(|place| state.item(place).json()).unwrap_or_default();
    for customer in &company.customers {
        let id = customer_wid(state.seed, customer);
        let open: i64 = open_invoices(company, customer).map(Invoice::cents).sum();
        let record = json!({
            "id": id,
            "descriptor": customer.name,
            "name": customer.name,
            "customerReferenceID": customer.external_id(),
            "primaryPhone": customer.phone,
            "totalBalance": money(open, customer.currency),
        });
        docs.put("customers", &[format!("Customer_Reference_ID={}", customer.external_id())], record);
    }
    for invoice in &company.invoices {
        books(&mut docs, state.seed, company, &own, invoice);
    }
    expenses(&mut docs, state, company);
    for (list, names) in [("payGroups", ["US Monthly", "DE Monthly"]), ("notificationTypes", ["Custom Notification", "Reminder"])]
    {
        for name in names {
            docs.put(list, &[], json!({ "id": wid(state.seed, &format!("{list} {name}")), "descriptor": name }));
        }
    }
    let (supplier, id) = (wid(state.seed, "supplier 1"), docs.next_id(state.seed));
    let due = state.day(now).to_string();
    docs.put(
        "supplierInvoiceRequests",
        &[],
        json!({
            "id": id, "descriptor": "SIR-0001", "requestNumber": "SIR-0001", "company": own, "status": { "descriptor": "Approved" },
            "supplier": { "id": supplier, "descriptor": "Harbour Tools" }, "invoiceDate": company.today.to_string(), "dueDate": due,
            "controlTotalAmount": money(129_900, "USD"),
            "lines": [{ "id": wid(state.seed, "supplier line 1"), "itemDescription": "Torque wrench", "quantity": 1, "extendedAmount": money(129_900, "USD") }],
        }),
    );
    state.docs = docs;
}

fn customer_wid(seed: u64, customer: &Customer) -> String {
    wid(seed, &format!("Customer {}", customer.external_id()))
}

fn open_invoices<'a>(company: &'a Company, customer: &Customer) -> impl Iterator<Item = &'a Invoice> {
    let number = customer.number;
    company.invoices.iter().filter(move |invoice| invoice.customer == number && invoice.paid.is_none())
}

/// An invoice, its payment and its journal.
fn books(docs: &mut Docs, seed: u64, company: &Company, own: &Json, invoice: &Invoice) {
    let Some(customer) = company.customer(invoice.customer) else { return };
    let (number, cents) = (invoice.reference(), invoice.cents());
    let id = wid(seed, &format!("Invoice {number}"));
    let bill_to = json!({ "id": customer_wid(seed, customer), "descriptor": customer.name });
    let due = if invoice.paid.is_some() { 0 } else { cents };
    let record = json!({
        "id": id,
        "descriptor": format!("Customer Invoice: {number}"),
        "invoiceNumber": number,
        "transactionType": "Invoice",
        "company": own,
        "billToCustomer": bill_to,
        "invoiceDate": invoice.issued.to_string(),
        "dueDate": invoice.due.to_string(),
        "currency": { "descriptor": invoice.currency },
        "netAmount": money(cents, invoice.currency),
        "dueAmount": money(due, invoice.currency),
        "invoiceStatus": { "descriptor": "Approved" },
        "paymentStatus": { "descriptor": if invoice.paid.is_some() { "Paid" } else { "Unpaid" } },
    });
    docs.put("invoices", &[format!("Invoice_Number={number}")], record);
    if let Some(paid) = invoice.paid {
        let record = json!({
            "id": wid(seed, &format!("Payment {number}")),
            "descriptor": format!("Customer Payment for {number}"),
            "transactionNumber": format!("PAY-{}", invoice.number),
            "reference": number,
            "remitFromCustomer": bill_to,
            "date": paid.to_string(),
            "amount": money(cents, invoice.currency),
            "remittanceDetails": [{ "id": wid(seed, &format!("Remittance {number}")), "invoice": { "id": id, "descriptor": number }, "amountToPay": money(cents, invoice.currency) }],
        });
        docs.put("payments", &[], record);
    }
    let line = |account: &str, debit: i64, credit: i64| {
        json!({
            "id": wid(seed, &format!("Journal line {number} {account}")),
            "ledgerAccount": { "descriptor": account },
            "debitAmount": money(debit, invoice.currency),
            "creditAmount": money(credit, invoice.currency),
            "memo": number,
        })
    };
    let record = json!({
        "id": wid(seed, &format!("Journal {number}")),
        "descriptor": format!("Operational Journal: {number}"),
        "journalNumber": format!("JE-{}", invoice.number),
        "accountingDate": invoice.issued.to_string(),
        "company": own,
        "currency": { "descriptor": invoice.currency },
        "status": { "descriptor": "Posted" },
        "memo": number,
        "lines": [line("1200:Accounts Receivable", cents, 0), line("4000:Revenue", 0, cents)],
    });
    docs.put("journals", &[format!("Journal_Number=JE-{}", invoice.number)], record);
}

fn expenses(docs: &mut Docs, state: &State, company: &Company) {
    let kinds: Vec<Json> = state.items.of(Kind::ExpenseItem).map(|(_, item)| item.json()).collect();
    for (worker, place) in company.workers.iter().zip(0_i64..).filter(|(worker, _)| worker.left.is_none()).take(24) {
        let item = &kinds[usize::try_from(place).unwrap_or_default() % kinds.len().max(1)];
        let payee = state.worker_at(&format!("Employee_ID={}", worker.number)).map(|place| &state.workers[place].wid);
        let name = format!("{} {}", worker.first_name, worker.last_name);
        let amount = money(2_500 + place * 1_337, "USD");
        let entry = json!({
            "id": docs.next_id(state.seed),
            "descriptor": format!("{} for {name}", item["descriptor"].as_str().unwrap_or_default()),
            "date": company.today.to_string(),
            "amount": amount,
            "expenseItem": item,
            "merchant": "Harbour Travel",
            "memo": format!("Trip of {name}"),
            "expenseEntryStatus": { "descriptor": "New" },
        });
        docs.put("entries", &[], entry);
        let report = json!({
            "id": docs.next_id(state.seed),
            "descriptor": format!("EXP-{place:04}"),
            "payee": { "id": payee, "descriptor": name },
            "expenseReportMemo": format!("Trip of {name}"),
            "creationDate": company.today.to_string(),
            "totalAmount": amount,
            "expenseReportStatus": { "descriptor": if place % 2 == 0 { "Paid" } else { "In Progress" } },
            "lines": [{ "id": docs.next_id(state.seed), "date": company.today.to_string(), "expenseItem": item, "totalAmount": amount }],
        });
        docs.put("reports", &[], report);
    }
}
