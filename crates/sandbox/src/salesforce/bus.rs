//! The event bus: platform events and changes of records, kept for 72 hours, in the order they were published.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use tokio::sync::watch;

use super::pubsub::Layout;
use crate::Random;

/// Events kept of each topic.
const EVENTS_MAX: usize = 200_000;
/// How long they are kept.
pub(super) const KEPT_MS: i64 = 72 * 3_600 * 1_000;
/// Makes replay ids of places: odd, so that each place has one and the way back exists.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// An event on the bus.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// Its place in the bus.
    pub place: u64,
    pub uuid: String,
    /// The id of the schema it is written in.
    pub schema: Arc<str>,
    pub payload: Bytes,
    /// The same for subscribers over CometD, as JSON; its replay id and UUID are put in when it is delivered.
    pub data: Bytes,
    at_ms: i64,
}

/// An event to be published.
#[derive(Debug)]
pub(super) struct New<'a> {
    pub schema: &'a Arc<str>,
    pub uuid: &'a str,
    pub payload: Bytes,
    pub data: Bytes,
}

/// The bus.
#[derive(Debug)]
pub(super) struct Bus {
    count: u64,
    /// Events up to this place are not kept any more.
    forgotten: u64,
    /// Changes when the org moves: replay ids of before mean nothing then.
    era: u16,
    topics: HashMap<String, VecDeque<Arc<Event>>>,
    layouts: HashMap<Arc<str>, Arc<Layout>>,
    /// Goes up with every event.
    pub news: watch::Sender<u64>,
}

impl Default for Bus {
    fn default() -> Self {
        let news = watch::Sender::new(0);
        Self { count: 0, forgotten: 0, era: 1, topics: HashMap::new(), layouts: HashMap::new(), news }
    }
}

/// An id as the bus gives events that bring none.
pub(super) fn uuid(random: &Random) -> String {
    let hex = random.text("0123456789abcdef", 32);
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

impl Bus {
    /// Puts an event on topics; gives its number.
    pub(super) fn publish(&mut self, topics: &[&str], new: New<'_>, now_ms: i64) -> u64 {
        self.count += 1;
        let New { schema, uuid, payload, data } = new;
        let event = Event { place: self.count, uuid: uuid.to_owned(), schema: schema.clone(), payload, data, at_ms: now_ms };
        let event = Arc::new(event);
        for topic in topics {
            let events = self.topics.entry((*topic).to_owned()).or_default();
            events.push_back(event.clone());
            if events.len() > EVENTS_MAX
                && let Some(first) = events.pop_front()
            {
                self.forgotten = self.forgotten.max(first.place);
            }
        }
        self.forget(now_ms);
        self.count
    }

    /// Tells those who listen that there is something new.
    pub(super) fn ring(&self) {
        self.news.send_replace(self.count);
    }

    /// Lets go of what is too old.
    pub(super) fn forget(&mut self, now_ms: i64) {
        for events in self.topics.values_mut() {
            while let Some(first) = events.front().filter(|first| now_ms - first.at_ms > KEPT_MS) {
                self.forgotten = self.forgotten.max(first.place);
                events.pop_front();
            }
        }
    }

    /// Events of a topic after a place.
    pub(super) fn after(&self, topic: &str, place: u64, most: usize) -> Vec<Arc<Event>> {
        let Some(events) = self.topics.get(topic) else { return Vec::new() };
        let from = events.partition_point(|event| event.place <= place);
        events.range(from..).take(most).cloned().collect()
    }

    /// The place of the newest event.
    pub(super) fn newest(&self) -> u64 {
        self.count
    }

    /// True when a place is one that events are still kept behind.
    pub(super) fn keeps(&self, place: u64) -> bool {
        place > self.forgotten && place <= self.count
    }

    /// A new place without an event, for streams that only say that they are alive.
    pub(super) fn pass(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// The replay id of a place; to clients opaque bytes that have no order.
    pub(super) fn replay_id(&self, place: u64) -> Vec<u8> {
        [&self.era.to_be_bytes()[..], &place.wrapping_mul(MIX).to_be_bytes()].concat()
    }

    /// The place of a replay id, if it is one of this bus and its time is not over.
    pub(super) fn place(&self, replay_id: &[u8]) -> Option<u64> {
        let (era, mixed) = replay_id.split_first_chunk::<2>()?;
        let mixed = u64::from_be_bytes(mixed.try_into().ok()?);
        let place = mixed.wrapping_mul(inverse(MIX));
        let good = u16::from_be_bytes(*era) == self.era && (place == 0 || self.keeps(place));
        good.then_some(place)
    }

    /// The org moves to another instance: what was kept is gone, and so is the meaning of replay ids.
    pub(super) fn move_away(&mut self) {
        self.era = self.era.wrapping_add(1);
        self.topics.clear();
        self.forgotten = self.count;
    }

    /// Remembers how events are written.
    pub(super) fn know(&mut self, layout: &Arc<Layout>) {
        self.layouts.entry(layout.id.clone()).or_insert_with(|| layout.clone());
    }

    pub(super) fn layout(&self, id: &str) -> Option<&Arc<Layout>> {
        self.layouts.get(id)
    }
}

/// The number that undoes a multiplication by an odd one, by Newton's method.
fn inverse(odd: u64) -> u64 {
    (0..6).fold(odd, |guess, _| guess.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(guess))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_id_leads_back_to_its_place_while_it_is_kept() {
        let mut bus = Bus::default();
        let schema: Arc<str> = "s".into();
        for at_ms in [0, 10, 20] {
            let new = New { schema: &schema, uuid: "u", payload: Bytes::new(), data: Bytes::new() };
            bus.publish(&["/event/X__e"], new, at_ms);
        }
        let ids: Vec<Vec<u8>> = (1..=3).map(|place| bus.replay_id(place)).collect();
        assert_eq!(ids.iter().map(|id| bus.place(id)).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
        assert!(bus.place(&bus.replay_id(4)).is_none() && bus.place(b"nonsense").is_none() && bus.place(b"").is_none());
        bus.forget(KEPT_MS + 15);
        assert_eq!(ids.iter().map(|id| bus.place(id)).collect::<Vec<_>>(), [None, None, Some(3)]);
        assert_eq!(bus.after("/event/X__e", 0, 10).len(), 1);
        bus.move_away();
        assert!(ids.iter().all(|id| bus.place(id).is_none()));
    }
}
