//! The frames in what is read, whatever pieces it comes in.

use std::io;

use super::content;

/// Type, channel, and length of the payload.
const HEAD: usize = 1 + 2 + 4;
/// What a frame takes beside its payload: its head, and the byte that ends it.
const OVERHEAD: usize = HEAD + 1;
/// The longest frame that is held until it is whole. RabbitMQ's are 128 KiB at most, unless it is told otherwise; headers may be
/// somewhat longer than that.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;
/// What ends a frame.
const END: u8 = 0xCE;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// How far the stream has been followed.
#[derive(Debug)]
pub(super) struct Frames {
    /// How many bytes of a frame that needs no mending are still to come.
    pass: usize,
    /// The largest frame that lapin takes.
    most: usize,
    /// Whether anything was mended so far.
    mended: bool,
}

/// What stands at some place of the stream.
enum Next {
    /// A frame of so many bytes that goes on as it is.
    Pass(usize),
    /// A frame of so many bytes that has to be there as a whole.
    Mend(usize),
    /// The beginning of a frame, of which at least so many bytes are still missing.
    Missing(usize),
}

impl Frames {
    /// The stream from its beginning; `frame_max` is the largest frame that we ask for, if there is one.
    pub(super) fn new(frame_max: Option<u32>) -> Self {
        let most = frame_max.filter(|most| *most != 0).and_then(|most| usize::try_from(most).ok());
        Self { pass: 0, most: most.unwrap_or(usize::MAX), mended: false }
    }

    /// Mends all whole frames of what was read, in place. Gives how many bytes go on, and how many behind them begin a frame
    /// that has to be there as a whole; what is behind these is left over from mending.
    pub(super) fn follow(&mut self, read: &mut [u8]) -> (usize, usize) {
        let (mut done, mut end) = (0, read.len());
        loop {
            let passed = self.pass.min(end - done);
            self.pass -= passed;
            done += passed;
            let Some(rest) = read.get_mut(done..end).filter(|rest| !rest.is_empty()) else { return (done, 0) };
            match next(rest) {
                Next::Pass(length) => self.pass = length,
                Next::Missing(_) => return (done, end - done),
                Next::Mend(length) => {
                    let left = rest.get_mut(..length).map_or(length, |frame| self.mend(frame));
                    if left < length {
                        rest.copy_within(length.., left);
                        end -= length - left;
                    }
                    done += left;
                }
            }
        }
    }

    /// How many bytes are missing at least of the frame that begins with these; 0 once it can go on, mended.
    ///
    /// # Errors
    /// It says that it is longer than any that a broker sends.
    pub(super) fn missing(&mut self, held: &mut Vec<u8>) -> io::Result<usize> {
        Ok(match next(held) {
            Next::Missing(bytes) if held.len().saturating_add(bytes) > LONGEST => {
                let text = format!(
                    "a frame of methods or headers of more than {LONGEST} bytes: this is no AMQP, or no longer"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            Next::Missing(bytes) => bytes,
            Next::Pass(length) => {
                self.pass = length - held.len();
                0
            }
            Next::Mend(length) => {
                let left = held.get_mut(..length).map_or(length, |frame| self.mend(frame));
                held.truncate(left);
                0
            }
        })
    }

    /// Mends a whole frame; its new length, which is never more.
    fn mend(&mut self, frame: &mut [u8]) -> usize {
        let length = frame.len();
        let Some((head, payload)) = frame.split_at_mut_checked(HEAD) else { return length };
        let Some((_, payload)) = payload.split_last_mut() else { return length };
        let left = match head {
            [METHOD, ..] => {
                if let Some(theirs) = content::frame_max(payload).filter(|theirs| *theirs != 0) {
                    self.most = self.most.min(usize::try_from(theirs).unwrap_or(usize::MAX));
                }
                content::method(payload).then_some(payload.len())
            }
            _ => content::header(payload, self.most.saturating_sub(OVERHEAD)),
        };
        let Some(left) = left else { return length };
        if !std::mem::replace(&mut self.mended, true) {
            tracing::warn!(
                "a message has text that is not UTF-8, or headers that nest deeper or are larger than a client reads; what \
                 could not be read was changed or left out, and so it is with others that come by this connection"
            );
        }
        if let (Some(size), Ok(new)) = (head.last_chunk_mut(), u32::try_from(left)) {
            *size = new.to_be_bytes();
        }
        if let Some(end) = frame.get_mut(HEAD + left) {
            *end = END;
        }
        left + OVERHEAD
    }
}

/// What begins with these bytes, of which there is one at least.
fn next(at: &[u8]) -> Next {
    let Some((&kind, rest)) = at.split_first() else { return Next::Missing(HEAD) };
    if !matches!(kind, METHOD | HEADER | BODY | HEARTBEAT) {
        // No frame: a broker that speaks another protocol says so, and goes.
        return Next::Pass(usize::MAX);
    }
    let Some(length) = rest.get(2..6).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes) else {
        return Next::Missing(HEAD - at.len());
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(OVERHEAD);
    if !matches!(kind, METHOD | HEADER) {
        return Next::Pass(length);
    }
    match length.checked_sub(at.len()) {
        None | Some(0) => Next::Mend(length),
        Some(missing) => Next::Missing(missing),
    }
}
