//! Messages as they come over the wire: a length, then that many bytes of JSON.
//!
//! What cannot be read is told and passed over; a length is believed only up to a bound.

use std::io::{BufRead, Read};

use lsp_server::Message;

/// The largest message. A recipe has at most 1 MB, and its text is the largest thing a client sends.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest line of a head.
const HEAD_BYTES_MAX: u64 = 4096;

/// What was read.
#[derive(Debug)]
pub(super) enum Frame {
    Message(Message),
    /// Something that is no message, and why.
    Malformed(String),
    /// The client is gone.
    End,
}

/// Reads the next frame.
pub(super) fn read_frame(input: &mut impl BufRead) -> Frame {
    let length = match head(input) {
        Ok(Some(length)) => length,
        Ok(None) => return Frame::End,
        Err(why) => return Frame::Malformed(why),
    };
    if length > MESSAGE_BYTES_MAX {
        let copied = std::io::copy(&mut input.take(length as u64), &mut std::io::sink());
        return match copied {
            Ok(bytes) if bytes == length as u64 => {
                Frame::Malformed(format!("a message has {length} bytes; at most {MESSAGE_BYTES_MAX} are read"))
            }
            _ => Frame::End,
        };
    }
    let mut body = vec![0; length];
    if input.read_exact(&mut body).is_err() {
        return Frame::End;
    }
    match serde_json::from_slice(&body) {
        Ok(message) => Frame::Message(message),
        Err(error) => Frame::Malformed(format!("this is no JSON-RPC message: {error}")),
    }
}

/// The length of the next body; `None` at the end. Lines that belong to no head are passed over.
fn head(input: &mut impl BufRead) -> Result<Option<usize>, String> {
    let mut length = None;
    loop {
        let mut line = Vec::new();
        let read = input.by_ref().take(HEAD_BYTES_MAX).read_until(b'\n', &mut line);
        match read {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        if line.is_empty() {
            match length {
                Some(length) => return Ok(Some(length)),
                // Blank lines between messages hurt nobody.
                None => continue,
            }
        }
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => match value.trim().parse() {
                Ok(value) => length = Some(value),
                Err(_) => return Err(format!("\"{}\" is no length", value.trim())),
            },
            Some((name, _)) if name.eq_ignore_ascii_case("content-type") => {}
            _ => return Err("a message begins with its Content-Length".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<String> {
        let mut input = std::io::BufReader::new(bytes);
        let mut found = Vec::new();
        loop {
            match read_frame(&mut input) {
                Frame::Message(Message::Notification(note)) => found.push(note.method),
                Frame::Message(other) => found.push(format!("{other:?}")),
                Frame::Malformed(_) => found.push("malformed".to_owned()),
                Frame::End => return found,
            }
        }
    }

    fn framed(body: &str) -> String {
        format!("Content-Length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn what_is_no_message_is_passed_over() {
        let good = framed(r#"{"jsonrpc":"2.0","method":"hello"}"#);
        let twice = format!("{good}{good}");
        assert_eq!(read(twice.as_bytes()), ["hello", "hello"]);
        let mixed = format!("{}{good}", framed("{nonsense"));
        assert_eq!(read(mixed.as_bytes()), ["malformed", "hello"]);
        let mixed = format!("garbage\r\nContent-Length: x\r\n\r\n{good}");
        assert_eq!(read(mixed.as_bytes()), ["malformed", "malformed", "hello"]);
        let mut bytes = b"Content-Length: 2\r\n\r\n\xff\xfe".to_vec();
        bytes.extend(good.as_bytes());
        assert_eq!(read(&bytes), ["malformed", "hello"]);
        assert_eq!(read(b"Content-Length: 99999999999999999999999\r\n\r\n"), ["malformed"]);
        assert_eq!(read(b"Content-Length: 99999999999\r\n\r\n{}"), Vec::<String>::new(), "no memory is taken for it");
    }
}
