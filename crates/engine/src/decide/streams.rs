//! Loops over streams: one page after the other, each fetched when the one before is done.

use std::sync::Arc;

use connector::ErrorClass;
use formula::Shared;
use serde_json::{Value as Json, json};
use store::{Entry, ErrorRecord, StepPath, StepState, Stream, file_path, page_path};

use super::{
    EACH_ITEMS_MAX, Flow, LoopState, PageOf, Stop, Walk, at_path,
    blocks::{gave_nothing, in_batches, lost},
    internal,
};
use crate::{
    frame::Frame,
    program::{DoStep, Each},
};

impl Walk<'_> {
    pub(super) fn stream(&mut self, each: &Each, step: &Arc<DoStep>, path: &StepPath, frame: &mut Frame) -> Flow {
        loop {
            let known = self.state.journal.streams.get(path);
            let (page, first) = known.map_or((0, 0), |known| (known.pages, known.passes));
            if page > 0 && known.is_some_and(|known| known.next.is_none()) {
                return self.stream_over(each, path, frame);
            }
            if !self.state.loops.contains_key(path) {
                match self.page(each, step, page, path, frame) {
                    Ok(Some(items)) => drop(self.state.loops.insert(Arc::clone(path), LoopState::over(items))),
                    // The step that would have begun the stream was left out.
                    Ok(None) => return self.stream_over(each, path, frame),
                    Err(flow) => return flow,
                }
            }
            if let Some(flow) = self.passes(each, first, path, frame) {
                return flow;
            }
            if let Err(error) = self.turn_page(each, page, first, path) {
                return self.fail(path, error);
            }
        }
    }

    /// The items of a page; `None` when there is no stream at all.
    fn page(
        &mut self,
        each: &Each,
        step: &Arc<DoStep>,
        page: usize,
        path: &StepPath,
        frame: &Frame,
    ) -> Result<Option<Vec<Shared>>, Flow> {
        let own = page_path(path, page);
        let known = self.state.journal.steps.get(&own).cloned();
        match &known {
            Some(StepState::Succeeded { output }) if !output["items"].is_array() => {
                Err(self.fail(path, internal(&format!("the items of {own} are not there"))))
            }
            Some(StepState::Succeeded { .. }) => Ok(Some(self.items_of(each, &own))),
            Some(StepState::Failed { error, .. }) => Err(Flow::Stop(Stop::Failed(at_path(error.clone(), &own)))),
            Some(StepState::Uncertain { error, .. }) => Err(Flow::Stop(Stop::Doubt(at_path(error.clone(), &own)))),
            _ => {
                let input = each.items.eval_shared(&frame.frozen_scope());
                if matches!(input.as_deref(), Ok(Json::Null)) {
                    return Ok(None);
                }
                let cursor = self.state.journal.streams.get(path).and_then(|known| known.next.clone());
                Err(self.call(step, known.as_ref(), &own, Some(PageOf { cursor }), |_| input))
            }
        }
    }

    fn items_of(&self, each: &Each, page: &StepPath) -> Vec<Shared> {
        let Some(StepState::Succeeded { output }) = self.state.journal.steps.get(page) else { return Vec::new() };
        Shared::whole(Arc::clone(output)).field("items").map(|items| in_batches(each, &items)).unwrap_or_default()
    }

    /// The page at hand is done: what its passes did need not be known any more.
    pub(super) fn turn_page(&mut self, each: &Each, page: usize, first: usize, path: &StepPath) -> Result<(), Box<ErrorRecord>> {
        let LoopState { items, results, failed, .. } = self.state.loops.remove(path).unwrap_or_default();
        let results: Vec<Arc<Json>> = results.into_iter().flatten().collect();
        let count = items.len();
        if results.len() != count {
            return Err(lost(count, results.len()));
        }
        let filtered = Some(gave_nothing(&results, failed));
        let total = first + count;
        let collects = each.collect.is_some() && each.file.is_none();
        let collected = self.state.journal.streams.get(path).map_or(0, |known| known.results.len());
        if collects && collected + count > EACH_ITEMS_MAX {
            return Err(too_many("collects", total, "Write what passes give into a file, with `file`"));
        }
        if each.keeps && total > EACH_ITEMS_MAX {
            return Err(too_many("can take back or save", total, "Move the `undo` or the `save` out of the loop"));
        }
        let held = self.state.journal.held.iter().filter(|held| held.starts_with(&format!("{path}["))).count();
        if held > EACH_ITEMS_MAX {
            return Err(too_many("keeps for you when they fail", total, "Find out why so many fail"));
        }
        let next = match self.state.journal.steps.get(&page_path(path, page)) {
            Some(StepState::Succeeded { output }) => Some(output["next"].clone()).filter(|next| !next.is_null()),
            _ => None,
        };
        let (out, rows) = match &each.file {
            // What the last step of each pass gave stands in the journal.
            Some(file) if file.takes_last_step() => (Vec::new(), None),
            Some(_) => {
                let rows = results.into_iter().filter(|row| !row.is_null()).map(Arc::unwrap_or_clone).collect();
                (Vec::new(), Some(Arc::new(Json::Array(rows))))
            }
            None if collects => (results.into_iter().map(Arc::unwrap_or_clone).collect(), None),
            None => (Vec::new(), None),
        };
        // What a list's passes did stays: it is looked at again with the list at hand.
        let (p, at, gone) = (Arc::clone(path), self.now, !each.keeps && each.stream.is_some());
        self.push(Entry::Paged { p, at, page, first, count, failed, filtered, out, rows, next, gone });
        Ok(())
    }

    /// All pages are done; a list that goes into a file is one page.
    pub(super) fn stream_over(&mut self, each: &Each, path: &StepPath, frame: &mut Frame) -> Flow {
        let output = match &each.file {
            Some(file) => match self.results_file(file, path, frame) {
                Ok(output) => output,
                Err(flow) => return flow,
            },
            None => Arc::new(match self.state.journal.streams.get(path) {
                Some(known) => json!({
                    "results": known.results, "total": known.passes, "failed": known.failed, "filtered": known.filtered
                }),
                None => json!({ "results": [], "total": 0, "failed": 0, "filtered": 0 }),
            }),
        };
        self.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::clone(&output) });
        self.late_passes(each, path, frame).unwrap_or(Flow::Done(output))
    }

    /// Writes what the passes gave into a file, as a call with a path of its own: the loop may have a time limit,
    /// which stands in the journal on the loop's.
    fn results_file(&mut self, file: &Arc<DoStep>, path: &StepPath, frame: &Frame) -> Result<Arc<Json>, Flow> {
        let own = file_path(path);
        let known = self.state.journal.steps.get(&own).cloned();
        match &known {
            Some(StepState::Succeeded { output }) => return Ok(Arc::clone(output)),
            Some(StepState::Failed { error, .. }) => return Err(Flow::Stop(Stop::Failed(at_path(error.clone(), &own)))),
            _ => {}
        }
        let counted = |known: &Stream| (known.passes, known.failed, known.filtered);
        let (total, failed, filtered) = self.state.journal.streams.get(path).map_or((0, 0, Some(0)), counted);
        let frozen = frame.frozen_scope();
        Err(self.call(file, known.as_ref(), &own, None, |file| {
            let name = file.with.eval(&frozen)?;
            Ok(Arc::new(json!({ "file": name, "total": total, "failed": failed, "filtered": filtered })))
        }))
    }

    /// The items of the pages that are not forgotten, with the numbers of their passes.
    pub(super) fn items_kept(&self, each: &Each, path: &StepPath) -> Vec<(usize, Shared)> {
        let known = self.state.journal.streams.get(path);
        let (pages, passes) = known.map_or((0, 0), |known| (known.pages, known.passes));
        let kept = known.into_iter().flat_map(|known| known.kept.iter().map(|(page, first)| (*page, *first)));
        let items = |(page, first): (usize, usize)| {
            let items = self.items_of(each, &page_path(path, page));
            items.into_iter().enumerate().map(move |(place, item)| (first + place, item)).collect::<Vec<_>>()
        };
        kept.chain(std::iter::once((pages, passes))).flat_map(items).collect()
    }
}

fn too_many(what: &str, passes: usize, next: &str) -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: ErrorClass::Recipe.as_str().to_owned(),
        code: "TOO_MANY_ITEMS".to_owned(),
        message: format!("After {passes} passes there is more than the {EACH_ITEMS_MAX} items that one loop {what}."),
        next: Some(format!("{next}. Then replay the event.")),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    })
}
