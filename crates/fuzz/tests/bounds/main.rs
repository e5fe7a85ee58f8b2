//! The worst recipes anyone could send: a coded answer in under a second and in bounded memory.
//!
//! `cargo test --release -p fuzz --test bounds -- --nocapture` prints what each costs.

#![expect(clippy::print_stdout, reason = "the figures are for whoever asks for them")]

mod inputs;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use recipe::Severity;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Longest time for an answer. A debug build is some ten times slower.
const ANSWER_MAX: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
/// Most memory for an answer, the text apart: a list of half a million items needs most of it.
const ANSWER_BYTES_MAX: usize = 192 * 1024 * 1024;
/// Most problems of an answer.
const PROBLEMS_MAX: usize = 201;

/// How long this thread has worked, where the system tells; else how long it has been there, which is
/// more on a busy machine.
fn worked() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

// One test, because memory is counted for the whole process.
#[test]
fn the_worst_recipes_are_answered_soon_and_in_bounded_memory() {
    let catalogue = fuzz::catalogue();
    let mut broken = Vec::new();
    for (name, expected, text) in inputs::all() {
        MEMORY.reset_peak_usage();
        let (before, start) = (MEMORY.current_usage(), worked());
        let parsed = recipe::parse_and_check(&text, &catalogue);
        let took = worked() - start;
        let memory = MEMORY.peak_usage() - before;
        let errors: Vec<_> = parsed.diagnostics.iter().filter(|d| d.severity == Severity::Error).map(|d| d.code).collect();
        let first = errors.first().copied().unwrap_or("none");
        println!(
            "{name:<44} {:>8} bytes {:>5} ms {:>4} MB {:>4} problems, first error {first}",
            text.len(),
            took.as_millis(),
            memory / 1_000_000,
            parsed.diagnostics.len()
        );
        if took > ANSWER_MAX || memory > ANSWER_BYTES_MAX || parsed.diagnostics.len() > PROBLEMS_MAX || first != expected {
            broken.push((name, took, memory, parsed.diagnostics.len(), first));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
