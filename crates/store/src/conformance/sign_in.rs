//! Tokens of connections, who renews them, whether connections can sign in, and sign-ins that people began.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::{
    Bed,
    parts::{at, dice},
};
use crate::{
    AuditId, AuditRow, BegunSignIn, ConnectionId, ConnectionRow, ConnectionState, SignInRefused, Store, Timestamp, TokenRow,
    Turn, TurnAsk,
};

fn token(revision: i64, sealed: &[u8]) -> TokenRow {
    TokenRow {
        connection: "crm".to_owned(),
        place: "user".to_owned(),
        sealed: sealed.to_owned(),
        renew_at: Some(at(100)),
        revision,
    }
}

async fn turn(store: &dyn Store, holder: &str, seen: i64, seconds: i64) -> Turn {
    let ask = TurnAsk { connection: "crm", place: "user", holder, seen, now: at(seconds), until: at(seconds + 10) };
    store.take_turn(&ask).await.unwrap()
}

fn entry(number: u64) -> AuditRow {
    AuditRow {
        id: AuditId::new(at(1), dice(number)),
        at: at(1),
        who: "liaison".to_owned(),
        what: "connection.needs_sign_in".to_owned(),
        about: "connection crm".to_owned(),
        note: "it's refused".to_owned(),
    }
}

fn refused(reason: &str, began: i64, now: i64) -> SignInRefused<'_> {
    SignInRefused { connection: "crm", reason, began: at(began), now: at(now), retry_at: at(now + 60) }
}

/// A token is kept once its turn comes, read by all, and replaced only by whoever knew it.
pub async fn a_token_is_kept(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    assert_eq!(store.token("crm", "user").await.unwrap(), None);
    assert_eq!(turn(&*store, "a", 0, 0).await, Turn::Mine);
    assert!(other.keep_token(&token(0, &[0, 1, 255]), "a").await.unwrap());
    assert_eq!(other.token("crm", "user").await.unwrap(), Some(token(1, &[0, 1, 255])));
    assert!(!store.keep_token(&token(0, b"late"), "b").await.unwrap(), "another one came meanwhile");
    let endless = TokenRow { renew_at: None, ..token(1, b"new") };
    assert!(store.keep_token(&endless, "nobody").await.unwrap());
    assert_eq!(other.token("crm", "user").await.unwrap(), Some(TokenRow { revision: 2, ..endless }));
    assert_eq!(store.token("crm", "other").await.unwrap(), None);
}

/// Of many who want to renew a token one has its turn; the others wait, and then find the new one.
pub async fn one_of_many_renews(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let mut racers = JoinSet::new();
    for number in 0..12 {
        let store = Arc::clone(if number % 2 == 0 { &store } else { &other });
        racers.spawn(async move { (number, turn(&*store, &format!("h{number}"), 0, 0).await) });
    }
    let turns = racers.join_all().await;
    let mine: Vec<_> = turns.iter().filter(|(_, turn)| *turn == Turn::Mine).collect();
    assert_eq!(mine.len(), 1, "{turns:?}");
    assert!(turns.iter().all(|(_, turn)| matches!(turn, Turn::Mine) || *turn == Turn::Taken(at(10))), "{turns:?}");
    let holder = format!("h{}", mine[0].0);
    // Whoever has it keeps it by asking again, and nobody else gets it meanwhile.
    assert_eq!(turn(&*other, &holder, 0, 8).await, Turn::Mine);
    assert_eq!(turn(&*store, "x", 0, 12).await, Turn::Taken(at(18)));
    assert!(store.keep_token(&token(0, b"new"), &holder).await.unwrap());
    assert_eq!(turn(&*other, "x", 0, 13).await, Turn::Moved(token(1, b"new")));
    assert_eq!(turn(&*other, "x", 1, 13).await, Turn::Mine, "its turn ended with it");
}

/// A turn ends by itself when its holder is silent, or when it is given up; nobody ends another one's.
pub async fn a_turn_ends(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    assert_eq!(turn(&*store, "dead", 0, 0).await, Turn::Mine);
    assert_eq!(turn(&*other, "b", 0, 9).await, Turn::Taken(at(10)));
    assert_eq!(turn(&*other, "b", 0, 10).await, Turn::Mine);
    store.end_turn("crm", "user", "dead").await.unwrap();
    assert_eq!(turn(&*store, "c", 0, 11).await, Turn::Taken(at(20)));
    other.end_turn("crm", "user", "b").await.unwrap();
    assert_eq!(turn(&*store, "c", 0, 11).await, Turn::Mine);
    // Who was taken for dead and has a token all the same is not refused it, as long as no other came.
    assert!(store.keep_token(&token(0, b"late"), "dead").await.unwrap());
    assert_eq!(turn(&*store, "d", 1, 12).await, Turn::Taken(at(21)), "it is still the other one's turn");
}

/// A connection that needs a sign-in is told once, lets one call through from time to time, and is well again once.
pub async fn a_sign_in_is_needed_once(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    assert!(!store.try_sign_in("crm", at(1), at(2)).await.unwrap());
    assert!(!store.signed_in("crm", at(1), &entry(1)).await.unwrap(), "nothing else was known");
    assert!(store.need_sign_in(&refused("it's over", 5, 6), &entry(2)).await.unwrap());
    assert!(!other.need_sign_in(&refused("again", 6, 7), &entry(3)).await.unwrap());
    assert!(!store.try_sign_in("crm", at(65), at(130)).await.unwrap(), "too early");
    let mut racers = JoinSet::new();
    for number in 0..6 {
        let store = Arc::clone(if number % 2 == 0 { &store } else { &other });
        racers.spawn(async move { store.try_sign_in("crm", at(66), at(130)).await.unwrap() });
    }
    assert_eq!(racers.join_all().await.into_iter().filter(|won| *won).count(), 1);
    let state = |needs: Option<&str>, since: i64, retry: Option<i64>, used: Option<i64>| ConnectionState {
        connection: "crm".to_owned(),
        needs_sign_in: needs.map(str::to_owned),
        since: Some(at(since)),
        retry_at: retry.map(at),
        last_used_at: used.map(at),
    };
    assert_eq!(other.connection_states().await.unwrap(), [state(Some("it's over"), 6, Some(130), None)]);
    assert!(other.signed_in("crm", at(70), &entry(4)).await.unwrap());
    assert!(!store.signed_in("crm", at(71), &entry(5)).await.unwrap());
    assert!(!store.need_sign_in(&refused("late", 69, 72), &entry(6)).await.unwrap(), "it began before the sign-in");
    assert_eq!(store.connection_states().await.unwrap(), [state(None, 70, None, None)]);
    assert!(store.need_sign_in(&refused("new", 71, 73), &entry(7)).await.unwrap());
    let audit: Vec<_> = store.audit(None, None, 10).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(audit.len(), 3, "only what changed something is told: {audit:?}");
}

/// The last use counts, whoever tells it first.
pub async fn a_use_is_noted(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    store.note_use("crm", at(9)).await.unwrap();
    other.note_use("crm", at(7)).await.unwrap();
    assert!(store.need_sign_in(&refused("no", 9, 10), &entry(1)).await.unwrap(), "using it says nothing of signing in");
    other.note_use("crm", at(11)).await.unwrap();
    let states = store.connection_states().await.unwrap();
    assert_eq!((states[0].last_used_at, states[0].needs_sign_in.as_deref()), (Some(at(11)), Some("no")));
}

/// A begun sign-in is good once, and not for ever.
pub async fn a_begun_sign_in_is_spent_once(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let begun = |number: u8, ends: i64| BegunSignIn {
        hash: [number; 32],
        connection: ConnectionId::new(at(0), [1; 10]),
        sealed: vec![0, number],
        who: "ann".to_owned(),
        expires_at: at(ends),
    };
    for row in [begun(1, 10), begun(2, 10), begun(3, 10)] {
        store.begin_sign_in(&row).await.unwrap();
    }
    let (one, two) = tokio::join!(store.spend_sign_in(&[1; 32], at(5)), other.spend_sign_in(&[1; 32], at(5)));
    let spent: Vec<_> = [one.unwrap(), two.unwrap()].into_iter().flatten().collect();
    assert_eq!(spent, [begun(1, 10)]);
    assert_eq!(store.spend_sign_in(&[2; 32], at(10)).await.unwrap(), None, "over");
    assert_eq!(store.spend_sign_in(&[9; 32], at(5)).await.unwrap(), None, "unknown");
    store.prune(at(10), 100).await.unwrap();
    assert_eq!(store.spend_sign_in(&[3; 32], at(5)).await.unwrap(), None, "removed");
}

/// With a connection goes what it signed in with.
pub async fn it_goes_with_its_connection(bed: Arc<dyn Bed>) {
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
    store.create_connection(row.clone()).await.unwrap();
    assert!(store.keep_token(&token(0, b"x"), "a").await.unwrap());
    store.note_use("crm", at(1)).await.unwrap();
    let begun = BegunSignIn {
        hash: [1; 32],
        connection: row.id,
        sealed: vec![],
        who: String::new(),
        expires_at: Timestamp::from_micros(i64::MAX),
    };
    store.begin_sign_in(&begun).await.unwrap();
    assert!(store.delete_connection(row.id).await.unwrap());
    assert_eq!(store.token("crm", "user").await.unwrap(), None);
    assert!(store.connection_states().await.unwrap().is_empty());
    assert_eq!(store.spend_sign_in(&[1; 32], at(1)).await.unwrap(), None);
}
