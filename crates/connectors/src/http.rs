//! HTTP: calls to any API.
//!
//! Without a connection a step gives the whole `url`. Through a connection it gives a `path` below the
//! connection's `base_url`, and the connection signs in; a path never leads to another host.

mod answer;
mod body;
mod parse;
mod request;
mod settings;
mod sign;

use std::sync::Arc;

use connector::{Action, Connector, Cx, Effect, ErrorClass, StepError, TestCall};
use serde_json::{Value as Json, json};

pub(crate) fn connector() -> Connector {
    Connector {
        id: "http",
        title: "HTTP",
        summary: "Calls any API over HTTP.",
        builtin: true,
        config: settings::config_schema(),
        credentials: settings::credentials_schema(),
        validate: settings::validate,
        test: Some(TestCall {
            action: "request",
            input: json!({ "path": "/", "accept": ["200-399"] }),
            fine: &[ErrorClass::NotFound, ErrorClass::Invalid],
        }),
        actions: vec![Action {
            id: "request",
            title: "Make a request",
            summary: "Sends one HTTP request and gives back its status, headers and body.",
            effect,
            needs_connection: false,
            input: request::input_schema(),
            output: answer::output_schema(),
            run: Arc::new(|cx, input| Box::pin(call(cx, input))),
        }],
        triggers: Vec::new(),
    }
}

/// RFC 9110, 9.2: reading methods change nothing, PUT and DELETE leave the same state when repeated.
/// `idempotent` tells what the method does not.
fn effect(input: &Json) -> Effect {
    let method = input.get("method").and_then(Json::as_str).unwrap_or("GET").trim();
    let is = |names: &[&str]| names.iter().any(|name| method.eq_ignore_ascii_case(name));
    if is(&["GET", "HEAD", "OPTIONS"]) {
        return Effect::None;
    }
    match input.get("idempotent").and_then(Json::as_bool) {
        Some(true) => Effect::Idempotent,
        Some(false) => Effect::Once,
        None if is(&["PUT", "DELETE"]) => Effect::Idempotent,
        None => Effect::Once,
    }
}

async fn call(cx: Cx, input: Json) -> Result<Json, StepError> {
    let request::Call { request, accept, parse } = request::build(&cx, &input)?;
    let method = request.method.clone();
    let error = match cx.http.send(request).await {
        Ok(response) if accept.takes(response.status.as_u16()) => match answer::output(parse, &response) {
            Ok(output) => return Ok(output),
            Err(why) => answer::unreadable(&method, &response, &why),
        },
        Ok(response) => answer::refused(&cx, &input, &method, &response),
        Err(error) => error,
    };
    Err(request::describe(&cx, &input, error))
}
