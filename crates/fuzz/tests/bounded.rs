//! Every target on its corpus and on a fixed number of mutations.

use fuzz::{Trial, target};

/// All chance of the tests comes from here, so that they are the same everywhere.
const CHANCE: u64 = 20_260_331;

fn bounded(name: &str) {
    let target = target(name).expect("a target");
    let mut trial = Trial::new(target, CHANCE);
    let result = trial.replay().and_then(|()| trial.go(target.rounds));
    assert!(result.is_ok(), "{}", result.expect_err("a failure"));
}

macro_rules! bounded {
    ($($name:ident)*) => {
        $(#[test] fn $name() { bounded(stringify!($name)); })*

        #[test]
        fn every_target_is_tried() {
            let names: Vec<_> = fuzz::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            assert!(names.iter().all(|name| fuzz::seeds(name).len() >= 10), "too few seeds to begin with");
        }
    };
}

bounded! { editor edits format formula path recipe scan }
