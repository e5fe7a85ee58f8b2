//! Keeps the tokens of connections in the store: sealed as every credential, one for all processes, renewed by one of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use connector::{
    Secret,
    oauth::{Ask, Keeper, Kept, Pair, Place, Turn},
};
use store::{SealedAt, StoreError, Timestamp, TokenRow, TurnAsk};

use crate::Engine;

/// It is somebody else's turn to renew a token once its holder was silent for so long.
const TURN: Duration = Duration::from_secs(10);

/// Writes into the store.
pub(crate) struct StoreKeeper(pub(crate) Weak<Engine>);

impl StoreKeeper {
    fn engine(&self) -> Result<Arc<Engine>, String> {
        self.0.upgrade().ok_or_else(|| "this process is going down".to_owned())
    }

    async fn take_turn(&self, ask: Ask<'_>) -> Result<Turn, String> {
        let engine = self.engine()?;
        let began = Timestamp::from_micros(ask.began_us);
        if let Some(reason) = engine.refused_since(&ask.place.connection, began).await.map_err(told)? {
            return Ok(Turn::Refused(reason));
        }
        let now = engine.now();
        let (connection, place) = (ask.place.connection.as_str(), ask.place.name.as_str());
        let ask = TurnAsk { connection, place, holder: ask.holder, seen: ask.seen, now, until: now.after(TURN) };
        Ok(match engine.store.take_turn(&ask).await.map_err(told)? {
            store::Turn::Mine => Turn::Mine,
            store::Turn::Taken(_) => Turn::Taken,
            store::Turn::Moved(row) => Turn::Moved(engine.open_token(row).await.map_err(told)?),
        })
    }
}

impl Keeper for StoreKeeper {
    fn now_us(&self) -> i64 {
        self.0.upgrade().map_or(0, |engine| engine.now().micros())
    }

    fn kept<'a>(&'a self, place: &'a Place) -> Kept<'a, Option<Pair>> {
        Box::pin(async move { self.engine()?.kept_token(place).await.map_err(told) })
    }

    fn turn<'a>(&'a self, ask: Ask<'a>) -> Kept<'a, Turn> {
        Box::pin(self.take_turn(ask))
    }

    fn give_back<'a>(&'a self, place: &'a Place, holder: &'a str) -> Kept<'a, ()> {
        Box::pin(async move { self.engine()?.store.end_turn(&place.connection, &place.name, holder).await.map_err(told) })
    }

    fn keep<'a>(&'a self, place: &'a Place, holder: &'a str, pair: &'a Pair) -> Kept<'a, bool> {
        Box::pin(async move { self.engine()?.keep_token(place, holder, pair).await.map_err(told) })
    }

    fn refused<'a>(&'a self, connection: &'a str, reason: &'a str, began_us: i64) -> Kept<'a, ()> {
        Box::pin(async move {
            let engine = self.engine()?;
            engine.needs_sign_in(connection, reason, Timestamp::from_micros(began_us)).await.map(drop).map_err(told)
        })
    }
}

impl Engine {
    /// False, and nothing kept, when another token came meanwhile.
    pub(crate) async fn keep_token(&self, place: &Place, holder: &str, pair: &Pair) -> Result<bool, StoreError> {
        let text = |secret: &Secret| secret.expose().to_owned();
        let mut secrets = BTreeMap::from([
            ("access".to_owned(), text(&pair.access)),
            ("of".to_owned(), pair.of.clone()),
            ("told".to_owned(), serde_json::Value::Object((*pair.told).clone()).to_string()),
        ]);
        secrets.extend(pair.refresh.as_ref().map(|refresh| ("refresh".to_owned(), text(refresh))));
        secrets.extend(pair.ends_us.map(|ends| ("ends".to_owned(), ends.to_string())));
        secrets.extend(pair.since_us.map(|since| ("since".to_owned(), since.to_string())));
        let keep = |sealed| async move {
            let row = TokenRow {
                sealed,
                connection: place.connection.clone(),
                place: place.name.clone(),
                renew_at: pair.renew_us.map(Timestamp::from_micros),
                revision: pair.revision,
            };
            self.store.keep_token(&row, holder).await
        };
        self.vault.keep(&sealed_at(&place.connection, &place.name), &secrets, keep).await
    }

    pub(crate) async fn kept_token(&self, place: &Place) -> Result<Option<Pair>, StoreError> {
        let row = self.store.token(&place.connection, &place.name).await?;
        // Somebody took the first turn and has nothing yet.
        match row.filter(|row| row.revision > 0) {
            Some(row) => self.open_token(row).await.map(Some),
            None => Ok(None),
        }
    }

    /// One that cannot be opened is worth nothing; only its number counts.
    async fn open_token(&self, row: TokenRow) -> Result<Pair, StoreError> {
        let mut secrets = match self.vault.open(&sealed_at(&row.connection, &row.place), &row.sealed).await {
            Ok(secrets) => secrets,
            // Its key could not be looked up; that says nothing of the token.
            Err(error @ StoreError::Unavailable(_)) => return Err(error),
            Err(error) => {
                tracing::error!(connection = row.connection, %error, "sign_in.open: a kept token cannot be read; a new one is asked for");
                BTreeMap::new()
            }
        };
        let told = secrets.get("told").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Ok(Pair {
            access: Secret::new(secrets.remove("access").unwrap_or_default()),
            refresh: secrets.remove("refresh").map(Secret::new),
            told: Arc::new(told),
            of: secrets.remove("of").unwrap_or_default(),
            ends_us: secrets.get("ends").and_then(|text| text.parse().ok()),
            renew_us: row.renew_at.map(Timestamp::micros),
            since_us: secrets.get("since").and_then(|text| text.parse().ok()),
            revision: row.revision,
        })
    }
}

/// Where a token is sealed; it opens only there.
fn sealed_at(connection: &str, place: &str) -> SealedAt {
    SealedAt::Token { connection: connection.to_owned(), place: place.to_owned() }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands where an error is mapped")]
fn told(error: StoreError) -> String {
    error.to_string()
}
