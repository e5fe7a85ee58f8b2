//! E-mail over SMTP.

mod message;
mod settings;
mod smtp;

use std::sync::Arc;

use connector::{Action, Connector, Cx, Effect, StepError, TestCall};
use serde_json::{Value as Json, json};

pub(crate) fn connector() -> Connector {
    Connector {
        id: "email",
        title: "E-mail",
        summary: "Sends e-mail through a mail server.",
        builtin: false,
        config: settings::config_schema(),
        credentials: settings::credentials_schema(),
        validate: Arc::new(settings::validate),
        test: Some(TestCall { action: "check", input: json!({}), fine: &[] }),
        limits: connector::Limits::default(),
        errors: &[],
        notes: &[
            "Mail servers do not tell a message that is sent twice from two messages. When the connection breaks before the server has answered, the run asks a person; the message id is the same in every try, so that the mail server's log can tell.",
        ],
        shapes: None,
        sign_in: None,
        actions: vec![
            Action {
                id: "send",
                title: "Send an e-mail",
                summary: "Sends one message, with text, HTML and attachments.",
                // A mail server takes the same message as often as it is given.
                effect: |_| Effect::Once,
                key_life: None,
                needs_connection: true,
                input: message::input_schema(),
                output: json!({
                    "type": "object",
                    "properties": {
                        "message_id": {"type": "string", "description": "The same in every try of this step."},
                        "recipients": {"type": "integer", "description": "How many addresses it went to."},
                        "response": {"type": "string", "description": "What the mail server said to it."}
                    },
                    "required": ["message_id", "recipients", "response"],
                    "additionalProperties": false
                }),
                sample: None,
                shaped: None,
                run: Arc::new(|cx, input| Box::pin(send(cx, input))),
                pages: None,
            },
            Action {
                id: "check",
                title: "Check the mail server",
                summary: "Connects and signs in, and sends nothing.",
                effect: |_| Effect::None,
                key_life: None,
                needs_connection: true,
                input: json!({"type": "object", "properties": {}, "additionalProperties": false}),
                output: json!({
                    "type": "object",
                    "properties": {"works": {"type": "boolean"}},
                    "required": ["works"],
                    "additionalProperties": false
                }),
                sample: None,
                shaped: None,
                run: Arc::new(|cx, _| Box::pin(check(cx))),
                pages: None,
            },
        ],
        triggers: Vec::new(),
    }
}

async fn send(cx: Cx, input: Json) -> Result<Json, StepError> {
    let server = settings::server(&cx)?;
    let contents = message::contents(&cx, &input).await?;
    let mail = message::build(&cx, &server, &input, &contents)?;
    let response = smtp::deliver(&cx, &server, &mail.envelope, &mail.bytes).await?;
    Ok(json!({"message_id": mail.id, "recipients": mail.envelope.to().len(), "response": response}))
}

async fn check(cx: Cx) -> Result<Json, StepError> {
    let server = settings::server(&cx)?;
    smtp::check(&cx, &server).await?;
    Ok(json!({"works": true}))
}
