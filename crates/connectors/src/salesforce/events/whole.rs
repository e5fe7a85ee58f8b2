//! Whole records for changes that tell only what changed.

use connector::{Cx, Occurrence, StepError};
use http::Method;
use serde_json::{Value as Json, json};

use crate::salesforce::{
    api::{Api, bare},
    describe::{Known, plain_fields},
};

/// Records of one call; Salesforce takes no more.
const READ_MAX: usize = 2_000;

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
        let fields = plain_fields(&*known.described(&api, &object).await?);
        for ids in ids.chunks(READ_MAX) {
            let call = api.call(Method::POST, api.url(&["composite", "sobjects", &object]));
            let answer = api.send(call.json(&json!({ "ids": ids, "fields": fields }))).await?;
            let body = answer.json()?;
            let records = body.as_array().filter(|records| records.len() == ids.len());
            let records = records.ok_or_else(|| answer.unreadable("it does not tell of each record"))?;
            found.extend(ids.iter().cloned().zip(records.iter().cloned()));
        }
    }
    for event in events {
        let records = ids(event).map(|id| match found.get(id) {
            Some(record) if !record.is_null() => json!({ "id": id, "gone": false, "record": bare(record.clone()) }),
            _ => json!({ "id": id, "gone": true, "record": null }),
        });
        event.data["records"] = records.collect();
    }
    Ok(())
}

/// The records a change is about. One that tells only of a gap of unknown size names none that exists.
fn ids(event: &Occurrence) -> impl Iterator<Item = &str> {
    let named = event.data["change_type"] != "GAP_OVERFLOW";
    event.data["record_ids"].as_array().into_iter().flatten().filter_map(Json::as_str).filter(move |_| named)
}
