//! Prints a tree in lines.

use super::gap::{Gap, Remark};
use super::lines::Lines;
use crate::ast::Span;
use crate::edit::lines::{column, newline};
use crate::edit::tree::{Kind, Part, Source};

/// Columns that a deeper line is indented by.
pub(super) const STEP: usize = 2;

/// Prints a text in its one layout.
pub(super) fn print(source: &Source<'_>) -> String {
    let mut printer = Printer { source, text: source.text, out: Lines::default(), at: 0, closed: Vec::new(), kept: false };
    printer.root();
    printer.out.finish(match newline(source.text) {
        "\r\n" => "\r\n",
        _ => "\n",
    })
}

pub(super) struct Printer<'s, 't> {
    pub(super) source: &'s Source<'t>,
    pub(super) text: &'t str,
    pub(super) out: Lines<'t>,
    /// Everything before it is printed.
    pub(super) at: usize,
    /// Lists and records that ended just now, the deepest first: their columns before and after.
    closed: Vec<(usize, usize)>,
    /// A block text that keeps the line breaks behind it ended just now.
    pub(super) kept: bool,
}

/// What a list or record is in the language, as far as its layout goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Recipe,
    Steps,
    Step,
    Branches,
    Branch,
    Parallel,
    Data,
}

impl Role {
    /// The role of the value of a key, or of an item.
    fn inner(self, key: &str) -> Self {
        match (self, key) {
            (Self::Recipe | Self::Step | Self::Branch, "steps") | (Self::Parallel, _) => Self::Steps,
            (Self::Step, "try" | "catch" | "finally") | (Self::Branch, "otherwise") => Self::Steps,
            (Self::Step, "choose") => Self::Branches,
            (Self::Step, "parallel") => Self::Parallel,
            (Self::Steps, _) => Self::Step,
            (Self::Branches, _) => Self::Branch,
            _ => Self::Data,
        }
    }
}

impl<'t> Printer<'_, 't> {
    fn root(&mut self) {
        let root = self.source.root;
        let node = self.source.node(root);
        let start = node.props.map_or(node.span.start, |props| props.start.min(node.span.start));
        let gap = Gap::read(self.text, 0, start, true);
        self.own_lines(&gap.remarks, 0);
        if gap.blank && !gap.remarks.is_empty() {
            self.out.blank();
        }
        self.at = start;
        let empty = node.span.start == node.span.end && node.props.is_none();
        if !empty {
            self.out.start(0);
            self.props(root, "");
            match node.kind {
                Kind::List { flow: false, .. } | Kind::Record { flow: false, .. } => self.block(root, 0, Role::Recipe),
                _ => self.leaf(root, 0, 0),
            }
        }
        let gap = Gap::read(self.text, self.at, self.text.len(), self.out.is_empty());
        // Blank lines at the end are dropped.
        self.between(&Gap { blank: false, ..gap }, 0, 0, false);
    }

    /// A list or record in lines. The first line is begun already.
    fn block(&mut self, node: usize, indent: usize, role: Role) {
        let source = self.source;
        let parts = source.parts(node);
        let list = matches!(source.node(node).kind, Kind::List { .. });
        let from = parts.first().map_or(0, |part| column(self.text, part.start));
        for (index, part) in parts.iter().enumerate() {
            if let Some(above) = index.checked_sub(1).map(|above| &parts[above]) {
                let gap = Gap::read(self.text, self.at, part.start, false);
                let apart = self.stand_apart(role, above, part);
                self.between(&gap, from, indent, apart);
                self.out.start(indent);
            }
            if list {
                self.out.push("-");
            } else {
                let key = self.text[part.key_span.start..part.key_span.end].to_owned();
                self.out.push(&key);
                self.out.push(":");
            }
            self.token(part.after);
            self.value(part, indent, role.inner(&part.key), list);
        }
        self.closed.push((from, indent));
    }

    /// Whether a blank line belongs between two parts.
    fn stand_apart(&self, role: Role, above: &Part<'_>, below: &Part<'_>) -> bool {
        let block = |part: &Part<'_>| self.source.is_block(part.value);
        match role {
            Role::Recipe | Role::Steps => block(above) || block(below),
            _ => false,
        }
    }

    /// Everything up to `at` is printed now.
    pub(super) fn token(&mut self, at: usize) {
        self.at = at;
        self.closed.clear();
        self.kept = false;
    }

    fn value(&mut self, part: &Part<'_>, indent: usize, role: Role, list: bool) {
        let node = self.source.node(part.value);
        let start = node.props.map_or(node.span.start, |props| props.start);
        let mut gap = self.gap(start);
        if node.props.is_some() {
            // What stands between a tag and its value follows both.
            self.props(part.value, " ");
            gap.remarks.extend(self.gap(node.span.start).remarks);
        } else if node.span.start == node.span.end {
            return;
        }
        if !self.source.is_block(part.value) {
            self.single(part.value, indent, &gap);
            return;
        }
        if list && gap.remarks.is_empty() && node.props.is_none() {
            self.out.push(" ");
        } else {
            self.before(&gap, indent + STEP);
            self.out.start(indent + STEP);
        }
        self.block(part.value, indent + STEP, role);
    }

    /// A value that needs no lines of its own.
    fn single(&mut self, node: usize, indent: usize, gap: &Gap<'t>) {
        if gap.remarks.is_empty() && self.fits_beside(node) {
            self.out.push(" ");
        } else {
            self.before(gap, indent + STEP);
            self.out.start(indent + STEP);
        }
        self.leaf(node, indent, indent + STEP);
    }

    /// Prints a scalar, an alias, or a value in brackets; `indent` is that of its parent.
    fn leaf(&mut self, node: usize, parent: usize, indent: usize) {
        match self.source.node(node).kind {
            Kind::List { .. } | Kind::Record { .. } => self.flow(node, indent),
            _ => self.scalar(node, parent, indent),
        }
    }

    pub(super) fn props(&mut self, node: usize, blank: &str) {
        let Some(Span { start, end }) = self.source.node(node).props else { return };
        let text = self.text[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
        self.out.push(&format!("{blank}{text}"));
        if blank.is_empty() {
            self.out.push(" ");
        }
        self.token(end);
    }

    /// What stands between here and `end`.
    pub(super) fn gap(&self, end: usize) -> Gap<'t> {
        Gap::read(self.text, self.at, end.max(self.at), false)
    }

    /// The comments between a key or bracket and what it holds.
    pub(super) fn before(&mut self, gap: &Gap<'t>, indent: usize) {
        let own = self.beside(&gap.remarks);
        self.own_lines(own, indent);
        if gap.blank && !own.is_empty() {
            self.out.blank();
        }
    }

    /// The comments between two parts: beside the one above, then below the deeper parts that just
    /// ended, then above the one below.
    pub(super) fn between(&mut self, gap: &Gap<'t>, from: usize, indent: usize, apart: bool) {
        let own = self.beside(&gap.remarks);
        let closed = std::mem::take(&mut self.closed);
        let deeper = |remark: &Remark<'_>| {
            closed.iter().find(|(column, _)| *column <= remark.column && *column > from).map(|(_, indent)| *indent)
        };
        let blanks = own.iter().filter(|remark| deeper(remark).is_none()).any(|remark| remark.blank) || gap.blank;
        let mut wanted = apart && !blanks && !self.kept;
        for remark in own {
            let place = deeper(remark);
            if remark.blank || (wanted && place.is_none()) {
                self.out.blank();
                wanted &= place.is_some();
            }
            self.own_line(remark, place.unwrap_or(indent));
        }
        if gap.blank || wanted {
            self.out.blank();
        }
    }

    /// Prints the comments beside the last line; the others come back.
    fn beside<'g>(&mut self, remarks: &'g [Remark<'t>]) -> &'g [Remark<'t>] {
        let count = remarks.iter().take_while(|remark| remark.beside || remark.goes_on).count();
        let (beside, own) = remarks.split_at(count);
        for remark in beside {
            self.out.beside(remark.text, remark.column);
        }
        own
    }

    fn own_lines(&mut self, remarks: &[Remark<'t>], indent: usize) {
        for (index, remark) in remarks.iter().enumerate() {
            if index > 0 && remark.blank {
                self.out.blank();
            }
            self.own_line(remark, indent);
        }
    }

    fn own_line(&mut self, remark: &Remark<'t>, indent: usize) {
        self.out.start(indent);
        self.out.push(remark.text);
    }
}
