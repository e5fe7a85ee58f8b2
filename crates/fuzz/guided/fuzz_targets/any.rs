//! The target that `LIAISON_FUZZ_TARGET` names, for libFuzzer.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("LIAISON_FUZZ_TARGET").expect("LIAISON_FUZZ_TARGET names a target");
    fuzz::target(&name).expect("a known target")
});

fuzz_target!(|input: &[u8]| (TARGET.check)(input));
