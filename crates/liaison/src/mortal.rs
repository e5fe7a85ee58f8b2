//! A process that dies at a commit of its own, as if by `kill -9`: tests walk over every moment at which a kill can come.
//!
//! Debug builds only: no release can be told to do this.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use anyhow::Context;
use async_trait::async_trait;
use store::{
    Store, StoreError,
    conformance::faulty::{FaultyStore, Guard},
};

/// Names the commit, counted from 1, and the side of it: `7:before` it reaches the store, or `7:after` it is durable
/// and before anybody learns of it.
const VARIABLE: &str = "LIAISON_DIES_AT_COMMIT";

/// What changes a run, each in one transaction.
const COMMITS: [&str; 15] = [
    "answer",
    "begin_items",
    "cancel",
    "claim",
    "claim_others",
    "create_operation",
    "decide",
    "finish_items",
    "finish_poll",
    "free_runs",
    "replay",
    "resume",
    "settle_dead_letter",
    "sort_failures",
    "write",
];

/// The same store, or one whose process dies when the environment says so.
pub(crate) fn store(inner: Arc<dyn Store>) -> anyhow::Result<Arc<dyn Store>> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(inner) };
    let (at, side) = text.split_once(':').with_context(|| format!("{VARIABLE} is {text:?}; say 7:before or 7:after"))?;
    let after = match side {
        "before" => false,
        "after" => true,
        other => anyhow::bail!("{VARIABLE} is {text:?}; {other:?} is no side: say before or after"),
    };
    let guard = Mortal { at: at.parse()?, after, begun: AtomicU32::new(0), done: AtomicU32::new(0) };
    Ok(Arc::new(FaultyStore::guarded(inner, Arc::new(guard))))
}

struct Mortal {
    at: u32,
    after: bool,
    begun: AtomicU32,
    done: AtomicU32,
}

impl Mortal {
    async fn count(&self, verb: &str, count: &AtomicU32, after: bool) {
        if COMMITS.contains(&verb) && count.fetch_add(1, Ordering::SeqCst) + 1 == self.at && self.after == after {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            // Not one step more, however long the signal takes.
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Guard for Mortal {
    async fn before(&self, verb: &'static str) -> Result<(), StoreError> {
        self.count(verb, &self.begun, false).await;
        Ok(())
    }

    async fn after(&self, verb: &'static str) -> Result<(), StoreError> {
        self.count(verb, &self.done, true).await;
        Ok(())
    }
}
