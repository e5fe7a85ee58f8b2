//! The right side of the run page: what one step received, returned, tried and sent.

use super::{
    data_view::{Culprit, DataView},
    format,
    mark::Mark,
    run::{RunQuery, step_href},
    status::StepStatus,
    step::{BarStatus, Payload, Request, StepError, StepKind, StepRow},
};

/// A tab of the inspector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Input,
    Output,
    Tries,
    Request,
}

/// What a data tab shows.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    /// Lines.
    Shown(DataView),
    /// It is too large; so large.
    Apart(String),
    /// Why there are none: a heading and a sentence.
    Absent(&'static str, String),
}

/// One try in the list of tries.
#[derive(Debug, Clone)]
pub(crate) struct Try {
    pub(crate) number: usize,
    pub(crate) tone: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) text: String,
    pub(crate) at_us: i64,
}

/// One link of the tab bar.
#[derive(Debug, Clone)]
pub(crate) struct TabLink {
    pub(crate) word: &'static str,
    pub(crate) href: String,
    pub(crate) current: bool,
    pub(crate) count: Option<usize>,
}

/// The chosen step, ready to be shown.
#[derive(Debug, Clone)]
pub(crate) struct Inspector {
    pub(crate) heading: String,
    pub(crate) subtitle: String,
    pub(crate) path: String,
    pub(crate) mark: Mark,
    pub(crate) status: StepStatus,
    pub(crate) tab: Tab,
    /// The tab the links to other steps lead to: what was asked for, although this step may not have it.
    pub(crate) asked: Tab,
    pub(crate) tabs: Vec<TabLink>,
    pub(crate) data: Data,
    pub(crate) raw: bool,
    pub(crate) tree_href: String,
    pub(crate) raw_href: String,
    pub(crate) download_href: String,
    pub(crate) tries: Vec<Try>,
    pub(crate) request: Option<Request>,
    pub(crate) error: Option<StepError>,
    pub(crate) due_us: Option<i64>,
}

impl Tab {
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Tries => "tries",
            Self::Request => "request",
        }
    }

    fn read(text: Option<&str>) -> Option<Self> {
        [Self::Input, Self::Output, Self::Tries, Self::Request].into_iter().find(|tab| Some(tab.slug()) == text)
    }
}

impl Inspector {
    pub(crate) fn new(run: &str, step: &StepRow, query: &RunQuery, now_us: i64) -> Self {
        let is_trigger = step.kind == StepKind::Trigger;
        let asked = Tab::read(query.tab.as_deref());
        // A trigger has one piece of data, called its output; everything else opens on its input.
        // A step that is only worked out has a result and nothing else.
        let is_value = step.input.is_none() && step.output.is_some() && step.attempts.is_empty();
        let tab = match asked {
            _ if is_value && !is_trigger => Tab::Output,
            Some(Tab::Input) | None if is_trigger => Tab::Output,
            other => other.unwrap_or(Tab::Input),
        };
        let href = |tab: Tab| step_href(run, &step.path, tab.slug());
        let link = |tab_of: Tab, word, count| TabLink { word, href: href(tab_of), current: tab_of == tab, count };
        let mut tabs = Vec::new();
        if is_trigger {
            tabs.push(link(Tab::Output, "Event", None));
        } else if is_value {
            tabs.push(link(Tab::Output, "Output", None));
        } else {
            tabs.push(link(Tab::Input, "Input", None));
            tabs.push(link(Tab::Output, "Output", None));
            tabs.push(link(Tab::Tries, "Tries", (!step.attempts.is_empty()).then_some(step.attempts.len())));
        }
        if !(is_trigger || is_value) || step.request.is_some() {
            tabs.push(link(Tab::Request, "Request", None));
        }
        Self {
            heading: step.heading(),
            subtitle: subtitle(step, now_us),
            path: step.path.clone(),
            mark: step.mark.clone(),
            status: step.status,
            data: data(step, tab),
            raw: query.view.as_deref() == Some("raw"),
            tree_href: href(tab),
            raw_href: format!("{}&view=raw", href(tab)),
            download_href: download_href(run, &step.path, tab),
            tries: tries(step),
            request: step.request.clone(),
            error: step.error.clone(),
            due_us: step.due_us,
            tab,
            asked: asked.unwrap_or(Tab::Input),
            tabs,
        }
    }

    /// What the shown data is called, in a sentence: "input".
    pub(crate) fn noun(&self) -> &'static str {
        match (self.tab, self.tabs.first().map(|tab| tab.word)) {
            (Tab::Output, Some("Event")) => "event",
            (tab, _) => tab.slug(),
        }
    }

    pub(crate) fn shows_data(&self) -> bool {
        matches!(self.tab, Tab::Input | Tab::Output)
    }

    pub(crate) fn shows_tries(&self) -> bool {
        self.tab == Tab::Tries
    }
}

fn download_href(run: &str, path: &str, tab: Tab) -> String {
    let query =
        form_urlencoded::Serializer::new(String::new()).append_pair("step", path).append_pair("part", tab.slug()).finish();
    format!("/runs/{run}/data?{query}")
}

/// "Trigger, Salesforce" or "NetSuite, 1 try, 0.92 s".
fn subtitle(step: &StepRow, now_us: i64) -> String {
    let mut parts = vec![step.mark.name().to_owned()];
    if !step.attempts.is_empty() && step.kind != StepKind::Trigger {
        parts.push(format::plural(step.attempts.len() as u64, "try", "tries"));
    }
    match step.took_us(now_us) {
        Some(us) => parts.push(format::duration(us)),
        None => parts.push(step.status.word().to_lowercase()),
    }
    parts.join(", ")
}

fn data(step: &StepRow, tab: Tab) -> Data {
    let (payload, root) = match tab {
        Tab::Output if step.kind == StepKind::Trigger => (&step.output, "trigger".to_owned()),
        Tab::Output => {
            let id = step.path.rsplit('.').next().unwrap_or(&step.path);
            (&step.output, format!("steps.{}", id.split('[').next().unwrap_or(id)))
        }
        Tab::Input | Tab::Tries | Tab::Request => (&step.input, "input".to_owned()),
    };
    let culprit = step.error.as_ref().filter(|_| tab == Tab::Input).and_then(|error| {
        Some(Culprit { path: error.field.as_deref()?, problem: error.field_problem.as_deref().unwrap_or("Named by the error") })
    });
    match payload {
        Some(payload) => DataView::of(payload, &root, culprit).map_or_else(|| absent(payload), Data::Shown),
        None => nothing(step, tab),
    }
}

fn absent(payload: &Payload) -> Data {
    match payload {
        Payload::Apart { bytes } => Data::Apart(format::size(*bytes)),
        Payload::Removed { kept_days, .. } => {
            Data::Absent("Removed", format!("This data was kept for {}.", format::plural(u64::from(*kept_days), "day", "days")))
        }
        Payload::Hidden => Data::Absent("Hidden", "Your role cannot see data.".to_owned()),
        _ => Data::Absent("Not kept", "The recipe says that its data is not kept.".to_owned()),
    }
}

fn nothing(step: &StepRow, tab: Tab) -> Data {
    if !step.status.was_begun() {
        let why = match step.status {
            StepStatus::Skipped => "The step was skipped, so it received and returned nothing.",
            _ => "The run has not come to this step.",
        };
        return Data::Absent("No data", why.to_owned());
    }
    if tab == Tab::Input {
        return Data::Absent("No input", "This step takes no input.".to_owned());
    }
    let why = match step.status {
        StepStatus::Failed => "The step failed, so there is nothing to pass on to later steps.",
        StepStatus::Stopped => "The run ended before the step did.",
        StepStatus::Uncertain => "No answer came, so nobody knows what the step returned.",
        status if status.is_open() => "The step has not finished.",
        _ => "This step returns nothing.",
    };
    Data::Absent("No output", why.to_owned())
}

fn tries(step: &StepRow) -> Vec<Try> {
    let entry = |(place, bar): (usize, &super::step::Bar)| {
        let (tone, icon, outcome) = match bar.status {
            BarStatus::Running => ("run", "runc", "Under way"),
            BarStatus::Succeeded => ("ok", "okc", "Succeeded"),
            BarStatus::Failed => ("fail", "failc", "Failed"),
            BarStatus::Uncertain => ("warn", "alert", "No answer came"),
        };
        let mut text = bar.error.as_deref().map_or_else(|| outcome.to_owned(), sentence);
        if let Some(took) = bar.took() {
            text.push_str(&format!(", {took}"));
        }
        Try { number: place + 1, tone, icon, text, at_us: bar.from_us }
    };
    step.attempts.iter().enumerate().map(entry).collect()
}

/// The text with a capital at its beginning.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
