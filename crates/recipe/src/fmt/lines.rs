//! The lines printed so far, with the comments beside them.

/// Blanks between a line and the comment beside it.
const BESIDE: usize = 2;
/// Comments further apart than so many lines have nothing to do with each other's column.
const NEAR_LINES_MAX: usize = 6;

/// Lines under construction.
#[derive(Debug, Default)]
pub(super) struct Lines<'t> {
    lines: Vec<Line<'t>>,
}

#[derive(Debug, Default)]
struct Line<'t> {
    content: String,
    /// The comment beside it, and the column where it stood.
    beside: Option<(&'t str, usize)>,
}

impl<'t> Lines<'t> {
    pub(super) const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Starts a line.
    pub(super) fn start(&mut self, indent: usize) {
        self.lines.push(Line { content: " ".repeat(indent), beside: None });
    }

    /// A line as it is.
    pub(super) fn raw(&mut self, content: String) {
        self.lines.push(Line { content, beside: None });
    }

    pub(super) fn blank(&mut self) {
        self.lines.push(Line::default());
    }

    /// Goes on with the last line.
    pub(super) fn push(&mut self, text: &str) {
        match self.lines.last_mut() {
            Some(line) => line.content.push_str(text),
            None => self.raw(text.to_owned()),
        }
    }

    /// Puts a comment beside the last line, or below the comment that is there.
    pub(super) fn beside(&mut self, text: &'t str, column: usize) {
        match self.lines.last_mut() {
            Some(line) if line.beside.is_none() => line.beside = Some((text, column)),
            _ => self.lines.push(Line { content: String::new(), beside: Some((text, column)) }),
        }
    }

    /// The characters in the last line.
    pub(super) fn width(&self) -> usize {
        self.lines.last().map_or(0, |line| line.content.chars().count())
    }

    /// All lines. Comments that stood below each other stand below each other again.
    pub(super) fn finish(self, newline: &str) -> String {
        let beside: Vec<_> =
            self.lines.iter().enumerate().filter_map(|(at, line)| line.beside.map(|(_, column)| (at, column, line))).collect();
        let mut columns = Vec::with_capacity(beside.len());
        for group in beside.chunk_by(|(at, a, _), (below, b, _)| a == b && below - at <= NEAR_LINES_MAX) {
            let widest = group.iter().map(|(_, _, line)| line.content.trim_end().chars().count()).max().unwrap_or_default();
            columns.extend(std::iter::repeat_n(widest + BESIDE, group.len()));
        }
        let mut columns = columns.into_iter();
        let mut out = String::new();
        for line in &self.lines {
            match line.beside {
                Some((text, _)) => {
                    let content = line.content.trim_end();
                    let blanks = columns.next().unwrap_or_default().saturating_sub(content.chars().count());
                    out.push_str(content);
                    out.extend(std::iter::repeat_n(' ', blanks));
                    out.push_str(text);
                }
                None => out.push_str(&line.content),
            }
            out.push_str(newline);
        }
        out
    }
}
