//! What systems tell of their objects: kept, believed for a while, asked for anew, and held against recipes.

use std::{sync::Arc, time::Duration};

use connector::ErrorClass;
use engine::{Engine, EngineSettings, Known, ShapeError};
use recipe::{Diagnostic, Severity};
use serde_json::{Value, json};

use crate::world::{Mood, World};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

async fn world() -> World {
    let world = World::new(1, &[("crm", json!({}))], &[]).await;
    world.system("crm", |system| system.tells("Deal", &["Name", "Amount"]));
    world
}

fn engine(world: &World) -> &Arc<Engine> {
    &world.engines[0]
}

fn names(known: &Known<Value>) -> Vec<&str> {
    known.told["properties"].as_object().unwrap().keys().map(String::as_str).collect()
}

fn asked(world: &World) -> usize {
    world.system("crm", |system| system.calls.len())
}

/// The problems of a recipe that writes a field of a deal, without advice.
async fn writing(world: &World, field: &str) -> Vec<Diagnostic> {
    let steps = format!("- {{ id: a, do: crm.write, with: {{ object: Deal, fields: {{ {field}: x }} }} }}\n");
    checked(world, &steps).await
}

async fn checked(world: &World, steps: &str) -> Vec<Diagnostic> {
    let text = format!("liaison: 1\nrecipe: a\nconnections: {{ crm: sys }}\ntrigger: {{ from: api }}\nsteps:\n{steps}");
    problems(world, &text).await
}

async fn problems(world: &World, text: &str) -> Vec<Diagnostic> {
    let found = engine(world).check(text.as_bytes()).await.diagnostics;
    found.into_iter().filter(|problem| problem.code.starts_with("L04") || problem.code == "L0506").collect()
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_a_day_and_asked_for_anew_on_demand() {
    let mut world = world().await;
    let first = engine(&world).object("crm", "Deal", false).await.unwrap();
    assert_eq!((names(&first), first.asked_at, asked(&world)), (vec!["Name", "Amount"], world.now(), 1));
    world.system("crm", |system| system.tells("Deal", &["Name", "Region"]));
    tokio::time::advance(DAY / 2).await;
    let kept = engine(&world).object("crm", "Deal", false).await.unwrap();
    assert_eq!((names(&kept), kept.asked_at, asked(&world)), (vec!["Name", "Amount"], first.asked_at, 1));
    // Another process knows it, too.
    world.add_engine(9, EngineSettings::default()).await;
    assert_eq!(world.engines[1].object("crm", "Deal", false).await.unwrap().asked_at, first.asked_at);
    let anew = engine(&world).object("crm", "Deal", true).await.unwrap();
    assert_eq!((names(&anew), anew.asked_at, asked(&world)), (vec!["Name", "Region"], world.now(), 2));
    tokio::time::advance(DAY).await;
    world.system("crm", |system| system.tells("Deal", &["Name"]));
    assert_eq!(names(&engine(&world).object("crm", "Deal", false).await.unwrap()), ["Name"], "a day is over");
    let objects = engine(&world).objects("crm", false).await.unwrap();
    assert_eq!(objects.told.iter().map(|object| &*object.name).collect::<Vec<_>>(), ["Deal"]);
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_is_better_than_none() {
    let world = world().await;
    engine(&world).object("crm", "Deal", false).await.unwrap();
    tokio::time::advance(DAY).await;
    world.system("crm", |system| system.mood = Mood::Fails(ErrorClass::Server, None));
    let old = engine(&world).object("crm", "Deal", false).await.unwrap();
    assert_eq!((names(&old), old.problem.as_ref().unwrap().code.as_str()), (vec!["Name", "Amount"], "DOWN"));
    assert!(matches!(engine(&world).object("crm", "Deal", true).await, Err(ShapeError::Asked(error)) if error.code == "DOWN"));
    // One that is gone is gone.
    world.system("crm", |system| system.mood = Mood::Fails(ErrorClass::NotFound, None));
    assert!(matches!(engine(&world).object("crm", "Deal", false).await, Err(ShapeError::Asked(_))));
}

#[tokio::test(start_paused = true)]
async fn what_was_told_through_other_settings_does_not_count() {
    let world = world().await;
    engine(&world).object("crm", "Deal", false).await.unwrap();
    let store: Arc<dyn store::Store> = world.store.clone();
    let row = store.connection("crm").await.unwrap().unwrap();
    store.update_connection(store::ConnectionRow { config: json!({"account": "other"}), ..row }).await.unwrap();
    world.system("crm", |system| system.tells("Deal", &["Else"]));
    assert_eq!(names(&engine(&world).object("crm", "Deal", false).await.unwrap()), ["Else"]);
}

#[tokio::test(start_paused = true)]
async fn every_connection_is_asked_for_itself() {
    let world = World::new(1, &[("crm", json!({})), ("erp", json!({}))], &[]).await;
    for (name, field) in [("crm", "Name"), ("erp", "Region")] {
        world.system(name, |system| system.tells("Deal", &[field]));
        assert_eq!(names(&engine(&world).object(name, "Deal", false).await.unwrap()), [field]);
    }
    let steps = |connection: &str, field: &str| {
        format!("- {{ id: {connection}, do: {connection}.write, with: {{ object: Deal, fields: {{ {field}: x }} }} }}\n")
    };
    let text = |steps: &str| {
        format!("liaison: 1\nrecipe: a\nconnections: {{ crm: sys, erp: sys }}\ntrigger: {{ from: api }}\nsteps:\n{steps}")
    };
    let found = async |steps: String| problems(&world, &text(&steps)).await;
    assert_eq!(found([steps("crm", "Name"), steps("erp", "Region")].concat()).await, []);
    assert_eq!(found([steps("crm", "Region"), steps("erp", "Name")].concat()).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_nonsense() {
    let world = world().await;
    for name in ["", "..", "a/../b"] {
        assert!(matches!(engine(&world).object("crm", name, true).await, Err(ShapeError::Name(_))), "{name}");
    }
    assert!(matches!(engine(&world).object("erp", "Deal", false).await, Err(ShapeError::NoConnection(_))));
    assert_eq!(asked(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn recipes_are_checked_against_what_is_told() {
    let world = world().await;
    assert_eq!(writing(&world, "Name").await, []);
    let found = writing(&world, "Nmae").await;
    assert_eq!((found[0].code, found[0].help.as_deref()), ("L0402", Some("Did you mean \"Name\"?")));
    let reads = "- { id: a, do: crm.read, with: { object: Deal } }\n- { id: b, return: \"${ steps.a.record.Nmae }\" }\n";
    assert_eq!(checked(&world, reads).await[0].code, "L0506");
    assert_eq!(asked(&world), 1, "once for all of them: a moment ago is not old");
    // An object that the system does not have is left to the run.
    let other = "- { id: a, do: crm.write, with: { object: Other, fields: { Nmae: x } } }\n";
    assert_eq!(checked(&world, other).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_field_that_was_added_since_is_found() {
    let world = world().await;
    assert_eq!(writing(&world, "Name").await, []);
    world.system("crm", |system| system.tells("Deal", &["Name", "Region"]));
    tokio::time::advance(MINUTE).await;
    assert_eq!(writing(&world, "Region").await, []);
    assert_eq!(asked(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_only_warns_while_the_system_is_away() {
    let world = world().await;
    assert_eq!(writing(&world, "Name").await, []);
    tokio::time::advance(MINUTE).await;
    world.system("crm", |system| system.mood = Mood::Fails(ErrorClass::Server, None));
    let found = writing(&world, "Nmae").await;
    assert_eq!((found.len(), found[0].code, found[0].severity), (1, "L0402", Severity::Warning));
    assert!(found[0].message.ends_with("when it could last be asked."), "{}", found[0].message);
}

/// Lets time go by, a little whenever the store has answered whatever it was asked, until something is done.
async fn while_time_goes_by<T>(world: &World, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let little = async || world.pass(Duration::from_millis(50)).await;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = little() => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn saving_never_waits_long() {
    const TAKES: Duration = Duration::from_secs(29);
    let world = world().await;
    world.system("crm", |system| system.takes = TAKES);
    let began = world.now();
    assert_eq!(while_time_goes_by(&world, writing(&world, "Nmae")).await, [], "nothing is known yet");
    assert_eq!(while_time_goes_by(&world, writing(&world, "Nmae")).await, []);
    assert!(world.now().since(began) < TAKES, "nobody waited for the answer");
    assert_eq!(asked(&world), 1, "one question is under way already");
    tokio::time::advance(TAKES).await;
    let found = while_time_goes_by(&world, async {
        loop {
            let found = writing(&world, "Nmae").await;
            if !found.is_empty() {
                return found;
            }
        }
    });
    assert_eq!(found.await[0].code, "L0402", "the answer came after all");
    assert_eq!(asked(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn who_needs_a_sign_in_is_not_asked() {
    let world = world().await;
    engine(&world).awaits_sign_in("crm").await.unwrap();
    assert!(
        matches!(engine(&world).object("crm", "Deal", false).await, Err(ShapeError::Asked(error)) if error.class == ErrorClass::Auth)
    );
    assert_eq!((writing(&world, "Nmae").await, asked(&world)), (Vec::new(), 0));
}
