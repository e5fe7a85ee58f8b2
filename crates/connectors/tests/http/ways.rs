//! The way to a system: certificates, TLS versions, proxies, redirects.

use std::sync::{Arc, Mutex};

use connector::{
    AddressPolicy, Connection, Cx, Doubt, ErrorClass, Secret, StepError,
    http::{Http, HttpOptions, Proxy},
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::{
    call, cx, http,
    support::{Act, Server, answer},
    through,
};

struct Pair {
    pem: String,
    key: String,
    der: Vec<u8>,
    key_der: Vec<u8>,
}

fn pair(name: &str) -> Pair {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    Pair { pem: cert.pem(), key: signing_key.serialize_pem(), der: cert.der().to_vec(), key_der: signing_key.serialize_der() }
}

async fn head(io: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// Answers with the TLS version and how many certificates it was shown. With `client`, it insists on that one.
async fn secured(own: &Pair, client: Option<&Pair>, versions: &'static [&'static rustls::SupportedProtocolVersion]) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
    let builder = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from(client.der.clone())).unwrap();
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
            )
        }
    };
    let key = PrivateKeyDer::try_from(own.key_der.clone()).unwrap();
    let config = builder.with_single_cert(vec![CertificateDer::from(own.der.clone())], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let about = {
                    let session = stream.get_ref().1;
                    format!("{:?} {}", session.protocol_version().unwrap(), session.peer_certificates().map_or(0, <[_]>::len))
                };
                while head(&mut stream).await.is_some() {
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{about}", about.len());
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

const BOTH: &[&rustls::SupportedProtocolVersion] = rustls::ALL_VERSIONS;
const OLD: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

async fn told(connection: Connection) -> Result<Json, StepError> {
    call(cx(Some(connection)), json!({"path": "/"})).await.map(|output| output["body"].clone())
}

#[tokio::test]
async fn a_connection_has_its_own_trust_and_shows_its_own_certificate() {
    let (own, ours) = (pair("localhost"), pair("liaison"));
    let port = secured(&own, Some(&ours), BOTH).await;
    let base = format!("https://localhost:{port}/");
    let config = json!({"base_url": base, "tls": {"ca": own.pem}});
    let shown = [("client_certificate", ours.pem.as_str()), ("client_key", ours.key.as_str())];
    assert_eq!(told(through(config.clone(), &shown)).await.unwrap(), "TLSv1_3 1");
    // One client for both: what was opened with the certificate is not used without it.
    let shared = cx(Some(through(config.clone(), &shown)));
    call(shared.clone(), json!({"path": "/"})).await.unwrap();
    let bare = Cx { connection: Some(Arc::new(through(config, &[]))), ..shared };
    assert!(call(bare, json!({"path": "/"})).await.is_err());
    let unknown = told(through(json!({"base_url": base}), &shown)).await.unwrap_err();
    assert_eq!((unknown.code.as_str(), unknown.doubt), ("TLS_FAILED", Doubt::Settled));
}

#[tokio::test]
async fn a_connection_may_insist_on_the_newest_tls() {
    let own = pair("localhost");
    let port = secured(&own, None, OLD).await;
    let config =
        |version: &str| json!({"base_url": format!("https://localhost:{port}/"), "tls": {"ca": own.pem, "min_version": version}});
    assert_eq!(told(through(config("1.2"), &[])).await.unwrap(), "TLSv1_2 0");
    let error = told(through(config("1.3"), &[])).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.doubt), ("TLS_FAILED", Doubt::Settled));
}

/// A forward proxy; with `sign_in` it wants that header. Plain calls it answers itself.
async fn proxy(sign_in: Option<&'static str>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                while let Some(request) = head(&mut stream).await {
                    seen.lock().unwrap().push(request.clone());
                    if sign_in.is_some_and(|wanted| !request.contains(&format!("proxy-authorization: {wanted}\r\n"))) {
                        let _ = stream.write_all(b"HTTP/1.1 407 Who\r\ncontent-length: 0\r\n\r\n").await;
                    } else if let Some(target) = request.strip_prefix("CONNECT ") {
                        let mut system = TcpStream::connect(target.split(' ').next().unwrap()).await.unwrap();
                        stream.write_all(b"HTTP/1.1 200 Through\r\n\r\n").await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut stream, &mut system).await;
                        return;
                    } else {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nproxy").await.unwrap();
                    }
                }
            });
        }
    });
    (address, kept)
}

#[tokio::test]
async fn calls_go_through_the_proxy_of_their_connection() {
    let own = pair("localhost");
    let port = secured(&own, None, BOTH).await;
    let (address, seen) = proxy(Some("Basic YW5uOnB3cHdwdw==")).await;
    let credentials = [("proxy_username", "ann"), ("proxy_password", "pwpwpw")];
    let secure = json!({"base_url": format!("https://localhost:{port}/"), "tls": {"ca": own.pem}, "proxy": address});
    assert_eq!(told(through(secure.clone(), &credentials)).await.unwrap(), "TLSv1_3 0");
    assert!(seen.lock().unwrap()[0].starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n")));
    let error = told(through(secure, &[])).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str(), error.doubt), (ErrorClass::Auth, "PROXY_SIGN_IN", Doubt::Settled));
    seen.lock().unwrap().clear();
    let plain = json!({"base_url": "http://no-such-host.invalid/v1", "proxy": address});
    assert_eq!(told(through(plain, &credentials)).await.unwrap(), "proxy");
    assert!(
        seen.lock().unwrap()[0].starts_with("GET http://no-such-host.invalid/v1/ HTTP/1.1\r\n"),
        "{:?}",
        seen.lock().unwrap()
    );
}

#[tokio::test]
async fn the_proxy_of_the_process_serves_all_but_those_that_go_around_it() {
    let server = Server::start(|_, _| answer("200 OK", "", "direct")).await;
    let (address, seen) = proxy(None).await;
    let proxy = Proxy::read(&address.replace("http://", "http://ann:p%40w@")).unwrap();
    assert_eq!(
        (proxy.url.as_str(), proxy.authorization.as_ref().unwrap().expose()),
        (&*format!("{address}/"), "Basic YW5uOnBAdw==")
    );
    assert!(!format!("{proxy:?}").contains("YW5u"));
    for wrong in ["proxy:3128", "https://proxy", "socks5://proxy", "", "http://ann:hunter2@"] {
        let problem = Proxy::read(wrong).unwrap_err().to_string();
        assert!(!problem.contains("hunter2"), "{problem}");
    }
    let client =
        Http::new(HttpOptions { policy: AddressPolicy::with_private(), proxy: Some(proxy), ..HttpOptions::default() }).unwrap();
    let with = |config: Json| Cx { http: client.clone(), ..cx(Some(through(config, &[]))) };
    let usual = call(with(json!({"base_url": server.url("/")})), json!({"path": "/"})).await.unwrap();
    assert_eq!(usual["body"], "proxy");
    assert!(seen.lock().unwrap()[0].contains("proxy-authorization: Basic YW5uOnBAdw==\r\n"));
    let around = call(with(json!({"base_url": server.url("/"), "proxy": "none"})), json!({"path": "/"})).await.unwrap();
    assert_eq!((&around["body"], seen.lock().unwrap().len()), (&json!("direct"), 1));
}

#[tokio::test]
async fn a_proxy_is_no_way_around_the_address_guard() {
    let server = Server::start(|_, _| answer("200 OK", "", "secret")).await;
    let (address, seen) = proxy(None).await;
    let public = |proxy: Option<Proxy>| Http::new(HttpOptions { proxy, ..HttpOptions::default() }).unwrap();
    let trusted = || Some(Proxy { url: url::Url::parse(&address).unwrap(), authorization: None, trusted: true });
    for target in
        [server.url("/"), "http://localhost:1/".to_owned(), "http://2130706433/".to_owned(), "http://169.254.169.254/".to_owned()]
    {
        let error = call(Cx { http: public(trusted()), ..cx(None) }, json!({"url": target})).await.unwrap_err();
        assert_eq!(error.code, "ADDRESS_REFUSED", "{target}");
    }
    // A proxy that a connection names is an address like any other.
    let named = through(json!({"base_url": "http://example.com/", "proxy": address}), &[]);
    let error = call(Cx { http: public(None), ..cx(Some(named)) }, json!({"path": "/"})).await.unwrap_err();
    assert_eq!(error.code, "ADDRESS_REFUSED");
    assert!(seen.lock().unwrap().is_empty());
    let deaf = Server::start(|_, _| Act::AnswerAndClose(b"not http at all\r\n\r\n".to_vec())).await;
    let wrong = through(json!({"base_url": "https://localhost:1/", "proxy": deaf.url("")}), &[]);
    let error = told(wrong).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.doubt), ("PROXY_REFUSED", Doubt::Settled));
}

#[tokio::test]
async fn redirects_end_and_take_no_secret_along() {
    let other = Server::start(|_, _| answer("200 OK", "", "there")).await;
    let (there, loops) = (other.url("/there"), Server::start(|_, _| answer("302 Found", "location: /again\r\n", "")).await);
    let server = Server::start(move |_, _| answer("302 Found", &format!("location: {there}\r\n"), "")).await;
    let signed = through(json!({"base_url": server.url("/"), "auth": "bearer"}), &[("token", "t0ken")]);
    assert_eq!(told(signed).await.unwrap(), "there");
    assert!(!other.requests()[0].contains("t0ken"));
    // A step's own headers are told apart by their names.
    let own = json!({"url": server.url("/"), "headers": {"X-Api-Key": "t0ken", "X-Plain": "kept"}});
    call(cx(None), own).await.unwrap();
    let sent = other.requests()[1].to_lowercase();
    assert!(!sent.contains("t0ken") && sent.contains("x-plain: kept"), "{sent}");
    let error = call(cx(None), json!({"url": loops.url("/")})).await.unwrap_err();
    assert_eq!((error.code.as_str(), loops.requests().len()), ("TOO_MANY_REDIRECTS", 6));
    let posted = call(cx(None), json!({"url": server.url("/"), "method": "POST", "json": {"a": 1}})).await.unwrap_err();
    assert_eq!((posted.code.as_str(), other.requests().len()), ("HTTP_302", 2));
}

#[test]
fn ways_that_cannot_work_are_told() {
    let (one, other) = (pair("a"), pair("b"));
    let problems = |more: Json, credentials: &[(&str, &str)]| -> Vec<String> {
        let mut config = json!({"base_url": "https://api.example.com/"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let credentials = credentials.iter().map(|(name, text)| ((*name).to_owned(), Secret::new((*text).to_owned()))).collect();
        (http().validate)(&config, &credentials).err().unwrap_or_default().into_iter().map(|(field, _)| field).collect()
    };
    let none: [&str; 0] = [];
    let fine = [("client_certificate", one.pem.as_str()), ("client_key", one.key.as_str())];
    assert_eq!(problems(json!({"tls": {"ca": one.pem, "min_version": "1.3"}, "proxy": "http://proxy:3128"}), &fine), none);
    assert_eq!(problems(json!({}), &fine[..1]), ["credentials.client_key"]);
    let mixed = [("client_certificate", one.pem.as_str()), ("client_key", other.key.as_str())];
    assert_eq!(problems(json!({}), &mixed), ["credentials.client_certificate"]);
    assert_eq!(problems(json!({}), &[("client_certificate", "x"), ("client_key", "y")]), ["credentials.client_certificate"]);
    assert_eq!(problems(json!({}), &[("proxy_password", "x")]), ["credentials.proxy_username"]);
    for (more, field) in [
        (json!({"tls": {"ca": "hello"}}), "config.tls.ca"),
        (json!({"tls": {"ca": 1}}), "config.tls.ca"),
        (json!({"tls": {"min_version": "1.1"}}), "config.tls.min_version"),
        (json!({"tls": {"verify": false}}), "config.tls.verify"),
        (json!({"proxy": "socks5://proxy"}), "config.proxy"),
        (json!({"proxy": "http://ann:pw@proxy"}), "config.proxy"),
        (json!({"proxy": "proxy"}), "config.proxy"),
        (json!({"proxy": 1}), "config.proxy"),
    ] {
        assert_eq!(problems(more.clone(), &[]), [field], "{more}");
    }
}
