//! What strangers wrote, in the broker's frames, made such that lapin reads it.
//!
//! lapin ends the connection over text that is not UTF-8 and over a frame longer than agreed, and reads nested lists and
//! tables by recursion, until its thread's stack is exhausted and the process with it. RabbitMQ delivers all of these: a
//! message of any publisher would end every consumer's connection, again and again, and no handler would ever see it.

use lapin::protocol::basic::{gen_properties, parse_properties};

use super::super::convert;
use crate::envelope::{self, message::DEPTH};

/// What comes before the properties: class, weight, and the body's size.
const PREFIX: usize = 2 + 2 + 8;

/// A method that carries what a stranger, or an operator, wrote.
#[derive(Clone, Copy)]
enum Part {
    /// So many bytes that are no text.
    Fixed(usize),
    /// A short string.
    Short,
}

/// The arguments of a method, as far as its last short string.
fn parts(class: u16, method: u16) -> &'static [Part] {
    use Part::{Fixed, Short};
    match (class, method) {
        // connection.close and channel.close: a code and a text.
        (10, 50) | (20, 40) => &[Fixed(2), Short],
        // connection.blocked: a text.
        (10, 60) => &[Short],
        // basic.return: a code, a text, exchange and routing key.
        (60, 50) => &[Fixed(2), Short, Short, Short],
        // basic.deliver: the consumer's tag, the delivery's, whether again, exchange and routing key.
        (60, 60) => &[Short, Fixed(9), Short, Short],
        // basic.get-ok: the delivery's tag, whether again, exchange and routing key.
        (60, 71) => &[Fixed(9), Short, Short],
        _ => &[],
    }
}

/// Mends the payload of a method's frame; whether there was anything to mend.
pub(super) fn method(payload: &mut [u8]) -> bool {
    let mut mended = false;
    let mut rest = payload;
    // What is shorter than it should be is left to lapin.
    let _ = (|| {
        let (class, method) = (u16::from_be_bytes(array(&mut rest)?), u16::from_be_bytes(array(&mut rest)?));
        for part in parts(class, method) {
            match part {
                Part::Fixed(bytes) => drop(take(&mut rest, *bytes)?),
                Part::Short => mended |= short(&mut rest)?,
            }
        }
        Some(())
    })();
    mended
}

/// The largest frame that the broker sends, by its `connection.tune`; `None` of any other method.
pub(super) fn frame_max(mut payload: &[u8]) -> Option<u32> {
    // Class, method, and the largest number of channels come before it.
    payload = payload.strip_prefix(&[0, 10, 0, 30])?;
    let bytes = payload.get(2..6)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes))
}

/// Mends the payload of a content header's frame, which may be of at most `most` bytes then; its new length, if there was
/// anything to mend.
pub(super) fn header(payload: &mut [u8], most: usize) -> Option<usize> {
    let (_, mut fields) = payload.split_at_mut_checked(PREFIX)?;
    let mended = match properties(&mut fields) {
        Some(mended) if fields.is_empty() => mended,
        // No RabbitMQ that we know lets such through. Without properties it can at least be dead-lettered.
        _ => return without_properties(payload),
    };
    if payload.len() > most {
        return shortened(payload, most).or_else(|| without_properties(payload));
    }
    mended.then_some(payload.len())
}

fn without_properties(payload: &mut [u8]) -> Option<usize> {
    payload.get_mut(PREFIX..PREFIX + 2)?.fill(0);
    Some(PREFIX + 2)
}

/// Leaves out headers, the largest first, until the payload has at most so many bytes.
fn shortened(payload: &mut [u8], most: usize) -> Option<usize> {
    let (_, fields) = payload.split_at_mut_checked(PREFIX)?;
    let (_, properties) = parse_properties(&*fields).ok()?;
    let mut properties = convert::properties_of(&properties);
    envelope::fit_frame(&mut properties, most);
    let properties = convert::properties(&properties).ok()?;
    let (_, written) = gen_properties(&properties)(fields.into()).ok()?.into_inner();
    usize::try_from(written).ok().map(|written| PREFIX + written)
}

/// Mends the properties of `basic`; whether there was anything to mend, or `None` if they end too early or hold a value of a
/// type that nobody knows.
fn properties(rest: &mut &mut [u8]) -> Option<bool> {
    let flags = u16::from_be_bytes(array(rest)?);
    let mut mended = false;
    for place in 0..14 {
        if flags & (1 << (15 - place)) != 0 {
            match place {
                // The headers.
                2 => mended |= table(rest, DEPTH)?,
                // Delivery mode and priority.
                3 | 4 => drop(take(rest, 1)?),
                // The timestamp.
                9 => drop(take(rest, 8)?),
                _ => mended |= short(rest)?,
            }
        }
    }
    Some(mended)
}

fn table(rest: &mut &mut [u8], depth: usize) -> Option<bool> {
    let (mut mended, mut entries) = (false, long(rest)?);
    while !entries.is_empty() {
        mended |= short(&mut entries)?;
        mended |= value(&mut entries, depth)?;
    }
    Some(mended)
}

fn list(rest: &mut &mut [u8], depth: usize) -> Option<bool> {
    let (mut mended, mut values) = (false, long(rest)?);
    while !values.is_empty() {
        mended |= value(&mut values, depth)?;
    }
    Some(mended)
}

/// Mends a value that may hold `depth` lists and tables inside one another. One that lies deeper becomes bytes, by its letter
/// alone: their length is written likewise.
fn value(rest: &mut &mut [u8], depth: usize) -> Option<bool> {
    let letter = take(rest, 1)?.first_mut()?;
    match (*letter, depth.checked_sub(1)) {
        (b'F', Some(depth)) => return table(rest, depth),
        (b'A', Some(depth)) => return list(rest, depth),
        (b'F' | b'A', None) => {
            *letter = b'x';
            return long(rest).map(|_| true);
        }
        (b'S' | b'x', _) => drop(long(rest)?),
        (b't' | b'b' | b'B', _) => drop(take(rest, 1)?),
        (b's' | b'U' | b'u', _) => drop(take(rest, 2)?),
        (b'I' | b'i' | b'f', _) => drop(take(rest, 4)?),
        (b'D', _) => drop(take(rest, 5)?),
        (b'l' | b'L' | b'T' | b'd', _) => drop(take(rest, 8)?),
        (b'V', _) => {}
        _ => return None,
    }
    Some(false)
}

/// Mends a short string: each byte that belongs to no character becomes a question mark.
fn short(rest: &mut &mut [u8]) -> Option<bool> {
    let length = *take(rest, 1)?.first()?;
    let mut text = take(rest, length.into())?;
    let mut mended = false;
    while let Err(error) = std::str::from_utf8(text) {
        let (_, wrong) = text.split_at_mut_checked(error.valid_up_to())?;
        let (wrong, behind) = wrong.split_at_mut_checked(error.error_len().unwrap_or(wrong.len()))?;
        wrong.fill(b'?');
        text = behind;
        mended = true;
    }
    Some(mended)
}

/// What a length of 32 bits stands before.
fn long<'a>(rest: &mut &'a mut [u8]) -> Option<&'a mut [u8]> {
    let length = u32::from_be_bytes(array(rest)?);
    take(rest, usize::try_from(length).ok()?)
}

fn array<const N: usize>(rest: &mut &mut [u8]) -> Option<[u8; N]> {
    take(rest, N).and_then(|bytes| (&*bytes).try_into().ok())
}

/// The next bytes; `None` if there are fewer.
fn take<'a>(rest: &mut &'a mut [u8], bytes: usize) -> Option<&'a mut [u8]> {
    let (taken, left) = std::mem::take(rest).split_at_mut_checked(bytes)?;
    *rest = left;
    Some(taken)
}
