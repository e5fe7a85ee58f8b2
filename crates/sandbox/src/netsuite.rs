//! NetSuite: records, SuiteQL, RESTlets and SOAP of one account.
//!
//! One server stands for all of the account's hosts (`suitetalk`, `restlets`, `app`); the path tells which is meant.
//! Signatures are checked against the address the client wrote, and against the vendor's hosts.

mod access;
mod answer;
mod books;
mod catalog;
mod filter;
mod happen;
mod jobs;
mod oauth1;
mod oauth2;
mod record_api;
mod refusal;
mod restlet;
mod rules;
mod schema;
mod seed;
mod settings;
mod soap;
mod store;
mod suiteql;
mod transform;
mod values;

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::{Request, State as Shared},
    response::{Html, IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use self::{
    answer::{Answer, Call},
    oauth1::{Keys, Nonces},
    oauth2::Certificate,
    refusal::Refusal,
    settings::Settings,
    store::Store,
};
use crate::{
    Company, Problem, Random, Table, Vendor, World,
    fault::Kind,
    tokens::{Codes, Policy, Tokens},
};

/// The account's id as its pages show it.
const ACCOUNT: &str = "1234567_SB1";
/// A public client for the browser's consent: it has no secret.
const PUBLIC_CLIENT: &str = "public-integration";

/// The simulated account.
pub(crate) struct NetSuite {
    world: Arc<World>,
    state: Mutex<State>,
    tokens: Tokens,
    codes: Codes,
    in_flight: Arc<AtomicUsize>,
    /// The private key of the certificate the account begins with.
    private_key: String,
    certificate: String,
}

/// Everything that changes.
struct State {
    settings: Settings,
    store: Store,
    keys: Keys,
    /// True after the token was revoked.
    token_revoked: bool,
    certificates: Vec<Certificate>,
    certificates_revoked: bool,
    client_id: String,
    client_secret: String,
    nonces: Nonces,
    audit: VecDeque<Json>,
    jobs: jobs::Jobs,
    queries: suiteql::Kept,
    searches: soap::Searches,
    /// The type and id of a record, and a file that is attached to it.
    attachments: Vec<(&'static str, u64, u64)>,
    random: Random,
}

impl State {
    fn new(world: &World, company: &Company, certificate: &str) -> Self {
        let settings = Settings::default();
        let random = world.random("netsuite");
        let store = seed::store(company, &random, &settings);
        let hex = |length| random.text("0123456789abcdef", length);
        Self {
            settings,
            store,
            keys: Keys {
                account: ACCOUNT.to_owned(),
                consumer_key: hex(64),
                consumer_secret: hex(64),
                token: hex(64),
                token_secret: hex(64),
            },
            token_revoked: false,
            certificates: vec![Certificate { id: "certificate-1".to_owned(), pem: certificate.to_owned() }],
            certificates_revoked: false,
            client_id: hex(64),
            client_secret: hex(64),
            nonces: Nonces::default(),
            audit: VecDeque::new(),
            jobs: jobs::Jobs::default(),
            queries: suiteql::Kept::default(),
            searches: soap::Searches::default(),
            attachments: Vec::new(),
            random,
        }
    }

    fn now(&self, world: &World) -> books::Now {
        books::Now {
            at: world.clock().now(),
            zone: self.settings.zone(),
            one_company: self.settings.one_company,
            drifted: self.settings.drifted_fields.clone(),
        }
    }

    /// True when the answer of a write that was done shall be lost.
    fn lose_answer(&mut self) -> bool {
        let lost = self.settings.fail_after_commit > 0;
        self.settings.fail_after_commit = self.settings.fail_after_commit.saturating_sub(1);
        lost
    }

    fn policy(&self) -> Policy {
        Policy {
            access_s: self.settings.access_token_s,
            slides: false,
            refresh_s: Some(self.settings.refresh_token_s),
            rotates: self.settings.refresh_single_use,
            refresh_per_subject: None,
        }
    }
}

impl NetSuite {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        // A key pair of elliptic curves is made in no time; an RSA key can be added by the settings.
        let (private_key, certificate) = match rcgen::KeyPair::generate() {
            Ok(pair) => (pair.serialize_pem(), pair.public_key_pem()),
            Err(error) => {
                tracing::error!(%error, "no key pair could be made; sign-in with a certificate will be refused");
                (String::new(), String::new())
            }
        };
        let state = State::new(world, &world.company(), &certificate);
        let tokens = Tokens::new(state.policy());
        Self {
            world: world.clone(),
            state: Mutex::new(state),
            tokens,
            codes: Codes::default(),
            in_flight: Arc::default(),
            private_key,
            certificate,
        }
    }

    async fn serve(Shared(system): Shared<Arc<Self>>, request: Request) -> Response {
        let mut response = match Call::read(request).await {
            Ok(call) => system.answered(&call).await,
            Err(refusal) => refusal.into_response(),
        };
        let clock = Duration::from_secs(u64::try_from(system.account_s()).unwrap_or_default());
        let date = httpdate::fmt_http_date(UNIX_EPOCH + clock);
        if let Ok(date) = HeaderValue::from_str(&date) {
            response.headers_mut().insert(header::DATE, date);
        }
        response
    }

    async fn answered(self: &Arc<Self>, call: &Call) -> Response {
        let path = call.path.as_str();
        let gateway = StatusCode::from_u16(self.state.lock().settings.gateway);
        if let Ok(status) = gateway {
            return (status, Html("<html><body><h1>Bad gateway</h1></body></html>")).into_response();
        }
        if path == oauth2::TOKEN {
            return self.token_call(call);
        }
        if path == oauth2::REVOKE {
            return self.revoke_call(call);
        }
        if path == oauth2::AUTHORIZE {
            return self.authorize(call);
        }
        if path.starts_with("/wsdl/") || path.starts_with("/xsd/") {
            return self.wsdl(call);
        }
        if path.starts_with("/services/NetSuitePort_") {
            return self.soap(call).await;
        }
        if path == restlet::PATH {
            return self.serve_restlet(call).await;
        }
        match self.rest(call).await {
            Ok(answer) => answer.with("x-n-operationid", self.operation()).into_response(),
            Err(refusal) => refusal.into_response(),
        }
    }

    fn operation(&self) -> String {
        let state = self.state.lock();
        let hex = |length| state.random.text("0123456789abcdef", length);
        format!("{}-{}-{}-{}-{}", hex(8), hex(4), hex(4), hex(4), hex(12))
    }

    async fn pause(&self, suiteql: bool) {
        let ms = {
            let settings = &self.state.lock().settings;
            settings.call_ms + if suiteql { settings.suiteql_ms } else { 0 }
        };
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }

    async fn serve_restlet(&self, call: &Call) -> Response {
        if self.sign_in(call, "restlets").is_err() {
            return restlet::login_refused();
        }
        let Some(_place) = self.place() else { return restlet::over_limit() };
        self.pause(false).await;
        self.restlet(call)
    }

    async fn rest(&self, call: &Call) -> Result<Answer, Refusal> {
        if !call.path.starts_with("/services/rest/") {
            return Err(
                Refusal::new(StatusCode::NOT_FOUND, "NOT_FOUND", "The requested resource does not exist.").url(&call.path)
            );
        }
        let accept = call.header("accept");
        if !accept.is_empty() && !accept.contains("json") && !accept.contains('*') {
            let detail = format!("The media type '{accept}' cannot be given.");
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "INVALID_HEADER", detail).header("Accept"));
        }
        let _place = self.enter(call, "rest_webservices")?;
        let suiteql = call.path == suiteql::PATH;
        self.pause(suiteql).await;
        if suiteql {
            return self.suiteql(call);
        }
        if call.path.starts_with(jobs::BASE) {
            return self.job(call);
        }
        if call.path == record_api::BASE || call.path.starts_with("/services/rest/record/v1/") {
            if jobs::is_async(call) {
                return self.submit(call, || self.record_tasks(call));
            }
            jobs::check_sync(call)?;
            return self.records(call);
        }
        Err(Refusal::new(StatusCode::NOT_FOUND, "NOT_FOUND", "The requested resource does not exist.").url(&call.path))
    }
}

impl Vendor for NetSuite {
    fn id(&self) -> &'static str {
        "netsuite"
    }

    fn title(&self) -> &'static str {
        "NetSuite"
    }

    fn reset(&self, company: &Company) {
        let state = State::new(&self.world, company, &self.certificate);
        self.tokens.clear();
        self.codes.clear();
        self.tokens.set_policy(state.policy());
        *self.state.lock() = state;
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(Self::serve).with_state(self)
    }

    fn refusal(&self, kind: &Kind, request: &Parts) -> Response {
        let path = request.uri.path();
        if path.starts_with("/services/NetSuitePort_") {
            return soap::refusal(kind, path);
        }
        if path == restlet::PATH {
            return match kind {
                Kind::RateLimited { retry_after } => retry_later(restlet::over_limit(), *retry_after),
                Kind::DailyLimit => restlet::over_limit(),
                Kind::ExpiredSession => restlet::login_refused(),
                Kind::Denied => restlet::failed(StatusCode::FORBIDDEN),
                Kind::Unavailable => restlet::failed(StatusCode::SERVICE_UNAVAILABLE),
                _ => restlet::failed(StatusCode::INTERNAL_SERVER_ERROR),
            };
        }
        match kind {
            Kind::RateLimited { retry_after } => retry_later(Refusal::concurrency().into_response(), *retry_after),
            // There is no limit by the day; the nearest is the account's governance.
            Kind::DailyLimit => Refusal::concurrency().into_response(),
            Kind::ExpiredSession => Refusal::login().into_response(),
            Kind::Denied => {
                let detail = "Permission Violation: You need a higher level of the 'Lists -> Customers' permission to access this page. Please contact your account administrator.";
                Refusal::permission(detail).into_response()
            }
            Kind::Unavailable => {
                let detail = "NetSuite is temporarily unavailable. Please try again later.";
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", detail).into_response()
            }
            _ => Refusal::unexpected().into_response(),
        }
    }

    fn credentials(&self) -> Json {
        let state = self.state.lock();
        json!({
            "account": ACCOUNT,
            "url": self.world.url("netsuite"),
            "consumer_key": state.keys.consumer_key,
            "consumer_secret": state.keys.consumer_secret,
            "token": state.keys.token,
            "token_secret": state.keys.token_secret,
            "client_id": state.client_id,
            "client_secret": state.client_secret,
            "public_client_id": PUBLIC_CLIENT,
            "certificate_id": state.certificates.first().map(|certificate| &certificate.id),
            "private_key": self.private_key,
            "algorithm": "ES256",
        })
    }

    fn settings(&self) -> Json {
        serde_json::to_value(&self.state.lock().settings).unwrap_or_default()
    }

    fn configure(&self, settings: &Json) -> Result<(), Problem> {
        let mut state = self.state.lock();
        state.settings = state.settings.with(settings)?;
        state.store.version += 1;
        self.tokens.set_policy(state.policy());
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        let state = self.state.lock();
        let mut tables: Vec<Table> =
            schema::types().iter().map(|kind| Table { name: kind.name.to_owned(), rows: state.store.count(kind) }).collect();
        tables.push(Table { name: "deletedRecord".to_owned(), rows: state.store.deleted.len() });
        tables.push(Table { name: "attachment".to_owned(), rows: state.attachments.len() });
        tables.push(Table { name: "loginAudit".to_owned(), rows: state.audit.len() });
        tables
    }

    fn rows(&self, table: &str, from: usize, limit: usize) -> Option<Vec<Json>> {
        let state = self.state.lock();
        if table == "loginAudit" {
            return Some(state.audit.iter().skip(from).take(limit).cloned().collect());
        }
        if table == "attachment" {
            let told =
                |(kind, id, file): &(&str, u64, u64)| json!({ "type": kind, "id": id.to_string(), "file": file.to_string() });
            return Some(state.attachments.iter().skip(from).take(limit).map(told).collect());
        }
        if table == "deletedRecord" {
            let told = |gone: &store::Deleted| json!({ "type": gone.kind.name, "id": gone.id.to_string(), "externalId": gone.external, "name": gone.name, "deletedDate": gone.at.to_string() });
            return Some(state.store.deleted.iter().skip(from).take(limit).map(told).collect());
        }
        let kind = schema::find(table)?;
        let shown = values::Shown {
            base: format!("{}{}", self.world.url("netsuite"), record_api::BASE),
            expand: true,
            ..Default::default()
        };
        Some(state.store.all(kind).skip(from).take(limit).map(|record| values::show(record, &state.store, &shown)).collect())
    }

    fn happenings(&self) -> Vec<(&'static str, &'static str, Json)> {
        happen::list()
    }

    fn happen(&self, name: &str, with: &Json) -> Result<Json, Problem> {
        self.make_happen(name, with)
    }
}

fn retry_later(mut response: Response, seconds: Option<u64>) -> Response {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
