//! The commands of the language as processes: `fmt`, `explain`, `diff`, `schema`.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::home;

const LEDGER: &str = "# kept\nliaison:   1\nrecipe: ledger\ntrigger: {from: api}\nsteps:\n    - id: book\n      do: log.write\n      with: {message: \"${ trigger.cents }\"}   # kept too\n";

fn liaison(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
    command.current_dir(folder).args(arguments).env_remove("LIAISON_SERVER").env_remove("LIAISON_API_KEY");
    command.output().expect("the binary runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("ledger.recipe.yaml"), LEDGER).expect("written");
    folder
}

#[test]
fn our_own_recipes_are_in_their_one_layout() {
    let recipes = home().join("recipes");
    let files: Vec<String> = std::fs::read_dir(&recipes)
        .expect("recipes/")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".recipe.yaml"))
        .collect();
    let arguments: Vec<&str> = ["fmt", "--check"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let output = liaison(&recipes, &arguments);
    assert!(files.len() >= 10 && output.status.success(), "{}", out(&output));
}

#[test]
fn fmt_reports_then_writes_then_has_nothing_to_do() {
    let folder = folder();
    let file = folder.path().join("ledger.recipe.yaml");
    let reported = liaison(folder.path(), &["fmt", "--check", "."]);
    assert_eq!(reported.status.code(), Some(1), "{}", out(&reported));
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), LEDGER);
    assert!(liaison(folder.path(), &["fmt", "."]).status.success());
    let written = std::fs::read_to_string(&file).expect("the file");
    assert!(written.starts_with("# kept\nliaison: 1\n") && written.contains("# kept too"), "{written}");
    assert!(liaison(folder.path(), &["fmt", "--check", "."]).status.success());
    assert!(liaison(folder.path(), &["check", "ledger.recipe.yaml"]).status.success());
}

#[test]
fn fmt_of_standard_input_goes_to_standard_output_and_broken_text_stays() {
    let folder = folder();
    let through = |text: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_liaison"))
            .args(["fmt", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    };
    let good = through(LEDGER);
    assert!(good.status.success() && out(&good).contains("liaison: 1\n"), "{}", out(&good));
    let bad = through("liaison: 1\nsteps: [\n");
    assert!(!bad.status.success() && out(&bad).is_empty(), "{}", out(&bad));
    let file = folder.path().join("ledger.recipe.yaml");
    std::fs::write(&file, "liaison: 1\nsteps: [\n").expect("written");
    assert_eq!(liaison(folder.path(), &["fmt", "."]).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), "liaison: 1\nsteps: [\n");
}

#[test]
fn explain_fills_in_the_defaults_and_tells_what_a_code_means() {
    let folder = folder();
    let output = liaison(folder.path(), &["explain", "ledger.recipe.yaml"]);
    let told = out(&output);
    assert!(output.status.success(), "{told}");
    for word in ["retry:", "timeout:", "dedupe:", "times: "] {
        assert!(told.contains(word), "{word} is missing in:\n{told}");
    }
    let code = liaison(folder.path(), &["explain", "L0004"]);
    assert!(code.status.success() && out(&code).starts_with("L0004  "), "{}", out(&code));
    assert_eq!(liaison(folder.path(), &["explain", "L9998"]).status.code(), Some(1));
    let list = liaison(folder.path(), &["explain", "--list"]);
    assert_eq!(out(&list).lines().count(), recipe::codes().len());
}

#[test]
fn diff_says_in_words_what_changed() {
    let folder = folder();
    std::fs::write(folder.path().join("new.recipe.yaml"), LEDGER.replace("trigger.cents", "trigger.cents / 100"))
        .expect("written");
    let output = liaison(folder.path(), &["diff", "ledger.recipe.yaml", "new.recipe.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(out(&output).contains("divided by 100"), "{}", out(&output));
    let same = liaison(folder.path(), &["diff", "ledger.recipe.yaml", "ledger.recipe.yaml"]);
    assert!(same.status.success() && out(&same).contains(recipe::NOTHING_CHANGES), "{}", out(&same));
}

#[test]
fn schema_is_json_schema_with_the_inputs_of_actions() {
    let folder = folder();
    let output = liaison(folder.path(), &["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(schema["$schema"].as_str().is_some_and(|dialect| dialect.contains("json-schema.org")));
    assert!(out(&output).contains("\"http.request\""), "the inputs of http.request are in it");
}
