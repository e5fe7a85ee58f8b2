//! The tools every decoder uses: records against their key tables, texts, durations, names.
//!
//! Each tool reports what is wrong by itself and then answers `None`, so that decoding goes on and
//! finds the next problem. [`Gaps`] remembers what was left out, so that the checker does not report
//! the same root cause again as an unknown name.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value as Json;

use crate::ast::{Places, Span, Spanned};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest, one_of, shown};
use crate::duration::{DURATION_MAX, parse_duration};
use crate::keys::{Key, Need, RESERVED, Table};
use crate::offsets::OffsetMap;
use crate::scalar::written;
use crate::scan;
use crate::yaml::{Entry, Kind, Node};

/// The longest id, connection, parameter or loop item name.
const NAME_CHARS_MAX: usize = 40;

/// Where expressions are evaluated, as it stands in a sentence.
pub(crate) const EVALUATED: &str = "values below with, set, save, each, collect, file, fallback, wait, respond, return, stop and fail, \
                                    and in label, concurrency.key and dedupe.by";

/// What could not be read, so that nothing more is said about it.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    pub(crate) trigger: bool,
    pub(crate) connections: bool,
    pub(crate) params: bool,
    pub(crate) state: bool,
    /// Ids of steps that were left out.
    pub(crate) ids: HashSet<String>,
    /// Some step was left out whose id is not known.
    pub(crate) nameless: bool,
}

/// Decodes one recipe.
pub(crate) struct Reader<'t> {
    pub(crate) text: &'t str,
    pub(crate) out: Diagnostics,
    pub(crate) gaps: Gaps,
    /// The ids seen, to find repeated ones.
    pub(crate) ids: HashMap<String, Span>,
}

/// The known keys of one record.
pub(crate) struct Fields<'n, 't> {
    found: Vec<(&'static Key, &'n Entry<'t>)>,
    /// Where to point when something is missing.
    pub(crate) start: Span,
    /// Some key was not known.
    pub(crate) unknown: bool,
}

impl<'n, 't> Fields<'n, 't> {
    pub(crate) fn get(&self, name: &str) -> Option<&'n Entry<'t>> {
        self.found.iter().find(|(key, _)| key.name == name).map(|(_, entry)| *entry)
    }
}

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t str, out: Diagnostics) -> Self {
        Self { text, out, gaps: Gaps::default(), ids: HashMap::new() }
    }

    pub(crate) fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.out.push(Diagnostic::error(code, span, message).help(help));
    }

    /// Sorts the keys of a record by its table. Reports unknown and missing keys.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node<'t>, table: &'static Table) -> Option<Fields<'n, 't>> {
        if self.out.is_full() {
            return None;
        }
        let entries = match &node.kind {
            Kind::Record(entries) => entries,
            Kind::Broken => return None,
            _ => {
                let usable = one_of(table.names());
                let message = format!("{} is a record, but {} was read.", capital(table.what), node.is_called());
                self.error(codes::WRONG_TYPE, node.span, message, format!("Write keys and values here: {usable}."));
                return None;
            }
        };
        let start = entries.first().map_or(node.span, |entry| entry.key_span);
        let mut fields = Fields { found: Vec::new(), start, unknown: false };
        let mut meant = Vec::new();
        for entry in entries {
            if self.out.is_full() {
                return None;
            }
            match table.find(&entry.key) {
                Some(key) => fields.found.push((key, entry)),
                None if entry.key.starts_with("x-") => {}
                None => {
                    fields.unknown = true;
                    // Steps below a misspelt key are not unknown as well.
                    self.leave_out(&entry.value);
                    meant.extend(self.unknown_key(entry, table));
                }
            }
        }
        for key in table.keys {
            let there = fields.get(key.name).is_some() || meant.contains(&key.name);
            if key.need == Need::Required && !there {
                let message = format!("{} needs \"{}\", which is missing here.", capital(table.what), key.name);
                self.error(codes::MISSING, start, message, format!("Add `{}:`. {}", key.name, key.doc));
            }
        }
        Some(fields)
    }

    /// Reports an unknown key; the key that was probably meant.
    fn unknown_key(&mut self, entry: &Entry<'t>, table: &'static Table) -> Option<&'static str> {
        let meant = nearest(&entry.key, table.names());
        let message = format!("\"{}\" is not a key of {}.", shown(&entry.key), table.what);
        let diagnostic = Diagnostic::error(codes::UNKNOWN_KEY, entry.key_span, message);
        self.out.push(match meant {
            Some(_) => diagnostic.suggest(entry.key_span, meant),
            None => diagnostic.help(format!("Keys here are {}; your own start with `x-`.", one_of(table.names()))),
        });
        meant
    }

    /// Reports that another kind of value was expected.
    pub(crate) fn expected(&mut self, entry: &Entry<'_>, wanted: &str, help: &str) {
        let node = &entry.value;
        if matches!(node.kind, Kind::Broken) {
            return;
        }
        // Nothing has no width, so the key is shown instead.
        let span = if node.span.start == node.span.end { entry.key_span } else { node.span };
        let message = format!("\"{}\" takes {wanted}, but {} was read.", shown(&entry.key), node.is_called());
        let diagnostic = Diagnostic::error(codes::WRONG_TYPE, span, message);
        self.out.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    /// A text in which nothing is evaluated.
    pub(crate) fn text(&mut self, entry: &Entry<'t>) -> Option<Spanned<String>> {
        let found = self.free_text(entry)?;
        if let Some(at) = scan::first(&found.value) {
            let span = self.offsets(&entry.value).map_or(found.span, |map| map.place(at..at + 2));
            let message = format!("Nothing is evaluated in \"{}\".", shown(&entry.key));
            let help = format!("`${{ }}` works only in {EVALUATED}.");
            self.error(codes::NOT_EVALUATED, span, message, help);
            return None;
        }
        Some(found)
    }

    /// Any text.
    pub(crate) fn free_text(&mut self, entry: &Entry<'t>) -> Option<Spanned<String>> {
        let node = &entry.value;
        match &node.kind {
            Kind::Text(text, _) => return Some(Spanned { value: text.to_string(), span: node.span }),
            Kind::Bool(_) | Kind::Number(_) => {
                let message = format!("\"{}\" takes text, but {} was read.", shown(&entry.key), node.is_called());
                let quoted = format!("\"{}\"", self.text.get(node.span.start..node.span.end).unwrap_or_default());
                let diagnostic = Diagnostic::error(codes::WRONG_TYPE, node.span, message).help("Put quotes around it.");
                self.out.push(diagnostic.edit(node.span, quoted, "Put quotes around it"));
            }
            _ => self.expected(entry, "text", ""),
        }
        None
    }

    /// A text of `[a-z][a-z0-9_]{0,39}`: a connection, a parameter, a loop item.
    pub(crate) fn name(&mut self, name: &str, span: Span, what: &str) -> bool {
        let fits = is_name(name);
        if !fits {
            let message = format!("\"{}\" cannot be the name of {what}.", shown(name));
            let help = "A name starts with a small letter and has at most 40 small letters, digits and underscores.";
            let diagnostic = Diagnostic::error(codes::NAME, span, message).help(help);
            self.out.push(match name_from(name) {
                Some(better) => diagnostic.edit(span, better.clone(), format!("Change to \"{better}\"")),
                None => diagnostic,
            });
        }
        fits
    }

    /// A word that formulas use otherwise.
    pub(crate) fn refuse_reserved(&mut self, name: &str, span: Span) -> bool {
        let reserved = RESERVED.contains(&name);
        if reserved {
            let message = format!("\"{name}\" is a reserved word: formulas use it for something else.");
            self.error(codes::RESERVED, span, message, format!("Choose another name, such as \"{name}_1\"."));
        }
        reserved
    }

    /// A duration above zero.
    pub(crate) fn duration(&mut self, entry: &Entry<'t>) -> Option<Duration> {
        let help = "Write a whole number and a unit: 500ms 30s 5m 12h 7d.";
        let text = match &entry.value.kind {
            Kind::Text(text, _) => text,
            _ => {
                self.expected(entry, "a duration", help);
                return None;
            }
        };
        let Some(duration) = parse_duration(text) else {
            let message = format!("\"{}\" is not a duration.", shown(text));
            self.error(codes::DURATION, entry.value.span, message, help);
            return None;
        };
        if duration.is_zero() || duration > DURATION_MAX {
            let message = format!("\"{}\" must be longer than nothing and at most 3650d; {text} was read.", shown(&entry.key));
            self.error(codes::RANGE, entry.value.span, message, help);
            return None;
        }
        Some(duration)
    }

    /// One of a few words.
    pub(crate) fn choice(&mut self, entry: &Entry<'t>, choices: &'static [&'static str]) -> Option<&'static str> {
        let text = self.text(entry)?;
        self.choice_of(&text, choices)
    }

    pub(crate) fn choice_of(&mut self, text: &Spanned<String>, choices: &'static [&'static str]) -> Option<&'static str> {
        let found = choices.iter().find(|choice| **choice == text.value).copied();
        if found.is_none() {
            let message = format!("\"{}\" is not one of {}.", shown(&text.value), one_of(choices.iter().copied()));
            let diagnostic = Diagnostic::error(codes::NOT_A_CHOICE, text.span, message);
            self.out.push(diagnostic.suggest(text.span, nearest(&text.value, choices.iter().copied())));
        }
        found
    }

    /// true or false.
    pub(crate) fn boolean(&mut self, entry: &Entry<'t>) -> Option<bool> {
        if let Kind::Bool(value) = entry.value.kind {
            return Some(value);
        }
        self.expected(entry, "true or false", "Write true or false, without quotes.");
        None
    }

    /// A whole number within bounds.
    pub(crate) fn whole(&mut self, entry: &Entry<'t>, min: u32, max: u32) -> Option<u32> {
        let help = format!("Write a whole number from {min} to {max}.");
        let Kind::Number(number) = &entry.value.kind else {
            self.expected(entry, "a whole number", &help);
            return None;
        };
        let whole = number.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (min..=max).contains(n));
        if whole.is_none() {
            let message = format!("\"{}\" is from {min} to {max}; {number} was read.", shown(&entry.key));
            self.error(codes::RANGE, entry.value.span, message, help);
        }
        whole
    }

    /// A record without expressions.
    pub(crate) fn literal_record(&mut self, entry: &Entry<'t>) -> Option<(Json, Places)> {
        if matches!(entry.value.kind, Kind::Record(_)) {
            return Some(self.literal(&entry.value));
        }
        self.expected(entry, "a record", "Write `name: value`, one a line.");
        None
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, entry: &Entry<'t>) -> Vec<Spanned<String>> {
        let Kind::List(items) = &entry.value.kind else {
            self.expected(entry, "a list of texts", "Write them in brackets: [first, second].");
            return Vec::new();
        };
        let one = |item: &Node<'t>| Entry { key: entry.key.clone(), key_span: entry.key_span, value: item.clone() };
        items.iter().filter_map(|item| self.text(&one(item))).collect()
    }

    /// Where the bytes of a text node stand.
    pub(crate) fn offsets(&self, node: &Node<'t>) -> Option<OffsetMap> {
        match &node.kind {
            Kind::Text(text, style) => Some(OffsetMap::new(self.text, node.span, text, *style)),
            _ => None,
        }
    }

    /// An edit that replaces a whole scalar by other text, quoted where needed.
    pub(crate) fn rewrite(diagnostic: Diagnostic, span: Span, text: &str, title: impl Into<String>) -> Diagnostic {
        diagnostic.edit(span, written(text), title)
    }

    /// Remembers every id below a part that is left out.
    pub(crate) fn leave_out(&mut self, node: &Node<'t>) {
        match &node.kind {
            Kind::List(items) => items.iter().for_each(|item| self.leave_out(item)),
            Kind::Record(entries) => {
                for entry in entries {
                    match &entry.value.kind {
                        Kind::Text(id, _) if entry.key == "id" => {
                            self.gaps.ids.insert(id.to_string());
                        }
                        _ => self.leave_out(&entry.value),
                    }
                }
            }
            _ => {}
        }
    }
}

pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A name that is like the text and well formed.
pub(crate) fn name_from(text: &str) -> Option<String> {
    if text.len() > 4 * NAME_CHARS_MAX {
        return None;
    }
    let mut name = String::new();
    let mut previous_lower = false;
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            // `findAccount` becomes `find_account`.
            if c.is_ascii_uppercase() && previous_lower {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        previous_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    let name = name.trim_end_matches('_').to_owned();
    (is_name(&name) && !RESERVED.contains(&name.as_str())).then_some(name)
}

pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
