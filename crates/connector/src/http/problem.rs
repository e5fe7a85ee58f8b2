//! The sentences of failed calls. Addresses in them never show user name, password or query.

use std::{io, time::Duration};

use ::http::StatusCode;
use url::Url;

use crate::error::{Doubt, ErrorClass, StepError};

/// Scheme, host, port and path: what may be told about an address.
pub(super) fn place(url: &Url) -> String {
    url[..url::Position::AfterPath].to_owned()
}

fn host(url: &Url) -> &str {
    &url[url::Position::BeforeHost..url::Position::AfterPort]
}

fn doubtful(mut error: StepError) -> StepError {
    error.doubt = Doubt::MayHaveHappened;
    error
}

/// A time limit, as people set it: what is left of one second when the call begins is still one second.
fn seconds(length: Duration) -> String {
    let ms = match length.as_millis() {
        ms @ 0..100 => ms,
        ms => ms.div_ceil(10) * 10,
    };
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}

pub(super) fn bad_url(why: &str) -> StepError {
    StepError::new(ErrorClass::Invalid, "URL_INVALID", format!("the address cannot be called: {why}"))
        .with_next("Give a full address such as https://api.example.com/v1/items.")
}

pub(super) fn dns(url: &Url, error: &io::Error) -> StepError {
    StepError::new(
        ErrorClass::Network,
        "DNS_FAILED",
        format!("the name {} could not be resolved: {error}", url.host_str().unwrap_or_default()),
    )
    .with_next("Check the host name in the address, and the name service of this machine.")
}

pub(super) fn connect(url: &Url, error: &io::Error) -> StepError {
    let (code, what) = match error.kind() {
        io::ErrorKind::ConnectionRefused => ("CONNECTION_REFUSED", "nothing listens there".to_owned()),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            ("HOST_UNREACHABLE", "there is no way to that host".to_owned())
        }
        _ => ("CONNECTION_FAILED", error.to_string()),
    };
    StepError::new(ErrorClass::Network, code, format!("{} could not be reached: {what}", host(url)))
        .with_next("Check the address and that the system is up; it is tried again by itself.")
}

pub(super) fn tls(url: &Url, error: &io::Error) -> StepError {
    let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if matches!(rustls, Some(rustls::Error::InvalidMessage(_))) {
        return StepError::new(ErrorClass::Network, "TLS_FAILED", format!("{} does not speak TLS at that port", host(url)))
            .with_next("Check the address and its port: is it this system's, and does it want https://?");
    }
    StepError::new(ErrorClass::Network, "TLS_FAILED", format!("no trusted connection to {}: {error}", host(url)))
        .with_next("Check the certificate of the system; a company's own authority can be added to the trusted certificates.")
}

pub(super) fn handshake(url: &Url, error: &hyper::Error) -> StepError {
    StepError::new(ErrorClass::Network, "CONNECTION_FAILED", format!("{} could not be reached: {error}", host(url)))
        .with_next("Check the address and that the system is up; it is tried again by itself.")
}

pub(super) fn connect_timeout(url: &Url, length: Duration) -> StepError {
    StepError::new(
        ErrorClass::Timeout,
        "CONNECT_TIMEOUT",
        format!("no connection to {} within {}; nothing was sent", host(url), seconds(length)),
    )
    .with_next("Check that the system can be reached from this machine.")
}

pub(super) fn answer_timeout(url: &Url, length: Duration) -> StepError {
    doubtful(
        StepError::new(
            ErrorClass::Timeout,
            "TIMEOUT",
            format!("no answer from {} within {}; the request was sent", host(url), seconds(length)),
        )
        .with_next("See in the other system whether it happened, or allow the step more time."),
    )
}

pub(super) fn not_sent(url: &Url, error: &hyper::Error) -> StepError {
    StepError::new(
        ErrorClass::Network,
        "CONNECTION_LOST",
        format!("the connection to {} broke before anything was sent: {}", host(url), cause(error)),
    )
    .with_next("It is tried again by itself.")
}

pub(super) fn lost(url: &Url, error: &hyper::Error) -> StepError {
    let code = if error.is_parse() { "ANSWER_UNREADABLE" } else { "CONNECTION_LOST" };
    let what = if error.is_parse() { "the answer is not HTTP" } else { "the connection broke before an answer came" };
    let next = if error.is_parse() {
        "Check the address and its port: is it this system's, and does it want https://? See in the other system whether it happened."
    } else {
        "See in the other system whether it happened."
    };
    doubtful(
        StepError::new(ErrorClass::Network, code, format!("{}: {what}; the request was sent ({})", host(url), cause(error)))
            .with_next(next),
    )
}

pub(super) fn truncated(url: &Url, status: StatusCode, error: &hyper::Error) -> StepError {
    doubtful(
        StepError::new(
            ErrorClass::Network,
            "ANSWER_TRUNCATED",
            format!("{} answered {} but the connection broke inside the body ({})", host(url), status.as_u16(), cause(error)),
        )
        .with_next("See in the other system whether it happened."),
    )
}

pub(super) fn undecodable(url: &Url, status: StatusCode, encoding: &str) -> StepError {
    after_answer(
        status,
        StepError::new(
            ErrorClass::Network,
            "ANSWER_UNREADABLE",
            format!("{} answered {} with a body that is not valid {encoding}", host(url), status.as_u16()),
        )
        .with_next("See in the other system whether it happened. If it stays, something on the way changes its answers, such as a proxy."),
    )
}

pub(super) fn too_large(url: &Url, status: StatusCode, bytes_max: usize) -> StepError {
    after_answer(
        status,
        StepError::new(
            ErrorClass::Invalid,
            "RESPONSE_TOO_LARGE",
            format!("{} answered {} with more than {bytes_max} bytes", host(url), status.as_u16()),
        )
        .with_next("Ask for less at a time: a smaller page, fewer fields, a filter."),
    )
}

/// An answer we cannot use still says that the effect took place, unless it is an error answer.
fn after_answer(status: StatusCode, error: StepError) -> StepError {
    if status.is_client_error() || status.is_server_error() { error } else { doubtful(error) }
}

pub(super) fn bad_redirect(url: &Url) -> StepError {
    StepError::new(
        ErrorClass::Invalid,
        "REDIRECT_INVALID",
        format!("{} redirects to an address that cannot be called", place(url)),
    )
    .with_next("Call the final address directly.")
}

pub(super) fn too_many_redirects(url: &Url, max: u8) -> StepError {
    StepError::new(ErrorClass::Invalid, "TOO_MANY_REDIRECTS", format!("more than {max} redirects, the last from {}", place(url)))
        .with_next("Call the final address directly.")
}

/// The innermost cause: hyper's own text is often only "connection error".
fn cause(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
