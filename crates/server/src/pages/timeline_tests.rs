use super::super::mark::Mark;
use super::super::step::{Bar, Park};
use super::*;

const S: i64 = 1_000_000;

fn row(status: StepStatus, bars: &[(i64, Option<i64>, BarStatus)]) -> StepRow {
    let mut row = StepRow::new("a", "A", Mark::word("set"), status);
    row.started_us = bars.first().map(|bar| bar.0);
    row.ended_us = bars.last().and_then(|bar| bar.1);
    row.attempts = bars.iter().map(|&(from_us, to_us, status)| Bar { from_us, to_us, status, error: None }).collect();
    row
}

fn near(left: f64, right: f64) {
    assert!((left - right).abs() < 0.01, "{left} is not {right}");
}

#[test]
fn a_plain_run_is_drawn_at_one_scale() {
    let rows = [row(StepStatus::Succeeded, &[(0, Some(4 * S), BarStatus::Succeeded)])];
    let scale = Scale::over(&rows, 0, 8 * S, false);
    near(scale.x(4 * S), 100.0 * 4.0 / 8.0);
    assert!(scale.folds.is_empty());
}

#[test]
fn a_long_wait_is_folded_and_both_sides_keep_their_scale() {
    let rows = [
        row(StepStatus::Succeeded, &[(0, Some(S), BarStatus::Succeeded)]),
        row(StepStatus::Succeeded, &[(1_001 * S, Some(1_010 * S), BarStatus::Succeeded)]),
    ];
    let scale = Scale::over(&rows, 0, 1_010 * S, false);
    assert_eq!(scale.folds.len(), 1);
    near(scale.folds[0].w, 16.0);
    near(scale.x(S), 8.4);
    near(scale.x(1_001 * S), 24.4);
    near(scale.x(1_010 * S), 100.0);
    assert_eq!(scale.working_us, 10 * S);
    let labels: Vec<&str> = scale.ticks.iter().map(|tick| tick.label.as_str()).collect();
    assert_eq!(labels, ["0", "16 m", "+2 s", "+4 s", "+6 s", "+8 s"]);
}

#[test]
fn waits_between_tries_are_dotted() {
    let row = row(
        StepStatus::Succeeded,
        &[(0, Some(S), BarStatus::Failed), (3 * S, Some(4 * S), BarStatus::Failed), (6 * S, Some(8 * S), BarStatus::Succeeded)],
    );
    let scale = Scale::over(std::slice::from_ref(&row), 0, 8 * S, false);
    let kinds: Vec<SegmentKind> = scale.segments(&row, 8 * S).iter().map(|s| s.kind).collect();
    use SegmentKind::{Ok, Try, Wait};
    assert_eq!(kinds, [Try, Wait, Try, Wait, Ok]);
}

#[test]
fn an_open_run_leaves_room_and_its_bar_grows() {
    let row = row(StepStatus::Running, &[(0, None, BarStatus::Running)]);
    let scale = Scale::over(std::slice::from_ref(&row), 0, 10 * S, true);
    let segments = scale.segments(&row, 10 * S);
    near(segments[0].w, 85.0);
    near(segments[0].growth, 8.5);
}

#[test]
fn a_retrying_step_waits_on() {
    let row = row(StepStatus::Retrying, &[(0, Some(S), BarStatus::Failed)]);
    let scale = Scale::over(std::slice::from_ref(&row), 0, 2 * S, true);
    let segments = scale.segments(&row, 2 * S);
    assert_eq!(segments[0].kind, SegmentKind::Try);
    assert_eq!(segments[1].kind, SegmentKind::Wait);
    assert!(segments[1].growth > 0.0);
}

#[test]
fn ticks_between_two_units_say_so() {
    let told = [500_000, S, 1_500_000, 90 * S, 150 * S, 3_600 * S, 9_000 * S, 1_100].map(exact);
    assert_eq!(told, ["500 ms", "1 s", "1.5 s", "90 s", "2.5 m", "1 h", "2.5 h", "1.1 ms"]);
}

#[test]
fn parks_replace_the_pause_they_cover() {
    let mut row = row(StepStatus::Succeeded, &[(0, Some(S), BarStatus::Failed), (9 * S, Some(10 * S), BarStatus::Succeeded)]);
    row.parks.push(Park { from_us: S, to_us: Some(9 * S), reason: WaitFor::Circuit });
    let scale = Scale::over(std::slice::from_ref(&row), 0, 10 * S, false);
    let kinds: Vec<SegmentKind> = scale.segments(&row, 10 * S).iter().map(|s| s.kind).collect();
    assert_eq!(kinds, [SegmentKind::Hold, SegmentKind::Try, SegmentKind::Ok]);
}

#[test]
fn nothing_ran_is_no_trouble() {
    let scale = Scale::over(&[], 5, 5, false);
    near(scale.x(5), 0.0);
    near(scale.x(99), 100.0);
    assert_eq!(scale.working_us, 0);
}

#[test]
fn every_place_is_inside_and_in_order() {
    let rows = [
        row(StepStatus::Succeeded, &[(0, Some(20_000), BarStatus::Succeeded)]),
        row(StepStatus::Succeeded, &[(3_600 * S, Some(3_600 * S + 5), BarStatus::Succeeded)]),
        row(StepStatus::Failed, &[(90_000 * S, Some(90_001 * S), BarStatus::Failed)]),
    ];
    let scale = Scale::over(&rows, 0, 90_001 * S, false);
    assert_eq!(scale.folds.len(), 2);
    let mut last = -1.0;
    for us in [0, 20_000, 10 * S, 3_600 * S, 3_700 * S, 90_000 * S, 90_001 * S, 99_999 * S] {
        let x = scale.x(us);
        assert!(x >= last && (0.0..=100.001).contains(&x), "{us} at {x}");
        last = x;
    }
}
