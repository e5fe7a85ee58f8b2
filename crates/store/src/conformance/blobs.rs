//! Blobs: kept once, read whole or not at all, gone when nobody refers to them.

use std::sync::Arc;

use super::{
    Bed,
    parts::{accept, at, chunk_count, dice, first_commit, new_run, recipe, run_id, running, worker, write},
};
use crate::{
    BLOB_PART_BYTES, Beside, BlobId, BlobReader, BlobRef, BlobWriter, Committed, NewRun, RunCommit, Store, StoreError, Then,
    UploadId, WorkerId, put_blob, read_blob,
};

/// So many bytes that do not repeat, and so do not get shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(length)
    .collect()
}

async fn put(store: &Arc<dyn Store>, content: &[u8], second: i64) -> BlobId {
    put_blob(store, content, at(second), dice(u64::from(content.len() as u32))).await.unwrap()
}

fn refers(id: BlobId) -> Vec<Beside> {
    vec![Beside::Refers(vec![BlobRef { id, content: None }])]
}

/// A content of several parts, written in odd pieces, comes back as it was, also in another process.
pub async fn kept_and_read(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let content = noise(3 * BLOB_PART_BYTES + 77);
    let mut writer = BlobWriter::begin(Arc::clone(&store), UploadId::new(at(1), dice(1))).unwrap();
    for piece in content.chunks(77_777) {
        writer.write(piece).await.unwrap();
    }
    assert_eq!(writer.size(), content.len() as u64);
    let row = writer.finish(at(2)).await.unwrap();
    assert_eq!((row.id, row.size), (BlobId::of(&content), content.len() as u64));
    let other = bed.another().await;
    assert_eq!(other.blob(row.id).await.unwrap(), Some(row));
    assert_eq!(read_blob(&other, row.id).await.unwrap(), content);
    assert!(other.read_part(row.id, 3).await.unwrap().is_some_and(|part| part.len() < BLOB_PART_BYTES));
    assert_eq!(other.read_part(row.id, 4).await.unwrap(), None);
    assert_eq!(other.blob(BlobId([0; 32])).await.unwrap(), None);
    let empty = put(&store, b"", 3).await;
    assert_eq!(read_blob(&store, empty).await.unwrap(), b"");
}

/// What repeats takes little room, and comes back in pieces of bounded length however far it unfolds.
pub async fn what_repeats_takes_little_room(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let content = vec![b'a'; 20 * 1024 * 1024];
    let id = put(&store, &content, 1).await;
    let mut reader = BlobReader::open(Arc::clone(&store), id).await.unwrap().unwrap();
    assert!(reader.row().packed < 100_000, "{:?}", reader.row());
    let (mut length, mut longest) = (0, 0);
    while let Some(piece) = reader.next().await.unwrap() {
        assert!(piece.iter().all(|byte| *byte == b'a'));
        (length, longest) = (length + piece.len(), longest.max(piece.len()));
    }
    assert_eq!(length, content.len());
    assert!(longest <= BLOB_PART_BYTES, "{longest}");
}

/// The same content again is the same blob, and both writers are told so.
pub async fn the_same_content_is_kept_once(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let content = noise(BLOB_PART_BYTES + 1);
    let mut writers = Vec::new();
    for (number, store) in [(1, &store), (2, &other)] {
        let mut writer = BlobWriter::begin(Arc::clone(store), UploadId::new(at(1), dice(number))).unwrap();
        writer.write(&content).await.unwrap();
        writers.push(writer);
    }
    let mut ids = Vec::new();
    for (second, writer) in (5..).zip(writers) {
        ids.push(writer.finish(at(second)).await.unwrap().id);
    }
    ids.push(put(&store, &content, 7).await);
    assert_eq!(ids, [BlobId::of(&content); 3]);
    let totals = store.blob_totals().await.unwrap();
    assert_eq!((totals.count, totals.size), (1, content.len() as u64));
    assert!(totals.packed > 0);
    let row = other.blob(ids[0]).await.unwrap().unwrap();
    assert_eq!((row.kept_at, row.touched_at), (at(5), at(7)));
    assert_eq!(read_blob(&other, ids[0]).await.unwrap(), content);
}

/// A changed byte is told in words, the whole content is refused, and writing it again mends it.
pub async fn a_damaged_blob_says_so(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let content = noise(BLOB_PART_BYTES * 2 + 5);
    let id = put(&store, &content, 1).await;
    bed.damage_blob(id).await;
    match read_blob(&store, id).await {
        Err(StoreError::Corrupt(told)) => assert!(told.contains(&id.to_string()) && told.contains("is damaged"), "{told}"),
        other => panic!("{:?}", other.map(|content| content.len())),
    }
    let mut writer = BlobWriter::begin(Arc::clone(&store), UploadId::new(at(2), dice(9))).unwrap();
    writer.write(&content).await.unwrap();
    writer.finish(at(2)).await.unwrap();
    assert_eq!(read_blob(&store, id).await.unwrap(), content);
    match read_blob(&store, BlobId([7; 32])).await {
        Err(StoreError::Corrupt(told)) => assert!(told.contains("it is not there"), "{told}"),
        other => panic!("{other:?}"),
    }
}

/// Content nobody refers to stays for its grace, counted from when it was last wanted.
pub async fn unreferenced_blobs_go_after_a_time(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (old, wanted) = (put(&store, b"old", 10).await, put(&store, b"wanted", 10).await);
    assert_eq!(store.drop_unreferenced_blobs(at(10), 100).await.unwrap(), 0);
    assert!(store.touch_blob(wanted, at(20)).await.unwrap());
    assert!(store.touch_blob(wanted, at(15)).await.unwrap(), "an old wish takes nothing back");
    assert!(!store.touch_blob(BlobId([1; 32]), at(20)).await.unwrap());
    assert_eq!(store.drop_unreferenced_blobs(at(11), 100).await.unwrap(), 1);
    assert_eq!(store.blob(old).await.unwrap(), None);
    assert!(read_blob(&store, old).await.is_err());
    assert_eq!(store.drop_unreferenced_blobs(at(20), 100).await.unwrap(), 0);
    for content in [b"a", b"b", b"c"] {
        put(&store, content, 12).await;
    }
    assert_eq!(store.drop_unreferenced_blobs(at(20), 2).await.unwrap(), 2, "no more than asked for");
    assert_eq!(store.drop_unreferenced_blobs(at(21), 100).await.unwrap(), 2);
    assert_eq!(store.blob_totals().await.unwrap().count, 0);
    let again = put(&store, b"old", 30).await;
    assert_eq!((again, read_blob(&store, again).await.unwrap()), (old, b"old".to_vec()));
}

/// An upload that was given up or left behind keeps nothing, and one under way is left alone.
pub async fn unfinished_uploads_go(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let begin = |second| BlobWriter::begin(Arc::clone(&store), UploadId::new(at(second), dice(3))).unwrap();
    let content = noise(BLOB_PART_BYTES * 2);
    let (mut given_up, mut left, mut under_way) = (begin(1), begin(2), begin(50));
    for writer in [&mut given_up, &mut left, &mut under_way] {
        writer.write(&content).await.unwrap();
    }
    given_up.give_up().await.unwrap();
    drop(left);
    assert_eq!(store.drop_unreferenced_blobs(at(50), 100).await.unwrap(), 0);
    let row = under_way.finish(at(51)).await.unwrap();
    assert_eq!(read_blob(&store, row.id).await.unwrap(), content);
    assert_eq!(store.blob_totals().await.unwrap().count, 1);
}

/// References come with the commit that speaks of them, and a commit that is refused brings none.
pub async fn references_come_with_the_commit(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    let (event, output, stale) =
        (put(&store, b"event", 1).await, put(&store, b"output", 1).await, put(&store, b"stale", 1).await);
    accept(&*store, NewRun { beside: refers(event), ..running(recipe, 1, owner) }).await;
    accept(&*store, new_run(recipe, 2)).await;
    let commit = RunCommit { beside: refers(output), ..first_commit(1, owner, Then::Running) };
    assert_eq!(write(&*store, &commit).await, Committed::Done);
    assert_eq!(write(&*store, &commit).await, Committed::Done, "the same commit twice");
    let lost = RunCommit { beside: refers(stale), seq: 2, ..first_commit(1, WorkerId(owner.0 + 1), Then::Running) };
    assert_eq!(write(&*store, &lost).await, Committed::LeaseLost);
    let known = [event, output, stale].map(|id| store.refers(run_id(1), id));
    assert_eq!(futures_of(known).await, [true, true, false]);
    assert!(!store.refers(run_id(2), event).await.unwrap());
    assert_eq!(chunk_count(&*store, 1).await, 2);
    assert_eq!(store.drop_unreferenced_blobs(at(100), 100).await.unwrap(), 1, "what the refused commit brought");
    assert_eq!(read_blob(&store, output).await.unwrap(), b"output");
}

async fn futures_of<const N: usize>(asked: [impl Future<Output = Result<bool, StoreError>>; N]) -> Vec<bool> {
    let mut answers = Vec::new();
    for one in asked {
        answers.push(one.await.unwrap());
    }
    answers
}

/// Content stays while any of its runs is there, and goes with the last.
pub async fn a_blob_goes_with_its_last_run(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let shared = put(&store, b"shared", 1).await;
    accept(&*store, NewRun { beside: refers(shared), ..new_run(recipe, 1) }).await;
    accept(&*store, new_run(recipe, 2)).await;
    store.refer_blobs(run_id(2), &[shared, shared]).await.unwrap();
    assert_eq!(store.drop_unreferenced_blobs(at(100), 100).await.unwrap(), 0);
    bed.execute("delete from runs where accepted_at = 1760000001000000").await;
    assert_eq!(store.drop_unreferenced_blobs(at(100), 100).await.unwrap(), 0);
    assert!(!store.refers(run_id(1), shared).await.unwrap() && store.refers(run_id(2), shared).await.unwrap());
    bed.execute("delete from runs").await;
    assert_eq!(store.drop_unreferenced_blobs(at(100), 100).await.unwrap(), 1);
    assert_eq!(store.blob(shared).await.unwrap(), None);
}

/// A row that makes no sense is named.
pub async fn blobs_that_make_no_sense(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let id = put(&store, b"content", 1).await;
    bed.execute("update blobs set size = -1").await;
    match store.blob(id).await {
        Err(StoreError::Corrupt(told)) => assert!(told.contains("blobs.size"), "{told}"),
        other => panic!("{other:?}"),
    }
    bed.execute("update blobs set size = 6").await;
    assert!(matches!(read_blob(&store, id).await, Err(StoreError::Corrupt(_))), "longer than the row says");
    bed.execute("update blobs set size = 8").await;
    assert!(matches!(read_blob(&store, id).await, Err(StoreError::Corrupt(_))), "shorter than the row says");
}

/// Whoever reads everything finds each content that is spoken of once, and all who speak of it.
pub async fn who_speaks_of_what(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let (one, two, nobodys) = (put(&store, b"one", 1).await, put(&store, b"two two", 1).await, put(&store, b"nobody's", 1).await);
    for number in 1..=3 {
        accept(&*store, NewRun { beside: refers(one), ..new_run(recipe, number) }).await;
    }
    store.refer_blobs(run_id(2), &[two]).await.unwrap();
    // Kept in mind for a run that is gone, or not there yet.
    store.refer_blobs(run_id(99), &[two]).await.unwrap();
    let mut expected = vec![one, two];
    expected.sort();
    assert_eq!(store.referred_blobs(None, 10).await.unwrap(), expected, "without {nobodys}");
    assert_eq!(store.referred_blobs(None, 1).await.unwrap(), expected[..1]);
    assert_eq!(store.referred_blobs(Some(expected[0]), 10).await.unwrap(), expected[1..]);
    assert_eq!(store.referring_runs(one, 10).await.unwrap(), [run_id(1), run_id(2), run_id(3)]);
    assert_eq!(store.referring_runs(one, 2).await.unwrap(), [run_id(1), run_id(2)]);
    assert_eq!(store.referring_runs(two, 10).await.unwrap(), [run_id(2)]);
}
