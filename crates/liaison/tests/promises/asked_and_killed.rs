//! `kill -9` while triggers ask: the runs of an answer and the place to go on from are kept together, or neither is.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use crate::harness::Process;

/// Deaths, each at another moment.
const KILLS: u32 = 10;
/// A record comes so often.
const EVERY: Duration = Duration::from_millis(120);
/// Where the moments come from.
const SEED: u64 = 20_261_122;
const PATIENCE: Duration = Duration::from_secs(120);

/// The last one never reads anything again: what it passes over is lost.
const RECIPES: [(&str, &str); 3] = [
    (
        "told",
        "liaison: 1\nrecipe: told\nconnections: { billing: stripe }\n\
         trigger: { from: billing.event, with: { types: [customer.created] } }\n\
         steps:\n  - { id: end, return: { name: \"${ trigger.data.object.name }\" } }\n",
    ),
    (
        "booked",
        "liaison: 1\nrecipe: booked\nconnections: { erp: netsuite }\n\
         trigger: { from: erp.new_record, with: { type: customer, fields: [companyname] } }\n\
         steps:\n  - { id: end, return: { name: \"${ trigger.record.companyname }\" } }\n",
    ),
    (
        "rows",
        "liaison: 1\nrecipe: rows\nconnections: { erp: netsuite }\ntrigger:\n  from: erp.query_rows\n  \
         with: { query: \"SELECT id, companyname FROM customer\", cursor_column: id }\n\
         steps:\n  - { id: end, return: { name: \"${ trigger.row.companyname }\" } }\n",
    ),
];

async fn set_up(server: &Process, sandbox: &Sandbox) {
    let url = |system: &str| sandbox.url(system).as_str().trim_end_matches('/').to_owned();
    let (stripe, netsuite) = (sandbox.vendor("stripe").unwrap().credentials(), sandbox.vendor("netsuite").unwrap().credentials());
    let connections = [
        json!({ "name": "billing", "connector": "stripe", "credentials": { "api_key": stripe["secret_key"] },
            "config": { "api_url": url("stripe"), "files_url": url("stripe") } }),
        json!({ "name": "erp", "connector": "netsuite",
            "credentials": { "client_id": netsuite["client_id"], "private_key": netsuite["private_key"] },
            "config": { "account": netsuite["account"], "base_url": url("netsuite"), "auth": "certificate",
                "certificate_id": netsuite["certificate_id"], "signature": "ES256" } }),
    ];
    for connection in connections {
        let (status, body) = server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await;
        assert_eq!(status, 201, "{body}");
    }
    for (slug, text) in RECIPES {
        let (status, body) = server.api("PUT", &format!("/api/v1/recipes/{slug}"), Some(text)).await;
        assert_eq!(status, 201, "{body}");
        assert_eq!(server.api("POST", &format!("/api/v1/recipes/{slug}/activate"), Some("{}")).await.0, 200);
        let began = Instant::now();
        while !server.api("GET", &format!("/api/v1/polls/{slug}"), None).await.1["asked_at"].is_string() {
            assert!(began.elapsed() < PATIENCE, "{slug} never asks");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

fn make(sandbox: &Sandbox, name: &str) {
    let (stripe, netsuite) = (sandbox.vendor("stripe").unwrap(), sandbox.vendor("netsuite").unwrap());
    stripe.happen("new_customer", &json!({ "name": name, "email": "post@fern.example" })).unwrap();
    let values = json!({ "companyName": name, "subsidiary": "1" });
    netsuite.happen("record_created", &json!({ "type": "customer", "values": values })).unwrap();
}

async fn hasten(server: &Process) {
    for (slug, _) in RECIPES {
        server.api("POST", &format!("/api/v1/polls/{slug}/ask"), None).await;
    }
}

/// How often each name was run with.
async fn names(server: &Process, slug: &str) -> BTreeMap<String, u32> {
    let (_, list) = server.api("GET", &format!("/api/v1/runs?recipe={slug}&limit=200"), None).await;
    let mut names = BTreeMap::new();
    for run in list["data"].as_array().into_iter().flatten() {
        let told = server.run(run["id"].as_str().unwrap()).await;
        let name = match &told["output"]["name"] {
            Value::String(name) => name.clone(),
            _ => format!("{} is not over", told["id"]),
        };
        *names.entry(name).or_default() += 1;
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_starts_one_run_however_often_the_asker_is_killed() {
    let (sandbox, folder) = (Sandbox::start(Options::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut dice = SmallRng::seed_from_u64(SEED);
    let mut server = Process::serve(folder.path(), None);
    set_up(&server, &sandbox).await;
    let mut made = BTreeMap::new();
    for life in 0..KILLS {
        let until = Instant::now() + Duration::from_millis(dice.random_range(10..1_500));
        while Instant::now() < until {
            let (name, next) = (format!("Fern {life}-{}", made.len()), Instant::now() + EVERY);
            make(&sandbox, &name);
            made.insert(name, 1);
            while Instant::now() < next.min(until) {
                hasten(&server).await;
            }
        }
        server.kill();
        server = Process::serve(folder.path(), None);
    }
    for (slug, _) in RECIPES {
        let began = Instant::now();
        loop {
            hasten(&server).await;
            let ran = names(&server, slug).await;
            if ran == made {
                break;
            }
            assert!(ran.values().all(|times| *times == 1), "{slug}: {ran:#?}");
            assert!(began.elapsed() < PATIENCE, "{slug}: some are lost: {ran:#?}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    // What is told again, since the last stretch is always read again, is known.
    let ran = async || {
        let mut all = Vec::new();
        for (slug, _) in RECIPES {
            all.push(names(&server, slug).await);
        }
        all
    };
    let before = server.api("GET", "/api/v1/polls/booked", None).await.1["asked_at"].clone();
    let began = Instant::now();
    while server.api("GET", "/api/v1/polls/booked", None).await.1["asked_at"] == before {
        hasten(&server).await;
        assert!(began.elapsed() < PATIENCE, "it asks no more");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ran().await, [made.clone(), made.clone(), made]);
}
