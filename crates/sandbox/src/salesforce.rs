//! Salesforce: one org with its sign-ins, records, queries, bulk loads and messages.
//!
//! Built to the documentation of API versions 31.0 to 67.0. Everything listens on one address: login host,
//! My Domain and instance are the same here, except that requests whose `Host` is `login.…` or `test.…` are
//! refused client credentials, as Salesforce does.

mod answer;
mod approvals;
mod bulk;
mod bus;
mod collections;
mod composite;
mod cursors;
mod errors;
mod files;
mod happen;
mod ids;
mod misc;
mod oauth;
mod org;
mod outbound;
mod pubsub;
mod query;
mod reports;
mod rest;
mod schema;
mod search;
mod seed;
mod settings;
mod soap;
mod sobjects;
mod soql;
mod streaming;
mod system;
mod tree;
mod value;
mod write;

use std::sync::Arc;

use axum::{Router, response::Response};
use http::request::Parts;
use serde_json::{Value as Json, json};

use crate::{Company, Kind, Problem, Table, Vendor, World};

use self::{answer::Answer, errors::Trouble, schema::Schema, soql::record, system::System};

/// The simulated org.
pub(crate) struct Salesforce {
    system: Arc<System>,
}

impl Salesforce {
    pub(crate) fn new(world: &Arc<World>) -> Arc<Self> {
        Arc::new(Self { system: System::new(world) })
    }
}

impl Vendor for Salesforce {
    fn id(&self) -> &'static str {
        "salesforce"
    }

    fn title(&self) -> &'static str {
        "Salesforce"
    }

    fn reset(&self, company: &Company) {
        self.system.reset(company);
    }

    fn router(self: Arc<Self>) -> Router {
        rest::router(&self.system)
    }

    fn refusal(&self, kind: &Kind, request: &Parts) -> Response {
        if request.uri.path().starts_with(pubsub::PATH) {
            return pubsub::refused(kind);
        }
        if request.uri.path().starts_with(streaming::PATH) && matches!(kind, Kind::ExpiredSession) {
            return streaming::signed_out();
        }
        let trouble = match kind {
            Kind::RateLimited { .. } => Trouble::new(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
            Kind::ServerError => Trouble::new(
                500,
                "UNKNOWN_EXCEPTION",
                "An unexpected error occurred. Please include this ErrorId if you contact support: 1234567890-12345 (1234567890)",
            ),
            Kind::Unavailable => {
                Trouble::new(503, "SERVER_UNAVAILABLE", "Server temporarily unavailable, please try again later")
            }
            Kind::DailyLimit => Trouble::new(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
            Kind::Denied => Trouble::new(403, "INSUFFICIENT_ACCESS", "insufficient access rights on cross-reference id"),
            _ => Trouble::session(),
        };
        let mut answer = if request.uri.path().starts_with("/services/oauth2/") {
            oauth::refused(trouble.status, &trouble.message)
        } else if request.uri.path().starts_with("/services/Soap/") {
            soap::fault(trouble.status.max(500), trouble.code, &trouble.message)
        } else {
            Answer::trouble(&trouble)
        };
        if let Kind::RateLimited { retry_after: Some(seconds) } = kind {
            answer.header("Retry-After", seconds.to_string());
        }
        answer.response(false)
    }

    fn credentials(&self) -> Json {
        self.system.credentials()
    }

    fn settings(&self) -> Json {
        self.system.settings.read().json()
    }

    fn configure(&self, settings: &Json) -> Result<(), Problem> {
        self.system.configure(settings)
    }

    fn tables(&self) -> Vec<Table> {
        let org = self.system.org.lock();
        let stored = |schema: &Schema, place: usize| !schema.objects[place].event();
        (0..org.schema.objects.len())
            .filter(|place| stored(&org.schema, *place))
            .map(|place| Table { name: org.schema.objects[place].name.clone(), rows: org.tables[place].len() })
            .collect()
    }

    fn rows(&self, table: &str, from: usize, limit: usize) -> Option<Vec<Json>> {
        let org = self.system.org.lock();
        let object = org.schema.find(table).filter(|place| !org.schema.objects[*place].event())?;
        let rows = org.tables[object].all().filter(|row| !row.deleted()).skip(from).take(limit);
        Some(rows.map(|row| record(&org, object, row, None, settings::NEWEST)).collect())
    }

    fn happenings(&self) -> Vec<(&'static str, &'static str, Json)> {
        happen::all()
    }

    fn happen(&self, name: &str, with: &Json) -> Result<Json, Problem> {
        happen::happen(&self.system, name, with).map(|done| if done.is_null() { json!({}) } else { done })
    }
}
