//! Ids and names: which are free, and what changes with them.

use std::collections::HashSet;

use super::draft::Draft;
use super::error::{EditCode, EditError};
use super::lists::StepAt;
use super::refs::{Way, holders, spoken};
use super::steps::with_hunks;
use super::target::{Body, Origin, Target, scalar_of};
use super::tree::{Kind, Source};
use crate::diagnostic::{LineIndex, shown};
use crate::keys::RESERVED;
use crate::read::is_name;

/// The longest id.
const ID_CHARS_MAX: usize = 40;

/// Refuses an id that no new step may have.
pub(crate) fn check_id(id: &str, steps: &[StepAt]) -> Result<(), EditError> {
    check_name(id, "the id of a step")?;
    if steps.iter().any(|step| step.id.as_deref() == Some(id)) {
        let message = format!("Another step has the id \"{id}\" already.");
        return Err(EditError::new(EditCode::IdTaken, message).help("Choose another; ids are unique in the whole recipe."));
    }
    if RESERVED.contains(&id) {
        let message = format!("\"{id}\" means something else inside formulas.");
        return Err(EditError::new(EditCode::Reserved, message).help("Choose another id."));
    }
    Ok(())
}

fn check_name(name: &str, what: &str) -> Result<(), EditError> {
    if is_name(name) {
        return Ok(());
    }
    let message = format!("\"{}\" cannot be {what}.", shown(name));
    let help = "Start with a small letter; use at most 40 small letters, digits and underscores.";
    Err(EditError::new(EditCode::Malformed, message).help(help))
}

/// An id like this one that nobody has: `name_2`, `name_3` and so on.
pub(crate) fn free_id(id: &str, taken: &HashSet<String>) -> String {
    let stem = match id.rsplit_once('_') {
        Some((stem, number)) if !stem.is_empty() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => stem,
        _ => id,
    };
    let numbered = |number: usize| {
        let end = format!("_{number}");
        let mut cut = stem.len().min(ID_CHARS_MAX.saturating_sub(end.len()));
        while !stem.is_char_boundary(cut) {
            cut -= 1;
        }
        format!("{}{end}", &stem[..cut])
    };
    // One more than there are taken is free for certain.
    (2..taken.len() + 3).map(numbered).find(|name| !taken.contains(name)).unwrap_or_else(|| numbered(taken.len() + 3))
}

impl Draft<'_, '_> {
    /// How expressions speak of a step: by its id, and through the branch of a `parallel` it is in.
    pub(crate) fn ways(&self, id: &str) -> Vec<Way> {
        let mut ways = vec![vec!["steps".to_owned(), id.to_owned()], vec!["meta".to_owned(), id.to_owned()]];
        let source = self.main();
        let mut tail = vec![id.to_owned()];
        let mut step = self.steps.iter().find(|step| step.id.as_deref() == Some(id));
        while let Some((branch, owner)) = step.and_then(|step| self.branch(source, step)) {
            let Some(owner_id) = owner.id.clone() else { break };
            let mut way = vec!["steps".to_owned(), owner_id.clone(), branch.clone()];
            way.extend(tail.iter().cloned());
            ways.push(way);
            tail.splice(0..0, [owner_id, branch]);
            step = Some(owner);
        }
        ways
    }

    /// The branch of a `parallel` a step stands in directly, and the step of that `parallel`.
    fn branch(&self, source: &Source<'_>, step: &StepAt) -> Option<(String, &StepAt)> {
        let (branches, index) = source.node(step.list).parent?;
        let (owner, at) = source.node(branches).parent?;
        let is_parallel = source.parts(owner).get(at).is_some_and(|part| part.key == "parallel")
            && matches!(source.node(branches).kind, Kind::Record { .. });
        let owner = self.steps.iter().find(|step| step.node == owner).filter(|_| is_parallel)?;
        Some((source.parts(branches).get(index)?.key.to_string(), owner))
    }

    /// The refusal because of a formula that cannot be read.
    pub(crate) fn unread(&self, node: usize, name: &str) -> EditError {
        let source = self.main();
        let (line, _) = LineIndex::new(source.text).position(source.node(node).span.start);
        let message = format!("The formula in line {line} cannot be read, but it may refer to \"{name}\".");
        EditError::new(EditCode::UnreadableFormula, message).help("Mend the formula first.")
    }

    /// Changes the id of a step and what refers to it.
    pub(crate) fn rename_id(&mut self, from: &str, to: &str) -> Result<(), EditError> {
        if from == to {
            return self.step(from).map(|_| ());
        }
        let step = self.step(from)?.node;
        check_id(to, &self.steps)?;
        let ways = self.ways(from);
        if let Some(id) = self.main().get(step, "id") {
            self.rewrite(id, vec![(0..from.len(), to.to_owned())]);
        }
        self.rename_references(&ways, to)?;
        self.rename_in_tests(from, to);
        Ok(())
    }

    /// Changes the name of a parameter and what reads it.
    pub(crate) fn rename_param(&mut self, from: &str, to: &str) -> Result<(), EditError> {
        self.rename_key("params", from, to, "a parameter")?;
        self.rename_references(&[vec!["params".to_owned(), from.to_owned()]], to)?;
        for test in self.tests() {
            if let Some(params) = self.main().get(test, "params") {
                self.rename_keys(params, |key| (key == from).then(|| to.to_owned()));
            }
        }
        Ok(())
    }

    /// Changes the name of a connection and what uses it.
    pub(crate) fn rename_connection(&mut self, from: &str, to: &str) -> Result<(), EditError> {
        self.rename_key("connections", from, to, "a connection")?;
        let source = self.main();
        let mut users: Vec<usize> = Vec::new();
        users.extend(source.get(source.root, "trigger").and_then(|trigger| source.get(trigger, "from")));
        for step in &self.steps {
            users.extend(source.get(step.node, "do"));
            users.extend(source.get(step.node, "undo").and_then(|undo| source.get(undo, "do")));
        }
        users.retain(|node| source.text_of(*node).and_then(|text| text.split_once('.')).is_some_and(|(name, _)| name == from));
        for node in users {
            self.rewrite(node, vec![(0..from.len(), to.to_owned())]);
        }
        Ok(())
    }

    fn rename_key(&mut self, list: &str, from: &str, to: &str, what: &str) -> Result<(), EditError> {
        check_name(to, what)?;
        let source = self.main();
        let Some(node) = source.get(source.root, list).filter(|node| source.get(*node, from).is_some()) else {
            return Err(EditError::new(EditCode::UnknownField, format!("There is no \"{from}\" under `{list}`.")));
        };
        if from != to && source.get(node, to).is_some() {
            return Err(EditError::new(EditCode::KeyTaken, format!("There is \"{to}\" under `{list}` already.")));
        }
        self.rename_keys(node, |key| (key == from).then(|| to.to_owned()));
        Ok(())
    }

    fn rename_references(&mut self, ways: &[Way], to: &str) -> Result<(), EditError> {
        let name = ways.first().and_then(|way| way.last()).cloned().unwrap_or_default();
        let mut found = Vec::new();
        let source = self.main();
        for holder in holders(source) {
            let Some(text) = source.text_of(holder.node) else { continue };
            let ranges = spoken(text, holder.kind, ways, self.catalogue).map_err(|_| self.unread(holder.node, &name))?;
            if !ranges.is_empty() {
                found.push((holder.node, ranges.into_iter().map(|range| (range, to.to_owned())).collect()));
            }
        }
        for (node, hunks) in found {
            self.rewrite(node, hunks);
        }
        Ok(())
    }

    fn tests(&self) -> Vec<usize> {
        let source = self.main();
        let tests = source.get(source.root, "tests");
        tests.map(|tests| source.parts(tests).iter().map(|part| part.value).collect()).unwrap_or_default()
    }

    /// Tests name steps by id, or by a path of ids such as `push[0].up`.
    fn rename_in_tests(&mut self, from: &str, to: &str) {
        let renamed = |this: &Self, path: &str| this.renamed_path(path, from, to);
        for test in self.tests() {
            let expect = self.main().get(test, "expect");
            let by_step = [
                self.main().get(test, "given"),
                self.main().get(test, "fails"),
                expect.and_then(|expect| self.main().get(expect, "calls")),
                expect.and_then(|expect| self.main().get(expect, "steps")),
            ];
            for node in by_step.into_iter().flatten() {
                let names: Vec<_> = self.main().parts(node).iter().map(|part| renamed(self, &part.key)).collect();
                let mut names = names.into_iter();
                self.rename_keys(node, |_| names.next().flatten());
            }
            let source = self.main();
            let mut texts: Vec<usize> = Vec::new();
            if let Some(list) = expect.and_then(|expect| source.get(expect, "not_run")) {
                texts.extend(source.parts(list).iter().map(|part| part.value));
            }
            texts.extend(expect.and_then(|expect| source.get(expect, "error")).and_then(|error| source.get(error, "step")));
            for node in texts {
                let Some(path) = self.main().text_of(node).map(str::to_owned) else { continue };
                if let Some(new) = renamed(self, &path) {
                    self.rewrite(node, vec![(0..path.len(), new)]);
                }
            }
        }
    }

    /// A path of ids with one id changed; `None` if it is not in the path.
    fn renamed_path(&self, path: &str, from: &str, to: &str) -> Option<String> {
        let mut changed = false;
        let mut branch = false;
        let parts: Vec<String> = path
            .split('.')
            .map(|part| {
                let (id, pass) = part.split_at(part.find('[').unwrap_or(part.len()));
                let is_branch = branch;
                branch = !is_branch && self.is_parallel(id);
                if id != from || is_branch {
                    return part.to_owned();
                }
                changed = true;
                format!("{to}{pass}")
            })
            .collect();
        changed.then(|| parts.join("."))
    }

    fn is_parallel(&self, id: &str) -> bool {
        let source = self.main();
        let step = self.steps.iter().find(|step| step.id.as_deref() == Some(id));
        let node = step.and_then(|step| source.get(step.node, "parallel"));
        node.is_some_and(|node| matches!(source.node(node).kind, Kind::Record { .. }))
    }

    fn rename_keys(&mut self, node: usize, mut renamed: impl FnMut(&str) -> Option<String>) {
        let Some(path) = self.path_of(node) else { return };
        let Some(parts) = self.target.at(&self.sources, &path).and_then(|value| value.parts_mut(&self.sources)) else { return };
        for part in parts {
            if let Some(name) = renamed(&part.key) {
                part.key = name;
            }
        }
    }

    /// Replaces parts of a text.
    fn rewrite(&mut self, node: usize, hunks: Vec<(std::ops::Range<usize>, String)>) {
        let Some(mut scalar) = scalar_of(self.main(), node) else { return };
        scalar.text = with_hunks(&scalar.text, &hunks);
        scalar.hunks = hunks;
        if let Some(value) = self.value_of(node) {
            *value = Target::Made { origin: Some(Origin { source: 0, node }), body: Body::Scalar(scalar) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ids_count_up_and_stay_short() {
        let taken: HashSet<String> = ["a", "a_2", "b_9"].map(str::to_owned).into();
        assert_eq!(free_id("a", &taken), "a_3");
        assert_eq!(free_id("a_2", &taken), "a_3");
        assert_eq!(free_id("b_9", &taken), "b_2");
        assert_eq!(free_id(&"x".repeat(40), &taken), format!("{}_2", "x".repeat(38)));
    }
}
