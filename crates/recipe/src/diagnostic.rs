//! What is wrong with a text, where, and what to do about it.
//!
//! Every problem the crate finds is a [`Diagnostic`]. Spans are byte offsets; [`LineIndex`] turns
//! them into lines and columns once for all of them.

use serde::Serialize;

use crate::ast::Span;
use crate::codes;

/// More problems than this are not kept: a broken file must not cost unbounded memory.
pub(crate) const DIAGNOSTICS_MAX: usize = 200;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Its stable code, as listed by [`crate::codes`].
    pub code: &'static str,
    /// Whether the recipe may run all the same.
    pub severity: Severity,
    /// What was read and why it is wrong.
    pub message: String,
    /// Where it stands.
    pub span: Span,
    /// What to do.
    pub help: Option<String>,
    /// A ready fix.
    pub edit: Option<Edit>,
}

/// Whether a recipe may run in spite of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The recipe may not run.
    Error,
    /// The recipe may run; a person should look.
    Warning,
}

/// A ready fix: replace the text at `span`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// What is replaced.
    pub span: Span,
    /// What stands there afterwards.
    pub text: String,
    /// What the button says.
    pub title: String,
}

impl Diagnostic {
    /// A step that is part of the language but that this version cannot run yet.
    #[must_use]
    pub fn not_yet(step: &crate::ast::Step) -> Self {
        let message = format!("\"{}\" belongs to the language, but this version cannot run it yet.", step.kind.word());
        Self::error(crate::codes::LATER, step.id.span, message).help("Remove the step, disable it, or use a newer version.")
    }

    pub(crate) fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), span, help: None, edit: None }
    }

    pub(crate) fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn edit(mut self, span: Span, text: impl Into<String>, title: impl Into<String>) -> Self {
        self.edit = Some(Edit { span, text: text.into(), title: title.into() });
        self
    }

    /// Adds "did you mean" and the edit for it, when a name was found that is close enough.
    pub(crate) fn suggest(self, span: Span, suggestion: Option<&str>) -> Self {
        match suggestion {
            Some(name) => self.help(format!("Did you mean \"{name}\"?")).edit(span, name, format!("Change to \"{name}\"")),
            None => self,
        }
    }
}

/// A bounded list of problems.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    kept: Vec<Diagnostic>,
    more: bool,
    more_errors: bool,
    errors: bool,
}

impl Diagnostics {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let error = diagnostic.severity == Severity::Error;
        self.errors |= error;
        if self.kept.len() < DIAGNOSTICS_MAX {
            self.kept.push(diagnostic);
        } else {
            self.more = true;
            self.more_errors |= error;
        }
    }

    /// True if something keeps the recipe from running.
    pub(crate) const fn has_errors(&self) -> bool {
        self.errors
    }

    /// True if one more warning would not be shown.
    pub(crate) const fn is_crowded(&self) -> bool {
        self.more
    }

    /// True if looking further would neither show more nor change whether the recipe may run.
    pub(crate) const fn is_full(&self) -> bool {
        self.errors && self.more
    }

    /// The problems in the order of the text. What was only counted is an error itself if an error
    /// was among it, so that no caller takes the recipe for sound.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.kept.sort_by_key(|d| (d.span.start, d.span.end, d.code));
        if self.more {
            let span = self.kept.last().map(|d| d.span).unwrap_or_default();
            let severity = if self.more_errors { Severity::Error } else { Severity::Warning };
            let more = Diagnostic { severity, ..Diagnostic::error(codes::MORE, span, "There are more problems, not shown.") };
            self.kept.push(more.help("Mend the ones above first."));
        }
        self.kept
    }
}

/// Lines and columns of a text. Built once, asked often.
#[derive(Debug, Clone)]
pub struct LineIndex {
    /// Offset of the first byte of each line.
    starts: Vec<u32>,
    /// Bytes that do not begin a character of their own, so that columns count characters.
    continuations: Vec<u32>,
}

impl LineIndex {
    /// Reads the text once. It need not be UTF-8; a byte-order mark has no width.
    #[must_use]
    pub fn new<T: AsRef<[u8]> + ?Sized>(text: &T) -> Self {
        let bytes = text.as_ref();
        let mut starts = vec![0];
        let mut continuations = Vec::new();
        if bytes.starts_with(b"\xef\xbb\xbf") {
            continuations.push(0);
        }
        for (offset, byte) in (0u32..).zip(bytes) {
            let next = bytes.get(offset as usize + 1);
            if *byte == b'\n' || (*byte == b'\r' && next != Some(&b'\n')) {
                starts.push(offset + 1);
            } else if byte & 0b1100_0000 == 0b1000_0000 {
                continuations.push(offset);
            }
        }
        Self { starts, continuations }
    }

    /// The line and column of a byte offset, both counted from 1, the column in characters.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or_default();
        let before = |at: u32| self.continuations.partition_point(|c| *c < at);
        let width = (offset - start) as usize - (before(offset) - before(start));
        (line, width + 1)
    }
}

/// The name nearest to what was written, if one is near enough to be meant.
pub(crate) fn nearest<'n>(written: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    // Names are short; comparing against a page of text would only cost time.
    const BYTES_MAX: usize = 64;
    const NAMES_MAX: usize = 2000;
    if written.len() > BYTES_MAX {
        return None;
    }
    let lower = written.to_lowercase();
    names
        .into_iter()
        .take(NAMES_MAX)
        .filter(|name| name.len() <= BYTES_MAX && fits_anywhere(name))
        .map(|name| (name, strsim::jaro_winkler(&lower, &name.to_lowercase())))
        .filter(|(name, score)| *score > 0.8 && *name != written)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(name, _)| name)
}

/// Whether a name can stand wherever another stood: plain, in quotes of either kind, in a formula.
fn fits_anywhere(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' '))
}

/// The characters with which a text can show otherwise than it reads (CVE-2021-42574). The marks
/// U+200E, U+200F and U+061C turn nothing but themselves and stay.
pub(crate) const fn turns_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What was read, short enough for a message and without line breaks.
pub(crate) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let mut chars = text.chars();
    let mut short: String =
        chars.by_ref().take(CHARS_MAX).map(|c| if c.is_control() || turns_direction(c) { ' ' } else { c }).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

/// "a, b or c", or the first of many.
pub(crate) fn one_of<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    const NAMES_MAX: usize = 20;
    let mut names = names.into_iter().map(shown);
    let first: Vec<_> = names.by_ref().take(NAMES_MAX).collect();
    match (first.split_last(), names.count()) {
        (None, _) => String::new(),
        (Some((last, [])), 0) => last.clone(),
        (Some((last, rest)), 0) => format!("{} or {last}", rest.join(", ")),
        (Some(_), more) => format!("{} and {more} more", first.join(", ")),
    }
}
