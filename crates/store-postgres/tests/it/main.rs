//! The conformance suite on PostgreSQL, and what only a server can do wrong.

mod circles;
mod locks;
mod parts;
mod plans;
mod proxy;
mod server;
mod upgrade;

use std::sync::Arc;

use async_trait::async_trait;
use store::{BlobId, Store, conformance::Bed};
use store_postgres::{PostgresStore, testing::FreshDatabase};
use tokio::sync::Mutex;

struct PostgresBed {
    store: Arc<PostgresStore>,
    others: Mutex<Vec<Arc<PostgresStore>>>,
    database: FreshDatabase,
}

#[async_trait]
impl Bed for PostgresBed {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    async fn another(&self) -> Arc<dyn Store> {
        let store = Arc::new(self.database.open().await);
        self.others.lock().await.push(Arc::clone(&store));
        store
    }

    fn gives_notice(&self) -> bool {
        true
    }

    async fn execute(&self, sql: &str) {
        self.database.execute(sql).await;
    }

    async fn damage_blob(&self, id: BlobId) {
        let damage = format!(
            "update blob_parts set data = set_byte(data, length(data) / 2, get_byte(data, length(data) / 2) # 16) \
             where seq = 1 and upload = (select upload from blobs where hash = '\\x{id}')"
        );
        self.database.execute(&damage).await;
    }

    async fn end(&self) {
        for store in &*self.others.lock().await {
            store.close().await;
        }
        self.database.remove().await;
    }
}

async fn bed() -> Arc<dyn Bed> {
    let database = FreshDatabase::schema().await;
    let store = Arc::new(database.open().await);
    Arc::new(PostgresBed { store, others: Mutex::default(), database })
}

store::conformance!(crate::bed);
