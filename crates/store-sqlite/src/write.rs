//! New runs and commits of owned runs: many transitions, one transaction, a handful of statements.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    sync::Arc,
};

use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnection as Connected};
use store::{Accepted, Batch, BatchOutcome, Committed, DeadLetter, NewRun, RunCommit, RunId, RunStatus, StoreError, Then};
use uuid::Uuid;

use crate::{
    beside, failed, lanes,
    rows::{error_text, get},
};

pub(crate) async fn write(connection: &mut SqliteConnection, batch: &Batch) -> Result<BatchOutcome, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let accepts = accept(&mut transaction, &batch.accepts).await?;
    let commits = commit(&mut transaction, &batch.commits).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(BatchOutcome { accepts, commits })
}

pub(crate) async fn accept(connection: &mut Connected, runs: &[Arc<NewRun>]) -> Result<Vec<Accepted>, StoreError> {
    let outcomes = keep_keys(connection, runs).await?;
    let new: Vec<&NewRun> =
        runs.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == Accepted::New).map(|(run, _)| &**run).collect();
    if new.is_empty() {
        return Ok(outcomes);
    }
    let known = known_of(connection, &new).await?;
    let sql = values(
        "insert into runs (id, recipe_id, version, status, waiting_for, due_at, owner, epoch, via, attempts, accepted_at, \
         ended_at, label, replay_of, dead_letter, error, parent_run, parent_path, lane, room) values ",
        "(?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        new.len(),
        " on conflict (id) do nothing",
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for run in &new {
        query = query
            .bind(run.id.0)
            .bind(run.recipe.0)
            .bind(run.version)
            .bind(run.then.status().number())
            .bind(run.then.waiting_for().map(store::WaitingFor::number))
            .bind(run.then.due_at().map(store::Timestamp::micros))
            .bind(matches!(run.then, Then::Running).then_some(run.owner.0))
            .bind(run.via.number())
            .bind(run.attempts)
            .bind(run.accepted_at.micros())
            .bind(run.then.ended_at().map(store::Timestamp::micros))
            .bind(run.label.as_deref())
            .bind(run.replay_of.map(|run| run.0))
            .bind(dead_letter(&run.then))
            .bind(run.then.error().map(error_text))
            .bind(run.parent.as_ref().map(|parent| parent.run.0))
            .bind(run.parent.as_ref().map(|parent| &*parent.path))
            .bind(run.lane.as_ref().map(|lane| lane.key.as_slice()))
            .bind(run.lane.map(|lane| lane.room));
    }
    query.execute(&mut *connection).await.map_err(failed)?;
    let sql = values(
        "insert into journal (run_id, seq, chunk) values ",
        "(?, 0, ?)",
        new.len(),
        " on conflict (run_id, seq) do nothing",
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for run in &new {
        query = query.bind(run.id.0).bind(run.chunk.as_slice());
    }
    query.execute(&mut *connection).await.map_err(failed)?;
    for run in new.iter().filter(|run| does_more(run) && !known.contains(&run.id.0)) {
        beside::change(connection, run.id, &run.beside).await?;
        if let Some(lane) = run.lane.filter(|_| run.then.ended_at().is_none()) {
            lanes::enter(connection, run.id, lane).await?;
        }
    }
    Ok(outcomes)
}

fn does_more(run: &NewRun) -> bool {
    run.lane.is_some() || !run.beside.is_empty()
}

/// Of those that change more than themselves, the runs that were written before.
async fn known_of(connection: &mut Connected, runs: &[&NewRun]) -> Result<HashSet<Uuid>, StoreError> {
    let mut known = HashSet::new();
    for run in runs.iter().filter(|run| does_more(run)) {
        let there = sqlx::query("select 1 from runs where id = ?").bind(run.id.0).fetch_optional(&mut *connection).await;
        if there.map_err(failed)?.is_some() {
            known.insert(run.id.0);
        }
    }
    Ok(known)
}

/// The run a key belongs to, and the fingerprint of its event.
type Holder = (Uuid, Option<Vec<u8>>);

/// Keeps the keys of new events and says which were known.
async fn keep_keys(connection: &mut Connected, runs: &[Arc<NewRun>]) -> Result<Vec<Accepted>, StoreError> {
    let mut outcomes = vec![Accepted::New; runs.len()];
    let keyed: Vec<_> =
        runs.iter().enumerate().filter_map(|(place, run)| run.key.as_ref().map(|key| (place, run, key))).collect();
    let Some((_, first, _)) = keyed.first() else { return Ok(outcomes) };
    // A key whose time is over, and whose run is removed, is taken over by the new event. The instant is
    // one of the group's own; a group spans about a millisecond.
    let sql = values(
        "insert into event_keys (recipe_id, key, run_id, expires_at, fingerprint) values ",
        "(?, ?, ?, ?, ?)",
        keyed.len(),
        " on conflict (recipe_id, key) do update set run_id = excluded.run_id, expires_at = excluded.expires_at, \
         fingerprint = excluded.fingerprint where event_keys.expires_at <= ? \
         and not exists (select 1 from runs where runs.id = event_keys.run_id)",
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (_, run, key) in &keyed {
        query = query
            .bind(run.recipe.0)
            .bind(key.hash.as_slice())
            .bind(run.id.0)
            .bind(key.expires_at.micros())
            .bind(key.fingerprint.as_ref().map(<[u8; 16]>::as_slice));
    }
    let kept = query.bind(first.accepted_at.micros()).execute(&mut *connection).await.map_err(failed)?.rows_affected();
    if usize::try_from(kept) == Ok(keyed.len()) {
        return Ok(outcomes);
    }
    let sql = values(
        "select recipe_id, key, run_id, fingerprint from event_keys where (recipe_id, key) in (values ",
        "(?, ?)",
        keyed.len(),
        ")",
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (_, run, key) in &keyed {
        query = query.bind(run.recipe.0).bind(key.hash.as_slice());
    }
    let mut holders: HashMap<(Uuid, Vec<u8>), Holder> = HashMap::new();
    for row in query.fetch_all(&mut *connection).await.map_err(failed)? {
        holders.insert((get(&row, "recipe_id")?, get(&row, "key")?), (get(&row, "run_id")?, get(&row, "fingerprint")?));
    }
    for (place, run, key) in keyed {
        let Some((holder, fingerprint)) = holders.get(&(run.recipe.0, key.hash.to_vec())) else { continue };
        if *holder != run.id.0 {
            let same_content = match (fingerprint, &key.fingerprint) {
                (Some(theirs), Some(ours)) => theirs == ours,
                _ => true,
            };
            outcomes[place] = Accepted::Duplicate { run: RunId(*holder), same_content };
        }
    }
    Ok(outcomes)
}

async fn commit(connection: &mut Connected, commits: &[Arc<RunCommit>]) -> Result<Vec<Committed>, StoreError> {
    let mut outcomes = vec![Committed::Done; commits.len()];
    if commits.is_empty() {
        return Ok(outcomes);
    }
    // The fence: a chunk is only written while its writer owns the run under the same epoch.
    let sql = values(
        "insert into journal (run_id, seq, chunk) select v.column1, v.column2, v.column3 from (values ",
        "(?, ?, ?, ?, ?)",
        commits.len(),
        ") as v join runs r on r.id = v.column1 and r.owner = v.column4 and r.epoch = v.column5 where length(v.column3) > 0 \
         on conflict (run_id, seq) do nothing",
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for commit in commits {
        query = query.bind(commit.run.0).bind(commit.seq).bind(commit.chunk.as_slice()).bind(commit.owner.0).bind(commit.epoch);
    }
    let before = chunks_of(connection, commits).await?;
    let written = query.execute(&mut *connection).await.map_err(failed)?.rows_affected();
    // Also when one of them has nothing to add: only a look at its run tells how it went.
    if usize::try_from(written) != Ok(commits.len()) {
        for (outcome, commit) in outcomes.iter_mut().zip(commits) {
            *outcome = verdict(connection, commit).await?;
        }
    }
    let fresh =
        |(commit, outcome): &(&Arc<RunCommit>, &Committed)| **outcome == Committed::Done && !before.contains(&commit.run.0);
    for (commit, _) in commits.iter().zip(&outcomes).filter(fresh) {
        beside::change(connection, commit.run, &commit.beside).await?;
    }
    let moved: Vec<&RunCommit> = commits
        .iter()
        .zip(&outcomes)
        .filter(|(commit, outcome)| **outcome == Committed::Done && commit.then != Then::Running)
        .map(|(commit, _)| &**commit)
        .collect();
    if moved.is_empty() {
        return Ok(outcomes);
    }
    let sql = values(
        "update runs set status = v.column2, waiting_for = v.column3, due_at = v.column4, owner = null, attempts = v.column5, \
         ended_at = v.column6, dead_letter = v.column7, error = v.column8 from (values ",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        moved.len(),
        // The epoch again: writing the same end twice must not touch a run that was resumed since.
        ") as v where runs.id = v.column1 and runs.epoch = v.column9 and runs.owner is not null",
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for commit in moved {
        query = query
            .bind(commit.run.0)
            .bind(commit.then.status().number())
            .bind(commit.then.waiting_for().map(store::WaitingFor::number))
            .bind(commit.then.due_at().map(store::Timestamp::micros))
            .bind(commit.attempts)
            .bind(commit.then.ended_at().map(store::Timestamp::micros))
            .bind(dead_letter(&commit.then))
            .bind(commit.then.error().map(error_text))
            .bind(commit.epoch);
    }
    query.execute(&mut *connection).await.map_err(failed)?;
    for (commit, _) in commits.iter().zip(&outcomes).filter(fresh) {
        if !commit.listens.is_empty() && commit.then.waiting_for().is_some() {
            beside::rouse(connection, commit.run, &commit.listens).await?;
        }
        if let Some(lane) = commit.lane.filter(|_| commit.then.status().is_final()) {
            lanes::leave(connection, commit.run, &lane, commit.then.ended_at()).await?;
        }
    }
    Ok(outcomes)
}

/// Of those that change more than themselves, the runs whose chunk was written before.
async fn chunks_of(connection: &mut Connected, commits: &[Arc<RunCommit>]) -> Result<HashSet<Uuid>, StoreError> {
    let mut known = HashSet::new();
    for commit in commits.iter().filter(|commit| commit.lane.is_some() || !commit.beside.is_empty()) {
        let there = sqlx::query("select 1 from journal where run_id = ? and seq = ?").bind(commit.run.0).bind(commit.seq);
        if there.fetch_optional(&mut *connection).await.map_err(failed)?.is_some() {
            known.insert(commit.run.0);
        }
    }
    Ok(known)
}

/// Why a chunk may not have been written: the run has another owner, or it was written before. To go
/// on, the writer must also still own the run.
async fn verdict(connection: &mut Connected, commit: &RunCommit) -> Result<Committed, StoreError> {
    if commit.chunk.is_empty() {
        // It may be let go of, or was already and nobody took it since.
        let sql = "select 1 from runs where id = ? and epoch = ? and (owner = ? or owner is null)";
        let mine = sqlx::query(sql).bind(commit.run.0).bind(commit.epoch).bind(commit.owner.0);
        let mine = mine.fetch_optional(connection).await.map_err(failed)?;
        return Ok(if mine.is_some() { Committed::Done } else { Committed::LeaseLost });
    }
    let kept: Option<(Vec<u8>, bool)> = sqlx::query_as(
        "select chunk, exists (select 1 from runs where id = ?1 and owner = ?3 and epoch = ?4) from journal where run_id = ?1 and seq = ?2",
    )
    .bind(commit.run.0)
    .bind(commit.seq)
    .bind(commit.owner.0)
    .bind(commit.epoch)
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    Ok(match kept {
        Some((chunk, owned)) if chunk == commit.chunk && (owned || commit.then != Then::Running) => Committed::Done,
        _ => Committed::LeaseLost,
    })
}

fn dead_letter(then: &Then) -> Option<i16> {
    (then.status() == RunStatus::Failed).then(|| DeadLetter::Open.number())
}

/// A statement over `count` rows.
fn values(head: &str, row: &str, count: usize, tail: &str) -> String {
    let mut sql = String::with_capacity(head.len() + (row.len() + 2) * count + tail.len());
    sql.push_str(head);
    for place in 0..count {
        let _ = write!(sql, "{}{row}", if place == 0 { "" } else { ", " });
    }
    sql.push_str(tail);
    sql
}
