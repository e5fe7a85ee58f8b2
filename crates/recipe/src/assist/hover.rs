//! Help about what stands at a place, in Markdown.

use super::complete::expression_at;
use super::cut::{self, Way};
use super::slot::{Slot, World, slots};
use super::symbols::{SymbolKind, declared, name_at, place_in};
use super::{chain, cursor, inputs, reach, words};
use crate::ast::Span;
use crate::catalogue::{Catalogue, Segment};
use crate::check::{Named, doc};
use crate::keys::Shape;
use crate::offsets::OffsetMap;
use crate::yaml::{Kind, Node};

/// Fields beyond these are only counted.
const FIELDS_MAX: usize = 24;

/// Help about a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hover {
    /// What it is about.
    pub span: Span,
    /// The help, in Markdown.
    pub text: String,
}

/// Help about what stands at a byte offset.
#[must_use]
pub fn hover(text: &str, offset: usize, catalogue: &Catalogue) -> Option<Hover> {
    let offset = cursor::floor(text, offset);
    let mended = cut::mended(text, None)?;
    let root = cut::tree(&mended)?;
    let world = World { root: &root, catalogue, neighbours: &Vec::new };
    let way = cut::find(&root, &|_, span| (span.start..=span.end).contains(&offset) && span.start < span.end)?;
    let slots = slots(world, &way.nodes, &way.parts);
    let slot = slots.last().copied()?;
    if let Some(entry) = way.key {
        return Some(Hover { span: entry.key_span, text: of_key(&entry.key, slot)? });
    }
    let node = way.last();
    let Kind::Text(value, style) = &node.kind else { return None };
    let map = OffsetMap::new(&mended, node.span, value, *style);
    if let Some(at) = place_in(&map, value, offset)
        && let Some((source, start)) = expression_at(value, slot, at)
    {
        let (word, text) = of_name(source, at.saturating_sub(start), &way, world)?;
        return Some(Hover { span: map.place(start + word.start..start + word.end), text });
    }
    Some(Hover { span: node.span, text: of_value(value, slot, &way, world)? })
}

fn of_key(key: &str, slot: Slot<'_>) -> Option<String> {
    match slot {
        Slot::Table(table) => table.find(key).map(|found| format!("**{key}**\n\n{}", found.doc)),
        Slot::Value(of) if of.shape == Shape::Retry => {
            crate::keys::RETRY.find(key).map(|found| format!("**{key}**\n\n{}", found.doc))
        }
        Slot::Schema { root, node, .. } => {
            let field = inputs::fields(root, node).into_iter().find(|field| field.name == key)?;
            let must = if field.required { ", required" } else { "" };
            let mut text = format!("**{key}** ({}{must})", inputs::kinds(root, field.node));
            push(&mut text, &doc(field.node).unwrap_or_default());
            let choices = inputs::choices(root, field.node);
            if !choices.is_empty() {
                push(&mut text, &format!("One of: {}", choices.join(", ")));
            }
            Some(text)
        }
        _ => None,
    }
}

fn of_value(value: &str, slot: Slot<'_>, way: &Way<'_, '_>, world: World<'_, '_, '_>) -> Option<String> {
    let Slot::Value(key) = slot else { return of_data(value, way) };
    match key.shape {
        Shape::Action => {
            let info = world.action(value)?;
            let mut text = format!("**{}** · `{value}`", info.title);
            push(&mut text, &info.summary);
            section(&mut text, "Input", &inputs::outlined(&info.input, &info.input));
            section(&mut text, "Gives", &inputs::outlined(&info.output, &info.output));
            Some(text)
        }
        Shape::Source => {
            let info = world.trigger(value)?;
            let mut text = format!("**{}** · `{value}`", info.title);
            push(&mut text, &info.summary);
            section(&mut text, "Settings", &inputs::outlined(&info.config, &info.config));
            section(&mut text, "Gives", &inputs::outlined(&info.output, &info.output));
            Some(text)
        }
        Shape::Duration | Shape::DurationValue => words::duration(value),
        _ => of_data(value, way),
    }
}

/// A schedule's cron expression.
fn of_data(value: &str, way: &Way<'_, '_>) -> Option<String> {
    let is_cron = way.parts.last() == Some(&cut::Part::Key("cron".into())) && way.parts.len() == 3;
    if !is_cron {
        return None;
    }
    let zone = way.nodes.get(2).and_then(|with| cut::get(with, "zone")).and_then(cut::text_of).unwrap_or("UTC");
    Some(format!("{}, {zone} time", words::cron(value)?))
}

/// A name in an expression.
fn of_name(source: &str, at: usize, way: &Way<'_, '_>, world: World<'_, '_, '_>) -> Option<(std::ops::Range<usize>, String)> {
    let called = |word: &std::ops::Range<usize>| source.get(word.end..).is_some_and(|rest| rest.trim_start().starts_with('('));
    let word = chain::word_around(source, at);
    if called(&word)
        && let Some(function) = (world.catalogue.functions)().into_iter().find(|f| Some(f.name) == source.get(word.clone()))
    {
        let (doc, example, result) = (function.doc, function.example, function.result);
        return Some((word, format!("```\n{}\n```\n\n{doc}\n\n`{example}` gives `{result}`", function.signature)));
    }
    let (path, word) = name_at(source, at)?;
    let name = source.get(word.clone())?;
    let named = reach::in_reach(world.root, &way.parts, path.clone(), world.catalogue).into_iter().find(|n| n.name == name)?;
    let full: Vec<Segment> = path.iter().cloned().chain([Segment::Key(name.to_owned())]).collect();
    let mut text = format!("`{}` — {}", written(&full), named.kinds);
    push(&mut text, &named.doc.unwrap_or_default());
    let is_step = matches!(path.as_slice(), [Segment::Key(root)] if root == "steps");
    if is_step && let Some(note) = note_of(world.root, name) {
        push(&mut text, &note);
    }
    let inside = reach::in_reach(world.root, &way.parts, full, world.catalogue);
    section(&mut text, "Gives", &outlined(&inside));
    Some((word, text))
}

fn outlined(inside: &[Named]) -> Vec<String> {
    let one = |named: &Named| {
        let about = named.doc.as_ref().map(|doc| format!(" — {doc}")).unwrap_or_default();
        format!("- `{}` ({}){about}", named.name, named.kinds)
    };
    let mut lines: Vec<_> = inside.iter().take(FIELDS_MAX).map(one).collect();
    if inside.len() > FIELDS_MAX {
        lines.push(format!("- and {} more", inside.len() - FIELDS_MAX));
    }
    lines
}

/// What the writer of a step says of it.
fn note_of(root: &Node<'_>, id: &str) -> Option<String> {
    let at = declared(root, SymbolKind::Step, id)?;
    let way = cut::find(root, &|_, span| span == at)?;
    let step = way.nodes.len().checked_sub(2).and_then(|at| way.nodes.get(at))?;
    cut::get(step, "note").and_then(cut::text_of).map(str::to_owned)
}

fn written(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Key(key) if text.is_empty() => text.push_str(key),
            Segment::Key(key) => text.push_str(&format!(".{key}")),
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
            Segment::Any => text.push_str("[*]"),
        }
    }
    text
}

fn push(text: &mut String, part: &str) {
    if !part.is_empty() {
        text.push_str("\n\n");
        text.push_str(part);
    }
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        push(text, &format!("{title}:\n{}", lines.join("\n")));
    }
}
