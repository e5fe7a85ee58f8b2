//! What a transition changes beside its own run, and what waiting steps are answered.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgRow};
use store::{
    Answer, Answered, Approval, ApprovalId, Beside, DAMAGED_MAX, RecipeId, RunId, StepPath, StoreError, Timestamp, sound_page,
};
use uuid::Uuid;

use crate::{
    blobs, failed, forget, notice,
    rows::{clean, get, instant, json},
    write,
};

/// The status of failed runs, as it is kept.
const FAILED: i16 = 4;
/// Whether a run with that status is over.
const ENDED: fn(i16) -> bool = |status| status > 2;

/// Makes the changes of one transition; what it keeps is only noted. The runs it answers are locked already.
pub(crate) async fn change(
    connection: &mut PgConnection,
    run: RunId,
    changes: &[Beside],
    kept: &mut Kept,
) -> Result<(), StoreError> {
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
            Beside::Keep { recipe, values, at } => kept.note(run, *recipe, values, *at),
            Beside::Ask(approval) => ask(connection, approval).await?,
            Beside::Start(new) => Box::pin(write::start(connection, new, kept)).await?,
            Beside::Refers(blobs) => blobs::refer(connection, run, blobs.iter().map(|blob| blob.id)).await?,
            Beside::Forgets(keeps) => forget::note(connection, run, *keeps).await?,
        }
    }
    Ok(())
}

/// A parked run whose answer is there already is due at once. A statement of its own, which sees every
/// answer that was given before the run's row could be parked.
pub(crate) async fn rouse(connection: &mut PgConnection, run: RunId, listens: &[StepPath]) -> Result<(), StoreError> {
    let roused = sqlx::query(
        "update runs set due_at = accepted_at where id = $1 and status = 2 and exists \
         (select from answers where run_id = $1 and taken = 0 and path = any($2))",
    )
    .bind(run.0)
    .bind(paths(listens))
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    if roused.rows_affected() > 0 {
        notice::give(connection).await?;
    }
    Ok(())
}

fn paths(paths: &[StepPath]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

async fn put(
    connection: &mut PgConnection,
    run: RunId,
    answer: &Answer,
    over: impl Fn(i16) -> bool,
    known: &str,
) -> Result<Answered, StoreError> {
    // The lock first: a commit that parks the run either comes before, and is seen here, or after, and sees the answer.
    let status: Option<(i16,)> = sqlx::query_as("select status from runs where id = $1 for update")
        .bind(run.0)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    if status.is_none_or(|(status,)| over(status)) {
        return Ok(Answered::Over);
    }
    let sql =
        format!("insert into answers (run_id, path, at, answer) values ($1, $2, $3, $4) on conflict (run_id, path) {known}");
    let kept = sqlx::query(AssertSqlSafe(sql))
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
        "update runs set answered = 1, due_at = case when status = 2 and waiting_for <> 7 then least(coalesce(due_at, $2), $2) \
         else due_at end where id = $1",
    )
    .bind(run.0)
    .bind(answer.at.micros())
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    notice::give(connection).await?;
    Ok(Answered::Kept)
}

pub(crate) async fn answer(connection: &mut PgConnection, run: RunId, answer: &Answer) -> Result<Answered, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let answered = put(&mut transaction, run, answer, ENDED, "do nothing").await?;
    transaction.commit().await.map_err(failed)?;
    Ok(answered)
}

pub(crate) async fn decide(connection: &mut PgConnection, id: ApprovalId, decision: &Answer) -> Result<Answered, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    // The run before the question, as everywhere.
    let run: Option<(Uuid,)> =
        sqlx::query_as("select r.id from runs r where r.id = (select run_id from approvals where id = $1) for update")
            .bind(id.0)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
    let asked = sqlx::query("select path, decided_at, expires_at from approvals where id = $1 for update")
        .bind(id.0)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?;
    let answered = match (run, asked) {
        (Some((run,)), Some(asked)) => decide_open(&mut transaction, id, RunId(run), &asked, decision).await?,
        _ => Answered::Over,
    };
    match answered {
        Answered::Kept => transaction.commit().await,
        // Waited for: a transaction that is only dropped keeps its locks for a moment after the answer, and a
        // claim in that moment passes the run over.
        _ => transaction.rollback().await,
    }
    .map_err(failed)?;
    Ok(answered)
}

/// `asked` is the question's row; it and the run's are locked.
async fn decide_open(
    connection: &mut PgConnection,
    id: ApprovalId,
    run: RunId,
    asked: &PgRow,
    decision: &Answer,
) -> Result<Answered, StoreError> {
    if instant(asked, "approvals.decided_at")?.is_some() {
        return Ok(Answered::Already);
    }
    if instant(asked, "approvals.expires_at")?.is_some_and(|at| at <= decision.at) {
        return Ok(Answered::Over);
    }
    let decision = Answer { path: get::<String>(asked, "approvals.path")?.into(), ..decision.clone() };
    let answered = put(connection, run, &decision, ENDED, "do nothing").await?;
    if answered == Answered::Kept {
        sqlx::query("update approvals set decided_at = $1, decision = $2 where id = $3")
            .bind(decision.at.micros())
            .bind(decision.text()?)
            .bind(id.0)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(answered)
}

pub(crate) async fn taken(connection: &mut PgConnection, run: RunId, taken: &[StepPath]) -> Result<(), StoreError> {
    sqlx::query("update answers set taken = 1 where run_id = $1 and path = any($2)")
        .bind(run.0)
        .bind(paths(taken))
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

/// What the runs of a group keep for later runs: written at its end in one order, so that two groups that
/// keep the same names never wait for each other in a circle.
#[derive(Default)]
pub(crate) struct Kept(BTreeMap<Place, Value>);

/// A recipe and a name.
type Place = (Uuid, String);

struct Value {
    value: String,
    run: Uuid,
    at: Timestamp,
}

impl Kept {
    /// What is kept later in a group stands.
    fn note(&mut self, run: RunId, recipe: RecipeId, values: &Map<String, Json>, at: Timestamp) {
        for (name, value) in values {
            self.0.insert((recipe.0, name.clone()), Value { value: value.to_string(), run: run.0, at });
        }
    }

    /// Writes it down.
    pub(crate) async fn write(self, connection: &mut PgConnection) -> Result<(), StoreError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let column =
            |value: fn(&Place, &Value) -> Uuid| self.0.iter().map(|(place, kept)| value(place, kept)).collect::<Vec<_>>();
        let (recipes, runs) = (column(|place, _| place.0), column(|_, kept| kept.run));
        let names: Vec<&str> = self.0.keys().map(|place| place.1.as_str()).collect();
        let values: Vec<&str> = self.0.values().map(|kept| kept.value.as_str()).collect();
        let ats: Vec<i64> = self.0.values().map(|kept| kept.at.micros()).collect();
        // Rows of `unnest` come in the order of the arrays.
        sqlx::query(
            "insert into recipe_state (recipe_id, name, value, run_id, updated_at) \
             select * from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::bigint[]) \
             on conflict (recipe_id, name) do update set value = excluded.value, run_id = excluded.run_id, \
             updated_at = excluded.updated_at",
        )
        .bind(recipes)
        .bind(names)
        .bind(values)
        .bind(runs)
        .bind(ats)
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
    }
}

async fn ask(connection: &mut PgConnection, approval: &Approval) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approvals (id, run_id, path, recipe_id, question, asked_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(approval.id.0)
    .bind(approval.run.0)
    .bind(&*approval.path)
    .bind(approval.recipe.0)
    .bind(clean(&approval.question.to_string()))
    .bind(approval.asked_at.micros())
    .bind(approval.expires_at.map(Timestamp::micros))
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

/// What a run's steps were answered and it has not taken in.
pub(crate) async fn untaken(connection: &mut PgConnection, run: RunId) -> Result<Vec<Answer>, StoreError> {
    let rows: Vec<(String, i64, String)> =
        sqlx::query_as("select path, at, answer from answers where run_id = $1 and taken = 0 order by at, path")
            .bind(run.0)
            .fetch_all(connection)
            .await
            .map_err(failed)?;
    Ok(rows.iter().map(|(path, at, text)| Answer::told(path, Timestamp::from_micros(*at), text)).collect())
}

/// Runs that steps of a run called and that are not over.
pub(crate) async fn called_by(connection: &mut PgConnection, run: RunId) -> Result<Vec<RunId>, StoreError> {
    let rows: Vec<(Uuid,)> = sqlx::query_as("select id from runs where parent_run = $1 and status < 3 order by id")
        .bind(run.0)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    Ok(rows.into_iter().map(|(id,)| RunId(id)).collect())
}

const COLUMNS: &str = "a.id, a.run_id, a.path, a.recipe_id, a.question, a.asked_at, a.expires_at, a.decided_at, a.decision";

pub(crate) async fn approvals(
    connection: &mut PgConnection,
    open: bool,
    before: Option<ApprovalId>,
    limit: u32,
) -> Result<Vec<Approval>, StoreError> {
    let which = if open { "a.decided_at is null and r.status < 3" } else { "a.decided_at is not null" };
    let sql = format!(
        "select {COLUMNS} from approvals a join runs r on r.id = a.run_id where {which} and ($1::uuid is null or a.id < $1) \
         order by a.id desc limit $2"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(before.map(|id| id.0))
        .bind(i64::from(limit.saturating_add(DAMAGED_MAX)))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    Ok(sound_page(&rows, limit, approval_row))
}

pub(crate) async fn approval(connection: &mut PgConnection, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
    let sql = format!("select {COLUMNS} from approvals a where a.id = $1");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.0).fetch_optional(connection).await.map_err(failed)?;
    row.as_ref().map(approval_row).transpose()
}

fn approval_row(row: &PgRow) -> Result<Approval, StoreError> {
    let id = ApprovalId(get::<Uuid>(row, "approvals.id")?);
    let path: StepPath = get::<String>(row, "approvals.path")?.into();
    let decided_at = instant(row, "approvals.decided_at")?;
    let decision = match (decided_at, get::<Option<String>>(row, "approvals.decision")?) {
        (Some(at), Some(text)) => Some(Answer::read(&path, at, &text)?),
        _ => None,
    };
    Ok(Approval {
        id,
        run: RunId(get(row, "approvals.run_id")?),
        path,
        recipe: RecipeId(get(row, "approvals.recipe_id")?),
        question: json(&get::<String>(row, "approvals.question")?, format_args!("approvals.question of {id}"))?.into(),
        asked_at: Timestamp::from_micros(get(row, "approvals.asked_at")?),
        expires_at: instant(row, "approvals.expires_at")?,
        decided_at,
        decision,
    })
}

pub(crate) async fn recipe_state(connection: &mut PgConnection, recipe: RecipeId) -> Result<Map<String, Json>, StoreError> {
    let rows: Vec<(String, String)> = sqlx::query_as("select name, value from recipe_state where recipe_id = $1")
        .bind(recipe.0)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let read = |(name, text): (String, String)| {
        let value = json(&text, format_args!("recipe_state.value of {name}, recipe {recipe},"))?;
        Ok((name, value))
    };
    rows.into_iter().map(read).collect()
}
