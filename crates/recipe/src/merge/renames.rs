//! A step that one side gave another id is still the same step.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::catalogue::Catalogue;
use crate::edit::tree::Source;
use crate::edit::{Change, EditError, StepAt, edit, read, steps};

/// More renames than this are taken for removals and additions.
const RENAMES_MAX: usize = 20;

/// The texts with each side's new ids in the base and on the other side too.
pub(super) fn followed<'t>(
    base: &'t str,
    ours: &'t str,
    theirs: &'t str,
    catalogue: &Catalogue,
) -> Result<[Cow<'t, str>; 3], EditError> {
    let mut texts = [Cow::Borrowed(base), Cow::Borrowed(ours), Cow::Borrowed(theirs)];
    for (side, other) in [(1, 2), (2, 1)] {
        for (from, to) in renamed(&read(&texts[0])?, &read(&texts[side])?) {
            let change = Change::RenameId { from: from.clone(), to: to.clone() };
            // Where it cannot be followed, it is a removal and an addition.
            if let (Ok(base), Ok(changed)) = (edit(&texts[0], &change, catalogue), edit(&texts[other], &change, catalogue)) {
                texts[0] = Cow::Owned(base.text);
                texts[other] = Cow::Owned(changed.text);
            }
        }
    }
    Ok(texts)
}

/// The steps that have another id and stand at the same place with the same fields otherwise.
fn renamed(base: &Source<'_>, side: &Source<'_>) -> Vec<(String, String)> {
    let (old, new) = (steps(base), steps(side));
    let ids = |steps: &[StepAt]| steps.iter().filter_map(|step| step.id.clone()).collect::<HashSet<_>>();
    let (old_ids, new_ids) = (ids(&old), ids(&new));
    let gone = old.iter().filter(|step| step.id.as_ref().is_some_and(|id| !new_ids.contains(id)));
    let come: Vec<_> = new.iter().filter(|step| step.id.as_ref().is_some_and(|id| !old_ids.contains(id))).collect();
    let pairs = gone.filter_map(|step| {
        let same = come.iter().find(|other| other.index == step.index && alike(base, step, side, other))?;
        Some((step.id.clone()?, same.id.clone()?))
    });
    let pairs: Vec<_> = pairs.take(RENAMES_MAX + 1).collect();
    if pairs.len() > RENAMES_MAX { Vec::new() } else { pairs }
}

/// True if two steps have the same keys, and most of their fields are the same.
fn alike(base: &Source<'_>, step: &StepAt, side: &Source<'_>, other: &StepAt) -> bool {
    let (old, new) = (base.parts(step.node), side.parts(other.node));
    let keys = old.len() == new.len() && old.iter().zip(new).all(|(a, b)| a.key == b.key);
    let same = old.iter().zip(new).filter(|(a, b)| a.key == "id" || base.same(a.value, side, b.value)).count();
    keys && old.len() > 1 && 2 * same > old.len()
}
