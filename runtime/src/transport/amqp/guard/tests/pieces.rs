//! The stream comes in any pieces, and is asked for in any.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures_io::AsyncRead;
use proptest::{collection, prelude::*};

use super::{
    super::{Guard, frames::LONGEST},
    wire::{HEADERS, MESSAGE_ID, frame, nested, payload, short, table, text},
};

/// A socket that gives its bytes piece by piece, and has none between two of them.
struct Pieces {
    left: VecDeque<Vec<u8>>,
    is_dry: bool,
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.is_dry = !self.is_dry;
        if self.is_dry {
            return Poll::Pending;
        }
        let Some(mut piece) = self.left.pop_front() else { return Poll::Ready(Ok(0)) };
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        let rest = piece.split_off(length);
        if !rest.is_empty() {
            self.left.push_front(rest);
        }
        Poll::Ready(Ok(length))
    }
}

/// All that comes through the guard of bytes that come in pieces of these lengths, by turns, and are asked for in others.
fn through(bytes: &[u8], pieces: &[usize], asked: &[usize], frame_max: Option<u32>) -> Vec<u8> {
    let (mut left, mut rest) = (VecDeque::new(), bytes);
    for length in pieces.iter().cycle() {
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        if piece.is_empty() {
            break;
        }
        left.push_back(piece.to_vec());
        rest = behind;
    }
    let mut guard = Guard::new(Pieces { left, is_dry: false }, frame_max);
    let mut context = Context::from_waker(Waker::noop());
    let mut came = Vec::new();
    for length in asked.iter().cycle() {
        let mut buffer = vec![0; *length];
        let mut waits = 0;
        loop {
            match Pin::new(&mut guard).poll_read(&mut context, &mut buffer) {
                // One for each piece.
                Poll::Pending if waits <= bytes.len() => waits += 1,
                Poll::Ready(Ok(0)) => return came,
                // What cannot be a frame is the end of it.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::InvalidData => return came,
                Poll::Ready(Ok(read)) => {
                    came.extend_from_slice(&buffer[..read]);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    came
}

fn whole(bytes: &[u8]) -> Vec<u8> {
    through(bytes, &[bytes.len()], &[bytes.len()], None)
}

/// A delivery, and the same as lapin is to read it.
fn delivery(key: &[u8], header: &[u8], body: &[u8]) -> Vec<u8> {
    let method = [&60_u16.to_be_bytes()[..], &60_u16.to_be_bytes(), &short(b"tag"), &[0; 9], &short(b"x"), &short(key)];
    [frame(1, &method.concat()), frame(2, header), frame(3, body), frame(8, b"")].concat()
}

fn stream() -> (Vec<u8>, Vec<u8>) {
    let plain = payload(HEADERS | MESSAGE_ID, &[table(&[(b"a".as_slice(), text(b"b"))]), short(b"id")].concat());
    let deep = |depth| payload(HEADERS, &table(&[(b"deep".as_slice(), nested("A", depth))]));
    let mut mended = deep(50);
    assert!(super::content::header(&mut mended, super::MOST).is_some());
    // A body that looks like a frame is none.
    let body = frame(2, &deep(50));
    let hostile = [
        delivery(b"k", &plain, &body),
        delivery(b"\xff", &deep(50), b"2"),
        delivery(b"k", &payload(MESSAGE_ID, &short(b"\xc3(")), b""),
        delivery(b"k", &plain, b"4"),
    ];
    let harmless = [
        delivery(b"k", &plain, &body),
        delivery(b"?", &mended, b"2"),
        delivery(b"k", &payload(MESSAGE_ID, &short(b"?(")), b""),
        delivery(b"k", &plain, b"4"),
    ];
    (hostile.concat(), harmless.concat())
}

#[test]
fn a_stream_is_mended_wherever_it_is_cut() {
    let (hostile, harmless) = stream();
    assert_eq!(whole(&hostile), harmless);
    for cut in 1..hostile.len() {
        let came = through(&hostile, &[cut, hostile.len()], &[hostile.len()], None);
        assert!(came == harmless, "cut at {cut}");
    }
    assert_eq!(through(&hostile, &[1], &[1], None), harmless);
}

#[test]
fn a_frame_that_is_too_long_is_shortened_between_others() {
    let large = |bytes| table(&[(b"large".as_slice(), text(&vec![b'x'; bytes])), (b"s", text(b"small"))]);
    let long = [delivery(b"k", &payload(HEADERS, &large(5000)), b"1"), delivery(b"k", &payload(0, b""), b"2")].concat();
    let dropped = table(&[(b"rabbitry-dropped-headers".as_slice(), text(b"large")), (b"s", text(b"small"))]);
    let short = [delivery(b"k", &payload(HEADERS, &dropped), b"1"), delivery(b"k", &payload(0, b""), b"2")].concat();
    let tune = |frame_max: u32| {
        let tune = [&[0, 10, 0, 30, 7, 255], &frame_max.to_be_bytes()[..], &[0, 60]].concat();
        frame(1, &tune)
    };
    for (ours, theirs, is_short) in [
        (None, 0, false),
        (None, 131_072, false),
        (None, 4096, true),
        (Some(0), 4096, true),
        (Some(4096), 0, true),
        (Some(4096), 131_072, true),
        (Some(131_072), 4096, true),
    ] {
        let stream = [tune(theirs), long.clone()].concat();
        let expected = [tune(theirs), if is_short { short.clone() } else { long.clone() }].concat();
        assert!(through(&stream, &[stream.len()], &[stream.len()], ours) == expected, "{ours:?} {theirs}");
        assert!(through(&stream, &[100], &[77], ours) == expected, "{ours:?} {theirs} in pieces");
    }
}

#[test]
fn a_stream_that_ends_within_a_frame_ends() {
    let (hostile, harmless) = stream();
    for length in (0..hostile.len()).step_by(7) {
        let came = through(&hostile[..length], &[50], &[64], None);
        assert!(harmless.starts_with(&came), "{length}");
    }
}

#[test]
fn what_is_no_frame_passes() {
    // What a broker answers to a client of another version.
    assert_eq!(whole(b"AMQP\x00\x00\x09\x01"), b"AMQP\x00\x00\x09\x01");
    let garbage: Vec<u8> = (9..=255).cycle().take(5000).collect();
    assert_eq!(through(&garbage, &[3, 700], &[64], None), garbage);
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        pieces in collection::vec(1..400_usize, 1..8),
        asked in collection::vec(1..400_usize, 1..8),
    ) {
        let (hostile, harmless) = stream();
        prop_assert!(through(&hostile, &pieces, &asked, None) == harmless);
    }

    #[test]
    fn any_stream_does_no_harm(
        frames in collection::vec((prop::sample::select(vec![1_u8, 2, 3, 8, 65]), collection::vec(any::<u8>(), 0..60)), 0..20),
        garbage in collection::vec(any::<u8>(), 0..30),
        pieces in collection::vec(1..100_usize, 1..5),
        asked in collection::vec(1..100_usize, 1..5),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(|(kind, payload)| frame(*kind, payload)).chain(garbage).collect();
        let whole = whole(&stream);
        prop_assert!(whole.len() <= stream.len());
        prop_assert_eq!(through(&stream, &pieces, &asked, None), whole);
    }
}

#[test]
fn a_frame_that_says_it_is_longer_than_any_is_not_waited_for() {
    let stream = |length: usize| {
        let mut bytes = frame(2, b"begun");
        bytes[3..7].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        bytes
    };
    for (length, is_refused) in [(LONGEST - 8, false), (LONGEST - 7, true), (u32::MAX as usize, true)] {
        let left = VecDeque::from([stream(length)]);
        let mut guard = Guard::new(Pieces { left, is_dry: true }, None);
        let read = Pin::new(&mut guard).poll_read(&mut Context::from_waker(Waker::noop()), &mut [0; 64]);
        match read {
            Poll::Ready(Err(error)) => assert!(is_refused && error.kind() == io::ErrorKind::InvalidData, "{error}"),
            waits => assert!(!is_refused && waits.is_pending(), "{waits:?}"),
        }
    }
}
