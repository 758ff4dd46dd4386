#![doc = include_str!("../docs/testing.md")]

mod clock;
pub mod conformance;
mod dead;
mod faults;
mod handled;
mod log;
mod memory;
mod place;
mod settled;
mod wire;

#[doc(inline)]
pub use crate::__conformance_suite as conformance_suite;

use std::{collections::BTreeSet, fmt, panic::Location, sync::Arc, time::SystemTime};

pub use clock::TestClock;
pub use dead::DeadLetter;
pub use handled::{Handled, HandlerRun};
pub use memory::MemoryBroker;
pub use place::{Place, Services};

use self::{log::Log, place::Ground};
use crate::{
    AnyEvent, Broker, Event, EventSet, Publisher, Running, Service, Unrouted,
    envelope::{self, Message},
    observe::{Observer, Run},
    publisher::PublishError,
};

/// The service that a test publishes as.
const TESTER: &str = "test";

/// Starts services for a test, on a memory broker of their own.
///
/// # Panics
/// A service cannot start.
#[track_caller]
pub fn start(services: impl Services) -> impl Future<Output = Test> {
    start_on(Place::Memory, services)
}

/// Starts services for a test: on a memory broker, or on the RabbitMQ of a URL, which should have nothing else in that
/// virtual host.
///
/// # Panics
/// A service cannot start.
#[track_caller]
pub fn start_on(place: impl Into<Place>, services: impl Services) -> impl Future<Output = Test> {
    let (place, services, caller) = (place.into(), services.into_services(), Location::caller());
    async move {
        match Test::start(place, services).await {
            Ok(test) => test,
            Err(error) => panic!("{caller}: {error}"),
        }
    }
}

/// Services under test, their broker, and all that is known of what they did.
///
/// When the test fails, the story of its events is printed.
pub struct Test {
    ground: Ground,
    log: Arc<Log>,
    ours: Ours,
    /// The service that publishes for the test.
    tester: Running,
    /// Of each handler's queue, what was there when all had settled last.
    dead: Vec<DeadLetter>,
}

/// The services under test.
#[derive(Default)]
struct Ours {
    services: Vec<Running>,
    /// The queues of the services' plans.
    queues: BTreeSet<String>,
    /// The handlers of all services that were ever started: queue and name.
    handlers: BTreeSet<(String, String)>,
}

impl Ours {
    async fn start(
        &mut self,
        service: Service,
        ground: &Ground,
        log: &Arc<Log>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let queues: BTreeSet<String> = service.topology()?.queues.into_iter().map(|queue| queue.name).collect();
        let observer = Arc::clone(log);
        let service = service.observer(move |run: &Run<'_>| observer.ran(run));
        let running = ground.prepare(service, log).start().await?;
        for shown in running.health().subscriptions {
            if !queues.contains(&shown.queue) {
                log.is_broadcast(shown.queue.clone());
            }
            self.handlers.insert((shown.queue, shown.handler));
        }
        self.queues.extend(queues);
        self.services.push(running);
        Ok(())
    }

    /// The queues that handlers take from.
    fn consumed(&self) -> BTreeSet<String> {
        self.services.iter().flat_map(|running| running.health().subscriptions).map(|shown| shown.queue).collect()
    }

    /// The queues of handlers.
    fn work(&self) -> BTreeSet<&str> {
        self.handlers.iter().map(|(queue, _)| queue.as_str()).collect()
    }
}

impl Test {
    async fn start(place: Place, services: Vec<Service>) -> Result<Self, Box<dyn std::error::Error>> {
        let ground = Ground::new(place)?;
        let log = Arc::new(Log::new(ground.clock()));
        let mut ours = Ours::default();
        for service in services {
            ours.start(service, &ground, &log).await?;
        }
        // Last, so that an event of its own that nobody listens to is known as such.
        let tester = Service::new(TESTER).publishes::<AnyEvent>().unrouted(Unrouted::Fail);
        let tester = ground.prepare(tester, &log).start().await?;
        Ok(Self { ground, log, ours, tester, dead: Vec::new() })
    }

    /// Starts one more service, or one more instance of a service, and returns when it consumes. It is the last of the
    /// [services](Self::services) then.
    ///
    /// # Panics
    /// It cannot start.
    #[track_caller]
    pub fn start_another(&mut self, service: Service) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            if let Err(error) = self.ours.start(service, &self.ground, &self.log).await {
                panic!("{caller}: {error}");
            }
        }
    }

    /// Takes a service out of the test, by its place among the [services](Self::services); those behind it move up. It runs
    /// on until it is shut down or dropped. [`shutdown`](Self::shutdown) leaves it alone, and [`settled`](Self::settled) waits
    /// for what it has in hand, but not for it to be ready, nor for what no other service would take from its queues. Its
    /// handlers can still be asked about.
    ///
    /// ```
    /// # use rabbitry::{Service, testing};
    /// # async fn check(inventory: fn() -> Service) {
    /// let mut test = testing::start(inventory()).await;
    /// // A restart: the instance ends well, and another takes its place.
    /// test.take(0).shutdown().await.unwrap();
    /// test.start_another(inventory()).await;
    /// # }
    /// ```
    ///
    /// # Panics
    /// There are not so many.
    #[track_caller]
    pub fn take(&mut self, position: usize) -> Running {
        assert!(position < self.ours.services.len(), "{}", self.none_at(position));
        self.ours.services.remove(position)
    }

    /// Publishes an event as the service `test`, and gives its id.
    ///
    /// # Panics
    /// No handler takes it (see [`publish_unheard`](Self::publish_unheard)), or it cannot be published.
    #[track_caller]
    pub fn publish<E: EventSet + Sync>(&self, event: E) -> impl Future<Output = String> {
        let caller = Location::caller();
        async move {
            match self.publisher::<E>().publish(event).await {
                Ok(published) => published.id().to_owned(),
                Err(PublishError::Unrouted { event, exchange, .. }) => panic!(
                    "{caller}: no handler takes `{event}` from exchange `{exchange}`; the handlers are {}; if that is meant, use `publish_unheard`",
                    self.known()
                ),
                Err(error) => panic!("{caller}: {error}"),
            }
        }
    }

    /// Publishes an event that no handler may take.
    ///
    /// # Panics
    /// It cannot be published.
    #[track_caller]
    pub fn publish_unheard<E: EventSet + Sync>(&self, event: E) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            match self.publisher::<E>().publish(event).await {
                Ok(_) | Err(PublishError::Unrouted { .. }) => {}
                Err(error) => panic!("{caller}: {error}"),
            }
        }
    }

    /// What the test publishes with when an event needs more than its data: metadata, an id, a delay.
    #[must_use]
    pub fn publisher<E: EventSet>(&self) -> Publisher<E> {
        match self.tester.publisher() {
            Ok(publisher) => publisher,
            Err(error) => panic!("the test's own service declares any event, but {error}"),
        }
    }

    /// The broker, past all that the test watches and breaks: for whoever wants to be somebody else there, with
    /// [`transport`](crate::transport)'s traits.
    #[must_use]
    pub fn broker(&self) -> Broker {
        self.ground.broker()
    }

    /// The test's time, which is also its services' and the memory broker's.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.ground.clock().now()
    }

    /// The names of the queues: of all that there are on the memory broker; on RabbitMQ, which does not tell, of those in
    /// the services' plans.
    #[must_use]
    pub fn queues(&self) -> BTreeSet<String> {
        match &self.ground {
            Ground::Memory { memory, .. } => memory.queues(),
            Ground::Broker(_) => self.ours.queues.clone(),
        }
    }

    /// The running services, in the order in which they were started.
    #[must_use]
    pub fn services(&self) -> &[Running] {
        &self.ours.services
    }

    /// A running service, by its place among the [services](Self::services).
    ///
    /// # Panics
    /// There are not so many.
    #[track_caller]
    #[must_use]
    pub fn running(&self, position: usize) -> &Running {
        match self.ours.services.get(position) {
            Some(running) => running,
            None => panic!("{}", self.none_at(position)),
        }
    }

    /// The events of a type that were published so far, each once, in the order of their confirms: by services, and by the
    /// test.
    ///
    /// # Panics
    /// One does not fit the type.
    #[track_caller]
    #[must_use]
    pub fn published<E: Event>(&self) -> Vec<E> {
        let read = |message: &Message| -> Option<E> {
            let incoming = envelope::decode(message, None).ok()?;
            (incoming.name == E::NAME).then(|| match E::decode(incoming.payload()) {
                Ok(event) => event,
                Err(error) => panic!("a published `{}` does not fit its type: {error}", E::NAME),
            })
        };
        let messages = self.log.published();
        messages.iter().filter_map(read).collect()
    }

    /// What a handler did so far.
    ///
    /// # Panics
    /// There is no such handler; the text lists those that exist.
    #[track_caller]
    #[must_use]
    pub fn handled(&self, handler: &str) -> Handled {
        let queue = self.queue_of(handler);
        Handled::of(handler, self.log.runs().into_iter().filter(|run| run.queue == queue).collect())
    }

    /// The dead letters of a handler, as they were when all had [settled](Self::settled) last.
    ///
    /// # Panics
    /// There is no such handler; the text lists those that exist.
    #[track_caller]
    #[must_use]
    pub fn dead_letters(&self, handler: &str) -> Vec<DeadLetter> {
        let queue = self.queue_of(handler);
        self.dead.iter().filter(|letter| letter.queue == queue).cloned().collect()
    }

    /// Has the broker answer no (a nack) to the next so many messages that services or the test publish, though it stored
    /// them: they are sent again.
    pub fn fail_confirms(&self, count: u64) {
        self.log.faults.fail_confirms(count);
    }

    /// Cuts all connections. The services make new ones.
    pub fn cut_connections(&self) {
        self.log.say(None, "the test cut all connections");
        self.log.faults.cut();
    }

    /// Has the next event that a handler handles well delivered to it once more.
    ///
    /// # Panics
    /// There is no such handler.
    #[track_caller]
    pub fn deliver_twice(&self, handler: &str) {
        self.log.faults.deliver_twice(&self.queue_of(handler));
    }

    /// Ends a handler's consumer after its next run's effects, and before it can acknowledge: as a process that is killed in
    /// just that moment. Its events come again.
    ///
    /// # Panics
    /// There is no such handler.
    #[track_caller]
    pub fn crash_after_effects(&self, handler: &str) {
        self.log.faults.crash(&self.queue_of(handler));
    }

    /// All that happened so far, one line each.
    #[must_use]
    pub fn story(&self) -> String {
        self.log.story()
    }

    /// Shuts the services down; dropping the test cuts them off.
    ///
    /// # Panics
    /// One does not end well.
    #[track_caller]
    pub fn shutdown(self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            for running in self.ours.services.iter().chain([&self.tester]) {
                if let Err(error) = running.shutdown().await {
                    panic!("{caller}: {error}");
                }
            }
        }
    }

    fn none_at(&self, position: usize) -> String {
        format!("there are {} services, and none at position {position}", self.ours.services.len())
    }

    /// The queue of a handler, named by itself or by its queue.
    #[track_caller]
    fn queue_of(&self, handler: &str) -> String {
        if self.ours.work().contains(handler) {
            return handler.to_owned();
        }
        let named = |(_, name): &&(String, String)| name == handler;
        let mut found: BTreeSet<&str> = self.ours.handlers.iter().filter(named).map(|(queue, _)| &**queue).collect();
        match (found.pop_last().map(str::to_owned), found.is_empty()) {
            (Some(queue), true) => queue,
            (Some(_), false) => panic!("several services have a handler `{handler}`; name its queue: {}", self.known()),
            (None, _) => panic!("there is no handler `{handler}`; the handlers are {}", self.known()),
        }
    }

    /// The handlers' names, with their queues.
    fn known(&self) -> String {
        let names = self.ours.handlers.iter().map(|(queue, name)| format!("`{name}` ({queue})"));
        let names: Vec<String> = names.collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

/// A failing test tells its story.
impl Drop for Test {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\nWhat happened in the test:\n{}", self.story());
        }
    }
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Test").field("services", &self.ours.services).finish_non_exhaustive()
    }
}
