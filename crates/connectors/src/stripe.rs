//! Stripe: payments, invoices, subscriptions and what belongs to them, over API version `2026-10-28.endive`.
//!
//! What people should know, and what was chosen where our sources were silent, stands in [`NOTES`].

mod actions;
mod client;
mod errors;
mod fields;
mod form;
mod hooks;
mod money;
mod objects;
mod pages;
mod settings;
mod special;
mod thin;
mod walk;

use connector::{Budget, ClassBudget, ClassBudgets, Connector, ErrorClass, Limits, TestCall};
use serde_json::json;

const NOTES: &[&str] = &[
    "Fields that are left out or null are never sent, so that nothing is cleared by mistake; `clear` names what is to be emptied.",
    "Secrets in answers, such as a payment's `client_secret`, are dropped.",
    "Amounts are in the smallest unit of their currency: 1050 is 10.50 EUR. Beside each of them stands the same as people write it, such as `amount_decimal`; `unit_amount_decimal`, and a plan's `amount_decimal`, are Stripe's own and in the smallest unit.",
    "Stripe forgets idempotency keys after 24 hours. A step whose answer was lost is therefore repeated for 23 hours only; after that, or when it would send something else, it waits for a person who looks in Stripe. A replay is a new run with keys of its own: it does everything again.",
    "Not documented in our sources: at most 20 names of events in one question, the words of some refusals, and the exact limit of calls.",
];

pub(crate) fn connector() -> Connector {
    // The vendor takes 25 reads and 25 writes a second in test mode, and 100 of each live; others use the account, too.
    // No second sees more of a class than its rate and its burst together.
    let budget = Budget { per_second: Some(30.0), burst: Some(20), per_day: None, in_flight: Some(8) };
    let class = ClassBudget { per_second: Some(15.0), burst: Some(10), in_flight: None };
    let by_class = ClassBudgets { reads: class, writes: class };
    let connector = Connector::new("stripe", "Stripe", "Payments, invoices and subscriptions.")
        .connections(settings::config(), settings::credentials(), settings::validate)
        .limits(Limits { budget, by_class, ..Limits::default() })
        .errors(errors::ERRORS)
        .notes(NOTES)
        .actions(actions::all())
        .actions(pages::all())
        .actions(special::all())
        .triggers(hooks::all());
    // A restricted key that may not read the account still works for what it may do.
    Connector { test: Some(TestCall { action: "get_account", input: json!({}), fine: &[ErrorClass::Denied] }), ..connector }
}
