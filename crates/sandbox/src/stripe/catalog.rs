//! Products, prices, coupons, promotion codes, tax rates.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, flag, number, set, some, text},
    error::{Refused, Result},
    generic::merge,
    money,
};

impl Books {
    pub(super) fn catalog(&mut self, name: &str, id: &str, params: &Row) -> Option<Result> {
        Some(match name {
            "Product.create" => self.create_product(params),
            "Product.update" => self.update_product(id, params),
            "Product.delete" => self.delete_product(id),
            "Price.create" => self.create_price(params).map(Json::Object),
            "Price.update" => self.update_price(id, params),
            "Coupon.create" => self.create_coupon(params),
            "PromotionCode.create" => self.create_promotion(params),
            _ => return None,
        })
    }

    fn create_product(&mut self, params: &Row) -> Result {
        let mut params = params.clone();
        let price = params.shift_remove("default_price_data");
        let mut row = self.made("Product", &params);
        if let Some(id) = some(&params, "id") {
            row.insert("id".into(), json!(id));
        }
        set(&mut row, [("updated", json!(self.now)), ("type", json!("service"))]);
        let id = text(&row, "id").to_owned();
        let price_data = price.as_ref().and_then(Json::as_object);
        if let Some(price) = price_data {
            money::currency(price)?;
        }
        let made = self.keep("Product", row)?;
        let Some(price) = price_data else { return Ok(made) };
        let mut price = price.clone();
        price.insert("product".into(), json!(id));
        let price = self.create_price(&price)?;
        self.change("Product", &id, "product.updated", |row| {
            row.insert("default_price".into(), price.get("id").cloned().unwrap_or(Json::Null));
        })
    }

    fn update_product(&mut self, id: &str, params: &Row) -> Result {
        self.need("Product", id, "id")?;
        if let Some(price) = some(params, "default_price") {
            self.need("Price", price, "default_price")?;
        }
        let now = self.now;
        self.change("Product", id, "product.updated", |row| {
            merge("Product", row, params);
            row.insert("updated".into(), json!(now));
        })
    }

    fn delete_product(&mut self, id: &str) -> Result {
        self.need("Product", id, "id")?;
        if self.all("Price").any(|price| text(price, "product") == id) {
            let message = "This product cannot be deleted because it has one or more user-created prices.";
            return Err(Refused::invalid(message));
        }
        self.delete("Product", id)
    }

    pub(super) fn create_price(&mut self, params: &Row) -> Result<Row> {
        let currency = money::currency(params)?;
        let mut params = params.clone();
        params.insert("currency".into(), json!(currency));
        let product = match (some(&params, "product").map(str::to_owned), params.shift_remove("product_data")) {
            (Some(product), None) => {
                self.need("Product", &product, "product")?;
                product
            }
            (None, Some(Json::Object(data))) => {
                let made = self.create_product(&data)?;
                made.get("id").and_then(Json::as_str).unwrap_or_default().to_owned()
            }
            (Some(_), Some(_)) => {
                let message = "You may only specify one of these parameters: product, product_data.";
                return Err(Refused::invalid(message).code("parameters_exclusive"));
            }
            _ => return Err(Refused::needed("product")),
        };
        let (amount, decimal) = amounts(&params)?;
        if amount.is_none() && decimal.is_none() && !params.contains_key("tiers") && !params.contains_key("custom_unit_amount") {
            let message = "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.";
            return Err(Refused::invalid(message).code("parameter_missing").param("unit_amount"));
        }
        let recurring = params.shift_remove("recurring");
        let lookup = some(&params, "lookup_key").map(str::to_owned);
        if let Some(key) = &lookup {
            self.free_lookup(key, flag(&params, "transfer_lookup_key"))?;
        }
        let mut row = self.made("Price", &params);
        set(
            &mut row,
            [
                ("product", json!(product)),
                ("unit_amount", json!(amount)),
                ("unit_amount_decimal", json!(decimal)),
                ("type", json!(if recurring.is_some() { "recurring" } else { "one_time" })),
                ("recurring", recurring.map_or(Json::Null, |given| schedule(&given))),
            ],
        );
        for hidden in ["currency_options", "tiers"] {
            row.shift_remove(hidden);
        }
        self.keep("Price", row.clone())?;
        Ok(row)
    }

    /// A lookup key belongs to one price.
    fn free_lookup(&mut self, key: &str, transfer: bool) -> Result<()> {
        let holder =
            self.all("Price").find(|price| some(price, "lookup_key") == Some(key)).map(|price| text(price, "id").to_owned());
        match holder {
            Some(holder) if transfer => self
                .change("Price", &holder, "price.updated", |row| {
                    row.insert("lookup_key".into(), Json::Null);
                })
                .map(drop),
            Some(holder) => {
                let message = format!("A price (`{holder}`) already uses that lookup key.");
                Err(Refused::invalid(message).param("lookup_key"))
            }
            None => Ok(()),
        }
    }

    fn update_price(&mut self, id: &str, params: &Row) -> Result {
        let held = some(self.need("Price", id, "id")?, "lookup_key").map(str::to_owned);
        if let Some(key) = some(params, "lookup_key").filter(|key| held.as_deref() != Some(*key)) {
            self.free_lookup(key, flag(params, "transfer_lookup_key"))?;
        }
        self.update("Price", id, params)
    }

    fn create_coupon(&mut self, params: &Row) -> Result {
        let (percent, amount) =
            (params.get("percent_off").and_then(Json::as_f64), params.get("amount_off").and_then(Json::as_i64));
        match (percent, amount) {
            (None, None) => {
                return Err(Refused::invalid("Must provide percent_off or amount_off.")
                    .code("parameter_missing")
                    .param("percent_off"));
            }
            (Some(_), Some(_)) => {
                return Err(Refused::invalid("You may only specify one of these parameters: percent_off, amount_off.")
                    .code("parameters_exclusive"));
            }
            (Some(percent), None) if percent <= 0.0 || percent > 100.0 => {
                return Err(Refused::invalid("Invalid percent_off: must be greater than 0 and at most 100.").param("percent_off"));
            }
            (None, Some(_)) if !params.contains_key("currency") => return Err(Refused::needed("currency")),
            _ => {}
        }
        let mut params = params.clone();
        if some(&params, "duration") == Some("repeating") && !params.contains_key("duration_in_months") {
            return Err(Refused::needed("duration_in_months"));
        }
        if !params.contains_key("duration") {
            params.insert("duration".into(), json!("once"));
        }
        if params.contains_key("currency") {
            let currency = money::currency(&params)?;
            params.insert("currency".into(), json!(currency));
        }
        let mut row = self.made("Coupon", &params);
        let id = some(&params, "id").map_or_else(|| self.text(8), str::to_owned);
        set(&mut row, [("id", json!(id)), ("valid", json!(true))]);
        row.shift_remove("currency_options");
        self.keep("Coupon", row)
    }

    fn create_promotion(&mut self, params: &Row) -> Result {
        let promotion = params.get("promotion").and_then(Json::as_object);
        let coupon =
            promotion.and_then(|promotion| some(promotion, "coupon")).ok_or_else(|| Refused::needed("promotion[coupon]"))?;
        self.need("Coupon", coupon, "promotion[coupon]")?;
        let code = some(params, "code").map_or_else(|| self.text(8).to_uppercase(), str::to_owned);
        let taken = |row: &Row| flag(row, "active") && text(row, "code").eq_ignore_ascii_case(&code);
        if self.all("PromotionCode").any(taken) {
            let message = format!("An active promotion code with `code: {code}` already exists.");
            return Err(Refused::invalid(message).param("code"));
        }
        let mut row = self.made("PromotionCode", params);
        set(
            &mut row,
            [
                ("code", json!(code)),
                ("active", json!(true)),
                ("promotion", json!({"coupon": coupon, "type": "coupon"})),
                ("times_redeemed", json!(0)),
            ],
        );
        self.keep("PromotionCode", row)
    }

    /// What a coupon takes off a sum.
    pub(super) fn off(&self, coupon: &str, sum: i64) -> i64 {
        let Some(row) = self.get("Coupon", coupon) else { return 0 };
        match row.get("percent_off").and_then(Json::as_f64) {
            // Percentages have at most two places.
            Some(percent) => {
                #[expect(clippy::cast_possible_truncation, reason = "a percentage with two places, times 100")]
                let hundredths = (percent * 100.0).round() as i64;
                (sum * hundredths + 5_000) / 10_000
            }
            None => number(row, "amount_off").min(sum),
        }
    }
}

/// The amount of one, as a whole number and as written.
fn amounts(params: &Row) -> Result<(Option<i64>, Option<String>)> {
    if let Some(amount) = params.get("unit_amount").and_then(Json::as_i64) {
        if amount < 0 {
            let message = "This value must be greater than or equal to 0.";
            return Err(Refused::invalid(message).code("parameter_invalid_integer").param("unit_amount"));
        }
        return Ok((Some(amount), Some(amount.to_string())));
    }
    let Some(decimal) = some(params, "unit_amount_decimal") else { return Ok((None, None)) };
    let fine =
        !decimal.is_empty() && decimal.chars().all(|c| c.is_ascii_digit() || c == '.') && decimal.matches('.').count() <= 1;
    if !fine {
        return Err(Refused::invalid(format!("Invalid decimal: {decimal}")).param("unit_amount_decimal"));
    }
    Ok((decimal.parse().ok(), Some(decimal.to_owned())))
}

fn schedule(given: &Json) -> Json {
    let given = given.as_object().cloned().unwrap_or_default();
    json!({
        "interval": given.get("interval").cloned().unwrap_or_else(|| json!("month")),
        "interval_count": given.get("interval_count").cloned().unwrap_or_else(|| json!(1)),
        "meter": given.get("meter").cloned().unwrap_or(Json::Null),
        "trial_period_days": given.get("trial_period_days").cloned().unwrap_or(Json::Null),
        "usage_type": given.get("usage_type").cloned().unwrap_or_else(|| json!("licensed")),
    })
}
