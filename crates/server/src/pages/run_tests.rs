use super::super::mark::Mark;
use super::*;

fn step(path: &str, depth: u8, kind: StepKind, status: StepStatus) -> StepRow {
    StepRow { depth, kind, ..StepRow::new(path, path, Mark::word("set"), status) }
}

#[test]
fn the_run_opens_on_the_first_failing_step() {
    use StepKind::{Handler, Loop, Pass, Plain, Trigger};
    use StepStatus::{Failed, Succeeded};
    let steps = [
        step("trigger", 0, Trigger, Succeeded),
        step("push", 0, Loop, Failed),
        step("push[0]", 1, Pass, Succeeded),
        step("push[1]", 1, Pass, Failed),
        step("push[1].up", 2, Plain, Failed),
        step("clean", 0, Handler, Failed),
    ];
    assert_eq!(chosen_at(&steps, None), Some(4));
    assert_eq!(chosen_at(&steps, Some("clean")), Some(5));
    assert_eq!(chosen_at(&steps, Some("gone")), Some(4));
    assert_eq!(chosen_at(&steps[..1], None), Some(0));
    assert_eq!(chosen_at(&[], None), None);
    // Only the clean-up failed: the last step that ran comes first, not the clean-up.
    assert_eq!(chosen_at(&[steps[0].clone(), steps[5].clone()], None), Some(0));
}

#[test]
fn what_a_block_passed_over_is_not_where_a_run_failed() {
    use StepKind::{Loop, Pass, Plain};
    use StepStatus::{Failed, Succeeded};
    let steps = [
        step("push", 0, Loop, Succeeded),
        step("push[0]", 1, Pass, Failed),
        step("push[0].up", 2, Plain, Failed),
        step("bye", 0, Plain, Failed),
    ];
    assert_eq!(chosen_at(&steps, None), Some(3));
    assert_eq!(RetryOffer::of(&steps).map(|retry| retry.path).as_deref(), Some("bye"));
}

#[test]
fn a_run_that_took_everything_back_offers_no_retry() {
    use StepStatus::{Failed, Succeeded};
    let mut steps = vec![step("book", 0, StepKind::Plain, Succeeded), step("deliver", 0, StepKind::Plain, Failed)];
    let offered = |steps: &[StepRow]| RetryOffer::of(steps).map(|retry| retry.path);
    assert_eq!(offered(&steps).as_deref(), Some("deliver"));
    steps.push(step("book.undo", 0, StepKind::Handler, Succeeded));
    assert_eq!(offered(&steps), None, "there is nothing to go on from");
    steps.push(step("pay.undo", 0, StepKind::Handler, Failed));
    assert_eq!(offered(&steps).as_deref(), Some("pay.undo"), "what could not be taken back is tried again");
}

#[test]
fn loops_say_what_came_of_their_items() {
    let mut steps = vec![step("push", 0, StepKind::Loop, StepStatus::Failed)];
    for (n, status) in [(0, StepStatus::Succeeded), (1, StepStatus::Succeeded), (2, StepStatus::Failed)] {
        steps.push(step(&format!("push[{n}]"), 1, StepKind::Pass, status));
    }
    assert_eq!(loop_summary(&steps, 0, None), (true, "3 items: 2 done, 1 failed".to_owned()));
    assert_eq!(loop_summary(&steps, 1, None), (false, String::new()));
}

#[test]
fn long_loops_are_cut_but_failures_stay() {
    let mut steps = vec![step("push", 0, StepKind::Loop, StepStatus::Failed)];
    for n in 0..PASSES_MAX + 50 {
        let status = if n == PASSES_MAX + 20 { StepStatus::Failed } else { StepStatus::Succeeded };
        steps.push(step(&format!("push[{n}]"), 1, StepKind::Pass, status));
        steps.push(step(&format!("push[{n}].up"), 2, StepKind::Plain, status));
    }
    let hidden = hidden_passes(&steps, None);
    assert_eq!(hidden.len(), 49 * 2);
    assert!(!hidden.contains(&(1 + 2 * (PASSES_MAX + 20))));
}

#[test]
fn blocks_open_and_close_in_pairs() {
    for (name, page) in super::super::samples::run() {
        let mut depth = 0;
        for row in &page.rows {
            match row {
                Row::Open { .. } => depth += 1,
                Row::Close => depth -= 1,
                Row::Step(_) | Row::More(_) => {}
            }
            assert!(depth >= 0, "{name}");
        }
        assert_eq!(depth, 0, "{name}");
    }
}

#[test]
fn every_doubt_is_asked_about_with_or_without_a_row() {
    let run = RunHead {
        doubts: vec!["push[51233].up".to_owned(), "push[7].up".to_owned()],
        status: RunStatus::Failed,
        ..super::super::samples::run()[0].1.run.clone()
    };
    let steps = vec![
        step("push", 0, StepKind::Loop, StepStatus::Uncertain),
        step("push[7]", 1, StepKind::Pass, StepStatus::Uncertain),
        step("push[7].up", 2, StepKind::Plain, StepStatus::Uncertain),
    ];
    let page = RunPage::new(super::super::samples::shell("/runs/run_1"), run, steps, RunPane::Timeline, &RunQuery::default());
    let asked: Vec<_> = page.doubts.iter().map(|doubt| doubt.path.as_str()).collect();
    assert_eq!(asked, ["push[7].up", "push[51233].up"]);
    assert!(page.retry.is_none());
}

fn chosen_at(steps: &[StepRow], step: Option<&str>) -> Option<usize> {
    chosen(steps, &RunQuery { step: step.map(str::to_owned), ..RunQuery::default() })
}
