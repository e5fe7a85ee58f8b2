//! Rows of the tables as the records of `store`.

use std::{borrow::Cow, fmt::Display};

use serde_json::Value as Json;
use sqlx::{Decode, Postgres, Row, Type, postgres::PgRow};
use store::{
    ConnectionId, ConnectionRow, DeadLetter, ErrorRecord, Parent, RecipeId, RecipeRow, RunId, RunRow, RunStatus, StoreError,
    Timestamp, Via, WaitingFor,
};

/// What a list needs of an error; request and answer stay in the journal.
pub(crate) fn error_text(error: &ErrorRecord) -> String {
    let short = ErrorRecord { request: None, response: None, ..error.clone() };
    serde_json::to_string(&short).unwrap_or_default()
}

/// PostgreSQL keeps no NUL in a text; events of strangers may contain one.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// One column of a row, named with its table; what does not fit its type is damage, named by its place.
pub(crate) fn get<'r, T>(row: &'r PgRow, place: &str) -> Result<T, StoreError>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    let column = place.rsplit_once('.').map_or(place, |(_, column)| column);
    row.try_get(column).map_err(|error| StoreError::Corrupt(format!("{place} of {} cannot be read: {error}", whose(row))))
}

/// Which row it is, as far as it can be read.
fn whose(row: &PgRow) -> String {
    let text = ["slug", "name", "connection"].iter().find_map(|column| row.try_get::<String, _>(*column).ok());
    let id = || ["id", "run_id"].iter().find_map(|column| row.try_get::<uuid::Uuid, _>(*column).ok());
    text.or_else(|| id().map(|id| id.to_string())).unwrap_or_else(|| "a row".to_owned())
}

pub(crate) fn instant(row: &PgRow, place: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, place)?.map(Timestamp::from_micros))
}

pub(crate) fn json(text: &str, place: impl Display) -> Result<Json, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("{place} is not JSON: {error}")))
}

/// The columns [`run`] reads, with the recipe joined in as `c`.
pub(crate) const RUN_COLUMNS: &str = "r.id, r.recipe_id, c.slug, c.title, r.version, r.status, r.waiting_for, r.due_at, r.label, \
    r.via, r.replay_of, r.accepted_at, r.ended_at, r.attempts, r.error, r.dead_letter, r.parent_run, \
    r.parent_path";

pub(crate) fn run(row: &PgRow) -> Result<RunRow, StoreError> {
    let id = RunId(get(row, "runs.id")?);
    let nonsense = |column: &str| StoreError::Corrupt(format!("runs.{column} of {id} makes no sense"));
    Ok(RunRow {
        id,
        recipe: RecipeId(get(row, "runs.recipe_id")?),
        slug: get(row, "recipes.slug")?,
        title: get(row, "recipes.title")?,
        version: get(row, "runs.version")?,
        status: RunStatus::from_number(get(row, "runs.status")?).ok_or_else(|| nonsense("status"))?,
        waiting_for: get::<Option<i16>>(row, "runs.waiting_for")?
            .map(|number| WaitingFor::from_number(number).ok_or_else(|| nonsense("waiting_for")))
            .transpose()?,
        due_at: instant(row, "runs.due_at")?,
        label: get(row, "runs.label")?,
        via: Via::from_number(get(row, "runs.via")?).ok_or_else(|| nonsense("via"))?,
        replay_of: get::<Option<uuid::Uuid>>(row, "runs.replay_of")?.map(RunId),
        parent: parent(row)?,
        accepted_at: Timestamp::from_micros(get(row, "runs.accepted_at")?),
        ended_at: instant(row, "runs.ended_at")?,
        attempts: get(row, "runs.attempts")?,
        error: get::<Option<String>>(row, "runs.error")?
            .map(|text| serde_json::from_str(&text).map_err(|_| nonsense("error")))
            .transpose()?,
        dead_letter: get::<Option<i16>>(row, "runs.dead_letter")?
            .map(|number| DeadLetter::from_number(number).ok_or_else(|| nonsense("dead_letter")))
            .transpose()?,
    })
}

/// The step that called a run, of its columns `parent_run` and `parent_path`.
pub(crate) fn parent(row: &PgRow) -> Result<Option<Parent>, StoreError> {
    let (run, path) = (get::<Option<uuid::Uuid>>(row, "runs.parent_run")?, get::<Option<String>>(row, "runs.parent_path")?);
    Ok(run.zip(path).map(|(run, path)| Parent { run: RunId(run), path: path.into() }))
}

/// The columns [`recipe`] reads.
pub(crate) const RECIPE_COLUMNS: &str =
    "id, slug, title, latest_version, active_version, params, hook_token, revision, created_at, updated_at";

pub(crate) fn recipe(row: &PgRow) -> Result<RecipeRow, StoreError> {
    let slug: String = get(row, "recipes.slug")?;
    Ok(RecipeRow {
        id: RecipeId(get(row, "recipes.id")?),
        title: get(row, "recipes.title")?,
        latest_version: get(row, "recipes.latest_version")?,
        active_version: get(row, "recipes.active_version")?,
        params: json(&get::<String>(row, "recipes.params")?, format_args!("recipes.params of {slug}"))?,
        hook_token: get(row, "recipes.hook_token")?,
        revision: get(row, "recipes.revision")?,
        created_at: Timestamp::from_micros(get(row, "recipes.created_at")?),
        updated_at: Timestamp::from_micros(get(row, "recipes.updated_at")?),
        slug,
    })
}

/// The columns [`connection`] reads.
pub(crate) const CONNECTION_COLUMNS: &str = "id, name, connector, config, sealed, revision, created_at, updated_at";

pub(crate) fn connection(row: &PgRow) -> Result<ConnectionRow, StoreError> {
    let name: String = get(row, "connections.name")?;
    Ok(ConnectionRow {
        id: ConnectionId(get(row, "connections.id")?),
        connector: get(row, "connections.connector")?,
        config: json(&get::<String>(row, "connections.config")?, format_args!("connections.config of {name}"))?,
        sealed: get(row, "connections.sealed")?,
        revision: get(row, "connections.revision")?,
        created_at: Timestamp::from_micros(get(row, "connections.created_at")?),
        updated_at: Timestamp::from_micros(get(row, "connections.updated_at")?),
        name,
    })
}
