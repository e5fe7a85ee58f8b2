//! Prints lists and records in brackets: in one line if they fit and were not broken by hand.

use std::fmt::Write as _;

use super::gap::{Gap, Remark};
use super::print::{Printer, STEP};
use crate::edit::tree::{Kind, Part};

/// The longest line that brackets are kept together for, in characters.
pub(super) const LINE_CHARS_MAX: usize = 120;

impl<'t> Printer<'_, 't> {
    /// Whether a value in brackets fits into a line, from a column on.
    pub(super) fn fits(&self, node: usize, column: usize) -> bool {
        let mut line = String::new();
        self.one_line(node, &mut line).is_some() && column + line.chars().count() <= LINE_CHARS_MAX
    }

    /// Prints a value in brackets whose lines are indented so.
    pub(super) fn flow(&mut self, node: usize, indent: usize) {
        let end = self.source.node(node).span.end;
        if !matches!(self.source.node(node).kind, Kind::List { .. } | Kind::Record { .. }) {
            self.scalar(node, indent, indent + STEP);
            return;
        }
        let mut line = String::new();
        let width = self.out.width();
        if self.one_line(node, &mut line).is_some() && width + line.chars().count() <= LINE_CHARS_MAX {
            self.out.push(&line);
            self.token(end);
            return;
        }
        let Some((open, close)) = self.brackets(node) else {
            if let Some(pair) = self.source.parts(node).first() {
                self.entry(pair, true, indent);
            }
            return;
        };
        self.out.push(open);
        self.token(self.source.node(node).span.start + open.len());
        self.in_lines(node, indent);
        let gap = self.gap(end.saturating_sub(close.len()));
        self.between(&Gap { blank: false, ..gap }, 0, indent + STEP, false);
        self.out.start(indent);
        self.out.push(close);
        self.token(end);
    }

    fn in_lines(&mut self, node: usize, indent: usize) {
        let source = self.source;
        let record = matches!(source.node(node).kind, Kind::Record { .. });
        let parts = source.parts(node);
        for (index, part) in parts.iter().enumerate() {
            let start = self.start(part);
            let mut gap = self.gap(start);
            // Comments inside an entry have no place of their own there.
            if record {
                gap.remarks.extend(self.inside(part));
            }
            if index == 0 {
                self.before(&gap, indent + STEP);
            } else {
                self.between(&gap, 0, indent + STEP, false);
            }
            self.out.start(indent + STEP);
            self.entry(part, record, indent + STEP);
            if index + 1 < parts.len() {
                self.out.push(",");
            }
        }
    }

    fn entry(&mut self, part: &Part<'_>, record: bool, indent: usize) {
        let value = self.source.node(part.value);
        let bare = value.props.is_none() && value.span.start == value.span.end;
        if record {
            let key = self.text[part.key_span.start..part.key_span.end].to_owned();
            self.out.push(&key);
            self.out.push(match (part.colon, bare) {
                (false, _) => "",
                (true, true) => ":",
                (true, false) => ": ",
            });
            self.token(part.after);
        }
        if bare {
            return;
        }
        self.props(part.value, "");
        self.token(value.span.start);
        self.flow(part.value, indent);
    }

    /// The comments between the key and the value of an entry, to stand above it.
    fn inside(&self, part: &Part<'_>) -> Vec<Remark<'t>> {
        let value = self.source.node(part.value);
        let end = value.props.map_or(value.span.start, |props| props.start);
        let mut remarks = Gap::read(self.text, part.key_span.end, end.max(part.key_span.end), false).remarks;
        remarks.iter_mut().for_each(|remark| (remark.beside, remark.goes_on, remark.blank) = (false, false, false));
        remarks
    }

    fn start(&self, part: &Part<'_>) -> usize {
        let value = self.source.node(part.value);
        let value = value.props.map_or(value.span.start, |props| props.start);
        if part.key_span.end > part.key_span.start { part.key_span.start } else { part.start.min(value) }
    }

    /// The brackets of a list or record; the one pair of `[a: 1]` has none.
    fn brackets(&self, node: usize) -> Option<(&'static str, &'static str)> {
        let start = self.source.node(node).span.start;
        match (&self.source.node(node).kind, self.text.as_bytes().get(start)) {
            (Kind::List { .. }, _) => Some(("[", "]")),
            (Kind::Record { .. }, Some(b'{')) => Some(("{", "}")),
            _ => None,
        }
    }

    /// Writes a value as one line; `None` if it has comments, text of several lines, or a line break
    /// behind its bracket, which says that its writer wants it in lines.
    fn one_line(&self, node: usize, out: &mut String) -> Option<()> {
        let this = self.source.node(node);
        if let Some(props) = this.props {
            let _ = write!(out, "{} ", &self.text[props.start..props.end]);
        }
        let (list, parts) = match &this.kind {
            Kind::List { parts, .. } => (true, parts),
            Kind::Record { parts, .. } => (false, parts),
            Kind::Scalar { .. } | Kind::Alias => {
                let text = &self.text[this.span.start..this.span.end];
                out.push_str(text);
                return (!text.contains(['\n', '\r'])).then_some(());
            }
        };
        let brackets = self.brackets(node);
        let (open, close) = brackets.unwrap_or_default();
        let blank = if list || parts.is_empty() || brackets.is_none() { "" } else { " " };
        let _ = write!(out, "{open}{blank}");
        let mut at = this.span.start + open.len();
        for (index, part) in parts.iter().enumerate() {
            let start = self.start(part);
            let gap = self.text.get(at..start)?;
            if gap.contains('#') || (index == 0 && gap.contains(['\n', '\r'])) {
                return None;
            }
            if index > 0 {
                out.push_str(", ");
            }
            at = self.one_line_part(part, list, out)?;
        }
        let gap = self.text.get(at..this.span.end.saturating_sub(close.len()).max(at))?;
        let _ = write!(out, "{blank}{close}");
        (!gap.contains('#')).then_some(())
    }

    fn one_line_part(&self, part: &Part<'_>, list: bool, out: &mut String) -> Option<usize> {
        let value = self.source.node(part.value);
        let start = value.props.map_or(value.span.start, |props| props.start);
        if !list {
            let key = &self.text[part.key_span.start..part.key_span.end];
            let inner = self.text.get(part.key_span.end..start.max(part.key_span.end))?;
            if key.contains(['\n', '\r']) || inner.contains('#') {
                return None;
            }
            out.push_str(key);
            out.push_str(if part.colon { ":" } else { "" });
        }
        if value.props.is_none() && value.span.start == value.span.end {
            return Some(part.after.max(value.span.end));
        }
        out.push_str(if list { "" } else { " " });
        self.one_line(part.value, out)?;
        Some(value.span.end)
    }
}
