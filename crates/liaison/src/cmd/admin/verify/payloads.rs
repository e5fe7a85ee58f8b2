//! Payloads and files: each content that a run speaks of is there and is what it was.

use std::sync::Arc;

use store::{BlobId, BlobReader, Chunk, Entry, Field, RunId, Store, StoreError, missing_blob, open_chunk};

use super::{CHUNKS_MAX, Damage, IDS_MAX, NAMED_MAX, Report};

/// Reads every content that some run speaks of, one part in memory at a time, and names the runs and steps
/// of those that are damaged.
pub(super) async fn contents(store: &Arc<dyn Store>, report: &mut Report) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let ids = store.referred_blobs(after, IDS_MAX).await?;
        let Some(last) = ids.last() else { return Ok(()) };
        after = Some(*last);
        for id in ids {
            match read(store, id).await {
                Ok(()) => report.contents += 1,
                Err(StoreError::Corrupt(problem)) => name(&**store, id, &problem, report).await?,
                Err(error) => return Err(error),
            }
        }
    }
}

async fn read(store: &Arc<dyn Store>, id: BlobId) -> Result<(), StoreError> {
    let mut reader = BlobReader::open(Arc::clone(store), id).await?.ok_or_else(|| missing_blob(id))?;
    while reader.next().await?.is_some() {}
    Ok(())
}

/// A value a chunk keeps apart must be known to belong to its run, or it goes some day.
pub(super) async fn referred(store: &dyn Store, run: RunId, chunk: &[u8], report: &mut Report) -> Result<(), StoreError> {
    // A chunk that cannot be opened is told of by the journal's own check.
    let Ok(Chunk { apart, entries }) = open_chunk(chunk) else { return Ok(()) };
    for apart in apart {
        if !store.refers(run, apart.sha256).await? {
            let (step, what) = place(&entries[apart.entry], Some(apart.field));
            let problem = format!("{what}: it is not noted that the run needs the content {}, so it goes some day", apart.sha256);
            report.note(Damage { step, ..Damage::of("payload", Some(run.to_string()), problem) });
        }
    }
    Ok(())
}

/// Whose content it is, in words.
async fn name(store: &dyn Store, id: BlobId, problem: &str, report: &mut Report) -> Result<(), StoreError> {
    let runs = store.referring_runs(id, u32::try_from(NAMED_MAX).unwrap_or(u32::MAX)).await?;
    for run in runs {
        let places = places(store, run, id).await?;
        // The journal is damaged as well, or a page was forgotten since: the run still says it needs it.
        let unknown = if places.is_empty() { vec![(None, "a content of this run")] } else { Vec::new() };
        for (step, what) in places.into_iter().chain(unknown) {
            let problem = format!("{what}: {problem}");
            report.note(Damage { step, ..Damage::of("payload", Some(run.to_string()), problem) });
        }
    }
    Ok(())
}

/// The steps of a run whose values are that content or hold it as a file.
async fn places(store: &dyn Store, run: RunId, id: BlobId) -> Result<Vec<(Option<String>, &'static str)>, StoreError> {
    let (mut from, mut found) = (0, Vec::new());
    loop {
        let part = store.chunks(run, from, CHUNKS_MAX).await?;
        if part.is_empty() {
            return Ok(found);
        }
        for (seq, bytes) in part {
            from = seq.saturating_add(1);
            let Ok(chunk) = open_chunk(&bytes) else { return Ok(found) };
            found.extend(in_chunk(&chunk, id));
        }
    }
}

fn in_chunk(chunk: &Chunk, id: BlobId) -> Vec<(Option<String>, &'static str)> {
    let apart = chunk.apart.iter().filter(|apart| apart.sha256 == id);
    let mut found: Vec<_> = apart.map(|apart| place(&chunk.entries[apart.entry], Some(apart.field))).collect();
    let digits = id.to_string();
    for entry in &chunk.entries {
        // Files are named by their hash wherever they are.
        if entry.values().any(|(_, value)| value.to_string().contains(&digits)) {
            found.push(place(entry, None));
        }
    }
    found
}

/// Which step, and what of it; a field of `None` is a file in one of its values.
fn place(entry: &Entry, field: Option<Field>) -> (Option<String>, &'static str) {
    let step = entry.path().map(ToString::to_string);
    let what = match (field, &step) {
        (None, _) => "a file",
        (Some(Field::Event), _) => "the event it began with",
        (Some(Field::Params), _) => "the parameters it began with",
        (Some(Field::State), _) => "the state it found",
        (Some(Field::In), _) => "the input",
        (Some(Field::Out), Some(_)) => "the output",
        (Some(Field::Out), None) => "the result",
        (Some(Field::Ask), _) => "what people are asked",
    };
    (step, what)
}
