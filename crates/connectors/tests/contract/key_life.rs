//! Stripe forgets keys after a day: a payment whose answer was lost is asked for again before, and not blindly after.

use engine::{
    control::Doubtful,
    resume::{Resumption, Said},
};
use sandbox::{Fault, Kind};
use serde_json::{Value as Json, json};
use store::{Entry, RunStatus};

use crate::{
    stripe,
    world::{Done, STEP, World},
};

const AMOUNT: u32 = 471_108;

/// A payment that is tried twice, with such a pause between.
async fn pay(world: &World, pause: &str, kind: Kind) -> Done {
    let recipe = format!(
        "- id: {STEP}\n    do: stripe.create_payment_intent\n    retry: {{ times: 2, wait: {pause}, max_wait: {pause}, jitter: none }}\n    \
         with: {{ amount: {AMOUNT}, currency: usd, payment_method: pm_card_visa, confirm: true }}\n"
    );
    let recipe = world.save("{ from: api }", &recipe).await;
    world.vendor.sandbox.world().faults().add(Fault::new("stripe", kind).times(1)).unwrap();
    world.run(&recipe, json!({})).await
}

/// How many of these payments were made; subscriptions that were renewed meanwhile are others.
fn payments(world: &World) -> usize {
    let rows = world.vendor.sandbox.vendor("stripe").unwrap().rows("PaymentIntent", 0, usize::MAX).unwrap();
    rows.iter().filter(|row| row["amount"] == AMOUNT && row["status"] == "succeeded").count()
}

fn code(done: &Done) -> Option<&str> {
    done.row.error.as_ref().map(|error| error.code.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again_only_while_the_key_is_known() {
    let world = World::start("stripe", stripe::connection).await;
    let done = pay(&world, "22h", Kind::ResetAfter).await;
    assert_eq!((done.row.status, payments(&world)), (RunStatus::Succeeded, 1), "{:?}", done.row.error);
    assert_eq!(done.requests.len(), 2);

    let done = pay(&world, "25h", Kind::ResetAfter).await;
    assert_eq!((done.row.status, code(&done)), (RunStatus::Failed, Some("REPEAT_TOO_LATE")));
    assert_eq!((done.requests.len(), payments(&world)), (1, 2), "it was done once");
    let doubts = world.engine.doubts(done.row.id).await.unwrap();
    assert_eq!(doubts, [STEP]);

    // Somebody found the payment in Stripe's dashboard.
    let said = Said::All(Doubtful::Happened(json!({"id": "pi_1", "status": "succeeded"})));
    world.engine.resume_with(done.row.id, &Resumption { said, ..Resumption::default() }, "ines").await.unwrap();
    let done = world.until_over(done.row.id).await;
    assert_eq!((done.status, payments(&world)), (RunStatus::Succeeded, 2), "{:?}", done.error);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stripe_refused_may_be_asked_for_at_any_time_and_what_broke_inside_may_not() {
    let world = World::start("stripe", stripe::connection).await;
    let done = pay(&world, "25h", Kind::RateLimited { retry_after: None }).await;
    assert_eq!((done.row.status, payments(&world)), (RunStatus::Succeeded, 1), "{:?}", done.row.error);
    for kind in [Kind::ServerError, Kind::ResetBefore] {
        let done = pay(&world, "25h", kind).await;
        assert_eq!((code(&done), payments(&world)), (Some("REPEAT_TOO_LATE"), 1));
        let doubted = |entry: &Entry| matches!(entry, Entry::Failed { doubt: true, .. });
        assert!(done.entries.iter().any(doubted), "{:?}", done.entries);
    }
    world.stop().await;
}

/// Every call that carries a key and would do its thing again without it says how long the key is known.
#[test]
fn no_action_that_posts_relies_on_a_key_for_ever() {
    let connector = connectors::all().into_iter().find(|connector| connector.id == "stripe").unwrap();
    let for_ever: Vec<&str> = connector
        .actions
        .iter()
        .filter(|action| (action.effect)(&Json::Null) == connector::Effect::Idempotent && action.key_life.is_none())
        .map(|action| action.id)
        .collect();
    let deletes = |name: &str| name.starts_with("delete_") || name == "cancel_subscription";
    let rest: Vec<&str> = for_ever.into_iter().filter(|name| !deletes(name)).collect();
    assert_eq!(rest, ["find_or_create_customer"], "it looks first");
}
