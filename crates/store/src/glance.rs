//! What a database tells before it is opened: looking changes nothing in it.

use std::collections::BTreeMap;

use crate::MasterKey;

/// The setting that holds a text sealed with the master key, by which a wrong key is told at once.
pub const KEY_CHECK_SETTING: &str = "master_key_check";
/// The place that text is sealed for.
pub const KEY_CHECK_PLACE: &str = "master key check";
/// The setting that holds the master key itself on PostgreSQL, sealed under the database's password.
pub const SHARED_KEY_SETTING: &str = "shared_master_key";

/// A database as it lies there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance {
    /// The last step of the schema it has; 0 when it is empty.
    pub schema: i64,
    /// The small facts it keeps.
    pub settings: BTreeMap<String, String>,
    /// Something sealed under the master key, if it keeps anything: a data key; before there were those, a credential.
    pub sealed: Option<Vec<u8>>,
}

impl Glance {
    /// The text that only the right master key opens.
    #[must_use]
    pub fn key_check(&self) -> Option<Vec<u8>> {
        hex::decode(self.settings.get(KEY_CHECK_SETTING)?).ok()
    }

    /// The id of the master key its secrets are sealed with; `None` when it keeps no secret yet.
    #[must_use]
    pub fn sealed_with(&self) -> Option<String> {
        let sealed = self.key_check().or_else(|| self.sealed.clone())?;
        MasterKey::sealed_with(&sealed)
    }

    /// The master key is in the database itself.
    #[must_use]
    pub fn shares_key(&self) -> bool {
        self.settings.contains_key(SHARED_KEY_SETTING)
    }
}
