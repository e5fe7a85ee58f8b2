//! Invoice items, and previews of invoices.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, number, set, some, text},
    error::{Refused, Result},
    generic::merge,
    invoices::line_of,
    money,
};

impl Books {
    pub(super) fn create_item(&mut self, params: &Row) -> Result {
        let customer = some(params, "customer").ok_or_else(|| Refused::needed("customer"))?.to_owned();
        self.need("Customer", &customer, "customer")?;
        self.take_clock_of(&customer);
        let invoice = some(params, "invoice").map(str::to_owned);
        if let Some(invoice) = &invoice {
            let row = self.need("Invoice", invoice, "invoice")?;
            if text(row, "status") != "draft" {
                return Err(Refused::invalid("You can only add invoice items to a draft invoice.")
                    .code("invoice_not_editable")
                    .param("invoice"));
            }
        }
        let row = self.item(params, &customer)?;
        let made = self.keep("InvoiceItem", row.clone())?;
        if let Some(invoice) = invoice {
            let mut whole = self.need("Invoice", &invoice, "invoice")?.clone();
            let line = line_of(self, &row, &invoice);
            self.push_line(&mut whole, line)?;
            self.sum(&mut whole);
            self.change("Invoice", &invoice, "invoice.updated", |row| *row = whole)?;
        }
        Ok(made)
    }

    /// An item with its amount, of a price, of price data or of a plain sum.
    pub(super) fn item(&mut self, params: &Row, customer: &str) -> Result<Row> {
        let quantity = params.get("quantity").and_then(Json::as_i64).unwrap_or(1);
        let pricing =
            params.get("pricing").and_then(Json::as_object).and_then(|pricing| some(pricing, "price")).map(str::to_owned);
        let (amount, currency, pricing, words) = if let Some(price) = pricing {
            let row = self.need("Price", &price, "pricing[price]")?.clone();
            let words = self.get("Product", text(&row, "product")).map(|row| text(row, "name").to_owned());
            (number(&row, "unit_amount") * quantity, text(&row, "currency").to_owned(), pricing_of(&row), words)
        } else if let Some(data) = params.get("price_data").and_then(Json::as_object) {
            let currency = money::currency(data)?;
            let unit = data.get("unit_amount").and_then(Json::as_i64).or_else(|| some(data, "unit_amount_decimal")?.parse().ok());
            let unit = unit.ok_or_else(|| Refused::needed("price_data[unit_amount]"))?;
            let product = some(data, "product").unwrap_or_default();
            (unit * quantity, currency, plain(unit, product), None)
        } else if let Some(amount) = params.get("amount").and_then(Json::as_i64) {
            (amount, money::currency(params)?, plain(amount, ""), None)
        } else if let Some(unit) = some(params, "unit_amount_decimal").and_then(|unit| unit.parse::<i64>().ok()) {
            (unit * quantity, money::currency(params)?, plain(unit, ""), None)
        } else {
            let message = "You must pass one of `amount`, `pricing[price]`, `price_data` or `unit_amount_decimal`.";
            return Err(Refused::invalid(message).code("parameter_missing").param("amount"));
        };
        let mut row = self.made("InvoiceItem", params);
        set(
            &mut row,
            [
                ("amount", json!(amount)),
                ("net_amount", json!(amount)),
                ("currency", json!(currency)),
                ("customer", json!(customer)),
                ("date", json!(self.now)),
                ("pricing", pricing),
                ("quantity", json!(quantity)),
                ("quantity_decimal", json!(quantity.to_string())),
                (
                    "test_clock",
                    self.get("Customer", customer).and_then(|row| row.get("test_clock")).cloned().unwrap_or(Json::Null),
                ),
            ],
        );
        if !params.contains_key("period") {
            row.insert("period".into(), json!({"start": self.now, "end": self.now}));
        }
        if let (Some(words), true) = (words, row.get("description").is_none_or(Json::is_null)) {
            row.insert("description".into(), json!(words));
        }
        Ok(row)
    }

    pub(super) fn update_item(&mut self, id: &str, params: &Row) -> Result {
        let row = self.need("InvoiceItem", id, "id")?.clone();
        self.check_item_free(&row)?;
        let mut whole = row.clone();
        merge("InvoiceItem", &mut whole, params);
        if let Some(amount) = params.get("amount") {
            whole.insert("net_amount".into(), amount.clone());
        }
        let done = self.change("InvoiceItem", id, "invoiceitem.updated", |row| *row = whole)?;
        self.rewrite_lines(text(&row, "invoice"));
        Ok(done)
    }

    pub(super) fn delete_item(&mut self, id: &str) -> Result {
        let row = self.need("InvoiceItem", id, "id")?.clone();
        self.check_item_free(&row)?;
        let done = self.delete("InvoiceItem", id)?;
        self.rewrite_lines(text(&row, "invoice"));
        Ok(done)
    }

    fn check_item_free(&self, row: &Row) -> Result<()> {
        let invoice = self.get("Invoice", text(row, "invoice"));
        if invoice.is_some_and(|invoice| text(invoice, "status") != "draft") {
            let message = "You can't change an invoice item that is attached to a finalized invoice.";
            return Err(Refused::invalid(message).code("invoice_not_editable"));
        }
        Ok(())
    }

    /// The lines of a draft follow its items.
    fn rewrite_lines(&mut self, invoice: &str) {
        let Some(mut row) = self.get("Invoice", invoice).cloned() else { return };
        let items: Vec<Row> = self.all("InvoiceItem").filter(|item| text(item, "invoice") == invoice).cloned().collect();
        let lines: Vec<Json> = items.iter().map(|item| line_of(self, item, invoice)).collect();
        if let Some(data) = row.get_mut("lines").and_then(|lines| lines.get_mut("data")) {
            *data = Json::Array(lines);
        }
        self.sum(&mut row);
        let _ = self.change("Invoice", invoice, "invoice.updated", |kept| *kept = row);
    }

    /// What would be billed. Nothing is kept, and the invoice has no id.
    pub(super) fn preview(&mut self, params: &Row) -> Result {
        let subscription = match some(params, "subscription") {
            Some(id) => Some(self.need("Subscription", id, "subscription")?.clone()),
            None => None,
        };
        let customer =
            some(params, "customer").map(str::to_owned).or_else(|| Some(text(subscription.as_ref()?, "customer").to_owned()));
        let customer = customer.ok_or_else(|| Refused::needed("customer"))?;
        self.need("Customer", &customer, "customer")?;
        self.take_clock_of(&customer);
        let currency = if params.contains_key("currency") {
            money::currency(params)?
        } else {
            self.preview_currency(&customer, subscription.as_ref())
        };
        let mut row = self.draft(&customer, &currency, "upcoming")?;
        for line in self.preview_lines(params, subscription.as_ref())? {
            self.push_line(&mut row, line)?;
        }
        for item in params.get("invoice_items").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_object) {
            let mut item = item.clone();
            item.entry("currency").or_insert_with(|| json!(currency));
            let item = self.item(&item, &customer)?;
            let line = line_of(self, &item, "");
            self.push_line(&mut row, line)?;
        }
        if row.get("lines").and_then(|lines| lines.get("data")).and_then(Json::as_array).is_none_or(Vec::is_empty) {
            let message = format!("No upcoming invoices for customer: {customer}");
            return Err(Refused::new(404, "invalid_request_error", message).code("invoice_upcoming_none"));
        }
        self.sum(&mut row);
        row.shift_remove("id");
        Ok(Json::Object(row))
    }

    fn preview_currency(&self, customer: &str, subscription: Option<&Row>) -> String {
        let known = subscription.map(|row| text(row, "currency")).filter(|known| !known.is_empty());
        known.or_else(|| some(self.get("Customer", customer)?, "currency")).unwrap_or("usd").to_owned()
    }

    fn preview_lines(&mut self, params: &Row, subscription: Option<&Row>) -> Result<Vec<Json>> {
        let wanted =
            params.get("subscription_details").and_then(|details| details.get("items")).and_then(Json::as_array).cloned();
        match (wanted, subscription) {
            (Some(items), _) => {
                let end = self.now + 30 * 24 * 3600;
                let items = self.subscription_items(&items, "", self.now, end)?;
                Ok(items.iter().filter_map(Json::as_object).map(|item| self.line_of_item(item, "", "")).collect())
            }
            (None, Some(row)) => {
                let items = super::subscriptions::items(row).to_vec();
                Ok(items.iter().filter_map(Json::as_object).map(|item| self.line_of_item(item, text(row, "id"), "")).collect())
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// How a line is priced by a price.
pub(super) fn pricing_of(price: &Row) -> Json {
    json!({
        "price_details": {"price": text(price, "id"), "product": text(price, "product")},
        "type": "price_details",
        "unit_amount_decimal": price.get("unit_amount_decimal"),
    })
}

fn plain(unit: i64, product: &str) -> Json {
    json!({"price_details": {"price": "", "product": product}, "type": "price_details", "unit_amount_decimal": unit.to_string()})
}
