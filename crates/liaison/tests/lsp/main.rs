//! The language server as editors meet it, and the schema as other people's validators read it.

use std::{
    io::{Read as _, Write as _},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

const LIAISON: &str = env!("CARGO_BIN_EXE_liaison");
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lsp");

/// Node, with the packages that `cargo xtask test` installs.
fn node(script: &str) -> Command {
    let modules = std::env::var("LIAISON_TEST_NODE_MODULES")
        .expect("set LIAISON_TEST_NODE_MODULES, or run `cargo xtask test`, which installs the clients");
    let mut command = Command::new("node");
    command.arg(format!("{FOLDER}/{script}")).env("NODE_PATH", modules);
    command
}

#[test]
fn an_editors_own_client_gets_everything() {
    let output = node("client.cjs").arg(LIAISON).output().expect("node starts");
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{wrong}");
    assert_eq!(said.lines().filter(|line| line.starts_with("held: ")).count(), 17, "{said}");
}

fn framed(body: &str) -> String {
    format!("Content-Length: {}\r\n\r\n{body}", body.len())
}

/// What the server says to all of this, and how it ends.
fn said_to(input: &[u8]) -> (Vec<Value>, Option<i32>) {
    let mut child =
        Command::new(LIAISON).arg("lsp").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the server starts");
    let mut stdin = child.stdin.take().expect("standard input");
    let mut stdout = child.stdout.take().expect("standard output");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).expect("what it says");
        bytes
    });
    // It may end before all was written.
    let _ = stdin.write_all(input);
    drop(stdin);
    let said = String::from_utf8(reader.join().expect("read")).expect("UTF-8");
    let messages = said.split("Content-Length: ").skip(1).map(|part| {
        let (_, body) = part.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    });
    (messages.collect(), child.wait().expect("it ends").code())
}

#[test]
fn unclean_input_is_told_and_passed_over() {
    let call = |id: i32, method: &str, params: Value| {
        framed(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string())
    };
    let note = |method: &str, params: Value| framed(&json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string());
    let mut input = Vec::new();
    input.extend(framed("{\"jsonrpc\": \"2.0\", \"method\"").into_bytes());
    input.extend(b"garbage\r\n");
    input.extend(b"Content-Length: 3\r\n\r\n\xff\xfe\xfd");
    input.extend(framed("[1, 2]").into_bytes());
    input.extend(call(1, "initialize", json!({"capabilities": {}})).into_bytes());
    input.extend(note("textDocument/didOpen", json!({"nonsense": 1})).into_bytes());
    input.extend(
        note("textDocument/didChange", json!({"textDocument": {"uri": "file:///unknown", "version": 3}, "contentChanges": []}))
            .into_bytes(),
    );
    input.extend(note("never/heard", json!(null)).into_bytes());
    input.extend(
        call(
            2,
            "textDocument/completion",
            json!({"textDocument": {"uri": "file:///unknown"}, "position": {"line": 1, "character": 1}}),
        )
        .into_bytes(),
    );
    input.extend(call(3, "textDocument/completion", json!("nonsense")).into_bytes());
    input.extend(call(4, "initialize", json!({"capabilities": {}})).into_bytes());
    input.extend(call(5, "shutdown", json!(null)).into_bytes());
    input.extend(call(6, "textDocument/hover", json!({})).into_bytes());
    input.extend(note("exit", json!(null)).into_bytes());
    let (said, code) = said_to(&input);
    let codes = |id: Option<i32>| -> Vec<i64> {
        let of = |message: &&Value| message["id"] == json!(id);
        said.iter().filter(of).map(|message| message["error"]["code"].as_i64().unwrap_or_default()).collect()
    };
    assert_eq!(codes(None), [-32700; 4], "{said:?}");
    assert_eq!(codes(Some(1)), [0], "{said:?}");
    assert_eq!(said.iter().find(|m| m["id"] == 2).map(|m| &m["result"]), Some(&Value::Null), "{said:?}");
    assert_eq!([codes(Some(3)), codes(Some(4)), codes(Some(5)), codes(Some(6))], [[-32602], [-32600], [0], [-32600]], "{said:?}");
    assert_eq!(code, Some(0));
}

#[test]
fn a_client_that_goes_without_a_word_ends_it() {
    let (said, code) = said_to(b"");
    assert_eq!((said, code), (vec![], Some(1)));
    let start = framed(r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}"#);
    let (said, code) = said_to(format!("{start}Content-Length: 99999999999\r\n\r\n{{}}").as_bytes());
    assert_eq!((said.len(), code), (1, Some(1)), "a length is not believed");
}

#[test]
fn another_validator_agrees_with_the_schema_and_takes_our_recipes() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("recipe-1.json");
    let written = Command::new(LIAISON).args(["schema", "--out"]).arg(&file).status().expect("it starts");
    assert!(written.success());
    let shown = Command::new(LIAISON).arg("schema").output().expect("it starts").stdout;
    assert_eq!(std::fs::read(&file).expect("the file"), shown, "shown or written, it is the same");

    let mut lines = String::new();
    let mut count = 0;
    let mut add = |name: &str, good: bool, recipe: &Value| {
        lines.push_str(&json!({"name": name, "good": good, "recipe": recipe}).to_string());
        lines.push('\n');
        count += 1;
    };
    let recipes = concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes");
    for entry in std::fs::read_dir(recipes).expect("the recipes") {
        let path = entry.expect("a file").path();
        if !path.to_string_lossy().ends_with(".recipe.yaml") {
            continue;
        }
        let text = std::fs::read(&path).expect("a recipe");
        let data = recipe::data(&text).0.expect("a record");
        add(&path.display().to_string(), true, &data);
    }
    let base = |step: Value| json!({"liaison": 1, "recipe": "x", "trigger": {"from": "api"}, "steps": [step]});
    let url = "https://example.com";
    for (good, step) in [
        (true, json!({"id": "a", "do": "http.request", "with": {"url": url, "method": "${ trigger.method }"}})),
        (true, json!({"id": "a", "do": "http.request", "with": {"url": url, "accept": [200, "300-399"], "idempotent": true}})),
        (false, json!({"id": "a", "do": "http.request", "with": {"ulr": url}})),
        (false, json!({"id": "a", "do": "http.request", "with": {"url": url, "method": "FETCH"}})),
        (false, json!({"id": "a", "do": "http.request", "with": {"url": url, "idempotent": "yes"}})),
        (false, json!({"id": "a", "do": "log.write"})),
        (true, json!({"id": "a", "stop": "x", "undo": {"do": "log.write", "with": {"message": "x"}}})),
        (false, json!({"id": "a", "stop": "x", "undo": {"do": "log.write", "with": {"mesage": "x"}}})),
        (false, json!({"id": "a", "stop": "x", "set": {"a": 1}})),
    ] {
        add(&step.to_string(), good, &base(step.clone()));
        let recipe = base(step.clone()).to_string();
        let checked = recipe::parse_and_check(recipe.as_bytes(), &engine::catalogue::of(&connectors::all()));
        assert_eq!(checked.is_sound(), good, "the checker on {step}: {:?}", checked.diagnostics);
    }
    let mut child = node("schema.cjs").arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node starts");
    child.stdin.take().expect("standard input").write_all(lines.as_bytes()).expect("told");
    let said = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), format!("{count} held"));
}

#[test]
fn recipes_of_the_folder_are_named_where_one_is_called() {
    let folder = tempfile::tempdir().expect("a folder");
    let recipe = |slug: &str, from: &str| {
        format!("liaison: 1\nrecipe: {slug}\ntitle: The {slug}\ntrigger: {{ from: {from} }}\nsteps:\n  - id: a\n    stop: done\n")
    };
    for (file, slug, from) in
        [("price.recipe.yaml", "price", "call"), ("b.recipe.yml", "orders", "webhook"), ("notes.yaml", "no", "call")]
    {
        std::fs::write(folder.path().join(file), recipe(slug, from)).expect("a file");
    }
    std::fs::write(folder.path().join("odd.recipe.yaml"), b"\xff\xfe").expect("a file");
    let uri = format!("file://{}/main.recipe.yaml", folder.path().display());
    let text = "liaison: 1\nrecipe: main\ntrigger: { from: api }\nsteps:\n  - id: a\n    call: \n";
    let message = |body: Value| framed(&body.to_string());
    let open = |uri: &str, text: &str| {
        let document = json!({ "uri": uri, "languageId": "yaml", "version": 1, "text": text });
        message(json!({ "jsonrpc": "2.0", "method": "textDocument/didOpen", "params": { "textDocument": document } }))
    };
    let mut input = message(json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "capabilities": {} } }));
    input += &open(&uri, text);
    // One that is open and not saved yet counts, too.
    input += &open("untitled:new", &recipe("fresh", "call"));
    let at = json!({ "textDocument": { "uri": uri }, "position": { "line": 5, "character": 10 } });
    input += &message(json!({ "jsonrpc": "2.0", "id": 2, "method": "textDocument/completion", "params": at }));
    let (said, _) = said_to(input.as_bytes());
    let answer = said.iter().find(|message| message["id"] == 2).expect("an answer");
    let labels: Vec<_> =
        answer["result"].as_array().expect("a list").iter().map(|item| item["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["fresh", "price", "orders"], "{answer}");
}
