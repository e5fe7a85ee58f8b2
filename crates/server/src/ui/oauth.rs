//! `GET /oauth/callback`: the way back from another system, where somebody agreed, or did not.

use axum::{
    extract::State,
    http::{StatusCode, request::Parts},
    response::Response,
};
use connector::Secret;
use engine::SignInError;
use serde::Deserialize;

use super::visit::{Asked, Visit, page};
use crate::{
    access::{SESSION_COOKIE, hash},
    pages::MessagePage,
    state::{App, Shared},
};

/// Of the other system's own words.
const WORDS_CHARS_MAX: usize = 200;
/// A code or state longer than this is none of ours.
const PART_BYTES_MAX: usize = 8 * 1024;

#[derive(Deserialize, Default)]
pub(super) struct Back {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// What became of it.
enum End {
    SignedIn(String),
    Failed { title: &'static str, text: String },
}

/// Ends a sign-in, and says what happened.
pub(super) async fn callback(State(app): State<Shared>, query: Asked<Back>, parts: Parts) -> Response {
    let mut visit = Visit::of(&parts);
    // The page must not lead back here: the code is spent, and belongs into no link.
    "/connections".clone_into(&mut visit.here);
    let session = visit.jar.get(SESSION_COOKIE).map(|cookie| hash(cookie.value()));
    let end = finish(&app, query.map(|query| query.0).unwrap_or_default(), session).await;
    let shell = visit.shell_of_session(&app).await;
    match end {
        End::SignedIn(name) => page(StatusCode::OK, &MessagePage::signed_in(shell, &name)),
        End::Failed { title, text } => page(StatusCode::BAD_REQUEST, &MessagePage::sign_in_failed(shell, title, &text)),
    }
}

async fn finish(app: &App, back: Back, session: Option<[u8; 32]>) -> End {
    let state = back.state.filter(|state| !state.is_empty() && state.len() <= PART_BYTES_MAX);
    let Some(state) = state else {
        return failed("This is no sign-in", "The address lacks what belongs to a sign-in. Begin it anew in Liaison.");
    };
    // Whatever came back, the state is spent: nobody tries a second time with it.
    let pending = match app.engine.take_sign_in(&state, session).await {
        Ok(pending) => pending,
        Err(error) => return told(None, &error),
    };
    let code = back.code.filter(|code| !code.is_empty() && code.len() <= PART_BYTES_MAX);
    match (code, back.error) {
        (_, Some(code)) => {
            let words: String =
                format!("{code} {}", back.error_description.unwrap_or_default()).trim().chars().take(WORDS_CHARS_MAX).collect();
            let text = format!(
                "The other system did not let the connection “{}” in. It said: {words}. Nothing was changed. Begin the sign-in anew \
                 and agree to it, or ask whoever manages the other system.",
                pending.connection
            );
            failed("The other system said no", text)
        }
        (None, None) => failed("This is no sign-in", "The other system sent no code. Begin the sign-in anew in Liaison."),
        (Some(code), None) => match app.engine.end_sign_in(&pending, &Secret::new(code)).await {
            Ok(()) => End::SignedIn(pending.connection),
            Err(error) => told(Some(&pending.connection), &error),
        },
    }
}

fn failed(title: &'static str, text: impl Into<String>) -> End {
    End::Failed { title, text: text.into() }
}

fn told(connection: Option<&str>, error: &SignInError) -> End {
    let next = error.next();
    match error {
        SignInError::Over => failed(
            "This sign-in is over",
            format!("It was used already, took longer than ten minutes, or was begun in another browser. {next}"),
        ),
        SignInError::Store(error) => {
            tracing::warn!(connection, %error, "connection.sign_in: the store did not answer");
            failed("The sign-in could not be kept", format!("Liaison's database did not answer. Nothing was changed. {next}"))
        }
        error => {
            let words = error.to_string();
            let text = format!("{}. Nothing was changed. {next}", capital(words.trim_end_matches('.')));
            failed("The sign-in did not work", text)
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
