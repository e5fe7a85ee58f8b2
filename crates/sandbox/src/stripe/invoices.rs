//! Invoices: drafts, lines, sums.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Due, Row, flag, inner, number, page, set, some, text},
    error::{Refused, Result},
    generic::merge,
    money,
};

/// How long a draft waits before it is finalized by itself.
pub(super) const DRAFT_S: i64 = 3600;
const DAY_S: i64 = 24 * 3600;
/// Lines of an invoice.
const LINES_MAX: usize = 250;

/// The subscription an invoice is for.
pub(super) fn subscription_of(row: &Row) -> Option<&str> {
    row.get("parent")?.get("subscription_details")?.get("subscription")?.as_str()
}

/// The lines of an invoice.
pub(super) fn lines(row: &Row) -> &[Json] {
    row.get("lines").and_then(|lines| lines.get("data")).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// An invoice item written as a line.
pub(super) fn line_of(books: &Books, item: &Row, invoice: &str) -> Json {
    let mut line = books.blank("InvoiceLineItem");
    for name in ["amount", "currency", "description", "discountable", "metadata", "period", "quantity", "pricing"] {
        if let Some(value) = item.get(name) {
            line.insert(name.into(), value.clone());
        }
    }
    set(
        &mut line,
        [
            ("invoice", json!(invoice)),
            ("subtotal", item.get("amount").cloned().unwrap_or_default()),
            ("taxes", json!([])),
            ("pretax_credit_amounts", json!([])),
            (
                "parent",
                json!({"invoice_item_details": {
                "invoice_item": text(item, "id"), "proration": flag(item, "proration"), "proration_details": {"credited_items": null}, "subscription": null,
            }, "subscription_item_details": null, "type": "invoice_item_details"}),
            ),
        ],
    );
    Json::Object(line)
}

impl Books {
    pub(super) fn invoices(&mut self, name: &str, ids: &[String], url: &str, params: &Row) -> Option<Result> {
        let id = ids.first().map(String::as_str).unwrap_or_default();
        Some(match name {
            "Invoice.create" => self.create_invoice(params),
            "Invoice.update" => self.update_invoice(id, params),
            "Invoice.delete" => self.delete_invoice(id),
            "Invoice.finalize_invoice" => self.finalize_by_hand(id, params),
            "Invoice.pay" => self.pay_by_hand(id, params),
            "Invoice.send_invoice" => self.send_invoice(id),
            "Invoice.void_invoice" => self.void_invoice(id),
            "Invoice.mark_uncollectible" => self.mark_uncollectible(id),
            "Invoice.create_preview" => self.preview(params),
            "Invoice.add_lines" => self.add_lines(id, params),
            "InvoiceLineItem.list" => match self.need("Invoice", id, "id") {
                Ok(row) => Self::slice(lines(row), url, params),
                Err(refused) => Err(refused),
            },
            "InvoiceItem.create" => self.create_item(params),
            "InvoiceItem.update" => self.update_item(id, params),
            "InvoiceItem.delete" => self.delete_item(id),
            _ => return None,
        })
    }

    /// A draft with what is always known of an invoice.
    pub(super) fn draft(&mut self, customer: &str, currency: &str, reason: &str) -> Result<Row> {
        let person = self.need("Customer", customer, "customer")?.clone();
        let mut row = self.blank("Invoice");
        let id = text(&row, "id").to_owned();
        set(
            &mut row,
            [
                ("account_country", json!("US")),
                ("account_name", json!("Northwind Instruments")),
                ("billing_reason", json!(reason)),
                ("currency", json!(currency)),
                ("customer", json!(customer)),
                ("customer_address", person.get("address").cloned().unwrap_or(Json::Null)),
                ("customer_email", person.get("email").cloned().unwrap_or(Json::Null)),
                ("customer_name", person.get("name").cloned().unwrap_or(Json::Null)),
                ("customer_phone", person.get("phone").cloned().unwrap_or(Json::Null)),
                ("customer_shipping", person.get("shipping").cloned().unwrap_or(Json::Null)),
                ("lines", page(&format!("/v1/invoices/{id}/lines"), Vec::new())),
                ("period_start", json!(self.now)),
                ("period_end", json!(self.now)),
                ("starting_balance", json!(number(&person, "balance"))),
                ("test_clock", person.get("test_clock").cloned().unwrap_or(Json::Null)),
                ("total_taxes", json!([])),
            ],
        );
        Ok(row)
    }

    fn create_invoice(&mut self, params: &Row) -> Result {
        let customer = some(params, "customer").ok_or_else(|| Refused::needed("customer"))?.to_owned();
        self.need("Customer", &customer, "customer")?;
        let clock = self.take_clock_of(&customer);
        let currency = if params.contains_key("currency") {
            money::currency(params)?
        } else {
            let known = self.get("Customer", &customer).and_then(|row| some(row, "currency"));
            known.unwrap_or("usd").to_owned()
        };
        check_terms(params)?;
        let mut row = self.draft(&customer, &currency, "manual")?;
        let mut params = params.clone();
        params.insert("currency".into(), json!(currency));
        let days = params.shift_remove("days_until_due");
        if let Some(subscription) = some(&params, "subscription").map(str::to_owned) {
            self.need("Subscription", &subscription, "subscription")?;
            row.insert("parent".into(), super::subscriptions::parent(&subscription, &json!({})));
        }
        let discounts = params.shift_remove("discounts");
        merge("Invoice", &mut row, &params);
        if let Some(days) = days.as_ref().and_then(Json::as_i64) {
            row.insert("due_date".into(), json!(self.now + days * DAY_S));
        }
        self.discount(&mut row, discounts.as_ref(), "invoice")?;
        let id = text(&row, "id").to_owned();
        if some(&params, "pending_invoice_items_behavior") == Some("include") {
            self.gather_items(&mut row, &customer, &currency)?;
        }
        self.sum(&mut row);
        if flag(&row, "auto_advance") {
            let at = self.now + DRAFT_S;
            row.insert("automatically_finalizes_at".into(), json!(at));
            self.later(clock.as_deref(), at, Due::Finalize(id));
        }
        self.keep("Invoice", row)
    }

    /// Puts a customer's pending items on an invoice.
    pub(super) fn gather_items(&mut self, row: &mut Row, customer: &str, currency: &str) -> Result<()> {
        let pending = |item: &&Row| {
            text(item, "customer") == customer
                && item.get("invoice").is_some_and(Json::is_null)
                && text(item, "currency") == currency
        };
        let items: Vec<Row> = self.all("InvoiceItem").filter(pending).take(LINES_MAX).cloned().collect();
        let id = text(row, "id").to_owned();
        for item in items {
            self.push_line(row, line_of(self, &item, &id))?;
            if let Some(item) = self.row_mut("InvoiceItem", text(&item, "id")) {
                item.insert("invoice".into(), json!(id));
            }
        }
        Ok(())
    }

    pub(super) fn push_line(&self, row: &mut Row, line: Json) -> Result<()> {
        let data = row.get_mut("lines").and_then(|lines| lines.get_mut("data")).and_then(Json::as_array_mut);
        let Some(data) = data else { return Ok(()) };
        if data.len() >= LINES_MAX {
            let message = format!("An invoice can have at most {LINES_MAX} line items.");
            return Err(Refused::invalid(message).code("invoice_max_line_items"));
        }
        data.push(line);
        Ok(())
    }

    /// Discounts by coupon or promotion code, kept as objects of their own.
    pub(super) fn discount(&mut self, row: &mut Row, given: Option<&Json>, owner: &str) -> Result<()> {
        let Some(given) = given.and_then(Json::as_array) else { return Ok(()) };
        let mut ids = Vec::new();
        for one in given.iter().filter_map(Json::as_object) {
            let code = some(one, "promotion_code").map(str::to_owned);
            let coupon = match &code {
                Some(code) => {
                    let row = self.need("PromotionCode", code, "discounts[0][promotion_code]")?;
                    inner(row, "promotion").map(|promotion| text(promotion, "coupon").to_owned()).unwrap_or_default()
                }
                None => some(one, "coupon").ok_or_else(|| Refused::needed("discounts[0][coupon]"))?.to_owned(),
            };
            self.need("Coupon", &coupon, "discounts[0][coupon]")?;
            if let Some(row) = self.row_mut("Coupon", &coupon) {
                let count = number(row, "times_redeemed") + 1;
                row.insert("times_redeemed".into(), json!(count));
            }
            let mut discount = self.blank("Discount");
            let id = text(&discount, "id").to_owned();
            set(
                &mut discount,
                [
                    ("customer", row.get("customer").cloned().unwrap_or(Json::Null)),
                    ("promotion_code", json!(code)),
                    ("source", json!({"coupon": coupon, "type": "coupon"})),
                    ("start", json!(self.now)),
                    (owner, json!(text(row, "id"))),
                ],
            );
            self.insert("Discount", discount)?;
            ids.push(json!(id));
        }
        row.insert("discounts".into(), Json::Array(ids));
        Ok(())
    }

    /// Adds up lines, discounts, taxes and the customer's balance.
    pub(super) fn sum(&self, row: &mut Row) {
        let subtotal: i64 = lines(row).iter().filter_map(|line| line.get("amount")?.as_i64()).sum();
        let discounts: Vec<String> = row
            .get("discounts")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .filter_map(|id| id.as_str().map(str::to_owned))
            .collect();
        let mut left = subtotal;
        let mut taken = Vec::new();
        for id in discounts {
            let coupon =
                self.get("Discount", &id).and_then(|row| inner(row, "source")).map(|source| text(source, "coupon").to_owned());
            let off = self.off(&coupon.unwrap_or_default(), left.max(0));
            left -= off;
            taken.push(json!({"amount": off, "discount": id}));
        }
        let (taxes, tax) = self.taxes(row, left);
        let total = left + tax;
        let paid = number(row, "amount_paid");
        let before = number(row, "starting_balance");
        let due = if total > 0 { (total + before).max(0) } else { 0 };
        set(
            row,
            [
                ("subtotal", json!(subtotal)),
                ("subtotal_excluding_tax", json!(subtotal)),
                ("total_discount_amounts", json!(taken)),
                ("total_excluding_tax", json!(left)),
                ("total_taxes", json!(taxes)),
                ("total", json!(total)),
                ("amount_due", json!(due)),
                ("amount_remaining", json!((due - paid).max(0))),
            ],
        );
    }

    fn taxes(&self, row: &Row, sum: i64) -> (Vec<Json>, i64) {
        let mut all = 0;
        let rates = row.get("default_tax_rates").and_then(Json::as_array).cloned().unwrap_or_default();
        let mut taxes = Vec::new();
        for rate in rates {
            let id = rate.as_str().or_else(|| rate.get("id")?.as_str()).unwrap_or_default().to_owned();
            let Some(rate) = self.get("TaxRate", &id) else { continue };
            let percent = rate.get("percentage").and_then(Json::as_f64).unwrap_or_default();
            #[expect(clippy::cast_possible_truncation, reason = "a percentage with four places, times 10,000")]
            let parts = (percent * 10_000.0).round() as i64;
            let amount = (sum * parts + 500_000) / 1_000_000;
            let inclusive = flag(rate, "inclusive");
            if !inclusive {
                all += amount;
            }
            taxes.push(json!({
                "amount": amount, "tax_behavior": if inclusive { "inclusive" } else { "exclusive" },
                "tax_rate_details": {"tax_rate": id}, "taxability_reason": "standard_rated", "taxable_amount": sum, "type": "tax_rate_details",
            }));
        }
        (taxes, all)
    }

    fn update_invoice(&mut self, id: &str, params: &Row) -> Result {
        let row = self.need("Invoice", id, "id")?.clone();
        let late = [
            "metadata",
            "description",
            "footer",
            "auto_advance",
            "default_payment_method",
            "payment_settings",
            "custom_fields",
            "due_date",
            "days_until_due",
        ];
        if text(&row, "status") != "draft" && params.keys().any(|name| !late.contains(&name.as_str())) {
            let message = "Finalized invoices can't be updated in this way.";
            return Err(Refused::invalid(message).code("invoice_not_editable"));
        }
        let mut new = row.clone();
        let mut params = params.clone();
        let discounts = params.shift_remove("discounts");
        merge("Invoice", &mut new, &params);
        self.discount(&mut new, discounts.as_ref(), "invoice")?;
        if text(&row, "status") == "draft" {
            self.sum(&mut new);
        }
        self.change("Invoice", id, "invoice.updated", |row| *row = new)
    }

    fn delete_invoice(&mut self, id: &str) -> Result {
        if text(self.need("Invoice", id, "id")?, "status") != "draft" {
            let message = "You can only delete draft invoices. To void a finalized invoice, use the void endpoint.";
            return Err(Refused::invalid(message).code("invoice_not_editable"));
        }
        self.free_items(id);
        self.forget(|due| *due == Due::Finalize(id.to_owned()));
        self.delete("Invoice", id)
    }

    fn free_items(&mut self, invoice: &str) {
        let ids: Vec<String> = self
            .all("InvoiceItem")
            .filter(|item| text(item, "invoice") == invoice)
            .map(|item| text(item, "id").to_owned())
            .collect();
        for id in ids {
            self.remove("InvoiceItem", &id);
        }
    }

    fn add_lines(&mut self, id: &str, params: &Row) -> Result {
        let row = self.need("Invoice", id, "id")?.clone();
        if text(&row, "status") != "draft" {
            return Err(Refused::invalid("Lines can only be added to a draft invoice.").code("invoice_not_editable"));
        }
        for line in params.get("lines").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_object) {
            let mut item = line.clone();
            set(&mut item, [("customer", json!(text(&row, "customer"))), ("invoice", json!(id))]);
            item.entry("currency").or_insert_with(|| json!(text(&row, "currency")));
            self.create_item(&item)?;
        }
        self.retrieve("Invoice", id, "id")
    }
}

/// A bill that is sent needs a day it is due; one that is charged has none.
fn check_terms(params: &Row) -> Result<()> {
    let sent = some(params, "collection_method") == Some("send_invoice");
    let (days, date) = (params.contains_key("days_until_due"), params.contains_key("due_date"));
    if days && date {
        return Err(Refused::invalid("You may only specify one of these parameters: days_until_due, due_date.")
            .code("parameters_exclusive"));
    }
    if sent && !days && !date {
        let message =
            "If invoice has `collection_method` set to `send_invoice`, you must specify `due_date` or `days_until_due`.";
        return Err(Refused::invalid(message).code("parameter_missing").param("days_until_due"));
    }
    if !sent && (days || date) {
        let message = "You can only set `due_date` or `days_until_due` if invoice has `collection_method` set to `send_invoice`.";
        return Err(Refused::invalid(message).param("days_until_due"));
    }
    Ok(())
}
