//! How throughput grows with processes, and memory with what one of them holds. Each process is this program again, which does as
//! it is told by lines on its standard input and answers by lines on its standard output.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use rabbitry::{Service, State, Subscription};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::watch,
};

use crate::{
    broker::{Aside, Setting},
    event::{Never, Placed},
    stats::median,
};

/// What a process is started with.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Worker {
    /// How many deliveries the broker sends ahead.
    #[arg(long, default_value_t = 256)]
    pub(crate) prefetch: u16,
    /// How many subscriptions it has beside the one that is measured.
    #[arg(long, default_value_t = 0)]
    pub(crate) idle: usize,
}

/// What a process has to say at its end.
#[derive(Debug, Deserialize, Serialize)]
struct Told {
    handled: u64,
    /// Nanoseconds since 1970.
    first: u64,
    last: u64,
}

#[derive(Default)]
struct Handled {
    count: AtomicU64,
    first: AtomicU64,
    last: AtomicU64,
}

/// Consumes as told: `go` opens its handler, `memory` asks for the KiB that it holds, `end` ends it.
///
/// # Errors
/// The broker is not there, or nobody tells it anything any more.
pub(crate) async fn work(setting: &Setting, worker: Worker) -> anyhow::Result<()> {
    let (open, gate) = watch::channel(false);
    let handled = Arc::<Handled>::default();
    let handler =
        async |_: Placed, State(handled): State<Arc<Handled>>, State(mut gate): State<watch::Receiver<bool>>| {
            if !*gate.borrow() {
                let _ = gate.changed().await;
            }
            let now = nanoseconds();
            handled.count.fetch_add(1, Ordering::Relaxed);
            let _ = handled.first.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
            handled.last.fetch_max(now, Ordering::Relaxed);
        };
    let take = Subscription::to("placed").name("take").queue_type(setting.queue_type).prefetch(worker.prefetch);
    let mut service = Service::new(setting.service())
        .broker(&setting.url)
        .state(Arc::clone(&handled))
        .state(gate)
        .subscription(take.handler(handler));
    for number in 0..worker.idle {
        let options = Subscription::to("never").name(format!("idle-{number}")).queue_type(setting.queue_type);
        service = service.subscription(options.handler(async |_: Never| {}));
    }
    let running = service.start().await?;
    let (mut said, mut out) = (BufReader::new(tokio::io::stdin()).lines(), tokio::io::stdout());
    out.write_all(b"ready\n").await?;
    while let Some(line) = said.next_line().await? {
        match &*line {
            "go" => _ = open.send_replace(true),
            "memory" => out.write_all(format!("{}\n", resident()?).as_bytes()).await?,
            "end" => break,
            other => anyhow::bail!("nobody knows what `{other}` means"),
        }
        out.flush().await?;
    }
    running.shutdown().await?;
    let told = Told {
        handled: handled.count.load(Ordering::Relaxed),
        first: handled.first.load(Ordering::Relaxed),
        last: handled.last.load(Ordering::Relaxed),
    };
    out.write_all(format!("{}\n", serde_json::to_string(&told)?).as_bytes()).await?;
    Ok(out.flush().await?)
}

fn nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The KiB of memory that this process holds.
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A process that works.
struct Process {
    child: Child,
    told: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts one, and waits until it consumes.
    async fn start(setting: &Setting, worker: Worker) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["work", "--url", &setting.url, "--prefetch", &worker.prefetch.to_string()])
            .args(["--idle", &worker.idle.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let told = child.stdin.take().context("its input")?;
        let says = BufReader::new(child.stdout.take().context("its output")?).lines();
        let mut process = Self { child, told, says };
        ensure!(process.next().await? == "ready", "a process did not start");
        Ok(process)
    }

    async fn tell(&mut self, what: &str) -> anyhow::Result<()> {
        Ok(self.told.write_all(format!("{what}\n").as_bytes()).await?)
    }

    async fn next(&mut self) -> anyhow::Result<String> {
        let line = tokio::time::timeout(Duration::from_secs(120), self.says.next_line()).await??;
        line.context("a process ended too early")
    }

    async fn end(mut self) -> anyhow::Result<Told> {
        self.tell("end").await?;
        let told = serde_json::from_str(&self.next().await?)?;
        self.child.wait().await?;
        Ok(told)
    }
}

/// How many events a second so many processes handle together.
pub(crate) async fn processes(setting: &Setting, count: usize, rounds: u32) -> anyhow::Result<Vec<f64>> {
    let aside = Aside::open(&setting.url).await?;
    setting.declare().await?;
    let mut rates = Vec::new();
    for _ in 0..rounds {
        aside.purge(setting).await?;
        aside.fill(setting).await?;
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(Process::start(setting, Worker { prefetch: 256, idle: 0 }).await?);
        }
        for process in &mut all {
            process.tell("go").await?;
        }
        while aside.waiting(&setting.take()).await? > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (mut handled, mut first, mut last) = (0, u64::MAX, 0);
        for process in all {
            let told = process.end().await?;
            if told.handled > 0 {
                (handled, first, last) = (handled + told.handled, first.min(told.first), last.max(told.last));
            }
        }
        ensure!(handled >= setting.events, "{handled} of {} events were handled", setting.events);
        let seconds = Duration::from_nanos(last.saturating_sub(first)).as_secs_f64();
        rates.push(f64::from(u32::try_from(handled)?) / seconds);
    }
    Ok(rates)
}

/// The KiB of memory of a process that holds all that was sent ahead, while so many events wait.
pub(crate) async fn memory(setting: &Setting, worker: Worker) -> anyhow::Result<u64> {
    let aside = Aside::open(&setting.url).await?;
    setting.declare().await?;
    aside.purge(setting).await?;
    aside.fill(setting).await?;
    let mut process = Process::start(setting, worker).await?;
    let ahead = u64::from(worker.prefetch).min(setting.events);
    // The broker says of none that is with a consumer that it waits.
    while u64::from(aside.waiting(&setting.take()).await?) > setting.events - ahead {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What is on the wire arrives.
    let mut held = 0;
    loop {
        process.tell("memory").await?;
        let now = process.next().await?.parse()?;
        if now <= held {
            break;
        }
        held = now;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    process.tell("go").await?;
    process.end().await?;
    aside.purge(setting).await?;
    Ok(held)
}

/// Measures and prints both.
pub(crate) async fn print(setting: &Setting, rounds: u32, most: Option<u64>) -> anyhow::Result<serde_json::Value> {
    let at_most = |events: u64| events.min(most.unwrap_or(events));
    let mut scaled = Vec::new();
    println!("processes  events/s");
    for count in [1, 2, 4] {
        let rates = processes(&Setting { events: at_most(200_000), ..setting.clone() }, count, rounds).await?;
        println!("{count:>9}  {:>8.0}", median(&rates));
        scaled.push(serde_json::json!({ "processes": count, "events_per_second": rates }));
    }
    let mut grown = Vec::new();
    println!("\nprefetch  subscriptions  waiting  body  memory");
    let some = |prefetch, idle, events, size| {
        (Worker { prefetch, idle }, Setting { events: at_most(events), size, ..setting.clone() })
    };
    for (worker, setting) in [
        some(16, 0, 10_000, 200),
        some(256, 0, 10_000, 200),
        some(4096, 0, 10_000, 200),
        some(16, 0, 10_000, 10_000),
        some(256, 0, 10_000, 10_000),
        some(4096, 0, 10_000, 10_000),
        some(256, 100, 10_000, 200),
        some(256, 200, 10_000, 200),
        some(256, 0, 1_000_000, 200),
    ] {
        let held = memory(&setting, worker).await?;
        let (prefetch, subscriptions) = (worker.prefetch, worker.idle + 1);
        let (events, size) = (setting.events, setting.size);
        println!("{prefetch:>8}  {subscriptions:>13}  {events:>7}  {size:>4}  {:>4} MiB", held / 1024);
        grown.push(serde_json::json!({
            "prefetch": prefetch, "subscriptions": subscriptions, "waiting": events, "body_bytes": size, "kib": held,
        }));
    }
    Ok(serde_json::json!({ "scale": scaled, "memory": grown }))
}
