//! An alarm tells by e-mail, through a connection as a recipe's step would.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::harness::{KEY, Process};

/// A mail server that takes every message.
async fn mail_server() -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (messages, inbox) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let messages = messages.clone();
            tokio::spawn(async move {
                let _ = talk(stream, &messages).await;
            });
        }
    });
    (port, inbox)
}

async fn talk(stream: TcpStream, messages: &mpsc::UnboundedSender<String>) -> std::io::Result<()> {
    let mut io = BufReader::new(stream);
    io.write_all(b"220 here\r\n").await?;
    let mut said = String::new();
    loop {
        let mut line = String::new();
        if io.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        said.push_str(&line);
        let answer = match line.split([' ', ':', '\r']).next().unwrap_or_default() {
            "EHLO" => "250-here\r\n250 8BITMIME\r\n",
            "DATA" => {
                io.write_all(b"354 go on\r\n").await?;
                let mut line = String::new();
                while line != ".\r\n" {
                    said.push_str(&line);
                    line.clear();
                    io.read_line(&mut line).await?;
                }
                let _ = messages.send(std::mem::take(&mut said));
                "250 taken\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 fine\r\n",
        };
        io.write_all(answer.as_bytes()).await?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_by_mail_what_failed_and_how_often() {
    let (port, mut inbox) = mail_server().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve_with(folder.path(), &["--alarm-interval", "200ms"]);
    let config = json!({ "host": "localhost", "port": port, "tls": "none", "from": "Liaison <liaison@example.com>" });
    let connection = json!({ "name": "mail", "connector": "email", "config": config });
    let (status, told) = server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await;
    assert_eq!(status, 201, "{told}");
    server
        .set_up(
            "liaison: 1\nrecipe: story\ntrigger: { from: webhook }\nsteps: [{ id: bad, fail: \"no ${ trigger.body.id }\" }]\n",
        )
        .await;
    let set = std::process::Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(["alarms", "set", "failing", "--failures", "--recipe", "story", "--email", "mail:ann@example.com,bob@example.com"])
        .args(["--server", &format!("http://{}", server.address), "--api-key", KEY])
        .output()
        .unwrap();
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    server.send("card-4111").await.unwrap();
    let message = tokio::time::timeout(Duration::from_secs(30), inbox.recv()).await.expect("a message comes").unwrap();
    for part in [
        "RCPT TO:<ann@example.com>",
        "RCPT TO:<bob@example.com>",
        "Subject: story: failed with FAILED_BY_RECIPE (1)",
        "at the step bad",
    ] {
        assert!(message.contains(part), "no {part} in {message}");
    }
    assert!(!message.contains("4111"), "what was sent stays here: {message}");
    // The process that took it says so, and nobody sends it again.
    let sent = async {
        loop {
            let (_, page) = server.api("GET", "/api/v1/alarms/failing/notices", None).await;
            if page["data"][0]["state"] == "sent" {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let page = tokio::time::timeout(Duration::from_secs(30), sent).await.expect("it is sent");
    assert_eq!((page["data"].as_array().unwrap().len(), &page["data"][0]["tries"]), (1, &json!(1)));
    assert!(inbox.try_recv().is_err());
}
