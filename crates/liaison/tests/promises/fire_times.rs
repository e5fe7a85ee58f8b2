//! Fire times under a clock moved by hand: missed, overlapping, edited, switched off, and fired by two processes.

use std::{path::Path, sync::Arc, time::Duration};

use connector::http::{Http, HttpOptions};
use engine::{Engine, EngineSettings, Event, Intake, Parts};
use serde_json::Value;
use store::{
    Clock as _, GroupSettings, ManualClock, MasterKey, NewVersion, RecipeId, RunFilter, RunRow, Saved, Store, Timestamp, Vault,
    Via, Writer,
};
use store_sqlite::SqliteStore;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// 2026-03-01T00:00:00Z
const START: i64 = 1_772_323_200_000_000;

/// One database, one clock, and processes on them.
struct Stage {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    recipe: RecipeId,
}

fn text(with: &str, settings: &str) -> String {
    format!(
        "liaison: 1\nrecipe: story\nsettings: {{ {settings} }}\ntrigger:\n  from: schedule\n  with: {{ {with} }}\n\
         steps:\n  - id: rest\n    wait: {{ for: 365d }}\n"
    )
}

impl Stage {
    async fn new(folder: &Path, text: &str) -> Self {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder).await.unwrap());
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(START)));
        let mut stage = Self { store, clock, recipe: RecipeId::new(Timestamp::from_micros(START), [1; 10]) };
        stage.save(text).await;
        stage
    }

    /// Saves and switches on.
    async fn save(&mut self, text: &str) {
        let version = NewVersion {
            id: self.recipe,
            slug: "story".to_owned(),
            title: "Story".to_owned(),
            text: text.to_owned(),
            hash: store::text_hash(text),
            hook_token: "h_story".to_owned(),
            if_revision: None,
            at: self.clock.now(),
            by: "ann".to_owned(),
        };
        let version = match self.store.save_version(version).await.unwrap() {
            Saved::Created(row) | Saved::Updated(row) => row.latest_version,
            other => panic!("{other:?}"),
        };
        self.switch(Some(version)).await;
    }

    async fn switch(&self, version: Option<i32>) {
        let done = self.store.activate(self.recipe, version, &Value::Object(serde_json::Map::new()), self.clock.now()).await;
        assert!(done.unwrap().is_some());
    }

    /// A process that fires when it is told to.
    async fn process(&self) -> Arc<Engine> {
        let parts = Parts {
            store: Arc::clone(&self.store),
            writer: Writer::start(Arc::clone(&self.store), GroupSettings::default()),
            connectors: Arc::new(connectors::all()),
            vault: Arc::new(Vault::new(MasterKey::new([7; 32]), Arc::clone(&self.store))),
            http: Http::new(HttpOptions::default()).unwrap(),
            clock: Arc::clone(&self.clock) as Arc<dyn store::Clock>,
            seed: rand::random(),
            settings: EngineSettings { schedules: false, ..EngineSettings::default() },
        };
        Engine::start(parts).await.unwrap()
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Its runs, oldest first.
    async fn runs(&self) -> Vec<RunRow> {
        let mut runs = self.store.runs(&RunFilter { limit: 2000, ..RunFilter::default() }).await.unwrap();
        runs.reverse();
        runs
    }

    async fn statuses(&self) -> Vec<&'static str> {
        self.runs().await.iter().map(|run| run.status.as_str()).collect()
    }
}

/// The event of a run: its fire time and how many missed ones it stands for.
async fn event(engine: &Engine, run: &RunRow) -> (String, u64) {
    let event = engine.journal(run.id).await.unwrap().event;
    (event["scheduled_at"].as_str().unwrap().to_owned(), event["missed"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_made_up_for_as_the_recipe_says() {
    for (on_missed, expected) in [
        ("skip", vec![]),
        ("once", vec![("2026-03-01T10:00:00Z", 2)]),
        ("all", vec![("2026-03-01T08:00:00Z", 0), ("2026-03-01T09:00:00Z", 0), ("2026-03-01T10:00:00Z", 0)]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let stage = Stage::new(folder.path(), &text(&format!("cron: \"0 8-10 * * *\", on_missed: {on_missed}"), "")).await;
        // Nothing ran from midnight to half past ten.
        stage.pass(10 * HOUR + 30 * MINUTE);
        let engine = stage.process().await;
        let next = engine.fire_schedules().await.unwrap();
        assert_eq!(next.since(stage.clock.now()), Duration::from_secs(21 * HOUR + 30 * MINUTE), "{on_missed}");
        let mut told = Vec::new();
        for run in stage.runs().await {
            told.push(event(&engine, &run).await);
        }
        // Ids of the same millisecond come in any order.
        told.sort();
        let expected: Vec<_> = expected.into_iter().map(|(at, missed)| (at.to_owned(), missed)).collect();
        assert_eq!(told, expected, "{on_missed}");
        // The next look, another process and a new start find nothing more.
        engine.fire_schedules().await;
        stage.process().await.fire_schedules().await;
        assert_eq!(stage.runs().await.len(), expected.len(), "{on_missed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_start_one_run_of_each_fire_time() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path(), &text("cron: \"* * * * *\", on_missed: all", "")).await;
    let (one, other) = (stage.process().await, stage.process().await);
    for _ in 0..20 {
        stage.pass(MINUTE);
        tokio::join!(one.fire_schedules(), other.fire_schedules());
    }
    let mut times = std::collections::HashSet::new();
    for run in stage.runs().await {
        assert!(times.insert(event(&one, &run).await.0), "a fire time came twice");
    }
    assert_eq!(times.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_run_that_goes_on_is_waited_for_skipped_or_cancelled() {
    for (on_overlap, expected) in [
        ("queue", vec!["waiting", "queued", "queued"]),
        ("skip", vec!["waiting"]),
        ("cancel_running", vec!["cancelled", "cancelled", "waiting"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let settings = format!("concurrency: {{ limit: 1, on_overlap: {on_overlap} }}");
        let stage = Stage::new(folder.path(), &text("cron: \"0 * * * *\"", &settings)).await;
        let (one, other) = (stage.process().await, stage.process().await);
        for _ in 0..3 {
            stage.pass(HOUR);
            one.fire_schedules().await;
            // The other fires the same times and must neither cancel the new run nor start one.
            other.fire_schedules().await;
        }
        let settled = async {
            loop {
                let statuses = stage.statuses().await;
                // A run of a lane is taken up by a worker: what it waits for shows a moment later.
                let plain: Vec<&str> = statuses.iter().map(|word| if *word == "running" { "waiting" } else { word }).collect();
                if plain.len() == expected.len()
                    && plain.iter().filter(|word| **word == "cancelled").eq(expected.iter().filter(|word| **word == "cancelled"))
                {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(20), settled).await;
        assert!(came.is_ok(), "{on_overlap}: {:?}", stage.statuses().await);
    }
}

/// A process that dies between the new run and the end of the old one leaves that to the next.
#[tokio::test(flavor = "multi_thread")]
async fn room_is_made_also_when_whoever_began_the_new_run_died() {
    let folder = tempfile::tempdir().unwrap();
    let stage =
        Stage::new(folder.path(), &text("cron: \"0 * * * *\"", "concurrency: { limit: 1, on_overlap: cancel_running }")).await;
    let engine = stage.process().await;
    engine.fire_schedules().await;
    stage.pass(HOUR);
    engine.fire_schedules().await;
    stage.pass(HOUR);
    let at = stage.clock.now();
    let event = Event {
        data: Arc::new(Value::Null),
        via: Via::Schedule,
        key: Some(format!("schedule:{}", at.micros()).into()),
        key_wins: true,
        fingerprint: None,
        replay_of: None,
    };
    let recipe = Arc::clone(&engine.catalogue().recipes["story"]);
    assert!(matches!(engine.accept(&recipe, event).await.unwrap(), Intake::Accepted { .. }));
    assert!(!stage.statuses().await.contains(&"cancelled"));
    // A moment later another process comes to the same fire time.
    stage.pass(1);
    stage.process().await.fire_schedules().await;
    let statuses = stage.statuses().await;
    assert_eq!((statuses.len(), statuses[0]), (2, "cancelled"), "{statuses:?}");
    assert_ne!(statuses[1], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_schedule_fires_only_times_of_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), &text("cron: \"0 6 * * *\"", "")).await;
    let engine = stage.process().await;
    engine.fire_schedules().await;
    stage.pass(6 * HOUR + 1);
    engine.fire_schedules().await;
    assert_eq!(stage.runs().await.len(), 1);
    // At noon it is moved to nine: nine o'clock has passed and was never promised.
    stage.pass(6 * HOUR);
    stage.save(&text("cron: \"0 9 * * *\"", "")).await;
    engine.refresh().await.unwrap();
    let next = engine.fire_schedules().await.unwrap();
    assert_eq!(stage.runs().await.len(), 1);
    assert_eq!(next.micros(), START + i64::try_from((24 + 9) * HOUR).unwrap() * 1_000_000);
    stage.process().await.fire_schedules().await;
    assert_eq!(stage.runs().await.len(), 1, "a new start knows it as well");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_while_switched_off_and_nothing_comes_twice_when_the_clock_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path(), &text("cron: \"0 * * * *\", on_missed: all", "")).await;
    let engine = stage.process().await;
    stage.pass(HOUR);
    engine.fire_schedules().await;
    assert_eq!(stage.runs().await.len(), 1);
    stage.switch(None).await;
    engine.refresh().await.unwrap();
    stage.pass(5 * HOUR);
    assert_eq!(engine.fire_schedules().await, None);
    stage.switch(Some(1)).await;
    engine.refresh().await.unwrap();
    engine.fire_schedules().await;
    assert_eq!(stage.runs().await.len(), 1);
    stage.pass(HOUR);
    engine.fire_schedules().await;
    assert_eq!(stage.runs().await.len(), 2);
    // The clock is set back by two hours and comes to the same times again.
    let back = Stage { clock: Arc::new(ManualClock::at(Timestamp::from_micros(START + 5 * 3_600_000_000))), ..stage };
    let other = back.process().await;
    for _ in 0..4 {
        back.pass(30 * MINUTE);
        other.fire_schedules().await;
    }
    assert_eq!(back.runs().await.len(), 2);
}
