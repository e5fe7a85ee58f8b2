use serde_json::json;

use super::*;

fn computed(path: &str) -> Entry {
    Entry::Computed { p: path.into(), at: Timestamp::from_micros(1), out: Arc::new(json!({ "of": path })) }
}

fn failed(path: &str) -> Entry {
    let err = ErrorRecord {
        class: "invalid".into(),
        code: "NO".into(),
        message: "no".into(),
        next: None,
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    };
    Entry::Failed { p: path.into(), n: 0, at: Timestamp::from_micros(1), err: Box::new(err), retry: None, doubt: false }
}

fn told(pinned: Option<&str>, entries: impl Iterator<Item = Entry>) -> (Telling, usize) {
    let mut told = Telling { pinned: pinned.map(str::to_owned), ..Telling::default() };
    let mut most = 0;
    for entry in entries {
        told.take(entry, |_| None);
        most = most.max(told.steps.len()).max(told.entries.len());
    }
    (told, most)
}

fn passes(count: usize, fail: impl Fn(usize) -> bool) -> impl Iterator<Item = Entry> {
    let pass = move |n: usize| {
        let last = format!("walk[{n}].two");
        [computed(&format!("walk[{n}].one")), if fail(n) { failed(&last) } else { computed(&last) }]
    };
    [computed("before")].into_iter().chain((0..count).flat_map(pass)).chain([computed("walk"), computed("after")])
}

fn shows(told: &Telling, path: &str) -> bool {
    told.steps.iter().any(|step| &*step.path == path)
}

#[test]
fn a_run_of_any_length_is_told_in_bounded_memory() {
    let (told, most) = told(Some("walk[40000]"), passes(60_000, |n| n == 30_000));
    assert!(most < 6_000, "{most} steps or entries are held");
    for path in
        ["before", "walk[0].one", "walk[199].two", "walk[30000].two", "walk[40000].one", "walk[59999].two", "walk", "after"]
    {
        assert!(shows(&told, path), "{path}");
    }
    assert!(!shows(&told, "walk[20000].one"));
    assert_eq!((told.reached, told.taken), (120_003, 120_003));
    assert!(told.entries.iter().filter_map(Entry::path).all(|path| shows(&told, path)));
    assert!(told.steps.is_sorted_by_key(|step| step.number));
}

#[test]
fn so_is_one_in_which_everything_fails() {
    let (told, most) = told(None, passes(60_000, |_| true));
    assert!(most < 6_000, "{most} steps or entries are held");
    assert!(shows(&told, "walk[700].two") && shows(&told, "walk[59999].two"));
}

#[test]
fn so_is_one_with_large_pages() {
    let page = |n: usize| {
        let out = Arc::new(json!({ "items": "x".repeat(200_000), "page": n }));
        let page = Entry::Computed { p: format!("walk.pages[{n}]").into(), at: Timestamp::from_micros(1), out };
        [page, computed(&format!("walk[{n}].one"))]
    };
    let mut told = Telling::default();
    let mut most = 0;
    for entry in (0..1_500).flat_map(page) {
        told.take(entry, |_| None);
        most = most.max(told.entries.iter().flat_map(Entry::values).map(|(_, value)| weight(value)).sum::<usize>());
    }
    assert!(most < 30 << 20, "{most} bytes are held");
    assert!(shows(&told, "walk.pages[0]") && shows(&told, "walk.pages[1499]") && !shows(&told, "walk.pages[700]"));
    assert_eq!((told.reached, told.taken), (3_000, 3_000));
}

#[test]
fn short_runs_are_told_whole() {
    let (told, _) = told(None, passes(900, |_| false));
    assert_eq!((told.steps.len(), told.reached), (1_803, 1_803));
}

#[test]
fn what_is_forgotten_may_come_back() {
    let again = std::iter::once(computed("walk[20000].late"));
    let (told, _) = told(None, passes(30_000, |_| false).chain(again));
    assert!(shows(&told, "walk[20000].late"));
}

#[test]
fn loops_inside_the_pass_asked_for_are_bounded_too() {
    let inner = |n: usize| [computed(&format!("walk[1].rows[{n}].one")), computed(&format!("walk[1].rows[{n}].two"))];
    let entries = [computed("walk[1].before")].into_iter().chain((0..60_000).flat_map(inner)).chain([computed("walk[1].rows")]);
    let entries: Vec<_> = entries.collect();
    let (all, most) = told(Some("walk[1]"), entries.iter().cloned());
    assert!(most < 6_000, "{most} steps or entries are held");
    assert!(shows(&all, "walk[1].before") && shows(&all, "walk[1].rows") && !shows(&all, "walk[1].rows[30000].one"));
    let (one, _) = told(Some("walk[1].rows[30000]"), entries.into_iter());
    assert!(shows(&one, "walk[1].rows[30000].two"));
}

#[test]
fn a_step_that_comes_back_is_counted_once() {
    let at = Timestamp::from_micros(2);
    let reopened = Entry::Reopened { p: "walk[20000].two".into(), at, by: "Ann".to_owned() };
    let (told, _) = told(None, passes(30_000, |n| n == 20_000 || n < 19_000).chain([reopened]));
    assert!(shows(&told, "walk[20000].two"));
    assert_eq!(told.reached, 60_003);
}
