//! Rows that make no sense are called damage and named; nothing panics.

use std::sync::Arc;

use serde_json::json;

use super::{
    Bed,
    parts::{accept, accept_all, at, failed, first_commit, new_run, recipe, run_id, running, worker, write},
};
use crate::{ConnectionId, ConnectionRow, Journal, NewRun, RunFilter, StoreError, Then};

#[track_caller]
fn damaged<T: std::fmt::Debug>(outcome: Result<T, StoreError>, place: &str) {
    match outcome {
        Err(StoreError::Corrupt(what)) => assert!(what.contains(place), "{what:?} does not name {place}"),
        other => panic!("{place} is damaged, but the answer is {other:?}"),
    }
}

/// Numbers nobody gave and texts that are not JSON.
pub async fn runs_that_make_no_sense(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let filter = RunFilter { limit: 10, ..RunFilter::default() };
    accept_all(&*store, [new_run(recipe, 1), NewRun { then: failed(9), ..new_run(recipe, 2) }]).await;
    for (change, place, back) in [
        ("status = 77", "status", "status = 4"),
        ("via = -1", "via", "via = 1"),
        ("waiting_for = 0", "waiting_for", "waiting_for = null"),
        ("dead_letter = 9", "dead_letter", "dead_letter = 1"),
        ("error = '{\"class\":'", "error", "error = null"),
    ] {
        bed.execute(&format!("update runs set {change} where ended_at is not null")).await;
        damaged(store.run(run_id(2)).await, place);
        assert_eq!(store.runs(&filter).await.unwrap().len(), 1, "{place}");
        assert!(store.run(run_id(1)).await.unwrap().is_some(), "its neighbour is not damaged");
        bed.execute(&format!("update runs set {back} where ended_at is not null")).await;
    }
    assert_eq!(store.runs(&filter).await.unwrap().len(), 2);
}

/// Parameters that are not JSON.
pub async fn recipes_that_make_no_sense(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let id = recipe(&*store, "orders").await;
    store.activate(id, Some(1), &json!({}), at(1)).await.unwrap();
    bed.execute("update recipes set params = 'nonsense'").await;
    damaged(store.recipe("orders").await, "recipes.params");
    damaged(store.recipe_by_id(id).await, "recipes.params");
}

/// Settings that are not JSON.
pub async fn connections_that_make_no_sense(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let row = ConnectionRow {
        id: ConnectionId::new(at(0), [1; 10]),
        name: "crm".to_owned(),
        connector: "http".to_owned(),
        config: json!({}),
        sealed: Vec::new(),
        revision: 1,
        created_at: at(0),
        updated_at: at(0),
    };
    store.create_connection(row).await.unwrap();
    bed.execute("update connections set config = ''").await;
    damaged(store.connection("crm").await, "connections.config");
}

/// A revision that is no number, and one that is gone.
pub async fn a_catalogue_that_makes_no_sense(bed: Arc<dyn Bed>) {
    let store = bed.store();
    bed.execute("update settings set value = 'many' where name = 'catalogue_revision'").await;
    damaged(store.catalogue_revision().await, "settings.catalogue_revision");
    bed.execute("delete from settings where name = 'catalogue_revision'").await;
    damaged(store.catalogue_revision().await, "settings.catalogue_revision");
}

/// A chunk whose bytes were changed cannot be replayed, and says so.
pub async fn a_damaged_journal(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    // Number 6 is large enough to be packed, number 7 is not.
    accept_all(&*store, [new_run(recipe, 6), new_run(recipe, 7)]).await;
    bed.execute("update journal set chunk = substr(chunk, 3)").await;
    let claims = store.claim(owner, at(100), 10).await.unwrap();
    assert_eq!(claims.len(), 2, "a damaged run is still claimed, so that somebody sees it");
    for claim in claims {
        let journal = Journal::replay(claim.chunks.iter().map(|(seq, chunk)| (*seq, chunk.as_slice())));
        damaged(journal, "journal chunk");
    }
}

/// A missing chunk is damage, not a shorter run.
pub async fn a_journal_with_a_gap(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept(&*store, running(recipe, 1, owner)).await;
    for seq in 1..4 {
        let mut commit = first_commit(1, owner, if seq == 3 { Then::Queued { due_at: at(9) } } else { Then::Running });
        (commit.seq, commit.chunk) = (seq, super::parts::next_chunk(seq, "x"));
        write(&*store, &commit).await;
    }
    bed.execute("delete from journal where seq = 2").await;
    let claim = store.claim(owner, at(100), 10).await.unwrap().remove(0);
    damaged(Journal::replay(claim.chunks.iter().map(|(seq, chunk)| (*seq, chunk.as_slice()))), "chunk 2");
    bed.execute("delete from journal where seq < 2").await;
    let chunks = store.chunks(run_id(1), 0, u32::MAX).await.unwrap();
    damaged(Journal::replay(chunks.iter().map(|(seq, chunk)| (*seq, chunk.as_slice()))), "begins with computed");
}
