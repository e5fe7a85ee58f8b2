//! The simulated Workday, over the wire and through public clients.

mod clients;
mod doors;
mod oauth;
mod processes;
mod reading;

use reqwest::{Method, Response};
use sandbox::{Options, Sandbox};
use serde_json::{Value as Json, json};

/// A sandbox whose rate does not get in the way of tests.
async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    configure(&sandbox, &json!({ "calls_per_second": 0 }));
    sandbox
}

fn configure(sandbox: &Sandbox, settings: &Json) {
    sandbox.vendor("workday").unwrap().configure(settings).unwrap();
}

fn happen(sandbox: &Sandbox, name: &str, with: &Json) -> Json {
    sandbox.vendor("workday").unwrap().happen(name, with).unwrap()
}

fn credentials(sandbox: &Sandbox) -> Json {
    sandbox.vendor("workday").unwrap().credentials()
}

#[expect(clippy::disallowed_methods, reason = "tests talk to the sandbox, which is no outside system")]
fn http() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// Somebody who is signed in.
struct Caller {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Caller {
    async fn new(sandbox: &Sandbox) -> Self {
        let token = credentials(sandbox)["refresh_token"].clone();
        Self::with(sandbox, token.as_str().unwrap()).await
    }

    /// By a refresh token.
    async fn with(sandbox: &Sandbox, refresh: &str) -> Self {
        let given = refresh_grant(sandbox, refresh).await;
        assert_eq!(given.status(), 200);
        let body: Json = given.json().await.unwrap();
        let token = body["access_token"].as_str().unwrap().to_owned();
        Self { http: http(), base: credentials(sandbox)["host"].as_str().unwrap().to_owned(), token }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Json>) -> Response {
        let request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        match body {
            Some(body) => request.json(&body),
            None => request,
        }
        .send()
        .await
        .unwrap()
    }

    /// The answer of a GET that must go well.
    async fn get(&self, path: &str) -> Json {
        let (status, body) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Json>) -> (u16, Json) {
        let answer = self.send(method, path, body).await;
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Json::String(text)))
    }

    async fn post(&self, path: &str, body: Json) -> (u16, Json) {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn wql(&self, query: &str) -> (u16, Json) {
        self.post("/ccx/api/wql/v1/acme/data", json!({ "query": query })).await
    }
}

async fn refresh_grant(sandbox: &Sandbox, refresh: &str) -> Response {
    let c = credentials(sandbox);
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    token(sandbox, &form, c["client_secret"].as_str().unwrap()).await
}

async fn token(sandbox: &Sandbox, form: &[(&str, &str)], secret: &str) -> Response {
    let c = credentials(sandbox);
    let request = http().post(c["token_endpoint"].as_str().unwrap()).basic_auth(c["client_id"].as_str().unwrap(), Some(secret));
    request.form(form).send().await.unwrap()
}
