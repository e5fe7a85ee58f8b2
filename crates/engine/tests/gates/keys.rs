//! Data keys that change while a process is between reading what is sealed and opening it.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use engine::{Engine, EngineSettings};
use parking_lot::Mutex;
use serde_json::json;
use store::{
    ConnectionRow, DataKeyId, Put, SealedAt, Store, StoreError, Vault,
    conformance::faulty::{FaultyStore, Guard},
};

use crate::world::{self, World};

/// Somebody who changes the data key, as a rotation does: a new one, everything sealed anew, the old one removed.
struct Keeper {
    store: Arc<dyn Store>,
    vault: Vault,
    /// Right after the engine did this.
    after: Mutex<Option<&'static str>>,
}

impl Keeper {
    async fn change_keys(&self) {
        assert!(self.vault.add_key().await.unwrap());
        for record in self.store.sealed(None, 100).await.unwrap() {
            let secrets = self.vault.open(&record.at, &record.sealed).await.unwrap();
            let anew = self.vault.seal(&record.at, &secrets).await.unwrap();
            assert!(self.store.reseal(&record, &anew).await.unwrap());
        }
        assert_eq!(self.store.remove_data_keys().await.unwrap().len(), 1);
    }

    /// The connection's password is another one, sealed under the key of now.
    async fn change_password(&self, password: &str) {
        let row = self.store.connection("crm").await.unwrap().unwrap();
        let secrets = BTreeMap::from([("password".to_owned(), password.to_owned())]);
        let update = |sealed| self.store.update_connection(ConnectionRow { sealed, ..row.clone() });
        let put = self.vault.keep(&SealedAt::Connection(row.id), &secrets, update).await.unwrap();
        assert!(matches!(put, Put::Done(_)));
    }

    fn change_keys_after(&self, verb: &'static str) {
        *self.after.lock() = Some(verb);
    }

    async fn newest(&self) -> DataKeyId {
        self.store.data_keys().await.unwrap().last().unwrap().id
    }
}

#[async_trait]
impl Guard for Keeper {
    async fn before(&self, _: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn after(&self, verb: &'static str) -> Result<(), StoreError> {
        let now = self.after.lock().take_if(|after| *after == verb).is_some();
        if now {
            self.change_keys().await;
        }
        Ok(())
    }
}

/// An engine that knows the first key only, and whoever changes keys around it.
async fn apart() -> (World, Arc<Engine>, Arc<Keeper>) {
    let mut world = World::new(0, &[("crm", json!({}))], &[]).await;
    let store: Arc<dyn Store> = world.store.clone();
    let keeper = Arc::new(Keeper { vault: world::vault(&store), store: Arc::clone(&store), after: Mutex::default() });
    keeper.change_password("first").await;
    let guarded = FaultyStore::guarded(store, Arc::clone(&keeper) as Arc<dyn Guard>);
    world.add_engine_on(Arc::new(guarded), 1, EngineSettings::default()).await;
    let engine = Arc::clone(&world.engines[0]);
    keeper.change_keys().await;
    (world, engine, keeper)
}

fn password(engine: &Engine) -> Option<String> {
    let catalogue = engine.catalogue();
    catalogue.connections.get("crm")?.credentials.get("password").map(|secret| secret.expose().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_connection_read_before_a_change_of_keys_opens_after_it() {
    let (_world, engine, keeper) = apart().await;
    assert_eq!(password(&engine).as_deref(), Some("first"));
    keeper.change_password("second").await;
    keeper.change_keys_after("connections");
    engine.refresh().await.unwrap();
    assert_eq!((keeper.newest().await, password(&engine).as_deref()), (DataKeyId(3), Some("second")));
    assert!(engine.catalogue().sealed.is_empty(), "{:?}", engine.catalogue().sealed);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_taken_out_before_a_change_of_keys_opens_after_it() {
    let (mut world, engine, keeper) = apart().await;
    // It began at another process, which knows the key of now.
    world.add_engine(2, EngineSettings::default()).await;
    let begun = world.engines[1].begin_sign_in("crm", "ann", None).await.unwrap();
    let state = begun.url.split("state=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    keeper.change_keys_after("spend_sign_in");
    let taken = engine.take_sign_in(state, None).await.unwrap();
    assert_eq!((keeper.newest().await, taken.who.as_str()), (DataKeyId(3), "ann"));
}
