//! A mail server on this machine that speaks SMTP and behaves as badly as a test wants.

use std::sync::{Arc, Mutex};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// How it is protected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Plain,
    Starttls,
    Implicit,
}

/// A message as it was taken, with the commands that named its sender and recipients.
#[derive(Clone, Default)]
pub(crate) struct Message {
    pub(crate) envelope: Vec<String>,
    pub(crate) data: String,
}

#[derive(Default)]
struct Seen {
    commands: Vec<String>,
    messages: Vec<Message>,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) pem: String,
    seen: Arc<Mutex<Seen>>,
}

/// What to say instead of the usual: by the command's verb, `greeting` for the first line and `.` for the end
/// of a message. Nothing hangs up, `hang` says nothing for ever.
type Script = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Server {
    pub(crate) async fn start(mode: Mode, script: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(cert.der().to_vec())],
                PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (kept, script): (_, Script) = (Arc::clone(&seen), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen, script) = (acceptor.clone(), Arc::clone(&seen), Arc::clone(&script));
                tokio::spawn(async move {
                    if mode != Mode::Implicit {
                        return talk(Box::new(stream), mode, acceptor, &seen, &script).await;
                    }
                    if let Ok(stream) = acceptor.accept(stream).await {
                        talk(Box::new(stream), mode, acceptor, &seen, &script).await;
                    }
                });
            }
        });
        Self { port, pem: cert.pem(), seen: kept }
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.seen.lock().unwrap().commands.clone()
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.seen.lock().unwrap().messages.clone()
    }
}

/// False when the conversation is over.
async fn say(io: &mut BufReader<Box<dyn Io>>, script: &Script, verb: &str, usual: &str) -> bool {
    let line = script(verb).unwrap_or_else(|| usual.to_owned());
    if line == "hang" {
        std::future::pending::<()>().await;
    }
    !line.is_empty() && io.get_mut().write_all(line.as_bytes()).await.is_ok() && io.get_mut().flush().await.is_ok()
}

async fn talk(io: Box<dyn Io>, mode: Mode, acceptor: TlsAcceptor, seen: &Mutex<Seen>, script: &Script) {
    let mut io = BufReader::new(io);
    let mut message = Message::default();
    let mut open = mode == Mode::Starttls;
    if !say(&mut io, script, "greeting", "220 here\r\n").await {
        return;
    }
    loop {
        let mut line = String::new();
        if io.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let command = line.trim_end().to_owned();
        seen.lock().unwrap().commands.push(command.clone());
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_owned();
        let usual = match verb.as_str() {
            "EHLO" if open => "250-here\r\n250 STARTTLS\r\n",
            "EHLO" => "250-here\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n",
            "STARTTLS" => "220 go on\r\n",
            "AUTH" => "235 welcome\r\n",
            "MAIL" | "RCPT" | "RSET" | "NOOP" => "250 fine\r\n",
            "DATA" => "354 go on\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "500 what\r\n",
        };
        if matches!(verb.as_str(), "MAIL" | "RCPT") {
            message.envelope.push(command.split_inclusive('>').next().unwrap_or_default().to_owned());
        }
        let refused = script(&verb).is_some();
        if !say(&mut io, script, &verb, usual).await || verb == "QUIT" {
            return;
        }
        if verb == "STARTTLS" {
            let Ok(stream) = acceptor.accept(io.into_inner()).await else { return };
            io = BufReader::new(Box::new(stream));
            open = false;
        }
        if verb == "DATA" && !refused {
            message.data = data(&mut io).await;
            seen.lock().unwrap().messages.push(std::mem::take(&mut message));
            if !say(&mut io, script, ".", "250 taken\r\n").await {
                return;
            }
        }
    }
}

/// The message up to the line with a dot alone, doubled dots taken back (RFC 5321, 4.5.2).
async fn data(io: &mut BufReader<Box<dyn Io>>) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        if io.read_line(&mut line).await.unwrap_or(0) == 0 || line == ".\r\n" {
            return all;
        }
        all.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
