//! What the tests of this dialect are made of.

use store::{EventKey, NewRun, NewVersion, RecipeId, RunCommit, RunId, Saved, Store, Then, Timestamp, Via, WorkerId};
use store_postgres::PostgresStore;

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_760_000_000_000_000);
pub(crate) const LATER: Timestamp = Timestamp::from_micros(1_770_000_000_000_000);

pub(crate) const KEYS: u16 = 600;

fn dice(number: u16) -> [u8; 10] {
    let mut dice = [3; 10];
    dice[8..].copy_from_slice(&number.to_be_bytes());
    dice
}

/// A run of event number `number % KEYS`.
pub(crate) fn new_run(recipe: RecipeId, number: u16, owner: WorkerId, then: Then) -> NewRun {
    let mut hash = [0; 16];
    hash[..2].copy_from_slice(&(number % KEYS).to_be_bytes());
    NewRun {
        id: RunId::new(NOW, dice(number)),
        recipe,
        version: 1,
        accepted_at: NOW,
        key: Some(EventKey { hash, expires_at: LATER, fingerprint: None }),
        label: None,
        via: Via::Webhook,
        replay_of: None,
        owner,
        chunk: vec![b'['; 30],
        attempts: 0,
        then,
        lane: None,
        parent: None,
        beside: Vec::new(),
    }
}

pub(crate) fn end(run: RunId, owner: WorkerId) -> RunCommit {
    RunCommit {
        run,
        owner,
        epoch: 1,
        seq: 1,
        chunk: vec![b'!'; 30],
        attempts: 1,
        then: Then::Succeeded { at: NOW },
        lane: None,
        listens: Vec::new(),
        beside: Vec::new(),
    }
}

pub(crate) async fn recipe(store: &PostgresStore) -> RecipeId {
    let new = NewVersion {
        id: RecipeId::new(NOW, [1; 10]),
        slug: "orders".to_owned(),
        title: "Orders".to_owned(),
        text: "steps: []".to_owned(),
        hash: "hash".to_owned(),
        hook_token: "token".to_owned(),
        if_revision: None,
        at: NOW,
        by: "ann".to_owned(),
    };
    match store.save_version(new).await.unwrap() {
        Saved::Created(row) => row.id,
        other => panic!("{other:?}"),
    }
}
