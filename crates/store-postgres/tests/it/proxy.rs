//! Between store and server: loses the answer to one chosen message, after the server acted on it.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Mutex,
};

/// Passes everything on until it is told what to lose.
pub(crate) struct Proxy {
    /// The address of the server as seen through here.
    pub(crate) url: String,
    lose: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Proxy {
    /// Stands before the server at `url`.
    pub(crate) async fn before(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (server, database) = rest.split_once('/').unwrap();
        let server = if server.contains(':') { server.to_owned() } else { format!("{server}:5432") };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (at, joint) = (if user.is_empty() { "" } else { "@" }, if database.contains('?') { '&' } else { '?' });
        // What is encrypted cannot be watched.
        let url = format!("{scheme}://{user}{at}127.0.0.1:{port}/{database}{joint}sslmode=disable");
        let lose: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
        let to_lose = Arc::clone(&lose);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&to_lose)));
            }
        });
        Self { url, lose }
    }

    /// Loses the answer to the next message that contains these bytes, and the connection with it.
    pub(crate) async fn lose_answer_to(&self, message: &[u8]) {
        *self.lose.lock().await = Some(message.to_vec());
    }

    /// True when it was lost.
    pub(crate) async fn has_lost(&self) -> bool {
        self.lose.lock().await.is_none()
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, lose: Arc<Mutex<Option<Vec<u8>>>>) {
    let (mut question, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let Ok(length @ 1..) = read else { return };
                let found = {
                    let mut lose = lose.lock().await;
                    let found = lose.as_ref().is_some_and(|bytes| question[..length].windows(bytes.len()).any(|window| window == bytes));
                    if found {
                        *lose = None;
                    }
                    found
                };
                if server.write_all(&question[..length]).await.is_err() {
                    return;
                }
                if found {
                    // It is durable when the server answers.
                    drop(server.read(&mut answer).await);
                    return;
                }
            }
            read = server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
