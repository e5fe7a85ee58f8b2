//! What a recipe answers its caller, as an HTTP answer.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use store::RunId;

/// Headers that say how a body is carried; the server sets them itself.
const OURS: [&str; 5] = ["content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"];

/// The answer of a `respond` step. A status that is none is 200; headers that cannot be sent are left out.
pub(crate) fn of(answer: &Value, run: RunId) -> Response {
    let status = match &answer["status"] {
        Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    // 1xx is not an answer.
    let status = status.filter(|status| *status >= 200).and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = match &answer["body"] {
        Value::Null => StatusCode::OK.into_response(),
        Value::String(text) => text.clone().into_response(),
        body => Json(body).into_response(),
    };
    *response.status_mut() = status.unwrap_or(StatusCode::OK);
    response.extensions_mut().insert(crate::KeepsItsBody);
    // What a recipe sends is data, never a page of this site.
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let named = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(text));
        if let (Ok(name), Ok(value)) = named
            && !OURS.contains(&name.as_str())
            && name != header::SET_COOKIE
            && name != header::CONTENT_SECURITY_POLICY
        {
            headers.insert(name, value);
        }
    }
    if let Ok(value) = HeaderValue::try_from(run.to_string()) {
        headers.insert(HeaderName::from_static("x-liaison-run"), value);
    }
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use store::Timestamp;

    use super::*;

    fn answer(answer: &Value) -> (u16, String, Vec<String>) {
        let response = of(answer, RunId::new(Timestamp::from_micros(1_000_000), [1; 10]));
        let kind = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        (response.status().as_u16(), kind, response.headers().keys().map(ToString::to_string).collect())
    }

    #[test]
    fn an_answer_is_json_text_or_nothing() {
        assert_eq!(answer(&json!({ "body": { "ok": true } })).1, "application/json");
        let (status, kind, headers) =
            answer(&json!({ "status": 418, "body": "tea", "headers": { "X-Pot": 1, "content-type": "text/css" } }));
        assert_eq!((status, kind.as_str()), (418, "text/css"));
        assert!(headers.contains(&"x-pot".to_owned()) && headers.contains(&"x-liaison-run".to_owned()));
        assert_eq!(answer(&json!({})).0, 200);
    }

    #[test]
    fn odd_answers_do_no_harm() {
        for status in [json!(99), json!(100), json!(70_000), json!(-1), json!("x"), json!([1])] {
            assert_eq!(answer(&json!({ "status": status })).0, 200, "{status}");
        }
        let bad = json!({ "headers": { "a b": "c", "x": "line\r\nset-cookie: y", "Set-Cookie": "a=b", "Content-Length": "7", "connection": "close" } });
        let (_, _, headers) = answer(&bad);
        for name in ["set-cookie", "x", "connection"] {
            assert!(!headers.contains(&name.to_owned()), "{name}");
        }
    }
}
