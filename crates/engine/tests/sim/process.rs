//! One process: an engine behind a guard that kills it, freezes it and loses its answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use connector::http::{Http, HttpOptions};
use engine::{Engine, EngineSettings, Parts, Retention};
use store::{
    Clock, GroupSettings, MasterKey, Store, StoreError, Timestamp, Vault, Writer,
    conformance::faulty::{FaultyStore, Guard},
};

use crate::outside::{World, connectors};

const FOREVER: Duration = Duration::from_secs(1 << 32);

/// Whether a process lives, and until when it stands still.
#[derive(Clone, Default)]
pub(crate) struct Life(Arc<Inner>);

#[derive(Default)]
struct Inner {
    dead: AtomicBool,
    /// Microseconds of true time.
    frozen_until: AtomicI64,
    /// Dies at this write, counted from 1; 0 for never.
    dies_at: AtomicU64,
    dies_after: AtomicBool,
    writes: AtomicU64,
}

impl Life {
    /// Never comes back in a dead process.
    pub(crate) async fn alive(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.dead.load(Ordering::SeqCst)
    }

    pub(crate) fn kill(&self) {
        self.0.dead.store(true, Ordering::SeqCst);
    }

    pub(crate) fn kill_at_write(&self, in_writes: u64, after: bool) {
        self.0.dies_after.store(after, Ordering::SeqCst);
        self.0.dies_at.store(self.0.writes.load(Ordering::SeqCst) + in_writes, Ordering::SeqCst);
    }

    pub(crate) fn freeze(&self, until: Timestamp) {
        self.0.frozen_until.store(until.micros(), Ordering::SeqCst);
    }
}

struct Gate {
    world: World,
    life: Life,
}

impl Gate {
    async fn pass(&self) {
        self.life.alive().await;
        let until = Timestamp::from_micros(self.life.0.frozen_until.load(Ordering::SeqCst));
        let pause = until.since(self.world.now());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
            self.life.alive().await;
        }
    }

    fn dies_here(&self, after: bool) {
        let inner = &self.life.0;
        let at = inner.dies_at.load(Ordering::SeqCst);
        if at != 0 && inner.writes.load(Ordering::SeqCst) >= at && inner.dies_after.load(Ordering::SeqCst) == after {
            self.life.kill();
        }
    }
}

#[async_trait]
impl Guard for Gate {
    async fn before(&self, verb: &'static str) -> Result<(), StoreError> {
        self.pass().await;
        tokio::time::sleep(Duration::from_micros(self.world.dice(2_000))).await;
        if verb == "write" {
            self.life.0.writes.fetch_add(1, Ordering::SeqCst);
            self.dies_here(false);
        }
        self.pass().await;
        if self.world.goes_wrong(2) { Err(away()) } else { Ok(()) }
    }

    async fn after(&self, verb: &'static str) -> Result<(), StoreError> {
        if verb == "write" {
            self.dies_here(true);
        }
        self.pass().await;
        // Only what may be written again can lose its answer; the other verbs see to that in the store itself.
        if verb == "write" && self.world.goes_wrong(2) { Err(away()) } else { Ok(()) }
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("the simulation says so".to_owned())
}

/// How wrong a clock is at most, before or behind.
const WRONG_MAX_US: i64 = 300_000_000;

/// A clock that is wrong by so much, until somebody sets it.
struct Wrong {
    world: World,
    ahead_us: AtomicI64,
}

impl Wrong {
    fn new(world: &World) -> Self {
        Self { world: world.clone(), ahead_us: AtomicI64::new(Self::some(world)) }
    }

    fn some(world: &World) -> i64 {
        i64::try_from(world.dice(2 * WRONG_MAX_US.unsigned_abs())).unwrap_or(0) - WRONG_MAX_US
    }
}

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.world.now().micros() + self.ahead_us.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Duration {
        self.world.now().since(Timestamp::default())
    }
}

/// What seals secrets in every process.
pub(crate) fn vault(store: &Arc<dyn Store>) -> Vault {
    Vault::new(MasterKey::new([3; 32]), Arc::clone(store))
}

/// A process.
pub(crate) struct Process {
    pub(crate) engine: Arc<Engine>,
    pub(crate) life: Life,
    clock: Arc<Wrong>,
}

impl Process {
    /// Somebody sets its clock, and not to the right time.
    pub(crate) fn set_clock(&self, world: &World) {
        self.clock.ahead_us.store(Wrong::some(world), Ordering::SeqCst);
    }

    /// Starts one; `None` when the store did not let it.
    pub(crate) async fn start(world: &World) -> Option<Self> {
        let life = Life::default();
        let gate = Gate { world: world.clone(), life: life.clone() };
        let store: Arc<dyn Store> = Arc::new(FaultyStore::guarded(Arc::clone(&world.store) as Arc<dyn Store>, Arc::new(gate)));
        let clock = Arc::new(Wrong::new(world));
        let settings = EngineSettings {
            shared_store: true,
            runs_in_flight_max: 4,
            payloads_in_memory_bytes_max: world.memory_bytes,
            lease: Duration::from_secs(10),
            poll_interval: Duration::from_secs(15),
            gates_interval: Duration::from_secs(10),
            step_timeout: Duration::from_secs(20),
            // Nothing grows old in a simulation.
            retention: Retention { interval: FOREVER, tidy_interval: FOREVER, ..Retention::default() },
            ..EngineSettings::default()
        };
        let parts = Parts {
            writer: Writer::start(Arc::clone(&store), GroupSettings { group_max: 8, ..GroupSettings::default() }),
            vault: Arc::new(vault(&store)),
            store,
            connectors: Arc::new(connectors(world, &life)),
            http: Http::new(HttpOptions::default()).ok()?,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            seed: world.dice(u64::MAX),
            settings,
        };
        Some(Self { engine: Engine::start(parts).await.ok()?, life, clock })
    }
}
