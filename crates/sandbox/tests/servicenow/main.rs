//! The simulated ServiceNow instance over the wire, and as the vendor's own clients see it.

mod clients;
mod imports;
mod oauth;
mod queries;
mod rules;
mod table;

use std::time::Duration;

use reqwest::{Method, Response};
use sandbox::{Options, Sandbox};
use serde_json::{Value as Json, json};

/// A running sandbox and a client that signs in with a name and a password.
struct Instance {
    sandbox: Sandbox,
    http: reqwest::Client,
    user: String,
    password: String,
}

impl Instance {
    async fn start() -> Self {
        let sandbox = Sandbox::start(Options::default()).await.unwrap();
        let credentials = sandbox.vendor("servicenow").unwrap().credentials();
        let text = |value: &Json| value.as_str().unwrap().to_owned();
        let (user, password) = (text(&credentials["user_name"]), text(&credentials["password"]));
        Self { sandbox, http: http(), user, password }
    }

    async fn admin() -> Self {
        let instance = Self::start().await;
        let credentials = instance.credentials();
        let password = credentials["admin"]["password"].as_str().unwrap().to_owned();
        Self { user: "admin".to_owned(), password, ..instance }
    }

    fn credentials(&self) -> Json {
        self.sandbox.vendor("servicenow").unwrap().credentials()
    }

    fn configure(&self, settings: Json) {
        self.sandbox.vendor("servicenow").unwrap().configure(&settings).unwrap();
    }

    fn happen(&self, name: &str, with: Json) -> Json {
        self.sandbox.vendor("servicenow").unwrap().happen(name, &with).unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.url("servicenow").as_str().trim_end_matches('/'))
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, self.url(path))
            .basic_auth(&self.user, Some(&self.password))
            .header("accept", "application/json")
    }

    async fn answer(&self, method: Method, path: &str, body: Option<Json>) -> Response {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// Status and body.
    async fn call(&self, method: Method, path: &str, body: Option<Json>) -> (u16, Json) {
        read(self.answer(method, path, body).await).await
    }

    async fn get(&self, path: &str) -> Json {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body["result"].clone()
    }

    /// The values of one field over the rows a query finds.
    async fn column(&self, table: &str, query: &str, field: &str) -> Vec<String> {
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let rows = self
            .get(&format!(
                "/api/now/table/{table}?sysparm_query={query}&sysparm_fields={field}&sysparm_exclude_reference_link=true"
            ))
            .await;
        rows.as_array().unwrap().iter().map(|row| row[field].as_str().unwrap().to_owned()).collect()
    }

    async fn create(&self, table: &str, body: Json) -> Json {
        let (status, body) =
            self.call(Method::POST, &format!("/api/now/table/{table}?sysparm_exclude_reference_link=true"), Some(body)).await;
        assert_eq!(status, 201, "{body}");
        body["result"].clone()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
fn http() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.timeout(Duration::from_secs(30)).build().unwrap()
}

async fn read(answer: Response) -> (u16, Json) {
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

/// The body of a refusal as the vendor writes it.
fn failure(message: &str, detail: Option<&str>) -> Json {
    json!({"error": {"message": message, "detail": detail}, "status": "failure"})
}
