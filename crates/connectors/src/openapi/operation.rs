//! One operation as an action.

use std::collections::HashSet;

use serde_json::{Map, Value as Json, json};

use super::{
    auth::Key,
    document::Document,
    identifier, paging,
    schema::{Inliner, Side},
    sentence, words,
};

/// Inputs one action has.
const INPUTS_MAX: usize = 400;
/// Headers that the connection or the body sets, whatever the connection signs in with.
const OWN_HEADERS: [&str; 6] = ["accept", "content-type", "authorization", "content-length", "host", "user-agent"];

/// An action while it is made.
#[derive(Default)]
struct Made {
    inputs: Map<String, Json>,
    path: Vec<(String, String)>,
    query: Map<String, Json>,
    headers: Map<String, Json>,
    body: Option<(&'static str, Json)>,
    rest: Option<&'static str>,
    lists: Option<&'static str>,
    keyed: bool,
}

/// The action of an operation, or why there is none.
pub(super) fn action(
    document: &Document<'_>,
    path: &str,
    item: &Json,
    (method, operation): (&str, &Json),
    key: Option<&Key>,
    taken: &mut HashSet<String>,
    report: &mut Vec<(String, String)>,
) -> Result<Json, String> {
    let place = format!("{} {path}", method.to_uppercase());
    if ["options", "trace", "head"].contains(&method) {
        return Err(format!("nobody calls {method} in a recipe"));
    }
    if path.contains("..") || path.contains(['?', '#']) {
        return Err("its path holds a ? or # or dots that lead elsewhere".to_owned());
    }
    let mut made = Made::default();
    for parameter in parameters(document, item, operation) {
        if key.is_none_or(|key| !key.is(document, operation, parameter)) {
            made.parameter(document, parameter, &place, report)?;
        }
    }
    for name in path.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name)) {
        if !made.path.iter().any(|(known, _)| known == name) {
            made.placeholder(name, json!({"type": "string"}));
        }
    }
    made.body(document, operation, &place, report)?;
    if made.inputs.len() > INPUTS_MAX {
        return Err(format!("it has more than {INPUTS_MAX} inputs"));
    }
    let (answer, text) = answer(document, operation)?;
    let reads = method == "get";
    let effect = if reads {
        "none"
    } else if made.keyed || ["put", "delete"].contains(&method) {
        "idempotent"
    } else {
        "once"
    };
    let names: Vec<&str> = made.query.keys().map(String::as_str).collect();
    let schema = answer.and_then(|(_, schema)| schema);
    let found = match (reads && !text, answer, schema) {
        (true, Some((answer, _)), Some(schema)) => paging::find(document, &names, answer, schema),
        _ => None,
    };
    let sets = found.as_ref().map(|found| found.sets.clone()).unwrap_or_default();
    for name in &sets {
        if let Some(template) = made.query.shift_remove(*name) {
            let own = made.inputs.keys().find(|input| template.as_str() == Some(&read(input))).cloned();
            own.map(|own| made.inputs.shift_remove(&own));
        }
    }
    let id = id(path, method, operation, taken);
    let mut action = Map::new();
    let described = operation.get("summary").or_else(|| operation.get("description")).and_then(Json::as_str).unwrap_or_default();
    let summary = operation.get("description").or_else(|| operation.get("summary")).and_then(Json::as_str).unwrap_or_default();
    let title = Some(sentence(described, 80)).filter(|title| !title.is_empty()).unwrap_or_else(|| words(&id));
    let summary = Some(sentence(summary, 200)).filter(|text| !text.is_empty()).unwrap_or_else(|| format!("{place}."));
    action.insert("id".to_owned(), id.into());
    action.insert("title".to_owned(), title.trim_end_matches('.').into());
    action.insert("summary".to_owned(), summary.into());
    action.insert("effect".to_owned(), effect.into());
    if !reads {
        action.insert("method".to_owned(), method.to_uppercase().into());
    }
    action.insert("path".to_owned(), made.filled(path).into());
    made.write(&mut action);
    if text {
        action.insert("answer".to_owned(), "text".into());
        action.insert("output".to_owned(), json!({"type": "string"}));
    } else if let Some(schema) = found.as_ref().map(|found| found.item).or(schema) {
        let mut inliner = Inliner::new(document, Side::Output);
        action.insert("output".to_owned(), inliner.schema(schema));
    }
    if let Some(found) = found {
        action.insert("paginate".to_owned(), found.paginate);
    }
    Ok(Json::Object(action))
}

/// Those of the operation and of its path; the operation's win.
fn parameters<'d>(document: &Document<'d>, item: &'d Json, operation: &'d Json) -> Vec<&'d Json> {
    let list = |holder: &'d Json| {
        let list = holder.get("parameters").and_then(Json::as_array);
        list.into_iter().flatten().map(|parameter| document.meant(parameter)).collect::<Vec<_>>()
    };
    let own = list(operation);
    let same = |one: &Json, other: &Json| one.get("name") == other.get("name") && one.get("in") == other.get("in");
    let shared = list(item).into_iter().filter(|shared| !own.iter().any(|own| same(own, shared))).collect::<Vec<_>>();
    shared.into_iter().chain(own.iter().copied()).collect()
}

/// The formula that reads an input.
fn read(input: &str) -> String {
    format!("${{ input.{input} }}")
}

impl Made {
    /// A name for an input that nothing else has.
    fn name(&self, name: &str) -> String {
        let plain =
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && name.starts_with(|c: char| c.is_ascii_alphabetic());
        let own = if plain && name.len() <= 60 { name.to_owned() } else { identifier(name) };
        if !self.inputs.contains_key(&own) {
            return own;
        }
        (2..).map(|number| format!("{own}_{number}")).find(|name| !self.inputs.contains_key(name)).unwrap_or(own)
    }

    fn placeholder(&mut self, name: &str, schema: Json) {
        let own = self.name(name);
        self.inputs.insert(own.clone(), flagged(schema, true));
        self.path.push((name.to_owned(), own));
    }

    fn parameter(
        &mut self,
        document: &Document<'_>,
        parameter: &Json,
        place: &str,
        report: &mut Vec<(String, String)>,
    ) -> Result<(), String> {
        let (Some(name), Some(kind)) = (parameter["name"].as_str(), parameter["in"].as_str()) else {
            report.push((place.to_owned(), "a parameter without a name was left out".to_owned()));
            return Ok(());
        };
        let required = parameter["required"] == true;
        let mut inliner = Inliner::new(document, Side::Input);
        let mut schema = match parameter.get("schema") {
            Some(schema) => inliner.schema(schema),
            None => json!({}),
        };
        if schema.get("description").is_none()
            && let Some(text) = parameter["description"].as_str().map(|text| sentence(text, 160)).filter(|text| !text.is_empty())
        {
            schema["description"] = text.into();
        }
        match kind {
            "path" => self.placeholder(name, schema),
            "query" => {
                self.style(parameter, &schema, place, report);
                let own = self.add(name, schema, required);
                self.query.insert(name.to_owned(), read(&own).into());
            }
            "header" if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) => {}
            "header" if name.eq_ignore_ascii_case("idempotency-key") => {
                self.keyed = true;
                self.headers.insert(name.to_owned(), "${ call.key }".into());
            }
            "header" => {
                let own = self.add(name, schema, required);
                self.headers.insert(name.to_owned(), read(&own).into());
            }
            _ if required => return Err(format!("it needs the {kind} value \"{name}\", which is not sent")),
            _ => report.push((place.to_owned(), format!("the {kind} value \"{name}\" was left out"))),
        }
        Ok(())
    }

    fn add(&mut self, name: &str, schema: Json, required: bool) -> String {
        let own = self.name(name);
        self.inputs.insert(own.clone(), flagged(schema, required));
        own
    }

    /// How lists are written (OpenAPI's style and explode).
    fn style(&mut self, parameter: &Json, schema: &Json, place: &str, report: &mut Vec<(String, String)>) {
        if schema["type"] != "array" {
            return;
        }
        let lists = match (parameter["style"].as_str().unwrap_or("form"), parameter["explode"].as_bool()) {
            ("deepObject", _) => "indices",
            ("form", Some(false)) => "comma",
            _ => "repeat",
        };
        match self.lists {
            None => self.lists = Some(lists),
            Some(known) if known != lists => {
                report.push((place.to_owned(), format!("lists are written in two ways; all are sent as {known}")));
            }
            Some(_) => {}
        }
    }

    fn body(
        &mut self,
        document: &Document<'_>,
        operation: &Json,
        place: &str,
        report: &mut Vec<(String, String)>,
    ) -> Result<(), String> {
        let Some(body) = operation.get("requestBody").map(|body| document.meant(body)) else { return Ok(()) };
        let required = body["required"] == true;
        let contents = body.get("content").and_then(Json::as_object);
        let contents: Vec<(&String, &Json)> = contents.into_iter().flatten().collect();
        let of = |fits: fn(&str) -> bool| contents.iter().find(|(kind, _)| fits(kind)).map(|(_, content)| *content);
        let (kind, content) = match (of(is_json), of(|kind| kind.starts_with("application/x-www-form-urlencoded"))) {
            (Some(content), _) => ("json", content),
            (None, Some(content)) => ("form", content),
            _ if required => {
                let kinds: Vec<&str> = contents.iter().map(|(kind, _)| kind.as_str()).collect();
                return Err(format!("its body is {}, and JSON and forms are sent", kinds.join(" or ")));
            }
            _ => {
                report.push((place.to_owned(), "its body, which may be left out, is neither JSON nor a form".to_owned()));
                return Ok(());
            }
        };
        let deep = content.get("encoding").is_some_and(|encoding| encoding.to_string().contains("deepObject"));
        if kind == "form" && deep {
            self.lists = Some("indices");
        }
        let Some(schema) = content.get("schema") else { return Ok(()) };
        let mut inliner = Inliner::new(document, Side::Input);
        let written = inliner.schema(schema);
        if inliner.cut {
            report.push((
                place.to_owned(),
                "the schema of its body was cut where it is very large or leads back to itself".to_owned(),
            ));
        }
        self.fields(kind, written, required);
        Ok(())
    }

    /// The fields of a body as inputs of their own; a body that is no plain record is one input.
    fn fields(&mut self, kind: &'static str, schema: Json, required: bool) {
        let plain = schema["type"] == "object" && schema.get("anyOf").is_none() && schema["properties"].is_object();
        if !plain {
            if schema["type"] == "object" || kind == "json" {
                let own = self.add("body", schema, required);
                self.body = Some((kind, read(&own).into()));
            }
            return;
        }
        let wanted: Vec<String> =
            schema["required"].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let Json::Object(mut schema) = schema else { return };
        let Some(Json::Object(properties)) = schema.remove("properties") else { return };
        let mut renamed = Map::new();
        for (name, property) in properties {
            let property = if property.is_object() { property } else { json!({}) };
            let own = self.add(&name, property, required && wanted.contains(&name));
            if own != name {
                renamed.insert(name, read(&own).into());
            }
        }
        if !renamed.is_empty() {
            self.body = Some((kind, Json::Object(renamed)));
        }
        self.rest = Some(kind);
    }

    /// The path with the inputs' own names.
    fn filled(&self, path: &str) -> String {
        self.path.iter().fold(path.to_owned(), |path, (name, own)| path.replace(&format!("{{{name}}}"), &format!("{{{own}}}")))
    }

    fn write(self, action: &mut Map<String, Json>) {
        if !self.inputs.is_empty() {
            action.insert("input".to_owned(), Json::Object(self.inputs));
        }
        if !self.query.is_empty() {
            action.insert("query".to_owned(), Json::Object(self.query));
        }
        if !self.headers.is_empty() {
            action.insert("headers".to_owned(), Json::Object(self.headers));
        }
        if let Some((kind, body)) = self.body {
            action.insert(kind.to_owned(), body);
        }
        if let Some(rest) = self.rest {
            action.insert("rest".to_owned(), rest.into());
        }
        if let Some(lists) = self.lists {
            action.insert("lists".to_owned(), lists.into());
        }
    }
}

/// A field with its flag. The list of a record within gives way to it: both are called the same.
fn flagged(mut schema: Json, required: bool) -> Json {
    if required {
        if let Some(list) = schema.get("required").filter(|list| list.is_array()).cloned() {
            schema["allOf"] = json!([{ "required": list }]);
        }
        schema["required"] = true.into();
    }
    schema
}

/// Its answer when all goes well with the schema of its JSON, and whether it is text; an error for anything else.
#[expect(clippy::type_complexity, reason = "three small parts that belong together once")]
fn answer<'d>(document: &Document<'d>, operation: &'d Json) -> Result<(Option<(&'d Json, Option<&'d Json>)>, bool), String> {
    let responses = operation.get("responses").and_then(Json::as_object);
    let fine = responses.into_iter().flatten().find(|(status, _)| status.starts_with('2'));
    let fine = fine.or_else(|| responses.into_iter().flatten().find(|(status, _)| *status == "default"));
    let Some(answer) = fine.map(|(_, answer)| document.meant(answer)) else { return Ok((None, false)) };
    let contents: Vec<(&String, &Json)> = answer.get("content").and_then(Json::as_object).into_iter().flatten().collect();
    if contents.is_empty() {
        return Ok((Some((answer, None)), false));
    }
    if let Some((_, content)) = contents.iter().find(|(kind, _)| is_json(kind) || *kind == "*/*") {
        return Ok((Some((answer, content.get("schema"))), false));
    }
    if contents.iter().any(|(kind, _)| kind.starts_with("text/") || kind.ends_with("xml")) {
        return Ok((Some((answer, None)), true));
    }
    let kinds: Vec<&str> = contents.iter().map(|(kind, _)| kind.as_str()).collect();
    Err(format!("it answers with {}, and JSON and text are read", kinds.join(" or ")))
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.ends_with("+json") || kind == "text/json"
}

/// A name for the action that no other has.
fn id(path: &str, method: &str, operation: &Json, taken: &mut HashSet<String>) -> String {
    let named = operation.get("operationId").and_then(Json::as_str).map(identifier).filter(|id| id.len() > 2);
    let own = named.unwrap_or_else(|| identifier(&format!("{method} {path}")));
    let id = match taken.contains(&own) {
        false => own,
        true => (2..).map(|number| format!("{own}_{number}")).find(|id| !taken.contains(id)).unwrap_or(own),
    };
    taken.insert(id.clone());
    id
}
