//! The steps of the schema.

/// Every migration, in order. A test compares the list with the folder.
pub(crate) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "recipes", include_str!("../../../migrations/sqlite/0001_recipes.sql")),
    (2, "runs", include_str!("../../../migrations/sqlite/0002_runs.sql")),
    (3, "connections", include_str!("../../../migrations/sqlite/0003_connections.sql")),
    (4, "access", include_str!("../../../migrations/sqlite/0004_access.sql")),
    (5, "words", include_str!("../../../migrations/sqlite/0005_words.sql")),
    (6, "inbound", include_str!("../../../migrations/sqlite/0006_inbound.sql")),
    (7, "gates", include_str!("../../../migrations/sqlite/0007_gates.sql")),
    (8, "operations", include_str!("../../../migrations/sqlite/0008_operations.sql")),
    (9, "blobs", include_str!("../../../migrations/sqlite/0009_blobs.sql")),
    (10, "care", include_str!("../../../migrations/sqlite/0010_care.sql")),
    (11, "ended_operations", include_str!("../../../migrations/sqlite/0011_ended_operations.sql")),
    (12, "alarms", include_str!("../../../migrations/sqlite/0012_alarms.sql")),
    (13, "room", include_str!("../../../migrations/sqlite/0013_room.sql")),
    (14, "payloads", include_str!("../../../migrations/sqlite/0014_payloads.sql")),
    (15, "sign_in", include_str!("../../../migrations/sqlite/0015_sign_in.sql")),
    (16, "polls", include_str!("../../../migrations/sqlite/0016_polls.sql")),
    (17, "data_keys", include_str!("../../../migrations/sqlite/0017_data_keys.sql")),
    (18, "shapes", include_str!("../../../migrations/sqlite/0018_shapes.sql")),
    (19, "lent", include_str!("../../../migrations/sqlite/0019_lent.sql")),
    (20, "journal", include_str!("../../../migrations/sqlite/0020_journal.sql")),
    (21, "begun", include_str!("../../../migrations/sqlite/0021_begun.sql")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_migrations_is_the_folder() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/sqlite")).unwrap();
        let mut found: Vec<(String, String)> = files
            .map(|file| file.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()))
            .collect();
        found.sort();
        let listed: Vec<(String, String)> =
            MIGRATIONS.iter().map(|(number, title, sql)| (format!("{number:04}_{title}.sql"), (*sql).to_owned())).collect();
        assert_eq!(listed, found);
    }
}
