//! Answers that are larger than anybody can hold: a page of 50 MB, one without an end, one that unfolds.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use connector::{Doubt, ErrorClass, StepError};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value as Json, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use crate::{SYSTEMS, System, is_told, stub::read};

/// Bytes of a page that nobody asked to be so large.
const PAGE_BYTES: usize = 50_000_000;
/// What is taken of an answer at most: the 10 MB of one answer, and what lies in sockets on the way.
const TAKEN_MAX: usize = 40_000_000;
/// What a packed answer unfolds to.
const UNFOLDED_BYTES: usize = 200_000_000;

/// What is answered besides sign-ins.
#[derive(Clone)]
enum Body {
    /// This, then that again and again, for so many bytes.
    Long { length: Option<usize>, begin: &'static str, again: &'static str },
    /// This, packed.
    Packed(Arc<Vec<u8>>),
}

struct Host {
    url: String,
    taken: Arc<AtomicUsize>,
}

impl Host {
    async fn start(kind: &'static str, body: Body) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let taken: Arc<AtomicUsize> = Arc::default();
        let counted = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = socket.accept().await {
                let (body, counted) = (body.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let Some(asked) = read(&mut stream).await else { return };
                    if asked.target.contains("oauth2") {
                        let token = json!({ "access_token": "token", "token_type": "Bearer", "expires_in": 3_600 }).to_string();
                        let head = format!(
                            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{token}",
                            token.len()
                        );
                        let _ = stream.write_all(head.as_bytes()).await;
                    } else {
                        // It ends when the other side has heard enough.
                        let _ = said(&mut stream, kind, &body, &counted).await;
                    }
                });
            }
        });
        Self { url, taken }
    }
}

async fn said(stream: &mut TcpStream, kind: &str, body: &Body, counted: &AtomicUsize) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: {kind}\r\n");
    match body {
        Body::Packed(bytes) => {
            let head = format!("{head}content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bytes.len());
            stream.write_all(&[head.as_bytes(), bytes].concat()).await
        }
        Body::Long { length, begin, again } => {
            let ends = length.map(|length| format!("content-length: {length}\r\n")).unwrap_or_default();
            stream.write_all(format!("{head}{ends}\r\n{begin}").as_bytes()).await?;
            let piece = again.repeat(64 * 1024 / again.len());
            let mut left = length.map_or(usize::MAX, |length| length - begin.len());
            while left > 0 {
                let piece = &piece.as_bytes()[..piece.len().min(left)];
                stream.write_all(piece).await?;
                counted.fetch_add(piece.len(), Ordering::Relaxed);
                left -= piece.len();
            }
            Ok(())
        }
    }
}

/// A call whose answer is read whole.
struct Call {
    id: &'static str,
    action: &'static str,
    input: fn() -> Json,
    kind: &'static str,
    begin: &'static str,
    again: &'static str,
}

const JSON: &str = "application/json";
const XML: &str = "text/xml; charset=utf-8";
const ENVELOPE: &str = "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body><r>";

fn calls() -> Vec<Call> {
    let call = |id, action, input, begin, again| Call { id, action, input, kind: JSON, begin, again };
    let xml = |id, action, input| Call { id, action, input, kind: XML, begin: ENVELOPE, again: "<a>1</a>" };
    let mut all = vec![
        call("salesforce", "query", || json!({"soql": "SELECT Id FROM Account"}), "{\"records\":[", "{\"Id\":\"001\"},"),
        call("netsuite", "run_suiteql", || json!({"query": "SELECT id FROM customer"}), "{\"items\":[", "{\"id\":\"107\"},"),
        call("servicenow", "search_records", || json!({"table": "incident"}), "{\"result\":[", "{\"number\":\"INC1\"},"),
        call("stripe", "list_customers", || json!({}), "{\"object\":\"list\",\"data\":[", "{\"id\":\"cus_1\"},"),
        call("workday", "list_currencies", || json!({}), "{\"data\":[", "{\"id\":\"1\"},"),
        xml("netsuite", "soap_get_record", || json!({"type": "customer", "id": "107"})),
        xml("workday", "get_server_time", || json!({})),
    ];
    all.extend(SYSTEMS.iter().map(|system| call(system.id, system.write.0, system.write.1, "{\"id\":\"", "0123456789abcdef")));
    all
}

fn system(id: &str) -> &'static System {
    SYSTEMS.iter().find(|system| system.id == id).unwrap()
}

/// A person is told that it is too much, of which system, and to ask for less.
fn is_too_large(call: &Call, host: &Host, error: &StepError) {
    let what = format!("{} {}", call.id, call.action);
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "RESPONSE_TOO_LARGE"), "{what}: {error:?}");
    is_told(call.id, error, "127.0.0.1");
    assert!(error.next.as_ref().unwrap().contains("Ask for less"), "{what}: {error:?}");
    let writes = call.action == system(call.id).write.0;
    assert!(!writes || error.doubt == Doubt::MayHaveHappened, "{what} was answered with success: {error:?}");
    let taken = host.taken.load(Ordering::Relaxed);
    assert!(taken < TAKEN_MAX, "{what} took {taken} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_fifty_megabytes_and_one_without_an_end_are_not_taken_in() {
    for call in calls() {
        for length in [Some(PAGE_BYTES), None] {
            let host = Host::start(call.kind, Body::Long { length, begin: call.begin, again: call.again }).await;
            let error = system(call.id).call(&host.url, call.action, (call.input)()).await;
            is_too_large(&call, &host, &error);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_answer_that_unfolds_into_a_huge_one_is_not_unfolded() {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    let blanks = vec![b' '; 1 << 20];
    for _ in 0..UNFOLDED_BYTES / blanks.len() {
        packer.write_all(&blanks).unwrap();
    }
    let packed = Arc::new(packer.finish().unwrap());
    for call in calls() {
        let host = Host::start(call.kind, Body::Packed(Arc::clone(&packed))).await;
        let error = system(call.id).call(&host.url, call.action, (call.input)()).await;
        is_too_large(&call, &host, &error);
    }
}

/// A system, an action and its input; what is answered: its kind, how it begins and what follows for ever; the code of the error.
type Streamed = (&'static str, &'static str, fn() -> Json, &'static str, &'static str, &'static str, &'static str);

/// What is read while it comes may be as long as it likes; but no row is held that has no end, nor are more than fit.
#[tokio::test(flavor = "multi_thread")]
async fn streamed_answers_without_an_end_are_held_in_part_only() {
    let (report, job) = (|| json!({"report": "isu/All"}), || json!({"job": "750xx0000000001AAA", "which": "written"}));
    let rows = ("{\"Report_Entry\":[", "{\"Employee_ID\":\"21001\",\"Name\":\"Ann\"},");
    let cases: [Streamed; 4] = [
        ("workday", "run_report", report, JSON, rows.0, rows.1, "REPORT_TOO_LARGE"),
        ("workday", "run_report", report, JSON, "{\"Report_Entry\":[{\"a\":\"", "endless ", "ANSWER_UNREADABLE"),
        ("salesforce", "bulk_results", job, "text/csv", "\"sf__Id\",\"Name\"\n\"001\",\"", "endless ", "ANSWER_UNREADABLE"),
        ("salesforce", "bulk_results", job, "text/csv", "\"", "a heading ", "ANSWER_UNREADABLE"),
    ];
    for (id, action, input, kind, begin, again, code) in cases {
        let host = Host::start(kind, Body::Long { length: None, begin, again }).await;
        let error = system(id).call(&host.url, action, input()).await;
        assert_eq!(error.code, code, "{action}: {error:?}");
        is_told(id, &error, "127.0.0.1");
        let taken = host.taken.load(Ordering::Relaxed);
        assert!(taken < TAKEN_MAX, "{action} took {taken} bytes");
    }
    // A report whose rows never come is left alone when the time is over, and nothing of it is kept.
    let host = Host::start(JSON, Body::Long { length: None, begin: "{\"Report_Entry", again: "x" }).await;
    let workday = system("workday");
    let mut cx = workday.cx(&host.url);
    cx.timeout = Duration::from_secs(1);
    let connector = workday.connector();
    let error = (connector.action("run_report").unwrap().run)(cx, report()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Timeout, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_long_rows_is_held_in_part_and_goes_on_behind_it() {
    let row: &'static str = Box::leak(format!("\"001\",\"{}\"\n", "x".repeat(25_000)).into_boxed_str());
    let length = Some(PAGE_BYTES);
    let host = Host::start("text/csv", Body::Long { length, begin: "\"sf__Id\",\"Name\"\n", again: row }).await;
    let salesforce = system("salesforce");
    let pages = salesforce.connector().action("bulk_results").unwrap().pages.clone().unwrap();
    let given = json!({"job": "750xx0000000001AAA", "which": "written"});
    let page = pages(salesforce.cx(&host.url), given, None).await.unwrap();
    let held = page.items.len() * row.len();
    assert!((10_000_000..20_000_000).contains(&held), "{held} bytes are held");
    assert_eq!(page.next.unwrap()["from"], page.items.len(), "nothing is passed over");
}
