//! `/runs/{id}/events`: one run as it goes on.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Path, State},
    response::sse::{Event as SseEvent, KeepAlive, Sse},
};
use futures_util::stream::{Stream, unfold};
use store::{RunId, RunStatus, StoreError};

use super::runs::{read_id, run_out};
use crate::{
    access::{Caller, Scope},
    detail::{RunDetail, RunReader},
    error::{ApiError, ErrorBody},
    state::Shared,
};

/// Watches a run: an event `run` with the run whenever it changed, until it is over.
#[utoipa::path(get, path = "/runs/{id}/events", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, description = "Server-sent events", content_type = "text/event-stream"), (status = 404, body = ErrorBody)))]
pub(crate) async fn events(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, ApiError> {
    caller.need(Scope::RunsRead)?;
    let run = read_id(&id)?;
    if app.store().run(run).await?.is_none() {
        return Err(ApiError::not_found(format!("run {id}")));
    }
    let stream = unfold(Watch::new(&app, run), |mut watch| async move {
        let detail = watch.next().await?;
        let seq = detail.entries_in_all.to_string();
        let body = run_out(&watch.app, detail).await;
        let event = SseEvent::default().event("run").id(seq).json_data(body).unwrap_or_default();
        Some((Ok(event), watch))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

/// Watches one run from the store: hints say when to look, and a look now and then says the rest.
pub(crate) struct Watch {
    app: Shared,
    run: RunId,
    reader: RunReader,
    changes: tokio::sync::broadcast::Receiver<RunId>,
    seen: Option<(usize, RunStatus)>,
    over: bool,
}

impl Watch {
    pub(crate) fn new(app: &Shared, run: RunId) -> Self {
        Self { app: Arc::clone(app), run, reader: RunReader::new(run), changes: app.engine.live.watch(), seen: None, over: false }
    }

    /// The run after its next change; `None` once it is over, gone, or this process stops.
    pub(crate) async fn next(&mut self) -> Option<RunDetail> {
        const LOOK_EVERY: Duration = Duration::from_secs(1);
        while !self.over {
            match self.reader.read(self.app.store()).await {
                Ok(None) => return None,
                Ok(Some(detail)) => {
                    let now = (detail.entries_in_all, detail.row.status);
                    if self.seen != Some(now) {
                        self.seen = Some(now);
                        self.over = detail.row.status.is_final();
                        return Some(detail);
                    }
                }
                // The run goes on, whether the store answers now or not: it is asked again at the next look.
                Err(StoreError::Unavailable(reason)) => tracing::debug!(run.id = %self.run, reason, "api.run_events: not read"),
                Err(error) => {
                    tracing::error!(run.id = %self.run, %error, "api.run_events: the run cannot be told");
                    return None;
                }
            }
            let hint = async {
                // A slow watcher looks for itself.
                while matches!(self.changes.recv().await, Ok(changed) if changed != self.run) {}
            };
            tokio::select! {
                () = hint => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.app.engine.stopped() => return None,
            }
        }
        None
    }
}
