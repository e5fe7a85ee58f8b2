//! `GET /ui/events`: tells an open page what changed, so that it need not be loaded again.
//!
//! The store is the truth. Hints of this process say when to look; a look now and then finds what other
//! processes did.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    time::Duration,
};

use axum::{
    extract::{Query, State},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::stream::{Stream, unfold};
use serde::Deserialize;
use serde_json::json;
use store::{RunFilter as StoreFilter, RunId, RunRow, StoreError};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep_until},
};

use super::{
    runs::{self, ROWS},
    visit::{Asked, Visitor},
};
use crate::{error::ApiError, pages::RunFilter, state::Shared};

/// Looked for changes of other processes this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The list is sent at most once in this time, so a run is too.
const LIST_PAUSE: Duration = Duration::from_secs(1);
/// A run page is told at most once in this time.
const RUN_PAUSE: Duration = Duration::from_millis(500);
/// The page calls a stream lost after 15 s of silence.
const PING_EVERY: Duration = Duration::from_secs(8);
/// More new runs than this are told as a number.
const NEW_MAX: usize = 20;
/// Runs that are known to be new to a page; beyond it the page has been told enough.
const KNOWN_MAX: usize = 10_000;

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    page: String,
    id: Option<String>,
    seen: Option<String>,
}

pub(super) async fn events(
    State(app): State<Shared>,
    visitor: Visitor,
    Query(which): Query<Which>,
    filter: Asked<RunFilter>,
) -> Result<Response, ApiError> {
    // Watched before the first look, so that no change falls between.
    let changes = app.engine.live.watch();
    let subject = match which.page.as_str() {
        "run" => {
            let text = which.id.unwrap_or_default();
            let run = text.parse().map_err(|_| ApiError::not_found(format!("run {text}")))?;
            Subject::Run { run, seq: 0, row: None }
        }
        "runs" => {
            let filter = filter.map(|query| query.0).unwrap_or_default();
            let newest = which.seen.and_then(|seen| seen.parse().ok());
            Subject::List(Box::new(List { filter, visitor, newest, shown: HashMap::new(), begun: false, known: HashSet::new() }))
        }
        other => return Err(ApiError::field("page", format!("page is {other:?}; it must be \"run\" or \"runs\"."))),
    };
    let now = Instant::now();
    let feed = Feed { app, subject, changes, queue: VecDeque::from([ping()]), hints: HashSet::new(), looked: None, spoke: now };
    Ok(Sse::new(feed.stream()).into_response())
}

fn ping() -> Event {
    Event::default().event("ping").data("{}")
}

/// One open page.
struct Feed {
    app: Shared,
    subject: Subject,
    changes: Receiver<RunId>,
    queue: VecDeque<Event>,
    hints: HashSet<RunId>,
    looked: Option<Instant>,
    spoke: Instant,
}

/// What the page shows.
enum Subject {
    Run { run: RunId, seq: i32, row: Option<Box<RunRow>> },
    List(Box<List>),
}

struct List {
    filter: RunFilter,
    visitor: Visitor,
    /// The newest run the page shows.
    newest: Option<RunId>,
    /// Rows of the page as they were last told.
    shown: HashMap<RunId, RunRow>,
    begun: bool,
    /// New runs the page was told of.
    known: HashSet<RunId>,
}

impl Feed {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        unfold(self, |mut feed| async move {
            let event = feed.next().await?;
            Some((Ok(event), feed))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                self.spoke = Instant::now();
                return Some(event);
            }
            if !self.wait().await {
                return None;
            }
            let now = Instant::now();
            if self.due().is_none_or(|due| due <= now) {
                self.looked = Some(now);
                let hints = std::mem::take(&mut self.hints);
                // A store that does not answer now is asked again at the next look.
                match self.subject.look(&self.app, &hints).await {
                    Ok(events) => self.queue.extend(events),
                    Err(error) => tracing::debug!(%error, "ui.live: the store was not read"),
                }
            }
            if self.queue.is_empty() && self.spoke.elapsed() >= PING_EVERY {
                self.queue.push_back(ping());
            }
        }
    }

    /// When to look next; `None` before the first look.
    fn due(&self) -> Option<Instant> {
        let pause = match (&self.subject, self.hints.is_empty()) {
            (_, true) => LOOK_EVERY,
            (Subject::Run { .. }, false) => RUN_PAUSE,
            (Subject::List(_), false) => LIST_PAUSE,
        };
        self.looked.map(|looked| looked + pause)
    }

    /// Waits for the next look, taking hints meanwhile; false when this process stops.
    async fn wait(&mut self) -> bool {
        loop {
            let Some(due) = self.due() else { return !self.app.engine.is_stopping() };
            let due = due.min(self.spoke + PING_EVERY);
            tokio::select! {
                () = self.app.engine.stopped() => return false,
                () = sleep_until(due) => return true,
                changed = self.changes.recv() => match changed {
                    Ok(run) => {
                        if self.subject.concerns(run) {
                            self.hints.insert(run);
                        }
                    }
                    // Too many hints: the next look sees for itself.
                    Err(RecvError::Lagged(_)) => self.hints.extend(self.subject.run()),
                    Err(RecvError::Closed) => return false,
                }
            }
        }
    }
}

impl Subject {
    fn run(&self) -> Option<RunId> {
        match self {
            Self::Run { run, .. } => Some(*run),
            Self::List(_) => None,
        }
    }

    fn concerns(&self, changed: RunId) -> bool {
        self.run().is_none_or(|run| run == changed)
    }

    async fn look(&mut self, app: &Shared, hints: &HashSet<RunId>) -> Result<Vec<Event>, StoreError> {
        match self {
            Self::Run { run, seq, row } => {
                // Only what came since the last look is read.
                let next = app.store().next_seq(*run).await?;
                let now = app.store().run(*run).await?.map(Box::new);
                let changed = next != *seq || now != *row;
                (*seq, *row) = (next, now);
                Ok(if changed { vec![Event::default().event("changed").data("{}")] } else { Vec::new() })
            }
            Self::List(list) => list.look(app, hints).await,
        }
    }
}

impl List {
    async fn look(&mut self, app: &Shared, hints: &HashSet<RunId>) -> Result<Vec<Event>, StoreError> {
        let shell = self.visitor.plain_shell(app);
        let recipe = match &self.filter.recipe {
            Some(slug) => match app.store().recipe(slug).await? {
                Some(recipe) => Some(recipe.id),
                None => return Ok(Vec::new()),
            },
            None => None,
        };
        let wanted = runs::wanted(&self.filter, recipe, shell.now_us);
        let first = !self.begun;
        let mut rows = app.store().runs(&StoreFilter { limit: ROWS, ..wanted }).await?;
        let mut fresh = Vec::new();
        if first {
            self.begun = true;
            let newest = self.newest;
            // What began between the page and this look is new to the page.
            let (new, shown): (Vec<_>, Vec<_>) = rows.drain(..).partition(|row| newest.is_some_and(|newest| row.id > newest));
            fresh.extend(new);
            self.shown = shown.into_iter().map(|row| (row.id, row)).collect();
        }
        let mut changed: Vec<RunRow> = if first { self.shown.values().cloned().collect() } else { Vec::new() };
        let matching: HashSet<RunId> = rows.iter().map(|row| row.id).collect();
        let oldest = self.shown.keys().min().copied();
        let full = self.shown.len() >= ROWS as usize;
        for row in rows {
            match self.shown.get(&row.id) {
                Some(before) if *before != row => changed.push(row),
                Some(_) => {}
                // A row that only moved up because another left the list is not new.
                None if full && oldest.is_some_and(|oldest| row.id < oldest) => {}
                None => fresh.push(row),
            }
        }
        if !first {
            // Runs of the page that do not match any more, or may have changed after their end.
            let away = self.shown.values().filter(|row| !matching.contains(&row.id));
            let away: Vec<RunId> =
                away.filter(|row| !row.status.is_final() || hints.contains(&row.id)).map(|row| row.id).collect();
            for id in away {
                if let Some(row) = app.store().run(id).await?
                    && self.shown.get(&id) != Some(&row)
                {
                    changed.push(row);
                }
            }
        }
        let mut out = Vec::new();
        for row in changed {
            self.shown.insert(row.id, row.clone());
            out.extend(told(row, &shell, false));
        }
        fresh.retain(|row| self.known.len() < KNOWN_MAX && !self.known.contains(&row.id));
        if self.filter.cursor.is_none() {
            self.known.extend(fresh.iter().map(|row| row.id));
            if fresh.len() > NEW_MAX {
                out.extend(Event::default().event("new").json_data(json!({ "count": fresh.len() })));
            } else {
                out.extend(fresh.into_iter().filter_map(|row| told(row, &shell, true)));
            }
        }
        Ok(out)
    }
}

fn told(row: RunRow, shell: &crate::pages::Shell, new: bool) -> Option<Event> {
    let row = runs::row(row);
    let html = row.html(shell).ok()?;
    Event::default().event("run").json_data(json!({ "id": row.id, "row": html, "new": new })).ok()
}
