//! Checkout sessions and payment links.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Due, Row, number, set, some, text},
    error::{Refused, Result},
};

/// How long a session stays open when nothing else is asked for.
const OPEN_S: i64 = 24 * 3600;

impl Books {
    pub(super) fn checkout(&mut self, name: &str, id: &str, url: &str, params: &Row) -> Option<Result> {
        Some(match name {
            "checkout.Session.create" => self.create_session(params),
            "checkout.Session.expire" => self.expire_session(id),
            "checkout.SessionLineItem.list" => self.lines_of("checkout.Session", id, url, params),
            "PaymentLink.create" => self.create_link(params),
            "PaymentLinkLineItem.list" => self.lines_of("PaymentLink", id, url, params),
            _ => return None,
        })
    }

    fn lines_of(&self, kind: &'static str, id: &str, url: &str, params: &Row) -> Result {
        self.need(kind, id, "id")?;
        let lines = self.line_items(id);
        Self::slice(lines.get("data").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default(), url, params)
    }

    /// What is bought, with prices made where only their data is given.
    fn bought(&mut self, params: &Row) -> Result<(Vec<Json>, i64, String)> {
        let wanted = params.get("line_items").and_then(Json::as_array).cloned().unwrap_or_default();
        let (mut lines, mut total, mut currency) = (Vec::new(), 0, String::new());
        for (place, one) in wanted.iter().filter_map(Json::as_object).enumerate() {
            let price = match (some(one, "price"), one.get("price_data").and_then(Json::as_object)) {
                (Some(price), _) => self.need("Price", price, &format!("line_items[{place}][price]"))?.clone(),
                (None, Some(data)) => self.create_price(&data.clone())?,
                _ => return Err(Refused::needed(&format!("line_items[{place}][price]"))),
            };
            let quantity = one
                .get("quantity")
                .and_then(Json::as_i64)
                .ok_or_else(|| Refused::needed(&format!("line_items[{place}][quantity]")))?;
            if quantity < 1 {
                return Err(Refused::invalid("Quantity must be at least 1.").param(&format!("line_items[{place}][quantity]")));
            }
            let amount = number(&price, "unit_amount") * quantity;
            total += amount;
            text(&price, "currency").clone_into(&mut currency);
            let words = self.get("Product", text(&price, "product")).map(|row| text(row, "name").to_owned());
            let mut line = self.blank("LineItem");
            set(
                &mut line,
                [
                    ("amount_subtotal", json!(amount)),
                    ("amount_total", json!(amount)),
                    ("currency", json!(currency)),
                    ("description", json!(words)),
                    ("price", Json::Object(price)),
                    ("quantity", json!(quantity)),
                ],
            );
            lines.push(Json::Object(line));
        }
        Ok((lines, total, currency))
    }

    fn keep_lines(&mut self, id: &str, lines: Vec<Json>) -> Result<()> {
        let row = Row::from_iter([("id".to_owned(), json!(id)), ("data".to_owned(), Json::Array(lines))]);
        self.insert("LineItems", row).map(drop)
    }

    fn create_session(&mut self, params: &Row) -> Result {
        let mode = some(params, "mode").unwrap_or("payment").to_owned();
        let hosted = matches!(some(params, "ui_mode"), None | Some("hosted" | "hosted_page"));
        if hosted && !params.contains_key("success_url") {
            return Err(Refused::needed("success_url"));
        }
        if mode != "setup" && !params.contains_key("line_items") {
            return Err(Refused::needed("line_items"));
        }
        if let Some(customer) = some(params, "customer") {
            self.need("Customer", customer, "customer")?;
        }
        let (lines, total, currency) = self.bought(params)?;
        let recurring =
            lines.iter().any(|line| line.get("price").and_then(|price| price.get("type")) == Some(&json!("recurring")));
        if mode == "payment" && recurring {
            let message = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only one-time prices.";
            return Err(Refused::invalid(message).param("line_items"));
        }
        if mode == "subscription" && !recurring {
            let message = "You must provide at least one recurring price in `subscription` mode when using prices.";
            return Err(Refused::invalid(message).param("line_items"));
        }
        let expires = params.get("expires_at").and_then(Json::as_i64).unwrap_or(self.now + OPEN_S);
        if !(self.now + 1_790..=self.now + OPEN_S + 10).contains(&expires) {
            let message =
                "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours from Checkout Session creation.";
            return Err(Refused::invalid(message).param("expires_at"));
        }
        let mut row = self.made("checkout.Session", params);
        let id = text(&row, "id").to_owned();
        set(
            &mut row,
            [
                ("amount_subtotal", json!(total)),
                ("amount_total", json!(total)),
                ("currency", if currency.is_empty() { Json::Null } else { json!(currency) }),
                ("expires_at", json!(expires)),
                ("mode", json!(mode)),
                ("payment_method_types", json!(["card"])),
                ("payment_status", json!(if mode == "setup" { "no_payment_required" } else { "unpaid" })),
                ("status", json!("open")),
                ("total_details", json!({"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0})),
                ("url", if hosted { json!(format!("https://checkout.stripe.com/c/pay/{id}")) } else { Json::Null }),
            ],
        );
        self.keep_lines(&id, lines)?;
        self.later(None, expires, Due::ExpireSession(id));
        self.insert("checkout.Session", row)
    }

    pub(super) fn expire_session(&mut self, id: &str) -> Result {
        let row = self.need("checkout.Session", id, "id")?;
        if text(row, "status") != "open" {
            let message = format!(
                "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of {}.",
                text(row, "status")
            );
            return Err(Refused::invalid(message));
        }
        self.forget(|due| *due == Due::ExpireSession(id.to_owned()));
        self.change("checkout.Session", id, "checkout.session.expired", |row| {
            set(row, [("status", json!("expired")), ("url", Json::Null)]);
        })
    }

    /// The customer pays what the session asks for.
    pub(super) fn complete_session(&mut self, id: &str, method: &str) -> Result {
        let row = self.need("checkout.Session", id, "session")?.clone();
        if text(&row, "status") != "open" {
            return Err(Refused::invalid("The session is not open."));
        }
        let customer = match some(&row, "customer") {
            Some(customer) => customer.to_owned(),
            None => {
                let email = some(&row, "customer_email").unwrap_or("buyer@customer.example");
                let made = self.create("Customer", &Row::from_iter([("email".to_owned(), json!(email))]))?;
                made.get("id").and_then(Json::as_str).unwrap_or_default().to_owned()
            }
        };
        let mut done: Vec<(&str, Json)> = vec![("customer", json!(customer)), ("status", json!("complete")), ("url", Json::Null)];
        match text(&row, "mode") {
            "payment" => {
                let intent = self.run_intent(json!({
                    "amount": number(&row, "amount_total"), "currency": text(&row, "currency"), "customer": customer, "payment_method": method,
                    "confirm": true, "metadata": {},
                }))?;
                done.extend([
                    ("payment_intent", intent.get("id").cloned().unwrap_or(Json::Null)),
                    ("payment_status", json!("paid")),
                ]);
            }
            "subscription" => {
                let attached = self.attach(method, &Row::from_iter([("customer".to_owned(), json!(customer))]))?;
                let lines = self.line_items(id);
                let items: Vec<Json> = lines.get("data").and_then(Json::as_array).into_iter().flatten()
                    .map(|line| json!({"price": line.get("price").and_then(|price| price.get("id")), "quantity": line.get("quantity")})).collect();
                let params = json!({"customer": customer, "items": items, "default_payment_method": attached.get("id")});
                let made = self
                    .subscriptions("Subscription.create", "", "", params.as_object().unwrap_or(&Row::new()))
                    .unwrap_or(Ok(Json::Null))?;
                done.extend([
                    ("subscription", made.get("id").cloned().unwrap_or(Json::Null)),
                    ("invoice", made.get("latest_invoice").cloned().unwrap_or(Json::Null)),
                    ("payment_status", json!("paid")),
                ]);
            }
            _ => {}
        }
        self.forget(|due| *due == Due::ExpireSession(id.to_owned()));
        self.change("checkout.Session", id, "checkout.session.completed", |row| {
            row.extend(done.into_iter().map(|(name, value)| (name.to_owned(), value)))
        })
    }

    /// Creates a payment intent as a request would.
    pub(super) fn run_intent(&mut self, params: Json) -> Result {
        let params = params.as_object().cloned().unwrap_or_default();
        self.intents("PaymentIntent.create", "", &params).unwrap_or(Ok(Json::Null))
    }

    fn create_link(&mut self, params: &Row) -> Result {
        let (lines, _, currency) = self.bought(params)?;
        if lines.is_empty() {
            return Err(Refused::needed("line_items"));
        }
        let mut row = self.made("PaymentLink", params);
        let id = text(&row, "id").to_owned();
        let url = format!("https://buy.stripe.com/test_{}", self.text(18));
        set(&mut row, [("active", json!(true)), ("currency", json!(currency)), ("url", json!(url))]);
        self.keep_lines(&id, lines)?;
        self.keep("PaymentLink", row)
    }
}
