//! Objects and records one by one: describe, create, read, change, delete, upsert, changed ids.

use http::Method;
use serde_json::{Value as Json, json};

use super::{
    answer::Answer,
    errors::{Outcome, Trouble},
    org::{Org, Row},
    rest::Call,
    schema::{Kind, describe, place, summary},
    soql::{attributes, record},
    streaming,
    system::System,
    value::{Value, datetime, read_datetime},
    write::Upserted,
};

/// Days back that changed and deleted ids are told.
const UPDATED_DAYS: i64 = 30;
const DELETED_DAYS: i64 = 15;
/// Ids that are told at once.
const IDS_MAX: usize = 600_000;
const DAY_MS: i64 = 24 * 3_600 * 1_000;

impl System {
    pub(super) fn sobjects(&self, org: &mut Org, call: &Call, path: &[&str]) -> Outcome<Answer> {
        let Some(name) = path.first() else { return all(org, call) };
        let object = org.schema.find(name).ok_or_else(Trouble::not_found)?;
        match (&call.method, &path[1..]) {
            (&Method::GET, []) => {
                let recent: Vec<Json> = org.tables[object]
                    .all()
                    .rev()
                    .filter(|row| !row.deleted())
                    .take(5)
                    .map(|row| attributed(org, object, row, &call.version))
                    .collect();
                Ok(Answer::ok(
                    json!({ "objectDescribe": summary(&org.schema.objects[object], &call.version), "recentItems": recent }),
                ))
            }
            (&Method::POST, [] | ["Id" | "id"]) => self.create(org, call, object),
            (&Method::GET, ["describe"]) => {
                unchanged(call, self.schema_ms())?;
                let modified = httpdate::fmt_http_date(moment(self.schema_ms()));
                Ok(Answer::ok(describe(&org.schema, object, &call.version)).with("Last-Modified", modified))
            }
            (
                &Method::GET,
                ["describe", "layouts" | "approvalLayouts" | "compactLayouts", ..] | ["listviews", ..] | ["quickActions", ..],
            ) => Ok(Answer::ok(json!({ "layouts": [], "listviews": [], "recordTypeMappings": [], "done": true, "size": 0 }))),
            (&Method::GET, ["updated"]) => self.updated(org, call, object),
            (&Method::GET, ["deleted"]) => self.deleted_ids(org, call, object),
            (&Method::POST, [id, "push"]) if org.schema.objects[object].name == streaming::CHANNEL => {
                self.push(org, call, object, id)
            }
            (_, [id]) => self.one(org, call, object, id),
            (&Method::GET, [id, field]) if binary(org, object, field) => content(org, object, id, field),
            (_, [id, relation]) if org.by_id(object, id).is_some() => self.related(org, call, (object, id), relation),
            (_, [field, value]) => self.by_key(org, call, object, (field, value)),
            _ => Err(Trouble::not_found()),
        }
    }

    fn create(&self, org: &mut Org, call: &Call, object: usize) -> Outcome<Answer> {
        let mut fields = match call.parts.is_empty() {
            true => call.object()?,
            false => super::files::fields(&call.parts, &org.schema.objects[object])?,
        };
        if fields.contains_key("Id") && fields["Id"].as_str().is_some_and(|id| !id.is_empty()) {
            return Err(Trouble::bad("INVALID_FIELD", "cannot specify Id in an insert call").on("Id"));
        }
        if org.schema.objects[object].event() {
            return self.publish(org, call, object, &fields);
        }
        self.lock_row()?;
        fields.remove("attributes");
        let id = org.insert(&call.writer(self), object, &fields)?;
        let name = &org.schema.objects[object].name;
        let location = call.address(&format!("sobjects/{name}/{id}"));
        Ok(Answer::json(201, json!({ "id": &*id, "success": true, "errors": [] })).with("Location", location))
    }

    fn one(&self, org: &mut Org, call: &Call, object: usize, id: &str) -> Outcome<Answer> {
        match call.method {
            Method::GET | Method::HEAD => {
                let row = found(org, object, id)?;
                unchanged(call, row.stamp_ms())?;
                let shown = shown(org, call, object, &row)?;
                Ok(Answer::ok(shown).with("Last-Modified", httpdate::fmt_http_date(moment(row.stamp_ms()))))
            }
            Method::PATCH => {
                let row = org.existing(object, id)?;
                not_newer(call, row.stamp_ms())?;
                let fields = call.object()?;
                if let Some(name) = fields.keys().find(|name| name.eq_ignore_ascii_case("id")) {
                    return Err(
                        Trouble::bad("INVALID_FIELD", "The Id field should not be specified in the sobject data.").on(name)
                    );
                }
                self.lock_row()?;
                org.update(&call.writer(self), object, id, &fields)?;
                Ok(Answer::empty(204))
            }
            Method::DELETE => {
                self.lock_row()?;
                org.delete(&call.writer(self), object, id, false)?;
                Ok(Answer::empty(204))
            }
            _ => Err(Trouble::method()),
        }
    }

    /// A record by an external id: read, upsert, delete.
    fn by_key(&self, org: &mut Org, call: &Call, object: usize, (field, value): (&str, &str)) -> Outcome<Answer> {
        let at = key_field(org, object, field)?;
        // The vendor reads such an ending as the format of the answer, and does not find what is left.
        if [".inc", ".json", ".xml"].iter().any(|ending| value.to_ascii_lowercase().ends_with(ending)) {
            return Err(Trouble::not_found());
        }
        if at == place::ID && call.method != Method::PATCH {
            return self.one(org, call, object, value);
        }
        if call.method == Method::PATCH {
            return self.upsert_one(org, call, object, (at, value));
        }
        let rows = org.with_value(object, at, &Value::Text(value.into()));
        let row = match &rows[..] {
            [row] => row.clone(),
            [] => return Err(Trouble::not_found()),
            _ => return Ok(several(org, call, object, &rows.iter().map(|row| row.id()).collect::<Vec<_>>())),
        };
        match call.method {
            Method::GET | Method::HEAD => Ok(Answer::ok(shown(org, call, object, &row)?)),
            Method::DELETE => {
                self.lock_row()?;
                org.delete(&call.writer(self), object, row.id(), false)?;
                Ok(Answer::empty(204))
            }
            _ => Err(Trouble::method()),
        }
    }

    fn upsert_one(&self, org: &mut Org, call: &Call, object: usize, (at, value): (usize, &str)) -> Outcome<Answer> {
        let fields = call.object()?;
        let name = org.schema.objects[object].fields[at].name.clone();
        if fields.keys().any(|key| key.eq_ignore_ascii_case(&name)) {
            return Err(
                Trouble::bad("INVALID_FIELD", format!("The {name} field should not be specified in the sobject data.")).on(&name)
            );
        }
        self.lock_row()?;
        let update_only = call.get("updateOnly").is_some_and(|only| only == "true");
        let told = |id: &str, created: bool| json!({ "id": id, "success": true, "errors": [], "created": created });
        match org.upsert(&call.writer(self), object, (at, value), &fields, update_only)? {
            Upserted::Created(id) => {
                let location = call.address(&format!("sobjects/{}/{id}", org.schema.objects[object].name));
                Ok(Answer::json(201, told(&id, true)).with("Location", location))
            }
            Upserted::Updated(_) if call.number() < 46.0 => Ok(Answer::empty(204)),
            Upserted::Updated(id) => Ok(Answer::ok(told(&id, false))),
            Upserted::Several(ids) => Ok(several(org, call, object, &ids.iter().map(|id| &**id).collect::<Vec<_>>())),
            Upserted::Missing => Err(Trouble::not_found()),
        }
    }

    /// `Account/{id}/Contacts` and `Contact/{id}/Account`.
    fn related(&self, org: &mut Org, call: &Call, (object, id): (usize, &str), relation: &str) -> Outcome<Answer> {
        if call.method != Method::GET {
            return Err(Trouble::method());
        }
        let row = found(org, object, id)?;
        if let Some(list) = org.schema.children_of(object).into_iter().find(|list| list.name.eq_ignore_ascii_case(relation)) {
            let rows: Vec<Json> = org
                .with_value(list.object, list.field, row.get(place::ID))
                .iter()
                .map(|child| shown(org, call, list.object, child))
                .collect::<Outcome<_>>()?;
            return Ok(Answer::ok(json!({ "totalSize": rows.len(), "done": true, "records": rows })));
        }
        let reference = org.schema.objects[object].relation(relation).ok_or_else(Trouble::not_found)?;
        let parent = row.get(reference).text().and_then(|id| org.find(id)).ok_or_else(Trouble::not_found)?;
        Ok(Answer::ok(shown(org, call, parent.0, parent.1)?))
    }

    fn span(&self, call: &Call, days: i64) -> Outcome<(i64, i64)> {
        let read = |name: &str| {
            let text = call.get(name).ok_or_else(|| Trouble::bad("MISSING_ARGUMENT", format!("{name} is required")))?;
            // An unescaped + has become a blank.
            let ms = read_datetime(&text.replace(' ', "+"))
                .ok_or_else(|| Trouble::bad("INVALID_ARGUMENT_TYPE", format!("invalid {name}: {text}")))?;
            Ok(ms - ms.rem_euclid(60_000))
        };
        let (start_ms, end_ms) = (read("start")?, read("end")?);
        if end_ms - start_ms < 60_000 {
            return Err(Trouble::bad(
                "INVALID_REPLICATION_DATE",
                "startDate before endDate required and at least one minute apart",
            ));
        }
        if start_ms < self.now_ms() - days * DAY_MS {
            let code = "INVALID_REPLICATION_DATE";
            return Err(Trouble::bad(code, format!("startDate cannot be more than {days} days ago")));
        }
        Ok((start_ms, end_ms))
    }

    fn updated(&self, org: &Org, call: &Call, object: usize) -> Outcome<Answer> {
        let (start_ms, end_ms) = self.span(call, UPDATED_DAYS)?;
        let table = &org.tables[object];
        let ids: Vec<&str> = table
            .stamped(start_ms, end_ms - 1)
            .filter_map(|serial| table.row(serial))
            .filter(|row| !row.deleted())
            .map(|row| row.id())
            .take(IDS_MAX + 1)
            .collect();
        if ids.len() > IDS_MAX {
            return Err(Trouble::bad("EXCEEDED_ID_LIMIT", "too many ids, narrow the time span"));
        }
        let covered = datetime(end_ms.min(self.now_ms() - self.now_ms().rem_euclid(60_000)));
        Ok(Answer::ok(json!({ "ids": ids, "latestDateCovered": covered })))
    }

    fn deleted_ids(&self, org: &Org, call: &Call, object: usize) -> Outcome<Answer> {
        let (start_ms, end_ms) = self.span(call, DELETED_DAYS)?;
        let list: Vec<Json> = org
            .deletions
            .iter()
            .filter(|(of, _, at_ms)| *of == object && (start_ms..end_ms).contains(at_ms))
            .filter(|(_, id, _)| org.by_id(object, id).is_none_or(|row| row.deleted()))
            .map(|(_, id, at_ms)| json!({ "id": &**id, "deletedDate": datetime(super::write::whole_seconds(*at_ms)) }))
            .take(IDS_MAX)
            .collect();
        let covered = datetime(end_ms.min(self.now_ms() - self.now_ms().rem_euclid(60_000)));
        let earliest = datetime(super::write::whole_seconds(self.now_ms() - DELETED_DAYS * DAY_MS));
        Ok(Answer::ok(json!({ "deletedRecords": list, "earliestDateAvailable": earliest, "latestDateCovered": covered })))
    }
}

fn all(org: &Org, call: &Call) -> Outcome<Answer> {
    if call.method != Method::GET {
        return Err(Trouble::method());
    }
    let list: Vec<Json> = org.schema.objects.iter().map(|object| summary(object, &call.version)).collect();
    Ok(Answer::ok(json!({ "encoding": "UTF-8", "maxBatchSize": 200, "sobjects": list })))
}

pub(super) fn attributed(org: &Org, object: usize, row: &Row, version: &str) -> Json {
    let described = &org.schema.objects[object];
    let name = described.name_place().map_or(Json::Null, |place| row.get(place).json(Kind::String));
    json!({ "attributes": attributes(described, row.id(), version), "Id": row.id(), "Name": name })
}

/// The field a record is addressed by.
pub(super) fn key_field(org: &Org, object: usize, name: &str) -> Outcome<usize> {
    let described = &org.schema.objects[object];
    let known = described.place(name).filter(|place| described.fields[*place].id_lookup);
    known.ok_or_else(|| {
        Trouble::new(404, "NOT_FOUND", format!("Provided external ID field does not exist or is not accessible: {name}"))
    })
}

fn found(org: &Org, object: usize, id: &str) -> Outcome<std::sync::Arc<Row>> {
    org.existing(object, id).map_err(|trouble| {
        if trouble.code == "MALFORMED_ID" {
            Trouble::new(404, "NOT_FOUND", format!("Provided external ID field does not exist or is not accessible: {id}"))
        } else {
            trouble
        }
    })
}

/// A record with the fields the call names, or all.
fn shown(org: &Org, call: &Call, object: usize, row: &Row) -> Outcome<Json> {
    let Some(fields) = call.get("fields") else { return Ok(record(org, object, row, None, &call.version)) };
    let places = places(org, object, fields.split(','))?;
    Ok(record(org, object, row, Some(&places), &call.version))
}

pub(super) fn places<'a>(org: &Org, object: usize, names: impl Iterator<Item = &'a str>) -> Outcome<Vec<usize>> {
    let described = &org.schema.objects[object];
    names
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| {
            described.place(name).ok_or_else(|| {
                Trouble::bad("INVALID_FIELD", format!("No such column '{name}' on entity '{}'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.", described.name))
            })
        })
        .collect()
}

/// 300: several records have the key.
fn several(org: &Org, call: &Call, object: usize, ids: &[&str]) -> Answer {
    let name = &org.schema.objects[object].name;
    let list: Vec<String> = ids.iter().map(|id| call.address(&format!("sobjects/{name}/{id}"))).collect();
    Answer::json(300, json!(list))
}

fn binary(org: &Org, object: usize, field: &str) -> bool {
    org.schema.objects[object].field(field).is_some_and(|field| field.kind == Kind::Base64)
}

/// The bytes of a binary field.
fn content(org: &Org, object: usize, id: &str, field: &str) -> Outcome<Answer> {
    let row = found(org, object, id)?;
    let bytes = match org.schema.objects[object].place(field).map(|place| row.get(place)) {
        Some(Value::Bytes(bytes)) => bytes.clone(),
        _ => bytes::Bytes::new(),
    };
    Ok(Answer::bytes(200, "application/octet-stream", bytes))
}

pub(super) fn moment(ms: i64) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + std::time::Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

fn header_ms(call: &Call, name: &str) -> Option<i64> {
    let when = httpdate::parse_http_date(call.header(name)?).ok()?;
    i64::try_from(when.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// 304 when nothing changed since the call's date.
pub(super) fn unchanged(call: &Call, changed_ms: i64) -> Outcome<()> {
    match header_ms(call, "if-modified-since") {
        Some(since_ms) if changed_ms - changed_ms.rem_euclid(1_000) <= since_ms => Err(Trouble::new(304, "NOT_MODIFIED", "")),
        _ => not_newer(call, changed_ms),
    }
}

/// 412 when something changed since the call's date.
fn not_newer(call: &Call, changed_ms: i64) -> Outcome<()> {
    match header_ms(call, "if-unmodified-since") {
        Some(since_ms) if changed_ms - changed_ms.rem_euclid(1_000) > since_ms => {
            Err(Trouble::new(412, "PRECONDITION_FAILED", "The resource has been modified since the given date"))
        }
        _ => Ok(()),
    }
}
