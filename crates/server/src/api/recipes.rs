//! Recipes: texts, versions, switching on and off.

use std::cmp::Reverse;

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use engine::ActivateError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{NewVersion, RecipeId, RecipeRow, RunStatus, Saved, Timestamp};
use utoipa::ToSchema;

use super::{JsonBody, Page, Part, bytes, instant};
use crate::{
    access::{Caller, Scope, new_secret},
    error::{ApiError, ErrorBody},
    state::Shared,
};

/// A recipe.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecipeOut {
    slug: String,
    title: String,
    /// The newest version.
    version: i32,
    /// The version that runs; null when switched off.
    active_version: Option<i32>,
    params: Value,
    /// Its unguessable web address, for webhook triggers.
    hook: String,
    created_at: String,
    updated_at: String,
}

/// What saving a text did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SavedOut {
    slug: String,
    version: i32,
    active_version: Option<i32>,
    diagnostics: Vec<DiagnosticOut>,
}

/// One problem of a text, at its place.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiagnosticOut {
    /// Stable code: `L0102`.
    code: String,
    /// `error` or `warning`.
    severity: String,
    message: String,
    help: Option<String>,
    /// Counted from 1.
    line: usize,
    /// Counted from 1, in characters.
    column: usize,
    end_line: usize,
    end_column: usize,
    /// A ready fix.
    edit: Option<EditOut>,
}

/// A ready fix: what to put in place of a range of bytes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EditOut {
    title: String,
    start: usize,
    end: usize,
    text: String,
}

/// A text that was not saved, with its problems.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusedOut {
    error: crate::error::ErrorInfo,
    diagnostics: Vec<DiagnosticOut>,
}

/// A version of a recipe.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionOut {
    version: i32,
    hash: String,
    created_at: String,
    created_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// What to switch on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Activation {
    /// The newest version unless given.
    version: Option<i32>,
    /// Values for the recipe's params; those not given keep their defaults.
    params: Option<Value>,
}

fn out(row: RecipeRow) -> RecipeOut {
    RecipeOut {
        hook: format!("/hooks/{}", row.hook_token),
        slug: row.slug,
        title: row.title,
        version: row.latest_version,
        active_version: row.active_version,
        params: row.params,
        created_at: instant(row.created_at),
        updated_at: instant(row.updated_at),
    }
}

fn diagnostics(text: &str, found: &[recipe::Diagnostic]) -> Vec<DiagnosticOut> {
    let index = recipe::LineIndex::new(text);
    found
        .iter()
        .map(|problem| {
            let (line, column) = index.position(problem.span.start);
            let (end_line, end_column) = index.position(problem.span.end);
            DiagnosticOut {
                code: problem.code.to_owned(),
                severity: if problem.severity == recipe::Severity::Error { "error" } else { "warning" }.to_owned(),
                message: problem.message.clone(),
                help: problem.help.clone(),
                line,
                column,
                end_line,
                end_column,
                edit: problem.edit.as_ref().map(|edit| EditOut {
                    title: edit.title.clone(),
                    start: edit.span.start,
                    end: edit.span.end,
                    text: edit.text.clone(),
                }),
            }
        })
        .collect()
}

fn etag(row: &RecipeRow) -> String {
    format!("\"{}\"", row.revision)
}

async fn find(app: &Shared, slug: &str) -> Result<RecipeRow, ApiError> {
    app.store().recipe(slug).await?.ok_or_else(|| ApiError::not_found(format!("recipe {slug:?}")))
}

/// All recipes, by slug.
#[utoipa::path(get, path = "/recipes", tag = "recipes", params(Part), responses((status = 200, body = Page<RecipeOut>)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(asked): Query<Part>,
) -> Result<Json<Page<RecipeOut>>, ApiError> {
    caller.need(Scope::RecipesRead)?;
    let rows = app.store().recipes().await?.into_iter().map(out).collect();
    Ok(Json(Page::part(rows, asked.limit, asked.cursor, |row| row.slug.clone(), |row: &RecipeOut| row.slug.clone())?))
}

/// One recipe; with `Accept: application/yaml` the text of its newest version.
#[utoipa::path(get, path = "/recipes/{slug}", tag = "recipes",
    params(("slug" = String, Path, description = "The recipe's slug")),
    responses((status = 200, body = RecipeOut), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.need(Scope::RecipesRead)?;
    let row = find(&app, &slug).await?;
    let tag = etag(&row);
    let wants_yaml =
        headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains("yaml"));
    if wants_yaml {
        let version =
            app.store().version(row.id, row.latest_version).await?.ok_or_else(|| ApiError::not_found("text of this recipe"))?;
        return Ok(([(header::CONTENT_TYPE, "application/yaml".to_owned()), (header::ETAG, tag)], version.text).into_response());
    }
    Ok(([(header::ETAG, tag)], Json(out(row))).into_response())
}

/// Saves a text as the recipe's next version. `If-Match` refuses to save over somebody else's change.
#[utoipa::path(put, path = "/recipes/{slug}", tag = "recipes",
    params(("slug" = String, Path, description = "The recipe's slug, as in the text"),
        ("If-Match" = Option<String>, Header, description = "The ETag of what was read")),
    request_body(content = String, content_type = "application/yaml"),
    responses((status = 201, description = "New recipe", body = SavedOut), (status = 200, description = "New version, or the same text", body = SavedOut),
        (status = 412, description = "Somebody changed it since", body = ErrorBody), (status = 422, description = "The text has errors", body = RefusedOut)))]
pub(crate) async fn put(
    State(app): State<Shared>,
    caller: Caller,
    Path(slug): Path<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    caller.need(Scope::RecipesWrite)?;
    let if_match = request.headers().get(header::IF_MATCH).cloned();
    let if_revision = match if_match.as_ref().map(|value| value.to_str().unwrap_or_default().trim()) {
        None | Some("*") => None,
        Some(tag) => Some(tag.trim_start_matches("W/").trim_matches('"').parse::<i64>().map_err(|_| {
            ApiError::new(
                StatusCode::PRECONDITION_FAILED,
                "STALE",
                "If-Match holds no ETag of this recipe. Read it again and send its ETag.",
            )
        })?),
    };
    let bytes = bytes(request, &app).await?;
    let parsed = app.engine.check(&bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut found = diagnostics(&text, &parsed.diagnostics);
    let broken = parsed.diagnostics.iter().any(|problem| problem.severity == recipe::Severity::Error);
    let recipe = match parsed.recipe {
        Some(recipe) if !broken => recipe,
        _ => return Ok(refused("The recipe has errors and was not saved. Correct them and send it again.", found)),
    };
    if recipe.slug.value != slug {
        let message = format!("The text is recipe {:?}, but the address says {slug:?}. Make them the same.", recipe.slug.value);
        return Ok(refused(&message, found));
    }
    let now = app.now();
    let new = NewVersion {
        id: RecipeId::new(now, app.engine.random()),
        slug,
        title: recipe.title.clone().unwrap_or_else(|| recipe.slug.value.clone()),
        hash: store::text_hash(&text),
        text,
        hook_token: new_secret("h_")?,
        if_revision,
        at: now,
        by: caller.name,
    };
    let (status, row) = match app.store().save_version(new).await? {
        Saved::Created(row) => (StatusCode::CREATED, row),
        Saved::Updated(row) | Saved::Unchanged(row) => (StatusCode::OK, row),
        Saved::Stale(_) => {
            return Err(ApiError::new(
                StatusCode::PRECONDITION_FAILED,
                "STALE",
                "Somebody changed this recipe since you read it. Read it again, put your change in, and save.",
            ));
        }
    };
    found.retain(|problem| problem.severity != "error");
    let tag = etag(&row);
    let body = SavedOut { slug: row.slug, version: row.latest_version, active_version: row.active_version, diagnostics: found };
    Ok((status, [(header::ETAG, tag)], Json(body)).into_response())
}

fn refused(message: &str, found: Vec<DiagnosticOut>) -> Response {
    let error = ApiError::invalid(message, Vec::new());
    let mut response =
        (StatusCode::UNPROCESSABLE_ENTITY, Json(RefusedOut { error: error.body("").error, diagnostics: found })).into_response();
    response.extensions_mut().insert(crate::KeepsItsBody);
    response
}

/// Switches a version on; runs that began on another finish on theirs.
#[utoipa::path(post, path = "/recipes/{slug}/activate", tag = "recipes", params(("slug" = String, Path)),
    request_body = Activation, responses((status = 200, body = RecipeOut), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 409, description = "Another recipe has its web address", body = ErrorBody)))]
pub(crate) async fn activate(
    State(app): State<Shared>,
    caller: Caller,
    Path(slug): Path<String>,
    JsonBody(wish): JsonBody<Activation>,
) -> Result<Json<RecipeOut>, ApiError> {
    caller.need(Scope::RecipesWrite)?;
    let row = find(&app, &slug).await?;
    let version = wish.version.unwrap_or(row.latest_version);
    let params = wish.params.unwrap_or_else(|| row.params.clone());
    let row = app.engine.activate(&row, version, &params).await.map_err(|error| not_active(&slug, version, error))?;
    Ok(Json(out(row)))
}

fn not_active(slug: &str, version: i32, error: ActivateError) -> ApiError {
    match error {
        ActivateError::Missing => ApiError::not_found(format!("version {version} of recipe {slug:?}")),
        ActivateError::Unfit(reason) => ApiError::invalid(format!("Version {version} cannot run: {reason}."), Vec::new()),
        ActivateError::Param { field, message } => ApiError::field(format!("params.{field}"), message),
        ActivateError::PathTaken { path, other } => ApiError::conflict(
            "PATH_TAKEN",
            format!(
                "Recipe {other} takes what comes to /hooks/{path}, so {slug} was not switched on. Give one of them another \
                 `path` under `trigger.with`, or switch {other} off, then try again."
            ),
        ),
        ActivateError::Store(error) => error.into(),
    }
}

/// Switches the recipe off; runs that already began finish.
#[utoipa::path(post, path = "/recipes/{slug}/deactivate", tag = "recipes", params(("slug" = String, Path)),
    responses((status = 200, body = RecipeOut), (status = 404, body = ErrorBody)))]
pub(crate) async fn deactivate(
    State(app): State<Shared>,
    caller: Caller,
    Path(slug): Path<String>,
) -> Result<Json<RecipeOut>, ApiError> {
    caller.need(Scope::RecipesWrite)?;
    let row = find(&app, &slug).await?;
    let row = app
        .store()
        .activate(row.id, None, &row.params, app.now())
        .await?
        .ok_or_else(|| ApiError::not_found(format!("recipe {slug:?}")))?;
    app.engine.refresh().await?;
    Ok(Json(out(row)))
}

/// All versions of a recipe, newest first.
#[utoipa::path(get, path = "/recipes/{slug}/versions", tag = "recipes", params(("slug" = String, Path), Part),
    responses((status = 200, body = Page<VersionOut>), (status = 404, body = ErrorBody)))]
pub(crate) async fn versions(
    State(app): State<Shared>,
    caller: Caller,
    Path(slug): Path<String>,
    Query(asked): Query<Part>,
) -> Result<Json<Page<VersionOut>>, ApiError> {
    caller.need(Scope::RecipesRead)?;
    let after = asked
        .cursor
        .map(|cursor| cursor.parse().map(Reverse))
        .transpose()
        .map_err(|_| ApiError::field("cursor", "cursor is not one that a page gave."))?;
    let row = find(&app, &slug).await?;
    let versions = app.store().versions(row.id).await?;
    let versions = versions.into_iter().map(|version| version_out(version, false)).collect();
    Ok(Json(Page::part(versions, asked.limit, after, |row| Reverse(row.version), |row: &VersionOut| row.version.to_string())?))
}

/// One version with its text.
#[utoipa::path(get, path = "/recipes/{slug}/versions/{n}", tag = "recipes", params(("slug" = String, Path), ("n" = i32, Path)),
    responses((status = 200, body = VersionOut), (status = 404, body = ErrorBody)))]
pub(crate) async fn version(
    State(app): State<Shared>,
    caller: Caller,
    Path((slug, n)): Path<(String, i32)>,
) -> Result<Json<VersionOut>, ApiError> {
    caller.need(Scope::RecipesRead)?;
    let row = find(&app, &slug).await?;
    let version =
        app.store().version(row.id, n).await?.ok_or_else(|| ApiError::not_found(format!("version {n} of recipe {slug:?}")))?;
    Ok(Json(version_out(version, true)))
}

fn version_out(version: store::RecipeVersion, with_text: bool) -> VersionOut {
    VersionOut {
        version: version.version,
        hash: version.hash,
        created_at: instant(version.created_at),
        created_by: version.created_by,
        text: with_text.then_some(version.text),
    }
}

/// What a recipe's runs came to.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct StatsOut {
    queued: i64,
    running: i64,
    waiting: i64,
    succeeded: i64,
    failed: i64,
    cancelled: i64,
}

/// How many runs of a recipe there are by status.
#[utoipa::path(get, path = "/recipes/{slug}/stats", tag = "recipes", params(("slug" = String, Path)),
    responses((status = 200, body = StatsOut), (status = 404, body = ErrorBody)))]
pub(crate) async fn stats(
    State(app): State<Shared>,
    caller: Caller,
    Path(slug): Path<String>,
) -> Result<Json<StatsOut>, ApiError> {
    caller.need(Scope::RecipesRead)?;
    let row = find(&app, &slug).await?;
    let mut out = StatsOut::default();
    for (status, count) in app.store().run_counts(Some(row.id), Timestamp::from_micros(0)).await? {
        match status {
            RunStatus::Queued => out.queued = count,
            RunStatus::Running => out.running = count,
            RunStatus::Waiting => out.waiting = count,
            RunStatus::Succeeded => out.succeeded = count,
            RunStatus::Failed => out.failed = count,
            RunStatus::Cancelled => out.cancelled = count,
        }
    }
    Ok(Json(out))
}
