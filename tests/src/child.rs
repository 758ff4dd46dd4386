//! A service in a process of its own, that a test can end in any way.

use std::process::{ExitStatus, Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child as Process, Command},
};

use crate::{Record, within};

/// The process of a service; killed when dropped.
#[derive(Debug)]
pub struct Child(Process);

impl Child {
    /// Starts the program with these environment variables; each line that it prints is added to the record.
    #[must_use]
    pub fn start(program: &str, variables: &[(&str, &str)], lines: &Record<String>) -> Self {
        let mut command = Command::new(program);
        command.envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("the program starts");
        let printed = process.stdout.take().expect("its output is ours");
        let lines = lines.clone();
        tokio::spawn(async move {
            let mut printed = BufReader::new(printed).lines();
            while let Ok(Some(line)) = printed.next_line().await {
                lines.add(line);
            }
        });
        Self(process)
    }

    /// Sends it a signal: `TERM`, `INT`, `KILL`.
    pub async fn signal(&self, name: &str) {
        let process = self.0.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status().await.expect("kill runs");
        assert!(sent.success(), "kill -s {name} {process}: {sent}");
    }

    /// Waits until it ends.
    pub async fn wait(&mut self) -> ExitStatus {
        within("the end of the process", self.0.wait()).await.expect("it can be waited for")
    }
}
