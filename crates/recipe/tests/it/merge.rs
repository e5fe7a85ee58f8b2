//! Two edited texts become one.

use recipe::{Choice, Conflict, ConflictKind, EditCode, Merged, Side, merge, resolve};

use crate::catalogue::real;

const BASE: &str = "# head
liaison: 1
recipe: r
tags: [a, b, c]

steps:
  # about a
  - id: a
    do: http.request
    with:
      url: https://a.example   # where
      json: { n: 1, t: one }

  - id: b
    choose:
      - when: steps.a.ok
        steps:
          - id: in_b
            stop: x
      - otherwise:
          - id: else_b
            stop: y

  - id: c
    set: { x: \"${ steps.a.body }\" }
";

fn with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(BASE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

#[track_caller]
fn check(ours: &str, theirs: &str, expected: &str) {
    let Merged { text, conflicts } = merge(BASE, ours, theirs, &real()).unwrap();
    assert_eq!(conflicts, []);
    assert_eq!(text, expected);
}

/// The one conflict of two texts, and what comes of each choice.
#[track_caller]
fn conflict(ours: &str, theirs: &str, at: &str, kind: ConflictKind, with_ours: &str, with_theirs: &str) -> Conflict {
    let merged = merge(BASE, ours, theirs, &real()).unwrap();
    assert_eq!(merged.text, with_ours, "ours stays until somebody chooses");
    let [conflict] = &merged.conflicts[..] else { panic!("{:?}", merged.conflicts) };
    assert_eq!((conflict.at.to_string().as_str(), conflict.kind), (at, kind));
    for (side, expected) in [(Side::Ours, with_ours), (Side::Theirs, with_theirs)] {
        let resolved = resolve(BASE, ours, theirs, &[conflict.choose(side)], &real()).unwrap();
        assert_eq!(resolved.conflicts, []);
        assert_eq!(resolved.text, expected, "{side:?}");
    }
    conflict.clone()
}

#[test]
fn what_one_side_did_is_taken() {
    let ours = with(&[("{ n: 1", "{ n: 2"), ("# about a", "# all about a"), ("recipe: r", "recipe: r\ntitle: Ours")]);
    let theirs = with(&[
        ("t: one", "t: two"),
        ("stop: x", "stop: z   # why"),
        ("recipe: r", "recipe: r\nnote: Theirs"),
        ("  - id: c\n", "  # new\n  - id: n\n    stop: n\n\n  - id: c\n"),
    ]);
    let both = with(&[
        ("{ n: 1", "{ n: 2"),
        ("# about a", "# all about a"),
        ("t: one", "t: two"),
        ("stop: x", "stop: z   # why"),
        ("recipe: r", "recipe: r\nnote: Theirs\ntitle: Ours"),
        ("  - id: c\n", "  # new\n  - id: n\n    stop: n\n\n  - id: c\n"),
    ]);
    check(&ours, &theirs, &both);
    check(&ours, &ours, &ours);
    check(BASE, &theirs, &theirs);
    check(&ours, BASE, &ours);
}

#[test]
fn steps_go_where_they_were_moved() {
    let c = "  - id: c\n    set: { x: \"${ steps.a.body }\" }\n";
    let moved = with(&[(&format!("\n{c}"), ""), ("  # about a", &format!("{c}\n  # about a"))]);
    let changed = with(&[("${ steps.a.body }", "${ 1 }"), ("{ n: 1", "{ n: 9")]);
    let expected = moved.replace("${ steps.a.body }", "${ 1 }").replace("{ n: 1", "{ n: 9");
    check(&moved, &changed, &expected);
    check(&changed, &moved, &expected);
    let inside = with(&[
        (&format!("\n{c}"), ""),
        ("            stop: y\n", "            stop: y\n          - id: c\n            set: { x: \"${ steps.a.body }\" }\n"),
    ]);
    let into = inside.replace("${ steps.a.body }", "${ 1 }").replace("{ n: 1", "{ n: 9");
    check(&inside, &changed, &into);
    check(&changed, &inside, &into);
    let found = merge(BASE, &moved, &inside, &real()).unwrap();
    assert_eq!(found.conflicts.len(), 0, "only they moved it to another list");
}

#[test]
fn lists_take_both() {
    let ours = with(&[("[a, b, c]", "[z, a, b, c]")]);
    let theirs = with(&[("[a, b, c]", "[a, b, c, d]")]);
    check(&ours, &theirs, &with(&[("[a, b, c]", "[z, a, b, c, d]")]));
    check(&with(&[("[a, b, c]", "[b, c]")]), &theirs, &with(&[("[a, b, c]", "[b, c, d]")]));
    check(&with(&[("[a, b, c]", "[x, b, c]")]), &with(&[("[a, b, c]", "[a, b, y]")]), &with(&[("[a, b, c]", "[x, b, y]")]));
}

#[test]
fn a_new_id_is_no_new_step() {
    let ours = with(&[("id: a\n", "id: ask\n"), ("steps.a.ok", "steps.ask.ok"), ("steps.a.body", "steps.ask.body")]);
    let theirs = with(&[("https://a.example", "https://b.example"), ("stop: y", "stop: \"${ steps.a.n }\"")]);
    let both = ours.replace("https://a.example", "https://b.example").replace("stop: y", "stop: \"${ steps.ask.n }\"");
    check(&ours, &theirs, &both);
    check(&theirs, &ours, &both);
}

#[test]
fn both_sides_changing_one_thing_is_a_conflict() {
    let (ours, theirs) =
        (with(&[("{ n: 1", "{ n: 2"), ("t: one", "t: 3")]), with(&[("{ n: 1", "{ n: 4"), ("stop: x", "stop: z")]));
    let kept = ours.replace("stop: x", "stop: z");
    let found = conflict(&ours, &theirs, "a: with.json.n", ConflictKind::BothChanged, &kept, &kept.replace("n: 2", "n: 4"));
    assert_eq!((found.base.as_deref(), found.ours.as_deref(), found.theirs.as_deref()), (Some("1"), Some("2"), Some("4")));
    let (ours, theirs) = (with(&[("recipe: r", "recipe: r\ntitle: A")]), with(&[("recipe: r", "recipe: r\ntitle: B")]));
    conflict(&ours, &theirs, "title", ConflictKind::BothAdded, &ours, &theirs);
}

#[test]
fn removing_what_the_other_changed_is_a_conflict() {
    let c = "\n  - id: c\n    set: { x: \"${ steps.a.body }\" }\n";
    let removed = with(&[(c, "")]);
    let changed = with(&[("${ steps.a.body }", "${ 1 }")]);
    conflict(&removed, &changed, "c", ConflictKind::RemovedByUs, &removed, &changed);
    let found = conflict(&changed, &removed, "c", ConflictKind::RemovedByThem, &changed, &removed);
    assert_eq!(found.ours.as_deref(), Some("- id: c\n  set: { x: \"${ 1 }\" }\n"));
    assert_eq!(found.theirs, None);
    let (ours, theirs) = (with(&[(", t: one", "")]), with(&[("t: one", "t: two")]));
    conflict(&ours, &theirs, "a: with.json.t", ConflictKind::RemovedByUs, &ours, &theirs);
    conflict(&theirs, &ours, "a: with.json.t", ConflictKind::RemovedByThem, &theirs, &ours);
    check(&with(&[(c, "")]), &with(&[("{ n: 1", "{ n: 2")]), &with(&[(c, ""), ("{ n: 1", "{ n: 2")]));
}

#[test]
fn two_new_steps_of_one_id_are_a_conflict() {
    let new = |word: &str| with(&[("  - id: c\n", &format!("  - id: n\n    {word}: n\n\n  - id: c\n"))]);
    conflict(&new("stop"), &new("fail"), "n", ConflictKind::BothAdded, &new("stop"), &new("fail"));
}

#[test]
fn branches_come_and_go() {
    let branch = "      - otherwise:\n          - id: else_b\n            stop: y\n";
    let added = "      - when: steps.a.no\n        steps:\n          - id: no_b\n            stop: n\n";
    let ours = with(&[("stop: x", "stop: xx")]);
    let theirs = with(&[(branch, &format!("{added}{branch}"))]);
    let both = theirs.replace("stop: x", "stop: xx");
    check(&ours, &theirs, &both);
    check(&theirs, &ours, &both);
    let removed = with(&[(branch, "")]);
    check(&ours, &removed, &removed.replace("stop: x", "stop: xx"));
    let changed = with(&[("stop: y", "stop: yy")]);
    conflict(&changed, &removed, "else_b", ConflictKind::RemovedByThem, &changed, &removed);
    conflict(&removed, &changed, "else_b", ConflictKind::RemovedByUs, &removed, &changed);
    let when = with(&[("when: steps.a.ok", "when: steps.a.fine")]);
    check(&when, &theirs, &theirs.replace("when: steps.a.ok", "when: steps.a.fine"));
}

#[test]
fn moving_one_step_to_two_places_is_a_conflict() {
    let c = "\n  - id: c\n    set: { x: \"${ steps.a.body }\" }\n";
    let into = |after: &str| {
        let text = format!("{after}\n          - id: c\n            set: {{ x: \"${{ steps.a.body }}\" }}\n");
        with(&[(c, ""), (&format!("{after}\n"), &text)])
    };
    let (ours, theirs) = (into("            stop: x"), into("            stop: y"));
    conflict(&ours, &theirs, "c", ConflictKind::BothMoved, &ours, &theirs);
}

#[test]
fn texts_that_cannot_be_read_are_refused() {
    for texts in [["a: [", BASE, "a: 1"], [BASE, "a: [", "a: 1"], [BASE, "a: 1", "a: ["], [BASE, "- a", BASE]] {
        assert_eq!(merge(texts[0], texts[1], texts[2], &real()).unwrap_err().code, EditCode::Unreadable);
    }
    let choice = Choice { at: recipe::FieldPath::recipe(["title"]), kind: ConflictKind::BothChanged, side: Side::Theirs };
    assert_eq!(resolve(BASE, BASE, BASE, &[choice], &real()).unwrap().text, BASE, "a choice about nothing changes nothing");
}
