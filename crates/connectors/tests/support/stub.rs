//! A system that answers what a test says, for what no simulated system does: gateways' pages, lists without an end.

use std::sync::{Arc, Mutex};

use serde_json::Value as Json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub body: String,
}

/// What is answered.
pub struct Said {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Said {
    pub fn json(status: u16, body: &Json) -> Self {
        Self { status, headers: vec![("content-type", "application/json".to_owned())], body: body.to_string() }
    }

    /// A gateway's page.
    pub fn page(status: u16) -> Self {
        let body = "<html><body>Not here</body></html>".to_owned();
        Self { status, headers: vec![("content-type", "text/html".to_owned())], body }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// Answers each request with what a function makes of it.
pub struct Stub {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    pub async fn start(answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, kept) = (Arc::new(answer), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
                tokio::spawn(async move {
                    let mut stream = stream;
                    let Some(request) = read(&mut stream).await else { return };
                    kept.lock().unwrap().push(request.clone());
                    let said = answer(&request);
                    let mut head = format!("HTTP/1.1 {} Said\r\nconnection: close\r\n", said.status);
                    if said.status != 204 {
                        head.push_str(&format!("content-length: {}\r\n", said.body.len()));
                    }
                    for (name, value) in &said.headers {
                        head.push_str(&format!("{name}: {value}\r\n"));
                    }
                    let _ = stream.write_all(format!("{head}\r\n{}", said.body).as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { url, asked }
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// A whole request, or nothing when the other side went away.
pub async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if bytes.len() >= end + 4 + length.unwrap_or_default() {
                let mut words = head.split(' ').map(str::to_owned);
                let (method, target) = (words.next()?, words.next()?);
                return Some(Asked { method, target, body: String::from_utf8_lossy(&bytes[end + 4..]).into_owned() });
            }
        }
        match stream.read(&mut piece).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&piece[..count]),
            _ => return None,
        }
    }
}
