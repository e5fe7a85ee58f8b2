//! One step of one run, as the lead fills it from the journal.

use super::{
    format,
    mark::Mark,
    status::{StepStatus, WaitFor},
};

/// Data of a step: what went in, what came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// JSON text as stored, so that numbers keep all their digits. Secrets already read `•••`.
    Json(String),
    /// Anything else.
    Text(String),
    /// Too large for a page; it can be fetched.
    Apart {
        /// How large.
        bytes: usize,
    },
    /// Removed by the retention rule at an instant, after so many days.
    Removed {
        /// When.
        at_us: i64,
        /// How long it was kept.
        kept_days: u32,
    },
    /// The person's role cannot see data.
    Hidden,
    /// The recipe says `keep: {payloads: none}`.
    NotKept,
}

/// The state of one try, or of the whole of a step that has no tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarStatus {
    /// Under way.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// No answer came.
    Uncertain,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// When it began.
    pub from_us: i64,
    /// When it ended; `None` while it runs.
    pub to_us: Option<i64>,
    /// How it ended.
    pub status: BarStatus,
    /// What went wrong, in words: "too many requests (429)".
    pub error: Option<String>,
}

/// A time in which the step was parked. Pauses between tries are drawn without being listed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Park {
    /// When it began.
    pub from_us: i64,
    /// When it ended; `None` while it lasts.
    pub to_us: Option<i64>,
    /// What for.
    pub reason: WaitFor,
}

/// Why a step failed, for the inspector; the run's [`ErrorCard`](super::run::ErrorCard) tells the story.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepError {
    /// In words.
    pub message: String,
    /// The class: `invalid`, `timeout`…
    pub class: String,
    /// The app's own code.
    pub code: Option<String>,
    /// The app's own words, quoted.
    pub said: Option<String>,
    /// The path of the field the app named, without root: `terms`, `items[0].rate`.
    pub field: Option<String>,
    /// What is wrong with that field: "Not in NetSuite's list".
    pub field_problem: Option<String>,
}

/// The request a step sent and its answer, secrets already masked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// `POST`.
    pub method: String,
    /// The address without secrets.
    pub url: String,
    /// The answer's status with its words, `400 Bad Request`; `None` if no answer came.
    pub answer: Option<String>,
    /// The key that makes a repeat safe.
    pub idempotency_key: Option<String>,
    /// The other side's id of the request.
    pub request_id: Option<String>,
    /// Headers sent, masked.
    pub headers: Vec<(String, String)>,
    /// What was sent, if it is kept apart from the input.
    pub sent: Option<Payload>,
    /// What was received, if it is kept apart from the output.
    pub received: Option<Payload>,
}

/// What kind of row a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StepKind {
    /// The event that started the run: always the first row.
    Trigger,
    /// A plain step, or a block such as `choose` and `try`.
    #[default]
    Plain,
    /// `each` or `repeat`: the deeper rows that follow are its passes and may be folded.
    Loop,
    /// One pass of a loop; its title is the item's label.
    Pass,
    /// A step that ran because another failed: error handling or undo. It never takes the first look.
    Handler,
}

/// One row of the timeline with everything the inspector needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    /// The place in the run by ids, such as `push[17].up`; `trigger` for the trigger.
    pub path: String,
    /// How deep it is nested, from 0.
    pub depth: u8,
    /// Its number in the recipe; passes and handlers have none.
    pub number: Option<u32>,
    /// Plain, loop, pass…
    pub kind: StepKind,
    /// The title, or the id if it has none.
    pub title: String,
    /// The tile.
    pub mark: Mark,
    /// The other system's name inside a sentence, if it has a better one than the tile's.
    pub system: Option<String>,
    /// One short line: the app, the branch taken, the outcome. A retrying row shows its coming try instead.
    pub subtitle: String,
    /// How it stands.
    pub status: StepStatus,
    /// When it began.
    pub started_us: Option<i64>,
    /// When it ended.
    pub ended_us: Option<i64>,
    /// Its tries in order.
    pub attempts: Vec<Bar>,
    /// Times it was parked.
    pub parks: Vec<Park>,
    /// When the next try or the end of the wait is due.
    pub due_us: Option<i64>,
    /// How many tries the retry rule allows.
    pub tries_max: Option<u32>,
    /// What went in.
    pub input: Option<Payload>,
    /// What came out.
    pub output: Option<Payload>,
    /// What went wrong.
    pub error: Option<StepError>,
    /// What was sent.
    pub request: Option<Request>,
}

impl From<&serde_json::Value> for Payload {
    fn from(value: &serde_json::Value) -> Self {
        Self::Json(value.to_string())
    }
}

impl From<serde_json::Value> for Payload {
    fn from(value: serde_json::Value) -> Self {
        Self::from(&value)
    }
}

impl Bar {
    /// How the try is called, for the person: "Try 2".
    pub fn took(&self) -> Option<String> {
        self.to_us.map(|to| format::duration(to - self.from_us))
    }
}

impl StepRow {
    /// A row with nothing known but its place and name.
    pub fn new(path: &str, title: &str, mark: Mark, status: StepStatus) -> Self {
        Self {
            path: path.to_owned(),
            depth: 0,
            number: None,
            kind: StepKind::Plain,
            title: title.to_owned(),
            mark,
            system: None,
            subtitle: String::new(),
            status,
            started_us: None,
            ended_us: None,
            attempts: Vec::new(),
            parks: Vec::new(),
            due_us: None,
            tries_max: None,
            input: None,
            output: None,
            error: None,
            request: None,
        }
    }

    /// "7 · Create sales order", or only the title.
    pub fn heading(&self) -> String {
        match self.number {
            Some(number) => format!("{number} · {}", self.title),
            None => self.title.clone(),
        }
    }

    /// How the step is called inside a sentence: "step 7", or the title in quotes.
    pub fn called(&self) -> String {
        match self.number {
            Some(number) => format!("step {number}"),
            None => format!("“{}”", self.title),
        }
    }

    /// Whether it takes back what another step did.
    pub fn is_undo(&self) -> bool {
        self.kind == StepKind::Handler && self.path.ends_with(".undo")
    }

    /// Whether it took back what another step did.
    pub fn took_back(&self) -> bool {
        self.is_undo() && self.status == StepStatus::Succeeded
    }

    /// How long it took, or has taken so far; `None` if it has not begun.
    pub fn took_us(&self, now_us: i64) -> Option<i64> {
        let started = self.started_us?;
        if !self.status.was_begun() {
            return None;
        }
        let ended = self.ended_us.or_else(|| (!self.status.is_open()).then(|| self.attempts.last()?.to_us).flatten());
        Some(ended.unwrap_or(now_us) - started)
    }

    /// "Try 3 of 6", for a step that waits for its next try; shown in place of the subtitle.
    pub(crate) fn coming_try(&self) -> Option<String> {
        let max = self.tries_max.map(|max| format!(" of {max}")).unwrap_or_default();
        (self.status == StepStatus::Retrying).then(|| format!("Try {}{max}", self.attempts.len() + 1))
    }

    /// The whole row in one sentence, read after title and time: colour and bars carry nothing else.
    pub fn spoken(&self) -> String {
        let mut out = match (self.status, self.attempts.len()) {
            (StepStatus::Succeeded, n) if n > 1 => format!("Succeeded on the {} try.", format::ordinal(n)),
            (StepStatus::Failed, n) if n > 1 => format!("Failed after {n} tries."),
            (StepStatus::Retrying, n) => format!("Retrying, {n} {} failed.", if n == 1 { "try" } else { "tries" }),
            (status, _) => format!("{}.", status.word()),
        };
        if self.attempts.len() > 1 {
            for (place, bar) in self.attempts.iter().enumerate() {
                if let Some(error) = &bar.error {
                    out.push_str(&format!(" Try {}: {error}.", place + 1));
                }
            }
        }
        for park in self.parks.iter().filter(|park| park.reason != WaitFor::Retry) {
            out.push_str(&format!(" Waited for {}.", park.reason.what()));
        }
        out
    }
}
