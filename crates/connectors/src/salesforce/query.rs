//! Searching: typed filters, SOQL, SOSL, related records.

use connector::{Action, Cx, Doubt, Page, Shaped, StepError, api::Answer, whole};
use serde_json::{Value as Json, json};

use super::{
    api::{Api, bare, flag, invalid, text},
    filter::{SOQL_CHARS_MAX, bound, conditions, name, quoted, schema},
    id_input, input, object_input,
};

/// Records a search holds at once.
const RECORDS_MAX: usize = 10_000;
/// Records of a page.
const PAGE: u64 = 1_000;
/// Pages of one list of children.
const CHILD_PAGES_MAX: usize = 500;
const BATCH: ::http::HeaderName = ::http::HeaderName::from_static("sforce-query-options");

pub(super) fn actions() -> Vec<Action> {
    let records = json!({"type": "object", "additionalProperties": false, "required": ["total_size", "records"], "properties": {"records": {"type": "array", "items": {"type": "object"}}, "total_size": {"type": "integer", "description": "How many there are in this answer."}}});
    let sample = json!({"records": [{"Id": "001xx000003DGb1AAG", "Name": "Acme"}], "total_size": 1});
    let deleted = json!({"type": "boolean", "default": false, "title": "Deleted ones too", "description": "Also sees records in the recycle bin."});
    let params = json!({"type": "object", "title": "Values", "additionalProperties": true, "description": "What stands for :name; texts are quoted, dates are given as {\"date\": \"2026-01-02\"} or {\"datetime\": …}."});
    let limit = json!({"type": "integer", "minimum": 1, "title": "At most"});
    vec![
        Action::new("search", "Search records", "Finds records of an object by a filter.", |cx, given| async move { all(cx, given).await })
            .reads()
            .input(input(json!({"object": object_input(), "fields": {"type": "array", "items": {"type": "string"}, "title": "Fields", "description": "Id and name when left out; through parents: Account.Name."},
                "filter": schema(), "where": {"type": "string", "title": "Condition in SOQL", "x-syntax": "soql", "description": "More conditions; values are put in as :name."}, "params": params,
                "order_by": {"type": "string", "title": "Order", "description": "Such as CreatedDate DESC, Name. Without an order records come by id, and a long search goes on even when the session changes."},
                "limit": limit, "deleted": deleted}), &["object"]))
            .output(records.clone())
            .sample(sample.clone())
            .shaped(Shaped::by("object").names(&["fields", "filter[].field"]).gives("records[]"))
            .pages(page),
        Action::new("query", "Query by SOQL", "Asks with a SOQL query of your own.", |cx, given| async move { all(cx, given).await })
            .reads()
            .input(input(json!({"soql": {"type": "string", "title": "SOQL", "maxLength": SOQL_CHARS_MAX, "x-syntax": "soql", "description": "Values are put in as :name, never by joining texts."}, "params": params, "deleted": deleted}), &["soql"]))
            .output(records.clone())
            .sample(sample.clone())
            .pages(page),
        Action::new("search_sosl", "Search by words", "Finds records of several objects that hold words, in any field.", sosl)
            .reads()
            .input(input(json!({"text": {"type": "string", "minLength": 2, "title": "Words"},
                "objects": {"type": "array", "minItems": 1, "maxItems": 20, "title": "Objects", "items": {"type": "object", "required": ["object"], "additionalProperties": false, "properties": {"object": object_input(), "fields": {"type": "array", "items": {"type": "string"}, "title": "Fields"}, "limit": {"type": "integer", "minimum": 1, "maximum": 2000, "title": "At most"}}}},
                "in": {"type": "string", "enum": ["ALL", "NAME", "EMAIL", "PHONE"], "default": "ALL", "title": "In fields"}}), &["text", "objects"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["records"], "properties": {"records": {"type": "array", "items": {"type": "object"}}}}))
            .sample(json!({"records": [{"object": "Account", "Id": "001xx000003DGb1AAG", "Name": "Acme"}]})),
        Action::new("get_related_records", "Get related records", "Reads the records of one of a record's lists, such as the contacts of an account.", related)
            .reads()
            .input(input(json!({"object": object_input(), "id": id_input(), "list": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*$", "title": "List", "description": "The child relationship: Contacts, or Invoices__r for one of your own."},
                "fields": {"type": "array", "items": {"type": "string"}, "title": "Fields", "description": "Id when left out."}, "limit": limit}), &["object", "id", "list"]))
            .output(records)
            .sample(sample),
    ]
}

async fn all(cx: Cx, given: Json) -> Result<Json, StepError> {
    let records = whole(RECORDS_MAX, |cursor| page(cx.clone(), given.clone(), cursor)).await?;
    Ok(json!({ "total_size": records.len(), "records": records }))
}

/// One page of a search.
async fn page(cx: Cx, given: Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let api = Api::of(&cx)?;
    let what = if flag(&given, "deleted") { "queryAll" } else { "query" };
    if let Some(next) = cursor.as_ref().and_then(|cursor| cursor["next"].as_str()) {
        return onward(&api, next).await;
    }
    let own = text(&given, "soql");
    if !own.is_empty() {
        return records(&api, &ask(&api, what, &bound(own, given.get("params"))?).await?, None).await;
    }
    let after = cursor.as_ref().and_then(|cursor| cursor["after"].as_str());
    let limit = given.get("limit").and_then(Json::as_u64);
    let left = cursor.as_ref().and_then(|cursor| cursor["left"].as_u64()).or(limit);
    let order = text(&given, "order_by");
    let size = left.unwrap_or(PAGE).min(PAGE);
    let soql = composed(&given, after, if order.is_empty() { Some(size) } else { limit })?;
    let mut page = records(&api, &ask(&api, what, &soql).await?, order.is_empty().then_some(())).await?;
    if order.is_empty() {
        let got = page.items.len() as u64;
        let left = left.map(|left| left.saturating_sub(got));
        let last = page.items.last().and_then(|record| record["Id"].as_str()).map(str::to_owned);
        page.next = last.filter(|_| got >= size && left != Some(0)).map(|last| json!({ "after": last, "left": left }));
    }
    Ok(page)
}

/// The query of a typed search. Without an order it walks by id, which no lost cursor can break.
fn composed(given: &Json, after: Option<&str>, limit: Option<u64>) -> Result<String, StepError> {
    let object = name(text(given, "object"))?;
    let mut fields: Vec<&str> = given
        .get("fields")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .map(name)
        .collect::<Result<_, _>>()?;
    if !fields.iter().any(|field| field.eq_ignore_ascii_case("id")) {
        fields.insert(0, "Id");
    }
    let mut all = conditions(given)?;
    all.extend(after.map(|id| format!("Id > {}", quoted(id))));
    let filter = if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) };
    let order = match text(given, "order_by") {
        "" => "Id".to_owned(),
        order => ordered(order)?,
    };
    let limit = limit.map_or_else(String::new, |limit| format!(" LIMIT {limit}"));
    Ok(format!("SELECT {} FROM {object}{filter} ORDER BY {order}{limit}", fields.join(",")))
}

/// `CreatedDate DESC NULLS LAST, Name`, each word checked.
fn ordered(order: &str) -> Result<String, StepError> {
    let parts = order.split(',').map(|part| {
        let mut words = part.split_whitespace();
        let field = name(words.next().unwrap_or_default())?;
        let rest: Vec<String> = words.map(str::to_uppercase).collect();
        let good = matches!(
            rest.iter().map(String::as_str).collect::<Vec<_>>()[..],
            [] | ["ASC" | "DESC"] | ["NULLS", "FIRST" | "LAST"] | ["ASC" | "DESC", "NULLS", "FIRST" | "LAST"]
        );
        if good {
            Ok(format!("{field} {}", rest.join(" ")).trim_end().to_owned())
        } else {
            Err(invalid("INPUT_INVALID", format!("\"{part}\" is no order"), "Write a field, then ASC or DESC."))
        }
    });
    Ok(parts.collect::<Result<Vec<_>, _>>()?.join(", "))
}

/// Refuses a query that does not fit into an address, where most signs are written as three.
pub(super) fn fits(soql: &str) -> Result<(), StepError> {
    let sent: usize = url::form_urlencoded::byte_serialize(soql.as_bytes()).map(str::len).sum();
    if sent > SOQL_CHARS_MAX {
        return Err(invalid(
            "QUERY_TOO_LONG",
            format!("the query has {sent} characters as it is sent in an address; at most {SOQL_CHARS_MAX} can be asked"),
            "Ask for fewer fields or values.",
        ));
    }
    Ok(())
}

/// The next page of a query, at the address Salesforce named.
pub(super) async fn onward(api: &Api<'_>, next: &str) -> Result<Page, StepError> {
    let answer = api.send(api.call(::http::Method::GET, api.named_url(next)?)).await?;
    let page = records(api, &answer, None).await?;
    match page.next.as_ref().is_some_and(|further| further["next"] == next) {
        true => Err(answer.unreadable("its pages do not go on")),
        false => Ok(page),
    }
}

pub(super) async fn ask(api: &Api<'_>, what: &str, soql: &str) -> Result<Answer, StepError> {
    fits(soql)?;
    api.send(api.get(&[what]).query([("q", soql)]).header(BATCH, "batchSize=2000")).await
}

/// The records of an answer; `walks` when no cursor of Salesforce's own is wanted.
pub(super) async fn records(api: &Api<'_>, answer: &Answer, walks: Option<()>) -> Result<Page, StepError> {
    // A query changes nothing, whatever becomes of it.
    let unreadable = |why: &str| StepError { doubt: Doubt::Settled, ..answer.unreadable(why) };
    let mut body = answer.json().map_err(|error| StepError { doubt: Doubt::Settled, ..error })?;
    let Some(Json::Array(list)) = body.get_mut("records").map(Json::take) else {
        return Err(unreadable("it holds no records"));
    };
    let mut items = Vec::with_capacity(list.len());
    for mut record in list {
        complete(api, &mut record).await?;
        items.push(bare(record));
    }
    // `SELECT COUNT()` answers with a number alone.
    if items.is_empty() && body["done"] == true && body["totalSize"].as_u64().is_some_and(|total| total > 0) {
        items.push(json!({ "count": body["totalSize"] }));
    }
    let next = body["nextRecordsUrl"].as_str().filter(|_| walks.is_none()).map(|next| json!({ "next": next }));
    if next.is_some() && items.is_empty() {
        return Err(unreadable("it promises more records and gives none"));
    }
    Ok(Page { items, next })
}

/// Fetches what is missing of a record's lists of children.
async fn complete(api: &Api<'_>, record: &mut Json) -> Result<(), StepError> {
    for list in record.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        let mut next = list["nextRecordsUrl"].as_str().map(str::to_owned);
        let mut pages = 0;
        while let Some(url) = next {
            pages += 1;
            if pages > CHILD_PAGES_MAX {
                return Err(invalid(
                    "TOO_MANY_ITEMS",
                    "a record has more children than can be held at once",
                    "Search the children by themselves.",
                ));
            }
            let answer = api.send(api.call(::http::Method::GET, api.named_url(&url)?)).await?;
            let mut more = answer.json()?;
            next = more["nextRecordsUrl"].as_str().map(str::to_owned);
            if next.as_ref() == Some(&url) {
                return Err(answer.unreadable("its pages do not go on"));
            }
            if let (Json::Array(known), Json::Array(found)) = (&mut list["records"], more["records"].take()) {
                known.extend(found);
            }
        }
    }
    Ok(())
}

async fn sosl(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let reserved = |letter: char| "?&|!{}[]()^~*:\\\"'+-".contains(letter);
    let words: String = text(&given, "text")
        .chars()
        .flat_map(|letter| if reserved(letter) { vec!['\\', letter] } else { vec![letter] })
        .collect();
    let mut returning = Vec::new();
    for one in given["objects"].as_array().into_iter().flatten() {
        let object = name(text(one, "object"))?;
        let mut fields: Vec<&str> =
            one["fields"].as_array().into_iter().flatten().filter_map(Json::as_str).map(name).collect::<Result<_, _>>()?;
        if !fields.contains(&"Id") {
            fields.insert(0, "Id");
        }
        let limit = one["limit"].as_u64().map_or_else(String::new, |limit| format!(" LIMIT {limit}"));
        returning.push(format!("{object}({}{limit})", fields.join(",")));
    }
    let only = given.get("in").and_then(Json::as_str).unwrap_or("ALL");
    let sosl = format!("FIND {{{words}}} IN {only} FIELDS RETURNING {}", returning.join(","));
    let body = api.json(api.get(&["search"]).query([("q", sosl)])).await?;
    let found = body["searchRecords"].as_array().cloned().unwrap_or_default();
    let records: Vec<Json> = found
        .into_iter()
        .map(|record| {
            let object = record["attributes"]["type"].clone();
            let mut record = bare(record);
            record["object"] = object;
            record
        })
        .collect();
    Ok(json!({ "records": records }))
}

async fn related(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let mut fields: Vec<&str> = given
        .get("fields")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .map(name)
        .collect::<Result<_, _>>()?;
    if !fields.contains(&"Id") {
        fields.insert(0, "Id");
    }
    let limit = given.get("limit").and_then(Json::as_u64).map_or_else(String::new, |limit| format!(" LIMIT {limit}"));
    let (object, list, id) = (name(text(&given, "object"))?, name(text(&given, "list"))?, quoted(text(&given, "id")));
    let soql = format!("SELECT Id, (SELECT {} FROM {list}{limit}) FROM {object} WHERE Id = {id}", fields.join(","));
    let found = records(&api, &ask(&api, "query", &soql).await?, None).await?;
    let parent = found.items.into_iter().next().ok_or_else(|| {
        StepError::new(connector::ErrorClass::NotFound, "NOT_FOUND", format!("Salesforce finds no {object} with this id"))
            .with_next("Check the id; the record may have been deleted.")
    })?;
    let records = match &parent[list] {
        Json::Array(records) => records.clone(),
        _ => Vec::new(),
    };
    Ok(json!({ "total_size": records.len(), "records": records }))
}
