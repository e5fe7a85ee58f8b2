//! What is switched on, compiled and ready: recipes, their versions, connections.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;
use connector::{Connection, Connector, Secret};
use parking_lot::Mutex;
use serde_json::Value as Json;
use store::{ActiveRecipe, ConnectionRow, RecipeId, RecipeRow, SealedAt, Store, StoreError, Timestamp, Vault};

use crate::{
    catalogue,
    cron::Schedule,
    program::{CompileSettings, Program},
};

/// Compiled versions kept at once, unless more are in use; others are compiled again when wanted.
const PROGRAMS_MAX: usize = 2_000;
/// So many recipes are compiled by one thread: starting others costs as much.
const COMPILED_ALONE: usize = 200;

/// A recipe that is switched on.
#[derive(Debug)]
pub struct LiveRecipe {
    /// The recipe.
    pub row: RecipeRow,
    /// The version that runs.
    pub version: i32,
    /// Its compiled text.
    pub program: Arc<Program>,
    /// The parameters its runs see.
    pub params: Arc<Json>,
    /// When it fires, for schedules.
    pub schedule: Option<Schedule>,
    /// Fire times up to here are done.
    pub schedule_cursor: Option<Timestamp>,
    /// What events of `api` triggers must look like.
    pub input: Option<jsonschema::Validator>,
}

/// A picture of everything switched on, replaced as a whole.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// The store's revision it was read at.
    pub revision: i64,
    /// Recipes by slug.
    pub recipes: HashMap<String, Arc<LiveRecipe>>,
    /// Recipes by the web address they chose themselves.
    pub by_path: HashMap<String, Arc<LiveRecipe>>,
    /// Recipes by the unguessable part of their web address.
    pub by_token: HashMap<String, Arc<LiveRecipe>>,
    /// Connections by name.
    pub connections: HashMap<String, Arc<Connection>>,
    /// The revisions they were read at.
    pub connection_revisions: HashMap<String, i64>,
    /// Connections whose secrets cannot be opened, and why.
    pub sealed: HashMap<String, String>,
    /// Web addresses that recipes had chosen which were switched off since this process began, and those recipes' slugs.
    pub left_paths: HashMap<String, String>,
}

/// Addresses of recipes that are off that are remembered.
const LEFT_PATHS_MAX: usize = 1_000;

/// What events of an `api` trigger must look like.
pub(crate) fn input_of(program: &Program) -> Result<Option<jsonschema::Validator>, String> {
    let schema = program.trigger_with.get("input");
    schema.map(jsonschema::validator_for).transpose().map_err(|error| format!("trigger.with.input: {error}"))
}

/// The addresses that `before` knows and no recipe has now.
fn left_paths(before: &Catalogue, now: &Catalogue) -> HashMap<String, String> {
    let just = before.by_path.iter().map(|(path, recipe)| (path, &recipe.row.slug));
    let left = just.chain(&before.left_paths);
    let off = left.filter(|(path, slug)| !now.by_path.contains_key(*path) && !now.recipes.contains_key(*slug));
    off.take(LEFT_PATHS_MAX).map(|(path, slug)| (path.clone(), slug.clone())).collect()
}

/// Compiled texts: those in use, and others as long as there are not too many.
struct Programs<P> {
    known: HashMap<(RecipeId, i32), Arc<P>>,
    /// So many were in use when there were too many.
    in_use: usize,
}

impl<P> Default for Programs<P> {
    fn default() -> Self {
        Self { known: HashMap::new(), in_use: 0 }
    }
}

impl<P> Programs<P> {
    fn insert(&mut self, place: (RecipeId, i32), program: Arc<P>) {
        if self.known.len() >= PROGRAMS_MAX.max(2 * self.in_use) {
            self.known.retain(|_, program| Arc::strong_count(program) > 1);
            self.in_use = self.known.len();
        }
        self.known.insert(place, program);
    }
}

/// Reads and keeps the picture.
pub(crate) struct Registry {
    current: ArcSwap<Catalogue>,
    programs: Mutex<Programs<Program>>,
    loading: tokio::sync::Mutex<()>,
    connectors: Arc<Vec<Connector>>,
    /// What recipes are checked against, made once: it holds every schema of every connector.
    checks_by: recipe::Catalogue,
    vault: Arc<Vault>,
    settings: CompileSettings,
}

impl Registry {
    pub(crate) fn new(connectors: Arc<Vec<Connector>>, vault: Arc<Vault>, settings: CompileSettings) -> Self {
        Self {
            current: ArcSwap::default(),
            programs: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
            checks_by: catalogue::of(&connectors),
            connectors,
            vault,
            settings,
        }
    }

    /// What recipes are checked against.
    pub(crate) const fn checks_by(&self) -> &recipe::Catalogue {
        &self.checks_by
    }

    pub(crate) fn current(&self) -> arc_swap::Guard<Arc<Catalogue>> {
        self.current.load()
    }

    /// Reads the picture anew if the store's changed.
    pub(crate) async fn refresh(&self, store: &dyn Store) -> Result<bool, StoreError> {
        let _one_at_a_time = self.loading.lock().await;
        let revision = store.catalogue_revision().await?;
        if revision == self.current.load().revision {
            return Ok(false);
        }
        let mut catalogue = Catalogue { revision, ..Catalogue::default() };
        for (slug, live) in self.live_all(store.active_recipes().await?) {
            match live {
                Ok(recipe) => {
                    let recipe = Arc::new(recipe);
                    catalogue.by_token.insert(recipe.row.hook_token.clone(), Arc::clone(&recipe));
                    if let Some(path) = recipe.program.trigger_with["path"].as_str() {
                        crate::activate::claim_path(&mut catalogue, path, &recipe);
                    }
                    catalogue.recipes.insert(slug, recipe);
                }
                // A text saved by a newer build: the others must run all the same.
                Err(reason) => tracing::error!(recipe = slug, reason, "recipe.load: this recipe cannot run on this build"),
            }
        }
        for row in store.connections().await? {
            catalogue.connection_revisions.insert(row.name.clone(), row.revision);
            match open(&self.vault, &row).await {
                Ok(connection) => {
                    catalogue.connections.insert(row.name, Arc::new(connection));
                }
                // Its key could not be looked up; that says nothing of the secrets.
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                Err(error) => {
                    tracing::error!(connection = row.name, %error, "connection.open: its secrets cannot be read");
                    catalogue.sealed.insert(row.name, error.to_string());
                }
            }
        }
        catalogue.left_paths = left_paths(&self.current.load(), &catalogue);
        self.current.store(Arc::new(catalogue));
        Ok(true)
    }

    /// All of them, in their order; many are compiled on all cores.
    fn live_all(&self, actives: Vec<ActiveRecipe>) -> Vec<(String, Result<LiveRecipe, String>)> {
        let one = |active: ActiveRecipe| (active.row.slug.clone(), self.live(active));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = actives.len().div_ceil(cores).max(COMPILED_ALONE);
        if actives.len() <= share {
            return actives.into_iter().map(one).collect();
        }
        let mut actives = actives.into_iter();
        std::thread::scope(|scope| {
            let parts =
                std::iter::from_fn(|| Some(actives.by_ref().take(share).collect::<Vec<_>>()).filter(|part| !part.is_empty()));
            let threads: Vec<_> = parts.map(|part| scope.spawn(move || part.into_iter().map(one).collect::<Vec<_>>())).collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.flatten().collect()
        })
    }

    fn live(&self, active: ActiveRecipe) -> Result<LiveRecipe, String> {
        let version = active.row.active_version.unwrap_or(active.row.latest_version);
        let program = self.compile(active.row.id, version, &active.text)?;
        let schedule = match program.source {
            recipe::ast::TriggerSource::Schedule => {
                let cron = program.trigger_with["cron"].as_str().unwrap_or_default();
                let zone = program.trigger_with["zone"].as_str().unwrap_or("UTC");
                Some(Schedule::parse(cron, zone).map_err(|problem| problem.message)?)
            }
            _ => None,
        };
        Ok(LiveRecipe {
            version,
            params: Arc::new(program.bind_params(&active.row.params)),
            input: input_of(&program)?,
            program,
            schedule,
            schedule_cursor: active.schedule_cursor,
            row: active.row,
        })
    }

    fn compile(&self, recipe: RecipeId, version: i32, text: &str) -> Result<Arc<Program>, String> {
        if let Some(program) = self.programs.lock().known.get(&(recipe, version)) {
            return Ok(Arc::clone(program));
        }
        let mut program = compile(text, &self.checks_by, &self.connectors, self.settings)?;
        program.version = version;
        let program = Arc::new(program);
        self.programs.lock().insert((recipe, version), Arc::clone(&program));
        Ok(program)
    }

    /// The compiled text of any version, active or not.
    pub(crate) async fn program(&self, store: &dyn Store, recipe: RecipeId, version: i32) -> Result<Arc<Program>, StoreError> {
        if let Some(program) = self.programs.lock().known.get(&(recipe, version)) {
            return Ok(Arc::clone(program));
        }
        let kept = store
            .version(recipe, version)
            .await?
            .ok_or_else(|| StoreError::Corrupt(format!("version {version} of {recipe} is missing")))?;
        self.compile(recipe, version, &kept.text).map_err(StoreError::Internal)
    }
}

/// A connection with its secrets opened.
pub(crate) async fn open(vault: &Vault, row: &ConnectionRow) -> Result<Connection, StoreError> {
    let secrets: BTreeMap<String, String> = vault.open(&SealedAt::Connection(row.id), &row.sealed).await?;
    Ok(Connection {
        name: row.name.clone(),
        connector: row.connector.clone(),
        config: row.config.clone(),
        credentials: secrets.into_iter().map(|(field, text)| (field, Secret::new(text))).collect(),
    })
}

/// Parses, checks and compiles a text.
pub(crate) fn compile(
    text: &str,
    checks_by: &recipe::Catalogue,
    connectors: &[Connector],
    settings: CompileSettings,
) -> Result<Program, String> {
    let parsed = recipe::parse_and_check(text.as_bytes(), checks_by);
    if let Some(problem) = parsed.diagnostics.iter().find(|problem| problem.severity == recipe::Severity::Error) {
        return Err(format!("{}: {}", problem.code, problem.message));
    }
    let recipe = parsed.recipe.ok_or_else(|| "the text is not a recipe".to_owned())?;
    // Half a recipe must not run: what is not there yet is refused when it is switched on.
    if let Some(sentence) = crate::not_yet::not_yet(&recipe) {
        return Err(sentence);
    }
    Program::compile(&recipe, connectors, settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_is_not_compiled_again_and_the_rest_is_bounded() {
        let mut programs = Programs::default();
        let place = |number: usize| (RecipeId(uuid::Uuid::from_u128(number as u128)), 1);
        let in_use: Vec<_> = (0..3 * PROGRAMS_MAX).map(Arc::new).collect();
        for (number, program) in in_use.iter().enumerate() {
            programs.insert(place(number), Arc::clone(program));
        }
        assert_eq!(programs.known.len(), in_use.len(), "all of them, however many");
        for number in 0..20 * PROGRAMS_MAX {
            programs.insert(place(in_use.len() + number), Arc::new(number));
        }
        assert!(programs.known.len() <= 2 * in_use.len() + 1, "{}", programs.known.len());
        assert!((0..in_use.len()).all(|number| programs.known.contains_key(&place(number))));
    }
}
