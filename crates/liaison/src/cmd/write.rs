//! Files that are written as a whole or not at all.

use std::{fs::Permissions, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::bail;

/// What a new file may be used for before the person's own `umask` takes its share away.
const NEW_FILE: u32 = 0o666;

/// Writes a file that is not there yet; never over one that appears meanwhile.
pub(super) fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut draft = tempfile::Builder::new()
        .permissions(Permissions::from_mode(NEW_FILE))
        .tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
    draft.write_all(text.as_bytes())?;
    draft.as_file().sync_all()?;
    draft.persist_noclobber(path)?;
    Ok(())
}

/// Writes over a file that was read as `old`, with the permissions it has.
pub(super) fn replace(path: &Path, old: &[u8], new: &str) -> anyhow::Result<()> {
    // Through a link, so that the link stays one.
    let path = path.canonicalize()?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut draft = tempfile::NamedTempFile::new_in(folder)?;
    draft.write_all(new.as_bytes())?;
    draft.as_file().set_permissions(std::fs::metadata(&path)?.permissions())?;
    draft.as_file().sync_all()?;
    if std::fs::read(&path)? != old {
        bail!("somebody else changed it at the same moment; try again");
    }
    draft.persist(&path)?;
    Ok(())
}
