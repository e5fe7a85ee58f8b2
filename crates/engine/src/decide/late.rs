//! Failed passes of loops that are done, which a person lets try again.

use std::collections::BTreeSet;

use formula::Shared;
use store::{Entry, StepPath};

use super::{Flow, Walk};
use crate::{
    frame::Frame,
    program::{Each, Step},
};

impl Walk<'_> {
    /// Goes on with the late passes inside a loop or beside branches that are done, however deep; `None`
    /// when there are none, or all are over. Nothing else in there is begun.
    pub(super) fn late_inside(&mut self, step: &Step, path: &StepPath, frame: &Frame) -> Option<Flow> {
        if self.looking || self.state.journal.late.is_empty() {
            return None;
        }
        let before = self.late.replace(Late::default());
        let (flow, _) = self.look(|walk| walk.holder(step, path, &mut frame.side()));
        let found = std::mem::replace(&mut self.late, before).unwrap_or_default();
        match flow {
            stop @ Flow::Stop(_) => Some(stop),
            _ => found.stopped.or_else(|| found.open.then_some(Flow::Blocked)),
        }
    }

    /// Looks for late passes in the passes of a loop.
    pub(super) fn look_for_late(&mut self, each: &Each, items: &[(usize, Shared)], path: &StepPath, frame: &mut Frame) -> Flow {
        if each.holds {
            let flow = self.as_usual(|walk| walk.late_passes(each, path, frame));
            self.note_late(flow);
        }
        let prefix = format!("{path}[");
        let deeper = |late: &StepPath| late.strip_prefix(&*prefix)?.split_once("].")?.0.parse::<usize>().ok();
        let places: BTreeSet<usize> = self.state.journal.late.iter().filter_map(deeper).collect();
        for (place, item) in items.iter().filter(|(place, _)| places.contains(place)) {
            // A pass that is late itself has gone through what is in it.
            let prefix = format!("{path}[{place}]");
            if !self.state.journal.late.contains(&*prefix) {
                let flow = self.block(&each.steps, &mut frame.pass(&each.binding, item, *place, &prefix), &prefix);
                self.note_late(match flow {
                    stop @ Flow::Stop(_) => Some(stop),
                    _ => None,
                });
            }
        }
        Flow::Blocked
    }

    fn note_late(&mut self, flow: Option<Flow>) {
        let Some(late) = &mut self.late else { return };
        match flow {
            Some(Flow::Blocked) => late.open = true,
            Some(stop @ Flow::Stop(super::Stop::Doubt(_) | super::Stop::Returned(_))) => late.stopped = Some(stop),
            // How a pass failed is known; what is in it is looked for all the same.
            _ => {}
        }
    }

    /// Each late pass of a loop gets another chance before the run goes on.
    pub(super) fn late_passes(&mut self, each: &Each, path: &StepPath, frame: &mut Frame) -> Option<Flow> {
        let prefix = format!("{path}[");
        let place = |late: &StepPath| late.strip_prefix(&*prefix)?.strip_suffix(']')?.parse::<usize>().ok();
        let places: BTreeSet<usize> = self.state.journal.late.iter().filter_map(place).collect();
        if places.is_empty() {
            return None;
        }
        let items = self.items_known(each, path, frame);
        let mut open = 0;
        for place in places {
            let Some((_, item)) = items.iter().find(|(known, _)| *known == place) else { continue };
            match self.pass(each, item, place, path, frame) {
                Ok(Some(result)) if !self.state.journal.held.contains(&*format!("{path}[{place}]")) => {
                    let own = format!("{path}[{place}]").into();
                    self.push(Entry::Computed { p: own, at: self.now, out: result });
                }
                Ok(Some(_)) => {}
                Ok(None) => open += 1,
                Err(stop) => return Some(stop),
            }
            if open >= each.parallel {
                break;
            }
        }
        (open > 0).then_some(Flow::Blocked)
    }
}

/// What a look for late passes found.
#[derive(Default)]
pub(super) struct Late {
    /// Some are not over.
    open: bool,
    /// The run ends with one of them, or stands because of it.
    stopped: Option<Flow>,
}
