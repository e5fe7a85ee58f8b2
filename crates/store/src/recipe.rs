//! Recipes, their versions and their schedules as the store keeps them.

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::{RecipeId, Timestamp};

/// A recipe with its latest and its active version.
#[derive(Debug, Clone, PartialEq)]
pub struct RecipeRow {
    /// Its id.
    pub id: RecipeId,
    /// Its slug, unique.
    pub slug: String,
    /// What people call it; the slug when the text gives no title.
    pub title: String,
    /// The newest version.
    pub latest_version: i32,
    /// The version that runs; `None` when switched off.
    pub active_version: Option<i32>,
    /// Parameters set at activation.
    pub params: Json,
    /// The unguessable part of its web address.
    pub hook_token: String,
    /// Changes with every write; what `If-Match` is compared with.
    pub revision: i64,
    /// When it was first saved.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One immutable saved text.
#[derive(Debug, Clone, PartialEq)]
pub struct RecipeVersion {
    /// The recipe.
    pub recipe: RecipeId,
    /// Counts from 1.
    pub version: i32,
    /// The text.
    pub text: String,
    /// SHA-256 of the text, in hex.
    pub hash: String,
    /// When it was saved.
    pub created_at: Timestamp,
    /// Who saved it.
    pub created_by: String,
}

/// The hash two equal texts share: SHA-256 in hex.
#[must_use]
pub fn text_hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// A text to save.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// The recipe's id if it is new.
    pub id: RecipeId,
    /// The slug.
    pub slug: String,
    /// The title.
    pub title: String,
    /// The text.
    pub text: String,
    /// SHA-256 of the text, in hex.
    pub hash: String,
    /// The unguessable part of its web address if it is new.
    pub hook_token: String,
    /// The revision the author saw; `None` saves over whatever is there.
    pub if_revision: Option<i64>,
    /// Now.
    pub at: Timestamp,
    /// Who.
    pub by: String,
}

/// What became of a [`NewVersion`].
#[derive(Debug, Clone, PartialEq)]
pub enum Saved {
    /// The recipe did not exist.
    Created(RecipeRow),
    /// A new version.
    Updated(RecipeRow),
    /// The newest version has the same text; nothing was written.
    Unchanged(RecipeRow),
    /// Somebody else changed it since; nothing was written.
    Stale(RecipeRow),
}

/// What became of switching a version on under a condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Activated {
    /// It is on.
    On(RecipeRow),
    /// There is no such recipe or version; nothing was written.
    Missing,
    /// Recipes or connections changed since the number was read; nothing was written.
    Moved,
}

/// A recipe that is switched on, with everything needed to run it.
#[derive(Debug, Clone)]
pub struct ActiveRecipe {
    /// The recipe.
    pub row: RecipeRow,
    /// The text of its active version.
    pub text: String,
    /// For schedules: fire times up to here are done.
    pub schedule_cursor: Option<Timestamp>,
}

/// What a recipe did lately, for lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecipeStats {
    /// Runs accepted in the period.
    pub runs: i64,
    /// Of these, succeeded.
    pub succeeded: i64,
    /// Of these, failed.
    pub failed: i64,
    /// When the newest was accepted.
    pub last_run_at: Option<Timestamp>,
}
