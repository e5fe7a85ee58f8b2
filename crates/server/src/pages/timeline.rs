//! The scale of a run's timeline: instants to percent of the track's width.
//!
//! Long times in which nothing worked (a person, a limit, a pause) are folded to a fixed width, so
//! that work of milliseconds beside a wait of hours can still be read. Both sides of a fold have the
//! same scale. Pure arithmetic; nothing here knows HTML.

use super::{
    format,
    status::{StepStatus, WaitFor},
    step::{BarStatus, StepKind, StepRow},
};

/// Folds at most; further long waits stay at scale.
const FOLDS_MAX: usize = 3;
/// A wait shorter than this is never folded.
const FOLD_US_MIN: i64 = 2_000_000;
/// The width of one fold in percent.
const FOLD_WIDTH: f64 = 16.0;
/// The part of the track kept free to the right while a run is not finished, for bars to grow into.
const HEADROOM: f64 = 0.15;
/// The steps between two ticks, in microseconds.
const TICKS_US: [i64; 27] = [
    100,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    15_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
    900_000_000,
    1_800_000_000,
    3_600_000_000,
    10_800_000_000,
    21_600_000_000,
    86_400_000_000,
    604_800_000_000,
];

/// What a segment of a track shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// Work that went well.
    Ok,
    /// A try that failed and was followed by another.
    Try,
    /// The failure.
    Fail,
    /// Under way.
    Run,
    /// No answer came.
    Doubt,
    /// Waiting for a person, a call, a paused connection.
    Hold,
    /// The pause between tries, a timer.
    Wait,
}

/// One coloured piece of a track.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// What it shows.
    pub kind: SegmentKind,
    /// Left edge in percent.
    pub x: f64,
    /// Width in percent.
    pub w: f64,
    /// What it means, shown on hover.
    pub title: String,
    /// Percent a second by which it still grows; zero if it has ended.
    pub growth: f64,
}

/// One label on the axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Place in percent.
    pub x: f64,
    /// `0`, `+2 s`, `18 m`.
    pub label: String,
    /// Whether a line goes down from it.
    pub line: bool,
}

/// A wait drawn shorter than it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Fold {
    /// Left edge in percent.
    pub x: f64,
    /// Width in percent.
    pub w: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Stretch {
    from_us: i64,
    to_us: i64,
    x: f64,
    w: f64,
    folded: bool,
}

/// The scale of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    stretches: Vec<Stretch>,
    /// Ticks of the axis.
    pub ticks: Vec<Tick>,
    /// Folded waits.
    pub folds: Vec<Fold>,
    /// Microseconds in which at least one try was under way.
    pub working_us: i64,
}

impl Scale {
    /// The scale over all rows. `open` keeps room to the right for bars that still grow.
    pub fn over(rows: &[StepRow], started_us: i64, end_us: i64, open: bool) -> Self {
        let busy = busy(rows, started_us, end_us);
        let working_us = busy.iter().map(|(from, to)| to - from).sum();
        let end_us = end_us.max(busy.last().map_or(started_us, |last| last.1)).max(started_us + 1);
        let folded = folds(&busy, started_us, end_us);
        let stretches = lay_out(&folded, started_us, end_us, open);
        let folds = stretches.iter().filter(|s| s.folded).map(|s| Fold { x: s.x, w: s.w }).collect();
        let ticks = ticks(&stretches);
        Self { stretches, ticks, folds, working_us }
    }

    /// Where an instant lies, in percent.
    pub fn x(&self, us: i64) -> f64 {
        let Some(first) = self.stretches.first() else { return 0.0 };
        if us <= first.from_us {
            return first.x;
        }
        let at = self.stretches.iter().find(|s| us <= s.to_us).or(self.stretches.last());
        at.map_or(0.0, |s| s.x + s.w * ((us.min(s.to_us) - s.from_us) as f64 / (s.to_us - s.from_us) as f64))
    }

    /// Percent a second at the right end.
    fn growth(&self) -> f64 {
        self.stretches.last().map_or(0.0, |s| s.w * 1_000_000.0 / (s.to_us - s.from_us) as f64)
    }

    /// The pieces of one row's track.
    pub fn segments(&self, row: &StepRow, now_us: i64) -> Vec<Segment> {
        let mut out = Vec::new();
        let mut push = |kind, from: i64, to: Option<i64>, title: String| {
            let x = self.x(from);
            let growth = if to.is_none() { self.growth() } else { 0.0 };
            out.push(Segment { kind, x, w: (self.x(to.unwrap_or(now_us)) - x).max(0.0), title, growth });
        };
        for park in &row.parks {
            let kind = if matches!(park.reason, WaitFor::Retry | WaitFor::Timer) { SegmentKind::Wait } else { SegmentKind::Hold };
            let took = format::duration(park.to_us.unwrap_or(now_us) - park.from_us);
            push(kind, park.from_us, park.to_us, format!("Waited {took} for {}", park.reason.what()));
        }
        for (place, bar) in row.attempts.iter().enumerate() {
            let next = row.attempts.get(place + 1);
            let (kind, outcome) = match bar.status {
                BarStatus::Running => (SegmentKind::Run, "running"),
                BarStatus::Succeeded => (SegmentKind::Ok, "succeeded"),
                BarStatus::Uncertain => (SegmentKind::Doubt, "no answer came"),
                BarStatus::Failed if next.is_some() || row.status == StepStatus::Retrying => (SegmentKind::Try, "failed"),
                BarStatus::Failed => (SegmentKind::Fail, "failed"),
            };
            let title = format!("Try {}: {}", place + 1, bar.error.as_deref().unwrap_or(outcome));
            push(kind, bar.from_us, bar.to_us, title);
            let pause_to = next.map(|next| next.from_us);
            if let Some(from) = bar.to_us
                && (pause_to.is_some() || row.status == StepStatus::Retrying)
                && !row
                    .parks
                    .iter()
                    .any(|park| park.from_us < pause_to.unwrap_or(i64::MAX) && park.to_us.unwrap_or(i64::MAX) > from)
            {
                let took = format::duration(pause_to.unwrap_or(now_us) - from);
                push(SegmentKind::Wait, from, pause_to, format!("Waited {took}"));
            }
        }
        if row.attempts.is_empty() && row.parks.is_empty() && row.status.was_begun() {
            let kind = match row.status {
                StepStatus::Failed => SegmentKind::Fail,
                StepStatus::Uncertain | StepStatus::Stopped => SegmentKind::Doubt,
                status if status.is_open() => SegmentKind::Run,
                _ => SegmentKind::Ok,
            };
            if let Some(from) = row.started_us {
                let to = if row.status.is_open() { None } else { Some(row.ended_us.unwrap_or(from)) };
                push(kind, from, to, String::new());
            }
        }
        out
    }
}

impl SegmentKind {
    /// The class of the piece.
    pub fn class(self) -> &'static str {
        match self {
            Self::Ok => "",
            Self::Try => "try",
            Self::Fail => "fail",
            Self::Run => "run",
            Self::Doubt => "doubt",
            Self::Hold => "hold",
            Self::Wait => "wait",
        }
    }
}

/// The times in which at least one try was under way, merged and in order.
fn busy(rows: &[StepRow], started_us: i64, end_us: i64) -> Vec<(i64, i64)> {
    let mut spans: Vec<(i64, i64)> = rows
        .iter()
        .flat_map(|row| {
            // A loop's time is that of the steps in it: pauses among them are no work.
            let counts = !matches!(row.kind, StepKind::Loop | StepKind::Pass);
            let own = (counts && row.attempts.is_empty() && row.parks.is_empty() && row.status.was_begun())
                .then_some((row.started_us, row.ended_us.or(row.started_us)));
            let tries = row.attempts.iter().map(|bar| (Some(bar.from_us), Some(bar.to_us.unwrap_or(end_us))));
            tries.chain(own)
        })
        .filter_map(|(from, to)| Some((from?.max(started_us), to?)))
        .filter(|(from, to)| to >= from)
        .collect();
    spans.sort_unstable();
    let mut merged: Vec<(i64, i64)> = Vec::new();
    for (from, to) in spans {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// The idle times worth folding: each is longer than all that is left of the run without it.
fn folds(busy: &[(i64, i64)], started_us: i64, end_us: i64) -> Vec<(i64, i64)> {
    let mut edge = started_us;
    let mut gaps: Vec<(i64, i64)> = Vec::new();
    for &(from, to) in busy {
        if from > edge {
            gaps.push((edge, from));
        }
        edge = edge.max(to);
    }
    if end_us > edge {
        gaps.push((edge, end_us));
    }
    gaps.sort_unstable_by_key(|(from, to)| from - to);
    let mut left = end_us - started_us;
    let mut out: Vec<(i64, i64)> = Vec::new();
    for (from, to) in gaps {
        // The second of two like waits may be folded too: it is long against the work that is left.
        if out.len() == FOLDS_MAX || to - from < FOLD_US_MIN || (to - from) * 10 < left * 6 {
            break;
        }
        left -= to - from;
        out.push((from, to));
    }
    out.sort_unstable();
    out
}

fn lay_out(folded: &[(i64, i64)], started_us: i64, end_us: i64, open: bool) -> Vec<Stretch> {
    let linear_us = (end_us - started_us) - folded.iter().map(|(from, to)| to - from).sum::<i64>();
    let room = (100.0 - FOLD_WIDTH * folded.len() as f64) * if open { 1.0 - HEADROOM } else { 1.0 };
    let mut out = Vec::new();
    let (mut at_us, mut x) = (started_us, 0.0);
    let mut push = |from_us: i64, to_us: i64, x: &mut f64, folded: bool| {
        if to_us > from_us {
            let w = if folded { FOLD_WIDTH } else { room * ((to_us - from_us) as f64 / linear_us.max(1) as f64) };
            out.push(Stretch { from_us, to_us, x: *x, w, folded });
            *x += w;
        }
    };
    for &(from, to) in folded {
        push(at_us, from, &mut x, false);
        push(from, to, &mut x, true);
        at_us = to;
    }
    push(at_us, end_us, &mut x, false);
    out
}

fn ticks(stretches: &[Stretch]) -> Vec<Tick> {
    let linear = stretches.iter().filter(|s| !s.folded);
    let (us, width) = linear.fold((0, 0.0), |(us, w), s| (us + s.to_us - s.from_us, w + s.w));
    let mut out = vec![Tick { x: 0.0, label: "0".to_owned(), line: false }];
    if us > 0 && width > 0.0 {
        let wanted = us as f64 * 13.0 / width;
        let step = TICKS_US.into_iter().find(|step| *step as f64 >= wanted).unwrap_or(TICKS_US[TICKS_US.len() - 1]);
        for (place, s) in stretches.iter().enumerate() {
            if s.folded {
                out.push(Tick { x: s.x + s.w / 2.0, label: short(s.to_us - s.from_us), line: false });
                continue;
            }
            let sign = if place == 0 { "" } else { "+" };
            let mut offset = step;
            while offset <= s.to_us - s.from_us {
                let x = s.x + s.w * (offset as f64 / (s.to_us - s.from_us) as f64);
                out.push(Tick { x, label: format!("{sign}{}", exact(offset)), line: true });
                offset += step;
            }
        }
    }
    // Labels never touch: the later one gives way.
    let mut kept: Vec<Tick> = Vec::new();
    for tick in out {
        let before = kept.iter().rfind(|last| !last.label.is_empty());
        let room = |last: &Tick| (last.label.chars().count() + tick.label.chars().count()) as f64 * 1.25 + 1.0;
        let crowded = tick.x > 96.0 || before.is_some_and(|last| tick.x - last.x < room(last));
        if !crowded || tick.line {
            kept.push(if crowded { Tick { label: String::new(), ..tick } } else { tick });
        }
    }
    kept
}

/// The length of a wait: one unit, no decimals.
fn short(us: i64) -> String {
    let (unit, word) = unit(us);
    format!("{} {word}", us / unit)
}

/// A tick's label: one unit, and a decimal where the tick stands between two.
fn exact(us: i64) -> String {
    let (unit, word) = unit(us);
    match us % unit * 10 / unit {
        0 => format!("{} {word}", us / unit),
        tenths => format!("{}.{tenths} {word}", us / unit),
    }
}

/// The unit of a label in microseconds, and its word.
fn unit(us: i64) -> (i64, &'static str) {
    match us {
        us if us < 1_000 => (1, "µs"),
        us if us < 1_000_000 => (1_000, "ms"),
        us if us < 120_000_000 && us % 60_000_000 != 0 || us < 60_000_000 => (1_000_000, "s"),
        us if us < 7_200_000_000 && us % 3_600_000_000 != 0 || us < 3_600_000_000 => (60_000_000, "m"),
        us if us < 172_800_000_000 && us % 86_400_000_000 != 0 || us < 86_400_000_000 => (3_600_000_000, "h"),
        _ => (86_400_000_000, "d"),
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
