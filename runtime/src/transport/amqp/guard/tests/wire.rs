//! Frames, byte by byte.

/// The flags of some properties.
pub(super) const HEADERS: u16 = 1 << 13;
pub(super) const MESSAGE_ID: u16 = 1 << 7;

/// The payload of a content header: of a message with an empty body.
pub(super) fn payload(flags: u16, properties: &[u8]) -> Vec<u8> {
    [&60_u16.to_be_bytes()[..], &[0; 10], &flags.to_be_bytes(), properties].concat()
}

pub(super) fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A value that is a text.
pub(super) fn text(bytes: &[u8]) -> Vec<u8> {
    [b"S".as_slice(), &long(bytes)].concat()
}

/// A table, without its letter.
pub(super) fn table(entries: &[(&[u8], Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<_> = entries.iter().map(|(name, value)| [short(name), value.clone()].concat()).collect();
    long(&entries.concat())
}

/// Nothing, in so many lists (`A`) and tables (`F`) around one another, by turns.
pub(super) fn nested(letters: &str, depth: usize) -> Vec<u8> {
    let levels = letters.bytes().cycle().take(depth);
    let mut left = 1 + levels.clone().map(|letter| if letter == b'F' { 7 } else { 5 }).sum::<usize>();
    let mut value = Vec::with_capacity(left);
    for letter in levels {
        left -= 5;
        value.push(letter);
        value.extend(u32::try_from(left).unwrap().to_be_bytes());
        if letter == b'F' {
            left -= 2;
            value.extend(short(b"n"));
        }
    }
    value.push(b'V');
    value
}

/// A frame: 1 is a method, 2 a content header, 3 a body, 8 a heartbeat.
pub(super) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind, 0, 1], &length[..], payload, &[0xCE]].concat()
}
