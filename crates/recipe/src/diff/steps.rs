//! Which steps came, went, moved and changed.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json};

use super::fields::{Area, Fields};
use super::words::code;
use super::{Difference, DifferenceKind};
use crate::catalogue::Catalogue;

/// The step words.
pub(super) const WORDS: &[&str] = &[
    "do", "each", "repeat", "parallel", "choose", "try", "set", "save", "wait", "call", "start", "respond", "return", "stop",
    "fail",
];
/// What stands for steps that are told apart from the step they are in.
const STEPS_OF_ITS_OWN: &str = "steps of its own";

/// A step without the steps inside it.
#[derive(Debug, Clone)]
pub(super) struct Flat<'r> {
    pub(super) id: String,
    /// It has no id, and the one here stands for its number.
    pub(super) unnamed: bool,
    /// `3`, or `3.2` for the second step inside it.
    number: String,
    title: Option<&'r str>,
    pub(super) place: Place,
    /// Its fields but the id.
    pub(super) own: Map<String, Json>,
}

/// A list of steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Place {
    /// The step it is in; `None` for the recipe.
    pub(super) parent: Option<String>,
    /// Which of its lists: a key, the name of a branch, or the condition that leads there.
    block: String,
}

/// All steps in reading order.
pub(super) fn flat(steps: Option<&Json>) -> Vec<Flat<'_>> {
    let mut out = Vec::new();
    collect(steps, &Place::default(), "", &mut 0, &mut out, &mut HashSet::new());
    out
}

fn collect<'r>(
    steps: Option<&'r Json>,
    place: &Place,
    prefix: &str,
    count: &mut usize,
    out: &mut Vec<Flat<'r>>,
    seen: &mut HashSet<String>,
) {
    for step in steps.and_then(Json::as_array).into_iter().flatten() {
        *count += 1;
        let number = format!("{prefix}{count}");
        let written = step.get("id").and_then(Json::as_str);
        let id = written.filter(|id| seen.insert((*id).to_owned()));
        let unnamed = id.is_none();
        let id = id.map_or_else(|| format!("step {number}"), str::to_owned);
        let Json::Object(fields) = step else {
            let own = Map::from_iter([("value".to_owned(), step.clone())]);
            out.push(Flat { id, unnamed, number, title: None, place: place.clone(), own });
            continue;
        };
        let mut own = fields.clone();
        if !unnamed {
            own.shift_remove("id");
        }
        let title = fields.get("title").and_then(Json::as_str);
        let at = out.len();
        out.push(Flat { id: id.clone(), unnamed, number: number.clone(), title, place: place.clone(), own: Map::new() });
        let mut inner = 0;
        for (block, steps) in take_blocks(fields, &mut own) {
            let place = Place { parent: Some(id.clone()), block };
            collect(Some(steps), &place, &format!("{number}."), &mut inner, out, seen);
        }
        out[at].own = own;
    }
}

/// The lists of steps in a step; in its own fields a word stands for each.
fn take_blocks<'r>(fields: &'r Map<String, Json>, own: &mut Map<String, Json>) -> Vec<(String, &'r Json)> {
    let mut blocks = Vec::new();
    let full = |value: &Json| value.as_array().is_some_and(|items| !items.is_empty());
    let marker = || Json::String(STEPS_OF_ITS_OWN.to_owned());
    for key in ["steps", "try", "catch", "finally"] {
        if let Some(steps) = fields.get(key).filter(|value| full(value)) {
            own.insert(key.to_owned(), marker());
            blocks.push((key.to_owned(), steps));
        }
    }
    if let (Some(Json::Object(branches)), Some(Json::Object(stripped))) = (fields.get("parallel"), own.get_mut("parallel")) {
        for (name, steps) in branches.iter().filter(|(_, value)| full(value)) {
            stripped.insert(name.clone(), marker());
            blocks.push((name.clone(), steps));
        }
    }
    if let (Some(Json::Array(branches)), Some(Json::Array(stripped))) = (fields.get("choose"), own.get_mut("choose")) {
        for (branch, stripped) in branches.iter().zip(stripped) {
            let when = condition(branch);
            for key in ["steps", "otherwise"] {
                if let Some(steps) = branch.get(key).filter(|value| full(value)) {
                    stripped[key] = marker();
                    blocks.push((when.clone(), steps));
                }
            }
        }
    }
    blocks
}

/// Tells what changed among the steps of two recipes.
pub(super) fn compare(
    old: &Map<String, Json>,
    new: &Map<String, Json>,
    renamed: &[(String, String)],
    catalogue: &Catalogue,
    out: &mut Vec<Difference>,
) {
    let (mut before, after) = (flat(old.get("steps")), flat(new.get("steps")));
    align_branches(&mut before, &after);
    let pair = Pair { before: Side::new(&before), after: Side::new(&after) };
    let wrappers = pair.around(&pair.after, &pair.before);
    let unwrapped = pair.around(&pair.before, &pair.after);
    let moved = pair.moved();
    for step in &after {
        if let Some((from, _)) = renamed.iter().find(|(_, to)| *to == step.id) {
            let sentence = format!("{}: renamed, was {}", step.called(), code(from));
            out.push(step.tell(DifferenceKind::Renamed, sentence));
        }
        let Some(was) = pair.before.get(&step.id) else {
            pair.tell_new(step, &wrappers, out);
            continue;
        };
        if let Some(words) = moved.get(step.id.as_str()) {
            out.push(step.tell(DifferenceKind::Moved, format!("{}: moved, {words}", step.called())));
        }
        changes(was, step, new, catalogue, out);
    }
    for step in before.iter().filter(|step| pair.after.get(&step.id).is_none()) {
        let told_with_parent = step
            .place
            .parent
            .as_deref()
            .is_some_and(|parent| pair.after.get(parent).is_none() && !unwrapped.contains_key(parent));
        if told_with_parent {
            continue;
        }
        let what = match unwrapped.get(step.id.as_str()) {
            Some(inside) => format!("removed, but {} stays", list(inside)),
            None => format!("removed{}", inside(&before, &step.id)),
        };
        out.push(step.tell(DifferenceKind::Removed, format!("{} of before: {what}", step.called())));
    }
}

/// A branch whose condition changed is still the same branch: it takes the new condition's name.
fn align_branches(before: &mut [Flat<'_>], after: &[Flat<'_>]) {
    fn names(step: &Flat<'_>) -> Vec<String> {
        let branches = step.own.get("choose").and_then(Json::as_array);
        branches.into_iter().flatten().map(condition).collect()
    }
    let mut changed: HashMap<Place, String> = HashMap::new();
    let known: HashMap<&str, &Flat<'_>> = after.iter().map(|step| (step.id.as_str(), step)).collect();
    for step in before.iter() {
        let (old, new) = (names(step), known.get(step.id.as_str()).map(|step| names(step)).unwrap_or_default());
        for (from, to) in old.iter().zip(&new).filter(|(from, to)| !new.contains(from) && !old.contains(to)) {
            changed.insert(Place { parent: Some(step.id.clone()), block: from.clone() }, to.clone());
        }
    }
    for step in before {
        if let Some(block) = changed.get(&step.place) {
            step.place.block.clone_from(block);
        }
    }
}

fn condition(branch: &Json) -> String {
    branch.get("when").map_or_else(|| "otherwise".to_owned(), Json::to_string)
}

/// What changed in the fields of one step.
fn changes(was: &Flat<'_>, step: &Flat<'_>, recipe: &Map<String, Json>, catalogue: &Catalogue, out: &mut Vec<Difference>) {
    let word = |step: &Flat<'_>| WORDS.iter().copied().find(|word| step.own.contains_key(*word));
    let (mut old, mut new) = (was.own.clone(), step.own.clone());
    if let (Some(from), Some(to)) = (word(was), word(step))
        && from != to
    {
        let sentence = format!("{}: now {}, was {}", step.called(), code(to), code(from));
        let mut told = step.tell(DifferenceKind::Changed, sentence);
        (told.path, told.old, told.new) = (vec![to.to_owned()], old.shift_remove(from), new.shift_remove(to));
        out.push(told);
    }
    let uses = step.own.get("do").and_then(Json::as_str).and_then(|uses| uses.split_once('.')).map(|(name, action)| {
        let connector = recipe.get("connections").and_then(|all| all.get(name)).and_then(Json::as_str);
        (connector.unwrap_or(name).to_owned(), action.to_owned())
    });
    let area = Area::Step(step.id.clone(), step.called());
    Fields { area, catalogue, uses }.compare(&[], Some(&Json::Object(old)), Some(&Json::Object(new)), out);
}

impl Flat<'_> {
    /// The step as it stands in sentences.
    fn called(&self) -> String {
        match self.title {
            Some(title) => format!("Step {} “{title}”", self.number),
            None if self.unnamed => format!("Step {}", self.number),
            None => format!("Step {} ({})", self.number, self.id),
        }
    }

    fn tell(&self, kind: DifferenceKind, sentence: String) -> Difference {
        Difference { kind, step: Some(self.id.clone()), path: Vec::new(), sentence, old: None, new: None }
    }
}

/// The steps of one recipe, by id.
struct Side<'a, 'r> {
    all: &'a [Flat<'r>],
    by_id: HashMap<&'a str, usize>,
}

impl<'a, 'r> Side<'a, 'r> {
    fn new(all: &'a [Flat<'r>]) -> Self {
        Self { all, by_id: all.iter().enumerate().map(|(at, step)| (step.id.as_str(), at)).collect() }
    }

    fn get(&self, id: &str) -> Option<&'a Flat<'r>> {
        self.by_id.get(id).map(|at| &self.all[*at])
    }

    /// Where a step stands if the steps that `other` does not have are thought away.
    fn place_seen_from(&self, step: &'a Flat<'r>, other: &Side<'_, '_>) -> &'a Place {
        let mut place = &step.place;
        while let Some(parent) = place.parent.as_deref().filter(|parent| other.get(parent).is_none()) {
            match self.get(parent) {
                Some(parent) => place = &parent.place,
                None => break,
            }
        }
        place
    }
}

struct Pair<'a, 'r> {
    before: Side<'a, 'r>,
    after: Side<'a, 'r>,
}

impl<'a, 'r> Pair<'a, 'r> {
    /// Steps of one side that the other lacks, around steps that both have at the same place.
    fn around(&self, side: &Side<'a, 'r>, other: &Side<'a, 'r>) -> HashMap<&'a str, Vec<&'a str>> {
        let mut found: HashMap<&str, Vec<&str>> = HashMap::new();
        for step in side.all {
            let (Some(twin), Some(parent)) = (other.get(&step.id), step.place.parent.as_deref()) else { continue };
            if other.get(parent).is_none() && side.place_seen_from(step, other) == other.place_seen_from(twin, side) {
                found.entry(parent).or_default().push(&step.id);
            }
        }
        found
    }

    /// Steps that stand elsewhere, with words for where.
    fn moved(&self) -> HashMap<&'a str, String> {
        let mut moved = HashMap::new();
        let mut lists: HashMap<&Place, Vec<(usize, &'a Flat<'r>)>> = HashMap::new();
        for step in self.after.all {
            let Some(at) = self.before.by_id.get(step.id.as_str()) else { continue };
            let was = &self.before.all[*at];
            let place = self.after.place_seen_from(step, &self.before);
            if place == self.before.place_seen_from(was, &self.after) {
                lists.entry(place).or_default().push((*at, step));
            } else {
                let words = match step.place.parent.as_deref().and_then(|parent| self.after.get(parent)) {
                    Some(parent) => format!("now inside {}", lower(&parent.called())),
                    None => "now outside any other step".to_owned(),
                };
                moved.insert(step.id.as_str(), words);
            }
        }
        for steps in lists.values() {
            let kept: HashSet<usize> = longest_rising(&steps.iter().map(|(at, _)| *at).collect::<Vec<_>>()).into_iter().collect();
            for (index, (at, step)) in steps.iter().enumerate() {
                if !kept.contains(at) {
                    let words = match index.checked_sub(1).map(|above| steps[above].1) {
                        Some(above) => format!("now after {}", lower(&above.called())),
                        None => "now first".to_owned(),
                    };
                    moved.insert(step.id.as_str(), words);
                }
            }
        }
        moved
    }

    fn tell_new(&self, step: &Flat<'_>, wrappers: &HashMap<&str, Vec<&str>>, out: &mut Vec<Difference>) {
        if let Some(inside) = wrappers.get(step.id.as_str()) {
            out.push(step.tell(DifferenceKind::Wrapped, format!("{}: added around {}", step.called(), list(inside))));
            return;
        }
        let parent = step.place.parent.as_deref();
        if parent.is_some_and(|parent| self.before.get(parent).is_none() && !wrappers.contains_key(parent)) {
            return;
        }
        let uses = step.own.get("do").and_then(Json::as_str);
        let uses = uses.or_else(|| WORDS.iter().copied().find(|word| step.own.contains_key(*word)));
        let does = uses.map(|uses| format!(", {}", code(uses))).unwrap_or_default();
        let mut told =
            step.tell(DifferenceKind::Added, format!("{}: added{does}{}", step.called(), inside(self.after.all, &step.id)));
        told.new = Some(Json::Object(step.own.clone()));
        out.push(told);
    }
}

/// How many steps stand in a step, for a sentence.
fn inside(steps: &[Flat<'_>], id: &str) -> String {
    match steps.iter().filter(|step| step.place.parent.as_deref() == Some(id)).count() {
        0 => String::new(),
        1 => " with 1 step in it".to_owned(),
        count => format!(" with {count} steps in it"),
    }
}

fn list(ids: &[&str]) -> String {
    match ids {
        [] => String::new(),
        [only] => code(only),
        [most @ .., last] => format!("{} and {}", most.iter().map(|id| code(id)).collect::<Vec<_>>().join(", "), code(last)),
    }
}

fn lower(called: &str) -> String {
    called.replacen("Step", "step", 1)
}

/// The longest part of a list of different numbers that rises: what need not have moved.
fn longest_rising(numbers: &[usize]) -> Vec<usize> {
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(numbers.len());
    for (index, number) in numbers.iter().enumerate() {
        let length = ends.partition_point(|end| numbers[*end] < *number);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut rising = Vec::new();
    let mut at = ends.last().copied();
    while let Some(index) = at {
        rising.push(numbers[index]);
        at = before[index];
    }
    rising
}
