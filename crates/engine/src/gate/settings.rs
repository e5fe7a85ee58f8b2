//! What a connection's config says about its circuit and its budget.

use std::time::Duration;

use connector::{Budget, ClassBudget, Limits};
use serde_json::{Map, Value as Json};
use store::BudgetLimits;

use super::{circuit::CircuitSettings, pace::SHARE};

/// The keys of a connection's config that belong to the engine, not to its connector.
pub const OURS: [&str; 2] = ["circuit", "budget"];

const CIRCUIT_KEYS: [&str; 8] =
    ["window", "calls_min", "failed_share", "in_a_row", "open_for", "open_for_max", "close_after", "release_per_second"];
const BUDGET_KEYS: [&str; 7] = ["per_second", "burst", "per_day", "in_flight", "background_share", "reads", "writes"];
const CLASS_KEYS: [&str; 3] = ["per_second", "burst", "in_flight"];
/// A rate beyond this is no limit.
const PER_SECOND_MAX: f64 = 1_000_000.0;
/// A circuit may stay open for a day.
const DURATION_MAX: Duration = Duration::from_secs(24 * 3600);

/// The gates of one connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateSettings {
    /// Of both its circuits.
    pub circuit: CircuitSettings,
    /// Its budget.
    pub budget: BudgetLimits,
    /// Those of each class of its calls, beside it: reads, writes.
    pub by_class: [BudgetLimits; 2],
    /// Above this share of a day's limit, from 0 to 1, work nobody waits for is slowed down.
    pub background_share: f64,
}

impl Default for GateSettings {
    fn default() -> Self {
        let none = BudgetLimits::default();
        Self { circuit: CircuitSettings::default(), budget: none, by_class: [none; 2], background_share: SHARE }
    }
}

/// What the connector itself should see and check of a config: everything but the keys that are ours.
#[must_use]
pub fn without_ours(config: &Json) -> Json {
    match config {
        Json::Object(fields) => Json::Object(
            fields.iter().filter(|(key, _)| !OURS.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect(),
        ),
        other => other.clone(),
    }
}

/// Reads `config.circuit` and `config.budget`, the rest from the connector and the defaults.
///
/// # Errors
/// Every problem as (field, sentence).
pub fn read(config: &Json, limits: &Limits) -> Result<GateSettings, Vec<(String, String)>> {
    let mut reader = Reader { problems: Vec::new() };
    let settings = reader.settings(config, limits);
    if reader.problems.is_empty() { Ok(settings) } else { Err(reader.problems) }
}

/// The same for a config that was saved: what cannot be read there counts as not said.
pub(crate) fn read_saved(config: &Json, limits: &Limits) -> GateSettings {
    Reader { problems: Vec::new() }.settings(config, limits)
}

struct Reader {
    problems: Vec<(String, String)>,
}

impl Reader {
    fn settings(&mut self, config: &Json, limits: &Limits) -> GateSettings {
        let none = Map::new();
        let circuit = self.record(config.get("circuit"), "circuit", &CIRCUIT_KEYS).unwrap_or(&none);
        let d = CircuitSettings::default();
        let circuit = CircuitSettings {
            window: self.duration(circuit, "window").unwrap_or(d.window),
            calls_min: self.count(circuit, "circuit", "calls_min").unwrap_or(d.calls_min),
            failed_share: self.number(circuit, "circuit", "failed_share", 1.0).unwrap_or(d.failed_share),
            in_a_row: self.count(circuit, "circuit", "in_a_row").unwrap_or(d.in_a_row),
            open_for: self.duration(circuit, "open_for").unwrap_or(d.open_for),
            open_for_max: self.duration(circuit, "open_for_max").unwrap_or(d.open_for_max),
            close_after: self.count(circuit, "circuit", "close_after").unwrap_or(d.close_after),
            release_per_second: self
                .number(circuit, "circuit", "release_per_second", PER_SECOND_MAX)
                .unwrap_or(d.release_per_second),
        };
        let budget = self.record(config.get("budget"), "budget", &BUDGET_KEYS).unwrap_or(&none);
        let Budget { per_second, burst, per_day, in_flight } = limits.budget;
        let own_rate = self.number(budget, "budget", "per_second", PER_SECOND_MAX);
        // A burst of the connector's belongs to the connector's own rate.
        let background_share = self.number(budget, "budget", "background_share", 1.0).unwrap_or(SHARE);
        let burst = self.count(budget, "budget", "burst").or(burst.filter(|_| own_rate.is_none()));
        let per_second = own_rate.or(per_second);
        let own_in_flight = self.count(budget, "budget", "in_flight");
        // So do the connector's limits of classes.
        let of_connector = |class: ClassBudget| ClassBudget {
            per_second: class.per_second.filter(|_| own_rate.is_none()),
            burst: class.burst,
            in_flight: class.in_flight.filter(|_| own_in_flight.is_none()),
        };
        let by_class = [
            self.class(budget, "reads", of_connector(limits.by_class.reads)),
            self.class(budget, "writes", of_connector(limits.by_class.writes)),
        ];
        let budget = BudgetLimits {
            per_second,
            burst: burst.unwrap_or_else(|| whole(per_second.unwrap_or(1.0).ceil())),
            per_day: self.count(budget, "budget", "per_day").or(per_day),
            in_flight: own_in_flight.or(in_flight),
        };
        GateSettings { circuit, budget, by_class, background_share }
    }

    fn class(&mut self, budget: &Map<String, Json>, key: &str, of_connector: ClassBudget) -> BudgetLimits {
        let (none, name) = (Map::new(), format!("budget.{key}"));
        let own = self.record(budget.get(key), &name, &CLASS_KEYS).unwrap_or(&none);
        let own_rate = self.number(own, &name, "per_second", PER_SECOND_MAX);
        let burst = self.count(own, &name, "burst").or(of_connector.burst.filter(|_| own_rate.is_none()));
        let in_flight = self.count(own, &name, "in_flight").or(of_connector.in_flight);
        let Some(per_second) = own_rate.or(of_connector.per_second) else {
            return BudgetLimits { in_flight, ..BudgetLimits::default() };
        };
        let burst = burst.unwrap_or_else(|| whole(per_second.ceil()));
        BudgetLimits { per_second: Some(per_second), burst, per_day: None, in_flight }
    }

    fn refuse(&mut self, field: String, sentence: String) {
        self.problems.push((field, sentence));
    }

    fn record<'a>(&mut self, value: Option<&'a Json>, name: &str, known: &[&str]) -> Option<&'a Map<String, Json>> {
        match value {
            None | Some(Json::Null) => None,
            Some(Json::Object(fields)) => {
                for key in fields.keys().filter(|key| !known.contains(&key.as_str())) {
                    let sentence = format!("\"{key}\" is not known here; known are {}", known.join(", "));
                    self.refuse(format!("config.{name}.{key}"), sentence);
                }
                Some(fields)
            }
            Some(_) => {
                self.refuse(format!("config.{name}"), format!("{name} must be a record; known are {}", known.join(", ")));
                None
            }
        }
    }

    fn count(&mut self, fields: &Map<String, Json>, parent: &str, key: &str) -> Option<u32> {
        let value = fields.get(key).filter(|value| !value.is_null())?;
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0);
        if count.is_none() {
            self.refuse(format!("config.{parent}.{key}"), format!("{key} must be a whole number from 1 on, not {value}"));
        }
        count
    }

    fn number(&mut self, fields: &Map<String, Json>, parent: &str, key: &str, max: f64) -> Option<f64> {
        let value = fields.get(key).filter(|value| !value.is_null())?;
        let number = value.as_f64().filter(|number| *number > 0.0 && *number <= max);
        if number.is_none() {
            self.refuse(format!("config.{parent}.{key}"), format!("{key} must be a number above 0 and up to {max}, not {value}"));
        }
        number
    }

    fn duration(&mut self, fields: &Map<String, Json>, key: &str) -> Option<Duration> {
        let value = fields.get(key).filter(|value| !value.is_null())?;
        let duration = value
            .as_str()
            .and_then(recipe::parse_duration)
            .filter(|duration| *duration >= Duration::from_secs(1) && *duration <= DURATION_MAX);
        if duration.is_none() {
            let sentence = format!("{key} must be a duration from 1s to 24h, such as \"30s\", not {value}");
            self.refuse(format!("config.circuit.{key}"), sentence);
        }
        duration
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, and a rate is above 0")]
fn whole(number: f64) -> u32 {
    (number as u32).max(1)
}

#[cfg(test)]
mod tests {
    use connector::ClassBudgets;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_connection_wins_over_the_connector_and_the_connector_over_the_defaults() {
        let budget = Budget { per_second: Some(100.0), burst: Some(7), per_day: None, in_flight: Some(5) };
        let limits = Limits { budget, ..Limits::default() };
        let found = read(&json!({}), &limits).unwrap();
        assert_eq!(found.circuit, CircuitSettings::default());
        assert_eq!(found.budget, BudgetLimits { per_second: Some(100.0), burst: 7, per_day: None, in_flight: Some(5) });
        let config = json!({
            "base_url": "x",
            "circuit": { "window": "10s", "in_a_row": 2, "failed_share": 0.25, "open_for": "5s" },
            "budget": { "per_second": 2.5, "per_day": 15000 }
        });
        let found = read(&config, &limits).unwrap();
        assert_eq!(found.budget, BudgetLimits { per_second: Some(2.5), burst: 3, per_day: Some(15_000), in_flight: Some(5) });
        assert_eq!((found.circuit.in_a_row, found.circuit.window.as_secs(), found.circuit.close_after), (2, 10, CLOSE));
        assert_eq!(without_ours(&config), json!({ "base_url": "x" }));
    }

    #[test]
    fn limits_of_classes_come_of_the_connection_or_else_of_the_connector() {
        let class = ClassBudget { per_second: Some(15.0), burst: Some(10), in_flight: Some(4) };
        let limits = Limits { by_class: ClassBudgets { reads: class, writes: class }, ..Limits::default() };
        let of = |budget: Json| read(&json!({ "budget": budget }), &limits).unwrap().by_class;
        let usual = BudgetLimits { per_second: Some(15.0), burst: 10, per_day: None, in_flight: Some(4) };
        assert_eq!(of(json!({ "per_day": 100 })), [usual; 2]);
        // One key of one class; a burst belongs to its rate.
        let own = BudgetLimits { per_second: Some(2.5), burst: 3, ..usual };
        assert_eq!(of(json!({ "writes": { "per_second": 2.5 } })), [usual, own]);
        // The connection's own limits of the whole are not cut down by the connector's of classes.
        let slots = BudgetLimits { in_flight: Some(4), ..BudgetLimits::default() };
        assert_eq!(of(json!({ "per_second": 80 })), [slots; 2]);
        let own = json!({ "per_second": 80, "in_flight": 40, "reads": { "per_second": 50, "burst": 9 } });
        let fifty = BudgetLimits { per_second: Some(50.0), burst: 9, ..BudgetLimits::default() };
        assert_eq!(of(own), [fifty, BudgetLimits::default()]);
        let none = read(&json!({}), &Limits::default()).unwrap().by_class;
        assert_eq!(none, [BudgetLimits::default(); 2], "without any, nothing is asked of the store");
    }

    #[test]
    fn every_problem_of_a_class_is_told_with_its_field() {
        let config = json!({ "budget": { "reads": { "per_second": 0, "per_day": 7, "in_flight": "few" }, "writes": 3 } });
        let problems = read(&config, &Limits::default()).unwrap_err();
        let mut fields: Vec<&str> = problems.iter().map(|(field, _)| field.as_str()).collect();
        fields.sort_unstable();
        let reads = ["config.budget.reads.in_flight", "config.budget.reads.per_day", "config.budget.reads.per_second"];
        assert_eq!(fields, [&reads[..], &["config.budget.writes"]].concat());
        assert!(problems.iter().any(|(_, sentence)| sentence.contains("known are per_second, burst, in_flight")), "{problems:?}");
    }

    const CLOSE: u32 = super::super::circuit::CLOSE_AFTER;

    #[test]
    fn every_problem_is_told_with_its_field() {
        let config = json!({
            "circuit": { "window": "forever", "in_a_row": 0, "failed_share": 2, "opens": 1 },
            "budget": { "per_second": -1, "in_flight": 1.5, "burst": "many" }
        });
        let problems = read(&config, &Limits::default()).unwrap_err();
        let fields: Vec<&str> = problems.iter().map(|(field, _)| field.as_str()).collect();
        for field in [
            "config.circuit.window",
            "config.circuit.in_a_row",
            "config.circuit.failed_share",
            "config.circuit.opens",
            "config.budget.per_second",
            "config.budget.in_flight",
            "config.budget.burst",
        ] {
            assert!(fields.contains(&field), "{field}: {problems:?}");
        }
        assert_eq!(problems.len(), 7);
        assert_eq!(read(&json!({ "budget": 7 }), &Limits::default()).unwrap_err().len(), 1);
        assert_eq!(read_saved(&config, &Limits::default()).circuit, CircuitSettings::default());
    }
}
