//! Switching a version on: checked against everything else that is on, whoever else changes it meanwhile.

use std::sync::Arc;

use recipe::ast::TriggerSource;
use serde_json::Value as Json;
use store::{Activated, RecipeRow, StoreError};

use crate::{Engine, Program, registry::Catalogue};

/// Others may change recipes so often while one is switched on, before that is given up.
const TRIES_MAX: u32 = 50;

/// Why a version was not switched on. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// There is no such recipe or version.
    #[error("there is no such version")]
    Missing,
    /// The version cannot run on this build.
    #[error("{0}")]
    Unfit(String),
    /// A parameter is missing or does not fit.
    #[error("{message}")]
    Param {
        /// Its name.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// Another recipe that is on has the web address this one wants.
    #[error("recipe {other} has the web address /hooks/{path} already")]
    PathTaken {
        /// What stands after `/hooks/`.
        path: String,
        /// The recipe that has it.
        other: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Switches a version of a recipe on, with these parameters. This is the only way a version becomes active.
    ///
    /// # Errors
    /// When it cannot run, when another recipe has its web address, or when the store does not answer.
    pub async fn activate(&self, row: &RecipeRow, version: i32, params: &Json) -> Result<RecipeRow, ActivateError> {
        if self.store.version(row.id, version).await?.is_none() {
            return Err(ActivateError::Missing);
        }
        let program = self.program(row.id, version).await.map_err(|error| match error {
            StoreError::Internal(reason) => ActivateError::Unfit(reason),
            other => other.into(),
        })?;
        program.check_params(params).map_err(|(field, message)| ActivateError::Param { field, message })?;
        for _ in 0..TRIES_MAX {
            self.refresh().await?;
            let catalogue = self.catalogue();
            if let Some((path, other)) = taken(&catalogue, row, &program) {
                return Err(ActivateError::PathTaken { path, other });
            }
            match self.store.activate_unless_moved(row.id, version, params, catalogue.revision, self.now()).await? {
                Activated::On(row) => {
                    self.refresh().await?;
                    return Ok(row);
                }
                Activated::Missing => return Err(ActivateError::Missing),
                // Somebody changed recipes since we looked, perhaps to this very address.
                Activated::Moved => {}
            }
        }
        Err(StoreError::Unavailable("other recipes are changed all the time".to_owned()).into())
    }
}

/// The web address that this version wants and another recipe has, and that recipe.
fn taken(catalogue: &Catalogue, row: &RecipeRow, program: &Program) -> Option<(String, String)> {
    if !matches!(program.source, TriggerSource::Webhook | TriggerSource::Connection { .. }) {
        return None;
    }
    let has = |path: &str| {
        let at_path = catalogue.by_path.get(path);
        at_path.filter(|other| other.row.id != row.id).map(|other| (path.to_owned(), other.row.slug.clone()))
    };
    // A path that is another recipe's slug would take that recipe's events.
    let by_slug = |path: &str| {
        let other = catalogue.recipes.get(path).filter(|other| other.row.id != row.id)?;
        let hooked = matches!(other.program.source, TriggerSource::Webhook | TriggerSource::Connection { .. });
        hooked.then(|| (path.to_owned(), other.row.slug.clone()))
    };
    let own = program.trigger_with["path"].as_str();
    own.and_then(|path| has(path).or_else(|| by_slug(path))).or_else(|| has(&row.slug))
}

/// Settles which of several recipes with one address gets its events: the one whose slug comes first, on every
/// process alike. Only databases in which an older build switched both on have such recipes.
pub(crate) fn claim_path(catalogue: &mut Catalogue, path: &str, recipe: &Arc<crate::LiveRecipe>) {
    if let Some(other) = catalogue.by_path.get(path) {
        tracing::error!(
            path,
            recipe = recipe.row.slug,
            other = other.row.slug,
            "recipe.load: two recipes want the same web address; the other one gets its events"
        );
        return;
    }
    catalogue.by_path.insert(path.to_owned(), Arc::clone(recipe));
}
