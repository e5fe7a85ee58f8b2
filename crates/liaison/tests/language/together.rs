//! Recipes that start each other.

use recipe::{Recipe, check_together, parse};

fn recipe(slug: &str, trigger: &str, steps: &str) -> Recipe {
    let text = format!("liaison: 1\nrecipe: {slug}\ntrigger: {trigger}\nsteps:\n{steps}");
    parse(text.as_bytes()).recipe.expect("a recipe")
}

fn check(recipes: &[Recipe], expected: &[&[&str]]) {
    let found = check_together(&recipes.iter().collect::<Vec<_>>());
    let codes: Vec<Vec<&str>> = found.iter().map(|all| all.iter().map(|problem| problem.code).collect()).collect();
    assert_eq!(codes, expected, "{found:?}");
}

const DONE: &str = "- { id: done, return: 1 }\n";

#[test]
fn recipes_that_fit_have_no_problem() {
    let input = "{ from: call, with: { input: { type: object, required: [n], properties: { n: { type: integer } } } } }";
    check(&[recipe("a", "{ from: api }", "- { id: b, call: b, with: { n: 1 } }\n"), recipe("b", input, DONE)], &[&[], &[]]);
}

#[test]
fn unknown_and_unfit_recipes_are_told() {
    check(&[recipe("a", "{ from: api }", "- { id: b, call: missing }\n")], &[&["L0312"]]);
    check(
        &[recipe("a", "{ from: api }", "- { id: b, start: hook }\n"), recipe("hook", "{ from: webhook }", DONE)],
        &[&["L0313"], &[]],
    );
    let input = "{ from: call, with: { input: { type: object, required: [n], properties: { n: { type: integer } } } } }";
    check(
        &[
            recipe("a", "{ from: api }", "- { id: b, call: b, with: { n: one } }\n- { id: c, call: b }\n"),
            recipe("b", input, DONE),
        ],
        &[&["L0403", "L0401"], &[]],
    );
}

#[test]
fn circles_are_found_however_long() {
    let call = |slug: &str, next: &str| recipe(slug, "{ from: call }", &format!("- {{ id: next_one, call: {next} }}\n"));
    check(&[call("a", "b"), call("b", "c"), call("c", "a")], &[&["L0311"], &["L0311"], &["L0311"]]);
    check(&[call("a", "b"), call("b", "c"), recipe("c", "{ from: call }", DONE)], &[&[], &[], &[]]);
    // A recipe that is told of a failure, and starts the one that failed.
    let failing =
        "liaison: 1\nrecipe: a\ntrigger: { from: api }\nsettings: { on_failure: f }\nsteps: [{ id: done, return: 1 }]\n";
    let failing = parse(failing.as_bytes()).recipe.expect("a recipe");
    check(&[failing, recipe("f", "{ from: failure }", "- { id: again, start: a }\n")], &[&["L0311"], &["L0311"]]);
}

#[test]
fn a_thousand_recipes_in_a_row_are_checked() {
    let last = 999;
    let all: Vec<Recipe> = (0..=last)
        .map(|n| {
            recipe(
                &format!("r{n}"),
                "{ from: call }",
                &format!("- {{ id: next_one, call: r{} }}\n", if n == last { 0 } else { n + 1 }),
            )
        })
        .collect();
    let found = check_together(&all.iter().collect::<Vec<_>>());
    assert!(found.iter().all(|problems| problems.len() == 1 && problems[0].code == "L0311"));
}
