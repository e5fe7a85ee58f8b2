//! The balance, payouts and transfers.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Due, Row, number, set, some, text},
    error::{Refused, Result},
    money,
};

/// How long a payout is on its way.
const WAY_S: i64 = 2 * 24 * 3600;

impl Books {
    pub(super) fn ledger(&mut self, name: &str, id: &str, params: &Row) -> Option<Result> {
        Some(match name {
            "Balance.retrieve" => Ok(self.balance()),
            "Payout.create" => self.create_payout(params, false),
            "Payout.cancel" => self.cancel_payout(id),
            "Payout.reverse" => self.reverse_payout(id, params),
            "Transfer.create" => self.create_transfer(params),
            "Topup.create" => self.create_topup(params),
            _ => return None,
        })
    }

    fn balance(&self) -> Json {
        let list = |pick: fn(&(i64, i64)) -> i64| -> Vec<Json> {
            let all = self.money.iter().map(
                |(currency, sums)| json!({"amount": pick(sums), "currency": currency, "source_types": {"card": pick(sums)}}),
            );
            all.collect()
        };
        let nothing = || vec![json!({"amount": 0, "currency": "usd", "source_types": {"card": 0}})];
        let (available, pending) = (list(|sums| sums.0), list(|sums| sums.1));
        let available = if available.is_empty() { nothing() } else { available };
        let pending = if pending.is_empty() { nothing() } else { pending };
        json!({"object": "balance", "available": available, "livemode": self.live, "pending": pending})
    }

    /// Sends money to the bank. An automatic payout takes all that is there.
    pub(super) fn create_payout(&mut self, params: &Row, automatic: bool) -> Result {
        let currency = money::currency(params)?;
        let amount = params.get("amount").and_then(Json::as_i64).ok_or_else(|| Refused::needed("amount"))?;
        if amount < 1 {
            let message = "This value must be greater than or equal to 1.";
            return Err(Refused::invalid(message).code("parameter_invalid_integer").param("amount"));
        }
        // These are charged to the cent and paid out whole.
        if matches!(currency.as_str(), "huf" | "twd") && amount % 100 != 0 {
            let message = format!("Payouts in {currency} must be evenly divisible by 100.");
            return Err(Refused::invalid(message).param("amount"));
        }
        let there = self.money.get(&currency).map_or(0, |sums| sums.0);
        if amount > there {
            let message = "You have insufficient funds in your Stripe account for this payout. Your card balance is too low. You can \
                           use the the /v1/balance endpoint to view your Stripe balance.";
            return Err(Refused::invalid(message).code("balance_insufficient"));
        }
        let mut row = self.made("Payout", params);
        let id = text(&row, "id").to_owned();
        let arrival = self.now + WAY_S;
        let bank = self.id("BankAccount");
        set(
            &mut row,
            [
                ("amount", json!(amount)),
                ("currency", json!(currency)),
                ("arrival_date", json!(arrival)),
                ("automatic", json!(automatic)),
                ("destination", json!(bank)),
                ("method", json!("standard")),
                ("reconciliation_status", json!(if automatic { "in_progress" } else { "not_applicable" })),
                ("source_type", json!("card")),
                ("status", json!("pending")),
                ("trace_id", json!({"status": "pending", "value": null})),
                ("type", json!("bank_account")),
            ],
        );
        self.insert("Payout", row)?;
        let transaction = self.book("payout", -amount, 0, &currency, &id, "STRIPE PAYOUT")?;
        self.paid_out.insert(transaction.clone(), id.clone());
        if automatic {
            self.gather(&id, &currency);
        }
        if let Some(row) = self.row_mut("Payout", &id) {
            row.insert("balance_transaction".into(), json!(transaction));
        }
        self.later(None, arrival, Due::Arrive(id.clone()));
        let made = self.retrieve("Payout", &id, "id")?;
        self.tell("payout.created", &made, None);
        Ok(made)
    }

    /// Marks what goes out with a payout.
    fn gather(&mut self, payout: &str, currency: &str) {
        let ready = |row: &&Row| text(row, "status") == "available" && text(row, "currency") == currency;
        let ids: Vec<String> = self.all("BalanceTransaction").filter(ready).map(|row| text(row, "id").to_owned()).collect();
        for id in ids {
            self.paid_out.entry(id).or_insert_with(|| payout.to_owned());
        }
    }

    pub(super) fn arrive(&mut self, id: &str) {
        let paid = self.change("Payout", id, "payout.paid", |row| {
            row.insert("status".into(), json!("paid"));
        });
        let automatic = paid.is_ok_and(|row| row.get("automatic") == Some(&json!(true)));
        if automatic {
            let _ = self.change("Payout", id, "payout.reconciliation_completed", |row| {
                row.insert("reconciliation_status".into(), json!("completed"));
            });
        }
    }

    /// The bank sends a payout back.
    pub(super) fn fail_payout(&mut self, id: &str, code: &str) -> Result {
        let row = self.need("Payout", id, "payout")?.clone();
        self.forget(|due| *due == Due::Arrive(id.to_owned()));
        let back = self.book("payout_failure", number(&row, "amount"), 0, text(&row, "currency"), id, "PAYOUT FAILURE")?;
        self.change("Payout", id, "payout.failed", |row| {
            set(
                row,
                [
                    ("status", json!("failed")),
                    ("failure_code", json!(code)),
                    ("failure_message", json!("The bank could not process this transfer.")),
                    ("failure_balance_transaction", json!(back)),
                ],
            );
        })
    }

    fn cancel_payout(&mut self, id: &str) -> Result {
        let row = self.need("Payout", id, "id")?.clone();
        if text(&row, "status") != "pending" {
            return Err(Refused::invalid("Payouts can only be canceled while they are pending.").param("payout"));
        }
        self.forget(|due| *due == Due::Arrive(id.to_owned()));
        self.book("payout_cancel", number(&row, "amount"), 0, text(&row, "currency"), id, "PAYOUT CANCELED")?;
        self.change("Payout", id, "payout.canceled", |row| {
            row.insert("status".into(), json!("canceled"));
        })
    }

    /// Takes a payout back that has arrived: another one, of what it brought, that goes the other way.
    fn reverse_payout(&mut self, id: &str, params: &Row) -> Result {
        let row = self.need("Payout", id, "payout")?.clone();
        if text(&row, "status") == "pending" {
            let message = "This payout is still pending, so it cannot be reversed. Cancel it instead.";
            return Err(Refused::invalid(message).param("payout"));
        }
        if text(&row, "status") != "paid" || some(&row, "reversed_by").is_some() || some(&row, "original_payout").is_some() {
            return Err(Refused::invalid("This payout cannot be reversed.").param("payout"));
        }
        let (amount, currency) = (number(&row, "amount"), text(&row, "currency").to_owned());
        let mut back = self.made("Payout", params);
        let own = text(&back, "id").to_owned();
        let arrival = self.now + WAY_S;
        set(
            &mut back,
            [
                ("amount", json!(-amount)),
                ("currency", json!(currency)),
                ("arrival_date", json!(arrival)),
                ("automatic", json!(false)),
                ("destination", row.get("destination").cloned().unwrap_or_default()),
                ("method", json!("standard")),
                ("original_payout", json!(id)),
                ("reconciliation_status", json!("not_applicable")),
                ("source_type", json!("card")),
                ("status", json!("pending")),
                ("type", json!("bank_account")),
            ],
        );
        self.insert("Payout", back)?;
        let transaction = self.book("payout", amount, 0, &currency, &own, "STRIPE PAYOUT REVERSAL")?;
        if let Some(back) = self.row_mut("Payout", &own) {
            back.insert("balance_transaction".into(), json!(transaction));
        }
        self.later(None, arrival, Due::Arrive(own.clone()));
        let made = self.retrieve("Payout", &own, "id")?;
        self.tell("payout.created", &made, None);
        self.change("Payout", id, "payout.updated", |row| {
            row.insert("reversed_by".into(), json!(own));
        })?;
        Ok(made)
    }

    fn create_transfer(&mut self, params: &Row) -> Result {
        let currency = money::currency(params)?;
        let amount = params.get("amount").and_then(Json::as_i64).ok_or_else(|| Refused::needed("amount"))?;
        if some(params, "destination").is_none() {
            return Err(Refused::needed("destination"));
        }
        let there = self.money.get(&currency).map_or(0, |sums| sums.0);
        if amount > there {
            let message = "You have insufficient available funds in your Stripe account. Try adding funds directly to your available \
                           balance by creating Charges using the 4000000000000077 test card.";
            return Err(Refused::invalid(message).code("balance_insufficient"));
        }
        let mut row = self.made("Transfer", params);
        let id = text(&row, "id").to_owned();
        let transaction = self.book("transfer", -amount, 0, &currency, &id, "")?;
        set(
            &mut row,
            [("currency", json!(currency)), ("balance_transaction", json!(transaction)), ("source_type", json!("card"))],
        );
        row.insert("reversals".into(), super::books::page(&format!("/v1/transfers/{id}/reversals"), Vec::new()));
        self.keep("Transfer", row)
    }

    fn create_topup(&mut self, params: &Row) -> Result {
        let currency = money::currency(params)?;
        let amount = params.get("amount").and_then(Json::as_i64).ok_or_else(|| Refused::needed("amount"))?;
        let mut row = self.made("Topup", params);
        let id = text(&row, "id").to_owned();
        let transaction = self.book("topup", amount, 0, &currency, &id, "")?;
        set(
            &mut row,
            [("status", json!("succeeded")), ("balance_transaction", json!(transaction)), ("currency", json!(currency))],
        );
        self.keep("Topup", row)
    }
}
