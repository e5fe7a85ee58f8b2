//! Every object the simulated Stripe gives has the shape the description says.

use std::io::Read;

use serde_json::{Value as Json, json};

use crate::Caller;

struct Description(Json);

impl Description {
    fn new() -> Self {
        let packed: &[u8] = include_bytes!("../../src/stripe/api/description.json.gz");
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    fn kind_of(&self, object: &str) -> Option<&str> {
        let kinds = self.0["kinds"].as_object().unwrap();
        // A line of an invoice and one of a search of lines bear one name.
        kinds.iter().find(|(_, kind)| kind["object"] == object).map(|(name, _)| name.as_str())
    }

    /// What is wrong with a value, by path.
    fn wrong(&self, shape: &Json, value: &Json, path: &str, found: &mut Vec<String>) {
        if let Some(inner) = shape.get("c") {
            if !value.is_null() {
                self.wrong(inner, value, path, found);
            }
            return;
        }
        let mut say = |what: &str| found.push(format!("{path}: {what}: {value}"));
        match (shape.as_str(), value) {
            (Some("*"), _) | (Some("s"), Json::String(_)) | (Some("b"), Json::Bool(_)) | (Some("n"), Json::Number(_)) => return,
            (Some("i"), value) if value.is_i64() => return,
            (Some(kind), _) => return say(&format!("no {kind}")),
            _ => {}
        }
        let Some((kind, inner)) = shape.as_object().and_then(|map| map.iter().next()) else { return };
        match kind.as_str() {
            "a" => match value.as_array() {
                Some(list) => list.iter().for_each(|item| self.wrong(inner, item, &format!("{path}[]"), found)),
                None => say("no list"),
            },
            "m" => match value.as_object() {
                Some(map) => map.values().for_each(|item| self.wrong(inner, item, &format!("{path}.*"), found)),
                None => say("no map"),
            },
            "l" => match value["data"].as_array() {
                Some(list) => list.iter().for_each(|item| self.wrong(inner, item, &format!("{path}.data[]"), found)),
                None => say("no page"),
            },
            "r" => self.record(inner, value, path, found),
            "x" if value.is_string() => {}
            "x" => self.wrong(&json!({"r": inner[0]}), value, path, found),
            "e" => {
                let values = &self.0["enums"][usize::try_from(inner.as_u64().unwrap()).unwrap()];
                if !values.as_array().unwrap().contains(value) {
                    say("not one of the values");
                }
            }
            _ => {}
        }
    }

    fn record(&self, place: &Json, value: &Json, path: &str, found: &mut Vec<String>) {
        let shape = match place.as_str() {
            Some(name) => &self.0["shapes"][usize::try_from(self.0["kinds"][name]["shape"].as_u64().unwrap()).unwrap()],
            None => &self.0["shapes"][usize::try_from(place.as_u64().unwrap()).unwrap()],
        };
        let (known, Some(map)) = (shape["p"].as_object().unwrap(), value.as_object()) else {
            return found.push(format!("{path}: no object: {value}"));
        };
        for (name, value) in map {
            match known.get(name) {
                Some(shape) => self.wrong(shape, value, &format!("{path}.{name}"), found),
                None => found.push(format!("{path}.{name}: unknown")),
            }
        }
        for (name, shape) in known {
            if shape.get("c").is_none() && !map.contains_key(name) {
                found.push(format!("{path}.{name}: missing"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_has_the_described_shape() {
    let caller = Caller::new().await;
    caller.made("/v1/checkout/sessions", "mode=payment&success_url=https://a.example&line_items[0][quantity]=1\
        &line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=500&line_items[0][price_data][product_data][name]=x").await;
    caller.made("/v1/coupons", "percent_off=10").await;
    caller.made("/v1/webhook_endpoints", "url=https://a.example&enabled_events[]=*").await;
    caller.made("/v1/payment_intents", "amount=500&currency=usd&confirm=true&payment_method=pm_card_createDispute").await;
    caller
        .made("/v1/payment_intents", "amount=500&currency=usd&confirm=true&payment_method=pm_card_authenticationRequired")
        .await;
    caller.post("/v1/payment_intents", "amount=500&currency=usd&confirm=true&payment_method=pm_card_chargeDeclined").await;
    caller.made("/v1/setup_intents", "payment_method=pm_card_visa&confirm=true").await;
    caller.made("/v1/tax_rates", "display_name=VAT&inclusive=false&percentage=19").await;
    caller.made("/v1/quotes", "").await;
    caller.happen("refund", &json!({"customer": "C-0001", "amount": 1}));
    caller.happen("payout", &json!({"currency": "usd"}));
    let description = Description::new();
    let vendor = caller.sandbox.vendor("stripe").unwrap();
    let (mut found, mut seen) = (Vec::new(), 0);
    for table in vendor.tables() {
        for row in vendor.rows(&table.name, 0, 400).unwrap() {
            let Some(kind) =
                (if table.name == "EventDestination" { None } else { description.kind_of(row["object"].as_str().unwrap()) })
            else {
                continue;
            };
            seen += 1;
            description.record(&json!(kind), &row, &table.name, &mut found);
        }
    }
    assert!(seen > 500, "{seen}");
    found.iter_mut().for_each(|line| line.truncate(200));
    found.sort();
    found.dedup_by(|a, b| a.split(' ').next() == b.split(' ').next());
    assert!(found.is_empty(), "{}", found.join("\n"));
    caller.sandbox.stop().await;
}
