//! The simulated Salesforce org over the wire, and as the clients people use see it.

mod bulk;
mod clients;
mod composite;
mod messages;
mod oauth;
mod queries;
mod records;

use std::time::Duration;

use reqwest::{Method, Response};
use sandbox::{Options, Sandbox};
use serde_json::{Value as Json, json};

const VERSION: &str = "/services/data/v62.0";

/// A running org and a client with a session.
struct Org {
    sandbox: Sandbox,
    http: reqwest::Client,
    token: String,
}

impl Org {
    async fn start() -> Self {
        let sandbox = Sandbox::start(Options::default()).await.unwrap();
        let mut org = Self { sandbox, http: http(), token: String::new() };
        let credentials = org.credentials();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", credentials["client_id"].as_str().unwrap()),
            ("client_secret", credentials["client_secret"].as_str().unwrap()),
        ];
        let (status, body) = org.token_call(&form).await;
        assert_eq!(status, 200, "{body}");
        org.token = body["access_token"].as_str().unwrap().to_owned();
        org
    }

    fn credentials(&self) -> Json {
        self.sandbox.vendor("salesforce").unwrap().credentials()
    }

    fn configure(&self, settings: Json) {
        self.sandbox.vendor("salesforce").unwrap().configure(&settings).unwrap();
    }

    fn happen(&self, name: &str, with: Json) -> Json {
        self.sandbox.vendor("salesforce").unwrap().happen(name, &with).unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.url("salesforce").as_str().trim_end_matches('/'))
    }

    /// A path below the version, or a whole one.
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let path = if path.starts_with("/services") { path.to_owned() } else { format!("{VERSION}{path}") };
        self.http.request(method, self.url(&path)).bearer_auth(&self.token)
    }

    async fn call(&self, method: Method, path: &str, body: Option<Json>) -> (u16, Json) {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        read(request.send().await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Json {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn post(&self, path: &str, body: Json) -> (u16, Json) {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn patch(&self, path: &str, body: Json) -> (u16, Json) {
        self.call(Method::PATCH, path, Some(body)).await
    }

    async fn create(&self, object: &str, fields: Json) -> String {
        let (status, body) = self.post(&format!("/sobjects/{object}"), fields).await;
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    async fn asked(&self, soql: &str) -> (u16, Json) {
        let query: String = url::form_urlencoded::byte_serialize(soql.as_bytes()).collect();
        self.call(Method::GET, &format!("/query?q={query}"), None).await
    }

    async fn records(&self, soql: &str) -> Vec<Json> {
        let (status, body) = self.asked(soql).await;
        assert_eq!(status, 200, "{soql}: {body}");
        body["records"].as_array().unwrap().clone()
    }

    async fn token_call(&self, form: &[(&str, &str)]) -> (u16, Json) {
        read(self.http.post(self.url("/services/oauth2/token")).form(form).send().await.unwrap()).await
    }
}

#[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
fn http() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.timeout(Duration::from_secs(60)).build().unwrap()
}

async fn read(answer: Response) -> (u16, Json) {
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

/// The code of the first error of an answer.
fn code(body: &Json) -> &str {
    body[0]["errorCode"].as_str().unwrap_or_else(|| panic!("no error: {body}"))
}

#[tokio::test]
async fn versions_are_told_to_anybody_and_old_ones_are_gone() {
    let org = Org::start().await;
    let (status, body) = read(org.http.get(org.url("/services/data/")).send().await.unwrap()).await;
    let list = body.as_array().unwrap();
    assert_eq!((status, list.len()), (200, 37));
    assert_eq!(list[36], json!({"label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0"}));
    for (version, wanted) in [("v30.0", 410), ("v31.0", 200), ("v67.0", 200), ("v68.0", 404), ("vx", 404)] {
        let (status, _) = org.call(Method::GET, &format!("/services/data/{version}/limits"), None).await;
        assert_eq!(status, wanted, "{version}");
    }
    let resources = org.get("/").await;
    assert_eq!(resources["sobjects"], format!("{VERSION}/sobjects"));
}

#[tokio::test]
async fn every_call_tells_its_share_of_the_day_until_it_is_used_up() {
    let org = Org::start().await;
    org.configure(json!({"daily_requests": 3}));
    for used in 1..=3 {
        let answer = org.request(Method::GET, "/limits").send().await.unwrap();
        assert_eq!(answer.headers()["sforce-limit-info"], format!("api-usage={used}/3").as_str());
    }
    let (status, body) = org.call(Method::GET, "/limits", None).await;
    assert_eq!(
        (status, code(&body), &body[0]["message"]),
        (403, "REQUEST_LIMIT_EXCEEDED", &json!("TotalRequests Limit exceeded."))
    );
}

#[tokio::test]
async fn the_companys_books_belong_together() {
    let org = Org::start().await;
    let company = org.sandbox.world().company();
    let account = org.get("/sobjects/Account/External_Id__c/C-0001").await;
    assert_eq!(account["Name"], company.customers[0].name);
    let invoice = org.get("/sobjects/Invoice__c/Invoice_Number__c/INV-1001").await;
    assert_eq!(invoice["Amount__c"].as_f64().unwrap() * 100.0, company.invoices[0].cents() as f64);
    let users = org.records("SELECT EmployeeNumber FROM User WHERE EmployeeNumber = '21001'").await;
    assert_eq!(users.len(), 1);
    let count = org.asked("SELECT COUNT() FROM Account").await.1;
    assert_eq!(count, json!({"totalSize": company.customers.len(), "done": true, "records": []}));
}
