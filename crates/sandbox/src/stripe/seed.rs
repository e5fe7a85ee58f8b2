//! The company's books as Stripe holds them.

use jiff::civil::Date;
use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, set, text},
    error::Result,
};
use crate::{Company, Customer, Invoice};

/// Customers that also subscribe to something.
const SUBSCRIBERS: usize = 6;

/// Something that happened on a day.
enum Deed<'a> {
    Joined(&'a Customer),
    Billed(&'a Invoice),
    Paid(&'a Invoice),
}

/// Nine in the morning of a day.
fn morning(date: Date) -> i64 {
    date.to_zoned(jiff::tz::TimeZone::UTC).map(|at| at.timestamp().as_second() + 9 * 3600).unwrap_or_default()
}

fn row(value: Json) -> Row {
    value.as_object().cloned().unwrap_or_default()
}

/// Writes the company's products, customers, invoices and payments.
pub(super) fn fill(books: &mut Books, company: &Company, now: i64) {
    let mut deeds: Vec<(i64, usize, Deed<'_>)> = Vec::new();
    deeds.extend(company.customers.iter().map(|customer| (morning(customer.since), 0, Deed::Joined(customer))));
    for invoice in &company.invoices {
        deeds.push((morning(invoice.issued), 1, Deed::Billed(invoice)));
        deeds.extend(invoice.paid.map(|paid| (morning(paid) + 3600, 2, Deed::Paid(invoice))));
    }
    // An invoice can be older than its customer in the made-up books; the customer comes first all the same.
    let first = deeds.iter().map(|(at, ..)| *at).min().unwrap_or(now);
    deeds.sort_by_key(|(at, kind, _)| (if *kind == 0 { (*at).min(first + 1) } else { *at }, *kind, *at));
    books.now = first - 24 * 3600;
    let _ = products(books, company);
    for (at, _, deed) in deeds {
        books.now = at;
        // Made-up books hold together; what cannot be written is left out.
        let _ = match deed {
            Deed::Joined(customer) => joined(books, customer),
            Deed::Billed(invoice) => billed(books, company, invoice),
            Deed::Paid(invoice) => paid(books, invoice),
        };
    }
    // All that is made up is older than the start, also by whole seconds: whoever asks for what is new gets none of it.
    books.now = now - 60;
    let _ = subscribers(books, company);
    books.now = now;
    books.told.clear();
}

fn products(books: &mut Books, company: &Company) -> Result<()> {
    for product in &company.products {
        let mut made = row(json!({
            "id": format!("prod_{}", product.sku), "name": product.name, "metadata": {"sku": product.sku},
            "default_price_data": {"currency": "usd", "unit_amount": product.cents},
        }));
        if product.monthly
            && let Some(price) = made.get_mut("default_price_data").and_then(Json::as_object_mut)
        {
            price.insert("recurring".into(), json!({"interval": "month"}));
        }
        let made = books.catalog("Product.create", "", &made).unwrap_or(Ok(Json::Null))?;
        let price = made.get("default_price").and_then(Json::as_str).unwrap_or_default().to_owned();
        if let Some(price) = books.row_mut("Price", &price) {
            price.insert("lookup_key".into(), json!(product.sku));
        }
    }
    Ok(())
}

fn joined(books: &mut Books, customer: &Customer) -> Result<()> {
    let address = json!({
        "line1": customer.address.street, "line2": null, "city": customer.address.city, "postal_code": customer.address.postal_code,
        "state": customer.address.state, "country": customer.address.country,
    });
    let params = row(json!({
        "name": customer.name, "email": customer.email, "phone": customer.phone, "address": address,
        "metadata": {"external_id": customer.external_id(), "industry": customer.industry}, "payment_method": "pm_card_visa",
    }));
    let made = books.customers("Customer.create", &[], "", &params).unwrap_or(Ok(Json::Null))?;
    let id = made.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
    let method = books.newest("PaymentMethod").find(|row| text(row, "customer") == id).map(|row| text(row, "id").to_owned());
    if let Some(row) = books.row_mut("Customer", &id) {
        set(
            row,
            [
                ("currency", json!(customer.currency.to_lowercase())),
                ("invoice_prefix", json!(format!("C{:04}", customer.number))),
            ],
        );
        if let Some(settings) = row.get_mut("invoice_settings").and_then(Json::as_object_mut) {
            settings.insert("default_payment_method".into(), json!(method));
        }
    }
    Ok(())
}

/// The customer of that external id.
pub(super) fn customer_of(books: &Books, external: &str) -> Option<String> {
    let found = books
        .all("Customer")
        .find(|row| row.get("metadata").and_then(|metadata| metadata.get("external_id")) == Some(&json!(external)));
    found.map(|row| text(row, "id").to_owned())
}

fn billed(books: &mut Books, company: &Company, invoice: &Invoice) -> Result<()> {
    let Some(customer) = customer_of(books, &format!("C-{:04}", invoice.customer)) else { return Ok(()) };
    let currency = invoice.currency.to_lowercase();
    let number = format!("INV-{}", invoice.number);
    let params = row(json!({
        "customer": customer, "currency": currency, "collection_method": "send_invoice", "due_date": morning(invoice.due), "auto_advance": false,
        "metadata": {"external_id": number},
    }));
    let made = books.invoices("Invoice.create", &[], "", &params).unwrap_or(Ok(Json::Null))?;
    let id = made.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
    for line in &invoice.lines {
        let name = company.products.iter().find(|product| product.sku == line.sku).map_or(line.sku, |product| product.name);
        let quantity = line.quantity.max(1);
        let item = row(json!({
            "customer": customer, "invoice": id, "quantity": quantity, "description": name, "metadata": {"sku": line.sku},
            "price_data": {"currency": currency, "product": format!("prod_{}", line.sku), "unit_amount": line.cents / quantity},
        }));
        books.create_item(&item)?;
    }
    books.finalize(&id)?;
    if let Some(row) = books.row_mut("Invoice", &id) {
        row.insert("number".into(), json!(number));
    }
    Ok(())
}

fn paid(books: &mut Books, invoice: &Invoice) -> Result<()> {
    let number = format!("INV-{}", invoice.number);
    let id = books.all("Invoice").find(|row| text(row, "number") == number).map(|row| text(row, "id").to_owned());
    match id {
        Some(id) => books.pay_by_hand(&id, &Row::new()).map(drop),
        None => Ok(()),
    }
}

fn subscribers(books: &mut Books, company: &Company) -> Result<()> {
    let monthly: Vec<&str> = company.products.iter().filter(|product| product.monthly).map(|product| product.sku).collect();
    let dollars = company.customers.iter().filter(|customer| customer.currency == "USD").take(SUBSCRIBERS);
    for (place, customer) in dollars.enumerate() {
        let (Some(sku), Some(id)) = (monthly.get(place % monthly.len().max(1)), customer_of(books, &customer.external_id()))
        else {
            continue;
        };
        let price = books.all("Price").find(|row| text(row, "lookup_key") == *sku).map(|row| text(row, "id").to_owned());
        let params = row(
            json!({"customer": id, "items": [{"price": price, "quantity": 1 + place}], "metadata": {"external_id": customer.external_id()}}),
        );
        books.subscriptions("Subscription.create", "", "", &params).unwrap_or(Ok(Json::Null))?;
    }
    Ok(())
}
