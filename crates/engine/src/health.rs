//! Whether connections work: what calls and sign-ins show of it, and who may call one that needs a person.
//!
//! A connection that cannot sign in fails its runs at once, without a call. One call from time to time, by whoever asks
//! first, finds out whether that is still so; a person who signs in anew or changes credentials ends it.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use connector::{ErrorClass, StepError};
use parking_lot::Mutex;
use serde_json::Value as Json;
use store::{AuditId, AuditRow, BudgetRow, ConnectionState, GateRow, GateState, SignInRefused, StoreError, Timestamp};

use crate::{Engine, gate::settings};

/// A connection that needs a sign-in is called so often all the same, to see whether it still does.
const TRY_AGAIN: Duration = Duration::from_secs(300);
/// One that just worked needs a sign-in only after so many refusals in a row: single resources refuse, too.
const REFUSALS_IN_A_ROW: u32 = 3;
/// It just worked.
const JUST: Duration = Duration::from_secs(60);
/// The last use is written down no more often than this.
const USE_TOLD_EVERY: Duration = Duration::from_secs(30);
/// A reason is a sentence, not a page.
const REASON_CHARS_MAX: usize = 500;
/// The code of an attempt that made no call.
pub(crate) const NEEDED: &str = "SIGN_IN_NEEDED";

/// How a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Calls go through.
    Healthy,
    /// A person must sign in anew, or change its credentials.
    NeedsSignIn,
    /// Its circuit is open: runs wait.
    Paused,
    /// Its budget is used up, or its system asked to wait: runs wait.
    Limited,
    /// Nobody has called it yet.
    NeverUsed,
}

impl Health {
    /// The word used in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::NeedsSignIn => "needs_sign_in",
            Self::Paused => "paused",
            Self::Limited => "limited",
            Self::NeverUsed => "never_used",
        }
    }
}

/// How a connection is, and why.
#[derive(Debug, Clone)]
pub struct HealthView {
    /// How it is.
    pub health: Health,
    /// Why, as a sentence; empty when there is nothing to say.
    pub reason: String,
    /// Since when, as far as it is known.
    pub since: Option<Timestamp>,
    /// The last call that was answered.
    pub last_used_at: Option<Timestamp>,
    /// When its system ends the sign-in whatever is done, where that is known.
    pub sign_in_ends_at: Option<Timestamp>,
}

/// What this process knows of connections.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<String, Known>>);

#[derive(Default)]
struct Known {
    state: Option<ConnectionState>,
    used_at: Option<Timestamp>,
    told_at: Option<Timestamp>,
    worked_at: Option<Timestamp>,
    refusals: u32,
}

/// What follows from the outcome of a call, for the store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    Used,
    Refused(String),
    Works,
}

impl Memory {
    /// Takes in what a call came to.
    pub(crate) fn called(&self, connection: &str, outcome: Result<&Json, &StepError>, now: Timestamp) -> Vec<News> {
        let mut all = self.0.lock();
        let known = match all.get_mut(connection) {
            Some(known) => known,
            None => all.entry(connection.to_owned()).or_default(),
        };
        let class = outcome.err().map(|error| error.class);
        if matches!(class, Some(ErrorClass::Network | ErrorClass::Timeout | ErrorClass::Internal | ErrorClass::Recipe)) {
            return Vec::new();
        }
        let mut news = Vec::new();
        known.used_at = known.used_at.max(Some(now));
        if known.told_at.is_none_or(|at| now.since(at) >= USE_TOLD_EVERY) {
            known.told_at = Some(now);
            news.push(News::Used);
        }
        let needs = known.state.as_ref().is_some_and(|state| state.needs_sign_in.is_some());
        match (class, outcome) {
            (Some(ErrorClass::Auth), Err(error)) => {
                known.refusals += 1;
                let just_worked = known.worked_at.is_some_and(|at| now.since(at) < JUST);
                if !needs && (!just_worked || known.refusals >= REFUSALS_IN_A_ROW) {
                    news.push(News::Refused(error.message.clone()));
                }
            }
            // It knew who asks, whatever it thought of the question.
            (None | Some(ErrorClass::NotFound | ErrorClass::Conflict | ErrorClass::Invalid | ErrorClass::Partial), _) => {
                (known.refusals, known.worked_at) = (0, Some(now));
                if needs {
                    news.push(News::Works);
                }
            }
            _ => {}
        }
        news
    }

    /// What the test call is refused is no single resource: that it just worked, with other credentials perhaps, says nothing.
    fn forget_success(&self, connection: &str) {
        if let Some(known) = self.0.lock().get_mut(connection) {
            known.worked_at = None;
        }
    }

    /// Takes in what the store knows.
    fn learn(&self, states: Vec<ConnectionState>) {
        let mut all = self.0.lock();
        let told: HashSet<&str> = states.iter().map(|state| state.connection.as_str()).collect();
        // One that is not told of any more was removed.
        for (connection, known) in all.iter_mut().filter(|(connection, _)| !told.contains(connection.as_str())) {
            if known.state.take().is_some_and(|state| state.needs_sign_in.is_some()) {
                metrics::gauge!("liaison_connection_needs_sign_in", "connection" => crate::measure::connection(connection))
                    .set(0.0);
            }
        }
        for state in states {
            let known = all.entry(state.connection.clone()).or_default();
            let needs = state.needs_sign_in.is_some();
            if known.state.as_ref().is_some_and(|before| before.needs_sign_in.is_some()) != needs {
                metrics::gauge!("liaison_connection_needs_sign_in", "connection" => crate::measure::connection(&state.connection))
                    .set(if needs { 1.0 } else { 0.0 });
                known.refusals = 0;
            }
            known.state = Some(state);
        }
    }

    fn state(&self, connection: &str) -> Option<ConnectionState> {
        self.0.lock().get(connection)?.state.clone()
    }

    pub(crate) fn needs_sign_in(&self, connection: &str) -> Option<ConnectionState> {
        let all = self.0.lock();
        all.get(connection)?.state.as_ref().filter(|state| state.needs_sign_in.is_some()).cloned()
    }

    fn used_at(&self, connection: &str) -> Option<Timestamp> {
        self.0.lock().get(connection)?.used_at
    }
}

impl Engine {
    /// Whether a call may be made at all.
    pub(crate) async fn may_call(&self, connection: &str) -> Result<(), StepError> {
        let Some(state) = self.health.needs_sign_in(connection) else { return Ok(()) };
        let now = self.now();
        if state.retry_at.is_none_or(|at| at <= now) {
            let won = self.store.try_sign_in(connection, now, now.after(TRY_AGAIN)).await;
            if let Err(error) = self.learn_health().await {
                tracing::warn!(connection, %error, "connection.health: the store did not answer");
            }
            if won.unwrap_or(false) {
                return Ok(());
            }
            // Somebody may have signed in meanwhile.
            if self.health.needs_sign_in(connection).is_none() {
                return Ok(());
            }
        }
        let reason = state.needs_sign_in.unwrap_or_default();
        let message = format!("The connection \"{connection}\" needs a new sign-in, so nothing was called: {reason}");
        let next = "Sign in anew or change the connection's credentials, then resume the runs that failed.";
        Err(StepError::new(ErrorClass::Auth, NEEDED, message).with_next(next))
    }

    /// Why a connection was refused since then.
    pub(crate) async fn refused_since(&self, connection: &str, began: Timestamp) -> Result<Option<String>, StoreError> {
        let states = self.store.connection_states().await?;
        let state = states.into_iter().find(|state| state.connection == connection);
        Ok(state.filter(|state| state.since.is_some_and(|since| since >= began)).and_then(|state| state.needs_sign_in))
    }

    /// A person must sign in to a connection: what began then was refused for good. False when that was known.
    pub(crate) async fn needs_sign_in(&self, connection: &str, reason: &str, began: Timestamp) -> Result<bool, StoreError> {
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        let now = self.now();
        let note = format!("The connection needs a new sign-in. {reason}");
        let audit = self.connection_audit("needs_sign_in", connection, "liaison", note);
        let refused = SignInRefused { connection, reason: &reason, began, now, retry_at: now.after(TRY_AGAIN) };
        let news = self.store.need_sign_in(&refused, &audit).await?;
        if news {
            tracing::warn!(connection, reason, "connection.needs_sign_in: its runs fail without a call until somebody signs in");
        }
        self.learn_health().await?;
        Ok(news)
    }

    /// A connection can sign in again. False when nothing else was known.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn signed_in(&self, connection: &str, who: &str, note: &str) -> Result<bool, StoreError> {
        let audit = self.connection_audit("signed_in", connection, who, note.to_owned());
        let news = self.store.signed_in(connection, self.now(), &audit).await?;
        if news {
            tracing::info!(connection, "connection.signed_in");
        }
        self.learn_health().await?;
        Ok(news)
    }

    /// A connection that people sign in to is new, and nobody has.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn awaits_sign_in(&self, connection: &str) -> Result<(), StoreError> {
        self.needs_sign_in(connection, "Nobody has signed in yet.", self.now()).await.map(drop)
    }

    /// Carries to the store what a call showed.
    pub(crate) async fn carry_health(&self, connection: &str, news: &News, began: Timestamp) -> Result<(), StoreError> {
        match news {
            News::Used => self.store.note_use(connection, began).await,
            News::Refused(reason) => self.needs_sign_in(connection, reason, began).await.map(drop),
            News::Works => self.signed_in(connection, "liaison", "A call went through.").await.map(drop),
        }
    }

    /// A person tried the connection.
    pub(crate) async fn tell_tested(&self, connection: &str, outcome: Result<&Json, &StepError>, began: Timestamp) {
        if outcome.is_err_and(|error| error.class == ErrorClass::Auth) {
            self.health.forget_success(connection);
        }
        for news in self.health.called(connection, outcome, self.now()) {
            if let Err(error) = self.carry_health(connection, &news, began).await {
                tracing::warn!(connection, %error, "connection.health: the store did not answer");
            }
        }
    }

    /// Reads what is known of connections.
    pub(crate) async fn learn_health(&self) -> Result<(), StoreError> {
        self.health.learn(self.store.connection_states().await?);
        Ok(())
    }

    pub(crate) fn connection_audit(&self, what: &str, connection: &str, who: &str, note: String) -> AuditRow {
        let at = self.now();
        AuditRow {
            id: AuditId::new(at, self.random()),
            at,
            who: who.to_owned(),
            what: format!("connection.{what}"),
            about: format!("connection {connection}"),
            note,
        }
    }

    /// How connections are.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn health_of(&self, connections: &[&str]) -> Result<Vec<HealthView>, StoreError> {
        self.learn_health().await?;
        let (gates, now) = (self.store.gates().await?, self.now());
        let mut views = Vec::with_capacity(connections.len());
        for name in connections {
            let budget = self.store.budget(name).await?;
            let mut view = self.view(name, &gates, budget.as_ref(), now);
            let ends = self.sign_in_ends(name).await.ok().flatten();
            view.sign_in_ends_at = ends.map(|ends| ends.at);
            if let Some(ends) = ends.filter(|_| view.reason.is_empty()) {
                view.reason = self.ends_soon(ends).unwrap_or_default();
            }
            views.push(view);
        }
        Ok(views)
    }

    fn view(&self, name: &str, gates: &[GateRow], budget: Option<&BudgetRow>, now: Timestamp) -> HealthView {
        let state = self.health.state(name);
        let last_used_at = state.as_ref().and_then(|state| state.last_used_at).max(self.health.used_at(name));
        let view = |health, reason: String, since| HealthView { health, reason, since, last_used_at, sign_in_ends_at: None };
        if let Some(state) = &state
            && let Some(reason) = &state.needs_sign_in
        {
            return view(Health::NeedsSignIn, reason.clone(), state.since);
        }
        let open = gates.iter().find(|row| row.connection == name && row.state != GateState::Closed);
        if let Some(row) = open {
            return view(Health::Paused, row.cause.clone(), Some(row.since));
        }
        if let Some((reason, since)) = budget.and_then(|row| self.limited(name, row, now)) {
            return view(Health::Limited, reason, since);
        }
        match last_used_at {
            None => view(Health::NeverUsed, String::new(), None),
            Some(_) => view(Health::Healthy, String::new(), state.and_then(|state| state.since)),
        }
    }

    fn limited(&self, name: &str, row: &BudgetRow, now: Timestamp) -> Option<(String, Option<Timestamp>)> {
        if row.paused_until.is_some_and(|until| until > now) {
            return Some(("The other system asked to wait.".to_owned(), row.paused_at));
        }
        let connection = self.connection(name)?;
        let limits = settings::read_saved(&connection.config, &self.limits(&connection.connector)).budget;
        let day = row.day(&limits, now).filter(|day| day.left == 0)?;
        Some((format!("All {} calls of the day are used up.", day.limit), Some(row.refreshed_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn error(class: ErrorClass) -> StepError {
        StepError::new(class, "HTTP_401", "it says no")
    }

    #[test]
    fn a_first_refusal_counts_and_one_among_successes_does_not() {
        let memory = Memory::default();
        let refused = || News::Refused("it says no".to_owned());
        let auth = error(ErrorClass::Auth);
        assert_eq!(memory.called("crm", Err(&auth), at(0)), [News::Used, refused()]);
        assert_eq!(memory.called("crm", Ok(&Json::Null), at(1)), []);
        assert_eq!(memory.called("crm", Err(&auth), at(2)), []);
        assert_eq!(memory.called("crm", Err(&auth), at(3)), []);
        assert_eq!(memory.called("crm", Err(&auth), at(4)), [refused()], "three in a row");
        assert_eq!(memory.called("erp", Err(&error(ErrorClass::Network)), at(5)), [], "it was not reached");
    }

    #[test]
    fn whatever_shows_that_it_knew_us_ends_it() {
        let memory = Memory::default();
        let needs = |reason: Option<&str>| ConnectionState {
            connection: "crm".to_owned(),
            needs_sign_in: reason.map(str::to_owned),
            since: Some(at(0)),
            retry_at: None,
            last_used_at: None,
        };
        memory.learn(vec![needs(Some("no"))]);
        assert_eq!(memory.called("crm", Err(&error(ErrorClass::Auth)), at(1)), [News::Used], "it is known");
        assert_eq!(memory.called("crm", Err(&error(ErrorClass::Server)), at(2)), []);
        assert_eq!(memory.called("crm", Err(&error(ErrorClass::NotFound)), at(3)), [News::Works]);
        memory.learn(vec![needs(None)]);
        assert_eq!(memory.called("crm", Ok(&Json::Null), at(40)), [News::Used]);
    }
}
