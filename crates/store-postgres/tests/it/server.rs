//! What only a server can do wrong: refuse, go away, turn read-only, lose an answer.

use std::{sync::Arc, time::Duration};

use store::{
    Accepted, Batch, Clock, Committed, Gates, GroupSettings, NewRun, Pages, RunCommit, RunStatus, Store, StoreError, SystemClock,
    Then, Timestamp, WaitingFor, WorkerId, Writer,
};
use store_postgres::{OpenError, PostgresOptions, PostgresStore, testing::FreshDatabase};

use crate::{
    parts::{KEYS, LATER, NOW, end, new_run, recipe},
    proxy::Proxy,
};

/// Ends every connection but the one that says so, as a restart or a failover would.
const CUT: &str =
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";

#[tokio::test]
async fn what_cannot_be_opened_is_said_without_the_password() {
    let database = FreshDatabase::database().await;
    let opened = async |url: String| PostgresStore::open(&url, PostgresOptions::default()).await.map(drop).unwrap_err();
    let missing = opened(format!("{}_missing", database.url.split('?').next().unwrap())).await;
    assert!(matches!(missing, OpenError::NoDatabase { .. }), "{missing}");
    for (url, sentence) in [
        ("postgres://ann:hush@127.0.0.1:1/liaison", "cannot be reached at 127.0.0.1:1/liaison"),
        ("mysql://ann:hush@localhost/liaison", "must look like postgres://"),
        ("postgres://ann:hush@localhost:hush/liaison", "must look like postgres://"),
        ("hush", "must look like postgres://"),
    ] {
        let error = opened(url.to_owned()).await.to_string();
        assert!(error.contains(sentence) && !error.contains("hush"), "{error}");
    }
    database.remove().await;
}

#[tokio::test]
async fn a_wrong_password_is_told_apart() {
    let database = FreshDatabase::database().await;
    let role = format!("liaison_test_{}", uuid::Uuid::now_v7().simple());
    // A role that may not sign in at all: servers that trust everybody do not ask for passwords.
    database.execute(&format!("create role {role} nologin")).await;
    let (scheme, rest) = database.url.split_once("://").unwrap();
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let error = PostgresStore::open(&format!("{scheme}://{role}:hush@{host}"), PostgresOptions::default()).await.unwrap_err();
    database.execute(&format!("drop role {role}")).await;
    assert!(matches!(error, OpenError::Refused { .. }), "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
    database.remove().await;
}

#[tokio::test]
async fn a_database_of_a_newer_build_is_left_alone() {
    let database = FreshDatabase::database().await;
    database.open().await.close().await;
    database
        .execute("insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'later', true, '', 0)")
        .await;
    let error = PostgresStore::open(&database.url, PostgresOptions::default()).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { step: 9999, .. }), "{error}");
    database.remove().await;
}

/// What processes whose own clocks are wrong agree on.
#[tokio::test]
async fn the_database_tells_its_time() {
    let database = FreshDatabase::database().await;
    let (one, other) = (database.open().await, database.open().await);
    let first = one.shared_clock().await.unwrap().unwrap();
    let second = other.shared_clock().await.unwrap().unwrap();
    assert!(first <= second && second.since(first) < Duration::from_secs(30), "{first:?} {second:?}");
    // Both on this machine.
    let apart = SystemClock.now().micros().abs_diff(second.micros());
    assert!(apart < 30_000_000, "{apart} us");
    one.close().await;
    other.close().await;
    database.remove().await;
}

#[tokio::test]
async fn several_processes_start_at_once() {
    let database = Arc::new(FreshDatabase::database().await);
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let database = Arc::clone(&database);
        starts.spawn(async move { database.open().await });
    }
    for store in starts.join_all().await {
        store.ping().await.unwrap();
        store.close().await;
    }
    database.remove().await;
}

#[tokio::test]
async fn a_standby_is_waited_for() {
    let database = FreshDatabase::database().await;
    let store = database.open().await;
    let recipe = recipe(&store).await;
    let name = database.url.split('?').next().unwrap().rsplit('/').next().unwrap();
    database.execute(&format!("alter database {name} set default_transaction_read_only = on")).await;
    database.execute(CUT).await;
    let error = PostgresStore::open(&database.url, PostgresOptions::default()).await.unwrap_err();
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error}");
    while store.ping().await.is_err() {}
    let batch = Batch { accepts: vec![Arc::new(new_run(recipe, 1, WorkerId(1), Then::Running))], commits: Vec::new() };
    let answer = store.write(&batch).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    assert_eq!(store.recipes().await.unwrap().len(), 1, "reading goes on");
    store.close().await;
    let closed = store.ping().await;
    assert!(matches!(closed, Err(StoreError::Unavailable(_))), "{closed:?}");
    database.remove().await;
}

/// Connections are cut again and again while two processes write: some answers are lost for good
/// after the commit, and still nothing is lost and nothing is there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_are_cut_while_runs_are_written() {
    const RUNS: u16 = KEYS;
    let database = Arc::new(FreshDatabase::database().await);
    let stores = [Arc::new(database.open().await), Arc::new(database.open().await)];
    let recipe = recipe(&stores[0]).await;
    let owner = stores[0].register_worker("a", NOW, LATER).await.unwrap();
    let settings = GroupSettings { retry_for: Duration::from_secs(60), group_max: 16, lanes: 2, ..GroupSettings::default() };
    let writers = stores.clone().map(|store| Writer::start(store, settings));
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let cutting = {
        let database = Arc::clone(&database);
        tokio::spawn(async move {
            let mut cuts = 0;
            while matches!(stopped.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Empty)) {
                database.execute(CUT).await;
                cuts += 1;
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
            cuts
        })
    };
    let mut wishes = tokio::task::JoinSet::new();
    let room = Arc::new(tokio::sync::Semaphore::new(64));
    for number in 0..RUNS {
        let [first, second] = writers.clone();
        let room = Arc::clone(&room);
        wishes.spawn(async move {
            let _room = room.acquire_owned().await.unwrap();
            // The sender got no answer and sent the event again, to the other process.
            let (one, two) =
                (new_run(recipe, number, owner, Then::Running), new_run(recipe, number + RUNS, owner, Then::Running));
            let ids = (one.id, two.id);
            let (one, two) = tokio::join!(first.accept(one), second.accept(two));
            let run = match (one.unwrap(), two.unwrap()) {
                (Accepted::New, Accepted::Duplicate { run, .. }) if run == ids.0 => run,
                (Accepted::Duplicate { run, .. }, Accepted::New) if run == ids.1 => run,
                other => panic!("{number}: {other:?}"),
            };
            assert_eq!(first.commit(end(run, owner)).await.unwrap(), Committed::Done);
        });
    }
    wishes.join_all().await;
    stop.send(()).unwrap();
    let cuts: u32 = cutting.await.unwrap();
    let mut counts = stores[0].run_counts(None, Timestamp::from_micros(0)).await;
    while let Err(StoreError::Unavailable(_)) = counts {
        counts = stores[0].run_counts(None, Timestamp::from_micros(0)).await;
    }
    assert_eq!(counts.unwrap(), [(RunStatus::Succeeded, i64::from(RUNS))], "after {cuts} cuts");
    for store in stores {
        store.close().await;
    }
    database.remove().await;
}

/// The connection is lost after the server committed, before its answer arrived: the caller does not
/// know, writes the same again, and nothing changes.
#[tokio::test]
async fn the_answer_to_a_write_is_lost() {
    let database = FreshDatabase::schema().await;
    let proxy = Proxy::before(&database.url).await;
    let store = PostgresStore::open(&proxy.url, PostgresOptions::default()).await.unwrap();
    let recipe = recipe(&store).await;
    let owner = store.register_worker("a", NOW, LATER).await.unwrap();
    let warm = Batch { accepts: vec![Arc::new(new_run(recipe, 0, owner, Then::Running))], commits: Vec::new() };
    store.write(&warm).await.unwrap();
    let commit = Arc::new(RunCommit { chunk: b"the first end".to_vec(), ..end(warm.accepts[0].id, owner) });
    let run = Arc::new(NewRun { chunk: b"a new run".to_vec(), ..new_run(recipe, 1, owner, Then::Running) });
    let batch = Batch { accepts: vec![Arc::clone(&run)], commits: vec![commit] };
    proxy.lose_answer_to(b"a new run").await;
    let answer = store.write(&batch).await;
    assert!(proxy.has_lost().await && matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    assert_eq!(store.run(warm.accepts[0].id).await.unwrap().unwrap().status, RunStatus::Succeeded, "it was written");
    let again = store.write(&batch).await.unwrap();
    assert_eq!((again.accepts, again.commits), (vec![Accepted::New], vec![Committed::Done]));
    assert_eq!(
        (
            store.chunks(warm.accepts[0].id, 0, u32::MAX).await.unwrap().len(),
            store.chunks(run.id, 0, u32::MAX).await.unwrap().len()
        ),
        (2, 1)
    );
    store.close().await;
    database.remove().await;
}

/// The same while claiming: the runs are not left with a worker that was never told of them.
#[tokio::test]
async fn the_answer_to_a_claim_is_lost() {
    let database = FreshDatabase::schema().await;
    let proxy = Proxy::before(&database.url).await;
    let store = PostgresStore::open(&proxy.url, PostgresOptions::default()).await.unwrap();
    let recipe = recipe(&store).await;
    let owner = store.register_worker("a", NOW, LATER).await.unwrap();
    let accepts = (0..3).map(|number| Arc::new(new_run(recipe, number, owner, Then::Queued { due_at: NOW }))).collect();
    store.write(&Batch { accepts, commits: Vec::new() }).await.unwrap();
    proxy.lose_answer_to(b"COMMIT").await;
    let answer = store.claim(owner, LATER, 2).await;
    assert!(proxy.has_lost().await && matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    assert_eq!(store.backlog(LATER, 9).await.unwrap(), 1, "it was written");
    let claims = store.claim(owner, LATER, 9).await.unwrap();
    // Taken, given back, taken again.
    let mut epochs: Vec<i64> = claims.iter().map(|claim| claim.epoch).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, [2, 4, 4]);
    store.close().await;
    database.remove().await;
}

/// Cut while claiming: no run stays with a worker that was never told of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_are_cut_while_runs_are_claimed() {
    const RUNS: u16 = 90;
    let database = Arc::new(FreshDatabase::database().await);
    let store = Arc::new(database.open().await);
    let recipe = recipe(&store).await;
    let owner = store.register_worker("a", NOW, LATER).await.unwrap();
    let accepts = (0..RUNS).map(|number| Arc::new(new_run(recipe, number, owner, Then::Queued { due_at: NOW }))).collect();
    store.write(&Batch { accepts, commits: Vec::new() }).await.unwrap();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let cutting = {
        let database = Arc::clone(&database);
        tokio::spawn(async move {
            while matches!(stopped.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Empty)) {
                database.execute(CUT).await;
                tokio::time::sleep(Duration::from_millis(7)).await;
            }
        })
    };
    let mut ended = 0;
    while ended < RUNS {
        let Ok(claims) = store.claim(owner, LATER, 3).await else { continue };
        for claim in claims {
            assert_eq!(claim.chunks.len(), 1);
            let commit = Arc::new(RunCommit { epoch: claim.epoch, ..end(claim.id, owner) });
            loop {
                match store.write(&Batch { accepts: Vec::new(), commits: vec![Arc::clone(&commit)] }).await {
                    Ok(outcome) => break assert_eq!(outcome.commits, [Committed::Done]),
                    Err(StoreError::Unavailable(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            ended += 1;
        }
    }
    stop.send(()).unwrap();
    cutting.await.unwrap();
    store.close().await;
    database.remove().await;
}

#[tokio::test]
async fn a_process_listens_again_after_its_connection_was_cut() {
    let database = FreshDatabase::database().await;
    let (store, listening) = (database.open().await, database.open().await);
    listening.wait_for_notice().await;
    database.execute(CUT).await;
    // Listening again counts as a notice: whatever was said in between was missed.
    tokio::time::timeout(Duration::from_secs(30), listening.wait_for_notice()).await.unwrap();
    let saved = async || recipe(&store).await;
    tokio::time::timeout(Duration::from_secs(30), async {
        tokio::join!(listening.wait_for_notice(), saved());
    })
    .await
    .unwrap();
    store.close().await;
    listening.close().await;
    database.remove().await;
}

/// What its own process goes on with, and what is over, is nobody else's business: a notice costs
/// every process a look, and the server one lock for all that give one.
#[tokio::test]
async fn no_notice_without_work_for_others() {
    let database = FreshDatabase::database().await;
    let (store, listening) = (database.open().await, database.open().await);
    listening.wait_for_notice().await;
    let recipe = recipe(&store).await;
    listening.wait_for_notice().await;
    let owner = store.register_worker("a", NOW, LATER).await.unwrap();
    let run = new_run(recipe, 1, owner, Then::Running);
    let end = Arc::new(end(run.id, owner));
    store.write(&Batch { accepts: vec![Arc::new(run)], commits: Vec::new() }).await.unwrap();
    store.write(&Batch { accepts: Vec::new(), commits: vec![end] }).await.unwrap();
    let now = database.number("select (extract(epoch from clock_timestamp()) * 1000000)::bigint").await;
    let waiting = |number, seconds: i64| {
        let due_at = Timestamp::from_micros(now + seconds * 1_000_000);
        Arc::new(new_run(recipe, number, owner, Then::Waiting { reason: WaitingFor::Timer, due_at }))
    };
    store.write(&Batch { accepts: vec![waiting(3, 3_600)], commits: Vec::new() }).await.unwrap();
    // Notices come in order: the first that comes is this one.
    let queued = Arc::new(new_run(recipe, 2, owner, Then::Queued { due_at: NOW }));
    let told = async {
        listening.wait_for_notice().await;
        listening.backlog(LATER, 9).await.unwrap()
    };
    let queue = async { store.write(&Batch { accepts: vec![queued], commits: Vec::new() }).await.unwrap() };
    assert_eq!(tokio::join!(told, queue).0, 1);
    let soon = Batch { accepts: vec![waiting(4, 1)], commits: Vec::new() };
    tokio::join!(listening.wait_for_notice(), async { drop(store.write(&soon).await.unwrap()) });
    store.close().await;
    listening.close().await;
    database.remove().await;
}

/// What the server's own settings say about durability does not count.
#[tokio::test]
async fn an_answer_means_durable() {
    let database = FreshDatabase::database().await;
    let name = database.url.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
    database.execute(&format!("alter database {name} set synchronous_commit = off")).await;
    database.execute(&format!("alter database {name} set default_transaction_isolation = 'serializable'")).await;
    let store = database.open().await;
    database
        .execute(
            "create table seen (setting text); \
             create function look() returns trigger language plpgsql as $$ begin \
               insert into seen values (current_setting('synchronous_commit') || ', ' || current_setting('transaction_isolation')); \
               return new; end $$; \
             create trigger look after insert on recipes for each row execute function look();",
        )
        .await;
    recipe(&store).await;
    database
        .execute("do $$ begin assert (select string_agg(setting, '; ') from seen) = 'on, read committed', (select string_agg(setting, '; ') from seen); end $$")
        .await;
    store.close().await;
    database.remove().await;
}
