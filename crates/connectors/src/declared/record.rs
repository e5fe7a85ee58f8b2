//! Reads records of a connector file: what is there, what is missing, and what nobody would read.

use super::{
    problem::{Code, Problems, shown},
    yaml::{Entry, Kind, Node},
};

/// Keys that start so are kept and not read, as in recipes.
const OWN_KEYS: &str = "x-";

/// One record, with the keys it may have.
#[derive(Clone, Copy)]
pub(crate) struct Record<'n> {
    entries: &'n [Entry],
    pub(crate) at: (usize, usize),
}

impl<'n> Record<'n> {
    /// The record, with a problem for each key that is none of `known`; `None` with a problem when it is none.
    pub(crate) fn read(node: &'n Node, what: &str, known: &[&str], problems: &mut Problems) -> Option<Self> {
        let record = Self::open(node, what, problems)?;
        for entry in record.entries {
            if !known.contains(&entry.key.as_str()) && !entry.key.starts_with(OWN_KEYS) {
                problems.unknown(Code::UnknownKey, entry.at, &format!("key of {what}"), &entry.key, known);
            }
        }
        Some(record)
    }

    /// A record whose keys are names of the writer's own.
    pub(crate) fn open(node: &'n Node, what: &str, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Record(entries) => Some(Self { entries, at: node.at }),
            _ => {
                problems.add(Code::Kind, node.at, format!("{what} must be a record, not {}.", node.is_called()));
                None
            }
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &'n Entry> + use<'n> {
        self.entries.iter()
    }

    /// What stands under a key; nothing counts as not there.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
            .filter(|node| !matches!(node.kind, Kind::Null))
    }

    pub(crate) fn need(&self, key: &str, what: &str, problems: &mut Problems) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() {
            // The end of a long record is not its place.
            let at = (self.at.0, self.at.0);
            problems.add(Code::MissingKey, at, format!("{what} needs \"{key}\"."));
        }
        found
    }

    pub(crate) fn text(&self, key: &str, problems: &mut Problems) -> Option<&'n str> {
        let node = self.get(key)?;
        if node.text().is_none() {
            problems.add(Code::Kind, node.at, format!("\"{key}\" must be text, not {}.", node.is_called()));
        }
        node.text()
    }

    pub(crate) fn need_text(&self, key: &str, what: &str, problems: &mut Problems) -> Option<&'n str> {
        self.need(key, what, problems)?;
        self.text(key, problems)
    }

    pub(crate) fn flag(&self, key: &str, problems: &mut Problems) -> bool {
        match self.get(key).map(|node| (&node.kind, node)) {
            Some((Kind::Bool(flag), _)) => *flag,
            Some((_, node)) => {
                problems.add(Code::Kind, node.at, format!("\"{key}\" must be true or false, not {}.", node.is_called()));
                false
            }
            None => false,
        }
    }

    /// A whole number within bounds.
    pub(crate) fn number(&self, key: &str, least: u64, most: u64, problems: &mut Problems) -> Option<u64> {
        let node = self.get(key)?;
        let found = match &node.kind {
            Kind::Number(number) => number.as_u64().filter(|number| (least..=most).contains(number)),
            _ => None,
        };
        if found.is_none() {
            problems.add(Code::Value, node.at, format!("\"{key}\" must be a whole number from {least} to {most}."));
        }
        found
    }

    /// The place of a word in a list of words.
    pub(crate) fn word(&self, key: &str, known: &[&str], problems: &mut Problems) -> Option<usize> {
        let node = self.get(key)?;
        let word = self.text(key, problems)?;
        let found = known.iter().position(|known| *known == word);
        if found.is_none() {
            problems.unknown(Code::Value, node.at, &format!("value of \"{key}\""), word, known);
        }
        found
    }

    /// The items of a list of texts; one text is a list of one.
    pub(crate) fn texts(&self, key: &str, problems: &mut Problems) -> Vec<(&'n str, (usize, usize))> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            match item.text() {
                Some(text) => found.push((text, item.at)),
                None => problems.add(Code::Kind, item.at, format!("\"{key}\" must hold texts, not {}.", item.is_called())),
            }
        }
        found
    }

    /// The items of a list.
    pub(crate) fn list(&self, key: &str, items_max: usize, problems: &mut Problems) -> &'n [Node] {
        match self.get(key).map(|node| (&node.kind, node)) {
            Some((Kind::List(items), node)) => {
                if items.len() > items_max {
                    problems.add(Code::TooLarge, node.at, format!("\"{key}\" holds more than {items_max} items."));
                }
                items
            }
            Some((_, node)) => {
                problems.add(Code::Kind, node.at, format!("\"{key}\" must be a list, not {}.", node.is_called()));
                &[]
            }
            None => &[],
        }
    }

    /// Where the value of a key stands, or the record.
    pub(crate) fn place(&self, key: &str) -> (usize, usize) {
        self.get(key).map_or(self.at, |node| node.at)
    }
}

/// The name of a connector, an action, a trigger or a field: what recipes can write after a dot.
pub(crate) fn name<'n>(record: &Record<'n>, key: &str, what: &str, problems: &mut Problems) -> Option<&'n str> {
    let text = record.need_text(key, what, problems)?;
    if is_name(text) {
        return Some(text);
    }
    problems.helped(
        Code::Value,
        record.place(key),
        format!("\"{}\" cannot be the {key} of {what}.", shown(text)),
        "Use small letters, digits and _, a letter first, at most 60 characters.",
    );
    None
}

pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 60
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// `500ms`, `30s`, `5m`, `12h`, `7d`.
pub(crate) fn duration(text: &str) -> Option<std::time::Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(std::time::Duration::from_millis)
}
