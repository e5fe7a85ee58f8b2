//! Prints scalars: their words stay, their lines are indented anew.

use granit_parser::ScalarStyle;

use super::flow::LINE_CHARS_MAX;
use super::print::{Printer, STEP};
use crate::edit::lines::{break_len, line_end, next_line};
use crate::edit::tree::Kind;

impl Printer<'_, '_> {
    /// Whether a value may begin in the line of its key: in brackets if it fits as a whole, text of
    /// several lines if it began there.
    pub(super) fn fits_beside(&self, node: usize) -> bool {
        let source = self.source;
        let span = source.node(node).span;
        let began_there = !self.text[self.at..span.start].contains(['\n', '\r']);
        match &source.node(node).kind {
            Kind::Scalar { style: ScalarStyle::Literal | ScalarStyle::Folded, .. } => true,
            Kind::Scalar { .. } | Kind::Alias => {
                let text = &self.text[span.start..span.end];
                let short = self.out.width() + 1 + text.chars().count() <= LINE_CHARS_MAX;
                began_there || (short && !text.contains(['\n', '\r']))
            }
            Kind::List { .. } | Kind::Record { .. } => self.fits(node, self.out.width() + 1),
        }
    }

    /// Prints a scalar; `parent` is the indentation of what it stands in, `indent` its own.
    pub(super) fn scalar(&mut self, node: usize, parent: usize, indent: usize) {
        let source = self.source;
        let this = source.node(node);
        match &this.kind {
            Kind::Scalar { style: ScalarStyle::Literal | ScalarStyle::Folded, text, .. } => {
                // Indicators count from the parent, wherever the head stands.
                self.block_text(this.span.start, this.span.end, text, parent + STEP);
            }
            Kind::Scalar { style, .. } => self.words(this.span.start, this.span.end, *style == ScalarStyle::DoubleQuoted, indent),
            _ => self.words(this.span.start, this.span.end, false, indent),
        }
    }

    /// Plain or quoted text, whose line breaks fold.
    pub(super) fn words(&mut self, start: usize, end: usize, escapes: bool, indent: usize) {
        let mut at = start;
        loop {
            let stop = line_end(self.text, at).min(end);
            let last = stop >= end;
            let mut line = self.text[at..stop].trim_start_matches([' ', '\t']);
            if at == start {
                line = &self.text[at..stop];
            }
            if !last {
                let trimmed = line.trim_end_matches([' ', '\t']);
                let slashes = trimmed.len() - trimmed.trim_end_matches('\\').len();
                // An escaped blank belongs to the text.
                let keep = if escapes && slashes % 2 == 1 { trimmed.len() + 1 } else { trimmed.len() };
                line = line.get(..keep.min(line.len())).unwrap_or(trimmed);
            }
            if at == start {
                self.out.push(line);
            } else if line.is_empty() {
                self.out.blank();
            } else {
                self.out.start(indent);
                self.out.push(line);
            }
            if last {
                break;
            }
            at = stop + break_len(self.text, stop);
        }
        self.token(end);
    }

    /// Block text: its head and any comment beside it, then its lines.
    fn block_text(&mut self, start: usize, end: usize, text: &str, indent: usize) {
        let line = &self.text[start..line_end(self.text, start)];
        let head = start + line.find([' ', '\t', '#']).unwrap_or(line.len());
        let written = &self.text[start..head];
        let step = char::from_digit(u32::try_from(STEP).unwrap_or(2), 10).unwrap_or('2');
        self.out.push(&written.chars().map(|c| if c.is_ascii_digit() { step } else { c }).collect::<String>());
        self.token(head);
        let gap = self.gap(line_end(self.text, start));
        for remark in &gap.remarks {
            self.out.beside(remark.text, remark.column);
        }
        let body = next_line(self.text, start);
        // Blanks at the end of its last line are part of the text.
        let end = if end > head { line_end(self.text, end) } else { end };
        let from = indentation(&self.text[body.min(end)..end], text);
        let mut at = body;
        while at < end || (at == end && at > body && self.text[..at].ends_with(['\n', '\r']) && written.contains('+')) {
            let stop = line_end(self.text, at).min(end);
            let line = self.text[at..stop].trim_start_matches(' ');
            let blanks = self.text[at..stop].len() - line.len();
            if line.is_empty() && blanks <= from {
                self.out.blank();
            } else {
                self.out.start(indent + blanks.saturating_sub(from));
                self.out.push(line);
            }
            if stop >= end {
                break;
            }
            at = stop + break_len(self.text, stop);
        }
        self.token(end.max(head));
        self.kept = written.contains('+');
    }
}

/// How far the lines of a block text are indented: where its first word stands, less the blanks that
/// belong to the text itself.
fn indentation(lines: &str, text: &str) -> usize {
    let blanks = |text: &str| {
        let line = text.split(['\n', '\r']).find(|line| !line.trim_matches([' ', '\t']).is_empty());
        line.map_or(0, |line| line.len() - line.trim_start_matches(' ').len())
    };
    blanks(lines).saturating_sub(blanks(text))
}
