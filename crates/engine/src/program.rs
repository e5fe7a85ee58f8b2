//! A recipe version, compiled: what the engine walks for every run of it.

mod blocks;
mod form;
mod own;
mod reads;
mod wants;

use std::{sync::Arc, time::Duration};

use connector::{Action, Connector};
use formula::Expression;
use recipe::ast::{self, BlockName, ParamType, Recipe, SetValue, StepKind, TriggerSource};
use serde_json::{Map, Value as Json};
use store::Timestamp;

pub(crate) use self::{
    blocks::Gathers,
    own::{Called, Own},
};
use self::{blocks::any, form::form, reads::reads};
use crate::{retry::Policy, template::Template};

/// Event keys are kept this long unless the recipe says otherwise.
pub const DEDUPE_KEEP_DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A compiled recipe version. Shared by all its runs.
#[derive(Debug)]
pub struct Program {
    /// The recipe's slug.
    pub slug: Arc<str>,
    /// The number of the version; 0 for a text that is not saved.
    pub version: i32,
    /// The recipe's title, or its slug.
    pub title: String,
    /// What its author says about it.
    pub note: Option<String>,
    /// Where its events come from.
    pub source: TriggerSource,
    /// The trigger's own settings.
    pub trigger_with: Json,
    /// How a trigger that asks does so.
    pub poll: PollPlan,
    /// Parameters and their defaults.
    pub params: Map<String, Json>,
    /// How long a run may take from its start.
    pub timeout: Option<Duration>,
    /// Logical connection names and their connectors.
    pub connections: Vec<(String, String)>,
    /// Its steps in reading order, for people.
    pub outline: Vec<OutlineStep>,
    param_types: Vec<(String, ParamType)>,
    pub(crate) condition: Option<Expression>,
    pub(crate) dedupe: Option<(Template, Duration)>,
    pub(crate) label: Option<Template>,
    pub(crate) steps: Vec<Step>,
    pub(crate) reads: Reads,
    wants: wants::Wants,
    /// The state before the first run.
    pub state: Map<String, Json>,
    /// Some step can be taken back.
    pub(crate) undoes: bool,
    /// Runs that wait for each other.
    pub(crate) concurrency: Option<Concurrency>,
    /// The recipe that is started when a run fails.
    pub on_failure: Option<String>,
    /// What stays of its runs' data; `None` when everything does.
    pub(crate) keeps: Option<store::Keeps>,
    /// Some step answers the caller.
    pub(crate) responds: bool,
    /// Some step has an address of its own, by which it is called back.
    pub(crate) calls_back: bool,
    /// Some step waits for what somebody else says.
    pub(crate) listens: bool,
    /// What is counted of its runs.
    pub(crate) meters: crate::measure::Meters,
}

/// How many runs go at once.
#[derive(Debug)]
pub(crate) struct Concurrency {
    pub(crate) limit: u32,
    pub(crate) key: Option<Template>,
    pub(crate) on_overlap: ast::Overlap,
}

/// One step as people see it in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineStep {
    /// Its id.
    pub id: String,
    /// Its title, or its id.
    pub title: String,
    /// What it uses: `http.request`, `set`, `choose`.
    pub uses: String,
    /// How deep it stands in branches and loops.
    pub depth: usize,
    /// The loop it stands in, by id.
    pub within: Option<String>,
    /// What its `undo` uses, if it has one.
    pub undo: Option<String>,
}

/// What the step of that id uses, or, for `id.undo`, what takes it back does.
#[must_use]
pub fn uses_in<'o>(outline: &'o [OutlineStep], id: &str) -> Option<&'o str> {
    let find = |id: &str| outline.iter().find(|step| step.id == id);
    match id.strip_suffix(".undo") {
        Some(id) => find(id)?.undo.as_deref(),
        None => find(id).map(|step| step.uses.as_str()),
    }
}

fn outline(steps: &[ast::Step], depth: usize) -> Vec<OutlineStep> {
    fn walk(steps: &[ast::Step], depth: usize, within: Option<&str>, out: &mut Vec<OutlineStep>) {
        for step in steps {
            out.push(OutlineStep {
                id: step.id.value.clone(),
                title: step.title.clone().unwrap_or_else(|| step.id.value.clone()),
                uses: step.uses(),
                depth,
                within: within.map(str::to_owned),
                undo: step.undo.as_ref().map(|undo| format!("{}.{}", undo.connection.value, undo.action.value)),
            });
            for (block, steps) in step.blocks() {
                let within = if block == BlockName::Loop { Some(step.id.value.as_str()) } else { within };
                walk(steps, depth + 1, within, out);
            }
        }
    }
    let mut out = Vec::new();
    walk(steps, depth, None, &mut out);
    out
}

/// Names that are only worth building when somebody reads them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reads {
    pub(crate) meta: bool,
    pub(crate) run: bool,
}

/// A compiled step.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) id: Arc<str>,
    pub(crate) condition: Option<Expression>,
    /// What counts as its output when it fails.
    pub(crate) rescue: Option<Rescue>,
    pub(crate) undo: Option<Arc<DoStep>>,
    pub(crate) disabled: bool,
    /// How long a step that holds steps may take.
    pub(crate) timeout: Option<Duration>,
    /// A `save` stands in it.
    pub(crate) saves: bool,
    pub(crate) kind: Kind,
}

/// What counts as the output of a step that fails.
#[derive(Debug)]
pub(crate) enum Rescue {
    /// `on_error: continue`: null.
    Nothing,
    /// `fallback`.
    Value(Template),
}

/// What a compiled step does.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Calls an action, or another recipe.
    Do(Arc<DoStep>),
    /// Says what a loop fetches page by page.
    Stream(Arc<DoStep>),
    Set(Template),
    Script(Expression),
    Save(Template),
    Choose(Vec<(Option<Expression>, Vec<Step>)>),
    Each(Box<Each>),
    Repeat(Box<Repeat>),
    Parallel {
        branches: Vec<(Arc<str>, Vec<Step>)>,
        needed: usize,
    },
    Try {
        steps: Vec<Step>,
        catch: Option<Vec<Step>>,
        finally: Vec<Step>,
    },
    Wait(Box<Wait>),
    Respond(Template),
    Return(Template),
    Stop(Template),
    Fail(Template),
}

/// A loop over a list.
#[derive(Debug)]
pub(crate) struct Each {
    pub(crate) items: Template,
    /// What gives the items page by page; `items` is then its input.
    pub(crate) stream: Option<Arc<DoStep>>,
    /// What passes did may be needed when they are over: to take it back, or for what they save.
    pub(crate) keeps: bool,
    pub(crate) binding: Arc<str>,
    pub(crate) batch: Option<usize>,
    pub(crate) parallel: usize,
    pub(crate) stops: bool,
    /// Failed passes are held for a person; the run goes on and fails at its end.
    pub(crate) holds: bool,
    pub(crate) collect: Option<Template>,
    /// Writes the file that takes the place of `results`.
    pub(crate) file: Option<Arc<DoStep>>,
    pub(crate) steps: Vec<Step>,
}

/// A loop until something holds.
#[derive(Debug)]
pub(crate) struct Repeat {
    pub(crate) until: Option<Expression>,
    pub(crate) wait: Duration,
    pub(crate) max: Option<usize>,
    pub(crate) steps: Vec<Step>,
}

/// What a step waits for.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) what: WaitKind,
    pub(crate) timeout: Option<Duration>,
    /// Its time is taken as past.
    pub(crate) skipped: bool,
}

/// What ends a wait.
#[derive(Debug)]
pub(crate) enum WaitKind {
    For(Template),
    Until(Template),
    /// A call to the step's own address, whose body fits the schema if there is one.
    Callback {
        input: Option<Arc<jsonschema::Validator>>,
    },
    Approval {
        from: Template,
        ask: Template,
        form: Json,
    },
}

/// A step that calls an action.
pub(crate) struct DoStep {
    /// The logical connection, or `None` for a built-in connector's own name.
    pub(crate) connection: Option<String>,
    /// As written: `hook.request`.
    pub(crate) name: String,
    pub(crate) action: Action,
    pub(crate) with: Template,
    pub(crate) retry: Policy,
    pub(crate) timeout: Duration,
    /// What is done instead of the action, when it is something of the engine's own.
    pub(crate) own: Option<Own>,
    /// The step that began the stream, when pages of one are fetched.
    pub(crate) stream: Option<Arc<str>>,
}

impl std::fmt::Debug for DoStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// What compiling needs besides the recipe.
#[derive(Debug, Clone, Copy)]
pub struct CompileSettings {
    /// How long one attempt may take when the step does not say.
    pub step_timeout: Duration,
    /// Steps that wait for a time are over as soon as they are reached.
    pub skips_waits: bool,
}

/// How a trigger that asks does so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PollPlan {
    /// The pause between two questions; it adapts when there is none.
    pub every: Option<Duration>,
    /// The instant to begin at; when it is switched on when there is none.
    pub since: Option<Timestamp>,
}

impl PollPlan {
    fn of(settings: &recipe::ast::PollSettings) -> Result<Self, String> {
        let since = settings.since.as_ref().map(|text| {
            let instant: jiff::Timestamp =
                text.value.trim().parse().map_err(|_| format!("trigger.poll.since: {} is no instant", text.value))?;
            Ok::<_, String>(Timestamp::from_micros(instant.as_microsecond()))
        });
        Ok(Self { every: settings.every, since: since.transpose()? })
    }
}

impl Program {
    /// Compiles a checked recipe.
    ///
    /// # Errors
    /// A sentence naming what cannot be compiled; the checker reports all of these with their places,
    /// so this only happens to text that was never checked by this build.
    pub fn compile(recipe: &Recipe, connectors: &[Connector], settings: CompileSettings) -> Result<Self, String> {
        let compiler = Compiler { recipe, connectors, settings };
        let trigger = &recipe.trigger;
        let mut program = Self {
            slug: recipe.slug.value.as_str().into(),
            version: 0,
            title: recipe.title.clone().unwrap_or_else(|| recipe.slug.value.clone()),
            note: recipe.note.clone(),
            source: trigger.from.value.clone(),
            trigger_with: trigger.with.clone(),
            poll: PollPlan::of(&trigger.poll)?,
            params: recipe.params.iter().map(|p| (p.name.value.clone(), p.default.clone().unwrap_or(Json::Null))).collect(),
            timeout: recipe.settings.timeout,
            connections: recipe.connections.iter().map(|c| (c.name.value.clone(), c.connector.value.clone())).collect(),
            outline: outline(&recipe.steps, 0),
            param_types: recipe.params.iter().map(|p| (p.name.value.clone(), p.kind)).collect(),
            condition: trigger.condition.as_ref().map(expression).transpose()?,
            dedupe: trigger
                .dedupe
                .as_ref()
                .map(|dedupe| Ok::<_, String>((Template::compile(&dedupe.by)?, dedupe.keep.unwrap_or(DEDUPE_KEEP_DEFAULT))))
                .transpose()?,
            label: recipe.settings.label.as_ref().map(Template::compile).transpose()?,
            steps: compiler.block(&recipe.steps)?,
            reads: Reads::default(),
            wants: wants::Wants::default(),
            state: recipe.state.iter().map(|p| (p.name.value.clone(), p.default.clone().unwrap_or(Json::Null))).collect(),
            undoes: false,
            concurrency: recipe
                .settings
                .concurrency
                .as_ref()
                .map(|found| {
                    Ok::<_, String>(Concurrency {
                        limit: found.limit,
                        key: found.key.as_ref().map(Template::compile).transpose()?,
                        on_overlap: found.on_overlap,
                    })
                })
                .transpose()?,
            on_failure: recipe.settings.on_failure.as_ref().map(|slug| slug.value.clone()),
            keeps: crate::forget::keeps(recipe),
            responds: false,
            calls_back: false,
            listens: false,
            meters: crate::measure::Meters::default(),
        };
        program.responds = any(vec![&program.steps], &|step| matches!(step.kind, Kind::Respond(_)));
        program.calls_back = any(vec![&program.steps], &Step::is_called_back);
        program.listens = any(vec![&program.steps], &Step::listens);
        program.undoes = any(vec![&program.steps], &|step| step.undo.is_some());
        program.reads = Reads {
            meta: program.steps.iter().any(|step| reads(step, "meta")),
            run: program.steps.iter().any(|step| reads(step, "run")),
        };
        program.wants = wants::wants(&program.steps);
        Ok(program)
    }

    /// Whether some step answers the caller.
    #[must_use]
    pub const fn responds(&self) -> bool {
        self.responds
    }

    /// What the step of that id uses, or, for `id.undo`, what takes it back does.
    #[must_use]
    pub fn uses(&self, id: &str) -> Option<String> {
        uses_in(&self.outline, id).map(str::to_owned)
    }

    /// How many tries the step of that id, or `id.undo`, is given; `None` when it calls nothing.
    #[must_use]
    pub fn tries_max(&self, id: &str) -> Option<u32> {
        self.calls(id).map(|step| step.retry.times)
    }

    /// Checks values for the parameters.
    ///
    /// # Errors
    /// The first parameter that does not fit, and why.
    pub fn check_params(&self, set: &Json) -> Result<(), (String, String)> {
        let Json::Object(set) = set else {
            return Err((String::new(), "params must be a record of names and values.".to_owned()));
        };
        for (name, value) in set {
            let Some((_, kind)) = self.param_types.iter().find(|(known, _)| known == name) else {
                let known: Vec<_> = self.param_types.iter().map(|(name, _)| name.as_str()).collect();
                let sentence = match known.as_slice() {
                    [] => format!("The recipe has no param {name:?}; it has none at all."),
                    known => format!("The recipe has no param {name:?}. It has {}.", known.join(", ")),
                };
                return Err((name.clone(), sentence));
            };
            let fits = value.is_null() || kind.fits(value);
            if !fits {
                return Err((name.clone(), format!("Param {name:?} must be a {}.", format!("{kind:?}").to_lowercase())));
            }
        }
        Ok(())
    }

    /// The parameters a run sees: the defaults, overridden by what the environment sets.
    #[must_use]
    pub fn bind_params(&self, set: &Json) -> Json {
        let mut params = self.params.clone();
        if let Json::Object(set) = set {
            for (name, value) in set {
                if let Some(slot) = params.get_mut(name) {
                    *slot = value.clone();
                }
            }
        }
        Json::Object(params)
    }
}

fn expression(expr: &ast::Expr) -> Result<Expression, String> {
    Expression::compile(&expr.source).map_err(|problem| problem.message)
}

struct Compiler<'a> {
    recipe: &'a Recipe,
    connectors: &'a [Connector],
    settings: CompileSettings,
}

impl Compiler<'_> {
    fn block(&self, steps: &[ast::Step]) -> Result<Vec<Step>, String> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&self, step: &ast::Step) -> Result<Step, String> {
        let mut kind = match &step.kind {
            StepKind::Do { connection, action, with, stream } => {
                let action = Arc::new(self.action(step, &connection.value, &action.value, with)?);
                if *stream { Kind::Stream(action) } else { Kind::Do(action) }
            }
            StepKind::Set(SetValue::Fields(value)) => Kind::Set(Template::compile(value)?),
            StepKind::Set(SetValue::Script(script)) => {
                Kind::Script(Expression::compile_script(&script.source).map_err(|problem| problem.message)?)
            }
            StepKind::Save(value) => Kind::Save(Template::compile(value)?),
            StepKind::Choose(branches) => Kind::Choose(
                branches
                    .iter()
                    .map(|branch| Ok((branch.when.as_ref().map(expression).transpose()?, self.block(&branch.steps)?)))
                    .collect::<Result<_, String>>()?,
            ),
            StepKind::Each(each) => Kind::Each(Box::new(Each {
                items: Template::compile(&each.items)?,
                stream: self.stream(each)?,
                keeps: false,
                binding: each.binding.as_str().into(),
                batch: each.batch.map(|batch| batch as usize),
                parallel: each.parallel.map_or(1, |parallel| parallel as usize),
                stops: each.partial == ast::Partial::Stop,
                holds: each.partial == ast::Partial::DeadLetter,
                collect: each.collect.as_ref().map(Template::compile).transpose()?,
                file: each.file.as_ref().map(|name| self.results_file(step, each, name).map(Arc::new)).transpose()?,
                steps: self.block(&each.steps)?,
            })),
            StepKind::Repeat(repeat) => Kind::Repeat(Box::new(Repeat {
                until: repeat.until.as_ref().map(expression).transpose()?,
                wait: repeat.wait.unwrap_or_default(),
                max: repeat.max.map(|max| max as usize),
                steps: self.block(&repeat.steps)?,
            })),
            StepKind::Parallel { branches, wait_for } => {
                let needed = match wait_for {
                    ast::WaitFor::All => branches.len(),
                    ast::WaitFor::Any => 1,
                    ast::WaitFor::Count(count) => (*count as usize).min(branches.len()),
                };
                let one =
                    |(name, steps): &(ast::Spanned<String>, Vec<ast::Step>)| Ok((name.value.as_str().into(), self.block(steps)?));
                Kind::Parallel { branches: branches.iter().map(one).collect::<Result<_, String>>()?, needed }
            }
            StepKind::Try { steps, catch, finally } => Kind::Try {
                steps: self.block(steps)?,
                catch: (!catch.is_empty()).then(|| self.block(catch)).transpose()?,
                finally: self.block(finally)?,
            },
            StepKind::Wait(wait) => {
                let what = match &wait.what {
                    ast::WaitKind::For(value) => WaitKind::For(Template::compile(value)?),
                    ast::WaitKind::Until(value) => WaitKind::Until(Template::compile(value)?),
                    ast::WaitKind::Callback { input } => WaitKind::Callback {
                        input: match input {
                            Some(schema) => {
                                let schema = jsonschema::validator_for(schema);
                                Some(Arc::new(
                                    schema.map_err(|error| format!("step {}: callback.input: {error}", step.id.value))?,
                                ))
                            }
                            None => None,
                        },
                    },
                    ast::WaitKind::Approval(approval) => WaitKind::Approval {
                        from: Template::compile(&approval.from)?,
                        ask: Template::compile(&approval.ask)?,
                        form: form(&approval.form),
                    },
                };
                let skipped = self.settings.skips_waits && matches!(what, WaitKind::For(_) | WaitKind::Until(_));
                Kind::Wait(Box::new(Wait { what, timeout: wait.timeout.or(step.timeout), skipped }))
            }
            StepKind::Call { recipe, with } => Kind::Do(Arc::new(self.recipe_call(step, "call", &recipe.value, with)?)),
            StepKind::Start { recipe, with } => Kind::Do(Arc::new(self.recipe_call(step, "start", &recipe.value, with)?)),
            StepKind::Respond(respond) => {
                let part = |name: &str, value: &Option<ast::Value>| {
                    value.as_ref().map(|value| Ok((name.to_owned(), Template::compile(value)?)))
                };
                let parts = [("status", &respond.status), ("headers", &respond.headers), ("body", &respond.body)];
                let fields = parts.into_iter().filter_map(|(name, value)| part(name, value)).collect::<Result<_, String>>()?;
                Kind::Respond(Template::Record(fields))
            }
            StepKind::Return(value) => Kind::Return(Template::compile(value)?),
            StepKind::Stop(value) => Kind::Stop(Template::compile(value)?),
            StepKind::Fail(value) => Kind::Fail(Template::compile(value)?),
        };
        let rescue = match (&step.fallback, step.on_error) {
            (Some(value), _) => Some(Rescue::Value(Template::compile(value)?)),
            (None, ast::OnError::Continue) => Some(Rescue::Nothing),
            (None, ast::OnError::Fail) => None,
        };
        let undo = step.undo.as_ref().map(|undo| self.undo(step, undo).map(Arc::new)).transpose()?;
        let condition = step.condition.as_ref().map(expression).transpose()?;
        let timeout = step.timeout.filter(|_| !step.blocks().is_empty());
        let saves = any(kind.blocks(), &|step| step.saves || matches!(step.kind, Kind::Save(_)));
        if let Kind::Each(each) = &mut kind {
            each.keeps = saves || any(vec![&each.steps], &|step| step.undo.is_some());
        }
        Ok(Step { id: step.id.value.as_str().into(), condition, rescue, undo, disabled: step.disabled, timeout, saves, kind })
    }

    /// What a loop goes through page by page, if its list is the output of such a step.
    fn stream(&self, each: &ast::Each) -> Result<Option<Arc<DoStep>>, String> {
        let Some(id) = each.whole_output() else { return Ok(None) };
        let mut found = None;
        ast::walk(&self.recipe.steps, &mut |step| {
            if step.id.value == id {
                found = Some(step);
            }
        });
        let Some(step) = found else { return Ok(None) };
        let StepKind::Do { connection, action, with, stream: true } = &step.kind else { return Ok(None) };
        let action = self.action(step, &connection.value, &action.value, with)?;
        Ok(Some(Arc::new(DoStep { stream: Some(id.into()), ..action })))
    }

    fn undo(&self, step: &ast::Step, undo: &ast::Undo) -> Result<DoStep, String> {
        let (connection, action) = (&undo.connection.value, &undo.action.value);
        let own = ast::Step { retry: undo.retry.clone(), timeout: undo.timeout, ..step.clone() };
        self.action(&own, connection, action, &undo.with)
    }

    fn retry(&self, step: &ast::Step) -> Policy {
        Policy::from_recipe(step.retry.as_ref().or(self.recipe.defaults.retry.as_ref()).or(self.recipe.settings.retry.as_ref()))
    }

    fn timeout(&self, step: &ast::Step) -> Duration {
        step.timeout.or(self.recipe.defaults.timeout).unwrap_or(self.settings.step_timeout)
    }

    fn action(&self, step: &ast::Step, connection: &str, action: &str, with: &ast::Value) -> Result<DoStep, String> {
        let logical = self.recipe.connections.iter().find(|candidate| candidate.name.value == connection);
        let connector = logical.map_or(connection, |found| found.connector.value.as_str());
        let found = self
            .connectors
            .iter()
            .find(|candidate| candidate.id == connector)
            .and_then(|candidate| candidate.action(action))
            .ok_or_else(|| format!("step {} uses {connection}.{action}, which this build does not have", step.id.value))?;
        Ok(DoStep {
            connection: logical.map(|found| found.name.value.clone()),
            name: format!("{connection}.{action}"),
            action: found.clone(),
            with: Template::compile(with)?,
            retry: self.retry(step),
            timeout: self.timeout(step),
            own: None,
            stream: None,
        })
    }
}
