//! Accepts events, runs recipes, keeps the promises.
//!
//! The engine takes its clock, its dice, its store and its connectors from outside and knows none of
//! them by name. What it decides is pure ([`decide`]); what it does is made durable first. It never
//! speaks SQL or HTTP.

mod activate;
mod address;
pub mod alarm;
mod beside;
mod call;
mod caretaker;
pub mod catalogue;
mod clock;
pub mod control;
pub mod cron;
pub mod decide;
mod drive;
mod files;
pub mod fingerprint;
mod forget;
mod frame;
pub mod gate;
mod health;
mod idle;
mod intake;
mod keeper;
mod lease;
mod letters;
mod live;
pub mod measure;
mod not_yet;
pub mod operations;
mod payloads;
mod places;
mod poll;
mod program;
mod reading;
mod registry;
pub mod resume;
mod retention;
pub mod retry;
pub mod schedule;
mod settings;
mod shapes;
mod sign_in;
mod spill;
mod talk;
mod template;
mod to_its_end;
pub mod trace;
pub mod trial;
mod worker;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use connector::{Connection, Connector, http::Http};
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use store::{Clock, RecipeId, RunId, Store, StoreError, Then, Timestamp, Vault, WorkerId, Writer};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use crate::{
    activate::ActivateError,
    address::Addresses,
    decide::REPEAT_TOO_LATE,
    drive::idempotency_key,
    frame::id_of,
    gate::Forecast,
    health::{Health, HealthView},
    intake::{Event, Intake, IntakeError, ReplayOf},
    lease::LeaseState,
    live::Live,
    not_yet::not_yet,
    poll::{PollCount, PollError},
    program::{CompileSettings, DEDUPE_KEEP_DEFAULT, OutlineStep, Program, uses_in},
    registry::{Catalogue, LiveRecipe},
    retention::Retention,
    settings::EngineSettings,
    shapes::{Known, ShapeError, Told, check_against},
    sign_in::{Begun, CALLBACK_PATH, PendingSignIn, SignInError},
    talk::{Decision, TalkError},
    to_its_end::ToItsEnd,
};
use crate::{clock::SharedClock, lease::Lease, program::CompileSettings as Compile, registry::Registry};

/// What the keepers' rounds that are under way get to end when the engine stops; all they do is done again at the next start.
const KEEPERS_PATIENCE: Duration = Duration::from_secs(2);

/// What an engine is made of.
pub struct Parts {
    /// Where everything durable lives.
    pub store: Arc<dyn Store>,
    /// The store's grouped writes.
    pub writer: Writer,
    /// The connectors of this build.
    pub connectors: Arc<Vec<Connector>>,
    /// Opens connections' secrets.
    pub vault: Arc<Vault>,
    /// The client actions call out with.
    pub http: Http,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where the dice come from.
    pub seed: u64,
    /// Bounds.
    pub settings: EngineSettings,
}

/// The engine of one process.
pub struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) writer: Writer,
    /// The connectors of this build.
    pub connectors: Arc<Vec<Connector>>,
    /// Seals connections' secrets.
    pub vault: Arc<Vault>,
    pub(crate) http: Http,
    pub(crate) settings: EngineSettings,
    pub(crate) registry: Registry,
    pub(crate) gates: gate::Gates,
    pub(crate) health: health::Memory,
    /// Tells whoever watches that a run changed.
    pub live: Live,
    pub(crate) places: Arc<places::Places>,
    pub(crate) payloads: Arc<payloads::Payloads>,
    pub(crate) slots_taken: AtomicUsize,
    /// The worker found no place when it last looked.
    pub(crate) starved: AtomicBool,
    /// The runs that somebody in this process drives, with the epoch they are driven under.
    pub(crate) driven: Mutex<HashMap<RunId, i64>>,
    pub(crate) backlog: AtomicU32,
    pub(crate) backlog_moved: Notify,
    pub(crate) lease: Lease,
    /// Wakes the one worker loop of this process.
    pub(crate) wake: Notify,
    pub(crate) catalogue_changed: Notify,
    pub(crate) wake_at: AtomicI64,
    pub(crate) claimed_at: AtomicI64,
    pub(crate) stopping: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Wakes whoever looks after dead letters.
    pub(crate) letters: letters::Signals,
    /// Wakes whoever takes the data out of runs that are over.
    pub(crate) forgets: Notify,
    /// Wakes whoever asks for triggers that ask.
    pub(crate) polls: Notify,
    pub(crate) schedules: schedule::Memory,
    pub(crate) alarms: alarm::Memory,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) asking: shapes::Asking,
    /// What all blobs take, when it was last counted.
    pub(crate) blob_bytes: AtomicU64,
    pub(crate) time: SharedClock,
    dice: Mutex<SmallRng>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// Registers this process, reads what is switched on, and starts working.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn start(parts: Parts) -> Result<Arc<Self>, StoreError> {
        let time = SharedClock::start(Arc::clone(&parts.clock), &*parts.store).await?;
        let now = time.now();
        let compile = Compile { step_timeout: parts.settings.step_timeout, skips_waits: parts.settings.skips_waits };
        let (lease_until, good_until) = lease::terms(now, parts.settings.lease, time.error());
        let worker = parts.store.register_worker(&parts.settings.worker_name, now, lease_until).await?;
        let addresses = Arc::new(talk::addresses(&*parts.store, &parts.vault, &parts.settings.public_url).await?);
        let engine = Arc::new(Self {
            addresses,
            asking: shapes::Asking::default(),
            blob_bytes: AtomicU64::new(0),
            time,
            registry: Registry::new(Arc::clone(&parts.connectors), Arc::clone(&parts.vault), compile),
            gates: gate::Gates::default(),
            health: health::Memory::default(),
            places: places::Places::new(parts.settings.runs_in_flight_max, parts.settings.recipe_share),
            payloads: payloads::Payloads::new(parts.settings.payloads_in_memory_bytes_max, parts.settings.runs_in_flight_max),
            slots_taken: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
            driven: Mutex::default(),
            store: parts.store,
            writer: parts.writer,
            connectors: parts.connectors,
            vault: parts.vault,
            http: parts.http,
            settings: parts.settings,
            live: Live::default(),
            backlog: AtomicU32::new(0),
            backlog_moved: Notify::new(),
            lease: Lease::new(worker, now, good_until),
            wake: Notify::new(),
            catalogue_changed: Notify::new(),
            wake_at: AtomicI64::new(i64::MAX),
            claimed_at: AtomicI64::new(now.micros()),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            letters: letters::Signals::default(),
            forgets: Notify::new(),
            polls: Notify::new(),
            schedules: schedule::Memory::default(),
            alarms: alarm::Memory::default(),
            dice: Mutex::new(SmallRng::seed_from_u64(parts.seed)),
        });
        engine.http.keep_tokens_with(Arc::new(keeper::StoreKeeper(Arc::downgrade(&engine))));
        engine.http.tell_limits_to(Arc::new(gate::Limits(Arc::downgrade(&engine))));
        engine.http.keep_files_with(Arc::new(files::EngineFiles(Arc::downgrade(&engine))));
        engine.registry.refresh(&*engine.store).await?;
        engine.count_backlog().await?;
        engine.gates.prepare(&engine).await?;
        engine.tasks.spawn(gate::keeper::keep_gates(Arc::clone(&engine)));
        engine.tasks.spawn(lease::keep(Arc::clone(&engine)));
        engine.tasks.spawn(caretaker::keep_watch(Arc::clone(&engine)));
        engine.tasks.spawn(caretaker::keep_tidy(Arc::clone(&engine)));
        engine.tasks.spawn(retention::keep_history(Arc::clone(&engine)));
        engine.tasks.spawn(retention::keep_small(Arc::clone(&engine)));
        engine.tasks.spawn(forget::keep_forgetting(Arc::clone(&engine)));
        engine.tasks.spawn(spill::keep_swept(Arc::clone(&engine)));
        engine.tasks.spawn(letters::keep_sorted(Arc::clone(&engine)));
        engine.tasks.spawn(idle::keep_alive(Arc::clone(&engine)));
        if engine.settings.works {
            engine.tasks.spawn(operations::keep_going(Arc::clone(&engine)));
            engine.tasks.spawn(worker::work(Arc::clone(&engine)));
        }
        if engine.settings.schedules {
            engine.tasks.spawn(schedule::fire(Arc::clone(&engine)));
            engine.tasks.spawn(poll::ask(Arc::clone(&engine)));
            engine.tasks.spawn(alarm::keep_looking(Arc::clone(&engine)));
            engine.tasks.spawn(alarm::keep_delivering(Arc::clone(&engine)));
        }
        Ok(engine)
    }

    /// Stops in good order: takes nothing new, lets attempts under way end, frees what it owns.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        let everything = self.places.all(self.settings.runs_in_flight_max);
        if tokio::time::timeout(self.settings.stop_patience, everything).await.is_err() {
            tracing::warn!("engine.stop: some attempts did not end in time; their runs go on elsewhere or at the next start");
        }
        match self.store.release_worker(self.worker(), self.now()).await {
            Ok(runs) => tracing::info!(runs, "engine.stop: runs given back"),
            Err(error) => tracing::warn!(%error, "engine.stop: runs are freed when the lease ends"),
        }
        // The store is closed next: a keeper in the middle of its round would call that a store that does not answer.
        if tokio::time::timeout(KEEPERS_PATIENCE, self.tasks.wait()).await.is_err() {
            tracing::debug!("engine.stop: a keeper's round did not end in time");
        }
    }

    /// True once [`Engine::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Ends when the engine stops.
    pub async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// The current instant, by the database's clock where several processes share one.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// The store, for reading pages and for changes that are not the engine's.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The bounds in force.
    #[must_use]
    pub const fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// Everything switched on.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.registry.current())
    }

    /// Reads anew what is switched on, after a change made in this process.
    ///
    /// # Errors
    /// When the store does not answer; the old picture stays.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let before = self.catalogue();
        if self.registry.refresh(&*self.store).await? {
            for (name, revision) in &self.catalogue().connection_revisions {
                if before.connection_revisions.get(name).is_some_and(|known| known != revision) {
                    self.http.recheck_tokens(name);
                }
            }
            self.catalogue_changed.notify_waiters();
            self.gates.stir.notify_one();
        }
        Ok(())
    }

    /// Ten random bytes for an id.
    #[must_use]
    pub fn random(&self) -> [u8; 10] {
        self.dice.lock().random()
    }

    /// How many runs this process has in memory.
    #[must_use]
    pub fn runs_in_memory(&self) -> usize {
        self.slots_taken.load(Ordering::Relaxed)
    }

    /// Bytes of JSON that the values of these runs take together.
    #[must_use]
    pub fn payload_bytes_in_memory(&self) -> u64 {
        self.payloads.held()
    }

    /// How many runs wait in the store, as far as this process knows.
    #[must_use]
    pub fn backlog(&self) -> u32 {
        self.backlog.load(Ordering::Relaxed)
    }

    /// How long ago this process last asked the store for work and got an answer.
    #[must_use]
    pub fn since_last_claim(&self) -> Duration {
        self.now().since(Timestamp::from_micros(self.claimed_at.load(Ordering::Relaxed)))
    }

    pub(crate) fn dice(&self) -> f64 {
        self.dice.lock().random::<f64>()
    }

    pub(crate) fn worker(&self) -> WorkerId {
        self.lease.worker()
    }

    pub(crate) fn connection(&self, name: &str) -> Option<Arc<Connection>> {
        self.registry.current().connections.get(name).map(Arc::clone)
    }

    pub(crate) fn run_text(&self, run: RunId) -> Arc<str> {
        run.to_string().into()
    }

    /// The compiled text of any version.
    ///
    /// # Errors
    /// When the store does not answer or the version cannot run on this build.
    pub async fn program(&self, recipe: RecipeId, version: i32) -> Result<Arc<Program>, StoreError> {
        self.registry.program(&*self.store, recipe, version).await
    }

    /// Counts a run that ended or parked, for the metrics.
    pub(crate) fn count_end(&self, program: &Program, then: &Then, state: &decide::RunState) {
        if then.status().is_final() {
            self.letters.ended(then);
            measure::ended(program, then, state.journal.accepted_at);
            trace::ended(state.id, program, &state.journal, then);
            measure::log_end(self, program, state.id, then);
            if program.keeps.is_some() {
                self.forgets.notify_one();
            }
        }
    }
}
