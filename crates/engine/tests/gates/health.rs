//! Connections that need a sign-in, and systems that say what is left of their day.

use std::time::Duration;

use connector::ErrorClass;
use engine::{Health, SignInError};
use serde_json::json;
use store::{RunStatus, Via};

use crate::world::{Mood, World};

const CALL: &str = "connections: { crm: sys }\nsteps:\n  - { id: a, do: crm.put, with: {}, retry: none }\n";

async fn world() -> World {
    World::new(1, &[("crm", json!({}))], &[("story", CALL)]).await
}

async fn health(world: &World) -> Health {
    world.engines[0].health_of(&["crm"]).await.unwrap()[0].health
}

fn calls(world: &World) -> usize {
    world.system("crm", |system| system.calls.len())
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_called_once_in_five_minutes_until_it_works() {
    let world = world().await;
    assert_eq!(health(&world).await, Health::NeverUsed);
    world.system("crm", |system| system.mood = Mood::Fails(ErrorClass::Auth, None));
    world.send(0, "story", json!({})).await;
    world.pass(Duration::from_secs(1)).await;
    assert_eq!((health(&world).await, calls(&world)), (Health::NeedsSignIn, 1));
    for _ in 0..20 {
        let run = world.send(0, "story", json!({})).await;
        world.settle().await;
        let run = world.run(run).await;
        assert_eq!((run.status, run.error.unwrap().code.as_str()), (RunStatus::Failed, "SIGN_IN_NEEDED"));
    }
    assert_eq!(calls(&world), 1, "not one call more");
    world.pass(Duration::from_secs(300)).await;
    for _ in 0..5 {
        world.send(0, "story", json!({})).await;
        world.settle().await;
    }
    assert_eq!((health(&world).await, calls(&world)), (Health::NeedsSignIn, 2), "one found out that it is still so");
    // Mended at the other side.
    world.system("crm", |system| system.mood = Mood::Well);
    world.pass(Duration::from_secs(300)).await;
    world.send(0, "story", json!({})).await;
    world.pass(Duration::from_secs(1)).await;
    assert_eq!((health(&world).await, calls(&world)), (Health::Healthy, 3));
    world.send(0, "story", json!({})).await;
    world.settle().await;
    assert_eq!(world.counts().await[&RunStatus::Succeeded], 2);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_lets_runs_call_at_once() {
    let world = world().await;
    world.system("crm", |system| system.mood = Mood::Fails(ErrorClass::Auth, None));
    world.send(0, "story", json!({})).await;
    world.pass(Duration::from_secs(1)).await;
    world.system("crm", |system| system.mood = Mood::Well);
    assert!(world.engines[0].signed_in("crm", "ann", "She signed in.").await.unwrap());
    let run = world.send(0, "story", json!({})).await;
    world.settle().await;
    assert_eq!(world.run(run).await.status, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_past_what_a_system_says_is_left() {
    let world = world().await;
    world.system("crm", |system| system.day = Some((10, 1000, Some(Duration::from_secs(600)))));
    world.send(0, "story", json!({})).await;
    world.pass(Duration::from_secs(1)).await;
    for _ in 0..40 {
        world.send(0, "story", json!({})).await;
    }
    world.pass(Duration::from_secs(30)).await;
    assert!((6..=10).contains(&calls(&world)), "{} calls of 10", calls(&world));
    assert_eq!(world.counts().await.get(&RunStatus::Failed), None, "the others wait");
    assert_eq!(health(&world).await, Health::Limited);
    let forecast = world.engines[0].gates_of("crm").await.unwrap().forecast(world.now());
    assert_eq!(forecast.day.unwrap().limit, 1000);
    // It is whole again.
    world.system("crm", |system| system.day = None);
    world.pass(Duration::from_secs(700)).await;
    assert_eq!(world.counts().await[&RunStatus::Succeeded], 41);
}

#[tokio::test(start_paused = true)]
async fn work_nobody_waits_for_goes_slowly_when_the_day_runs_short() {
    let world = world().await;
    // 19 of 100 are left for 1,000 seconds: more than four fifths are used.
    world.system("crm", |system| system.day = Some((20, 100, Some(Duration::from_secs(1000)))));
    world.send(0, "story", json!({})).await;
    world.pass(Duration::from_secs(1)).await;
    for _ in 0..6 {
        world.send_via(0, "story", json!({}), Via::Schedule).await;
    }
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(calls(&world), 2, "the first of them went, the others have the whole day");
    let run = world.send(0, "story", json!({})).await;
    world.pass(Duration::from_secs(3)).await;
    assert_eq!(world.run(run).await.status, RunStatus::Succeeded, "somebody waits for this one");
    let before = calls(&world);
    world.pass(Duration::from_secs(400)).await;
    assert!((before + 1..=before + 5).contains(&calls(&world)), "one every hundred seconds or so: {}", calls(&world));
}

/// The state that is sent along with a sign-in.
async fn begun(world: &World, session: Option<[u8; 32]>) -> String {
    let begun = world.engines[0].begin_sign_in("crm", "ann", session).await.unwrap();
    let state = begun.url.split("state=").nth(1).and_then(|rest| rest.split('&').next());
    state.expect("a state is sent along").to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_ends_once_in_its_browser_and_within_ten_minutes() {
    let world = world().await;
    let engine = &world.engines[0];
    let (ours, theirs) = (Some([1; 32]), Some([2; 32]));
    for (session, brought, after, good) in [
        (None, None, 0, true),
        (None, ours, 599, true),
        (None, None, 601, false),
        (ours, ours, 0, true),
        (ours, theirs, 0, false),
        (ours, None, 0, false),
    ] {
        let state = begun(&world, session).await;
        world.leap(Duration::from_secs(after)).await;
        let taken = engine.take_sign_in(&state, brought).await;
        match taken {
            Ok(pending) => assert!(good && pending.connection == "crm" && pending.who == "ann", "{pending:?}"),
            Err(error) => assert!(!good && matches!(error, SignInError::Over), "{error}"),
        }
        assert!(matches!(engine.take_sign_in(&state, session).await, Err(SignInError::Over)), "it is spent, however it went");
    }
    assert!(matches!(engine.begin_sign_in("erp", "ann", None).await, Err(SignInError::NotFound(_))));
}
