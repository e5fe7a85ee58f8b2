//! Webhooks signed by the vendors' published libraries are accepted; altered, old and unsigned ones are not.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::Process;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// The headers a library signs a wish with.
pub(crate) fn sign(language: &str, wish: &Value) -> Vec<(String, String)> {
    let told = |name: &str| {
        std::env::var(name)
            .unwrap_or_else(|_| panic!("set {name}, or run `cargo xtask test`, which installs the vendors' libraries"))
    };
    let mut command = if language == "python" {
        let mut command = Command::new(told("LIAISON_TEST_PYTHON"));
        command.arg(format!("{FOLDER}/sign.py"));
        command
    } else {
        let mut command = Command::new("node");
        command.arg(format!("{FOLDER}/sign.cjs")).env("NODE_PATH", told("LIAISON_TEST_NODE_MODULES"));
        command
    };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the interpreter starts");
    child.stdin.take().expect("standard input").write_all(wish.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{language} could not sign {wish}");
    let headers: serde_json::Map<String, Value> = serde_json::from_slice(&output.stdout).expect("headers as JSON");
    headers.into_iter().map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned())).collect()
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "signed times are compared with the machine's clock")]
pub(crate) fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Sends a request to the webhook of a recipe.
pub(crate) async fn send(server: &Process, slug: &str, headers: &[(String, String)], body: &str) -> (u16, Value) {
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
    let mut request = client.post(format!("http://{}/hooks/{slug}", server.address)).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.body(body.to_owned()).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_vendors_libraries_sign_is_accepted_once_and_what_is_altered_never() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let secrets =
        [("stripe", "whsec_a_stripe_secret_1234567890"), ("standard_webhooks", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
    for (kind, secret) in secrets {
        let connection =
            json!({ "name": kind, "connector": "webhook", "config": { "verify": kind }, "credentials": { "secret": secret } });
        let (status, answer) = server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await;
        assert_eq!(status, 201, "{answer}");
        assert!(!answer.to_string().contains(secret), "the secret came back");
        let slug = kind.replace('_', "-");
        let recipe = format!(
            "liaison: 1\nrecipe: {slug}\nconnections: {{ {kind}: webhook }}\ntrigger: {{ from: {kind}.request }}\n\
             steps:\n  - id: seen\n    set: {{ id: \"${{ trigger.body.id }}\" }}\n"
        );
        assert_eq!(server.api("PUT", &format!("/api/v1/recipes/{slug}"), Some(&recipe)).await.0, 201);
        assert_eq!(server.api("POST", &format!("/api/v1/recipes/{slug}/activate"), Some("{}")).await.0, 200);
        for language in ["python", "node"] {
            let id = format!("evt_{kind}_{language}");
            let body = json!({ "id": id, "type": "invoice.paid", "note": "Zürich ✓" }).to_string();
            let wish = |secret: &str, at: u64| json!({ "kind": kind, "secret": secret, "body": body, "at": at, "id": id });
            let good = sign(language, &wish(secret, now_s()));
            let (status, first) = send(&server, &slug, &good, &body).await;
            assert_eq!(status, 202, "{kind} {language}: {first}");
            let (status, again) = send(&server, &slug, &good, &body).await;
            assert_eq!(
                (status, &again["run_id"], &again["duplicate"]),
                (200, &first["run_id"], &json!(true)),
                "{kind} {language}"
            );
            let other_secret = if kind == "stripe" { "whsec_another" } else { "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD" };
            for (why, headers, body) in [
                ("altered body", good.clone(), body.replace("paid", "void")),
                ("another secret", sign(language, &wish(other_secret, now_s())), body.clone()),
                ("an old signature", sign(language, &wish(secret, now_s() - 3600)), body.clone()),
                ("no signature", Vec::new(), body.clone()),
            ] {
                let (status, answer) = send(&server, &slug, &headers, &body).await;
                assert_eq!(status, 401, "{kind} {language}, {why}: {answer}");
                assert!(answer["error"]["code"].as_str().is_some_and(|code| !code.is_empty()), "{answer}");
                assert!(!answer.to_string().contains(secret), "the secret stands in the answer");
            }
        }
        let (_, stats) = server.api("GET", &format!("/api/v1/recipes/{slug}/stats"), None).await;
        assert_eq!(stats["succeeded"], 2, "{stats}");
    }
    // Nothing that was sealed stands in the open on the disk.
    drop(server);
    for file in ["liaison.db", "liaison.db-wal"] {
        let bytes = std::fs::read(folder.path().join(file)).unwrap_or_default();
        for (_, secret) in secrets {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{file} holds a secret");
        }
    }
}
