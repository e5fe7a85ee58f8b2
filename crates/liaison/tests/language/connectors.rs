//! `liaison connector` as a process, and recipes that use connectors of files.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::home;

const SHOP: &str = "\
connector: 1
id: shop
title: Shop
summary: A shop.
connection: { base_url: 'https://shop.example' }
actions:
  - id: get_order
    title: Get an order
    summary: Gives an order.
    effect: none
    path: /orders/{id}
    input: { id: { type: string, required: true } }
    output: { type: object, properties: { total: { type: number } } }
tests:
  - title: an order comes
    action: get_order
    input: { id: A/1 }
    exchanges: [{ request: { method: GET, path: /orders/A%2F1 }, answer: { json: { total: 5 } } }]
    expect: { output: { total: 5 } }
";
const RECIPE: &str = "liaison: 1\nrecipe: orders\nconnections: { shop: shop }\ntrigger: { from: api }\nsteps:\n  - id: order\n    do: shop.get_order\n    with: { id: \"${ trigger.id }\" }\n";
const OPENAPI: &str = "openapi: 3.1.0\ninfo: { title: Tiny }\nservers: [{ url: 'https://tiny.example' }]\npaths: { /a: { get: { operationId: getA, responses: { '200': { description: fine } } } } }\n";

fn liaison(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
    command.current_dir(folder).args(arguments).env_remove("LIAISON_CONNECTORS").env_remove("LIAISON_DATA_DIR");
    command.output().expect("the binary runs")
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
}

#[test]
fn the_files_that_come_with_the_program_pass_check_and_test() {
    for word in ["check", "test"] {
        let output = liaison(&home(), &["connector", word, "connectors"]);
        assert!(output.status.success(), "{}", told(&output));
    }
}

#[test]
fn check_and_test_fail_with_the_place_of_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "shop.connector.yaml", &SHOP.replace("effect: none", "efect: none"));
    let output = liaison(folder.path(), &["connector", "check", "."]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("shop.connector.yaml:10:5: C0003") && told(&output).contains("Did you mean \"effect\"?"),
        "{}",
        told(&output)
    );
    write(folder.path(), "shop.connector.yaml", &SHOP.replace("id: shop\n", "id: slack\n"));
    assert!(told(&liaison(folder.path(), &["connector", "check", "."])).contains("the id \"slack\" is taken"));
    write(folder.path(), "shop.connector.yaml", &SHOP.replace("total: 5 } }\n", "total: 6 } }\n"));
    let output = liaison(folder.path(), &["connector", "test", "."]);
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("output.total should be 6 and is 5"), "{}", told(&output));
}

#[test]
fn recipes_know_connectors_of_the_data_folder_and_of_the_setting() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "orders.recipe.yaml", RECIPE);
    let unknown = liaison(folder.path(), &["check", "orders.recipe.yaml"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", told(&unknown));
    write(folder.path(), "liaison-data/connectors/shop.connector.yaml", SHOP);
    let known = liaison(folder.path(), &["check", "orders.recipe.yaml"]);
    assert!(known.status.success(), "{}", told(&known));
    std::fs::remove_dir_all(folder.path().join("liaison-data")).expect("removed");
    write(folder.path(), "mine/shop.connector.yaml", SHOP);
    write(folder.path(), "mine/broken.connector.yaml", "connector: 1\n");
    write(folder.path(), "liaison.toml", "connectors = \"mine\"\n");
    let known = liaison(folder.path(), &["check", "orders.recipe.yaml"]);
    assert!(known.status.success(), "{}", told(&known));
    assert!(told(&known).contains("broken.connector.yaml:1:1: C0004"), "{}", told(&known));
}

#[test]
fn an_import_is_sound_and_reports_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "tiny.yaml", OPENAPI);
    let output = liaison(folder.path(), &["connector", "import", "tiny.yaml", "--out", "tiny.connector.yaml"]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("tiny: 1 actions"), "{}", told(&output));
    assert!(liaison(folder.path(), &["connector", "check", "tiny.connector.yaml"]).status.success());
    let told_how = liaison(folder.path(), &["connector", "import", "tiny.yaml", "--auth", "api_key:X-Token"]);
    assert!(String::from_utf8_lossy(&told_how.stdout).contains("X-Token"), "{}", told(&told_how));
    let unknown = liaison(folder.path(), &["connector", "import", "tiny.yaml", "--auth", "digest"]);
    assert!(!unknown.status.success() && told(&unknown).contains("a sign-in is none, bearer"), "{}", told(&unknown));
    let refused = liaison(folder.path(), &["connector", "import", "tiny.connector.yaml"]);
    assert!(refused.status.code() == Some(1) && told(&refused).contains("it has no paths"), "{}", told(&refused));
}
