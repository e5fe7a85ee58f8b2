//! A way to the database that can be cut and mended.

use std::sync::Arc;

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Passes connections on to a PostgreSQL while it is open.
pub(crate) struct Proxy {
    open: Arc<watch::Sender<bool>>,
    port: u16,
}

impl Proxy {
    /// Stands before the server of a database URL.
    pub(crate) async fn start(url: &str) -> Self {
        let url = url::Url::parse(url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(watch::Sender::new(true));
        let state = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut state = state.subscribe();
                if !*state.borrow_and_update() {
                    continue;
                }
                let server = server.clone();
                tokio::spawn(async move {
                    let Ok(mut database) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut database) => {}
                        _ = state.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { open, port }
    }

    /// The same database by way of this.
    pub(crate) fn url(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.to_string()
    }

    /// Ends every connection and lets no new one through.
    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.open.send_replace(true);
    }
}
