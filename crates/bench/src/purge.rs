//! A long history goes while new runs come: how much room it takes meanwhile and afterwards, and what senders notice.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::{
    load::{self, Load},
    made_up::{Database, Runs},
    place::{Place, mib},
    product,
};

/// The made-up runs are older than what is kept by default.
const OLD: Duration = Duration::from_secs(40 * 24 * 60 * 60);
const CLIENTS: usize = 8;
const SECONDS: u64 = 5;
/// A purge that takes longer is not going on.
const PATIENCE: Duration = Duration::from_secs(3 * 60 * 60);
/// Once all runs are gone: how long their keys may take to go, and autovacuum to look.
const SETTLE_MAX: Duration = Duration::from_secs(10 * 60);
/// Autovacuum leaves a table alone until so much of it is dead (migration 0013), and fifty rows.
const DEAD_SHARE: f64 = 0.03;
const DEAD_MIN: f64 = 200.0;

struct Options {
    runs: u64,
    only: Option<String>,
    postgres: Option<String>,
}

fn read(words: &[&str]) -> anyhow::Result<Options> {
    let mut options = Options { runs: 1_000_000, only: None, postgres: None };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--postgres" => options.postgres = Some((*words.next().context("--postgres needs a URL")?).to_owned()),
            "--only" => options.only = Some((*words.next().context("--only needs sqlite or postgres")?).to_owned()),
            number => options.runs = number.parse().with_context(|| format!("{number:?} is no number of runs"))?,
        }
    }
    Ok(options)
}

/// On SQLite, and on the PostgreSQL named.
pub(crate) async fn run(words: &[&str]) -> anyhow::Result<()> {
    let options = read(words)?;
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    if wanted("sqlite") {
        on(Place::new(None).await?, options.runs).await?;
    }
    if wanted("postgres")
        && let Some(server) = &options.postgres
    {
        on(Place::new(Some(server)).await?, options.runs).await?;
    }
    Ok(())
}

/// Makes up `runs` ended runs, starts the server, sends new ones, and prints until the old ones are gone.
async fn on(place: Place, runs: u64) -> anyhow::Result<()> {
    println!("{}", place.kind());
    let server = place.serve(&[]).await?;
    let keyed = product::W1.replace("from: webhook", "from: webhook, dedupe: { by: \"${ trigger.body.id }\" }");
    product::save(&server.address, "w1", keyed).await?;
    let quiet = load::run(&server.address, "/hooks/w1", CLIENTS, SECONDS).await?;
    println!("an empty history: {}, peak {:.0} MB", told(&quiet), server.peak_mb()?);
    server.end().await?;
    let before = place.bytes().await?;
    let (model, recipe, first_ms) = model(&place).await?;
    let old = Runs { model, recipe, first_ms, count: runs, state: "3, null, null, at + 1000" };
    fill(&place, &old).await?;
    let full = place.bytes().await?;
    println!("{runs} old runs: {}", place.sizes().await?);

    let came = watch(&place, runs, &quiet).await?;
    let afterwards = place.bytes().await?;
    fill(&place, &old).await?;
    let again = place.bytes().await?;
    // What came takes as much a run as what is made up: it has the same journal.
    let each = (full - before) as f64 / runs as f64;
    let reused = (came + runs) as f64 * each - (again as f64 - full as f64);
    println!(
        "{:.1} MiB full, {:.1} MiB after {came} new runs, {:.1} MiB with as many old ones once more ({}): {:.0} % of the room of those \
         that went was used again\n",
        mib(full),
        mib(afterwards),
        mib(again),
        place.sizes().await?,
        reused / (runs as f64 * each) * 100.0,
    );
    place.remove().await
}

/// Sends new runs until the old ones are gone and their room is free. Returns how many new ones came.
async fn watch(place: &Place, runs: u64, quiet: &Load) -> anyhow::Result<u64> {
    let server = place.serve(&["--retention-interval", "1s", "--tidy-interval", "2s"]).await?;
    let began = Instant::now();
    let (mut smallest, mut worst, mut came, mut gone) = (u64::MAX, (0.0_f64, 0.0_f64), 0, None);
    loop {
        let seen = load::run(&server.address, "/hooks/w1", CLIENTS, SECONDS).await?;
        came += seen.accepted;
        let removed = product::metric(&server.address, "liaison_removed_total{what=\"runs\"}").await?;
        let (dead, live) = place.dead_rows().await?;
        println!(
            "{:>5.0} s  {removed:>9.0} removed  {}  {}, {dead} dead rows",
            began.elapsed().as_secs_f64(),
            told(&seen),
            place.sizes().await?
        );
        let size = place.bytes().await?;
        if gone.is_none() {
            worst = (worst.0.max(seen.p50_ms), worst.1.max(seen.p99_ms));
        }
        if removed >= runs as f64 {
            let since: Instant = *gone.get_or_insert_with(Instant::now);
            // Nothing more is given back but what new runs take at the same time, and autovacuum has looked.
            let keys = product::metric(&server.address, "liaison_removed_total{what=\"event_keys\"}").await?;
            let vacuumed = dead as f64 <= live as f64 * DEAD_SHARE + DEAD_MIN;
            if size >= smallest && ((vacuumed && keys >= runs as f64) || since.elapsed() > SETTLE_MAX) {
                break;
            }
        }
        smallest = smallest.min(size);
        if began.elapsed() > PATIENCE {
            bail!("the old runs are still not gone");
        }
    }
    let seconds = gone.unwrap_or(began).duration_since(began).as_secs_f64();
    println!(
        "{runs} runs gone after {seconds:.0} s, {:.0} a second while new ones came; new ones p50 {:.1} ms and p99 {:.1} ms without, {:.1} ms \
         and {:.1} ms at worst; peak {:.0} MB",
        runs as f64 / seconds,
        quiet.p50_ms,
        quiet.p99_ms,
        worst.0,
        worst.1,
        server.peak_mb()?,
    );
    server.end().await?;
    Ok(came)
}

/// A run that really ended, its recipe, and when the first of its copies was accepted.
async fn model(place: &Place) -> anyhow::Result<(uuid::Uuid, uuid::Uuid, i64)> {
    let mut database = Database::open(place).await?;
    let model = database.id("select id from runs where status = 3 order by id limit 1").await?;
    let recipe = database.id("select id from recipes where slug = 'w1'").await?;
    let accepted_at = database.number("select min(accepted_at) from runs").await?;
    database.close().await?;
    Ok((model, recipe, accepted_at / 1000 - i64::try_from(OLD.as_millis())?))
}

/// Copies of a run that really ended, with ids of their own time.
async fn fill(place: &Place, runs: &Runs<'_>) -> anyhow::Result<()> {
    let mut database = Database::open(place).await?;
    database.add(runs).await?;
    database.close().await
}

fn told(load: &Load) -> String {
    format!("{:>6.0} new runs/s, p50 {:.1} ms, p99 {:.1} ms", load.accepted as f64 / load.seconds, load.p50_ms, load.p99_ms)
}
