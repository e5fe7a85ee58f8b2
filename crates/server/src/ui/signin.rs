//! Signing in by a one-time link, and out.

use axum::{
    Form,
    extract::State,
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::{CookieJar, cookie::Cookie};
use serde::Deserialize;
use store::SessionRow;

use super::visit::{Asked, Visit, local, page};
use crate::{
    access::{SESSION_COOKIE, hash, new_secret},
    error::ApiError,
    pages::{SigninPage, SigninState},
    state::{App, Shared},
};

#[derive(Debug, Default, Deserialize)]
pub(super) struct SigninQuery {
    token: Option<String>,
    next: Option<String>,
    out: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SigninForm {
    token: String,
    next: Option<String>,
}

/// `GET /signin`: opening a link does not use it up, so that link previews cannot.
pub(super) async fn show(State(app): State<Shared>, query: Asked<SigninQuery>, parts: Parts) -> Response {
    let (visit, query) = (Visit::of(&parts), query.map(|query| query.0).unwrap_or_default());
    let next = local(query.next.as_deref()).map(str::to_owned);
    let state = match query.token.as_deref().map(str::trim).filter(|token| !token.is_empty()) {
        Some(token) if is_token(token) => SigninState::Confirm { token: token.to_owned() },
        Some(_) => SigninState::Unknown,
        None if query.out.is_some() => SigninState::SignedOut,
        None => {
            // Whoever is signed in already goes on.
            if let Ok(Some(_)) = app.session(&visit.jar).await {
                return Redirect::to(next.as_deref().unwrap_or("/runs")).into_response();
            }
            SigninState::Ask
        }
    };
    let shell = visit.shell(&app, None);
    page(StatusCode::OK, &SigninPage { shell, state, next })
}

/// `POST /signin`: spends the link and opens a session.
pub(super) async fn enter(State(app): State<Shared>, parts: Parts, Form(form): Form<SigninForm>) -> Result<Response, ApiError> {
    let visit = Visit::of(&parts);
    let (token, linked) = pasted(&form.token);
    let next = local(form.next.as_deref()).map(str::to_owned).or_else(|| local(linked.as_deref()).map(str::to_owned));
    let again = |state| {
        let page_of = SigninPage { shell: visit.shell(&app, None), state, next: next.clone() };
        Ok(page(StatusCode::UNAUTHORIZED, &page_of))
    };
    if !is_token(&token) {
        return again(SigninState::Unknown);
    }
    let (secret, now) = (new_secret("lss_")?, app.now());
    let session = SessionRow { hash: hash(&secret), user: String::new(), expires_at: now.after(app.settings.session) };
    if !app.store().spend_signin(&hash(&token), &session, now).await? {
        return again(SigninState::Refused);
    }
    let to = Redirect::to(next.as_deref().unwrap_or("/runs"));
    Ok(([(header::SET_COOKIE, session_cookie(&app, &secret))], to).into_response())
}

/// `POST /signout`
pub(super) async fn leave(State(app): State<Shared>, jar: CookieJar) -> Result<Response, ApiError> {
    if let Some(cookie) = jar.get(SESSION_COOKIE) {
        app.store().end_session(&hash(cookie.value())).await?;
    }
    let mut gone = Cookie::from(SESSION_COOKIE);
    gone.set_path("/");
    Ok((jar.remove(gone), Redirect::to("/signin?out=1")).into_response())
}

fn session_cookie(app: &App, secret: &str) -> String {
    let secure = if app.settings.public_url.starts_with("https:") { "; Secure" } else { "" };
    format!("{SESSION_COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}", app.settings.session.as_secs())
}

/// Whether this can be one of our links' tokens at all.
fn is_token(text: &str) -> bool {
    (20..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The token of what was pasted, which may be the whole link, and the link's own `next`.
fn pasted(text: &str) -> (String, Option<String>) {
    let text = text.trim();
    let Some((_, query)) = text.split_once('?') else { return (text.to_owned(), None) };
    let part = |wanted: &str| {
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    (part("token").unwrap_or_default(), part("next"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_link_may_be_pasted() {
        let token = "Zm9vYmFyYmF6cXV4_-Zm9vYmFyYmF6cXV4";
        assert_eq!(pasted(&format!(" {token}\n")), (token.to_owned(), None));
        let link = format!("http://127.0.0.1:7467/signin?token={token}&next=/runs/run_1");
        assert_eq!(pasted(&link), (token.to_owned(), Some("/runs/run_1".to_owned())));
        assert_eq!(pasted("http://127.0.0.1:7467/signin?next=/runs"), (String::new(), Some("/runs".to_owned())));
        assert!(is_token(token) && !is_token("short") && !is_token(&link));
    }
}
