//! Subscriptions and their items.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Due, Row, flag, inner, number, page, set, some, text},
    error::{Refused, Result},
    generic::merge,
};

const DAY_S: i64 = 24 * 3600;
/// How long a first payment may take.
const INCOMPLETE_S: i64 = 23 * 3600;

/// What an invoice says of its subscription.
pub(super) fn parent(subscription: &str, metadata: &Json) -> Json {
    json!({"quote_details": null, "subscription_details": {"metadata": metadata, "subscription": subscription}, "type": "subscription_details"})
}

/// The items of a subscription.
pub(super) fn items(row: &Row) -> &[Json] {
    row.get("items").and_then(|items| items.get("data")).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The time one period later.
pub(super) fn after(start: i64, price: &Row) -> i64 {
    let schedule = inner(price, "recurring").cloned().unwrap_or_default();
    let count = number(&schedule, "interval_count").clamp(1, 1_000);
    let span = match text(&schedule, "interval") {
        "day" => jiff::Span::new().days(count),
        "week" => jiff::Span::new().weeks(count),
        "year" => jiff::Span::new().years(count),
        _ => jiff::Span::new().months(count),
    };
    let at = jiff::Timestamp::from_second(start).ok().map(|at| at.to_zoned(jiff::tz::TimeZone::UTC));
    at.and_then(|at| at.checked_add(span).ok()).map_or(start + 30 * DAY_S, |at| at.timestamp().as_second())
}

impl Books {
    pub(super) fn subscriptions(&mut self, name: &str, id: &str, url: &str, params: &Row) -> Option<Result> {
        Some(match name {
            "Subscription.create" => self.create_subscription(params),
            "Subscription.update" => self.update_subscription(id, params),
            "Subscription.cancel" => self.cancel_subscription(id, params),
            "Subscription.resume" => self.resume_subscription(id),
            "SubscriptionItem.list" => {
                let Some(subscription) = some(params, "subscription") else { return Some(Err(Refused::needed("subscription"))) };
                match self.need("Subscription", subscription, "subscription") {
                    Ok(row) => Self::slice(items(row), url, params),
                    Err(refused) => Err(refused),
                }
            }
            "SubscriptionItem.create" => self.add_item(params),
            "SubscriptionItem.retrieve" => self.item_of(id).map(|(_, item)| Json::Object(item)),
            "SubscriptionItem.update" => self.change_item(id, params),
            "SubscriptionItem.delete" => self.drop_item(id),
            _ => return None,
        })
    }

    fn create_subscription(&mut self, params: &Row) -> Result {
        let customer = some(params, "customer").ok_or_else(|| Refused::needed("customer"))?.to_owned();
        self.need("Customer", &customer, "customer")?;
        let clock = self.take_clock_of(&customer);
        let mut params = params.clone();
        let wanted = params.shift_remove("items").and_then(|items| items.as_array().cloned()).filter(|items| !items.is_empty());
        let wanted = wanted.ok_or_else(|| Refused::needed("items"))?;
        let by_hand = some(&params, "collection_method") == Some("send_invoice");
        if by_hand && !params.contains_key("days_until_due") {
            let message = "You must pass `days_until_due` when `collection_method` is `send_invoice`.";
            return Err(Refused::invalid(message).code("parameter_missing").param("days_until_due"));
        }
        if let Some(method) = some(&params, "default_payment_method").map(str::to_owned) {
            self.need("PaymentMethod", &method, "default_payment_method")?;
        }
        let start = self.now;
        let trial = self.trial_end(&params)?;
        let mut row = self.blank("Subscription");
        let id = text(&row, "id").to_owned();
        let items = self.subscription_items(&wanted, &id, start, trial)?;
        let currency = items[0].get("price").and_then(|price| price.get("currency")).cloned().unwrap_or_default();
        let discounts = params.shift_remove("discounts");
        params.shift_remove("trial_end");
        merge("Subscription", &mut row, &params);
        set(
            &mut row,
            [
                ("customer", json!(customer)),
                ("currency", currency),
                ("items", page(&format!("/v1/subscription_items?subscription={id}"), items)),
                ("billing_cycle_anchor", json!(if trial > start { trial } else { start })),
                ("start_date", json!(start)),
                ("cancel_at_period_end", json!(flag(&params, "cancel_at_period_end"))),
                ("cancellation_details", json!({"comment": null, "feedback": null, "reason": null})),
                (
                    "payment_settings",
                    json!({"payment_method_options": null, "payment_method_types": null, "save_default_payment_method": "off"}),
                ),
                (
                    "trial_settings",
                    params
                        .get("trial_settings")
                        .cloned()
                        .unwrap_or_else(|| json!({"end_behavior": {"missing_payment_method": "create_invoice"}})),
                ),
                ("test_clock", json!(clock)),
                (
                    "status",
                    json!(if trial > start {
                        "trialing"
                    } else if by_hand {
                        "active"
                    } else {
                        "incomplete"
                    }),
                ),
            ],
        );
        if trial > start {
            set(&mut row, [("trial_start", json!(start)), ("trial_end", json!(trial))]);
        }
        self.discount(&mut row, discounts.as_ref(), "subscription")?;
        let waits = some(&params, "payment_behavior") == Some("default_incomplete");
        let method = some(&params, "default_payment_method").map(str::to_owned).or_else(|| self.default_method(Some(&customer)));
        let costs = super::billing::sum_of(&row) > 0;
        if method.is_none() && costs && !by_hand && !waits && trial <= start {
            let message = "This customer has no attached payment source or default payment method. Please consider adding a default \
                           payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.";
            return Err(Refused::invalid(message).code("resource_missing"));
        }
        self.begin(row, clock.as_deref(), waits, some(&params, "payment_behavior") == Some("error_if_incomplete"))
    }

    /// When a trial ends; 0 when there is none.
    fn trial_end(&self, params: &Row) -> Result<i64> {
        match params.get("trial_end") {
            Some(Json::String(word)) if word == "now" => return Ok(0),
            Some(end) => {
                let end = end.as_i64().unwrap_or_default();
                if end <= self.now {
                    return Err(Refused::invalid("Invalid timestamp: must be an integer Unix timestamp in the future.")
                        .param("trial_end"));
                }
                return Ok(end);
            }
            None => {}
        }
        Ok(params
            .get("trial_period_days")
            .and_then(Json::as_i64)
            .filter(|days| *days > 0)
            .map_or(0, |days| self.now + days * DAY_S))
    }

    /// Keeps a new subscription and bills its first period.
    fn begin(&mut self, row: Row, clock: Option<&str>, waits: bool, strict: bool) -> Result {
        let id = text(&row, "id").to_owned();
        let end = items(&row).first().and_then(|item| item.get("current_period_end")?.as_i64()).unwrap_or(self.now);
        let trial = row.get("trial_end").and_then(Json::as_i64);
        let cancel_at = row.get("cancel_at").and_then(Json::as_i64);
        self.insert("Subscription", row)?;
        let invoice = self.bill(&id, "subscription_create", self.now)?;
        let mut refused = None;
        if waits && trial.is_none() {
            self.finalize(&invoice)?;
        } else {
            refused = self.settle_first(&id, &invoice).err();
        }
        if let (Some(refused), true) = (&refused, strict) {
            self.remove("Subscription", &id);
            let _ = self.void_invoice(&invoice);
            return Err(refused.clone());
        }
        if self.get("Subscription", &id).is_some_and(|row| text(row, "status") == "incomplete") {
            self.later(clock, self.now + INCOMPLETE_S, Due::Incomplete(id.clone()));
        }
        self.later(clock, end, Due::Renew(id.clone()));
        if let Some(trial) = trial {
            self.later(clock, (trial - 3 * DAY_S).max(self.now), Due::TrialWillEnd(id.clone()));
        }
        if let Some(at) = cancel_at {
            self.later(clock, at, Due::CancelAt(id.clone()));
        }
        let made = self.retrieve("Subscription", &id, "id")?;
        self.tell("customer.subscription.created", &made, None);
        Ok(made)
    }

    fn settle_first(&mut self, id: &str, invoice: &str) -> Result<()> {
        let by_hand = self.get("Subscription", id).is_some_and(|row| text(row, "collection_method") == "send_invoice");
        let done = self.finalize(invoice)?;
        if done.get("status") == Some(&json!("paid")) {
            return Ok(());
        }
        if by_hand { self.send_invoice(invoice).map(drop) } else { self.collect(invoice, None).map(drop) }
    }

    pub(super) fn update_subscription(&mut self, id: &str, params: &Row) -> Result {
        let old = self.need("Subscription", id, "id")?.clone();
        if matches!(text(&old, "status"), "canceled" | "incomplete_expired") {
            let message = "A canceled subscription can only update its cancellation_details and metadata.";
            if params.keys().any(|name| !matches!(name.as_str(), "metadata" | "cancellation_details")) {
                return Err(Refused::invalid(message));
            }
        }
        let clock = self.take_clock_of(text(&old, "customer"));
        let mut params = params.clone();
        let wanted = params.shift_remove("items").and_then(|items| items.as_array().cloned());
        let discounts = params.shift_remove("discounts");
        let trial = params.shift_remove("trial_end");
        let mut new = old.clone();
        merge("Subscription", &mut new, &params);
        if let Some(wanted) = &wanted {
            self.change_items(&mut new, wanted)?;
        }
        self.discount(&mut new, discounts.as_ref(), "subscription")?;
        self.plan_end(&mut new, &params, clock.as_deref());
        if params.get("pause_collection").is_some_and(Json::is_null) {
            new.insert("pause_collection".into(), Json::Null);
        }
        self.change("Subscription", id, "customer.subscription.updated", |row| *row = new)?;
        let ends_now = trial.as_ref().and_then(Json::as_str) == Some("now");
        if ends_now && text(&old, "status") == "trialing" {
            self.forget(|due| *due == Due::Renew(id.to_owned()) || *due == Due::TrialWillEnd(id.to_owned()));
            self.renew(id);
        }
        let behaviour = some(&params, "proration_behavior").unwrap_or("create_prorations");
        if wanted.is_some() && behaviour != "none" && text(&old, "status") == "active" {
            self.prorate(&old, id, behaviour == "always_invoice")?;
        }
        self.retrieve("Subscription", id, "id")
    }

    /// When it is to end, if it is.
    fn plan_end(&mut self, new: &mut Row, params: &Row, clock: Option<&str>) {
        let id = text(new, "id").to_owned();
        let end = items(new).first().and_then(|item| item.get("current_period_end")?.as_i64()).unwrap_or(self.now);
        if let Some(at_end) = params.get("cancel_at_period_end").and_then(Json::as_bool) {
            let (at, canceled) = if at_end { (json!(end), json!(self.now)) } else { (Json::Null, Json::Null) };
            let reason = if at_end { json!("cancellation_requested") } else { Json::Null };
            set(
                new,
                [
                    ("cancel_at", at),
                    ("canceled_at", canceled),
                    ("cancellation_details", json!({"comment": null, "feedback": null, "reason": reason})),
                ],
            );
        }
        if let Some(at) = params.get("cancel_at") {
            self.forget(|due| *due == Due::CancelAt(id.clone()));
            if let Some(at) = at.as_i64() {
                self.later(clock, at, Due::CancelAt(id));
                new.insert("canceled_at".into(), json!(self.now));
            }
        }
    }

    fn cancel_subscription(&mut self, id: &str, params: &Row) -> Result {
        let row = self.need("Subscription", id, "id")?.clone();
        if matches!(text(&row, "status"), "canceled" | "incomplete_expired") {
            return Err(Refused { status: 404, ..Refused::missing("subscription", id, "id") });
        }
        self.take_clock_of(text(&row, "customer"));
        if flag(params, "invoice_now") {
            let _ = self.bill_pending(id);
        }
        self.end_subscription(id, "cancellation_requested")
    }

    /// It is over.
    pub(super) fn end_subscription(&mut self, id: &str, reason: &str) -> Result {
        let now = self.now;
        let of = id.to_owned();
        self.forget(|due| {
            [Due::Renew(of.clone()), Due::TrialWillEnd(of.clone()), Due::CancelAt(of.clone()), Due::Incomplete(of.clone())]
                .contains(due)
        });
        self.change("Subscription", id, "customer.subscription.deleted", |row| {
            let before = row.get("canceled_at").cloned().filter(|at| !at.is_null()).unwrap_or_else(|| json!(now));
            set(
                row,
                [
                    ("status", json!("canceled")),
                    ("canceled_at", before),
                    ("ended_at", json!(now)),
                    ("cancellation_details", json!({"comment": null, "feedback": null, "reason": reason})),
                ],
            );
        })
    }

    fn resume_subscription(&mut self, id: &str) -> Result {
        if text(self.need("Subscription", id, "id")?, "status") != "paused" {
            return Err(Refused::invalid("Only a paused subscription can be resumed."));
        }
        self.change("Subscription", id, "customer.subscription.resumed", |row| {
            row.insert("status".into(), json!("active"));
        })?;
        // A period begins now, and is billed.
        self.renew(id);
        self.retrieve("Subscription", id, "id")
    }

    pub(super) fn subscription_state(&mut self, id: &str, state: &str) -> Result<()> {
        let ended =
            self.get("Subscription", id).is_none_or(|row| matches!(text(row, "status"), "canceled" | "incomplete_expired"));
        if ended {
            return Ok(());
        }
        let state = state.to_owned();
        self.change("Subscription", id, "customer.subscription.updated", |row| {
            row.insert("status".into(), json!(state));
        })
        .map(drop)
    }

    pub(super) fn subscription_paid(&mut self, id: &str) -> Result<()> {
        let state = self.get("Subscription", id).map(|row| text(row, "status").to_owned()).unwrap_or_default();
        if !matches!(state.as_str(), "incomplete" | "past_due" | "unpaid") {
            return Ok(());
        }
        self.forget(|due| *due == Due::Incomplete(id.to_owned()));
        self.subscription_state(id, "active")
    }
}
