//! Files by reference: content that steps hand on without reading it.
//!
//! In data a file is a record, `{file, name, type, size, sha256}`. Its `file` is a token that only this
//! installation makes, so that no sender of data can name a content it was not given. The content itself
//! is streamed, never held whole.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value as Json, json};

use crate::{ErrorClass, StepError};

/// What every token begins with.
pub const TOKEN_PREFIX: &str = "lsnfile_";
/// Longest file name kept.
const NAME_CHARS_MAX: usize = 200;
/// Longest media type kept.
const TYPE_CHARS_MAX: usize = 100;

/// What a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    /// Its length in bytes.
    pub size: u64,
}

/// A file as steps hand it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its token.
    pub token: String,
    /// Its name, without folders.
    pub name: String,
    /// Its media type.
    pub kind: String,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
}

impl File {
    /// The record that stands for it in data.
    #[must_use]
    pub fn json(&self) -> Json {
        json!({ "file": self.token, "name": self.name, "type": self.kind, "size": self.size, "sha256": self.sha256 })
    }

    /// JSON Schema of that record.
    #[must_use]
    pub fn schema() -> Json {
        json!({
            "type": "object",
            "title": "File",
            "description": "A file by reference, as a download or an upload gave it.",
            "properties": {
                "file": {"type": "string", "description": "Stands for the content; only Liaison makes it."},
                "name": {"type": "string"},
                "type": {"type": "string"},
                "size": {"type": "integer", "description": "Bytes."},
                "sha256": {"type": "string"}
            },
            "required": ["file"]
        })
    }

    /// The file a value stands for; `None` when it is none.
    ///
    /// # Errors
    /// When it looks like one but its token was not made here.
    pub fn read(value: &Json, files: Option<&Arc<dyn Files>>) -> Result<Option<Self>, StepError> {
        let Some(token) = value.get("file").and_then(Json::as_str) else { return Ok(None) };
        let Some(Known { sha256, size }) = files.and_then(|files| files.known(token)) else {
            return Err(StepError::new(
                ErrorClass::Invalid,
                "FILE_UNKNOWN",
                "the record names a file, but not one that this installation of Liaison keeps",
            )
            .with_next("Take the record as a step or the trigger gave it, whole and unchanged."));
        };
        let text = |name: &str| value.get(name).and_then(Json::as_str);
        Ok(Some(Self {
            token: token.to_owned(),
            name: safe_name(text("name").unwrap_or_default()),
            kind: safe_type(text("type").unwrap_or_default()),
            size,
            sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
        }))
    }
}

/// A name without folders and marks that mean something elsewhere.
#[must_use]
pub fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|char| !char.is_control()).take(NAME_CHARS_MAX).collect();
    let name = name.trim();
    if name.is_empty() || name.chars().all(|char| char == '.') { "file".to_owned() } else { name.to_owned() }
}

/// A media type that fits into a header.
#[must_use]
pub fn safe_type(kind: &str) -> String {
    let kind = kind.trim();
    let fits =
        kind.contains('/') && kind.len() <= TYPE_CHARS_MAX && kind.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if fits { kind.to_owned() } else { "application/octet-stream".to_owned() }
}

/// Where the contents of files are.
#[async_trait]
pub trait Files: Send + Sync + 'static {
    /// What a token stands for; `None` when it was not made here.
    fn known(&self, token: &str) -> Option<Known>;

    /// Begins a new file.
    async fn create(&self) -> Result<Box<dyn FileWriter>, StepError>;

    /// Opens a file.
    async fn open(&self, token: &str) -> Result<Box<dyn FileReader>, StepError>;
}

/// A file being written. Dropped before its end it never was.
#[async_trait]
pub trait FileWriter: Send {
    /// Takes the next bytes.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), StepError>;

    /// Keeps the file.
    async fn finish(self: Box<Self>, name: &str, kind: &str) -> Result<File, StepError>;
}

/// A file being read.
#[async_trait]
pub trait FileReader: Send {
    /// The next bytes; `None` at the end, once all of it was verified.
    async fn next(&mut self) -> Result<Option<Bytes>, StepError>;
}

/// What a process without a place for files says.
pub(crate) fn no_files() -> StepError {
    StepError::new(ErrorClass::Internal, "FILES_MISSING", "this process keeps no files, so none can be written or read")
}

/// A whole file in memory, if it is not longer than `bytes_max`.
///
/// # Errors
/// When it is longer, not there, or not what it was.
pub async fn read_whole(files: &Arc<dyn Files>, file: &File, bytes_max: u64) -> Result<Vec<u8>, StepError> {
    if file.size > bytes_max {
        let message = format!("the file \"{}\" has {} bytes; at most {bytes_max} fit here", file.name, file.size);
        return Err(StepError::new(ErrorClass::Invalid, "FILE_TOO_LARGE", message));
    }
    let mut reader = files.open(&file.token).await?;
    let mut content = Vec::new();
    while let Some(piece) = reader.next().await? {
        content.extend_from_slice(&piece);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types_are_tamed() {
        for (name, expected) in [
            ("a.pdf", "a.pdf"),
            ("../../etc/passwd", "passwd"),
            ("c:\\x\\y.txt", "y.txt"),
            ("", "file"),
            ("..", "file"),
            ("a\r\nb", "ab"),
        ] {
            assert_eq!(safe_name(name), expected, "{name:?}");
        }
        for (kind, expected) in
            [("text/plain; charset=utf-8", "text/plain; charset=utf-8"), ("a\r\nb/c", "application/octet-stream")]
        {
            assert_eq!(safe_type(kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_record_whose_token_was_not_made_here_is_no_file() {
        assert_eq!(File::read(&json!({"name": "a"}), None).unwrap(), None);
        assert_eq!(File::read(&json!("text"), None).unwrap(), None);
        let error = File::read(&json!({"file": format!("{TOKEN_PREFIX}{}", "0".repeat(112))}), None).unwrap_err();
        assert_eq!(error.code, "FILE_UNKNOWN");
    }
}
