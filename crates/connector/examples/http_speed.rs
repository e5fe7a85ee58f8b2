//! What one call costs: processor time of this client against hyper-util's own, over loopback.
//!
//! `cargo run --release -p connector --example http_speed [calls] [threads] [at once]`. The server is a process of its own, so
//! that its time is not counted.
#![expect(clippy::print_stdout, reason = "it reports to whoever runs it")]

use std::{
    convert::Infallible,
    error::Error,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use connector::{
    AddressPolicy,
    http::{Http, HttpOptions, Request},
};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use url::Url;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;
const ANSWER: &[u8] = br#"{"id":"cus_123","ok":true,"amount":12345}"#;
const BODY: &[u8] = br#"{"name":"Ann","email":"ann@example.com","metadata":{"k":"v"}}"#;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "serve") {
        return tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve());
    }
    let number = |at: usize, default: usize| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (calls, threads, at_once) = (number(0, 200_000), number(1, 2), number(2, 64));
    let mut server = Command::new(std::env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
    let mut address = String::new();
    if let Some(out) = server.stdout.take() {
        BufReader::new(out).read_line(&mut address)?;
    }
    let url = Url::parse(&format!("http://{}/v1/customers?x=1", address.trim()))?;
    let result = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?.block_on(async {
        let http = Http::new(HttpOptions { policy: AddressPolicy::with_private(), ..HttpOptions::default() })?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let bare: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
        for round in 0..3 {
            let (http, bare) = (http.clone(), bare.clone());
            let shown = round > 0;
            measure("connector::http", shown, calls, at_once, &url, move |url| {
                let http = http.clone();
                async move { ours(&http, url).await }
            })
            .await?;
            measure("hyper-util", shown, calls, at_once, &url, move |url| {
                let bare = bare.clone();
                async move { theirs(&bare, url).await }
            })
            .await?;
        }
        Ok(())
    });
    server.kill()?;
    server.wait()?;
    result
}

async fn ours(http: &Http, url: Url) -> Outcome {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("idempotency-key", HeaderValue::from_static("run_x/step"));
    let request = Request {
        method: Method::POST,
        url,
        headers,
        body: Bytes::from_static(BODY),
        pieces: None,
        timeout: Duration::from_secs(30),
        follow_redirects: true,
        route: None,
    };
    let response = http.send(request).await?;
    assert_eq!(response.body.as_ref(), ANSWER);
    Ok(())
}

async fn theirs(bare: &Client<HttpConnector, Full<Bytes>>, url: Url) -> Outcome {
    let request = http::Request::post(url.as_str())
        .header("content-type", "application/json")
        .header("idempotency-key", "run_x/step")
        .header("user-agent", "Liaison")
        .header("accept", "*/*")
        .header("accept-encoding", "gzip, br")
        .body(Full::new(Bytes::from_static(BODY)))?;
    let body = tokio::time::timeout(Duration::from_secs(30), async {
        bare.request(request).await?.into_body().collect().await.map_err(Box::<dyn Error + Send + Sync>::from)
    })
    .await??;
    assert_eq!(body.to_bytes().as_ref(), ANSWER);
    Ok(())
}

async fn measure<F, Fut>(name: &str, shown: bool, calls: usize, at_once: usize, url: &Url, call: F) -> Outcome
where
    F: Fn(Url) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Outcome> + Send,
{
    let (cpu, start) = (cpu_us()?, Instant::now());
    let mut callers = Vec::new();
    for _ in 0..at_once {
        let (call, text) = (call.clone(), url.to_string());
        callers.push(tokio::spawn(async move {
            for _ in 0..calls / at_once {
                call(Url::parse(&text)?).await?;
            }
            Outcome::Ok(())
        }));
    }
    for caller in callers {
        caller.await??;
    }
    let done = (calls / at_once * at_once) as f64;
    if shown {
        println!(
            "{name:16} {:6.2} µs of processor time a call, {:7.0} calls a second",
            (cpu_us()? - cpu) / done,
            done / start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

/// User and system time of this process (proc(5), fields 14 and 15, in hundredths of a second).
fn cpu_us() -> Result<f64, Box<dyn Error + Send + Sync>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) * 10_000.0)
}

async fn serve() -> Outcome {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let answer = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let _ = request.into_body().collect().await;
                let mut response = http::Response::new(Full::new(Bytes::from_static(ANSWER)));
                response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
                Ok::<_, Infallible>(response)
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
