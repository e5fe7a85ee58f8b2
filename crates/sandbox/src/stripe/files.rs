//! Uploads: multipart forms, and the bytes again.

use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use super::{
    Stripe,
    books::{Books, Row, set, text},
    door::{Answer, Asked},
    error::{Refused, Result},
};

/// Parts of a form.
const PARTS_MAX: usize = 50;
/// All files together.
pub(super) const FILES_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One part of a form.
struct Part<'a> {
    name: String,
    file: Option<String>,
    kind: String,
    body: &'a [u8],
}

fn wrong(why: &str) -> Refused {
    Refused::invalid(format!("Invalid multipart form: {why}"))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn parts<'a>(kind: &str, body: &'a [u8]) -> Result<Vec<Part<'a>>> {
    let boundary =
        kind.split(';').find_map(|part| part.trim().strip_prefix("boundary=")).map(|boundary| boundary.trim_matches('"'));
    let boundary = boundary.filter(|boundary| (1..=70).contains(&boundary.len())).ok_or_else(|| wrong("there is no boundary"))?;
    let line = format!("--{boundary}");
    let mut rest =
        find(body, line.as_bytes()).map(|at| &body[at + line.len()..]).ok_or_else(|| wrong("the boundary is missing"))?;
    let end = format!("\r\n{line}");
    let mut found = Vec::new();
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        let close = find(after, end.as_bytes()).ok_or_else(|| wrong("a part does not end"))?;
        found.push(part(&after[..close])?);
        rest = &after[close + end.len()..];
        if found.len() > PARTS_MAX {
            return Err(wrong("too many parts"));
        }
    }
    Ok(found)
}

fn part(whole: &[u8]) -> Result<Part<'_>> {
    let blank = find(whole, b"\r\n\r\n").ok_or_else(|| wrong("a part has no headers"))?;
    let head = String::from_utf8_lossy(&whole[..blank]).into_owned();
    let value = |name: &str| {
        let mark = format!("{name}=\"");
        let at = head.find(&mark)? + mark.len();
        Some(head[at..].split('"').next().unwrap_or_default().to_owned())
    };
    // `name=` stands inside `filename=`, too.
    let name = head
        .split(';')
        .find_map(|piece| piece.trim().strip_prefix("name=\""))
        .map(|rest| rest.split('"').next().unwrap_or_default().to_owned());
    let kind =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-type:").map(|kind| kind.trim().to_owned()));
    Ok(Part {
        name: name.ok_or_else(|| wrong("a part has no name"))?,
        file: value("filename"),
        kind: kind.unwrap_or_else(|| "application/octet-stream".to_owned()),
        body: &whole[blank + 4..],
    })
}

/// The form as parameters; the file is named, its bytes are taken later.
pub(super) fn form(kind: &str, body: &[u8]) -> Result<Map<String, Json>> {
    let mut pairs = Vec::new();
    for part in parts(kind, body)? {
        if part.file.is_none() {
            let text = String::from_utf8_lossy(part.body);
            pairs.push(url::form_urlencoded::Serializer::new(String::new()).append_pair(&part.name, &text).finish());
        } else {
            pairs.push(format!("{}=file", part.name));
        }
    }
    super::form::parsed(pairs.join("&").as_bytes()).map_err(|why| Refused::invalid(why.0))
}

/// Keeps an uploaded file.
pub(super) fn upload(books: &mut Books, asked: &Asked, params: &Row) -> Result {
    let kind = asked.parts.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let parts = parts(kind, &asked.body)?;
    let file = parts.iter().find(|part| part.name == "file" && part.file.is_some()).ok_or_else(|| Refused::needed("file"))?;
    let name = file.file.clone().unwrap_or_default();
    if file.body.is_empty() {
        return Err(Refused::invalid("The file you attempted to upload is empty.").param("file"));
    }
    let mut row = books.blank("File");
    let id = text(&row, "id").to_owned();
    let extension = name
        .rsplit_once('.')
        .map_or_else(|| file.kind.rsplit('/').next().unwrap_or_default().to_owned(), |(_, end)| end.to_lowercase());
    set(
        &mut row,
        [
            ("filename", json!(name)),
            ("purpose", params.get("purpose").cloned().unwrap_or_default()),
            ("size", json!(file.body.len())),
            ("type", json!(extension)),
            ("url", json!(format!("https://files.stripe.com/v1/files/{id}/contents"))),
        ],
    );
    books.keep_file(&id, Bytes::copy_from_slice(file.body))?;
    books.keep("File", row)
}

/// The bytes of a file.
pub(super) fn contents(stripe: &Stripe, asked: &Asked, id: &str) -> Result<Answer> {
    let found =
        stripe.with_books(asked, |books| books.files.get(id).cloned().ok_or_else(|| Refused::missing("file", id, "id")))?;
    Ok(Answer { status: 200, body: found, headers: vec![("Content-Type", "application/octet-stream".to_owned())] })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::form;

    #[test]
    fn a_form_of_parts_is_read_and_a_broken_one_refused() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\ndispute_evidence\r\n--b\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n\r\n1\r\n--b--\r\n";
        let read = form("multipart/form-data; boundary=b", body).unwrap();
        assert_eq!(json!(read), json!({"purpose": "dispute_evidence", "file": "file"}));
        for broken in [&b""[..], b"--b", b"--b\r\nx", b"--b\r\n\r\n--b--"] {
            assert!(form("multipart/form-data; boundary=b", broken).map_or(true, |read| read.is_empty()), "{broken:?}");
        }
        assert!(form("multipart/form-data", body).is_err());
    }
}
