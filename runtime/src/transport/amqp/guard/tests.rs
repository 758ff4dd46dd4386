//! Whatever a stranger wrote, lapin can read it; and what lapin can read anyway comes as it is.

mod pieces;
mod wire;

use lapin::{
    protocol::basic::{AMQPProperties, parse_properties},
    types::AMQPValue,
};
use proptest::{collection, prelude::*};

use super::content;
use crate::transport::amqp::convert;
use wire::{HEADERS, MESSAGE_ID, nested, payload, short, table, text};

const MOST: usize = 131_072 - 8;

/// The properties that lapin reads of a payload, once it is mended; and whether it was.
#[track_caller]
fn read(payload: &[u8]) -> (AMQPProperties, bool) {
    let mut mended = payload.to_vec();
    let left = content::header(&mut mended, MOST);
    mended.truncate(left.unwrap_or(payload.len()));
    assert_eq!(mended[..12], payload[..12], "class, weight and size stay");
    let (rest, properties) = parse_properties(&mended[12..]).expect("lapin reads it");
    assert!(rest.is_empty(), "{rest:?}");
    (properties, left.is_some())
}

/// The one header of a message.
fn header(properties: &AMQPProperties) -> (String, AMQPValue) {
    let headers = properties.headers().as_ref().expect("there are headers").inner();
    assert_eq!(headers.len(), 1);
    let (name, value) = headers.iter().next().expect("there is one");
    (name.to_string(), value.clone())
}

#[test]
fn bytes_that_are_no_text_become_question_marks() {
    let cases: [(&[u8], &str); 7] = [
        (b"plain", "plain"),
        ("größe".as_bytes(), "größe"),
        (b"\xff", "?"),
        (b"a\xc3(", "a?("),
        (b"\xe2\x82", "??"),
        (b"\xf0\x9f\x98\x80\xf0\x9f\x98", "😀???"),
        (b"\xed\xa0\x80z", "???z"),
    ];
    for (bytes, expected) in cases {
        let changes = bytes != expected.as_bytes();
        let (properties, mended) = read(&payload(MESSAGE_ID, &short(bytes)));
        assert_eq!((properties.message_id().as_ref().unwrap().as_str(), mended), (expected, changes));
        // The name of a header, and of one within.
        let (properties, mended) = read(&payload(HEADERS, &table(&[(bytes, text(b"\xff"))])));
        assert_eq!(header(&properties), (expected.to_owned(), AMQPValue::LongString([0xff].as_slice().into())));
        assert_eq!(mended, changes);
        let inner = [b"F".as_slice(), &table(&[(bytes, b"V".to_vec())])].concat();
        let (properties, mended) = read(&payload(HEADERS, &table(&[(b"t".as_slice(), inner)])));
        let (_, AMQPValue::FieldTable(inner)) = header(&properties) else { panic!("{properties:?}") };
        assert!(inner.contains_key(expected));
        assert_eq!(mended, changes);
    }
}

#[test]
fn what_nests_deeper_comes_as_bytes() {
    for letters in ["A", "F", "AF", "FAA"] {
        for (depth, changes) in [(1, false), (31, false), (32, false), (33, true), (1500, true), (18_000, true)] {
            let value = nested(letters, depth);
            let (properties, mended) = read(&payload(HEADERS, &table(&[(b"deep".as_slice(), value)])));
            assert_eq!(mended, changes, "{letters} {depth}");
            let (mut level, mut value) = (0, header(&properties).1);
            let last = loop {
                value = match value {
                    AMQPValue::FieldArray(values) => values.as_slice()[0].clone(),
                    AMQPValue::FieldTable(table) => table.inner()["n"].clone(),
                    last => break last,
                };
                level += 1;
            };
            assert_eq!(level, depth.min(32));
            if changes {
                // All that was there, less the letter and the length of the level that became bytes.
                let (before, behind) = letters.split_at(32 % letters.len());
                let whole = nested(&[behind, before].concat(), depth - 32);
                assert!(last == AMQPValue::ByteArray(whole[5..].into()), "{letters} {depth}");
            } else {
                assert_eq!(last, AMQPValue::Void);
            }
        }
    }
}

#[test]
fn a_header_beside_one_that_nests_deep_is_untouched() {
    let deep = nested("A", 20_000);
    let headers = table(&[(b"a".as_slice(), text(b"1")), (b"deep", deep), (b"z", text(b"2"))]);
    let (properties, _) = read(&payload(HEADERS | MESSAGE_ID, &[headers, short(b"id")].concat()));
    let headers = properties.headers().as_ref().unwrap().inner();
    assert_eq!(
        (&headers["a"], &headers["z"]),
        (&AMQPValue::LongString("1".into()), &AMQPValue::LongString("2".into()))
    );
    assert_eq!(properties.message_id().as_ref().unwrap().as_str(), "id");
}

#[test]
fn properties_that_cannot_be_read_are_left_out() {
    let overrun = [&100_u32.to_be_bytes()[..], b"\x01aV"].concat();
    let cases = [
        payload(HEADERS, b""),
        payload(HEADERS, &overrun),
        payload(HEADERS, &table(&[(b"a".as_slice(), b"?\0\0".to_vec())])),
        payload(HEADERS, &table(&[(b"a".as_slice(), [b"S".as_slice(), &overrun].concat())])),
        payload(HEADERS, &table(&[(b"a".as_slice(), [b"A".as_slice(), &overrun].concat())])),
        payload(HEADERS, &table(&[(b"a".as_slice(), b"l\0".to_vec())])),
        payload(MESSAGE_ID, b"\x09short"),
        payload(0, b"more than there should be"),
    ];
    for payload in cases {
        assert_eq!(read(&payload), (AMQPProperties::default(), true), "{payload:?}");
    }
    // Not even that much.
    for length in 0..14 {
        let mut few = payload(0, b"")[..length].to_vec();
        assert_eq!(content::header(&mut few, MOST), None);
    }
}

/// The headers that are left of these once they have to fit `most` bytes.
fn left_of(headers: &[(&[u8], Vec<u8>)], most: usize) -> std::collections::BTreeMap<String, AMQPValue> {
    let mut payload = payload(HEADERS | MESSAGE_ID, &[table(headers), short(b"id")].concat());
    let left = content::header(&mut payload, most).unwrap_or(payload.len());
    assert!(left <= most, "{left} of {most}");
    let (rest, properties) = parse_properties(&payload[12..left]).unwrap();
    assert!(rest.is_empty());
    assert_eq!(properties.message_id().as_ref().unwrap().as_str(), "id");
    let headers = properties.headers().as_ref().unwrap().inner();
    headers.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
}

fn names(headers: &std::collections::BTreeMap<String, AMQPValue>) -> Vec<&str> {
    headers.keys().map(String::as_str).collect()
}

#[test]
fn a_content_header_longer_than_a_frame_loses_its_largest() {
    let large: (&[u8], Vec<u8>) = (b"large", text(&[b'x'; 6000]));
    let headers = [(b"small".as_slice(), text(b"s")), large.clone(), (b"medium", text(&[b'y'; 3000]))];
    let whole = payload(HEADERS | MESSAGE_ID, &[table(&headers), short(b"id")].concat()).len();
    assert_eq!(names(&left_of(&headers, whole)), ["large", "medium", "small"]);
    let left = left_of(&headers, whole - 1);
    assert_eq!(names(&left), ["medium", "rabbitry-dropped-headers", "small"]);
    assert_eq!(left["rabbitry-dropped-headers"], AMQPValue::LongString("large".into()));
    // Those that an earlier copy left out are named, too.
    let earlier = (b"rabbitry-dropped-headers".as_slice(), text(b"one, two"));
    let left = left_of(&[earlier, large.clone()], 4096);
    assert_eq!(left["rabbitry-dropped-headers"], AMQPValue::LongString("one, two, large".into()));
    // What a retry, or the count of deliveries, can't do without goes last, however small the others are.
    let many: Vec<_> = (0..2000).map(|n| n.to_string()).collect();
    let mut headers: Vec<(&[u8], Vec<u8>)> = many.iter().map(|name| (name.as_bytes(), b"V".to_vec())).collect();
    let needed: [&[u8]; 5] = [
        b"rabbitry-attempt",
        b"rabbitry-original-exchange",
        b"rabbitry-original-routing-key",
        b"rabbitry-queue",
        b"x-delivery-count",
    ];
    headers.extend(needed.map(|name| (name, text(&[b'v'; 200]))));
    let left = left_of(&headers, 4096);
    assert!(needed.iter().all(|name| left.contains_key(std::str::from_utf8(name).unwrap())), "{:?}", names(&left));
    // But it goes where it is forged.
    let left = left_of(&[(b"rabbitry-attempt", text(&[b'x'; 6000]))], 4096);
    assert_eq!(names(&left), ["rabbitry-dropped-headers"]);
}

#[test]
fn text_in_a_method_becomes_readable() {
    let method = |class: u16, method: u16, arguments: &[&[u8]]| {
        [&class.to_be_bytes()[..], &method.to_be_bytes(), &arguments.concat()].concat()
    };
    let (bad, good) = (short(b"k.\xff\xc3("), short(b"k.??("));
    let methods = |text: &[u8]| {
        [
            method(60, 60, &[&short(b"tag"), &[0; 9], text, text]),
            method(60, 71, &[&[0; 9], text, text, &[0; 4]]),
            method(60, 50, &[&[1, 56], text, text, text]),
            method(10, 50, &[&[1, 64], text, &[0; 4]]),
            method(20, 40, &[&[1, 150], text, &[0; 4]]),
            method(10, 60, &[text]),
        ]
    };
    for (mut bad, good) in methods(&bad).into_iter().zip(methods(&good)) {
        assert!(content::method(&mut bad));
        assert_eq!(bad, good);
        assert!(!content::method(&mut bad), "once is enough");
        // Cut anywhere, it does no harm.
        for length in 0..bad.len() {
            content::method(&mut bad.clone()[..length]);
        }
    }
    // What is none of these is not looked at.
    let mut other = method(60, 80, &[&[0xff; 9]]);
    assert!(!content::method(&mut other));
}

/// Bytes that are nearly the properties of a message.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        collection::vec(any::<u8>(), 0..6),
        prop::sample::select(b"tbBsUuIiLlfdDSxATFV".to_vec()).prop_map(|letter| vec![letter]),
        (0..40_u32).prop_map(|length| length.to_be_bytes().to_vec()),
        collection::vec(any::<u8>(), 0..20).prop_map(|bytes| short(&bytes)),
        collection::vec(any::<u8>(), 0..20).prop_map(|bytes| text(&bytes)),
        (1..70_usize).prop_map(|depth| nested("AF", depth)),
        (1..70_usize).prop_map(|depth| table(&[(b"\xffn".as_slice(), nested("F", depth))])),
    ];
    (any::<u16>(), collection::vec(piece, 0..12)).prop_map(|(flags, pieces)| payload(flags, &pieces.concat()))
}

proptest! {
    #[test]
    fn lapin_reads_whatever_is_left(payload in nearly(), most in 4088..6000_usize) {
        let mut mended = payload.clone();
        if let Some(left) = content::header(&mut mended, most) {
            mended.truncate(left);
        } else {
            prop_assert_eq!(&mended, &payload);
        }
        let (rest, properties) = parse_properties(&mended[12..]).expect("lapin reads it");
        prop_assert!(rest.is_empty());
        // What lapin can read, and no more than it can take, is left as it is.
        let untouched = parse_properties(&payload[12..]).is_ok_and(|(rest, read)| rest.is_empty() && read == properties);
        prop_assert!(untouched || mended != payload);
        // And so can we.
        let ours = convert::properties_of(&properties);
        prop_assert!(convert::properties(&ours).is_ok());
    }

    #[test]
    fn any_bytes_do_no_harm(mut bytes in collection::vec(any::<u8>(), 0..200)) {
        content::method(&mut bytes);
        content::frame_max(&bytes);
        let left = content::header(&mut bytes, MOST);
        prop_assert!(left.is_none_or(|left| left <= bytes.len()));
    }
}
