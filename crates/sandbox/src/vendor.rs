//! What a simulated system is to the rest of the sandbox.

use axum::{Router, response::Response};
use http::request::Parts;
use serde_json::Value as Json;

use crate::{Company, fault::Kind};

/// Why a system did not do what the control page asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Problem(pub String);

/// A list of records to look at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Table {
    /// Its name in the system.
    pub name: String,
    /// Records in it.
    pub rows: usize,
}

/// One simulated system. It holds its own records behind its own lock.
pub trait Vendor: Send + Sync + 'static {
    /// Its name in addresses and recipes: `stripe`.
    fn id(&self) -> &'static str;

    /// What people call it.
    fn title(&self) -> &'static str;

    /// Forgets everything and begins with the company's books and the first settings.
    fn reset(&self, company: &Company);

    /// What it answers over HTTP. Faults and the record of requests are laid around it.
    fn router(self: std::sync::Arc<Self>) -> Router;

    /// Its answer to a request that a fault refuses, in its own words: [`Kind::RateLimited`], [`Kind::ServerError`],
    /// [`Kind::Unavailable`], [`Kind::ExpiredSession`], [`Kind::DailyLimit`], [`Kind::Denied`]. Other kinds are not asked for.
    fn refusal(&self, kind: &Kind, request: &Parts) -> Response;

    /// What a client signs in with, and what else it must know: for people, tests and the demo.
    fn credentials(&self) -> Json;

    /// The settings as they are, such as how long a token lives.
    fn settings(&self) -> Json;

    /// Changes the named settings.
    ///
    /// # Errors
    /// When one is unknown or has no meaning; nothing is changed then.
    fn configure(&self, settings: &Json) -> Result<(), Problem>;

    /// Its tables.
    fn tables(&self) -> Vec<Table>;

    /// Records of a table in their order, from a place on; `None` when there is no such table.
    fn rows(&self, table: &str, from: usize, limit: usize) -> Option<Vec<Json>>;

    /// What can be made to happen: the name, what it does, and an example of its `with`.
    fn happenings(&self) -> Vec<(&'static str, &'static str, Json)>;

    /// Makes something happen as if a person had done it in the system, and tells what became of it.
    ///
    /// # Errors
    /// When the name is unknown or what it speaks of does not exist.
    fn happen(&self, name: &str, with: &Json) -> Result<Json, Problem>;
}
