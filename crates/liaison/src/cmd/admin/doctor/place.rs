//! The data folder: whether it can be written, and what lies in it.

use std::path::Path;

use store::Store;

use super::{Finding, disk};
use crate::config::Config;

/// Below this a busy server fills the disk within hours.
const FREE_BYTES_GOOD: u64 = 1024 * 1024 * 1024;
/// Below this the next checkpoint may fail.
const FREE_BYTES_MIN: u64 = 100 * 1024 * 1024;
/// A log this much longer than its bound is held open by a reader that never ends.
const LOG_FACTOR_MAX: u64 = 4;

/// The folder itself and its disk.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let folder = &config.data_dir;
    if config.database_url().is_some() && !folder.exists() {
        return Vec::new();
    }
    if !folder.exists() {
        return vec![nearest(folder)];
    }
    match disk::try_writing(folder) {
        Err(error) => vec![Finding::bad(
            "data folder",
            format!("{} cannot be written: {error}. Nothing can be accepted", folder.display()),
            format!("Give the user that runs liaison the folder: chown -R liaison {}", folder.display()),
        )],
        Ok(took) => {
            vec![Finding::good("data folder", format!("{} can be written", folder.display())), disk::syncing(took), room(folder)]
        }
    }
}

/// The folder is made at the first start, if it can be.
fn nearest(folder: &Path) -> Finding {
    let parent =
        folder.ancestors().skip(1).find(|above| above.exists() || above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    match disk::try_writing(parent) {
        Ok(_) => Finding::good("data folder", format!("{} is not there yet; the first start makes it", folder.display())),
        Err(error) => Finding::bad(
            "data folder",
            format!("{} is not there, and {} cannot be written: {error}", folder.display(), parent.display()),
            "Make the folder and give it to the user that runs liaison, or name another with --data-dir.",
        ),
    }
}

fn room(folder: &Path) -> Finding {
    const TODO: &str = "Make room, move the data folder to a larger disk, or keep runs for a shorter time (keep_runs).";
    match crate::telemetry::disk::free_bytes(folder) {
        Err(error) => Finding::warning("disk", format!("its free room cannot be told: {error}"), "Look at it with `df`."),
        Ok(free) if free < FREE_BYTES_MIN => {
            Finding::bad("disk", format!("only {} are free; a full disk refuses every event", disk::text(free)), TODO)
        }
        Ok(free) if free < FREE_BYTES_GOOD => {
            Finding::warning("disk", format!("{} are free, which may not last", disk::text(free)), TODO)
        }
        Ok(free) => Finding::good("disk", format!("{} are free", disk::text(free))),
    }
}

/// How large the database and its log are.
pub(super) async fn sizes(config: &Config, store: &dyn Store) -> Vec<Finding> {
    let room = match store.tidy(None).await {
        Ok(room) => room,
        Err(error) => {
            return vec![Finding::bad(
                "size",
                format!("the database does not tell its size: {error}"),
                "Run `liaison admin verify`.",
            )];
        }
    };
    let mut findings = vec![if room.free_bytes > room.database_bytes / 2 && room.free_bytes > FREE_BYTES_MIN {
        Finding::warning(
            "size",
            format!(
                "the database has {}, of which {} hold nothing",
                disk::text(room.database_bytes),
                disk::text(room.free_bytes)
            ),
            "It shrinks by itself while the server runs. If it does not, stop the server and run `liaison admin compact` once.",
        )
    } else {
        Finding::good(
            "size",
            format!("the database has {}, {} of it free", disk::text(room.database_bytes), disk::text(room.free_bytes)),
        )
    }];
    let bound = config.engine().retention.log_bytes_max;
    findings.push(if room.log_bytes > bound.saturating_mul(LOG_FACTOR_MAX) {
        Finding::warning(
            "write-ahead log",
            format!(
                "it has {}, though {} are its bound: something has been reading for very long",
                disk::text(room.log_bytes),
                disk::text(bound)
            ),
            "Look for a backup or another program that has liaison.db open, and end it.",
        )
    } else {
        Finding::good("write-ahead log", format!("it has {}", disk::text(room.log_bytes)))
    });
    findings
}
