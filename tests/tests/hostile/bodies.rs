//! Hostile bodies, and lies about them.

use rabbitry_tests::{Fields, Text, nested};
use serde_json::json;

use super::{
    BODY_LIMIT,
    case::{Case, Is, order},
};

pub(super) fn all() -> Vec<Case> {
    [plain(), json_of_orders(), envelopes(), lies()].into_iter().flatten().collect()
}

fn plain() -> Vec<Case> {
    let nothing: [(&str, &[u8]); 21] = [
        ("empty", b""),
        ("white space", b" \n\t\r "),
        ("a zero", b"\0"),
        ("1000 zeros", &[0; 1000]),
        ("no text", b"\xff\xfe\xfd"),
        ("no text within a text", b"{\"order_id\":\"\xff\"}\xff"),
        ("a mark and nothing else", b"\xef\xbb\xbf"),
        ("an order behind a mark", b"\xef\xbb\xbf{\"order_id\":1}"),
        ("an order in UTF-16", b"{\0\"\0o\0r\0d\0e\0r\0_\0i\0d\0\"\0:\0\x31\0}\0"),
        ("half an order", b"{\"order_id\":"),
        ("two orders", b"{\"order_id\":1}{\"order_id\":2}"),
        ("an order and more", b"{\"order_id\":1} more"),
        ("an order with a comma too many", b"{\"order_id\":1,}"),
        ("an order in single quotes", b"{'order_id':1}"),
        ("an order with a comment", b"{\"order_id\":1/* one */}"),
        ("an order in a zip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xabV\xca/JI-\x8a\xcfLQ\xb22\xac\x05\0"),
        ("XML with entities", b"<!DOCTYPE a [<!ENTITY b \"bbbb\">]><a>&b;&b;</a>"),
        ("YAML", b"a: &a [*a, *a]"),
        ("a script", b"$(reboot); DROP TABLE orders; --"),
        ("a frame of AMQP", b"\x01\0\x01\0\0\0\x04\0\x0a\0\x32\xce"),
        ("a text that never ends", b"\"order"),
    ];
    let mut cases: Vec<_> = nothing
        .into_iter()
        .map(|(what, body)| Case::body_of(Is::Nothing, format!("the body is {what}"), body))
        .collect();
    for (what, body) in [
        ("100,000 lists that never end", "[".repeat(100_000)),
        ("100,000 objects that never end", r#"{"a":"#.repeat(100_000)),
        ("a number with letters", "0x10".to_owned()),
        ("a number with a zero before it", "007".to_owned()),
        ("not a number", "NaN".to_owned()),
        ("infinite", "-Infinity".to_owned()),
        ("a text with a line in it", "\"a\nb\"".to_owned()),
        ("a text with a wrong escape", r#""\x41""#.to_owned()),
    ] {
        cases.push(Case::body_of(Is::Nothing, format!("the body is {what}"), body));
    }
    for (what, body) in [
        ("null", "null".to_owned()),
        ("true", "true".to_owned()),
        ("a number", "42".to_owned()),
        ("a number with an exponent beyond all", "1e999999999".to_owned()),
        ("a number with 100,000 digits", "9".repeat(100_000)),
        ("a fraction with 100,000 digits", format!("0.{}1", "0".repeat(100_000))),
        ("minus nothing", "-0".to_owned()),
        ("a text", "\"order\"".to_owned()),
        ("half a surrogate pair", r#""\ud800""#.to_owned()),
        ("a text of zeros", r#""\u0000\u0000""#.to_owned()),
        ("an empty list", "[]".to_owned()),
        ("an empty object", "{}".to_owned()),
        ("10,000 lists inside one another", nested("[", "]", 10_000)),
        ("10,000 objects inside one another", nested(r#"{"a":"#, "}", 10_000)),
        ("half a million bytes of one text", json!("x".repeat(500_000)).to_string()),
        ("a list of 100,000 numbers", json!(vec![1; 100_000]).to_string()),
    ] {
        cases.push(Case::body_of(Is::Event, format!("the body is {what}"), body));
    }
    cases
}

/// Objects that are nearly orders.
fn json_of_orders() -> Vec<Case> {
    let no_order = [
        ("another type", r#"{"order_id":"1"}"#.to_owned()),
        ("a fraction", r#"{"order_id":1.5}"#.to_owned()),
        ("no number at all", r#"{"order_id":null}"#.to_owned()),
        ("more than 64 bits", r#"{"order_id":9223372036854775808}"#.to_owned()),
        ("an exponent beyond all", r#"{"order_id":1e400}"#.to_owned()),
        ("1000 digits", format!(r#"{{"order_id":{}}}"#, "9".repeat(1000))),
        ("a list", r#"{"order_id":[1]}"#.to_owned()),
        ("10,000 lists", format!(r#"{{"order_id":{}}}"#, nested("[", "]", 10_000))),
        ("other letters", r#"{"Order_Id":1}"#.to_owned()),
        ("a name that looks alike", r#"{"оrder_id":1}"#.to_owned()),
        ("a name with a zero", r#"{"order_id\u0000":1}"#.to_owned()),
    ];
    let mut cases: Vec<_> = no_order
        .into_iter()
        .map(|(what, body)| Case::body_of(Is::Event, format!("an order's number is {what}"), body))
        .collect();
    cases.push(Case::body_of(Is::Event, "an order has two numbers", r#"{"order_id":1,"order_id":2}"#));
    let members: String = (0..20_000).map(|member| format!("\"{member}\":{member},")).collect();
    for (what, before) in [
        ("a member that is 10,000 objects", format!(r#""a":{},"#, nested(r#"{"a":"#, "}", 10_000))),
        ("a member that is a number beyond all", r#""a":1e999999,"#.to_owned()),
        ("20,000 members", members),
        ("one member 20,000 times", r#""a":1,"#.repeat(20_000)),
    ] {
        let body = move |number| format!(r#"{{{before}"order_id":{number}}}"#).into();
        cases.push(Case::body_with(Is::Order, format!("an order with {what}"), body));
    }
    let escaped = |number| format!(r#"{{"\u006frder_id":{number}}}"#).into();
    cases.push(Case::body_with(Is::Order, "an order whose number's name is escaped", escaped));
    let padded = |size: usize| {
        move |number| {
            let mut body = order(number);
            body.resize(size, b' ');
            body
        }
    };
    cases.push(Case::body_with(Is::Order, "as large as can be", padded(BODY_LIMIT)));
    cases.push(Case::body_with(Is::Nothing, "a byte too large", padded(BODY_LIMIT + 1)));
    cases.push(Case::body_with(Is::Nothing, "five times too large", padded(5 * BODY_LIMIT)));
    cases.push(Case::body_of(Is::Nothing, "lists, and too large", "[".repeat(3 * BODY_LIMIT)));
    cases
}

fn envelopes() -> Vec<Case> {
    let metadata = |metadata: &str| {
        let metadata = metadata.to_owned();
        move |number| format!(r#"{{"eventType":"order","data":{{"order_id":{number}}},"metadata":{metadata}}}"#).into()
    };
    let mut cases = Vec::new();
    for (what, value) in [
        ("null", "null".to_owned()),
        (
            "of other types",
            r#"{"id":[],"source":{},"time":1,"version":"x","correlationId":true,"key":null}"#.to_owned(),
        ),
        ("numbers beyond all", r#"{"id":18446744073709551616,"version":99999999999999999999,"key":-0.5}"#.to_owned()),
        ("a version below zero", r#"{"version":-1}"#.to_owned()),
        ("the end of time", r#"{"time":"9999-12-31T23:59:59.999999999Z"}"#.to_owned()),
        ("beyond the end of time", r#"{"time":"+99999-01-01T00:00:00Z"}"#.to_owned()),
        ("before all time", r#"{"time":"-9999-01-01T00:00:00Z"}"#.to_owned()),
        ("a time that there was not", r#"{"time":"2025-02-30T25:61:61Z"}"#.to_owned()),
        ("a leap second and a zone", r#"{"time":"2016-12-31T23:59:60.999+23:59"}"#.to_owned()),
        ("empty texts", r#"{"id":"","source":"","correlationId":"","causationId":"","key":""}"#.to_owned()),
        (
            "texts of 100,000 bytes",
            json!({ "id": "i".repeat(100_000), "correlationId": "c".repeat(100_000), "key": "k".repeat(100_000) })
                .to_string(),
        ),
        ("an id there twice", r#"{"id":"1","id":"2"}"#.to_owned()),
        ("an id of zeros", r#"{"id":"\u0000"}"#.to_owned()),
        ("names that are ours", r#"{"rabbitry-attempt":-1,"x-death":[],"CC":["order"],"":1}"#.to_owned()),
        ("100 lists", format!(r#"{{"a":{}}}"#, nested("[", "]", 100))),
    ] {
        cases.push(Case::body_with(Is::Order, format!("metadata: {what}"), metadata(&value)));
    }
    for (what, value) in [
        ("a list", "[]".to_owned()),
        ("a number", "1".to_owned()),
        ("10,000 lists", format!(r#"{{"a":{}}}"#, nested("[", "]", 10_000))),
        ("a number beyond all", r#"{"a":1e999999}"#.to_owned()),
        ("half a surrogate pair", r#"{"a":"\ud800"}"#.to_owned()),
    ] {
        cases.push(Case::body_with(Is::Nothing, format!("metadata that cannot be read: {what}"), metadata(&value)));
    }
    let long = json!({ "eventType": "e".repeat(100_000), "data": 1 }).to_string();
    cases.push(Case::body_of(Is::Nothing, "an envelope of an event with a long name", long));
    for (what, body) in [
        ("of another event", r#"{"eventType":"payment","data":{"order_id":1}}"#.to_owned()),
        ("of an event without a name", r#"{"eventType":"","data":{"order_id":1}}"#.to_owned()),
        ("of an event whose name is a number", r#"{"eventType":1,"data":{"order_id":1}}"#.to_owned()),
        ("without data", r#"{"eventType":"order"}"#.to_owned()),
        ("with data that is none", r#"{"eventType":"order","data":null}"#.to_owned()),
        ("with data that is 10,000 lists", format!(r#"{{"eventType":"order","data":{}}}"#, nested("[", "]", 10_000))),
        ("with data there twice", r#"{"eventType":"order","data":{"order_id":1},"data":{"order_id":2}}"#.to_owned()),
        ("with more", r#"{"eventType":"order","data":{"order_id":1},"more":1}"#.to_owned()),
        ("in an envelope", r#"{"eventType":"order","data":{"eventType":"order","data":{"order_id":1}}}"#.to_owned()),
    ] {
        cases.push(Case::body_of(Is::Event, format!("an envelope {what}"), body));
    }
    cases
}

/// Properties that say of the body what is not so.
fn lies() -> Vec<Case> {
    let typed = |content_type: &str| Fields::default().text(Text::ContentType, content_type);
    let mut cases = Vec::new();
    for content_type in [
        "text/plain",
        "application/octet-stream",
        "application/xml; charset=utf-16",
        "application/json; charset=utf-16",
        "application/cloudevents+json",
        "application/cloudevents+json; charset=\"",
        "application/x-protobuf",
        "a",
        ";;;===",
    ] {
        cases.push(Case::fields(format!("an order that says it is {content_type}"), typed(content_type)));
    }
    for content_encoding in ["gzip", "identity, br", "utf-16"] {
        let fields = Fields::default().text(Text::ContentEncoding, content_encoding);
        cases.push(Case::fields(format!("an order that says it is encoded by {content_encoding}"), fields));
    }
    cases.push(Case::body_of(Is::Nothing, "no JSON that says it is", "order 1").with(typed("application/json")));
    cases.push(
        Case::body_of(Is::Nothing, "no cloud event that says it is", "order 2")
            .with(typed("application/cloudevents+json")),
    );
    let event = r#"{"specversion":"1.0","id":"","source":"","type":"order","data_base64":"%%%"}"#;
    cases.push(
        Case::body_of(Is::Event, "a cloud event that is broken", event).with(typed("application/cloudevents+json")),
    );
    cases
}
