//! The items of subscriptions.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, flag, inner, number, set, some, text},
    error::{Refused, Result},
    generic::merge,
    invoices::lines,
    items::pricing_of,
    subscriptions::{after, items},
};

/// Items of a subscription.
const ITEMS_MAX: usize = 20;

impl Books {
    /// Items out of parameters, for one period.
    pub(super) fn subscription_items(
        &mut self,
        wanted: &[Json],
        subscription: &str,
        start: i64,
        trial_end: i64,
    ) -> Result<Vec<Json>> {
        if wanted.len() > ITEMS_MAX {
            return Err(Refused::invalid(format!("A subscription can have at most {ITEMS_MAX} items.")).param("items"));
        }
        let mut made = Vec::new();
        for (place, wanted) in wanted.iter().filter_map(Json::as_object).enumerate() {
            let price = self.recurring_price(wanted, &format!("items[{place}][price]"))?;
            let mut row = self.blank("SubscriptionItem");
            let end = if trial_end > start { trial_end } else { after(start, &price) };
            set(
                &mut row,
                [
                    ("subscription", json!(subscription)),
                    ("quantity", json!(wanted.get("quantity").and_then(Json::as_i64).unwrap_or(1))),
                    ("current_period_start", json!(start)),
                    ("current_period_end", json!(end)),
                    ("plan", plan(&price)),
                    ("price", Json::Object(price)),
                    ("metadata", wanted.get("metadata").cloned().filter(Json::is_object).unwrap_or_else(|| json!({}))),
                ],
            );
            made.push(Json::Object(row));
        }
        Ok(made)
    }

    fn recurring_price(&mut self, wanted: &Row, param: &str) -> Result<Row> {
        if let Some(data) = wanted.get("price_data").and_then(Json::as_object) {
            let data = data.clone();
            return self.create_price(&data);
        }
        let id = some(wanted, "price").or_else(|| some(wanted, "plan")).ok_or_else(|| Refused::needed(param))?;
        let price = self.need("Price", id, param)?.clone();
        if !flag(&price, "active") {
            let message = "The price specified is inactive. This field only accepts active prices.";
            return Err(Refused::invalid(message).param(param));
        }
        if text(&price, "type") != "recurring" {
            let message =
                "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.";
            return Err(Refused::invalid(message).param(param));
        }
        Ok(price)
    }

    /// Items by id are changed or dropped, others are added.
    pub(super) fn change_items(&mut self, row: &mut Row, wanted: &[Json]) -> Result<()> {
        let id = text(row, "id").to_owned();
        let mut kept: Vec<Json> = items(row).to_vec();
        let start = kept.first().and_then(|item| item.get("current_period_start")?.as_i64()).unwrap_or(self.now);
        let end = kept.first().and_then(|item| item.get("current_period_end")?.as_i64()).unwrap_or(self.now);
        for (place, one) in wanted.iter().filter_map(Json::as_object).enumerate() {
            let Some(item) = some(one, "id") else {
                let one = Json::Object(one.clone());
                let mut new = self.subscription_items(&[one], &id, start, end)?;
                kept.append(&mut new);
                continue;
            };
            let position = kept.iter().position(|kept| kept.get("id").and_then(Json::as_str) == Some(item));
            let position = position.ok_or_else(|| Refused {
                status: 400,
                ..Refused::missing("subscription_item", item, &format!("items[{place}][id]"))
            })?;
            if flag(one, "deleted") {
                kept.remove(position);
                continue;
            }
            let price = if one.contains_key("price") || one.contains_key("price_data") {
                Some(self.recurring_price(one, &format!("items[{place}][price]"))?)
            } else {
                None
            };
            if let Some(item) = kept[position].as_object_mut() {
                if let Some(price) = price {
                    set(item, [("plan", plan(&price)), ("price", Json::Object(price))]);
                }
                let change: Row = one
                    .iter()
                    .filter(|(name, _)| matches!(name.as_str(), "quantity" | "metadata"))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                merge("SubscriptionItem", item, &change);
            }
        }
        if kept.is_empty() {
            return Err(Refused::invalid("A subscription must have at least one item.").param("items"));
        }
        if let Some(data) = row.get_mut("items").and_then(|items| items.get_mut("data")) {
            *data = Json::Array(kept);
        }
        Ok(())
    }

    /// An item and the subscription it is of.
    pub(super) fn item_of(&self, id: &str) -> Result<(String, Row)> {
        let found = self.all("Subscription").find_map(|row| {
            let item = items(row).iter().find(|item| item.get("id").and_then(Json::as_str) == Some(id))?;
            Some((text(row, "id").to_owned(), item.as_object()?.clone()))
        });
        found.ok_or_else(|| Refused::missing("subscription_item", id, "id"))
    }

    pub(super) fn add_item(&mut self, params: &Row) -> Result {
        let subscription = some(params, "subscription").ok_or_else(|| Refused::needed("subscription"))?.to_owned();
        let mut one = params.clone();
        let behaviour = one.shift_remove("proration_behavior").unwrap_or_else(|| json!("create_prorations"));
        let change = json!({"items": [one], "proration_behavior": behaviour});
        let done = self.update_subscription(&subscription, change.as_object().unwrap_or(&Row::new()))?;
        done.as_object().map(items).and_then(<[Json]>::last).cloned().ok_or_else(|| Refused::needed("price"))
    }

    pub(super) fn change_item(&mut self, id: &str, params: &Row) -> Result {
        let (subscription, _) = self.item_of(id)?;
        let mut one = params.clone();
        let behaviour = one.shift_remove("proration_behavior").unwrap_or_else(|| json!("create_prorations"));
        one.insert("id".into(), json!(id));
        let change = json!({"items": [one], "proration_behavior": behaviour});
        self.update_subscription(&subscription, change.as_object().unwrap_or(&Row::new()))?;
        self.item_of(id).map(|(_, item)| Json::Object(item))
    }

    pub(super) fn drop_item(&mut self, id: &str) -> Result {
        let (subscription, _) = self.item_of(id)?;
        let change = json!({"items": [{"id": id, "deleted": true}]});
        self.update_subscription(&subscription, change.as_object().unwrap_or(&Row::new()))?;
        Ok(json!({"id": id, "object": "subscription_item", "deleted": true}))
    }

    /// A line for one item's period.
    pub(super) fn line_of_item(&self, item: &Row, subscription: &str, invoice: &str) -> Json {
        let price = inner(item, "price").cloned().unwrap_or_default();
        let quantity = number(item, "quantity");
        let amount = number(&price, "unit_amount") * quantity;
        let product = self.get("Product", text(&price, "product")).map(|row| text(row, "name").to_owned()).unwrap_or_default();
        let each = inner(&price, "recurring").map(|schedule| text(schedule, "interval").to_owned()).unwrap_or_default();
        let mut line = self.blank("InvoiceLineItem");
        set(
            &mut line,
            [
                ("amount", json!(amount)),
                ("subtotal", json!(amount)),
                ("currency", price.get("currency").cloned().unwrap_or_default()),
                ("description", json!(format!("{quantity} × {product} (at {} / {each})", amount_words(&price)))),
                ("invoice", json!(invoice)),
                ("period", json!({"start": number(item, "current_period_start"), "end": number(item, "current_period_end")})),
                ("quantity", json!(quantity)),
                ("pricing", pricing_of(&price)),
                ("subscription", json!(subscription)),
                ("taxes", json!([])),
                (
                    "parent",
                    json!({"invoice_item_details": null, "subscription_item_details": {
                    "invoice_item": null, "proration": false, "proration_details": {"credited_items": null}, "subscription": subscription,
                    "subscription_item": text(item, "id"),
                }, "type": "subscription_item_details"}),
                ),
            ],
        );
        Json::Object(line)
    }

    /// True when an invoice bills anything.
    pub(super) fn has_lines(&self, invoice: &str) -> bool {
        self.get("Invoice", invoice).is_some_and(|row| !lines(row).is_empty())
    }
}

fn amount_words(price: &Row) -> String {
    let amount = number(price, "unit_amount");
    format!("{}.{:02} {}", amount / 100, amount.rem_euclid(100), text(price, "currency"))
}

/// The older form of a price.
fn plan(price: &Row) -> Json {
    let schedule = inner(price, "recurring").cloned().unwrap_or_default();
    json!({
        "id": text(price, "id"), "object": "plan", "active": price.get("active"), "amount": price.get("unit_amount"),
        "amount_decimal": price.get("unit_amount_decimal"), "billing_scheme": price.get("billing_scheme"), "created": price.get("created"),
        "currency": price.get("currency"), "interval": schedule.get("interval"), "interval_count": schedule.get("interval_count"),
        "livemode": price.get("livemode"), "metadata": price.get("metadata"), "meter": schedule.get("meter"), "nickname": price.get("nickname"),
        "product": price.get("product"), "tiers_mode": null, "transform_usage": null, "trial_period_days": null,
        "usage_type": schedule.get("usage_type"),
    })
}
