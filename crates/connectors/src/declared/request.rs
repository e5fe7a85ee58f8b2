//! One request of a declared connector: read from the file, filled in, sent.

use std::sync::Arc;

use ::http::{HeaderName, HeaderValue, Method};
use connector::{
    Connection, Cx, ErrorClass, StepError,
    api::{Answer, Call, Dialect},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value as Json, json};
use url::Url;

use super::{
    auth::Auth,
    errors::Errors,
    problem::{Code, Problems, shown},
    record::Record,
    template::{Names, Over, Template, as_text},
    yaml::Node,
};

/// The keys of a request, which stand beside those of its action or poll.
pub(crate) const KEYS: [&str; 11] =
    ["method", "path", "query", "headers", "json", "form", "text", "content_type", "rest", "lists", "accept"];
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
const RESTS: [&str; 3] = ["query", "json", "form"];
const LISTS: [&str; 4] = ["repeat", "comma", "brackets", "indices"];
/// Values of one query or form.
const PAIRS_MAX: usize = 10_000;
/// What a segment of a path keeps as it is (RFC 3986, 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What all requests of a connector share.
pub(crate) struct System {
    pub(crate) dialect: Dialect,
    pub(crate) base_url: Template,
    pub(crate) headers: Vec<(HeaderName, Template)>,
    pub(crate) auth: Arc<Auth>,
    pub(crate) errors: Errors,
}

/// One request, with formulas where values belong.
pub(crate) struct Asking {
    method: Method,
    path: Vec<Piece>,
    query: Vec<(String, Template)>,
    headers: Vec<(HeaderName, Template)>,
    body: Body,
    /// Where inputs go that are named nowhere else, and which those are.
    rest: Option<(Rest, Vec<String>)>,
    lists: Lists,
    accept: Vec<u16>,
}

enum Piece {
    Text(String),
    /// A value as one segment.
    Segment(String),
    /// A value that may hold slashes.
    Segments(String),
}

enum Body {
    None,
    Json(Template),
    Form(Template),
    Text(Template, String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Query,
    Json,
    Form,
}

#[derive(Clone, Copy)]
enum Lists {
    Repeat,
    Comma,
    Brackets,
    Indices,
}

/// A request whose values are known: `query`, and `json` or `form`, as records that paging adds to.
pub(crate) type Asked = Json;

impl Asking {
    /// Reads the keys of a request. `root` is what placeholders of the path are fields of.
    pub(crate) fn read(record: &Record<'_>, names: &Names<'_>, root: &'static str, problems: &mut Problems) -> Self {
        let method = record.word("method", &METHODS, problems).map_or("GET", |place| METHODS[place]);
        let path = match record.need_text("path", "a request", problems) {
            Some(text) => path(text, record.place("path"), names.fields(root), problems),
            None => Vec::new(),
        };
        let query = record.get("query").and_then(|node| Record::open(node, "query", problems));
        let query: Vec<(String, Template)> = query
            .iter()
            .flat_map(Record::entries)
            .map(|entry| (entry.key.clone(), Template::read(&entry.value, names, problems)))
            .collect();
        let headers = headers(record.get("headers"), names, problems);
        let body = body(record, names, problems);
        let mut asking = Self {
            method: Method::from_bytes(method.as_bytes()).unwrap_or_default(),
            path,
            query,
            headers,
            body,
            rest: None,
            lists: match record.word("lists", &LISTS, problems) {
                Some(1) => Lists::Comma,
                Some(2) => Lists::Brackets,
                Some(3) => Lists::Indices,
                _ => Lists::Repeat,
            },
            accept: accept(record, problems),
        };
        asking.rest(record, names.fields(root), root, problems);
        asking
    }

    fn rest(&mut self, record: &Record<'_>, fields: &[&str], root: &str, problems: &mut Problems) {
        let rest = match record.word("rest", &RESTS, problems) {
            Some(0) => Rest::Query,
            Some(1) => Rest::Json,
            Some(2) => Rest::Form,
            _ => return,
        };
        let fits = match (&self.body, rest) {
            (_, Rest::Query) | (Body::None, _) => true,
            (Body::Json(template), Rest::Json) | (Body::Form(template), Rest::Form) => matches!(template, Template::Record(_)),
            _ => false,
        };
        if !fits {
            problems.add(
                Code::Value,
                record.place("rest"),
                "The rest goes where no other body is: the body here is of another kind.",
            );
        }
        let named = self.named(root);
        let left = fields.iter().filter(|field| !named.contains(**field)).map(|field| (*field).to_owned()).collect();
        self.rest = Some((rest, left));
    }

    /// The fields that the request names somewhere.
    fn named(&self, root: &str) -> std::collections::HashSet<String> {
        let placed = self.path.iter().filter_map(|piece| match piece {
            Piece::Segment(name) | Piece::Segments(name) => Some(name.clone()),
            Piece::Text(_) => None,
        });
        let body = match &self.body {
            Body::None => None,
            Body::Json(template) | Body::Form(template) | Body::Text(template, _) => Some(template),
        };
        let templates = self.query.iter().map(|(_, template)| template).chain(self.headers.iter().map(|(_, t)| t)).chain(body);
        let read =
            templates.flat_map(Template::formulas).flat_map(|formula| formula.references()).filter_map(|reference| {
                match (reference.root == root, reference.path.first()) {
                    (true, Some(formula::Segment::Key(key))) => Some(key.clone()),
                    _ => None,
                }
            });
        placed.chain(read).collect()
    }

    /// The fields that go nowhere, for a word of warning.
    pub(crate) fn unused<'f>(&self, fields: &[&'f str], root: &str) -> Vec<&'f str> {
        let named = if self.rest.is_some() { return Vec::new() } else { self.named(root) };
        fields.iter().copied().filter(|field| !named.contains(*field)).collect()
    }

    pub(crate) const fn method(&self) -> &Method {
        &self.method
    }

    /// Fills in the values.
    pub(crate) fn asked(&self, over: &Over) -> Result<Asked, StepError> {
        let mut query = Map::new();
        for (name, template) in &self.query {
            let value = template.value(over)?;
            if !value.is_null() {
                query.insert(name.clone(), value);
            }
        }
        let mut asked = json!({});
        match &self.body {
            Body::None => {}
            Body::Json(template) => asked["json"] = template.value(over)?,
            Body::Form(template) => asked["form"] = template.value(over)?,
            Body::Text(template, _) => asked["text"] = template.text(over)?.unwrap_or_default().into(),
        }
        if let Some((rest, names)) = &self.rest {
            let given = names.iter().filter_map(|name| Some((name.clone(), over.given().get(name)?.clone())));
            match rest {
                Rest::Query => query.extend(given.filter(|(_, value)| !value.is_null())),
                Rest::Json => add(&mut asked, "json", given),
                Rest::Form => add(&mut asked, "form", given.filter(|(_, value)| !value.is_null())),
            }
        }
        asked["query"] = Json::Object(query);
        Ok(asked)
    }

    /// The address without its query.
    pub(crate) fn address(&self, system: &System, connection: &Connection, over: &Over) -> Result<Url, StepError> {
        let mut url = base(system, connection)?;
        let mut path = url.path().trim_end_matches('/').to_owned();
        for piece in &self.path {
            match piece {
                Piece::Text(text) => path.push_str(text),
                Piece::Segment(name) => path.push_str(&segment(name, over)?),
                Piece::Segments(name) => path.push_str(&segments(name, over)?),
            }
        }
        url.set_path(&path);
        Ok(url)
    }

    /// Sends it. `place` is the whole address of a later page.
    pub(crate) async fn send(
        &self,
        cx: &Cx,
        system: &System,
        over: &Over,
        asked: &Asked,
        place: Option<&Url>,
    ) -> Result<(Answer, Url), StepError> {
        let connection = connection(cx)?;
        let mut url = self.address(system, connection, over)?;
        if let Some(place) = place {
            url.clone_from(place);
        } else {
            let pairs = pairs(&asked["query"], self.lists)?;
            if !pairs.is_empty() {
                url.query_pairs_mut().extend_pairs(pairs);
            }
        }
        let sign = system.auth.sign(connection)?;
        let now_s = cx.now_s();
        let find = move |answer: &Answer| system.errors.find(answer, now_s);
        let mut call = Call::new(cx, &system.dialect, &*sign, self.method.clone(), url.clone());
        for (name, template) in system.headers.iter().chain(&self.headers) {
            let Some(text) = template.text(over)? else { continue };
            if HeaderValue::from_str(&text).is_err() {
                return Err(StepError::new(
                    ErrorClass::Invalid,
                    "INPUT_INVALID",
                    format!(
                        "what belongs into the header \"{name}\" holds a line break or another character no header can carry"
                    ),
                )
                .with_next("Give a value on one line."));
            }
            call = call.header(name.clone(), &text);
        }
        call = match (&self.body, asked) {
            (_, asked) if asked.get("json").is_some() => call.json(&asked["json"]),
            (_, asked) if asked.get("form").is_some() => call.form(pairs(&asked["form"], self.lists)?),
            (Body::Text(_, content_type), asked) => {
                call.body(content_type, asked["text"].as_str().unwrap_or_default().to_owned().into())
            }
            _ => call,
        };
        let answer = call.accepts(&self.accept).refusals(&find).send().await?;
        Ok((answer, url))
    }
}

/// What formulas know of the call itself.
pub(crate) fn tell(over: &mut Over, cx: &Cx) {
    over.scope.set("call", json!({"key": &*cx.idempotency_key, "now": cx.now_s()}));
}

/// The connection of a call; declared actions always have one.
pub(crate) fn connection(cx: &Cx) -> Result<&Arc<Connection>, StepError> {
    cx.connection.as_ref().ok_or_else(|| {
        StepError::new(ErrorClass::Invalid, "CONNECTION_MISSING", "this action works through a connection, and none is named")
            .with_next("Name a connection in the recipe.")
    })
}

/// Where the system is.
fn base(system: &System, connection: &Connection) -> Result<Url, StepError> {
    let own = connection.config.get("base_url").and_then(Json::as_str).map(str::trim).filter(|text| !text.is_empty());
    let text = match own {
        Some(text) => text.to_owned(),
        None => {
            let over = Over::new("input", Json::Null, &connection.config);
            system.base_url.text(&over)?.unwrap_or_default()
        }
    };
    read_base(&text).map_err(|why| {
        StepError::new(
            ErrorClass::Invalid,
            "CONNECTION_BROKEN",
            format!("the connection \"{}\" cannot be used: {why}", connection.name),
        )
        .with_next("Open the connection and correct its settings.")
    })
}

/// A base address that can be one, or the sentence that says why not.
pub(crate) fn read_base(text: &str) -> Result<Url, String> {
    match Url::parse(text.trim()) {
        Ok(url)
            if matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none() =>
        {
            Ok(url)
        }
        _ => Err(format!(
            "the address \"{}\" must start with https:// or http:// and hold no user name and nothing after ? or #",
            shown(text)
        )),
    }
}

/// Headers with formulas.
pub(crate) fn headers(node: Option<&Node>, names: &Names<'_>, problems: &mut Problems) -> Vec<(HeaderName, Template)> {
    let record = node.and_then(|node| Record::open(node, "headers", problems));
    let mut found = Vec::new();
    for entry in record.iter().flat_map(Record::entries) {
        match HeaderName::from_bytes(entry.key.as_bytes()) {
            Ok(name) if crate::http::settings::RESERVED_HEADERS.contains(&name.as_str()) || name == "authorization" => {
                problems.add(Code::Value, entry.at, format!("The header \"{name}\" is set by the connection itself."));
            }
            Ok(name) => found.push((name, Template::read(&entry.value, names, problems))),
            Err(_) => problems.add(Code::Value, entry.at, format!("\"{}\" cannot be the name of a header.", shown(&entry.key))),
        }
    }
    found
}

fn body(record: &Record<'_>, names: &Names<'_>, problems: &mut Problems) -> Body {
    let kinds: Vec<&str> = ["json", "form", "text"].into_iter().filter(|kind| record.get(kind).is_some()).collect();
    if let [_, second, ..] = kinds.as_slice() {
        problems.add(Code::UnknownKey, record.place(second), "A request has one of json, form and text.");
    }
    let Some(kind) = kinds.first() else { return Body::None };
    let Some(node) = record.get(kind) else { return Body::None };
    let template = Template::read(node, names, problems);
    match *kind {
        "json" => Body::Json(template),
        "form" => Body::Form(template),
        _ => Body::Text(template, record.text("content_type", problems).unwrap_or("text/plain").to_owned()),
    }
}

fn accept(record: &Record<'_>, problems: &mut Problems) -> Vec<u16> {
    let mut statuses = Vec::new();
    for item in record.list("accept", 20, problems) {
        match item.json().as_u64().and_then(|status| u16::try_from(status).ok()).filter(|status| (300..500).contains(status)) {
            Some(status) => statuses.push(status),
            None => problems.add(Code::Value, item.at, "\"accept\" holds statuses from 300 to 499 that count as answers."),
        }
    }
    statuses
}

fn path(text: &str, at: (usize, usize), fields: &[&str], problems: &mut Problems) -> Vec<Piece> {
    if !text.starts_with('/')
        || text.contains(['?', '#', '\\'])
        || text.contains("//")
        || text.split('/').any(|part| part == "..")
    {
        problems.add(Code::Value, at, "A path starts with / and has no //, .., ?, # and \\; what follows ? belongs into query.");
    }
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        pieces.push(Piece::Text(before.to_owned()));
        let Some((name, after)) = after.split_once('}') else {
            problems.add(Code::Value, at, "A placeholder of the path has no end; write {name}.");
            return pieces;
        };
        let (name, whole) = name.strip_prefix('+').map_or((name, true), |name| (name, false));
        if !fields.contains(&name) {
            problems.unknown(Code::UnknownName, at, "field that fills a placeholder of the path", name, fields);
        }
        pieces.push(if whole { Piece::Segment(name.to_owned()) } else { Piece::Segments(name.to_owned()) });
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces
}

fn given(name: &str, over: &Over) -> Result<String, StepError> {
    let value = over.given().get(name).cloned().unwrap_or(Json::Null);
    let text = as_text(value)?;
    if text.is_empty() {
        return Err(StepError::new(
            ErrorClass::Invalid,
            "INPUT_MISSING",
            format!("\"{name}\" is empty, and the address needs it"),
        )
        .with_next("Give a value; it usually is an id that an earlier step found."));
    }
    Ok(text)
}

fn segment(name: &str, over: &Over) -> Result<String, StepError> {
    let text = given(name, over)?;
    // As a segment these would lead somewhere else.
    if text == "." || text == ".." {
        return Err(misleading(name));
    }
    Ok(utf8_percent_encode(&text, SEGMENT).to_string())
}

fn segments(name: &str, over: &Over) -> Result<String, StepError> {
    let text = given(name, over)?;
    let parts: Vec<&str> = text.trim_start_matches('/').split('/').collect();
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return Err(misleading(name));
    }
    Ok(parts.iter().map(|part| utf8_percent_encode(part, SEGMENT).to_string()).collect::<Vec<_>>().join("/"))
}

fn misleading(name: &str) -> StepError {
    StepError::new(ErrorClass::Invalid, "INPUT_INVALID", format!("\"{name}\" would lead to another address than the one meant"))
        .with_next("Give a name or an id without dots alone between slashes.")
}

fn add(asked: &mut Asked, kind: &str, given: impl Iterator<Item = (String, Json)>) {
    if !asked[kind].is_object() {
        asked[kind] = json!({});
    }
    if let Some(record) = asked[kind].as_object_mut() {
        record.extend(given);
    }
}

/// A record as names and values: records within as `a[b]`, lists as the file says.
fn pairs(value: &Json, lists: Lists) -> Result<Vec<(String, String)>, StepError> {
    let mut found = Vec::new();
    if let Some(record) = value.as_object() {
        for (name, value) in record {
            flatten(name.clone(), value, lists, &mut found)?;
        }
    }
    Ok(found)
}

fn flatten(name: String, value: &Json, lists: Lists, found: &mut Vec<(String, String)>) -> Result<(), StepError> {
    if found.len() >= PAIRS_MAX {
        return Err(StepError::new(
            ErrorClass::Invalid,
            "INPUT_TOO_LARGE",
            format!("there are more than {PAIRS_MAX} values to send"),
        )
        .with_next("Send less at once."));
    }
    match value {
        // A form says nothing by leaving out, and clears with an empty text.
        Json::Null => found.push((name, String::new())),
        Json::Array(items) => match lists {
            Lists::Comma => {
                let texts = items.iter().cloned().map(as_text).collect::<Result<Vec<_>, _>>()?;
                found.push((name, texts.join(",")));
            }
            _ => {
                for (place, item) in items.iter().enumerate() {
                    let name = match lists {
                        Lists::Brackets => format!("{name}[]"),
                        Lists::Indices => format!("{name}[{place}]"),
                        _ => name.clone(),
                    };
                    flatten(name, item, lists, found)?;
                }
            }
        },
        Json::Object(record) => {
            for (key, value) in record {
                flatten(format!("{name}[{key}]"), value, lists, found)?;
            }
        }
        other => found.push((name, as_text(other.clone())?)),
    }
    Ok(())
}
