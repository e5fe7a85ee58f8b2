//! Refunds.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, flag, number, set, some, text},
    error::{Refused, Result},
    generic::merge,
};

impl Books {
    pub(super) fn refunds(&mut self, name: &str, id: &str, params: &Row) -> Option<Result> {
        Some(match name {
            "Refund.create" => self.create_refund(params),
            "Refund.cancel" => self.cancel_refund(id),
            "Refund.update" => self.change("Refund", id, "refund.updated", |row| merge("Refund", row, params)),
            "test_helpers.Refund.expire" => self.finish_refund(id, Some("expired_or_canceled_card")),
            _ => return None,
        })
    }

    /// The charge a refund is of.
    fn refunded(&self, params: &Row) -> Result<Row> {
        if let Some(charge) = some(params, "charge") {
            return self.need("Charge", charge, "charge").cloned();
        }
        let Some(intent) = some(params, "payment_intent") else {
            let message = "One of the following params should be provided for this request: payment_intent or charge.";
            return Err(Refused::invalid(message).code("parameter_missing"));
        };
        let intent = self.need("PaymentIntent", intent, "payment_intent")?;
        let charge = some(intent, "latest_charge").filter(|_| text(intent, "status") == "succeeded");
        charge.and_then(|charge| self.get("Charge", charge)).cloned().ok_or_else(|| {
            let message = format!("This PaymentIntent ({}) does not have a successful charge to refund.", text(intent, "id"));
            Refused::invalid(message).code("payment_intent_unexpected_state").param("payment_intent")
        })
    }

    pub(super) fn create_refund(&mut self, params: &Row) -> Result {
        let charge = self.refunded(params)?;
        let id = text(&charge, "id").to_owned();
        if text(&charge, "status") != "succeeded" {
            return Err(Refused::invalid(format!("Charge {id} cannot be refunded: it did not succeed.")).param("charge"));
        }
        if flag(&charge, "disputed") && !self.refundable(&id) {
            let message = format!("Charge {id} has been charged back; cannot issue a refund.");
            return Err(Refused::invalid(message).code("charge_disputed"));
        }
        let held = if flag(&charge, "captured") { number(&charge, "amount_captured") } else { number(&charge, "amount") };
        let released = if flag(&charge, "captured") { number(&charge, "amount") - held } else { 0 };
        let left = held - (number(&charge, "amount_refunded") - released);
        if left <= 0 {
            return Err(Refused::invalid(format!("Charge {id} has already been refunded.")).code("charge_already_refunded"));
        }
        let amount = params.get("amount").and_then(Json::as_i64).unwrap_or(left);
        if amount < 1 {
            let message = "This value must be greater than or equal to 1.";
            return Err(Refused::invalid(message).code("parameter_invalid_integer").param("amount"));
        }
        if amount > left {
            let message = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
            return Err(Refused::invalid(message).param("amount"));
        }
        self.refund(&charge, amount, params)
    }

    /// A charge that is only asked about can still be refunded.
    fn refundable(&self, charge: &str) -> bool {
        self.all("Dispute").filter(|row| text(row, "charge") == charge).all(|row| flag(row, "is_charge_refundable"))
    }

    pub(super) fn refund(&mut self, charge: &Row, amount: i64, params: &Row) -> Result {
        let charge_id = text(charge, "id").to_owned();
        let currency = text(charge, "currency").to_owned();
        let last4 = self.last4(text(charge, "payment_method"));
        let pending = self.settings.pending_refunds || last4 == "7726";
        let mut row = self.made("Refund", params);
        let id = text(&row, "id").to_owned();
        set(
            &mut row,
            [
                ("amount", json!(amount)),
                ("charge", json!(charge_id)),
                ("currency", json!(currency)),
                ("payment_intent", charge.get("payment_intent").cloned().unwrap_or(Json::Null)),
                ("status", json!(if pending { "pending" } else { "succeeded" })),
                ("pending_reason", if pending { json!("processing") } else { Json::Null }),
                (
                    "destination_details",
                    json!({"card": {
                    "reference": null, "reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund",
                }, "type": "card"}),
                ),
            ],
        );
        self.insert("Refund", row)?;
        if flag(charge, "captured") {
            let transaction = self.book("refund", -amount, 0, &currency, &id, "REFUND FOR CHARGE")?;
            if let Some(row) = self.row_mut("Refund", &id) {
                row.insert("balance_transaction".into(), json!(transaction));
            }
        }
        let made = self.retrieve("Refund", &id, "id")?;
        self.tell("refund.created", &made, None);
        self.change("Charge", &charge_id, "charge.refunded", |row| {
            let refunded = number(row, "amount_refunded") + amount;
            let all = refunded >= number(row, "amount");
            set(row, [("amount_refunded", json!(refunded)), ("refunded", json!(all))]);
        })?;
        if last4 == "5126" {
            self.finish_refund(&id, Some("unknown"))?;
        }
        Ok(made)
    }

    /// A refund that waited went well, or failed and the money comes back.
    pub(super) fn finish_refund(&mut self, id: &str, failure: Option<&str>) -> Result {
        let row = self.need("Refund", id, "id")?.clone();
        let (amount, currency) = (number(&row, "amount"), text(&row, "currency").to_owned());
        let Some(failure) = failure else {
            let done = self.change("Refund", id, "refund.updated", |row| {
                set(row, [("status", json!("succeeded")), ("pending_reason", Json::Null)]);
            })?;
            self.tell("charge.refund.updated", &done, None);
            return Ok(done);
        };
        if matches!(text(&row, "status"), "failed" | "canceled") {
            return Err(Refused::invalid(format!("Refund {id} cannot be changed in its current state.")));
        }
        let back = self.book("refund_failure", amount, 0, &currency, id, "REFUND FAILURE")?;
        if let Some(charge) = self.row_mut("Charge", text(&row, "charge")) {
            let rest = number(charge, "amount_refunded") - amount;
            set(charge, [("amount_refunded", json!(rest)), ("refunded", json!(false))]);
        }
        let done = self.change("Refund", id, "refund.failed", |row| {
            set(
                row,
                [
                    ("status", json!("failed")),
                    ("failure_reason", json!(failure)),
                    ("failure_balance_transaction", json!(back)),
                    ("pending_reason", Json::Null),
                ],
            );
        })?;
        self.tell("charge.refund.updated", &done, None);
        Ok(done)
    }

    fn cancel_refund(&mut self, id: &str) -> Result {
        let row = self.need("Refund", id, "id")?;
        if !matches!(text(row, "status"), "requires_action" | "pending") {
            let message = format!("Refund {id} can't be canceled because it has a status of {}.", text(row, "status"));
            return Err(Refused::invalid(message));
        }
        self.change("Refund", id, "refund.updated", |row| {
            row.insert("status".into(), json!("canceled"));
        })
    }
}
