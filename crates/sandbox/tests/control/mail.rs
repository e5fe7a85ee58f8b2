//! The mail server, spoken to as any client would, and what the control API tells of its letters.

use reqwest::{Method, StatusCode};
use sandbox::Options;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::Control;

/// A client in a conversation.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn begin(control: &Control) -> Self {
        let mut client = Self(BufReader::new(TcpStream::connect(control.sandbox.mail()).await.unwrap()));
        assert!(client.hear().await.starts_with("220 "));
        client
    }

    /// The last line of an answer.
    async fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0, "it hung up");
            if line.as_bytes().get(3) == Some(&b' ') {
                return line;
            }
        }
    }

    async fn say(&mut self, text: &str) -> String {
        self.0.get_mut().write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
        self.hear().await
    }
}

#[tokio::test]
async fn a_letter_is_taken_and_told_and_forgotten() {
    let control = Control::start(Options::default()).await;
    let mut client = Client::begin(&control).await;
    for (said, code) in [
        ("EHLO here.example", "250 "),
        ("mail from:<ann@example.com> SIZE=300 BODY=8BITMIME", "250 "),
        ("RCPT TO:<bob@example.com>", "250 "),
        ("RCPT TO:<cem@example.com>", "250 "),
        ("DATA", "354 "),
    ] {
        assert!(client.say(said).await.starts_with(code), "{said}");
    }
    let letter = "From: Ann <ann@example.com>\r\nTo: bob@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        ..one dot, caf=C3=A9\r\n--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=sums.csv\r\nContent-Transfer-Encoding: base64\r\n\r\n\
        YSxiDQox\r\n--b--\r\n.";
    assert!(client.say(letter).await.starts_with("250 "));
    assert!(client.say("QUIT").await.starts_with("221 "));
    let letters = control.get("/letters").await;
    let told = &letters["letters"][0];
    assert_eq!(
        (&told["from"], &told["to"], &told["subject"]),
        (&json!("ann@example.com"), &json!(["bob@example.com", "cem@example.com"]), &json!("Grüße"))
    );
    assert_eq!(told["text"].as_str().unwrap().trim_end(), ".one dot, café", "a doubled dot is taken back");
    assert_eq!(told["attachments"], json!([{ "name": "sums.csv", "bytes": 6 }]));
    let sent = control.http.get(control.sandbox.control_url().join("/letters/1").unwrap()).send().await.unwrap();
    assert_eq!((sent.status(), sent.headers()["content-type"].to_str().unwrap()), (StatusCode::OK, "message/rfc822"));
    assert!(sent.text().await.unwrap().contains("YSxiDQox"));
    assert_eq!(control.ask(Method::GET, "/letters/2", None).await.0, StatusCode::NOT_FOUND);
    control.post("/reset", json!({})).await;
    assert_eq!(control.get("/letters").await["letters"], json!([]));
}

#[tokio::test]
async fn commands_out_of_order_and_letters_that_are_too_long_are_refused_and_the_conversation_goes_on() {
    let control = Control::start(Options::default()).await;
    let mut client = Client::begin(&control).await;
    for (said, code) in [
        ("MAIL FROM:<ann@example.com>", "503 "),
        ("EHLO", "501 "),
        ("HELO here.example", "250 "),
        ("RCPT TO:<bob@example.com>", "503 "),
        ("DATA", "503 "),
        ("MAIL ann@example.com", "501 "),
        ("MAIL FROM:<ann@example.com> SIZE=99999999", "552 "),
        ("MAIL FROM:<>", "250 "),
        ("MAIL FROM:<ann@example.com>", "503 "),
        ("RCPT TO:<>", "501 "),
        ("NOOP", "250 "),
        ("VRFY bob", "252 "),
        ("TURN", "500 "),
        ("RSET", "250 "),
        ("RCPT TO:<bob@example.com>", "503 "),
        ("MAIL FROM:<ann@example.com>", "250 "),
    ] {
        assert!(client.say(said).await.starts_with(code), "{said}");
    }
    for _ in 0..100 {
        assert!(client.say("RCPT TO:<bob@example.com>").await.starts_with("250 "));
    }
    assert!(client.say("RCPT TO:<bob@example.com>").await.starts_with("452 "));
    assert!(client.say("DATA").await.starts_with("354 "));
    let line = "x".repeat(998);
    let long: Vec<&str> = std::iter::repeat_n(line.as_str(), 11 * 1024).chain(["."]).collect();
    assert!(client.say(&long.join("\r\n")).await.starts_with("552 "));
    assert_eq!(control.get("/letters").await["letters"], json!([]));
    // A line without an end is nobody's letter.
    let mut endless = Client::begin(&control).await;
    let sent = endless.0.get_mut().write_all(&vec![b'x'; 1024 * 1024]).await;
    let mut line = String::new();
    let heard = endless.0.read_line(&mut line).await;
    assert!(sent.is_err() || heard.is_err() || line.is_empty(), "it hangs up: {line}");
    assert!(client.say("NOOP").await.starts_with("250 "), "others go on");
}
