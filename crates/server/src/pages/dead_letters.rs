//! `/dead-letters`: failed runs by cause, what can be done about many of them, and how far that is.

use askama::Template;
use askama_web::WebTemplate;

use super::{
    causes::CausesPanel,
    format,
    runs::RecipeChoice,
    shell::{LoadFailure, Section, Shell},
};

/// Which dead letters: the filter of the URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Only those of the recipe with this slug.
    pub recipe: Option<String>,
    /// Only those of the cause with this fingerprint.
    pub cause: Option<String>,
    /// Part of a label, or a run's id.
    pub q: Option<String>,
    /// Accepted since: `24h`, `7d` or an ISO 8601 time.
    pub since: Option<String>,
    /// Where the page begins.
    pub cursor: Option<String>,
    /// These runs and no others, when people ticked them.
    pub ids: Vec<String>,
}

/// One dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterRow {
    /// The run.
    pub id: String,
    /// Why it failed.
    pub reason: String,
    /// The step that failed.
    pub step: Option<String>,
    /// The recipe's title.
    pub recipe_title: String,
    /// The version it ran.
    pub version: u32,
    /// Its label.
    pub label: Option<String>,
    /// What started it.
    pub source: &'static str,
    /// When it failed.
    pub failed_us: i64,
    /// The most tries any of its steps took.
    pub tries: u32,
}

/// An operation in a list or on its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationView {
    /// Its id.
    pub id: String,
    /// `resume`, `replay` or `discard`.
    pub kind: &'static str,
    /// `running`, `paused`, `done` or `stopped`.
    pub state: &'static str,
    /// So many go first and must end well; 0 once the rest may go.
    pub first: u64,
    /// How many it takes.
    pub total: u64,
    /// How many were dealt with.
    pub done: u64,
    /// How many could not be.
    pub failed: u64,
    /// Why it was stopped.
    pub note: Option<String>,
    /// Who began it.
    pub by: String,
    /// When.
    pub at_us: i64,
}

/// The page.
#[derive(Debug, Clone, Template, WebTemplate)]
#[template(path = "dead_letters.html")]
pub struct LettersPage {
    /// The surroundings.
    pub shell: Shell,
    /// The filter of the URL.
    pub filter: LetterFilter,
    /// Recipes to choose from.
    pub recipes: Vec<RecipeChoice>,
    /// Why they failed.
    pub causes: CausesPanel,
    /// Operations that are not over.
    pub operations: Vec<OperationView>,
    /// How many match the filter, and whether there are more than were counted.
    pub total: (u64, bool),
    /// The rows, newest first.
    pub rows: Result<Vec<LetterRow>, LoadFailure>,
    /// The cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
}

/// A step that happens again, and how safe that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// Its title.
    pub title: String,
    /// What it uses.
    pub uses: String,
    /// True when doing it again does no harm.
    pub safe: bool,
}

/// What is to be done, asked before it is.
#[derive(Debug, Clone, Template, WebTemplate)]
#[template(path = "dead_letters_act.html")]
pub struct ActPage {
    /// The surroundings.
    pub shell: Shell,
    /// Which dead letters.
    pub filter: LetterFilter,
    /// The choice that is ticked: `resume`, `active`, `replay` or `discard`.
    pub choice: String,
    /// How many, and whether there are more than were counted.
    pub total: (u64, bool),
    /// Steps that happen again when they go on at the failed step.
    pub resumed: Vec<Repeated>,
    /// Steps that happen again when they begin anew.
    pub replayed: Vec<Repeated>,
    /// Runs looked at for these lists.
    pub looked: u64,
    /// Some of them wait for an answer whether their effect happened.
    pub doubts: bool,
}

/// A run of an operation that could not be dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// The run.
    pub run: String,
    /// Why.
    pub message: String,
}

/// How far an operation is.
#[derive(Debug, Clone, Template, WebTemplate)]
#[template(path = "operation.html")]
pub struct OperationPage {
    /// The surroundings.
    pub shell: Shell,
    /// The operation.
    pub operation: OperationView,
    /// What could not be done, at most as many as a page holds.
    pub refused: Vec<RefusedRow>,
}

/// The event of a dead letter, to be corrected and run again.
#[derive(Debug, Clone, Template, WebTemplate)]
#[template(path = "dead_letters_edit.html")]
pub struct EditPage {
    /// The surroundings.
    pub shell: Shell,
    /// The run.
    pub run: String,
    /// Its recipe's title.
    pub recipe_title: String,
    /// The event as text.
    pub event: String,
    /// What is wrong with what was sent.
    pub problem: Option<String>,
}

impl LetterFilter {
    /// Reads a query or a form; blank values mean "any".
    pub fn read(pairs: &[(String, String)]) -> Self {
        let one = |name: &str| {
            let value = pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim().to_owned());
            value.filter(|value| !value.is_empty())
        };
        Self {
            recipe: one("recipe"),
            cause: one("cause"),
            q: one("q"),
            since: one("since"),
            cursor: one("cursor"),
            ids: pairs.iter().filter(|(key, _)| key == "ids").map(|(_, value)| value.clone()).collect(),
        }
    }

    /// The filter as pairs, ids left out.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let pairs = [("recipe", &self.recipe), ("cause", &self.cause), ("q", &self.q), ("since", &self.since)];
        pairs.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }

    pub(super) fn with(&self, path: &str, more: &[(&str, &str)]) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.pairs() {
            out.append_pair(name, &value);
        }
        for (name, value) in more {
            out.append_pair(name, value);
        }
        match out.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    /// The address of the list with this filter.
    pub fn href(&self) -> String {
        self.with("/dead-letters", &[])
    }

    fn is_on(&self) -> bool {
        !self.pairs().is_empty()
    }
}

impl LetterRow {
    fn name(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.id)
    }
}

impl OperationView {
    fn left(&self) -> u64 {
        self.total.saturating_sub(self.done + self.failed)
    }

    fn over(&self) -> u64 {
        self.done + self.failed
    }

    fn is_open(&self) -> bool {
        matches!(self.state, "running" | "paused")
    }

    /// "Replay 200 runs".
    fn heading(&self) -> String {
        let verb = match self.kind {
            "resume" => "Retry",
            "replay" => "Replay",
            _ => "Discard",
        };
        format!("{verb} {}", format::plural(self.total, "run", "runs"))
    }

    fn tone(&self) -> (&'static str, &'static str, &'static str) {
        match (self.state, self.failed) {
            ("running", _) => ("run", "runc", "Running"),
            ("paused", _) => ("hold", "holdc", "Paused"),
            ("done", 0) => ("ok", "okc", "Done"),
            ("done", _) => ("warn", "alert", "Done, with refusals"),
            _ => ("idle", "stopc", "Stopped"),
        }
    }

    /// What is happening, in one sentence.
    fn sentence(&self) -> String {
        let over = format!("{} of {} done", format::count(self.over()), format::count(self.total));
        match (self.state, self.first) {
            ("running", first) if first > 0 && self.over() >= first => {
                "The first one runs. The others follow once it ended well.".to_owned()
            }
            ("running", first) if first > 0 => "The first one goes first. The others follow once it ended well.".to_owned(),
            ("paused", _) => format!("{over}. Nothing more happens until somebody goes on."),
            ("stopped", _) => format!("{over}. {} were left alone.", format::count(self.left())),
            _ => format!("{over}."),
        }
    }
}

fn counted(total: (u64, bool)) -> String {
    match total {
        (n, false) => format::plural(n, "dead letter", "dead letters"),
        (n, true) => format!("more than {} dead letters", format::count(n)),
    }
}

impl LettersPage {
    fn title(&self) -> &'static str {
        "Dead letters"
    }

    fn section(&self) -> Section {
        Section::Other("/dead-letters")
    }

    fn is_chosen(&self, slug: &str) -> bool {
        self.filter.recipe.as_deref() == Some(slug)
    }

    fn times(&self) -> Vec<(&'static str, &'static str, bool)> {
        let since = self.filter.since.as_deref().unwrap_or_default();
        [("", "Any time"), ("1h", "Last hour"), ("24h", "Last 24 hours"), ("7d", "Last 7 days"), ("30d", "Last 30 days")]
            .into_iter()
            .map(|(value, word)| (value, word, value == since))
            .collect()
    }

    fn all_words(&self) -> String {
        match self.total {
            (1, false) => "Retry the one that matches…".to_owned(),
            (n, false) => format!("Retry all {} that match…", format::count(n)),
            (n, true) => format!("Retry all, more than {}, that match…", format::count(n)),
        }
    }

    fn act(&self) -> String {
        self.filter.with("/dead-letters/act", &[("what", "resume"), ("all", "1")])
    }

    fn next_page(&self) -> Option<String> {
        Some(self.filter.with("/dead-letters", &[("cursor", self.next_cursor.as_deref()?)]))
    }

    fn first_page(&self) -> Option<String> {
        self.filter.cursor.as_ref()?;
        Some(self.filter.href())
    }

    fn foot(&self, shown: usize) -> String {
        format!("{shown} of {}", counted(self.total))
    }
}

impl ActPage {
    fn title(&self) -> String {
        format!("What becomes of {}", self.counted())
    }

    fn section(&self) -> Section {
        Section::Other("/dead-letters")
    }

    fn counted(&self) -> String {
        counted(self.total)
    }

    fn is(&self, choice: &str) -> bool {
        self.choice == choice
    }

    /// "Safe to repeat: Find the customer. Happens again: Book the line."
    fn repeats(&self, steps: &[Repeated]) -> String {
        let named =
            |safe: bool| -> Vec<&str> { steps.iter().filter(|step| step.safe == safe).map(|step| step.title.as_str()).collect() };
        let (safe, again) = (named(true), named(false));
        let mut out = Vec::new();
        if !again.is_empty() {
            out.push(format!("Happens again in the other system: {}.", again.join(", ")));
        }
        if !safe.is_empty() {
            out.push(format!("Safe to repeat: {}.", safe.join(", ")));
        }
        if out.is_empty() { "Nothing is called again.".to_owned() } else { out.join(" ") }
    }

    fn many(&self) -> bool {
        self.total.0 > 1
    }

    /// Where "Cancel" leads.
    fn back(&self) -> String {
        self.filter.href()
    }
}

impl OperationPage {
    fn title(&self) -> String {
        self.operation.heading()
    }

    fn section(&self) -> Section {
        Section::Other("/dead-letters")
    }
}

impl EditPage {
    fn title(&self) -> &'static str {
        "Edit and replay"
    }

    fn section(&self) -> Section {
        Section::Other("/dead-letters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_the_url() {
        let pairs = |text: &str| form_urlencoded::parse(text.as_bytes()).into_owned().collect::<Vec<_>>();
        let filter = LetterFilter::read(&pairs("cause=ab&q=Net+45+%26&since=&ids=run_1&ids=run_2&cursor=run_9"));
        assert_eq!((filter.ids.len(), filter.since.as_deref(), filter.q.as_deref()), (2, None, Some("Net 45 &")));
        assert_eq!(filter.href(), "/dead-letters?cause=ab&q=Net+45+%26");
        assert_eq!(LetterFilter::default().href(), "/dead-letters");
    }

    #[test]
    fn what_repeats_is_told_by_how_safe_it_is() {
        let step = |title: &str, safe| Repeated { title: title.to_owned(), uses: String::new(), safe };
        let page = super::super::samples::letters_act().remove(0).1;
        assert_eq!(page.repeats(&[]), "Nothing is called again.");
        assert_eq!(
            page.repeats(&[step("Find", true), step("Book", false), step("Tell", true)]),
            "Happens again in the other system: Book. Safe to repeat: Find, Tell."
        );
    }
}
