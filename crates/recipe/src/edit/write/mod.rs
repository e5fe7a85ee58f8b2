//! From a target to patches: what is kept stays where it is, what moves takes its bytes along.
//!
//! The writer only proposes. Whether the new text means what was asked is decided by reading it
//! again, so a layout it does not understand costs a refusal, never a wrong recipe.

mod block;
mod flow;
mod groups;
mod region;
mod scalar;
mod style;
mod value;

use std::collections::HashSet;

use super::lines::{line_start, newline};
use super::patch::Patch;
use super::target::{Body, Origin, Slot, Target};
use super::tree::{Kind, Source};
use style::Style;

pub(crate) use groups::ascending;

/// Writes the changes of a target into the first of its sources.
pub(crate) struct Writer<'s, 't> {
    sources: &'s [Source<'t>],
    newline: &'static str,
    style: Style,
    /// Parts that take along what stands between them and the part before.
    joined: &'s HashSet<Slot>,
    /// Without block text and blank lines, which take in what follows where it is indented deeper.
    careful: bool,
}

/// Where a value is written.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Between brackets.
    flow: bool,
    /// With the quotes of JSON.
    json: bool,
    /// The column of its key or dash.
    column: usize,
    /// Behind a dash.
    item: bool,
}

/// A value in writing: what follows its key or dash, and whole lines below.
#[derive(Debug, Default, PartialEq, Eq)]
struct Written {
    head: String,
    body: String,
}

impl<'s, 't> Writer<'s, 't> {
    pub(crate) fn new(sources: &'s [Source<'t>], joined: &'s HashSet<Slot>, careful: bool) -> Self {
        let newline = sources.first().map_or("\n", |source| newline(source.text));
        let style = sources.first().map(Style::of).unwrap_or_default();
        Self { sources, newline, style, joined, careful }
    }

    /// The patches that make the first source say what the target says.
    pub(crate) fn patches(&self, target: &Target) -> Vec<Patch> {
        let mut patches = Vec::new();
        self.inside(target, &mut patches);
        patches
    }

    /// Patches a list or record where it stands.
    fn inside(&self, target: &Target, out: &mut Vec<Patch>) {
        let Target::Made { origin: Some(origin), body } = target else { return };
        match (body, &self.source(*origin).node(origin.node).kind) {
            (Body::List(parts), Kind::List { flow, .. }) | (Body::Record(parts), Kind::Record { flow, .. }) => {
                if *flow {
                    self.patch_flow(*origin, parts, out);
                } else {
                    self.patch_block(*origin, parts, out);
                }
            }
            _ => {}
        }
    }

    fn source(&self, origin: Origin) -> &'s Source<'t> {
        &self.sources[origin.source]
    }

    fn text(&self, origin: Origin) -> &'t str {
        self.sources[origin.source].text
    }

    /// How many spaces begin the line of `at`.
    fn indentation(text: &str, at: usize) -> usize {
        text[line_start(text, at)..at].bytes().take_while(|b| *b == b' ').count()
    }

    fn spaces(count: usize) -> String {
        " ".repeat(count)
    }

    /// True if nothing but blanks stands before `at` in its line.
    fn begins_line(text: &str, at: usize) -> bool {
        text[line_start(text, at)..at].bytes().all(|b| matches!(b, b' ' | b'\t'))
    }
}

/// The bytes of the line break that ends just before `at`.
fn break_before(text: &str, at: usize) -> usize {
    if text[..at].ends_with("\r\n") { 2 } else { usize::from(text[..at].ends_with(['\n', '\r'])) }
}
