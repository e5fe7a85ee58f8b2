//! People sign in to the simulated systems with a browser, through the real server's routes.

use std::time::Duration;

use reqwest::{Client, header::LOCATION, redirect::Policy};
use sandbox::{Options, Sandbox};
use serde_json::{Value as Json, json};

use crate::{harness::Process, told_and_asked::until};

/// How a system is connected, and what is called then.
struct System {
    vendor: &'static str,
    config: Json,
    credentials: Json,
    /// What lets its page agree as somebody, and what ends its access tokens.
    agrees: Json,
    ends: &'static str,
    step: &'static str,
    /// Part of the address of its token service.
    tokens: &'static str,
}

fn browser() -> Client {
    #[expect(clippy::disallowed_methods, reason = "a test calls its own servers")]
    let client = Client::builder().no_proxy().redirect(Policy::none()).timeout(Duration::from_secs(30));
    client.build().unwrap()
}

async fn story(system: fn(&Sandbox) -> System) {
    let (sandbox, folder) = (Sandbox::start(Options::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let system = system(&sandbox);
    let vendor = sandbox.vendor(system.vendor).unwrap();
    vendor.configure(&system.agrees).unwrap();
    let server = Process::serve(folder.path(), None);
    let connection =
        json!({ "name": "it", "connector": system.vendor, "config": system.config, "credentials": system.credentials });
    let (status, made) = server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await;
    assert_eq!((status, &made["state"]), (201, &json!("needs_sign_in")), "{made}");

    let (status, begun) = server.api("POST", "/api/v1/connections/it/sign-in", None).await;
    assert_eq!(status, 201, "{begun}");
    let browser = browser();
    let agreed = browser.get(begun["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(agreed.status(), 302, "{begun}");
    let back = agreed.headers()[LOCATION].to_str().unwrap();
    let other = browser.get(back.replace("state=", "state=x")).send().await.unwrap();
    assert_eq!(other.status(), 400, "a code with another's state is not taken");
    let page = browser.get(back).send().await.unwrap();
    assert_eq!(page.status(), 200, "{:?}", page.text().await);

    let (name, step) = (system.vendor, system.step);
    let recipe = format!(
        "liaison: 1\nrecipe: story\nconnections: {{ it: {name} }}\ntrigger: {{ from: api }}\nsteps:\n  - {{ id: s1, do: it.{step}, retry: none }}\n"
    );
    server.set_up(&recipe).await;
    for round in 0..2 {
        let (status, run) = server.api("POST", "/api/v1/recipes/story/runs", Some("{}")).await;
        assert_eq!(status, 202, "{run}");
        server.wait(run["id"].as_str().unwrap(), "succeeded").await;
        // The token ended: it is renewed by what the sign-in gave, and by nobody else.
        let asked = sandbox.world().recorder().of(system.vendor);
        let asked = asked.iter().filter(|request| request.target.contains(system.tokens)).count();
        assert_eq!(asked, 1 + round, "one code, then one renewal");
        vendor.happen(system.ends, &json!({})).unwrap();
    }
    // ServiceNow ends what was agreed to, however much it is used; whoever watches learns when.
    let (_, connection) = server.api("GET", "/api/v1/connections/it", None).await;
    let ends = connection["sign_in_ends_at"].as_str().map(|at| at.parse::<jiff::Timestamp>().unwrap());
    assert_eq!(ends.is_some(), system.vendor == "servicenow", "{connection}");
    let Some(ends) = ends else { return };
    assert!((99..=100).contains(&(ends.duration_since(jiff::Timestamp::now()).as_hours() / 24)), "{connection}");
    assert!(server.stop());
    let server = Process::serve(folder.path(), None);
    until("the metric tells it", async || {
        let (_, metrics) = server.text("/metrics").await;
        let told =
            metrics.lines().find_map(|line| line.strip_prefix("liaison_connection_sign_in_ends_seconds{connection=\"it\"} "));
        told.is_some_and(|at| at.split('.').next() == Some(ends.as_second().to_string().as_str()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_to_servicenow() {
    story(|sandbox| {
        let told = sandbox.vendor("servicenow").unwrap().credentials();
        System {
            vendor: "servicenow",
            config: json!({ "base_url": sandbox.url("servicenow").as_str(), "auth": "refresh_token" }),
            credentials: json!({ "client_id": told["client_id"], "client_secret": told["client_secret"] }),
            agrees: json!({ "approve_as": told["user_name"] }),
            ends: "expire_tokens",
            step: "who_am_i",
            tokens: "/oauth_token.do",
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_to_workday() {
    story(|sandbox| {
        let told = sandbox.vendor("workday").unwrap().credentials();
        let config = ["rest_endpoint", "token_endpoint", "authorization_endpoint"];
        let config: Json = config.iter().map(|name| ((*name).to_owned(), told[*name].clone())).collect();
        System {
            vendor: "workday",
            config,
            credentials: json!({ "client_id": told["client_id"], "client_secret": told["client_secret"] }),
            agrees: json!({}),
            ends: "expire_tokens",
            step: "list_currencies",
            tokens: "/ccx/oauth2/",
        }
    })
    .await;
}
