//! Calls that the engine makes to itself: they are journaled and tried again like any other.

use std::{sync::Arc, time::Duration};

use connector::{Action, Effect, ErrorClass, StepError};
use recipe::ast::{self, StepKind};
use serde_json::Value as Json;

use super::{Compiler, DoStep};
use crate::template::Template;

/// How long writing a part of the results of a loop into a file may take.
const RESULTS_FILE_TIMEOUT: Duration = Duration::from_secs(60);

/// What a call does inside the engine.
#[derive(Debug, Clone)]
pub(crate) enum Own {
    /// Runs another recipe.
    Recipe(Called),
    /// Writes what the passes of a loop gave into a file.
    File {
        /// What they gave is the output of this step, as it stands in the journal.
        last_step: Option<Arc<str>>,
    },
}

/// A recipe that a step runs.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    /// Its slug.
    pub(crate) slug: Arc<str>,
    /// Its end is waited for.
    pub(crate) waits: bool,
    /// How long, when the step says so.
    pub(crate) within: Option<Duration>,
}

impl DoStep {
    /// It writes a file of what a step of each pass gave.
    pub(crate) fn takes_last_step(&self) -> bool {
        self.filled_with().flatten().is_some()
    }

    /// The step of each pass whose output goes into the file it writes, if it writes one.
    pub(super) fn filled_with(&self) -> Option<Option<&str>> {
        match &self.own {
            Some(Own::File { last_step }) => Some(last_step.as_deref()),
            _ => None,
        }
    }

    /// The recipe it runs, if it runs one.
    pub(crate) const fn called(&self) -> Option<&Called> {
        match &self.own {
            Some(Own::Recipe(called)) => Some(called),
            _ => None,
        }
    }
}

impl Compiler<'_> {
    /// A call of another recipe, which is made like any other call.
    pub(super) fn recipe_call(
        &self,
        step: &ast::Step,
        word: &'static str,
        recipe: &str,
        with: &ast::Value,
    ) -> Result<DoStep, String> {
        Ok(DoStep {
            connection: None,
            name: format!("{word} {recipe}"),
            // The other run carries this step's key, so that it is started once however often it is asked for.
            action: own_action(word, "Runs another recipe."),
            with: Template::compile(with)?,
            retry: self.retry(step),
            timeout: self.timeout(step),
            stream: None,
            own: Some(Own::Recipe(Called { slug: recipe.into(), waits: word == "call", within: step.timeout })),
        })
    }

    /// Writing what a loop gives into a file, which is made like a call. What is kept under the hash of its
    /// content is there once however often it is written.
    pub(super) fn results_file(&self, step: &ast::Step, each: &ast::Each, name: &ast::Value) -> Result<DoStep, String> {
        let last_step = each.steps.last().filter(|last| {
            let plain = matches!(last.kind, StepKind::Do { stream: false, .. } | StepKind::Set(_));
            plain && each.collect.is_none() && last.fallback.is_none() && last.on_error == ast::OnError::Fail
        });
        Ok(DoStep {
            connection: None,
            name: "each".to_owned(),
            action: own_action("each", "Writes the results of a loop into a file."),
            with: Template::compile(name)?,
            retry: self.retry(step),
            timeout: RESULTS_FILE_TIMEOUT,
            stream: None,
            own: Some(Own::File { last_step: last_step.map(|step| step.id.value.as_str().into()) }),
        })
    }
}

/// An action that the engine does itself; nothing else can.
fn own_action(word: &'static str, summary: &'static str) -> Action {
    let refused = StepError::new(ErrorClass::Internal, "NO_SERVER", format!("`{word}` needs a server here."));
    Action {
        key_life: None,
        id: word,
        title: word,
        summary,
        effect: |_| Effect::Idempotent,
        needs_connection: false,
        input: Json::Bool(true),
        output: Json::Bool(true),
        pages: None,
        sample: None,
        shaped: None,
        run: Arc::new(move |_, _| {
            let refused = refused.clone();
            Box::pin(async move { Err(refused) })
        }),
    }
}
