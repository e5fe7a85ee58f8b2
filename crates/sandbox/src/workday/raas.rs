//! Reports as a service: the whole report in one answer that is made while it is sent.

mod reports;
mod write;

use std::{io::Write, sync::Arc};

use axum::response::Response;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderValue, Method, header};
use jiff::civil::Date;

use self::{
    reports::{REPORTS, Report},
    write::Format,
};
use super::{
    TENANT, Workday,
    answer::{Answer, Call},
    auth::{self, Rights},
    sources::{Row, Source, When, allowed, cell, rows},
    state::State,
    streamed,
};

/// Rows made at a time.
const BATCH: usize = 500;

/// One column of an answer.
#[derive(Clone)]
struct Column {
    name: String,
    alias: &'static str,
}

/// One call.
pub(super) fn answer(workday: &Arc<Workday>, call: &Call<'_>, rest: &[&str]) -> Response {
    let state = workday.state.lock();
    let Some(who) = auth::of_report(&state, call) else { return auth::unauthorized(true).into() };
    let [tenant, owner, name] = rest else { return Answer::error(404, "not found").into() };
    // The address names the owner, with or without the tenant.
    let owned = owner.trim_end_matches(&format!("@{TENANT}")) == state.settings.report_owner;
    let report = REPORTS.iter().find(|report| report.name == *name).filter(|_| *tenant == TENANT && owned);
    let Some(report) = report else {
        return Answer::error(404, "The report does not exist, is not shared, or is not enabled as a web service.").into();
    };
    if state.settings.report_page {
        return Answer { status: 200, ..super::answer::maintenance() }.into();
    }
    if call.method != Method::GET {
        return Answer::error(405, "method not allowed").into();
    }
    let columns = columns(&state, report, who.rights);
    let asks = |wanted: &str| call.query.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if asks("xsd") || asks("xsds") {
        return Answer::new(200, "text/xml;charset=UTF-8", write::xsd(report, &columns, asks("xsds"))).into();
    }
    if asks("wsdl") {
        return Answer::new(200, "text/xml;charset=UTF-8", write::wsdl(report, &columns, call.base)).into();
    }
    let found = prompted(&state, call, report);
    drop(state);
    match found {
        Ok((places, when)) => respond(workday, call, report, columns, places, when),
        Err(refused) => refused.into(),
    }
}

/// The columns under the names they have now; what the caller's domains do not cover is absent, without a word.
fn columns(state: &State, report: &Report, rights: Rights) -> Vec<Column> {
    let renamed = &state.settings.renamed_columns;
    let covered = report.columns.iter().filter(|(_, alias)| allowed(rights, alias));
    covered
        .map(|(name, alias)| Column { name: renamed.get(*name).cloned().unwrap_or_else(|| (*name).to_owned()), alias })
        .collect()
}

fn bad(format: Option<Format>, words: &str) -> Answer {
    match format {
        Some(Format::Json) => Answer::error(500, words),
        _ => {
            let mut xml = crate::xml::Writer::document();
            xml.text("error", &[], words);
            Answer::new(500, "text/xml;charset=UTF-8", xml.finish())
        }
    }
}

/// The values of a prompt: `Organization!WID=a!b`, or plainly `Organization=a`.
fn values<'a>(call: &'a Call<'_>, prompt: &str) -> Option<Vec<&'a str>> {
    let whole = format!("{prompt}!WID");
    let found = call.query.iter().find(|(name, _)| *name == whole || name == prompt)?;
    Some(found.1.split('!').filter(|value| !value.is_empty()).collect())
}

fn day_of(call: &Call<'_>, prompt: &str, format: Option<Format>) -> Result<Option<Date>, Answer> {
    let Some((_, text)) = call.query.iter().find(|(name, _)| name == prompt) else { return Ok(None) };
    let day = text.get(..10).and_then(|day| day.parse().ok());
    day.map(Some).ok_or_else(|| bad(format, &format!("Invalid prompt value for {prompt}: {text}")))
}

/// The rows the prompts pick. A value that is unknown picks nothing; that is no error.
fn prompted(state: &State, call: &Call<'_>, report: &Report) -> Result<(Vec<Row>, When), Answer> {
    let format = Format::read(call.param("format"));
    if format.is_none() {
        return Err(Answer::error(400, "the format must be one of json, simplexml, csv, gdata, rss"));
    }
    for (name, _) in &call.query {
        let bare = name.trim_end_matches("!WID");
        if name != "format" && !report.prompts.iter().any(|(known, _)| *known == bare) {
            return Err(bad(format, &format!("The prompt {bare} is not known to the report {}.", report.name)));
        }
    }
    let mut when = When { day: state.day(call.now), known: call.now };
    let mut picks: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut since = Vec::new();
    for (prompt, alias) in report.prompts {
        if *alias == "effective" {
            when.day = day_of(call, prompt, format)?.unwrap_or(when.day);
        } else if let Some(alias) = alias.strip_prefix("from:") {
            since.extend(day_of(call, prompt, format)?.map(|day| (alias, day.to_string())));
        } else if let Some(values) = values(call, prompt) {
            picks.push((alias, values));
        }
    }
    let Some(source) = Source::named(report.source) else { return Err(Answer::error(404, "not found")) };
    let same = |value: &serde_json::Value, wanted: &str| {
        let item = state.items.find(wanted).map(|place| state.item(place).wid.as_str());
        let bare = wanted.split_once('=').map_or(wanted, |(_, value)| value);
        value["id"] == item.unwrap_or(wanted) || *value == bare
    };
    let fits = |row: &Row| {
        picks.iter().all(|(alias, wanted)| {
            let value = cell(state, row, alias, when);
            wanted.iter().any(|wanted| same(&value, wanted))
        }) && since.iter().all(|(alias, day)| cell(state, row, alias, when).as_str().is_some_and(|at| at >= day.as_str()))
    };
    let all = rows(state, source, None, when).filter(fits);
    let all = if report.empty { all.take(0).collect() } else { all.collect() };
    Ok((all, when))
}

fn respond(
    workday: &Arc<Workday>,
    call: &Call<'_>,
    report: &'static Report,
    columns: Vec<Column>,
    rows: Vec<Row>,
    when: When,
) -> Response {
    let format = Format::read(call.param("format")).unwrap_or(Format::Xml);
    let without_key = workday.state.lock().settings.empty_report_without_key && rows.is_empty();
    if format == Format::Json && without_key {
        return Answer::new(200, format.content_type(), "{}").into();
    }
    let (head, tail) = (format.head(report, &columns), format.tail());
    let workday = workday.clone();
    let total = rows.len();
    let mut rows = rows.into_iter().enumerate();
    let middle = std::iter::from_fn(move || {
        let batch: Vec<(usize, Row)> = rows.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return None;
        }
        let state = workday.state.lock();
        let mut out = String::new();
        for (place, row) in batch {
            format.row(&mut out, &state, report, &columns, &row, when);
            if place + 1 < total {
                out.push_str(format.between());
            }
        }
        Some(out)
    });
    let pieces = std::iter::once(head).chain(middle).chain(std::iter::once(tail));
    if call.header(header::ACCEPT_ENCODING).is_some_and(|takes| takes.contains("gzip")) {
        let mut response = streamed(200, format.content_type(), packed(pieces));
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return response;
    }
    streamed(200, format.content_type(), pieces)
}

/// The same pieces, packed while they are made.
fn packed(pieces: impl Iterator<Item = String>) -> impl Iterator<Item = Vec<u8>> {
    let mut packer = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    pieces.map(Some).chain(std::iter::once(None)).map(move |piece| {
        let written = match (&mut packer, piece) {
            (Some(packer), Some(piece)) => packer.write_all(piece.as_bytes()).map(|()| std::mem::take(packer.get_mut())),
            (slot, _) => slot.take().map_or(Ok(Vec::new()), GzEncoder::finish),
        };
        // Memory takes whatever is written to it.
        written.unwrap_or_default()
    })
}
