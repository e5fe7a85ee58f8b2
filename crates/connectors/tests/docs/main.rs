//! `docs/connectors/`: a page for each connector, made of the value it is declared as.
//! `LIAISON_WRITE_DOCS=1 cargo test -p connectors --test docs` writes them again.

mod page;
mod words;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use connector::{Action, Effect, Shaped};
use serde_json::json;

use crate::words::Repeats;

const INDEX_HEAD: &str = "\
# Connectors

One page for each connector that comes with Liaison. The pages are made from the connectors themselves and never edited; how a
connector is written, in Rust or as a file, tells [the guide](../connectors.md).

How to read them:

- A **connection** is an account that recipes use; its settings can be read, its credentials are sealed and never shown again.
- A star marks what must be given. `a.b` is the field `b` inside `a`, and `a[].b` that of each record of the list `a`.
- **Repeating** says what happens when a step is tried again: nothing, because it only reads; the same state once more; or the thing a
  second time. In the last case nothing is repeated by itself once the request may have arrived: a person is asked.
  What is known as a repeat for a time only is not repeated by itself after it: then, too, a person is asked.
- The **class** of an error decides what a run does. `timeout`, `network`, `rate_limited` and `server` are tried again by themselves; the others
  fail the step at once, and `auth` marks the connection.
- **Limits** are what the system's maker documents. A connection's `budget` sets others.

| Connector | In recipes | | Actions | Triggers |
|---|---|---|---|---|
";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/connectors")
}

/// Every page by the name of its file.
fn pages() -> BTreeMap<String, String> {
    let connectors = connectors::all();
    let mut pages: BTreeMap<String, String> =
        connectors.iter().map(|connector| (format!("{}.md", connector.id), page::of(connector))).collect();
    let rows = connectors.iter().map(|c| {
        format!("| [{}]({}.md) | `{}` | {} | {} | {} |\n", c.title, c.id, c.id, c.summary, c.actions.len(), c.triggers.len())
    });
    pages.insert("README.md".to_owned(), INDEX_HEAD.to_owned() + rows.collect::<String>().as_str());
    pages
}

#[test]
fn the_pages_are_made_from_the_connectors() {
    let (folder, pages) = (folder(), pages());
    if std::env::var_os("LIAISON_WRITE_DOCS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (name, page) in &pages {
            fs::write(folder.join(name), page).unwrap();
        }
    }
    for (name, page) in &pages {
        let there = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(
            there == *page,
            "docs/connectors/{name} is out of date; run the tests with LIAISON_WRITE_DOCS=1 to write it again"
        );
    }
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(pages.contains_key(&name), "docs/connectors/{name} is the page of no connector; delete it");
    }
}

#[test]
fn a_page_says_what_decides_over_repeating() {
    let action = |effect| Action::new("write", "Write", "Writes.", |_, _| std::future::ready(Ok(json!(null)))).effect(effect);
    let input = json!({"type": "object", "properties": {"key": {"type": "string"}, "mode": {"enum": ["add", "look"]}}});
    let depends = action(|input| match input["mode"].as_str() {
        Some("look") => Effect::None,
        _ if input["key"].is_string() => Effect::Idempotent,
        _ => Effect::Once,
    });
    assert_eq!(
        words::repeating(&depends.input(input)),
        Repeats {
            usual: "Repeating it may do it twice.".to_owned(),
            unless: vec![
                "With `key` repeating it leaves the same state.".to_owned(),
                "With `mode: look` it only reads.".to_owned(),
            ],
        }
    );
    assert_eq!(words::repeating(&action(|_| Effect::None)), Repeats { usual: "It only reads.".to_owned(), unless: Vec::new() });
    let known = words::repeating(&action(|_| Effect::Idempotent).key_life(Duration::from_secs(23 * 3600)));
    assert_eq!(known.usual, "Repeating it leaves the same state. It is known as a repeat for 23 hours.");
}

#[test]
fn a_page_holds_all_that_its_connector_declares() {
    let pages = pages();
    for connector in connectors::all() {
        let page = &pages[&format!("{}.md", connector.id)];
        let said = |what: &str| assert!(page.contains(what), "{}: {what} is missing", connector.id);
        for row in connector.errors {
            said(&words::cell(row.next));
        }
        for note in connector.notes {
            said(note);
        }
        for action in &connector.actions {
            said(&format!("`{}.{}`", connector.id, action.id));
            if let Some(Shaped { named_by, .. }) = action.shaped {
                said(&format!("`{named_by}`"));
            }
        }
        for trigger in &connector.triggers {
            said(&format!("`{}.{}`", connector.id, trigger.id));
            if let Some(Shaped { named_by, .. }) = trigger.shaped {
                said(&format!("`{named_by}`"));
            }
        }
        for schema in [&connector.config, &connector.credentials] {
            for name in schema["properties"].as_object().into_iter().flat_map(serde_json::Map::keys) {
                said(&format!("`{name}`"));
            }
        }
        assert!(!page.contains("TODO") && !page.contains("\n\n\n"), "{}", connector.id);
    }
}
