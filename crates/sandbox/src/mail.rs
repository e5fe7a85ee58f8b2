//! A mail server that takes every letter and sends none: for recipes that tell people by mail.
//!
//! It speaks the commands every server must (RFC 5321, 4.5.1), in the open and without sign-in, and keeps the newest letters.

mod letters;

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub use self::letters::{Attachment, Letter, Letters};
use crate::World;

/// Longest line, its end included. Commands may have 512 bytes and lines of a letter 1,000 (RFC 5321, 4.5.3.1); some clients
/// write longer ones.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// Longest letter.
const LETTER_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Recipients of one letter; a server takes at least 100 (RFC 5321, 4.5.3.1.8).
const RECIPIENTS_MAX: usize = 100;
/// Conversations at the same time; further ones are told to come later.
const CONVERSATIONS_MAX: usize = 50;
/// Longest silence of a client; a server waits at least five minutes (RFC 5321, 4.5.3.2.7).
const PATIENCE: Duration = Duration::from_secs(300);
/// How a client may call us, and we it.
const NAME: &str = "mail.sandbox.invalid";

/// Takes letters until it is dropped.
pub(crate) async fn serve(socket: TcpListener, world: Arc<World>) {
    let mut conversations = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((mut stream, _)) if conversations.len() >= CONVERSATIONS_MAX => {
                    let _ = stream.try_write(b"421 too many conversations, come later\r\n");
                    let _ = stream.shutdown().await;
                }
                Ok((stream, _)) => { conversations.spawn(conversation(stream, world.clone())); }
                // Out of file handles: others may close some.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = conversations.join_next() => {}
        }
    }
}

async fn conversation(stream: TcpStream, world: Arc<World>) {
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    // A client that hangs up or falls silent takes what it had not ended with it.
    let _ = talk(BufReader::new(read), write, &world).await;
}

/// A letter on its way in.
#[derive(Default)]
struct Envelope {
    from: Option<String>,
    to: Vec<String>,
}

async fn talk(mut read: impl AsyncBufRead + Unpin, mut write: impl AsyncWrite + Unpin, world: &World) -> io::Result<()> {
    let mut greeted = false;
    let mut envelope = Envelope::default();
    say(&mut write, &format!("220 {NAME} ESMTP takes every letter and sends none")).await?;
    while let Some(line) = line(&mut read).await? {
        let Ok(line) = std::str::from_utf8(&line) else {
            say(&mut write, "500 commands are text").await?;
            continue;
        };
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let answer = match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" if rest.trim().is_empty() => "501 say who you are".to_owned(),
            "EHLO" => {
                (greeted, envelope) = (true, Envelope::default());
                format!("250-{NAME}\r\n250-SIZE {LETTER_BYTES_MAX}\r\n250-8BITMIME\r\n250 SMTPUTF8")
            }
            "HELO" => {
                (greeted, envelope) = (true, Envelope::default());
                format!("250 {NAME}")
            }
            "MAIL" if !greeted => "503 say EHLO first".to_owned(),
            "MAIL" if envelope.from.is_some() => "503 there is a sender already".to_owned(),
            "MAIL" => match path(rest, "FROM:") {
                Some((from, parameters)) if fits(parameters) => {
                    envelope.from = Some(from);
                    "250 fine".to_owned()
                }
                Some(_) => "552 the letter is too long".to_owned(),
                None => "501 write MAIL FROM:<address>".to_owned(),
            },
            "RCPT" if envelope.from.is_none() => "503 say MAIL first".to_owned(),
            "RCPT" if envelope.to.len() >= RECIPIENTS_MAX => "452 too many recipients".to_owned(),
            "RCPT" => match path(rest, "TO:") {
                Some((to, _)) if !to.is_empty() => {
                    envelope.to.push(to);
                    "250 fine".to_owned()
                }
                _ => "501 write RCPT TO:<address>".to_owned(),
            },
            "DATA" if envelope.to.is_empty() => "503 say MAIL and RCPT first".to_owned(),
            "DATA" => {
                say(&mut write, "354 go on, a line with a dot alone ends it").await?;
                let Some(letter) = letter(&mut read).await? else { return Ok(()) };
                let Envelope { from, to } = std::mem::take(&mut envelope);
                match letter {
                    Some(bytes) => {
                        let number = world.letters().take(world.clock().now(), from.unwrap_or_default(), to, bytes);
                        format!("250 taken as letter {number}")
                    }
                    None => "552 the letter is too long".to_owned(),
                }
            }
            "RSET" => {
                envelope = Envelope::default();
                "250 fine".to_owned()
            }
            "NOOP" => "250 fine".to_owned(),
            "VRFY" => "252 everybody gets letters here".to_owned(),
            "QUIT" => return say(&mut write, "221 good bye").await,
            _ => "500 this command is not known".to_owned(),
        };
        say(&mut write, &answer).await?;
    }
    Ok(())
}

async fn say(write: &mut (impl AsyncWrite + Unpin), answer: &str) -> io::Result<()> {
    write.write_all(format!("{answer}\r\n").as_bytes()).await?;
    write.flush().await
}

/// The next line without its end; `None` when there is no more.
async fn line(read: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut bounded = read.take(LINE_BYTES_MAX);
    let got = tokio::time::timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await;
    if got.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::InvalidData.into());
    }
    line.pop_if(|byte| *byte == b'\r');
    Ok(Some(line))
}

/// A letter up to the line with a dot alone, dots that were doubled taken back (RFC 5321, 4.5.2). The inner `None` stands for
/// one that is too long; it is read to its end, so that the client hears why.
async fn letter(read: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Option<Vec<u8>>>> {
    let mut bytes = Some(Vec::new());
    while let Some(line) = line(read).await? {
        if line == b"." {
            return Ok(Some(bytes));
        }
        let line = line.strip_prefix(b".").unwrap_or(&line);
        bytes = bytes.filter(|bytes| bytes.len() + line.len() + 2 <= LETTER_BYTES_MAX);
        if let Some(bytes) = &mut bytes {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(b"\r\n");
        }
    }
    Ok(None)
}

/// The address of `FROM:<address>` and what stands behind it; the address may be empty.
fn path<'a>(rest: &'a str, word: &str) -> Option<(String, &'a str)> {
    let (head, tail) = rest.trim_start().split_at_checked(word.len())?;
    if !head.eq_ignore_ascii_case(word) {
        return None;
    }
    let (address, parameters) = tail.trim_start().strip_prefix('<')?.split_once('>')?;
    Some((address.to_owned(), parameters))
}

/// Whether a letter of the announced size is short enough (RFC 1870).
fn fits(parameters: &str) -> bool {
    let size =
        parameters.split_whitespace().find_map(|parameter| parameter.to_ascii_uppercase().strip_prefix("SIZE=")?.parse().ok());
    size.is_none_or(|size: usize| size <= LETTER_BYTES_MAX)
}
