//! Sign-ins with others' OAuth servers and real processes: with a browser, renewed once by however many, lost with nobody.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{Process, database};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// An OAuth server of somebody else's, and an API that takes its tokens.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let modules = std::env::var("LIAISON_TEST_NODE_MODULES")
            .expect("set LIAISON_TEST_NODE_MODULES, or run `cargo xtask test`, which installs the servers");
        let mut command = Command::new("node");
        command.arg(format!("{FOLDER}/oauth.mjs")).args(arguments).env("NODE_PATH", modules);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("node starts");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
        let address =
            lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("http")).expect("it says where it listens");
        // Nobody reads on; the pipe must not fill up.
        std::thread::spawn(move || for _ in lines {});
        Self { child, address }
    }

    async fn lever(&self, name: &str) -> Value {
        get(&format!("{}/levers/{name}", self.address)).await.1
    }

    async fn count(&self, what: &str) -> u64 {
        self.lever("counts").await[what].as_u64().unwrap_or_default()
    }

    /// Waits until something was counted so often.
    async fn wait_for(&self, what: &str, count: u64) {
        let began = Instant::now();
        while self.count(what).await < count {
            assert!(began.elapsed() < Duration::from_secs(30), "{what} never came to {count}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn get(url: &str) -> (u16, Value) {
    let (status, text) = get_text(url).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn get_text(url: &str) -> (u16, String) {
    #[expect(clippy::disallowed_methods, reason = "a test calls its own servers")]
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
    let answer = client.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

const RECIPE: &str = "liaison: 1\nrecipe: story\nconnections: { crm: http }\ntrigger:\n  from: webhook\n  \
    dedupe: { by: \"${ trigger.body.id }\" }\nsteps:\n  - { id: s1, do: crm.request, with: { path: /x }, retry: none }\n";

async fn connect(server: &Process, base: &str, auth: Value, credentials: Value) -> Value {
    let connection = json!({
        "name": "crm", "connector": "http", "credentials": credentials,
        "config": { "base_url": format!("{base}/api"), "auth": auth }
    });
    let (status, body) = server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await;
    assert_eq!(status, 201, "{body}");
    server.set_up(RECIPE).await;
    body
}

async fn crm(server: &Process) -> Value {
    let (status, body) = server.api("GET", "/api/v1/connections/crm", None).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn begin(server: &Process) -> String {
    let (status, body) = server.api("POST", "/api/v1/connections/crm/sign-in", None).await;
    assert_eq!(status, 201, "{body}");
    assert!(body["redirect_uri"].as_str().unwrap().ends_with("/oauth/callback"), "{body}");
    body["url"].as_str().unwrap().to_owned()
}

/// What a person does: opens the address, agrees, and is sent back.
async fn agree(provider: &Server, url: &str) -> String {
    let url: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
    let (status, body) = get(&format!("{}/levers/browse?url={url}", provider.address)).await;
    assert_eq!(status, 200, "{body}");
    body["url"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_with_the_browser() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let home = format!("http://{}/oauth/callback", server.address);
    let provider = Server::start(&["provider", &home]);
    let auth = json!({
        "kind": "oauth2", "grant": "authorization_code", "scope": "openid offline_access",
        "authorize_url": format!("{}/auth", provider.address), "token_url": format!("{}/token", provider.address),
        "authorize_params": { "prompt": "consent" }
    });
    let credentials = json!({ "client_id": "liaison", "client_secret": "a secret that is long enough" });
    let made = connect(&server, &provider.address, auth, credentials).await;
    assert_eq!((&made["state"], &made["state_reason"]), (&json!("needs_sign_in"), &json!("Nobody has signed in yet.")), "{made}");
    let run = server.send("before").await.expect("events are taken all the same");
    let told = server.wait(&run, "failed").await;
    assert_eq!((&told["error"]["class"], &told["error"]["code"]), (&json!("auth"), &json!("SIGN_IN_NEEDED")), "{told}");
    assert_eq!(provider.count("api").await, 0, "nothing was called");

    // There and back; the way back is good once, and no other state gets in.
    let back = agree(&provider, &begin(&server).await).await;
    let (status, page) = get_text(&back.replace("state=", "state=x")).await;
    assert!(status == 400 && page.contains("This sign-in is over"), "{page}");
    let (status, page) = get_text(&back).await;
    assert!(status == 200 && page.contains("Signed in") && page.contains("crm"), "{page}");
    let code = back.split("code=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    assert!(!page.contains(code), "the page holds nothing of the code");
    let (status, page) = get_text(&back).await;
    assert!(status == 400 && page.contains("This sign-in is over"), "{page}");
    let (status, page) = get_text(&format!("{home}?error=access_denied&state={}", "unknown")).await;
    assert!(status == 400 && page.contains("This sign-in is over"), "{page}");
    assert_eq!(crm(&server).await["state"], "never_used");

    let run = server.send("first").await.unwrap();
    server.wait(&run, "succeeded").await;
    let told = crm(&server).await;
    assert_eq!(told["state"], "healthy", "{told}");
    assert!(told["last_used_at"].is_string(), "{told}");
    assert!(!told.to_string().contains("refresh"), "tokens are never shown: {told}");
    assert_eq!((provider.count("code").await, provider.count("refresh").await), (1, 0));

    // The access token is refused: renewed once, with a refresh token that is good once; also after a restart.
    provider.lever("expire").await;
    server.wait(&server.send("second").await.unwrap(), "succeeded").await;
    assert!(server.stop(), "it stops in good order");
    let server = Process::serve(folder.path(), None);
    provider.lever("expire").await;
    server.wait(&server.send("third").await.unwrap(), "succeeded").await;
    assert_eq!(provider.count("refresh").await, 2);

    // Revoked at the other side: one question, then no more calls, however many runs come.
    provider.lever("revoke").await;
    let run = server.send("fourth").await.unwrap();
    let told = server.wait(&run, "failed").await;
    assert_eq!(told["error"]["class"], "auth", "{told}");
    let (calls, refused) = (provider.count("api").await, provider.count("refused").await);
    for number in 0..20 {
        let run = server.send(&format!("late{number}")).await.unwrap();
        let told = server.wait(&run, "failed").await;
        assert_eq!(told["error"]["code"], "SIGN_IN_NEEDED", "{told}");
    }
    assert_eq!((provider.count("api").await, provider.count("refused").await), (calls, refused), "nothing was called");
    let told = crm(&server).await;
    assert_eq!(told["state"], "needs_sign_in", "{told}");
    assert!(told["since"].is_string() && told["state_reason"].as_str().unwrap().contains("invalid_grant"), "{told}");
    let (_, audit) = server.api("GET", "/api/v1/audit?about=connection+crm", None).await;
    assert!(
        audit.to_string().contains("connection.needs_sign_in") && audit.to_string().contains("connection.signed_in"),
        "{audit}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_browser_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    connect(&server, "http://127.0.0.1:1", json!("bearer"), json!({ "token": "t" })).await;
    let (status, body) = server.api("POST", "/api/v1/connections/crm/sign-in", None).await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("NO_BROWSER_SIGN_IN")), "{body}");
    assert_eq!(server.api("POST", "/api/v1/connections/none/sign-in", None).await.0, 404);
    let (status, page) = get_text(&format!("http://{}/oauth/callback", server.address)).await;
    assert!(status == 400 && page.contains("This is no sign-in"), "{page}");
}

/// Three processes on one database, each with a connection whose token is renewed with a refresh token.
async fn three(oauth: &Server, folder: &std::path::Path, url: &str) -> Vec<Process> {
    let servers: Vec<_> = (0..3).map(|_| Process::serve(folder, Some(url))).collect();
    let auth = json!({ "kind": "oauth2", "grant": "refresh_token", "token_url": format!("{}/token", oauth.address) });
    connect(&servers[0], &oauth.address, auth, json!({ "client_id": "liaison", "refresh_token": "r0" })).await;
    for server in &servers {
        let began = Instant::now();
        while server.send("warm").await.is_none() {
            assert!(began.elapsed() < Duration::from_secs(30), "a process never learns of the recipe");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let first = servers[0].send("first").await.unwrap();
    servers[0].wait(&first, "succeeded").await;
    assert_eq!(oauth.count("refresh").await, 1);
    servers
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_steps_in_three_processes_renew_an_expired_token_once() {
    let (folder, url) = (tempfile::tempdir().unwrap(), database().await);
    let oauth = Server::start(&["mock"]);
    let servers = three(&oauth, folder.path(), &url).await;
    oauth.lever("expire").await;
    oauth.lever("hold").await;
    let mut runs = Vec::new();
    for number in 0..50 {
        runs.push(servers[number % 3].send(&format!("e{number}")).await.expect("the event is taken"));
    }
    oauth.wait_for("asked", 2).await;
    oauth.lever("release").await;
    for run in &runs {
        servers[0].wait(run, "succeeded").await;
    }
    assert_eq!(oauth.count("refresh").await, 2, "one renewal for all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_while_it_renews_holds_nobody_up() {
    let (folder, url) = (tempfile::tempdir().unwrap(), database().await);
    let oauth = Server::start(&["mock"]);
    let mut servers = three(&oauth, folder.path(), &url).await;
    oauth.lever("expire").await;
    oauth.lever("hold").await;
    let before = oauth.count("asked").await;
    let lost = servers[0].send("lost").await.unwrap();
    oauth.wait_for("asked", before + 1).await;
    // The answer is on its way when its reader dies.
    servers.remove(0).kill();
    oauth.lever("release").await;
    let other = servers[0].send("other").await.unwrap();
    for run in [&lost, &other] {
        servers[0].wait(run, "succeeded").await;
    }
    assert_eq!(oauth.count("asked").await, before + 2, "asked once more, by one of the others");
}
