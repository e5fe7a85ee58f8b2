//! Names that are declared once and used elsewhere: steps, parameters, state, connections.

use std::ops::Range;

use super::complete::expression_at;
use super::cut::{self, Way};
use super::slot::{Names, Slot, World, slots};
use super::{chain, cursor};
use crate::ast::Span;
use crate::catalogue::{Catalogue, Segment};
use crate::edit::{Change, EditCode, EditError, Edited, edit};
use crate::keys::Shape;
use crate::offsets::OffsetMap;
use crate::read::is_name;
use crate::yaml::{Kind, Node};

/// A name and where it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// What it names.
    pub kind: SymbolKind,
    /// The name.
    pub name: String,
    /// The place that was asked about.
    pub span: Span,
    /// Where it is declared; `None` if it is nowhere.
    pub declared: Option<Span>,
}

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SymbolKind {
    /// A step, by its id.
    Step,
    /// A parameter.
    Param,
    /// A value of the state.
    State,
    /// A connection.
    Connection,
}

/// The name at a byte offset, whether it is declared or used there.
#[must_use]
pub fn symbol_at(text: &str, offset: usize, catalogue: &Catalogue) -> Option<Symbol> {
    let offset = cursor::floor(text, offset);
    let mended = cut::mended(text, None)?;
    let root = cut::tree(&mended)?;
    let world = World { root: &root, catalogue, neighbours: &Vec::new };
    let way = cut::find(&root, &|_, span| (span.start..=span.end).contains(&offset) && span.start < span.end)?;
    let (kind, name, span) = named(&mended, offset, &way, world)?;
    let declared = declared(&root, kind, &name);
    Some(Symbol { kind, name, span, declared })
}

/// Every place where a name stands, its declaration included, in the order of the text. Empty if the
/// text cannot be read.
#[must_use]
pub fn references(text: &str, symbol: &Symbol, catalogue: &Catalogue) -> Vec<Span> {
    if symbol.kind == SymbolKind::State {
        return state_references(text, symbol);
    }
    // A name that shares no letter at either end is written over the whole of the old one.
    let begins = |c: char| symbol.name.starts_with(c) || symbol.name.ends_with(c);
    let Some(other) = ('g'..='z').find(|c| !begins(*c)) else { return Vec::new() };
    let fresh = format!("{other}_{}_{other}", "0".repeat(12));
    let Ok(edited) = rename(text, symbol, &fresh, catalogue) else { return symbol.declared.into_iter().collect() };
    edited.patches.iter().map(|patch| patch.span).collect()
}

/// Gives something another name wherever it stands.
///
/// # Errors
/// When the name is taken or malformed, or the text cannot be changed with certainty.
pub fn rename(text: &str, symbol: &Symbol, to: &str, catalogue: &Catalogue) -> Result<Edited, EditError> {
    let (from, to) = (symbol.name.clone(), to.to_owned());
    let change = match symbol.kind {
        SymbolKind::Step => Change::RenameId { from, to },
        SymbolKind::Param => Change::RenameParam { from, to },
        SymbolKind::Connection => Change::RenameConnection { from, to },
        // What runs have kept stands under the old name and would be lost without a word.
        SymbolKind::State => {
            let message = format!("\"{from}\" cannot be renamed here: what runs have kept stands under this name.");
            let help = "Declare the new name beside the old one, copy the value with `save`, then remove the old one.";
            return Err(EditError::new(EditCode::Reserved, message).help(help));
        }
    };
    edit(text, &change, catalogue)
}

/// Where a value of the state is declared, read and saved, as far as it is written plainly.
fn state_references(text: &str, symbol: &Symbol) -> Vec<Span> {
    let (name, part) = (symbol.name.as_str(), |c: char| c.is_alphanumeric() || c == '_');
    let plain = |at: &usize| !text[at + name.len()..].starts_with(part) && !text[..*at].ends_with(part);
    let read =
        |at: &usize| text[..*at].trim_end_matches('?').trim_end_matches('.').ends_with("state") && text[..*at].ends_with('.');
    let places = text.match_indices(name).map(|(at, _)| at).filter(|at| plain(at) && read(at));
    let mut found: Vec<Span> = places.map(|start| Span { start, end: start + name.len() }).collect();
    found.extend(symbol.declared);
    if let Some(root) = cut::tree(text) {
        saved(cut::get(&root, "steps"), name, &mut found);
    }
    found.sort_by_key(|span| span.start);
    found.dedup();
    found
}

/// The keys of every `save` of that name.
fn saved(list: Option<&Node<'_>>, name: &str, found: &mut Vec<Span>) {
    for item in list.map_or(&[][..], cut::items) {
        let save = cut::get(item, "save").map_or(&[][..], cut::entries);
        found.extend(save.iter().filter(|entry| entry.key == name).map(|entry| entry.key_span));
        for inner in inner_lists(item) {
            saved(Some(inner), name, found);
        }
    }
}

/// The lists of steps and branches that a step or branch holds.
pub(super) fn inner_lists<'n, 't>(item: &'n Node<'t>) -> impl Iterator<Item = &'n Node<'t>> {
    let branches = cut::get(item, "parallel").map_or(&[][..], cut::entries).iter().map(|branch| &branch.value);
    let words = ["steps", "choose", "otherwise", "try", "catch", "finally"];
    words.into_iter().filter_map(|word| cut::get(item, word)).chain(branches)
}

/// What is named at a place.
fn named(text: &str, offset: usize, way: &Way<'_, '_>, world: World<'_, '_, '_>) -> Option<(SymbolKind, String, Span)> {
    let slots = slots(world, &way.nodes, &way.parts);
    let slot = slots.last().copied()?;
    if let Some(entry) = way.key {
        let kind = match slot {
            Slot::Params if way.parts.first()? == &cut::Part::Key("params".into()) => SymbolKind::Param,
            Slot::Params if way.parts.first()? == &cut::Part::Key("state".into()) => SymbolKind::State,
            Slot::By(Names::Params) => SymbolKind::Param,
            Slot::By(Names::State | Names::Save) => SymbolKind::State,
            Slot::By(Names::Steps | Names::Failures) => SymbolKind::Step,
            Slot::Connections => SymbolKind::Connection,
            _ => return None,
        };
        return Some((kind, entry.key.to_string(), entry.key_span));
    }
    let Kind::Text(value, style) = &way.last().kind else { return None };
    let span = way.last().span;
    let map = OffsetMap::new(text, span, value, *style);
    if let Slot::Value(key) = slot {
        match key.shape {
            Shape::Id => return Some((SymbolKind::Step, value.to_string(), span)),
            Shape::Action | Shape::Source => {
                let (connection, _) = value.split_once('.')?;
                let place = map.place(0..connection.len());
                let fits = place.start <= offset && offset <= place.end && is_name(connection);
                let declared = declared(world.root, SymbolKind::Connection, connection).is_some();
                return (fits && declared).then(|| (SymbolKind::Connection, connection.to_owned(), place));
            }
            _ => {}
        }
    }
    let at = place_in(&map, value, offset)?;
    let (source, start) = expression_at(value, slot, at)?;
    let (chain, word) = name_at(source, at - start)?;
    let name = source.get(word.clone())?.to_owned();
    let kind = match chain.as_slice() {
        [Segment::Key(root)] if root == "steps" || root == "meta" => SymbolKind::Step,
        [Segment::Key(root)] if root == "params" => SymbolKind::Param,
        [Segment::Key(root)] if root == "state" => SymbolKind::State,
        // Steps in a branch of a parallel are read through it.
        [Segment::Key(root), Segment::Key(_), Segment::Key(_)]
            if root == "steps" && declared(world.root, SymbolKind::Step, &name).is_some() =>
        {
            SymbolKind::Step
        }
        _ => return None,
    };
    Some((kind, name, map.place(start + word.start..start + word.end)))
}

/// The offset in a text that stands at an offset of the file.
pub(super) fn place_in(map: &OffsetMap, text: &str, offset: usize) -> Option<usize> {
    let fits = |at: &usize| text.is_char_boundary(*at) && map.place(*at..*at + 1).start == offset;
    if let Some(at) = (0..text.len()).find(fits) {
        return Some(at);
    }
    (!text.is_empty() && map.place(text.len() - 1..text.len()).end == offset).then_some(text.len())
}

/// The name at a place of an expression and the names before it.
pub(super) fn name_at(source: &str, at: usize) -> Option<(Vec<Segment>, Range<usize>)> {
    let word = chain::word_around(source, at);
    if word.is_empty() {
        return None;
    }
    Some((chain::before(source, word.start)?.path, word))
}

/// Where a name is declared.
pub(super) fn declared(root: &Node<'_>, kind: SymbolKind, name: &str) -> Option<Span> {
    let block = match kind {
        SymbolKind::Step => return step(cut::get(root, "steps"), name),
        SymbolKind::Param => "params",
        SymbolKind::State => "state",
        SymbolKind::Connection => "connections",
    };
    cut::entries(cut::get(root, block)?).iter().find(|entry| entry.key == name).map(|entry| entry.key_span)
}

fn step(list: Option<&Node<'_>>, id: &str) -> Option<Span> {
    cut::items(list?).iter().find_map(|item| {
        let own = cut::get(item, "id").filter(|node| cut::text_of(node) == Some(id)).map(|node| node.span);
        own.or_else(|| inner_lists(item).find_map(|list| step(Some(list), id)))
    })
}
