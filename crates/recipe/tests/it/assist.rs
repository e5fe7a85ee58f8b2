//! What an editor is told: recipes with a cursor `‸` in, suggestions out.

use recipe::assist::{Completion, CompletionKind, Neighbour, complete, complete_among};

const HEAD: &str = "liaison: 1\nrecipe: x\nconnections:\n  sf: salesforce\nparams:\n  limit: { type: integer }\n\
                    state:\n  last: { type: string }\ntrigger:\n  from: sf.event\nsteps:\n  - id: found\n    title: Find them\n    do: sf.query\n    with: { soql: x }\n";

fn at(text: &str) -> (String, usize) {
    let offset = text.find('‸').expect("a cursor");
    (text.replacen('‸', "", 1), offset)
}

fn completions(text: &str) -> Vec<Completion> {
    let (text, offset) = at(text);
    complete(&text, offset, &crate::catalogue::real())
}

/// What is suggested in a recipe that goes on with `rest`, functions left out.
fn labels(rest: &str) -> Vec<String> {
    labels_of(&format!("{HEAD}{rest}"))
}

fn labels_of(text: &str) -> Vec<String> {
    completions(text).into_iter().filter(|c| c.kind != CompletionKind::Function).map(|c| c.label).collect()
}

/// The text after taking one suggestion.
fn taken(rest: &str, label: &str) -> String {
    let whole = format!("{HEAD}{rest}");
    let (text, _) = at(&whole);
    let found = completions(&whole);
    let one = found.iter().find(|c| c.label == label).unwrap_or_else(|| panic!("{label} in {found:?}"));
    let new = format!("{}{}{}", &text[..one.replace.start], one.insert, &text[one.replace.end..]);
    new[HEAD.len()..].to_owned()
}

#[test]
fn keys_are_those_that_may_still_come() {
    let top = labels_of("liaison: 1\n‸\nsteps:\n  - id: a\n    stop: x\n");
    assert_eq!(top[..2], ["recipe", "trigger"], "what must be there comes first");
    assert!(!top.contains(&"steps".to_owned()) && !top.contains(&"liaison".to_owned()) && top.contains(&"params".to_owned()));
    let fresh = labels("  - id: a\n    ‸\n");
    assert!(["do", "each", "choose", "if", "retry"].iter().all(|key| fresh.contains(&(*key).to_owned())), "{fresh:?}");
    assert!(["with", "as", "collect", "catch", "id"].iter().all(|key| !fresh.contains(&(*key).to_owned())), "{fresh:?}");
    let doing = labels("  - id: a\n    do: http.request\n    ‸\n");
    assert!(doing.contains(&"with".to_owned()) && doing.contains(&"undo".to_owned()), "{doing:?}");
    assert!(["do", "each", "set", "as", "steps"].iter().all(|key| !doing.contains(&(*key).to_owned())), "{doing:?}");
    let loops = labels("  - id: a\n    each: ${ trigger.data }\n    ‸\n    steps: []\n");
    assert!(["as", "parallel", "collect"].iter().all(|key| loops.contains(&(*key).to_owned())), "{loops:?}");
    assert!(!loops.contains(&"with".to_owned()) && !loops.contains(&"steps".to_owned()), "{loops:?}");
    assert_eq!(labels("  - id: a\n    wait: { ‸ }\n"), ["for", "until", "callback", "approval", "timeout"]);
    assert_eq!(labels("  - id: a\n    wait: { for: 5m, ‸"), ["timeout"]);
    assert_eq!(labels("  - id: a\n    choose:\n      - ‸\n"), ["when", "steps"]);
    assert_eq!(
        labels("  - id: a\n    choose:\n      - when: 1 == 1\n        steps: []\n      - ‸\n"),
        ["when", "steps", "otherwise"]
    );
    assert_eq!(labels("  - id: a\n    retry:\n      times: 3\n      ‸\n")[0], "wait");
}

#[test]
fn what_is_taken_fits_where_it_stands() {
    assert_eq!(taken("  - id: a\n    d‸\n", "do"), "  - id: a\n    do: \n");
    assert_eq!(taken("  - ‸\n", "id"), "  - id: \n");
    assert_eq!(taken("  - id: a\n    ea‸", "each"), "  - id: a\n    each: ");
    assert_eq!(taken("  - id: a\n    each: []\n    ‸", "steps"), "  - id: a\n    each: []\n    steps:\n      - id: ");
    assert_eq!(
        taken("  - id: a\n    do: sf.query\n    with:‸\n", "soql"),
        "  - id: a\n    do: sf.query\n    with:\n      soql: \n"
    );
    assert_eq!(taken("  - id: a\n    do: sf.query\n    ‸: {}\n", "with"), "  - id: a\n    do: sf.query\n    with: {}\n");
    assert_eq!(taken("  - id: a\n    do:‸", "sf.query"), "  - id: a\n    do: sf.query");
    assert_eq!(taken("  - id: a\n    do: sf.qu‸ery\n", "sf.query"), "  - id: a\n    do: sf.query\n");
    assert_eq!(taken("  - id: a\n    return: ${ steps.fo‸u }\n", "found"), "  - id: a\n    return: ${ steps.found }\n");
    assert_eq!(taken("  - id: a\n    return: ${ ro‸", "round"), "  - id: a\n    return: ${ round(");
}

#[test]
fn values_come_from_lists_connectors_and_connections() {
    assert_eq!(labels("  - id: a\n    on_error: ‸\n"), ["fail", "continue"]);
    assert_eq!(labels("  - id: a\n    disabled: t‸\n"), ["true", "false"]);
    assert_eq!(labels("  - id: a\n    timeout: ‸\n"), ["500ms", "30s", "5m", "1h", "1d"]);
    assert_eq!(labels("  - id: a\n    do: ‸\n"), ["sf.query", "http.request"], "what needs a connection only through one");
    assert_eq!(labels("  - id: a\n    do: sf.‸\n"), ["sf.query", "http.request"]);
    assert_eq!(labels("  - id: a\n    undo: { do: ‸ }\n"), ["sf.query", "http.request"]);
    let retry = labels("  - id: a\n    retry: { times: 2, on: [‸] }\n");
    assert!(retry.contains(&"rate_limited".to_owned()), "{retry:?}");
    let triggers = labels_of("liaison: 1\nrecipe: x\nconnections: { sf: salesforce }\ntrigger:\n  from: ‸\n");
    assert_eq!(triggers, ["sf.event", "webhook", "schedule", "api", "call", "failure"]);
    assert_eq!(labels_of("liaison: 1\nconnections:\n  sf: ‸\n"), ["http", "salesforce"]);
    assert_eq!(labels_of("liaison: 1\ntrigger:\n  from: schedule\n  with:\n    ‸\n"), ["cron", "zone", "on_missed"]);
    assert_eq!(
        labels_of("liaison: 1\nparams:\n  a: { type: ‸ }\n"),
        ["string", "number", "integer", "boolean", "list", "record"]
    );
}

#[test]
fn inputs_come_from_the_schema_of_the_action() {
    let inputs = labels("  - id: a\n    do: sf.query\n    with:\n      ‸\n");
    assert_eq!(inputs, ["soql", "limit", "mode", "params", "fields", "page", "accept", "all"], "required first");
    assert_eq!(labels("  - id: a\n    do: sf.query\n    with: { soql: x, li‸"), inputs[1..]);
    assert_eq!(labels("  - id: a\n    do: sf.query\n    with:\n      mode: ‸\n"), ["fast", "slow"]);
    assert_eq!(labels("  - id: a\n    do: sf.query\n    with:\n      all: ‸\n"), ["true", "false"]);
    assert_eq!(labels("  - id: a\n    do: sf.query\n    with:\n      page:\n        next:\n          ‸\n"), ["size", "next"]);
    assert_eq!(labels_of(&HEAD.replace("from: sf.event\n", "from: sf.event\n  with:\n    ‸\n")), ["types"]);
    let documented = completions(&format!("{HEAD}  - id: a\n    do: sf.query\n    with:\n      ‸\n"));
    assert_eq!((documented[0].detail.as_deref(), documented[0].doc.as_deref()), (Some("text, required"), Some("The query.")));
    assert_eq!(labels("  - id: a\n    save:\n      ‸\n"), ["last"]);
    assert_eq!(
        labels(
            "tests:\n  - title: t\n    given:\n      ‸\n    expect: { status: ‸ }\n"
                .replacen("status: ‸", "status: failed", 1)
                .as_str()
        ),
        ["found"]
    );
}

#[test]
fn expressions_see_what_can_have_run() {
    let rest = "  - id: loop\n    each: ${ steps.found.records }\n    as: row\n    steps:\n      - id: inner\n        return: ${ ‸ }\n  - id: later\n    stop: x\n";
    assert_eq!(labels(rest), ["row", "index", "trigger", "steps", "params", "state", "meta", "run"]);
    assert_eq!(labels(&rest.replace("${ ‸", "${ row.‸")), ["Id"]);
    assert_eq!(labels(&rest.replace("${ ‸", "${ steps.‸")), ["found"], "not the loop around, not itself, not what is later");
    assert_eq!(labels(&rest.replace("stop: x", "stop: ${ steps.‸ }").replace("${ ‸ }", "1")), ["loop", "found"]);
    assert_eq!(labels("  - id: a\n    return: ${ steps.found.‸ }\n"), ["total_size", "records", "raw"]);
    assert_eq!(labels("  - id: a\n    return: ${ steps.found.records[0].‸ }\n"), ["Id"]);
    assert_eq!(labels("  - id: a\n    return: ${ $.steps.found.‸ }\n"), ["total_size", "records", "raw"]);
    assert_eq!(labels("  - id: a\n    return: ${ $.‸ }\n"), ["trigger", "steps", "params", "state", "meta", "run"]);
    assert_eq!(labels("  - id: a\n    if: steps.found.‸\n"), ["total_size", "records", "raw"], "in a step that does nothing yet");
    assert_eq!(labels("  - id: a\n    if: params.‸\n    stop: x\n"), ["limit"]);
    assert_eq!(labels("  - id: a\n    stop: ${ state.‸ }\n"), ["last"]);
    assert_eq!(labels("  - id: a\n    stop: ${ trigger.‸ }\n"), ["id", "data"]);
    assert_eq!(labels("  - id: a\n    stop: ${ meta.found.‸ }\n")[..2], ["status", "attempts"]);
    let caught =
        labels("  - id: t\n    try:\n      - id: u\n        stop: x\n    catch:\n      - id: c\n        stop: ${ error.‸ }\n");
    assert_eq!(caught[..3], ["class", "code", "message"]);
    assert_eq!(labels("  - id: a\n    do: sf.query\n    fallback: ${ error.‸ }\n")[..2], ["class", "code"]);
    assert_eq!(
        labels(
            "  - id: a\n    do: sf.query\n    with: { soql: x }\n    undo:\n      do: sf.query\n      with: { soql: \"${ steps.‸ }\" }\n"
        ),
        ["a", "found"]
    );
    assert_eq!(
        labels("  - id: r\n    repeat:\n      until: steps.‸\n    steps:\n      - id: turn\n        do: sf.query\n"),
        ["turn", "found"]
    );
    assert_eq!(labels("settings:\n  label: ${ ‸ }\n"), ["trigger", "params"], "before there is a run");
    assert_eq!(labels_of(&HEAD.replace("from: sf.event\n", "from: sf.event\n  if: ‸\n")), ["trigger", "params"]);
    let script = labels("  - id: a\n    set: |\n      let x = 1;\n      x + steps.found.‸\n");
    assert_eq!(script, ["total_size", "records", "raw"]);
    let functions = completions(&format!("{HEAD}  - id: a\n    stop: ${{ ‸ }}\n"));
    let round = functions.iter().find(|c| c.label == "round").expect("round");
    assert!(round.kind == CompletionKind::Function && round.doc.as_ref().is_some_and(|doc| doc.contains("gives")), "{round:?}");
}

#[test]
fn half_typed_and_broken_text_is_understood() {
    assert_eq!(labels("  - id: a\n    return: ${ steps.‸\n"), ["found"], "never closed");
    assert_eq!(
        labels("  - id: a\n    return: ${ upper(steps.found.‸\n  - id: b\n    stop: x\n"),
        ["total_size", "records", "raw"]
    );
    assert_eq!(labels("  - id: a\n    stop: \"No ${ steps.found.‸\n"), ["total_size", "records", "raw"]);
    assert_eq!(labels("  - id: a\n    do: sf.query\n    with: { soql: \"${ steps.‸\n"), ["found"]);
    assert_eq!(labels("  - id: a\n    do: sf.query\n      ‸\n")[0], "with", "indented too far");
    let broken = "  - id: broken\n    : : {{{\n    do: sf.query\n  - id: a\n    return: ${ steps.‸ }\n";
    assert!(labels(broken).contains(&"found".to_owned()), "{:?}", labels(broken));
    assert_eq!(labels("  - id: a\n    title: \"open\n  - id: b\n    on_error: ‸\n"), ["fail", "continue"]);
    assert_eq!(labels("  # a ‸ comment\n"), Vec::<String>::new());
    assert_eq!(labels("  - id: a\n    stop: plain ‸ text\n"), Vec::<String>::new());
    assert_eq!(labels("  - id: a\n    stop: ${ 'steps.‸' }\n"), Vec::<String>::new());
}

/// At every place of good recipes, cut off there or not, completion answers and what it replaces is in
/// the text.
#[test]
fn every_place_of_a_recipe_has_an_answer() {
    let catalogue = crate::catalogue::real();
    let text = format!(
        "{HEAD}  - id: a\n    each: ${{ steps.found.records }}\n    steps:\n      - id: b\n        set:\n          é: \"🎉 ${{ item.Id }} ${{ $.steps.found.raw['x y'] }}\"\r\n  - id: c\n    set: |\n      let a = 1;\n      a + 1\n"
    );
    for offset in 0..=text.len() + 2 {
        for text in [text.as_str(), text.get(..offset).unwrap_or(&text)] {
            for one in complete(text, offset, &catalogue) {
                assert!(text.get(one.replace.start..one.replace.end).is_some(), "{one:?} at {offset}");
            }
        }
    }
}

mod places {
    //! Help, definitions, references, renames and outlines.

    use recipe::assist::{OutlineKind, SymbolKind, hover, outline, references, rename, symbol_at};

    use super::{HEAD, at};

    fn help(text: &str) -> Option<(String, String)> {
        let (text, offset) = at(text);
        let found = hover(&text, offset, &crate::catalogue::real())?;
        Some((text[found.span.start..found.span.end].to_owned(), found.text))
    }

    /// What is shown over a place of a recipe that goes on with `rest`, and about what.
    fn shown(rest: &str) -> (String, String) {
        help(&format!("{HEAD}{rest}")).unwrap_or_default()
    }

    #[test]
    fn hover_tells_what_stands_there() {
        let (about, text) = shown("  - id: a\n    re‸try: 3\n    stop: x\n");
        assert!(about == "retry" && text.contains("Its own retry policy."), "{text}");
        let (about, text) = shown("  - id: a\n    do: sf.qu‸ery\n");
        assert!(
            about == "sf.query" && text.contains("**Query**") && text.contains("`soql` (text, required) — The query."),
            "{text}"
        );
        assert!(text.contains("Gives:\n- `total_size` (a whole number)"), "{text}");
        let (about, text) = shown("  - id: a\n    do: sf.query\n    with: { so‸ql: x }\n");
        assert!(about == "soql" && text.contains("The query."), "{text}");
        let (about, text) = shown("  - id: a\n    stop: \"é ${ steps.fo‸und.total_size }\"\n");
        assert!(
            about == "found" && text.contains("Find them (sf.query)") && text.contains("`records` (a list or nothing)")
                || text.contains("`records` (a list)"),
            "{text}"
        );
        let (about, text) = shown("  - id: a\n    stop: ${ steps.found.total‸_size }\n");
        assert!(about == "total_size" && text.contains("a whole number"), "{text}");
        let (about, text) = shown("  - id: a\n    stop: ${ ro‸und(1.5) }\n");
        assert!(about == "round" && text.contains("gives"), "{text}");
        assert_eq!(shown("  - id: a\n    timeout: 9‸0m\n    stop: x\n"), ("90m".into(), "1 hour 30 minutes".into()));
        let cron = "liaison: 1\nrecipe: x\ntrigger: { from: schedule, with: { cron: \"0 6 ‸* * 1-5\", zone: Europe/Berlin } }\nsteps:\n  - : {\n";
        assert_eq!(help(cron).expect("help").1, "At 06:00, on Monday to Friday, Europe/Berlin time");
        assert_eq!(help("liaison: 1\n‸\n"), None);
    }

    const USES: &str = "  - id: a\n    do: sf.query\n    with: { soql: \"${ steps.found.total_size }\", limit: \"${ params.limit }\" }\n  - id: b\n    save: { last: \"${ $.steps.found.records[0].Id } ${ state.last }\" }\ntests:\n  - title: t\n    given: { found: {} }\n    expect: { status: succeeded }\n";

    /// The name at a place: what it is, the line it is declared in, the lines where it stands.
    fn name(text: &str) -> Option<(SymbolKind, String, usize, Vec<usize>)> {
        let (text, offset) = at(text);
        let catalogue = crate::catalogue::real();
        let symbol = symbol_at(&text, offset, &catalogue)?;
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let places = references(&text, &symbol, &catalogue);
        assert!(places.iter().all(|span| text[span.start..span.end] == symbol.name), "{symbol:?} at {places:?}");
        Some((symbol.kind, symbol.name, line(symbol.declared?.start), places.iter().map(|span| line(span.start)).collect()))
    }

    #[test]
    fn names_lead_to_their_declaration_and_every_use() {
        let text = format!("{HEAD}{USES}");
        let with = |from: &str, to: &str| name(&text.replacen(from, to, 1));
        let found = Some((SymbolKind::Step, "found".to_owned(), 12, vec![12, 18, 20, 23]));
        assert_eq!(with("steps.found.total", "steps.fo‸und.total"), found);
        assert_eq!(with("$.steps.found", "$.steps.found‸"), found);
        assert_eq!(with("id: found", "id: fou‸nd"), found);
        assert_eq!(with("given: { found", "given: { ‸found"), found);
        assert_eq!(with("params.limit", "params.li‸mit"), Some((SymbolKind::Param, "limit".to_owned(), 6, vec![6, 18])));
        assert_eq!(with("state.last", "state.la‸st"), Some((SymbolKind::State, "last".to_owned(), 8, vec![8, 20, 20])));
        assert_eq!(with("from: sf.", "from: s‸f."), Some((SymbolKind::Connection, "sf".to_owned(), 4, vec![4, 10, 14, 17])));
        assert_eq!(with("total_size", "total‸_size"), None);
        assert_eq!(with("title: Find", "title: Fi‸nd"), None);
    }

    #[test]
    fn renames_change_every_use_or_refuse() {
        let catalogue = crate::catalogue::real();
        let text = format!("{HEAD}{USES}");
        let offset = text.find("steps.found").expect("a use") + 8;
        let symbol = symbol_at(&text, offset, &catalogue).expect("a step");
        let renamed = rename(&text, &symbol, "customers", &catalogue).expect("renamed").text;
        assert_eq!(renamed, text.replace("found", "customers"));
        assert!(rename(&text, &symbol, "a", &catalogue).is_err(), "the id is taken");
        let offset = text.find("state.last").expect("a use") + 8;
        let symbol = symbol_at(&text, offset, &catalogue).expect("a value of the state");
        assert!(rename(&text, &symbol, "other", &catalogue).is_err(), "what was kept would be lost");
    }

    #[test]
    fn outlines_nest_steps_and_survive_broken_lines() {
        fn lines(all: &[recipe::assist::Outline], depth: usize, out: &mut Vec<String>) {
            for one in all {
                out.push(format!("{}{} [{}]", " ".repeat(depth), one.name, one.detail));
                assert!(one.span.start <= one.name_span.start && one.name_span.end <= one.span.end, "{one:?}");
                lines(&one.inside, depth + 1, out);
            }
        }
        let rest = "  - id: pick\n    choose:\n      - when: 1 == 1\n        steps:\n          - id: yes_1\n            stop: x\n      - otherwise:\n          - id: no_1\n            stop: x\n  - id: both\n    parallel:\n      left:\n        - id: l\n          stop: x\n    : : {{\ntests:\n  - title: t\n";
        let all = outline(&format!("{HEAD}{rest}"));
        assert!(all.iter().any(|one| one.kind == OutlineKind::Test || one.inside.iter().any(|t| t.kind == OutlineKind::Test)));
        let mut out = Vec::new();
        lines(&all, 0, &mut out);
        let expected = "connections []\n sf [salesforce]\nparams []\n limit [integer]\nstate []\n last [string]\ntrigger [sf.event]\nsteps []\n found [Find them (sf.query)]\n pick [choose]\n  when [1 == 1]\n   yes_1 [stop]\n  otherwise []\n   no_1 [stop]\n both [parallel]\n  left []\n   l [stop]\ntests []\n t []";
        assert_eq!(out.join("\n"), expected);
    }

    /// At every place of a recipe, cut off there or not, help and names answer without a panic and
    /// within the text.
    #[test]
    fn every_place_is_safe() {
        let catalogue = crate::catalogue::real();
        let text = format!("{HEAD}{USES}").replace("title: Find them", "title: \"é🎉\"");
        for offset in 0..=text.len() + 2 {
            for text in [text.as_str(), text.get(..offset).unwrap_or(&text)] {
                if let Some(found) = hover(text, offset, &catalogue) {
                    assert!(text.get(found.span.start..found.span.end).is_some(), "{found:?}");
                }
                if let Some(found) = symbol_at(text, offset, &catalogue) {
                    assert_eq!(text.get(found.span.start..found.span.end), Some(found.name.as_str()));
                }
            }
        }
    }
}

#[test]
fn other_recipes_are_named_where_one_is_called() {
    let beside = || {
        ["from: webhook", "from: call", "from: failure"].iter().zip(["orders", "price", "alert"]).filter_map(|(from, slug)| {
            Neighbour::of(&format!(
                "liaison: 1\nrecipe: {slug}\ntitle: The {slug}\ntrigger: {{ {from} }}\nsteps:\n  - id: [broken\n"
            ))
        })
    };
    let beside = || beside().chain(Neighbour::of(HEAD)).collect::<Vec<_>>();
    let named = |rest: &str| {
        let (text, offset) = at(&format!("{HEAD}{rest}"));
        let found = complete_among(&text, offset, &crate::catalogue::real(), &beside);
        found.into_iter().map(|one| (one.label, one.detail)).collect::<Vec<_>>()
    };
    let of = |slugs: [&str; 3]| slugs.map(|slug| (slug.to_owned(), Some(format!("The {slug}")))).to_vec();
    // Those made for it come first; the recipe itself is none of them.
    assert_eq!(named("  - id: a\n    call: ‸\n"), of(["price", "alert", "orders"]));
    assert_eq!(named("  - id: a\n    start: pr‸\n"), of(["price", "alert", "orders"]));
    assert_eq!(named("settings:\n  on_failure: ‸\n"), of(["alert", "orders", "price"]));
    assert_eq!(Neighbour::of("steps: []\n"), None);
}
