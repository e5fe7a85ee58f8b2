//! Files by reference: what connectors stream into and out of the blob store.
//!
//! A token carries a MAC over hash and length, so data from outside can never name a content it was not
//! given. A run refers to a file from the commit on in which its data first holds the token.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak, atomic::Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use connector::{
    ErrorClass, StepError,
    files::{File, FileReader, FileWriter, Files, Known, TOKEN_PREFIX, safe_name, safe_type},
};
use hmac::Mac;
use memchr::memmem;
use serde_json::{Value as Json, json};
use store::{
    BlobId, BlobReader, BlobRef, BlobWriter, LoopRows, Row, RunId, StoreError, UploadId, filled_by, for_each_row, read_blob,
};

use crate::{Addresses, Engine, decide::Attempt};

const HASH_DIGITS: usize = 64;
const SIZE_DIGITS: usize = 16;
/// Chunks of a journal read in one look for what a loop gave.
const RESULT_CHUNKS: u32 = 64;
/// Lines are written together up to so many bytes.
const LINES_BYTES: usize = 256 * 1024;
/// Media type of a file of JSON lines (jsonlines.org).
pub(crate) const RESULTS_TYPE: &str = "application/jsonl";
const PROOF_BYTES: usize = 16;
/// A token without its beginning.
const TOKEN_DIGITS: usize = HASH_DIGITS + SIZE_DIGITS + PROOF_BYTES * 2;

impl Addresses {
    /// The token of a content.
    fn file_token(&self, known: Known) -> String {
        let named = format!("{}{:016x}", hex::encode(known.sha256), known.size);
        let proof = self.keyed(b"file\0", &[named.as_bytes()]).finalize().into_bytes();
        format!("{TOKEN_PREFIX}{named}{}", hex::encode(&proof[..PROOF_BYTES]))
    }

    /// What a token stands for; `None` when it was not made here.
    fn file(&self, token: &str) -> Option<Known> {
        let digits = token.strip_prefix(TOKEN_PREFIX).filter(|digits| digits.len() == TOKEN_DIGITS && digits.is_ascii())?;
        let (named, proof) = digits.split_at(HASH_DIGITS + SIZE_DIGITS);
        let mut bytes = [0; PROOF_BYTES];
        hex::decode_to_slice(proof, &mut bytes).ok()?;
        self.keyed(b"file\0", &[named.as_bytes()]).verify_truncated_left(&bytes).ok()?;
        let mut sha256 = [0; 32];
        hex::decode_to_slice(&named[..HASH_DIGITS], &mut sha256).ok()?;
        Some(Known { sha256, size: u64::from_str_radix(&named[HASH_DIGITS..], 16).ok()? })
    }

    /// The contents whose tokens stand in a JSON text.
    pub(crate) fn files_in(&self, text: &[u8], found: &mut BTreeSet<BlobId>) {
        let prefix = TOKEN_PREFIX.as_bytes();
        for at in memmem::find_iter(text, prefix) {
            let token = text.get(at..at + prefix.len() + TOKEN_DIGITS).and_then(|token| std::str::from_utf8(token).ok());
            if let Some(known) = token.and_then(|token| self.file(token)) {
                found.insert(BlobId(known.sha256));
            }
        }
    }
}

/// References to contents that are kept already.
pub(crate) fn kept(found: BTreeSet<BlobId>) -> Vec<BlobRef> {
    found.into_iter().map(|id| BlobRef { id, content: None }).collect()
}

impl Engine {
    /// Keeps a file that came with an event.
    ///
    /// # Errors
    /// When there is no room for it or the store does not answer.
    pub async fn keep_file(&self, name: &str, kind: &str, content: &[u8]) -> Result<File, StepError> {
        let mut writer = self.begin_file().await?;
        self.write_file(&mut writer, content).await?;
        self.finish_file(writer, name, kind).await
    }

    async fn begin_file(&self) -> Result<BlobWriter, StepError> {
        let (kept, max) = (self.blob_bytes.load(Ordering::Relaxed), self.settings.blobs_bytes_max);
        if kept >= max {
            let message = format!("there is no room for another file: {kept} bytes are kept, and {max} are allowed");
            let error = StepError::new(ErrorClass::Server, "FILES_FULL", message);
            return Err(error.with_next("Raise the setting blobs_bytes_max, or let runs be kept for a shorter time."));
        }
        BlobWriter::begin(Arc::clone(&self.store), UploadId::new(self.now(), self.random())).map_err(not_kept)
    }

    async fn write_file(&self, writer: &mut BlobWriter, bytes: &[u8]) -> Result<(), StepError> {
        let max = self.settings.file_bytes_max;
        if writer.size().saturating_add(bytes.len() as u64) > max {
            let message = format!("the file is larger than {max} bytes");
            return Err(
                StepError::new(ErrorClass::Invalid, "FILE_TOO_LARGE", message).with_next("Raise the setting file_bytes_max.")
            );
        }
        writer.write(bytes).await.map_err(not_kept)
    }

    async fn finish_file(&self, writer: BlobWriter, name: &str, kind: &str) -> Result<File, StepError> {
        let row = writer.finish(self.now()).await.map_err(not_kept)?;
        self.blob_bytes.fetch_add(row.packed, Ordering::Relaxed);
        metrics::counter!("liaison_files_kept_total").increment(1);
        Ok(File {
            token: self.addresses.file_token(Known { sha256: row.id.0, size: row.size }),
            name: safe_name(name),
            kind: safe_type(kind),
            size: row.size,
            sha256: row.id.to_string(),
        })
    }
}

impl Engine {
    /// Writes what the passes of a loop gave into a file, one line each, page by page from the journal.
    pub(crate) async fn write_results(&self, run: RunId, attempt: &Attempt, last_step: Option<&str>) -> Result<Json, StepError> {
        let (file, written) = self.results_file(run, attempt, last_step).await?;
        let counted = |name: &str| attempt.input[name].as_u64();
        let (total, failed) = (counted("total").unwrap_or_default(), counted("failed").unwrap_or_default());
        // A loop that began before this was counted does not say.
        let filtered = counted("filtered").unwrap_or_else(|| total.saturating_sub(failed + written));
        if written + failed + filtered != total {
            let message = format!(
                "{total} passes were made, of which {failed} failed and {filtered} gave nothing, but {written} lines were found"
            );
            return Err(StepError::new(ErrorClass::Internal, "RESULTS_LOST", message)
                .with_next("Nothing was handed on. Keep this run and report it: its journal tells what each pass gave."));
        }
        Ok(json!({ "file": file.json(), "total": total, "failed": failed, "filtered": filtered }))
    }

    async fn results_file(&self, run: RunId, attempt: &Attempt, last_step: Option<&str>) -> Result<(File, u64), StepError> {
        let mut writer = self.begin_file().await?;
        let mut written = 0;
        let mut found = LoopRows::new(filled_by(&attempt.path).unwrap_or(&attempt.path), last_step);
        let (mut next, mut rows, mut lines) = (0, Vec::new(), Vec::new());
        // However many there are: each part of them has its time.
        let limit = attempt.step.timeout;
        let late = |_| {
            let message = format!("a part of the results was not read and written within {} s", limit.as_secs());
            StepError::new(ErrorClass::Timeout, "FILE_STORE", message)
                .with_next("Find out why the database or the disk is that slow, then resume the run.")
        };
        loop {
            let part = async {
                let part = self.store.chunks(run, next, RESULT_CHUNKS).await.map_err(not_kept)?;
                for (seq, bytes) in &part {
                    found.take(bytes, |row| rows.push(row)).map_err(not_kept)?;
                    for row in rows.drain(..) {
                        written += self.line(row, &mut lines).await.map_err(not_kept)?;
                        if lines.len() >= LINES_BYTES {
                            self.write_file(&mut writer, &lines).await?;
                            lines.clear();
                        }
                    }
                    next = seq + 1;
                }
                Ok(part.len())
            };
            if tokio::time::timeout(limit, part).await.map_err(late)?? < RESULT_CHUNKS as usize {
                break;
            }
        }
        self.write_file(&mut writer, &lines).await?;
        let name = attempt.input["file"].as_str().unwrap_or("results.jsonl");
        Ok((self.finish_file(writer, name, RESULTS_TYPE).await?, written))
    }

    /// Adds what is a line or a list of them; returns how many.
    async fn line(&self, row: Row, lines: &mut Vec<u8>) -> Result<u64, StoreError> {
        let mut count = 1;
        match row {
            Row::Text(text) => end_line(lines, text.as_bytes()),
            Row::Kept(id) => end_line(lines, &read_blob(&self.store, id).await?),
            Row::KeptList(id) => {
                count = 0;
                for_each_row(&read_blob(&self.store, id).await?, |text| {
                    count += 1;
                    end_line(lines, text.as_bytes());
                })?;
            }
        }
        Ok(count)
    }
}

fn end_line(lines: &mut Vec<u8>, text: &[u8]) {
    lines.extend_from_slice(text);
    lines.push(b'\n');
}

fn not_kept(error: StoreError) -> StepError {
    let class = if matches!(error, StoreError::Unavailable(_)) { ErrorClass::Server } else { ErrorClass::Internal };
    StepError::new(class, "FILE_STORE", format!("the content of a file could not be written or read: {error}"))
}

/// The files of an engine, as its connectors reach them.
pub(crate) struct EngineFiles(pub(crate) Weak<Engine>);

impl EngineFiles {
    async fn engine(&self) -> Result<Arc<Engine>, StepError> {
        self.0.upgrade().ok_or_else(|| StepError::new(ErrorClass::Server, "STOPPING", "this process is stopping"))
    }
}

#[async_trait]
impl Files for EngineFiles {
    fn known(&self, token: &str) -> Option<Known> {
        self.0.upgrade()?.addresses.file(token)
    }

    async fn create(&self) -> Result<Box<dyn FileWriter>, StepError> {
        let engine = self.engine().await?;
        let writer = engine.begin_file().await?;
        Ok(Box::new(Writing { engine, writer }))
    }

    async fn open(&self, token: &str) -> Result<Box<dyn FileReader>, StepError> {
        let engine = self.engine().await?;
        let unknown = || StepError::new(ErrorClass::Invalid, "FILE_UNKNOWN", "this is not a file that is kept here");
        let known = engine.addresses.file(token).ok_or_else(unknown)?;
        let reader = BlobReader::open(Arc::clone(&engine.store), BlobId(known.sha256)).await.map_err(not_kept)?;
        let reader = reader.ok_or_else(|| {
            StepError::new(
                ErrorClass::NotFound,
                "FILE_GONE",
                "the file is not kept any more: it went with the last run that spoke of it",
            )
            .with_next("Fetch it again, or let the runs that hold it be kept for longer.")
        })?;
        Ok(Box::new(Reading(reader)))
    }
}

struct Writing {
    engine: Arc<Engine>,
    writer: BlobWriter,
}

#[async_trait]
impl FileWriter for Writing {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), StepError> {
        self.engine.write_file(&mut self.writer, bytes).await
    }

    async fn finish(self: Box<Self>, name: &str, kind: &str) -> Result<File, StepError> {
        self.engine.finish_file(self.writer, name, kind).await
    }
}

struct Reading(BlobReader);

#[async_trait]
impl FileReader for Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, StepError> {
        self.0.next().await.map_err(not_kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_made_here_stand_for_something() {
        let (ours, theirs) = (Addresses::new("https://a.example", [7; 32]), Addresses::new("https://a.example", [8; 32]));
        let known = Known { sha256: [3; 32], size: 50_000_000 };
        let token = ours.file_token(known);
        assert_eq!(ours.file(&token), Some(known));
        assert_eq!(theirs.file(&token), None);
        for forged in [
            format!("{TOKEN_PREFIX}{}{}", "04".repeat(32), &token[TOKEN_PREFIX.len() + HASH_DIGITS..]),
            token.replacen("0000", "0001", 1),
            token[..token.len() - 1].to_owned(),
            format!("{token}0"),
            format!("{TOKEN_PREFIX}{}", "ü".repeat(TOKEN_DIGITS / 2)),
            String::new(),
        ] {
            assert_eq!(ours.file(&forged), None, "{forged}");
        }
        let text = serde_json::json!({"a": [token, {"b": token}], "c": forged_of(&token), TOKEN_PREFIX: "d"}).to_string();
        let mut found = BTreeSet::new();
        ours.files_in(text.as_bytes(), &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [BlobId([3; 32])]);
    }

    fn forged_of(token: &str) -> String {
        token.replace("03", "05")
    }
}
