//! The fields of actions, as people see them.

use serde_json::{Map, Value as Json, json};

/// One field of an input.
#[derive(Clone)]
pub(super) struct Field {
    name: &'static str,
    schema: Json,
    needed: bool,
}

fn field(name: &'static str, title: &str, help: &str, mut schema: Json) -> Field {
    schema["title"] = json!(title);
    if !help.is_empty() {
        schema["description"] = json!(help);
    }
    Field { name, schema, needed: false }
}

impl Field {
    /// It must be given.
    pub(super) fn must(mut self) -> Self {
        self.needed = true;
        self
    }
}

pub(super) fn text(name: &'static str, title: &str, help: &str) -> Field {
    field(name, title, help, json!({"type": ["string", "null"]}))
}

/// The id of a record.
pub(super) fn id(name: &'static str, title: &str, example: &str) -> Field {
    let help = if example.is_empty() { String::new() } else { format!("Its id in Stripe, such as {example}.") };
    field(name, title, &help, json!({"type": "string", "minLength": 1, "maxLength": 255})).must()
}

pub(super) fn whole(name: &'static str, title: &str, help: &str) -> Field {
    field(name, title, help, json!({"type": ["integer", "null"]}))
}

pub(super) fn number(name: &'static str, title: &str, help: &str) -> Field {
    field(name, title, help, json!({"type": ["number", "null"]}))
}

pub(super) fn flag(name: &'static str, title: &str, help: &str) -> Field {
    field(name, title, help, json!({"type": ["boolean", "null"]}))
}

pub(super) fn record(name: &'static str, title: &str, help: &str) -> Field {
    field(name, title, help, json!({"type": ["object", "null"]}))
}

pub(super) fn list(name: &'static str, title: &str, help: &str) -> Field {
    field(name, title, help, json!({"type": ["array", "null"], "items": {"type": "object"}}))
}

pub(super) fn texts(name: &'static str, title: &str, help: &str) -> Field {
    field(name, title, help, json!({"type": ["array", "null"], "items": {"type": "string"}}))
}

pub(super) fn choice(name: &'static str, title: &str, help: &str, values: &[&str]) -> Field {
    let mut values: Vec<Json> = values.iter().map(|value| json!(value)).collect();
    values.push(Json::Null);
    field(name, title, help, json!({ "enum": values }))
}

/// Seconds since 1970.
pub(super) fn time(name: &'static str, title: &str, help: &str) -> Field {
    field(name, title, format!("{help} In seconds since 1970.").trim_start(), json!({"type": ["integer", "null"]}))
}

pub(super) fn metadata() -> Field {
    let schema = json!({"type": ["object", "null"], "additionalProperties": {"type": ["string", "null"]}});
    field(
        "metadata",
        "Metadata",
        "Your own names and texts: up to 50, names up to 40 characters, texts up to 500. Null drops a name.",
        schema,
    )
}

pub(super) fn currency() -> Field {
    field("currency", "Currency", "Three letters, such as usd.", json!({"type": ["string", "null"], "pattern": "^[A-Za-z]{3}$"}))
}

/// An amount in either spelling.
pub(super) fn amount(help: &str) -> [Field; 2] {
    [
        field(
            "amount",
            "Amount in the smallest unit",
            format!("{help} In the currency's smallest unit: 1234 is 12.34 US dollars, or 1234 yen.").trim_start(),
            json!({"type": ["integer", "null"]}),
        ),
        field(
            "amount_decimal",
            "Amount",
            "In place of the amount in the smallest unit: as people write it, such as \"12.34\". Needs the currency.",
            json!({"type": ["string", "null"], "pattern": "^-?[0-9]+(\\.[0-9]+)?$"}),
        ),
    ]
}

pub(super) fn address() -> Field {
    let part = |title: &str| json!({"type": ["string", "null"], "title": title});
    let schema = json!({"type": ["object", "null"], "properties": {
        "line1": part("Street"), "line2": part("Second line"), "city": part("City"), "state": part("State or region"),
        "postal_code": part("Postal code"), "country": part("Country, two letters"),
    }, "additionalProperties": false});
    field("address", "Address", "", schema)
}

/// An input of these fields and of what every step may say.
pub(super) fn schema(fields: &[Field], writes: bool) -> Json {
    let mut properties = Map::new();
    for field in fields.iter().cloned().chain(common(writes)) {
        properties.insert(field.name.to_owned(), field.schema);
    }
    let required: Vec<&str> = fields.iter().filter(|field| field.needed).map(|field| field.name).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// The schema of a context.
pub(super) fn context() -> Json {
    json!({"type": ["string", "null"], "pattern": "^[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*$", "maxLength": 255})
}

fn common(writes: bool) -> Vec<Field> {
    let mut fields = vec![
        texts(
            "expand",
            "Expand",
            "Ids to be filled with their records, such as \"customer\" or \"latest_charge.balance_transaction\"; up to four levels.",
        ),
        field(
            "connected_account",
            "Connected account",
            "For platforms: acts on this account in place of the connection's.",
            json!({"type": ["string", "null"], "pattern": "^acct_[A-Za-z0-9]+$"}),
        ),
        field(
            "context",
            "Context",
            "In place of the connected account: an account, or a path of them with slashes, such as the context of a thin event.",
            context(),
        ),
        record("more", "More fields", "Any other fields, named and nested as in Stripe's reference for the pinned API version."),
    ];
    if writes {
        fields.push(texts(
            "clear",
            "Clear",
            "Names of fields to empty, such as \"description\" or \"metadata\". A field that is left out or null stays as it is.",
        ));
        fields.push(field(
            "idempotency_key",
            "Idempotency key",
            "In place of Liaison's own key, which is the same in every try of this step and lasts 24 hours at Stripe.",
            json!({"type": ["string", "null"], "minLength": 1, "maxLength": 255}),
        ));
    }
    fields
}
