//! PushTopics, which tell of records that a query finds, and generic channels, which tell what is pushed into them.

use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::super::{
    answer::Answer,
    bus,
    errors::{Outcome, Trouble},
    org::{Change, Happened, Org, Row},
    pubsub::zulu,
    rest::Call,
    schema::{Object, place},
    soql::{self, Bound, Show},
    system::System,
    value::{Value, datetime},
};

/// The object of queries that are told about.
pub(super) const TOPIC: &str = "PushTopic";
/// The object of channels anybody may push into.
pub(in super::super) const CHANNEL: &str = "StreamingChannel";
/// Events of one push, and the longest of them, in bytes.
const PUSHED_MAX: usize = 100;
const PAYLOAD_BYTES_MAX: usize = 3_000;

/// A PushTopic as it stands in its record.
struct Topic<'a> {
    object: &'a Object,
    row: &'a Row,
}

impl<'a> Topic<'a> {
    fn get(&self, field: &str) -> &'a Value {
        self.object.place(field).map_or(&Value::Null, |at| self.row.get(at))
    }

    fn is(&self, field: &str) -> bool {
        *self.get(field) == Value::Bool(true)
    }

    fn text(&self, field: &str) -> &'a str {
        self.get(field).text().unwrap_or_default()
    }

    /// True when a change is one of those the topic tells of, by what happened and by the fields it touched.
    fn follows(&self, bound: &Bound, change: &Change) -> bool {
        let wanted = match change.happened {
            Happened::Created => "NotifyForOperationCreate",
            Happened::Updated => "NotifyForOperationUpdate",
            Happened::Deleted => "NotifyForOperationDelete",
            Happened::Undeleted => "NotifyForOperationUndelete",
        };
        let Some(before) = change.before.as_deref().filter(|_| change.happened == Happened::Updated) else {
            return self.is(wanted);
        };
        let fields = match self.text("NotifyForFields") {
            "All" => (0..change.after.values.len()).filter(|at| !matches!(*at, place::MODIFIED | place::STAMP)).collect(),
            "Select" => bound.selected(),
            "Where" => bound.filtered(),
            _ => [bound.selected(), bound.filtered()].concat(),
        };
        self.is(wanted) && fields.iter().any(|at| before.get(*at) != change.after.get(*at))
    }
}

/// True when there is a record of that name that can be listened to.
pub(super) fn named(org: &Org, object: &str, name: &str) -> bool {
    let Some(place) = org.schema.find(object) else { return false };
    let object = &org.schema.objects[place];
    let found = object.name_place().map(|at| org.with_value(place, at, &Value::Text(name.into()))).unwrap_or_default();
    found.iter().any(|row| object.place("IsActive").is_none_or(|at| *row.get(at) == Value::Bool(true)))
}

/// Tells PushTopics of changes that are final.
pub(in super::super) fn tell(system: &System, org: &Org, changes: &[Change]) {
    let Some(at) = org.schema.find(TOPIC).filter(|at| org.tables[*at].len() > 0) else { return };
    let look = system.look(true);
    for row in org.tables[at].all().filter(|row| !row.deleted()) {
        let topic = Topic { object: &org.schema.objects[at], row };
        let Ok(bound) = soql::prepare(org, topic.text("Query")) else { continue };
        let show = Show { org, look: &look, version: "62.0", session: &"".into(), cursors: &system.cursors };
        let told = changes.iter().filter(|change| change.object == bound.object && topic.is("IsActive"));
        for change in told.filter(|change| topic.follows(&bound, change) && soql::meets(org, &bound, &change.after, &look)) {
            let (kind, sobject) = match change.happened {
                Happened::Created => ("created", show.shown(&bound, &change.after)),
                Happened::Updated => ("updated", show.shown(&bound, &change.after)),
                Happened::Deleted => ("deleted", json!({ "Id": change.after.id() })),
                Happened::Undeleted => ("undeleted", show.shown(&bound, &change.after)),
            };
            let mut data = json!({ "event": { "createdDate": zulu(&datetime(change.at_ms)), "type": kind }, "sobject": sobject });
            if let Some(sobject) = data["sobject"].as_object_mut() {
                sobject.remove("attributes");
            }
            publish(system, &format!("/topic/{}", topic.text("Name")), &data);
        }
    }
    system.bus.lock().ring();
}

fn publish(system: &System, channel: &str, data: &Json) {
    let data = serde_json::to_vec(data).unwrap_or_default().into();
    let new = bus::New { schema: &"".into(), uuid: "", payload: Bytes::new(), data };
    system.bus.lock().publish(&[channel], new, system.now_ms());
}

impl Org {
    /// A PushTopic's query names one object, its records' ids, and groups nothing.
    pub(in super::super) fn check_topic(&self, object: usize, row: &Row) -> Outcome<()> {
        let topic = Topic { object: &self.schema.objects[object], row };
        let bound = soql::prepare(self, topic.text("Query"))?;
        if bound.aggregated() || !bound.selected().contains(&place::ID) {
            return Err(Trouble::bad("INVALID_FIELD", "Id is required in the SELECT clause of the query").on("Query"));
        }
        Ok(())
    }
}

impl System {
    /// Pushes texts into a generic channel.
    pub(in super::super) fn push(&self, org: &Org, call: &Call, object: usize, id: &str) -> Outcome<Answer> {
        let row = org.existing(object, id)?;
        let name = org.schema.objects[object].name_place().and_then(|at| row.get(at).text());
        let name = name.ok_or_else(Trouble::not_found)?;
        let body = call.json()?;
        let pushed = body["pushEvents"].as_array().filter(|pushed| !pushed.is_empty() && pushed.len() <= PUSHED_MAX);
        let pushed = pushed.ok_or_else(|| Trouble::json(format_args!("pushEvents must hold 1 to {PUSHED_MAX} events")))?;
        let mut answers = Vec::new();
        for event in pushed {
            let payload = event["payload"].as_str().ok_or_else(|| Trouble::json("The payload of an event is a string"))?;
            if payload.len() > PAYLOAD_BYTES_MAX {
                return Err(Trouble::bad("STRING_TOO_LONG", format!("The payload is longer than {PAYLOAD_BYTES_MAX} bytes")));
            }
            if event["userIds"].as_array().is_some_and(|users| !users.is_empty()) {
                return Err(Trouble::bad("INVALID_INPUT", "pushing to single users is not simulated"));
            }
            let data = json!({ "event": { "createdDate": zulu(&datetime(self.now_ms())) }, "payload": payload });
            publish(self, name, &data);
            answers.push(json!({ "fanoutCount": -1, "userOnlineStatus": {} }));
        }
        self.bus.lock().ring();
        Ok(Answer::ok(Json::Array(answers)))
    }
}
