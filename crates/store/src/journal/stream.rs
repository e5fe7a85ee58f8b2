//! How far a loop over a stream is. What passes did is forgotten page by page, so that a run over millions
//! of items needs no more memory than one over a page.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{Entry, Journal, StepPath};

/// A loop over a stream, after the pages that are done.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Pages that are done.
    pub pages: usize,
    /// Passes made for them.
    pub passes: usize,
    /// How many of these failed.
    pub failed: usize,
    /// How many gave null; `None` when some page does not say.
    pub filtered: Option<usize>,
    /// What they collected.
    pub results: Vec<Json>,
    /// What the next page is asked for with.
    pub next: Option<Json>,
    /// Pages of which something is still needed, with the number of their first pass.
    pub kept: BTreeMap<usize, usize>,
}

impl Default for Stream {
    fn default() -> Self {
        let (results, kept) = (Vec::new(), BTreeMap::new());
        Self { pages: 0, passes: 0, failed: 0, filtered: Some(0), results, next: None, kept }
    }
}

/// The path of the call that fetches a page.
#[must_use]
pub fn page_path(path: &str, page: usize) -> StepPath {
    format!("{path}.pages[{page}]").into()
}

/// The path of the file that a loop's results are written into.
#[must_use]
pub fn file_path(path: &str) -> StepPath {
    format!("{path}.file").into()
}

/// The loop whose results are written into the file of this path.
#[must_use]
pub fn filled_by(path: &str) -> Option<&str> {
    path.strip_suffix(".file").filter(|of| !of.ends_with(']'))
}

impl Journal {
    pub(super) fn turn_page(&mut self, entry: &Entry) {
        let Entry::Paged { p, page, first, count, failed, filtered, out, next, gone, .. } = entry else { return };
        let place = |path: &str| pass_of(p, path).filter(|place| (*first..first + count).contains(place));
        // What a person may reopen is still needed.
        let held: BTreeSet<usize> = self.held.iter().chain(&self.late).filter_map(|path| place(path)).collect();
        let keeps_page = !gone || !held.is_empty();
        if *gone {
            let call = page_path(p, *page);
            let stays = |path: &StepPath| match place(path) {
                Some(place) => held.contains(&place),
                None => keeps_page || *path != call,
            };
            self.steps.retain(|path, _| stays(path));
            self.inputs.retain(|path, _| stays(path));
            self.turns.retain(|path, _| stays(path));
            self.began.retain(|path, _| stays(path));
            self.doubts.retain(|path, _| stays(path));
            self.repeated.retain(stays);
            self.reopened.retain(|path, _| stays(path));
            self.caught.retain(|path, _| stays(path));
            self.lived.retain(|path, _| stays(path));
        }
        let stream = self.streams.entry(StepPath::clone(p)).or_default();
        if keeps_page {
            stream.kept.insert(*page, *first);
        }
        stream.pages = page + 1;
        stream.passes = first + count;
        stream.failed += failed;
        stream.filtered = stream.filtered.zip(*filtered).map(|(before, more)| before + more);
        stream.results.extend(out.iter().cloned());
        stream.next.clone_from(next);
    }

    /// A loop is done: its results stand in its output.
    pub(super) fn end_stream(&mut self, path: &StepPath) {
        match self.streams.get_mut(path) {
            Some(stream) if !stream.kept.is_empty() => stream.results = Vec::new(),
            _ => drop(self.streams.remove(path)),
        }
    }
}

/// The pass of a loop that a path belongs to.
fn pass_of(path: &str, inner: &str) -> Option<usize> {
    inner.strip_prefix(path)?.strip_prefix('[')?.split_once(']')?.0.parse().ok()
}
