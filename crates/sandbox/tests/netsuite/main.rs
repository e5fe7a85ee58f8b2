//! The simulated NetSuite, over the wire and through public clients.

mod access;
mod asynchronous;
mod clients;
mod records;
mod restlets;
mod suiteql;

use reqwest::{Method, RequestBuilder, Response};
use sandbox::{Options, Sandbox};
use serde_json::{Value as Json, json};

const RECORDS: &str = "/services/rest/record/v1";
const SUITEQL: &str = "/services/rest/query/v1/suiteql";
const TOKEN: &str = "/services/rest/auth/oauth2/v1/token";

#[expect(clippy::disallowed_methods, reason = "the tests talk to a server of their own on this machine")]
fn http() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// A signed-in client.
struct Client {
    sandbox: Sandbox,
    http: reqwest::Client,
    token: String,
}

impl Client {
    async fn start() -> Self {
        let sandbox = Sandbox::start(Options::default()).await.unwrap();
        let http = http();
        let mut own = Self { sandbox, http, token: String::new() };
        let answer = own.assert(&own.claims(), "ES256").await;
        own.token = answer["access_token"].as_str().unwrap().to_owned();
        own
    }

    fn credentials(&self) -> Json {
        self.sandbox.vendor("netsuite").unwrap().credentials()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.url("netsuite").as_str().trim_end_matches('/'))
    }

    fn claims(&self) -> Json {
        let now = self.sandbox.world().clock().now_s();
        json!({
            "iss": self.credentials()["client_id"], "scope": ["restlets", "rest_webservices"], "iat": now, "exp": now + 3600,
            "aud": self.url(TOKEN),
        })
    }

    /// Asks for a token with an assertion.
    async fn assert(&self, claims: &Json, algorithm: &str) -> Json {
        let credentials = self.credentials();
        let mut header = jsonwebtoken::Header::new(algorithm.parse().unwrap());
        header.kid = credentials["certificate_id"].as_str().map(ToOwned::to_owned);
        let key = jsonwebtoken::EncodingKey::from_ec_pem(credentials["private_key"].as_str().unwrap().as_bytes()).unwrap();
        let assertion = jsonwebtoken::encode(&header, claims, &key).unwrap();
        self.offer(&assertion).await
    }

    async fn offer(&self, assertion: &str) -> Json {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ];
        self.http.post(self.url(TOKEN)).form(&form).send().await.unwrap().json().await.unwrap()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { self.url(path) };
        self.http.request(method, url).bearer_auth(&self.token)
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    async fn send(&self, method: Method, path: &str, body: &Json) -> Response {
        self.request(method, path).json(body).send().await.unwrap()
    }

    async fn read(&self, path: &str) -> Json {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    /// Creates a record and gives its address.
    async fn create(&self, kind: &str, body: &Json) -> String {
        let answer = self.send(Method::POST, &format!("{RECORDS}/{kind}"), body).await;
        let (status, location) = (answer.status(), answer.headers().get("location").cloned());
        assert_eq!(status, 204, "{}", answer.text().await.unwrap());
        location.unwrap().to_str().unwrap().to_owned()
    }

    async fn ask(&self, q: &str, page: &str) -> Response {
        self.request(Method::POST, &format!("{SUITEQL}{page}"))
            .header("prefer", "transient")
            .json(&json!({ "q": q }))
            .send()
            .await
            .unwrap()
    }

    async fn rows(&self, q: &str) -> Vec<Json> {
        let answer = self.ask(q, "").await;
        let status = answer.status();
        let body: Json = answer.json().await.unwrap();
        assert_eq!(status, 200, "{q}: {body}");
        body["items"].as_array().unwrap().clone()
    }

    fn configure(&self, settings: &Json) {
        self.sandbox.vendor("netsuite").unwrap().configure(settings).unwrap();
    }

    fn happen(&self, name: &str, with: &Json) -> Json {
        self.sandbox.vendor("netsuite").unwrap().happen(name, with).unwrap()
    }
}

/// The first error's code, and its text.
async fn error(answer: Response) -> (u16, String, String) {
    let status = answer.status().as_u16();
    let body: Json = answer.json().await.unwrap();
    assert_eq!(body["status"], status, "{body}");
    let detail = &body["o:errorDetails"][0];
    (status, detail["o:errorCode"].as_str().unwrap().to_owned(), detail["detail"].as_str().unwrap().to_owned())
}

fn id(location: &str) -> &str {
    location.rsplit('/').next().unwrap()
}
