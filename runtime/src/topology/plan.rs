//! From what a service says to what it needs on the broker. The one place that knows the rules.

use std::time::Duration;

use super::{
    Argument, Arguments, Binding, Destination, Exchange, ExchangeKind, Queue, QueueType, Topology,
    ladder::{Due, Ladder},
};

/// What carries the version of a plan: a rabbitry that needs other arguments makes `v2` beside it.
const SHARED: &str = "rabbitry.v1";
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
        Ladder::up_to(self.delays.clone().unwrap_or_else(|| format!("{SHARED}.delay")), self.longest_delay)
    }
}

/// The exchange that leads to the dead letters.
pub(crate) fn dead_letter_exchange() -> String {
    format!("{SHARED}.dead")
}

/// The queue of the dead letters of a work queue.
pub(crate) fn dead_letter_queue(queue: &str) -> String {
    format!("{queue}.dead")
}

impl Topology {
    /// Whether a queue of the plan is one that a handler consumes: those alone have dead letters.
    pub(crate) fn is_work_queue(&self, name: &str) -> bool {
        let dead = dead_letter_queue(name);
        self.queues.iter().any(|queue| queue.name == dead)
    }
}

/// Where what can't be delivered goes: the alternate exchange of all exchanges of ours, and its queue.
pub(crate) fn undeliverable() -> String {
    format!("{SHARED}.undeliverable")
}

/// The plan of a service.
pub(crate) fn plan(service: &PlannedService) -> Topology {
    let mut topology = Topology { exchanges: service.exchanges.clone(), ..Topology::default() };
    let ladder = service.ladder();
    if service.subscriptions.is_empty() && ladder.levels == 0 {
        return topology;
    }
    park_undeliverable(&mut topology);
    add_ladder(&mut topology, service, &ladder);
    if !service.subscriptions.is_empty() {
        topology.exchanges.push(Exchange {
            name: dead_letter_exchange(),
            kind: ExchangeKind::Direct,
            arguments: with_alternate_exchange(),
            joined: false,
        });
    }
    for subscription in &service.subscriptions {
        add_queues(&mut topology, subscription, &ladder);
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

fn with_alternate_exchange() -> Arguments {
    Arguments::from([("alternate-exchange".to_owned(), Argument::from(undeliverable()))])
}

fn park_undeliverable(topology: &mut Topology) {
    topology.exchanges.push(Exchange {
        name: undeliverable(),
        kind: ExchangeKind::Fanout,
        arguments: Arguments::new(),
        joined: false,
    });
    topology.queues.push(Queue::at_rest(undeliverable()));
    topology.bindings.push(Binding::new(&undeliverable(), Destination::Queue(undeliverable()), String::new()));
}

fn add_ladder(topology: &mut Topology, service: &PlannedService, ladder: &Ladder) {
    topology.exchanges.extend(ladder.exchanges(&undeliverable()));
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

fn add_queues(topology: &mut Topology, subscription: &PlannedSubscription, ladder: &Ladder) {
    let queue = &subscription.queue;
    let dead = dead_letter_queue(queue);
    topology.queues.push(Queue::at_rest(dead.clone()));
    topology.bindings.push(Binding::new(&dead_letter_exchange(), Destination::Queue(dead), queue.clone()));
    if subscription.broadcast {
        return;
    }
    let arguments = match subscription.queue_type {
        QueueType::Quorum => Queue::moving_on(&dead_letter_exchange(), Some(queue), WORK_QUEUE_DELIVERIES),
        QueueType::Classic => Arguments::from([
            ("x-queue-type".to_owned(), Argument::from("classic")),
            ("x-dead-letter-exchange".to_owned(), Argument::from(dead_letter_exchange())),
            ("x-dead-letter-routing-key".to_owned(), Argument::from(queue.as_str())),
        ]),
        QueueType::Existing => Arguments::new(),
    };
    topology.queues.push(Queue { name: queue.clone(), kind: subscription.queue_type, arguments });
    let key = Ladder::binding_key(Due::Queue(queue));
    topology.bindings.push(Binding::new(&ladder.out(), Destination::Queue(queue.clone()), key));
}
