//! HTTP: calls to any API.
//!
//! Without a connection a step gives the whole `url`. Through a connection it gives a `path` below the
//! connection's `base_url`, and the connection signs in; a path never leads to another host.

mod answer;
mod body;
mod download;
mod oauth;
pub(crate) mod pages;
mod parse;
mod request;
mod route;
pub(crate) mod settings;
mod sign;

use std::sync::Arc;

use ::http::{HeaderValue, StatusCode, header::ACCEPT_ENCODING};
use connector::{
    Action, Connector, Cx, Effect, ErrorClass, KeyLife, StepError, TestCall,
    http::{Response, Sink, again},
};
use serde_json::{Value as Json, json};
use tokio::time::Instant;
use url::Url;

use self::{
    parse::As,
    request::{Accept, With},
};

pub(crate) fn connector() -> Connector {
    Connector {
        id: "http",
        title: "HTTP",
        summary: "Calls any API over HTTP.",
        builtin: true,
        config: settings::config_schema(),
        credentials: settings::credentials_schema(),
        validate: Arc::new(settings::validate),
        test: Some(TestCall {
            action: "request",
            input: json!({ "path": "/", "accept": ["200-399"] }),
            fine: &[ErrorClass::NotFound, ErrorClass::Invalid],
        }),
        limits: connector::Limits::default(),
        errors: &[],
        notes: &[
            "A step without a connection names the whole address; through a connection it names a path below the connection's address, and can reach no other host.",
            "Every answer of 400 and more is an error, judged by its status; `accept` takes some of them as answers.",
        ],
        shapes: None,
        sign_in: Some(oauth::sign_in()),
        actions: vec![Action {
            id: "request",
            title: "Make a request",
            summary: "Sends one HTTP request and gives back its status, headers and body.",
            effect,
            key_life: Some(KeyLife::By(request::key_life)),
            needs_connection: false,
            input: request::input_schema(),
            output: answer::output_schema(),
            sample: None,
            shaped: None,
            run: Arc::new(|cx, input| Box::pin(call(cx, input))),
            pages: Some(Arc::new(|cx, input, cursor| Box::pin(pages::one(cx, input, cursor)))),
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
    // What few calls need is boxed, here and below, so that the others do not carry the room for it.
    if download::wanted(&input)? {
        return Box::pin(download::call(&cx, &input)).await;
    }
    if let Some(walk) = pages::read(&input)? {
        return Box::pin(pages::all(&cx, &input, &walk)).await;
    }
    let (response, wanted) = accepted(&cx, &input, With::default(), Instant::now()).await?;
    let body = body_of(&cx, &input, &response, wanted)?;
    let mut output = answer::shell(&response);
    output.insert("body".to_owned(), body);
    Ok(Json::Object(output))
}

/// The address a call goes to.
fn address(cx: &Cx, input: &Json, with: With<'_>) -> Result<Url, StepError> {
    request::build(cx, input, with).map(|call| call.request.url)
}

/// The body as the step wants it.
fn body_of(cx: &Cx, input: &Json, response: &Response, wanted: As) -> Result<Json, StepError> {
    parse::as_wanted(wanted, &response.headers, &response.body)
        .map_err(|why| request::describe(cx, input, With::default(), answer::unreadable(response, &why)))
}

/// One call whose answer has an accepted status, and how to read that answer.
async fn accepted(cx: &Cx, input: &Json, with: With<'_>, since: Instant) -> Result<(Response, As), StepError> {
    accepted_into(cx, input, with, since, None).await
}

/// The same, with the body of an accepted answer given to a sink.
async fn accepted_into(
    cx: &Cx,
    input: &Json,
    with: With<'_>,
    since: Instant,
    mut sink: Option<&mut dyn Sink>,
) -> Result<(Response, As), StepError> {
    let client = oauth::client(cx)?;
    // Before the token, which may run out meanwhile.
    cx.turn().await?;
    let token = match &client {
        Some(client) => {
            // What is wrong with the input is told before anybody signs in.
            request::build(cx, input, with)?;
            let token = Box::pin(client.token(&cx.http, oauth::left(cx, since))).await;
            Some(token.map_err(|error| request::describe(cx, input, with, error))?)
        }
        None => None,
    };
    let with = With { token: token.as_ref(), ..with };
    let (answer, accept, wanted) = send(cx, input, with, since, again(&mut sink)).await?;
    // A 401 is a definite refusal, so that even a `once` effect may be asked for again.
    if let (Some(client), Some(refused), Ok(response)) = (&client, &token, &answer)
        && response.status == StatusCode::UNAUTHORIZED
        && !accept.takes(401)
        && response.first_origin
        && let Ok(fresh) = Box::pin(client.renewed(&cx.http, refused, oauth::left(cx, since))).await
    {
        let with = With { token: Some(&fresh), ..with };
        cx.turn().await?;
        let (answer, accept, wanted) = Box::pin(send(cx, input, with, since, again(&mut sink))).await?;
        return judged(cx, input, with, answer, &accept).map(|response| (response, wanted));
    }
    judged(cx, input, with, answer, &accept).map(|response| (response, wanted))
}

type Answer = Result<Response, StepError>;

/// One request. The outer error is the input's, the inner one the call's.
async fn send(
    cx: &Cx,
    input: &Json,
    with: With<'_>,
    since: Instant,
    sink: Option<&mut dyn Sink>,
) -> Result<(Answer, Accept, As), StepError> {
    let request::Call { mut request, accept, parse } = request::build(cx, input, with)?;
    request.timeout = oauth::left(cx, since);
    request.route = route::of(cx).await?;
    if sink.is_some() {
        // What is kept is the file itself, not how it was packed for the way.
        request.headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
    }
    Ok((cx.http.send_into(request, sink).await, accept, parse))
}

fn judged(cx: &Cx, input: &Json, with: With<'_>, answer: Answer, accept: &Accept) -> Answer {
    let error = match answer {
        Ok(response) if accept.takes(response.status.as_u16()) => return Ok(response),
        Ok(response) => answer::refused(cx, input, with, &response),
        Err(error) => error,
    };
    Err(request::describe(cx, input, with, error))
}
