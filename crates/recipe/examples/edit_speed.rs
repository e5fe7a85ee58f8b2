//! How long one change of a recipe of 500 steps takes: `cargo run --release -p recipe --example edit_speed`.

#![expect(clippy::print_stdout, reason = "the output is the point")]

use std::fmt::Write as _;
use std::time::Instant;

use recipe::{Catalogue, Change, ExpressionInfo, FieldPath, NewValue, Place, Shapes, edit};

const ROUNDS: u32 = 20;

fn main() {
    let mut text = String::from("liaison: 1\nrecipe: big\ntrigger: { from: webhook }\n\nsteps:\n");
    for n in 0..500 {
        let _ = write!(
            text,
            "  - id: step_{n}\n    title: Step number {n}\n    do: http.request   # asks\n    with:\n      url: https://example.com/{n}\n      \
             json: {{ a: \"${{ trigger.body.x{n} }}\", b: \"${{ steps.step_0.body }}\" }}\n\n"
        );
    }
    let catalogue = Catalogue {
        connectors: std::sync::Arc::default(),
        expression: |_| Ok(ExpressionInfo::default()),
        script: |_| Ok(ExpressionInfo::default()),
        schedule: |_, _| Ok(()),
        instant: |_| true,
        functions: Vec::new,
        shapes: Shapes::default(),
    };
    println!("{} bytes, 500 steps", text.len());
    let url =
        |value: &str| Change::SetField { at: FieldPath::step("step_250", ["with", "url"]), value: NewValue::Json(value.into()) };
    let changes = [
        ("set a field", url("https://example.org")),
        ("move a step", Change::MoveStep { id: "step_10".into(), to: Place::After("step_400".into()) }),
        ("remove a step", Change::RemoveStep { id: "step_250".into() }),
        ("rename an id", Change::RenameId { from: "step_0".into(), to: "first".into() }),
    ];
    for (what, change) in changes {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            let edited = edit(&text, &change, &catalogue).expect("the change");
            assert!(!edited.patches.is_empty());
        }
        println!("{what}: {:?}", start.elapsed() / ROUNDS);
    }
}
