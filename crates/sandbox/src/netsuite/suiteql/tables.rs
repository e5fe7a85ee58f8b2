//! Tables and their columns.

use std::rc::Rc;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value as Json;

use super::{Trouble, value::Val};
use crate::netsuite::{
    schema::{self, Family, Field, Kind, Type},
    settings::Settings,
    store::{Record, Row, Store, cell},
};

/// What a query sees.
pub(super) struct Ctx<'a> {
    pub(super) store: &'a Store,
    pub(super) settings: &'a Settings,
    pub(super) zone: TimeZone,
    pub(super) clock: Timestamp,
}

impl Ctx<'_> {
    pub(super) fn local(&self, at: Timestamp) -> DateTime {
        at.to_zoned(self.zone.clone()).datetime()
    }
}

/// Where rows come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Family(Family),
    Type(&'static Type),
    Lines,
    Kept(Rc<Vec<Vec<Val>>>),
}

/// A table of a query.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) alias: String,
    pub(super) columns: Vec<String>,
    pub(super) source: Source,
}

impl Shape {
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }
}

/// A row of a table.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item<'a> {
    /// The missing side of an outer join.
    Nothing,
    Record(&'a Record),
    Line {
        record: &'a Record,
        sublist: &'static str,
        row: Option<&'a Row>,
        number: usize,
    },
    Kept(&'a [Val]),
}

const LINE_COLUMNS: [&str; 24] = [
    "id",
    "uniquekey",
    "transaction",
    "linesequencenumber",
    "mainline",
    "taxline",
    "item",
    "itemtype",
    "memo",
    "quantity",
    "rate",
    "foreignamount",
    "netamount",
    "department",
    "class",
    "location",
    "entity",
    "expenseaccount",
    "quantitybilled",
    "quantityshiprecv",
    "isclosed",
    "subsidiary",
    "debitforeignamount",
    "creditforeignamount",
];

fn record_columns<'a>(kinds: impl Iterator<Item = &'a Type>, family: bool, settings: &Settings) -> Vec<String> {
    let mut columns = vec!["id".to_owned(), "externalid".to_owned()];
    if family {
        columns.extend(
            ["type", "recordtype", "itemtype", "voided", "posting", "transactionnumber", "isinactive"].map(ToOwned::to_owned),
        );
    }
    for kind in kinds {
        for field in kind.fields.iter().filter(|field| field.kind != Kind::Address) {
            let hidden =
                (settings.one_company && field.name == "subsidiary") || settings.drifted_fields.removed(kind.name, field.name);
            if !hidden && !columns.contains(&field.column) {
                columns.push(field.column.clone());
            }
        }
    }
    columns
}

/// A table by name.
pub(super) fn find(name: &str, ctx: &Ctx<'_>) -> Result<Shape, Trouble> {
    let lower = name.to_lowercase();
    let shape = |columns: Vec<String>, source| Ok(Shape { alias: lower.clone(), columns, source });
    let words = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let family = match lower.as_str() {
        "transaction" => Some(Family::Transaction),
        "entity" => Some(Family::Entity),
        "item" => Some(Family::Item),
        _ => None,
    };
    if let Some(family) = family {
        let kinds = schema::types().iter().filter(|kind| kind.family == family);
        return shape(record_columns(kinds, true, ctx.settings), Source::Family(family));
    }
    match lower.as_str() {
        "transactionline" => return shape(words(&LINE_COLUMNS), Source::Lines),
        "transactionaccountingline" => {
            let columns = words(&["transaction", "transactionline", "account", "debit", "credit", "amount", "posting"]);
            return shape(columns, Source::Kept(Rc::new(accounting(ctx))));
        }
        "dual" => return shape(words(&["dummy"]), Source::Kept(Rc::new(vec![vec![Val::of("X")]]))),
        "deletedrecord" => {
            let columns = words(&["recordtypeid", "type", "recordid", "externalid", "name", "deleteddate"]);
            return shape(columns, Source::Kept(Rc::new(deleted(ctx))));
        }
        "customrecordtype" => {
            let custom = schema::types().iter().filter(|kind| kind.is_custom());
            let rows = (1_u32..)
                .zip(custom)
                .map(|(id, kind)| vec![Val::Number(id.into()), Val::of(kind.title), Val::of(kind.name)])
                .collect();
            return shape(words(&["internalid", "name", "scriptid"]), Source::Kept(Rc::new(rows)));
        }
        "customfield" => {
            return shape(words(&["internalid", "name", "scriptid", "fieldtype"]), Source::Kept(Rc::new(custom_fields())));
        }
        "systemnote" => {
            return shape(
                words(&["id", "date", "field", "recordid", "oldvalue", "newvalue", "name"]),
                Source::Kept(Rc::default()),
            );
        }
        _ => {}
    }
    let kind = schema::find_rest(&lower).filter(|kind| !kind.is_transaction() && kind.family != Family::Item);
    let kind = kind.filter(|kind| !(ctx.settings.one_company && kind.name == "subsidiary"));
    let Some(kind) = kind else { return Err(Trouble::new(format!("Invalid search type: {name}."))) };
    if ctx.settings.denied_records.iter().any(|denied| denied.eq_ignore_ascii_case(kind.name)) {
        return Err(Trouble::new(format!("Record '{name}' was not found.")));
    }
    shape(record_columns(std::iter::once(kind), false, ctx.settings), Source::Type(kind))
}

fn custom_fields() -> Vec<Vec<Val>> {
    let mut seen = std::collections::BTreeMap::new();
    for kind in schema::types() {
        for field in kind.fields.iter().filter(|field| field.is_custom()) {
            seen.insert(field.name, field.title);
        }
    }
    (1_u32..)
        .zip(seen)
        .map(|(id, (name, title))| vec![Val::Number(id.into()), Val::of(title), Val::of(name.to_uppercase()), Val::of("Text")])
        .collect()
}

fn deleted(ctx: &Ctx<'_>) -> Vec<Vec<Val>> {
    let row = |gone: &crate::netsuite::store::Deleted| {
        vec![
            Val::of(gone.kind.name.to_lowercase()),
            Val::of(gone.kind.title),
            whole(gone.id),
            gone.external.as_ref().map_or(Val::Null, Val::of),
            Val::of(gone.name.clone()),
            Val::Moment(ctx.local(gone.at)),
        ]
    };
    ctx.store.deleted.iter().map(row).collect()
}

#[expect(clippy::cast_precision_loss, reason = "ids are far below 2 to the 52nd")]
pub(super) fn whole(id: u64) -> Val {
    Val::Number(id as f64)
}

/// One debit and one credit of every posting document, and the lines of journals.
fn accounting(ctx: &Ctx<'_>) -> Vec<Vec<Val>> {
    let account = |number: &str| {
        let kind = schema::find("account");
        kind.and_then(|kind| ctx.store.by_external(kind, number)).map_or(Val::Null, whole)
    };
    let (receivable, payable, sales, expense, bank) =
        (account("1100"), account("2000"), account("4000"), account("6000"), account("1000"));
    let mut rows = Vec::new();
    let mut post = |record: &Record, line: u32, account: &Val, amount: f64| {
        let (debit, credit) = if amount >= 0.0 { (Val::Number(amount), Val::Null) } else { (Val::Null, Val::Number(-amount)) };
        rows.push(vec![
            whole(record.id),
            Val::Number(line.into()),
            account.clone(),
            debit,
            credit,
            Val::Number(amount),
            Val::flag(true),
        ]);
    };
    for record in ctx.store.family(Family::Transaction, 0) {
        let total = record.number("total");
        let (debit, credit) = match record.kind.name {
            "invoice" => (&receivable, &sales),
            "creditMemo" => (&sales, &receivable),
            "customerPayment" => (&bank, &receivable),
            "cashSale" => (&bank, &sales),
            "vendorBill" | "expenseReport" => (&expense, &payable),
            "vendorPayment" => (&payable, &bank),
            "journalEntry" | "advInterCompanyJournalEntry" => {
                for (number, row) in (0_u32..).zip(record.sublist("line")) {
                    let amount = |name: &str| cell(record.kind, "line", row, name).as_f64().unwrap_or_default();
                    let account = cell(record.kind, "line", row, "account")
                        .as_str()
                        .and_then(|id| id.parse().ok())
                        .map_or(Val::Null, whole);
                    post(record, number, &account, amount("debit") - amount("credit"));
                }
                continue;
            }
            _ => continue,
        };
        post(record, 0, debit, total);
        post(record, 1, credit, -total);
    }
    rows
}

/// The rows of a table, with record ids from `from` to `to`.
pub(super) fn items<'a>(shape: &'a Shape, from: u64, to: u64, ctx: &'a Ctx<'a>) -> Box<dyn Iterator<Item = Item<'a>> + 'a> {
    let family = match &shape.source {
        Source::Family(family) => *family,
        Source::Type(kind) => kind.family,
        Source::Lines => return Box::new(ctx.store.family(Family::Transaction, 0).flat_map(lines)),
        Source::Kept(rows) => return Box::new(rows.iter().map(|row| Item::Kept(row))),
    };
    let only = match &shape.source {
        Source::Type(kind) => Some(kind.name),
        _ => None,
    };
    let visible =
        |record: &&Record| !ctx.settings.denied_records.iter().any(|denied| denied.eq_ignore_ascii_case(record.kind.name));
    let records = ctx.store.family(family, from).take_while(move |record| record.id <= to);
    Box::new(records.filter(move |record| only.is_none_or(|only| only == record.kind.name)).filter(visible).map(Item::Record))
}

/// The header's row and one for every row of a sublist that has amounts.
fn lines(record: &Record) -> impl Iterator<Item = Item<'_>> {
    let main = Item::Line { record, sublist: "", row: None, number: 0 };
    let named = ["item", "expense", "line"].into_iter();
    let rows = named.flat_map(|sublist| record.sublist(sublist).iter().map(move |row| (sublist, row)));
    std::iter::once(main).chain(rows.zip(1..).map(|((sublist, row), number)| Item::Line {
        record,
        sublist,
        row: Some(row),
        number,
    }))
}

/// A stored value as a query sees it.
fn stored(field: &Field, value: &Json, ctx: &Ctx<'_>) -> Val {
    match (&field.kind, value) {
        (_, Json::Null) => Val::Null,
        (_, Json::Bool(on)) => Val::flag(*on),
        (_, Json::Number(number)) => number.as_f64().map_or(Val::Null, Val::Number),
        (Kind::Ref(_), Json::String(id)) => id.parse().map_or(Val::Null, Val::Number),
        (Kind::Date, Json::String(day)) => day.parse().map_or(Val::Null, Val::Day),
        (Kind::Stamp, Json::String(at)) => at.parse().map_or(Val::Null, |at| Val::Moment(ctx.local(at))),
        (_, Json::String(text)) => Val::of(text.clone()),
        _ => Val::Null,
    }
}

fn by_column<'a>(kind: &'a Type, column: &str) -> Option<(usize, &'a Field)> {
    kind.fields.iter().enumerate().find(|(_, field)| field.column == column)
}

/// A column of a row.
pub(super) fn value(item: &Item<'_>, shape: &Shape, column: usize, ctx: &Ctx<'_>) -> Val {
    let name = shape.columns[column].as_str();
    match item {
        Item::Nothing => Val::Null,
        Item::Kept(row) => row.get(column).cloned().unwrap_or(Val::Null),
        Item::Line { record, sublist, row, number } => line_value(record, sublist, *row, *number, name, ctx),
        Item::Record(record) => match name {
            "id" => whole(record.id),
            "externalid" => record.external.as_ref().map_or(Val::Null, Val::of),
            "type" if record.kind.is_transaction() || record.kind.family == Family::Entity => Val::of(record.kind.code),
            "itemtype" if record.kind.family == Family::Item => Val::of(record.kind.code),
            "recordtype" => Val::of(record.kind.name.to_lowercase()),
            "transactionnumber" => Val::of(record.text("tranId")),
            "voided" => Val::flag(record.text("status") == "V"),
            "posting" => Val::flag(posts(record.kind)),
            // What the account owes is negative, what it is owed positive, as others found.
            "foreigntotal" | "foreignamountunpaid" | "foreignamountpaid" => match by_column(record.kind, name) {
                Some((place, _)) => {
                    record.values[place].as_f64().map_or(Val::Null, |amount| Val::Number(sign(record.kind) * amount))
                }
                None => Val::Null,
            },
            _ => by_column(record.kind, name).map_or(Val::Null, |(place, field)| stored(field, &record.values[place], ctx)),
        },
    }
}

fn posts(kind: &Type) -> bool {
    !matches!(kind.name, "salesOrder" | "estimate" | "purchaseOrder" | "opportunity" | "returnAuthorization")
}

fn sign(kind: &Type) -> f64 {
    if matches!(kind.name, "vendorBill" | "expenseReport" | "purchaseOrder" | "creditMemo" | "vendorPayment") {
        -1.0
    } else {
        1.0
    }
}

fn line_value(record: &Record, sublist: &str, row: Option<&Row>, number: usize, name: &str, ctx: &Ctx<'_>) -> Val {
    let of = |field: &str| {
        let found = row.and_then(|row| Some((row, record.kind.sublist(sublist)?.1)));
        found
            .and_then(|(row, sublist)| sublist.position(field).map(|place| stored(&sublist.fields[place], &row[place], ctx)))
            .unwrap_or(Val::Null)
    };
    let header = |field: &str| {
        record.kind.position(field).map_or(Val::Null, |place| stored(&record.kind.fields[place], &record.values[place], ctx))
    };
    let times = |value: Val, factor: f64| value.number().map_or(Val::Null, |number| Val::Number(number * factor));
    let total = || if row.is_none() { times(header("total"), sign(record.kind)) } else { times(amount(&of), -sign(record.kind)) };
    match name {
        "id" | "linesequencenumber" => whole(number as u64),
        "uniquekey" => whole(record.id * 10_000 + number as u64),
        "transaction" => whole(record.id),
        "mainline" => Val::flag(row.is_none()),
        "taxline" => Val::flag(false),
        "item" => of("item"),
        "itemtype" => match of("item").number().and_then(|id| ctx.store.any("item", id_of(id)?)) {
            Some(item) => Val::of(item.kind.code),
            None => Val::Null,
        },
        "memo" if row.is_none() => header("memo"),
        "memo" => {
            if of("memo").is_null() {
                of("description")
            } else {
                of("memo")
            }
        }
        // Lines of sales count against their header's sign.
        "quantity" => times(of("quantity"), -sign(record.kind)),
        "rate" => of("rate"),
        "foreignamount" | "netamount" => total(),
        "debitforeignamount" => of("debit"),
        "creditforeignamount" => of("credit"),
        "department" | "class" | "location" => {
            if of(name).is_null() {
                header(name)
            } else {
                of(name)
            }
        }
        "entity" => {
            if of("entity").is_null() {
                header("entity")
            } else {
                of("entity")
            }
        }
        "expenseaccount" => of("account"),
        "quantitybilled" => of("quantityBilled"),
        "quantityshiprecv" => of("quantityFulfilled"),
        "isclosed" => {
            if of("isClosed").is_null() {
                Val::flag(false)
            } else {
                of("isClosed")
            }
        }
        "subsidiary" => header("subsidiary"),
        _ => Val::Null,
    }
}

fn amount(of: &impl Fn(&str) -> Val) -> Val {
    let (debit, credit) = (of("debit").number(), of("credit").number());
    if debit.is_some() || credit.is_some() {
        Val::Number(credit.unwrap_or_default() - debit.unwrap_or_default())
    } else {
        of("amount")
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ids are whole, positive and small")]
fn id_of(number: f64) -> Option<u64> {
    (number >= 0.0 && number.fract() == 0.0 && number < 1e15).then_some(number as u64)
}

/// What people call a column's value: `BUILTIN.DF`.
pub(super) fn display(item: &Item<'_>, shape: &Shape, column: usize, ctx: &Ctx<'_>) -> Val {
    let plain = || value(item, shape, column, ctx);
    let name = shape.columns[column].as_str();
    let record = match item {
        Item::Record(record) => record,
        Item::Line { record, .. } if name == "transaction" => return Val::of(record.display()),
        Item::Line { .. } => {
            let target = match name {
                "item" => "item",
                "entity" => "entity",
                "department" => "department",
                "class" => "classification",
                "location" => "location",
                "subsidiary" => "subsidiary",
                "expenseaccount" => "account",
                _ => return plain(),
            };
            return plain()
                .number()
                .and_then(id_of)
                .and_then(|id| ctx.store.any(target, id))
                .map_or(Val::Null, |other| Val::of(other.display()));
        }
        _ => return plain(),
    };
    match name {
        "id" => Val::of(record.display()),
        "type" | "itemtype" | "recordtype" => Val::of(record.kind.title),
        _ => match by_column(record.kind, name) {
            Some((place, field)) => match (&field.kind, ctx.store.name_of(field, &record.values[place])) {
                (Kind::Status(_), Some(status)) => Val::of(format!("{} : {status}", record.kind.title)),
                (_, Some(name)) => Val::of(name),
                (_, None) => plain(),
            },
            None => plain(),
        },
    }
}

/// The code of a column's value with its type before it: `BUILTIN.CF`.
pub(super) fn code(item: &Item<'_>, shape: &Shape, column: usize, ctx: &Ctx<'_>) -> Val {
    let plain = value(item, shape, column, ctx);
    match (item, &plain) {
        (Item::Record(record), Val::Text(code)) if shape.columns[column] == "status" && record.kind.is_transaction() => {
            Val::of(format!("{}:{code}", record.kind.code))
        }
        _ => plain,
    }
}
