//! What must happen every so often: leases, other processes' news, removing what ran out.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use store::StoreError;

use crate::Engine;

/// Renews this process's lease and frees what dead processes held.
pub(crate) async fn keep_lease(engine: Arc<Engine>) {
    let pause = engine.settings.lease / 3;
    while rest(&engine, pause).await {
        if let Err(error) = engine.renew_lease().await {
            tracing::warn!(%error, "caretaker.lease: the store did not answer");
        }
    }
}

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

/// Removes keys and sessions whose time is over.
pub(crate) async fn keep_tidy(engine: Arc<Engine>) {
    while rest(&engine, engine.settings.prune_interval).await {
        match engine.store.prune(engine.now(), engine.settings.prune_rows_max).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "caretaker.prune"),
            Err(error) => tracing::warn!(%error, "caretaker.prune: the store did not answer"),
        }
    }
}

/// False when the engine stops.
async fn rest(engine: &Engine, pause: Duration) -> bool {
    tokio::select! {
        biased;
        () = tokio::time::sleep(pause) => true,
        () = engine.stopping.cancelled() => false,
    }
}

impl Engine {
    /// One round of lease keeping.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn renew_lease(&self) -> Result<(), StoreError> {
        self.set_clock().await?;
        let now = self.now();
        let lease_until = now.after(self.settings.lease);
        if !self.store.renew_worker(self.worker(), lease_until).await? {
            // This process was silent too long. Its runs belong to others; it goes on as a new worker.
            let worker = self.store.register_worker(&self.settings.worker_name, now, lease_until).await?;
            self.worker.store(worker.0, Ordering::SeqCst);
            tracing::warn!("caretaker.lease: this process was declared dead while it was silent; it goes on as a new worker");
        }
        let freed = self.store.reap_workers(now).await?;
        if freed > 0 {
            metrics::counter!("liaison_runs_freed_total").increment(freed);
            tracing::warn!(runs = freed, "caretaker.lease: runs of a dead process are free again");
            self.count_backlog().await?;
            self.wake_at(now);
        }
        Ok(())
    }
}
