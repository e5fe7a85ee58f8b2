//! How much room is left for the database.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Bytes an ordinary user may still write where this folder is.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Tells the room from now on, for as long as the process lives. A folder that cannot be looked at has no figure.
pub(crate) async fn watch(folder: PathBuf) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        let folder = folder.clone();
        // A network disk that hangs must hold up nothing else.
        let free = tokio::task::spawn_blocking(move || free_bytes(&folder)).await;
        let bytes = free.ok().and_then(Result::ok).map_or(f64::NAN, |bytes| bytes as f64);
        metrics::gauge!("liaison_disk_free_bytes").set(bytes);
    }
}
