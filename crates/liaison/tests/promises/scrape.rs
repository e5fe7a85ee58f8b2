//! Reads `/metrics` of a process with a parser of the format, and remembers what moved.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use prometheus_parse::{Scrape, Value};

use crate::harness::Process;

/// What one process said last.
pub(crate) struct Watcher<'p> {
    process: &'p Process,
    last: BTreeMap<String, f64>,
}

impl<'p> Watcher<'p> {
    pub(crate) const fn new(process: &'p Process) -> Self {
        Self { process, last: BTreeMap::new() }
    }

    /// Looks anew. Names of metrics that are other than before, or came with a value, go to `moved`.
    pub(crate) async fn look(&mut self, moved: &mut BTreeSet<String>) {
        for (key, (name, value)) in scrape(&self.process.address).await {
            let before = self.last.insert(key, value).unwrap_or_default();
            if (before - value).abs() > f64::EPSILON {
                moved.insert(name);
            }
        }
    }

    /// What a series said last, by its name and labels in the order of the alphabet.
    pub(crate) fn last(&self, name: &str, labels: &[&str]) -> f64 {
        self.last.get(&format!("{name}{labels:?}")).copied().unwrap_or_default()
    }

    /// Looks until all these moved.
    pub(crate) async fn until(&mut self, wanted: &[&str], moved: &mut BTreeSet<String>) {
        let began = Instant::now();
        loop {
            self.look(moved).await;
            let missing: Vec<_> = wanted.iter().filter(|name| !moved.contains(**name)).collect();
            if missing.is_empty() {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "never moved: {missing:?}; last: {:#?}", self.last);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Every series by its name and labels, with the metric it belongs to. Of a histogram, its count.
pub(crate) async fn scrape(address: &str) -> BTreeMap<String, (String, f64)> {
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let text = client.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
    let parsed = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).expect("the text is what Prometheus reads");
    let mut series = BTreeMap::new();
    for sample in parsed.samples {
        let value = match sample.value {
            Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => value,
            Value::Histogram(buckets) => buckets.last().map_or(0.0, |bucket| bucket.count),
            Value::Summary(_) => panic!("{} is a summary; those cannot be added up", sample.metric),
        };
        // The parser gives the sum and the count of a histogram as series of their own.
        let name = sample.metric.strip_suffix("_sum").or_else(|| sample.metric.strip_suffix("_count")).unwrap_or(&sample.metric);
        let mut labels: Vec<_> = sample.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        labels.sort();
        series.insert(format!("{}{labels:?}", sample.metric), (name.to_owned(), value));
    }
    series
}

/// The metrics the page on operations tells of.
pub(crate) fn documented() -> BTreeSet<String> {
    let page = include_str!("../../../../docs/operations.md");
    let word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    page.split(|char| !word(char)).filter(|name| name.starts_with("liaison_")).map(str::to_owned).collect()
}
