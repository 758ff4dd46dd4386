//! The agreement between callers that give up and the task that writes, under threads that race.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::task::JoinSet;

use super::{
    Jobs, Obstacle, PublishError,
    sending::Sending,
    stage::Stage,
    window::{Job, Window},
};
use crate::{envelope::Message, time::Clock};

/// How many messages race in a test.
const MESSAGES: u64 = 60_000;
/// How many callers there are at a time.
const CALLERS: u64 = 6;

/// A clock whose waits end after a random number of turns of the scheduler: about when the task gets to the message.
#[derive(Debug)]
struct Hasty;

impl Clock for Hasty {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        turns(40).boxed()
    }
}

/// Lets others go first, up to so many times.
async fn turns(most: u32) {
    for _ in 0..fastrand::u32(..most) {
        tokio::task::yield_now().await;
    }
}

/// A clock whose waits never end.
#[derive(Debug)]
pub(super) struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        std::future::pending().boxed()
    }
}

fn numbered(number: u64) -> Message {
    Message { body: number.to_be_bytes().to_vec().into(), ..Message::default() }
}

fn number(job: &Job) -> u64 {
    u64::from_be_bytes(job.message().body[..].try_into().unwrap())
}

/// What became of the messages, by their callers' words.
#[derive(Debug, Default)]
struct Told {
    confirmed: BTreeSet<u64>,
    certainly_not: BTreeSet<u64>,
    unknown: BTreeSet<u64>,
    full: u64,
}

impl Told {
    fn note(&mut self, number: u64, answer: Result<(), PublishError>) {
        let Err(error) = answer else {
            self.confirmed.insert(number);
            return;
        };
        let (unknown, obstacle) = match &error {
            PublishError::NeverSent { obstacle, .. } => (false, Some(obstacle)),
            PublishError::TimedOut { obstacle, .. } => (true, Some(obstacle)),
            PublishError::Closed { .. } => (false, None),
            PublishError::CutOff { .. } => (true, None),
            other => panic!("{other}"),
        };
        assert_eq!(error.may_have_arrived(), unknown, "{error}");
        self.full += u64::from(matches!(obstacle, Some(Obstacle::WindowFull { .. })));
        if unknown {
            self.unknown.insert(number)
        } else {
            self.certainly_not.insert(number)
        };
    }

    /// Publishes these numbers, several at a time, and takes down what each caller was told.
    async fn by_callers(window: &Window, numbers: std::ops::Range<u64>) -> Self {
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (window, numbers) = (window.clone(), numbers.clone());
            callers.spawn(async move {
                let mut told = Self::default();
                for number in numbers.filter(|number| number % CALLERS == caller) {
                    let answer = Sending::new(&window, numbered(number), false).await;
                    told.note(number, answer);
                    tokio::task::yield_now().await;
                }
                told
            });
        }
        callers.join_all().await.into_iter().fold(Self::default(), |mut all, told| {
            all.confirmed.extend(told.confirmed);
            all.certainly_not.extend(told.certainly_not);
            all.unknown.extend(told.unknown);
            all.full += told.full;
            all
        })
    }

    /// Checks it against what was really written, and confirmed.
    #[track_caller]
    fn is_true(&self, written: &BTreeSet<u64>, confirmed: &BTreeSet<u64>) {
        let lies: Vec<_> = self.certainly_not.intersection(written).collect();
        assert!(lies.is_empty(), "told that they were certainly not published, and written: {lies:?}");
        let unfounded: Vec<_> = self.unknown.difference(written).collect();
        assert!(unfounded.is_empty(), "told that they may have arrived, and never written: {unfounded:?}");
        let invented: Vec<_> = self.confirmed.difference(confirmed).collect();
        assert!(invented.is_empty(), "told that they were confirmed, and were not: {invented:?}");
    }
}

/// Writes what it is given, as the publishing task does; confirms every other one at once, and the rest never.
async fn write(jobs: &mut Jobs, written: &mut BTreeSet<u64>, confirmed: &mut BTreeSet<u64>) -> bool {
    let mut batch = Vec::new();
    let count = jobs.receiver.recv_many(&mut batch, 4).await;
    for job in batch.drain(..) {
        turns(8).await;
        if job.begins() {
            let number = number(&job);
            assert!(written.insert(number));
            if number.is_multiple_of(2) {
                confirmed.insert(number);
                job.confirm();
            }
        }
    }
    count > 0
}

/// Both sides leave the same message at the same moment, again and again.
#[test]
fn either_it_is_written_or_it_is_withdrawn() {
    const ROUNDS: u64 = 100_000;
    let stages: Vec<Stage> = (0..ROUNDS).map(|_| Stage::default()).collect();
    // How many rounds each side has done: neither begins one before the other has done the last.
    let done = [AtomicU64::new(0), AtomicU64::new(0)];
    let side = |mine: usize, leave: fn(&Stage) -> bool| -> Vec<bool> {
        let in_step = |(stage, round)| {
            let other = &done[1 - mine];
            // Both may share one core.
            while other.load(Ordering::Acquire) < round {
                std::thread::yield_now();
            }
            let left = leave(stage);
            done[mine].store(round + 1, Ordering::Release);
            left
        };
        stages.iter().zip(0..).map(in_step).collect()
    };
    let (written, withdrawn) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| side(0, Stage::write));
        (side(1, Stage::withdraw), writing.join().unwrap())
    });
    for (round, (written, withdrawn)) in written.iter().zip(&withdrawn).enumerate() {
        assert_ne!(written, withdrawn, "round {round}: written and withdrawn, or neither");
    }
    assert!(written.contains(&true) && withdrawn.contains(&true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_gives_up_is_told_whether_it_was_written() {
    let (window, mut jobs) = Window::new("a test", 4, Duration::from_secs(30), Arc::new(Hasty));
    let task = tokio::spawn(async move {
        let (mut written, mut confirmed) = (BTreeSet::new(), BTreeSet::new());
        while write(&mut jobs, &mut written, &mut confirmed).await {}
        (written, confirmed)
    });
    let told = Told::by_callers(&window, 0..MESSAGES).await;
    drop(window);
    let (written, confirmed) = task.await.unwrap();
    told.is_true(&written, &confirmed);
    assert_eq!(told.confirmed.len() + told.certainly_not.len() + told.unknown.len(), 60_000);
    // Each way out was taken often, or the test shows nothing.
    let sizes = [told.confirmed.len(), told.certainly_not.len(), told.unknown.len()];
    assert!(sizes.iter().all(|size| *size > 600) && told.full > 0, "{sizes:?}, full {}", told.full);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_is_cut_off_is_told_whether_it_was_written() {
    let mut sizes = [0; 3];
    for _ in 0..3_000 {
        let (window, mut jobs) = Window::new("a test", 8, Duration::from_secs(30), Arc::new(crate::time::SystemClock));
        let task = tokio::spawn(async move {
            let (mut written, mut confirmed) = (BTreeSet::new(), BTreeSet::new());
            for _ in 0..fastrand::u32(..4) {
                write(&mut jobs, &mut written, &mut confirmed).await;
            }
            drop(jobs);
            (written, confirmed)
        });
        let told = tokio::time::timeout(Duration::from_secs(60), Told::by_callers(&window, 0..CALLERS)).await.unwrap();
        drop(window);
        let (written, confirmed) = task.await.unwrap();
        told.is_true(&written, &confirmed);
        for (size, more) in sizes.iter_mut().zip([&told.confirmed, &told.certainly_not, &told.unknown]) {
            *size += more.len();
        }
    }
    assert!(sizes.iter().all(|size| *size > 100), "{sizes:?}");
}

/// The task writes the message and is gone before whoever sends it has looked whether it is there.
#[test]
fn what_the_task_wrote_before_it_went_is_not_certainly_unpublished() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for _ in 0..10_000 {
        let (window, mut jobs) = Window::new("a test", 8, Duration::from_secs(30), Arc::new(Stopped));
        let both = Arc::new(Barrier::new(2));
        let task = Arc::clone(&both);
        let going = std::thread::spawn(move || {
            task.wait();
            for look in 1_u32.. {
                if let Ok(job) = jobs.receiver.try_recv() {
                    let begins = job.begins();
                    drop(jobs);
                    return begins;
                }
                // Both may share one core.
                if look.is_multiple_of(1_000) {
                    std::thread::yield_now();
                }
            }
            unreachable!("it is sent");
        });
        both.wait();
        let told = runtime.block_on(async { Sending::new(&window, numbered(1), false).await });
        assert!(matches!(told, Err(PublishError::CutOff { .. })), "{told:?}");
        assert!(going.join().unwrap());
    }
}

/// A caller that goes away, as one whose own time is over: what it had not sent is never sent.
#[tokio::test]
async fn what_is_dropped_before_it_is_written_never_is() {
    let (window, mut jobs) = Window::new("a test", 4, Duration::from_secs(30), Arc::new(crate::time::SystemClock));
    let [dropped, kept] = [1, 2].map(|number| window.send_patiently(numbered(number), false));
    drop(dropped.await);
    let kept = kept.await;
    tokio::time::timeout(Duration::from_secs(30), jobs.task.given_up.notified()).await.unwrap();
    let (mut written, mut confirmed) = (BTreeSet::new(), BTreeSet::new());
    write(&mut jobs, &mut written, &mut confirmed).await;
    assert_eq!(written, [2].into());
    assert!(kept.answer().await.is_ok());
}
