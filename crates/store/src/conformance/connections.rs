//! Connections and their revisions.

use std::sync::Arc;

use serde_json::json;

use super::{Bed, parts::at};
use crate::{ConnectionId, ConnectionRow, Put};

fn crm(number: u8, name: &str) -> ConnectionRow {
    ConnectionRow {
        id: ConnectionId::new(at(0), [number; 10]),
        name: name.to_owned(),
        connector: "http".to_owned(),
        config: json!({"base_url": "https://crm.example", "quote": "it's \u{0} here"}),
        sealed: vec![0, 1, 2, 255],
        revision: 1,
        created_at: at(1),
        updated_at: at(1),
    }
}

/// What is written can be read, by name and in a list sorted by name.
pub async fn made_and_read(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (b, a) = (crm(1, "b"), ConnectionRow { sealed: Vec::new(), ..crm(2, "a") });
    assert_eq!(store.create_connection(b.clone()).await.unwrap(), Put::Done(b.clone()));
    assert_eq!(store.create_connection(a.clone()).await.unwrap(), Put::Done(a.clone()));
    let other = bed.another().await;
    assert_eq!(other.connection("b").await.unwrap(), Some(b.clone()));
    assert_eq!(other.connection("c").await.unwrap(), None);
    assert_eq!(other.connections().await.unwrap(), [a, b]);
}

/// A name is given once.
pub async fn a_taken_name(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    store.create_connection(crm(1, "crm")).await.unwrap();
    assert_eq!(store.create_connection(crm(2, "crm")).await.unwrap(), Put::NameTaken);
    let (one, two) = tokio::join!(store.create_connection(crm(3, "erp")), other.create_connection(crm(4, "erp")));
    let taken = [one.unwrap(), two.unwrap()].iter().filter(|put| **put == Put::NameTaken).count();
    assert_eq!((taken, store.connections().await.unwrap().len()), (1, 2));
}

/// A change counts only on top of what its author saw.
pub async fn changed_and_stale(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let first = crm(1, "crm");
    store.create_connection(first.clone()).await.unwrap();
    let change = ConnectionRow { config: json!({"a": 1}), sealed: vec![9], updated_at: at(5), ..first.clone() };
    let Put::Done(second) = store.update_connection(change.clone()).await.unwrap() else { panic!("it was current") };
    assert!(second.revision > first.revision);
    assert_eq!((second.config.clone(), second.sealed.clone(), second.updated_at), (json!({"a": 1}), vec![9], at(5)));
    assert_eq!(store.connection("crm").await.unwrap(), Some(second.clone()));
    assert_eq!(store.update_connection(change).await.unwrap(), Put::Gone, "its author saw the first revision");
    assert_eq!(store.update_connection(crm(7, "nobody")).await.unwrap(), Put::Gone);
    assert_eq!(store.connection("crm").await.unwrap(), Some(second));
}

/// Removed once; the name is free again.
pub async fn removed(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let row = crm(1, "crm");
    store.create_connection(row.clone()).await.unwrap();
    assert!(store.delete_connection(row.id).await.unwrap());
    assert!(!store.delete_connection(row.id).await.unwrap());
    assert_eq!(store.update_connection(row).await.unwrap(), Put::Gone);
    assert!(store.connections().await.unwrap().is_empty());
    assert!(matches!(store.create_connection(crm(2, "crm")).await.unwrap(), Put::Done(_)));
}

/// Whatever changes connections changes the number others watch.
pub async fn the_catalogue_changes(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let mut seen = vec![other.catalogue_revision().await.unwrap()];
    let row = crm(1, "crm");
    store.create_connection(row.clone()).await.unwrap();
    seen.push(other.catalogue_revision().await.unwrap());
    store.update_connection(row.clone()).await.unwrap();
    seen.push(other.catalogue_revision().await.unwrap());
    store.delete_connection(row.id).await.unwrap();
    seen.push(other.catalogue_revision().await.unwrap());
    assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
}
