//! Errors as Stripe writes them.

use serde_json::{Map, Value as Json, json};

/// A refusal: status, and the object under `error`.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) code: Option<String>,
    pub(super) message: String,
    pub(super) param: Option<String>,
    pub(super) more: Box<More>,
}

/// What few refusals have.
#[derive(Debug, Clone, Default)]
pub(super) struct More {
    /// `decline_code`, `charge`, `payment_intent` and the like.
    fields: Map<String, Json>,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// What an operation gives.
pub(super) type Result<T = Json> = std::result::Result<T, Refused>;

impl Refused {
    pub(super) fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, kind, code: None, message, param: None, more: Box::default() }
    }

    /// 400, `invalid_request_error`.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// 404 for something that a path or a parameter names.
    pub(super) fn missing(what: &str, id: &str, param: &str) -> Self {
        Self::new(404, "invalid_request_error", format!("No such {what}: '{id}'")).code("resource_missing").param(param)
    }

    /// 400 for a parameter that must be given.
    pub(super) fn needed(param: &str) -> Self {
        Self::invalid(format!("Missing required param: {param}.")).code("parameter_missing").param(param)
    }

    /// 402.
    pub(super) fn card(code: &str, decline: Option<&str>, message: &str) -> Self {
        let refused = Self::new(402, "card_error", message).code(code);
        match decline {
            Some(decline) => refused.with("decline_code", json!(decline)),
            None => refused,
        }
    }

    pub(super) fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    pub(super) fn param(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    pub(super) fn with(mut self, name: &str, value: Json) -> Self {
        self.more.fields.insert(name.to_owned(), value);
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.more.headers.push((name, value.into()));
        self
    }

    /// The body.
    pub(super) fn body(&self, request: &str) -> Json {
        let mut error = Map::new();
        if let Some(code) = &self.code {
            error.insert("code".into(), json!(code));
            error.insert("doc_url".into(), json!(format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"))));
        }
        error.insert("message".into(), json!(self.message));
        if let Some(param) = &self.param {
            error.insert("param".into(), json!(param));
        }
        error.extend(self.more.fields.clone());
        let log = format!("https://dashboard.stripe.com/test/logs/{request}?t=0");
        error.insert("request_log_url".into(), json!(log));
        error.insert("type".into(), json!(self.kind));
        json!({ "error": error })
    }
}
