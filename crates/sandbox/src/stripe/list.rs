//! Lists: filters and cursors.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, number, text, word},
    error::{Refused, Result},
};

/// Rows in a page when nothing else is asked for, and most.
const LIMIT: i64 = 10;
const LIMIT_MAX: i64 = 100;
/// Parameters of lists that are no filters.
const PAGING: [&str; 4] = ["limit", "starting_after", "ending_before", "expand"];

/// How many rows a page shall hold.
pub(super) fn limit(params: &Row) -> Result<usize> {
    let limit = params.get("limit").and_then(Json::as_i64).unwrap_or(LIMIT);
    if limit < 1 {
        let message = "This value must be greater than or equal to 1.";
        return Err(Refused::invalid(message).code("parameter_invalid_integer").param("limit"));
    }
    if limit > LIMIT_MAX {
        let message = format!("This value must be less than or equal to {LIMIT_MAX} (it currently is '{limit}').");
        return Err(Refused::invalid(message).code("parameter_invalid_integer").param("limit"));
    }
    Ok(usize::try_from(limit).unwrap_or_default())
}

/// True when a time or number is in a range `{gt, gte, lt, lte}` or is that one.
pub(super) fn in_range(value: i64, wanted: &Json) -> bool {
    match wanted {
        Json::Object(range) => range.iter().all(|(name, bound)| {
            let bound = bound.as_i64().unwrap_or_default();
            match name.as_str() {
                "gt" => value > bound,
                "gte" => value >= bound,
                "lt" => value < bound,
                "lte" => value <= bound,
                _ => true,
            }
        }),
        _ => wanted.as_i64() == Some(value),
    }
}

/// True when an object passes the filters of a list.
fn passes(books: &Books, kind: &str, row: &Row, filters: &Row) -> bool {
    filters.iter().filter(|(name, _)| !PAGING.contains(&name.as_str())).all(|(name, wanted)| match (kind, name.as_str()) {
        ("Subscription", "status") => match wanted.as_str() {
            Some("all") => true,
            Some("ended") => matches!(text(row, "status"), "canceled" | "incomplete_expired"),
            wanted => some_is(row, "status", wanted),
        },
        ("Subscription", "price") => subscription_prices(row).any(|price| Some(price) == wanted.as_str()),
        ("Price" | "Product", "ids") | ("Product", "lookup_keys") => one_of(row, "id", wanted),
        ("Price", "lookup_keys") => one_of(row, "lookup_key", wanted),
        ("Price", "recurring") => within(row.get("recurring"), wanted),
        ("Event", "type") => matches(text(row, "type"), wanted.as_str().unwrap_or_default()),
        ("Event", "types") => {
            let types = wanted.as_array().map(Vec::as_slice).unwrap_or_default();
            types.is_empty() || types.iter().any(|wanted| matches(text(row, "type"), wanted.as_str().unwrap_or_default()))
        }
        ("Event", "delivery_success") => (number(row, "pending_webhooks") == 0) == wanted.as_bool().unwrap_or_default(),
        ("BalanceTransaction", "payout") => books.paid_out.get(text(row, "id")).map(String::as_str) == wanted.as_str(),
        ("Invoice", "subscription") => super::invoices::subscription_of(row) == wanted.as_str(),
        ("InvoiceItem", "pending") => row.get("invoice").is_some_and(Json::is_null) == wanted.as_bool().unwrap_or_default(),
        ("InvoicePayment", "payment") => within(row.get("payment"), wanted),
        ("checkout.Session", "customer_details") => within(row.get("customer_details"), wanted),
        ("PromotionCode", "coupon") => row.get("promotion").and_then(|promotion| promotion.get("coupon")) == Some(wanted),
        ("PaymentMethod", "type") => some_is(row, "type", wanted.as_str()),
        // A range is asked of any time, and of amounts.
        (_, name) if wanted.is_object() || (wanted.is_i64() && row.get(name).is_some_and(Json::is_i64)) => {
            row.get(name).and_then(Json::as_i64).is_some_and(|value| in_range(value, wanted))
        }
        (_, name) => row.get(name).is_none_or(|value| value == wanted),
    })
}

fn some_is(row: &Row, name: &str, wanted: Option<&str>) -> bool {
    row.get(name).and_then(Json::as_str) == wanted
}

fn one_of(row: &Row, name: &str, wanted: &Json) -> bool {
    wanted.as_array().is_none_or(|list| row.get(name).is_some_and(|value| list.contains(value)))
}

fn within(part: Option<&Json>, wanted: &Json) -> bool {
    let wanted = wanted.as_object();
    wanted.is_none_or(|wanted| wanted.iter().all(|(name, value)| part.and_then(|part| part.get(name)) == Some(value)))
}

/// `invoice.*` stands for all that begin so.
pub(super) fn matches(event: &str, wanted: &str) -> bool {
    wanted == "*" || event == wanted || wanted.strip_suffix('*').is_some_and(|start| event.starts_with(start))
}

/// The prices a subscription holds.
pub(super) fn subscription_prices(row: &Row) -> impl Iterator<Item = &str> {
    let items = row.get("items").and_then(|items| items.get("data")).and_then(Json::as_array);
    items.into_iter().flatten().filter_map(|item| item.get("price")?.get("id")?.as_str())
}

impl Books {
    /// A page of a table. `fixed` are filters out of the path.
    pub(super) fn list(&self, kind: &'static str, url: &str, params: &Row, fixed: &[(&str, &str)]) -> Result {
        let limit = limit(params)?;
        let mut filters = params.clone();
        filters.extend(fixed.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        // Canceled subscriptions are seen only by those who ask.
        if kind == "Subscription" && !filters.contains_key("status") {
            filters.insert("status".into(), json!("all"));
            return self.page(kind, url, &filters, limit, |row| text(row, "status") != "canceled");
        }
        if kind == "Event" {
            let oldest = self.now - EVENT_AGE_S;
            return self.page(kind, url, &filters, limit, |row| number(row, "created") >= oldest);
        }
        // Objects on a test clock show only where one clock is asked for, or the customer is.
        let clocks =
            filters.contains_key("test_clock") || filters.contains_key("customer") || filters.contains_key("subscription");
        self.page(kind, url, &filters, limit, |row| clocks || row.get("test_clock").is_none_or(Json::is_null))
    }

    fn page(&self, kind: &'static str, url: &str, filters: &Row, limit: usize, also: impl Fn(&Row) -> bool) -> Result {
        let cursor = |name: &str| filters.get(name).and_then(Json::as_str);
        let (after, before) = (cursor("starting_after"), cursor("ending_before"));
        if after.is_some() && before.is_some() {
            let message = "You can only specify one of these parameters: starting_after, ending_before.";
            return Err(Refused::invalid(message).code("parameters_exclusive").param("ending_before"));
        }
        for (param, id) in [("starting_after", after), ("ending_before", before)] {
            let there = |row: &Row| kind != "Event" || number(row, "created") >= self.now - EVENT_AGE_S;
            if let Some(id) = id.filter(|id| !self.get(kind, id).is_some_and(there)) {
                return Err(Refused { status: 400, ..Refused::missing(word(kind), id, param) });
            }
        }
        let Some(table) = self.table(kind) else {
            return Ok(super::books::page(url, Vec::new()));
        };
        let fits = |row: &&Row| also(row) && passes(self, kind, row, filters);
        let (rows, more): (Vec<&Row>, bool) = match before {
            Some(id) => {
                let mut rows: Vec<&Row> = table.newer(id).filter(fits).take(limit + 1).collect();
                let more = rows.len() > limit;
                rows.truncate(limit);
                rows.reverse();
                (rows, more)
            }
            None => {
                let mut rows: Vec<&Row> = table.older(after).filter(fits).take(limit + 1).collect();
                let more = rows.len() > limit;
                rows.truncate(limit);
                (rows, more)
            }
        };
        let data: Vec<Json> = rows.into_iter().map(|row| Json::Object(row.clone())).collect();
        Ok(json!({"object": "list", "data": data, "has_more": more, "url": url}))
    }

    /// A page of things that are kept inside an object.
    pub(super) fn slice(items: &[Json], url: &str, params: &Row) -> Result {
        let limit = limit(params)?;
        let after = params.get("starting_after").and_then(Json::as_str);
        let from = match after {
            Some(id) => items.iter().position(|item| item.get("id").and_then(Json::as_str) == Some(id)).map(|place| place + 1),
            None => Some(0),
        };
        let from = from.ok_or_else(|| Refused::missing("line_item", after.unwrap_or_default(), "starting_after"))?;
        let data: Vec<Json> = items.iter().skip(from).take(limit).cloned().collect();
        let more = items.len() > from + data.len();
        Ok(json!({"object": "list", "data": data, "has_more": more, "url": url}))
    }
}

/// How long events are listed.
const EVENT_AGE_S: i64 = 30 * 24 * 3600;
