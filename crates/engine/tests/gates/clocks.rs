//! Two schedulers whose clocks differ, while wall clocks change and the database's clock is set: each fire
//! time starts one run.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use connector::http::{Http, HttpOptions};
use engine::{Engine, EngineSettings, Parts};
use serde_json::{Value, json};
use store::{
    Clock, GroupSettings, MasterKey, NewVersion, Pages as _, RecipeId, RunFilter, Saved, Store, Timestamp, Vault, Writer,
    memory::MemoryStore, text_hash,
};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;

/// A clock that is set by hand, and one that is so far ahead of it.
#[derive(Clone)]
struct Hand {
    true_us: Arc<AtomicI64>,
    ahead_us: i64,
}

impl Hand {
    fn at(instant: &str) -> Self {
        let at = instant.parse::<jiff::Timestamp>().unwrap().as_microsecond();
        Self { true_us: Arc::new(AtomicI64::new(at)), ahead_us: 0 }
    }

    fn turn(&self, micros: i64) {
        self.true_us.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.true_us.load(Ordering::SeqCst) + self.ahead_us)
    }
}

/// A database with a clock, and two processes whose own clocks are five minutes ahead of true time and behind it.
struct Stage {
    store: Arc<MemoryStore>,
    time: Hand,
    database: Hand,
    schedulers: Vec<Arc<Engine>>,
}

impl Stage {
    async fn new(begin: &str, with: &str) -> Self {
        let (time, database) = (Hand::at(begin), Hand::at(begin));
        let store = Arc::new(MemoryStore::with_clock(Arc::new(database.clone())));
        let text = format!(
            "liaison: 1\nrecipe: story\ntrigger:\n  from: schedule\n  with: {{ {with} }}\nsteps:\n  - {{ id: end, return: 1 }}\n"
        );
        let version = NewVersion {
            id: RecipeId::new(database.now(), [1; 10]),
            slug: "story".to_owned(),
            title: "Story".to_owned(),
            hash: text_hash(&text),
            text,
            hook_token: "story".to_owned(),
            if_revision: None,
            at: database.now(),
            by: "ann".to_owned(),
        };
        let Saved::Created(row) = store.save_version(version).await.unwrap() else { panic!("it is new") };
        store.activate(row.id, Some(1), &json!({}), database.now()).await.unwrap().unwrap();
        let mut stage = Self { store, time, database, schedulers: Vec::new() };
        for (seed, ahead_us) in [(1, 5 * MINUTE), (2, -5 * MINUTE)] {
            stage.schedulers.push(stage.process(seed, ahead_us).await);
        }
        stage
    }

    /// A process that fires when it is told to.
    async fn process(&self, seed: u64, ahead_us: i64) -> Arc<Engine> {
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        let parts = Parts {
            writer: Writer::start(Arc::clone(&store), GroupSettings::default()),
            vault: Arc::new(Vault::new(MasterKey::new([7; 32]), Arc::clone(&store))),
            store,
            connectors: Arc::new(Vec::new()),
            http: Http::new(HttpOptions::default()).unwrap(),
            clock: Arc::new(Hand { ahead_us, ..self.time.clone() }),
            seed,
            settings: EngineSettings { schedules: false, works: false, shared_store: true, ..EngineSettings::default() },
        };
        Engine::start(parts).await.unwrap()
    }

    /// Time goes by, and both look at their schedules at the same moment.
    async fn pass(&self, micros: i64) {
        self.time.turn(micros);
        self.database.turn(micros);
        tokio::join!(self.schedulers[0].fire_schedules(), self.schedulers[1].fire_schedules());
    }

    /// How many runs each fire time started.
    async fn fired(&self) -> BTreeMap<String, usize> {
        let mut fired = BTreeMap::new();
        for run in self.store.runs(&RunFilter { limit: u32::MAX, ..RunFilter::default() }).await.unwrap() {
            let event: Arc<Value> = self.schedulers[0].journal(run.id).await.unwrap().event;
            *fired.entry(event["scheduled_at"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        fired
    }
}

fn once_each(times: &[&str]) -> BTreeMap<String, usize> {
    times.iter().map(|time| ((*time).to_owned(), 1)).collect()
}

#[tokio::test]
async fn two_schedulers_fire_once_over_a_clock_change() {
    // Berlin goes from 02:00 to 03:00 on 29 March 2026, and from 03:00 back to 02:00 on 25 October.
    let daily = "cron: \"30 2 * * *\", zone: Europe/Berlin, on_missed: all";
    let half_hours = "cron: \"*/30 1-3 * * *\", zone: Europe/Berlin, on_missed: all";
    let (spring, autumn) = ("2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z");
    for (begin, with, expected) in [
        // Half past two does not exist on that day: it fires when the clock jumps over it.
        (spring, daily, &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"][..]),
        // Half past two comes twice: the first counts.
        (autumn, daily, &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        (
            spring,
            half_hours,
            &[
                "2026-03-29T00:00:00Z",
                "2026-03-29T00:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:30:00Z",
                "2026-03-29T23:00:00Z",
                "2026-03-29T23:30:00Z",
                "2026-03-30T00:00:00Z",
                "2026-03-30T00:30:00Z",
                "2026-03-30T01:00:00Z",
                "2026-03-30T01:30:00Z",
            ],
        ),
        (
            autumn,
            half_hours,
            &[
                "2026-10-24T23:00:00Z",
                "2026-10-24T23:30:00Z",
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:00:00Z",
                "2026-10-25T02:30:00Z",
                "2026-10-26T00:00:00Z",
                "2026-10-26T00:30:00Z",
                "2026-10-26T01:00:00Z",
                "2026-10-26T01:30:00Z",
                "2026-10-26T02:00:00Z",
                "2026-10-26T02:30:00Z",
            ],
        ),
    ] {
        let stage = Stage::new(begin, with).await;
        for _ in 0..2 * 24 * 12 {
            stage.pass(5 * MINUTE).await;
        }
        assert_eq!(stage.fired().await, once_each(expected), "{with} from {begin}");
    }
}

#[tokio::test]
async fn two_schedulers_fire_once_while_the_databases_clock_is_set() {
    for jump in [5 * MINUTE, -5 * MINUTE] {
        let stage = Stage::new("2026-03-01T00:00:00Z", "cron: \"* * * * *\", on_missed: all").await;
        let begun = stage.database.now();
        let mut newest = begun;
        for step in 0..180 {
            match step {
                60 => stage.database.turn(jump),
                120 => stage.database.turn(-jump),
                _ => {}
            }
            // One of them notices at once, the other only a while later.
            if step % 6 == 0 {
                stage.schedulers[0].renew_lease().await.unwrap();
            }
            if step % 6 == 4 {
                stage.schedulers[1].renew_lease().await.unwrap();
            }
            stage.pass(10 * SECOND).await;
            newest = stage.schedulers.iter().map(|engine| engine.now()).max().unwrap().max(newest);
        }
        let minutes = newest.since(begun).as_secs() / Duration::from_secs(60).as_secs();
        let fired = stage.fired().await;
        assert!(fired.values().all(|count| *count == 1), "{jump}: {fired:?}");
        assert_eq!(fired.len() as u64, minutes, "{jump}: none is left out: {fired:?}");
        assert!(minutes >= 30, "the clock went on");
    }
}
