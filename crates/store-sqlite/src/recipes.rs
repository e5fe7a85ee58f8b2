//! Recipes, their versions, and which of them run.

use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, SqlitePool};
use store::{Activated, ActiveRecipe, NewVersion, RecipeId, RecipeRow, RecipeVersion, Saved, StoreError, Timestamp, sound};

use crate::{
    failed,
    rows::{RECIPE_COLUMNS, get, instant, recipe},
};

pub(crate) async fn save(connection: &mut SqliteConnection, new: NewVersion) -> Result<Saved, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let found = find(&mut transaction, &new.slug).await?;
    let saved = match found {
        None => {
            let row = RecipeRow {
                id: new.id,
                slug: new.slug.clone(),
                title: new.title.clone(),
                latest_version: 1,
                active_version: None,
                params: Json::Object(serde_json::Map::new()),
                hook_token: new.hook_token.clone(),
                revision: 1,
                created_at: new.at,
                updated_at: new.at,
            };
            sqlx::query(
                "insert into recipes (id, slug, title, latest_version, hook_token, revision, created_at, updated_at) \
                 values (?, ?, ?, 1, ?, 1, ?, ?)",
            )
            .bind(row.id.0)
            .bind(&row.slug)
            .bind(&row.title)
            .bind(&row.hook_token)
            .bind(new.at.micros())
            .bind(new.at.micros())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
            Saved::Created(row)
        }
        Some(row) if new.if_revision.is_some_and(|seen| seen != row.revision) => return Ok(Saved::Stale(row)),
        Some(row) => {
            let (hash,): (String,) = sqlx::query_as("select hash from recipe_versions where recipe_id = ? and version = ?")
                .bind(row.id.0)
                .bind(row.latest_version)
                .fetch_one(&mut *transaction)
                .await
                .map_err(failed)?;
            if hash == new.hash {
                return Ok(Saved::Unchanged(row));
            }
            let row = RecipeRow {
                title: new.title.clone(),
                latest_version: row.latest_version + 1,
                revision: row.revision + 1,
                updated_at: new.at,
                ..row
            };
            sqlx::query("update recipes set title = ?, latest_version = ?, revision = ?, updated_at = ? where id = ?")
                .bind(&row.title)
                .bind(row.latest_version)
                .bind(row.revision)
                .bind(new.at.micros())
                .bind(row.id.0)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            Saved::Updated(row)
        }
    };
    if let Saved::Created(row) | Saved::Updated(row) = &saved {
        sqlx::query(
            "insert into recipe_versions (recipe_id, version, text, hash, created_at, created_by) values (?, ?, ?, ?, ?, ?)",
        )
        .bind(row.id.0)
        .bind(row.latest_version)
        .bind(&new.text)
        .bind(&new.hash)
        .bind(new.at.micros())
        .bind(&new.by)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        touch_catalogue(&mut transaction).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(saved)
}

pub(crate) async fn activate(
    connection: &mut SqliteConnection,
    id: RecipeId,
    version: Option<i32>,
    params: &Json,
    now: Timestamp,
) -> Result<Option<RecipeRow>, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let row = set_active(&mut transaction, id, version, params, now).await?;
    if row.is_some() {
        touch_catalogue(&mut transaction).await?;
        transaction.commit().await.map_err(failed)?;
    }
    Ok(row)
}

pub(crate) async fn activate_unless_moved(
    connection: &mut SqliteConnection,
    id: RecipeId,
    version: i32,
    params: &Json,
    catalogue: i64,
    now: Timestamp,
) -> Result<Activated, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let Some(row) = set_active(&mut transaction, id, Some(version), params, now).await? else { return Ok(Activated::Missing) };
    let still = sqlx::query(
        "update settings set value = cast(cast(value as integer) + 1 as text) where name = 'catalogue_revision' and value = ?",
    )
    .bind(catalogue.to_string())
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    if still.rows_affected() == 0 {
        return Ok(Activated::Moved);
    }
    transaction.commit().await.map_err(failed)?;
    Ok(Activated::On(row))
}

async fn set_active(
    connection: &mut SqliteConnection,
    id: RecipeId,
    version: Option<i32>,
    params: &Json,
    now: Timestamp,
) -> Result<Option<RecipeRow>, StoreError> {
    let done = sqlx::query(
        "update recipes set \
         schedule_cursor = case when active_version is null then ?1 else schedule_cursor end, \
         active_version = ?2, params = case when ?2 is null then params else ?3 end, revision = revision + 1, updated_at = ?1 \
         where id = ?4 and (?2 is null or exists (select 1 from recipe_versions where recipe_id = ?4 and version = ?2))",
    )
    .bind(now.micros())
    .bind(version)
    .bind(params.to_string())
    .bind(id.0)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    let row = sqlx::query(AssertSqlSafe(format!("select {RECIPE_COLUMNS} from recipes where id = ?")))
        .bind(id.0)
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    recipe(&row).map(Some)
}

/// Tells every process that looks that recipes or connections changed.
pub(crate) async fn touch_catalogue(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("update settings set value = cast(cast(value as integer) + 1 as text) where name = 'catalogue_revision'")
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

pub(crate) async fn revision(pool: &SqlitePool) -> Result<i64, StoreError> {
    let (value,): (String,) = sqlx::query_as("select value from settings where name = 'catalogue_revision'")
        .fetch_optional(pool)
        .await
        .map_err(failed)?
        .ok_or_else(|| StoreError::Corrupt("settings.catalogue_revision is gone".to_owned()))?;
    value.parse().map_err(|_| StoreError::Corrupt("settings.catalogue_revision is not a number".to_owned()))
}

pub(crate) async fn active(pool: &SqlitePool) -> Result<Vec<ActiveRecipe>, StoreError> {
    let rows = sqlx::query(
        "select c.id, c.slug, c.title, c.latest_version, c.active_version, c.params, c.hook_token, c.revision, c.created_at, \
         c.updated_at, c.schedule_cursor, v.text from recipes c \
         join recipe_versions v on v.recipe_id = c.id and v.version = c.active_version order by c.slug",
    )
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let read =
        |row| Ok(ActiveRecipe { row: recipe(row)?, text: get(row, "text")?, schedule_cursor: instant(row, "schedule_cursor")? });
    Ok(sound(&rows, read).collect())
}

pub(crate) async fn advance(connection: &mut SqliteConnection, to: &[(RecipeId, Timestamp)]) -> Result<(), StoreError> {
    let to: Vec<(String, i64)> = to.iter().map(|(id, to)| (id.0.simple().to_string(), to.micros())).collect();
    let to = serde_json::to_string(&to).map_err(|error| StoreError::Internal(error.to_string()))?;
    sqlx::query(
        "update recipes set schedule_cursor = v.cursor \
         from (select unhex(value ->> 0) as id, value ->> 1 as cursor from json_each(?)) as v \
         where recipes.id = v.id and (schedule_cursor is null or schedule_cursor < v.cursor)",
    )
    .bind(to)
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

async fn find(connection: &mut SqliteConnection, slug: &str) -> Result<Option<RecipeRow>, StoreError> {
    sqlx::query(AssertSqlSafe(format!("select {RECIPE_COLUMNS} from recipes where slug = ?")))
        .bind(slug)
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .map(|row| recipe(&row))
        .transpose()
}

pub(crate) async fn list(pool: &SqlitePool) -> Result<Vec<RecipeRow>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!("select {RECIPE_COLUMNS} from recipes order by slug")))
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    Ok(sound(&rows, recipe).collect())
}

pub(crate) async fn by_slug(pool: &SqlitePool, slug: &str) -> Result<Option<RecipeRow>, StoreError> {
    sqlx::query(AssertSqlSafe(format!("select {RECIPE_COLUMNS} from recipes where slug = ?")))
        .bind(slug)
        .fetch_optional(pool)
        .await
        .map_err(failed)?
        .map(|row| recipe(&row))
        .transpose()
}

pub(crate) async fn by_hook(pool: &SqlitePool, token: &str) -> Result<Option<RecipeRow>, StoreError> {
    sqlx::query(AssertSqlSafe(format!("select {RECIPE_COLUMNS} from recipes where hook_token = ?")))
        .bind(token)
        .fetch_optional(pool)
        .await
        .map_err(failed)?
        .map(|row| recipe(&row))
        .transpose()
}

pub(crate) async fn by_id(pool: &SqlitePool, id: RecipeId) -> Result<Option<RecipeRow>, StoreError> {
    sqlx::query(AssertSqlSafe(format!("select {RECIPE_COLUMNS} from recipes where id = ?")))
        .bind(id.0)
        .fetch_optional(pool)
        .await
        .map_err(failed)?
        .map(|row| recipe(&row))
        .transpose()
}

pub(crate) async fn version(pool: &SqlitePool, id: RecipeId, version: i32) -> Result<Option<RecipeVersion>, StoreError> {
    let row = sqlx::query("select text, hash, created_at, created_by from recipe_versions where recipe_id = ? and version = ?")
        .bind(id.0)
        .bind(version)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.map(|row| {
        Ok(RecipeVersion {
            recipe: id,
            version,
            text: get(&row, "text")?,
            hash: get(&row, "hash")?,
            created_at: Timestamp::from_micros(get(&row, "created_at")?),
            created_by: get(&row, "created_by")?,
        })
    })
    .transpose()
}

pub(crate) async fn versions(pool: &SqlitePool, id: RecipeId) -> Result<Vec<RecipeVersion>, StoreError> {
    let rows = sqlx::query(
        "select version, hash, created_at, created_by from recipe_versions where recipe_id = ? order by version desc",
    )
    .bind(id.0)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(RecipeVersion {
                recipe: id,
                version: get(row, "version")?,
                text: String::new(),
                hash: get(row, "hash")?,
                created_at: Timestamp::from_micros(get(row, "created_at")?),
                created_by: get(row, "created_by")?,
            })
        })
        .collect()
}
