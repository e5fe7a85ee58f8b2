//! Why dead letters failed: the panel above the list of dead letters and that of failed runs.

use super::{dead_letters::LetterFilter, format};

/// Hours a cause is drawn by.
pub const HOURS: usize = store::CAUSE_HOURS;
/// The picture of a cause is so high; its width is four for each hour, three of them the bar.
const HEIGHT: u64 = 220;
/// The highest bar; one failure is never drawn lower than the smallest.
const BAR_MAX: u64 = 200;
const BAR_MIN: u64 = 30;
/// The mark of an hour without failures.
const BAR_NONE: u64 = 15;

/// A cause of several failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CauseRow {
    /// What they have in common.
    pub fingerprint: String,
    /// What the newest says.
    pub message: String,
    /// The recipe's title.
    pub recipe_title: String,
    /// The step that failed: its number and title, or its path.
    pub step: Option<String>,
    /// How many.
    pub count: u64,
    /// When the first failed.
    pub first_us: i64,
    /// When the last did.
    pub last_us: i64,
    /// How many failed in each of the last 24 hours, the oldest first.
    pub hours: [u64; HOURS],
}

/// The panel; nothing is shown without causes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CausesPanel {
    /// Causes, those with the most first.
    pub rows: Vec<CauseRow>,
    /// Whether there are more than these.
    pub more: bool,
    /// The one the list below is about.
    pub chosen: Option<String>,
}

/// One hour as it is drawn, in units of the picture.
pub(super) struct HourBar {
    pub(super) class: &'static str,
    pub(super) x: usize,
    pub(super) y: String,
    pub(super) height: String,
}

impl CauseRow {
    pub(super) fn list(&self) -> String {
        LetterFilter { cause: Some(self.fingerprint.clone()), ..LetterFilter::default() }.href()
    }

    pub(super) fn act(&self) -> String {
        LetterFilter { cause: Some(self.fingerprint.clone()), ..LetterFilter::default() }
            .with("/dead-letters/act", &[("what", "resume"), ("all", "1")])
    }

    pub(super) fn count_words(&self) -> String {
        format::count(self.count)
    }

    pub(super) fn bars(&self) -> Vec<HourBar> {
        let most = self.hours.iter().copied().max().unwrap_or(0).max(1);
        let bar = |(hour, failures): (usize, u64)| {
            let (class, height) = match failures {
                0 => ("none", BAR_NONE),
                _ => {
                    let share = u128::from(BAR_MAX) * u128::from(failures) / u128::from(most);
                    ("fail", u64::try_from(share).unwrap_or(BAR_MAX).max(BAR_MIN))
                }
            };
            HourBar { class, x: hour * 4, y: tenths(HEIGHT - height), height: tenths(height) }
        };
        self.hours.into_iter().enumerate().map(bar).collect()
    }

    /// What the bars show, in words.
    pub(super) fn hours_words(&self) -> String {
        let sum = self.hours.iter().fold(0_u64, |sum, failures| sum.saturating_add(*failures));
        // Of several hours with as many, the latest.
        let peak = self.hours.into_iter().enumerate().max_by_key(|(_, failures)| *failures).filter(|(_, failures)| *failures > 0);
        let Some((hour, most)) = peak else { return "None in the last 24 hours".to_owned() };
        let when = match HOURS - 1 - hour {
            0 => "in the last hour".to_owned(),
            ago => format!("{ago} to {} hours ago", ago + 1),
        };
        match sum {
            sum if sum == most => format!("Last 24 hours: {}, {when}", format::count(sum)),
            _ => format!("Last 24 hours: {}; most in one hour: {}, {when}", format::count(sum), format::count(most)),
        }
    }
}

/// `20.5` from 205.
fn tenths(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

impl CausesPanel {
    pub(super) fn is_chosen(&self, cause: &CauseRow) -> bool {
        self.chosen.as_deref() == Some(cause.fingerprint.as_str())
    }

    /// "27 dead letters have 3 causes".
    pub(super) fn title(&self) -> String {
        let sum = self.rows.iter().fold(0_u64, |sum, cause| sum.saturating_add(cause.count));
        let letters = format::plural(sum, "dead letter", "dead letters");
        let verb = if sum == 1 { "has" } else { "have" };
        match (self.rows.len() as u64, self.more) {
            (causes, true) => format!("The {causes} causes with the most dead letters"),
            (causes, false) => format!("{letters} {verb} {}", format::plural(causes, "cause", "causes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(hours: [u64; HOURS]) -> CauseRow {
        CauseRow {
            fingerprint: "ab".to_owned(),
            message: String::new(),
            recipe_title: String::new(),
            step: None,
            count: 3,
            first_us: 0,
            last_us: 0,
            hours,
        }
    }

    fn hours(some: &[(usize, u64)]) -> [u64; HOURS] {
        let mut hours = [0; HOURS];
        some.iter().for_each(|(hour, failures)| hours[*hour] = *failures);
        hours
    }

    #[test]
    fn the_hour_with_the_most_is_the_highest_and_one_failure_can_be_seen() {
        let drawn = |hours| cause(hours).bars().into_iter().map(|bar| (bar.class, bar.y, bar.height)).collect::<Vec<_>>();
        let bars = drawn(hours(&[(0, 1), (22, u64::MAX / 2), (23, u64::MAX)]));
        let bar = |class, y: &str, height: &str| (class, y.to_owned(), height.to_owned());
        assert_eq!((bars.len(), &bars[0], &bars[1]), (24, &bar("fail", "19.0", "3.0"), &bar("none", "20.5", "1.5")));
        assert_eq!((&bars[22], &bars[23]), (&bar("fail", "12.1", "9.9"), &bar("fail", "2.0", "20.0")));
        assert!(drawn(hours(&[])).iter().all(|(class, ..)| *class == "none"));
        assert_eq!(cause(hours(&[])).bars()[23].x, 92, "the last ends at the edge of 96");
    }

    #[test]
    fn the_bars_are_told_in_words() {
        let words = |some: &[(usize, u64)]| cause(hours(some)).hours_words();
        assert_eq!(words(&[]), "None in the last 24 hours");
        assert_eq!(words(&[(23, 2)]), "Last 24 hours: 2, in the last hour");
        assert_eq!(words(&[(20, 1200), (22, 3)]), "Last 24 hours: 1,203; most in one hour: 1,200, 3 to 4 hours ago");
        assert_eq!(words(&[(3, 2), (21, 2)]), "Last 24 hours: 4; most in one hour: 2, 2 to 3 hours ago");
    }

    #[test]
    fn the_title_counts_what_is_shown() {
        let panel = |causes, more| CausesPanel { rows: vec![cause(hours(&[])); causes], more, chosen: None }.title();
        assert_eq!(panel(1, false), "3 dead letters have 1 cause");
        assert_eq!(panel(2, false), "6 dead letters have 2 causes");
        assert_eq!(panel(8, true), "The 8 causes with the most dead letters");
    }
}
