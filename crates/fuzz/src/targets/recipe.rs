//! Recipes: every problem has a code and a place, and every ready edit fits.

use recipe::{Diagnostic, LineIndex, Parsed, codes, parse_and_check};

use super::catalogue::catalogue;

pub(super) const WORDS: &[&str] = &[
    "liaison: 1\n",
    "recipe: a\n",
    "trigger: { from: webhook }\n",
    "steps:\n",
    "- id: b\n",
    "  do: http.request\n",
    "  with: { url: x }\n",
    "  set: { x: 1 }\n",
    "  if: trigger.id == 1\n",
    "  each: ${ trigger.list }\n",
    "  as: line\n",
    "  choose:\n",
    "  - when: true\n",
    "  - otherwise: []\n",
    "  return: 1\n",
    "  fail: no\n",
    "  retry: 3\n",
    "  timeout: 10s\n",
    "  title: x\n",
    "  x-y: z\n",
    "connections: { sf: salesforce }\n",
    "params: { min: { type: number } }\n",
    "settings:\n",
    "  repeat:\n",
    "  until: true\n",
    "  wait: { for: 1h }\n",
    "  parallel:\n",
    "  try:\n",
    "  catch:\n",
    "  save: { n: 1 }\n",
    "  call: other\n",
    "  undo: { do: sf.query }\n",
    "state: { n: { type: number } }\n",
    "tests:\n",
    "defaults:\n",
    "  on_error: continue\n",
    "${ trigger.id }",
    "${ steps.b.status }",
    "$${",
    "${",
    "}",
    ": ",
    "- ",
    "? ",
    "|\n",
    ">-\n",
    "|2\n",
    "&a ",
    "*a",
    "!t ",
    "<<: ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "#",
    "\"",
    "'",
    "{",
    "[",
    "]",
    ",",
    "\n",
    "  ",
    "\t",
    "~",
    "null",
    "yes",
    "0123",
    "1e999",
    "2026-01-31",
    "\u{feff}",
    "\u{202e}",
    "é",
    "\\",
    "\r\n",
];

pub(super) fn check(input: &[u8]) {
    let catalogue = catalogue();
    let parsed = parse_and_check(input, &catalogue);
    assert!(parsed.recipe.is_some() || !parsed.diagnostics.is_empty(), "no recipe, and nobody said why");
    assert!(parsed.diagnostics.iter().is_sorted_by_key(|d| d.span.start), "problems come in the order of the text");
    let lines = LineIndex::new(input);
    for diagnostic in &parsed.diagnostics {
        told(input, diagnostic);
        let (line, column) = lines.position(diagnostic.span.start);
        assert!(line >= 1 && column >= 1, "{line}:{column}");
    }
    if let Some(text) = super::text(input) {
        edits(text, &parsed);
    }
    let again = parse_and_check(input, &catalogue);
    assert_eq!(again.diagnostics, parsed.diagnostics, "the same twice");
    assert_eq!(format!("{:?}", again.recipe), format!("{:?}", parsed.recipe), "the same twice");
    if parsed.is_sound() {
        // A recipe that stands has nothing to say about itself a second time.
        let recipe = parsed.recipe.as_ref().expect("a sound recipe");
        let errors = |d: &&Diagnostic| d.severity == recipe::Severity::Error;
        let alone = recipe::check(recipe, &catalogue);
        assert_eq!(alone.iter().find(errors), None);
    }
}

fn told(input: &[u8], diagnostic: &Diagnostic) {
    let Diagnostic { code, message, span, help, .. } = diagnostic;
    assert!(codes().iter().any(|known| known.code == *code), "{code} is in no table");
    assert!(!message.is_empty() && message.len() < 2_000, "{diagnostic:?}");
    assert!(help.as_ref().is_none_or(|help| !help.is_empty() && help.len() < 2_000), "{diagnostic:?}");
    assert!(span.start <= span.end && span.end <= input.len(), "{diagnostic:?} in {} bytes", input.len());
    if let Some(text) = super::text(input) {
        super::assert_in(text, &(span.start..span.end), diagnostic);
    }
}

/// Ready edits fit into the text and never break it.
fn edits(text: &str, parsed: &Parsed) {
    // A list that is cut may lack what comes later.
    let unreadable = |all: &[Diagnostic]| all.iter().any(|d| matches!(d.code, "L0004" | "L0018"));
    for diagnostic in parsed.diagnostics.iter().take(EDITS_MAX) {
        let Some(edit) = &diagnostic.edit else { continue };
        super::assert_in(text, &(edit.span.start..edit.span.end), diagnostic);
        assert!(!edit.title.is_empty());
        // What is hidden may hide more: behind it the text can be another one.
        if diagnostic.code == "L0019" {
            continue;
        }
        let mended = format!("{}{}{}", &text[..edit.span.start], edit.text, &text[edit.span.end..]);
        let after = recipe::parse(mended.as_bytes());
        assert!(unreadable(&parsed.diagnostics) || !unreadable(&after.diagnostics), "{edit:?} breaks the text");
    }
}

/// Edits tried of one text; each costs another reading.
const EDITS_MAX: usize = 10;
