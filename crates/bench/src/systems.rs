//! The connectors against the simulated systems, which run in a process of their own: what a call costs on top of a
//! bare one, how many calls the systems take, and what a long query costs in memory.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use connector::{
    AddressPolicy, Connection, Connector, Cx, Secret,
    http::{Http, HttpOptions},
};
use serde_json::{Value, json};

use crate::product::{self, Process};

/// Calls of each kind that are compared, after as many that warm up.
const CALLS: usize = 3_000;
/// Clients that call the systems at the same time.
const CLIENTS: usize = 8;
/// Rows of one load into the simulated Salesforce.
const LOAD: u64 = 100_000;
/// Rows of the two queries.
const FEW: u64 = 100_000;
const MANY: u64 = 1_000_000;
/// Rows of one pass, which is a page of the query.
const BATCH: u64 = 1_000;

/// A connection to one system, ready for calls.
#[derive(Clone)]
struct System {
    connector: Arc<Connector>,
    connection: Arc<Connection>,
    http: Http,
}

impl System {
    fn new(id: &str, config: Value, credentials: &[(&str, &Value)]) -> anyhow::Result<Self> {
        let connector = connectors::all().into_iter().find(|one| one.id == id).context("no such connector")?;
        let credentials: HashMap<String, Secret> = credentials
            .iter()
            .filter_map(|(name, value)| Some(((*name).to_owned(), Secret::new(value.as_str()?.to_owned()))))
            .collect();
        let connection = Connection { name: id.to_owned(), connector: id.to_owned(), config, credentials };
        let options = HttpOptions { policy: AddressPolicy::with_private(), ..HttpOptions::default() };
        let http = Http::new(options).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Self { connector: Arc::new(connector), connection: Arc::new(connection), http })
    }

    async fn call(&self, action: &str, input: Value) -> anyhow::Result<Value> {
        let cx = Cx {
            http: self.http.clone(),
            connection: Some(Arc::clone(&self.connection)),
            idempotency_key: "bench/step".into(),
            timeout: Duration::from_secs(300),
            began: tokio::time::Instant::now(),
            began_us: 0,
            attempt: 1,
            in_doubt: false,
            run_id: "bench".into(),
            path: "step".into(),
            traceparent: None,
            turns: None,
        };
        let action = self.connector.action(action).context("no such action")?;
        (action.run)(cx, input).await.map_err(|error| anyhow::anyhow!("{}: {}", error.code, error.message))
    }
}

/// All of it, in one run of the systems.
pub(crate) async fn run(seconds: u64) -> anyhow::Result<()> {
    let process = product::sandbox().await?;
    let told: Value = serde_json::from_str(&process.said).context("the sandbox says no JSON")?;
    let of = |id: &str| &told["systems"][id];
    let url = of("stripe")["url"].as_str().context("no address")?.to_owned();
    let key = &of("stripe")["credentials"]["secret_key"];
    let stripe = System::new("stripe", json!({"api_url": url, "files_url": url}), &[("api_key", key)])?;
    let crm = &of("salesforce")["credentials"];
    let config = json!({"login_url": crm["login_url"], "sign_in": "client_credentials", "client_id": crm["client_id"]});
    let salesforce = System::new("salesforce", config.clone(), &[("client_secret", &crm["client_secret"])])?;

    let made = stripe.call("create_customer", json!({"name": "Fern & Co"})).await?;
    let id = made["customer"]["id"].as_str().or(made["id"].as_str()).context("no id of a customer")?.to_owned();
    let bare = Bare::new(format!("{url}/v1/customers/{id}"), key.as_str().unwrap_or_default())?;
    overhead(&bare, &stripe, &id).await?;
    capacity(&process, &bare, seconds).await?;
    query(&salesforce, config, crm).await?;
    process.end().await
}

/// The same call without any of ours.
#[derive(Clone)]
struct Bare {
    client: reqwest::Client,
    url: String,
    key: String,
}

impl Bare {
    fn new(url: String, key: &str) -> anyhow::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "the bare call is what ours is measured against")]
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { client, url, key: key.to_owned() })
    }

    async fn call(&self) -> anyhow::Result<Value> {
        let answer = self.client.get(&self.url).bearer_auth(&self.key).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }
}

fn median(mut spans: Vec<Duration>) -> f64 {
    spans.sort_unstable();
    spans[spans.len() / 2].as_secs_f64() * 1_000_000.0
}

/// One after the other, taking turns, so that whatever else the machine does meets both.
async fn overhead(bare: &Bare, stripe: &System, id: &str) -> anyhow::Result<()> {
    let (mut without, mut with) = (Vec::with_capacity(CALLS), Vec::with_capacity(CALLS));
    for turn in 0..CALLS * 2 {
        let began = Instant::now();
        bare.call().await?;
        let one = began.elapsed();
        let began = Instant::now();
        stripe.call("get_customer", json!({ "customer": id })).await?;
        let other = began.elapsed();
        if turn >= CALLS {
            without.push(one);
            with.push(other);
        }
    }
    let (without, with) = (median(without), median(with));
    println!(
        "call: bare reqwest {without:.0} us, through the connector {with:.0} us, {:.0} us on top in the median of {CALLS} (under 150: {})\n",
        with - without,
        verdict(with - without < 150.0),
    );
    Ok(())
}

/// Simple calls as fast as several clients can, and what the systems' process used for them.
async fn capacity(process: &Process, bare: &Bare, seconds: u64) -> anyhow::Result<()> {
    let done = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + Duration::from_secs(seconds);
    let (before, began) = (process.cpu()?, Instant::now());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (bare, done) = (bare.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                while Instant::now() < until {
                    bare.call().await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for client in clients {
        client.await??;
    }
    let (used, elapsed) = (process.cpu()? - before, began.elapsed().as_secs_f64());
    let done = done.load(Ordering::Relaxed) as f64;
    println!(
        "sandbox: {:.0} simple calls a second, {:.0} per CPU second of its process (at least 5000: {})\n",
        done / elapsed,
        done / used,
        verdict(done / used >= 5_000.0),
    );
    Ok(())
}

/// A query of many rows as a stream, each row taken by one pass, and the memory that needs.
async fn query(salesforce: &System, config: Value, crm: &Value) -> anyhow::Result<()> {
    let began = Instant::now();
    for part in 0..MANY / LOAD {
        let row =
            |row: u64| json!({"LastName": "Moss", "Company": "Stream", "External_Id__c": format!("S-{}", part * LOAD + row)});
        let rows: Vec<Value> = (0..LOAD).map(row).collect();
        let done = salesforce.call("bulk_load", json!({"object": "Lead", "operation": "insert", "rows": rows})).await?;
        ensure!(done["succeeded"] == LOAD, "the load of rows failed: {}", done["message"]);
    }
    println!("bulk load: {:.0} rows a second into the simulated Salesforce", MANY as f64 / began.elapsed().as_secs_f64());
    let folder = tempfile::tempdir()?;
    let server = product::serve(folder.path(), None).await?;
    let connection = json!({"name": "crm", "connector": "salesforce", "config": config,
        "credentials": {"client_secret": crm["client_secret"]}});
    product::connect(&server.address, &connection.to_string()).await?;
    product::save(&server.address, "rows", RECIPE.to_owned()).await?;
    let mut peaks = Vec::new();
    for rows in [FEW, MANY] {
        let (before, began) = (server.cpu()?, Instant::now());
        let run = product::run_stream(&server.address, "rows", &json!({ "rows": rows })).await?;
        let (used, elapsed) = (server.cpu()? - before, began.elapsed().as_secs_f64());
        // Before the run is read: showing all its passes takes room of its own for a moment.
        peaks.push(server.peak_mb()?);
        let (passes, _) = product::stream_result(&server.address, &run).await?;
        ensure!(passes * BATCH == rows, "{passes} batches of {BATCH} came of {rows} rows");
        println!(
            "query: {rows} rows as a stream, {:.0} a second, {:.0} per CPU second, peak {:.0} MB, {:.0} MB once it was read",
            rows as f64 / elapsed,
            rows as f64 / used,
            peaks[peaks.len() - 1],
            server.peak_mb()?,
        );
    }
    let growth = peaks[1] / peaks[0];
    println!("query: {growth:.2} x the memory for ten times the rows (at most 1.1: {})\n", verdict(growth <= 1.1));
    server.end().await
}

const RECIPE: &str = "liaison: 1
recipe: rows
connections: { crm: salesforce }
trigger: { from: api }
steps:
  - id: leads
    do: crm.search
    with: { object: Lead, fields: [LastName, External_Id__c], where: \"Company = 'Stream'\", limit: \"${ trigger.rows }\" }
    stream: true
  - id: rows
    each: ${ steps.leads }
    as: lead
    batch: 1000
    file: leads.jsonl
    collect: \"${ lead.len() }\"
    steps:
      - id: one
        set: { rows: \"${ lead.len() }\" }
  - id: result
    return: ${ steps.rows }
";

fn verdict(good: bool) -> &'static str {
    if good { "met" } else { "missed" }
}
