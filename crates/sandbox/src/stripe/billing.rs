//! What happens by itself: periods end, drafts are finalized, bills are tried again. And test clocks, which move time.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Due, Row, flag, inner, number, set, some, text},
    error::{Refused, Result},
    invoices::DRAFT_S,
    subscriptions::{after, items, parent},
};

/// Things done in one step of time; what is left is done by the next request.
const STEPS_MAX: usize = 20_000;
/// Furthest a test clock goes in one step.
const ADVANCE_S_MAX: i64 = 2 * 366 * 24 * 3600;

/// What one period of a subscription costs.
pub(super) fn sum_of(row: &Row) -> i64 {
    let cost = |item: &Json| Some(item.get("price")?.get("unit_amount")?.as_i64()? * item.get("quantity")?.as_i64()?);
    items(row).iter().filter_map(cost).sum()
}

impl Books {
    /// Does what is due by a time on a clock (empty: the world's).
    pub(super) fn tick(&mut self, clock: &str, until: i64) {
        for _ in 0..STEPS_MAX {
            let first = self.due.range((clock.to_owned(), i64::MIN, 0)..).next();
            let Some(key) = first.map(|(key, _)| key.clone()).filter(|(of, at, _)| of == clock && *at <= until) else { break };
            let Some(due) = self.due.remove(&key) else { break };
            if !clock.is_empty()
                && let Some(row) = self.row_mut("test_helpers.TestClock", clock)
            {
                row.insert("frozen_time".into(), json!(key.1));
            }
            self.now = key.1;
            self.come(due);
        }
        self.now = until;
    }

    fn come(&mut self, due: Due) {
        match due {
            Due::Settle(id) => self.settle(&id),
            Due::Arrive(id) => self.arrive(&id),
            Due::Release(id) => drop(self.end_intent(&id, json!("automatic"))),
            Due::Renew(id) => self.renew(&id),
            Due::TrialWillEnd(id) => {
                if let Ok(row) = self.retrieve("Subscription", &id, "id") {
                    self.tell("customer.subscription.trial_will_end", &row, None);
                }
            }
            Due::Finalize(id) => self.finalize_in_time(&id),
            // A refusal is told of by events.
            Due::Collect(id) => drop(self.collect(&id, None)),
            Due::Overdue(id) => {
                if let Ok(row) = self.retrieve("Invoice", &id, "id") {
                    self.tell("invoice.overdue", &row, None);
                }
            }
            Due::Incomplete(id) => self.expire_incomplete(&id),
            Due::CancelAt(id) => drop(self.end_subscription(&id, "cancellation_requested")),
            Due::ExpireSession(id) => drop(self.expire_session(&id)),
        }
    }

    fn finalize_in_time(&mut self, id: &str) {
        let Ok(done) = self.finalize(id) else { return };
        let Some(row) = done.as_object().filter(|row| text(row, "status") == "open").cloned() else { return };
        if text(&row, "collection_method") == "send_invoice" {
            let _ = self.send_invoice(id);
        } else {
            let _ = self.collect(id, None);
        }
    }

    fn expire_incomplete(&mut self, id: &str) {
        let Some(invoice) = self.get("Subscription", id).and_then(|row| some(row, "latest_invoice")).map(str::to_owned) else {
            return;
        };
        let _ = self.void_invoice(&invoice);
        self.forget(|due| *due == Due::Renew(id.to_owned()));
        let now = self.now;
        let _ = self.change("Subscription", id, "customer.subscription.updated", |row| {
            set(row, [("status", json!("incomplete_expired")), ("ended_at", json!(now))]);
        });
    }

    /// A period or a trial is over.
    pub(super) fn renew(&mut self, id: &str) {
        let Some(row) = self.get("Subscription", id).cloned() else { return };
        if matches!(text(&row, "status"), "canceled" | "incomplete_expired" | "incomplete") {
            return;
        }
        if flag(&row, "cancel_at_period_end") {
            let _ = self.end_subscription(id, "cancellation_requested");
            return;
        }
        let start = self.now;
        let trialing = text(&row, "status") == "trialing";
        if trialing && self.rests_unpaid(&row) {
            let _ = self.change("Subscription", id, "customer.subscription.paused", |row| {
                row.insert("status".into(), json!("paused"));
            });
            return;
        }
        let mut end = start;
        let _ = self.change("Subscription", id, "customer.subscription.updated", |row| {
            if trialing {
                row.insert("status".into(), json!("active"));
            }
            for item in
                row.get_mut("items").and_then(|items| items.get_mut("data")).and_then(Json::as_array_mut).into_iter().flatten()
            {
                let Some(item) = item.as_object_mut() else { continue };
                end = inner(item, "price").map_or(start, |price| after(start, price));
                set(item, [("current_period_start", json!(start)), ("current_period_end", json!(end))]);
            }
        });
        let clock = some(&row, "test_clock").map(str::to_owned);
        self.later(clock.as_deref(), end.max(start + 1), Due::Renew(id.to_owned()));
        if let Ok(invoice) = self.bill(id, "subscription_cycle", start) {
            self.put_off(&row, &invoice, clock.as_deref());
        }
    }

    /// The trial is to end in a pause where nobody can be charged.
    fn rests_unpaid(&self, subscription: &Row) -> bool {
        let end = inner(subscription, "trial_settings").and_then(|settings| inner(settings, "end_behavior"));
        let pays = some(subscription, "default_payment_method").is_some()
            || self.default_method(some(subscription, "customer")).is_some();
        end.is_some_and(|end| some(end, "missing_payment_method") == Some("pause")) && !pays
    }

    /// A draft is finalized an hour later, unless nobody pays or collection rests.
    fn put_off(&mut self, subscription: &Row, invoice: &str, clock: Option<&str>) {
        let pause = inner(subscription, "pause_collection").map(|pause| text(pause, "behavior").to_owned());
        if text(subscription, "status") == "unpaid" || pause.as_deref() == Some("keep_as_draft") {
            if let Some(row) = self.row_mut("Invoice", invoice) {
                row.insert("auto_advance".into(), json!(false));
            }
            return;
        }
        if let Some(behaviour) = pause {
            let _ = self.finalize(invoice);
            let _ = if behaviour == "void" { self.void_invoice(invoice) } else { self.mark_uncollectible(invoice) };
            return;
        }
        let at = self.now + DRAFT_S;
        if let Some(row) = self.row_mut("Invoice", invoice) {
            row.insert("automatically_finalizes_at".into(), json!(at));
        }
        self.later(clock, at, Due::Finalize(invoice.to_owned()));
    }

    /// A draft invoice for a subscription's period, with what is pending.
    pub(super) fn bill(&mut self, id: &str, reason: &str, start: i64) -> Result<String> {
        let row = self.need("Subscription", id, "subscription")?.clone();
        let (customer, currency) = (text(&row, "customer").to_owned(), text(&row, "currency").to_owned());
        let mut invoice = self.draft(&customer, &currency, reason)?;
        let invoice_id = text(&invoice, "id").to_owned();
        set(
            &mut invoice,
            [
                ("auto_advance", json!(true)),
                ("collection_method", row.get("collection_method").cloned().unwrap_or_default()),
                ("parent", parent(id, row.get("metadata").unwrap_or(&json!({})))),
                ("period_start", json!(start)),
                ("discounts", row.get("discounts").cloned().unwrap_or_else(|| json!([]))),
                ("default_tax_rates", row.get("default_tax_rates").cloned().unwrap_or_else(|| json!([]))),
            ],
        );
        if let Some(days) = row.get("days_until_due").and_then(Json::as_i64) {
            invoice.insert("due_date".into(), json!(self.now + days * 24 * 3600));
        }
        let trial = text(&row, "status") == "trialing";
        if reason != "subscription_update" {
            for item in items(&row).iter().filter_map(Json::as_object) {
                let mut line = self.line_of_item(item, id, &invoice_id);
                if let (true, Some(line)) = (trial, line.as_object_mut()) {
                    set(line, [("amount", json!(0)), ("subtotal", json!(0)), ("description", json!("Trial period"))]);
                }
                self.push_line(&mut invoice, line)?;
            }
        }
        self.gather_items(&mut invoice, &customer, &currency)?;
        self.sum(&mut invoice);
        self.keep("Invoice", invoice)?;
        if let Some(row) = self.row_mut("Subscription", id) {
            row.insert("latest_invoice".into(), json!(invoice_id));
        }
        Ok(invoice_id)
    }

    /// Bills what is pending, at once.
    pub(super) fn bill_pending(&mut self, id: &str) -> Result<()> {
        let invoice = self.bill(id, "subscription_update", self.now)?;
        if self.has_lines(&invoice) {
            self.finalize(&invoice)?;
            let _ = self.collect(&invoice, None);
        }
        Ok(())
    }

    /// The rest of a period is given back at the old terms and charged at the new ones.
    pub(super) fn prorate(&mut self, old: &Row, id: &str, at_once: bool) -> Result<()> {
        let new = self.need("Subscription", id, "id")?.clone();
        let (start, end) = items(old).first().map_or((0, 0), |item| {
            let time = |name: &str| item.get(name).and_then(Json::as_i64).unwrap_or_default();
            (time("current_period_start"), time("current_period_end"))
        });
        let share = |sum: i64| if end > start { sum * (end - self.now).clamp(0, end - start) / (end - start) } else { 0 };
        let (back, forth) = (share(sum_of(old)), share(sum_of(&new)));
        let customer = text(&new, "customer").to_owned();
        for (amount, words) in [(-back, "Unused time"), (forth, "Remaining time")] {
            if amount == 0 {
                continue;
            }
            let params = json!({
                "customer": customer, "amount": amount, "currency": text(&new, "currency"), "description": format!("{words} after a change"),
                "period": {"start": self.now, "end": end},
            });
            let mut item = self.item(params.as_object().unwrap_or(&Row::new()), &customer)?;
            set(
                &mut item,
                [
                    ("proration", json!(true)),
                    (
                        "parent",
                        json!({"subscription_details": {"subscription": id, "subscription_item": null}, "type": "subscription_details"}),
                    ),
                ],
            );
            self.keep("InvoiceItem", item)?;
        }
        if at_once { self.bill_pending(id) } else { Ok(()) }
    }

    pub(super) fn clocks(&mut self, name: &str, id: &str, params: &Row) -> Option<Result> {
        Some(match name {
            "test_helpers.TestClock.create" => self.create_clock(params),
            "test_helpers.TestClock.advance" => self.advance_clock(id, params),
            "test_helpers.TestClock.delete" => {
                self.due.retain(|(clock, _, _), _| clock != id);
                self.delete("test_helpers.TestClock", id)
            }
            _ => return None,
        })
    }

    fn create_clock(&mut self, params: &Row) -> Result {
        if self.live {
            return Err(Refused::invalid("Test clocks can only be used in test mode."));
        }
        if params.get("frozen_time").and_then(Json::as_i64).is_none() {
            return Err(Refused::needed("frozen_time"));
        }
        let mut row = self.made("test_helpers.TestClock", params);
        set(&mut row, [("deletes_after", json!(self.now + 30 * 24 * 3600)), ("status", json!("ready"))]);
        self.keep("test_helpers.TestClock", row)
    }

    fn advance_clock(&mut self, id: &str, params: &Row) -> Result {
        let from = number(self.need("test_helpers.TestClock", id, "id")?, "frozen_time");
        let to = params.get("frozen_time").and_then(Json::as_i64).ok_or_else(|| Refused::needed("frozen_time"))?;
        if to <= from {
            return Err(Refused::invalid("The frozen time must be after the clock's present time.").param("frozen_time"));
        }
        if to - from > ADVANCE_S_MAX {
            return Err(Refused::invalid("A test clock can be advanced by at most two years at a time.").param("frozen_time"));
        }
        self.tick(id, to);
        // It is done by the time of the answer; the vendor says `advancing` first and tells of the end.
        let done = self.change("test_helpers.TestClock", id, "test_helpers.test_clock.ready", |row| {
            set(row, [("frozen_time", json!(to)), ("status", json!("ready"))]);
        })?;
        Ok(done)
    }
}
