//! Patches: replacements of bytes in a text.

use serde::Serialize;

use crate::ast::Span;

/// The bytes at `span` are replaced by `text`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// What is replaced; empty to insert.
    pub span: Span,
    /// What stands there afterwards.
    pub text: String,
}

impl Patch {
    pub(crate) fn new(start: usize, end: usize, text: impl Into<String>) -> Self {
        Self { span: Span { start, end }, text: text.into() }
    }
}

/// Makes the changes of patches that are in order and apart from each other, as [`crate::edit()`]
/// gives them; `None` if they do not fit the text.
#[must_use]
pub fn apply(text: &str, patches: &[Patch]) -> Option<String> {
    let mut out = String::with_capacity(text.len() + patches.iter().map(|patch| patch.text.len()).sum::<usize>());
    let mut at = 0;
    for patch in patches {
        out.push_str(text.get(at..patch.span.start)?);
        text.get(patch.span.start..patch.span.end)?;
        out.push_str(&patch.text);
        at = patch.span.end;
    }
    out.push_str(text.get(at..)?);
    Some(out)
}

/// Puts patches into order, makes each as small as it can be and drops those that change nothing.
/// `None` if two of them overlap.
pub(crate) fn tidy(text: &str, mut patches: Vec<Patch>) -> Option<Vec<Patch>> {
    // Stable: what was inserted first at a place stands first.
    patches.sort_by_key(|patch| (patch.span.start, patch.span.end));
    if patches.windows(2).any(|pair| pair[0].span.end > pair[1].span.start) {
        return None;
    }
    let mut joined: Vec<Patch> = Vec::with_capacity(patches.len());
    for patch in patches {
        match joined.last_mut() {
            Some(last) if last.span.end == patch.span.start => {
                last.span.end = patch.span.end;
                last.text.push_str(&patch.text);
            }
            _ => joined.push(patch),
        }
    }
    let small = joined.into_iter().filter_map(|patch| smallest(text, patch)).collect();
    Some(small)
}

/// The patch without what it leaves as it is; `None` if that is all of it.
fn smallest(text: &str, mut patch: Patch) -> Option<Patch> {
    let old = text.get(patch.span.start..patch.span.end)?;
    let front = old.chars().zip(patch.text.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let (old, new) = (old.get(front..)?, patch.text.get(front..)?);
    let back: usize = old.chars().rev().zip(new.chars().rev()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let span = Span { start: patch.span.start + front, end: patch.span.end - back };
    let new = new.get(..new.len() - back)?.to_owned();
    patch = Patch { span, text: new };
    (span.start < span.end || !patch.text.is_empty()).then_some(patch)
}

/// The patches that take these back, for the text they were applied to.
pub(crate) fn inverse(text: &str, patches: &[Patch]) -> Vec<Patch> {
    let mut added = 0_usize;
    let mut removed = 0_usize;
    patches
        .iter()
        .map(|patch| {
            let start = patch.span.start + added - removed;
            added += patch.text.len();
            removed += patch.span.end - patch.span.start;
            let old = text.get(patch.span.start..patch.span.end).unwrap_or_default();
            Patch::new(start, start + patch.text.len(), old)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_small_and_go_back() {
        let text = "one two three";
        let patches = tidy(text, vec![Patch::new(8, 13, "threads"), Patch::new(0, 3, "one"), Patch::new(4, 4, "x ")]).unwrap();
        assert_eq!(patches, [Patch::new(4, 4, "x "), Patch::new(12, 13, "ads")]);
        let new = apply(text, &patches).unwrap();
        assert_eq!(new, "one x two threads");
        assert_eq!(apply(&new, &inverse(text, &patches)).unwrap(), text);
        assert_eq!(tidy(text, vec![Patch::new(0, 5, ""), Patch::new(4, 6, "")]), None);
    }
}
