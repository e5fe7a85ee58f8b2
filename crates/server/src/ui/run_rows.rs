//! From a run's journal and its recipe's outline to the rows of its timeline.

use std::collections::{BTreeSet, HashMap};

use connector::Connector;
use engine::{OutlineStep, trial::short_name, uses_in};
use serde_json::Value as Json;
use store::{Apart, Entry, RunStatus, Timestamp};

use super::{
    run_story::try_words,
    run_waits::{Wait, waits},
};
use crate::{
    detail::{AttemptDetail, RunDetail, StepDetail, StepStatus as Kept},
    pages::{Bar, BarStatus, Mark, Park, StepKind, StepRow, StepStatus, format},
};

/// What the rows take from the recipe and from this build.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    /// The steps in reading order.
    pub(super) outline: &'a [OutlineStep],
    /// Logical connections and their connectors.
    pub(super) connections: &'a [(String, String)],
    /// The connectors of this build.
    pub(super) connectors: &'a [Connector],
    /// How many tries a step is given, by id.
    pub(super) tries: &'a dyn Fn(&str) -> Option<u32>,
    /// The first row: its title and tile.
    pub(super) trigger: (&'a str, &'a Mark),
}

/// The tile of what a step uses: `desk.request`, `set`.
pub(super) fn mark_of(uses: &str, connections: &[(String, String)], connectors: &[Connector]) -> Mark {
    let Some((name, _)) = uses.split_once('.') else { return Mark::word(uses) };
    let id = connections.iter().find(|(logical, _)| logical == name).map_or(name, |(_, connector)| connector.as_str());
    let title = connectors.iter().find(|connector| connector.id == id).map_or(id, |connector| connector.title);
    Mark::app(id, title)
}

/// An outline made of what a journal names, for a version whose text cannot be read any more.
pub(super) fn outline_of(detail: &RunDetail) -> Vec<OutlineStep> {
    let mut out: Vec<OutlineStep> = Vec::new();
    for step in detail.steps.iter().filter(|step| !step.path.contains(['[', '.'])) {
        let id = step.path.to_string();
        out.push(OutlineStep { title: id.clone(), id, uses: String::new(), depth: 0, within: None, undo: None });
    }
    out
}

/// What the row is called of what takes a step back.
pub(super) fn undo_title(title: &str) -> String {
    format!("Take back: {title}")
}

/// The rows: the trigger, then the steps as they stand in the recipe, loops with a row for each pass.
/// Data is not in them yet: see [`super::run_story::complete`].
pub(super) fn rows(detail: &RunDetail, plan: Plan<'_>) -> Vec<StepRow> {
    let mut walk = Walk {
        plan,
        over: detail.row.status.is_final(),
        steps: detail.steps.iter().map(|step| (&*step.path, step)).collect(),
        passes: passes(detail),
        reopened: reopened(detail),
        waits: waits(detail),
        rows: vec![trigger(detail, plan)],
    };
    walk.block(0, plan.outline.len(), "", 0);
    let undone = detail.steps.iter().filter_map(|step| walk.undo(step)).collect::<Vec<_>>();
    walk.rows.extend(undone);
    walk.rows
}

fn trigger(detail: &RunDetail, plan: Plan<'_>) -> StepRow {
    let (title, mark) = plan.trigger;
    StepRow {
        kind: StepKind::Trigger,
        number: Some(1),
        subtitle: if title == mark.name() { "Trigger".to_owned() } else { format!("Trigger, {}", mark.name()) },
        started_us: Some(detail.row.accepted_at.micros()),
        ended_us: Some(detail.row.accepted_at.micros()),
        ..StepRow::new("trigger", title, mark.clone(), StepStatus::Succeeded)
    }
}

/// The passes of each loop that are to be shown, by the loop's path.
fn passes(detail: &RunDetail) -> HashMap<String, BTreeSet<usize>> {
    let mut out: HashMap<String, BTreeSet<usize>> = HashMap::new();
    for step in &detail.steps {
        for (open, _) in step.path.match_indices('[') {
            let rest = &step.path[open + 1..];
            let Some(place) = rest.split(']').next().and_then(|text| text.parse::<usize>().ok()) else { continue };
            out.entry(step.path[..open].to_owned()).or_default().insert(place);
        }
    }
    out
}

/// Tries made before a step was last reopened, by path: the retry rule counts from there.
fn reopened(detail: &RunDetail) -> HashMap<&str, u32> {
    let (mut tries, mut out): (HashMap<&str, u32>, HashMap<&str, u32>) = (HashMap::new(), HashMap::new());
    for entry in &detail.entries {
        match entry {
            Entry::Started { p, n, .. } => drop(tries.insert(p, *n)),
            Entry::Reopened { p, .. } => drop(out.insert(&**p, tries.get(&**p).copied().unwrap_or(0))),
            _ => {}
        }
    }
    out
}

struct Walk<'a> {
    plan: Plan<'a>,
    over: bool,
    steps: HashMap<&'a str, &'a StepDetail>,
    passes: HashMap<String, BTreeSet<usize>>,
    reopened: HashMap<&'a str, u32>,
    waits: HashMap<&'a str, Wait>,
    rows: Vec<StepRow>,
}

impl Walk<'_> {
    /// The outline's steps `from..to`, named below `prefix`.
    fn block(&mut self, from: usize, to: usize, prefix: &str, depth: u8) {
        let mut at = from;
        while at < to {
            let step = &self.plan.outline[at];
            let end = (at + 1..to).find(|next| self.plan.outline[*next].depth <= step.depth).unwrap_or(to);
            let path = if prefix.is_empty() { step.id.clone() } else { format!("{prefix}.{}", step.id) };
            if self.is_loop(at) {
                self.each(at, end, &path, depth);
            } else {
                let row = self.plain(at, &path, depth);
                self.rows.push(row);
                // Steps of a branch are named like their neighbours: only passes nest.
                self.block(at + 1, end, prefix, depth.saturating_add(1));
            }
            at = end;
        }
    }

    fn is_loop(&self, at: usize) -> bool {
        matches!(self.plan.outline[at].uses.as_str(), "each" | "repeat")
    }

    fn row(&self, at: usize, path: &str, depth: u8) -> StepRow {
        let step = &self.plan.outline[at];
        let mark = mark_of(&step.uses, self.plan.connections, self.plan.connectors);
        StepRow { depth, number: u32::try_from(at + 2).ok(), ..StepRow::new(path, &step.title, mark, StepStatus::NotReached) }
    }

    fn plain(&self, at: usize, path: &str, depth: u8) -> StepRow {
        let step = &self.plan.outline[at];
        self.told(self.row(at, path, depth), &step.id, &step.uses)
    }

    /// The row with what the journal tells of it.
    fn told(&self, mut row: StepRow, id: &str, uses: &str) -> StepRow {
        let Some(step) = self.steps.get(row.path.as_str()) else {
            row.subtitle = if self.over { "Not reached" } else { "Not reached yet" }.to_owned();
            return row;
        };
        row.started_us = Some(step.started_at.micros());
        row.ended_us = step.finished_at.map(Timestamp::micros);
        row.attempts = bars(step, self.over);
        let before = self.reopened.get(row.path.as_str()).copied().unwrap_or(0);
        row.tries_max = (self.plan.tries)(id).map(|times| times + before);
        (row.status, row.due_us) = status(step, self.over);
        if row.ended_us.is_none() && !row.status.is_open() {
            row.ended_us = row.attempts.last().and_then(|bar| bar.to_us).or(row.started_us);
        }
        if let Some(wait) = self.waits.get(row.path.as_str()).copied() {
            if row.status == StepStatus::Running {
                (row.status, row.due_us) = (StepStatus::Waiting(wait.reason), wait.until_us);
            }
            // A step that called another recipe is drawn by its try.
            if row.attempts.is_empty() {
                row.parks.push(Park { from_us: wait.from_us, to_us: row.ended_us, reason: wait.reason });
            }
        }
        row.subtitle = subtitle(&row, step, uses);
        row.system = system(step, uses, self.plan.connections);
        row
    }

    /// The row of a step that took back what another did; they come after all others, in the order they ran.
    fn undo(&self, step: &StepDetail) -> Option<StepRow> {
        let id = short_name(&step.path);
        let of = id.strip_suffix(".undo")?;
        let known = self.plan.outline.iter().find(|known| known.id == of)?;
        let row = StepRow::new(&step.path, &undo_title(&known.title), Mark::word("undo"), StepStatus::NotReached);
        Some(self.told(StepRow { kind: StepKind::Handler, ..row }, id, known.undo.as_deref().unwrap_or_default()))
    }

    fn each(&mut self, at: usize, end: usize, path: &str, depth: u8) {
        let place = self.rows.len();
        let mut row = StepRow { kind: StepKind::Loop, ..self.row(at, path, depth) };
        row.subtitle = if self.over { "Not reached" } else { "Not reached yet" }.to_owned();
        self.rows.push(row);
        let known = self.steps.get(path).copied();
        let passes = self.passes.remove(path).unwrap_or_default();
        for pass in passes.iter().copied() {
            self.pass(at, end, &format!("{path}[{pass}]"), pass, depth.saturating_add(1));
        }
        if passes.is_empty() && known.is_none() {
            self.block(at + 1, end, &format!("{path}[0]"), depth.saturating_add(1));
            return;
        }
        let mut of_passes = sum(&self.rows[place + 1..], self.over);
        if known.is_none() && !self.over {
            // How many more passes there are is not known before the last one.
            of_passes.status = if of_passes.status.is_open() { of_passes.status } else { StepStatus::Running };
            of_passes.ended_us = None;
        }
        let turns = self.plan.outline[at].uses == "repeat";
        let output = known.and_then(|step| step.output.as_deref());
        let items = output.and_then(|output| output[if turns { "turns" } else { "total" }].as_u64());
        let row = &mut self.rows[place];
        (row.status, row.started_us, row.ended_us) = (of_passes.status, of_passes.started_us, of_passes.ended_us);
        if let Some(step) = known {
            (row.status, _) = status(step, self.over);
            row.started_us = row.started_us.or(Some(step.started_at.micros()));
            row.ended_us = step.finished_at.map(Timestamp::micros);
        }
        row.subtitle = match items {
            Some(items) if turns => format::plural(items, "turn", "turns"),
            Some(0) => "The list was empty".to_owned(),
            Some(items) => format::plural(items, "item", "items"),
            None if turns => "Again and again".to_owned(),
            None => "For each item".to_owned(),
        };
    }

    fn pass(&mut self, at: usize, end: usize, path: &str, number: usize, depth: u8) {
        let place = self.rows.len();
        let (word, one) = if self.plan.outline[at].uses == "repeat" { ("Turn", "One turn") } else { ("Item", "One item") };
        let counted = format!("{word} {}", number + 1);
        let title = self.label(path).unwrap_or_else(|| counted.clone());
        let mark = Mark::own(one, "loop");
        self.rows.push(StepRow { depth, kind: StepKind::Pass, ..StepRow::new(path, &title, mark, StepStatus::Running) });
        self.block(at + 1, end, path, depth.saturating_add(1));
        let inner = sum(&self.rows[place + 1..], self.over);
        let row = &mut self.rows[place];
        (row.status, row.started_us, row.ended_us) = (inner.status, inner.started_us, inner.ended_us);
        if title != counted {
            row.subtitle = counted;
        }
    }

    /// What a pass is about: a telling field of the first data of its steps.
    fn label(&self, path: &str) -> Option<String> {
        let below = format!("{path}.");
        let ids = self.plan.outline.iter().map(|step| format!("{below}{}", step.id));
        let mut data = ids.filter_map(|path| self.steps.get(path.as_str())).flat_map(|step| [&step.input, &step.output]);
        data.find_map(|value| telling(value.as_deref()?))
    }
}

/// A short text that tells one record from another.
fn telling(value: &Json) -> Option<String> {
    const NAMES: [&str; 10] = ["name", "title", "label", "description", "subject", "text", "email", "number", "key", "id"];
    const INSIDE: [&str; 6] = ["json", "form", "body", "record", "fields", "query"];
    let fields = value.as_object()?;
    let text = |value: &Json| match value {
        Json::String(text) if !text.trim().is_empty() && text.chars().count() <= 80 && !text.contains('\n') => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    };
    NAMES
        .iter()
        .find_map(|name| fields.get(*name).and_then(text))
        .or_else(|| INSIDE.iter().find_map(|name| fields.get(*name).and_then(telling)))
}

/// What the rows inside a loop or a pass come to.
struct Sum {
    status: StepStatus,
    started_us: Option<i64>,
    ended_us: Option<i64>,
}

fn sum(rows: &[StepRow], over: bool) -> Sum {
    let has = |wanted: &dyn Fn(&StepRow) -> bool| rows.iter().any(wanted);
    let begun = has(&|row| row.status != StepStatus::NotReached);
    let status = if has(&|row| row.status == StepStatus::Uncertain) {
        StepStatus::Uncertain
    } else if has(&|row| row.status == StepStatus::Failed) {
        StepStatus::Failed
    } else if let Some(row) = rows.iter().find(|row| row.status.is_open()) {
        row.status
    } else if has(&|row| row.status == StepStatus::Stopped) {
        StepStatus::Stopped
    } else if !begun {
        if over { StepStatus::NotReached } else { StepStatus::Running }
    } else {
        StepStatus::Succeeded
    };
    // A pass that waits for its next try has no try of its own to name.
    let status = if status == StepStatus::Retrying { StepStatus::Running } else { status };
    let started_us = rows.iter().filter_map(|row| row.started_us).min();
    let ended_us = if status.is_open() { None } else { rows.iter().filter_map(|row| row.ended_us.or(row.started_us)).max() };
    Sum { status, started_us, ended_us }
}

fn status(step: &StepDetail, over: bool) -> (StepStatus, Option<i64>) {
    match step.status {
        Kept::Succeeded => (StepStatus::Succeeded, None),
        Kept::Failed => (StepStatus::Failed, None),
        Kept::Skipped => (StepStatus::Skipped, None),
        Kept::Uncertain => (StepStatus::Uncertain, None),
        // The run was ended while the step was under way or waited for its next try.
        Kept::Running if over => (StepStatus::Stopped, None),
        Kept::Running => match step.attempts.last() {
            Some(last) if last.ended_at.is_some() => (StepStatus::Retrying, last.retry_at.map(Timestamp::micros)),
            _ => (StepStatus::Running, None),
        },
    }
}

fn bars(step: &StepDetail, over: bool) -> Vec<Bar> {
    let bar = |(place, attempt): (usize, &AttemptDetail)| {
        let next = step.attempts.get(place + 1);
        let (to, status, error) = match (&attempt.error, attempt.ended_at) {
            (Some(_), to) if attempt.uncertain => (to, BarStatus::Uncertain, Some("no answer came".to_owned())),
            (Some(error), to) => (to, BarStatus::Failed, Some(try_words(error))),
            (None, Some(to)) => (Some(to), BarStatus::Succeeded, None),
            // Another try began: the process that made this one is gone.
            (None, None) => match next {
                Some(next) => (Some(next.started_at), BarStatus::Failed, Some("Liaison stopped meanwhile".to_owned())),
                None if over => (Some(attempt.started_at), BarStatus::Uncertain, Some("the run was ended meanwhile".to_owned())),
                None => (None, BarStatus::Running, None),
            },
        };
        Bar { from_us: attempt.started_at.micros(), to_us: to.map(Timestamp::micros), status, error }
    };
    step.attempts.iter().enumerate().map(bar).collect()
}

fn subtitle(row: &StepRow, step: &StepDetail, uses: &str) -> String {
    match row.status {
        StepStatus::Skipped => return "Its condition was not met".to_owned(),
        StepStatus::Uncertain => return "No answer came".to_owned(),
        StepStatus::Failed => {
            if let Some(error) = &step.error {
                let words = try_words(error);
                let mut chars = words.chars();
                return chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect());
            }
        }
        StepStatus::Succeeded if row.attempts.len() > 1 => {
            return format!("Worked on the {} try", format::ordinal(row.attempts.len()));
        }
        _ => {}
    }
    if uses == "choose"
        && let Some(output) = step.output.as_deref()
    {
        return match &output["branch"] {
            Json::Number(number) => format!("Branch {number}"),
            Json::String(_) => "Otherwise".to_owned(),
            _ => "No branch".to_owned(),
        };
    }
    match uses.split_once('.') {
        Some((connection, _)) if !connection.eq_ignore_ascii_case(row.mark.name()) => {
            format!("{}, {connection}", row.mark.name())
        }
        _ => row.mark.name().to_owned(),
    }
}

/// How the system a step called is named inside a sentence.
fn system(step: &StepDetail, uses: &str, connections: &[(String, String)]) -> Option<String> {
    let (name, _) = uses.split_once('.')?;
    if connections.iter().any(|(logical, _)| logical == name) {
        // A connection is told by its own name: there may be several of one kind.
        return Some(format!("“{name}”"));
    }
    let sent = step.error.as_ref()?.request.as_ref()?;
    url::Url::parse(sent["url"].as_str()?).ok()?.host_str().map(str::to_owned)
}

/// The data of a row: what its step was given or returned.
pub(super) fn data_of<'a>(detail: &'a RunDetail, outline: &[OutlineStep], path: &str, input: bool) -> Option<&'a Json> {
    if path == "trigger" {
        return (!input).then_some(&*detail.event);
    }
    if let Some((of, place)) = path.strip_suffix(']').and_then(|rest| rest.rsplit_once('['))
        && let Ok(place) = place.parse::<usize>()
    {
        let output = detail.steps.iter().find(|step| *step.path == *of)?.output.as_deref()?;
        return output["results"].get(place).filter(|_| !input);
    }
    let step = detail.steps.iter().find(|step| *step.path == *path)?;
    if input {
        return step.input.as_deref();
    }
    let returns = uses_in(outline, short_name(&step.path)) == Some("return");
    if returns && detail.row.status == RunStatus::Succeeded {
        // A `return` gives its value to the run.
        return detail.output.as_deref();
    }
    step.output.as_deref()
}

/// Where the data of a row is, when it is kept apart.
pub(super) fn apart_of(detail: &RunDetail, outline: &[OutlineStep], path: &str, input: bool) -> Option<Apart> {
    if path == "trigger" {
        return detail.event_apart.filter(|_| !input);
    }
    let step = detail.steps.iter().find(|step| *step.path == *path)?;
    let returns = uses_in(outline, short_name(&step.path)) == Some("return");
    match input {
        true => step.input_apart,
        false if returns && detail.row.status == RunStatus::Succeeded => detail.output_apart,
        false => step.output_apart,
    }
}

#[cfg(test)]
#[path = "run_rows_tests.rs"]
mod tests;
