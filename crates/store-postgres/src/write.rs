//! New runs and commits of owned runs: many transitions, one statement.
//!
//! One statement is one transaction and one round trip, whatever the size of the group. Why a stale
//! worker can never write, under READ COMMITTED and with a reaper, a claimer or a person committing
//! at the same moment:
//!
//! 1. `held` locks each row of `runs` it finds with the right owner and epoch. When somebody else is
//!    changing the row, it waits for them, and then looks at owner and epoch *again*, on the row as
//!    they left it; a row that changed hands drops out. So what is in `held` belongs to its writer
//!    now, and nobody can change that before we commit, because the lock is ours until then.
//! 2. Chunks are only inserted for what is in `held`, and runs are only moved for which a chunk was
//!    inserted. Whoever waits for our lock (reap, cancel, claim) looks again after our commit in turn,
//!    and whoever reads the journal afterwards sees our chunk, because it committed with the lock.
//!
//! No two groups can wait for each other in a circle: keys are taken in order, then runs in order of
//! their ids, and everybody who locks several of either does so in that order or skips what is
//! locked. An event accepted by two processes at once meets the key of whoever was first: its insert
//! waits for the other's end, and finds the key taken or free.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use store::{
    Accepted, Batch, BatchOutcome, Clock, Committed, DeadLetter, NewRun, RunCommit, RunId, RunStatus, StoreError, SystemClock,
    Then, Timestamp,
};
use uuid::Uuid;

use crate::{
    beside, failed, lanes,
    rows::{clean, error_text, get},
};

/// How often a group is written again because a key ran out while it was being read.
const ROUNDS_MAX: usize = 5;
/// A run that waits no longer than this is worth a notice; others look by themselves.
const SOON: Duration = Duration::from_secs(2);

const WRITE: &str = "\
with event as materialized ( \
  select * from unnest($1::uuid[], $2::uuid[], $3::int[], $4::smallint[], $5::smallint[], $6::bigint[], $7::bigint[], \
    $8::smallint[], $9::int[], $10::bigint[], $11::bigint[], $12::text[], $13::uuid[], $14::smallint[], $15::text[], \
    $16::bytea[], $17::bytea[], $18::bigint[], $19::bytea[], $34::uuid[], $35::text[], $36::bytea[], $37::int[]) \
  as e (id, recipe_id, version, status, waiting_for, due_at, owner, via, attempts, accepted_at, ended_at, label, replay_of, \
    dead_letter, error, chunk, key, expires_at, fingerprint, parent_run, parent_path, lane, room) \
), kept as ( \
  insert into event_keys (recipe_id, key, run_id, expires_at, fingerprint) \
  select recipe_id, key, id, expires_at, fingerprint from event where key is not null order by recipe_id, key \
  on conflict (recipe_id, key) do update set run_id = excluded.run_id, expires_at = excluded.expires_at, \
    fingerprint = excluded.fingerprint where (event_keys.expires_at <= $20 \
      and not exists (select 1 from runs where runs.id = event_keys.run_id)) or event_keys.run_id = excluded.run_id \
  returning run_id \
), fresh as materialized ( \
  select * from event where key is null or id in (select run_id from kept) \
), new_runs as ( \
  insert into runs (id, recipe_id, version, status, waiting_for, due_at, owner, epoch, via, attempts, accepted_at, ended_at, \
    label, replay_of, dead_letter, error, parent_run, parent_path, lane, room) \
  select id, recipe_id, version, status, waiting_for, due_at, owner, 1, via, attempts, accepted_at, ended_at, label, replay_of, \
    dead_letter, error, parent_run, parent_path, lane, room from fresh \
  on conflict (id) do nothing \
), first_chunks as ( \
  insert into journal (run_id, seq, chunk) select id, 0, chunk from fresh on conflict (run_id, seq) do nothing \
), wanted as materialized ( \
  select * from unnest($21::uuid[], $22::bigint[], $23::bigint[], $24::int[], $25::bytea[], $26::smallint[], $27::smallint[], \
    $28::bigint[], $29::int[], $30::bigint[], $31::smallint[], $32::text[]) \
  as c (run_id, owner, epoch, seq, chunk, status, waiting_for, due_at, attempts, ended_at, dead_letter, error) \
), held as materialized ( \
  select w.* from (select * from wanted order by run_id) w cross join lateral ( \
    select from runs r where r.id = w.run_id and r.owner = w.owner and r.epoch = w.epoch for update \
  ) r \
), written as ( \
  insert into journal (run_id, seq, chunk) select run_id, seq, chunk from held \
  on conflict (run_id, seq) do nothing returning run_id \
), moved as ( \
  update runs r set status = h.status, waiting_for = h.waiting_for, due_at = h.due_at, owner = null, attempts = h.attempts, \
    ended_at = h.ended_at, dead_letter = h.dead_letter, error = h.error \
  from held h where r.id = h.run_id and h.status <> 1 and h.run_id in (select run_id from written) \
) \
select (select count(*) from kept) as kept, (select count(*) from written) as written, \
  case when $33 then pg_notify('liaison_work', '') end";

pub(crate) async fn write(connection: &mut PgConnection, batch: &Batch) -> Result<BatchOutcome, StoreError> {
    if !batch.accepts.iter().any(|run| accepts_more(run)) && !batch.commits.iter().any(|commit| commits_more(commit)) {
        return rows(connection, batch).await;
    }
    let mut transaction = connection.begin().await.map_err(failed)?;
    let outcome = group(&mut transaction, batch).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(outcome)
}

fn accepts_more(run: &NewRun) -> bool {
    run.lane.is_some() || !run.beside.is_empty()
}

fn commits_more(commit: &RunCommit) -> bool {
    commit.lane.is_some() || !commit.beside.is_empty() || !commit.listens.is_empty()
}

/// The lanes of a group, started runs included.
fn lanes_of(batch: &Batch) -> Vec<Vec<u8>> {
    let own = batch.accepts.iter().filter_map(|run| run.lane).map(|lane| lane.key.to_vec());
    let left = batch.commits.iter().filter_map(|commit| commit.lane).map(|lane| lane.to_vec());
    let started = batch.commits.iter().flat_map(|commit| &commit.beside).chain(batch.accepts.iter().flat_map(|run| &run.beside));
    let started = started.filter_map(|change| match change {
        store::Beside::Start(run) => run.lane.map(|lane| lane.key.to_vec()),
        _ => None,
    });
    own.chain(left).chain(started).collect()
}

/// A group and what it changes beside its runs, in a transaction under way.
pub(crate) async fn group(connection: &mut PgConnection, batch: &Batch) -> Result<BatchOutcome, StoreError> {
    lanes::lock(connection, lanes_of(batch)).await?;
    let before = written_before(connection, batch).await?;
    let outcome = rows(connection, batch).await?;
    for (run, accepted) in batch.accepts.iter().zip(&outcome.accepts) {
        if *accepted == Accepted::New && accepts_more(run) && !before.contains(&(run.id.0, 0)) {
            beside::change(connection, run.id, &run.beside).await?;
            if let Some(lane) = run.lane.filter(|_| run.then.ended_at().is_none()) {
                lanes::enter(connection, run.id, lane).await?;
            }
        }
    }
    for (commit, committed) in batch.commits.iter().zip(&outcome.commits) {
        if *committed != Committed::Done || before.contains(&(commit.run.0, commit.seq)) {
            continue;
        }
        beside::change(connection, commit.run, &commit.beside).await?;
        if !commit.listens.is_empty() && commit.then.waiting_for().is_some() {
            beside::rouse(connection, commit.run, &commit.listens).await?;
        }
        if let Some(lane) = commit.lane.filter(|_| commit.then.status().is_final()) {
            lanes::leave(connection, commit.run, &lane, commit.then.ended_at()).await?;
        }
    }
    Ok(outcome)
}

/// The chunks of the group that were there already: what they changed besides was made with them.
async fn written_before(connection: &mut PgConnection, batch: &Batch) -> Result<HashSet<(Uuid, i32)>, StoreError> {
    let accepts = batch.accepts.iter().filter(|run| accepts_more(run)).map(|run| (run.id.0, 0));
    let commits = batch.commits.iter().filter(|commit| commits_more(commit)).map(|commit| (commit.run.0, commit.seq));
    let (runs, seqs): (Vec<Uuid>, Vec<i32>) = accepts.chain(commits).unzip();
    let known: Vec<(Uuid, i32)> = sqlx::query_as(
        "select j.run_id, j.seq from journal j join unnest($1::uuid[], $2::int[]) as w (run_id, seq) \
         on j.run_id = w.run_id and j.seq = w.seq",
    )
    .bind(runs)
    .bind(seqs)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    Ok(known.into_iter().collect())
}

/// The rows of runs, keys and chunks.
async fn rows(connection: &mut PgConnection, batch: &Batch) -> Result<BatchOutcome, StoreError> {
    if batch.accepts.is_empty() && batch.commits.is_empty() {
        return Ok(BatchOutcome::default());
    }
    let events = Events::of(&batch.accepts);
    for _ in 0..ROUNDS_MAX {
        let (kept, written) = put(connection, &events.firsts, &batch.commits).await?;
        let holders =
            if kept == events.holders.len() { Some(events.holders.clone()) } else { holders(connection, &events).await? };
        // A key was taken when we wrote and gone when we looked: write again, which changes nothing for the rest.
        let Some(holders) = holders else { continue };
        let accepts = batch.accepts.iter().map(|run| accepted(run, &holders)).collect();
        let commits = committed(connection, &batch.commits, written).await?;
        return Ok(BatchOutcome { accepts, commits });
    }
    Err(StoreError::Unavailable("event keys ran out faster than they could be read".to_owned()))
}

/// An event key as the database knows it.
type Key = (Uuid, Vec<u8>);
/// The run a key belongs to, and the fingerprint of its event.
type Holder = (Uuid, Option<Vec<u8>>);

/// The new runs of a group, each key once: PostgreSQL does not write a row twice in one statement.
struct Events<'b> {
    firsts: Vec<&'b NewRun>,
    /// Who holds each key if none was taken before.
    holders: HashMap<Key, Holder>,
}

impl<'b> Events<'b> {
    fn of(runs: &'b [Arc<NewRun>]) -> Self {
        let mut events = Self { firsts: Vec::with_capacity(runs.len()), holders: HashMap::new() };
        for run in runs {
            if let Some(key) = key(run) {
                if events.holders.contains_key(&key) {
                    continue;
                }
                events.holders.insert(key, (run.id.0, fingerprint(run)));
            }
            events.firsts.push(run);
        }
        events
    }
}

fn key(run: &NewRun) -> Option<Key> {
    run.key.as_ref().map(|key| (run.recipe.0, key.hash.to_vec()))
}

fn fingerprint(run: &NewRun) -> Option<Vec<u8>> {
    run.key.as_ref().and_then(|key| key.fingerprint).map(|fingerprint| fingerprint.to_vec())
}

/// Writes the group; says how many keys are ours and how many chunks were new.
async fn put(
    connection: &mut PgConnection,
    events: &[&NewRun],
    commits: &[Arc<RunCommit>],
) -> Result<(usize, usize), StoreError> {
    // A key whose time is over is taken over by the new event. The instant is one of the group's own;
    // a group spans about a millisecond.
    let now = events.first().map_or(0, |run| run.accepted_at.micros());
    let notice = events.iter().map(|run| &run.then).chain(commits.iter().map(|commit| &commit.then)).any(leaves_work);
    let row = sqlx::query(WRITE)
        .bind(column(events, |run| run.id.0))
        .bind(column(events, |run| run.recipe.0))
        .bind(column(events, |run| run.version))
        .bind(column(events, |run| run.then.status().number()))
        .bind(column(events, |run| run.then.waiting_for().map(store::WaitingFor::number)))
        .bind(column(events, |run| run.then.due_at().map(Timestamp::micros)))
        .bind(column(events, |run| matches!(run.then, Then::Running).then_some(run.owner.0)))
        .bind(column(events, |run| run.via.number()))
        .bind(column(events, |run| run.attempts))
        .bind(column(events, |run| run.accepted_at.micros()))
        .bind(column(events, |run| run.then.ended_at().map(Timestamp::micros)))
        .bind(column(events, |run| run.label.as_deref().map(clean)))
        .bind(column(events, |run| run.replay_of.map(|run| run.0)))
        .bind(column(events, |run| dead_letter(&run.then)))
        .bind(column(events, |run| run.then.error().map(error_text)))
        .bind(column(events, |run| run.chunk.as_slice()))
        .bind(column(events, |run| run.key.as_ref().map(|key| key.hash.as_slice())))
        .bind(column(events, |run| run.key.as_ref().map(|key| key.expires_at.micros())))
        .bind(column(events, |run| run.key.as_ref().and_then(|key| key.fingerprint.as_ref()).map(<[u8; 16]>::as_slice)))
        .bind(now)
        .bind(column(commits, |commit| commit.run.0))
        .bind(column(commits, |commit| commit.owner.0))
        .bind(column(commits, |commit| commit.epoch))
        .bind(column(commits, |commit| commit.seq))
        .bind(column(commits, |commit| commit.chunk.as_slice()))
        .bind(column(commits, |commit| commit.then.status().number()))
        .bind(column(commits, |commit| commit.then.waiting_for().map(store::WaitingFor::number)))
        .bind(column(commits, |commit| commit.then.due_at().map(Timestamp::micros)))
        .bind(column(commits, |commit| commit.attempts))
        .bind(column(commits, |commit| commit.then.ended_at().map(Timestamp::micros)))
        .bind(column(commits, |commit| dead_letter(&commit.then)))
        .bind(column(commits, |commit| commit.then.error().map(error_text)))
        .bind(notice)
        .bind(column(events, |run| run.parent.as_ref().map(|parent| parent.run.0)))
        .bind(column(events, |run| run.parent.as_ref().map(|parent| parent.path.to_string())))
        .bind(column(events, |run| run.lane.as_ref().map(|lane| lane.key.as_slice())))
        .bind(column(events, |run| run.lane.map(|lane| lane.room)))
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    let count = |column: &str| Ok(usize::try_from(get::<i64>(&row, column)?).unwrap_or(usize::MAX));
    Ok((count("kept")?, count("written")?))
}

fn column<'b, T, U>(items: &'b [T], value: impl Fn(&'b T) -> U) -> Vec<U> {
    items.iter().map(value).collect()
}

/// True when somebody else may take the run up now or soon.
fn leaves_work(then: &Then) -> bool {
    match then {
        Then::Queued { .. } => true,
        Then::Waiting { due_at, .. } => *due_at <= SystemClock.now().after(SOON),
        _ => false,
    }
}

/// Who holds the keys of the group now; `None` when one of them ran out meanwhile.
async fn holders(connection: &mut PgConnection, events: &Events<'_>) -> Result<Option<HashMap<Key, Holder>>, StoreError> {
    let (recipes, keys): (Vec<Uuid>, Vec<&[u8]>) = events.holders.keys().map(|(recipe, key)| (*recipe, key.as_slice())).unzip();
    let rows = sqlx::query(
        "select k.recipe_id, k.key, k.run_id, k.fingerprint from event_keys k \
         join unnest($1::uuid[], $2::bytea[]) as w (recipe_id, key) on k.recipe_id = w.recipe_id and k.key = w.key",
    )
    .bind(recipes)
    .bind(keys)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let mut holders = HashMap::with_capacity(rows.len());
    for row in &rows {
        holders.insert(
            (get(row, "event_keys.recipe_id")?, get(row, "event_keys.key")?),
            (get(row, "event_keys.run_id")?, get(row, "event_keys.fingerprint")?),
        );
    }
    Ok((holders.len() == events.holders.len()).then_some(holders))
}

fn accepted(run: &NewRun, holders: &HashMap<Key, Holder>) -> Accepted {
    match key(run).and_then(|key| holders.get(&key)) {
        Some((holder, theirs)) if *holder != run.id.0 => {
            let same_content = match (theirs, fingerprint(run)) {
                (Some(theirs), Some(ours)) => *theirs == ours,
                _ => true,
            };
            Accepted::Duplicate { run: RunId(*holder), same_content }
        }
        _ => Accepted::New,
    }
}

/// Which commits are durable. A chunk that was not new is another's, or was written before: then the
/// answer was lost. To go on, the writer must also still own the run.
async fn committed(
    connection: &mut PgConnection,
    commits: &[Arc<RunCommit>],
    written: usize,
) -> Result<Vec<Committed>, StoreError> {
    if written == commits.len() {
        return Ok(vec![Committed::Done; commits.len()]);
    }
    let done: Vec<(i64,)> = sqlx::query_as(
        "select w.place from unnest($1::uuid[], $2::int[], $3::bytea[], $4::bigint[], $5::bigint[], $6::smallint[]) \
         with ordinality as w (run_id, seq, chunk, owner, epoch, status, place) \
         join journal j on j.run_id = w.run_id and j.seq = w.seq and j.chunk = w.chunk \
         where w.status <> 1 or exists (select from runs r where r.id = w.run_id and r.owner = w.owner and r.epoch = w.epoch)",
    )
    .bind(column(commits, |commit| commit.run.0))
    .bind(column(commits, |commit| commit.seq))
    .bind(column(commits, |commit| commit.chunk.as_slice()))
    .bind(column(commits, |commit| commit.owner.0))
    .bind(column(commits, |commit| commit.epoch))
    .bind(column(commits, |commit| commit.then.status().number()))
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let mut outcomes = vec![Committed::LeaseLost; commits.len()];
    for (place,) in done {
        if let Some(outcome) = usize::try_from(place - 1).ok().and_then(|place| outcomes.get_mut(place)) {
            *outcome = Committed::Done;
        }
    }
    Ok(outcomes)
}

fn dead_letter(then: &Then) -> Option<i16> {
    (then.status() == RunStatus::Failed).then(|| DeadLetter::Open.number())
}
