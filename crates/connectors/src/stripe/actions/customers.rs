//! Customers, and the account itself.

use connector::Action;
use http::Method;

use super::{action, get, post, with};
use crate::stripe::fields::{Field, address, amount, choice, currency, id, metadata, record, text, texts, time};

fn customer_fields() -> Vec<Field> {
    vec![
        text("name", "Name", ""),
        text("email", "E-mail", ""),
        text("phone", "Phone", ""),
        text("description", "Description", ""),
        address(),
        record("shipping", "Shipping", "name, phone and address."),
        record("invoice_settings", "Invoice settings", "Such as default_payment_method."),
        choice("tax_exempt", "Tax", "", &["none", "exempt", "reverse"]),
        texts("preferred_locales", "Languages", "Such as \"en\"."),
        metadata(),
    ]
}

pub(super) fn customers() -> Vec<Action> {
    let customer = || id("customer", "Customer", "cus_…");
    vec![
        post(
            "create_customer",
            "Create customer",
            "Adds a customer.",
            "/v1/customers",
            "customer",
            with(customer_fields(), [text("payment_method", "Payment method", "Attached to the customer, such as pm_….")]),
        ),
        post(
            "update_customer",
            "Update customer",
            "Changes fields of a customer; others stay.",
            "/v1/customers/{customer}",
            "customer",
            with(customer_fields(), [customer()]),
        ),
        get(
            "get_customer",
            "Get customer",
            "Reads a customer; a deleted one has deleted: true.",
            "/v1/customers/{customer}",
            "customer",
            vec![customer()],
        ),
        action(
            "delete_customer",
            "Delete customer",
            "Deletes a customer and ends its subscriptions at once.",
            Method::DELETE,
            "/v1/customers/{customer}",
            "customer",
            vec![customer()],
        ),
        post(
            "adjust_customer_balance",
            "Adjust customer balance",
            "Gives a customer credit (negative) or adds to what is owed.",
            "/v1/customers/{customer}/balance_transactions",
            "customer_balance_transaction",
            with(
                amount("Negative is credit.").to_vec(),
                [customer(), currency().must(), text("description", "Description", ""), metadata()],
            ),
        ),
    ]
}

pub(super) fn ledger() -> Vec<Action> {
    vec![
        get("get_account", "Get account", "Reads the account of the key.", "/v1/account", "account", vec![]),
        get("get_balance", "Get balance", "Tells what is available and what is on its way.", "/v1/balance", "balance", vec![]),
        get(
            "get_balance_transaction",
            "Get balance transaction",
            "Reads a movement of the balance.",
            "/v1/balance_transactions/{balance_transaction}",
            "balance_transaction",
            vec![id("balance_transaction", "Balance transaction", "txn_…")],
        ),
        get(
            "get_payout",
            "Get payout",
            "Reads a payout.",
            "/v1/payouts/{payout}",
            "payout",
            vec![id("payout", "Payout", "po_…")],
        ),
        post(
            "create_payout",
            "Create payout",
            "Sends money to the bank.",
            "/v1/payouts",
            "payout",
            with(
                amount("").to_vec(),
                [
                    currency().must(),
                    text("description", "Text", ""),
                    choice("method", "Speed", "", &["standard", "instant"]),
                    text("statement_descriptor", "On the statement", ""),
                    metadata(),
                ],
            ),
        ),
        post(
            "update_payout",
            "Update payout",
            "Changes the metadata of a payout; nothing else of it can be changed.",
            "/v1/payouts/{payout}",
            "payout",
            vec![id("payout", "Payout", "po_…"), metadata()],
        ),
        post(
            "reverse_payout",
            "Reverse payout",
            "Takes a payout back from the bank account it went to; one that is still pending is cancelled instead.",
            "/v1/payouts/{payout}/reverse",
            "payout",
            vec![id("payout", "Payout", "po_…"), metadata()],
        ),
        post(
            "cancel_payout",
            "Cancel payout",
            "Stops a payout that is still pending.",
            "/v1/payouts/{payout}/cancel",
            "payout",
            vec![id("payout", "Payout", "po_…")],
        ),
        get(
            "get_event",
            "Get event",
            "Reads an event of the last 30 days.",
            "/v1/events/{event}",
            "event",
            vec![id("event", "Event", "evt_…")],
        ),
        post(
            "record_meter_event",
            "Record meter event",
            "Counts usage for a meter; the same identifier counts once a day.",
            "/v1/billing/meter_events",
            "billing.meter_event",
            vec![
                text("event_name", "Event name", "Of the meter.").must(),
                record("payload", "Payload", "stripe_customer_id and value.").must(),
                text("identifier", "Identifier", "Tells one usage from another."),
                time("timestamp", "When", ""),
            ],
        ),
    ]
}
