use store::StepPath;
use uuid::Uuid;

use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(1_760_000_000_000_000 + millis * 1_000)
}

struct Bench {
    budget: Budget,
    wake: Arc<Notify>,
}

impl Bench {
    fn new(limits: BudgetLimits) -> Self {
        Self { budget: Budget::new(limits), wake: Arc::default() }
    }

    /// With limits for the writes among the calls, too.
    fn classed(limits: BudgetLimits, writes: BudgetLimits) -> Self {
        let mut bench = Self::new(limits);
        bench.budget.set_limits(limits, [BudgetLimits::default(), writes], at(0));
        bench
    }

    fn ask(&mut self, recipe: u128, run: u128, millis: i64) -> Verdict {
        self.ask_to(GateClass::Read, recipe, run, millis)
    }

    fn ask_to(&mut self, class: GateClass, recipe: u128, run: u128, millis: i64) -> Verdict {
        let waiter = (RunId(Uuid::from_u128(run)), StepPath::from("up"), class);
        let asker = Asker { recipe: RecipeId(Uuid::from_u128(recipe)), waiter, wake: &self.wake, background: false };
        self.budget.ask(&asker, at(millis))
    }

    fn lease(&mut self, tokens: u32, slots: u32, millis: i64) {
        self.lease_of(None, tokens, slots, millis);
    }

    fn lease_of(&mut self, of: Lane, tokens: u32, slots: u32, millis: i64) -> BudgetAsk {
        let ask = self.budget.lease_ask(of, "crm", WorkerId(1), at(millis));
        self.budget.leased(of, &BudgetLease { tokens, slots, ..BudgetLease::default() }, at(millis));
        ask
    }
}

const TEN: BudgetLimits = BudgetLimits { per_second: Some(10.0), burst: 10, per_day: None, in_flight: None };

#[test]
fn without_limits_everything_passes_and_the_store_is_never_asked() {
    let mut bench = Bench::new(BudgetLimits::default());
    for run in 0..1000 {
        assert_eq!(bench.ask(1, run, 0), Verdict::Pass);
    }
    assert_eq!(bench.budget.ask_at(), None);
}

#[test]
fn the_first_waits_for_a_lease_and_goes_on_with_it() {
    let mut bench = Bench::new(TEN);
    assert!(matches!(bench.ask(1, 1, 0), Verdict::Wait(_)));
    assert_eq!(bench.budget.ask_at(), Some(at(0)), "the store is asked at once");
    bench.lease(3, u32::MAX, 1);
    assert_eq!(bench.ask(1, 1, 2), Verdict::Pass);
    assert_eq!((bench.ask(1, 2, 2), bench.ask(1, 3, 2)), (Verdict::Pass, Verdict::Pass));
    assert!(matches!(bench.ask(1, 4, 2), Verdict::Wait(_)));
}

#[test]
fn a_long_line_waits_in_the_store_each_with_its_own_instant() {
    let mut bench = Bench::new(TEN);
    let verdicts: Vec<Verdict> = (0..200).map(|run| bench.ask(1, run, 0)).collect();
    let parked: Vec<Timestamp> =
        verdicts.iter().filter_map(|verdict| if let Verdict::Park(until) = verdict { Some(*until) } else { None }).collect();
    assert!(parked.len() >= 168, "{} wait in the store", parked.len());
    assert!(parked.iter().all(|until| *until >= at(2000)));
    assert!(parked.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_millis(99)), "ten a second come back");
    // Whoever comes later waits behind them; another recipe does not.
    bench.lease(10, u32::MAX, 3000);
    assert!(matches!(bench.ask(1, 500, 3001), Verdict::Park(until) if until > *parked.last().unwrap()));
    assert!(!matches!(bench.ask(2, 501, 3001), Verdict::Park(_)));
}

#[test]
fn what_is_in_flight_stays_below_what_the_store_gave() {
    let mut bench = Bench::new(BudgetLimits { in_flight: Some(5), ..BudgetLimits::default() });
    assert!(matches!(bench.ask(1, 1, 0), Verdict::Wait(_)));
    bench.lease(0, 2, 1);
    assert_eq!((bench.ask(1, 1, 2), bench.ask(1, 2, 2)), (Verdict::Pass, Verdict::Pass));
    assert!(matches!(bench.ask(1, 3, 2), Verdict::Wait(_)));
    bench.budget.done(GateClass::Read, Duration::from_millis(10), at(12));
    assert_eq!(bench.ask(1, 3, 12), Verdict::Pass);
    // Without news of the store it begins nothing near the end of its hold.
    bench.budget.done(GateClass::Read, Duration::from_millis(10), at(20));
    assert!(!matches!(bench.ask(1, 4, 26_000), Verdict::Pass));
}

#[test]
fn fewer_go_at_the_same_time_after_too_many_and_slowly_more_again() {
    let mut bench = Bench::new(BudgetLimits { in_flight: Some(4), ..BudgetLimits::default() });
    let took = Duration::from_millis(10);
    // How many go at the same time; they are over when it is known.
    let go = |bench: &mut Bench, millis: i64| {
        bench.lease(0, 4, millis);
        let mut many = 0;
        while many < 9 && bench.budget.take(GateClass::Read, at(millis)) {
            many += 1;
        }
        (0..many).for_each(|_| bench.budget.done(GateClass::Read, took, at(millis)));
        many
    };
    assert_eq!(go(&mut bench, 0), 4);
    bench.lease(0, 4, 1);
    assert!((0..4).all(|_| bench.budget.take(GateClass::Read, at(1))));
    for _ in 0..4 {
        // All four are refused together, which is one refusal.
        bench.budget.done(GateClass::Read, took, at(1));
        bench.budget.too_many(at(1));
        bench.budget.pause(at(100));
    }
    assert_eq!((go(&mut bench, 50), go(&mut bench, 200)), (0, 2));
    (0..WELL_BEFORE_WIDER).for_each(|_| bench.budget.went_well(at(300)));
    assert_eq!(go(&mut bench, 300), 3);
    (0..WELL_BEFORE_WIDER).for_each(|_| bench.budget.went_well(at(400)));
    assert_eq!(go(&mut bench, 400), 4, "all do again");
    // What was under way when fewer went says nothing new.
    bench.budget.too_many(at(500));
    assert_eq!(go(&mut bench, 500), 4);
    // Never so few that one long call leaves nothing to the others, and more after a while, whatever becomes of it.
    for millis in [10_000, 20_000, 30_000] {
        bench.budget.too_many(at(millis));
    }
    assert_eq!(go(&mut bench, 30_000), 2);
    assert_eq!((go(&mut bench, 89_999), go(&mut bench, 90_000)), (2, 3));
}

#[test]
fn where_one_goes_at_a_time_a_trigger_and_many_steps_both_go_on() {
    let mut bench = Bench::new(BudgetLimits { in_flight: Some(1), ..BudgetLimits::default() });
    bench.lease(0, 4, 0);
    bench.budget.too_many(at(10_000));
    // Steps of one recipe, each of a run of its own; a trigger of another that is told to hurry again and again.
    const TRIGGER: u128 = 1_000_000;
    let (mut asked, mut done, mut newest, mut busy) = (0, 0, 8_u128, Vec::new());
    let mut waiting: Vec<u128> = (0..newest).collect();
    for millis in (0..20_000).step_by(10) {
        if millis % 1_000 == 0 {
            bench.lease(0, 4, millis);
        }
        for run in std::mem::take(&mut busy) {
            bench.budget.done(GateClass::Read, Duration::from_millis(10), at(millis));
            if run == TRIGGER {
                asked += 1;
            } else {
                done += 1;
                waiting.push(newest);
                newest += 1;
            }
        }
        for run in std::mem::take(&mut waiting) {
            match bench.ask(1, run, millis) {
                Verdict::Pass => busy.push(run),
                _ => waiting.push(run),
            }
        }
        if !busy.contains(&TRIGGER) && bench.ask(2, TRIGGER, millis) == Verdict::Pass {
            busy.push(TRIGGER);
        }
        assert!(busy.len() <= 1, "one at a time");
    }
    assert!(asked > 500 && done > 500, "{asked} questions and {done} steps");
}

#[test]
fn a_call_not_made_gives_its_turn_to_the_next() {
    let mut bench = Bench::new(TEN);
    bench.ask(1, 1, 0);
    bench.ask(1, 2, 0);
    bench.lease(1, u32::MAX, 1);
    // The first was granted, and its run left memory before it asked again.
    bench.budget.leave(RecipeId(Uuid::from_u128(1)), RunId(Uuid::from_u128(1)), at(2));
    assert_eq!(bench.ask(1, 2, 2), Verdict::Pass);
}

#[test]
fn leased_calls_that_were_not_made_are_given_back() {
    let mut bench = Bench::new(TEN);
    bench.ask(1, 1, 0);
    bench.lease(3, u32::MAX, 1);
    assert_eq!(bench.ask(1, 1, 2), Verdict::Pass);
    assert!(bench.budget.ask_at().is_some(), "it will say so by itself");
    let ask = bench.budget.lease_ask(None, "crm", WorkerId(1), at(2000));
    assert_eq!((ask.back, ask.tokens), (2, 0));
}

#[test]
fn a_pause_holds_everybody_back() {
    let mut bench = Bench::new(BudgetLimits::default());
    bench.budget.pause(at(60_000));
    assert!(matches!(bench.ask(1, 1, 0), Verdict::Park(until) if until >= at(60_000)));
    assert_eq!(bench.ask(2, 2, 60_000), Verdict::Pass);
}

#[test]
fn whoever_asks_again_and_again_is_not_put_off_for_it() {
    let limits = BudgetLimits { per_second: None, burst: 1, per_day: None, in_flight: Some(1) };
    let mut bench = Bench::new(limits);
    bench.lease(0, 0, 0);
    let mut now = 0;
    while matches!(bench.ask(1, 1, now), Verdict::Wait(_)) {
        now += 1_000;
    }
    for _ in 0..300 {
        assert!(!matches!(bench.ask(1, 1, now), Verdict::Pass));
        now += 100;
    }
    let Verdict::Park(until) = bench.ask(1, 2, now) else { panic!("it went before the one that waits") };
    assert!(until < at(now).after(IN_MEMORY_MAX * 3), "the others are put off by {:?}", until.since(at(now)));
    bench.lease(0, 1, now);
    assert_eq!(bench.ask(1, 1, now), Verdict::Pass);
}

const SLOTS: BudgetLimits = BudgetLimits { per_second: None, burst: 1, per_day: None, in_flight: Some(2) };
const WRITE: Lane = Some(GateClass::Write);

#[test]
fn a_call_takes_of_its_class_and_of_the_connection_at_once_and_holds_neither_before() {
    let mut bench = Bench::classed(TEN, SLOTS);
    bench.lease(5, u32::MAX, 0);
    // A write waits for its class: reads have all calls of the connection.
    assert!(matches!(bench.ask_to(GateClass::Write, 1, 1, 1), Verdict::Wait(_)));
    assert!((2..7).all(|run| bench.ask(1, run, 1) == Verdict::Pass), "five reads of the same recipe, that came later");
    assert!(matches!(bench.ask(1, 7, 1), Verdict::Wait(_)));
    // Now it waits for the connection, and takes nothing of its class meanwhile.
    bench.lease_of(WRITE, 0, 1, 2);
    assert_eq!(bench.budget.class(GateClass::Write).free(at(2)), 1);
    bench.lease(2, u32::MAX, 3);
    assert_eq!(bench.budget.class(GateClass::Write).free(at(3)), 0, "it has both");
    assert_eq!((bench.ask_to(GateClass::Write, 1, 1, 3), bench.ask(1, 7, 3)), (Verdict::Pass, Verdict::Pass));
}

#[test]
fn the_store_is_asked_for_no_more_than_can_go() {
    let mut bench = Bench::classed(TEN, BudgetLimits { per_second: Some(1.0), burst: 1, ..BudgetLimits::default() });
    for run in 0..20 {
        bench.ask_to(GateClass::Write, 1, run, 0);
    }
    assert!(bench.budget.is_due(WRITE, at(0)) && !bench.budget.is_due(None, at(0)), "first the class");
    let ask = bench.lease_of(WRITE, 1, u32::MAX, 1);
    assert_eq!((ask.connection.as_str(), ask.tokens > 0), ("crm/write", true));
    assert!(bench.budget.is_due(None, at(1)), "then the connection, for the one that can go");
    let ask = bench.lease_of(None, 1, u32::MAX, 2);
    assert_eq!((ask.connection.as_str(), ask.at_once), ("crm", 1));
    assert_eq!(bench.ask_to(GateClass::Write, 1, 0, 3), Verdict::Pass);
    assert_eq!(bench.budget.ready(at(3)), 0);
}

#[test]
fn what_a_class_was_given_and_cannot_use_yet_is_told() {
    let mut bench = Bench::classed(TEN, TEN);
    bench.ask_to(GateClass::Write, 1, 1, 0);
    bench.budget.whole.want(at(0));
    assert_eq!(bench.lease_of(WRITE, 3, u32::MAX, 0).at_once, 1, "the connection is about to be asked");
    // It gives nothing.
    bench.lease(0, u32::MAX, 1);
    assert!(bench.budget.is_due(WRITE, at(1)));
    let ask = bench.lease_of(WRITE, 0, u32::MAX, 2);
    assert_eq!((ask.unspent, ask.at_once), (3, 0), "all three may still be made");
    // That is said once: nobody asks in a circle.
    bench.lease(0, u32::MAX, 3);
    assert!(!bench.budget.is_due(WRITE, at(3)) && !bench.budget.is_due(None, at(3)));
}

#[test]
fn limits_of_classes_come_and_go_while_calls_are_under_way() {
    let mut bench = Bench::new(BudgetLimits::default());
    assert_eq!(bench.ask_to(GateClass::Write, 1, 1, 0), Verdict::Pass);
    let none = BudgetLimits::default();
    bench.budget.set_limits(none, [none, SLOTS], at(1));
    bench.lease_of(WRITE, 0, 2, 2);
    // The one from before is one of the two.
    assert_eq!(bench.ask_to(GateClass::Write, 1, 2, 3), Verdict::Pass);
    assert!(matches!(bench.ask_to(GateClass::Write, 1, 3, 3), Verdict::Wait(_)));
    bench.budget.set_limits(none, [none; 2], at(4));
    assert_eq!(bench.ask_to(GateClass::Write, 1, 3, 5), Verdict::Pass);
    assert!(bench.budget.is_due(WRITE, at(5)), "others learn that nothing is held here");
}

#[test]
fn nothing_is_left_over_whatever_becomes_of_calls() {
    let many = BudgetLimits { in_flight: Some(3), ..TEN };
    for seed in 0..200_u64 {
        let mut dice = seed;
        let mut roll = move |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        let mut bench = Bench::new(many);
        bench.budget.set_limits(many, [TEN, SLOTS], at(0));
        let mut busy = Vec::new();
        let mut now = 0;
        for _ in 0..400 {
            now += 10;
            let run = u128::from(roll(12));
            let class = if run % 3 == 0 { GateClass::Read } else { GateClass::Write };
            let recipe = RecipeId(Uuid::from_u128(run % 2));
            match roll(6) {
                0 | 1 if !busy.contains(&run) => {
                    if bench.ask_to(class, run % 2, run, now) == Verdict::Pass {
                        busy.push(run);
                    }
                }
                2 if busy.contains(&run) => {
                    busy.retain(|other| *other != run);
                    bench.budget.done(class, Duration::from_millis(10), at(now));
                }
                3 if busy.contains(&run) => {
                    busy.retain(|other| *other != run);
                    bench.budget.undone(class, at(now));
                }
                4 => bench.budget.leave(recipe, RunId(Uuid::from_u128(run)), at(now)),
                _ => {
                    for of in ASKED_FOR {
                        bench.lease_of(of, u32::try_from(roll(3)).unwrap(), 3, now);
                    }
                }
            }
            let under_way = busy.len() + bench.budget.granted.len();
            assert_eq!(bench.budget.whole.busy as usize, under_way, "seed {seed}");
            let of_classes: u32 = bench.budget.classes.iter().map(|meter| meter.busy).sum();
            assert_eq!(of_classes as usize, under_way, "seed {seed}");
        }
    }
}
