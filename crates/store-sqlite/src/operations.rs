//! Operations on many dead letters: what they take, whose turn it is, what became of each run.

use sqlx::{AssertSqlSafe, Connection, QueryBuilder, SqliteConnection, SqlitePool, sqlite::SqliteRow};
use store::{
    DAMAGED_MAX, ItemOutcome, ItemState, OPERATION_RUNS_MAX, Operation, OperationChange, OperationId, OperationItem,
    OperationKind, OperationState, RunFilter, RunId, Selection, StoreError, Timestamp, WorkerId, sound_page,
};

use crate::{
    failed, pages,
    rows::{get, instant, json},
};

const COLUMNS: &str =
    "id, kind, state, selection, options, first, total, done, failed, note, made_by, made_at, ended_at, next_at";
const ITEM_COLUMNS: &str = "run_id, failed_at, state, result, message";

pub(crate) async fn create(
    connection: &mut SqliteConnection,
    operation: &Operation,
    selection: &Selection,
) -> Result<Option<Operation>, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let total = match selection {
        Selection::Runs(runs) => choose_runs(&mut transaction, operation.id, runs).await?,
        Selection::Filter(filter) => choose_by(&mut transaction, operation.id, filter).await?,
    };
    let total = match operation.kind {
        OperationKind::Replay => total - leave_out_called(&mut transaction, operation.id).await?,
        OperationKind::Resume | OperationKind::Discard => total,
    };
    if total > u64::from(OPERATION_RUNS_MAX) {
        return Ok(None);
    }
    sqlx::query(
        "insert into operations (id, kind, state, selection, options, first, total, done, failed, note, made_by, made_at, ended_at, \
         next_at) values (?, ?, ?, ?, ?, ?, ?, 0, 0, null, ?, ?, ?, ?)",
    )
    .bind(operation.id.0)
    .bind(operation.kind.number())
    // Nothing to do is done.
    .bind(if total == 0 { OperationState::Done } else { operation.state }.number())
    .bind(operation.selection.to_string())
    .bind(serde_json::to_string(&operation.options).unwrap_or_default())
    .bind(operation.first)
    .bind(i64::try_from(total).unwrap_or(i64::MAX))
    .bind(&operation.by)
    .bind(operation.at.micros())
    .bind((total == 0).then_some(operation.at.micros()))
    .bind(operation.next_at.micros())
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    let made = read(&mut transaction, operation.id).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(made)
}

async fn choose_runs(connection: &mut SqliteConnection, operation: OperationId, runs: &[RunId]) -> Result<u64, StoreError> {
    let mut chosen = 0;
    for run in runs {
        chosen += sqlx::query(
            "insert into operation_items (operation_id, run_id, failed_at, state) \
             values (?1, ?2, (select ended_at from runs where id = ?2), 0) on conflict do nothing",
        )
        .bind(operation.0)
        .bind(run.0)
        .execute(&mut *connection)
        .await
        .map_err(failed)?
        .rows_affected();
    }
    Ok(chosen)
}

async fn choose_by(connection: &mut SqliteConnection, operation: OperationId, filter: &RunFilter) -> Result<u64, StoreError> {
    let mut query = QueryBuilder::new("insert into operation_items (operation_id, run_id, failed_at, state) select ");
    query.push_bind(operation.0).push(", r.id, r.ended_at, 0 from runs r where true");
    pages::conditions(&mut query, &RunFilter { dead_letters: true, ..filter.clone() });
    query.push(" limit ").push_bind(OPERATION_RUNS_MAX + 1);
    Ok(query.build().execute(connection).await.map_err(failed)?.rows_affected())
}

/// A run whose caller is replayed, too, is called anew by that one: what it does must not be done twice.
async fn leave_out_called(connection: &mut SqliteConnection, operation: OperationId) -> Result<u64, StoreError> {
    let left_out = sqlx::query(
        "delete from operation_items where operation_id = ?1 and exists (select 1 from runs r join operation_items caller \
           on caller.run_id = r.parent_run and caller.operation_id = ?1 where r.id = operation_items.run_id)",
    );
    Ok(left_out.bind(operation.0).execute(connection).await.map_err(failed)?.rows_affected())
}

pub(crate) async fn take(
    connection: &mut SqliteConnection,
    owner: WorkerId,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<Option<Operation>, StoreError> {
    let row = sqlx::query(AssertSqlSafe(format!(
        "update operations set owner = ?1, lease_until = ?2 where id = ( \
           select id from operations where next_at <= ?3 and (state = 0 or (state = 3 \
             and id in (select operation_id from operation_items where state = 1))) \
           and (owner is null or owner = ?1 or lease_until <= ?3 \
             or not exists (select 1 from workers w where w.id = operations.owner)) order by next_at, id limit 1 \
         ) returning {COLUMNS}"
    )))
    .bind(owner.0)
    .bind(lease_until.micros())
    .bind(now.micros())
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let read = operation(&row);
    if read.is_err() {
        // It must not stand in the way of the others for ever.
        sqlx::query("update operations set next_at = ? where id = ?")
            .bind(lease_until.micros())
            .bind(get::<uuid::Uuid>(&row, "id")?)
            .execute(connection)
            .await
            .map_err(failed)?;
    }
    read.map(Some)
}

pub(crate) async fn begin(
    connection: &mut SqliteConnection,
    operation: OperationId,
    limit: u32,
) -> Result<Vec<OperationItem>, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let rows = sqlx::query(AssertSqlSafe(format!(
        "select {ITEM_COLUMNS} from operation_items where operation_id = ? and state < 2 order by run_id limit ?"
    )))
    .bind(operation.0)
    .bind(limit)
    .fetch_all(&mut *transaction)
    .await
    .map_err(failed)?;
    let items: Vec<OperationItem> = rows.iter().map(item).collect::<Result<_, _>>()?;
    if let Some(last) = items.last() {
        sqlx::query("update operation_items set state = 1 where operation_id = ? and state = 0 and run_id <= ?")
            .bind(operation.0)
            .bind(last.run.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(items)
}

pub(crate) async fn finish(
    connection: &mut SqliteConnection,
    operation: OperationId,
    owner: WorkerId,
    outcomes: &[ItemOutcome],
    next_at: Timestamp,
    now: Timestamp,
) -> Result<Option<Operation>, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let (mut done, mut refused) = (0, 0);
    for ItemOutcome { run, outcome } in outcomes {
        let (state, result, message) = match outcome {
            Ok(result) => (ItemState::Done, result.map(|run| run.0), None),
            Err(message) => (ItemState::Failed, None, Some(message.as_str())),
        };
        let changed = sqlx::query(
            "update operation_items set state = ?, result = ?, message = ? where operation_id = ? and run_id = ? and state < 2",
        )
        .bind(state.number())
        .bind(result)
        .bind(message)
        .bind(operation.0)
        .bind(run.0)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?
        .rows_affected();
        let count = if state == ItemState::Done { &mut done } else { &mut refused };
        *count += i64::try_from(changed).unwrap_or_default();
    }
    sqlx::query(
        "update operations set done = done + ?1, failed = failed + ?2, next_at = case when owner = ?6 then ?3 else next_at end, \
         lease_until = case when owner = ?6 then null else lease_until end, owner = nullif(owner, ?6), \
         ended_at = case when state < 2 and done + failed + ?1 + ?2 >= total then ?4 else ended_at end, \
         state = case when state < 2 and done + failed + ?1 + ?2 >= total then 2 else state end where id = ?5",
    )
    .bind(done)
    .bind(refused)
    .bind(next_at.micros())
    .bind(now.micros())
    .bind(operation.0)
    .bind(owner.0)
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    let changed = read(&mut transaction, operation).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(changed)
}

pub(crate) async fn change(
    connection: &mut SqliteConnection,
    operation: OperationId,
    change: &OperationChange,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let note = match change {
        OperationChange::Stop(note) => note.as_deref(),
        _ => None,
    };
    let sql = match change {
        OperationChange::Pause => "update operations set state = 1 where id = ?1 and state = 0 and ?2 is not null and ?3 is null",
        OperationChange::GoOn => "update operations set state = 0, next_at = ?2 where id = ?1 and state = 1 and ?3 is null",
        OperationChange::Stop(_) => "update operations set state = 3, ended_at = ?2, note = ?3 where id = ?1 and state in (0, 1)",
        OperationChange::Release => {
            "update operations set first = 0, next_at = ?2 where id = ?1 and state = 0 and first > 0 and ?3 is null"
        }
    };
    let done = sqlx::query(sql).bind(operation.0).bind(now.micros()).bind(note).execute(connection).await.map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

async fn read(connection: &mut SqliteConnection, id: OperationId) -> Result<Option<Operation>, StoreError> {
    let row = sqlx::query(AssertSqlSafe(format!("select {COLUMNS} from operations where id = ?")))
        .bind(id.0)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.as_ref().map(operation).transpose()
}

pub(crate) async fn list(pool: &SqlitePool, before: Option<OperationId>, limit: u32) -> Result<Vec<Operation>, StoreError> {
    let mut query = QueryBuilder::new(format!("select {COLUMNS} from operations where true"));
    if let Some(before) = before {
        query.push(" and id < ").push_bind(before.0);
    }
    query.push(" order by id desc limit ").push_bind(limit.saturating_add(DAMAGED_MAX));
    let rows = query.build().fetch_all(pool).await.map_err(failed)?;
    Ok(sound_page(&rows, limit, operation))
}

pub(crate) async fn one(pool: &SqlitePool, id: OperationId) -> Result<Option<Operation>, StoreError> {
    let mut connection = pool.acquire().await.map_err(failed)?;
    read(&mut connection, id).await
}

pub(crate) async fn items(
    pool: &SqlitePool,
    operation: OperationId,
    state: Option<ItemState>,
    after: Option<RunId>,
    limit: u32,
) -> Result<Vec<OperationItem>, StoreError> {
    let mut query = QueryBuilder::new(format!("select {ITEM_COLUMNS} from operation_items where operation_id = "));
    query.push_bind(operation.0);
    if let Some(state) = state {
        query.push(" and state = ").push_bind(state.number());
    }
    if let Some(after) = after {
        query.push(" and run_id > ").push_bind(after.0);
    }
    query.push(" order by run_id limit ").push_bind(limit.saturating_add(DAMAGED_MAX));
    let rows = query.build().fetch_all(pool).await.map_err(failed)?;
    Ok(sound_page(&rows, limit, item))
}

fn operation(row: &SqliteRow) -> Result<Operation, StoreError> {
    let id = OperationId(get(row, "id")?);
    let nonsense = |column: &str| StoreError::Corrupt(format!("operations.{column} of {id} makes no sense"));
    Ok(Operation {
        id,
        kind: OperationKind::from_number(get(row, "kind")?).ok_or_else(|| nonsense("kind"))?,
        state: OperationState::from_number(get(row, "state")?).ok_or_else(|| nonsense("state"))?,
        selection: json(&get::<String>(row, "selection")?, format_args!("operations.selection of {id}"))?,
        options: serde_json::from_str(&get::<String>(row, "options")?).map_err(|_| nonsense("options"))?,
        first: get(row, "first")?,
        total: get(row, "total")?,
        done: get(row, "done")?,
        failed: get(row, "failed")?,
        note: get(row, "note")?,
        by: get(row, "made_by")?,
        at: Timestamp::from_micros(get(row, "made_at")?),
        ended_at: instant(row, "ended_at")?,
        next_at: Timestamp::from_micros(get(row, "next_at")?),
    })
}

fn item(row: &SqliteRow) -> Result<OperationItem, StoreError> {
    let run = RunId(get(row, "run_id")?);
    Ok(OperationItem {
        run,
        failed_at: instant(row, "failed_at")?,
        state: ItemState::from_number(get(row, "state")?)
            .ok_or_else(|| StoreError::Corrupt(format!("operation_items.state of {run} makes no sense")))?,
        result: get::<Option<uuid::Uuid>>(row, "result")?.map(RunId),
        message: get(row, "message")?,
    })
}
