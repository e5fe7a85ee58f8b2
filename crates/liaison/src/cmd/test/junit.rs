//! JUnit XML, as CI systems read it: <https://github.com/testmoapp/junitxml>.

use std::time::Duration;

use anyhow::Context;
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};

use super::{
    report::{crashes, place, plain_problem, repeats},
    suite::{Outcome, Suite},
};

/// The whole report.
pub(super) fn document(outcome: &Outcome) -> anyhow::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let (tests, failures) = outcome.suites.iter().map(count).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let took = outcome.suites.iter().map(|suite| suite.took).sum();
    writer
        .create_element("testsuites")
        .with_attributes([
            ("name", "liaison test"),
            ("tests", &*tests.to_string()),
            ("failures", &*failures.to_string()),
            ("errors", "0"),
            ("time", &*seconds(took)),
        ])
        .write_inner_content(|writer| outcome.suites.iter().try_for_each(|one| suite(writer, one)))?;
    let mut text = String::from_utf8(writer.into_inner()).context("the report is no text")?;
    text.push('\n');
    Ok(text)
}

/// Tests and failures; a recipe that cannot be run is one failed test.
fn count(suite: &Suite) -> (usize, usize) {
    let broken = usize::from(!suite.could_run());
    let failed = suite.cases.iter().filter(|case| !case.problems.is_empty()).count();
    (suite.cases.len() + broken, failed + broken)
}

fn suite(writer: &mut Writer<Vec<u8>>, suite: &Suite) -> std::io::Result<()> {
    let (tests, failures) = count(suite);
    writer
        .create_element("testsuite")
        .with_attributes([
            ("name", &*clean(&suite.name)),
            ("file", &*clean(&suite.path)),
            ("tests", &*tests.to_string()),
            ("failures", &*failures.to_string()),
            ("errors", "0"),
            ("skipped", "0"),
            ("time", &*seconds(suite.took)),
        ])
        .write_inner_content(|writer| {
            if !suite.could_run() {
                let mut lines: Vec<_> = suite
                    .diagnostics
                    .iter()
                    .map(|problem| format!("{}: {}: {}", place(suite, problem.span), problem.code, problem.message))
                    .collect();
                lines.extend(suite.refused.clone());
                case(writer, suite, "the recipe can be run", Duration::ZERO, &lines, None)?;
            }
            suite.cases.iter().try_for_each(|one| {
                let lines: Vec<_> = one.problems.iter().map(|problem| plain_problem(suite, problem)).collect();
                let told = one.survived.as_ref().map(|survived| [vec![crashes(survived)], repeats(survived)].concat().join("\n"));
                case(writer, suite, &one.title, one.took, &lines, told)
            })
        })?;
    Ok(())
}

fn case(
    writer: &mut Writer<Vec<u8>>,
    suite: &Suite,
    title: &str,
    took: Duration,
    lines: &[String],
    told: Option<String>,
) -> std::io::Result<()> {
    let (title, name, file, time) = (clean(title), clean(&suite.name), clean(&suite.path), seconds(took));
    let element = writer.create_element("testcase").with_attributes([
        ("name", &*title),
        ("classname", &*name),
        ("file", &*file),
        ("time", &*time),
    ]);
    if lines.is_empty() && told.is_none() {
        element.write_empty()?;
        return Ok(());
    }
    element.write_inner_content(|writer| {
        if let Some(first) = lines.first() {
            writer
                .create_element("failure")
                .with_attributes([("message", &*clean(first.lines().next().unwrap_or_default())), ("type", "expectation")])
                .write_text_content(BytesText::new(&clean(&lines.join("\n\n"))))?;
        }
        if let Some(told) = &told {
            writer.create_element("system-out").write_text_content(BytesText::new(&clean(told)))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}

/// Without the characters XML 1.0 has no way to write.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, '\t' | '\n' | '\r') || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')))
        .collect()
}
