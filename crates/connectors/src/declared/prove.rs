//! Tests a connector file declares, played against a server that answers as the file says.
//!
//! Each test names an action or a trigger, what it is given, the requests that are expected, the answers they get,
//! and what comes out. The server is a real one on this machine, so that headers, forms and addresses are those that
//! would go out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use connector::{
    AddressPolicy, Connection, Connector, Cx, Inbound, Polled, Position, Secret, StepError,
    http::{Http, HttpOptions},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value as Json, json};

use super::{
    action, micros,
    problem::{Code, Problems},
    record::Record,
    schema,
    yaml::Node,
};

/// Exchanges of one test.
const EXCHANGES_MAX: usize = 100;
/// How long one test may take.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The time of a test unless it says another: 2026-01-02T03:04:05Z.
const NOW: &str = "2026-01-02T03:04:05Z";
const KEYS: [&str; 13] = [
    "title",
    "action",
    "trigger",
    "config",
    "credentials",
    "input",
    "with",
    "now",
    "since",
    "exchanges",
    "request",
    "expect",
    "note",
];
const EXCHANGE_KEYS: [&str; 2] = ["request", "answer"];
const REQUEST_KEYS: [&str; 7] = ["method", "path", "query", "headers", "json", "form", "text"];
const ANSWER_KEYS: [&str; 4] = ["status", "headers", "json", "text"];
const EXPECT_KEYS: [&str; 4] = ["output", "events", "error", "answer"];

/// One test of a connector file.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    title: String,
    what: What,
    config: Json,
    credentials: Json,
    now: i64,
    since: Option<i64>,
    exchanges: Vec<Exchange>,
    inbound: Json,
    expect: Json,
}

#[derive(Debug, Clone)]
enum What {
    Action(String, Json),
    Trigger(String, Json),
}

#[derive(Debug, Clone)]
struct Exchange {
    request: Json,
    answer: Json,
}

/// How a test went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The test's title.
    pub title: String,
    /// What was not as the file says; nothing when all was.
    pub problems: Vec<String>,
}

impl Test {
    pub(crate) fn read(node: &Node, actions: &[action::Spec], triggers: &[&str], problems: &mut Problems) -> Option<Self> {
        let record = Record::read(node, "a test", &KEYS, problems)?;
        let title = record.need_text("title", "a test", problems)?.to_owned();
        let value = |key: &str| record.get(key).map_or_else(|| json!({}), Node::json);
        let time = |key: &str, otherwise: Option<&str>, problems: &mut Problems| {
            let text = record.text(key, problems).or(otherwise)?;
            let found = micros(text);
            if found.is_none() {
                problems.add(Code::Value, record.place(key), format!("\"{key}\" must be a time such as {NOW}."));
            }
            found
        };
        let what = match (record.text("action", problems), record.text("trigger", problems)) {
            (Some(name), None) => {
                let known: Vec<&str> = actions.iter().map(|action| action.id.as_str()).collect();
                let Some(action) = actions.iter().find(|action| action.id == name) else {
                    problems.unknown(Code::UnknownName, record.place("action"), "action", name, &known);
                    return None;
                };
                schema::fits(&value("input"), &action.input, record.place("input"), "The input", problems);
                What::Action(name.to_owned(), value("input"))
            }
            (None, Some(name)) => {
                if !triggers.contains(&name) {
                    problems.unknown(Code::UnknownName, record.place("trigger"), "trigger", name, triggers);
                    return None;
                }
                What::Trigger(name.to_owned(), value("with"))
            }
            _ => {
                problems.add(Code::MissingKey, record.at, "A test names one action or one trigger.");
                return None;
            }
        };
        let exchanges = exchanges(&record, problems);
        if let Some(request) = record.get("request") {
            Record::read(request, "a request", &REQUEST_KEYS, problems);
        }
        match record.need("expect", "a test", problems) {
            Some(node) => drop(Record::read(node, "expect", &EXPECT_KEYS, problems)),
            None => return None,
        }
        Some(Self {
            title,
            what,
            config: value("config"),
            credentials: value("credentials"),
            now: time("now", Some(NOW), problems).unwrap_or_default(),
            since: time("since", None, problems),
            exchanges,
            inbound: record.get("request").map_or(Json::Null, Node::json),
            expect: value("expect"),
        })
    }
}

fn exchanges(record: &Record<'_>, problems: &mut Problems) -> Vec<Exchange> {
    let mut found = Vec::new();
    for item in record.list("exchanges", EXCHANGES_MAX, problems) {
        let Some(exchange) = Record::read(item, "an exchange", &EXCHANGE_KEYS, problems) else { continue };
        for (key, known) in [("request", REQUEST_KEYS.as_slice()), ("answer", ANSWER_KEYS.as_slice())] {
            if let Some(node) = exchange.need(key, "an exchange", problems) {
                Record::read(node, key, known, problems);
            }
        }
        let value = |key: &str| exchange.get(key).map_or_else(|| json!({}), Node::json);
        found.push(Exchange { request: value("request"), answer: value("answer") });
    }
    found
}

/// Plays all tests of a file.
///
/// # Errors
/// When there is no address on this machine to play them at.
pub(crate) async fn all(tests: &[Test], connector: &Connector) -> std::io::Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(tests.len());
    for test in tests {
        let played = Play::start(test, connector).await?;
        let problems = match tokio::time::timeout(TEST_TIMEOUT, played.play(test, connector)).await {
            Ok(problems) => problems,
            Err(_) => vec![format!("the test took more than {} s", TEST_TIMEOUT.as_secs())],
        };
        outcomes.push(Outcome { title: test.title.clone(), problems });
    }
    Ok(outcomes)
}

/// One test under way.
struct Play {
    connection: Arc<Connection>,
    script: Arc<Mutex<Script>>,
    server: tokio::task::AbortHandle,
}

impl Drop for Play {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Default)]
struct Script {
    left: std::collections::VecDeque<Exchange>,
    problems: Vec<String>,
}

impl Play {
    async fn start(test: &Test, connector: &Connector) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let base = format!("http://{}", listener.local_addr()?);
        let script = Script { left: test.exchanges.iter().cloned().collect(), problems: Vec::new() };
        let script = Arc::new(Mutex::new(script));
        let server = tokio::spawn(serve(listener, base.clone(), Arc::clone(&script))).abort_handle();
        let mut config = test.config.as_object().cloned().unwrap_or_default();
        config.entry("base_url").or_insert_with(|| base.clone().into());
        if connector.config["properties"].get("token_url").is_some() {
            config.entry("token_url").or_insert_with(|| format!("{base}/token").into());
        }
        let given = test.credentials.as_object().cloned().unwrap_or_default();
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut credentials: HashMap<String, Secret> =
            given.iter().map(|(name, value)| (name.clone(), Secret::new(text(value)))).collect();
        if credentials.is_empty() {
            // Whatever the sign-in of the file needs first: tests about something else need not say it.
            let names = connector.credentials["properties"].as_object().into_iter().flat_map(Map::keys);
            credentials.extend(
                names.filter(|name| !name.contains("webhook")).map(|name| (name.clone(), Secret::new(format!("test-{name}")))),
            );
        }
        let connection =
            Connection { name: "test".to_owned(), connector: connector.id.to_owned(), config: Json::Object(config), credentials };
        Ok(Self { connection: Arc::new(connection), script, server })
    }

    async fn play(&self, test: &Test, connector: &Connector) -> Vec<String> {
        let mut problems = match &test.what {
            What::Action(name, input) => match connector.action(name) {
                Some(action) => match self.cx(test) {
                    Ok(cx) => {
                        let outcome = (action.run)(cx, input.clone()).await;
                        let mut found = compared(&test.expect, "output", outcome.as_ref());
                        if let Ok(output) = &outcome
                            && let Some(why) = schema::misfit(output, &action.output)
                        {
                            found.push(format!("the output does not fit its schema {why}"));
                        }
                        found
                    }
                    Err(why) => vec![why],
                },
                None => vec![format!("there is no action {name}")],
            },
            What::Trigger(name, with) => match connector.trigger(name) {
                Some(trigger) if !test.inbound.is_null() => self.sent(test, trigger, with),
                Some(trigger) => match self.polled(test, trigger, with).await {
                    Ok(problems) => problems,
                    Err(why) => vec![why],
                },
                None => vec![format!("there is no trigger {name}")],
            },
        };
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        problems.append(&mut script.problems);
        if !script.left.is_empty() {
            problems.push(format!("{} of the expected requests were not made", script.left.len()));
        }
        problems
    }

    fn cx(&self, test: &Test) -> Result<Cx, String> {
        let options = HttpOptions { policy: AddressPolicy::with_private(), ..HttpOptions::default() };
        Ok(Cx {
            http: Http::new(options).map_err(|error| error.to_string())?,
            connection: Some(Arc::clone(&self.connection)),
            idempotency_key: "test-key".into(),
            timeout: TEST_TIMEOUT,
            began: tokio::time::Instant::now(),
            began_us: test.now,
            attempt: 1,
            in_doubt: false,
            run_id: "test".into(),
            path: "test".into(),
            traceparent: None,
            turns: None,
        })
    }

    async fn polled(&self, test: &Test, trigger: &connector::Trigger, with: &Json) -> Result<Vec<String>, String> {
        let Some(poll) = &trigger.poll else { return Err("this trigger is only sent to; the test needs a request".to_owned()) };
        let mut position = Position::Since(test.since.unwrap_or(test.now));
        let mut events = Vec::new();
        let outcome: Result<(), StepError> = loop {
            match (poll.ask)(self.cx(test)?, with.clone(), position).await {
                Err(error) => break Err(error),
                Ok(Polled { events: found, cursor, more }) => {
                    events.extend(found);
                    position = Position::After(cursor);
                    if !more {
                        break Ok(());
                    }
                }
            }
        };
        let outcome = outcome.map(|()| events_json(&events));
        let mut found = compared(&test.expect, "events", outcome.as_ref());
        found.extend(events.iter().filter_map(|event| {
            schema::misfit(&event.data, &trigger.output)
                .map(|why| format!("the event {} does not fit its schema {why}", event.key))
        }));
        Ok(found)
    }

    fn sent(&self, test: &Test, trigger: &connector::Trigger, with: &Json) -> Vec<String> {
        let Some(webhook) = &trigger.webhook else {
            return vec!["this trigger asks by itself; nobody sends it requests".to_owned()];
        };
        let (kind, body) = body_of(&test.inbound);
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in test.inbound["headers"].as_object().into_iter().flatten() {
            headers.push((name.to_ascii_lowercase(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
        if !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".to_owned(), kind.to_owned()));
        }
        let inbound = Inbound {
            method: test.inbound["method"].as_str().unwrap_or("POST"),
            base: "https://liaison.example",
            target: test.inbound["path"].as_str().unwrap_or("/hooks/test"),
            headers: &headers,
            body: &body,
            now_s: test.now.div_euclid(1_000_000),
        };
        let read = (webhook.verify)(&self.connection, &inbound).and_then(|_| match &webhook.read {
            Some(read) => read(&self.connection, with, &inbound),
            None => Ok(connector::Reading::default()),
        });
        let reading = match read {
            Ok(reading) => reading,
            Err(refused) => {
                let error = json!({"code": refused.code, "message": refused.message});
                return match test.expect.get("error") {
                    Some(wanted) => differences("error", wanted, &error, false),
                    None => vec![format!("the request was refused: {} {}", refused.code, refused.message)],
                };
            }
        };
        let mut found = Vec::new();
        for event in &reading.events {
            if let Some(why) = schema::misfit(&event.data, &trigger.output) {
                found.push(format!("the event {} does not fit its schema {why}", event.key));
            }
        }
        let answer = reading.answer.map_or(Json::Null, |answer| json!({"status": answer.status, "body": answer.body}));
        if let Some(wanted) = test.expect.get("answer") {
            found.extend(differences("answer", wanted, &answer, false));
        }
        found.extend(compared(&test.expect, "events", Ok(&events_json(&reading.events))));
        found
    }
}

fn events_json(events: &[connector::Occurrence]) -> Json {
    events.iter().map(|event| json!({"key": event.key, "data": event.data})).collect()
}

/// What came out, against what the test expects of it.
fn compared(expect: &Json, what: &str, outcome: Result<&Json, &StepError>) -> Vec<String> {
    match (expect.get("error"), outcome) {
        (None, Ok(found)) => match expect.get(what) {
            Some(wanted) => differences(what, wanted, found, false),
            None => Vec::new(),
        },
        (Some(wanted), Err(error)) => {
            let error = json!({"class": error.class.as_str(), "code": error.code, "message": error.message, "next": error.next,
                "retry_after": error.retry_after.map(|wait| wait.as_secs())});
            differences("error", wanted, &error, false)
        }
        (None, Err(error)) => vec![format!("it failed: {} {}", error.code, error.message)],
        (Some(_), Ok(found)) => vec![format!("it should have failed, and gave {}", short(found))],
    }
}

/// Where a value is not as wanted. Records may hold more, unless `exact`; lists may not.
fn differences(place: &str, wanted: &Json, found: &Json, exact: bool) -> Vec<String> {
    match (wanted, found) {
        (Json::Object(wanted), Json::Object(found)) => {
            let mut all: Vec<String> = Vec::new();
            for (name, wanted) in wanted {
                all.extend(differences(&format!("{place}.{name}"), wanted, found.get(name).unwrap_or(&Json::Null), exact));
            }
            if exact {
                let more = found.keys().filter(|name| !wanted.contains_key(*name));
                all.extend(more.map(|name| format!("{place}.{name} is not expected")));
            }
            all
        }
        (Json::Array(wanted), Json::Array(found)) if wanted.len() == found.len() => wanted
            .iter()
            .zip(found)
            .enumerate()
            .flat_map(|(at, (wanted, found))| differences(&format!("{place}[{at}]"), wanted, found, exact))
            .collect(),
        _ if wanted == found => Vec::new(),
        _ => vec![format!("{place} should be {} and is {}", short(wanted), short(found))],
    }
}

fn short(value: &Json) -> String {
    const CHARS_MAX: usize = 300;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

async fn serve(listener: tokio::net::TcpListener, base: String, script: Arc<Mutex<Script>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (script, base) = (Arc::clone(&script), base.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let (script, base) = (Arc::clone(&script), base.clone());
            async move { Ok::<_, std::convert::Infallible>(answer(request, &base, &script).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: hyper::Request<Incoming>, base: &str, script: &Mutex<Script>) -> hyper::Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(exchange) = script.left.pop_front() else {
        script.problems.push(format!("{} {} was not expected", parts.method, parts.uri));
        return hyper::Response::builder().status(599).body(Full::default()).unwrap_or_default();
    };
    let found = told(&parts, &body);
    let problems: Vec<String> = exchange
        .request
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(key, wanted)| differences(key, wanted, found.get(key).unwrap_or(&Json::Null), key != "headers"))
        .collect();
    script.problems.extend(problems.into_iter().map(|problem| format!("the request {} {}: {problem}", parts.method, parts.uri)));
    let (kind, body) = body_of(&exchange.answer);
    let status = exchange.answer["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
    let mut response = hyper::Response::builder().status(status);
    if !body.is_empty() {
        response = response.header("content-type", kind);
    }
    for (name, value) in exchange.answer["headers"].as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        response = response.header(name.as_str(), value.replace("{base}", base));
    }
    // Answers name the server they come from, for instance as the address of a next page.
    let body = String::from_utf8_lossy(&body).replace("{base}", base);
    response.body(Full::from(body)).unwrap_or_default()
}

/// A request as tests describe it.
fn told(parts: &http::request::Parts, body: &[u8]) -> Json {
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
    json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": form(parts.uri.query().unwrap_or_default().as_bytes()),
        "headers": Json::Object(headers.collect()),
        "json": serde_json::from_slice::<Json>(body).unwrap_or(Json::Null),
        "form": form(body),
        "text": String::from_utf8_lossy(body),
    })
}

/// Names and values; a repeated name gives a list.
fn form(text: &[u8]) -> Json {
    let mut record = Map::new();
    for (name, value) in url::form_urlencoded::parse(text) {
        match record.get_mut(&*name) {
            None => drop(record.insert(name.into_owned(), value.into())),
            Some(Json::Array(values)) => values.push(value.into()),
            Some(one) => *one = Json::Array(vec![one.take(), value.into()]),
        }
    }
    Json::Object(record)
}

/// The body a test describes, and its type.
fn body_of(described: &Json) -> (&'static str, Vec<u8>) {
    if let Some(value) = described.get("json") {
        return ("application/json", value.to_string().into_bytes());
    }
    if let Some(fields) = described.get("form").and_then(Json::as_object) {
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pairs = fields.iter().map(|(name, value)| (name.as_str(), text(value)));
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        return ("application/x-www-form-urlencoded", body.into_bytes());
    }
    ("text/plain", described.get("text").and_then(Json::as_str).unwrap_or_default().as_bytes().to_vec())
}
