//! Steps that hold steps.

use crate::ast::{Branch, Each, Expr, Partial, Repeat, Spanned, Step, StepKind, WaitFor};
use crate::codes;
use crate::keys::{self, BRANCH, REPEAT};
use crate::read::{Fields, Reader};
use crate::yaml::{Entry, Kind, Node};

/// The most passes of one loop that go at once.
const PARALLEL_MAX: u32 = 100;

impl<'t> Reader<'t> {
    pub(super) fn each(&mut self, entry: &Entry<'t>, fields: &Fields<'_, 't>) -> Option<StepKind> {
        let items = self.list_value(entry);
        let binding = fields.get("as").and_then(|entry| self.binding(entry));
        let batch = fields.get("batch").and_then(|entry| self.whole(entry, 1, 10_000));
        let parallel = fields.get("parallel").and_then(|entry| self.whole(entry, 1, PARALLEL_MAX));
        let partial = match fields.get("partial").and_then(|entry| self.choice(entry, keys::PARTIAL)) {
            Some("skip") => Partial::Skip,
            Some("dead_letter") => Partial::DeadLetter,
            _ => Partial::Stop,
        };
        let collect = fields.get("collect").map(|entry| self.value(&entry.value));
        let file = fields.get("file").map(|entry| self.value(&entry.value));
        let steps = self.block(fields, "steps");
        let binding = binding.unwrap_or_else(|| "item".to_owned());
        Some(StepKind::Each(Box::new(Each { items: items?, binding, batch, parallel, partial, collect, file, steps })))
    }

    fn binding(&mut self, entry: &Entry<'t>) -> Option<String> {
        let name = self.text(entry)?;
        if name.value == "item" {
            return Some(name.value);
        }
        // A malformed name is reported and kept, so that its uses are not reported as well.
        if self.name(&name.value, name.span, "a loop item") {
            self.refuse_reserved(&name.value, name.span);
        }
        Some(name.value)
    }

    pub(super) fn repeat(&mut self, entry: &Entry<'t>, fields: &Fields<'_, 't>) -> Option<StepKind> {
        // Read also when the record is not sound, so that the ids inside are known.
        let steps = self.block(fields, "steps");
        let own = self.fields(&entry.value, &REPEAT)?;
        let until = own.get("until").and_then(|entry| self.decision(entry));
        let wait = own.get("wait").and_then(|entry| self.duration(entry));
        // A malformed limit is still one.
        let max = own.get("max").map(|entry| self.whole(entry, 1, 100_000).unwrap_or(100_000));
        if own.get("until").is_none() && own.get("max").is_none() && !own.unknown {
            let help = "Write `until:` with a formula, `max:` with a number of turns, or both.";
            self.error(codes::NO_END, entry.key_span, "Nothing ends this loop.", help);
        }
        let span = entry.value.span;
        Some(StepKind::Repeat(Box::new(Repeat { until, wait, max, steps, span })))
    }

    pub(super) fn parallel(&mut self, entry: &Entry<'t>, fields: &Fields<'_, 't>) -> Option<StepKind> {
        let Kind::Record(entries) = &entry.value.kind else {
            let help = "Write `name:` with a list of steps below, one name for each branch.";
            self.expected(entry, "names and their lists of steps", help);
            self.leave_out(&entry.value);
            return None;
        };
        let mut branches = Vec::with_capacity(entries.len());
        for entry in entries.iter().filter(|entry| !entry.key.starts_with("x-")) {
            self.name(&entry.key, entry.key_span, "a branch");
            branches.push((Spanned { value: entry.key.to_string(), span: entry.key_span }, self.steps(entry)));
        }
        if branches.is_empty() {
            let help = "Write `name:` with a list of steps below, one name for each branch.";
            self.error(codes::NOTHING_IN_IT, entry.key_span, "\"parallel\" has no branch.", help);
        }
        let wait_for = fields.get("wait_for").and_then(|entry| self.wait_for(entry, branches.len())).unwrap_or_default();
        Some(StepKind::Parallel { branches, wait_for })
    }

    fn wait_for(&mut self, entry: &Entry<'t>, branches: usize) -> Option<WaitFor> {
        match &entry.value.kind {
            Kind::Text(text, _) if text == "all" => Some(WaitFor::All),
            Kind::Text(text, _) if text == "any" => Some(WaitFor::Any),
            Kind::Number(_) => {
                let max = u32::try_from(branches).unwrap_or(u32::MAX).max(1);
                self.whole(entry, 1, max).map(WaitFor::Count)
            }
            _ => {
                self.expected(entry, "all, any or a number of branches", "Write `all`, `any`, or a number.");
                None
            }
        }
    }

    pub(super) fn r#try(&mut self, entry: &Entry<'t>, fields: &Fields<'_, 't>) -> Option<StepKind> {
        let (steps, catch, finally) = (self.steps(entry), self.block(fields, "catch"), self.block(fields, "finally"));
        if fields.get("catch").is_none() && fields.get("finally").is_none() && !fields.unknown {
            let help = "Add `catch:` with the steps that run when one of these fails, or `finally:`.";
            self.error(codes::TRY_ALONE, entry.key_span, "\"try\" stands without \"catch\" and \"finally\".", help);
        }
        Some(StepKind::Try { steps, catch, finally })
    }

    /// The steps below a key of the step, if it has the key.
    fn block(&mut self, fields: &Fields<'_, 't>, name: &str) -> Vec<Step> {
        fields.get(name).map(|entry| self.steps(entry)).unwrap_or_default()
    }

    pub(super) fn choose(&mut self, entry: &Entry<'t>) -> Option<StepKind> {
        let Kind::List(nodes) = &entry.value.kind else {
            self.expected(entry, "a list of branches", "Start each branch with `- when:` on a line of its own.");
            return None;
        };
        if nodes.is_empty() {
            self.error(codes::NOTHING_IN_IT, entry.key_span, "\"choose\" has no branch.", "Add `- when:` with its `steps:`.");
        }
        let branches = nodes.iter().enumerate().filter_map(|(index, node)| self.branch(node, index, nodes.len()));
        Some(StepKind::Choose(branches.collect()))
    }

    fn branch(&mut self, node: &Node<'t>, index: usize, count: usize) -> Option<Branch> {
        let Some(fields) = self.fields(node, &BRANCH) else {
            self.leave_out(node);
            return None;
        };
        let (when, steps, otherwise) = (fields.get("when"), fields.get("steps"), fields.get("otherwise"));
        if let Some(otherwise) = otherwise {
            if when.is_some() || steps.is_some() {
                let help = "Write `otherwise:` with its steps as a branch of its own, at the end.";
                self.error(codes::BRANCH, otherwise.key_span, "\"otherwise\" stands beside \"when\" or \"steps\".", help);
                self.leave_out(node);
                return None;
            }
            if index + 1 < count || index == 0 {
                let (message, help) = if index == 0 {
                    ("\"otherwise\" comes first.", "Put a branch with `when` before it.")
                } else {
                    ("\"otherwise\" is not the last branch.", "Move it to the end; there can be one only.")
                };
                self.error(codes::OTHERWISE, otherwise.key_span, message, help);
            }
            return Some(Branch { when: None, steps: self.steps(otherwise), span: node.span });
        }
        let condition = when.and_then(|entry| self.decision(entry));
        let steps_read = steps.map(|entry| self.steps(entry)).unwrap_or_default();
        for (name, found) in [("when", when), ("steps", steps)] {
            if found.is_none() && !fields.unknown {
                let help = "A branch has `when` and `steps`, or only `otherwise`.";
                self.error(codes::BRANCH, fields.start, format!("This branch has no \"{name}\"."), help);
            }
        }
        // A branch whose condition could not be read must not look like `otherwise`.
        let unread = Expr { source: String::new(), span: fields.start, runs: Vec::new() };
        Some(Branch { when: Some(condition.unwrap_or(unread)), steps: steps_read, span: node.span })
    }
}
