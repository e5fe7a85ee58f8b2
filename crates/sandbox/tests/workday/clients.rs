//! The clients people use, from PyPI.

use std::{path::Path, process::Stdio};

use crate::{credentials, sandbox};

/// Runs a script beside this file with the credentials; it must end well and say `ok`.
async fn python(variable: &str, script: &str) {
    let python = std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} names no interpreter with the clients; `cargo xtask test` sets it"));
    let sandbox = sandbox().await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workday").join(script);
    let argument = credentials(&sandbox).to_string();
    let output = tokio::task::spawn_blocking(move || {
        std::process::Command::new(python).arg(path).arg(argument).stdin(Stdio::null()).output().unwrap()
    });
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().ends_with("ok"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zeep_reads_pages_changes_people_and_meets_faults() {
    python("LIAISON_TEST_PYTHON", "zeep_client.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workday_and_tap_workday_raas_read_pages_and_reports() {
    python("LIAISON_TEST_PYTHON_OLDER", "older_clients.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wdsdk_and_wws_api_read_reports_and_pages() {
    python("LIAISON_TEST_PYTHON", "more_clients.py").await;
}
