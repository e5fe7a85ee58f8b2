//! When a failed attempt is made again.

use std::time::Duration;

use connector::ErrorClass;
use recipe::ast::{Jitter, Retry};
use store::Timestamp;

/// A retry policy with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Tries in all, the first included.
    pub times: u32,
    /// Pause before the second try.
    pub wait: Duration,
    /// What each further pause is multiplied by.
    pub factor: f64,
    /// The longest pause.
    pub max_wait: Duration,
    /// How the pause is spread.
    pub jitter: Jitter,
    /// No further try once this long after the first began.
    pub within: Option<Duration>,
    /// The classes tried again.
    pub on: Vec<ErrorClass>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            times: 5,
            wait: Duration::from_secs(1),
            factor: 2.0,
            max_wait: Duration::from_secs(60),
            jitter: Jitter::Full,
            within: None,
            on: ErrorClass::ALL.into_iter().filter(|class| class.is_transient()).collect(),
        }
    }
}

impl Policy {
    /// The policy as written, the rest from the default.
    #[must_use]
    pub fn from_recipe(written: Option<&Retry>) -> Self {
        let default = Self::default();
        let Some(written) = written else { return default };
        Self {
            times: written.times.max(1),
            wait: written.wait.unwrap_or(default.wait),
            factor: written.factor.unwrap_or(default.factor),
            max_wait: written.max_wait.unwrap_or(default.max_wait),
            jitter: written.jitter.unwrap_or(default.jitter),
            within: written.within,
            on: written.on.as_ref().map_or(default.on, |words| words.iter().filter_map(|word| ErrorClass::parse(word)).collect()),
        }
    }

    /// Whether a failure of this class is repeated at all.
    #[must_use]
    pub fn repeats(&self, class: ErrorClass) -> bool {
        self.times > 1 && self.on.contains(&class)
    }

    /// When attempt `attempt + 1` may begin after attempt `attempt` failed; `None` for never.
    ///
    /// `dice` is between 0 and 1. The system's own wish wins over the computed pause, unless it is
    /// shorter than nothing; a wish longer than `within` allows means never.
    #[must_use]
    pub fn next_try(
        &self,
        class: ErrorClass,
        attempt: u32,
        began: Timestamp,
        now: Timestamp,
        wish: Option<Duration>,
        dice: f64,
    ) -> Option<Timestamp> {
        if attempt >= self.times || !self.on.contains(&class) {
            return None;
        }
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let full = (self.wait.as_secs_f64() * self.factor.powi(exponent)).min(self.max_wait.as_secs_f64());
        let pause = match (wish, self.jitter) {
            (Some(wish), _) => wish,
            (None, Jitter::None) => Duration::from_secs_f64(full),
            // At least a little, so that a system that just failed is not asked again at once.
            (None, Jitter::Full) => Duration::from_secs_f64(full * dice.clamp(0.05, 1.0)),
        };
        let at = now.after(pause);
        match self.within {
            Some(within) if at.since(began) > within => None,
            _ => Some(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn plain() -> Policy {
        Policy { jitter: Jitter::None, ..Policy::default() }
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let policy = Policy { times: 20, ..plain() };
        let pauses: Vec<_> = (1..9)
            .map(|attempt| {
                policy.next_try(ErrorClass::Server, attempt, at(0), at(100), None, 0.5).unwrap().since(at(100)).as_secs()
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn only_the_named_classes_are_tried_again() {
        for class in ErrorClass::ALL {
            assert_eq!(plain().next_try(class, 1, at(0), at(0), None, 0.5).is_some(), class.is_transient(), "{class}");
        }
        let policy = Policy { on: vec![ErrorClass::Conflict], ..plain() };
        assert!(policy.next_try(ErrorClass::Conflict, 1, at(0), at(0), None, 0.5).is_some());
        assert!(policy.next_try(ErrorClass::Server, 1, at(0), at(0), None, 0.5).is_none());
    }

    #[test]
    fn the_last_try_is_the_last() {
        assert!(plain().next_try(ErrorClass::Server, 4, at(0), at(0), None, 0.5).is_some());
        assert!(plain().next_try(ErrorClass::Server, 5, at(0), at(0), None, 0.5).is_none());
        let never = Policy::from_recipe(Some(&Retry {
            times: 1,
            wait: None,
            factor: None,
            max_wait: None,
            jitter: None,
            within: None,
            on: None,
        }));
        assert!(never.next_try(ErrorClass::Server, 1, at(0), at(0), None, 0.5).is_none());
    }

    #[test]
    fn the_systems_wish_wins_and_within_ends_it() {
        let wish = Some(Duration::from_secs(90));
        assert_eq!(plain().next_try(ErrorClass::RateLimited, 1, at(0), at(10), wish, 0.5), Some(at(100)));
        let policy = Policy { within: Some(Duration::from_secs(60)), ..plain() };
        assert_eq!(policy.next_try(ErrorClass::RateLimited, 1, at(0), at(10), wish, 0.5), None);
        assert_eq!(policy.next_try(ErrorClass::Server, 1, at(0), at(10), None, 0.5), Some(at(11)));
    }

    #[test]
    fn full_jitter_spreads_below_the_pause() {
        let policy = Policy { wait: Duration::from_secs(10), ..Policy::default() };
        let pause = |dice| policy.next_try(ErrorClass::Network, 1, at(0), at(0), None, dice).unwrap().micros();
        assert_eq!(pause(0.0), 500_000);
        assert_eq!(pause(0.5), 5_000_000);
        assert_eq!(pause(1.0), 10_000_000);
    }
}
