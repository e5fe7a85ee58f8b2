//! Every target and what it promises.

mod catalogue;
mod editor;
mod edits;
mod format;
mod formula;
mod path;
mod recipe;
mod scan;

pub(crate) use formula::examples;

pub use catalogue::catalogue;

use crate::Target;

/// All targets, by name.
pub const TARGETS: &[Target] = &[
    Target { name: "editor", check: editor::check, words: editor::WORDS, rounds: 150 },
    Target { name: "edits", check: edits::check, words: edits::WORDS, rounds: 400 },
    Target { name: "format", check: format::check, words: format::WORDS, rounds: 1_000 },
    Target { name: "formula", check: formula::check, words: formula::WORDS, rounds: 3_000 },
    Target { name: "path", check: path::check, words: path::WORDS, rounds: 10_000 },
    Target { name: "recipe", check: recipe::check, words: recipe::WORDS, rounds: 1_000 },
    Target { name: "scan", check: scan::check, words: scan::WORDS, rounds: 50_000 },
];

/// The text of an input; nothing if it is none.
fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

/// A range lies in the text and between characters.
fn assert_in(text: &str, range: &std::ops::Range<usize>, of: &dyn std::fmt::Debug) {
    assert!(text.get(range.clone()).is_some(), "{range:?} is no range of {} bytes: {of:?}", text.len());
}
