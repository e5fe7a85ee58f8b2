//! A place for files in memory, as the engine gives connectors one in its blob store.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use connector::{
    ErrorClass, StepError,
    files::{File, FileReader, FileWriter, Files, Known, TOKEN_PREFIX, safe_name, safe_type},
};

/// The files, in the order they came.
#[derive(Default)]
pub(crate) struct Shelf {
    files: Mutex<Vec<Vec<u8>>>,
    /// A file that breaks off.
    torn: Mutex<Option<usize>>,
    opened: AtomicUsize,
}

impl Shelf {
    pub(crate) fn put(&self, name: &str, kind: &str, content: &[u8]) -> File {
        let mut files = self.files.lock().unwrap();
        files.push(content.to_vec());
        File {
            token: format!("{TOKEN_PREFIX}{}", files.len() - 1),
            name: safe_name(name),
            kind: safe_type(kind),
            size: content.len() as u64,
            sha256: "00".repeat(32),
        }
    }

    pub(crate) fn contents(&self) -> Vec<Vec<u8>> {
        self.files.lock().unwrap().clone()
    }

    /// How often a file was opened to be read.
    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    /// The next reading of this file breaks off in its middle.
    pub(crate) fn tear(&self, number: usize) {
        *self.torn.lock().unwrap() = Some(number);
    }
}

fn number(token: &str) -> Option<usize> {
    token.strip_prefix(TOKEN_PREFIX)?.parse().ok()
}

/// A shelf as connectors see it.
pub(crate) struct Door(pub(crate) Arc<Shelf>);

#[async_trait]
impl Files for Door {
    fn known(&self, token: &str) -> Option<Known> {
        let files = self.0.files.lock().unwrap();
        files.get(number(token)?).map(|content| Known { sha256: [0; 32], size: content.len() as u64 })
    }

    async fn create(&self) -> Result<Box<dyn FileWriter>, StepError> {
        Ok(Box::new(Writing(Arc::clone(&self.0), Vec::new())))
    }

    async fn open(&self, token: &str) -> Result<Box<dyn FileReader>, StepError> {
        let number = number(token).unwrap();
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        let content = self.0.contents().swap_remove(number);
        let torn = self.0.torn.lock().unwrap().take() == Some(number);
        let mut pieces: Vec<Bytes> = content.chunks(3).map(Bytes::copy_from_slice).collect();
        pieces.reverse();
        Ok(Box::new(Reading(pieces, torn)))
    }
}

struct Writing(Arc<Shelf>, Vec<u8>);

#[async_trait]
impl FileWriter for Writing {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), StepError> {
        self.1.extend_from_slice(bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>, name: &str, kind: &str) -> Result<File, StepError> {
        Ok(self.0.put(name, kind, &self.1))
    }
}

struct Reading(Vec<Bytes>, bool);

#[async_trait]
impl FileReader for Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, StepError> {
        if self.1 && self.0.len() == 1 {
            return Err(StepError::new(ErrorClass::Internal, "FILE_STORE", "the content is damaged"));
        }
        Ok(self.0.pop())
    }
}
