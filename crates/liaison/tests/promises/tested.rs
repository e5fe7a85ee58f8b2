//! The test call of a connection, over all five systems and the real API: what it says when all is well, when a secret or
//! the address is wrong, and when the system is down; and the states a connection goes through.

use sandbox::{Fault, Kind, Options, Sandbox};
use serde_json::{Value, json};

use crate::{harness::Process, shapes};

/// Nothing listens there.
const NOBODY: &str = "http://127.0.0.1:1";
const SYSTEMS: [&str; 5] = ["netsuite", "salesforce", "servicenow", "stripe", "workday"];
/// Those of the credentials that prove who asks.
const SECRETS: [&str; 8] =
    ["api_key", "client_secret", "consumer_secret", "password", "private_key", "refresh_token", "token_secret", "webhook_secret"];
/// A secret that nobody gave out.
const WRONG: &str = "sk_test_nobody_gave_this_out";

pub(crate) fn connection(sandbox: &Sandbox, system: &str) -> (Value, Value) {
    let told = sandbox.vendor(system).unwrap().credentials();
    let url = sandbox.url(system).as_str().trim_end_matches('/').to_owned();
    match system {
        "stripe" => (json!({ "api_url": url, "files_url": url }), json!({ "api_key": told["secret_key"] })),
        "netsuite" => {
            let names = ["consumer_key", "consumer_secret", "token", "token_secret"];
            let credentials = names.iter().map(|name| ((*name).to_owned(), told[*name].clone())).collect();
            (json!({ "account": told["account"], "base_url": url, "auth": "tba" }), credentials)
        }
        _ => shapes::connection(sandbox, system),
    }
}

/// The same settings with another host.
fn elsewhere(config: &Value, sandbox: &Sandbox) -> Value {
    let config = config.to_string();
    let hosts = SYSTEMS.map(|system| sandbox.url(system).origin().ascii_serialization());
    serde_json::from_str(&hosts.iter().fold(config, |config, host| config.replace(host, NOBODY))).unwrap()
}

struct Story {
    server: Process,
    sandbox: Sandbox,
    system: &'static str,
    config: Value,
    credentials: Value,
    _folder: tempfile::TempDir,
}

impl Story {
    async fn begin(system: &'static str) -> Self {
        let (sandbox, folder) = (Sandbox::start(Options::default()).await.unwrap(), tempfile::tempdir().unwrap());
        let server = Process::serve(folder.path(), None);
        let (mut config, credentials) = connection(&sandbox, system);
        config["circuit"] = json!({ "in_a_row": 2 });
        let body = json!({ "name": "it", "connector": system, "config": config, "credentials": credentials });
        let (status, told) = server.api("POST", "/api/v1/connections", Some(&body.to_string())).await;
        assert_eq!((status, &told["state"]), (201, &json!("never_used")), "{system}: {told}");
        Self { server, sandbox, system, config, credentials, _folder: folder }
    }

    /// The words, all of them, hold nothing that proves who asks.
    fn shows_no_secret(&self, told: &Value) {
        let told = told.to_string();
        for name in SECRETS {
            let given = self.credentials[name].as_str().into_iter().chain([WRONG]);
            for line in given.flat_map(str::lines).filter(|line| line.len() > 4) {
                assert!(!told.contains(line), "{}: {name} is shown: {told}", self.system);
            }
        }
    }

    async fn test(&self) -> Value {
        let (status, told) = self.server.api("POST", "/api/v1/connections/it/test", None).await;
        assert_eq!(status, 200, "{}: {told}", self.system);
        self.shows_no_secret(&told);
        told
    }

    /// Fails in this class, in words: what happened, with a part of why, and what to do next.
    async fn fails(&self, class: &str, codes: &[&str], why: &[&str]) -> Value {
        let told = self.test().await;
        let text = |name: &str| told[name].as_str().unwrap_or_default();
        assert_eq!((&told["works"], text("class")), (&json!(false), class), "{}: {told}", self.system);
        assert!(codes.contains(&text("code")), "{}: {told}", self.system);
        assert!(why.iter().any(|part| text("message").contains(part)), "{}: {told}", self.system);
        assert!(text("next").ends_with('.') && text("next").len() > 20, "{}: it says what to do next: {told}", self.system);
        told
    }

    async fn works(&self) {
        let told = self.test().await;
        let wanted = json!({ "works": true, "message": "The other system answered." });
        assert_eq!(told, wanted, "{}", self.system);
    }

    async fn state(&self) -> (String, String) {
        let (_, told) = self.server.api("GET", "/api/v1/connections/it", None).await;
        self.shows_no_secret(&told);
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        (text("state"), text("state_reason"))
    }

    async fn is(&self, state: &str, why: &str) {
        let (found, reason) = self.state().await;
        assert!(found == state && reason.contains(why), "{}: {found} {reason}: {state} was expected", self.system);
    }

    async fn change(&self, change: Value) {
        let (status, told) = self.server.api("PATCH", "/api/v1/connections/it", Some(&change.to_string())).await;
        assert_eq!(status, 200, "{}: {told}", self.system);
    }

    /// Every secret another.
    fn wrong(&self) -> Value {
        let given = self.credentials.as_object().unwrap().keys();
        given.filter(|name| SECRETS.contains(&name.as_str())).map(|name| (name.clone(), json!(WRONG))).collect()
    }

    async fn run_until(&self, status: &str) -> String {
        let (_, run) = self.server.api("POST", "/api/v1/recipes/story/runs", Some("{}")).await;
        let id = run["id"].as_str().unwrap_or_else(|| panic!("{run}")).to_owned();
        self.server.wait(&id, status).await;
        id
    }
}

async fn tell(system: &'static str, refused: &[&str], step: &str) {
    let story = Story::begin(system).await;
    story.is("never_used", "").await;
    story.works().await;
    story.is("healthy", "").await;

    // A wrong secret is a matter for a person; the right one, once it is there, works at once.
    story.change(json!({ "credentials": story.wrong() })).await;
    let told = story.fails("auth", refused, &["did not accept", "does not know", "could not sign in"]).await;
    story.is("needs_sign_in", told["message"].as_str().unwrap()).await;
    story.change(json!({ "credentials": story.credentials })).await;
    story.works().await;
    story.is("healthy", "").await;

    // A wrong address is told as one, and says nothing of the credentials.
    story.change(json!({ "config": elsewhere(&story.config, &story.sandbox) })).await;
    story.fails("network", &["CONNECTION_REFUSED"], &["127.0.0.1:1"]).await;
    assert_ne!(story.state().await.0, "needs_sign_in", "{system}");
    story.change(json!({ "config": story.config })).await;
    story.works().await;

    // A system that is down is told as that; nobody has to sign in for it.
    story.sandbox.world().faults().add(Fault::new(system, Kind::Unavailable)).unwrap();
    story.fails("server", DOWN, &["503", "available", "is away"]).await;
    assert_ne!(story.state().await.0, "needs_sign_in", "{system}");
    story.sandbox.world().faults().clear();

    // What runs meet: a system that fails pauses the connection, one that asks to wait limits it.
    let text = format!(
        "liaison: 1\nrecipe: story\nconnections: {{ it: {system} }}\ntrigger: {{ from: api }}\nsteps:\n  - {{ id: a, do: it.{step} }}\n"
    );
    story.server.set_up(&text).await;
    story.sandbox.world().faults().add(Fault::new(system, Kind::RateLimited { retry_after: Some(3_600) })).unwrap();
    story.run_until("waiting").await;
    story.is("limited", "").await;
    story.sandbox.world().faults().clear();
    let over = json!({ "paused_until": null, "reason": "It is back." }).to_string();
    assert_eq!(story.server.api("POST", "/api/v1/connections/it/pause", Some(&over)).await.0, 200, "{system}");
    let open = json!({ "state": "open", "reason": "It moves tonight." }).to_string();
    assert_eq!(story.server.api("POST", "/api/v1/connections/it/circuit", Some(&open)).await.0, 200, "{system}");
    story.is("paused", "moves tonight").await;
    // A test goes through all the same: that is how a person finds out whether it is over.
    story.works().await;
    let closed = json!({ "state": "closed", "reason": "It moved." }).to_string();
    assert_eq!(story.server.api("POST", "/api/v1/connections/it/circuit", Some(&closed)).await.0, 200, "{system}");
    story.is("healthy", "").await;
}

/// The codes of a system that is down.
const DOWN: &[&str] = &["HTTP_503", "MAINTENANCE", "SERVER_UNAVAILABLE", "SERVICE_UNAVAILABLE", "api_error"];

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_netsuite_tells_what_is_wrong() {
    tell("netsuite", &["INVALID_LOGIN"], "run_suiteql, with: { query: \"SELECT 1 AS ok FROM dual\" }").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_salesforce_tells_what_is_wrong() {
    tell("salesforce", &["SIGN_IN_FAILED"], "limits").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_servicenow_tells_what_is_wrong() {
    tell("servicenow", &["NOT_AUTHENTICATED"], "who_am_i").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_stripe_tells_what_is_wrong() {
    tell("stripe", &["invalid_api_key"], "get_account").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_workday_tells_what_is_wrong() {
    tell("workday", &["SIGN_IN_FAILED", "INVALID_LOGIN"], "get_server_time").await;
}
