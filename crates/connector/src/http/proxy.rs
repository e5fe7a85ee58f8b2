//! Reaches a system through a forward proxy.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::{Host, Url};

use super::{
    Inner,
    connect::{addresses, tcp},
    pool::Origin,
    problem,
    route::Proxy,
};
use crate::{
    error::{ErrorClass, StepError},
    net::NetProblem,
};

/// Largest answer to CONNECT that is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a name may take to be judged before it is left to the proxy.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection to the proxy; for https it leads on to the system.
pub(super) async fn open(inner: &Inner, origin: &Origin, url: &Url, proxy: &Proxy) -> Result<TcpStream, StepError> {
    judge(inner, origin, url).await?;
    let place = Origin::new(&proxy.url, None)?;
    let found = if proxy.trusted {
        let host = proxy.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        tokio::net::lookup_host((host, place.port)).await.map_err(|error| problem::dns(&proxy.url, &error))?.collect()
    } else {
        addresses(inner, &place, &proxy.url).await?
    };
    let mut stream = tcp(&found).await.map_err(|error| problem::connect(&proxy.url, &error))?;
    if origin.https {
        tunnel(&mut stream, origin, proxy).await?;
    }
    Ok(stream)
}

/// The proxy resolves the name, not we. What we can judge is judged all the same: numbers always, and names
/// that are known here. A name only the proxy knows is the proxy's to allow.
async fn judge(inner: &Inner, origin: &Origin, url: &Url) -> Result<(), StepError> {
    if !matches!(origin.host, Host::Domain(_)) {
        return addresses(inner, origin, url).await.map(drop);
    }
    match tokio::time::timeout(LOOKUP_TIMEOUT, addresses(inner, origin, url)).await {
        Ok(Err(refused)) if refused.class == ErrorClass::Denied => Err(refused),
        _ => Ok(()),
    }
}

async fn tunnel(stream: &mut TcpStream, origin: &Origin, proxy: &Proxy) -> Result<(), StepError> {
    let target = format!("{}:{}", origin.host, origin.port);
    let sign_in =
        proxy.authorization.as_ref().map(|value| format!("proxy-authorization: {}\r\n", value.expose())).unwrap_or_default();
    let request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{sign_in}\r\n");
    let broken = |error: std::io::Error| problem::connect(&proxy.url, &error);
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut head = Vec::new();
    // Byte by byte: what follows the head belongs to the system.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_BYTES_MAX {
            return Err(refused(proxy, "its answer has no end".to_owned()));
        }
        head.push(stream.read_u8().await.map_err(broken)?);
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    match line.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()) {
        Some(200..=299) => Ok(()),
        Some(407) => {
            Err(StepError::new(ErrorClass::Auth, "PROXY_SIGN_IN", format!("the proxy {} wants a sign-in", place(proxy)))
                .with_next("Give the proxy's user name and password."))
        }
        Some(status) => Err(refused(proxy, format!("it answered {status}"))),
        None => Err(refused(proxy, "it is no HTTP proxy".to_owned())),
    }
}

fn place(proxy: &Proxy) -> &str {
    &proxy.url[url::Position::BeforeHost..url::Position::AfterPort]
}

fn refused(proxy: &Proxy, why: String) -> StepError {
    let why =
        NetProblem { code: "PROXY_REFUSED", message: format!("the proxy {} did not let the call through: {why}", place(proxy)) };
    StepError::new(ErrorClass::Network, why.code, why.message)
        .with_next("Check the proxy's address, and whether it lets this system through.")
}
