//! The company's books as they stand in the org.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value as Json, json};

use super::{
    ids,
    org::{Org, Row},
    reports::REPORTS,
    schema::place,
    value::Value,
    write::{Duplicates, Fields, Writer},
};
use crate::{Company, Random};

/// How long before now the books were written, in milliseconds: triggers that begin now see none of it.
const BEFORE_MS: i64 = 24 * 3_600 * 1_000;

/// Fills the org; gives the user that apps act as.
pub(super) fn fill(org: &mut Org, company: &Company, random: &Random, now_ms: i64) -> Arc<str> {
    let user = people(org, company, now_ms - BEFORE_MS);
    let writer = Writer { user: user.clone(), now_ms: now_ms - BEFORE_MS, origin: "".into(), duplicates: Duplicates::Unchecked };
    let mut book = Book { org, writer };
    let accounts = book.customers(company);
    let products = book.products(company);
    book.invoices(company, &accounts, &products);
    book.sales(company, &accounts, random);
    org.settle();
    user
}

/// Writes a record past the checks: who the first user is cannot be checked before it is there.
fn plain(org: &mut Org, name: &str, user: &str, now_ms: i64, fields: &[(&str, Value)]) -> Arc<str> {
    let object = org.schema.find(name).unwrap_or_default();
    let serial = org.next_serial(object);
    let id = ids::make(&org.schema.objects[object].prefix, serial);
    let mut values: Vec<Value> = org.schema.objects[object].fields.iter().map(|field| field.default.clone()).collect();
    values[place::ID] = Value::Text(id.clone());
    for at in [place::CREATED, place::MODIFIED, place::STAMP] {
        values[at] = Value::Moment(super::write::whole_seconds(now_ms));
    }
    for at in [place::CREATED_BY, place::MODIFIED_BY] {
        values[at] = Value::Text(if user.is_empty() { id.clone() } else { user.into() });
    }
    for (name, value) in fields {
        if let Some(at) = org.schema.objects[object].place(name) {
            values[at] = value.clone();
        }
    }
    org.put(object, serial, Some(Arc::new(Row { serial, values })));
    id
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into().into())
}

fn people(org: &mut Org, company: &Company, now_ms: i64) -> Arc<str> {
    let profile = plain(org, "Profile", "", now_ms, &[("Name", text("Standard User"))]);
    let user = |org: &mut Org, first: &str, last: &str, email: &str, title: &str, number: &str, active: bool| {
        let username = if number.is_empty() { format!("integration@{}", company.domain) } else { email.to_owned() };
        plain(
            org,
            "User",
            "",
            now_ms,
            &[
                ("Username", text(username)),
                ("FirstName", text(first)),
                ("LastName", text(last)),
                ("Name", text(format!("{first} {last}"))),
                ("Email", text(email)),
                ("Title", text(title)),
                ("Alias", text(last.to_lowercase().chars().take(8).collect::<String>())),
                ("EmployeeNumber", text(number)),
                ("IsActive", Value::Bool(active)),
                ("ProfileId", Value::Text(profile.clone())),
                ("CompanyName", text(company.name)),
                ("UserType", text("Standard")),
                ("FederationIdentifier", if number.is_empty() { Value::Null } else { text(number) }),
            ],
        )
    };
    let own = user(org, "Integration", "User", &format!("integration@{}", company.domain), "Integration", "", true);
    for worker in &company.workers {
        user(
            org,
            worker.first_name,
            worker.last_name,
            &worker.email,
            worker.title,
            &worker.number.to_string(),
            worker.left.is_none(),
        );
    }
    plain(
        org,
        "Organization",
        &own,
        now_ms,
        &[("Name", text(company.name)), ("OrganizationType", text("Enterprise Edition")), ("InstanceName", text("USA1"))],
    );
    for (developer, name, _) in REPORTS {
        plain(
            org,
            "Report",
            &own,
            now_ms,
            &[("Name", text(*name)), ("DeveloperName", text(*developer)), ("Format", text("Tabular"))],
        );
    }
    for (name, label) in [("Welcome_Customer", "Welcome Customer"), ("Close_Case", "Close Case")] {
        plain(org, "FlowDefinitionView", &own, now_ms, &[("ApiName", text(name)), ("Label", text(label))]);
    }
    own
}

struct Book<'a> {
    org: &'a mut Org,
    writer: Writer,
}

impl Book<'_> {
    fn add(&mut self, name: &str, fields: &Json) -> Option<Arc<str>> {
        let object = self.org.schema.find(name)?;
        let empty = Fields::new();
        let added = self.org.insert(&self.writer, object, fields.as_object().unwrap_or(&empty));
        debug_assert!(added.is_ok(), "{name} {fields}: {added:?}");
        added.ok()
    }

    fn customers(&mut self, company: &Company) -> HashMap<u32, Arc<str>> {
        let mut accounts = HashMap::new();
        for customer in &company.customers {
            let address = &customer.address;
            let account = self.add(
                "Account",
                &json!({
                    "Name": customer.name, "External_Id__c": customer.external_id(), "Billing_Email__c": customer.email, "Phone": customer.phone,
                    "Industry": customer.industry, "Type": "Customer - Direct", "Currency__c": customer.currency, "Active__c": "Yes",
                    "BillingStreet": address.street, "BillingCity": address.city, "BillingPostalCode": address.postal_code,
                    "BillingState": address.state, "BillingCountry": address.country, "AccountNumber": customer.external_id(),
                }),
            );
            let Some(account) = account else { continue };
            for (place, contact) in customer.contacts.iter().enumerate() {
                self.add(
                    "Contact",
                    &json!({
                        "AccountId": &*account, "FirstName": contact.first_name, "LastName": contact.last_name, "Email": contact.email,
                        "Title": contact.title, "External_Id__c": format!("{}-P{}", customer.external_id(), place + 1),
                    }),
                );
            }
            accounts.insert(customer.number, account);
        }
        accounts
    }

    fn products(&mut self, company: &Company) -> HashMap<&'static str, Arc<str>> {
        let mut products = HashMap::new();
        let book = self.add("Pricebook2", &json!({ "Name": "Standard Price Book", "IsActive": true }));
        for product in &company.products {
            let price = cents(product.cents);
            let fields = json!({ "Name": product.name, "ProductCode": product.sku, "StockKeepingUnit": product.sku, "IsActive": true,
                "External_Id__c": product.sku, "Family": if product.monthly { "Service" } else { "Hardware" } });
            if let (Some(id), Some(book)) = (self.add("Product2", &fields), &book) {
                self.add(
                    "PricebookEntry",
                    &json!({ "Pricebook2Id": &**book, "Product2Id": &*id, "UnitPrice": price, "IsActive": true }),
                );
                products.insert(product.sku, id);
            }
        }
        products
    }

    fn invoices(&mut self, company: &Company, accounts: &HashMap<u32, Arc<str>>, products: &HashMap<&'static str, Arc<str>>) {
        for invoice in &company.invoices {
            let added = self.add(
                "Invoice__c",
                &json!({
                    "Invoice_Number__c": invoice.reference(), "Account__c": accounts.get(&invoice.customer).map(|id| &**id),
                    "Amount__c": cents(invoice.cents()), "Currency__c": invoice.currency, "Issued__c": invoice.issued.to_string(),
                    "Due__c": invoice.due.to_string(), "Paid__c": invoice.paid.map(|day| day.to_string()),
                    "Status__c": if invoice.paid.is_some() { "Paid" } else { "Open" },
                }),
            );
            let Some(id) = added else { continue };
            for line in &invoice.lines {
                self.add(
                    "Invoice_Line__c",
                    &json!({ "Invoice__c": &*id, "Product__c": products.get(line.sku).map(|id| &**id),
                    "Quantity__c": line.quantity, "Amount__c": cents(line.cents) }),
                );
            }
        }
    }

    fn sales(&mut self, company: &Company, accounts: &HashMap<u32, Arc<str>>, random: &Random) {
        const STAGES: [&str; 6] =
            ["Prospecting", "Qualification", "Value Proposition", "Negotiation/Review", "Closed Won", "Closed Lost"];
        for customer in &company.customers {
            let Some(account) = accounts.get(&customer.number) else { continue };
            let close = company.today.checked_add(jiff::Span::new().days(i64::try_from(random.below(90)).unwrap_or_default()));
            self.add(
                "Opportunity",
                &json!({
                    "Name": format!("{} - renewal", customer.name), "AccountId": &**account, "StageName": *random.pick(&STAGES),
                    "Amount": cents(i64::try_from(100_000 + random.below(9_000_000)).unwrap_or_default()),
                    "CloseDate": close.unwrap_or(company.today).to_string(), "Type": "Existing Customer - Upgrade",
                    "External_Id__c": format!("OPP-{:04}", customer.number),
                }),
            );
            if customer.number % 3 == 0 {
                self.add("Case", &json!({ "AccountId": &**account, "Subject": "Calibration drifts", "Origin": "Email", "Status": "New", "Priority": "High" }));
            }
            if customer.number % 4 == 0 {
                let contact = customer.contacts.first();
                let (first, last) = contact.map_or(("Robin", "Marsh"), |contact| (contact.first_name, contact.last_name));
                self.add("Lead", &json!({ "FirstName": first, "LastName": last, "Company": format!("{} Labs", customer.name), "Email": customer.email, "LeadSource": "Web" }));
            }
        }
        self.add(
            "Campaign",
            &json!({ "Name": "Autumn trade show", "Type": "Trade Show", "Status": "In Progress", "IsActive": true }),
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "amounts of the books are far below 2^52 cents")]
fn cents(cents: i64) -> f64 {
    cents as f64 / 100.0
}
