//! The event bus: platform events, kept for 72 hours, in the order they were published.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use serde_json::json;
use tokio::sync::watch;

use super::write::Fields;
use crate::Random;

/// Events kept of each topic.
const EVENTS_MAX: usize = 20_000;
/// How long they are kept.
pub(super) const KEPT_MS: i64 = 72 * 3_600 * 1_000;

/// An event on the bus.
#[derive(Debug, Clone)]
#[expect(dead_code, reason = "the streaming API reads them")]
pub(super) struct Event {
    /// Its place in the bus; to clients an opaque text.
    pub replay: u64,
    pub uuid: String,
    pub payload: Fields,
    pub at_ms: i64,
}

/// The bus.
#[derive(Debug)]
pub(super) struct Bus {
    count: u64,
    topics: HashMap<String, VecDeque<Arc<Event>>>,
    /// Goes up with every event.
    pub news: watch::Sender<u64>,
}

impl Default for Bus {
    fn default() -> Self {
        Self { count: 0, topics: HashMap::new(), news: watch::Sender::new(0) }
    }
}

impl Bus {
    /// Puts an event on a topic; gives its number and its UUID.
    pub(super) fn publish(
        &mut self,
        topic: &str,
        mut payload: Fields,
        user: &str,
        now_ms: i64,
        random: &Random,
    ) -> (u64, String) {
        self.count += 1;
        let hex = random.text("0123456789abcdef", 32);
        let uuid = format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32]);
        payload.insert("CreatedDate".to_owned(), json!(now_ms));
        payload.insert("CreatedById".to_owned(), json!(user));
        self.put(topic, payload, uuid.clone(), now_ms);
        (self.count, uuid)
    }

    fn put(&mut self, topic: &str, payload: Fields, uuid: String, at_ms: i64) {
        let events = self.topics.entry(topic.to_owned()).or_default();
        while events.len() >= EVENTS_MAX || events.front().is_some_and(|first| at_ms - first.at_ms > KEPT_MS) {
            events.pop_front();
        }
        events.push_back(Arc::new(Event { replay: self.count, uuid, payload, at_ms }));
        let count = self.count;
        self.news.send_replace(count);
    }

    /// Events of a topic after a place.
    #[expect(dead_code, reason = "the streaming API reads them")]
    pub(super) fn after(&self, topic: &str, replay: u64, most: usize) -> Vec<Arc<Event>> {
        let events = self.topics.get(topic).into_iter().flatten();
        events.filter(|event| event.replay > replay).take(most).cloned().collect()
    }

    /// The place of the newest event.
    #[expect(dead_code, reason = "the streaming API reads them")]
    pub(super) fn newest(&self) -> u64 {
        self.count
    }
}
