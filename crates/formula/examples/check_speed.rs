//! Prints how long reading and inferring take: `cargo run -p formula --release --example check_speed`.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{hint::black_box, time::Instant};

use formula::{Expression, Reference, Type};
use serde_json::json;

const SOURCES: [&str; 14] = [
    "trigger.data.object.customer_address.city",
    "steps.account.records[0].Id",
    "trigger.data.object.note ?? \"none\"",
    "\"literal\"",
    "$.steps.account.records[0].Id",
    "$.trigger.data.object.lines.data[*].amount",
    "trigger.amount / 100",
    "trigger.data.object.amount_paid > params.min_amount * 100",
    "steps.account.total_size == 0",
    "upper(trigger.data.object.currency)",
    "`${trigger.data.object.number} for ${trigger.data.object.customer_name}`",
    "if trigger.data.object.amount_paid > params.min_amount * 100 { \"big\" } else { \"small\" }",
    "#{ id: trigger.data.object.id, amount: trigger.data.object.amount_paid / 100, tax: trigger.data.object.tax_rate * 2 }",
    "trigger.data.object.lines.data.filter(|l| l.amount > 2100).map(|l| l.id)",
];

fn main() {
    let schema = json!({ "type": "object", "properties": { "amount": { "type": "integer" }, "data": { "properties": { "object": {
        "type": "object", "properties": {
            "amount_paid": { "type": "integer" }, "currency": { "type": "string" }, "note": { "type": "string" },
            "lines": { "type": "object", "properties": { "data": { "type": "array", "items": { "type": "object", "properties": {
                "id": { "type": "string" }, "amount": { "type": "integer" },
            } } } } },
        },
    } } } } });
    let trigger = Type::from_schema(&schema, &schema);
    let types = |reference: &Reference| match reference.root.as_str() {
        "trigger" => trigger.at(&reference.path),
        _ => Type::any(),
    };
    println!("compile    infer");
    let mut sum = (0.0, 0.0);
    for source in SOURCES {
        let Ok(expression) = Expression::compile(source) else { continue };
        let compile = time(|| drop(black_box(Expression::compile(black_box(source)))));
        let infer = time(|| drop(black_box(expression.infer(&types))));
        sum = (sum.0 + compile, sum.1 + infer);
        println!("{compile:>6.2} {infer:>8.2} µs  {source}");
    }
    let count = f64::from(u32::try_from(SOURCES.len()).unwrap_or(1));
    println!("{:>6.2} {:>8.2} µs  on average", sum.0 / count, sum.1 / count);
}

/// The best of many turns, in microseconds.
fn time(work: impl Fn()) -> f64 {
    let turn = || {
        let started = Instant::now();
        (0..200).for_each(|_| work());
        started.elapsed().as_secs_f64() * 1e6 / 200.0
    };
    (0..50).map(|_| turn()).fold(f64::MAX, f64::min)
}
