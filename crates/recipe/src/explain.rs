//! A recipe with every default filled in, and where each value comes from.
//!
//! The numbers come from outside, from whoever runs recipes: this crate knows only which place wins.

mod yaml;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::ast::Jitter;
use crate::catalogue::{ActionInfo, Catalogue, Effect};
use crate::diagnostic::Diagnostics;
use crate::diff::duration_text;

/// What an installation does where a recipe says nothing.
#[derive(Debug, Clone)]
pub struct RunDefaults {
    /// Tries in all, the first included.
    pub times: u32,
    /// Pause before the second try.
    pub wait: Duration,
    /// What each further pause is multiplied by.
    pub factor: f64,
    /// The longest pause.
    pub max_wait: Duration,
    /// How the pause is spread.
    pub jitter: Jitter,
    /// No further try once this long after the first began.
    pub within: Option<Duration>,
    /// The error classes tried again.
    pub on: Vec<String>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How long the keys of events are kept.
    pub dedupe: Duration,
}

/// A recipe with every default filled in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// The recipe as data.
    pub recipe: Json,
    /// Where values come from and what they mean, by their places as JSON Pointers.
    pub notes: BTreeMap<String, String>,
    /// What holds without a key that says so, by the place it concerns.
    pub silent: BTreeMap<String, Vec<String>>,
}

impl Explained {
    /// The recipe as YAML, the notes as comments.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let text = yaml::write(self);
        // The one layout also puts the comments below each other.
        crate::fmt(&text).unwrap_or(text)
    }
}

/// Fills in every default of a recipe; `None` if the text is not a record.
#[must_use]
pub fn explain(text: &str, catalogue: &Catalogue, defaults: &RunDefaults) -> Option<Explained> {
    let (_, root) = crate::yaml::read(text.as_bytes(), &mut Diagnostics::default())?;
    let Json::Object(recipe) = crate::diff::data(&root)? else { return None };
    let connections = recipe.get("connections").and_then(Json::as_object).cloned().unwrap_or_default();
    let mut filler = Filler {
        catalogue,
        defaults,
        connections,
        retries: ["defaults", "settings"].map(|key| recipe.get(key).and_then(|part| part.get("retry")).cloned()),
        timeout: recipe.get("defaults").and_then(|part| part.get("timeout")).cloned(),
        notes: BTreeMap::new(),
        silent: BTreeMap::new(),
    };
    let mut recipe = recipe;
    filler.recipe(&mut recipe);
    Some(Explained { recipe: Json::Object(recipe), notes: filler.notes, silent: filler.silent })
}

struct Filler<'c> {
    catalogue: &'c Catalogue,
    defaults: &'c RunDefaults,
    connections: Map<String, Json>,
    /// What `defaults` and `settings` say about retries.
    retries: [Option<Json>; 2],
    timeout: Option<Json>,
    notes: BTreeMap<String, String>,
    silent: BTreeMap<String, Vec<String>>,
}

impl Filler<'_> {
    fn recipe(&mut self, recipe: &mut Map<String, Json>) {
        for (name, connector) in self.connections.clone() {
            let known = self.catalogue.connectors.iter().find(|known| connector == known.id);
            if let Some(known) = known {
                self.note(&format!("/connections/{name}"), format!("a connection of {}", known.title));
            }
        }
        self.trigger(recipe.get_mut("trigger").and_then(Json::as_object_mut));
        let settings = recipe.entry("settings").or_insert_with(|| json!({}));
        if let Json::Object(settings) = settings {
            self.settings(settings);
        }
        let steps = recipe.get_mut("steps");
        self.steps(steps, "/steps");
    }

    fn trigger(&mut self, trigger: Option<&mut Map<String, Json>>) {
        let Some(trigger) = trigger else { return };
        let keep = duration_text(self.defaults.dedupe);
        match trigger.get_mut("dedupe") {
            Some(Json::Object(dedupe)) => self.fill(dedupe, "/trigger/dedupe", "for", json!(keep), "default"),
            _ => self.say("/trigger", format!("dedupe: by the id the sender gives its events, if it gives one; kept for {keep}")),
        }
        if !trigger.contains_key("if") {
            self.say("/trigger", "if: every event starts a run");
        }
    }

    fn settings(&mut self, settings: &mut Map<String, Json>) {
        match settings.get_mut("concurrency") {
            Some(Json::Object(concurrency)) => {
                self.fill(concurrency, "/settings/concurrency", "on_overlap", json!("queue"), "default");
            }
            _ => self.say("/settings", "concurrency: any number of runs at once"),
        }
        match settings.get_mut("keep") {
            Some(Json::Object(keep)) => self.fill(keep, "/settings/keep", "payloads", json!("full"), "default"),
            _ => self.say("/settings", "keep: as long as the installation keeps runs, with everything but credentials"),
        }
        if !settings.contains_key("timeout") {
            self.say("/settings", "timeout: a run may take as long as it needs");
        }
        if !settings.contains_key("on_failure") {
            self.say("/settings", "on_failure: a failed run waits as a dead letter, no recipe is told");
        }
    }

    fn steps(&mut self, steps: Option<&mut Json>, at: &str) {
        let Some(Json::Array(steps)) = steps else { return };
        for (index, step) in steps.iter_mut().enumerate() {
            if let Json::Object(step) = step {
                self.step(step, &format!("{at}/{index}"));
            }
        }
    }

    fn step(&mut self, step: &mut Map<String, Json>, at: &str) {
        if let Some(Json::String(uses)) = step.get("do").cloned() {
            self.action(step, at, &uses);
        }
        if let Some(Json::Object(undo)) = step.get_mut("undo")
            && let Some(Json::String(uses)) = undo.get("do").cloned()
        {
            self.action(undo, &format!("{at}/undo"), &uses);
        }
        if step.contains_key("each") {
            self.fill(step, at, "as", json!("item"), "default");
            self.fill(step, at, "parallel", json!(1), "default: one pass after the other");
            self.fill(step, at, "partial", json!("stop"), "default: the first failed pass fails the loop");
            if !step.contains_key("collect") {
                self.say(at, "collect: the output of the last step of each pass");
            }
            if step.contains_key("file") {
                self.say(at, "file: one line of JSON for each pass that gives something, in the order of the list");
            }
        } else if step.contains_key("parallel") {
            self.fill(step, at, "wait_for", json!("all"), "default");
        }
        if let Some(Json::Object(respond)) = step.get_mut("respond") {
            self.fill(respond, &format!("{at}/respond"), "status", json!(200), "default");
        }
        if !["return", "stop", "fail"].iter().any(|word| step.contains_key(*word)) {
            self.fill(step, at, "on_error", json!("fail"), "default: the nearest catch, or the run fails");
        }
        for key in ["steps", "try", "catch", "finally"] {
            self.steps(step.get_mut(key), &format!("{at}/{key}"));
        }
        match step.get_mut("choose") {
            Some(Json::Array(branches)) => {
                for (index, branch) in branches.iter_mut().enumerate() {
                    for key in ["steps", "otherwise"] {
                        self.steps(branch.get_mut(key), &format!("{at}/choose/{index}/{key}"));
                    }
                }
            }
            _ => {
                for (name, steps) in step.get_mut("parallel").and_then(Json::as_object_mut).into_iter().flatten() {
                    self.steps(Some(steps), &format!("{at}/parallel/{}", pointer(name)));
                }
            }
        }
    }

    /// What holds of a call: its effect, its retries, its time.
    fn action(&mut self, step: &mut Map<String, Json>, at: &str, uses: &str) {
        let Some((name, action)) = uses.split_once('.') else { return };
        let connector = self.connections.get(name).and_then(Json::as_str).unwrap_or(name).to_owned();
        let catalogue = self.catalogue;
        let known = catalogue.connectors.iter().find(|known| known.id == connector);
        let info = known.and_then(|known| known.actions.iter().find(|known| known.id == action));
        if let Some(info) = info {
            let through =
                if connector == name { String::new() } else { format!(" of {connector}, through the connection {name}") };
            let with = step.get("with").cloned().unwrap_or_else(|| json!({}));
            self.note(&format!("{at}/do"), format!("{}{through}; {}", info.title, effect((info.effect.0)(&with))));
            self.inputs(step, at, uses, info);
        }
        self.retry(step, at);
        match &self.timeout {
            _ if step.contains_key("timeout") => {}
            Some(timeout) => self.fill(step, at, "timeout", timeout.clone(), "defaults.timeout"),
            None => self.fill(step, at, "timeout", json!(duration_text(self.defaults.timeout)), "the setting step_timeout"),
        }
    }

    /// Defaults that the action declares for its inputs.
    fn inputs(&mut self, step: &mut Map<String, Json>, at: &str, uses: &str, info: &ActionInfo) {
        let Some(properties) = info.input.get("properties").and_then(Json::as_object) else { return };
        for (name, schema) in properties {
            let Some(default) = schema.get("default").filter(|default| !default.is_null()) else { continue };
            if let Json::Object(with) = step.entry("with").or_insert_with(|| json!({})) {
                self.fill(with, &format!("{at}/with"), name, default.clone(), &format!("default of {uses}"));
            }
        }
    }

    fn retry(&mut self, step: &mut Map<String, Json>, at: &str) {
        let places = ["this step", "defaults.retry", "settings.retry"];
        let [defaults, settings] = &self.retries;
        let written = [step.get("retry"), defaults.as_ref(), settings.as_ref()];
        let found = written.into_iter().zip(places).find_map(|(retry, place)| Some((retry?.clone(), place)));
        let (written, place) = found.unwrap_or((Json::Null, ""));
        let mut policy = match written {
            Json::Object(policy) => policy,
            Json::Number(times) => Map::from_iter([("times".to_owned(), Json::Number(times))]),
            // `none`
            Json::String(_) => Map::from_iter([("times".to_owned(), json!(1))]),
            _ => Map::new(),
        };
        let at = format!("{at}/retry");
        for key in policy.keys().filter(|_| place != places[0]) {
            self.note(&format!("{at}/{key}"), place.to_owned());
        }
        let d = self.defaults;
        self.fill(&mut policy, &at, "times", json!(d.times), "default: tries in all");
        if policy.get("times").and_then(Json::as_u64) != Some(1) {
            self.fill(&mut policy, &at, "wait", json!(duration_text(d.wait)), "default: before the second try");
            self.fill(&mut policy, &at, "factor", factor(d.factor), "default: each further pause is so many times longer");
            self.fill(&mut policy, &at, "max_wait", json!(duration_text(d.max_wait)), "default");
            let jitter = if d.jitter == Jitter::Full { "full" } else { "none" };
            self.fill(&mut policy, &at, "jitter", json!(jitter), "default: the pause is anywhere up to that");
            if let Some(within) = d.within {
                self.fill(&mut policy, &at, "within", json!(duration_text(within)), "default");
            }
            self.fill(&mut policy, &at, "on", json!(d.on), "default: what may pass by itself");
        }
        step.insert("retry".to_owned(), Json::Object(policy));
    }

    /// Sets what is not there and says where it comes from.
    fn fill(&mut self, record: &mut Map<String, Json>, at: &str, key: &str, value: Json, from: &str) {
        if !record.contains_key(key) {
            record.insert(key.to_owned(), value);
            self.note(&format!("{at}/{}", pointer(key)), from.to_owned());
        }
    }

    fn note(&mut self, at: &str, text: String) {
        self.notes.insert(at.to_owned(), text);
    }

    fn say(&mut self, at: &str, text: impl Into<String>) {
        self.silent.entry(at.to_owned()).or_default().push(text.into());
    }
}

/// A key as part of a JSON Pointer (RFC 6901).
fn pointer(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn factor(factor: f64) -> Json {
    // A whole number reads better without its `.0`.
    format!("{factor}").parse::<u64>().map_or_else(|_| json!(factor), |whole| json!(whole))
}

/// What the effect of an action means when no answer comes.
const fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::None => "effect none: it only reads, so a lost answer is asked for again",
        Effect::Idempotent => "effect idempotent: repeating changes nothing more, so a lost answer means another try",
        Effect::Once => "effect once: after a lost answer it is not repeated, a person decides",
    }
}
