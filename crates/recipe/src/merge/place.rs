//! Where the steps of three texts stand.

use std::collections::{HashMap, HashSet};

use crate::edit::tree::{Kind, Source};

/// The texts, by their place among the sources.
pub(super) const OURS: usize = 0;
pub(super) const THEIRS: usize = 1;
pub(super) const BASE: usize = 2;

/// The steps of the three texts, and the branches of their choices.
#[derive(Debug)]
pub(super) struct Plan {
    /// For each text the steps by id.
    pub(super) steps: [HashMap<String, Place>; 3],
    /// For each text the order of each list.
    pub(super) lists: [HashMap<ListName, Vec<String>>; 3],
    /// For each text the ids in the order of the text.
    pub(super) ids: [Vec<String>; 3],
    /// The branches of each `choose`, by the step's id: for each branch its place in the three texts.
    pub(super) branches: HashMap<String, Vec<[Option<usize>; 3]>>,
}

/// Where a step stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) node: usize,
    /// The list it stands in, and at which place.
    pub(super) holder: usize,
    pub(super) index: usize,
    pub(super) list: ListName,
}

/// A list of steps, named the same in all three texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ListName {
    /// The step it belongs to; `None` for the recipe.
    pub(super) step: Option<String>,
    pub(super) key: ListKey,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ListKey {
    /// `steps`, `try`, `catch`, `finally`.
    Own(String),
    /// A named branch of a `parallel`.
    Branch(String),
    /// A branch of a `choose`, by its number among those of all texts, and its key.
    Choice(usize, String),
}

/// The keys of a step that hold a list of steps.
pub(super) const OWN: &[&str] = &["steps", "try", "catch", "finally"];

impl Plan {
    pub(super) fn of(sources: &[Source<'_>; 3]) -> Self {
        let mut plan =
            Self { steps: Default::default(), lists: Default::default(), ids: Default::default(), branches: aligned(sources) };
        for (version, source) in sources.iter().enumerate() {
            if let Some(list) = source.get(source.root, "steps") {
                let name = ListName { step: None, key: ListKey::Own("steps".to_owned()) };
                plan.list(version, source, list, name);
            }
        }
        plan
    }

    fn list(&mut self, version: usize, source: &Source<'_>, holder: usize, list: ListName) {
        if !matches!(source.node(holder).kind, Kind::List { .. }) {
            return;
        }
        let mut order = Vec::new();
        for (index, part) in source.parts(holder).iter().enumerate() {
            let written = source.get(part.value, "id").and_then(|id| source.text_of(id));
            let free = written.filter(|id| !self.steps[version].contains_key(*id)).map(str::to_owned);
            // A step without an id of its own is known by its place.
            let id = free.unwrap_or_else(|| format!("{}/{:?}#{index}", list.step.as_deref().unwrap_or_default(), list.key));
            let place = Place { node: part.value, holder, index, list: list.clone() };
            self.steps[version].insert(id.clone(), place);
            self.ids[version].push(id.clone());
            order.push(id.clone());
            self.inner(version, source, part.value, &id);
        }
        self.lists[version].insert(list, order);
    }

    fn inner(&mut self, version: usize, source: &Source<'_>, step: usize, id: &str) {
        let name = |key| ListName { step: Some(id.to_owned()), key };
        for part in source.parts(step) {
            match part.key.as_ref() {
                key if OWN.contains(&key) => self.list(version, source, part.value, name(ListKey::Own(key.to_owned()))),
                "parallel" if matches!(source.node(part.value).kind, Kind::Record { .. }) => {
                    for branch in source.parts(part.value) {
                        self.list(version, source, branch.value, name(ListKey::Branch(branch.key.to_string())));
                    }
                }
                "choose" => {
                    for (at, branch) in source.parts(part.value).iter().enumerate() {
                        let all = self.branches.get(id);
                        let number = all.and_then(|all| all.iter().position(|places| places[version] == Some(at)));
                        let Some(number) = number else { continue };
                        for part in source.parts(branch.value).iter().filter(|part| is_branch_key(&part.key)) {
                            self.list(version, source, part.value, name(ListKey::Choice(number, part.key.to_string())));
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

pub(super) fn is_branch_key(key: &str) -> bool {
    matches!(key, "steps" | "otherwise")
}

/// What a branch of a `choose` is known by.
struct Branch {
    ids: HashSet<String>,
    when: Option<String>,
    otherwise: bool,
}

/// Which branches of the choices are the same in the three texts.
fn aligned(sources: &[Source<'_>; 3]) -> HashMap<String, Vec<[Option<usize>; 3]>> {
    let choices: Vec<HashMap<String, Vec<Branch>>> = sources.iter().map(choices).collect();
    let mut all = HashMap::new();
    let ids: HashSet<&String> = choices.iter().flat_map(HashMap::keys).collect();
    for id in ids {
        let none = Vec::new();
        let branches = |version: usize| choices[version].get(id).unwrap_or(&none);
        let mut rows: Vec<[Option<usize>; 3]> = (0..branches(BASE).len()).map(|at| [None, None, Some(at)]).collect();
        for version in [OURS, THEIRS] {
            let found = pairs(branches(BASE), branches(version));
            for (at, base) in found.iter().enumerate() {
                match base {
                    Some(base) => rows[*base][version] = Some(at),
                    None if version == THEIRS => {
                        // Both may have added the same branch.
                        let same = |row: &&mut [Option<usize>; 3]| {
                            row[BASE].is_none()
                                && row[THEIRS].is_none()
                                && row[OURS].is_some_and(|ours| alike(&branches(OURS)[ours], &branches(THEIRS)[at]) > 0)
                        };
                        match rows.iter_mut().find(same) {
                            Some(row) => row[THEIRS] = Some(at),
                            None => rows.push([None, Some(at), None]),
                        }
                    }
                    None => rows.push([Some(at), None, None]),
                }
            }
        }
        all.insert(id.clone(), rows);
    }
    all
}

/// For each branch of a side the branch of the base it is.
fn pairs(base: &[Branch], side: &[Branch]) -> Vec<Option<usize>> {
    let mut found = vec![None; side.len()];
    let mut taken = HashSet::new();
    for least in [3, 2, 1] {
        for (at, branch) in side.iter().enumerate() {
            if found[at].is_some() {
                continue;
            }
            let fits = |other: &usize| !taken.contains(other) && alike(&base[*other], branch) >= least;
            if let Some(other) = (0..base.len()).find(fits) {
                found[at] = Some(other);
                taken.insert(other);
            }
        }
    }
    // Of equally many, what is left over is the same at the same place.
    if base.len() == side.len() {
        for (at, found) in found.iter_mut().enumerate() {
            if found.is_none() && taken.insert(at) {
                *found = Some(at);
            }
        }
    }
    found
}

fn alike(a: &Branch, b: &Branch) -> usize {
    let condition = (a.when.is_some() && a.when == b.when) || (a.otherwise && b.otherwise);
    let steps = !a.ids.is_disjoint(&b.ids);
    usize::from(condition) + 2 * usize::from(steps)
}

/// The branches of every `choose` of a text.
fn choices(source: &Source<'_>) -> HashMap<String, Vec<Branch>> {
    let mut found = HashMap::new();
    for step in crate::edit::steps(source) {
        let (Some(id), Some(choose)) = (step.id, source.get(step.node, "choose")) else { continue };
        let branch = |part: &crate::edit::tree::Part<'_>| {
            let list = ["steps", "otherwise"].iter().find_map(|key| source.get(part.value, key));
            let steps = list.map(|list| source.parts(list)).unwrap_or_default().iter();
            let ids = steps.filter_map(|step| source.text_of(source.get(step.value, "id")?).map(str::to_owned)).collect();
            let when = source.get(part.value, "when").map(|node| {
                let span = source.node(node).span;
                source.text[span.start..span.end].to_owned()
            });
            Branch { ids, when, otherwise: source.get(part.value, "otherwise").is_some() }
        };
        if matches!(source.node(choose).kind, Kind::List { .. }) {
            found.entry(id).or_insert_with(|| source.parts(choose).iter().map(branch).collect());
        }
    }
    found
}
