//! Texts that hold records: CSV, and what stands behind the `?` of an address.

use csv::{ReaderBuilder, WriterBuilder};
use form_urlencoded::{Serializer, parse};
use rhai::Dynamic;
use serde_json::{Map, Value as Json};
use url::Url;

use super::{Call, Line, as_text, function};
use crate::{
    EvalError, Shared, limits,
    machine::{Fault, fault, spend},
    value::{Kind, List, Record},
};

const GROUP: &str = "format";

pub(super) const FUNCTIONS: &[Line] = &[
    function(
        GROUP,
        "csv(list: list, [separator: text]) -> text",
        "A list of records as CSV with a head line of all field names; a list of lists has none. Quotes where they are needed, lines end with \\n.",
        "csv([#{ id: 1, name: \"Ann, B.\" }, #{ id: 2, name: null }])",
        "\"id,name\\n1,\\\"Ann, B.\\\"\\n2,\\n\"",
        csv_text,
    ),
    function(
        GROUP,
        "parse_csv(text: text, [separator: text], [head: boolean]) -> list",
        "The records of a CSV text, named by its first line; with false as the third value, lists. All values are texts.",
        "parse_csv(\"id;name\\n1;Ann\", \";\")",
        "[{\"id\":\"1\",\"name\":\"Ann\"}]",
        parse_csv,
    ),
    function(
        GROUP,
        "query_string(record: record) -> text",
        "The fields as they stand behind the ? of an address. Lists repeat their name, null is left out.",
        "query_string(#{ q: \"a b\", tag: [1, 2], no: null })",
        "\"q=a+b&tag=1&tag=2\"",
        query_string,
    ),
    function(
        GROUP,
        "parse_query(text: text) -> record",
        "The fields that stand behind the ? of an address, or in a form; a name that comes twice gives a list.",
        "parse_query(\"q=a+b&tag=1&tag=2\")",
        "{\"q\":\"a b\",\"tag\":[\"1\",\"2\"]}",
        |call| {
            let text = call.text(0)?;
            fields_of(text.trim_start_matches('?')).map(|fields| Dynamic::from(Shared::from(Json::Object(fields))))
        },
    ),
    function(
        GROUP,
        "url_parts(text: text) -> record",
        "The parts of an address: scheme, host, port, path, query as a record, fragment. What is missing is null.",
        "url_parts(\"https://example.com:8443/a?b=1#c\").host",
        "\"example.com\"",
        url_parts,
    ),
];

/// The separator of a call, one byte.
fn separator(call: &Call<'_, '_>, at: usize) -> Result<u8, Fault> {
    if !call.given(at) {
        return Ok(b',');
    }
    match call.text(at)?.as_bytes() {
        [sign @ (b',' | b';' | b'\t' | b'|' | b':' | b' ')] => Ok(*sign),
        _ => Err(call.bad("separates with a comma, a semicolon, a colon, a bar, a blank or a tab")),
    }
}

/// A value in a cell: null is empty.
fn cell(value: &Dynamic) -> Result<String, Fault> {
    if value.is_unit() {
        return Ok(String::new());
    }
    as_text(value).map(|text| text.to_string()).map_err(fault)
}

fn csv_text(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let separator = separator(call, 1)?;
    let rows: Vec<Dynamic> = call.list(0)?.iter().collect::<Result<_, _>>().map_err(fault)?;
    let mut names: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for row in &rows {
        for name in Record::of(row).map(|record| record.keys()).unwrap_or_default() {
            spend(1).map_err(fault)?;
            if seen.insert(name.clone()) {
                names.push(name);
            }
        }
    }
    let mut out = WriterBuilder::new().delimiter(separator).flexible(true).from_writer(Vec::new());
    let mut bytes = 0;
    let broken = |_| call.bad("cannot write this");
    if !names.is_empty() {
        out.write_record(&names).map_err(broken)?;
    }
    for row in &rows {
        let cells: Vec<String> = if let Some(record) = Record::of(row) {
            names.iter().map(|name| cell(&record.get(name).map_err(fault)?)).collect::<Result<_, _>>()?
        } else if let Some(list) = List::of(row) {
            list.iter().map(|item| cell(&item.map_err(fault)?)).collect::<Result<_, _>>()?
        } else {
            return Err(call.bad(&format!("writes records or lists, and one item is {}", Kind::of(row).name())));
        };
        spend(cells.len()).map_err(fault)?;
        bytes += cells.iter().map(|cell| cell.len() + 1).sum::<usize>();
        if bytes > limits::TEXT_BYTES_MAX {
            return Err(call.too_long());
        }
        out.write_record(&cells).map_err(broken)?;
    }
    let bytes = out.into_inner().map_err(|_| call.bad("cannot write this"))?;
    String::from_utf8(bytes).map(Dynamic::from).map_err(|_| call.bad("cannot write this"))
}

fn parse_csv(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (text, separator) = (call.text(0)?, separator(call, 1)?);
    let head = !call.given(2) || call.value(2).as_bool().map_err(|_| call.misfit(2, "true or false"))?;
    // A mark at the beginning, as some programs write it, is no part of the first name.
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = ReaderBuilder::new().delimiter(separator).has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut names: Option<Vec<String>> = None;
    let mut out = Vec::new();
    for (line, row) in reader.records().enumerate() {
        let row = row.map_err(|_| call.bad("gets a text that is no CSV"))?;
        // A row has a field for each name, also where the line is short.
        spend(1 + names.as_ref().map_or(0, Vec::len).max(row.len())).map_err(fault)?;
        let cells = row.iter().map(str::to_owned);
        match &names {
            _ if !head => out.push(Json::Array(cells.map(Json::String).collect())),
            None => names = Some(heads(call, cells.collect())?),
            Some(names) if row.len() > names.len() => {
                return Err(call.bad(&format!("finds {} values in line {} for {} names", row.len(), line + 1, names.len())));
            }
            Some(names) => {
                let values = cells.map(Json::String).chain(std::iter::repeat(Json::Null));
                out.push(Json::Object(names.iter().cloned().zip(values).collect()));
            }
        }
        if out.len() > limits::CSV_ROWS_MAX {
            let message = format!("the CSV has more than {} lines", limits::CSV_ROWS_MAX);
            return Err(fault(EvalError::new("limit", message)));
        }
    }
    Ok(Dynamic::from(Shared::from(Json::Array(out))))
}

/// The names of the first line, which must differ.
fn heads(call: &Call<'_, '_>, names: Vec<String>) -> Result<Vec<String>, Fault> {
    let mut seen = std::collections::HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => Err(call.bad(&format!("finds the name \"{twice}\" twice in the first line"))),
        None => Ok(names),
    }
}

fn query_string(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let record = call.record(0)?;
    let mut out = Serializer::new(String::new());
    for name in record.keys() {
        let value = record.get(&name).map_err(fault)?;
        if value.is_unit() {
            continue;
        }
        let Some(list) = List::of(&value) else {
            out.append_pair(&name, &as_text(&value).map_err(fault)?);
            continue;
        };
        spend(list.len()).map_err(fault)?;
        for item in list.iter() {
            out.append_pair(&name, &as_text(&item.map_err(fault)?).map_err(fault)?);
        }
    }
    let out = out.finish();
    if out.len() > limits::TEXT_BYTES_MAX { Err(call.too_long()) } else { Ok(out.into()) }
}

fn fields_of(text: &str) -> Result<Map<String, Json>, Fault> {
    let mut out = Map::new();
    for (name, value) in parse(text.as_bytes()) {
        spend(1).map_err(fault)?;
        let value = Json::String(value.into_owned());
        match out.get_mut(name.as_ref()) {
            None => {
                out.insert(name.into_owned(), value);
            }
            Some(Json::Array(values)) => values.push(value),
            Some(first) => *first = Json::Array(vec![first.take(), value]),
        }
    }
    Ok(out)
}

fn url_parts(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let text = call.text(0)?;
    if text.len() > limits::URL_BYTES_MAX {
        return Err(call.too_long());
    }
    let url = Url::parse(text.trim()).map_err(|_| call.bad("gets a text that is no address"))?;
    let text = |part: Option<&str>| part.map_or(Json::Null, Json::from);
    let mut out = Map::new();
    out.insert("scheme".into(), url.scheme().into());
    out.insert("host".into(), text(url.host_str()));
    out.insert("port".into(), url.port_or_known_default().map_or(Json::Null, Json::from));
    out.insert("path".into(), url.path().into());
    out.insert("query".into(), Json::Object(fields_of(url.query().unwrap_or_default())?));
    out.insert("fragment".into(), text(url.fragment()));
    Ok(Dynamic::from(Shared::from(Json::Object(out))))
}
