//! What alarms find.

use std::time::Duration;

use serde_json::{Value as Json, json};
use store::{AlarmRow, Cause, Entry, RecipeRow, RunFilter, RunId, RunRow, RunStatus, StoreError, Timestamp};

use super::{Again, Finding, QUIET, REMEMBERED_MAX, Rule, duration, time, usual::Usual, weekday, zone_of};
use crate::{Engine, frame::instant_text};

/// Causes told of in one look.
const CAUSES_MAX: u32 = 200;
/// Runs judged in one look, the newest first.
const JUDGED_MAX: usize = 50;

impl Engine {
    pub(super) async fn found_by(&self, row: &AlarmRow, rule: &Rule) -> Result<Vec<Finding>, StoreError> {
        let recipe = match row.recipe {
            None => None,
            Some(id) => match self.store.recipe_by_id(id).await? {
                Some(recipe) => Some(recipe),
                // It was removed; there is nothing to watch.
                None => return Ok(Vec::new()),
            },
        };
        let found = match (rule, recipe) {
            (Rule::Failures { every }, _) => return self.failures(row, every).await,
            (_, None) => None,
            (Rule::NoRunBy { at, zone, days }, Some(recipe)) => self.no_run_by(row, &recipe, at, zone, days).await?,
            (Rule::NoRunFor { span }, Some(recipe)) => self.no_run_for(row, &recipe, span).await?,
            (Rule::Unusual { value, last }, Some(recipe)) => self.unusual(row, &recipe, value, *last).await?,
        };
        Ok(found.into_iter().collect())
    }

    async fn no_run_by(
        &self,
        row: &AlarmRow,
        recipe: &RecipeRow,
        at: &str,
        zone: &str,
        days: &[String],
    ) -> Result<Option<Finding>, StoreError> {
        let Some((date, begin, due)) = day(self.now(), at, zone, days) else { return Ok(None) };
        if self.now() < due || due <= row.set_at {
            return Ok(None);
        }
        let filter =
            RunFilter { recipe: Some(recipe.id), since: Some(begin), until: Some(due), limit: 1, ..RunFilter::default() };
        if !self.store.runs(&filter).await?.is_empty() {
            return Ok(None);
        }
        Ok(Some(Finding {
            group: format!("day:{date}"),
            again: Again::Never,
            subject: format!("{}: no run by {at}", recipe.slug),
            text: format!(
                "No run of the recipe {} began on {date} by {at} ({zone}). {} Look at {}.",
                recipe.slug,
                switched(recipe),
                self.link(recipe)
            ),
            fields: json!({ "recipe": recipe.slug, "date": date, "link": self.link(recipe) }),
        }))
    }

    async fn no_run_for(&self, row: &AlarmRow, recipe: &RecipeRow, span: &str) -> Result<Option<Finding>, StoreError> {
        let Ok(quiet) = duration(span, Duration::ZERO) else { return Ok(None) };
        let newest = self.store.runs(&RunFilter { recipe: Some(recipe.id), limit: 1, ..RunFilter::default() }).await?;
        let last = newest.first().map(|run| run.accepted_at);
        // The alarm's own age counts where there never was a run.
        let since = last.unwrap_or_default().max(row.set_at);
        if self.now().since(since) < quiet {
            return Ok(None);
        }
        let began =
            last.map_or_else(|| "There was none so far.".to_owned(), |at| format!("The last one began at {}.", instant_text(at)));
        Ok(Some(Finding {
            group: format!("since:{}", since.micros()),
            again: Again::Never,
            subject: format!("{}: no run for {span}", recipe.slug),
            text: format!(
                "No run of the recipe {} began for {span}. {began} {} Look at {}.",
                recipe.slug,
                switched(recipe),
                self.link(recipe)
            ),
            fields: json!({ "recipe": recipe.slug, "last": last.map(instant_text), "link": self.link(recipe) }),
        }))
    }

    async fn failures(&self, row: &AlarmRow, every: &str) -> Result<Vec<Finding>, StoreError> {
        let quiet = duration(every, Duration::ZERO).unwrap_or(QUIET);
        let causes = self.store.causes(row.recipe, CAUSES_MAX).await?;
        let link = format!("{}/dead-letters", self.settings.public_url);
        Ok(causes.iter().filter(|cause| cause.last > row.set_at).map(|cause| failure(cause, quiet, &link)).collect())
    }

    async fn unusual(&self, row: &AlarmRow, recipe: &RecipeRow, place: &str, last: u32) -> Result<Option<Finding>, StoreError> {
        let runs = self
            .store
            .runs(&RunFilter {
                recipe: Some(recipe.id),
                statuses: vec![RunStatus::Succeeded],
                limit: last + u32::try_from(JUDGED_MAX).unwrap_or(0),
                ..RunFilter::default()
            })
            .await?;
        let fresh = |run: &&RunRow| run.ended_at.is_some_and(|at| at > row.set_at);
        let fresh = runs.iter().take(JUDGED_MAX).take_while(fresh).count();
        if fresh == 0 {
            return Ok(None);
        }
        let mut numbers = Vec::with_capacity(runs.len());
        for run in runs.iter().take(fresh + last as usize) {
            numbers.push(self.number(run.id, place).await?);
        }
        for (place_in_list, run) in runs.iter().take(fresh).enumerate() {
            let before = numbers[place_in_list + 1..].iter().take(last as usize).flatten().copied().collect();
            let Some(usual) = Usual::of(before) else { return Ok(None) };
            // A result without the number is as far off as can be.
            let number = numbers[place_in_list];
            if number.is_none_or(|number| usual.is_unusual(number)) {
                return Ok(Some(self.odd(recipe, run, place, number, usual)));
            }
        }
        Ok(None)
    }

    fn odd(&self, recipe: &RecipeRow, run: &RunRow, place: &str, number: Option<f64>, usual: Usual) -> Finding {
        let shown = number.map_or_else(|| "no number".to_owned(), |number| number.to_string());
        let range = if (usual.low - usual.high).abs() < f64::EPSILON {
            usual.low.to_string()
        } else {
            format!("{} to {}", usual.low, usual.high)
        };
        let link = format!("{}/runs/{}", self.settings.public_url, run.id);
        Finding {
            // A run that is odd again is told again after a while, not each time.
            group: "unusual".to_owned(),
            again: Again::After { quiet: QUIET, last: run.ended_at.unwrap_or(run.accepted_at) },
            subject: format!("{}: {place} is {shown}, usually {range}", recipe.slug),
            text: format!(
                "A run of the recipe {} gave {shown} as {place}. Earlier runs usually gave {range}. Look at {link}.",
                recipe.slug
            ),
            fields: json!({
                "recipe": recipe.slug, "run": run.id.to_string(), "value": place, "number": number,
                "low": usual.low, "high": usual.high, "link": link,
            }),
        }
    }

    /// The number at a place of a run's result.
    async fn number(&self, run: RunId, place: &str) -> Result<Option<f64>, StoreError> {
        let key = (run, place.to_owned());
        if let Some(known) = self.alarms.values.lock().get(&key) {
            return Ok(*known);
        }
        let mut result = None;
        let look = |entry: Entry| {
            if let Entry::Ended { out, .. } = entry {
                result = out;
            }
        };
        self.for_each_entry(run, 0, |entry| matches!(entry, Entry::Ended { .. }), look).await?;
        let number = result.and_then(|result| number_at(&result, place));
        let mut values = self.alarms.values.lock();
        if values.len() >= REMEMBERED_MAX {
            values.clear();
        }
        values.insert(key, number);
        Ok(number)
    }

    fn link(&self, recipe: &RecipeRow) -> String {
        format!("{}/recipes/{}", self.settings.public_url, recipe.slug)
    }
}

fn failure(cause: &Cause, quiet: Duration, link: &str) -> Finding {
    let error = cause.error.as_ref();
    let (class, code) = error.map_or(("internal", "UNKNOWN"), |error| (&*error.class, &*error.code));
    let step = error.and_then(|error| error.path.as_deref());
    let place = step.map(|path| format!(" at the step {path}")).unwrap_or_default();
    let runs = if cause.count == 1 { "1 run waits".to_owned() } else { format!("{} runs wait", cause.count) };
    Finding {
        group: format!("cause:{}:{}", cause.fingerprint, cause.recipe),
        again: Again::After { quiet, last: cause.last },
        subject: format!("{}: failed with {code} ({})", cause.slug, cause.count),
        text: format!(
            "{runs} as a dead letter of the recipe {}: {class}, {code}{place}. The first failed at {}, the last at {}. \
             Look at {link}.",
            cause.slug,
            instant_text(cause.first),
            instant_text(cause.last)
        ),
        fields: json!({
            "recipe": cause.slug, "cause": cause.fingerprint.to_string(), "class": class, "code": code, "step": step,
            "count": cause.count, "first": instant_text(cause.first), "last": instant_text(cause.last), "link": link,
        }),
    }
}

/// The day it is in a zone: its name, when it begins, and when a time of it is. `None` on days that do not count.
fn day(now: Timestamp, at: &str, zone: &str, days: &[String]) -> Option<(String, Timestamp, Timestamp)> {
    let zone = zone_of(zone).ok()?;
    let date = jiff::Timestamp::from_microsecond(now.micros()).ok()?.to_zoned(zone.clone()).date();
    if !days.is_empty() && !days.iter().any(|day| weekday(day) == Ok(date.weekday())) {
        return None;
    }
    // A time that the clocks skip is the one after the gap.
    let due = date.to_datetime(time(at).ok()?).to_zoned(zone.clone()).ok()?;
    let begin = date.to_zoned(zone).ok()?;
    let instant = |zoned: &jiff::Zoned| Timestamp::from_micros(zoned.timestamp().as_microsecond());
    Some((date.to_string(), instant(&begin), instant(&due)))
}

fn number_at(result: &Json, place: &str) -> Option<f64> {
    place.split('.').try_fold(result, |value, name| value.get(name))?.as_f64()
}

fn switched(recipe: &RecipeRow) -> &'static str {
    if recipe.active_version.is_some() { "It is switched on." } else { "It is switched off." }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_micros(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
    }

    #[test]
    fn a_day_is_that_of_its_zone_and_follows_its_clocks() {
        let berlin = |now: &str| day(at(now), "09:30", "Europe/Berlin", &[]).unwrap();
        let expected = ("2026-07-01".to_owned(), at("2026-06-30T22:00:00Z"), at("2026-07-01T07:30:00Z"));
        assert_eq!(berlin("2026-06-30T23:00:00Z"), expected);
        let winter = ("2026-12-01".to_owned(), at("2026-11-30T23:00:00Z"), at("2026-12-01T08:30:00Z"));
        assert_eq!(berlin("2026-12-01T12:00:00Z"), winter);
        let (_, _, skipped) = day(at("2026-03-29T12:00:00Z"), "02:30", "Europe/Berlin", &[]).unwrap();
        assert_eq!(skipped, at("2026-03-29T01:30:00Z"), "03:30 in summer time");
    }

    #[test]
    fn days_that_do_not_count_are_left_alone() {
        let weekdays: Vec<String> = ["mon", "tue", "wed", "thu", "fri"].map(str::to_owned).to_vec();
        assert!(day(at("2026-11-21T12:00:00Z"), "09:30", "UTC", &weekdays).is_none(), "a Saturday");
        assert!(day(at("2026-11-23T12:00:00Z"), "09:30", "UTC", &weekdays).is_some());
    }

    #[test]
    fn a_number_is_found_by_its_place() {
        let result = json!({ "total": 3, "counts": { "written": 2.5 }, "name": "7" });
        assert_eq!(number_at(&result, "total"), Some(3.0));
        assert_eq!(number_at(&result, "counts.written"), Some(2.5));
        assert_eq!((number_at(&result, "name"), number_at(&result, "counts.lost"), number_at(&result, "")), (None, None, None));
    }
}
