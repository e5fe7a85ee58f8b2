//! Large values travel by reference: out of the journal before the commit, back when a run goes on
//! elsewhere, and only those that are read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use connector::{
    Action, Connector, Effect, Limits, Page,
    http::{Http, HttpOptions},
};
use engine::{Engine, EngineSettings, Event, Intake, Parts};
use serde_json::{Value, json};
use store::{
    Apart, BlobId, Clock, Entry, Field, GroupSettings, MasterKey, NewVersion, RecipeId, RunId, RunRow, RunStatus, Saved, Store,
    StoreError, Timestamp, Vault, Via, Writer,
    conformance::faulty::{FaultyStore, Guard},
    memory::MemoryStore,
    open_chunk, text_hash,
};
use tokio::time::Instant;

const BEGIN: Timestamp = Timestamp::from_micros(1_760_000_000_000_000);
const PAGES: u64 = 80;
const PAGE_ITEMS: u64 = 20;
const LARGE_BYTES: usize = 5 * 1024 * 1024;

/// Tokio's own time, which moves when everybody waits.
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        BEGIN.after(self.0.elapsed())
    }
}

/// A process that dies when told to: none of its verbs ever comes back.
#[derive(Default)]
struct Life(AtomicBool);

#[async_trait]
impl Guard for Life {
    async fn before(&self, _verb: &'static str) -> Result<(), StoreError> {
        if self.0.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn after(&self, verb: &'static str) -> Result<(), StoreError> {
        self.before(verb).await
    }
}

#[derive(Default)]
struct System {
    held: AtomicBool,
    calls: AtomicUsize,
    sent: parking_lot::Mutex<Vec<Value>>,
    pages: parking_lot::Mutex<Vec<u64>>,
}

struct World {
    store: Arc<MemoryStore>,
    system: Arc<System>,
    began: Instant,
}

fn large(letter: char) -> Value {
    json!({ "text": letter.to_string().repeat(LARGE_BYTES), "tail": letter.to_string() })
}

fn connectors(system: &Arc<System>) -> Vec<Connector> {
    let action = |id: &'static str, run: fn(&System, Value) -> Option<Value>| {
        let system = Arc::clone(system);
        Action {
            id,
            title: id,
            summary: id,
            effect: |_| Effect::Idempotent,
            key_life: None,
            needs_connection: false,
            input: json!({ "type": "object" }),
            output: json!({}),
            pages: None,
            sample: None,
            shaped: None,
            run: Arc::new(move |_, input| {
                let system = Arc::clone(&system);
                Box::pin(async move {
                    match run(&system, input) {
                        Some(output) => Ok(output),
                        None => std::future::pending().await,
                    }
                })
            }),
        }
    };
    let list = Action {
        pages: Some({
            let system = Arc::clone(system);
            Arc::new(move |_, _, cursor| {
                let page = cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
                system.pages.lock().push(page);
                let item = |n: u64| json!({ "n": n, "keep": n.is_multiple_of(2).then(|| json!({ "n": n })) });
                let items = (page * PAGE_ITEMS..(page + 1) * PAGE_ITEMS).map(item).collect();
                let next = (page + 1 < PAGES).then(|| json!(page + 1));
                Box::pin(async move { Ok(Page { items, next }) })
            })
        }),
        ..action("list", |_, _| None)
    };
    let actions = vec![
        list,
        action("a", |system, _| Some(system.count(large('a')))),
        action("b", |system, _| Some(system.count(large('b')))),
        action("hold", |system, _| (!system.held.load(Ordering::SeqCst)).then(|| json!({}))),
        action("send", |system, input| {
            system.sent.lock().push(input);
            Some(json!({}))
        }),
    ];
    vec![Connector {
        id: "sys",
        title: "System",
        summary: "A system under test",
        builtin: true,
        config: json!({ "type": "object" }),
        credentials: json!({ "type": "object" }),
        validate: Arc::new(|_, _| Ok(())),
        test: None,
        limits: Limits::default(),
        errors: &[],
        notes: &[],
        shapes: None,
        sign_in: None,
        actions,
        triggers: Vec::new(),
    }]
}

impl System {
    fn count(&self, output: Value) -> Value {
        self.calls.fetch_add(1, Ordering::SeqCst);
        output
    }
}

impl World {
    async fn new(steps: &str) -> Self {
        let began = Instant::now();
        let store = Arc::new(MemoryStore::with_clock(Arc::new(PausedClock(began))));
        let text = format!("liaison: 1\nrecipe: big\ntrigger: {{ from: api }}\nsteps:\n{steps}");
        let version = NewVersion {
            id: RecipeId::new(BEGIN, [100; 10]),
            slug: "big".to_owned(),
            title: "big".to_owned(),
            hash: text_hash(&text),
            text,
            hook_token: "token".to_owned(),
            if_revision: None,
            at: BEGIN,
            by: "test".to_owned(),
        };
        let Saved::Created(row) = store.save_version(version).await.unwrap() else { panic!("it is new") };
        store.activate(row.id, Some(1), &json!({}), BEGIN).await.unwrap().unwrap();
        Self { store, system: Arc::default(), began }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    async fn process(&self, seed: u64) -> (Arc<Engine>, Arc<Life>) {
        let life = Arc::new(Life::default());
        let store: Arc<dyn Store> = Arc::new(FaultyStore::guarded(self.store(), Arc::clone(&life) as Arc<dyn Guard>));
        let parts = Parts {
            writer: Writer::start(Arc::clone(&store), GroupSettings::default()),
            vault: Arc::new(Vault::new(MasterKey::new([7; 32]), Arc::clone(&store))),
            store,
            connectors: Arc::new(connectors(&self.system)),
            http: Http::new(HttpOptions::default()).unwrap(),
            clock: Arc::new(PausedClock(self.began)),
            seed,
            settings: EngineSettings { shared_store: true, step_timeout: Duration::from_secs(3600), ..EngineSettings::default() },
        };
        (Engine::start(parts).await.unwrap(), life)
    }

    async fn send(&self, engine: &Arc<Engine>, event: Value) -> RunId {
        let recipe = Arc::clone(&engine.catalogue().recipes["big"]);
        let event =
            Event { data: Arc::new(event), via: Via::Api, key: None, key_wins: false, fingerprint: None, replay_of: None };
        match engine.accept(&recipe, event).await.unwrap() {
            Intake::Accepted { run, .. } => run,
            other => panic!("{other:?}"),
        }
    }

    async fn until(&self, run: RunId, there: impl AsyncFn() -> bool) {
        for _ in 0..10_000 {
            if there().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not come: {:?}", self.run(run).await);
    }

    async fn end(&self, run: RunId) -> RunRow {
        self.until(run, async || self.run(run).await.status.is_final()).await;
        self.run(run).await
    }

    async fn run(&self, run: RunId) -> RunRow {
        self.store().run(run).await.unwrap().unwrap()
    }

    /// The entries as they are kept, what is kept apart of them, and how long their chunks are.
    async fn kept(&self, run: RunId) -> (Vec<Entry>, Vec<Apart>, usize) {
        let (mut entries, mut apart, mut longest) = (Vec::new(), Vec::new(), 0);
        for (_, bytes) in self.store().chunks(run, 0, u32::MAX).await.unwrap() {
            longest = longest.max(bytes.len());
            let chunk = open_chunk(&bytes).unwrap();
            apart.extend(chunk.apart);
            entries.extend(chunk.entries);
        }
        (entries, apart, longest)
    }
}

const CRASHED: &str = "  - { id: a, do: sys.a, with: {} }
  - { id: b, do: sys.b, with: {} }
  - { id: hold, do: sys.hold, with: {} }
  - { id: send, do: sys.send, with: { tail: '${ steps.a.tail }', all: '${ steps.a.text }', event: '${ trigger.note }' } }
  - { id: out, return: '${ steps.a }' }
";

/// Runs the recipe up to `hold`, lets its process die, and starts another one.
async fn crashed() -> (World, RunId, Arc<Engine>) {
    let world = World::new(CRASHED).await;
    world.system.held.store(true, Ordering::SeqCst);
    let (engine, life) = world.process(1).await;
    let run = world.send(&engine, json!({ "note": "n", "padding": "p".repeat(LARGE_BYTES) })).await;
    world
        .until(run, async || {
            world.kept(run).await.0.iter().any(|entry| matches!(entry, Entry::Started { p, .. } if &**p == "hold"))
        })
        .await;
    life.0.store(true, Ordering::SeqCst);
    world.system.held.store(false, Ordering::SeqCst);
    let (next, _) = world.process(2).await;
    (world, run, next)
}

#[tokio::test(start_paused = true)]
async fn a_large_output_survives_its_process_and_the_journal_stays_small() {
    let (world, run, engine) = crashed().await;
    let row = world.end(run).await;
    assert_eq!(row.status, RunStatus::Succeeded, "{row:?}");
    assert_eq!(world.system.calls.load(Ordering::SeqCst), 2, "what is done is not done again");
    let sent = world.system.sent.lock().clone();
    assert!(sent.len() == 1 && sent[0]["tail"] == "a" && sent[0]["all"] == large('a')["text"] && sent[0]["event"] == "n");
    let (_, apart, longest) = world.kept(run).await;
    assert!(longest < 2000, "a chunk has {longest} bytes");
    let fields: Vec<Field> = apart.iter().map(|apart| apart.field).collect();
    assert_eq!(fields, [Field::Event, Field::Out, Field::Out, Field::In, Field::Out]);
    assert_eq!(apart[4].sha256, apart[1].sha256, "the result is what the first step gave");
    for apart in apart {
        assert!(world.store().refers(run, apart.sha256).await.unwrap(), "{:?}", apart.field);
    }
    let mut ends = Vec::new();
    let look = |entry: Entry| {
        if let Entry::Ended { out, .. } = entry {
            ends.push(out);
        }
    };
    engine.for_each_entry(run, 0, |_| true, look).await.unwrap();
    assert_eq!(ends, [Some(Arc::new(large('a')))]);
    assert_eq!(engine.journal(run).await.unwrap().event["note"], "n");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_reads_is_not_fetched() {
    let (world, run, _engine) = crashed().await;
    let unread = BlobId::of(&serde_json::to_vec(&large('b')).unwrap());
    assert!(world.store().refers(run, unread).await.unwrap());
    world.store.damage_blob(unread);
    assert_eq!(world.end(run).await.status, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_is_told_and_the_run_fails_in_the_open() {
    let (world, run, _engine) = crashed().await;
    world.store.damage_blob(BlobId::of(&serde_json::to_vec(&large('a')).unwrap()));
    let row = world.end(run).await;
    let told = row.error.map(|error| error.message).unwrap_or_default();
    assert!(row.status == RunStatus::Failed && told.contains("is damaged") && told.contains("backup"), "{told}");
    assert!(world.system.sent.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn data_that_looks_like_a_reference_is_data() {
    let world =
        World::new("  - { id: send, do: sys.send, with: { all: '${ trigger }' } }\n  - { id: out, return: '${ trigger }' }\n")
            .await;
    let (engine, _) = world.process(1).await;
    let secret = world.send(&engine, large('s')).await;
    world.end(secret).await;
    let known = world.kept(secret).await.1[0];
    let forged = json!({ "apart": [known], "entries": [], "sha256": known.sha256, "$ref": known.sha256, "event": null });
    let run = world.send(&engine, forged.clone()).await;
    assert_eq!(world.end(run).await.status, RunStatus::Succeeded);
    assert_eq!(world.system.sent.lock().last().unwrap()["all"], forged);
    assert!(!world.store().refers(run, known.sha256).await.unwrap(), "nobody gets at another run's content");
    assert!(world.kept(run).await.1.is_empty());
    assert_eq!(*engine.journal(run).await.unwrap().event, forged);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_before_a_commit_that_never_came_goes_after_its_grace() {
    let world = World::new("  - { id: a, do: sys.a, with: {} }\n").await;
    let lost = store::put_blob(&world.store(), b"lost", BEGIN, [1; 10]).await.unwrap();
    let (engine, _) = world.process(1).await;
    let run = world.send(&engine, json!({})).await;
    world.end(run).await;
    let kept = world.kept(run).await.1[0].sha256;
    assert!(world.store().blob(lost).await.unwrap().is_some(), "it may be a commit under way");
    tokio::time::sleep(EngineSettings::default().blob_grace + EngineSettings::default().prune_interval * 2).await;
    assert_eq!(world.store().blob(lost).await.unwrap(), None);
    assert!(world.store().blob(kept).await.unwrap().is_some(), "a run refers to it");
}

const LISTED: &str = "  - { id: rows, do: sys.list, with: {}, stream: true }
  - id: push
    each: '${ steps.rows }'
    as: row
    file: 'rows-${ trigger.of }.jsonl'
    collect: '${ row.keep }'
    steps:
      - { id: hold, if: row.n == 1_550, do: sys.hold, with: {} }
      - { id: one, set: { n: '${ row.n }' } }
  - { id: out, return: '${ steps.push }' }
";

/// What a run returned.
fn output(entries: &[Entry]) -> Value {
    let ended = |entry: &Entry| match entry {
        Entry::Ended { out, .. } => out.as_deref().cloned(),
        _ => None,
    };
    entries.iter().rev().find_map(ended).unwrap()
}

async fn lines(world: &World, file: &Value) -> Vec<Value> {
    let id: BlobId = file["sha256"].as_str().unwrap().parse().unwrap();
    let content = store::read_blob(&world.store(), id).await.unwrap();
    assert_eq!(file["size"], content.len());
    String::from_utf8(content.to_vec()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_into_a_file_and_on_in_the_middle_of_a_long_journal() {
    let world = World::new(LISTED).await;
    world.system.held.store(true, Ordering::SeqCst);
    let (engine, life) = world.process(1).await;
    let run = world.send(&engine, json!({ "of": "may" })).await;
    let holds = |entry: &Entry| matches!(entry, Entry::Started { p, .. } if &**p == "push[1550].hold");
    world.until(run, async || world.kept(run).await.0.iter().any(holds)).await;
    life.0.store(true, Ordering::SeqCst);
    world.system.held.store(false, Ordering::SeqCst);
    let chunks = world.store().chunks(run, 0, u32::MAX).await.unwrap().len();
    assert!(chunks > store::CLAIM_CHUNKS_MAX, "{chunks} chunks come with one claim");
    let (_next, _) = world.process(2).await;
    assert_eq!(world.end(run).await.status, RunStatus::Succeeded);
    let pages = world.system.pages.lock().clone();
    assert!(pages.iter().copied().eq(0..PAGES), "a page is fetched once: {pages:?}");
    let given = output(&world.kept(run).await.0);
    assert_eq!((&given["total"], &given["failed"]), (&json!(PAGES * PAGE_ITEMS), &json!(0)));
    assert_eq!((&given["file"]["name"], &given["file"]["type"]), (&json!("rows-may.jsonl"), &json!("application/jsonl")));
    let wanted: Vec<Value> = (0..PAGES * PAGE_ITEMS).step_by(2).map(|n| json!({ "n": n })).collect();
    assert_eq!(lines(&world, &given["file"]).await, wanted);
    let kept: BlobId = given["file"]["sha256"].as_str().unwrap().parse().unwrap();
    assert!(world.store().refers(run, kept).await.unwrap(), "the run keeps its file");
}

#[tokio::test(start_paused = true)]
async fn a_list_goes_into_a_file_too_and_large_lines_are_kept_apart() {
    let steps = "  - id: push
    each: '${ trigger.list }'
    partial: skip
    file: large.jsonl
    steps:
      - { id: bad, if: item.n == 1, fail: no }
      - { id: one, set: { n: '${ item.n }', text: '${ trigger.text }' } }
  - { id: out, return: '${ steps.push }' }
";
    let world = World::new(steps).await;
    let (engine, _) = world.process(1).await;
    let text = "x".repeat(LARGE_BYTES / 10);
    let run = world.send(&engine, json!({ "list": [{ "n": 0 }, { "n": 1 }, { "n": 2 }], "text": text })).await;
    assert_eq!(world.end(run).await.status, RunStatus::Succeeded);
    let (entries, apart, longest) = world.kept(run).await;
    assert!(longest < 2000 && apart.len() > 2, "a chunk has {longest} bytes");
    let given = output(&entries);
    assert_eq!((&given["total"], &given["failed"]), (&json!(3), &json!(1)));
    let wanted: Vec<Value> = [0, 2].iter().map(|n| json!({ "n": n, "text": text })).collect();
    assert_eq!(lines(&world, &given["file"]).await, wanted, "what failed has no line");
}
