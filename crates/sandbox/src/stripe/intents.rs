//! Payment intents.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Due, Row, flag, number, set, some, text},
    cards::{Outcome, outcome},
    charges::Payment,
    error::{Refused, Result},
    generic::merge,
    money,
};

/// How long an authorization is held.
const HELD_S: i64 = 7 * 24 * 3600;

impl Books {
    pub(super) fn intents(&mut self, name: &str, id: &str, params: &Row) -> Option<Result> {
        Some(match name {
            "PaymentIntent.create" => self.create_intent(params),
            "PaymentIntent.update" => self.update_intent(id, params),
            "PaymentIntent.confirm" => self.confirm_intent(id, params),
            "PaymentIntent.capture" => self.capture_intent(id, params),
            "PaymentIntent.cancel" => self.cancel_intent(id, params),
            _ => return None,
        })
    }

    fn create_intent(&mut self, params: &Row) -> Result {
        let amount = params.get("amount").and_then(Json::as_i64).ok_or_else(|| Refused::needed("amount"))?;
        let currency = money::currency(params)?;
        money::chargeable(amount, &currency, "amount")?;
        if flag(params, "off_session") && !flag(params, "confirm") {
            let message = "The parameter `off_session` can only be passed when `confirm=true`.";
            return Err(Refused::invalid(message).param("off_session"));
        }
        let mut params = params.clone();
        params.insert("currency".into(), json!(currency));
        if let Some(customer) = some(&params, "customer").map(str::to_owned) {
            self.need("Customer", &customer, "customer")?;
            self.take_clock_of(&customer);
        }
        if let Some(method) = some(&params, "payment_method").map(str::to_owned) {
            let method = self.usable(&method, some(&params, "customer"))?;
            params.insert("payment_method".into(), json!(method));
        }
        let mut row = self.made("PaymentIntent", &params);
        let id = text(&row, "id").to_owned();
        let state = if params.contains_key("payment_method") { "requires_confirmation" } else { "requires_payment_method" };
        set(
            &mut row,
            [
                ("status", json!(state)),
                ("client_secret", json!(format!("{id}_secret_{}", self.text(25)))),
                ("payment_method_types", json!(["card"])),
                ("amount_details", json!({"tip": {}})),
                (
                    "payment_method_options",
                    json!({"card": {"installments": null, "mandate_options": null, "network": null, "request_three_d_secure": "automatic"}}),
                ),
            ],
        );
        if !params.contains_key("capture_method") {
            row.insert("capture_method".into(), json!("automatic_async"));
        }
        let made = self.keep("PaymentIntent", row)?;
        if flag(&params, "confirm") { self.confirm_intent(&id, &params) } else { Ok(made) }
    }

    /// A payment method that this customer may pay with.
    fn usable(&mut self, method: &str, customer: Option<&str>) -> Result<String> {
        let method = self.method(method, "payment_method")?;
        let owner = self.get("PaymentMethod", &method).and_then(|row| some(row, "customer"));
        match (owner, customer) {
            (Some(owner), Some(customer)) if owner != customer => {
                let message = "The provided PaymentMethod cannot be attached. To reuse a PaymentMethod, you must attach it to a Customer first.";
                Err(Refused::invalid(message).param("payment_method"))
            }
            (Some(owner), None) => {
                let message = format!(
                    "The provided PaymentMethod belongs to the Customer {owner}. Please include the Customer in the `customer` parameter on the PaymentIntent."
                );
                Err(Refused::invalid(message).param("payment_method"))
            }
            _ => Ok(method),
        }
    }

    fn update_intent(&mut self, id: &str, params: &Row) -> Result {
        let row = self.need("PaymentIntent", id, "intent")?.clone();
        if matches!(text(&row, "status"), "succeeded" | "canceled")
            && params.keys().any(|name| !matches!(name.as_str(), "metadata" | "description" | "receipt_email"))
        {
            return Err(self.unexpected(&row, "update"));
        }
        let mut params = params.clone();
        if let Some(amount) = params.get("amount").and_then(Json::as_i64) {
            money::chargeable(amount, text(&row, "currency"), "amount")?;
        }
        if let Some(method) = some(&params, "payment_method").map(str::to_owned) {
            let customer = some(&params, "customer").or_else(|| some(&row, "customer"));
            let method = self.usable(&method, customer)?;
            params.insert("payment_method".into(), json!(method));
        }
        // There is no event for a change of an intent.
        self.change("PaymentIntent", id, "payment_intent.updated", |row| {
            merge("PaymentIntent", row, &params);
            if text(row, "status") == "requires_payment_method" && row.get("payment_method").is_some_and(Json::is_string) {
                row.insert("status".into(), json!("requires_confirmation"));
            }
        })
    }

    fn unexpected(&self, row: &Row, step: &str) -> Refused {
        let state = text(row, "status");
        let message = format!(
            "This PaymentIntent's status is {state}; you cannot {step} it. You may only {step} a PaymentIntent in another state."
        );
        Refused::invalid(message).code("payment_intent_unexpected_state").with("payment_intent", Json::Object(row.clone()))
    }

    pub(super) fn confirm_intent(&mut self, id: &str, params: &Row) -> Result {
        let mut row = self.need("PaymentIntent", id, "intent")?.clone();
        if !matches!(text(&row, "status"), "requires_payment_method" | "requires_confirmation" | "requires_action") {
            return Err(self.unexpected(&row, "confirm"));
        }
        if let Some(method) = some(params, "payment_method").map(str::to_owned) {
            let method = self.usable(&method, some(&row, "customer"))?;
            row.insert("payment_method".into(), json!(method));
        }
        let Some(method) = some(&row, "payment_method").map(str::to_owned) else {
            let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the \
                           PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a \
                           payment method or ConfirmationToken.";
            return Err(Refused::invalid(message)
                .code("payment_intent_unexpected_state")
                .with("payment_intent", Json::Object(row)));
        };
        if let Some(kept) = self.row_mut("PaymentIntent", id) {
            kept.insert("payment_method".into(), json!(method));
            for name in ["receipt_email", "shipping", "setup_future_usage"] {
                if let Some(value) = params.get(name) {
                    merge("PaymentIntent", kept, &Row::from_iter([(name.to_owned(), value.clone())]));
                }
            }
        }
        let off_session = flag(params, "off_session");
        match outcome(&self.last4(&method)) {
            Outcome::Authenticate if off_session || flag(params, "error_on_requires_action") => {
                let words = "Your card was declined. This transaction requires authentication.";
                self.decline(id, &method, "authentication_required", Some("authentication_required"), words)
            }
            Outcome::Authenticate => self.ask(id, some(params, "return_url")),
            Outcome::Declined(code, decline, words) => self.decline(id, &method, code, decline, words),
            how => self.pay(id, &method, how),
        }
    }

    /// Waits for the customer to say who they are.
    fn ask(&mut self, id: &str, back: Option<&str>) -> Result {
        let action = match back {
            Some(back) => json!({"type": "redirect_to_url", "redirect_to_url": {
                "return_url": back, "url": format!("https://hooks.stripe.com/3d_secure_2/hosted?payment_intent={id}"),
            }}),
            None => json!({"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "source": "sandbox"}}),
        };
        self.change("PaymentIntent", id, "payment_intent.requires_action", |row| {
            set(row, [("status", json!("requires_action")), ("next_action", action)]);
        })
    }

    fn decline(&mut self, id: &str, method: &str, code: &str, decline: Option<&str>, words: &str) -> Result {
        let row = self.need("PaymentIntent", id, "intent")?.clone();
        let charge = self.failed_charge(&row, method, code, decline, words)?;
        let method_row = self.get("PaymentMethod", method).cloned().unwrap_or_default();
        let refused =
            Refused::card(code, decline, words).with("charge", json!(charge)).with("payment_method", Json::Object(method_row));
        let error = refused.body("").get("error").cloned().unwrap_or_default();
        let intent = self.change("PaymentIntent", id, "payment_intent.payment_failed", |row| {
            set(
                row,
                [
                    ("status", json!("requires_payment_method")),
                    ("payment_method", Json::Null),
                    ("next_action", Json::Null),
                    ("latest_charge", json!(charge)),
                    ("last_payment_error", cleaned(error)),
                ],
            );
        })?;
        Err(refused.with("payment_intent", intent))
    }

    /// Charges the method, or holds the money for a capture.
    pub(super) fn pay(&mut self, id: &str, method: &str, how: Outcome) -> Result {
        let row = self.need("PaymentIntent", id, "intent")?.clone();
        let manual = text(&row, "capture_method") == "manual";
        let later = text(&row, "capture_method") == "automatic_async";
        let amount = number(&row, "amount");
        let charge = self.new_charge(&Payment::of_intent(&row, method), !manual)?;
        if flag(&row, "setup_future_usage") || some(&row, "setup_future_usage").is_some() {
            self.keep_for(method, some(&row, "customer"));
        }
        if manual {
            self.announce_charge(&charge, true)?;
            self.later(None, self.now + HELD_S, Due::Release(id.to_owned()));
            return self.change("PaymentIntent", id, "payment_intent.amount_capturable_updated", |row| {
                set(
                    row,
                    [
                        ("status", json!("requires_capture")),
                        ("amount_capturable", json!(amount)),
                        ("latest_charge", json!(charge)),
                        ("next_action", Json::Null),
                        ("last_payment_error", Json::Null),
                    ],
                );
            });
        }
        if !later {
            self.book_charge(&charge)?;
        }
        self.announce_charge(&charge, true)?;
        let paid = self.change("PaymentIntent", id, "payment_intent.succeeded", |row| {
            set(
                row,
                [
                    ("status", json!("succeeded")),
                    ("amount_received", json!(amount)),
                    ("latest_charge", json!(charge)),
                    ("next_action", Json::Null),
                    ("last_payment_error", Json::Null),
                ],
            );
        })?;
        if later {
            self.book_charge(&charge)?;
            self.announce_charge(&charge, false)?;
        }
        self.after_charge(&charge, how)?;
        Ok(paid)
    }

    fn keep_for(&mut self, method: &str, customer: Option<&str>) {
        if let (Some(customer), Some(row)) = (customer, self.row_mut("PaymentMethod", method)) {
            row.insert("customer".into(), json!(customer));
        }
    }

    fn capture_intent(&mut self, id: &str, params: &Row) -> Result {
        let row = self.need("PaymentIntent", id, "intent")?.clone();
        if text(&row, "status") != "requires_capture" {
            let message = format!(
                "This PaymentIntent could not be captured because it has a status of {}. Only a PaymentIntent with one of the \
                 following statuses may be captured: requires_capture.",
                text(&row, "status")
            );
            let refused = Refused::invalid(message).code("payment_intent_unexpected_state");
            return Err(refused.with("payment_intent", Json::Object(row)));
        }
        let most = number(&row, "amount_capturable");
        let amount = params.get("amount_to_capture").and_then(Json::as_i64).unwrap_or(most);
        if amount < 1 || amount > most {
            let message = format!("The amount to capture must be between 1 and the capturable amount of {most}.");
            return Err(Refused::invalid(message).code("amount_too_large").param("amount_to_capture"));
        }
        self.forget(|due| *due == Due::Release(id.to_owned()));
        let charge = text(&row, "latest_charge").to_owned();
        self.take(&charge, amount)?;
        self.change("PaymentIntent", id, "payment_intent.succeeded", |row| {
            set(row, [("status", json!("succeeded")), ("amount_received", json!(amount)), ("amount_capturable", json!(0))]);
        })
    }

    fn cancel_intent(&mut self, id: &str, params: &Row) -> Result {
        let row = self.need("PaymentIntent", id, "intent")?.clone();
        if matches!(text(&row, "status"), "succeeded" | "canceled" | "processing") {
            let message = format!(
                "You cannot cancel this PaymentIntent because it has a status of {}. Only a PaymentIntent with one of the \
                 following statuses may be canceled: requires_payment_method, requires_capture, requires_confirmation, \
                 requires_action, processing.",
                text(&row, "status")
            );
            let refused = Refused::invalid(message).code("payment_intent_unexpected_state");
            return Err(refused.with("payment_intent", Json::Object(row)));
        }
        self.end_intent(id, params.get("cancellation_reason").cloned().unwrap_or(Json::Null))
    }

    /// Ends an intent that was not paid, and gives held money back.
    pub(super) fn end_intent(&mut self, id: &str, reason: Json) -> Result {
        self.forget(|due| *due == Due::Release(id.to_owned()));
        let now = self.now;
        let charge = self.get("PaymentIntent", id).and_then(|row| some(row, "latest_charge")).map(str::to_owned);
        let held = self.get("PaymentIntent", id).is_some_and(|row| text(row, "status") == "requires_capture");
        if let (Some(charge), true) = (charge, held) {
            let amount = self.get("Charge", &charge).map(|row| number(row, "amount")).unwrap_or_default();
            self.change("Charge", &charge, "charge.expired", |row| {
                set(row, [("refunded", json!(true)), ("amount_refunded", json!(amount))]);
            })?;
        }
        self.change("PaymentIntent", id, "payment_intent.canceled", |row| {
            set(
                row,
                [
                    ("status", json!("canceled")),
                    ("canceled_at", json!(now)),
                    ("cancellation_reason", reason),
                    ("amount_capturable", json!(0)),
                    ("next_action", Json::Null),
                ],
            );
        })
    }
}

/// An error as an object keeps it.
fn cleaned(mut error: Json) -> Json {
    if let Some(error) = error.as_object_mut() {
        error.shift_remove("request_log_url");
    }
    error
}
