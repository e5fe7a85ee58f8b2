//! The pages of the real binary in a real browser.
//!
//! `LIAISON_TEST_CHROMIUM` names another Chromium than /usr/bin/chromium, `LIAISON_TEST_SHOTS` a
//! directory for pictures.

mod chromium;
mod letters;
mod server;

use serde_json::{Value, json};

use crate::{
    chromium::Browser,
    server::{Liaison, System},
};

/// Marks the page, to see later that it was never loaded again.
const MARK: &str = "window.stayed = true";

fn sign_in(browser: &mut Browser, link: &str) {
    browser.goto(link);
    browser.click("form button.primary");
    browser.wait("the page after signing in", "document.querySelector('.side .who') && document.readyState === 'complete'");
}

/// Saves a recipe of one call, switches it on and starts a run of it.
fn start_run(browser: &mut Browser, slug: &str, url: &str, retry: &str) -> String {
    let text = format!(
        "liaison: 1\nrecipe: {slug}\ntitle: Ask outside\ntrigger: {{ from: api }}\nsteps:\n  - id: ask\n    title: Ask the system\n    \
         do: http.request\n    {retry}\n    with: {{ url: \"{url}\" }}\n  - id: tell\n    title: Tell the answer\n    \
         return: {{ said: \"${{ steps.ask.body.said }}\" }}\n"
    );
    browser.api("PUT", &format!("/recipes/{slug}"), &text);
    browser.api("POST", &format!("/recipes/{slug}/activate"), "{}");
    start_again(browser, slug)
}

fn start_again(browser: &mut Browser, slug: &str) -> String {
    let run = browser.api("POST", &format!("/recipes/{slug}/runs"), r#"{"question": "how are you"}"#);
    run["id"].as_str().expect("an id").to_owned()
}

#[track_caller]
fn quiet(browser: &mut Browser) {
    let problems = browser.problems();
    assert!(problems.is_empty(), "the console has errors: {problems:#?}");
}

#[test]
fn a_link_signs_in_once_and_signing_out_ends_it() {
    let (liaison, mut browser) = (Liaison::start(), Browser::start());
    browser.goto(&format!("{}/runs?status=failed", liaison.url));
    assert_eq!(browser.text("h1"), "Sign in", "pages need a session");
    let headers = "fetch('/runs').then(a => ['content-security-policy', 'x-content-type-options', 'cache-control'].map(n => a.headers.get(n)))";
    let headers = browser.eval(headers);
    assert!(headers[0].as_str().is_some_and(|policy| policy.starts_with("default-src 'self'")), "{headers}");
    assert_eq!((&headers[1], &headers[2]), (&json!("nosniff"), &json!("no-store")));
    // Opening a link does not use it up.
    browser.goto(&liaison.signin);
    sign_in(&mut browser, &liaison.signin);
    assert_eq!(browser.text("h1"), "Runs");
    assert!(!browser.eval("document.cookie").to_string().contains("liaison_session"), "scripts cannot read the session");
    quiet(&mut browser);
    browser.click(".side form[action='/signout'] button");
    browser.wait_for_text("You are signed out.");
    browser.goto(&liaison.demo_run);
    assert_eq!(browser.text("h1"), "Sign in");
    quiet(&mut browser);
    browser.goto(&liaison.signin);
    browser.click("form button.primary");
    browser.wait_for_text("This link does not work any more.");
    // A fresh one, pasted as a whole, leads where it says.
    browser.eval(&format!("document.querySelector('#token').value = {}", json!(liaison.demo_signin)));
    browser.click("form button.primary");
    browser.wait("the run", &format!("location.href.startsWith({})", json!(liaison.demo_run)));
}

#[test]
fn the_demo_run_can_be_read() {
    let (liaison, mut browser) = (Liaison::start(), Browser::start());
    sign_in(&mut browser, &liaison.demo_signin);
    let head = browser.text("h1");
    assert!(head.contains("Succeeded") && head.contains("Paid Stripe invoices are booked in the ledger"), "{head}");
    let steps = browser.text(".wf");
    for title in [
        "Find the customer",
        "Work out the booking",
        "Large or small",
        "Show it to finance",
        "Book every line",
        "Book the line",
        "Tell what was booked",
    ] {
        assert!(steps.contains(title), "the timeline lacks {title}: {steps}");
    }
    let passes =
        browser.eval("[...document.querySelectorAll('.wf-row')].filter(r => /^step-lines\\[\\d+\\]$/.test(r.id)).length");
    let fold = browser.text(".wf-loop summary");
    assert!(passes.as_u64().is_some_and(|passes| passes > 1) && fold.contains("done"), "{passes} {fold}");
    browser.shot("run-light");

    assert!(browser.text(".insp .json").contains("\"LSN-2026-0042\""), "the run's result is shown");

    // A step is chosen without leaving the page; its data are the real ones.
    browser.eval(MARK);
    browser.click("[id='step-customer']");
    browser.wait("the chosen step", "location.search.includes('step=customer')");
    let input = browser.text(".insp .json");
    assert!(input.contains("\"/customers/cus_acme\""), "{input}");
    browser.click(".insp .tabs a[href*='tab=output']");
    browser.wait_for_text("\"Acme Robotics\"");
    browser.click(".insp .tabs a[href*='tab=request']");
    browser.wait_for_text("200 OK");
    browser.click("[id='step-lines[0].book']");
    browser.wait("the step of a pass", "document.querySelector('.insp h2').innerText.includes('Book the line')");
    assert_eq!(browser.eval("window.stayed"), true, "the page was loaded again");
    browser.eval("history.back()");
    browser.wait("the step before", "document.querySelector('.insp h2').innerText.includes('Find the customer')");

    let data = browser.eval("fetch(document.querySelector('.json-bar a[download], .json-bar')?.href ?? location.pathname + '/data?step=customer&part=output').then(async a => [a.headers.get('content-disposition'), await a.json()])");
    assert!(data[0].as_str().is_some_and(|text| text.starts_with("attachment")), "{data}");
    assert_eq!(data[1]["body"]["name"], "Acme Robotics");

    browser.click("a[href$='/events']");
    browser.wait_for_text("Run succeeded");
    browser.shot("run-log");

    browser.click("form[action$='/replay'] button");
    browser.wait_for_text("Replay of");
    browser.wait("the end", "document.querySelector('h1').innerText.includes('Succeeded')");
    assert!(browser.text(".run-meta").contains(liaison.demo_run.rsplit('/').next().expect("an id")));
    quiet(&mut browser);
}

#[test]
fn the_lists_show_runs_and_recipes() {
    let (liaison, mut browser) = (Liaison::start(), Browser::start());
    sign_in(&mut browser, &liaison.signin);
    let id = liaison.demo_run.rsplit('/').next().expect("an id").to_owned();
    let there = format!("document.getElementById({})", json!(id));
    browser.wait("the run in the list", &there);
    browser.shot("runs-light");
    browser.click(".tabs a[href='/runs?status=failed']");
    browser.wait_for_text("No failed runs match");
    browser.click(".tabs a[href='/runs?status=succeeded']");
    browser.wait("the run among the succeeded", &there);
    browser.goto(&format!("{}/runs?q={id}", liaison.url));
    browser.wait("the run by its id", &there);
    browser.goto(&format!("{}/runs?recipe=order-intake", liaison.url));
    assert_eq!(browser.eval(&format!("!{there}")), true, "the filter of the recipe holds");
    browser.goto(&format!("{}/recipes", liaison.url));
    let recipes = browser.text("table.recipes");
    for title in ["Paid Stripe invoices are booked in the ledger", "Orders from the shop become tickets"] {
        assert!(recipes.contains(title), "{recipes}");
    }
    browser.shot("recipes-light");
    for (path, heading) in
        [("/", "Runs"), ("/docs/api", "API docs"), ("/dead-letters", "Dead letters"), ("/audit", "Audit log: not here yet")]
    {
        browser.goto(&format!("{}{path}", liaison.url));
        assert_eq!(browser.text("h1"), heading);
    }
    quiet(&mut browser);
    browser.goto(&format!("{}/runs/run_nothing", liaison.url));
    assert_eq!(browser.text("h1"), "This run is not here");
    browser.goto(&format!("{}/nowhere", liaison.url));
    assert_eq!(browser.text("h1"), "Nothing is here");
}

#[test]
fn a_run_is_watched_to_its_end_without_loading_the_page_again() {
    let (liaison, system, mut browser) = (Liaison::start(), System::start(), Browser::start());
    sign_in(&mut browser, &liaison.signin);
    let run = start_run(&mut browser, "ask-slow", &format!("{}/slow", system.url), "timeout: 60s");
    system.wait_until_asked(1);
    browser.goto(&format!("{}/runs/{run}", liaison.url));
    assert!(browser.text("h1").contains("Running"), "{}", browser.text("h1"));
    browser.wait("the stream", "document.querySelector('[data-live-state]')?.innerText === 'Live'");
    browser.shot("run-running");
    browser.eval(MARK);
    system.release();
    browser.wait("the end", "document.querySelector('h1').innerText.includes('Succeeded')");
    assert!(browser.text(".wf").contains("Tell the answer"));
    assert_eq!(browser.eval("window.stayed"), true, "the page was loaded again");
    quiet(&mut browser);
}

#[test]
fn the_list_changes_in_place_and_announces_new_runs() {
    let (liaison, system, mut browser) = (Liaison::start(), System::start(), Browser::start());
    sign_in(&mut browser, &liaison.signin);
    let run = start_run(&mut browser, "ask-slow", &format!("{}/slow", system.url), "timeout: 60s");
    system.wait_until_asked(1);
    browser.goto(&format!("{}/runs", liaison.url));
    let row = format!("document.getElementById({}).innerText", json!(run));
    browser.wait("the running row", &format!("{row}.includes('Running')"));
    browser.wait("the stream", "document.querySelector('[data-live-switch]')?.innerText === 'Live'");
    browser.eval(MARK);
    system.release();
    browser.wait("the row's end", &format!("{row}.includes('Succeeded')"));
    let second = start_again(&mut browser, "ask-slow");
    browser.wait("the news", "document.querySelector('[data-new]')?.innerText === '1 new run. Show it'");
    assert_eq!(
        browser.eval(&format!("document.getElementById({})", json!(second))),
        Value::Null,
        "rows do not move by themselves"
    );
    assert_eq!(browser.eval("window.stayed"), true, "the page was loaded again");
    browser.click("[data-new]");
    browser.wait("the new row", &format!("document.getElementById({})", json!(second)));
    quiet(&mut browser);
}

#[test]
fn a_failed_run_is_resumed_and_a_waiting_one_cancelled() {
    let (liaison, system, mut browser) = (Liaison::start(), System::start(), Browser::start());
    sign_in(&mut browser, &liaison.signin);
    let run = start_run(&mut browser, "ask-picky", &format!("{}/picky", system.url), "timeout: 10s");
    system.wait_until_asked(1);
    browser.goto(&format!("{}/runs/{run}", liaison.url));
    browser.wait("the failure", "document.querySelector('h1').innerText.includes('Failed')");
    let card = browser.text(".err");
    for words in ["127.0.0.1 did not accept what step 2 sent", "Sending the same again would give the same answer.", "HTTP_422"] {
        assert!(card.contains(words), "{card}");
    }
    assert!(browser.text(".insp h2").contains("Ask the system"), "the page opens on the failing step");
    browser.shot("run-failed");
    browser.goto(&format!("{}/runs/{run}?step=ask&tab=request", liaison.url));
    browser.wait_for_text("422 Unprocessable");

    // Waits for its next try for an hour: cancelled.
    let retrying = start_run(
        &mut browser,
        "ask-flaky",
        &format!("{}/flaky", system.url),
        "retry: { times: 4, wait: 1h, max_wait: 2h, jitter: none }",
    );
    browser.goto(&format!("{}/runs/{retrying}", liaison.url));
    browser.wait("the pause", "document.querySelector('h1').innerText.includes('Retrying')");
    browser.wait_for_text("try 2 of 4, next at");
    browser.shot("run-retrying");
    browser.click("form[action$='/cancel'] button");
    browser.wait("the end", "document.querySelector('h1')?.innerText.includes('Cancelled')");

    system.release();
    browser.goto(&format!("{}/runs/{run}", liaison.url));
    browser.click(".run-head form[action$='/resume'] button");
    browser.wait("the end", "document.querySelector('h1')?.innerText.includes('Succeeded')");
    assert!(browser.text(".wf").contains("Worked on the 2nd try"), "{}", browser.text(".wf"));
    quiet(&mut browser);
}

#[test]
fn a_call_without_an_answer_is_put_to_a_person() {
    let (liaison, system, mut browser) = (Liaison::start(), System::start(), Browser::start());
    sign_in(&mut browser, &liaison.signin);
    let run = start_run(&mut browser, "ask-cut", &format!("{}/cut\", method: \"POST", system.url), "timeout: 10s");
    let address = format!("{}/runs/{run}", liaison.url);
    browser.goto(&address);
    browser.wait("the question", "document.querySelector('.doubt')?.innerText.includes('it may have happened')");
    assert!(browser.text(".doubt").contains("to 127.0.0.1 and got no answer"), "{}", browser.text(".doubt"));
    browser.shot("run-doubt");
    browser.eval("document.querySelector('#doubt-out').value = '{\"body\": {\"said\": \"from a person\"}}'");
    browser.click(".doubt form.answer button");
    browser.wait("the end", "document.querySelector('h1')?.innerText.includes('Succeeded')");
    browser.goto(&format!("{address}?step=tell"));
    browser.wait_for_text("\"from a person\"");

    let second = start_again(&mut browser, "ask-cut");
    browser.goto(&format!("{}/runs/{second}", liaison.url));
    browser.wait("the question", "document.querySelector('.doubt .btn.danger')");
    browser.click(".doubt .btn.danger");
    browser.wait_for_text("Put aside by Admin: given up.");
    assert_eq!(browser.eval("document.querySelector('form[action$=\"/resume\"]')"), Value::Null, "nothing is asked any more");
    quiet(&mut browser);
}

#[test]
fn several_doubts_are_answered_one_by_one_in_one_go() {
    let (liaison, system, mut browser) = (Liaison::start(), System::start(), Browser::start());
    browser.prefers("light");
    sign_in(&mut browser, &liaison.signin);
    let call = |id: &str| {
        format!(
            "        - id: {id}\n          title: Ask {id}\n          do: http.request\n          with: {{ method: POST, url: \"{}/cut\" }}\n",
            system.url
        )
    };
    let text = format!(
        "liaison: 1\nrecipe: ask-both\ntrigger: {{ from: api }}\nsteps:\n  - id: both\n    parallel:\n      one:\n{}      two:\n{}",
        call("north"),
        call("south")
    );
    browser.api("PUT", "/recipes/ask-both", &text);
    browser.api("POST", "/recipes/ask-both/activate", "{}");
    let run = start_again(&mut browser, "ask-both");
    browser.goto(&format!("{}/runs/{run}", liaison.url));
    browser.wait("the questions", "document.querySelector('.doubt')?.innerText.includes('2 steps may have happened')");
    assert_eq!(browser.eval("document.querySelectorAll('.doubt fieldset').length"), 2);
    browser.shot("run-doubts-light");
    browser.prefers("dark");
    browser.shot("run-doubts-dark");
    browser.size(390, 844);
    let width = browser.eval("[document.documentElement.scrollWidth, innerWidth]");
    assert_eq!(width, json!([390, 390]), "the questions scroll sideways");
    browser.shot("run-doubts-phone");
    browser.size(1440, 1000);
    // Nothing is sent while an answer is missing.
    browser.click("input[name='answer-0'][value='happened']");
    browser.click(".doubts button");
    assert_eq!(browser.eval("document.querySelector('.doubts').checkValidity()"), false);
    browser.eval("document.querySelector('#doubt-out-0').value = '{\"body\": 1}'");
    browser.click("input[name='answer-1'][value='happened']");
    browser.click(".doubts button");
    browser.wait("the end", "document.querySelector('h1')?.innerText.includes('Succeeded')");
    quiet(&mut browser);
}

#[test]
fn themes_stay_and_phones_scroll_one_way() {
    let (liaison, mut browser) = (Liaison::start(), Browser::start());
    browser.prefers("light");
    sign_in(&mut browser, &liaison.demo_signin);
    let theme = "document.documentElement.dataset.theme ?? null";
    let canvas = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.eval(theme), Value::Null);
    let light = browser.eval(canvas);
    browser.click(".side [data-theme-form] button");
    browser.wait("the dark theme", "document.documentElement.dataset.theme === 'dark'");
    browser.goto(&liaison.demo_run);
    assert_eq!(browser.eval(theme), "dark", "the server writes it at once");
    assert_ne!(browser.eval(canvas), light);
    browser.shot("run-dark");
    for (name, path) in [("runs", "/runs"), ("recipes", "/recipes"), ("docs", "/docs/api")] {
        browser.goto(&format!("{}{path}", liaison.url));
        browser.shot(&format!("{name}-dark"));
    }
    browser.size(390, 844);
    let run = liaison.demo_run.clone();
    let later = format!("{run}?step=lines%5B0%5D.book&tab=output");
    let log = format!("{run}/events");
    for (name, address) in [
        ("run", run.as_str()),
        ("step", &later),
        ("log", &log),
        ("runs", "/runs"),
        ("recipes", "/recipes"),
        ("docs", "/docs/api"),
        ("later", "/connections"),
    ] {
        let address = if address.starts_with('/') { format!("{}{address}", liaison.url) } else { address.to_owned() };
        browser.goto(&address);
        let width = browser.eval("[document.documentElement.scrollWidth, innerWidth]");
        assert_eq!(width, json!([390, 390]), "{address} scrolls sideways");
        browser.shot(&format!("{name}-phone-dark"));
    }
    quiet(&mut browser);
}
