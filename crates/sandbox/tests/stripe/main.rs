//! The simulated Stripe, over the wire and through the vendor's own clients.

mod clients;
mod shapes;
mod wire;

use sandbox::{Options, Sandbox};
use serde_json::Value as Json;

async fn sandbox() -> Sandbox {
    Sandbox::start(Options::default()).await.unwrap()
}

fn credentials(sandbox: &Sandbox) -> Json {
    sandbox.vendor("stripe").unwrap().credentials()
}

#[expect(clippy::disallowed_methods, reason = "tests speak to a loopback address, which the product's client refuses")]
fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Calls as a program without a client library makes them.
struct Caller {
    sandbox: Sandbox,
    http: reqwest::Client,
    key: String,
}

/// Status, headers and body.
struct Said {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Json,
}

impl Said {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The error's part of that name.
    fn error(&self, name: &str) -> &str {
        self.body["error"][name].as_str().unwrap_or_default()
    }
}

impl Caller {
    async fn new() -> Self {
        let sandbox = sandbox().await;
        let key = credentials(&sandbox)["secret_key"].as_str().unwrap().to_owned();
        Self { sandbox, http: http(), key }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.url("stripe").as_str().trim_end_matches('/'))
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), self.url(path)).bearer_auth(&self.key)
    }

    async fn said(request: reqwest::RequestBuilder) -> Said {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        Said { status, headers, body: serde_json::from_str(&text).unwrap_or(Json::String(text)) }
    }

    async fn get(&self, path: &str) -> Said {
        Self::said(self.request("GET", path)).await
    }

    async fn post(&self, path: &str, form: &str) -> Said {
        let request = self.request("POST", path).header("content-type", "application/x-www-form-urlencoded");
        Self::said(request.body(form.to_owned())).await
    }

    /// A call that must go well.
    async fn made(&self, path: &str, form: &str) -> Json {
        let said = self.post(path, form).await;
        assert_eq!(said.status, 200, "{path} {form}: {}", said.body);
        said.body
    }

    fn set(&self, settings: &Json) {
        self.sandbox.vendor("stripe").unwrap().configure(settings).unwrap();
    }

    fn happen(&self, name: &str, with: &Json) -> Json {
        self.sandbox.vendor("stripe").unwrap().happen(name, with).unwrap()
    }
}
