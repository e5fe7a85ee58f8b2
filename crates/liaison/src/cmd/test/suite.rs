//! The tests of recipe files: run, judged, counted.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use connector::Connector;
use engine::{
    CompileSettings, EngineSettings, Program, catalogue,
    trial::{self, Survived, Trial},
};
use recipe::{
    Catalogue, Diagnostic, Severity,
    ast::{Recipe, Span, Test},
};

use super::{coverage::Coverage, expect, load};

/// Everything that was run.
pub(super) struct Outcome {
    pub(super) suites: Vec<Suite>,
    /// Only some tests were run.
    pub(super) filtered: bool,
}

/// One recipe file.
pub(super) struct Suite {
    /// The file, as named.
    pub(super) path: String,
    /// Its text, repaired where it was not UTF-8.
    pub(super) text: String,
    /// The recipe's slug, or the file's name when it has none.
    pub(super) name: String,
    /// Its tests that were run.
    pub(super) cases: Vec<Case>,
    /// Why none could be run: the checker's errors.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Why none could be run, where the checker found nothing.
    pub(super) refused: Option<String>,
    /// What its tests reached.
    pub(super) coverage: Coverage,
    /// How long it took.
    pub(super) took: Duration,
}

/// One test.
pub(super) struct Case {
    pub(super) title: String,
    pub(super) span: Span,
    /// What did not come out; none when it passed.
    pub(super) problems: Vec<Problem>,
    /// How long it took.
    pub(super) took: Duration,
    /// How long the run would have taken by its own clock.
    pub(super) virtual_time: Duration,
    /// How often it was cut and taken up again, and what that repeated.
    pub(super) survived: Option<Survived>,
}

/// Something that did not come out, at its place in the recipe.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    pub(super) span: Span,
    /// The place in the data: `calls.opportunity.fields.Amount`.
    pub(super) at: Option<String>,
    pub(super) message: String,
    pub(super) expected: Option<String>,
    pub(super) actual: Option<String>,
    pub(super) help: Option<String>,
}

impl Problem {
    pub(super) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, at: None, message: message.into(), expected: None, actual: None, help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl Suite {
    /// True if the recipe could be run and every test passed.
    pub(super) fn passed(&self) -> bool {
        self.could_run() && self.cases.iter().all(|case| case.problems.is_empty())
    }

    /// True if the recipe could be run at all.
    pub(super) fn could_run(&self) -> bool {
        self.diagnostics.is_empty() && self.refused.is_none()
    }
}

impl Outcome {
    pub(super) fn passed(&self) -> bool {
        self.suites.iter().all(Suite::passed)
    }

    pub(super) fn coverage(&self) -> Coverage {
        self.suites.iter().fold(Coverage::default(), |sum, suite| sum.and(&suite.coverage))
    }

    /// Tests run, and how many of them failed.
    pub(super) fn count(&self) -> (usize, usize) {
        let cases = || self.suites.iter().flat_map(|suite| &suite.cases);
        (cases().count(), cases().filter(|case| !case.problems.is_empty()).count())
    }
}

/// Runs the tests of files.
pub(super) fn run(files: &[PathBuf], filter: Option<&str>, crash: bool) -> anyhow::Result<Outcome> {
    let connectors = crate::declared::here();
    let catalogue = catalogue::of(&connectors);
    let suites: Vec<_> = files.iter().map(|file| one(file, &connectors, &catalogue, filter, crash)).collect();
    let none = suites.iter().all(|suite| suite.cases.is_empty() && suite.could_run());
    if let Some(filter) = filter.filter(|_| none) {
        anyhow::bail!("no test has \"{filter}\" in its title");
    }
    Ok(Outcome { suites, filtered: filter.is_some() })
}

fn one(file: &Path, connectors: &[Connector], catalogue: &Catalogue, filter: Option<&str>, crash: bool) -> Suite {
    let begin = Instant::now();
    let mut suite = Suite {
        path: file.display().to_string(),
        text: String::new(),
        name: file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        cases: Vec::new(),
        diagnostics: Vec::new(),
        refused: None,
        coverage: Coverage::default(),
        took: Duration::ZERO,
    };
    let bytes = match load::recipe(file) {
        Ok(bytes) => bytes,
        Err(sentence) => {
            suite.refused = Some(sentence);
            return suite;
        }
    };
    suite.text = String::from_utf8_lossy(&bytes).into_owned();
    let parsed = recipe::parse_and_check(&bytes, catalogue);
    suite.diagnostics = parsed.diagnostics.into_iter().filter(|problem| problem.severity == Severity::Error).collect();
    let Some(recipe) = parsed.recipe else { return suite };
    suite.name.clone_from(&recipe.slug.value);
    if !suite.diagnostics.is_empty() {
        return suite;
    }
    let settings = CompileSettings { step_timeout: EngineSettings::default().step_timeout, skips_waits: false };
    match Program::compile(&recipe, connectors, settings) {
        Ok(program) => cases(&mut suite, &recipe, &program, file, filter, crash),
        Err(sentence) => suite.refused = Some(format!("{}.", sentence.trim_end_matches('.'))),
    }
    suite.took = begin.elapsed();
    suite
}

fn cases(suite: &mut Suite, recipe: &Recipe, program: &Program, file: &Path, filter: Option<&str>, crash: bool) {
    let folder = file.parent().unwrap_or(Path::new(""));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut trials = Vec::new();
    for test in recipe.tests.iter().filter(|test| filter.is_none_or(|filter| test.title.value.contains(filter))) {
        let begin = Instant::now();
        // A fault of ours in one test must not take the others with it.
        let net = AssertUnwindSafe(|| case(test, &suite.text, program, folder, crash));
        let (mut case, trial) = catch_unwind(net).unwrap_or_else(|_| {
            let message = "Liaison failed inside while it ran this test. Report it with the recipe.";
            (Case::new(test, vec![Problem::new(load::whole(test), message)]), None)
        });
        case.took = begin.elapsed();
        suite.cases.push(case);
        trials.extend(trial);
    }
    suite.coverage = Coverage::of(recipe, &trials);
}

impl Case {
    fn new(test: &Test, problems: Vec<Problem>) -> Self {
        Self {
            title: test.title.value.clone(),
            span: test.title.span,
            problems,
            took: Duration::ZERO,
            virtual_time: Duration::ZERO,
            survived: None,
        }
    }
}

fn case(test: &Test, text: &str, program: &Program, folder: &Path, crash: bool) -> (Case, Option<Trial>) {
    let script = match load::script(test, folder) {
        Ok(script) => script,
        Err(problems) => return (Case::new(test, problems), None),
    };
    let trial = trial::run(program, &script);
    let mut case = Case::new(test, expect::judge(test, &trial, text));
    case.virtual_time = trial.ended.since(trial.began);
    if crash && case.problems.is_empty() {
        match trial::crash(program, &script, &trial) {
            Ok(survived) => case.survived = Some(survived),
            Err(fault) => case.problems.push(expect::fault(test, &fault)),
        }
    }
    (case, Some(trial))
}
