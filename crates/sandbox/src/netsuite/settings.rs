//! What can be set about the account.

use std::collections::BTreeMap;

use jiff::{civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::oauth2::Certificate;
use crate::{Problem, tokens::assertion::public_key};

/// User-event scripts that tell a webhook.
const SCRIPTS_MAX: usize = 50;
/// Longest pause a setting may ask for.
const PAUSE_MS_MAX: u64 = 600_000;

/// What became of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Drift {
    /// It is gone, under this name at least.
    Removed,
    /// It takes whole numbers now.
    Integer,
}

/// Fields that changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Drifted(BTreeMap<String, Drift>);

impl Drifted {
    /// What became of a field of a type.
    pub(super) fn of(&self, kind: &str, field: &str) -> Option<Drift> {
        if self.0.is_empty() { None } else { self.0.get(&format!("{kind}.{field}")).copied() }
    }

    pub(super) fn removed(&self, kind: &str, field: &str) -> bool {
        self.of(kind, field) == Some(Drift::Removed)
    }
}

/// The account's preferences, its limits and its moods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The account's time zone; SuiteQL shows moments in it.
    pub(super) zone: String,
    /// The integration user's date format: `MM/DD/YYYY`, `DD/MM/YYYY` or `YYYY-MM-DD`.
    pub(super) date_format: String,
    /// Without the subsidiaries of an account with several companies.
    pub(super) one_company: bool,
    /// Calls in flight at the same time, over all interfaces; 15 in the smallest service tier.
    pub(super) concurrency_limit: usize,
    /// Says 401 instead of 429 when there are too many, as the real one was seen to do.
    pub(super) concurrency_as_invalid_login: bool,
    pub(super) access_token_s: i64,
    pub(super) refresh_token_s: i64,
    /// A refresh token works once; the answer brings the next one.
    pub(super) refresh_single_use: bool,
    /// Gives `expires_in` as text, as captured answers have it.
    pub(super) expires_in_as_text: bool,
    /// How long every call holds its place.
    pub(super) call_ms: u64,
    /// How much longer SuiteQL does.
    pub(super) suiteql_ms: u64,
    /// How long an asynchronous call stands at `processing`.
    pub(super) async_ms: u64,
    /// A gateway before the account answers every call with this status, such as 502, and a page; 0 for none.
    pub(super) gateway: u16,
    /// Parts of an asynchronous call on a page of their list.
    pub(super) task_page_rows: usize,
    /// The last that many parts of an asynchronous call are missing in their list.
    pub(super) tasks_forgotten: usize,
    /// Every further page of a SOAP search is its first one again.
    pub(super) search_stuck: bool,
    /// How far the account's clock is ahead when it looks at signatures.
    pub(super) clock_skew_s: i64,
    /// The next that many writes are done and answered with 500.
    pub(super) fail_after_commit: u32,
    /// Records the role may not see.
    pub(super) denied_records: Vec<String>,
    /// Records the role may only read.
    pub(super) read_only_records: Vec<String>,
    /// Types whose description is missing in the catalog.
    pub(super) catalog_missing: Vec<String>,
    /// Fields that an administrator has changed since, such as `customer.phone`: `removed`, or `integer` for another type.
    pub(super) drifted_fields: Drifted,
    /// More certificates that are mapped to the integration.
    pub(super) certificates: Vec<Certificate>,
    /// Scripts that tell a webhook of every record saved or deleted.
    pub(super) user_event_scripts: Vec<Script>,
}

/// A user-event script of the account: it posts `{type, id, event, at}` (milliseconds), signed with HMAC-SHA256 in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    pub(super) url: String,
    pub(super) secret: String,
    /// Record types; all when empty.
    #[serde(default)]
    pub(super) types: Vec<String>,
    /// The header of the signature.
    #[serde(default = "header")]
    pub(super) header: String,
}

fn header() -> String {
    "x-signature".to_owned()
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            zone: "America/Los_Angeles".to_owned(),
            date_format: "MM/DD/YYYY".to_owned(),
            one_company: false,
            concurrency_limit: 15,
            concurrency_as_invalid_login: false,
            access_token_s: 3_600,
            refresh_token_s: 7 * 24 * 3_600,
            refresh_single_use: false,
            expires_in_as_text: true,
            call_ms: 0,
            suiteql_ms: 0,
            async_ms: 0,
            gateway: 0,
            task_page_rows: super::answer::PAGE_ROWS_MAX,
            tasks_forgotten: 0,
            search_stuck: false,
            clock_skew_s: 0,
            fail_after_commit: 0,
            denied_records: Vec::new(),
            read_only_records: Vec::new(),
            catalog_missing: vec!["transaction".to_owned()],
            drifted_fields: Drifted::default(),
            certificates: Vec::new(),
            user_event_scripts: Vec::new(),
        }
    }
}

impl Settings {
    /// Those with the named ones changed.
    pub(super) fn with(&self, wanted: &Json) -> Result<Self, Problem> {
        let wanted = wanted.as_object().ok_or_else(|| Problem("settings are an object".to_owned()))?;
        let mut all = serde_json::to_value(self).map_err(|error| Problem(error.to_string()))?;
        for (name, value) in wanted {
            all[name] = value.clone();
        }
        let settings: Self = serde_json::from_value(all).map_err(|error| Problem(error.to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Problem> {
        let problem = |words: &str| Err(Problem(words.to_owned()));
        if TimeZone::get(&self.zone).is_err() {
            return problem("zone is no time zone; write it like \"Europe/Berlin\"");
        }
        if !["MM/DD/YYYY", "DD/MM/YYYY", "YYYY-MM-DD"].contains(&self.date_format.as_str()) {
            return problem("date_format is MM/DD/YYYY, DD/MM/YYYY or YYYY-MM-DD");
        }
        if self.task_page_rows == 0 || self.task_page_rows > super::answer::PAGE_ROWS_MAX {
            return problem("task_page_rows is 1 at least and 1000 at most");
        }
        if self.concurrency_limit == 0 || self.access_token_s < 1 || self.refresh_token_s < 1 {
            return problem("concurrency_limit, access_token_s and refresh_token_s are 1 at least");
        }
        if self.certificates.len() > SCRIPTS_MAX || self.certificates.iter().any(|known| public_key(&known.pem).is_none()) {
            return problem("certificates hold the PEM of a certificate or public key each, RSA or elliptic curve");
        }
        if self.user_event_scripts.len() > SCRIPTS_MAX || self.call_ms.max(self.suiteql_ms).max(self.async_ms) > PAUSE_MS_MAX {
            return problem("there are too many user_event_scripts, or a pause is too long");
        }
        Ok(())
    }

    pub(super) fn zone(&self) -> TimeZone {
        TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC)
    }

    /// A day as the integration user writes it.
    pub(super) fn date(&self, day: Date) -> String {
        let (year, month, date) = (day.year(), day.month(), day.day());
        match self.date_format.as_str() {
            "DD/MM/YYYY" => format!("{date:02}/{month:02}/{year}"),
            "YYYY-MM-DD" => day.to_string(),
            _ => format!("{month:02}/{date:02}/{year}"),
        }
    }

    /// A day the integration user wrote.
    pub(super) fn read_date(&self, text: &str) -> Option<Date> {
        if self.date_format == "YYYY-MM-DD" {
            return text.parse().ok();
        }
        let mut parts = text.splitn(3, '/').map(|part| part.trim().parse::<i16>().ok());
        let (first, second, year) = (parts.next()??, parts.next()??, parts.next()??);
        let (month, day) = if self.date_format == "DD/MM/YYYY" { (second, first) } else { (first, second) };
        Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
    }
}
