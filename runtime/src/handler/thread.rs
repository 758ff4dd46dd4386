//! Threads for handlers that block.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
};

use tokio::{runtime::Handle, sync::oneshot};
use tracing::Span;

use super::HandlerError;

/// Runs a function that may block on a thread of its own, as a part of the current span and with tokio's runtime at hand.
/// It is none of tokio's threads: a process whose runtime ends waits for those, for ever if need be.
///
/// # Errors
/// The process gets no thread.
///
/// # Panics
/// The function does.
pub(super) async fn on_a_thread<T: Send + 'static>(
    function: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HandlerError> {
    let (answer, answered) = oneshot::channel();
    let (runtime, span) = (Handle::current(), Span::current());
    let run = move || {
        let (_runtime, _span) = (runtime.enter(), span.enter());
        // Nobody waits for a run that was cut off.
        let _ = answer.send(catch_unwind(AssertUnwindSafe(function)));
    };
    // The operating system shows fifteen letters of it.
    thread::Builder::new().name("rabbitry handle".to_owned()).spawn(run)?;
    match answered.await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(panic)) => resume_unwind(panic),
        Err(gone) => Err(gone.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_it_needs_is_at_hand_and_its_panic_comes_out() {
        let here = thread::current().id();
        let there = on_a_thread(move || {
            Handle::current().block_on(tokio::task::yield_now());
            thread::current().id()
        });
        assert_ne!(there.await.unwrap(), here);
        let panicking = tokio::spawn(on_a_thread(|| panic!("ill")));
        let panic = panicking.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref(), Some(&"ill"));
    }

    #[test]
    fn the_end_of_the_runtime_does_not_wait_for_it() {
        let (held, hold) = std::sync::mpsc::channel::<()>();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (begun, began) = std::sync::mpsc::channel();
        runtime.spawn(on_a_thread(move || {
            begun.send(()).unwrap();
            let _ = hold.recv();
        }));
        began.recv().unwrap();
        // With a thread of tokio's this would never end.
        drop(runtime);
        drop(held);
    }
}
