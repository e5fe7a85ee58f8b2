//! `/recipes`: find a recipe, see its health.

use askama::Template;
use askama_web::WebTemplate;

use super::{
    format,
    mark::Mark,
    shell::{LoadFailure, Section, Shell},
    status::RunStatus,
};

/// How far a recipe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipeState {
    /// Its trigger is on.
    On,
    /// Its trigger is off.
    Off,
    /// Saved but never switched on.
    Draft,
}

/// The last run of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    /// Its id.
    pub id: String,
    /// How it stands.
    pub status: RunStatus,
    /// When it started.
    pub at_us: i64,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeRow {
    /// The slug.
    pub slug: String,
    /// The title, or the slug if it has none.
    pub title: String,
    /// The first sentence of its note, or empty.
    pub description: String,
    /// The tiles of its trigger and the apps it uses, in order, without repeats.
    pub marks: Vec<Mark>,
    /// On, off or draft.
    pub state: RecipeState,
    /// Runs that ended or began in the last 24 hours.
    pub runs_24h: u64,
    /// Of those that ended, how many succeeded.
    pub succeeded_24h: u64,
    /// Of those that ended, how many failed.
    pub failed_24h: u64,
    /// The last run, if there was one.
    pub last_run: Option<LastRun>,
    /// The active version, or the newest one if none is active.
    pub version: Option<u32>,
    /// A newer version that is not active, if there is one.
    pub newer_version: Option<u32>,
}

/// The page.
#[derive(Debug, Clone, Template, WebTemplate)]
#[template(path = "recipes.html")]
pub struct RecipesPage {
    /// The surroundings.
    pub shell: Shell,
    /// What was searched for, as typed; empty for all.
    pub q: String,
    /// The rows that match, by title.
    pub rows: Result<Vec<RecipeRow>, LoadFailure>,
    /// How many recipes there are in all: zero shows the first-time page.
    pub total: u64,
}

impl RecipeRow {
    fn succeeded(&self) -> String {
        format::percent(self.succeeded_24h, self.succeeded_24h + self.failed_24h)
    }

    /// Under 98 %: worth a look.
    fn is_low(&self) -> bool {
        self.failed_24h * 50 > self.succeeded_24h + self.failed_24h
    }

    fn runs(&self) -> String {
        format::count(self.runs_24h)
    }

    fn failed(&self) -> Option<String> {
        (self.failed_24h > 0).then(|| format::count(self.failed_24h))
    }

    /// The tiles in one sentence: "Salesforce, then NetSuite".
    fn spoken_marks(&self) -> String {
        self.marks.iter().map(Mark::name).collect::<Vec<_>>().join(", then ")
    }
}

impl RecipeState {
    fn word(self) -> &'static str {
        match self {
            Self::On => "On",
            Self::Off => "Off",
            Self::Draft => "Draft",
        }
    }

    fn tone(self) -> &'static str {
        if self == Self::On { "ok" } else { "idle" }
    }
}

impl RecipesPage {
    fn title(&self) -> &'static str {
        "Recipes"
    }

    fn section(&self) -> Section {
        Section::Recipes
    }

    fn foot(&self, shown: usize) -> String {
        let shown = shown as u64;
        if shown == self.total {
            format::plural(shown, "recipe", "recipes")
        } else {
            format!("{} of {}", format::count(shown), format::plural(self.total, "recipe", "recipes"))
        }
    }
}
