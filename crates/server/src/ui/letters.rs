//! `/dead-letters`: failed runs by cause, what is done about many of them, and `/operations/{id}`.

use axum::{
    extract::{Path, RawForm, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use engine::{control::Replay, trial::short_name};
use store::{ItemState, Operation, OperationChange, OperationKind, RunFilter as Wanted, RunId, RunRow, Timestamp};

use super::{
    causes, run_rows,
    run_story::started_by,
    runs::{ROWS, failure},
    visit::{Visitor, page},
};
use crate::{
    api::{
        dead_letters::{Bulk, begin, read_fingerprint},
        instant, operations,
    },
    detail::{self, StepStatus},
    error::ApiError,
    pages::{
        RecipeChoice,
        dead_letters::{
            ActPage, EditPage, LetterFilter, LetterRow, LettersPage, OperationPage, OperationView, RefusedRow, Repeated,
        },
        format,
    },
    state::{App, Shared},
};

/// Dead letters are counted so far.
const COUNTED_MAX: u32 = 10_000;
/// Operations looked through for those that are not over.
const OPERATIONS: u32 = 20;
/// Runs looked at to tell what would happen again.
const LOOKED_AT: u32 = 10;
/// The longest event that is corrected on a page. A form may have 2 MB, and writes most characters of JSON as three.
const EDITED_BYTES_MAX: usize = 640 * 1024;
/// Refusals on the page of an operation.
const REFUSED: u32 = 100;

type Pairs = Vec<(String, String)>;

fn pairs(bytes: &[u8]) -> Pairs {
    form_urlencoded::parse(bytes).into_owned().collect()
}

fn one<'p>(pairs: &'p Pairs, name: &str) -> Option<&'p str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
}

/// The list.
pub(super) async fn list(State(app): State<Shared>, visitor: Visitor, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let filter = LetterFilter::read(&pairs(query.unwrap_or_default().as_bytes()));
    let shell = visitor.shell(&app).await;
    let store = app.store();
    app.engine.sort_letters().await?;
    let recipes = store.recipes().await?;
    let wanted = wanted(&app, &filter, shell.now_us).await?;
    let rows = store.runs(&Wanted { limit: ROWS + 1, before: cursor(&filter), ..wanted.clone() }).await;
    let total = count(&app, &wanted).await?;
    let (rows, next_cursor) = match rows {
        Ok(mut rows) => {
            let more = rows.len() > ROWS as usize;
            rows.truncate(ROWS as usize);
            let next = rows.last().filter(|_| more).map(|row| row.id.to_string());
            (Ok(rows.into_iter().map(letter).collect()), next)
        }
        Err(error) => (Err(failure("The dead letters could not be loaded", &error)), None),
    };
    let open = store.operations(None, OPERATIONS).await?.into_iter().filter(|operation| !operation.state.is_final());
    let page_of_letters = LettersPage {
        causes: causes::panel(&app, wanted.recipe, filter.cause.clone(), app.now()).await?,
        operations: open.map(view).collect(),
        recipes: recipes.into_iter().map(|recipe| RecipeChoice { slug: recipe.slug, title: recipe.title }).collect(),
        shell,
        filter,
        total,
        rows,
        next_cursor,
    };
    Ok(page(StatusCode::OK, &page_of_letters))
}

fn cursor(filter: &LetterFilter) -> Option<RunId> {
    filter.cursor.as_deref().and_then(|cursor| cursor.parse().ok())
}

/// The filter as the store understands it.
async fn wanted(app: &App, filter: &LetterFilter, now_us: i64) -> Result<Wanted, ApiError> {
    let recipe = match &filter.recipe {
        None => None,
        Some(slug) => Some(app.store().recipe(slug).await?.ok_or_else(|| ApiError::not_found(format!("recipe {slug}")))?.id),
    };
    Ok(Wanted {
        recipe,
        text: filter.q.clone(),
        since: since(filter, now_us),
        cause: read_fingerprint(filter.cause.as_deref())?,
        dead_letters: true,
        limit: ROWS,
        ..Wanted::default()
    })
}

fn since(filter: &LetterFilter, now_us: i64) -> Option<Timestamp> {
    filter.since.as_deref().and_then(|text| format::parse_instant(text, now_us)).map(Timestamp::from_micros)
}

async fn count(app: &App, wanted: &Wanted) -> Result<(u64, bool), ApiError> {
    let count = app.store().count_dead_letters(&Wanted { limit: COUNTED_MAX, ..wanted.clone() }).await?;
    Ok((u64::from(count), count == COUNTED_MAX))
}

fn letter(row: RunRow) -> LetterRow {
    let step = row.error.as_ref().and_then(|error| error.path.clone());
    LetterRow {
        id: row.id.to_string(),
        reason: row.error.map(|error| error.message).unwrap_or_default(),
        step,
        recipe_title: row.title,
        version: u32::try_from(row.version).unwrap_or(0),
        label: row.label.filter(|label| !label.is_empty()),
        source: started_by(row.via),
        failed_us: row.ended_at.unwrap_or(row.accepted_at).micros(),
        tries: u32::try_from(row.attempts).unwrap_or(0).max(1),
    }
}

fn view(operation: Operation) -> OperationView {
    let number = |number: i32| u64::try_from(number).unwrap_or(0);
    OperationView {
        id: operation.id.to_string(),
        kind: operation.kind.as_str(),
        state: operation.state.as_str(),
        first: number(operation.first),
        total: number(operation.total),
        done: number(operation.done),
        failed: number(operation.failed),
        note: operation.note,
        by: operation.by,
        at_us: operation.at.micros(),
    }
}

/// What is to be done? Asked before it is, with what would happen again.
pub(super) async fn ask(State(app): State<Shared>, visitor: Visitor, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let asked = pairs(query.unwrap_or_default().as_bytes());
    let filter = LetterFilter::read(&asked);
    // Nothing ticked must never mean everything.
    if filter.ids.is_empty() && one(&asked, "all").is_none() {
        return Ok(Redirect::to(&filter.href()).into_response());
    }
    let shell = visitor.shell(&app).await;
    let (runs, total) = if filter.ids.is_empty() {
        let wanted = wanted(&app, &filter, shell.now_us).await?;
        let rows = app.store().runs(&Wanted { limit: LOOKED_AT, ..wanted.clone() }).await?;
        (rows.into_iter().map(|row| row.id).collect(), count(&app, &wanted).await?)
    } else {
        let some = filter.ids.iter().take(LOOKED_AT as usize);
        (some.filter_map(|id| id.parse().ok()).collect::<Vec<RunId>>(), (filter.ids.len() as u64, false))
    };
    let mut asking = ActPage {
        shell,
        choice: one(&asked, "what").unwrap_or("resume").to_owned(),
        filter,
        total,
        resumed: Vec::new(),
        replayed: Vec::new(),
        looked: runs.len() as u64,
        doubts: false,
    };
    for run in runs {
        look(&app, run, &mut asking).await?;
    }
    Ok(page(StatusCode::OK, &asking))
}

/// Notes what a run would do again.
async fn look(app: &App, run: RunId, asking: &mut ActPage) -> Result<(), ApiError> {
    let Some(run) = detail::read(app.store(), run).await? else { return Ok(()) };
    let Ok(program) = app.engine.program(run.row.recipe, run.row.version).await else { return Ok(()) };
    for step in run.steps.iter().filter(|step| !step.attempts.is_empty()) {
        let id = short_name(&step.path);
        let doubt = step.status == StepStatus::Uncertain;
        asking.doubts |= doubt;
        let input = step.input.as_deref().unwrap_or(&serde_json::Value::Null);
        let Some(safe) = program.is_safe_to_repeat(id, input) else { continue };
        let taken_back = id.strip_suffix(".undo");
        let known = program.outline.iter().find(|step| step.id == taken_back.unwrap_or(id));
        let title = known.map_or_else(|| id.to_owned(), |step| step.title.clone());
        let repeated = Repeated {
            title: if taken_back.is_some() { run_rows::undo_title(&title) } else { title },
            uses: program.uses(id).unwrap_or_default(),
            safe,
        };
        if (doubt || step.status == StepStatus::Failed) && step.output.is_none() && !asking.resumed.contains(&repeated) {
            // It may happen a second time exactly where a person has to say.
            asking.resumed.push(Repeated { safe: safe && !doubt, ..repeated.clone() });
        }
        let safe = program.is_safe_to_replay(id, input).unwrap_or(safe);
        let replayed = Repeated { safe, ..repeated };
        // A new run takes nothing back of the old one.
        if taken_back.is_none() && !asking.replayed.contains(&replayed) {
            asking.replayed.push(replayed);
        }
    }
    Ok(())
}

/// Begins what was asked for and goes to its progress.
pub(super) async fn act(State(app): State<Shared>, visitor: Visitor, RawForm(form): RawForm) -> Result<Response, ApiError> {
    let form = pairs(&form);
    let filter = LetterFilter::read(&form);
    let number = |name: &str| one(&form, name).map(str::parse::<u32>).transpose();
    let (Ok(first), Ok(rate)) = (number("first"), number("rate")) else {
        return Err(ApiError::field("rate", "The number of runs a second must be a whole number. Go back and correct it."));
    };
    let (kind, version) = match one(&form, "choice") {
        Some("resume") => (OperationKind::Resume, None),
        Some("active") => (OperationKind::Resume, Some("active".to_owned())),
        Some("replay") => (OperationKind::Replay, None),
        Some("discard") => (OperationKind::Discard, None),
        _ => return Err(ApiError::field("choice", "Choose what to do. Go back and tick one.")),
    };
    let ticked = !filter.ids.is_empty();
    let narrow = |value: &Option<String>| value.clone().filter(|_| !ticked);
    let wish = Bulk {
        ids: ticked.then(|| filter.ids.clone()),
        recipe: narrow(&filter.recipe),
        fingerprint: narrow(&filter.cause),
        q: narrow(&filter.q),
        since: since(&filter, app.now().micros()).filter(|_| !ticked).map(instant),
        until: None,
        // The page says how many that is before anybody presses the button.
        all: (!ticked && filter.pairs().is_empty() && one(&form, "all").is_some()).then_some(true),
        version,
        uncertain: one(&form, "uncertain").filter(|_| kind == OperationKind::Resume).map(str::to_owned),
        output: None,
        reason: one(&form, "reason").map(str::to_owned),
        patch: None,
        first: first.filter(|_| kind != OperationKind::Discard),
        rate: rate.filter(|_| kind != OperationKind::Discard),
    };
    let operation = begin(&app, &visitor.name, kind, wish).await?;
    Ok(Redirect::to(&format!("/operations/{}", operation.id)).into_response())
}

/// How far an operation is.
pub(super) async fn operation(State(app): State<Shared>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, ApiError> {
    let shell = visitor.shell(&app).await;
    let found = app.store().operation(operations::read_operation(&id)?).await?;
    let operation = found.ok_or_else(|| ApiError::not_found(format!("operation {id}")))?;
    let refused = app.store().operation_items(operation.id, Some(ItemState::Failed), None, REFUSED).await?;
    let refused = refused
        .into_iter()
        .map(|item| RefusedRow { run: item.run.to_string(), message: item.message.unwrap_or_default() })
        .collect();
    Ok(page(StatusCode::OK, &OperationPage { shell, operation: view(operation), refused }))
}

/// Pauses an operation, goes on with it, or ends it.
pub(super) async fn change(
    State(app): State<Shared>,
    _visitor: Visitor,
    Path((id, what)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let wish = match what.as_str() {
        "pause" => OperationChange::Pause,
        "resume" => OperationChange::GoOn,
        "stop" => OperationChange::Stop(None),
        _ => return Err(ApiError::not_found(format!("page /operations/{id}/{what}"))),
    };
    match operations::change(&app, &id, wish).await {
        // It may be over since the page was made; the page says so.
        Err(error) if error.code != "NOT_NOW" => Err(error),
        _ => Ok(Redirect::to(&format!("/operations/{id}")).into_response()),
    }
}

/// The event of a failed run, to be corrected.
pub(super) async fn edit(State(app): State<Shared>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, ApiError> {
    let run = read(&app, &id).await?;
    // Asked for by itself: the run's detail shows null in place of a large one.
    let event = app.engine.event(run.row.id).await?;
    let event = serde_json::to_string_pretty(&event).unwrap_or_default();
    if event.len() > EDITED_BYTES_MAX {
        return Err(ApiError::conflict(
            "EVENT_TOO_LARGE",
            format!(
                "The event of this run has {} KB, and a page corrects at most {} KB. Send the corrected one with \"liaison runs replay {id} \
                 --event @corrected.json\" or over the API, or replay the run with the event as it is.",
                event.len() / 1024,
                EDITED_BYTES_MAX / 1024
            ),
        ));
    }
    let shell = visitor.shell(&app).await;
    Ok(page(StatusCode::OK, &EditPage { shell, run: id, recipe_title: run.row.title, event, problem: None }))
}

async fn read(app: &App, id: &str) -> Result<detail::RunDetail, ApiError> {
    let run = match id.parse::<RunId>() {
        Ok(run) => detail::read(app.store(), run).await?,
        Err(_) => None,
    };
    run.ok_or_else(|| ApiError::not_found(format!("run {id}")))
}

/// Replays a run with the event as it was corrected.
pub(super) async fn replay(
    State(app): State<Shared>,
    visitor: Visitor,
    Path(id): Path<String>,
    RawForm(form): RawForm,
) -> Result<Response, ApiError> {
    let run = read(&app, &id).await?;
    let form = pairs(&form);
    let event = one(&form, "event").unwrap_or_default().to_owned();
    match serde_json::from_str(&event) {
        Ok(event) => {
            let new = app.engine.replay_with(run.row.id, Replay { event: Some(event), ..Replay::default() }).await?;
            Ok(Redirect::to(&format!("/runs/{}", new.run)).into_response())
        }
        Err(error) => {
            let problem = Some(format!("This is not JSON: {error}. Correct it and send it again."));
            let shell = visitor.shell(&app).await;
            let again = EditPage { shell, run: id, recipe_title: run.row.title, event, problem };
            Ok(page(StatusCode::UNPROCESSABLE_ENTITY, &again))
        }
    }
}
