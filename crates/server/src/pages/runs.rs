//! `/runs`: find a run in three actions or fewer. Every filter lives in the URL.

use askama::Template;
use askama_web::WebTemplate;
use serde::{Deserialize, Deserializer};

use super::{
    causes::CausesPanel,
    format::{self, Moment},
    shell::{LoadFailure, Section, Shell},
    status::{RunKind, RunStatus, WaitFor},
};

/// The filter of the URL: `?status=&recipe=&q=&since=&until=&cursor=`. Use it as
/// `Query<RunFilter>`; blank and unknown values mean "any".
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RunFilter {
    /// Only runs in this state.
    #[serde(deserialize_with = "kind")]
    pub status: Option<RunKind>,
    /// Only runs of the recipe with this slug.
    #[serde(deserialize_with = "filled")]
    pub recipe: Option<String>,
    /// A label, a run id (or its beginning), a searchable value.
    #[serde(deserialize_with = "filled")]
    pub q: Option<String>,
    /// Accepted since: `24h`, `7d` or an ISO 8601 time.
    #[serde(deserialize_with = "filled")]
    pub since: Option<String>,
    /// Accepted until: likewise.
    #[serde(deserialize_with = "filled")]
    pub until: Option<String>,
    /// Where the page begins.
    #[serde(deserialize_with = "filled")]
    pub cursor: Option<String>,
}

/// How many runs a tab holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Counted.
    Exact(u64),
    /// Counting was stopped here because it took too long.
    MoreThan(u64),
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run's id.
    pub id: String,
    /// How it stands.
    pub status: RunStatus,
    /// Why: the failure's sentence, or what it waits for. Empty if there is nothing to say. Clock times
    /// do not belong in it: `due_us` shows them in the person's zone.
    pub reason: String,
    /// When a waiting run goes on by itself: the next try, the end of a pause, the next test call.
    pub due_us: Option<i64>,
    /// The recipe's slug.
    pub recipe: String,
    /// The recipe's title.
    pub recipe_title: String,
    /// The recipe's version.
    pub version: u32,
    /// The label, if the recipe sets one.
    pub label: Option<String>,
    /// When it was accepted.
    pub started_us: i64,
    /// When it ended.
    pub ended_us: Option<i64>,
    /// The most tries any of its steps took.
    pub tries: u32,
}

/// A recipe to choose in the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeChoice {
    /// Its slug.
    pub slug: String,
    /// Its title.
    pub title: String,
}

/// The page.
#[derive(Debug, Clone, Template, WebTemplate)]
#[template(path = "runs.html")]
pub struct RunsPage {
    /// The surroundings.
    pub shell: Shell,
    /// The filter of the URL.
    pub filter: RunFilter,
    /// Recipes to choose from.
    pub recipes: Vec<RecipeChoice>,
    /// Numbers of the tabs that were counted, with recipe, text and time of the filter applied;
    /// `None` is the tab "All".
    pub counts: Vec<(Option<RunKind>, Count)>,
    /// Why failed runs failed, when the list is of those.
    pub causes: CausesPanel,
    /// The rows, newest first.
    pub rows: Result<Vec<RunRow>, LoadFailure>,
    /// The cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
    /// Whether there is any run at all: if not, the first-time page shows.
    pub any: bool,
    /// Days a run is kept, for the foot; `None` says nothing.
    pub kept_days: Option<u32>,
}

/// One row by itself, as the live stream sends it.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/run_row.html")]
pub struct RunRowPart<'a> {
    shell: &'a Shell,
    run: &'a RunRow,
}

/// One tab.
struct Tab {
    word: &'static str,
    href: String,
    current: bool,
    count: Option<String>,
    bad: bool,
}

fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RunKind>, D::Error> {
    Ok(filled(deserializer)?.as_deref().and_then(RunKind::from_slug))
}

impl RunFilter {
    /// The beginning and end of the time asked for, in microseconds.
    pub fn window(&self, now_us: i64) -> (Option<i64>, Option<i64>) {
        let read = |text: &Option<String>| text.as_deref().and_then(|text| format::parse_instant(text, now_us));
        (read(&self.since), read(&self.until))
    }

    /// The filter as a query string without `?`, empty values left out.
    pub fn query(&self) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        let pairs = [
            ("status", self.status.map(RunKind::slug)),
            ("recipe", self.recipe.as_deref()),
            ("q", self.q.as_deref()),
            ("since", self.since.as_deref()),
            ("until", self.until.as_deref()),
            ("cursor", self.cursor.as_deref()),
        ];
        for (key, value) in pairs {
            if let Some(value) = value {
                out.append_pair(key, value);
            }
        }
        out.finish()
    }

    /// The address of the list with this filter.
    pub fn href(&self) -> String {
        match self.query() {
            query if query.is_empty() => "/runs".to_owned(),
            query => format!("/runs?{query}"),
        }
    }

    /// The names of the filters that are on, for "nothing matches".
    fn names(&self) -> Vec<&'static str> {
        let on = [
            ("Status", self.status.is_some()),
            ("Recipe", self.recipe.is_some()),
            ("Search text", self.q.is_some()),
            ("Time", self.since.is_some() || self.until.is_some()),
        ];
        on.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
    }
}

impl Count {
    fn words(self) -> String {
        match self {
            Self::Exact(n) => format::count(n),
            Self::MoreThan(n) => format!("{}+", format::count(n)),
        }
    }
}

impl RunRow {
    /// The row as HTML, for the live stream.
    ///
    /// # Errors
    ///
    /// Only if the template cannot be written, which a `String` never causes.
    pub fn html(&self, shell: &Shell) -> askama::Result<String> {
        RunRowPart { shell, run: self }.render()
    }

    /// The due time with the words before it.
    fn due(&self, shell: &Shell) -> Option<(&'static str, Moment)> {
        let words = match self.status {
            RunStatus::Waiting(WaitFor::Retry) => "next try at",
            RunStatus::Waiting(WaitFor::Circuit) => "next test at",
            RunStatus::Waiting(_) => "until",
            _ => return None,
        };
        Some((words, shell.at(self.due_us.as_ref()?)))
    }

    /// How the row is named for a screen reader and beside its link.
    fn name(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.id)
    }

    fn took(&self, shell: &Shell) -> String {
        format::duration(self.ended_us.unwrap_or(shell.now_us) - self.started_us)
    }
}

impl RunsPage {
    fn title(&self) -> &'static str {
        "Runs"
    }

    fn section(&self) -> Section {
        Section::Runs
    }

    fn tabs(&self) -> Vec<Tab> {
        let tab = |kind: Option<RunKind>| {
            let counted = self.counts.iter().find(|(of, _)| *of == kind).map(|(_, count)| *count);
            Tab {
                word: kind.map_or("All", RunKind::word),
                href: RunFilter { status: kind, cursor: None, ..self.filter.clone() }.href(),
                current: self.filter.status == kind,
                count: counted.map(Count::words),
                bad: kind == Some(RunKind::Failed) && counted.is_some_and(|count| count != Count::Exact(0)),
            }
        };
        std::iter::once(None).chain(RunKind::ALL.into_iter().map(Some)).map(tab).collect()
    }

    /// The times offered by the filter; a time that is only in the URL is offered too.
    fn times(&self) -> Vec<(String, String, bool)> {
        let since = self.filter.since.as_deref().unwrap_or_default();
        let offered =
            [("", "Any time"), ("1h", "Last hour"), ("24h", "Last 24 hours"), ("7d", "Last 7 days"), ("30d", "Last 30 days")];
        let mut out: Vec<(String, String, bool)> =
            offered.into_iter().map(|(value, word)| (value.to_owned(), word.to_owned(), value == since)).collect();
        if !out.iter().any(|(.., chosen)| *chosen) {
            out.push((since.to_owned(), format!("Since {since}"), true));
        }
        out
    }

    fn is_chosen(&self, slug: &str) -> bool {
        self.filter.recipe.as_deref() == Some(slug)
    }

    /// A recipe that is only in the URL, so that sending the form keeps it.
    fn unlisted_recipe(&self) -> Option<&str> {
        self.filter.recipe.as_deref().filter(|slug| !self.recipes.iter().any(|choice| choice.slug == *slug))
    }

    fn is_filtered(&self) -> bool {
        !self.filter.names().is_empty()
    }

    fn first_page(&self) -> Option<String> {
        self.filter.cursor.as_ref()?;
        Some(RunFilter { cursor: None, ..self.filter.clone() }.href())
    }

    fn next_page(&self) -> Option<String> {
        let cursor = Some(self.next_cursor.clone()?);
        Some(RunFilter { cursor, ..self.filter.clone() }.href())
    }

    /// "No failed runs in the last 24 hours".
    fn nothing(&self) -> String {
        let status = self.filter.status.map(|kind| format!("{} ", kind.word().to_lowercase())).unwrap_or_default();
        format!("No {status}runs match")
    }

    /// "2 filters are on: Status and Recipe."
    fn filters_on(&self) -> String {
        let names = self.filter.names();
        let listed = match names.as_slice() {
            [] => return "This page of the list is empty.".to_owned(),
            [one] => (*one).to_owned(),
            [head @ .., last] => format!("{} and {last}", head.join(", ")),
        };
        let verb = if names.len() == 1 { "filter is" } else { "filters are" };
        format!("{} {verb} on: {listed}.", names.len())
    }

    fn foot(&self, shown: usize) -> String {
        let shown = format::plural(shown as u64, "run", "runs");
        let total = self.counts.iter().find(|(of, _)| *of == self.filter.status).map(|(_, count)| *count);
        match total {
            Some(Count::Exact(n)) => format!("{shown} of {}", format::count(n)),
            Some(Count::MoreThan(n)) => format!("{shown} of more than {}", format::count(n)),
            None => shown,
        }
    }

    /// The stream of this list: the same filter, applied by the server to every event. Only the first
    /// page is live for new runs; further pages see changes of the rows they show.
    fn stream(&self) -> String {
        let newest = self.rows.iter().flatten().next().map_or("", |row| row.id.as_str());
        format!("/ui/events?page=runs&seen={newest}&{}", self.filter.query())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_survive_the_url() {
        let filter = RunFilter {
            status: Some(RunKind::Failed),
            q: Some("Net 45 & more".to_owned()),
            since: Some("24h".to_owned()),
            ..RunFilter::default()
        };
        assert_eq!(filter.href(), "/runs?status=failed&q=Net+45+%26+more&since=24h");
        assert_eq!(RunFilter::default().href(), "/runs");
    }

    #[test]
    fn blank_and_unknown_values_mean_any() {
        let filter: RunFilter =
            serde_json::from_value(serde_json::json!({"status": "exploded", "recipe": " ", "q": " a "})).expect("reads");
        assert_eq!(filter, RunFilter { q: Some("a".to_owned()), ..RunFilter::default() });
    }

    #[test]
    fn the_time_is_a_window() {
        let filter = RunFilter { since: Some("1h".to_owned()), until: Some("nonsense".to_owned()), ..RunFilter::default() };
        assert_eq!(filter.window(3_600_000_000), (Some(0), None));
    }
}
