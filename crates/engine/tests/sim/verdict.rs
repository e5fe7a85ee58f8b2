//! The promises, as things that must be true of a story that is over.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use store::{
    DeadLetter, Ending, Entry, ItemState, Journal, OperationKind, OperationState, Pages as _, RunFilter, RunId, RunRow,
    RunStatus, Via,
};

use crate::{
    outside::{BEGIN, PAGES, Seen, World},
    recipes::TICK_S,
    source::Source,
    story::Sent,
};

pub(crate) async fn judge(world: &World, sent: &BTreeMap<u64, Sent>, settled: &BTreeSet<RunId>) -> Result<(), String> {
    if let Some(first) = world.accusations().first() {
        return Err(first.clone());
    }
    let all = RunFilter { limit: u32::MAX, ..RunFilter::default() };
    let mut runs = world.store.runs(&all).await.map_err(|error| error.to_string())?;
    runs.sort_by_key(|run| run.id);
    let seen = world.seen();
    every_event_has_its_run(sent, &runs)?;
    keys_are_stable(&seen)?;
    journals_can_be_read(world, &runs).await?;
    called_once(&runs)?;
    failures_are_told(&runs)?;
    letters_are_settled_once(&runs, settled)?;
    order_is_kept(world, sent, &runs, &seen).await?;
    streams_are_whole(&runs, &seen)?;
    all_is_paid(sent, &runs, &seen)?;
    everything_asked_for_is_told_once(world).await?;
    fire_times_have_one_run_each(world, &runs).await?;
    operations_end(world).await?;
    enough_branches_were_waited_for(world, &runs).await?;
    waiting_costs_no_try(&runs)?;
    cancelled_stays_cancelled(sent, &runs)?;
    loops_count_what_they_did(world, sent, &runs, &seen).await?;
    what_was_done_last_is_undone_first(world, &runs, &seen).await?;
    counts(world, &runs).await
}

/// Promises 1 and 2.
fn every_event_has_its_run(sent: &BTreeMap<u64, Sent>, runs: &[RunRow]) -> Result<(), String> {
    for (id, event) in sent {
        let Some(run) = event.run else { return Err(format!("event {id} has no run")) };
        if !runs.iter().any(|row| row.id == run) {
            return Err(format!("event {id} was answered with {run}, which does not exist"));
        }
    }
    for recipe in crate::recipes::STARTED {
        let events = sent.values().filter(|event| event.recipe == *recipe).count();
        let there = runs.iter().filter(|run| run.slug == *recipe && run.via == Via::Api).count();
        if events != there {
            return Err(format!("{events} events of {recipe} made {there} runs"));
        }
    }
    Ok(())
}

/// Promises 4 and 5.
fn keys_are_stable(seen: &[Seen]) -> Result<(), String> {
    let mut known: HashMap<(&str, &str), &Seen> = HashMap::new();
    for one in seen {
        if let Some(first) = known.insert((&one.run, &one.path), one) {
            if (first.key == one.key) != (first.input == one.input) {
                return Err(format!("two calls of one step differ: {first:?}, {one:?}"));
            }
            if one.once {
                return Err(format!("done twice: {first:?}, {one:?}"));
            }
        }
    }
    let mut steps: HashMap<&str, (&str, &str)> = HashMap::new();
    for one in seen {
        let step = (one.run.as_str(), one.path.as_str());
        if *steps.entry(&one.key).or_insert(step) != step {
            return Err(format!("two steps share a key: {one:?}"));
        }
    }
    Ok(())
}

async fn journals_can_be_read(world: &World, runs: &[RunRow]) -> Result<(), String> {
    for run in runs {
        let chunks = world.store.chunks(run.id, 0, u32::MAX).await.map_err(|error| error.to_string())?;
        Journal::replay(chunks.iter().map(|(seq, chunk)| (*seq, chunk.as_slice())))
            .map_err(|error| format!("{}: {error}", run.id))?;
        let entries = world.entries(run.id).await;
        let ended = entries.iter().rev().find_map(|entry| match entry {
            Entry::Ended { how, .. } => Some(how),
            _ => None,
        });
        let fits = matches!(
            (run.status, ended),
            (RunStatus::Succeeded, Some(Ending::Succeeded))
                | (RunStatus::Failed, Some(Ending::Failed))
                | (RunStatus::Cancelled, Some(Ending::Cancelled))
        );
        if !fits {
            return Err(format!("{} is {:?} and its journal says {ended:?}", run.id, run.status));
        }
    }
    Ok(())
}

fn called_once(runs: &[RunRow]) -> Result<(), String> {
    let mut called = HashMap::new();
    for run in runs {
        if let Some(parent) = &run.parent
            && let Some(other) = called.insert((parent.run, parent.path.clone()), run.id)
        {
            return Err(format!("{} called {other} and {}", parent.run, run.id));
        }
    }
    Ok(())
}

/// Every failure of a recipe that wants it told was told at least once, and none that did not happen.
fn failures_are_told(runs: &[RunRow]) -> Result<(), String> {
    let failed = runs.iter().filter(|run| run.slug == "saga" && run.status == RunStatus::Failed).count();
    let told = runs.iter().filter(|run| run.slug == "alarm").count();
    if told < failed { Err(format!("{failed} failed, {told} were told")) } else { Ok(()) }
}

/// A dead letter that was replayed, by however many at once, is one new run; what somebody was told was dealt with is.
fn letters_are_settled_once(runs: &[RunRow], settled: &BTreeSet<RunId>) -> Result<(), String> {
    for run in runs {
        let replays = runs.iter().filter(|one| one.replay_of == Some(run.id)).count();
        if replays > 1 {
            return Err(format!("{} was replayed by {replays} runs", run.id));
        }
        if run.dead_letter == Some(DeadLetter::Replayed) && replays == 0 {
            return Err(format!("{} counts as replayed, and no run replays it", run.id));
        }
        if settled.contains(&run.id) && run.dead_letter == Some(DeadLetter::Open) {
            return Err(format!("{} was dealt with and is still open", run.id));
        }
    }
    Ok(())
}

/// Each item of each page went through each step.
fn streams_are_whole(runs: &[RunRow], seen: &[Seen]) -> Result<(), String> {
    for run in runs.iter().filter(|run| run.slug == "pages" && run.status == RunStatus::Succeeded) {
        let id = run.id.to_string();
        for step in ["up", "pay"] {
            let of = |one: &&Seen| one.run == id && one.path.ends_with(&format!("].{step}"));
            let items: BTreeSet<Option<u64>> = seen.iter().filter(of).map(|one| one.input["item"].as_u64()).collect();
            if items != (0..PAGES * 2).map(Some).collect() {
                return Err(format!("{id} succeeded and {step} was done for {items:?}"));
            }
        }
    }
    Ok(())
}

/// What counts as paid was paid; that nothing was paid twice is told of all calls.
fn all_is_paid(sent: &BTreeMap<u64, Sent>, runs: &[RunRow], seen: &[Seen]) -> Result<(), String> {
    for event in sent.values().filter(|event| event.recipe == "bank") {
        let Some(row) = runs.iter().find(|row| Some(row.id) == event.run && row.status == RunStatus::Succeeded) else { continue };
        let items = event.data["items"].as_array().map_or(0, Vec::len);
        let steps = (0..items).map(|place| format!("push[{place}].pay")).chain(["fee".to_owned()]);
        for step in steps {
            if !seen.iter().any(|one| one.run == row.id.to_string() && one.path == step) {
                return Err(format!("{} {step} counts as paid and never was", row.id));
            }
        }
    }
    Ok(())
}

/// Triggers that ask: each thing starts one run, however often it is told.
async fn everything_asked_for_is_told_once(world: &World) -> Result<(), String> {
    match Source::told_wrongly(world).await {
        (untold, twice) if untold.is_empty() && twice.is_empty() => Ok(()),
        (untold, twice) => Err(format!("things {untold:?} started no run, and {twice:?} several")),
    }
}

/// Schedules: each fire time from the first to the last has its one run, and none has one before its time.
async fn fire_times_have_one_run_each(world: &World, runs: &[RunRow]) -> Result<(), String> {
    let mut fired = Vec::new();
    for run in runs.iter().filter(|run| run.via == Via::Schedule) {
        let entries = world.entries(run.id).await;
        let Some(Entry::Accepted { event, .. }) = entries.first() else { return Err(format!("{} was never accepted", run.id)) };
        let at = event["scheduled_at"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        fired.push(at.ok_or_else(|| format!("{event} is no fire time"))?.as_second());
    }
    fired.sort_unstable();
    let now = world.now().micros() / 1_000_000;
    if let Some(two) = fired.windows(2).find(|two| two[1] - two[0] != TICK_S) {
        return Err(format!("fire times {two:?} follow each other"));
    }
    match (fired.first(), fired.last()) {
        (Some(first), Some(last)) if *first > BEGIN / 1_000_000 + TICK_S || *last > now || *last < now - 2 * TICK_S => {
            Err(format!("schedules fired from {first} to {last}, the story went from {BEGIN} µs to {now}"))
        }
        _ => Ok(()),
    }
}

/// What is done to many dead letters at once is done to each, or was stopped.
async fn operations_end(world: &World) -> Result<(), String> {
    for operation in world.store.operations(None, 100).await.map_err(|error| error.to_string())? {
        let dealt_with = operation.done + operation.failed;
        let stopped = operation.state == OperationState::Stopped && dealt_with <= operation.total;
        if !(stopped || operation.state == OperationState::Done && dealt_with == operation.total) {
            return Err(format!("it did not end well: {operation:?}"));
        }
        let items = world.store.operation_items(operation.id, None, None, u32::MAX).await.map_err(|error| error.to_string())?;
        for item in &items {
            let settled = matches!(item.state, ItemState::Done | ItemState::Failed);
            if !(settled || stopped && item.state == ItemState::Pending) {
                return Err(format!("{operation:?} left {item:?}"));
            }
            if item.state == ItemState::Done && (item.result.is_some() != (operation.kind == OperationKind::Replay)) {
                return Err(format!("{operation:?} says of what it did {item:?}"));
            }
        }
    }
    Ok(())
}

/// So many branches succeeded as were waited for, and none begins anything once they did.
async fn enough_branches_were_waited_for(world: &World, runs: &[RunRow]) -> Result<(), String> {
    for run in runs.iter().filter(|run| run.slug == "race" && run.status == RunStatus::Succeeded) {
        let entries = world.entries(run.id).await;
        let Some(Entry::Ended { out: Some(out), .. }) = entries.last() else { return Err(format!("{} gave nothing", run.id)) };
        let name = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
        let done = |names: &[&str]| {
            let done = entries.iter().filter_map(|entry| match entry {
                Entry::Succeeded { p, .. } | Entry::Settled { p, .. } => Some(name(p)),
                _ => None,
            });
            done.filter(|name| names.contains(&name.as_str())).collect::<BTreeSet<_>>().len()
        };
        if done(&["quick", "slow"]) < 1 || (out["two"] == "succeeded" && done(&["a", "b", "c"]) < 2) {
            return Err(format!("{} went on too early: {entries:#?}", run.id));
        }
        if (out["soft"] == "succeeded") != (done(&["soft"]) == 1) {
            return Err(format!("{} says that its last step {}: {entries:#?}", run.id, out["soft"]));
        }
        let over = entries.iter().position(|entry| matches!(entry, Entry::Started { p, .. } if **p == *"soft"));
        let late = entries.iter().skip(over.unwrap_or(entries.len())).find(
            |entry| matches!(entry, Entry::Started { p, .. } if ["quick", "slow", "a", "b", "c"].contains(&name(p).as_str())),
        );
        if let Some(late) = late {
            return Err(format!("{} began {late:?} when the others were enough", run.id));
        }
    }
    Ok(())
}

/// A run that waits for a system that is down uses up no try: fifty are plenty.
fn waiting_costs_no_try(runs: &[RunRow]) -> Result<(), String> {
    let down = |run: &&RunRow| run.slug == "gated" && run.error.as_ref().is_some_and(|error| error.code == "DOWN");
    runs.iter().find(down).map_or(Ok(()), |run| Err(format!("{} gave up while the system was down: {:?}", run.id, run.error)))
}

/// Whoever was told that a run is cancelled was told the truth.
fn cancelled_stays_cancelled(sent: &BTreeMap<u64, Sent>, runs: &[RunRow]) -> Result<(), String> {
    for run in sent.values().filter(|sent| sent.cancelled).filter_map(|sent| sent.run) {
        let status = runs.iter().find(|row| row.id == run).map(|row| row.status);
        if status != Some(RunStatus::Cancelled) {
            return Err(format!("{run} was cancelled and is {status:?}"));
        }
    }
    Ok(())
}

/// What goes into a loop comes out of it, done or counted as failed.
async fn loops_count_what_they_did(
    world: &World,
    sent: &BTreeMap<u64, Sent>,
    runs: &[RunRow],
    seen: &[Seen],
) -> Result<(), String> {
    for event in sent.values().filter(|event| event.recipe == "fan") {
        let Some(row) = runs.iter().find(|row| Some(row.id) == event.run && row.status == RunStatus::Succeeded) else { continue };
        let entries = world.entries(row.id).await;
        let Some(Entry::Ended { out: Some(out), .. }) = entries.last() else { return Err(format!("{} gave nothing", row.id)) };
        let items = event.data["items"].as_array().map_or(0, Vec::len);
        let results = out["results"].as_array().cloned().unwrap_or_default();
        let failed = results.iter().filter(|result| result.is_null()).count();
        let counted = ["total", "failed", "filtered"].map(|name| out[name].as_u64());
        if counted != [Some(items as u64), Some(failed as u64), Some(0)] || results.len() != items {
            return Err(format!("{}: {items} items went in, {out} came out", row.id));
        }
        for (place, result) in results.iter().enumerate() {
            let path = format!("push[{place}].once");
            let done = seen.iter().any(|one| one.run == row.id.to_string() && one.path == path);
            if !result.is_null() && !done {
                return Err(format!("{} {path} counts as done and never was", row.id));
            }
        }
    }
    Ok(())
}

/// What a failed run did is taken back, newest first.
async fn what_was_done_last_is_undone_first(world: &World, runs: &[RunRow], seen: &[Seen]) -> Result<(), String> {
    for run in runs.iter().filter(|run| run.slug == "saga" && run.status == RunStatus::Failed) {
        let entries = world.entries(run.id).await;
        let on_purpose = matches!(entries.last(), Some(Entry::Ended { err: Some(err), .. }) if err.code == "FAILED_BY_RECIPE");
        let began = |path: &str| entries.iter().any(|entry| matches!(entry, Entry::Started { p, .. } if **p == *path));
        if on_purpose && !(began("bill.undo") && began("reserve.undo")) {
            return Err(format!("{} failed and did not take back what it did", run.id));
        }
        // A resumed run may have tried, in vain, to take back its older steps before it did its newer ones.
        let resumed = entries.iter().rev().find_map(|entry| if let Entry::Resumed { at, .. } = entry { Some(*at) } else { None });
        let calls: Vec<&Seen> =
            seen.iter().filter(|one| one.run == run.id.to_string() && resumed.is_none_or(|resumed| one.at >= resumed)).collect();
        let first = |path: &str| calls.iter().position(|one| one.path == path);
        if let (Some(newest), Some(oldest)) = (first("bill.undo"), first("reserve.undo"))
            && oldest < newest
        {
            return Err(format!("{} took back the oldest first\ncalls: {calls:#?}\njournal: {entries:#?}", run.id));
        }
    }
    Ok(())
}

/// Runs of one key never overlap, and go in the order in which their events were taken: an event that is only sent once
/// another was taken comes after it, whatever the clocks said.
async fn order_is_kept(world: &World, sent: &BTreeMap<u64, Sent>, runs: &[RunRow], seen: &[Seen]) -> Result<(), String> {
    let mut spans: BTreeMap<String, Vec<(i64, i64, u64, String)>> = BTreeMap::new();
    // What a cancelled run has under way may still happen, and nobody waits for it.
    let in_order = |run: &&RunRow| {
        (run.slug == "keyed" || run.slug == "counter") && run.status != RunStatus::Cancelled && run.via == Via::Api
    };
    for run in runs.iter().filter(in_order) {
        let id = run.id.to_string();
        let made: Vec<i64> = seen.iter().filter(|one| one.run == id).map(|one| one.at.micros()).collect();
        // A run that a person resumed queued up anew.
        let entries = world.entries(run.id).await;
        if entries.iter().any(|entry| matches!(entry, Entry::Resumed { .. })) {
            continue;
        }
        let Some(Entry::Accepted { event, .. }) = entries.first() else { return Err(format!("{id} was never accepted")) };
        let place = sent.values().find(|sent| sent.run == Some(run.id)).and_then(|sent| sent.place);
        let Some(number) = place else { return Err(format!("{id} is the run of no event that was sent")) };
        let key = match run.slug.as_str() {
            "keyed" => format!("keyed {}", event["n"].as_i64().unwrap_or(0) % 3),
            slug => slug.to_owned(),
        };
        if let (Some(first), Some(last)) = (made.iter().min(), made.iter().max()) {
            spans.entry(key).or_default().push((*first, *last, number, id));
        }
    }
    for (key, mut spans) in spans {
        spans.sort();
        for pair in spans.windows(2) {
            if pair[1].0 <= pair[0].1 {
                return Err(format!("{key}: {pair:?} overlap"));
            }
            if pair[1].2 < pair[0].2 {
                return Err(format!("{key}: {pair:?} overtook each other"));
            }
        }
    }
    Ok(())
}

/// Everything but some items was done, and then somebody cancelled, replayed or discarded the run: what it saved stays.
async fn everything_was_done(world: &World, run: &RunRow) -> bool {
    let partly = |entry: &Entry| matches!(entry, Entry::Ended { err: Some(err), .. } if err.code == store::ITEMS_FAILED);
    matches!(run.status, RunStatus::Cancelled | RunStatus::Failed) && world.entries(run.id).await.iter().any(partly)
}

/// State: each run that succeeded counts once, also one whose items failed first.
async fn counts(world: &World, runs: &[RunRow]) -> Result<(), String> {
    for slug in ["counter", "partly"] {
        let mut counters: Vec<&RunRow> = Vec::new();
        for run in runs.iter().filter(|run| run.slug == slug) {
            if run.status == RunStatus::Succeeded || everything_was_done(world, run).await {
                counters.push(run);
            }
        }
        let Some(recipe) = counters.first().map(|run| run.recipe) else { continue };
        let state = world.store.recipe_state(recipe).await.map_err(|error| error.to_string())?;
        if state.get("n") != Some(&Value::from(counters.len())) {
            return Err(format!("{} runs of {slug} counted, the state says {:?}", counters.len(), state.get("n")));
        }
    }
    Ok(())
}
