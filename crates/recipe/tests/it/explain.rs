//! Recipes with every default filled in.

use std::time::Duration;

use recipe::{Jitter, RunDefaults, explain};

use crate::catalogue::real;
use crate::good::FULL;

fn defaults() -> RunDefaults {
    RunDefaults {
        times: 3,
        wait: Duration::from_secs(7),
        factor: 2.0,
        max_wait: Duration::from_secs(90),
        jitter: Jitter::Full,
        within: None,
        on: vec!["timeout".to_owned(), "network".to_owned()],
        timeout: Duration::from_secs(45),
        dedupe: Duration::from_secs(86_400),
    }
}

fn explained(text: &str) -> recipe::Explained {
    explain(text, &real(), &defaults()).expect("a readable recipe")
}

const SMALL: &str = "liaison: 1\nrecipe: small\ntrigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsettings: { retry: 4 }\ndefaults: { timeout: 9s }\nsteps:\n  - id: get\n    do: http.request\n    with: { url: https://a.example }\n  - id: put\n    do: http.request\n    retry: { times: 2, wait: 3s }\n    timeout: 1s\n    with: { url: https://a.example, method: POST }\n  - id: all\n    each: ${ steps.get.body }\n    steps:\n      - { id: one, do: log.write, retry: none, with: { message: \"a: b\" } }\n";

#[test]
fn every_default_is_filled_in_and_says_where_it_comes_from() {
    let explained = explained(SMALL);
    let at = |pointer: &str| explained.recipe.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}")).clone();
    let note = |pointer: &str| explained.notes.get(pointer).map_or("", String::as_str);
    assert_eq!(at("/trigger/dedupe/for"), "1d");
    assert_eq!((at("/steps/0/retry/times"), note("/steps/0/retry/times")), (4.into(), "settings.retry"));
    assert_eq!((at("/steps/0/retry/wait"), note("/steps/0/retry/wait")), ("7s".into(), "default: before the second try"));
    assert_eq!((at("/steps/0/timeout"), note("/steps/0/timeout")), ("9s".into(), "defaults.timeout"));
    assert_eq!(at("/steps/0/on_error"), "fail");
    // What the step says itself stays and needs no note; the rest of its policy is not taken from elsewhere.
    assert_eq!((at("/steps/1/retry/wait"), note("/steps/1/retry/wait")), ("3s".into(), ""));
    assert_eq!((at("/steps/1/retry/max_wait"), at("/steps/1/timeout")), ("90s".into(), "1s".into()));
    assert_eq!(at("/steps/2/as"), "item");
    assert_eq!(at("/steps/2/steps/0/retry"), serde_json::json!({ "times": 1 }));
    assert!(note("/steps/1/do").contains("effect once: after a lost answer it is not repeated"), "{}", note("/steps/1/do"));
}

#[test]
fn the_effect_and_connection_of_an_action_are_told() {
    let explained = explained(FULL);
    let note = &explained.notes["/steps/0/do"];
    assert!(note.contains("of salesforce, through the connection sf; effect none: it only reads"), "{note}");
}

#[test]
fn the_servers_own_defaults_are_named() {
    let text = SMALL.replace("settings: { retry: 4 }\ndefaults: { timeout: 9s }\n", "");
    let explained = explained(&text);
    assert_eq!(explained.recipe.pointer("/steps/0/timeout"), Some(&"45s".into()));
    assert_eq!(explained.notes["/steps/0/timeout"], "the setting step_timeout");
    assert_eq!(explained.recipe.pointer("/steps/0/retry/times"), Some(&3.into()));
}

/// What is printed is a recipe that says all of it itself: explaining it again adds nothing.
#[test]
fn what_is_printed_is_the_same_recipe() {
    for text in [SMALL, FULL] {
        let first = explained(text);
        let printed = first.to_yaml();
        let again = explained(&printed);
        assert_eq!(again.recipe, first.recipe, "{printed}");
        assert!(printed.contains("  # "), "{printed}");
        let codes = |text: &str| -> Vec<_> {
            let all = recipe::parse_and_check(text.as_bytes(), &real()).diagnostics;
            all.into_iter().filter(|d| d.severity == recipe::Severity::Error).map(|d| d.code).collect()
        };
        assert_eq!(codes(&printed), codes(text), "{printed}");
    }
}

#[test]
fn texts_survive_printing() {
    for value in [
        "plain",
        "a: b",
        "# x",
        "true",
        "12",
        "0123",
        "",
        " lead",
        "trail ",
        "two\nlines",
        "end\n",
        "a\n\n b\n",
        "\nfirst",
        "x\u{7f}\u{85}y",
        "it's",
        "say \"so\"",
        "${ a ? b : c }",
        "${ #{ a: 1 } }",
        "-",
        "[x",
        "{x",
        "a, b",
        "x\n\n",
        "no",
        "~",
        "null",
        "tab\there",
        "back\\slash",
    ] {
        let json = serde_json::Value::from(value).to_string().replace('\u{7f}', "\\u007f").replace('\u{85}', "\\u0085");
        let text = format!("set: {{ a: {json}, b: [{json}] }}\n");
        let explained = explained(&text);
        let again = explained_or_fail(&explained.to_yaml());
        assert_eq!(again["set"]["a"], *value, "{}", explained.to_yaml());
        assert_eq!(again["set"]["b"][0], *value, "{}", explained.to_yaml());
    }
}

fn explained_or_fail(yaml: &str) -> serde_json::Value {
    explain(yaml, &real(), &defaults()).unwrap_or_else(|| panic!("{yaml}")).recipe
}

#[test]
fn what_is_no_recipe_is_not_explained() {
    for text in ["", "- a\n", "a: [\n", "12"] {
        assert_eq!(explain(text, &real(), &defaults()), None, "{text}");
    }
}
