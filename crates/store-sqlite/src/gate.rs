//! Circuits, budgets and the audit list.

use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteRow};
use store::{
    AuditId, AuditRow, BudgetAsk, BudgetHolder, BudgetLease, BudgetLimits, BudgetRow, ConnectionId, GateClass, GateRow,
    GateState, Gates, StoreError, Timestamp, Told, WaitingFor, WorkerId, sound,
};

use crate::{
    SqliteStore, failed,
    rows::{get, instant},
};

#[async_trait]
impl Gates for SqliteStore {
    async fn shared_clock(&self) -> Result<Option<Timestamp>, StoreError> {
        // One process: its own clock is everybody's.
        Ok(None)
    }

    async fn gates(&self) -> Result<Vec<GateRow>, StoreError> {
        let sql = "select connection, class, state, cause, changed_by, since, next_probe, prober, openings, successes, revision \
                   from gates order by connection, class";
        let rows = sqlx::query(sql).fetch_all(&self.readers).await.map_err(failed)?;
        Ok(sound(&rows, gate).collect())
    }

    async fn move_gate(&self, row: &GateRow, audit: Option<&AuditRow>) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
        let done = sqlx::query(
            "insert into gates (connection, class, state, cause, changed_by, since, next_probe, prober, openings, successes, revision) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 + 1) \
             on conflict (connection, class) do update set state = excluded.state, cause = excluded.cause, \
             changed_by = excluded.changed_by, since = excluded.since, next_probe = excluded.next_probe, prober = excluded.prober, \
             openings = excluded.openings, successes = excluded.successes, revision = excluded.revision where gates.revision = ?11",
        )
        .bind(&row.connection)
        .bind(row.class.number())
        .bind(row.state.number())
        .bind(&row.cause)
        .bind(&row.changed_by)
        .bind(row.since.micros())
        .bind(row.next_probe.map(Timestamp::micros))
        .bind(row.prober.map(|worker| worker.0))
        .bind(row.openings)
        .bind(row.successes)
        .bind(row.revision)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        if let Some(audit) = audit {
            keep_audit(&mut transaction, audit).await?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    async fn lease_budget(&self, ask: &BudgetAsk) -> Result<BudgetLease, StoreError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
        let row = read_budget(&mut transaction, &ask.connection).await?;
        let row = row.unwrap_or_else(|| BudgetRow::full(&ask.limits, ask.now));
        let holders = holders(&mut transaction, &ask.connection).await?;
        let (row, holder, lease) = row.lease(&holders, ask);
        keep_budget(&mut transaction, &ask.connection, &row).await?;
        keep_holder(&mut transaction, &ask.connection, &holder, ask.now).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(lease)
    }

    async fn pause_budget(&self, connection: &str, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "insert into budgets (connection, tokens, refreshed_at, day, day_used, paused_until, paused_at) values (?1, 0, ?3, 0, 0, ?2, ?3) \
             on conflict (connection) do update set paused_until = max(coalesce(paused_until, 0), excluded.paused_until), \
             paused_at = case when paused_until > ?3 then paused_at else ?3 end",
        )
        .bind(connection)
        .bind(until.micros())
        .bind(now.micros())
        .execute(&mut *self.writer().await)
        .await
        .map(drop)
        .map_err(failed)
    }

    async fn set_pause(
        &self,
        connection: &str,
        until: Option<Timestamp>,
        now: Timestamp,
        audit: &AuditRow,
    ) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
        let sql = match until {
            Some(_) => {
                "insert into budgets (connection, tokens, refreshed_at, day, day_used, paused_until, paused_at) values (?1, 0, ?3, 0, 0, ?2, ?3) \
                 on conflict (connection) do update set paused_until = ?2, paused_at = ?3"
            }
            None => "update budgets set paused_until = ?2, paused_at = null where connection = ?1 and paused_until > ?3",
        };
        let done = sqlx::query(sql)
            .bind(connection)
            .bind(until.map(Timestamp::micros))
            .bind(now.micros())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        keep_audit(&mut transaction, audit).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    async fn pauses(&self, now: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let rows = sqlx::query("select connection, paused_until from budgets where paused_until > ?")
            .bind(now.micros())
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        rows.iter().map(|row| Ok((get(row, "connection")?, Timestamp::from_micros(get(row, "paused_until")?)))).collect()
    }

    async fn hear_limit(&self, connection: &str, told: &Told) -> Result<(), StoreError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
        let row = read_budget(&mut transaction, connection).await?;
        let row = row.unwrap_or_else(|| BudgetRow::full(&BudgetLimits::default(), told.at)).hear(told);
        keep_budget(&mut transaction, connection, &row).await?;
        transaction.commit().await.map_err(failed)
    }

    async fn told_limits(&self) -> Result<Vec<(String, Told)>, StoreError> {
        let rows =
            sqlx::query("select connection, told_limit, told_left, told_at, told_ends_at from budgets where told_at is not null")
                .fetch_all(&self.readers)
                .await
                .map_err(failed)?;
        let row = |row: &SqliteRow| told(row)?.map(|told| Ok((get(row, "connection")?, told))).transpose();
        rows.iter().filter_map(|one| row(one).transpose()).collect()
    }

    async fn budget(&self, connection: &str) -> Result<Option<BudgetRow>, StoreError> {
        let mut reader = self.readers.acquire().await.map_err(failed)?;
        read_budget(&mut reader, connection).await
    }

    async fn hasten(&self, reason: WaitingFor, now: Timestamp, gap_us: i64) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "update runs set due_at = min(runs.due_at, ?2 + w.place * ?3) from ( \
               select id, row_number() over (order by due_at, id) - 1 as place from runs \
               where status = 2 and waiting_for = ?1 and due_at > ?2 \
             ) as w where runs.id = w.id",
        )
        .bind(reason.number())
        .bind(now.micros())
        .bind(gap_us)
        .execute(&mut *self.writer().await)
        .await
        .map_err(failed)?;
        Ok(done.rows_affected())
    }

    async fn add_audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        keep_audit(&mut *self.writer().await, row).await
    }

    async fn audit(&self, about: Option<&str>, before: Option<AuditId>, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let sql = "select id, at, who, what, about, note from audit \
                   where (?1 is null or about = ?1) and (?2 is null or id < ?2) order by id desc limit ?3";
        let rows = sqlx::query(sql)
            .bind(about)
            .bind(before.map(|id| id.0))
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        Ok(sound(&rows, audit).collect())
    }
}

/// Takes whatever belongs to a connection that is removed away with it.
pub(crate) async fn forget(connection: &mut SqliteConnection, id: ConnectionId) -> Result<(), StoreError> {
    for sql in [
        "delete from gates where connection in (select name from connections where id = ?)",
        "delete from budgets where connection in (select name || part from connections, \
         (select '' as part union all select '/read' union all select '/write') as parts where id = ?)",
        "delete from budget_holders where connection in (select name || part from connections, \
         (select '' as part union all select '/read' union all select '/write') as parts where id = ?)",
        "delete from tokens where connection in (select name from connections where id = ?)",
        "delete from connection_states where connection in (select name from connections where id = ?)",
        "delete from begun_sign_ins where connection_id = ?",
        "delete from shapes where connection_id = ?",
    ] {
        sqlx::query(sql).bind(id.0).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

pub(crate) async fn keep_audit(connection: &mut SqliteConnection, row: &AuditRow) -> Result<(), StoreError> {
    sqlx::query("insert into audit (id, at, who, what, about, note) values (?, ?, ?, ?, ?, ?) on conflict (id) do nothing")
        .bind(row.id.0)
        .bind(row.at.micros())
        .bind(&row.who)
        .bind(&row.what)
        .bind(&row.about)
        .bind(&row.note)
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

async fn read_budget(connection: &mut SqliteConnection, name: &str) -> Result<Option<BudgetRow>, StoreError> {
    sqlx::query("select tokens, refreshed_at, day, day_used, paused_until, paused_at, told_limit, told_left, told_at, told_ends_at from budgets where connection = ?")
        .bind(name)
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .map(|row| {
            Ok(BudgetRow {
                tokens: get(&row, "tokens")?,
                refreshed_at: Timestamp::from_micros(get(&row, "refreshed_at")?),
                day: get(&row, "day")?,
                day_used: get(&row, "day_used")?,
                paused_until: instant(&row, "paused_until")?,
                paused_at: instant(&row, "paused_at")?,
                told: told(&row)?,
            })
        })
        .transpose()
}

async fn holders(connection: &mut SqliteConnection, name: &str) -> Result<Vec<BudgetHolder>, StoreError> {
    let rows = sqlx::query("select worker, held, wanted, hold_until, lent, lent_until from budget_holders where connection = ?")
        .bind(name)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let count = |number: i64| u32::try_from(number).unwrap_or(0);
    rows.iter()
        .map(|row| {
            Ok(BudgetHolder {
                worker: WorkerId(get(row, "worker")?),
                held: count(get(row, "held")?),
                wanted: count(get(row, "wanted")?),
                hold_until: Timestamp::from_micros(get(row, "hold_until")?),
                lent: count(get(row, "lent")?),
                lent_until: Timestamp::from_micros(get(row, "lent_until")?),
            })
        })
        .collect()
}

async fn keep_budget(connection: &mut SqliteConnection, name: &str, row: &BudgetRow) -> Result<(), StoreError> {
    sqlx::query(
        "insert into budgets (connection, tokens, refreshed_at, day, day_used, paused_until, paused_at, told_limit, told_left, \
         told_at, told_ends_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         on conflict (connection) do update set tokens = excluded.tokens, refreshed_at = excluded.refreshed_at, \
         day = excluded.day, day_used = excluded.day_used, paused_until = excluded.paused_until, \
         paused_at = excluded.paused_at, told_limit = excluded.told_limit, told_left = excluded.told_left, \
         told_at = excluded.told_at, told_ends_at = excluded.told_ends_at",
    )
    .bind(name)
    .bind(row.tokens)
    .bind(row.refreshed_at.micros())
    .bind(row.day)
    .bind(row.day_used)
    .bind(row.paused_until.map(Timestamp::micros))
    .bind(row.paused_at.map(Timestamp::micros))
    .bind(row.told.map(|told| told.limit))
    .bind(row.told.map(|told| told.left))
    .bind(row.told.map(|told| told.at.micros()))
    .bind(row.told.and_then(|told| told.ends_at).map(Timestamp::micros))
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

/// Also forgets holders whose time is over.
async fn keep_holder(
    connection: &mut SqliteConnection,
    name: &str,
    holder: &BudgetHolder,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("delete from budget_holders where connection = ? and (worker = ? or hold_until <= ?)")
        .bind(name)
        .bind(holder.worker.0)
        .bind(now.micros())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    if holder.held == 0 && holder.wanted == 0 && holder.lent == 0 {
        return Ok(());
    }
    sqlx::query("insert into budget_holders (connection, worker, held, wanted, hold_until, lent, lent_until) values (?, ?, ?, ?, ?, ?, ?)")
        .bind(name)
        .bind(holder.worker.0)
        .bind(i64::from(holder.held))
        .bind(i64::from(holder.wanted))
        .bind(holder.hold_until.micros())
        .bind(i64::from(holder.lent))
        .bind(holder.lent_until.micros())
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

fn told(row: &SqliteRow) -> Result<Option<Told>, StoreError> {
    let Some(at) = instant(row, "told_at")? else { return Ok(None) };
    let number = |column: &str| Ok::<_, StoreError>(get::<Option<i64>>(row, column)?.unwrap_or(0));
    let (limit, left) = (number("told_limit")?, number("told_left")?);
    Ok(Some(Told { limit, left, at, ends_at: instant(row, "told_ends_at")? }))
}

fn gate(row: &SqliteRow) -> Result<GateRow, StoreError> {
    let connection: String = get(row, "connection")?;
    let nonsense = |column: &str| StoreError::Corrupt(format!("gates.{column} of {connection} makes no sense"));
    Ok(GateRow {
        class: GateClass::from_number(get(row, "class")?).ok_or_else(|| nonsense("class"))?,
        state: GateState::from_number(get(row, "state")?).ok_or_else(|| nonsense("state"))?,
        cause: get(row, "cause")?,
        changed_by: get(row, "changed_by")?,
        since: Timestamp::from_micros(get(row, "since")?),
        next_probe: instant(row, "next_probe")?,
        prober: get::<Option<i64>>(row, "prober")?.map(WorkerId),
        openings: get(row, "openings")?,
        successes: get(row, "successes")?,
        revision: get(row, "revision")?,
        connection,
    })
}

fn audit(row: &SqliteRow) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: AuditId(get(row, "id")?),
        at: Timestamp::from_micros(get(row, "at")?),
        who: get(row, "who")?,
        what: get(row, "what")?,
        about: get(row, "about")?,
        note: get(row, "note")?,
    })
}
