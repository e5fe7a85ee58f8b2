//! The letters that were taken.

use std::collections::VecDeque;

use jiff::Timestamp;
use mail_parser::{MessageParser, MimeHeaders};
use parking_lot::Mutex;
use serde::Serialize;

/// Letters remembered.
const LETTERS_MAX: usize = 200;
/// Bytes of letters remembered, with room for a few of the longest.
const LETTERS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most of a letter's text that is shown.
const TEXT_CHARS_MAX: usize = 16 * 1024;

/// A letter as it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// Counts up from 1.
    pub number: u64,
    /// When it came.
    pub at: Timestamp,
    /// The sender the envelope names.
    pub from: String,
    /// The recipients the envelope names.
    pub to: Vec<String>,
    /// Its subject.
    pub subject: String,
    /// Its text, cut to 16 Ki characters.
    pub text: String,
    /// What is attached.
    pub attachments: Vec<Attachment>,
}

/// Something attached to a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// Its bytes, once they are decoded.
    pub bytes: usize,
}

/// Keeps the newest letters.
#[derive(Debug, Default)]
pub struct Letters {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    count: u64,
    letters: VecDeque<(Letter, Vec<u8>)>,
}

impl Letters {
    /// Keeps a letter and gives its number.
    pub(super) fn take(&self, at: Timestamp, from: String, to: Vec<String>, bytes: Vec<u8>) -> u64 {
        let read = MessageParser::default().parse(&bytes);
        let subject = read.as_ref().and_then(|read| read.subject()).unwrap_or_default().to_owned();
        let text = read.as_ref().and_then(|read| read.body_text(0)).unwrap_or_default().chars().take(TEXT_CHARS_MAX).collect();
        let attachments = read
            .iter()
            .flat_map(|read| read.attachments())
            .map(|part| Attachment { name: part.attachment_name().unwrap_or_default().to_owned(), bytes: part.len() })
            .collect();
        let mut inner = self.inner.lock();
        inner.count += 1;
        let number = inner.count;
        let held = |inner: &Inner| inner.letters.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        while inner.letters.len() >= LETTERS_MAX || (!inner.letters.is_empty() && held(&inner) + bytes.len() > LETTERS_BYTES_MAX)
        {
            inner.letters.pop_front();
        }
        inner.letters.push_back((Letter { number, at, from, to, subject, text, attachments }, bytes));
        number
    }

    /// The letters, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Letter> {
        self.inner.lock().letters.iter().map(|(letter, _)| letter.clone()).collect()
    }

    /// A letter as it was sent; `None` when it was forgotten or never came.
    #[must_use]
    pub fn sent(&self, number: u64) -> Option<Vec<u8>> {
        self.inner.lock().letters.iter().find(|(letter, _)| letter.number == number).map(|(_, bytes)| bytes.clone())
    }

    /// Forgets them; numbers go on.
    pub fn clear(&self) {
        self.inner.lock().letters.clear();
    }
}
