//! Removes what is over when its time has come, a little at a time, and gives the room back.
//!
//! Every process does it; the store lets one at a time. Between two parts somebody else writes: a part
//! takes the database no more than a quarter of the time, whatever there is to remove.

use std::{collections::HashMap, sync::Arc, time::Duration};

use store::{AuditId, AuditRow, PURGE_RUNS_MAX, Purge, Purged, RecipeId, RecipeRow, Room, StoreError, Timestamp};

use crate::Engine;

/// Keys looked at in one part.
const KEYS_LOOKED_AT: u32 = 2000;
/// Rows of operations and of the audit list removed in one part.
const SWEPT_MAX: u32 = 500;
/// After a part, so many times as long as it took belongs to others.
const REST_FACTOR: u32 = 3;
/// Runs are removed in parts of about this length: what a commit waits at most, as long as a slow disk takes
/// to make a commit durable.
const PART: Duration = Duration::from_millis(12);
/// Runs in the first part, and the fewest in any.
const PART_RUNS_MIN: u32 = 64;
/// However long a part took, the next comes after this.
const REST_MAX: Duration = Duration::from_secs(2);
const REST_MIN: Duration = Duration::from_millis(1);
/// How many recipes' rules are remembered.
const RULES_MAX: usize = 20_000;

/// How long what is over is kept.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Runs that succeeded or were cancelled, where the recipe does not say.
    pub runs: Duration,
    /// Failed runs that somebody dealt with, where the recipe does not say.
    pub failed: Duration,
    /// Failed runs that nobody dealt with: at least so long, also when the recipe says less.
    pub dead_letters: Duration,
    /// Operations on dead letters, from their end on.
    pub operations: Duration,
    /// Audit entries.
    pub audit: Duration,
    /// How often it is looked at.
    pub interval: Duration,
    /// How often room is given back.
    pub tidy_interval: Duration,
    /// The log beside the database is folded into it when it is longer.
    pub log_bytes_max: u64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            runs: 30 * DAY,
            failed: 180 * DAY,
            dead_letters: 365 * DAY,
            operations: 90 * DAY,
            audit: 365 * DAY,
            interval: Duration::from_secs(600),
            tidy_interval: Duration::from_secs(30),
            log_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// How long the runs of one recipe are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    succeeded: Duration,
    failed: Duration,
    open: Duration,
}

impl Rule {
    /// What a recipe's text says, and the installation's settings where it says nothing. `None` when the
    /// text cannot be read any more: then nothing of it is removed.
    fn of(text: &str, general: &Retention) -> Option<Self> {
        let keep = recipe::parse(text.as_bytes()).recipe?.settings.keep;
        let (succeeded, failed) = keep.map_or((None, None), |keep| (keep.succeeded, keep.failed));
        let failed = failed.unwrap_or(general.failed);
        Some(Self { succeeded: succeeded.unwrap_or(general.runs), failed, open: general.dead_letters.max(failed) })
    }

    fn purge(&self, recipe: RecipeId, now: Timestamp, limit: u32) -> Purge {
        Purge {
            recipe,
            after: None,
            limit,
            succeeded_before: before(now, self.succeeded),
            failed_before: before(now, self.failed),
            open_before: before(now, self.open),
        }
    }
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    Timestamp::from_micros(now.micros().saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX)))
}

/// The rules of recipes by version; a version's text never changes.
type Rules = HashMap<(RecipeId, i32), Option<Rule>>;

/// What one round removed.
#[derive(Debug, Default)]
struct Removed {
    runs: u64,
    dead_letters: u64,
    keys: u64,
    operations: u64,
    audit: u64,
}

/// Removes what is over, round after round.
pub(crate) async fn keep_history(engine: Arc<Engine>) {
    let mut rules = Rules::new();
    while engine.rest(engine.settings.retention.interval).await {
        let mut removed = Removed::default();
        let outcome = round(&engine, &mut rules, &mut removed).await;
        let Removed { runs, dead_letters, keys, operations, audit } = removed;
        if runs + keys + operations + audit > 0 {
            tracing::info!(runs, dead_letters, keys, operations, audit, "retention.removed");
        }
        if let Err(error) = outcome {
            tracing::warn!(%error, "retention: the store did not answer; what is over is removed later");
        }
    }
}

/// Gives room back, and tells how much the database takes.
pub(crate) async fn keep_small(engine: Arc<Engine>) {
    while engine.rest(engine.settings.retention.tidy_interval).await {
        match tidy(&engine).await {
            Ok(room) => {
                metrics::gauge!("liaison_database_bytes").set(room.database_bytes as f64);
                metrics::gauge!("liaison_database_log_bytes").set(room.log_bytes as f64);
                metrics::gauge!("liaison_database_free_bytes").set(room.free_bytes as f64);
            }
            Err(error) => tracing::warn!(%error, "retention.tidy: the store did not answer"),
        }
    }
}

async fn tidy(engine: &Engine) -> Result<Room, StoreError> {
    loop {
        let began = tokio::time::Instant::now();
        let room = engine.store.tidy(Some(engine.settings.retention.log_bytes_max)).await?;
        if !room.more || !breathe(engine, began).await {
            return Ok(room);
        }
    }
}

async fn round(engine: &Engine, rules: &mut Rules, removed: &mut Removed) -> Result<(), StoreError> {
    for recipe in engine.store.recipes().await? {
        let Some(rule) = rule_of(engine, rules, &recipe).await? else { continue };
        let dead_letters = purge(engine, &recipe, &rule, removed).await?;
        if dead_letters > 0 {
            tell(engine, &recipe, &rule, dead_letters).await?;
        }
        if engine.is_stopping() {
            return Ok(());
        }
    }
    forget_keys(engine, removed).await?;
    sweep(engine, removed).await
}

async fn rule_of(engine: &Engine, rules: &mut Rules, recipe: &RecipeRow) -> Result<Option<Rule>, StoreError> {
    let version = recipe.active_version.unwrap_or(recipe.latest_version);
    if let Some(rule) = rules.get(&(recipe.id, version)) {
        return Ok(*rule);
    }
    let kept = engine.store.version(recipe.id, version).await?;
    let rule = kept.and_then(|kept| Rule::of(&kept.text, &engine.settings.retention));
    if rule.is_none() {
        tracing::warn!(recipe = %recipe.slug, version, "retention: the recipe's text cannot be read; none of its runs is removed");
    }
    if rules.len() >= RULES_MAX {
        rules.clear();
    }
    rules.insert((recipe.id, version), rule);
    Ok(rule)
}

/// Removes the runs of a recipe that may go. Returns how many nobody had dealt with.
async fn purge(engine: &Engine, recipe: &RecipeRow, rule: &Rule, removed: &mut Removed) -> Result<u64, StoreError> {
    let mut ask = rule.purge(recipe.id, engine.now(), PART_RUNS_MIN);
    let mut dead_letters = 0;
    loop {
        let part = engine.store.purge(&ask).await?;
        (removed.runs, removed.dead_letters) = (removed.runs + part.runs, removed.dead_letters + part.dead_letters);
        dead_letters += part.dead_letters;
        count("runs", part.runs - part.dead_letters);
        count("dead_letters", part.dead_letters);
        let Some(next) = part.next else { return Ok(dead_letters) };
        (ask.after, ask.limit) = (Some(next), size_after(ask.limit, &part));
        if !engine.rest(rest_after(&part)).await {
            return Ok(dead_letters);
        }
    }
}

/// How many runs the next part may take, so that it takes about [`PART`].
fn size_after(limit: u32, part: &Purged) -> u32 {
    let size = if part.held > PART {
        limit / 2
    } else if part.held < PART / 2 {
        limit * 2
    } else {
        limit
    };
    size.clamp(PART_RUNS_MIN, PURGE_RUNS_MAX)
}

/// While somebody waits, every other moment is theirs; while nobody does, there is nothing to wait for.
fn rest_after(part: &Purged) -> Duration {
    if part.crowded { part.held.clamp(REST_MIN, REST_MAX) } else { REST_MIN }
}

/// Nothing goes silently: who failed and was never looked at is told of once more.
async fn tell(engine: &Engine, recipe: &RecipeRow, rule: &Rule, count: u64) -> Result<(), StoreError> {
    let (at, days) = (engine.now(), rule.open.as_secs() / (24 * 60 * 60));
    let note = format!("{count} failed runs that nobody dealt with in {days} days were removed");
    tracing::warn!(recipe = %recipe.slug, runs = count, days, "retention.dead_letters: failed runs that nobody dealt with were removed");
    let row = AuditRow {
        id: AuditId::new(at, engine.random()),
        at,
        who: "liaison".to_owned(),
        what: "dead_letters.removed".to_owned(),
        about: format!("recipe {}", recipe.slug),
        note,
    };
    engine.store.add_audit(&row).await
}

async fn forget_keys(engine: &Engine, removed: &mut Removed) -> Result<(), StoreError> {
    let (now, mut after) = (engine.now(), None);
    loop {
        let began = tokio::time::Instant::now();
        let part = engine.store.forget_keys(after, now, KEYS_LOOKED_AT).await?;
        removed.keys += part.keys;
        count("event_keys", part.keys);
        after = part.next;
        if after.is_none() || !breathe(engine, began).await {
            return Ok(());
        }
    }
}

async fn sweep(engine: &Engine, removed: &mut Removed) -> Result<(), StoreError> {
    let (now, general) = (engine.now(), &engine.settings.retention);
    loop {
        let began = tokio::time::Instant::now();
        let part = engine.store.sweep(before(now, general.operations), before(now, general.audit), SWEPT_MAX).await?;
        (removed.operations, removed.audit) = (removed.operations + part.operations, removed.audit + part.audit);
        count("operations", part.operations);
        count("audit", part.audit);
        if part.operations + part.items + part.audit == 0 || !breathe(engine, began).await {
            return Ok(());
        }
    }
}

fn count(what: &'static str, rows: u64) {
    if rows > 0 {
        metrics::counter!("liaison_removed_total", "what" => what).increment(rows);
    }
}

/// Leaves the database to others for a while. False when the engine stops.
async fn breathe(engine: &Engine, began: tokio::time::Instant) -> bool {
    engine.rest((began.elapsed() * REST_FACTOR).clamp(REST_MIN, REST_MAX)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn rule(settings: &str) -> Option<Rule> {
        let text =
            format!("liaison: 1\nrecipe: a\ntrigger: {{ from: webhook }}\n{settings}steps:\n  - id: s\n    set: {{ a: 1 }}\n");
        Rule::of(&text, &Retention::default())
    }

    #[test]
    fn a_recipe_says_how_long_its_runs_are_kept() {
        let general = Rule { succeeded: 30 * DAY, failed: 180 * DAY, open: 365 * DAY };
        assert_eq!(rule(""), Some(general));
        assert_eq!(rule("settings: { timeout: 5m }\n"), Some(general));
        let own = rule("settings: { keep: { succeeded: 7d, failed: 400d } }\n");
        assert_eq!(own, Some(Rule { succeeded: 7 * DAY, failed: 400 * DAY, open: 400 * DAY }));
        // Whoever says that failed runs may go soon did not say so of those nobody looked at.
        let short = rule("settings: { keep: { failed: 1d } }\n");
        assert_eq!(short, Some(Rule { failed: DAY, ..general }));
    }

    fn part(ms: u64, crowded: bool) -> Purged {
        Purged { held: Duration::from_millis(ms), crowded, ..Purged::default() }
    }

    #[test]
    fn parts_are_as_long_as_a_commit_may_wait() {
        assert_eq!(size_after(256, &part(1, true)), 512);
        assert_eq!(size_after(256, &part(9, true)), 256);
        assert_eq!(size_after(256, &part(13, false)), 128);
        assert_eq!(size_after(PART_RUNS_MIN, &part(500, true)), PART_RUNS_MIN);
        assert_eq!(size_after(PURGE_RUNS_MAX, &part(0, true)), PURGE_RUNS_MAX);
    }

    #[test]
    fn who_waits_gets_every_other_moment() {
        assert_eq!(rest_after(&part(9, true)), Duration::from_millis(9));
        assert_eq!(rest_after(&part(60_000, true)), REST_MAX);
        assert_eq!(rest_after(&part(9, false)), REST_MIN);
    }

    #[test]
    fn an_unreadable_recipe_loses_nothing() {
        assert_eq!(Rule::of("steps: [", &Retention::default()), None);
    }

    #[test]
    fn instants_before_the_beginning_of_time_are_its_beginning() {
        assert_eq!(before(Timestamp::from_micros(i64::MIN + 5), DAY), Timestamp::from_micros(i64::MIN));
    }
}
