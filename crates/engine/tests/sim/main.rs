//! The promises under a seeded simulation: the real engine in several processes over one store, in virtual
//! time, while processes die and freeze, clocks differ and are set, the store errs, events come twice and to two at once,
//! and systems fail, answer late, wrongly or not at all. A seed replays exactly:
//!
//!     LIAISON_SIM_SEED=4711 cargo test -p engine --test sim
//!     LIAISON_SIM_SEEDS=100000 cargo test --release -p engine --test sim

mod crm;
mod outside;
mod process;
mod recipes;
mod source;
mod story;
mod verdict;

/// Seeds tried unless the environment says otherwise; `cargo xtask test` says ten times as many.
const SEEDS: u64 = 1_000;

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        let told = story::trace(seed).expect("it plays");
        assert_eq!(story::trace(seed), Ok(told), "seed {seed}");
    }
}

#[test]
fn the_promises_hold_under_every_seed() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("LIAISON_SIM_SEED") {
        return assert_eq!(story::play(seed), Ok(()), "seed {seed}");
    }
    let seeds = number("LIAISON_SIM_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let broken: Vec<(u64, String)> = std::thread::scope(|scope| {
        let play = |from: u64| {
            move || {
                (from..seeds)
                    .step_by(threads as usize)
                    .filter_map(|seed| Some((seed, story::play(seed).err()?)))
                    .take(3)
                    .collect()
            }
        };
        let all: Vec<_> = (0..threads).map(|from| scope.spawn(play(from))).collect();
        all.into_iter().flat_map(|thread| -> Vec<_> { thread.join().expect("a seed panicked") }).collect()
    });
    assert!(broken.is_empty(), "broken promises, by seed: {broken:#?}");
}
