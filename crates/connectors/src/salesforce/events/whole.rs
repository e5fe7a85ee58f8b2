//! Whole records for changes that tell only what changed.

use connector::{Cx, ErrorClass, Occurrence, StepError};
use http::Method;
use serde_json::{Value as Json, json};

use crate::salesforce::{
    api::{Api, bare},
    describe::{Known, plain_fields},
};

/// Records of one call: with all their fields they fit into an answer. Salesforce takes ten times as many.
const READ_MAX: usize = 200;

/// Puts the records as they are now beside the events of changes: what was deleted in between is told as gone.
pub(super) async fn fill(known: &Known, cx: &Cx, events: &mut [Occurrence]) -> Result<(), StepError> {
    let mut wanted: Vec<(String, Vec<String>)> = Vec::new();
    for event in events.iter() {
        let Some(object) = event.data["object"].as_str() else { continue };
        let place = wanted.iter().position(|(known, _)| known == object).unwrap_or_else(|| {
            wanted.push((object.to_owned(), Vec::new()));
            wanted.len() - 1
        });
        wanted[place].1.extend(ids(event).map(str::to_owned));
    }
    let api = Api::of(cx)?;
    let mut found = std::collections::HashMap::new();
    for (object, mut ids) in wanted {
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            continue;
        }
        for ids in ids.chunks(READ_MAX) {
            match read(known, &api, &object, ids).await {
                Ok(records) => found.extend(ids.iter().cloned().zip(records.into_iter().map(Ok))),
                // What cannot be read is told, and does not hold up the others.
                Err(error) if matches!(error.class, ErrorClass::Denied | ErrorClass::NotFound | ErrorClass::Invalid) => {
                    known.forget(&api, &object);
                    let why = json!({ "code": error.code, "message": error.message });
                    found.extend(ids.iter().cloned().map(|id| (id, Err(why.clone()))));
                }
                Err(error) => return Err(error),
            }
        }
    }
    for event in events {
        let records = ids(event).map(|id| match found.get(id) {
            Some(Ok(record)) if !record.is_null() => json!({ "id": id, "gone": false, "record": bare(record.clone()) }),
            Some(Err(why)) => json!({ "id": id, "gone": false, "record": null, "error": why }),
            _ => json!({ "id": id, "gone": true, "record": null }),
        });
        event.data["records"] = records.collect();
    }
    Ok(())
}

async fn read(known: &Known, api: &Api<'_>, object: &str, ids: &[String]) -> Result<Vec<Json>, StepError> {
    let fields = plain_fields(&*known.described(api, object).await?);
    let call = api.call(Method::POST, api.url(&["composite", "sobjects", object]));
    let answer = api.send(call.json(&json!({ "ids": ids, "fields": fields }))).await?;
    match answer.json()? {
        Json::Array(records) if records.len() == ids.len() => Ok(records),
        _ => Err(answer.unreadable("it does not tell of each record")),
    }
}

/// The records a change is about. One that tells only of a gap of unknown size names none that exists.
fn ids(event: &Occurrence) -> impl Iterator<Item = &str> {
    let named = event.data["change_type"] != "GAP_OVERFLOW";
    event.data["record_ids"].as_array().into_iter().flatten().filter_map(Json::as_str).filter(move |_| named)
}
