//! A change of records, as recipes see it.

use serde_json::{Map, Value as Json, json};

use super::{avro::Type, moment_text};

/// The header's name among the fields.
const HEADER: &str = "ChangeEventHeader";
/// Names of fields that one list of a header may stand for.
const NAMES_MAX: usize = 10_000;

/// What of a decoded change event is wanted, in our own words; `None` when there is no header in it.
pub(super) fn told(schema: &Type, mut event: Map<String, Json>) -> Option<Map<String, Json>> {
    let Some(Json::Object(header)) = event.remove(HEADER) else { return None };
    let kind = header["changeType"].as_str().unwrap_or_default();
    let lists = ["changedFields", "nulledFields", "diffFields"].map(|list| names(schema, header.get(list)));
    let nulled = lists[1].clone();
    let mut fields = Map::new();
    for (name, value) in event {
        if let Some(value) = filled(&name, value, &nulled) {
            fields.insert(name, value);
        }
    }
    let [changed_fields, nulled_fields, diff_fields] = lists;
    let ids = header.get("recordIds").cloned().unwrap_or_else(|| json!([]));
    let told = json!({
        "object": header.get("entityName"), "record_id": ids.get(0), "record_ids": ids, "change_type": kind,
        "gap": kind.starts_with("GAP_"), "changed_fields": changed_fields, "nulled_fields": nulled_fields,
        "diff_fields": diff_fields, "origin": header.get("changeOrigin"), "transaction": header.get("transactionKey"),
        "sequence": header.get("sequenceNumber"), "commit_number": header.get("commitNumber"), "user_id": header.get("commitUser"),
        "committed_at": header.get("commitTimestamp").and_then(Json::as_i64).map(moment_text), "fields": fields,
    });
    match told {
        Json::Object(told) => Some(told),
        _ => None,
    }
}

/// When the change was made, in milliseconds since 1970.
pub(super) fn made_ms(event: &Map<String, Json>) -> Option<i64> {
    event.get(HEADER)?["commitTimestamp"].as_i64()
}

/// True when the change was made by calls that carried our name.
pub(super) fn own(origin: &str) -> bool {
    origin.split(';').any(|part| part.trim() == "client=liaison")
}

/// A value that is there: fields that did not change are null in the event and stay away; those that were emptied stay.
fn filled(name: &str, value: Json, nulled: &[String]) -> Option<Json> {
    match value {
        Json::Null => nulled.iter().any(|known| known == name).then_some(Json::Null),
        Json::Object(parts) => {
            let parts: Map<String, Json> = parts
                .into_iter()
                .filter_map(|(part, value)| {
                    let value = filled(&format!("{name}.{part}"), value, nulled)?;
                    Some((part, value))
                })
                .collect();
            (!parts.is_empty()).then_some(Json::Object(parts))
        }
        value => Some(value),
    }
}

/// The names a header's list stands for. `0x0A` is a bitmap over the fields of the event, its lowest bit the first
/// field; `4-0x01` one over the parts of the fifth field. Older schemas hold the names themselves.
fn names(schema: &Type, list: Option<&Json>) -> Vec<String> {
    let mut names = Vec::new();
    let fields = schema.fields();
    for entry in list.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
        let (field, map) = match entry.split_once('-') {
            Some((place, map)) if map.starts_with("0x") => (place.parse().ok().and_then(|place: usize| fields.get(place)), map),
            _ => (None, entry),
        };
        let Some(digits) = map.strip_prefix("0x") else {
            names.push(entry.to_owned());
            continue;
        };
        let within = field.map_or(fields, |field| field.kind.fields());
        // A place that is no field of ours names nothing.
        if field.is_none() && entry.contains('-') {
            continue;
        }
        names.extend(bits(digits).filter_map(|place| within.get(place)).map(|part| match field {
            Some(field) => format!("{}.{}", field.name, part.name),
            None => part.name.clone(),
        }));
        names.truncate(NAMES_MAX);
    }
    names
}

/// The places of the bits that are set; the last digit holds the first four.
fn bits(digits: &str) -> impl Iterator<Item = usize> {
    digits.chars().rev().enumerate().flat_map(|(at, digit)| {
        let digit = digit.to_digit(16).unwrap_or_default();
        (0..4).filter(move |bit| digit & (1 << bit) != 0).map(move |bit| at * 4 + bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Type {
        let text = json!(["null", "string"]);
        let name = json!({"type": "record", "name": "PersonName", "fields": [{"name": "First", "type": text}, {"name": "Last", "type": text}]});
        let header = json!({"type": "record", "name": "H", "fields": []});
        let fields = json!([{"name": HEADER, "type": header}, {"name": "Phone", "type": text}, {"name": "Fax", "type": text},
            {"name": "Rating", "type": text}, {"name": "Name", "type": ["null", "string", name]}]);
        Type::parse(&json!({"type": "record", "name": "E", "fields": fields}).to_string()).unwrap()
    }

    fn header(lists: Json) -> Json {
        let mut header = json!({"entityName": "Contact", "recordIds": ["003A", "003B"], "changeType": "UPDATE", "commitTimestamp": 1_767_225_600_000_i64});
        header.as_object_mut().unwrap().extend(lists.as_object().unwrap().clone());
        header
    }

    #[test]
    fn bitmaps_become_names_also_of_parts() {
        let lists = json!({"changedFields": ["0x0A", "4-0x02"], "nulledFields": ["0x02"], "diffFields": ["0x0004"]});
        let event =
            json!({HEADER: header(lists), "Phone": null, "Fax": null, "Rating": "Hot", "Name": {"First": null, "Last": "Ray"}});
        let told = Json::Object(told(&schema(), event.as_object().unwrap().clone()).unwrap());
        assert_eq!(told["changed_fields"], json!(["Phone", "Rating", "Name.Last"]));
        assert_eq!((&told["nulled_fields"], &told["diff_fields"]), (&json!(["Phone"]), &json!(["Fax"])));
        assert_eq!(told["fields"], json!({"Phone": null, "Rating": "Hot", "Name": {"Last": "Ray"}}));
        assert_eq!((&told["record_id"], &told["committed_at"]), (&json!("003A"), &json!("2026-01-01T00:00:00Z")));
        assert_eq!(told["gap"], false);
    }

    #[test]
    fn strange_lists_name_what_they_can_and_nothing_else() {
        let schema = schema();
        for (list, wanted) in [
            (json!(["Phone", "Fax"]), vec!["Phone", "Fax"]),
            (json!(["9-0x01", "x-0x01", "0xZZ", "1-0x01"]), vec![]),
            (json!(["0xFFFFFFFFFFFFFFFFFF"]), vec![HEADER, "Phone", "Fax", "Rating", "Name"]),
            (json!([4, null]), vec![]),
            (Json::Null, vec![]),
        ] {
            assert_eq!(names(&schema, Some(&list)), wanted, "{list}");
        }
    }

    #[test]
    fn our_own_writes_are_known_by_their_name() {
        assert!(own("com/salesforce/api/rest/62.0;client=liaison"));
        assert!(!own("com/salesforce/api/rest/62.0;client=liaison2") && !own("com/salesforce/ui"));
    }
}
