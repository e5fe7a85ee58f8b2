//! The control page and its API: look at data, make things happen, make things go wrong.

mod page;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Fault, Vendor, World, fault::RULES_MAX, outbox::Trouble};

/// Records given at once.
const ROWS_MAX: usize = 1_000;
/// Furthest the clock goes in one call.
const ADVANCE_S_MAX: u64 = 366 * 24 * 3600;

#[derive(Clone)]
struct Control {
    world: Arc<World>,
    vendors: Arc<[Arc<dyn Vendor>]>,
}

pub(crate) fn router(world: Arc<World>, vendors: Vec<Arc<dyn Vendor>>) -> Router {
    Router::new()
        .route("/", get(page::show))
        .route("/vendors", get(list))
        .route("/vendors/{vendor}", get(one))
        .route("/vendors/{vendor}/settings", get(settings).patch(configure))
        .route("/vendors/{vendor}/tables/{table}", get(rows))
        .route("/vendors/{vendor}/happen/{name}", post(happen))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/requests", get(requests).delete(clear_requests))
        .route("/webhooks", get(webhooks).patch(trouble))
        .route("/letters", get(letters).delete(clear_letters))
        .route("/letters/{number}", get(letter))
        .route("/clock", get(clock).post(advance))
        .route("/company", get(company))
        .route("/reset", post(reset))
        .with_state(Control { world, vendors: vendors.into() })
}

struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl Control {
    fn vendor(&self, id: &str) -> Result<&Arc<dyn Vendor>, Refused> {
        self.vendors.iter().find(|vendor| vendor.id() == id).ok_or_else(|| {
            let known: Vec<_> = self.vendors.iter().map(|vendor| vendor.id()).collect();
            Refused(StatusCode::NOT_FOUND, format!("there is no system \"{id}\"; there are {}", known.join(", ")))
        })
    }

    fn told(&self, vendor: &dyn Vendor) -> Value {
        let happenings: Vec<Value> =
            vendor.happenings().into_iter().map(|(name, what, with)| json!({"name": name, "does": what, "with": with})).collect();
        json!({
            "id": vendor.id(),
            "title": vendor.title(),
            "url": self.world.url(vendor.id()),
            "credentials": vendor.credentials(),
            "settings": vendor.settings(),
            "tables": vendor.tables(),
            "happenings": happenings,
        })
    }
}

async fn list(State(control): State<Control>) -> Json<Value> {
    Json(control.vendors.iter().map(|vendor| control.told(&**vendor)).collect())
}

async fn one(State(control): State<Control>, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    Ok(Json(control.told(&**control.vendor(&id)?)))
}

async fn settings(State(control): State<Control>, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    Ok(Json(control.vendor(&id)?.settings()))
}

async fn configure(
    State(control): State<Control>,
    Path(id): Path<String>,
    Json(wanted): Json<Value>,
) -> Result<Json<Value>, Refused> {
    let vendor = control.vendor(&id)?;
    vendor.configure(&wanted).map_err(|problem| Refused(StatusCode::UNPROCESSABLE_ENTITY, problem.0))?;
    Ok(Json(vendor.settings()))
}

#[derive(Deserialize)]
struct Slice {
    #[serde(default)]
    from: usize,
    limit: Option<usize>,
}

async fn rows(
    State(control): State<Control>,
    Path((id, table)): Path<(String, String)>,
    Query(slice): Query<Slice>,
) -> Result<Json<Value>, Refused> {
    let vendor = control.vendor(&id)?;
    let limit = slice.limit.unwrap_or(100).min(ROWS_MAX);
    let rows = vendor
        .rows(&table, slice.from, limit)
        .ok_or_else(|| Refused(StatusCode::NOT_FOUND, format!("{} has no table \"{table}\"", vendor.title())))?;
    Ok(Json(json!({ "rows": rows })))
}

async fn happen(
    State(control): State<Control>,
    Path((id, name)): Path<(String, String)>,
    Json(with): Json<Value>,
) -> Result<Json<Value>, Refused> {
    let done = control.vendor(&id)?.happen(&name, &with);
    done.map(Json).map_err(|problem| Refused(StatusCode::UNPROCESSABLE_ENTITY, problem.0))
}

async fn faults(State(control): State<Control>) -> Json<Value> {
    Json(json!(control.world.faults().all()))
}

async fn add_fault(State(control): State<Control>, Json(wanted): Json<Value>) -> Result<Response, Refused> {
    let fault: Fault =
        serde_json::from_value(wanted).map_err(|error| Refused(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    control.vendor(&fault.vendor)?;
    let id = control.world.faults().add(fault).ok_or_else(|| {
        Refused(StatusCode::CONFLICT, format!("there are {RULES_MAX} faults in force already; remove some with DELETE /faults"))
    })?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.world.faults().clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(control): State<Control>, Path(id): Path<u64>) -> StatusCode {
    if control.world.faults().remove(id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

#[derive(Deserialize)]
struct Wanted {
    vendor: Option<String>,
    path: Option<String>,
}

async fn requests(State(control): State<Control>, Query(wanted): Query<Wanted>) -> Json<Value> {
    let mut seen = control.world.recorder().all();
    seen.retain(|request| {
        wanted.vendor.as_deref().is_none_or(|vendor| request.vendor == vendor)
            && wanted.path.as_deref().is_none_or(|path| request.target.contains(path))
    });
    Json(json!({ "count": control.world.recorder().count(), "requests": seen }))
}

async fn clear_requests(State(control): State<Control>) -> StatusCode {
    control.world.recorder().clear();
    StatusCode::NO_CONTENT
}

async fn webhooks(State(control): State<Control>) -> Json<Value> {
    Json(json!({ "trouble": control.world.outbox().trouble(), "deliveries": control.world.outbox().deliveries() }))
}

async fn trouble(State(control): State<Control>, Json(wanted): Json<Value>) -> Result<Json<Value>, Refused> {
    let trouble: Trouble =
        serde_json::from_value(wanted).map_err(|error| Refused(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    control.world.outbox().set_trouble(trouble);
    Ok(Json(json!(control.world.outbox().trouble())))
}

async fn letters(State(control): State<Control>) -> Json<Value> {
    Json(json!({ "letters": control.world.letters().all() }))
}

async fn clear_letters(State(control): State<Control>) -> StatusCode {
    control.world.letters().clear();
    StatusCode::NO_CONTENT
}

/// As it was sent, to be saved: a browser never shows it as a page of ours.
async fn letter(State(control): State<Control>, Path(number): Path<u64>) -> Result<Response, Refused> {
    let sent = control.world.letters().sent(number);
    let sent = sent.ok_or_else(|| Refused(StatusCode::NOT_FOUND, format!("there is no letter {number}")))?;
    let headers = [
        (header::CONTENT_TYPE, "message/rfc822".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"letter-{number}.eml\"")),
    ];
    Ok((headers, sent).into_response())
}

async fn clock(State(control): State<Control>) -> Json<Value> {
    Json(json!({ "now": control.world.clock().now().to_string() }))
}

#[derive(Deserialize)]
struct Advance {
    seconds: u64,
}

async fn advance(State(control): State<Control>, Json(wanted): Json<Advance>) -> Json<Value> {
    control.world.clock().advance(Duration::from_secs(wanted.seconds.min(ADVANCE_S_MAX)));
    clock(State(control)).await
}

async fn company(State(control): State<Control>) -> Json<Value> {
    Json(json!(*control.world.company()))
}

#[derive(Deserialize)]
struct Reset {
    seed: Option<u64>,
}

async fn reset(State(control): State<Control>, Json(wanted): Json<Reset>) -> Json<Value> {
    let seed = wanted.seed.unwrap_or_else(|| control.world.seed());
    control.world.reset(seed);
    let company = control.world.company();
    for vendor in &*control.vendors {
        vendor.reset(&company);
    }
    Json(json!({ "seed": seed }))
}
