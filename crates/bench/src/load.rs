//! Closed-loop load: each client sends, waits for the whole answer, sends again. Loopback only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Events of this process, so that no two are the same.
static SENT: AtomicU64 = AtomicU64::new(0);

/// What the clients saw.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) seconds: f64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// The event every client sends; the id and the number differ each time.
pub(crate) fn event(id: u64) -> String {
    format!(
        "{{\"id\":\"ord_{id:016x}\",\"type\":\"order.created\",\"amount\":{amount},\"currency\":\"eur\",\"created\":1795000000,\
         \"customer\":{{\"id\":\"cus_{customer}\",\"name\":\"Acme Robotics {customer}\",\"email\":\"accounts{customer}@acme.example\",\
         \"address\":{{\"street\":\"Hafenstrasse 12\",\"city\":\"Hamburg\",\"zip\":\"20457\",\"country\":\"DE\"}}}},\
         \"lines\":[{{\"sku\":\"RA-100\",\"quantity\":1,\"price\":99900,\"text\":\"Robot arm, yearly service\"}},\
         {{\"sku\":\"GR-7\",\"quantity\":3,\"price\":8350,\"text\":\"Spare gripper\"}}],\
         \"note\":\"Please deliver before noon; the gate closes at one.\",\"channel\":\"web\"}}",
        amount = 1000 + id % 100_000,
        customer = id % 977,
    )
}

/// Runs `clients` for `seconds` against `address`.
pub(crate) async fn run(address: &str, path: &str, clients: usize, seconds: u64) -> anyhow::Result<Load> {
    if !address.starts_with("127.0.0.1:") {
        bail!("load goes to this machine only, not to {address}");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let workers: Vec<_> =
        (0..clients).map(|_| tokio::spawn(client(address.to_owned(), path.to_owned(), Arc::clone(&stop)))).collect();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    stop.store(true, Ordering::Relaxed);
    let (mut micros, mut refused, mut failed) = (Vec::new(), 0, 0);
    for worker in workers {
        let seen = worker.await.context("a client panicked")??;
        micros.extend(seen.accepted_us);
        refused += seen.refused;
        failed += seen.failed;
    }
    let elapsed = began.elapsed().as_secs_f64();
    micros.sort_unstable();
    let at = |share: f64| {
        micros
            .get(((micros.len() as f64 * share) as usize).min(micros.len().saturating_sub(1)))
            .map_or(0.0, |us| f64::from(*us) / 1000.0)
    };
    Ok(Load { seconds: elapsed, accepted: micros.len() as u64, refused, failed, p50_ms: at(0.5), p99_ms: at(0.99) })
}

#[derive(Default)]
struct Seen {
    accepted_us: Vec<u32>,
    refused: u64,
    failed: u64,
}

async fn client(address: String, path: String, stop: Arc<AtomicBool>) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 16 * 1024];
    while !stop.load(Ordering::Relaxed) {
        let body = event((u64::from(std::process::id()) << 32) | SENT.fetch_add(1, Ordering::Relaxed));
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        match answer(&mut stream, &mut buffer).await? {
            202 | 200 => seen.accepted_us.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX)),
            429 | 503 => {
                seen.refused += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            _ => seen.failed += 1,
        }
    }
    Ok(seen)
}

/// Reads one whole answer and gives its status.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<u16> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        filled += read;
        let Some(head) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head])?;
        let status = text.get(9..12).and_then(|code| code.parse().ok()).context("no status line")?;
        let length = text
            .lines()
            .find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")))
            .map_or(Ok(0), |(_, value)| value.trim().parse::<usize>())?;
        while filled < head + 4 + length {
            let read = stream.read(&mut buffer[filled..]).await?;
            if read == 0 {
                bail!("the answer ended early");
            }
            filled += read;
        }
        return Ok(status);
    }
}
