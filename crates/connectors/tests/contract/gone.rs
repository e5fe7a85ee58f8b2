//! What is to be deleted is gone already. When an earlier try may have deleted it, that is what was wanted; when earlier
//! tries were refused, somebody else did, and that is told.

use sandbox::{Fault, Kind};
use serde_json::{Value as Json, json};
use store::{Entry, RunStatus};

use crate::{
    Connect,
    cell::Input,
    netsuite, salesforce, servicenow, stripe,
    world::{Done, World},
};

/// A deletion that is repeated after such a fault, of something that somebody else deleted before or not.
async fn delete(world: &World, action: &str, input: Json, kind: Kind, by_others: bool) -> Json {
    let declared = world.vendor.connector.action(action).unwrap();
    let recipe = world.recipe(declared, &input, "20s").await;
    if by_others {
        world.call(action, input.clone()).await;
    }
    let fault = Fault::new(world.vendor.connector.id, kind).method("DELETE").times(1);
    world.vendor.sandbox.world().faults().add(fault).unwrap();
    let done = world.run(&recipe, input).await;
    assert!(done.entries.iter().any(|entry| matches!(entry, Entry::Started { n: 2, .. })), "{action}: {:?}", done.entries);
    told(&done)
}

/// What the run's step gives, or the code it fails with.
fn told(done: &Done) -> Json {
    if done.row.status == RunStatus::Failed {
        return json!({ "code": done.row.error.as_ref().unwrap().code });
    }
    let output = done.entries.iter().find_map(|entry| match entry {
        Entry::Succeeded { out, .. } => Some(Json::clone(out)),
        _ => None,
    });
    output.unwrap()
}

/// What is told when an earlier try may have done it, and when somebody else did.
type Row = (&'static str, Json, Json);

async fn judge(id: &str, connect: Connect, input: Input, rows: Vec<Row>) {
    let world = World::start(id, connect).await;
    for (action, ours, theirs) in rows {
        let cases = [
            (Kind::ResetAfter, false, &ours),
            // Nobody can tell who did it: what was wanted is so.
            (Kind::ResetBefore, true, &ours),
            (Kind::RateLimited { retry_after: None }, true, &theirs),
        ];
        for (kind, by_others, expected) in cases {
            let given = input(&world, action).await;
            let told = delete(&world, action, given, kind.clone(), by_others).await;
            let expected = expected.as_object().unwrap();
            let same = expected.iter().all(|(name, value)| told[name] == *value);
            assert!(same, "{action} under {kind:?}: {told}, not {expected:?}");
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn netsuite_tells_whose_deletion_it_was() {
    let rows = vec![("delete_record", json!({ "deleted": true }), json!({ "deleted": false }))];
    judge("netsuite", netsuite::machine, |world, row| Box::pin(netsuite::input(world, row)), rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn salesforce_tells_whose_deletion_it_was() {
    let rows = vec![
        ("delete", json!({ "deleted": true }), json!({ "code": "ENTITY_IS_DELETED" })),
        ("batch_delete", json!({ "succeeded": 2, "failed": 0 }), json!({ "succeeded": 0, "failed": 2 })),
    ];
    judge("salesforce", salesforce::connection, |world, row| Box::pin(salesforce::input(world, row)), rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servicenow_tells_whose_deletion_it_was() {
    let rows =
        ["delete_record", "delete_attachment"].map(|action| (action, json!({ "deleted": true }), json!({ "deleted": false })));
    judge("servicenow", servicenow::connection, |world, row| Box::pin(servicenow::input(world, row)), rows.into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stripe_tells_whose_deletion_it_was() {
    let rows = vec![
        // It says of customers itself that they are deleted.
        ("delete_customer", json!({ "deleted": true }), json!({ "deleted": true })),
        ("delete_invoice", json!({ "deleted": true }), json!({ "code": "resource_missing" })),
        ("delete_invoice_item", json!({ "deleted": true }), json!({ "code": "resource_missing" })),
        ("delete_product", json!({ "deleted": true, "object": "product" }), json!({ "code": "resource_missing" })),
        ("delete_coupon", json!({ "deleted": true, "object": "coupon" }), json!({ "code": "resource_missing" })),
    ];
    judge("stripe", stripe::connection, |world, row| Box::pin(stripe::input(world, row)), rows).await;
}
