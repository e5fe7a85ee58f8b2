//! One story: events come in while everything goes wrong; then all is well again and comes to rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use engine::{
    Decision, Engine, Event, Intake,
    control::{Doubtful, Replay},
    operations::NewOperation,
    resume::{Resumption, Said},
};
use serde_json::{Value, json};
use store::{
    DeadLetter, Entry, NewVersion, OperationChange, OperationKind, OperationOptions, OperationState, Pages as _, RecipeId,
    RunFilter, RunId, RunRow, RunStatus, Saved, SealedAt, Selection, Store, Via, text_hash,
};

use crate::{
    crm::{CRM, Crm},
    outside::World,
    process::{Process, vault},
    recipes::{RECIPES, STARTED, TICK},
    source::{FEED, SOURCE, Source},
    verdict,
};

const PROCESSES: usize = 3;
const EVENTS: u64 = 14;
const RECIPES_SENT_TO: usize = 3;
/// What people and senders do at most before giving up.
const TRIES: usize = 400;
/// What is done to many dead letters at once, in one story.
const OPERATIONS_MAX: usize = 3;
/// Everything comes to rest within so many looks, a virtual minute apart.
const LOOKS: usize = 600;

/// An event somebody sends until it is taken, and perhaps once more.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) recipe: &'static str,
    pub(crate) data: Value,
    pub(crate) run: Option<RunId>,
    /// Its place among those that were taken; those that came at the same moment share one.
    pub(crate) place: Option<u64>,
    /// Somebody was told that it is cancelled.
    pub(crate) cancelled: bool,
}

impl Sent {
    fn event(&self) -> Event {
        Event { data: Arc::new(self.data.clone()), via: Via::Api, key: None, key_wins: false, fingerprint: None, replay_of: None }
    }
}

/// Plays a seed; the first broken promise, if any.
pub(crate) fn play(seed: u64) -> Result<(), String> {
    perform(seed)?.0
}

/// What the system outside saw of a seed, call by call.
pub(crate) fn trace(seed: u64) -> Result<String, String> {
    Ok(perform(seed)?.1)
}

fn perform(seed: u64) -> Result<(Result<(), String>, String), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    let told = runtime.block_on(async {
        let world = World::new(seed);
        let sent_to = (0..RECIPES_SENT_TO).map(|_| STARTED[world.dice(STARTED.len() as u64) as usize]).collect();
        let mut story = Story {
            world: world.clone(),
            processes: Vec::new(),
            sent: BTreeMap::new(),
            sent_to,
            places: 0,
            in_bulk: world.dice(3) == 0,
            settled: BTreeSet::new(),
        };
        (story.tell().await, format!("{:?}", world.seen()))
    });
    runtime.shutdown_background();
    Ok(told)
}

struct Story {
    world: World,
    processes: Vec<Process>,
    sent: BTreeMap<u64, Sent>,
    /// Few recipes a story, so that their runs meet.
    sent_to: Vec<&'static str>,
    /// Events that were taken, or came at the same moment as others.
    places: u64,
    /// People deal with all dead letters at once, at first.
    in_bulk: bool,
    /// Dead letters somebody dealt with, and was told so.
    settled: BTreeSet<RunId>,
}

impl Story {
    async fn tell(&mut self) -> Result<(), String> {
        self.set_up().await;
        self.keep_up().await;
        self.world.set_trouble(self.world.dice(40) as u32);
        let mut held_up: Vec<u64> = Vec::new();
        for id in 0..EVENTS {
            let recipe = self.sent_to[self.world.dice(self.sent_to.len() as u64) as usize];
            if matches!(recipe, FEED | TICK) {
                if recipe == FEED {
                    self.world.source.happen(&self.world);
                }
                self.pass().await;
                continue;
            }
            let n = self.world.dice(8);
            let items: Vec<u64> = (0..n).collect();
            let data = json!({ "id": format!("e{id}"), "n": n, "items": items });
            self.sent.insert(id, Sent { recipe, data, run: None, place: None, cancelled: false });
            match self.world.dice(6) {
                // It comes after those behind it.
                0 => held_up.push(id),
                1 | 2 => {
                    self.send_to_two(id).await;
                    self.send(id).await;
                }
                _ => self.send(id).await,
            }
            if self.world.dice(4) == 0
                && let Some(late) = held_up.pop()
            {
                self.send_both(late, id).await;
            }
            if self.world.dice(4) == 0 {
                // A sender that heard nothing, or did not listen, sends again.
                self.send(self.world.dice(id + 1)).await;
            }
            self.pass().await;
        }
        for id in held_up {
            self.send(id).await;
        }
        self.world.set_trouble(0);
        self.come_to_rest().await?;
        verdict::judge(&self.world, &self.sent, &self.settled).await
    }

    /// A while goes by, in which much may happen.
    async fn pass(&mut self) {
        self.mishap().await;
        self.cancel().await;
        self.talk().await;
        self.operate().await;
        tokio::time::sleep(Duration::from_millis(self.world.dice(8_000))).await;
        self.keep_up().await;
    }

    async fn set_up(&self) {
        // Secrets come from the machine's dice; this one shows in addresses, and a seed must replay.
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let secret = BTreeMap::from([("key".to_owned(), hex(&[9; 32]))]);
        let store = Arc::clone(&self.world.store) as Arc<dyn Store>;
        let sealed = vault(&store).seal(&SealedAt::Secret("callback_key".to_owned()), &secret).await.expect("it can be sealed");
        store.secret("callback_key", &sealed).await.expect("it is kept");
        if self.sent_to.contains(&"gated") {
            Crm::connect(&self.world).await;
        }
        if self.sent_to.contains(&FEED) {
            self.world.connect(SOURCE, json!({})).await;
        }
        let needed = |slug: &str| {
            let by = |sent: &&str| matches!((*sent, slug), ("caller", "callee") | ("saga", "alarm")) || *sent == slug;
            self.sent_to.iter().any(by)
        };
        for (slug, rest) in RECIPES.iter().filter(|(slug, _)| needed(slug)) {
            let text = format!("liaison: 1\nrecipe: {slug}\n{rest}");
            let mut dice = [0; 10];
            dice[..slug.len().min(10)].copy_from_slice(&slug.as_bytes()[..slug.len().min(10)]);
            let version = NewVersion {
                id: RecipeId::new(self.world.now(), dice),
                slug: (*slug).to_owned(),
                title: (*slug).to_owned(),
                hash: text_hash(&text),
                text,
                hook_token: (*slug).to_owned(),
                if_revision: None,
                at: self.world.now(),
                by: "sim".to_owned(),
            };
            let Ok(Saved::Created(row)) = self.world.store.save_version(version).await else { panic!("{slug} is saved") };
            self.world.store.activate(row.id, Some(1), &Value::Null, self.world.now()).await.expect("it is switched on");
        }
    }

    /// Starts processes until there are enough.
    async fn keep_up(&mut self) {
        self.processes.retain(|process| !process.life.is_dead());
        for _ in 0..TRIES {
            if self.processes.len() >= PROCESSES {
                return;
            }
            let process = Process::start(&self.world).await;
            self.processes.extend(process);
        }
    }

    fn somebody(&self) -> Option<Arc<Engine>> {
        let living: Vec<_> = self.processes.iter().filter(|process| !process.life.is_dead()).collect();
        let place = self.world.dice(living.len().max(1) as u64) as usize;
        living.get(place).map(|process| Arc::clone(&process.engine))
    }

    async fn mishap(&mut self) {
        let place = self.world.dice(PROCESSES as u64) as usize;
        let Some(process) = self.processes.get(place) else { return };
        match self.world.dice(16) {
            0 => process.life.kill(),
            1 | 2 => process.life.kill_at_write(1 + self.world.dice(4), false),
            3 | 4 => process.life.kill_at_write(1 + self.world.dice(4), true),
            5 => process.life.freeze(self.world.now().after(Duration::from_millis(self.world.dice(40_000)))),
            6 => {
                let process = self.processes.remove(place);
                // An orderly stop, which a kill may overtake.
                drop(tokio::time::timeout(Duration::from_secs(self.world.dice(40)), process.engine.stop()).await);
                process.life.kill();
            }
            7 => self.world.crm.break_down(&self.world),
            8 | 9 => process.set_clock(&self.world),
            10 => Source::begin_again(&process.engine).await,
            11 if Crm::is_there(&self.world).await => {
                let open = process.engine.set_circuit(CRM, None, true, "ines", "maintenance");
                drop(tokio::time::timeout(Duration::from_secs(10), open).await);
            }
            _ => {}
        }
    }

    /// Two senders bring the same event to two processes at the same moment; neither has an answer before the other asks.
    async fn send_to_two(&mut self, id: u64) {
        let living: Vec<_> =
            self.processes.iter().filter(|process| !process.life.is_dead()).map(|process| &process.engine).collect();
        let (Some(sent), [one, other, ..]) = (self.sent.get(&id), living.as_slice()) else { return };
        let (one, other) = tokio::join!(bring(one, sent), bring(other, sent));
        let runs: BTreeSet<RunId> = [one, other].into_iter().flatten().collect();
        if runs.len() > 1 {
            self.world.accuse(format!("event {id}, brought to two at once, started {runs:?}"));
        }
        if let Some(run) = runs.first() {
            self.taken(id, *run);
        }
    }

    /// Two events come to two processes at the same moment, each until it is taken.
    async fn send_both(&mut self, one: u64, other: u64) {
        let living: Vec<_> =
            self.processes.iter().filter(|process| !process.life.is_dead()).map(|process| &process.engine).collect();
        if let (Some(first), Some(second), [here, there, ..]) = (self.sent.get(&one), self.sent.get(&other), living.as_slice()) {
            let runs = tokio::join!(bring(here, first), bring(there, second));
            // One of them may have been taken without anybody hearing of it.
            self.places += 1;
            for (id, run) in [(one, runs.0), (other, runs.1)] {
                if let Some(sent) = self.sent.get_mut(&id) {
                    sent.place = sent.place.or(Some(self.places));
                    sent.run = sent.run.or(run);
                }
            }
        }
        self.send(one).await;
        self.send(other).await;
    }

    fn taken(&mut self, id: u64, run: RunId) {
        let Some(sent) = self.sent.get_mut(&id) else { return };
        if sent.place.is_none() {
            self.places += 1;
            sent.place = Some(self.places);
        }
        sent.run = Some(run);
    }

    /// Sends an event until it is taken. A sender waits for its answer, but not forever.
    async fn send(&mut self, id: u64) {
        let Some(sent) = self.sent.get(&id).cloned() else { return };
        for _ in 0..TRIES {
            let Some(engine) = self.somebody() else {
                self.keep_up().await;
                continue;
            };
            let catalogue = engine.catalogue();
            let Some(recipe) = catalogue.recipes.get(sent.recipe) else {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            let answer = tokio::time::timeout(Duration::from_secs(30), engine.accept(recipe, sent.event())).await;
            match answer {
                Ok(Ok(Intake::Accepted { run, .. } | Intake::Duplicate { run, .. })) => {
                    if let Some(known) = sent.run.filter(|known| *known != run) {
                        self.world.accuse(format!("event {id} started {known} and {run}"));
                    }
                    return self.taken(id, run);
                }
                Ok(Ok(Intake::Filtered)) => return self.world.accuse(format!("event {id} was filtered")),
                _ => tokio::time::sleep(Duration::from_millis(self.world.dice(3_000))).await,
            }
        }
        self.world.accuse(format!("event {id} was never taken"));
    }

    /// Now and then somebody cancels a run, wherever it stands.
    async fn cancel(&mut self) {
        if self.world.dice(12) != 0 {
            return;
        }
        let (id, engine) = (self.world.dice(EVENTS), self.somebody());
        let (Some(engine), Some(sent)) = (engine, self.sent.get_mut(&id)) else { return };
        let Some(run) = sent.run else { return };
        let answer = tokio::time::timeout(Duration::from_secs(10), engine.cancel(run, "ines")).await;
        sent.cancelled |= matches!(answer, Ok(Ok(())));
    }

    /// People and systems answer what waits for them.
    async fn talk(&self) {
        let Some(engine) = self.somebody() else { return };
        for seen in self.world.seen() {
            let Some(address) = seen.input["address"].as_str().filter(|_| self.world.dice(3) == 0) else { continue };
            let parts: Vec<&str> = address.rsplit('/').collect();
            let [proof, path, run, ..] = parts.as_slice() else { continue };
            let Ok(run) = run.parse() else { continue };
            let call = engine.call_back(run, path, proof, json!({}), json!({ "by": "system" }));
            drop(tokio::time::timeout(Duration::from_secs(10), call).await);
        }
        for approval in self.world.store.approvals(true, None, 100).await.unwrap_or_default() {
            if self.world.dice(3) == 0 {
                let approved = self.world.dice(2) == 0;
                let decision = Decision { approved, form: serde_json::Map::new(), comment: None, by: "ines".to_owned() };
                drop(tokio::time::timeout(Duration::from_secs(10), engine.decide_approval(approval.id, decision)).await);
            }
        }
    }

    /// Nothing goes wrong any more: every run ends, and people deal with what is in doubt.
    async fn come_to_rest(&mut self) -> Result<(), String> {
        for _ in 0..LOOKS {
            self.keep_up().await;
            if let (Some(engine), true) = (self.somebody(), Crm::is_held_open(&self.world).await) {
                let close = engine.set_circuit(CRM, None, false, "ines", "it is well again");
                drop(tokio::time::timeout(Duration::from_secs(10), close).await);
            }
            let all = RunFilter { limit: u32::MAX, ..RunFilter::default() };
            let runs = self.world.store.runs(&all).await.unwrap_or_default();
            let open: Vec<_> = runs.iter().filter(|run| !run.status.is_final()).collect();
            let letters: Vec<RunRow> = runs
                .iter()
                .filter(|run| run.status == RunStatus::Failed && run.dead_letter == Some(DeadLetter::Open))
                .cloned()
                .collect();
            let operated = self.operate().await;
            let mut resumed = operated;
            // Somebody put aside what it called: it fails again however often it goes on.
            let in_vain = |letter: &RunRow| {
                let aside = |run: &&RunRow| run.dead_letter == Some(DeadLetter::Discarded);
                runs.iter().filter(aside).any(|run| run.parent.as_ref().is_some_and(|parent| parent.run == letter.id))
            };
            for letter in letters.into_iter().filter(|letter| !operated && !in_vain(letter)) {
                match self.world.dice(6) {
                    0 if letter.replay_of.is_none() => resumed |= self.settle(&letter).await,
                    _ => resumed |= self.resume(&letter).await,
                }
            }
            let untold = Source::told_wrongly(&self.world).await.0;
            if open.is_empty() && !resumed && untold.is_empty() {
                return Ok(());
            }
            self.talk().await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let all = RunFilter { limit: u32::MAX, ..RunFilter::default() };
        let runs = self.world.store.runs(&all).await.unwrap_or_default();
        let open: Vec<_> = runs
            .iter()
            .filter(|run| !run.status.is_final())
            .map(|run| (run.id, &run.slug, run.status, run.waiting_for, run.due_at))
            .collect();
        let untold = Source::told_wrongly(&self.world).await.0;
        let operations = self.world.store.operations(None, 100).await.unwrap_or_default();
        let operations: Vec<_> = operations.iter().filter(|operation| !operation.state.is_final()).collect();
        Err(format!("these never come to rest: {open:?}, {operations:?}, and things {untold:?} start nothing"))
    }

    /// One person replays a dead letter, perhaps twice, while another puts it aside or lets it go on. Whether there is
    /// something to wait for.
    async fn settle(&mut self, letter: &RunRow) -> bool {
        let (Some(one), Some(other)) = (self.somebody(), self.somebody()) else { return true };
        let wish = || Replay { failed_at: letter.ended_at, key: Some("once".to_owned()), ..Replay::default() };
        let patience = Duration::from_secs(10);
        let replay = tokio::time::timeout(patience, one.replay_with(letter.id, wish()));
        let told = match self.world.dice(3) {
            0 => {
                let (first, second) = tokio::join!(replay, tokio::time::timeout(patience, other.replay_with(letter.id, wish())));
                matches!(first, Ok(Ok(_))) || matches!(second, Ok(Ok(_)))
            }
            1 => {
                let aside = tokio::time::timeout(patience, other.discard(letter.id, "seen", "ines"));
                let (first, second) = tokio::join!(replay, aside);
                matches!(first, Ok(Ok(_))) || matches!(second, Ok(Ok(())))
            }
            _ => {
                drop(tokio::join!(replay, self.resume(letter)));
                false
            }
        };
        if told {
            self.settled.insert(letter.id);
        }
        true
    }

    /// People do something to all dead letters at once, and perhaps pause it. Whether there is something to wait for.
    async fn operate(&self) -> bool {
        if !self.in_bulk {
            return false;
        }
        let Some(engine) = self.somebody() else { return true };
        let operations = self.world.store.operations(None, 100).await.unwrap_or_default();
        let patience = Duration::from_secs(10);
        if let Some(operation) = operations.iter().find(|operation| !operation.state.is_final()) {
            let change = match (operation.state, self.world.dice(8)) {
                (OperationState::Paused, 0) => OperationChange::Stop(None),
                (OperationState::Paused, _) => OperationChange::GoOn,
                (_, 0) => OperationChange::Pause,
                _ => return true,
            };
            drop(tokio::time::timeout(patience, engine.change_operation(operation.id, change)).await);
            return true;
        }
        let letters = RunFilter { dead_letters: true, limit: 1, ..RunFilter::default() };
        let none = self.world.store.runs(&letters).await.unwrap_or_default().is_empty();
        if none || operations.len() >= OPERATIONS_MAX {
            return false;
        }
        let kind = OperationKind::ALL[self.world.dice(3) as usize];
        let first = if kind == OperationKind::Discard { 0 } else { self.world.dice(2) as u32 };
        let (options, by) = (OperationOptions::default(), "ines".to_owned());
        let new = NewOperation {
            kind,
            selection: Selection::Filter(Box::new(letters)),
            asked: json!({ "all": true }),
            options,
            first,
            by,
        };
        drop(tokio::time::timeout(patience, engine.begin_operation(new)).await);
        // Whoever goes on with it may die at it.
        if let Some(process) = self.processes.get(self.world.dice(PROCESSES as u64) as usize)
            && self.world.dice(2) == 0
        {
            process.life.kill_at_write(1 + self.world.dice(4), self.world.dice(2) == 0);
        }
        true
    }

    /// A person resumes a dead letter, and says truthfully what became of a step in doubt. Whether there is something to
    /// wait for.
    async fn resume(&self, letter: &RunRow) -> bool {
        let id = letter.id;
        let Some(engine) = self.somebody() else { return true };
        let entries = self.world.entries(id).await;
        // What failed on purpose, or is called wrongly, fails again.
        let resumable = entries.iter().rev().find_map(|entry| match entry {
            Entry::Ended { err: Some(err), .. } => Some(err.code != "FAILED_BY_RECIPE" && err.class != "cancelled"),
            _ => None,
        });
        if resumable != Some(true) {
            return false;
        }
        let said = entries.iter().filter_map(|entry| match entry {
            Entry::Uncertain { p, .. } => Some(Arc::clone(p)),
            _ => None,
        });
        let said = said.map(|path| {
            let happened = self.world.seen().iter().find(|seen| seen.run == id.to_string() && *seen.path == *path).cloned();
            let said = happened.map_or(Doubtful::Repeat, |seen| Doubtful::Happened(json!({ "key": seen.key, "count": 0 })));
            (path.to_string(), said)
        });
        // About this failure: a frozen process may do what it was asked when others have long gone on.
        let wish = Resumption { said: Said::Each(said.collect()), failed_at: letter.ended_at, ..Resumption::default() };
        // Whoever heard nothing asks again.
        let answer = tokio::time::timeout(Duration::from_secs(10), engine.resume_with(id, &wish, "ines")).await;
        let now = self.world.store.run(id).await.ok().flatten();
        !matches!(answer, Ok(Err(_))) || now.is_none_or(|run| run.ended_at != letter.ended_at)
    }
}

/// Brings an event to a process once; the run it tells, if it takes it and lives to tell.
async fn bring(engine: &Arc<Engine>, sent: &Sent) -> Option<RunId> {
    let recipe = Arc::clone(engine.catalogue().recipes.get(sent.recipe)?);
    match tokio::time::timeout(Duration::from_secs(30), engine.accept(&recipe, sent.event())).await {
        Ok(Ok(Intake::Accepted { run, .. } | Intake::Duplicate { run, .. })) => Some(run),
        _ => None,
    }
}
