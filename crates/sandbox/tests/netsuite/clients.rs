//! The clients people use, from PyPI and npm: all sign with tokens.

use std::{path::Path, process::Stdio};

use sandbox::{Options, Sandbox};

/// Runs a script beside this file with the credentials; it must end well and say `ok`.
async fn run(variable: &str, script: &str) {
    let value = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set; `cargo xtask test` sets it"));
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let credentials = sandbox.vendor("netsuite").unwrap().credentials().to_string();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netsuite").join(script);
    let mut command = match variable {
        "LIAISON_TEST_PYTHON" => std::process::Command::new(value),
        _ => {
            let mut node = std::process::Command::new("node");
            node.env("NODE_PATH", value);
            node
        }
    };
    command
        .env("AUTHLIB_INSECURE_TRANSPORT", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(path)
        .arg(credentials)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().ends_with("ok"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_netsuite_and_oauthlib_are_understood() {
    run("LIAISON_TEST_PYTHON", "rest_client.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_netsuite_rest_nsrestlet_and_oauth_1_0a_are_understood() {
    run("LIAISON_TEST_NODE_MODULES", "rest_client.cjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn netsuitesdk_and_zeep_read_search_write_and_meet_faults() {
    run("LIAISON_TEST_PYTHON", "soap_client.py").await;
}
