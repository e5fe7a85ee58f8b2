//! The lines that belong to a part of a list or record: its comments above, itself, its comments
//! beside and those indented deeper below.

use super::Writer;
use crate::edit::lines::{Line, column, line, line_start, next_line};
use crate::edit::target::Origin;

/// The lines of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) start: usize,
    pub(super) end: usize,
    /// It begins behind a dash or key, not at the beginning of a line.
    pub(super) inline: bool,
}

impl Writer<'_, '_> {
    /// The lines of a part of a list or record written in lines.
    pub(super) fn region(&self, holder: Origin, index: usize) -> Region {
        let source = self.source(holder);
        if source.whole && holder.node == source.root {
            return Region { start: 0, end: source.text.len(), inline: false };
        }
        let part = &source.parts(holder.node)[index];
        let end = self.trail(holder, index);
        if !Self::begins_line(source.text, part.start) {
            return Region { start: part.start, end, inline: true };
        }
        let bound = match (index.checked_sub(1), source.node(holder.node).parent) {
            (Some(before), _) => self.trail(holder, before),
            (None, Some((outer, at))) => next_line(source.text, source.parts(outer)[at].after),
            (None, None) => 0,
        };
        let start = lead(source.text, line_start(source.text, part.start), bound);
        Region { start, end, inline: false }
    }

    /// Where the lines of a part end: past comments below that are indented deeper.
    fn trail(&self, holder: Origin, index: usize) -> usize {
        let source = self.source(holder);
        let part = &source.parts(holder.node)[index];
        let column = column(source.text, part.start);
        let mut end = next_line(source.text, source.part_end(part));
        let mut at = end;
        while at < source.text.len() {
            match line(source.text, at) {
                Line::Comment(deeper) if deeper > column => {
                    at = next_line(source.text, at);
                    end = at;
                }
                Line::Blank => at = next_line(source.text, at),
                _ => break,
            }
        }
        end
    }
}

/// The beginning of the comments directly above a line, not before `bound`.
pub(super) fn lead(text: &str, mut start: usize, bound: usize) -> usize {
    while start > bound {
        let above = line_start(text, start - super::break_before(text, start));
        // In the first line behind a byte-order mark there is nothing above.
        if above < bound || above == start || !matches!(line(text, above), Line::Comment(_)) {
            break;
        }
        start = above;
    }
    start
}

/// How many blank lines stand directly below `at`, which begins a line, and where they end.
pub(super) fn blanks_below(text: &str, mut at: usize) -> (usize, usize) {
    let mut count = 0;
    while at < text.len() && line(text, at) == Line::Blank {
        at = next_line(text, at);
        count += 1;
    }
    (count, at)
}

/// How many blank lines stand directly above `at`, which begins a line, and where they begin.
pub(super) fn blanks_above(text: &str, mut at: usize, bound: usize) -> (usize, usize) {
    let mut count = 0;
    while at > bound {
        let above = line_start(text, at - super::break_before(text, at));
        if above < bound || above == at || line(text, above) != Line::Blank {
            break;
        }
        at = above;
        count += 1;
    }
    (count, at)
}
