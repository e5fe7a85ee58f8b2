//! From a step's input to the message that is sent.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use connector::{
    Cx, ErrorClass, StepError,
    files::{File, read_whole},
};
use lettre::{
    Message,
    address::Envelope,
    message::{
        Attachment, Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType},
    },
};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::settings::Server;
use connector::strict;

const KEYS: [&str; 9] = ["from", "to", "cc", "bcc", "reply_to", "subject", "text", "html", "attachments"];
const ATTACHMENT_KEYS: [&str; 6] = ["filename", "content_type", "text", "base64", "json", "file"];
/// Addresses of one message, all kinds together.
const RECIPIENTS_MAX: usize = 500;
/// Largest message with all its attachments, as it is sent.
const MESSAGE_BYTES_MAX: usize = 25_000_000;
/// Longest subject: RFC 5322, 2.1.1 allows 998 in one line.
const SUBJECT_CHARS_MAX: usize = 900;

/// A message ready to be sent.
pub(super) struct Mail {
    pub(super) id: String,
    pub(super) envelope: Envelope,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn input_schema() -> Json {
    let addresses = |title: &str, description: &str| json!({"title": title, "description": description, "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]});
    json!({
        "type": "object",
        "properties": {
            "from": {"type": "string", "title": "Sender", "description": "The connection's sender unless given."},
            "to": addresses("To", "One address or a list: ann@example.com, or Ann <ann@example.com>."),
            "cc": addresses("Copy to", "One address or a list."),
            "bcc": addresses("Hidden copy to", "One address or a list; the others do not see it."),
            "reply_to": addresses("Answers to", "Where answers shall go."),
            "subject": {"type": "string", "title": "Subject"},
            "text": {"type": "string", "title": "Text"},
            "html": {"type": "string", "title": "HTML", "description": "Beside text, or alone."},
            "attachments": {
                "type": "array", "title": "Attachments",
                "items": {
                    "type": "object",
                    "properties": {
                        "filename": {"type": "string"},
                        "content_type": {"type": "string", "description": "As the content is given unless said: text/plain, application/octet-stream or application/json."},
                        "text": {"type": "string"},
                        "base64": {"type": "string", "contentEncoding": "base64"},
                        "json": {"description": "Any value."},
                        "file": {"description": "A file by reference; it can also stand here by itself."},
                        "name": {"type": "string"},
                        "type": {"type": "string"},
                        "size": {"type": "integer"},
                        "sha256": {"type": "string"}
                    },
                    "anyOf": [{"required": ["filename"]}, {"required": ["file"]}],
                    "additionalProperties": false
                }
            }
        },
        "required": ["subject"],
        "additionalProperties": false
    })
}

fn invalid(sentence: impl Into<String>) -> StepError {
    StepError::new(ErrorClass::Invalid, "INPUT_INVALID", sentence)
}

/// Builds the message. Its id is the same in every attempt of a step, so that a repetition can be told.
pub(super) fn build(cx: &Cx, server: &Server<'_>, input: &Json, contents: &Contents) -> Result<Mail, StepError> {
    let Json::Object(fields) = input else {
        return Err(invalid(format!("an e-mail needs a record, not {}", strict::kind(input))));
    };
    if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(invalid(strict::unknown(key, &KEYS)));
    }
    let sender = match text(fields, "from")?.or(server.from) {
        Some(sender) => mailbox("from", sender)?,
        None => return Err(invalid("the sender is missing").with_next("Give from in the step or in the connection.")),
    };
    let id = format!("<{}@{}>", hex::encode(&Sha256::digest(cx.idempotency_key.as_bytes())[..16]), sender.email.domain());
    let subject = text(fields, "subject")?.ok_or_else(|| invalid("the subject is missing"))?;
    if subject.chars().any(char::is_control) || subject.chars().count() > SUBJECT_CHARS_MAX {
        return Err(invalid(format!(
            "the subject holds a line break or another control character, or more than {SUBJECT_CHARS_MAX} characters"
        ))
        .with_next("Put it on one line, for instance with collapse or replace."));
    }
    let mut builder = Message::builder().message_id(Some(id.clone())).subject(subject);
    for address in addresses(fields, "reply_to")? {
        builder = builder.reply_to(address);
    }
    let mut all = Vec::new();
    for address in addresses(fields, "to")? {
        all.push(address.email.clone());
        builder = builder.to(address);
    }
    for address in addresses(fields, "cc")? {
        all.push(address.email.clone());
        builder = builder.cc(address);
    }
    // Hidden copies are in the envelope alone.
    all.extend(addresses(fields, "bcc")?.into_iter().map(|address| address.email));
    if all.is_empty() || all.len() > RECIPIENTS_MAX {
        return Err(invalid(format!("an e-mail needs 1 to {RECIPIENTS_MAX} addresses in to, cc and bcc, not {}", all.len())));
    }
    let envelope = Envelope::new(Some(sender.email.clone()), all).map_err(|error| invalid(error.to_string()))?;
    let message = body(fields, builder.from(sender).envelope(envelope.clone()), contents)?;
    let bytes = message.formatted();
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(invalid(format!("the message has {} bytes; at most {MESSAGE_BYTES_MAX} are sent", bytes.len()))
            .with_next("Put large files somewhere and send their address."));
    }
    Ok(Mail { id, envelope, bytes })
}

fn text<'a>(fields: &'a Map<String, Json>, name: &str) -> Result<Option<&'a str>, StepError> {
    match fields.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(other) => Err(invalid(format!("{name} must be text, not {}", strict::kind(other)))),
    }
}

fn addresses(fields: &Map<String, Json>, name: &str) -> Result<Vec<Mailbox>, StepError> {
    let items = match fields.get(name) {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Array(items)) => items.as_slice(),
        Some(single) => std::slice::from_ref(single),
    };
    if items.len() > RECIPIENTS_MAX {
        return Err(invalid(format!("{name} holds more than {RECIPIENTS_MAX} addresses")));
    }
    let one = |item: &Json| match item {
        Json::String(text) => mailbox(name, text),
        other => Err(invalid(format!("an address in {name} must be text, not {}", strict::kind(other)))),
    };
    items.iter().map(one).collect()
}

fn mailbox(name: &str, text: &str) -> Result<Mailbox, StepError> {
    // A line break would begin a header of its own.
    let parsed = if text.chars().any(char::is_control) { None } else { text.trim().parse::<Mailbox>().ok() };
    parsed.ok_or_else(|| {
        invalid(format!("\"{}\" in {name} is not one e-mail address", text.escape_debug()))
            .with_next("Write ann@example.com or Ann <ann@example.com>; give several as a list.")
    })
}

fn body(fields: &Map<String, Json>, builder: lettre::message::MessageBuilder, contents: &Contents) -> Result<Message, StepError> {
    for name in ["text", "html"] {
        if text(fields, name)?.is_some_and(|text| text.contains('\0')) {
            return Err(invalid(format!("{name} holds the character U+0000, which an e-mail cannot carry")));
        }
    }
    let content = match (text(fields, "text")?, text(fields, "html")?) {
        (Some(text), Some(html)) => MultiPart::alternative_plain_html(text.to_owned(), html.to_owned()),
        (None, Some(html)) => MultiPart::mixed().singlepart(SinglePart::html(html.to_owned())),
        (text, None) => MultiPart::mixed().singlepart(SinglePart::plain(text.unwrap_or_default().to_owned())),
    };
    let files = match fields.get("attachments") {
        None | Some(Json::Null) => &[],
        Some(Json::Array(files)) => files.as_slice(),
        Some(other) => return Err(invalid(format!("attachments must be a list, not {}", strict::kind(other)))),
    };
    let built = match (files, text(fields, "text")?, text(fields, "html")?) {
        ([], Some(_), Some(_)) => builder.multipart(content),
        ([], None, Some(html)) => builder.singlepart(SinglePart::html(html.to_owned())),
        ([], text, None) => builder.singlepart(SinglePart::plain(text.unwrap_or_default().to_owned())),
        (files, ..) => {
            let mut mixed = MultiPart::mixed().multipart(content);
            for file in files {
                mixed = mixed.singlepart(attachment(file, contents)?);
            }
            builder.multipart(mixed)
        }
    };
    built.map_err(|error| invalid(format!("the message cannot be written: {error}")))
}

/// The contents of attached files, by their tokens.
pub(super) type Contents = HashMap<String, (File, Vec<u8>)>;

/// Fetches the files an e-mail takes along. All of them together are no larger than a message may be.
pub(super) async fn contents(cx: &Cx, input: &Json) -> Result<Contents, StepError> {
    let (mut contents, mut left) = (Contents::new(), MESSAGE_BYTES_MAX as u64);
    let Some(files) = cx.http.files() else { return Ok(contents) };
    for attachment in input.get("attachments").and_then(Json::as_array).into_iter().flatten() {
        let Some(file) = File::read(of_attachment(attachment), Some(files))? else { continue };
        let content = read_whole(files, &file, left).await?;
        left -= file.size;
        contents.insert(file.token.clone(), (file, content));
    }
    Ok(contents)
}

/// The file in an attachment: the attachment itself, or what it names.
fn of_attachment(attachment: &Json) -> &Json {
    attachment.get("file").filter(|file| file.is_object()).unwrap_or(attachment)
}

fn attachment(file: &Json, contents: &Contents) -> Result<SinglePart, StepError> {
    let kept = of_attachment(file).get("file").and_then(Json::as_str).and_then(|token| contents.get(token));
    let alone = kept.filter(|_| file.get("file").is_some_and(Json::is_string));
    if let Some((file, content)) = alone {
        return part(&file.name, &file.kind, content.clone());
    }
    let Json::Object(fields) = file else {
        return Err(invalid(format!("an attachment must be a record, not {}", strict::kind(file))));
    };
    if let Some(key) = fields.keys().find(|key| !ATTACHMENT_KEYS.contains(&key.as_str())) {
        return Err(invalid(format!("in an attachment, {}", strict::unknown(key, &ATTACHMENT_KEYS))));
    }
    let name = text(fields, "filename")?
        .or(kept.map(|(file, _)| file.name.as_str()))
        .filter(|name| !name.trim().is_empty() && !name.chars().any(char::is_control))
        .ok_or_else(|| invalid("an attachment needs a filename, without line breaks"))?;
    let (default_type, bytes) =
        match (text(fields, "text")?, text(fields, "base64")?, fields.get("json").filter(|v| !v.is_null()), kept) {
            (Some(text), None, None, None) => ("text/plain; charset=utf-8", text.as_bytes().to_vec()),
            (None, None, None, Some((file, content))) => (file.kind.as_str(), content.clone()),
            (None, Some(packed), None, None) => {
                let joined: String = packed.split_ascii_whitespace().collect();
                let bytes = BASE64
                    .decode(joined)
                    .map_err(|error| invalid(format!("base64 of the attachment \"{name}\" is not base64 text: {error}")))?;
                ("application/octet-stream", bytes)
            }
            (None, None, Some(value), None) => ("application/json", value.to_string().into_bytes()),
            _ => return Err(invalid(format!("the attachment \"{name}\" needs one of text, base64, json and file"))),
        };
    part(name, text(fields, "content_type")?.unwrap_or(default_type), bytes)
}

/// A file as a part of the message.
fn part(name: &str, kind: &str, bytes: Vec<u8>) -> Result<SinglePart, StepError> {
    let content_type = if kind.chars().any(char::is_control) { None } else { ContentType::parse(kind).ok() };
    let content_type = content_type
        .ok_or_else(|| invalid(format!("the content_type \"{}\" of the attachment \"{name}\" is none", kind.escape_debug())))?;
    // Always packed: the library would send bytes below 128 as they are, zeros and bare line ends included.
    let packed = Body::new_with_encoding(bytes, ContentTransferEncoding::Base64)
        .map_err(|_| invalid(format!("the attachment \"{name}\" cannot be packed")))?;
    Ok(Attachment::new(name.to_owned()).body(packed, content_type))
}
