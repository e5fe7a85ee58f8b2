//! `/runs/{id}`: one run, told from its journal. There is no second history.

use std::collections::HashSet;

use askama::Template;
use askama_web::WebTemplate;
use serde::Deserialize;

use crate::detail::pass_of;

use super::{
    doubt::{Doubt, doubts},
    format,
    inspector::{Data, Inspector},
    shell::{Section, Shell},
    status::{RunStatus, StepStatus},
    step::{StepKind, StepRow},
    timeline::{Scale, Segment},
    waiting::{WaitNote, Waiting},
};

/// Passes of one loop listed at most; the event log and the API have them all.
pub const PASSES_MAX: usize = 100;

/// A numbered thing to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextAction {
    /// One sentence.
    pub text: String,
    /// A link with its words, if a page helps.
    pub link: Option<(String, String)>,
}

/// The three parts of a failure, in words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorCard {
    /// "NetSuite did not accept the sales order".
    pub what: String,
    /// Why it happened; empty if unknown.
    pub why: String,
    /// The app's own message, quoted, if the error is not in the connector's table.
    pub said: Option<String>,
    /// Why it was not retried, or that the tries ran out.
    pub retried: String,
    /// What to do, apart from retrying, which the page adds itself.
    pub next: Vec<NextAction>,
    /// The app's code, HTTP status, class: `INVALID_KEY_OR_REF`, `HTTP 400`, `invalid`.
    pub codes: Vec<String>,
    /// How many other runs failed for the same reason, and the address that lists them.
    pub others: Option<(u64, String)>,
}

/// A link to another run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLink {
    /// What it is to this one: "Replay of", "Started by", "Replayed as".
    pub relation: String,
    /// Its id.
    pub id: String,
}

/// The head of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunHead {
    /// The run's id.
    pub id: String,
    /// How it stands.
    pub status: RunStatus,
    /// The recipe's slug.
    pub recipe: String,
    /// The recipe's title.
    pub recipe_title: String,
    /// The version this run uses.
    pub version: u32,
    /// The active version, if it is a newer one.
    pub newer_version: Option<u32>,
    /// When it was accepted.
    pub started_us: i64,
    /// When it ended.
    pub ended_us: Option<i64>,
    /// The label, if the recipe sets one.
    pub label: Option<String>,
    /// What started it: "Webhook", "Salesforce, “Acme Robotics: 120 seats”".
    pub started_by: String,
    /// What it waits for, if it waits.
    pub waiting: Option<Waiting>,
    /// The failure, if it failed.
    pub error: Option<ErrorCard>,
    /// Parent, child and replayed runs.
    pub links: Vec<RunLink>,
    /// What became of a failed run that nobody needs to deal with any more: "Given up by Admin".
    pub settled: Option<String>,
    /// The steps that may have happened and about which nobody has said anything, by path.
    pub doubts: Vec<String>,
    /// What is said when the run's data is gone, because its recipe does not want it kept.
    pub data_gone: Option<&'static str>,
    /// What is not shown of its loops, when they went through very many items.
    pub left_out: Option<LeftOut>,
    /// Whether this person may retry, cancel and answer.
    pub may_operate: bool,
}

/// One entry of the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place in the journal.
    pub seq: u64,
    /// When.
    pub at_us: i64,
    /// What happened: "Step started".
    pub what: String,
    /// The step's path, if it is about one.
    pub step: Option<String>,
    /// Details in one line.
    pub detail: String,
    /// The colour role: `ok`, `fail`, `warn`, `run`, `hold` or `idle`.
    pub tone: &'static str,
}

/// What the URL asks to see: `?step=&tab=&view=`. Use it as `Query<RunQuery>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RunQuery {
    /// The path of the chosen step; the first failing one if absent.
    pub step: Option<String>,
    /// `input`, `output`, `tries` or `request`.
    pub tab: Option<String>,
    /// `raw` or `tree`.
    pub view: Option<String>,
    /// The path of a loop, one of whose items is to be shown.
    #[serde(rename = "loop")]
    pub of: Option<String>,
    /// The item, counted from 1.
    pub item: Option<String>,
}

impl RunQuery {
    /// The same with the item asked for as the chosen step.
    #[must_use]
    pub fn with_item(mut self) -> Self {
        if let (Some(of), Some(item)) = (&self.of, self.item.as_deref().and_then(|text| text.trim().parse::<usize>().ok())) {
            self.step = Some(format!("{of}[{}]", item.saturating_sub(1)));
        }
        self
    }

    /// The pass that the chosen step is in.
    #[must_use]
    pub fn pass(&self) -> Option<&str> {
        pass_of(self.step.as_deref()?)
    }
}

/// Steps that are not shown, because loops went through so many items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub steps: usize,
    /// Paths and titles of the loops.
    pub loops: Vec<(String, String)>,
}

impl LeftOut {
    fn told(&self) -> String {
        format::plural(self.steps as u64, "step of the loops is", "steps of the loops are")
    }
}

/// Timeline or event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunPane {
    /// `/runs/{id}`
    Timeline,
    /// `/runs/{id}/events`: the whole ordered list.
    Log(Vec<LogEntry>),
}

/// The page. Built by [`RunPage::new`], which works out scale, choice and sentences.
#[derive(Debug, Clone, Template, WebTemplate)]
#[template(path = "run.html")]
pub struct RunPage {
    /// The surroundings.
    pub shell: Shell,
    /// The head.
    pub run: RunHead,
    /// What the left side shows.
    pub pane: RunPane,
    rows: Vec<Row>,
    scale: Scale,
    inspector: Option<Inspector>,
    retry: Option<RetryOffer>,
    /// Each has its own question. Several are answered in one go.
    doubts: Vec<Doubt>,
    steps_ran: String,
}

/// One thing in the list of steps, ready to be written: loops open and close around their passes.
#[derive(Debug, Clone)]
enum Row {
    Step(Box<TimelineRow>),
    Open { summary: String, open: bool },
    Close,
    More(String),
}

#[derive(Debug, Clone)]
struct TimelineRow {
    step: StepRow,
    href: String,
    current: bool,
    took: String,
    since_us: Option<i64>,
    segments: Vec<Segment>,
}

/// "Retry from step 7".
#[derive(Debug, Clone, PartialEq, Eq)]
struct RetryOffer {
    path: String,
    called: String,
    kept: String,
    tries: usize,
}

impl RunPage {
    /// The page of a run. `steps` begin with the trigger and follow the order of the recipe, each
    /// row's inner steps directly after it and one deeper.
    pub fn new(shell: Shell, run: RunHead, steps: Vec<StepRow>, pane: RunPane, query: &RunQuery) -> Self {
        let end_us = run.ended_us.unwrap_or(shell.now_us);
        let scale = Scale::over(&steps, run.started_us, end_us, run.status.is_open());
        let chosen = chosen(&steps, query);
        let inspector = chosen.map(|at| Inspector::new(&run.id, &steps[at], query, shell.now_us));
        let unsettled = run.settled.is_none();
        let retry = (run.status == RunStatus::Failed && unsettled).then(|| RetryOffer::of(&steps)).flatten();
        let doubts = if unsettled { doubts(&run, &steps) } else { Vec::new() };
        let steps_ran = steps_ran(&steps);
        let rows = rows(&shell, &run, &scale, steps, chosen, inspector.as_ref());
        Self { retry: retry.filter(|_| doubts.is_empty()), shell, run, pane, rows, scale, inspector, doubts, steps_ran }
    }

    /// The one question there is.
    fn only_doubt(&self) -> Option<&Doubt> {
        self.doubts.first().filter(|_| self.doubts.len() == 1)
    }

    fn title(&self) -> String {
        format!("{} run of {}", self.run.status.word(), self.run.recipe_title)
    }

    fn section(&self) -> Section {
        Section::Runs
    }

    fn took(&self) -> String {
        let took = format::duration(self.run.ended_us.unwrap_or(self.shell.now_us) - self.run.started_us);
        let working = format::duration(self.scale.working_us);
        match (self.run.status, took == working) {
            (RunStatus::Queued, _) => format!("Queued for {took}"),
            (status, false) if status.is_open() => format!("{took} so far, of which {working} working"),
            (status, true) if status.is_open() => format!("{took} so far"),
            (_, true) => format!("Took {took}"),
            (_, false) => format!("Took {took}, of which {working} working"),
        }
    }

    /// The line under the head of an unfinished run.
    fn waiting(&self) -> Option<WaitNote> {
        self.run.waiting.as_ref().map(|waiting| waiting.note(&self.shell))
    }

    /// The address of the timeline with the same step chosen.
    fn timeline_href(&self) -> String {
        format!("/runs/{}", self.run.id)
    }

    fn log_href(&self) -> String {
        format!("/runs/{}/events", self.run.id)
    }

    fn step_href(&self, path: &str) -> String {
        step_href(&self.run.id, path, "input")
    }

    /// "18 more runs".
    fn others(&self, n: &u64) -> String {
        format::plural(*n, "more run", "more runs")
    }

    fn tried_more_than_once(&self) -> bool {
        self.retry.as_ref().is_some_and(|retry| retry.tries > 1)
    }

    /// The error card in one text, for "Copy details".
    fn details(&self, error: &ErrorCard) -> String {
        let said = error.said.as_ref().map(|said| format!(" “{said}”")).unwrap_or_default();
        format!("{}. {}{said} {} Run {}", error.what, error.why, error.codes.join(", "), self.run.id)
    }
}

impl RetryOffer {
    fn of(steps: &[StepRow]) -> Option<Self> {
        let at = first_failing(steps)?;
        if steps.iter().any(StepRow::took_back) {
            // Only what could not be taken back is tried again; when all was, a run has nothing to go on from.
            let undo = steps.iter().find(|step| step.is_undo() && step.status == StepStatus::Failed)?;
            let kept = "Only what could not be taken back is tried again.".to_owned();
            return Some(Self { path: undo.path.clone(), called: undo.called(), kept, tries: undo.attempts.len() });
        }
        let step = &steps[at];
        let kept = match step.number {
            Some(2) => "Step 1 keeps its result and does not run again.".to_owned(),
            Some(n) if n > 2 => format!("Steps 1 to {} keep their results and do not run again.", n - 1),
            _ => "Steps that finished keep their results and do not run again.".to_owned(),
        };
        Some(Self { path: step.path.clone(), called: step.called(), kept, tries: step.attempts.len() })
    }
}

/// The first failing step: the innermost one of its block, never a handler, so that clean-up does not
/// look like the cause, and never one inside of a block that went well, such as an item a loop passed over.
fn first_failing(steps: &[StepRow]) -> Option<usize> {
    let failing =
        |step: &StepRow| step.kind != StepKind::Handler && matches!(step.status, StepStatus::Failed | StepStatus::Uncertain);
    let mut well: Option<u8> = None;
    let mut at = steps.iter().position(|step| {
        if well.is_none_or(|depth| step.depth <= depth) {
            well = (step.status == StepStatus::Succeeded).then_some(step.depth);
        }
        well.is_none() && failing(step)
    })?;
    // A failing block holds the failing step further down and deeper.
    let mut depth = steps[at].depth;
    for (place, step) in steps.iter().enumerate().skip(at + 1) {
        if step.depth <= depth {
            break;
        }
        if failing(step) {
            at = place;
            depth = step.depth;
        }
    }
    Some(at)
}

/// The step to look at: the one asked for, the first failing one, the one under way, or the last one.
pub(crate) fn chosen(steps: &[StepRow], query: &RunQuery) -> Option<usize> {
    query
        .step
        .as_deref()
        .and_then(|path| steps.iter().position(|step| step.path == path))
        .or_else(|| first_failing(steps))
        .or_else(|| steps.iter().rposition(|step| step.status.is_open()))
        .or_else(|| steps.iter().rposition(|step| step.kind != StepKind::Handler && step.status.was_begun()))
        .or(if steps.is_empty() { None } else { Some(0) })
}

fn steps_ran(steps: &[StepRow]) -> String {
    // A step inside a loop has many rows and one number.
    let numbers = |begun: bool| {
        let counted = steps.iter().filter(|step| !begun || step.status.was_begun()).filter_map(|step| step.number);
        counted.collect::<HashSet<u32>>().len()
    };
    let (ran, all) = (numbers(true), numbers(false));
    if ran == all { format::plural(all as u64, "step", "steps") } else { format!("{ran} of {all} steps ran") }
}

/// The address of a step's tab. Paths hold letters, digits, `_`, `.`, `[` and `]`.
pub(crate) fn step_href(run: &str, path: &str, tab: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("step", path).append_pair("tab", tab).finish();
    format!("/runs/{run}?{query}")
}

/// The list of steps with folds around the passes of loops.
fn rows(
    shell: &Shell,
    run: &RunHead,
    scale: &Scale,
    steps: Vec<StepRow>,
    chosen: Option<usize>,
    inspector: Option<&Inspector>,
) -> Vec<Row> {
    let tab = inspector.map_or("input", |inspector| inspector.asked.slug());
    let hidden = hidden_passes(&steps, chosen);
    let mut folds = folds(&steps, &hidden, chosen).into_iter().peekable();
    let mut out = Vec::with_capacity(steps.len());
    let end = steps.len();
    let mut open: Vec<Fold> = Vec::new();
    for (at, step) in steps.into_iter().enumerate() {
        close(&mut out, &mut open, at);
        while let Some(fold) = folds.next_if(|fold| fold.from == at) {
            out.push(Row::Open { summary: fold.summary.clone(), open: fold.open });
            open.push(fold);
        }
        if hidden.contains(&at) {
            continue;
        }
        out.push(Row::Step(Box::new(TimelineRow {
            href: step_href(&run.id, &step.path, tab),
            current: chosen == Some(at),
            took: step.took_us(shell.now_us).map(format::duration).unwrap_or_default(),
            since_us: step.started_us.filter(|_| step.status.is_open()),
            segments: scale.segments(&step, shell.now_us),
            step,
        })));
    }
    close(&mut out, &mut open, end);
    out
}

/// A stretch of rows that can be folded.
struct Fold {
    from: usize,
    to: usize,
    summary: String,
    open: bool,
    hidden: usize,
}

fn close(out: &mut Vec<Row>, open: &mut Vec<Fold>, at: usize) {
    while let Some(fold) = open.pop_if(|fold| fold.to <= at) {
        if fold.hidden > 0 {
            out.push(Row::More(format::plural(fold.hidden as u64, "more item is", "more items are")));
        }
        out.push(Row::Close);
    }
}

/// All folds, outer before inner: one around the passes of each loop, and inside long loops one around
/// each stretch of passes that went well.
fn folds(steps: &[StepRow], hidden: &HashSet<usize>, chosen: Option<usize>) -> Vec<Fold> {
    let mut out = Vec::new();
    for at in (0..steps.len()).filter(|at| steps[*at].kind == StepKind::Loop) {
        let (open, summary) = loop_summary(steps, at, chosen);
        if summary.is_empty() {
            continue;
        }
        let to = block_end(steps, at);
        let passes = passes(steps, at);
        let missing = passes.iter().filter(|(from, _)| hidden.contains(from)).count();
        out.push(Fold { from: at + 1, to, summary, open, hidden: missing });
        if passes.len() <= 3 {
            continue;
        }
        let quiet = |(from, to): &(usize, usize)| {
            matches!(steps[*from].status, StepStatus::Succeeded | StepStatus::Skipped | StepStatus::NotReached)
                && !chosen.is_some_and(|chosen| (*from..*to).contains(&chosen))
        };
        for stretch in passes.chunk_by(|a, b| quiet(a) && quiet(b)) {
            let shown = stretch.iter().filter(|(from, _)| !hidden.contains(from)).count();
            if let [first, .., last] = stretch
                && shown > 0
            {
                let summary = counts(stretch.iter().map(|(from, _)| steps[*from].status));
                out.push(Fold { from: first.0, to: last.1, summary, open: false, hidden: 0 });
            }
        }
    }
    // A fold that begins at the same row and reaches further is the outer one.
    out.sort_by_key(|fold| (fold.from, usize::MAX - fold.to));
    out
}

/// The passes of the loop at `at`, each from its first to behind its last row.
fn passes(steps: &[StepRow], at: usize) -> Vec<(usize, usize)> {
    let (end, depth) = (block_end(steps, at), steps[at].depth + 1);
    let first = |place: &usize| steps[*place].kind == StepKind::Pass && steps[*place].depth == depth;
    (at + 1..end).filter(first).map(|place| (place, block_end(steps, place))).collect()
}

/// "2 done, 1 failed".
fn counts(statuses: impl Iterator<Item = StepStatus> + Clone) -> String {
    let number = |wanted: fn(StepStatus) -> bool| statuses.clone().filter(|status| wanted(*status)).count();
    let parts = [
        (number(|s| s == StepStatus::Succeeded), "done"),
        (number(|s| s == StepStatus::Failed), "failed"),
        (number(|s| s == StepStatus::Uncertain), "may have happened"),
        (number(StepStatus::is_open), "under way"),
        (number(|s| s == StepStatus::Stopped), "stopped"),
        (number(|s| s == StepStatus::Skipped), "skipped"),
        (number(|s| s == StepStatus::NotReached), "not reached"),
    ];
    let told: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", format::count(*n as u64))).collect();
    told.join(", ")
}

/// Where the block that begins at `at` ends.
fn block_end(steps: &[StepRow], at: usize) -> usize {
    let depth = steps[at].depth;
    steps[at + 1..].iter().position(|step| step.depth <= depth).map_or(steps.len(), |n| at + 1 + n)
}

/// Whether the loop at `at` is shown unfolded, and "3 items: 2 done, 1 failed"; empty if it has no rows inside.
fn loop_summary(steps: &[StepRow], at: usize, chosen: Option<usize>) -> (bool, String) {
    if steps[at].kind != StepKind::Loop {
        return (false, String::new());
    }
    let end = block_end(steps, at);
    let inside = &steps[at + 1..end];
    if inside.is_empty() {
        return (false, String::new());
    }
    let passes = passes(steps, at);
    if passes.is_empty() {
        // Not come to yet: the steps inside are shown as they stand in the recipe.
        return (false, String::new());
    }
    let told = counts(passes.iter().map(|(from, _)| steps[*from].status));
    let summary = format!("{}: {told}", format::plural(passes.len() as u64, "item", "items"));
    let wants_a_look =
        inside.iter().any(|step| matches!(step.status, StepStatus::Failed | StepStatus::Uncertain) || step.status.is_open());
    let holds_chosen = chosen.is_some_and(|chosen| chosen > at && chosen < end);
    (wants_a_look || holds_chosen || passes.len() <= 3, summary)
}

/// Rows of passes beyond [`PASSES_MAX`] in their loop; those that failed, are in doubt or are chosen stay.
fn hidden_passes(steps: &[StepRow], chosen: Option<usize>) -> HashSet<usize> {
    let mut out = HashSet::new();
    for at in (0..steps.len()).filter(|at| steps[*at].kind == StepKind::Loop) {
        for (place, (from, to)) in passes(steps, at).into_iter().enumerate() {
            let troubled = matches!(steps[from].status, StepStatus::Failed | StepStatus::Uncertain);
            let stays = troubled || chosen.is_some_and(|chosen| (from..to).contains(&chosen));
            if place >= PASSES_MAX && !stays {
                out.extend(from..to);
            }
        }
    }
    out
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
