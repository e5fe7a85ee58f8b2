//! Alarms, and the notices they raise.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection, PgConnection, QueryBuilder, postgres::PgRow};
use store::{
    ALARMS_MAX, AlarmRow, Alarms, DAMAGED_MAX, Delivered, NoticeId, NoticeRow, NoticeState, Raised, RecipeId, StoreError,
    Timestamp, sound, sound_page,
};

use crate::{
    PostgresStore, TRIES_MAX,
    error::{failed, in_the_way},
    rows::{clean, get, json},
};

const COLUMNS: &str = "id, alarm, grp, raised_at, body, state, tries, next_at, error";

#[async_trait]
impl Alarms for PostgresStore {
    async fn alarms(&self) -> Result<Vec<AlarmRow>, StoreError> {
        ask!(self, connection => all(connection))
    }

    async fn set_alarm(&self, row: &AlarmRow) -> Result<bool, StoreError> {
        ask!(self, connection => set(connection, row))
    }

    async fn remove_alarm(&self, name: &str) -> Result<bool, StoreError> {
        ask!(self, connection => remove(connection, name))
    }

    async fn raise(&self, notice: &NoticeRow, quiet_since: Timestamp) -> Result<Raised, StoreError> {
        ask!(self, connection => raise(connection, notice, quiet_since))
    }

    async fn take_notice(&self, now: Timestamp, lease_until: Timestamp) -> Result<Option<NoticeRow>, StoreError> {
        ask!(self, connection => take(connection, now, lease_until))
    }

    async fn notice_delivered(&self, id: NoticeId, delivered: &Delivered) -> Result<bool, StoreError> {
        ask!(self, connection => told(connection, id, delivered))
    }

    async fn notices(&self, alarm: Option<&str>, before: Option<NoticeId>, limit: u32) -> Result<Vec<NoticeRow>, StoreError> {
        ask!(self, connection => notices(connection, alarm, before, limit))
    }

    async fn prune_notices(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        ask!(self, connection => prune(connection, before, limit))
    }
}

async fn all(connection: &mut PgConnection) -> Result<Vec<AlarmRow>, StoreError> {
    let rows = sqlx::query("select name, recipe_id, rule, deliver, set_by, set_at from alarms order by name limit $1")
        .bind(i64::from(ALARMS_MAX))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    Ok(sound(&rows, alarm).collect())
}

async fn set(connection: &mut PgConnection, row: &AlarmRow) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "insert into alarms (name, recipe_id, rule, deliver, set_by, set_at) select $1::text, $2::uuid, $3::text, $4::text, $5::text, $6::bigint \
         where (select count(*) from alarms where name <> $1) < $7 \
         on conflict (name) do update set recipe_id = excluded.recipe_id, rule = excluded.rule, deliver = excluded.deliver, \
         set_by = excluded.set_by, set_at = excluded.set_at",
    )
    .bind(clean(&row.name))
    .bind(row.recipe.map(|recipe| recipe.0))
    .bind(clean(&row.rule.to_string()))
    .bind(clean(&row.deliver.to_string()))
    .bind(clean(&row.set_by))
    .bind(row.set_at.micros())
    .bind(i64::from(ALARMS_MAX))
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

async fn take(connection: &mut PgConnection, now: Timestamp, lease_until: Timestamp) -> Result<Option<NoticeRow>, StoreError> {
    sqlx::query(
        "update notices set tries = tries + 1, next_at = $2 \
         where id = (select id from notices where state = 0 and next_at <= $1 order by next_at, id limit 1 for update skip locked) \
         returning id, alarm, grp, raised_at, body, state, tries, next_at, error",
    )
    .bind(now.micros())
    .bind(lease_until.micros())
    .fetch_optional(connection)
    .await
    .map_err(failed)?
    .map(|row| notice(&row))
    .transpose()
}

async fn told(connection: &mut PgConnection, id: NoticeId, delivered: &Delivered) -> Result<bool, StoreError> {
    let done = sqlx::query("update notices set state = $1, next_at = $2, error = $3 where id = $4 and state = 0")
        .bind(delivered.state.number())
        .bind(delivered.at.micros())
        .bind(delivered.error.as_deref().map(clean))
        .bind(id.0)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

async fn notices(
    connection: &mut PgConnection,
    alarm: Option<&str>,
    before: Option<NoticeId>,
    limit: u32,
) -> Result<Vec<NoticeRow>, StoreError> {
    let mut query = QueryBuilder::new(format!("select {COLUMNS} from notices where true"));
    if let Some(alarm) = alarm {
        query.push(" and alarm = ").push_bind(clean(alarm).into_owned());
    }
    if let Some(before) = before {
        query.push(" and id < ").push_bind(before.0);
    }
    query.push(" order by id desc limit ").push_bind(i64::from(limit.saturating_add(DAMAGED_MAX)));
    let rows = query.build().fetch_all(connection).await.map_err(failed)?;
    Ok(sound_page(&rows, limit, notice))
}

async fn remove(connection: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let done = sqlx::query("delete from alarms where name = $1").bind(name).execute(&mut *transaction).await.map_err(failed)?;
    for sql in ["delete from alarm_groups where alarm = $1", "delete from notices where alarm = $1 and state = 0"] {
        sqlx::query(sql).bind(name).execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

async fn raise(connection: &mut PgConnection, row: &NoticeRow, quiet_since: Timestamp) -> Result<Raised, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let (raised_at,): (i64,) = sqlx::query_as(
        "insert into alarm_groups (alarm, grp, raised_at) values ($1, $2, $3) \
         on conflict (alarm, grp) do update set raised_at = case when alarm_groups.raised_at <= $4 then excluded.raised_at else alarm_groups.raised_at end \
         returning raised_at",
    )
    .bind(clean(&row.alarm))
    .bind(clean(&row.group))
    .bind(row.raised_at.micros())
    .bind(quiet_since.micros())
    .fetch_one(&mut *transaction)
    .await
    .map_err(failed)?;
    // The notice's own id says whether this was the one: two may be raised in the same microsecond.
    let known: Option<(i64,)> =
        sqlx::query_as("select 1::bigint from notices where alarm = $1 and grp = $2 and raised_at = $3 limit 1")
            .bind(clean(&row.alarm))
            .bind(clean(&row.group))
            .bind(raised_at)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
    if raised_at != row.raised_at.micros() || known.is_some() {
        transaction.rollback().await.map_err(failed)?;
        return Ok(Raised::Before(Timestamp::from_micros(raised_at)));
    }
    sqlx::query(
        "insert into notices (id, alarm, grp, raised_at, body, state, tries, next_at, error) values ($1, $2, $3, $4, $5, 0, 0, $6, null)",
    )
    .bind(row.id.0)
    .bind(clean(&row.alarm))
    .bind(clean(&row.group))
    .bind(row.raised_at.micros())
    .bind(clean(&row.body.to_string()))
    .bind(row.next_at.micros())
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(Raised::New)
}

async fn prune(connection: &mut PgConnection, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let mut removed = 0;
    for sql in [
        "delete from notices where id in (select id from notices where state <> 0 and raised_at < $1 limit $2)",
        "delete from alarm_groups where (alarm, grp) in (select alarm, grp from alarm_groups where raised_at < $1 limit $2)",
    ] {
        let done =
            sqlx::query(sql).bind(before.micros()).bind(i64::from(limit)).execute(&mut *transaction).await.map_err(failed)?;
        removed += done.rows_affected();
    }
    transaction.commit().await.map_err(failed)?;
    Ok(removed)
}

fn alarm(row: &PgRow) -> Result<AlarmRow, StoreError> {
    let name: String = get(row, "alarms.name")?;
    Ok(AlarmRow {
        recipe: get::<Option<uuid::Uuid>>(row, "recipe_id")?.map(RecipeId),
        rule: json(&get::<String>(row, "rule")?, format_args!("alarms.rule of {name}"))?,
        deliver: json(&get::<String>(row, "deliver")?, format_args!("alarms.deliver of {name}"))?,
        name,
        set_by: get(row, "set_by")?,
        set_at: Timestamp::from_micros(get(row, "set_at")?),
    })
}

fn notice(row: &PgRow) -> Result<NoticeRow, StoreError> {
    let id = NoticeId(get(row, "notices.id")?);
    let state: i16 = get(row, "state")?;
    Ok(NoticeRow {
        id,
        alarm: get(row, "alarm")?,
        group: get(row, "grp")?,
        raised_at: Timestamp::from_micros(get(row, "raised_at")?),
        body: json(&get::<String>(row, "body")?, format_args!("notices.body of {id}"))?,
        state: NoticeState::from_number(state)
            .ok_or_else(|| StoreError::Corrupt(format!("notices.state {state} of {id} makes no sense")))?,
        tries: get(row, "tries")?,
        next_at: Timestamp::from_micros(get(row, "next_at")?),
        error: get(row, "error")?,
    })
}
