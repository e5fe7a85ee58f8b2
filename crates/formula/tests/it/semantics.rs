//! What expressions mean.

use serde_json::json;

use crate::{check, check_script, fails};

#[test]
fn literals() {
    check("5", json!(5));
    check("-5", json!(-5));
    check("19.99", json!(19.99));
    check("1e3", json!(1000));
    check("0x1F", json!(31));
    check("1_000", json!(1000));
    check("18446744073709551615", json!(u64::MAX));
    check("-9223372036854775808", json!(i64::MIN));
    check("\"a\\tb\\u0041\"", json!("a\tbA"));
    check("'it\\'s'", json!("it's"));
    check("\"größe 🎉\"", json!("größe 🎉"));
    check("true", json!(true));
    check("null", json!(null));
    check("[1, \"a\", null, [true]]", json!([1, "a", null, [true]]));
    check("#{}", json!({}));
    check("#{ b: 1, \"a c\": 2, private: 3 }", json!({ "b": 1, "a c": 2, "private": 3 }));
    check("/* a /* b */ */ 1 // c", json!(1));
}

#[test]
fn places() {
    check("trigger.id", json!("evt_1"));
    check("trigger.price", json!(19.99));
    check("trigger.whole", json!(5.0));
    check("trigger.far", json!(1e300));
    check("trigger.big", json!(9_007_199_254_740_993_i64));
    check("trigger.private", json!("p"));
    check("trigger.default.type", json!("t"));
    check("trigger.default.switch[0].fn", json!(9));
    check("trigger[\"a b\"][\"+1\"]", json!(7));
    check("trigger['a b']?[\"+1\"]", json!(7));
    check("trigger.größe", json!(3));
    check("trigger?.default?.type", json!("t"));
    check("trigger.items[0].sku", json!("A"));
    check("trigger.items[-1].sku", json!("C"));
    check("trigger.items[0].tags", json!(["x", "y"]));
    check("steps.account.records[0].Id", json!("001A"));
    check("trigger . id", json!("evt_1"));
}

#[test]
fn what_is_missing_is_null() {
    check("trigger.nope", json!(null));
    check("trigger.nope.deeper.still", json!(null));
    check("trigger.items[99].sku", json!(null));
    check("trigger.items[-99]", json!(null));
    check("trigger.id.nope", json!(null));
    check("trigger.id[0]", json!(null));
    check("trigger.record[0]", json!(null));
    check("trigger.items.sku", json!(null));
    check("steps.skipped.id", json!(null));
    check("steps.never.id", json!(null));
    check("nothing.at.all", json!(null));
    check("first([]).a[0].b", json!(null));
    check("(trigger.id).nope", json!(null));
    check("#{ a: 1 }.b.c", json!(null));
    check("trigger.items[trigger.amount]", json!(null));
    check("trigger.nope == null", json!(true));
    check("null != trigger.id", json!(true));
    check("trigger.nope ?? 3", json!(3));
    check("trigger.no ?? \"x\"", json!("x"));
    check("trigger.off ?? true", json!(false));
    check("trigger.nope ?? trigger.no ?? trigger.id", json!("evt_1"));
}

#[test]
fn numbers() {
    check("7 / 2", json!(3.5));
    check("6 / 2", json!(3));
    check("1999 / 100", json!(19.99));
    check("trigger.amount / 100", json!(19.99));
    check("trigger.price * 100", json!(1999));
    check("0.1 + 0.2", json!(0.3));
    check("trigger.price + 0.01", json!(20));
    check("1 / 3 * 3 == 1", json!(false));
    check("9223372036854775807 + 1", json!(9_223_372_036_854_775_808_u64));
    check("to_text(9223372036854775807 * 1000)", json!("9223372036854775807000"));
    check("10 ** 22", json!(1e22));
    fails("2 ** 70", "number_range", "more digits");
    check("1 / 3", json!(0.333_333_333_333_333_3));
    check("9007199254740991.5 - 0.25", json!(9_007_199_254_740_991.2));
    check("-9223372036854775808", json!(i64::MIN));
    fails("9223372036854775807 * 1000", "number_range", "to_text(…)");
    fails("-9223372036854775808 - 1", "number_range", "-9223372036854775809");
    fails("12345678901234567890123", "number_range", "more digits");
    fails("[9007199254740993.5]", "number_range", "more digits");
    check("trigger.huge", json!(u64::MAX));
    check("trigger.huge - 1", json!(u64::MAX - 1));
    check("trigger.big + 1", json!(9_007_199_254_740_994_i64));
    check("10 % 4", json!(2));
    check("2 ** 10", json!(1024));
    check("2 + 3 * 4 - 1", json!(13));
    check("(2 + 3) * 4", json!(20));
    check("-trigger.amount", json!(-1999));
    check("1 == 1.0", json!(true));
    check("trigger.whole == 5", json!(true));
    check("trigger.tiny * 10000000", json!(1));
    check("1.50 + 1", json!(2.5));
    fails("1 / 0", "arithmetic", "`1 / 0` divides by zero");
    fails("1 % 0", "arithmetic", "zero");
    fails("trigger.far + 1", "number_range", "too large");
    fails("10 ** 40", "number_range", "28 digits");
    fails("99999999999999999999.0 * 99999999999999999999.0", "number_range", "28 digits");
}

#[test]
fn comparing() {
    check("trigger.amount > 100", json!(true));
    check("trigger.price <= 19.99", json!(true));
    check("\"a\" < \"b\"", json!(true));
    check("\"a\" == 'a'", json!(true));
    check("trigger.nested == [[1, 2.0], [3]]", json!(true));
    check("trigger.record == #{ a: 2, z: 1 }", json!(true));
    check("trigger.record != #{ a: 2 }", json!(true));
    check("[1] == [\"1\"]", json!(false));
    check("trigger.yes && !trigger.off", json!(true));
    check("true || 1 / 0 == 1", json!(true));
    check("2 in [1, 2]", json!(true));
    check("\"x\" !in trigger.items[0].tags", json!(false));
    check("\"ell\" in \"hello\"", json!(true));
    check("\"z\" in trigger.record", json!(true));
    check("trigger.record in [#{ z: 1, a: 2 }]", json!(true));
    fails("\"5\" > 3", "type_mismatch", "`\"5\" > 3` compares text with a number");
    fails("trigger.text > 3", "type_mismatch", "to_number(…)");
    fails("1 + (trigger.text == 5 && true)", "type_mismatch", "`trigger.text == 5` compares text with a number");
    fails("trigger.text != 5", "type_mismatch", "to_number(…)");
    fails("trigger.nope > 3", "null_value", "has no order");
    fails("3 <= null", "null_value", "has no order");
    fails("trigger.yes == 1", "type_mismatch", "true or false with a number");
    fails("trigger.items == 3", "type_mismatch", "count(list)");
    fails("[1] < [2]", "type_mismatch", "orders lists");
    fails("trigger.text && true", "not_a_boolean", "not text");
    fails("if trigger.amount { 1 }", "not_a_boolean", "a number");
    fails("!trigger.nope", "not_a_boolean", "null");
}

#[test]
fn text() {
    check("\"a\" + \"b\"", json!("ab"));
    check("trigger.id + \"-\" + trigger.text", json!("evt_1-5"));
    check("`No ${trigger.id} costs ${trigger.price * 2}`", json!("No evt_1 costs 39.98"));
    check("`${ if trigger.yes { `in ${trigger.id}` } else { \"\" } }!`", json!("in evt_1!"));
    check("`plain`", json!("plain"));
    check("``", json!(""));
    check("`{\"a\": \\`${1}\\`}`", json!("{\"a\": `1`}"));
    check("\"über\".upper()", json!("ÜBER"));
    check("upper(trim(\" a \"))", json!("A"));
    check("substring(\"größe\", -2)", json!("ße"));
    fails("\"n\" + 1", "type_mismatch", "to_text(…)");
    fails("1 + \"n\"", "type_mismatch", "to_number(…)");
    fails("\"a\" + null", "null_value", "?? ");
    fails("\"6\" * \"7\"", "type_mismatch", "numbers first");
    fails("`x ${trigger.nope}`", "null_value", "Give a text");
    fails("`x ${trigger.items}`", "type_mismatch", "json(…)");
    fails("upper(5)", "type_mismatch", "`upper` takes text, here it gets a number");
    fails("upper(trigger.nope)", "null_value", "?? \"\"");
    fails("replace(\"a\", 1, \"b\")", "type_mismatch", "second value");
}

#[test]
fn choices() {
    check("if trigger.amount > 1000 { \"big\" } else { \"small\" }", json!("big"));
    check("if trigger.off { 1 } else if trigger.yes { 2 } else { 3 }", json!(2));
    check("if trigger.off { 1 }", json!(null));
    check("switch trigger.text { \"4\" => \"four\", \"5\" => \"five\", _ => \"other\" }", json!("five"));
    check("switch trigger.amount { 1 | 2 => \"few\", 1999 if trigger.yes => \"many\", _ => \"?\" }", json!("many"));
    check("switch trigger.items { 1 => 2, _ => \"list\" }", json!("list"));
}

#[test]
fn lists_and_records() {
    check("trigger.items.map(|i| i.sku)", json!(["A", "B", "C"]));
    check(
        "trigger.items.filter(|i| i.n > 1).map(|i| #{ sku: i.sku, n: i.n * 2 })",
        json!([{ "sku": "A", "n": 4 }, { "sku": "C", "n": 6 }]),
    );
    check("trigger.items.filter(|i| i.n >= params.min - 8 && i.price != null).len()", json!(1));
    check("trigger.items.map(|i| trigger.items.len() + i.n)", json!([5, 4, 6]));
    check("trigger.items.map(|i| (i.price ?? 0) * (1 + params.rate))", json!([1.785, 2.38, 0]));
    check("trigger.items.where(\"n\", \">\", 1).pluck(\"sku\")", json!(["A", "C"]));
    check("trigger.items.where(\"price\", \"<\", 5).count()", json!(2));
    check("trigger.items.where(\"sku\", \"in\", [\"A\", \"C\"]).pluck(\"n\")", json!([2, 3]));
    check("trigger.items.where(\"tags\", \"contains\", \"y\").pluck(\"sku\")", json!(["A"]));
    check("trigger.items.where(\"price\", \"==\", null).first().sku", json!("C"));
    check("sum(trigger.items, \"n\")", json!(6));
    check("sum([])", json!(0));
    check("average([])", json!(null));
    check("trigger.items.sort_by(\"n\").pluck(\"sku\")", json!(["B", "A", "C"]));
    check("trigger.items.sort_by(|i| -i.n).map(|i| i.sku)", json!(["C", "A", "B"]));
}

#[test]
fn scripts() {
    check_script("let t = 0; for i in trigger.items { t += i.n; } t", json!(6));
    check_script("let out = []; for i in trigger.items { if i.n > 1 { out.push(i.sku); } } out", json!(["A", "C"]));
    check_script(
        "let m = #{ b: 1 }; m.a = 5; m[\"c\"] = #{}; m.c.d = [1]; m.c.d.push(2); m",
        json!({ "b": 1, "a": 5, "c": { "d": [1, 2] } }),
    );
    check_script("let a = [1, 2]; a[0] = 7; a[-1] += 2; a", json!([7, 4]));
    check_script("let x = 7; x /= 2; x", json!(3.5));
    check_script("let f = |x| x * params.min; f(2) + f.call(1)", json!(30));
    check_script("fn double(x) { x * 2 } double(trigger.amount)", json!(3998));
    check_script("let n = 0; while n < 10 { n += 1; if n == 5 { break; } } n", json!(5));
    check_script("for i in 0..5 { if i == 3 { return `at ${i}`; } }", json!("at 3"));
    check_script("let r = trigger.items; r.map(|a| r.len())", json!([3, 3, 3]));
    check_script("let r = \"\"; try { throw \"no\"; } catch (e) { r = `caught ${e}`; } r", json!("caught no"));
    check_script(
        "const rate = 2; let total = trigger.amount * rate;\nif total > 100 { [total, \"big\"] } else { [total] }",
        json!([3998, "big"]),
    );
    check_script("let out = []; for i in [3, 1] { out.push(i) }\n[out, 1]", json!([[3, 1], 1]));
    check_script("let a = #{ list: [1] }; a.list.map(|x| x + a.list.len())", json!([2]));
    check_script("trigger.id", json!("evt_1"));
    check_script("let trigger = #{ id: 1 }; trigger.id", json!(1));
    check_script("let a = 1; let b = if a == 1 { a = 2; a } else { 0 }; b", json!(2));
}

#[test]
fn paths() {
    check("$.trigger.id", json!("evt_1"));
    check(" $.trigger.items[0]['sku'] ", json!("A"));
    check("$['trigger'][\"a b\"]['+1']", json!(7));
    check("$.trigger.nope.deeper", json!(null));
    check("$.trigger.items[-1].sku", json!("C"));
    check("$.trigger.items[*].sku", json!(["A", "B", "C"]));
    check("$.trigger.items[0:2].n", json!([2, 1]));
    check("$.trigger.items[?@.n > 1].sku", json!(["A", "C"]));
    check("$.trigger.items[?@.n > 99]", json!([]));
    check("$.trigger.items[?@.n < $.params.min].sku", json!(["A", "B", "C"]));
    check("$.trigger.items[0, 1].sku", json!(["A", "B"]));
    check("$.nope[*]", json!([]));
    check("$.nope[*] ?? []", json!([]));
    check("$.nope[*] ?? 'none'", json!("none"));
    check("$.trigger.items[?@.n > 99].sku ?? null", json!(null));
    check("$.trigger.items[*].sku ?? 'none'", json!(["A", "B", "C"]));
    check("$.trigger.items[*].price ?? 0", json!([1.5, 2, null]));
    check("$..sku", json!(["A", "B", "C"]));
    check("$.steps.*.total_size", json!([1]));
    check("$.steps.account.total_size", json!(1));
    check("$.trigger.nope ?? \"none\"", json!("none"));
    check("$.trigger.no ?? 'none'", json!("none"));
    check("$.trigger.off ?? true", json!(false));
    check("$.trigger.nope ?? [1, {\"a\": null}]", json!([1, { "a": null }]));
    check("$.trigger['what ?? not'] ?? 3", json!(3));
    check("$.trigger.größe", json!(3));
    check("$.params", json!({ "rate": 0.19, "min": 10 }));
}
