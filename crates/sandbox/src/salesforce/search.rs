//! SOSL: `FIND {acme} IN ALL FIELDS RETURNING Account(Id, Name)`, and the search with parameters.

use http::Method;
use serde_json::{Value as Json, json};

use super::{
    answer::Answer,
    errors::{Outcome, Trouble},
    org::{Org, Row},
    rest::Call,
    schema::{Kind, place},
    sobjects::places,
    soql::record,
    system::System,
};

/// Records found of each object.
const FOUND_MAX: usize = 250;
/// Shortest text that is searched for.
const TEXT_MIN: usize = 2;

/// One object and the fields wanted of it.
type Returning = (usize, Vec<usize>, usize);

impl System {
    pub(super) fn search(&self, org: &Org, call: &Call, which: &str) -> Outcome<Answer> {
        let (text, only, wanted) = match (which, &call.method) {
            ("search", &Method::GET) => sosl(org, call.get("q").unwrap_or_default())?,
            ("parameterizedSearch", &Method::GET) => {
                let objects =
                    named(org, call.query.iter().filter(|(name, _)| name == "sobject").map(|(_, value)| value.as_str()))?;
                (call.get("q").unwrap_or_default().to_owned(), "ALL".to_owned(), objects)
            }
            ("parameterizedSearch", &Method::POST) => parameters(org, &call.json()?)?,
            _ => return Err(Trouble::method()),
        };
        if text.chars().filter(|letter| letter.is_alphanumeric()).count() < TEXT_MIN {
            return Err(Trouble::bad("MALFORMED_SEARCH", "search term must be longer than one character"));
        }
        let words: Vec<String> = text.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let mut found = Vec::new();
        for (object, fields, most) in wanted {
            let hits = org.tables[object].all().filter(|row| !row.deleted() && hit(org, object, row, &words, &only)).take(most);
            found.extend(hits.map(|row| record(org, object, row, Some(&fields), &call.version)));
        }
        Ok(Answer::ok(json!({ "searchRecords": found })))
    }
}

fn hit(org: &Org, object: usize, row: &Row, words: &[String], only: &str) -> bool {
    let fields = || {
        org.schema.objects[object].live_fields().filter(|(_, field)| match only {
            "NAME" => field.name_field,
            "EMAIL" => field.kind == Kind::Email,
            "PHONE" => field.kind == Kind::Phone,
            _ => !matches!(field.kind, Kind::Id | Kind::Reference | Kind::Base64),
        })
    };
    words.iter().all(|word| {
        let (any_end, bare) = (word.ends_with('*'), word.trim_matches(['*', '"']));
        fields().filter_map(|(at, _)| row.get(at).text()).any(|text| {
            text.to_lowercase()
                .split(|letter: char| !letter.is_alphanumeric() && letter != '@' && letter != '.' && letter != '-')
                .any(
                    |part| {
                        if any_end { part.starts_with(bare) } else { part == bare || bare.contains('@') && part.contains(bare) }
                    },
                )
        })
    })
}

fn name_fields(org: &Org, object: usize) -> Vec<usize> {
    vec![org.schema.objects[object].name_place().unwrap_or(place::ID), place::ID]
}

fn named<'a>(org: &Org, names: impl Iterator<Item = &'a str>) -> Outcome<Vec<Returning>> {
    let wanted: Vec<Returning> = names
        .map(|name| {
            let object = org.schema.find(name).ok_or_else(|| Trouble::no_type(name))?;
            Ok((object, name_fields(org, object), FOUND_MAX))
        })
        .collect::<Outcome<_>>()?;
    if !wanted.is_empty() {
        return Ok(wanted);
    }
    let usual = ["Account", "Contact", "Lead", "Opportunity", "Case"];
    Ok(usual
        .iter()
        .filter_map(|name| org.schema.find(name))
        .map(|object| (object, name_fields(org, object), FOUND_MAX))
        .collect())
}

fn parameters(org: &Org, body: &Json) -> Outcome<(String, String, Vec<Returning>)> {
    let text = body["q"].as_str().unwrap_or_default().to_owned();
    let fields = |of: &Json| -> Vec<String> {
        of["fields"].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let usual = fields(body);
    let mut wanted = Vec::new();
    for one in body["sobjects"].as_array().into_iter().flatten() {
        let name = one["name"].as_str().unwrap_or_default();
        let object = org.schema.find(name).ok_or_else(|| Trouble::no_type(name))?;
        let own = if one["fields"].is_array() { fields(one) } else { usual.clone() };
        let list = if own.is_empty() { name_fields(org, object) } else { places(org, object, own.iter().map(String::as_str))? };
        let most = one["limit"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(FOUND_MAX);
        wanted.push((object, list, most.min(FOUND_MAX)));
    }
    if wanted.is_empty() {
        wanted = named(org, std::iter::empty())?;
    }
    Ok((text, body["in"].as_str().unwrap_or("ALL").to_uppercase(), wanted))
}

fn sosl(org: &Org, text: &str) -> Outcome<(String, String, Vec<Returning>)> {
    let wrong = |words: &str| Trouble::bad("MALFORMED_SEARCH", words.to_owned());
    let trimmed = text.trim();
    if !trimmed.get(..4).is_some_and(|find| find.eq_ignore_ascii_case("FIND")) {
        return Err(wrong("line 1:0 expecting FIND"));
    }
    let (_, rest) = trimmed.split_once('{').ok_or_else(|| wrong("the text is expected in braces"))?;
    let end = closing(rest).ok_or_else(|| wrong("the text has no closing brace"))?;
    let (words, rest) = (unescaped(&rest[..end]), &rest[end + 1..]);
    let upper = rest.to_uppercase();
    let only = upper.find(" IN ").and_then(|at| upper[at + 4..].split_whitespace().next()).unwrap_or("ALL").to_owned();
    let Some(at) = upper.find("RETURNING") else { return Ok((words, only, named(org, std::iter::empty())?)) };
    let mut wanted = Vec::new();
    for one in split_outside(rest.get(at + 9..).unwrap_or_default()) {
        let (name, inside) =
            one.split_once('(').map_or((one.as_str(), ""), |(name, inside)| (name, inside.trim_end().trim_end_matches(')')));
        let name = name.split_whitespace().next().unwrap_or_default();
        let object = org.schema.find(name).ok_or_else(|| Trouble::no_type(name))?;
        let upper = inside.to_uppercase();
        let stop = ["WHERE ", "ORDER BY ", "LIMIT "].iter().filter_map(|word| upper.find(word)).min().unwrap_or(inside.len());
        let limit = upper
            .find("LIMIT ")
            .and_then(|at| inside.get(at + 6..)?.split_whitespace().next()?.parse().ok())
            .unwrap_or(FOUND_MAX);
        let fields = places(org, object, inside.get(..stop).unwrap_or_default().split(','))?;
        let fields = if fields.is_empty() { vec![place::ID] } else { fields };
        wanted.push((object, fields, limit.min(FOUND_MAX)));
    }
    Ok((words, only, wanted))
}

/// Where the brace that was opened is closed.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, letter)| {
        let found = letter == '}' && !escaped;
        escaped = letter == '\\' && !escaped;
        found.then_some(at)
    })
}

fn unescaped(text: &str) -> String {
    let mut letters = text.chars();
    let mut out = String::new();
    while let Some(letter) = letters.next() {
        out.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    out
}

/// Parts between commas that stand in no parentheses.
fn split_outside(text: &str) -> Vec<String> {
    let (mut depth, mut out) = (0_usize, vec![String::new()]);
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                out.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = out.last_mut() {
            last.push(letter);
        }
    }
    out.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}
