//! Records as the instance writes them into answers.

use serde_json::{Map, Value as Json, json};

use super::{
    data::{Person, Record},
    moments,
    scene::{Call, Scene},
    schema::{Field, Kind},
};

/// `sysparm_display_value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Display {
    Values,
    Shown,
    All,
}

/// How records are to be written.
pub(super) struct Shape {
    display: Display,
    links: bool,
    /// The fields asked for; every field when there are none.
    fields: Vec<String>,
}

impl Shape {
    pub(super) fn of(call: &Call) -> Self {
        let display = match call.param("sysparm_display_value").unwrap_or_default().to_ascii_lowercase().as_str() {
            "true" => Display::Shown,
            "all" => Display::All,
            _ => Display::Values,
        };
        let wanted = call.param("sysparm_fields").unwrap_or_default();
        let fields = wanted.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Self { display, links: !call.flag("sysparm_exclude_reference_link"), fields }
    }

    /// Every field's value without links.
    pub(super) fn plain() -> Self {
        Self { display: Display::Values, links: false, fields: Vec::new() }
    }

    /// Every field with its value and what people see, without links: as the scripted APIs answer.
    pub(super) fn everything() -> Self {
        Self { display: Display::All, links: false, fields: Vec::new() }
    }
}

impl Scene<'_> {
    /// A record with the fields a table has.
    pub(super) fn shaped(&self, table: &str, record: &Record, shape: &Shape) -> Json {
        let data = &self.state.data;
        let mut map = Map::new();
        if shape.fields.is_empty() {
            for field in data.schema.fields(table) {
                map.insert(field.name.clone(), self.field(record, field, shape));
            }
            return Json::Object(map);
        }
        for path in &shape.fields {
            // Names that are no field are left out, as the documentation says.
            let Some(field) = data.schema.walk(table, path) else { continue };
            let value = match data.walk(record, path) {
                Some((holder, _)) => self.field(holder, field, shape),
                None if shape.display == Display::All => json!({"display_value": "", "value": ""}),
                None => json!(""),
            };
            map.insert(path.clone(), value);
        }
        Json::Object(map)
    }

    fn field(&self, record: &Record, field: &Field, shape: &Shape) -> Json {
        let value = record.get(&field.name);
        let value = if field.kind == Kind::Journal { "" } else { value };
        let reference = field.kind == Kind::Reference && !value.is_empty();
        if shape.display == Display::Values {
            return if reference && shape.links {
                json!({"link": self.link(&field.target, value), "value": value})
            } else {
                json!(value)
            };
        }
        let shown = self.shown(record, field);
        let link = || self.link(&field.target, value);
        match (shape.display, reference && shape.links) {
            (Display::Shown, false) => json!(shown),
            (Display::Shown, true) => json!({"display_value": shown, "link": link()}),
            (_, false) => json!({"display_value": shown, "value": value}),
            (_, true) => json!({"display_value": shown, "link": link(), "value": value}),
        }
    }

    fn link(&self, table: &str, id: &str) -> String {
        format!("{}/api/now/table/{table}/{id}", self.base)
    }

    /// What people see in a field.
    pub(super) fn shown(&self, record: &Record, field: &Field) -> String {
        let data = &self.state.data;
        let value = record.get(&field.name);
        match field.kind {
            Kind::Journal => self.journal(record, &field.name),
            _ if value.is_empty() => String::new(),
            Kind::Reference => data.name_of(&field.target, value).to_owned(),
            Kind::List => {
                let names = value.split(',').map(|id| data.name_of(&field.target, id));
                names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")
            }
            Kind::DateTime => moments::shown(value, &self.person),
            Kind::Duration => moments::duration_shown(value),
            Kind::Password => "********".to_owned(),
            Kind::Class => data.schema.table(value).map_or(value, |table| &table.label).to_owned(),
            Kind::Date => date_shown(value, &self.person),
            _ => {
                let choices = data.choices(&record.class, &field.name);
                let label = choices.iter().find(|(choice, _)| choice == value).map(|(_, label)| label.as_str());
                label.unwrap_or(value).to_owned()
            }
        }
    }

    /// The entries of a journal field, newest first, as the forms write them.
    fn journal(&self, record: &Record, element: &str) -> String {
        let data = &self.state.data;
        let Some(list) = data.journals.get(record.id()) else { return String::new() };
        let entries = list.iter().rev().filter_map(|id| data.find("sys_journal_field", id));
        let mut text = String::new();
        for entry in entries.filter(|entry| element == "comments_and_work_notes" || entry.get("element") == element) {
            let label = if entry.get("element") == "comments" { "Additional comments" } else { "Work notes" };
            let author = data.first("sys_user", "user_name", entry.get("sys_created_by"));
            let author = author.map_or(entry.get("sys_created_by"), |user| user.get("name"));
            let at = moments::shown(entry.get("sys_created_on"), &self.person);
            text.push_str(&format!("{at} - {author} ({label})\n{}\n\n", entry.get("value")));
        }
        text
    }
}

fn date_shown(value: &str, person: &Person) -> String {
    let date: Option<jiff::civil::Date> = value.parse().ok();
    date.map_or_else(|| value.to_owned(), |date| date.strftime(&person.date_format).to_string())
}
