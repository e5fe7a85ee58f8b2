//! Puts the YAML parser's errors into our sentences.

use granit_parser::{ErrorKind, ScanError};

use crate::ast::Span;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::yaml::DEPTH_MAX;

/// The one problem a YAML parser can report before it must give up.
pub(crate) fn explain(text: &str, error: &ScanError) -> Diagnostic {
    let start = floor(text, error.marker().byte_offset().unwrap_or_default());
    let end = start + text[start..].chars().next().map_or(0, char::len_utf8);
    let span = Span { start, end };
    let (message, help) = match error.kind() {
        ErrorKind::RecursionLimitExceeded => return too_deep(span),
        ErrorKind::TabInIndentation
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabAtBlockScalarStart => {
            // The parser stands behind the tab by now.
            let line = text[..start].rfind('\n').map_or(0, |i| i + 1);
            let at = text[line..start].find('\t').map_or(start, |at| line + at);
            return tab(Span { start: at, end: (at + 1).min(text.len()) });
        }
        ErrorKind::DirectiveDisallowed => {
            let message = "Lines that start with `%` are not part of the language.";
            return Diagnostic::error(codes::DIRECTIVE, span, message).help("Remove the line.");
        }
        ErrorKind::UndeclaredTagHandle
        | ErrorKind::InvalidTagTerminator
        | ErrorKind::MissingTagUri
        | ErrorKind::UnclosedVerbatimTag => {
            let message = "`!` starts a YAML tag; recipes have none.";
            return Diagnostic::error(codes::TAG, span, message).help("Remove it, or put quotes around the text.");
        }
        ErrorKind::UnclosedFlowCollection { open } => {
            (format!("The `{open}` here is never closed."), "Close it, or put quotes around the text.")
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            (format!("`{open}` is closed by `{close}` here."), "Use the matching bracket.")
        }
        ErrorKind::MisplacedFlowCollectionEnd => {
            ("This bracket closes nothing.".to_owned(), "Remove it, or put quotes around the text.")
        }
        ErrorKind::UnclosedQuotedScalar => ("The quote that opens here is never closed.".to_owned(), "Close it."),
        ErrorKind::MappingValueNotAllowed => (
            "A second `:` in one line, or a line indented wrongly.".to_owned(),
            "Put quotes around a text that holds a colon and a space, or put the key on a line of its own.",
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            "Here `key: value` is expected, but there is no colon.".to_owned(),
            "Add a colon and a space after the key, or mend the indentation.",
        ),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation | ErrorKind::ExpectedBlockSequenceEntry => (
            "The indentation fits none of the lines above.".to_owned(),
            "Give lines of the same record or list the same number of spaces.",
        ),
        ErrorKind::BlockSequenceEntryNotAllowed | ErrorKind::BlockEntryInFlowCollection => {
            ("A list cannot start here.".to_owned(), "Put `- ` on a line of its own, or put quotes around the text.")
        }
        ErrorKind::UnexpectedCharacter { character } => {
            (format!("No value can start with `{}`.", character.escape_default()), "Put quotes around the text.")
        }
        ErrorKind::UnknownQuotedScalarEscape => (
            "The text in double quotes has an escape that YAML does not know.".to_owned(),
            "Write `\\\\` for a backslash, or use single quotes.",
        ),
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
            ("A comma or a closing bracket is missing here.".to_owned(), "Add it, or put quotes around the text.")
        }
        ErrorKind::CommentNotSeparated => {
            ("`#` stands directly after a value.".to_owned(), "Put a space before a comment, or quotes around the text.")
        }
        ErrorKind::BomInsideDocument => ("A byte-order mark stands inside the text.".to_owned(), "Remove it."),
        _ => (format!("This is not well-formed YAML: {}.", error.info()), "Look at the quotes, colons and indentation here."),
    };
    let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
    let before = text[..line_start.saturating_sub(1)].rfind('\n').map_or(0, |i| i + 1);
    if let Some(at) = tab_indentation(text, before) {
        return tab(Span { start: at, end: at + 1 });
    }
    // What is never closed is noticed only lines later; people look for where it opens.
    let open = match error.kind() {
        ErrorKind::InvalidQuotedScalarIndent | ErrorKind::DocumentIndicatorInQuotedScalar => unclosed(text, start, &['"', '\'']),
        ErrorKind::InvalidColonPlacement | ErrorKind::InvalidFlowScalarIndent => unclosed(text, start, &['[', '{']),
        _ => None,
    };
    if let Some((at, open)) = open {
        let span = Span { start: at, end: at + 1 };
        let (message, help) = match open {
            '"' | '\'' => (format!("The quote {open} that opens here is never closed."), "Close it."),
            _ => (format!("The `{open}` here is never closed."), "Close it, or put quotes around the text."),
        };
        return Diagnostic::error(codes::SYNTAX, span, message).help(help);
    }
    let line = text[line_start..].lines().next().unwrap_or_default();
    let diagnostic = Diagnostic::error(codes::SYNTAX, span, message);
    if line.contains("${") {
        // By far the most frequent cause in recipes.
        diagnostic.help("YAML reads `{ } : #` inside `${ }` itself here. Put quotes around the whole value.")
    } else {
        diagnostic.help(help)
    }
}

/// The problem of a file nested without end.
pub(crate) fn too_deep(span: Span) -> Diagnostic {
    let message = format!("Records and lists lie more than {DEPTH_MAX} deep here.");
    Diagnostic::error(codes::TOO_DEEP, span, message).help("Take the inner part into a recipe or step of its own.")
}

/// The problem of a tab where only spaces count.
pub(crate) fn tab(span: Span) -> Diagnostic {
    Diagnostic::error(codes::TAB, span, "A tab stands in the indentation; YAML indents with spaces only.")
        .help("Replace the tab by spaces.")
}

/// The tab that indents this line or one of the next two, which YAML may take for the cause of something else.
fn tab_indentation(text: &str, line_start: usize) -> Option<usize> {
    // In JSON tabs are fine.
    if text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut at = line_start;
    for line in text[line_start..].split_inclusive('\n').take(3) {
        let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        if let Some(tab) = indent.find('\t') {
            return Some(at + tab);
        }
        at += line.len();
    }
    None
}

/// The last of these characters before an offset that its own line does not close.
fn unclosed(text: &str, before: usize, wanted: &[char]) -> Option<(usize, char)> {
    const LINES_MAX: usize = 50;
    let mut end = before + text[before..].find('\n').unwrap_or(text.len() - before);
    for _ in 0..LINES_MAX {
        let start = text[..end].rfind('\n').map_or(0, |i| i + 1);
        let mut open: Vec<(usize, char)> = Vec::new();
        for (at, c) in text[start..end].char_indices() {
            let quoted = open.last().filter(|(_, open)| matches!(open, '"' | '\'')).map(|(_, open)| *open);
            match (quoted, c) {
                (Some(quote), c) if c == quote => drop(open.pop()),
                (Some(_), _) => {}
                (None, '[' | '{' | '"') => open.push((start + at, c)),
                // An apostrophe inside a word quotes nothing.
                (None, '\'') if !text[start..start + at].ends_with(char::is_alphanumeric) => open.push((start + at, c)),
                (None, ']' | '}') => drop(open.pop()),
                _ => {}
            }
        }
        if let Some(found) = open.into_iter().rev().find(|(at, open)| wanted.contains(open) && *at < before) {
            return Some(found);
        }
        end = start.checked_sub(1)?;
    }
    None
}

/// The offset moved back to the start of its character.
fn floor(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
