//! The records an instance begins with: the company's books, and what every instance has.

mod books;
mod work;

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::{
    State,
    access::Secrets,
    data::{Data, Record},
    oauth::{Client, Registry},
    schema::{Definition, Kind, Schema},
};
use crate::{Company, World};

/// The user integrations sign in as.
pub(super) const INTEGRATION_USER: &str = "liaison.integration";
/// The property that holds the key webhooks are signed with.
pub(super) const WEBHOOK_PROPERTY: &str = "liaison.webhook.key";
/// What that user may do.
const INTEGRATION_ROLES: &str =
    "itil,import_transformer,user_admin,company_admin,personalize_dictionary,audit_reader,sn_change_write,rest_service";

/// Ids that demo data of real instances has, by our key: the vendor's own client tests name them.
const DEMO_IDS: &[(&str, &str)] = &[
    ("sys_user/admin", "6816f79cc0a8016401c5a33be04be441"),
    ("sys_user/problem.admin", "26fbff173b331300ad3cc9bb34efc4bd"),
    ("sys_user/natasha.ingram", "46c5bf6ca9fe1981010713e3ac7d3384"),
    ("cmn_department/Finance", "a581ab703710200044e0bfc8bcbe5de8"),
    ("sys_user_role/admin", "2831a114c611228501d4ea6c309d626d"),
];

/// Makes records with ids that follow from the seed and with stamps.
pub(super) struct Maker<'a> {
    seed: u64,
    pub(super) company: &'a Company,
}

impl<'a> Maker<'a> {
    pub(super) fn new(world: &World, company: &'a Company) -> Self {
        Self { seed: world.seed(), company }
    }

    /// The `sys_id` of a record by table and a key of ours.
    pub(super) fn id(&self, table: &str, key: &str) -> String {
        let name = format!("{table}/{key}");
        let known = DEMO_IDS.iter().find(|(demo, _)| *demo == name).map(|(_, id)| (*id).to_owned());
        known.unwrap_or_else(|| hex::encode(&Sha256::digest(format!("servicenow/{}/{name}", self.seed))[..16]))
    }

    /// A text nobody guesses, for passwords and keys.
    fn secret(&self, name: &str) -> String {
        hex::encode(Sha256::digest(format!("servicenow/{}/secret/{name}", self.seed)))
    }

    /// A record made so many minutes before the day of the books.
    pub(super) fn record(&self, table: &str, key: &str, minutes_ago: i64) -> Record {
        let noon = self.company.today.at(12, 0, 0, 0);
        let at = noon.checked_sub(jiff::SignedDuration::from_mins(minutes_ago)).unwrap_or(noon).to_string().replace('T', " ");
        Record::new(table)
            .with("sys_id", self.id(table, key))
            .with("sys_created_on", &at)
            .with("sys_created_by", "admin")
            .with("sys_updated_on", at)
            .with("sys_updated_by", "admin")
            .with("sys_mod_count", "0")
            .with("sys_class_name", table)
    }
}

pub(super) fn fill(state: &mut State, world: &World, company: &Company) {
    let make = Maker::new(world, company);
    state.data = Data::new(Schema::first());
    let schema = state.data.schema.clone();
    let mut all: Vec<Record> = schema.tables().flat_map(|table| dictionary(&make, table)).collect();
    all.extend(choices(&make));
    all.extend(system(&make));
    all.extend(books::records(&make));
    all.extend(work::records(&make));
    for record in &mut all {
        complete(&schema, record);
    }
    state.data.fill(all);
    number(&mut state.data);
    (state.secrets, state.registry) = secrets(&make);
}

/// Defaults of the fields nobody set.
fn complete(schema: &Schema, record: &mut Record) {
    for field in schema.fields(&record.class) {
        if !field.default.is_empty() && record.get(&field.name).is_empty() {
            record.set(&field.name, field.default.clone());
        }
    }
    if schema.is_a(&record.class, "incident") {
        record.set("incident_state", record.get("state").to_owned());
    }
}

/// Gives numbers in the order of creation.
fn number(data: &mut Data) {
    let tables: Vec<String> = data.schema.tables().map(|table| table.name.clone()).collect();
    for table in tables {
        if data.schema.field(&table, "number").is_none() {
            continue;
        }
        let own = data.all(&table).filter(|record| record.class == table);
        let mut records: Vec<(String, String)> =
            own.map(|record| (record.get("sys_created_on").to_owned(), record.id().to_owned())).collect();
        records.sort();
        for (_, id) in records {
            let number = data.next_number(&table);
            if let (Some(record), Some(number)) = (data.find(&table, &id).cloned(), number) {
                data.put((*record).clone().with("number", number));
            }
        }
    }
}

/// The rows that describe a table: itself, its own fields, their labels.
pub(super) fn dictionary(make: &Maker<'_>, table: &Definition) -> Vec<Record> {
    let parent = if table.parent.is_empty() { String::new() } else { make.id("sys_db_object", &table.parent) };
    let object = make
        .record("sys_db_object", &table.name, 600_000)
        .with("name", &table.name)
        .with("label", &table.label)
        .with("super_class", parent)
        .with("number_ref", &table.prefix)
        .with("is_extendable", "true");
    let collection = make
        .record("sys_dictionary", &table.name, 600_000)
        .with("name", &table.name)
        .with("column_label", &table.label)
        .with("internal_type", "collection")
        .with("active", "true");
    let mut rows = vec![object, collection];
    for field in &table.fields {
        let key = format!("{}.{}", table.name, field.name);
        let choice = if picked(&key) { "1" } else { "0" };
        rows.push(
            make.record("sys_dictionary", &key, 600_000)
                .with("name", &table.name)
                .with("element", &field.name)
                .with("column_label", &field.label)
                .with("internal_type", &field.internal)
                .with("max_length", field.length.to_string())
                .with("mandatory", field.mandatory.to_string())
                .with("read_only", field.read_only.to_string())
                .with("display", field.display.to_string())
                .with("default_value", &field.default)
                .with("choice", choice)
                .with("active", "true")
                .with("virtual", (field.kind == Kind::Journal && field.read_only).to_string())
                .with("unique", (field.name == "sys_id").to_string())
                .with("reference", &field.target),
        );
        rows.push(
            make.record("sys_documentation", &key, 600_000)
                .with("name", &table.name)
                .with("element", &field.name)
                .with("label", &field.label),
        );
    }
    rows
}

/// True when a field has choices of its own.
fn picked(key: &str) -> bool {
    choice_lines().any(|(name, _)| name == key)
}

fn choice_lines() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("choices.txt").lines().filter_map(|line| line.split_once('|'))
}

fn choices(make: &Maker<'_>) -> Vec<Record> {
    let one = |name: &str, place: usize, choice: &str| {
        let (table, element) = name.split_once('.')?;
        let (value, label) = choice.split_once('=')?;
        let row = make.record("sys_choice", &format!("{name}.{value}"), 600_000);
        Some(
            row.with("name", table)
                .with("element", element)
                .with("value", value)
                .with("label", label)
                .with("sequence", place.to_string())
                .with("language", "en")
                .with("inactive", "false"),
        )
    };
    choice_lines()
        .flat_map(|(name, list)| list.split('|').enumerate().filter_map(move |(place, choice)| one(name, place, choice)))
        .collect()
}

/// What instances have besides business records.
fn system(make: &Maker<'_>) -> Vec<Record> {
    let mut rows: Vec<Record> = (0..650_i64)
        .map(|place| {
            let row = make.record("syslog", &place.to_string(), place * 7);
            row.with("level", (place % 3).to_string())
                .with("source", "scheduler")
                .with("message", format!("Worker finished, run {place}"))
        })
        .collect();
    rows.extend((0..520_i64).map(|place| {
        let row = make.record("sys_metadata", &place.to_string(), 500_000 + place);
        row.with("sys_name", format!("Application file {place}"))
    }));
    rows.extend(["alm_asset", "bsm_chart"].iter().flat_map(|table| {
        (0..6).map(move |place| {
            let name = format!("{} {place}", if *table == "alm_asset" { "P1000 Laptop" } else { "Chart" });
            make.record(table, &place.to_string(), 300_000).with("display_name", &name).with("name", name)
        })
    }));
    let key = STANDARD.encode(make.secret("webhook"));
    rows.push(
        make.record("sys_properties", WEBHOOK_PROPERTY, 1_000)
            .with("name", WEBHOOK_PROPERTY)
            .with("value", key)
            .with("is_private", "true")
            .with("type", "password2"),
    );
    rows
}

/// Passwords, keys and clients.
fn secrets(make: &Maker<'_>) -> (Secrets, Registry) {
    let names = ["admin", "problem.admin", INTEGRATION_USER, "read.only"];
    let passwords: HashMap<String, String> =
        names.iter().map(|name| ((*name).to_owned(), make.secret(name)[..20].to_owned())).collect();
    let user = make.id("sys_user", INTEGRATION_USER);
    let api_keys = HashMap::from([(format!("now_{}", &make.secret("api key")[..48]), user.clone())]);
    let client = |name: &str, secret: bool| Client {
        id: make.secret(name)[..32].to_owned(),
        secret: if secret { make.secret(&format!("{name} secret"))[..32].to_owned() } else { String::new() },
        user: user.clone(),
        shared_key: make.secret(&format!("{name} shared key")),
    };
    let clients = vec![client("client", true), client("public client", false)];
    (Secrets { passwords, api_keys, ..Secrets::default() }, Registry { clients, ..Registry::default() })
}
