//! The REST services: `/ccx/api/v1/{tenant}/…` and `/ccx/api/{service}/{version}/{tenant}/…`.

mod absence;
mod common;
mod documents;
mod processes;
mod staffing;

use http::{Method, header};
use jiff::{Timestamp, civil::Date};
use serde_json::{Value as Json, json};

use super::{
    TENANT,
    answer::{Answer, Call},
    auth::{self, Who},
    items::{Item, Kind},
    people::View,
    state::State,
};

/// Rows of a page when nothing is said, and at most.
const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 100;
/// Longest text in a body.
pub(super) const TEXT_CHARS_MAX: usize = 2_000;

/// An answer, or the refusal that ends the call.
type Done = Result<Answer, Answer>;

/// A call of somebody who is signed in.
struct Ask<'a> {
    call: &'a Call<'a>,
    who: &'a Who,
    /// Where the service's own paths begin.
    root: String,
}

/// One call.
pub(super) fn answer(state: &mut State, call: &Call<'_>, rest: &[&str]) -> Answer {
    let (service, tenant, path) = match rest {
        ["v1", tenant, path @ ..] => ("common", *tenant, path),
        [service, version, tenant, path @ ..] if versioned(version) => (*service, *tenant, path),
        _ => return missing(),
    };
    let Some(who) = auth::by_bearer(state, call) else { return auth::unauthorized(false) };
    if tenant != TENANT {
        return missing();
    }
    let prefix = rest.len() - path.len();
    let ask = Ask { call, who: &who, root: format!("{}/ccx/api/{}", call.base, rest[..prefix].join("/")) };
    if *call.method != Method::GET && !who.rights.write {
        return Answer::error(403, "permission denied");
    }
    let done = match service {
        "common" => common::answer(state, &ask, path),
        "absenceManagement" => absence::answer(state, &ask, path),
        "businessProcess" => processes::answer(state, &ask, path),
        "staffing" => staffing::answer(state, &ask, path),
        other => documents::answer(state, &ask, other, path),
    };
    if state.settings.hollow && *call.method == Method::GET && done.is_ok() {
        return Answer::json(200, &json!({}));
    }
    done.unwrap_or_else(|refused| refused)
}

fn versioned(version: &str) -> bool {
    version.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit() || c == b'.'))
}

fn missing() -> Answer {
    Answer::error(404, "not found")
}

/// The address is known, but not with this method.
fn not_with(allowed: &'static str) -> Answer {
    Answer::error(405, "method not allowed").with(header::ALLOW, allowed)
}

/// What is wrong with one field.
fn wrong(field: &str, words: impl Into<String>) -> Answer {
    Answer::invalid(&[(words.into(), field)])
}

impl Ask<'_> {
    fn now(&self) -> Timestamp {
        self.call.now
    }

    fn is(&self, method: &Method) -> bool {
        self.call.method == method
    }

    /// The slice of a list that is asked for.
    fn range(&self, total: usize) -> Result<std::ops::Range<usize>, Answer> {
        let number = |name: &str, default: usize| match self.call.param(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| Answer::error(400, &format!("{name} parameter invalid: must be a number"))),
        };
        let (limit, offset) = (number("limit", LIMIT_DEFAULT)?, number("offset", 0)?);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Answer::error(400, &format!("limit parameter invalid: must be between 1 and {LIMIT_MAX}")));
        }
        let start = offset.min(total);
        Ok(start..start.saturating_add(limit).min(total))
    }

    /// A page of a list.
    fn list<T>(&self, all: &[T], row: impl Fn(&T) -> Json) -> Done {
        let data: Vec<Json> = all[self.range(all.len())?].iter().map(row).collect();
        Ok(Answer::json(200, &json!({ "data": data, "total": all.len() })))
    }

    /// A page of a list without end of its own rows.
    fn rows(&self, all: &[Json]) -> Done {
        self.list(all, Json::clone)
    }

    /// A day of the query.
    fn day(&self, name: &str) -> Result<Option<Date>, Answer> {
        let Some(text) = self.call.param(name) else { return Ok(None) };
        let day = text.get(..10).and_then(|day| day.parse().ok());
        day.map(Some).ok_or_else(|| Answer::error(400, &format!("{name} parameter invalid: must be a date")))
    }

    /// The worker a path names, by WID or `Type=value`, as they are today.
    fn worker<'s>(&self, state: &'s State, key: &str) -> Result<(usize, View<'s>), Answer> {
        let place = state.worker_at(key).ok_or_else(missing)?;
        Ok((place, state.today(place, self.now()).ok_or_else(missing)?))
    }

    /// The thing a path names.
    fn item<'s>(&self, state: &'s State, key: &str, kinds: &[Kind]) -> Result<(usize, &'s Item), Answer> {
        let place = state.items.find(key).filter(|place| kinds.contains(&state.item(*place).kind)).ok_or_else(missing)?;
        Ok((place, state.item(place)))
    }

    fn reference(&self, item: &Item, path: &str) -> Json {
        json!({ "id": item.wid, "descriptor": item.name, "href": format!("{}/{path}/{}", self.root, item.wid) })
    }

    fn worker_reference(&self, state: &State, place: usize) -> Json {
        let wid = &state.workers[place].wid;
        json!({ "id": wid, "descriptor": state.name_of(place, self.now()), "href": format!("{}/workers/{wid}", self.root) })
    }

    fn done_by(&self) -> String {
        self.who.user.clone()
    }
}

/// The thing a reference in a body names, by its `id`.
fn referred(state: &State, body: &Json, field: &str, kinds: &[Kind]) -> Result<Option<usize>, Answer> {
    let given = &body[field];
    if given.is_null() {
        return Ok(None);
    }
    let id = given["id"].as_str().unwrap_or_default();
    let found = state.items.find(id).filter(|place| kinds.contains(&state.item(*place).kind));
    found.map(Some).ok_or_else(|| wrong(field, format!("{field}: \"{id}\" is not a valid ID value")))
}

/// A day in a body.
fn day_in(body: &Json, field: &str) -> Result<Option<Date>, Answer> {
    match &body[field] {
        Json::Null => Ok(None),
        value => {
            let day = value.as_str().and_then(|text| text.get(..10)?.parse().ok());
            day.map(Some).ok_or_else(|| wrong(field, format!("{field}: a date is expected")))
        }
    }
}

/// A text in a body, which must be there.
fn text_in<'a>(body: &'a Json, field: &str) -> Result<&'a str, Answer> {
    let text = body[field].as_str().map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| wrong(field, format!("{field} is required.")))?;
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(wrong(field, format!("{field} is longer than {TEXT_CHARS_MAX} characters.")));
    }
    Ok(text)
}

/// A record without its empty fields: lists leave them out.
fn without_nulls(mut record: Json) -> Json {
    if let Some(fields) = record.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    record
}
