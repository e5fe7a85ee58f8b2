//! Notices between processes: one connection listens, whoever waits wakes.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use sqlx::{
    PgConnection,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use store::StoreError;
use tokio::{sync::watch, task::JoinHandle};

use crate::error::failed;

/// The channel; its messages say nothing but "look".
const CHANNEL: &str = "liaison_work";
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Tells every process that listens to look, once the transaction under way is durable.
pub(crate) async fn give(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("select pg_notify('liaison_work', '')").execute(connection).await.map(drop).map_err(failed)
}

/// Listens from the first wait on.
#[derive(Debug)]
pub(crate) struct Notices {
    target: PgConnectOptions,
    reach_within: Duration,
    // How many notices came.
    count: watch::Sender<u64>,
    // How many of them somebody has seen: those that came while nobody waited wake the next who does.
    seen: AtomicU64,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl Notices {
    pub(crate) fn new(target: PgConnectOptions, reach_within: Duration) -> Self {
        Self { target, reach_within, count: watch::Sender::new(0), seen: AtomicU64::new(0), listening: Mutex::new(None) }
    }

    /// Waits for the next notice; several that came since the last wait count as one.
    pub(crate) async fn next(&self) {
        let mut count = self.count.subscribe();
        self.listening
            .lock()
            .get_or_insert_with(|| tokio::spawn(listen(self.target.clone(), self.reach_within, self.count.clone())));
        let seen = self.seen.load(Ordering::SeqCst);
        match count.wait_for(|count| *count > seen).await.map(|count| *count) {
            Ok(count) => drop(self.seen.fetch_max(count, Ordering::SeqCst)),
            // The sender is ours; it cannot be gone.
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops listening.
    pub(crate) fn stop(&self) {
        if let Some(listening) = self.listening.lock().take() {
            listening.abort();
        }
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn listen(target: PgConnectOptions, reach_within: Duration, count: watch::Sender<u64>) {
    // A pool of its own: the connection that listens is never taken from those that work.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(reach_within)
        .connect_lazy_with(target);
    let mut pause = PAUSE_MIN;
    loop {
        match hear(&pool, &count, &mut pause).await {
            Ok(()) => tracing::debug!("store.notice: the connection that listens was lost"),
            Err(error) => tracing::debug!(%error, "store.notice: cannot listen"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Listens until the connection is lost.
async fn hear(pool: &sqlx::PgPool, count: &watch::Sender<u64>, pause: &mut Duration) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    *pause = PAUSE_MIN;
    // Whatever was said before we listened: look.
    count.send_modify(|count| *count += 1);
    while listener.try_recv().await?.is_some() {
        count.send_modify(|count| *count += 1);
    }
    Ok(())
}
