//! Every bound of the engine, with its unit in its name.

use std::time::Duration;

/// How the engine behaves. Every field has a safe default.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The name other processes and people see for this process.
    pub worker_name: String,
    /// Where this installation is reached from outside, such as `https://liaison.example`: the beginning
    /// of the addresses at which runs are called back.
    pub public_url: String,
    /// This process runs runs.
    pub works: bool,
    /// Other processes may work on the same store: it is looked at every `poll_interval`.
    pub shared_store: bool,
    /// This process fires schedules.
    pub schedules: bool,
    /// Runs in memory at once; more wait in the store.
    pub runs_in_flight_max: usize,
    /// For each place in memory that is free a recipe may have so many of its runs there: 7 gives one recipe alone
    /// seven eighths of the places, and leaves some to others however many there are.
    pub recipe_share: usize,
    /// Runs waiting in the store before intake answers 429.
    pub backlog_max: u32,
    /// How long intake lets a sender wait for room before it queues the event in the store. This
    /// paces fast senders to what the engine finishes, so that the backlog stays short.
    pub intake_patience: Duration,
    /// What `Retry-After` says when intake refuses.
    pub busy_retry_after: Duration,
    /// A process that is silent for so long owns nothing any more.
    pub lease: Duration,
    /// How often other processes' work is looked for when no notice comes.
    pub poll_interval: Duration,
    /// How often other processes' changes of circuits and pauses are looked for, where there are connections.
    pub gates_interval: Duration,
    /// A retry due sooner than this waits in memory, a later one in the store.
    pub retry_in_memory_max: Duration,
    /// How long one attempt may take when the step does not say.
    pub step_timeout: Duration,
    /// Steps that wait for a time are over as soon as they are reached: for trying a recipe out.
    pub skips_waits: bool,
    /// How long an orderly stop waits for attempts under way.
    pub stop_patience: Duration,
    /// Triggers that ask their systems at the same time, in one process.
    pub polls_at_once: usize,
    /// How long one question of a trigger may take.
    pub poll_timeout: Duration,
    /// The shortest pause a trigger comes to by itself between two questions.
    pub poll_pause_min: Duration,
    /// The longest.
    pub poll_pause_max: Duration,
    /// What systems told of their objects is believed for so long.
    pub shape_age_max: Duration,
    /// How long checking a recipe waits for systems to tell of their objects; what comes later is there for the next check.
    pub shape_patience: Duration,
    /// How often alarms are looked at.
    pub alarm_interval: Duration,
    /// How often what ran out is removed.
    pub prune_interval: Duration,
    /// How many rows one removal takes at most.
    pub prune_rows_max: u32,
    /// How long what is over is kept.
    pub retention: crate::Retention,
    /// An event may be so large.
    pub event_bytes_max: usize,
    /// A value of a run that takes more bytes as JSON is kept apart from its journal.
    pub payload_inline_bytes_max: usize,
    /// The values of all runs in memory may take so many bytes as JSON before those that hold much step aside.
    pub payloads_in_memory_bytes_max: u64,
    /// One file may be so large.
    pub file_bytes_max: u64,
    /// All kept content together may take so many bytes, compressed, before new files are refused.
    pub blobs_bytes_max: u64,
    /// Content that no run refers to stays for so long.
    pub blob_grace: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            worker_name: "liaison".to_owned(),
            public_url: "http://127.0.0.1:8080".to_owned(),
            works: true,
            shared_store: false,
            schedules: true,
            runs_in_flight_max: 256,
            recipe_share: 7,
            backlog_max: 20_000,
            intake_patience: Duration::from_millis(1_000),
            busy_retry_after: Duration::from_secs(5),
            lease: Duration::from_secs(10),
            poll_interval: Duration::from_secs(1),
            gates_interval: Duration::from_millis(500),
            retry_in_memory_max: Duration::from_secs(2),
            step_timeout: Duration::from_secs(60),
            skips_waits: false,
            stop_patience: Duration::from_secs(20),
            polls_at_once: 16,
            poll_timeout: Duration::from_secs(60),
            poll_pause_min: Duration::from_secs(10),
            poll_pause_max: Duration::from_secs(3600),
            shape_age_max: Duration::from_secs(24 * 3600),
            shape_patience: Duration::from_secs(2),
            alarm_interval: Duration::from_secs(10),
            prune_interval: Duration::from_secs(600),
            prune_rows_max: 10_000,
            retention: crate::Retention::default(),
            event_bytes_max: 2 * 1024 * 1024,
            payload_inline_bytes_max: 256 * 1024,
            payloads_in_memory_bytes_max: 128 * 1024 * 1024,
            file_bytes_max: 1024 * 1024 * 1024,
            blobs_bytes_max: 20 * 1024 * 1024 * 1024,
            blob_grace: Duration::from_secs(3600),
        }
    }
}
