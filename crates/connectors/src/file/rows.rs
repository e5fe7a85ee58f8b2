//! A file's bytes, cut into rows as they come.

use connector::{StepError, files::FileReader};
use csv_core::ReadRecordResult;
use serde_json::{Map, Value as Json};

use super::invalid;

/// Longest row, in bytes of UTF-8.
const ROW_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Room for a row of CSV to begin with.
const ROW_BYTES: usize = 4 * 1024;
/// So much text is at hand before it is cut, unless the file has less.
const TEXT_BYTES: usize = 64 * 1024;
/// Most columns of CSV.
const COLUMNS_MAX: usize = 10_000;

/// What a file's bytes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// RFC 4180, with any delimiter.
    Csv { header: bool, delimiter: u8 },
    /// One JSON value each line (jsonlines.org); empty lines are none.
    JsonLines,
    /// One JSON list.
    Json,
}

/// The rows of a file, one after the other.
pub(super) struct Rows {
    reader: Box<dyn FileReader>,
    decoder: encoding_rs::Decoder,
    cutter: Cutter,
    text: Vec<u8>,
    /// Bytes of `text` that belong to rows before.
    used: usize,
    /// All of the file is in `text`.
    ended: bool,
    /// The row after those that were given.
    ahead: Option<Json>,
    given: u64,
    bytes: usize,
}

enum Cutter {
    Csv(Box<Csv>),
    JsonLines,
    Json(List),
}

struct Csv {
    reader: csv_core::Reader,
    /// The values of the row at hand.
    out: Vec<u8>,
    out_len: usize,
    /// Where each ends.
    ends: Vec<usize>,
    ends_len: usize,
    columns: Option<Vec<String>>,
}

#[derive(Clone, Copy)]
enum List {
    Before,
    First,
    Between,
    Over,
}

/// What came of a look at the text at hand.
enum Cut {
    Row(Json),
    /// More text is needed; after the end of the file, there are no more rows.
    More,
}

impl Rows {
    pub(super) async fn new(
        reader: Box<dyn FileReader>,
        format: Format,
        charset: &'static encoding_rs::Encoding,
    ) -> Result<Self, StepError> {
        let cutter = match format {
            Format::Csv { delimiter, .. } => Cutter::Csv(Box::new(Csv {
                reader: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
                out: vec![0; ROW_BYTES],
                out_len: 0,
                ends: vec![0; 64],
                ends_len: 0,
                columns: None,
            })),
            Format::JsonLines => Cutter::JsonLines,
            Format::Json => Cutter::Json(List::Before),
        };
        let decoder = charset.new_decoder();
        let mut rows = Self { reader, decoder, cutter, text: Vec::new(), used: 0, ended: false, ahead: None, given: 0, bytes: 0 };
        if matches!(format, Format::Csv { header: true, .. })
            && let Some(names) = rows.read().await?
        {
            let columns = columns(names)?;
            if let Cutter::Csv(csv) = &mut rows.cutter {
                csv.columns = Some(columns);
            }
        }
        Ok(rows)
    }

    /// How many were given.
    pub(super) const fn count(&self) -> u64 {
        self.given
    }

    /// Bytes of text those given stood in.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is one more.
    pub(super) async fn more(&mut self) -> Result<bool, StepError> {
        if self.ahead.is_none() {
            self.ahead = self.read().await?;
        }
        Ok(self.ahead.is_some())
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Result<Option<Json>, StepError> {
        let row = match self.ahead.take() {
            Some(row) => Some(row),
            None => self.read().await?,
        };
        self.given += u64::from(row.is_some());
        Ok(row)
    }

    async fn read(&mut self) -> Result<Option<Json>, StepError> {
        loop {
            let (took, cut) = self.cutter.cut(&self.text[self.used..], self.ended).map_err(|why| self.bad(&why))?;
            self.used += took;
            self.bytes += took;
            match cut {
                Cut::Row(row) => return Ok(Some(row)),
                Cut::More if self.ended => return Ok(None),
                Cut::More => {}
            }
            self.text.drain(..self.used);
            self.used = 0;
            if self.text.len() > ROW_BYTES_MAX {
                return Err(self.bad(&too_long()));
            }
            // At least twice as much, so that a long row is not looked at again for each small piece of it.
            let wanted = TEXT_BYTES.max(self.text.len() * 2);
            while !self.ended && self.text.len() < wanted {
                self.more_text().await?;
            }
        }
    }

    async fn more_text(&mut self) -> Result<(), StepError> {
        let piece = self.reader.next().await?;
        self.ended = piece.is_none();
        let mut bytes = piece.as_deref().unwrap_or_default();
        loop {
            let needed = self.decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(bytes.len() * 3 + 16);
            let start = self.text.len();
            self.text.resize(start + needed, 0);
            let (result, read, written, wrong) = self.decoder.decode_to_utf8(bytes, &mut self.text[start..], self.ended);
            self.text.truncate(start + written);
            bytes = &bytes[read..];
            if wrong {
                let name = self.decoder.encoding().name();
                let message = format!("soon after row {} the file is not text in {name}", self.given);
                return Err(
                    invalid("FILE_CHARSET", message).with_next("Say its `charset`, such as windows-1252, or mend the file.")
                );
            }
            if result == encoding_rs::CoderResult::InputEmpty {
                return Ok(());
            }
        }
    }

    /// A row that cannot be read: the one after those that were.
    fn bad(&self, why: &str) -> StepError {
        let number = self.given + u64::from(self.ahead.is_some()) + 1;
        invalid("FILE_ROW", format!("row {number} of the file cannot be read: {why}"))
            .with_next("Mend the file, or say its `format`, `delimiter` or `header`. What was done with the rows before is kept.")
    }
}

impl Cutter {
    /// The next row of this text, and how much of it is used up.
    fn cut(&mut self, text: &[u8], ended: bool) -> Result<(usize, Cut), String> {
        match self {
            Self::Csv(csv) => csv.cut(text, ended),
            Self::JsonLines => line(text, ended),
            Self::Json(list) => list.cut(text, ended),
        }
    }
}

impl Csv {
    fn cut(&mut self, mut text: &[u8], ended: bool) -> Result<(usize, Cut), String> {
        let mut took = 0;
        loop {
            // An empty text would tell the reader that this was all.
            if text.is_empty() && !ended {
                return Ok((took, Cut::More));
            }
            let (result, read, wrote, more_ends) =
                self.reader.read_record(text, &mut self.out[self.out_len..], &mut self.ends[self.ends_len..]);
            (took, text) = (took + read, &text[read..]);
            self.out_len += wrote;
            self.ends_len += more_ends;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.out.len() >= ROW_BYTES_MAX => return Err(too_long()),
                ReadRecordResult::OutputFull => self.out.resize(self.out.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if self.ends.len() > COLUMNS_MAX => {
                    return Err(format!("it has more than {COLUMNS_MAX} values"));
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => return Ok((took, Cut::Row(self.row()?))),
                ReadRecordResult::End => return Ok((took, Cut::More)),
            }
        }
    }

    fn row(&mut self) -> Result<Json, String> {
        let (out, ends) = (&self.out[..self.out_len], &self.ends[..self.ends_len]);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let values = starts.zip(ends).map(|(start, end)| Json::String(String::from_utf8_lossy(&out[start..*end]).into_owned()));
        let row = match &self.columns {
            None => Json::Array(values.collect()),
            Some(columns) if columns.len() != ends.len() => {
                return Err(format!(
                    "it has {}, and the first row names {}",
                    many(ends.len(), "value"),
                    many(columns.len(), "column")
                ));
            }
            Some(columns) => Json::Object(columns.iter().cloned().zip(values).collect::<Map<_, _>>()),
        };
        (self.out_len, self.ends_len) = (0, 0);
        Ok(row)
    }
}

fn line(text: &[u8], ended: bool) -> Result<(usize, Cut), String> {
    let mut used = 0;
    loop {
        let rest = &text[used..];
        let (row, took) = match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => (&rest[..end], end + 1),
            None if ended => (rest, rest.len()),
            None => return Ok((used, Cut::More)),
        };
        used += took;
        let row = row.trim_ascii();
        if !row.is_empty() {
            return serde_json::from_slice(row).map(|row| (used, Cut::Row(row))).map_err(|error| not_json(&error));
        }
        if took == 0 {
            return Ok((used, Cut::More));
        }
    }
}

impl List {
    fn cut(&mut self, text: &[u8], ended: bool) -> Result<(usize, Cut), String> {
        let mut used = 0;
        loop {
            used += text[used..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let rest = &text[used..];
            let Some(first) = rest.first() else {
                return match self {
                    Self::Over => Ok((used, Cut::More)),
                    _ if ended => Err("the list does not end".to_owned()),
                    _ => Ok((used, Cut::More)),
                };
            };
            match (*self, first) {
                (Self::Before, b'[') => (*self, used) = (Self::First, used + 1),
                (Self::Before, _) => return Err("the file is no list, which begins with [".to_owned()),
                (Self::First | Self::Between, b']') => (*self, used) = (Self::Over, used + 1),
                (Self::Over, _) => return Err("something follows the end of the list".to_owned()),
                (Self::Between, b',') | (Self::First, _) => {
                    let comma = usize::from(matches!(self, Self::Between));
                    let mut values = serde_json::Deserializer::from_slice(&rest[comma..]).into_iter::<Json>();
                    let next = values.next();
                    let end = comma + values.byte_offset();
                    return match next {
                        // A number may go on in the next piece.
                        Some(Ok(row)) if end < rest.len() => {
                            *self = Self::Between;
                            Ok((used + end, Cut::Row(row)))
                        }
                        Some(Err(error)) if !error.is_eof() => Err(not_json(&error)),
                        _ if ended => Err("the list does not end".to_owned()),
                        _ => Ok((used, Cut::More)),
                    };
                }
                (Self::Between, _) => return Err("no comma stands before it".to_owned()),
            }
        }
    }
}

fn columns(names: Json) -> Result<Vec<String>, StepError> {
    let refuse = |message: String| {
        invalid("FILE_HEADER", message)
            .with_next("Mend the first row, or say `header: false` and take the values by their place.")
    };
    let names = names.as_array().into_iter().flatten();
    let names: Vec<String> = names.filter_map(Json::as_str).map(str::to_owned).collect();
    for (place, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            return Err(refuse(format!("the first row gives column {} no name", place + 1)));
        }
        if names[..place].contains(name) {
            return Err(refuse(format!("the first row names two columns \"{name}\"")));
        }
    }
    Ok(names)
}

fn too_long() -> String {
    format!("it is longer than {ROW_BYTES_MAX} bytes")
}

fn not_json(error: &serde_json::Error) -> String {
    // The place in the line is of the text at hand, which begins anywhere.
    let told = error.to_string();
    format!("it is no JSON ({})", told.split(" at line ").next().unwrap_or_default())
}

fn many(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
