//! Workday: the tenant `acme` with its five doors: REST, WQL, reports, SOAP and OAuth.
//!
//! What the vendor does is taken from public clients and from code made of its interface files; no open tenant exists.
//! Where a fact could not be checked, a comment says (unverified).

mod answer;
mod auth;
mod docs;
mod happen;
mod items;
mod people;
mod process;
mod raas;
mod rest;
mod seed;
mod soap;
mod sources;
mod state;
mod wql;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State as Shared},
    response::Response,
};
use http::{HeaderValue, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use self::{
    answer::{Answer, Call},
    state::{Settings, State},
};
use crate::{Company, Problem, Table, Vendor, World, fault::Kind};

/// The tenant's name.
pub(crate) const TENANT: &str = "acme";
/// Longest body of a request.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The simulated Workday.
pub(crate) struct Workday {
    world: Arc<World>,
    state: Mutex<State>,
}

/// An id of 32 hexadecimal digits, always the same for a seed and a name.
fn wid(seed: u64, name: &str) -> String {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    hex::encode(&digest[..16])
}

impl Workday {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world, state: Mutex::default() }
    }

    fn now(&self) -> Timestamp {
        // Moments are told in milliseconds, so they are kept in them.
        Timestamp::from_millisecond(self.world.clock().now_ms()).unwrap_or_default()
    }

    /// One call, whatever its door.
    fn answer(self: &Arc<Self>, parts: &Parts, body: &[u8]) -> Response {
        let base = self.world.url(self.id());
        let call = Call::new(parts, body, &base, self.now());
        if let Some(refused) = self.at_the_gate(&call) {
            return refused;
        }
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        match &path[..] {
            ["ccx", "oauth2", tenant, rest @ ..] => auth::oauth(&mut self.state.lock(), &call, tenant, rest).into(),
            [tenant, "authorize"] => auth::authorize(&mut self.state.lock(), &call, tenant).into(),
            ["ccx", "api", "wql", _, tenant, rest @ ..] => wql::answer(&self.state.lock(), &call, tenant, rest).into(),
            ["ccx", "api", rest @ ..] => rest::answer(&mut self.state.lock(), &call, rest).into(),
            ["ccx", "service", "customreport2", rest @ ..] => raas::answer(self, &call, rest),
            ["ccx", "service", tenant, service, rest @ ..] => {
                soap::answer(&mut self.state.lock(), &call, tenant, service, rest).into()
            }
            _ => Answer::error(404, "not found").into(),
        }
    }

    /// Maintenance and the tenant's rate come before everything else.
    fn at_the_gate(&self, call: &Call<'_>) -> Option<Response> {
        let mut state = self.state.lock();
        if state.settings.maintenance {
            return Some(answer::maintenance().into());
        }
        if state.settings.gateway > 0 {
            let page = "<html><body><h1>Bad gateway</h1></body></html>";
            return Some(Answer::new(state.settings.gateway, "text/html;charset=utf-8", page).into());
        }
        let Settings { calls_per_second, burst, retry_after_s, .. } = state.settings;
        if state.sessions.rate.take(calls_per_second, burst, call.now.as_microsecond()) {
            return None;
        }
        Some(answer::too_many(retry_after_s).into())
    }
}

async fn any(Shared(workday): Shared<Arc<Workday>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => workday.answer(&parts, &body.to_bytes()),
        Err(_) => Answer::error(413, "the request is too large").into(),
    };
    // The tenant's clock, which is that of the sandbox.
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(workday.now().into())) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

impl Vendor for Workday {
    fn id(&self) -> &'static str {
        "workday"
    }

    fn title(&self) -> &'static str {
        "Workday"
    }

    fn reset(&self, company: &Company) {
        let random = self.world.random(self.id());
        let mut fresh = seed::state(self.world.seed(), company, &random, self.now());
        fresh.sessions = auth::Sessions::new(self.world.seed());
        *self.state.lock() = fresh;
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(any).with_state(self)
    }

    fn refusal(&self, kind: &Kind, request: &Parts) -> Response {
        answer::refusal(kind, request.uri.path()).into()
    }

    fn credentials(&self) -> Json {
        auth::credentials(&self.state.lock(), &self.world.url(self.id()))
    }

    fn settings(&self) -> Json {
        json!(self.state.lock().settings)
    }

    fn configure(&self, settings: &Json) -> Result<(), Problem> {
        let mut state = self.state.lock();
        let mut merged = json!(state.settings);
        let wanted = settings.as_object().ok_or_else(|| Problem("settings are an object".to_owned()))?;
        for (name, value) in wanted {
            merged[name] = value.clone();
        }
        let merged: Settings = serde_json::from_value(merged).map_err(|error| Problem(error.to_string()))?;
        if let Some(problem) = merged.problem() {
            return Err(Problem(problem));
        }
        state.settings = merged;
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        happen::tables(&self.state.lock())
    }

    fn rows(&self, table: &str, from: usize, limit: usize) -> Option<Vec<Json>> {
        happen::rows(&self.state.lock(), table, from, limit, self.now())
    }

    fn happenings(&self) -> Vec<(&'static str, &'static str, Json)> {
        happen::all()
    }

    fn happen(&self, name: &str, with: &Json) -> Result<Json, Problem> {
        happen::happen(&mut self.state.lock(), name, with, self.now())
    }
}

/// An answer that is made while it is sent.
fn streamed(
    status: u16,
    content_type: &'static str,
    pieces: impl Iterator<Item: Into<bytes::Bytes>> + Send + 'static,
) -> Response {
    let pieces = futures_util::stream::iter(pieces.map(|piece| Ok::<_, std::convert::Infallible>(piece.into())));
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
