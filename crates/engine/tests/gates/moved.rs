//! A step in doubt is not gone on from under a version that would do it elsewhere, or not at all.

use std::time::Duration;

use engine::{
    control::{ControlError, Doubtful},
    resume::{Resumption, Said},
};
use serde_json::json;
use store::{RunId, RunStatus};

use crate::world::World;

/// A recipe that does one thing, whose answer is lost.
fn payer(step: &str) -> String {
    format!("connections: {{ crm: sys, other: sys }}\nsteps:\n{step}  - {{ id: end, return: fine }}\n")
}

fn pay(with: &str) -> String {
    payer(&format!("  - {{ id: pay, do: {with}, with: {{ lost: true }}, retry: none }}\n"))
}

/// A world in which the run of that recipe stands in doubt.
async fn in_doubt(action: &str) -> (World, RunId) {
    let connections = [("crm", json!({})), ("other", json!({}))];
    let world = World::new(1, &connections, &[("payer", &pay(action))]).await;
    let run = world.send(0, "payer", json!({})).await;
    world.pass(Duration::from_secs(2)).await;
    assert_eq!(world.run(run).await.status, RunStatus::Failed);
    (world, run)
}

/// Every version that has the step in another place, or not at all.
fn elsewhere(action: &str) -> Vec<(&'static str, String)> {
    vec![
        ("renamed", pay(action).replace("id: pay", "id: charge")),
        ("removed", payer("")),
        (
            "in a loop",
            payer(&format!(
                "  - id: walk\n    each: [1]\n    steps:\n      - {{ id: pay, do: {action}, with: {{ lost: true }} }}\n"
            )),
        ),
        ("other account", pay(&action.replace("crm.", "other."))),
        ("other action", pay("crm.put")),
        ("switched off", pay(action).replace("id: pay", "id: pay, disabled: true")),
    ]
}

async fn resume(world: &World, run: RunId, active_version: bool, said: Said) -> Result<(), ControlError> {
    let wish = Resumption { active_version, said, ..Resumption::default() };
    world.engines[0].resume_with(run, &wish, "ines").await
}

#[tokio::test(start_paused = true)]
async fn what_only_its_repeat_can_tell_is_not_left_behind() {
    for (how, other) in elsewhere("crm.pay") {
        let (world, run) = in_doubt("crm.pay").await;
        world.change(0, "payer", &other).await;
        let Err(ControlError::NotNow(why)) = resume(&world, run, true, Said::Nothing).await else { panic!("{how}") };
        assert!(why.contains("step pay") && why.contains("own version"), "{how}: {why}");
        resume(&world, run, false, Said::Nothing).await.unwrap_or_else(|error| panic!("{how}: {error}"));
        world.pass(Duration::from_secs(2)).await;
        let calls = world.system("crm", |crm| crm.calls.len());
        assert_eq!((world.run(run).await.status, calls), (RunStatus::Failed, 2), "{how}: its own version asks again");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_person_must_tell_is_told_before_it_is_done_elsewhere() {
    for (how, other) in elsewhere("crm.post") {
        let (world, run) = in_doubt("crm.post").await;
        world.change(0, "payer", &other).await;
        for said in [Said::Nothing, Said::All(Doubtful::Happened(json!({})))] {
            let refused = resume(&world, run, true, said).await;
            let Err(ControlError::NotNow(why)) = refused else { panic!("{how}: {refused:?}") };
            assert!(why.contains("step pay"), "{how}: {why}");
        }
        resume(&world, run, true, Said::All(Doubtful::Repeat)).await.unwrap_or_else(|error| panic!("{how}: {error}"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_be_done_anywhere_and_what_stays_in_its_place_goes_on() {
    let more = pay("crm.pay").replace("  - { id: end", "  - { id: more, do: crm.put }\n  - { id: end");
    let others = elsewhere("crm.put").into_iter().filter(|(how, _)| *how != "other action");
    let mut cases: Vec<_> = others.map(|(how, other)| ("crm.put", how, other)).collect();
    cases.push(("crm.pay", "another step", more));
    for (action, how, other) in cases {
        let (world, run) = in_doubt(action).await;
        world.change(0, "payer", &other).await;
        resume(&world, run, true, Said::Nothing).await.unwrap_or_else(|error| panic!("{action} {how}: {error}"));
    }
}
