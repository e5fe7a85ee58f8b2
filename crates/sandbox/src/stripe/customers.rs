//! Customers, and the account itself.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, number, set, some, text},
    error::{Refused, Result},
    generic::merge,
    money,
};

impl Books {
    pub(super) fn customers(&mut self, name: &str, ids: &[String], url: &str, params: &Row) -> Option<Result> {
        let id = ids.first().map(String::as_str).unwrap_or_default();
        Some(match name {
            "Customer.create" => self.create_customer(params),
            "Customer.update" => self.update_customer(id, params),
            "Customer.delete" => self.delete_customer(id),
            "CustomerPaymentMethod.list" => {
                if let Err(refused) = self.need("Customer", id, "id") {
                    return Some(Err(refused));
                }
                self.list("PaymentMethod", url, params, &[("customer", id)])
            }
            "CustomerBalanceTransaction.create" => self.adjust_balance(id, params),
            _ => return None,
        })
    }

    fn create_customer(&mut self, params: &Row) -> Result {
        let mut params = params.clone();
        check_email(&params)?;
        if let Some(clock) = some(&params, "test_clock") {
            self.now = number(self.need("test_helpers.TestClock", clock, "test_clock")?, "frozen_time");
        }
        let source = params.shift_remove("source");
        let method = params.shift_remove("payment_method").or(source);
        let method = match method.as_ref().and_then(Json::as_str) {
            Some(method) => Some(self.method(method, "payment_method")?),
            None => None,
        };
        let tax_ids = params.shift_remove("tax_id_data");
        let mut row = self.blank("Customer");
        set(
            &mut row,
            [
                (
                    "invoice_settings",
                    json!({"custom_fields": null, "default_payment_method": null, "footer": null, "rendering_options": null}),
                ),
                ("invoice_prefix", json!(self.text(8).to_uppercase())),
                ("next_invoice_sequence", json!(1)),
            ],
        );
        merge("Customer", &mut row, &params);
        let id = text(&row, "id").to_owned();
        self.check_default(&params, &id)?;
        let made = self.keep("Customer", row)?;
        if let Some(method) = method {
            let attached = self.attach(&method, &Row::from_iter([("customer".to_owned(), json!(id))]));
            if let Err(refused) = attached {
                self.remove("Customer", &id);
                return Err(refused);
            }
        }
        for tax_id in tax_ids.iter().filter_map(Json::as_array).flatten().filter_map(Json::as_object) {
            let mut row = self.made("TaxId", tax_id);
            row.insert("customer".into(), json!(id));
            self.keep("TaxId", row)?;
        }
        Ok(made)
    }

    /// A default payment method must be the customer's own.
    fn check_default(&mut self, params: &Row, customer: &str) -> Result<()> {
        let settings = params.get("invoice_settings").and_then(Json::as_object);
        let Some(method) = settings.and_then(|settings| some(settings, "default_payment_method")) else {
            return Ok(());
        };
        let owner = self
            .need("PaymentMethod", method, "invoice_settings[default_payment_method]")
            .map(|row| text(row, "customer").to_owned())?;
        if owner == customer {
            return Ok(());
        }
        let message = format!(
            "The customer does not have a payment method with the ID {method}. The payment method must be attached to the customer."
        );
        Err(Refused::invalid(message).code("resource_missing").param("invoice_settings[default_payment_method]"))
    }

    fn update_customer(&mut self, id: &str, params: &Row) -> Result {
        self.need("Customer", id, "id")?;
        check_email(params)?;
        self.check_default(params, id)?;
        let mut params = params.clone();
        if let Some(source) = params.shift_remove("source").as_ref().and_then(Json::as_str) {
            let method = self.method(source, "source")?;
            self.attach(&method, &Row::from_iter([("customer".to_owned(), json!(id))]))?;
            params.insert("default_source".into(), json!(method));
        }
        self.update("Customer", id, &params)
    }

    fn delete_customer(&mut self, id: &str) -> Result {
        self.need("Customer", id, "id")?;
        let of = |row: &&Row| text(row, "customer") == id && !matches!(text(row, "status"), "canceled" | "incomplete_expired");
        let subscriptions: Vec<String> = self.all("Subscription").filter(of).map(|row| text(row, "id").to_owned()).collect();
        for subscription in subscriptions {
            self.end_subscription(&subscription, "cancellation_requested")?;
        }
        self.delete("Customer", id)
    }

    fn adjust_balance(&mut self, id: &str, params: &Row) -> Result {
        self.need("Customer", id, "id")?;
        let amount = params.get("amount").and_then(Json::as_i64).ok_or_else(|| Refused::needed("amount"))?;
        let currency = money::currency(params)?;
        let mut params = params.clone();
        params.insert("currency".into(), json!(currency));
        self.move_balance(id, amount, "adjustment", &params)
    }

    /// Changes what a customer has in credit (negative) or owes, and writes it down.
    pub(super) fn move_balance(&mut self, id: &str, amount: i64, kind: &str, params: &Row) -> Result {
        let mut ending = 0;
        self.change("Customer", id, "customer.updated", |row| {
            ending = number(row, "balance") + amount;
            row.insert("balance".into(), json!(ending));
            if row.get("currency").is_some_and(Json::is_null) {
                row.insert("currency".into(), params.get("currency").cloned().unwrap_or(Json::Null));
            }
        })?;
        let mut row = self.made("CustomerBalanceTransaction", params);
        set(
            &mut row,
            [("amount", json!(amount)), ("customer", json!(id)), ("ending_balance", json!(ending)), ("type", json!(kind))],
        );
        self.keep("CustomerBalanceTransaction", row)
    }

    pub(super) fn accounts(&mut self, name: &str, id: &str) -> Option<Result> {
        let own = match name {
            "Account.retrieve_current" => true,
            "Account.retrieve" => id == self.account,
            _ => false,
        };
        own.then(|| Ok(self.own_account()))
    }

    fn own_account(&self) -> Json {
        let mut row = self.blank("Account");
        set(
            &mut row,
            [
                ("id", json!(self.account)),
                (
                    "business_profile",
                    json!({
                        "annual_revenue": null, "estimated_worker_count": null, "mcc": null, "name": "Northwind Instruments",
                        "support_address": null, "support_email": null, "support_phone": null, "support_url": null, "url": "https://northwind.example",
                    }),
                ),
                ("capabilities", json!({"card_payments": "active", "transfers": "active"})),
                ("charges_enabled", json!(true)),
                ("controller", json!({"type": "account"})),
                ("country", json!("US")),
                ("default_currency", json!("usd")),
                ("details_submitted", json!(true)),
                ("email", json!("finance@northwind.example")),
                ("payouts_enabled", json!(true)),
                ("settings", json!({"dashboard": {"display_name": "Northwind Instruments", "timezone": "Etc/UTC"}})),
                ("type", json!("standard")),
            ],
        );
        row.shift_remove("created");
        Json::Object(row)
    }

    /// Usage for a meter; the same identifier counts once.
    pub(super) fn meter_event(&mut self, params: &Row) -> Result {
        let payload = params.get("payload").and_then(Json::as_object);
        let customer = payload.and_then(|payload| some(payload, "stripe_customer_id"));
        let customer = customer.ok_or_else(|| Refused::needed("payload[stripe_customer_id]"))?;
        self.need("Customer", customer, "payload[stripe_customer_id]")?;
        let given = params.get("identifier").and_then(Json::as_str).map(str::to_owned);
        let identifier = given.unwrap_or_else(|| self.text(32));
        if !self.meter_identifiers.insert(identifier.clone()) {
            let message = format!("An event already exists with identifier {identifier}.");
            return Err(Refused::invalid(message).param("identifier"));
        }
        let timestamp = params.get("timestamp").and_then(Json::as_i64).unwrap_or(self.now);
        Ok(json!({
            "object": "billing.meter_event", "created": self.now, "event_name": params.get("event_name"), "identifier": identifier,
            "livemode": self.live, "payload": payload, "timestamp": timestamp,
        }))
    }
}

fn check_email(params: &Row) -> Result<()> {
    let Some(email) = some(params, "email") else { return Ok(()) };
    let fine = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !email.contains(' '));
    if fine {
        return Ok(());
    }
    Err(Refused::invalid(format!("Invalid email address: {email}")).code("email_invalid").param("email"))
}
