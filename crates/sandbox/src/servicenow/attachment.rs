//! The Attachment API: `/api/now/attachment`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::{
    data::Record,
    scene::{Answer, Answered, Call, Refusal, Scene},
    table::{self, Page},
    write::Values,
};

/// Rows of a list when the client names no number.
const LIMIT_DEFAULT: usize = 1_000;
/// Fields of the answers, all texts.
const SHOWN: &[&str] = &[
    "size_bytes",
    "file_name",
    "sys_mod_count",
    "average_image_color",
    "image_width",
    "sys_updated_on",
    "sys_tags",
    "table_name",
    "sys_id",
    "image_height",
    "sys_updated_by",
    "content_type",
    "sys_created_on",
    "size_compressed",
    "compressed",
    "state",
    "table_sys_id",
    "chunk_size_bytes",
    "hash",
    "sys_created_by",
];

pub(super) fn serve(scene: &mut Scene<'_>, call: &Call, rest: &[&str]) -> Answered {
    match (&call.method, rest) {
        (&Method::GET | &Method::HEAD, []) => list(scene, call),
        (&Method::POST, ["file"]) => {
            let field = |name: &str| call.param(name).unwrap_or_default().to_owned();
            let kind = call.header("content-type").to_owned();
            if kind.is_empty() {
                return Err(Refusal::new(415, "Unsupported media type", Some("Content-Type is required")));
            }
            let file = File {
                table: field("table_name"),
                id: field("table_sys_id"),
                name: field("file_name"),
                kind,
                bytes: call.body.clone(),
            };
            keep(scene, &file)
        }
        (&Method::POST, ["upload"]) => {
            let file = form(call).ok_or_else(|| {
                Refusal::new(400, "Invalid multipart request", Some("table_name, table_sys_id and then the file are needed"))
            })?;
            keep(scene, &file)
        }
        (&Method::GET | &Method::HEAD, [id]) => {
            let record = scene.seen("sys_attachment", id)?;
            Ok(Answer::json(200, &json!({"result": metadata(scene, record)})))
        }
        (&Method::GET | &Method::HEAD, [id, "file"]) => download(scene, id),
        (&Method::PATCH | &Method::PUT, [id]) => {
            scene.seen("sys_attachment", id)?;
            let body = call.json()?;
            let name = body.get("file_name").and_then(Json::as_str).unwrap_or_default().to_owned();
            scene.update("sys_attachment", id, &Values::from([("file_name".to_owned(), name)]), false)?;
            Ok(Answer::empty(204))
        }
        (&Method::DELETE, [id]) => {
            scene.seen("sys_attachment", id)?;
            scene.may_write("sys_attachment", "Delete")?;
            scene.delete("sys_attachment", id)?;
            Ok(Answer::empty(204))
        }
        _ => Err(Refusal::no_method()),
    }
}

fn metadata(scene: &Scene<'_>, record: &Record) -> Json {
    let mut all: Map<String, Json> = SHOWN.iter().map(|name| ((*name).to_owned(), json!(record.get(name)))).collect();
    all.insert("download_link".to_owned(), json!(format!("{}/api/now/attachment/{}/file", scene.base, record.id())));
    Json::Object(all)
}

fn list(scene: &Scene<'_>, call: &Call) -> Answered {
    let page = Page::of(call, LIMIT_DEFAULT)?;
    let found = scene.ask().find("sys_attachment", &table::asked(scene, "sys_attachment", call));
    let rows: Vec<Json> =
        page.slice(&found).iter().filter(|record| scene.may_read(record)).map(|record| metadata(scene, record)).collect();
    Ok(Answer::json(200, &json!({"result": rows})).with("x-total-count", &found.len().to_string()))
}

struct File {
    table: String,
    id: String,
    name: String,
    kind: String,
    bytes: Bytes,
}

fn keep(scene: &mut Scene<'_>, file: &File) -> Answered {
    let missing = [("table_name", &file.table), ("table_sys_id", &file.id), ("file_name", &file.name)];
    if let Some((name, _)) = missing.iter().find(|(_, value)| value.is_empty()) {
        return Err(Refusal::new(400, format!("Missing value for {name}"), None));
    }
    scene.known(&file.table)?;
    // Whoever may not see or change the record may not attach to it.
    scene.seen(&file.table, &file.id)?;
    scene.may_write(&file.table, "Insert")?;
    let size = file.bytes.len().to_string();
    let hash = hex::encode(Sha256::digest(&file.bytes));
    let image = if file.kind.starts_with("image/") { "1" } else { "" };
    let fields = [
        ("table_name", file.table.as_str()),
        ("table_sys_id", &file.id),
        ("file_name", &file.name),
        ("content_type", &file.kind),
        ("size_bytes", &size),
        ("size_compressed", &size),
        ("compressed", "true"),
        ("hash", &hash),
        ("chunk_size_bytes", "700000"),
        ("image_width", image),
        ("image_height", image),
        ("state", "pending"),
    ];
    let values: Values = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let record: Arc<Record> = scene.insert("sys_attachment", &values, false)?;
    if !scene.state.data.put_file(record.id(), file.bytes.clone()) {
        scene.state.data.remove("sys_attachment", record.id());
        return Err(Refusal::new(403, "Operation Failed", Some("Error during insert of sys_attachment")));
    }
    // The address has the first version's form whatever was called; the official Python client compares it.
    let location = format!("{}/api/now/v1/attachment/{}/file", scene.base, record.id());
    Ok(Answer::json(201, &json!({"result": metadata(scene, &record)})).with("location", &location))
}

fn download(scene: &Scene<'_>, id: &str) -> Answered {
    let record = scene.seen("sys_attachment", id)?;
    let bytes = scene.state.data.file(id).cloned().ok_or_else(Refusal::no_record)?;
    let mut answer = Answer::text(200, "application/octet-stream", bytes);
    if let Ok(kind) = HeaderValue::from_str(record.get("content_type")) {
        answer.headers.insert(header::CONTENT_TYPE, kind);
    }
    // Header values are ASCII; JSON can write every character so.
    let ascii: String = metadata(scene, record).to_string().chars().flat_map(ascii).collect();
    let disposition = format!("attachment;filename=\"{}\"", record.get("file_name").replace(['"', '\r', '\n'], "_"));
    Ok(answer.with("x-attachment-metadata", &ascii).with("content-disposition", &disposition))
}

fn ascii(letter: char) -> Vec<char> {
    if letter.is_ascii() {
        return vec![letter];
    }
    let mut units = [0; 2];
    letter.encode_utf16(&mut units).iter().flat_map(|unit| format!("\\u{unit:04x}").chars().collect::<Vec<_>>()).collect()
}

/// The parts of a form: names first, the file last.
fn form(call: &Call) -> Option<File> {
    let kind = call.header("content-type");
    let boundary = kind.split("boundary=").nth(1)?.split(';').next()?.trim().trim_matches('"');
    if boundary.is_empty() {
        return None;
    }
    let mark = format!("--{boundary}");
    let mut file =
        File { table: String::new(), id: String::new(), name: String::new(), kind: String::new(), bytes: Bytes::new() };
    let mut at = find(&call.body, mark.as_bytes(), 0)? + mark.len();
    while let Some(end) = find(&call.body, mark.as_bytes(), at) {
        // Each part is led by a line end and followed by one.
        let part = call.body.slice(at..end);
        let head = find(&part, b"\r\n\r\n", 0)?;
        let headers = String::from_utf8_lossy(&part[..head]).into_owned();
        let content = part.slice(head + 4..part.len().saturating_sub(2).max(head + 4));
        match (attribute(&headers, "name="), attribute(&headers, "filename=")) {
            (_, Some(name)) => {
                file.name = name;
                file.kind = headers
                    .lines()
                    .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-type:").map(|kind| kind.trim().to_owned()))
                    .unwrap_or_else(|| "application/octet-stream".to_owned());
                file.bytes = content;
            }
            (Some(name), None) => {
                let value = String::from_utf8_lossy(&content).trim().to_owned();
                match name.as_str() {
                    "table_name" => file.table = value,
                    "table_sys_id" => file.id = value,
                    _ => {}
                }
            }
            _ => {}
        }
        at = end + mark.len();
    }
    (!file.name.is_empty()).then_some(file)
}

/// A quoted attribute of the disposition: `name="x"`, not the end of `filename="x"`.
fn attribute(headers: &str, name: &str) -> Option<String> {
    let at = headers.match_indices(name).map(|(at, _)| at).find(|at| headers[..*at].ends_with([' ', ';']))?;
    let rest = &headers[at + name.len()..];
    let quoted = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')).map(|(value, _)| value);
    Some(quoted.unwrap_or_else(|| rest.split([';', '\r']).next().unwrap_or_default()).to_owned())
}

fn find(text: &[u8], part: &[u8], from: usize) -> Option<usize> {
    text.get(from..)?.windows(part.len()).position(|window| window == part).map(|at| at + from)
}
