//! What stands between two parts of a text: comments and blank lines.

use crate::edit::lines::{break_len, column, line_end};

/// The comments between two places and the blank lines around them.
#[derive(Debug, Default)]
pub(super) struct Gap<'t> {
    pub(super) remarks: Vec<Remark<'t>>,
    /// A blank line stands before what follows.
    pub(super) blank: bool,
}

/// A comment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remark<'t> {
    /// From its `#`, without blanks at its end.
    pub(super) text: &'t str,
    pub(super) column: usize,
    /// It stands in the line of what comes before it.
    pub(super) beside: bool,
    /// It stands right below a comment beside something, at the same column.
    pub(super) goes_on: bool,
    /// A blank line stands before it.
    pub(super) blank: bool,
}

impl<'t> Gap<'t> {
    /// Reads the bytes between two parts, which hold no values. `fresh`: nothing stands before them.
    pub(super) fn read(text: &'t str, start: usize, end: usize, fresh: bool) -> Self {
        let mut gap = Self::default();
        let mut at = start;
        let mut breaks = 0;
        let mut first_line = !fresh;
        while at < end {
            let len = break_len(text, at);
            if len > 0 {
                breaks += 1;
                first_line = false;
                at += len;
            } else if text.as_bytes()[at] == b'#' {
                let stop = line_end(text, at);
                let column = column(text, at);
                let above: Option<&Remark<'_>> = gap.remarks.last();
                let goes_on = breaks == 1 && above.is_some_and(|above| (above.beside || above.goes_on) && above.column == column);
                let blank = breaks > 1 || (fresh && gap.remarks.is_empty() && breaks > 0);
                gap.remarks.push(Remark { text: text[at..stop].trim_end(), column, beside: first_line, goes_on, blank });
                breaks = 0;
                at = stop;
            } else {
                at += 1;
            }
        }
        gap.blank = breaks > 1;
        gap
    }
}
