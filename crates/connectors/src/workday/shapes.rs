//! Fields that only the tenant knows: data sources of WQL by their names, and reports by `owner/Report_Name`.

use connector::{Cx, ErrorClass, Object, Shapes, StepError};
use serde_json::{Map, Value as Json, json};

use super::{api, raas};

/// Sources and fields read at most.
const MOST: usize = 5_000;

async fn objects(cx: Cx) -> Result<Vec<Object>, StepError> {
    let rows = connector::whole(MOST, |cursor| api::page(&cx, ("wql", &["dataSources"]), &[], cursor)).await?;
    let object =
        |row: &Json| Some(Object { name: row["alias"].as_str()?.to_owned(), title: row["descriptor"].as_str()?.to_owned() });
    Ok(rows.iter().filter_map(object).collect())
}

async fn object(cx: Cx, name: String) -> Result<Json, StepError> {
    if name.contains('/') { raas::columns(&cx, &name).await } else { source(cx, name).await }
}

/// The fields of a data source, as a record of a query that selects them all.
async fn source(cx: Cx, name: String) -> Result<Json, StepError> {
    let query = [("alias", name.clone())];
    let found = connector::whole(MOST, |cursor| api::page(&cx, ("wql", &["dataSources"]), &query, cursor)).await?;
    let source = found.iter().find(|row| row["alias"] == name.as_str());
    let id = source.and_then(|row| row["id"].as_str()).ok_or_else(|| {
        StepError::new(ErrorClass::NotFound, "NOT_FOUND", format!("Workday has no data source {name}"))
            .with_next("Take a name from the list of data sources.")
    })?;
    let path = ["dataSources", id, "fields"];
    let fields = connector::whole(MOST, |cursor| api::page(&cx, ("wql", &path), &[], cursor)).await?;
    let mut properties = Map::new();
    for field in &fields {
        let Some(alias) = field["alias"].as_str() else { continue };
        let kind = match field["type"].as_str().unwrap_or_default() {
            "Boolean" => json!("boolean"),
            "Numeric" => json!("number"),
            "Currency" | "Single instance" => json!("object"),
            "Multi-instance" => json!("array"),
            _ => json!("string"),
        };
        properties.insert(alias.to_owned(), json!({ "type": kind, "title": field["descriptor"] }));
    }
    Ok(json!({ "type": "object", "title": name, "properties": properties }))
}

pub(super) fn shapes() -> Shapes {
    Shapes::new(objects, object)
}
