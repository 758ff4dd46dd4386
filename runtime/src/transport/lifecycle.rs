//! The life of what comes back after a loss: a connection, a subscription. One place says which steps there are, and logs them.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

use super::TransportError;
use crate::time::Clock;

/// Where a connection, or the channel of a subscription, is in its life.
///
/// | from | to | when |
/// | --- | --- | --- |
/// | `Connecting` | `Declaring` | the broker is reached; what is needed there is brought about |
/// | `Declaring` | `Running` | it is there |
/// | `Declaring` | `Connecting` | the broker was lost meanwhile, or refused something: it is tried again |
/// | `Connecting` | `Running` | nothing is to be brought about |
/// | `Running` | `Recovering` | lost: socket, channel, consumer or queue are gone |
/// | `Recovering` | `Running` | all is there again, declared anew |
/// | each of them | `Draining` | the service stops: nothing new is begun |
/// | each of them | `Closed` | it has ended, and does not come back |
///
/// Trying again has no end: 0.1 s, doubling to 3 s, each wait a random share of itself. Every step is logged: a loss is one
/// warning, its end one line that says how long it took, the others are at level `debug`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lifecycle {
    /// It has never worked yet, and is being made.
    Connecting,
    /// What it needs on the broker is being brought about.
    Declaring,
    /// It works.
    Running,
    /// It has worked, was lost, and is being made again.
    Recovering,
    /// The service stops: what is in hand is finished.
    Draining,
    /// It has ended.
    Closed,
}

impl Lifecycle {
    fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Closed, _) | (Self::Draining, Self::Running | Self::Recovering) => false,
            (_, Self::Draining | Self::Closed) => self != next,
            (Self::Connecting, next) => matches!(next, Self::Declaring | Self::Running),
            (Self::Declaring, next) => matches!(next, Self::Running | Self::Connecting),
            (Self::Running, next) => next == Self::Recovering,
            (Self::Recovering, next) => next == Self::Running,
            (Self::Draining, _) => false,
        }
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Declaring => "declaring",
            Self::Running => "running",
            Self::Recovering => "recovering",
            Self::Draining => "draining",
            Self::Closed => "closed",
        })
    }
}

/// A life, as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) state: Lifecycle,
    /// Since when it is in this state.
    pub(crate) since: SystemTime,
    /// What went wrong last, and when; it may be long over.
    pub(crate) last_error: Option<(SystemTime, TransportError)>,
}

impl Shown {
    /// Whether the broker said no to the latest try, and has not taken that back.
    pub(crate) fn refused(&self) -> Option<&TransportError> {
        let waits = matches!(self.state, Lifecycle::Connecting | Lifecycle::Declaring | Lifecycle::Recovering);
        let (at, error) = self.last_error.as_ref()?;
        let passes = matches!(error, TransportError::Lost { .. } | TransportError::Away { .. });
        (waits && *at >= self.since && !passes).then_some(error)
    }
}

/// What lives, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The name that an operator sees in the broker's list.
    Connection(String),
    /// A subscription's channel.
    Subscription { service: String, handler: String, queue: String },
    /// The channel by which a service publishes.
    Publishing { service: String },
}

/// One life: whoever lives it takes the steps, whoever asks reads or waits for them.
#[derive(Clone)]
pub(crate) struct Life {
    subject: Arc<Subject>,
    clock: Arc<dyn Clock>,
    shown: watch::Sender<Shown>,
}

/// How loud a loss is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It is this one's own, and a warning.
    Own,
    /// It comes from another's, which has said it.
    Followed,
}

impl Life {
    pub(crate) fn new(subject: Subject, clock: Arc<dyn Clock>) -> Self {
        let shown = Shown { state: Lifecycle::Connecting, since: clock.now(), last_error: None };
        Self { subject: Arc::new(subject), clock, shown: watch::Sender::new(shown) }
    }

    pub(crate) fn read(&self) -> Shown {
        self.shown.borrow().clone()
    }

    pub(crate) fn state(&self) -> Lifecycle {
        self.shown.borrow().state
    }

    /// Waits until it is so, and gives what is shown then.
    pub(crate) async fn wait_for(&self, so: impl FnMut(&Shown) -> bool) -> Shown {
        // We hold a sender, so it cannot be closed.
        match self.shown.subscribe().wait_for(so).await {
            Ok(shown) => shown.clone(),
            Err(_) => self.read(),
        }
    }

    /// Takes a step. One that this state does not lead to is none: a task that is told to stop may still hear of a loss.
    pub(crate) fn enter(&self, next: Lifecycle) {
        self.step(next, None, Loss::Own, None);
    }

    /// Something did not work; what has worked so far is to be made again.
    pub(crate) fn lost(&self, error: &TransportError, loss: Loss) {
        self.step(Lifecycle::Recovering, Some(error), loss, None);
    }

    /// A try has failed. Of what has never worked it is the beginning again.
    pub(crate) fn failed(&self, error: &TransportError) {
        self.step(Lifecycle::Connecting, Some(error), Loss::Own, None);
    }

    fn step(&self, next: Lifecycle, error: Option<&TransportError>, loss: Loss, node: Option<&str>) {
        let now = self.clock.now();
        let mut before = None;
        self.shown.send_if_modified(|shown| {
            let steps = shown.state.may_become(next);
            if steps {
                before = Some((shown.state, shown.since));
                (shown.state, shown.since) = (next, now);
            }
            if let Some(error) = error {
                shown.last_error = Some((now, error.clone()));
            }
            steps || error.is_some()
        });
        let Some((from, since)) = before else { return };
        let after = seconds(now.duration_since(since).unwrap_or_default());
        match (from, next) {
            (Lifecycle::Running, Lifecycle::Recovering) if loss == Loss::Own => self.tell_of_the_loss(error),
            (Lifecycle::Recovering, Lifecycle::Running) if loss == Loss::Own => self.tell_of_the_return(&after, node),
            _ => tracing::debug!(subject = ?self.subject, %from, to = %next, node, after, "a step of a life"),
        }
    }

    fn tell_of_the_loss(&self, reason: Option<&TransportError>) {
        let reason = reason.map(tracing::field::display);
        match &*self.subject {
            Subject::Connection(connection) => {
                tracing::warn!(
                    connection,
                    reason,
                    "lost a connection to RabbitMQ; making it again for as long as it takes"
                );
            }
            Subject::Subscription { service, handler, queue } => {
                tracing::warn!(
                    service,
                    handler,
                    queue,
                    reason,
                    "a subscription receives nothing; subscribing again for as long as it takes"
                );
            }
            Subject::Publishing { service } => {
                tracing::warn!(
                    service,
                    reason,
                    "lost the publishing channel; what is unconfirmed is sent again by a new one"
                );
            }
        }
    }

    fn tell_of_the_return(&self, after: &str, node: Option<&str>) {
        match &*self.subject {
            Subject::Connection(connection) => {
                tracing::info!(connection, node, after, "connected to RabbitMQ again");
            }
            Subject::Subscription { service, handler, queue } => {
                tracing::info!(service, handler, queue, after, "a subscription receives again");
            }
            Subject::Publishing { service } => tracing::info!(service, after, "publishing again"),
        }
    }

    /// It works again, or for the first time; of a connection, with this node.
    pub(crate) fn running(&self, loss: Loss, node: Option<&str>) {
        self.step(Lifecycle::Running, None, loss, node);
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").field("subject", &self.subject).field("shown", &self.read()).finish_non_exhaustive()
    }
}

/// A length of time, to be read.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SystemClock;

    fn life() -> Life {
        Life::new(Subject::Connection("a test".to_owned()), Arc::new(SystemClock))
    }

    fn lost() -> TransportError {
        TransportError::lost("pulled")
    }

    #[test]
    fn it_goes_as_documented() {
        use Lifecycle::{Closed, Connecting, Declaring, Draining, Recovering, Running};
        let all = [Connecting, Declaring, Running, Recovering, Draining, Closed];
        let steps = |from: Lifecycle| all.into_iter().filter(|next| from.may_become(*next)).collect::<Vec<_>>();
        assert_eq!(steps(Connecting), [Declaring, Running, Draining, Closed]);
        assert_eq!(steps(Declaring), [Connecting, Running, Draining, Closed]);
        assert_eq!(steps(Running), [Recovering, Draining, Closed]);
        assert_eq!(steps(Recovering), [Running, Draining, Closed]);
        assert_eq!(steps(Draining), [Closed]);
        assert_eq!(steps(Closed), []);
    }

    #[test]
    fn what_worked_is_never_shown_as_new() {
        let life = life();
        life.enter(Lifecycle::Declaring);
        life.failed(&lost());
        assert_eq!(life.state(), Lifecycle::Connecting);
        life.running(Loss::Own, None);
        life.lost(&lost(), Loss::Own);
        let since = life.read().since;
        // Tries on the way back change neither the state nor its time.
        life.failed(&TransportError::Refused { code: 403, text: "no".to_owned() });
        assert_eq!((life.state(), life.read().since), (Lifecycle::Recovering, since));
        assert!(life.read().refused().is_some());
        life.running(Loss::Own, None);
        assert!(life.read().refused().is_none() && life.read().last_error.is_some());
    }

    #[test]
    fn what_has_ended_does_not_come_back() {
        let life = life();
        life.running(Loss::Own, None);
        life.enter(Lifecycle::Draining);
        life.lost(&lost(), Loss::Own);
        assert_eq!(life.state(), Lifecycle::Draining);
        life.enter(Lifecycle::Closed);
        life.running(Loss::Own, None);
        assert_eq!(life.state(), Lifecycle::Closed);
    }
}
