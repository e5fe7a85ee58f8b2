//! Completion: what could stand at the cursor.

use super::cursor::{self, Marked};
use super::cut::{self, Part, Way};
use super::slot::{Names, Slot, World, slots};
use super::symbols::inner_lists;
use super::{COMPLETIONS_MAX, Completion, CompletionKind, Neighbour, chain, inputs, reach, values};
use crate::catalogue::Catalogue;
use crate::check::{MARK, doc};
use crate::keys::{BRANCH, Key, Need, RETRY, STEP, STEP_WORDS, Shape, Table, WAIT, WAIT_WORDS};
use crate::scan::{self, Piece};
use crate::yaml::Node;

/// What could stand at a byte offset, the likeliest first. What is typed already is part of what a
/// suggestion replaces; lists are filtered by it where they are shown.
#[must_use]
pub fn complete(text: &str, offset: usize, catalogue: &Catalogue) -> Vec<Completion> {
    complete_among(text, offset, catalogue, &Vec::new)
}

/// The same with the recipes that stand beside this one; they are only asked for where one could be named.
#[must_use]
pub fn complete_among(
    text: &str,
    offset: usize,
    catalogue: &Catalogue,
    neighbours: &dyn Fn() -> Vec<Neighbour>,
) -> Vec<Completion> {
    let Some(marked) = cursor::marked(text, offset) else { return Vec::new() };
    let Some(root) = cut::tree(&marked.text) else { return Vec::new() };
    let Some(way) = cut::find(&root, &|found, _| found.contains(MARK)) else { return Vec::new() };
    let mut found = Found { marked: &marked, text, list: Vec::new() };
    found.at(&way, World { root: &root, catalogue, neighbours });
    found.list.truncate(COMPLETIONS_MAX);
    found.list
}

/// Suggestions as they are found.
pub(super) struct Found<'m> {
    pub(super) marked: &'m Marked,
    pub(super) text: &'m str,
    pub(super) list: Vec<Completion>,
}

impl Found<'_> {
    fn at(&mut self, way: &Way<'_, '_>, world: World<'_, '_, '_>) {
        let slots = slots(world, &way.nodes, &way.parts);
        let (Some(slot), node) = (slots.last().copied(), way.last()) else { return };
        if way.key.is_some() {
            match slot {
                // `- word` reads as a record, but where texts are listed it is one of them.
                Slot::Item(_) | Slot::Connector => self.value(slot, world),
                Slot::Value(key) if key.shape != Shape::Retry && !is_record(key.shape) => self.value(slot, world),
                slot => self.keys(slot, way, world, false),
            }
            return;
        }
        let Some(value) = cut::text_of(node) else { return };
        let mark = value.find(MARK).unwrap_or_default();
        if let Some((source, start)) = expression_at(value, slot, mark) {
            return self.expression(source, mark.saturating_sub(start), way, world);
        }
        match slot {
            Slot::Table(_) | Slot::By(_) | Slot::Schema { .. } | Slot::Connections | Slot::Params | Slot::JsonSchema
                if value == MARK && inline_values(slot).is_empty() =>
            {
                self.keys(slot, way, world, true);
            }
            Slot::Tables(table) if value == MARK => self.first_item(table, way),
            Slot::Value(key) if key.shape == Shape::Retry => {
                self.value(slot, world);
                self.keys(Slot::Table(&RETRY), way, world, true);
            }
            slot => self.value(slot, world),
        }
    }

    /// Keys of the record at the cursor. `below`: the cursor is behind the record's own key, or the
    /// record has no key yet.
    fn keys(&mut self, slot: Slot<'_>, way: &Way<'_, '_>, world: World<'_, '_, '_>, below: bool) {
        let node = way.last();
        let layout = Layout::new(self, below);
        match slot {
            Slot::Table(table) => {
                for key in table_keys(table, node, &way.parts) {
                    let insert = layout.key(key.name, key.shape);
                    self.add(key.name, CompletionKind::Key, key_detail(key), Some(key.doc.to_owned()), insert);
                }
            }
            Slot::Value(key) if key.shape == Shape::Retry => self.keys(Slot::Table(&RETRY), way, world, below),
            Slot::Schema { root, node: schema, .. } => {
                for field in inputs::fields(root, schema).into_iter().filter(|field| cut::get(node, field.name).is_none()) {
                    let kinds = inputs::kinds(root, field.node);
                    let must = if field.required { ", required" } else { "" };
                    let insert = layout.plain(field.name, false);
                    self.add(field.name, CompletionKind::Field, Some(format!("{kinds}{must}")), doc(field.node), insert);
                }
            }
            Slot::By(names) => {
                for (name, about) in named(names, world.root) {
                    if cut::get(node, &name).is_none() {
                        let insert = layout.plain(&name, names == Names::Failures);
                        let kind = if matches!(names, Names::Steps | Names::Failures) {
                            CompletionKind::Step
                        } else {
                            CompletionKind::Variable
                        };
                        self.add(&name, kind, about, None, insert);
                    }
                }
            }
            Slot::JsonSchema => {
                for (name, about) in values::JSON_SCHEMA {
                    if cut::get(node, name).is_none() {
                        let insert = layout.plain(name, *name == "properties");
                        self.add(name, CompletionKind::Key, None, Some((*about).to_owned()), insert);
                    }
                }
            }
            Slot::Connections => {
                for connector in world.catalogue.connectors.iter() {
                    let insert = format!("{}{}", layout.plain(&connector.id, false), connector.id);
                    let detail = Some(connector.title.clone());
                    self.add(&connector.id, CompletionKind::Connector, detail, None, insert);
                }
            }
            _ => {}
        }
    }

    /// The first step, branch or test of a list that is empty.
    fn first_item(&mut self, table: &'static Table, way: &Way<'_, '_>) {
        let layout = Layout::new(self, true);
        for key in table_keys(table, way.last(), &way.parts).take(1) {
            let insert = layout.item(key.name);
            self.add(&format!("- {}", key.name), CompletionKind::Key, key_detail(key), Some(key.doc.to_owned()), insert);
        }
    }

    fn expression(&mut self, source: &str, at: usize, way: &Way<'_, '_>, world: World<'_, '_, '_>) {
        let Some(chain) = chain::before(source, at) else { return };
        let beginning = chain.path.is_empty();
        let of_steps = matches!(chain.path.as_slice(), [crate::Segment::Key(root)] if root == "steps" || root == "meta");
        let kind = if of_steps {
            CompletionKind::Step
        } else if beginning {
            CompletionKind::Variable
        } else {
            CompletionKind::Field
        };
        for named in reach::in_reach(world.root, &way.parts, chain.path, world.catalogue) {
            let insert = if is_word(&named.name) || chain.is_path { named.name.clone() } else { format!("\"{}\"", named.name) };
            self.add(&named.name, kind, Some(named.kinds.to_string()), named.doc, insert);
        }
        if beginning && !chain.is_path {
            for function in (world.catalogue.functions)() {
                let doc = format!("{}\n\n{} gives {}", function.doc, function.example, function.result);
                let detail = Some(function.signature.to_owned());
                self.add(function.name, CompletionKind::Function, detail, Some(doc), format!("{}(", function.name));
            }
        }
    }

    pub(super) fn add(
        &mut self,
        label: &str,
        kind: CompletionKind,
        detail: Option<String>,
        doc: Option<String>,
        insert: impl Into<String>,
    ) {
        let insert: String = insert.into();
        let insert = if self.marked.needs_blank && !insert.starts_with('\n') { format!(" {insert}") } else { insert };
        let replace = self.marked.word;
        self.list.push(Completion { label: label.to_owned(), kind, detail, doc, replace, insert });
    }
}

/// How keys are written at the cursor.
struct Layout {
    /// What stands before the key: nothing, or a line break and its indentation.
    before: String,
    indent: String,
    /// On one line, between braces.
    flow: bool,
    has_colon: bool,
}

impl Layout {
    fn new(found: &Found<'_>, below: bool) -> Self {
        let Marked { word, line, has_colon, .. } = *found.marked;
        let lead = &found.text[line..word.start];
        let alone = lead.trim_start_matches([' ', '-']).is_empty();
        let behind_key = below && lead.trim_end().ends_with(':');
        let flow = !alone && !behind_key;
        let first = lead.len() - lead.trim_start_matches([' ', '-']).len();
        let (before, indent) = match below && !alone {
            true if !flow => (format!("\n{}", " ".repeat(first + 2)), first + 2),
            _ => (String::new(), if alone { lead.len() } else { first }),
        };
        Self { before, indent: " ".repeat(indent), flow, has_colon }
    }

    fn key(&self, name: &str, shape: Shape) -> String {
        match shape {
            Shape::Steps if !self.flow && !self.has_colon => {
                format!("{}{name}:\n{}  - id: ", self.before, self.indent)
            }
            Shape::Branches if !self.flow && !self.has_colon => {
                format!("{}{name}:\n{}  - when: ", self.before, self.indent)
            }
            shape => self.plain(name, is_record(shape)),
        }
    }

    fn plain(&self, name: &str, record: bool) -> String {
        let Self { before, indent, flow, has_colon } = self;
        match (has_colon, record && !flow) {
            (true, _) => format!("{before}{name}"),
            (_, true) => format!("{before}{name}:\n{indent}  "),
            (_, false) => format!("{before}{name}: "),
        }
    }

    fn item(&self, name: &str) -> String {
        format!("{}- {name}: ", self.before)
    }
}

fn is_record(shape: Shape) -> bool {
    matches!(shape, Shape::Table(_) | Shape::Values | Shape::Connections | Shape::Params | Shape::LiteralRecord | Shape::ByStep)
        || matches!(shape, Shape::Failures | Shape::JsonSchema | Shape::SetValue)
}

fn key_detail(key: &Key) -> Option<String> {
    (key.need == Need::Required).then(|| "required".to_owned())
}

/// The keys of a table that may still come, those that must first.
fn table_keys<'n>(table: &'static Table, node: &'n Node<'_>, parts: &'n [Part]) -> impl Iterator<Item = &'static Key> + use<'n> {
    let there: Vec<&str> = cut::entries(node).iter().map(|entry| entry.key.as_ref()).filter(|key| !key.contains(MARK)).collect();
    let has = move |name: &str| there.contains(&name);
    let may = move |key: &Key| {
        let name = key.name;
        if has(name) {
            return false;
        }
        if *table == STEP {
            let word = STEP_WORDS.iter().find(|(word, ..)| has(word) && !(*word == "parallel" && has("each")));
            let own = |(_, own, _): &(&str, &[&str], &[&str])| own.contains(&name);
            return match word {
                Some(word) if STEP_WORDS.iter().any(own) || STEP_WORDS.iter().any(|(word, ..)| *word == name) => own(word),
                Some(_) => true,
                None => !STEP_WORDS.iter().any(own) || name == "parallel",
            };
        }
        if *table == WAIT && WAIT_WORDS.contains(&name) {
            return !WAIT_WORDS.iter().any(|word| has(word));
        }
        if *table == BRANCH {
            let first = parts.last() == Some(&Part::Index(0));
            return if name == "otherwise" { !first && !has("when") && !has("steps") } else { !has("otherwise") };
        }
        true
    };
    let required = table.keys.iter().filter(|key| key.need == Need::Required);
    // What a step does goes before what else may be said of it.
    let words =
        move |key: &&Key| *table == STEP && STEP_WORDS.iter().any(|(word, own, _)| *word == key.name || own.contains(&key.name));
    let optional = move || table.keys.iter().filter(|key| key.need == Need::Optional);
    let ordered: Vec<_> = required.chain(optional().filter(words)).chain(optional().filter(move |key| !words(key))).collect();
    ordered.into_iter().filter(move |key| may(key))
}

/// The names that the keys of a record are taken from.
fn named(names: Names, root: &Node<'_>) -> Vec<(String, Option<String>)> {
    let declared = |block: &str| {
        let entries = cut::get(root, block).map_or(&[][..], cut::entries).iter();
        entries.map(|entry| (entry.key.to_string(), cut::get(&entry.value, "type").and_then(cut::text_of).map(str::to_owned)))
    };
    match names {
        Names::Params => declared("params").collect(),
        Names::State | Names::Save => declared("state").collect(),
        Names::Steps | Names::Failures => {
            let mut found = Vec::new();
            steps(cut::get(root, "steps"), &mut found);
            found
        }
    }
}

/// Every step's id and title, wherever it stands.
fn steps(node: Option<&Node<'_>>, found: &mut Vec<(String, Option<String>)>) {
    for item in node.map_or(&[][..], cut::items) {
        if let Some(id) = cut::get(item, "id").and_then(cut::text_of) {
            found.push((id.to_owned(), cut::get(item, "title").and_then(cut::text_of).map(str::to_owned)));
        }
        for inner in inner_lists(item) {
            steps(Some(inner), found);
        }
    }
}

/// The expression around an offset of a scalar, and where in the scalar it begins.
pub(super) fn expression_at<'v>(value: &'v str, slot: Slot<'_>, at: usize) -> Option<(&'v str, usize)> {
    let bare = match slot {
        Slot::Value(key) => match key.shape {
            Shape::Decision => true,
            Shape::SetValue => !value.contains("${") && (value.contains('\n') || value != MARK),
            Shape::Instant => !value.contains("${"),
            _ => false,
        },
        _ => false,
    };
    if bare {
        return Some((value, 0));
    }
    let evaluated = match slot {
        Slot::Open | Slot::By(Names::Save) | Slot::Schema { expressions: true, .. } => true,
        Slot::Value(key) => matches!(
            key.shape,
            Shape::Value
                | Shape::Values
                | Shape::TextValue
                | Shape::ListValue
                | Shape::SetValue
                | Shape::Instant
                | Shape::DurationValue
        ),
        _ => false,
    };
    let pieces = scan::pieces(value).ok().filter(|_| evaluated)?;
    pieces.into_iter().find_map(|piece| match piece {
        Piece::Expr { source, range, .. } if (range.start..=range.end).contains(&at) => Some((source, range.start)),
        _ => None,
    })
}

/// What a schema offers as it is, without a record below.
fn inline_values(slot: Slot<'_>) -> Vec<String> {
    match slot {
        Slot::Schema { root, node, .. } => inputs::choices(root, node),
        _ => Vec::new(),
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit())
}
