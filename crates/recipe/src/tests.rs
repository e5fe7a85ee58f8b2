//! The tests of a recipe.

use serde_json::Value as Json;

use crate::ast::{Expect, ExpectedStatus, Given, Spanned, Test, TestData, TestFailure};
use crate::codes;
use crate::keys::{self, EXPECT, FAILURE, TEST};
use crate::read::Reader;
use crate::yaml::{Entry, Kind, Node};

impl<'t> Reader<'t> {
    pub(crate) fn tests(&mut self, entry: &Entry<'t>) -> Vec<Test> {
        let Kind::List(nodes) = &entry.value.kind else {
            self.expected(entry, "a list of tests", "Start each test with `- title:` on a line of its own.");
            return Vec::new();
        };
        nodes.iter().filter_map(|node| self.test(node)).collect()
    }

    fn test(&mut self, node: &Node<'t>) -> Option<Test> {
        let fields = self.fields(node, &TEST)?;
        let title = fields.get("title").and_then(|entry| self.text(entry));
        let event = fields.get("event").map_or(TestData::Inline(Json::Null), |entry| self.test_data(&entry.value));
        let at = fields.get("at").and_then(|entry| self.text(entry));
        let record = |this: &mut Self, name| fields.get(name).and_then(|entry| this.literal_record(entry)).map(|(json, _)| json);
        let params = record(self, "params").unwrap_or_else(|| serde_json::json!({}));
        let state = record(self, "state").unwrap_or_else(|| serde_json::json!({}));
        let given = fields.get("given").map(|entry| self.given(entry)).unwrap_or_default();
        let fails = fields.get("fails").map(|entry| self.fails(entry)).unwrap_or_default();
        let expect = fields.get("expect").and_then(|entry| self.expect(&entry.value));
        Some(Test { title: title?, event, at, params, state, given, fails, expect: expect?, span: node.span })
    }

    /// Text that ends with `.json` is the path of a file.
    fn test_data(&mut self, node: &Node<'t>) -> TestData {
        match &node.kind {
            Kind::Text(text, _) if text.ends_with(".json") => {
                let outside = text.starts_with('/') || text.contains('\\') || text.split('/').any(|part| part == "..");
                if outside {
                    let help = "Name a file below the folder of the recipe, such as `fixtures/invoice.json`.";
                    self.error(codes::FILE, node.span, "A test reads no files outside the folder of its recipe.", help);
                }
                TestData::File(Spanned { value: text.to_string(), span: node.span })
            }
            _ => TestData::Inline(self.literal(node).0),
        }
    }

    fn given(&mut self, entry: &Entry<'t>) -> Vec<Given> {
        let one = |this: &mut Self, entry: &Entry<'t>| {
            let places = match &entry.value.kind {
                Kind::Record(_) | Kind::List(_) => this.literal(&entry.value).1,
                _ => Default::default(),
            };
            let step = Spanned { value: entry.key.to_string(), span: entry.key_span };
            Given { step, output: this.test_data(&entry.value), span: entry.value.span, places }
        };
        self.by_step(entry, "outputs", one)
    }

    fn fails(&mut self, entry: &Entry<'t>) -> Vec<TestFailure> {
        let failures = self.by_step(entry, "failures", |this, entry| {
            let fields = this.fields(&entry.value, &FAILURE)?;
            let text = |this: &mut Self, name| fields.get(name).and_then(|entry| this.text(entry)).map(|text| text.value);
            let (code, message) = (text(this, "code"), text(this, "message"));
            let times = fields.get("times").and_then(|entry| this.whole(entry, 1, 100));
            let class = this.choice(fields.get("class")?, keys::ERROR_CLASSES)?.to_owned();
            let step = Spanned { value: entry.key.to_string(), span: entry.key_span };
            Some(TestFailure { step, class, code, message, times })
        });
        failures.into_iter().flatten().collect()
    }

    fn expect(&mut self, node: &Node<'t>) -> Option<Expect> {
        let fields = self.fields(node, &EXPECT)?;
        let status = fields.get("status").and_then(|entry| {
            let word = self.choice(entry, keys::STATUSES)?;
            let value = match word {
                "succeeded" => ExpectedStatus::Succeeded,
                "failed" => ExpectedStatus::Failed,
                "cancelled" => ExpectedStatus::Cancelled,
                "waiting" => ExpectedStatus::Waiting,
                _ => ExpectedStatus::Filtered,
            };
            Some(Spanned { value, span: entry.value.span })
        });
        let data = |this: &mut Self, name| {
            let one = |this: &mut Self, entry: &Entry<'t>| {
                let step = Spanned { value: entry.key.to_string(), span: entry.key_span };
                (step, this.literal(&entry.value).0)
            };
            fields.get(name).map(|entry| this.by_step(entry, "data", one)).unwrap_or_default()
        };
        let record = |this: &mut Self, name| fields.get(name).and_then(|entry| this.literal_record(entry)).map(|(json, _)| json);
        let exact = fields.get("match").and_then(|entry| self.choice(entry, keys::MATCHES)) == Some("exact");
        let expect = Expect {
            status,
            calls: data(self, "calls"),
            steps: data(self, "steps"),
            not_run: fields.get("not_run").map(|entry| self.texts(entry)).unwrap_or_default(),
            output: fields.get("output").map(|entry| self.literal(&entry.value).0),
            error: record(self, "error"),
            state: record(self, "state"),
            response: record(self, "response"),
            exact,
            span: node.span,
            places: crate::value::places(node),
        };
        let says = ["status", "calls", "steps", "not_run", "output", "error", "state", "response"];
        if !fields.unknown && says.iter().all(|name| fields.get(name).is_none()) {
            let help = "Add at least `status: succeeded`.";
            self.error(codes::NOTHING_IN_IT, fields.start, "This test expects nothing, so it can never fail.", help);
        }
        Some(expect)
    }

    fn by_step<T>(&mut self, entry: &Entry<'t>, what: &str, one: impl Fn(&mut Self, &Entry<'t>) -> T) -> Vec<T> {
        let Kind::Record(entries) = &entry.value.kind else {
            self.expected(entry, &format!("step ids and their {what}"), "Write `step_id: …`, one a line.");
            return Vec::new();
        };
        entries.iter().filter(|entry| !entry.key.starts_with("x-")).map(|entry| one(self, entry)).collect()
    }
}
