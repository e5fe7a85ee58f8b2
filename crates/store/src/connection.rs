//! Connections as the store keeps them: settings in the open, credentials sealed.

use serde_json::Value as Json;

use crate::{ConnectionId, Timestamp};

/// One account in one outside system.
#[derive(Clone, PartialEq)]
pub struct ConnectionRow {
    /// Its id.
    pub id: ConnectionId,
    /// Its name, unique; recipes' logical names bind to it.
    pub name: String,
    /// The connector it belongs to.
    pub connector: String,
    /// Settings; nothing secret.
    pub config: Json,
    /// The credentials, sealed by the vault; empty when there are none.
    pub sealed: Vec<u8>,
    /// Changes with every write.
    pub revision: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl std::fmt::Debug for ConnectionRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionRow")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("connector", &self.connector)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Put {
    /// Written.
    Done(ConnectionRow),
    /// The name is taken by another connection.
    NameTaken,
    /// There is no such connection, or it changed since it was read.
    Gone,
}
