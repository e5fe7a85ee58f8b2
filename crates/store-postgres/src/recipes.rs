//! Recipes, their versions, and which of them run.

use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use store::{Activated, ActiveRecipe, NewVersion, RecipeId, RecipeRow, RecipeVersion, Saved, StoreError, Timestamp, sound};
use uuid::Uuid;

use crate::{
    failed,
    rows::{RECIPE_COLUMNS, clean, get, instant, recipe},
};

pub(crate) async fn save(connection: &mut PgConnection, new: &NewVersion) -> Result<Saved, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let fresh = RecipeRow {
        id: new.id,
        slug: clean(&new.slug).into_owned(),
        title: clean(&new.title).into_owned(),
        latest_version: 1,
        active_version: None,
        params: Json::Object(serde_json::Map::new()),
        hook_token: new.hook_token.clone(),
        revision: 1,
        created_at: new.at,
        updated_at: new.at,
    };
    // The insert comes first: of two processes that save the same new slug, the second waits for the
    // first here and then finds its row.
    let created = sqlx::query(
        "insert into recipes (id, slug, title, latest_version, hook_token, revision, created_at, updated_at) \
         values ($1, $2, $3, 1, $4, 1, $5, $5) on conflict (slug) do nothing",
    )
    .bind(fresh.id.0)
    .bind(&fresh.slug)
    .bind(&fresh.title)
    .bind(&fresh.hook_token)
    .bind(new.at.micros())
    .execute(&mut *transaction)
    .await
    .map_err(failed)?
    .rows_affected();
    let saved = if created == 1 {
        Saved::Created(fresh)
    } else {
        let row = find(&mut transaction, &fresh.slug).await?;
        if new.if_revision.is_some_and(|seen| seen != row.revision) {
            return Ok(Saved::Stale(row));
        }
        let latest = sqlx::query("select hash from recipe_versions where recipe_id = $1 and version = $2")
            .bind(row.id.0)
            .bind(row.latest_version)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?
            .ok_or_else(|| {
                StoreError::Corrupt(format!("recipe_versions lacks version {} of {}", row.latest_version, row.slug))
            })?;
        if get::<String>(&latest, "recipe_versions.hash")? == new.hash {
            return Ok(Saved::Unchanged(row));
        }
        let row = RecipeRow {
            title: fresh.title,
            latest_version: row.latest_version + 1,
            revision: row.revision + 1,
            updated_at: new.at,
            ..row
        };
        sqlx::query("update recipes set title = $1, latest_version = $2, revision = $3, updated_at = $4 where id = $5")
            .bind(&row.title)
            .bind(row.latest_version)
            .bind(row.revision)
            .bind(new.at.micros())
            .bind(row.id.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        Saved::Updated(row)
    };
    if let Saved::Created(row) | Saved::Updated(row) = &saved {
        sqlx::query(
            "insert into recipe_versions (recipe_id, version, text, hash, created_at, created_by) values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(row.id.0)
        .bind(row.latest_version)
        .bind(clean(&new.text))
        .bind(&new.hash)
        .bind(new.at.micros())
        .bind(clean(&new.by))
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        touch_catalogue(&mut transaction).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(saved)
}

pub(crate) async fn activate(
    connection: &mut PgConnection,
    id: RecipeId,
    version: Option<i32>,
    params: &Json,
    now: Timestamp,
) -> Result<Option<RecipeRow>, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let row = set_active(&mut transaction, id, version, params, now).await?;
    if row.is_some() {
        touch_catalogue(&mut transaction).await?;
        transaction.commit().await.map_err(failed)?;
    }
    Ok(row)
}

pub(crate) async fn activate_unless_moved(
    connection: &mut PgConnection,
    id: RecipeId,
    version: i32,
    params: &Json,
    catalogue: i64,
    now: Timestamp,
) -> Result<Activated, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    // The recipe first and the number after it, as everybody who changes recipes takes them. Of two who come
    // with the same number, the second waits for the first here and then finds another one.
    let Some(row) = set_active(&mut transaction, id, Some(version), params, now).await? else { return Ok(Activated::Missing) };
    let still = sqlx::query(
        "update settings set value = (value::bigint + 1)::text where name = 'catalogue_revision' and value = $1 \
         returning pg_notify('liaison_work', '')",
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
    connection: &mut PgConnection,
    id: RecipeId,
    version: Option<i32>,
    params: &Json,
    now: Timestamp,
) -> Result<Option<RecipeRow>, StoreError> {
    sqlx::query(AssertSqlSafe(format!(
        "update recipes set \
         schedule_cursor = case when active_version is null then $1 else schedule_cursor end, \
         active_version = $2::int, params = case when $2::int is null then params else $3 end, revision = revision + 1, updated_at = $1 \
         where id = $4 and ($2::int is null or exists (select from recipe_versions where recipe_id = $4 and version = $2::int)) \
         returning {RECIPE_COLUMNS}",
    )))
    .bind(now.micros())
    .bind(version)
    .bind(params.to_string())
    .bind(id.0)
    .fetch_optional(connection)
    .await
    .map_err(failed)?
    .map(|row| recipe(&row))
    .transpose()
}

/// Tells every process that recipes or connections changed.
pub(crate) async fn touch_catalogue(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query(
        "update settings set value = (value::bigint + 1)::text where name = 'catalogue_revision' \
         returning pg_notify('liaison_work', '')",
    )
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

pub(crate) async fn revision(connection: &mut PgConnection) -> Result<i64, StoreError> {
    let row = sqlx::query("select value from settings where name = 'catalogue_revision'")
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .ok_or_else(|| StoreError::Corrupt("settings.catalogue_revision is gone".to_owned()))?;
    get::<String>(&row, "settings.value")?
        .parse()
        .map_err(|_| StoreError::Corrupt("settings.catalogue_revision is not a number".to_owned()))
}

pub(crate) async fn active(connection: &mut PgConnection) -> Result<Vec<ActiveRecipe>, StoreError> {
    let rows = sqlx::query(
        "select c.id, c.slug, c.title, c.latest_version, c.active_version, c.params, c.hook_token, c.revision, c.created_at, \
         c.updated_at, c.schedule_cursor, v.text from recipes c \
         join recipe_versions v on v.recipe_id = c.id and v.version = c.active_version order by c.slug",
    )
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let read = |row| {
        Ok(ActiveRecipe {
            row: recipe(row)?,
            text: get(row, "recipe_versions.text")?,
            schedule_cursor: instant(row, "recipes.schedule_cursor")?,
        })
    };
    Ok(sound(&rows, read).collect())
}

pub(crate) async fn advance(connection: &mut PgConnection, to: &[(RecipeId, Timestamp)]) -> Result<(), StoreError> {
    let (ids, cursors): (Vec<Uuid>, Vec<i64>) = to.iter().map(|(id, to)| (id.0, to.micros())).unzip();
    // Held in one order, whichever process comes with which of them.
    sqlx::query(
        "with due as (select r.id, v.cursor from recipes r join unnest($1::uuid[], $2::bigint[]) as v (id, cursor) on r.id = v.id \
         where r.schedule_cursor is null or r.schedule_cursor < v.cursor order by r.id for update of r) \
         update recipes set schedule_cursor = due.cursor from due where recipes.id = due.id",
    )
    .bind(ids)
    .bind(cursors)
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

/// The recipe as it is now, held until the transaction ends.
async fn find(connection: &mut PgConnection, slug: &str) -> Result<RecipeRow, StoreError> {
    let row = sqlx::query(AssertSqlSafe(format!("select {RECIPE_COLUMNS} from recipes where slug = $1 for update")))
        .bind(slug)
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    recipe(&row)
}

pub(crate) async fn list(connection: &mut PgConnection) -> Result<Vec<RecipeRow>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!("select {RECIPE_COLUMNS} from recipes order by slug")))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    Ok(sound(&rows, recipe).collect())
}

pub(crate) async fn by_slug(connection: &mut PgConnection, slug: &str) -> Result<Option<RecipeRow>, StoreError> {
    sqlx::query(AssertSqlSafe(format!("select {RECIPE_COLUMNS} from recipes where slug = $1")))
        .bind(clean(slug))
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .map(|row| recipe(&row))
        .transpose()
}

pub(crate) async fn by_hook(connection: &mut PgConnection, token: &str) -> Result<Option<RecipeRow>, StoreError> {
    sqlx::query(AssertSqlSafe(format!("select {RECIPE_COLUMNS} from recipes where hook_token = $1")))
        .bind(clean(token))
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .map(|row| recipe(&row))
        .transpose()
}

pub(crate) async fn by_id(connection: &mut PgConnection, id: RecipeId) -> Result<Option<RecipeRow>, StoreError> {
    sqlx::query(AssertSqlSafe(format!("select {RECIPE_COLUMNS} from recipes where id = $1")))
        .bind(id.0)
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .map(|row| recipe(&row))
        .transpose()
}

pub(crate) async fn version(
    connection: &mut PgConnection,
    id: RecipeId,
    version: i32,
) -> Result<Option<RecipeVersion>, StoreError> {
    let row = sqlx::query("select text, hash, created_at, created_by from recipe_versions where recipe_id = $1 and version = $2")
        .bind(id.0)
        .bind(version)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.map(|row| {
        Ok(RecipeVersion {
            recipe: id,
            version,
            text: get(&row, "recipe_versions.text")?,
            hash: get(&row, "recipe_versions.hash")?,
            created_at: Timestamp::from_micros(get(&row, "recipe_versions.created_at")?),
            created_by: get(&row, "recipe_versions.created_by")?,
        })
    })
    .transpose()
}

pub(crate) async fn versions(connection: &mut PgConnection, id: RecipeId) -> Result<Vec<RecipeVersion>, StoreError> {
    let rows = sqlx::query(
        "select version, hash, created_at, created_by from recipe_versions where recipe_id = $1 order by version desc",
    )
    .bind(id.0)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(RecipeVersion {
                recipe: id,
                version: get(row, "recipe_versions.version")?,
                text: String::new(),
                hash: get(row, "recipe_versions.hash")?,
                created_at: Timestamp::from_micros(get(row, "recipe_versions.created_at")?),
                created_by: get(row, "recipe_versions.created_by")?,
            })
        })
        .collect()
}
