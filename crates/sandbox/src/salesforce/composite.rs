//! Several calls in one: composite, batch, graphs.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value as Json, json};
use url::form_urlencoded;

use super::{
    answer::{Answer, Content},
    errors::{Outcome, Trouble},
    org::Org,
    rest::{Call, decoded},
    system::System,
};

/// Calls in a composite and in a batch.
const CALLS_MAX: usize = 25;
/// Those of them that query or are collections.
const HEAVY_MAX: usize = 5;
/// Calls in all graphs of a call, and graphs.
const NODES_MAX: usize = 500;
const GRAPHS_MAX: usize = 75;

/// A part of a composite call.
struct Part {
    method: Method,
    url: String,
    id: String,
    body: Option<Json>,
    headers: Map<String, Json>,
}

/// What became of a part.
struct Done {
    id: String,
    answer: Answer,
}

impl Done {
    fn failed(&self) -> bool {
        self.answer.status >= 400
    }

    fn body(&self) -> Json {
        match &self.answer.content {
            Content::Json(body) => body.clone(),
            Content::None => Json::Null,
            Content::Bytes(bytes, _) => json!(String::from_utf8_lossy(bytes)),
        }
    }

    fn json(&self) -> Json {
        let headers: Map<String, Json> =
            self.answer.headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({ "body": self.body(), "httpHeaders": headers, "httpStatusCode": self.answer.status, "referenceId": self.id })
    }
}

fn halted(words: &str) -> Answer {
    Answer::trouble(&Trouble::bad("PROCESSING_HALTED", words.to_owned()))
}

impl System {
    pub(super) fn composite(&self, org: &mut Org, call: &Call) -> Outcome<Answer> {
        if call.method == Method::GET {
            let resources = ["sobjects", "batch", "tree", "graph"];
            let map: Map<String, Json> =
                resources.iter().map(|name| ((*name).to_owned(), json!(call.address(&format!("composite/{name}"))))).collect();
            return Ok(Answer::ok(Json::Object(map)));
        }
        let body = call.object()?;
        let parts = parts(&body, "compositeRequest", CALLS_MAX)?;
        let heavy = |part: &Part| part.url.contains("/query") || part.url.contains("/composite/sobjects");
        if parts.iter().filter(|part| heavy(part)).count() > HEAVY_MAX {
            return Err(Trouble::bad(
                "EXCEEDED_MAX_SEMIJOIN_SUBSELECTS",
                format!("At most {HEAVY_MAX} subrequests may be query or sObject collection operations"),
            ));
        }
        let all_or_none = body.get("allOrNone").and_then(Json::as_bool).unwrap_or(false);
        let done = self.play(org, call, parts, all_or_none);
        Ok(Answer::ok(json!({ "compositeResponse": done.iter().map(Done::json).collect::<Vec<_>>() })))
    }

    pub(super) fn graph(&self, org: &mut Org, call: &Call) -> Outcome<Answer> {
        let body = call.object()?;
        let graphs = body.get("graphs").and_then(Json::as_array).ok_or_else(|| Trouble::json("graphs is required"))?;
        let nodes: usize = graphs.iter().filter_map(|graph| graph["compositeRequest"].as_array()).map(Vec::len).sum();
        if graphs.len() > GRAPHS_MAX || nodes > NODES_MAX {
            return Err(Trouble::bad("LIMIT_EXCEEDED", format!("A call may have {GRAPHS_MAX} graphs and {NODES_MAX} nodes")));
        }
        let mut out = Vec::new();
        for graph in graphs {
            let fields = graph.as_object().ok_or_else(|| Trouble::json("a graph is an object"))?;
            let done = self.play(org, call, parts(fields, "compositeRequest", NODES_MAX)?, true);
            let good = !done.iter().any(Done::failed);
            out.push(json!({
                "graphId": graph["graphId"], "isSuccessful": good,
                "graphResponse": { "compositeResponse": done.iter().map(Done::json).collect::<Vec<_>>() },
            }));
        }
        Ok(Answer::ok(json!({ "graphs": out })))
    }

    /// Does the parts one after the other; what they name of each other is filled in.
    fn play(&self, org: &mut Org, call: &Call, parts: Vec<Part>, all_or_none: bool) -> Vec<Done> {
        let start = org.mark();
        let mut done: Vec<Done> = Vec::new();
        let mut known: HashMap<String, (bool, Json)> = HashMap::new();
        for part in parts {
            let id = part.id.clone();
            let mark = org.mark();
            let answer = match filled(part, &known) {
                Err(answer) => answer,
                Ok(part) => match self.part(org, call, part) {
                    Ok(answer) => answer,
                    Err(trouble) => {
                        org.roll_back(mark);
                        Answer::trouble(&trouble)
                    }
                },
            };
            let one = Done { id: id.clone(), answer };
            known.insert(id, (one.failed(), one.body()));
            let failed = one.failed();
            done.push(one);
            if failed && all_or_none {
                // The others are not looked at: their answers are written below.
                known.clear();
            }
        }
        if all_or_none && done.iter().any(Done::failed) {
            org.roll_back(start);
            let first = done.iter().position(Done::failed).unwrap_or_default();
            for (place, one) in done.iter_mut().enumerate() {
                if place != first {
                    one.answer =
                        halted("The transaction was rolled back since another operation in the same transaction failed.");
                }
            }
        }
        done
    }

    fn part(&self, org: &mut Org, call: &Call, part: Part) -> Outcome<Answer> {
        let rest = part.url.trim_start_matches('/');
        let rest = rest.strip_prefix("services/data/").unwrap_or(rest);
        let inner = inner(call, part.method, rest, part.body, &part.headers)?;
        if matches!(inner.path.first().map(String::as_str), Some("jobs"))
            || inner.path.first().map(String::as_str) == Some("composite")
                && inner.path.get(1).is_none_or(|name| name != "sobjects" && name != "tree")
        {
            return Err(Trouble::bad("INVALID_SUBREQUEST", "This resource is not supported in a composite request"));
        }
        self.dispatch(org, &inner)
    }

    pub(super) fn batch(&self, org: &mut Org, call: &Call) -> Outcome<Answer> {
        let body = call.object()?;
        let list =
            body.get("batchRequests").and_then(Json::as_array).ok_or_else(|| Trouble::json("batchRequests is required"))?;
        if list.len() > CALLS_MAX {
            return Err(Trouble::bad("LIMIT_EXCEEDED", format!("A batch may have at most {CALLS_MAX} subrequests")));
        }
        let halt = body.get("haltOnError").and_then(Json::as_bool).unwrap_or(false);
        let (mut results, mut failed) = (Vec::new(), false);
        for one in list {
            if failed && halt {
                let trouble = Trouble::new(412, "BATCH_PROCESSING_HALTED", "Batch processing halted per request");
                results.push(json!({ "statusCode": 412, "result": [trouble.top()] }));
                continue;
            }
            self.count(1);
            let mark = org.mark();
            let answer = self.batch_part(org, call, one).unwrap_or_else(|trouble| {
                org.roll_back(mark);
                Answer::trouble(&trouble)
            });
            failed |= answer.status >= 400;
            let done = Done { id: String::new(), answer };
            results.push(json!({ "statusCode": done.answer.status, "result": done.body() }));
        }
        Ok(Answer::ok(json!({ "hasErrors": failed, "results": results })))
    }

    fn batch_part(&self, org: &mut Org, call: &Call, one: &Json) -> Outcome<Answer> {
        let method = one["method"].as_str().and_then(|method| method.parse().ok()).unwrap_or(Method::GET);
        let url = one["url"].as_str().unwrap_or_default();
        let rest = url.trim_start_matches('/');
        let rest = rest.strip_prefix("services/data/").unwrap_or(rest);
        let inner = inner(call, method, rest, one.get("richInput").cloned(), &Map::new())?;
        if matches!(inner.path.first().map(String::as_str), Some("composite" | "jobs")) {
            return Err(Trouble::bad("INVALID_SUBREQUEST", "This resource is not supported in a batch"));
        }
        self.dispatch(org, &inner)
    }
}

fn parts(body: &Map<String, Json>, name: &str, most: usize) -> Outcome<Vec<Part>> {
    let list = body.get(name).and_then(Json::as_array).ok_or_else(|| Trouble::json(format_args!("{name} is required")))?;
    if list.len() > most {
        return Err(Trouble::bad("LIMIT_EXCEEDED", format!("The number of subrequests exceeds the limit of {most}")));
    }
    let mut ids = std::collections::HashSet::new();
    list.iter()
        .map(|one| {
            let id = one["referenceId"].as_str().unwrap_or_default().to_owned();
            let good = id.chars().next().is_some_and(|first| first.is_ascii_alphanumeric())
                && id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
            if !good {
                return Err(Trouble::bad("INVALID_REFERENCE_ID", format!("Provided referenceId ('{id}') must start with a letter or a number, and it can contain only letters, numbers and underscores ('_').")));
            }
            if !ids.insert(id.clone()) {
                return Err(Trouble::bad("INVALID_REFERENCE_ID", format!("Duplicate referenceId provided: {id}")));
            }
            let method = one["method"].as_str().and_then(|method| method.parse().ok());
            let method = method.ok_or_else(|| Trouble::bad("INVALID_HTTP_METHOD", "A subrequest needs a method"))?;
            let url = one["url"].as_str().ok_or_else(|| Trouble::json("url is required"))?.to_owned();
            let headers = one["httpHeaders"].as_object().cloned().unwrap_or_default();
            Ok(Part { method, url, id, body: one.get("body").filter(|body| !body.is_null()).cloned(), headers })
        })
        .collect()
}

fn inner(call: &Call, method: Method, rest: &str, given: Option<Json>, more: &Map<String, Json>) -> Outcome<Call> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut names = path.split('/').filter(|part| !part.is_empty()).map(decoded);
    let version = names.next().and_then(|version| version.strip_prefix('v').map(str::to_owned));
    let version = version.ok_or_else(Trouble::not_found)?;
    let mut headers = HeaderMap::new();
    for name in ["sforce-call-options", "sforce-duplicate-rule-header", "sforce-query-options"] {
        if let Some(value) = call.headers.get(name) {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
    for (name, value) in more {
        if let (Ok(name), Some(Ok(value))) = (name.parse::<HeaderName>(), value.as_str().map(HeaderValue::from_str)) {
            headers.insert(name, value);
        }
    }
    Ok(Call {
        method,
        version,
        path: names.collect(),
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers,
        body: bytes::Bytes::new(),
        given,
        parts: Vec::new(),
        user: call.user.clone(),
        session: call.session.clone(),
    })
}

/// The part with `@{id.path}` replaced by what earlier parts answered.
fn filled(part: Part, known: &HashMap<String, (bool, Json)>) -> Result<Part, Answer> {
    let url = replaced(&part.url, known)?;
    let body = part.body.map(|body| filled_json(body, known)).transpose()?;
    Ok(Part { url, body, ..part })
}

fn filled_json(value: Json, known: &HashMap<String, (bool, Json)>) -> Result<Json, Answer> {
    Ok(match value {
        Json::String(text) => {
            // A text that is nothing but a reference becomes what it names, of whatever type.
            let whole = text.strip_prefix("@{").and_then(|rest| rest.strip_suffix('}')).filter(|inner| !inner.contains('}'));
            match whole {
                Some(reference) => resolved(reference, known)?,
                None => Json::String(replaced(&text, known)?),
            }
        }
        Json::Array(list) => Json::Array(list.into_iter().map(|one| filled_json(one, known)).collect::<Result<_, _>>()?),
        Json::Object(map) => Json::Object(
            map.into_iter().map(|(name, value)| Ok((name, filled_json(value, known)?))).collect::<Result<_, Answer>>()?,
        ),
        other => other,
    })
}

fn replaced(text: &str, known: &HashMap<String, (bool, Json)>) -> Result<String, Answer> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("@{") {
        let Some((reference, after)) = after.split_once('}') else { break };
        out.push_str(before);
        match resolved(reference, known)? {
            Json::String(text) => out.push_str(&text),
            other => out.push_str(&other.to_string()),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn resolved(reference: &str, known: &HashMap<String, (bool, Json)>) -> Result<Json, Answer> {
    let wrong = || halted(&format!("Invalid reference specified. No value for {reference} found"));
    let (id, path) = reference.split_once(['.', '[']).map_or((reference, ""), |(id, _)| (id, &reference[id.len()..]));
    let (failed, body) = known.get(id).ok_or_else(wrong)?;
    if *failed {
        return Err(halted(&format!("The {id} subrequest that this one depends on failed.")));
    }
    let mut at = body;
    for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
        at = match step.strip_suffix(']') {
            Some(place) => place.parse::<usize>().ok().and_then(|place| at.get(place)),
            None => at.get(step),
        }
        .ok_or_else(wrong)?;
    }
    Ok(at.clone())
}
