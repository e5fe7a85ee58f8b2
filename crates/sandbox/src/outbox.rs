//! Webhooks on their way out: sent, tried again, and on demand twice, late or out of order.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, time::Instant};

/// Deliveries remembered after they ended, and those waiting at the same time.
pub(crate) const DELIVERIES_MAX: usize = 2_000;
/// Deliveries on the way at the same time.
const IN_FLIGHT_MAX: usize = 32;
/// How long a receiver may take, unless it gets less.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Most of an answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Makes the headers of one try: signatures carry the time they are sent at, in seconds since 1970.
pub type Headers = Arc<dyn Fn(i64, &[u8]) -> HeaderMap + Send + Sync>;

/// One message to send.
#[derive(Clone)]
pub struct Hook {
    /// The sender's id.
    pub vendor: &'static str,
    /// What it tells, for people: `invoice.paid evt_1`.
    pub label: String,
    /// Where to.
    pub url: String,
    /// The headers of one try.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
    /// Pauses between tries; it is given up after the last one.
    pub pauses: Arc<[Duration]>,
    /// True for the answers the sender takes as received.
    pub accepts: fn(u16, &[u8]) -> bool,
}

/// How tries stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tries {
    /// It will be sent.
    Waiting,
    /// The receiver has it.
    Delivered,
    /// It was given up.
    GivenUp,
}

/// A message as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Its number.
    pub id: u64,
    /// The sender's id.
    pub vendor: &'static str,
    /// What it tells.
    pub label: String,
    /// Where to.
    pub url: String,
    /// How it stands.
    pub state: Tries,
    /// The answer of each try: a status, or why there was none.
    pub answers: Vec<String>,
}

/// What goes wrong with deliveries.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trouble {
    /// Each is sent that many times more.
    pub duplicates: u32,
    /// Each waits that long first, in milliseconds.
    pub delay_ms: u64,
    /// Held back until that many wait, then sent newest first.
    pub reorder: usize,
    /// Pauses between tries are multiplied with this; 1 when left out, small values make tests quick.
    pub pause_factor: Option<f64>,
    /// The sender gives up on an answer after so many milliseconds; 20 s when left out, and never later.
    pub patience_ms: Option<u64>,
    /// Nothing is sent while this is true.
    pub held: bool,
}

/// The messages of all systems.
#[derive(Default)]
pub struct Outbox {
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Default)]
struct Inner {
    count: u64,
    trouble: Trouble,
    waiting: Vec<Waiting>,
    seen: VecDeque<Delivery>,
}

#[derive(Clone)]
struct Waiting {
    id: u64,
    hook: Hook,
    tries: usize,
    due: Instant,
    /// False while it is held back to be sent out of order.
    released: bool,
}

impl Outbox {
    /// Puts a message on its way; the oldest waiting one is dropped when there are too many.
    pub fn send(&self, hook: Hook) {
        let mut inner = self.inner.lock();
        let due = Instant::now() + Duration::from_millis(inner.trouble.delay_ms);
        let released = inner.trouble.reorder < 2;
        for _ in 0..=inner.trouble.duplicates {
            inner.count += 1;
            let id = inner.count;
            if inner.waiting.len() >= DELIVERIES_MAX {
                inner.waiting.remove(0);
            }
            if inner.seen.len() >= DELIVERIES_MAX {
                inner.seen.pop_front();
            }
            let (vendor, label, url) = (hook.vendor, hook.label.clone(), hook.url.clone());
            inner.seen.push_back(Delivery { id, vendor, label, url, state: Tries::Waiting, answers: Vec::new() });
            inner.waiting.push(Waiting { id, hook: hook.clone(), tries: 0, due, released });
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// What goes wrong with deliveries.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        self.inner.lock().trouble.clone()
    }

    /// Changes what goes wrong with deliveries from now on.
    pub fn set_trouble(&self, trouble: Trouble) {
        self.inner.lock().trouble = trouble;
        self.wake.notify_one();
    }

    /// The newest deliveries, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.inner.lock().seen.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        let mut inner = self.inner.lock();
        inner.trouble = Trouble::default();
        inner.waiting.clear();
        inner.seen.clear();
    }

    /// Sends what is due, for ever.
    pub(crate) fn deliver(self: &Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        let outbox = self.clone();
        async move {
            let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
            let mut under_way = tokio::task::JoinSet::new();
            loop {
                while under_way.len() < IN_FLIGHT_MAX
                    && let Some(waiting) = outbox.due()
                {
                    let client = client.clone();
                    let patience = outbox.patience();
                    under_way.spawn(async move {
                        let answer = attempt(&client, &waiting.hook, patience).await;
                        (waiting, answer)
                    });
                }
                let pause = outbox.next_due();
                tokio::select! {
                    Some(Ok((waiting, answer))) = under_way.join_next() => outbox.after(waiting, answer),
                    () = outbox.wake.notified() => {}
                    () = tokio::time::sleep_until(pause.unwrap_or_else(|| Instant::now() + TIMEOUT)), if under_way.len() < IN_FLIGHT_MAX => {}
                }
            }
        }
    }

    fn patience(&self) -> Duration {
        self.inner.lock().trouble.patience_ms.map_or(TIMEOUT, |ms| Duration::from_millis(ms).min(TIMEOUT))
    }

    fn due(&self) -> Option<Waiting> {
        let mut inner = self.inner.lock();
        if inner.trouble.held {
            return None;
        }
        let gathered = inner.waiting.iter().filter(|waiting| !waiting.released).count();
        if gathered > 0 && gathered >= inner.trouble.reorder {
            let mut backward: Vec<Waiting> = inner.waiting.extract_if(.., |waiting| !waiting.released).collect();
            backward.reverse();
            inner.waiting.extend(backward.into_iter().map(|waiting| Waiting { released: true, ..waiting }));
        }
        let now = Instant::now();
        let place = inner.waiting.iter().position(|waiting| waiting.released && waiting.due <= now)?;
        Some(inner.waiting.remove(place))
    }

    fn next_due(&self) -> Option<Instant> {
        let inner = self.inner.lock();
        if inner.trouble.held {
            None
        } else {
            inner.waiting.iter().map(|waiting| waiting.due).filter(|due| *due > Instant::now()).min()
        }
    }

    fn after(&self, mut waiting: Waiting, answer: Result<(u16, Bytes), String>) {
        let mut inner = self.inner.lock();
        let (words, good) = match answer {
            Ok((status, body)) => (status.to_string(), (waiting.hook.accepts)(status, &body)),
            Err(why) => (why, false),
        };
        let pause = waiting.hook.pauses.get(waiting.tries).copied();
        let state = if good {
            Tries::Delivered
        } else if pause.is_some() {
            Tries::Waiting
        } else {
            Tries::GivenUp
        };
        if let Some(seen) = inner.seen.iter_mut().find(|seen| seen.id == waiting.id) {
            seen.answers.push(words);
            seen.state = state;
        }
        if let (false, Some(pause)) = (good, pause) {
            let factor = inner.trouble.pause_factor.filter(|factor| factor.is_finite() && *factor >= 0.0).unwrap_or(1.0);
            waiting.tries += 1;
            waiting.due = Instant::now() + pause.mul_f64(factor.min(1.0));
            inner.waiting.push(waiting);
        }
    }
}

type HttpClient = Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>;

async fn attempt(client: &HttpClient, hook: &Hook, patience: Duration) -> Result<(u16, Bytes), String> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&hook.url)
        .body(Full::new(hook.body.clone()))
        .map_err(|error| error.to_string())?;
    *request.headers_mut() = (hook.headers)(jiff::Timestamp::now().as_second(), &hook.body);
    let answered = async {
        let response = client.request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, body.map(http_body_util::Collected::to_bytes).unwrap_or_default()))
    };
    tokio::time::timeout(patience, answered).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}
