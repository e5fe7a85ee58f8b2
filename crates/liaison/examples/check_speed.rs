//! How long it takes to read and check a recipe. Prints, and asserts nothing:
//!
//!     cargo run --release -p liaison --example check_speed

#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::{
    fmt::Write,
    path::Path,
    time::{Duration, Instant},
};

fn main() {
    let catalogue = engine::catalogue::of(&connectors::all());
    let big = big(500);
    let parsed = recipe::parse_and_check(big.as_bytes(), &catalogue);
    assert!(parsed.is_sound(), "{:?}", parsed.diagnostics.first());
    println!("500 steps, {} KB", big.len() / 1000);
    // The first time in a process nothing is warm; that is what `liaison check` does.
    println!("  read            {:>8.2} ms", millis(|| drop(recipe::parse(big.as_bytes()))));
    println!("  read and check  {:>8.2} ms", millis(|| drop(recipe::parse_and_check(big.as_bytes(), &catalogue))));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let mut texts: Vec<(String, String)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".recipe.yaml"))
        .filter_map(|entry| Some((entry.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(entry.path()).ok()?)))
        .collect();
    texts.sort();
    let all = millis(|| texts.iter().for_each(|(_, text)| drop(recipe::parse_and_check(text.as_bytes(), &catalogue))));
    println!("recipes/: {} recipes in {all:.2} ms, {:.0} a second on one core", texts.len(), texts.len() as f64 / all * 1000.0);
}

/// The shortest of many: what it takes when nothing else is in the way.
fn millis(mut run: impl FnMut()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..101).map(once).min().unwrap_or(Duration::ZERO).as_secs_f64() * 1000.0
}

/// Calls with a mapping of four fields, choices, loops and sums.
fn big(steps: usize) -> String {
    let mut text = String::from("liaison: 1\nrecipe: big\nconnections: { desk: http }\ntrigger: { from: api }\nsteps:\n");
    let mut last = "trigger".to_owned();
    let mut n = 0;
    while n < steps {
        let _ = writeln!(
            text,
            "  - id: call_{n}\n    do: desk.request\n    with:\n      method: PUT\n      path: \"/orders/${{ trigger.order.id }}/{n}\"\n      json:\n        \
             amount: ${{ trigger.order.lines[{n}].amount / 100 }}\n        name: ${{ upper(trigger.order.name) }}\n        before: ${{ {last} }}\n        \
             text: \"Line ${{ trigger.order.lines[{n}].text }} of ${{ trigger.order.id }}\""
        );
        last = format!("steps.call_{n}.body");
        n += 1;
        if n % 5 == 0 && n + 3 < steps {
            let _ = writeln!(
                text,
                "  - id: size_{n}\n    choose:\n      - when: trigger.order.total > {n} && trigger.order.kind == \"large\"\n        steps:\n          \
                 - id: large_{n}\n            do: log.write\n            with: {{ message: \"Large ${{ trigger.order.total }}\" }}\n  - id: sum_{n}\n    set:\n      \
                 total: ${{ $.trigger.order.total }}\n      tax: ${{ round(trigger.order.total * 0.19, 2) }}\n  - id: note_{n}\n    do: log.write\n    with: {{ message: \"Sum ${{ steps.sum_{n}.tax + steps.sum_{n}.total }}\" }}"
            );
            n += 4;
        }
    }
    text
}
