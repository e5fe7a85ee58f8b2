//! Steps that hold steps: choices, loops, branches side by side, and what may fail.

use std::sync::Arc;

use connector::ErrorClass;
use formula::{Expression, Shared};
use serde_json::{Map, Value as Json, json};
use store::{Entry, ErrorRecord, StepPath, StepState, Timestamp, WaitingFor};

use super::{EACH_ITEMS_MAX, Flow, LoopState, REPEAT_TURNS_MAX, Stop, Walk, at_path, internal, steps::Outputs};
use crate::{
    frame::{Frame, error_json},
    program::{Each, Kind, Repeat, Step},
    template::formula_failed,
};

type Branches = [(Option<Expression>, Vec<Step>)];

impl Walk<'_> {
    pub(super) fn choose(&mut self, branches: &Branches, path: &StepPath, frame: &mut Frame) -> Flow {
        let mut chosen = Json::Null;
        for (place, (when, _)) in branches.iter().enumerate() {
            match when.as_ref().map(|when| when.eval_bool(frame.scope())) {
                None => chosen = Json::from("otherwise"),
                Some(Ok(true)) => chosen = Json::from(place + 1),
                Some(Ok(false)) => continue,
                Some(Err(error)) => {
                    return self.fail(path, formula_failed(&error, &format!("The condition of branch {}", place + 1)));
                }
            }
            break;
        }
        let output = Arc::new(json!({ "branch": chosen }));
        self.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::clone(&output) });
        self.branch(branches, &output, path, frame)
    }

    pub(super) fn branch(&mut self, branches: &Branches, output: &Arc<Json>, path: &StepPath, frame: &mut Frame) -> Flow {
        if output["branch"].is_null() {
            return Flow::Done(Arc::clone(output));
        }
        let Some(steps) = chosen(branches, output) else {
            return Flow::Stop(Stop::Failed(at_path(internal("the journal names a branch the recipe does not have"), path)));
        };
        // Steps of a branch are named like their neighbours: only loop passes nest.
        match self.block(steps, frame, frame.prefix().to_string().as_str()) {
            Flow::Done(_) => Flow::Done(Arc::clone(output)),
            other => other,
        }
    }

    pub(super) fn each(&mut self, each: &Each, path: &StepPath, frame: &mut Frame) -> Flow {
        if let Some(error) = self.state.loops.get(path).and_then(|state| state.broken.clone()) {
            return self.broken(error, each, path, frame);
        }
        match &each.stream {
            Some(stream) => self.stream(each, stream, path, frame),
            None => self.list(each, path, frame),
        }
    }

    fn list(&mut self, each: &Each, path: &StepPath, frame: &mut Frame) -> Flow {
        if self.state.journal.streams.contains_key(path) {
            return self.stream_over(each, path, frame);
        }
        if !self.state.loops.contains_key(path) {
            let list = match each.items.eval_shared(&frame.frozen_scope()) {
                Ok(list) => list,
                Err(error) => return self.fail(path, formula_failed(&error, "The list of this step")),
            };
            match list.as_array() {
                Some(items) if items.len() <= EACH_ITEMS_MAX => {}
                Some(items) => return self.fail(path, too_many(items.len())),
                None => return self.fail(path, not_a_list(&list)),
            }
            self.state.loops.insert(Arc::clone(path), LoopState::over(in_batches(each, &list.into())));
        }
        if let Some(flow) = self.passes(each, 0, path, frame) {
            return flow;
        }
        if each.file.is_some() {
            return match self.turn_page(each, 0, 0, path) {
                Ok(()) => self.stream_over(each, path, frame),
                Err(error) => self.fail(path, error),
            };
        }
        let LoopState { items, results, failed, .. } = self.state.loops.remove(path).unwrap_or_default();
        let results: Vec<Arc<Json>> = results.into_iter().flatten().collect();
        if results.len() != items.len() {
            return self.fail(path, lost(items.len(), results.len()));
        }
        let filtered = gave_nothing(&results, failed);
        let results: Vec<Json> = results.into_iter().map(Arc::unwrap_or_clone).collect();
        let output = Arc::new(json!({ "results": results, "total": items.len(), "failed": failed, "filtered": filtered }));
        self.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::clone(&output) });
        self.late_passes(each, path, frame).unwrap_or(Flow::Done(output))
    }

    /// The passes over the items at hand, of which `first` is the number of the first; `None` once all are over.
    pub(super) fn passes(&mut self, each: &Each, first: usize, path: &StepPath, frame: &mut Frame) -> Option<Flow> {
        let mut open = 0;
        let mut place = self.state.loops.get(path).map_or(0, |state| state.done);
        while open < each.parallel {
            let Some(state) = self.state.loops.get(path) else { return Some(Flow::Blocked) };
            let items = Arc::clone(&state.items);
            let Some(item) = items.get(place) else { break };
            if state.results.get(place).is_some_and(Option::is_none) {
                match self.pass(each, item, first + place, path, frame) {
                    Ok(Some(result)) => self.pass_done(path, place, result),
                    Ok(None) => open += 1,
                    Err(Flow::Stop(Stop::Failed(error))) => return Some(self.broken(error, each, path, frame)),
                    Err(stop) => return Some(stop),
                }
            }
            place += 1;
        }
        let over = self.state.loops.get(path).is_none_or(|state| state.done == state.results.len());
        (!over).then_some(Flow::Blocked)
    }

    /// A pass failed and so does the loop, as soon as what other passes have under way is over.
    fn broken(&mut self, error: Box<ErrorRecord>, each: &Each, path: &StepPath, frame: &mut Frame) -> Flow {
        if let Some(state) = self.state.loops.get_mut(path) {
            state.broken.get_or_insert_with(|| error.clone());
        }
        match self.look(|walk| walk.look_at_passes(each, path, frame)) {
            (doubt @ Flow::Stop(Stop::Doubt(_)), _) => doubt,
            (_, true) => Flow::Blocked,
            (_, false) => Flow::Stop(Stop::Failed(error)),
        }
    }

    /// One pass: what it gives, `None` while it is under way.
    pub(super) fn pass(
        &mut self,
        each: &Each,
        item: &Shared,
        place: usize,
        path: &StepPath,
        frame: &Frame,
    ) -> Result<Option<Arc<Json>>, Flow> {
        let prefix = format!("{path}[{place}]");
        if self.state.journal.caught.contains_key(prefix.as_str()) {
            self.pass_failed(path);
            return Ok(Some(Arc::default()));
        }
        let mut inner = frame.pass(&each.binding, item, place, &prefix);
        inner.announce(&each.steps);
        let err = match self.block(&each.steps, &mut inner, &prefix) {
            Flow::Done(last) => match each.collect.as_ref().map(|collect| collect.eval_shared(inner.scope())) {
                None => return Ok(Some(last)),
                Some(Ok(result)) => return Ok(Some(result)),
                Some(Err(error)) => at_path(formula_failed(&error, &format!("What pass {place} collects")), path),
            },
            Flow::Blocked => return Ok(None),
            Flow::Stop(Stop::Failed(error)) => error,
            stop @ Flow::Stop(_) => return Err(stop),
        };
        if each.stops {
            return Err(Flow::Stop(Stop::Failed(err)));
        }
        self.push(Entry::Caught { p: prefix.into(), at: self.now, err, out: None, held: each.holds });
        self.pass_failed(path);
        Ok(Some(Arc::default()))
    }

    fn pass_failed(&mut self, path: &StepPath) {
        if let Some(state) = self.state.loops.get_mut(path) {
            state.failed += 1;
        }
    }

    fn pass_done(&mut self, path: &StepPath, place: usize, result: Arc<Json>) {
        if let Some(state) = self.state.loops.get_mut(path) {
            state.results[place] = Some(result);
            while state.results.get(state.done).is_some_and(Option::is_some) {
                state.done += 1;
            }
        }
    }

    pub(super) fn repeat(&mut self, repeat: &Repeat, path: &StepPath, frame: &mut Frame) -> Flow {
        loop {
            let state = self.state.loops.entry(Arc::clone(path)).or_default();
            let turn = state.done;
            let prefix = format!("{path}[{turn}]");
            let own: StepPath = prefix.as_str().into();
            let mut inner = frame.turn(turn, &prefix);
            inner.announce(&repeat.steps);
            let last = match self.block(&repeat.steps, &mut inner, &prefix) {
                Flow::Done(last) => last,
                other => return other,
            };
            // Judged once: on replay the journal says how.
            let judged = match self.state.journal.steps.get(&own) {
                Some(StepState::Succeeded { output }) => Arc::clone(output),
                _ => match self.judge(repeat, turn, &own, &inner) {
                    Ok(judged) => judged,
                    Err(flow) => return flow,
                },
            };
            if judged["done"] == true {
                self.state.loops.remove(path);
                let output = Arc::new(json!({ "turns": turn + 1, "last": *last }));
                self.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::clone(&output) });
                return Flow::Done(output);
            }
            if turn + 1 >= repeat.max.unwrap_or(REPEAT_TURNS_MAX) {
                return self.fail(path, never_held(turn + 1));
            }
            let next = Timestamp::from_micros(judged["next_us"].as_i64().unwrap_or_default());
            if next > self.now {
                self.wake_at(next, WaitingFor::Timer);
                return Flow::Blocked;
            }
            if let Some(state) = self.state.loops.get_mut(path) {
                state.done += 1;
            }
        }
    }

    /// Whether the loop is over after this turn, and if not when the next begins.
    fn judge(&mut self, repeat: &Repeat, turn: usize, own: &StepPath, inner: &Frame) -> Result<Arc<Json>, Flow> {
        let done = match &repeat.until {
            Some(until) => until
                .eval_bool(inner.scope())
                .map_err(|error| self.fail(own, formula_failed(&error, "The condition that ends this loop")))?,
            None => repeat.max.is_some_and(|max| turn + 1 >= max),
        };
        let judged = match done {
            true => json!({ "done": true }),
            false => json!({ "done": false, "next_us": self.now.after(repeat.wait).micros() }),
        };
        let out = Arc::new(judged);
        self.push(Entry::Computed { p: Arc::clone(own), at: self.now, out: Arc::clone(&out) });
        Ok(out)
    }

    /// The items whose passes may have done something, with their numbers.
    pub(super) fn items_known(&self, each: &Each, path: &StepPath, frame: &Frame) -> Vec<(usize, Shared)> {
        if each.stream.is_some() {
            return self.items_kept(each, path);
        }
        match each.items.eval_shared(&frame.frozen_scope()) {
            Ok(list) => in_batches(each, &list.into()).into_iter().enumerate().collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Looks at what passes did: only a doubt is news.
    pub(super) fn look_at_passes(&mut self, each: &Each, path: &StepPath, frame: &mut Frame) -> Flow {
        let items = self.items_known(each, path, frame);
        if self.late.is_some() {
            return self.look_for_late(each, &items, path, frame);
        }
        let mut open = 0;
        for (place, item) in &items {
            let prefix = format!("{path}[{place}]");
            match self.block(&each.steps, &mut frame.pass(&each.binding, item, *place, &prefix), &prefix) {
                doubt @ Flow::Stop(Stop::Doubt(_)) => return doubt,
                Flow::Blocked => open += 1,
                _ => {}
            }
            // Passes begin in order, so the others never began.
            if open > each.parallel {
                break;
            }
        }
        Flow::Blocked
    }

    /// Looks at what turns did: only a doubt is news.
    pub(super) fn look_at_turns(&mut self, repeat: &Repeat, path: &StepPath, frame: &mut Frame) -> Flow {
        for turn in 0..repeat.max.unwrap_or(REPEAT_TURNS_MAX) {
            let prefix = format!("{path}[{turn}]");
            if let doubt @ Flow::Stop(Stop::Doubt(_)) = self.block(&repeat.steps, &mut frame.turn(turn, &prefix), &prefix) {
                return doubt;
            }
            if !self.state.journal.steps.contains_key(prefix.as_str()) {
                break;
            }
        }
        Flow::Blocked
    }

    /// Looks at what branches did: only a doubt is news.
    pub(super) fn look_at_branches(&mut self, branches: &[(Arc<str>, Vec<Step>)], frame: &mut Frame) -> Flow {
        let prefix = frame.prefix().to_string();
        for (_, steps) in branches {
            if let doubt @ Flow::Stop(Stop::Doubt(_)) = self.block(steps, &mut frame.side(), &prefix) {
                return doubt;
            }
        }
        Flow::Blocked
    }

    pub(super) fn parallel(
        &mut self,
        branches: &[(Arc<str>, Vec<Step>)],
        needed: usize,
        path: &StepPath,
        frame: &mut Frame,
    ) -> Flow {
        let prefix = frame.prefix().to_string();
        // Those that the journal knows to be over come first: when they are enough, nothing more is begun in the others,
        // wherever they stand in the list.
        let mut order: Vec<usize> = (0..branches.len()).collect();
        if needed < branches.len() {
            order.sort_by_key(|place| !self.is_over(&branches[*place].1, &prefix));
        }
        let (mut done, mut blocked, mut failure, mut last) = (0, false, None, 0);
        let mut given: Vec<Option<Outputs>> = branches.iter().map(|_| None).collect();
        for place in order {
            let outputs = given[place].insert(Outputs::new());
            match self.block_with(&branches[place].1, &mut frame.side(), &prefix, Some(outputs)) {
                Flow::Done(_) => done += 1,
                Flow::Blocked => blocked = true,
                // The others go on to their end: what they began is not left half done.
                Flow::Stop(Stop::Failed(error)) => failure = failure.or(Some(error)),
                stop @ Flow::Stop(_) => return stop,
            }
            last = last.max(place);
            if done >= needed {
                // What the others may have done is shown, not hidden.
                if let (doubt @ Flow::Stop(Stop::Doubt(_)), _) = self.look(|walk| walk.look_at_branches(branches, frame)) {
                    return doubt;
                }
                let output = self.given_by(&branches[..=last], given, frame, &prefix);
                self.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::clone(&output) });
                return Flow::Done(output);
            }
        }
        match failure {
            Some(error) if !blocked => {
                frame.see_branches(branches, None, &self.state.journal);
                Flow::Stop(Stop::Failed(error))
            }
            _ => Flow::Blocked,
        }
    }

    /// Whether a block came to its end as far as the journal knows, or has nothing left to do but to reckon.
    fn is_over(&self, steps: &[Step], prefix: &str) -> bool {
        let journal = &self.state.journal;
        for step in steps.iter().rev() {
            let path = if prefix.is_empty() { step.id.to_string() } else { format!("{prefix}.{}", step.id) };
            let (known, caught) = (journal.steps.get(path.as_str()), journal.caught.get(path.as_str()));
            match (&step.kind, known) {
                (_, Some(StepState::Skipped)) => return true,
                // What was chosen is known before its steps are done.
                (Kind::Choose(branches), Some(StepState::Succeeded { output, .. })) => {
                    return chosen(branches, output).is_none_or(|steps| self.is_over(steps, prefix));
                }
                (_, Some(StepState::Succeeded { .. })) => return true,
                (_, Some(StepState::Failed { .. })) => return step.rescue.is_some(),
                (Kind::Try { steps, catch, finally }, _) => {
                    let tried = if caught.is_some() { catch.as_ref() } else { Some(steps) };
                    if !self.is_over(finally, prefix) || !tried.is_none_or(|steps| self.is_over(steps, prefix)) {
                        return false;
                    }
                    // Nothing left in it but to reckon says nothing of the steps before it.
                }
                _ if matches!(caught, Some((_, Some(_)))) => return true,
                (Kind::Set(_) | Kind::Script(_) | Kind::Save(_), _) => {}
                (Kind::Choose(branches), _) if branches.iter().all(|(_, steps)| self.is_over(steps, prefix)) => {}
                _ => return false,
            }
        }
        true
    }

    /// What branches gave, by name: those that were not walked, what they gave until now.
    fn given_by(
        &mut self,
        branches: &[(Arc<str>, Vec<Step>)],
        given: Vec<Option<Outputs>>,
        frame: &Frame,
        prefix: &str,
    ) -> Arc<Json> {
        let mut all = Map::new();
        for ((name, steps), given) in branches.iter().zip(given) {
            let outputs = given.unwrap_or_else(|| {
                let mut outputs = Outputs::new();
                self.look(|walk| walk.block_with(steps, &mut frame.side(), prefix, Some(&mut outputs)));
                outputs
            });
            let outputs = outputs.into_iter().map(|(id, output)| (id.to_string(), Json::clone(&output)));
            all.insert(name.to_string(), Json::Object(outputs.collect()));
        }
        Arc::new(Json::Object(all))
    }

    pub(super) fn r#try(&mut self, step: &Step, path: &StepPath, frame: &mut Frame) -> Flow {
        let Kind::Try { steps, catch, finally } = &step.kind else { return Flow::Blocked };
        let prefix = frame.prefix().to_string();
        let caught = self.state.journal.caught.get(path).map(|(error, _)| error.clone());
        let tried = match caught {
            // Walked again only for what its finished steps gave.
            Some(error) => match self.look(|walk| walk.block(steps, frame, &prefix)) {
                (doubt @ Flow::Stop(Stop::Doubt(_)), _) => doubt,
                _ => Flow::Stop(Stop::Failed(error)),
            },
            None => self.bounded(step, path, frame, |walk, frame| walk.block(steps, frame, &prefix)),
        };
        let (flow, outcome) = match (tried, catch) {
            (Flow::Blocked, _) => return Flow::Blocked,
            (Flow::Stop(Stop::Failed(error)), Some(catch)) => {
                if !self.state.journal.caught.contains_key(path) {
                    self.push(Entry::Caught { p: Arc::clone(path), at: self.now, err: error.clone(), out: None, held: false });
                }
                let outer = frame.set_error(Some(Arc::new(error_json(&error))));
                let flow = self.block(catch, frame, &prefix);
                frame.set_error(outer);
                (led_to(&error, flow), "caught")
            }
            (tried, _) => (tried, "succeeded"),
        };
        if matches!(flow, Flow::Blocked) {
            return Flow::Blocked;
        }
        // A doubt is for a person first; what is finally done comes when the run goes on.
        if !matches!(flow, Flow::Stop(Stop::Doubt(_))) {
            match self.block(finally, frame, &prefix) {
                Flow::Done(_) => {}
                other => {
                    return match &flow {
                        Flow::Stop(Stop::Failed(error)) => led_to(error, other),
                        _ => other,
                    };
                }
            }
        }
        match flow {
            Flow::Done(_) => {
                let output = Arc::new(json!({ "outcome": outcome }));
                if !matches!(self.state.journal.steps.get(path), Some(StepState::Succeeded { .. })) {
                    self.push(Entry::Computed { p: Arc::clone(path), at: self.now, out: Arc::clone(&output) });
                }
                Flow::Done(output)
            }
            other => other,
        }
    }
}

impl LoopState {
    pub(super) fn over(items: Vec<Shared>) -> Self {
        let results = vec![None; items.len()];
        Self { items: Arc::new(items), results, ..Self::default() }
    }
}

/// What went in came out: every pass gives something or fails.
pub(super) fn lost(went_in: usize, came_out: usize) -> Box<ErrorRecord> {
    internal(&format!("{went_in} items went into a loop and {came_out} came out"))
}

/// How many passes gave null without having failed.
pub(super) fn gave_nothing(results: &[Arc<Json>], failed: usize) -> usize {
    results.iter().filter(|result| result.is_null()).count().saturating_sub(failed)
}

/// A failure names the one it came after.
fn led_to(first: &ErrorRecord, flow: Flow) -> Flow {
    match flow {
        Flow::Stop(Stop::Failed(error)) => Flow::Stop(Stop::Failed(Box::new(error.caused_by(first, None)))),
        other => other,
    }
}

/// The steps of the branch a choice names, if it names one that is there.
fn chosen<'b>(branches: &'b Branches, output: &Json) -> Option<&'b [Step]> {
    let branch = match &output["branch"] {
        Json::Number(number) => number
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .and_then(|number| branches.get(number.checked_sub(1)?)),
        Json::String(_) => branches.iter().find(|(when, _)| when.is_none()),
        _ => None,
    };
    branch.map(|(_, steps)| &**steps)
}

/// What the passes of a loop are given.
pub(super) fn in_batches(each: &Each, list: &Shared) -> Vec<Shared> {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    match each.batch {
        Some(size) => items.chunks(size.max(1)).map(|batch| Json::Array(batch.to_vec()).into()).collect(),
        // No copy: a page may be large.
        None => (0..items.len()).filter_map(|place| list.item(i64::try_from(place).ok()?)).collect(),
    }
}

fn never_held(turns: usize) -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: ErrorClass::Recipe.as_str().to_owned(),
        code: "TOO_MANY_TURNS".to_owned(),
        message: format!("After {turns} turns the condition that ends this loop does not hold yet."),
        next: Some("Find out what the loop waits for, or raise `max`. Then resume the run.".to_owned()),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    })
}

fn not_a_list(value: &Json) -> Box<ErrorRecord> {
    let kind = match value {
        Json::Null => "null",
        Json::Object(_) => "a record",
        Json::String(_) => "text",
        Json::Number(_) => "a number",
        _ => "a boolean",
    };
    Box::new(ErrorRecord {
        class: ErrorClass::Recipe.as_str().to_owned(),
        code: "NOT_A_LIST".to_owned(),
        message: format!("This step walks a list, but was given {kind}."),
        next: Some("Give it a list; for a value that may be missing write `?? []`. Then resume the run.".to_owned()),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    })
}

fn too_many(items: usize) -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: ErrorClass::Recipe.as_str().to_owned(),
        code: "TOO_MANY_ITEMS".to_owned(),
        message: format!("This step was given {items} items; one loop walks at most {EACH_ITEMS_MAX}."),
        next: Some("Fetch smaller pages or filter the list before this step. Then resume the run.".to_owned()),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    })
}
