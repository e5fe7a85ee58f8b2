//! Every action works.

use std::{collections::HashSet, time::Duration};

use connector::{Doubt, ErrorClass};
use parking::Called;
use serde_json::{Value as Json, json};

use crate::{id, shelf::Shelf, stripe, vendor::Vendor, with_files, with_key};

/// Remembers which actions were called.
mod parking {
    use std::{collections::HashSet, sync::Mutex};

    use serde_json::Value as Json;

    use crate::vendor::Vendor;

    pub(super) struct Called {
        pub(super) vendor: Vendor,
        pub(super) names: Mutex<HashSet<String>>,
    }

    impl Called {
        pub(super) async fn call(&self, action: &str, input: Json) -> Json {
            let key = {
                let mut names = self.names.lock().unwrap();
                names.insert(action.to_owned());
                format!("run_1/{action}")
            };
            let cx = self.vendor.cx(&key);
            self.vendor.call_with(cx, action, input.clone()).await.unwrap_or_else(|error| panic!("{action} {input}: {error:?}"))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_works() {
    let (vendor, shelf) = with_files("secret_key").await;
    let all: HashSet<String> = vendor.connector.actions.iter().map(|action| action.id.to_owned()).collect();
    let called = Called { vendor, names: std::sync::Mutex::default() };
    let customer = customers(&called).await;
    payments(&called, &customer, &shelf).await;
    let price = catalog(&called, &customer).await;
    invoices(&called, &customer).await;
    subscriptions(&called, &customer, &price).await;
    ledger(&called, &customer).await;
    called.call("delete_customer", json!({"customer": customer})).await;
    let mut left: Vec<String> = all.difference(&called.names.lock().unwrap()).cloned().collect();
    left.sort();
    assert!(left.is_empty(), "not called: {left:?}");
    called.vendor.sandbox.stop().await;
}

async fn customers(called: &Called) -> String {
    let made = called
        .call("create_customer", json!({"name": "Ann & Co", "email": "ann@b.co", "metadata": {"a": "1", "b": "2"}, "payment_method": "pm_card_visa", "phone": null}))
        .await;
    let customer = id(&made);
    let changed = called
        .call("update_customer", json!({"customer": customer, "name": null, "address": {"line1": "1 St"}, "metadata": {"a": null}, "clear": ["email"]}))
        .await;
    assert_eq!(
        (&changed["name"], &changed["email"], &changed["metadata"]),
        (&json!("Ann & Co"), &Json::Null, &json!({"b": "2"}))
    );
    assert_eq!(called.call("get_customer", json!({"customer": customer})).await["address"]["line1"], "1 St");
    let credit =
        called.call("adjust_customer_balance", json!({"customer": customer, "amount_decimal": "-1.50", "currency": "usd"})).await;
    assert_eq!((&credit["amount"], &credit["amount_decimal"]), (&json!(-150), &json!("-1.50")));
    called.call("adjust_customer_balance", json!({"customer": customer, "amount": 150, "currency": "usd"})).await;
    let moved = called.call("list_customer_balance_transactions", json!({"customer": customer})).await;
    let moved: Vec<&Json> = moved["records"].as_array().unwrap().iter().map(|row| &row["amount_decimal"]).collect();
    assert_eq!(moved, ["1.50", "-1.50"]);
    let new = called.call("find_or_create_customer", json!({"email": "Find@me.co", "name": "Found"})).await;
    assert_eq!((&new["created_now"], &new["found"]), (&json!(true), &json!(0)));
    let again = called.call("find_or_create_customer", json!({"email": "find@ME.co"})).await;
    assert_eq!((&again["id"], &again["created_now"], &again["found"]), (&new["id"], &json!(false), &json!(1)));
    customer
}

async fn payments(called: &Called, customer: &str, shelf: &Shelf) {
    let paid = called
        .call("create_payment_intent", json!({"amount_decimal": "12.34", "currency": "usd", "payment_method": "pm_card_visa", "confirm": true, "expand": ["latest_charge"]}))
        .await;
    assert_eq!(
        (&paid["status"], &paid["amount"], &paid["amount_decimal"], &paid["declined"]),
        (&json!("succeeded"), &json!(1234), &json!("12.34"), &json!(false))
    );
    assert!(paid.get("client_secret").is_none());
    let charge = id(&paid["latest_charge"]);
    let refused = called
        .call("create_payment_intent", json!({"amount": 900, "currency": "usd", "payment_method": "pm_card_chargeDeclinedInsufficientFunds", "confirm": true}))
        .await;
    assert_eq!(
        (&refused["declined"], &refused["decline"]["decline_code"], &refused["status"]),
        (&json!(true), &json!("insufficient_funds"), &json!("requires_payment_method"))
    );
    let open = called
        .call(
            "create_payment_intent",
            json!({"amount": 500, "currency": "jpy", "customer": customer, "capture_method": "manual"}),
        )
        .await;
    assert_eq!(open["amount_decimal"], "500");
    let intent = id(&open);
    called
        .call(
            "update_payment_intent",
            json!({"payment_intent": intent, "description": "d", "amount_decimal": "600", "currency": "jpy"}),
        )
        .await;
    called.call("confirm_payment_intent", json!({"payment_intent": intent, "payment_method": "pm_card_mastercard"})).await;
    let taken = called
        .call("capture_payment_intent", json!({"payment_intent": intent, "amount_decimal": "550", "currency": "jpy"}))
        .await;
    assert_eq!(taken["amount_received"], 550);
    assert_eq!(called.call("get_payment_intent", json!({"payment_intent": intent})).await["status"], "succeeded");
    let other = id(&called.call("create_payment_intent", json!({"amount": 800, "currency": "usd"})).await);
    assert_eq!(
        called.call("cancel_payment_intent", json!({"payment_intent": other, "cancellation_reason": "abandoned"})).await["status"],
        "canceled"
    );
    called.call("get_charge", json!({"charge": charge})).await;
    charges(called).await;
    called.call("update_charge", json!({"charge": charge, "description": "d"})).await;
    let refund = called
        .call("create_refund", json!({"charge": charge, "amount_decimal": "2.34", "currency": "usd", "reason": "duplicate"}))
        .await;
    assert_eq!((&refund["amount"], &refund["status"]), (&json!(234), &json!("succeeded")));
    called.call("get_refund", json!({"refund": id(&refund)})).await;
    let noted = called.call("update_refund", json!({"refund": id(&refund), "metadata": {"case": "7"}})).await;
    assert_eq!(noted["metadata"]["case"], "7");
    called.vendor.sandbox.vendor("stripe").unwrap().configure(&json!({"pending_refunds": true})).unwrap();
    let waits = id(&called.call("create_refund", json!({"payment_intent": id(&paid), "amount": 10})).await);
    assert_eq!(called.call("cancel_refund", json!({"refund": waits})).await["status"], "canceled");
    called.vendor.sandbox.vendor("stripe").unwrap().configure(&json!({"pending_refunds": false})).unwrap();
    disputes(called, shelf).await;
}

/// The older way to charge.
async fn charges(called: &Called) {
    let held = json!({"amount_decimal": "9.00", "currency": "usd", "source": "tok_visa", "capture": false});
    let held = called.call("create_charge", held).await;
    assert_eq!((&held["amount"], &held["captured"], &held["declined"]), (&json!(900), &json!(false), &json!(false)));
    let part = json!({"charge": id(&held), "amount_decimal": "7.00", "currency": "usd"});
    let taken = called.call("capture_charge", part.clone()).await;
    assert_eq!((&taken["captured"], &taken["amount_captured"]), (&json!(true), &json!(700)));
    let again = called.vendor.call("capture_charge", part).await.unwrap_err();
    assert_eq!((again.class, again.code.as_str()), (ErrorClass::Conflict, "charge_already_captured"));
    let refused = json!({"amount": 900, "currency": "usd", "source": "tok_chargeDeclinedInsufficientFunds"});
    let told = called.call("create_charge", refused.clone()).await;
    assert_eq!(
        (&told["object"], &told["status"], &told["declined"], &told["decline"]["decline_code"]),
        (&json!("charge"), &json!("failed"), &json!(true), &json!("insufficient_funds"))
    );
    assert!(told["id"].is_string(), "the failed charge is kept: {told}");
    let mut strict = refused;
    strict["declined_is_error"] = json!(true);
    assert_eq!(called.vendor.call("create_charge", strict).await.unwrap_err().code, "card_declined");
}

async fn disputes(called: &Called, shelf: &Shelf) {
    called
        .call(
            "create_payment_intent",
            json!({"amount": 700, "currency": "usd", "payment_method": "pm_card_createDispute", "confirm": true}),
        )
        .await;
    let listed = called.call("list_disputes", json!({})).await;
    let dispute = id(&listed["records"][0]);
    called.call("get_dispute", json!({"dispute": dispute})).await;
    let file = shelf.put("receipt.pdf", "application/pdf", b"%PDF-1");
    let sent = called.call("upload_file", json!({"file": file.json(), "purpose": "dispute_evidence"})).await;
    assert_eq!((&sent["size"], &sent["filename"]), (&json!(6), &json!("receipt.pdf")));
    let evidence = json!({"uncategorized_text": "x", "receipt": sent["id"]});
    let said = called.call("respond_to_dispute", json!({"dispute": dispute, "evidence": evidence})).await;
    assert_eq!(said["evidence"]["uncategorized_text"], "x");
    assert_eq!(called.call("close_dispute", json!({"dispute": dispute})).await["status"], "lost");
}

async fn catalog(called: &Called, customer: &str) -> String {
    let product = id(&called.call("create_product", json!({"name": "Gauge", "metadata": {"sku": "G"}})).await);
    called.call("update_product", json!({"product": product, "description": "d"})).await;
    called.call("get_product", json!({"product": product})).await;
    let price = id(&called
        .call(
            "create_price",
            json!({"product": product, "currency": "usd", "unit_amount": 1500, "recurring": {"interval": "month"}}),
        )
        .await);
    called.call("update_price", json!({"price": price, "nickname": "n"})).await;
    called.call("get_price", json!({"price": price})).await;
    let coupon = id(&called.call("create_coupon", json!({"percent_off": 12.5, "duration": "once"})).await);
    called.call("get_coupon", json!({"coupon": coupon})).await;
    assert_eq!(called.call("update_coupon", json!({"coupon": coupon, "name": "Spring"})).await["name"], "Spring");
    // An id may hold more than letters.
    let odd = json!({"id": "5 % off", "percent_off": 5, "duration": "once"});
    let odd = id(&called.call("create_coupon", odd).await);
    let gone = called.call("delete_coupon", json!({"coupon": odd})).await;
    assert_eq!((&gone["id"], &gone["deleted"]), (&json!("5 % off"), &json!(true)));
    assert_eq!(called.call("list_coupons", json!({})).await["records"][0]["id"], json!(coupon));
    let spare = id(&called.call("create_product", json!({"name": "Spare"})).await);
    assert_eq!(called.call("delete_product", json!({"product": spare})).await["deleted"], true);
    let error = called.vendor.call("delete_product", json!({"product": product})).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Invalid, "it has a price: {error}");
    let code = id(&called
        .call("create_promotion_code", json!({"promotion": {"type": "coupon", "coupon": coupon}, "code": "SPRING"}))
        .await);
    called.call("get_promotion_code", json!({"promotion_code": code})).await;
    let off = called.call("update_promotion_code", json!({"promotion_code": code, "active": false})).await;
    assert_eq!(off["active"], false);
    let found = called.call("list_promotion_codes", json!({"filters": {"code": "SPRING"}})).await;
    assert_eq!((&found["records"][0]["id"], found["records"].as_array().map(Vec::len)), (&json!(code), Some(1)));
    let lines = json!([{"price": price, "quantity": 1}]);
    let session = called
        .call(
            "create_checkout_session",
            json!({"mode": "subscription", "line_items": lines, "success_url": "https://a.example", "customer": customer}),
        )
        .await;
    assert!(session["url"].as_str().is_some_and(|url| url.starts_with("https://checkout.stripe.com/")));
    called.call("get_checkout_session", json!({"session": id(&session)})).await;
    let bought = called.call("list_checkout_session_lines", json!({"session": id(&session)})).await;
    assert_eq!((&bought["records"][0]["object"], &bought["records"][0]["quantity"]), (&json!("item"), &json!(1)));
    let noted = called.call("update_checkout_session", json!({"session": id(&session), "metadata": {"case": "8"}})).await;
    assert_eq!(noted["metadata"]["case"], "8");
    called.call("expire_checkout_session", json!({"session": id(&session)})).await;
    let link = id(&called.call("create_payment_link", json!({"line_items": lines})).await);
    let bought = called.call("list_payment_link_lines", json!({"payment_link": link})).await;
    assert_eq!(bought["records"][0]["amount_total_decimal"], "15.00");
    called.call("update_payment_link", json!({"payment_link": link, "active": false})).await;
    assert_eq!(called.call("get_payment_link", json!({"payment_link": link})).await["active"], false);
    price
}

async fn invoices(called: &Called, customer: &str) {
    let new = |key: &'static str| json!({"customer": customer, "collection_method": "send_invoice", "days_until_due": 30, "metadata": {"k": key}});
    let line = |invoice: &str| json!({"customer": customer, "invoice": invoice, "amount_decimal": "40.00", "currency": "usd", "description": "Work"});
    let mut open = Vec::new();
    for key in ["a", "b", "c"] {
        let invoice = id(&called.call("create_invoice", new(key)).await);
        let item = called.call("add_invoice_line", line(&invoice)).await;
        assert_eq!((&item["amount"], &item["amount_decimal"]), (&json!(4000), &json!("40.00")));
        called.call("get_invoice_item", json!({"invoiceitem": id(&item)})).await;
        let dearer = json!({"invoiceitem": id(&item), "amount_decimal": "41.00", "currency": "usd", "description": "More"});
        assert_eq!(called.call("update_invoice_item", dearer).await["amount"], 4100);
        called.call("update_invoice_item", json!({"invoiceitem": id(&item), "amount": 4000})).await;
        called.call("update_invoice", json!({"invoice": invoice, "description": "d"})).await;
        let bill = called.call("finalize_invoice", json!({"invoice": invoice})).await;
        assert_eq!((&bill["status"], &bill["amount_due_decimal"]), (&json!("open"), &json!("40.00")));
        open.push(invoice);
    }
    called.call("send_invoice", json!({"invoice": open[0]})).await;
    let note = called.call("create_credit_note", json!({"invoice": open[0], "amount": 1000})).await;
    assert_eq!(note["status"], "issued");
    let note = json!({"credit_note": id(&note), "memo": "Too much"});
    assert_eq!(called.call("update_credit_note", note.clone()).await["memo"], "Too much");
    called.call("get_credit_note", json!({"credit_note": note["credit_note"]})).await;
    let due = async || called.call("get_invoice", json!({"invoice": open[0]})).await["amount_due"].clone();
    assert_eq!(due().await, 3000);
    assert_eq!(called.call("void_credit_note", json!({"credit_note": note["credit_note"]})).await["status"], "void");
    assert_eq!(due().await, 4000, "it is owed again");
    let notes = called.call("list_credit_notes", json!({"filters": {"invoice": open[0]}})).await;
    assert_eq!((&notes["records"][0]["id"], &notes["records"][0]["status"]), (&note["credit_note"], &json!("void")));
    let lines = called.call("list_invoice_lines", json!({"invoice": open[0]})).await;
    assert_eq!((&lines["records"][0]["object"], &lines["records"][0]["amount_decimal"]), (&json!("line_item"), &json!("40.00")));
    let refused = called.call("pay_invoice", json!({"invoice": open[0], "payment_method": "pm_card_chargeDeclined"})).await;
    assert_eq!((&refused["declined"], &refused["status"], &refused["object"]), (&json!(true), &json!("open"), &json!("invoice")));
    assert_eq!(called.call("pay_invoice", json!({"invoice": open[0], "payment_method": "pm_card_visa"})).await["status"], "paid");
    assert_eq!(called.call("void_invoice", json!({"invoice": open[1]})).await["status"], "void");
    assert_eq!(called.call("mark_invoice_uncollectible", json!({"invoice": open[2]})).await["status"], "uncollectible");
    let draft = id(&called.call("create_invoice", new("d")).await);
    let item = id(&called.call("add_invoice_line", line(&draft)).await);
    called.call("delete_invoice_item", json!({"invoiceitem": item})).await;
    called.call("delete_invoice", json!({"invoice": draft})).await;
    called.call("get_invoice", json!({"invoice": open[0]})).await;
    let preview = called
        .call("preview_invoice", json!({"customer": customer, "invoice_items": [{"amount": 500, "currency": "usd"}]}))
        .await;
    assert_eq!(preview["total_decimal"], "5.00");
}

async fn subscriptions(called: &Called, customer: &str, price: &str) {
    let method = called
        .call("list_records", json!({"resource": "payment_methods", "filters": {"customer": customer, "type": "card"}}))
        .await;
    let method = id(&method["records"][0]);
    let made = called
        .call(
            "create_subscription",
            json!({"customer": customer, "items": [{"price": price, "quantity": 2}], "default_payment_method": method}),
        )
        .await;
    let subscription = id(&made);
    assert_eq!(made["status"], "active");
    let item = id(&made["items"]["data"][0]);
    let changed = called
        .call("update_subscription", json!({"subscription": subscription, "items": [{"id": item, "quantity": 3}], "proration_behavior": "none", "cancel_at_period_end": false}))
        .await;
    assert_eq!(changed["items"]["data"][0]["quantity"], 3);
    called.call("get_subscription", json!({"subscription": subscription})).await;
    let error = called.vendor.call("resume_subscription", json!({"subscription": subscription})).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Invalid, "only a paused one can be resumed: {error}");
    // A trial that ends without anything to pay with.
    let poor = called.call("create_customer", json!({"name": "Poor"})).await;
    let rests = json!({"trial_settings": {"end_behavior": {"missing_payment_method": "pause"}}});
    let trial = json!({"customer": id(&poor), "items": [{"price": price}], "trial_period_days": 3, "more": rests});
    let trial = id(&called.call("create_subscription", trial).await);
    let over = json!({"subscription": trial, "more": {"trial_end": "now"}});
    assert_eq!(called.call("update_subscription", over).await["status"], "paused");
    assert_eq!(called.call("resume_subscription", json!({"subscription": trial})).await["status"], "active");
    assert_eq!(called.call("cancel_subscription", json!({"subscription": subscription})).await["status"], "canceled");
    assert_eq!(
        called.call("cancel_subscription", json!({"subscription": subscription})).await["status"],
        "canceled",
        "a second try finds it done"
    );
}

async fn ledger(called: &Called, customer: &str) {
    called.call("get_account", json!({})).await;
    called.call("get_balance", json!({})).await;
    let moves = called.call("list_balance_transactions", json!({"max_records": 3, "expand": ["source"]})).await;
    assert_eq!(moves["records"].as_array().unwrap().len(), 3);
    assert!(moves["records"][0]["net_decimal"].is_string() && moves["records"][0]["source"].is_object());
    called.call("get_balance_transaction", json!({"balance_transaction": id(&moves["records"][0])})).await;
    let payout = id(&called.call("create_payout", json!({"amount_decimal": "1.00", "currency": "usd"})).await);
    called.call("get_payout", json!({"payout": payout})).await;
    let noted = called.call("update_payout", json!({"payout": payout, "metadata": {"case": "9"}})).await;
    assert_eq!(noted["metadata"]["case"], "9");
    let early = called.vendor.call("reverse_payout", json!({"payout": payout})).await.unwrap_err();
    assert_eq!(early.class, ErrorClass::Invalid, "what is pending is cancelled: {early}");
    called.call("cancel_payout", json!({"payout": payout})).await;
    let payout = id(&called.call("create_payout", json!({"amount_decimal": "1.20", "currency": "usd"})).await);
    called.vendor.sandbox.world().clock().advance(Duration::from_secs(3 * 24 * 3600));
    let back = called.call("reverse_payout", json!({"payout": payout})).await;
    assert_eq!((&back["original_payout"], &back["amount"]), (&json!(payout), &json!(-120)));
    let twice = called.vendor.call("reverse_payout", json!({"payout": payout, "metadata": {"a": "1"}})).await;
    assert_eq!(twice.unwrap_err().class, ErrorClass::Invalid, "once is enough");
    let event = called.call("list_events", json!({"max_records": 1})).await;
    called.call("get_event", json!({"event": id(&event["records"][0])})).await;
    called
        .call(
            "record_meter_event",
            json!({"event_name": "calls", "payload": {"stripe_customer_id": customer, "value": "3"}, "identifier": "once"}),
        )
        .await;
    for list in [
        "customers",
        "payment_intents",
        "charges",
        "refunds",
        "invoices",
        "invoice_items",
        "subscriptions",
        "products",
        "prices",
        "payouts",
        "checkout_sessions",
        "payment_links",
    ] {
        called.call(&format!("list_{list}"), json!({"max_records": 2})).await;
    }
    let found =
        called.call("search_records", json!({"resource": "customers", "query": "metadata['external_id']:'C-0001'"})).await;
    assert_eq!(found["records"][0]["metadata"]["external_id"], "C-0001");
    let raw = called.call("call_api", json!({"method": "POST", "path": "/v1/tax_rates", "params": {"display_name": "VAT", "inclusive": false, "percentage": 19}})).await;
    assert_eq!((&raw["status"], &raw["body"]["percentage"]), (&json!(200), &json!(19.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_of_the_picker_is_one() {
    let vendor = stripe().await;
    let action = vendor.connector.action("list_records").unwrap();
    for resource in action.input["properties"]["resource"]["enum"].as_array().unwrap() {
        let filters = if resource == "subscription_items" {
            let listed = vendor.call("list_subscriptions", json!({"max_records": 1})).await.unwrap();
            json!({"subscription": listed["records"][0]["id"]})
        } else {
            json!({})
        };
        vendor.call("list_records", json!({"resource": resource, "max_records": 1, "filters": filters})).await.unwrap();
    }
    vendor.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_on_to_the_end_and_no_further() {
    let vendor = stripe().await;
    for n in 0..230 {
        vendor
            .sandbox
            .vendor("stripe")
            .unwrap()
            .happen("new_customer", &json!({"name": format!("n{n}"), "email": "p@b.co"}))
            .unwrap();
    }
    for (action, input) in [
        ("list_records", json!({"resource": "customers", "filters": {"email": "p@b.co"}})),
        ("search_records", json!({"resource": "customers", "query": "email:'p@b.co'"})),
    ] {
        let pages = vendor.pages(action, input.clone()).await.unwrap();
        assert_eq!(pages.iter().map(|page| page.items.len()).collect::<Vec<_>>(), [100, 100, 30], "{action}");
        let mut some = input;
        some["max_records"] = json!(150);
        assert_eq!(vendor.call(action, some).await.unwrap()["records"].as_array().unwrap().len(), 150);
    }
    vendor.sandbox.stop().await;
}

async fn failure(vendor: &Vendor, action: &str, input: Json) -> connector::StepError {
    vendor.call(action, input).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_in_words() {
    let vendor = stripe().await;
    let missing = failure(&vendor, "get_customer", json!({"customer": "cus_x"})).await;
    assert_eq!((missing.class, missing.code.as_str(), missing.doubt), (ErrorClass::NotFound, "resource_missing", Doubt::Settled));
    assert!(missing.message.contains("No such customer: 'cus_x'"), "{}", missing.message);
    let unknown = failure(&vendor, "create_customer", json!({"more": {"nmae": "x"}})).await;
    assert_eq!((unknown.class, unknown.code.as_str()), (ErrorClass::Invalid, "parameter_unknown"));
    let strict = failure(&vendor, "create_payment_intent", json!({"amount": 900, "currency": "usd", "payment_method": "pm_card_chargeDeclined", "confirm": true, "declined_is_error": true})).await;
    assert_eq!((strict.class, strict.code.as_str()), (ErrorClass::Invalid, "card_declined"));
    for input in
        [json!({"amount_decimal": "1.234", "currency": "usd"}), json!({"amount_decimal": "1", "amount": 1, "currency": "usd"})]
    {
        assert_eq!(failure(&vendor, "create_payment_intent", input).await.code, "AMOUNT_INVALID");
    }
    for path in ["/v3/x", "/v1/../v2", "https://a.example/v1/x", "/v1/x?y=1"] {
        assert_eq!(failure(&vendor, "call_api", json!({"method": "GET", "path": path})).await.code, "PATH_INVALID", "{path}");
    }
    let sneaky = failure(&vendor, "get_customer", json!({"customer": "../balance"})).await;
    assert_eq!(sneaky.class, ErrorClass::NotFound, "an id never leads to another path");
    let limited = with_key("restricted_key").await;
    let denied = failure(&limited, "create_refund", json!({"charge": "ch_1"})).await;
    assert_eq!((denied.class, denied.code.as_str()), (ErrorClass::Denied, "permission_denied"));
    assert!(denied.message.contains("rak_refund_write"), "{}", denied.message);
    let live = with_key("live_secret_key").await;
    let customer = id(&vendor.call("list_customers", json!({"max_records": 1})).await.unwrap()["records"][0]);
    assert_eq!(failure(&live, "get_customer", json!({"customer": customer})).await.code, "wrong_mode");
    let expired = with_key("expired_key").await;
    let error = failure(&expired, "get_balance", json!({})).await;
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "api_key_expired"));
    assert!(!format!("{error:?}").contains(expired.connection.credentials["api_key"].expose()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connected_account_is_acted_on() {
    let vendor = stripe().await;
    let account = vendor.sandbox.vendor("stripe").unwrap().credentials()["connected_account"].clone();
    let made = id(&vendor.call("create_customer", json!({"name": "theirs", "connected_account": account})).await.unwrap());
    let context = vendor.call("get_customer", json!({"customer": made, "context": account})).await.unwrap();
    assert_eq!(context["name"], "theirs", "a context leads to the same account");
    let listed = vendor.call("list_customers", json!({"context": account, "max_records": 1})).await.unwrap();
    assert_eq!(listed["records"][0]["id"], made);
    let both = json!({"customer": made, "context": account, "connected_account": account});
    assert_eq!(vendor.call("get_customer", both).await.unwrap_err().code, "CONTEXT_INVALID");
    assert!(vendor.call("get_customer", json!({"customer": made})).await.is_err());
    assert!(vendor.call("get_customer", json!({"customer": made, "connected_account": account})).await.is_ok());
    vendor.sandbox.stop().await;
}
