//! Tells which input never ends.

use std::io::Write as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// When an input counts as one that never ends, also in a debug build on a busy machine.
const INPUT_SECONDS_MAX: u64 = 30;

/// Ends the process when an input takes too long: nothing else can stop it.
#[derive(Debug)]
pub(crate) struct Watch {
    inputs: Sender<Option<Vec<u8>>>,
}

impl Watch {
    pub(crate) fn new(target: &'static str) -> Self {
        let (inputs, seen) = channel();
        std::thread::spawn(move || watch(target, &seen));
        Self { inputs }
    }

    pub(crate) fn begin(&self, input: &[u8]) {
        self.say(Some(input.to_vec()));
    }

    pub(crate) fn end(&self) {
        self.say(None);
    }

    fn say(&self, input: Option<Vec<u8>>) {
        // The other side listens as long as this one is there.
        let _ = self.inputs.send(input);
    }
}

fn watch(target: &str, inputs: &Receiver<Option<Vec<u8>>>) {
    while let Ok(input) = inputs.recv() {
        let Some(input) = input else { continue };
        if inputs.recv_timeout(Duration::from_secs(INPUT_SECONDS_MAX)).is_err() {
            // Not `eprintln!`, which the tests keep for themselves; and nothing is to be done if it fails.
            let told = format!("{target} has not ended after {INPUT_SECONDS_MAX} s: {}\n", input.escape_ascii());
            let _ = std::io::stderr().write_all(told.as_bytes());
            std::process::exit(1);
        }
    }
}
