//! What changed inside a record, field by field.

use serde_json::Value as Json;

use super::words::{code, key, shown, whole_formula};
use super::{Difference, DifferenceKind, formula};
use crate::catalogue::Catalogue;

/// Where the fields stand.
#[derive(Debug, Clone)]
pub(super) enum Area {
    Recipe,
    Trigger,
    Settings,
    Defaults,
    /// Named entries, each a thing called so.
    Entries(&'static str),
    Test(String),
    /// A step: its id, and what it is called in sentences.
    Step(String, String),
}

/// Compares records of one area.
pub(super) struct Fields<'c> {
    pub(super) area: Area,
    pub(super) catalogue: &'c Catalogue,
    /// The connector and action of a step that calls one.
    pub(super) uses: Option<(String, String)>,
}

impl Fields<'_> {
    /// Tells what changed at a path; `None` is nothing there.
    pub(super) fn compare(&self, path: &[String], old: Option<&Json>, new: Option<&Json>, out: &mut Vec<Difference>) {
        match (old, new) {
            (Some(old), Some(new)) if old == new => {}
            (Some(Json::Object(a)), Some(Json::Object(b))) => {
                let keys = b.keys().chain(a.keys().filter(|key| !b.contains_key(*key)));
                for key in keys {
                    let mut inner = path.to_vec();
                    inner.push(key.clone());
                    self.compare(&inner, a.get(key), b.get(key), out);
                }
            }
            (Some(Json::Array(a)), Some(Json::Array(b))) if a.len() == b.len() && a.iter().chain(b).any(|i| i.is_object()) => {
                for (index, (a, b)) in a.iter().zip(b).enumerate() {
                    let mut inner = path.to_vec();
                    inner.push((index + 1).to_string());
                    self.compare(&inner, Some(a), Some(b), out);
                }
            }
            (None, None) => {}
            _ => out.push(self.tell(path, old, new)),
        }
    }

    fn tell(&self, path: &[String], old: Option<&Json>, new: Option<&Json>) -> Difference {
        let kind = match (old, new) {
            (None, _) => DifferenceKind::Added,
            (_, None) => DifferenceKind::Removed,
            _ => DifferenceKind::Changed,
        };
        let (step, skip) = match &self.area {
            Area::Step(id, _) => (Some(id.clone()), 0),
            Area::Recipe => (None, 0),
            _ => (None, 1),
        };
        let inner = path.get(skip..).unwrap_or_default();
        let sentence = self.sentence(inner, old, new);
        Difference { kind, step, path: path.to_vec(), sentence, old: old.cloned(), new: new.cloned() }
    }

    fn sentence(&self, path: &[String], old: Option<&Json>, new: Option<&Json>) -> String {
        let place = match &self.area {
            Area::Recipe => "Recipe".to_owned(),
            Area::Trigger => "Trigger".to_owned(),
            Area::Settings => "Settings".to_owned(),
            Area::Defaults => "Defaults".to_owned(),
            Area::Test(title) => format!("Test “{title}”"),
            Area::Step(_, called) => called.clone(),
            Area::Entries(what) => match path {
                [name] => return entry(what, name, old, new),
                [name, rest @ ..] => return format!("{} {name}, {}: {}", capital(what), names(rest), change(old, new)),
                [] => capital(what),
            },
        };
        let words = match (path, old, new) {
            ([], None, _) => return format!("{place}: added"),
            ([], _, None) => return format!("{place}: removed"),
            ([], ..) => change(old, new),
            ([only], None, Some(Json::String(formula))) if only == "if" => format!("now only if {}", code(formula)),
            ([only], Some(Json::String(formula)), None) if only == "if" => format!("now always; was only if {}", code(formula)),
            ([only], _, None) if only == "disabled" => "switched on again".to_owned(),
            ([only], None, _) if only == "disabled" => "switched off".to_owned(),
            ([only], Some(Json::String(old)), Some(Json::String(new))) if only == "do" => {
                format!("now uses {new}, was {old}")
            }
            _ => return format!("{place}, {}: {}", self.name(path), self.change_at(path, old, new)),
        };
        format!("{place}: {words}")
    }

    fn change_at(&self, path: &[String], old: Option<&Json>, new: Option<&Json>) -> String {
        let bare =
            matches!(path.last().map(String::as_str), Some("if" | "when" | "until")) && !path.iter().any(|key| key == "with");
        match (old, new) {
            (Some(Json::String(old)), Some(Json::String(new))) if bare => {
                formula::change(old, new).unwrap_or_else(|| format!("now {}, was {}", code(new), code(old)))
            }
            _ => change(old, new),
        }
    }

    /// What people call a field: the title its action gives it, else the last of its names.
    fn name(&self, path: &[String]) -> String {
        let declared =
            self.uses.as_ref().zip(path.first()).filter(|(_, first)| *first == "with").and_then(|((connector, action), _)| {
                let info = self.catalogue.connectors.iter().find(|c| c.id == *connector)?;
                let input = &info.actions.iter().find(|a| a.id == *action)?.input;
                let [_, field] = path else { return None };
                input.get("properties")?.get(field)?.get("title")?.as_str()
            });
        if let Some(title) = declared {
            return title.to_owned();
        }
        match path {
            [first, .., last] if first == "with" || first == "set" || first == "save" || first == "return" => {
                match last.parse::<u32>() {
                    Ok(_) => path.get(1..).unwrap_or_default().join("."),
                    Err(_) => last.clone(),
                }
            }
            _ => names(path),
        }
    }
}

fn names(path: &[String]) -> String {
    path.iter().map(|word| key(word)).collect::<Vec<_>>().join(" ")
}

fn entry(what: &str, name: &str, old: Option<&Json>, new: Option<&Json>) -> String {
    let what = capital(what);
    match (old, new) {
        (None, Some(new)) => format!("{what} {name}: added, {}", shown(new)),
        (_, None) => format!("{what} {name}: removed"),
        _ => format!("{what} {name}: {}", change(old, new)),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn change(old: Option<&Json>, new: Option<&Json>) -> String {
    let formula = |value: Option<&Json>| value.and_then(Json::as_str).and_then(whole_formula).map(str::to_owned);
    if let (Some(old), Some(new)) = (formula(old), formula(new))
        && let Some(words) = formula::change(&old, &new)
    {
        return words;
    }
    match (old, new) {
        (None, Some(new)) => format!("now set to {}", shown(new)),
        (Some(old), None) => format!("no longer set, was {}", shown(old)),
        (Some(old), Some(new)) => format!("now {}, was {}", shown(new), shown(old)),
        (None, None) => String::new(),
    }
}
