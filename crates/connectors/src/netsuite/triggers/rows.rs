//! New rows of a query or of a saved search.

use connector::{Cx, ErrorClass, Occurrence, Polled, Position, StepError, cursor_lost, read_cursor};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::{
    PAGE_ROWS,
    walk::{Walk, walk},
};
use crate::{
    netsuite::{
        api::{invalid, needed, text},
        soap, suiteql,
    },
    seen::Seen,
};

/// The last row that was taken, by its cursor column and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    value: String,
    key: String,
}

/// Where a walk by a column stands: nothing while the query has given no row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    last: Option<Last>,
}

fn event(key: String, row: Json) -> Occurrence {
    Occurrence { key, data: json!({ "row": row }) }
}

pub(super) async fn query(cx: Cx, with: Json, position: Position) -> Result<Polled, StepError> {
    let query = needed(&with, "query")?;
    if query.contains(';') {
        return Err(invalid("a SuiteQL query is one query without a semicolon"));
    }
    let column = format!("q.{}", suiteql::name(needed(&with, "cursor_column")?)?);
    let key = format!("q.{}", suiteql::name(text(&with, "key").unwrap_or("id"))?);
    let table = format!("({query}) q");
    if text(&with, "cursor_type") == Some("time") {
        let asked = Walk { table, filter: Vec::new(), columns: "q.*".to_owned(), time: column, id: key, rows: PAGE_ROWS };
        let walked = walk(&cx, &asked, &position).await?;
        let events = walked.rows.into_iter().map(|found| event(format!("{}:{}", found.at, found.id), found.row)).collect();
        return Ok(Polled { events, cursor: walked.cursor, more: walked.more });
    }
    let own = format!("{column} AS liaison_last, {key} AS liaison_key");
    let of = |row: &Json| {
        let text = |name: &str| row.get(name).and_then(Json::as_str).map(ToOwned::to_owned);
        Some(Last { value: text("liaison_last")?, key: text("liaison_key")? })
    };
    let Position::After(cursor) = position else {
        // No column tells when a row was made: the first question only notes where the rows end.
        let end = format!("SELECT {own} FROM {table} WHERE {column} IS NOT NULL ORDER BY {column} DESC, {key} DESC");
        let found = suiteql::page(&cx, &end, 1, 0).await?;
        let last = found.rows.first().map(|row| of(row).ok_or_else(|| unnamed(&with))).transpose()?;
        return Ok(Polled { events: Vec::new(), cursor: json!(Place { last }), more: false });
    };
    let place: Place = read_cursor(&cursor)?;
    let condition = match &place.last {
        Some(Last { value, key: after }) => {
            let (value, after) = (suiteql::literal(&json!(value))?, suiteql::literal(&json!(after))?);
            format!("({column} > {value} OR ({column} = {value} AND {key} > {after}))")
        }
        None => format!("{column} IS NOT NULL"),
    };
    let asked = format!("SELECT q.*, {own} FROM {table} WHERE {condition} ORDER BY {column}, {key}");
    let found = suiteql::page(&cx, &asked, PAGE_ROWS, 0).await?;
    let mut events = Vec::with_capacity(found.rows.len());
    let mut last = place.last;
    for mut row in found.rows {
        let here = of(&row).ok_or_else(|| unnamed(&with))?;
        if last.as_ref() == Some(&here) {
            return Err(found.answer.unreadable("it gives the row that came last again; the key must tell rows apart"));
        }
        if let Some(members) = row.as_object_mut() {
            members.retain(|name, _| !name.starts_with("liaison_"));
        }
        events.push(event(format!("{}:{}", here.value, here.key), row));
        last = Some(here);
    }
    Ok(Polled { events, cursor: json!(Place { last }), more: found.more })
}

fn unnamed(with: &Json) -> StepError {
    let key = text(with, "key").unwrap_or("id");
    invalid(format!("a row of the query has no value in \"{key}\", so rows cannot be told apart; name another column as its key"))
}

/// Where the looking at a saved search stands.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Looking {
    seen: Seen,
    /// The page of the search that comes next.
    #[serde(default)]
    page: Option<Json>,
}

pub(super) async fn saved(cx: Cx, with: Json, position: Position) -> Result<Polled, StepError> {
    let state = match position {
        Position::Since(_) => Looking::default(),
        Position::After(cursor) => read_cursor(&cursor)?,
    };
    let mut look = state.seen.look().ok_or_else(cursor_lost)?;
    let page = match soap::page(&cx, &with, state.page.clone()).await {
        // A search is kept for some minutes only. Rows that came of it have the same keys when it is begun again.
        Err(error) if state.page.is_some() && matches!(error.class, ErrorClass::Invalid | ErrorClass::NotFound) => {
            look = look.anew();
            soap::page(&cx, &with, None).await?
        }
        page => page?,
    };
    let mut events = Vec::new();
    for row in page.items {
        let hash = hex::encode(Sha256::digest(row.to_string()));
        let key = format!("{}:{}", row["id"].as_str().unwrap_or_default(), &hash[..32]);
        if look.is_new(&key)? {
            events.push(event(key, row));
        }
    }
    let more = page.next.is_some();
    let seen = if more { look.under_way() } else { look.over() };
    Ok(Polled { events, cursor: json!(Looking { seen, page: page.next }), more })
}
