//! Web addresses: each belongs to one recipe that is switched on, whoever switches what on at the same time.

use serde_json::Value;

use crate::harness::{Process, database};

fn at_path(slug: &str, path: &str) -> String {
    format!(
        "liaison: 1\nrecipe: {slug}\ntrigger: {{ from: webhook, with: {{ path: {path} }} }}\nsteps:\n  - id: who\n    return: {{ at: {slug} }}\n"
    )
}

async fn save(server: &Process, slug: &str, text: &str) {
    let (status, told) = server.api("PUT", &format!("/api/v1/recipes/{slug}"), Some(text)).await;
    assert!(matches!(status, 200 | 201), "{told}");
}

async fn activate(server: &Process, slug: &str, body: &str) -> (u16, Value) {
    server.api("POST", &format!("/api/v1/recipes/{slug}/activate"), Some(body)).await
}

fn is_taken(answer: &(u16, Value), other: &str) {
    let (status, told) = answer;
    assert_eq!((*status, told["error"]["code"].as_str()), (409, Some("PATH_TAKEN")), "{told}");
    let message = told["error"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("Recipe {other} takes")) && message.contains("/hooks/inbox"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_address_belongs_to_one_recipe_that_is_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    save(&server, "first", &at_path("first", "inbox")).await;
    save(&server, "second", &at_path("second", "outbox")).await;
    assert_eq!(activate(&server, "first", "{}").await.0, 200);
    assert_eq!(activate(&server, "second", "{}").await.0, 200);
    // The next version wants what somebody has; the one before runs on.
    save(&server, "second", &at_path("second", "inbox")).await;
    is_taken(&activate(&server, "second", "{\"version\": 2}").await, "first");
    assert_eq!(server.api("GET", "/api/v1/recipes/second", None).await.1["active_version"], 1);
    for (path, slug) in [("inbox", "first"), ("outbox", "second")] {
        let (status, taken) = server.api("POST", &format!("/hooks/{path}"), Some("{}")).await;
        assert_eq!(status, 202, "{taken}");
        let run = server.wait(taken["run_id"].as_str().unwrap(), "succeeded").await;
        assert_eq!(run["output"]["at"], slug);
    }
    // Somebody's own next version, and going back to one, take nothing from anybody.
    save(&server, "first", &format!("{}note: newer\n", at_path("first", "inbox"))).await;
    assert_eq!(activate(&server, "first", "{\"version\": 2}").await.0, 200);
    assert_eq!(activate(&server, "first", "{\"version\": 1}").await.0, 200);
    // Going back to what somebody else took meanwhile.
    save(&server, "third", &at_path("third", "inbox")).await;
    assert_eq!(server.api("POST", "/api/v1/recipes/first/deactivate", Some("{}")).await.0, 200);
    assert_eq!(activate(&server, "third", "{}").await.0, 200);
    is_taken(&activate(&server, "first", "{\"version\": 1}").await, "third");
    // A path does not take the events of a recipe with that name either, nor the other way round.
    let named = "liaison: 1\nrecipe: inbox\ntrigger: { from: webhook }\nsteps:\n  - id: a\n    set: { x: 1 }\n";
    save(&server, "inbox", named).await;
    is_taken(&activate(&server, "inbox", "{}").await, "third");
    assert_eq!(server.api("POST", "/api/v1/recipes/third/deactivate", Some("{}")).await.0, 200);
    assert_eq!(activate(&server, "inbox", "{}").await.0, 200);
    is_taken(&activate(&server, "third", "{}").await, "inbox");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_that_deploys_says_which_recipe_has_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    save(&server, "first", &at_path("first", "inbox")).await;
    assert_eq!(activate(&server, "first", "{}").await.0, 200);
    let file = folder.path().join("second.recipe.yaml");
    std::fs::write(&file, at_path("second", "inbox")).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_liaison"));
    command.arg("apply").arg(&file).args(["--server", &format!("http://{}", server.address), "--api-key", crate::harness::KEY]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("Recipe first takes what comes to /hooks/inbox"), "{told}");
}

/// Two processes are asked at once, again and again: never do both say yes.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_one_gives_the_address_away() {
    let (folder, url) = (tempfile::tempdir().unwrap(), database().await);
    let one = Process::serve(folder.path(), Some(&url));
    let two = Process::serve(folder.path(), Some(&url));
    for slug in ["first", "second"] {
        save(&one, slug, &at_path(slug, "inbox")).await;
    }
    for round in 0..10 {
        let (first, second) = tokio::join!(activate(&one, "first", "{}"), activate(&two, "second", "{}"));
        match (first.0, second.0) {
            (200, _) => is_taken(&second, "first"),
            (_, 200) => is_taken(&first, "second"),
            _ => panic!("nobody got it in round {round}: {first:?} {second:?}"),
        }
        for slug in ["first", "second"] {
            assert_eq!(one.api("POST", &format!("/api/v1/recipes/{slug}/deactivate"), Some("{}")).await.0, 200);
        }
    }
}
