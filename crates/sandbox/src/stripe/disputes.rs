//! Disputes.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, flag, number, set, some, text},
    error::{Refused, Result},
    generic::merge,
};

/// How long there is to answer.
const ANSWER_S: i64 = 9 * 24 * 3600;
/// What a dispute costs, in the smallest unit.
const FEE: i64 = 1500;

impl Books {
    pub(super) fn disputes(&mut self, name: &str, id: &str, params: &Row) -> Option<Result> {
        Some(match name {
            "Dispute.update" => self.answer_dispute(id, params),
            "Dispute.close" => self.close_dispute(id, false),
            _ => return None,
        })
    }

    /// A cardholder objects to a charge; an inquiry only asks, and moves no money.
    pub(super) fn open_dispute(&mut self, charge: &str, reason: &str, inquiry: bool, amount: Option<i64>) -> Result {
        let row = self.need("Charge", charge, "charge")?.clone();
        if flag(&row, "disputed") {
            return Err(Refused::invalid(format!("Charge {charge} is disputed already.")));
        }
        let amount = amount.unwrap_or_else(|| number(&row, "amount")).clamp(1, number(&row, "amount").max(1));
        let mut dispute = self.blank("Dispute");
        let id = text(&dispute, "id").to_owned();
        let state = if inquiry { "warning_needs_response" } else { "needs_response" };
        let due = self.now + ANSWER_S;
        set(
            &mut dispute,
            [
                ("amount", json!(amount)),
                ("charge", json!(charge)),
                ("currency", row.get("currency").cloned().unwrap_or_default()),
                ("payment_intent", row.get("payment_intent").cloned().unwrap_or(Json::Null)),
                ("reason", json!(reason)),
                ("status", json!(state)),
                ("is_charge_refundable", json!(inquiry)),
                ("network_reason_code", json!("10.4")),
                (
                    "evidence_details",
                    json!({
                        "due_by": due, "enhanced_eligibility": {}, "has_evidence": false, "past_due": false, "submission_count": 0,
                        "submission_method": "manual",
                    }),
                ),
                (
                    "payment_method_details",
                    json!({"card": {"brand": "visa", "case_type": if inquiry { "inquiry" } else { "chargeback" }, "network": "visa",
                    "network_reason_code": "10.4"}, "type": "card"}),
                ),
            ],
        );
        let made = self.insert("Dispute", dispute)?;
        self.tell("charge.dispute.created", &made, None);
        if let Some(row) = self.row_mut("Charge", charge) {
            row.insert("disputed".into(), json!(true));
        }
        if !inquiry {
            self.move_money(&id, -amount, FEE, "charge.dispute.funds_withdrawn")?;
        }
        self.retrieve("Dispute", &id, "id")
    }

    fn move_money(&mut self, id: &str, amount: i64, fee: i64, event: &str) -> Result {
        let currency = self.need("Dispute", id, "id").map(|row| text(row, "currency").to_owned())?;
        let transaction = self.book("adjustment", amount, fee, &currency, id, "Chargeback")?;
        let transaction = self.get("BalanceTransaction", &transaction).cloned().unwrap_or_default();
        self.change("Dispute", id, event, |row| {
            if let Some(list) = row.get_mut("balance_transactions").and_then(Json::as_array_mut) {
                list.push(Json::Object(transaction));
            }
        })
    }

    fn answer_dispute(&mut self, id: &str, params: &Row) -> Result {
        let row = self.need("Dispute", id, "id")?;
        let open = matches!(text(row, "status"), "needs_response" | "warning_needs_response");
        let about_evidence = params.contains_key("evidence") || params.contains_key("submit");
        if about_evidence && !open {
            let message = "This dispute is already closed or under review; evidence cannot be changed.";
            return Err(Refused::invalid(message).param("dispute"));
        }
        let files = params.get("evidence").and_then(Json::as_object);
        for name in ["receipt", "customer_communication", "uncategorized_file", "service_documentation", "shipping_documentation"]
        {
            if let Some(file) = files.and_then(|files| some(files, name)) {
                self.need("File", file, &format!("evidence[{name}]"))?;
            }
        }
        let submit = params.get("submit").and_then(Json::as_bool).unwrap_or(false);
        self.change("Dispute", id, "charge.dispute.updated", |row| {
            let evidence =
                params.iter().filter(|(name, _)| name.as_str() != "submit").map(|(name, value)| (name.clone(), value.clone()));
            merge("Dispute", row, &evidence.collect());
            let review = if text(row, "status") == "needs_response" { "under_review" } else { "warning_under_review" };
            if submit && open {
                row.insert("status".into(), json!(review));
            }
            if let Some(details) = row.get_mut("evidence_details").and_then(Json::as_object_mut) {
                if about_evidence {
                    details.insert("has_evidence".into(), json!(true));
                }
                if submit {
                    let count = number(details, "submission_count") + 1;
                    details.insert("submission_count".into(), json!(count));
                }
            }
        })
    }

    /// The end: won, or lost, or for an inquiry simply over.
    pub(super) fn close_dispute(&mut self, id: &str, won: bool) -> Result {
        let row = self.need("Dispute", id, "id")?.clone();
        let inquiry = text(&row, "status").starts_with("warning");
        if matches!(text(&row, "status"), "won" | "lost" | "warning_closed") {
            return Err(Refused::invalid("This dispute is already closed.").param("dispute"));
        }
        let state = match (inquiry, won) {
            (true, _) => "warning_closed",
            (false, true) => "won",
            (false, false) => "lost",
        };
        let closed = self.change("Dispute", id, "charge.dispute.closed", |row| {
            row.insert("status".into(), json!(state));
        })?;
        if won && !inquiry {
            return self.move_money(id, number(&row, "amount"), 0, "charge.dispute.funds_reinstated");
        }
        Ok(closed)
    }
}
