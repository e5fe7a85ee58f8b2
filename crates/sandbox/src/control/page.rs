//! The page for people: it uses the control API and holds nothing of its own.

use axum::response::Html;

/// Looks, happenings, faults, webhooks and the last requests.
pub(super) async fn show() -> Html<&'static str> {
    Html(include_str!("page.html"))
}
