use super::*;

fn view(json: &str) -> DataView {
    DataView::of(&Payload::Json(json.to_owned()), "input", None).expect("holds data")
}

fn texts(view: &DataView) -> Vec<String> {
    view.lines
        .iter()
        .map(|line| "  ".repeat(line.depth.into()) + line.pieces.iter().map(|p| p.text.as_str()).collect::<String>().as_str())
        .collect()
}

#[test]
fn lines_carry_indent_commas_and_counts() {
    let view = view(r#"{"entity":{"id":"10482"},"items":[{"item":"SEAT","rate":348.00},{"a":[],"b":{}}],"ok":true,"none":null}"#);
    assert_eq!(
        texts(&view),
        [
            "{",
            r#"  "entity": { "id": "10482" },"#,
            r#"  "items": [ 2 items"#,
            "    {",
            r#"      "item": "SEAT","#,
            r#"      "rate": 348.00"#,
            "    },",
            "    {",
            r#"      "a": [],"#,
            r#"      "b": {}"#,
            "    }",
            "  ],",
            r#"  "ok": true,"#,
            r#"  "none": null"#,
            "}",
        ]
    );
}

#[test]
fn paths_can_be_copied() {
    let view = view(r#"{"items":[{"quantity":1,"odd key":2}]}"#);
    let paths: Vec<&str> = view.lines.iter().map(|line| line.path.as_str()).filter(|path| !path.is_empty()).collect();
    assert_eq!(paths, ["input", "input.items", "input.items[0]", "input.items[0].quantity", r#"input.items[0]["odd key"]"#]);
}

#[test]
fn numbers_keep_every_digit() {
    let json = r#"[12345678901234567890123, 0.10, -1.5E+400]"#;
    let numbers: Vec<String> = view(json)
        .lines
        .into_iter()
        .flat_map(|line| line.pieces)
        .filter(|piece| piece.kind == Kind::Number)
        .map(|piece| piece.text)
        .collect();
    assert_eq!(numbers, ["12345678901234567890123", "0.10", "-1.5E+400"]);
}

#[test]
fn text_is_shown_as_it_reads() {
    let view = view(r#"["Z\u00fcrich \"x\"", "a\nb", "<script>", "•••"]"#);
    assert_eq!(texts(&view)[1..5], [r#"  "Zürich \"x\"","#, r#"  "a\nb","#, r#"  "<script>","#, r#"  "•••""#]);
}

#[test]
fn the_named_field_is_marked() {
    let culprit = Culprit { path: "terms", problem: "Not in the list" };
    let view = DataView::of(&Payload::Json(r#"{"terms":"Net 45","memo":"terms"}"#.to_owned()), "input", Some(culprit));
    let problems: Vec<Option<String>> = view.expect("holds data").lines.into_iter().map(|line| line.problem).collect();
    assert_eq!(problems, [None, Some("Not in the list".to_owned()), None, None]);
}

#[test]
fn at_most_500_lines() {
    let json = format!("[{}]", vec!["1"; 10_000].join(","));
    let view = view(&json);
    assert_eq!(view.lines.len(), LINES_MAX);
    assert!(view.cut);
    assert_eq!(view.bytes, json.len());
}

#[test]
fn at_most_64_kilobytes() {
    let json = format!(r#"{{"a":"{}","b":1}}"#, "ü".repeat(100_000));
    let view = view(&json);
    let sent: usize = view.lines.iter().flat_map(|line| &line.pieces).map(|piece| piece.text.len()).sum();
    assert!(view.cut && sent <= BYTES_MAX + 3, "{sent}");
    assert!(view.raw.len() <= BYTES_MAX);
}

#[test]
fn what_is_not_json_is_listed_as_text() {
    for text in ["{oops", "hello\nworld", "", "[1,2] trailing", r#"{"a":"unfinished"#, r#"{"a"}"#] {
        let view = view(text);
        assert!(view.lines.iter().all(|line| line.path.is_empty()), "{text}");
        assert_eq!(view.lines.len(), text.lines().count());
    }
}

#[test]
fn deep_nesting_ends() {
    let json = "[".repeat(100_000) + "]".repeat(100_000).as_str();
    assert!(view(&json).cut);
    assert_eq!(DataView::of(&Payload::Hidden, "input", None), None);
}
