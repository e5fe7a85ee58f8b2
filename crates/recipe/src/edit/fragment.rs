//! Pieces of YAML that come from outside: a step, or a value.

use super::error::{EditCode, EditError};
use super::lines::{column, line_start, newline, next_line, shift};
use super::tree::{Kind, Source};

/// A piece of YAML, laid out so that its bytes can be carried into a recipe.
#[derive(Debug)]
pub(crate) struct Fragment {
    text: String,
    /// All of the text is one item of a list.
    item: bool,
    /// Written with brackets and without comments, so that only its values count.
    pub(crate) data: bool,
}

impl Fragment {
    /// One step: with or without a dash, at any indentation, or JSON.
    pub(crate) fn step(text: &str) -> Result<Self, EditError> {
        let source = Source::read(text).map_err(|_| not_a_step(text))?;
        let root = source.node(source.root);
        let one = |text: String| Self { text: ended(text), item: true, data: false };
        match &root.kind {
            Kind::Record { flow: true, .. } => {
                let data = !text.contains('#');
                Ok(Self { text: ended(format!("- {}", text.trim())), item: true, data })
            }
            Kind::Record { flow: false, parts } => {
                let Some(first) = parts.first() else { return Err(not_a_step(text)) };
                let (start, column) = (line_start(text, first.start), column(text, first.start).cast_signed());
                let end = next_line(text, root.span.end);
                let end = text[end..].trim_end().len() + end;
                let body = shift(&text[start..end.max(root.span.end)], 2 - column);
                let above = shift(text[..start].trim_start_matches(['\n', '\r', '\u{feff}']), -column);
                Ok(one(format!("{above}- {}", body.trim_start_matches(' '))))
            }
            Kind::List { flow: false, parts } if parts.len() == 1 => {
                let is_record = matches!(source.node(parts[0].value).kind, Kind::Record { .. });
                let column = column(text, parts[0].start).cast_signed();
                let end = text.trim_end().len().max(root.span.end);
                let text = text[..end].trim_start_matches(['\n', '\r', '\u{feff}']);
                if is_record { Ok(one(shift(text, -column))) } else { Err(not_a_step(text)) }
            }
            _ => Err(not_a_step(text)),
        }
    }

    /// A value.
    pub(crate) fn value(text: &str) -> Result<Self, EditError> {
        let fragment = Self { text: ended(text.to_owned()), item: false, data: false };
        fragment.source()?;
        Ok(fragment)
    }

    /// The tree of the piece.
    pub(crate) fn source(&self) -> Result<Source<'_>, EditError> {
        let mut source = Source::read(&self.text).map_err(|_| {
            let error =
                EditError::new(EditCode::NotAStep, format!("The new value cannot be read. {}", super::first_problem(&self.text)));
            error.help("Put quotes around the text if it is one.")
        })?;
        source.whole = self.item;
        Ok(source)
    }
}

fn ended(mut text: String) -> String {
    if !text.ends_with(['\n', '\r']) {
        let newline = newline(&text);
        text.push_str(newline);
    }
    text
}

fn not_a_step(text: &str) -> EditError {
    let error = EditError::new(EditCode::NotAStep, format!("The text is not one step. {}", super::first_problem(text)));
    error.help("A step is a record: an id, a word such as `do`, and its fields.")
}
