//! Keys, sign-ins, sessions, settings, and what runs out.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Bed, parts::at};
use crate::{KeyId, KeyRow, SessionRow};

fn session(byte: u8, expires: i64) -> SessionRow {
    SessionRow { hash: [byte; 32], user: "ann".to_owned(), expires_at: at(expires) }
}

/// A key is found by its hash; a second one with the same hash changes nothing.
pub async fn a_key_is_kept(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let key = KeyRow {
        id: KeyId::new(at(0), [1; 10]),
        name: "ci".to_owned(),
        hash: [1; 32],
        scopes: vec!["recipes:read".to_owned(), "runs:write".to_owned()],
        created_at: at(0),
        expires_at: Some(at(100)),
    };
    store.create_key(&key).await.unwrap();
    assert_eq!(bed.another().await.key_by_hash(&[1; 32]).await.unwrap(), Some(key.clone()));
    let other =
        KeyRow { id: KeyId::new(at(1), [2; 10]), name: "other".to_owned(), scopes: vec!["admin".to_owned()], ..key.clone() };
    store.create_key(&other).await.unwrap();
    assert_eq!(store.key_by_hash(&[1; 32]).await.unwrap(), Some(key));
    let endless = KeyRow { hash: [2; 32], scopes: Vec::new(), expires_at: None, ..other };
    store.create_key(&endless).await.unwrap();
    assert_eq!(store.key_by_hash(&[2; 32]).await.unwrap(), Some(endless));
    assert_eq!(store.key_by_hash(&[3; 32]).await.unwrap(), None);
}

/// A sign-in opens one session, also when several browsers try at once.
pub async fn a_sign_in_is_spent_once(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    store.create_signin(&session(1, 100)).await.unwrap();
    let mut browsers = JoinSet::new();
    for browser in 10..18 {
        let store = Arc::clone(if browser % 2 == 0 { &store } else { &other });
        browsers.spawn(async move {
            let mut mine = session(browser, 500);
            mine.user = "nobody asks".to_owned();
            (browser, store.spend_signin(&[1; 32], &mine, at(50)).await.unwrap())
        });
    }
    let winners: Vec<u8> = browsers.join_all().await.into_iter().filter(|(_, won)| *won).map(|(browser, _)| browser).collect();
    assert_eq!(winners.len(), 1);
    for browser in 10..18 {
        let found = store.session_by_hash(&[browser; 32], at(60)).await.unwrap();
        // The user is the sign-in's.
        assert_eq!(found, winners.contains(&browser).then(|| session(browser, 500)));
    }
    assert!(!store.spend_signin(&[1; 32], &session(20, 500), at(50)).await.unwrap());
}

/// A sign-in that ran out opens nothing.
pub async fn a_sign_in_runs_out(bed: Arc<dyn Bed>) {
    let store = bed.store();
    store.create_signin(&session(1, 100)).await.unwrap();
    assert!(!store.spend_signin(&[2; 32], &session(9, 500), at(50)).await.unwrap(), "unknown");
    assert!(!store.spend_signin(&[1; 32], &session(9, 500), at(100)).await.unwrap(), "over");
    assert_eq!(store.session_by_hash(&[9; 32], at(50)).await.unwrap(), None);
}

/// A session ends by itself or by hand.
pub async fn a_session_ends(bed: Arc<dyn Bed>) {
    let store = bed.store();
    for (signin, browser) in [(1, 11), (2, 12)] {
        store.create_signin(&session(signin, 100)).await.unwrap();
        assert!(store.spend_signin(&[signin; 32], &session(browser, 500), at(50)).await.unwrap());
    }
    assert_eq!(store.session_by_hash(&[11; 32], at(499)).await.unwrap(), Some(session(11, 500)));
    assert_eq!(store.session_by_hash(&[11; 32], at(500)).await.unwrap(), None);
    store.end_session(&[12; 32]).await.unwrap();
    store.end_session(&[12; 32]).await.unwrap();
    assert_eq!(store.session_by_hash(&[12; 32], at(60)).await.unwrap(), None);
    assert!(store.session_by_hash(&[11; 32], at(60)).await.unwrap().is_some());
}

/// Of many first writers one wins, and all are told who.
pub async fn the_first_setting_wins(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let store = Arc::clone(if writer % 2 == 0 { &store } else { &other });
        writers.spawn(async move { store.setting("check", &format!("value {writer}")).await.unwrap() });
    }
    let answers = writers.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.starts_with("value ")), "{answers:?}");
    assert_eq!(store.setting("check", "late").await.unwrap(), answers[0]);
    assert_eq!(store.setting("other", "").await.unwrap(), "");
}

/// What ran out is removed, a bounded number at a time; the rest stays.
pub async fn what_ran_out_is_removed(bed: Arc<dyn Bed>) {
    let store = bed.store();
    for byte in 0..4 {
        store.create_signin(&session(byte, 100)).await.unwrap();
        store.create_signin(&session(byte + 100, 900)).await.unwrap();
        assert!(store.spend_signin(&[byte + 100; 32], &session(byte + 200, 100 + i64::from(byte)), at(50)).await.unwrap());
    }
    assert_eq!(store.prune(at(99), 100).await.unwrap(), 0);
    // All sign-ins, all sessions; at most 3 of each at a time.
    assert_eq!(store.prune(at(105), 3).await.unwrap(), 6);
    assert_eq!(store.prune(at(105), 3).await.unwrap(), 2);
    assert_eq!(store.prune(at(105), 3).await.unwrap(), 0);
    assert!(store.session_by_hash(&[200; 32], at(50)).await.unwrap().is_none());
}
