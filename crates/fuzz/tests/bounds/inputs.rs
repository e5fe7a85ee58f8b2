//! Large and hostile recipes.

/// The largest text that is read at all.
const TEXT_BYTES_MAX: usize = 1_000_000;

const HEAD: &str = "liaison: 1\nrecipe: a\nconnections: { sf: salesforce }\ntrigger: { from: sf.event }\n";

/// What each is called, the code of its first error or "none", and its text.
pub(crate) fn all() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut all = Vec::new();
    let mut add = |name, expected, text: String| all.push((name, expected, text.into_bytes()));
    yaml(&mut add);
    values(&mut add);
    steps(&mut add);
    problems(&mut add);
    expressions(&mut add);
    all.push(("not UTF-8 at the end", "L0001", [head("x-a: ", "é", "").into_bytes(), b"\xff".to_vec()].concat()));
    all
}

type Add<'a> = dyn FnMut(&'static str, &'static str, String) + 'a;

/// A recipe whose last part is repeated up to the largest size.
fn head(before: &str, repeated: &str, after: &str) -> String {
    let start = format!("{HEAD}{before}");
    let room = TEXT_BYTES_MAX - start.len() - after.len() - 40;
    format!("{start}{}{after}", repeated.repeat(room / repeated.len()))
}

/// A recipe with one step that sets `v` to something repeated.
fn set(before: &str, repeated: &str, after: &str) -> String {
    head(&format!("steps:\n- id: a\n  set:\n    v: {before}"), repeated, &format!("{after}\n"))
}

fn numbered(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect()
}

fn yaml(add: &mut Add<'_>) {
    let mut laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for pair in b"abcdefghi".windows(2) {
        let (from, to) = (char::from(pair[0]), char::from(pair[1]));
        laughs.push_str(&format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 9].join(",")));
    }
    add("aliases of aliases", "L0101", laughs);
    add("aliases", "L0008", format!("a: [{}]", "*a,".repeat(330_000)));
    add("anchors", "L0008", format!("a: [{}]", "&a 1,".repeat(190_000)));
    add("tags", "L0009", format!("a: [{}]", "!t 1,".repeat(190_000)));
    add("merge keys", "L0010", format!("a:\n{}", numbered(50_000, |n| format!("- <<: {{ k{n}: 1 }}\n"))));
    add("one byte too many", "L0002", " ".repeat(TEXT_BYTES_MAX + 1));
    add("ten times too many", "L0002", "- ".repeat(5 * TEXT_BYTES_MAX));
    add("open brackets", "L0006", "[".repeat(TEXT_BYTES_MAX));
    add("open braces", "L0006", "{a: ".repeat(TEXT_BYTES_MAX / 4));
    add("lists in lists", "L0006", "- ".repeat(TEXT_BYTES_MAX / 2));
    add("complex keys in complex keys", "L0006", "? ".repeat(TEXT_BYTES_MAX / 2));
    add("stairs", "L0006", numbered(1_400, |n| format!("{}a:\n", " ".repeat(n))));
    add("closed brackets", "L0004", format!("a: {}", "]".repeat(900_000)));
    add("blank lines", "L0016", "\n".repeat(TEXT_BYTES_MAX));
    add("comments", "L0016", "# x\n".repeat(TEXT_BYTES_MAX / 4));
    add("tabs", "L0016", "\t".repeat(TEXT_BYTES_MAX));
    add("colons", "L0012", ":\n".repeat(TEXT_BYTES_MAX / 2));
    add("documents", "L0017", "---\n".repeat(TEXT_BYTES_MAX / 4));
    add("quotes", "L0004", format!("a: {}", "\"".repeat(900_001)));
    add("a quote never closed", "L0004", format!("a: \"{}", "x\n".repeat(450_000)));
    add("a bracket never closed", "L0004", format!("a: [{}", "x,\n".repeat(300_000)));
    add("turned directions", "L0019", format!("a: {}", "\u{202e}".repeat(300_000)));
    add("commas", "L0004", format!("a: [{}]", ",".repeat(900_000)));
    add("question marks", "L0012", format!("a: {{{}}}", "? ,".repeat(300_000)));
}

fn values(add: &mut Add<'_>) {
    add("one line", "none", set("\"", "x", "\""));
    add("one line of emoji", "none", set("\"", "\u{1F600}", "\""));
    add("one plain word", "none", set("", "x", ""));
    add("escapes", "none", set("\"", "\\n", "\""));
    add("a folded text", "none", head("steps:\n- id: a\n  set:\n    v: >\n", "      word word\n", ""));
    add("a literal text", "none", head("steps:\n- id: a\n  set:\n    v: |\n", "      word word\n", ""));
    add("Windows lines", "none", head("steps:\r\n- id: a\r\n  set:\r\n    v:\r\n", "    - word\r\n", ""));
    add("items in brackets", "none", set("[", "1,", "1]"));
    add("items in lines", "none", head("steps:\n- id: a\n  set:\n    v:\n", "    - 1\n", ""));
    add("numbers that look like numbers", "none", set("[", "007,", "1]"));
    add("numbers that lose digits", "L0013", set("[", "1e999,", "1]"));
    add("one number", "L0013", set("", "9", ""));
    add("one decimal", "L0013", set("0.", "9", ""));
    add("fields", "none", format!("{HEAD}steps:\n- id: a\n  set:\n{}", numbered(60_000, |n| format!("    f{n}: 1\n"))));
    add("fields named the same", "L0011", head("steps:\n- id: a\n  set:\n", "    f: 1\n", ""));
    add("one long key", "L0004", head("", "k", ": 1\nsteps: [{ id: a, set: { x: 1 } }]\n"));
}

fn steps(add: &mut Add<'_>) {
    let steps = |name: &str, count, one: &dyn Fn(usize) -> String| format!("{HEAD}{name}steps:\n{}", numbered(count, one));
    add(
        "10,000 steps",
        "none",
        steps("", 10_000, &|n| format!("- id: s{n}\n  do: http.request\n  with: {{ url: \"${{ trigger.id }}\" }}\n")),
    );
    let chain = |n: usize| match n {
        0 => "- id: s0\n  set: { x: 1 }\n".to_owned(),
        n => format!("- id: s{n}\n  set: {{ x: \"${{ steps.s{}.x + steps.s0.x }}\" }}\n", n - 1),
    };
    add("10,000 steps that read the one before", "none", steps("", 10_000, &chain));
    add(
        "10,000 steps with decisions",
        "none",
        steps("", 10_000, &|n| format!("- id: s{n}\n  if: trigger.id == \"{n}\"\n  set: {{ x: {n} }}\n")),
    );
    let branch = |n: usize| {
        format!("- id: s{n}\n  choose:\n  - when: trigger.id == \"a\"\n    steps: [{{ id: a{n}, set: {{ x: 1 }} }}]\n")
    };
    add("7,000 branches", "none", steps("", 7_000, &branch));
    let read = |n: usize| format!("- id: s{n}\n  set: {{ x: \"${{ steps.t{n}.x }}\" }}\n");
    add("10,000 steps that read what is not there", "L0502", steps("", 10_000, &read));
    let back = |n: usize| format!("- id: s{n}\n  set: {{ x: \"${{ steps.s{}.x }}\" }}\n", n + 1);
    add("10,000 steps that read the one behind", "L0503", steps("", 10_000, &back));
    add("10,000 steps named the same", "L0109", steps("", 10_000, &|_| "- id: s\n  set: { x: 1 }\n".to_owned()));
    add("10,000 steps behind an end", "none", steps("", 10_000, &|n| format!("- id: s{n}\n  return: 1\n")));
    add(
        "10,000 connections",
        "L0301",
        format!("{HEAD}steps: [{{ id: a, set: {{ x: 1 }} }}]\n").replace(
            "connections: { sf: salesforce }\n",
            &format!("connections:\n  sf: salesforce\n{}", numbered(10_000, |n| format!("  c{n}: nothing{n}\n"))),
        ),
    );
    add(
        "20,000 parameters",
        "none",
        format!(
            "{HEAD}params:\n{}steps: [{{ id: a, set: {{ x: 1 }} }}]\n",
            numbered(20_000, |n| format!("  p{n}: {{ type: string }}\n"))
        ),
    );
    let inner = (0..20).fold("[{ id: z, set: { x: \"${ i9 }\" } }]".to_owned(), |inner, n| {
        format!("[{{ id: l{n}, each: [1], as: i{n}, steps: {inner} }}]")
    });
    add("loops in loops", "none", format!("{HEAD}steps: {inner}\n"));
}

fn problems(add: &mut Add<'_>) {
    add("100,000 unknown keys", "L0102", numbered(100_000, |n| format!("k{n}: 1\n")));
    add(
        "10,000 unknown words",
        "L0102",
        format!("{HEAD}steps:\n{}", numbered(10_000, |n| format!("- id: s{n}\n  sett: {{ x: 1 }}\n"))),
    );
    add("80,000 empty steps", "L0101", head("steps:\n", "- {}\n", ""));
    add("200,000 texts instead of steps", "L0104", head("steps:\n", "- a\n", ""));
    add(
        "10,000 unknown connections",
        "L0302",
        format!("{HEAD}steps:\n{}", numbered(10_000, |n| format!("- id: s{n}\n  do: sg{n}.query\n"))),
    );
    add("one very long action", "L0112", head("steps:\n- id: a\n  do: ", "a", ".b\n"));
    add("one very long id", "L0107", head("steps:\n- id: ", "a", "\n  set: { x: 1 }\n"));
    add(
        "one very long slug",
        "L0106",
        format!("{HEAD}steps: [{{ id: a, set: {{ x: 1 }} }}]\n")
            .replace("recipe: a", &format!("recipe: {}", "A".repeat(900_000))),
    );
    add("one very long duration", "L0114", head("steps: [{ id: a, set: { x: 1 } }]\nsettings:\n  timeout: ", "9", "s\n"));
    add(
        "a schema of many fields",
        "none",
        format!(
            "liaison: 1\nrecipe: a\ntrigger:\n  from: api\n  with:\n    input:\n      type: object\n      properties:\n{}steps: [{{ id: a, set: {{ x: \"${{ trigger.f9 }}\" }} }}]\n",
            numbered(25_000, |n| format!("        f{n}: {{ type: string }}\n"))
        ),
    );
    add(
        "tests",
        "none",
        format!(
            "{HEAD}steps: [{{ id: a, set: {{ x: 1 }} }}]\ntests:\n{}",
            numbered(10_000, |n| format!("- title: t{n}\n  event: {{ id: x }}\n  expect: {{ status: succeeded }}\n"))
        ),
    );
}

fn expressions(add: &mut Add<'_>) {
    add("expressions in one text", "none", set("\"", "${ trigger.id } ", "\""));
    add(
        "different expressions",
        "none",
        format!(
            "{HEAD}steps:\n- id: a\n  set:\n{}",
            numbered(20_000, |n| format!("    f{n}: \"${{ trigger.data.f{n} + {n} }}\"\n"))
        ),
    );
    add("expressions never closed", "L0201", set("[", "'${ a',", "1]"));
    add("one expression never closed", "L0201", set("'${ ", "a + ", "'"));
    add("escaped expressions", "none", set("'", "$${ a } ", "'"));
    add("open and open", "L0201", set("'", "${", "'"));
    add("one long expression", "L0205", set("'${ 1", " + 1", " }'"));
    add("one long decision", "L0205", head("steps:\n- id: a\n  set: { x: 1 }\n  if: 'true", " && true", "'\n"));
    add("one long path", "L0205", set("'${ $.trigger", ".a", " }'"));
    add(
        "filters in filters",
        "L0205",
        format!("{HEAD}steps: [{{ id: a, set: {{ x: '${{ $.trigger{} }}' }} }}]\n", "[?(@.a == 1 && $".repeat(4_000)),
    );
    add("brackets in one expression", "L0205", set("'${ ", "(", " }'"));
    add("one long script", "L0206", head("steps:\n- id: a\n  set: |\n", "    let x = 1;\n", ""));
    add(
        "regular expressions that explode",
        "L0205",
        format!(
            "{HEAD}steps:\n{}",
            numbered(5_000, |n| format!(
                "- id: s{n}\n  set: {{ x: \"${{ $.trigger[?match(@.a, '((a{{100}}){{100}}){{100}}')] }}\" }}\n"
            ))
        ),
    );
    let broken = |n: usize| format!("- id: s{n}\n  set: {{ x: \"${{ trigger.id + }}\" }}\n");
    add("10,000 broken expressions", "L0205", format!("{HEAD}steps:\n{}", numbered(10_000, broken)));
}
