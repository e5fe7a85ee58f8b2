//! Keeps sign-ins alive that a system ends when nobody uses them: a recipe may run once a month, its sign-in lasts a week.

use std::{sync::Arc, time::Duration};

use connector::{
    Connection, ErrorClass,
    oauth::{self, Authorize, Keeper},
};
use store::{ConnectionRow, StoreError, Timestamp};

use crate::{Engine, keeper::StoreKeeper, registry};

/// How often they are looked at.
const ROUND: Duration = Duration::from_secs(15 * 60);
/// One is renewed once nobody used it for this part of its life: each day where it lasts a week. Several days on which
/// nothing can be reached cost nothing then.
const PART: u32 = 7;
/// A token service may take so long.
const WITHIN: Duration = Duration::from_secs(60);

/// Renews sign-ins that nobody uses, again and again.
pub(crate) async fn keep_alive(engine: Arc<Engine>) {
    loop {
        if let Err(error) = engine.renew_idle().await {
            tracing::warn!(%error, "sign_in.idle: the store did not answer");
        }
        if !engine.rest(ROUND).await {
            return;
        }
    }
}

impl Engine {
    async fn renew_idle(self: &Arc<Self>) -> Result<(), StoreError> {
        let ends = |row: &ConnectionRow| {
            let known = self.connectors.iter().find(|known| known.id == row.connector)?;
            known.sign_in.as_ref()?.lasts_unused()
        };
        // Another process may have been refused just now.
        self.learn_health().await?;
        for row in self.store.connections().await? {
            // One that needs a person waits for that person.
            if let Some(life) = ends(&row)
                && self.health.needs_sign_in(&row.name).is_none()
                && let Err(error) = self.renew_if_idle(&row, life).await
            {
                tracing::warn!(connection = row.name, why = error, "sign_in.idle: not renewed; it is tried again");
            }
        }
        Ok(())
    }

    /// A sentence when it should have been renewed and was not.
    async fn renew_if_idle(self: &Arc<Self>, row: &ConnectionRow, life: Duration) -> Result<(), String> {
        // What cannot be opened is told where it is used.
        let Ok(connection) = registry::open(&self.vault, row).await else { return Ok(()) };
        let Some(authorize) = self.signs_in_so(&connection) else { return Ok(()) };
        let keeper = StoreKeeper(Arc::downgrade(self));
        let kept = keeper.kept(&oauth::kept_at(&connection)).await?;
        let last = match &kept {
            // A token that was to be renewed then and was not is not used since. A system that does not say how long its
            // tokens are good leaves that open.
            Some(pair) => pair.renew_us,
            None if connection.credentials.contains_key("refresh_token") => Some(row.updated_at.micros()),
            // Nobody has signed in yet.
            None => None,
        };
        if last.is_none_or(|last| self.now().since(Timestamp::from_micros(last)) < life / PART) {
            return Ok(());
        }
        // The round takes its time: another process may have been refused meanwhile.
        self.learn_health().await.map_err(|error| error.to_string())?;
        if self.health.needs_sign_in(&row.name).is_some() {
            return Ok(());
        }
        let (known, began) = (kept.as_ref().map(|pair| &pair.access), self.now());
        if let Err(error) = oauth::renew(&self.http, &connection, &authorize, known, WITHIN).await {
            if error.class == ErrorClass::Auth {
                // As a call of a recipe would have found.
                self.needs_sign_in(&row.name, &error.message, began).await.map_err(|error| error.to_string())?;
            }
            return Err(error.message);
        }
        tracing::info!(connection = row.name, "sign_in.idle: renewed, for nobody used it");
        Ok(())
    }

    fn signs_in_so(&self, connection: &Connection) -> Option<Authorize> {
        let known = self.connectors.iter().find(|known| known.id == connection.connector)?;
        known.sign_in.as_ref()?.of(connection).ok()?
    }
}
