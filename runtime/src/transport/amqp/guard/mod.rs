//! What stands between the socket and lapin: everything that is read goes through it.
//!
//! Bodies pass untouched, straight into lapin's buffer, and so does all else that comes in one piece. Only a frame of methods or
//! headers that a read cut in two is held until the rest of it is there.

mod content;
mod frames;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzz;
mod kit;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::{AsyncRead, AsyncWrite};

use frames::Frames;
pub(super) use kit::runtime;

/// How much of a held frame is read at once.
const STEP: usize = 64 * 1024;

/// A stream whose frames are mended before lapin reads them.
pub(super) struct Guard<S> {
    stream: S,
    frames: Frames,
    /// A frame that came in pieces.
    held: Vec<u8>,
    /// How much of it lapin has by now, once it is whole.
    given: Option<usize>,
}

impl<S> Guard<S> {
    /// Guards a stream from its beginning; `frame_max` is the largest frame that we ask for, if there is one.
    pub(super) fn new(stream: S, frame_max: Option<u32>) -> Self {
        Self { stream, frames: Frames::new(frame_max), held: Vec::new(), given: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    // Not `poll_read_vectored`: a frame in two buffers could not be mended in place.
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { stream, frames, held, given } = self.get_mut();
        loop {
            if let Some(from) = given {
                let waiting = held.get(*from..).unwrap_or_default();
                let length = waiting.len().min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..length), waiting.get(..length)) {
                    to.copy_from_slice(from);
                }
                *from += length;
                if *from == held.len() {
                    held.clear();
                    held.shrink_to(STEP);
                    *given = None;
                }
                return Poll::Ready(Ok(length));
            }
            if held.is_empty() {
                let read = ready!(Pin::new(&mut *stream).poll_read(context, buffer))?;
                let Some(read) = buffer.get_mut(..read).filter(|read| !read.is_empty()) else {
                    return Poll::Ready(Ok(0));
                };
                let (done, begun) = frames.follow(read);
                held.extend_from_slice(read.get(done..done + begun).unwrap_or_default());
                if done > 0 {
                    return Poll::Ready(Ok(done));
                }
            }
            let missing = frames.missing(held)?;
            if missing == 0 {
                *given = Some(0);
                continue;
            }
            // No more than this frame, so that what follows it can be read in place again.
            let had = held.len();
            held.resize(had + missing.min(STEP), 0);
            let read = Pin::new(&mut *stream).poll_read(context, held.get_mut(had..).unwrap_or_default());
            held.truncate(had + if let Poll::Ready(Ok(read)) = read { read } else { 0 });
            if ready!(read)? == 0 {
                return Poll::Ready(Ok(0));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_close(context)
    }
}

impl<S> fmt::Debug for Guard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("frames", &self.frames).finish_non_exhaustive()
    }
}
