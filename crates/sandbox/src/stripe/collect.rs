//! Invoices on their way to be paid: finalized, sent, collected, voided.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Due, Row, flag, number, set, some, text},
    error::{Refused, Result},
    invoices::subscription_of,
    settings::AfterDunning,
};

const DAY_S: i64 = 24 * 3600;

impl Books {
    fn invoice_in(&self, id: &str, states: &[&str], words: &str) -> Result<Row> {
        let row = self.need("Invoice", id, "id")?;
        if states.contains(&text(row, "status")) {
            return Ok(row.clone());
        }
        Err(Refused::invalid(words).code("invoice_not_editable").param("invoice"))
    }

    pub(super) fn finalize_by_hand(&mut self, id: &str, params: &Row) -> Result {
        if let (Some(advance), Some(row)) = (params.get("auto_advance").cloned(), self.row_mut("Invoice", id)) {
            row.insert("auto_advance".into(), advance);
        }
        self.finalize(id)
    }

    /// A draft becomes a bill with a number.
    pub(super) fn finalize(&mut self, id: &str) -> Result {
        let words = "This invoice is already finalized, you can't re-finalize a non-draft invoice.";
        let mut row = self.invoice_in(id, &["draft"], words)?;
        let customer = text(&row, "customer").to_owned();
        let clock = self.take_clock_of(&customer);
        self.forget(|due| *due == Due::Finalize(id.to_owned()));
        let now = self.now;
        self.use_balance(&mut row, &customer)?;
        self.sum(&mut row);
        let bill = self.bill_number(&customer);
        let due = number(&row, "amount_due");
        if due > 0 {
            self.ask_for(&mut row, due)?;
        }
        let ending = if number(&row, "total") + number(&row, "starting_balance") < 0 {
            number(&row, "total") + number(&row, "starting_balance")
        } else {
            0
        };
        set(
            &mut row,
            [
                ("status", json!("open")),
                ("number", json!(bill)),
                ("effective_at", json!(now)),
                ("ending_balance", json!(ending)),
                ("automatically_finalizes_at", Json::Null),
                ("hosted_invoice_url", json!(format!("https://invoice.stripe.com/i/{}/{id}?s=ap", self.account))),
                ("invoice_pdf", json!(format!("https://pay.stripe.com/invoice/{}/{id}/pdf?s=ap", self.account))),
                ("webhooks_delivered_at", json!(now)),
            ],
        );
        transition(&mut row, "finalized_at", now);
        if let (Some(date), true) =
            (row.get("due_date").and_then(Json::as_i64), text(&row, "collection_method") == "send_invoice")
        {
            self.later(clock.as_deref(), date, Due::Overdue(id.to_owned()));
        }
        let automatic = text(&row, "collection_method") == "charge_automatically" && flag(&row, "auto_advance") && due > 0;
        if automatic && subscription_of(&row).is_none() {
            self.later(clock.as_deref(), now + super::invoices::DRAFT_S, Due::Collect(id.to_owned()));
            row.insert("next_payment_attempt".into(), json!(now + super::invoices::DRAFT_S));
        }
        let made = self.change("Invoice", id, "invoice.finalized", |kept| *kept = row)?;
        if due == 0 { self.paid(id, None) } else { Ok(made) }
    }

    /// Credit of the customer is used up first.
    fn use_balance(&mut self, row: &mut Row, customer: &str) -> Result<()> {
        let before = self.get("Customer", customer).map(|row| number(row, "balance")).unwrap_or_default();
        row.insert("starting_balance".into(), json!(before));
        self.sum(row);
        let total = number(row, "total");
        let used = if before < 0 { total.min(-before).max(0) } else { 0 };
        let owed = if total < 0 {
            total
        } else if before > 0 {
            -before
        } else {
            used
        };
        if owed != 0 {
            let currency = Row::from_iter([
                ("currency".to_owned(), json!(text(row, "currency"))),
                ("invoice".to_owned(), json!(text(row, "id"))),
            ]);
            self.move_balance(customer, owed, "applied_to_invoice", &currency)?;
        }
        Ok(())
    }

    fn bill_number(&mut self, customer: &str) -> String {
        self.invoice_count += 1;
        let count = self.invoice_count;
        let Some(row) = self.row_mut("Customer", customer) else { return format!("INV-{count:04}") };
        let next = number(row, "next_invoice_sequence").max(1);
        row.insert("next_invoice_sequence".into(), json!(next + 1));
        format!("{}-{next:04}", text(row, "invoice_prefix"))
    }

    /// Makes the payment intent that the bill is paid with.
    fn ask_for(&mut self, row: &mut Row, due: i64) -> Result<()> {
        let mut intent = self.blank("PaymentIntent");
        let id = text(&intent, "id").to_owned();
        set(
            &mut intent,
            [
                ("amount", json!(due)),
                ("currency", row.get("currency").cloned().unwrap_or_default()),
                ("customer", row.get("customer").cloned().unwrap_or_default()),
                ("client_secret", json!(format!("{id}_secret_{}", self.text(25)))),
                ("payment_method_types", json!(["card"])),
                (
                    "description",
                    json!(if subscription_of(row).is_some() { "Subscription update" } else { "Payment for Invoice" }),
                ),
                ("status", json!("requires_payment_method")),
            ],
        );
        self.keep("PaymentIntent", intent)?;
        let mut payment = self.blank("InvoicePayment");
        set(
            &mut payment,
            [
                ("amount_requested", json!(due)),
                ("currency", row.get("currency").cloned().unwrap_or_default()),
                ("invoice", json!(text(row, "id"))),
                ("is_default", json!(true)),
                ("payment", json!({"payment_intent": id, "type": "payment_intent"})),
                ("status", json!("open")),
            ],
        );
        self.insert("InvoicePayment", payment).map(drop)
    }

    /// The payment intent of an invoice, and the record that joins them.
    fn payment_of(&self, invoice: &str) -> Option<(String, String)> {
        let row = self.newest("InvoicePayment").find(|row| text(row, "invoice") == invoice)?;
        Some((text(row, "id").to_owned(), row.get("payment")?.get("payment_intent")?.as_str()?.to_owned()))
    }

    pub(super) fn pay_by_hand(&mut self, id: &str, params: &Row) -> Result {
        let state = text(self.need("Invoice", id, "id")?, "status").to_owned();
        match state.as_str() {
            "draft" => {
                let done = self.finalize(id)?;
                if done.get("status") == Some(&json!("paid")) {
                    return Ok(done);
                }
            }
            "open" | "uncollectible" => {}
            "paid" => return Err(Refused::invalid("Invoice is already paid").param("invoice")),
            _ => return Err(Refused::invalid("This invoice can no longer be paid: it was voided.").code("invoice_not_editable")),
        }
        if flag(params, "paid_out_of_band") {
            return self.paid(id, None);
        }
        let method = some(params, "payment_method").or_else(|| some(params, "source")).map(str::to_owned);
        self.collect(id, method)
    }

    /// Charges what is due; a failure is the answer, and is counted.
    pub(super) fn collect(&mut self, id: &str, method: Option<String>) -> Result {
        let row = self.need("Invoice", id, "id")?.clone();
        let customer = text(&row, "customer").to_owned();
        let clock = self.take_clock_of(&customer);
        let subscription = subscription_of(&row).map(str::to_owned);
        let of_subscription =
            subscription.as_deref().and_then(|id| some(self.get("Subscription", id)?, "default_payment_method"));
        let usual = some(&row, "default_payment_method").or(of_subscription).map(str::to_owned);
        let method = method.or(usual).or_else(|| self.default_method(Some(&customer)));
        let Some((payment, intent)) = self.payment_of(id) else { return self.paid(id, None) };
        let charged = match &method {
            Some(method) => self.confirm_intent(
                &intent,
                &Row::from_iter([("payment_method".to_owned(), json!(method)), ("off_session".to_owned(), json!(true))]),
            ),
            None => {
                let message = "There is no `default_payment_method` set on this Customer or Invoice. Please set a `default_payment_method`.";
                Err(Refused::invalid(message))
            }
        };
        match charged {
            Ok(_) => self.paid(id, Some(&payment)),
            Err(refused) => {
                self.not_paid(id, clock.as_deref())?;
                Err(refused)
            }
        }
    }

    /// The bill is settled.
    pub(super) fn paid(&mut self, id: &str, payment: Option<&str>) -> Result {
        let now = self.now;
        self.forget(|due| *due == Due::Collect(id.to_owned()) || *due == Due::Overdue(id.to_owned()));
        if let Some(row) = payment.and_then(|payment| self.row_mut("InvoicePayment", payment)) {
            let amount = number(row, "amount_requested");
            set(
                row,
                [
                    ("status", json!("paid")),
                    ("amount_paid", json!(amount)),
                    ("status_transitions", json!({"canceled_at": null, "paid_at": now})),
                ],
            );
            let row = Json::Object(row.clone());
            self.tell("invoice_payment.paid", &row, None);
        } else if let Some((_, intent)) = self.payment_of(id) {
            // Paid outside: nothing is to be charged any more.
            let _ = self.end_intent(&intent, json!("void_invoice"));
        }
        let tried = payment.is_some();
        let done = self.change("Invoice", id, "invoice.paid", |row| {
            let due = number(row, "amount_due");
            let attempts = number(row, "attempt_count") + i64::from(tried);
            set(
                row,
                [
                    ("status", json!("paid")),
                    ("amount_paid", json!(due)),
                    ("amount_remaining", json!(0)),
                    ("attempt_count", json!(attempts)),
                    ("attempted", json!(true)),
                    ("next_payment_attempt", Json::Null),
                ],
            );
            transition(row, "paid_at", now);
        })?;
        self.tell("invoice.payment_succeeded", &done, None);
        if let Some(subscription) = done.as_object().and_then(subscription_of).map(str::to_owned) {
            self.subscription_paid(&subscription)?;
        }
        Ok(done)
    }

    fn not_paid(&mut self, id: &str, clock: Option<&str>) -> Result<()> {
        let now = self.now;
        let days = self.settings.dunning_days.clone();
        let mut next = None;
        let done = self.change("Invoice", id, "invoice.payment_failed", |row| {
            let attempts = number(row, "attempt_count") + 1;
            let first = text(row, "billing_reason") == "subscription_create";
            let place = usize::try_from(attempts - 1).unwrap_or_default();
            next = days.get(place).filter(|_| !first && flag(row, "auto_advance")).map(|days| now + days * DAY_S);
            set(row, [("attempt_count", json!(attempts)), ("attempted", json!(true)), ("next_payment_attempt", json!(next))]);
        })?;
        self.forget(|due| *due == Due::Collect(id.to_owned()));
        if let Some(next) = next {
            self.later(clock, next, Due::Collect(id.to_owned()));
        }
        let Some(row) = done.as_object() else { return Ok(()) };
        let Some(subscription) = subscription_of(row).map(str::to_owned) else { return Ok(()) };
        if text(row, "billing_reason") == "subscription_create" {
            return Ok(());
        }
        match (next, self.settings.after_dunning) {
            (None, AfterDunning::Cancel) => self.end_subscription(&subscription, "payment_failed").map(drop),
            (None, AfterDunning::Unpaid) => self.subscription_state(&subscription, "unpaid"),
            _ => self.subscription_state(&subscription, "past_due"),
        }
    }

    pub(super) fn send_invoice(&mut self, id: &str) -> Result {
        if text(self.need("Invoice", id, "id")?, "status") == "draft" {
            self.finalize(id)?;
        }
        let row = self.need("Invoice", id, "id")?.clone();
        if text(&row, "collection_method") != "send_invoice" {
            let message = "You can only manually send an invoice if its collection method is 'send_invoice'.";
            return Err(Refused::invalid(message));
        }
        let row = Json::Object(row);
        self.tell("invoice.sent", &row, None);
        Ok(row)
    }

    pub(super) fn void_invoice(&mut self, id: &str) -> Result {
        let words = "You can only pass in open or uncollectible invoices. This invoice isn't in one of these states.";
        self.invoice_in(id, &["open", "uncollectible"], words)?;
        let now = self.now;
        self.forget(|due| *due == Due::Collect(id.to_owned()) || *due == Due::Overdue(id.to_owned()));
        if let Some((_, intent)) = self.payment_of(id) {
            let _ = self.end_intent(&intent, json!("void_invoice"));
        }
        self.change("Invoice", id, "invoice.voided", |row| {
            set(row, [("status", json!("void")), ("next_payment_attempt", Json::Null)]);
            transition(row, "voided_at", now);
        })
    }

    pub(super) fn mark_uncollectible(&mut self, id: &str) -> Result {
        self.invoice_in(id, &["open"], "Only open invoices can be marked uncollectible.")?;
        let now = self.now;
        self.forget(|due| *due == Due::Collect(id.to_owned()));
        self.change("Invoice", id, "invoice.marked_uncollectible", |row| {
            set(row, [("status", json!("uncollectible")), ("next_payment_attempt", Json::Null)]);
            transition(row, "marked_uncollectible_at", now);
        })
    }
}

fn transition(row: &mut Row, name: &str, now: i64) {
    if let Some(times) = row.get_mut("status_transitions").and_then(Json::as_object_mut) {
        times.insert(name.to_owned(), json!(now));
    }
}
