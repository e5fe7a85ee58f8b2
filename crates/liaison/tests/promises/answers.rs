//! What callers are answered, and what becomes of their requests when they do not wait for it.

use std::{
    io::Write as _,
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    harness::{KEY, Process, Target, database},
    proxy::Proxy,
};

#[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipe_may_answer_that_something_is_forbidden() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let recipe = "liaison: 1\nrecipe: story\ntrigger: { from: webhook }\nsteps:\n  - id: no\n    \
        respond: { status: 403, headers: { x-why: closed }, body: { sorry: \"${ trigger.body.who }\" } }\n";
    server.set_up(recipe).await;
    let request = client().post(format!("http://{}/hooks/story", server.address)).json(&json!({ "who": "Ann" }));
    let answer = request.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["x-why"].to_str().unwrap()), (403, "closed"));
    assert!(answer.headers().contains_key("x-request-id"));
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "sorry": "Ann" }), "the body is the recipe's own");
    // The guard against other sites' pages speaks for itself.
    let request = client().post(format!("http://{}/api/v1/recipes/story/deactivate", server.address)).bearer_auth(KEY);
    let answer = request.header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 403);
    assert_eq!(answer.json::<Value>().await.unwrap()["error"]["code"], "CROSS_SITE");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_of_an_address_is_refused_like_everything_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    for path in ["/api/v1/runs?limit=many", "/api/v1/recipes/%FF%FE", "/api/v1/runs?unheard=1", "/api/v1/schedules?next=-1"] {
        let request = client().get(format!("http://{}{path}", server.address)).bearer_auth(KEY).header("x-request-id", "mine-7");
        let answer = request.send().await.unwrap();
        let (status, id) = (answer.status().as_u16(), answer.headers()["x-request-id"].clone());
        let told: Value = answer.json().await.unwrap_or_else(|error| panic!("{path}: no JSON: {error}"));
        let error = &told["error"];
        assert!((400..500).contains(&status) && error["code"].as_str().is_some_and(|code| !code.is_empty()), "{path}: {told}");
        assert_eq!((error["request_id"].as_str(), id.to_str().unwrap()), (Some("mine-7"), "mine-7"), "{path}");
        assert!(error["message"].as_str().is_some_and(|words| words.ends_with('.') && words.contains(' ')), "{path}: {told}");
    }
}

/// Two effects that may be done once only, under way at the same time.
fn both(target: &Target) -> String {
    let call = |number: u32| {
        format!(
            "    - id: s{number}\n          do: http.request\n          timeout: 2s\n          with: {{ method: POST, url: \"http://{}/call\", json: {{ run: \"${{ trigger.body.id }}-{number}\", step: 1 }} }}\n",
            target.address
        )
    };
    format!(
        "liaison: 1\nrecipe: story\ntrigger: {{ from: webhook }}\nsteps:\n  - id: both\n    parallel:\n      one:\n    {}      two:\n    {}  \
         - id: done\n    return: {{ one: \"${{ steps.both.one.s1.body.by }}\", two: \"${{ steps.both.two.s2.body.step }}\" }}\n",
        call(1),
        call(2)
    )
}

/// A session of a browser that was signed in with a link.
async fn session(server: &Process, folder: &std::path::Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_liaison")).args(["admin", "signin-link", "--data-dir"]).arg(folder).output();
    let link = String::from_utf8(output.unwrap().stdout).unwrap();
    let token = link.trim().rsplit("token=").next().unwrap().to_owned();
    let request = client().post(format!("http://{}/signin", server.address)).form(&[("token", token.as_str())]);
    let answer = request.send().await.unwrap();
    let cookies = answer.headers().get_all("set-cookie");
    let cookie = cookies.iter().filter_map(|cookie| cookie.to_str().ok()).find(|cookie| cookie.starts_with("liaison_session="));
    cookie.expect("a session").split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_is_not_taken_for_two_doubts() {
    let (target, folder) = (Target::start().await, tempfile::tempdir().unwrap());
    let server = Process::serve(folder.path(), None);
    server.set_up(&both(&target)).await;
    target.hold(1);
    let mut runs = Vec::new();
    for id in ["answered", "given-up"] {
        runs.push(server.send(id).await.unwrap());
    }
    // Both calls of both runs are under way.
    target.wait_for(4).await;
    for run in &runs {
        server.wait(run, "failed").await;
    }
    target.release();
    let doubts: Vec<String> = doubts(&server, &runs[0]).await;
    assert_eq!(doubts, ["s1", "s2"]);
    // One step alone cannot be given up, and what is told of it does not say so.
    let wish = json!({ "steps": { "s1": { "answer": "give_up" } } }).to_string();
    let (status, told) = server.api("POST", &format!("/api/v1/runs/{}/settle", runs[0]), Some(&wish)).await;
    let message = told["error"]["message"].as_str().unwrap_or_default();
    assert!(status == 422 && message.contains("must be happened or repeat."), "{told}");
    let said = json!({ "uncertain": "happened", "output": { "body": { "by": "hand" } } }).to_string();
    let (status, told) = server.api("POST", &format!("/api/v1/runs/{}/resume", runs[0]), Some(&said)).await;
    assert_eq!((status, told["error"]["code"].as_str()), (409, Some("SEVERAL_DOUBTS")), "{told}");
    let cookie = session(&server, folder.path()).await;
    let post = async |path: String, fields: &[(&str, &str)]| {
        let request = client().post(format!("http://{}/runs/{path}", server.address)).header("cookie", &cookie).form(fields);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, page) = post(format!("{}/resume", runs[0]), &[("answer", "happened"), ("output", "{}")]).await;
    assert!(status == 409 && page.contains("s1, s2"), "{status} {page}");
    // An answer is missing: nothing happens.
    let half = [("path", "s1"), ("answer-0", "repeat"), ("path", "s2")];
    let (status, page) = post(format!("{}/settle", runs[0]), &half).await;
    assert!(status == 422 && page.contains("step s2"), "{status} {page}");
    assert_eq!(server.run(&runs[0]).await["status"], "failed");
    // Each its own.
    let each = [
        ("path", "s1"),
        ("answer-0", "happened"),
        ("output-0", "{\"body\": {\"by\": \"hand\"}}"),
        ("path", "s2"),
        ("answer-1", "repeat"),
        ("output-1", ""),
    ];
    let (status, page) = post(format!("{}/settle", runs[0]), &each).await;
    assert_eq!(status, 303, "{page}");
    let run = server.wait(&runs[0], "succeeded").await;
    assert_eq!(run["output"], json!({ "one": "hand", "two": 1 }), "{run}");
    let calls = |run: &str| target.calls().iter().filter(|call| call.run == run).count();
    assert_eq!((calls("answered-1"), calls("answered-2")), (1, 2), "only what was said to be repeated was");
    // Giving up one of them gives up the run.
    let give_up = [("path", "s1"), ("answer-0", "repeat"), ("path", "s2"), ("answer-1", "give_up"), ("reason", "done by hand")];
    assert_eq!(post(format!("{}/settle", runs[1]), &give_up).await.0, 303);
    assert_eq!(server.run(&runs[1]).await["dead_letter"], "discarded");
}

/// Two effects that may be done once only, one after the other.
fn in_turn(target: &Target) -> String {
    target.recipe(2, true).replace("    with:\n", "    timeout: 2s\n    with:\n")
}

/// The hidden field of a run's page that says which failure it is about.
async fn failed_at(server: &Process, cookie: &str, run: &str) -> String {
    let request = client().get(format!("http://{}/runs/{run}", server.address)).header("cookie", cookie);
    let page = request.send().await.unwrap().text().await.unwrap();
    let (_, rest) = page.split_once("name=\"failed_at\" value=\"").unwrap_or_else(|| panic!("no question: {page}"));
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_on_a_page_of_before_is_not_taken_for_another_doubt() {
    let (target, folder) = (Target::start().await, tempfile::tempdir().unwrap());
    let server = Process::serve(folder.path(), None);
    server.set_up(&in_turn(&target)).await;
    target.hold(1);
    let run = server.send("one").await.unwrap();
    server.wait(&run, "failed").await;
    let cookie = session(&server, folder.path()).await;
    let seen = failed_at(&server, &cookie, &run).await;
    let say = async |fields: &[(&str, &str)]| {
        let request =
            client().post(format!("http://{}/runs/{run}/resume", server.address)).header("cookie", &cookie).form(fields);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    // Somebody else says what became of the first; the run goes on and is in doubt about the second.
    target.hold(2);
    let said = json!({ "uncertain": "happened", "output": {} }).to_string();
    assert_eq!(server.api("POST", &format!("/api/v1/runs/{run}/resume"), Some(&said)).await.0, 202);
    target.wait_for(2).await;
    server.wait(&run, "failed").await;
    assert_eq!(doubts(&server, &run).await, ["s2"]);
    for answer in ["happened", "repeat", "give_up"] {
        let (status, page) = say(&[("step", "s1"), ("answer", answer), ("output", "{}")]).await;
        assert!(status == 409 && page.contains("in doubt about step s2"), "{answer}: {status} {page}");
    }
    let (status, page) = say(&[("step", "s1")]).await;
    assert!(status == 409 && page.contains("Step s2 may have happened") && !page.contains("uncertain&quot;"), "{status} {page}");
    let told = server.run(&run).await;
    assert_eq!((told["status"].as_str(), told["dead_letter"].as_str()), (Some("failed"), Some("open")), "{told}");
    assert_eq!(target.calls().len(), 2, "nothing was sent again");
    // Nor for another try of the same step.
    let (status, page) = say(&[("step", "s2"), ("answer", "repeat"), ("failed_at", &seen)]).await;
    assert!(status == 409 && page.contains("has gone on since"), "{status} {page}");
    target.release();
    let now = failed_at(&server, &cookie, &run).await;
    assert_eq!(say(&[("step", "s2"), ("answer", "repeat"), ("failed_at", &now)]).await.0, 303);
    server.wait(&run, "succeeded").await;
    assert_eq!(target.calls().len(), 3);
}

/// A step that can be taken back, and one that fails. Taking back gets no answer in time.
fn taken_back(target: &Target) -> String {
    let call = |method: &str, rest: &str| {
        format!(
            "with: {{ method: {method}, url: \"http://{}/call\", json: {{ run: \"${{ trigger.body.id }}\", {rest} }} }}",
            target.address
        )
    };
    format!(
        "liaison: 1\nrecipe: story\ntrigger: {{ from: webhook }}\nsteps:\n  - id: book\n    title: Book it\n    do: http.request\n    {}\n    \
         undo:\n      do: http.request\n      timeout: 2s\n      {}\n  - id: refused\n    do: http.request\n    {}\n",
        call("PUT", "step: 1"),
        call("POST", "step: 9"),
        call("PUT", "step: 2, refuse: true"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubt_about_taking_back_is_a_question_on_the_page() {
    let (target, folder) = (Target::start().await, tempfile::tempdir().unwrap());
    let server = Process::serve(folder.path(), None);
    server.set_up(&taken_back(&target)).await;
    target.hold(9);
    let run = server.send("one").await.unwrap();
    let told = server.wait(&run, "failed").await;
    let undo = told["steps"].as_array().unwrap().iter().find(|step| step["path"] == "book.undo").unwrap();
    assert_eq!((undo["id"].as_str(), undo["use"].as_str()), (Some("book.undo"), Some("http.request")), "{undo}");
    assert_eq!(undo["status"], "uncertain");
    let cookie = session(&server, folder.path()).await;
    let page = async || {
        let request = client().get(format!("http://{}/runs/{run}", server.address)).header("cookie", &cookie);
        request.send().await.unwrap().text().await.unwrap()
    };
    let asked = page().await;
    for words in ["Take back: Book it: it may have happened", "name=\"step\" value=\"book.undo\"", "id=\"step-book.undo\""] {
        assert!(asked.contains(words), "no {words}: {asked}");
    }
    let fields = [("step", "book.undo"), ("answer", "happened"), ("output", "")];
    let request = client().post(format!("http://{}/runs/{run}/resume", server.address)).header("cookie", &cookie).form(&fields);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 303);
    let told = server.wait(&run, "failed").await;
    assert!(!page().await.contains("it may have happened"), "{told}");
    assert_eq!(target.calls().iter().filter(|call| call.step == 9).count(), 1, "it was not sent again");
}

/// A loop inside another word, over so many items that those in the middle are not shown.
const MANY: &str = "liaison: 1\nrecipe: story\ntrigger: { from: api }\nsteps:\n  - id: safe\n    try:\n      - id: walk\n        \
    each: \"${ trigger.rows }\"\n        steps:\n          - id: twice\n            set: { n: \"${ item * 2 }\" }\n    finally:\n      - id: tidy\n        set: { done: true }\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_is_not_shown_can_be_asked_for_with_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server.set_up(MANY).await;
    let event = json!({ "rows": (0..2_500).collect::<Vec<_>>() }).to_string();
    let (_, begun) = server.api("POST", "/api/v1/recipes/story/runs", Some(&event)).await;
    let run = begun["id"].as_str().unwrap();
    server.wait(run, "succeeded").await;
    let cookie = session(&server, folder.path()).await;
    let get = async |rest: &str| {
        let request = client().get(format!("http://{}/runs/{run}{rest}", server.address)).header("cookie", &cookie);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (_, page) = get("").await;
    assert!(page.contains("Show item") && page.contains("name=\"loop\" value=\"walk\""), "the loop cannot be chosen: {page}");
    assert!(!page.contains("step-walk[1500].twice"));
    let (_, page) = get("?loop=walk&item=1501").await;
    assert!(page.contains("step-walk[1500].twice"));
    let (status, data) = get("/data?step=walk%5B1500%5D.twice&part=output").await;
    assert_eq!((status, serde_json::from_str::<Value>(&data).ok()), (200, Some(json!({ "n": 3_000 }))), "{data}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_a_run_is_told_its_end_though_the_database_was_away() {
    let url = database().await;
    let proxy = Proxy::start(&url).await;
    let (target, folder) = (Target::start().await, tempfile::tempdir().unwrap());
    let server = Process::serve(folder.path(), Some(&proxy.url(&url)));
    server.set_up(&target.recipe(1, false)).await;
    target.hold(1);
    let run = server.send("one").await.unwrap();
    target.wait_for(1).await;
    let request = client().get(format!("http://{}/api/v1/runs/{run}/events", server.address)).bearer_auth(KEY);
    let mut answer = request.send().await.unwrap();
    let mut told = String::new();
    let mut until = async |word: &str| {
        let read = async {
            while !told.contains(word) {
                let part = answer.chunk().await.unwrap().unwrap_or_else(|| panic!("the watch ended before {word}: {told}"));
                told.push_str(&String::from_utf8_lossy(&part));
            }
        };
        tokio::time::timeout(Duration::from_secs(60), read).await.unwrap_or_else(|_| panic!("{word} was never told"));
    };
    until("\"running\"").await;
    proxy.cut();
    // The watch looks each second: by the second refusal, seconds later, it was refused as well.
    let (cut, mut refused) = (Instant::now(), 0);
    while refused < 2 || cut.elapsed() < Duration::from_secs(3) {
        let (status, _) = server.api("GET", &format!("/api/v1/runs/{run}"), None).await;
        refused += usize::from(status == 503);
        assert!(cut.elapsed() < Duration::from_secs(60), "the database is away and nobody says so");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    proxy.mend();
    target.release();
    until("\"succeeded\"").await;
}

async fn doubts(server: &Process, run: &str) -> Vec<String> {
    let run = server.run(run).await;
    let uncertain = run["steps"].as_array().unwrap().iter().filter(|step| step["status"] == "uncertain");
    uncertain.map(|step| step["path"].as_str().unwrap().to_owned()).collect()
}

/// A change that takes two commits: between them its sender goes away.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_carried_out_whole_when_its_sender_goes_away() {
    let (folder, url) = (tempfile::tempdir().unwrap(), database().await);
    let server = Process::serve(folder.path(), Some(&url));
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    // The alarm is written first, then the line of the audit list. Whoever writes alarms waits for us.
    let mut held = pool.begin().await.unwrap();
    sqlx::query("lock table alarms in exclusive mode").execute(&mut *held).await.unwrap();
    let body =
        json!({ "rule": { "kind": "failures", "every": "1h" }, "deliver": { "do": "log.write", "with": { "message": "seen" } } })
            .to_string();
    let mut sender = TcpStream::connect(&server.address).unwrap();
    let head = format!(
        "PUT /api/v1/alarms/failing HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        server.address,
        body.len()
    );
    sender.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let began = Instant::now();
    let waits = "select count(*) from pg_locks l join pg_class c on c.oid = l.relation where c.relname = 'alarms' and not l.granted \
        and l.database = (select oid from pg_database where datname = current_database())";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&pool).await.unwrap() == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "the request never came to its first commit");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(sender);
    // The server has seen that it went when it has answered others that came later.
    for _ in 0..50 {
        assert_eq!(server.text("/healthz").await.0, 200);
    }
    held.commit().await.unwrap();
    let began = Instant::now();
    let told = "select count(*) from audit where about = 'alarm failing'";
    while sqlx::query_scalar::<_, i64>(told).fetch_one(&pool).await.unwrap() == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "the change was left half done");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
