//! Requests to webhook addresses that started no run.

use sqlx::{AssertSqlSafe, Connection, PgConnection, QueryBuilder, postgres::PgRow};
use store::{
    DAMAGED_MAX, InboundBounds, InboundFilter, InboundId, InboundRow, RecipeId, RunId, StoreError, Timestamp, Verdict, sound_page,
};

use crate::{
    failed,
    rows::{clean, get, json},
};

/// The columns of a list; only one request by itself brings its body.
const COLUMNS: &str = "id, received_at, bucket, address, method, path, query, headers, body_bytes, verdict, code, reason, \
    expires_at, recipe_id, run_id";

pub(crate) async fn keep(connection: &mut PgConnection, rows: &[InboundRow], bounds: &InboundBounds) -> Result<u64, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    for row in rows {
        insert(&mut transaction, row).await?;
    }
    let mut buckets: Vec<&str> = rows.iter().map(|row| row.bucket.as_str()).collect();
    buckets.sort_unstable();
    buckets.dedup();
    let mut removed = 0;
    for bucket in buckets {
        removed += sqlx::query(
            "delete from inbound where id in (select id from (select id, row_number() over (order by id desc) as place, \
             sum(bytes) over (order by id desc) as weight from inbound where bucket = $1) as counted \
             where place > $2 or weight > $3)",
        )
        .bind(clean(bucket))
        .bind(i64::from(bounds.address_rows_max))
        .bind(bounds.address_bytes_max)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?
        .rows_affected();
    }
    removed += sqlx::query(
        "delete from inbound where id in (select id from (select id, row_number() over (order by id desc) as place, \
         sum(bytes) over (order by id desc) as weight from inbound) as counted where place > $1 or weight > $2)",
    )
    .bind(i64::from(bounds.rows_max))
    .bind(bounds.bytes_max)
    .execute(&mut *transaction)
    .await
    .map_err(failed)?
    .rows_affected();
    transaction.commit().await.map_err(failed)?;
    Ok(removed)
}

async fn insert(connection: &mut PgConnection, row: &InboundRow) -> Result<(), StoreError> {
    sqlx::query(
        "insert into inbound (id, received_at, bucket, address, method, path, query, headers, body, body_bytes, verdict, code, \
         reason, bytes, expires_at, recipe_id, run_id) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) on conflict (id) do nothing",
    )
    .bind(row.id.0)
    .bind(row.received_at.micros())
    .bind(clean(&row.bucket))
    .bind(clean(&row.address))
    .bind(clean(&row.method))
    .bind(clean(&row.path))
    .bind(clean(&row.query))
    .bind(row.headers.to_string())
    .bind(row.body.as_slice())
    .bind(row.body_bytes)
    .bind(row.verdict.number())
    .bind(clean(&row.code))
    .bind(clean(&row.reason))
    .bind(row.bytes())
    .bind(row.expires_at.micros())
    .bind(row.recipe.map(|id| id.0))
    .bind(row.run.map(|id| id.0))
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

pub(crate) async fn assign(
    connection: &mut PgConnection,
    id: InboundId,
    recipe: RecipeId,
    run: Option<RunId>,
) -> Result<bool, StoreError> {
    let done = sqlx::query("update inbound set recipe_id = $1, run_id = $2 where id = $3")
        .bind(recipe.0)
        .bind(run.map(|id| id.0))
        .bind(id.0)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn delete(connection: &mut PgConnection, id: InboundId) -> Result<bool, StoreError> {
    let done = sqlx::query("delete from inbound where id = $1").bind(id.0).execute(connection).await.map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn list(connection: &mut PgConnection, filter: &InboundFilter) -> Result<Vec<InboundRow>, StoreError> {
    let mut query = QueryBuilder::new(format!("select {COLUMNS} from inbound where true"));
    if let Some(verdict) = filter.verdict {
        query.push(" and verdict = ").push_bind(verdict.number());
    }
    if let Some(address) = &filter.address {
        let address = clean(address).into_owned();
        query.push(" and (address = ").push_bind(address.clone()).push(" or bucket = ").push_bind(address).push(")");
    }
    if let Some(since) = filter.since {
        query.push(" and received_at >= ").push_bind(since.micros());
    }
    if let Some(until) = filter.until {
        query.push(" and received_at < ").push_bind(until.micros());
    }
    if let Some(before) = filter.before {
        query.push(" and id < ").push_bind(before.0);
    }
    query.push(" order by id desc limit ").push_bind(i64::from(filter.limit.saturating_add(DAMAGED_MAX)));
    let rows = query.build().fetch_all(connection).await.map_err(failed)?;
    Ok(sound_page(&rows, filter.limit, |row| inbound(row, Vec::new())))
}

pub(crate) async fn by_id(connection: &mut PgConnection, id: InboundId) -> Result<Option<InboundRow>, StoreError> {
    sqlx::query(AssertSqlSafe(format!("select {COLUMNS}, body from inbound where id = $1")))
        .bind(id.0)
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .map(|row| inbound(&row, get(&row, "inbound.body")?))
        .transpose()
}

fn inbound(row: &PgRow, body: Vec<u8>) -> Result<InboundRow, StoreError> {
    let id = InboundId(get(row, "inbound.id")?);
    Ok(InboundRow {
        id,
        received_at: Timestamp::from_micros(get(row, "inbound.received_at")?),
        bucket: get(row, "inbound.bucket")?,
        address: get(row, "inbound.address")?,
        method: get(row, "inbound.method")?,
        path: get(row, "inbound.path")?,
        query: get(row, "inbound.query")?,
        headers: json(&get::<String>(row, "inbound.headers")?, format_args!("inbound.headers of {id}"))?,
        body,
        body_bytes: get(row, "inbound.body_bytes")?,
        verdict: Verdict::from_number(get(row, "inbound.verdict")?)
            .ok_or_else(|| StoreError::Corrupt(format!("inbound.verdict of {id} makes no sense")))?,
        code: get(row, "inbound.code")?,
        reason: get(row, "inbound.reason")?,
        expires_at: Timestamp::from_micros(get(row, "inbound.expires_at")?),
        recipe: get::<Option<uuid::Uuid>>(row, "inbound.recipe_id")?.map(RecipeId),
        run: get::<Option<uuid::Uuid>>(row, "inbound.run_id")?.map(RunId),
    })
}
