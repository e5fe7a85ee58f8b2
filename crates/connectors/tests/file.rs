//! `file.read_rows`: the rows of files, whole and page by page, however the bytes come.

#[path = "support/shelf.rs"]
mod shelf;

use std::sync::Arc;

use connector::{
    Action, AddressPolicy, Cx, ErrorClass, Page, StepError,
    http::{Http, HttpOptions},
};
use serde_json::{Value as Json, json};
use shelf::{Door, Shelf};

struct World {
    shelf: Arc<Shelf>,
    action: Action,
}

impl World {
    fn new() -> Self {
        let connector = connectors::all().into_iter().find(|connector| connector.id == "file").unwrap();
        Self { shelf: Arc::default(), action: connector.action("read_rows").unwrap().clone() }
    }

    fn cx(&self, run: &str) -> Cx {
        let http = Http::new(HttpOptions { policy: AddressPolicy::with_private(), ..HttpOptions::default() }).unwrap();
        http.keep_files_with(Arc::new(Door(Arc::clone(&self.shelf))));
        Cx {
            http,
            connection: None,
            idempotency_key: "run_1/rows".into(),
            timeout: std::time::Duration::from_secs(20),
            run_id: run.into(),
            path: "rows".into(),
            began: tokio::time::Instant::now(),
            began_us: 1_760_000_000_000_000,
            attempt: 1,
            in_doubt: false,
            traceparent: None,
            turns: None,
        }
    }

    fn input(&self, name: &str, content: &[u8], more: Json) -> Json {
        let mut input = json!({ "file": self.shelf.put(name, "application/octet-stream", content).json() });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    }

    async fn whole(&self, name: &str, content: &[u8], more: Json) -> Result<Json, StepError> {
        let output = (self.action.run)(self.cx("run_1"), self.input(name, content, more)).await?;
        assert_eq!(output["total"], output["rows"].as_array().unwrap().len());
        Ok(output["rows"].clone())
    }

    async fn refused(&self, name: &str, content: &[u8], more: Json) -> (String, String) {
        let error = self.whole(name, content, more).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Invalid, "{error:?}");
        (error.code, error.message)
    }

    async fn page(&self, run: &str, input: &Json, cursor: Option<Json>) -> Page {
        (self.action.pages.as_ref().unwrap())(self.cx(run), input.clone(), cursor).await.unwrap()
    }
}

#[tokio::test]
async fn rows_are_what_the_file_says_they_are() {
    let world = World::new();
    let records = json!([{"sku": "A-7", "text": "one, \"two\"\nthree", "n": "1.20"}, {"sku": "ä", "text": "", "n": " 2"}]);
    let csv = "sku,text,n\r\nA-7,\"one, \"\"two\"\"\nthree\",1.20\r\n\r\nä,, 2";
    assert_eq!(world.whole("a.CSV", csv.as_bytes(), json!({})).await.unwrap(), records);
    let marked = [b"\xef\xbb\xbf", csv.as_bytes()].concat();
    assert_eq!(world.whole("a.csv", &marked, json!({})).await.unwrap(), records, "a byte order mark is no part of a name");
    let tabs = "sku\tprice\nA\t1,5\n";
    assert_eq!(world.whole("a.tsv", tabs.as_bytes(), json!({})).await.unwrap(), json!([{"sku": "A", "price": "1,5"}]));
    let semicolons = json!({"format": "csv", "delimiter": ";", "header": false, "charset": "windows-1252"});
    let rows = world.whole("a.dat", b"a;\xfc\n1;2;3\n", semicolons).await.unwrap();
    assert_eq!(rows, json!([["a", "ü"], ["1", "2", "3"]]), "without names rows may have any length");
    let wide: Vec<u8> = "a,b\n1,€\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let rows = world.whole("a.csv", &wide, json!({"charset": "utf-16le"})).await.unwrap();
    assert_eq!(rows, json!([{"a": "1", "b": "€"}]));

    let values = json!([{"n": 1}, [2], "three, \"]\"", 4.50, null, 123456]);
    let lines = "{\"n\":1}\r\n\n[2]\n\"three, \\\"]\\\"\"\n4.50\nnull\n  123456";
    assert_eq!(world.whole("a.jsonl", lines.as_bytes(), json!({})).await.unwrap(), values);
    let list = " [ {\"n\":1} ,[2],\"three, \\\"]\\\"\", 4.50, null,123456 ]\n";
    assert_eq!(world.whole("a.json", list.as_bytes(), json!({})).await.unwrap(), values);
    for (name, empty) in [("a.csv", ""), ("a.csv", "a,b\n"), ("a.jsonl", "\n \n"), ("a.json", "[ ]")] {
        assert_eq!(world.whole(name, empty.as_bytes(), json!({})).await.unwrap(), json!([]), "{name} {empty:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_named_by_its_row() {
    let world = World::new();
    for (name, content, code, told) in [
        (
            "a.csv",
            "a,b\n1,2\n1\n",
            "FILE_ROW",
            "row 2 of the file cannot be read: it has 1 value, and the first row names 2 columns",
        ),
        ("a.csv", "a,b\n1,2\n1,2,3\n", "FILE_ROW", "row 2 of the file cannot be read: it has 3 values"),
        ("a.csv", "a,,b\n", "FILE_HEADER", "column 2 no name"),
        ("a.csv", "a,b,a\n", "FILE_HEADER", "two columns \"a\""),
        ("a.jsonl", "1\n{\"a\":\n2\n", "FILE_ROW", "row 2 of the file cannot be read: it is no JSON (EOF while parsing a value)"),
        ("a.json", "[1, 2", "FILE_ROW", "row 2 of the file cannot be read: the list does not end"),
        ("a.json", "[1, {\"a\"", "FILE_ROW", "row 2 of the file cannot be read: the list does not end"),
        ("a.json", "[1 2]", "FILE_ROW", "no comma stands before it"),
        ("a.json", "[1, tru]", "FILE_ROW", "it is no JSON"),
        ("a.json", "[1] 2", "FILE_ROW", "something follows the end of the list"),
        ("a.json", "{\"data\": []}", "FILE_ROW", "the file is no list"),
        ("a.bin", "a", "FILE_FORMAT", "neither the type application/octet-stream nor the name \"a.bin\""),
    ] {
        let (found, message) = world.refused(name, content.as_bytes(), json!({})).await;
        assert!(found == code && message.contains(told), "{content:?}: {found} {message}");
    }
    let (code, message) = world.refused("a.csv", b"a\n1\n\xfc\n", json!({})).await;
    assert!(code == "FILE_CHARSET" && message.contains("not text in UTF-8"), "{message}");
    let (code, message) = world.refused("a.jsonl", &vec![b'7'; 5_000_000], json!({})).await;
    assert!(code == "FILE_ROW" && message.contains("longer than 4194304 bytes"), "{message}");
    let endless = [b"a\n\"".as_slice(), &vec![b'7'; 5_000_000]].concat();
    let (code, message) = world.refused("a.csv", &endless, json!({})).await;
    assert!(code == "FILE_ROW" && message.contains("longer than 4194304 bytes"), "{message}");
    for (name, value) in [
        ("format", json!("xlsx")),
        ("header", json!("no")),
        ("delimiter", json!(";;")),
        ("charset", json!("klingon")),
        ("page_size", json!(0)),
        ("pages", json!(1)),
        ("file", json!("a.csv")),
    ] {
        assert_eq!(world.refused("a.csv", b"a\n1\n", json!({ name: value })).await.0, "INPUT_INVALID", "{name}");
    }
    let many = "1\n".repeat(10_001);
    assert_eq!(world.refused("a.jsonl", many.as_bytes(), json!({"page_size": 10_000})).await.0, "TOO_MANY_ITEMS");
}

#[tokio::test]
async fn a_page_is_the_same_whoever_asks_for_it() {
    let world = World::new();
    let csv: String = std::iter::once("n,double\n".to_owned()).chain((0..25).map(|n| format!("{n},{}\n", n * 2))).collect();
    let list =
        format!("[{}]", (0..25).map(|n| format!("{{\"n\":\"{n}\",\"double\":\"{}\"}}", n * 2)).collect::<Vec<_>>().join(","));
    for (name, content) in [("a.csv", &csv), ("a.json", &list)] {
        let input = world.input(name, content.as_bytes(), json!({"page_size": 10}));
        let (mut cursor, mut rows, mut pages) = (None, Vec::new(), Vec::new());
        loop {
            let page = world.page("run_1", &input, cursor.clone()).await;
            // Another run, and this one after a crash, stand nowhere: they pass over what was before.
            assert_eq!(world.page("run_2", &input, cursor.clone()).await, page);
            assert_eq!(world.page("run_2", &input, cursor).await, page);
            pages.push(page.items.len());
            rows.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(pages, [10, 10, 5]);
        assert_eq!(rows, (0..25).map(|n| json!({"n": n.to_string(), "double": (n * 2).to_string()})).collect::<Vec<_>>());
    }
    let exact = world.input("a.jsonl", b"1\n2\n3\n4\n", json!({"page_size": 2}));
    let first = world.page("run_1", &exact, None).await;
    let last = world.page("run_1", &exact, first.next).await;
    assert_eq!((last.items, last.next), (vec![json!(3), json!(4)], None), "no page without rows follows");
    // Large rows fill a page sooner.
    let large = format!("{}\n", json!("x".repeat(400_000))).repeat(7);
    let input = world.input("a.jsonl", large.as_bytes(), json!({}));
    assert_eq!(world.page("run_1", &input, None).await.items.len(), 3);
}

#[tokio::test]
async fn a_page_does_not_read_again_what_came_before() {
    let world = World::new();
    let input = world.input("a.jsonl", "1\n".repeat(100).as_bytes(), json!({"page_size": 10}));
    let mut cursor = None;
    loop {
        cursor = world.page("run_1", &input, cursor).await.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(world.shelf.opened(), 2, "once to look it through, once for all pages");
    world.page("run_1", &input, Some(json!({"rows": 50}))).await;
    assert_eq!(world.shelf.opened(), 3);
}

#[tokio::test]
async fn a_damaged_file_gives_no_row() {
    let world = World::new();
    let input = world.input("a.jsonl", "1\n".repeat(100_000).as_bytes(), json!({"page_size": 1}));
    world.shelf.tear(0);
    let error = (world.action.pages.as_ref().unwrap())(world.cx("run_1"), input, None).await.unwrap_err();
    assert_eq!(error.code, "FILE_STORE");
}
