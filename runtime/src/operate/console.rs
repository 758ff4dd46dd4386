//! What a command prints, and asks.

use std::{
    fmt::{Arguments, Display},
    io::{self, IsTerminal, Write},
};

use serde::Serialize;

use super::Failure;

/// Where a command prints to: text for people, or JSON for programs.
pub(super) struct Console {
    pub(super) json: bool,
}

impl Console {
    /// Prints the one or the other.
    pub(super) fn tell(&self, text: &impl Display, json: &impl Serialize) -> Result<(), Failure> {
        if self.json {
            print(format_args!("{}\n", serde_json::to_string_pretty(json)?));
        } else {
            print(format_args!("{text}"));
        }
        Ok(())
    }

    /// Prints a line on the way; a program is told at the end.
    pub(super) fn say(&self, line: impl Display) {
        if !self.json {
            print(format_args!("{line}\n"));
        }
    }

    /// Asks whether to go on, unless that is said already.
    pub(super) async fn confirm(&self, question: &str, yes: bool) -> Result<bool, Failure> {
        if yes {
            return Ok(true);
        }
        if self.json || !io::stdin().is_terminal() {
            return Err(format!("{question} There is nobody to ask here: add --yes").into());
        }
        print(format_args!("{question} [y/N] "));
        let answer = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            io::stdin().read_line(&mut answer).map(|_| answer)
        });
        let answer = answer.await??;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }
}

/// What cannot be printed has no reader: that is no reason to stop halfway.
fn print(text: Arguments<'_>) {
    let mut out = io::stdout().lock();
    let _ = out.write_fmt(text).and_then(|()| out.flush());
}

pub(super) fn complain(text: Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
