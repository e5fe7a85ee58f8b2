//! The company's books as this system keeps them.

use jiff::{Timestamp, civil::Date};
use serde_json::{Map, Value as Json, json};

use super::{
    books::{self, Manner, Now},
    schema::{Family, find},
    settings::{Drifted, Settings},
    store::Store,
    transform,
};
use crate::{Company, Invoice, Random};

/// Firms the company buys from.
const VENDORS: [(&str, &str); 5] = [
    ("Alder Castings", "USD"),
    ("Borealis Circuits", "EUR"),
    ("Cinder Packaging", "USD"),
    ("Drift Courier", "GBP"),
    ("Ember Office Supply", "USD"),
];
const CURRENCIES: [(&str, &str, f64); 5] = [
    ("US Dollar", "USD", 1.0),
    ("Euro", "EUR", 1.08),
    ("British Pound", "GBP", 1.27),
    ("Yen", "JPY", 0.0067),
    ("Australian Dollar", "AUD", 0.66),
];
const ACCOUNTS: [(&str, &str, &str); 8] = [
    ("1000", "Checking", "Bank"),
    ("1099", "Undeposited Funds", "Bank"),
    ("1100", "Accounts Receivable", "AcctRec"),
    ("1200", "Inventory Asset", "OthCurrAsset"),
    ("2000", "Accounts Payable", "AcctPay"),
    ("4000", "Sales", "Income"),
    ("5000", "Cost of Goods Sold", "COGS"),
    ("6000", "Office Expenses", "Expense"),
];

struct Seeding<'a> {
    store: Store,
    settings: &'a Settings,
}

impl Seeding<'_> {
    /// Makes a record as of a day. The company's books are known to be right.
    fn add(&mut self, kind: &str, day: Date, mut body: Json) -> u64 {
        let now =
            Now { at: at(day), zone: self.settings.zone(), one_company: self.settings.one_company, drifted: Drifted::default() };
        let Some((kind, body)) = find(kind).zip(body.as_object_mut()) else { return 0 };
        if self.settings.one_company {
            body.remove("subsidiary");
        }
        match books::create(&mut self.store, kind, body, &Manner::default(), &now) {
            Ok((id, _)) => id,
            Err(refusal) => unreachable!("the company's {} is refused: {}", kind.name, refusal.detail),
        }
    }
}

/// Noon of a day in UTC.
fn at(day: Date) -> Timestamp {
    day.at(12, 0, 0, 0).in_tz("UTC").map(|at| at.timestamp()).unwrap_or_default()
}

/// The records of a company.
pub(super) fn store(company: &Company, random: &Random, settings: &Settings) -> Store {
    let mut store = Store::default();
    store.count_from(Family::Entity, 100 + random.below(400));
    store.count_from(Family::Transaction, 1_000 + random.below(4_000));
    store.count_from(Family::Item, 20 + random.below(80));
    let mut seeding = Seeding { store, settings };
    lists(&mut seeding, company);
    employees(&mut seeding, company);
    customers(&mut seeding, company);
    for invoice in &company.invoices {
        sale(&mut seeding, company, invoice);
    }
    purchases(&mut seeding, company);
    devices(&mut seeding, company, random);
    seeding.store
}

fn lists(seeding: &mut Seeding<'_>, company: &Company) {
    let begun = company.today.checked_sub(jiff::Span::new().years(9)).unwrap_or(company.today);
    for (name, symbol, rate) in CURRENCIES {
        seeding.add(
            "currency",
            begun,
            json!({ "name": name, "symbol": symbol, "exchangeRate": rate, "externalId": symbol, "isInactive": false }),
        );
    }
    seeding.add("folder", begun, json!({ "name": "Attachments Received", "externalId": "FOLDER-ATTACHMENTS" }));
    if !seeding.settings.one_company {
        seeding.add("subsidiary", begun, json!({ "name": company.name, "currency": "1", "country": "US" }));
        seeding.add(
            "subsidiary",
            begun,
            json!({ "name": format!("{} GmbH", company.name), "currency": "2", "country": "DE", "parent": "1" }),
        );
    }
    for (number, name, kind) in ACCOUNTS {
        seeding.add("account", begun, json!({ "acctNumber": number, "acctName": name, "acctType": kind, "externalId": number }));
    }
    for organisation in &company.organisations {
        seeding.add("department", begun, json!({ "name": organisation.name, "externalId": organisation.code }));
    }
    for location in &company.locations {
        seeding.add("location", begun, json!({ "name": location.name, "externalId": location.code }));
    }
    for name in ["Hardware", "Services"] {
        seeding.add("classification", begun, json!({ "name": name }));
    }
    for (name, days) in [("Net 30", 30), ("Net 15", 15), ("Due on receipt", 0)] {
        seeding.add("term", begun, json!({ "name": name, "daysUntilNetDue": days }));
    }
    for months in 0..24_i32 {
        let first = jiff::civil::date(2025, 1, 1).checked_add(jiff::Span::new().months(months)).unwrap_or(begun);
        let period = json!({ "periodName": first.strftime("%b %Y").to_string(), "startDate": first.to_string(), "endDate": first.last_of_month().to_string(), "closed": false });
        seeding.add("accountingPeriod", begun, period);
    }
    for product in &company.products {
        let kind =
            if product.monthly || matches!(product.sku, "CAL-001" | "TRN-DAY") { "serviceSaleItem" } else { "inventoryItem" };
        let body = json!({
            "itemId": product.sku, "displayName": product.name, "salesDescription": product.name, "basePrice": hundredths(product.cents),
            "externalId": product.sku, "custitem_sku": product.sku, "incomeAccount": { "externalId": "4000" },
        });
        let id = seeding.add(kind, begun, body);
        if let Some(kind) = find("inventoryItem") {
            seeding.store.change(kind, id, |item| {
                let count = json!(f64::from(u32::try_from(id % 7).unwrap_or_default()) * 40.0 + 12.0);
                item.set("quantityOnHand", count.clone());
                item.set("quantityAvailable", count);
            });
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a product costs less than nine quadrillion")]
fn hundredths(cents: i64) -> f64 {
    cents as f64 / 100.0
}

fn employees(seeding: &mut Seeding<'_>, company: &Company) {
    for worker in &company.workers {
        let mut body = json!({
            "entityId": format!("{} {} {}", worker.number, worker.first_name, worker.last_name),
            "firstName": worker.first_name, "lastName": worker.last_name, "email": worker.email, "title": worker.title,
            "hireDate": worker.hired.to_string(), "accountNumber": worker.number.to_string(), "externalId": worker.number.to_string(),
            "department": { "externalId": worker.organisation }, "location": { "externalId": worker.location }, "subsidiary": "1",
            "isInactive": worker.left.is_some(),
        });
        if let Some(left) = worker.left {
            body["releaseDate"] = json!(left.to_string());
        }
        if let Some(manager) = worker.manager {
            body["supervisor"] = json!({ "externalId": manager.to_string() });
        }
        seeding.add("employee", worker.hired, body);
    }
}

fn customers(seeding: &mut Seeding<'_>, company: &Company) {
    for customer in &company.customers {
        let address = &customer.address;
        let mut lines: Map<String, Json> = Map::new();
        for (name, value) in [
            ("addr1", address.street),
            ("city", address.city),
            ("zip", &address.postal_code),
            ("state", address.state.unwrap_or_default()),
            ("country", address.country),
            ("addressee", &customer.name),
        ] {
            if !value.is_empty() {
                lines.insert(name.to_owned(), json!(value));
            }
        }
        let id = seeding.add("customer", customer.since, json!({
            "entityId": format!("{} {}", customer.external_id(), customer.name), "companyName": customer.name, "isPerson": false,
            "email": customer.email, "phone": customer.phone, "currency": { "externalId": customer.currency }, "terms": "1",
            "subsidiary": if address.country == "DE" { "2" } else { "1" }, "externalId": customer.external_id(),
            "custentity_industry": customer.industry,
            "addressBook": { "items": [{ "label": "Head office", "defaultBilling": true, "defaultShipping": true, "addressBookAddress": lines }] },
        }));
        for contact in &customer.contacts {
            seeding.add(
                "contact",
                customer.since,
                json!({
                    "entityId": format!("{} {}", contact.first_name, contact.last_name), "firstName": contact.first_name,
                    "lastName": contact.last_name, "email": contact.email, "title": contact.title, "company": id.to_string(),
                }),
            );
        }
    }
}

/// An invoice, before it the order of every fourth, after it the payment of those that are paid.
fn sale(seeding: &mut Seeding<'_>, company: &Company, invoice: &Invoice) {
    let customer = company.customer(invoice.customer).map(crate::Customer::external_id).unwrap_or_default();
    let rows: Vec<Json> = invoice
        .lines
        .iter()
        .map(|line| {
            let quantity = hundredths(line.quantity * 100);
            json!({ "item": { "externalId": line.sku }, "quantity": quantity, "rate": hundredths(line.cents) / quantity })
        })
        .collect();
    let reference = invoice.reference();
    let header = |number: &str, external: String| {
        json!({
            "tranId": number, "externalId": external, "entity": { "externalId": customer }, "tranDate": invoice.issued.to_string(),
            "currency": { "externalId": invoice.currency }, "item": { "items": rows },
        })
    };
    let order = (invoice.number.is_multiple_of(4)).then(|| {
        let number = format!("SO-{}", invoice.number);
        seeding.add("salesOrder", invoice.issued, header(&number, number.clone()))
    });
    let mut body = header(&reference, reference.clone());
    body["dueDate"] = json!(invoice.due.to_string());
    // The newest orders are not billed yet; their invoices stand for themselves.
    let billed = order.filter(|_| invoice.number.is_multiple_of(8));
    let id = match (billed, find("salesOrder"), find("invoice"), body.as_object()) {
        (Some(order), Some(from), Some(to), Some(body)) => {
            let now = Now {
                at: at(invoice.issued),
                zone: seeding.settings.zone(),
                one_company: seeding.settings.one_company,
                drifted: Drifted::default(),
            };
            transform::transform(&mut seeding.store, (from, order), to, body, &Manner::default(), &now).unwrap_or_default()
        }
        _ => seeding.add("invoice", invoice.issued, body.clone()),
    };
    if let Some(paid) = invoice.paid {
        seeding.add("customerPayment", paid, json!({
            "externalId": format!("PMT-{}", invoice.number), "entity": { "externalId": customer }, "tranDate": paid.to_string(),
            "apply": { "items": [{ "doc": id.to_string(), "apply": true }] },
        }));
    }
}

fn purchases(seeding: &mut Seeding<'_>, company: &Company) {
    for (place, (name, currency)) in (1_u32..).zip(VENDORS) {
        let vendor = seeding.add("vendor", company.today, json!({
            "companyName": name, "entityId": name, "externalId": format!("V-{place:04}"), "currency": { "externalId": currency }, "subsidiary": "1",
            "email": format!("orders@{}.example", name.to_lowercase().replace(' ', "")),
        }));
        seeding.add("vendorBill", company.today, json!({
            "tranId": format!("B-{place:03}"), "externalId": format!("BILL-{place:04}"), "entity": vendor.to_string(),
            "expense": { "items": [{ "account": { "externalId": "6000" }, "amount": f64::from(place) * 130.5, "memo": "Monthly" }] },
        }));
        seeding.add(
            "purchaseOrder",
            company.today,
            json!({
                "externalId": format!("PO-{place:04}"), "entity": vendor.to_string(),
                "item": { "items": [{ "item": { "externalId": "SEN-100" }, "quantity": 10 * place, "rate": 21.5 }] },
            }),
        );
    }
    seeding.add("journalEntry", company.today, json!({
        "externalId": "JE-0001", "memo": "Rent", "line": { "items": [
            { "account": { "externalId": "6000" }, "debit": 4200.0 }, { "account": { "externalId": "1000" }, "credit": 4200.0 },
        ] },
    }));
}

fn devices(seeding: &mut Seeding<'_>, company: &Company, random: &Random) {
    for customer in company.customers.iter().take(20) {
        let serial = random.text("0123456789ABCDEF", 8);
        seeding.add("customrecord_device", customer.since, json!({
            "name": format!("Gateway {serial}"), "externalId": format!("DEV-{}", customer.number), "custrecord_device_serial": serial,
            "custrecord_device_customer": { "externalId": customer.external_id() }, "custrecord_device_item": { "externalId": "GAT-010" },
            "custrecord_device_installed": customer.since.to_string(), "custrecord_device_active": true, "isInactive": false,
        }));
    }
}
