//! Tells whoever watches that a run changed. Only a hint: the store is the truth.

use store::RunId;
use tokio::sync::broadcast;

/// Changes kept for a slow watcher before it is told to look for itself.
const BACKLOG: usize = 1024;

/// The hints of this process.
#[derive(Debug, Clone)]
pub struct Live {
    changes: broadcast::Sender<RunId>,
}

impl Default for Live {
    fn default() -> Self {
        Self { changes: broadcast::channel(BACKLOG).0 }
    }
}

impl Live {
    /// A run changed.
    pub fn changed(&self, run: RunId) {
        if self.changes.receiver_count() > 0 {
            // Nobody listening any more is fine.
            drop(self.changes.send(run));
        }
    }

    /// Watches all runs of this process.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<RunId> {
        self.changes.subscribe()
    }
}
