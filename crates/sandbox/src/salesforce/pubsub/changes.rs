//! Change data capture: what happened to records, as events.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value as Json};

use super::{
    super::{
        bus,
        org::{Change, Happened, Org, Row},
        schema::Object,
        system::System,
        value::Value,
    },
    layout::{Header, Layout, Part, Shape, event_name},
};

/// The topic that tells of every captured object.
pub(super) const ALL: &str = "/data/ChangeEvents";
/// Changes of one transaction that are told one by one.
const TRANSACTION_MAX: usize = 100_000;

/// Tells of changes that are final.
pub(in super::super) fn tell(system: &System, org: &Org, changes: &[Change]) {
    let captured = system.settings.read().change_capture.clone();
    let followed = |object: &Object| captured.contains(&object.name);
    let changes: Vec<&Change> = changes.iter().filter(|change| followed(&org.schema.objects[change.object])).collect();
    let Some(first) = changes.first() else { return };
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for change in &changes {
        *counts.entry(change.object).or_default() += 1;
    }
    let transaction = bus::uuid(&system.random.lock());
    let mut header = Header { at_ms: first.at_ms, transaction, number: first.at_ms, ..Header::default() };
    let mut layouts: HashMap<usize, Arc<Layout>> = HashMap::new();
    let mut overflowed = HashSet::new();
    for change in changes {
        let object = &org.schema.objects[change.object];
        let many = counts.get(&change.object).is_some_and(|count| *count > TRANSACTION_MAX);
        if many && !overflowed.insert(change.object) {
            continue;
        }
        let layout = layouts.entry(change.object).or_insert_with(|| Layout::changes(object));
        header.sequence += 1;
        (header.entity, header.user, header.origin) = (object.name.clone(), change.by.to_string(), change.origin.to_string());
        header.forget();
        let (kind, before) = kind(change);
        header.kind = if many { "GAP_OVERFLOW" } else { kind };
        header.ids = if many { vec![format!("{}000000000AAA", object.prefix)] } else { vec![change.after.id().to_owned()] };
        let values = if many || change.happened == Happened::Deleted {
            Map::new()
        } else {
            values(object, layout, before, &change.after, &mut header)
        };
        publish(system, layout, &header, &values, change.at_ms);
    }
    system.bus.lock().ring();
}

/// Tells of a change without what changed.
pub(in super::super) fn gap(system: &System, org: &Org, object: usize, ids: Vec<String>, kind: &'static str) {
    let (described, now_ms) = (&org.schema.objects[object], system.now_ms());
    let transaction = bus::uuid(&system.random.lock());
    let header = Header {
        entity: described.name.clone(),
        ids,
        kind,
        transaction,
        sequence: 1,
        at_ms: now_ms,
        number: now_ms,
        ..Header::default()
    };
    publish(system, &Layout::changes(described), &header, &Map::new(), now_ms);
    system.bus.lock().ring();
}

fn publish(system: &System, layout: &Arc<Layout>, header: &Header, values: &Map<String, Json>, now_ms: i64) {
    let uuid = bus::uuid(&system.random.lock());
    let mut bus = system.bus.lock();
    bus.know(layout);
    let own = format!("/data/{}", event_name(&header.entity));
    let (payload, data) = (layout.write(Some(header), values).into(), layout.change_data(header, values));
    bus.publish(&[&own, ALL], bus::New { schema: &layout.id, uuid: &uuid, payload, data }, now_ms);
}

fn kind(change: &Change) -> (&'static str, Option<&Row>) {
    match change.happened {
        Happened::Created => ("CREATE", None),
        Happened::Updated => ("UPDATE", change.before.as_deref()),
        Happened::Deleted => ("DELETE", None),
        Happened::Undeleted => ("UNDELETE", None),
    }
}

/// The values an event carries: those that changed, or all. The header learns which fields these are.
fn values(object: &Object, layout: &Layout, before: Option<&Row>, after: &Row, header: &mut Header) -> Map<String, Json> {
    let (mut values, mut changed, mut nulled) = (Map::new(), Bits::default(), Bits::default());
    let moved = |part: &Part| before.is_none_or(|before| before.get(part.place) != after.get(part.place));
    let json = |part: &Part| after.get(part.place).json(object.fields[part.place].kind);
    for (at, part) in layout.parts.iter().enumerate() {
        // The header is the first field of the schema.
        let at = at + 1;
        let Shape::Parts(inner) = &part.shape else {
            if moved(part) {
                changed.set(at, &part.name);
                if *after.get(part.place) == Value::Null {
                    nulled.set(at, &part.name)
                } else {
                    _ = values.insert(part.name.clone(), json(part))
                }
            }
            continue;
        };
        let mut filled = Map::new();
        for (place, inner) in inner.iter().enumerate().filter(|(_, inner)| moved(inner)) {
            changed.set_inner(at, place, part, inner);
            if *after.get(inner.place) == Value::Null {
                nulled.set_inner(at, place, part, inner);
            } else {
                filled.insert(inner.name.clone(), json(inner));
            }
        }
        if !filled.is_empty() {
            values.insert(part.name.clone(), Json::Object(filled));
        }
    }
    if before.is_some() {
        (header.changed, header.nulled) = (changed.written(), nulled.written());
        (header.changed_names, header.nulled_names) = (changed.names, nulled.names);
    }
    values
}

/// Fields by their places, written as Salesforce does: `0x0A`, and `4-0x01` for those within field 4.
#[derive(Debug, Default)]
struct Bits {
    own: Vec<usize>,
    inner: Vec<(usize, Vec<usize>)>,
    /// The same fields by their names.
    names: Vec<String>,
}

impl Bits {
    fn set(&mut self, place: usize, name: &str) {
        self.own.push(place);
        self.names.push(name.to_owned());
    }

    fn set_inner(&mut self, field: usize, place: usize, outer: &Part, inner: &Part) {
        self.names.push(format!("{}.{}", outer.name, inner.name));
        match self.inner.last_mut().filter(|(known, _)| *known == field) {
            Some((_, places)) => places.push(place),
            None => self.inner.push((field, vec![place])),
        }
    }

    fn written(&self) -> Vec<String> {
        let own = (!self.own.is_empty()).then(|| bitmap(&self.own));
        own.into_iter().chain(self.inner.iter().map(|(field, places)| format!("{field}-{}", bitmap(places)))).collect()
    }
}

fn bitmap(places: &[usize]) -> String {
    let mut bytes = vec![0_u8; places.iter().max().map_or(1, |most| most / 8 + 1)];
    for place in places {
        bytes[place / 8] |= 1 << (place % 8);
    }
    bytes.reverse();
    format!("0x{}", hex::encode_upper(bytes))
}

#[cfg(test)]
mod tests {
    use super::bitmap;

    #[test]
    fn a_bitmap_counts_its_bits_from_the_end() {
        assert_eq!(bitmap(&[1, 3]), "0x0A");
        assert_eq!(bitmap(&[8]), "0x0100");
    }
}
