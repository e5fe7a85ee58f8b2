//! A third system, which is asked for what happened in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use connector::{Cx, ErrorClass, Occurrence, Poll, Polled, Position, StepError, Trigger, read_cursor};
use engine::Engine;
use parking_lot::Mutex;
use serde_json::{Value, json};
use store::{Entry, Pages as _, RunFilter, RunId, Timestamp, Via};

use crate::{outside::World, process::Life};

/// The connection, the connector, and the recipe that is started by it.
pub(crate) const SOURCE: &str = "src";
pub(crate) const FEED: &str = "feed";
/// Things of one answer at most.
const PAGE: usize = 2;

/// What happened there: when, and its number.
#[derive(Clone, Default)]
pub(crate) struct Source(Arc<Mutex<BTreeSet<(i64, u64)>>>);

impl Source {
    /// One thing happens, or several in one instant.
    pub(crate) fn happen(&self, world: &World) {
        let (now, count) = (world.now().micros(), 1 + world.dice(4) / 3 * world.dice(4));
        let mut things = self.0.lock();
        for _ in 0..count {
            let number = things.len() as u64;
            things.insert((now, number));
        }
    }

    /// The things that started no run yet, and those that started several.
    pub(crate) async fn told_wrongly(world: &World) -> (Vec<u64>, Vec<u64>) {
        let mut runs: BTreeMap<u64, Vec<RunId>> = world.source.0.lock().iter().map(|(_, number)| (*number, Vec::new())).collect();
        let all = RunFilter { limit: u32::MAX, ..RunFilter::default() };
        for run in world.store.runs(&all).await.unwrap_or_default().into_iter().filter(|run| run.via == Via::Poll) {
            if let Some(Entry::Accepted { event, .. }) = world.entries(run.id).await.first() {
                runs.entry(event["id"].as_u64().unwrap_or(u64::MAX)).or_default().push(run.id);
            }
        }
        let those =
            |wrong: fn(usize) -> bool| runs.iter().filter(|(_, runs)| wrong(runs.len())).map(|(number, _)| *number).collect();
        (those(|runs| runs == 0), those(|runs| runs > 1))
    }

    /// Somebody has it tell everything once more.
    pub(crate) async fn begin_again(engine: &Arc<Engine>) {
        let catalogue = engine.catalogue();
        if let Some(feed) = catalogue.recipes.get(FEED) {
            let back = engine.move_poll(feed, Timestamp::default());
            drop(tokio::time::timeout(Duration::from_secs(10), back).await);
        }
    }

    /// The trigger, as one process asks it.
    pub(crate) fn trigger(world: &World, life: &Life) -> Trigger {
        let (world, life) = (world.clone(), life.clone());
        let ask = move |_: Cx, _: Value, from: Position| {
            let (world, life) = (world.clone(), life.clone());
            async move { answer(&world, &life, &from).await }
        };
        Trigger::new("thing", "Thing", "Something happened").poll(Poll::new(Duration::from_secs(60), ask))
    }
}

async fn answer(world: &World, life: &Life, from: &Position) -> Result<Polled, StepError> {
    let after: (i64, Option<u64>) = match from {
        Position::Since(micros) => (*micros, None),
        Position::After(cursor) => read_cursor(cursor)?,
    };
    world.nap(40).await;
    life.alive().await;
    if world.goes_wrong(4) {
        return Err(StepError::new(ErrorClass::Server, "DOWN", "The system is down."));
    }
    let found: Vec<(i64, u64)> = {
        let things = world.source.0.lock();
        things.range((after.0, after.1.map_or(0, |number| number + 1))..).take(PAGE).copied().collect()
    };
    if world.goes_wrong(1) {
        std::future::pending::<()>().await;
    }
    world.nap(5_000).await;
    life.alive().await;
    let events = found.iter().map(|(_, number)| Occurrence { key: number.to_string(), data: json!({ "id": number }) });
    let cursor = found.last().map_or(json!(after), |(at, number)| json!([at, number]));
    Ok(Polled { events: events.collect(), cursor, more: found.len() == PAGE })
}
