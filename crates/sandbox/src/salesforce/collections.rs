//! Up to 200 records in one call.

use http::Method;
use serde_json::{Value as Json, json};

use super::{
    answer::Answer,
    errors::{Outcome, Trouble},
    org::Org,
    rest::Call,
    sobjects::{key_field, places},
    soql::record,
    system::System,
    write::{Fields, Upserted},
};

/// Records a call may write.
pub(super) const RECORDS_MAX: usize = 200;
/// Records a call may read.
const READ_MAX: usize = 2_000;
/// Runs of records of one type a call may have.
const RUNS_MAX: usize = 10;

impl System {
    pub(super) fn collections(&self, org: &mut Org, call: &Call, path: &[&str]) -> Outcome<Answer> {
        match (&call.method, path) {
            (&Method::POST, []) => self.many(org, call, None),
            (&Method::PATCH, []) => self.many(org, call, None),
            (&Method::DELETE, []) => self.delete_many(org, call),
            (&Method::PATCH, [object, field]) => {
                let object = org.schema.find(object).ok_or_else(|| Trouble::no_type(object))?;
                let field = key_field(org, object, field)?;
                self.many(org, call, Some((object, field)))
            }
            (&Method::POST | &Method::GET, [object]) => {
                let object = org.schema.find(object).ok_or_else(|| Trouble::no_type(object))?;
                retrieve(org, call, object)
            }
            _ => Err(Trouble::method()),
        }
    }

    /// Creates, updates or upserts, row by row.
    fn many(&self, org: &mut Org, call: &Call, upsert: Option<(usize, usize)>) -> Outcome<Answer> {
        let mut body = call.object()?;
        let all_or_none = body.get("allOrNone").and_then(Json::as_bool).unwrap_or(false);
        let Some(Json::Array(records)) = body.remove("records") else {
            return Err(Trouble::json("The records parameter is required"));
        };
        bounded(&records)?;
        let mark = org.mark();
        let mut results: Vec<Outcome<Json>> = Vec::with_capacity(records.len());
        let mut keys = std::collections::HashSet::new();
        for given in &records {
            let result = self.write_one(org, call, given, upsert, &mut keys);
            results.push(result);
        }
        Ok(Answer::ok(settled(org, mark, results, all_or_none)))
    }

    fn write_one(
        &self,
        org: &mut Org,
        call: &Call,
        given: &Json,
        upsert: Option<(usize, usize)>,
        keys: &mut std::collections::HashSet<String>,
    ) -> Outcome<Json> {
        let mut fields = given.as_object().cloned().ok_or_else(|| Trouble::json("A record must be an object"))?;
        let kind = fields.get("attributes").and_then(|attributes| attributes["type"].as_str()).unwrap_or_default().to_owned();
        let named = org.schema.find(&kind);
        let object = match upsert {
            Some((object, _)) if named == Some(object) => object,
            Some((object, _)) => {
                let wanted = &org.schema.objects[object].name;
                return Err(Trouble::bad("INVALID_INPUT", format!("All records must be of type {wanted}")));
            }
            None => named.ok_or_else(|| Trouble::no_type(&kind))?,
        };
        fields.remove("attributes");
        // Whatever is to be done with the row: an id that is none is told first, also beside an external id.
        let id = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("id")).and_then(|(_, id)| id.as_str());
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            org.check_id(object, id)?;
        }
        self.lock_row()?;
        let writer = call.writer(self);
        let mark = org.mark();
        let done = match upsert {
            Some((_, field)) => self.upsert_row(org, call, (object, field), fields, keys),
            None if call.method == Method::POST && org.schema.objects[object].event() => {
                self.publish_row(org, call, object, &fields)
            }
            None if call.method == Method::POST => {
                org.insert(&writer, object, &fields).map(|id| json!({ "id": &*id, "success": true, "errors": [] }))
            }
            None => {
                let id = take_id(&mut fields)?;
                org.update(&writer, object, &id, &fields).map(|id| json!({ "id": &*id, "success": true, "errors": [] }))
            }
        };
        if done.is_err() {
            org.roll_back(mark);
        }
        done
    }

    fn upsert_row(
        &self,
        org: &mut Org,
        call: &Call,
        (object, field): (usize, usize),
        mut fields: Fields,
        keys: &mut std::collections::HashSet<String>,
    ) -> Outcome<Json> {
        let name = org.schema.objects[object].fields[field].name.clone();
        let key = fields.keys().find(|key| key.eq_ignore_ascii_case(&name)).cloned();
        let value = key.and_then(|key| fields.shift_remove(&key)).unwrap_or(Json::Null);
        let text = value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned);
        if !text.is_empty() && !keys.insert(text.to_lowercase()) {
            return Err(Trouble::bad("DUPLICATE_VALUE", format!("Duplicate external id specified: {text}")).on(&name));
        }
        match org.upsert(&call.writer(self), object, (field, &text), &fields, false)? {
            Upserted::Created(id) => Ok(json!({ "id": &*id, "success": true, "errors": [], "created": true })),
            Upserted::Updated(id) => Ok(json!({ "id": &*id, "success": true, "errors": [], "created": false })),
            Upserted::Several(ids) => Err(Trouble::new(
                300,
                "DUPLICATE_EXTERNAL_ID",
                format!("{name}: more than one record found for external id field: [{}]", ids.join(", ")),
            )
            .on(&name)),
            Upserted::Missing => Err(Trouble::not_found()),
        }
    }

    fn delete_many(&self, org: &mut Org, call: &Call) -> Outcome<Answer> {
        let ids: Vec<&str> = call.get("ids").unwrap_or_default().split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
        if ids.is_empty() {
            return Err(Trouble::bad("MISSING_ARGUMENT", "The ids parameter is required"));
        }
        if ids.len() > RECORDS_MAX {
            return Err(too_many());
        }
        let all_or_none = call.get("allOrNone").is_some_and(|all| all == "true");
        let mark = org.mark();
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            let result = self.delete_one(org, call, id);
            results.push(result.map(|()| json!({ "id": id, "success": true, "errors": [] })));
        }
        Ok(Answer::ok(settled(org, mark, results, all_or_none)))
    }

    fn delete_one(&self, org: &mut Org, call: &Call, id: &str) -> Outcome<()> {
        let prefix = super::ids::read(id).map(|(prefix, _)| prefix);
        let object = prefix.and_then(|prefix| org.schema.by_prefix(&prefix));
        let object = object.ok_or_else(|| Trouble::bad("MALFORMED_ID", format!("malformed id {id}")))?;
        self.lock_row()?;
        org.delete(&call.writer(self), object, id, false).map_err(|trouble| {
            if trouble.code == "NOT_FOUND" {
                Trouble::bad("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
            } else {
                trouble
            }
        })
    }
}

fn take_id(fields: &mut Fields) -> Outcome<String> {
    let key = fields.keys().find(|key| key.eq_ignore_ascii_case("id")).cloned();
    let id = key.and_then(|key| fields.shift_remove(&key));
    id.and_then(|id| id.as_str().map(str::to_owned))
        .filter(|id| !id.is_empty())
        .ok_or_else(|| Trouble::bad("MISSING_ARGUMENT", "Id not specified in an update call"))
}

fn too_many() -> Trouble {
    Trouble::bad(
        "EXCEEDED_ID_LIMIT",
        format!("record limit reached. cannot submit more than {RECORDS_MAX} records into this call"),
    )
}

fn bounded(records: &[Json]) -> Outcome<()> {
    if records.len() > RECORDS_MAX {
        return Err(too_many());
    }
    let kind = |record: &Json| record["attributes"]["type"].as_str().map(str::to_owned);
    let runs = records.windows(2).filter(|pair| kind(&pair[0]) != kind(&pair[1])).count() + 1;
    if runs > RUNS_MAX {
        return Err(Trouble::bad(
            "INVALID_INPUT",
            format!("Cannot have more than {RUNS_MAX} chunks of records of different types"),
        ));
    }
    Ok(())
}

/// The results row by row; with all or none the good ones are taken back when one is bad.
fn settled(org: &mut Org, mark: (usize, usize), results: Vec<Outcome<Json>>, all_or_none: bool) -> Json {
    let undone = all_or_none && results.iter().any(Result::is_err);
    if undone {
        org.roll_back(mark);
    }
    let shown = results.into_iter().map(|result| match result {
        Ok(_) if undone => {
            let trouble = Trouble::bad(
                "ALL_OR_NONE_OPERATION_ROLLED_BACK",
                "Record rolled back because not all records were valid and the request was using AllOrNone header",
            );
            json!({ "success": false, "errors": [trouble.row()] })
        }
        Ok(result) => result,
        Err(trouble) => json!({ "success": false, "errors": [trouble.row()] }),
    });
    Json::Array(shown.collect())
}

fn retrieve(org: &Org, call: &Call, object: usize) -> Outcome<Answer> {
    let (ids, fields): (Vec<String>, Vec<String>) = if call.method == Method::GET {
        let split = |name: &str| {
            call.get(name).unwrap_or_default().split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        (split("ids"), split("fields"))
    } else {
        let body = call.json()?;
        let list = |name: &str| -> Vec<String> {
            body[name].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
        };
        (list("ids"), list("fields"))
    };
    if fields.is_empty() {
        return Err(Trouble::bad("MISSING_ARGUMENT", "The fields parameter is required"));
    }
    if ids.len() > READ_MAX {
        return Err(Trouble::bad("EXCEEDED_ID_LIMIT", format!("cannot retrieve more than {READ_MAX} records")));
    }
    let places = places(org, object, fields.iter().map(String::as_str))?;
    let rows = ids.iter().map(|id| match org.by_id(object, id) {
        Some(row) if !row.deleted() => record(org, object, row, Some(&places), &call.version),
        _ => Json::Null,
    });
    Ok(Answer::ok(Json::Array(rows.collect())))
}
