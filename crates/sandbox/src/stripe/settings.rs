//! What can be set about the simulated Stripe.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::drift::Drifted;
use crate::Problem;

/// What becomes of a subscription after the last try to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AfterDunning {
    /// It ends.
    Cancel,
    /// Its later invoices stay drafts.
    Unpaid,
    /// It stays past due.
    PastDue,
}

/// All settings; each has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// Reads an account may make in a second; nothing: any number. The vendor: 100 live, 25 in test mode.
    pub(super) reads_per_s: Option<u32>,
    /// Writes likewise.
    pub(super) writes_per_s: Option<u32>,
    /// Searches likewise; the vendor: 20.
    pub(super) searches_per_s: Option<u32>,
    /// What a refusal for too many requests says: `rate_limit` or `lock_timeout`.
    pub(super) refusal_code: String,
    /// `Stripe-Should-Retry` of refusals that faults ask for; nothing: none is sent.
    pub(super) should_retry: Option<bool>,
    /// Seconds until a new or changed object is found by a search. The vendor: under a minute as a rule.
    pub(super) search_delay_s: i64,
    /// How long a POST takes after its idempotency key was claimed, in milliseconds.
    pub(super) work_ms: u64,
    /// Webhooks are signed as if they were that many seconds old.
    pub(super) signature_age_s: i64,
    /// Webhooks carry a signature of an old secret before the right one, as while a secret is rolled.
    pub(super) rolling_secret: bool,
    /// Pauses between tries of a webhook, in seconds.
    pub(super) webhook_pauses_s: Vec<u64>,
    /// Pauses between tries to collect an invoice, in days.
    pub(super) dunning_days: Vec<i64>,
    /// What becomes of the subscription after the last.
    pub(super) after_dunning: AfterDunning,
    /// Refunds stay pending until they are made to go on.
    pub(super) pending_refunds: bool,
    /// The version used when a request names none.
    pub(super) default_version: String,
    /// Fields that changed since: `{"customer.phone": "removed"}`, or `integer` or `added`.
    pub(super) drifted_fields: Drifted,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reads_per_s: None,
            writes_per_s: None,
            searches_per_s: None,
            refusal_code: "rate_limit".to_owned(),
            should_retry: None,
            search_delay_s: 0,
            work_ms: 0,
            signature_age_s: 0,
            rolling_secret: false,
            // "Three tries over a few hours" in test mode.
            webhook_pauses_s: vec![1_800, 7_200],
            dunning_days: vec![3, 5, 7],
            after_dunning: AfterDunning::Cancel,
            pending_refunds: false,
            default_version: super::api::API.version.to_owned(),
            drifted_fields: Drifted::default(),
        }
    }
}

/// Longest wait a setting may ask for, in milliseconds.
const WORK_MS_MAX: u64 = 60_000;
/// Most tries of a webhook or an invoice.
const TRIES_MAX: usize = 50;

impl Settings {
    /// The settings with some changed.
    pub(super) fn changed(&self, wanted: &Json) -> Result<Self, Problem> {
        let mut all = json!(self);
        let (Some(known), Some(wanted)) = (all.as_object_mut(), wanted.as_object()) else {
            return Err(Problem("settings are an object".to_owned()));
        };
        known.extend(wanted.clone());
        let settings: Self = serde_json::from_value(all).map_err(|error| Problem(error.to_string()))?;
        if !matches!(settings.refusal_code.as_str(), "rate_limit" | "lock_timeout") {
            return Err(Problem("refusal_code is rate_limit or lock_timeout".to_owned()));
        }
        if settings.work_ms > WORK_MS_MAX
            || settings.webhook_pauses_s.len() > TRIES_MAX
            || settings.dunning_days.len() > TRIES_MAX
        {
            return Err(Problem(format!("work_ms is at most {WORK_MS_MAX}, and lists of pauses hold at most {TRIES_MAX}")));
        }
        if settings.dunning_days.iter().any(|days| !(1..=365).contains(days)) {
            return Err(Problem("dunning_days are from 1 to 365".to_owned()));
        }
        if !super::api::API.versions.contains(&settings.default_version) {
            return Err(Problem("default_version is one of the vendor's versions".to_owned()));
        }
        Ok(settings)
    }
}
