//! Stripe.

use sandbox::Sandbox;
use serde_json::{Value as Json, json};

use crate::world::World;

pub(crate) const MORE: [&str; 3] = ["call_api#write", "list_events#pages", "search_records#pages"];

pub(crate) fn connection(sandbox: &Sandbox) -> (Json, Json) {
    let url = sandbox.url("stripe").as_str();
    let credentials = sandbox.vendor("stripe").unwrap().credentials();
    (json!({"api_url": url, "files_url": url}), json!({"api_key": credentials["secret_key"]}))
}

async fn made(world: &World, action: &str, input: Json) -> Json {
    world.call(action, input).await["id"].clone()
}

async fn customer(world: &World) -> Json {
    made(world, "create_customer", json!({"name": world.fresh("Ann"), "payment_method": "pm_card_visa"})).await
}

async fn paid(world: &World) -> Json {
    let card = json!({"amount": 1234, "currency": "usd", "payment_method": "pm_card_visa", "confirm": true, "expand": ["latest_charge"]});
    world.call("create_payment_intent", card).await
}

async fn intent(world: &World) -> Json {
    made(world, "create_payment_intent", json!({"amount": 500, "currency": "usd", "capture_method": "manual"})).await
}

async fn held(world: &World) -> Json {
    let intent = intent(world).await;
    world.call("confirm_payment_intent", json!({"payment_intent": intent, "payment_method": "pm_card_mastercard"})).await;
    intent
}

async fn refund(world: &World, pending: bool) -> Json {
    world.configure(json!({"pending_refunds": pending}));
    let paid = paid(world).await["id"].clone();
    let refund = made(world, "create_refund", json!({"payment_intent": paid, "amount": 10})).await;
    world.configure(json!({"pending_refunds": false}));
    refund
}

async fn dispute(world: &World) -> Json {
    let card = json!({"amount": 700, "currency": "usd", "payment_method": "pm_card_createDispute", "confirm": true});
    world.call("create_payment_intent", card).await;
    world.call("list_disputes", json!({"max_records": 1})).await["records"][0]["id"].clone()
}

async fn draft(world: &World) -> (Json, Json) {
    let customer = customer(world).await;
    let new = json!({"customer": customer, "collection_method": "send_invoice", "days_until_due": 30});
    (made(world, "create_invoice", new).await, customer)
}

/// A charge that only holds the money.
async fn authorized(world: &World) -> Json {
    made(world, "create_charge", json!({"amount": 900, "currency": "usd", "source": "tok_visa", "capture": false})).await
}

async fn credit_note(world: &World) -> Json {
    made(world, "create_credit_note", json!({"invoice": open(world).await, "amount": 1000})).await
}

async fn line(world: &World) -> (Json, Json) {
    let (invoice, customer) = draft(world).await;
    let line = json!({"customer": customer, "invoice": invoice, "amount": 4000, "currency": "usd", "description": "Work"});
    (invoice, made(world, "add_invoice_line", line).await)
}

async fn open(world: &World) -> Json {
    let (invoice, _) = line(world).await;
    world.call("finalize_invoice", json!({"invoice": invoice})).await;
    invoice
}

async fn product(world: &World) -> Json {
    made(world, "create_product", json!({"name": world.fresh("Gauge")})).await
}

async fn price(world: &World) -> Json {
    let recurring = json!({"interval": "month"});
    let price = json!({"product": product(world).await, "currency": "usd", "unit_amount": 1500, "recurring": recurring});
    made(world, "create_price", price).await
}

async fn subscription(world: &World) -> Json {
    let items = json!([{"price": price(world).await, "quantity": 2}]);
    let customer = customer(world).await;
    let cards = json!({"resource": "payment_methods", "filters": {"customer": customer, "type": "card"}});
    let card = world.call("list_records", cards).await["records"][0]["id"].clone();
    made(world, "create_subscription", json!({"customer": customer, "items": items, "default_payment_method": card})).await
}

/// A subscription whose trial ended without anything to pay with.
async fn paused(world: &World) -> Json {
    let items = json!([{"price": price(world).await}]);
    let customer = made(world, "create_customer", json!({"name": world.fresh("Ann")})).await;
    let rests = json!({"trial_settings": {"end_behavior": {"missing_payment_method": "pause"}}});
    let trial = json!({"customer": customer, "items": items, "trial_period_days": 3, "more": rests});
    let subscription = made(world, "create_subscription", trial).await;
    let now = json!({"subscription": subscription, "more": {"trial_end": "now"}});
    let ended = world.call("update_subscription", now).await;
    assert_eq!(ended["status"], "paused");
    subscription
}

async fn coupon(world: &World) -> Json {
    made(world, "create_coupon", json!({"percent_off": 12.5, "duration": "once"})).await
}

async fn code(world: &World) -> Json {
    let promotion = json!({"type": "coupon", "coupon": coupon(world).await});
    json!({"promotion": promotion, "code": world.fresh("SPRING")})
}

async fn lines(world: &World) -> Json {
    json!([{"price": price(world).await, "quantity": 1}])
}

async fn checkout(world: &World) -> Json {
    json!({"mode": "subscription", "line_items": lines(world).await, "success_url": "https://a.example"})
}

async fn first(world: &World, list: &str) -> Json {
    world.call(list, json!({"max_records": 1})).await["records"][0]["id"].clone()
}

async fn payout(world: &World) -> Json {
    made(world, "create_payout", json!({"amount": 1, "currency": "usd"})).await
}

/// A payout that is at the bank.
async fn arrived(world: &World) -> Json {
    let payout = payout(world).await;
    world.vendor.sandbox.vendor("stripe").unwrap().happen("arrive_payout", &json!({"payout": payout})).unwrap();
    payout
}

pub(crate) async fn input(world: &World, row: &str) -> Json {
    match row {
        "list_events#pages" => json!({"max_records": 250}),
        "list_invoice_lines" => json!({"invoice": open(world).await, "max_records": 2}),
        "list_checkout_session_lines" => {
            json!({"session": made(world, "create_checkout_session", checkout(world).await).await, "max_records": 2})
        }
        "list_payment_link_lines" => {
            let link = made(world, "create_payment_link", json!({"line_items": lines(world).await})).await;
            json!({"payment_link": link, "max_records": 2})
        }
        "list_customer_balance_transactions" => {
            let customer = customer(world).await;
            world.call("adjust_customer_balance", json!({"customer": customer, "amount": -150, "currency": "usd"})).await;
            json!({"customer": customer, "max_records": 2})
        }
        name if name.starts_with("list_") && name != "list_records" => json!({"max_records": 2}),
        name if name.ends_with("customer") || name.starts_with("adjust") => people(world, row).await,
        name if name.contains("invoice") || name.contains("credit_note") => bills(world, row).await,
        name if name.contains("payment_intent")
            || name.contains("charge")
            || name.contains("refund")
            || name.contains("dispute") =>
        {
            payments(world, row).await
        }
        name if name.contains("subscription") => subscriptions(world, row).await,
        _ => others(world, row).await,
    }
}

async fn people(world: &World, row: &str) -> Json {
    match row {
        "create_customer" => json!({"name": "Ann & Co", "email": "ann@b.co"}),
        "update_customer" => json!({"customer": customer(world).await, "metadata": {"a": "1"}}),
        "get_customer" | "delete_customer" => json!({"customer": customer(world).await}),
        "adjust_customer_balance" => json!({"customer": customer(world).await, "amount": -150, "currency": "usd"}),
        "find_or_create_customer" => json!({"email": format!("{}@me.co", world.fresh("find")), "name": "Found"}),
        other => panic!("{other} of Stripe has no row"),
    }
}

async fn payments(world: &World, row: &str) -> Json {
    match row {
        "create_payment_intent" => {
            json!({"amount": 1234, "currency": "usd", "payment_method": "pm_card_visa", "confirm": true})
        }
        "get_payment_intent" | "cancel_payment_intent" => json!({"payment_intent": intent(world).await}),
        "update_payment_intent" => json!({"payment_intent": intent(world).await, "description": "d"}),
        "confirm_payment_intent" => {
            json!({"payment_intent": intent(world).await, "payment_method": "pm_card_mastercard"})
        }
        "capture_payment_intent" => json!({"payment_intent": held(world).await}),
        "create_charge" => json!({"amount": 900, "currency": "usd", "source": "tok_visa"}),
        "capture_charge" => json!({"charge": authorized(world).await, "amount": 700}),
        "get_charge" => json!({"charge": paid(world).await["latest_charge"]["id"]}),
        "update_charge" => json!({"charge": paid(world).await["latest_charge"]["id"], "description": "d"}),
        "create_refund" => json!({"payment_intent": paid(world).await["id"], "amount": 10}),
        "get_refund" => json!({"refund": refund(world, false).await}),
        "update_refund" => json!({"refund": refund(world, false).await, "metadata": {"a": "1"}}),
        "cancel_refund" => json!({"refund": refund(world, true).await}),
        "get_dispute" | "close_dispute" => json!({"dispute": dispute(world).await}),
        "respond_to_dispute" => json!({"dispute": dispute(world).await, "evidence": {"uncategorized_text": "x"}}),
        other => panic!("{other} of Stripe has no row"),
    }
}

async fn bills(world: &World, row: &str) -> Json {
    match row {
        "create_invoice" => {
            json!({"customer": customer(world).await, "collection_method": "send_invoice", "days_until_due": 30})
        }
        "update_invoice" => json!({"invoice": draft(world).await.0, "description": "d"}),
        "get_invoice" | "delete_invoice" => json!({"invoice": draft(world).await.0}),
        "add_invoice_line" => {
            let (invoice, customer) = draft(world).await;
            json!({"customer": customer, "invoice": invoice, "amount": 4000, "currency": "usd", "description": "Work"})
        }
        "get_invoice_item" | "delete_invoice_item" => json!({"invoiceitem": line(world).await.1}),
        "update_invoice_item" => json!({"invoiceitem": line(world).await.1, "amount": 4100, "description": "More work"}),
        "finalize_invoice" => json!({"invoice": line(world).await.0}),
        "pay_invoice" => json!({"invoice": open(world).await, "payment_method": "pm_card_visa"}),
        "send_invoice" | "void_invoice" | "mark_invoice_uncollectible" => json!({"invoice": open(world).await}),
        "preview_invoice" => {
            json!({"customer": customer(world).await, "invoice_items": [{"amount": 500, "currency": "usd"}]})
        }
        "create_credit_note" => json!({"invoice": open(world).await, "amount": 1000}),
        "get_credit_note" | "void_credit_note" => json!({"credit_note": credit_note(world).await}),
        "update_credit_note" => json!({"credit_note": credit_note(world).await, "memo": "m"}),
        other => panic!("{other} of Stripe has no row"),
    }
}

async fn subscriptions(world: &World, row: &str) -> Json {
    match row {
        "create_subscription" => {
            let items = json!([{"price": price(world).await, "quantity": 2}]);
            json!({"customer": customer(world).await, "items": items, "collection_method": "send_invoice", "days_until_due": 30})
        }
        "update_subscription" => {
            json!({"subscription": subscription(world).await, "cancel_at_period_end": true})
        }
        "resume_subscription" => json!({"subscription": paused(world).await}),
        "get_subscription" | "cancel_subscription" => {
            json!({"subscription": subscription(world).await})
        }
        other => panic!("{other} of Stripe has no row"),
    }
}

async fn others(world: &World, row: &str) -> Json {
    match row {
        "create_product" => json!({"name": world.fresh("Gauge")}),
        "update_product" => json!({"product": product(world).await, "description": "d"}),
        "get_product" | "delete_product" => json!({"product": product(world).await}),
        "create_price" => json!({"product": product(world).await, "currency": "usd", "unit_amount": 1500}),
        "update_price" => json!({"price": price(world).await, "nickname": "n"}),
        "get_price" => json!({"price": price(world).await}),
        "create_coupon" => json!({"percent_off": 12.5, "duration": "once"}),
        "update_coupon" => json!({"coupon": coupon(world).await, "name": "n"}),
        "get_coupon" | "delete_coupon" => json!({"coupon": coupon(world).await}),
        "create_promotion_code" => code(world).await,
        "update_promotion_code" => {
            json!({"promotion_code": made(world, "create_promotion_code", code(world).await).await, "active": false})
        }
        "get_promotion_code" => {
            json!({"promotion_code": made(world, "create_promotion_code", code(world).await).await})
        }
        "create_checkout_session" => checkout(world).await,
        "get_checkout_session" | "expire_checkout_session" => {
            json!({"session": made(world, "create_checkout_session", checkout(world).await).await})
        }
        "update_checkout_session" => {
            json!({"session": made(world, "create_checkout_session", checkout(world).await).await, "metadata": {"a": "1"}})
        }
        "create_payment_link" => json!({"line_items": lines(world).await}),
        "update_payment_link" | "get_payment_link" => {
            let link = made(world, "create_payment_link", json!({"line_items": lines(world).await})).await;
            if row == "get_payment_link" { json!({"payment_link": link}) } else { json!({"payment_link": link, "active": false}) }
        }
        "get_account" | "get_balance" => json!({}),
        "get_balance_transaction" => {
            json!({"balance_transaction": first(world, "list_balance_transactions").await})
        }
        "create_payout" => json!({"amount": 1, "currency": "usd"}),
        "update_payout" => json!({"payout": payout(world).await, "metadata": {"a": "1"}}),
        "reverse_payout" => json!({"payout": arrived(world).await}),
        "get_payout" | "cancel_payout" => json!({"payout": payout(world).await}),
        "get_event" => json!({"event": first(world, "list_events").await}),
        "record_meter_event" => {
            let payload = json!({"stripe_customer_id": customer(world).await, "value": "3"});
            json!({"event_name": "calls", "payload": payload, "identifier": world.fresh("once")})
        }
        "list_records" => json!({"resource": "customers", "max_records": 2}),
        "search_records" => json!({"resource": "customers", "query": "metadata['external_id']:'C-0001'"}),
        "search_records#pages" => json!({"resource": "customers", "query": "created>0", "max_records": 150}),
        "upload_file" => json!({"file": world.file().await, "purpose": "dispute_evidence"}),
        "call_api" => json!({"method": "GET", "path": "/v1/balance"}),
        "call_api#write" => {
            let rate = json!({"display_name": "VAT", "inclusive": false, "percentage": 19});
            json!({"method": "POST", "path": "/v1/tax_rates", "params": rate})
        }
        other => panic!("{other} of Stripe has no row"),
    }
}
