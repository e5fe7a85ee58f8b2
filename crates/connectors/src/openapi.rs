//! Connector files out of OpenAPI 3.x descriptions.
//!
//! The same description gives the same file. What a file cannot say, and what would only be guessed, is left out and
//! reported with its reason.

mod auth;
mod document;
mod operation;
mod paging;
mod schema;
mod write;

use std::collections::HashSet;

use serde_json::{Map, Value as Json, json};

pub use self::auth::SignsIn;
use self::{auth::Key, document::Document};
use crate::declared::{Problems, is_name, yaml};

/// Largest description that is read.
pub const TEXT_BYTES_MAX: usize = 64_000_000;
/// Values in it, with what aliases repeat.
const PARTS_MAX: usize = 10_000_000;
/// How deep it may lie.
const DEPTH_MAX: usize = 120;
/// Operations that become actions.
const ACTIONS_MAX: usize = 2000;
/// Titles and sentences taken over.
const TITLE_CHARS_MAX: usize = 80;

/// What the description does not say, or shall not decide.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The connector's id; made of the title otherwise.
    pub id: Option<String>,
    /// Where the system is, with `${ config.name }` for what differs between connections; the first server otherwise.
    pub base_url: Option<String>,
    /// The part of the text that is the description, for texts that hold several.
    pub part: Option<String>,
    /// Only operations whose path begins so.
    pub only: Vec<String>,
    /// How connections sign in, in place of what the description says of it.
    pub auth: Option<SignsIn>,
}

/// A connector file that was made.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The connector's id.
    pub id: String,
    /// The file.
    pub text: String,
    /// How many actions it has.
    pub actions: usize,
    /// What was left out or simplified: where, and why.
    pub report: Vec<(String, String)>,
}

/// Makes a connector file of a description.
///
/// # Errors
/// A sentence, when the text is no description or nothing of it can be used.
pub fn import(text: &str, options: &Options) -> Result<Imported, String> {
    let root = parse(text)?;
    let root = match &options.part {
        None => root,
        Some(part) => match root {
            Json::Object(mut parts) => parts.shift_remove(part).ok_or_else(|| {
                let names: Vec<&str> = parts.keys().map(String::as_str).take(20).collect();
                format!("there is no part \"{part}\"; there are {}", names.join(", "))
            })?,
            _ => return Err("the text is no record".to_owned()),
        },
    };
    let mut report = Vec::new();
    version(&root, &mut report)?;
    let document = Document::new(&root);
    let title = root
        .pointer("/info/title")
        .and_then(Json::as_str)
        .map_or_else(|| options.part.clone().unwrap_or_else(|| "Imported".to_owned()), |title| sentence(title, TITLE_CHARS_MAX));
    let id = match &options.id {
        Some(id) if is_name(id) => id.clone(),
        Some(id) => return Err(format!("\"{id}\" cannot be a connector's id: small letters, digits and _, a letter first")),
        None => identifier(&title),
    };
    let (base_url, fields) = address(&root, options, &mut report)?;
    let mut told = Vec::new();
    let auth = options.auth.as_ref().map_or_else(|| auth::read(&document, &mut told), SignsIn::way);
    let actions = actions(&document, options, Key::of(&auth).as_ref(), &mut report);
    if actions.is_empty() {
        return Err("none of its operations can become an action; the report says why for each".to_owned()).map_err(|error| {
            let lines: Vec<String> = report.iter().take(5).map(|(place, why)| format!("{place}: {why}")).collect();
            format!("{error}\n{}", lines.join("\n"))
        });
    }
    let mut connection = Map::new();
    connection.insert("base_url".to_owned(), base_url.into());
    if !fields.is_empty() {
        connection.insert("fields".to_owned(), Json::Object(fields));
    }
    report.append(&mut told);
    connection.insert("auth".to_owned(), auth);
    let summary = root.pointer("/info/description").and_then(Json::as_str).map(|text| sentence(text, 200));
    let mut file = Map::new();
    file.insert("connector".to_owned(), 1.into());
    file.insert("id".to_owned(), id.clone().into());
    file.insert("title".to_owned(), title.clone().into());
    file.insert(
        "summary".to_owned(),
        summary.filter(|text| !text.is_empty()).unwrap_or_else(|| format!("Calls the API of {title}.")).into(),
    );
    file.insert("note".to_owned(), note(&root).into());
    file.insert("connection".to_owned(), Json::Object(connection));
    // The places most APIs have them at; what is not there is passed over.
    file.insert(
        "errors".to_owned(),
        json!({"code": ["error.code", "code"], "words": ["error.message", "message", "error_description", "detail"]}),
    );
    if let Some(test) = test(&actions) {
        file.insert("test".to_owned(), json!({ "action": test }));
    } else {
        report
            .push(("test".to_owned(), "no operation is certain to be harmless and to need nothing; add a test call".to_owned()));
    }
    let count = actions.len();
    file.insert("actions".to_owned(), Json::Array(actions));
    Ok(Imported { id, text: write::file(&file), actions: count, report })
}

fn parse(text: &str) -> Result<Json, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("the description has {} bytes; at most {TEXT_BYTES_MAX} are read", text.len()));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    let mut problems = Problems::default();
    let limits = yaml::Limits { bytes: TEXT_BYTES_MAX, depth: DEPTH_MAX, parts: PARTS_MAX, aliases: true };
    let root = yaml::read(text, limits, &mut problems);
    match root {
        Some(root) if problems.is_empty() => Ok(root.json()),
        _ => {
            let lines: Vec<String> = problems.finish().iter().take(5).map(|problem| problem.line("line", text)).collect();
            Err(format!("the description cannot be read:\n{}", lines.join("\n")))
        }
    }
}

fn version(root: &Json, report: &mut Vec<(String, String)>) -> Result<(), String> {
    if root.get("swagger").is_some() {
        return Err("this is Swagger 2.0; convert it to OpenAPI 3 first".to_owned());
    }
    if root.get("paths").and_then(Json::as_object).is_none() {
        return Err("this is no OpenAPI description: it has no paths. If it holds several, name the one with --part".to_owned());
    }
    match root.get("openapi").map(|version| version.as_str().map_or_else(|| version.to_string(), str::to_owned)) {
        Some(version) if version.starts_with("3.") => {}
        Some(version) => return Err(format!("this is OpenAPI {version}; versions 3.0 to 3.2 are read")),
        None => report.push(("openapi".to_owned(), "the version is missing; it was read as 3.0".to_owned())),
    }
    Ok(())
}

/// The base address, and the settings it is made of.
fn address(root: &Json, options: &Options, report: &mut Vec<(String, String)>) -> Result<(String, Map<String, Json>), String> {
    let mut fields = Map::new();
    if let Some(url) = &options.base_url {
        for name in url.split("config.").skip(1) {
            let name: String = name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            fields.insert(name.clone(), json!({"type": "string", "required": true, "title": words(&name)}));
        }
        return Ok((url.trim_end_matches('/').to_owned(), fields));
    }
    let servers = root.get("servers").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    for server in servers.iter().skip(1) {
        let url = server.get("url").and_then(Json::as_str).unwrap_or_default();
        report.push(("servers".to_owned(), format!("{url} is another address; a connection's setting base_url can name it")));
    }
    let Some(server) = servers.first().filter(|server| server["url"].as_str().is_some_and(|url| url.starts_with("http"))) else {
        return Err("it does not say where the system is; give --base-url https://api.example.com".to_owned());
    };
    let mut url = server["url"].as_str().unwrap_or_default().trim_end_matches('/').to_owned();
    for (name, variable) in server.get("variables").and_then(Json::as_object).into_iter().flatten() {
        let own = identifier(name);
        url = url.replace(&format!("{{{name}}}"), &format!("${{ config.{own} }}"));
        let mut field = json!({"type": "string", "required": true, "title": words(name)});
        for (key, kept) in [("enum", "enum"), ("default", "default")] {
            if let Some(value) = variable.get(key) {
                field[kept] = value.clone();
            }
        }
        if let Some(text) = variable.get("description").and_then(Json::as_str) {
            field["description"] = sentence(text, 200).into();
        }
        fields.insert(own, field);
    }
    Ok((url, fields))
}

fn actions(document: &Document<'_>, options: &Options, key: Option<&Key>, report: &mut Vec<(String, String)>) -> Vec<Json> {
    let mut actions = Vec::new();
    let mut taken = HashSet::new();
    for (path, item) in document.paths() {
        if !options.only.is_empty() && !options.only.iter().any(|only| path.starts_with(only.as_str())) {
            continue;
        }
        for method in ["get", "head", "post", "put", "patch", "delete", "options", "trace"] {
            let Some(operation) = item.get(method) else { continue };
            let place = format!("{} {path}", method.to_uppercase());
            if actions.len() >= ACTIONS_MAX {
                report.push((place, format!("a connector has at most {ACTIONS_MAX} actions; choose with --only")));
                continue;
            }
            match operation::action(document, &path, item, (method, operation), key, &mut taken, report) {
                Ok(action) => actions.push(action),
                Err(why) => report.push((place, format!("left out: {why}"))),
            }
        }
    }
    actions
}

/// A call that shows whether a connection works: it reads, needs nothing, and is about whoever is signed in.
fn test(actions: &[Json]) -> Option<&str> {
    const ABOUT_US: [&str; 6] = ["me", "account", "whoami", "self", "ping", "status"];
    let fits = |action: &&Json| {
        let needs = action["input"].as_object().into_iter().flatten().any(|(_, field)| field["required"] == true);
        let id = action["id"].as_str().unwrap_or_default();
        action["effect"] == "none"
            && !needs
            && action.get("paginate").is_none()
            && id.split('_').any(|word| ABOUT_US.contains(&word))
    };
    actions.iter().find(fits)?["id"].as_str()
}

fn note(root: &Json) -> String {
    let version = root.pointer("/info/version").map_or_else(String::new, |version| {
        format!(", version {}", version.as_str().map_or_else(|| version.to_string(), str::to_owned))
    });
    format!(
        "Made from an OpenAPI description{version}. Effects are those of the methods; look through them before you trust retries."
    )
}

/// A name recipes can write, of any text.
fn identifier(text: &str) -> String {
    let mut name = String::new();
    let mut previous = ' ';
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            if c.is_ascii_uppercase() && (previous.is_ascii_lowercase() || previous.is_ascii_digit()) {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        previous = c;
    }
    let name = name.trim_matches('_');
    let name = if name.starts_with(|c: char| c.is_ascii_lowercase()) { name.to_owned() } else { format!("x_{name}") };
    name.chars().take(56).collect::<String>().trim_end_matches('_').to_owned()
}

/// An identifier as words.
fn words(name: &str) -> String {
    let name = identifier(name).replace('_', " ");
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The beginning of a text, without markup, on one line.
fn sentence(text: &str, chars_max: usize) -> String {
    let (mut plain, mut in_tag) = (String::new(), false);
    for c in text.chars().take(8 * chars_max) {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            _ if in_tag => {}
            '`' | '*' => {}
            c => plain.push(c),
        }
    }
    let flat = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = flat.find(". ").map_or(flat.len(), |end| end + 1);
    flat[..end].chars().take(chars_max).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;
