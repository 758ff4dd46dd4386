//! What is measured: time, this process's processor time, and latencies.

use std::{
    hint::black_box,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use tokio::sync::Notify;

/// The outcome of one run.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) events: u64,
    pub(crate) elapsed: Duration,
    /// Of all threads of this process, ours and the system's for us.
    pub(crate) cpu: Duration,
    /// In microseconds, where it was measured.
    pub(crate) latency: Option<Histogram<u64>>,
}

impl Sample {
    /// Events per second.
    pub(crate) fn rate(&self) -> f64 {
        self.count() / self.elapsed.as_secs_f64()
    }

    /// Microseconds of processor time per event.
    pub(crate) fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.count()
    }

    /// A percentile of the latency, in microseconds.
    pub(crate) fn latency_at(&self, percentile: f64) -> Option<f64> {
        let latency = self.latency.as_ref()?;
        u32::try_from(latency.value_at_percentile(percentile)).ok().map(f64::from)
    }

    fn count(&self) -> f64 {
        // Never so many that it matters.
        u32::try_from(self.events).map_or(f64::INFINITY, f64::from)
    }
}

/// What time and processor time were at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    since: Instant,
    cpu: Duration,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { since: Instant::now(), cpu: cpu() }
    }

    /// What has passed since.
    pub(crate) fn stop(self, events: u64) -> Sample {
        Sample { events, elapsed: self.since.elapsed(), cpu: cpu().saturating_sub(self.cpu), latency: None }
    }
}

fn cpu() -> Duration {
    // It fails for no argument of ours.
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| {
            let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
            Duration::from_micros(u64::try_from(micros).unwrap_or_default())
        })
        .sum()
}

/// Nanoseconds since the process began to measure.
pub(crate) fn now() -> u64 {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGINNING.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What every contender's handler does: counts to a goal. The first event starts the meter.
pub(crate) struct Count {
    goal: u64,
    handled: AtomicU64,
    begun: OnceLock<Meter>,
    done: Notify,
    latency: Mutex<Histogram<u64>>,
}

impl std::fmt::Debug for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Count").field("goal", &self.goal).field("handled", &self.handled).finish_non_exhaustive()
    }
}

impl Count {
    pub(crate) fn to(goal: u64) -> anyhow::Result<Arc<Self>> {
        // Up to a minute, with three digits.
        let latency = Mutex::new(Histogram::new_with_bounds(1, 60_000_000, 3)?);
        Ok(Arc::new(Self { goal, handled: AtomicU64::new(0), begun: OnceLock::new(), done: Notify::new(), latency }))
    }

    /// Starts the meter, unless it runs.
    pub(crate) fn begin(&self) {
        self.begun.get_or_init(Meter::start);
    }

    /// Handles one event.
    pub(crate) fn handle(&self, order_id: u64, sent: u64, note: &str) {
        self.begin();
        black_box((order_id, note));
        if sent != 0 {
            let micros = now().saturating_sub(sent) / 1000;
            self.latency.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
        }
        if self.handled.fetch_add(1, Ordering::Relaxed) + 1 == self.goal {
            self.done.notify_one();
        }
    }

    /// Waits until as many as were wanted are handled.
    ///
    /// # Errors
    /// They were not within two minutes.
    pub(crate) async fn done(&self) -> anyhow::Result<()> {
        tokio::time::timeout(Duration::from_secs(120), self.done.notified()).await.map_err(|_| {
            let handled = self.handled.load(Ordering::Relaxed);
            anyhow::anyhow!("only {handled} of {} events were handled within 2 minutes", self.goal)
        })
    }

    /// Since the first event.
    pub(crate) fn sample(&self) -> anyhow::Result<Sample> {
        let begun = self.begun.get().ok_or_else(|| anyhow::anyhow!("nothing was handled"))?;
        let mut sample = begun.stop(self.goal);
        let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        sample.latency = (!latency.is_empty()).then(|| latency.clone());
        Ok(sample)
    }
}
