//! What cases are made of.

use std::sync::Arc;

use serde_json::json;

use crate::{
    Accepted, Batch, Claim, Committed, Entry, ErrorRecord, EventKey, NewRun, NewVersion, RecipeId, RunCommit, RunId, RunRow,
    Saved, Store, Then, Timestamp, Via, WorkerId, write_chunk,
};

const SECOND: i64 = 1_000_000;
const BEGIN: i64 = 1_760_000_000 * SECOND;

/// So many seconds after the beginning of every case.
pub(crate) const fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(BEGIN + seconds * SECOND)
}

pub(crate) fn dice(number: u64) -> [u8; 10] {
    let mut bytes = [7; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The id of run number `number`, accepted so many seconds after the beginning.
pub(crate) fn run_id(number: u64) -> RunId {
    RunId::new(at(i64::try_from(number).unwrap()), dice(number))
}

pub(crate) fn version_of(slug: &str, text: &str) -> NewVersion {
    let number = slug.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    NewVersion {
        id: RecipeId::new(at(0), dice(number)),
        slug: slug.to_owned(),
        title: format!("The {slug}"),
        text: text.to_owned(),
        hash: format!("hash of {text}"),
        hook_token: format!("token of {slug}"),
        if_revision: None,
        at: at(0),
        by: "ann".to_owned(),
    }
}

/// A recipe with one version.
pub(crate) async fn recipe(store: &dyn Store, slug: &str) -> RecipeId {
    match store.save_version(version_of(slug, "steps: []")).await.unwrap() {
        Saved::Created(row) => row.id,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn worker(store: &dyn Store) -> WorkerId {
    store.register_worker("test", at(0), at(1_000_000)).await.unwrap()
}

pub(crate) fn first_chunk(number: u64) -> Vec<u8> {
    let event = Arc::new(json!({"number": number, "padding": "x".repeat((number % 7 * 100).try_into().unwrap())}));
    let accepted = Entry::Accepted {
        at: at(i64::try_from(number).unwrap()),
        via: Via::Api.as_str().into(),
        event,
        params: Arc::new(serde_json::Value::Null),
        state: Arc::default(),
        trace: None,
    };
    write_chunk(&[accepted]).unwrap()
}

/// A chunk that may follow the first: one computed value.
pub(crate) fn next_chunk(seq: i32, by: &str) -> Vec<u8> {
    let computed = Entry::Computed { p: format!("step{seq}").into(), at: at(0), out: Arc::new(json!({"by": by})) };
    write_chunk(&[computed]).unwrap()
}

/// A queued run, due when it was accepted. Cases change what they are about.
pub(crate) fn new_run(recipe: RecipeId, number: u64) -> NewRun {
    let accepted_at = at(i64::try_from(number).unwrap());
    NewRun {
        id: run_id(number),
        recipe,
        version: 1,
        accepted_at,
        key: None,
        label: None,
        via: Via::Api,
        replay_of: None,
        owner: WorkerId(0),
        chunk: first_chunk(number),
        attempts: 0,
        then: Then::Queued { due_at: accepted_at },
        lane: None,
        parent: None,
        beside: Vec::new(),
    }
}

/// A run its accepting process goes on with.
pub(crate) fn running(recipe: RecipeId, number: u64, owner: WorkerId) -> NewRun {
    NewRun { owner, then: Then::Running, ..new_run(recipe, number) }
}

pub(crate) fn keyed(run: NewRun, key: u8, expires_at: Timestamp) -> NewRun {
    NewRun { key: Some(EventKey { hash: [key; 16], expires_at, fingerprint: None }), ..run }
}

/// The next commit of a claimed run.
pub(crate) fn commit(claim: &Claim, owner: WorkerId, then: Then) -> RunCommit {
    let seq = i32::try_from(claim.chunks.len()).unwrap();
    RunCommit {
        run: claim.id,
        owner,
        epoch: claim.epoch,
        seq,
        chunk: next_chunk(seq, &format!("epoch {}", claim.epoch)),
        attempts: claim.attempts,
        then,
        lane: claim.lane,
        listens: Vec::new(),
        beside: Vec::new(),
    }
}

/// The first commit of a run made by [`running`].
pub(crate) fn first_commit(number: u64, owner: WorkerId, then: Then) -> RunCommit {
    RunCommit {
        run: run_id(number),
        owner,
        epoch: 1,
        seq: 1,
        chunk: next_chunk(1, "first"),
        attempts: 1,
        then,
        lane: None,
        listens: Vec::new(),
        beside: Vec::new(),
    }
}

pub(crate) fn record(message: &str) -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: "server".to_owned(),
        code: "HTTP_500".to_owned(),
        message: message.to_owned(),
        next: Some("Try again.".to_owned()),
        path: Some("push[3].up".to_owned()),
        request: Some(json!({"method": "POST"})),
        response: None,
        causes: Vec::new(),
    })
}

pub(crate) fn succeeded(seconds: i64) -> Then {
    Then::Succeeded { at: at(seconds) }
}

pub(crate) fn failed(seconds: i64) -> Then {
    Then::Failed { at: at(seconds), error: record("it broke") }
}

pub(crate) async fn accept(store: &dyn Store, run: NewRun) -> Accepted {
    accept_all(store, [run]).await[0]
}

pub(crate) async fn accept_all(store: &dyn Store, runs: impl IntoIterator<Item = NewRun>) -> Vec<Accepted> {
    let batch = Batch { accepts: runs.into_iter().map(Arc::new).collect(), commits: Vec::new() };
    let outcome = store.write(&batch).await.unwrap();
    assert_eq!((outcome.accepts.len(), outcome.commits.len()), (batch.accepts.len(), 0));
    outcome.accepts
}

pub(crate) async fn write(store: &dyn Store, commit: &RunCommit) -> Committed {
    write_all(store, [commit.clone()]).await[0]
}

pub(crate) async fn write_all(store: &dyn Store, commits: impl IntoIterator<Item = RunCommit>) -> Vec<Committed> {
    let batch = Batch { accepts: Vec::new(), commits: commits.into_iter().map(Arc::new).collect() };
    let outcome = store.write(&batch).await.unwrap();
    assert_eq!((outcome.accepts.len(), outcome.commits.len()), (0, batch.commits.len()));
    outcome.commits
}

pub(crate) async fn row(store: &dyn Store, number: u64) -> RunRow {
    store.run(run_id(number)).await.unwrap().unwrap_or_else(|| panic!("run {number} is gone"))
}

pub(crate) async fn chunk_count(store: &dyn Store, number: u64) -> usize {
    store.chunks(run_id(number), 0, u32::MAX).await.unwrap().len()
}
