//! What a person says about effects that may have happened.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use engine::{
    control::Doubtful,
    resume::{Resumption, Said},
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use store::RunId;
use utoipa::ToSchema;

use super::{Done, JsonBody, dead_letters::read_reason, runs::read_id};
use crate::{
    access::{Caller, Scope},
    error::{ApiError, ErrorBody},
    state::Shared,
};

/// The answer to a doubt: `happened`, `repeat` or `give_up`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settling {
    /// `happened` (the run goes on with `output`), `repeat` (the step is tried again under the same key) or
    /// `give_up` (what the run did is taken back where the recipe has an `undo` for it, and the run is discarded).
    pub(crate) answer: Option<String>,
    /// What the step returned, when it happened.
    #[serde(default, deserialize_with = "said")]
    pub(crate) output: Option<Value>,
    /// Why it is given up.
    pub(crate) reason: Option<String>,
    /// When several steps are in doubt: the answer for each, by its path.
    pub(crate) steps: Option<BTreeMap<String, StepAnswer>>,
}

/// The answer for one step.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepAnswer {
    /// `happened` or `repeat`.
    pub(crate) answer: String,
    /// What the step returned, when it happened.
    #[serde(default, deserialize_with = "said")]
    pub(crate) output: Option<Value>,
}

/// A null that was sent is an answer; nothing sent is none.
pub(super) fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Says what became of the effects of a run that may have happened, and lets it go on or gives it up.
#[utoipa::path(post, path = "/runs/{id}/settle", tag = "dead letters", params(("id" = String, Path)), request_body = Settling,
    responses((status = 202, body = Done), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn settle(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(wish): JsonBody<Settling>,
) -> Result<(StatusCode, Json<Done>), ApiError> {
    caller.need(Scope::RunsWrite)?;
    let run = read_id(&id)?;
    carry_out(&app, run, wish, &caller.name).await?;
    let status = app.store().run(run).await?.map_or("unknown", |row| row.status.as_str());
    Ok((StatusCode::ACCEPTED, Json(Done { id: run.to_string(), status: status.to_owned() })))
}

/// Does what a person says about the doubts of a run.
pub(crate) async fn carry_out(app: &Shared, run: RunId, wish: Settling, by: &str) -> Result<(), ApiError> {
    let doubts = app.engine.doubts(run).await?;
    if doubts.is_empty() {
        return Err(ApiError::conflict("NO_DOUBT", "No step of this run is in doubt. Resume it, replay it or discard it."));
    }
    let said = match (wish.answer.as_deref(), wish.steps) {
        (Some("give_up"), None) => {
            let reason = read_reason(wish.reason.as_deref())?;
            return Ok(app.engine.give_up(run, &reason, by).await?);
        }
        (None, Some(steps)) => each(&doubts, steps)?,
        (Some(answer), None) => {
            let said = read_answer("answer", answer, wish.output)?;
            if doubts.len() > 1 && matches!(said, Doubtful::Happened(_)) {
                let list = doubts.join(", ");
                let message =
                    format!("Steps {list} may have happened, and each returned something of its own. Say so for each in steps.");
                return Err(ApiError::field("steps", message));
            }
            Said::All(said)
        }
        _ => {
            return Err(ApiError::field(
                "answer",
                "Say what became of it: answer is happened, repeat or give_up; or steps has an answer for each.",
            ));
        }
    };
    Ok(app.engine.resume_with(run, &Resumption { said, ..Resumption::default() }, by).await?)
}

fn each(doubts: &[String], steps: BTreeMap<String, StepAnswer>) -> Result<Said, ApiError> {
    let mut said = BTreeMap::new();
    for (path, answer) in steps {
        if !doubts.contains(&path) {
            return Err(ApiError::field("steps", format!("Step {path} is not in doubt; these are: {}.", doubts.join(", "))));
        }
        let answer = read_answer(&format!("steps.{path}.answer"), &answer.answer, answer.output)?;
        said.insert(path, answer);
    }
    Ok(Said::Each(said))
}

fn read_answer(field: &str, answer: &str, output: Option<Value>) -> Result<Doubtful, ApiError> {
    match (answer, output) {
        ("happened", Some(output)) => Ok(Doubtful::Happened(output)),
        ("happened", None) => Err(no_output()),
        ("repeat", _) => Ok(Doubtful::Repeat),
        (other, _) if field == "answer" => {
            Err(ApiError::field(field, format!("{field} is {other:?}; it must be happened, repeat or give_up.")))
        }
        // One step alone cannot be given up.
        (other, _) => Err(ApiError::field(
            field,
            format!(
                "{field} is {other:?}; it must be happened or repeat. To give the whole run up, send {{\"answer\": \"give_up\"}}."
            ),
        )),
    }
}

pub(super) fn no_output() -> ApiError {
    ApiError::field("output", "Say what the step returned, in output: later steps work with it. null is an answer too.")
}
