//! jsforce, simple-salesforce and a gRPC client, as people use them.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::json;
use tokio::process::Command;

use crate::Org;

fn place(variable: &str) -> PathBuf {
    std::env::var_os(variable)
        .map_or_else(|| panic!("set {variable}, or run `cargo xtask test`, which installs the clients"), PathBuf::from)
}

async fn run(mut command: Command, script: &str, org: &Org, key: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/salesforce").join(script);
    command.arg(script).stdin(Stdio::null()).kill_on_drop(true).env("NO_PROXY", "*").env("SF_JWT_KEY", key);
    command.env("SF_CREDENTIALS", org.credentials().to_string()).env("SF_CONTROL", org.sandbox.control_url().as_str());
    let ended = tokio::time::timeout(std::time::Duration::from_secs(120), command.output()).await;
    let output = ended.expect("the client takes too long").unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.trim_end().ends_with("all good"), "{out}\n{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_salesforce_signs_in_and_works() {
    let org = Org::start().await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    org.configure(json!({"jwt_certificate": key.public_key_pem()}));
    run(Command::new(place("LIAISON_TEST_PYTHON")), "simple_salesforce_calls.py", &org, &key.serialize_pem()).await;
}

fn node() -> Command {
    let mut node = Command::new("node");
    node.env("NODE_PATH", place("LIAISON_TEST_NODE_MODULES"));
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_signs_in_and_works() {
    let org = Org::start().await;
    run(node(), "jsforce_calls.cjs", &org, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_follows_topics_events_changes_and_channels() {
    let org = Org::start().await;
    run(node(), "jsforce_streaming.cjs", &org, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_and_fastavro_follow_and_publish_events() {
    let org = Org::start().await;
    run(Command::new(place("LIAISON_TEST_PYTHON")), "pubsub_calls.py", &org, "").await;
}
