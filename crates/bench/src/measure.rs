//! Measures ceiling and product in one run and prints what one is of the other.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::json;
use tokio::process::Command;

use crate::{database::Counted, load::Load, product, product::Process, rounds};

/// One program under one load.
pub(crate) struct Figures {
    name: String,
    pub(crate) per_second: f64,
    pub(crate) cpu_per_1000: f64,
    load: Load,
    /// Of the accepted runs, the share that had ended when the load stopped.
    ended_share: f64,
    memory_mb: f64,
}

struct Options {
    seconds: u64,
    postgres: Option<String>,
    only: Option<String>,
    /// Runs behind those that are measured, in the long backlog.
    runs: u64,
    /// Another binary to compare with, and then nothing else is measured.
    baseline: Option<PathBuf>,
}

fn read(words: &[&str]) -> anyhow::Result<Options> {
    let mut options = Options { seconds: 10, postgres: None, only: None, runs: 1_000_000, baseline: None };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--postgres" => options.postgres = Some((*words.next().context("--postgres needs a URL")?).to_owned()),
            "--runs" => options.runs = words.next().context("--runs needs a number")?.parse().context("--runs needs a number")?,
            "--baseline" => {
                options.baseline = Some(PathBuf::from(words.next().context("--baseline needs the path of a binary")?))
            }
            "--only" => {
                options.only = Some(
                    (*words.next().context("--only needs w1, w2, w3, w4, idle, backlog, schedules, systems or postgres")?)
                        .to_owned(),
                )
            }
            number => options.seconds = number.parse().with_context(|| format!("{number:?} is no number of seconds"))?,
        }
    }
    Ok(options)
}

/// Everything; `cargo xtask bench` prints this.
pub(crate) async fn all(words: &[&str]) -> anyhow::Result<()> {
    let options = read(words)?;
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let target = Process::start(this("target", &[])?).await?;
    println!("{} s each, closed loop, load generator and called system on the same machine\n", options.seconds);
    if let Some(other) = &options.baseline {
        for recipe in ["w1", "w2"].into_iter().filter(|recipe| wanted(recipe)) {
            rounds::baseline(other, &target.address, recipe, options.seconds).await?;
        }
        return target.end().await;
    }
    if wanted("w1") {
        for clients in [16, 64] {
            let ceiling = on_ceiling(&target.address, "w1", clients, options.seconds).await?;
            let product = on_product(None, &target.address, "w1", clients, options.seconds).await?;
            compare(&ceiling, &product, 0.35, 3.0);
        }
    }
    if wanted("w2") {
        let ceiling = on_ceiling(&target.address, "w2", 64, options.seconds).await?;
        let product = on_product(None, &target.address, "w2", 64, options.seconds).await?;
        compare(&ceiling, &product, 0.4, 2.5);
    }
    if wanted("w3") {
        for pages in [100, 1_000] {
            stream(&target, "w3", pages, "at least 100000").await?;
        }
    }
    if wanted("w4") {
        for pages in [100, 1_000] {
            stream(&target, "w4", pages, "no aim").await?;
        }
    }
    if wanted("idle") {
        idle().await?;
    }
    if wanted("backlog") {
        crate::backlog::run(None, options.runs).await?;
        if let Some(server) = &options.postgres {
            crate::backlog::run(Some(server), options.runs).await?;
        }
    }
    if wanted("schedules") {
        crate::schedules::run().await?;
    }
    if wanted("systems") {
        crate::systems::run(options.seconds).await?;
    }
    if wanted("postgres")
        && let Some(url) = &options.postgres
    {
        for recipe in ["w1", "w2"] {
            rounds::processes(url, &target.address, recipe, options.seconds).await?;
        }
    }
    target.end().await
}

fn this(word: &str, rest: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(word).args(rest);
    Ok(command)
}

/// What one program came to.
pub(crate) fn tell(figures: &Figures) {
    println!(
        "{:<34} {:>8.0} runs/s  {:>6.3} CPU s/1000  p50 {:>6.2} ms  p99 {:>7.2} ms  refused {:>5}  failed {:>3}  ended {:>5.1} %  {:>5.0} MB",
        figures.name,
        figures.per_second,
        figures.cpu_per_1000,
        figures.load.p50_ms,
        figures.load.p99_ms,
        figures.load.refused,
        figures.load.failed,
        figures.ended_share * 100.0,
        figures.memory_mb,
    );
}

pub(crate) fn verdict(good: bool) -> &'static str {
    if good { "met" } else { "missed" }
}

/// How a throughput stands beside the ceiling's.
pub(crate) fn beside(ceiling: &Figures, per_second: f64, share_min: f64) {
    let share = per_second / ceiling.per_second;
    println!("  throughput {share:.2} x the ceiling (at least {share_min}: {})", verdict(share >= share_min));
}

fn compare(ceiling: &Figures, product: &Figures, share_min: f64, cpu_max: f64) {
    tell(ceiling);
    tell(product);
    beside(ceiling, product.per_second, share_min);
    let (cpu, latency) = (product.cpu_per_1000 / ceiling.cpu_per_1000, product.load.p99_ms / ceiling.load.p99_ms);
    println!("  CPU {cpu:.2} x (at most {cpu_max}: {}), p99 {latency:.2} x\n", verdict(cpu <= cpu_max));
}

async fn load(address: &str, path: &str, clients: usize, seconds: u64) -> anyhow::Result<Load> {
    // A process of its own: the load's CPU must not be counted as anybody else's.
    let output = this("load", &[address, path, &clients.to_string(), &seconds.to_string()])?.output().await?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!("the load failed: {} {}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    })
}

/// Loads a ceiling; W2 there ends in memory, so what is accepted counts once the CPU is still.
async fn measure_ceiling(process: Process, name: String, recipe: &str, clients: usize, seconds: u64) -> anyhow::Result<Figures> {
    load(&process.address, &format!("/hooks/{recipe}"), clients, 1).await?;
    settle(&process).await?;
    let before = process.cpu()?;
    let began = Instant::now();
    let load = load(&process.address, &format!("/hooks/{recipe}"), clients, seconds).await?;
    settle(&process).await?;
    // Until it was still, less the quiet it took to see that.
    let elapsed = (began.elapsed() - QUIET).as_secs_f64().max(load.seconds);
    let cpu = process.cpu()? - before;
    let figures = Figures {
        name,
        per_second: load.accepted as f64 / elapsed,
        cpu_per_1000: cpu / load.accepted as f64 * 1000.0,
        ended_share: load.seconds / elapsed,
        memory_mb: process.memory_mb()?,
        load,
    };
    process.end().await?;
    Ok(figures)
}

/// Accepted runs get so long to end after the load.
const DRAIN_MAX: Duration = Duration::from_secs(60);
const QUIET: Duration = Duration::from_millis(400);

/// Waits until a process has used next to no CPU for a while.
async fn settle(process: &Process) -> anyhow::Result<()> {
    let mut before = process.cpu()?;
    loop {
        tokio::time::sleep(QUIET).await;
        let now = process.cpu()?;
        if now - before < 0.02 {
            return Ok(());
        }
        before = now;
    }
}

async fn on_ceiling(target: &str, recipe: &str, clients: usize, seconds: u64) -> anyhow::Result<Figures> {
    let folder = tempfile::tempdir()?;
    let process = Process::start(this("ceiling", &[&folder.path().to_string_lossy(), target])?).await?;
    measure_ceiling(process, format!("ceiling {recipe}, {clients} clients"), recipe, clients, seconds).await
}

pub(crate) async fn on_ceiling_postgres(
    url: &str,
    target: &str,
    recipe: &str,
    clients: usize,
    seconds: u64,
) -> anyhow::Result<Figures> {
    let process = Process::start(this("ceiling-postgres", &[url, target])?).await?;
    measure_ceiling(process, format!("ceiling PG {recipe}, {clients} clients"), recipe, clients, seconds).await
}

/// This build, or another binary, on SQLite.
pub(crate) async fn on_product(
    other: Option<&Path>,
    target: &str,
    recipe: &str,
    clients: usize,
    seconds: u64,
) -> anyhow::Result<Figures> {
    let folder = tempfile::tempdir()?;
    let process = match other {
        Some(binary) => product::serve_other(binary, folder.path()).await?,
        None => product::serve(folder.path(), None).await?,
    };
    product::set_up(&process.address, target, recipe).await?;
    load(&process.address, &format!("/hooks/{recipe}"), clients, 1).await?;
    settle(&process).await?;
    let (before, done, size) = (process.cpu()?, product::ended(&[&process.address], recipe).await?, disk(folder.path())?);
    let load = load(&process.address, &format!("/hooks/{recipe}"), clients, seconds).await?;
    let ended = product::ended(&[&process.address], recipe).await? - done;
    let mut all = ended;
    let stopped = Instant::now();
    while all < load.accepted && stopped.elapsed() < DRAIN_MAX {
        tokio::time::sleep(QUIET).await;
        all = product::ended(&[&process.address], recipe).await? - done;
    }
    let cpu = process.cpu()? - before;
    println!(
        "{recipe}: {:.0} bytes of disk per run, {all} of {} accepted runs ended",
        (disk(folder.path())? - size) / all as f64,
        load.accepted
    );
    let figures = Figures {
        name: format!("{} {recipe}, {clients} clients", if other.is_some() { "baseline" } else { "liaison" }),
        per_second: ended as f64 / load.seconds,
        cpu_per_1000: cpu / all as f64 * 1000.0,
        ended_share: ended as f64 / load.accepted as f64,
        memory_mb: process.memory_mb()?,
        load,
    };
    process.end().await?;
    Ok(figures)
}

/// Bytes of the database without its WAL, which never grows past its limit.
fn disk(folder: &Path) -> anyhow::Result<f64> {
    Ok(std::fs::metadata(folder.join("liaison.db"))?.len() as f64)
}

pub(crate) async fn on_product_postgres(
    url: &str,
    target: &str,
    recipe: &str,
    clients: usize,
    seconds: u64,
    workers: usize,
) -> anyhow::Result<Figures> {
    let folder = tempfile::tempdir()?;
    crate::ceiling_postgres::reset(url).await?;
    let process = product::serve(folder.path(), Some(url)).await?;
    let mut helpers = Vec::new();
    for _ in 1..workers {
        helpers.push(product::worker(folder.path(), url).await?);
    }
    product::set_up(&process.address, target, recipe).await?;
    load(&process.address, &format!("/hooks/{recipe}"), clients, 1).await?;
    settle(&process).await?;
    let cpu = |process: &Process, helpers: &[Process]| -> anyhow::Result<f64> {
        helpers.iter().try_fold(process.cpu()?, |sum, helper| Ok(sum + helper.cpu()?))
    };
    let cost = Counted::now(url).await?;
    let (before, done) = (cpu(&process, &helpers)?, product::succeeded(&process.address, recipe).await?);
    let load = load(&process.address, &format!("/hooks/{recipe}"), clients, seconds).await?;
    let ended = product::succeeded(&process.address, recipe).await? - done;
    settle(&process).await?;
    let all = product::succeeded(&process.address, recipe).await? - done;
    let used = cpu(&process, &helpers)? - before;
    println!("{recipe}, {workers} processes\n{}", Counted::now(url).await?.told(&cost, all));
    let figures = Figures {
        name: format!("liaison PG {recipe}, {workers} processes"),
        per_second: ended as f64 / load.seconds,
        cpu_per_1000: used / all as f64 * 1000.0,
        ended_share: ended as f64 / load.accepted as f64,
        memory_mb: process.memory_mb()?,
        load,
    };
    for helper in helpers {
        helper.end().await?;
    }
    process.end().await?;
    Ok(figures)
}

/// W3 and W4: a long list, page by page.
async fn stream(target: &Process, recipe: &str, pages: u64, aim: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let process = product::serve(folder.path(), None).await?;
    product::set_up(&process.address, &target.address, recipe).await?;
    product::run_stream(&process.address, recipe, &json!({ "pages": 1 })).await?;
    let (before, began) = (process.cpu()?, Instant::now());
    let run = product::run_stream(&process.address, recipe, &json!({ "pages": pages })).await?;
    let (elapsed, used) = (began.elapsed().as_secs_f64(), process.cpu()? - before);
    let peak = process.peak_mb()?;
    let (total, bytes) = product::stream_result(&process.address, &run).await?;
    let records = pages * crate::target::PAGE;
    let passes = if recipe == "w4" { records / product::W4_BATCH } else { records };
    anyhow::ensure!(total == passes && bytes > total, "the file has {bytes} bytes for {total} passes of {passes}");
    let records = records as f64;
    println!(
        "liaison {recipe}, {records:.0} records: {:.0} records per CPU second ({aim}), {:.0} a second, peak {peak:.0} MB (under 120), {:.0} bytes of disk a record\n",
        records / used,
        records / elapsed,
        disk(folder.path())? / records,
    );
    process.end().await
}

/// Start, memory and CPU of a process nobody uses.
async fn idle() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let process = product::serve(folder.path(), None).await?;
    let ready = process.ready;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = process.cpu()?;
    const WATCHED: Duration = Duration::from_secs(20);
    tokio::time::sleep(WATCHED).await;
    let share = (process.cpu()? - before) / WATCHED.as_secs_f64() * 100.0;
    println!(
        "liaison idle: ready after {} ms (at most 300), {:.0} MB resident (at most 40), {share:.2} % CPU (under 0.5)\n",
        ready.as_millis(),
        process.memory_mb()?
    );
    process.end().await
}
