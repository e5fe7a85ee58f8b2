//! The last requests each system saw, for tests and for people who wonder what was sent.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Serialize;

/// Requests remembered, over all systems.
pub(crate) const REQUESTS_MAX: usize = 2_000;
/// Most of a body that is remembered.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// Counts up from 1 over all systems.
    pub number: u64,
    /// The system's id.
    pub vendor: &'static str,
    /// The method, in capitals.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Header names in lower case, and values; the sandbox holds no real secrets, so they stay readable.
    pub headers: Vec<(String, String)>,
    /// The body as text, cut to 16 KiB.
    pub body: String,
    /// The status answered; `None` while unanswered, and when the connection was broken instead.
    pub status: Option<u16>,
    /// The fault that met it.
    pub fault: Option<&'static str>,
}

/// Keeps the newest requests.
#[derive(Debug, Default)]
pub struct Recorder {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    count: u64,
    requests: VecDeque<Recorded>,
}

impl Recorder {
    pub(crate) fn begin(&self, mut request: Recorded) -> u64 {
        let mut inner = self.inner.lock();
        inner.count += 1;
        request.number = inner.count;
        if inner.requests.len() >= REQUESTS_MAX {
            inner.requests.pop_front();
        }
        inner.requests.push_back(request);
        inner.count
    }

    pub(crate) fn finish(&self, number: u64, status: Option<u16>, fault: Option<&'static str>) {
        let mut inner = self.inner.lock();
        let Some(first) = inner.requests.front().map(|request| request.number) else { return };
        let place = number.checked_sub(first).and_then(|place| usize::try_from(place).ok());
        if let Some(request) = place.and_then(|place| inner.requests.get_mut(place)) {
            request.status = status;
            request.fault = fault;
        }
    }

    /// The requests one system saw, oldest first.
    #[must_use]
    pub fn of(&self, vendor: &str) -> Vec<Recorded> {
        self.inner.lock().requests.iter().filter(|request| request.vendor == vendor).cloned().collect()
    }

    /// All requests, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Recorded> {
        self.inner.lock().requests.iter().cloned().collect()
    }

    /// Requests seen since the start or the last reset, also those forgotten by now.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.inner.lock().count
    }

    /// Forgets them; numbers go on.
    pub fn clear(&self) {
        self.inner.lock().requests.clear();
    }
}
