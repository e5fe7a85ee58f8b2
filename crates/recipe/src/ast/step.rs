//! Steps: what a run does.

use std::time::Duration;

use serde_json::Value as Json;

use super::{Expr, Param, Retry, Span, Spanned, Value, ValueKind};

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// What references use: `[a-z][a-z0-9_]{0,39}`, unique in the recipe.
    pub id: Spanned<String>,
    /// What people call it.
    pub title: Option<String>,
    /// Free text for its readers.
    pub note: Option<String>,
    /// The step is skipped when this is false.
    pub condition: Option<Expr>,
    /// Its own retry policy.
    pub retry: Option<Retry>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// What its failure does to the run.
    pub on_error: OnError,
    /// Its output when it fails; the run then goes on.
    pub fallback: Option<Value>,
    /// What takes it back if the run fails later.
    pub undo: Option<Undo>,
    /// It is passed over as if it were not there; its output is null.
    pub disabled: bool,
    /// What it does.
    pub kind: StepKind,
    /// The place of the whole step.
    pub span: Span,
}

/// What a step's failure does to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The nearest `catch` runs; without one the run fails.
    #[default]
    Fail,
    /// The run goes on; the step's output is null.
    Continue,
}

/// The action that takes a step back.
#[derive(Debug, Clone)]
pub struct Undo {
    /// The connection or built-in connector before the dot.
    pub connection: Spanned<String>,
    /// The action after the dot.
    pub action: Spanned<String>,
    /// The action's input. It sees the step's own output.
    pub with: Value,
    /// Its own retry policy.
    pub retry: Option<Retry>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// The place of the whole record.
    pub span: Span,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum StepKind {
    /// Calls an action.
    Do {
        /// The connection (`hook`) or built-in connector (`http`, `log`) before the dot.
        connection: Spanned<String>,
        /// The action after the dot.
        action: Spanned<String>,
        /// The action's input.
        with: Value,
        /// Its pages are fetched by the loop that goes through them.
        stream: bool,
    },
    /// Runs its steps for every item of a list.
    Each(Box<Each>),
    /// Runs its steps again and again.
    Repeat(Box<Repeat>),
    /// Runs lists of steps side by side.
    Parallel {
        /// The branches, in the order written.
        branches: Vec<(Spanned<String>, Vec<Step>)>,
        /// How many must be done before the run goes on.
        wait_for: WaitFor,
    },
    /// Takes the first branch whose condition holds.
    Choose(Vec<Branch>),
    /// Runs steps, and others if one of them fails.
    Try {
        /// What is tried.
        steps: Vec<Step>,
        /// Runs when one of them failed; sees `error`.
        catch: Vec<Step>,
        /// Runs in any case.
        finally: Vec<Step>,
    },
    /// Computes a record. A block text is a script whose last value counts.
    Set(SetValue),
    /// Changes the state, with the run's end.
    Save(Value),
    /// Waits for a time, a caller or a person.
    Wait(Box<Wait>),
    /// Runs another recipe and waits for its result.
    Call {
        /// The recipe.
        recipe: Spanned<String>,
        /// Its event.
        with: Value,
    },
    /// Starts a run of another recipe and goes on.
    Start {
        /// The recipe.
        recipe: Spanned<String>,
        /// Its event.
        with: Value,
    },
    /// Answers the caller of an API or webhook trigger; the run goes on.
    Respond(Box<Respond>),
    /// Ends the run as succeeded with this result.
    Return(Value),
    /// Ends the run as succeeded, with a reason.
    Stop(Value),
    /// Ends the run as failed with this message.
    Fail(Value),
}

/// A loop over a list.
#[derive(Debug, Clone)]
pub struct Each {
    /// The list.
    pub items: Value,
    /// The name of the item inside, `item` unless said otherwise.
    pub binding: String,
    /// How many items one pass takes; the item is then a list.
    pub batch: Option<u32>,
    /// How many passes go at once; `None` means one.
    pub parallel: Option<u32>,
    /// What a failed pass does.
    pub partial: Partial,
    /// What each pass contributes to `results`; `None` means the output of its last step.
    pub collect: Option<Value>,
    /// The name of the file that takes the place of `results`.
    pub file: Option<Value>,
    /// The steps of one pass.
    pub steps: Vec<Step>,
}

impl Each {
    /// The step whose output is the whole list, if it is the output of a step and nothing else.
    #[must_use]
    pub fn whole_output(&self) -> Option<&str> {
        let ValueKind::Expr(expr) = &self.items.kind else { return None };
        let source = expr.source.trim();
        let id = source.strip_prefix("$.").unwrap_or(source).strip_prefix("steps.")?;
        id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(id)
    }
}

/// What a failed pass does to its loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Partial {
    /// The loop fails.
    #[default]
    Stop,
    /// It is counted, its result is null, and the loop goes on.
    Skip,
    /// As skip, and the pass becomes a dead letter of its own.
    DeadLetter,
}

/// A loop that goes on until something holds.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// Judged after each turn; the loop ends when it is true.
    pub until: Option<Expr>,
    /// The pause between turns.
    pub wait: Option<Duration>,
    /// The most turns.
    pub max: Option<u32>,
    /// The steps of one turn.
    pub steps: Vec<Step>,
    /// The place of the record behind `repeat`.
    pub span: Span,
}

/// How many branches of a `parallel` must be done before the run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitFor {
    /// Every one.
    #[default]
    All,
    /// The first.
    Any,
    /// So many.
    Count(u32),
}

/// What a `wait` waits for.
#[derive(Debug, Clone)]
pub struct Wait {
    /// What ends it.
    pub what: WaitKind,
    /// When it is given up; that is an outcome, not an error.
    pub timeout: Option<Duration>,
}

/// What ends a `wait`.
#[derive(Debug, Clone)]
pub enum WaitKind {
    /// So long has passed: a duration, or an expression that gives one.
    For(Value),
    /// The instant has come: a date-time, or an expression that gives one.
    Until(Value),
    /// Somebody called the step's one-time address, `meta.<id>.callback`.
    Callback {
        /// The JSON Schema that the body must fit.
        input: Option<Json>,
    },
    /// A person decided.
    Approval(Box<Approval>),
}

/// A question to people.
#[derive(Debug, Clone)]
pub struct Approval {
    /// Who may decide: `group` or `user`, one or several.
    pub from: Value,
    /// What they are asked.
    pub ask: Value,
    /// What they fill in.
    pub form: Vec<Param>,
}

/// An answer to the caller.
#[derive(Debug, Clone)]
pub struct Respond {
    /// The HTTP status; 200 unless said otherwise.
    pub status: Option<Value>,
    /// Headers.
    pub headers: Option<Value>,
    /// The body: JSON, or text as it is.
    pub body: Option<Value>,
}

/// The value of a `set` step.
#[derive(Debug, Clone)]
pub enum SetValue {
    /// Names to values, in the order written.
    Fields(Value),
    /// A script.
    Script(Expr),
}

/// One branch of a `choose`.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Its condition; `None` for `otherwise`.
    pub when: Option<Expr>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// The place of the branch.
    pub span: Span,
}

/// A list of steps inside a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BlockName<'a> {
    /// The passes of `each` or the turns of `repeat`.
    Loop,
    /// A branch of `choose`, by its place from 0.
    Branch(usize),
    /// A branch of `parallel`, by its name.
    Named(&'a str),
    /// `try`.
    Try,
    /// `catch`.
    Catch,
    /// `finally`.
    Finally,
}

impl Step {
    /// The lists of steps inside this one, in the order they are read.
    #[must_use]
    pub fn blocks(&self) -> Vec<(BlockName<'_>, &[Step])> {
        match &self.kind {
            StepKind::Each(each) => vec![(BlockName::Loop, &each.steps)],
            StepKind::Repeat(repeat) => vec![(BlockName::Loop, &repeat.steps)],
            StepKind::Parallel { branches, .. } => {
                branches.iter().map(|(name, steps)| (BlockName::Named(&name.value), steps.as_slice())).collect()
            }
            StepKind::Choose(branches) => {
                branches.iter().enumerate().map(|(at, branch)| (BlockName::Branch(at), branch.steps.as_slice())).collect()
            }
            StepKind::Try { steps, catch, finally } => {
                vec![(BlockName::Try, steps), (BlockName::Catch, catch), (BlockName::Finally, finally)]
            }
            _ => Vec::new(),
        }
    }

    /// What it uses, for people: `sf.query`, or its word.
    #[must_use]
    pub fn uses(&self) -> String {
        match &self.kind {
            StepKind::Do { connection, action, .. } => format!("{}.{}", connection.value, action.value),
            other => other.word().to_owned(),
        }
    }
}

impl StepKind {
    /// The step word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Do { .. } => "do",
            Self::Each(_) => "each",
            Self::Repeat(_) => "repeat",
            Self::Parallel { .. } => "parallel",
            Self::Choose(_) => "choose",
            Self::Try { .. } => "try",
            Self::Set(_) => "set",
            Self::Save(_) => "save",
            Self::Wait(_) => "wait",
            Self::Call { .. } => "call",
            Self::Start { .. } => "start",
            Self::Respond(_) => "respond",
            Self::Return(_) => "return",
            Self::Stop(_) => "stop",
            Self::Fail(_) => "fail",
        }
    }
}

/// Visits steps and the steps inside them, in the order they are read.
pub fn walk<'a>(steps: &'a [Step], visit: &mut impl FnMut(&'a Step)) {
    for step in steps {
        visit(step);
        for (_, inner) in step.blocks() {
            walk(inner, visit);
        }
    }
}
