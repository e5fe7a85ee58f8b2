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
