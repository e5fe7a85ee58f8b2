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
//!    inserted, or which are let go of as they are. Whoever waits for our lock (reap, cancel, claim) looks again after our commit in turn,
//!    and whoever reads the journal afterwards sees our chunk, because it committed with the lock.
//!
//! No two transactions can wait for each other in a circle, because everybody takes what they need in
//! one order, or skips what is locked:
//!
//! 1. lanes, in the order of their keys;
//! 2. keys of events, in order. An event accepted by two processes at once meets the key of whoever was
//!    first: its insert waits for the other's end, and finds the key taken or free;
//! 3. rows of `runs` in the order of their ids: those the group moves, those it answers and those whose
//!    turn it is in a lane, all in one go ([`Touched`]);
//! 4. what belongs to a run that is locked, and the keys of runs started by it, which only it can start;
//! 5. kept state, in the order of recipes and names.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use sqlx::{Connection, PgConnection};
use store::{
    Accepted, Batch, BatchOutcome, Beside, Committed, DeadLetter, NewRun, RunCommit, RunId, RunStatus, StoreError, Then,
    Timestamp,
};
use uuid::Uuid;

use crate::{
    beside::{self, Kept},
    failed, lanes,
    rows::{clean, error_text, get},
};

/// How often a group is written again because a key ran out while it was being read.
const ROUNDS_MAX: usize = 5;
/// A run that waits no longer than this is worth a notice; others look by themselves.
const SOON_US: i64 = 2_000_000;

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
), touched as materialized ( \
  select w.* from ( \
    select * from wanted union all select id, null, null, null, null, null, null, null, null, null, null, null \
    from unnest($38::uuid[]) as t (id) order by run_id \
  ) w cross join lateral ( \
    select from runs r where r.id = w.run_id and (w.seq is null or (r.owner = w.owner and r.epoch = w.epoch)) for update \
  ) r \
), held as materialized ( \
  select * from touched where seq is not null \
), written as ( \
  insert into journal (run_id, seq, chunk) select run_id, seq, chunk from held where length(chunk) > 0 \
  on conflict (run_id, seq) do nothing returning run_id \
), done as materialized ( \
  select run_id from written union all select run_id from held where length(chunk) = 0 \
), moved as ( \
  update runs r set status = h.status, waiting_for = h.waiting_for, due_at = h.due_at, owner = null, attempts = h.attempts, \
    ended_at = h.ended_at, dead_letter = h.dead_letter, error = h.error \
  from held h where r.id = h.run_id and h.status <> 1 and h.run_id in (select run_id from done) \
) \
select (select count(*) from kept) as kept, (select count(*) from done) as written, \
  case when $33 <= (extract(epoch from clock_timestamp()) * 1000000)::bigint then pg_notify('liaison_work', '') end";

pub(crate) async fn write(connection: &mut PgConnection, batch: &Batch) -> Result<BatchOutcome, StoreError> {
    if !batch.accepts.iter().any(|run| accepts_more(run)) && !batch.commits.iter().any(|commit| commits_more(commit)) {
        return rows(connection, batch, &[]).await;
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

/// What a group takes a hold of beside its own keys and runs, started runs included.
#[derive(Default)]
struct Touched {
    /// Lanes it enters or leaves.
    lanes: Vec<Vec<u8>>,
    /// How many runs leave a lane.
    left: usize,
    /// Runs it answers.
    answered: BTreeSet<Uuid>,
}

impl Touched {
    fn by(batch: &Batch) -> Self {
        let mut touched = Self::default();
        batch.accepts.iter().for_each(|run| touched.accept(run));
        for commit in &batch.commits {
            touched.left += usize::from(commit.lane.is_some() && commit.then.status().is_final());
            touched.lanes.extend(commit.lane.map(|lane| lane.to_vec()));
            touched.changes(&commit.beside);
        }
        touched
    }

    fn accept(&mut self, run: &NewRun) {
        self.lanes.extend(run.lane.map(|lane| lane.key.to_vec()));
        self.changes(&run.beside);
    }

    fn changes(&mut self, changes: &[Beside]) {
        for change in changes {
            match change {
                Beside::Start(run) => self.accept(run),
                Beside::Answer { run, .. } => drop(self.answered.insert(run.0)),
                Beside::Taken(_) | Beside::Keep { .. } | Beside::Ask(_) | Beside::Refers(_) | Beside::Forgets(_) => {}
            }
        }
    }

    /// Locks the lanes; then who is in them stays as it is. Returns the runs to lock beside those that move.
    async fn lock(mut self, connection: &mut PgConnection, commits: &[Arc<RunCommit>]) -> Result<Vec<Uuid>, StoreError> {
        lanes::lock(connection, &mut self.lanes).await?;
        if self.left > 0 {
            self.answered.extend(lanes::next(connection, &self.lanes, self.left).await?);
        }
        for commit in commits {
            self.answered.remove(&commit.run.0);
        }
        Ok(self.answered.into_iter().collect())
    }
}

/// A group and what it changes beside its runs, in a transaction under way.
pub(crate) async fn group(connection: &mut PgConnection, batch: &Batch) -> Result<BatchOutcome, StoreError> {
    let touched = Touched::by(batch).lock(connection, &batch.commits).await?;
    let mut kept = Kept::default();
    let outcome = rows_and_more(connection, batch, &touched, &mut kept).await?;
    kept.write(connection).await?;
    Ok(outcome)
}

/// A run that another one starts, in the transaction of that one: everything but its key is locked already.
pub(crate) async fn start(connection: &mut PgConnection, run: &Arc<NewRun>, kept: &mut Kept) -> Result<(), StoreError> {
    let batch = Batch { accepts: vec![Arc::clone(run)], commits: Vec::new() };
    rows_and_more(connection, &batch, &[], kept).await.map(drop)
}

async fn rows_and_more(
    connection: &mut PgConnection,
    batch: &Batch,
    touched: &[Uuid],
    kept: &mut Kept,
) -> Result<BatchOutcome, StoreError> {
    let before = written_before(connection, batch).await?;
    let outcome = rows(connection, batch, touched).await?;
    for (run, accepted) in batch.accepts.iter().zip(&outcome.accepts) {
        if *accepted == Accepted::New && accepts_more(run) && !before.contains(&(run.id.0, 0)) {
            beside::change(connection, run.id, &run.beside, kept).await?;
            if let Some(lane) = run.lane.filter(|_| run.then.ended_at().is_none()) {
                lanes::enter(connection, run.id, lane).await?;
            }
        }
    }
    for (commit, committed) in batch.commits.iter().zip(&outcome.commits) {
        if *committed != Committed::Done || before.contains(&(commit.run.0, commit.seq)) {
            continue;
        }
        beside::change(connection, commit.run, &commit.beside, kept).await?;
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

/// The rows of runs, keys and chunks. Also locks the runs `touched`.
async fn rows(connection: &mut PgConnection, batch: &Batch, touched: &[Uuid]) -> Result<BatchOutcome, StoreError> {
    if batch.accepts.is_empty() && batch.commits.is_empty() {
        return Ok(BatchOutcome::default());
    }
    let events = Events::of(&batch.accepts);
    for _ in 0..ROUNDS_MAX {
        let (kept, written) = put(connection, &events.firsts, &batch.commits, touched).await?;
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
    touched: &[Uuid],
) -> Result<(usize, usize), StoreError> {
    // A key whose time is over is taken over by the new event. The instant is one of the group's own;
    // a group spans about a millisecond.
    let now = events.first().map_or(0, |run| run.accepted_at.micros());
    let notice_from =
        events.iter().map(|run| &run.then).chain(commits.iter().map(|commit| &commit.then)).filter_map(work_from).min();
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
        .bind(notice_from)
        .bind(column(events, |run| run.parent.as_ref().map(|parent| parent.run.0)))
        .bind(column(events, |run| run.parent.as_ref().map(|parent| parent.path.to_string())))
        .bind(column(events, |run| run.lane.as_ref().map(|lane| lane.key.as_slice())))
        .bind(column(events, |run| run.lane.map(|lane| lane.room)))
        .bind(touched)
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    let count = |column: &str| Ok(usize::try_from(get::<i64>(&row, column)?).unwrap_or(usize::MAX));
    Ok((count("kept")?, count("written")?))
}

fn column<'b, T, U>(items: &'b [T], value: impl Fn(&'b T) -> U) -> Vec<U> {
    items.iter().map(value).collect()
}

/// From when on others are to be told that they may take the run up: what is due later they find by themselves. The
/// database's clock decides, this machine's may be wrong.
fn work_from(then: &Then) -> Option<i64> {
    match then {
        Then::Queued { .. } => Some(0),
        Then::Waiting { due_at, .. } => Some(due_at.micros().saturating_sub(SOON_US)),
        _ => None,
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
/// answer was lost. To go on, the writer must also still own the run. One without a chunk was carried out when
/// the run is let go of and nobody took it since.
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
         join runs r on r.id = w.run_id \
         left join journal j on j.run_id = w.run_id and j.seq = w.seq and j.chunk = w.chunk \
         where case when length(w.chunk) = 0 then r.epoch = w.epoch and r.owner is null \
         else j.seq is not null and (w.status <> 1 or (r.owner = w.owner and r.epoch = w.epoch)) end",
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
