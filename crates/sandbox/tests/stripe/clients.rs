//! The vendor's clients from PyPI and npm.

use std::{path::Path, process::Stdio};

use crate::{credentials, sandbox};

/// Runs a script beside this file against a sandbox; it must end well and say `ok`.
async fn run(variable: &str, program: impl FnOnce(String) -> String, script: &str) {
    let value = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set; `cargo xtask test` sets it"));
    let sandbox = sandbox().await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stripe").join(script);
    let told = serde_json::json!({
        "url": sandbox.url("stripe").as_str(), "control": sandbox.control_url().as_str(), "credentials": credentials(&sandbox),
    });
    let program = program(value);
    let output = tokio::task::spawn_blocking(move || {
        std::process::Command::new(program).arg(path).arg(told.to_string()).stdin(Stdio::null()).output().unwrap()
    });
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().ends_with("ok"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_finds_what_it_knows() {
    run("LIAISON_TEST_PYTHON", |python| python, "client.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_client_finds_what_it_knows() {
    run("LIAISON_TEST_NODE_MODULES", |_| "node".to_owned(), "client.cjs").await;
}
