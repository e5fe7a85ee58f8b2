//! Creating, changing and deleting records, with all the checks.

mod convert;
mod derive;

use std::{collections::HashSet, sync::Arc};

use serde_json::{Map, Value as Json, json};

use super::{
    errors::{Outcome, Trouble},
    ids,
    org::{Change, Happened, Org, Row},
    schema::{Kind, Write, place},
    value::Value,
};

pub(super) use self::convert::typed;

/// Records that go with a deleted one.
const CASCADE_MAX: usize = 10_000;

/// Who writes, when, and how.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub user: Arc<str>,
    /// Milliseconds since 1970; Salesforce stamps whole seconds.
    pub now_ms: i64,
    /// The `client=` of the call, for change data capture.
    pub origin: Arc<str>,
    /// Whether a duplicate rule lets it pass.
    pub duplicates: Duplicates,
}

/// What happens to a record that looks like one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duplicates {
    /// The org has no duplicate rules.
    Unchecked,
    /// It is refused.
    Refused,
    /// The call said `allowSave=true`.
    Saved,
}

/// What an upsert did.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Upserted {
    Created(Arc<str>),
    Updated(Arc<str>),
    /// Nothing: several records have the key. Their ids.
    Several(Vec<Arc<str>>),
    /// Nothing: none has the key, and it should not be created.
    Missing,
}

pub(super) type Fields = Map<String, Json>;

impl Org {
    /// Creates a record.
    pub(super) fn insert(&mut self, writer: &Writer, object: usize, fields: &Fields) -> Outcome<Arc<str>> {
        let described = &self.schema.objects[object];
        if !described.writable {
            return Err(Trouble::bad(
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
                format!("entity type cannot be inserted: {}", described.label),
            ));
        }
        if self.full(object) {
            return Err(Trouble::bad("STORAGE_LIMIT_EXCEEDED", "storage limit exceeded"));
        }
        let given = self.given(object, fields, true)?;
        let serial = self.next_serial(object);
        let id = ids::make(&self.schema.objects[object].prefix, serial);
        let mut values: Vec<Value> = self.schema.objects[object].fields.iter().map(|field| field.default.clone()).collect();
        for (field, value) in given {
            values[field] = value;
        }
        let now = Value::Moment(whole_seconds(writer.now_ms));
        let user = Value::Text(writer.user.clone());
        values[place::ID] = Value::Text(id.clone());
        for (field, value) in [
            (place::CREATED, &now),
            (place::CREATED_BY, &user),
            (place::MODIFIED, &now),
            (place::MODIFIED_BY, &user),
            (place::STAMP, &now),
        ] {
            values[field] = value.clone();
        }
        let mut row = Row { serial, values };
        self.fill(object, &mut row, writer);
        self.derive(object, &mut row);
        self.check(object, &row, None, writer)?;
        let row = Arc::new(row);
        self.put(object, serial, Some(row.clone()));
        self.tables[object].counter += 1;
        self.tell(writer, object, Happened::Created, None, row);
        self.follow(writer, object, serial)?;
        Ok(id)
    }

    /// Changes the given fields of a record.
    pub(super) fn update(&mut self, writer: &Writer, object: usize, id: &str, fields: &Fields) -> Outcome<Arc<str>> {
        let before = self.existing(object, id)?;
        let given = self.given(object, fields, false)?;
        let mut row = (*before).clone();
        row.values.resize(self.schema.objects[object].fields.len(), Value::Null);
        for (field, value) in given {
            row.values[field] = value;
        }
        row.values[place::MODIFIED] = Value::Moment(whole_seconds(writer.now_ms));
        row.values[place::STAMP] = Value::Moment(whole_seconds(writer.now_ms));
        row.values[place::MODIFIED_BY] = Value::Text(writer.user.clone());
        self.derive(object, &mut row);
        self.check(object, &row, Some(&before), writer)?;
        let (serial, row) = (row.serial, Arc::new(row));
        self.put(object, serial, Some(row.clone()));
        let id = row.id().into();
        self.tell(writer, object, Happened::Updated, Some(before), row);
        Ok(id)
    }

    /// Changes the record that has a key, or creates it.
    pub(super) fn upsert(
        &mut self,
        writer: &Writer,
        object: usize,
        key: (usize, &str),
        fields: &Fields,
        update_only: bool,
    ) -> Outcome<Upserted> {
        let (field, text) = key;
        let described = &self.schema.objects[object].fields[field];
        let (name, kind) = (described.name.clone(), described.kind);
        if field == place::ID {
            if text.is_empty() && !update_only {
                return self.insert(writer, object, fields).map(Upserted::Created);
            }
            return self.update(writer, object, text, fields).map(Upserted::Updated);
        }
        if text.is_empty() {
            return Err(Trouble::bad("MISSING_ARGUMENT", format!("{name} not specified")).on(&name));
        }
        let value = if kind.is_number() { Json::from(text.parse::<f64>().unwrap_or_default()) } else { json!(text) };
        let found: Vec<Arc<str>> =
            self.with_value(object, field, &Value::Text(text.into())).iter().map(|row| row.id().into()).collect();
        match &found[..] {
            [] if update_only => Ok(Upserted::Missing),
            [] => {
                let mut fields = fields.clone();
                fields.insert(name, value);
                self.insert(writer, object, &fields).map(Upserted::Created)
            }
            [id] => self.update(writer, object, id, fields).map(Upserted::Updated),
            _ => Ok(Upserted::Several(found)),
        }
    }

    /// Puts a record into the recycle bin, or takes it away for good.
    pub(super) fn delete(&mut self, writer: &Writer, object: usize, id: &str, for_good: bool) -> Outcome<()> {
        let before = self.existing(object, id)?;
        if !self.schema.objects[object].deletable {
            return Err(Trouble::bad(
                "DELETE_FAILED",
                format!(
                    "Your attempt to delete {} could not be completed because records of this type cannot be deleted",
                    before.id()
                ),
            ));
        }
        let mut waiting = vec![(object, before)];
        let mut done = 0;
        while let Some((object, row)) = waiting.pop() {
            done += 1;
            if done > CASCADE_MAX {
                return Err(Trouble::bad("DELETE_FAILED", "cascade delete exceeds the maximum number of records"));
            }
            for list in self.schema.children_of(object).into_iter().filter(|list| list.cascades) {
                let children = self.with_value(list.object, list.field, row.get(place::ID));
                waiting.extend(children.into_iter().map(|child| (list.object, child)));
            }
            self.put_away(writer, object, row, for_good);
        }
        Ok(())
    }

    /// Takes a record out of the recycle bin.
    pub(super) fn undelete(&mut self, writer: &Writer, object: usize, id: &str) -> Outcome<()> {
        let before = self.by_id(object, id).filter(|row| row.deleted()).cloned();
        let before = before.ok_or_else(|| Trouble::bad("UNDELETE_FAILED", "Entity is not in the recycle bin"))?;
        let row = self.marked(writer, &before, false);
        self.put(object, row.serial, Some(row.clone()));
        self.tell(writer, object, Happened::Undeleted, Some(before), row);
        Ok(())
    }

    fn put_away(&mut self, writer: &Writer, object: usize, before: Arc<Row>, for_good: bool) {
        let row = self.marked(writer, &before, true);
        self.put(object, row.serial, (!for_good).then(|| row.clone()));
        self.tell(writer, object, Happened::Deleted, Some(before), row);
    }

    fn marked(&self, writer: &Writer, before: &Row, deleted: bool) -> Arc<Row> {
        let mut row = before.clone();
        row.values[place::DELETED] = Value::Bool(deleted);
        row.values[place::STAMP] = Value::Moment(whole_seconds(writer.now_ms));
        row.values[place::MODIFIED] = Value::Moment(whole_seconds(writer.now_ms));
        row.values[place::MODIFIED_BY] = Value::Text(writer.user.clone());
        Arc::new(row)
    }

    fn tell(&mut self, writer: &Writer, object: usize, happened: Happened, before: Option<Arc<Row>>, after: Arc<Row>) {
        let (by, origin) = (writer.user.clone(), writer.origin.clone());
        self.changed(Change { object, happened, before, after, at_ms: writer.now_ms, by, origin });
    }

    /// An id must be one, and of the object.
    pub(super) fn check_id(&self, object: usize, id: &str) -> Outcome<()> {
        let described = &self.schema.objects[object];
        let fits = ids::read(id).is_some_and(|(prefix, _)| prefix == described.prefix);
        let message = || format!("{} ID: id value of incorrect type: {id}", described.label);
        if fits { Ok(()) } else { Err(Trouble::bad("MALFORMED_ID", message()).on("Id")) }
    }

    /// A record that can be worked on.
    pub(super) fn existing(&self, object: usize, id: &str) -> Outcome<Arc<Row>> {
        self.check_id(object, id)?;
        match self.by_id(object, id) {
            Some(row) if !row.deleted() => Ok(row.clone()),
            Some(_) => Err(Trouble::deleted()),
            None if self.deletions.iter().any(|(_, known, _)| known.starts_with(&id[..15])) => Err(Trouble::deleted()),
            None => Err(Trouble::not_found()),
        }
    }

    /// The fields of a call by their places, with their values understood.
    fn given(&self, object: usize, fields: &Fields, create: bool) -> Outcome<Vec<(usize, Value)>> {
        let described = &self.schema.objects[object];
        let mut out = Vec::with_capacity(fields.len());
        let mut refused: Vec<String> = Vec::new();
        for (name, value) in fields {
            if name == "attributes" || name.eq_ignore_ascii_case("id") && create && value.as_str().is_none_or(str::is_empty) {
                continue;
            }
            let Some(at) = described.place(name) else {
                out.push(self.by_parent_key(object, name, value)?);
                continue;
            };
            let field = &described.fields[at];
            let writable = if create { field.write != Write::Never } else { field.write == Write::Always };
            if writable { out.push((at, typed(field, value)?)) } else { refused.push(field.name.clone()) }
        }
        if refused.is_empty() { Ok(out) } else { Err(read_only(&refused)) }
    }

    /// `"Account": {"External_Id__c": "C-0001"}` names a parent by its own key.
    fn by_parent_key(&self, object: usize, name: &str, value: &Json) -> Outcome<(usize, Value)> {
        let described = &self.schema.objects[object];
        let unknown = || Trouble::bad("INVALID_FIELD", format!("No such column '{name}' on sobject of type {}", described.name));
        let at = described.relation(name).ok_or_else(unknown)?;
        let reference = &described.fields[at];
        if value.is_null() {
            return Ok((at, Value::Null));
        }
        let keys = value.as_object().ok_or_else(unknown)?;
        let named = keys.get("attributes").and_then(|attributes| attributes["type"].as_str());
        let parent = named.or(reference.refers.first().map(String::as_str)).and_then(|parent| self.schema.find(parent));
        let parent = parent.ok_or_else(unknown)?;
        let mut keys = keys.iter().filter(|(key, _)| *key != "attributes");
        let (Some((key, wanted)), None) = (keys.next(), keys.next()) else {
            return Err(
                Trouble::bad("INVALID_FIELD", format!("A nested {name} must name exactly one external id field")).on(name)
            );
        };
        let parent_object = &self.schema.objects[parent];
        let lookup = parent_object.place(key).filter(|place| parent_object.fields[*place].id_lookup);
        let lookup = lookup.ok_or_else(|| {
            Trouble::bad(
                "INVALID_FIELD",
                format!("Field name provided, {key} is not an External ID or indexed field for {}", parent_object.name),
            )
        })?;
        let text = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
        if lookup == place::ID {
            return Ok((at, Value::Text(text.into())));
        }
        match &self.with_value(parent, lookup, &Value::Text(text.as_str().into()))[..] {
            [row] => Ok((at, row.get(place::ID).clone())),
            [] => Err(Trouble::bad(
                "INVALID_FIELD",
                format!("Foreign key external ID: {text} not found for field {key} in entity {}", parent_object.name),
            )),
            _ => Err(Trouble::bad(
                "INVALID_FIELD",
                format!("More than one record found for external id field: [{key}] in entity {}", parent_object.name),
            )),
        }
    }

    /// What must hold of a record before it is written.
    fn check(&self, object: usize, row: &Row, before: Option<&Row>, writer: &Writer) -> Outcome<()> {
        let described = &self.schema.objects[object];
        let missing: Vec<String> = described
            .live_fields()
            .filter(|(at, field)| field.required && field.write != Write::Never && row.get(*at).is_null())
            .map(|(_, field)| field.name.clone())
            .collect();
        if !missing.is_empty() {
            let message = format!("Required fields are missing: [{}]", missing.join(", "));
            return Err(Trouble { fields: missing, ..Trouble::bad("REQUIRED_FIELD_MISSING", message) });
        }
        let moved = |at: usize| before.is_none_or(|before| before.get(at) != row.get(at));
        for (at, field) in described.live_fields().filter(|(at, _)| moved(*at)) {
            if field.kind == Kind::Reference && field.write != Write::Never {
                self.check_reference(field, row.get(at))?;
            }
            if field.unique && !row.get(at).is_null() {
                self.check_unique(object, at, row)?;
            }
        }
        self.rules(object, row)?;
        if before.is_none() && writer.duplicates == Duplicates::Refused {
            self.check_duplicates(object, row)?;
        }
        Ok(())
    }

    fn check_reference(&self, field: &super::schema::Field, value: &Value) -> Outcome<()> {
        let Some(id) = value.text() else { return Ok(()) };
        let wrong = |code, message: String| Err(Trouble::bad(code, message).on(&field.name));
        let Some((prefix, _)) = ids::read(id) else {
            return wrong("MALFORMED_ID", format!("{}: id value of incorrect type: {id}", field.label));
        };
        let parent = self.schema.by_prefix(&prefix);
        // A queue can own what a user can.
        let fits = |parent: usize| {
            let name = &self.schema.objects[parent].name;
            field.refers.iter().any(|known| known == name) || field.name == "OwnerId" && name == "Group"
        };
        match parent {
            Some(parent) if fits(parent) => match self.by_id(parent, id) {
                Some(row) if row.deleted() => wrong("ENTITY_IS_DELETED", "entity is deleted".to_owned()),
                Some(_) => Ok(()),
                None => wrong("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id".to_owned()),
            },
            Some(_) => wrong("FIELD_INTEGRITY_EXCEPTION", format!("{}: id value of incorrect type: {id}", field.label)),
            None => wrong("MALFORMED_ID", format!("{}: id value of incorrect type: {id}", field.label)),
        }
    }

    fn check_unique(&self, object: usize, at: usize, row: &Row) -> Outcome<()> {
        let field = &self.schema.objects[object].fields[at];
        match self.with_value(object, at, row.get(at)).iter().find(|other| other.serial != row.serial) {
            Some(other) if field.name == "Username" => Err(Trouble::bad(
                "DUPLICATE_USERNAME",
                format!("The username already exists in this or another Salesforce organization: {}", other.id()),
            )
            .on(&field.name)),
            Some(other) => Err(Trouble::bad(
                "DUPLICATE_VALUE",
                format!("duplicate value found: {} duplicates value on record with id: {}", field.name, &other.id()[..15]),
            )),
            None => Ok(()),
        }
    }

    /// The standard duplicate rules: an account of the same name, a person of the same address.
    fn check_duplicates(&self, object: usize, row: &Row) -> Outcome<()> {
        let described = &self.schema.objects[object];
        let at = match described.name.as_str() {
            "Account" => described.place("Name"),
            "Contact" | "Lead" => described.place("Email"),
            _ => None,
        };
        let Some((at, text)) = at.and_then(|at| Some((at, row.get(at).text()?.to_lowercase()))) else { return Ok(()) };
        let same = |other: &&Arc<Row>| !other.deleted() && other.get(at).text().is_some_and(|value| value.to_lowercase() == text);
        let found: HashSet<&str> = self.tables[object].all().filter(same).map(|row| row.id()).take(10).collect();
        if found.is_empty() { Ok(()) } else { Err(duplicates(&described.name, &found)) }
    }
}

fn read_only(names: &[String]) -> Trouble {
    let message = format!(
        "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is read/write for \
         your profile or permission set.",
        names.join(", ")
    );
    Trouble { fields: names.to_vec(), ..Trouble::bad("INVALID_FIELD_FOR_INSERT_UPDATE", message) }
}

fn duplicates(name: &str, ids: &HashSet<&str>) -> Trouble {
    let mut ids: Vec<&&str> = ids.iter().collect();
    ids.sort_unstable();
    let records: Vec<Json> = ids
        .iter()
        .map(|id| {
            json!({ "additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0,
                "record": { "attributes": { "type": name }, "Id": id } })
        })
        .collect();
    let result = json!({
        "allowSave": true, "duplicateRule": format!("Standard_{name}_Duplicate_Rule"), "duplicateRuleEntityType": name,
        "errorMessage": "Use one of these records?",
        "matchResults": [{ "entityType": name, "errors": [], "matchEngine": "FuzzyMatchEngine", "matchRecords": records,
            "rule": format!("Standard_{name}_Match_Rule"), "size": ids.len(), "success": true }],
    });
    let mut trouble = Trouble::bad("DUPLICATES_DETECTED", "Use one of these records?");
    trouble.more = Some(Box::new(("duplicateResult", result)));
    trouble
}

/// Stamps have whole seconds.
pub(super) fn whole_seconds(ms: i64) -> i64 {
    ms - ms.rem_euclid(1_000)
}
