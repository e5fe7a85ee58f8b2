//! What becomes of the parts of one list or record: which stay, and between them what goes and comes.

use std::ops::Range;

use crate::edit::target::{Origin, Part};

/// What happens between two parts that stay.
#[derive(Debug)]
pub(super) struct Group<'p> {
    /// The part that stays before, by its place in the source.
    pub(super) after: Option<usize>,
    /// The part that stays behind.
    pub(super) before: Option<usize>,
    /// The parts of the source that go.
    pub(super) gone: Range<usize>,
    /// The parts that come.
    pub(super) new: Vec<&'p Part>,
}

/// For each part the place in `holder` where it stays, if it does.
pub(super) fn stays(holder: Origin, parts: &[Part]) -> Vec<Option<usize>> {
    let at_home = |part: &Part| part.slot.filter(|slot| slot.holder == holder && !part.moved).map(|slot| slot.index);
    let homes: Vec<_> = parts.iter().map(at_home).collect();
    let kept = ascending(&homes);
    homes.iter().zip(kept).map(|(home, kept)| home.filter(|_| kept)).collect()
}

/// The changes between the parts that stay, in order; places where nothing changes are left out.
pub(super) fn groups<'p>(count: usize, parts: &'p [Part], stays: &[Option<usize>]) -> Vec<Group<'p>> {
    let mut groups = Vec::new();
    let mut after = None;
    let mut new = Vec::new();
    for (part, stay) in parts.iter().zip(stays).map(|(part, stay)| (Some(part), *stay)).chain([(None, None)]) {
        if let (Some(part), None) = (part, stay) {
            new.push(part);
            continue;
        }
        let gone = after.map_or(0, |at: usize| at + 1)..stay.unwrap_or(count);
        if !gone.is_empty() || !new.is_empty() {
            groups.push(Group { after, before: stay, gone, new: std::mem::take(&mut new) });
        }
        after = stay;
    }
    groups
}

/// Marks a longest ascending choice among the places, each used once.
pub(crate) fn ascending(homes: &[Option<usize>]) -> Vec<bool> {
    // ends[k]: the choice of length k + 1 that ends lowest; before[i]: what precedes i in its choice.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; homes.len()];
    for (at, home) in homes.iter().enumerate() {
        let Some(home) = home else { continue };
        let length = ends.partition_point(|end| homes[*end].is_some_and(|end| end < *home));
        before[at] = length.checked_sub(1).map(|i| ends[i]);
        if length == ends.len() {
            ends.push(at);
        } else {
            ends[length] = at;
        }
    }
    let mut kept = vec![false; homes.len()];
    let mut next = ends.last().copied();
    while let Some(at) = next {
        kept[at] = true;
        next = before[at];
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_stay() {
        let check = |homes: &[usize], kept: &[usize]| {
            let marks = ascending(&homes.iter().copied().map(Some).collect::<Vec<_>>());
            let found: Vec<_> = homes.iter().zip(marks).filter(|(_, kept)| *kept).map(|(home, _)| *home).collect();
            assert_eq!(found, kept);
        };
        check(&[0, 1, 2], &[0, 1, 2]);
        check(&[2, 0, 1], &[0, 1]);
        check(&[1, 2, 0], &[1, 2]);
        check(&[0, 0, 1], &[0, 1]);
        check(&[], &[]);
    }
}
