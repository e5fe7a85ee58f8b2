//! What stands in for the systems around a run in memory.

use std::sync::{Arc, LazyLock};

use connector::{
    Cx, Doubt, ErrorClass, Page, StepError,
    files::File,
    http::{Http, HttpOptions},
};
use futures_util::FutureExt;
use recipe::ast::TriggerSource;
use serde_json::{Value as Json, json};
use store::{Timestamp, Via};

use super::short_name;
use crate::{
    decide::{Attempt, RunState},
    drive::page_output,
    files::RESULTS_TYPE,
    idempotency_key,
    program::{Own, Program},
};

/// One run's surroundings.
#[derive(Debug, Clone)]
pub struct Script {
    /// The instant the run starts.
    pub at: Timestamp,
    /// The event.
    pub event: Arc<Json>,
    /// Values of params; the others have their defaults.
    pub params: Json,
    /// The state before the run; the others have their defaults.
    pub state: Json,
    /// What steps give without being done, by id or path. A path goes before an id.
    pub given: Vec<(String, Arc<Json>)>,
    /// Steps that fail, by id or path.
    pub fails: Vec<Failing>,
    /// Actions that are done for real where nothing is given for them, by their name as written:
    /// `log.write`. They must not wait for anything.
    pub real: &'static [&'static str],
}

/// A step that fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Failing {
    /// The id of the step, or its path.
    pub step: String,
    /// The error class.
    pub class: ErrorClass,
    /// The vendor's code.
    pub code: Option<String>,
    /// The sentence.
    pub message: Option<String>,
    /// How many attempts fail; `None` means all.
    pub times: Option<u32>,
}

impl Script {
    /// Whether the event and the params are what the recipe takes; the sentence says what is not.
    pub(super) fn fits(&self, program: &Program) -> Result<(), String> {
        program.check_params(&self.params).map_err(|(_, sentence)| sentence)?;
        let Some(schema) = program.trigger_with.get("input") else { return Ok(()) };
        let schema = jsonschema::validator_for(schema).map_err(|error| format!("trigger.with.input is no schema: {error}."))?;
        match schema.iter_errors(&self.event).next() {
            Some(error) => {
                let place = match error.instance_path().as_str() {
                    "" => "The event".to_owned(),
                    path => format!("The event's {}", path.trim_start_matches('/').replace('/', ".")),
                };
                Err(format!("{place} does not fit trigger.with.input: {error}."))
            }
            None => Ok(()),
        }
    }

    /// The state before the run.
    pub(super) fn kept(&self, program: &Program) -> Arc<Json> {
        let mut state = program.state.clone();
        if let Json::Object(set) = &self.state {
            state.extend(set.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        Arc::new(Json::Object(state))
    }

    /// What would have started the run.
    pub(super) fn via(&self, program: &Program) -> &'static str {
        match program.source {
            TriggerSource::Schedule => Via::Schedule.as_str(),
            TriggerSource::Webhook | TriggerSource::Connection { .. } => Via::Webhook.as_str(),
            _ => Via::Api.as_str(),
        }
    }

    /// What the step of that path gives.
    pub(super) fn given(&self, path: &str) -> Option<&Arc<Json>> {
        let by = |name: &str| self.given.iter().find(|(step, _)| step == name).map(|(_, output)| output);
        by(path).or_else(|| by(short_name(path)))
    }

    /// How attempt `number` of the step of that path fails, if it does.
    pub(super) fn failure(&self, path: &str, number: u32) -> Option<StepError> {
        let by = |name: &str| self.fails.iter().find(|failing| failing.step == name);
        let failing = by(path).or_else(|| by(short_name(path)))?;
        if failing.times.is_some_and(|times| number > times) {
            return None;
        }
        let code = failing.code.clone().unwrap_or_else(|| format!("TEST_{}", failing.class.as_str().to_uppercase()));
        let message = failing.message.clone().unwrap_or_else(|| format!("The test lets this call fail ({}).", failing.class));
        let mut error = StepError::new(failing.class, code, message);
        // No answer came, as in life: an effect that happens once is then in doubt, never repeated.
        if failing.class == ErrorClass::Timeout {
            error.doubt = Doubt::MayHaveHappened;
        } else {
            error.response = Some(json!({}));
        }
        Some(error)
    }

    /// The outcome of an attempt; `None` when the script has none.
    pub(super) fn answer(&self, attempt: &Attempt, state: &RunState) -> Option<Result<Json, StepError>> {
        // What a stream gives is given for the step that begins it.
        let path = attempt.step.stream.as_ref().unwrap_or(&attempt.path);
        if let Some(error) = self.failure(path, attempt.number) {
            return Some(Err(error));
        }
        if let Some(output) = self.given(path) {
            if attempt.page.is_some() {
                let items = output.as_array().cloned().unwrap_or_else(|| vec![Json::clone(output)]);
                return Some(Ok(page_output(Page { items, next: None })));
            }
            return Some(Ok(Json::clone(output)));
        }
        if matches!(attempt.step.own, Some(Own::File { .. })) {
            return Some(Ok(results_file(attempt)));
        }
        if !self.real.contains(&attempt.step.name.as_str()) || attempt.step.connection.is_some() {
            return None;
        }
        // No certificate is read and no connection made before the first call, and there is none.
        static HTTP: LazyLock<Option<Http>> = LazyLock::new(|| Http::new(HttpOptions::default()).ok());
        let cx = Cx {
            http: HTTP.clone()?,
            connection: None,
            idempotency_key: idempotency_key(state.id, &attempt.path, attempt.turn).into(),
            timeout: attempt.step.timeout,
            run_id: state.id.to_string().into(),
            path: Arc::clone(&attempt.path),
            began: tokio::time::Instant::now(),
            began_us: state.journal.accepted_at.micros(),
            attempt: 1,
            in_doubt: false,
            traceparent: None,
            turns: None,
        };
        (attempt.step.action.run)(cx, Json::clone(&attempt.input)).now_or_never()
    }
}

/// What a loop gives whose results go into a file: nobody keeps the file of a run in memory.
fn results_file(attempt: &Attempt) -> Json {
    let input = &attempt.input;
    let name = input["file"].as_str().unwrap_or_default().to_owned();
    let file = File { token: String::new(), name, kind: RESULTS_TYPE.to_owned(), size: 0, sha256: String::new() };
    json!({ "file": file.json(), "total": input["total"], "failed": input["failed"] })
}
