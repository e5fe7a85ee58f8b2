//! Keeps sign-ins alive that a system ends when nobody uses them: a recipe may run once a month, its sign-in lasts a week.
//! Where a system ends them however much they are used, says so in time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use connector::{
    Connection, ErrorClass,
    oauth::{self, Authorize},
};
use store::{ConnectionRow, StoreError, Timestamp};

use crate::{Engine, measure, registry};

/// How often they are looked at.
const ROUND: Duration = Duration::from_secs(15 * 60);
/// One is renewed once nobody used it for this part of its life: each day where it lasts a week. Several days on which
/// nothing can be reached cost nothing then.
const PART: u32 = 7;
/// A person is told so long before a sign-in ends that nothing keeps alive, and again each day; this part of its life
/// before, where that is less.
const ENDS_SOON: Duration = Duration::from_secs(7 * 24 * 3600);
const ENDS_SOON_PART: u32 = 7;
const TELL_EVERY: Duration = Duration::from_secs(24 * 3600);
/// A token service may take so long.
const WITHIN: Duration = Duration::from_secs(60);

/// The end of a sign-in that comes whatever is done.
#[derive(Clone, Copy)]
pub(crate) struct SignInEnds {
    pub(crate) at: Timestamp,
    /// How long it lasts as a whole.
    lasts: Duration,
}

impl SignInEnds {
    /// How long before its end a person is told.
    fn told_before(self) -> Duration {
        ENDS_SOON.min(self.lasts / ENDS_SOON_PART)
    }
}

/// Renews sign-ins that nobody uses, again and again.
pub(crate) async fn keep_alive(engine: Arc<Engine>) {
    let mut told = HashMap::new();
    loop {
        if let Err(error) = engine.renew_idle().await {
            tracing::warn!(%error, "sign_in.idle: the store did not answer");
        }
        engine.tell_of_ends(&mut told).await;
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
        let kept = self.kept_token(&oauth::kept_at(&connection)).await.map_err(|error| error.to_string())?;
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

    /// When the sign-in of a connection ends whatever is done, where its system says so and people signed in here.
    pub(crate) async fn sign_in_ends(&self, name: &str) -> Result<Option<SignInEnds>, StoreError> {
        let Some(connection) = self.connection(name) else { return Ok(None) };
        let Some(authorize) = self.signs_in_so(&connection) else { return Ok(None) };
        let Some(lasts) = authorize.lasts else { return Ok(None) };
        let pair = self.kept_token(&oauth::kept_at(&connection)).await?;
        let at = pair.and_then(|pair| oauth::ends_us(&connection, &authorize, &pair));
        Ok(at.map(|at| SignInEnds { at: Timestamp::from_micros(at), lasts }))
    }

    /// The words for a sign-in that ends soon, or has ended.
    pub(crate) fn ends_soon(&self, ends: SignInEnds) -> Option<String> {
        let now = self.now();
        let day = jiff::Timestamp::from_microsecond(ends.at.micros()).ok()?.strftime("%Y-%m-%d");
        if ends.at <= now {
            return Some(format!("Its sign-in ended on {day}: somebody must sign in anew."));
        }
        let soon = ends.at.since(now) <= ends.told_before();
        soon.then(|| format!("Its sign-in ends on {day}: somebody must sign in anew before."))
    }

    /// Writes into the metrics and the log what ends when; `told` holds what is in the metrics, and when the log was told.
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    async fn tell_of_ends(&self, told: &mut HashMap<String, Option<Timestamp>>) {
        let ends = |name: &str, seconds: f64| {
            metrics::gauge!("liaison_connection_sign_in_ends_seconds", "connection" => measure::connection(name)).set(seconds);
        };
        let mut known: Vec<String> = self.registry.current().connections.keys().cloned().collect();
        known.extend(told.keys().filter(|name| !known.contains(name)).cloned().collect::<Vec<_>>());
        for name in known {
            match self.sign_in_ends(&name).await {
                // Looked at again in the next round; until then it stays as it was told.
                Err(_) => {}
                Ok(Some(end)) => {
                    ends(&name, end.at.micros() as f64 / 1e6);
                    let last = told.entry(name.clone()).or_default();
                    let now = self.now();
                    if let Some(why) = self.ends_soon(end).filter(|_| last.is_none_or(|last| now.since(last) >= TELL_EVERY)) {
                        tracing::warn!(connection = name, why, "sign_in.ends: a person is needed");
                        *last = Some(now);
                    }
                }
                // The connection was removed, or signs in otherwise now.
                Ok(None) if told.remove(&name).is_some() => ends(&name, 0.0),
                Ok(None) => {}
            }
        }
    }

    fn signs_in_so(&self, connection: &Connection) -> Option<Authorize> {
        let known = self.connectors.iter().find(|known| known.id == connection.connector)?;
        known.sign_in.as_ref()?.of(connection).ok()?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_a_week_before_or_a_seventh_of_a_shorter_life() {
        let day = Duration::from_secs(24 * 3600);
        for (lasts, before) in [(day * 100, day * 7), (day * 49, day * 7), (day * 14, day * 2), (day * 7, day), (day, day / 7)] {
            assert_eq!(SignInEnds { at: Timestamp::default(), lasts }.told_before(), before, "{lasts:?}");
        }
    }
}
