//! Questions to people: what waits for a decision, and deciding.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use engine::Decision;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Approval, ApprovalId, AuditId, AuditRow};
use utoipa::{IntoParams, ToSchema};

use super::{JsonBody, Page, instant, read_limit};
use crate::{
    access::{Caller, Scope},
    error::{ApiError, ErrorBody},
    state::{App, Shared},
};

/// Characters of a comment.
const COMMENT_CHARS_MAX: usize = 1000;

/// A question.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApprovalOut {
    id: String,
    /// The run that waits.
    run: String,
    /// Its step.
    path: String,
    /// The recipe's slug.
    recipe: String,
    /// Who may decide.
    from: Value,
    /// What is asked.
    ask: Value,
    /// The fields to fill in: `name`, `type`, `title`, `default`.
    form: Value,
    asked_at: String,
    /// When the recipe goes on without an answer.
    expires_at: Option<String>,
    /// `open`, `approved` or `declined`.
    status: String,
    decided_at: Option<String>,
    decided_by: Option<String>,
    comment: Option<String>,
    /// What was filled in.
    filled: Option<Value>,
}

/// Which questions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApprovalsQuery {
    /// `open` (the default) or `decided`.
    status: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows on a page, 1 to 200.
    limit: Option<u32>,
}

/// A decision.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionIn {
    /// What the form asks for.
    #[serde(default)]
    form: Map<String, Value>,
    /// What is said to it, in 1,000 characters at most.
    comment: Option<String>,
}

/// Questions, newest first.
#[utoipa::path(get, path = "/approvals", tag = "approvals", params(ApprovalsQuery), responses((status = 200, body = Page<ApprovalOut>)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(asked): Query<ApprovalsQuery>,
) -> Result<Json<Page<ApprovalOut>>, ApiError> {
    reads(&caller)?;
    let open = match asked.status.as_deref() {
        None | Some("open") => true,
        Some("decided") => false,
        Some(other) => return Err(ApiError::field("status", format!("status is {other:?}; it must be open or decided."))),
    };
    let limit = read_limit(asked.limit)?;
    let before = asked.cursor.as_deref().map(read_id).transpose()?;
    let mut rows = Vec::new();
    for approval in app.store().approvals(open, before, limit + 1).await? {
        rows.push(out(&app, approval).await?);
    }
    let mut page = Page::cut(rows, limit, |row: &ApprovalOut| row.id.clone());
    page.data.retain(|row| sees(&caller, &row.from));
    Ok(Json(page))
}

/// One question.
#[utoipa::path(get, path = "/approvals/{id}", tag = "approvals", params(("id" = String, Path)),
    responses((status = 200, body = ApprovalOut), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ApprovalOut>, ApiError> {
    reads(&caller)?;
    let approval = find(&app, &id).await?;
    if !sees(&caller, &approval.question["from"]) {
        return Err(ApiError::not_found(format!("question {id}")));
    }
    Ok(Json(out(&app, approval).await?))
}

/// Says yes. Saying it twice is safe: the second time is told who did it first.
#[utoipa::path(post, path = "/approvals/{id}/approve", tag = "approvals", params(("id" = String, Path)), request_body = DecisionIn,
    responses((status = 200, body = ApprovalOut), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 410, body = ErrorBody)))]
pub(crate) async fn approve(
    state: State<Shared>,
    caller: Caller,
    path: Path<String>,
    body: JsonBody<DecisionIn>,
) -> Result<Json<ApprovalOut>, ApiError> {
    decide(state, caller, path, body, true).await
}

/// Says no.
#[utoipa::path(post, path = "/approvals/{id}/decline", tag = "approvals", params(("id" = String, Path)), request_body = DecisionIn,
    responses((status = 200, body = ApprovalOut), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 410, body = ErrorBody)))]
pub(crate) async fn decline(
    state: State<Shared>,
    caller: Caller,
    path: Path<String>,
    body: JsonBody<DecisionIn>,
) -> Result<Json<ApprovalOut>, ApiError> {
    decide(state, caller, path, body, false).await
}

async fn decide(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(DecisionIn { form, comment }): JsonBody<DecisionIn>,
    approved: bool,
) -> Result<Json<ApprovalOut>, ApiError> {
    caller.need(Scope::ApprovalsDecide)?;
    let asked = find(&app, &id).await?;
    let from = &asked.question["from"];
    if !sees(&caller, from) {
        // Who may not see a question is not told whom it is for, nor that there is one.
        return Err(ApiError::not_found(format!("question {id}")));
    }
    if !is_asked(&caller, from) {
        return Err(not_asked(&caller, from));
    }
    if comment.as_deref().is_some_and(|comment| comment.chars().nth(COMMENT_CHARS_MAX).is_some()) {
        return Err(ApiError::field("comment", format!("A comment has at most {COMMENT_CHARS_MAX} characters.")));
    }
    let decision = Decision { approved, form, comment, by: caller.name.clone() };
    let approval = app.engine.decide_approval(asked.id, decision).await?;
    remember(&app, &caller, &approval, approved).await;
    Ok(Json(out(&app, approval).await?))
}

/// Whoever sees runs sees what is asked about them; whoever only decides sees what they are asked.
fn reads(caller: &Caller) -> Result<(), ApiError> {
    if caller.may(Scope::ApprovalsDecide) { Ok(()) } else { caller.need(Scope::RunsRead) }
}

fn sees(caller: &Caller, from: &Value) -> bool {
    caller.may(Scope::RunsRead) || is_asked(caller, from)
}

/// Whether a question names the caller, as a user or as a group. An admin may answer for everybody.
fn is_asked(caller: &Caller, from: &Value) -> bool {
    let own = caller.key_name().unwrap_or_default().to_lowercase();
    caller.may(Scope::Admin) || (!own.is_empty() && names(from).any(|name| name.to_lowercase() == own))
}

/// Everybody `from` names.
fn names(from: &Value) -> impl Iterator<Item = &str> {
    ["user", "group"].into_iter().flat_map(|word| {
        let named = &from[word];
        let many = named.as_array().into_iter().flatten();
        many.chain(Some(named)).filter_map(Value::as_str).map(str::trim)
    })
}

fn not_asked(caller: &Caller, from: &Value) -> ApiError {
    let mut asked: Vec<&str> = names(from).collect();
    asked.dedup();
    let who = if asked.is_empty() { "nobody, so only an admin may decide it".to_owned() } else { asked.join(", ") };
    ApiError::new(
        StatusCode::FORBIDDEN,
        "NOT_ASKED",
        format!("This question is for {who}; {} is not among them. Let one of them or an admin decide.", caller.name),
    )
}

/// The audit list says who decided what. What was said to it is data of the run and goes with that.
async fn remember(app: &App, caller: &Caller, approval: &Approval, approved: bool) {
    let now = app.now();
    let row = AuditRow {
        id: AuditId::new(now, app.engine.random()),
        at: now,
        who: caller.name.clone(),
        what: if approved { "approval.approved" } else { "approval.declined" }.to_owned(),
        about: format!("run {} step {}", approval.run, approval.path),
        note: String::new(),
    };
    // It is decided and cannot be taken back: what the audit list lacks, the run's journal has.
    if let Err(error) = app.store().add_audit(&row).await {
        tracing::warn!(%error, approval = %approval.id, "approval.audit: the store did not answer");
    }
}

async fn find(app: &App, id: &str) -> Result<Approval, ApiError> {
    app.store().approval(read_id(id)?).await?.ok_or_else(|| ApiError::not_found(format!("question {id}")))
}

fn read_id(text: &str) -> Result<ApprovalId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(format!("question {text}")))
}

async fn out(app: &Shared, approval: Approval) -> Result<ApprovalOut, ApiError> {
    let recipe = app.store().recipe_by_id(approval.recipe).await?.map(|recipe| recipe.slug).unwrap_or_default();
    let said = approval.decision.as_ref().and_then(|decision| decision.out.clone()).unwrap_or_default();
    let text = |field: &str| said[field].as_str().map(str::to_owned);
    Ok(ApprovalOut {
        id: approval.id.to_string(),
        run: approval.run.to_string(),
        path: approval.path.to_string(),
        recipe,
        from: approval.question["from"].clone(),
        ask: approval.question["ask"].clone(),
        form: approval.question["form"].clone(),
        asked_at: instant(approval.asked_at),
        expires_at: approval.expires_at.map(instant),
        status: text("outcome").unwrap_or_else(|| "open".to_owned()),
        decided_at: approval.decided_at.map(instant),
        decided_by: text("by"),
        comment: text("comment"),
        filled: approval.decided_at.map(|_| said["form"].clone()),
    })
}
