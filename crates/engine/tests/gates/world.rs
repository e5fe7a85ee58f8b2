//! Engines on one store, a system they call that fails and counts, and a clock moved by hand.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, mpsc},
    time::Duration,
};

use connector::{
    Action, AddressPolicy, Connector, Cx, Doubt, Effect, ErrorClass, Limits, Object, Occurrence, Page, Poll, Polled, Position,
    Shaped, Shapes, StepError, Trigger,
    hint::{Hint, Window},
    http::{Http, HttpOptions},
    oauth::{Authorize, SignIn},
};
use engine::{Engine, EngineSettings, Event, Intake, Parts};
use parking_lot::Mutex;
use serde_json::{Value, json};
use store::{
    Clock, ConnectionId, ConnectionRow, Entry, GroupSettings, MasterKey, NewVersion, Put, RecipeId, RunFilter, RunId, RunRow,
    RunStatus, Saved, Store, Timestamp, Vault, Via, WorkerId, Writer, text_hash,
};
use store_sqlite::SqliteStore;
use tokio::time::Instant;

const BEGIN: Timestamp = Timestamp::from_micros(1_760_000_000_000_000);
/// How far the clock moves at once.
const STEP: Duration = Duration::from_millis(50);
/// How far when a long time goes by.
const LONG_STEP: Duration = Duration::from_millis(250);
/// How far when hours go by.
const LEAP_STEP: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(40);
/// So long a repeat of `pay` is known.
pub(crate) const KEY_LIFE: Duration = Duration::from_secs(24 * 3600);
/// The store is asked so often after each move: whatever was due has come that far by then.
const TURNS: usize = 3;
/// However busy the machine is, this is enough for runs that are due to be claimed.
const TURNS_MAX: usize = 1000;
/// What people agreed to ends when nobody used it for so long.
const IDLE_LIFE: Duration = Duration::from_secs(70 * 60);
/// Timers are exact to a millisecond.
const TIMER_US: i64 = 2_000;

/// Tokio's own time, which stands still unless it is moved.
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        BEGIN.after(self.0.elapsed())
    }
}

/// What a system does with a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mood {
    Well,
    /// Fails with a class, and perhaps a wish for the next try.
    Fails(ErrorClass, Option<Duration>),
}

/// A system behind a connection.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) mood: Mood,
    /// How long an answer takes.
    pub(crate) takes: Duration,
    /// When each call came, in whole milliseconds since the beginning, and what it brought.
    pub(crate) calls: Vec<(u128, Value)>,
    pub(crate) in_flight: usize,
    pub(crate) in_flight_most: usize,
    /// What is left of its day, of so many, and when that is whole again: it says so with every answer.
    pub(crate) day: Option<(u64, u64, Option<Duration>)>,
    /// What happened there: when, in microseconds since the epoch, and its id. In the order of both.
    pub(crate) things: BTreeSet<(i64, u64)>,
    /// The objects it tells of, as JSON Schemas.
    objects: HashMap<String, Value>,
}

impl System {
    /// Tells of an object with these fields, all text, and of no others.
    pub(crate) fn tells(&mut self, object: &str, fields: &[&str]) {
        let fields: serde_json::Map<_, _> = fields.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
        let schema = json!({ "type": "object", "properties": fields, "additionalProperties": false });
        self.objects.insert(object.to_owned(), schema);
    }

    fn hint(&mut self) -> Option<Hint> {
        let (left, limit, resets_in) = self.day.as_mut()?;
        *left = left.saturating_sub(1);
        Some(Hint { window: Window::Day, limit: *limit, left: *left, resets_in: *resets_in })
    }
}

impl Default for System {
    fn default() -> Self {
        Self {
            mood: Mood::Well,
            takes: Duration::ZERO,
            calls: Vec::new(),
            in_flight: 0,
            in_flight_most: 0,
            day: None,
            things: BTreeSet::new(),
            objects: HashMap::new(),
        }
    }
}

type Systems = Arc<Mutex<HashMap<String, System>>>;

/// An input may say how the call goes: `slow` seconds, `bad` for a failure for
/// good, `fails` for one that may pass, `lost` for an answer that never came.
async fn call(systems: Systems, began: Instant, name: String, input: Value) -> Result<Value, StepError> {
    let (slow, bad, lost, fails) = (input["slow"].as_u64(), input["bad"] == true, input["lost"] == true, input["fails"] == true);
    let takes = {
        let mut systems = systems.lock();
        let system = systems.entry(name.clone()).or_default();
        system.calls.push((began.elapsed().as_millis(), input));
        system.in_flight += 1;
        system.in_flight_most = system.in_flight_most.max(system.in_flight);
        slow.map_or(system.takes, Duration::from_secs)
    };
    if !takes.is_zero() {
        tokio::time::sleep(takes).await;
    }
    let mut systems = systems.lock();
    let system = systems.entry(name).or_default();
    system.in_flight -= 1;
    match system.mood {
        _ if bad => Err(StepError::new(ErrorClass::Invalid, "BAD", "it does not like this")),
        _ if fails => Err(StepError::new(ErrorClass::Server, "DOWN", "it is down for this one")),
        _ if lost => {
            let error = StepError::new(ErrorClass::Network, "LOST", "no answer came");
            Err(StepError { doubt: Doubt::MayHaveHappened, ..error })
        }
        Mood::Well => Ok(json!({ "ok": true })),
        Mood::Fails(class, retry_after) => Err(StepError { retry_after, ..StepError::new(class, "DOWN", "it is down") }),
    }
}

/// Things after a position, three at a time.
fn thing(systems: &Systems, began: Instant) -> Trigger {
    const PAGE: usize = 3;
    let systems = Arc::clone(systems);
    let ask = move |cx: Cx, with: Value, from: Position| {
        let (systems, name) = (Arc::clone(&systems), cx.connection.unwrap().name.clone());
        async move {
            let after = match &from {
                Position::Since(micros) => (*micros, 0),
                Position::After(cursor) => serde_json::from_value(cursor.clone()).unwrap(),
            };
            call(Arc::clone(&systems), began, name.clone(), with).await?;
            let mut systems = systems.lock();
            let things = &systems.entry(name).or_default().things;
            let found: Vec<(i64, u64)> = things.range((after.0, after.1 + 1)..).take(PAGE).copied().collect();
            let events = found.iter().map(|(at, id)| Occurrence { key: format!("{id}@{at}"), data: json!({ "id": id }) });
            let cursor = json!(found.last().copied().unwrap_or(after));
            Ok(Polled { events: events.collect(), cursor, more: found.len() == PAGE })
        }
    };
    Trigger::new("thing", "Thing", "Something happened").config(json!({ "type": "object" })).poll(Poll::new(MINUTE, ask))
}

/// All things there are, each time; as a report by the clock, each of them is new each time.
fn listing(systems: &Systems, began: Instant, by_the_clock: bool) -> Trigger {
    let systems = Arc::clone(systems);
    let poll = Poll::new(MINUTE, move |cx: Cx, with: Value, _: Position| {
        let (systems, name) = (Arc::clone(&systems), cx.connection.unwrap().name.clone());
        async move {
            call(Arc::clone(&systems), began, name.clone(), with).await?;
            let turn = if by_the_clock { format!("{:?}", began.elapsed()) } else { String::new() };
            let things = systems.lock().entry(name).or_default().things.clone();
            let events = things.iter().map(|(_, id)| Occurrence { key: format!("{id}{turn}"), data: json!({ "id": id }) });
            Ok(Polled { events: events.collect(), cursor: json!(null), more: false })
        }
    });
    let (id, poll) = if by_the_clock { ("report", poll.steady()) } else { ("list", poll) };
    Trigger::new(id, "List", "What is there").config(json!({ "type": "object" })).poll(poll)
}

/// The objects a system tells of.
fn shapes(systems: &Systems, began: Instant) -> Shapes {
    async fn asked(systems: &Systems, began: Instant, cx: Cx, input: Value) -> Result<HashMap<String, Value>, StepError> {
        let name = cx.connection.unwrap().name.clone();
        call(Arc::clone(systems), began, name.clone(), input).await?;
        Ok(systems.lock().entry(name).or_default().objects.clone())
    }
    let (all, one) = (Arc::clone(systems), Arc::clone(systems));
    let objects = move |cx| {
        let systems = Arc::clone(&all);
        async move {
            let told = asked(&systems, began, cx, json!({ "object": null })).await?;
            Ok(told.into_keys().map(|name| Object { title: name.clone(), name }).collect())
        }
    };
    let object = move |cx, name: String| {
        let systems = Arc::clone(&one);
        async move {
            let mut told = asked(&systems, began, cx, json!({ "object": name })).await?;
            told.remove(&name).ok_or_else(|| StepError::new(ErrorClass::NotFound, "NOT_FOUND", "there is no such object"))
        }
    };
    Shapes::new(objects, object)
}

const MINUTE: Duration = Duration::from_secs(60);

fn connectors(systems: &Systems, began: Instant) -> Vec<Connector> {
    let action = |id, effect: fn(&Value) -> Effect| {
        let systems = Arc::clone(systems);
        Action {
            id,
            title: id,
            summary: id,
            effect,
            key_life: None,
            needs_connection: true,
            input: json!({ "type": "object" }),
            output: json!({}),
            pages: None,
            sample: None,
            shaped: None,
            run: Arc::new(move |cx, input| {
                let name = cx.connection.as_ref().map(|connection| connection.name.clone()).unwrap_or_default();
                let systems = Arc::clone(&systems);
                Box::pin(async move {
                    let outcome = call(Arc::clone(&systems), began, name.clone(), input).await;
                    let hint = systems.lock().get_mut(&name).and_then(System::hint);
                    hint.into_iter().for_each(|hint| cx.hint(hint));
                    outcome
                })
            }),
        }
    };
    let list = {
        let systems = Arc::clone(systems);
        let pages = move |cx: Cx, input, cursor: Option<Value>| -> connector::PageAttempt {
            let name = cx.connection.map(|connection| connection.name.clone()).unwrap_or_default();
            let asked = call(Arc::clone(&systems), began, name, input);
            Box::pin(async move {
                asked.await?;
                let page = cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
                Ok(Page { items: vec![json!(page * 2), json!(page * 2 + 1)], next: (page < 2).then(|| json!(page + 1)) })
            })
        };
        Action { pages: Some(Arc::new(pages)), ..action("list", |_| Effect::None) }
    };
    let walk = |id, effect: fn(&Value) -> Effect| {
        let systems = Arc::clone(systems);
        let run = move |cx: Cx, input: Value| -> connector::Attempt {
            let systems = Arc::clone(&systems);
            Box::pin(async move {
                let name = cx.connection.as_ref().map(|connection| connection.name.clone()).unwrap_or_default();
                for page in 0..input["requests"].as_u64().unwrap_or(0) {
                    cx.turn().await?;
                    call(Arc::clone(&systems), began, name.clone(), json!({ "page": page })).await?;
                }
                Ok(Value::Null)
            })
        };
        Action { run: Arc::new(run), ..action(id, effect) }
    };
    vec![Connector {
        id: "sys",
        title: "System",
        summary: "A system under test",
        builtin: false,
        config: json!({ "type": "object" }),
        credentials: json!({ "type": "object" }),
        validate: Arc::new(|_, _| Ok(())),
        test: None,
        limits: Limits::default(),
        errors: &[],
        notes: &[],
        shapes: Some(shapes(systems, began)),
        sign_in: Some(
            SignIn::new(|connection| {
                let tokens = connection.config["tokens"].as_str().unwrap_or("https://id.example/token");
                let url = |text: &str| text.parse().map_err(|error| format!("{error}"));
                Ok(Some(Authorize {
                    authorize_url: url("https://id.example/authorize")?,
                    token_url: url(tokens)?,
                    id: "liaison".to_owned(),
                    secret: None,
                    in_body: false,
                    scope: None,
                    pkce: true,
                    params: Vec::new(),
                    token_params: Vec::new(),
                    lasts: connection.config["lasts_s"].as_u64().map(Duration::from_secs),
                }))
            })
            .idle_life(IDLE_LIFE),
        ),
        actions: vec![
            action("get", |_| Effect::None),
            list,
            walk("walk", |_| Effect::None),
            walk("send", |_| Effect::Idempotent),
            action("write", |_| Effect::Once).shaped(Shaped::by("object").writes("fields")),
            action("read", |_| Effect::None)
                .output(json!({ "type": "object", "properties": { "record": { "type": "object" } } }))
                .shaped(Shaped::by("object").gives("record")),
            action("put", |_| Effect::Idempotent),
            action("post", |_| Effect::Once),
            action("pay", |_| Effect::Idempotent).key_life(KEY_LIFE),
        ],
        triggers: vec![thing(systems, began), listing(systems, began, false), listing(systems, began, true)],
    }]
}

/// Everything.
pub(crate) struct World {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) engines: Vec<Arc<Engine>>,
    systems: Systems,
    began: Instant,
    _folder: tempfile::TempDir,
    // While this is held a thread of the runtime waits, and the clock does not move by itself.
    _still: mpsc::Sender<()>,
}

impl World {
    /// So many engines on one store. Connections by name with their config; recipes by slug with their
    /// steps.
    pub(crate) async fn new(engines: usize, connections: &[(&str, Value)], recipes: &[(&str, &str)]) -> Self {
        Self::with(engines, connections, recipes, EngineSettings { shared_store: engines > 1, ..EngineSettings::default() }).await
    }

    pub(crate) async fn with(
        engines: usize,
        connections: &[(&str, Value)],
        recipes: &[(&str, &str)],
        settings: EngineSettings,
    ) -> Self {
        let (still, hold) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || hold.recv().is_err());
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path()).await.unwrap());
        let (systems, began) = (Systems::default(), Instant::now());
        for (number, (name, config)) in connections.iter().enumerate() {
            let row = ConnectionRow {
                id: ConnectionId::new(BEGIN, [u8::try_from(number).unwrap(); 10]),
                name: (*name).to_owned(),
                connector: "sys".to_owned(),
                config: config.clone(),
                sealed: Vec::new(),
                revision: 1,
                created_at: BEGIN,
                updated_at: BEGIN,
            };
            assert!(matches!(store.create_connection(row).await.unwrap(), Put::Done(_)));
        }
        for (number, (slug, rest)) in recipes.iter().enumerate() {
            keep_recipe(&*store, &connectors(&systems, began), number, slug, rest).await;
        }
        let mut world = Self { store, engines: Vec::new(), systems, began, _folder: folder, _still: still };
        for number in 0..engines {
            world.add_engine(u64::try_from(number).unwrap(), settings.clone()).await;
        }
        world
    }

    pub(crate) async fn add_engine(&mut self, seed: u64, settings: EngineSettings) {
        self.add_engine_on(Arc::clone(&self.store) as Arc<dyn Store>, seed, settings).await;
    }

    /// One that sees the store through something else.
    pub(crate) async fn add_engine_on(&mut self, store: Arc<dyn Store>, seed: u64, settings: EngineSettings) {
        let parts = Parts {
            writer: Writer::start(Arc::clone(&store), GroupSettings::default()),
            vault: Arc::new(vault(&store)),
            store,
            connectors: Arc::new(connectors(&self.systems, self.began)),
            http: Http::new(HttpOptions { policy: AddressPolicy::with_private(), ..HttpOptions::default() }).unwrap(),
            clock: Arc::new(PausedClock(self.began)),
            seed,
            settings,
        };
        self.engines.push(Engine::start(parts).await.unwrap());
    }

    pub(crate) fn now(&self) -> Timestamp {
        BEGIN.after(self.began.elapsed())
    }

    /// What stands in a run's journal.
    pub(crate) async fn entries(&self, run: RunId) -> Vec<Entry> {
        let chunks = self.store().chunks(run, 0, u32::MAX).await.unwrap();
        chunks.iter().flat_map(|(_, chunk)| store::read_chunk(chunk).unwrap()).collect()
    }

    /// Changes or looks at a system.
    pub(crate) fn system<T>(&self, name: &str, look: impl FnOnce(&mut System) -> T) -> T {
        look(self.systems.lock().entry(name.to_owned()).or_default())
    }

    /// Sends an event to one of the engines.
    pub(crate) async fn send(&self, engine: usize, slug: &str, event: Value) -> RunId {
        self.send_via(engine, slug, event, Via::Api).await
    }

    /// The same by another way.
    pub(crate) async fn send_via(&self, engine: usize, slug: &str, event: Value, via: Via) -> RunId {
        let engine = &self.engines[engine];
        let recipe = Arc::clone(engine.catalogue().recipes.get(slug).unwrap_or_else(|| panic!("{slug} was not taken in")));
        let event = Event { data: Arc::new(event), via, key: None, key_wins: false, fingerprint: None, replay_of: None };
        match engine.accept(&recipe, event).await.unwrap() {
            Intake::Accepted { run, .. } => run,
            other => panic!("{other:?}"),
        }
    }

    /// Lets everything that is due come to its end.
    pub(crate) async fn settle(&self) {
        self.settle_for(TURNS_MAX).await;
    }

    /// Lets so much time go by while more is due than fits.
    pub(crate) async fn pass_flooded(&self, time: Duration) {
        const ENOUGH: usize = 30;
        let end = self.began.elapsed() + time;
        while self.began.elapsed() < end {
            tokio::time::advance(LONG_STEP.min(end - self.began.elapsed())).await;
            self.settle_for(ENOUGH).await;
        }
    }

    async fn settle_for(&self, turns: usize) {
        let due = Timestamp::from_micros(self.now().micros() - TIMER_US);
        for turn in 0..turns {
            if turn >= TURNS && self.store.backlog(due, 1).await.unwrap() == 0 {
                return;
            }
            // Through the one writer and the readers, so that what was under way there is over.
            self.store.renew_worker(WorkerId(-1), BEGIN).await.unwrap();
            self.store.next_due().await.unwrap();
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Lets so much time go by.
    pub(crate) async fn pass(&self, time: Duration) {
        let step = if time > LONG { LONG_STEP } else { STEP };
        let end = self.began.elapsed() + time;
        while self.began.elapsed() < end {
            tokio::time::advance(step.min(end - self.began.elapsed())).await;
            self.settle().await;
        }
    }

    /// Lets so much time go by in which little happens.
    pub(crate) async fn leap(&self, time: Duration) {
        let end = self.began.elapsed() + time;
        while self.began.elapsed() < end {
            tokio::time::advance(LEAP_STEP.min(end - self.began.elapsed())).await;
            self.settle().await;
        }
    }

    /// A recipe gets its next version, which every engine knows of.
    pub(crate) async fn change(&self, number: usize, slug: &str, rest: &str) {
        let id = RecipeId::new(BEGIN, [u8::try_from(number).unwrap() + 100; 10]);
        let text = text(slug, rest);
        let Saved::Updated(row) = self.store.save_version(version(id, slug, text)).await.unwrap() else { panic!("it is there") };
        self.store.activate(row.id, Some(row.latest_version), &json!({}), self.now()).await.unwrap().unwrap();
        for engine in &self.engines {
            engine.refresh().await.unwrap();
        }
    }

    /// The first engine stops in good order, and another takes its place.
    pub(crate) async fn restart(&mut self, settings: EngineSettings) {
        self.engines.remove(0).stop().await;
        self.add_engine(7, settings).await;
        self.settle().await;
    }

    /// How many runs stand where.
    pub(crate) async fn counts(&self) -> HashMap<RunStatus, i64> {
        self.store().run_counts(None, BEGIN).await.unwrap().into_iter().filter(|(_, count)| *count > 0).collect()
    }

    pub(crate) async fn run(&self, id: RunId) -> RunRow {
        self.store().run(id).await.unwrap().unwrap()
    }

    pub(crate) async fn runs(&self) -> Vec<RunRow> {
        self.store().runs(&RunFilter { limit: 10_000, ..RunFilter::default() }).await.unwrap()
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }
}

/// Seals and opens in a store as its engines do.
pub(crate) fn vault(store: &Arc<dyn Store>) -> Vault {
    Vault::new(MasterKey::new([7; 32]), Arc::clone(store))
}

async fn keep_recipe(store: &dyn Store, connectors: &[Connector], number: usize, slug: &str, rest: &str) {
    let text = text(slug, rest);
    let parsed = recipe::parse_and_check(text.as_bytes(), &engine::catalogue::of(connectors));
    let wrong: Vec<_> = parsed.diagnostics.iter().filter(|problem| problem.severity == recipe::Severity::Error).collect();
    assert!(wrong.is_empty(), "{text}\n{wrong:#?}");
    let version = version(RecipeId::new(BEGIN, [u8::try_from(number).unwrap() + 100; 10]), slug, text);
    let Saved::Created(row) = store.save_version(version).await.unwrap() else { panic!("it is new") };
    store.activate(row.id, Some(1), &json!({}), BEGIN).await.unwrap().unwrap();
}

/// The rest may begin with a trigger of its own.
fn text(slug: &str, rest: &str) -> String {
    let from = if slug == "alarm" { "failure" } else { "api" };
    let trigger = if rest.starts_with("trigger:") { String::new() } else { format!("trigger: {{ from: {from} }}\n") };
    format!("liaison: 1\nrecipe: {slug}\n{trigger}{rest}")
}

fn version(id: RecipeId, slug: &str, text: String) -> NewVersion {
    NewVersion {
        id,
        slug: slug.to_owned(),
        title: slug.to_owned(),
        hash: text_hash(&text),
        text,
        hook_token: format!("token-{slug}"),
        if_revision: None,
        at: BEGIN,
        by: "test".to_owned(),
    }
}
