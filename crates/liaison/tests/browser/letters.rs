//! The dead-letter pages: from many failures to their causes, and from a cause to its end.

use serde_json::json;

use crate::{
    chromium::Browser,
    quiet,
    server::{Liaison, System},
    sign_in, start_again, start_run,
};

/// Waits until all of them failed.
fn wait_failed(browser: &mut Browser, runs: &[String]) {
    for run in runs {
        let ask = format!("fetch('/api/v1/runs/{run}').then(a => a.json()).then(r => {{ window.seen = r.status; }})");
        while browser.eval("window.seen ?? null") != "failed" {
            browser.eval(&ask);
        }
        browser.eval("window.seen = null");
    }
}

#[test]
fn causes_lead_to_what_can_be_done_and_progress_to_the_end() {
    let (liaison, system, mut browser) = (Liaison::start(), System::start(), Browser::start());
    browser.prefers("light");
    sign_in(&mut browser, &liaison.signin);
    let first = start_run(&mut browser, "ask-picky", &format!("{}/picky", system.url), "timeout: 10s");
    let mut runs = vec![first];
    for _ in 0..3 {
        runs.push(start_again(&mut browser, "ask-picky"));
    }
    let url = format!("{}/flaky\", method: \"POST", system.url);
    runs.push(start_run(&mut browser, "ask-flaky", &url, "retry: none"));
    wait_failed(&mut browser, &runs);

    browser.goto(&format!("{}/dead-letters", liaison.url));
    assert_eq!(browser.text("#why"), "5 dead letters have 2 causes");
    assert_eq!(browser.text(".cause .n"), "4", "the cause with the most comes first");
    let told = browser.eval("document.querySelector('.cause .spark title').textContent");
    assert_eq!(told, "Last 24 hours: 4, in the last hour");
    assert_eq!(browser.text("[data-bulk-n]"), "None selected");
    assert_eq!(browser.eval("[...document.querySelectorAll('.bulk button')].every(b => b.disabled)"), true);
    browser.shot("letters-light");
    browser.click("[data-pick-all]");
    assert_eq!(browser.text("[data-bulk-n]"), "5 selected");
    browser.click("[data-pick]");
    assert_eq!(browser.text("[data-bulk-n]"), "4 selected");
    browser.shot("letters-ticked");

    // One cause by its address; the filter stays in what is asked.
    browser.click(".cause:nth-child(2) div > a");
    browser.wait("the list of one cause", "document.querySelectorAll('[data-pick]').length === 1");
    browser.click(".cause:nth-child(2) > .btn");
    browser.wait_for_text("What becomes of 1 dead letter?");
    let asked = browser.text("form.act");
    assert!(asked.contains("Happens again in the other system: Ask the system."), "a POST is told: {asked}");
    browser.goto(&format!("{}/dead-letters", liaison.url));
    browser.click(".cause > .btn");
    browser.wait_for_text("What becomes of 4 dead letters?");
    let asked = browser.text("form.act");
    assert!(asked.contains("Safe to repeat: Ask the system."), "a GET is safe: {asked}");
    browser.shot("letters-act");

    // Still broken: the first is tried, and the rest left alone.
    browser.click("form.act button.primary");
    browser.wait("the progress", "document.querySelector('#operation')");
    browser.wait_for_text("The other 3 were left alone.");
    browser.shot("operation-stopped");
    system.release();
    browser.goto(&format!("{}/dead-letters", liaison.url));
    browser.click(".cause > .btn");
    browser.wait_for_text("What becomes of 4 dead letters?");
    browser.click("form.act button.primary");
    browser.wait("the progress", "document.querySelector('#operation')");
    browser.eval("window.stayed = true");
    browser.wait_for_text("4 of 4 done.");
    assert_eq!(browser.eval("window.stayed"), true, "the page moved by itself");
    assert!(browser.text("h1").contains("Done"), "{}", browser.text("h1"));
    browser.shot("operation-done");

    // What is discarded needs a reason, which the page asks for.
    browser.goto(&format!("{}/dead-letters", liaison.url));
    browser.click("[data-pick]");
    browser.click(".bulk button[value='discard']");
    browser.wait_for_text("What becomes of 1 dead letter?");
    browser.eval("document.querySelector('#reason').value = 'entered by hand'");
    browser.click("form.act button.primary");
    browser.wait_for_text("1 of 1 done.");
    browser.goto(&format!("{}/dead-letters", liaison.url));
    browser.wait_for_text("Runs land here when every try failed.");
    quiet(&mut browser);
}

/// A large event is kept apart from the journal, and is corrected all the same.
#[test]
fn a_large_event_is_corrected_whole_or_not_at_all() {
    let (liaison, system, mut browser) = (Liaison::start(), System::start(), Browser::start());
    sign_in(&mut browser, &liaison.signin);
    let first = start_run(&mut browser, "ask-picky", &format!("{}/picky", system.url), "timeout: 10s");
    let mut start = |bytes: usize| {
        let event = json!({ "question": "how are you", "more": "x".repeat(bytes) }).to_string();
        browser.api("POST", "/recipes/ask-picky/runs", &event)["id"].as_str().expect("an id").to_owned()
    };
    let (large, larger) = (start(300_000), start(700_000));
    wait_failed(&mut browser, &[first, large.clone(), larger.clone()]);
    browser.goto(&format!("{}/dead-letters/{larger}/edit", liaison.url));
    browser.wait_for_text("at most 640 KB");
    browser.problems();
    browser.goto(&format!("{}/dead-letters/{large}/edit", liaison.url));
    browser.wait_for_text("Event, as JSON");
    let shown = "(() => { const e = JSON.parse(document.querySelector('#event').value); return [e.question, e.more.length]; })()";
    assert_eq!(browser.eval(shown), json!(["how are you", 300_000]));
    system.release();
    browser.eval(
        "document.querySelector('#event').value = document.querySelector('#event').value.replace('how are you', 'and now')",
    );
    browser.click("form.act button.primary");
    browser.wait("the new run", "document.querySelector('h1')?.innerText.includes('Succeeded')");
    quiet(&mut browser);
}

#[test]
fn an_event_is_corrected_and_replayed() {
    let (liaison, system, mut browser) = (Liaison::start(), System::start(), Browser::start());
    browser.prefers("dark");
    sign_in(&mut browser, &liaison.signin);
    let run = start_run(&mut browser, "ask-picky", &format!("{}/picky", system.url), "timeout: 10s");
    let other = start_again(&mut browser, "ask-picky");
    wait_failed(&mut browser, &[run.clone(), other]);
    browser.goto(&format!("{}/runs/{run}", liaison.url));
    let card = browser.text(".err");
    assert!(card.contains("1 other run") || card.contains("failed for the same reason"), "{card}");
    browser.click("a[href$='/edit']");
    browser.wait_for_text("Event, as JSON");
    assert!(browser.eval("document.querySelector('#event').value").to_string().contains("how are you"));
    browser.eval("document.querySelector('#event').value = '{\"question\": '");
    browser.click("form.act button.primary");
    browser.wait_for_text("This is not JSON");
    assert_eq!(browser.eval("document.querySelector('#event').value"), "{\"question\":", "nothing typed is lost");
    browser.shot("letters-edit-dark");
    system.release();
    browser.problems();
    browser.eval("document.querySelector('#event').value = '{\"question\": \"and now\"}'");
    browser.click("form.act button.primary");
    browser.wait("the new run", "document.querySelector('h1')?.innerText.includes('Succeeded')");
    let there = browser.eval("location.href");
    browser.goto(&format!("{}?step=trigger", there.as_str().expect("an address")));
    browser.wait_for_text("and now");
    // The phone shows all of it without scrolling sideways.
    browser.size(390, 844);
    for address in ["/dead-letters", "/dead-letters/act?what=resume&all=1"] {
        browser.goto(&format!("{}{address}", liaison.url));
        let width = browser.eval("[document.documentElement.scrollWidth, innerWidth]");
        assert_eq!(width, json!([390, 390]), "{address} scrolls sideways");
        browser.shot(&format!("letters-phone-dark-{}", address.contains("act")));
    }
    quiet(&mut browser);
}
