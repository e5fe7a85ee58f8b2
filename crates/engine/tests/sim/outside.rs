//! The world around the engine: one system with a few actions, and everything it saw.

use std::{collections::HashMap, sync::Arc, time::Duration};

use connector::{Action, Connector, Cx, Doubt, Effect, ErrorClass, KeyLife, Page, StepError};
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use store::{Clock, ConnectionId, ConnectionRow, Entry, Put, RunId, Store as _, Timestamp, memory::MemoryStore, read_chunk};

use crate::{
    crm::{CRM, Crm},
    process::Life,
    source::{SOURCE, Source},
};

/// The instant every story begins.
pub(crate) const BEGIN: i64 = 1_790_000_000_000_000;

/// So long the engine relies on the key of a payment.
const KEY_LIFE: Duration = Duration::from_secs(60);
/// So long the system knows it, and pays again after that. An attempt begins before its call arrives, also in a process
/// that stood still in between.
const KEY_KNOWN: Duration = Duration::from_secs(120);

/// Room for the answers of three runs of one step, where runs of up to four and more steps go at once.
const LITTLE_MEMORY: u64 = 2_000;
/// What makes an answer weigh something.
const ANSWER_BYTES: usize = 600;

/// Pages of the list.
pub(crate) const PAGES: u64 = 3;

/// True time, in virtual seconds of the story.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) crm: Crm,
    pub(crate) source: Source,
    /// What each process has room for of what runs hold; in some stories that is little.
    pub(crate) memory_bytes: u64,
    began: tokio::time::Instant,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    dice: SmallRng,
    /// How likely something goes wrong, of a thousand.
    trouble: u32,
    seen: Vec<Seen>,
    broken: Vec<String>,
    counts: HashMap<String, u32>,
}

/// An effect that was carried out.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) run: String,
    pub(crate) path: String,
    pub(crate) key: String,
    /// It must not happen twice.
    pub(crate) once: bool,
    pub(crate) attempt: u32,
    pub(crate) input: Value,
    pub(crate) at: Timestamp,
}

/// What a call does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Reads,
    /// Leaves the same state however often it is done.
    Puts,
    /// Happens again with every call.
    Posts,
    /// Happens again once the key of the call is forgotten.
    Pays,
}

impl Does {
    const fn effect(self) -> Effect {
        match self {
            Self::Reads => Effect::None,
            Self::Puts | Self::Pays => Effect::Idempotent,
            Self::Posts => Effect::Once,
        }
    }
}

/// True time, which is the database's.
struct TrueClock(tokio::time::Instant);

impl Clock for TrueClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(BEGIN).after(self.0.elapsed())
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let began = tokio::time::Instant::now();
        let mut dice = SmallRng::seed_from_u64(seed ^ 0x5eed);
        let memory_bytes = if dice.random_range(0..4) == 0 { LITTLE_MEMORY } else { u64::MAX };
        let inner = Inner { dice, trouble: 0, seen: Vec::new(), broken: Vec::new(), counts: HashMap::new() };
        let store = Arc::new(MemoryStore::with_clock(Arc::new(TrueClock(began))));
        Self { store, crm: Crm::default(), source: Source::default(), memory_bytes, began, inner: Arc::new(Mutex::new(inner)) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        TrueClock(self.began).now()
    }

    pub(crate) fn set_trouble(&self, trouble: u32) {
        self.inner.lock().trouble = trouble;
    }

    /// A number below `below`.
    pub(crate) fn dice(&self, below: u64) -> u64 {
        self.inner.lock().dice.random_range(0..below)
    }

    /// True as often as things go wrong now, times `weight`.
    pub(crate) fn goes_wrong(&self, weight: u32) -> bool {
        let mut inner = self.inner.lock();
        let trouble = inner.trouble * weight;
        inner.dice.random_range(0..1000) < trouble
    }

    /// Makes a connection to a system.
    pub(crate) async fn connect(&self, system: &str, config: Value) {
        let row = ConnectionRow {
            id: ConnectionId::new(self.now(), [system.as_bytes()[0]; 10]),
            name: system.to_owned(),
            connector: system.to_owned(),
            config,
            sealed: Vec::new(),
            revision: 1,
            created_at: self.now(),
            updated_at: self.now(),
        };
        assert!(matches!(self.store.create_connection(row).await, Ok(Put::Done(_))));
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.inner.lock().seen.clone()
    }

    pub(crate) fn accuse(&self, what: String) {
        self.inner.lock().broken.push(what);
    }

    pub(crate) fn accusations(&self) -> Vec<String> {
        self.inner.lock().broken.clone()
    }

    /// The entries of a run that are durable.
    pub(crate) async fn entries(&self, run: RunId) -> Vec<Entry> {
        use store::Pages as _;
        let chunks = self.store.chunks(run, 0, u32::MAX).await.expect("the true store answers");
        chunks.iter().flat_map(|(_, chunk)| read_chunk(chunk).expect("chunks can be read")).collect()
    }

    /// What an answer holds besides what was asked for, so that runs are heavy where there is little memory.
    fn padding(&self) -> String {
        if self.memory_bytes == LITTLE_MEMORY { "x".repeat(ANSWER_BYTES) } else { String::new() }
    }

    pub(crate) async fn nap(&self, millis_max: u64) {
        let pause = self.dice(millis_max + 1);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// One call to the system, made by a process that may die meanwhile.
    async fn call(&self, life: &Life, cx: Cx, input: Value, does: Does) -> Result<Value, StepError> {
        let run: RunId = cx.run_id.parse().expect("a run's id");
        self.check_begun(run, &cx).await;
        let _under_way = match &cx.connection {
            Some(_) => Some(self.crm.enter(self, life).await?),
            None => None,
        };
        self.nap(40).await;
        life.alive().await;
        if self.goes_wrong(4) {
            return Err(StepError::new(ErrorClass::Server, "DOWN", "The system is down."));
        }
        self.check_doubt(&cx);
        // Who knows keys looks at them before the data.
        let paid = does == Does::Pays && self.was_paid(&cx.idempotency_key);
        if !paid && self.goes_wrong(1) {
            return Err(StepError::new(ErrorClass::Invalid, "BAD", "The system does not like this."));
        }
        let count = {
            let (mut inner, at) = (self.inner.lock(), self.now());
            if does != Does::Reads && !paid {
                let (run, path, key) = (cx.run_id.to_string(), cx.path.to_string(), cx.idempotency_key.to_string());
                inner.seen.push(Seen { run, path, key, once: does != Does::Puts, attempt: cx.attempt, input, at });
            }
            let count = inner.counts.entry(cx.run_id.to_string()).or_default();
            *count += 1;
            *count
        };
        if self.goes_wrong(2) {
            // It happened, and nobody hears of it.
            self.nap(5_000).await;
            life.alive().await;
            return Err(StepError {
                doubt: Doubt::MayHaveHappened,
                ..StepError::new(ErrorClass::Network, "LOST", "No answer came.")
            });
        }
        if self.goes_wrong(1) {
            // It happened, and the system says that something broke in it.
            return Err(StepError {
                doubt: Doubt::MayHaveHappened,
                ..StepError::new(ErrorClass::Server, "BROKE", "Something broke there.")
            });
        }
        if self.goes_wrong(1) {
            std::future::pending::<()>().await;
        }
        self.nap(40).await;
        life.alive().await;
        Ok(json!({ "key": &*cx.idempotency_key, "count": count, "padding": self.padding() }))
    }

    /// One page of the list, which has [`PAGES`] of two items each.
    async fn page(&self, life: &Life, cx: Cx, input: Value, cursor: Option<Value>) -> Result<Page, StepError> {
        self.call(life, cx, input, Does::Reads).await?;
        let page = cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
        let items = vec![json!(page * 2), json!(page * 2 + 1)];
        Ok(Page { items, next: (page + 1 < PAGES).then(|| json!(page + 1)) })
    }

    /// Whether the system still knows that it paid under this key.
    fn was_paid(&self, key: &str) -> bool {
        let now = self.now();
        self.inner.lock().seen.iter().any(|seen| seen.key == *key && now.since(seen.at) <= KEY_KNOWN)
    }

    /// Whoever calls after an attempt that happened knows that it may have.
    fn check_doubt(&self, cx: &Cx) {
        let earlier = |seen: &&Seen| seen.key == *cx.idempotency_key && seen.attempt < cx.attempt;
        let done = self.inner.lock().seen.iter().find(earlier).cloned();
        if let Some(done) = done.filter(|_| !cx.in_doubt) {
            self.accuse(format!("try {} of {} does not know that this may have happened: {done:?}", cx.attempt, cx.path));
        }
    }

    /// Promises 3 and 5: what is done is never begun again, and what begins was written down first.
    async fn check_begun(&self, run: RunId, cx: &Cx) {
        let mut begun = false;
        for entry in self.entries(run).await {
            match &entry {
                Entry::Started { p, .. } if *p == cx.path => begun = true,
                Entry::Succeeded { p, .. } | Entry::Settled { p, .. } if *p == cx.path => {
                    self.accuse(format!("{run} {} was done and is called again", cx.path));
                }
                _ => {}
            }
        }
        if !begun {
            self.accuse(format!("{run} {} is called and nobody wrote down that it begins", cx.path));
        }
    }
}

/// The system as one process calls it.
pub(crate) fn connectors(world: &World, life: &Life) -> Vec<Connector> {
    let action = |id, does: Does| {
        let (world, life) = (world.clone(), life.clone());
        Action {
            id,
            title: id,
            summary: id,
            effect: match does.effect() {
                Effect::None => |_| Effect::None,
                Effect::Idempotent => |_| Effect::Idempotent,
                Effect::Once => |_| Effect::Once,
            },
            key_life: (does == Does::Pays).then_some(KeyLife::For(KEY_LIFE)),
            needs_connection: false,
            input: json!({ "type": "object" }),
            output: json!({}),
            pages: None,
            sample: None,
            shaped: None,
            run: Arc::new(move |cx, input| {
                let (world, life) = (world.clone(), life.clone());
                Box::pin(async move { world.call(&life, cx, input, does).await })
            }),
        }
    };
    let list = || {
        let (world, life) = (world.clone(), life.clone());
        let pages = move |cx, input, cursor| -> connector::PageAttempt {
            let (world, life) = (world.clone(), life.clone());
            Box::pin(async move { world.page(&life, cx, input, cursor).await })
        };
        Action { pages: Some(Arc::new(pages)), ..action("list", Does::Reads) }
    };
    let builtin = Connector {
        id: "sys",
        title: "System",
        summary: "The one system",
        builtin: true,
        config: json!({ "type": "object" }),
        credentials: json!({ "type": "object" }),
        validate: Arc::new(|_, _| Ok(())),
        test: None,
        errors: &[],
        notes: &[],
        shapes: None,
        sign_in: None,
        actions: vec![
            action("get", Does::Reads),
            list(),
            action("put", Does::Puts),
            action("post", Does::Posts),
            action("pay", Does::Pays),
        ],
        triggers: Vec::new(),
        limits: connector::Limits::default(),
    };
    let needs = |action: Action| Action { needs_connection: true, ..action };
    let crm = Connector {
        id: CRM,
        builtin: false,
        errors: &[],
        notes: &[],
        shapes: None,
        sign_in: None,
        actions: vec![needs(action("put", Does::Puts)), needs(action("post", Does::Posts))],
        triggers: Vec::new(),
        ..builtin.clone()
    };
    let source = Connector { id: SOURCE, actions: Vec::new(), triggers: vec![Source::trigger(world, life)], ..crm.clone() };
    vec![builtin, crm, source]
}
