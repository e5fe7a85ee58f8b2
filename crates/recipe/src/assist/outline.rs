//! The outline of a recipe: what it declares and what it does, as a tree.

use super::cut;
use super::symbols::inner_lists;
use crate::ast::Span;
use crate::keys::STEP_WORDS;
use crate::yaml::Node;

/// One part of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// What it is called: a step's id, a parameter's name.
    pub name: String,
    /// A few words: a step's title, or what it does.
    pub detail: String,
    /// What it is.
    pub kind: OutlineKind,
    /// All of it.
    pub span: Span,
    /// Its name.
    pub name_span: Span,
    /// What is inside.
    pub inside: Vec<Outline>,
}

/// What a part of a recipe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutlineKind {
    /// A block such as `params` or `steps`.
    Block,
    /// A name that is declared: a connection, a parameter, a value of the state.
    Declaration,
    /// The trigger.
    Trigger,
    /// A step.
    Step,
    /// A branch of a choice or a parallel.
    Branch,
    /// A test.
    Test,
}

/// The parts of a recipe, in the order of the text. Broken lines are passed over.
#[must_use]
pub fn outline(text: &str) -> Vec<Outline> {
    let Some(mended) = cut::mended(text, None) else { return Vec::new() };
    let Some(root) = cut::tree(&mended) else { return Vec::new() };
    cut::entries(&root).iter().filter_map(|entry| block(&entry.key, entry.key_span, &entry.value)).collect()
}

fn block(key: &str, name_span: Span, value: &Node<'_>) -> Option<Outline> {
    let (kind, detail, inside) = match key {
        "connections" | "params" | "state" => (OutlineKind::Block, String::new(), declarations(value)),
        "trigger" => (OutlineKind::Trigger, said(value, "from"), Vec::new()),
        "steps" => (OutlineKind::Block, String::new(), steps(value)),
        "tests" => (OutlineKind::Block, String::new(), tests(value)),
        _ => return None,
    };
    Some(Outline { name: key.to_owned(), detail, kind, span: around(name_span, value), name_span, inside })
}

fn declarations(value: &Node<'_>) -> Vec<Outline> {
    let one = |entry: &crate::yaml::Entry<'_>| {
        let detail = cut::text_of(&entry.value).map_or_else(|| said(&entry.value, "type"), str::to_owned);
        let (name, name_span) = (entry.key.to_string(), entry.key_span);
        Outline {
            name,
            detail,
            kind: OutlineKind::Declaration,
            span: around(name_span, &entry.value),
            name_span,
            inside: Vec::new(),
        }
    };
    cut::entries(value).iter().map(one).collect()
}

fn steps(list: &Node<'_>) -> Vec<Outline> {
    cut::items(list).iter().filter_map(step).collect()
}

fn step(item: &Node<'_>) -> Option<Outline> {
    let entries = cut::entries(item);
    let first = entries.first()?;
    if let Some(when) = cut::get(item, "when").or_else(|| cut::get(item, "otherwise")) {
        let name = if first.key == "otherwise" { "otherwise".to_owned() } else { "when".to_owned() };
        let detail = cut::text_of(when).unwrap_or_default().to_owned();
        let inside = inner_lists(item).flat_map(steps).collect();
        return Some(Outline { name, detail, kind: OutlineKind::Branch, span: item.span, name_span: first.key_span, inside });
    }
    let word = STEP_WORDS.iter().find_map(|(word, ..)| cut::get(item, word).map(|value| (*word, value)));
    let uses = word.map_or_else(String::new, |(word, value)| match word {
        "do" | "call" | "start" => cut::text_of(value).unwrap_or(word).to_owned(),
        word => word.to_owned(),
    });
    let title = said(item, "title");
    let detail = if title.is_empty() { uses } else { format!("{title} ({uses})") };
    let id = cut::get(item, "id");
    let name = id.and_then(cut::text_of).filter(|id| !id.is_empty()).unwrap_or("step").to_owned();
    let name_span = id.map_or(first.key_span, |id| id.span);
    let branches = cut::get(item, "parallel").map_or(&[][..], cut::entries).iter().map(|branch| Outline {
        name: branch.key.to_string(),
        detail: String::new(),
        kind: OutlineKind::Branch,
        span: around(branch.key_span, &branch.value),
        name_span: branch.key_span,
        inside: steps(&branch.value),
    });
    let named = cut::get(item, "parallel").is_some_and(|node| !cut::entries(node).is_empty());
    let inside = match named {
        true => branches.collect(),
        false => inner_lists(item).flat_map(steps).collect(),
    };
    Some(Outline { name, detail, kind: OutlineKind::Step, span: item.span, name_span, inside })
}

fn tests(list: &Node<'_>) -> Vec<Outline> {
    let one = |item: &Node<'_>| {
        let title = cut::get(item, "title")?;
        let name = cut::text_of(title).filter(|title| !title.is_empty())?.to_owned();
        let (detail, span, name_span) = (String::new(), item.span, title.span);
        Some(Outline { name, detail, kind: OutlineKind::Test, span, name_span, inside: Vec::new() })
    };
    cut::items(list).iter().filter_map(one).collect()
}

fn said(node: &Node<'_>, key: &str) -> String {
    cut::get(node, key).and_then(cut::text_of).unwrap_or_default().to_owned()
}

fn around(key: Span, value: &Node<'_>) -> Span {
    Span { start: key.start, end: value.span.end.max(key.end) }
}
