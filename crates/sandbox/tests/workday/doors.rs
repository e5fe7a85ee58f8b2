//! What holds for every door: the rate, maintenance, faults, and bad requests of any kind.

use reqwest::{Method, StatusCode};
use sandbox::{Fault, Kind};
use serde_json::{Value as Json, json};

use crate::{Caller, configure, credentials, http, sandbox};

/// A SOAP request as clients write it.
pub(crate) fn envelope(c: &Json, password: &str, body: &str) -> String {
    format!(
        r#"<soap-env:Envelope xmlns:soap-env="http://schemas.xmlsoap.org/soap/envelope/"><soap-env:Header>
        <wsse:Security xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"><wsse:UsernameToken>
        <wsse:Username>{}</wsse:Username><wsse:Password Type="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText">{password}</wsse:Password>
        </wsse:UsernameToken></wsse:Security></soap-env:Header><soap-env:Body>{body}</soap-env:Body></soap-env:Envelope>"#,
        c["username"].as_str().unwrap()
    )
}

pub(crate) async fn soap(sandbox: &sandbox::Sandbox, service: &str, body: &str) -> (StatusCode, String) {
    let c = credentials(sandbox);
    let address = format!("{}/{service}", c["service_endpoint"].as_str().unwrap());
    let text = envelope(&c, c["password"].as_str().unwrap(), body);
    let answer = http().post(address).header("content-type", "text/xml; charset=utf-8").body(text).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test]
async fn the_tenants_rate_is_kept_and_says_when_to_come_again() {
    let sandbox = sandbox().await;
    let caller = Caller::new(&sandbox).await;
    configure(&sandbox, &json!({ "calls_per_second": 1, "burst": 3, "retry_after_s": 7 }));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(caller.send(Method::GET, "/ccx/api/v1/acme/currencies", None).await);
    }
    assert!(statuses[..3].iter().all(|answer| answer.status() == 200));
    assert_eq!((statuses[3].status().as_u16(), statuses[3].headers()["retry-after"].to_str().unwrap()), (429, "7"));
    sandbox.world().clock().advance(std::time::Duration::from_secs(1));
    assert_eq!(caller.send(Method::GET, "/ccx/api/v1/acme/currencies", None).await.status(), 200);
}

#[tokio::test]
async fn maintenance_is_a_page_in_html() {
    let sandbox = sandbox().await;
    let caller = Caller::new(&sandbox).await;
    configure(&sandbox, &json!({ "maintenance": true }));
    let answer = caller.send(Method::GET, "/ccx/api/v1/acme/workers", None).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.text().await.unwrap().starts_with("<!DOCTYPE html>"));
}

#[tokio::test]
async fn each_door_refuses_in_its_own_manner() {
    let sandbox = sandbox().await;
    let caller = Caller::new(&sandbox).await;
    let ask = "<wd:Server_Timestamp_Get xmlns:wd=\"urn:com.workday/bsvc\"/>";
    for (kind, rest, soap_words) in [
        (Kind::ServerError, 500, "SOAP-ENV:Server.processingError"),
        (Kind::ExpiredSession, 401, "SOAP-ENV:Client.authenticationError"),
        (Kind::Denied, 403, "The task submitted is not authorized."),
    ] {
        sandbox.world().faults().add(Fault::new("workday", kind));
        assert_eq!(caller.ask(Method::GET, "/ccx/api/v1/acme/workers", None).await.0, rest);
        let (status, text) = soap(&sandbox, "Human_Resources/v44.2", ask).await;
        assert!(status == 500 && text.contains(soap_words), "{text}");
        sandbox.world().faults().clear();
    }
    sandbox.world().faults().add(Fault::new("workday", Kind::RateLimited { retry_after: None }));
    let answer = caller.send(Method::GET, "/ccx/api/v1/acme/workers", None).await;
    assert!(answer.status() == 429 && !answer.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn bad_requests_of_any_kind_get_the_vendors_errors() {
    let sandbox = sandbox().await;
    let caller = Caller::new(&sandbox).await;
    for (method, path, body, status) in [
        (Method::GET, "/ccx/api/v1/other/workers", None, 404),
        (Method::GET, "/ccx/api/v1/acme/nothing", None, 404),
        (Method::GET, "/ccx/api/v1/acme/workers/Employee_ID=nobody", None, 404),
        (Method::GET, "/ccx/api/v1/acme/workers?limit=101", None, 400),
        (Method::GET, "/ccx/api/v1/acme/workers?offset=-1", None, 400),
        (Method::DELETE, "/ccx/api/v1/acme/workers", None, 405),
        (Method::POST, "/ccx/api/v1/acme/workers/Employee_ID=21001/businessTitleChanges", Some(json!({})), 400),
        (Method::POST, "/ccx/api/v1/acme/workers/Employee_ID=21001/businessTitleChanges", Some(json!([1])), 400),
        (
            Method::POST,
            "/ccx/api/absenceManagement/v1/acme/workers/Employee_ID=21001/requestTimeOff",
            Some(json!({"days": ["x"]})),
            400,
        ),
        (Method::POST, "/ccx/api/expense/v1/acme/reports", Some(json!({"payee": "x", "lines": ["y"]})), 400),
        (Method::POST, "/ccx/api/expense/v1/acme/entries", Some(json!({"date": "soon", "expenseItem": {"id": "x"}})), 400),
        (Method::GET, "/nothing", None, 404),
        (Method::GET, "/ccx/api/wql/v1/acme/data", None, 400),
        (Method::GET, "/ccx/api/v1/acme/workers/%00%ff", None, 404),
    ] {
        let (got, told) = caller.ask(method.clone(), path, body).await;
        assert_eq!(got, status, "{method} {path}: {told}");
        assert!(told["error"].is_string(), "{method} {path}: {told}");
    }
    let stranger = Caller { token: "no".to_owned(), ..caller };
    assert_eq!(stranger.ask(Method::GET, "/ccx/api/v1/acme/workers", None).await.0, 401);
}

#[tokio::test]
async fn soap_checks_order_names_and_versions() {
    let sandbox = sandbox().await;
    let get = |inner: &str| {
        format!(r#"<wd:Get_Workers_Request xmlns:wd="urn:com.workday/bsvc" wd:version="v44.2">{inner}</wd:Get_Workers_Request>"#)
    };
    for (service, body, words) in [
        ("Human_Resources/v44.2", get("<wd:Response_Group/><wd:Response_Filter/>"), "'Response_Filter' is not expected"),
        (
            "Human_Resources/v44.2",
            get("<wd:Response_Filter><wd:Count>many</wd:Count></wd:Response_Filter>"),
            "invalid for type decimal",
        ),
        ("Human_Resources/v44.2", get("<Response_Filter/>"), "is not expected"),
        ("Human_Resources/v43.0", get(""), "the web service or version is invalid"),
        ("Nothing/v44.2", get(""), "the web service or version is invalid"),
        (
            "Human_Resources/v44.2",
            "<wd:Hire_Employee_Request xmlns:wd=\"urn:com.workday/bsvc\"/>".to_owned(),
            "the web service or version is invalid",
        ),
        ("Human_Resources/v44.2", "<!-- nothing -->".to_owned(), "the body of the envelope is empty"),
        (
            "Human_Resources/v44.2",
            get(
                r#"<wd:Request_References><wd:Worker_Reference><wd:ID type="Employee_ID">21001</wd:ID></wd:Worker_Reference></wd:Request_References>"#,
            ),
            "Invalid attribute 'type'",
        ),
        (
            "Human_Resources/v44.2",
            get(
                "<wd:Request_Criteria><wd:Transaction_Log_Criteria_Data><wd:Transaction_Date_Range_Data><wd:Updated_From>2026-01-01T00:00:00Z</wd:Updated_From></wd:Transaction_Date_Range_Data></wd:Transaction_Log_Criteria_Data></wd:Request_Criteria>",
            ),
            "are both required",
        ),
    ] {
        let (status, text) = soap(&sandbox, service, &body).await;
        assert!(status == 500 && text.contains("SOAP-ENV:Client.validationError") && text.contains(words), "{service}: {text}");
    }
    let bomb = r#"<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>"#;
    let c = credentials(&sandbox);
    let answer = http()
        .post(format!("{}/Human_Resources/v44.2", c["service_endpoint"].as_str().unwrap()))
        .body(bomb)
        .send()
        .await
        .unwrap();
    assert!(answer.status() == 500 && answer.text().await.unwrap().contains("document type"));
}
