//! Hostile headers.

use rabbitry_tests::{Fields, value};

use super::case::{Case, Is, NO_TEXT};

fn with<N: AsRef<[u8]>>(headers: &[(N, Vec<u8>)]) -> Fields {
    Fields::default().headers(headers)
}

fn one(name: impl Into<String>, header: &[u8], value: Vec<u8>) -> Case {
    Case::fields(name, with(&[(header, value)]))
}

pub(super) fn all() -> Vec<Case> {
    [names(), values(), nested(), many(), ours(), deaths()].into_iter().flatten().collect()
}

fn names() -> Vec<Case> {
    let mut cases = Vec::new();
    for (how, bytes) in NO_TEXT {
        cases.push(one(format!("a header's name is no text: {how}"), bytes, value::text("v")));
        let inner = value::table(&[(bytes, value::text("v"))]);
        cases.push(one(format!("a name within is no text: {how}"), b"t", inner.clone()));
        cases.push(one(format!("a name in a list is no text: {how}"), b"l", value::array(&[value::number(1), inner])));
    }
    let long = [b'n'; 255];
    cases.push(one("a header's name is empty", b"", value::text("v")));
    cases.push(one("a header's name is as long as can be", &long, value::text("v")));
    cases.push(one(
        "a header of the broker's has a name as long as can be",
        &[b"x-", &long[2..]].concat(),
        value::text("v"),
    ));
    cases.push(one("a header's name is a zero", b"\0", value::text("v")));
    cases.push(Case::fields("a header is there twice", with(&[("a", value::number(1)), ("a", value::text("2"))])));
    cases.push(Case::fields(
        "two names are one, once they are text",
        with(&[(b"\xfe", value::number(1)), (b"\xff", value::text("2"))]),
    ));
    cases
}

fn values() -> Vec<Case> {
    let of = |letter, bytes: &[u8]| value::of(letter, bytes);
    let values = [
        ("a boolean that is neither", of(b't', &[7])),
        ("the least of 8 bits", of(b'b', &[0x80])),
        ("the most of 8 bits", of(b'B', &[0xff])),
        ("the least of 16 bits", of(b's', &[0x80, 0])),
        ("the most of 16 bits", of(b'u', &[0xff; 2])),
        ("the least of 32 bits", of(b'I', &i32::MIN.to_be_bytes())),
        ("the most of 32 bits", of(b'i', &[0xff; 4])),
        ("the least of 64 bits", value::number(i64::MIN)),
        ("the most of 64 bits", value::number(i64::MAX)),
        // RabbitMQ takes none that is infinite or no number.
        ("the most of a float", of(b'f', &f32::MAX.to_be_bytes())),
        ("the least of a double", of(b'd', &f64::MIN.to_be_bytes())),
        ("the smallest double", of(b'd', &1_u64.to_be_bytes())),
        ("a decimal with 255 places", of(b'D', &[255, 255, 255, 255, 255])),
        ("a decimal of nothing", of(b'D', &[0; 5])),
        ("the end of time", of(b'T', &[0xff; 8])),
        ("nothing", of(b'V', &[])),
        ("an empty text", value::text("")),
        ("a text that is none", value::text(b"\xff\xfe\x00\x80")),
        ("a text of zeros", value::text([0; 1000])),
        ("a text of 100 KB", value::text([b'x'; 100_000])),
        ("no bytes", of(b'x', &[0; 4])),
        ("bytes that look like a list", of(b'x', &value::nested(b"A", 3)[1..])),
        ("an empty list", value::array(&[])),
        ("an empty table", value::table::<&str>(&[])),
        (
            "a list of all kinds",
            value::array(&[value::number(1), value::text("a"), value::table(&[("b", value::array(&[]))])]),
        ),
        ("a list of 50,000 nothings", value::array(&vec![b"V".to_vec(); 50_000])),
        ("a table of one name 20,000 times", value::table(&vec![("n", b"V".to_vec()); 20_000])),
    ];
    values.into_iter().map(|(what, value)| one(format!("a header is {what}"), b"value", value)).collect()
}

fn nested() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, letters, most) in [("lists", &b"A"[..], 3000), ("tables", b"F", 3000), ("lists and tables", b"AF", 3000)]
    {
        for depth in [32, 33, 150, 1500, most] {
            let case = one(format!("{depth} {kind} inside one another"), b"deep", value::nested(letters, depth));
            // As bytes where it is too deep.
            cases.push(case.check(|dead| dead.header("deep").is_some()));
        }
    }
    cases.push(one(
        "400 headers' worth of lists inside one another",
        b"deep",
        value::array(&vec![value::nested(b"A", 60); 400]),
    ));
    // The copy has more to say than there is room for.
    let most = one("as many lists inside one another as a frame holds", b"deep", value::nested(b"A", 26_100));
    cases.push(most.check(|dead| dead.text("rabbitry-dropped-headers") == "deep"));
    cases.push(one("lists inside one another, in a header of the broker's", b"x-deep", value::nested(b"A", 1500)));
    cases.push(one("lists inside one another, without a name", b"", value::nested(b"A", 1500)));
    cases
}

/// As many as a frame holds, and what is left of the frame when the broker adds its own.
fn many() -> Vec<Case> {
    let numbered = |count: usize, width: usize| -> Vec<(String, Vec<u8>)> {
        (0..count).map(|number| (format!("{number:0width$}"), b"V".to_vec())).collect()
    };
    let mut cases = vec![
        Case::fields("17,000 headers", with(&numbered(17_000, 5))),
        Case::fields("500 headers with long names", with(&numbered(500, 255))),
        Case::fields("40,000 headers without a name", with(&vec![("", b"V".to_vec()); 40_000])),
    ];
    // What the number of the case takes beside.
    let frame = with(&[("large", value::text(""))]).frame_len() + "1234".len();
    for room in [0, 1, 10, 25, 26, 27, 100, 4000, 4096, 5000] {
        let large = value::text(vec![b'x'; 131_072 - frame - room]);
        let case = Case::fields(format!("headers that leave {room} bytes of the frame"), with(&[("large", large)]));
        // The copy has more to say, and leaves the broker 4 KiB.
        let dropped = if room < 5000 { "large" } else { "" };
        cases.push(case.check(move |dead| dead.text("rabbitry-dropped-headers") == dropped));
    }
    cases
}

/// Headers of ours, forged.
fn ours() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in [
        "rabbitry-attempt",
        "rabbitry-reason",
        "rabbitry-error",
        "rabbitry-service",
        "rabbitry-handler",
        "rabbitry-queue",
        "rabbitry-first-failure",
        "rabbitry-last-failure",
        "rabbitry-original-exchange",
        "rabbitry-original-routing-key",
        "rabbitry-dropped-headers",
        "rabbitry-version",
        "rabbitry-time",
        "rabbitry-causation-id",
        "rabbitry-key",
        "traceparent",
        "tracestate",
    ] {
        let forgeries = [
            ("minus one", value::number(-1)),
            ("the most", value::number(i64::MAX)),
            ("no text", value::text(b"\xff\xfe")),
            ("50 KB", value::text([b'9'; 50_000])),
            ("a table", value::table(&[("a", value::nested(b"A", 200))])),
            ("nothing", b"V".to_vec()),
        ];
        for (what, value) in forgeries {
            // What says the first routing key says the event's name.
            let is_name = name == "rabbitry-original-routing-key" && what == "50 KB";
            let is = if is_name { Is::Event } else { Is::Order };
            cases.push(one(format!("`{name}` is forged: {what}"), name.as_bytes(), value).is(is));
        }
    }
    let time = |time: &str| value::text(time);
    let forged = |name: &str, headers: &[(&str, Vec<u8>)]| Case::fields(name, with(headers));
    cases.extend([
        forged(
            "the first failure is to come",
            &[
                ("rabbitry-first-failure", time("9999-12-31T23:59:59.999Z")),
                ("rabbitry-original-exchange", value::text("events")),
                ("rabbitry-original-routing-key", value::text("order")),
                ("rabbitry-attempt", value::number(6)),
                ("rabbitry-queue", value::text("hostile.fails")),
            ],
        ),
        forged("it comes from the end of time", &[("rabbitry-time", time("+999999-12-31T23:59:59Z"))]),
        forged("it comes from before all time", &[("rabbitry-time", time("-9999-01-01T00:00:00Z"))]),
        forged(
            "the least number of attempts",
            &[("rabbitry-attempt", value::number(i64::MIN)), ("rabbitry-queue", value::text("hostile.fails"))],
        ),
        forged(
            "its first place is another's",
            &[
                ("rabbitry-original-exchange", value::text("nowhere")),
                ("rabbitry-original-routing-key", value::text("nobody")),
            ],
        )
        .is(Is::Event),
    ]);
    cases
}

/// What the broker writes of deaths and deliveries, forged.
fn deaths() -> Vec<Case> {
    let death = |queue: &str, count: i64| {
        value::table(&[
            ("count", value::number(count)),
            ("reason", value::text("expired")),
            ("queue", value::text(queue)),
            ("exchange", value::text(queue)),
            ("routing-keys", value::array(&[value::text("order")])),
            ("time", value::of(b'T', [0; 8])),
        ])
    };
    let mut circle: Vec<_> = (0..28).map(|level| death(&format!("rabbitry.v1.delay.{level:02}"), 1)).collect();
    circle.extend([death("hostile.fails", 1), death("hostile.takes", 1), death("hostile.fails.dead", 1)]);
    let deaths = [
        ("a text", value::text("death")),
        ("a number", value::number(1)),
        ("nothing", b"V".to_vec()),
        ("a table", death("hostile.fails", 1)),
        ("an empty list", value::array(&[])),
        ("a list of numbers", value::array(&[value::number(1), value::number(2)])),
        ("a list of empty tables", value::array(&vec![value::table::<&str>(&[]); 10])),
        ("a count below zero", value::array(&[death("hostile.fails", -1)])),
        ("a count without end", value::array(&[death("hostile.fails", i64::MAX)])),
        ("every place that we have, in a circle", value::array(&circle)),
        ("one place a hundred times", value::array(&vec![death("hostile.fails", 1); 100])),
        ("a place that is no text", value::array(&[value::table(&[("queue", value::text(b"\xff"))])])),
        ("lists inside one another", value::nested(b"A", 500)),
    ];
    let mut cases: Vec<_> =
        deaths.into_iter().map(|(what, deaths)| one(format!("deaths: {what}"), b"x-death", deaths)).collect();
    for (name, value) in [
        ("x-delivery-count", value::number(-1)),
        ("x-delivery-count", value::number(i64::MAX)),
        ("x-delivery-count", value::text("many")),
        ("x-first-death-queue", value::text("hostile.fails")),
        ("x-last-death-queue", value::text(b"\xff")),
        ("x-dead-letter-exchange", value::text("nowhere")),
        ("x-message-ttl", value::number(0)),
        ("x-delay", value::number(i64::MAX)),
        ("x-match", value::text("any")),
        ("x-stream-offset", value::number(0)),
        ("CC", value::array(&[])),
        ("CC", value::array(&[value::text("nobody"), value::text(b"\xff")])),
        ("BCC", value::array(&[value::text("nobody")])),
    ] {
        cases.push(one(
            format!("the broker's `{name}` is {:?}", &value[..value.len().min(12)]),
            name.as_bytes(),
            value,
        ));
    }
    cases
}
