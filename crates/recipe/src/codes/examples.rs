//! A bad and a good example for every code.
//!
//! An example that starts with `- ` is a list of steps; one that starts with a key of a recipe
//! replaces or adds that key; [`super::example`] puts the rest of a recipe around it. In examples of
//! bytes that cannot be shown, `\xE9` stands for the byte and `{1000001}` repeats the character before it.

pub(super) static EXAMPLES: &[(&str, &str, &str)] = &[
    ("L0001", "title: Caf\\xE9", "title: Café"),
    ("L0002", "note: a{1000001}", "note: A short note."),
    ("L0003", "title: \"Orders\\x00\"", "title: Orders"),
    (
        "L0004",
        "- id: note\n  do: log.write\n  with: { message: it is: late }",
        "- id: note\n  do: log.write\n  with: { message: \"it is: late\" }",
    ),
    ("L0005", "settings:\n\ttimeout: 5m", "settings:\n  timeout: 5m"),
    ("L0006", "x-deep: [{65}", "x-deep: [[[1]]]"),
    ("L0007", "title: One\n---\ntitle: Two", "title: One"),
    (
        "L0008",
        "- id: base\n  set: &base { currency: EUR }\n- id: done\n  return: *base",
        "- id: base\n  set: { currency: EUR }\n- id: done\n  return: ${ steps.base }",
    ),
    ("L0009", "- id: done\n  return: !number 5", "- id: done\n  return: 5"),
    ("L0010", "- id: done\n  return: { <<: { a: 1 }, b: 2 }", "- id: done\n  return: { a: 1, b: 2 }"),
    ("L0011", "- id: done\n  return: { city: Bonn, city: Berlin }", "- id: done\n  return: { city: Berlin }"),
    ("L0012", "- id: done\n  return: { 404: missing }", "- id: done\n  return: { \"404\": missing }"),
    ("L0013", "- id: done\n  return: 123456789.123456789123", "- id: done\n  return: \"123456789.123456789123\""),
    ("L0014", "- id: done\n  return: { zip: 01099 }", "- id: done\n  return: { zip: \"01099\" }"),
    ("L0015", "%YAML 1.2\n---\nliaison: 1", "title: No directives"),
    ("L0016", "# nothing but a comment", "title: Something"),
    ("L0017", "Just a sentence.", "title: Just a sentence."),
    ("L0018", "tags: [1{201}]", "tags: [\"1\"]"),
    ("L0019", "title: Orders \\xE2\\x80\\xAEdeifirev", "title: Orders verified"),
    (
        "L0101",
        "- id: each_line\n  each: [1, 2]",
        "- id: each_line\n  each: [1, 2]\n  steps:\n    - id: note\n      do: log.write\n      with: { message: Again }",
    ),
    (
        "L0102",
        "- id: post\n  do: desk.request\n  whit: { path: / }",
        "- id: post\n  do: desk.request\n  with: { method: POST, path: / }",
    ),
    ("L0104", "tags: billing", "tags: [billing]"),
    ("L0105", "liaison: 2", "liaison: 1"),
    ("L0106", "recipe: Paid Invoices", "recipe: paid-invoices"),
    (
        "L0107",
        "- id: sendMail\n  do: log.write\n  with: { message: Hi }",
        "- id: send_mail\n  do: log.write\n  with: { message: Hi }",
    ),
    ("L0108", "- id: trigger\n  return: 1", "- id: started\n  return: 1"),
    (
        "L0109",
        "- id: note\n  do: log.write\n  with: { message: One }\n- id: note\n  do: log.write\n  with: { message: Two }",
        "- id: first_note\n  do: log.write\n  with: { message: One }\n- id: second_note\n  do: log.write\n  with: { message: Two }",
    ),
    (
        "L0110",
        "- id: later\n  title: To be written",
        "- id: later\n  title: To be written\n  do: log.write\n  with: { message: Later }",
    ),
    ("L0111", "- id: both\n  set: { a: 1 }\n  return: 1", "- id: both\n  return: { a: 1 }"),
    ("L0112", "- id: post\n  do: request", "- id: post\n  do: desk.request\n  with: { method: POST, path: / }"),
    ("L0113", "trigger: { from: web hook }", "trigger: { from: webhook }"),
    ("L0114", "settings: { timeout: 5 minutes }", "settings: { timeout: 5m }"),
    ("L0115", "settings: { retry: 0 }", "settings: { retry: none }"),
    ("L0116", "settings: { retry: { times: 3, on: [slow] } }", "settings: { retry: { times: 3, on: [timeout] } }"),
    ("L0117", "steps: []", "- id: done\n  return: ok"),
    (
        "L0118",
        "- id: size\n  choose:\n    - otherwise:\n        - id: small\n          return: small\n    - when: trigger.amount > 100\n      steps:\n        - id: large\n          return: large",
        "- id: size\n  choose:\n    - when: trigger.amount > 100\n      steps:\n        - id: large\n          return: large\n    - otherwise:\n        - id: small\n          return: small",
    ),
    (
        "L0119",
        "- id: size\n  choose:\n    - when: trigger.amount > 100",
        "- id: size\n  choose:\n    - when: trigger.amount > 100\n      steps:\n        - id: large\n          return: large",
    ),
    (
        "L0120",
        "- id: rows\n  each: [1]\n  as: the row\n  steps:\n    - id: done\n      return: 1",
        "- id: rows\n  each: [1]\n  as: row\n  steps:\n    - id: done\n      return: ${ row }",
    ),
    (
        "L0121",
        "params:\n  limit: { type: number, default: many }",
        "params:\n  limit: { type: number, default: 100 }\nsteps:\n  - id: done\n    return: ${ params.limit }",
    ),
    ("L0122", "- id: done\n  return: 1\n  as: row", "- id: done\n  return: 1"),
    (
        "L0123",
        "trigger: { from: webhook, with: { path: \"New Orders\" } }",
        "trigger: { from: webhook, with: { path: new-orders } }",
    ),
    (
        "L0124",
        "trigger: { from: api, dedupe: { by: invoice } }",
        "trigger: { from: api, dedupe: { by: \"${ trigger.invoice }\" } }",
    ),
    (
        "L0125",
        "trigger: { from: api, with: { input: { type: record } } }",
        "trigger: { from: api, with: { input: { type: object } } }",
    ),
    (
        "L0126",
        "- id: careful\n  try:\n    - id: post\n      do: desk.request\n      with: { method: POST, path: / }",
        "- id: careful\n  try:\n    - id: post\n      do: desk.request\n      with: { method: POST, path: / }\n  catch:\n    - id: note\n      do: log.write\n      with: { message: \"${ error.message }\" }",
    ),
    (
        "L0127",
        "- id: poll\n  repeat: { wait: 5s }\n  steps:\n    - id: report\n      do: desk.request\n      with: { path: /report }",
        "- id: poll\n  repeat: { until: steps.report.status == 200, wait: 5s, max: 20 }\n  steps:\n    - id: report\n      do: desk.request\n      with: { path: /report }",
    ),
    ("L0128", "- id: pause\n  wait: { timeout: 5m }", "- id: pause\n  wait: { for: 5m }"),
    (
        "L0129",
        "tests:\n  - title: works\n    event: ../secrets/event.json\n    expect: { status: succeeded }",
        "tests:\n  - title: works\n    event: fixtures/event.json\n    expect: { status: succeeded }",
    ),
    ("L0130", "trigger: { from: api, poll: { every: 1m } }", "trigger: { from: schedule, with: { cron: \"* * * * *\" } }"),
    ("L0201", "- id: done\n  return: \"${ trigger.id\"", "- id: done\n  return: \"${ trigger.id }\""),
    ("L0202", "- id: done\n  return: \"Order ${ }\"", "- id: done\n  return: \"Order ${ trigger.id }\""),
    ("L0203", "title: Order ${ trigger.id }", "settings: { label: \"Order ${ trigger.id }\" }"),
    ("L0204", "- id: done\n  if: ${ trigger.paid } == true\n  return: 1", "- id: done\n  if: trigger.paid == true\n  return: 1"),
    ("L0205", "- id: done\n  return: ${ trigger.amount * }", "- id: done\n  return: ${ trigger.amount * 2 }"),
    (
        "L0206",
        "- id: total\n  set: |\n    let sum =;\n    sum\n- id: done\n  return: ${ steps.total }",
        "- id: total\n  set: |\n    let sum = 1;\n    sum\n- id: done\n  return: ${ steps.total }",
    ),
    (
        "L0207",
        "- id: size\n  set: { large: yes please }\n- id: done\n  if: steps.size.large\n  return: 1",
        "- id: size\n  set: { large: true }\n- id: done\n  if: steps.size.large\n  return: 1",
    ),
    (
        "L0208",
        "- id: order\n  set: { lines: three }\n- id: each_line\n  each: ${ steps.order.lines }\n  steps:\n    - id: note\n      do: log.write\n      with: { message: Line }",
        "- id: order\n  set: { lines: [one, two, three] }\n- id: each_line\n  each: ${ steps.order.lines }\n  steps:\n    - id: note\n      do: log.write\n      with: { message: Line }",
    ),
    ("L0209", "- id: pause\n  wait: { until: 2026-13-45 }", "- id: pause\n  wait: { until: \"2026-12-24T08:00:00Z\" }"),
    (
        "L0301",
        "connections: { crm: salesfroce }",
        "connections: { crm: salesforce }\nsteps:\n  - id: done\n    do: crm.upsert\n    with: { object: Lead, fields: { Name: Ada } }",
    ),
    (
        "L0302",
        "- id: post\n  do: dsk.request\n  with: { path: / }",
        "- id: post\n  do: desk.request\n  with: { method: POST, path: / }",
    ),
    (
        "L0303",
        "- id: post\n  do: desk.get\n  with: { path: / }",
        "- id: post\n  do: desk.request\n  with: { method: POST, path: / }",
    ),
    ("L0304", "trigger: { from: sf.evnt }", "trigger: { from: sf.event }"),
    (
        "L0306",
        "connections: { log: http }\nsteps:\n  - id: post\n    do: log.request\n    with: { method: POST, path: / }",
        "connections: { audit: http }\nsteps:\n  - id: post\n    do: audit.request\n    with: { method: POST, path: / }",
    ),
    (
        "L0307",
        "connections: { old: http }",
        "connections: { shop: http }\nsteps:\n  - id: post\n    do: shop.request\n    with: { method: POST, path: / }",
    ),
    (
        "L0308",
        "trigger: { from: schedule, with: { cron: \"every day\" } }",
        "trigger: { from: schedule, with: { cron: \"0 6 * * *\" } }",
    ),
    (
        "L0309",
        "trigger: { from: schedule, with: { cron: \"0 6 * * *\", zone: Berlin } }",
        "trigger: { from: schedule, with: { cron: \"0 6 * * *\", zone: Europe/Berlin } }",
    ),
    ("L0310", "settings: { on_failure: example }", "settings: { on_failure: alert-finance }"),
    ("L0311", "- id: again\n  call: example", "- id: other\n  call: other-recipe"),
    ("L0401", "- id: note\n  do: log.write", "- id: note\n  do: log.write\n  with: { message: Hi }"),
    ("L0402", "- id: note\n  do: log.write\n  with: { mesage: Hi }", "- id: note\n  do: log.write\n  with: { message: Hi }"),
    (
        "L0403",
        "- id: post\n  do: sf.query\n  with: { soql: SELECT Id FROM Lead, limit: ten }\n- id: done\n  return: ${ steps.post.total_size }",
        "- id: post\n  do: sf.query\n  with: { soql: SELECT Id FROM Lead, limit: 10 }\n- id: done\n  return: ${ steps.post.total_size }",
    ),
    (
        "L0404",
        "- id: note\n  do: log.write\n  with: { message: Hi, level: loud }",
        "- id: note\n  do: log.write\n  with: { message: Hi, level: warn }",
    ),
    (
        "L0405",
        "- id: post\n  do: sf.query\n  with: { soql: SELECT Id FROM Lead, limit: 0 }\n- id: done\n  return: ${ steps.post.total_size }",
        "- id: post\n  do: sf.query\n  with: { soql: SELECT Id FROM Lead, limit: 1 }\n- id: done\n  return: ${ steps.post.total_size }",
    ),
    (
        "L0406",
        "- id: add\n  do: sf.create\n  with: { object: Invoice__c, fields: { Amount__c: 5, Total__c: 5 } }\n- id: done\n  return: ${ steps.add.id }",
        "- id: add\n  do: sf.create\n  with: { object: Invoice__c, fields: { Amount__c: 5 } }\n- id: done\n  return: ${ steps.add.id }",
    ),
    ("L0501", "- id: done\n  return: ${ event.id }", "- id: done\n  return: ${ trigger.id }"),
    (
        "L0502",
        "- id: order\n  set: { n: 1 }\n- id: done\n  return: ${ steps.ordr.n }",
        "- id: order\n  set: { n: 1 }\n- id: done\n  return: ${ steps.order.n }",
    ),
    (
        "L0503",
        "- id: done\n  return: ${ steps.order.n }\n  if: trigger.quick == true\n- id: order\n  set: { n: 1 }",
        "- id: order\n  set: { n: 1 }\n- id: done\n  return: ${ steps.order.n }",
    ),
    (
        "L0504",
        "- id: each_line\n  each: [1, 2]\n  steps:\n    - id: double\n      set: { n: \"${ item * 2 }\" }\n- id: done\n  return: ${ steps.double.n }",
        "- id: each_line\n  each: [1, 2]\n  steps:\n    - id: double\n      set: { n: \"${ item * 2 }\" }\n- id: done\n  return: ${ steps.each_line.results }",
    ),
    (
        "L0505",
        "- id: discount\n  if: trigger.member == true\n  set: { percent: 10 }\n- id: done\n  return: ${ steps.discount.percent }",
        "- id: discount\n  if: trigger.member == true\n  set: { percent: 10 }\n- id: done\n  return: ${ steps.discount.percent ?? 0 }",
    ),
    (
        "L0506",
        "- id: order\n  set: { total: 1 }\n- id: done\n  return: ${ steps.order.sum }",
        "- id: order\n  set: { total: 1 }\n- id: done\n  return: ${ steps.order.total }",
    ),
    ("L0507", "- id: done\n  return: ${ params.limt + params.limit }", "- id: done\n  return: ${ params.limit }"),
    (
        "L0508",
        "- id: done\n  return: ${ item }",
        "- id: each_line\n  each: [1, 2]\n  steps:\n    - id: note\n      do: log.write\n      with: { message: \"Number ${ item }\" }",
    ),
    (
        "L0509",
        "- id: remember\n  save: { last: 1 }",
        "state:\n  last: { type: integer, default: 0 }\nsteps:\n  - id: remember\n    save: { last: \"${ state.last + 1 }\" }",
    ),
    (
        "L0510",
        "- id: done\n  return: ${ error.message }",
        "- id: careful\n  try:\n    - id: post\n      do: desk.request\n      with: { method: POST, path: / }\n  catch:\n    - id: done\n      return: ${ error.message }",
    ),
    (
        "L0511",
        "- id: both\n  parallel:\n    left:\n      - id: one\n        set: { n: 1 }\n    right:\n      - id: two\n        set: { n: 2 }\n- id: done\n  return: ${ steps.one.n + steps.both.right.two.n }",
        "- id: both\n  parallel:\n    left:\n      - id: one\n        set: { n: 1 }\n    right:\n      - id: two\n        set: { n: 2 }\n- id: done\n  return: ${ steps.both.left.one.n + steps.both.right.two.n }",
    ),
    (
        "L0512",
        "trigger:\n  from: webhook\n  sample: { body: { number: A-1 } }\nsteps:\n  - id: done\n    return: ${ trigger.body.numbr }",
        "trigger:\n  from: webhook\n  sample: { body: { number: A-1 } }\nsteps:\n  - id: done\n    return: ${ trigger.body.number }",
    ),
    (
        "L0513",
        "steps:\n  - id: post\n    do: desk.request\n    with: { method: POST, path: / }\ntests:\n  - title: works\n    given: { pst: { status: 200 } }\n    expect: { status: succeeded }",
        "steps:\n  - id: post\n    do: desk.request\n    with: { method: POST, path: / }\ntests:\n  - title: works\n    given: { post: { status: 200 } }\n    expect: { status: succeeded }",
    ),
    (
        "L0514",
        "tests:\n  - title: works\n    params: { limit: 5 }\n    expect: { status: succeeded }",
        "params: { limit: { type: number } }\nsteps:\n  - id: done\n    return: ${ params.limit }\ntests:\n  - title: works\n    params: { limit: 5 }\n    expect: { status: succeeded }",
    ),
    (
        "L0515",
        "- id: rows\n  do: http.request\n  with: { method: GET, url: https://example.com/rows, paginate: link }\n  stream: true\n- id: done\n  return: ${ steps.rows }",
        "- id: rows\n  do: http.request\n  with: { method: GET, url: https://example.com/rows, paginate: link }\n  stream: true\n- id: each_row\n  each: ${ steps.rows }\n  steps:\n    - id: note\n      do: log.write\n      with: { message: Row }",
    ),
    (
        "L0516",
        "- id: note\n  do: log.write\n  with: { message: Hi }\n  stream: true",
        "- id: note\n  do: log.write\n  with: { message: Hi }",
    ),
    (
        "L0601",
        "- id: done\n  return: 1\n- id: note\n  do: log.write\n  with: { message: Never }",
        "- id: note\n  do: log.write\n  with: { message: First }\n- id: done\n  return: 1",
    ),
    (
        "L0602",
        "- id: outer\n  each: [[1], [2]]\n  steps:\n    - id: inner\n      each: ${ item }\n      steps:\n        - id: note\n          do: log.write\n          with: { message: Hi }",
        "- id: outer\n  each: [[1], [2]]\n  as: row\n  steps:\n    - id: inner\n      each: ${ row }\n      steps:\n        - id: note\n          do: log.write\n          with: { message: Hi }",
    ),
    (
        "L0603",
        "- id: pay\n  do: desk.request\n  retry: { times: 5, on: [timeout, server] }\n  with: { method: POST, path: /payments }",
        "- id: pay\n  do: desk.request\n  retry: { times: 5, on: [timeout, server] }\n  with: { method: POST, path: /payments, idempotent: true }",
    ),
    (
        "L0604",
        "- id: find\n  do: sf.query\n  with:\n    soql: \"SELECT Id FROM Lead WHERE Email = '${ trigger.email }'\"\n- id: done\n  return: ${ steps.find.total_size }",
        "- id: find\n  do: sf.query\n  with:\n    soql: SELECT Id FROM Lead WHERE Email = :email\n    params: { email: \"${ trigger.email }\" }\n- id: done\n  return: ${ steps.find.total_size }",
    ),
    (
        "L0605",
        "- id: total\n  set: { sum: 1 }\n- id: done\n  return: 1",
        "- id: total\n  set: { sum: 1 }\n- id: done\n  return: ${ steps.total.sum }",
    ),
    (
        "L0606",
        "- id: poll\n  repeat: { until: steps.report.status == 200, wait: 5s }\n  steps:\n    - id: report\n      do: desk.request\n      with: { path: /report }",
        "- id: poll\n  repeat: { until: steps.report.status == 200, wait: 5s, max: 100 }\n  steps:\n    - id: report\n      do: desk.request\n      with: { path: /report }",
    ),
    ("L0607", "- id: done\n  retry: 3\n  return: 1", "- id: done\n  return: 1"),
    (
        "L0608",
        "- id: size\n  choose:\n    - when: trigger.amount > 100\n      steps:\n        - id: large\n          respond: { status: 202 }\n    - otherwise:\n        - id: note\n          do: log.write\n          with: { message: Small }",
        "- id: size\n  choose:\n    - when: trigger.amount > 100\n      steps:\n        - id: large\n          respond: { status: 202 }\n    - otherwise:\n        - id: small\n          respond: { status: 200 }",
    ),
    (
        "L0609",
        "- id: careful\n  try:\n    - id: post\n      do: desk.request\n      with: { method: POST, path: / }\n    - id: told\n      respond: { status: 200 }\n  catch:\n    - id: sorry\n      respond: { body: It failed. }",
        "- id: careful\n  try:\n    - id: post\n      do: desk.request\n      with: { method: POST, path: / }\n    - id: told\n      respond: { status: 200 }\n  catch:\n    - id: sorry\n      respond: { status: 502, body: It failed. }",
    ),
    (
        "L0610",
        "trigger: { from: webhook }\nsteps:\n  - id: pay\n    do: desk.request\n    with: { method: POST, path: /payments }",
        "trigger:\n  from: webhook\n  dedupe: { by: \"${ trigger.body.id }\" }\nsteps:\n  - id: pay\n    do: desk.request\n    with: { method: POST, path: /payments }",
    ),
    (
        "L0611",
        "- id: rate\n  do: desk.request\n  on_error: continue\n  fallback: { body: { rate: 1 } }\n  with: { path: /rate }\n- id: done\n  return: ${ steps.rate.body.rate }",
        "- id: rate\n  do: desk.request\n  fallback: { body: { rate: 1 } }\n  with: { path: /rate }\n- id: done\n  return: ${ steps.rate.body.rate }",
    ),
];

/// What the examples call by these names, and what they are connections of.
const CONNECTIONS: &[(&str, &str)] = &[("desk", "http"), ("sf", "salesforce")];

pub(super) fn whole(lines: &str) -> Vec<u8> {
    let lines = if lines.starts_with("- ") { format!("steps:\n{lines}") } else { lines.to_owned() };
    if lines.starts_with(['#', '%']) || !lines.contains(':') || lines.starts_with("Just") {
        return lines.into_bytes();
    }
    let has = |key: &str| lines.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
    let mut text = String::new();
    let mut add = |key: &str, value: &str| {
        if !has(key) {
            text.push_str(&format!("{key}: {value}\n"));
        }
    };
    add("liaison", "1");
    add("recipe", "example");
    let used = |name: &str| [" ", "{ from: "].iter().any(|before| lines.contains(&format!("{before}{name}.")));
    let connections: Vec<_> =
        CONNECTIONS.iter().filter(|(name, _)| used(name)).map(|(name, connector)| format!("{name}: {connector}")).collect();
    if !connections.is_empty() {
        add("connections", &format!("{{ {} }}", connections.join(", ")));
    }
    if lines.contains("params.limit") {
        add("params", "{ limit: { type: number, default: 100 } }");
    }
    add("trigger", "{ from: api }");
    let steps = if has("steps") { "" } else { "steps:\n  - id: finished\n    return: ok\n" };
    bytes(&format!("{text}{lines}\n{steps}"))
}

/// `\xE9` as the byte, `a{1000}` as so many of the character.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if let Some(byte) = rest.strip_prefix("\\x").and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok()) {
            out.push(byte);
            rest = &rest[4..];
        } else if let Some((count, behind)) = repeat(rest) {
            let repeated = out.last().copied().unwrap_or_default();
            // A list of many is as long as it says.
            let more: &[u8] = if repeated == b'1' { b", 1" } else { &[repeated] };
            (1..count).for_each(|_| out.extend_from_slice(more));
            rest = behind;
        } else {
            out.extend_from_slice(&rest.as_bytes()[..next.len_utf8()]);
            rest = &rest[next.len_utf8()..];
        }
    }
    out
}

fn repeat(text: &str) -> Option<(usize, &str)> {
    let (digits, behind) = text.strip_prefix('{')?.split_once('}')?;
    let count = digits.parse().ok()?;
    Some((count, behind))
}
