//! Pages that hold one message: not here yet, not found, no permission, could not load.

use askama::Template;
use askama_web::WebTemplate;

use super::shell::{NAVIGATION, Section, Shell};

/// A button or link under a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Verb and thing: "Show runs".
    pub word: String,
    /// Where it leads.
    pub href: String,
}

/// One message in the shell, for every address without a page of its own.
#[derive(Debug, Clone, Template, WebTemplate)]
#[template(path = "message.html")]
pub struct MessagePage {
    /// The surroundings.
    pub shell: Shell,
    /// The link to mark in the sidebar.
    pub section: Section,
    /// The heading and title.
    pub title: String,
    /// One or two sentences.
    pub text: String,
    /// The icon.
    pub icon: &'static str,
    /// What to do next; the first is the primary one.
    pub actions: Vec<Action>,
    /// Shown behind "Copy details": request id, code. Empty shows no button.
    pub details: String,
}

impl Action {
    /// A link.
    pub fn new(word: &str, href: &str) -> Self {
        Self { word: word.to_owned(), href: href.to_owned() }
    }
}

impl MessagePage {
    /// A page that is planned but not built, or `None` if the path is none of the sidebar's. Serve it
    /// with status 200 for `/dead-letters`, `/connections` and the others, and for `/recipes/{slug}`.
    pub fn not_here_yet(shell: Shell, path: &str) -> Option<Self> {
        let first = path.split('/').nth(1).unwrap_or_default();
        let link = NAVIGATION
            .iter()
            .flat_map(|group| group.links)
            .find(|link| link.href.split('/').nth(1) == Some(first) && !first.is_empty())?;
        let (title, text, section) = if link.href == "/recipes" {
            let text = "Recipes are files for now: change the text and send it with “liaison apply”. The editor comes with a later version.";
            ("Recipe editor", text.to_owned(), Section::Recipes)
        } else {
            let text = format!("{} come with a later version. Until then, use the command line or the API.", link.word);
            let text = if link.word.ends_with('s') { text } else { text.replacen(" come ", " comes ", 1) };
            (link.word, text, Section::Other(link.href))
        };
        Some(Self {
            shell,
            section,
            title: format!("{title}: not here yet"),
            text,
            icon: "flask",
            actions: vec![Action::new("Show runs", "/runs"), Action::new("Show recipes", "/recipes")],
            details: String::new(),
        })
    }

    /// 404: nothing has this address.
    pub fn not_found(shell: Shell) -> Self {
        Self {
            section: Section::None,
            title: "Nothing is here".to_owned(),
            text: "No page has this address. It may have been typed wrongly, or what it showed was removed.".to_owned(),
            icon: "search",
            actions: vec![Action::new("Show runs", "/runs"), Action::new("Show recipes", "/recipes")],
            details: String::new(),
            shell,
        }
    }

    /// 404: there is no run with this id.
    pub fn run_not_found(shell: Shell, id: &str) -> Self {
        Self {
            section: Section::Runs,
            title: "This run is not here".to_owned(),
            text: format!(
                "No run has the ID {id}. It may have been removed because its time was over, or the ID was cut when it was copied."
            ),
            icon: "search",
            actions: vec![Action::new("Show runs", "/runs")],
            details: String::new(),
            shell,
        }
    }

    /// A connection can sign in again.
    pub fn signed_in(shell: Shell, connection: &str) -> Self {
        Self {
            section: Section::Other("/connections"),
            title: "Signed in".to_owned(),
            text: format!(
                "The connection “{connection}” can call the other system now. Runs that failed meanwhile wait under “Dead letters”: \
                 resume them when you like. You may close this window."
            ),
            icon: "check",
            actions: vec![Action::new("Show dead letters", "/dead-letters"), Action::new("Show runs", "/runs")],
            details: String::new(),
            shell,
        }
    }

    /// A connection could not sign in: what happened and what to do.
    pub fn sign_in_failed(shell: Shell, title: &str, text: &str) -> Self {
        Self {
            section: Section::Other("/connections"),
            title: title.to_owned(),
            text: text.to_owned(),
            icon: "alert",
            actions: vec![Action::new("Show runs", "/runs")],
            details: format!("{title}. {text} Request {}.", shell.request_id),
            shell,
        }
    }

    /// 403: what is needed and whom to ask, never a bare refusal.
    pub fn no_permission(shell: Shell, needs: &str, ask: &str) -> Self {
        Self {
            section: Section::None,
            title: "You cannot see this page".to_owned(),
            text: format!("It needs {needs}. Ask {ask}."),
            icon: "lock",
            actions: vec![Action::new("Show runs", "/runs")],
            details: String::new(),
            shell,
        }
    }

    /// 500 or 503: what failed and why, with "Try again" and "Copy details".
    pub fn failed(shell: Shell, what: &str, why: &str) -> Self {
        let here = shell.here.clone();
        let details = format!("{what}. {why} Request {}.", shell.request_id);
        Self {
            section: Section::None,
            title: what.to_owned(),
            text: why.to_owned(),
            icon: "alert",
            actions: vec![Action::new("Try again", &here)],
            details,
            shell,
        }
    }

    fn title(&self) -> &str {
        &self.title
    }

    fn section(&self) -> Section {
        self.section
    }
}
