//! Serves every sample of every page on a local port, to look at them without an engine or a store:
//! `cargo run -p server --example pages`, then `http://127.0.0.1:4180/`.

use std::collections::HashMap;

use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{
        Html, IntoResponse, Response,
        sse::{Event, Sse},
    },
    routing::get,
};
use futures_util::{Stream, StreamExt, stream};
use server::{
    assets,
    pages::{RunFilter, RunPane, RunQuery, RunRow, RunStatus, RunsPage, samples},
};

type Pages = std::sync::Arc<HashMap<String, String>>;

fn add<T: Template>(pages: &mut HashMap<String, String>, name: &str, samples: Vec<(&'static str, T)>) {
    for (state, page) in samples {
        pages.insert(format!("{name}/{state}"), page.render().unwrap_or_else(|error| error.to_string()));
    }
}

/// `?theme=dark` fixes the theme, as the cookie does in the product.
async fn sample(State(pages): State<Pages>, Path(at): Path<String>, Query(query): Query<HashMap<String, String>>) -> Response {
    match pages.get(&at) {
        Some(html) => {
            let html = match query.get("theme") {
                Some(theme) => html.replacen("<html ", &format!("<html data-theme=\"{theme}\" "), 1),
                None => html.clone(),
            };
            let policy = "default-src 'self'; style-src-attr 'unsafe-inline'";
            ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The failed run answers to its address, so that steps and tabs can be tried.
async fn run(Query(query): Query<RunQuery>) -> Response {
    samples::failed_run(&query, RunPane::Timeline).into_response()
}

/// The list keeps the filter of the address, though its rows stay the same.
async fn runs(Query(filter): Query<RunFilter>) -> RunsPage {
    RunsPage { filter, ..samples::runs().swap_remove(0).1 }
}

/// What the server's stream sends: here a row that succeeds, a new run and a change of the run page.
async fn events() -> Sse<impl Stream<Item = Result<Event, axum::Error>>> {
    let (_, page) = samples::runs().swap_remove(0);
    let row = page.rows.as_ref().ok().map(|rows| RunRow { status: RunStatus::Succeeded, ..rows[0].clone() });
    let html = row.as_ref().and_then(|row| row.html(&page.shell).ok());
    let id = row.map(|row| row.id);
    let sent = vec![
        Event::default().event("ping").json_data(serde_json::json!({})),
        Event::default().event("run").json_data(serde_json::json!({"id": id, "row": html, "new": false})),
        Event::default().event("run").json_data(serde_json::json!({"id": "run_new", "row": "", "new": true})),
        Event::default().event("new").json_data(serde_json::json!({"count": 2})),
        Event::default().event("changed").json_data(serde_json::json!({})),
    ];
    Sse::new(stream::iter(sent).chain(stream::pending()))
}

async fn index(State(pages): State<Pages>) -> Html<String> {
    let mut names: Vec<&String> = pages.keys().collect();
    names.sort();
    Html(names.into_iter().map(|name| format!("<li><a href=\"/sample/{name}\">{name}</a>")).collect())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut pages = HashMap::new();
    add(&mut pages, "signin", samples::signin());
    add(&mut pages, "message", samples::messages());
    add(&mut pages, "recipes", samples::recipes());
    add(&mut pages, "runs", samples::runs());
    add(&mut pages, "run", samples::run());
    let app = Router::new()
        .route("/", get(index))
        .route("/assets/{*path}", get(assets::serve))
        .route("/runs", get(runs))
        .route("/runs/{id}", get(run))
        .route("/ui/events", get(events))
        .route("/sample/{*at}", get(sample))
        .with_state(Pages::new(pages));
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4180".to_owned());
    axum::serve(tokio::net::TcpListener::bind(address).await?, app).await
}
