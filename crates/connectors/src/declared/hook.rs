//! Webhook triggers of a declared connector: the checks are those of the `webhook` connector, fixed in the file.

use std::{collections::HashMap, sync::Arc};

use connector::{Answer, Connection, Inbound, Occurrence, Reading, Refused, Secret, Verified, Webhook, strict};
use formula::Expression;
use serde_json::{Map, Value as Json, json};

use super::{
    problem::{Code, Problems},
    record::Record,
    template::{self, Names, Over, Template},
    yaml::{Kind, Node},
};
use crate::webhook;

/// Events of one request.
const EVENTS_MAX: usize = 1000;
const KEYS: [&str; 6] = ["events", "key", "where", "data", "answer", "note"];
const ANSWER_KEYS: [&str; 4] = ["when", "status", "content_type", "body"];
/// What formulas about a request can read.
const REQUEST_NAMES: [&str; 7] = ["body", "headers", "query", "method", "path", "with", "config"];
/// And about one of its events.
const EVENT_NAMES: [&str; 8] = ["item", "body", "headers", "query", "method", "path", "with", "config"];
/// A connection's credential, and what the check calls it.
const CREDENTIALS: [(&str, &str, &str); 7] = [
    ("webhook_secret", "secret", "Signing secret"),
    ("previous_webhook_secret", "previous_secret", "Previous signing secret"),
    ("webhook_username", "username", "User name of webhooks"),
    ("webhook_password", "password", "Password of webhooks"),
    ("previous_webhook_password", "previous_password", "Previous password of webhooks"),
    ("webhook_token", "token", "Token of webhooks"),
    ("previous_webhook_token", "previous_token", "Previous token of webhooks"),
];

/// How all webhooks of a connector are checked.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    settings: Json,
    /// The credentials it uses, as a connection calls them.
    required: Vec<&'static str>,
    optional: Vec<&'static str>,
}

impl Check {
    /// Reads `webhooks`: the settings of a connection of the connector `webhook`.
    pub(crate) fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        Record::open(node, "webhooks", problems)?;
        let settings = node.json();
        if let Err(found) = webhook::settings::check_declared(&settings) {
            for (field, sentence) in found {
                let key = field.strip_prefix("config.").unwrap_or(&field);
                let at = match &node.kind {
                    Kind::Record(entries) => entries.iter().find(|entry| entry.key == key).map_or(node.at, |entry| entry.at),
                    _ => node.at,
                };
                problems.add(Code::Value, at, format!("{}.", sentence.trim_end_matches('.')));
            }
            return None;
        }
        let kind = settings["verify"].as_str().unwrap_or_default();
        let (required, optional) = webhook::settings::credentials_of(kind);
        let ours = |names: &[&str]| {
            CREDENTIALS.iter().filter(|(_, theirs, _)| names.contains(theirs)).map(|(ours, _, _)| *ours).collect()
        };
        Some(Self { required: ours(required), optional: ours(optional), settings })
    }

    /// Adds the credentials to those of a connection.
    pub(crate) fn credentials(&self, properties: &mut Map<String, Json>) {
        for (name, _, title) in CREDENTIALS {
            if self.required.contains(&name) || self.optional.contains(&name) {
                properties.insert(
                    name.to_owned(),
                    json!({"type": "string", "title": title, "description": "For triggers that the system calls us for."}),
                );
            }
        }
    }

    /// Their names; a connection that only calls out needs none of them.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.required.iter().chain(&self.optional).copied().collect()
    }

    /// What is wrong with those that are given.
    pub(crate) fn check(&self, credentials: &HashMap<String, Secret>, problems: &mut strict::Problems) {
        if !self.names().iter().any(|name| credentials.contains_key(*name)) {
            return;
        }
        let theirs = theirs(credentials);
        if let Err(found) = webhook::settings::validate(&self.settings, &theirs) {
            for (field, sentence) in found {
                let theirs = field.strip_prefix("credentials.").unwrap_or_default();
                let ours = CREDENTIALS.iter().find(|(_, name, _)| *name == theirs).map_or("webhook_secret", |(ours, _, _)| ours);
                problems.add(format!("credentials.{ours}"), sentence.replace(&format!("\"{theirs}\""), &format!("\"{ours}\"")));
            }
        }
    }

    /// The connection as the check wants it.
    fn connection(&self, connection: &Connection) -> Connection {
        Connection {
            name: connection.name.clone(),
            connector: "webhook".to_owned(),
            config: self.settings.clone(),
            credentials: theirs(&connection.credentials),
        }
    }
}

fn theirs(credentials: &HashMap<String, Secret>) -> HashMap<String, Secret> {
    CREDENTIALS.iter().filter_map(|(ours, theirs, _)| Some(((*theirs).to_owned(), credentials.get(*ours)?.clone()))).collect()
}

/// A webhook as its file says it.
pub(crate) struct Spec {
    events: Option<Template>,
    key: Template,
    wanted: Option<Expression>,
    data: Option<Template>,
    answer: Option<Said>,
}

/// What the sender wants to see.
struct Said {
    when: Option<Expression>,
    status: u16,
    content_type: &'static str,
    body: Template,
}

impl Spec {
    pub(crate) fn read(node: &Node, with: &[&str], settings: &[&str], problems: &mut Problems) -> Option<Self> {
        let record = Record::read(node, "webhook", &KEYS, problems)?;
        let names = |roots| Names::new(roots).with("with", with.iter().copied()).with("config", settings.iter().copied());
        let (request, event) = (names(&REQUEST_NAMES), names(&EVENT_NAMES));
        let template = |key: &str, names: &Names<'_>, problems: &mut Problems| {
            record.get(key).map(|node| Template::read(node, names, problems))
        };
        record.need("key", "webhook", problems);
        Some(Self {
            events: template("events", &request, problems),
            key: template("key", &event, problems).unwrap_or(Template::Literal(Json::Null)),
            wanted: record
                .text("where", problems)
                .and_then(|text| template::formula(text, record.place("where"), &event, problems)),
            data: template("data", &event, problems),
            answer: record.get("answer").and_then(|node| said(node, &request, problems)),
        })
    }

    pub(crate) fn webhook(self, check: Check) -> Webhook {
        let check = Arc::new(check);
        let proofs = Arc::clone(&check);
        Webhook::new(
            move |connection: &Connection, inbound: &Inbound<'_>| -> Result<Verified, Refused> {
                webhook::verify::verify(&check.connection(connection), inbound)
            },
            move |connection: &Connection| webhook::verify::proofs(&proofs.connection(connection)),
        )
        .read(move |connection, with, inbound| self.reading(connection, with, inbound))
    }

    fn reading(&self, connection: &Connection, with: &Json, inbound: &Inbound<'_>) -> Result<Reading, Refused> {
        let mut over = Over::new("with", with.clone(), &connection.config);
        let body = body(inbound);
        let (path, query) = inbound.target.split_once('?').unwrap_or((inbound.target, ""));
        let query: Map<String, Json> =
            url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), Json::from(value))).collect();
        let headers = inbound.headers.iter().map(|(name, value)| (name.clone(), Json::from(value.as_str())));
        over.scope.set("body", body.clone());
        over.scope.set("headers", Json::Object(headers.collect()));
        over.scope.set("query", Json::Object(query));
        over.scope.set("method", Json::from(inbound.method));
        over.scope.set("path", Json::from(path));
        if let Some(said) = &self.answer
            && let Some(answer) = said.answer(&over)?
        {
            return Ok(Reading { events: Vec::new(), answer: Some(answer) });
        }
        let items = match &self.events {
            None => vec![body],
            Some(template) => match template.value(&over).map_err(unfit)? {
                Json::Array(items) if items.len() > EVENTS_MAX => {
                    let message = format!("the request holds {} events, more than the {EVENTS_MAX} taken at once", items.len());
                    return Err(Refused { code: "TOO_MANY_EVENTS", message });
                }
                Json::Array(items) => items,
                Json::Null => Vec::new(),
                one => vec![one],
            },
        };
        let mut events = Vec::new();
        for item in items {
            let mut over = over.again();
            over.scope.set("item", item.clone());
            if let Some(wanted) = &self.wanted
                && !template::decided(wanted, &over.scope).map_err(unfit)?
            {
                continue;
            }
            let key = self.key.text(&over).map_err(unfit)?.filter(|key| !key.is_empty()).ok_or_else(|| Refused {
                code: "EVENT_ID_MISSING",
                message: "the request does not say which event it is about, so a repeated one could not be told".to_owned(),
            })?;
            let data = match &self.data {
                Some(template) => template.value(&over).map_err(unfit)?,
                None => item,
            };
            events.push(Occurrence { key, data });
        }
        Ok(Reading { events, answer: None })
    }
}

impl Said {
    fn answer(&self, over: &Over) -> Result<Option<Answer>, Refused> {
        if let Some(when) = &self.when
            && !template::decided(when, &over.scope).map_err(unfit)?
        {
            return Ok(None);
        }
        let body = match self.body.value(over).map_err(unfit)? {
            Json::String(text) => text,
            Json::Null => String::new(),
            other => other.to_string(),
        };
        Ok(Some(Answer { status: self.status, content_type: self.content_type, body }))
    }
}

fn said(node: &Node, names: &Names<'_>, problems: &mut Problems) -> Option<Said> {
    let record = Record::read(node, "answer", &ANSWER_KEYS, problems)?;
    let when = record.need_text("when", "answer", problems)?;
    let when = template::formula(when, record.place("when"), names, problems);
    let status = record.number("status", 200, 299, problems).unwrap_or(200);
    let content_type = record.text("content_type", problems).unwrap_or("application/json");
    let body = record.need("body", "answer", problems)?;
    Some(Said {
        when,
        status: u16::try_from(status).unwrap_or(200),
        content_type: match content_type {
            "application/json" => "application/json",
            "text/plain" => "text/plain",
            "text/xml" => "text/xml",
            other => {
                let known = ["application/json", "text/plain", "text/xml"];
                problems.unknown(Code::Value, record.place("content_type"), "content type of an answer", other, &known);
                "text/plain"
            }
        },
        body: Template::read(body, names, problems),
    })
}

/// A form as a record, JSON as it is, anything else as text.
fn body(inbound: &Inbound<'_>) -> Json {
    if let Ok(value) = serde_json::from_slice(inbound.body) {
        return value;
    }
    if inbound.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        let pairs = url::form_urlencoded::parse(inbound.body).map(|(name, value)| (name.into_owned(), Json::from(value)));
        return Json::Object(pairs.collect());
    }
    if inbound.body.is_empty() { Json::Null } else { Json::from(String::from_utf8_lossy(inbound.body)) }
}

fn unfit(error: connector::StepError) -> Refused {
    Refused { code: "EVENT_UNREADABLE", message: error.message }
}
