//! Alarms, and the notices they raise.

use async_trait::async_trait;
use sqlx::{Connection, QueryBuilder, SqliteConnection, sqlite::SqliteRow};
use store::{
    ALARMS_MAX, AlarmRow, Alarms, DAMAGED_MAX, Delivered, NoticeId, NoticeRow, NoticeState, Raised, RecipeId, StoreError,
    Timestamp, sound, sound_page,
};

use crate::{
    SqliteStore, failed,
    rows::{get, json},
};

const COLUMNS: &str = "id, alarm, grp, raised_at, body, state, tries, next_at, error";

#[async_trait]
impl Alarms for SqliteStore {
    async fn alarms(&self) -> Result<Vec<AlarmRow>, StoreError> {
        let rows = sqlx::query("select name, recipe_id, rule, deliver, set_by, set_at from alarms order by name limit ?")
            .bind(ALARMS_MAX)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        Ok(sound(&rows, alarm).collect())
    }

    async fn set_alarm(&self, row: &AlarmRow) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "insert into alarms (name, recipe_id, rule, deliver, set_by, set_at) select ?1, ?2, ?3, ?4, ?5, ?6 \
             where (select count(*) from alarms where name <> ?1) < ?7 \
             on conflict (name) do update set recipe_id = excluded.recipe_id, rule = excluded.rule, deliver = excluded.deliver, \
             set_by = excluded.set_by, set_at = excluded.set_at",
        )
        .bind(&row.name)
        .bind(row.recipe.map(|recipe| recipe.0))
        .bind(row.rule.to_string())
        .bind(row.deliver.to_string())
        .bind(&row.set_by)
        .bind(row.set_at.micros())
        .bind(ALARMS_MAX)
        .execute(&mut *self.writer().await)
        .await
        .map_err(failed)?;
        Ok(done.rows_affected() == 1)
    }

    async fn remove_alarm(&self, name: &str) -> Result<bool, StoreError> {
        remove(&mut *self.writer().await, name).await
    }

    async fn raise(&self, notice: &NoticeRow, quiet_since: Timestamp) -> Result<Raised, StoreError> {
        raise(&mut *self.writer().await, notice, quiet_since).await
    }

    async fn take_notice(&self, now: Timestamp, lease_until: Timestamp) -> Result<Option<NoticeRow>, StoreError> {
        // Most of the time nothing is due, and a reader sees that without keeping writers waiting.
        let due: Option<(i64,)> = sqlx::query_as("select 1 from notices where state = 0 and next_at <= ? limit 1")
            .bind(now.micros())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
        if due.is_none() {
            return Ok(None);
        }
        sqlx::query(
            "update notices set tries = tries + 1, next_at = ?2 \
             where id = (select id from notices where state = 0 and next_at <= ?1 order by next_at, id limit 1) \
             returning id, alarm, grp, raised_at, body, state, tries, next_at, error",
        )
        .bind(now.micros())
        .bind(lease_until.micros())
        .fetch_optional(&mut *self.writer().await)
        .await
        .map_err(failed)?
        .map(|row| notice(&row))
        .transpose()
    }

    async fn notice_delivered(&self, id: NoticeId, delivered: &Delivered) -> Result<bool, StoreError> {
        let done = sqlx::query("update notices set state = ?, next_at = ?, error = ? where id = ? and state = 0")
            .bind(delivered.state.number())
            .bind(delivered.at.micros())
            .bind(&delivered.error)
            .bind(id.0)
            .execute(&mut *self.writer().await)
            .await
            .map_err(failed)?;
        Ok(done.rows_affected() == 1)
    }

    async fn notices(&self, alarm: Option<&str>, before: Option<NoticeId>, limit: u32) -> Result<Vec<NoticeRow>, StoreError> {
        let mut query = QueryBuilder::new(format!("select {COLUMNS} from notices where true"));
        if let Some(alarm) = alarm {
            query.push(" and alarm = ").push_bind(alarm.to_owned());
        }
        if let Some(before) = before {
            query.push(" and id < ").push_bind(before.0);
        }
        query.push(" order by id desc limit ").push_bind(limit.saturating_add(DAMAGED_MAX));
        let rows = query.build().fetch_all(&self.readers).await.map_err(failed)?;
        Ok(sound_page(&rows, limit, notice))
    }

    async fn prune_notices(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        prune(&mut *self.writer().await, before, limit).await
    }
}

async fn remove(connection: &mut SqliteConnection, name: &str) -> Result<bool, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let done = sqlx::query("delete from alarms where name = ?").bind(name).execute(&mut *transaction).await.map_err(failed)?;
    for sql in ["delete from alarm_groups where alarm = ?", "delete from notices where alarm = ? and state = 0"] {
        sqlx::query(sql).bind(name).execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

async fn raise(connection: &mut SqliteConnection, row: &NoticeRow, quiet_since: Timestamp) -> Result<Raised, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let (raised_at,): (i64,) = sqlx::query_as(
        "insert into alarm_groups (alarm, grp, raised_at) values (?1, ?2, ?3) \
         on conflict (alarm, grp) do update set raised_at = case when raised_at <= ?4 then excluded.raised_at else raised_at end \
         returning raised_at",
    )
    .bind(&row.alarm)
    .bind(&row.group)
    .bind(row.raised_at.micros())
    .bind(quiet_since.micros())
    .fetch_one(&mut *transaction)
    .await
    .map_err(failed)?;
    // The notice's own id says whether this was the one: two may be raised in the same microsecond.
    let known: Option<(i64,)> = sqlx::query_as("select 1 from notices where alarm = ? and grp = ? and raised_at = ? limit 1")
        .bind(&row.alarm)
        .bind(&row.group)
        .bind(raised_at)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?;
    if raised_at != row.raised_at.micros() || known.is_some() {
        transaction.rollback().await.map_err(failed)?;
        return Ok(Raised::Before(Timestamp::from_micros(raised_at)));
    }
    sqlx::query(
        "insert into notices (id, alarm, grp, raised_at, body, state, tries, next_at, error) values (?, ?, ?, ?, ?, 0, 0, ?, null)",
    )
    .bind(row.id.0)
    .bind(&row.alarm)
    .bind(&row.group)
    .bind(row.raised_at.micros())
    .bind(row.body.to_string())
    .bind(row.next_at.micros())
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(Raised::New)
}

async fn prune(connection: &mut SqliteConnection, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let mut removed = 0;
    for sql in [
        "delete from notices where id in (select id from notices where state <> 0 and raised_at < ? limit ?)",
        "delete from alarm_groups where (alarm, grp) in (select alarm, grp from alarm_groups where raised_at < ? limit ?)",
    ] {
        let done = sqlx::query(sql).bind(before.micros()).bind(limit).execute(&mut *transaction).await.map_err(failed)?;
        removed += done.rows_affected();
    }
    transaction.commit().await.map_err(failed)?;
    Ok(removed)
}

fn alarm(row: &SqliteRow) -> Result<AlarmRow, StoreError> {
    let name: String = get(row, "name")?;
    Ok(AlarmRow {
        recipe: get::<Option<uuid::Uuid>>(row, "recipe_id")?.map(RecipeId),
        rule: json(&get::<String>(row, "rule")?, format_args!("alarms.rule of {name}"))?,
        deliver: json(&get::<String>(row, "deliver")?, format_args!("alarms.deliver of {name}"))?,
        name,
        set_by: get(row, "set_by")?,
        set_at: Timestamp::from_micros(get(row, "set_at")?),
    })
}

fn notice(row: &SqliteRow) -> Result<NoticeRow, StoreError> {
    let id = NoticeId(get(row, "id")?);
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
