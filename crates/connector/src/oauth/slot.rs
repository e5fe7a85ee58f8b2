//! The token of one sign-in as one process holds it, and how it is renewed: once, however many wait for it here and in
//! other processes, and durable before anybody uses it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::Map;
use tokio::time::Instant;

use super::{
    Ask, Keeper, Pair, Place, Token, Turn,
    order::{Granted, Order, Refusal},
};
use crate::{
    Secret,
    error::{Doubt, ErrorClass, StepError},
    http::Http,
};

/// Connections whose tokens are remembered; beyond it unused ones are forgotten.
const SLOTS_MAX: usize = 4096;
/// A token is renewed this long before it runs out, or a tenth of its life if that is shorter.
const RENEW_BEFORE: Duration = Duration::from_secs(60);
/// Callers that waited for a sign-in that failed share its failure instead of repeating it.
const FAILURE_SHARED_FOR: Duration = Duration::from_secs(1);
/// A token service may take so long. Nobody's deadline cuts it short: an answer nobody reads may hold the only token.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How often whoever renews says that it is still at it.
const TURN_AGAIN: Duration = Duration::from_secs(3);
/// How often those who wait for another process look whether it is done.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// A renewal of another process is waited for so long.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// A new token is tried to be made durable for so long at a stretch, and so often: the old one may be worth nothing.
const KEEP_FOR: Duration = Duration::from_secs(600);
const KEEP_AGAIN: Duration = Duration::from_millis(100);

/// The tokens of a process, by place.
#[derive(Default)]
pub(crate) struct Tokens {
    slots: Mutex<HashMap<Place, Arc<tokio::sync::Mutex<Slot>>>>,
    pub(crate) keeper: std::sync::OnceLock<Arc<dyn Keeper>>,
}

#[derive(Default)]
pub(super) struct Slot {
    /// The credentials it belongs to; others begin anew.
    of: String,
    pair: Option<Pair>,
    renew_at: Option<Instant>,
    ends_at: Option<Instant>,
    /// A token that came and is not durable yet, and whose turn it came in.
    unkept: Option<(Pair, String)>,
    failed: Option<(Instant, StepError)>,
    /// The connection changed: somebody may have signed in anew.
    recheck: bool,
}

impl Tokens {
    pub(super) fn slot(&self, place: &Place) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(place) {
            return Arc::clone(slot);
        }
        if slots.len() >= SLOTS_MAX {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(place.clone()).or_default())
    }

    /// Looks what is kept before a token of this connection is used again.
    pub(crate) fn recheck(&self, connection: &str) {
        let known: Vec<_> = self
            .slots
            .lock()
            .iter()
            .filter(|(place, _)| place.connection == connection)
            .map(|(_, slot)| Arc::clone(slot))
            .collect();
        for slot in known {
            let now = slot.try_lock().map(|mut slot| slot.recheck = true).is_ok();
            if !now {
                // Whoever holds it renews it at this moment.
                tokio::spawn(async move { slot.lock().await.recheck = true });
            }
        }
    }
}

impl Slot {
    /// The token, if it is good.
    pub(super) fn good(&mut self, order: &Order, refused: Option<&Secret>) -> Option<Token> {
        if self.of != order.of {
            *self = Self { of: order.of.clone(), ..Self::default() };
        }
        let pair = self.pair.as_ref().filter(|_| !self.recheck && self.unkept.is_none())?;
        let fresh = self.renew_at.is_none_or(|at| Instant::now() < at);
        (fresh && refused.is_none_or(|refused| refused.expose() != pair.access.expose())).then(|| token(pair))
    }

    /// The token, which may end soon, as long as it has not.
    fn alive(&self, refused: Option<&Secret>) -> Option<Token> {
        let pair = self.pair.as_ref()?;
        let alive = self.ends_at.is_some_and(|at| Instant::now() < at);
        (alive && refused.is_none_or(|refused| refused.expose() != pair.access.expose())).then(|| token(pair))
    }

    /// A token that is good, renewed if need be.
    pub(super) async fn renewed(&mut self, http: &Http, order: &Order, refused: Option<&Secret>) -> Result<Token, StepError> {
        if let Some(token) = self.good(order, refused) {
            return Ok(token);
        }
        if let Some((at, error)) = &self.failed
            && at.elapsed() < FAILURE_SHARED_FOR
        {
            return Err(error.clone());
        }
        let outcome = match http.tokens().keeper.get() {
            Some(keeper) => self.shared(http, order, refused, &**keeper).await,
            None => self.alone(http, order).await,
        };
        match outcome {
            Ok(()) => self.failed = None,
            Err(error) => {
                // One that ends soon serves as long as it lasts.
                if let Some(token) = self.alive(refused).filter(|_| error.class.is_transient()) {
                    return Ok(token);
                }
                // One that only waits to be kept costs the service nothing.
                self.failed = self.unkept.is_none().then(|| (Instant::now(), error.clone()));
                return Err(error);
            }
        }
        let pair = self.pair.as_ref().ok_or_else(|| order.nobody())?;
        Ok(token(pair))
    }

    /// Renews where nobody else does.
    async fn alone(&mut self, http: &Http, order: &Order) -> Result<(), StepError> {
        let refresh = self.refresh(order);
        let granted = ask(http, order, refresh.as_ref(), std::future::pending()).await.map_err(Refusal::settled)?;
        self.take(pair_of(granted, (refresh, None), order, 0, 0), 0);
        Ok(())
    }

    /// Renews where other processes do, too.
    async fn shared(
        &mut self,
        http: &Http,
        order: &Order,
        refused: Option<&Secret>,
        keeper: &dyn Keeper,
    ) -> Result<(), StepError> {
        let (began_us, holder) = (keeper.now_us(), holder(order)?);
        if let Some((pair, holder)) = self.unkept.take() {
            self.make_durable(order, keeper, &holder, pair).await?;
        }
        if std::mem::take(&mut self.recheck) || self.pair.is_none() {
            let kept = keeper.kept(&order.place).await.map_err(|why| away(order, &why))?;
            self.learn(kept, order, keeper);
        }
        let waits_since = Instant::now();
        while self.good(order, refused).is_none() {
            let ask = Ask { place: &order.place, holder: &holder, seen: self.seen(), began_us };
            match keeper.turn(ask).await.map_err(|why| away(order, &why))? {
                Turn::Mine => return self.on_turn(http, order, keeper, ask).await,
                Turn::Moved(pair) => self.learn(Some(pair), order, keeper),
                Turn::Refused(reason) => return Err(needed(order, &reason)),
                Turn::Taken if self.alive(refused).is_some() => return Ok(()),
                Turn::Taken if waits_since.elapsed() > WAIT_MAX => {
                    let why = "another process has been renewing it for a minute".to_owned();
                    return Err(order.problem(ErrorClass::Timeout, "SIGN_IN_TIMEOUT", why));
                }
                Turn::Taken => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        Ok(())
    }

    /// It is our turn.
    async fn on_turn(&mut self, http: &Http, order: &Order, keeper: &dyn Keeper, turn: Ask<'_>) -> Result<(), StepError> {
        let (refresh, seen) = (self.refresh(order), self.seen());
        let still_at_it = async {
            loop {
                tokio::time::sleep(TURN_AGAIN).await;
                // What becomes of it shows when the token is kept.
                drop(keeper.turn(turn).await);
            }
        };
        match ask(http, order, refresh.as_ref(), still_at_it).await {
            Ok(granted) => {
                let since = self.pair.as_ref().filter(|pair| pair.refresh.is_some()).and_then(|pair| pair.since_us);
                let pair = pair_of(granted, (refresh, since), order, seen, keeper.now_us());
                self.make_durable(order, keeper, turn.holder, pair).await
            }
            Err(refusal) => {
                if refusal.for_good {
                    // Somebody taken for dead may have had an answer all the same.
                    let kept = keeper.kept(&order.place).await.ok().flatten().filter(|kept| kept.revision > seen);
                    if kept.is_some() {
                        self.learn(kept, order, keeper);
                        return Ok(());
                    }
                    tell_refused(order, keeper, &refusal.error.message, turn.began_us).await;
                }
                if let Err(why) = keeper.give_back(&order.place, turn.holder).await {
                    tracing::warn!(connection = order.place.connection, why, "sign_in.turn: it ends by itself");
                }
                Err(refusal.settled())
            }
        }
    }

    /// A new token is used once it cannot be lost any more.
    async fn make_durable(&mut self, order: &Order, keeper: &dyn Keeper, holder: &str, mut pair: Pair) -> Result<(), StepError> {
        let began = Instant::now();
        let why = loop {
            match keeper.keep(&order.place, holder, &pair).await {
                Ok(true) => {
                    let revision = pair.revision + 1;
                    self.take(Pair { revision, ..pair }, keeper.now_us());
                    return Ok(());
                }
                Ok(false) => {
                    let kept = keeper.kept(&order.place).await.map_err(|why| away(order, &why))?;
                    if kept.is_some() {
                        self.learn(kept, order, keeper);
                        return Ok(());
                    }
                    pair.revision = 0;
                }
                Err(why) if began.elapsed() > KEEP_FOR => break why,
                Err(why) => {
                    tracing::warn!(connection = order.place.connection, why, "sign_in.keep: a new token is not durable yet")
                }
            }
            tokio::time::sleep(KEEP_AGAIN).await;
        };
        self.unkept = Some((pair, holder.to_owned()));
        Err(away(order, &why))
    }

    /// Takes what is kept for what it is, if it belongs to these credentials.
    fn learn(&mut self, kept: Option<Pair>, order: &Order, keeper: &dyn Keeper) {
        match kept {
            Some(pair) if pair.of == order.of => self.take(pair, keeper.now_us()),
            // Of credentials that were replaced: only its number counts.
            Some(pair) => {
                let nothing = Pair { access: Secret::new(String::new()), refresh: None, told: Arc::new(Map::new()), ..pair };
                self.take(Pair { ends_us: Some(0), renew_us: Some(0), ..nothing }, keeper.now_us());
            }
            // The connection was removed and made again.
            None => (self.pair, self.renew_at, self.ends_at) = (None, None, None),
        }
    }

    fn take(&mut self, pair: Pair, now_us: i64) {
        let at = |us: i64| {
            let ahead = Duration::from_micros(u64::try_from(us.saturating_sub(now_us)).unwrap_or(0));
            Instant::now() + ahead
        };
        (self.renew_at, self.ends_at) = (pair.renew_us.map(at), pair.ends_us.map(at));
        self.pair = Some(pair);
    }

    fn refresh(&self, order: &Order) -> Option<Secret> {
        self.pair.as_ref().and_then(|pair| pair.refresh.clone()).or_else(|| order.given.clone())
    }

    fn seen(&self) -> i64 {
        self.pair.as_ref().map_or(0, |pair| pair.revision)
    }
}

/// Asks the service while `meanwhile` goes on. An answer that is lost is asked for once more: services that give each
/// refresh token a moment's grace answer as before, and those that never replace it do in any case.
async fn ask(
    http: &Http,
    order: &Order,
    refresh: Option<&Secret>,
    meanwhile: impl Future<Output = ()>,
) -> Result<Granted, Refusal> {
    let asking = async {
        match order.ask(http, refresh, ANSWER_WITHIN).await {
            Err(refusal) if refusal.error.doubt == Doubt::MayHaveHappened => {
                order.ask(http, refresh, ANSWER_WITHIN).await.map_err(|again| {
                    let message = format!("{}; the answer to the question before was lost on the way", again.error.message);
                    // The same assertion twice is refused by services that take each once: that says nothing of us.
                    let for_good = again.for_good && !order.signs();
                    Refusal { error: StepError { message, ..again.error }, for_good }
                })
            }
            answered => answered,
        }
    };
    tokio::select! {
        answered = asking => answered,
        () = meanwhile => unreachable!("it goes on for ever"),
    }
}

/// `used` is what the tokens were got with, and since when that is there.
fn pair_of(granted: Granted, used: (Option<Secret>, Option<i64>), order: &Order, revision: i64, now_us: i64) -> Pair {
    let (used, since) = used;
    let by_person = order.grant == super::Grant::RefreshToken;
    // Some send the old one along with each answer: that makes it no younger.
    let changed = granted.refresh.as_ref().is_some_and(|new| used.as_ref().is_none_or(|old| old.expose() != new.expose()));
    let us = |duration: Duration| now_us.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX));
    Pair {
        ends_us: granted.life.map(us),
        renew_us: granted.life.map(|life| us(life.saturating_sub(RENEW_BEFORE.min(life / 10)))),
        access: granted.access,
        // RFC 6749, 6: without a new one the old one stays good.
        refresh: if by_person { granted.refresh.or(used) } else { None },
        since_us: if by_person && changed { Some(now_us) } else { since },
        told: granted.told,
        of: order.of.clone(),
        revision,
    }
}

/// What a person's sign-in gave, to be kept in place of whatever is there.
pub(super) fn signed_in(granted: Granted, of: String, now_us: i64) -> Pair {
    let us = |duration: Duration| now_us.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX));
    Pair {
        ends_us: granted.life.map(us),
        renew_us: granted.life.map(|life| us(life.saturating_sub(RENEW_BEFORE.min(life / 10)))),
        access: granted.access,
        since_us: granted.refresh.is_some().then_some(now_us),
        refresh: granted.refresh,
        told: granted.told,
        of,
        revision: 0,
    }
}

fn token(pair: &Pair) -> Token {
    Token { access: pair.access.clone(), told: Arc::clone(&pair.told) }
}

fn holder(order: &Order) -> Result<String, StepError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        order.problem(ErrorClass::Internal, "SIGN_IN_FAILED", format!("this machine gives no random numbers: {error}"))
    })?;
    Ok(hex::encode(bytes))
}

async fn tell_refused(order: &Order, keeper: &dyn Keeper, reason: &str, began_us: i64) {
    if let Err(why) = keeper.refused(&order.place.connection, reason, began_us).await {
        tracing::warn!(connection = order.place.connection, why, "sign_in.refused: not written down");
    }
}

/// Told to those who waited while somebody else was refused.
fn needed(order: &Order, reason: &str) -> StepError {
    StepError::new(ErrorClass::Auth, "SIGN_IN_NEEDED", reason.to_owned()).with_next(format!(
        "Sign in to the connection \"{}\" anew or replace its credentials; then resume the run.",
        order.place.connection
    ))
}

/// Tokens cannot be shared while the keeper does not answer.
fn away(order: &Order, why: &str) -> StepError {
    tracing::warn!(connection = order.place.connection, why, "sign_in.keeper: it does not answer");
    let why = "Liaison's own database does not answer, so the new token cannot be kept".to_owned();
    order.problem(ErrorClass::Network, "SIGN_IN_NOT_KEPT", why).with_next("It is tried again by itself.")
}
