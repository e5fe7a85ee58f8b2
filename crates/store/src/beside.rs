//! What a transition of one run changes beside it: other runs, questions to people, kept state.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{ApprovalId, BlobRef, ErrorRecord, Keeps, NewRun, RecipeId, RunId, StepPath, StoreError, Timestamp, counted};

/// One change beside a run's own journal, in the same transaction as its chunk. Written once: when the
/// chunk was there before, so were its changes.
#[derive(Debug, Clone)]
pub enum Beside {
    /// A step of another run gets what it waits for.
    Answer {
        /// The run that waits.
        run: RunId,
        /// What its step gets.
        answer: Answer,
    },
    /// The run took in what these steps of it were answered.
    Taken(Vec<StepPath>),
    /// What later runs of the recipe find as `state`.
    Keep {
        /// The recipe.
        recipe: RecipeId,
        /// Names to values; other names stay as they are.
        values: Map<String, Json>,
        /// When.
        at: Timestamp,
    },
    /// People are asked something.
    Ask(Box<Approval>),
    /// Another run is accepted. Its key keeps it from being accepted twice.
    Start(Arc<NewRun>),
    /// The run speaks of these blobs from now on.
    Refers(Vec<BlobRef>),
    /// Of the run's data only this stays once it is over. Said when it is accepted.
    Forgets(Keeps),
}

/// What a waiting step gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The step.
    #[serde(skip)]
    pub path: StepPath,
    /// When it came.
    #[serde(skip)]
    pub at: Timestamp,
    /// Who gave it: a person, `callback`, or a run.
    pub by: String,
    /// The step's output; `None` when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<Arc<Json>>,
    /// Why it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub err: Option<Box<ErrorRecord>>,
}

impl Answer {
    /// As it is kept beside its run and path.
    ///
    /// # Errors
    /// [`StoreError::Internal`] when it cannot be JSON.
    pub fn text(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|error| StoreError::Internal(error.to_string()))
    }

    /// Reads it back; one that makes no sense fails its step, in words, instead of keeping the run from going on.
    #[must_use]
    pub fn told(path: &str, at: Timestamp, text: &str) -> Self {
        Self::read(path, at, text).unwrap_or_else(|error| {
            let error = counted(error);
            tracing::error!(%error, path, "store.damaged: an answer makes no sense; its step fails");
            let err = ErrorRecord {
                class: "internal".to_owned(),
                code: "ANSWER_DAMAGED".to_owned(),
                message: format!("What this step was answered is damaged in the database: {error}."),
                next: Some("Ask whoever answered what it was, then settle or replay the run.".to_owned()),
                path: None,
                request: None,
                response: None,
                causes: Vec::new(),
            };
            Self { path: path.into(), at, by: "liaison".to_owned(), out: None, err: Some(Box::new(err)) }
        })
    }

    /// Reads it back.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the text is not what was kept.
    pub fn read(path: &str, at: Timestamp, text: &str) -> Result<Self, StoreError> {
        let answer: Self = serde_json::from_str(text)
            .map_err(|error| StoreError::Corrupt(format!("answers.answer of {path} cannot be read: {error}")))?;
        Ok(Self { path: path.into(), at, ..answer })
    }
}

/// What became of an [`Answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It is durable, and the run goes on.
    Kept,
    /// The step had its answer; nothing was written.
    Already,
    /// There is no such run or question, or the run is over.
    Over,
}

/// A question to people.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    /// The question.
    pub id: ApprovalId,
    /// The run that waits.
    pub run: RunId,
    /// Its step.
    pub path: StepPath,
    /// The recipe.
    pub recipe: RecipeId,
    /// `from`, `ask` and `form`, as the recipe computed them.
    pub question: Arc<Json>,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When the recipe goes on without an answer.
    pub expires_at: Option<Timestamp>,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// Who decided, and what.
    pub decision: Option<Answer>,
}

/// Runs of one lane go one after the other, in the order they were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Which: made from the recipe and its key.
    pub key: [u8; 16],
    /// How many of it may go at once.
    pub room: i32,
}

/// The step of a run that called this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The run that waits.
    pub run: RunId,
    /// Its step.
    pub path: StepPath,
}

impl Parent {
    /// Where the end of the run it called is kept for it: beside the step, for each run that the step called. What
    /// one that was given up says late never takes the place of what the step waits for. No path has a space in it.
    #[must_use]
    pub fn place_of(&self, called: RunId) -> StepPath {
        answer_place(&self.path, &called.to_string())
    }
}

/// The same by the texts of both.
#[must_use]
pub fn answer_place(path: &str, called: &str) -> StepPath {
    format!("{path} {called}").into()
}
