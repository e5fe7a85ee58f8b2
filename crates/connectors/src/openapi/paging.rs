//! Pages, where a description leaves no doubt about them.

use serde_json::{Map, Value as Json, json};

use super::document::Document;

/// Names of a cursor in answers, and of the value that carries it in the next call.
const CURSORS: [(&str, &[&str]); 6] = [
    ("next_cursor", &["cursor", "next_cursor"]),
    ("nextCursor", &["cursor", "nextCursor"]),
    ("next_page_token", &["page_token", "next_page_token"]),
    ("nextPageToken", &["pageToken", "nextPageToken"]),
    ("continuation_token", &["continuation_token"]),
    ("continuationToken", &["continuationToken"]),
];

/// How an operation is walked, the schema of one item, and the query values the walk sets by itself.
pub(super) struct Found<'d> {
    pub(super) paginate: Json,
    pub(super) item: &'d Json,
    pub(super) sets: Vec<&'static str>,
}

/// The walk of a reading operation with these query values and this answer.
pub(super) fn find<'d>(document: &'d Document<'d>, query: &[&str], answer: &'d Json, schema: &'d Json) -> Option<Found<'d>> {
    let schema = document.meant(schema);
    if schema.get("type").and_then(Json::as_str) == Some("array") {
        let link = answer.get("headers").and_then(Json::as_object)?.keys().any(|name| name.eq_ignore_ascii_case("link"));
        let item = schema.get("items")?;
        return link.then(|| Found { paginate: json!("link"), item, sets: vec!["page"] });
    }
    let properties = schema.get("properties").and_then(Json::as_object)?;
    let (list, item) = only_list(document, properties)?;
    let is = |name: &str, kind: &str| {
        properties.get(name).is_some_and(|p| document.meant(p).get("type").and_then(Json::as_str) == Some(kind))
    };
    if query.contains(&"starting_after") && list == "data" && is("has_more", "boolean") && has_id(document, item) {
        let paginate =
            json!({"kind": "cursor", "items": list, "next": "data.-1.id", "more": "has_more", "param": "starting_after"});
        return Some(Found { paginate, item, sets: vec!["starting_after", "ending_before"] });
    }
    for (next, params) in CURSORS {
        if let Some(param) = params.iter().find(|param| query.contains(param))
            && properties.contains_key(next)
        {
            return Some(Found {
                paginate: json!({"kind": "cursor", "items": list, "next": next, "param": param}),
                item,
                sets: vec![param],
            });
        }
    }
    if list == "value" && properties.contains_key("@odata.nextLink") {
        // The name holds a dot, so the place is a JSON pointer.
        return Some(Found {
            paginate: json!({"kind": "next_url", "items": list, "next": "/@odata.nextLink"}),
            item,
            sets: Vec::new(),
        });
    }
    let counted = ["total", "total_count", "totalCount"].iter().any(|name| is(name, "integer"));
    if counted && query.contains(&"offset") && query.contains(&"limit") {
        return Some(Found { paginate: json!({"kind": "offset", "items": list, "param": "offset"}), item, sets: vec!["offset"] });
    }
    None
}

/// The list of an answer, when it has exactly one.
fn only_list<'d>(document: &'d Document<'d>, properties: &'d Map<String, Json>) -> Option<(&'d str, &'d Json)> {
    let mut lists = properties.iter().filter_map(|(name, property)| {
        let property = document.meant(property);
        (property.get("type").and_then(Json::as_str) == Some("array")).then(|| Some((name.as_str(), property.get("items")?)))?
    });
    let first = lists.next()?;
    lists.next().is_none().then_some(first)
}

fn has_id(document: &Document<'_>, item: &Json) -> bool {
    let one = |schema: &Json| schema.pointer("/properties/id").is_some();
    let Some(target) = item.get("$ref").and_then(Json::as_str) else {
        let ways = item.get("anyOf").or_else(|| item.get("oneOf")).and_then(Json::as_array);
        return one(item) || ways.is_some_and(|ways| !ways.is_empty() && ways.iter().all(|way| has_id(document, way)));
    };
    document.target(target).is_some_and(one)
}
