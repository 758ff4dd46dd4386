//! What policies of the broker do to the service's queues while it runs: one task looks once a minute, by the management API.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::BuiltService;
use crate::{
    management::{Management, ManagementError},
    time::Clock,
    topology::{
        PolicyInTheWay, Queue, Topology,
        compare::{listing::ListedQueue, policies},
    },
};

/// How long between two looks.
const EVERY: Duration = Duration::from_secs(60);
/// How long RabbitMQ waits for an acknowledgement, unless it is configured otherwise; then it closes the channel.
const BROKER_DEADLINE: Duration = Duration::from_secs(30 * 60);

/// What was seen last, for `health`.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<Sight>>);

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sight {
    /// The policies that are in the way of work queues and of their dead letters.
    pub(super) policies: Vec<PolicyInTheWay>,
    /// The work queues that are full and refuse what comes.
    pub(super) full: Vec<String>,
}

impl Seen {
    pub(super) fn read(&self) -> Sight {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn show(&self, sight: &Sight) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone_from(sight);
    }
}

/// The task.
pub(super) struct Watch {
    service: String,
    management: Arc<Management>,
    plan: Arc<Topology>,
    /// The work queues and their dead letters.
    queues: Vec<String>,
    /// How long the handlers may run, by queue.
    deadlines: BTreeMap<String, Duration>,
    /// The queues of handlers that were warned of for their deadlines.
    warned: BTreeSet<String>,
    clock: Arc<dyn Clock>,
    seen: Seen,
    /// Ends it.
    stopping: CancellationToken,
}

impl Watch {
    /// The task of a service that has handlers and knows its management API. Without that it warns at once of what it would
    /// have to look for.
    pub(super) fn of(built: &BuiltService, seen: Seen, stopping: CancellationToken) -> Option<Self> {
        let deadlines = built.deadlines();
        let Some(management) = &built.management else {
            for (queue, deadline) in deadlines.iter().filter(|(_, deadline)| **deadline >= BROKER_DEADLINE) {
                warn_of_deadline(&built.name, queue, *deadline, BROKER_DEADLINE);
            }
            return None;
        };
        let of_a_handler = |name: &&String| deadlines.contains_key(name.strip_suffix(".dead").unwrap_or(name));
        let planned = built.topology.queues.iter().map(|queue| &queue.name);
        let queues = planned.filter(of_a_handler).cloned().collect();
        (!deadlines.is_empty()).then(|| Self {
            service: built.name.clone(),
            management: Arc::clone(management),
            plan: Arc::clone(&built.topology),
            queues,
            deadlines,
            warned: BTreeSet::new(),
            clock: Arc::clone(&built.clock),
            seen,
            stopping,
        })
    }

    pub(super) async fn run(self) {
        let stopping = self.stopping.clone();
        stopping.run_until_cancelled(self.look_again_and_again()).await;
    }

    async fn look_again_and_again(mut self) {
        let mut last = Sight::default();
        let mut failed = false;
        loop {
            match self.management.queues(&self.queues).await {
                Ok(queues) => {
                    if failed {
                        tracing::info!(service = self.service, "the management API can be read again");
                    }
                    failed = false;
                    self.check_deadlines(&queues);
                    let sight = self.judge(&queues);
                    tell(&self.service, &last, &sight);
                    self.seen.show(&sight);
                    last = sight;
                }
                Err(error) => {
                    if !failed {
                        self.warn_of(&error);
                    }
                    failed = true;
                }
            }
            self.clock.sleep(EVERY).await;
        }
    }

    fn judge(&self, queues: &[(String, ListedQueue)]) -> Sight {
        let mut sight = Sight::default();
        for (name, listed) in queues {
            let Some(queue) = self.plan.queues.iter().find(|queue| queue.name == *name) else { continue };
            sight.policies.extend(self.policies_of(queue, listed));
            if self.deadlines.contains_key(name) && listed.is_full() {
                sight.full.push(name.clone());
            }
        }
        sight
    }

    fn policies_of(&self, queue: &Queue, listed: &ListedQueue) -> Vec<PolicyInTheWay> {
        policies::on_queue(&self.plan, queue, listed, self.deadlines.get(&queue.name).copied())
    }

    /// Warns, once, of handlers that may run longer than RabbitMQ waits by its own default, or by an argument of a queue that
    /// was there. What a policy says is judged with the others.
    fn check_deadlines(&mut self, queues: &[(String, ListedQueue)]) {
        for (name, deadline) in &self.deadlines {
            let listed = queues.iter().find(|(listed, _)| listed == name).map(|(_, queue)| queue);
            let argument = listed.and_then(|queue| queue.number("x-consumer-timeout"));
            let argument =
                argument.and_then(|milliseconds| u64::try_from(milliseconds).ok()).map(Duration::from_millis);
            let timeout = match argument {
                Some(timeout) => timeout,
                None if listed.is_some_and(|queue| queue.policy("consumer-timeout").is_some()) => continue,
                None => BROKER_DEADLINE,
            };
            if *deadline >= timeout && self.warned.insert(name.clone()) {
                warn_of_deadline(&self.service, name, *deadline, timeout);
            }
        }
    }

    fn warn_of(&self, error: &ManagementError) {
        tracing::warn!(
            service = self.service,
            management = %self.management,
            %error,
            "the management API cannot be read, so policies that limit the service's queues are not seen; trying again every {} s",
            EVERY.as_secs()
        );
    }
}

/// Says what has changed.
fn tell(service: &str, before: &Sight, now: &Sight) {
    for policy in now.policies.iter().filter(|policy| !before.policies.contains(policy)) {
        let PolicyInTheWay { object, policy: name, operator, key, value, effect, .. } = policy;
        let cure = policy.cure();
        tracing::warn!(service, %object, policy = name, operator, key, %value, effect, cure, "a policy is in the way");
    }
    for policy in before.policies.iter().filter(|policy| !now.policies.contains(policy)) {
        let PolicyInTheWay { object, policy: name, key, .. } = policy;
        tracing::info!(service, %object, policy = name, key, "a policy is no longer in the way");
    }
    for queue in now.full.iter().filter(|queue| !before.full.contains(queue)) {
        let cure = "have it handled faster, or take the limit away";
        tracing::warn!(service, queue, cure, "a work queue is full and refuses events");
    }
    for queue in before.full.iter().filter(|queue| !now.full.contains(queue)) {
        tracing::info!(service, queue, "a work queue is no longer full");
    }
}

fn warn_of_deadline(service: &str, queue: &str, deadline: Duration, timeout: Duration) {
    tracing::warn!(
        service,
        queue,
        timeout = %humantime::format_duration(deadline),
        broker = %humantime::format_duration(timeout),
        "the handler may run longer than RabbitMQ waits for an acknowledgement, unless its consumer_timeout is set otherwise: it then closes the channel, and all events in hand come again; set a shorter `timeout`"
    );
}
