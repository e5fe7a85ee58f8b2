//! Tables and fields as the instance's dictionary tells them, kept for a while.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use connector::{Cx, ErrorClass, Object, StepError, strict};
use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;

use super::{
    api::{Api, Ask, as_text, checked_table, invalid},
    filter::{Filter, moment},
    settings,
};

/// How long a table is believed before it is asked for anew.
const AGE_MAX: Duration = Duration::from_secs(600);
/// Tables kept.
const TABLES_MAX: usize = 1_000;
/// Rows of the dictionary read for one table.
const ROWS_MAX: u64 = 10_000;
/// How far a dot-walk goes.
const WALK_MAX: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Boolean,
    Integer,
    Decimal,
    Date,
    DateTime,
    Reference,
    List,
    Journal,
    /// Passwords and pictures: never read, never written.
    Hidden,
}

impl Kind {
    fn of(internal: &str) -> Self {
        match internal {
            "boolean" => Self::Boolean,
            "integer" | "longint" => Self::Integer,
            "decimal" | "float" | "percent_complete" => Self::Decimal,
            "glide_date" => Self::Date,
            "glide_date_time" | "due_date" => Self::DateTime,
            "reference" => Self::Reference,
            "glide_list" => Self::List,
            "journal" | "journal_input" | "journal_list" => Self::Journal,
            "password" | "password2" | "user_image" | "file_attachment" => Self::Hidden,
            _ => Self::Text,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) label: String,
    pub(super) kind: Kind,
    /// The table a reference points to.
    pub(super) target: String,
    pub(super) choice: bool,
    mandatory: bool,
    read_only: bool,
    length: u64,
}

/// A table with its own and inherited fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    /// It, what it extends, and so on.
    pub(super) chain: Vec<String>,
    pub(super) fields: BTreeMap<String, Field>,
}

/// What is known of instances.
#[derive(Default)]
pub(super) struct Dictionary {
    tables: Mutex<HashMap<String, (Instant, Arc<Table>)>>,
}

fn value<'a>(row: &'a Json, name: &str) -> &'a str {
    row.get(name).and_then(Json::as_str).unwrap_or_default()
}

impl Dictionary {
    /// A table, unless the connection says that fields are not looked up.
    pub(super) async fn table(&self, api: &Api<'_>, name: &str) -> Result<Option<Arc<Table>>, StepError> {
        if settings::checks_fields(api.cx) { self.known(api, name, AGE_MAX).await.map(Some) } else { Ok(None) }
    }

    async fn known(&self, api: &Api<'_>, name: &str, age_max: Duration) -> Result<Arc<Table>, StepError> {
        let key = format!("{}\n{name}", api.place());
        let kept = self.tables.lock().get(&key).filter(|(at, _)| at.elapsed() < age_max).map(|(_, table)| Arc::clone(table));
        if let Some(table) = kept {
            return Ok(table);
        }
        let table = Arc::new(load(api, name).await?);
        let mut tables = self.tables.lock();
        if tables.len() >= TABLES_MAX {
            tables.retain(|_, (at, _)| at.elapsed() < AGE_MAX);
        }
        if tables.len() < TABLES_MAX {
            tables.insert(key, (Instant::now(), Arc::clone(&table)));
        }
        Ok(table)
    }

    /// The field at the end of a dot-walk.
    pub(super) async fn field(&self, api: &Api<'_>, table: &Arc<Table>, path: &str) -> Result<Field, StepError> {
        let mut table = Arc::clone(table);
        let mut steps = path.split('.').take(WALK_MAX).peekable();
        while let Some(step) = steps.next() {
            if !table.fields.contains_key(step) {
                // Somebody may have added it since.
                table = self.known(api, &table.name, Duration::ZERO).await?;
            }
            let field = table.fields.get(step).ok_or_else(|| unknown(&table, step))?;
            if steps.peek().is_none() {
                return Ok(field.clone());
            }
            if field.kind != Kind::Reference || field.target.is_empty() {
                let message = format!(
                    "the field {step} of {} points to no other record, so nothing can follow it in \"{path}\"",
                    table.name
                );
                return Err(invalid("FIELD_UNKNOWN", message));
            }
            let target = checked_table(&field.target)?.to_owned();
            table = self.known(api, &target, AGE_MAX).await?;
        }
        Err(invalid("FIELD_UNKNOWN", format!("\"{path}\" names no field")))
    }

    /// Refuses a filter that names a field the table does not have.
    pub(super) async fn check(&self, api: &Api<'_>, table: &str, filter: &Filter) -> Result<(), StepError> {
        if let Some(table) = self.table(api, table).await? {
            for path in filter.fields() {
                self.field(api, &table, path).await?;
            }
        }
        Ok(())
    }

    /// Refuses an answer to a write that lacks a field which was sent, when the field is gone: ServiceNow leaves it out
    /// without a word. One that is only hidden from the user is still in the dictionary.
    pub(super) async fn written(&self, api: &Api<'_>, table: &str, sent: &[String], record: &Json) -> Result<(), StepError> {
        let missing: Vec<&String> = sent.iter().filter(|name| record.get(name.as_str()).is_none()).collect();
        if missing.is_empty() || !settings::checks_fields(api.cx) {
            return Ok(());
        }
        // The record is written: a dictionary that cannot be read now must not make it be written again.
        let Ok(table) = self.known(api, table, Duration::ZERO).await else { return Ok(()) };
        match missing.into_iter().find(|name| !table.fields.contains_key(name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let id = &record["sys_id"]["value"];
                let words = format!(
                    "the record {} was written without the field \"{name}\", which the table {} no longer has",
                    id.as_str().unwrap_or_default(),
                    table.name
                );
                let mut error = invalid("FIELD_GONE", words).with_next(
                    "See what the field is called now and correct the recipe; then decide whether the record needs the value.",
                );
                error.doubt = connector::Doubt::MayHaveHappened;
                Err(error)
            }
        }
    }

    /// A body out of a step's fields: known ones that can be written, as ServiceNow keeps values.
    pub(super) async fn body(
        &self,
        api: &Api<'_>,
        table: &str,
        fields: &Json,
        shown: bool,
    ) -> Result<Map<String, Json>, StepError> {
        let given = fields.as_object().cloned().unwrap_or_default();
        let known = self.table(api, table).await?;
        let mut body = Map::new();
        for (name, value) in given {
            if name.contains('.') {
                return Err(invalid(
                    "FIELD_UNKNOWN",
                    format!("\"{name}\" leads to another record; write that record in a step of its own"),
                ));
            }
            let field = match &known {
                Some(known) => Some(self.field(api, known, &name).await?),
                None => None,
            };
            if field.as_ref().is_some_and(|field| field.read_only || field.kind == Kind::Hidden) && name != "sys_id" {
                return Err(invalid(
                    "FIELD_READ_ONLY",
                    format!("the field {name} of {table} cannot be written; ServiceNow would ignore it"),
                )
                .with_next("Leave the field out."));
            }
            let text = as_text(&value);
            let date = field.is_none_or(|field| matches!(field.kind, Kind::DateTime | Kind::Date));
            body.insert(name, json!(if date && !shown { moment(&text) } else { text }));
        }
        Ok(body)
    }

    /// The kinds of the fields rows will have: all of a table, or the named ones, which are checked.
    pub(super) async fn kinds(&self, api: &Api<'_>, table: &str, fields: &[String]) -> Result<Kinds, StepError> {
        let Some(table) = self.table(api, table).await? else { return Ok(Kinds(None)) };
        let mut kinds: HashMap<String, Field> = HashMap::new();
        for path in fields {
            kinds.insert(path.clone(), self.field(api, &table, path).await?);
        }
        if fields.is_empty() {
            kinds.extend(table.fields.iter().map(|(name, field)| (name.clone(), field.clone())));
        }
        Ok(Kinds(Some(kinds)))
    }
}

fn unknown(table: &Table, name: &str) -> StepError {
    let known: Vec<&str> = table.fields.keys().map(String::as_str).collect();
    let near = strict::nearest(name, &known).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    invalid("FIELD_UNKNOWN", format!("the table {} has no field \"{name}\"{near}", table.name)).with_next(
        "Correct the name. ServiceNow would leave the field out without a word, and a filter would then find the whole table.",
    )
}

async fn load(api: &Api<'_>, name: &str) -> Result<Table, StepError> {
    let above: Vec<String> = (1..WALK_MAX).map(|level| format!("{}name", "super_class.".repeat(level))).collect();
    let fields: Vec<String> = ["name".to_owned(), "label".to_owned()].into_iter().chain(above.iter().cloned()).collect();
    let query = format!("name={}", checked_table(name)?);
    let found =
        api.rows(&Ask { table: "sys_db_object", query: &query, fields: &fields, limit: 1, offset: 0, display: false }).await?;
    let Some(object) = found.rows.first() else {
        return Err(StepError::new(
            ErrorClass::Invalid,
            "TABLE_UNKNOWN",
            format!("ServiceNow shows no table \"{name}\": there is none of that name, or the integration user may not read the dictionary"),
        )
        .with_next("Check the name, give the user the role personalize_dictionary, or set check_fields to false in the connection."));
    };
    let chain: Vec<String> = std::iter::once(name)
        .chain(above.iter().map(|path| value(object, path)))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    let query = format!("nameIN{}^elementISNOTEMPTY^active=true^ORDERBYsys_id", chain.join(","));
    let columns =
        ["name", "element", "column_label", "internal_type", "max_length", "mandatory", "read_only", "reference", "choice"];
    let columns = columns.map(str::to_owned);
    let found = api
        .rows(&Ask { table: "sys_dictionary", query: &query, fields: &columns, limit: ROWS_MAX, offset: 0, display: false })
        .await?;
    let mut fields = BTreeMap::new();
    // Parents first, so that what a child says of a field wins.
    for table in chain.iter().rev() {
        for row in found.rows.iter().filter(|row| value(row, "name") == table) {
            fields.insert(value(row, "element").to_owned(), field(row));
        }
    }
    Ok(Table { name: name.to_owned(), chain, fields })
}

fn field(row: &Json) -> Field {
    Field {
        label: value(row, "column_label").to_owned(),
        kind: Kind::of(value(row, "internal_type")),
        target: value(row, "reference").to_owned(),
        choice: matches!(value(row, "choice"), "1" | "3"),
        mandatory: value(row, "mandatory") == "true",
        read_only: value(row, "read_only") == "true",
        length: value(row, "max_length").parse().unwrap_or_default(),
    }
}

/// The kinds of rows' fields; nothing when fields are not looked up.
pub(super) struct Kinds(Option<HashMap<String, Field>>);

impl Kinds {
    /// A row as recipes see it: values by their type, and beside references, choices and lists what people see.
    pub(super) fn record(&self, row: &Json) -> Json {
        let mut record = Map::new();
        for (name, both) in row.as_object().into_iter().flatten() {
            let value = both.get("value").unwrap_or(both).as_str().unwrap_or_default();
            let shown = both.get("display_value").and_then(Json::as_str).unwrap_or(value);
            let Some(field) = self.0.as_ref().and_then(|known| known.get(name)) else {
                record.insert(name.clone(), json!(value));
                if shown != value {
                    record.insert(format!("{name}_display"), json!(shown));
                }
                continue;
            };
            if matches!(field.kind, Kind::Journal | Kind::Hidden) {
                continue;
            }
            record.insert(name.clone(), typed(field.kind, value));
            if field.choice || matches!(field.kind, Kind::Reference | Kind::List) {
                record.insert(format!("{name}_display"), if value.is_empty() { Json::Null } else { json!(shown) });
            }
        }
        Json::Object(record)
    }
}

/// A value by its type; null when it is empty.
fn typed(kind: Kind, value: &str) -> Json {
    if value.is_empty() {
        return Json::Null;
    }
    match kind {
        Kind::Boolean => json!(value == "true" || value == "1"),
        Kind::Integer | Kind::Decimal => {
            serde_json::from_str::<serde_json::Number>(value).map_or_else(|_| json!(value), Json::Number)
        }
        Kind::DateTime if value.len() == 19 => json!(format!("{}T{}Z", &value[..10], &value[11..])),
        _ => json!(value),
    }
}

/// Every table of the instance.
pub(super) async fn objects(cx: Cx) -> Result<Vec<Object>, StepError> {
    let api = Api::new(&cx)?;
    let fields = ["name", "label"].map(str::to_owned);
    let found = api
        .rows(&Ask { table: "sys_db_object", query: "ORDERBYlabel", fields: &fields, limit: ROWS_MAX, offset: 0, display: false })
        .await?;
    let tables = found.rows.iter().filter(|row| !value(row, "name").is_empty());
    Ok(tables.map(|row| Object { name: value(row, "name").to_owned(), title: value(row, "label").to_owned() }).collect())
}

/// A JSON Schema of a table's records.
pub(super) async fn object(dictionary: Arc<Dictionary>, cx: Cx, name: String) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    // Asked for on purpose, so what is kept is not good enough.
    let table = dictionary.known(&api, &name, Duration::ZERO).await?;
    let choices = choices(&api, &table).await?;
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, field) in table.fields.iter().filter(|(_, field)| field.kind != Kind::Hidden) {
        let mut schema = json!({"title": field.label});
        // All is text where it is kept: it may be written as text, and what does not look like its type is read as text.
        schema["type"] = match field.kind {
            Kind::Boolean => json!(["boolean", "string"]),
            Kind::Integer => json!(["integer", "string"]),
            Kind::Decimal => json!(["number", "string"]),
            _ => json!("string"),
        };
        match field.kind {
            Kind::Date => schema["format"] = json!("date"),
            Kind::DateTime => schema["format"] = json!("date-time"),
            Kind::Reference => schema["description"] = json!(format!("The sys_id of a record of {}.", field.target)),
            Kind::List => schema["description"] = json!("Several sys_ids with commas between."),
            Kind::Journal => schema["writeOnly"] = json!(true),
            Kind::Text if field.length > 0 => schema["maxLength"] = json!(field.length),
            _ => {}
        }
        // A record may be given its id when it is made.
        if field.read_only && name != "sys_id" {
            schema["readOnly"] = json!(true);
        }
        if let Some(choices) = choices.get(name) {
            let known = choices.iter().map(|(value, label)| json!({"const": typed(field.kind, value), "title": label}));
            // ServiceNow takes others, too, and labels where the step says so.
            schema["anyOf"] = known.chain([json!({"type": schema["type"]})]).collect();
        }
        // A hint only: forms and policies may ask for more, or for less.
        if field.mandatory {
            required.push(json!(name));
        }
        properties.insert(name.clone(), schema);
    }
    Ok(json!({"type": "object", "properties": properties, "required": required}))
}

type Choices = HashMap<String, Vec<(String, String)>>;

/// Values and labels by field; those of the nearest table that has some.
async fn choices(api: &Api<'_>, table: &Table) -> Result<Choices, StepError> {
    let query = format!("nameIN{}^inactive=false^language=en^ORDERBYsequence", table.chain.join(","));
    let fields = ["name", "element", "value", "label"].map(str::to_owned);
    let found = api
        .rows(&Ask { table: "sys_choice", query: &query, fields: &fields, limit: ROWS_MAX, offset: 0, display: false })
        .await?;
    let mut choices = Choices::new();
    for name in table.chain.iter().rev() {
        let mut own = Choices::new();
        for row in found.rows.iter().filter(|row| value(row, "name") == name) {
            own.entry(value(row, "element").to_owned())
                .or_default()
                .push((value(row, "value").to_owned(), value(row, "label").to_owned()));
        }
        choices.extend(own);
    }
    Ok(choices)
}
