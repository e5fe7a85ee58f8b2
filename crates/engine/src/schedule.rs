//! Fires schedules. The event key of a fire time makes it start exactly one run, however many
//! processes fire it; so no process needs to lead.

mod plan;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::StreamExt;
use parking_lot::Mutex;
use recipe::ast::Overlap;
use serde_json::{Value as Json, json};
use store::{RecipeId, RunFilter, RunId, RunRow, RunStatus, StoreError, Timestamp, Via};

pub use self::plan::OnMissed;
use self::plan::Plan;
use crate::{Engine, Event, Intake, LiveRecipe, frame::instant_text};

/// The longest sleep: a recipe switched on meanwhile wakes us anyway, and a clock that was set is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// After the store or intake refused a fire time, it is tried again so soon.
const AGAIN: Duration = Duration::from_secs(1);
/// Recipes fired at once: many are due in the same minute, and their runs share transactions.
const FIRED_AT_ONCE: usize = 128;
/// Cursors moved in one transaction.
const MOVED_AT_ONCE: usize = 500;
/// Runs of one recipe that are looked at for an overlap.
const OVERLAP_RUNS_MAX: u32 = 1000;

/// The loop of a scheduling process.
pub(crate) async fn fire(engine: Arc<Engine>) {
    while !engine.is_stopping() {
        let woken = engine.catalogue_changed.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let next = engine.fire_schedules().await;
        let pause = next.map_or(SLEEP_MAX, |next| next.since(engine.now()).clamp(Duration::from_millis(1), SLEEP_MAX));
        tokio::select! {
            biased;
            () = woken => {}
            () = tokio::time::sleep(pause) => {}
            () = engine.stopping.cancelled() => return,
        }
    }
}

/// What this process knows of schedules besides the store.
#[derive(Default)]
pub(crate) struct Memory {
    /// The newest fire time done.
    fired: Mutex<HashMap<RecipeId, Timestamp>>,
    /// The schedule each recipe had when it was last looked at.
    seen: Mutex<HashMap<RecipeId, Json>>,
}

impl Memory {
    /// Whether the recipe has another schedule than before.
    fn changed(&self, recipe: &LiveRecipe) -> bool {
        let with = &recipe.program.trigger_with;
        let text = json!([with["cron"], with["zone"]]);
        self.seen.lock().insert(recipe.row.id, text.clone()).is_some_and(|before| before != text)
    }
}

/// What came of a look at a schedule.
struct Look {
    /// When it fires next.
    next: Option<Timestamp>,
    /// Up to when it is done, if that is news.
    done: Option<(RecipeId, Timestamp)>,
}

/// Fires what is due.
async fn fire_due(engine: &Arc<Engine>, recipe: &Arc<LiveRecipe>) -> Look {
    let Some(schedule) = recipe.schedule.as_ref() else { return Look { next: None, done: None } };
    let now = engine.now();
    let mut news = None;
    if engine.schedules.changed(recipe) {
        // Times of the new schedule that passed under the old one were never promised.
        engine.fired(recipe, now);
        news = Some(now);
    }
    let cursor = engine.fired_up_to(recipe);
    let plan = Plan::of(schedule, OnMissed::of(recipe), cursor.micros(), now.micros());
    if plan.left_out > 0 {
        let (slug, left_out) = (&*recipe.program.slug, plan.left_out);
        metrics::counter!("liaison_schedule_left_out_total", "recipe" => crate::measure::recipe(slug), "why" => "missed")
            .increment(left_out);
        tracing::warn!(recipe = slug, left_out, "schedule.missed: fire times that passed while nothing ran start no run");
    }
    let mut begun = Vec::new();
    let mut done = None;
    for (at, missed) in plan.fire {
        let at = Timestamp::from_micros(at);
        match fire_one(engine, recipe, at, missed, &mut begun).await {
            Ok(()) => done = Some(at),
            Err(error) => {
                tracing::warn!(recipe = &*recipe.program.slug, %error, "schedule.fire: tried again in a second");
                return finished(engine, recipe, news.max(done), Some(now.after(AGAIN)));
            }
        }
    }
    let next = schedule.next_after(plan.up_to.unwrap_or(cursor.micros()).max(now.micros())).map(Timestamp::from_micros);
    finished(engine, recipe, news.max(plan.up_to.map(Timestamp::from_micros)), next)
}

fn finished(engine: &Engine, recipe: &LiveRecipe, up_to: Option<Timestamp>, next: Option<Timestamp>) -> Look {
    if let Some(at) = up_to {
        engine.fired(recipe, at);
    }
    Look { next, done: up_to.map(|at| (recipe.row.id, at)) }
}

/// Moves cursors, many at once: each transaction by itself would be later than the one before.
async fn advance(engine: &Engine, done: &mut Vec<(RecipeId, Timestamp)>) {
    if done.is_empty() {
        return;
    }
    if let Err(error) = engine.store.advance_schedules(done).await {
        // The key keeps the fire time from starting a second run.
        tracing::warn!(%error, "schedule.advance: the store did not answer");
    }
    done.clear();
}

/// Starts the run of one fire time, as its recipe wants it when an earlier one goes on.
async fn fire_one(
    engine: &Arc<Engine>,
    recipe: &Arc<LiveRecipe>,
    at: Timestamp,
    missed: u32,
    begun: &mut Vec<RunId>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let slug = &recipe.program.slug;
    let (overlap, limit) = overlap(recipe);
    if overlap == Overlap::Skip {
        // A run of this very fire time, begun by another process, is no overlap.
        let going = going_on(engine, recipe).await?;
        let before = going.iter().filter(|run| run.accepted_at < at || begun.contains(&run.id)).count();
        if before >= limit {
            metrics::counter!("liaison_schedule_left_out_total", "recipe" => crate::measure::recipe(slug), "why" => "overlap")
                .increment(1);
            tracing::info!(recipe = &**slug, "schedule.skip: an earlier run goes on");
            return Ok(());
        }
    }
    let now = engine.now();
    let event = Event {
        data: Arc::new(json!({ "scheduled_at": instant_text(at), "fired_at": instant_text(now), "missed": missed })),
        via: Via::Schedule,
        key: Some(format!("schedule:{}", at.micros()).into()),
        key_wins: true,
        fingerprint: None,
        replay_of: None,
    };
    let run = match engine.accept(recipe, event).await? {
        Intake::Accepted { run, .. } => {
            metrics::counter!("liaison_schedule_fired_total", "recipe" => crate::measure::recipe(slug)).increment(1);
            metrics::histogram!("liaison_schedule_late_seconds").record(now.since(at));
            begun.push(run);
            run
        }
        // Whoever began it may have died before it made room.
        Intake::Duplicate { run, .. } => run,
        Intake::Filtered => return Ok(()),
    };
    if overlap == Overlap::CancelRunning {
        make_room(engine, recipe, run, limit).await?;
    }
    Ok(())
}

/// What the recipe does when so many of its runs go on already.
#[must_use]
pub fn overlap(recipe: &LiveRecipe) -> (Overlap, usize) {
    recipe.program.concurrency.as_ref().map_or((Overlap::Queue, usize::MAX), |found| (found.on_overlap, found.limit as usize))
}

/// Runs of the recipe that are not over, newest first.
async fn going_on(engine: &Engine, recipe: &LiveRecipe) -> Result<Vec<RunRow>, StoreError> {
    let statuses = vec![RunStatus::Queued, RunStatus::Running, RunStatus::Waiting];
    let filter = RunFilter { recipe: Some(recipe.row.id), statuses, limit: OVERLAP_RUNS_MAX, ..RunFilter::default() };
    engine.store.runs(&filter).await
}

/// Cancels the oldest runs that go on beside the new one, until the limit is kept. Only runs before it: any process may
/// come here with the run of any fire time.
async fn make_room(engine: &Engine, recipe: &LiveRecipe, new: RunId, limit: usize) -> Result<(), StoreError> {
    let Some(new) = engine.store.run(new).await? else { return Ok(()) };
    let before = |run: &RunRow| (run.accepted_at, run.id) < (new.accepted_at, new.id);
    let older: Vec<RunRow> = going_on(engine, recipe).await?.into_iter().filter(before).collect();
    for run in older.iter().skip(limit.saturating_sub(1)) {
        match engine.cancel(run.id, "the next fire time of its schedule").await {
            Ok(()) => {
                metrics::counter!("liaison_schedule_cancelled_total", "recipe" => crate::measure::recipe(&recipe.program.slug))
                    .increment(1);
            }
            Err(crate::control::ControlError::Store(error)) => return Err(error),
            // It ended by itself meanwhile.
            Err(_) => {}
        }
    }
    Ok(())
}

impl Engine {
    /// Fires every schedule that is due, once. Says when the next one is.
    pub async fn fire_schedules(self: &Arc<Self>) -> Option<Timestamp> {
        let catalogue = self.catalogue();
        let scheduled: Vec<Arc<LiveRecipe>> =
            catalogue.recipes.values().filter(|recipe| recipe.schedule.is_some()).map(Arc::clone).collect();
        let mut looks = futures_util::stream::iter(scheduled)
            .map(|recipe| {
                let engine = Arc::clone(self);
                async move { fire_due(&engine, &recipe).await }
            })
            .buffer_unordered(FIRED_AT_ONCE);
        let (mut next, mut done) = (None::<Timestamp>, Vec::new());
        while let Some(look) = looks.next().await {
            next = next.into_iter().chain(look.next).min();
            done.extend(look.done);
            if done.len() >= MOVED_AT_ONCE {
                advance(self, &mut done).await;
            }
        }
        advance(self, &mut done).await;
        next
    }

    /// The newest fire time done, as far as this process knows.
    #[must_use]
    pub fn fired_up_to(&self, recipe: &LiveRecipe) -> Timestamp {
        let kept = recipe.schedule_cursor.unwrap_or(recipe.row.updated_at);
        self.schedules.fired.lock().get(&recipe.row.id).map_or(kept, |fired| kept.max(*fired))
    }

    fn fired(&self, recipe: &LiveRecipe, at: Timestamp) {
        let mut fired = self.schedules.fired.lock();
        let newest = fired.entry(recipe.row.id).or_insert(at);
        *newest = at.max(*newest);
    }
}
