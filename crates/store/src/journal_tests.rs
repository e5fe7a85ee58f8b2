use serde_json::json;

use super::*;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn error() -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: "server".into(),
        code: "HTTP_503".into(),
        message: "down".into(),
        next: None,
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    })
}

/// Every kind of entry about a step, at attempt `n`.
fn about_step(n: u32) -> Vec<Entry> {
    let p: StepPath = "a".into();
    let out = Arc::new(json!(1));
    vec![
        Entry::Computed { p: p.clone(), at: at(1), out: out.clone() },
        Entry::Skipped { p: p.clone(), at: at(1) },
        Entry::Started { p: p.clone(), n, at: at(1), input: None },
        Entry::Succeeded { p: p.clone(), n, at: at(1), out: out.clone() },
        Entry::Failed { p: p.clone(), n, at: at(1), err: error(), retry: Some(at(2)), doubt: false },
        Entry::Failed { p: p.clone(), n, at: at(1), err: error(), retry: None, doubt: false },
        Entry::Uncertain { p: p.clone(), n, at: at(1), err: error() },
        Entry::Reopened { p: p.clone(), at: at(1), by: "me".into() },
        Entry::Waits { p: p.clone(), at: at(1), what: "timer".into(), until: Some(at(2)), ask: None },
        Entry::Settled { p, at: at(1), by: "me".into(), out },
    ]
}

#[test]
fn only_the_drawn_arrows_are_legal() {
    let states = [
        (StepState::Ready { attempts: 0 }, 1, "computed skipped started waits"),
        (StepState::Waiting { what: "timer".into(), until: Some(at(2)), run: None }, 1, "computed settled"),
        // A step that holds steps ran out of time.
        (StepState::Waiting { what: "steps".into(), until: Some(at(2)), run: None }, 0, "computed failed settled"),
        // A step that called another run waits for its end.
        (StepState::Running { attempt: 1 }, 1, "succeeded failed failed uncertain waits"),
        (StepState::Running { attempt: 1 }, 2, "started waits"),
        (StepState::Backoff { attempt: 1, until: at(2) }, 2, "started"),
        // What the last attempt did is not known, and it is too late to repeat it.
        (StepState::Backoff { attempt: 1, until: at(2) }, 1, "uncertain"),
        (StepState::Ready { attempts: 1 }, 1, "computed skipped failed uncertain waits"),
        (StepState::Succeeded { output: Arc::new(json!(1)) }, 1, ""),
        (StepState::Skipped, 1, ""),
        (StepState::Failed { attempt: 1, error: error() }, 2, "reopened"),
        (StepState::Failed { attempt: 1, error: error() }, 1, "uncertain reopened"),
        // Nothing was tried.
        (StepState::Failed { attempt: 0, error: error() }, 0, "reopened"),
        (StepState::Uncertain { attempt: 1, error: error() }, 2, "reopened settled"),
    ];
    for (state, n, expected) in states {
        let legal: Vec<_> = about_step(n).iter().filter(|entry| state.after(entry).is_ok()).map(Entry::word).collect();
        assert_eq!(legal.join(" "), expected, "after {state:?} with attempt {n}");
    }
}

#[test]
fn a_finished_step_never_starts_again() {
    let done = StepState::Succeeded { output: Arc::new(json!({"id": 1})) };
    for n in 0..4 {
        for entry in about_step(n) {
            assert!(done.after(&entry).is_err(), "{entry:?}");
        }
    }
}

#[test]
fn chunks_are_read_back_whether_packed_or_not() {
    let small = vec![Entry::Skipped { p: "a".into(), at: at(1) }];
    let big = vec![Entry::Accepted {
        at: at(1),
        via: "api".into(),
        event: Arc::new(json!({"text": "lorem ipsum ".repeat(200), "n": 9_007_199_254_740_993_u64})),
        params: Arc::new(Json::Null),
        state: Arc::default(),
        trace: None,
    }];
    let packed = write_chunk(&big).unwrap();
    assert!(packed.len() < 300 && packed[0] != b'[', "{} bytes", packed.len());
    assert_eq!(write_chunk(&small).unwrap()[0], b'[');
    for entries in [small, big] {
        assert_eq!(read_chunk(&write_chunk(&entries).unwrap()).unwrap(), entries);
    }
}

#[test]
fn damaged_chunks_are_named_not_guessed() {
    let accepted = write_chunk(&[Entry::Accepted {
        at: at(1),
        via: "api".into(),
        event: Arc::new(json!({})),
        params: Arc::new(Json::Null),
        state: Arc::default(),
        trace: None,
    }])
    .unwrap();
    let skipped = write_chunk(&[Entry::Skipped { p: "a".into(), at: at(1) }]).unwrap();
    for (chunks, expected) in [
        (vec![(0, &b"nonsense"[..])], "cannot be unpacked"),
        (vec![(0, &b"[{\"e\":\"nonsense\"}]"[..])], "cannot be read"),
        (vec![(0, &skipped[..])], "begins with skipped"),
        (vec![(0, &accepted[..]), (2, &skipped[..])], "chunk 1 of the journal is missing"),
        (vec![(0, &accepted[..]), (1, &skipped[..]), (2, &skipped[..])], "may not follow"),
        (vec![], "empty"),
    ] {
        let problem = Journal::replay(chunks).unwrap_err().to_string();
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn an_attempt_after_a_crash_sends_the_same_input() {
    let input = Arc::new(json!({"amount": 5}));
    let entries = [
        Entry::Accepted {
            at: at(1),
            via: "api".into(),
            event: Arc::new(json!({})),
            params: Arc::new(Json::Null),
            state: Arc::default(),
            trace: None,
        },
        Entry::Started { p: "a".into(), n: 1, at: at(2), input: Some(input.clone()) },
    ];
    let chunk = write_chunk(&entries).unwrap();
    let journal = Journal::replay([(0, &chunk[..])]).unwrap();
    assert_eq!(journal.inputs.get("a"), Some(&input));
    assert_eq!(journal.steps.get("a"), Some(&StepState::Running { attempt: 1 }));
    assert_eq!(journal.next_seq, 1);
}

#[test]
fn an_error_names_what_led_to_it_and_how_far_back_is_bounded() {
    let error = |code: usize| ErrorRecord {
        class: "invalid".to_owned(),
        code: format!("E{code}"),
        message: "no".to_owned(),
        next: None,
        path: Some(format!("s{code}")),
        request: None,
        response: None,
        causes: Vec::new(),
    };
    let chain = (1..30).fold(error(0), |first, next| error(next).caused_by(&first, None));
    let codes: Vec<&str> = chain.causes.iter().map(|earlier| &*earlier.code).collect();
    assert_eq!(codes, ["E28", "E27", "E26", "E25", "E24", "E23", "E22", "E21"], "the nearest first");
    let twice = error(2).caused_by(&error(1), Some("run_1".to_owned())).caused_by(&error(1), Some("run_1".to_owned()));
    assert_eq!(twice.causes.len(), 1, "walked again, it is the same");
    let text = serde_json::to_string(&error(1)).unwrap();
    assert!(!text.contains("causes"), "nothing is written where nothing led to it: {text}");
    assert_eq!(serde_json::from_str::<ErrorRecord>(&text).unwrap(), error(1), "records of before are read");
}
