//! Connector files: what is refused and where, and that those that come with the program do what they declare.

use super::*;

/// The problems of a text, as code, line and message.
fn problems(text: &str) -> Vec<String> {
    match File::read(text) {
        Ok(_) => Vec::new(),
        Err(found) => found.iter().map(|problem| format!("{} {problem}", problem.place(text).0)).collect(),
    }
}

/// A sound file with one action, as a beginning.
const SOUND: &str = "\
connector: 1
id: shop
title: Shop
summary: A shop.
connection:
  base_url: https://${ config.region }.shop.example
  fields: { region: { type: string, required: true } }
  auth: bearer
actions:
  - id: get_order
    title: Get an order
    summary: Gives an order.
    effect: none
    path: /orders/{id}
    input: { id: { type: string, required: true } }
    sample: { id: A1 }
";

#[test]
fn every_file_that_comes_with_the_program_is_sound_and_has_its_name() {
    for (name, text) in SHIPPED {
        match File::read(text) {
            Ok(file) => {
                assert_eq!(file.id, name);
                assert!(file.contents().2 >= 8, "{name} declares too few tests");
            }
            Err(problems) => {
                let lines: Vec<String> = problems.iter().map(|problem| problem.line(name, text)).collect();
                panic!("{}", lines.join("\n"));
            }
        }
    }
    assert_eq!(shipped().len(), SHIPPED.len());
}

#[tokio::test]
async fn every_file_that_comes_with_the_program_does_what_its_tests_say() {
    let mut wrong = Vec::new();
    for (name, text) in SHIPPED {
        for outcome in prove(File::read(text).unwrap()).await.unwrap() {
            wrong.extend(outcome.problems.iter().map(|problem| format!("{name}: {}: {problem}", outcome.title)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_sound_file_has_no_problems() {
    assert_eq!(problems(SOUND), Vec::<String>::new());
}

#[test]
fn every_problem_is_told_at_once_with_its_line_and_what_was_meant() {
    let text = SOUND
        .replace("summary: A shop.", "sumary: A shop.")
        .replace("effect: none", "effect: nothing")
        .replace("/orders/{id}", "/orders/{ids}")
        .replace("config.region", "config.regoin");
    assert_eq!(
        problems(&text),
        [
            "1 C0004 a connector file needs \"summary\".",
            "4 C0003 \"sumary\" is no key of a connector file. Did you mean \"summary\"?",
            "6 C0009 \"regoin\" is no field of config. Did you mean \"region\"?",
            "13 C0006 \"nothing\" is no value of \"effect\". Known are none, idempotent, once.",
            "14 C0009 \"ids\" is no field that fills a placeholder of the path. Did you mean \"id\"?",
            "15 C0009 Nothing is done with the input \"id\". Put it into the path, the query or the body, or say rest: query, json or form.",
        ]
    );
}

#[test]
fn what_cannot_work_is_refused() {
    for (from, to, wanted) in [
        ("effect: none", "effect: once", "C0006 A request with GET or HEAD only reads."),
        ("effect: none", "effect: none\n    key_life: 23h", "C0006 Only what is repeated by its key has a key_life."),
        ("effect: none", "effect: none\n    key_life: a day", "C0006 \"key_life\" must be a time such as 23h or 7d."),
        ("id: get_order", "id: Get-Order", "C0006 \"Get-Order\" cannot be the id of an action."),
        ("path: /orders/{id}", "path: /orders/../{id}", "C0006 A path starts with /"),
        (
            "sample: { id: A1 }",
            "output: { type: object, required: [total] }\n    sample: { id: A1 }",
            "C0011 The sample does not fit its schema",
        ),
        ("sample: { id: A1 }", "output: { type: objekt }", "C0010 This is no JSON Schema"),
        ("sample: { id: A1 }", "output: { $ref: 'file:///etc/passwd' }", "C0010 The schema refers to file:///etc/passwd."),
        (
            "sample: { id: A1 }",
            "headers: { Authorization: \"Bearer ${ input.id }\" }",
            "C0006 The header \"authorization\" is set by the connection itself.",
        ),
        ("sample: { id: A1 }", "query: { a: \"${ input.id + }\" }", "C0008 The formula `input.id +` cannot be read"),
        ("sample: { id: A1 }", "query: { a: \"${ credentials.token }\" }", "C0009 \"credentials\" is no name here."),
        (
            "sample: { id: A1 }",
            "paginate: { kind: cursr }",
            "C0006 paginate: \"cursr\" is not known here; did you mean \"cursor\"?",
        ),
        (
            "auth: bearer",
            "auth: { kind: oauth2, grants: [authorization_code], token_url: ftp://x }",
            "C0004 The grant authorization_code needs \"authorize_url\"",
        ),
        (
            "base_url: https://${ config.region }.shop.example",
            "base_url: shop.example",
            "C0006 The base_url must start with https://",
        ),
        ("title: Shop", "title: [Shop]", "C0005 \"title\" must be text, not a list."),
        ("title: Shop", "title: Shop\ntitle: Store", "C0007 The key \"title\" is written twice in this record."),
        ("connector: 1", "connector: 2", "C0006 This build reads connector files of version 1."),
    ] {
        let found = problems(&SOUND.replace(from, to));
        assert!(found.iter().any(|problem| problem.contains(wanted)), "{to}: {found:#?}");
    }
}

#[test]
fn limits_of_reads_and_writes_are_read_and_checked() {
    let with = |limits: &str| SOUND.replace("actions:\n", &format!("limits: {limits}\nactions:\n"));
    let text = with("{ per_second: 5, by_class: { reads: { in_flight: 3 }, writes: { per_second: 0.5, burst: 2 } } }");
    let limits = File::read(&text).map_err(|_| problems(&text)).unwrap().connector().limits;
    assert_eq!((limits.budget.per_second, limits.by_class.reads.in_flight), (Some(5.0), Some(3)));
    assert_eq!((limits.by_class.writes.per_second, limits.by_class.writes.burst), (Some(0.5), Some(2)));
    let text = with("{ by_class: { reads: { per_day: 3 }, writes: { per_second: 0, burst: 0.5 }, all: {} } }");
    assert_eq!(problems(&text).len(), 4, "{:?}", problems(&text));
}

#[test]
fn a_file_cannot_use_up_memory_or_stack() {
    let deep = format!("connector: 1\nid: {}", "[".repeat(100_000));
    assert!(!problems(&deep).is_empty());
    let bomb = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\n";
    assert!(problems(bomb).iter().any(|problem| problem.contains("C0001")));
    assert!(problems(&" ".repeat(FILE_BYTES_MAX + 1)).iter().any(|problem| problem.contains("C0002")));
    let mut problems = Problems::default();
    let few = yaml::Limits { bytes: 100, depth: 5, parts: 10, aliases: true };
    assert!(yaml::read("[1,1,1,1,1,1,1,1,1,1,1]", few, &mut problems).is_none());
    assert!(yaml::read("a: &a [1,1,1]\nb: [*a,*a]", few, &mut problems).is_none());
    assert!(problems.finish().iter().all(|problem| problem.code == Code::TooLarge));
}

#[test]
fn a_folder_gives_its_sound_files_and_names_the_others() {
    let folder = std::env::temp_dir().join(format!("liaison-connectors-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in [
        ("a.connector.yaml", SOUND.to_owned()),
        ("b.connector.yaml", SOUND.replace("Shop", "Shop two")),
        ("c.connector.yaml", SOUND.replace("id: shop", "id: http")),
        ("d.connector.yaml", SOUND.replace("effect: none", "")),
        ("notes.txt", String::new()),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    let (found, broken) = load(&[folder.clone(), folder.join("missing")], &crate::all());
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(found.iter().map(|connector| connector.id).collect::<Vec<_>>(), ["shop"]);
    let told: Vec<(String, String)> = broken
        .iter()
        .map(|broken| (broken.path.file_name().unwrap().to_string_lossy().into_owned(), broken.problems.join("; ")))
        .collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].0 == "b.connector.yaml" && told[0].1.contains("the id \"shop\" is taken"), "{told:#?}");
    assert!(told[1].0 == "c.connector.yaml" && told[1].1.contains("the id \"http\" is taken"), "{told:#?}");
    assert!(told[2].0 == "d.connector.yaml" && told[2].1.contains("d.connector.yaml:10:5: C0004"), "{told:#?}");
}

#[test]
fn times_are_read_as_systems_write_them() {
    for (text, wanted) in [
        ("2026-01-02T03:04:05Z", Some(1_767_323_045_000_000)),
        ("2026-01-02T04:04:05.25+01:00", Some(1_767_323_045_250_000)),
        ("1767323045", Some(1_767_323_045_000_000)),
        ("1767323045.000250", Some(1_767_323_045_000_250)),
        ("1767323045123", Some(1_767_323_045_123_000)),
        ("2026-01-02", Some(1_767_312_000_000_000)),
        ("yesterday", None),
        ("", None),
    ] {
        assert_eq!(micros(text), wanted, "{text}");
    }
}
