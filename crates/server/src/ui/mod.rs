//! The handlers of the pages: read the store, fill the view models of [`crate::pages`], answer.

mod causes;
mod docs;
mod letters;
mod live;
mod oauth;
mod recipes;
mod run;
mod run_answers;
mod run_rows;
mod run_story;
mod run_waits;
mod runs;
mod signin;
mod visit;

use axum::{
    Form, Router,
    extract::{OriginalUri, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use axum_extra::extract::{
    CookieJar,
    cookie::{Cookie, SameSite},
};
use serde::Deserialize;

pub(crate) use self::visit::{Visit, failed as error};
use self::visit::{Visitor, page};
use crate::{
    pages::{MessagePage, shell::NAVIGATION},
    state::{App, Shared},
};

/// Addresses that have a page; every other one of the sidebar says that it comes later.
const BUILT: [&str; 5] = ["/", "/runs", "/dead-letters", "/recipes", "/docs/api"];

pub(crate) fn router() -> Router<Shared> {
    let mut router = Router::new()
        .route("/", get(home))
        .route("/signin", get(signin::show).post(signin::enter))
        .route("/signout", post(signin::leave))
        .route(engine::CALLBACK_PATH, get(oauth::callback))
        .route("/ui/theme", post(theme))
        .route("/ui/events", get(live::events))
        .route("/recipes", get(recipes::list))
        .route("/recipes/{slug}", get(later))
        .route("/runs", get(runs::list))
        .route("/runs/{id}", get(run::timeline))
        .route("/runs/{id}/events", get(run::log))
        .route("/runs/{id}/data", get(run::data))
        .route("/runs/{id}/resume", post(run_answers::resume))
        .route("/runs/{id}/settle", post(run_answers::settle))
        .route("/runs/{id}/cancel", post(run::cancel))
        .route("/runs/{id}/replay", post(run::replay))
        .route("/dead-letters", get(letters::list))
        .route("/dead-letters/act", get(letters::ask).post(letters::act))
        .route("/dead-letters/{id}/edit", get(letters::edit).post(letters::replay))
        .route("/operations/{id}", get(letters::operation))
        .route("/operations/{id}/{what}", post(letters::change))
        .route("/docs/api", get(docs::api));
    for link in NAVIGATION.iter().flat_map(|group| group.links).filter(|link| !BUILT.contains(&link.href)) {
        router = router.route(link.href, get(later));
    }
    router
}

/// A page for an address that has none.
pub(crate) async fn not_here(app: &App, parts: &Parts) -> Response {
    let shell = Visit::of(parts).shell_of_session(app).await;
    page(StatusCode::NOT_FOUND, &MessagePage::not_found(shell))
}

async fn home(_visitor: Visitor) -> Redirect {
    Redirect::to("/runs")
}

async fn later(State(app): State<Shared>, visitor: Visitor, OriginalUri(uri): OriginalUri) -> Response {
    let shell = visitor.shell(&app).await;
    match MessagePage::not_here_yet(shell.clone(), uri.path()) {
        Some(message) => page(StatusCode::OK, &message),
        None => page(StatusCode::NOT_FOUND, &MessagePage::not_found(shell)),
    }
}

#[derive(Debug, Deserialize)]
struct ThemeForm {
    theme: String,
    back: Option<String>,
}

/// The theme switch of browsers without script.
async fn theme(jar: CookieJar, Form(form): Form<ThemeForm>) -> Response {
    let theme = if form.theme == "dark" { "dark" } else { "light" };
    let mut cookie = Cookie::new("theme", theme);
    cookie.set_path("/");
    cookie.set_same_site(SameSite::Lax);
    cookie.make_permanent();
    let back = visit::local(form.back.as_deref()).unwrap_or("/runs");
    (jar.add(cookie), Redirect::to(back)).into_response()
}
