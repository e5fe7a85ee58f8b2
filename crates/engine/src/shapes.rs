//! What systems tell of their objects: kept for a while, asked for anew when it is old, and held against recipes.
//!
//! Saving a recipe never waits long for another system: what is not known is asked for beside it, and what does not come in
//! time is there for the next check.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use connector::{Cx, ErrorClass, Object, StepError};
use parking_lot::Mutex;
use recipe::{Catalogue, Diagnostic, Parsed, Severity, ShapeOf};
use serde_json::{Value as Json, json};
use store::{ConnectionRow, RecipeId, RunId, ShapeRow, StoreError, Timestamp, Via, WaitingFor};

use crate::{
    Engine,
    drive::guarded,
    gate::{self, Held, Seat},
};

/// How long one question for the fields of an object, or for all objects, may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);
/// What one answer may take as JSON.
const TOLD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Answers kept, of all connections together.
const TOLD_MAX: u32 = 5_000;
/// Objects of one recipe that are looked at; further ones are left to the action's own schema.
const WANTED_MAX: usize = 50;
/// Questions of one recipe at the same time.
const ASKED_AT_ONCE: usize = 4;
/// What was told a moment ago is not asked for again because of a problem.
const JUST: Duration = Duration::from_secs(30);
/// Longest name of an object.
const NAME_CHARS_MAX: usize = 200;

/// What is asked for in this process just now.
pub(crate) type Asking = Mutex<HashSet<ShapeOf>>;

/// What a system told.
#[derive(Debug, Clone)]
pub struct Known<T> {
    /// It.
    pub told: T,
    /// When.
    pub asked_at: Timestamp,
    /// Why it could not be asked for anew although it is old.
    pub problem: Option<StepError>,
}

/// What a system told of an object, for a check.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// A JSON Schema of its records.
    pub schema: Json,
    /// It was told just now.
    pub sure: bool,
}

/// Why nothing is told of a system's objects.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// There is no such connection.
    #[error("there is no connection {0:?}")]
    NoConnection(String),
    /// Its connector tells no objects.
    #[error("{0} does not tell its objects")]
    NoShapes(&'static str),
    /// No system has an object of that name.
    #[error("{0:?} is no name of an object")]
    Name(String),
    /// The system was asked and did not tell.
    #[error(transparent)]
    Asked(#[from] StepError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// The objects of the system behind a connection. `anew`: whatever is known already.
    ///
    /// # Errors
    /// When nothing is known and the system does not tell.
    pub async fn objects(self: &Arc<Self>, connection: &str, anew: bool) -> Result<Known<Vec<Object>>, ShapeError> {
        let Known { told, asked_at, problem } = self.shape(connection, "", anew).await?;
        let told = serde_json::from_value(told)
            .map_err(|error| StoreError::Corrupt(format!("shapes.told of {connection} makes no sense: {error}")))?;
        Ok(Known { told, asked_at, problem })
    }

    /// A JSON Schema of an object's records. `anew`: whatever is known already.
    ///
    /// # Errors
    /// When nothing is known and the system does not tell.
    pub async fn object(self: &Arc<Self>, connection: &str, object: &str, anew: bool) -> Result<Known<Json>, ShapeError> {
        if !is_name(object) {
            return Err(ShapeError::Name(object.to_owned()));
        }
        self.shape(connection, object, anew).await
    }

    /// Reads and checks a recipe, also against what the systems behind its connections tell of their objects.
    pub async fn check(self: &Arc<Self>, text: &[u8]) -> Parsed {
        let catalogue = self.registry.checks_by();
        let plain = recipe::parse_and_check(text, catalogue);
        let Some(read) = &plain.recipe else { return plain };
        let wanted = self.reachable(read, recipe::shapes_wanted(read, catalogue));
        let told = self.shapes(&wanted, self.settings.shape_age_max).await;
        if told.is_empty() {
            return plain;
        }
        let errors = |parsed: &Parsed| parsed.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
        // Taken for certain at first: what is old must not hide that it should be asked for anew.
        let checked = check_against(text, catalogue, &schemas(told, None));
        if errors(&checked) <= errors(&plain) {
            return checked;
        }
        // A field that is missing may have been added since.
        let told = self.shapes(&wanted, JUST).await;
        check_against(text, catalogue, &schemas(told, Some(self.now())))
    }

    /// Objects behind connections that are there and lead to the connector the recipe says.
    fn reachable(&self, recipe: &recipe::Recipe, wanted: BTreeSet<ShapeOf>) -> Vec<ShapeOf> {
        let bound = |of: &ShapeOf| {
            let says = recipe.connections.iter().find(|bound| bound.name.value == of.connection);
            let leads = self.connection(&of.connection);
            says.zip(leads).is_some_and(|(says, leads)| says.connector.value == leads.connector) && is_name(&of.object)
        };
        wanted.into_iter().filter(bound).take(WANTED_MAX).collect()
    }

    /// What is known of these objects; what is not, or is older than that, is asked for, and waited for a little.
    async fn shapes(self: &Arc<Self>, wanted: &[ShapeOf], age_max: Duration) -> HashMap<ShapeOf, Known<Json>> {
        let mut known = HashMap::new();
        let mut asked = Vec::new();
        let turns = Arc::new(tokio::sync::Semaphore::new(ASKED_AT_ONCE));
        for of in wanted {
            match self.kept(&of.connection, &of.object).await {
                Ok(Some(kept)) => {
                    let young = self.now().since(kept.asked_at) < age_max;
                    known.insert(of.clone(), kept);
                    if young {
                        continue;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(connection = of.connection, object = of.object, %error, "shape.read: its fields are not checked");
                    continue;
                }
            }
            if self.asking.lock().insert(of.clone()) {
                let (engine, of, turns) = (Arc::clone(self), of.clone(), Arc::clone(&turns));
                asked.push(self.tasks.spawn(async move {
                    let turn = turns.acquire().await;
                    let told = engine.ask_shape(&of.connection, &of.object).await;
                    drop(turn);
                    engine.asking.lock().remove(&of);
                    (of, told)
                }));
            }
        }
        let until = tokio::time::Instant::now() + self.settings.shape_patience;
        for question in asked {
            match tokio::time::timeout_at(until, question).await {
                Ok(Ok((of, Ok(told)))) => drop(known.insert(of, told)),
                Ok(Ok((of, Err(ShapeError::Asked(error))))) if error.class == ErrorClass::NotFound => drop(known.remove(&of)),
                Ok(Ok((of, Err(error)))) => {
                    tracing::info!(connection = of.connection, object = of.object, %error, "shape.ask: its system did not tell");
                }
                // It goes on, and what it brings is there for the next check.
                Ok(Err(_)) | Err(_) => {}
            }
        }
        known
    }

    async fn shape(self: &Arc<Self>, connection: &str, object: &str, anew: bool) -> Result<Known<Json>, ShapeError> {
        let kept = if anew { None } else { self.kept(connection, object).await? };
        if let Some(kept) = &kept
            && self.now().since(kept.asked_at) < self.settings.shape_age_max
        {
            return Ok(kept.clone());
        }
        match (self.ask_shape(connection, object).await, kept) {
            (Err(ShapeError::Asked(error)), Some(kept)) if error.class != ErrorClass::NotFound => {
                Ok(Known { problem: Some(error), ..kept })
            }
            (told, _) => told,
        }
    }

    /// What was told before, through the connection as it is now.
    async fn kept(&self, connection: &str, object: &str) -> Result<Option<Known<Json>>, ShapeError> {
        let row = self.connection_row(connection).await?;
        let Some(kept) = self.store.shape(row.id, object).await?.filter(|kept| kept.revision == row.revision) else {
            return Ok(None);
        };
        // What makes no sense is asked for anew.
        let told = serde_json::from_str(&kept.told).ok();
        Ok(told.map(|told| Known { told, asked_at: kept.asked_at, problem: None }))
    }

    async fn connection_row(&self, name: &str) -> Result<ConnectionRow, ShapeError> {
        self.store.connection(name).await?.ok_or_else(|| ShapeError::NoConnection(name.to_owned()))
    }

    /// Asks the system and keeps what it tells.
    async fn ask_shape(self: &Arc<Self>, name: &str, object: &str) -> Result<Known<Json>, ShapeError> {
        self.refresh().await?;
        let row = self.connection_row(name).await?;
        let revision = self.catalogue().connection_revisions.get(name).copied().unwrap_or(row.revision);
        let connection = self.connection(name).ok_or_else(|| crate::control::connection_missing(name))?;
        let connector = self.connectors.iter().find(|connector| connector.id == connection.connector);
        let connector = connector.ok_or_else(|| ShapeError::NoConnection(name.to_owned()))?;
        let shapes = connector.shapes.clone().ok_or(ShapeError::NoShapes(connector.title))?;
        self.may_call(name).await?;
        let run = RunId::new(self.now(), self.random());
        let seat = Seat::of(self, RecipeId(uuid::Uuid::nil()), run, Via::Api);
        let began = self.now();
        let pass = loop {
            let shut = match seat.ask_reading(name, ASK_TIMEOUT, self.now()) {
                Ok(pass) => break pass,
                Err(shut) => shut,
            };
            // Calls of a shared budget are fetched in a moment.
            let pause = shut.until.since(self.now());
            if !gate::briefly(shut.reason, pause) || self.now().since(began) >= ASK_TIMEOUT {
                return Err(held(name, &shut).into());
            }
            tokio::select! {
                () = gate::called(Some(&seat)) => {}
                () = tokio::time::sleep(pause) => {}
            }
        };
        let cx = Cx {
            http: self.http.clone(),
            connection: Some(connection),
            idempotency_key: format!("shape-{run}").into(),
            timeout: ASK_TIMEOUT,
            began: tokio::time::Instant::now(),
            began_us: self.now().micros(),
            attempt: 1,
            in_doubt: false,
            run_id: "shape".into(),
            path: object.into(),
            traceparent: None,
            turns: gate::turns(pass.as_ref()),
        };
        let what = format!("{} (its objects)", connector.title);
        let outcome = match object {
            "" => guarded(&what, ASK_TIMEOUT, (shapes.objects)(cx)).await.map(|objects| json!(objects)),
            _ => guarded(&what, ASK_TIMEOUT, (shapes.object)(cx, object.to_owned())).await,
        };
        if let Some(pass) = pass {
            pass.done(outcome.as_ref().map(|_| &Json::Null));
        }
        let (told, asked_at) = (outcome?, self.now());
        let text = told.to_string();
        if text.len() > TOLD_BYTES_MAX {
            let message = format!(
                "what {} tells of {object} takes {} bytes; at most {TOLD_BYTES_MAX} are kept",
                connector.title,
                text.len()
            );
            return Err(StepError::new(ErrorClass::Invalid, "SHAPE_TOO_LARGE", message).into());
        }
        let kept = ShapeRow { connection: row.id, object: object.to_owned(), revision, told: text, asked_at };
        self.store.keep_shape(&kept, TOLD_MAX).await?;
        Ok(Known { told, asked_at, problem: None })
    }
}

/// Checks a recipe also against what systems told. What is not sure to hold still must not keep a recipe from being saved
/// while its system cannot be asked: it only warns.
#[must_use]
pub fn check_against(text: &[u8], catalogue: &Catalogue, told: &HashMap<ShapeOf, Told>) -> Parsed {
    let check = |seen: fn(&Told) -> bool| {
        let seen = told.iter().filter(|(_, told)| seen(told));
        let shapes = seen.map(|(of, told)| (of.clone(), told.schema.clone())).collect();
        recipe::parse_and_check(text, &Catalogue { shapes, ..catalogue.clone() })
    };
    let mut checked = check(|_| true);
    let wrong = |found: &Diagnostic| found.severity == Severity::Error;
    if told.values().all(|told| told.sure) || !checked.diagnostics.iter().any(wrong) {
        return checked;
    }
    let certain = check(|told| told.sure);
    for found in &mut checked.diagnostics {
        if wrong(found) && !certain.diagnostics.contains(found) {
            found.severity = Severity::Warning;
            found.message.push_str(" That is what its system said when it could last be asked.");
        }
    }
    checked
}

/// What the checker shall see: all of it as certain, or only what was told just before `now`.
fn schemas(known: HashMap<ShapeOf, Known<Json>>, now: Option<Timestamp>) -> HashMap<ShapeOf, Told> {
    let sure = |known: &Known<Json>| now.is_none_or(|now| now.since(known.asked_at) < JUST);
    let told = |known: Known<Json>| Told { sure: sure(&known), schema: known.told };
    known.into_iter().map(|(of, known)| (of, told(known))).collect()
}

/// Names stand in addresses and queries: no more than letters, digits and what systems put between them. There may be an
/// owner before the name: `owner/Report_Name`.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let one = |part: &str| part.starts_with(|c: char| c.is_alphanumeric() || c == '_') && part.chars().all(plain);
    let (owner, name) = text.split_once('/').unwrap_or(("owner", text));
    one(owner) && one(name) && text.chars().count() <= NAME_CHARS_MAX
}

fn held(connection: &str, gate: &Held) -> StepError {
    let why = match gate.reason {
        WaitingFor::Budget => "its calls are used up for now",
        _ => "it is paused because calls through it failed",
    };
    StepError::new(ErrorClass::RateLimited, "CONNECTION_HELD", format!("the connection \"{connection}\" cannot be asked: {why}"))
        .with_next("Ask again later.")
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn a_name_can_stand_in_an_address() {
        for name in ["Account", "Invoice__c", "sys_user", "customrecord_x1", "workers.all", "Größe", "lmcneil/All_Workers"] {
            assert!(is_name(name), "{name}");
        }
        for text in
            ["", "/", "a/", "/a", "a/b/c", "a/..", "../a", "..", ".hidden", "a b", "a^b", "a?x=1", "a\n", &"x".repeat(201)]
        {
            assert!(!is_name(text), "{text:?}");
        }
    }
}
