//! Log: a line in the server's own log.

use std::sync::Arc;

use connector::{Action, Connector, Cx, Effect, ErrorClass, StepError};
use serde_json::{Value as Json, json};

use connector::strict;

/// Longest message written; the rest is cut.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
const KEYS: [&str; 3] = ["message", "level", "data"];

pub(crate) fn connector() -> Connector {
    Connector {
        id: "log",
        title: "Log",
        summary: "Writes a line to the server's log.",
        builtin: true,
        config: json!({"type": "object", "properties": {}, "additionalProperties": false}),
        credentials: json!({"type": "object", "properties": {}, "additionalProperties": false}),
        validate: Arc::new(|config, credentials| {
            let mut problems = strict::Problems::default();
            if let Some(config) = problems.record("config", config) {
                problems.unknown_keys("config", config, &[]);
            }
            problems.credentials(credentials, &[], &[], "the log");
            problems.finish()
        }),
        test: None,
        limits: connector::Limits::default(),
        errors: &[],
        notes: &[],
        shapes: None,
        sign_in: None,
        actions: vec![Action {
            id: "write",
            title: "Write a line",
            summary: "Writes a message to the server's log, with the run and the step it comes from.",
            // A repeated line does no harm.
            effect: |_| Effect::None,
            key_life: None,
            needs_connection: false,
            input: json!({
                "type": "object",
                "properties": {
                    "message": {"type": "string", "title": "Message", "description": "What to write."},
                    "level": {"type": "string", "title": "Level", "enum": ["info", "warn", "error"], "default": "info"},
                    "data": {"title": "Data", "description": "Anything to write beside the message."}
                },
                "required": ["message"],
                "additionalProperties": false
            }),
            output: json!({
                "type": "object",
                "properties": {"written": {"type": "boolean"}},
                "required": ["written"],
                "additionalProperties": false
            }),
            sample: None,
            shaped: None,
            run: Arc::new(|cx, input| Box::pin(std::future::ready(write(&cx, &input)))),
            pages: None,
        }],
        triggers: Vec::new(),
    }
}

fn write(cx: &Cx, input: &Json) -> Result<Json, StepError> {
    let refuse = |message: String| StepError::new(ErrorClass::Invalid, "INPUT_INVALID", message);
    let fields = input.as_object().ok_or_else(|| refuse("log.write needs a record with a message".to_owned()))?;
    if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(refuse(strict::unknown(key, &KEYS)));
    }
    let message = match fields.get("message") {
        Some(Json::String(text)) => on_one_line(cut(text)),
        Some(other) => return Err(refuse(format!("the message must be text, not {}", strict::kind(other)))),
        None => return Err(refuse("the message is missing".to_owned())),
    };
    let (run, path) = (&*cx.run_id, &*cx.path);
    let data = fields.get("data").filter(|data| !data.is_null()).map(|data| cut(&data.to_string()).to_owned());
    let data = data.as_deref();
    match fields.get("level").and_then(Json::as_str).unwrap_or("info") {
        "info" => tracing::info!(target: "recipe", { run.id = run, step.path = path, data }, "{message}"),
        "warn" => tracing::warn!(target: "recipe", { run.id = run, step.path = path, data }, "{message}"),
        "error" => tracing::error!(target: "recipe", { run.id = run, step.path = path, data }, "{message}"),
        other => return Err(refuse(strict::unknown(other, &["info", "warn", "error"]))),
    }
    Ok(json!({"written": true}))
}

/// The text without what would end its line: an event from outside could write lines of its own.
fn on_one_line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, c| {
        if c.is_control() {
            line.extend(c.escape_default())
        } else {
            line.push(c)
        }
        line
    })
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_message_stays_on_its_line() {
        assert_eq!(super::on_one_line("paid ü\n2026 ERROR \u{1b}[31mforged\r"), "paid ü\\n2026 ERROR \\u{1b}[31mforged\\r");
    }
}
