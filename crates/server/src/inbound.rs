//! Keeps requests that started no run, before their senders are answered, so that people can see them.
//!
//! Strangers decide how many come. So every address has a budget, one task writes them in groups with a pause
//! between, and whatever is too much is counted instead of kept: junk costs real events a few small
//! transactions a second and never the disk.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::http::request::Parts;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use store::{InboundBounds, InboundId, InboundRow, Store, Timestamp, Verdict};
use tokio::sync::{mpsc, oneshot};

use crate::{
    hooks::{Mask, Place, plain_headers},
    state::Shared,
};

/// Requests waiting to be written.
const QUEUE_MAX: usize = 256;
/// Requests written in one transaction.
const GROUP_MAX: usize = 64;
/// Between two such transactions, so that the writes of runs come in between.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a sender is held until its request is kept.
const PATIENCE: Duration = Duration::from_secs(2);
/// Addresses whose budgets are remembered.
const BUDGETS_MAX: usize = 10_000;
/// Questions to the store a second whether a recipe is switched off.
const LOOKUPS_PER_SECOND: f64 = 50.0;
/// The budget of those questions; no recipe has such a name.
const LOOKUPS: &str = "?";
/// Texts of a stranger are kept up to here, in bytes.
const TEXT_BYTES_MAX: usize = 2048;

/// What is kept of requests that started no run. Every bound has a safe default.
#[derive(Debug, Clone)]
pub struct InboundSettings {
    /// How long they are kept.
    pub keep: Duration,
    /// How many, and how many bytes, at one address and in all.
    pub bounds: InboundBounds,
    /// A body is kept up to here; a longer one is cut and cannot be given to a recipe.
    pub body_bytes_max: usize,
    /// Requests kept of one address in a second.
    pub per_second_max: u32,
    /// Also those the recipe's trigger did not want.
    pub keep_filtered: bool,
}

impl Default for InboundSettings {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(7 * 24 * 3600),
            bounds: InboundBounds {
                address_rows_max: 1000,
                address_bytes_max: 8 * 1024 * 1024,
                rows_max: 5000,
                bytes_max: 64 * 1024 * 1024,
            },
            body_bytes_max: 256 * 1024,
            per_second_max: 10,
            keep_filtered: false,
        }
    }
}

/// One request that started no run.
pub(crate) struct Turn<'a> {
    pub(crate) place: &'a Place<'a>,
    pub(crate) parts: &'a Parts,
    pub(crate) body: Bytes,
    pub(crate) verdict: Verdict,
    /// The recipe's slug; empty when there is none.
    pub(crate) bucket: String,
    pub(crate) code: &'static str,
    pub(crate) reason: &'a str,
}

struct Wish {
    row: InboundRow,
    kept: oneshot::Sender<()>,
}

/// What may still be done in this second.
struct Budget {
    left: f64,
    at: Timestamp,
}

/// Keeps what started no run.
#[derive(Default)]
pub(crate) struct Keeper {
    wishes: OnceLock<mpsc::Sender<Wish>>,
    budgets: Mutex<HashMap<String, Budget>>,
}

impl Keeper {
    /// Keeps a request if its address has room, and waits until it is kept.
    pub(crate) async fn keep(&self, app: &Shared, turn: Turn<'_>) {
        let verdict = turn.verdict.as_str();
        if !self.spend(app, &turn.bucket, f64::from(app.settings.inbound.per_second_max), 1.0) {
            return dropped("budget");
        }
        let (kept, answer) = oneshot::channel();
        let wishes = self.wishes.get_or_init(|| start(app));
        if wishes.try_send(Wish { row: row(app, turn), kept }).is_err() {
            return dropped("queue");
        }
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(())) => metrics::counter!("liaison_inbound_kept_total", "verdict" => verdict).increment(1),
            _ => dropped("store"),
        }
    }

    /// Whether the next request of this address would be kept.
    pub(crate) fn has_room(&self, app: &Shared, bucket: &str) -> bool {
        self.spend(app, bucket, f64::from(app.settings.inbound.per_second_max), 0.0)
    }

    /// The slug of the recipe that is switched off at an address.
    pub(crate) async fn switched_off(&self, app: &Shared, name: &str) -> Option<String> {
        if let Some(slug) = app.engine.catalogue().left_paths.get(name) {
            return Some(slug.clone());
        }
        if !self.spend(app, LOOKUPS, LOOKUPS_PER_SECOND, 1.0) {
            return None;
        }
        let by_slug = if app.settings.hooks_by_slug { app.store().recipe(name).await.ok().flatten() } else { None };
        let row = match by_slug {
            Some(row) => Some(row),
            None => app.store().recipe_by_hook(name).await.ok().flatten(),
        };
        row.map(|row| row.slug)
    }

    /// Takes from a budget that fills up within a second; false when there is not enough in it.
    fn spend(&self, app: &Shared, bucket: &str, per_second: f64, cost: f64) -> bool {
        let now = app.now();
        let mut budgets = self.budgets.lock();
        if budgets.len() >= BUDGETS_MAX && !budgets.contains_key(bucket) {
            budgets.clear();
        }
        let budget = budgets.entry(bucket.to_owned()).or_insert(Budget { left: per_second, at: now });
        budget.left = (budget.left + now.since(budget.at).as_secs_f64() * per_second).min(per_second);
        budget.at = now;
        if budget.left < 1.0 {
            return false;
        }
        budget.left -= cost;
        true
    }
}

fn dropped(why: &'static str) {
    metrics::counter!("liaison_inbound_dropped_total", "why" => why).increment(1);
}

fn row(app: &Shared, turn: Turn<'_>) -> InboundRow {
    let settings = &app.settings.inbound;
    let now = app.now();
    let headers = plain_headers(&turn.parts.headers);
    let announced = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let came = i64::try_from(turn.body.len()).unwrap_or(i64::MAX);
    // A body that was not read is known by what was announced of it.
    let body_bytes = if turn.body.is_empty() { announced.unwrap_or(0) } else { came };
    // Read anew: what a connection goes by may be in force since a moment ago.
    let catalogue = app.engine.catalogue();
    let mask = match catalogue.recipes.get(&turn.bucket) {
        Some(recipe) => Mask::of(&app.engine, &catalogue, recipe),
        None => Mask::of_all(&app.engine, &catalogue),
    };
    let headers: Vec<_> = headers.iter().map(|(name, value)| json!([name, cut(mask.value(name, value))])).collect();
    InboundRow {
        id: InboundId::new(now, app.engine.random()),
        received_at: now,
        bucket: turn.bucket,
        address: cut(turn.place.name).to_owned(),
        method: turn.parts.method.as_str().to_owned(),
        path: cut(turn.place.rest).to_owned(),
        query: cut(turn.parts.uri.query().unwrap_or_default()).to_owned(),
        headers: headers.into(),
        body: turn.body[..turn.body.len().min(settings.body_bytes_max)].to_vec(),
        body_bytes,
        verdict: turn.verdict,
        code: turn.code.to_owned(),
        reason: turn.reason.to_owned(),
        expires_at: now.after(settings.keep),
        recipe: None,
        run: None,
    }
}

/// A stranger's text up to a bound.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// Starts the task that writes; it ends with its server.
fn start(app: &Shared) -> mpsc::Sender<Wish> {
    let (wishes, inbox) = mpsc::channel(QUEUE_MAX);
    tokio::spawn(write_all(Arc::clone(app.engine.store()), app.settings.inbound.bounds, inbox));
    wishes
}

async fn write_all(store: Arc<dyn Store>, bounds: InboundBounds, mut inbox: mpsc::Receiver<Wish>) {
    let mut wishes = Vec::with_capacity(GROUP_MAX);
    while inbox.recv_many(&mut wishes, GROUP_MAX).await > 0 {
        let (rows, replies): (Vec<_>, Vec<_>) = wishes.drain(..).map(|wish| (wish.row, wish.kept)).unzip();
        match store.keep_inbound(&rows, &bounds).await {
            Ok(removed) => {
                metrics::counter!("liaison_inbound_removed_total").increment(removed);
                // Nobody may wait for it any more.
                for reply in replies {
                    let _ = reply.send(());
                }
            }
            Err(error) => tracing::warn!(%error, requests = rows.len(), "inbound.keep: the store did not answer"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
