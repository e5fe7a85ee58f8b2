//! One connector as a page.

use std::collections::HashMap;

use connector::{Action, Connector, Shaped, Trigger};
use serde_json::Value as Json;

use crate::words::{self, Field, cell};

/// Longest sample that stands on one line.
const SAMPLE_LINE_MAX: usize = 120;

/// Inputs are told once when at least so many actions, and a third of all, take them.
const SHARED_MIN: usize = 5;

/// What was told already.
#[derive(Default)]
struct Told {
    /// Inputs that many actions take.
    shared: Vec<Field>,
    /// What an action or trigger gives, by its schema and sample, and under which title.
    gives: HashMap<String, &'static str>,
}

pub(crate) fn of(connector: &Connector) -> String {
    let mut told = Told { shared: shared(&connector.actions), ..Told::default() };
    let mut page = format!("# {}\n\n{}", connector.title, connector.summary);
    let use_ = if connector.builtin { "without a connection, or through one" } else { "through a connection" };
    page.push_str(&format!(" In recipes it is `{}`, used {use_}.\n", connector.id));
    if connector.shapes.is_some() {
        page.push_str(
            "\nIt tells its objects and their fields, also those that were added to your own account: the checker knows them, and\n\
             `GET /api/v1/connections/{name}/objects` lists them.\n",
        );
    }
    notes(connector, &mut page);
    connection(connector, &mut page);
    limits(connector, &mut page);
    if !connector.actions.is_empty() {
        page.push_str("\n## Actions\n");
        if !told.shared.is_empty() {
            page.push_str("\nMany of them take these:\n");
            table("Input", &told.shared, &mut page);
        }
        for item in &connector.actions {
            action(connector.id, item, &mut told, &mut page);
        }
    }
    if !connector.triggers.is_empty() {
        page.push_str("\n## Triggers\n");
        for item in &connector.triggers {
            trigger(connector.id, item, &mut told, &mut page);
        }
    }
    errors(connector, &mut page);
    page
}

fn notes(connector: &Connector, page: &mut String) {
    match connector.notes {
        [] => {}
        [note] => page.push_str(&format!("\n{note}\n")),
        notes => {
            page.push_str("\n## Good to know\n\n");
            for note in notes {
                page.push_str(&format!("- {note}\n"));
            }
        }
    }
}

fn connection(connector: &Connector, page: &mut String) {
    let (settings, credentials) = (words::fields(&connector.config), words::fields(&connector.credentials));
    if settings.is_empty() && credentials.is_empty() {
        return;
    }
    page.push_str("\n## Connection\n");
    table("Setting", &settings, page);
    table("Credential", &credentials, page);
    let mut sentences = Vec::new();
    if connector.sign_in.is_some() {
        sentences.push(
            "People can sign in with a browser; the tokens that come of it are kept sealed and renewed by themselves.".to_owned(),
        );
    }
    if let Some(test) = &connector.test {
        sentences.push(format!("Testing a connection calls `{}.{}`, which changes nothing.", connector.id, test.action));
    }
    if !sentences.is_empty() {
        page.push_str(&format!("\n{}\n", sentences.join(" ")));
    }
}

fn limits(connector: &Connector, page: &mut String) {
    let budget = connector.limits.budget;
    let classes = connector.limits.by_class;
    let mut parts = Vec::new();
    for (what, per_second, burst, per_day, in_flight) in [
        ("calls", budget.per_second, budget.burst, budget.per_day, budget.in_flight),
        ("reads", classes.reads.per_second, classes.reads.burst, None, classes.reads.in_flight),
        ("writes", classes.writes.per_second, classes.writes.burst, None, classes.writes.in_flight),
    ] {
        if let Some(rate) = per_second {
            let burst = burst.map(|burst| format!(", {burst} at once after a pause")).unwrap_or_default();
            parts.push(format!("{rate} {what} a second{burst}"));
        }
        if let Some(calls) = per_day {
            parts.push(format!("{calls} {what} a day"));
        }
        if let Some(calls) = in_flight {
            parts.push(format!("{calls} {what} at the same time"));
        }
    }
    if !parts.is_empty() {
        page.push_str(&format!("\n## Limits\n\nOf one connection, unless its `budget` says otherwise: {}.\n", parts.join("; ")));
    }
}

fn action(connector: &str, action: &Action, told: &mut Told, page: &mut String) {
    page.push_str(&format!("\n### {}\n\n`{connector}.{}`: {}", action.title, action.id, action.summary));
    let repeats = words::repeating(action);
    page.push_str(&format!(" {}", repeats.usual));
    for sentence in &repeats.unless {
        page.push_str(&format!(" {sentence}"));
    }
    if action.pages.is_some() {
        page.push_str(" Loops with `stream: true` go through it page by page.");
    }
    shaped(action.shaped, page);
    page.push('\n');
    let (shared, own): (Vec<Field>, Vec<Field>) =
        words::fields(&action.input).into_iter().partition(|field| told.shared.contains(field));
    table("Input", &own, page);
    let names: Vec<String> = shared.iter().map(|field| format!("`{}`", field.path)).collect();
    match (own.is_empty(), names.join(", ")) {
        (_, names) if names.is_empty() => {}
        (true, names) => page.push_str(&format!("\nTakes {names}.\n")),
        (false, names) => page.push_str(&format!("\nBesides: {names}.\n")),
    }
    gives(action.title, (&action.output, action.sample.as_ref()), told, page);
}

fn trigger(connector: &str, trigger: &Trigger, told: &mut Told, page: &mut String) {
    page.push_str(&format!("\n### {}\n\n`{connector}.{}`: {}", trigger.title, trigger.id, trigger.summary));
    let asked =
        trigger.poll.as_ref().map(|poll| format!("asks every {} unless the recipe says otherwise", words::duration(poll.every)));
    match (&trigger.webhook, asked) {
        (Some(_), Some(asked)) => page.push_str(&format!(" The system sends; besides, Liaison {asked}.")),
        (Some(_), None) => page.push_str(" The system sends."),
        (None, Some(asked)) => page.push_str(&format!(" Liaison {asked}.")),
        (None, None) => {}
    }
    shaped(trigger.shaped, page);
    page.push('\n');
    table("Setting", &words::fields(&trigger.config), page);
    gives(trigger.title, (&trigger.output, trigger.sample.as_ref()), told, page);
}

fn shaped(shaped: Option<Shaped>, page: &mut String) {
    let Some(Shaped { named_by, only_with, .. }) = shaped else { return };
    let begin = only_with.map_or_else(|| "Fields".to_owned(), |input| format!("With `{input}`, fields"));
    page.push_str(&format!(" {begin} are those of the object that `{named_by}` names."));
}

fn table(head: &str, fields: &[Field], page: &mut String) {
    if fields.is_empty() {
        return;
    }
    page.push_str(&format!("\n| {head} | Kind | |\n|---|---|---|\n"));
    for field in fields {
        let needed = if field.required { " *" } else { "" };
        page.push_str(&format!("| `{}`{needed} | {} | {} |\n", field.path, cell(&field.kind), cell(&field.about)));
    }
}

fn gives(title: &'static str, (schema, sample): (&Json, Option<&Json>), told: &mut Told, page: &mut String) {
    if let Some(sample) = sample
        && let Some(before) = told.gives.get(&format!("{schema}{sample}"))
    {
        page.push_str(&format!("\nGives the same as [{before}](#{}).\n", anchor(before)));
        return;
    }
    if let Some(sample) = sample {
        told.gives.insert(format!("{schema}{sample}"), title);
    }
    let fields: Vec<Field> = words::fields(schema).into_iter().filter(|field| !field.path.contains('.')).collect();
    if fields.iter().any(|field| !field.about.is_empty()) {
        table("Gives", &fields, page);
    } else if !fields.is_empty() {
        let told: Vec<String> =
            fields.iter().map(|field| format!("`{}` ({})", field.path, field.kind.trim_end_matches(" or nothing"))).collect();
        page.push_str(&format!("\nGives {}.\n", told.join(", ")));
    } else {
        page.push_str(&format!("\nGives {}.\n", article(&words::kind(schema))));
    }
    if let Some(sample) = sample {
        let line = sample.to_string();
        let text = if line.len() > SAMPLE_LINE_MAX { format!("{sample:#}") } else { line };
        page.push_str(&format!("\n```json\n{text}\n```\n"));
    }
}

/// Inputs that many of these actions take, as they are first told.
fn shared(actions: &[Action]) -> Vec<Field> {
    let all: Vec<Vec<Field>> = actions.iter().map(|action| words::fields(&action.input)).collect();
    let mut shared: Vec<Field> = Vec::new();
    for field in all.iter().flatten() {
        let inside = |other: &Field| other.path != field.path && other.path.starts_with(&field.path);
        let plain = !field.path.contains('.') && !all.iter().any(|fields| fields.contains(field) && fields.iter().any(inside));
        let takers = all.iter().filter(|fields| fields.contains(field)).count();
        if plain && !field.required && takers >= SHARED_MIN.max(actions.len() / 3) && !shared.contains(field) {
            shared.push(field.clone());
        }
    }
    shared
}

/// The address of a heading on its page.
fn anchor(title: &str) -> String {
    let kept = title.to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn article(kind: &str) -> String {
    if kind.starts_with("record") || kind.starts_with("list") { format!("a {kind}") } else { kind.to_owned() }
}

fn errors(connector: &Connector, page: &mut String) {
    if connector.errors.is_empty() {
        return;
    }
    page.push_str("\n## Errors\n\n| Code | Class | What happened | What to do |\n|---|---|---|---|\n");
    for row in connector.errors {
        let next = cell(row.next);
        page.push_str(&format!("| `{}` | {} | {} | {next} |\n", cell(row.code), row.class, cell(&capital(row.sentence))));
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
