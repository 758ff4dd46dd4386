//! A service: what it is made of, how it starts, how it stops.

mod build;
mod built;
mod compare;
mod error;
mod health;
mod launch;
mod plan;
mod policies;
mod running;
mod shutdown;
mod signal;
mod site;
mod watch;
mod watched;

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    envelope::Format,
    event::{EventSet, Events},
    handler::{Handler, Resources},
    observe::Observer,
    publisher::Unrouted,
    subscription::{Subscription, Subscriptions},
    time::{Clock, IntoDuration, InvalidDuration, SystemClock},
    topology::{Exchange, ExchangeKind, PlanVersion, TopologyMode},
    transport::Broker,
};

pub use built::BuiltService;
pub use compare::CompareError;
pub use error::{BuildError, RunError, ShutdownError, StartError, UndeclaredEvent};
pub use health::{ConnectionHealth, Health, LastError, Status, SubscriptionHealth};
pub use running::Running;
pub(crate) use site::Site;

/// The exchange of events that name none.
pub(crate) const EXCHANGE: &str = "events";
/// The largest body that is sent or read, in bytes.
pub(crate) const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// How long a publisher waits for a confirm.
pub(crate) const PUBLISH_TIMEOUT: Duration = Duration::from_secs(30);
/// How many messages are on their way to the broker at a time.
pub(crate) const PUBLISH_WINDOW: usize = 1024;
/// How long handlers in hand may take to end when the service stops.
pub(crate) const GRACE: Duration = Duration::from_secs(25);

/// How many messages that nobody handles are too many.
pub(crate) const DEAD_LETTER_LIMIT: u64 = 1000;

/// A service: its name, its handlers, the events that it publishes, and its settings.
///
/// ```no_run
/// use rabbitry::{Service, State, event, subscribe, subscriptions};
///
/// #[event("order_created")]
/// pub struct OrderCreated {
///     pub order_id: i64,
/// }
///
/// #[subscribe("order_created")]
/// async fn greet(event: OrderCreated, State(greeting): State<String>) {
///     println!("{greeting}, order {}", event.order_id);
/// }
///
/// #[tokio::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     Service::new("greeter").state("hello".to_owned()).subscriptions(subscriptions![greet]).run().await?;
///     Ok(())
/// }
/// ```
///
/// | setting | default |
/// | --- | --- |
/// | [`broker`](Self::broker) | the environment's `AMQP_URL` |
/// | [`exchange`](Self::exchange) | `events` |
/// | [`format`](Self::format) | [`Format::Default`] |
/// | [`delays`](Self::delays) | `rabbitry.v1.delay` |
/// | [`schedules_up_to`](Self::schedules_up_to) | as long as the longest retry |
/// | [`topology_mode`](Self::topology_mode) | [`TopologyMode::Declare`] |
/// | [`management_url`](Self::management_url) | none |
/// | [`unrouted`](Self::unrouted) | [`Unrouted::Warn`] |
/// | [`body_limit`](Self::body_limit) | 16 MiB |
/// | [`publish_window`](Self::publish_window) | 1024 events |
/// | [`publish_timeout`](Self::publish_timeout) | 30 s |
/// | [`grace`](Self::grace) | 25 s |
/// | [`start_timeout`](Self::start_timeout) | as long as it takes |
/// | [`dead_letter_limit`](Self::dead_letter_limit) | 1000 messages |
pub struct Service {
    pub(crate) name: String,
    resources: Resources,
    /// The first type of state that was given twice.
    twice: Option<&'static str>,
    subscriptions: Vec<Subscription>,
    /// The module below which `subscriptions!()` found none.
    none_below: Option<&'static str>,
    publishes: Vec<Events>,
    broker: Option<Broker>,
    exchange: Exchange,
    format: Format,
    delays: Option<String>,
    schedules_up_to: Option<Result<Duration, InvalidDuration>>,
    topology_mode: TopologyMode,
    /// What this rabbitry plans, but in tests of upgrades.
    pub(crate) plan_version: PlanVersion,
    management_url: Option<String>,
    unrouted: Unrouted,
    body_limit: usize,
    publish_window: usize,
    publish_timeout: Result<Duration, InvalidDuration>,
    grace: Result<Duration, InvalidDuration>,
    start_timeout: Result<Option<Duration>, InvalidDuration>,
    dead_letter_limit: u64,
    clock: Arc<dyn Clock>,
    observers: Vec<Arc<dyn Observer>>,
}

impl Service {
    /// A service of this name: one word of a-z, 0-9, `_` and `-`. It begins the names of its queues, and its events name it
    /// as their source.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let exchange = Exchange::of_ours(EXCHANGE, ExchangeKind::Topic);
        Self {
            name: name.into(),
            resources: Resources::default(),
            twice: None,
            subscriptions: Vec::new(),
            none_below: None,
            publishes: Vec::new(),
            broker: None,
            exchange,
            format: Format::default(),
            delays: None,
            schedules_up_to: None,
            topology_mode: TopologyMode::default(),
            plan_version: PlanVersion::CURRENT,
            management_url: None,
            unrouted: Unrouted::default(),
            body_limit: BODY_LIMIT,
            publish_window: PUBLISH_WINDOW,
            publish_timeout: Ok(PUBLISH_TIMEOUT),
            grace: Ok(GRACE),
            start_timeout: Ok(None),
            dead_letter_limit: DEAD_LETTER_LIMIT,
            clock: Arc::new(SystemClock),
            observers: Vec::new(),
        }
    }

    /// Gives handlers a value, which they take as [`State<T>`](crate::State); each run gets a clone. One value of each type.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        if self.resources.insert(value).is_some() {
            self.twice.get_or_insert(std::any::type_name::<T>());
        }
        self
    }

    /// Adds handlers: [`subscriptions![a, b]`](crate::subscriptions), or all of this module and those below it with
    /// `subscriptions!()`.
    #[must_use]
    pub fn subscriptions(mut self, subscriptions: Subscriptions) -> Self {
        self.none_below = self.none_below.or(subscriptions.none_below);
        self.subscriptions.extend(subscriptions.list);
        self
    }

    /// Adds one subscription made by hand.
    #[must_use]
    pub fn subscription(mut self, subscription: Subscription) -> Self {
        self.subscriptions.push(subscription);
        self
    }

    /// Has a closure or an async function handle an event, or with [`AnyEvent`](crate::AnyEvent) those of a pattern, with
    /// all settings at their defaults.
    #[must_use]
    pub fn subscribe<Arguments>(self, name: impl Into<String>, handler: impl Handler<Arguments>) -> Self {
        self.subscription(Subscription::to(name).handler(handler))
    }

    /// Declares that the service publishes these events, so that the list of what it says is complete, and
    /// [`Running::publisher`] gives a publisher for them. What handlers return or publish is declared by their types.
    #[must_use]
    pub fn publishes<E: EventSet>(mut self) -> Self {
        self.publishes.push(E::EVENTS);
        self
    }

    /// The broker: a URL (`amqp://user:password@host:5672/vhost`, or `amqps://…` with the feature `tls`), or a [`Broker`].
    /// Default: the environment's `AMQP_URL`.
    #[must_use]
    pub fn broker(mut self, broker: impl Into<Broker>) -> Self {
        self.broker = Some(broker.into());
        self
    }

    /// The exchange of events that name none: a name (of a topic exchange, or of whatever is there already), or an
    /// [`Exchange`]. Default: `events`, topic.
    #[must_use]
    pub fn exchange(mut self, exchange: impl Into<Exchange>) -> Self {
        self.exchange = exchange.into();
        self
    }

    /// The format of what the service publishes. It reads all formats. Default: [`Format::Default`].
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Where the delay ladder is, instead of `rabbitry.v1.delay`: teams that don't trust each other don't share one. A work
    /// queue that a policy has made full, for example, holds up the retries of all who share its ladder; see
    /// [`PolicyInTheWay`](crate::topology::PolicyInTheWay).
    #[must_use]
    pub fn delays(mut self, prefix: impl Into<String>) -> Self {
        self.delays = Some(prefix.into());
        self
    }

    /// The longest delay that events are published with ([`Publication::after`](crate::Publication::after)), up to 8.5
    /// years: a [`Duration`] or a text like `"30d"`. The delay ladder has the levels for it. Default: those that the
    /// longest retry needs.
    #[must_use]
    pub fn schedules_up_to(mut self, longest: impl IntoDuration) -> Self {
        self.schedules_up_to = Some(longest.into_duration());
        self
    }

    /// Whether the service creates what it needs on the broker. Default: it does.
    #[must_use]
    pub fn topology_mode(mut self, mode: TopologyMode) -> Self {
        self.topology_mode = mode;
        self
    }

    /// Where RabbitMQ's management API is: `http://user:password@host:15672`, or `https://…` with the feature `tls`. Needs the
    /// feature `management`. Default: none.
    ///
    /// It is only read: by [`compare`](Self::compare), at the start with [`TopologyMode::Verify`], and once a minute for the
    /// policies of the service's queues, see [`Health::policies`]. The virtual host is that of the broker's URL, and so are
    /// the credentials where this URL has none. The user needs RabbitMQ's tag `management` and a permission in the virtual
    /// host, which may be an empty one.
    #[must_use]
    pub fn management_url(mut self, url: impl Into<String>) -> Self {
        self.management_url = Some(url.into());
        self
    }

    /// What happens to an event that no queue is bound for. Default: a warning.
    #[must_use]
    pub fn unrouted(mut self, unrouted: Unrouted) -> Self {
        self.unrouted = unrouted;
        self
    }

    /// The largest body, in bytes, that is published, and that handlers get; a larger one that comes goes to the dead
    /// letters. Default: 16 MiB, RabbitMQ 4's own limit.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// How many messages may be on their way to the broker at a time; who publishes more waits. Default: 1024.
    #[must_use]
    pub fn publish_window(mut self, messages: usize) -> Self {
        self.publish_window = messages;
        self
    }

    /// How long a publisher waits for the broker's confirm: a [`Duration`] or a text like `"5s"`. Default: 30 s.
    #[must_use]
    pub fn publish_timeout(mut self, timeout: impl IntoDuration) -> Self {
        self.publish_timeout = timeout.into_duration();
        self
    }

    /// How long the service may take to finish what it has in hand when it stops: a [`Duration`] or a text like `"25s"`. In the
    /// first half of it events that the broker had sent ahead are still begun; the second is for handlers to end. What runs
    /// longer is cut off, and its event comes again. Default: 25 s, within the 30 s that Kubernetes gives.
    #[must_use]
    pub fn grace(mut self, grace: impl IntoDuration) -> Self {
        self.grace = grace.into_duration();
        self
    }

    /// How long [`start`](Self::start) and [`run`](Self::run) wait for a broker that cannot be reached yet: a [`Duration`] or a
    /// text like `"2m"`. What waiting cannot cure (a wrong password, a virtual host that is not there, a missing permission, a
    /// queue with other arguments) fails at once whatever this says. Default: as long as it takes, so that services and
    /// broker may start in any order.
    #[must_use]
    pub fn start_timeout(mut self, timeout: impl IntoDuration) -> Self {
        self.start_timeout = timeout.into_duration().map(Some);
        self
    }

    /// How many dead letters a subscription may have, and how many undeliverable messages there may be, before
    /// [`health`](Running::health) is degraded and a warning says so. They are counted at the start and then every 30 s.
    /// Default: 1000.
    #[must_use]
    pub fn dead_letter_limit(mut self, messages: u64) -> Self {
        self.dead_letter_limit = messages;
        self
    }

    /// The clock that all waiting of rabbitry's own goes through. Default: the machine's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Adds somebody who is told of every run of the service's handlers. Default: nobody.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The broker's URL may hold a password.
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("subscriptions", &self.subscriptions)
            .finish_non_exhaustive()
    }
}
