//! Stripe, simulated: the v1 API with its form bodies, thin events of v2, webhooks, test clocks.
//!
//! All answers have the shape of API version `2026-10-28.endive`; older versions are taken in `Stripe-Version`, and
//! answered in the same shape. Resources that are not played (issuing, terminal, treasury and the like) are kept as
//! they are written: they can be created, read, changed and listed, and do nothing by themselves.

mod api;
mod billing;
mod books;
mod cards;
mod catalog;
mod charges;
mod check;
mod checkout;
mod collect;
mod credit;
mod customers;
mod disputes;
mod door;
mod drift;
mod error;
mod events;
mod expand;
mod files;
mod form;
mod generic;
mod happen;
mod hooks;
mod ids;
mod intents;
mod invoices;
mod items;
mod keys;
mod ledger;
mod list;
mod money;
mod ops;
mod parts;
mod rate;
mod refunds;
mod repeat;
mod search;
mod seed;
mod settings;
mod subscriptions;
mod thin;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{Router, response::Response};
use http::request::Parts;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use crate::{
    Company, Kind, Problem, Random, Table, Vendor, World,
    stripe::{
        api::Operation,
        books::{Books, Row, text},
        door::{Answer, Asked},
        error::{Refused, Result},
        keys::Keys,
        rate::Buckets,
        repeat::Repeats,
        settings::Settings,
    },
};

/// The records of all accounts.
struct State {
    keys: Keys,
    settings: Settings,
    /// By account and mode.
    books: HashMap<(String, bool), Books>,
    random: Arc<Random>,
}

/// The simulated Stripe.
pub(crate) struct Stripe {
    world: Arc<World>,
    state: Mutex<State>,
    repeats: Repeats,
    buckets: Buckets,
}

impl Stripe {
    pub(crate) fn new(world: Arc<World>) -> Self {
        // The company's books are written by the reset that every start begins with.
        let state = Mutex::new(State::new(&world, None));
        Self { world, state, repeats: Repeats::default(), buckets: Buckets::default() }
    }

    fn now(&self) -> i64 {
        self.world.clock().now_s()
    }

    fn text(&self, length: usize) -> String {
        let random = self.state.lock().random.clone();
        random.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", length)
    }

    fn keys(&self) -> Keys {
        self.state.lock().keys.clone()
    }

    fn settings(&self) -> Settings {
        self.state.lock().settings.clone()
    }

    /// Does an operation in the caller's books.
    fn run(&self, asked: &Asked, operation: &Operation, ids: &[String], params: Row) -> Result {
        if operation.name.starts_with("Event.") {
            self.note_deliveries(asked);
        }
        let url = asked.parts.uri.path().trim_end_matches('/').to_owned();
        let done = self.with_books(asked, |books| {
            if operation.name == "File.create" {
                return files::upload(books, asked, &params);
            }
            ops::run(books, operation, ids, &url, params)
        });
        done.map_err(|refused| self.other_mode(asked, refused))
    }

    /// Works in the caller's books; what is due is done first, and events go out afterwards.
    fn with_books<T>(&self, asked: &Asked, work: impl FnOnce(&mut Books) -> Result<T>) -> Result<T> {
        let now = self.now();
        let mut state = self.state.lock();
        let place = (asked.caller.account.clone(), asked.caller.key.live);
        let settings = state.settings.clone();
        let (account, live, random) = (place.0.clone(), place.1, state.random.clone());
        let books = state.books.entry(place).or_insert_with(|| Books::new(&account, live, random, settings.clone()));
        books.settings = settings;
        books.request = None;
        books.tick("", now);
        books.request = Some((asked.id.clone(), asked.key.clone()));
        let done = work(books);
        books.request = None;
        books.now = now;
        self.deliver(&mut state, &account, live);
        done
    }

    /// Sends what was told since the last time.
    fn deliver(&self, state: &mut State, account: &str, live: bool) {
        let place = (account.to_owned(), live);
        let Some(books) = state.books.get_mut(&place) else { return };
        let told = std::mem::take(&mut books.told);
        let main = state.keys.account.clone();
        for id in told {
            let Some(event) = state.books.get(&place).and_then(|books| books.get("Event", &id)).cloned() else { continue };
            let mut receivers =
                state.books.get(&place).map(|books| books.receivers(text(&event, "type"), false)).unwrap_or_default();
            if account != main {
                let listening = state.books.get(&(main.clone(), live));
                receivers.extend(listening.map(|books| books.receivers(text(&event, "type"), true)).unwrap_or_default());
            }
            let mut event = event;
            event.insert("pending_webhooks".into(), json!(receivers.len()));
            if account != main {
                event.insert("account".into(), json!(account));
            }
            if let Some(row) = state.books.get_mut(&place).and_then(|books| books.row_mut("Event", &id)) {
                *row = event.clone();
            }
            for receiver in receivers {
                let label = format!("{} {id}", text(&event, "type"));
                let mut body = if receiver.thin { thin::thin(&event) } else { versioned(&event, receiver.version.as_deref()) };
                state.settings.drifted_fields.show(&mut body);
                hooks::send(self.world.outbox(), &state.settings, &receiver, label, &body);
            }
        }
    }

    /// Writes down which events were delivered.
    fn note_deliveries(&self, asked: &Asked) {
        let mut waiting: HashMap<String, usize> = HashMap::new();
        for delivery in self.world.outbox().deliveries() {
            if delivery.vendor == "stripe" && delivery.state != crate::Tries::Delivered {
                let id = delivery.label.split(' ').nth(1).unwrap_or_default().to_owned();
                *waiting.entry(id).or_default() += 1;
            }
        }
        let mut state = self.state.lock();
        let Some(books) = state.books.get_mut(&(asked.caller.account.clone(), asked.caller.key.live)) else { return };
        let pending: Vec<String> = books
            .all("Event")
            .filter(|row| books::number(row, "pending_webhooks") > 0)
            .map(|row| text(row, "id").to_owned())
            .collect();
        for id in pending {
            let left = waiting.get(&id).copied().unwrap_or_default();
            if let Some(row) = books.row_mut("Event", &id) {
                row.insert("pending_webhooks".into(), json!(left));
            }
        }
    }

    /// Says so when what is not there is there in the other mode.
    fn other_mode(&self, asked: &Asked, mut refused: Refused) -> Refused {
        if refused.code.as_deref() != Some("resource_missing") {
            return refused;
        }
        let live = asked.caller.key.live;
        let state = self.state.lock();
        let id = refused.message.split('\'').nth(1).unwrap_or_default();
        let there = state.books.get(&(asked.caller.account.clone(), !live)).is_some_and(|books| books.by_id(id).is_some());
        if there {
            let (other, used) = if live { ("test", "live") } else { ("live", "test") };
            let more = format!("; a similar object exists in {other} mode, but a {used} mode key was used to make this request.");
            refused.message.push_str(&more);
        }
        refused
    }
}

/// An event in the version its receiver asked for. Only the name of the version is different.
fn versioned(event: &Row, version: Option<&str>) -> Json {
    let mut event = event.clone();
    if let Some(version) = version {
        event.insert("api_version".into(), json!(version));
    }
    Json::Object(event)
}

impl State {
    fn new(world: &Arc<World>, company: Option<&Company>) -> Self {
        let random = Arc::new(world.random("stripe"));
        let keys = Keys::new(&world.random("stripe keys"));
        let settings = Settings::default();
        let mut books = Books::new(&keys.account, false, random.clone(), settings.clone());
        if let Some(company) = company {
            seed::fill(&mut books, company, world.clock().now_s());
        }
        let books = HashMap::from([((keys.account.clone(), false), books)]);
        Self { keys, settings, books, random }
    }

    /// The main account in test mode.
    fn main(&mut self) -> Option<&mut Books> {
        self.books.get_mut(&(self.keys.account.clone(), false))
    }
}

impl Vendor for Stripe {
    fn id(&self) -> &'static str {
        "stripe"
    }

    fn title(&self) -> &'static str {
        "Stripe"
    }

    fn reset(&self, company: &Company) {
        let state = State::new(&self.world, Some(company));
        *self.state.lock() = state;
        self.repeats.clear();
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(door::answer).with_state(self)
    }

    fn refusal(&self, kind: &Kind, request: &Parts) -> Response {
        let settings = self.settings();
        let id = format!("req_{}", self.text(14));
        let given = request.headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let key = given.rsplit(' ').next().unwrap_or_default();
        let mut refused = match kind {
            Kind::RateLimited { retry_after } => {
                let refused = rate::too_many(&settings.refusal_code);
                match retry_after {
                    // The vendor sends none; a proxy before it may.
                    Some(seconds) => refused.header("Retry-After", seconds.to_string()),
                    None => refused,
                }
            }
            Kind::DailyLimit => rate::too_many("rate_limit").header("Stripe-Rate-Limited-Reason", "global-rate"),
            Kind::ExpiredSession => {
                let message = format!("Expired API Key provided: {}", keys::masked(key));
                Refused::new(401, "invalid_request_error", message).code("api_key_expired")
            }
            Kind::Denied => {
                let right = api::API
                    .find(request.method.as_str(), request.uri.path())
                    .map_or_else(|| "account_read".to_owned(), |(operation, _)| keys::right(operation));
                keys::denied(key, &self.keys().account, &right)
            }
            Kind::Unavailable => Refused::new(503, "api_error", "Stripe is temporarily unavailable. Please try again."),
            _ => {
                let message = "An unknown error occurred. If you think this is an error on our side, contact us at https://support.stripe.com/.";
                Refused::new(500, "api_error", message)
            }
        };
        if let Some(retry) = settings.should_retry {
            refused = refused.header("Stripe-Should-Retry", retry.to_string());
        }
        door::written(Answer::refused(&refused, &id), &id, Vec::new(), &settings.default_version)
    }

    fn credentials(&self) -> Json {
        let keys = self.keys();
        let of = |place: usize| keys.keys.get(place).map(|key| key.text.clone());
        json!({
            "secret_key": of(0), "live_secret_key": of(1), "restricted_key": of(2), "publishable_key": of(3), "expired_key": of(4),
            "account": keys.account, "connected_account": keys.connected, "api_version": api::API.version,
        })
    }

    fn settings(&self) -> Json {
        json!(Stripe::settings(self))
    }

    fn configure(&self, settings: &Json) -> std::result::Result<(), Problem> {
        let mut state = self.state.lock();
        state.settings = state.settings.changed(settings)?;
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        let mut state = self.state.lock();
        let names: BTreeMap<String, usize> = state
            .main()
            .map(|books| {
                books
                    .tables
                    .iter()
                    .filter(|(name, _)| shown(name))
                    .map(|(name, table)| ((*name).to_owned(), table.len()))
                    .collect()
            })
            .unwrap_or_default();
        names.into_iter().map(|(name, rows)| Table { name, rows }).collect()
    }

    fn rows(&self, table: &str, from: usize, limit: usize) -> Option<Vec<Json>> {
        let mut state = self.state.lock();
        let books = state.main()?;
        let table = books.table(table).filter(|_| shown(table))?;
        Some(table.oldest().skip(from).take(limit).map(|row| Json::Object(row.clone())).collect())
    }

    fn happenings(&self) -> Vec<(&'static str, &'static str, Json)> {
        happen::all()
    }

    fn happen(&self, name: &str, with: &Json) -> std::result::Result<Json, Problem> {
        let now = self.now();
        let mut state = self.state.lock();
        let account = state.keys.account.clone();
        let settings = state.settings.clone();
        let Some(books) = state.main() else { return Err(Problem("there is no account".to_owned())) };
        books.settings = settings;
        books.tick("", now);
        let done = happen::done(books, name, with);
        books.now = now;
        self.deliver(&mut state, &account, false);
        done.map_err(|refused| Problem(refused.message))
    }
}

/// Tables that people may look at; secrets are none of them.
fn shown(table: &str) -> bool {
    !matches!(table, "EndpointSecrets" | "LineItems")
}
