//! What systems told of their objects.

use std::sync::Arc;

use serde_json::json;

use super::{Bed, parts::at};
use crate::{ConnectionId, ConnectionRow, ShapeRow};

fn connection(number: u8) -> ConnectionId {
    ConnectionId::new(at(0), [number; 10])
}

fn shape(number: u8, object: &str, seconds: i64) -> ShapeRow {
    ShapeRow {
        connection: connection(number),
        object: object.to_owned(),
        revision: 3,
        told: json!({"properties": {"Größe": {"title": "it's \"wide\""}}}).to_string(),
        asked_at: at(seconds),
    }
}

/// What was told is there for every process, and what is told anew takes its place.
pub async fn kept_and_read(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    assert_eq!(store.shape(connection(1), "Deal").await.unwrap(), None);
    store.keep_shape(&shape(1, "Deal", 5), 10).await.unwrap();
    store.keep_shape(&shape(1, "", 6), 10).await.unwrap();
    assert_eq!(other.shape(connection(1), "Deal").await.unwrap(), Some(shape(1, "Deal", 5)));
    assert_eq!(other.shape(connection(1), "").await.unwrap(), Some(shape(1, "", 6)));
    assert_eq!(other.shape(connection(1), "deal").await.unwrap(), None, "names are taken to the letter");
    assert_eq!(other.shape(connection(2), "Deal").await.unwrap(), None);
    let anew = ShapeRow { revision: 4, told: "{}".to_owned(), ..shape(1, "Deal", 9) };
    other.keep_shape(&anew, 10).await.unwrap();
    assert_eq!(store.shape(connection(1), "Deal").await.unwrap(), Some(anew));
}

/// There are never more than so many, and what was asked for just now is never what goes.
pub async fn the_oldest_go(bed: Arc<dyn Bed>) {
    let store = bed.store();
    for (object, seconds) in [("A", 3), ("B", 1), ("C", 2)] {
        store.keep_shape(&shape(1, object, seconds), 3).await.unwrap();
    }
    store.keep_shape(&shape(2, "D", 4), 3).await.unwrap();
    let mut left = Vec::new();
    for (number, object) in [(1, "A"), (1, "B"), (1, "C"), (2, "D")] {
        if store.shape(connection(number), object).await.unwrap().is_some() {
            left.push(object);
        }
    }
    assert_eq!(left, ["A", "C", "D"]);
    // A smaller bound takes effect with the next one.
    store.keep_shape(&shape(1, "E", 5), 1).await.unwrap();
    assert!(store.shape(connection(2), "D").await.unwrap().is_none());
    assert!(store.shape(connection(1), "E").await.unwrap().is_some());
}

/// Nothing is left of a connection that was removed.
pub async fn they_go_with_their_connection(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let row = ConnectionRow {
        id: connection(1),
        name: "crm".to_owned(),
        connector: "salesforce".to_owned(),
        config: json!({}),
        sealed: Vec::new(),
        revision: 1,
        created_at: at(0),
        updated_at: at(0),
    };
    store.create_connection(row).await.unwrap();
    store.keep_shape(&shape(1, "Deal", 1), 10).await.unwrap();
    store.keep_shape(&shape(2, "Deal", 1), 10).await.unwrap();
    assert!(store.delete_connection(connection(1)).await.unwrap());
    assert_eq!(store.shape(connection(1), "Deal").await.unwrap(), None);
    assert!(store.shape(connection(2), "Deal").await.unwrap().is_some());
}
