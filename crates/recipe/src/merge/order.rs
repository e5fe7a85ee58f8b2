//! The order of one list that two sides changed.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// An order, and what both sides moved to different places.
#[derive(Debug)]
pub(super) struct Order<I> {
    pub(super) items: Vec<I>,
    /// What stands where theirs put it.
    pub(super) moved: HashSet<I>,
    /// What both moved differently; it stands where ours put it.
    pub(super) contested: Vec<I>,
}

impl<I: Eq + Hash> Default for Order<I> {
    fn default() -> Self {
        Self { items: Vec::new(), moved: HashSet::new(), contested: Vec::new() }
    }
}

/// The items of `members` in the order of ours, with what theirs moved and added in the places theirs
/// gave them. Of what both moved, `yield_to_theirs` says what follows theirs.
pub(super) fn merged<I: Clone + Eq + Hash>(
    base: &[I],
    ours: &[I],
    theirs: &[I],
    members: &HashSet<I>,
    yield_to_theirs: &HashSet<I>,
) -> Order<I> {
    let (moved_by_us, moved_by_them) = (moved(base, ours), moved(base, theirs));
    let known: HashSet<&I> = theirs.iter().collect();
    let in_both: HashSet<&I> = ours.iter().filter(|item| known.contains(item)).collect();
    let contested: Vec<I> = moved_by_them
        .iter()
        .filter(|item| moved_by_us.contains(*item) && in_both.contains(item) && before(ours, item) != before(theirs, item))
        .cloned()
        .collect();
    let follows = |item: &I| moved_by_them.contains(item) && (!moved_by_us.contains(item) || yield_to_theirs.contains(item));
    let mut items: Vec<I> = ours.iter().filter(|item| members.contains(item) && !follows(item)).cloned().collect();
    let mut placed: HashSet<I> = items.iter().cloned().collect();
    let mut at = 0;
    let mut moved = HashSet::new();
    for item in theirs.iter().filter(|item| members.contains(item)) {
        if placed.contains(item) {
            // What ours moved away tells no place.
            if moved_by_us.contains(item) {
                continue;
            }
            // Searched from the last place, as the orders are nearly the same.
            let found = items[at..].iter().position(|other| other == item).map(|by| at + by);
            at = found.or_else(|| items.iter().position(|other| other == item)).map_or(at, |found| found + 1);
            continue;
        }
        // Behind what ours alone has put here.
        while items.get(at).is_some_and(|other| !known.contains(other)) {
            at += 1;
        }
        items.insert(at, item.clone());
        placed.insert(item.clone());
        moved.insert(item.clone());
        at += 1;
    }
    Order { items, moved, contested }
}

fn before<'i, I: Eq>(order: &'i [I], item: &I) -> Option<&'i I> {
    let at = order.iter().position(|other| other == item)?;
    order.get(at.checked_sub(1)?)
}

/// What of both orders does not stand in a longest stretch that kept its order.
fn moved<I: Clone + Eq + Hash>(base: &[I], side: &[I]) -> HashSet<I> {
    let places: HashMap<&I, usize> = base.iter().enumerate().map(|(at, item)| (item, at)).collect();
    let common: Vec<(&I, Option<usize>)> = side.iter().filter_map(|item| Some((item, Some(*places.get(item)?)))).collect();
    let kept = crate::edit::ascending(&common.iter().map(|(_, at)| *at).collect::<Vec<_>>());
    common.iter().zip(kept).filter(|(_, kept)| !kept).map(|((item, _), _)| (*item).clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base: &str, ours: &str, theirs: &str, expected: &str, contested: &str) {
        let list = |text: &str| text.chars().collect::<Vec<_>>();
        let kept = |c: &char| !(base.contains(*c) && (!ours.contains(*c) || !theirs.contains(*c)));
        let members = ours.chars().chain(theirs.chars()).filter(kept).collect();
        let order = merged(&list(base), &list(ours), &list(theirs), &members, &HashSet::new());
        assert_eq!(order.items.iter().collect::<String>(), expected, "{base} {ours} {theirs}");
        let mut found: String = order.contested.iter().collect();
        found.retain(|c| !contested.contains(c));
        assert!(found.is_empty() && order.contested.len() == contested.len(), "{base} {ours} {theirs}");
    }

    #[test]
    fn both_sides_have_their_way() {
        check("abc", "abc", "axbc", "axbc", "");
        check("abc", "azbc", "axbc", "azxbc", "");
        check("abc", "abc", "cab", "cab", "");
        check("abc", "abcz", "cab", "cabz", "");
        check("abcd", "bacd", "abdc", "badc", "");
        check("abc", "ab", "acb", "ab", "");
        check("abc", "bc", "abxc", "bxc", "");
        check("", "ab", "cd", "abcd", "");
        check("abcde", "eabcd", "abecd", "eabcd", "e");
    }
}
