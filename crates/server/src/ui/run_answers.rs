//! What people say on the page of a failed run: try again, what became of a step in doubt, give up.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Form,
    extract::{Path, State},
    response::Response,
};
use engine::{
    control::{ControlError, Doubtful},
    resume::{Resumption, Said},
};
use serde::Deserialize;
use serde_json::Value as Json;
use store::{RunId, Timestamp};

use super::{
    run::{back, run_id},
    visit::Visitor,
};
use crate::{
    api::{
        dead_letters::read_reason,
        settle::{self, Settling, StepAnswer},
    },
    error::ApiError,
    state::{App, Shared},
};

#[derive(Debug, Default, Deserialize)]
pub(super) struct Wish {
    step: Option<String>,
    answer: Option<String>,
    output: Option<String>,
    reason: Option<String>,
    /// The version to go on under; only the active one can be.
    version: Option<String>,
    /// When the run failed, in µs, as the page knows it.
    failed_at: Option<String>,
}

/// Refuses what was said on a page that does not ask any more what is to be known by now: what is said of one
/// step, or of one try of it, must not be taken for another, nor end a run for a reason that has gone.
async fn still_asked(app: &App, run: RunId, asked: &[&str], failed_at: Option<&str>) -> Result<(), ApiError> {
    let doubts = app.engine.doubts(run).await?;
    let asked: BTreeSet<&str> = asked.iter().copied().collect();
    let ended_at = app.store().run(run).await?.and_then(|row| row.ended_at).map(|at| at.micros().to_string());
    let same_failure = failed_at.is_none_or(|at| Some(at) == ended_at.as_deref());
    if same_failure && doubts.iter().map(String::as_str).collect::<BTreeSet<_>>() == asked {
        return Ok(());
    }
    let now = match doubts.as_slice() {
        [] => "no step of it is in doubt any more. Load the page again to see how it stands.".to_owned(),
        [only] => format!(
            "it is in doubt about step {only}. Load the page again, look in the other system, and say what became of that step."
        ),
        several => format!(
            "{} steps of it are in doubt: {}. Load the page again and say of each what became of it, in one go.",
            several.len(),
            several.join(", ")
        ),
    };
    let sentence = format!("Nothing was changed: the run has gone on since this page was loaded, and {now}");
    Err(ApiError::conflict("DOUBTS_CHANGED", sentence))
}

/// A doubt that the page did not show yet: what the API says about it is no help to somebody on a page.
fn on_a_page(error: ControlError) -> ApiError {
    match error {
        ControlError::SayFirst { path } => ApiError::conflict(
            "SAY_WHAT_HAPPENED",
            format!(
                "Step {path} may have happened. Load the page again, look in the other system, and say what became of the step."
            ),
        ),
        other => other.into(),
    }
}

/// Lets a failed run go on, with what the person says about a step in doubt.
pub(super) async fn resume(
    State(app): State<Shared>,
    visitor: Visitor,
    Path(id): Path<String>,
    Form(wish): Form<Wish>,
) -> Result<Response, ApiError> {
    let run = run_id(&id)?;
    let step = wish.step.as_deref().unwrap_or_default();
    if wish.answer.as_deref() == Some("give_up") {
        still_asked(&app, run, &[step], wish.failed_at.as_deref()).await?;
        let reason = wish.reason.as_deref().map(str::trim).filter(|text| !text.is_empty()).unwrap_or("given up");
        app.engine.give_up(run, &read_reason(Some(reason))?, &visitor.name).await?;
    } else {
        let output = wish.output.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(read_json).transpose()?;
        let answer = match wish.answer.as_deref() {
            Some("happened") => Some(Doubtful::Happened(output.unwrap_or_default())),
            Some("repeat") => Some(Doubtful::Repeat),
            _ => None,
        };
        let said = match answer {
            Some(answer) => {
                still_asked(&app, run, &[step], wish.failed_at.as_deref()).await?;
                Said::Each([(step.to_owned(), answer)].into())
            }
            None => Said::Nothing,
        };
        let active_version = wish.version.is_some_and(|version| !version.is_empty());
        let failed_at = wish.failed_at.and_then(|at| at.parse().ok()).map(Timestamp::from_micros);
        let wish = Resumption { active_version, said, failed_at };
        app.engine.resume_with(run, &wish, &visitor.name).await.map_err(on_a_page)?;
    }
    Ok(back(&id, wish.step.as_deref()))
}

/// Takes the answers to several doubts in one go: `path`, and `answer-0`, `output-0` for the first of them and so on.
pub(super) async fn settle(
    State(app): State<Shared>,
    visitor: Visitor,
    Path(id): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let run = run_id(&id)?;
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, text)| text.trim()).unwrap_or_default();
    let paths: Vec<&str> = fields.iter().filter(|(name, _)| name == "path").map(|(_, path)| path.as_str()).collect();
    let mut steps = BTreeMap::new();
    let mut gives_up = false;
    for (place, path) in paths.iter().copied().enumerate() {
        let answer = field(&format!("answer-{place}")).to_owned();
        if answer.is_empty() {
            return Err(ApiError::field(path, format!("Say what became of step {path}. Go back; every step needs its answer.")));
        }
        gives_up |= answer == "give_up";
        let output = Some(field(&format!("output-{place}"))).filter(|text| !text.is_empty()).map(read_json).transpose()?;
        // Nothing typed is an answer here: later steps may not need it.
        let output = Some(output.unwrap_or_default()).filter(|_| answer == "happened");
        steps.insert(path.to_owned(), StepAnswer { answer, output });
    }
    still_asked(&app, run, &paths, Some(field("failed_at")).filter(|text| !text.is_empty())).await?;
    let reason = Some(field("reason")).filter(|text| !text.is_empty()).unwrap_or("given up");
    let wish = match gives_up {
        true => Settling { answer: Some("give_up".to_owned()), reason: Some(reason.to_owned()), ..Settling::default() },
        false => Settling { steps: Some(steps), ..Settling::default() },
    };
    settle::carry_out(&app, run, wish, &visitor.name).await?;
    Ok(back(&id, None))
}

fn read_json(text: &str) -> Result<Json, ApiError> {
    serde_json::from_str(text).map_err(|error| {
        ApiError::field(
            "output",
            format!("What the step returned must be JSON, and this is not: {error}. Go back and correct it."),
        )
    })
}
