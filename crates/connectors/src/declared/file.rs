//! A whole connector file.

use std::{collections::HashMap, sync::Arc};

use connector::{
    Budget, ClassBudget, ClassBudgets, Connector, Effect, ErrorClass, Limits, Secret, TestCall, Trigger, api::Dialect, strict,
};
use serde_json::{Value as Json, json};

use super::{
    action,
    auth::Auth,
    errors::Errors,
    hook, poll,
    problem::{Code, Problem, Problems, shown},
    prove,
    record::{self, Record},
    request::{self, System},
    schema,
    template::{Names, Template},
    yaml::{self, Node},
};

/// Largest connector file.
pub const FILE_BYTES_MAX: usize = 16_000_000;
/// Values in it.
const PARTS_MAX: usize = 2_000_000;
/// How deep records and lists lie in it.
const DEPTH_MAX: usize = 100;
/// Actions of one connector.
const ACTIONS_MAX: usize = 2000;
/// Triggers of one connector.
const TRIGGERS_MAX: usize = 200;
/// Tests of one file.
const TESTS_MAX: usize = 1000;

const KEYS: [&str; 13] = [
    "connector",
    "id",
    "title",
    "summary",
    "note",
    "connection",
    "webhooks",
    "errors",
    "limits",
    "test",
    "actions",
    "triggers",
    "tests",
];
const CONNECTION_KEYS: [&str; 5] = ["base_url", "fields", "auth", "headers", "note"];
const LIMIT_KEYS: [&str; 7] = ["per_second", "burst", "per_day", "in_flight", "by_class", "reads", "writes"];
const CLASS_LIMIT_KEYS: [&str; 3] = ["per_second", "burst", "in_flight"];
const TRIGGER_KEYS: [&str; 9] = ["id", "title", "summary", "note", "with", "event", "sample", "webhook", "poll"];

/// What a connector file says, checked.
pub struct File {
    /// The connector's name in recipes.
    pub id: String,
    title: String,
    summary: String,
    note: Option<String>,
    settings: Json,
    credentials: Json,
    check: Option<hook::Check>,
    system: System,
    limits: Limits,
    reads: Vec<String>,
    writes: Vec<String>,
    test: Option<(String, Json, Vec<ErrorClass>)>,
    actions: Vec<action::Spec>,
    triggers: Vec<TriggerSpec>,
    pub(crate) tests: Vec<prove::Test>,
}

struct TriggerSpec {
    id: String,
    title: String,
    summary: String,
    with: Json,
    event: Json,
    sample: Option<Json>,
    webhook: Option<hook::Spec>,
    poll: Option<poll::Spec>,
}

impl File {
    /// Reads a connector file.
    ///
    /// # Errors
    /// All problems of the file, in its order.
    pub fn read(text: &str) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let limits = yaml::Limits { bytes: FILE_BYTES_MAX, depth: DEPTH_MAX, parts: PARTS_MAX, aliases: false };
        let file = yaml::read(text, limits, &mut problems).and_then(|root| read(&root, &mut problems));
        match file {
            Some(file) if problems.is_empty() => Ok(file),
            _ => Err(problems.finish()),
        }
    }

    /// The connector itself. Its names are kept as long as the process lives (decision 0019), so read a file once.
    #[must_use]
    pub fn connector(self) -> Connector {
        let title: &'static str = self.title.leak();
        let mut system = self.system;
        system.dialect = Dialect { system: title, errors: system.errors.table(), refusal: |_| None, fails_late: false };
        let system = Arc::new(system);
        let mut connector = Connector::new(self.id.leak(), title, self.summary.leak());
        connector.errors = system.dialect.errors;
        connector.notes = leaked(self.note.into_iter().collect());
        connector.sign_in = system.auth.sign_in();
        connector.limits = Limits { reads: leaked(self.reads), writes: leaked(self.writes), ..self.limits };
        connector.test = self.test.map(|(action, input, fine)| TestCall { action: action.leak(), input, fine: fine.leak() });
        let (settings, own, check) = (self.settings.clone(), Arc::clone(&system), self.check.clone());
        let connector = connector.connections(self.settings, self.credentials, move |config, credentials| {
            validate(config, credentials, &settings, &own, check.as_ref())
        });
        connector
            .actions(self.actions.into_iter().map(|action| action.action(&system)))
            .triggers(self.triggers.into_iter().map(|trigger| trigger.trigger(&system, self.check.as_ref())))
    }

    /// The names of its actions and triggers, and how many tests it declares.
    #[must_use]
    pub fn contents(&self) -> (Vec<&str>, Vec<&str>, usize) {
        let actions = self.actions.iter().map(|action| action.id.as_str()).collect();
        (actions, self.triggers.iter().map(|trigger| trigger.id.as_str()).collect(), self.tests.len())
    }
}

fn leaked(names: Vec<String>) -> &'static [&'static str] {
    names.into_iter().map(|name| &*name.leak()).collect::<Vec<&'static str>>().leak()
}

fn validate(
    config: &Json,
    credentials: &HashMap<String, Secret>,
    settings: &Json,
    system: &System,
    check: Option<&hook::Check>,
) -> Result<(), Vec<(String, String)>> {
    let mut problems = strict::Problems::default();
    schema::check_settings(config, settings, &mut problems);
    if let Some(text) = config.get("base_url").and_then(Json::as_str)
        && let Err(sentence) = request::read_base(text)
    {
        problems.add("config.base_url", sentence);
    }
    let beside = check.map(hook::Check::names).unwrap_or_default();
    system.auth.check(config, credentials, &beside, &mut problems);
    if let Some(check) = check {
        check.check(credentials, &mut problems);
    }
    problems.finish()
}

fn read(root: &Node, problems: &mut Problems) -> Option<File> {
    let record = Record::read(root, "a connector file", &KEYS, problems)?;
    match record.need("connector", "a connector file", problems).map(Node::json) {
        None => {}
        Some(version) if version == json!(1) => {}
        Some(_) => problems.add(Code::Value, record.place("connector"), "This build reads connector files of version 1."),
    }
    let id = record::name(&record, "id", "a connector", problems);
    let title = record.need_text("title", "a connector file", problems);
    let summary = record.need_text("summary", "a connector file", problems);
    let note = record.text("note", problems).map(|note| note.split_whitespace().collect::<Vec<_>>().join(" "));
    let connection = record
        .need("connection", "a connector file", problems)
        .and_then(|node| Record::read(node, "connection", &CONNECTION_KEYS, problems));
    let mut settings = schema::settings(connection.and_then(|connection| connection.get("fields")), problems);
    let own = schema::names(&settings).into_iter().map(str::to_owned).collect::<Vec<_>>();
    for name in ["base_url", "auth", "token_url", "scope", "budget"].into_iter().filter(|name| own.iter().any(|own| own == name))
    {
        let at = connection.map_or(record.at, |connection| connection.place("fields"));
        problems.add(Code::Repeated, at, format!("The setting \"{name}\" is there already; choose another name."));
    }
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let names = Names::new(&["config"]).with("config", own.iter().copied());
    let auth = Auth::read(connection.and_then(|connection| connection.get("auth")), &names, problems);
    let base_url = connection.and_then(|connection| base_url(&connection, &names, problems));
    let headers = request::headers(connection.and_then(|connection| connection.get("headers")), &names, problems);
    let check = record.get("webhooks").and_then(|node| hook::Check::read(node, problems));
    let errors = Errors::read(record.get("errors"), problems);
    let actions: Vec<action::Spec> = record
        .list("actions", ACTIONS_MAX, problems)
        .iter()
        .filter_map(|node| action::Spec::read(node, &own, problems))
        .collect();
    let triggers: Vec<TriggerSpec> = record
        .list("triggers", TRIGGERS_MAX, problems)
        .iter()
        .filter_map(|node| TriggerSpec::read(node, &own, record.get("webhooks").is_some(), problems))
        .collect();
    repeated(record.list("actions", ACTIONS_MAX, problems), "action", problems);
    repeated(record.list("triggers", TRIGGERS_MAX, problems), "trigger", problems);
    let (limits, reads, writes) = limits(&record, &actions, problems);
    let test = test(&record, &actions, problems);
    let tests = record.list("tests", TESTS_MAX, problems).to_vec();
    let tests = tests.iter().filter_map(|node| prove::Test::read(node, &actions, &trigger_ids(&triggers), problems)).collect();
    if let Some(properties) = settings["properties"].as_object_mut() {
        properties.insert(
            "base_url".to_owned(),
            json!({"type": "string", "title": "Address", "description": "Where the system is, if not at its usual address: an installation of one's own, or one for tests."}),
        );
        auth.settings(properties);
    }
    let mut credentials = auth.credentials();
    if let Some(check) = &check {
        check.credentials(&mut credentials);
    }
    Some(File {
        id: id?.to_owned(),
        title: title?.to_owned(),
        summary: summary?.to_owned(),
        note,
        settings,
        credentials: json!({"type": "object", "properties": credentials, "additionalProperties": false}),
        check,
        system: System {
            dialect: Dialect { system: "", errors: &[], refusal: |_| None, fails_late: false },
            base_url: base_url?,
            headers,
            auth: Arc::new(auth),
            errors,
        },
        limits,
        reads,
        writes,
        test,
        actions,
        triggers,
        tests,
    })
}

fn trigger_ids(triggers: &[TriggerSpec]) -> Vec<&str> {
    triggers.iter().map(|trigger| trigger.id.as_str()).collect()
}

fn base_url(connection: &Record<'_>, names: &Names<'_>, problems: &mut Problems) -> Option<Template> {
    let text = connection.need_text("base_url", "connection", problems)?;
    let at = connection.place("base_url");
    // The host must be plain once formulas are filled in; a formula may not bring a whole address of its own.
    let sample = Template::text_of(text, at, names, problems);
    if !text.starts_with("https://") && !text.starts_with("http://") {
        problems.add(Code::Value, at, "The base_url must start with https://, as in https://api.example.com/v2.");
    } else if !text.contains("${")
        && let Err(sentence) = request::read_base(text)
    {
        problems.add(Code::Value, at, format!("The base_url is not right: {sentence}."));
    }
    Some(sample)
}

fn repeated(nodes: &[Node], what: &str, problems: &mut Problems) {
    let mut seen = std::collections::HashSet::new();
    for node in nodes {
        if let Some(id) = node.get("id")
            && let Some(text) = id.text()
            && !seen.insert(text)
        {
            problems.add(Code::Repeated, id.at, format!("There is {what} \"{}\" already.", shown(text)));
        }
    }
}

fn limits(record: &Record<'_>, actions: &[action::Spec], problems: &mut Problems) -> (Limits, Vec<String>, Vec<String>) {
    let none = (Limits::default(), Vec::new(), Vec::new());
    let Some(record) = record.get("limits").and_then(|node| Record::read(node, "limits", &LIMIT_KEYS, problems)) else {
        return none;
    };
    let known: Vec<&str> = actions.iter().map(|action| action.id.as_str()).collect();
    let named = |key: &str, problems: &mut Problems| {
        let mut found = Vec::new();
        for (name, at) in record.texts(key, problems) {
            if !known.contains(&name) {
                problems.unknown(Code::UnknownName, at, "action", name, &known);
            }
            found.push(name.to_owned());
        }
        found
    };
    let budget = Budget {
        per_second: rate(&record, problems),
        burst: calls(&record, "burst", problems),
        per_day: calls(&record, "per_day", problems),
        in_flight: calls(&record, "in_flight", problems),
    };
    let by_class = record.get("by_class").and_then(|node| Record::read(node, "by_class", &["reads", "writes"], problems));
    let mut class = |key: &str| {
        let record = by_class.as_ref()?.get(key).and_then(|node| Record::read(node, key, &CLASS_LIMIT_KEYS, problems))?;
        let (per_second, burst) = (rate(&record, problems), calls(&record, "burst", problems));
        Some(ClassBudget { per_second, burst, in_flight: calls(&record, "in_flight", problems) })
    };
    let by_class = ClassBudgets { reads: class("reads").unwrap_or_default(), writes: class("writes").unwrap_or_default() };
    (Limits { budget, by_class, ..Limits::default() }, named("reads", problems), named("writes", problems))
}

fn calls(record: &Record<'_>, key: &str, problems: &mut Problems) -> Option<u32> {
    record.number(key, 1, u64::from(u32::MAX), problems).and_then(|number| u32::try_from(number).ok())
}

fn rate(record: &Record<'_>, problems: &mut Problems) -> Option<f64> {
    let node = record.get("per_second")?;
    let rate = node.json().as_f64().filter(|rate| *rate > 0.0);
    if rate.is_none() {
        problems.add(Code::Value, node.at, "\"per_second\" must be a number above 0.");
    }
    rate
}

fn test(record: &Record<'_>, actions: &[action::Spec], problems: &mut Problems) -> Option<(String, Json, Vec<ErrorClass>)> {
    let record = Record::read(record.get("test")?, "test", &["action", "input", "fine"], problems)?;
    let name = record.need_text("action", "test", problems)?;
    let known: Vec<&str> = actions.iter().map(|action| action.id.as_str()).collect();
    let Some(action) = actions.iter().find(|action| action.id == name) else {
        problems.unknown(Code::UnknownName, record.place("action"), "action", name, &known);
        return None;
    };
    if action.effect != Effect::None {
        problems.add(Code::Value, record.place("action"), "The test of a connection must have no effect.");
    }
    let input = record.get("input").map_or_else(|| json!({}), Node::json);
    schema::fits(&input, &action.input, record.place("input"), "The input of the test", problems);
    let mut fine = Vec::new();
    for (word, at) in record.texts("fine", problems) {
        match ErrorClass::parse(word) {
            Some(class) => fine.push(class),
            None => problems.unknown(Code::Value, at, "class of errors", word, &ErrorClass::ALL.map(ErrorClass::as_str)),
        }
    }
    Some((name.to_owned(), input, fine))
}

impl TriggerSpec {
    fn read(node: &Node, settings: &[&str], checked: bool, problems: &mut Problems) -> Option<Self> {
        let record = Record::read(node, "a trigger", &TRIGGER_KEYS, problems)?;
        let id = record::name(&record, "id", "a trigger", problems);
        let title = record.need_text("title", "a trigger", problems);
        let summary = record.need_text("summary", "a trigger", problems);
        let with = schema::fields(record.get("with"), "with", problems);
        let names = schema::names(&with);
        let event = schema::schema(record.get("event"), problems);
        let sample = schema::sample(record.get("sample"), &event, "The sample", problems);
        let webhook = record.get("webhook").and_then(|node| hook::Spec::read(node, &names, settings, problems));
        let poll = record.get("poll").and_then(|node| poll::Spec::read(node, &names, settings, problems));
        if record.get("webhook").is_none() && record.get("poll").is_none() {
            problems.add(Code::MissingKey, record.at, "A trigger needs \"webhook\", \"poll\" or both.");
        }
        if record.get("webhook").is_some() && !checked {
            problems.helped(
                Code::MissingKey,
                record.place("webhook"),
                "Nothing says how requests of the system are checked.",
                "Add webhooks: { verify: … } to the file.",
            );
        }
        Some(Self {
            id: id?.to_owned(),
            title: title?.to_owned(),
            summary: summary?.to_owned(),
            with,
            event,
            sample,
            webhook,
            poll,
        })
    }

    fn trigger(self, system: &Arc<System>, check: Option<&hook::Check>) -> Trigger {
        let mut trigger =
            Trigger::new(self.id.leak(), self.title.leak(), self.summary.leak()).config(self.with).output(self.event);
        trigger.sample = self.sample;
        trigger.webhook = self.webhook.zip(check).map(|(webhook, check)| webhook.webhook(check.clone()));
        trigger.poll = self.poll.map(|poll| poll.poll(system));
        trigger
    }
}
