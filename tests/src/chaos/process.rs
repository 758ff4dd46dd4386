//! The processes of a run: started, killed, frozen, told to end, and started again.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    sync::mpsc,
    task::JoinHandle,
};

use super::{
    journal::Journal,
    role::{NUMBER, ROLE, SEED},
};

/// How long a process may take to be ready, and to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(90);

/// What is started.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The program, which is one of ours.
    pub(crate) path: PathBuf,
    pub(crate) seed: u64,
    /// Where the processes' logs go.
    pub(crate) logs: PathBuf,
}

/// One of the processes, through all its lives.
#[derive(Debug)]
pub(crate) struct Process {
    program: Program,
    role: &'static str,
    /// Which of its role it is, from 1.
    number: usize,
    /// How often it was started.
    life: usize,
    url: String,
    journal: Arc<Journal>,
    child: Child,
    reader: JoinHandle<()>,
    orders: mpsc::UnboundedSender<u64>,
    frozen: bool,
    /// How it ended when nobody had ended it.
    pub(crate) surprises: Vec<String>,
}

impl Process {
    /// Starts it.
    pub(crate) fn start(
        program: &Program,
        role: &'static str,
        number: usize,
        url: String,
        journal: &Arc<Journal>,
    ) -> Self {
        let (program, journal) = (program.clone(), Arc::clone(journal));
        let (child, reader, orders) = launch(&program, role, number, 1, &url, &journal);
        let surprises = Vec::new();
        Self { program, role, number, life: 1, url, journal, child, reader, orders, frozen: false, surprises }
    }

    /// Its name, which tells its lives from each other.
    pub(crate) fn who(&self) -> Arc<str> {
        who(self.role, self.number, self.life)
    }

    /// Where a source is told how many events to publish.
    pub(crate) fn orders(&self) -> mpsc::UnboundedSender<u64> {
        self.orders.clone()
    }

    /// Has it publish so many events.
    pub(crate) fn publish(&self, events: u64) {
        // Of a dead one they are published by another.
        let _ = self.orders.send(events);
    }

    /// Waits until it is ready; false if it takes too long.
    pub(crate) async fn is_ready(&self) -> bool {
        let who = self.who();
        self.journal.until(PATIENCE, |said| said.ready.contains(&who).then_some(())).await.is_some()
    }

    /// Kills it with -9.
    pub(crate) async fn kill(&mut self) {
        self.expect_life();
        let _ = self.child.start_kill();
        self.ended().await;
    }

    /// Tells it to end; how it did.
    pub(crate) async fn end(&mut self) -> Option<ExitStatus> {
        self.expect_life();
        self.signal("TERM").await;
        self.ended().await
    }

    /// Ends its input, which ends a source; how it ended.
    pub(crate) async fn finish(&mut self) -> Option<ExitStatus> {
        self.expect_life();
        self.orders = mpsc::unbounded_channel().0;
        self.ended().await
    }

    /// Has it stand still.
    pub(crate) async fn freeze(&mut self) {
        self.frozen = true;
        self.signal("STOP").await;
    }

    /// Lets it go on.
    pub(crate) async fn thaw(&mut self) {
        self.frozen = false;
        self.signal("CONT").await;
    }

    /// Starts it anew, after its end.
    pub(crate) fn restart(&mut self) {
        self.life += 1;
        let (child, reader, orders) =
            launch(&self.program, self.role, self.number, self.life, &self.url, &self.journal);
        (self.child, self.reader, self.orders) = (child, reader, orders);
    }

    /// Starts it anew if it has ended by itself.
    pub(crate) fn revive(&mut self) {
        if self.expect_life() {
            self.restart();
        }
    }

    /// Notes it if the process has ended by itself.
    fn expect_life(&mut self) -> bool {
        let ended = self.child.try_wait().ok().flatten();
        if let Some(status) = ended {
            self.surprises.push(format!("{} ended by itself: {status}", self.who()));
        }
        ended.is_some()
    }

    /// Waits for its end and takes its last words; `None` if it does not end.
    async fn ended(&mut self) -> Option<ExitStatus> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.ok()?.ok()?;
        let _ = (&mut self.reader).await;
        // What it was told to publish and had no time for is nobody's any more.
        let subjects = format!("{}.{}.", self.number, self.life);
        if self.role == "source" {
            self.journal.with(|said| said.gone(&subjects));
        }
        Some(status)
    }

    async fn signal(&self, name: &str) {
        let Some(id) = self.child.id() else { return };
        let sent = Command::new("kill").args(["-s", name, &id.to_string()]).status().await;
        assert!(sent.as_ref().is_ok_and(ExitStatus::success), "kill -s {name} {id}: {sent:?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The child is killed with its handle; one that stands still, too.
        self.reader.abort();
    }
}

fn who(role: &str, number: usize, life: usize) -> Arc<str> {
    format!("{role} {number}.{life}").into()
}

fn launch(
    program: &Program,
    role: &'static str,
    number: usize,
    life: usize,
    url: &str,
    journal: &Arc<Journal>,
) -> (Child, JoinHandle<()>, mpsc::UnboundedSender<u64>) {
    let log = log_file(&program.logs, role, number);
    let mut child = Command::new(&program.path)
        .env("AMQP_URL", url)
        .env(ROLE, role)
        .env(SEED, program.seed.to_string())
        .env(NUMBER, format!("{number}.{life}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let (mut input, output) = (child.stdin.take().expect("ours"), child.stdout.take().expect("ours"));
    let (orders, mut told) = mpsc::unbounded_channel::<u64>();
    tokio::spawn(async move {
        while let Some(events) = told.recv().await {
            if input.write_all(format!("{events}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    });
    let (journal, who) = (Arc::clone(journal), who(role, number, life));
    let reader = tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            journal.take(&who, &line);
        }
    });
    (child, reader, orders)
}

/// One for all lives of a process.
fn log_file(logs: &Path, role: &str, number: usize) -> File {
    let path = logs.join(format!("{role}-{number}.log"));
    let opened = File::options().create(true).append(true).open(&path);
    opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
