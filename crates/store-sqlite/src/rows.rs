//! Rows of the tables as the records of `store`.

use std::fmt::Display;

use serde_json::Value as Json;
use sqlx::{Decode, Row, Sqlite, Type, sqlite::SqliteRow};
use store::{
    ConnectionId, ConnectionRow, DeadLetter, ErrorRecord, Parent, RecipeId, RecipeRow, RunId, RunRow, RunStatus, StoreError,
    Timestamp, Via, WaitingFor,
};

/// What a list needs of an error; request and answer stay in the journal.
pub(crate) fn error_text(error: &ErrorRecord) -> String {
    let short = ErrorRecord { request: None, response: None, ..error.clone() };
    serde_json::to_string(&short).unwrap_or_default()
}

/// One column of a row; what does not fit its type is damage, named by its place.
pub(crate) fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T, StoreError>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
{
    row.try_get(column).map_err(|error| StoreError::Corrupt(format!("{column} of {} cannot be read: {error}", whose(row))))
}

/// Which row it is, as far as it can be read.
fn whose(row: &SqliteRow) -> String {
    let text = ["slug", "name", "connection"].iter().find_map(|column| row.try_get::<String, _>(*column).ok());
    let id = || ["id", "run_id"].iter().find_map(|column| row.try_get::<uuid::Uuid, _>(*column).ok());
    text.or_else(|| id().map(|id| id.to_string())).unwrap_or_else(|| "a row".to_owned())
}

pub(crate) fn instant(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp::from_micros))
}

pub(crate) fn json(text: &str, place: impl Display) -> Result<Json, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("{place} is not JSON: {error}")))
}

/// The columns [`run`] reads, with the recipe joined in as `c`.
pub(crate) const RUN_COLUMNS: &str = "r.id, r.recipe_id, c.slug, c.title, r.version, r.status, r.waiting_for, r.due_at, r.label, \
    r.via, r.replay_of, r.accepted_at, r.ended_at, r.attempts, r.error, r.dead_letter, r.parent_run, \
    r.parent_path";

pub(crate) fn run(row: &SqliteRow) -> Result<RunRow, StoreError> {
    let id = RunId(get(row, "id")?);
    let nonsense = |column: &str| StoreError::Corrupt(format!("runs.{column} of {id} makes no sense"));
    Ok(RunRow {
        id,
        recipe: RecipeId(get(row, "recipe_id")?),
        slug: get(row, "slug")?,
        title: get(row, "title")?,
        version: get(row, "version")?,
        status: RunStatus::from_number(get(row, "status")?).ok_or_else(|| nonsense("status"))?,
        waiting_for: get::<Option<i16>>(row, "waiting_for")?
            .map(|number| WaitingFor::from_number(number).ok_or_else(|| nonsense("waiting_for")))
            .transpose()?,
        due_at: instant(row, "due_at")?,
        label: get(row, "label")?,
        via: Via::from_number(get(row, "via")?).ok_or_else(|| nonsense("via"))?,
        replay_of: get::<Option<uuid::Uuid>>(row, "replay_of")?.map(RunId),
        parent: parent(row)?,
        accepted_at: Timestamp::from_micros(get(row, "accepted_at")?),
        ended_at: instant(row, "ended_at")?,
        attempts: get(row, "attempts")?,
        error: get::<Option<String>>(row, "error")?
            .map(|text| serde_json::from_str(&text).map_err(|_| nonsense("error")))
            .transpose()?,
        dead_letter: get::<Option<i16>>(row, "dead_letter")?
            .map(|number| DeadLetter::from_number(number).ok_or_else(|| nonsense("dead_letter")))
            .transpose()?,
    })
}

/// The step that called a run, of its columns `parent_run` and `parent_path`.
pub(crate) fn parent(row: &SqliteRow) -> Result<Option<Parent>, StoreError> {
    let (run, path) = (get::<Option<uuid::Uuid>>(row, "parent_run")?, get::<Option<String>>(row, "parent_path")?);
    Ok(run.zip(path).map(|(run, path)| Parent { run: RunId(run), path: path.into() }))
}

/// The columns [`recipe`] reads.
pub(crate) const RECIPE_COLUMNS: &str =
    "id, slug, title, latest_version, active_version, params, hook_token, revision, created_at, updated_at";

pub(crate) fn recipe(row: &SqliteRow) -> Result<RecipeRow, StoreError> {
    let slug: String = get(row, "slug")?;
    Ok(RecipeRow {
        id: RecipeId(get(row, "id")?),
        title: get(row, "title")?,
        latest_version: get(row, "latest_version")?,
        active_version: get(row, "active_version")?,
        params: json(&get::<String>(row, "params")?, format_args!("recipes.params of {slug}"))?,
        hook_token: get(row, "hook_token")?,
        revision: get(row, "revision")?,
        created_at: Timestamp::from_micros(get(row, "created_at")?),
        updated_at: Timestamp::from_micros(get(row, "updated_at")?),
        slug,
    })
}

/// The columns [`connection`] reads.
pub(crate) const CONNECTION_COLUMNS: &str = "id, name, connector, config, sealed, revision, created_at, updated_at";

pub(crate) fn connection(row: &SqliteRow) -> Result<ConnectionRow, StoreError> {
    let name: String = get(row, "name")?;
    Ok(ConnectionRow {
        id: ConnectionId(get(row, "id")?),
        connector: get(row, "connector")?,
        config: json(&get::<String>(row, "config")?, format_args!("connections.config of {name}"))?,
        sealed: get(row, "sealed")?,
        revision: get(row, "revision")?,
        created_at: Timestamp::from_micros(get(row, "created_at")?),
        updated_at: Timestamp::from_micros(get(row, "updated_at")?),
        name,
    })
}
