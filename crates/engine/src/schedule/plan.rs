//! Which fire times of a schedule start a run now. Pure: a cursor and a clock in, fire times out.

use std::{collections::VecDeque, time::Duration};

use crate::{LiveRecipe, cron::Schedule};

/// A fire time that is not older has not been missed: every process is a little late.
const ON_TIME: Duration = Duration::from_secs(60);
/// Runs one look makes up for with `on_missed: all`; the rest is told.
const MADE_UP_MAX: usize = 1000;
/// Missed fire times are counted so far back; beyond it a dense schedule is not counted out.
const COUNTED: Duration = Duration::from_secs(32 * 24 * 3600);

/// What becomes of fire times that passed while nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMissed {
    /// They start no run.
    Skip,
    /// The newest starts one run, which is told how many there were besides.
    #[default]
    Once,
    /// Each starts its run, oldest first.
    All,
}

impl OnMissed {
    /// What the recipe's schedule says.
    #[must_use]
    pub fn of(recipe: &LiveRecipe) -> Self {
        match recipe.program.trigger_with["on_missed"].as_str() {
            Some("skip") => Self::Skip,
            Some("all") => Self::All,
            _ => Self::Once,
        }
    }

    /// The word of the language.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::All => "all",
        }
    }
}

/// What to do about a schedule now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Fire times that start a run, oldest first, each with how many missed ones it stands for.
    pub(super) fire: Vec<(i64, u32)>,
    /// Fire times that start no run and are told of nowhere else.
    pub(super) left_out: u64,
    /// The newest fire time this deals with.
    pub(super) up_to: Option<i64>,
}

impl Plan {
    /// What became due after `cursor` and up to `now`, both in microseconds.
    pub(super) fn of(schedule: &Schedule, on_missed: OnMissed, cursor: i64, now: i64) -> Self {
        let (newest, count) = due(schedule, cursor, now);
        let Some(up_to) = newest.back().copied() else { return Self { fire: Vec::new(), left_out: 0, up_to: None } };
        let others = u32::try_from(count - 1).unwrap_or(u32::MAX);
        let (fire, left_out) = match on_missed {
            OnMissed::Once => (vec![(up_to, others)], 0),
            OnMissed::Skip if now - up_to <= micros(ON_TIME) => (vec![(up_to, 0)], count - 1),
            OnMissed::Skip => (Vec::new(), count),
            OnMissed::All => {
                let beyond = count - newest.len() as u64;
                let missed = |place| if place == 0 { u32::try_from(beyond).unwrap_or(u32::MAX) } else { 0 };
                (newest.iter().enumerate().map(|(place, at)| (*at, missed(place))).collect(), beyond)
            }
        };
        Self { fire, left_out, up_to: Some(up_to) }
    }
}

/// The newest due fire times, oldest first, and how many there are.
fn due(schedule: &Schedule, cursor: i64, now: i64) -> (VecDeque<i64>, u64) {
    let recent = now.saturating_sub(micros(COUNTED));
    // A dense schedule that nobody fired for long is not walked through in whole; a sparse one has few times.
    let dense = cursor < recent && schedule.next_after(recent).is_some_and(|at| at <= now);
    let mut at = if dense { recent } else { cursor };
    let (mut newest, mut count) = (VecDeque::new(), 0);
    while let Some(next) = schedule.next_after(at).filter(|next| *next <= now) {
        if newest.len() == MADE_UP_MAX {
            newest.pop_front();
        }
        newest.push_back(next);
        count += 1;
        at = next;
    }
    (newest, count)
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const MINUTE: i64 = 60 * SECOND;
    const DAY: i64 = 24 * 60 * MINUTE;
    /// 2026-03-01T00:00:00Z
    const START: i64 = 1_772_323_200 * SECOND;

    fn plan(cron: &str, on_missed: OnMissed, cursor: i64, now: i64) -> Plan {
        Plan::of(&Schedule::parse(cron, "UTC").unwrap(), on_missed, cursor, now)
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        for on_missed in [OnMissed::Skip, OnMissed::Once, OnMissed::All] {
            let plan = plan("0 6 * * *", on_missed, START, START + 5 * 60 * MINUTE);
            assert_eq!(plan, Plan { fire: Vec::new(), left_out: 0, up_to: None });
        }
        // A clock that was set back fires nothing a second time.
        assert_eq!(plan("* * * * *", OnMissed::All, START + DAY, START).fire, []);
    }

    #[test]
    fn on_time_every_policy_fires_the_one() {
        let at = START + 6 * 60 * MINUTE;
        for on_missed in [OnMissed::Skip, OnMissed::Once, OnMissed::All] {
            let plan = plan("0 6 * * *", on_missed, START, at + SECOND);
            assert_eq!(plan, Plan { fire: vec![(at, 0)], left_out: 0, up_to: Some(at) }, "{on_missed:?}");
        }
    }

    #[test]
    fn missed_times_are_dealt_with_as_the_recipe_says() {
        let (now, last) = (START + 10 * MINUTE + 30 * SECOND, START + 10 * MINUTE);
        assert_eq!(plan("* * * * *", OnMissed::Once, START, now).fire, [(last, 9)]);
        let all = plan("* * * * *", OnMissed::All, START, now);
        assert_eq!((all.fire.len(), all.fire[0], all.fire[9], all.left_out), (10, (START + MINUTE, 0), (last, 0), 0));
        // The last is on time, the nine before it were missed.
        let skip = plan("* * * * *", OnMissed::Skip, START, now);
        assert_eq!((skip.fire, skip.left_out, skip.up_to), (vec![(last, 0)], 9, Some(last)));
        let noon = START + 12 * 60 * MINUTE;
        let late = plan("0 6 * * *", OnMissed::Skip, START, noon);
        assert_eq!((late.fire, late.left_out, late.up_to), (Vec::new(), 1, Some(START + 6 * 60 * MINUTE)));
    }

    #[test]
    fn what_is_made_up_for_is_bounded_and_the_rest_is_told() {
        let plan = plan("* * * * *", OnMissed::All, START, START + DAY);
        assert_eq!((plan.fire.len(), plan.left_out), (MADE_UP_MAX, 440));
        assert_eq!((plan.fire[0].1, plan.fire[1].1, plan.up_to), (440, 0, Some(START + DAY)));
    }

    #[test]
    fn years_of_silence_cost_little_and_lose_no_rare_time() {
        let now = START + 3650 * DAY + MINUTE / 2;
        let dense = plan("* * * * *", OnMissed::Once, START, now);
        assert_eq!((dense.fire.len(), dense.up_to), (1, Some(START + 3650 * DAY)), "one run for all of them");
        let rare = plan("0 0 29 2 *", OnMissed::Once, START, now);
        assert_eq!(rare.fire.len(), 1);
        assert_eq!(rare.fire[0].1, 1, "2028 and 2032");
    }
}
