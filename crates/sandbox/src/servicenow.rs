//! A simulated ServiceNow instance: Table API and its neighbours over one data base with a dictionary.
//!
//! Facts: ServiceNow's documentation repository (REST pages, releases Xanadu to Australia), the official Python
//! client PySNC with its live tests, and pysnow. Where they are silent, a comment says that a fact is unverified.

mod access;
mod attachment;
mod batch;
mod catalog;
mod change;
mod cmdb;
mod data;
mod evaluate;
mod happen;
mod import;
mod moments;
mod oauth;
mod query;
mod rules;
mod scene;
mod schema;
mod seed;
mod serve;
mod settings;
mod shape;
mod stats;
mod table;
mod write;

use std::{collections::HashMap, sync::Arc};

use axum::{Router, response::Response};
use http::request::Parts;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use self::{access::Secrets, data::Data, oauth::Registry, scene::Scene, settings::Settings};
use crate::{
    Company, Problem, Random, Table, Vendor, World,
    fault::Kind,
    tokens::{Codes, Tokens},
};

/// Everything an instance holds.
struct State {
    data: Data,
    settings: Settings,
    secrets: Secrets,
    registry: Registry,
    tokens: Tokens,
    codes: Codes,
    random: Random,
    /// Calls of the current hour by API: the hour's first second and how many.
    calls: HashMap<String, (i64, u64)>,
    /// Import sets that wait for their transform, with the second it is due.
    transforms: Vec<(i64, String)>,
}

/// The instance.
pub(crate) struct ServiceNow {
    world: Arc<World>,
    state: Mutex<State>,
}

impl ServiceNow {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        let state = State {
            data: Data::default(),
            settings: Settings::default(),
            secrets: Secrets::default(),
            registry: Registry::default(),
            tokens: Tokens::new(Settings::default().policy()),
            codes: Codes::default(),
            random: world.random("servicenow"),
            calls: HashMap::new(),
            transforms: Vec::new(),
        };
        Self { world: world.clone(), state: Mutex::new(state) }
    }

    /// Does something in the instance as one of its users.
    fn with<T>(&self, user_name: &str, what: impl FnOnce(&mut Scene<'_>) -> T) -> Option<T> {
        let mut state = self.state.lock();
        let person = data::Person::of(state.data.first("sys_user", "user_name", user_name)?);
        let base = self.world.url("servicenow");
        let mut scene = Scene { state: &mut state, world: &self.world, base, person, now: self.world.clock().now() };
        Some(what(&mut scene))
    }
}

impl Vendor for ServiceNow {
    fn id(&self) -> &'static str {
        "servicenow"
    }

    fn title(&self) -> &'static str {
        "ServiceNow"
    }

    fn reset(&self, company: &Company) {
        let mut state = self.state.lock();
        state.random = self.world.random("servicenow");
        state.settings = Settings::default();
        state.tokens = Tokens::new(state.settings.policy());
        state.codes.clear();
        state.calls.clear();
        state.transforms.clear();
        seed::fill(&mut state, &self.world, company);
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(serve::answer).with_state(self)
    }

    fn refusal(&self, kind: &Kind, request: &Parts) -> Response {
        serve::refusal(self, kind, request)
    }

    fn credentials(&self) -> Json {
        let state = self.state.lock();
        let client = |place: usize| state.registry.clients.get(place).cloned();
        let key = state.secrets.api_keys.keys().min().cloned();
        json!({
            "user_name": seed::INTEGRATION_USER,
            "password": state.secrets.passwords.get(seed::INTEGRATION_USER),
            "admin": {"user_name": "admin", "password": state.secrets.passwords.get("admin")},
            "api_key": key,
            "client_id": client(0).map(|client| client.id),
            "client_secret": client(0).map(|client| client.secret),
            "jwt_shared_key": client(0).map(|client| client.shared_key),
            "public_client_id": client(1).map(|client| client.id),
            "webhook_key": state.data.first("sys_properties", "name", seed::WEBHOOK_PROPERTY).map(|row| row.get("value")),
        })
    }

    fn settings(&self) -> Json {
        json!(self.state.lock().settings)
    }

    fn configure(&self, settings: &Json) -> Result<(), Problem> {
        let wanted = settings.as_object().ok_or_else(|| Problem("settings are an object".to_owned()))?;
        let mut state = self.state.lock();
        let mut all = json!(state.settings);
        for (name, value) in wanted {
            all[name] = value.clone();
        }
        state.settings = serde_json::from_value(all).map_err(|error| Problem(error.to_string()))?;
        state.tokens.set_policy(state.settings.policy());
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        let state = self.state.lock();
        let tables = state.data.schema.tables();
        tables.map(|table| Table { name: table.name.clone(), rows: state.data.count(&table.name) }).collect()
    }

    fn rows(&self, table: &str, from: usize, limit: usize) -> Option<Vec<Json>> {
        let state = self.state.lock();
        state.data.schema.table(table)?;
        let rows = state.data.all(table).filter(|record| record.class == table);
        Some(rows.skip(from).take(limit).map(|record| json!(record.values)).collect())
    }

    fn happenings(&self) -> Vec<(&'static str, &'static str, Json)> {
        happen::list()
    }

    fn happen(&self, name: &str, with: &Json) -> Result<Json, Problem> {
        happen::happen(self, name, with)
    }
}
