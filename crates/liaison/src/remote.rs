//! Talks to a server's API, for the commands that operate one from the terminal.

use std::{sync::OnceLock, time::Duration};

use clap::Args;
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// Rows a page of a list is asked for.
const PAGE_ROWS: u32 = 200;
/// Rows a whole list may have; a server that has more to tell does not come to an end.
const LIST_ROWS_MAX: usize = 1_000_000;
/// A request may take so long.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Which server, and with which key.
#[derive(Debug, Clone, Args)]
pub(crate) struct Remote {
    /// Address of the server.
    #[arg(long, env = "LIAISON_SERVER", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// API key.
    #[arg(long, env = "LIAISON_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Kept, so that many requests go over one connection.
    #[arg(skip)]
    client: OnceLock<reqwest::Client>,
}

/// One thing on a server.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its id.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The server could not be reached: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach {server}: {reason}. Is it running? Name another with --server")]
pub(crate) struct Unreachable {
    server: String,
    reason: String,
}

/// What the server answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The answer, or the server's own words as an error.
    pub(crate) fn good(self) -> anyhow::Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let body = self.json();
        match body["error"]["message"].as_str() {
            Some(message) => anyhow::bail!("{message} ({})", body["error"]["code"].as_str().unwrap_or("?")),
            None => anyhow::bail!("the server answered {}", self.status),
        }
    }
}

impl Remote {
    /// A server that a command names by itself.
    pub(crate) const fn new(server: String, api_key: Option<String>) -> Self {
        Self { server, api_key, client: OnceLock::new() }
    }

    /// Reads one page of a list; fields without a value are not asked for.
    pub(crate) async fn page(&self, path: &str, limit: u32, fields: &[(&str, &Option<String>)]) -> anyhow::Result<Value> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &limit.to_string());
        for (name, value) in fields {
            query.extend_pairs(value.iter().map(|value| (name, value)));
        }
        Ok(self.send(Method::GET, &format!("{path}?{}", query.finish()), None).await?.good()?.json())
    }

    /// Reads a list to its end, page after page.
    pub(crate) async fn everything(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let mut page = self.page(path, PAGE_ROWS, &[("cursor", &cursor)]).await?;
            let Value::Array(rows) = page["data"].take() else {
                anyhow::bail!("what the server answers to {path} is no list. Is it a liaison server?");
            };
            let ended = rows.is_empty();
            all.extend(rows);
            if page["pagination"]["has_more"] != true {
                return Ok(all);
            }
            let next = page["pagination"]["next_cursor"].as_str().map(str::to_owned);
            if ended || next.is_none() || next == cursor || all.len() > LIST_ROWS_MAX {
                anyhow::bail!("the server's list {path} does not come to an end after {} rows", all.len());
            }
            cursor = next;
        }
    }

    fn client(&self) -> reqwest::Result<&reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the person at the terminal names the server; it may well be a private address"
        )]
        let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Sends one request.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<(&str, String)>) -> anyhow::Result<Answer> {
        let unreachable = |error: reqwest::Error| {
            // The innermost cause is the one a person can do something about: "Connection refused".
            let mut cause: &dyn std::error::Error = &error;
            while let Some(source) = cause.source() {
                cause = source;
            }
            let reason = cause.to_string();
            Unreachable { server: self.server.clone(), reason }
        };
        let url = format!("{}{path}", self.server.trim_end_matches('/'));
        let mut request = self.client()?.request(method, &url).header("accept", "application/json");
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key);
        }
        if let Some((kind, text)) = body {
            request = request.header("content-type", kind).body(text);
        }
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let text = answer.text().await.map_err(unreachable)?;
        Ok(Answer { status, text })
    }
}
