//! Objects of the systems behind connections, and their fields, as those systems tell them.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use engine::{Known, ShapeError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Timestamp;
use utoipa::ToSchema;

use super::{Page, Part, instant};
use crate::{
    access::{Caller, Scope},
    error::{ApiError, ErrorBody},
    state::Shared,
};

/// The objects of a system.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ObjectsOut {
    #[serde(flatten)]
    page: Page<ObjectOut>,
    #[serde(flatten)]
    age: AgeOut,
}

/// An object of a system.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ObjectOut {
    /// Its name in recipes.
    name: String,
    /// What people call it.
    title: String,
}

/// The fields of an object.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldsOut {
    name: String,
    /// JSON Schema of its records: `properties` with `title`, `type`, `enum`, `readOnly`.
    schema: Value,
    #[serde(flatten)]
    age: AgeOut,
}

/// How old an answer is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgeOut {
    /// When the system told it.
    asked_at: String,
    /// How many seconds ago that was.
    age_s: u64,
    /// Why the system could not be asked anew although the answer is old.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Whether what is known is good enough.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Anew {
    /// Asks the system, however young the last answer is; takes the right to change connections.
    #[serde(default)]
    refresh: bool,
}

/// Which part of the objects, and whether what is known is good enough.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartAnew {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows on a page, 1 to 200. All that there are, when it is left out.
    limit: Option<u32>,
    /// Asks the system, however young the last answer is; takes the right to change connections.
    #[serde(default)]
    refresh: bool,
}

impl AgeOut {
    fn of<T>(known: &Known<T>, now: Timestamp) -> Self {
        let problem = known.problem.as_ref().map(|error| match &error.next {
            Some(next) => engine::catalogue::sentences(&error.message, Some(next)),
            None => error.message.clone(),
        });
        Self { asked_at: instant(known.asked_at), age_s: now.since(known.asked_at).as_secs(), problem }
    }
}

fn allowed(caller: &Caller, refresh: bool) -> Result<(), ApiError> {
    caller.need(if refresh { Scope::ConnectionsWrite } else { Scope::ConnectionsRead })
}

/// The objects of the system behind a connection, by name, as it told them last; it is asked when that is too long ago.
#[utoipa::path(get, path = "/connections/{name}/objects", tag = "connections", params(("name" = String, Path), PartAnew),
    responses((status = 200, body = ObjectsOut), (status = 404, body = ErrorBody),
        (status = 409, description = "Its connector tells no objects", body = ErrorBody),
        (status = 502, description = "The other system did not tell", body = ErrorBody)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Query(asked): Query<PartAnew>,
) -> Result<Json<ObjectsOut>, ApiError> {
    allowed(&caller, asked.refresh)?;
    let known = app.engine.objects(&name, asked.refresh).await?;
    let age = AgeOut::of(&known, app.now());
    let rows = known.told.into_iter().map(|object| ObjectOut { name: object.name, title: object.title }).collect();
    let part = Part { cursor: asked.cursor, limit: asked.limit };
    let page = Page::part(rows, part.limit, part.cursor, |row| row.name.clone(), |row: &ObjectOut| row.name.clone())?;
    Ok(Json(ObjectsOut { page, age }))
}

/// The fields of an object of the system behind a connection, as it told them last; it is asked when that is too long ago.
#[utoipa::path(get, path = "/connections/{name}/objects/{object}", tag = "connections",
    params(("name" = String, Path), ("object" = String, Path, description = "The object's name, as the system has it"), Anew),
    responses((status = 200, body = FieldsOut), (status = 404, body = ErrorBody),
        (status = 409, description = "Its connector tells no objects", body = ErrorBody),
        (status = 502, description = "The other system did not tell", body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path((name, object)): Path<(String, String)>,
    Query(asked): Query<Anew>,
) -> Result<Json<FieldsOut>, ApiError> {
    allowed(&caller, asked.refresh)?;
    let known = app.engine.object(&name, &object, asked.refresh).await?;
    let age = AgeOut::of(&known, app.now());
    Ok(Json(FieldsOut { name: object, schema: known.told, age }))
}

impl From<ShapeError> for ApiError {
    fn from(error: ShapeError) -> Self {
        match error {
            ShapeError::NoConnection(name) => Self::not_found(format!("connection {name:?}")),
            ShapeError::NoShapes(title) => Self::conflict(
                "NO_OBJECTS",
                format!("{title} has no objects that it could tell; its actions say what they take."),
            ),
            ShapeError::Name(_) => Self::field("object", "That is no name of an object. Take one from the list of objects."),
            ShapeError::Asked(error) => {
                let told = engine::catalogue::sentences(&error.message, error.next.as_deref());
                match error.class {
                    connector::ErrorClass::NotFound => Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", told),
                    _ => Self::new(StatusCode::BAD_GATEWAY, "SYSTEM_DID_NOT_TELL", told),
                }
            }
            ShapeError::Store(error) => error.into(),
        }
    }
}
