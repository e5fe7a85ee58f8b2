//! What is wrong with a connector file, at its place.

use std::fmt;

use connector::strict;

/// Problems told of one file; more are a sign that it is something else.
const PROBLEMS_MAX: usize = 200;

/// One problem of a connector file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable code; `docs/connectors.md` lists them.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Where it begins in the file, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The text cannot be read as YAML.
    Syntax,
    /// The file is larger than a limit.
    TooLarge,
    /// A key nobody would read.
    UnknownKey,
    /// A key that is needed.
    MissingKey,
    /// A value of another kind than belongs here.
    Kind,
    /// A value that is none of those that are possible here.
    Value,
    /// A name that is there twice, or taken.
    Repeated,
    /// A formula or a text with formulas that cannot be read.
    Formula,
    /// A name in a formula or in braces that there is not.
    UnknownName,
    /// A schema that is none.
    Schema,
    /// A sample or a test that does not fit its schema.
    Sample,
}

impl Code {
    /// As people and scripts see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "C0001",
            Self::TooLarge => "C0002",
            Self::UnknownKey => "C0003",
            Self::MissingKey => "C0004",
            Self::Kind => "C0005",
            Self::Value => "C0006",
            Self::Repeated => "C0007",
            Self::Formula => "C0008",
            Self::UnknownName => "C0009",
            Self::Schema => "C0010",
            Self::Sample => "C0011",
        }
    }
}

impl Problem {
    /// Line and column of its beginning, from 1; columns count characters.
    #[must_use]
    pub fn place(&self, text: &str) -> (usize, usize) {
        let before = &text[..text.floor_char_boundary(self.start)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// The problem as one line: place, code, message, what to do.
    #[must_use]
    pub fn line(&self, file: &str, text: &str) -> String {
        let (line, column) = self.place(text);
        format!("{file}:{line}:{column}: {self}")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code.as_str(), self.message)?;
        match &self.help {
            Some(help) => write!(f, " {help}"),
            None => Ok(()),
        }
    }
}

/// All problems of a file.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, code: Code, at: (usize, usize), message: impl Into<String>) {
        self.push(code, at, message.into(), None);
    }

    pub(crate) fn helped(&mut self, code: Code, at: (usize, usize), message: impl Into<String>, help: impl Into<String>) {
        self.push(code, at, message.into(), Some(help.into()));
    }

    /// A word that is none of those known.
    pub(crate) fn unknown(&mut self, code: Code, at: (usize, usize), what: &str, word: &str, known: &[&str]) {
        let help = match strict::nearest(word, known) {
            Some(near) => format!("Did you mean \"{near}\"?"),
            None if known.is_empty() => "There is none.".to_owned(),
            None => format!("Known are {}.", known.join(", ")),
        };
        self.helped(code, at, format!("\"{}\" is no {what}.", shown(word)), help);
    }

    fn push(&mut self, code: Code, (start, end): (usize, usize), message: String, help: Option<String>) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(Problem { code, message, help, start, end });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        self.0.sort_by_key(|problem| (problem.start, problem.end));
        self.0
    }
}

/// The beginning of a word of the file, for a sentence.
pub(crate) fn shown(word: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let mut short: String = word.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if word.chars().nth(SHOWN_CHARS_MAX).is_some() {
        short.push('…');
    }
    short
}
