//! Operations at the moments when a process dies: what was begun is looked at, never done twice.

use std::{path::Path, sync::Arc, time::Duration};

use connector::http::{Http, HttpOptions};
use engine::{Engine, EngineSettings, Event, Intake, Parts, operations::NewOperation};
use serde_json::json;
use store::{
    Clock, GroupSettings, ItemState, ManualClock, MasterKey, NewVersion, Operation, OperationChange, OperationId, OperationKind,
    OperationOptions, OperationState, RecipeId, RunFilter, RunId, RunStatus, Saved, Selection, Store, Timestamp, Vault, Via,
    WorkerId, Writer,
};
use store_sqlite::SqliteStore;

const RECIPE: &str = "liaison: 1\nrecipe: story\ntrigger: { from: api }\nsteps:\n  - id: no\n    fail: \"no ${ trigger.id }\"\n";
const LEASE: Duration = Duration::from_secs(10);

/// An engine that accepts events and does nothing by itself: the test says when operations go on.
struct Bed {
    engine: Arc<Engine>,
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
}

impl Bed {
    async fn new(folder: &Path) -> Self {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder).await.unwrap());
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_760_000_000_000_000)));
        let now = clock.now();
        let version = NewVersion {
            id: RecipeId::new(now, [1; 10]),
            slug: "story".to_owned(),
            title: "Story".to_owned(),
            text: RECIPE.to_owned(),
            hash: "hash".to_owned(),
            hook_token: "token".to_owned(),
            if_revision: None,
            at: now,
            by: "ann".to_owned(),
        };
        let Saved::Created(row) = store.save_version(version).await.unwrap() else { panic!("the recipe is new") };
        store.activate(row.id, Some(1), &json!({}), now).await.unwrap();
        let parts = Parts {
            writer: Writer::start(Arc::clone(&store), GroupSettings::default()),
            store: Arc::clone(&store),
            connectors: Arc::new(connectors::all()),
            vault: Arc::new(Vault::new(MasterKey::new([7; 32]), Arc::clone(&store))),
            http: Http::new(HttpOptions::default()).unwrap(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            seed: 3,
            settings: EngineSettings { works: false, schedules: false, lease: LEASE, ..EngineSettings::default() },
        };
        Self { engine: Engine::start(parts).await.unwrap(), store, clock }
    }

    /// So many runs that failed at once.
    async fn letters(&self, count: u32) -> Vec<RunId> {
        let mut runs = Vec::new();
        for number in 0..count {
            self.clock.advance(Duration::from_millis(2));
            runs.push(self.accept(Event { key: None, ..event(number) }).await);
        }
        runs
    }

    async fn accept(&self, event: Event) -> RunId {
        let recipe = Arc::clone(&self.engine.catalogue().recipes["story"]);
        match self.engine.accept(&recipe, event).await.unwrap() {
            Intake::Accepted { run, status: RunStatus::Failed, .. } => run,
            other => panic!("{other:?}"),
        }
    }

    async fn begin(&self, kind: OperationKind) -> OperationId {
        let new = NewOperation {
            kind,
            selection: Selection::Filter(Box::default()),
            asked: json!({ "all": true }),
            options: OperationOptions { reason: Some("old".to_owned()), ..OperationOptions::default() },
            first: 0,
            by: "ann".to_owned(),
        };
        self.engine.begin_operation(new).await.unwrap().unwrap().id
    }

    /// Another process takes the operation, begins with two runs, and is never heard of again.
    async fn begun_by_the_dead(&self, operation: OperationId) {
        let now = self.clock.now();
        let dead: WorkerId = self.store.register_worker("dead", now, now.after(LEASE * 100)).await.unwrap();
        let taken = self.store.take_operation(dead, now, now.after(LEASE)).await.unwrap();
        assert_eq!(taken.map(|taken| taken.id), Some(operation));
        assert_eq!(self.store.begin_items(operation, 2).await.unwrap().len(), 2);
        assert_eq!(self.engine.advance_operation().await.unwrap(), None, "somebody has it under way");
    }

    async fn go_on(&self, id: OperationId) -> Operation {
        self.clock.advance(LEASE);
        assert!(self.engine.advance_operation().await.unwrap().is_some(), "its owner is silent");
        self.store.operation(id).await.unwrap().unwrap()
    }

    /// How often a run's journal says so.
    async fn told(&self, run: RunId, word: &str) -> usize {
        let chunks = self.store.chunks(run, 0, u32::MAX).await.unwrap();
        chunks.iter().flat_map(|(_, chunk)| store::read_chunk(chunk).unwrap()).filter(|entry| entry.word() == word).count()
    }
}

fn event(number: u32) -> Event {
    let data = Arc::new(json!({ "id": number }));
    Event { data, via: Via::Api, key: None, key_wins: false, fingerprint: None, replay_of: None }
}

fn counts(operation: &Operation) -> (OperationState, i32, i32, i32) {
    (operation.state, operation.total, operation.done, operation.failed)
}

#[tokio::test]
async fn what_a_stopped_operation_had_begun_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new(folder.path()).await;
    let runs = bed.letters(3).await;
    let id = bed.begin(OperationKind::Discard).await;
    bed.begun_by_the_dead(id).await;
    bed.engine.discard(runs[0], "old", "ann").await.unwrap();
    assert!(bed.engine.change_operation(id, OperationChange::Stop(None)).await.unwrap());
    assert_eq!(counts(&bed.go_on(id).await), (OperationState::Stopped, 3, 1, 1), "the third was never begun");
    let items = bed.store.operation_items(id, None, None, 10).await.unwrap();
    assert_eq!(items.iter().map(|item| item.state).collect::<Vec<_>>(), [ItemState::Done, ItemState::Failed, ItemState::Pending]);
    assert_eq!(items[1].message.as_deref(), Some("The operation was stopped before it dealt with this run."));
    assert_eq!(bed.told(runs[1], "discarded").await, 0, "what nobody did is left alone");
    assert_eq!(bed.engine.advance_operation().await.unwrap(), None, "it is over");
}

#[tokio::test]
async fn a_resume_whose_outcome_nobody_told_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new(folder.path()).await;
    let runs = bed.letters(3).await;
    let id = bed.begin(OperationKind::Resume).await;
    bed.begun_by_the_dead(id).await;
    bed.engine.resume(runs[0], None, "ann").await.unwrap();
    assert_eq!(counts(&bed.go_on(id).await), (OperationState::Done, 3, 3, 0));
    for run in runs {
        assert_eq!(bed.told(run, "resumed").await, 1, "{run} is resumed once");
    }
}

#[tokio::test]
async fn a_replay_whose_outcome_nobody_told_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new(folder.path()).await;
    let runs = bed.letters(3).await;
    let id = bed.begin(OperationKind::Replay).await;
    bed.begun_by_the_dead(id).await;
    let new = bed.engine.replay(runs[0], None).await.unwrap();
    assert_eq!(counts(&bed.go_on(id).await), (OperationState::Done, 3, 3, 0));
    let items = bed.store.operation_items(id, None, None, 9).await.unwrap();
    assert_eq!(items[0].result, Some(new));
    let rows = bed.store.runs(&RunFilter { limit: 100, ..RunFilter::default() }).await.unwrap();
    for run in runs {
        assert_eq!(rows.iter().filter(|row| row.replay_of == Some(run)).count(), 1, "{run} is replayed once");
        assert_eq!(bed.told(run, "replayed").await, 1);
    }
}

#[tokio::test]
async fn what_somebody_else_dealt_with_meanwhile_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new(folder.path()).await;
    let runs = bed.letters(4).await;
    let id = bed.begin(OperationKind::Discard).await;
    bed.begun_by_the_dead(id).await;
    bed.engine.discard(runs[0], "by the dead process", "ann").await.unwrap();
    bed.engine.replay(runs[1], None).await.unwrap();
    bed.engine.replay(runs[2], None).await.unwrap();
    assert_eq!(counts(&bed.go_on(id).await), (OperationState::Done, 4, 2, 2));
    let failed = bed.store.operation_items(id, Some(ItemState::Failed), None, 9).await.unwrap();
    let told: Vec<_> = failed.iter().map(|item| (item.run, item.message.as_deref().unwrap())).collect();
    assert_eq!(told, [(runs[1], "Somebody else dealt with this run meanwhile."), (runs[2], "This run was already replayed.")]);
    assert_eq!(bed.told(runs[3], "discarded").await, 1);
}

#[tokio::test]
async fn a_run_that_failed_anew_is_another_failure() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new(folder.path()).await;
    let runs = bed.letters(1).await;
    let id = bed.begin(OperationKind::Resume).await;
    // Somebody resumes it, and it fails again before its turn comes.
    bed.engine.resume(runs[0], None, "ben").await.unwrap();
    let now = bed.clock.now().after(Duration::from_secs(1));
    let owner = bed.store.register_worker("other", now, now.after(LEASE)).await.unwrap();
    let claim = bed.store.claim(owner, now, 1).await.unwrap().remove(0);
    let error = bed.store.run(runs[0]).await.unwrap().unwrap().error;
    assert_eq!(error, None, "it goes on");
    let settled = bed.letters(1).await;
    let error = Box::new(bed.store.run(settled[0]).await.unwrap().unwrap().error.unwrap());
    let commit = store::RunCommit {
        run: claim.id,
        owner,
        epoch: claim.epoch,
        seq: 2,
        chunk: store::write_chunk(&[]).unwrap(),
        attempts: 0,
        then: store::Then::Failed { at: now, error },
        lane: None,
        listens: Vec::new(),
        beside: Vec::new(),
    };
    let batch = store::Batch { accepts: Vec::new(), commits: vec![Arc::new(commit)] };
    bed.store.write(&batch).await.unwrap();
    let after = bed.go_on(id).await;
    assert_eq!(counts(&after), (OperationState::Done, 1, 0, 1));
    let items = bed.store.operation_items(id, None, None, 9).await.unwrap();
    assert_eq!(items[0].message.as_deref(), Some("This run went on and failed again meanwhile."));
    assert_eq!(bed.told(runs[0], "resumed").await, 1);
}
