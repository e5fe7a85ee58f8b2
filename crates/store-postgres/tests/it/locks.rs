//! The races that a suite cannot time, held open by hand: somebody's transaction is half done when we
//! come, and ends while we wait.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use store::{Batch, Committed, Pages, RunCommit, Store, Then, WorkerId};
use store_postgres::{PostgresStore, testing::FreshDatabase};
use tokio::task::JoinHandle;

use crate::parts::{LATER, NOW, end, new_run, recipe};

/// A transaction of somebody else's that has done `sql` and not committed.
struct HalfDone(PgConnection);

impl HalfDone {
    async fn begin(database: &FreshDatabase, sql: String) -> Self {
        let mut connection = PgConnection::connect(&database.url).await.unwrap();
        sqlx::raw_sql("begin").execute(&mut connection).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        Self(connection)
    }

    /// Commits once the other waits for it, or is done without waiting, which is what we are after.
    async fn commit_when_waited_for<T>(mut self, other: JoinHandle<T>) -> T {
        loop {
            let (waiting,): (bool,) = sqlx::query_as(
                "select exists (select from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid)))",
            )
            .fetch_one(&mut self.0)
            .await
            .unwrap();
            if waiting || other.is_finished() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        sqlx::raw_sql("commit").execute(&mut self.0).await.unwrap();
        other.await.unwrap()
    }
}

async fn one_running(database: &FreshDatabase) -> (Arc<PostgresStore>, WorkerId, RunCommit) {
    let store = Arc::new(database.open().await);
    let recipe = recipe(&store).await;
    let owner = store.register_worker("a", NOW, NOW).await.unwrap();
    let run = new_run(recipe, 1, owner, Then::Running);
    let commit = end(run.id, owner);
    store.write(&Batch { accepts: vec![Arc::new(run)], commits: Vec::new() }).await.unwrap();
    (store, owner, commit)
}

/// A reaper has taken the run and not committed: the worker's commit waits, and is refused.
#[tokio::test]
async fn a_commit_waits_for_a_reaper() {
    for then in [Then::Running, Then::Succeeded { at: NOW }] {
        let database = FreshDatabase::schema().await;
        let (store, _, commit) = one_running(&database).await;
        let taken = format!("update runs set status = 0, owner = null, epoch = epoch + 1, due_at = {}", NOW.micros());
        let reaper = HalfDone::begin(&database, taken).await;
        let batch = Batch { accepts: Vec::new(), commits: vec![Arc::new(RunCommit { then: then.clone(), ..commit.clone() })] };
        let writing = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.write(&batch).await.unwrap().commits }
        });
        assert_eq!(reaper.commit_when_waited_for(writing).await, [Committed::LeaseLost], "{then:?}");
        assert_eq!(store.chunks(commit.run, 0, u32::MAX).await.unwrap().len(), 1);
        store.close().await;
        database.remove().await;
    }
}

/// The other way round: a worker's commit is half done, and the reaper waits for it and sees its end.
#[tokio::test]
async fn a_reaper_waits_for_a_commit() {
    let database = FreshDatabase::schema().await;
    let (store, _, commit) = one_running(&database).await;
    let ended = format!("update runs set status = 3, owner = null, ended_at = {} where owner is not null", NOW.micros());
    let worker = HalfDone::begin(&database, ended).await;
    let reaping = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.reap_workers(LATER).await.unwrap().runs }
    });
    assert_eq!(worker.commit_when_waited_for(reaping).await, 0);
    assert!(store.run(commit.run).await.unwrap().unwrap().ended_at.is_some());
    store.close().await;
    database.remove().await;
}

/// A reaper has removed the worker and not committed: the worker's claim waits, and gets nothing.
#[tokio::test]
async fn a_claim_waits_for_a_reaper() {
    let database = FreshDatabase::schema().await;
    let (store, owner, _) = one_running(&database).await;
    let other = store.register_worker("b", NOW, LATER).await.unwrap();
    assert_eq!(store.release_worker(owner, NOW).await.unwrap(), 1);
    let reaper = HalfDone::begin(&database, "delete from workers".to_owned()).await;
    let claiming = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.claim(other, LATER, 9).await.unwrap().len() }
    });
    assert_eq!(reaper.commit_when_waited_for(claiming).await, 0);
    assert_eq!(store.backlog(LATER, 9).await.unwrap(), 1);
    store.close().await;
    database.remove().await;
}

/// A claim is half done: a reaper leaves its worker to the next round instead of losing sight of it.
#[tokio::test]
async fn a_reaper_passes_by_a_claim() {
    let database = FreshDatabase::schema().await;
    let (store, owner, commit) = one_running(&database).await;
    let claim = HalfDone::begin(&database, format!("select from workers where id = {} for key share", owner.0)).await;
    assert_eq!(store.reap_workers(LATER).await.unwrap().runs, 0);
    claim.commit_when_waited_for(tokio::spawn(async {})).await;
    assert_eq!(store.reap_workers(LATER).await.unwrap().runs, 1);
    assert_eq!(store.run(commit.run).await.unwrap().unwrap().due_at, Some(NOW));
    store.close().await;
    database.remove().await;
}

/// Another process has taken the key and not committed: the event waits, and is a duplicate; or the
/// other one fails, and the event is a run.
#[tokio::test]
async fn an_event_waits_for_the_first_of_its_key() {
    for (undo, kept) in [("", 0), ("rollback; begin", 1)] {
        let database = FreshDatabase::schema().await;
        let (store, owner, commit) = one_running(&database).await;
        let other = new_run(recipe_of(&store).await, 7, owner, Then::Running);
        let key: String = other.key.as_ref().unwrap().hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let taken = format!(
            "insert into event_keys (recipe_id, key, run_id, expires_at) \
             values ('{}', decode('{key}', 'hex'), '{}', {})",
            other.recipe.0,
            commit.run.0,
            LATER.micros()
        );
        let mut first = HalfDone::begin(&database, taken).await;
        let writing = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.write(&Batch { accepts: vec![Arc::new(other)], commits: Vec::new() }).await.unwrap().accepts }
        });
        if !undo.is_empty() {
            sqlx::raw_sql(undo).execute(&mut first.0).await.unwrap();
        }
        let answer = first.commit_when_waited_for(writing).await;
        let new = answer.iter().filter(|accepted| **accepted == store::Accepted::New).count();
        assert_eq!((answer.len(), new), (1, kept), "{answer:?}");
        store.close().await;
        database.remove().await;
    }
}

async fn recipe_of(store: &PostgresStore) -> store::RecipeId {
    store.recipe("orders").await.unwrap().unwrap().id
}
