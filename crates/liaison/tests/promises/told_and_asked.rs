//! What a system tells more than once, late and out of order, and is asked for besides, starts one run each.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use sandbox::{Options, Sandbox, Tries, Trouble};
use serde_json::{Value, json};

use crate::harness::Process;

/// Things that happen, and how often each is told.
const CUSTOMERS: usize = 8;
const TOLD: usize = 3;

/// Lets the simulated Stripe tell the recipe behind this host and port of everything; gives the secret its messages are signed with.
pub(crate) async fn tells(sandbox: &Sandbox, at: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "a test sets a system up")]
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
    let key = sandbox.vendor("stripe").unwrap().credentials()["secret_key"].as_str().unwrap().to_owned();
    let address = sandbox.url("stripe").join("/v1/webhook_endpoints").unwrap();
    let form = format!("url=http://{at}/hooks/story&enabled_events[]=*");
    let request = client.post(address).bearer_auth(key).header("content-type", "application/x-www-form-urlencoded").body(form);
    let told: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    told["secret"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned()
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_twice_late_and_out_of_order_and_asked_for_starts_one_run() {
    let (sandbox, folder) = (Sandbox::start(Options::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let server = Process::serve(folder.path(), None);
    let stripe = sandbox.vendor("stripe").expect("a system");
    let secret = tells(&sandbox, &server.address).await;
    let url = sandbox.url("stripe").as_str().trim_end_matches('/');
    let connection = json!({
        "name": "billing", "connector": "stripe", "config": { "api_url": url, "files_url": url },
        "credentials": { "api_key": stripe.credentials()["secret_key"], "webhook_secret": secret }
    });
    let (status, body) = server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await;
    assert_eq!(status, 201, "{body}");
    let since = sandbox.world().clock().now();
    server
        .set_up(
            "liaison: 1\nrecipe: story\nconnections: { billing: stripe }\n\
             trigger: { from: billing.event, with: { types: [customer.created] } }\nsteps:\n  \
             - id: end\n    return: { event: \"${ trigger.id }\", name: \"${ trigger.data.object.name }\" }\n",
        )
        .await;
    let poll = async || server.api("GET", "/api/v1/polls/story", None).await.1;
    // Its first question is over before anything happens, so that what follows is told first.
    until("it never asked", async || poll().await["asked_at"].is_string()).await;

    let outbox = sandbox.world().outbox();
    let duplicates = u32::try_from(TOLD - 1).unwrap();
    let reorder = CUSTOMERS * TOLD;
    let trouble = Trouble { duplicates, delay_ms: 150, reorder, pause_factor: Some(0.01), held: true, ..Trouble::default() };
    outbox.set_trouble(trouble.clone());
    for n in 0..CUSTOMERS {
        stripe.happen("new_customer", &json!({ "name": format!("Fern {n}"), "email": format!("{n}@fern.example") })).unwrap();
    }
    outbox.set_trouble(Trouble { held: false, ..trouble });
    let told = || outbox.deliveries().into_iter().filter(|one| one.label.contains("customer.created")).collect::<Vec<_>>();
    until("they were never told", async || {
        let told = told();
        told.len() == CUSTOMERS * TOLD && told.iter().all(|one| one.state == Tries::Delivered)
    })
    .await;
    assert!(told().iter().all(|one| one.answers.len() == 1), "each was taken with its first try, also the second time");

    let runs = async || {
        let (_, list) = server.api("GET", "/api/v1/runs?recipe=story&limit=200", None).await;
        list["data"].as_array().cloned().unwrap_or_default()
    };
    until("they never ran", async || {
        let runs = runs().await;
        runs.len() == CUSTOMERS && runs.iter().all(|run| run["status"] == "succeeded")
    })
    .await;

    // Asked for what it told, it tells the same again.
    let before = poll().await;
    let ask = async || server.api("POST", "/api/v1/polls/story/ask", None).await.0;
    assert_eq!(ask().await, 202);
    until("it was not asked", async || poll().await["asked_at"] != before["asked_at"]).await;
    // Also from the start.
    let wish = |dry_run: bool| json!({ "since": since.to_string(), "dry_run": dry_run }).to_string();
    let (status, counted) = server.api("POST", "/api/v1/polls/story/move", Some(&wish(true))).await;
    assert_eq!((status, &counted["moved"], &counted["would_start"]), (200, &json!(false), &json!(CUSTOMERS)), "{counted}");
    let before = poll().await;
    let (status, moved) = server.api("POST", "/api/v1/polls/story/move", Some(&wish(false))).await;
    assert_eq!((status, &moved["moved"]), (200, &json!(true)), "{moved}");
    until("it was not asked again", async || {
        let now = poll().await;
        now["asked_at"] != before["asked_at"] && now["cursor"].is_object()
    })
    .await;
    let (_, list) = server.api("GET", "/api/v1/polls", None).await;
    assert_eq!((&list["data"][0]["source"], &list["data"][0]["failures"]), (&json!("billing.event"), &json!(0)), "{list}");

    let runs = runs().await;
    let mut names = BTreeSet::new();
    for run in &runs {
        let told = server.run(run["id"].as_str().unwrap()).await;
        names.insert(told["output"]["name"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!((runs.len(), names.len()), (CUSTOMERS, CUSTOMERS), "{names:?}");
}
