//! Two of a kind in alternating rounds: what else the machine does meanwhile must not decide between them.

use std::path::Path;

use crate::measure::{self, Figures};

/// How often the two take turns.
const ROUNDS: usize = 5;
/// A round is no longer than this, so that both meet the same neighbours.
const SECONDS_MAX: u64 = 4;
const CLIENTS: usize = 64;
/// Of three processes on two cores: at least the throughput of one, and at most so much of its CPU a run.
const PROCESSES_CPU_MAX: f64 = 1.15;

/// The middle one of what was measured; of nothing, 0.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// What the second of two came to, of what the first did.
struct Ratios {
    throughput: f64,
    cpu: f64,
}

fn ratios(first: &[Figures], second: &[Figures]) -> Ratios {
    let of = |value: fn(&Figures) -> f64| median(second.iter().map(value)) / median(first.iter().map(value));
    Ratios { throughput: of(|seen| seen.per_second), cpu: of(|seen| seen.cpu_per_1000) }
}

/// One process and three on the same PostgreSQL, each beside the ceiling.
pub(crate) async fn processes(url: &str, target: &str, recipe: &str, seconds: u64) -> anyhow::Result<()> {
    let seconds = seconds.min(SECONDS_MAX);
    let ceiling = measure::on_ceiling_postgres(url, target, recipe, CLIENTS, seconds).await?;
    let (mut one, mut three) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (workers, seen) in [(1, &mut one), (3, &mut three)] {
            seen.push(measure::on_product_postgres(url, target, recipe, CLIENTS, seconds, workers).await?);
        }
    }
    measure::tell(&ceiling);
    for seen in [&one, &three] {
        seen.iter().for_each(measure::tell);
        measure::beside(&ceiling, median(seen.iter().map(|seen| seen.per_second)), 0.3);
    }
    let Ratios { throughput, cpu } = ratios(&one, &three);
    let verdict = measure::verdict;
    println!(
        "  {recipe} on PostgreSQL, medians of {ROUNDS} alternating rounds of {seconds} s: three processes do {throughput:.2} x what one does \
         (at least 1: {}) at {cpu:.2} x its CPU per run (at most {PROCESSES_CPU_MAX}: {})\n",
        verdict(throughput >= 1.0),
        verdict(cpu <= PROCESSES_CPU_MAX),
    );
    Ok(())
}

/// This build and another, maybe older, binary, on SQLite.
pub(crate) async fn baseline(other: &Path, target: &str, recipe: &str, seconds: u64) -> anyhow::Result<()> {
    let seconds = seconds.min(SECONDS_MAX);
    let (mut before, mut now) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (binary, seen) in [(Some(other), &mut before), (None, &mut now)] {
            seen.push(measure::on_product(binary, target, recipe, CLIENTS, seconds).await?);
        }
    }
    before.iter().chain(&now).for_each(measure::tell);
    let Ratios { throughput, cpu } = ratios(&before, &now);
    println!(
        "  {recipe}, medians of {ROUNDS} alternating rounds of {seconds} s: this build does {throughput:.2} x what {} does, at {cpu:.2} x its \
         CPU per run\n",
        other.display()
    );
    Ok(())
}
