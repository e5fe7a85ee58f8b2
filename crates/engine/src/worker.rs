//! Takes due runs from the store and drives them, as many at once as there is room.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use connector::ErrorClass;
use store::{
    Beside, Claim, Committed, Ending, Entry, ErrorRecord, Journal, RecipeId, RunCommit, StoreError, Then, Timestamp, WorkerId,
};

use crate::{
    Engine,
    beside::{About, Failed, answer_to, take_answers},
    decide::{Next, RunState},
    drive::{LiveRun, drive},
    gate::Seat,
    measure,
    places::{Free, Place},
    program::Program,
};

/// Runs taken in one claim at most.
const CLAIM_MAX: u32 = 64;
/// With fewer free places than this a claim first gathers more for [`GATHER`], when there is a backlog.
const CLAIM_WORTH: usize = 16;
/// How long places are gathered under a backlog.
const GATHER: Duration = Duration::from_millis(3);
/// The longest sleep of a worker that knows of nothing due: another process may know more.
const IDLE_SLEEP_MAX: Duration = Duration::from_secs(30);

impl Engine {
    /// Somebody should look at the store not later than `due`.
    pub(crate) fn wake_at(&self, due: Timestamp) {
        if self.wake_at.fetch_min(due.micros(), Ordering::SeqCst) > due.micros() {
            self.wake.notify_one();
        }
    }

    /// A run left memory.
    pub(crate) fn slot_freed(&self) {
        self.slots_taken.fetch_sub(1, Ordering::Relaxed);
        if self.backlog() > 0 {
            self.wake.notify_one();
        }
    }

    /// Drives a run this process just accepted.
    pub(crate) fn go_on(self: &Arc<Self>, run: LiveRun, next: Next) {
        self.slots_taken.fetch_add(1, Ordering::Relaxed);
        self.driven.lock().insert(run.state.id, run.epoch);
        tokio::spawn(drive(Arc::clone(self), run, next));
    }

    pub(crate) async fn count_backlog(&self) -> Result<(), StoreError> {
        let count = self.store.backlog(self.now(), self.settings.backlog_max).await?;
        self.backlog.store(count, Ordering::Relaxed);
        self.backlog_moved.notify_waiters();
        Ok(())
    }
}

/// The loop of a working process.
pub(crate) async fn work(engine: Arc<Engine>) {
    loop {
        if engine.is_stopping() {
            return;
        }
        // Registered before looking, so that a wake-up between the look and the sleep is not lost.
        let woken = engine.wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        engine.wake_at.store(i64::MAX, Ordering::SeqCst);
        let pause = match claim(&engine).await {
            Ok(Some(pause)) => pause,
            Ok(None) => continue,
            Err(error) => {
                metrics::counter!("liaison_claim_failed_total").increment(1);
                tracing::warn!(%error, "worker.claim: the store did not answer");
                engine.settings.poll_interval
            }
        };
        tokio::select! {
            biased;
            () = woken => {}
            () = tokio::time::sleep(pause) => {}
            () = engine.stopping.cancelled() => return,
        }
    }
}

/// Takes what is due and fits; says how long to sleep, or `None` to look again at once.
async fn claim(engine: &Arc<Engine>) -> Result<Option<Duration>, StoreError> {
    let mut places = Room::of(engine);
    if !places.free.is_empty() && places.free.len() < CLAIM_WORTH && engine.backlog() as usize > places.free.len() {
        // Under a backlog places come free one by one: a claim each would cost a transaction each.
        drop(places);
        tokio::time::sleep(GATHER).await;
        places = Room::of(engine);
    }
    let Room { free, busy } = places;
    if free.is_empty() {
        // A run that ends wakes us. Whoever is full need not ask: that is no trouble.
        engine.claimed_at.store(engine.now().micros(), Ordering::Relaxed);
        engine.starved.store(true, Ordering::Relaxed);
        return Ok(Some(IDLE_SLEEP_MAX));
    }
    let wanted = u32::try_from(free.len()).unwrap_or(CLAIM_MAX);
    let owner = engine.worker();
    let asked = engine.now();
    let claims = match busy.as_slice() {
        [] => engine.store.claim(owner, asked, wanted).await?,
        busy => engine.store.claim_others(owner, asked, wanted, busy).await?,
    };
    metrics::histogram!("liaison_claim_seconds").record(engine.now().since(asked));
    engine.claimed_at.store(engine.now().micros(), Ordering::Relaxed);
    let taken = u32::try_from(claims.len()).unwrap_or(u32::MAX);
    if taken > 0 {
        metrics::counter!("liaison_runs_claimed_total").increment(u64::from(taken));
        let _ = engine.backlog.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |known| Some(known.saturating_sub(taken)));
    }
    for (claim, free) in claims.into_iter().zip(free) {
        // Those before it may have filled the memory.
        if engine.payloads.holds_back(claim.recipe) {
            let due_at = engine.now().after(engine.settings.poll_interval);
            write_back(engine, &claim, owner, (Vec::new(), Then::Queued { due_at })).await;
            continue;
        }
        let place = engine.places.give(free, claim.recipe);
        take_up(engine, claim, owner, place).await;
    }
    // Beside busy recipes each of the others gives an equal part: more of some may be due as long as any gives one.
    let more = taken == wanted || (taken > 0 && !busy.is_empty());
    engine.places.left_behind((!more && !busy.is_empty()).then(|| busy.clone()));
    if more {
        return Ok(None);
    }
    if !busy.is_empty() {
        // What is left belongs to recipes that have their share. When the next of the others is due nobody can say.
        engine.backlog_moved.notify_waiters();
        return Ok(Some(engine.settings.poll_interval.min(IDLE_SLEEP_MAX)));
    }
    // Everything due is taken.
    engine.backlog.store(0, Ordering::Relaxed);
    engine.backlog_moved.notify_waiters();
    let now = engine.now();
    let pause = match engine.store.next_due().await? {
        Some(due) => due.since(now).max(Duration::from_millis(1)),
        None => IDLE_SLEEP_MAX,
    };
    Ok(Some(pause.min(IDLE_SLEEP_MAX)))
}

/// What one claim may fill.
struct Room {
    free: Vec<Free>,
    /// Recipes that have their share, of places or of memory.
    busy: Vec<RecipeId>,
}

impl Room {
    fn of(engine: &Engine) -> Self {
        let mut free: Vec<Free> = std::iter::from_fn(|| engine.places.try_free()).take(CLAIM_MAX as usize).collect();
        let (mut busy, each) = engine.places.busy(free.len());
        let (held_back, room) = engine.payloads.room();
        free.truncate(each.min(room));
        busy.extend(held_back);
        busy.sort_unstable();
        busy.dedup();
        Self { free, busy }
    }
}

/// Goes on with a claimed run from its journal.
async fn take_up(engine: &Arc<Engine>, claim: Claim, owner: WorkerId, slot: Place) {
    let taken = async {
        let program = engine.program(claim.recipe, claim.version).await?;
        let journal = engine.take_journal(&claim, &program).await?;
        Ok((program, journal))
    };
    let taken = taken.await;
    if let (Some(caller), Ok((_, (journal, _)))) = (&claim.parent, &taken)
        && engine.follows_cancelled(claim.id, caller.run, journal).await
    {
        return;
    }
    match taken {
        Ok((program, (journal, weights))) => match prepare(engine, &claim, &program, journal).await {
            Ok((mut state, about)) => {
                state.seat = Some(Seat::of(engine, claim.recipe, claim.id, about.via));
                engine.live.changed(claim.id);
                let state = Box::new(state);
                let load = engine.payloads.load(claim.id, claim.recipe, weights);
                engine.go_on(LiveRun { program, state, owner, epoch: claim.epoch, about, load, slot }, Next::InFlight);
            }
            Err(error) => give_back(engine, &claim, owner, error).await,
        },
        Err(error) => give_back(engine, &claim, owner, error).await,
    }
}

/// A claimed run as it goes on: with what its steps were answered, and the state its recipe kept.
async fn prepare(engine: &Engine, claim: &Claim, program: &Program, journal: Journal) -> Result<(RunState, About), StoreError> {
    let begins = journal.state.is_null() || journal.state_is_old;
    let via = journal.via;
    let mut state = RunState::resumed(claim.id, journal, claim.attempts);
    state.addresses = Some(Arc::clone(&engine.addresses));
    if begins && let Some(found) = engine.found(claim.recipe, program).await? {
        state.push(found);
    }
    let taken = take_answers(&mut state, claim.answers.clone(), engine.now());
    let about = About { recipe: claim.recipe, via, lane: claim.lane, parent: claim.parent.clone(), taken };
    Ok((state, about))
}

/// A run that cannot be taken up is never left hanging: it is tried again later when the store was
/// away, and fails in the open when its recipe or its journal cannot be used.
async fn give_back(engine: &Arc<Engine>, claim: &Claim, owner: WorkerId, error: StoreError) {
    const LATER: Duration = Duration::from_secs(5);
    metrics::counter!("liaison_take_up_failed_total").increment(1);
    tracing::error!(run.id = %claim.id, %error, "run.take_up: the run cannot go on");
    let now = engine.now();
    let step = if matches!(error, StoreError::Unavailable(_)) {
        (Vec::new(), Then::Queued { due_at: now.after(LATER) })
    } else {
        let error = Box::new(ErrorRecord {
            class: ErrorClass::Internal.as_str().to_owned(),
            code: "CANNOT_GO_ON".to_owned(),
            message: format!("Liaison cannot go on with this run: {error}."),
            next: Some("Use a build that can run this recipe version, or replay the event with the active version.".to_owned()),
            path: None,
            request: None,
            response: None,
            causes: Vec::new(),
        });
        let ended = Entry::Ended { at: now, how: Ending::Failed, out: None, err: Some(error.clone()), by: None };
        (vec![ended], Then::Failed { at: now, error })
    };
    write_back(engine, claim, owner, step).await;
}

/// Puts a claimed run that nobody drives back into the store.
async fn write_back(engine: &Arc<Engine>, claim: &Claim, owner: WorkerId, (entries, then): (Vec<Entry>, Then)) {
    let chunk = if entries.is_empty() { Ok(Vec::new()) } else { store::write_chunk(&entries) };
    let Ok(chunk) = chunk else { return };
    let seq = match engine.store.next_seq(claim.id).await {
        Ok(seq) => seq,
        // Freed with everything else this process owns and does not drive.
        Err(error) => return tracing::error!(run.id = %claim.id, %error, "run.take_up: the store did not answer"),
    };
    let (beside, program) = match &then {
        Then::Failed { at, error } => told_of(engine, claim, (seq, *at), error).await,
        _ => (Vec::new(), None),
    };
    let ended = then.clone();
    let commit = RunCommit {
        run: claim.id,
        owner,
        epoch: claim.epoch,
        seq,
        chunk,
        attempts: claim.attempts,
        then,
        lane: claim.lane,
        listens: Vec::new(),
        beside,
    };
    match engine.write_commit(Arc::new(commit)).await {
        Ok(Committed::Done) => {
            if let Some((program, accepted_at)) = program {
                engine.letters.ended(&ended);
                measure::ended(&program, &ended, accepted_at);
                measure::log_end(engine, &program, claim.id, &ended);
            }
            engine.live.changed(claim.id);
        }
        Ok(Committed::LeaseLost) => {}
        // Freed with everything else this process owns when it stops.
        Err(error) => {
            tracing::error!(run.id = %claim.id, %error, "run.take_up: the run stays with this process until it stops");
        }
    }
}

/// Whom the end of a run is told that cannot go on: its caller, and the recipe its version names for failures, or the active
/// one where that version cannot be read. Its event only when its journal can be. Also that version, and when the run began.
async fn told_of(
    engine: &Arc<Engine>,
    claim: &Claim,
    (seq, at): (i32, Timestamp),
    error: &ErrorRecord,
) -> (Vec<Beside>, Option<(Arc<Program>, Timestamp)>) {
    let Ok(Some(row)) = engine.store.run(claim.id).await else { return (Vec::new(), None) };
    let then = Then::Failed { at, error: Box::new(error.clone()) };
    let mut beside: Vec<_> = claim.parent.iter().map(|parent| answer_to(parent, claim.id, &row.slug, &then, None, at)).collect();
    let program = match engine.program(claim.recipe, claim.version).await {
        Ok(program) => program,
        Err(_) => match engine.catalogue().recipes.get(&row.slug) {
            Some(recipe) => Arc::clone(&recipe.program),
            None => return (beside, None),
        },
    };
    let event = engine.event(claim.id).await.unwrap_or_default();
    let failed = Failed { run: claim.id, via: row.via, accepted_at: row.accepted_at, event: &event, seq };
    beside.extend(engine.tell_of(&program, &failed, error));
    (beside, Some((program, row.accepted_at)))
}
