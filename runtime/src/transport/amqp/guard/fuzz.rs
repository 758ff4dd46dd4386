//! What `fuzz/` sends through the guard.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures_io::AsyncRead;
use lapin::protocol::basic::{gen_properties, parse_properties};

use super::{super::convert, Guard, content};
use crate::envelope::Properties;

/// The frame's length that the guard is asked to keep to.
const FRAME_MAX: usize = 8192;

/// The properties that a message with these bytes behind its body's size is read with; `None` if there are too few.
pub(crate) fn properties(bytes: &[u8]) -> Option<Properties> {
    let mut payload = [&[0; 12], bytes].concat();
    if let Some(left) = content::header(&mut payload, FRAME_MAX - 8) {
        payload.truncate(left);
    }
    assert!(payload.len() <= FRAME_MAX - 8);
    let properties = payload.get(12..).filter(|properties| properties.len() >= 2)?;
    let (rest, properties) = parse_properties(properties).expect("lapin reads it");
    assert!(rest.is_empty(), "lapin reads all of it");
    Some(convert::properties_of(&properties))
}

/// A routing key, or any other text of a method's: at most 255 bytes.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut blocked = [&[0, 10, 0, 60, u8::try_from(bytes.len()).expect("at most 255 bytes")], bytes].concat();
    content::method(&mut blocked);
    String::from_utf8(blocked.split_off(5)).expect("lapin reads it")
}

/// The properties as lapin writes them.
pub(crate) fn written(properties: &Properties) -> Vec<u8> {
    let length = properties.encoded_len();
    let properties = convert::properties(properties).expect("each fits its place");
    let mut bytes = vec![0; length];
    let (_, written) = gen_properties(&properties)((&mut bytes[..]).into()).expect("they fit").into_inner();
    bytes.truncate(written as usize);
    bytes
}

/// A socket that gives so many bytes at once.
struct Socket<'a>(&'a [u8], usize);

impl AsyncRead for Socket<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let length = self.1.min(buffer.len()).min(self.0.len());
        let (now, later) = self.0.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.0 = later;
        Poll::Ready(Ok(length))
    }
}

/// All that comes through the guard.
fn through(bytes: &[u8], at_once: usize) -> Vec<u8> {
    let mut guard = Guard::new(Socket(bytes, at_once), Some(FRAME_MAX as u32));
    let (mut came, mut buffer) = (Vec::new(), [0; 1000]);
    loop {
        match Pin::new(&mut guard).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
            Poll::Ready(Ok(0)) => return came,
            // What cannot be a frame is the end of it.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::InvalidData => return came,
            Poll::Ready(Ok(read)) => came.extend_from_slice(&buffer[..read]),
            other => panic!("{other:?}"),
        }
    }
}

/// Sends a stream through the guard.
pub(crate) fn stream(bytes: &[u8], at_once: usize) {
    let whole = through(bytes, usize::MAX);
    assert!(whole.len() <= bytes.len());
    assert_eq!(through(bytes, at_once.max(1)), whole, "pieces make no difference");
    assert_eq!(through(&whole, usize::MAX), whole, "once is enough");
    // Every content header can be read.
    let mut rest = &whole[..];
    while let [1 | 2 | 3 | 8, _, _, a, b, c, d, behind @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let Some((payload, behind)) = behind.split_at_checked(length) else { return };
        if let ([2, ..], Some(properties)) = (rest, payload.get(12..).filter(|properties| properties.len() >= 2)) {
            assert!(length + 8 <= FRAME_MAX);
            let (left, _) = parse_properties(properties).expect("lapin reads it");
            assert!(left.is_empty(), "lapin reads all of it");
        }
        rest = behind.get(1..).unwrap_or_default();
    }
}
