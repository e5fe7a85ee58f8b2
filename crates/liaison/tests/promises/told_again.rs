//! A system whose message was answered with 500, or too late, sends it again: each starts one run, also when it had been
//! taken before.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::any,
};
use parking_lot::Mutex;
use sandbox::{Options, Sandbox, Tries, Trouble};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    harness::Process,
    tested,
    told_and_asked::{tells, until},
};

/// Things that happen.
const COUNT: usize = 3;

/// Stands before the product like a proxy with a bad day: the first try of each message is answered with 500 and goes no
/// further, of the second the answer never comes back, and the third goes through.
struct Door {
    server: String,
    tries: Mutex<HashMap<Bytes, u32>>,
    client: reqwest::Client,
}

impl Door {
    /// Its host and port.
    async fn start(server: &Process) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let door = Arc::new(Self { server: server.address.clone(), tries: Mutex::default(), client });
        let router = Router::new().route("/{*path}", any(pass)).with_state(door);
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}

async fn pass(State(door): State<Arc<Door>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let nth = {
        let mut tries = door.tries.lock();
        let nth = tries.entry(body.clone()).or_default();
        *nth += 1;
        *nth
    };
    if nth == 1 {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let answer = door.client.post(format!("http://{}{uri}", door.server)).headers(headers).body(body).send().await.unwrap();
    let (status, bytes) = (answer.status(), answer.bytes().await.unwrap());
    if nth == 2 {
        assert!(status.is_success(), "it was taken: {status} {bytes:?}");
        std::future::pending::<()>().await;
    }
    (status, bytes).into_response()
}

async fn connect(server: &Process, sandbox: &Sandbox, system: &str, webhook_secret: Option<&str>) {
    let told = sandbox.vendor(system).unwrap().credentials();
    let (mut config, mut credentials) = tested::connection(sandbox, system);
    match system {
        "stripe" => credentials["webhook_secret"] = json!(webhook_secret),
        "salesforce" => config["organization_id"] = told["organization_id"].clone(),
        _ => credentials["webhook_key"] = told["webhook_key"].clone(),
    }
    let body = json!({ "name": "sys", "connector": system, "config": config, "credentials": credentials });
    let (status, told) = server.api("POST", "/api/v1/connections", Some(&body.to_string())).await;
    assert_eq!(status, 201, "{told}");
}

/// The script that the product writes for an administrator of ServiceNow, put where he would put it.
async fn rule(server: &Process, sandbox: &Sandbox, at: &str) {
    let recipe = format!(
        "liaison: 1\nrecipe: script\nconnections: {{ sys: servicenow }}\ntrigger: {{ from: api }}\nsteps:\n  - id: made\n    \
         do: sys.business_rule_script\n    with: {{ table: incident, address: \"http://{at}/hooks/story\", operations: [insert] }}\n  \
         - id: end\n    return: {{ script: \"${{ steps.made.script }}\", table: \"${{ steps.made.table }}\", when: \"${{ steps.made.when }}\" }}\n"
    );
    let (status, body) = server.api("PUT", "/api/v1/recipes/script", Some(&recipe)).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(server.api("POST", "/api/v1/recipes/script/activate", Some("{}")).await.0, 200);
    let (status, begun) = server.api("POST", "/api/v1/recipes/script/runs", Some("{}")).await;
    assert!(matches!(status, 200 | 202), "{begun}");
    let made = server.wait(begun["id"].as_str().unwrap(), "succeeded").await["output"].clone();
    let values = json!({ "name": "Liaison", "collection": made["table"], "when": made["when"], "action_insert": "true",
        "script": made["script"] });
    let system = sandbox.vendor("servicenow").unwrap();
    system.configure(&json!({ "webhook_retries": 5 })).unwrap();
    system.happen("create_record", &json!({ "table": "sys_script", "values": values })).unwrap();
}

async fn story(system: &str, trigger: &str, id: &str, happens: (&str, fn(usize) -> Value)) {
    let (sandbox, folder) = (Sandbox::start(Options::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let server = Process::serve(folder.path(), None);
    let at = Door::start(&server).await;
    let secret = if system == "stripe" { Some(tells(&sandbox, &at).await) } else { None };
    connect(&server, &sandbox, system, secret.as_deref()).await;
    match system {
        "salesforce" => {
            let message = json!([{ "object": "Account", "url": format!("http://{at}/hooks/story"), "fields": ["Name"] }]);
            sandbox.vendor(system).unwrap().configure(&json!({ "outbound_messages": message })).unwrap();
        }
        "servicenow" => rule(&server, &sandbox, &at).await,
        _ => {}
    }
    server
        .set_up(&format!(
            "liaison: 1\nrecipe: story\nconnections: {{ sys: {system} }}\ntrigger: {trigger}\nsteps:\n  \
             - id: end\n    return: {{ id: \"${{ {id} }}\" }}\n"
        ))
        .await;
    let outbox = sandbox.world().outbox();
    outbox.set_trouble(Trouble { pause_factor: Some(0.000_01), patience_ms: Some(3_000), ..Trouble::default() });
    for n in 0..COUNT {
        sandbox.vendor(system).unwrap().happen(happens.0, &(happens.1)(n)).unwrap();
    }
    // Stripe tells its endpoint of more than the recipe wants.
    let told = || {
        let all = outbox.deliveries().into_iter();
        all.filter(|one| system != "stripe" || one.label.contains("customer.created")).collect::<Vec<_>>()
    };
    until("they were never told to their end", async || {
        let told = told();
        told.len() == COUNT && told.iter().all(|one| one.state != Tries::Waiting)
    })
    .await;
    for one in told() {
        assert_eq!(one.state, Tries::Delivered, "{one:?}");
        // A busy machine may be late with the third as well.
        assert_eq!(&one.answers[..2], ["500", "no answer in time"], "{one:?}");
        assert!(one.answers.len() > 2, "{one:?}");
    }
    let mut seen = Vec::new();
    for run in server.api("GET", "/api/v1/runs?recipe=story&limit=200", None).await.1["data"].as_array().unwrap() {
        seen.push(server.wait(run["id"].as_str().unwrap(), "succeeded").await["output"]["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen.len(), COUNT, "{system}: {seen:?}");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), COUNT, "{system}: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stripe_tells_again_what_was_answered_with_500_or_late() {
    story(
        "stripe",
        "{ from: sys.event, with: { types: [customer.created] } }",
        "trigger.id",
        ("new_customer", |n| json!({ "name": format!("Fern {n}"), "email": format!("{n}@fern.example") })),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn salesforce_tells_again_what_was_answered_with_500_or_late() {
    story(
        "salesforce",
        "{ from: sys.outbound_message }",
        "trigger.record.Id",
        ("create", |n| json!({ "object": "Account", "fields": { "Name": format!("Fern {n}") } })),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servicenow_tells_again_what_was_answered_with_500_or_late() {
    story(
        "servicenow",
        "{ from: sys.record_event, with: { table: incident } }",
        "trigger.sys_id",
        ("create_record", |n| json!({ "table": "incident", "values": { "short_description": format!("Fern {n}") } })),
    )
    .await;
}
