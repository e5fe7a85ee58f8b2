//! What a transition changes beside its own run, and what waiting steps are answered.

use serde_json::{Map, Value as Json};
use sqlx::{Connection, SqlitePool, sqlite::SqliteConnection, sqlite::SqliteRow};
use store::{
    Answer, Answered, Approval, ApprovalId, Beside, DAMAGED_MAX, RecipeId, RunId, StepPath, StoreError, Timestamp, sound_page,
};
use uuid::Uuid;

use crate::{
    blobs, failed, forget,
    rows::{get, instant, json},
    write,
};

/// The status of failed runs, as it is kept.
const FAILED: i16 = 4;
/// Whether a run with that status is over.
const ENDED: fn(i16) -> bool = |status| status > 2;

/// Makes the changes of one transition.
pub(crate) async fn change(connection: &mut SqliteConnection, run: RunId, changes: &[Beside]) -> Result<(), StoreError> {
    for change in changes {
        match change {
            Beside::Answer { run, answer } => {
                // A caller that failed meanwhile may be resumed. A run that ended, went on and ended again answers again.
                put(
                    connection,
                    *run,
                    answer,
                    |status| ENDED(status) && status != FAILED,
                    "do update set at = excluded.at, answer = excluded.answer, taken = 0",
                )
                .await?;
            }
            Beside::Taken(paths) => taken(connection, run, paths).await?,
            Beside::Keep { recipe, values, at } => keep(connection, run, *recipe, values, *at).await?,
            Beside::Ask(approval) => ask(connection, approval).await?,
            Beside::Start(new) => {
                Box::pin(write::accept(connection, std::slice::from_ref(new))).await?;
            }
            Beside::Refers(blobs) => blobs::refer(connection, run, blobs.iter().map(|blob| blob.id)).await?,
            Beside::Forgets(keeps) => forget::note(connection, run, *keeps).await?,
        }
    }
    Ok(())
}

/// A parked run whose answer is there already is due at once.
pub(crate) async fn rouse(connection: &mut SqliteConnection, run: RunId, listens: &[StepPath]) -> Result<(), StoreError> {
    sqlx::query(
        "update runs set due_at = accepted_at where id = ?1 and status = 2 and exists \
         (select 1 from answers where run_id = ?1 and taken = 0 and path in (select value from json_each(?2)))",
    )
    .bind(run.0)
    .bind(paths_json(listens))
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

fn paths_json(paths: &[StepPath]) -> String {
    let paths: Vec<&str> = paths.iter().map(|path| &**path).collect();
    serde_json::to_string(&paths).unwrap_or_default()
}

async fn put(
    connection: &mut SqliteConnection,
    run: RunId,
    answer: &Answer,
    over: impl Fn(i16) -> bool,
    known: &str,
) -> Result<Answered, StoreError> {
    let status: Option<(i16,)> = sqlx::query_as("select status from runs where id = ?")
        .bind(run.0)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    if status.is_none_or(|(status,)| over(status)) {
        return Ok(Answered::Over);
    }
    let sql = format!("insert into answers (run_id, path, at, answer) values (?, ?, ?, ?) on conflict (run_id, path) {known}");
    let kept = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(run.0)
        .bind(&*answer.path)
        .bind(answer.at.micros())
        .bind(answer.text()?)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    if kept.rows_affected() == 0 {
        return Ok(Answered::Already);
    }
    // A run that waits its turn in a lane keeps waiting for it.
    sqlx::query(
        "update runs set answered = 1, due_at = case when status = 2 and waiting_for <> 7 then min(coalesce(due_at, ?2), ?2) \
         else due_at end where id = ?1",
    )
    .bind(run.0)
    .bind(answer.at.micros())
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(Answered::Kept)
}

pub(crate) async fn answer(connection: &mut SqliteConnection, run: RunId, answer: &Answer) -> Result<Answered, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let answered = put(&mut transaction, run, answer, ENDED, "do nothing").await?;
    transaction.commit().await.map_err(failed)?;
    Ok(answered)
}

pub(crate) async fn decide(connection: &mut SqliteConnection, id: ApprovalId, decision: &Answer) -> Result<Answered, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let asked = sqlx::query("select run_id, path, decided_at, expires_at from approvals where id = ?")
        .bind(id.0)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?;
    let Some(asked) = asked else { return Ok(Answered::Over) };
    if get::<Option<i64>>(&asked, "decided_at")?.is_some() {
        return Ok(Answered::Already);
    }
    if instant(&asked, "expires_at")?.is_some_and(|at| at <= decision.at) {
        return Ok(Answered::Over);
    }
    let run = RunId(get(&asked, "run_id")?);
    let decision = Answer { path: get::<String>(&asked, "path")?.into(), ..decision.clone() };
    let answered = put(&mut transaction, run, &decision, ENDED, "do nothing").await?;
    if answered == Answered::Kept {
        sqlx::query("update approvals set decided_at = ?, decision = ? where id = ?")
            .bind(decision.at.micros())
            .bind(decision.text()?)
            .bind(id.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    }
    Ok(answered)
}

pub(crate) async fn taken(connection: &mut SqliteConnection, run: RunId, paths: &[StepPath]) -> Result<(), StoreError> {
    sqlx::query("update answers set taken = 1 where run_id = ? and path in (select value from json_each(?))")
        .bind(run.0)
        .bind(paths_json(paths))
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

async fn keep(
    connection: &mut SqliteConnection,
    run: RunId,
    recipe: RecipeId,
    values: &Map<String, Json>,
    at: Timestamp,
) -> Result<(), StoreError> {
    for (name, value) in values {
        sqlx::query(
            "insert into recipe_state (recipe_id, name, value, run_id, updated_at) values (?, ?, ?, ?, ?) on conflict \
             (recipe_id, name) do update set value = excluded.value, run_id = excluded.run_id, updated_at = excluded.updated_at",
        )
        .bind(recipe.0)
        .bind(name)
        .bind(value.to_string())
        .bind(run.0)
        .bind(at.micros())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    Ok(())
}

async fn ask(connection: &mut SqliteConnection, approval: &Approval) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approvals (id, run_id, path, recipe_id, question, asked_at, expires_at) values (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(approval.id.0)
    .bind(approval.run.0)
    .bind(&*approval.path)
    .bind(approval.recipe.0)
    .bind(approval.question.to_string())
    .bind(approval.asked_at.micros())
    .bind(approval.expires_at.map(Timestamp::micros))
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

/// What a run's steps were answered and it has not taken in.
pub(crate) async fn untaken(connection: &mut SqliteConnection, run: RunId) -> Result<Vec<Answer>, StoreError> {
    let rows: Vec<(String, i64, String)> =
        sqlx::query_as("select path, at, answer from answers where run_id = ? and taken = 0 order by at, path")
            .bind(run.0)
            .fetch_all(connection)
            .await
            .map_err(failed)?;
    Ok(rows.iter().map(|(path, at, text)| Answer::told(path, Timestamp::from_micros(*at), text)).collect())
}

/// Runs that steps of a run called and that are not over.
pub(crate) async fn called_by(pool: &SqlitePool, run: RunId) -> Result<Vec<RunId>, StoreError> {
    let rows: Vec<(Uuid,)> = sqlx::query_as("select id from runs where parent_run = ? and status < 3 order by id")
        .bind(run.0)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    Ok(rows.into_iter().map(|(id,)| RunId(id)).collect())
}

const COLUMNS: &str = "a.id, a.run_id, a.path, a.recipe_id, a.question, a.asked_at, a.expires_at, a.decided_at, a.decision";

pub(crate) async fn approvals(
    pool: &SqlitePool,
    open: bool,
    before: Option<ApprovalId>,
    limit: u32,
) -> Result<Vec<Approval>, StoreError> {
    let which = if open { "a.decided_at is null and r.status < 3" } else { "a.decided_at is not null" };
    let sql = format!(
        "select {COLUMNS} from approvals a join runs r on r.id = a.run_id where {which} and (?1 is null or a.id < ?1) \
         order by a.id desc limit ?2"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(before.map(|id| id.0))
        .bind(limit.saturating_add(DAMAGED_MAX))
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    Ok(sound_page(&rows, limit, approval_row))
}

pub(crate) async fn approval(pool: &SqlitePool, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
    let sql = format!("select {COLUMNS} from approvals a where a.id = ?");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.0).fetch_optional(pool).await.map_err(failed)?;
    row.as_ref().map(approval_row).transpose()
}

fn approval_row(row: &SqliteRow) -> Result<Approval, StoreError> {
    let id = ApprovalId(get::<Uuid>(row, "id")?);
    let path: StepPath = get::<String>(row, "path")?.into();
    let decided_at = instant(row, "decided_at")?;
    let decision = match (decided_at, get::<Option<String>>(row, "decision")?) {
        (Some(at), Some(text)) => Some(Answer::read(&path, at, &text)?),
        _ => None,
    };
    Ok(Approval {
        id,
        run: RunId(get(row, "run_id")?),
        path,
        recipe: RecipeId(get(row, "recipe_id")?),
        question: json(&get::<String>(row, "question")?, format_args!("approvals.question of {id}"))?.into(),
        asked_at: Timestamp::from_micros(get(row, "asked_at")?),
        expires_at: instant(row, "expires_at")?,
        decided_at,
        decision,
    })
}

pub(crate) async fn recipe_state(pool: &SqlitePool, recipe: RecipeId) -> Result<Map<String, Json>, StoreError> {
    let rows: Vec<(String, String)> = sqlx::query_as("select name, value from recipe_state where recipe_id = ?")
        .bind(recipe.0)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    let read = |(name, text): (String, String)| {
        let value = json(&text, format_args!("recipe_state.value of {name}, recipe {recipe},"))?;
        Ok((name, value))
    };
    rows.into_iter().map(read).collect()
}
