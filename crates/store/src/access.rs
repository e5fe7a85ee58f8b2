//! Who may come in: API keys and browser sessions. Only hashes are kept.

use crate::{KeyId, Timestamp};

/// One API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the key text.
    pub hash: [u8; 32],
    /// What it may do: `admin`, `recipes:read`, `recipes:write`, `runs:read`, `runs:write`, `connections:write`.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// One signed-in browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// SHA-256 of the cookie.
    pub hash: [u8; 32],
    /// Whom it belongs to.
    pub user: String,
    /// When it ends.
    pub expires_at: Timestamp,
}
