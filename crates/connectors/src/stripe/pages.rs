//! Lists and searches, page by page.

use connector::{Action, Cx, Page, StepError, whole};
use http::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    client::{Body, Client, filled, invalid, object},
    fields, form, objects,
    objects::{RESOURCES, Resource, named, resource},
};

/// Rows asked for at once; the most Stripe gives.
const PAGE_ROWS: u64 = 100;
/// Records an action holds at once; more are gone through in pages.
const RECORDS_MAX: usize = 10_000;

/// What a page needs besides its place.
#[derive(Clone, Copy)]
enum Way {
    /// The input names the resource.
    Any,
    One(&'static Resource),
    Search,
}

impl Way {
    fn resource(self, input: &Json) -> Result<&'static Resource, StepError> {
        if let Self::One(resource) = self {
            return Ok(resource);
        }
        let name = input.get("resource").and_then(Json::as_str).unwrap_or_default();
        named(name).ok_or_else(|| invalid("RESOURCE_UNKNOWN", format!("\"{name}\" is no list of Stripe that is known here")))
    }
}

/// Where a page begins, and how many records came before.
struct Place {
    after: Option<String>,
    page: Option<String>,
    seen: u64,
}

impl Place {
    fn of(cursor: Option<&Json>) -> Self {
        let text = |name: &str| cursor.and_then(|cursor| cursor.get(name)?.as_str()).map(str::to_owned);
        let seen = cursor.and_then(|cursor| cursor.get("seen")?.as_u64()).unwrap_or_default();
        Self { after: text("after"), page: text("page"), seen }
    }
}

async fn page(way: Way, cx: Cx, input: Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let resource = way.resource(&input)?;
    let place = Place::of(cursor.as_ref());
    let most = input.get("max_records").and_then(Json::as_u64);
    let left = most.map_or(PAGE_ROWS, |most| most.saturating_sub(place.seen));
    if left == 0 {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let mut fields = input.get("filters").and_then(Json::as_object).cloned().unwrap_or_default();
    for (name, bound) in [("created_from", "gte"), ("created_before", "lt")] {
        if let Some(time) = input.get(name).filter(|time| !time.is_null()) {
            let created = fields.entry("created").or_insert_with(|| json!({}));
            created[bound] = time.clone();
        }
    }
    fields.insert("limit".into(), json!(left.min(PAGE_ROWS)));
    for (name, value) in [("starting_after", &place.after), ("page", &place.page)] {
        if let Some(value) = value {
            fields.insert(name.into(), json!(value));
        }
    }
    let expanded = input.get("expand").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    let expanded: Vec<String> =
        expanded.map(|path| if path.starts_with("data.") { path.to_owned() } else { format!("data.{path}") }).collect();
    if !expanded.is_empty() {
        fields.insert("expand".into(), json!(expanded));
    }
    let mut path = filled(resource.path, &mut input.as_object().cloned().unwrap_or_default())?;
    if matches!(way, Way::Search) {
        path.push_str("/search");
        fields.insert("query".into(), input.get("query").cloned().unwrap_or_default());
    }
    let client = Client::new(&cx, &input)?;
    let answer = client.call(Method::GET, &path, &form::pairs(&fields)?, Body::None).await?;
    let mut found = object(&answer)?;
    let more = found["has_more"] == true;
    let Some(Json::Array(items)) = found.get_mut("data").map(Json::take) else {
        return Err(answer.unreadable("it is no list"));
    };
    if more && items.is_empty() {
        return Err(answer.unreadable("it promises more and gives nothing"));
    }
    let seen = place.seen + items.len() as u64;
    let next = if !more || most.is_some_and(|most| seen >= most) {
        None
    } else if matches!(way, Way::Search) {
        let next = found
            .get("next_page")
            .and_then(Json::as_str)
            .ok_or_else(|| answer.unreadable("it promises more and does not say where"))?;
        if place.page.as_deref() == Some(next) {
            return Err(answer.unreadable("its pages do not go on"));
        }
        Some(json!({"page": next, "seen": seen}))
    } else {
        let last = items.last().and_then(|row| row.get("id")?.as_str());
        let last = last.ok_or_else(|| answer.unreadable("it promises more and gives nothing"))?;
        // A list that begins again at the same place would never end.
        if place.after.as_deref() == Some(last) {
            return Err(answer.unreadable("its pages do not go on"));
        }
        Some(json!({"after": last, "seen": seen}))
    };
    Ok(Page { items, next })
}

fn common(mut properties: Map<String, Json>, required: &[&str]) -> Json {
    let more = json!({
        "max_records": {"type": ["integer", "null"], "minimum": 1, "title": "At most", "description": format!("Records in all. A step that holds them at once takes up to {RECORDS_MAX}; an each step with stream: true takes any number.")},
        "expand": {"type": ["array", "null"], "items": {"type": "string"}, "title": "Expand", "description": "Ids to be filled with their records, such as \"customer\"."},
        "connected_account": {"type": ["string", "null"], "pattern": "^acct_[A-Za-z0-9]+$", "title": "Connected account", "description": "For platforms: acts on this account in place of the connection's."}
    });
    properties.extend(more.as_object().cloned().unwrap_or_default());
    let mut context = fields::context();
    (context["title"], context["description"]) =
        (json!("Context"), json!("In place of the connected account, such as the context of a thin event."));
    properties.insert("context".into(), context);
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn filters(help: &str) -> Map<String, Json> {
    let filters = json!({
        "filters": {"type": ["object", "null"], "title": "Filters", "description": help},
        "created_from": {"type": ["integer", "null"], "title": "Made at or after", "description": "Seconds since 1970."},
        "created_before": {"type": ["integer", "null"], "title": "Made before", "description": "Seconds since 1970."}
    });
    filters.as_object().cloned().unwrap_or_default()
}

fn output(object: &str) -> Json {
    let row = if object.is_empty() { json!({"type": "object"}) } else { objects::schema(object) };
    json!({"type": "object", "properties": {"records": {"type": "array", "title": "Records", "items": row}}, "required": ["records"], "additionalProperties": false})
}

fn listing(id: &'static str, title: &'static str, summary: &'static str, way: Way, input: Json, object: &str) -> Action {
    let sample = if object.is_empty() { json!([]) } else { json!([objects::sample(object)]) };
    Action::new(id, title, summary, move |cx, input| async move {
        let records = whole(RECORDS_MAX, |cursor| page(way, cx.clone(), input.clone(), cursor)).await?;
        Ok(json!({ "records": records }))
    })
    .reads()
    .input(input)
    .output(output(object))
    .sample(json!({ "records": sample }))
    .pages(move |cx, input, cursor| page(way, cx, input, cursor))
}

/// The lists people look for by name: id, title, summary, what they can be filtered by.
const LISTS: &[(&str, &str, &str, &str, &str)] = &[
    ("customers", "list_customers", "List customers", "Lists customers, newest first.", "email (exact, letters count)."),
    ("payment_intents", "list_payment_intents", "List payments", "Lists payments, newest first.", "customer."),
    ("charges", "list_charges", "List charges", "Lists charges, newest first.", "customer, payment_intent, transfer_group."),
    ("refunds", "list_refunds", "List refunds", "Lists refunds, newest first.", "charge, payment_intent."),
    (
        "invoices",
        "list_invoices",
        "List invoices",
        "Lists invoices, newest first.",
        "customer, status, subscription, collection_method, due_date.",
    ),
    (
        "invoice_items",
        "list_invoice_items",
        "List invoice items",
        "Lists lines that were added to invoices, newest first.",
        "customer, invoice, pending.",
    ),
    (
        "subscriptions",
        "list_subscriptions",
        "List subscriptions",
        "Lists subscriptions, newest first; canceled ones only with status.",
        "customer, price, status (such as all).",
    ),
    ("products", "list_products", "List products", "Lists products, newest first.", "active, ids, url."),
    ("prices", "list_prices", "List prices", "Lists prices, newest first.", "active, product, lookup_keys, type, currency."),
    ("payouts", "list_payouts", "List payouts", "Lists payouts, newest first.", "status, arrival_date, destination."),
    ("disputes", "list_disputes", "List disputes", "Lists disputes, newest first.", "charge, payment_intent."),
    (
        "balance_transactions",
        "list_balance_transactions",
        "List balance transactions",
        "Lists movements of the balance, newest first.",
        "type, payout, source, currency.",
    ),
    (
        "checkout_sessions",
        "list_checkout_sessions",
        "List checkout sessions",
        "Lists checkout sessions, newest first.",
        "customer, status, payment_intent, subscription, payment_link.",
    ),
    ("payment_links", "list_payment_links", "List payment links", "Lists payment links, newest first.", "active."),
    ("coupons", "list_coupons", "List coupons", "Lists coupons, newest first.", "created (gt, gte, lt, lte)."),
    (
        "promotion_codes",
        "list_promotion_codes",
        "List promotion codes",
        "Lists promotion codes, newest first.",
        "active, code, coupon, customer.",
    ),
    ("credit_notes", "list_credit_notes", "List credit notes", "Lists credit notes, newest first.", "customer, invoice."),
    ("events", "list_events", "List events", "Lists events of the last 30 days, newest first.", "type, types, delivery_success."),
];

/// A list inside a record: the action's id, title and summary, the input that names the record, its title and an
/// example, and what is listed.
struct Inside {
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    of: [&'static str; 3],
    resource: Resource,
}

/// Of records with many lines only the first ones stand in the record itself, or none.
const INSIDE: &[Inside] = &[
    Inside {
        id: "list_invoice_lines",
        title: "List lines of an invoice",
        summary: "Lists the lines of an invoice; the invoice itself tells only the first ten.",
        of: ["invoice", "Invoice", "in_…"],
        resource: resource("invoice_lines", "Lines of an invoice", "/v1/invoices/{invoice}/lines", "line_item"),
    },
    Inside {
        id: "list_checkout_session_lines",
        title: "List lines of a checkout session",
        summary: "Lists what is bought in a checkout session.",
        of: ["session", "Session", "cs_…"],
        resource: resource(
            "checkout_session_lines",
            "Lines of a checkout session",
            "/v1/checkout/sessions/{session}/line_items",
            "item",
        ),
    },
    Inside {
        id: "list_payment_link_lines",
        title: "List lines of a payment link",
        summary: "Lists what is bought through a payment link.",
        of: ["payment_link", "Payment link", "plink_…"],
        resource: resource(
            "payment_link_lines",
            "Lines of a payment link",
            "/v1/payment_links/{payment_link}/line_items",
            "item",
        ),
    },
    Inside {
        id: "list_customer_balance_transactions",
        title: "List movements of a customer's balance",
        summary: "Lists what was given to a customer as credit or added to what is owed, newest first.",
        of: ["customer", "Customer", "cus_…"],
        resource: resource(
            "customer_balance_transactions",
            "Movements of a customer's balance",
            "/v1/customers/{customer}/balance_transactions",
            "customer_balance_transaction",
        ),
    },
];

/// All lists and searches.
pub(super) fn all() -> Vec<Action> {
    let mut all = Vec::new();
    for (name, id, title, summary, by) in LISTS {
        if let Some(resource) = named(name) {
            let input = common(filters(&format!("By Stripe's names: {by}")), &[]);
            all.push(listing(id, title, summary, Way::One(resource), input, resource.object));
        }
    }
    for Inside { id, title, summary, of: [name, named, example], resource } in INSIDE {
        let help = format!("Its id in Stripe, such as {example}.");
        let owner = json!({"type": "string", "minLength": 1, "maxLength": 255, "title": named, "description": help});
        let input = common(Map::from_iter([((*name).to_owned(), owner)]), &[name]);
        all.push(listing(id, title, summary, Way::One(resource), input, resource.object));
    }
    let names: Vec<&str> = RESOURCES.iter().map(|resource| resource.name).collect();
    let titles: Vec<&str> = RESOURCES.iter().map(|resource| resource.title).collect();
    let mut any = filters("By Stripe's names, such as customer, status or active.");
    any.insert("resource".into(), json!({"enum": names, "title": "Records", "description": titles.join(", ")}));
    all.push(listing(
        "list_records",
        "List records",
        "Lists records of a kind, newest first.",
        Way::Any,
        common(any, &["resource"]),
        "",
    ));
    let names: Vec<&str> = RESOURCES.iter().filter(|resource| resource.searched).map(|resource| resource.name).collect();
    let mut search = Map::new();
    search.insert("resource".into(), json!({"enum": names, "title": "Records"}));
    search.insert("query".into(), json!({"type": "string", "minLength": 1, "title": "Query", "description": "In Stripe's search language, such as email:'a@b.co' AND metadata['external_id']:'C-0001'. What was just written is found only after a minute or so; accounts in India cannot search."}));
    all.push(listing(
        "search_records",
        "Search records",
        "Finds records by Stripe's search language.",
        Way::Search,
        common(search, &["resource", "query"]),
        "",
    ));
    all
}
