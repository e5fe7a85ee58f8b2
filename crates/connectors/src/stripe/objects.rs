//! What Stripe's objects hold, as far as recipes are told; Stripe adds fields without a new version.

use serde_json::{Map, Value as Json, json};

/// Names with their types: t text, i whole number, b yes or no, o record, a list; all may be null.
const KINDS: &[(&str, &str)] = &[
    (
        "account",
        "id:t object:t business_type:t charges_enabled:b country:t default_currency:t details_submitted:b email:t payouts_enabled:b settings:o",
    ),
    ("balance", "object:t available:a pending:a livemode:b"),
    (
        "balance_transaction",
        "id:t object:t amount:i amount_decimal:t available_on:i created:i currency:t description:t exchange_rate:n fee:i fee_decimal:t net:i net_decimal:t reporting_category:t source:x status:t type:t",
    ),
    ("billing.meter_event", "object:t created:i event_name:t identifier:t livemode:b payload:o timestamp:i"),
    (
        "charge",
        "id:t object:t amount:i amount_decimal:t amount_captured:i amount_refunded:i balance_transaction:x billing_details:o captured:b created:i currency:t customer:x description:t disputed:b failure_code:t failure_message:t livemode:b metadata:o outcome:o paid:b payment_intent:x payment_method:t payment_method_details:o receipt_url:t refunded:b status:t",
    ),
    (
        "checkout.session",
        "id:t object:t amount_total:i amount_total_decimal:t created:i currency:t customer:x customer_details:o expires_at:i invoice:x livemode:b metadata:o mode:t payment_intent:x payment_link:x payment_status:t status:t subscription:x success_url:t url:t",
    ),
    (
        "coupon",
        "id:t object:t amount_off:i amount_off_decimal:t created:i currency:t duration:t duration_in_months:i livemode:b metadata:o name:t percent_off:n times_redeemed:i valid:b",
    ),
    (
        "credit_note",
        "id:t object:t amount:i amount_decimal:t created:i currency:t customer:x invoice:x lines:o livemode:b memo:t metadata:o number:t pdf:t reason:t refunds:a status:t subtotal:i total:i total_decimal:t type:t",
    ),
    (
        "customer",
        "id:t object:t address:o balance:i balance_decimal:t business_name:t created:i currency:t default_source:x delinquent:b description:t email:t individual_name:t invoice_settings:o livemode:b metadata:o name:t phone:t preferred_locales:a shipping:o tax_exempt:t",
    ),
    (
        "customer_balance_transaction",
        "id:t object:t amount:i amount_decimal:t created:i currency:t customer:x description:t ending_balance:i ending_balance_decimal:t invoice:x livemode:b metadata:o type:t",
    ),
    (
        "dispute",
        "id:t object:t amount:i amount_decimal:t balance_transactions:a charge:x created:i currency:t evidence:o evidence_details:o is_charge_refundable:b livemode:b metadata:o payment_intent:x reason:t status:t",
    ),
    ("event", "id:t object:t account:t api_version:t created:i data:o livemode:b pending_webhooks:i request:o type:t"),
    ("file", "id:t object:t created:i filename:t purpose:t size:i type:t url:t"),
    (
        "invoice",
        "id:t object:t amount_due:i amount_due_decimal:t amount_paid:i amount_paid_decimal:t amount_remaining:i amount_remaining_decimal:t attempt_count:i billing_reason:t collection_method:t created:i currency:t customer:x customer_email:t customer_name:t description:t due_date:i hosted_invoice_url:t invoice_pdf:t lines:o livemode:b metadata:o next_payment_attempt:i number:t parent:o period_end:i period_start:i status:t status_transitions:o subtotal:i total:i total_decimal:t total_taxes:a",
    ),
    (
        "invoiceitem",
        "id:t object:t amount:i amount_decimal:t currency:t customer:x date:i description:t invoice:x livemode:b metadata:o period:o pricing:o proration:b quantity:i",
    ),
    (
        "item",
        "id:t object:t amount_discount:i amount_subtotal:i amount_subtotal_decimal:t amount_tax:i amount_total:i amount_total_decimal:t currency:t description:t discounts:a metadata:o price:o quantity:i taxes:a",
    ),
    (
        "line_item",
        "id:t object:t amount:i amount_decimal:t currency:t description:t discountable:b discounts:a invoice:t livemode:b metadata:o parent:o period:o pricing:o quantity:i subtotal:i subtotal_decimal:t taxes:a",
    ),
    (
        "payment_intent",
        "id:t object:t amount:i amount_decimal:t amount_capturable:i amount_received:i cancellation_reason:t capture_method:t created:i currency:t customer:x description:t last_payment_error:o latest_charge:x livemode:b metadata:o next_action:o payment_method:x receipt_email:t status:t",
    ),
    ("payment_link", "id:t object:t active:b currency:t livemode:b metadata:o url:t"),
    ("payment_method", "id:t object:t billing_details:o card:o created:i customer:x livemode:b metadata:o type:t"),
    (
        "payout",
        "id:t object:t amount:i amount_decimal:t arrival_date:i automatic:b balance_transaction:x created:i currency:t description:t failure_code:t failure_message:t livemode:b metadata:o method:t reconciliation_status:t status:t type:t",
    ),
    (
        "price",
        "id:t object:t active:b billing_scheme:t created:i currency:t livemode:b lookup_key:t metadata:o nickname:t product:x recurring:o type:t unit_amount:i unit_amount_decimal:t",
    ),
    ("product", "id:t object:t active:b created:i default_price:x description:t livemode:b metadata:o name:t updated:i url:t"),
    (
        "promotion_code",
        "id:t object:t active:b code:t created:i customer:x livemode:b max_redemptions:i metadata:o promotion:o times_redeemed:i",
    ),
    (
        "refund",
        "id:t object:t amount:i amount_decimal:t balance_transaction:x charge:x created:i currency:t failure_reason:t metadata:o payment_intent:x pending_reason:t reason:t status:t",
    ),
    (
        "subscription",
        "id:t object:t cancel_at:i cancel_at_period_end:b canceled_at:i collection_method:t created:i currency:t customer:x days_until_due:i default_payment_method:x description:t discounts:a ended_at:i items:o latest_invoice:x livemode:b metadata:o pause_collection:o start_date:i status:t trial_end:i trial_start:i",
    ),
];

fn shape(kind: &str, name: &str) -> Json {
    let title = name.replace('_', " ");
    let types = match kind {
        "t" => json!(["string", "null"]),
        "i" => json!(["integer", "null"]),
        "n" => json!(["number", "null"]),
        "b" => json!(["boolean", "null"]),
        "o" => json!(["object", "null"]),
        "a" => json!(["array", "null"]),
        // An id, or the record itself where it was expanded.
        _ => json!(["string", "object", "null"]),
    };
    json!({"type": types, "title": title})
}

/// JSON Schema of an object.
pub(super) fn schema(object: &str) -> Json {
    let fields = KINDS.iter().find(|(name, _)| *name == object).map(|(_, fields)| *fields).unwrap_or("id:t object:t");
    let mut properties = Map::new();
    for (name, kind) in fields.split(' ').filter_map(|field| field.split_once(':')) {
        properties.insert(name.to_owned(), shape(kind, name));
    }
    json!({"type": "object", "title": object, "properties": properties, "required": ["object"]})
}

/// An object as Stripe gives it, made of its fields.
pub(super) fn sample(object: &str) -> Json {
    let fields = KINDS.iter().find(|(name, _)| *name == object).map(|(_, fields)| *fields).unwrap_or("id:t object:t");
    let mut sample = Map::new();
    for (name, kind) in fields.split(' ').filter_map(|field| field.split_once(':')) {
        let value = match (kind, name) {
            (_, "object") => json!(object),
            (_, "id") => json!(format!("{}_1ExampleOfStripe00000001", prefix(object))),
            (_, "currency") => json!("usd"),
            (_, "created") => json!(1_795_219_200),
            (_, "livemode") => json!(false),
            (_, "metadata") => json!({"external_id": "C-0001"}),
            (_, "status") => json!(status(object)),
            (_, "email" | "customer_email") => json!("billing@customer.example"),
            (_, "name" | "customer_name") => json!("Example Instruments"),
            (_, "customer") => json!("cus_ExampleOfStrip"),
            ("i", name) if name.contains("amount") || matches!(name, "total" | "subtotal") => json!(1234),
            ("t", name) if name.ends_with("_decimal") && name.starts_with("unit") => json!("1234"),
            ("t", name) if name.ends_with("_decimal") => json!("12.34"),
            ("b", _) => json!(true),
            ("o", "data") => json!({"object": {"id": "cus_ExampleOfStrip", "object": "customer"}}),
            ("o", _) => json!({}),
            ("a", _) => json!([]),
            _ => Json::Null,
        };
        sample.insert(name.to_owned(), value);
    }
    Json::Object(sample)
}

fn prefix(object: &str) -> &'static str {
    match object {
        "customer" => "cus",
        "payment_intent" => "pi",
        "charge" => "ch",
        "refund" => "re",
        "invoice" => "in",
        "invoiceitem" => "ii",
        "item" => "li",
        "line_item" => "il",
        "credit_note" => "cn",
        "promotion_code" => "promo",
        "subscription" => "sub",
        "product" => "prod",
        "price" => "price",
        "dispute" => "du",
        "payout" => "po",
        "event" => "evt",
        "checkout.session" => "cs",
        "payment_link" => "plink",
        "balance_transaction" => "txn",
        "account" => "acct",
        _ => "obj",
    }
}

fn status(object: &str) -> &'static str {
    match object {
        "invoice" | "checkout.session" => "open",
        "subscription" => "active",
        "dispute" => "needs_response",
        "payout" => "paid",
        "balance_transaction" => "available",
        "credit_note" => "issued",
        _ => "succeeded",
    }
}

/// A resource that can be listed: the word people choose, its title, its path, and whether it can be searched.
pub(super) struct Resource {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) path: &'static str,
    pub(super) searched: bool,
    pub(super) object: &'static str,
}

pub(super) const fn resource(name: &'static str, title: &'static str, path: &'static str, object: &'static str) -> Resource {
    Resource { name, title, path, searched: false, object }
}

const fn searched(name: &'static str, title: &'static str, path: &'static str, object: &'static str) -> Resource {
    Resource { name, title, path, searched: true, object }
}

/// The resources of the list and search actions.
pub(super) const RESOURCES: &[Resource] = &[
    searched("customers", "Customers", "/v1/customers", "customer"),
    searched("payment_intents", "Payments", "/v1/payment_intents", "payment_intent"),
    searched("charges", "Charges", "/v1/charges", "charge"),
    resource("refunds", "Refunds", "/v1/refunds", "refund"),
    searched("invoices", "Invoices", "/v1/invoices", "invoice"),
    resource("invoice_items", "Invoice items", "/v1/invoiceitems", "invoiceitem"),
    searched("subscriptions", "Subscriptions", "/v1/subscriptions", "subscription"),
    searched("products", "Products", "/v1/products", "product"),
    searched("prices", "Prices", "/v1/prices", "price"),
    resource("payouts", "Payouts", "/v1/payouts", "payout"),
    resource("disputes", "Disputes", "/v1/disputes", "dispute"),
    resource("balance_transactions", "Balance transactions", "/v1/balance_transactions", "balance_transaction"),
    resource("checkout_sessions", "Checkout sessions", "/v1/checkout/sessions", "checkout.session"),
    resource("payment_links", "Payment links", "/v1/payment_links", "payment_link"),
    resource("events", "Events", "/v1/events", "event"),
    resource("application_fees", "Application fees", "/v1/application_fees", ""),
    resource("accounts", "Connected accounts", "/v1/accounts", "account"),
    resource("coupons", "Coupons", "/v1/coupons", "coupon"),
    resource("credit_notes", "Credit notes", "/v1/credit_notes", "credit_note"),
    resource("early_fraud_warnings", "Early fraud warnings", "/v1/radar/early_fraud_warnings", ""),
    resource("features", "Features", "/v1/entitlements/features", ""),
    resource("file_links", "File links", "/v1/file_links", ""),
    resource("files", "Files", "/v1/files", "file"),
    resource("invoice_payments", "Invoice payments", "/v1/invoice_payments", ""),
    resource("invoice_rendering_templates", "Invoice templates", "/v1/invoice_rendering_templates", ""),
    resource("meters", "Meters", "/v1/billing/meters", ""),
    resource("payment_methods", "Payment methods", "/v1/payment_methods", "payment_method"),
    resource("plans", "Plans", "/v1/plans", ""),
    resource("promotion_codes", "Promotion codes", "/v1/promotion_codes", "promotion_code"),
    resource("quotes", "Quotes", "/v1/quotes", ""),
    resource("report_runs", "Report runs", "/v1/reporting/report_runs", ""),
    resource("reviews", "Reviews", "/v1/reviews", ""),
    resource("setup_intents", "Set-ups for later payments", "/v1/setup_intents", ""),
    resource("shipping_rates", "Shipping rates", "/v1/shipping_rates", ""),
    resource("subscription_items", "Subscription items", "/v1/subscription_items", ""),
    resource("subscription_schedules", "Subscription schedules", "/v1/subscription_schedules", ""),
    resource("tax_codes", "Tax codes", "/v1/tax_codes", ""),
    resource("tax_ids", "Tax ids", "/v1/tax_ids", ""),
    resource("tax_rates", "Tax rates", "/v1/tax_rates", ""),
    resource("topups", "Top-ups", "/v1/topups", ""),
    resource("transfers", "Transfers", "/v1/transfers", ""),
    resource("webhook_endpoints", "Webhook endpoints", "/v1/webhook_endpoints", ""),
];

/// The resource of that name.
pub(super) fn named(name: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| resource.name == name)
}
