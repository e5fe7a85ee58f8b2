//! Where an answer sends us on to, and what may come along.

use ::http::{
    HeaderMap, HeaderName, Method, StatusCode,
    header::{HOST, LOCATION},
    response::Parts,
};
use url::Url;

use super::{Request, problem};
use crate::{error::StepError, mask::is_secret_header};

/// The address to go on to, if this answer is a redirect that this method follows.
/// GET and HEAD follow every kind; other methods only 307 and 308, which keep method and body (RFC 9110, 15.4).
pub(super) fn target(request: &Request, head: &Parts) -> Result<Option<Url>, StepError> {
    let reads = request.method == Method::GET || request.method == Method::HEAD;
    let follow = match head.status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => reads,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        _ => false,
    };
    if !follow {
        return Ok(None);
    }
    let Some(location) = head.headers.get(LOCATION) else {
        return Ok(None);
    };
    let next = std::str::from_utf8(location.as_bytes()).ok().and_then(|text| request.url.join(text).ok());
    match next {
        Some(mut next) if matches!(next.scheme(), "http" | "https") && next.has_host() => {
            // A user name in a Location would become a sign-in nobody asked for.
            let _ = next.set_username("");
            let _ = next.set_password(None);
            Ok(Some(next))
        }
        _ => Err(problem::bad_redirect(&request.url)),
    }
}

/// Turns the request to its next address. What proves who we are stays with the host it was meant for.
pub(super) fn go(request: &mut Request, next: Url) {
    if next.origin() != request.url.origin() {
        drop_secrets(&mut request.headers);
        if let Some(anonymous) = request.route.as_ref().and_then(|route| route.anonymous.clone()) {
            request.route = Some(anonymous);
        }
    }
    request.url = next;
}

/// A header that is named like a secret is one, whoever set it: recipes and connections mark nothing.
fn drop_secrets(headers: &mut HeaderMap) {
    let mut name = None;
    for (next, value) in std::mem::take(headers) {
        name = next.or(name);
        let stays = |name: &&HeaderName| **name != HOST && !value.is_sensitive() && !is_secret_header(name.as_str());
        if let Some(name) = name.as_ref().filter(stays) {
            headers.append(name, value);
        }
    }
}
