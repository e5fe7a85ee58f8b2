//! Alarms: what somebody wants to be told, how, and what was told.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use engine::alarm::Rule;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{AlarmRow, AuditId, AuditRow, NoticeId, NoticeRow, NoticeState};
use utoipa::{IntoParams, ToSchema};

use super::{JsonBody, Page, Part, instant, read_limit};
use crate::{
    access::{Caller, Scope},
    error::{ApiError, ErrorBody},
    state::{App, Shared},
};

/// A name is as short as a recipe's.
const NAME_CHARS_MAX: usize = 63;

/// What to watch for, and how to tell.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlarmIn {
    /// The recipe to watch. `failures` watches all without one; the others need one.
    recipe: Option<String>,
    /// `{"kind": "no_run_by", "at": "09:30", "zone": "Europe/Berlin", "days": ["mon"]}`,
    /// `{"kind": "no_run_for", "for": "2h"}`, `{"kind": "unusual", "value": "total", "last": 20}` or
    /// `{"kind": "failures", "every": "1h"}`.
    #[schema(value_type = Object)]
    rule: Value,
    /// An action and what it is given: `{"do": "http.request", "with": {"method": "POST", "url": "…", "json": "${ notice }"}}` or
    /// `{"do": "mail.send", "with": {"to": ["…"], "subject": "${ notice.subject }", "text": "${ notice.text }"}}`.
    #[schema(value_type = Object)]
    deliver: Value,
}

/// An alarm.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlarmOut {
    name: String,
    recipe: Option<String>,
    #[schema(value_type = Object)]
    rule: Value,
    #[schema(value_type = Object)]
    deliver: Value,
    set_by: String,
    set_at: String,
    /// What it told last.
    last: Option<NoticeOut>,
}

/// A notice, and where its delivery stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NoticeOut {
    id: String,
    alarm: String,
    at: String,
    /// `waiting`, `sent` or `given_up`.
    state: &'static str,
    /// Deliveries tried.
    tries: i32,
    /// When the next delivery is tried; null unless it waits.
    next_at: Option<String>,
    /// Why the last delivery failed.
    error: Option<String>,
    /// What is told.
    #[schema(value_type = Object)]
    notice: Value,
}

/// Which notices.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoticesQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows on a page, 1 to 200.
    limit: Option<u32>,
}

fn notice(row: NoticeRow) -> NoticeOut {
    NoticeOut {
        id: row.id.to_string(),
        alarm: row.alarm,
        at: instant(row.raised_at),
        state: row.state.as_str(),
        tries: row.tries,
        next_at: (row.state == NoticeState::Waiting).then(|| instant(row.next_at)),
        error: row.error,
        notice: row.body,
    }
}

async fn told(app: &App, row: AlarmRow) -> Result<AlarmOut, ApiError> {
    let recipe = match row.recipe {
        None => None,
        Some(id) => app.store().recipe_by_id(id).await?.map(|recipe| recipe.slug),
    };
    let last = app.store().notices(Some(&row.name), None, 1).await?.pop().map(notice);
    Ok(AlarmOut {
        name: row.name,
        recipe,
        rule: row.rule,
        deliver: row.deliver,
        set_by: row.set_by,
        set_at: instant(row.set_at),
        last,
    })
}

async fn find(app: &App, name: &str) -> Result<AlarmRow, ApiError> {
    let alarms = app.store().alarms().await?;
    alarms.into_iter().find(|row| row.name == name).ok_or_else(|| ApiError::not_found(format!("alarm {name:?}")))
}

async fn note(app: &App, caller: &Caller, what: &str, name: &str, note: String) -> Result<(), ApiError> {
    let now = app.now();
    let row = AuditRow {
        id: AuditId::new(now, app.engine.random()),
        at: now,
        who: caller.name.clone(),
        what: what.to_owned(),
        about: format!("alarm {name}"),
        note,
    };
    Ok(app.store().add_audit(&row).await?)
}

/// All alarms, by name.
#[utoipa::path(get, path = "/alarms", tag = "alarms", params(Part), responses((status = 200, body = Page<AlarmOut>)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(asked): Query<Part>,
) -> Result<Json<Page<AlarmOut>>, ApiError> {
    caller.need(Scope::AlarmsRead)?;
    let rows = app.store().alarms().await?;
    let page = Page::part(rows, asked.limit, asked.cursor, |row| row.name.clone(), |row: &AlarmRow| row.name.clone())?;
    let mut data = Vec::with_capacity(page.data.len());
    for row in page.data {
        data.push(told(&app, row).await?);
    }
    Ok(Json(Page { data, pagination: page.pagination }))
}

/// One alarm.
#[utoipa::path(get, path = "/alarms/{name}", tag = "alarms", params(("name" = String, Path)),
    responses((status = 200, body = AlarmOut), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(State(app): State<Shared>, caller: Caller, Path(name): Path<String>) -> Result<Json<AlarmOut>, ApiError> {
    caller.need(Scope::AlarmsRead)?;
    let row = find(&app, &name).await?;
    Ok(Json(told(&app, row).await?))
}

/// Sets an alarm, new or in the place of the one with its name. What happened before raises nothing.
#[utoipa::path(put, path = "/alarms/{name}", tag = "alarms", params(("name" = String, Path)), request_body = AlarmIn,
    responses((status = 200, body = AlarmOut), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn set(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    JsonBody(alarm): JsonBody<AlarmIn>,
) -> Result<Json<AlarmOut>, ApiError> {
    caller.need(Scope::AlarmsWrite)?;
    let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
        let message = format!("A name has at most {NAME_CHARS_MAX} small letters, digits and hyphens.");
        return Err(ApiError::field("name", message));
    }
    let rule = Rule::read(&alarm.rule).map_err(|why| ApiError::field("rule", why))?;
    let recipe = match alarm.recipe.as_deref() {
        Some(slug) => {
            let found = app.store().recipe(slug).await?;
            Some(found.ok_or_else(|| ApiError::field("recipe", format!("There is no recipe {slug:?}.")))?.id)
        }
        None if rule.watches_all() => None,
        None => return Err(ApiError::field("recipe", "Say which recipe to watch; only failures can be watched for all.")),
    };
    let deliver = app.engine.read_delivery(&alarm.deliver).map_err(|why| ApiError::field("deliver", why))?;
    let kept = |value: Result<Value, serde_json::Error>| value.map_err(|error| ApiError::field("rule", error.to_string()));
    let row = AlarmRow {
        name: name.clone(),
        recipe,
        rule: kept(serde_json::to_value(&rule))?,
        deliver: kept(serde_json::to_value(&deliver))?,
        set_by: caller.name.clone(),
        set_at: app.now(),
    };
    if !app.store().set_alarm(&row).await? {
        let message = format!("There are {} alarms already. Remove one first.", store::ALARMS_MAX);
        return Err(ApiError::conflict("TOO_MANY_ALARMS", message));
    }
    let what = alarm.recipe.map_or_else(|| "all recipes".to_owned(), |slug| format!("the recipe {slug}"));
    note(&app, &caller, "alarm.set", &name, format!("It watches {what} for {} and tells by {}.", rule.kind(), deliver.action))
        .await?;
    app.engine.alarms_changed();
    Ok(Json(told(&app, row).await?))
}

/// Removes an alarm. Its notices that are not delivered are not delivered any more.
#[utoipa::path(delete, path = "/alarms/{name}", tag = "alarms", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
pub(crate) async fn remove(State(app): State<Shared>, caller: Caller, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    caller.need(Scope::AlarmsWrite)?;
    if !app.store().remove_alarm(&name).await? {
        return Err(ApiError::not_found(format!("alarm {name:?}")));
    }
    note(&app, &caller, "alarm.removed", &name, "It watches no more.".to_owned()).await?;
    app.engine.alarms_changed();
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a notice that says that it is a test. Its delivery shows among the alarm's notices.
#[utoipa::path(post, path = "/alarms/{name}/test", tag = "alarms", params(("name" = String, Path)),
    responses((status = 202, body = NoticeOut), (status = 404, body = ErrorBody)))]
pub(crate) async fn test(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<NoticeOut>), ApiError> {
    caller.need(Scope::AlarmsWrite)?;
    let row = find(&app, &name).await?;
    let id = app.engine.test_alarm(&row).await?;
    let notices = app.store().notices(Some(&name), None, 20).await?;
    let raised = notices.into_iter().find(|row| row.id == id);
    let raised = raised.ok_or_else(|| ApiError::not_found(format!("notice {id}")))?;
    Ok((StatusCode::ACCEPTED, Json(notice(raised))))
}

/// What an alarm told, newest first, and where each delivery stands.
#[utoipa::path(get, path = "/alarms/{name}/notices", tag = "alarms", params(("name" = String, Path), NoticesQuery),
    responses((status = 200, body = Page<NoticeOut>)))]
pub(crate) async fn notices(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<NoticesQuery>,
) -> Result<Json<Page<NoticeOut>>, ApiError> {
    caller.need(Scope::AlarmsRead)?;
    let limit = read_limit(query.limit)?;
    let before = query
        .cursor
        .as_deref()
        .map(|text| text.parse::<NoticeId>().map_err(|error| ApiError::field("cursor", format!("{error}."))))
        .transpose()?;
    let rows = app.store().notices(Some(&name), before, limit + 1).await?;
    Ok(Json(Page::cut(rows.into_iter().map(notice).collect(), limit, |row: &NoticeOut| row.id.clone())))
}
