//! What systems told of their objects, kept for a while.

use async_trait::async_trait;

use crate::{ConnectionId, StoreError, Timestamp};

/// What a system told, as text: of one object, or of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeRow {
    /// The connection it was asked through.
    pub connection: ConnectionId,
    /// The object; empty for the list of all.
    pub object: String,
    /// The connection's revision when it was asked: another one may lead to another system.
    pub revision: i64,
    /// JSON.
    pub told: String,
    /// When.
    pub asked_at: Timestamp,
}

/// What is kept of systems' objects. Each verb is one transaction.
#[async_trait]
pub trait Shapes: Send + Sync + 'static {
    /// Keeps what was told, in place of what was told before. Of more than `rows_max` in all the oldest go.
    async fn keep_shape(&self, row: &ShapeRow, rows_max: u32) -> Result<(), StoreError>;

    /// What was told of an object of a connection.
    async fn shape(&self, connection: ConnectionId, object: &str) -> Result<Option<ShapeRow>, StoreError>;
}
