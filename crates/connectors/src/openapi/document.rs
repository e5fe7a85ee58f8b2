//! A description, and what its references mean.

use serde_json::Value as Json;

/// References followed one after the other.
const HOPS_MAX: usize = 20;

pub(super) struct Document<'d> {
    pub(super) root: &'d Json,
}

impl<'d> Document<'d> {
    pub(super) const fn new(root: &'d Json) -> Self {
        Self { root }
    }

    /// Paths with what they hold, in the order of the text.
    pub(super) fn paths(&self) -> Vec<(String, &'d Json)> {
        let paths = self.root.get("paths").and_then(Json::as_object);
        paths
            .into_iter()
            .flatten()
            .filter(|(path, _)| path.starts_with('/'))
            .map(|(path, item)| (path.clone(), self.meant(item)))
            .collect()
    }

    /// What a value stands for: itself, or what it refers to. A reference that leads nowhere stands for itself.
    pub(super) fn meant(&self, value: &'d Json) -> &'d Json {
        let mut value = value;
        for _ in 0..HOPS_MAX {
            match value.get("$ref").and_then(Json::as_str).and_then(|target| self.target(target)) {
                Some(found) => value = found,
                None => break,
            }
        }
        value
    }

    /// What a reference within the text leads to.
    pub(super) fn target(&self, reference: &str) -> Option<&'d Json> {
        let pointer = reference.strip_prefix('#')?;
        let decoded = percent_encoding::percent_decode_str(pointer).decode_utf8().ok()?;
        self.root.pointer(&decoded).or_else(|| {
            // Descriptions that were cut out of larger ones have their schemas at the top.
            self.root.pointer(decoded.strip_prefix("/components")?)
        })
    }
}
