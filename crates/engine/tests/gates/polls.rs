//! Triggers that ask: each thing starts one run, however engines come and go, and a system that is down is left alone.

use std::{collections::BTreeMap, time::Duration};

use connector::ErrorClass;
use engine::EngineSettings;
use serde_json::{Value, json};
use store::{Entry, RunStatus, Timestamp};

use crate::world::{Mood, World};

const WATCH: &str =
    "trigger: { from: crm.thing }\nconnections: { crm: sys }\nsteps:\n  - id: seen\n    set: { id: \"${ trigger.id }\" }\n";
const EVERY_20_S: &str = "trigger: { from: crm.thing, poll: { every: 20s } }\nconnections: { crm: sys }\nsteps:\n  - id: seen\n    set: { id: \"${ trigger.id }\" }\n";
const SHARED: EngineSettingsOf = || EngineSettings { shared_store: true, ..EngineSettings::default() };
const MINUTE: Duration = Duration::from_secs(60);

type EngineSettingsOf = fn() -> EngineSettings;

async fn world(engines: usize, recipe: &str) -> World {
    World::with(engines, &[("crm", json!({}))], &[("watch", recipe)], SHARED()).await
}

fn happens(world: &World, at: Timestamp, id: u64) {
    world.system("crm", |crm| crm.things.insert((at.micros(), id)));
}

/// How many runs there are of each thing.
async fn runs_by_id(world: &World) -> BTreeMap<u64, usize> {
    let mut seen = BTreeMap::new();
    for run in world.runs().await {
        let Entry::Accepted { event, .. } = world.entries(run.id).await.remove(0) else { panic!("a run begins with its event") };
        *seen.entry(event["id"].as_u64().unwrap()).or_default() += 1;
    }
    seen
}

fn once_each(ids: impl Iterator<Item = u64>) -> BTreeMap<u64, usize> {
    ids.map(|id| (id, 1)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_happens_starts_one_run_each_also_in_the_same_instant_and_after_a_restart() {
    let mut world = world(2, EVERY_20_S).await;
    happens(&world, Timestamp::from_micros(1), 99);
    world.pass(Duration::from_secs(5)).await;
    assert!(world.runs().await.is_empty(), "what was before it was switched on starts nothing");
    // Ten things in one instant, more than three pages of them.
    let now = world.now();
    (1..=10).for_each(|id| happens(&world, now, id));
    world.pass(Duration::from_secs(25)).await;
    assert_eq!(runs_by_id(&world).await, once_each(1..=10));
    assert_eq!(world.counts().await, [(RunStatus::Succeeded, 10)].into());
    // Things happen while nobody asks.
    for engine in world.engines.drain(..).collect::<Vec<_>>() {
        engine.stop().await;
    }
    let later = world.now();
    (11..=14).for_each(|id| happens(&world, later, id));
    world.add_engine(9, SHARED()).await;
    world.pass(Duration::from_secs(45)).await;
    assert_eq!(runs_by_id(&world).await, once_each(1..=14));
}

#[tokio::test(start_paused = true)]
async fn a_pause_follows_how_much_happens_unless_somebody_chose_it() {
    let asked_between = async |recipe: &str, busy: bool| {
        let world = world(1, recipe).await;
        let mut id = 0;
        happens(&world, world.now(), id);
        for _ in 0..16 {
            if busy {
                id += 1;
                happens(&world, world.now(), id);
            }
            world.pass(Duration::from_secs(30)).await;
        }
        world.system("crm", |crm| {
            let at: Vec<u128> = crm.calls.iter().map(|(at, _)| *at).collect();
            at.windows(2).map(|two| two[1] - two[0]).filter(|pause| *pause > 1000).collect::<Vec<_>>()
        })
    };
    let quiet = asked_between(WATCH, false).await;
    assert!(quiet.is_sorted() && quiet.len() <= 5 && *quiet.last().unwrap() > 130_000, "{quiet:?}");
    let busy = asked_between(WATCH, true).await;
    assert!(busy.len() >= 12 && busy.iter().all(|pause| *pause < 70_000), "{busy:?}");
    let known = asked_between(&WATCH.replace("crm.thing", "crm.list"), false).await;
    assert!(known.is_sorted() && known.len() <= 5, "what is told again is nothing new: {known:?}");
    let by_the_clock = asked_between(&WATCH.replace("crm.thing", "crm.report"), true).await;
    assert!(by_the_clock.len() >= 6 && by_the_clock.iter().all(|pause| (59_900..61_000).contains(pause)), "{by_the_clock:?}");
    let chosen = asked_between(EVERY_20_S, false).await;
    assert!(chosen.len() >= 22 && chosen.iter().all(|pause| (19_900..21_000).contains(pause)), "{chosen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_system_that_is_down_is_asked_rarely_and_nothing_is_lost() {
    let world = world(1, EVERY_20_S).await;
    world.pass(Duration::from_secs(5)).await;
    world.system("crm", |crm| {
        crm.mood = Mood::Fails(ErrorClass::Server, None);
        crm.calls.clear();
    });
    happens(&world, world.now(), 1);
    world.pass(10 * MINUTE).await;
    let calls = world.system("crm", |crm| crm.calls.len());
    assert!((3..20).contains(&calls), "{calls} questions to a system that is down");
    let poll = world.store().polls(None, 10).await.unwrap().remove(0);
    assert!(poll.failures >= 3 && poll.error.as_ref().is_some_and(|error| error["code"] == "DOWN"), "{poll:?}");
    world.system("crm", |crm| crm.mood = Mood::Well);
    world.pass(12 * MINUTE).await;
    assert_eq!(runs_by_id(&world).await, once_each(1..=1));
    assert_eq!(world.store().polls(None, 10).await.unwrap()[0].failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_wish_of_the_system_is_kept() {
    let world = world(1, EVERY_20_S).await;
    world.pass(Duration::from_secs(5)).await;
    world.system("crm", |crm| {
        crm.mood = Mood::Fails(ErrorClass::RateLimited, Some(5 * MINUTE));
        crm.calls.clear();
    });
    world.pass(4 * MINUTE).await;
    assert_eq!(world.system("crm", |crm| crm.calls.len()), 1, "it said when to come again");
}

#[tokio::test(start_paused = true)]
async fn the_start_can_be_counted_and_moved_and_nothing_starts_twice() {
    let world = world(1, EVERY_20_S).await;
    let before = Timestamp::from_micros(world.now().micros() - 3_600_000_000);
    (1..=5).for_each(|id| happens(&world, before, id));
    happens(&world, world.now(), 6);
    world.pass(Duration::from_secs(25)).await;
    assert_eq!(runs_by_id(&world).await, once_each(6..=6));
    let engine = world.engines[0].clone();
    let recipe = engine.catalogue().recipes["watch"].clone();
    let count = engine.count_poll(&recipe, before).await.unwrap();
    assert_eq!((count.wanted, count.filtered, count.more), (6, 0, false));
    assert_eq!(world.runs().await.len(), 1, "a count starts nothing");
    engine.move_poll(&recipe, before).await.unwrap();
    world.pass(Duration::from_secs(2)).await;
    assert_eq!(runs_by_id(&world).await, once_each(1..=6));
    let poll = world.store().polls(None, 10).await.unwrap().remove(0);
    assert_eq!(poll.events, 6, "an event that comes again is not counted");
}

#[tokio::test(start_paused = true)]
async fn an_event_the_recipe_does_not_want_moves_the_position_and_starts_nothing() {
    let picky = "trigger: { from: crm.thing, if: trigger.id > 3, poll: { every: 20s } }\nconnections: { crm: sys }\nsteps:\n  - id: seen\n    set: { id: \"${ trigger.id }\" }\n";
    let world = world(1, picky).await;
    world.pass(Duration::from_secs(5)).await;
    let now = world.now();
    (1..=7).for_each(|id| happens(&world, now, id));
    world.pass(Duration::from_secs(25)).await;
    assert_eq!(runs_by_id(&world).await, once_each(4..=7));
    let row = world.store().polls(None, 10).await.unwrap().remove(0);
    assert_eq!(json!(row.position)["after"], json!([now.micros(), 7]) as Value);
}

/// Questions wait their turn like calls of runs: with a budget that many share, nobody is passed over.
#[tokio::test(start_paused = true)]
async fn questions_that_share_a_budget_are_all_asked() {
    let config = json!({ "budget": { "in_flight": 1, "per_second": 2 } });
    let recipes = ["one", "two", "three", "four"].map(|slug| (slug, EVERY_20_S));
    let world = World::with(1, &[("crm", config)], &recipes, SHARED()).await;
    world.system("crm", |crm| crm.takes = Duration::from_millis(400));
    world.pass(Duration::from_secs(30)).await;
    happens(&world, world.now(), 1);
    world.pass(MINUTE).await;
    assert_eq!(runs_by_id(&world).await, [(1, recipes.len())].into(), "every recipe saw it once");
    let asked = world.system("crm", |crm| crm.calls.len());
    assert!((16..=20).contains(&asked), "{asked} questions of four recipes in 90 s");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_was_hastened_in_vain_does_not_lengthen_the_pause() {
    let world = world(1, WATCH).await;
    world.pass(Duration::from_secs(2)).await;
    let pause = async || world.store().polls(None, 10).await.unwrap().remove(0).pause_us;
    let (before, asked) = (pause().await, world.system("crm", |crm| crm.calls.len()));
    let recipe = world.engines[0].catalogue().recipes["watch"].clone();
    for _ in 0..5 {
        world.engines[0].hasten_poll(&recipe).await.unwrap();
        world.pass(Duration::from_secs(3)).await;
    }
    assert_eq!(world.system("crm", |crm| crm.calls.len()), asked + 5, "it was asked each time");
    assert_eq!(pause().await, before);
}

const OTHER: &str = "trigger: { from: erp.thing, poll: { every: 20s } }\nconnections: { erp: sys }\nsteps:\n  - id: seen\n    set: { id: \"${ trigger.id }\" }\n";

/// What one process knew of a recipe and another did not does not keep its trigger from asking.
#[tokio::test(start_paused = true)]
async fn a_recipe_that_is_changed_and_switched_off_and_on_misses_nothing() {
    let recipes = [("watch", EVERY_20_S), ("idle", EVERY_20_S)];
    let mut world = World::with(2, &[("crm", json!({})), ("erp", json!({}))], &recipes, SHARED()).await;
    world.pass(Duration::from_secs(5)).await;
    let row = world.store().recipe("watch").await.unwrap().unwrap();
    let switch = async |world: &World, version: Option<i32>| {
        world.store().activate(row.id, version, &json!({}), world.now()).await.unwrap().unwrap();
    };
    switch(&world, None).await;
    world.pass(MINUTE).await;
    happens(&world, world.now(), 1);
    world.pass(MINUTE).await;
    switch(&world, Some(1)).await;
    world.pass(MINUTE).await;
    assert_eq!(runs_by_id(&world).await, [(1, 2)].into(), "both recipes saw what happened while one was off");
    // It asks elsewhere for a while, and only one of the processes knows of it before it asks here again.
    world.change(0, "watch", OTHER).await;
    world.pass(Duration::from_secs(1)).await;
    switch(&world, Some(1)).await;
    world.engines[1].refresh().await.unwrap();
    world.engines.remove(1).stop().await;
    happens(&world, world.now(), 2);
    world.pass(2 * MINUTE).await;
    assert_eq!(runs_by_id(&world).await, [(1, 2), (2, 2)].into());
    // A process that is behind opens it as it was.
    let stale = store::NewPoll { recipe: row.id, source: "erp.thing".to_owned(), since: world.now(), pause_us: 1_000_000 };
    world.store().open_polls(&[stale], world.now()).await.unwrap();
    happens(&world, world.now(), 3);
    world.pass(2 * MINUTE).await;
    assert_eq!(runs_by_id(&world).await, [(1, 2), (2, 2), (3, 2)].into());
}
