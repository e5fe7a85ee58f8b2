//! Fires schedules. The event key of a fire time makes it start exactly one run, however many
//! processes fire it; so no process needs to lead.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use store::{Timestamp, Via};

use crate::{Engine, Event, LiveRecipe, frame::instant_text};

/// The longest sleep: a recipe switched on meanwhile wakes us anyway.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Fire times missed while nothing ran are counted up to here.
const MISSED_MAX: u32 = 10_000;

/// The loop of a scheduling process.
pub(crate) async fn fire(engine: Arc<Engine>) {
    while !engine.is_stopping() {
        let woken = engine.catalogue_changed.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let mut pause = SLEEP_MAX;
        for recipe in engine.catalogue().recipes.values() {
            match fire_due(&engine, recipe).await {
                Some(next) => pause = pause.min(next.since(engine.now()).max(Duration::from_millis(1))),
                None => continue,
            }
        }
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(pause) => {}
            () = engine.stopping.cancelled() => return,
        }
    }
}

/// Fires what is due; says when the next fire is.
async fn fire_due(engine: &Arc<Engine>, recipe: &Arc<LiveRecipe>) -> Option<Timestamp> {
    let schedule = recipe.schedule.as_ref()?;
    let now = engine.now();
    let cursor = engine.fired_up_to(recipe);
    let mut due = None;
    let mut missed = 0;
    let mut next = schedule.next_after(cursor.micros());
    while let Some(at) = next.filter(|at| *at <= now.micros()) {
        missed += u32::from(due.is_some());
        due = Some(at);
        if missed >= MISSED_MAX {
            break;
        }
        next = schedule.next_after(at);
    }
    if let Some(at) = due.map(Timestamp::from_micros) {
        // Missed fire times are made up for once, by the newest of them.
        let event = Event {
            data: Arc::new(json!({ "scheduled_at": instant_text(at), "fired_at": instant_text(now), "missed": missed })),
            via: Via::Schedule,
            key: Some(format!("schedule:{}", at.micros()).into()),
            key_wins: true,
            fingerprint: None,
            replay_of: None,
        };
        match engine.accept(recipe, event).await {
            Ok(_) => {
                engine.fired(recipe, at);
                if let Err(error) = engine.store.advance_schedule(recipe.row.id, at).await {
                    // The key keeps the fire time from starting a second run.
                    tracing::warn!(recipe = &*recipe.program.slug, %error, "schedule.advance: the store did not answer");
                }
            }
            Err(error) => {
                tracing::warn!(recipe = &*recipe.program.slug, %error, "schedule.fire: tried again in a second");
                return Some(now.after(Duration::from_secs(1)));
            }
        }
    }
    next.map(Timestamp::from_micros)
}

impl Engine {
    /// The newest fire time done, as far as this process knows.
    fn fired_up_to(&self, recipe: &LiveRecipe) -> Timestamp {
        let kept = recipe.schedule_cursor.unwrap_or(recipe.row.updated_at);
        self.fired.lock().get(&recipe.row.id).map_or(kept, |fired| kept.max(*fired))
    }

    fn fired(&self, recipe: &LiveRecipe, at: Timestamp) {
        self.fired.lock().insert(recipe.row.id, at);
    }
}
