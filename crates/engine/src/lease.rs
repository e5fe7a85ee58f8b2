//! Whether this process still owns what it took: its lease as it knows it.
//!
//! A run that belongs to this process while nobody in it drives it is let go: whatever went wrong between
//! taking it and driving it, such as a database whose answer never came, it goes on elsewhere.
//!
//! The fence in each commit keeps a process whose lease is over from writing. This keeps it from calling
//! anybody outside, too: a process that was frozen, or could not reach the database, asks before it goes on.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use store::{RunId, StoreError, Timestamp, WorkerId};
use tokio::sync::Notify;

use crate::Engine;

/// A run that is seen without a driver at so many renewals is let go.
const SIGHTINGS: u32 = 3;
/// Runs looked at in one round at most; there are more places than that in no process.
const OWNED_MAX: u32 = 100_000;

/// A lease is looked at so long after its end, because clocks are not exact.
const LATE: Duration = Duration::from_millis(20);

/// The lease ends this part of it earlier for whoever holds it than for the others.
const MARGIN_ONE_IN: u32 = 10;

/// How the last renewal of a lease went.
#[derive(Debug, Clone, Copy)]
pub struct LeaseState {
    /// How long ago the store took one.
    pub ago: Duration,
    /// A later one was not taken.
    pub failing: bool,
}

/// This process's lease.
pub(crate) struct Lease {
    worker: AtomicI64,
    /// Nothing is begun after this instant, in microseconds, without having asked.
    good_until: AtomicI64,
    /// When the store last took a renewal, in microseconds.
    taken_at: AtomicI64,
    /// Nobody is declared dead before this instant, in microseconds.
    reaps_from: AtomicI64,
    /// The last renewal was not taken.
    failing: AtomicBool,
    /// Somebody waits for the next renewal.
    wanted: Notify,
    renewed: Notify,
}

impl Lease {
    pub(crate) fn new(worker: WorkerId, now: Timestamp, good_until: Timestamp) -> Self {
        Self {
            worker: AtomicI64::new(worker.0),
            good_until: AtomicI64::new(good_until.micros()),
            taken_at: AtomicI64::new(now.micros()),
            reaps_from: AtomicI64::new(0),
            failing: AtomicBool::new(false),
            wanted: Notify::new(),
            renewed: Notify::new(),
        }
    }

    pub(crate) fn worker(&self) -> WorkerId {
        WorkerId(self.worker.load(Ordering::SeqCst))
    }

    fn renewed(&self, worker: WorkerId, good_until: Timestamp) {
        self.worker.store(worker.0, Ordering::SeqCst);
        self.good_until.store(good_until.micros(), Ordering::SeqCst);
        self.renewed.notify_waiters();
    }
}

/// Until when a lease taken now is kept: as the database has it, and as its holder goes by it.
pub(crate) fn terms(now: Timestamp, lease: Duration, clock_error: Duration) -> (Timestamp, Timestamp) {
    let margin = lease / MARGIN_ONE_IN + clock_error * 2;
    (now.after(lease), now.after(lease.saturating_sub(margin)))
}

/// Renews this process's lease and frees what dead processes held.
pub(crate) async fn keep(engine: Arc<Engine>) {
    let longest = engine.settings.lease / 3;
    let mut pause = longest;
    let mut strays = Strays::default();
    loop {
        tokio::select! {
            biased;
            () = engine.stopping.cancelled() => return,
            () = engine.lease.wanted.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
        let round = async {
            let next = engine.renew_lease().await?;
            strays.let_go(&engine).await?;
            Ok::<_, StoreError>(next)
        };
        pause = match round.await {
            // Whoever is not heard of again is declared dead the moment his lease is over: his runs wait for it.
            Ok(next) => next.map_or(longest, |at| at.since(engine.now()) + LATE).min(longest),
            Err(error) => {
                engine.lease.failing.store(true, Ordering::Relaxed);
                metrics::counter!("liaison_lease_renew_failed_total").increment(1);
                tracing::warn!(%error, "lease.renew: the store did not answer");
                tokio::time::sleep(engine.settings.lease / 30).await;
                longest
            }
        };
    }
}

/// Runs that belong to this process and that nobody drives, by how often that was seen.
#[derive(Default)]
struct Strays(HashMap<RunId, u32>);

impl Strays {
    async fn let_go(&mut self, engine: &Engine) -> Result<(), StoreError> {
        let (worker, now) = (engine.worker(), engine.now());
        let owned = engine.store.owned_runs(worker, OWNED_MAX).await?;
        let mut seen = std::mem::take(&mut self.0);
        {
            let driven = engine.driven.lock();
            let strays = owned.into_iter().filter(|run| !driven.contains_key(run));
            self.0 = strays.map(|run| (run, seen.remove(&run).unwrap_or(0) + 1)).collect();
        }
        let found: Vec<RunId> = self.0.iter().filter(|(_, seen)| **seen >= SIGHTINGS).map(|(run, _)| *run).collect();
        if found.is_empty() {
            return Ok(());
        }
        let freed = engine.store.free_runs(worker, &found, now).await?;
        metrics::counter!("liaison_runs_freed_total").increment(freed);
        tracing::warn!(runs = freed, "lease.stray: runs that nobody in this process drives are free again");
        engine.wake_at(now);
        Ok(())
    }
}

impl Engine {
    /// One round of lease keeping. Says when the next lease ends that is not renewed until then.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn renew_lease(&self) -> Result<Option<Timestamp>, StoreError> {
        self.time.compare(&*self.store).await?;
        let now = self.now();
        if now.since(Timestamp::from_micros(self.lease.taken_at.load(Ordering::Relaxed))) > self.settings.lease {
            // When we could not reach the store others could not, either, and have yet to say that they live.
            self.lease.reaps_from.store(now.after(self.settings.lease).micros(), Ordering::Relaxed);
        }
        let (until, good_until) = terms(now, self.settings.lease, self.time.error());
        if self.store.renew_worker(self.worker(), until).await? {
            self.lease.renewed(self.worker(), good_until);
        } else {
            // This process was silent too long. Its runs belong to others; it goes on as a new worker.
            let worker = self.store.register_worker(&self.settings.worker_name, now, until).await?;
            self.lease.renewed(worker, good_until);
            metrics::counter!("liaison_worker_declared_dead_total").increment(1);
            tracing::warn!("lease.renew: this process was declared dead while it was silent; it goes on as a new worker");
        }
        self.lease.taken_at.store(self.now().micros(), Ordering::Relaxed);
        self.lease.failing.store(false, Ordering::Relaxed);
        if now.micros() < self.lease.reaps_from.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let freed = self.store.reap_workers(now).await?;
        if freed.polls > 0 {
            self.polls.notify_one();
        }
        if freed.runs > 0 {
            metrics::counter!("liaison_runs_freed_total").increment(freed.runs);
            tracing::warn!(runs = freed.runs, "lease.reap: runs of a dead process are free again");
            self.count_backlog().await?;
            self.wake_at(now);
        }
        Ok(freed.next)
    }

    /// How the last renewal of this process's lease went: whether it can write to the store.
    #[must_use]
    pub fn lease_state(&self) -> LeaseState {
        LeaseState {
            ago: self.now().since(Timestamp::from_micros(self.lease.taken_at.load(Ordering::Relaxed))),
            failing: self.lease.failing.load(Ordering::Relaxed),
        }
    }

    /// Has the worker ask for work at once, so that whoever wonders sees whether it can.
    pub fn nudge_worker(&self) {
        self.wake.notify_one();
    }

    /// Whether what `owner` took may still be acted on; waits for the next renewal when that is not known.
    pub(crate) async fn still_owns(&self, owner: WorkerId) -> bool {
        let good = || self.now().micros() < self.lease.good_until.load(Ordering::SeqCst) && !self.time.is_doubtful();
        // Nearly always: nothing has to be waited for then.
        // Whether the lease is good is asked first: one that was lost and taken anew between the two has another owner.
        if good() && self.worker() == owner {
            return true;
        }
        loop {
            let renewed = self.lease.renewed.notified();
            tokio::pin!(renewed);
            renewed.as_mut().enable();
            let good = good();
            if self.worker() != owner {
                return false;
            }
            if good {
                return true;
            }
            self.lease.wanted.notify_one();
            tokio::select! {
                biased;
                () = renewed => {}
                // The caretaker is gone; the run is freed with everything else when the process stops.
                () = self.stopping.cancelled() => return false,
            }
        }
    }
}
