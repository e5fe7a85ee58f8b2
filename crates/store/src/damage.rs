//! Lists with rows that make no sense: such a row hides none of the others.

use crate::{StoreError, counted};

/// So many damaged rows on a page of a list are passed over before it comes out shorter: a list reads so
/// many rows more than it was asked for.
pub const DAMAGED_MAX: u32 = 32;

/// The rows of a list that make sense. One that does not is told of in the log and the metrics and left
/// out; whoever asks for it alone is told what is wrong with it, and `admin verify` names it.
pub fn sound<R, T>(rows: impl IntoIterator<Item = R>, read: impl Fn(R) -> Result<T, StoreError>) -> impl Iterator<Item = T> {
    rows.into_iter().filter_map(move |row| match read(row) {
        Ok(value) => Some(value),
        Err(error) => {
            let error = counted(error);
            tracing::error!(%error, "store.damaged: a row of a list makes no sense and is left out; run `liaison admin verify`");
            None
        }
    })
}

/// A page of so many rows; `rows` has [`DAMAGED_MAX`] more, if there are.
pub fn sound_page<'r, R: 'r, T>(
    rows: impl IntoIterator<Item = &'r R>,
    limit: u32,
    read: impl Fn(&'r R) -> Result<T, StoreError>,
) -> Vec<T> {
    sound(rows, read).take(limit as usize).collect()
}
