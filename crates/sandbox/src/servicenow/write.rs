//! Inserts, updates and deletes as the Table API does them, with numbers, defaults, journals and business rules.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value as Json, json};

use super::{
    data::{Record, instant},
    moments,
    rules::Operation,
    scene::{Refusal, Scene},
    schema::{Field, Kind},
};

/// Journal entries one record keeps.
const JOURNAL_MAX: usize = 5_000;
/// Longest value of a field, in characters, whatever its length says.
const VALUE_CHARS_MAX: usize = 65_000;

/// Values to write, as texts.
pub(super) type Values = BTreeMap<String, String>;

/// The values of a body: only the first object of a list counts.
pub(super) fn values(body: &Json) -> Result<Values, Refusal> {
    let object = match body {
        Json::Array(list) => list.first(),
        other => Some(other),
    };
    let object = object.and_then(Json::as_object);
    let object =
        object.ok_or_else(|| Refusal::new(400, "Exception while reading request", Some("The payload is not a JSON object.")))?;
    Ok(texts(object))
}

/// Every value as the instance keeps it: a text.
pub(super) fn texts(object: &Map<String, Json>) -> Values {
    object.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        Json::Object(map) if map.contains_key("value") => text(&map["value"]),
        Json::Object(map) if map.contains_key("display_value") => text(&map["display_value"]),
        other => other.to_string(),
    }
}

impl Scene<'_> {
    /// Inserts a record. `shown`: the values are what people see, in their zone.
    pub(super) fn insert(&mut self, table: &str, values: &Values, shown: bool) -> Result<Arc<Record>, Refusal> {
        self.known(table)?;
        let failed = |what: &str| Refusal::new(403, "Operation Failed", Some(&format!("Error during {what} of {table}")));
        let mut record = Record::new(table);
        for field in self.state.data.schema.fields(table) {
            record.set(&field.name, field.default.clone());
        }
        let id = values.get("sys_id").filter(|id| is_id(id)).cloned();
        // What a second insert with a sys_id answers is not documented (unverified); a unique key fails like this.
        if id.as_ref().is_some_and(|id| self.state.data.find(table, id).is_some()) {
            return Err(failed("insert"));
        }
        record.set("sys_id", id.unwrap_or_else(|| self.new_id()));
        let (stamp, who) = (self.stamp(), self.person.user_name.clone());
        for (name, value) in [("on", &stamp), ("by", &who)] {
            record.set(&format!("sys_created_{name}"), value.clone());
            record.set(&format!("sys_updated_{name}"), value.clone());
        }
        record.set("sys_mod_count", "0");
        record.set("sys_class_name", table);
        let notes = self.assign(&mut record, values, shown);
        self.begin(&mut record);
        self.follow(&mut record, None);
        self.policy(&record)?;
        self.before_rules(Operation::Insert, &record, None)?;
        let numbered = self.state.data.schema.field(table, "number").is_some();
        if numbered && let Some(number) = self.state.data.next_number(table) {
            record.set("number", number);
        }
        if !self.state.data.put(record.clone()) {
            return Err(failed("insert"));
        }
        self.note(&record, notes);
        self.after_rules(Operation::Insert, &record, None);
        Ok(Arc::new(record))
    }

    /// Changes the named fields of a record.
    pub(super) fn update(&mut self, table: &str, id: &str, values: &Values, shown: bool) -> Result<Arc<Record>, Refusal> {
        let before = self.state.data.find(table, id).cloned().ok_or_else(Refusal::no_record)?;
        let mut record = (*before).clone();
        let notes = self.assign(&mut record, values, shown);
        self.follow(&mut record, Some(&before));
        self.policy(&record)?;
        self.before_rules(Operation::Update, &record, Some(&before))?;
        // Counted up even when nothing changed (unverified; the careful reading for whoever compares counts).
        let count = before.get("sys_mod_count").parse::<u64>().unwrap_or_default().saturating_add(1);
        record.set("sys_mod_count", count.to_string());
        record.set("sys_updated_on", self.stamp());
        record.set("sys_updated_by", self.person.user_name.clone());
        self.state.data.put(record.clone());
        self.note(&record, notes);
        self.after_rules(Operation::Update, &record, Some(&before));
        Ok(Arc::new(record))
    }

    /// Deletes a record with its journal and attachments, and remembers that it was there.
    pub(super) fn delete(&mut self, table: &str, id: &str) -> Result<(), Refusal> {
        let record = self.state.data.find(table, id).cloned().ok_or_else(Refusal::no_record)?;
        self.before_rules(Operation::Delete, &record, Some(&record))?;
        self.state.data.remove(&record.class, id);
        for entry in self.state.data.journals.remove(id).unwrap_or_default() {
            self.state.data.remove("sys_journal_field", &entry);
        }
        let files: Vec<String> = self
            .state
            .data
            .all("sys_attachment")
            .filter(|file| file.get("table_sys_id") == id)
            .map(|file| file.id().to_owned())
            .collect();
        for file in files {
            self.state.data.remove("sys_attachment", &file);
            self.state.data.remove_file(&file);
        }
        if record.class == "sys_attachment" {
            self.state.data.remove_file(id);
        }
        if record.class != "sys_attachment" {
            self.remember_deleted(&record);
        }
        self.after_rules(Operation::Delete, &record, Some(&record));
        Ok(())
    }

    fn remember_deleted(&mut self, record: &Record) {
        let (stamp, who) = (self.stamp(), self.person.user_name.clone());
        let mut audit = Record::new("sys_audit_delete")
            .with("sys_id", self.new_id())
            .with("tablename", &record.class)
            .with("documentkey", record.id())
            .with("display_value", record.get(self.state.data.schema.display(&record.class)))
            .with("payload", json!(record.values).to_string())
            .with("sys_mod_count", "0");
        for (name, value) in [("on", &stamp), ("by", &who)] {
            audit.set(&format!("sys_created_{name}"), value.clone());
            audit.set(&format!("sys_updated_{name}"), value.clone());
        }
        self.state.data.put(audit);
    }

    /// Sets what is known and may be set; gives the journal entries to write. Unknown names are ignored (unverified).
    fn assign(&self, record: &mut Record, values: &Values, shown: bool) -> Vec<(String, String)> {
        let schema = self.state.data.schema.clone();
        let mut notes = Vec::new();
        for (name, value) in values {
            let Some(field) = schema.field(&record.class, name).filter(|field| !field.read_only) else { continue };
            if field.kind == Kind::Journal {
                if !value.is_empty() {
                    notes.push((name.clone(), value.chars().take(VALUE_CHARS_MAX).collect()));
                }
                continue;
            }
            let value = if shown { self.meant(&record.class, field, value) } else { value.clone() };
            record.set(name, cast(field, &value));
        }
        notes
    }

    /// The value of what people see: a choice by its label, a reference by its name if only one has it, a date in their zone.
    fn meant(&self, table: &str, field: &Field, shown: &str) -> String {
        let data = &self.state.data;
        match field.kind {
            Kind::Reference if data.find(&field.target, shown).is_none() => {
                let mut found = data
                    .all(&field.target)
                    .filter(|record| record.get(data.schema.display(&record.class)).eq_ignore_ascii_case(shown));
                match (found.next(), found.next()) {
                    (Some(only), None) => only.id().to_owned(),
                    _ => String::new(),
                }
            }
            Kind::DateTime => moments::written(shown, &self.person).unwrap_or_default(),
            Kind::Date => {
                let date = jiff::civil::Date::strptime(&self.person.date_format, shown);
                date.map(|date| date.to_string()).unwrap_or_default()
            }
            _ => {
                let choice = data.choices(table, &field.name).iter().find(|(_, label)| label.eq_ignore_ascii_case(shown));
                choice.map_or_else(|| shown.to_owned(), |(value, _)| value.clone())
            }
        }
    }

    fn note(&mut self, record: &Record, notes: Vec<(String, String)>) {
        for (element, value) in notes {
            let id = self.new_id();
            let entry = Record::new("sys_journal_field")
                .with("sys_id", &id)
                .with("name", &record.class)
                .with("element", element)
                .with("element_id", record.id())
                .with("value", value)
                .with("sys_created_on", self.stamp())
                .with("sys_created_by", &self.person.user_name);
            let list = self.state.data.journals.entry(record.id().to_owned()).or_default();
            if list.len() < JOURNAL_MAX {
                list.push(id);
                self.state.data.put(entry);
            }
        }
    }

    /// What a new record of some tables begins with.
    fn begin(&self, record: &mut Record) {
        let schema = &self.state.data.schema;
        if schema.is_a(&record.class, "task") {
            for (field, value) in [("opened_at", self.stamp()), ("opened_by", self.person.id.clone())] {
                if record.get(field).is_empty() {
                    record.set(field, value);
                }
            }
        }
        let first = match record.class.as_str() {
            "problem" if record.get("state") == "1" => "101",
            "change_request" if record.get("state") == "1" => "-5",
            _ => return,
        };
        record.set("state", first);
    }

    /// Fields the instance works out from others.
    fn follow(&self, record: &mut Record, before: Option<&Record>) {
        if self.state.data.schema.is_a(&record.class, "sys_user") {
            let name = format!("{} {}", record.get("first_name"), record.get("last_name"));
            record.set("name", name.trim());
        }
        if !self.state.data.schema.is_a(&record.class, "task") {
            return;
        }
        let was = before.map_or("", |before| before.get("state"));
        if record.class == "incident" {
            let (impact, urgency) = (record.get("impact").parse().unwrap_or(3), record.get("urgency").parse().unwrap_or(3));
            // The matrix of new instances: high and high is critical, low and low is planning.
            let priority: i32 = (impact + urgency - 1).clamp(1, 5);
            record.set("priority", priority.to_string());
            record.set("incident_state", record.get("state").to_owned());
        }
        if before
            .is_some_and(|before| !before.get("assigned_to").is_empty() && before.get("assigned_to") != record.get("assigned_to"))
        {
            let count = record.get("reassignment_count").parse::<u64>().unwrap_or_default() + 1;
            record.set("reassignment_count", count.to_string());
        }
        let state = record.get("state").to_owned();
        if state == was {
            return;
        }
        let (resolved, closed) = match record.class.as_str() {
            "incident" => (state == "6", matches!(state.as_str(), "7" | "8")),
            "problem" => (state == "106", state == "107"),
            "change_request" => (false, matches!(state.as_str(), "3" | "4")),
            _ => (false, matches!(state.as_str(), "3" | "4" | "7")),
        };
        if resolved && self.state.data.schema.field(&record.class, "resolved_at").is_some() {
            record.set("resolved_at", self.stamp());
            record.set("resolved_by", self.person.id.clone());
        }
        if closed {
            record.set("closed_at", self.stamp());
            record.set("closed_by", self.person.id.clone());
        }
        record.set("active", if closed { "false" } else { "true" });
    }

    /// The data policy new instances come with: a resolved incident has a code and notes. Its exact words are unverified.
    fn policy(&self, record: &Record) -> Result<(), Refusal> {
        let resolved = record.class == "incident" && matches!(record.get("state"), "6" | "7");
        if !self.state.settings.data_policies || !resolved {
            return Ok(());
        }
        let needed = [("close_code", "Resolution code"), ("close_notes", "Resolution notes")];
        let missing: Vec<&str> = needed.iter().filter(|(name, _)| record.get(name).is_empty()).map(|(_, label)| *label).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let detail = format!("Data Policy Exception: The following fields are mandatory: {}", missing.join(", "));
        Err(Refusal::new(403, "Operation Failed", Some(&detail)))
    }
}

/// True for what the instance takes as a client's own `sys_id`.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The value as a field of that type keeps it; what does not fit is empty, what is too long is cut.
fn cast(field: &Field, value: &str) -> String {
    let value = value.trim_end_matches('\0');
    match field.kind {
        Kind::Boolean => matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "yes").to_string(),
        Kind::Integer => value.trim().parse::<f64>().map(|number| (number as i64).to_string()).unwrap_or_default(),
        Kind::Decimal => value
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(|_| value.trim().to_owned())
            .unwrap_or_default(),
        Kind::DateTime | Kind::Duration => {
            let whole = if value.len() == 10 { format!("{value} 00:00:00") } else { value.to_owned() };
            instant(&whole).map(|_| whole).unwrap_or_default()
        }
        Kind::Date => value
            .get(..10)
            .and_then(|date| date.parse::<jiff::civil::Date>().ok())
            .map(|date| date.to_string())
            .unwrap_or_default(),
        Kind::Reference if value.len() > 32 => String::new(),
        Kind::List => value.to_owned(),
        _ => value.chars().take(field.length.min(VALUE_CHARS_MAX)).collect(),
    }
}
