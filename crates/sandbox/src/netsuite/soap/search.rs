//! Searches: basic criteria, saved searches, pages, and what was deleted.

use std::collections::VecDeque;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::Value as Json;

use super::{Fault, Talk, convert, convert::pascal, status};
use crate::{
    netsuite::{
        restlet::SEARCHES,
        schema::{self, Family, Kind, Type},
        store::Record,
        suiteql,
    },
    xml::{Element, Writer},
};

/// Searches whose next pages can be asked for.
const SEARCHES_MAX: usize = 200;
/// How long a search can be gone on with, in seconds.
const SEARCH_S_MAX: i64 = 900;

/// What searches found.
#[derive(Debug, Default)]
pub(in crate::netsuite) struct Searches(VecDeque<Search>);

#[derive(Debug, Clone)]
struct Search {
    id: String,
    at_s: i64,
    target: &'static str,
    ids: Vec<u64>,
    page_size: usize,
    body_only: bool,
    /// The columns of a saved search, which gives rows instead of records.
    columns: Option<Vec<&'static str>>,
}

/// A condition of a basic search.
struct Condition<'e> {
    field: &'e str,
    operator: &'e str,
    values: Vec<String>,
}

type Problem = (String, String);

fn problem(code: &str, words: impl Into<String>) -> Problem {
    (code.to_owned(), words.into())
}

impl Talk<'_> {
    pub(super) fn search(&mut self, xml: &mut Writer, request: &Element) -> Result<(), Fault> {
        let record = request.child("searchRecord").ok_or_else(|| Fault::unexpected("searchRecord is missing"))?;
        match self.found_by(record) {
            Ok(search) => {
                self.page(xml, &search, 1);
                let searches = &mut self.state.searches.0;
                if searches.len() >= SEARCHES_MAX {
                    searches.pop_front();
                }
                searches.push_back(search);
            }
            Err(problem) => xml.element("platformCore:searchResult", &[], |xml| status(xml, &Err(problem))),
        }
        Ok(())
    }

    fn found_by(&mut self, record: &Element) -> Result<Search, Problem> {
        let name = record.xsi_type().unwrap_or_default().to_owned();
        let base = name.trim_end_matches("Basic").trim_end_matches("Advanced").trim_end_matches("Search");
        let target = target(base).ok_or_else(|| problem("INVALID_SEARCH_TYPE", format!("The search '{name}' is invalid.")))?;
        if let Some(kind) = schema::find(target) {
            self.state.may(kind, false).map_err(|refusal| super::told(&refusal))?;
        }
        let id = format!("WEBSERVICES_{}_{}", crate::netsuite::ACCOUNT, self.state.random.text("0123456789abcdef", 32));
        let mut search = Search {
            id,
            at_s: self.now.at.as_second(),
            target,
            ids: Vec::new(),
            page_size: self.page_size,
            body_only: self.body_only,
            columns: None,
        };
        let criteria = record.child("criteria").unwrap_or(record);
        let basic = if name.ends_with("Basic") { Some(record) } else { criteria.child("basic") };
        let conditions: Vec<Condition<'_>> =
            basic.map(|basic| basic.children.iter().map(condition).collect()).unwrap_or_default();
        check(&conditions, target)?;
        let saved = record.attribute("savedSearchScriptId").or_else(|| record.attribute("savedSearchId"));
        if let Some(saved) = saved {
            let unknown = || problem("INVALID_SAVEDSEARCH_ID", format!("The saved search '{saved}' does not exist."));
            let number: Option<usize> = saved.parse().ok();
            let found = SEARCHES.iter().enumerate().find(|(place, (id, _))| *id == saved || number == Some(place + 1));
            let (_, (_, q)) = found.ok_or_else(unknown)?;
            let rows = suiteql::run(self.state, q, self.now.at).map_err(|refusal| super::told(&refusal))?;
            let ids = rows.iter().filter_map(|row| row["id"].as_str()?.parse::<u64>().ok());
            // Conditions of the call hold besides those of the saved search.
            let meets = |record: &Record| conditions.iter().all(|condition| fits(condition, record, &self.now.zone));
            search.ids = ids.filter(|id| self.state.store.any(target, *id).is_some_and(meets)).collect();
            let columns = q.trim_start_matches("SELECT ").split(" FROM ").next().unwrap_or_default();
            search.columns = Some(columns.split(", ").collect());
            return Ok(search);
        }
        let family = schema::family(target).ok_or_else(|| problem("INVALID_SEARCH_TYPE", "The search is invalid."))?;
        let only = schema::find(target).map(|kind| kind.name);
        let records = self.state.store.family(family, 0).filter(|record| only.is_none_or(|only| only == record.kind.name));
        search.ids = records
            .filter(|record| conditions.iter().all(|condition| fits(condition, record, &self.now.zone)))
            .map(|record| record.id)
            .collect();
        Ok(search)
    }

    pub(super) fn more(&mut self, xml: &mut Writer, request: &Element) {
        let id = request.text_of("searchId").unwrap_or_default();
        let index: usize = request.text_of("pageIndex").and_then(|index| index.parse().ok()).unwrap_or_default();
        let now = self.now.at.as_second();
        let search = self.state.searches.0.iter().find(|search| search.id == id && now - search.at_s < SEARCH_S_MAX).cloned();
        let refuse = |xml: &mut Writer, words: &str| {
            xml.element("platformCore:searchResult", &[], |xml| status(xml, &Err(problem("INVALID_SEARCH_MORE", words))))
        };
        match search {
            None => refuse(xml, "The search is not valid any more. Run it again."),
            Some(search) if index == 0 || index > pages(&search).max(1) => refuse(xml, "The page index is out of range."),
            Some(search) => self.page(xml, &search, if self.state.settings.search_stuck { 1 } else { index }),
        }
    }

    fn page(&self, xml: &mut Writer, search: &Search, index: usize) {
        let store = &self.state.store;
        let part = search.ids.iter().skip((index - 1) * search.page_size).take(search.page_size);
        let records: Vec<&Record> = part.filter_map(|id| store.any(search.target, *id)).collect();
        xml.element("platformCore:searchResult", &[], |xml| {
            status(xml, &Ok(()));
            for (name, number) in [
                ("totalRecords", search.ids.len()),
                ("pageSize", search.page_size),
                ("totalPages", pages(search)),
                ("pageIndex", index),
            ] {
                xml.text(&format!("platformCore:{name}"), &[], &number.to_string());
            }
            xml.text("platformCore:searchId", &[], &search.id);
            match &search.columns {
                None => xml.element("platformCore:recordList", &[], |xml| {
                    for record in records {
                        convert::write(
                            xml,
                            "platformCore:record",
                            record,
                            store,
                            (&self.version, &self.now.zone),
                            search.body_only,
                        );
                    }
                }),
                Some(columns) => xml.element("platformCore:searchRowList", &[], |xml| {
                    for record in records {
                        self.row(xml, record, search.target, columns);
                    }
                }),
            }
        });
    }

    fn row(&self, xml: &mut Writer, record: &Record, target: &str, columns: &[&str]) {
        let (home, area) = convert::home(record.kind);
        let home = super::namespace(home, area, &self.version);
        let kind = format!("q:{}SearchRow", pascal(target));
        xml.element("platformCore:searchRow", &[("xmlns:q", &home), ("xsi:type", &kind)], |xml| {
            xml.element("q:basic", &[], |xml| {
                for column in columns {
                    let Some((place, field)) = record.kind.fields.iter().enumerate().find(|(_, field)| field.column == *column)
                    else {
                        if *column == "id" {
                            let id = record.id.to_string();
                            xml.element("platformCommon:internalId", &[], |xml| {
                                xml.element("platformCore:searchValue", &[("internalId", &id)], |_| {})
                            });
                        }
                        continue;
                    };
                    let value = &record.values[place];
                    xml.element(&format!("platformCommon:{}", field.name), &[], |xml| match (&field.kind, value) {
                        (_, Json::Null) => {}
                        (Kind::Ref(_), Json::String(id)) => {
                            xml.element("platformCore:searchValue", &[("internalId", id)], |_| {})
                        }
                        (Kind::Date, Json::String(day)) => {
                            let at = day.parse::<Date>().ok().and_then(|day| day.to_zoned(self.now.zone.clone()).ok());
                            xml.maybe(
                                "platformCore:searchValue",
                                at.map(|at| convert::moment(at.timestamp(), &self.now.zone)).as_deref(),
                            );
                        }
                        (_, Json::String(text)) => xml.text("platformCore:searchValue", &[], text),
                        (_, other) => xml.text("platformCore:searchValue", &[], &other.to_string()),
                    });
                }
            });
        });
    }

    pub(super) fn deleted(&mut self, xml: &mut Writer, request: &Element) {
        let filter = request.child("getDeletedFilter");
        let kinds: Vec<String> =
            filter.and_then(|filter| filter.child("type")).map(|kind| condition(kind).values).unwrap_or_default();
        let date = filter.and_then(|filter| filter.child("deletedDate")).map(condition);
        let index = request.text_of("pageIndex").and_then(|index| index.parse::<usize>().ok()).unwrap_or(1).max(1);
        let fitting = |gone: &&crate::netsuite::store::Deleted| {
            let kind =
                kinds.is_empty() || kinds.iter().any(|kind| kind.trim_start_matches('_').eq_ignore_ascii_case(gone.kind.name));
            kind && date.as_ref().is_none_or(|date| time(gone.at, date, &self.now.zone))
        };
        let all: Vec<_> = self.state.store.deleted.iter().filter(fitting).collect();
        let pages = all.len().div_ceil(self.page_size);
        xml.element("platformCore:getDeletedResult", &[], |xml| {
            status(xml, &Ok(()));
            for (name, number) in
                [("totalRecords", all.len()), ("pageSize", self.page_size), ("totalPages", pages), ("pageIndex", index)]
            {
                xml.text(&format!("platformCore:{name}"), &[], &number.to_string());
            }
            xml.element("platformCore:deletedRecordList", &[], |xml| {
                for gone in all.iter().skip((index - 1) * self.page_size).take(self.page_size) {
                    xml.element("platformCore:deletedRecord", &[], |xml| {
                        xml.text("platformCore:deletedDate", &[], &convert::moment(gone.at, &self.now.zone));
                        let id = gone.id.to_string();
                        let mut attributes =
                            vec![("xsi:type", "platformCore:RecordRef"), ("type", gone.kind.name), ("internalId", id.as_str())];
                        attributes.extend(gone.external.as_deref().map(|external| ("externalId", external)));
                        xml.element("platformCore:record", &attributes, |xml| xml.text("platformCore:name", &[], &gone.name));
                    });
                }
            });
        });
    }
}

fn pages(search: &Search) -> usize {
    search.ids.len().div_ceil(search.page_size)
}

/// What a search's name means: a type, or a family.
fn target(base: &str) -> Option<&'static str> {
    match base {
        "Transaction" => Some("transaction"),
        "Item" => Some("item"),
        "Entity" => Some("entity"),
        other => schema::find(other).map(|kind| kind.name),
    }
}

fn condition(element: &Element) -> Condition<'_> {
    let value = |value: &Element| {
        value
            .attribute("internalId")
            .or_else(|| value.attribute("externalId"))
            .map_or_else(|| value.text.trim().to_owned(), ToOwned::to_owned)
    };
    let mut values: Vec<String> = element.all("searchValue").map(value).collect();
    values.extend(element.all("searchValue2").map(value));
    Condition { field: &element.name, operator: element.attribute("operator").unwrap_or_default(), values }
}

/// Refuses fields that no record of the search has.
fn check(conditions: &[Condition<'_>], target: &str) -> Result<(), Problem> {
    let kinds: Vec<&Type> = schema::types().iter().filter(|kind| schema::family(target) == Some(kind.family)).collect();
    for condition in conditions {
        let built_in = ["internalId", "externalId", "type", "internalIdNumber", "externalIdString"].contains(&condition.field);
        if !built_in && !kinds.iter().any(|kind| kind.position(condition.field).is_some()) {
            return Err(problem("INVALID_SEARCH_FIELD", format!("The field '{}' cannot be searched.", condition.field)));
        }
    }
    Ok(())
}

fn fits(condition: &Condition<'_>, record: &Record, zone: &TimeZone) -> bool {
    let (operator, values) = (condition.operator, &condition.values);
    let any = |own: &str| values.iter().any(|value| value.trim_start_matches('_').eq_ignore_ascii_case(own));
    let of_list = |own: &str| any(own) != operator.starts_with("none");
    match condition.field {
        "internalId" => return of_list(&record.id.to_string()),
        "externalId" => return of_list(record.external.as_deref().unwrap_or("\u{0}")),
        "externalIdString" => return text(record.external.as_deref().unwrap_or_default(), condition),
        "internalIdNumber" => return number(whole(record.id), condition),
        "type" if record.kind.family == Family::Transaction || record.kind.family == Family::Item => {
            return of_list(record.kind.name);
        }
        _ => {}
    }
    let Some(place) = record.kind.position(condition.field) else { return false };
    let value = &record.values[place];
    let own = value.as_str().unwrap_or_default();
    match &record.kind.fields[place].kind {
        Kind::Boolean => {
            value.as_bool().unwrap_or_default() == values.first().is_some_and(|wanted| wanted == "true" || wanted == "1")
        }
        Kind::Ref(_) => of_list(own),
        Kind::Choice(choices) => of_list(own) || choices.iter().any(|(id, name)| *id == own && any(&name.replace(' ', ""))),
        Kind::Status(statuses) => statuses.iter().any(|(id, name)| {
            *id == own && (any(&name.replace(' ', "")) || values.iter().any(|value| value.ends_with(&format!(":{id}"))))
        }),
        Kind::Stamp => own.parse().is_ok_and(|at| time(at, condition, zone)),
        Kind::Date => own
            .parse::<Date>()
            .ok()
            .and_then(|day| day.to_zoned(zone.clone()).ok())
            .is_some_and(|at| time(at.timestamp(), condition, zone)),
        Kind::Text | Kind::Address => text(own, condition),
        Kind::Integer | Kind::Float | Kind::Money => value.as_f64().is_some_and(|own| number(own, condition)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "ids are far below 2 to the 52nd")]
fn whole(id: u64) -> f64 {
    id as f64
}

fn text(own: &str, condition: &Condition<'_>) -> bool {
    let own = own.to_lowercase();
    let wanted = condition.values.first().map(|value| value.to_lowercase()).unwrap_or_default();
    match condition.operator {
        "contains" | "hasKeywords" => own.contains(&wanted),
        "doesNotContain" => !own.contains(&wanted),
        "startsWith" => own.starts_with(&wanted),
        "doesNotStartWith" => !own.starts_with(&wanted),
        "empty" => own.is_empty(),
        "notEmpty" => !own.is_empty(),
        "isNot" => own != wanted,
        _ => own == wanted,
    }
}

fn number(own: f64, condition: &Condition<'_>) -> bool {
    let wanted: Vec<f64> = condition.values.iter().filter_map(|value| value.parse().ok()).collect();
    let (first, second) = (wanted.first().copied().unwrap_or_default(), wanted.get(1).copied().unwrap_or_default());
    match condition.operator {
        "greaterThan" => own > first,
        "greaterThanOrEqualTo" => own >= first,
        "lessThan" => own < first,
        "lessThanOrEqualTo" => own <= first,
        "between" => own >= first && own <= second,
        "notEqualTo" => (own - first).abs() > 1e-9,
        _ => (own - first).abs() <= 1e-9,
    }
}

/// A moment in a request: with an offset, or in the account's zone.
fn read_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let local = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(zone.clone()).ok().map(|at| at.timestamp());
    text.parse().ok().or_else(local)
}

fn time(own: Timestamp, condition: &Condition<'_>, zone: &TimeZone) -> bool {
    let mut wanted = condition.values.iter().filter_map(|value| read_time(value, zone));
    let (Some(first), second) = (wanted.next(), wanted.next()) else { return matches!(condition.operator, "notEmpty") };
    match condition.operator {
        "after" => own > first,
        "before" => own < first,
        "onOrAfter" => own >= first,
        "onOrBefore" => own <= first,
        "within" => own >= first && second.is_none_or(|second| own <= second),
        _ => own.to_zoned(zone.clone()).date() == first.to_zoned(zone.clone()).date(),
    }
}
