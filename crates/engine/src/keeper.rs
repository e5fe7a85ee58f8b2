//! Stores credentials that a system replaced by itself, such as a refresh token that is good once.

use std::sync::Arc;

use connector::{
    Secret,
    oauth::{Keeper, Kept},
};
use store::{Clock, ConnectionRow, Put, Store, Vault};

/// Tries before a connection that others keep changing is given up on.
const TRIES_MAX: u32 = 5;

/// Writes into the store, sealed as every credential. Other processes see the connection change.
pub(crate) struct StoreKeeper {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl StoreKeeper {
    async fn row(&self, connection: &str) -> Result<ConnectionRow, String> {
        let row = self.store.connection(connection).await.map_err(|error| error.to_string())?;
        row.ok_or_else(|| "the connection is gone".to_owned())
    }

    async fn write(&self, connection: &str, field: &str, value: &Secret) -> Result<(), String> {
        for _ in 0..TRIES_MAX {
            let mut row = self.row(connection).await?;
            let place = row.id.to_string();
            let mut secrets = self.vault.open(&place, &row.sealed).map_err(|error| error.to_string())?;
            secrets.insert(field.to_owned(), value.expose().to_owned());
            row.sealed = self.vault.seal(&place, &secrets).map_err(|error| error.to_string())?;
            row.updated_at = self.clock.now();
            // Somebody else may write the connection at the same time; then it is read again.
            if let Put::Done(_) = self.store.update_connection(row).await.map_err(|error| error.to_string())? {
                return Ok(());
            }
        }
        Err("others kept changing the connection".to_owned())
    }

    async fn read(&self, connection: &str, field: &str) -> Result<Option<Secret>, String> {
        let row = self.row(connection).await?;
        let mut secrets = self.vault.open(&row.id.to_string(), &row.sealed).map_err(|error| error.to_string())?;
        Ok(secrets.remove(field).map(Secret::new))
    }
}

impl Keeper for StoreKeeper {
    fn keep<'a>(&'a self, connection: &'a str, field: &'a str, value: Secret) -> Kept<'a, ()> {
        Box::pin(async move { self.write(connection, field, &value).await })
    }

    fn latest<'a>(&'a self, connection: &'a str, field: &'a str) -> Kept<'a, Option<Secret>> {
        Box::pin(self.read(connection, field))
    }
}
