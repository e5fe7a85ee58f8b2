//! TLS and HTTP/2: certificates, the protocol agreed on, sharing.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use connector::{
    AddressPolicy, Doubt, ErrorClass,
    http::{Http, HttpOptions, Request},
};
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use url::Url;

struct Server {
    port: u16,
    pem: String,
    connections: Arc<AtomicUsize>,
}

/// Answers with the protocol and the body of each request.
async fn server(protocols: &[&[u8]]) -> Server {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(cert.der().to_vec())],
            PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                    let about = format!("{:?} {} {}", request.version(), request.uri(), request.headers().contains_key("host"));
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(format!(
                        "{about} {}",
                        String::from_utf8_lossy(&body)
                    )))))
                });
                let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Server { port, pem: cert.pem(), connections }
}

fn client(pem: Option<&str>) -> Http {
    Http::new(HttpOptions {
        policy: AddressPolicy::with_private(),
        extra_roots_pem: pem.map(|pem| pem.as_bytes().to_vec()).into_iter().collect(),
        ..HttpOptions::default()
    })
    .unwrap()
}

fn call(port: u16, body: &'static str) -> Request {
    Request {
        body: Bytes::from_static(body.as_bytes()),
        ..Request::new(Method::POST, Url::parse(&format!("https://localhost:{port}/a?b=c")).unwrap())
    }
}

#[tokio::test]
async fn http2_is_used_when_both_speak_it_and_shared() {
    let server = server(&[b"h2", b"http/1.1"]).await;
    let http = client(Some(&server.pem));
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (http, port) = (http.clone(), server.port);
            tokio::spawn(async move { http.send(call(port, "hello")).await.unwrap() })
        })
        .collect();
    for call in calls {
        let body = call.await.unwrap().body;
        assert_eq!(String::from_utf8_lossy(&body), format!("HTTP/2.0 https://localhost:{}/a?b=c false hello", server.port));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn http1_is_used_otherwise_and_connections_are_kept() {
    let server = server(&[b"http/1.1"]).await;
    let http = client(Some(&server.pem));
    for _ in 0..3 {
        let body = http.send(call(server.port, "hello")).await.unwrap().body;
        assert_eq!(String::from_utf8_lossy(&body), "HTTP/1.1 /a?b=c true hello");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_before_anything_is_sent() {
    let server = server(&[b"http/1.1"]).await;
    let error = client(None).send(call(server.port, "hello")).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str(), error.doubt), (ErrorClass::Network, "TLS_FAILED", Doubt::Settled));
    // The certificate is for another name.
    let mut other = call(server.port, "hello");
    other.url.set_host(Some("127.0.0.1")).unwrap();
    let error = client(Some(&server.pem)).send(other).await.unwrap_err();
    assert_eq!(error.code, "TLS_FAILED");
}

#[tokio::test]
async fn what_is_no_certificate_is_told_at_start() {
    for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(
            Http::new(HttpOptions { extra_roots_pem: vec![pem.as_bytes().to_vec()], ..HttpOptions::default() }).is_err(),
            "{pem}"
        );
    }
}
