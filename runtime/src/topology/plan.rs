//! From what a service says to what it needs on the broker. The one place that knows the rules.

use std::time::Duration;

use super::{
    Argument, Arguments, Binding, Destination, Exchange, ExchangeKind, PlanVersion, Queue, QueueType, Topology,
    ladder::{Due, Ladder},
};

/// How often a work queue delivers a message before it gives it up: the backstop behind the runtime's own rules.
pub(crate) const WORK_QUEUE_DELIVERIES: i64 = 20;

/// What the plan needs to know of a service.
#[derive(Clone, Debug)]
pub(crate) struct PlannedService {
    /// The exchanges of the events that it publishes or listens to, the service's own first.
    pub(crate) exchanges: Vec<Exchange>,
    /// The names of those that it publishes to, at once or on schedule.
    pub(crate) publishes_to: Vec<String>,
    pub(crate) subscriptions: Vec<PlannedSubscription>,
    /// Where the ladder is that it shares with others; `None` for the common one.
    pub(crate) delays: Option<String>,
    /// The longest delay that anything of it asks for.
    pub(crate) longest_delay: Option<Duration>,
    pub(crate) version: PlanVersion,
}

/// What the plan needs to know of a subscription.
#[derive(Clone, Debug)]
pub(crate) struct PlannedSubscription {
    pub(crate) queue: String,
    pub(crate) queue_type: QueueType,
    /// Each instance has a queue of its own, which the broker names.
    pub(crate) broadcast: bool,
    /// The exchange, the routing key and the arguments of each binding.
    pub(crate) bindings: Vec<(String, String, Arguments)>,
}

impl PlannedService {
    /// The service's delay ladder.
    pub(crate) fn ladder(&self) -> Ladder {
        Ladder::up_to(self.version.delays(self.delays.as_deref()), self.longest_delay)
    }
}

/// The queue of the dead letters of a work queue.
pub(crate) fn dead_letter_queue(queue: &str) -> String {
    format!("{queue}.dead")
}

/// The queue that a work queue's messages are in while it is made anew.
pub(crate) fn holding_queue(queue: &str) -> String {
    format!("{queue}.migrating")
}

impl Topology {
    /// Whether a queue of the plan is one that a handler consumes: those alone have dead letters.
    pub(crate) fn is_work_queue(&self, name: &str) -> bool {
        let dead = dead_letter_queue(name);
        self.queues.iter().any(|queue| queue.name == dead)
    }

    /// Whether a queue of the plan is one that others made.
    pub(crate) fn is_foreign(&self, name: &str) -> bool {
        self.queues.iter().any(|queue| queue.kind == QueueType::Existing && queue.name == name)
    }

    /// The queues that handlers consume and that the plan makes.
    pub(crate) fn work_queues(&self) -> impl Iterator<Item = &Queue> {
        self.queues.iter().filter(|queue| queue.kind != QueueType::Existing && self.is_work_queue(&queue.name))
    }
}

/// Where this rabbitry's plans put what can't be delivered.
pub(crate) fn undeliverable() -> String {
    PlanVersion::CURRENT.undeliverable()
}

/// The plan of a service, with those that it had in earlier versions.
pub(crate) fn plan(service: &PlannedService) -> Topology {
    let of = |version| plan_as_it_is(&PlannedService { version, ..service.clone() });
    Topology { former: service.version.former().map(of).collect(), ..plan_as_it_is(service) }
}

fn plan_as_it_is(service: &PlannedService) -> Topology {
    let mut topology = Topology { exchanges: service.exchanges.clone(), ..Topology::default() };
    let ladder = service.ladder();
    if service.subscriptions.is_empty() && ladder.levels == 0 {
        return topology;
    }
    park_undeliverable(&mut topology, &service.version.undeliverable());
    add_ladder(&mut topology, service, &ladder);
    if !service.subscriptions.is_empty() {
        topology.exchanges.push(Exchange {
            name: service.version.dead_letters(),
            kind: ExchangeKind::Direct,
            arguments: with_alternate_exchange(service.version),
            joined: false,
        });
    }
    for subscription in &service.subscriptions {
        add_queues(&mut topology, subscription, service.version, &ladder);
    }
    // Last, when all that a failing event needs is there.
    for subscription in service.subscriptions.iter().filter(|subscription| !subscription.broadcast) {
        for (exchange, routing_key, arguments) in &subscription.bindings {
            topology.bindings.push(Binding {
                source: exchange.clone(),
                destination: Destination::Queue(subscription.queue.clone()),
                routing_key: routing_key.clone(),
                arguments: arguments.clone(),
            });
        }
    }
    topology
}

fn with_alternate_exchange(version: PlanVersion) -> Arguments {
    Arguments::from([("alternate-exchange".to_owned(), Argument::from(version.undeliverable()))])
}

fn park_undeliverable(topology: &mut Topology, name: &str) {
    topology.exchanges.push(Exchange {
        name: name.to_owned(),
        kind: ExchangeKind::Fanout,
        arguments: Arguments::new(),
        joined: false,
    });
    topology.queues.push(Queue::at_rest(name.to_owned()));
    topology.bindings.push(Binding::new(name, Destination::Queue(name.to_owned()), String::new()));
}

fn add_ladder(topology: &mut Topology, service: &PlannedService, ladder: &Ladder) {
    topology.exchanges.extend(ladder.exchanges(&service.version.undeliverable()));
    topology.queues.extend(ladder.queues());
    topology.bindings.extend(ladder.bindings());
    if ladder.levels == 0 || service.publishes_to.is_empty() {
        return;
    }
    topology.queues.push(ladder.unwanted_queue());
    for exchange in &service.publishes_to {
        let key = Ladder::binding_key(Due::Exchange(exchange));
        let unwanted = Destination::Queue(ladder.unwanted());
        topology.bindings.push(Binding::new(&ladder.out(), unwanted, key.clone()));
        topology.bindings.push(Binding::new(&ladder.out(), Destination::Exchange(exchange.clone()), key));
    }
}

fn add_queues(topology: &mut Topology, subscription: &PlannedSubscription, version: PlanVersion, ladder: &Ladder) {
    let queue = &subscription.queue;
    let dead = dead_letter_queue(queue);
    topology.queues.push(Queue::at_rest(dead.clone()));
    topology.bindings.push(Binding::new(&version.dead_letters(), Destination::Queue(dead), queue.clone()));
    if subscription.broadcast {
        return;
    }
    let arguments = work_queue_arguments(queue, subscription.queue_type, version);
    topology.queues.push(Queue { name: queue.clone(), kind: subscription.queue_type, arguments });
    let key = Ladder::binding_key(Due::Queue(queue));
    topology.bindings.push(Binding::new(&ladder.out(), Destination::Queue(queue.clone()), key));
}

/// The arguments of a work queue.
pub(crate) fn work_queue_arguments(queue: &str, kind: QueueType, version: PlanVersion) -> Arguments {
    match kind {
        QueueType::Quorum => Queue::moving_on(&version.dead_letters(), Some(queue), WORK_QUEUE_DELIVERIES),
        QueueType::Classic => Arguments::from([
            ("x-queue-type".to_owned(), Argument::from("classic")),
            ("x-dead-letter-exchange".to_owned(), Argument::from(version.dead_letters())),
            ("x-dead-letter-routing-key".to_owned(), Argument::from(queue)),
        ]),
        QueueType::Existing => Arguments::new(),
    }
}
