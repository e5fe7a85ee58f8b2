//! What an unfinished run waits for, as a sentence.

use store::LANE_COUNTED_MAX;

use super::{
    format::Moment,
    shell::Shell,
    status::{RunStatus, WaitFor},
};

/// What the run waits for, with the facts for its sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What for.
    pub reason: WaitFor,
    /// A person's or connection's name, if there is one.
    pub who: Option<String>,
    /// Who stands before it, when it waits its turn.
    pub behind: Option<Behind>,
    /// When it goes on by itself, if it does.
    pub until_us: Option<i64>,
    /// The coming try and how many are allowed, for retries: `(3, 6)`.
    pub attempt: Option<(u32, u32)>,
}

/// Who stands before a run that waits its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// The run whose turn it is.
    pub run: String,
    /// How that stands.
    pub status: RunStatus,
    /// When it began.
    pub since_us: i64,
    /// Runs that stand before the one that waits, counted up to a bound.
    pub before: u32,
}

/// What a run waits for: words, a run and words about it, a time, words.
pub(super) struct WaitNote {
    pub(super) before: String,
    pub(super) run: Option<(String, String)>,
    pub(super) until: Option<Moment>,
    pub(super) after: String,
}

impl Waiting {
    /// A wait without a name, an end or a count.
    pub fn on(reason: WaitFor) -> Self {
        Self { reason, who: None, behind: None, until_us: None, attempt: None }
    }

    /// What it waits for, in words around a time.
    pub(super) fn note(&self, shell: &Shell) -> WaitNote {
        if let Some(behind) = &self.behind {
            return behind.note(shell);
        }
        let who = self.who.as_deref();
        let until = self.until_us.map(|us| shell.at(&us));
        let has_end = until.is_some();
        let then = |text: &'static str| if has_end { text } else { "" };
        let (before, after) = match self.reason {
            WaitFor::Retry => {
                let tries = self.attempt.map(|(n, max)| format!(", try {n} of {max}")).unwrap_or_default();
                (format!("Retrying{tries}{}", then(", next at ")), "")
            }
            WaitFor::Timer if has_end => ("Waiting until ".to_owned(), ""),
            WaitFor::Timer => ("Waiting for a pause in the recipe to end".to_owned(), ""),
            WaitFor::Approval => (format!("Waiting for {}{}", who.unwrap_or("a person"), then(", until ")), ""),
            WaitFor::Callback => (format!("Waiting for a call from {}{}", who.unwrap_or("outside"), then(", until ")), ""),
            WaitFor::Circuit => {
                let cause = format!("Paused, because {} does not answer.", who.unwrap_or("a connection"));
                (format!("{cause}{}", then(" Next test at ")), if has_end { ". Nothing is lost." } else { " Nothing is lost." })
            }
            WaitFor::Budget => {
                let cause = format!("Waiting, because {} allows only so many calls.", who.unwrap_or("a connection"));
                (format!("{cause}{}", then(" Goes on at ")), then("."))
            }
            WaitFor::Call => ("Waiting for the recipe it called".to_owned(), ""),
            WaitFor::Order => ("Waiting for an earlier run with the same key".to_owned(), ""),
        };
        WaitNote { before, run: None, until, after: after.to_owned() }
    }
}

impl Behind {
    fn note(&self, shell: &Shell) -> WaitNote {
        let stands = match self.status {
            RunStatus::Waiting(reason) => format!(", which waits for {} and began at ", reason.what()),
            status => format!(" ({}), which began at ", status.word().to_lowercase()),
        };
        let after = match self.before {
            0 | 1 => ". This one is next.".to_owned(),
            LANE_COUNTED_MAX.. => format!(". {LANE_COUNTED_MAX} runs or more with the same key stand before this one."),
            before => format!(". {before} runs with the same key stand before this one."),
        };
        WaitNote {
            before: "Waiting for its turn after ".to_owned(),
            run: Some((self.run.clone(), stands)),
            until: Some(shell.at(&self.since_us)),
            after,
        }
    }
}
