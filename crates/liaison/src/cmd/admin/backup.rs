//! `liaison admin backup` and `restore`: everything durable in one file, taken while a server works.
//!
//! The file is a plain tar, so that anybody can look into it: `backup.json` says what it is,
//! `liaison.db` is the database, `blobs/` the large contents kept beside it. The master key is never in it.

use std::{
    fs::{self, File},
    io::{self, BufWriter, IsTerminal as _, Read, Write},
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Clock, Glance, SystemClock};

use crate::{
    cmd::{block_on, print},
    config::{Config, Layer},
    key::{self, Place},
};

const MANIFEST: &str = "backup.json";
const DATABASE: &str = "liaison.db";
const BLOBS: &str = "blobs";
/// The layout of the file. Restoring refuses what it does not know.
const FORMAT: u32 = 1;
/// `backup.json` is a few hundred bytes.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Backup {
    #[command(flatten)]
    layer: Layer,
    /// The file to write; `-` writes to standard output.
    file: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    layer: Layer,
    /// The file `backup` wrote; `-` reads standard input.
    file: PathBuf,
    /// Also into a folder that has a database; that one is put aside, not deleted.
    #[arg(long)]
    force: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What a backup says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// Of the build that made it.
    liaison: String,
    /// Microseconds since 1970 UTC.
    made_at: i64,
    schema: i64,
    runs: i64,
    /// The id of the master key the secrets are sealed with; the key itself is kept apart.
    master_key: Option<String>,
}

pub(crate) fn backup(backup: Backup) -> anyhow::Result<ExitCode> {
    let config = backup.layer.clone().resolve()?;
    refuse_postgres(&config, "pg_dump --format=custom --file=liaison.dump \"$LIAISON_DATABASE_URL\"")?;
    let folder = &config.data_dir;
    let to_output = backup.file == Path::new("-");
    if to_output && io::stdout().is_terminal() {
        bail!("a backup is not for a terminal; name a file, or send standard output somewhere");
    }
    if !to_output && backup.file.exists() {
        bail!("there is already a file {}; name another, or remove it first", backup.file.display());
    }
    block_on(async {
        let copy =
            tempfile::tempdir_in(folder).with_context(|| format!("cannot write to the data folder {}", folder.display()))?;
        let manifest = copy_database(folder, &copy.path().join(DATABASE)).await?;
        if to_output {
            pack(&manifest, copy.path(), folder, io::stdout().lock())?;
            return Ok(ExitCode::SUCCESS);
        }
        let bytes = write_whole(&backup.file, |file| pack(&manifest, copy.path(), folder, file))?;
        tell_backup(&backup, &manifest, bytes)
    })
}

/// A copy of the database that was read back and found whole.
async fn copy_database(folder: &Path, copy: &Path) -> anyhow::Result<Manifest> {
    if store_sqlite::look(folder).await?.is_none() {
        bail!("there is no database in {}; name the data folder with --data-dir", folder.display());
    }
    store_sqlite::copy_to(folder, copy).await?;
    let glance = store_sqlite::look_at(copy).await?.unwrap_or_default();
    let (faults, runs) = store_sqlite::prove(copy).await?;
    if let Some(fault) = faults.first() {
        bail!(
            "the database is damaged ({} faults, first: {fault}); no backup was made. `liaison admin verify` tells what is \
             damaged; keep your older backups",
            faults.len()
        );
    }
    Ok(Manifest {
        format: FORMAT,
        liaison: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: SystemClock.now().micros(),
        schema: glance.schema,
        runs,
        master_key: glance.sealed_with(),
    })
}

fn pack(manifest: &Manifest, copy: &Path, folder: &Path, out: impl Write) -> anyhow::Result<()> {
    let mut tar = tar::Builder::new(BufWriter::new(out));
    let text = serde_json::to_vec_pretty(manifest)?;
    let mut head = tar::Header::new_gnu();
    head.set_size(text.len() as u64);
    head.set_mode(0o600);
    head.set_mtime(u64::try_from(manifest.made_at / 1_000_000).unwrap_or(0));
    tar.append_data(&mut head, MANIFEST, text.as_slice())?;
    tar.append_path_with_name(copy.join(DATABASE), DATABASE)?;
    let blobs = folder.join(BLOBS);
    if blobs.is_dir() {
        append_folder(&mut tar, &blobs, Path::new(BLOBS))?;
    }
    tar.into_inner()?.flush()?;
    Ok(())
}

/// Contents that nobody needs any more may go while we walk; those the copied database speaks of do not
/// change, they only come and go as a whole.
fn append_folder(tar: &mut tar::Builder<impl Write>, folder: &Path, name: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), name.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            append_folder(tar, &path, &name)?;
        } else {
            match File::open(&path) {
                Ok(mut file) => tar.append_file(&name, &mut file)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
            }
        }
    }
    Ok(())
}

/// Writes a file that is there as a whole and on the disk, or not at all. Only its owner may read it.
fn write_whole(file: &Path, write: impl FnOnce(&mut File) -> anyhow::Result<()>) -> anyhow::Result<u64> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = || format!("cannot write {}", file.display());
    let mut draft = tempfile::NamedTempFile::new_in(parent).with_context(cannot)?;
    write(draft.as_file_mut()).with_context(cannot)?;
    draft.as_file().sync_all().with_context(cannot)?;
    let bytes = draft.as_file().metadata()?.len();
    draft.persist_noclobber(file).map_err(|error| error.error).with_context(cannot)?;
    File::open(parent)?.sync_all().with_context(cannot)?;
    Ok(bytes)
}

fn tell_backup(backup: &Backup, manifest: &Manifest, bytes: u64) -> anyhow::Result<ExitCode> {
    if backup.json {
        return print(&json!({ "file": backup.file, "bytes": bytes, "backup": manifest }).to_string());
    }
    let key = match &manifest.master_key {
        Some(id) => format!("Its secrets need master key {id}, which is not in it: keep a copy of the key file apart."),
        None => "It has no secrets.".to_owned(),
    };
    print(&format!(
        "Backed up {} runs, schema {}, {bytes} bytes, to {}.\n{key}",
        manifest.runs,
        manifest.schema,
        backup.file.display()
    ))
}

pub(crate) fn restore(restore: Restore) -> anyhow::Result<ExitCode> {
    let config = restore.layer.clone().resolve()?;
    refuse_postgres(&config, "pg_restore --clean --if-exists --dbname=\"$LIAISON_DATABASE_URL\" liaison.dump")?;
    let folder = &config.data_dir;
    fs::create_dir_all(folder).with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    let _lock = store_sqlite::lock(folder)?;
    let there: Vec<PathBuf> = existing(folder);
    if !there.is_empty() && !restore.force {
        bail!(
            "the data folder {} has a database. Nothing was changed. Name another folder with --data-dir, or add --force: \
             then the one that is there is put aside",
            folder.display()
        );
    }
    block_on(async {
        let draft = tempfile::Builder::new().prefix("restoring-").tempdir_in(folder)?;
        let manifest = unpack(&restore.file, draft.path())?;
        let glance = check(&config, &manifest, draft.path()).await?;
        let aside = if there.is_empty() { None } else { Some(put_aside(folder, &there)?) };
        for name in [BLOBS, DATABASE] {
            let from = draft.path().join(name);
            if from.exists() {
                fs::rename(&from, folder.join(name)).with_context(|| format!("cannot put {name} into its place"))?;
            }
        }
        File::open(folder)?.sync_all()?;
        tell_restore(&restore, &config, &manifest, &glance, aside.as_deref())
    })
}

/// What a database consists of, as far as it is there.
fn existing(folder: &Path) -> Vec<PathBuf> {
    [DATABASE, "liaison.db-wal", "liaison.db-shm", BLOBS]
        .iter()
        .map(|name| folder.join(name))
        .filter(|path| path.exists())
        .collect()
}

fn put_aside(folder: &Path, there: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let aside = folder.join(format!("replaced-{}", SystemClock.now().micros()));
    fs::create_dir(&aside)?;
    for path in there {
        let name = path.file_name().unwrap_or_default();
        fs::rename(path, aside.join(name)).with_context(|| format!("cannot put {} aside", path.display()))?;
    }
    Ok(aside)
}

/// Unpacks only what a backup has: names with anything else in them are refused.
fn unpack(file: &Path, into: &Path) -> anyhow::Result<Manifest> {
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(file).with_context(|| format!("cannot read the backup {}", file.display()))?)
    };
    let no_backup = || format!("{} is no backup of liaison, or it is damaged", file.display());
    let mut manifest: Option<Manifest> = None;
    for entry in tar::Archive::new(source).entries()? {
        let mut entry = entry.with_context(no_backup)?;
        let name = entry.path().with_context(no_backup)?.into_owned();
        if manifest.is_none() && name != Path::new(MANIFEST) {
            bail!(no_backup());
        }
        if name == Path::new(MANIFEST) {
            let mut text = String::new();
            entry.by_ref().take(MANIFEST_BYTES_MAX).read_to_string(&mut text).with_context(no_backup)?;
            let read: Manifest = serde_json::from_str(&text).with_context(no_backup)?;
            if read.format != FORMAT {
                bail!(
                    "{} has layout {}, this build knows {FORMAT}; use the build that made it ({})",
                    file.display(),
                    read.format,
                    read.liaison
                );
            }
            manifest = Some(read);
        } else if name == Path::new(DATABASE) || (name.starts_with(BLOBS) && plain(&name)) {
            let target = into.join(&name);
            fs::create_dir_all(target.parent().unwrap_or(into))?;
            let mut out = File::create_new(&target).with_context(no_backup)?;
            io::copy(&mut entry, &mut out).with_context(no_backup)?;
            out.sync_all()?;
        } else {
            bail!("{} has something in it that is no part of a backup: {}", file.display(), name.display());
        }
    }
    match manifest {
        Some(manifest) if into.join(DATABASE).exists() => Ok(manifest),
        _ => bail!(no_backup()),
    }
}

fn plain(name: &Path) -> bool {
    name.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Refuses a database that is damaged, newer than this build, or sealed with another key than the one here.
async fn check(config: &Config, manifest: &Manifest, draft: &Path) -> anyhow::Result<Glance> {
    let file = draft.join(DATABASE);
    let glance = store_sqlite::look_at(&file).await?.unwrap_or_default();
    let newest = store_sqlite::newest_schema();
    if glance.schema > newest {
        bail!(
            "the backup is of a newer liaison: its schema is {}, this build knows {newest}. Nothing was changed. \
             Use a build at least as new as {}",
            glance.schema,
            manifest.liaison
        );
    }
    if glance.schema == 0 {
        bail!("the backup has no database of liaison in it. Nothing was changed");
    }
    let (faults, _) = store_sqlite::prove(&file).await?;
    if let Some(fault) = faults.first() {
        bail!("the backup is damaged ({} faults, first: {fault}). Nothing was changed; use another one", faults.len());
    }
    let place = Place::of(config)?;
    if key_is_there(&place) {
        key::check_against(&place, None, &glance)?;
    }
    Ok(glance)
}

fn key_is_there(place: &Place) -> bool {
    match place {
        Place::File(file) => file.exists(),
        Place::Variable(..) | Place::Command(..) => true,
        Place::Database => false,
    }
}

fn tell_restore(
    restore: &Restore,
    config: &Config,
    manifest: &Manifest,
    glance: &Glance,
    aside: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let place = Place::of(config)?;
    let wanted = glance.sealed_with().filter(|_| !key_is_there(&place));
    if restore.json {
        return print(&json!({ "backup": manifest, "put_aside": aside, "key_missing": wanted }).to_string());
    }
    let mut text = format!("Restored {} runs, schema {}, into {}.", manifest.runs, manifest.schema, config.data_dir.display());
    if let Some(aside) = aside {
        text.push_str(&format!("\nWhat was there is in {}; remove it when you no longer need it.", aside.display()));
    }
    if let Some(id) = wanted {
        text.push_str(&format!("\nBefore you start: put master key {id} into {place}. Without it the server refuses to start."));
    }
    text.push_str(
        "\nWhat was under way when the backup was made goes on at the next start; calls made since then may be made again, \
         under the same idempotency keys.",
    );
    print(&text)
}

/// PostgreSQL has tools that do this better than we could.
fn refuse_postgres(config: &Config, command: &str) -> anyhow::Result<()> {
    if config.database_url().is_some() {
        bail!(
            "with PostgreSQL use its own tools, which work while liaison does:\n  {command}\n\
             Keep the master key file apart, or the database's password if no key file is named"
        );
    }
    Ok(())
}
