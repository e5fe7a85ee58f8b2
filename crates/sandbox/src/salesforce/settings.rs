//! What can be set about the org while it runs.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::Problem;

/// The oldest and the newest API version it answers in.
pub(super) const OLDEST: f64 = 31.0;
pub(super) const NEWEST: &str = "67.0";

/// The org's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// How long a session lives without use, in seconds.
    pub token_seconds: i64,
    /// True when each refresh gives a new refresh token and ends the session before.
    pub rotate_refresh_tokens: bool,
    /// What a person answers when an app asks for access: `grant` or `deny`.
    pub consent: String,
    /// Addresses apps may be sent back to; each stands for all that begin with it.
    pub redirect_uris: Vec<String>,
    /// The certificate or public key (PEM) of the app, for the JWT bearer flow.
    pub jwt_certificate: String,
    /// True when users must have allowed the app before the JWT bearer flow works for them.
    pub jwt_needs_approval: bool,
    /// Calls in 24 hours.
    pub daily_requests: u64,
    /// Rows of a page of a query.
    pub query_page_rows: usize,
    /// Rows of a page of a bulk query when the call does not say.
    pub bulk_page_rows: usize,
    /// True when records that look alike are refused.
    pub duplicate_rules: bool,
    /// So many seconds pass between a record's stamp and the moment queries see it.
    pub late_rows_seconds: i64,
    /// The next so many writes meet a locked row.
    pub locked_writes: u64,
    /// Bulk loads fail after so many rows.
    pub bulk_fail_after_rows: Option<usize>,
    /// Rows a bulk load handles at a time.
    pub bulk_batch_rows: usize,
    /// True when bulk loads wait until `happen/release_bulk`.
    pub bulk_held: bool,
    /// Where outbound messages go: object name, address, fields.
    pub outbound_messages: Vec<Outbound>,
    /// Objects whose changes are told as events.
    pub change_capture: Vec<String>,
    /// A quiet event stream says so often that it is alive, in milliseconds.
    pub stream_keepalive_ms: u64,
    /// A long poll of CometD that has nothing to tell answers after so many milliseconds.
    pub stream_poll_ms: u64,
    /// A CometD client that asks nothing for so many milliseconds is forgotten.
    pub stream_idle_ms: u64,
    /// The next so many event streams break.
    pub stream_breaks: u64,
    /// They do after so many events.
    pub stream_break_events: u64,
    /// How: `reset`, `unavailable`, or `expired`, which ends every session.
    pub stream_break_with: String,
    /// The next so many platform events are written in a way that their schema cannot read.
    pub spoilt_events: u64,
    /// True when each event is delivered twice.
    pub stream_twice: bool,
}

/// Where an outbound message goes, and what it carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outbound {
    /// The object whose records are told about when they are created or changed.
    pub object: String,
    /// Where to.
    pub url: String,
    /// Fields besides the id; all plain fields when left out.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Only when this field changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_changed: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_seconds: 7_200,
            rotate_refresh_tokens: false,
            consent: "grant".to_owned(),
            redirect_uris: ["http://127.0.0.1", "http://localhost", "http://[::1]", "https://liaison.example/"]
                .map(str::to_owned)
                .to_vec(),
            jwt_certificate: String::new(),
            jwt_needs_approval: false,
            daily_requests: 5_000_000,
            query_page_rows: 2_000,
            bulk_page_rows: 50_000,
            duplicate_rules: false,
            late_rows_seconds: 0,
            locked_writes: 0,
            bulk_fail_after_rows: None,
            bulk_batch_rows: 1_000,
            bulk_held: false,
            outbound_messages: Vec::new(),
            change_capture: ["Account", "Contact", "Lead", "Opportunity", "Invoice__c"].map(str::to_owned).to_vec(),
            stream_keepalive_ms: 270_000,
            stream_poll_ms: 110_000,
            stream_idle_ms: 40_000,
            stream_breaks: 0,
            stream_break_events: 0,
            stream_break_with: "reset".to_owned(),
            spoilt_events: 0,
            stream_twice: false,
        }
    }
}

/// Outbound messages that can be set up.
const OUTBOUND_MAX: usize = 50;
/// Objects whose changes can be told.
const CAPTURED_MAX: usize = 50;

impl Settings {
    pub(super) fn json(&self) -> Json {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The settings with some changed.
    pub(super) fn changed(&self, with: &Json) -> Result<Self, Problem> {
        let mut all = self.json();
        let (Some(all_fields), Some(with)) = (all.as_object_mut(), with.as_object()) else {
            return Err(Problem("settings are an object".to_owned()));
        };
        all_fields.extend(with.clone());
        let settings: Self = serde_json::from_value(all).map_err(|error| Problem(error.to_string()))?;
        let wrong = |what: &str| Err(Problem(what.to_owned()));
        if settings.token_seconds < 0 || settings.late_rows_seconds < 0 {
            return wrong("seconds are not negative");
        }
        if !(1..=2_000).contains(&settings.query_page_rows) {
            return wrong("query_page_rows is from 1 to 2000");
        }
        if !(1..=250_000).contains(&settings.bulk_page_rows) || !(1..=10_000).contains(&settings.bulk_batch_rows) {
            return wrong("bulk_page_rows is from 1 to 250000 and bulk_batch_rows from 1 to 10000");
        }
        if !(10..=270_000).contains(&settings.stream_keepalive_ms) {
            return wrong("stream_keepalive_ms is from 10 to 270000");
        }
        if !(10..=110_000).contains(&settings.stream_poll_ms) || !(10..=40_000).contains(&settings.stream_idle_ms) {
            return wrong("stream_poll_ms is from 10 to 110000 and stream_idle_ms from 10 to 40000");
        }
        if !matches!(settings.stream_break_with.as_str(), "reset" | "unavailable" | "expired") {
            return wrong("stream_break_with is reset, unavailable or expired");
        }
        if settings.change_capture.len() > CAPTURED_MAX {
            return wrong("there are at most 50 captured objects");
        }
        if !matches!(settings.consent.as_str(), "grant" | "deny") {
            return wrong("consent is grant or deny");
        }
        if settings.outbound_messages.len() > OUTBOUND_MAX {
            return wrong("there are at most 50 outbound messages");
        }
        if !settings.jwt_certificate.is_empty() && crate::tokens::assertion::public_key(&settings.jwt_certificate).is_none() {
            return wrong("jwt_certificate is a public key or a certificate in PEM");
        }
        Ok(settings)
    }
}
