//! What a program without a client library sees.

use std::time::Duration;

use sandbox::{Fault, Kind};
use serde_json::json;

use crate::{Caller, credentials};

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_as_bearer_or_as_a_name_and_wrong_ones_are_masked() {
    let caller = Caller::new().await;
    let basic = caller.http.get(caller.url("/v1/balance")).basic_auth(&caller.key, Some(""));
    assert_eq!(Caller::said(basic).await.status, 200);
    let none = Caller::said(caller.http.get(caller.url("/v1/balance"))).await;
    assert_eq!((none.status, none.error("type")), (401, "invalid_request_error"));
    assert!(none.error("message").starts_with("You did not provide an API key."));
    assert!(none.header("request-id").is_some_and(|id| id.starts_with("req_")));
    let wrong = Caller::said(caller.http.get(caller.url("/v1/balance")).bearer_auth("sk_test_0123456789abcd")).await;
    assert_eq!(wrong.error("message"), "Invalid API Key provided: sk_test_**********abcd");
    let public = credentials(&caller.sandbox)["publishable_key"].as_str().unwrap().to_owned();
    assert_eq!(Caller::said(caller.http.get(caller.url("/v1/customers")).bearer_auth(public)).await.status, 401);
    caller.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_versions_and_bodies_that_are_not_known_are_refused_in_words() {
    let caller = Caller::new().await;
    let unknown = caller.post("/v1/nothing", "").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.error("message").starts_with("Unrecognized request URL (POST: /v1/nothing)."), "{}", unknown.body);
    assert_eq!(Caller::said(caller.request("PATCH", "/v1/customers/cus_1")).await.status, 404);
    let old = Caller::said(caller.request("GET", "/v1/balance").header("stripe-version", "2024-06-20")).await;
    assert_eq!((old.status, old.header("stripe-version")), (200, Some("2024-06-20")));
    let version = Caller::said(caller.request("GET", "/v1/balance").header("stripe-version", "2031-01-01.nothing")).await;
    assert_eq!(version.status, 400);
    let body = caller.request("POST", "/v1/customers").header("content-type", "application/json").body("{}");
    assert!(Caller::said(body).await.error("message").contains("application/x-www-form-urlencoded"));
    let both = caller.request("GET", "/v1/balance").header("stripe-account", "acct_1").header("stripe-context", "acct_1");
    assert_eq!(Caller::said(both).await.status, 400);
    for form in ["a[b=1", "metadata=x", "metadata[a][b]=c", "expand=x", "address=1", "preferred_locales[x]=en", "email=nobody"] {
        let said = caller.post("/v1/customers", form).await;
        assert_eq!((said.status, said.error("type")), (400, "invalid_request_error"), "{form}: {}", said.body);
    }
    caller.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_without_places_and_encoded_brackets_are_taken() {
    let caller = Caller::new().await;
    let form = "preferred_locales%5B%5D=en&preferred_locales%5B%5D=fr&metadata%5Ba+b%5D=c%20d&tax_exempt=exempt&expand[]=tax_ids";
    let made = caller.made("/v1/customers", form).await;
    assert_eq!(made["preferred_locales"], json!(["en", "fr"]));
    assert_eq!((&made["metadata"]["a b"], &made["tax_exempt"]), (&json!("c d"), &json!("exempt")));
    assert_eq!(made["tax_ids"]["object"], "list");
    let wrong = caller.post("/v1/customers", "tax_exempt=maybe").await;
    assert_eq!(wrong.error("message"), "Invalid tax_exempt: must be one of exempt, none, or reverse");
    caller.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_are_the_company_s() {
    let caller = Caller::new().await;
    let company = caller.sandbox.world().company();
    let found = caller.get("/v1/customers/search?query=metadata%5B%27external_id%27%5D%3A%27C-0001%27").await.body;
    assert_eq!(found["data"][0]["name"], company.customers[0].name);
    let first = &company.invoices[0];
    let found = caller.get("/v1/invoices/search?query=number%3A%22INV-1001%22&expand[]=data.customer").await.body;
    let cents: i64 = first.lines.iter().map(|line| line.cents).sum();
    assert_eq!(found["data"][0]["total"], cents, "{found}");
    assert_eq!(found["data"][0]["status"], if first.paid.is_some() { "paid" } else { "open" });
    assert_eq!(found["data"][0]["customer"]["metadata"]["external_id"], format!("C-{:04}", first.customer));
    caller.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_lives_a_day() {
    let caller = Caller::new().await;
    let once = |form: &'static str| {
        caller
            .request("POST", "/v1/customers")
            .header("idempotency-key", "k")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
    };
    let first = Caller::said(once("name=a&email=a%40b.co")).await;
    assert_eq!((first.header("idempotency-key"), first.header("idempotent-replayed")), (Some("k"), None));
    let again = Caller::said(once("email=a@b.co&name=a")).await;
    assert_eq!((again.body["id"].as_str(), again.header("idempotent-replayed")), (first.body["id"].as_str(), Some("true")));
    let other = Caller::said(once("name=b")).await;
    assert_eq!((other.status, other.error("type")), (400, "idempotency_error"));
    caller.sandbox.world().clock().advance(Duration::from_secs(24 * 3600 + 1));
    let afresh = Caller::said(once("name=b")).await;
    assert_eq!((afresh.status, afresh.header("idempotent-replayed")), (200, None));
    assert_ne!(afresh.body["id"], first.body["id"]);
    let long = caller.request("POST", "/v1/customers").header("idempotency-key", "k".repeat(256));
    assert_eq!(Caller::said(long).await.error("type"), "idempotency_error");
    caller.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_payment_is_answered_again_as_it_was() {
    let caller = Caller::new().await;
    let pay = || {
        let request = caller.request("POST", "/v1/payment_intents").header("idempotency-key", "declined");
        let form = "amount=900&currency=usd&payment_method=pm_card_chargeDeclined&confirm=true";
        Caller::said(request.header("content-type", "application/x-www-form-urlencoded").body(form))
    };
    let (first, again) = (pay().await, pay().await);
    assert_eq!((first.status, again.status), (402, 402));
    assert_eq!(first.body["error"]["payment_intent"]["id"], again.body["error"]["payment_intent"]["id"]);
    caller.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_speak_the_vendor_s_words() {
    let caller = Caller::new().await;
    let cases = [
        (Kind::RateLimited { retry_after: Some(2) }, 429, "rate_limit"),
        (Kind::DailyLimit, 429, "rate_limit"),
        (Kind::ServerError, 500, ""),
        (Kind::Unavailable, 503, ""),
        (Kind::ExpiredSession, 401, "api_key_expired"),
        (Kind::Denied, 403, "more_permissions_required"),
    ];
    for (kind, status, code) in cases {
        caller.sandbox.world().faults().add(Fault::new("stripe", kind.clone()).times(1));
        let said = caller.get("/v1/customers").await;
        assert_eq!((said.status, said.error("code")), (status, code), "{kind:?} {}", said.body);
        assert!(said.header("request-id").is_some() && !said.error("message").is_empty());
        assert_eq!(said.header("retry-after").is_some(), status == 429 && matches!(kind, Kind::RateLimited { .. }));
    }
    caller.set(&json!({"refusal_code": "lock_timeout", "should_retry": true}));
    caller.sandbox.world().faults().add(Fault::new("stripe", Kind::RateLimited { retry_after: None }).times(1));
    let said = caller.get("/v1/customers").await;
    assert_eq!((said.error("code"), said.header("stripe-should-retry")), ("lock_timeout", Some("true")));
    caller.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_refuse_what_is_too_much_for_a_second() {
    let caller = Caller::new().await;
    caller.set(&json!({"reads_per_s": 2}));
    let mut refused = 0;
    for _ in 0..8 {
        let said = caller.get("/v1/balance").await;
        if said.status == 429 {
            assert_eq!(said.header("stripe-rate-limited-reason"), Some("global-rate"));
            refused += 1;
        }
    }
    assert!(refused > 0);
    assert_eq!(caller.post("/v1/customers", "").await.status, 200, "writes have a bucket of their own");
    caller.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_what_is_new_only_after_its_delay() {
    let caller = Caller::new().await;
    caller.set(&json!({"search_delay_s": 30}));
    caller.made("/v1/customers", "email=new@search.example").await;
    let path = "/v1/customers/search?query=email%3A%27new%40search.example%27";
    assert_eq!(caller.get(path).await.body["data"], json!([]));
    caller.sandbox.world().clock().advance(Duration::from_secs(31));
    assert_eq!(caller.get(path).await.body["data"].as_array().unwrap().len(), 1);
    caller.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_played_is_kept_all_the_same() {
    let caller = Caller::new().await;
    let made = caller.made("/v1/billing/meters", "display_name=Calls&event_name=calls&default_aggregation[formula]=sum").await;
    let id = made["id"].as_str().unwrap();
    assert_eq!(caller.get(&format!("/v1/billing/meters/{id}")).await.body["event_name"], "calls");
    assert_eq!(caller.made(&format!("/v1/billing/meters/{id}/deactivate"), "").await["status"], "inactive");
    assert_eq!(caller.get("/v1/billing/meters").await.body["data"][0]["id"], *id);
    let customer = caller.get("/v1/customers?limit=1").await.body["data"][0]["id"].as_str().unwrap().to_owned();
    let form = format!("event_name=calls&payload[stripe_customer_id]={customer}&payload[value]=3&identifier=once");
    assert_eq!(caller.made("/v1/billing/meter_events", &form).await["identifier"], "once");
    assert_eq!(caller.post("/v1/billing/meter_events", &form).await.status, 400);
    caller.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_first_invoice_ends_a_subscription_after_a_day() {
    let caller = Caller::new().await;
    let clock = caller.made("/v1/test_helpers/test_clocks", "frozen_time=1800000000").await["id"].as_str().unwrap().to_owned();
    let customer =
        caller.made("/v1/customers", &format!("test_clock={clock}&payment_method=pm_card_chargeCustomerFail")).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
    let method =
        caller.get(&format!("/v1/customers/{customer}/payment_methods")).await.body["data"][0]["id"].as_str().unwrap().to_owned();
    let price = caller.made("/v1/prices", "currency=usd&unit_amount=700&recurring[interval]=week&product_data[name]=Care").await
        ["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let form = format!("customer={customer}&items[0][price]={price}&default_payment_method={method}");
    let strict = caller.post("/v1/subscriptions", &format!("{form}&payment_behavior=error_if_incomplete")).await;
    assert_eq!((strict.status, strict.error("code")), (402, "card_declined"));
    let made = caller.made("/v1/subscriptions", &form).await;
    assert_eq!(made["status"], "incomplete");
    caller
        .made(&format!("/v1/test_helpers/test_clocks/{clock}/advance"), &format!("frozen_time={}", 1_800_000_000 + 24 * 3600))
        .await;
    let path = format!("/v1/subscriptions/{}?expand[]=latest_invoice", made["id"].as_str().unwrap());
    let late = caller.get(&path).await.body;
    assert_eq!((&late["status"], &late["latest_invoice"]["status"]), (&json!("incomplete_expired"), &json!("void")));
    caller.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_is_told_of_before_it_ends_and_then_billed() {
    let caller = Caller::new().await;
    let start = 1_800_000_000_i64;
    let clock =
        caller.made("/v1/test_helpers/test_clocks", &format!("frozen_time={start}")).await["id"].as_str().unwrap().to_owned();
    let customer = caller.made("/v1/customers", &format!("test_clock={clock}&payment_method=pm_card_visa")).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let method =
        caller.get(&format!("/v1/customers/{customer}/payment_methods")).await.body["data"][0]["id"].as_str().unwrap().to_owned();
    let price = caller.made("/v1/prices", "currency=usd&unit_amount=700&recurring[interval]=month&product_data[name]=Care").await
        ["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let form = format!(
        "customer={customer}&items[0][price]={price}&default_payment_method={method}&trial_period_days=10&cancel_at_period_end=false"
    );
    let made = caller.made("/v1/subscriptions", &form).await;
    assert_eq!((&made["status"], &made["trial_end"]), (&json!("trialing"), &json!(start + 864_000)));
    caller
        .made(&format!("/v1/test_helpers/test_clocks/{clock}/advance"), &format!("frozen_time={}", start + 864_000 + 7_200))
        .await;
    let path = format!("/v1/subscriptions/{}?expand[]=latest_invoice", made["id"].as_str().unwrap());
    let now = caller.get(&path).await.body;
    assert_eq!((&now["status"], &now["latest_invoice"]["amount_paid"]), (&json!("active"), &json!(700)));
    let told = caller.sandbox.vendor("stripe").unwrap().rows("Event", 0, 10_000).unwrap();
    let at = |name: &str| {
        told.iter()
            .position(|event| event["type"] == name && event["data"]["object"]["customer"] == customer.as_str())
            .unwrap_or_else(|| panic!("{name}"))
    };
    assert!(at("customer.subscription.created") < at("customer.subscription.trial_will_end"));
    assert!(at("customer.subscription.trial_will_end") < at("customer.subscription.updated"));
    caller.sandbox.stop().await;
}
