//! Hands a message to the mail server (RFC 5321).

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use connector::{Cx, Doubt, ErrorClass, Mask, StepError};
use lettre::{
    address::Envelope,
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters},
        extension::ClientId,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::settings::{Server, Tls};

/// Most of the mail server's own words put into a message.
const WORDS_CHARS_MAX: usize = 300;
/// Most that is read from a mail server in one conversation.
const ANSWER_BYTES_MAX: usize = 1_000_000;
/// How long the goodbye may take; the message is safe by then.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends the message to everybody or to nobody; gives the server's own words.
pub(super) async fn deliver(cx: &Cx, server: &Server<'_>, envelope: &Envelope, bytes: &[u8]) -> Result<String, StepError> {
    let deadline = Instant::now() + cx.timeout;
    let mut connection = signed_in(cx, server, deadline).await?;
    match tokio::time::timeout_at(deadline, connection.send(envelope, bytes)).await {
        Ok(Ok(response)) => {
            // The message is taken; whether the goodbye arrives changes nothing.
            let _ = tokio::time::timeout(QUIT_TIMEOUT, connection.quit()).await;
            Ok(response.message().collect::<Vec<_>>().join(" ").chars().take(WORDS_CHARS_MAX).collect())
        }
        Ok(Err(error)) => {
            let mut failed = told(server, &error);
            // Words of the server are a definite answer. Without them the message may have been taken.
            if error.status().is_none() {
                failed.doubt = Doubt::MayHaveHappened;
            }
            Err(failed)
        }
        Err(_) => {
            let mut failed = late(server, cx.timeout);
            failed.doubt = Doubt::MayHaveHappened;
            Err(failed.with_next("See whether the message arrived, or allow the step more time."))
        }
    }
}

/// Connects and signs in, and sends nothing.
pub(super) async fn check(cx: &Cx, server: &Server<'_>) -> Result<(), StepError> {
    let mut connection = signed_in(cx, server, Instant::now() + cx.timeout).await?;
    let _ = tokio::time::timeout(QUIT_TIMEOUT, connection.quit()).await;
    Ok(())
}

async fn signed_in(cx: &Cx, server: &Server<'_>, deadline: Instant) -> Result<AsyncSmtpConnection, StepError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let stream = cx.http.dial(server.host, server.port, left).await?;
    let peer = stream.peer_addr();
    let stream = match server.tls {
        Tls::Implicit => Stream::new(cx.http.dial_tls(stream, server.host, server.ca.map(str::as_bytes), left).await?, peer),
        Tls::Starttls | Tls::None => Stream::new(stream, peer),
    };
    match tokio::time::timeout_at(deadline, introduced(cx, server, stream)).await {
        Ok(result) => result,
        Err(_) => Err(late(server, cx.timeout).with_next("Check the mail server's address, port and protection.")),
    }
}

async fn introduced(cx: &Cx, server: &Server<'_>, stream: Stream) -> Result<AsyncSmtpConnection, StepError> {
    let hello = ClientId::Domain(server.hello.to_owned());
    let fail = |error: lettre::transport::smtp::Error| told(server, &error);
    let mut connection = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await.map_err(fail)?;
    if server.tls == Tls::Starttls {
        if !connection.can_starttls() {
            connection.abort().await;
            return Err(StepError::new(
                ErrorClass::Network,
                "TLS_MISSING",
                format!("{} offers no protection (STARTTLS)", place(server)),
            )
            .with_next("Set tls to implicit (often port 465), or none for a server on this machine."));
        }
        connection.starttls(parameters(cx, server)?, &hello).await.map_err(|error| {
            let failed = told(server, &error);
            // The library has no word of its own for a handshake that fails here.
            if failed.code == "CONNECTION_LOST" { StepError { code: "TLS_FAILED".to_owned(), ..failed } } else { failed }
        })?;
    }
    if let Some((username, password)) = server.sign_in {
        let credentials = Credentials::new(username.expose().to_owned(), password.expose().to_owned());
        connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(|error| {
            let failed = told(server, &error);
            if failed.class == ErrorClass::Invalid { StepError { class: ErrorClass::Auth, ..failed } } else { failed }
        })?;
    }
    Ok(connection)
}

fn parameters(cx: &Cx, server: &Server<'_>) -> Result<TlsParameters, StepError> {
    let refused = |error: lettre::transport::smtp::Error| {
        StepError::new(ErrorClass::Network, "TLS_FAILED", format!("no trusted connection to {}: {error}", place(server)))
    };
    let mut builder = TlsParameters::builder(server.host.to_owned());
    for pem in cx.http.extra_roots_pem().iter().map(Vec::as_slice).chain(server.ca.map(str::as_bytes)) {
        builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(refused)?);
    }
    builder.build_rustls().map_err(refused)
}

fn place(server: &Server<'_>) -> String {
    format!("the mail server {}:{}", server.host, server.port)
}

fn late(server: &Server<'_>, limit: Duration) -> StepError {
    StepError::new(ErrorClass::Timeout, "TIMEOUT", format!("{} did not answer within {} s", place(server), limit.as_secs_f64()))
}

/// The failure in the words and classes of every other: by the reply code (RFC 5321, 4.2) and, where there
/// is one, the enhanced code in its text (RFC 3463).
fn told(server: &Server<'_>, error: &lettre::transport::smtp::Error) -> StepError {
    let secrets = server.sign_in.into_iter().flat_map(|(username, password)| [username, password]);
    let words = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let words: String = Mask::new(secrets).text(&words).split_whitespace().collect::<Vec<_>>().join(" ");
    let words: String = words.chars().filter(|c| !c.is_control()).take(WORDS_CHARS_MAX).collect();
    let Some(code) = error.status() else {
        let (class, code) = if error.is_timeout() {
            (ErrorClass::Timeout, "TIMEOUT")
        } else if error.is_tls() {
            (ErrorClass::Network, "TLS_FAILED")
        } else if error.is_client() {
            (ErrorClass::Invalid, "SMTP_REFUSED")
        } else {
            (ErrorClass::Network, "CONNECTION_LOST")
        };
        return StepError::new(class, code, format!("{}: {words}", place(server)));
    };
    let code: u16 = code.into();
    let (class, next) = class(code, &words);
    StepError::new(class, format!("SMTP_{code}"), format!("{} answered {code}: {words}", place(server))).with_next(next)
}

fn class(code: u16, words: &str) -> (ErrorClass, &'static str) {
    let enhanced = |start: &str| words.split_whitespace().next().is_some_and(|word| word.starts_with(start));
    match code {
        452 => (ErrorClass::RateLimited, "Nothing to do: it is tried again later."),
        400..=499 => {
            (ErrorClass::Server, "Nothing to do: it is tried again later. If it stays, ask whoever runs the mail server.")
        }
        530 | 534 | 535 | 538 => {
            (ErrorClass::Auth, "Check user name and password of the connection; many mail servers want a password for programs.")
        }
        552 => (ErrorClass::Invalid, "Send less: fewer or smaller attachments."),
        _ if enhanced("5.7.") => {
            (ErrorClass::Denied, "The mail server does not allow this sender or message; ask whoever runs it.")
        }
        _ if enhanced("5.1.") => (ErrorClass::NotFound, "Check the address."),
        550 | 551 | 553 => (ErrorClass::NotFound, "Check the addresses of sender and recipients."),
        554 => (ErrorClass::Denied, "The mail server does not allow this message; its answer says why."),
        _ => (ErrorClass::Invalid, "Correct what is sent; the answer says what was wrong."),
    }
}

/// A connection that was judged and perhaps protected before the mail library gets it. It reads no more than
/// a mail server has to say: the library would take in a line without end.
struct Stream {
    io: Box<dyn Io>,
    peer: io::Result<SocketAddr>,
    bytes_left: usize,
}

trait Io: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Io for T {}

impl Stream {
    fn new(io: impl Io + 'static, peer: io::Result<SocketAddr>) -> Self {
        Self { io: Box::new(io), peer, bytes_left: ANSWER_BYTES_MAX }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer.as_ref().copied().map_err(|error| error.kind().into())
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut *self.io).poll_read(cx, buffer);
        match self.bytes_left.checked_sub(buffer.filled().len() - before) {
            Some(left) => self.bytes_left = left,
            None => return Poll::Ready(Err(io::Error::other("the mail server says more than a mail server has to say"))),
        }
        result
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}
