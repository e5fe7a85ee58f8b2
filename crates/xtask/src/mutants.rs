//! `cargo xtask mutants`: breaks the engine on purpose, one promise after the other, and looks whether the
//! simulation notices. What is committed is broken in a copy; the working tree stays as it is.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, bail};

use crate::shell;

/// Stories that are played at most for one mutant.
const STORIES: &str = "3000";

/// What is broken, and how: in this file, this text (which is there once) becomes that one.
struct Mutant {
    breaks: &'static str,
    file: &'static str,
    text: &'static str,
    becomes: &'static str,
}

const fn mutant(breaks: &'static str, file: &'static str, text: &'static str, becomes: &'static str) -> Mutant {
    Mutant { breaks, file, text, becomes }
}

const MUTANTS: &[Mutant] = &[
    mutant(
        "a step whose call was cut off by a crash is repeated, whatever it does",
        "crates/engine/src/decide/effects.rs",
        "        if (step.action.effect)(&input) == Effect::Once {\n            let error",
        "        if (step.action.effect)(&input) == Effect::Once && attempt > 1_000 {\n            let error",
    ),
    mutant(
        "what may have happened is repeated when its key is long forgotten",
        "crates/engine/src/decide/effects.rs",
        "other || self.now.since(first.since) > *life",
        "other || (self.state.journal.next_seq > 1_000 && self.now.since(first.since) > *life)",
    ),
    mutant(
        "the time of a key counts from the last attempt without an answer",
        "crates/store/src/journal/replay.rs",
        "self.doubts.entry(Arc::clone(path)).or_insert(Doubted { attempt: *n, since: *at });",
        "self.doubts.insert(Arc::clone(path), Doubted { attempt: *n, since: *at });",
    ),
    mutant(
        "an attempt is not told that an earlier one may have happened",
        "crates/engine/src/decide/effects.rs",
        "let in_doubt = !other && ",
        "let in_doubt = !other && number > 1_000 && ",
    ),
    mutant(
        "an answer that was lost counts as a failure that may be retried",
        "crates/engine/src/drive.rs",
        "error.doubt == Doubt::MayHaveHappened && effect != Effect::None;",
        "error.doubt == Doubt::MayHaveHappened && n > 1_000 && effect != Effect::None;",
    ),
    mutant(
        "calls are made without asking whether the lease still holds",
        "crates/engine/src/drive.rs",
        "if !engine.still_owns(run.owner).await {",
        "if false && !engine.still_owns(run.owner).await {",
    ),
    mutant(
        "every attempt has an idempotency key of its own",
        "crates/engine/src/drive.rs",
        "idempotency_key: idempotency_key(run, &attempt.path, attempt.turn).into(),",
        "idempotency_key: idempotency_key(run, &attempt.path, attempt.number).into(),",
    ),
    mutant(
        "a commit of a process that lost its run is taken",
        "crates/store/src/memory/model.rs",
        "let owned = run.owner == Some(commit.owner) && run.epoch == commit.epoch;",
        "let owned = run.owner.is_some() || run.epoch == commit.epoch;",
    ),
    mutant(
        "what was done is taken back oldest first",
        "crates/engine/src/decide/undo.rs",
        "undos.sort_by_key(|undo| Reverse(self.state.journal.lived.get(&undo.path).map(|lived| lived.place)));",
        "undos.sort_by_key(|undo| Reverse(Reverse(self.state.journal.lived.get(&undo.path).map(|lived| lived.place))));",
    ),
    mutant(
        "nothing is taken back once the first undo failed",
        "crates/engine/src/decide/undo.rs",
        "Flow::Stop(Stop::Failed(error) | Stop::Doubt(error)) => error,",
        "Flow::Stop(Stop::Failed(error) | Stop::Doubt(error)) => return Flow::Stop(Stop::Failed(error)),",
    ),
    mutant(
        "state is kept again when the items that failed are done",
        "crates/engine/src/beside.rs",
        "(done && before == 0 && !state.saved.is_empty())",
        "(done && !state.saved.is_empty())",
    ),
    mutant(
        "a called run's end is not told to its caller",
        "crates/engine/src/beside.rs",
        "if let Some(parent) = &about.parent {",
        "if let Some(parent) = about.parent.as_ref().filter(|_| then.error().is_none()) {",
    ),
    mutant(
        "failures are not told to the recipe that wants them told",
        "crates/engine/src/beside.rs",
        "error.code != GIVEN_UP || given_up_well(&state.journal).is_none()",
        "state.journal.next_seq < 3 && (error.code != GIVEN_UP || given_up_well(&state.journal).is_none())",
    ),
    mutant(
        "a stream that is taken over begins at its first page again",
        "crates/engine/src/decide/streams.rs",
        "let cursor = self.state.journal.streams.get(path).and_then(|known| known.next.clone());",
        "let cursor = self.state.journal.streams.get(path).filter(|_| self.state.journal.next_seq < 4).and_then(|known| known.next.clone());",
    ),
    mutant(
        "a process that answers nobody keeps its runs",
        "crates/engine/src/lease.rs",
        "let freed = self.store.reap_workers(now).await?;",
        "let freed = if now.micros() < 0 { self.store.reap_workers(now).await? } else { store::Reaped::default() };",
    ),
    mutant(
        "the next run of a key does not wait for the one before",
        "crates/store/src/memory/model.rs",
        "if before >= usize::try_from(lane.room).unwrap_or(usize::MAX) {",
        "if before > usize::try_from(lane.room).unwrap_or(usize::MAX) {",
    ),
    mutant(
        "a sender that sends again gets another run",
        "crates/store/src/memory/model.rs",
        "if *run == new.id || (",
        "if *run == new.id || self.runs.len() >= 8 || (",
    ),
    mutant(
        "open circuits let calls through",
        "crates/engine/src/gate/door.rs",
        "(GateState::Open, Some(at)) if at > now => Err((self.line_up(at, dice), false)),",
        "(GateState::Open, Some(at)) if at > now => Ok(false),",
    ),
    mutant(
        "circuits never open by themselves",
        "crates/engine/src/gate/door.rs",
        "circuit.tripped = Some(now);\n        Some(Event::Trip { cause })",
        "drop(cause);\n        None",
    ),
    mutant(
        "other processes do not hear that a circuit is open",
        "crates/engine/src/gate/keeper.rs",
        "for row in store.gates().await? {",
        "for row in store.gates().await?.into_iter().filter(|row| row.state == GateState::Closed) {",
    ),
    mutant(
        "each process has the whole budget of calls in flight",
        "crates/store/src/memory/outside.rs",
        "let (row, holder, lease) = row.lease(&holders, ask);",
        "let (row, holder, lease) = row.lease(&[], ask);",
    ),
    mutant(
        "a step that failed in a loop counts as done",
        "crates/engine/src/drive.rs",
        "    let retry = retry.or(probing.then_some(now));\n    state.push(Entry::Failed { p, n, at: now, err, retry, doubt });",
        "    let retry = retry.or(probing.then_some(now));\n    if retry.is_none() && p.contains('[') {\n        return state.push(Entry::Succeeded { p, n, at: now, out: Arc::default() });\n    }\n    state.push(Entry::Failed { p, n, at: now, err, retry, doubt });",
    ),
    mutant(
        "what is done is forgotten when a run is taken up",
        "crates/store/src/memory.rs",
        "chunks: (0..).zip(run.chunks.iter().cloned()).take(CLAIM_CHUNKS_MAX).collect(),",
        "chunks: (0..).zip(run.chunks.iter().cloned()).take(CLAIM_CHUNKS_MAX.min(run.chunks.len().max(2) - 1)).collect(),",
    ),
    mutant(
        "what a trigger is told again starts another run",
        "crates/engine/src/poll.rs",
        "key: Some(event.key.into()),",
        "key: None,",
    ),
    mutant(
        "a fire time starts a run in each process",
        "crates/engine/src/schedule.rs",
        "key: Some(format!(\"schedule:{}\", at.micros()).into()),",
        "key: None,",
    ),
    mutant(
        "the first branch is enough, however many are waited for",
        "crates/engine/src/decide/blocks.rs",
        "            if done >= needed {",
        "            if done >= needed.min(1) {",
    ),
    mutant(
        "nobody looks at what a stopped operation had begun",
        "crates/store/src/memory/operations.rs",
        "                OperationState::Stopped => begun(),\n",
        "                OperationState::Stopped => begun() && under.items.len() > 1_000,\n",
    ),
];

/// Plays the mutants whose sentence holds all the words given, or all there are.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let target = std::path::absolute(shell::target()).context("cannot tell where cargo builds")?;
    let copy = target.join("mutants");
    let folder = copy.to_string_lossy().into_owned();
    drop(shell::run_quietly(Command::new("git").args(["worktree", "remove", "--force", &folder])));
    shell::run_quietly(Command::new("git").args(["worktree", "add", "--detach", &folder, "HEAD"]))?;
    let wanted = |mutant: &&Mutant| arguments.iter().all(|word| mutant.breaks.contains(word.as_str()));
    let mut unseen = Vec::new();
    for mutant in MUTANTS.iter().filter(wanted) {
        let began = Instant::now();
        let noticed = play(mutant, &copy, &target)?;
        match &noticed {
            Some(words) => println!("noticed after {:3} s  {}: {words}", began.elapsed().as_secs(), mutant.breaks),
            None => {
                println!("NOT NOTICED          {}", mutant.breaks);
                unseen.push(mutant.breaks);
            }
        }
    }
    shell::run_quietly(Command::new("git").args(["worktree", "remove", "--force", &folder]))?;
    if !unseen.is_empty() {
        bail!("{STORIES} stories did not notice: {}", unseen.join("; "));
    }
    Ok(())
}

/// What the simulation says of a mutant; `None` when it says nothing.
fn play(mutant: &Mutant, copy: &Path, target: &Path) -> anyhow::Result<Option<String>> {
    let file = copy.join(mutant.file);
    let whole = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", mutant.file))?;
    if whole.matches(mutant.text).count() != 1 {
        bail!("{} does not have this once, so it cannot be broken there: {}", mutant.file, mutant.text);
    }
    std::fs::write(&file, whole.replace(mutant.text, mutant.becomes))?;
    let mut cargo = shell::cargo();
    cargo.args(["test", "--package", "engine", "--test", "sim", "every_seed"]).current_dir(copy);
    cargo.env("CARGO_TARGET_DIR", target).env("LIAISON_SIM_SEEDS", STORIES).env("RUST_BACKTRACE", "0");
    let output = cargo.stdin(Stdio::null()).output().context("cannot start cargo")?;
    std::fs::write(&file, whole)?;
    if output.status.success() {
        return Ok(None);
    }
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    if !words.contains("broken promises") {
        bail!("the mutant \"{}\" does not build or play:\n{words}{}", mutant.breaks, String::from_utf8_lossy(&output.stderr));
    }
    let told = words.lines().skip_while(|line| !line.contains("broken promises")).find(|line| line.trim().starts_with('"'));
    let told: String = told.unwrap_or_default().trim().trim_matches(['"', ',']).chars().take(160).collect();
    Ok(Some(told))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::MUTANTS;

    /// Code moves on; a mutant that names what is gone would only be missed by whoever plays them all.
    #[test]
    fn every_mutant_breaks_what_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for mutant in MUTANTS {
            let whole = std::fs::read_to_string(root.join(mutant.file)).unwrap_or_default();
            assert_eq!(whole.matches(mutant.text).count(), 1, "{}: {} in {}", mutant.breaks, mutant.text, mutant.file);
            assert_ne!(mutant.text, mutant.becomes);
        }
    }
}
