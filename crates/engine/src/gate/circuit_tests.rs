use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_760_000_000_000_000 + seconds * 1_000_000)
}

fn trip() -> Event {
    Event::Trip { cause: "5 calls in a row failed.".to_owned() }
}

fn probe(worker: i64, until: i64) -> Event {
    Event::Probe { worker: WorkerId(worker), until: at(until) }
}

const WORKER: WorkerId = WorkerId(1);

fn step(row: &GateRow, event: &Event, now: i64) -> GateRow {
    after(row, event, &CircuitSettings::default(), at(now)).unwrap_or_else(|| panic!("{event:?} changes nothing: {row:?}"))
}

#[test]
fn it_opens_probes_and_closes() {
    let open = step(&closed("crm", GateClass::Write), &trip(), 0);
    assert_eq!((open.state, open.next_probe, open.openings), (GateState::Open, Some(at(30)), 1));
    assert_eq!(after(&open, &probe(1, 40), &CircuitSettings::default(), at(29)), None, "not before its time");
    let mut row = step(&open, &probe(1, 40), 30);
    assert_eq!((row.state, row.prober), (GateState::HalfOpen, Some(WORKER)));
    assert_eq!(after(&row, &probe(2, 41), &CircuitSettings::default(), at(31)), None, "one probe at a time");
    assert_eq!(step(&row, &probe(2, 50), 40).prober, Some(WorkerId(2)), "a probe nobody hears of is given up");
    for _ in 0..2 {
        row = step(&row, &Event::Answered { worker: WORKER }, 33);
        assert_eq!((row.state, row.prober), (GateState::HalfOpen, None));
        row = step(&row, &probe(1, 60), 34);
    }
    row = step(&row, &Event::Answered { worker: WORKER }, 35);
    assert_eq!((row.state, row.openings, row.since), (GateState::Closed, 0, at(35)));
}

#[test]
fn every_failed_probe_doubles_the_pause_up_to_the_longest() {
    let mut row = step(&closed("crm", GateClass::Write), &trip(), 0);
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let next = row.next_probe.unwrap();
        pauses.push(next.since(at(now)).as_secs());
        now = (next.micros() - at(0).micros()) / 1_000_000;
        row = step(&row, &probe(1, now + 65), now);
        row = step(&row, &Event::Failed { worker: WORKER, cause: "server".to_owned() }, now);
    }
    assert_eq!(pauses, [30, 60, 120, 240, 480, 600, 600, 600]);
}

#[test]
fn five_failures_in_a_row_open_it_and_four_do_not() {
    let settings = CircuitSettings::default();
    let mut window = Window::default();
    for second in 0..4 {
        assert_eq!(window.count(Some("server"), &settings, at(second)), None);
    }
    assert_eq!(window.count(None, &settings, at(4)), None);
    for second in 5..9 {
        // Eight of nine failed, but nine calls are too few for a share.
        assert_eq!(window.count(Some("server"), &settings, at(second)), None, "{second}");
    }
    let cause = window.count(Some("server HTTP_503"), &settings, at(9)).expect("five in a row");
    assert!(cause.contains("5 calls in a row") && cause.contains("HTTP_503"), "{cause}");
}

#[test]
fn half_of_ten_calls_within_the_window_open_it_and_older_ones_do_not_count() {
    let settings = CircuitSettings::default();
    let mut window = Window::default();
    for second in 0..9 {
        let failure = (second % 2 == 0).then_some("timeout");
        assert_eq!(window.count(failure, &settings, at(second)), None);
    }
    assert!(window.clone().count(Some("timeout"), &settings, at(9)).is_some(), "six of ten");
    // A minute later the first nine are forgotten.
    assert_eq!(window.count(Some("timeout"), &settings, at(70)), None);
}

fn events() -> impl Strategy<Value = (Event, i64)> {
    let worker = 1..4_i64;
    let event = prop_oneof![
        Just(trip()),
        worker.clone().prop_map(|worker| probe(worker, 0)),
        worker.clone().prop_map(|worker| Event::Answered { worker: WorkerId(worker) }),
        worker.clone().prop_map(|worker| Event::Failed { worker: WorkerId(worker), cause: "server".to_owned() }),
        worker.prop_map(|worker| Event::GaveUp { worker: WorkerId(worker) }),
        any::<bool>().prop_map(|open| Event::ByHand { open, who: "ann".to_owned(), reason: "because".to_owned() }),
    ];
    (event, 0..400_i64)
}

proptest! {
    /// Whatever happens in whatever order: one probe at a time, no probe before its time, closed only
    /// after enough answers or by hand, and what a circuit says of itself fits together.
    #[test]
    fn its_promises_hold_in_every_order(story in prop::collection::vec(events(), 0..200)) {
        let settings = CircuitSettings::default();
        let mut row = closed("crm", GateClass::Read);
        let mut now = 0;
        for (event, pause) in story {
            now += pause;
            let event = match event {
                Event::Probe { worker, .. } => Event::Probe { worker, until: at(now + 65) },
                other => other,
            };
            let Some(next) = after(&row, &event, &settings, at(now)) else { continue };
            prop_assert_ne!(&next, &row, "a change changes something");
            match (row.state, next.state) {
                (GateState::Open, GateState::HalfOpen) => prop_assert!(row.next_probe.is_some_and(|at_| at_ <= at(now))),
                (GateState::HalfOpen, GateState::HalfOpen) if next.prober.is_some() => {
                    prop_assert!(row.prober.is_none() || row.next_probe.is_some_and(|given_up| given_up <= at(now)));
                }
                (GateState::HalfOpen, GateState::Closed) => {
                    let by_hand = matches!(event, Event::ByHand { open: false, .. });
                    prop_assert!(by_hand || row.successes + 1 == i32::try_from(CLOSE_AFTER).unwrap());
                }
                (GateState::Open, GateState::Closed) => {
                    let by_hand = matches!(event, Event::ByHand { open: false, .. });
                    prop_assert!(by_hand);
                }
                (GateState::Closed, to) => prop_assert_eq!(to, GateState::Open),
                _ => {}
            }
            prop_assert!(next.state == GateState::HalfOpen || (next.prober.is_none() && next.successes == 0));
            prop_assert!(next.state != GateState::Closed || (next.next_probe.is_none() && next.openings == 0));
            if let (GateState::Open, Some(probe)) = (next.state, next.next_probe) {
                let pause = probe.since(at(now));
                prop_assert!(pause >= OPEN_FOR && pause <= OPEN_FOR_MAX);
            }
            row = next;
        }
    }
}
