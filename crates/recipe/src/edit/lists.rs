//! Where steps stand in the tree. The one place of this module that knows the step words.

use super::change::StepList;
use super::tree::{Kind, Source};

/// One step of a text.
#[derive(Debug, Clone)]
pub(crate) struct StepAt {
    /// Its id, if it has one.
    pub(crate) id: Option<String>,
    /// Its record.
    pub(crate) node: usize,
    /// The list it stands in, and at which place.
    pub(crate) list: usize,
    pub(crate) index: usize,
}

/// The keys of a step that hold a list of steps themselves.
const LISTS: &[&str] = &["steps", "try", "catch", "finally"];

/// Every step of a recipe, a step before the steps inside it.
pub(crate) fn steps(source: &Source<'_>) -> Vec<StepAt> {
    let mut found = Vec::new();
    if let Some(list) = source.get(source.root, "steps") {
        collect(source, list, &mut found);
    }
    found
}

/// The step that is a value itself, and every step inside it.
pub(crate) fn steps_of(source: &Source<'_>, node: usize) -> Vec<StepAt> {
    let (list, index) = source.node(node).parent.unwrap_or((node, 0));
    let mut found = Vec::new();
    step(source, node, list, index, &mut found);
    found
}

fn collect(source: &Source<'_>, list: usize, found: &mut Vec<StepAt>) {
    if !matches!(source.node(list).kind, Kind::List { .. }) {
        return;
    }
    for (index, part) in source.parts(list).iter().enumerate() {
        step(source, part.value, list, index, found);
    }
}

fn step(source: &Source<'_>, node: usize, list: usize, index: usize, found: &mut Vec<StepAt>) {
    if !matches!(source.node(node).kind, Kind::Record { .. }) {
        return;
    }
    let id = source.get(node, "id").and_then(|id| source.text_of(id)).map(str::to_owned);
    found.push(StepAt { id, node, list, index });
    for list in inner_lists(source, node) {
        collect(source, list, found);
    }
}

/// The lists of steps directly inside a step.
pub(crate) fn inner_lists(source: &Source<'_>, node: usize) -> Vec<usize> {
    let mut lists = Vec::new();
    for part in source.parts(node) {
        match part.key.as_ref() {
            key if LISTS.contains(&key) => lists.push(part.value),
            "choose" => {
                for branch in source.parts(part.value) {
                    let inner =
                        source.parts(branch.value).iter().filter(|part| matches!(part.key.as_ref(), "steps" | "otherwise"));
                    lists.extend(inner.map(|part| part.value));
                }
            }
            // Beside `each`, a number.
            "parallel" if matches!(source.node(part.value).kind, Kind::Record { .. }) => {
                lists.extend(source.parts(part.value).iter().map(|branch| branch.value));
            }
            _ => {}
        }
    }
    lists.retain(|list| matches!(source.node(*list).kind, Kind::List { .. }));
    lists
}

/// Where a list of steps stands: its step, and the keys and places from there.
pub(crate) fn place_of(source: &Source<'_>, step: Option<usize>, list: &StepList) -> Vec<ListKey> {
    let key = |key: &str| vec![ListKey::Key(key.to_owned())];
    match list {
        StepList::Recipe | StepList::Steps(_) => key("steps"),
        StepList::Try(_) => key("try"),
        StepList::Catch(_) => key("catch"),
        StepList::Finally(_) => key("finally"),
        StepList::When(_, index) => {
            vec![ListKey::Key("choose".to_owned()), ListKey::Index(*index), ListKey::Key("steps".to_owned())]
        }
        StepList::Branch(_, name) => vec![ListKey::Key("parallel".to_owned()), ListKey::Key(name.clone())],
        StepList::Otherwise(_) => {
            let branches = step.and_then(|step| source.get(step, "choose")).map(|node| source.parts(node));
            let has = |part: &super::tree::Part<'_>| source.get(part.value, "otherwise").is_some();
            let index = branches.map_or(0, |parts| parts.iter().position(has).unwrap_or(parts.len()));
            vec![ListKey::Key("choose".to_owned()), ListKey::Index(index), ListKey::Key("otherwise".to_owned())]
        }
    }
}

/// One part of the way to a list of steps.
pub(crate) type ListKey = super::change::PathPart;

impl StepList {
    /// The step whose list it is.
    pub(crate) fn step(&self) -> Option<&str> {
        match self {
            Self::Recipe => None,
            Self::Steps(id)
            | Self::When(id, _)
            | Self::Otherwise(id)
            | Self::Branch(id, _)
            | Self::Try(id)
            | Self::Catch(id)
            | Self::Finally(id) => Some(id),
        }
    }
}

/// Where a new key of a step belongs: names of the step first, its own steps last.
pub(crate) fn rank(key: &str) -> usize {
    const FRONT: &[&str] = &["id", "title", "note", "disabled", "if"];
    const TAIL: &[&str] = &["with", "steps", "catch", "finally", "undo"];
    let at = |keys: &[&str]| keys.iter().position(|k| *k == key);
    match (at(FRONT), at(TAIL)) {
        (Some(at), _) => at,
        (None, Some(at)) => FRONT.len() + 1 + at,
        (None, None) => FRONT.len(),
    }
}

/// Where a new key of the recipe itself belongs.
pub(crate) fn head_rank(key: &str) -> usize {
    const ORDER: &[&str] = &[
        "liaison",
        "recipe",
        "title",
        "note",
        "tags",
        "connections",
        "params",
        "state",
        "trigger",
        "settings",
        "defaults",
        "steps",
        "tests",
    ];
    ORDER.iter().position(|k| *k == key).unwrap_or(ORDER.len())
}
