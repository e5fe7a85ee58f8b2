//! One run as the API and the run page tell it, read from its journal.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde::Serialize;
use serde_json::Value as Json;
use store::{Apart, Entry, ErrorRecord, Field, Keeps, RunId, RunRow, Store, StoreError, Timestamp, WaitingFor, open_chunk};

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// An attempt is under way, or the step waits for the next.
    Running,
    /// Done.
    Succeeded,
    /// Failed for good.
    Failed,
    /// Its condition was false.
    Skipped,
    /// The effect may have happened.
    Uncertain,
}

/// One attempt of a step.
#[derive(Debug, Clone)]
pub struct AttemptDetail {
    /// Counted from 1; 0 when a value could not be computed.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it is under way.
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<ErrorRecord>,
    /// When the next begins.
    pub retry_at: Option<Timestamp>,
    /// True when its effect may have happened.
    pub uncertain: bool,
}

/// One step of a run.
#[derive(Debug, Clone)]
pub struct StepDetail {
    /// Counted from 0, in the order in which steps were reached.
    pub number: usize,
    /// Its place in the run.
    pub path: Arc<str>,
    /// Where it stands.
    pub status: StepStatus,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptDetail>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was done.
    pub finished_at: Option<Timestamp>,
    /// What it was given; `None` for pure steps.
    pub input: Option<Arc<Json>>,
    /// What it returned.
    pub output: Option<Arc<Json>>,
    /// Where its input is, when that is kept apart; `input` is `None` then.
    pub input_apart: Option<Apart>,
    /// Where its output is, when that is kept apart; `output` is `None` then.
    pub output_apart: Option<Apart>,
    /// Why it failed.
    pub error: Option<ErrorRecord>,
}

/// One run.
#[derive(Debug, Clone)]
pub struct RunDetail {
    /// Its row.
    pub row: RunRow,
    /// The event.
    pub event: Arc<Json>,
    /// Where the event is, when it is kept apart; `event` is null then.
    pub event_apart: Option<Apart>,
    /// Its steps in the order they were reached.
    pub steps: Vec<StepDetail>,
    /// Its result.
    pub output: Option<Arc<Json>>,
    /// Where its result is, when it is kept apart; `output` is `None` then.
    pub output_apart: Option<Apart>,
    /// Why it failed.
    pub error: Option<ErrorRecord>,
    /// The entries of its journal, for the event log.
    pub entries: Vec<Entry>,
    /// How many entries its journal has, those of steps left out included.
    pub entries_in_all: usize,
    /// Steps in passes of loops that are not among `steps`, because there are so many.
    pub left_out: usize,
    /// What stays of its data once it is over, and since when the rest is gone; `None` when all of it stays.
    pub keeps: Option<(Keeps, Option<Timestamp>)>,
}

impl RunDetail {
    /// What is left of its data, once it went.
    #[must_use]
    pub fn left(&self) -> Option<Keeps> {
        self.keeps.and_then(|(keeps, gone_at)| gone_at.map(|_| keeps))
    }
}

/// Who stands before a run that waits its turn.
#[derive(Debug, Clone)]
pub struct Behind {
    /// The run whose turn it is; the first of them where several go at once.
    pub head: RunRow,
    /// Runs that stand before the one that waits, counted up to [`store::LANE_COUNTED_MAX`].
    pub before: u32,
}

/// Who stands before a run; `None` when it does not wait its turn, or its turn has just come.
///
/// # Errors
/// When the store does not answer.
pub async fn behind(store: &(impl Store + ?Sized), row: &RunRow) -> Result<Option<Behind>, StoreError> {
    if row.waiting_for != Some(WaitingFor::Order) {
        return Ok(None);
    }
    let Some(place) = store.lane_place(row.id).await?.filter(|place| place.head != row.id) else { return Ok(None) };
    Ok(store.run(place.head).await?.map(|head| Behind { head, before: place.before }))
}

/// Passes of loops that are shown at the beginning, and as many at the end.
const PASSES_SHOWN_EACH_END: usize = 200;
/// Passes in between that are shown because something in them failed or is not over.
const TROUBLED_SHOWN_MAX: usize = 600;
/// Bytes of the values that are shown, about, of the passes at the beginning, at the end, and in between each: pages
/// of a stream are large. The first and the last pass are there in any case.
const VALUES_SHOWN_EACH: usize = 4 << 20;
/// Chunks read in one look.
const PART_CHUNKS: u32 = 64;

/// Reads one run; `None` when there is none. Of loops with very many passes the first and the last are
/// there, and those that failed or are not over.
///
/// # Errors
/// When the store does not answer or the journal is damaged.
pub async fn read(store: &(impl Store + ?Sized), id: RunId) -> Result<Option<RunDetail>, StoreError> {
    RunReader::new(id).read(store).await
}

/// As [`read`], with all of one pass, such as `rows[51233]`, wherever in its loop it is.
///
/// # Errors
/// As there.
pub async fn read_with(store: &(impl Store + ?Sized), id: RunId, pass: &str) -> Result<Option<RunDetail>, StoreError> {
    let told = Telling { pinned: Some(pass.to_owned()), ..Telling::default() };
    RunReader { told, ..RunReader::new(id) }.read(store).await
}

/// Reads one run again and again; what it knows already is not read twice.
#[derive(Debug, Clone)]
pub struct RunReader {
    id: RunId,
    next: i32,
    told: Telling,
}

impl RunReader {
    /// A reader of that run that has read nothing yet.
    #[must_use]
    pub fn new(id: RunId) -> Self {
        Self { id, next: 0, told: Telling::default() }
    }

    /// The run as it stands now; `None` when there is none.
    ///
    /// # Errors
    /// When the store does not answer or the journal is damaged.
    pub async fn read(&mut self, store: &(impl Store + ?Sized)) -> Result<Option<RunDetail>, StoreError> {
        let Some(row) = store.run(self.id).await? else { return Ok(None) };
        loop {
            let part = store.chunks(self.id, self.next, PART_CHUNKS).await?;
            for (seq, bytes) in &part {
                let chunk = open_chunk(bytes)?;
                let apart: HashMap<(usize, Field), Apart> =
                    chunk.apart.iter().map(|apart| ((apart.entry, apart.field), *apart)).collect();
                for (place, entry) in chunk.entries.into_iter().enumerate() {
                    self.told.take(entry, |field| apart.get(&(place, field)).copied());
                }
                self.next = seq + 1;
            }
            if part.len() < PART_CHUNKS as usize {
                let keeps = store.keeps(self.id).await?;
                return Ok(Some(RunDetail { keeps, ..self.told.clone().of(row) }));
            }
        }
    }
}

/// Tells a run from its entries.
#[must_use]
pub fn tell(row: RunRow, entries: Vec<Entry>) -> RunDetail {
    let mut told = Telling::default();
    for entry in entries {
        told.take(entry, |_| None);
    }
    told.of(row)
}

/// The innermost pass a path is in: `walk[3].rows[17]` of `walk[3].rows[17].put`.
pub(crate) fn pass_of(path: &str) -> Option<&str> {
    path.rfind(']').map(|end| &path[..=end])
}

/// Whether an entry is never the first of its step.
fn goes_on(entry: &Entry) -> bool {
    match entry {
        Entry::Started { n, .. } => *n > 1,
        Entry::Failed { n, .. } => *n > 0,
        Entry::Succeeded { .. } | Entry::Uncertain { .. } | Entry::Reopened { .. } | Entry::Settled { .. } => true,
        _ => false,
    }
}

/// A run as far as it was read.
#[derive(Debug, Clone, Default)]
struct Telling {
    event: Arc<Json>,
    event_apart: Option<Apart>,
    steps: Vec<StepDetail>,
    places: HashMap<Arc<str>, usize>,
    output: Option<Arc<Json>>,
    output_apart: Option<Apart>,
    error: Option<ErrorRecord>,
    entries: Vec<Entry>,
    reached: usize,
    taken: usize,
    /// Passes among the steps, about.
    passes: usize,
    /// Bytes of the values of these, about.
    weight: usize,
    /// Some were left out.
    forgot: bool,
    /// The pass that is not left out.
    pinned: Option<String>,
}

impl Telling {
    fn of(self, row: RunRow) -> RunDetail {
        RunDetail {
            row,
            event: self.event,
            event_apart: self.event_apart,
            left_out: self.reached.saturating_sub(self.steps.len()),
            steps: self.steps,
            output: self.output,
            output_apart: self.output_apart,
            error: self.error,
            entries: self.entries,
            entries_in_all: self.taken,
            keeps: None,
        }
    }

    fn take(&mut self, mut entry: Entry, apart: impl Fn(Field) -> Option<Apart>) {
        self.taken += 1;
        match &mut entry {
            Entry::Accepted { event, .. } => (self.event, self.event_apart) = (Arc::clone(event), apart(Field::Event)),
            Entry::Ended { out, err, .. } => {
                self.output_apart = apart(Field::Out);
                self.output = out.clone().filter(|_| self.output_apart.is_none());
                self.error = err.as_deref().cloned();
            }
            // The run goes on: how it ended before stands in the entries.
            Entry::Resumed { .. } => self.error = None,
            // It stands at the steps.
            Entry::Paged { out, rows, .. } => (*out, *rows) = (Vec::new(), None),
            _ => {}
        }
        if let Some(path) = entry.path() {
            let place = match self.places.get(path) {
                Some(place) => *place,
                None => self.reach(path, &entry),
            };
            if pass_of(path).is_some() {
                self.weight += entry.values().map(|(_, value)| weight(value)).sum::<usize>();
            }
            self.steps[place].take(&entry);
            if !matches!(entry, Entry::Paged { .. }) {
                self.steps[place].take_apart(&entry, apart);
            }
        }
        self.entries.push(entry);
    }

    fn reach(&mut self, path: &Arc<str>, entry: &Entry) -> usize {
        if pass_of(path).is_some() {
            let same = self.steps.last().is_some_and(|last| pass_of(&last.path) == pass_of(path));
            self.passes += usize::from(!same);
            if self.passes > 2 * (2 * PASSES_SHOWN_EACH_END + TROUBLED_SHOWN_MAX) || self.weight > 6 * VALUES_SHOWN_EACH {
                self.leave_out();
            }
        }
        let place = self.steps.len();
        self.steps.push(StepDetail {
            number: self.reached,
            path: Arc::clone(path),
            status: StepStatus::Running,
            attempts: Vec::new(),
            started_at: entry.at(),
            finished_at: None,
            input: None,
            output: None,
            input_apart: None,
            output_apart: None,
            error: None,
        });
        self.places.insert(Arc::clone(path), place);
        // One that was left out and comes back was counted when it was there first.
        self.reached += usize::from(!(self.forgot && goes_on(entry)));
        place
    }

    /// Forgets passes in the middle, first those in which all went well.
    fn leave_out(&mut self) {
        let (mut order, mut troubled, mut weights) = (Vec::new(), HashSet::new(), HashMap::new());
        for step in &self.steps {
            let Some(pass) = pass_of(&step.path) else { continue };
            *weights.entry(pass).or_insert_with(|| {
                order.push(pass);
                0
            }) += step.weight();
            if !matches!(step.status, StepStatus::Succeeded | StepStatus::Skipped) {
                troubled.insert(pass);
            }
        }
        // The first of `passes`, at most so many and so heavy; `least` of them in any case.
        let first = |passes: &mut dyn Iterator<Item = &str>, most: usize, least: usize| -> Vec<String> {
            let mut bytes = 0;
            let mut fits = |(count, pass): &(usize, &str)| {
                bytes += weights[pass];
                *count < least || bytes <= VALUES_SHOWN_EACH
            };
            passes.take(most).enumerate().take_while(|one| fits(one)).map(|(_, pass)| pass.to_owned()).collect()
        };
        let mut kept: HashSet<String> = first(&mut order.iter().copied(), PASSES_SHOWN_EACH_END, 1).into_iter().collect();
        kept.extend(first(&mut order.iter().rev().copied(), PASSES_SHOWN_EACH_END, 1));
        let mut between = order.iter().copied().filter(|pass| troubled.contains(pass) && !kept.contains(*pass));
        let between = first(&mut between, TROUBLED_SHOWN_MAX, 0);
        kept.extend(between);
        self.passes = kept.len();
        self.forgot = true;
        // The passes of a loop inside the one asked for are many, too: they go by the rule for all.
        let pinned = |pass: &str| self.pinned.as_deref() == Some(pass);
        let stays = |path: &str| pass_of(path).is_none_or(|pass| kept.contains(pass) || pinned(pass));
        self.steps.retain(|step| stays(&step.path));
        self.weight = self.steps.iter().filter(|step| pass_of(&step.path).is_some()).map(StepDetail::weight).sum();
        self.entries.retain(|entry| entry.path().is_none_or(|path| stays(path)));
        self.places = self.steps.iter().enumerate().map(|(place, step)| (Arc::clone(&step.path), place)).collect();
    }
}

/// Bytes a value takes in memory, about.
fn weight(value: &Json) -> usize {
    const EACH: usize = 32;
    EACH + match value {
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(weight).sum(),
        Json::Object(fields) => fields.iter().map(|(name, value)| name.len() + EACH + weight(value)).sum(),
        _ => 0,
    }
}

impl StepDetail {
    fn weight(&self) -> usize {
        [&self.input, &self.output].into_iter().flatten().map(|value| weight(value)).sum()
    }

    fn take(&mut self, entry: &Entry) {
        let at = entry.at();
        match entry {
            Entry::Computed { out, .. } => {
                (self.status, self.output, self.error) = (StepStatus::Succeeded, Some(Arc::clone(out)), None);
            }
            Entry::Settled { out, .. } => {
                self.end_open_attempt(at);
                (self.status, self.output, self.error) = (StepStatus::Succeeded, Some(Arc::clone(out)), None);
            }
            Entry::Skipped { .. } => self.status = StepStatus::Skipped,
            Entry::Waits { .. } => self.status = StepStatus::Running,
            // The failure stays to be seen; what counts instead of it is the output.
            Entry::Caught { p, err, out, .. } => {
                self.error = Some((**err).clone());
                // A pass is over then; the `catch` of a `try` goes on.
                if out.is_some() || p.ends_with(']') {
                    self.status = StepStatus::Failed;
                    self.output.clone_from(out);
                }
            }
            Entry::Started { n, input, .. } => {
                self.status = StepStatus::Running;
                if input.is_some() {
                    self.input.clone_from(input);
                }
                self.attempts.push(AttemptDetail {
                    number: *n,
                    started_at: at,
                    ended_at: None,
                    error: None,
                    retry_at: None,
                    uncertain: false,
                });
            }
            Entry::Succeeded { n, out, .. } => {
                (self.status, self.output, self.error) = (StepStatus::Succeeded, Some(Arc::clone(out)), None);
                if let Some(attempt) = self.attempt(*n) {
                    attempt.ended_at = Some(at);
                }
            }
            Entry::Failed { n, err, retry, .. } => {
                self.status = if retry.is_some() { StepStatus::Running } else { StepStatus::Failed };
                self.error = Some((**err).clone());
                if *n == 0 {
                    self.end_open_attempt(at);
                }
                if let Some(attempt) = self.attempt(*n) {
                    (attempt.ended_at, attempt.error, attempt.retry_at) = (Some(at), Some((**err).clone()), *retry);
                }
            }
            Entry::Uncertain { n, err, .. } => {
                self.status = StepStatus::Uncertain;
                self.error = Some((**err).clone());
                if let Some(attempt) = self.attempt(*n) {
                    // One that failed earlier may be in doubt only later, when it cannot be repeated any more.
                    attempt.ended_at.get_or_insert(at);
                    attempt.error.get_or_insert_with(|| (**err).clone());
                    (attempt.retry_at, attempt.uncertain) = (None, err.code != engine::REPEAT_TOO_LATE);
                }
            }
            Entry::Paged { .. } | Entry::Reopened { .. } => self.status = StepStatus::Running,
            Entry::Accepted { .. }
            | Entry::Found { .. }
            | Entry::Resumed { .. }
            | Entry::Replayed { .. }
            | Entry::Discarded { .. }
            | Entry::GivenUp { .. }
            | Entry::Ended { .. } => {}
        }
        self.finished_at = (self.status != StepStatus::Running).then_some(at);
    }

    /// Notes which values of the entry are kept apart; they are not there then.
    fn take_apart(&mut self, entry: &Entry, apart: impl Fn(Field) -> Option<Apart>) {
        let (input, output) = (apart(Field::In), apart(Field::Out));
        if input.is_some() || matches!(entry, Entry::Started { input: Some(_), .. }) {
            self.input_apart = input;
        }
        if output.is_some() || entry.values().any(|(field, _)| field == Field::Out) {
            self.output_apart = output;
        }
        self.input = self.input.take().filter(|_| self.input_apart.is_none());
        self.output = self.output.take().filter(|_| self.output_apart.is_none());
    }

    /// A call of another recipe lasts until that run is over.
    fn end_open_attempt(&mut self, at: Timestamp) {
        if let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.ended_at.is_none()) {
            attempt.ended_at = Some(at);
        }
    }

    fn attempt(&mut self, number: u32) -> Option<&mut AttemptDetail> {
        self.attempts.iter_mut().find(|attempt| attempt.number == number)
    }
}

#[cfg(test)]
#[path = "detail_tests.rs"]
mod tests;
