//! The one layout of a recipe's text.
//!
//! Only blanks, line breaks and the indentation of lines change: words, quotes, the order of keys,
//! comments, and whether a list or record stands in lines or in brackets stay as their writer had
//! them, so a recipe written as JSON stays JSON. What is printed is read again and must say what the
//! old text says; a layout that cannot be printed so is refused, never changed.

mod flow;
mod gap;
mod lines;
mod print;
mod scalar;

use std::fmt::{Display, Formatter};

use crate::diagnostic::{Diagnostic, Diagnostics, LineIndex, Severity};
use crate::edit::tree::Source;

/// Why a text was not formatted. It stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormatError {
    /// The text is not the YAML of one document; the first thing that is wrong with it, and its line.
    Unreadable {
        /// What is wrong. Its span lies in the text given.
        problem: Box<Diagnostic>,
        /// The line, counted from 1.
        line: usize,
    },
    /// The text is readable, but it uses a layout that cannot be printed with the same meaning.
    Layout,
}

impl Display for FormatError {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable { problem, line } => write!(f, "Line {line}: {}", problem.message),
            Self::Layout => f.write_str(
                "The text uses a layout that cannot be printed without changing what it means, so it stays as it is. \
                 Tags, anchors, `?` keys or line breaks inside keys are usual causes.",
            ),
        }
    }
}

impl std::error::Error for FormatError {}

/// Formats the text of a recipe. Formatting a formatted text changes nothing.
///
/// The text may have problems in its words; it must only be readable as YAML. Line breaks become
/// those that the text uses first, a byte-order mark stays.
///
/// # Errors
/// When the text is not readable, or cannot be printed with the same meaning.
pub fn fmt(text: &str) -> Result<String, FormatError> {
    let (mark, body) = match text.strip_prefix('\u{feff}') {
        Some(rest) => ("\u{feff}", rest),
        None => ("", text),
    };
    let Ok(source) = Source::read(body) else { return Err(unreadable(text)) };
    let printed = print::print(&source);
    if !means_the_same(&source, &printed) {
        return Err(FormatError::Layout);
    }
    Ok(format!("{mark}{printed}"))
}

/// Holds what was printed against what was read, comments included.
fn means_the_same(source: &Source<'_>, printed: &str) -> bool {
    let comments = |source: &Source<'_>| {
        let text = source.text;
        let all = source.comments(0, text.len());
        all.iter().map(|span| text[span.start..span.end].trim_end().to_owned()).collect::<Vec<_>>()
    };
    match Source::read(printed) {
        Ok(new) => {
            let (mut before, mut after) = (comments(source), comments(&new));
            // Inside brackets a comment may change its line; none may get lost.
            before.sort_unstable();
            after.sort_unstable();
            source.same(source.root, &new, new.root) && before == after
        }
        Err(_) => false,
    }
}

fn unreadable(text: &str) -> FormatError {
    let mut out = Diagnostics::default();
    let _ = crate::yaml::read(text.as_bytes(), &mut out);
    match out.finish().into_iter().find(|problem| problem.severity == Severity::Error) {
        Some(problem) => {
            let (line, _) = LineIndex::new(text).position(problem.span.start);
            FormatError::Unreadable { problem: Box::new(problem), line }
        }
        None => FormatError::Layout,
    }
}
