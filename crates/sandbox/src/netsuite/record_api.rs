//! `/services/rest/record/v1`: records read, written and turned into others.

use http::{Method, StatusCode};
use serde_json::{Map, Value as Json, json};

use super::{
    NetSuite, State,
    answer::{Answer, Call, MANY, ONE, Page, RESULTS_MAX},
    books::{self, Check, Manner, Now},
    filter,
    refusal::Refusal,
    schema::{self, Type},
    store::{Record, Store},
    transform,
    values::{self, Shown},
};

pub(super) const BASE: &str = "/services/rest/record/v1";

/// What was done to a record, for the account's scripts.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) kind: &'static Type,
    pub(super) id: u64,
    pub(super) event: &'static str,
}

/// One call in work.
pub(super) struct Work<'a> {
    pub(super) call: &'a Call,
    pub(super) state: &'a mut State,
    pub(super) now: Now,
    pub(super) events: Vec<Event>,
}

fn decoded(segment: &str) -> String {
    url::form_urlencoded::parse(format!("v={}", segment.replace('+', "%2B").replace('&', "%26")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// A path below an address, in decoded parts.
pub(super) fn segments(path: &str, base: &str) -> Vec<String> {
    path.strip_prefix(base).unwrap_or_default().split('/').filter(|part| !part.is_empty()).map(decoded).collect()
}

impl NetSuite {
    /// Does a record call and tells the account's scripts.
    pub(super) fn records(&self, call: &Call) -> Result<Answer, Refusal> {
        let mut state = self.state.lock();
        let now = state.now(&self.world);
        let mut work = Work { call, state: &mut state, now, events: Vec::new() };
        let answer = work.answer();
        let events = std::mem::take(&mut work.events);
        let lost = !events.is_empty() && state.lose_answer();
        self.tell(&state, &events);
        if lost { Err(Refusal::unexpected()) } else { answer }
    }
}

impl Work<'_> {
    pub(super) fn answer(&mut self) -> Result<Answer, Refusal> {
        let parts = segments(&self.call.path, BASE);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let method = self.call.method.clone();
        if let ["metadata-catalog", rest @ ..] = parts.as_slice() {
            return super::catalog::answer(self.call, self.state, rest);
        }
        let Some((name, rest)) = parts.split_first() else { return Err(self.nowhere("")) };
        let kind = schema::find_rest(name)
            .filter(|kind| !(self.now.one_company && kind.name == "subsidiary"))
            .ok_or_else(|| self.nowhere(name))?;
        self.state.may(kind, method != Method::GET)?;
        match (rest, method.as_str()) {
            ([], "GET") if self.call.parameter("ids").is_some() => self.several(kind),
            ([], "GET") => self.list(kind),
            ([], "POST") => {
                let body = self.call.object()?;
                self.create(kind, &body)
            }
            ([key], "GET") => self.read(kind, key),
            ([key], "PATCH") => {
                let body = self.call.object()?;
                self.update(kind, key, &body)
            }
            ([key], "PUT") => {
                let body = self.call.object()?;
                self.upsert(kind, key, &body)
            }
            ([key], "DELETE") => self.delete(kind, key),
            ([key, "!transform", to], "POST") => self.transform(kind, key, to),
            ([key, sublist], "GET") => self.sublist(kind, key, sublist),
            ([key, sublist, row], "GET") => self.row(kind, key, sublist, row, &[]),
            ([key, sublist, row, inside @ ..], "GET") => self.row(kind, key, sublist, row, inside),
            _ => Err(Refusal::method(&method, &self.call.path)),
        }
    }

    fn nowhere(&self, name: &str) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("Record type '{name}' does not exist.")).url(&self.call.path)
    }

    fn base(&self) -> String {
        format!("{}{BASE}", self.call.base())
    }

    fn shown(&self) -> Result<Shown, Refusal> {
        let on = |name: &str| self.call.parameter(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let only: Vec<String> = self
            .call
            .parameter("fields")
            .map(|names| names.split(',').map(|name| name.trim().to_owned()).collect())
            .unwrap_or_default();
        if on("expandSubResources") && !only.is_empty() {
            let detail = "The query parameters 'expandSubResources' and 'fields' cannot be used together.";
            return Err(Refusal::bad("INVALID_PARAMETER", detail).query("fields"));
        }
        Ok(Shown {
            base: self.base(),
            expand: on("expandSubResources"),
            simple_enums: on("simpleEnumFormat"),
            only,
            drifted: self.now.drifted.clone(),
        })
    }

    /// The internal id of `647` or `eid:C-0001`.
    pub(super) fn id(&self, kind: &Type, key: &str) -> Result<u64, Refusal> {
        let id = match key.strip_prefix("eid:") {
            Some(external) => self.state.store.by_external(kind, external),
            None => key.parse().ok(),
        };
        id.filter(|id| self.state.store.get(kind, *id).is_some()).ok_or_else(|| Refusal::no_record(&self.call.path))
    }

    fn found(&self, kind: &Type, key: &str) -> Result<&Record, Refusal> {
        let id = self.id(kind, key)?;
        self.state.store.get(kind, id).ok_or_else(|| Refusal::no_record(&self.call.path))
    }

    fn list(&self, kind: &'static Type) -> Result<Answer, Refusal> {
        let page = Page::read(self.call)?;
        let store = &self.state.store;
        let (total, ids): (usize, Vec<u64>) = match self.call.parameter("q").map(str::trim).filter(|q| !q.is_empty()) {
            None => (store.count(kind), store.ids(kind).skip(page.offset).take(page.limit).collect()),
            Some(q) => {
                let filter = filter::parse(q, kind, &self.state.settings)?;
                let mut total = 0;
                let mut ids = Vec::new();
                for record in store.all(kind).filter(|record| filter::fits(&filter, record, &self.state.settings)) {
                    if total >= page.offset && ids.len() < page.limit {
                        ids.push(record.id);
                    }
                    total += 1;
                }
                (total, ids)
            }
        };
        let address = format!("{}/{}", self.base(), kind.name);
        let item = |id: u64| json!({ "links": [values::link("self", format!("{address}/{id}"))], "id": id.to_string() });
        let others = self.call.parameter("q").map(|q| format!("&q={}", super::oauth1::encode(q))).unwrap_or_default();
        let items = ids.into_iter().map(item).collect();
        Ok(Answer::json(MANY, &page.wrap(&address, &others, items, total.min(RESULTS_MAX))))
    }

    /// `?ids=1,eid:X&expandRecords=true`
    fn several(&self, kind: &'static Type) -> Result<Answer, Refusal> {
        let keys: Vec<&str> = self.call.parameter("ids").unwrap_or_default().split(',').map(str::trim).collect();
        if keys.len() > super::jobs::BATCH_MAX {
            return Err(Refusal::bad("INVALID_PARAMETER", "At most 100 ids can be given.").query("ids"));
        }
        let shown = self.shown()?;
        let records = keys.iter().filter_map(|key| self.found(kind, key).ok());
        let items: Vec<Json> = records.map(|record| values::show(record, &self.state.store, &shown)).collect();
        let page = Page { limit: items.len().max(1), offset: 0 };
        let total = items.len();
        Ok(Answer::json(MANY, &page.wrap(&format!("{}/{}", self.base(), kind.name), "", items, total)))
    }

    pub(super) fn read(&self, kind: &'static Type, key: &str) -> Result<Answer, Refusal> {
        let shown = self.shown()?;
        if let Some(unknown) = shown.only.iter().find(|name| {
            let known = kind.position(name).is_some() && !self.now.drifted.removed(kind.name, name);
            *name != "externalId" && *name != "id" && !known && kind.sublist(name).is_none()
        }) {
            return Err(Refusal::bad("NONEXISTENT_FIELD", format!("The field '{unknown}' does not exist.")).query("fields"));
        }
        Ok(Answer::json(ONE, &values::show(self.found(kind, key)?, &self.state.store, &shown)))
    }

    fn manner(&self) -> Result<Manner, Refusal> {
        let check = |name: &str| match self.call.header(name).to_lowercase().as_str() {
            "" | "error" => Ok(Check::Error),
            "warning" => Ok(Check::Warning),
            "ignore" => Ok(Check::Ignore),
            other => Err(Refusal::bad("INVALID_PARAMETER", format!("Invalid header value '{other}'.")).header(name)),
        };
        let replace = self.call.parameter("replace").map(|names| names.split(',').map(|name| name.trim().to_owned()).collect());
        Ok(Manner {
            names: check("x-netsuite-propertynamevalidation")?,
            values: check("x-netsuite-propertyvaluevalidation")?,
            replace: replace.unwrap_or_default(),
        })
    }

    fn written(&self, kind: &Type, id: u64, left_out: &[String]) -> Answer {
        let answer = Answer::done(Some(format!("{}/{}/{id}", self.base(), kind.name)));
        if left_out.is_empty() { answer } else { answer.with("x-netsuite-propertyvalidation", left_out.join(",")) }
    }

    fn did(&mut self, kind: &'static Type, id: u64, event: &'static str) {
        self.events.push(Event { kind, id, event });
    }

    pub(super) fn create(&mut self, kind: &'static Type, body: &Map<String, Json>) -> Result<Answer, Refusal> {
        let manner = self.manner()?;
        let (id, left_out) = books::create(&mut self.state.store, kind, body, &manner, &self.now)?;
        self.did(kind, id, "create");
        Ok(self.written(kind, id, &left_out))
    }

    pub(super) fn update(&mut self, kind: &'static Type, key: &str, body: &Map<String, Json>) -> Result<Answer, Refusal> {
        let (manner, id) = (self.manner()?, self.id(kind, key)?);
        let left_out = books::update(&mut self.state.store, kind, id, body, &manner, &self.now)?;
        self.did(kind, id, "edit");
        Ok(self.written(kind, id, &left_out))
    }

    pub(super) fn upsert(&mut self, kind: &'static Type, key: &str, body: &Map<String, Json>) -> Result<Answer, Refusal> {
        let Some(external) = key.strip_prefix("eid:").filter(|external| !external.is_empty()) else {
            let detail = "The upsert operation needs an external ID. Use the format eid:<external ID>.";
            return Err(Refusal::bad("INVALID_PARAMETER", detail).url(&self.call.path));
        };
        if self.state.store.by_external(kind, external).is_some() {
            return self.update(kind, key, body);
        }
        let mut body = body.clone();
        body.insert("externalId".to_owned(), json!(external));
        self.create(kind, &body)
    }

    pub(super) fn delete(&mut self, kind: &'static Type, key: &str) -> Result<Answer, Refusal> {
        let id = self.id(kind, key)?;
        books::delete(&mut self.state.store, kind, id, &self.now)?;
        self.did(kind, id, "delete");
        Ok(Answer::done(None))
    }

    fn transform(&mut self, from: &'static Type, key: &str, to: &str) -> Result<Answer, Refusal> {
        let id = self.id(from, key)?;
        let to = schema::find_rest(to).ok_or_else(|| self.nowhere(to))?;
        self.state.may(to, true)?;
        let body = if self.call.body.is_empty() { Map::new() } else { self.call.object()? };
        let manner = self.manner()?;
        let made = transform::transform(&mut self.state.store, (from, id), to, &body, &manner, &self.now)?;
        self.did(to, made, "create");
        self.did(from, id, "edit");
        Ok(self.written(to, made, &[]))
    }

    fn sublist(&self, kind: &'static Type, key: &str, name: &str) -> Result<Answer, Refusal> {
        let record = self.found(kind, key)?;
        let page = Page::read(self.call)?;
        let Some((place, sublist)) = kind.sublist(name) else { return self.reference(record, name) };
        let shown = self.shown()?;
        let address = format!("{}/{}/{}/{}", self.base(), kind.name, record.id, sublist.name);
        let rows = record.rows[place].iter().skip(page.offset).take(page.limit);
        let items = rows
            .map(|row| match shown.expand {
                true => values::show_row(record, sublist.name, row, &self.state.store, &shown),
                false => json!({ "links": [values::link("self", format!("{address}/{}", values::row_key(record, sublist.name, row)))] }),
            })
            .collect();
        Ok(Answer::json(MANY, &page.wrap(&address, "", items, record.rows[place].len())))
    }

    /// A record that another one refers to, such as `/invoice/7/entity`.
    fn reference(&self, record: &Record, name: &str) -> Result<Answer, Refusal> {
        let store: &Store = &self.state.store;
        let target = record.reference(name).and_then(|id| match &record.kind.fields[record.kind.position(name)?].kind {
            schema::Kind::Ref(target) => store.any(target, id),
            _ => None,
        });
        let target = target.ok_or_else(|| Refusal::no_record(&self.call.path))?;
        self.state.may(target.kind, false)?;
        Ok(Answer::json(ONE, &values::show(target, store, &self.shown()?)))
    }

    fn row(&self, kind: &'static Type, key: &str, name: &str, row: &str, inside: &[&str]) -> Result<Answer, Refusal> {
        let record = self.found(kind, key)?;
        let (place, sublist) = kind.sublist(name).ok_or_else(|| Refusal::no_record(&self.call.path))?;
        let found = record.rows[place].iter().find(|known| values::row_key(record, sublist.name, known) == row);
        let found = found.ok_or_else(|| Refusal::no_record(&self.call.path))?;
        let mut shown = values::show_row(record, sublist.name, found, &self.state.store, &self.shown()?);
        for part in inside {
            shown = shown.get(*part).cloned().ok_or_else(|| Refusal::no_record(&self.call.path))?;
        }
        Ok(Answer::json(ONE, &shown))
    }
}
