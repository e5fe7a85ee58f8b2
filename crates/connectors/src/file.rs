//! Files: what is in a file by reference, row by row.
//!
//! A file is read as it comes out of the blob store, never held whole. Where a reading stands is the number of rows
//! before it, which means the same in every format and charset; the reading itself stays open between two pages, so
//! that only a page after a crash, or in another process, has to pass over the rows before it.

mod rows;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use connector::{
    Action, Connector, Cx, ErrorClass, Page, StepError,
    files::{File, Files},
    strict, whole,
};
use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;

use rows::{Format, Rows};

const KEYS: [&str; 6] = ["file", "format", "header", "delimiter", "charset", "page_size"];
const FORMATS: [&str; 3] = ["csv", "json_lines", "json"];
/// Rows of a page unless the step says otherwise.
const PAGE_DEFAULT: u64 = 1_000;
/// Most rows of a page.
const PAGE_MAX: u64 = 10_000;
/// A page is full with so many bytes of the file, however few rows they are.
const PAGE_BYTES: usize = 1024 * 1024;
/// Most rows of a reading that is not a stream.
const ROWS_MAX: usize = 10_000;
/// Readings that stay open between two pages; the oldest is closed for one more.
const OPEN_MAX: usize = 16;
/// A reading nobody went on with for so long is closed.
const OPEN_FOR: Duration = Duration::from_secs(60);

/// The readings that stay open, the oldest first.
#[derive(Default)]
struct Readings(Mutex<VecDeque<Open>>);

/// A reading between two pages.
struct Open {
    run: Arc<str>,
    input: Json,
    rows: Rows,
    since: Instant,
}

pub(crate) fn connector() -> Connector {
    let nothing = json!({"type": "object", "properties": {}, "additionalProperties": false});
    Connector {
        builtin: true,
        ..Connector::new("file", "Files", "Reads what is in a file that a step or the trigger gave.")
    }
    .connections(nothing.clone(), nothing, |config, credentials| {
        let mut problems = strict::Problems::default();
        if let Some(config) = problems.record("config", config) {
            problems.unknown_keys("config", config, &[]);
        }
        problems.credentials(credentials, &[], &[], "reading a file");
        problems.finish()
    })
    .notes(&[
        "A file is read through once before its first row is given, so that a damaged one is found before anything is done with it.",
        "Values of CSV are texts, as they stand in the file: turn them into numbers and dates with `to_number`, `date` and the like.",
        "A row that cannot be read fails the step and is named by its number. What loops did with the rows before it is kept.",
    ])
    .actions([rows_action()])
}

fn rows_action() -> Action {
    let (title, summary) = ("Read a file's rows", "Gives the rows of a CSV or JSON file; with stream: true of one of any size.");
    let open: Arc<Readings> = Arc::default();
    let of_all = Arc::clone(&open);
    let action = Action::new("read_rows", title, summary, move |cx, input| {
        let open = Arc::clone(&of_all);
        async move {
            let rows = whole(ROWS_MAX, |cursor| page(Arc::clone(&open), cx.clone(), input.clone(), cursor)).await?;
            Ok(json!({ "total": rows.len(), "rows": rows }))
        }
    });
    let sample = json!({"total": 1, "rows": [{"sku": "A-7", "name": "Bolt", "price": "1.20"}]});
    Action { needs_connection: false, ..action }
        .reads()
        .input(json!({
            "type": "object",
            "properties": {
                "file": {"type": "object", "title": "File", "description": "The record that stands for it, as a download, an e-mail or the trigger gave it."},
                "format": {"type": "string", "title": "Format", "enum": FORMATS, "description": "csv, json_lines (one value each line) or json (one list). By the file's type or the end of its name when left out."},
                "header": {"type": "boolean", "title": "First row names the columns", "default": true, "description": "For csv. When false, a row is the list of its values."},
                "delimiter": {"type": "string", "title": "Delimiter", "description": "For csv: the one character between two values; a comma unless the file is a .tsv."},
                "charset": {"type": "string", "title": "Charset", "default": "utf-8", "description": "Such as windows-1252; a byte order mark in the file wins."},
                "page_size": {"type": "integer", "title": "Rows of a page", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT, "description": "For stream: true; a page has less when its rows are large."}
            },
            "required": ["file"],
            "additionalProperties": false
        }))
        .output(json!({
            "type": "object",
            "properties": {
                "rows": {"type": "array", "description": "Records by column; lists where the first row names no columns; what stands there in JSON."},
                "total": {"type": "integer"}
            },
            "required": ["rows", "total"],
            "additionalProperties": false
        }))
        .sample(sample)
        .pages(move |cx, input, cursor| page(Arc::clone(&open), cx, input, cursor))
}

/// One page of rows.
async fn page(open: Arc<Readings>, cx: Cx, input: Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let wanted = Wanted::read(&cx, &input)?;
    let before = match &cursor {
        None => 0,
        Some(cursor) => cursor["rows"]
            .as_u64()
            .ok_or_else(|| invalid("CURSOR_INVALID", "the page is asked for with a cursor that is not one of this action"))?,
    };
    let mut rows = match open.taken(&cx.run_id, &input, before) {
        Some(rows) => rows,
        None => wanted.begin(before).await?,
    };
    let (mut items, began) = (Vec::new(), rows.bytes());
    while (items.len() as u64) < wanted.page_size && rows.bytes() - began < PAGE_BYTES {
        match rows.next().await? {
            Some(row) => items.push(row),
            None => break,
        }
    }
    let next = rows.more().await?.then(|| json!({ "rows": rows.count() }));
    if next.is_some() {
        open.keep(Open { run: Arc::clone(&cx.run_id), input, rows, since: Instant::now() });
    }
    Ok(Page { items, next })
}

impl Readings {
    /// The reading that stands there, if it is still open. It is this caller's alone then.
    fn taken(&self, run: &Arc<str>, input: &Json, before: u64) -> Option<Rows> {
        let mut open = self.0.lock();
        open.retain(|one| one.since.elapsed() < OPEN_FOR);
        let at = open.iter().position(|one| one.run == *run && one.rows.count() == before && one.input == *input)?;
        open.remove(at).map(|one| one.rows)
    }

    fn keep(&self, one: Open) {
        let mut open = self.0.lock();
        open.push_back(one);
        if open.len() > OPEN_MAX {
            open.pop_front();
        }
    }
}

/// What a step asks for.
struct Wanted {
    files: Arc<dyn Files>,
    file: File,
    format: Format,
    charset: &'static encoding_rs::Encoding,
    page_size: u64,
}

impl Wanted {
    fn read(cx: &Cx, input: &Json) -> Result<Self, StepError> {
        let none = Map::new();
        let fields = input.as_object().unwrap_or(&none);
        if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(invalid("INPUT_INVALID", strict::unknown(key, &KEYS)));
        }
        let files =
            cx.http.files().ok_or_else(|| invalid("FILES_MISSING", "this process keeps no files, so none can be read"))?;
        let file = File::read(&input["file"], Some(files))?.ok_or_else(|| {
            invalid("INPUT_INVALID", format!("file must be a file by reference, not {}", strict::kind(&input["file"])))
                .with_next("Give it the record of a file, such as ${ steps.download.body } of a step with download: true.")
        })?;
        let text = |name: &str| match &input[name] {
            Json::Null => Ok(None),
            Json::String(text) => Ok(Some(text.as_str())),
            other => Err(invalid("INPUT_INVALID", format!("{name} must be text, not {}", strict::kind(other)))),
        };
        let format = match text("format")? {
            Some(word) if FORMATS.contains(&word) => word,
            Some(other) => return Err(invalid("INPUT_INVALID", format!("format: {}", strict::unknown(other, &FORMATS)))),
            None => by_name(&file).ok_or_else(|| {
                let message =
                    format!("neither the type {} nor the name \"{}\" of the file tells its format", file.kind, file.name);
                invalid("FILE_FORMAT", message).with_next("Say `format: csv`, `json_lines` or `json`.")
            })?,
        };
        let header = match &input["header"] {
            Json::Null => true,
            Json::Bool(header) => *header,
            other => return Err(invalid("INPUT_INVALID", format!("header must be true or false, not {}", strict::kind(other)))),
        };
        let delimiter = match text("delimiter")? {
            None if file.kind.starts_with("text/tab-separated-values") || ends(&file, ".tsv") => b'\t',
            None => b',',
            Some(text) => match text.as_bytes() {
                [one] if one.is_ascii() && !matches!(one, b'"' | b'\r' | b'\n') => *one,
                _ => return Err(invalid("INPUT_INVALID", "delimiter must be one character, such as ; or a tab")),
            },
        };
        let charset = match text("charset")? {
            None => encoding_rs::UTF_8,
            Some(label) => encoding_rs::Encoding::for_label(label.as_bytes()).ok_or_else(|| {
                invalid(
                    "INPUT_INVALID",
                    format!(
                        "charset: \"{label}\" is not known; known are utf-8, utf-16le, windows-1252 and the others of the web"
                    ),
                )
            })?,
        };
        let page_size = match &input["page_size"] {
            Json::Null => PAGE_DEFAULT,
            other => other.as_u64().filter(|size| (1..=PAGE_MAX).contains(size)).ok_or_else(|| {
                invalid("INPUT_INVALID", format!("page_size must be a whole number from 1 to {PAGE_MAX}, not {other}"))
            })?,
        };
        let format = match format {
            "csv" => Format::Csv { header, delimiter },
            "json_lines" => Format::JsonLines,
            _ => Format::Json,
        };
        Ok(Self { files: Arc::clone(files), file, format, charset, page_size })
    }

    /// Opens the file and passes over the rows before.
    async fn begin(&self, before: u64) -> Result<Rows, StepError> {
        if before == 0 {
            let mut reader = self.files.open(&self.file.token).await?;
            while reader.next().await?.is_some() {}
        }
        let mut rows = Rows::new(self.files.open(&self.file.token).await?, self.format, self.charset).await?;
        while rows.count() < before {
            if rows.next().await?.is_none() {
                let message = format!("the file ends after {} rows, before the {before} that were read", rows.count());
                return Err(invalid("CURSOR_INVALID", message));
            }
        }
        Ok(rows)
    }
}

fn ends(file: &File, with: &str) -> bool {
    file.name.to_ascii_lowercase().ends_with(with)
}

/// The format by the file's media type, else by the end of its name.
fn by_name(file: &File) -> Option<&'static str> {
    let kind = file.kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "text/csv" | "application/csv" | "text/tab-separated-values" => Some("csv"),
        "application/jsonl" | "application/x-ndjson" | "application/jsonlines" | "application/x-jsonlines" => Some("json_lines"),
        "application/json" | "text/json" => Some("json"),
        _ if ends(file, ".csv") || ends(file, ".tsv") => Some("csv"),
        _ if ends(file, ".jsonl") || ends(file, ".ndjson") => Some("json_lines"),
        _ if ends(file, ".json") => Some("json"),
        _ => None,
    }
}

fn invalid(code: &'static str, message: impl Into<String>) -> StepError {
    StepError::new(ErrorClass::Invalid, code, message)
}
