//! Business processes: events with their steps, which wait for an approval before anything changes.

use jiff::{Timestamp, civil::Date};

use super::{
    people::{Change, Fact, Line},
    state::State,
    wid,
};

/// Events kept.
pub(super) const EVENTS_MAX: usize = 200_000;
/// Comments kept on one event.
const COMMENTS_MAX: usize = 100;

/// What can be done to a worker. The names are the reference ids of `Business_Process_Type`; all but `Hire Employee`
/// are (unverified), as tenants and releases differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Process {
    Hire,
    Contract,
    Terminate,
    EndContract,
    ChangeJob,
    Title,
    Contact,
    Name,
    Personal,
    Pay,
    Leave,
    TimeOff,
    Account,
    OtherIds,
    AddJob,
    OneTimePayment,
    Expense,
    SupplierInvoice,
}

impl Process {
    pub(super) const ALL: [Self; 18] = [
        Self::Hire,
        Self::Contract,
        Self::Terminate,
        Self::EndContract,
        Self::ChangeJob,
        Self::Title,
        Self::Contact,
        Self::Name,
        Self::Personal,
        Self::Pay,
        Self::Leave,
        Self::TimeOff,
        Self::Account,
        Self::OtherIds,
        Self::AddJob,
        Self::OneTimePayment,
        Self::Expense,
        Self::SupplierInvoice,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hire => "Hire Employee",
            Self::Contract => "Contract Contingent Worker",
            Self::Terminate => "Terminate Employee",
            Self::EndContract => "End Contingent Worker Contract",
            Self::ChangeJob => "Change Job",
            Self::Title => "Title Change",
            Self::Contact => "Contact Change",
            Self::Name => "Legal Name Change",
            Self::Personal => "Personal Information Change",
            Self::Pay => "Request Compensation Change",
            Self::Leave => "Request Leave of Absence",
            Self::TimeOff => "Request Time Off",
            Self::Account => "Edit Workday Account",
            Self::OtherIds => "Edit Other IDs",
            Self::AddJob => "Add Additional Job",
            Self::OneTimePayment => "Request One-Time Payment",
            Self::Expense => "Expense Report Event",
            Self::SupplierInvoice => "Supplier Invoice Request Event",
        }
    }
}

/// How an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Made over REST and not submitted.
    Draft,
    /// Saved for later; only people can go on with it.
    Saved,
    InProgress,
    Completed,
    Denied,
    SentBack,
    Rescinded,
}

impl Status {
    /// The reference id and the words.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Draft => ("NOT_STARTED", "Not Started"),
            Self::Saved => ("SAVED_FOR_LATER", "Saved for Later"),
            Self::InProgress => ("IN_PROGRESS", "In Progress"),
            Self::Completed => ("SUCCESSFULLY_COMPLETED", "Successfully Completed"),
            Self::Denied => ("DENIED", "Denied"),
            Self::SentBack => ("SENT_BACK", "Sent Back"),
            Self::Rescinded => ("RESCINDED", "Rescinded"),
        }
    }

    pub(super) const ALL: [Self; 7] =
        [Self::Draft, Self::Saved, Self::InProgress, Self::Completed, Self::Denied, Self::SentBack, Self::Rescinded];
}

/// What somebody wrote.
#[derive(Debug, Clone)]
pub(super) struct Comment {
    pub(super) at: Timestamp,
    pub(super) who: String,
    pub(super) text: String,
}

/// The approval an event waits for.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) wid: String,
    pub(super) created: Timestamp,
    pub(super) completed: Option<Timestamp>,
    /// The place of the worker in whose inbox it lies.
    pub(super) awaiting: Option<usize>,
    pub(super) by: String,
}

/// One run of a process.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) wid: String,
    pub(super) process: Process,
    pub(super) worker: usize,
    pub(super) effective: Date,
    pub(super) initiated: Timestamp,
    pub(super) completed: Option<Timestamp>,
    pub(super) status: Status,
    pub(super) initiator: String,
    pub(super) comments: Vec<Comment>,
    pub(super) step: Option<Step>,
    pub(super) change: Change,
}

/// What a process starts with.
pub(super) struct Start<'a> {
    pub(super) process: Process,
    pub(super) worker: usize,
    pub(super) effective: Date,
    pub(super) change: Change,
    pub(super) auto_complete: bool,
    pub(super) comment: Option<&'a str>,
    pub(super) who: &'a str,
}

impl State {
    /// Starts an event and, when nobody must approve it, completes it.
    ///
    /// # Errors
    /// In the vendor's manner when another event of the process is on its way, or the tenant is full.
    pub(super) fn start(&mut self, start: Start<'_>, now: Timestamp) -> Result<usize, String> {
        self.refuse_second(start.worker, start.process)?;
        let place = self.draft(start.process, start.worker, start.effective, start.change, start.who, now)?;
        self.say(place, start.who, start.comment, now);
        let auto = start.auto_complete || !self.settings.approvals;
        self.submit(place, auto, now);
        Ok(place)
    }

    /// A second process on the same worker is refused while the first waits.
    pub(super) fn refuse_second(&self, worker: usize, process: Process) -> Result<(), String> {
        let number = &self.workers[worker].number;
        match self.waiting.get(&(worker, process)) {
            Some(_) => Err(format!(
                "Another event is in progress for this worker. Complete or cancel the pending {} event for {number} first.",
                process.name()
            )),
            None => Ok(()),
        }
    }

    pub(super) fn draft(
        &mut self,
        process: Process,
        worker: usize,
        effective: Date,
        change: Change,
        who: &str,
        now: Timestamp,
    ) -> Result<usize, String> {
        if self.events.len() >= EVENTS_MAX {
            return Err(format!("The tenant holds {EVENTS_MAX} events already."));
        }
        let place = self.events.len();
        let wid = wid(self.seed, &format!("event {place}"));
        self.event_by_wid.insert(wid.clone(), place);
        self.events.push(Event {
            wid,
            process,
            worker,
            effective,
            initiated: now,
            completed: None,
            status: Status::Draft,
            initiator: who.to_owned(),
            comments: Vec::new(),
            step: None,
            change,
        });
        Ok(place)
    }

    /// Sends an event on its way.
    pub(super) fn submit(&mut self, place: usize, auto_complete: bool, now: Timestamp) {
        let (worker, process) = (self.events[place].worker, self.events[place].process);
        if auto_complete {
            return self.complete(place, now);
        }
        let step_wid = wid(self.seed, &format!("step {place}"));
        let awaiting = self.manager_of(worker, now);
        self.step_by_wid.insert(step_wid.clone(), place);
        self.waiting.insert((worker, process), place);
        let event = &mut self.events[place];
        event.status = Status::InProgress;
        event.step = Some(Step { wid: step_wid, created: now, completed: None, awaiting, by: String::new() });
    }

    pub(super) fn say(&mut self, place: usize, who: &str, comment: Option<&str>, now: Timestamp) {
        let comments = &mut self.events[place].comments;
        if let Some(text) = comment.filter(|text| !text.trim().is_empty() && comments.len() < COMMENTS_MAX) {
            comments.push(Comment { at: now, who: who.to_owned(), text: text.to_owned() });
        }
    }

    /// Ends the wait of an event one way or the other.
    pub(super) fn decide(&mut self, place: usize, status: Status, who: &str, comment: Option<&str>, now: Timestamp) {
        self.say(place, who, comment, now);
        if let Some(step) = &mut self.events[place].step {
            (step.completed, step.by) = (Some(now), who.to_owned());
        }
        if status == Status::Completed {
            return self.complete(place, now);
        }
        let event = &mut self.events[place];
        event.status = status;
        event.completed = (status == Status::Denied).then_some(now);
        let key = (event.worker, event.process);
        self.waiting.remove(&key);
    }

    /// The change holds from now on, and the log has its line.
    pub(super) fn complete(&mut self, place: usize, now: Timestamp) {
        let event = &mut self.events[place];
        (event.status, event.completed) = (Status::Completed, Some(now));
        let (worker, process, effective) = (event.worker, event.process, event.effective);
        let fact = Fact { effective, entered: now, until: None, change: event.change.clone(), event: place };
        self.waiting.remove(&(worker, process));
        if !matches!(fact.change, Change::Elsewhere) {
            self.workers[worker].insert(fact);
        }
        self.log(
            worker,
            Line {
                process,
                effective,
                entered: now,
                rescind: false,
                correction: false,
                undone: false,
                prior: None,
                wid: String::new(),
            },
        );
    }

    pub(super) fn log(&mut self, worker: usize, mut line: Line) {
        self.lines += 1;
        line.wid = wid(self.seed, &format!("line {}", self.lines));
        self.workers[worker].log.push(line);
    }

    /// Takes an event back as if it had never been.
    pub(super) fn rescind(&mut self, place: usize, now: Timestamp) {
        let event = &mut self.events[place];
        event.status = Status::Rescinded;
        let (worker, process, effective) = (event.worker, event.process, event.effective);
        for fact in self.workers[worker].facts.iter_mut().filter(|fact| fact.event == place && fact.until.is_none()) {
            fact.until = Some(now);
        }
        let lines = self.workers[worker].log.iter_mut();
        lines.filter(|line| line.process == process && line.effective == effective).for_each(|line| line.undone = true);
        self.log(
            worker,
            Line {
                process,
                effective,
                entered: now,
                rescind: true,
                correction: false,
                undone: false,
                prior: None,
                wid: String::new(),
            },
        );
    }

    /// Replaces what an event did: another day, another value.
    pub(super) fn correct(&mut self, place: usize, effective: Date, change: Change, now: Timestamp) {
        let event = &mut self.events[place];
        let (worker, process, prior) = (event.worker, event.process, event.effective);
        (event.effective, event.change) = (effective, change.clone());
        for fact in self.workers[worker].facts.iter_mut().filter(|fact| fact.event == place && fact.until.is_none()) {
            fact.until = Some(now);
        }
        self.workers[worker].insert(Fact { effective, entered: now, until: None, change, event: place });
        let line = Line {
            process,
            effective,
            entered: now,
            rescind: false,
            correction: true,
            undone: false,
            prior: Some(prior),
            wid: String::new(),
        };
        self.log(worker, line);
    }
}
