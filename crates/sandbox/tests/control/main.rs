//! The control API: whoever tests with the systems looks at them, makes things happen, and begins anew.

mod mail;

use reqwest::{Method, StatusCode};
use sandbox::{Options, Sandbox};
use serde_json::{Value as Json, json};

struct Control {
    sandbox: Sandbox,
    http: reqwest::Client,
}

impl Control {
    #[expect(clippy::disallowed_methods, reason = "tests speak to a loopback address, which the product's client refuses")]
    async fn start(options: Options) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { sandbox: Sandbox::start(options).await.unwrap(), http }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Json>) -> (StatusCode, Json) {
        let mut request = self.http.request(method, self.sandbox.control_url().join(path).unwrap());
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Json {
        let (status, body) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn post(&self, path: &str, body: Json) -> (StatusCode, Json) {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Seconds between the systems' time and the machine's.
    async fn ahead_s(&self) -> i64 {
        let now: jiff::Timestamp = self.get("/clock").await["now"].as_str().unwrap().parse().unwrap();
        now.as_second() - jiff::Timestamp::now().as_second()
    }

    /// Whether any record of a system holds a text.
    fn knows(&self, vendor: &str, text: &str) -> bool {
        let vendor = self.sandbox.vendor(vendor).unwrap();
        let mut tables = vendor.tables().into_iter();
        tables.any(|table| {
            vendor.rows(&table.name, 0, 100_000).unwrap_or_default().iter().any(|row| row.to_string().contains(text))
        })
    }
}

#[tokio::test]
async fn everything_can_be_looked_at_made_to_happen_and_begun_anew() {
    let control = Control::start(Options::default()).await;
    let page = control.http.get(control.sandbox.control_url().clone()).send().await.unwrap();
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let vendors = control.get("/vendors").await;
    let ids: Vec<&str> = vendors.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["netsuite", "salesforce", "servicenow", "stripe", "workday"]);
    for one in vendors.as_array().unwrap() {
        assert!(one["tables"].as_array().unwrap().iter().any(|table| table["rows"].as_u64() > Some(0)), "{}", one["id"]);
        assert!(!one["happenings"].as_array().unwrap().is_empty(), "{}", one["id"]);
    }

    let customers = async || {
        let told = control.get("/vendors/stripe").await;
        let tables = told["tables"].as_array().unwrap();
        tables.iter().find(|table| table["name"] == "Customer").unwrap()["rows"].as_u64().unwrap()
    };
    let before = customers().await;
    let fern = json!({ "name": "Fern & Co", "email": "fern@fern.example" });
    assert_eq!(control.post("/vendors/stripe/happen/new_customer", fern).await.0, StatusCode::OK);
    assert_eq!(customers().await, before + 1);
    let (status, told) = control.post("/vendors/stripe/happen/nothing", json!({})).await;
    assert_eq!((status, told["error"].is_string()), (StatusCode::UNPROCESSABLE_ENTITY, true), "{told}");
    let (status, told) = control.post("/vendors/oracle/happen/nothing", json!({})).await;
    assert!(status == StatusCode::NOT_FOUND && told["error"].as_str().unwrap().contains("salesforce"), "{told}");

    control.post("/faults", json!({ "vendor": "stripe", "kind": "unavailable" })).await;
    assert_eq!(control.get("/faults").await.as_array().unwrap().len(), 1);
    let address = control.sandbox.url("stripe").join("/v1/customers").unwrap();
    assert_eq!(control.http.get(address.clone()).send().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(control.get("/requests").await["requests"].as_array().unwrap().len(), 1);
    control.post("/clock", json!({ "seconds": 86_400 })).await;
    assert!((86_390..=86_410).contains(&control.ahead_s().await));

    assert_eq!(control.post("/reset", json!({})).await.0, StatusCode::OK);
    assert_eq!(customers().await, before);
    assert_eq!(control.get("/faults").await, json!([]));
    assert_eq!(control.get("/requests").await["requests"], json!([]));
    assert!(control.ahead_s().await.abs() <= 2, "clients that sign with their own time are heard again");
    assert_eq!(control.http.get(address).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_seed_makes_the_same_books_and_all_systems_keep_them() {
    let seeded = async |seed| Control::start(Options { seed, ..Options::default() }).await;
    let (one, same, other) = (seeded(7).await, seeded(7).await, seeded(8).await);
    let company = one.get("/company").await;
    assert_eq!(company, same.get("/company").await);
    assert_ne!(company, other.get("/company").await);
    for customer in company["customers"].as_array().unwrap().iter().take(5) {
        let name = customer["name"].as_str().unwrap();
        for vendor in ["salesforce", "netsuite", "stripe", "workday"] {
            assert!(one.knows(vendor, name), "{vendor} does not know the customer {name}");
        }
    }
    for worker in company["workers"].as_array().unwrap().iter().take(5) {
        let mail = worker["email"].as_str().unwrap_or_else(|| panic!("{worker}"));
        for vendor in ["servicenow", "workday"] {
            assert!(one.knows(vendor, mail), "{vendor} does not know the worker {mail}");
        }
    }
    for invoice in company["invoices"].as_array().unwrap().iter().take(5) {
        let number = format!("INV-{}", invoice["number"]);
        for vendor in ["netsuite", "stripe"] {
            assert!(one.knows(vendor, &number), "{vendor} does not know the invoice {number}");
        }
    }
}
