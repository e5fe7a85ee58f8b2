//! Charges.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, flag, number, set, some, text},
    cards::{Outcome, outcome},
    error::{Refused, Result},
    money,
};

/// What is charged.
pub(super) struct Payment {
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) method: String,
    pub(super) customer: Option<String>,
    pub(super) intent: Option<String>,
    pub(super) extra: Row,
}

impl Payment {
    pub(super) fn of_intent(row: &Row, method: &str) -> Self {
        let names = [
            "description",
            "metadata",
            "receipt_email",
            "shipping",
            "statement_descriptor",
            "statement_descriptor_suffix",
            "transfer_group",
            "application_fee_amount",
            "on_behalf_of",
        ];
        let extra = names.iter().filter_map(|name| Some(((*name).to_owned(), row.get(*name)?.clone()))).collect();
        Self {
            amount: number(row, "amount"),
            currency: text(row, "currency").to_owned(),
            method: method.to_owned(),
            customer: some(row, "customer").map(str::to_owned),
            intent: Some(text(row, "id").to_owned()),
            extra,
        }
    }
}

impl Books {
    pub(super) fn charges(&mut self, name: &str, id: &str, params: &Row) -> Option<Result> {
        Some(match name {
            "Charge.create" => self.create_charge(params),
            "Charge.capture" => self.capture_charge(id, params),
            _ => return None,
        })
    }

    /// The older way to charge: a token, or a customer with a card.
    fn create_charge(&mut self, params: &Row) -> Result {
        let amount = params.get("amount").and_then(Json::as_i64).ok_or_else(|| Refused::needed("amount"))?;
        let currency = money::currency(params)?;
        money::chargeable(amount, &currency, "amount")?;
        let customer = some(params, "customer").map(str::to_owned);
        if let Some(customer) = &customer {
            self.need("Customer", customer, "customer")?;
        }
        let source = some(params, "source").map(str::to_owned).or_else(|| self.default_method(customer.as_deref()));
        let Some(source) = source else {
            return Err(Refused::invalid("Must provide source or customer.").code("parameter_missing"));
        };
        let method = self
            .method(&source, "source")
            .map_err(|_| Refused { status: 400, ..Refused::missing("token", &source, "source") })?;
        let extra: Row = params
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "source" | "amount" | "currency" | "capture"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let payment = Payment { amount, currency, method: method.clone(), customer, intent: None, extra };
        let how = outcome(&self.last4(&method));
        if let Outcome::Declined(code, decline, words) = how {
            let row = Row::from_iter([
                ("amount".to_owned(), json!(amount)),
                ("currency".to_owned(), json!(payment.currency)),
                ("customer".to_owned(), json!(payment.customer)),
            ]);
            let charge = self.failed_charge(&row, &method, code, decline, words)?;
            return Err(Refused::card(code, decline, words).with("charge", json!(charge)));
        }
        let capture = params.get("capture").and_then(Json::as_bool).unwrap_or(true);
        let id = self.new_charge(&payment, capture)?;
        if capture {
            self.book_charge(&id)?;
        }
        let charge = self.announce_charge(&id, true)?;
        self.after_charge(&id, how)?;
        Ok(charge)
    }

    /// What a customer pays with when nothing else is said.
    pub(super) fn default_method(&self, customer: Option<&str>) -> Option<String> {
        let row = self.get("Customer", customer?)?;
        let settings = row.get("invoice_settings").and_then(Json::as_object);
        let chosen =
            settings.and_then(|settings| some(settings, "default_payment_method")).or_else(|| some(row, "default_source"));
        chosen.map(str::to_owned)
    }

    fn charge_row(&self, payment: &Payment) -> Row {
        let mut row = self.made("Charge", &payment.extra);
        let id = text(&row, "id").to_owned();
        let method = self.get("PaymentMethod", &payment.method);
        let mut card = method.and_then(|row| row.get("card")).cloned().unwrap_or(Json::Null);
        if let Some(card) = card.as_object_mut() {
            for name in ["display_brand", "generated_from", "networks", "three_d_secure_usage"] {
                card.shift_remove(name);
            }
            let network = card.get("brand").cloned().unwrap_or(Json::Null);
            set(
                card,
                [
                    ("amount_authorized", json!(payment.amount)),
                    ("authorization_code", json!("123456")),
                    ("network", network),
                    ("installments", Json::Null),
                    ("mandate", Json::Null),
                    ("three_d_secure", Json::Null),
                ],
            );
        }
        let billing = method.and_then(|row| row.get("billing_details")).cloned();
        set(
            &mut row,
            [
                ("amount", json!(payment.amount)),
                ("currency", json!(payment.currency)),
                ("customer", json!(payment.customer)),
                ("payment_intent", json!(payment.intent)),
                ("payment_method", json!(payment.method)),
                ("payment_method_details", json!({"card": card, "type": "card"})),
                ("calculated_statement_descriptor", json!("NORTHWIND")),
                ("fraud_details", json!({})),
                ("receipt_url", json!(format!("https://pay.stripe.com/receipts/payment/{id}"))),
            ],
        );
        if let Some(billing) = billing {
            row.insert("billing_details".into(), billing);
        }
        row
    }

    /// A charge that went well; it is told of by `announce_charge`.
    pub(super) fn new_charge(&mut self, payment: &Payment, captured: bool) -> Result<String> {
        let mut row = self.charge_row(payment);
        let id = text(&row, "id").to_owned();
        set(
            &mut row,
            [
                ("status", json!("succeeded")),
                ("paid", json!(true)),
                ("captured", json!(captured)),
                ("amount_captured", json!(if captured { payment.amount } else { 0 })),
                (
                    "outcome",
                    json!({
                        "advice_code": null, "network_advice_code": null, "network_decline_code": null, "network_status": "approved_by_network",
                        "reason": null, "risk_level": "normal", "risk_score": 12, "seller_message": "Payment complete.", "type": "authorized",
                    }),
                ),
            ],
        );
        self.insert("Charge", row)?;
        Ok(id)
    }

    /// Tells of a charge: that it is there, or that it was changed.
    pub(super) fn announce_charge(&mut self, id: &str, first: bool) -> Result {
        let row = Json::Object(self.need("Charge", id, "id")?.clone());
        let event = if first { "charge.succeeded" } else { "charge.updated" };
        let previous = (!first).then(|| Row::from_iter([("balance_transaction".to_owned(), Json::Null)]));
        self.tell(event, &row, previous);
        Ok(row)
    }

    pub(super) fn failed_charge(
        &mut self,
        of: &Row,
        method: &str,
        code: &str,
        decline: Option<&str>,
        words: &str,
    ) -> Result<String> {
        let mut payment = Payment::of_intent(of, method);
        payment.intent = some(of, "id").map(str::to_owned);
        let mut row = self.charge_row(&payment);
        let id = text(&row, "id").to_owned();
        set(
            &mut row,
            [
                ("status", json!("failed")),
                ("paid", json!(false)),
                ("captured", json!(false)),
                ("failure_code", json!(code)),
                ("failure_message", json!(words)),
                ("receipt_url", Json::Null),
                (
                    "outcome",
                    json!({
                        "advice_code": null, "network_advice_code": null, "network_decline_code": null,
                        "network_status": "declined_by_network", "reason": decline.unwrap_or(code), "risk_level": "normal", "risk_score": 12,
                        "seller_message": "The bank did not return any further details with this decline.", "type": "issuer_declined",
                    }),
                ),
            ],
        );
        let row = self.insert("Charge", row)?;
        self.tell("charge.failed", &row, None);
        Ok(id)
    }

    /// Writes the charge's money in.
    pub(super) fn book_charge(&mut self, id: &str) -> Result<()> {
        let row = self.need("Charge", id, "id")?;
        let (amount, currency) = (number(row, "amount_captured"), text(row, "currency").to_owned());
        let words = text(row, "description").to_owned();
        let transaction = self.book("charge", amount, money::fee(amount), &currency, id, &words)?;
        if let Some(row) = self.row_mut("Charge", id) {
            row.insert("balance_transaction".into(), json!(transaction));
        }
        Ok(())
    }

    /// What some test cards bring after they were paid with.
    pub(super) fn after_charge(&mut self, id: &str, how: Outcome) -> Result<()> {
        match how {
            Outcome::Disputed(reason, inquiry) => self.open_dispute(id, reason, inquiry, None).map(drop),
            Outcome::Warned => {
                let mut row = self.blank("radar.EarlyFraudWarning");
                set(
                    &mut row,
                    [("charge", json!(id)), ("actionable", json!(true)), ("fraud_type", json!("made_with_stolen_card"))],
                );
                self.keep("radar.EarlyFraudWarning", row).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn capture_charge(&mut self, id: &str, params: &Row) -> Result {
        let row = self.need("Charge", id, "id")?;
        if flag(row, "captured") {
            return Err(Refused::invalid(format!("Charge {id} has already been captured.")).code("charge_already_captured"));
        }
        let most = number(row, "amount");
        let amount = params.get("amount").and_then(Json::as_i64).unwrap_or(most);
        if amount < 1 || amount > most {
            return Err(Refused::invalid("You cannot capture a charge for an amount larger than it was authorized for.")
                .code("amount_too_large")
                .param("amount"));
        }
        self.take(id, amount)?;
        self.retrieve("Charge", id, "id")
    }

    /// Captures held money; what is left of it goes back.
    pub(super) fn take(&mut self, id: &str, amount: i64) -> Result<()> {
        if let Some(row) = self.row_mut("Charge", id) {
            let rest = number(row, "amount") - amount;
            set(row, [("captured", json!(true)), ("amount_captured", json!(amount)), ("amount_refunded", json!(rest))]);
        }
        self.book_charge(id)?;
        self.change("Charge", id, "charge.captured", |_| {}).map(drop)
    }
}
