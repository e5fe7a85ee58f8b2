//! Documents of workers.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use connector::{
    Action, Cx, ErrorClass, StepError,
    files::{File, Files, safe_name},
};
use serde_json::{Value as Json, json};

use super::{
    api::{invalid, text},
    people::{not_yet, worker_reference},
    photos::NO_FILES,
    schema, soap,
};

/// Most documents of one worker: each is kept as a file of its own.
const DOCUMENTS_MAX: usize = 200;

async fn get(cx: Cx, input: Json) -> Result<Json, StepError> {
    let files = cx.http.files().ok_or_else(|| invalid(NO_FILES))?;
    let worker = text(&input, "worker");
    let body = json!({
        "Request_References": { "Worker_Reference": worker_reference(worker) },
        "Response_Group": { "Include_Reference": true, "Include_Worker_Documents": true },
    });
    let answer = soap::operation(&cx, "Human_Resources", "Get_Workers_Request", &body).await?;
    let (found, _) = soap::page(&answer, "Worker", 1)?;
    let person = found.first().ok_or_else(|| not_yet(worker))?;
    let found = soap::list(&person["Worker_Data"]["Worker_Document_Data"]["Worker_Document"]);
    if found.len() > DOCUMENTS_MAX {
        let words = format!("the worker {worker} has {} documents, more than {DOCUMENTS_MAX} in one step", found.len());
        return Err(StepError::new(ErrorClass::Invalid, "DOCUMENTS_TOO_MANY", words)
            .with_next("Fetch them with call_operation, a few at a time."));
    }
    let mut documents = Vec::new();
    for one in &found {
        documents.push(document(files.as_ref(), one).await?);
    }
    Ok(json!({ "documents": documents }))
}

/// A document whose content is kept as a file; nothing where Workday gives none.
async fn document(files: &dyn Files, one: &Json) -> Result<Json, StepError> {
    let (reference, detail) = (&one["Worker_Document_Reference"], &one["Worker_Document_Detail_Data"]);
    let file = match detail["File"].as_str().filter(|letters| !letters.trim().is_empty()) {
        None => Json::Null,
        Some(letters) => {
            let letters: String = letters.split_whitespace().collect();
            let content =
                BASE64_STANDARD.decode(letters).map_err(|_| soap::unreadable("the content of a document is not base64"))?;
            let mut writer = files.create().await?;
            writer.write(&content).await?;
            let name = safe_name(detail["Filename"].as_str().unwrap_or("document"));
            writer.finish(&name, "application/octet-stream").await?.json()
        }
    };
    let category = &detail["Document_Category_Reference"];
    let own = soap::list(&category["ID"]).into_iter().find(|id| id["@type"] != "WID");
    Ok(json!({
        "id": soap::id_of(reference, "WID"),
        "name": detail["Filename"],
        "category": own.map_or(Json::Null, |id| id["#text"].clone()),
        "category_name": category["@Descriptor"],
        "comment": detail["Comment"],
        "file": file,
    }))
}

pub(super) fn action() -> Action {
    let mut file = File::schema();
    file["type"] = json!(["object", "null"]);
    let row = schema::output(&[
        ("id", schema::told("Workday id")),
        ("name", schema::told("File name")),
        ("category", schema::told("Category")),
        ("category_name", schema::told("Name of the category")),
        ("comment", schema::told("Comment")),
        ("file", file),
    ]);
    let kept = json!({ "file": "lsnfile_0", "name": "contract.pdf", "type": "application/octet-stream", "size": 71864, "sha256": "0".repeat(64) });
    let sample = json!({ "id": "3aa5550b7fe348b98d7b5741afc65534", "name": "contract.pdf", "category": "CONTRACT", "category_name": "Contracts", "comment": null, "file": kept });
    Action::new(
        "get_worker_documents",
        "Get worker documents",
        "Fetches the documents of a worker into files. Without the right to see them there are none.",
        get,
    )
    .reads()
    .input(schema::input(&[("worker", schema::worker())], &["worker"]))
    .output(schema::rows("documents", row))
    .sample(json!({ "documents": [sample] }))
}
