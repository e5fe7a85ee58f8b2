//! Files: up as a new version of a document, down as bytes.

use ::http::{Method, StatusCode, header};
use async_trait::async_trait;
use bytes::Bytes;
use connector::{
    Action, Cx, Effect, ErrorClass, StepError,
    files::{File, FileWriter},
    http::{Piece, Pieces, Sink},
};
use serde_json::{Value as Json, json};

use super::{
    api::{Api, invalid, text},
    id_input, input,
};

/// Largest file, in bytes; Salesforce takes 2 GB by parts.
const FILE_BYTES_MAX: u64 = 2_000_000_000;
/// Largest text given in place of a file.
const TEXT_CHARS_MAX: usize = 1_000_000;
/// Random bytes of what parts the body; nobody can write a file that holds it.
const BOUNDARY_BYTES: usize = 16;

pub(super) fn actions() -> Vec<Action> {
    vec![
        Action::new("upload_file", "Upload a file", "Keeps a file in Salesforce and links it to a record.", upload)
            .effect(|_| Effect::Once)
            .input(input(json!({"record_id": id_input(), "name": {"type": "string", "minLength": 1, "maxLength": 255, "title": "Name", "description": "With its ending: offer.pdf. The file's own when left out."},
                "title": {"type": "string", "maxLength": 255, "title": "Title"}, "file": File::schema(), "text": {"type": "string", "maxLength": TEXT_CHARS_MAX, "title": "Text", "description": "What the file holds, in place of a file."},
                "document_id": {"type": "string", "title": "Document id", "pattern": "^069[A-Za-z0-9]{12}([A-Za-z0-9]{3})?$", "description": "Adds a new version of this document, in place of record_id."}}), &[]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["id"], "properties": {"id": {"type": "string", "description": "Of the version."}}}))
            .sample(json!({"id": "068xx000000TlsKAAS"})),
        Action::new("download_file", "Download a file", "Reads the bytes of a file version or an attachment.", download)
            .reads()
            .input(input(json!({"id": id_input(), "name": {"type": "string", "title": "Name", "description": "What the file is called here."}}), &["id"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["file"], "properties": {"file": File::schema()}}))
            .sample(json!({"file": {"file": "lsnfile_…", "name": "offer.pdf", "type": "application/octet-stream", "size": 12, "sha256": "…"}})),
    ]
}

async fn upload(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let file = File::read(given.get("file").unwrap_or(&Json::Null), cx.http.files())?;
    let own = text(&given, "text");
    let (content, kept) = match &file {
        Some(file) if file.size > FILE_BYTES_MAX => {
            return Err(invalid("FILE_TOO_LARGE", format!("the file \"{}\" is larger than 2 GB", file.name), "Split it."));
        }
        Some(file) => (Piece::File { token: file.token.clone(), size: file.size }, file.name.clone()),
        None if !own.is_empty() => (Piece::Bytes(Bytes::from(own.to_owned())), "file.txt".to_owned()),
        None => return Err(invalid("INPUT_INVALID", "there is nothing to upload", "Give a file or a text.")),
    };
    let name = connector::files::safe_name(Some(text(&given, "name")).filter(|name| !name.is_empty()).unwrap_or(&kept));
    let mut entity =
        json!({ "PathOnClient": name, "Title": Some(text(&given, "title")).filter(|title| !title.is_empty()).unwrap_or(&name) });
    match (text(&given, "record_id"), text(&given, "document_id")) {
        ("", "") => {}
        (record, "") => entity["FirstPublishLocationId"] = json!(record),
        ("", document) => entity["ContentDocumentId"] = json!(document),
        _ => {
            return Err(invalid(
                "INPUT_INVALID",
                "record_id and document_id are both given",
                "Give one of them: a new version of a document stays where the document is.",
            ));
        }
    }
    let boundary = boundary()?;
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"entity_content\"\r\nContent-Type: application/json\r\n\r\n{entity}\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"VersionData\"; filename=\"{}\"\r\nContent-Type: application/octet-stream\r\n\r\n",
        name.replace('"', "_")
    );
    let kind = format!("multipart/form-data; boundary={boundary}");
    let end = format!("\r\n--{boundary}--\r\n");
    let call = api.call(Method::POST, api.url(&["sobjects", "ContentVersion"]));
    let call = match content {
        // A text is sent whole; it needs no place for files.
        Piece::Bytes(text) => call.body(&kind, [head.as_bytes(), &text, end.as_bytes()].concat().into()),
        file => call.pieces(&kind, Pieces::new(vec![Piece::Bytes(head.into()), file, Piece::Bytes(end.into())])),
    };
    let answer = api.send(call).await?;
    let body = answer.json()?;
    let id = body["id"].as_str().ok_or_else(|| answer.unreadable("it holds no id"))?;
    Ok(json!({ "id": id }))
}

/// What parts the body: another one each time.
fn boundary() -> Result<String, StepError> {
    let mut bytes = [0; BOUNDARY_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|_| StepError::new(ErrorClass::Internal, "RANDOM_MISSING", "this machine gives no random numbers"))?;
    Ok(format!("liaison-{}", hex::encode(bytes)))
}

/// Writes an answer into a file as it comes.
struct Into(Box<dyn FileWriter>);

#[async_trait]
impl Sink for Into {
    fn wants(&self, status: StatusCode) -> bool {
        status.is_success()
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), StepError> {
        self.0.write(&bytes).await
    }
}

async fn download(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let id = text(&given, "id");
    let (object, field) = match id.get(..3) {
        Some("068") => ("ContentVersion", "VersionData"),
        Some("00P") => ("Attachment", "Body"),
        _ => {
            return Err(invalid(
                "INPUT_INVALID",
                format!("{id} is the id of neither a file version (068) nor an attachment (00P)"),
                "Take LatestPublishedVersionId of a document.",
            ));
        }
    };
    let files =
        cx.http.files().ok_or_else(|| StepError::new(ErrorClass::Internal, "FILES_MISSING", "this process keeps no files"))?;
    let mut sink = Into(files.create().await?);
    let call =
        api.get(&["sobjects", object, id, field]).header(header::ACCEPT, "*/*").header(header::ACCEPT_ENCODING, "identity");
    let answer = api.send_into(call, &mut sink).await?;
    let html = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    if html {
        return Err(answer.unreadable("a web page came in place of the file"));
    }
    let name = Some(text(&given, "name")).filter(|name| !name.is_empty()).unwrap_or(id);
    let file = sink.0.finish(name, "application/octet-stream").await?;
    Ok(json!({ "file": file.json() }))
}
