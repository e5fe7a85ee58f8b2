//! What goes wrong on purpose: rules that pick requests, and what they do to them.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Rules in force at the same time.
pub(crate) const RULES_MAX: usize = 1_000;

/// What happens to a request that a rule picks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// It is answered as usual, later.
    Latency {
        /// How much later.
        ms: u64,
    },
    /// It is refused with 429 or what the system uses instead.
    RateLimited {
        /// The `Retry-After` of the answer, in seconds; none when left out.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// The system fails: 500.
    ServerError,
    /// The system is away: 503.
    Unavailable,
    /// The access token is refused as expired.
    ExpiredSession,
    /// The day's calls are used up.
    DailyLimit,
    /// Signed in, but not allowed.
    Denied,
    /// No answer, and nothing done, until the client gives up or the time is over.
    Hang {
        /// How long the connection is held.
        ms: u64,
    },
    /// The connection is reset before anything was done.
    ResetBefore,
    /// It is done, and the connection is reset instead of an answer.
    ResetAfter,
    /// It is done, and the connection breaks in the middle of the answer.
    HalfAnswer,
    /// It is done, and the answer's text ends in the middle although its length is right.
    Truncated,
    /// It is done, and words of a proxy follow the answer.
    Appended,
    /// It is done, and the answer begins with a byte order mark.
    Bom,
    /// Status 200 and a page in HTML, as from a gateway; nothing is done.
    Html,
    /// It is done, and the answer is an empty body with its status.
    Empty,
}

impl Kind {
    /// Its name, as in the control API.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::RateLimited { .. } => "rate_limited",
            Self::ServerError => "server_error",
            Self::Unavailable => "unavailable",
            Self::ExpiredSession => "expired_session",
            Self::DailyLimit => "daily_limit",
            Self::Denied => "denied",
            Self::Hang { .. } => "hang",
            Self::ResetBefore => "reset_before",
            Self::ResetAfter => "reset_after",
            Self::HalfAnswer => "half_answer",
            Self::Truncated => "truncated",
            Self::Appended => "appended",
            Self::Bom => "bom",
            Self::Html => "html",
            Self::Empty => "empty",
        }
    }
}

/// Which requests go wrong, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The system's id.
    pub vendor: String,
    /// Only this method; any when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only requests whose path and query contain this text; any when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only requests whose body contains this text, such as a SOAP operation's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Lets that many fitting requests pass first.
    #[serde(default)]
    pub skip: u64,
    /// Ends after that many; for ever when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// What happens.
    #[serde(flatten)]
    pub kind: Kind,
}

impl Fault {
    /// Every request of a system, for ever, until more is said.
    #[must_use]
    pub fn new(vendor: &str, kind: Kind) -> Self {
        Self { vendor: vendor.to_owned(), method: None, path: None, body: None, skip: 0, times: None, kind }
    }

    /// Only requests whose path and query contain the text.
    #[must_use]
    pub fn on(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Only requests of that method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only that many times.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Lets that many fitting requests pass first.
    #[must_use]
    pub fn after(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    fn fits(&self, vendor: &str, method: &str, target: &str, body: &[u8]) -> bool {
        self.vendor == vendor
            && self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path.as_ref().is_none_or(|part| target.contains(part.as_str()))
            && self.body.as_ref().is_none_or(|part| contains(body, part.as_bytes()))
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

/// A fault in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its number.
    pub id: u64,
    /// Requests it met.
    pub met: u64,
    /// What it does.
    #[serde(flatten)]
    pub fault: Fault,
}

/// The faults in force.
#[derive(Debug, Default)]
pub struct Faults {
    next: AtomicU64,
    rules: Mutex<Vec<Rule>>,
}

impl Faults {
    /// Puts a fault in force; the oldest that fits wins. Gives its number, or nothing when there are too many.
    pub fn add(&self, fault: Fault) -> Option<u64> {
        let mut rules = self.rules.lock();
        if rules.len() >= RULES_MAX {
            return None;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        rules.push(Rule { id, met: 0, fault });
        Some(id)
    }

    /// Ends a fault; false when it was over.
    pub fn remove(&self, id: u64) -> bool {
        let mut rules = self.rules.lock();
        let before = rules.len();
        rules.retain(|rule| rule.id != id);
        rules.len() < before
    }

    /// Ends all.
    pub fn clear(&self) {
        self.rules.lock().clear();
    }

    /// Those in force, with how often each was met. A fault that had its times stays listed until it is removed.
    #[must_use]
    pub fn all(&self) -> Vec<Rule> {
        self.rules.lock().clone()
    }

    /// What shall happen to a request.
    pub(crate) fn meet(&self, vendor: &str, method: &str, target: &str, body: &[u8]) -> Option<Kind> {
        let mut rules = self.rules.lock();
        for rule in rules.iter_mut().filter(|rule| rule.fault.fits(vendor, method, target, body)) {
            let (skip, times) = (rule.fault.skip, rule.fault.times);
            if skip > 0 {
                rule.fault.skip -= 1;
            } else if times.is_none_or(|times| rule.met < times) {
                rule.met += 1;
                return Some(rule.fault.kind.clone());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults, Kind};

    #[test]
    fn a_fault_skips_then_meets_its_times_then_lets_pass() {
        let faults = Faults::default();
        faults.add(Fault::new("stripe", Kind::ServerError).on("/v1/refunds").method("POST").after(1).times(2));
        let meet = |method: &str, target: &str| faults.meet("stripe", method, target, b"").is_some();
        assert!(!meet("GET", "/v1/refunds"));
        assert!(!meet("POST", "/v1/customers"));
        assert_eq!([(); 4].map(|()| meet("POST", "/v1/refunds?x=1")), [false, true, true, false]);
        assert!(faults.meet("workday", "POST", "/v1/refunds", b"").is_none());
    }

    #[test]
    fn a_fault_reads_as_the_control_api_writes_it() {
        let fault: Fault =
            serde_json::from_str(r#"{"vendor":"stripe","kind":"rate_limited","retry_after":3,"times":1}"#).unwrap();
        assert_eq!(fault, Fault::new("stripe", Kind::RateLimited { retry_after: Some(3) }).times(1));
        assert!(serde_json::from_str::<Fault>(r#"{"vendor":"stripe","kind":"melts"}"#).is_err());
    }
}
