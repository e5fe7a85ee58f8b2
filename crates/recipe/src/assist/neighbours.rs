//! Other recipes: what `call`, `start` and `on_failure` may name.

use super::CompletionKind;
use super::complete::Found;
use super::cut;
use super::slot::World;
use crate::keys::Key;

/// Another recipe of the same place, as far as its text tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its slug.
    pub slug: String,
    /// What people call it.
    pub title: Option<String>,
    /// Where its events come from: `call`, `webhook`.
    pub from: Option<String>,
}

impl Neighbour {
    /// Reads what a text tells of its recipe; `None` if it is none, or too broken to tell.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        // A text that somebody is typing in tells its name all the same.
        let whole = cut::mended(text, None)?;
        let root = cut::tree(&whole)?;
        let word = |node: Option<&crate::yaml::Node<'_>>| node.and_then(cut::text_of).map(str::to_owned);
        cut::get(&root, "liaison")?;
        Some(Self {
            slug: word(cut::get(&root, "recipe"))?,
            title: word(cut::get(&root, "title")),
            from: word(cut::get(&root, "trigger").and_then(|trigger| cut::get(trigger, "from"))),
        })
    }
}

impl Found<'_> {
    /// The recipes a key may name, those made for it first.
    pub(super) fn recipes(&mut self, key: &Key, world: World<'_, '_, '_>) {
        let wanted = match key.name {
            "call" | "start" => "call",
            "on_failure" => "failure",
            _ => return,
        };
        let own = cut::get(world.root, "recipe").and_then(cut::text_of).unwrap_or_default();
        let mut found = (world.neighbours)();
        found.retain(|neighbour| neighbour.slug != own);
        found.sort_by(|one, other| {
            (one.from.as_deref() != Some(wanted), &one.slug).cmp(&(other.from.as_deref() != Some(wanted), &other.slug))
        });
        found.dedup_by(|one, other| one.slug == other.slug);
        for Neighbour { slug, title, from } in found {
            let doc = from.map(|from| format!("Its events come from `{from}`."));
            self.add(&slug, CompletionKind::Value, title, doc, slug.as_str());
        }
    }
}
