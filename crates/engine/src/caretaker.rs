//! What must happen every so often: other processes' news, removing what ran out.

use std::{sync::Arc, time::Duration};

use crate::Engine;

/// Looks for changes other processes made, at every notice and at every poll.
pub(crate) async fn keep_watch(engine: Arc<Engine>) {
    while !engine.is_stopping() {
        tokio::select! {
            biased;
            () = engine.store.wait_for_notice() => {}
            () = tokio::time::sleep(engine.settings.poll_interval), if engine.settings.shared_store => {}
            () = engine.stopping.cancelled() => return,
        }
        // Those who wait may have waited for just this.
        engine.wake.notify_one();
        let looked = async {
            engine.refresh().await?;
            engine.count_backlog().await
        };
        if let Err(error) = looked.await {
            tracing::warn!(%error, "caretaker.watch: the store did not answer");
            tokio::time::sleep(engine.settings.poll_interval).await;
        }
    }
}

/// Removes sessions and kept requests whose time is over.
pub(crate) async fn keep_tidy(engine: Arc<Engine>) {
    while engine.rest(engine.settings.prune_interval).await {
        match engine.store.prune(engine.now(), engine.settings.prune_rows_max).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "caretaker.prune"),
            Err(error) => tracing::warn!(%error, "caretaker.prune: the store did not answer"),
        }
    }
}

impl Engine {
    /// Waits. False when the engine stops meanwhile.
    pub(crate) async fn rest(&self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}
