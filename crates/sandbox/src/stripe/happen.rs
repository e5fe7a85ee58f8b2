//! What can be made to happen, as if a customer, a bank or a colleague had done it.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, flag, number, some, text},
    cards::Outcome,
    error::{Refused, Result},
    seed::customer_of,
};

type Happening = (&'static str, &'static str, Json);

/// The names, what they do, and an example.
pub(super) fn all() -> Vec<Happening> {
    vec![
        (
            "pay_invoice",
            "The customer pays an open invoice, named by its number or id; with `card` another test card",
            json!({"invoice": "INV-1001", "card": "pm_card_visa"}),
        ),
        ("overdue_invoice", "An open invoice becomes overdue", json!({"invoice": "INV-1001"})),
        ("new_customer", "A colleague adds a customer", json!({"name": "Acme Instruments", "email": "billing@acme.example"})),
        (
            "change_customer",
            "A colleague changes a customer, named by external id or id",
            json!({"customer": "C-0001", "change": {"phone": "+1555010"}}),
        ),
        ("delete_customer", "A colleague deletes a customer", json!({"customer": "C-0001"})),
        (
            "pay",
            "A customer pays a sum by card",
            json!({"customer": "C-0001", "amount": 5_000, "currency": "usd", "card": "pm_card_visa"}),
        ),
        (
            "open_dispute",
            "A cardholder disputes a charge; without `charge` the newest of the customer",
            json!({"customer": "C-0001", "reason": "fraudulent", "inquiry": false}),
        ),
        ("close_dispute", "The bank decides a dispute; without `dispute` the newest open one", json!({"won": true})),
        (
            "refund",
            "A colleague refunds a charge; without `charge` the newest of the customer",
            json!({"customer": "C-0001", "amount": 100}),
        ),
        (
            "finish_refund",
            "A pending refund goes through, or fails when `failure` says why",
            json!({"refund": "re_1", "failure": "expired_or_canceled_card"}),
        ),
        ("authenticate", "A customer says who they are, or fails to", json!({"payment_intent": "pi_1", "success": true})),
        (
            "complete_checkout",
            "A customer pays an open checkout session; without `session` the newest",
            json!({"card": "pm_card_visa"}),
        ),
        ("payout", "All that is available goes to the bank", json!({"currency": "usd"})),
        ("arrive_payout", "A payout is at the bank; without `payout` the newest that is on its way", json!({})),
        ("fail_payout", "The bank sends a payout back; without `payout` the newest", json!({"code": "account_closed"})),
        ("cancel_subscription", "A colleague ends a subscription of a customer at once", json!({"customer": "C-0001"})),
        ("renew_subscription", "A customer's subscription comes to the end of its period now", json!({"customer": "C-0001"})),
        (
            "upcoming_invoice",
            "A subscription is told of a few days before it renews; the invoice has no id",
            json!({"customer": "C-0001"}),
        ),
    ]
}

fn missing(what: &str) -> Refused {
    Refused::invalid(format!("there is no such {what}"))
}

fn invoice(books: &Books, with: &Row) -> Result<String> {
    let named = text(with, "invoice");
    let found = books.all("Invoice").find(|row| text(row, "id") == named || text(row, "number") == named);
    found.map(|row| text(row, "id").to_owned()).ok_or_else(|| missing("invoice"))
}

fn customer(books: &Books, with: &Row) -> Result<String> {
    let named = text(with, "customer");
    let own = books.get("Customer", named).map(|_| named.to_owned());
    own.or_else(|| customer_of(books, named)).ok_or_else(|| missing("customer"))
}

/// The named object, or the newest that fits.
fn one(books: &Books, kind: &'static str, with: &Row, name: &str, fits: impl Fn(&Row) -> bool) -> Result<String> {
    if let Some(id) = some(with, name) {
        return books.get(kind, id).map(|_| id.to_owned()).ok_or_else(|| missing(name));
    }
    books.newest(kind).find(|row| fits(row)).map(|row| text(row, "id").to_owned()).ok_or_else(|| missing(name))
}

fn charge(books: &Books, with: &Row) -> Result<String> {
    let of = if with.contains_key("customer") { Some(customer(books, with)?) } else { None };
    one(books, "Charge", with, "charge", |row| {
        text(row, "status") == "succeeded"
            && !flag(row, "disputed")
            && !flag(row, "refunded")
            && of.as_deref().is_none_or(|of| text(row, "customer") == of)
    })
}

fn subscription(books: &Books, with: &Row) -> Result<String> {
    let of = customer(books, with)?;
    one(books, "Subscription", with, "subscription", |row| {
        text(row, "customer") == of && matches!(text(row, "status"), "active" | "past_due" | "trialing")
    })
}

/// Makes it happen.
pub(super) fn done(books: &mut Books, name: &str, with: &Json) -> Result {
    let with = with.as_object().cloned().unwrap_or_default();
    let card = some(&with, "card").unwrap_or("pm_card_visa").to_owned();
    match name {
        "pay_invoice" => {
            let id = invoice(books, &with)?;
            let method = with.contains_key("card").then(|| json!(card));
            books.pay_by_hand(&id, &Row::from_iter(method.map(|method| ("payment_method".to_owned(), method))))
        }
        "overdue_invoice" => {
            let id = invoice(books, &with)?;
            let row = books.retrieve("Invoice", &id, "invoice")?;
            books.tell("invoice.overdue", &row, None);
            Ok(row)
        }
        "new_customer" => books.customers("Customer.create", &[], "", &with).unwrap_or(Ok(Json::Null)),
        "change_customer" => {
            let id = customer(books, &with)?;
            let change = with.get("change").and_then(Json::as_object).cloned().unwrap_or_default();
            books.update("Customer", &id, &change)
        }
        "delete_customer" => {
            let id = customer(books, &with)?;
            books.customers("Customer.delete", &[id], "", &Row::new()).unwrap_or(Ok(Json::Null))
        }
        "pay" => {
            let customer = customer(books, &with)?;
            let amount = number(&with, "amount");
            let currency = some(&with, "currency").unwrap_or("usd");
            books.run_intent(
                json!({"amount": amount, "currency": currency, "customer": customer, "payment_method": card, "confirm": true}),
            )
        }
        "open_dispute" => {
            let id = charge(books, &with)?;
            let reason = some(&with, "reason").unwrap_or("fraudulent").to_owned();
            books.open_dispute(&id, &reason, flag(&with, "inquiry"), with.get("amount").and_then(Json::as_i64))
        }
        "close_dispute" => {
            let open = |row: &Row| !matches!(text(row, "status"), "won" | "lost" | "warning_closed");
            let id = one(books, "Dispute", &with, "dispute", open)?;
            books.close_dispute(&id, with.get("won").and_then(Json::as_bool).unwrap_or_default())
        }
        "refund" => {
            let id = charge(books, &with)?;
            let mut params = Row::from_iter([("charge".to_owned(), json!(id))]);
            params.extend(with.get("amount").map(|amount| ("amount".to_owned(), amount.clone())));
            books.create_refund(&params)
        }
        "finish_refund" => {
            let id = one(books, "Refund", &with, "refund", |row| text(row, "status") == "pending")?;
            books.finish_refund(&id, some(&with, "failure"))
        }
        "authenticate" => authenticate(books, &with),
        "complete_checkout" => {
            let id = one(books, "checkout.Session", &with, "session", |row| text(row, "status") == "open")?;
            books.complete_session(&id, &card)
        }
        "payout" => payout(books, &with),
        "arrive_payout" => {
            let id = one(books, "Payout", &with, "payout", |row| text(row, "status") == "pending")?;
            books.forget(|due| *due == super::books::Due::Arrive(id.clone()));
            books.arrive(&id);
            books.retrieve("Payout", &id, "payout")
        }
        "fail_payout" => {
            let id = one(books, "Payout", &with, "payout", |row| text(row, "status") != "failed")?;
            books.fail_payout(&id, some(&with, "code").unwrap_or("account_closed"))
        }
        "cancel_subscription" => {
            let id = subscription(books, &with)?;
            books.end_subscription(&id, "cancellation_requested")
        }
        "renew_subscription" => {
            let id = subscription(books, &with)?;
            books.forget(|due| *due == super::books::Due::Renew(id.clone()));
            books.renew(&id);
            books.retrieve("Subscription", &id, "subscription")
        }
        "upcoming_invoice" => {
            let id = subscription(books, &with)?;
            let preview = books.preview(&Row::from_iter([("subscription".to_owned(), json!(id))]))?;
            books.tell("invoice.upcoming", &preview, None);
            Ok(preview)
        }
        _ => Err(Refused::invalid(format!("Stripe has no happening \"{name}\""))),
    }
}

fn authenticate(books: &mut Books, with: &Row) -> Result {
    let id = one(books, "PaymentIntent", with, "payment_intent", |row| text(row, "status") == "requires_action")?;
    let row = books.need("PaymentIntent", &id, "payment_intent")?.clone();
    let method = text(&row, "payment_method").to_owned();
    if with.get("success").and_then(Json::as_bool).unwrap_or(true) {
        return books.pay(&id, &method, Outcome::Paid);
    }
    books.change("PaymentIntent", &id, "payment_intent.payment_failed", |row| {
        super::books::set(
            row,
            [
                ("status", json!("requires_payment_method")),
                ("next_action", Json::Null),
                ("last_payment_error", json!({
                    "type": "invalid_request_error", "code": "payment_intent_authentication_failure",
                    "message": "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
                })),
            ],
        );
    })
}

fn payout(books: &mut Books, with: &Row) -> Result {
    let currency = some(with, "currency").unwrap_or("usd").to_lowercase();
    let there = books.money.get(&currency).map_or(0, |sums| sums.0);
    if there < 1 {
        return Err(Refused::invalid(format!("nothing is available in {currency}")));
    }
    let params = Row::from_iter([("amount".to_owned(), json!(there)), ("currency".to_owned(), json!(currency))]);
    books.create_payout(&params, true)
}
