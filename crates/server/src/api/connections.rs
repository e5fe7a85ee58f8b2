//! Connections: settings in the open, credentials write-only.

use std::collections::{BTreeMap, HashMap};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use connector::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{ConnectionId, ConnectionRow, Put, SealedAt, StoreError};
use utoipa::ToSchema;

use super::{
    JsonBody, Page, Part,
    health::{ForecastOut, HealthOut},
    instant,
};
use crate::{
    access::{Caller, Scope},
    error::{ApiError, ErrorBody, ErrorDetail},
    state::Shared,
};

/// A connection. Credentials never leave; only the names of those set are told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionOut {
    id: String,
    name: String,
    connector: String,
    config: Value,
    /// Names of the credentials that are set.
    credentials: Vec<String>,
    /// Why the credentials cannot be used, and what to do; only there when they cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<String>,
    #[serde(flatten)]
    health: HealthOut,
    /// Only of one connection.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    forecast: Option<ForecastOut>,
    created_at: String,
    updated_at: String,
}

/// A connection to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConnection {
    /// `[a-z][a-z0-9_]{0,39}`; recipes' logical names bind to it.
    name: String,
    connector: String,
    #[serde(default)]
    config: Value,
    #[serde(default)]
    credentials: BTreeMap<String, String>,
}

/// What to change of a connection.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectionChange {
    /// Replaces the settings.
    config: Option<Value>,
    /// Replaces the credentials named; null removes one.
    credentials: Option<BTreeMap<String, Option<String>>>,
}

/// A connector of this build.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectorOut {
    id: String,
    title: String,
    summary: String,
    /// JSON Schema of a connection's config.
    config: Value,
    /// JSON Schema of a connection's credentials.
    credentials: Value,
    actions: Vec<ActionOut>,
    triggers: Vec<TriggerOut>,
}

/// Something a connector can do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActionOut {
    id: String,
    title: String,
    summary: String,
    input: Value,
    output: Value,
}

/// Something that can start a recipe.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TriggerOut {
    id: String,
    title: String,
    summary: String,
    config: Value,
    output: Value,
}

/// One whose credentials cannot be opened is shown as what it is: it hides none of the others.
async fn out(app: &Shared, row: ConnectionRow, health: HealthOut) -> Result<ConnectionOut, ApiError> {
    let (credentials, damaged) = match app.engine.vault.open(&SealedAt::Connection(row.id), &row.sealed).await {
        Ok(secrets) => (secrets.into_keys().collect(), None),
        Err(StoreError::Corrupt(_)) => (Vec::new(), Some(DAMAGED.to_owned())),
        Err(error @ StoreError::WrongKey { .. }) => (Vec::new(), Some(format!("{error}. {WRONG_KEY}"))),
        Err(error) => return Err(error.into()),
    };
    Ok(ConnectionOut {
        id: row.id.to_string(),
        name: row.name,
        connector: row.connector,
        config: row.config,
        credentials,
        damaged,
        health,
        forecast: None,
        created_at: instant(row.created_at),
        updated_at: instant(row.updated_at),
    })
}

/// One connection with all that is known of it.
async fn one(app: &Shared, row: ConnectionRow) -> Result<ConnectionOut, ApiError> {
    let forecast = ForecastOut::of_one(app, &row.name, app.now()).await?;
    let health = HealthOut::of_all(app, std::slice::from_ref(&row)).await?;
    let health = health.into_iter().next().ok_or_else(|| StoreError::Internal("a connection was left out".to_owned()))?;
    Ok(ConnectionOut { forecast: Some(forecast), ..out(app, row, health).await? })
}

const DAMAGED: &str = "The credentials of this connection are damaged in the database and cannot be opened; calls through it fail. \
    Enter all of them again (PATCH this connection with all its credentials), or restore a backup from before.";
const WRONG_KEY: &str = "Start with that key, or enter all credentials of this connection again.";

fn check_name(name: &str) -> Result<(), ApiError> {
    let mut chars = name.chars();
    let good = chars.next().is_some_and(|first| first.is_ascii_lowercase())
        && name.len() <= 40
        && chars.all(|other| other.is_ascii_lowercase() || other.is_ascii_digit() || other == '_');
    if good {
        Ok(())
    } else {
        Err(ApiError::field(
            "name",
            format!("{name:?} is no name for a connection: use a letter, then letters, digits and _, 40 at most."),
        ))
    }
}

fn validate(app: &Shared, connector: &str, config: &Value, credentials: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let found = app.engine.connectors.iter().find(|candidate| candidate.id == connector).ok_or_else(|| {
        let known: Vec<_> = app.engine.connectors.iter().map(|candidate| candidate.id).collect();
        ApiError::field("connector", format!("There is no connector {connector:?}. This build has {}.", known.join(", ")))
    })?;
    let secrets: HashMap<String, Secret> =
        credentials.iter().map(|(name, text)| (name.clone(), Secret::new(text.clone()))).collect();
    // Circuit and budget are the engine's; the connector sees the rest.
    let theirs = (found.validate)(&engine::gate::settings::without_ours(config), &secrets).err();
    let ours = engine::gate::settings::read(config, &found.limits).err();
    if theirs.is_none() && ours.is_none() {
        return Ok(());
    }
    let problems = theirs.into_iter().chain(ours).flatten();
    let details = problems.map(|(field, message)| ErrorDetail { field, message }).collect();
    Err(ApiError::invalid("The connection cannot work like this. Nothing was saved.", details))
}

async fn find(app: &Shared, name: &str) -> Result<ConnectionRow, ApiError> {
    app.store().connection(name).await?.ok_or_else(|| ApiError::not_found(format!("connection {name:?}")))
}

/// All connections, by name.
#[utoipa::path(get, path = "/connections", tag = "connections", params(Part), responses((status = 200, body = Page<ConnectionOut>)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(asked): Query<Part>,
) -> Result<Json<Page<ConnectionOut>>, ApiError> {
    caller.need(Scope::ConnectionsRead)?;
    let rows = app.store().connections().await?;
    let health = HealthOut::of_all(&app, &rows).await?;
    let mut all = Vec::with_capacity(rows.len());
    for (row, health) in rows.into_iter().zip(health) {
        all.push(out(&app, row, health).await?);
    }
    Ok(Json(Page::part(all, asked.limit, asked.cursor, |row| row.name.clone(), |row: &ConnectionOut| row.name.clone())?))
}

/// One connection.
#[utoipa::path(get, path = "/connections/{name}", tag = "connections", params(("name" = String, Path)),
    responses((status = 200, body = ConnectionOut), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<ConnectionOut>, ApiError> {
    caller.need(Scope::ConnectionsRead)?;
    Ok(Json(one(&app, find(&app, &name).await?).await?))
}

/// Makes a connection. Its credentials are sealed before they are stored.
#[utoipa::path(post, path = "/connections", tag = "connections", request_body = NewConnection,
    responses((status = 201, body = ConnectionOut), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    JsonBody(new): JsonBody<NewConnection>,
) -> Result<(StatusCode, Json<ConnectionOut>), ApiError> {
    caller.need(Scope::ConnectionsWrite)?;
    check_name(&new.name)?;
    let config = if new.config.is_null() { Value::Object(Map::new()) } else { new.config };
    validate(&app, &new.connector, &config, &new.credentials)?;
    let has_refresh_token = new.credentials.contains_key("refresh_token");
    let now = app.now();
    let id = ConnectionId::new(now, app.engine.random());
    let row = ConnectionRow {
        id,
        name: new.name,
        connector: new.connector,
        config,
        sealed: Vec::new(),
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    let create = |sealed| app.store().create_connection(ConnectionRow { sealed, ..row.clone() });
    match app.engine.vault.keep(&SealedAt::Connection(id), &new.credentials, create).await? {
        Put::Done(row) => {
            app.engine.refresh().await?;
            if app.engine.signs_in_by_browser(&row).await? && !has_refresh_token {
                app.engine.awaits_sign_in(&row.name).await?;
            }
            Ok((StatusCode::CREATED, Json(one(&app, row).await?)))
        }
        Put::NameTaken | Put::Gone => Err(ApiError::conflict(
            "NAME_TAKEN",
            "There is a connection of that name already. Change it, or choose another name.",
        )),
    }
}

/// What a test call showed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestOut {
    /// True when the connection works, false when it does not, null when there is nothing to call.
    works: Option<bool>,
    /// What happened, in words.
    message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// The class and code of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

/// Makes one harmless call through a connection and tells what happened.
#[utoipa::path(post, path = "/connections/{name}/test", tag = "connections", params(("name" = String, Path)),
    responses((status = 200, body = TestOut), (status = 404, body = ErrorBody)))]
pub(crate) async fn test(State(app): State<Shared>, caller: Caller, Path(name): Path<String>) -> Result<Json<TestOut>, ApiError> {
    caller.need(Scope::ConnectionsWrite)?;
    find(&app, &name).await?;
    app.engine.refresh().await?;
    let plain = |works, message: &str| TestOut { works, message: message.to_owned(), next: None, class: None, code: None };
    Ok(Json(match app.engine.test_connection(&name).await {
        None => plain(None, "This connector makes no calls of its own; its settings are complete."),
        Some(Ok(())) => plain(Some(true), "The other system answered."),
        Some(Err(error)) => TestOut {
            works: Some(false),
            message: error.message,
            next: error.next,
            class: Some(error.class.as_str().to_owned()),
            code: Some(error.code),
        },
    }))
}

/// Changes a connection's settings or credentials.
#[utoipa::path(patch, path = "/connections/{name}", tag = "connections", params(("name" = String, Path)), request_body = ConnectionChange,
    responses((status = 200, body = ConnectionOut), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn update(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    JsonBody(change): JsonBody<ConnectionChange>,
) -> Result<Json<ConnectionOut>, ApiError> {
    caller.need(Scope::ConnectionsWrite)?;
    let mut row = find(&app, &name).await?;
    let at = SealedAt::Connection(row.id);
    // What cannot be opened is replaced as a whole; the connector says what is missing then.
    let mut secrets = match app.engine.vault.open(&at, &row.sealed).await {
        Err(StoreError::Corrupt(_) | StoreError::WrongKey { .. }) if change.credentials.is_some() => BTreeMap::new(),
        opened => opened?,
    };
    for (field, text) in change.credentials.unwrap_or_default() {
        match text {
            Some(text) => drop(secrets.insert(field, text)),
            None => drop(secrets.remove(&field)),
        }
    }
    if let Some(config) = change.config {
        row.config = config;
    }
    validate(&app, &row.connector, &row.config, &secrets)?;
    row.updated_at = app.now();
    let update = |sealed| app.store().update_connection(ConnectionRow { sealed, ..row.clone() });
    match app.engine.vault.keep(&at, &secrets, update).await? {
        Put::Done(row) => {
            app.engine.refresh().await?;
            let note = format!("{} changed its settings or credentials.", caller.name);
            app.engine.signed_in(&row.name, &caller.name, &note).await?;
            Ok(Json(one(&app, row).await?))
        }
        Put::NameTaken | Put::Gone => Err(ApiError::conflict(
            "CHANGED",
            "Somebody changed or removed this connection just now. Read it again, then change it.",
        )),
    }
}

/// Removes a connection.
#[utoipa::path(delete, path = "/connections/{name}", tag = "connections", params(("name" = String, Path)),
    responses((status = 204, description = "Removed"), (status = 404, body = ErrorBody), (status = 409, description = "An active recipe uses it", body = ErrorBody)))]
pub(crate) async fn delete(State(app): State<Shared>, caller: Caller, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    caller.need(Scope::ConnectionsWrite)?;
    let row = find(&app, &name).await?;
    let catalogue = app.engine.catalogue();
    let mut users: Vec<&str> = catalogue
        .recipes
        .values()
        .filter(|recipe| recipe.program.connections.iter().any(|(logical, _)| *logical == name))
        .map(|recipe| &*recipe.program.slug)
        .collect();
    users.sort_unstable();
    if !users.is_empty() {
        let message = format!("Recipes that are switched on use this connection: {}. Switch them off first.", users.join(", "));
        return Err(ApiError::conflict("IN_USE", message));
    }
    app.store().delete_connection(row.id).await?;
    app.engine.refresh().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The connectors of this build.
#[utoipa::path(get, path = "/connectors", tag = "connections", responses((status = 200, body = Page<ConnectorOut>)))]
pub(crate) async fn connectors(State(app): State<Shared>, caller: Caller) -> Result<Json<Page<ConnectorOut>>, ApiError> {
    caller.need(Scope::ConnectionsRead)?;
    let all = app.engine.connectors.iter().map(|connector| ConnectorOut {
        id: connector.id.to_owned(),
        title: connector.title.to_owned(),
        summary: connector.summary.to_owned(),
        config: connector.config.clone(),
        credentials: connector.credentials.clone(),
        actions: connector
            .actions
            .iter()
            .map(|action| ActionOut {
                id: action.id.to_owned(),
                title: action.title.to_owned(),
                summary: action.summary.to_owned(),
                input: action.input.clone(),
                output: action.output.clone(),
            })
            .collect(),
        triggers: connector
            .triggers
            .iter()
            .map(|trigger| TriggerOut {
                id: trigger.id.to_owned(),
                title: trigger.title.to_owned(),
                summary: trigger.summary.to_owned(),
                config: trigger.config.clone(),
                output: trigger.output.clone(),
            })
            .collect(),
    });
    Ok(Json(Page::whole(all.collect())))
}
