//! Metrics: what was counted, and how things stand in the store at the moment.

use std::{collections::HashSet, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use engine::measure;
use parking_lot::Mutex;
use store::{Standing, Timestamp, WaitingFor};

use crate::state::{App, Shared};

/// The store is asked so often at most, however many scrape.
const GATHER_EVERY: Duration = Duration::from_secs(2);
/// A store that takes longer keeps no scrape waiting.
const GATHER_WITHIN: Duration = Duration::from_secs(3);

/// What was told before.
#[derive(Debug, Default)]
pub(crate) struct Told {
    at: Timestamp,
    /// Recipes with a number of dead letters: one that has none any more is told so.
    recipes: HashSet<Arc<str>>,
}

pub(crate) async fn metrics(State(app): State<Shared>) -> Response {
    gather(&app).await;
    metrics::gauge!("liaison_runs_in_memory").set(as_f64(app.engine.runs_in_memory()));
    metrics::gauge!("liaison_runs_in_memory_max").set(as_f64(app.engine.settings().runs_in_flight_max));
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    for (name, bytes) in [
        ("liaison_payload_bytes_in_memory", app.engine.payload_bytes_in_memory()),
        ("liaison_payload_bytes_in_memory_max", app.engine.settings().payloads_in_memory_bytes_max),
    ] {
        metrics::gauge!(name).set(bytes as f64);
    }
    metrics::gauge!("liaison_runs_backlog").set(f64::from(app.engine.backlog()));
    metrics::gauge!("liaison_lease_age_seconds").set(app.engine.lease_state().ago.as_secs_f64());
    if app.engine.settings().works {
        metrics::gauge!("liaison_claim_age_seconds").set(app.engine.since_last_claim().as_secs_f64());
    }
    app.metrics.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render()).into_response()
}

async fn gather(app: &App) {
    let now = app.now();
    {
        let mut told = app.told.lock();
        if told.at != Timestamp::default() && now.since(told.at) < GATHER_EVERY {
            return;
        }
        told.at = now;
    }
    let standing = tokio::time::timeout(GATHER_WITHIN, app.store().standing(now)).await;
    let up = matches!(standing, Ok(Ok(_)));
    metrics::gauge!("liaison_store_up").set(f64::from(u8::from(up)));
    if let Ok(Ok(standing)) = standing {
        tell(&standing, &app.told, now);
    }
}

fn tell(standing: &Standing, told: &Mutex<Told>, now: Timestamp) {
    let age = |since: Timestamp| now.since(since).as_secs_f64();
    metrics::gauge!("liaison_oldest_queued_seconds").set(standing.due_since.map_or(0.0, age));
    for reason in WaitingFor::ALL {
        let found = standing.waiting.iter().find(|waiting| waiting.reason == reason);
        metrics::gauge!("liaison_runs_waiting", "reason" => reason.as_str())
            .set(found.map_or(0.0, |waiting| number(waiting.runs)));
        metrics::gauge!("liaison_oldest_waiting_seconds", "reason" => reason.as_str())
            .set(found.map_or(0.0, |waiting| age(waiting.oldest)));
    }
    let mut letters: Vec<(Arc<str>, i64)> = Vec::new();
    for (slug, count) in &standing.letters {
        let label = measure::recipe(slug);
        match letters.iter_mut().find(|(known, _)| *known == label) {
            Some((_, sum)) => *sum += count,
            None => letters.push((label, *count)),
        }
    }
    let mut told = told.lock();
    for gone in told.recipes.iter().filter(|recipe| letters.iter().all(|(label, _)| label != *recipe)) {
        metrics::gauge!("liaison_dead_letters_open", "recipe" => Arc::clone(gone)).set(0.0);
    }
    for (label, count) in letters {
        metrics::gauge!("liaison_dead_letters_open", "recipe" => Arc::clone(&label)).set(number(count));
        told.recipes.insert(label);
    }
}

fn number(count: i64) -> f64 {
    i32::try_from(count).map_or(f64::MAX, f64::from)
}

fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
