//! The records of the tenant.

use std::collections::HashMap;

use jiff::{Timestamp, Zoned, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    auth::Sessions,
    docs::Docs,
    items::{Item, Items},
    people::{View, Worker},
    process::{Event, Process},
};

/// What can be changed about the tenant while it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// Life of an access token, in seconds. 60 minutes when the client enforces it.
    pub(super) token_life_s: i64,
    /// Calls a second of the whole tenant before 429; 0 for no limit. The vendor publishes none; ten were observed.
    pub(super) calls_per_second: u32,
    /// Calls that may come at once before the rate counts.
    pub(super) burst: u32,
    /// The `Retry-After` of a 429, in seconds; left out when nothing. Gateways send it at times.
    pub(super) retry_after_s: Option<u64>,
    /// Processes started without `Auto_Complete` wait for an approval.
    pub(super) approvals: bool,
    /// The weekly maintenance window is on: every call answers a page in HTML with 503.
    pub(super) maintenance: bool,
    /// The tenant's zone, such as `America/Los_Angeles`: its days begin and end there.
    pub(super) time_zone: String,
    /// Dates in SOAP answers carry a zone, as `1960-01-01-08:00`.
    pub(super) zone_suffixed_dates: bool,
    /// A report answers no `Report_Entry` at all when it has no rows, instead of an empty list.
    pub(super) empty_report_without_key: bool,
    /// New names of report columns: somebody edited the report.
    pub(super) renamed_columns: HashMap<String, String>,
    /// The user who owns the reports; their addresses name it, and break when it changes.
    pub(super) report_owner: String,
    /// `total` is left out of WQL answers.
    pub(super) wql_without_total: bool,
    /// Every page of a query is its first one, whatever `offset` says.
    pub(super) wql_without_offset: bool,
    /// A gateway before the tenant answers every call with this status, such as 502, and a page; 0 for none.
    pub(super) gateway: u16,
    /// Lists, queries and `Get_…` operations answer 200 without the part that holds the rows.
    pub(super) hollow: bool,
    /// Reports answer 200 with the page of a gateway.
    pub(super) report_page: bool,
    /// How long an integration that was launched takes, in seconds.
    pub(super) integration_s: u32,
    /// Lines of the general ledger, for long reports; up to two million.
    pub(super) journal_lines: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_life_s: 3600,
            calls_per_second: 10,
            burst: 40,
            retry_after_s: Some(1),
            approvals: true,
            maintenance: false,
            time_zone: "UTC".to_owned(),
            zone_suffixed_dates: false,
            empty_report_without_key: false,
            renamed_columns: HashMap::new(),
            report_owner: "isu".to_owned(),
            wql_without_total: false,
            wql_without_offset: false,
            gateway: 0,
            hollow: false,
            report_page: false,
            integration_s: 0,
            journal_lines: 2_000,
        }
    }
}

/// Most lines of the general ledger.
pub(super) const JOURNAL_LINES_MAX: u64 = 2_000_000;

impl Settings {
    /// Why the settings have no meaning.
    pub(super) fn problem(&self) -> Option<String> {
        if !(1..=86_400 * 365).contains(&self.token_life_s) {
            return Some("token_life_s must be between 1 and 31536000".to_owned());
        }
        if self.calls_per_second > 0 && self.burst == 0 {
            return Some("burst must be at least 1".to_owned());
        }
        if TimeZone::get(&self.time_zone).is_err() {
            return Some(format!("time_zone \"{}\" is not known", self.time_zone));
        }
        (self.journal_lines > JOURNAL_LINES_MAX).then(|| format!("journal_lines must be at most {JOURNAL_LINES_MAX}"))
    }
}

/// A day or days off.
#[derive(Debug, Clone)]
pub(super) struct Absence {
    pub(super) wid: String,
    pub(super) worker: usize,
    pub(super) day: Date,
    pub(super) kind: usize,
    pub(super) quantity: f64,
    pub(super) comment: String,
    /// The event that asks for it.
    pub(super) event: usize,
}

/// A run of an integration.
#[derive(Debug, Clone)]
pub(super) struct Launched {
    pub(super) wid: String,
    /// The place of the integration system.
    pub(super) system: usize,
    pub(super) at: Timestamp,
}

/// A document of a worker.
#[derive(Debug, Clone)]
pub(super) struct Paper {
    pub(super) wid: String,
    pub(super) worker: usize,
    /// The place of its category.
    pub(super) category: usize,
    pub(super) name: String,
    pub(super) comment: String,
    /// In base64.
    pub(super) file: String,
}

/// All records.
#[derive(Default)]
pub(super) struct State {
    pub(super) seed: u64,
    pub(super) settings: Settings,
    pub(super) items: Items,
    pub(super) workers: Vec<Worker>,
    /// By WID and `Type=value`.
    pub(super) worker_by: HashMap<String, usize>,
    pub(super) events: Vec<Event>,
    pub(super) event_by_wid: HashMap<String, usize>,
    pub(super) step_by_wid: HashMap<String, usize>,
    /// Events on their way, one for a worker and process.
    pub(super) waiting: HashMap<(usize, Process), usize>,
    /// Lines of the log ever written.
    pub(super) lines: u64,
    pub(super) absences: Vec<Absence>,
    pub(super) docs: Docs,
    /// The name and the base64 of a worker's photo.
    pub(super) photos: HashMap<usize, (String, String)>,
    /// Runs of integrations, in the order they were launched.
    pub(super) launched: Vec<Launched>,
    /// Documents that people filed with workers, in the order they were filed.
    pub(super) papers: Vec<Paper>,
    pub(super) sessions: Sessions,
    pub(super) next_employee: u32,
    pub(super) domain: String,
}

impl State {
    fn zone(&self) -> TimeZone {
        TimeZone::get(&self.settings.time_zone).unwrap_or(TimeZone::UTC)
    }

    /// The day in the tenant.
    pub(super) fn day(&self, now: Timestamp) -> Date {
        now.to_zoned(self.zone()).date()
    }

    /// When a day begins in the tenant.
    pub(super) fn midnight(&self, day: Date) -> Zoned {
        day.to_zoned(self.zone()).unwrap_or_else(|_| Zoned::new(Timestamp::MAX, TimeZone::UTC))
    }

    /// The same as the transaction log writes it: with the tenant's offset (unverified).
    pub(super) fn midnight_text(&self, day: Date) -> String {
        let midnight = self.midnight(day);
        if midnight.offset().is_zero() {
            format!("{:.3}", midnight.timestamp())
        } else {
            midnight.strftime("%Y-%m-%dT%H:%M:%S.000%:z").to_string()
        }
    }

    pub(super) fn worker_at(&self, key: &str) -> Option<usize> {
        self.worker_by.get(key).copied()
    }

    pub(super) fn index_worker(&mut self, place: usize) {
        let worker = &self.workers[place];
        let kind = if worker.contingent { "Contingent_Worker_ID" } else { "Employee_ID" };
        let keys = [worker.wid.clone(), format!("{kind}={}", worker.number)];
        self.worker_by.extend(keys.into_iter().map(|key| (key, place)));
    }

    /// The worker today, as known now.
    pub(super) fn today(&self, place: usize, now: Timestamp) -> Option<View<'_>> {
        self.workers[place].view(self.day(now), now)
    }

    /// Everybody who is visible today, with their places.
    pub(super) fn visible(&self, now: Timestamp) -> impl Iterator<Item = (usize, View<'_>)> {
        let today = self.day(now);
        self.workers.iter().enumerate().filter_map(move |(place, worker)| Some((place, worker.view(today, now)?)))
    }

    pub(super) fn item(&self, place: usize) -> &Item {
        self.items.get(place)
    }

    /// Who leads the worker's organisation, or the one above when that is the worker.
    pub(super) fn manager_place(&self, view: &View<'_>) -> Option<usize> {
        let organization = self.item(view.organization);
        let leads = |item: &Item| item.manager.as_ref().and_then(|number| self.worker_at(&format!("Employee_ID={number}")));
        let own = leads(organization)?;
        if self.workers[own].wid != view.worker.wid {
            return Some(own);
        }
        leads(self.item(organization.parent?)).filter(|place| self.workers[*place].wid != view.worker.wid)
    }

    pub(super) fn manager_of(&self, place: usize, now: Timestamp) -> Option<usize> {
        let view = self.today(place, now)?;
        self.manager_place(&view)
    }

    /// The WID and the id of the position somebody holds.
    pub(super) fn position_of<'a>(&'a self, view: &View<'a>) -> (&'a str, String) {
        match view.position {
            Some(place) => (&self.item(place).wid, self.item(place).id.clone()),
            None => (&view.worker.position_wid, format!("P-{}", view.worker.number)),
        }
    }

    /// Organisations the worker leads.
    pub(super) fn led_by(&self, worker: &Worker) -> Vec<usize> {
        let leads = |item: &Item| item.manager.as_deref() == Some(&worker.number) && !worker.contingent;
        self.items.of(super::items::Kind::Supervisory).filter(|(_, item)| leads(item)).map(|(place, _)| place).collect()
    }

    /// The worker's name on their first day when they are not here yet.
    pub(super) fn name_of(&self, place: usize, now: Timestamp) -> String {
        let worker = &self.workers[place];
        let view = worker.view(self.day(now), now).or_else(|| worker.view(Date::MAX, Timestamp::MAX));
        view.map_or_else(|| worker.number.clone(), |view| view.name())
    }
}
