//! The recipes in the folder of an open one.

use std::{fs::File, io::Read as _, path::Path};

use lsp_types::Uri;
use recipe::assist::Neighbour;

/// So many files of a folder are looked into.
const FILES_MAX: usize = 500;
/// So much of a file is read; a longer one is no recipe.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Recipes in the folder of a text, and those that are open. A folder that cannot be read has none.
pub(super) fn beside(uri: &Uri, mut open: Vec<Neighbour>) -> Vec<Neighbour> {
    let file = url::Url::parse(uri.as_str()).ok().and_then(|url| url.to_file_path().ok());
    let Some(folder) = file.as_deref().and_then(Path::parent) else { return open };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let recipes = entries.map(|entry| entry.path()).filter(|path| is_recipe(path)).take(FILES_MAX);
    open.extend(recipes.filter_map(|path| read(&path)));
    open
}

fn is_recipe(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".recipe.yaml", ".recipe.yml", ".recipe.json"].iter().any(|end| name.ends_with(end))
}

fn read(path: &Path) -> Option<Neighbour> {
    let mut text = String::new();
    File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Neighbour::of(&text)
}
