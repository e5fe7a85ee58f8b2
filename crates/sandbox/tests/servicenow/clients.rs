//! The vendor's own Python client and the one most people use.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::Arc,
};

use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    process::Command,
};
use tokio_rustls::{TlsAcceptor, rustls};

use crate::Instance;

fn python(variable: &str) -> PathBuf {
    let place = std::env::var(variable);
    place.unwrap_or_else(|_| panic!("set {variable}, or run `cargo xtask test`, which installs the clients")).into()
}

async fn run(script: &str, variables: &[(&str, String)]) -> Output {
    run_with("LIAISON_TEST_PYTHON", script, variables).await
}

async fn run_with(interpreter: &str, script: &str, variables: &[(&str, String)]) -> Output {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servicenow").join(script);
    let mut command = Command::new(python(interpreter));
    command.arg("-W").arg("ignore").arg(place).stdin(Stdio::null()).kill_on_drop(true);
    command.env("OAUTHLIB_INSECURE_TRANSPORT", "1").env("OAUTHLIB_RELAX_TOKEN_SCOPE", "1").env("NO_PROXY", "*");
    for (name, value) in variables {
        command.env(name, value);
    }
    let ended = tokio::time::timeout(std::time::Duration::from_secs(120), command.output()).await;
    ended.expect("the client takes too long").unwrap()
}

fn assert_good(output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.trim_end().ends_with("all good"), "{out}\n{err}");
}

fn variables(instance: &Instance, url: String) -> Vec<(&'static str, String)> {
    let credentials = instance.credentials();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    vec![
        ("SN_URL", url),
        ("SN_USER", "admin".to_owned()),
        ("SN_PASSWORD", text(&credentials["admin"]["password"])),
        ("SN_CLIENT_ID", text(&credentials["client_id"])),
        ("SN_CLIENT_SECRET", text(&credentials["client_secret"])),
        ("SN_JWT_KEY", text(&credentials["jwt_shared_key"])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn aiosnow_asks_with_its_own_operators() {
    let instance = Instance::start().await;
    let host = instance.url("").trim_start_matches("http://").to_owned();
    assert_good(&run_with("LIAISON_TEST_PYTHON_OLDER", "aiosnow_calls.py", &variables(&instance, host)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn pysnow_reads_and_writes() {
    let instance = Instance::start().await;
    let host = instance.url("").trim_start_matches("http://").to_owned();
    assert_good(&run("pysnow_calls.py", &variables(&instance, host)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn pysnc_reads_writes_batches_and_signs_in_over_https() {
    let instance = Instance::start().await;
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    let url = https(&instance, &authority).await;
    instance.configure(json!({"base_url": url}));
    let mut variables = variables(&instance, url);
    variables.push(("REQUESTS_CA_BUNDLE", authority.display().to_string()));
    assert_good(&run("pysnc_calls.py", &variables).await);
}

/// An address in front of the instance that speaks TLS, as the vendor's client insists on.
async fn https(instance: &Instance, authority: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(authority, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let behind = instance.url("").trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                if let (Ok(mut front), Ok(mut back)) = (acceptor.accept(stream).await, TcpStream::connect(behind).await) {
                    let _ = copy_bidirectional(&mut front, &mut back).await;
                }
            });
        }
    });
    format!("https://localhost:{port}")
}
