//! Attachments: listed, sent and fetched as streams, deleted.

use std::sync::Arc;

use ::http::{Method, StatusCode, header};
use async_trait::async_trait;
use bytes::Bytes;
use connector::{
    Action, Cx, ErrorClass, StepError,
    files::{File, FileWriter, Files, safe_name, safe_type},
    http::{Piece, Pieces, Sink},
};
use serde_json::{Value as Json, json};

use super::{
    action,
    api::{self, Api, checked_id, flag, invalid, result, word},
    dictionary::Dictionary,
    records::{id_schema, input, table_schema},
};

/// Attachments of one record that are listed.
const LISTED_MAX: &str = "1000";

pub(super) fn actions(dictionary: &Arc<Dictionary>) -> Vec<Action> {
    let metadata = json!({"type": "object", "required": ["sys_id", "file_name"], "properties": {
        "sys_id": {"type": "string"}, "file_name": {"type": "string"}, "content_type": {"type": "string"}, "size_bytes": {"type": "integer"},
        "table_name": {"type": "string"}, "table_sys_id": {"type": "string"}, "sys_created_on": {"type": "string"}, "sys_created_by": {"type": "string"}
    }});
    let sample = json!({"sys_id": "6ea10fe64f411200adf9f8e18110c739", "file_name": "photo.png", "content_type": "image/png", "size_bytes": 71864, "table_name": "incident", "table_sys_id": "46e18c0fa9fe19810066a0083f76bd56"});
    let attachment = json!({"type": "string", "title": "Attachment", "description": "The sys_id of the attachment."});
    vec![
        action(dictionary, "list_attachments", "List attachments", "Lists the attachments of a record.", list)
            .reads()
            .input(input(json!({"table": table_schema(), "sys_id": id_schema()}), &["table", "sys_id"]))
            .output(json!({"type": "object", "required": ["attachments"], "properties": {"attachments": {"type": "array", "items": metadata}}}))
            .sample(json!({"attachments": [sample]})),
        action(dictionary, "upload_attachment", "Attach a file", "Attaches a file or a text to a record. Attached again when the step is repeated.", upload)
            .input(input(
                json!({
                    "table": table_schema(), "sys_id": id_schema(), "file": File::schema(),
                    "text": {"type": "string", "title": "Text", "description": "In place of a file."},
                    "name": {"type": "string", "title": "File name", "description": "The file's own when left out."},
                    "type": {"type": "string", "title": "Media type", "description": "The file's own when left out."}
                }),
                &["table", "sys_id"],
            ))
            .output(metadata)
            .sample(sample),
        action(dictionary, "download_attachment", "Fetch an attachment", "Fetches an attachment into a file, however long it is.", download)
            .reads()
            .input(input(json!({"attachment": attachment}), &["attachment"]))
            .output(File::schema())
            .sample(json!({"file": "lsnfile_0", "name": "photo.png", "type": "image/png", "size": 71864, "sha256": "0".repeat(64)})),
        action(dictionary, "delete_attachment", "Delete an attachment", "Deletes an attachment.", delete)
            .idempotent()
            .input(input(json!({"attachment": attachment, "ignore_missing": {"type": "boolean", "default": true, "title": "A missing attachment is fine"}}), &["attachment"]))
            .output(json!({"type": "object", "required": ["deleted"], "properties": {"deleted": {"type": "boolean"}}}))
            .sample(json!({"deleted": true})),
    ]
}

const SHOWN: [&str; 7] =
    ["sys_id", "file_name", "content_type", "table_name", "table_sys_id", "sys_created_on", "sys_created_by"];

fn told(row: &Json) -> Json {
    let mut told: Json =
        SHOWN.iter().map(|name| ((*name).to_owned(), json!(word(row, name)))).collect::<serde_json::Map<_, _>>().into();
    told["size_bytes"] = json!(word(row, "size_bytes").parse::<u64>().unwrap_or_default());
    told
}

async fn list(_: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let query =
        format!("table_name={}^table_sys_id={}^ORDERBYsys_created_on", api::table(&input)?, checked_id(word(&input, "sys_id"))?);
    let call = api
        .call(Method::GET, &["api", "now", "attachment"])
        .query([("sysparm_query", query.as_str()), ("sysparm_limit", LISTED_MAX)]);
    let rows = result(&api.send(call).await?)?;
    Ok(json!({"attachments": rows.as_array().into_iter().flatten().map(told).collect::<Vec<_>>()}))
}

async fn upload(_: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let (table, id) = (api::table(&input)?, checked_id(word(&input, "sys_id"))?);
    let file = input.get("file").map(|file| File::read(file, cx.http.files())).transpose()?.flatten();
    let text = input.get("text").and_then(Json::as_str);
    let given = |name: &str| Some(word(&input, name)).filter(|text| !text.is_empty());
    let name = given("name").or(file.as_ref().map(|file| file.name.as_str())).unwrap_or("note.txt");
    let own = file.as_ref().map_or("text/plain", |file| file.kind.as_str());
    let kind = safe_type(given("type").unwrap_or(own));
    let pairs = [("table_name", table), ("table_sys_id", id), ("file_name", &safe_name(name))];
    let call = api.call(Method::POST, &["api", "now", "attachment", "file"]).query(pairs);
    let call = match (file, text) {
        (Some(file), None) => call.pieces(&kind, Pieces::new(vec![Piece::File { token: file.token, size: file.size }])),
        (None, Some(text)) => call.body(&kind, Bytes::from(text.to_owned())),
        _ => return Err(invalid("CONTENT_MISSING", "a file or a text is needed, and only one of them")),
    };
    Ok(told(&result(&api.send(call).await?)?))
}

async fn download(_: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let id = checked_id(word(&input, "attachment"))?;
    let files = cx.http.files().ok_or_else(|| {
        StepError::new(ErrorClass::Internal, "FILES_MISSING", "this process keeps no files, so nothing can be fetched into one")
    })?;
    let mut sink = IntoFile { files: Arc::clone(files), writer: None, size: 0 };
    // What is kept is the file itself, not how it was packed for the way.
    let call = api
        .call(Method::GET, &["api", "now", "attachment", id, "file"])
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::ACCEPT, "*/*");
    let answer = call.send_into(Some(&mut sink)).await.inspect_err(|error| api.hear(error))?;
    let metadata: Option<Json> = answer.header("x-attachment-metadata").and_then(|text| serde_json::from_str(text).ok());
    // A page of a gateway has none.
    let Some(metadata) = metadata else { return Err(settled(answer.unreadable("it holds no attachment"))) };
    let size: u64 = word(&metadata, "size_bytes").parse().unwrap_or(sink.size);
    if size != sink.size {
        return Err(settled(answer.unreadable(&format!("the attachment has {size} bytes, but {} came", sink.size))));
    }
    let writer = match sink.writer.take() {
        Some(writer) => writer,
        None => files.create().await?,
    };
    let file = writer.finish(&safe_name(word(&metadata, "file_name")), &safe_type(word(&metadata, "content_type"))).await?;
    Ok(file.json())
}

/// Nothing was changed by reading.
fn settled(error: StepError) -> StepError {
    StepError { doubt: connector::Doubt::Settled, ..error }
}

struct IntoFile {
    files: Arc<dyn Files>,
    writer: Option<Box<dyn FileWriter>>,
    size: u64,
}

#[async_trait]
impl Sink for IntoFile {
    fn wants(&self, status: StatusCode) -> bool {
        status.is_success()
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), StepError> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        let writer = match &mut self.writer {
            Some(writer) => writer,
            slot => slot.insert(self.files.create().await?),
        };
        writer.write(&bytes).await
    }
}

async fn delete(_: Arc<Dictionary>, cx: Cx, input: Json) -> Result<Json, StepError> {
    let api = Api::new(&cx)?;
    let id = checked_id(word(&input, "attachment"))?;
    let deleted = api.delete(&["api", "now", "attachment", id], flag(&input, "ignore_missing", true)).await?;
    Ok(json!({ "deleted": deleted }))
}
