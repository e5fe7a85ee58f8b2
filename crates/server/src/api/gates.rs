//! Circuits and budgets of connections, and who changed them.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::{Deserialize, Serialize};
use store::{AuditId, AuditRow, BudgetLimits, GateClass, GateRow};
use utoipa::{IntoParams, ToSchema};

use super::{JsonBody, Page, health::ForecastOut, instant, read_instant, read_limit};
use crate::{
    access::{Caller, Scope},
    error::{ApiError, ErrorBody},
    state::Shared,
};

/// A reason is a sentence, not a document.
const REASON_CHARS_MAX: usize = 500;
/// Whoever wants a longer pause opens the circuit.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What stands between runs and a connection's system.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GatesOut {
    connection: String,
    circuits: Vec<CircuitOut>,
    budget: BudgetOut,
}

/// One circuit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CircuitOut {
    /// Which calls: `read` or `write`.
    class: String,
    /// `closed`: calls go through; `open`: runs wait; `half_open`: one call at a time is tried.
    state: String,
    /// Why.
    cause: String,
    /// Who brought it there: `liaison`, or a person or key.
    changed_by: String,
    /// Since when; null when it never opened.
    since: Option<String>,
    /// When a call is tried; null when nothing is open, or until somebody closes it.
    next_probe: Option<String>,
}

/// A connection's limits and what is left; null means without limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BudgetOut {
    per_second: Option<f64>,
    per_day: Option<u32>,
    in_flight: Option<u32>,
    /// Calls left today; the day begins at 00:00 UTC. What the system itself says is left counts when it is less.
    day_left: Option<u32>,
    #[serde(flatten)]
    forecast: ForecastOut,
    /// The other system asked us to wait until then.
    paused_until: Option<String>,
    /// Limits of calls that only read, beside those above; null where they have none of their own.
    reads: Option<ClassBudgetOut>,
    /// The same of all other calls.
    writes: Option<ClassBudgetOut>,
}

/// The limits of one class of a connection's calls; null means without limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClassBudgetOut {
    per_second: Option<f64>,
    in_flight: Option<u32>,
}

/// What to do with a circuit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CircuitChange {
    /// `open`: no calls until somebody closes it. `closed`: the runs that wait go on, a few a second.
    state: String,
    /// For the audit list and whoever wonders.
    reason: String,
    /// `read` or `write`; both when left out.
    class: Option<String>,
}

/// Until when nobody calls through a connection.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseChange {
    /// An instant as `2026-03-01T12:00:00Z`, at most a day away; null ends a pause, also one the other system asked for.
    #[serde(deserialize_with = "Option::deserialize")]
    paused_until: Option<String>,
    /// For the audit list and whoever wonders.
    reason: String,
}

/// Which audit entries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// Only those about one thing, such as `connection crm`.
    about: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows on a page, 1 to 200.
    limit: Option<u32>,
}

/// Who changed what, when and why.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditOut {
    id: String,
    at: String,
    who: String,
    /// One word for programs, such as `circuit.opened`.
    what: String,
    about: String,
    note: String,
}

fn circuit(row: &GateRow) -> CircuitOut {
    CircuitOut {
        class: row.class.as_str().to_owned(),
        state: row.state.as_str().to_owned(),
        cause: row.cause.clone(),
        changed_by: row.changed_by.clone(),
        since: (row.revision > 0).then(|| instant(row.since)),
        next_probe: row.next_probe.map(instant),
    }
}

fn class(limits: &BudgetLimits) -> Option<ClassBudgetOut> {
    let BudgetLimits { per_second, in_flight, .. } = *limits;
    (per_second.is_some() || in_flight.is_some()).then_some(ClassBudgetOut { per_second, in_flight })
}

async fn known(app: &Shared, name: &str) -> Result<(), ApiError> {
    app.store().connection(name).await?.map(drop).ok_or_else(|| ApiError::not_found(format!("connection {name:?}")))
}

async fn gates(app: &Shared, name: String) -> Result<Json<GatesOut>, ApiError> {
    let view = app.engine.gates_of(&name).await?;
    let now = app.now();
    let paused = view.budget.as_ref().and_then(|row| row.paused_until).filter(|until| *until > now);
    Ok(Json(GatesOut {
        circuits: view.circuits.iter().map(circuit).collect(),
        budget: BudgetOut {
            per_second: view.limits.per_second,
            per_day: view.limits.per_day,
            in_flight: view.limits.in_flight,
            day_left: view.day_left(now),
            forecast: ForecastOut::of(&view.forecast(now)),
            paused_until: paused.map(instant),
            reads: class(&view.by_class[GateClass::Read as usize]),
            writes: class(&view.by_class[GateClass::Write as usize]),
        },
        connection: name,
    }))
}

/// A connection's circuits and what is left of its budget.
#[utoipa::path(get, path = "/connections/{name}/circuit", tag = "connections", params(("name" = String, Path)),
    responses((status = 200, body = GatesOut), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(State(app): State<Shared>, caller: Caller, Path(name): Path<String>) -> Result<Json<GatesOut>, ApiError> {
    caller.need(Scope::ConnectionsRead)?;
    known(&app, &name).await?;
    gates(&app, name).await
}

/// Opens or closes a connection's circuit by hand.
#[utoipa::path(post, path = "/connections/{name}/circuit", tag = "connections", params(("name" = String, Path)), request_body = CircuitChange,
    responses((status = 200, body = GatesOut), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn set(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    JsonBody(change): JsonBody<CircuitChange>,
) -> Result<Json<GatesOut>, ApiError> {
    caller.need(Scope::ConnectionsWrite)?;
    known(&app, &name).await?;
    let open = match change.state.as_str() {
        "open" => true,
        "closed" => false,
        other => return Err(ApiError::field("state", format!("state is {other:?}; it must be open or closed."))),
    };
    let class = match change.class.as_deref() {
        None => None,
        Some(word) => Some(
            GateClass::parse(word)
                .ok_or_else(|| ApiError::field("class", format!("class is {word:?}; it must be read or write, or left out.")))?,
        ),
    };
    app.engine.set_circuit(&name, class, open, &caller.name, reason(&change.reason)?).await?;
    gates(&app, name).await
}

/// Pauses the calls of a connection by hand, or ends a pause.
#[utoipa::path(post, path = "/connections/{name}/pause", tag = "connections", params(("name" = String, Path)), request_body = PauseChange,
    responses((status = 200, body = GatesOut), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn set_pause(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    JsonBody(change): JsonBody<PauseChange>,
) -> Result<Json<GatesOut>, ApiError> {
    caller.need(Scope::ConnectionsWrite)?;
    known(&app, &name).await?;
    let until = read_instant("paused_until", change.paused_until.as_deref())?;
    let now = app.now();
    if until.is_some_and(|until| until <= now || until.since(now) > PAUSE_MAX) {
        return Err(ApiError::field("paused_until", "It must be an instant within the next 24 hours, or null to end a pause."));
    }
    app.engine.set_pause(&name, until, &caller.name, reason(&change.reason)?).await?;
    gates(&app, name).await
}

fn reason(text: &str) -> Result<&str, ApiError> {
    let reason = text.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        let message = format!("Say why in a sentence of at most {REASON_CHARS_MAX} characters.");
        return Err(ApiError::field("reason", message));
    }
    Ok(reason)
}

/// Who changed what, newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery), responses((status = 200, body = Page<AuditOut>)))]
pub(crate) async fn audit(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Page<AuditOut>>, ApiError> {
    caller.need(Scope::AuditRead)?;
    let limit = read_limit(query.limit)?;
    let before = query
        .cursor
        .as_deref()
        .map(|text| text.parse::<AuditId>().map_err(|error| ApiError::field("cursor", format!("{error}."))))
        .transpose()?;
    let rows = app.store().audit(query.about.as_deref(), before, limit + 1).await?;
    Ok(Json(Page::cut(rows.into_iter().map(entry).collect(), limit, |entry: &AuditOut| entry.id.clone())))
}

fn entry(row: AuditRow) -> AuditOut {
    AuditOut { id: row.id.to_string(), at: instant(row.at), who: row.who, what: row.what, about: row.about, note: row.note }
}
