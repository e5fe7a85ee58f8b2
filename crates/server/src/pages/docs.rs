//! `/docs/api`: what can be called, in words.

use askama::Template;
use askama_web::WebTemplate;

use super::shell::{Section, Shell};

/// One parameter of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// `path`, `query` or `header`.
    pub place: String,
    /// Whether it must be given.
    pub required: bool,
    /// What it means.
    pub about: String,
}

/// One answer of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: String,
    /// When it is given.
    pub about: String,
    /// The fields of its body, or the body's name; empty if there is nothing to say.
    pub body: String,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// `GET`
    pub method: String,
    /// `/api/v1/runs/{id}`
    pub path: String,
    /// What it does, in one sentence.
    pub summary: String,
    /// More about it.
    pub about: String,
    /// The fields of its body.
    pub body: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// Its answers.
    pub answers: Vec<Answer>,
}

/// Calls that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// Its name as part of an address.
    pub slug: String,
    /// What it is about.
    pub about: String,
    /// Its calls.
    pub operations: Vec<Operation>,
}

/// The page.
#[derive(Debug, Clone, Template, WebTemplate)]
#[template(path = "docs_api.html")]
pub struct DocsPage {
    /// The surroundings.
    pub shell: Shell,
    /// What the API is about.
    pub about: String,
    /// Its calls by subject.
    pub tags: Vec<Tag>,
}

impl DocsPage {
    fn title(&self) -> &'static str {
        "API docs"
    }

    fn section(&self) -> Section {
        Section::Other("/docs/api")
    }
}
