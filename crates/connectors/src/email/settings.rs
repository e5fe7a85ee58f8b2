//! What a connection of the `email` connector holds.

use std::{collections::HashMap, net::IpAddr};

use connector::{Connection, Cx, ErrorClass, Secret, StepError};
use lettre::message::Mailbox;
use serde_json::{Map, Value as Json, json};

use connector::strict::{self, Problems};

const KEYS: [&str; 6] = ["host", "port", "tls", "from", "hello", "ca"];
const TLS: [&str; 3] = ["starttls", "implicit", "none"];

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tls {
    /// Begins in the open and must be protected before anything else.
    Starttls,
    Implicit,
    None,
}

/// A mail server and how to sign in.
pub(super) struct Server<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) tls: Tls,
    /// The sender, unless a message names another.
    pub(super) from: Option<&'a str>,
    /// How we introduce ourselves.
    pub(super) hello: &'a str,
    pub(super) ca: Option<&'a str>,
    pub(super) sign_in: Option<(&'a Secret, &'a Secret)>,
}

pub(super) fn config_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "host": {"type": "string", "title": "Mail server", "description": "Its name, for instance smtp.example.com."},
            "port": {"type": "integer", "minimum": 1, "maximum": 65535, "title": "Port", "description": "587 for starttls, 465 for implicit, 25 for none unless given."},
            "tls": {"type": "string", "enum": TLS, "default": "starttls", "title": "Protection", "description": "starttls, implicit (TLS from the first byte), or none."},
            "from": {"type": "string", "title": "Sender", "description": "Used when a message names no other: reports@example.com, or Reports <reports@example.com>."},
            "hello": {"type": "string", "title": "Own name", "default": "liaison.invalid", "description": "The name given to the mail server; some insist on a real one."},
            "ca": {"type": "string", "title": "Trusted authority", "description": "PEM certificates trusted besides the system's."}
        },
        "required": ["host"],
        "additionalProperties": false
    })
}

pub(super) fn credentials_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "username": {"type": "string", "title": "User name"},
            "password": {"type": "string", "title": "Password"}
        },
        "additionalProperties": false
    })
}

pub(super) fn validate(config: &Json, credentials: &HashMap<String, Secret>) -> Result<(), Vec<(String, String)>> {
    let mut problems = Problems::default();
    let nothing = Map::new();
    let fields = problems.record("config", config).unwrap_or(&nothing);
    problems.unknown_keys("config", fields, &KEYS);
    let (required, why): (&[&str], _) =
        if credentials.is_empty() { (&[], "a mail server without sign-in") } else { (&["username", "password"], "the sign-in") };
    problems.credentials(credentials, required, &["username", "password"], why);
    if let Err((field, sentence)) = read(fields, credentials) {
        problems.add(format!("config.{field}"), sentence);
    }
    problems.finish()
}

/// The server of the step's connection.
pub(super) fn server(cx: &Cx) -> Result<Server<'_>, StepError> {
    let Some(connection) = cx.connection.as_deref() else {
        return Err(StepError::new(
            ErrorClass::Invalid,
            "CONNECTION_MISSING",
            "an e-mail needs a connection that knows the mail server",
        )
        .with_next("Make a connection of the email connector and use it in the step."));
    };
    opened(connection).map_err(|sentence| {
        let message = format!("the connection \"{}\" cannot be used: {sentence}", connection.name);
        StepError::new(ErrorClass::Invalid, "CONNECTION_INVALID", message).with_next("Correct the connection's settings.")
    })
}

fn opened(connection: &Connection) -> Result<Server<'_>, String> {
    let fields = connection.config.as_object().ok_or("it has no settings")?;
    read(fields, &connection.credentials).map_err(|(_, sentence)| sentence)
}

fn read<'a>(
    fields: &'a Map<String, Json>,
    credentials: &'a HashMap<String, Secret>,
) -> Result<Server<'a>, (&'static str, String)> {
    let text = |name: &'static str| match fields.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim())),
        Some(other) => Err((name, format!("{name} must be text, not {}", strict::kind(other)))),
    };
    let host =
        text("host")?.ok_or_else(|| ("host", "the mail server is missing; give for instance smtp.example.com".to_owned()))?;
    if !is_host(host) {
        return Err(("host", format!("\"{}\" is not the name of a host", host.escape_debug())));
    }
    let tls = match text("tls")? {
        None | Some("starttls") => Tls::Starttls,
        Some("implicit") => Tls::Implicit,
        Some("none") => Tls::None,
        Some(other) => return Err(("tls", strict::unknown(other, &TLS))),
    };
    let port = match fields.get("port") {
        None | Some(Json::Null) => match tls {
            Tls::Starttls => 587,
            Tls::Implicit => 465,
            Tls::None => 25,
        },
        Some(value) => value
            .as_u64()
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0)
            .ok_or_else(|| ("port", format!("the port must be a number from 1 to 65535, not {value}")))?,
    };
    let from = text("from")?;
    if let Some(from) = from
        && (from.chars().any(char::is_control) || from.parse::<Mailbox>().is_err())
    {
        return Err(("from", format!("\"{}\" is not an e-mail address", from.escape_debug())));
    }
    let hello = text("hello")?.unwrap_or("liaison.invalid");
    if !is_host(hello) {
        return Err(("hello", format!("\"{}\" is not the name of a host", hello.escape_debug())));
    }
    let sign_in = credentials.get("username").zip(credentials.get("password"));
    if tls == Tls::None && sign_in.is_some() && !is_here(host) {
        return Err(("tls", "without TLS the password could be read on the way; use starttls or implicit".to_owned()));
    }
    Ok(Server { host, port, tls, from, hello, ca: text("ca")?, sign_in })
}

fn is_host(text: &str) -> bool {
    text.len() <= 253 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}

/// Whether it is this machine: nobody is on the way then.
fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
