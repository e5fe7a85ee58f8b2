//! Data keys, what is sealed under them, and keys that change while others write.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::{Bed, parts::at};
use crate::{
    BegunSignIn, ConnectionId, ConnectionRow, DataKeyId, DataKeyRow, KEY_CHECK_SETTING, Put, Rewrap, SHARED_KEY_SETTING, Sealed,
    SealedAt, Store, StoreError, TokenRow,
};

fn key(number: i64) -> DataKeyRow {
    DataKeyRow {
        id: DataKeyId(number),
        wrapped: vec![0, 255, u8::try_from(number).unwrap()],
        master_key: "master".to_owned(),
        created_at: at(number),
        retired_at: None,
    }
}

/// Looks as if it were sealed under that key.
fn sealed(number: i64, rest: &[u8]) -> Vec<u8> {
    [DataKeyId(number).head().as_slice(), rest].concat()
}

fn crm(number: u8, sealed: Vec<u8>) -> ConnectionRow {
    ConnectionRow {
        id: ConnectionId::new(at(0), [number; 10]),
        name: format!("crm{number}"),
        connector: "http".to_owned(),
        config: json!({}),
        sealed,
        revision: 1,
        created_at: at(1),
        updated_at: at(1),
    }
}

fn token(revision: i64, sealed: Vec<u8>) -> TokenRow {
    TokenRow { connection: "crm1".to_owned(), place: "user".to_owned(), sealed, renew_at: None, revision }
}

fn begun(sealed: Vec<u8>) -> BegunSignIn {
    BegunSignIn {
        hash: [7; 32],
        connection: ConnectionId::new(at(0), [1; 10]),
        sealed,
        who: "ann".to_owned(),
        expires_at: at(900),
    }
}

async fn put(store: &dyn Store, row: ConnectionRow) {
    assert!(matches!(store.create_connection(row).await.unwrap(), Put::Done(_)));
}

async fn ids(store: &dyn Store) -> Vec<i64> {
    store.data_keys().await.unwrap().iter().map(|row| row.id.0).collect()
}

async fn everything(store: &dyn Store, limit: u32) -> Vec<Sealed> {
    let mut all: Vec<Sealed> = Vec::new();
    loop {
        let part = store.sealed(all.last().map(|last| &last.at), limit).await.unwrap();
        if part.is_empty() {
            return all;
        }
        assert!(part.len() <= limit as usize);
        all.extend(part);
    }
}

/// Keys come one after the other; the newest is the current one.
pub async fn keys_follow_each_other(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    assert_eq!(store.data_keys().await.unwrap(), []);
    assert!(!store.add_data_key(&key(2)).await.unwrap(), "the first is 1");
    assert!(store.add_data_key(&key(1)).await.unwrap());
    assert!(!other.add_data_key(&key(1)).await.unwrap());
    assert!(!store.add_data_key(&DataKeyRow { master_key: "other".to_owned(), ..key(2) }).await.unwrap(), "another master key");
    assert_eq!(other.data_keys().await.unwrap(), [key(1)]);
    let mut racers = JoinSet::new();
    for number in 0..6 {
        let store = Arc::clone(if number % 2 == 0 { &store } else { &other });
        racers.spawn(async move { store.add_data_key(&key(2)).await.unwrap() });
    }
    assert_eq!(racers.join_all().await.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(store.data_keys().await.unwrap(), [DataKeyRow { retired_at: Some(at(2)), ..key(1) }, key(2)]);
    assert_eq!(store.remove_data_keys().await.unwrap(), [DataKeyId(1)]);
    assert!(store.remove_data_keys().await.unwrap().is_empty(), "the current one stays");
    assert!(
        !store.add_data_key(&key(1)).await.unwrap() && !store.add_data_key(&key(2)).await.unwrap(),
        "numbers never come back"
    );
    assert!(other.add_data_key(&key(3)).await.unwrap());
}

/// What is sealed is found, part by part, in the order of its places.
pub async fn what_is_sealed_is_found(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    assert!(store.add_data_key(&key(1)).await.unwrap());
    put(&*store, crm(2, b"\x01old".to_vec())).await;
    put(&*store, crm(1, sealed(1, b"a"))).await;
    put(&*store, crm(3, Vec::new())).await;
    assert!(store.keep_token(&token(0, sealed(1, b"t")), "").await.unwrap());
    store.begin_sign_in(&begun(sealed(1, b"s"))).await.unwrap();
    assert_eq!(store.secret("word", &sealed(1, b"w")).await.unwrap(), sealed(1, b"w"));
    assert_eq!(other.secret("word", &sealed(1, b"late")).await.unwrap(), sealed(1, b"w"), "the first one stays");
    let expected = [
        Sealed { at: SealedAt::Secret("word".to_owned()), sealed: sealed(1, b"w") },
        Sealed { at: SealedAt::Connection(crm(1, Vec::new()).id), sealed: sealed(1, b"a") },
        Sealed { at: SealedAt::Connection(crm(2, Vec::new()).id), sealed: b"\x01old".to_vec() },
        Sealed { at: SealedAt::Token { connection: "crm1".to_owned(), place: "user".to_owned() }, sealed: sealed(1, b"t") },
        Sealed { at: SealedAt::SignIn([7; 32]), sealed: sealed(1, b"s") },
    ];
    for limit in [1, 2, 4, 100] {
        assert_eq!(everything(&*other, limit).await, expected, "by {limit}");
    }
    for record in expected {
        assert_eq!(other.sealed_at(&record.at).await.unwrap(), Some(record.sealed), "{:?}", record.at);
    }
    let bare = SealedAt::Connection(crm(3, Vec::new()).id);
    assert_eq!(other.sealed_at(&bare).await.unwrap(), Some(Vec::new()), "it is there, without secrets");
    let token = |connection: &str, place: &str| SealedAt::Token { connection: connection.to_owned(), place: place.to_owned() };
    let others = [
        SealedAt::Secret("crm1".to_owned()),
        SealedAt::Connection(crm(9, Vec::new()).id),
        token("crm1", "other"),
        token("crm2", "user"),
        SealedAt::SignIn([8; 32]),
    ];
    for at in others {
        assert_eq!(other.sealed_at(&at).await.unwrap(), None, "{at:?}");
    }
}

/// Sealed anew, a record stays what it is; one that changed meanwhile is left alone.
pub async fn sealed_anew(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    assert!(store.add_data_key(&key(1)).await.unwrap());
    put(&*store, crm(1, sealed(1, b"a"))).await;
    put(&*store, crm(2, b"\x01old".to_vec())).await;
    assert!(store.keep_token(&token(0, sealed(1, b"t")), "").await.unwrap());
    store.begin_sign_in(&begun(sealed(1, b"s"))).await.unwrap();
    store.secret("word", &sealed(1, b"w")).await.unwrap();
    assert!(store.add_data_key(&key(2)).await.unwrap());
    let known = everything(&*store, 10).await;
    // Somebody changes the first connection before it is sealed anew.
    let changed = ConnectionRow { sealed: sealed(1, b"changed"), ..crm(1, Vec::new()) };
    assert!(matches!(other.update_connection(changed).await.unwrap(), Put::Done(_)));
    for record in &known {
        let done = store.reseal(record, &sealed(2, b"new")).await.unwrap();
        assert_eq!(done, record.at != SealedAt::Connection(crm(1, Vec::new()).id), "{record:?}");
        assert!(!store.reseal(record, &sealed(2, b"newer")).await.unwrap(), "{record:?} is not that any more");
    }
    let row = other.connection("crm1").await.unwrap().unwrap();
    assert_eq!((row.sealed, row.revision), (sealed(1, b"changed"), 2), "the change stays");
    let row = other.connection("crm2").await.unwrap().unwrap();
    assert_eq!((row.sealed.clone(), row.revision), (sealed(2, b"new"), 1));
    assert!(matches!(other.update_connection(row).await.unwrap(), Put::Done(_)), "whoever read it before can change it after");
    assert_eq!(other.token("crm1", "user").await.unwrap(), Some(token(1, sealed(2, b"new"))));
    assert_eq!(other.secret("word", b"x").await.unwrap(), sealed(2, b"new"));
    assert_eq!(other.spend_sign_in(&[7; 32], at(1)).await.unwrap(), Some(begun(sealed(2, b"new"))));
    assert!(store.remove_data_keys().await.unwrap().is_empty(), "one record is still under it");
    let left = everything(&*store, 10).await.into_iter().find(|record| record.sealed == sealed(1, b"changed")).unwrap();
    assert!(store.reseal(&left, &sealed(2, b"last")).await.unwrap());
    assert_eq!(store.remove_data_keys().await.unwrap(), [DataKeyId(1)]);
}

/// Nothing is written under a key that is gone, and nothing else is changed by the attempt.
pub async fn a_key_that_is_gone(bed: Arc<dyn Bed>) {
    let store = bed.store();
    assert!(store.add_data_key(&key(1)).await.unwrap() && store.add_data_key(&key(2)).await.unwrap());
    put(&*store, crm(1, sealed(2, b"a"))).await;
    assert!(store.keep_token(&token(0, sealed(2, b"t")), "").await.unwrap());
    store.secret("word", &sealed(2, b"w")).await.unwrap();
    assert_eq!(store.remove_data_keys().await.unwrap(), [DataKeyId(1)]);
    let known = everything(&*store, 10).await;
    let gone = |outcome: Result<(), StoreError>| assert!(matches!(outcome, Err(StoreError::KeyGone)), "{outcome:?}");
    let late = || sealed(1, b"late");
    gone(store.create_connection(crm(2, late())).await.map(drop));
    gone(store.update_connection(crm(1, late())).await.map(drop));
    gone(store.keep_token(&token(1, late()), "").await.map(drop));
    gone(store.begin_sign_in(&begun(late())).await);
    gone(store.secret("other", &late()).await.map(drop));
    for record in &known {
        gone(store.reseal(record, &late()).await.map(drop));
    }
    assert_eq!(everything(&*store, 10).await, known);
}

/// Whoever writes while a key is replaced either keeps the old one alive or is refused: what is written can be opened.
pub async fn writers_and_a_change_of_keys(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    assert!(store.add_data_key(&key(1)).await.unwrap());
    for number in 1..=20 {
        let mut writers = JoinSet::new();
        for writer in 0..4_u8 {
            let store = Arc::clone(if writer % 2 == 0 { &store } else { &other });
            let name = format!("{number}-{writer}");
            writers.spawn(async move { store.secret(&name, &sealed(number, b"x")).await.map(drop) });
        }
        assert!(store.add_data_key(&key(number + 1)).await.unwrap());
        store.remove_data_keys().await.unwrap();
        for outcome in writers.join_all().await {
            assert!(matches!(outcome, Ok(()) | Err(StoreError::KeyGone)), "{outcome:?}");
        }
        let there = ids(&*other).await;
        for record in everything(&*other, 100).await {
            assert!(there.contains(&DataKeyId::of(&record.sealed).unwrap().0), "{record:?} has lost its key: {there:?}");
        }
    }
}

/// Another master key touches the keys, the check value and nothing else: all of it, or nothing.
pub async fn another_master_key(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    store.setting(KEY_CHECK_SETTING, "old check").await.unwrap();
    store.setting(SHARED_KEY_SETTING, "shared").await.unwrap();
    assert!(store.add_data_key(&key(1)).await.unwrap() && store.add_data_key(&key(2)).await.unwrap());
    put(&*store, crm(1, sealed(1, b"a"))).await;
    put(&*store, crm(2, b"\x01old".to_vec())).await;
    let (known, keys) = (everything(&*store, 10).await, store.data_keys().await.unwrap());
    let wish = Rewrap {
        from: "master".to_owned(),
        to: "another".to_owned(),
        wrapped: vec![(DataKeyId(1), b"one".to_vec()), (DataKeyId(2), b"two".to_vec())],
        check: "new check".to_owned(),
    };
    assert!(!store.rewrap(&wish).await.unwrap(), "something is still sealed under the master key itself");
    let old = known.iter().find(|record| DataKeyId::of(&record.sealed).is_none()).unwrap();
    assert!(store.reseal(old, &sealed(2, b"b")).await.unwrap());
    for wrong in [
        Rewrap { from: "wrong".to_owned(), ..wish.clone() },
        Rewrap { wrapped: wish.wrapped[..1].to_vec(), ..wish.clone() },
        Rewrap { wrapped: vec![wish.wrapped[0].clone(), (DataKeyId(3), b"three".to_vec())], ..wish.clone() },
    ] {
        assert!(!store.rewrap(&wrong).await.unwrap(), "{wrong:?}");
    }
    assert_eq!(other.data_keys().await.unwrap(), keys, "what was refused changed nothing");
    assert_eq!(other.setting(KEY_CHECK_SETTING, "").await.unwrap(), "old check");
    let known = everything(&*store, 10).await;
    assert!(store.rewrap(&wish).await.unwrap());
    assert!(!store.rewrap(&wish).await.unwrap(), "it is done already");
    let now = other.data_keys().await.unwrap();
    let told: Vec<_> = now.iter().map(|row| (row.wrapped.as_slice(), row.master_key.as_str(), row.retired_at)).collect();
    assert_eq!(told, [(b"one".as_slice(), "another", Some(at(2))), (b"two".as_slice(), "another", None)]);
    assert_eq!(other.setting(KEY_CHECK_SETTING, "").await.unwrap(), "new check");
    assert_eq!(other.setting(SHARED_KEY_SETTING, "gone").await.unwrap(), "gone");
    assert_eq!(everything(&*other, 10).await, known);
}
