//! Readiness: whether this process does its work, by what it can be seen doing.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::state::{App, Shared};

/// A store that does not answer within this does not answer.
const STORE_WITHIN: Duration = Duration::from_secs(2);

/// What `/readyz` answers.
#[derive(Debug, Serialize)]
struct Readiness {
    status: &'static str,
    /// The first check that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    checks: Vec<Check>,
}

/// One thing that must hold.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    /// What is wrong, or worth knowing.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    /// How long ago this was last seen to hold, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ago_ms: Option<u64>,
}

impl Check {
    fn new(name: &'static str, ok: bool, why: &'static str) -> Self {
        Self { name, ok, why: (!ok).then_some(why), ago_ms: None }
    }

    fn ago(self, ago: Duration) -> Self {
        Self { ago_ms: Some(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)), ..self }
    }
}

pub(crate) async fn ready(State(app): State<Shared>) -> Response {
    let checks = checks(&app).await;
    let failed = checks.iter().find(|check| !check.ok);
    let readiness = Readiness {
        status: if failed.is_none() { "ready" } else { "not ready" },
        why: failed.and_then(|check| check.why),
        checks,
    };
    let status = if readiness.why.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn checks(app: &App) -> Vec<Check> {
    let mut checks = vec![Check::new("not_stopping", !app.engine.is_stopping(), "this process is stopping")];
    let schema = tokio::time::timeout(STORE_WITHIN, app.store().schema()).await;
    checks.push(Check::new("store_answers", matches!(schema, Ok(Ok(_))), "the database does not answer"));
    if let Ok(Ok(schema)) = schema {
        let check = Check::new("schema", schema.found >= schema.known, "the database's tables are older than this build");
        // A newer process brought them further; this one goes on until it is replaced.
        let newer = (schema.found > schema.known).then_some("the database's tables are newer than this build");
        checks.push(Check { why: check.why.or(newer), ..check });
    }
    let lease = app.engine.lease_state();
    let writable = !lease.failing && lease.ago <= app.engine.settings().lease;
    checks.push(Check::new("store_writable", writable, "this process cannot write to the database").ago(lease.ago));
    if app.engine.settings().works {
        let ago = last_claim(app).await;
        let ok = ago <= app.settings.ready_within;
        checks.push(Check::new("claims", ok, "the worker has not asked for work for too long").ago(ago));
    }
    checks
}

/// How long ago the worker asked for work. One that had no reason to for long is asked to do so now.
async fn last_claim(app: &App) -> Duration {
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    let before = app.engine.since_last_claim();
    if before <= app.settings.ready_within / 2 {
        return before;
    }
    app.engine.nudge_worker();
    let asked = async {
        while app.engine.since_last_claim() >= before {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    // Whether it did or not shows in the answer.
    let _ = tokio::time::timeout(STORE_WITHIN, asked).await;
    app.engine.since_last_claim()
}
