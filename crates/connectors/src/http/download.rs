//! `download: true`: the answer's body goes into a file as it comes.

use std::sync::Arc;

use ::http::{
    HeaderMap, StatusCode,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE},
};
use async_trait::async_trait;
use bytes::Bytes;
use connector::{
    Cx, StepError,
    files::{FileWriter, Files, safe_name, safe_type},
    http::{Response, Sink},
};
use percent_encoding::percent_decode_str;
use serde_json::Value as Json;
use tokio::time::Instant;
use url::Url;

use super::{
    accepted_into, answer,
    request::{Accept, With, invalid},
};
use connector::strict;

/// Whether the step wants a file.
pub(super) fn wanted(input: &Json) -> Result<bool, StepError> {
    let wanted = match input.get("download") {
        None | Some(Json::Null) => false,
        Some(Json::Bool(wanted)) => *wanted,
        Some(other) => {
            return Err(invalid("INPUT_INVALID", format!("download must be true or false, not {}", strict::kind(other))));
        }
    };
    let given = |name: &&str| input.get(name).is_some_and(|value| !value.is_null());
    match ["paginate", "parse"].iter().find(|name| given(name)).filter(|_| wanted) {
        Some(other) => {
            Err(invalid("INPUT_INVALID", format!("download keeps the answer as it comes, so {other} has no place beside it")))
        }
        None => Ok(wanted),
    }
}

/// One call whose answer's body becomes a file.
pub(super) async fn call(cx: &Cx, input: &Json) -> Result<Json, StepError> {
    let files =
        cx.http.files().ok_or_else(|| invalid("FILES_MISSING", "this process keeps no files, so nothing can be downloaded"))?;
    let mut sink = IntoFile { files: Arc::clone(files), accept: Accept::read(input.get("accept"))?, writer: None };
    let (response, _) = accepted_into(cx, input, With::default(), Instant::now(), Some(&mut sink)).await?;
    let writer = match sink.writer.take() {
        Some(writer) => writer,
        None => files.create().await?,
    };
    let kind = response.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let file = writer.finish(&name_of(&response), &safe_type(kind)).await?;
    let mut output = answer::shell(&response);
    output.insert("body".to_owned(), file.json());
    Ok(Json::Object(output))
}

struct IntoFile {
    files: Arc<dyn Files>,
    accept: Accept,
    writer: Option<Box<dyn FileWriter>>,
}

#[async_trait]
impl Sink for IntoFile {
    fn wants(&self, status: StatusCode) -> bool {
        self.accept.takes(status.as_u16())
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), StepError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            slot => slot.insert(self.files.create().await?),
        };
        writer.write(&bytes).await
    }
}

/// The name the other side gives the file, else the last part of the address.
fn name_of(response: &Response) -> String {
    safe_name(&disposed(&response.headers).or_else(|| last_part(&response.url)).unwrap_or_default())
}

/// RFC 6266: `filename*` wins over `filename`.
fn disposed(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(CONTENT_DISPOSITION)?.as_bytes()).into_owned();
    let parameter = |wanted: &str| {
        text.split(';').skip(1).find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    let extended = parameter("filename*").and_then(|value| {
        let (charset, rest) = value.split_once('\'')?;
        let (_, packed) = rest.split_once('\'')?;
        let name = percent_decode_str(packed).decode_utf8().ok()?.into_owned();
        charset.eq_ignore_ascii_case("utf-8").then_some(name)
    });
    extended.or_else(|| parameter("filename")).filter(|name| !name.is_empty())
}

fn last_part(url: &Url) -> Option<String> {
    let last = url.path_segments()?.next_back()?;
    Some(percent_decode_str(last).decode_utf8_lossy().into_owned()).filter(|last| !last.is_empty())
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    #[test]
    fn a_file_is_called_what_the_other_side_says() {
        for (header, expected) in [
            ("attachment; filename=\"report 7.pdf\"", Some("report 7.pdf")),
            ("attachment; filename=plain.txt", Some("plain.txt")),
            ("attachment; filename=\"x\"; filename*=UTF-8''%e2%82%ac.txt", Some("€.txt")),
            ("inline", None),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_DISPOSITION, HeaderValue::from_static(header))]);
            assert_eq!(disposed(&headers).as_deref(), expected, "{header}");
        }
        assert_eq!(last_part(&Url::parse("https://a.example/x/big%20one.bin?y=1").unwrap()).as_deref(), Some("big one.bin"));
        assert_eq!(last_part(&Url::parse("https://a.example/").unwrap()), None);
    }
}
