//! Reports: the whole report comes in one answer without a cursor, so it is taken apart while it comes. Rows are kept in
//! files of one page each; only a page is ever in memory.

mod columns;
mod rows;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector::{
    Action, Cx, Doubt, ErrorClass, Page, Shaped, StepError,
    api::{Answer, Call, Refusal},
    files::{File, FileWriter, Files},
    http::Sink,
    whole, xml,
};
use http::{Method, StatusCode, header};
use serde_json::{Value as Json, json};
use url::Url;

pub(super) use self::columns::columns;
use self::rows::Rows;
use super::{
    api::{ROWS_MAX, User, WORKDAY, invalid},
    schema,
    settings::Settings,
};

/// Rows of a page when nothing is said, and at most.
const PAGE_ROWS: usize = 2_000;
const PAGE_ROWS_MAX: usize = 10_000;
/// Most of a page's rows in memory.
const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
const PAGE: &str = "a web page came in its place, as gateways answer when Workday is away";
/// Pages of one report.
const PAGES_MAX: usize = 20_000;

/// Rows have the columns of their report.
pub(super) const SHAPED: Shaped = Shaped::by("report").gives("rows[]");

/// The address of a report: `owner/Name`, or the whole of it as "View URLs" shows it.
fn address(settings: &Settings<'_>, report: &str) -> Result<Url, StepError> {
    let bad = || invalid("the report must be written as owner/Report_Name, or as the address that \"View URLs\" shows");
    let path = match Url::parse(report) {
        Ok(url) => {
            let base = settings.url(&[]);
            if url.origin() != base.origin() {
                return Err(invalid("the report's address leads to another host than the connection's"));
            }
            let parts: Vec<String> = url.path_segments().into_iter().flatten().map(str::to_owned).collect();
            let at = parts.iter().position(|part| part == "customreport2").ok_or_else(bad)?;
            parts[at + 1..].iter().skip(1).cloned().collect::<Vec<_>>().join("/")
        }
        Err(_) => report.to_owned(),
    };
    let (owner, name) = path.trim_matches('/').split_once('/').ok_or_else(bad)?;
    if owner.is_empty() || name.is_empty() || name.contains('/') {
        return Err(bad());
    }
    // Blanks of the name are _ in the address.
    Ok(settings.url(&["ccx", "service", "customreport2", &settings.tenant, owner, &name.replace(' ', "_")]))
}

/// Prompts as parameters: references by WID or `Type=value`, several joined by `!`; dates and texts plainly.
fn prompts(input: &Json) -> Vec<(String, String)> {
    let reference = |text: &str| text.contains('=') || (text.len() == 32 && text.bytes().all(|c| c.is_ascii_hexdigit()));
    let one = |name: &String, text: &str| {
        if reference(text) && !name.contains('!') {
            (format!("{name}!WID"), text.to_owned())
        } else {
            (name.clone(), text.to_owned())
        }
    };
    let given = input["prompts"].as_object().into_iter().flatten();
    let pair = |(name, value): (&String, &Json)| match value {
        Json::Null => None,
        Json::Array(values) => {
            let values: Vec<&str> = values.iter().filter_map(Json::as_str).collect();
            Some((format!("{name}!WID"), values.join("!")))
        }
        Json::String(text) => Some(one(name, text)),
        other => Some((name.clone(), other.to_string())),
    };
    given.filter_map(pair).collect()
}

/// How reports are refused: the door has its own words.
fn refusal(answer: &Answer) -> Option<Refusal> {
    let status = answer.status.as_u16();
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(4_096)]).into_owned();
    let words = || {
        let told = answer.peek().and_then(|body| body["error"].as_str().map(str::to_owned));
        told.or_else(|| xml::read(&text).ok()?.as_object()?.values().next()?.as_str().map(str::to_owned)).unwrap_or_default()
    };
    match status {
        401 => Some(Refusal { signed_out: true, ..Refusal::new("INVALID_LOGIN", words()) }),
        404 => Some(Refusal::new("REPORT_NOT_FOUND", words())),
        500 if text.to_lowercase().contains("prompt") => Some(Refusal::new("REPORT_REFUSED", words())),
        400 => Some(Refusal::new("REPORT_REFUSED", words())),
        _ => (WORKDAY.refusal)(answer),
    }
}

/// Runs a report. Without a format it is XML with references. It is not packed: it is taken as it comes.
async fn fetch(cx: &Cx, input: &Json, format: Option<&str>, sink: Option<&mut dyn Sink>) -> Result<Answer, StepError> {
    let settings = Settings::of(cx)?;
    let url = address(&settings, input["report"].as_str().unwrap_or_default())?;
    let call = Call::new(cx, &WORKDAY, &User, Method::GET, url)
        .header(header::ACCEPT_ENCODING, "identity")
        .query(format.map(|format| ("format", format)))
        .query(prompts(input));
    let answer = call.refusals(&refusal).send_into(sink).await?;
    if let Some(packed) = answer.header("content-encoding").filter(|coding| *coding != "identity") {
        return Err(answer.unreadable(&format!("it is packed with {packed}, which was not asked for")));
    }
    if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
        return Err(answer.describe(unreadable(PAGE)));
    }
    Ok(answer)
}

/// Takes the rows of a report as they come.
struct Taking {
    files: Option<Arc<dyn Files>>,
    rows: Rows,
    page_rows: usize,
    /// Rows of the page that is filled now, a line each.
    page: Vec<u8>,
    count: usize,
    /// Tokens of the pages that are full.
    full: Vec<String>,
}

#[async_trait]
impl Sink for Taking {
    fn wants(&self, status: StatusCode) -> bool {
        status.is_success()
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), StepError> {
        let mut found = Vec::new();
        self.rows.feed(&bytes, &mut found).map_err(unreadable)?;
        for row in found {
            self.page.extend_from_slice(&row);
            self.page.push(b'\n');
            self.count += 1;
            if self.page.len() > PAGE_BYTES_MAX {
                return Err(too_large());
            }
            if self.count >= self.page_rows {
                self.close().await?;
            }
        }
        Ok(())
    }
}

impl Taking {
    async fn close(&mut self) -> Result<(), StepError> {
        let Some(files) = &self.files else { return if self.count > ROWS_MAX { Err(too_large()) } else { Ok(()) } };
        if self.full.len() >= PAGES_MAX {
            return Err(too_large());
        }
        let mut writer: Box<dyn FileWriter> = files.create().await?;
        writer.write(&self.page).await?;
        self.full.push(writer.finish("report-page.ndjson", "application/x-ndjson").await?.token);
        self.page.clear();
        self.count = 0;
        Ok(())
    }
}

fn too_large() -> StepError {
    StepError::new(ErrorClass::Invalid, "REPORT_TOO_LARGE", "the report has more rows than can be held")
        .with_next("Split it by prompts, take smaller pages, or download it as a file.")
}

fn unreadable(why: &'static str) -> StepError {
    let mut error = StepError::new(ErrorClass::Server, "ANSWER_UNREADABLE", format!("Workday's report cannot be read: {why}"))
        .with_next("It is tried again. Beyond about 50,000 rows or 30 minutes Workday breaks reports off: split it by prompts.");
    error.doubt = Doubt::Settled;
    error
}

fn parsed(lines: &[u8]) -> Result<Vec<Json>, StepError> {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(|_| unreadable("a row is no JSON"))).collect()
}

async fn kept(cx: &Cx, token: &str) -> Result<Vec<u8>, StepError> {
    let lost = || {
        StepError::new(ErrorClass::Internal, "FILES_MISSING", "the pages of the report are not there any more")
            .with_next("Start the step anew: the report is run again.")
    };
    let files = cx.http.files().ok_or_else(lost)?;
    let mut reader = files.open(token).await?;
    let mut content = Vec::new();
    while let Some(piece) = reader.next().await? {
        content.extend_from_slice(&piece);
        if content.len() > 2 * PAGE_BYTES_MAX {
            return Err(too_large());
        }
    }
    Ok(content)
}

/// Refuses a report that lacks a column the step counts on: somebody edited it, and its rows would come without a word.
async fn expected(cx: &Cx, input: &Json) -> Result<(), StepError> {
    let wanted: Vec<&str> = input["columns"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let shape = columns(cx, input["report"].as_str().unwrap_or_default()).await?;
    match wanted.iter().find(|name| shape["properties"].get(**name).is_none()) {
        None => Ok(()),
        Some(name) => Err(column_missing(name)),
    }
}

/// A column is not there.
pub(super) fn column_missing(name: &str) -> StepError {
    StepError::new(ErrorClass::Invalid, "COLUMN_MISSING", format!("Workday gives no column \"{name}\" any more, or never did"))
        .with_next("See in Workday what the column is called now, and correct the recipe.")
}

/// One page of a report. The first runs it whole; the others read what it left.
pub(super) async fn report_page(cx: Cx, input: Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let Some(cursor) = cursor else {
        expected(&cx, &input).await?;
        return run(&cx, &input).await;
    };
    let (index, page) = (cursor["pages"].as_str().unwrap_or_default(), cursor["page"].as_u64().unwrap_or_default());
    let all: Vec<String> = serde_json::from_slice(&kept(&cx, index).await?).map_err(|_| too_large())?;
    let token = usize::try_from(page).ok().and_then(|page| all.get(page));
    let Some(token) = token else { return Ok(Page { items: Vec::new(), next: None }) };
    let items = parsed(&kept(&cx, token).await?)?;
    let next = (page + 1 < all.len() as u64).then(|| json!({ "pages": index, "page": page + 1 }));
    Ok(Page { items, next })
}

async fn run(cx: &Cx, input: &Json) -> Result<Page, StepError> {
    if input["format"] == "xml" {
        return Ok(Page { items: from_xml(&fetch(cx, input, None, None).await?)?, next: None });
    }
    let page_rows = input["page_rows"].as_u64().and_then(|rows| usize::try_from(rows).ok()).unwrap_or(PAGE_ROWS);
    let mut taking = Taking {
        files: cx.http.files().cloned(),
        rows: Rows::default(),
        page_rows: page_rows.clamp(1, PAGE_ROWS_MAX),
        page: Vec::new(),
        count: 0,
        full: Vec::new(),
    };
    let answer = fetch(cx, input, Some("json"), Some(&mut taking)).await?;
    taking.rows.finish().map_err(|why| answer.describe(unreadable(why)))?;
    let Some(first) = taking.full.first().cloned() else { return Ok(Page { items: parsed(&taking.page)?, next: None }) };
    if taking.count > 0 {
        taking.close().await?;
    }
    let items = parsed(&kept(cx, &first).await?)?;
    if taking.full.len() == 1 {
        return Ok(Page { items, next: None });
    }
    let Some(files) = &taking.files else { return Ok(Page { items, next: None }) };
    let mut writer = files.create().await?;
    writer.write(json!(taking.full).to_string().as_bytes()).await?;
    let index = writer.finish("report-pages.json", "application/json").await?;
    Ok(Page { items, next: Some(json!({ "pages": index.token, "page": 1 })) })
}

/// The entries of a report in XML, without prefixes.
fn from_xml(answer: &Answer) -> Result<Vec<Json>, StepError> {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let root = xml::read(text.trim_start_matches('\u{feff}')).map_err(|problem| answer.unreadable(&problem.to_string()))?;
    let root = super::soap::without_prefixes(&root);
    let data = root.get("Report_Data").ok_or_else(|| answer.unreadable("it is no report"))?;
    Ok(super::soap::list(&data["Report_Entry"]))
}

/// True for the beginning of a web page, which gateways answer with in place of a report.
fn is_page(begin: &[u8]) -> bool {
    let begin = begin.strip_prefix("\u{feff}".as_bytes()).unwrap_or(begin).trim_ascii_start();
    ["<!doctype html", "<html"]
        .iter()
        .any(|sign| begin.get(..sign.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(sign.as_bytes())))
}

/// Takes a report into a file as it comes.
struct IntoFile {
    files: Arc<dyn Files>,
    writer: Option<Box<dyn FileWriter>>,
}

#[async_trait]
impl Sink for IntoFile {
    fn wants(&self, status: StatusCode) -> bool {
        status.is_success()
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), StepError> {
        if self.writer.is_none() && is_page(&bytes) {
            return Err(unreadable(PAGE));
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            slot => slot.insert(self.files.create().await?),
        };
        writer.write(&bytes).await
    }
}

async fn download(cx: Cx, input: Json) -> Result<Json, StepError> {
    let files = cx.http.files().ok_or_else(|| invalid("this process keeps no files, so nothing can be downloaded"))?;
    let mut sink = IntoFile { files: Arc::clone(files), writer: None };
    let format = input["format"].as_str().unwrap_or("csv");
    let asked = Some(format).filter(|format| *format != "xml");
    let answer = fetch(&cx, &input, asked, Some(&mut sink)).await?;
    let Some(writer) = sink.writer.take() else { return Err(answer.describe(unreadable("it is empty"))) };
    let name = input["report"].as_str().and_then(|report| report.rsplit('/').next()).unwrap_or("report");
    let file = writer.finish(&format!("{name}.{format}"), answer.header("content-type").unwrap_or("text/csv")).await?;
    Ok(json!({ "file": file.json() }))
}

fn fields() -> Vec<(&'static str, Json)> {
    vec![
        (
            "report",
            schema::text(
                "Report",
                "owner/Report_Name, or the address that \"View URLs\" shows. The owner is the user name that owns the report.",
            ),
        ),
        (
            "prompts",
            json!({ "type": "object", "title": "Prompts", "description": "By name: a date, a WID, a type and value, or a list of them." }),
        ),
    ]
}

/// The columns a recipe counts on.
pub(super) fn columns_field() -> (&'static str, Json) {
    let about = "Nothing is read when the report lacks one of them, as after somebody renamed it. Costs one more call.";
    ("columns", schema::texts("Columns that must be there", about))
}

/// What the actions and triggers that run reports take.
pub(super) fn input(more: &[(&'static str, Json)]) -> Json {
    let mut all = fields();
    all.extend(more.iter().cloned());
    schema::input(&all, &["report"])
}

pub(super) fn actions() -> Vec<Action> {
    let run_input = input(&[
        (
            "format",
            json!({ "type": "string", "enum": ["json", "xml"], "default": "json", "title": "Format", "description": "xml keeps the ids of references, but is held whole: at most 10 MB." }),
        ),
        ("page_rows", json!({ "type": "integer", "minimum": 1, "maximum": PAGE_ROWS_MAX, "title": "Rows a page" })),
        columns_field(),
    ]);
    let download_input = input(&[(
        "format",
        json!({ "type": "string", "enum": ["csv", "json", "xml", "simplexml"], "default": "csv", "title": "Format" }),
    )]);
    vec![
        Action::new("run_report", "Run a report", "Runs a custom report and gives its rows.", |cx, input| async move {
            let rows = whole(ROWS_MAX, |cursor| report_page(cx.clone(), input.clone(), cursor)).await?;
            Ok(json!({ "rows": rows }))
        })
        .reads()
        .input(run_input)
        .output(schema::rows("rows", json!({ "type": "object" })))
        .sample(json!({ "rows": [{ "Employee_ID": "21001", "Worker": "Logan McNeil", "Active": "1" }] }))
        .shaped(SHAPED)
        .pages(report_page),
        Action::new("download_report", "Download a report", "Runs a custom report into a file.", download)
            .reads()
            .input(download_input)
            .output(json!({ "type": "object", "properties": { "file": File::schema() }, "required": ["file"] }))
            .sample(json!({ "file": { "file": "lsnfile_example", "name": "All_Workers.csv", "type": "text/csv", "size": 1024, "sha256": "00" } })),
    ]
}
