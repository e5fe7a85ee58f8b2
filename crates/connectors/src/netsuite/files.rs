//! The file cabinet, which is reached over SOAP only.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use connector::{
    Action, Cx, ErrorClass, StepError,
    files::{File, read_whole, safe_name},
};
use serde_json::{Value as Json, json};

use super::{
    api::{invalid, needed, text},
    records::own_external,
    settings,
    soap::{escaped, shown, talk},
};

/// Longest file; it travels in one message, a third longer than it is.
const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Media types of the words NetSuite has for files; any other is told as bytes.
const TYPES: [(&str, &str); 10] = [
    ("_CSV", "text/csv"),
    ("_GIFIMAGE", "image/gif"),
    ("_HTMLDOC", "text/html"),
    ("_JPGIMAGE", "image/jpeg"),
    ("_JSON", "application/json"),
    ("_PDF", "application/pdf"),
    ("_PLAINTEXT", "text/plain"),
    ("_PNGIMAGE", "image/png"),
    ("_XMLDOC", "text/xml"),
    ("_ZIP", "application/zip"),
];

/// The bytes of a step's file or text, with the name they bring.
async fn content(cx: &Cx, input: &Json) -> Result<(Vec<u8>, Option<String>), StepError> {
    let file = input.get("file").map(|file| File::read(file, cx.http.files())).transpose()?.flatten();
    match (file, text(input, "text")) {
        (Some(file), None) => {
            let files = cx.http.files().ok_or_else(no_files)?;
            Ok((read_whole(files, &file, FILE_BYTES_MAX).await?, Some(file.name)))
        }
        (None, Some(text)) => Ok((text.as_bytes().to_vec(), None)),
        _ => Err(invalid("a file or a text is needed, and only one of them")),
    }
}

fn no_files() -> StepError {
    StepError::new(ErrorClass::Internal, "FILES_MISSING", "this process keeps no files, so none can be read or fetched")
}

/// Puts a file into a folder under an external id, so that the same file is written whenever this is repeated.
async fn upload(cx: Cx, input: Json) -> Result<Json, StepError> {
    let folder = needed(&input, "folder")?;
    let (bytes, own) = content(&cx, &input).await?;
    let name = safe_name(text(&input, "name").or(own.as_deref()).unwrap_or("note.txt"));
    let external = text(&input, "external_id").map_or_else(|| own_external(&cx), ToOwned::to_owned);
    let version = settings::soap_version(&cx)?;
    let record = format!(
        "<m:record xmlns:r=\"urn:filecabinet_{version}.documents.webservices.netsuite.com\" xsi:type=\"r:File\" externalId=\"{}\"><r:name>{}</r:name><r:content>{}</r:content><r:folder internalId=\"{}\"/></m:record>",
        escaped(&external),
        escaped(&name),
        BASE64_STANDARD.encode(&bytes),
        escaped(folder)
    );
    let response = talk(&cx, "upsert", "", &record).await?;
    let made = shown(&response["writeResponse"]["baseRef"]);
    let Some(id) = made["id"].as_str() else { return Err(unreadable("the id of the file is missing")) };
    Ok(json!({ "id": id, "external_id": external, "name": name, "size": bytes.len() }))
}

fn reference(kind: &str, id: &str) -> String {
    format!("xsi:type=\"c:RecordRef\" type=\"{}\" internalId=\"{}\"", escaped(kind), escaped(id))
}

async fn fetch(cx: Cx, input: Json) -> Result<Json, StepError> {
    let files = cx.http.files().ok_or_else(no_files)?;
    let inside = format!("<m:baseRef {}/>", reference("file", needed(&input, "file")?));
    let response = talk(&cx, "get", "", &inside).await?;
    let record = &response["readResponse"]["record"];
    if record.get("content").is_none() {
        return Err(unreadable("it has no content"));
    }
    let content: String =
        record["content"].as_str().unwrap_or_default().chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    let bytes = BASE64_STANDARD.decode(content).map_err(|_| unreadable("the content of the file is not base64"))?;
    let Some(name) = record["name"].as_str() else { return Err(unreadable("the name of the file is missing")) };
    let word = record["fileType"].as_str().unwrap_or_default();
    let kind = TYPES.iter().find(|(known, _)| *known == word).map_or("application/octet-stream", |(_, kind)| kind);
    let mut writer = files.create().await?;
    writer.write(&bytes).await?;
    Ok(writer.finish(&safe_name(name), kind).await?.json())
}

async fn attach(cx: Cx, input: Json) -> Result<Json, StepError> {
    let (kind, id, file) = (needed(&input, "type")?, needed(&input, "id")?, needed(&input, "file")?);
    // The vendor's own spelling.
    let inside = format!(
        "<m:attachReferece xsi:type=\"c:AttachBasicReference\"><c:attachTo {}/><c:attachedRecord {}/></m:attachReferece>",
        reference(kind, id),
        reference("file", file)
    );
    let response = talk(&cx, "attach", "", &inside).await?;
    if response["writeResponse"]["status"]["@isSuccess"] != "true" {
        return Err(unreadable("it does not say whether the file is attached"));
    }
    Ok(json!({ "attached": true }))
}

fn unreadable(why: &str) -> StepError {
    let words = format!("the answer of NetSuite cannot be read: {why}");
    let mut error = StepError::new(ErrorClass::Server, "ANSWER_UNREADABLE", words)
        .with_next("See in NetSuite's file cabinet what became of the file.");
    error.doubt = connector::Doubt::MayHaveHappened;
    error
}

pub(super) fn actions() -> Vec<Action> {
    let schema = |properties: Json, required: &[&str]| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    let file = json!({"type": "string", "title": "File", "description": "Its internal id in the file cabinet."});
    vec![
        Action::new("upload_file", "Upload file", "Puts a file into a folder of the file cabinet. It has an external id, so that a repeated attempt makes no second file. Works with token-based authentication only, as SOAP does.", upload)
            .idempotent().key_life(Duration::MAX)
            .input(schema(json!({
                "folder": {"type": "string", "title": "Folder", "description": "Its internal id, which the file cabinet shows."},
                "file": File::schema(),
                "text": {"type": "string", "title": "Text", "description": "In place of a file."},
                "name": {"type": "string", "title": "File name", "description": "The file's own when left out."},
                "external_id": {"type": "string", "title": "External id", "description": "One is made when left out; a file with the same one is replaced."}
            }), &["folder"]))
            .output(json!({"type": "object", "required": ["id", "external_id"], "properties": {"id": {"type": "string", "title": "Internal id"}, "external_id": {"type": "string", "title": "External id"}, "name": {"type": "string", "title": "File name"}, "size": {"type": "integer", "title": "Bytes"}}}))
            .sample(json!({ "id": "4411", "external_id": "lia-1b6c", "name": "INV-1180.pdf", "size": 71864 })),
        Action::new("get_file", "Get file", "Fetches a file of the file cabinet. Works with token-based authentication only, as SOAP does.", fetch)
            .reads()
            .input(schema(json!({ "file": file }), &["file"]))
            .output(File::schema())
            .sample(json!({ "file": "lsnfile_0", "name": "INV-1180.pdf", "type": "application/pdf", "size": 71864, "sha256": "0".repeat(64) })),
        Action::new("attach_file", "Attach file to record", "Ties a file of the file cabinet to a record. Works with token-based authentication only, as SOAP does.", attach)
            .input(schema(json!({
                "type": {"type": "string", "title": "Record type", "description": "Such as customer, invoice or salesOrder."},
                "id": {"type": "string", "title": "Internal id of the record"},
                "file": file
            }), &["type", "id", "file"]))
            .output(json!({"type": "object", "required": ["attached"], "properties": {"attached": {"type": "boolean", "title": "Attached"}}}))
            .sample(json!({ "attached": true })),
    ]
}
