//! How a text is laid out, so that what is new looks like what is there.

use crate::edit::lines::column;
use crate::edit::tree::{Kind, Source};

/// The habits of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Columns from a key to the keys of its record.
    pub(super) indent: usize,
    /// Columns from a key to the dashes of its list.
    pub(super) dashes: usize,
    /// `{ a: 1 }` rather than `{a: 1}`.
    pub(super) padded: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { indent: 2, dashes: 2, padded: true }
    }
}

impl Style {
    /// The habits of a text, each told by where it shows first.
    pub(super) fn of(source: &Source<'_>) -> Self {
        let (mut indent, mut dashes, mut padded) = (None, None, None);
        for node in &source.nodes {
            if indent.is_some() && dashes.is_some() && padded.is_some() {
                break;
            }
            let inner = |parts: &[crate::edit::tree::Part<'_>]| {
                let (holder, index) = node.parent?;
                let Kind::Record { flow: false, parts: outer } = &source.node(holder).kind else { return None };
                let (from, to) = (column(source.text, outer.get(index)?.start), column(source.text, parts.first()?.start));
                to.checked_sub(from)
            };
            match &node.kind {
                Kind::Record { flow: false, parts } if indent.is_none() => indent = inner(parts).filter(|by| *by > 0),
                Kind::List { flow: false, parts } if dashes.is_none() => dashes = inner(parts),
                Kind::Record { flow: true, parts } if padded.is_none() && !parts.is_empty() => {
                    let open = source.text[node.span.start..].strip_prefix('{');
                    padded = open.map(|rest| rest.starts_with([' ', '\n', '\r']));
                }
                _ => {}
            }
        }
        let fallback = Self::default();
        Self {
            indent: indent.or(dashes.filter(|by| *by > 0)).unwrap_or(fallback.indent),
            dashes: dashes.unwrap_or(indent.unwrap_or(fallback.dashes)),
            padded: padded.unwrap_or(fallback.padded),
        }
    }
}
