//! Every action and every trigger of the five systems under every fault, in runs of a real engine on a real store.
//!
//! A run has one step, which meets one fault once: at its only call, or, where an action makes several, at each of them in
//! turn (of more than four at the first two, one in the middle, the last, and the last that changes something). How it ends follows from the fault, the effect of the action and the
//! request that was met (`faults.rs`); so do the journal, what the system saw, and how often its data changed. An action
//! or trigger without a row fails the test of its system.

mod cell;
mod drift;
mod faults;
mod gone;
mod key_life;
mod netsuite;
mod salesforce;
mod servicenow;
mod stripe;
mod triggers;
#[expect(unreachable_pub, dead_code, reason = "it is shared by several tests")]
#[path = "../support/vendor.rs"]
mod vendor;
mod workday;
mod world;

use std::sync::Arc;

use cell::Input;
use sandbox::Sandbox;
use serde_json::Value as Json;
use tokio::task::JoinSet;
use world::World;

/// Systems of one kind side by side, because what hangs is waited for: the fault of one case must not meet another's requests.
const SHARDS: usize = 8;

type Connect = fn(&Sandbox) -> (Json, Json);

/// What is judged.
#[derive(Clone)]
enum What {
    Action(String, Input),
    Trigger(String),
}

async fn judge(id: &'static str, connect: Connect, all: Vec<What>) {
    let all = Arc::new(all);
    let mut shards = JoinSet::new();
    for shard in 0..SHARDS {
        let all = Arc::clone(&all);
        shards.spawn(async move {
            let world = World::start(id, connect).await;
            let mut wrong = Vec::new();
            for what in all.iter().skip(shard).step_by(SHARDS) {
                wrong.extend(match what {
                    What::Action(name, input) => cell::all_faults(&world, name, *input).await,
                    What::Trigger(name) => triggers::all_faults(&world, name).await,
                });
            }
            world.stop().await;
            wrong
        });
    }
    let wrong = shards.join_all().await.concat();
    assert!(wrong.is_empty(), "{} are not as promised:\n{}", wrong.len(), wrong.join("\n"));
}

/// The actions of a system, and the ways of them that promise less.
fn actions(id: &str, more: &[&str], input: Input, which: fn(&str) -> bool) -> Vec<What> {
    let connector = connectors::all().into_iter().find(|connector| connector.id == id).unwrap();
    let names = connector.actions.iter().map(|action| action.id).chain(more.iter().copied());
    let names = names.filter(|name| which(name.split('#').next().unwrap()));
    names.map(|name| What::Action(name.to_owned(), input)).collect()
}

fn triggers(id: &str, which: fn(&str) -> bool) -> Vec<What> {
    let connector = connectors::all().into_iter().find(|connector| connector.id == id).unwrap();
    let names = connector.triggers.iter().map(|trigger| trigger.id).filter(|name| which(name));
    names.map(|name| What::Trigger(name.to_owned())).collect()
}

macro_rules! judged {
    ($actions:ident, $triggers:ident, $id:literal, $connect:path, $system:ident, $which:expr) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $actions() {
            let input: Input = |world, row| Box::pin($system::input(world, row));
            judge($id, $connect, actions($id, &$system::MORE, input, $which)).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $triggers() {
            judge($id, $connect, triggers($id, $which)).await;
        }
    };
}

judged!(netsuite_actions, netsuite_triggers, "netsuite", netsuite::machine, netsuite, |name| !netsuite::SOAP.contains(&name));
judged!(netsuite_soap_actions, netsuite_soap_triggers, "netsuite", netsuite::tokens, netsuite, |name| netsuite::SOAP
    .contains(&name));
judged!(salesforce_actions, salesforce_triggers, "salesforce", salesforce::connection, salesforce, |_| true);
judged!(servicenow_actions, servicenow_triggers, "servicenow", servicenow::connection, servicenow, |_| true);
judged!(stripe_actions, stripe_triggers, "stripe", stripe::connection, stripe, |_| true);
judged!(workday_actions, workday_triggers, "workday", workday::connection, workday, |_| true);
