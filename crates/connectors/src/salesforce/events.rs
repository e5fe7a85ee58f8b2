//! Triggers that follow Salesforce's event bus: platform events, and changes of records (change data capture).
//!
//! A question opens a subscription behind the last replay id, takes what is there, and closes it. Replay ids are
//! opaque: they are kept and given back, never compared. A subscription that began at the end of the stream would miss
//! what comes between two questions; so as long as no replay id is known, it begins with the oldest event that is
//! kept, and those from before the trigger's start are left out.

mod avro;
mod bus;
mod change;
mod messages;
mod whole;

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use connector::{Cx, ErrorClass, Occurrence, Poll, Polled, Position, StepError, Trigger, cursor_lost, read_cursor};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use self::{
    avro::Type,
    bus::{Bus, Subscription, Trouble},
    messages::{ConsumerEvent, FetchRequest, Preset, ProducerEvent},
};
use super::{
    api::{flag, text},
    describe::Known,
    input,
};

/// Usual pause between two questions.
const EVERY: Duration = Duration::from_secs(15);
/// Events of a question.
const TAKEN_MAX: usize = 1_000;
/// Bytes of a question's events.
const TAKEN_BYTES_MAX: usize = 8 << 20;
/// Events that are asked for at once; Salesforce takes no more.
const ASKED_MAX: i32 = 100;
/// How long a question waits for the first event, unless the trigger says so.
const WAIT_S: u64 = 5;
/// How long it waits for more after some came.
const MORE_WAIT: Duration = Duration::from_millis(300);
/// Left of the time of a question when waiting ends.
const MARGIN: Duration = Duration::from_secs(5);
/// How long Salesforce keeps events, less an hour.
const KEPT_MS: i64 = 71 * HOUR_MS;
const HOUR_MS: i64 = 3_600_000;
/// Schemas remembered.
const SCHEMAS_MAX: usize = 500;
/// Objects of one trigger.
const OBJECTS_MAX: usize = 100;

const KINDS: [&str; 9] =
    ["CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW"];

/// Schemas by org and id. An id stands for one schema for ever.
type Schemas = Arc<Mutex<HashMap<(String, String), Arc<Type>>>>;

pub(super) fn triggers() -> Vec<Trigger> {
    let (schemas, known) = (Schemas::default(), Known::default());
    let asked = |schemas: &Schemas, changes: bool| {
        let (schemas, known) = (Arc::clone(schemas), known.clone());
        Poll::new(EVERY, move |cx, with, from| {
            let (schemas, known) = (Arc::clone(&schemas), known.clone());
            async move { Question { cx: &cx, with: &with, changes, schemas, known }.ask(&from).await }
        })
    };
    vec![platform_event().poll(asked(&schemas, false)), change_event().poll(asked(&schemas, true))]
}

fn wait_input() -> Json {
    json!({"type": "integer", "minimum": 1, "maximum": 40, "default": WAIT_S, "title": "Wait", "description": "Seconds that a question waits for the first event; a longer wait tells of events sooner."})
}

fn lost_output() -> (Json, Json) {
    let lost = json!({"type": "boolean", "description": "True for an event that tells of a gap: events after lost_after may be missing, because Salesforce kept none from then on; or, where event_id is filled, this one event could not be read."});
    (lost, json!({"type": ["string", "null"]}))
}

fn platform_event() -> Trigger {
    let (lost, lost_after) = lost_output();
    Trigger::new("platform_event", "Platform event", "Fires for every platform event that is published; Salesforce keeps them for 72 hours.")
        .config(input(
            json!({"event": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]{0,79}$", "title": "Event", "description": "Its API name: Order_Event__e, or a channel such as Sales__chn."}, "wait_s": wait_input()}),
            &["event"],
        ))
        .output(json!({"type": "object", "required": ["event", "event_id", "replay_id", "schema_id", "created_at", "fields", "lost"], "properties": {
            "event": {"type": "string"}, "event_id": {"type": "string"}, "replay_id": {"type": "string"}, "schema_id": {"type": "string"},
            "created_at": {"type": ["string", "null"]}, "fields": {"type": "object", "description": "As the event's schema has them; dates and times are milliseconds since 1970."},
            "lost": lost, "lost_after": lost_after}}))
        .sample(json!({"event": "Order_Event__e", "event_id": "e0e4c5a2-6d3b-4a55-a1b2-0123456789ab", "replay_id": "AAAAAAAAB9A=", "schema_id": "K98aAtiNFBjA-PJlcvaQ2g",
            "created_at": "2026-01-02T03:04:05Z", "fields": {"CreatedDate": 1_767_323_045_000_i64, "CreatedById": "005xx000001Sv6eAAC", "Number__c": "7"}, "lost": false, "lost_after": null}))
}

fn change_event() -> Trigger {
    let (lost, lost_after) = lost_output();
    let list = json!({"type": "array", "items": {"type": "string"}});
    Trigger::new("change_event", "Change of a record", "Fires for every change of records that Change Data Capture follows, with what changed.")
        .config(input(
            json!({
                "objects": {"type": "array", "items": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]{0,79}$"}, "maxItems": OBJECTS_MAX, "uniqueItems": true, "title": "Objects", "description": "API names, such as Account or Invoice__c; all that Setup, Change Data Capture lists when left out."},
                "change_types": {"type": "array", "items": {"type": "string", "enum": KINDS}, "uniqueItems": true, "title": "Kinds of change", "description": "All when left out. GAP_… tell that something changed without what: read the record again."},
                "ignore_own_changes": {"type": "boolean", "default": true, "title": "Without our own changes", "description": "Leaves out what Liaison itself changed, so that recipes do not answer each other for ever."},
                "full_records": {"type": "boolean", "default": false, "title": "Whole records", "description": "Asks for the records of each change with all their plain fields, as they are by then."},
                "channel": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]{0,79}__chn$", "title": "Channel", "description": "A channel of your own, such as Sales__chn."},
                "wait_s": wait_input(),
            }),
            &[],
        ))
        .output(json!({"type": "object", "required": ["event_id", "replay_id", "schema_id", "object", "record_id", "record_ids", "change_type", "gap", "changed_fields", "nulled_fields", "diff_fields", "committed_at", "fields", "lost"], "properties": {
            "event_id": {"type": "string"}, "replay_id": {"type": "string"}, "schema_id": {"type": "string"}, "object": {"type": ["string", "null"]},
            "record_id": {"type": ["string", "null"], "description": "The first of record_ids."}, "record_ids": list, "change_type": {"type": ["string", "null"], "description": "CREATE, UPDATE, DELETE, UNDELETE, or GAP_…."},
            "gap": {"type": "boolean", "description": "True when Salesforce tells of a change without what changed."},
            "changed_fields": list, "nulled_fields": list, "diff_fields": list, "origin": {"type": ["string", "null"]}, "transaction": {"type": ["string", "null"]},
            "sequence": {"type": ["integer", "null"]}, "commit_number": {"type": ["integer", "null"]}, "user_id": {"type": ["string", "null"]}, "committed_at": {"type": ["string", "null"]},
            "records": {"type": "array", "items": {"type": "object"}, "description": "With whole records: for each of record_ids its id, whether it is gone, and the record, null when it is."},
            "fields": {"type": "object", "description": "Those that changed, all of a new record; dates and times are milliseconds since 1970."},
            "lost": lost, "lost_after": lost_after}}))
        .sample(json!({"event_id": "e0e4c5a2-6d3b-4a55-a1b2-0123456789ab", "replay_id": "AAAAAAAAB9A=", "schema_id": "K98aAtiNFBjA-PJlcvaQ2g", "object": "Account", "record_id": "001xx000003DGb1AAG",
            "record_ids": ["001xx000003DGb1AAG"], "change_type": "UPDATE", "gap": false, "changed_fields": ["Rating", "BillingAddress.City"], "nulled_fields": [], "diff_fields": [],
            "origin": "com/salesforce/api/rest/62.0;client=Astro", "transaction": "0004f2c7-4f4b-0d51-8d53-2b1e5a3f0c11", "sequence": 1, "commit_number": 410_912_003_i64, "user_id": "005xx000001Sv6eAAC",
            "committed_at": "2026-01-02T03:04:05Z", "fields": {"Rating": "Hot", "BillingAddress": {"City": "Bern"}}, "lost": false, "lost_after": null}))
}

/// Where a trigger is in its stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    topic: String,
    /// The last replay id, in base64; none before the first event.
    replay: Option<String>,
    /// When what it stands for happened.
    at_ms: i64,
    /// When all up to then had been taken.
    asked_ms: i64,
    /// Nothing before this is wanted.
    floor_ms: i64,
}

/// What a subscription gave.
struct Taken {
    events: Vec<Occurrence>,
    place: Place,
    more: bool,
}

struct Question<'a> {
    cx: &'a Cx,
    with: &'a Json,
    changes: bool,
    schemas: Schemas,
    known: Known,
}

fn moment_text(ms: i64) -> String {
    Timestamp::from_millisecond(ms).unwrap_or_default().to_string()
}

impl Question<'_> {
    async fn ask(&self, from: &Position) -> Result<Polled, StepError> {
        let place = self.place(from)?;
        let (taken, lost) = match self.signed_in(&place).await {
            Err(Trouble::Lost) if place.replay.is_some() => self.again(&place).await?,
            other => (other.map_err(Trouble::told)?, None),
        };
        let mut events: Vec<Occurrence> = lost.into_iter().chain(taken.events).collect();
        if flag(self.with, "full_records") {
            whole::fill(&self.known, self.cx, &mut events).await?;
        }
        Ok(Polled { events, cursor: json!(taken.place), more: taken.more })
    }

    /// Goes on with all that is kept after the place was lost. The keys of events let none start twice.
    async fn again(&self, place: &Place) -> Result<(Taken, Option<Occurrence>), StepError> {
        let now_ms = self.now_ms();
        // A place in a quiet stream grows old although nothing was missed: what came since it was last asked is kept.
        let quiet = now_ms - place.at_ms >= KEPT_MS && now_ms - place.asked_ms < KEPT_MS;
        let from_ms = if quiet { place.asked_ms } else { place.at_ms } - HOUR_MS;
        let floor_ms = place.floor_ms.max(from_ms);
        tracing::warn!(topic = place.topic, quiet, "salesforce.replay: the place in the stream is not kept any more");
        let taken = self.signed_in(&Place { replay: None, floor_ms, ..place.clone() }).await.map_err(Trouble::told)?;
        Ok((taken, (!quiet).then(|| self.gap(place, None))))
    }

    /// The event that tells of a gap: all that came after a place, or the one event that was produced there.
    fn gap(&self, place: &Place, produced: Option<&ProducerEvent>) -> Occurrence {
        let replay = place.replay.clone().unwrap_or_default();
        let (event, schema) = produced.map_or(("", ""), |produced| (&produced.id, &produced.schema_id));
        let mut data = json!({"event_id": event, "replay_id": replay, "schema_id": schema, "fields": {}, "lost": true, "lost_after": moment_text(place.at_ms)});
        let more = if self.changes {
            json!({"object": null, "record_id": null, "record_ids": [], "change_type": null, "gap": true, "changed_fields": [],
                "nulled_fields": [], "diff_fields": [], "committed_at": null})
        } else {
            json!({"event": text(self.with, "event"), "created_at": null})
        };
        if let (Json::Object(data), Json::Object(more)) = (&mut data, more) {
            data.extend(more);
        }
        let what = if produced.is_some() { "unreadable" } else { "lost" };
        Occurrence { key: format!("{what}:{replay}"), data }
    }

    fn place(&self, from: &Position) -> Result<Place, StepError> {
        let topic = self.topic();
        let start = |floor_ms: i64| Place { topic: topic.clone(), replay: None, at_ms: floor_ms, asked_ms: floor_ms, floor_ms };
        let place: Place = match from {
            Position::Since(micros) => return Ok(start(micros.div_euclid(1_000))),
            Position::After(cursor) => read_cursor(cursor)?,
        };
        // The settings were changed: replay ids of one stream mean nothing in another.
        Ok(if place.topic == topic { place } else { start(place.asked_ms) })
    }

    fn topic(&self) -> String {
        if !self.changes {
            return format!("/event/{}", text(self.with, "event"));
        }
        match (self.with.get("channel").and_then(Json::as_str), &self.objects()[..]) {
            (Some(channel), _) => format!("/data/{channel}"),
            (None, [object]) => match object.strip_suffix("__c") {
                Some(name) => format!("/data/{name}__ChangeEvent"),
                None => format!("/data/{object}ChangeEvent"),
            },
            _ => "/data/ChangeEvents".to_owned(),
        }
    }

    fn objects(&self) -> Vec<&str> {
        self.texts("objects")
    }

    fn texts(&self, name: &str) -> Vec<&str> {
        self.with.get(name).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect()
    }

    fn now_ms(&self) -> i64 {
        self.cx.now_us().div_euclid(1_000)
    }

    /// Takes what is there; a sign-in that ran out is made anew once.
    async fn signed_in(&self, place: &Place) -> Result<Taken, Trouble> {
        let mut bus = Bus::open(self.cx, None).await?;
        match self.take(&mut bus, place).await {
            Err(Trouble::SignedOut(_)) => {
                let refused = bus.token.clone();
                let mut bus = Bus::open(self.cx, Some(&refused)).await?;
                self.take(&mut bus, place).await
            }
            other => other,
        }
    }

    async fn take(&self, bus: &mut Bus, place: &Place) -> Result<Taken, Trouble> {
        let asked_ms = self.now_ms();
        let mut stream = bus.subscribe(self.first(place)?, self.left()).await?;
        let mut taken = Taken { events: Vec::new(), place: place.clone(), more: false };
        match self.pour(bus, &mut stream, &mut taken).await {
            // What came before the stream broke is kept; the next question says what is wrong, if it stays.
            Err(_) if taken.place.replay != place.replay => taken.more = true,
            Err(trouble) => return Err(trouble),
            Ok(()) => {}
        }
        if !taken.more {
            taken.place.asked_ms = asked_ms;
        }
        Ok(taken)
    }

    fn first(&self, place: &Place) -> Result<FetchRequest, StepError> {
        let replay_id = place.replay.as_ref().map(|replay| STANDARD.decode(replay)).transpose().map_err(|_| cursor_lost())?;
        Ok(FetchRequest {
            topic_name: place.topic.clone(),
            replay_preset: if replay_id.is_some() { Preset::Custom } else { Preset::Earliest } as i32,
            replay_id: replay_id.unwrap_or_default().into(),
            num_requested: ASKED_MAX,
        })
    }

    fn left(&self) -> Duration {
        self.cx.left().saturating_sub(MARGIN)
    }

    /// Takes events until there are enough, or none came for a while.
    async fn pour(&self, bus: &mut Bus, stream: &mut Subscription, taken: &mut Taken) -> Result<(), Trouble> {
        let mut wait = Duration::from_secs(self.with["wait_s"].as_u64().unwrap_or(WAIT_S));
        let (mut seen, mut bytes) = (0, 0);
        while let Some(response) = stream.next(wait.min(self.left())).await? {
            if response.events.is_empty() {
                // All up to here was delivered.
                if !response.latest_replay_id.is_empty() {
                    taken.place.replay = Some(STANDARD.encode(&response.latest_replay_id));
                    taken.place.at_ms = self.now_ms();
                }
                continue;
            }
            seen += response.events.len();
            for event in response.events {
                bytes += event.event.as_ref().map_or(0, |event| event.payload.len());
                self.one(bus, event, taken).await?;
            }
            if seen >= TAKEN_MAX || bytes >= TAKEN_BYTES_MAX {
                taken.more = true;
                break;
            }
            if response.pending_num_requested <= 0 {
                stream.ask(&taken.place.topic, ASKED_MAX).await;
            }
            wait = MORE_WAIT;
        }
        Ok(())
    }

    /// Takes one event. One that cannot be read would stand in the way of all later ones: it is told, and passed over.
    async fn one(&self, bus: &mut Bus, event: ConsumerEvent, taken: &mut Taken) -> Result<(), Trouble> {
        let (empty, produced) = (event.event.is_none(), event.event.unwrap_or_default());
        let replay = STANDARD.encode(&event.replay_id);
        let read = match empty {
            true => Err(unreadable("it is empty").into()),
            false => self.read(bus, &produced, &replay, taken).await,
        };
        match read {
            Err(Trouble::Other(error)) if error.code == UNREADABLE => {
                tracing::warn!(
                    topic = taken.place.topic,
                    event = produced.id,
                    why = error.message,
                    "salesforce.event: cannot be read"
                );
                taken.place.replay = Some(replay);
                taken.events.push(self.gap(&taken.place, Some(&produced)));
                Ok(())
            }
            read => read,
        }
    }

    /// Reads one event, and takes it unless the trigger does not want it.
    async fn read(&self, bus: &mut Bus, produced: &ProducerEvent, replay: &str, taken: &mut Taken) -> Result<(), Trouble> {
        let schema = self.schema(bus, &produced.schema_id).await?;
        let Json::Object(fields) = schema.read(&produced.payload).map_err(|why| unreadable(why.0))? else {
            return Err(unreadable("an event is no record").into());
        };
        let made_ms = if self.changes { change::made_ms(&fields) } else { fields.get("CreatedDate").and_then(Json::as_i64) };
        let place = &mut taken.place;
        (place.replay, place.at_ms) = (Some(replay.to_owned()), made_ms.unwrap_or(place.at_ms));
        if made_ms.is_some_and(|made_ms| made_ms < place.floor_ms) {
            return Ok(());
        }
        let Some(mut data) = self.wanted(&schema, fields, made_ms)? else { return Ok(()) };
        data.extend([
            ("event_id".to_owned(), json!(produced.id)),
            ("replay_id".to_owned(), json!(replay)),
            ("schema_id".to_owned(), json!(produced.schema_id)),
            ("lost".to_owned(), json!(false)),
            ("lost_after".to_owned(), Json::Null),
        ]);
        let key = if produced.id.is_empty() { replay.to_owned() } else { produced.id.clone() };
        // A stream may deliver an event again at once.
        if taken.events.iter().rev().take(ASKED_MAX as usize).all(|known| known.key != key) {
            taken.events.push(Occurrence { key, data: Json::Object(data) });
        }
        Ok(())
    }

    fn wanted(
        &self,
        schema: &Type,
        fields: Map<String, Json>,
        made_ms: Option<i64>,
    ) -> Result<Option<Map<String, Json>>, StepError> {
        if !self.changes {
            let told = json!({"event": text(self.with, "event"), "created_at": made_ms.map(moment_text), "fields": fields});
            return Ok(told.as_object().cloned());
        }
        let told = change::told(schema, fields).ok_or_else(|| unreadable("a change has no header"))?;
        let word = |name: &str| told.get(name).and_then(Json::as_str).unwrap_or_default();
        let chosen = |wanted: &[&str], value: &str| wanted.is_empty() || wanted.contains(&value);
        let ours = self.with.get("ignore_own_changes").is_none_or(|_| flag(self.with, "ignore_own_changes"))
            && change::own(word("origin"));
        let fits = chosen(&self.objects(), word("object")) && chosen(&self.texts("change_types"), word("change_type"));
        Ok((fits && !ours).then_some(told))
    }

    async fn schema(&self, bus: &mut Bus, id: &str) -> Result<Arc<Type>, Trouble> {
        let key = (bus.org.clone(), id.to_owned());
        if let Some(known) = self.schemas.lock().get(&key) {
            return Ok(Arc::clone(known));
        }
        let text = bus.schema(id, self.left()).await?;
        let schema = Arc::new(Type::parse(&text).map_err(|why| unreadable(why.0))?);
        let mut schemas = self.schemas.lock();
        if schemas.len() >= SCHEMAS_MAX {
            schemas.clear();
        }
        schemas.insert(key, Arc::clone(&schema));
        Ok(schema)
    }
}

/// The code of an event that cannot be read.
const UNREADABLE: &str = "EVENT_UNREADABLE";

fn unreadable(why: &str) -> StepError {
    StepError::new(ErrorClass::Server, UNREADABLE, format!("Salesforce told an event that cannot be read: {why}"))
}
