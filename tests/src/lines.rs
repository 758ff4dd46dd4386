//! The runtime's log, for tests that hold what it says.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use crate::eventually;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The log of this process, all tests' together: tell them apart by the names of their services.
#[derive(Clone, Copy, Debug)]
pub struct Lines;

impl Lines {
    /// Begins to collect, once in a process.
    ///
    /// # Panics
    /// Something else takes this process's log: [`log`](crate::log) must not be called in the same test target.
    #[must_use]
    pub fn listen() -> Self {
        static LISTENS: std::sync::Once = std::sync::Once::new();
        LISTENS.call_once(|| {
            let filter = tracing_subscriber::EnvFilter::new("rabbitry=debug");
            let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| Line);
            lines.try_init().expect("nothing else takes the log");
        });
        Self
    }

    /// The lines that hold all of these.
    #[must_use]
    pub fn with(self, parts: &[&str]) -> Vec<String> {
        let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| parts.iter().all(|part| line.contains(part))).cloned().collect()
    }

    /// Waits until a line holds all of these.
    pub async fn wait_for(self, parts: &[&str]) {
        eventually(format!("a line with {parts:?}"), || async { !self.with(parts).is_empty() }).await;
    }
}

struct Line;

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The subscriber writes a whole line at a time.
        let line = String::from_utf8_lossy(bytes).trim_end().to_owned();
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
