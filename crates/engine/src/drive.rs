//! Drives one owned run: decide, make durable, act, again, until it ends or parks.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use connector::{Cx, Doubt, Effect, ErrorClass, Page, StepError};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use serde_json::Value as Json;
use store::{Committed, Entry, ErrorRecord, RunCommit, StoreError, Then, Timestamp, WaitingFor, WorkerId};

use crate::{
    Engine,
    beside::{About, listens, take_answers},
    call::Ran,
    decide::{Attempt, GIVEN_UP, Next, RunState, decide},
    gate, health, measure,
    payloads::Load,
    places::Place,
    program::{Own, Program},
    trace,
};

/// How often a run in memory looks for answers to steps that wait beside others.
const ANSWERS_EVERY: Duration = Duration::from_secs(1);

/// A run this process owns.
pub(crate) struct LiveRun {
    pub(crate) program: Arc<Program>,
    pub(crate) state: Box<RunState>,
    pub(crate) owner: WorkerId,
    pub(crate) epoch: i64,
    /// What its commits need besides.
    pub(crate) about: About,
    /// What its values take in memory.
    pub(crate) load: Load,
    /// Its place among the runs in memory; given back when the run is dropped.
    pub(crate) slot: Place,
}

/// Why a run left memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Ended,
    Parked,
    LeaseLost,
    Stopping,
}

/// Drives a run from `next` on. Everything pending when `next` was decided must be durable.
pub(crate) async fn drive(engine: Arc<Engine>, mut run: LiveRun, mut next: Next) {
    let program = Arc::clone(&run.program);
    let mut under_way = FuturesUnordered::new();
    let mut look_at = engine.now();
    let left = loop {
        match next {
            Next::Act(attempts) => {
                if !engine.still_owns(run.owner).await {
                    break if engine.is_stopping() { Left::Stopping } else { Left::LeaseLost };
                }
                for attempt in attempts {
                    run.state.in_flight.insert(Arc::clone(&attempt.path));
                    // A person let the step try again: then a failed run that it called goes on, too.
                    let again = run.state.journal.reopened.contains_key(&attempt.path);
                    let trace = trace::header(run.state.id, &run.state.journal, &attempt);
                    under_way.push(perform(&engine, &program, run.state.id, attempt, (again, trace)));
                }
            }
            Next::InFlight => {}
            Next::Wait { until, .. } => {
                let pause = until.since(engine.now());
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(pause) => {}
                    () = gate::called(run.state.seat.as_ref()) => {}
                    () = engine.stopping.cancelled() => {}
                }
            }
            Next::End(_) => break Left::Ended,
        }
        // A branch may have something due while another one's call is under way.
        let due = run.state.wake.map(|at| at.since(engine.now()));
        tokio::select! {
            biased;
            done = under_way.next() => if let Some((attempt, outcome)) = done {
                match outcome {
                    Ok(Ran::Called(child)) => called(&mut run.state, &attempt, child, engine.now()),
                    Ok(Ran::Done(output)) => settle(&engine, &program, &mut run.state, &attempt, Ok(output)),
                    Err(error) => settle(&engine, &program, &mut run.state, &attempt, Err(*error)),
                }
            },
            () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() && !run.state.in_flight.is_empty() => {}
            () = gate::called(run.state.seat.as_ref()), if due.is_some() && !run.state.in_flight.is_empty() => {}
            () = tokio::time::sleep(ANSWERS_EVERY), if program.listens && !run.state.in_flight.is_empty() => {}
        }
        // Somebody may answer one branch while another one works.
        if program.listens && (engine.now() >= look_at || run.state.wake.is_some_and(|due| due <= engine.now())) {
            hear(&engine, &mut run).await;
            look_at = engine.now().after(ANSWERS_EVERY);
        }
        if engine.stopping.is_cancelled() && run.state.in_flight.is_empty() {
            // What is done is kept; what would come next is left to whoever runs the run then. Nothing
            // may be decided here: a `started` entry without its call would leave a doubt behind.
            let due_at = engine.now();
            drop(commit(&engine, &mut run, Then::Queued { due_at }).await);
            break Left::Stopping;
        }
        if run.state.in_flight.is_empty() && run.load.steps_aside() {
            // The same: decided by whoever takes it up again.
            break step_aside(&engine, &mut run).await;
        }
        let decided = decide(&program, &mut run.state, engine.now());
        let then = match &decided {
            Next::End(then) => then.clone(),
            Next::Wait { reason, until } if !worth_waiting(&engine, *reason, until.since(engine.now())) => {
                Then::Waiting { reason: *reason, due_at: *until }
            }
            Next::Act(_) | Next::InFlight | Next::Wait { .. } => Then::Running,
        };
        // A short pause keeps its entries for the next commit: the failed attempt is told then. What is done
        // before a gate, or beside a long call, is not kept waiting.
        let keeps = match (&decided, &then) {
            (Next::Wait { reason: WaitingFor::Retry, .. }, Then::Running) => true,
            (Next::InFlight | Next::Wait { .. }, Then::Running) => run.state.pending.is_empty(),
            _ => false,
        };
        if !keeps {
            match commit(&engine, &mut run, then.clone()).await {
                Ok(Committed::Done) => {}
                Ok(Committed::LeaseLost) => break Left::LeaseLost,
                Err(Stopped) => break Left::Stopping,
            }
        }
        engine.live.changed(run.state.id);
        if let Then::Waiting { due_at, .. } = then {
            engine.wake_at(due_at);
            break Left::Parked;
        }
        next = decided;
    };
    leave(&engine, run, left);
}

/// Takes in what waiting steps were answered since the run was taken up.
async fn hear(engine: &Engine, run: &mut LiveRun) {
    if listens(&run.state).is_empty() {
        return;
    }
    match engine.store.untaken_answers(run.state.id).await {
        Ok(answers) => run.about.taken.extend(take_answers(&mut run.state, answers, engine.now())),
        // They stay where they are and are looked for again.
        Err(error) => tracing::warn!(run.id = %run.state.id, %error, "run.answers: the store did not answer"),
    }
}

fn leave(engine: &Engine, run: LiveRun, left: Left) {
    match left {
        Left::LeaseLost => {
            metrics::counter!("liaison_lease_lost_total").increment(1);
            tracing::warn!(run.id = %run.state.id, recipe = &*run.program.slug, worker = run.owner.0, "run.drop: the run belongs to another process now; what this one did last was not recorded");
        }
        Left::Ended => tracing::debug!(run.id = %run.state.id, recipe = &*run.program.slug, worker = run.owner.0, "run.end"),
        Left::Parked | Left::Stopping => {}
    }
    let mut driven = engine.driven.lock();
    // Taken again meanwhile, it has another driver.
    if driven.get(&run.state.id) == Some(&run.epoch) {
        driven.remove(&run.state.id);
    }
    drop(driven);
    drop((run.slot, run.load));
    engine.slot_freed();
}

/// Leaves memory to others: the run is due at once, for this process when it holds less, and for others.
async fn step_aside(engine: &Engine, run: &mut LiveRun) -> Left {
    match commit(engine, run, Then::Queued { due_at: engine.now() }).await {
        Ok(Committed::Done) => {
            metrics::counter!("liaison_runs_stepped_aside_total").increment(1);
            tracing::debug!(run.id = %run.state.id, recipe = &*run.program.slug, "run.step_aside");
            engine.backlog.fetch_add(1, Ordering::Relaxed);
            engine.live.changed(run.state.id);
            Left::Parked
        }
        Ok(Committed::LeaseLost) => Left::LeaseLost,
        Err(Stopped) => Left::Stopping,
    }
}

fn worth_waiting(engine: &Engine, reason: WaitingFor, pause: Duration) -> bool {
    (reason == WaitingFor::Retry && pause <= engine.settings.retry_in_memory_max) || gate::briefly(reason, pause)
}

/// The process is going down before the commit could be made.
struct Stopped;

/// Makes everything pending durable. While the database does not answer the run is kept: nothing is
/// lost, and if another process takes the run over meanwhile, the fence tells.
async fn commit(engine: &Engine, run: &mut LiveRun, then: Then) -> Result<Committed, Stopped> {
    let entries = std::mem::take(&mut run.state.pending);
    let mut beside = engine.besides(&run.program, &run.state, &mut run.about, &entries, &then);
    // A run that was only looked at and waits on is let go of as it is: a parked run costs nothing.
    let only_looked = entries.is_empty() && beside.is_empty() && then.due_at().is_some();
    let chunk = match engine.pack(&entries, &mut beside) {
        Ok(_) if only_looked => Vec::new(),
        Ok((chunk, weights)) => {
            run.load.add(weights);
            chunk
        }
        Err(error) => {
            tracing::error!(run.id = %run.state.id, recipe = &*run.program.slug, worker = run.owner.0, %error, "run.commit: entries could not be written");
            return Err(Stopped);
        }
    };
    // Shared with whoever writes it: it is kept until that is known to be durable.
    let commit = Arc::new(RunCommit {
        run: run.state.id,
        owner: run.owner,
        epoch: run.epoch,
        seq: run.state.journal.next_seq,
        chunk,
        attempts: run.state.attempts,
        lane: run.about.lane,
        listens: if matches!(then, Then::Waiting { .. }) { listens(&run.state) } else { Vec::new() },
        beside,
        then,
    });
    run.state.journal.next_seq += i32::from(!only_looked);
    loop {
        match engine.write_commit(Arc::clone(&commit)).await {
            Ok(committed) => {
                if committed == Committed::Done {
                    engine.count_end(&run.program, &commit.then, &run.state);
                    if commit.then.error().is_some_and(|error| error.code == GIVEN_UP) {
                        Box::pin(engine.put_aside(run.state.id, &run.state.journal)).await;
                    }
                    measure::committed(&run.program, &entries);
                    if commit.changes_others() {
                        engine.wake_at(engine.now());
                    }
                }
                return Ok(committed);
            }
            Err(StoreError::Unavailable(reason)) => {
                metrics::counter!("liaison_commit_retried_total").increment(1);
                tracing::warn!(run.id = %run.state.id, recipe = &*run.program.slug, worker = run.owner.0, reason, "run.commit: waiting for the database");
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                    () = engine.stopping.cancelled() => return Err(Stopped),
                }
            }
            Err(error) => {
                // The run stays owned and is freed at the next start; it must not vanish silently.
                metrics::counter!("liaison_commit_failed_total").increment(1);
                tracing::error!(run.id = %run.state.id, recipe = &*run.program.slug, worker = run.owner.0, %error, "run.commit: refused by the database");
                return Err(Stopped);
            }
        }
    }
}

/// One attempt: the action, its deadline, and a net for its panics.
async fn perform(
    engine: &Arc<Engine>,
    program: &Arc<Program>,
    run: store::RunId,
    attempt: Attempt,
    (again, trace): (bool, Option<Arc<str>>),
) -> (Attempt, Result<Ran, Box<StepError>>) {
    let outcome = match &attempt.step.own {
        // Boxed, so that a call does not carry the room for these.
        Some(Own::Recipe(called)) => Box::pin(engine.run_recipe(run, &attempt, called, (again, trace))).await,
        Some(Own::File { last_step }) => {
            Box::pin(engine.write_results(run, &attempt, last_step.as_deref())).await.map(Ran::Done).map_err(Box::new)
        }
        None => act(engine, program, run, &attempt, trace).await.map(Ran::Done).map_err(Box::new),
    };
    (attempt, outcome)
}

async fn act(
    engine: &Arc<Engine>,
    program: &Program,
    run: store::RunId,
    attempt: &Attempt,
    traceparent: Option<Arc<str>>,
) -> Result<Json, StepError> {
    let connection = match &attempt.step.connection {
        None => None,
        Some(name) => match engine.connection(name) {
            Some(connection) => Some(connection),
            None => {
                let error = StepError::new(
                    ErrorClass::Invalid,
                    "CONNECTION_MISSING",
                    format!("There is no connection named \"{name}\", which recipe {} uses.", program.slug),
                )
                .with_next("Create the connection, then resume the run.");
                return Err(error);
            }
        },
    };
    if let Some(connection) = &connection {
        engine.may_call(&connection.name).await?;
    }
    let cx = Cx {
        http: engine.http.clone(),
        connection,
        idempotency_key: idempotency_key(run, &attempt.path, attempt.turn).into(),
        timeout: attempt.step.timeout,
        run_id: engine.run_text(run),
        path: Arc::clone(&attempt.path),
        began: tokio::time::Instant::now(),
        began_us: engine.now().micros(),
        attempt: attempt.number,
        in_doubt: attempt.in_doubt,
        traceparent,
        turns: gate::turns(attempt.pass.as_ref()),
    };
    let input = Json::clone(&attempt.input);
    let call = async {
        match (&attempt.page, &attempt.step.action.pages) {
            (Some(page), Some(pages)) => {
                pages(cx, input, page.cursor.clone()).await?.onward(page.cursor.as_ref()).map(page_output)
            }
            _ => (attempt.step.action.run)(cx, input).await,
        }
    };
    guarded(&attempt.step.name, attempt.step.timeout, call).await
}

/// A connector's call with a net below it: its own deadline comes first and knows better what a late answer means.
pub(crate) async fn guarded<T>(
    name: &str,
    timeout: Duration,
    call: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let failed = |class, code, message| StepError { doubt: Doubt::MayHaveHappened, ..StepError::new(class, code, message) };
    match tokio::time::timeout(timeout + Duration::from_secs(1), AssertUnwindSafe(call).catch_unwind()).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => Err(failed(ErrorClass::Internal, "ACTION_PANICKED", format!("{name} failed inside Liaison."))
            .with_next("Report this with the run's id.")),
        Err(_elapsed) => {
            Err(failed(ErrorClass::Timeout, "STEP_TIMEOUT", format!("{name} did not answer within {} s.", timeout.as_secs_f64())))
        }
    }
}

/// A page as the journal keeps it.
pub(crate) fn page_output(page: Page) -> Json {
    let fields = [("items".to_owned(), Json::Array(page.items)), ("next".to_owned(), page.next.unwrap_or_default())];
    Json::Object(fields.into_iter().collect())
}

/// The step waits for the end of the run it called.
fn called(state: &mut RunState, attempt: &Attempt, child: store::RunId, now: Timestamp) {
    state.in_flight.remove(&attempt.path);
    let until = attempt.step.called().and_then(|called| called.within).map(|within| now.after(within));
    let ask = Some(Arc::new(serde_json::json!({ "run": child.to_string() })));
    state.push(Entry::Waits { p: Arc::clone(&attempt.path), at: now, what: "call".into(), until, ask });
}

/// Stable for (run, path): every attempt on every process carries the same key. A step that was reopened
/// and sends something else than before begins another turn and has another key: systems refuse a known
/// key with another body.
#[must_use]
pub fn idempotency_key(run: store::RunId, path: &str, turn: u32) -> String {
    match turn {
        0 => uuid::Uuid::new_v5(&run.0, path.as_bytes()).to_string(),
        turn => uuid::Uuid::new_v5(&run.0, format!("{path}#{turn}").as_bytes()).to_string(),
    }
}

/// Takes the outcome of an attempt into the journal in memory.
fn settle(engine: &Engine, program: &Program, state: &mut RunState, attempt: &Attempt, outcome: Result<Json, StepError>) {
    let now = engine.now();
    measure::attempt(attempt, outcome.as_ref(), now);
    measure::log_attempt(engine, program, state.id, attempt, outcome.as_ref().err());
    trace::attempt(state.id, program, &state.journal, attempt, outcome.as_ref(), now);
    // An attempt that made no call says nothing of the system.
    let called = outcome.as_ref().err().is_none_or(|error| error.code != health::NEEDED);
    if let Some(pass) = attempt.pass.as_ref().filter(|_| called) {
        pass.done(outcome.as_ref());
    }
    settled(state, attempt, outcome, now, engine.dice());
}

/// The same with time and dice from outside: what an outcome means for the run, doubt and retry included.
pub(crate) fn settled(state: &mut RunState, attempt: &Attempt, outcome: Result<Json, StepError>, now: Timestamp, dice: f64) {
    state.in_flight.remove(&attempt.path);
    let (p, n) = (Arc::clone(&attempt.path), attempt.number);
    let error = match outcome {
        Ok(output) => return state.push(Entry::Succeeded { p, n, at: now, out: Arc::new(output) }),
        Err(error) => error,
    };
    let err = Box::new(record(&error));
    let effect = (attempt.step.action.effect)(&attempt.input);
    let doubt = error.doubt == Doubt::MayHaveHappened && effect != Effect::None;
    if doubt && effect == Effect::Once {
        return state.push(Entry::Uncertain { p, n, at: now, err });
    }
    let counted = n.saturating_sub(state.attempts_before(&attempt.path));
    let retry = attempt.step.retry.next_try(error.class, counted, attempt.began, now, error.retry_after, dice);
    // A probe is made for everybody; its run does not pay for it, unless it takes more than there is.
    let probing = attempt.pass.as_ref().is_some_and(|pass| pass.is_probe())
        && attempt.step.retry.repeats(error.class)
        && error.code != connector::BUDGET_SPENT;
    let retry = retry.or(probing.then_some(now));
    state.push(Entry::Failed { p, n, at: now, err, retry, doubt });
}

pub(crate) fn record(error: &StepError) -> ErrorRecord {
    ErrorRecord {
        class: error.class.as_str().to_owned(),
        code: error.code.clone(),
        message: error.message.clone(),
        next: error.next.clone(),
        path: None,
        request: error.request.clone(),
        response: error.response.clone(),
        causes: Vec::new(),
    }
}
