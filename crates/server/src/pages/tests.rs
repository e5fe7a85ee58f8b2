//! Every page with every sample: what each page owes, and a few sentences each must hold.

use askama::Template;

use super::samples;

/// All samples as (address, HTML).
fn all() -> Vec<(String, String)> {
    fn each<T: Template>(page: &str, samples: Vec<(&'static str, T)>) -> Vec<(String, String)> {
        let html = |(name, sample): (&str, T)| (format!("{page}/{name}"), sample.render().expect("renders"));
        samples.into_iter().map(html).collect()
    }
    [
        each("signin", samples::signin()),
        each("message", samples::messages()),
        each("recipes", samples::recipes()),
        each("runs", samples::runs()),
        each("run", samples::run()),
        each("letters", samples::letters()),
        each("letters_act", samples::letters_act()),
        each("letters_edit", samples::letters_edit()),
        each("operation", samples::operation()),
    ]
    .concat()
}

fn html(address: &str) -> String {
    all().into_iter().find(|(at, _)| at == address).expect("is a sample").1
}

#[track_caller]
fn holds(address: &str, wanted: &[&str]) {
    let html = html(address);
    for text in wanted {
        assert!(html.contains(text), "{address} lacks {text}");
    }
}

#[test]
fn every_page_owes_this() {
    for (at, html) in all() {
        assert_eq!(html.matches("<h1").count(), 1, "{at}: one h1");
        assert_eq!(html.matches(" · Liaison</title>").count(), 1, "{at}: title");
        assert_eq!(html.matches("<main").count(), 1, "{at}: one main");
        assert!(html.starts_with("<!doctype html>"), "{at}: starts with {:?}", &html[..20]);
        assert!(!html.contains("<script>") && !html.contains("javascript:"), "{at}: no inline script");
        assert!(!html.contains("<style"), "{at}: no inline sheet");
        for handler in [" onclick=", " onload=", " onerror=", " onsubmit="] {
            assert!(!html.contains(handler), "{at}: no handlers");
        }
        for style in html.split(" style=\"").skip(1) {
            assert!(style.starts_with("--"), "{at}: style only sets bar positions");
        }
        balanced(&at, &html);
        unique_ids(&at, &html);
    }
}

/// Every tag that opens is closed in order.
fn balanced(at: &str, html: &str) {
    const VOID: [&str; 9] = ["meta", "link", "input", "br", "path", "rect", "circle", "use", "!doctype"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        // Attribute values never hold a raw `>`: askama escapes it.
        let end = rest.find('>').unwrap_or_else(|| panic!("{at}: a tag does not end"));
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{at}: wrong closing tag near {:?}", &rest.chars().take(60).collect::<String>());
        } else {
            let name = tag.split([' ', '\n', '/']).next().unwrap_or_default();
            if !VOID.contains(&name) && !tag.ends_with('/') {
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{at}: left open {open:?}");
}

fn unique_ids(at: &str, html: &str) {
    let mut seen = std::collections::HashSet::new();
    for id in html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(seen.insert(id), "{at}: id {id} occurs twice");
    }
}

#[test]
fn data_is_always_text() {
    holds("run/trigger", &["&#60;script&#62;alert(&#39;x&#39;)&#60;/script&#62;"]);
    holds("recipes/content", &["&#60;script&#62;alert(1)&#60;/script&#62;"]);
    holds("runs/content", &["&#60;b&#62;Work email&#60;/b&#62;"]);
    holds("runs/nothing", &["value=\"&#34;&#62;&#60;script&#62;alert(1)&#60;/script&#62;\""]);
}

#[test]
fn the_states_say_what_they_must() {
    holds("recipes/empty", &["No recipes yet"]);
    holds("recipes/nothing", &["No recipe matches", "Clear search"]);
    holds("recipes/error", &["The recipes could not be loaded", "Try again", "Copy details"]);
    holds("runs/empty", &["No runs yet"]);
    holds("runs/nothing", &["No failed runs match", "4 filters are on: Status, Recipe, Search text and Time.", "Clear filters"]);
    holds("runs/error", &["The runs could not be loaded", "Try again"]);
    holds("signin/refused", &["This link does not work any more"]);
    holds("signin/confirm", &["name=\"token\" value=\"lsn_once_4f8a\"", "name=\"next\" value=\"/runs?status=failed\""]);
    holds("message/connections", &["<h1>Connections: not here yet</h1>"]);
    holds("message/failed", &["Request req_01JD3M2"]);
}

#[test]
fn dead_letters_say_what_they_must() {
    holds(
        "letters/content",
        &[
            "25 dead letters have 2 causes",
            "<title>Last 24 hours: 18; most in one hour: 13, in the last hour</title>",
            "<rect class=\"fail\" x=\"92\" y=\"2.0\" width=\"3\" height=\"20.0\"",
            "&#60;Net 45&#62;",
            "href=\"/dead-letters/act?cause=8c37b0&#38;what=resume&#38;all=1\"",
            "href=\"/dead-letters/act?what=resume&#38;all=1\"",
            "Retry all 25 that match",
            "Replay 200 runs</a>: 120 of 200 done.",
            "name=\"ids\" value=\"run_01jd3m1aa2\"",
        ],
    );
    holds("letters/cause", &["2 of more than 10,000 dead letters", "href=\"/dead-letters?cause=8c37b0\"", "First page"]);
    holds("letters/empty", &["No dead letters", "Runs land here when every try failed."]);
    holds("letters/nothing", &["No dead letters match"]);
    holds("letters/error", &["The dead letters could not be loaded", "Try again"]);
    holds(
        "letters_act/many",
        &[
            "What becomes of 18 dead letters?",
            "Happens again in the other system: Create the order. Safe to repeat: Find the customer.",
            "name=\"all\" value=\"1\"",
            "name=\"cause\" value=\"8c37b0\"",
            "name=\"uncertain\"",
            "name=\"first\" value=\"1\" checked",
        ],
    );
    let one = html("letters_act/one");
    assert!(
        !one.contains("name=\"all\"") && !one.contains("name=\"first\"") && one.contains("value=\"discard\" checked"),
        "{one}"
    );
    holds("letters_edit/again", &["&#60;/textarea&#62;Net 45", "This is not JSON"]);
    holds(
        "operation/running",
        &["max=\"200\" value=\"120\"", "/operations/op_01jd3m1aaf/pause", "data-poll", "http-equiv=\"refresh\""],
    );
    holds("operation/first", &["The others follow once it ended well."]);
    holds("operation/paused", &["Go on", "/operations/op_01jd3m1aaf/stop"]);
    holds("operation/stopped", &["The other 80 were left alone.", "This run was already replayed."]);
    assert!(!html("operation/done").contains("<form method=\"post\" action=\"/operations/"), "nothing can be changed any more");
}

#[test]
fn the_run_list_keeps_its_filter() {
    holds(
        "runs/failed",
        &[
            "href=\"/runs?status=waiting&#38;recipe=order-to-cash&#38;since=24h\"",
            "name=\"status\" value=\"failed\"",
            "25 dead letters have 2 causes",
            "<option value=\"order-to-cash\" selected>",
            "/ui/events?page=runs&#38;seen=run_01jd3m1aaf&#38;status=failed&#38;recipe=order-to-cash&#38;since=24h",
        ],
    );
    holds("runs/content", &["href=\"/runs?cursor=AZkz\"", "10:30:52", "6 min ago", "Started (<span data-zone-name>CET</span>)"]);
}

#[test]
fn the_failed_run_tells_its_story() {
    holds(
        "run/failed",
        &[
            "<title>Failed run of Order to cash · Liaison</title>",
            "Took 18 m 43 s, of which",
            "NetSuite did not accept the sales order",
            "Why it happened",
            "Retry from step 7",
            "Steps 1 to 6 keep their results",
            "action=\"/runs/run_01jd3k7q9v/resume\"",
            "name=\"step\" value=\"order\"",
            "7 · Create sales order",
            "Not in NetSuite’s list",
            "Succeeded on the 3rd try. Try 1: too many requests (429). Try 2: service unavailable (503).",
            "348.00",
            "17 more runs",
        ],
    );
    holds("run/failed-output", &["No output"]);
    holds("run/failed-request", &["400 Bad Request", "01jd3k7q9v-order"]);
    holds("run/log", &["Event log", "INVALID_KEY_OR_REF, HTTP 400"]);
}

#[test]
fn unfinished_runs_say_what_they_wait_for() {
    holds(
        "run/retrying",
        &[
            "Retrying, try 3 of 6, next at <time",
            ">10:44:12</time>",
            ">Try 3 of 6 at <time",
            "/runs/run_01jd3k7q9v/cancel",
            "/ui/events?page=run&amp;id=",
        ],
    );
    holds(
        "run/paused",
        &["Paused, because NetSuite production does not answer. Next test at <time", "10:37:32</time>. Nothing is lost."],
    );
    holds(
        "run/in-line",
        &[
            "Waiting for its turn after <a href=\"/runs/run_01jd3k7q9u\">",
            "which waits for a connection that is paused and began at <time",
            "3 runs with the same key stand before this one.",
        ],
    );
    holds("run/running", &["12 s so far", "data-grow="]);
}

#[test]
fn doubt_is_a_question() {
    holds("run/uncertain", &["it may have happened", "value=\"happened\"", "value=\"repeat\"", "value=\"give_up\"", "No answer"]);
    // Several are asked about one by one and answered in one go.
    holds(
        "run/doubts",
        &[
            "2 steps may have happened",
            "name=\"answer-0\" value=\"happened\"",
            "name=\"answer-1\" value=\"give_up\"",
            "Answer all 2",
        ],
    );
    assert!(!html("run/uncertain-viewer").contains("/resume"), "viewers cannot answer");
}

#[test]
fn big_data_is_cut() {
    holds(
        "run/succeeded",
        &["The beginning of", "Download all", "/runs/run_01jd3k7q9v/data?step=lines&#38;part=output", "12345678901234567890.10"],
    );
    holds("run/loop", &["24 items: 23 done, 1 failed"]);
}

#[test]
fn live_rows_are_the_rows_of_the_page() {
    let (_, page) = samples::runs().swap_remove(0);
    let row = page.rows.as_ref().expect("rows")[0].html(&page.shell).expect("renders");
    assert!(row.trim().starts_with("<tr") && page.render().expect("renders").contains(row.trim()));
}
