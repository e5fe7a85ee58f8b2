//! Requests that started no run.

use std::sync::Arc;

use serde_json::json;

use super::{
    Bed,
    parts::{at, dice, recipe, run_id},
};
use crate::{InboundBounds, InboundFilter, InboundId, InboundRow, Store, Verdict};

const WIDE: InboundBounds =
    InboundBounds { address_rows_max: 100, address_bytes_max: 1_000_000, rows_max: 1000, bytes_max: 10_000_000 };

/// Request number `number`, received so many seconds after the beginning.
fn request(number: u64, bucket: &str) -> InboundRow {
    let received_at = at(i64::try_from(number).unwrap());
    InboundRow {
        id: InboundId::new(received_at, dice(number)),
        received_at,
        bucket: bucket.to_owned(),
        address: format!("h_{bucket}"),
        method: "POST".to_owned(),
        path: "/more".to_owned(),
        query: "a=1".to_owned(),
        headers: json!([["content-type", "text/plain"], ["x-signature", "•••"]]),
        body: vec![0, 255, 13, 10],
        body_bytes: 9000,
        verdict: Verdict::Unverified,
        code: "SIGNATURE_MISMATCH".to_owned(),
        reason: "the signature does not fit".to_owned(),
        expires_at: at(1000),
        recipe: None,
        run: None,
    }
}

async fn numbers(store: &dyn Store, filter: InboundFilter) -> Vec<i64> {
    let rows = store.inbound(&InboundFilter { limit: 100, ..filter }).await.unwrap();
    rows.iter().map(|row| row.received_at.since(at(0)).as_secs().try_into().unwrap()).collect()
}

/// What is kept is read back to the byte; lists leave the body out.
pub async fn kept_and_read(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let mut rows = vec![request(1, "orders"), request(2, "")];
    rows[1].body = Vec::new();
    rows[1].query = "nul \u{1} ✓".to_owned();
    assert_eq!(store.keep_inbound(&rows, &WIDE).await.unwrap(), 0);
    let other = bed.another().await;
    for row in &rows {
        assert_eq!(other.inbound_by_id(row.id).await.unwrap().as_ref(), Some(row));
    }
    let list = store.inbound(&InboundFilter { limit: 10, ..InboundFilter::default() }).await.unwrap();
    assert_eq!(list, [rows[1].clone(), InboundRow { body: Vec::new(), ..rows[0].clone() }]);
    assert_eq!(store.inbound_by_id(request(3, "").id).await.unwrap(), None);
    // A stranger's text may hold what a dialect cannot keep.
    let mut odd = request(4, "a\0b");
    odd.path = "/\0".to_owned();
    store.keep_inbound(std::slice::from_ref(&odd), &WIDE).await.unwrap();
    assert!(store.inbound_by_id(odd.id).await.unwrap().is_some());
}

/// Keeping the same request again, after a lost answer, changes nothing.
pub async fn kept_twice(bed: Arc<dyn Bed>) {
    let store = bed.store();
    for _ in 0..2 {
        store.keep_inbound(&[request(1, "orders")], &WIDE).await.unwrap();
    }
    assert_eq!(numbers(&*store, InboundFilter::default()).await, [1]);
    assert_eq!(store.keep_inbound(&[], &WIDE).await.unwrap(), 0);
}

/// By verdict, address, time and page.
pub async fn a_list_is_filtered(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let mut rows: Vec<InboundRow> = (1..=6).map(|number| request(number, if number % 2 == 0 { "even" } else { "" })).collect();
    for (row, verdict) in rows.iter_mut().zip(Verdict::ALL.into_iter().cycle()) {
        row.verdict = verdict;
    }
    store.keep_inbound(&rows, &WIDE).await.unwrap();
    let filter = InboundFilter::default;
    assert_eq!(numbers(&*store, filter()).await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(numbers(&*store, InboundFilter { verdict: Some(Verdict::Unverified), ..filter() }).await, [6, 1]);
    assert_eq!(numbers(&*store, InboundFilter { address: Some("even".to_owned()), ..filter() }).await, [6, 4, 2]);
    assert_eq!(numbers(&*store, InboundFilter { address: Some("h_even".to_owned()), ..filter() }).await, [6, 4, 2]);
    assert_eq!(numbers(&*store, InboundFilter { since: Some(at(3)), until: Some(at(5)), ..filter() }).await, [4, 3]);
    let page = store.inbound(&InboundFilter { before: Some(rows[3].id), limit: 2, ..filter() }).await.unwrap();
    assert_eq!(page.iter().map(|row| row.id).collect::<Vec<_>>(), [rows[2].id, rows[1].id]);
}

/// A flood at one address removes only its own, the oldest first, by count and by bytes.
pub async fn one_address_cannot_crowd_out_another(bed: Arc<dyn Bed>) {
    let store = bed.store();
    store.keep_inbound(&[request(1, "quiet")], &WIDE).await.unwrap();
    let flood: Vec<InboundRow> = (2..=9).map(|number| request(number, "loud")).collect();
    let removed = store.keep_inbound(&flood, &InboundBounds { address_rows_max: 3, ..WIDE }).await.unwrap();
    assert_eq!((removed, numbers(&*store, InboundFilter::default()).await), (5, vec![9, 8, 7, 1]));
    let room_for_two = InboundBounds { address_bytes_max: 2 * request(9, "loud").bytes(), ..WIDE };
    let removed = store.keep_inbound(&[request(10, "loud")], &room_for_two).await.unwrap();
    assert_eq!((removed, numbers(&*store, InboundFilter::default()).await), (2, vec![10, 9, 1]));
}

/// Many addresses together stay within the whole, by count and by bytes.
pub async fn nothing_outgrows_the_whole(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let rows: Vec<InboundRow> = (1..=9).map(|number| request(number, &format!("b{number}"))).collect();
    let removed = store.keep_inbound(&rows, &InboundBounds { rows_max: 4, ..WIDE }).await.unwrap();
    assert_eq!((removed, numbers(&*store, InboundFilter::default()).await), (5, vec![9, 8, 7, 6]));
    let mut heavy = request(10, "b0");
    heavy.body = vec![1; 5000];
    let bounds = InboundBounds { bytes_max: heavy.bytes() + request(9, "b9").bytes(), ..WIDE };
    assert_eq!(store.keep_inbound(&[heavy], &bounds).await.unwrap(), 3);
    assert_eq!(numbers(&*store, InboundFilter::default()).await, [10, 9]);
}

/// A kept request remembers the recipe it was given to and its run.
pub async fn given_to_a_recipe(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let row = request(1, "");
    store.keep_inbound(std::slice::from_ref(&row), &WIDE).await.unwrap();
    assert!(store.assign_inbound(row.id, recipe, Some(run_id(5))).await.unwrap());
    let expected = InboundRow { recipe: Some(recipe), run: Some(run_id(5)), ..row };
    assert_eq!(store.inbound_by_id(expected.id).await.unwrap(), Some(expected));
    assert!(!store.assign_inbound(request(2, "").id, recipe, None).await.unwrap());
}

/// Somebody removes one; the others go when their time is over.
pub async fn removed_by_hand_and_by_age(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let rows: Vec<InboundRow> =
        (1..=4).map(|number| InboundRow { expires_at: at(i64::try_from(number).unwrap() * 10), ..request(number, "") }).collect();
    store.keep_inbound(&rows, &WIDE).await.unwrap();
    assert!(store.delete_inbound(rows[3].id).await.unwrap());
    assert!(!store.delete_inbound(rows[3].id).await.unwrap());
    assert_eq!(store.prune(at(20), 1).await.unwrap(), 1);
    assert_eq!(store.prune(at(20), 10).await.unwrap(), 1);
    assert_eq!(numbers(&*store, InboundFilter::default()).await, [3]);
}

/// By the unguessable part, switched on or off.
pub async fn a_recipe_is_found_by_its_address(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let id = recipe(&*store, "orders").await;
    assert_eq!(store.recipe_by_hook("token of orders").await.unwrap().map(|row| row.id), Some(id));
    assert_eq!(store.recipe_by_hook("orders").await.unwrap(), None);
}
