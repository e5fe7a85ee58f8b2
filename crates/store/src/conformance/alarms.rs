//! Alarms, and the notices they raise.

use std::sync::Arc;

use serde_json::json;

use super::{
    Bed,
    parts::{at, recipe},
};
use crate::{AlarmRow, Delivered, NoticeId, NoticeRow, NoticeState, Raised, Store, Timestamp};

fn alarm(name: &str) -> AlarmRow {
    AlarmRow {
        name: name.to_owned(),
        recipe: None,
        rule: json!({ "kind": "failures" }),
        deliver: json!({ "do": "http.request" }),
        set_by: "key ops".to_owned(),
        set_at: at(1),
    }
}

fn notice(number: u8, alarm: &str, group: &str, raised_at: i64) -> NoticeRow {
    NoticeRow {
        id: NoticeId::new(at(raised_at), [number; 10]),
        alarm: alarm.to_owned(),
        group: group.to_owned(),
        raised_at: at(raised_at),
        body: json!({ "subject": group }),
        state: NoticeState::Waiting,
        tries: 0,
        next_at: at(raised_at),
        error: None,
    }
}

async fn raised(store: &dyn Store, notice: &NoticeRow) {
    assert_eq!(store.raise(notice, at(0)).await.unwrap(), Raised::New);
}

/// Set, set anew under the same name, and removed with what it remembers.
pub async fn alarms_are_set_and_removed(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let orders = recipe(&*store, "orders").await;
    let mut row = alarm("quiet");
    assert!(store.set_alarm(&row).await.unwrap());
    assert!(store.set_alarm(&alarm("all")).await.unwrap());
    (row.recipe, row.rule, row.set_at) = (Some(orders), json!({ "kind": "no_run_for", "for": "2h" }), at(5));
    assert!(store.set_alarm(&row).await.unwrap());
    assert_eq!(store.alarms().await.unwrap(), [alarm("all"), row]);
    for (number, name, group) in [(1, "quiet", "a"), (2, "all", "a"), (3, "quiet", "b")] {
        raised(&*store, &notice(number, name, group, 10 + i64::from(number))).await;
    }
    let sent = Delivered { state: NoticeState::Sent, at: at(20), error: None };
    assert!(store.notice_delivered(notice(3, "quiet", "b", 13).id, &sent).await.unwrap());
    assert!(store.remove_alarm("quiet").await.unwrap());
    assert!(!store.remove_alarm("quiet").await.unwrap());
    assert_eq!(store.alarms().await.unwrap(), [alarm("all")]);
    let left: Vec<_> = store.notices(None, None, 10).await.unwrap().into_iter().map(|notice| notice.state).collect();
    assert_eq!(left, [NoticeState::Sent, NoticeState::Waiting], "what was not delivered went with its alarm");
    // A new alarm of that name remembers nothing of the old one.
    raised(&*store, &notice(4, "quiet", "a", 14)).await;
}

/// However many processes find the same, one notice is raised of it, and the next not before its time.
pub async fn one_cause_gives_one_notice(bed: Arc<dyn Bed>) {
    let (store, another) = (bed.store(), bed.another().await);
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..16 {
        let store = if number % 2 == 0 { Arc::clone(&store) } else { Arc::clone(&another) };
        // Some in the very same microsecond.
        let raised_at = 100 + i64::from(number / 4);
        tries.spawn(async move { store.raise(&notice(number, "all", "cause", raised_at), at(50)).await.unwrap() });
    }
    let outcomes = tries.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Raised::New).count(), 1, "{outcomes:?}");
    let kept = store.notices(Some("all"), None, 50).await.unwrap();
    assert_eq!(kept.len(), 1);
    let first = kept[0].raised_at;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Raised::New) || *outcome == Raised::Before(first)));
    let again = notice(20, "all", "cause", 200);
    assert_eq!(store.raise(&again, Timestamp::from_micros(first.micros() - 1)).await.unwrap(), Raised::Before(first));
    assert_eq!(store.raise(&again, first).await.unwrap(), Raised::New);
    raised(&*store, &notice(21, "all", "another", 201)).await;
    raised(&*store, &notice(22, "other", "cause", 202)).await;
    assert_eq!(store.notices(None, None, 50).await.unwrap().len(), 4);
    another.close().await;
}

/// One process delivers a notice at a time; one that died is followed by another.
pub async fn notices_are_delivered(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (first, second) = (notice(1, "all", "a", 10), notice(2, "all", "b", 11));
    raised(&*store, &first).await;
    raised(&*store, &second).await;
    assert_eq!(store.take_notice(at(9), at(50)).await.unwrap(), None, "not due yet");
    let taken = store.take_notice(at(12), at(50)).await.unwrap().unwrap();
    assert_eq!(taken, NoticeRow { tries: 1, next_at: at(50), ..first.clone() });
    let other = store.take_notice(at(12), at(60)).await.unwrap().unwrap();
    assert_eq!(other.id, second.id);
    assert_eq!(store.take_notice(at(12), at(70)).await.unwrap(), None, "both are under way");
    let again = Delivered { state: NoticeState::Waiting, at: at(90), error: Some("no answer".to_owned()) };
    assert!(store.notice_delivered(second.id, &again).await.unwrap());
    // Whoever had the first one never came back.
    let taken = store.take_notice(at(51), at(80)).await.unwrap().unwrap();
    assert_eq!((taken.id, taken.tries), (first.id, 2));
    let sent = Delivered { state: NoticeState::Sent, at: at(55), error: None };
    assert!(store.notice_delivered(first.id, &sent).await.unwrap());
    assert!(!store.notice_delivered(first.id, &again).await.unwrap(), "it is delivered");
    assert_eq!(store.take_notice(at(89), at(99)).await.unwrap(), None);
    assert_eq!(store.take_notice(at(90), at(99)).await.unwrap().unwrap().tries, 2);
    let gave_up = Delivered { state: NoticeState::GivenUp, at: at(95), error: Some("no answer".to_owned()) };
    assert!(store.notice_delivered(second.id, &gave_up).await.unwrap());
    let newest = store.notices(Some("all"), None, 1).await.unwrap();
    assert_eq!((newest[0].id, newest[0].state, newest[0].error.as_deref()), (second.id, NoticeState::GivenUp, Some("no answer")));
    let older = store.notices(Some("all"), Some(second.id), 10).await.unwrap();
    assert_eq!(older.iter().map(|notice| notice.id).collect::<Vec<_>>(), [first.id]);
    assert_eq!(store.prune_notices(at(11), 10).await.unwrap(), 2, "the first notice, and what its group remembers");
    assert_eq!(store.notices(None, None, 10).await.unwrap().len(), 1);
}
