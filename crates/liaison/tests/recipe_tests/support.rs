//! Runs the binary in a folder of its own.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

/// A recipe that calls one system, once for each row, and has two branches.
pub(crate) const ROWS: &str = r#"liaison: 1
recipe: rows
connections: { sys: http }
trigger: { from: api }
steps:
  - id: push
    each: ${ $.trigger.rows[*] }
    steps:
      - id: up
        do: sys.request
        with: { method: PUT, path: "/rows/${ item.id }", json: { amount: "${ item.cents / 100 }" } }
  - id: size
    choose:
      - when: steps.push.total > 2
        steps:
          - id: many
            set: { many: true }
      - otherwise:
          - id: few
            if: steps.push.total > 0
            do: log.write
            with: { message: "only ${ steps.push.total }" }
  - id: end
    return: { total: "${ steps.push.total }" }
"#;

/// A folder with one recipe file.
pub(crate) fn folder(text: impl AsRef<[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.recipe.yaml"), text).expect("the recipe is written");
    folder
}

/// The command `liaison test` in a folder.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
    command.current_dir(folder).arg("test").args(arguments).env_remove("LIAISON_SERVER").env_remove("LIAISON_API_KEY");
    command
}

/// What it says on the recipe of a folder.
pub(crate) fn test(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, &[&["a.recipe.yaml"], arguments].concat()).output().expect("the binary runs")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// The report as JSON.
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), String::from_utf8_lossy(&output.stderr)))
}
