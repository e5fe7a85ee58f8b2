//! What Salesforce says when it refuses.

use std::borrow::Cow;

use serde_json::{Map, Value as Json, json};

/// A refusal, as it stands in an answer's array of errors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trouble {
    pub status: u16,
    pub code: &'static str,
    pub message: Cow<'static, str>,
    pub fields: Vec<String>,
    /// More members of the error, such as the duplicates that were found.
    pub more: Option<Box<(&'static str, Json)>>,
}

pub(super) type Outcome<T> = Result<T, Trouble>;

impl Trouble {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), fields: Vec::new(), more: None }
    }

    pub(super) fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, code, message)
    }

    pub(super) fn on(mut self, field: &str) -> Self {
        self.fields.push(field.to_owned());
        self
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "The requested resource does not exist")
    }

    pub(super) fn method() -> Self {
        Self::new(
            405,
            "METHOD_NOT_ALLOWED",
            "HTTP Method not allowed. Allowed are the methods named in the documentation of this resource",
        )
    }

    pub(super) fn session() -> Self {
        Self::new(401, "INVALID_SESSION_ID", "Session expired or invalid")
    }

    pub(super) fn json(at: impl std::fmt::Display) -> Self {
        Self::bad("JSON_PARSER_ERROR", format!("{at}"))
    }

    pub(super) fn deleted() -> Self {
        Self::new(404, "ENTITY_IS_DELETED", "entity is deleted")
    }

    pub(super) fn no_type(name: &str) -> Self {
        Self::bad(
            "INVALID_TYPE",
            format!(
                "sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' \
                 after the entity name. Please reference your WSDL or the describe call for the appropriate names."
            ),
        )
    }

    /// As it stands in the array an answer of this status has for a body.
    pub(super) fn top(&self) -> Json {
        let mut error = Map::new();
        if let Some((name, value)) = self.more.as_deref() {
            error.insert((*name).to_owned(), value.clone());
        }
        error.insert("message".to_owned(), json!(self.message));
        error.insert("errorCode".to_owned(), json!(self.code));
        if !self.fields.is_empty() || matches!(self.code, "REQUIRED_FIELD_MISSING" | "DUPLICATE_VALUE") {
            error.insert("fields".to_owned(), json!(self.fields));
        }
        Json::Object(error)
    }

    /// As it stands in a row's result of a collection or a tree.
    pub(super) fn row(&self) -> Json {
        json!({ "statusCode": self.code, "message": self.message, "fields": self.fields })
    }

    /// As it stands in the `sf__Error` column of a bulk load.
    pub(super) fn cell(&self) -> String {
        format!("{}:{}:{} --", self.code, self.message, self.fields.join(","))
    }
}
