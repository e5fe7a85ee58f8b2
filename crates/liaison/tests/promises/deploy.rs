//! From files to a server and back: `apply`, `export` and `diff` with the real server.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
};

use axum::{Json, Router, extract::Query, routing::get};
use serde_json::{Value, json};

use crate::harness::{KEY, Process};

fn recipe(slug: &str, note: &str) -> String {
    format!("# {note}\nliaison: 1\nrecipe: {slug}\ntrigger: {{ from: api }}\nsteps:\n  - id: a\n    set: {{ x: {note} }}\n")
}

fn at(address: &str, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_liaison"))
        .current_dir(folder)
        .args(arguments)
        .env("LIAISON_SERVER", format!("http://{address}"))
        .env("LIAISON_API_KEY", KEY)
        .output()
        .expect("the binary runs")
}

fn out(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", out(output)))
}

/// The recipes of the server, by slug: newest and active version.
async fn versions(server: &Process) -> BTreeMap<String, (u64, Option<u64>)> {
    let (status, page) = server.api("GET", "/api/v1/recipes", None).await;
    assert_eq!(status, 200, "{page}");
    let row = |row: &Value| {
        (row["slug"].as_str().unwrap().to_owned(), (row["version"].as_u64().unwrap(), row["active_version"].as_u64()))
    };
    page["data"].as_array().unwrap().iter().map(row).collect()
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// A server, its data, and a folder for recipes.
fn start() -> (Process, tempfile::TempDir, tempfile::TempDir) {
    let (data, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    (Process::serve(data.path(), None), data, work)
}

/// What became of each recipe, by slug.
fn column(output: &Output, name: &str) -> BTreeMap<String, String> {
    let rows = json_of(output);
    let cell = |row: &Value| (row["recipe"].as_str().unwrap().to_owned(), row[name].as_str().unwrap_or_default().to_owned());
    rows.as_array().unwrap().iter().map(cell).collect()
}

fn pairs<const N: usize>(expected: [(&str, &str); N]) -> BTreeMap<String, String> {
    expected.iter().map(|(recipe, word)| ((*recipe).to_owned(), (*word).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_file_holds_is_told_and_switched_off_only_when_asked_for() {
    let (server, _data, work) = start();
    let run = |arguments: &[&str]| at(&server.address, work.path(), arguments);
    for slug in ["keeps", "goes", "stays-off"] {
        write(work.path(), &format!("{slug}.recipe.yaml"), &recipe(slug, "1"));
    }
    assert_eq!(run(&["apply", "."]).status.code(), Some(0));
    server.api("POST", "/api/v1/recipes/stays-off/deactivate", Some("{}")).await;
    for slug in ["goes", "stays-off"] {
        std::fs::remove_file(work.path().join(format!("{slug}.recipe.yaml"))).unwrap();
    }
    let before = versions(&server).await;

    let told = run(&["apply", "."]);
    assert_eq!(told.status.code(), Some(0), "{}", out(&told));
    assert!(out(&told).contains("Only on the server, and left as it is: goes."), "{}", out(&told));
    let planned = run(&["apply", ".", "--prune", "--dry-run", "--json"]);
    assert_eq!(column(&planned, "change"), pairs([("goes", "switch_off"), ("keeps", "unchanged")]));
    assert_eq!(json_of(&planned)[0]["applied"], false);
    assert_eq!(versions(&server).await, before, "nothing was asked for yet");

    let pruned = run(&["apply", ".", "--prune"]);
    assert_eq!(pruned.status.code(), Some(0), "{}", out(&pruned));
    assert!(out(&pruned).contains("switch off goes"), "{}", out(&pruned));
    let mut expected = before;
    expected.insert("goes".to_owned(), (1, None));
    assert_eq!(versions(&server).await, expected);
    assert_eq!(column(&run(&["apply", ".", "--prune", "--json"]), "change"), pairs([("keeps", "unchanged")]));
    assert_eq!(run(&["apply", ".", "--prune", "--no-activate"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_switched_off_when_something_is_wrong() {
    let (data, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Process::serve_with(data.path(), &["--api-bytes-max", "2000"]);
    let run = |arguments: &[&str]| at(&server.address, work.path(), arguments);
    for slug in ["caller", "called"] {
        write(work.path(), &format!("{slug}.recipe.yaml"), &recipe(slug, "1"));
    }
    assert_eq!(run(&["apply", "."]).status.code(), Some(0));
    let before = versions(&server).await;
    let refused = |words: &str| {
        let output = run(&["apply", ".", "--prune"]);
        assert_eq!(output.status.code(), Some(1), "{}", out(&output));
        assert!(out(&output).contains(words), "{}", out(&output));
    };
    std::fs::remove_file(work.path().join("called.recipe.yaml")).unwrap();
    write(work.path(), "broken.recipe.yaml", "liaison: 1\nrecipe: broken\nsteps: [\n");
    refused("nothing was sent, because some recipes have errors");
    write(work.path(), "broken.recipe.yaml", &recipe("caller", "2"));
    refused("two files hold the recipe caller");
    std::fs::remove_file(work.path().join("broken.recipe.yaml")).unwrap();
    let calls = "liaison: 1\nrecipe: caller\ntrigger: { from: api }\nsteps:\n  - id: a\n    call: called\n    with: {}\n";
    write(work.path(), "caller.recipe.yaml", calls);
    refused("recipe caller calls called, which would be switched off");
    write(
        work.path(),
        "caller.recipe.yaml",
        &recipe("caller", "1").replace("steps:", "settings: { on_failure: called }\nsteps:"),
    );
    refused("recipe caller calls called, which would be switched off");
    assert_eq!(versions(&server).await, before);
    // The server refuses to switch one on: another that stays has its web address.
    for slug in ["caller", "other"] {
        let text = recipe(slug, "1").replace("{ from: api }", "{ from: webhook, with: { path: inbox } }");
        write(work.path(), &format!("{slug}.recipe.yaml"), &text);
    }
    refused("recipe other: Recipe caller takes what comes to /hooks/inbox");
    assert_eq!(versions(&server).await["called"], before["called"]);
    // The server refuses a text that this program takes: nothing is switched, however sound the others are.
    write(work.path(), "caller.recipe.yaml", &recipe("caller", "3"));
    write(work.path(), "other.recipe.yaml", &recipe("other", &"too long ".repeat(200)));
    let before = versions(&server).await;
    refused("recipe other; nothing was switched on or off: ");
    let after = versions(&server).await;
    assert_eq!((after["caller"].1, after["called"].1), (before["caller"].1, before["called"].1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_recipe_takes_its_web_address_along() {
    let (server, _data, work) = start();
    let run = |arguments: &[&str]| at(&server.address, work.path(), arguments);
    let named = |slug: &str| recipe(slug, "1").replace("{ from: api }", "{ from: webhook, with: { path: inbox } }");
    write(work.path(), "one.recipe.yaml", &named("old-name"));
    assert_eq!(run(&["apply", "."]).status.code(), Some(0));
    write(work.path(), "one.recipe.yaml", &named("new-name"));
    let alone = run(&["apply", "."]);
    assert_eq!(alone.status.code(), Some(1), "{}", out(&alone));
    let pruned = run(&["apply", ".", "--prune", "--json"]);
    assert_eq!(column(&pruned, "change"), pairs([("new-name", "switch_on"), ("old-name", "switch_off")]), "{}", out(&pruned));
    let now = versions(&server).await;
    assert_eq!((now["new-name"], now["old-name"]), ((1, Some(1)), (1, None)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_is_what_was_sent_and_changes_nothing_when_it_comes_back() {
    let (server, _data, work) = start();
    let run = |arguments: &[&str]| at(&server.address, work.path(), arguments);
    let sent = work.path().join("sent");
    std::fs::create_dir(&sent).unwrap();
    let texts = [
        ("windows", format!("\u{feff}{}", recipe("windows", "1").replace('\n', "\r\n"))),
        ("plain", recipe("plain", "Grüße")),
        ("drafted", recipe("drafted", "1")),
        ("as-json", json!({ "liaison": 1, "recipe": "as-json", "trigger": { "from": "api" }, "steps": [{ "id": "a", "set": { "x": 1 } }] }).to_string()),
    ];
    for (slug, text) in &texts {
        write(&sent, &format!("{slug}-of-mine.recipe.yaml"), text);
    }
    write(&sent, "off.recipe.yaml", &recipe("off", "1"));
    let applied = run(&["apply", "sent"]);
    assert_eq!(applied.status.code(), Some(0), "{}", out(&applied));
    server.api("POST", "/api/v1/recipes/off/deactivate", Some("{}")).await;
    assert_eq!(server.api("PUT", "/api/v1/recipes/drafted", Some(&recipe("drafted", "2"))).await.0, 200);
    let before = versions(&server).await;
    assert_eq!(before["drafted"], (2, Some(1)));

    let exported = run(&["export", "there/now", "--json"]);
    assert_eq!(exported.status.code(), Some(0), "{}", out(&exported));
    assert_eq!(column(&exported, "outcome")["off"], "left_out");
    for (slug, text) in &texts {
        let file = work.path().join(format!("there/now/{slug}.recipe.yaml"));
        assert_eq!(std::fs::read(file).unwrap(), text.as_bytes(), "{slug}");
    }
    assert_eq!(std::fs::read_dir(work.path().join("there/now")).unwrap().count(), texts.len());
    let same = run(&["diff", "there/now", "--remote"]);
    assert_eq!(same.status.code(), Some(0), "{}", out(&same));
    let again = column(&run(&["apply", "there/now", "--prune", "--json"]), "change");
    assert!(again.len() == texts.len() && again.values().all(|change| change == "unchanged"), "{again:?}");
    assert_eq!(versions(&server).await, before);

    let drafts = run(&["export", "drafts", "--drafts", "--json"]);
    assert!(column(&drafts, "outcome").values().all(|outcome| outcome == "written"), "{}", out(&drafts));
    assert_eq!(std::fs::read_to_string(work.path().join("drafts/drafted.recipe.yaml")).unwrap(), recipe("drafted", "2"));
    assert_eq!(std::fs::read_to_string(work.path().join("drafts/off.recipe.yaml")).unwrap(), recipe("off", "1"));
    let plan = column(&run(&["apply", "drafts", "--dry-run", "--json"]), "change");
    assert_eq!((plan["drafted"].as_str(), plan["off"].as_str()), ("switch_on", "switch_on"));
}

#[tokio::test(flavor = "multi_thread")]
async fn export_writes_over_nothing_unless_forced() {
    let (server, _data, work) = start();
    let run = |arguments: &[&str]| at(&server.address, work.path(), arguments);
    for slug in ["mine", "same", "gone"] {
        write(work.path(), &format!("{slug}.recipe.yaml"), &recipe(slug, "1"));
    }
    assert_eq!(run(&["apply", "."]).status.code(), Some(0));
    let edited = recipe("mine", "2");
    write(work.path(), "mine.recipe.yaml", &edited);
    std::fs::remove_file(work.path().join("gone.recipe.yaml")).unwrap();
    let file = work.path().join("same.recipe.yaml");
    let touched = std::fs::metadata(&file).unwrap().modified().unwrap();

    let kept = run(&["export", ".", "--json"]);
    assert_eq!(kept.status.code(), Some(1), "{}", out(&kept));
    assert_eq!(column(&kept, "outcome"), pairs([("gone", "written"), ("mine", "kept"), ("same", "unchanged")]));
    assert_eq!(std::fs::read_to_string(work.path().join("mine.recipe.yaml")).unwrap(), edited);
    let told = run(&["export", "."]);
    assert!(out(&told).contains("mine.recipe.yaml") && out(&told).contains("--force"), "{}", out(&told));

    let forced = run(&["export", ".", "--force"]);
    assert_eq!(forced.status.code(), Some(0), "{}", out(&forced));
    assert_eq!(std::fs::read_to_string(work.path().join("mine.recipe.yaml")).unwrap(), recipe("mine", "1"));
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), touched, "what was the same is not written again");
    assert_eq!(run(&["export", "same.recipe.yaml"]).status.code(), Some(1), "a file is no folder");
    assert_eq!(run(&["export"]).status.code(), Some(2));
    assert!(server.stop());
    assert_eq!(at("127.0.0.1:1", work.path(), &["export", "."]).status.code(), Some(3));
    assert_eq!(at("127.0.0.1:1", work.path(), &["apply", "."]).status.code(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_compared_with_all_the_server_has() {
    let (server, _data, work) = start();
    let run = |arguments: &[&str]| at(&server.address, work.path(), arguments);
    for slug in ["here", "there"] {
        write(work.path(), &format!("{slug}.recipe.yaml"), &recipe(slug, "1"));
    }
    assert_eq!(run(&["apply", "."]).status.code(), Some(0));
    std::fs::remove_file(work.path().join("there.recipe.yaml")).unwrap();
    let told = run(&["diff", "."]);
    assert_eq!(told.status.code(), Some(1), "{}", out(&told));
    assert!(out(&told).contains("there\n  is only on the server, where it is switched on\n"), "{}", out(&told));
    let row = json_of(&run(&["diff", ".", "--json"]))[1].take();
    let expected = json!({ "recipe": "there", "differs": true, "new": false, "only_on_server": true, "differences": null });
    assert_eq!(row, expected);
    // A file alone is compared with its own recipe.
    let alone = run(&["diff", "here.recipe.yaml"]);
    assert!(alone.status.success() && !out(&alone).contains("there"), "{}", out(&alone));
    // What does not run there needs no file here.
    server.api("POST", "/api/v1/recipes/there/deactivate", Some("{}")).await;
    let told = run(&["diff", "."]);
    assert_eq!(told.status.code(), Some(0), "{}", out(&told));
    assert!(out(&told).contains("there\n  is only on the server, where it is switched off\n"), "{}", out(&told));
}

/// A made-up server whose list of recipes has pages, answered by cursor.
async fn paged(page: fn(Option<&str>) -> Value) -> String {
    let list =
        move |Query(query): Query<BTreeMap<String, String>>| async move { Json(page(query.get("cursor").map(String::as_str))) };
    let version = async || Json(json!({ "text": "a text" }));
    let router = Router::new().route("/api/v1/recipes", get(list)).route("/api/v1/recipes/{slug}/versions/{n}", get(version));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn one_page(slug: &str, next: Option<&str>) -> Value {
    json!({
        "data": [{ "slug": slug, "version": 1, "active_version": 1 }],
        "pagination": { "limit": 1, "next_cursor": next, "has_more": next.is_some() },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_read_to_their_end_and_not_further() {
    let work = tempfile::tempdir().unwrap();
    let three = paged(|cursor| match cursor {
        None => one_page("one", Some("a")),
        Some("a") => one_page("two", Some("b&c")),
        Some("b&c") => one_page("three", None),
        Some(other) => panic!("nobody gave the cursor {other}"),
    });
    let exported = at(&three.await, work.path(), &["export", "all", "--json"]);
    assert_eq!(column(&exported, "outcome"), pairs([("one", "written"), ("three", "written"), ("two", "written")]));
    // One that never ends, one that says that more will come, one that would write elsewhere.
    let endless = paged(|_| one_page("one", Some("a"))).await;
    let empty = paged(|cursor| {
        let next = format!("{}a", cursor.unwrap_or_default());
        json!({ "data": [], "pagination": { "next_cursor": next, "has_more": true } })
    });
    for (address, words) in [(endless, "does not come to an end"), (empty.await, "does not come to an end")] {
        let refused = at(&address, work.path(), &["export", "bad"]);
        assert_eq!(refused.status.code(), Some(1), "{}", out(&refused));
        assert!(out(&refused).contains(words), "{}", out(&refused));
    }
    let elsewhere = at(&paged(|_| one_page("../outside", None)).await, work.path(), &["export", "bad"]);
    assert_eq!(elsewhere.status.code(), Some(1), "{}", out(&elsewhere));
    assert!(out(&elsewhere).contains("no recipe's name"), "{}", out(&elsewhere));
    assert!(!work.path().join("bad").exists() && !work.path().join("outside.recipe.yaml").exists());
}
