//! Lets a failed run go on: what was done stays done, what failed is tried again, doubts are answered.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use connector::Effect;
use serde_json::Value as Json;
use store::{DeadLetter, Entry, Journal, RunId, RunRow, RunStatus, StepPath, StepState, Timestamp};

use crate::{
    Engine, OutlineStep, Program,
    control::{ControlError, Doubtful},
    frame::{id_of, undone_by},
    program::{DoStep, Gathers, Kind},
};

/// How a failed run goes on.
#[derive(Debug, Clone, Default)]
pub struct Resumption {
    /// Under the recipe's active version instead of its own.
    pub active_version: bool,
    /// What became of effects that may have happened.
    pub said: Said,
    /// Only if it is still this failure: when the run failed.
    pub failed_at: Option<Timestamp>,
}

/// What people say about effects that may have happened.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Said {
    /// Nothing.
    #[default]
    Nothing,
    /// The same about each.
    All(Doubtful),
    /// About each step, by its path.
    Each(BTreeMap<String, Doubtful>),
}

impl Said {
    fn about(&self, path: &str) -> Option<&Doubtful> {
        match self {
            Self::Nothing => None,
            Self::All(said) => Some(said),
            Self::Each(said) => said.get(path),
        }
    }
}

impl Engine {
    /// Lets a failed run go on at the step that failed. Finished steps are not done again.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn resume_with(&self, id: RunId, wish: &Resumption, by: &str) -> Result<(), ControlError> {
        // The journal first: whoever resumes the run in between makes ours too short to be followed.
        let journal = self.outline(id).await;
        let run = self.open_letter(id).await?;
        let journal = journal?;
        if wish.failed_at.is_some() && wish.failed_at != run.ended_at {
            return Err(ControlError::NotNow("This run went on and failed again meanwhile.".to_owned()));
        }
        let version = if wish.active_version { Some(self.active_version(&run, &journal, &wish.said).await?) } else { None };
        let now = self.now();
        let entries = reopen(&journal, &wish.said, version, by, now)?;
        self.reopen_run(id, version, journal.next_seq, &entries).await
    }

    async fn open_letter(&self, id: RunId) -> Result<RunRow, ControlError> {
        let run = self.find(id).await?;
        if run.status != RunStatus::Failed {
            return Err(ControlError::NotNow(format!("Only a failed run can be resumed; this one is {}.", run.status.as_str())));
        }
        if run.dead_letter != Some(DeadLetter::Open) {
            return Err(ControlError::NotNow("This run was already replayed or discarded.".to_owned()));
        }
        Ok(run)
    }

    async fn reopen_run(&self, id: RunId, version: Option<i32>, seq: i32, entries: &[Entry]) -> Result<(), ControlError> {
        let now = self.now();
        let chunk = self.pack_for(id, entries).await?;
        if !self.store.resume(id, version, seq, &chunk, now).await? {
            return Err(ControlError::NotNow("Somebody else changed this run just now. Look at it again.".to_owned()));
        }
        self.live.changed(id);
        self.wake_at(now);
        Ok(())
    }

    /// Gives a failed run up of which nobody can say what happened: what its finished steps did is taken back, where the
    /// recipe says how, and the run is put aside. When something could not be taken back it stays a dead letter.
    ///
    /// # Errors
    /// [`ControlError`]; nothing changed then.
    pub async fn give_up(&self, id: RunId, reason: &str, by: &str) -> Result<(), ControlError> {
        let journal = self.outline(id).await;
        let run = self.open_letter(id).await?;
        let journal = journal?;
        // Whoever gives up in the middle of taking back, or after it, has seen what is left.
        if !self.program(run.recipe, run.version).await?.undoes || journal.given_up.is_some() || taken_back(&journal) {
            return self.discard(id, reason, by).await;
        }
        let now = self.now();
        let mut entries = vec![Entry::Resumed { at: now, by: by.to_owned(), version: None }];
        for (path, state) in stuck(&journal) {
            if let StepState::Uncertain { attempt, error } = state {
                let mut err = error.clone();
                err.next =
                    Some("The run was given up: whether this happened is not known, and it was not taken back.".to_owned());
                entries.push(Entry::Failed { p: Arc::clone(path), n: *attempt, at: now, err, retry: None, doubt: true });
            }
        }
        entries.push(Entry::GivenUp { at: now, by: by.to_owned(), reason: reason.to_owned() });
        self.reopen_run(id, None, journal.next_seq, &entries).await
    }

    /// Puts a run aside that was given up, once everything it did is taken back.
    pub(crate) async fn put_aside(&self, id: RunId, journal: &Journal) {
        let Some((by, reason)) = given_up_well(journal) else { return };
        if let Err(error) = self.discard(id, reason, by).await {
            tracing::warn!(run.id = %id, %error, "run.give_up: it stays among the dead letters");
        }
    }

    /// The steps of a run whose effect may have happened, and nobody has said whether it did.
    ///
    /// # Errors
    /// When the store does not answer or the journal is damaged.
    pub async fn doubts(&self, id: RunId) -> Result<Vec<String>, ControlError> {
        self.find(id).await?;
        let journal = self.outline(id).await?;
        Ok(stuck(&journal)
            .into_iter()
            .filter(|(_, state)| matches!(state, StepState::Uncertain { .. }))
            .map(|(path, _)| path.to_string())
            .collect())
    }

    /// The active version, if the run can go on under it.
    async fn active_version(&self, run: &RunRow, journal: &Journal, said: &Said) -> Result<i32, ControlError> {
        let catalogue = self.catalogue();
        let recipe = catalogue.recipes.get(&run.slug).ok_or_else(|| {
            ControlError::NotNow(format!(
                "Recipe {} is switched off, so it has no active version. Switch it on, or resume with version {}.",
                run.slug, run.version
            ))
        })?;
        if recipe.version != run.version {
            let own = self.program(run.recipe, run.version).await?;
            let lost = lost(journal, &own, &recipe.program);
            if !lost.is_empty() {
                return Err(ControlError::NotNow(format!(
                    "Version {} no longer has {}, which this run has already done under version {}. \
                     Resume it with its own version, or replay its event with the active one.",
                    recipe.version,
                    named(&lost),
                    run.version
                )));
            }
            let moved = moved(journal, said, &own, &recipe.program);
            if !moved.is_empty() {
                return Err(ControlError::NotNow(format!(
                    "This run may have done {} under version {}: what became of it is not known. Version {} no longer does that in \
                     the same place, so a repeat would not be known as one. Resume it with its own version, which asks for \
                     it under the same key, or, where it waits for your word, look in the other system and say that it is \
                     to be repeated.",
                    named(&moved),
                    run.version,
                    recipe.version,
                )));
            }
            let half = gathered_otherwise(journal, &own, &recipe.program);
            if !half.is_empty() {
                return Err(ControlError::NotNow(format!(
                    "Version {} gathers the results of {} in another way (`collect`, `file`, or the last step of the loop), \
                     and this run has done a part of it under version {}. \
                     Resume it with its own version, or replay its event with the active one.",
                    recipe.version,
                    named(&half),
                    run.version
                )));
            }
        }
        Ok(recipe.version)
    }
}

impl Program {
    /// Whether doing the step of that id, or `id.undo`, again with that input does no harm; `None` when it calls nothing.
    #[must_use]
    pub fn is_safe_to_repeat(&self, id: &str, input: &Json) -> Option<bool> {
        self.calls(id).map(|step| (step.action.effect)(input) != Effect::Once)
    }

    /// The same in a new run: its idempotency keys are others, so what needs one is not known as a repeat there.
    #[must_use]
    pub fn is_safe_to_replay(&self, id: &str, input: &Json) -> Option<bool> {
        self.calls(id).map(|step| step.needs_no_key(input))
    }

    /// Whether a step on the way to a path is switched off.
    fn leaves_out(&self, path: &str) -> bool {
        let off = |part: &str| self.find(part.split('[').next().unwrap_or(part)).is_some_and(|step| step.disabled);
        path.split('.').any(off)
    }
}

impl DoStep {
    /// Whether doing it again does no harm whatever its idempotency key.
    fn needs_no_key(&self, input: &Json) -> bool {
        (self.action.effect)(input) != Effect::Once && self.action.key_life_of(input).is_none()
    }
}

/// Steps that are done and that another version does not have in that place, by id.
fn lost(journal: &Journal, own: &Program, other: &Program) -> Vec<String> {
    let mut lost: Vec<String> = journal
        .steps
        .iter()
        .filter(|(_, state)| matches!(state, StepState::Succeeded { .. } | StepState::Skipped))
        .filter(|(path, _)| !same_place(path, &own.outline, &other.outline))
        .map(|(path, _)| crate::fingerprint::without_passes(path))
        .collect();
    lost.sort();
    lost.dedup();
    lost
}

/// Steps that may have happened, harm when they happen twice, and would be done elsewhere or not at all under another
/// version, by id. A person who says that one is to be repeated has looked.
fn moved(journal: &Journal, said: &Said, own: &Program, other: &Program) -> Vec<String> {
    let dealt_with = dealt_with(journal);
    let in_doubt = |path: &StepPath, state: &StepState| match state {
        StepState::Uncertain { .. } => said.about(path) != Some(&Doubtful::Repeat),
        _ => journal.doubts.contains_key(path) && !dealt_with.contains(&**path) && !left_behind(journal, own, path),
    };
    let harms = |path: &StepPath| {
        let input = journal.inputs.get(path).map_or(&Json::Null, |input| &**input);
        // What is kept apart is not read here.
        own.called_at(path).is_some_and(|step| input.is_null() || !step.needs_no_key(input))
    };
    let calls = |program: &Program, path: &StepPath| {
        program.called_at(path).map(|step| (step.name.clone(), step.connection.clone(), program.leaves_out(path)))
    };
    let mut moved: Vec<String> = journal
        .steps
        .iter()
        .filter(|(path, state)| in_doubt(path, state) && harms(path))
        .filter(|(path, _)| !same_place(path, &own.outline, &other.outline) || calls(own, path) != calls(other, path))
        .map(|(path, _)| crate::fingerprint::without_passes(path))
        .collect();
    moved.sort();
    moved.dedup();
    moved
}

/// Loops that are done in part and whose results another version gathers in another way: it would find only some.
fn gathered_otherwise(journal: &Journal, own: &Program, other: &Program) -> Vec<String> {
    fn gathers<'p>(program: &'p Program, path: &str) -> Option<Gathers<'p>> {
        match &program.find(id_of(path))?.kind {
            Kind::Each(each) => Some(each.gathers()),
            _ => None,
        }
    }
    let done = |path: &StepPath| matches!(journal.steps.get(path), Some(StepState::Succeeded { .. }));
    let open = journal.streams.keys().filter(|path| !done(path));
    let otherwise = open.filter(|path| gathers(own, path) != gathers(other, path));
    let mut names: Vec<String> = otherwise.map(|path| crate::fingerprint::without_passes(path)).collect();
    names.sort();
    names.dedup();
    names
}

/// Whether each step on the way to a path is the same kind of step in both versions, in the same loop.
fn same_place(path: &str, own: &[OutlineStep], other: &[OutlineStep]) -> bool {
    let find = |outline: &'_ [OutlineStep], id: &str| {
        outline.iter().find(|step| step.id == id).map(|step| (step.uses.clone(), step.within.clone()))
    };
    path.split('.').map(|part| part.split('[').next().unwrap_or(part)).all(|id| find(own, id) == find(other, id))
}

fn named(steps: &[String]) -> String {
    const NAMED_MAX: usize = 3;
    let list = steps.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match steps.len() {
        1 => format!("step {list}"),
        count if count <= NAMED_MAX => format!("steps {list}"),
        count => format!("steps {list} and {} more", count - NAMED_MAX),
    }
}

/// The steps that keep a run from going on: all that failed, but those whose failure the recipe dealt with.
fn stuck(journal: &Journal) -> Vec<(&StepPath, &StepState)> {
    let dealt_with = dealt_with(journal);
    let taken_back = taken_back(journal);
    let mut stuck: Vec<(&StepPath, &StepState)> = journal
        .steps
        .iter()
        .filter(|(_, state)| matches!(state, StepState::Failed { .. } | StepState::Uncertain { .. }))
        .filter(|(path, _)| !dealt_with.contains(&***path))
        // Once something was taken back, only the rest of it is tried again.
        .filter(|(path, _)| !taken_back || undone_by(path).is_some())
        .collect();
    stuck.sort_by(|one, other| one.0.cmp(other.0));
    stuck
}

/// The steps whose failure the recipe deals with, and those that dealt with it.
pub(crate) fn dealt_with(journal: &Journal) -> HashSet<&str> {
    let caught = journal.caught.iter().filter(|(path, _)| !journal.held.contains(*path));
    caught.flat_map(|(path, (error, _))| std::iter::once(&**path).chain(error.path.as_deref())).collect()
}

/// Whether the run does not come by a step any more: what holds it is over without it, or its failure was dealt with.
pub(crate) fn left_behind(journal: &Journal, program: &Program, path: &str) -> bool {
    let done = |path: &str| matches!(journal.steps.get(path), Some(StepState::Succeeded { .. }));
    // A pass that is held, or was reopened, is gone through again although what holds it is over.
    let again = journal.held.iter().chain(&journal.late);
    let again = again.filter(|pass| path.strip_prefix(&***pass).is_some_and(|rest| rest.starts_with('.')));
    let again = again.map(|pass| pass.len()).max().unwrap_or(0);
    program.holders(path).iter().filter(|holder| holder.path.len() >= again).any(|holder| {
        let tried = matches!(holder.step.kind, Kind::Try { .. }) && holder.block == 0;
        let caught = journal.caught.get(&*holder.path).is_some_and(|(_, output)| tried || output.is_some());
        let skipped = holder.pass.as_deref().is_some_and(|pass| journal.caught.contains_key(pass));
        caught || skipped || (done(&holder.path) && !matches!(holder.step.kind, Kind::Choose(_)))
    })
}

/// Whether something was taken back, or may have been: going forward again would leave it half done.
pub(crate) fn taken_back(journal: &Journal) -> bool {
    let may_have_happened = |path: &StepPath, state: &StepState| match state {
        StepState::Succeeded { .. } | StepState::Uncertain { .. } => true,
        // Of earlier attempts nobody knows; one that was refused did nothing.
        StepState::Failed { attempt, error } => {
            *attempt > 1 || matches!(&*error.class, "timeout" | "network") || journal.doubts.contains_key(path)
        }
        _ => false,
    };
    journal.steps.iter().any(|(path, state)| undone_by(path).is_some() && may_have_happened(path, state))
}

/// Who gave a run up and why, when everything it had done is taken back.
pub(crate) fn given_up_well(journal: &Journal) -> Option<(&str, &str)> {
    let left = |(path, state): (&StepPath, &StepState)| {
        undone_by(path).is_some() && matches!(state, StepState::Failed { .. } | StepState::Uncertain { .. })
    };
    let (by, reason) = journal.given_up.as_ref()?;
    (!journal.steps.iter().any(left)).then_some((by, reason))
}

/// The entries that let every failed step of a run try again.
fn reopen(journal: &Journal, said: &Said, version: Option<i32>, by: &str, at: Timestamp) -> Result<Vec<Entry>, ControlError> {
    if given_up_well(journal).is_some() {
        return Err(ControlError::NotNow(
            "This run was given up, so it does not go on. Discard it, or replay its event as a new run.".to_owned(),
        ));
    }
    let stuck = stuck(journal);
    if stuck.is_empty() && taken_back(journal) {
        return Err(ControlError::NotNow(
            "This run took back what it had done, so there is nothing left to go on from. Replay its event as a new run."
                .to_owned(),
        ));
    }
    let mut entries = vec![Entry::Resumed { at, by: by.to_owned(), version }];
    let mut held: Vec<&StepPath> = journal.held.iter().collect();
    held.sort();
    entries.extend(held.into_iter().map(|path| Entry::Reopened { p: Arc::clone(path), at, by: by.to_owned() }));
    for (path, state) in stuck {
        let p = Arc::clone(path);
        let by = by.to_owned();
        entries.push(match (state, said.about(path)) {
            (StepState::Uncertain { .. }, None) => return Err(ControlError::SayFirst { path: path.to_string() }),
            (StepState::Uncertain { .. }, Some(Doubtful::Happened(output))) => {
                Entry::Settled { p, at, by, out: Arc::new(output.clone()) }
            }
            _ => Entry::Reopened { p, at, by },
        });
    }
    Ok(entries)
}
