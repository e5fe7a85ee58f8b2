//! HTTP: calls to any API.
//!
//! Without a connection a step gives the whole `url`. Through a connection it gives a `path` below the
//! connection's `base_url`, and the connection signs in; a path never leads to another host.

mod answer;
mod body;
mod oauth;
mod parse;
mod request;
mod settings;
mod sign;

use std::sync::Arc;

use ::http::{Method, StatusCode};
use connector::{Action, Connector, Cx, Effect, ErrorClass, Secret, StepError, TestCall, http::Response};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

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
    let since = Instant::now();
    let client = oauth::client(&cx)?;
    let token = match &client {
        Some(client) => {
            // What is wrong with the input is told before anybody signs in.
            request::build(&cx, &input, None)?;
            match client.token(&cx.http, cx.timeout).await {
                Ok(token) => Some(token),
                Err(error) => return Err(request::describe(&cx, &input, None, error)),
            }
        }
        None => None,
    };
    let (mut method, mut answer) = send(&cx, &input, token.as_ref(), since).await?;
    let mut used = token;
    // A 401 is a definite refusal, so that even a `once` effect may be asked for again.
    if let (Some(client), Some(refused), Ok((response, accept, _))) = (&client, &used, &answer)
        && response.status == StatusCode::UNAUTHORIZED
        && !accept.takes(401)
        && response.first_origin
        && let Ok(fresh) = client.renewed(&cx.http, refused, oauth::left(&cx, since)).await
    {
        (method, answer) = send(&cx, &input, Some(&fresh), since).await?;
        used = Some(fresh);
    }
    let token = used.as_ref();
    let error = match answer {
        Ok((response, accept, parse)) if accept.takes(response.status.as_u16()) => match answer::output(parse, &response) {
            Ok(output) => return Ok(output),
            Err(why) => answer::unreadable(&method, &response, &why),
        },
        Ok((response, ..)) => answer::refused(&cx, &input, token, &method, &response),
        Err(error) => error,
    };
    Err(request::describe(&cx, &input, token, error))
}

type Answer = Result<(Response, request::Accept, parse::As), StepError>;

/// One request. The outer error is the input's, the inner one the call's.
async fn send(cx: &Cx, input: &Json, token: Option<&Secret>, since: Instant) -> Result<(Method, Answer), StepError> {
    let request::Call { mut request, accept, parse } = request::build(cx, input, token)?;
    request.timeout = oauth::left(cx, since);
    let method = request.method.clone();
    Ok((method, cx.http.send(request).await.map(|response| (response, accept, parse))))
}
