//! Triggers that ask a system for what happened.
//!
//! Any scheduling process may ask; a lease in the store lets one ask at a time. The runs an answer starts and the
//! position after it become durable in one commit, so that whoever dies, nothing is passed over and nothing starts
//! twice. A question passes the gates of its connection like any call; one that failed is asked again later and later.

mod people;

use std::{collections::HashMap, sync::Arc, time::Duration};

use connector::{Cx, Poll, Polled, Position, StepError};
use recipe::ast::TriggerSource;
use serde_json::{Value as Json, json};
use store::{
    Accepted, NewPoll, NewRun, PollAnswer, PollDone, PollPosition, PollRow, RecipeId, RunId, StoreError, Timestamp, Via,
    WaitingFor,
};
use tokio::task::JoinSet;

pub use self::people::{PollCount, PollError};
use crate::{
    Engine, Event, LiveRecipe,
    drive::{guarded, record},
    gate::{self, Seat},
    health, measure,
};

/// The longest sleep: what other processes change is noticed after it.
const SLEEP_MAX: Duration = Duration::from_secs(15);
/// After the store did not answer, it is asked again so soon.
const AGAIN: Duration = Duration::from_secs(1);
/// A question that found no room for runs is put off for so long.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// A question this much before its time was let ask by somebody.
const HASTENED_BY: Duration = Duration::from_secs(1);
/// Events of one answer; a connector gives fewer.
const EVENTS_MAX: usize = 10_000;
/// Beyond the time of a question, for writing down what came of it.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// Pauses double with every failure, so many times at most.
const DOUBLINGS_MAX: u32 = 10;

/// The loop of a scheduling process.
pub(crate) async fn ask(engine: Arc<Engine>) {
    let mut questions = JoinSet::new();
    let mut opened = Opened::default();
    while !engine.is_stopping() {
        let (changed, woken) = (engine.catalogue_changed.notified(), engine.polls.notified());
        tokio::pin!(changed, woken);
        changed.as_mut().enable();
        let pause = match engine.begin_questions(&mut opened, &mut questions).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!(%error, "poll.take: the store did not answer");
                AGAIN
            }
        };
        tokio::select! {
            biased;
            () = changed => {}
            () = woken => {}
            Some(_) = questions.join_next() => {}
            () = tokio::time::sleep(pause) => {}
            () = engine.stopping.cancelled() => break,
        }
    }
    // What was asked is kept before the process ends; the lease bounds how long that takes.
    while questions.join_next().await.is_some() {}
}

/// The trigger of a recipe that asks.
pub(crate) struct Asking {
    /// The connection it asks through, as recipes name it.
    connection: String,
    /// `connection.trigger`.
    source: String,
    poll: Poll,
}

/// The triggers a process made known to the store: each once for every state of its recipe.
#[derive(Default)]
struct Opened {
    /// The revision of the catalogue they were read from; `None` when they are to be gone through again.
    catalogue: Option<i64>,
    /// The revisions their recipes had.
    recipes: HashMap<RecipeId, i64>,
}

impl Opened {
    /// What to remember of the triggers that are switched on now, and those of them that must be opened.
    fn against(&self, asking: impl Iterator<Item = (NewPoll, i64)>) -> (HashMap<RecipeId, i64>, Vec<NewPoll>) {
        let (mut recipes, mut new) = (HashMap::new(), Vec::new());
        for (poll, revision) in asking {
            recipes.insert(poll.recipe, revision);
            if self.recipes.get(&poll.recipe) != Some(&revision) {
                new.push(poll);
            }
        }
        (recipes, new)
    }

    /// One of them is not as this process left it.
    fn again(&mut self, recipe: RecipeId) {
        self.recipes.remove(&recipe);
        self.catalogue = None;
    }
}

impl Engine {
    /// How a recipe's trigger asks, if it does.
    pub(crate) fn asking(&self, recipe: &LiveRecipe) -> Option<Asking> {
        let TriggerSource::Connection { connection, trigger } = &recipe.program.source else { return None };
        let (_, connector) = recipe.program.connections.iter().find(|(logical, _)| logical == connection)?;
        let connector = self.connectors.iter().find(|known| known.id == connector)?;
        let poll = connector.trigger(trigger)?.poll.clone()?;
        Some(Asking { connection: connection.clone(), source: format!("{connection}.{trigger}"), poll })
    }

    /// Lets every question begin that is due and has room; says how long nothing more will be due.
    async fn begin_questions(self: &Arc<Self>, opened: &mut Opened, questions: &mut JoinSet<()>) -> Result<Duration, StoreError> {
        let catalogue = self.catalogue();
        if opened.catalogue != Some(catalogue.revision) {
            let asking = catalogue.recipes.values().filter_map(|recipe| Some((self.new_poll(recipe)?, recipe.row.revision)));
            let (recipes, new) = opened.against(asking);
            if !new.is_empty() {
                self.store.open_polls(&new, self.now()).await?;
            }
            *opened = Opened { catalogue: Some(catalogue.revision), recipes };
        }
        let room = self.settings.polls_at_once.saturating_sub(questions.len());
        if room == 0 {
            return Ok(SLEEP_MAX);
        }
        let now = self.now();
        let lease_until = now.after(self.settings.poll_timeout + LEASE_MARGIN);
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        for row in self.store.take_polls(self.worker(), now, lease_until, limit).await? {
            let recipe = catalogue.recipes.values().find(|recipe| recipe.row.id == row.recipe).map(Arc::clone);
            let asking = recipe.as_ref().and_then(|recipe| self.asking(recipe));
            if asking.is_some_and(|asking| asking.source != row.source) {
                // A process that did not know of the newest version yet opened it after us.
                opened.again(row.recipe);
            }
            let engine = Arc::clone(self);
            questions.spawn(async move { engine.ask_and_keep(recipe, row).await });
        }
        let next = self.store.next_poll().await?;
        Ok(next.map_or(SLEEP_MAX, |next| next.since(self.now()).clamp(Duration::from_millis(10), SLEEP_MAX)))
    }

    fn new_poll(&self, recipe: &LiveRecipe) -> Option<NewPoll> {
        let asking = self.asking(recipe)?;
        Some(NewPoll {
            recipe: recipe.row.id,
            source: asking.source,
            since: recipe.program.poll.since.unwrap_or(recipe.row.updated_at),
            pause_us: micros(recipe.program.poll.every.unwrap_or(asking.poll.every)),
        })
    }

    /// Asks once and keeps what came of it.
    async fn ask_and_keep(self: &Arc<Self>, recipe: Option<Arc<LiveRecipe>>, row: PollRow) {
        let done = match &recipe {
            Some(recipe) => self.answer_to(recipe, &row).await,
            // Switched on elsewhere a moment ago; this process does not know it yet.
            None => Ok(self.put_off(&row, self.now().after(AGAIN))),
        };
        let kept = match done {
            Ok(done) => self.keep_answer(recipe.as_deref(), done).await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            // The lease ends by itself, and the same is asked again.
            tracing::warn!(recipe = %row.recipe, %error, "poll.keep: the answer could not be kept and is asked for again");
        }
    }

    async fn answer_to(self: &Arc<Self>, recipe: &Arc<LiveRecipe>, row: &PollRow) -> Result<PollDone, StoreError> {
        let now = self.now();
        if self.backlog() >= self.settings.backlog_max {
            return Ok(self.put_off(row, now.after(ROOM_WAIT)));
        }
        let Some(asking) = self.asking(recipe).filter(|asking| asking.source == row.source) else {
            return Ok(self.put_off(row, now.after(AGAIN)));
        };
        let slug = &*recipe.program.slug;
        let position = position(&row.position);
        match self.ask_once(recipe, &asking, position).await {
            Ok(Ok(polled)) => {
                metrics::counter!("liaison_polls_total", "recipe" => measure::recipe(slug), "outcome" => "answered").increment(1);
                self.page(recipe, row, &asking, polled).await
            }
            Ok(Err(error)) => {
                metrics::counter!("liaison_polls_total", "recipe" => measure::recipe(slug), "outcome" => "failed").increment(1);
                tracing::warn!(recipe = slug, code = error.code, class = %error.class, "poll.failed: it is asked again later");
                Ok(self.failed(row, &error))
            }
            Err((reason, until)) => {
                tracing::debug!(recipe = slug, reason = reason.as_str(), "poll.held");
                Ok(self.put_off(row, until))
            }
        }
    }

    /// Asks the system; or says until when its gates are shut.
    async fn ask_once(
        self: &Arc<Self>,
        recipe: &LiveRecipe,
        asking: &Asking,
        from: Position,
    ) -> Result<Result<Polled, StepError>, (WaitingFor, Timestamp)> {
        let Some(connection) = self.connection(&asking.connection) else {
            return Ok(Err(crate::control::connection_missing(&asking.connection)));
        };
        if let Err(error) = self.may_call(&asking.connection).await {
            return Ok(Err(error));
        }
        let id = RunId::new(self.now(), self.random());
        // The same each time: a trigger that is told to hurry keeps its place in the line.
        let seat = Seat::of(self, recipe.row.id, RunId(recipe.row.id.0), Via::Poll);
        let timeout = self.settings.poll_timeout;
        let pass = loop {
            let held = match seat.ask_reading(&asking.connection, timeout, self.now()) {
                Ok(pass) => break pass,
                Err(held) => held,
            };
            // Its place in the line is kept as long as it stays here.
            let pause = held.until.since(self.now());
            if !gate::briefly(held.reason, pause) {
                return Err((held.reason, held.until));
            }
            tokio::select! {
                () = gate::called(Some(&seat)) => {}
                () = tokio::time::sleep(pause) => {}
            }
        };
        let cx = Cx {
            http: self.http.clone(),
            connection: Some(connection),
            idempotency_key: format!("poll-{id}").into(),
            timeout,
            began: tokio::time::Instant::now(),
            began_us: self.now().micros(),
            attempt: 1,
            in_doubt: false,
            run_id: "poll".into(),
            path: (&*recipe.program.slug).into(),
            traceparent: None,
            turns: gate::turns(pass.as_ref()),
        };
        let with = recipe.program.trigger_with.clone();
        let answered = guarded(&asking.source, timeout, (asking.poll.ask)(cx, with, from)).await;
        let answered = answered.and_then(bounded);
        // A question that was not asked says nothing of the system.
        let called = answered.as_ref().err().is_none_or(|error| error.code != health::NEEDED);
        if let Some(pass) = pass.filter(|_| called) {
            pass.done(answered.as_ref().map(|_| &Json::Null));
        }
        Ok(answered)
    }

    async fn page(&self, recipe: &LiveRecipe, row: &PollRow, asking: &Asking, polled: Polled) -> Result<PollDone, StoreError> {
        let now = self.now();
        let mut runs = Vec::with_capacity(polled.events.len());
        let mut filtered = 0;
        for event in polled.events {
            let event = Event {
                data: Arc::new(event.data),
                via: Via::Poll,
                key: Some(event.key.into()),
                key_wins: false,
                fingerprint: None,
                replay_of: None,
            };
            match self.queued_run(recipe, event)? {
                Some(run) => {
                    self.keep_blobs(&run.beside).await?;
                    runs.push(Arc::new(run));
                }
                None => filtered += 1,
            }
        }
        if filtered > 0 {
            metrics::counter!("liaison_events_filtered_total", "recipe" => measure::recipe(&recipe.program.slug))
                .increment(filtered);
        }
        let next = |found| {
            let pause = self.pause_after(recipe, row, asking, found);
            (if polled.more { now } else { now.after(pause) }, micros(pause))
        };
        let ((due_at, pause_us), quiet) = (next(true), next(false));
        let position = PollPosition::After(polled.cursor);
        // How long keys of its own count is the recipe's business.
        let answer = PollAnswer::Page { runs, position, quiet, renews: recipe.program.dedupe.is_none() };
        Ok(PollDone { due_at, pause_us, answer, ..self.put_off(row, now) })
    }

    /// A pause somebody chose stays, and that of a schedule; any other is halved when there was something new, and grows
    /// by half when not.
    fn pause_after(&self, recipe: &LiveRecipe, row: &PollRow, asking: &Asking, found: bool) -> Duration {
        if let Some(every) = recipe.program.poll.every {
            return every;
        }
        if asking.poll.steady {
            return asking.poll.every;
        }
        let last = if row.asked_at.is_none() { asking.poll.every } else { Duration::from_micros(row.pause_us.unsigned_abs()) };
        // Somebody let it ask before its time: that nothing was there yet says little.
        let hastened = row.asked_at.is_some_and(|asked| asked.after(last) > self.now().after(HASTENED_BY));
        let next = match (found, hastened) {
            (true, _) => last / 2,
            (false, true) => last,
            (false, false) => last + last / 2,
        };
        next.clamp(self.settings.poll_pause_min, self.settings.poll_pause_max)
    }

    /// Nothing came of it, and nobody is to blame.
    fn put_off(&self, row: &PollRow, until: Timestamp) -> PollDone {
        PollDone {
            recipe: row.recipe,
            seq: row.seq,
            worker: self.worker(),
            now: self.now(),
            due_at: until,
            pause_us: row.pause_us,
            answer: PollAnswer::Failed { error: None },
        }
    }

    fn failed(&self, row: &PollRow, error: &StepError) -> PollDone {
        let now = self.now();
        let doublings = u32::try_from(row.failures).unwrap_or_default().min(DOUBLINGS_MAX);
        let least = Duration::from_micros(row.pause_us.unsigned_abs()).max(self.settings.poll_pause_min);
        let longest = self.settings.poll_pause_max.max(least);
        let pause = error.retry_after.unwrap_or_default().max((least * 2_u32.pow(doublings)).min(longest));
        // The request may hold more than fits a row that everybody reads; the class and the words say enough.
        let record = json!(store::ErrorRecord { request: None, response: None, ..record(error) });
        PollDone { due_at: now.after(pause), answer: PollAnswer::Failed { error: Some(record) }, ..self.put_off(row, now) }
    }

    async fn keep_answer(&self, recipe: Option<&LiveRecipe>, done: PollDone) -> Result<(), StoreError> {
        let Some(accepted) = self.store.finish_poll(&done).await? else {
            tracing::info!(recipe = %done.recipe, "poll.refused: the trigger was moved or taken over while it was asked");
            return Ok(());
        };
        let PollAnswer::Page { runs, .. } = &done.answer else { return Ok(()) };
        let new: Vec<&NewRun> =
            runs.iter().zip(&accepted).filter(|(_, accepted)| **accepted == Accepted::New).map(|(run, _)| &**run).collect();
        if let Some(recipe) = recipe {
            let name = || measure::recipe(&recipe.program.slug);
            metrics::counter!("liaison_runs_accepted_total", "recipe" => name()).increment(new.len() as u64);
            metrics::counter!("liaison_events_duplicate_total", "recipe" => name())
                .increment((accepted.len() - new.len()) as u64);
        }
        self.took_in(&new);
        Ok(())
    }
}

/// Where the connector is to go on.
fn position(kept: &PollPosition) -> Position {
    match kept {
        PollPosition::Since(micros) => Position::Since(*micros),
        PollPosition::After(cursor) => Position::After(cursor.clone()),
    }
}

/// An answer that is longer than a connector may give would have to be held whole.
#[expect(clippy::result_large_err, reason = "it is rare, and its size is one copy")]
fn bounded(polled: Polled) -> Result<Polled, StepError> {
    if polled.events.len() <= EVENTS_MAX {
        return Ok(polled);
    }
    Err(StepError::new(
        connector::ErrorClass::Internal,
        "TOO_MANY_EVENTS",
        format!("the connector gave {} events at once; it may give {EVENTS_MAX}", polled.events.len()),
    ))
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_triggers_of_recipes_that_changed_are_opened_again() {
        let id = |number: u8| RecipeId::new(Timestamp::from_micros(1), [number; 10]);
        let poll = |number: u8| {
            let since = Timestamp::from_micros(1);
            NewPoll { recipe: id(number), source: "crm.thing".to_owned(), since, pause_us: 1 }
        };
        let mut opened = Opened::default();
        let mut see = |again: Option<u8>, now: &[(u8, i64)]| {
            again.into_iter().for_each(|number| opened.again(id(number)));
            let (recipes, new) = opened.against(now.iter().map(|(number, revision)| (poll(*number), *revision)));
            opened = Opened { catalogue: Some(1), recipes };
            new.into_iter().map(|poll| poll.recipe).collect::<Vec<_>>()
        };
        assert_eq!(see(None, &[(1, 1), (2, 1), (3, 1)]), [id(1), id(2), id(3)]);
        assert_eq!(see(None, &[(1, 1), (2, 1), (3, 1)]), []);
        assert_eq!(see(None, &[(1, 1), (2, 2), (3, 1), (4, 1)]), [id(2), id(4)], "one changed, one is new");
        assert_eq!(see(None, &[(1, 1), (2, 2)]), [], "those that are off are not opened");
        assert_eq!(see(None, &[(1, 1), (2, 2), (3, 1)]), [id(3)], "one that is on again is");
        assert_eq!(see(Some(1), &[(1, 1), (2, 2), (3, 1)]), [id(1)], "one that somebody else opened otherwise is, too");
    }
}
