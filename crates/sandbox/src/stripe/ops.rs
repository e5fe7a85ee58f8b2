//! Which operation is done where.

use serde_json::{Value as Json, json};

use super::{
    api::{API, Gives, Operation},
    books::{Books, Row, word},
    error::{Refused, Result},
    expand::Of,
};

/// Does an operation, and expands its answer.
pub(super) fn run(books: &mut Books, operation: &Operation, ids: &[String], url: &str, mut params: Row) -> Result {
    let expand = params.remove("expand").and_then(|expand| expand.as_array().cloned()).unwrap_or_default();
    let counts = expand.contains(&json!("total_count"));
    if let (Gives::Found(_), true) = (operation.gives, counts) {
        params.insert("expand".into(), json!(["total_count"]));
    }
    let mut answer =
        special(books, operation.name, ids, url, &params).unwrap_or_else(|| general(books, operation, ids, url, &params))?;
    match operation.gives {
        Gives::One(kind) => books.expand(kind, Of::One, &mut answer, &expand)?,
        Gives::List(kind) | Gives::Found(kind) => books.expand(kind, Of::List, &mut answer, &expand)?,
        Gives::Other => {}
    }
    Ok(answer)
}

/// What is more than keeping an object.
fn special(books: &mut Books, name: &str, ids: &[String], url: &str, params: &Row) -> Option<Result> {
    let id = ids.first().map(String::as_str).unwrap_or_default();
    let (resource, _) = name.rsplit_once('.').unwrap_or((name, ""));
    match resource {
        "Customer" | "CustomerPaymentMethod" | "CustomerBalanceTransaction" => books.customers(name, ids, url, params),
        "Product" | "Price" | "Plan" | "Coupon" | "PromotionCode" | "TaxRate" => books.catalog(name, id, params),
        "PaymentMethod" | "SetupIntent" | "Token" => books.cards(name, id, params),
        "PaymentIntent" => books.intents(name, id, params),
        "Charge" => books.charges(name, id, params),
        "Refund" | "test_helpers.Refund" => books.refunds(name, id, params),
        "Dispute" => books.disputes(name, id, params),
        "Balance" | "Payout" | "Transfer" | "Topup" => books.ledger(name, id, params),
        "Invoice" | "InvoiceItem" | "InvoiceLineItem" => books.invoices(name, ids, url, params),
        "CreditNote" | "CreditNoteLineItem" | "CreditNotePreviewLines" => books.credit_notes(name, id, url, params),
        "Subscription" | "SubscriptionItem" => books.subscriptions(name, id, url, params),
        "test_helpers.TestClock" => books.clocks(name, id, params),
        "checkout.Session" | "checkout.SessionLineItem" | "PaymentLink" | "PaymentLinkLineItem" => {
            books.checkout(name, id, url, params)
        }
        "WebhookEndpoint" => books.webhook_endpoints(name, id, params),
        "Account" => books.accounts(name, id),
        "billing.MeterEvent" => Some(books.meter_event(params)),
        _ => None,
    }
}

fn general(books: &mut Books, operation: &Operation, ids: &[String], url: &str, params: &Row) -> Result {
    let ends_with_id = operation.path.ends_with('}');
    let last = ids.last().map(String::as_str).unwrap_or_default();
    match (operation.verb, operation.gives) {
        ("GET", Gives::List(kind)) => {
            let fixed = parents(books, operation, ids, kind)?;
            let fixed: Vec<(&str, &str)> = fixed.iter().map(|(name, id)| (name.as_str(), id.as_str())).collect();
            books.list(kind, url, params, &fixed)
        }
        ("GET", Gives::Found(kind)) => books.search(kind, url, params),
        ("GET", Gives::One(kind)) if ends_with_id => books.retrieve(kind, last, param(operation)),
        ("GET", Gives::One(kind)) => single(books, kind, None),
        ("POST", Gives::One(kind)) if ends_with_id => books.update(kind, last, params),
        ("POST", Gives::One(kind)) if ids.is_empty() && singleton(kind) => single(books, kind, Some(params)),
        ("POST", Gives::One(kind)) => {
            let path = url.to_owned();
            let collection = API.find("GET", &path).is_some_and(|(list, _)| matches!(list.gives, Gives::List(_)));
            if collection || ids.is_empty() {
                let mut all = params.clone();
                all.extend(parents(books, operation, ids, kind)?.into_iter().map(|(name, id)| (name, json!(id))));
                books.create(kind, &all)
            } else {
                act(books, kind, operation, last, params)
            }
        }
        ("DELETE", Gives::One(kind)) if ends_with_id => books.delete(kind, last),
        _ => Err(unsupported(operation)),
    }
}

/// Which parameter an id in the path is.
fn param(operation: &Operation) -> &'static str {
    if operation.path.ends_with("{intent}") { "intent" } else { "id" }
}

fn unsupported(operation: &Operation) -> Refused {
    let message = format!("The sandbox does not simulate {} {}.", operation.verb, operation.path);
    Refused::new(501, "api_error", message)
}

fn singleton(kind: &str) -> bool {
    API.kind(kind).is_some_and(|kind| !kind.blank.contains_key("id"))
}

/// Objects of which there is one.
fn single(books: &mut Books, kind: &'static str, change: Option<&Row>) -> Result {
    if books.all(kind).next().is_none() {
        let row = books.blank(kind);
        books.insert(kind, row)?;
    }
    let id = books.all(kind).next().map(|row| super::books::text(row, "id").to_owned()).unwrap_or_default();
    if let Some(change) = change {
        books.update(kind, &id, change)?;
    }
    let mut row = books.get(kind, &id).cloned().unwrap_or_default();
    if singleton(kind) {
        row.shift_remove("id");
    }
    Ok(Json::Object(row))
}

/// The objects a path goes through, as properties of the one at its end.
fn parents(books: &Books, operation: &Operation, ids: &[String], kind: &str) -> Result<Vec<(String, String)>> {
    let names = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parents = Vec::new();
    for (name, id) in names.zip(ids) {
        let parent = match name {
            "customer" => Some("Customer"),
            "product" => Some("Product"),
            "charge" => Some("Charge"),
            "id" if operation.path.starts_with("/v1/transfers/") => Some("Transfer"),
            "id" if operation.path.starts_with("/v1/billing/meters/") => Some("billing.Meter"),
            _ => None,
        };
        if let Some(parent) = parent {
            books.need(parent, id, "id")?;
        }
        if API.properties(kind).is_some_and(|known| known.contains_key(name)) && name != "id" {
            parents.push((name.to_owned(), id.clone()));
        }
    }
    Ok(parents)
}

/// A step of an object that the sandbox keeps but does not play: it is taken, and its state changed as the step says.
fn act(books: &mut Books, kind: &'static str, operation: &Operation, last: &str, params: &Row) -> Result {
    let id = if books.get(kind, last).is_some() { last } else { "" };
    if id.is_empty() {
        return Err(Refused::missing(word(kind), last, "id"));
    }
    let step = operation.path.rsplit('/').next().unwrap_or_default();
    let state = match step {
        "cancel" => Some("canceled"),
        "expire" => Some("expired"),
        "archive" => Some("archived"),
        "activate" | "reactivate" | "unarchive" => Some("active"),
        "deactivate" => Some("inactive"),
        "finalize" => Some("open"),
        "accept" => Some("accepted"),
        "close" => Some("closed"),
        "release" => Some("released"),
        _ => None,
    };
    let event = super::events::name(word(kind), if state.is_some() { state.unwrap_or_default() } else { "updated" });
    books.change(kind, id, &event, |row| {
        super::generic::merge(kind, row, params);
        if let (Some(state), true) = (state, row.contains_key("status")) {
            row.insert("status".into(), json!(state));
        }
        if let (Some(state), true) = (state, row.contains_key("active")) {
            row.insert("active".into(), json!(state == "active"));
        }
    })
}
