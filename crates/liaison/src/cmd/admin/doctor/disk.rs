//! Whether a disk takes what is written, how long it takes, and how much more it takes.

use std::{
    fs, io,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use super::Finding;

/// Writes tried; the middle one counts.
const TRIES: usize = 9;
const TRIED_BYTES: usize = 4096;
/// No disk with a cache that survives power loss, and none without, is faster than this.
const SYNC_MIN: Duration = Duration::from_micros(5);
/// Commits wait for this; 20 a second are too few for anything.
const SYNC_MAX: Duration = Duration::from_millis(50);

/// Writes and syncs a file, and removes it. How long one sync took.
pub(super) fn try_writing(folder: &Path) -> io::Result<Duration> {
    let mut file = tempfile::Builder::new().prefix(".doctor-").tempfile_in(folder)?;
    let mut took = Vec::with_capacity(TRIES);
    for _ in 0..TRIES {
        file.write_all(&[0x5a; TRIED_BYTES])?;
        let began = Instant::now();
        file.as_file().sync_all()?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    if fs::metadata(file.path())?.len() != (TRIES * TRIED_BYTES) as u64 {
        return Err(io::Error::other("the disk did not keep what was written"));
    }
    Ok(took[TRIES / 2])
}

/// What a sync's time says about the disk.
pub(super) fn syncing(took: Duration) -> Finding {
    let told = format!("making 4 KiB durable takes {:.2} ms", took.as_secs_f64() * 1000.0);
    if took > SYNC_MAX {
        Finding::warning(
            "durability",
            format!("{told}; every commit waits for it"),
            "Use a local disk (SSD) instead of a network folder; SQLite on a network folder is not safe either.",
        )
    } else if took < SYNC_MIN {
        Finding::warning(
            "durability",
            format!("{told}, which is faster than any disk: this one is in memory, or does not do what it says"),
            "Put the data folder on a real disk; a power loss here would lose accepted events.",
        )
    } else {
        Finding::good("durability", told)
    }
}

/// Bytes for people.
pub(super) fn text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::admin::doctor::State;

    #[test]
    fn bytes_are_told_in_a_unit_people_know() {
        assert_eq!(text(0), "0 bytes");
        assert_eq!(text(1023), "1023 bytes");
        assert_eq!(text(1536), "1.5 KiB");
        assert_eq!(text(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn a_disk_that_is_too_slow_or_too_fast_is_named() {
        assert_eq!(syncing(Duration::from_millis(1)).state, State::Good);
        assert_eq!(syncing(Duration::from_millis(80)).state, State::Warning);
        assert_eq!(syncing(Duration::from_nanos(300)).state, State::Warning);
    }
}
