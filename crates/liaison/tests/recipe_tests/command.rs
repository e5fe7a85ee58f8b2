//! What `liaison test` says, and how it exits.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::support::{ROWS, command, folder, json as report, stdout, test};

fn with_tests(tests: &str) -> tempfile::TempDir {
    folder(format!("{ROWS}tests:\n{tests}"))
}

/// The problems of the only test.
fn problems(tests: &str) -> Vec<Value> {
    let folder = with_tests(tests);
    let output = test(folder.path(), &["--json"]);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    let tests = report["recipes"][0]["tests"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(tests.len(), 1, "{report:#}");
    tests[0]["problems"].as_array().expect("problems").clone()
}

#[test]
fn a_wrong_expectation_is_told_with_its_path_values_and_place() {
    let found = problems(
        "  - title: t\n    event: { rows: [{ id: a, cents: 12950 }] }\n    given: { up: { status: 200 } }\n    expect:\n      \
         calls:\n        up: { path: /rows/a, json: { amount: 129 } }\n      output: { total: \"1\" }\n",
    );
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_eq!(found[0]["at"], "calls.up.json.amount");
    assert_eq!((found[0]["expected"].as_str(), found[0]["actual"].as_str()), (Some("129"), Some("129.5")));
    assert_eq!((&found[0]["line"], &found[0]["column"]), (&json!(31), &json!(46)));
    assert_eq!(found[1]["message"], "`output.total` is 1; \"1\" was expected.");
    assert_eq!(found[1]["help"], "A text was expected and a number came.");
}

#[test]
fn numbers_compare_by_value_and_a_part_is_enough_unless_exact() {
    let tests = "  - title: part\n    event: { rows: [{ id: a, cents: 12950 }] }\n    given: { up: { status: 200 } }\n    \
                 expect: { calls: { up: { json: { amount: 129.50 } } } }\n";
    assert_eq!(test(with_tests(tests).path(), &[]).status.code(), Some(0));
    let exact = tests.replace("129.50 } } }", "129.50 } } }, match: exact");
    let told: Vec<_> = problems(&exact).iter().map(|problem| problem["at"].clone()).collect();
    assert_eq!(told, ["calls.up.method", "calls.up.path"]);
}

#[test]
fn a_stream_is_given_as_its_rows_and_is_a_call() {
    let recipe = "liaison: 1\nrecipe: pages\nconnections: { sys: http }\ntrigger: { from: api }\nsteps:\n  - id: rows\n    do: sys.request\n    \
                  with: { method: GET, path: /rows, query: { of: \"${ trigger.of }\" }, paginate: link }\n    stream: true\n  - id: push\n    each: ${ steps.rows }\n    \
                  collect: ${ item.n * 2 }\n    steps: [ { id: note, set: { a: 1 } } ]\n  - { id: end, return: \"${ steps.push.results }\" }\ntests:\n  \
                  - title: t\n    event: { of: orders }\nGIVEN    expect: { calls: { rows: { query: { of: orders } } }, not_run: [], OUT }\n";
    let run = |given: &str, out: &str| {
        let folder = folder(recipe.replace("GIVEN", given).replace("OUT", out));
        let output = test(folder.path(), &["--json"]);
        (output.status.code(), report(&output))
    };
    for (given, out) in [("[{ n: 1 }, { n: 2 }]", "[2, 4]"), ("[]", "[]"), ("{ n: 4 }", "[8]")] {
        let (code, told) = run(&format!("    given: {{ rows: {given} }}\n"), &format!("output: {out}"));
        assert_eq!(code, Some(0), "{given}: {told:#}");
    }
    let (code, told) = run("", "output: []");
    let problem = &told["recipes"][0]["tests"][0]["problems"][0];
    assert_eq!(code, Some(1), "{told:#}");
    assert_eq!(problem["message"], "Step `rows` would call sys.request; add it under `given`.");
    assert!(problem["help"].as_str().is_some_and(|help| help.contains("rows: [{}]")), "{problem:#}");
}

#[test]
fn several_calls_are_a_list_in_their_order() {
    let event = "event: { rows: [{ id: a, cents: 1 }, { id: b, cents: 2 }] }\n    given: { up: {} }\n";
    let good =
        format!("  - title: t\n    {event}    expect: {{ calls: {{ up: [{{ path: /rows/a }}, {{ path: /rows/b }}] }} }}\n");
    assert_eq!(test(with_tests(&good).path(), &[]).status.code(), Some(0));
    let by_path = format!("  - title: t\n    {event}    expect: {{ calls: {{ \"push[1].up\": {{ path: /rows/b }} }} }}\n");
    assert_eq!(test(with_tests(&by_path).path(), &[]).status.code(), Some(0));
    let swapped = problems(&good.replace("/rows/a }, { path: /rows/b", "/rows/b }, { path: /rows/a"));
    assert_eq!(swapped.len(), 2);
    let one = problems(&format!("  - title: t\n    {event}    expect: {{ calls: {{ up: {{ path: /rows/a }} }} }}\n"));
    assert_eq!(one[0]["message"], "Step `up` made 2 calls; one was expected.");
}

#[test]
fn a_call_without_an_answer_is_told_with_what_to_write() {
    let found = problems("  - title: t\n    event: { rows: [{ id: a, cents: 1 }] }\n    expect: { status: succeeded }\n");
    assert_eq!(found[0]["message"], "Step `up` would call sys.request; add it under `given`.");
    let help = found[0]["help"].as_str().expect("help");
    assert!(help.contains("given:\n      up: { status: 200, body: {} }"), "{help}");
    assert!(help.contains(r#""path":"/rows/a""#), "{help}");
}

#[test]
fn how_a_run_ends_is_expected_even_where_nothing_is_said() {
    let found = problems("  - title: t\n    event: { rows: [{}] }\n    expect: { not_run: [up] }\n");
    assert_eq!(found[0]["message"], "The run failed; succeeded was expected.");
    assert!(found[0]["help"].as_str().is_some_and(|help| help.contains("FORMULA_NULL_VALUE")), "{found:#?}");
    let ran = problems(
        "  - title: t\n    event: { rows: [{ id: a, cents: 1 }] }\n    given: { up: {} }\n    expect: { not_run: [few, up] }\n",
    );
    assert_eq!(ran.len(), 2, "{ran:#?}");
}

#[test]
fn failures_are_expected_by_class_code_step_and_part_of_the_message() {
    let tests = "  - title: t\n    event: { rows: [{ id: a, cents: 1 }] }\n    fails: { up: { class: invalid, code: E1, message: no such row } }\n    \
                 expect: { error: { class: invalid, code: E1, step: up, message: such } }\n";
    assert_eq!(test(with_tests(tests).path(), &[]).status.code(), Some(0));
    let found = problems(&tests.replace("step: up", "step: many").replace("message: such", "message: other"));
    let told: Vec<_> = found.iter().map(|problem| problem["at"].clone()).collect();
    assert_eq!(told, ["error.step", "error.message"]);
}

#[test]
fn coverage_names_what_no_test_reached_and_fail_under_judges_it() {
    let tests = "  - title: t\n    event: { rows: [] }\n    expect: { output: { total: 0 } }\n";
    let folder = with_tests(tests);
    let output = test(folder.path(), &["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let coverage = report(&output)["recipes"][0]["coverage"].clone();
    let missed: Vec<_> = coverage["missed"].as_array().expect("missed").iter().map(|missed| missed["what"].clone()).collect();
    assert_eq!(missed, ["a pass of push", "step up", "branch 1 of size", "step many", "step few"]);
    assert_eq!((&coverage["total"], &coverage["reached"], &coverage["percent"]), (&json!(10), &json!(5), &json!(50)));
    assert_eq!(test(folder.path(), &["--fail-under", "50"]).status.code(), Some(0));
    let under = test(folder.path(), &["--fail-under", "51"]);
    assert_eq!(under.status.code(), Some(1));
    assert!(stdout(&under).contains("less than the 51 % asked for"), "{}", stdout(&under));
}

#[test]
fn recipes_that_cannot_run_are_failures_and_the_others_run_all_the_same() {
    let folder = with_tests("  - title: t\n    event: { rows: [] }\n    expect: { status: succeeded }\n");
    std::fs::write(folder.path().join("b.recipe.yaml"), "liaison: 1\nrecipe: b\nsteps: []\n").expect("written");
    std::fs::write(folder.path().join("c.recipe.yaml"), b"\xff\xfe\0").expect("written");
    let output = command(folder.path(), &["."]).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("ok      t") && text.contains("2 recipes could not be run"), "{text}");
    assert!(text.contains("error[L0001]"), "{text}");
}

#[test]
fn data_from_files_is_read_below_the_recipe_and_nothing_else() {
    let tests = "  - title: t\n    event: data/event.json\n    given: { up: data/up.json }\n    expect: { status: succeeded }\n";
    let folder = with_tests(tests);
    let told = |output: std::process::Output| report(&output)["recipes"][0]["tests"][0]["problems"].clone();
    let missing = told(test(folder.path(), &["--json"]));
    assert_eq!(missing.as_array().map(Vec::len), Some(2), "{missing:#}");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("made");
    std::fs::write(data.join("up.json"), "{}").expect("written");
    std::fs::write(data.join("event.json"), "{ rows").expect("written");
    let broken = told(test(folder.path(), &["--json"]));
    assert!(
        broken[0]["message"].as_str().is_some_and(|message| message.starts_with("data/event.json is not JSON")),
        "{broken:#}"
    );
    std::fs::write(data.join("event.json"), r#"{ "rows": [{ "id": "a", "cents": 1 }] }"#).expect("written");
    assert_eq!(test(folder.path(), &[]).status.code(), Some(0));
    #[cfg(unix)]
    {
        let outside = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(outside.path(), "{}").expect("written");
        std::fs::remove_file(data.join("up.json")).expect("removed");
        std::os::unix::fs::symlink(outside.path(), data.join("up.json")).expect("linked");
        let out = told(test(folder.path(), &["--json"]));
        assert!(out[0]["message"].as_str().is_some_and(|message| message.contains("leads out of the folder")), "{out:#}");
    }
}

#[test]
fn a_filter_chooses_by_title_and_one_that_finds_nothing_is_an_error() {
    let folder = with_tests(
        "  - title: first\n    event: { rows: [] }\n    expect: { status: failed }\n  - title: second\n    event: { rows: [] }\n    expect: { status: succeeded }\n",
    );
    assert_eq!(test(folder.path(), &[]).status.code(), Some(1));
    assert_eq!(test(folder.path(), &["--filter", "second"]).status.code(), Some(0));
    let none = test(folder.path(), &["--filter", "third"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("no test has \"third\""));
    assert_eq!(test(folder.path(), &["--fail-under", "101"]).status.code(), Some(2));
}

#[test]
fn the_junit_report_counts_and_escapes() {
    let folder = with_tests(
        "  - title: \"a <b> & \\\"c\\\"\"\n    event: { rows: [] }\n    expect: { output: { total: 1 } }\n  - title: fine\n    event: { rows: [] }\n    expect: { status: succeeded }\n",
    );
    let output = test(folder.path(), &["--junit", "report.xml"]);
    assert_eq!(output.status.code(), Some(1));
    let xml = std::fs::read_to_string(folder.path().join("report.xml")).expect("the report");
    for part in [
        r#"<testsuites name="liaison test" tests="2" failures="1""#,
        r#"<testsuite name="rows" file="a.recipe.yaml" tests="2" failures="1""#,
        r#"<testcase name="a &lt;b&gt; &amp; &quot;c&quot;" classname="rows""#,
        "a.recipe.yaml:28:",
        "expected: 1",
    ] {
        assert!(xml.contains(part), "{part} is not in\n{xml}");
    }
    let told = test(folder.path(), &["--format", "junit"]);
    assert!(stdout(&told).starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"), "{}", stdout(&told));
}

#[test]
fn crashes_change_nothing_and_are_counted() {
    let folder = with_tests(
        "  - title: t\n    event: { rows: [{ id: a, cents: 1 }, { id: b, cents: 2 }] }\n    given: { up: {} }\n    \
         fails: { \"push[1].up\": { class: server, times: 2 } }\n    expect: { output: { total: 2 } }\n",
    );
    let output = test(folder.path(), &["--crash"]);
    assert_eq!(output.status.code(), Some(0));
    let told = stdout(&output);
    assert!(told.contains("crashes survived)"), "{told}");
    assert!(told.contains("a crash may call them twice, with the same key: up"), "{told}");
    let told = report(&test(folder.path(), &["--crash", "--json"]));
    let crash = &told["recipes"][0]["tests"][0]["crash"];
    assert_eq!(
        (&crash["sent_again"], &crash["asked"], &crash["cut"]),
        (&json!(["up"]), &json!([]), &crash["places"]),
        "{told:#}"
    );
    let told = stdout(&test(folder.path(), &["--crash", "--format", "junit"]));
    assert!(told.contains("<system-out>") && told.contains("with the same key: up"), "{told}");
}

#[test]
fn watching_runs_again_when_the_recipe_changes() {
    let folder = with_tests("  - title: t\n    event: { rows: [] }\n    expect: { output: { total: 1 } }\n");
    let mut child =
        command(folder.path(), &["a.recipe.yaml", "--watch"]).stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut until = |end: &str| {
        let mut seen = String::new();
        for line in lines.by_ref() {
            let line = line.expect("text");
            seen.push_str(&line);
            seen.push('\n');
            if line.starts_with(end) {
                break;
            }
        }
        seen
    };
    let first = until("Waiting");
    let better = format!("{ROWS}tests:\n  - title: t\n    event: {{ rows: [] }}\n    expect: {{ output: {{ total: 0 }} }}\n");
    std::fs::write(folder.path().join("a.recipe.yaml"), better).expect("written");
    let second = until("Waiting");
    child.kill().expect("it is ended");
    child.wait().expect("it ended");
    assert!(first.contains("FAILED  t") && second.contains("ok      t"), "{first}{second}");
}
