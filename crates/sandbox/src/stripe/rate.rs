//! Buckets of requests per second.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::{
    error::{Refused, Result},
    settings::Settings,
};

/// What a request counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Read,
    Write,
    Search,
}

/// Buckets by account and class: the second they are for, and the requests in it.
#[derive(Default)]
pub(super) struct Buckets {
    seen: Mutex<HashMap<(String, Class), (i64, u32)>>,
}

impl Buckets {
    /// Counts a request, or refuses it.
    pub(super) fn take(&self, account: &str, class: Class, now: i64, settings: &Settings) -> Result<()> {
        let most = match class {
            Class::Read => settings.reads_per_s,
            Class::Write => settings.writes_per_s,
            Class::Search => settings.searches_per_s,
        };
        let Some(most) = most else { return Ok(()) };
        let mut seen = self.seen.lock();
        let bucket = seen.entry((account.to_owned(), class)).or_insert((now, 0));
        if bucket.0 != now {
            *bucket = (now, 0);
        }
        bucket.1 += 1;
        if bucket.1 > most { Err(too_many("rate_limit").header("Stripe-Rate-Limited-Reason", "global-rate")) } else { Ok(()) }
    }
}

/// 429, in the words for a code.
pub(super) fn too_many(code: &str) -> Refused {
    let message = if code == "lock_timeout" {
        "This object cannot be accessed right now because another API request or Stripe process is currently accessing it. If you \
         see this error intermittently, retry the request. If you see this error frequently and are making multiple concurrent \
         requests to a single object, make your requests serially or at a lower rate. For more details, see \
         https://stripe.com/docs/rate-limits#object-lock-timeouts."
    } else {
        "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits."
    };
    Refused::new(429, "invalid_request_error", message).code(code)
}
