//! Business rules: records of `sys_script` that stop a change, or call another system after it.
//!
//! The vendor runs JavaScript. A rule that aborts has `abort_action`; of a rule with a script we read what the
//! outgoing call needs: `setEndpoint('…')`, and `generateMac(gs.getProperty('…')…)` with the header it is put in.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::json;
use sha2::Sha256;

use super::{
    data::Record,
    scene::{Refusal, Scene},
};
use crate::Hook;

/// Rules looked at for one change.
const RULES_MAX: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Insert,
    Update,
    Delete,
}

impl Operation {
    /// What `current.operation()` gives.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl Scene<'_> {
    /// The active rules for a change of a record, in their order.
    fn rules(&self, before: bool, operation: Operation, record: &Record) -> Vec<Arc<Record>> {
        let data = &self.state.data;
        if data.count("sys_script") == 0 {
            return Vec::new();
        }
        let action = format!("action_{}", operation.name());
        let mut rules: Vec<Arc<Record>> = data
            .all("sys_script")
            .filter(|rule| {
                rule.get("active") == "true"
                    && (rule.get("when") == "before") == before
                    && rule.get(&action) == "true"
                    && data.schema.is_a(&record.class, rule.get("collection"))
                    && self.matches(&record.class, rule.get("filter_condition"), record)
            })
            .take(RULES_MAX)
            .cloned()
            .collect();
        rules.sort_by_key(|rule| rule.get("order").parse::<i64>().unwrap_or_default());
        rules
    }

    pub(super) fn before_rules(&self, operation: Operation, record: &Record, _previous: Option<&Record>) -> Result<(), Refusal> {
        let rules = self.rules(true, operation, record);
        let Some(rule) = rules.iter().find(|rule| rule.get("abort_action") == "true") else { return Ok(()) };
        let words = format!(
            "Operation against file '{}' was aborted by Business Rule '{}^{}'. Error: {}",
            record.class,
            rule.get("name"),
            rule.id(),
            rule.get("message")
        );
        Err(Refusal::new(403, words, None))
    }

    pub(super) fn after_rules(&self, operation: Operation, record: &Record, _previous: Option<&Record>) {
        for rule in self.rules(false, operation, record) {
            let script = rule.get("script");
            let Some(url) = argument(script, "setEndpoint(") else { continue };
            let property = argument(script, "gs.getProperty(").unwrap_or_default();
            let key = self.state.data.first("sys_properties", "name", property).map(|property| property.get("value"));
            self.call(operation, record, url, key.unwrap_or_default(), signature_header(script));
        }
    }

    fn call(&self, operation: Operation, record: &Record, url: &str, key: &str, name: HeaderName) {
        let body = json!({
            "table": record.class,
            "sys_id": record.id(),
            "op": operation.name(),
            "mod_count": record.get("sys_mod_count"),
            "at": record.get("sys_updated_on"),
        });
        let key = STANDARD.decode(key).unwrap_or_default();
        let headers = move |_at: i64, body: &[u8]| {
            let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
            if !key.is_empty()
                && let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key)
            {
                mac.update(body);
                if let Ok(value) = HeaderValue::from_str(&STANDARD.encode(mac.finalize().into_bytes())) {
                    headers.insert(name.clone(), value);
                }
            }
            headers
        };
        let retries = self.state.settings.webhook_retries;
        self.world.outbox().send(Hook {
            vendor: "servicenow",
            label: format!("{} {} {}", record.class, operation.name(), record.get("number")),
            url: url.to_owned(),
            headers: Arc::new(headers),
            body: Bytes::from(body.to_string()),
            // RESTMessageV2 does not try again by itself; a Flow's REST step may.
            pauses: (0..retries).map(|_| Duration::from_secs(30)).collect(),
            accepts: |status, _| (200..300).contains(&status),
        });
    }
}

/// The first text between quotes after a call's opening.
fn argument<'a>(script: &'a str, call: &str) -> Option<&'a str> {
    let rest = script.split_once(call)?.1.trim_start();
    let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    rest[1..].split_once(quote).map(|(text, _)| text)
}

/// The header the script puts its signature in: the last it names that is not a content type.
fn signature_header(script: &str) -> HeaderName {
    let names = script.split("setRequestHeader(").skip(1).filter_map(|rest| {
        let quote = rest.chars().next()?;
        rest.get(1..)?.split_once(quote).map(|(name, _)| name)
    });
    let named = names.filter(|name| !name.eq_ignore_ascii_case("content-type")).last();
    named
        .and_then(|name| HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).ok())
        .unwrap_or(HeaderName::from_static("x-liaison-signature"))
}
