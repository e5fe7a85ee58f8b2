//! Refuses settings nobody would read, with the name that was probably meant.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use crate::Secret;

/// A text of a record of settings or inputs, trimmed; nothing when it is not there or says nothing.
#[must_use]
pub fn text<'a>(fields: &'a Json, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Json::as_str).map(str::trim).filter(|text| !text.is_empty())
}

/// What is wrong with a connection: (field, sentence), all of it at once.
#[derive(Default)]
pub struct Problems(Vec<(String, String)>);

impl Problems {
    /// Adds one.
    pub fn add(&mut self, field: impl Into<String>, sentence: impl Into<String>) {
        self.0.push((field.into(), sentence.into()));
    }

    /// The record itself, or a problem and nothing.
    pub fn record<'a>(&mut self, field: &str, value: &'a Json) -> Option<&'a Map<String, Json>> {
        let record = value.as_object();
        if record.is_none() && !value.is_null() {
            self.add(field, format!("{field} must be a record of settings, not {}", kind(value)));
        }
        record
    }

    /// Every key that is not one of `known`.
    pub fn unknown_keys(&mut self, parent: &str, record: &Map<String, Json>, known: &[&str]) {
        for key in record.keys().filter(|key| !known.contains(&key.as_str())) {
            self.add(format!("{parent}.{key}"), unknown(key, known));
        }
    }

    /// Credentials that are needed and not there, and those nobody would use.
    pub fn credentials(&mut self, given: &HashMap<String, Secret>, required: &[&str], optional: &[&str], why: &str) {
        for name in required {
            match given.get(*name) {
                None => self.add(format!("credentials.{name}"), format!("{why} needs the credential \"{name}\"")),
                Some(secret) if secret.expose().trim().is_empty() => {
                    self.add(format!("credentials.{name}"), format!("the credential \"{name}\" is empty"))
                }
                Some(_) => {}
            }
        }
        let known: Vec<&str> = required.iter().chain(optional).copied().collect();
        let mut names: Vec<&String> = given.keys().filter(|name| !known.contains(&name.as_str())).collect();
        names.sort();
        for name in names {
            let sentence = if known.is_empty() {
                format!("{why} uses no credentials, so \"{name}\" would never be used")
            } else {
                unknown(name, &known)
            };
            self.add(format!("credentials.{name}"), sentence);
        }
    }

    /// All of them.
    ///
    /// # Errors
    /// When there are any.
    pub fn finish(self) -> Result<(), Vec<(String, String)>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// "`uri` is not known here; did you mean `url`?", or the list when nothing is near.
#[must_use]
pub fn unknown(key: &str, known: &[&str]) -> String {
    match nearest(key, known) {
        Some(near) => format!("\"{key}\" is not known here; did you mean \"{near}\"?"),
        None => format!("\"{key}\" is not known here; known are {}", known.join(", ")),
    }
}

/// The known word that is most like this one, if any is like it.
#[must_use]
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What a value is, for sentences.
#[must_use]
pub const fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a record",
    }
}
