//! Photos of workers.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use connector::{
    Action, Cx, ErrorClass, StepError,
    files::{File, read_whole, safe_name},
};
use serde_json::{Value as Json, json};

use super::{
    api::{invalid, text},
    people::worker_reference,
    schema, soap,
};

/// Longest photo that is sent; it travels in one message, a third longer than it is.
const PHOTO_BYTES_MAX: u64 = 10 * 1024 * 1024;
pub(super) const NO_FILES: &str = "this process keeps no files, so none can be sent or fetched";

/// The media type of what a content begins with; Workday tells none.
fn kind(content: &[u8]) -> &'static str {
    match content {
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        _ => "application/octet-stream",
    }
}

async fn get(cx: Cx, input: Json) -> Result<Json, StepError> {
    let files = cx.http.files().ok_or_else(|| invalid(NO_FILES))?;
    let worker = text(&input, "worker");
    let body = json!({ "Request_References": { "Worker_Reference": worker_reference(worker) } });
    let answer = soap::operation(&cx, "Human_Resources", "Get_Worker_Photos_Request", &body).await?;
    let (found, _) = soap::page(&answer, "Worker_Photo", 1)?;
    let Some(photo) = found.first().map(|photo| &photo["Worker_Photo_Data"]) else {
        let words = format!("the worker {worker} has no photo, or the integration user may not see it");
        return Err(StepError::new(ErrorClass::NotFound, "PHOTO_MISSING", words)
            .with_next("Let the step go on without a photo (on_error), or give the user the domain of worker photos."));
    };
    let letters: String = photo["File"].as_str().unwrap_or_default().split_whitespace().collect();
    let content = BASE64_STANDARD.decode(letters).ok().filter(|content| !content.is_empty()).ok_or_else(|| {
        StepError::new(ErrorClass::Server, "ANSWER_UNREADABLE", "the photo that Workday gave cannot be read")
            .with_next("Nothing to do where it is tried again.")
    })?;
    let mut writer = files.create().await?;
    writer.write(&content).await?;
    Ok(writer.finish(&safe_name(photo["Filename"].as_str().unwrap_or("photo")), kind(&content)).await?.json())
}

async fn put(cx: Cx, input: Json) -> Result<Json, StepError> {
    let files = cx.http.files().ok_or_else(|| invalid(NO_FILES))?;
    let file = File::read(&input["file"], Some(files))?.ok_or_else(|| invalid("\"file\" must be a file of this run"))?;
    let content = read_whole(files, &file, PHOTO_BYTES_MAX).await?;
    let body = json!({
        "Worker_Reference": worker_reference(text(&input, "worker")),
        "Worker_Photo_Data": { "Filename": file.name, "File": BASE64_STANDARD.encode(&content) },
    });
    let answer = soap::operation(&cx, "Human_Resources", "Put_Worker_Photo_Request", &body).await?;
    Ok(json!({ "worker": input["worker"], "wid": soap::id_of(&answer["Worker_Reference"], "WID") }))
}

pub(super) fn actions() -> Vec<Action> {
    vec![
        Action::new("get_worker_photo", "Get worker photo", "Fetches the photo of a worker into a file.", get)
            .reads()
            .input(schema::input(&[("worker", schema::worker())], &["worker"]))
            .output(File::schema())
            .sample(json!({ "file": "lsnfile_0", "name": "lmcneil.jpg", "type": "image/jpeg", "size": 71864, "sha256": "0".repeat(64) })),
        Action::new("put_worker_photo", "Upload worker photo", "Puts a photo of a worker in place of the one before.", put)
            .idempotent()
            .input(schema::input(&[("worker", schema::worker()), ("file", File::schema())], &["worker", "file"]))
            .output(schema::output(&[("worker", schema::told("Worker")), ("wid", schema::told("Workday id"))]))
            .sample(json!({ "worker": "21001", "wid": "3aa5550b7fe348b98d7b5741afc65534" })),
    ]
}
