//! What the simulated systems share.

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, RwLock};
use url::Url;

use crate::{Clock, Company, Random, fault::Faults, mail::Letters, outbox::Outbox, recorder::Recorder};

/// Clock, company, faults, requests seen, webhooks on their way and letters taken.
pub struct World {
    seed: Mutex<u64>,
    books: Option<u64>,
    clock: Clock,
    company: RwLock<Arc<Company>>,
    faults: Faults,
    recorder: Recorder,
    outbox: Arc<Outbox>,
    letters: Letters,
    urls: RwLock<HashMap<&'static str, Url>>,
}

impl World {
    pub(crate) fn new(seed: u64, books: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            seed: Mutex::new(seed),
            books,
            clock: Clock::default(),
            company: RwLock::new(Arc::new(Company::new(books.unwrap_or(seed)))),
            faults: Faults::default(),
            recorder: Recorder::default(),
            outbox: Arc::new(Outbox::default()),
            letters: Letters::default(),
            urls: RwLock::default(),
        })
    }

    /// The seed all data is made of, but for the books when they have one of their own.
    #[must_use]
    pub fn seed(&self) -> u64 {
        *self.seed.lock()
    }

    /// The systems' time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The company whose books the systems keep.
    #[must_use]
    pub fn company(&self) -> Arc<Company> {
        self.company.read().clone()
    }

    /// What goes wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The requests that were seen.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Webhooks on their way.
    #[must_use]
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Letters that were taken.
    #[must_use]
    pub fn letters(&self) -> &Letters {
        &self.letters
    }

    /// Dice for one use; the same seed and name give the same numbers.
    #[must_use]
    pub fn random(&self, name: &str) -> Random {
        Random::new(self.seed(), name)
    }

    /// Where a system listens, as its clients write it, without a slash at the end; empty before it was started.
    #[must_use]
    pub fn url(&self, vendor: &str) -> String {
        self.urls.read().get(vendor).map(|url| url.as_str().trim_end_matches('/').to_owned()).unwrap_or_default()
    }

    pub(crate) fn set_url(&self, vendor: &'static str, url: Url) {
        self.urls.write().insert(vendor, url);
    }

    /// Forgets faults, requests, webhooks and letters, puts the clock right, and makes the company anew. The systems are reset by
    /// the caller.
    pub(crate) fn reset(&self, seed: u64) {
        self.clock.reset();
        *self.seed.lock() = seed;
        *self.company.write() = Arc::new(Company::new(self.books.unwrap_or(seed)));
        self.faults.clear();
        self.recorder.clear();
        self.outbox.clear();
        self.letters.clear();
    }
}
