//! Workers with two clocks: when something holds, and when somebody typed it.

use jiff::{Timestamp, civil::Date};

/// One address or number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Channel {
    pub(super) value: String,
    pub(super) home: bool,
    pub(super) primary: bool,
}

/// How somebody is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Contact {
    pub(super) emails: Vec<Channel>,
    pub(super) phones: Vec<Channel>,
}

/// What is known of somebody beside their work. A change leaves what it does not name as it was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Personal {
    pub(super) birth: Option<Date>,
    pub(super) birth_country: Option<usize>,
    pub(super) birth_city: Option<String>,
    pub(super) gender: Option<usize>,
    pub(super) marital: Option<usize>,
    pub(super) marital_since: Option<Date>,
    pub(super) nationality: Option<usize>,
}

impl Personal {
    fn take(&mut self, change: &Self) {
        self.birth = change.birth.or(self.birth);
        self.birth_country = change.birth_country.or(self.birth_country);
        self.birth_city = change.birth_city.clone().or(self.birth_city.take());
        self.gender = change.gender.or(self.gender);
        self.marital = change.marital.or(self.marital);
        self.marital_since = change.marital_since.or(self.marital_since);
        self.nationality = change.nationality.or(self.nationality);
    }
}

/// All that is known on the first day.
#[derive(Debug, Clone)]
pub(super) struct Hire {
    pub(super) first: String,
    pub(super) last: String,
    pub(super) contact: Contact,
    pub(super) birth: Option<Date>,
    pub(super) title: String,
    /// One that was open; a position of their own when there is none.
    pub(super) position: Option<usize>,
    pub(super) profile: usize,
    pub(super) organization: usize,
    pub(super) location: usize,
    pub(super) worker_type: usize,
    pub(super) time_type: usize,
    /// Hundredths a year.
    pub(super) pay: i64,
}

/// What a process changes.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Hire(Box<Hire>),
    Job {
        organization: Option<usize>,
        location: Option<usize>,
        profile: Option<usize>,
        title: Option<String>,
        position: Option<usize>,
    },
    Title(String),
    Name {
        first: String,
        last: String,
    },
    Contact(Contact),
    Personal(Box<Personal>),
    Terminate {
        reason: usize,
        involuntary: bool,
    },
    Leave {
        until: Option<Date>,
    },
    Pay(i64),
    UserName(String),
    OtherId {
        kind: String,
        id: String,
    },
    SecondJob {
        title: String,
        organization: usize,
    },
    /// Kept elsewhere, such as a request for time off.
    Elsewhere,
}

/// A change as it was entered.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) effective: Date,
    pub(super) entered: Timestamp,
    /// From this moment on it does not hold any more: it was rescinded or corrected.
    pub(super) until: Option<Timestamp>,
    pub(super) change: Change,
    /// The event it came by.
    pub(super) event: usize,
}

/// A line of the transaction log.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) wid: String,
    pub(super) process: super::process::Process,
    pub(super) effective: Date,
    pub(super) entered: Timestamp,
    pub(super) rescind: bool,
    pub(super) correction: bool,
    /// It was taken back later.
    pub(super) undone: bool,
    /// What was effective before a correction.
    pub(super) prior: Option<Date>,
}

/// A worker.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    pub(super) wid: String,
    /// Employee or contingent worker number.
    pub(super) number: String,
    pub(super) contingent: bool,
    pub(super) position_wid: String,
    /// By day, then by moment of entry.
    pub(super) facts: Vec<Fact>,
    /// By moment of entry.
    pub(super) log: Vec<Line>,
}

/// A worker as they are on a day, as known at a moment.
#[derive(Debug, Clone)]
pub(super) struct View<'a> {
    pub(super) worker: &'a Worker,
    pub(super) first: &'a str,
    pub(super) last: &'a str,
    pub(super) contact: &'a Contact,
    pub(super) personal: Personal,
    pub(super) title: &'a str,
    pub(super) job_title: &'a str,
    pub(super) position: Option<usize>,
    pub(super) profile: usize,
    pub(super) organization: usize,
    pub(super) location: usize,
    pub(super) worker_type: usize,
    pub(super) time_type: usize,
    pub(super) pay: i64,
    pub(super) hired: Date,
    pub(super) original_hire: Date,
    /// Since when the job is as it is.
    pub(super) since: Date,
    /// The last day and its reason.
    pub(super) left: Option<(Date, usize, bool)>,
    pub(super) leave: Option<(Date, Option<Date>)>,
    pub(super) user_name: Option<&'a str>,
    pub(super) other_ids: Vec<(&'a str, &'a str)>,
    pub(super) second_job: Option<(&'a str, usize)>,
}

impl Worker {
    /// The worker on a day, as known at a moment; `None` before the hire, and after a rescinded one.
    pub(super) fn view(&self, day: Date, known: Timestamp) -> Option<View<'_>> {
        let mut view: Option<View<'_>> = None;
        for fact in &self.facts {
            if fact.effective > day || fact.entered > known || fact.until.is_some_and(|until| until <= known) {
                continue;
            }
            match (&fact.change, &mut view) {
                (Change::Hire(hire), earlier) => {
                    let original = earlier.as_ref().map_or(fact.effective, |view| view.original_hire);
                    view = Some(self.hired(hire, fact.effective, original));
                }
                (change, Some(view)) => view.apply(change, fact.effective),
                (_, None) => {}
            }
        }
        view
    }

    fn hired<'a>(&'a self, hire: &'a Hire, day: Date, original_hire: Date) -> View<'a> {
        View {
            worker: self,
            first: &hire.first,
            last: &hire.last,
            contact: &hire.contact,
            personal: Personal { birth: hire.birth, ..Personal::default() },
            title: &hire.title,
            job_title: &hire.title,
            position: hire.position,
            profile: hire.profile,
            organization: hire.organization,
            location: hire.location,
            worker_type: hire.worker_type,
            time_type: hire.time_type,
            pay: hire.pay,
            hired: day,
            original_hire,
            since: day,
            left: None,
            leave: None,
            user_name: None,
            other_ids: Vec::new(),
            second_job: None,
        }
    }

    /// Puts a fact where its day and moment belong.
    pub(super) fn insert(&mut self, fact: Fact) {
        let key = (fact.effective, fact.entered);
        let place = self.facts.partition_point(|other| (other.effective, other.entered) <= key);
        self.facts.insert(place, fact);
    }

    /// The day of the first hire that holds.
    pub(super) fn first_day(&self) -> Option<Date> {
        self.facts.iter().find(|fact| fact.until.is_none() && matches!(fact.change, Change::Hire(_))).map(|fact| fact.effective)
    }
}

impl<'a> View<'a> {
    fn apply(&mut self, change: &'a Change, day: Date) {
        match change {
            Change::Hire(_) | Change::Elsewhere => {}
            Change::Job { organization, location, profile, title, position } => {
                self.organization = organization.unwrap_or(self.organization);
                self.location = location.unwrap_or(self.location);
                self.profile = profile.unwrap_or(self.profile);
                self.position = position.or(self.position);
                if let Some(title) = title {
                    (self.title, self.job_title) = (title, title);
                }
                self.since = day;
            }
            Change::Title(title) => (self.title, self.since) = (title, day),
            Change::Name { first, last } => (self.first, self.last) = (first, last),
            Change::Contact(contact) => self.contact = contact,
            Change::Personal(change) => self.personal.take(change),
            Change::Terminate { reason, involuntary } => self.left = Some((day, *reason, *involuntary)),
            Change::Leave { until } => self.leave = Some((day, *until)),
            Change::Pay(pay) => self.pay = *pay,
            Change::UserName(name) => self.user_name = Some(name),
            Change::OtherId { kind, id } => {
                self.other_ids.retain(|(known, _)| known != kind);
                self.other_ids.push((kind, id));
            }
            Change::SecondJob { title, organization } => self.second_job = Some((title, *organization)),
        }
    }

    /// Both names as people write them.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.first, self.last)
    }

    /// Works here on that day; the last day counts.
    pub(super) fn active(&self, day: Date) -> bool {
        self.left.is_none_or(|(left, ..)| left >= day)
    }

    pub(super) fn on_leave(&self, day: Date) -> bool {
        self.leave.is_some_and(|(from, until)| from <= day && until.is_none_or(|until| until >= day))
    }

    pub(super) fn email(&self, home: bool) -> Option<&'a str> {
        primary(&self.contact.emails, home)
    }

    pub(super) fn phone(&self, home: bool) -> Option<&'a str> {
        primary(&self.contact.phones, home)
    }
}

fn primary(channels: &[Channel], home: bool) -> Option<&str> {
    let mut of_kind = channels.iter().filter(|channel| channel.home == home);
    let first = of_kind.clone().next();
    of_kind.find(|channel| channel.primary).or(first).map(|channel| channel.value.as_str())
}
