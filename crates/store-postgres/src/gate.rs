//! Circuits, budgets and the audit list.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection, PgConnection, postgres::PgRow};
use store::{
    AuditId, AuditRow, BudgetAsk, BudgetHolder, BudgetLease, BudgetLimits, BudgetRow, ConnectionId, GateClass, GateRow,
    GateState, Gates, StoreError, Timestamp, Told, WaitingFor, WorkerId, sound,
};

use crate::{
    PostgresStore, TRIES_MAX,
    error::{failed, in_the_way},
    notice,
    rows::{clean, get, instant},
};

#[async_trait]
impl Gates for PostgresStore {
    async fn shared_clock(&self) -> Result<Option<Timestamp>, StoreError> {
        ask!(self, connection => clock(connection)).map(Some)
    }

    async fn gates(&self) -> Result<Vec<GateRow>, StoreError> {
        ask!(self, connection => gates(connection))
    }

    async fn move_gate(&self, row: &GateRow, audit: Option<&AuditRow>) -> Result<bool, StoreError> {
        ask!(self, connection => move_gate(connection, row, audit))
    }

    async fn lease_budget(&self, ask: &BudgetAsk) -> Result<BudgetLease, StoreError> {
        ask!(self, connection => lease(connection, ask))
    }

    async fn pause_budget(&self, connection: &str, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let name = connection;
        ask!(self, connection => pause(connection, name, until, now))
    }

    async fn set_pause(
        &self,
        connection: &str,
        until: Option<Timestamp>,
        now: Timestamp,
        audit: &AuditRow,
    ) -> Result<bool, StoreError> {
        let name = connection;
        ask!(self, connection => set_pause(connection, name, until, now, audit))
    }

    async fn pauses(&self, now: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError> {
        ask!(self, connection => pauses(connection, now))
    }

    async fn hear_limit(&self, connection: &str, told: &Told) -> Result<(), StoreError> {
        let name = connection;
        ask!(self, connection => hear_limit(connection, name, told))
    }

    async fn told_limits(&self) -> Result<Vec<(String, Told)>, StoreError> {
        ask!(self, connection => told_limits(connection))
    }

    async fn budget(&self, connection: &str) -> Result<Option<BudgetRow>, StoreError> {
        let name = connection;
        ask!(self, connection => read_budget(connection, name, BUDGET))
    }

    async fn hasten(&self, reason: WaitingFor, now: Timestamp, gap_us: i64) -> Result<u64, StoreError> {
        ask!(self, connection => hasten(connection, reason, now, gap_us))
    }

    async fn add_audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        ask!(self, connection => keep_audit(connection, row))
    }

    async fn audit(&self, about: Option<&str>, before: Option<AuditId>, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        ask!(self, connection => audits(connection, about, before, limit))
    }
}

async fn clock(connection: &mut PgConnection) -> Result<Timestamp, StoreError> {
    let (micros,): (i64,) = sqlx::query_as("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    Ok(Timestamp::from_micros(micros))
}

async fn gates(connection: &mut PgConnection) -> Result<Vec<GateRow>, StoreError> {
    let sql = "select connection, class, state, cause, changed_by, since, next_probe, prober, openings, successes, revision \
               from gates order by connection, class";
    let rows = sqlx::query(sql).fetch_all(connection).await.map_err(failed)?;
    Ok(sound(&rows, gate).collect())
}

async fn move_gate(connection: &mut PgConnection, row: &GateRow, audit: Option<&AuditRow>) -> Result<bool, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let done = sqlx::query(
        "insert into gates (connection, class, state, cause, changed_by, since, next_probe, prober, openings, successes, revision) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::bigint + 1) \
         on conflict (connection, class) do update set state = excluded.state, cause = excluded.cause, \
         changed_by = excluded.changed_by, since = excluded.since, next_probe = excluded.next_probe, prober = excluded.prober, \
         openings = excluded.openings, successes = excluded.successes, revision = excluded.revision where gates.revision = $11",
    )
    .bind(clean(&row.connection))
    .bind(row.class.number())
    .bind(row.state.number())
    .bind(clean(&row.cause))
    .bind(clean(&row.changed_by))
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

async fn lease(connection: &mut PgConnection, ask: &BudgetAsk) -> Result<BudgetLease, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    // The row is there, and ours until the commit: whoever leases from the same budget waits.
    let full = BudgetRow::full(&ask.limits, ask.now);
    have_budget(&mut transaction, &ask.connection, &full).await?;
    let row = read_budget(&mut transaction, &ask.connection, BUDGET_LOCKED).await?.unwrap_or(full);
    let holders = holders(&mut transaction, &ask.connection).await?;
    let (row, holder, lease) = row.lease(&holders, ask);
    keep_budget(&mut transaction, &ask.connection, &row).await?;
    keep_holder(&mut transaction, &ask.connection, &holder, ask.now).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(lease)
}

async fn hear_limit(connection: &mut PgConnection, name: &str, told: &Told) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let full = BudgetRow::full(&BudgetLimits::default(), told.at);
    have_budget(&mut transaction, name, &full).await?;
    let row = read_budget(&mut transaction, name, BUDGET_LOCKED).await?.unwrap_or(full).hear(told);
    keep_budget(&mut transaction, name, &row).await?;
    transaction.commit().await.map_err(failed)
}

async fn told_limits(connection: &mut PgConnection) -> Result<Vec<(String, Told)>, StoreError> {
    let sql = "select connection, told_limit, told_left, told_at, told_ends_at from budgets where told_at is not null";
    let rows = sqlx::query(sql).fetch_all(connection).await.map_err(failed)?;
    let row = |row: &PgRow| told(row)?.map(|told| Ok((get(row, "budgets.connection")?, told))).transpose();
    rows.iter().filter_map(|one| row(one).transpose()).collect()
}

/// Makes sure that the row is there, so that whoever changes it can wait for whoever does already.
async fn have_budget(connection: &mut PgConnection, name: &str, full: &BudgetRow) -> Result<(), StoreError> {
    sqlx::query(
        "insert into budgets (connection, tokens, refreshed_at, day, day_used, paused_until) values ($1, $2, $3, $4, 0, null) \
         on conflict (connection) do nothing",
    )
    .bind(clean(name))
    .bind(full.tokens)
    .bind(full.refreshed_at.micros())
    .bind(full.day)
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

async fn pause(connection: &mut PgConnection, name: &str, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "insert into budgets (connection, tokens, refreshed_at, day, day_used, paused_until, paused_at) values ($1, 0, $3, 0, 0, $2, $3) \
         on conflict (connection) do update set paused_until = greatest(budgets.paused_until, excluded.paused_until), \
         paused_at = case when budgets.paused_until > $3 then budgets.paused_at else $3 end",
    )
    .bind(clean(name))
    .bind(until.micros())
    .bind(now.micros())
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

async fn set_pause(
    connection: &mut PgConnection,
    name: &str,
    until: Option<Timestamp>,
    now: Timestamp,
    audit: &AuditRow,
) -> Result<bool, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let sql = match until {
        Some(_) => {
            "insert into budgets (connection, tokens, refreshed_at, day, day_used, paused_until, paused_at) \
             values ($1, 0, $3, 0, 0, $2::bigint, $3::bigint) \
             on conflict (connection) do update set paused_until = excluded.paused_until, paused_at = excluded.paused_at"
        }
        None => {
            "update budgets set paused_until = $2::bigint, paused_at = null where connection = $1 and paused_until > $3::bigint"
        }
    };
    let done = sqlx::query(sql)
        .bind(clean(name))
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

async fn pauses(connection: &mut PgConnection, now: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let rows = sqlx::query("select connection, paused_until from budgets where paused_until > $1")
        .bind(now.micros())
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.iter()
        .map(|row| Ok((get(row, "budgets.connection")?, Timestamp::from_micros(get(row, "budgets.paused_until")?))))
        .collect()
}

async fn hasten(connection: &mut PgConnection, reason: WaitingFor, now: Timestamp, gap_us: i64) -> Result<u64, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    // Whoever is being claimed at this moment looks for itself.
    let moved = sqlx::query(
        "with parked as materialized ( \
           select id, due_at from runs where status = 2 and waiting_for = $1 and due_at > $2 order by id for update skip locked \
         ), line as (select id, row_number() over (order by due_at, id) - 1 as place from parked) \
         update runs r set due_at = least(r.due_at, $2 + line.place * $3) from line where r.id = line.id",
    )
    .bind(reason.number())
    .bind(now.micros())
    .bind(gap_us)
    .execute(&mut *transaction)
    .await
    .map_err(failed)?
    .rows_affected();
    if moved > 0 {
        notice::give(&mut transaction).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(moved)
}

async fn audits(
    connection: &mut PgConnection,
    about: Option<&str>,
    before: Option<AuditId>,
    limit: u32,
) -> Result<Vec<AuditRow>, StoreError> {
    let sql = "select id, at, who, what, about, note from audit \
               where ($1::text is null or about = $1) and ($2::uuid is null or id < $2) order by id desc limit $3";
    let rows = sqlx::query(sql)
        .bind(about.map(clean))
        .bind(before.map(|id| id.0))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    Ok(sound(&rows, audit).collect())
}

const BUDGET: &str = "select tokens, refreshed_at, day, day_used, paused_until, paused_at, told_limit, told_left, told_at, told_ends_at from budgets where connection = $1";
const BUDGET_LOCKED: &str = "select tokens, refreshed_at, day, day_used, paused_until, paused_at, told_limit, told_left, told_at, told_ends_at from budgets where connection = $1 for update";

/// Takes whatever belongs to a connection that is removed away with it.
pub(crate) async fn forget(connection: &mut PgConnection, id: ConnectionId) -> Result<(), StoreError> {
    for sql in [
        "delete from gates where connection in (select name from connections where id = $1)",
        "delete from budgets where connection in (select name || part from connections, \
         (select '' as part union all select '/read' union all select '/write') as parts where id = $1)",
        "delete from budget_holders where connection in (select name || part from connections, \
         (select '' as part union all select '/read' union all select '/write') as parts where id = $1)",
        "delete from tokens where connection in (select name from connections where id = $1)",
        "delete from connection_states where connection in (select name from connections where id = $1)",
        "delete from begun_sign_ins where connection_id = $1",
        "delete from shapes where connection_id = $1",
    ] {
        sqlx::query(sql).bind(id.0).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

pub(crate) async fn keep_audit(connection: &mut PgConnection, row: &AuditRow) -> Result<(), StoreError> {
    sqlx::query("insert into audit (id, at, who, what, about, note) values ($1, $2, $3, $4, $5, $6) on conflict (id) do nothing")
        .bind(row.id.0)
        .bind(row.at.micros())
        .bind(clean(&row.who))
        .bind(clean(&row.what))
        .bind(clean(&row.about))
        .bind(clean(&row.note))
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

async fn read_budget(connection: &mut PgConnection, name: &str, sql: &'static str) -> Result<Option<BudgetRow>, StoreError> {
    sqlx::query(sql)
        .bind(clean(name))
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .map(|row| {
            Ok(BudgetRow {
                tokens: get(&row, "budgets.tokens")?,
                refreshed_at: Timestamp::from_micros(get(&row, "budgets.refreshed_at")?),
                day: get(&row, "budgets.day")?,
                day_used: get(&row, "budgets.day_used")?,
                paused_until: instant(&row, "budgets.paused_until")?,
                paused_at: instant(&row, "budgets.paused_at")?,
                told: told(&row)?,
            })
        })
        .transpose()
}

async fn holders(connection: &mut PgConnection, name: &str) -> Result<Vec<BudgetHolder>, StoreError> {
    let rows = sqlx::query("select worker, held, wanted, hold_until, lent, lent_until from budget_holders where connection = $1")
        .bind(clean(name))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let count = |number: i64| u32::try_from(number).unwrap_or(0);
    rows.iter()
        .map(|row| {
            Ok(BudgetHolder {
                worker: WorkerId(get(row, "budget_holders.worker")?),
                held: count(get(row, "budget_holders.held")?),
                wanted: count(get(row, "budget_holders.wanted")?),
                hold_until: Timestamp::from_micros(get(row, "budget_holders.hold_until")?),
                lent: count(get(row, "budget_holders.lent")?),
                lent_until: Timestamp::from_micros(get(row, "budget_holders.lent_until")?),
            })
        })
        .collect()
}

async fn keep_budget(connection: &mut PgConnection, name: &str, row: &BudgetRow) -> Result<(), StoreError> {
    sqlx::query(
        "insert into budgets (connection, tokens, refreshed_at, day, day_used, paused_until, paused_at, told_limit, told_left, \
         told_at, told_ends_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         on conflict (connection) do update set tokens = excluded.tokens, refreshed_at = excluded.refreshed_at, \
         day = excluded.day, day_used = excluded.day_used, paused_until = excluded.paused_until, \
         paused_at = excluded.paused_at, told_limit = excluded.told_limit, told_left = excluded.told_left, \
         told_at = excluded.told_at, told_ends_at = excluded.told_ends_at",
    )
    .bind(clean(name))
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
async fn keep_holder(connection: &mut PgConnection, name: &str, holder: &BudgetHolder, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("delete from budget_holders where connection = $1 and (worker = $2 or hold_until <= $3)")
        .bind(clean(name))
        .bind(holder.worker.0)
        .bind(now.micros())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    if holder.held == 0 && holder.wanted == 0 && holder.lent == 0 {
        return Ok(());
    }
    sqlx::query("insert into budget_holders (connection, worker, held, wanted, hold_until, lent, lent_until) values ($1, $2, $3, $4, $5, $6, $7)")
        .bind(clean(name))
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

fn told(row: &PgRow) -> Result<Option<Told>, StoreError> {
    let Some(at) = instant(row, "budgets.told_at")? else { return Ok(None) };
    let number = |column: &str| Ok::<_, StoreError>(get::<Option<i64>>(row, column)?.unwrap_or(0));
    let (limit, left) = (number("budgets.told_limit")?, number("budgets.told_left")?);
    Ok(Some(Told { limit, left, at, ends_at: instant(row, "budgets.told_ends_at")? }))
}

fn gate(row: &PgRow) -> Result<GateRow, StoreError> {
    let connection: String = get(row, "gates.connection")?;
    let nonsense = |column: &str| StoreError::Corrupt(format!("gates.{column} of {connection} makes no sense"));
    Ok(GateRow {
        class: GateClass::from_number(get(row, "gates.class")?).ok_or_else(|| nonsense("class"))?,
        state: GateState::from_number(get(row, "gates.state")?).ok_or_else(|| nonsense("state"))?,
        cause: get(row, "gates.cause")?,
        changed_by: get(row, "gates.changed_by")?,
        since: Timestamp::from_micros(get(row, "gates.since")?),
        next_probe: instant(row, "gates.next_probe")?,
        prober: get::<Option<i64>>(row, "gates.prober")?.map(WorkerId),
        openings: get(row, "gates.openings")?,
        successes: get(row, "gates.successes")?,
        revision: get(row, "gates.revision")?,
        connection,
    })
}

fn audit(row: &PgRow) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: AuditId(get(row, "audit.id")?),
        at: Timestamp::from_micros(get(row, "audit.at")?),
        who: get(row, "audit.who")?,
        what: get(row, "audit.what")?,
        about: get(row, "audit.about")?,
        note: get(row, "audit.note")?,
    })
}
