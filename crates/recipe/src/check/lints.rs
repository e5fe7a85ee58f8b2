//! Advice: recipes that can run, but not as their author thinks.

use serde_json::{Map, Value as Json};

use super::{Checker, codes};
use crate::ast::{OnError, Param, Part, Step, StepKind, TriggerSource, Value, ValueKind, walk};
use crate::catalogue::{ActionInfo, Effect};
use crate::diagnostic::{Diagnostic, shown};

/// How the texts of some languages are called by the fields that take them, where the schema does not say.
const STATEMENTS: &[(&str, &str)] =
    &[("sql", "sql"), ("soql", "soql"), ("suiteql", "sql"), ("html", "html"), ("command", "shell"), ("shell", "shell")];
/// Functions that make data harmless inside such a text.
const ESCAPES: &[&str] = &["html_escape(", "soql_escape(", "sql_escape(", "url_encode(", "json("];

impl<'a> Checker<'a> {
    pub(super) fn lints(&mut self) {
        // As long as something is broken, what is unused may only be misspelt.
        let whole = !self.out.has_errors();
        let mut steps = Vec::new();
        walk(&self.recipe.steps, &mut |step| steps.push(step));
        for step in &steps {
            self.step_lints(step);
        }
        if whole {
            self.unused(&steps);
            self.answers();
            self.repeated_events(&steps);
        }
        self.settings_lints();
    }

    /// The action that a step calls, without a word if there is none.
    pub(super) fn known_action(&self, connection: &str, action: &str) -> Option<&'a ActionInfo> {
        let id = self.through.get(connection).copied().unwrap_or(connection);
        let connector = self.catalogue.connectors.iter().find(|c| c.id == id)?;
        connector.actions.iter().find(|info| info.id == action)
    }

    /// What a step's action does when it is repeated, if that is certain.
    fn effect(&self, step: &Step) -> Option<Effect> {
        let StepKind::Do { connection, action, with, .. } = &step.kind else { return None };
        let info = self.known_action(&connection.value, &action.value)?;
        let (literal, complete) = literal_part(with);
        complete.then(|| (info.effect.0)(&literal))
    }

    fn step_lints(&mut self, step: &'a Step) {
        self.blind_retry(step);
        self.calls_nothing(step);
        self.no_effect(step);
        match &step.kind {
            StepKind::Do { connection, action, with, .. } => {
                if let Some(info) = self.known_action(&connection.value, &action.value) {
                    self.spliced(info, with);
                }
            }
            StepKind::Repeat(repeat) if repeat.max.is_none() && repeat.until.is_some() => {
                let message = format!("If its condition never holds, \"{}\" goes on and on.", shown(&step.id.value));
                let diagnostic = Diagnostic::warning(codes::NO_LIMIT, repeat.span, message);
                self.out.push(diagnostic.help("Add `max:` with the most turns that make sense."));
            }
            StepKind::Choose(branches) => {
                let always = branches.iter().position(|b| b.when.as_ref().is_some_and(|when| when.source == "true"));
                let never = branches.iter().filter(|b| b.when.as_ref().is_some_and(|when| when.source == "false"));
                for branch in branches.iter().skip(always.map_or(branches.len(), |at| at + 1)).chain(never) {
                    if let Some(first) = branch.steps.first() {
                        let message = format!("\"{}\" is never reached: its branch is never taken.", shown(&first.id.value));
                        let help = "Change the conditions of the branches, or remove this one.";
                        self.out.push(Diagnostic::warning(codes::UNREACHABLE, first.id.span, message).help(help));
                    }
                }
            }
            StepKind::Try { catch, .. } => self.failure_answers(catch),
            _ => {}
        }
    }

    fn blind_retry(&mut self, step: &'a Step) {
        let Some(retry) = &step.retry else { return };
        let named = retry.on.iter().flatten().any(|class| matches!(class.as_str(), "timeout" | "network"));
        if retry.times > 1 && named && self.effect(step) == Some(Effect::Once) {
            let message = format!(
                "\"{}\" happens again each time it is called, so it is not repeated after a timeout or a lost connection.",
                shown(&step.id.value)
            );
            let help = "Say `idempotent: true` if the other system knows the Idempotency-Key; else leave timeout and network out of `on`.";
            self.out.push(Diagnostic::warning(codes::BLIND_RETRY, step.id.span, message).help(help));
        }
    }

    /// `retry`, `timeout` and `undo` concern calls.
    fn calls_nothing(&mut self, step: &'a Step) {
        let holds = matches!(step.kind, StepKind::Do { .. } | StepKind::Call { .. } | StepKind::Start { .. });
        let timed = holds || !step.blocks().is_empty() || matches!(step.kind, StepKind::Wait(_));
        let stray = [("retry", step.retry.is_some() && !holds), ("timeout", step.timeout.is_some() && !timed)];
        for (key, _) in stray.iter().filter(|(_, stray)| *stray) {
            let word = step.kind.word();
            let message = format!("\"{key}\" says nothing to \"{}\": `{word}` calls no other system.", shown(&step.id.value));
            self.out.push(Diagnostic::warning(codes::NO_CALL, step.id.span, message).help(format!("Remove `{key}`.")));
        }
        if step.undo.is_some() && self.effect(step) == Some(Effect::None) {
            let message = format!("\"{}\" only reads, so there is nothing to undo.", shown(&step.id.value));
            self.out.push(Diagnostic::warning(codes::NO_EFFECT, step.id.span, message).help("Remove `undo`."));
        }
    }

    fn no_effect(&mut self, step: &'a Step) {
        if step.fallback.is_some() && step.on_error == OnError::Continue {
            let message = format!("\"{}\" goes on with its fallback anyway.", shown(&step.id.value));
            self.out.push(Diagnostic::warning(codes::NO_EFFECT, step.id.span, message).help("Remove `on_error`."));
        }
    }

    /// Expressions inside the text of a statement.
    fn spliced(&mut self, info: &ActionInfo, with: &Value) {
        let ValueKind::Record(fields) = &with.kind else { return };
        let properties = info.input.get("properties");
        for (name, value) in fields {
            let ValueKind::Text(parts) = &value.kind else { continue };
            let schema = properties.and_then(|p| p.get(&name.value));
            let syntax = schema.and_then(|schema| schema.get("x-syntax")).and_then(Json::as_str);
            let by_name = || STATEMENTS.iter().find(|(field, _)| *field == name.value).map(|(_, syntax)| *syntax);
            let Some(syntax) = syntax.or_else(by_name) else { continue };
            let bound = properties.and_then(|p| p.get("params")).is_some();
            for part in parts {
                let Part::Expr(expr) = part else { continue };
                if ESCAPES.iter().any(|escape| expr.source.starts_with(escape)) {
                    continue;
                }
                let message = format!("Data written into {} can change what it does.", statement(syntax));
                let help = match (bound, syntax) {
                    (true, _) => "Write a name with a colon, as in `:customer`, and hand the value over in `params`.",
                    (_, "html") => "Write `html_escape(…)` around it.",
                    (_, "soql") => "Write `soql_escape(…)` around it.",
                    _ => "Hand it over as a parameter instead.",
                };
                let diagnostic = if bound {
                    Diagnostic::error(codes::SPLICED, expr.span, message)
                } else {
                    Diagnostic::warning(codes::SPLICED, expr.span, message)
                };
                self.out.push(diagnostic.help(help));
            }
        }
    }

    fn unused(&mut self, steps: &[&'a Step]) {
        let recipe = self.recipe;
        for connection in recipe.connections.iter().filter(|c| !self.used.connections.contains(c.name.value.as_str())) {
            let message = format!("Nothing uses the connection \"{}\".", shown(&connection.name.value));
            let help = "Remove it, or use it in a step.";
            self.out.push(Diagnostic::warning(codes::UNUSED, connection.name.span, message).help(help));
        }
        let unread = |param: &Param, what: &str, help: &str| {
            let message = format!("Nothing reads the {what} \"{}\".", shown(&param.name.value));
            Diagnostic::warning(codes::NEVER_READ, param.name.span, message).help(help)
        };
        for param in recipe.params.iter().filter(|p| !self.used.params.contains(p.name.value.as_str())) {
            self.out.push(unread(param, "parameter", "Remove it, or read it as `params.…`."));
        }
        for param in recipe.state.iter().filter(|p| !self.used.state.contains(p.name.value.as_str())) {
            self.out.push(unread(param, "state", "Remove it, or read it as `state.…`."));
        }
        let reads_everything = self.used.everything;
        for step in steps.iter().filter(|step| !self.used.steps.contains(step.id.value.as_str()) && !reads_everything) {
            let pure = matches!(step.kind, StepKind::Set(_));
            let only_reads = self.effect(step) == Some(Effect::None) && !self.logs(step);
            if (pure || only_reads) && !self.is_last_of_pass(step) {
                let message = format!("Nothing reads what \"{}\" gives.", shown(&step.id.value));
                let help = format!("Read it as `steps.{}`, or remove the step.", step.id.value);
                self.out.push(Diagnostic::warning(codes::NEVER_READ, step.id.span, message).help(help));
            }
        }
    }

    /// Writing a line is what the step is for, whoever reads its output.
    fn logs(&self, step: &Step) -> bool {
        let StepKind::Do { connection, action, .. } = &step.kind else { return false };
        self.known_action(&connection.value, &action.value).is_some_and(|info| info.output == serde_json::json!({"type": "null"}))
            || connection.value == "log"
    }

    /// The last step of a pass or of a parallel branch is read through what holds it.
    fn is_last_of_pass(&self, step: &Step) -> bool {
        let Some(target) = self.index.steps.get(step.id.value.as_str()) else { return false };
        let Some(around) = target.around.last() else { return false };
        let Some(owner) = self.index.steps.get(around.id).map(|owner| owner.step) else { return false };
        let read = self.used.steps.contains(owner.id.value.as_str());
        let last = owner.blocks().iter().any(|(_, steps)| steps.last().is_some_and(|last| last.id.value == step.id.value));
        match &owner.kind {
            StepKind::Each(each) => last && each.collect.is_none() && read,
            StepKind::Repeat(_) => last && read,
            StepKind::Parallel { .. } => read,
            _ => false,
        }
    }

    /// Ways through a recipe that answers its caller on others.
    fn answers(&mut self) {
        let steps = &self.recipe.steps;
        let mut any = false;
        walk(steps, &mut |step| any |= matches!(step.kind, StepKind::Respond(_)));
        if any {
            self.unanswered(steps, false);
        }
    }

    /// True if every way through the steps answers; reports choices of which only some branches do.
    fn unanswered(&mut self, steps: &'a [Step], answered: bool) -> bool {
        let mut answered = answered;
        for (at, step) in steps.iter().enumerate() {
            let conditional = step.condition.is_some() || step.disabled;
            match &step.kind {
                StepKind::Respond(_) => answered |= !conditional,
                StepKind::Choose(branches) if !answered => {
                    let ways: Vec<bool> = branches.iter().map(|branch| self.unanswered(&branch.steps, false)).collect();
                    let all = ways.iter().all(|answers| *answers) && branches.iter().any(|branch| branch.when.is_none());
                    let some = ways.iter().any(|answers| *answers);
                    let later = steps[at + 1..].iter().any(|later| matches!(later.kind, StepKind::Respond(_)));
                    if some && !all && !later {
                        let message =
                            format!("Some ways through \"{}\" answer the caller and others do not.", shown(&step.id.value));
                        let help = "Add a `respond` to every branch, and an `otherwise`.";
                        self.out.push(Diagnostic::warning(codes::UNANSWERED, step.id.span, message).help(help));
                    }
                    answered |= all && !conditional;
                }
                StepKind::Try { steps, catch, finally } => {
                    let tried = self.unanswered(steps, answered);
                    let caught = catch.is_empty() || self.unanswered(catch, answered);
                    answered |= (tried && caught || self.unanswered(finally, answered)) && !conditional;
                }
                // What a run gives is its answer too.
                StepKind::Return(_) | StepKind::Fail(_) | StepKind::Stop(_) => answered |= !conditional,
                _ => {}
            }
        }
        answered
    }

    fn failure_answers(&mut self, catch: &'a [Step]) {
        walk(catch, &mut |step| {
            if let StepKind::Respond(respond) = &step.kind
                && respond.status.is_none()
            {
                let message = format!("\"{}\" answers a failure as if all had gone well.", shown(&step.id.value));
                let help = "Add `status:`, such as 502 or 422.";
                self.out.push(Diagnostic::warning(codes::NO_STATUS, step.id.span, message).help(help));
            }
        });
    }

    fn repeated_events(&mut self, steps: &[&'a Step]) {
        let trigger = &self.recipe.trigger;
        let dedupes = match &trigger.from.value {
            TriggerSource::Webhook => false,
            TriggerSource::Connection { .. } => self.declared_trigger().is_none_or(|info| info.dedupes),
            _ => true,
        };
        if dedupes || trigger.dedupe.is_some() {
            return;
        }
        let once = steps.iter().find(|step| self.effect(step) == Some(Effect::Once));
        if let Some(step) = once {
            let message = format!("A sender that repeats its event makes \"{}\" happen twice.", shown(&step.id.value));
            let help = "Add `dedupe: { by: \"${ trigger.… }\" }` with what tells events apart, such as the sender's event id.";
            self.out.push(Diagnostic::warning(codes::NO_DEDUPE, trigger.from.span, message).help(help));
        }
    }

    fn settings_lints(&mut self) {
        let recipe = self.recipe;
        if let (Some(_), Some(_), Some(span)) = (&recipe.settings.retry, &recipe.defaults.retry, recipe.settings.retry_span) {
            let message = "`defaults.retry` goes before `settings.retry`, which changes nothing here.";
            self.out.push(Diagnostic::warning(codes::NO_EFFECT, span, message).help("Keep one of the two."));
        }
    }
}

fn statement(syntax: &str) -> &str {
    match syntax {
        "html" => "a page",
        "shell" => "a command",
        _ => "a query",
    }
}

/// The literal fields of an input; false if an expression stands at the top and decides everything.
fn literal_part(value: &Value) -> (Json, bool) {
    match &value.kind {
        ValueKind::Literal(json) => (json.clone(), true),
        ValueKind::Record(fields) => {
            let mut record = Map::new();
            for (name, value) in fields {
                match &value.kind {
                    ValueKind::Literal(json) => drop(record.insert(name.value.clone(), json.clone())),
                    // What decides about the effect must be known.
                    ValueKind::Expr(_) | ValueKind::Text(_) if matches!(name.value.as_str(), "method" | "idempotent") => {
                        return (Json::Object(record), false);
                    }
                    _ => {}
                }
            }
            (Json::Object(record), true)
        }
        _ => (Json::Null, false),
    }
}
