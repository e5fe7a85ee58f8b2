//! A simulated system, and an engine with a store of its own that calls it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use connector::Action;
use engine::{Engine, EngineSettings, Event, Intake, LiveRecipe, Parts};
use sandbox::{Recorded, Sandbox};
use serde_json::{Value as Json, json};
use store::{
    Clock, ConnectionId, ConnectionRow, Entry, GroupSettings, MasterKey, NewVersion, Put, RecipeId, RunId, RunRow, RunStatus,
    Saved, SealedAt, Store, Timestamp, Vault, Via, Writer, text_hash,
};
use store_sqlite::SqliteStore;

use crate::vendor::Vendor;

/// The only step of each recipe.
pub(crate) const STEP: &str = "step";
/// However busy the machine is, a run is over by then.
const PATIENCE: Duration = Duration::from_secs(60);
/// The clock leaps over long pauses, and leases must not end by that.
const LEASE: Duration = Duration::from_secs(3_650 * 24 * 3600);

/// The engine lives in the time of the simulated systems, which is moved forward over pauses.
struct SandboxClock(Arc<sandbox::World>);

impl Clock for SandboxClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.clock().now().as_microsecond())
    }
}

/// One system, connected.
pub(crate) struct World {
    pub(crate) vendor: Vendor,
    pub(crate) engine: Arc<Engine>,
    numbers: AtomicU32,
    _folder: tempfile::TempDir,
}

/// A run that is over.
pub(crate) struct Done {
    pub(crate) row: RunRow,
    pub(crate) entries: Vec<Entry>,
    /// What the system saw of it.
    pub(crate) requests: Vec<Recorded>,
}

impl World {
    pub(crate) async fn start(id: &str, connection: impl FnOnce(&Sandbox) -> (Json, Json)) -> Self {
        let vendor = Vendor::start(id, connection).await;
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path()).await.unwrap());
        let vault = Arc::new(Vault::new(MasterKey::new([7; 32]), Arc::clone(&store)));
        let clock = SandboxClock(Arc::clone(vendor.sandbox.world()));
        let now = clock.now();
        let id = ConnectionId::new(now, [1; 10]);
        let secrets: BTreeMap<String, String> =
            vendor.connection.credentials.iter().map(|(name, secret)| (name.clone(), secret.expose().to_owned())).collect();
        let mut config = vendor.connection.config.clone();
        // Neither gate may hold back one case for what another one met.
        config["circuit"] = json!({ "in_a_row": 1_000_000, "calls_min": 1_000_000 });
        config["budget"] = json!({ "per_second": 1_000_000, "burst": 1_000_000, "in_flight": 64 });
        let row = ConnectionRow {
            id,
            name: vendor.connection.name.clone(),
            connector: vendor.connector.id.to_owned(),
            config,
            sealed: vault.seal(&SealedAt::Connection(id), &secrets).await.unwrap(),
            revision: 1,
            created_at: now,
            updated_at: now,
        };
        assert!(matches!(store.create_connection(row).await.unwrap(), Put::Done(_)));
        let settings = EngineSettings {
            lease: LEASE,
            shared_store: true,
            poll_interval: Duration::from_millis(40),
            // A question that hangs costs this much.
            poll_timeout: Duration::from_secs(3),
            retry_in_memory_max: Duration::from_millis(100),
            payload_inline_bytes_max: 64 * 1024 * 1024,
            ..EngineSettings::default()
        };
        let parts = Parts {
            writer: Writer::start(Arc::clone(&store), GroupSettings::default()),
            vault,
            store,
            connectors: Arc::new(connectors::all()),
            http: vendor.http.clone(),
            clock: Arc::new(clock),
            seed: 1,
            settings,
        };
        let engine = Engine::start(parts).await.unwrap();
        Self { vendor, engine, numbers: AtomicU32::new(0), _folder: folder }
    }

    pub(crate) async fn stop(self) {
        self.engine.stop().await;
        self.vendor.sandbox.stop().await;
    }

    /// A recipe whose only step is this action with inputs of these names, which its event brings.
    pub(crate) async fn recipe(&self, action: &Action, input: &Json, timeout: &str) -> Arc<LiveRecipe> {
        let names = input.as_object().unwrap().keys();
        let with = names.map(|name| (name.clone(), json!(format!("${{ trigger.given.{name} }}")))).collect();
        self.save("{ from: api }", &self.step(STEP, action, with, timeout)).await
    }

    /// A recipe with a step for each of these inputs, under its name, which its event brings.
    pub(crate) async fn recipe_of(&self, action: &Action, inputs: &[(&str, &Json)], timeout: &str) -> Arc<LiveRecipe> {
        let steps = inputs.iter().map(|(id, input)| {
            let names = input.as_object().unwrap().keys();
            let with = names.map(|name| (name.clone(), json!(format!("${{ trigger.given.{id}.{name} }}")))).collect();
            self.step(id, action, with, timeout)
        });
        self.save("{ from: api }", &steps.collect::<Vec<_>>().join("  ")).await
    }

    fn step(&self, id: &str, action: &Action, with: serde_json::Map<String, Json>, timeout: &str) -> String {
        let (system, action, with) = (&self.vendor.connection.name, action.id, Json::Object(with));
        let retry = "{ times: 3, wait: 1ms, jitter: none }";
        format!("- id: {id}\n    do: {system}.{action}\n    timeout: {timeout}\n    retry: {retry}\n    with: {with}\n")
    }

    /// Saves and switches on a recipe.
    pub(crate) async fn save(&self, trigger: &str, steps: &str) -> Arc<LiveRecipe> {
        let number = self.next();
        let (slug, name) = (format!("case-{number}"), &self.vendor.connection.name);
        let text = format!(
            "liaison: 1\nrecipe: {slug}\nconnections: {{ {name}: {} }}\ntrigger: {trigger}\nsteps:\n  {steps}",
            self.vendor.connector.id
        );
        let now = self.engine.now();
        let version = NewVersion {
            id: RecipeId::new(now, self.engine.random()),
            slug: slug.clone(),
            title: slug.clone(),
            hash: text_hash(&text),
            text: text.clone(),
            hook_token: format!("token-{slug}"),
            if_revision: None,
            at: now,
            by: "test".to_owned(),
        };
        let Saved::Created(row) = self.engine.store().save_version(version).await.unwrap() else { panic!("it is new") };
        self.engine.activate(&row, 1, &json!({})).await.unwrap_or_else(|error| panic!("{text}\n{error:?}"));
        let recipe = self.engine.catalogue().recipes.get(&slug).map(Arc::clone);
        recipe.unwrap_or_else(|| panic!("this cannot run:\n{text}"))
    }

    /// A run from its event to its end; pauses are leapt over.
    pub(crate) async fn run(&self, recipe: &Arc<LiveRecipe>, given: Json) -> Done {
        let recorder = self.vendor.sandbox.world().recorder();
        recorder.clear();
        let event = Event {
            data: Arc::new(json!({ "given": given })),
            via: Via::Api,
            key: None,
            key_wins: false,
            fingerprint: None,
            replay_of: None,
        };
        let Intake::Accepted { run, .. } = self.engine.accept(recipe, event).await.unwrap() else { panic!("it is new") };
        let row = self.until_over(run).await;
        Done { row, entries: self.entries(run).await, requests: recorder.of(self.vendor.connector.id) }
    }

    /// A run when it is over; pauses are leapt over.
    pub(crate) async fn until_over(&self, run: RunId) -> RunRow {
        let mut changes = self.engine.live.watch();
        let over = async {
            loop {
                let row = self.engine.store().run(run).await.unwrap().unwrap();
                if row.status.is_final() {
                    return row;
                }
                if row.status == RunStatus::Waiting
                    && let Some(due) = row.due_at
                {
                    self.vendor.sandbox.world().clock().advance(due.since(self.engine.now()));
                }
                tokio::select! {
                    _ = changes.recv() => {}
                    () = tokio::time::sleep(Duration::from_millis(20)) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, over).await.unwrap_or_else(|_| panic!("the run {run} never ends"))
    }

    /// A call that prepares something, and must work; nothing else has its key.
    pub(crate) async fn call(&self, action: &str, input: Json) -> Json {
        let cx = self.vendor.cx(&format!("prepare/{}", self.next()));
        let done = self.vendor.call_with(cx, action, input.clone()).await;
        done.unwrap_or_else(|error| panic!("{action} {input}: {error:?}"))
    }

    /// A number nobody had before.
    pub(crate) fn next(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// A text nobody had before.
    pub(crate) fn fresh(&self, text: &str) -> String {
        format!("{text} {}", self.next()).replace(' ', "")
    }

    /// Changes settings of the system.
    pub(crate) fn configure(&self, settings: Json) {
        self.vendor.sandbox.vendor(self.vendor.connector.id).unwrap().configure(&settings).unwrap();
    }

    /// A small file.
    pub(crate) async fn file(&self) -> Json {
        let files = self.vendor.http.files().unwrap();
        let mut writer = files.create().await.unwrap();
        writer.write(b"%PDF-1").await.unwrap();
        writer.finish("receipt.pdf", "application/pdf").await.unwrap().json()
    }

    async fn entries(&self, run: RunId) -> Vec<Entry> {
        let chunks = self.engine.store().chunks(run, 0, u32::MAX).await.unwrap();
        chunks.iter().flat_map(|(_, chunk)| store::read_chunk(chunk).unwrap()).collect()
    }

    /// How many rows each table of the system has.
    pub(crate) fn counts(&self) -> HashMap<String, i64> {
        let tables = self.vendor.sandbox.vendor(self.vendor.connector.id).unwrap().tables();
        tables.into_iter().map(|table| (table.name, i64::try_from(table.rows).unwrap())).collect()
    }
}
