//! The recipes of the simulation; together they use every step word.

use crate::source::FEED;

/// The recipe that is started by the clock, every two minutes.
pub(crate) const TICK: &str = "tick";
pub(crate) const TICK_S: i64 = 120;

/// Slug and text.
pub(crate) const RECIPES: &[(&str, &str)] = &[
    (
        "line",
        "trigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsteps:\n  - { id: look, do: sys.get, with: { of: \"${ trigger.id }\" } }\n  - id: kind\n    choose:\n      \
         - when: trigger.n > 3\n        steps:\n          - { id: big, do: sys.put, with: { n: \"${ trigger.n }\" } }\n      - otherwise:\n          - { id: small, set: { n: 0 } }\n  \
         - { id: pay, do: sys.post, with: { of: \"${ trigger.id }\" } }\n  - { id: note, do: sys.put, with: { paid: \"${ steps.pay.key }\" } }\n  - { id: end, return: \"${ steps.pay.key }\" }\n",
    ),
    (
        "fan",
        "trigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsteps:\n  - id: push\n    each: ${ $.trigger.items[*] }\n    parallel: 3\n    partial: skip\n    steps:\n      \
         - { id: up, do: sys.put, with: { item: \"${ item }\" } }\n      - { id: once, do: sys.post, with: { item: \"${ item }\" } }\n  - id: both\n    parallel:\n      \
         left: [{ id: left_put, do: sys.put, with: { side: left } }]\n      right: [{ id: right_put, do: sys.put, with: { side: right } }, { id: nap, wait: { for: 30s } }]\n  \
         - { id: end, return: \"${ steps.push }\" }\n",
    ),
    (
        "saga",
        "trigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsettings: { on_failure: alarm }\nsteps:\n  - { id: reserve, do: sys.put, with: { of: \"${ trigger.id }\" }, undo: { do: sys.put, with: { undo: reserve } } }\n  \
         - { id: bill, do: sys.put, with: { of: \"${ trigger.id }\" }, undo: { do: sys.put, with: { undo: bill } } }\n  - { id: bad, if: trigger.n > 5, fail: \"no\" }\n  - { id: end, return: fine }\n",
    ),
    (
        "partly",
        "state: { n: { type: integer, default: 0 } }\ntrigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsettings: { concurrency: { limit: 1 } }\nsteps:\n  - id: push\n    each: ${ $.trigger.items[*] }\n    \
         parallel: 2\n    partial: dead_letter\n    steps:\n      - { id: up, do: sys.put, with: { item: \"${ item }\" } }\n      - { id: pay, do: sys.post, with: { item: \"${ item }\" } }\n  \
         - { id: add, save: { n: \"${ state.n + 1 }\" } }\n  - { id: sum, do: sys.put, with: { failed: \"${ steps.push.failed }\" }, retry: { times: 50, max_wait: 1m } }\n  - { id: end, return: \"${ state.n }\" }\n",
    ),
    (
        "pages",
        "trigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsteps:\n  - { id: rows, do: sys.list, stream: true }\n  - id: push\n    each: ${ steps.rows }\n    \
         parallel: 2\n    partial: dead_letter\n    steps:\n      - { id: up, do: sys.put, with: { item: \"${ item }\" } }\n      - { id: pay, do: sys.post, with: { item: \"${ item }\" } }\n  \
         - { id: end, return: \"${ steps.push.total }\" }\n",
    ),
    (
        "gated",
        "connections: { crm: crm }\ntrigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsteps:\n  - { id: up, do: crm.put, with: { of: \"${ trigger.id }\" }, retry: { times: 50, max_wait: 10s } }\n  \
         - { id: pay, do: crm.post, with: { of: \"${ trigger.id }\" }, retry: { times: 50, max_wait: 10s } }\n  - { id: end, return: fine }\n",
    ),
    (
        "bank",
        "trigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsteps:\n  - { id: fee, do: sys.pay, with: { of: \"${ trigger.id }\" }, retry: { times: 4, wait: 45s, factor: 1, jitter: none } }\n  \
         - id: push\n    each: ${ $.trigger.items[*] }\n    parallel: 3\n    steps:\n      - { id: pay, do: sys.pay, with: { item: \"${ item }\" }, retry: { times: 4, wait: 130s, max_wait: 130s, factor: 1, jitter: none } }\n  \
         - { id: end, return: \"${ steps.push.total }\" }\n",
    ),
    (
        FEED,
        "connections: { src: src }\ntrigger: { from: src.thing, poll: { every: 20s } }\nsteps:\n  - { id: up, do: sys.put, with: { of: \"${ trigger.id }\" } }\n  \
         - { id: pay, do: sys.post, with: { of: \"${ trigger.id }\" } }\n  - { id: end, return: \"${ trigger.id }\" }\n",
    ),
    (
        TICK,
        "trigger: { from: schedule, with: { cron: \"*/2 * * * *\", on_missed: all } }\nsteps:\n  - { id: pay, do: sys.post, with: { of: \"${ trigger.scheduled_at }\" } }\n  \
         - { id: end, return: fine }\n",
    ),
    (
        "race",
        "trigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsteps:\n  - id: one\n    wait_for: any\n    parallel:\n      \
         quick: [{ id: quick, do: sys.put, with: { n: 1 } }]\n      slow: [{ id: nap, wait: { for: 40s } }, { id: slow, do: sys.put, with: { n: 2 } }]\n  \
         - id: two\n    wait_for: 2\n    parallel:\n      a: [{ id: a, do: sys.post, with: { n: 3 } }]\n      b: [{ id: b, do: sys.put, with: { n: 4 } }]\n      \
         c: [{ id: rest, wait: { for: 15s } }, { id: c, do: sys.put, with: { n: 5 } }]\n    fallback: { why: \"${ error.code }\" }\n  \
         - { id: soft, do: sys.put, with: { n: 6 }, fallback: { why: \"${ error.code }\" } }\n  \
         - { id: end, return: { two: \"${ meta.two.status }\", soft: \"${ meta.soft.status }\" } }\n",
    ),
    ("alarm", "trigger: { from: failure }\nsteps:\n  - { id: tell, do: sys.put, with: { run: \"${ trigger.run.id }\" } }\n"),
    (
        "counter",
        "state: { n: { type: integer, default: 0 } }\ntrigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsettings: { concurrency: { limit: 1 } }\nsteps:\n  - { id: add, save: { n: \"${ state.n + 1 }\" } }\n  \
         - { id: tell, do: sys.put, with: { n: \"${ state.n }\" }, retry: { times: 50, max_wait: 1m } }\n  - { id: end, return: \"${ state.n }\" }\n",
    ),
    (
        "keyed",
        "trigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsettings: { concurrency: { limit: 1, key: \"${ trigger.n % 3 }\" } }\nsteps:\n  - { id: first, do: sys.put, with: { n: 1 } }\n  - { id: nap, wait: { for: 5s } }\n  - { id: last, do: sys.put, with: { n: 2 } }\n",
    ),
    (
        "caller",
        "trigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsteps:\n  - { id: sub, call: callee, with: { id: \"${ trigger.id }\", n: \"${ trigger.n }\" } }\n  - { id: beside, start: callee, with: { id: \"${ trigger.id }\", n: 0 } }\n  \
         - { id: end, return: \"${ steps.sub }\" }\n",
    ),
    (
        "callee",
        "trigger: { from: call }\nsteps:\n  - { id: nap, wait: { for: 10s } }\n  - { id: pay, do: sys.post, with: { of: \"${ trigger.id }\" } }\n  - { id: end, return: \"${ trigger.n }\" }\n",
    ),
    (
        "asker",
        "trigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsteps:\n  - { id: tell, do: sys.put, with: { address: \"${ meta.back.callback }\" } }\n  - id: back\n    wait: { callback: , timeout: 2h }\n  \
         - id: ask\n    wait: { approval: { from: { group: g }, ask: \"ok?\" }, timeout: 2h }\n  - { id: act, if: steps.ask.outcome == \"approved\", do: sys.post, with: { n: 1 } }\n  - { id: end, return: \"${ steps.back.outcome }\" }\n",
    ),
    (
        "patient",
        "trigger: { from: api, dedupe: { by: \"${ trigger.id }\" } }\nsteps:\n  - id: say\n    respond: { status: 201, body: \"${ trigger.id }\" }\n  - id: poll\n    repeat: { until: steps.look.count > 2, wait: 20s, max: 40 }\n    steps:\n      \
         - { id: look, do: sys.get, with: { count: true } }\n  - id: care\n    try:\n      - { id: risky, do: sys.post, with: { n: 1 } }\n    catch:\n      - { id: other, do: sys.put, with: { n: 2 } }\n    \
         finally:\n      - { id: tidy, do: sys.put, with: { n: 3 } }\n  - { id: soft, do: sys.put, with: { n: 4 }, on_error: continue }\n  - { id: halt, stop: enough }\n",
    ),
];

/// Recipes events are sent to, and those that are started by what happens elsewhere or by the clock.
pub(crate) const STARTED: &[&str] = &[
    "line", "fan", "saga", "partly", "pages", "counter", "keyed", "caller", "asker", "patient", "gated", "bank", "race", FEED,
    TICK,
];
