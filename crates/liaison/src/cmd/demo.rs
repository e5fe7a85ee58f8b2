//! `liaison serve --demo`: simulated systems, connections to them, the sample recipes, and one signed event, so
//! that a newcomer sees a finished run within seconds of the start. Then something happens in each of the systems.

mod anew;
mod desk;
mod stories;
mod systems;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use engine::Engine;
use hmac::{Hmac, KeyInit, Mac};
use recipe::{Catalogue, Recipe, Severity, TriggerSource};
use serde_json::{Value, json};
use sha2::Sha256;
use store::{ConnectionId, ConnectionRow, NewVersion, Put, RecipeId, RunId, RunStatus, Saved, SealedAt, Store};

use self::systems::Systems;
use super::{print, serve::signin_link};
use crate::{config::Config, wire};

/// The recipes of `recipes/`; a test keeps the list whole.
const RECIPES: &[&str] = &[
    include_str!("../../../../recipes/paid-invoice-to-ledger.recipe.yaml"),
    include_str!("../../../../recipes/order-intake.recipe.yaml"),
    include_str!("../../../../recipes/ledger-heartbeat.recipe.yaml"),
    include_str!("../../../../recipes/customer-overview.recipe.yaml"),
    include_str!("../../../../recipes/invoice-paid-to-opportunity.recipe.yaml"),
    include_str!("../../../../recipes/lead-scores-to-salesforce.recipe.yaml"),
    include_str!("../../../../recipes/netsuite-customers-to-salesforce.recipe.yaml"),
    include_str!("../../../../recipes/new-hire.recipe.yaml"),
    include_str!("../../../../recipes/notify-hr-director.recipe.yaml"),
    include_str!("../../../../recipes/order-to-cash.recipe.yaml"),
    include_str!("../../../../recipes/find-stripe-customer.recipe.yaml"),
    include_str!("../../../../recipes/failure-to-incident.recipe.yaml"),
    include_str!("../../../../recipes/account-to-billing-and-books.recipe.yaml"),
    include_str!("../../../../recipes/customer-360.recipe.yaml"),
    include_str!("../../../../recipes/dispute-to-incident.recipe.yaml"),
    include_str!("../../../../recipes/incident-to-account.recipe.yaml"),
    include_str!("../../../../recipes/leaver.recipe.yaml"),
    include_str!("../../../../recipes/netsuite-accounts-in-bulk.recipe.yaml"),
    include_str!("../../../../recipes/new-hire-accounts.recipe.yaml"),
    include_str!("../../../../recipes/organization-to-department.recipe.yaml"),
    include_str!("../../../../recipes/payout-reconciliation.recipe.yaml"),
    include_str!("../../../../recipes/quote-to-cash.recipe.yaml"),
    include_str!("../../../../recipes/refund-to-credit-memo.recipe.yaml"),
    include_str!("../../../../recipes/stripe-invoice-paid.recipe.yaml"),
];
/// The connections to the demo's desk: their names and connectors.
const DESK: [(&str, &str); 2] = [("pay", "webhook"), ("desk", "http")];
/// Where everything of the demo listens.
const HERE: &str = "127.0.0.1";
/// How long a call of the demo to itself may take.
const CALL: Duration = Duration::from_secs(10);
const EVENT: &str = include_str!("../../../../recipes/fixtures/invoice.paid.json");

/// What happens in the demo by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mood {
    /// Something in each system, so that every sample recipe over them runs.
    Lively,
    /// The one event at the start.
    Quiet,
}

/// A demo whose systems run and are connected to.
pub(crate) struct Demo {
    url: String,
    mood: Mood,
    /// What the event at the start is signed with.
    secret: String,
    systems: Systems,
    recipes: Vec<Recipe>,
    /// Every connection of the demo by name and connector.
    known: Vec<(&'static str, &'static str)>,
}

impl Demo {
    /// Starts the systems and connects to them. This comes before anything runs: what an earlier start left must not meet
    /// systems that do not know it.
    pub(crate) async fn prepare(config: &Config, store: &Arc<dyn Store>, url: String, mood: Mood) -> anyhow::Result<Self> {
        let engine = wire::start_engine(config, Arc::clone(store), false, false).await?;
        let demo = Self::set_up(&engine, url, mood).await;
        engine.stop().await;
        demo
    }

    async fn set_up(engine: &Arc<Engine>, url: String, mood: Mood) -> anyhow::Result<Self> {
        let desk = desk::start().await?;
        let secret = signing_secret(engine, &desk).await?;
        let catalogue = engine::catalogue::of(&engine.connectors);
        let recipes = RECIPES.iter().map(|text| read(&catalogue, text)).collect::<anyhow::Result<Vec<_>>>()?;
        let systems = Systems::start(engine.now().micros().unsigned_abs()).await?;
        let given = connect(engine, &systems, &url, &recipes).await?;
        // Letters are only sent: the mail server forgets nothing that a recipe knows.
        let asked: Vec<_> = given.iter().copied().filter(|(name, _)| *name != "mail").collect();
        if let Some(sentence) = anew::begin(engine, &asked).await? {
            print(&sentence)?;
        }
        let known = DESK.into_iter().chain(given).collect();
        Ok(Self { url, mood, secret, systems, recipes, known })
    }

    /// Plays its main story and lets things happen until the server stops; what goes wrong is told in the log.
    pub(crate) async fn run(self, engine: Arc<Engine>) {
        if let Err(error) = self.play(&engine).await {
            tracing::error!(error = format!("{error:#}"), "demo: something did not go as it should");
        }
        // The systems stop when they are dropped; they are wanted as long as the server.
        engine.stopped().await;
    }

    async fn play(&self, engine: &Arc<Engine>) -> anyhow::Result<()> {
        let Self { url, secret, systems, .. } = self;
        for (recipe, text) in self.recipes.iter().zip(RECIPES) {
            if let Some(sentence) = add_recipe(engine, recipe, text, &self.known).await? {
                tracing::info!("demo.recipes: {sentence}");
            }
        }
        engine.refresh().await?;
        // A new event each time the demo starts: the same one would be a duplicate and start nothing.
        let event = EVENT.replace("evt_demo_0001", &format!("evt_demo_{}", engine.now().micros()));
        let run = send(url, secret, &event, engine.now().micros() / 1_000_000).await?;
        let mut changes = engine.live.watch();
        let row = loop {
            let row = engine.store().run(run).await?.context("the demo's run is gone")?;
            if row.status.is_final() {
                break row;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), changes.recv()).await;
        };
        if row.status != RunStatus::Succeeded {
            bail!("the demo's run {run} {}", row.status.as_str());
        }
        let link = signin_link(&**engine.store(), url).await?;
        print(&format!("Demo run {}: {url}/runs/{run}\nSign in and see it: {link}&next=/runs/{run}", row.status.as_str()))?;
        print(&format!("Simulated Salesforce, NetSuite, Stripe, ServiceNow and Workday: {}", systems.control_url()))?;
        if self.mood == Mood::Lively {
            print(&stories::play(engine, systems).await?)?;
        }
        Ok(())
    }
}

/// A sample recipe, which has no errors.
fn read(catalogue: &Catalogue, text: &str) -> anyhow::Result<Recipe> {
    let parsed = recipe::parse_and_check(text.as_bytes(), catalogue);
    let broken = parsed.diagnostics.iter().find(|problem| problem.severity == Severity::Error);
    if let Some(problem) = broken {
        let name = text.lines().find(|line| line.starts_with("recipe:")).unwrap_or_default();
        bail!("a sample has an error ({name}): {}", problem.message);
    }
    parsed.recipe.context("a sample is no recipe")
}

/// Connects to the systems, with an address for Stripe's events at every recipe that wants them.
/// Gives their names and connectors.
async fn connect(
    engine: &Engine,
    systems: &Systems,
    url: &str,
    recipes: &[Recipe],
) -> anyhow::Result<Vec<(&'static str, &'static str)>> {
    let mut secrets = Vec::new();
    for recipe in recipes {
        let TriggerSource::Connection { connection, .. } = &recipe.trigger.from.value else { continue };
        let connector =
            recipe.connections.iter().find(|one| one.name.value == *connection).map(|one| one.connector.value.as_str());
        if connector == Some("stripe") {
            secrets.push(systems.send_events_to(&format!("{url}/hooks/{}", recipe.slug.value)).await?);
        }
    }
    let mut connected = Vec::new();
    for given in systems.connections(&secrets) {
        put_connection(engine, given.name, given.connector, given.config, &given.credentials).await?;
        connected.push((given.name, given.connector));
    }
    Ok(connected)
}

/// Makes the connections to the desk, or points the ones of an earlier start at the new one.
async fn signing_secret(engine: &Engine, desk: &str) -> anyhow::Result<String> {
    let secret = server::access::new_secret("whsec_")?;
    let credentials = BTreeMap::from([("secret".to_owned(), secret.clone())]);
    put_connection(engine, "pay", "webhook", json!({ "verify": "stripe" }), &credentials).await?;
    put_connection(engine, "desk", "http", json!({ "base_url": desk }), &BTreeMap::new()).await?;
    Ok(secret)
}

async fn put_connection(
    engine: &Engine,
    name: &str,
    connector: &str,
    config: Value,
    credentials: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let (store, now) = (engine.store(), engine.now());
    let known = store.connection(name).await?;
    let there = known.is_some();
    let here = |config: &Value| config.to_string().contains(HERE);
    if known.as_ref().is_some_and(|known| here(&config) && !here(&known.config)) {
        bail!(
            "the database has a connection \"{name}\" that leads to another machine, so it is not the demo's. Start the demo with a \
             data folder of its own (--data-dir)"
        );
    }
    let row = known.unwrap_or_else(|| ConnectionRow {
        id: ConnectionId::new(now, engine.random()),
        name: name.to_owned(),
        connector: connector.to_owned(),
        config: Value::Null,
        sealed: Vec::new(),
        revision: 1,
        created_at: now,
        updated_at: now,
    });
    let write = |sealed| {
        let row = ConnectionRow { config: config.clone(), sealed, updated_at: now, ..row.clone() };
        async move { if there { store.update_connection(row).await } else { store.create_connection(row).await } }
    };
    let put = engine.vault.keep(&SealedAt::Connection(row.id), credentials, write).await?;
    if !matches!(put, Put::Done(_)) {
        bail!("connection {name} changed while the demo was set up");
    }
    Ok(())
}

/// Saves a sample recipe and switches it on if this build can run it and the demo has its systems;
/// says what it left out.
async fn add_recipe(engine: &Engine, recipe: &Recipe, text: &str, known: &[(&str, &str)]) -> anyhow::Result<Option<String>> {
    if let Some(reason) = engine::not_yet(recipe) {
        return Ok(Some(format!("{} is left out: {reason}", recipe.slug.value)));
    }
    let missing = recipe
        .connections
        .iter()
        .find(|connection| !known.contains(&(connection.name.value.as_str(), connection.connector.value.as_str())));
    let missing = missing.map(|connection| connection.name.value.clone());
    let (slug, now) = (recipe.slug.value.clone(), engine.now());
    let new = NewVersion {
        id: RecipeId::new(now, engine.random()),
        title: recipe.title.clone().unwrap_or_else(|| slug.clone()),
        slug: slug.clone(),
        text: text.to_owned(),
        hash: store::text_hash(text),
        hook_token: server::access::new_secret("h_")?,
        if_revision: None,
        at: now,
        by: "demo".to_owned(),
    };
    let (Saved::Created(row) | Saved::Updated(row) | Saved::Unchanged(row) | Saved::Stale(row)) =
        engine.store().save_version(new).await?;
    if let Some(connection) = missing {
        return Ok(Some(format!("{slug} is not switched on: the demo has no system for its connection {connection}")));
    }
    if row.active_version != Some(row.latest_version) {
        engine.activate(&row, row.latest_version, &row.params).await?;
    }
    Ok(None)
}

/// Sends the event as Stripe would: <https://docs.stripe.com/webhooks#verify-manually>.
async fn send(url: &str, secret: &str, event: &str, now_s: i64) -> anyhow::Result<RunId> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).context("the demo's secret cannot sign")?;
    mac.update(format!("{now_s}.{event}").as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    #[expect(clippy::disallowed_methods, reason = "the demo calls its own process")]
    let client = reqwest::Client::builder().no_proxy().timeout(CALL).build()?;
    let answer = client
        .post(format!("{url}/hooks/paid-invoice-to-ledger"))
        .header("content-type", "application/json")
        .header("stripe-signature", format!("t={now_s},v1={signature}"))
        .body(event.to_owned())
        .send()
        .await?;
    let status = answer.status();
    let body: Value = serde_json::from_str(&answer.text().await?).unwrap_or_default();
    body["run_id"].as_str().and_then(|id| id.parse().ok()).with_context(|| format!("the webhook answered {status}: {body}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_demo_knows_every_recipe_of_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes");
        let files = std::fs::read_dir(folder)
            .expect("the folder is there")
            .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".recipe.yaml")));
        assert_eq!(files.count(), super::RECIPES.len());
    }
}
