//! Prints how long expressions take: `cargo run -p formula --release --example formula_speed`.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{hint::black_box, sync::Arc, time::Instant};

use formula::{Expression, Scope};
use serde_json::{Value as Json, json};

fn main() {
    let lines: Vec<Json> = (0..6)
        .map(|n| json!({ "id": format!("il_{n:024}"), "amount": 1990 + n * 100, "currency": "eur", "quantity": n + 1, "description": "Seats, yearly plan", "taxable": n % 2 == 0 }))
        .collect();
    let event = json!({
        "id": "evt_1PqGmVLkdIwHu7ixnVh4rV6X", "type": "invoice.paid", "created": 1_722_268_800, "livemode": false,
        "data": { "object": {
            "id": "in_1PqGmTLkdIwHu7ixJq8Xf2aN", "number": "A-2026-0042", "amount_paid": 129_950, "tax_rate": 19.99, "currency": "eur",
            "customer": "cus_QhbmJ3VYsDq9XK", "customer_name": "  Ada Lovelace GmbH ", "customer_email": "Ada@Example.com",
            "customer_address": { "city": "Berlin", "country": "DE", "line1": "Friedrichstraße 1", "postal_code": "10117" },
            "lines": { "object": "list", "data": lines, "has_more": false },
            "metadata": { "order": "4711", "source": "shop", "note": "x".repeat(600) },
        } },
    });
    println!("event: {} bytes", event.to_string().len());
    let mut scope = Scope::new();
    scope.set("trigger", Arc::new(event));
    scope.set("params", Arc::new(json!({ "min_amount": 100 })));
    scope.set_in("steps", &"account".into(), Arc::new(json!({ "total_size": 1, "records": [{ "Id": "001A" }] })));

    let mapping = [
        "trigger.data.object.id",
        "trigger.data.object.amount_paid / 100",
        "upper(trigger.data.object.currency)",
        "$.steps.account.records[0].Id",
        "if trigger.data.object.amount_paid > params.min_amount * 100 { \"big\" } else { \"small\" }",
    ];
    time("five-field mapping", &mapping, &scope);
    for source in [
        "trigger.data.object.customer_address.city",
        "steps.account.records[0].Id",
        "trigger.data.object.metadata.nope ?? \"none\"",
        "$.trigger.data.object.customer_address.city",
        "$.steps.account.records[0].Id ?? \"none\"",
        "$.trigger.data.object.lines.data[*].amount",
        "$.trigger.data.object.lines.data[?@.amount > 2100].id",
        "\"literal\"",
        "1 + 1",
        "trigger.data.object.amount_paid / 100",
        "trigger.data.object.amount_paid > params.min_amount * 100",
        "trim(trigger.data.object.customer_name)",
        "`${trigger.data.object.number} for ${trigger.data.object.customer_name}`",
        "#{ id: trigger.data.object.id, amount: trigger.data.object.amount_paid / 100, tax: trigger.data.object.tax_rate * 2 }",
        "trigger.data.object.lines.data.where(\"amount\", \">\", 2100).pluck(\"id\")",
        "sum(trigger.data.object.lines.data, \"amount\")",
        "trigger.data.object.lines.data.filter(|l| l.amount > 2100).map(|l| l.id)",
    ] {
        time(source, &[source], &scope);
    }
    let compiled = Instant::now();
    for _ in 0..1000 {
        for source in mapping {
            black_box(Expression::compile(source).ok());
        }
    }
    println!("{:>9.2} µs  compile the mapping", compiled.elapsed().as_secs_f64() * 1e3);
    let built = Instant::now();
    let event = Arc::new(json!({}));
    let step = Arc::from("account");
    for _ in 0..100_000 {
        let mut fresh = scope.clone();
        fresh.set("item", Arc::clone(&event));
        fresh.set_in("steps", &step, Arc::clone(&event));
        black_box(&fresh);
    }
    println!("{:>9.3} µs  clone a scope, bind an item, finish a step", built.elapsed().as_secs_f64() * 10.0);
}

fn time(label: &str, sources: &[&str], scope: &Scope) {
    let expressions: Vec<_> = match sources.iter().map(|source| Expression::compile(source)).collect::<Result<_, _>>() {
        Ok(expressions) => expressions,
        Err(problem) => return println!("{label}: {problem}"),
    };
    let mut best = f64::MAX;
    for _ in 0..20 {
        let started = Instant::now();
        for _ in 0..1000 {
            for expression in &expressions {
                black_box(expression.eval(black_box(scope)).ok());
            }
        }
        best = best.min(started.elapsed().as_secs_f64() * 1e3);
    }
    println!("{best:>9.3} µs  {label}");
}
