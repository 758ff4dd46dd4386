//! From a service to its plan: every rule that needs no broker is checked here.

use std::{collections::HashMap, time::Duration};

use super::{BuildError, Service};
use crate::{
    event::{EventType, Events, name},
    handler::Takes,
    retry::LONGEST_SECONDS,
    subscription::Subscription,
    topology::{
        self, Arguments, Exchange, ExchangeKind, PlannedService, PlannedSubscription, QueueType, Topology,
        ladder::{Ladder, check_destination},
    },
};

/// A service, checked.
pub(super) struct Planned {
    pub(super) topology: Topology,
    pub(super) ladder: Ladder,
    /// In the order of the service's subscriptions.
    pub(super) subscriptions: Vec<PlannedHandler>,
}

pub(super) struct PlannedHandler {
    pub(super) name: String,
    pub(super) subscription: PlannedSubscription,
}

pub(super) fn plan(service: &Service) -> Result<Planned, BuildError> {
    check_service(service)?;
    let mut exchanges = Exchanges { service, list: Vec::new() };
    let mut publishes_to = Vec::new();
    let mut subscriptions: Vec<PlannedHandler> = Vec::new();
    let mut longest = longest_schedule(service)?;
    let published = service.publishes.iter().chain(
        service
            .subscriptions
            .iter()
            .flat_map(|it| it.handler.described.returns.iter().chain(&it.handler.described.publishes)),
    );
    for events in published {
        for exchange in exchanges.of_events(*events)? {
            if !publishes_to.contains(&exchange) {
                publishes_to.push(exchange);
            }
        }
    }
    for subscription in &service.subscriptions {
        let planned = plan_subscription(service, subscription, &mut exchanges)?;
        if let Some(other) =
            subscriptions.iter().find(|other| share_a_queue(&other.subscription, &planned.subscription))
        {
            return Err(BuildError::OneQueue {
                queue: planned.subscription.queue,
                first: other.name.clone(),
                second: planned.name,
            });
        }
        if !planned.subscription.broadcast {
            longest = longest.max(subscription.options.retry.longest());
        }
        subscriptions.push(planned);
    }
    let planned = PlannedService {
        exchanges: exchanges.list,
        publishes_to,
        subscriptions: subscriptions.iter().map(|handler| handler.subscription.clone()).collect(),
        delays: service.delays.clone(),
        longest_delay: longest,
    };
    Ok(Planned { topology: topology::plan(&planned), ladder: planned.ladder(), subscriptions })
}

/// Whether two handlers have one queue, or one listens to the other's dead letters.
fn share_a_queue(one: &PlannedSubscription, other: &PlannedSubscription) -> bool {
    let is_dead_of = |queue: &str, of: &str| queue.strip_suffix(".dead") == Some(of);
    one.queue == other.queue || is_dead_of(&one.queue, &other.queue) || is_dead_of(&other.queue, &one.queue)
}

fn check_service(service: &Service) -> Result<(), BuildError> {
    let name = &service.name;
    let invalid = |reason: String| BuildError::ServiceName { name: name.clone(), reason };
    if name.contains('.') {
        return Err(invalid("has a dot: it is one word, and its queues are `{service}.{handler}`".to_owned()));
    }
    name::check(name).map_err(invalid)?;
    if name == "rabbitry" {
        return Err(invalid("is that of rabbitry's own exchanges and queues: choose another".to_owned()));
    }
    let setting = |setting, reason: String| BuildError::Setting { service: name.clone(), setting, reason };
    if let Some(module) = service.none_below {
        return Err(BuildError::NoneFound { module });
    }
    if let Some(type_name) = service.twice {
        return Err(BuildError::StateTwice { type_name });
    }
    if service.subscriptions.is_empty() && service.publishes.is_empty() {
        return Err(BuildError::Nothing { service: name.clone() });
    }
    check_destination(&service.exchange.name).map_err(|reason| setting("exchange", reason))?;
    if let Some(delays) = &service.delays {
        check_destination(delays).map_err(|reason| setting("delays", reason))?;
    }
    if service.body_limit == 0 {
        return Err(setting("body_limit", "is 0: no event would fit".to_owned()));
    }
    if service.publish_window == 0 || service.publish_window > MOST_ON_THEIR_WAY {
        return Err(setting("publish_window", format!("is {}: say 1 to {MOST_ON_THEIR_WAY}", service.publish_window)));
    }
    if service.publish_timeout.as_ref().is_ok_and(Duration::is_zero) {
        return Err(setting("publish_timeout", "is 0: no event could be confirmed in time".to_owned()));
    }
    for (name, duration) in [("publish_timeout", &service.publish_timeout), ("grace", &service.grace)] {
        duration.as_ref().map_err(|invalid| setting(name, invalid.to_string()))?;
    }
    service.start_timeout.as_ref().map_err(|invalid| setting("start_timeout", invalid.to_string()))?;
    Ok(())
}

/// More messages on their way than this are memory, not speed.
const MOST_ON_THEIR_WAY: usize = 65_536;

fn longest_schedule(service: &Service) -> Result<Option<Duration>, BuildError> {
    let setting =
        |reason: String| BuildError::Setting { service: service.name.clone(), setting: "schedules_up_to", reason };
    match &service.schedules_up_to {
        None => Ok(None),
        Some(Err(invalid)) => Err(setting(invalid.to_string())),
        Some(Ok(longest)) if *longest > Duration::from_secs(LONGEST_SECONDS) => {
            Err(setting("is more than the 8.5 years that a delay can be".to_owned()))
        }
        Some(Ok(longest)) => Ok(Some(*longest)),
    }
}

fn plan_subscription(
    service: &Service,
    subscription: &Subscription,
    exchanges: &mut Exchanges<'_>,
) -> Result<PlannedHandler, BuildError> {
    let options = &subscription.options;
    let handler = options.handler_name();
    let wrong =
        |setting: &'static str, reason: String| BuildError::Handler { handler: handler.clone(), setting, reason };
    name::check(&handler).map_err(|reason| wrong("name", reason))?;
    if handler == "dead" || handler.ends_with(".dead") {
        return Err(wrong(
            "name",
            "is `dead`, which ends the names of dead letters' queues: choose another".to_owned(),
        ));
    }
    let takes = check_names(subscription, &wrong)?;
    options.retry.check().map_err(|(setting, reason)| wrong(setting, reason))?;
    let timeout = options.timeout.as_ref().map_err(|invalid| wrong("timeout", invalid.to_string()))?;
    if timeout.is_zero() {
        return Err(wrong("timeout", "is 0: no run could end in time".to_owned()));
    }
    if options.concurrency == 0 {
        return Err(wrong("concurrency", "is 0: nothing would be handled".to_owned()));
    }
    if options.prefetch == Some(0) {
        return Err(wrong(
            "prefetch",
            "is 0, which means no limit to RabbitMQ: memory would have none either".to_owned(),
        ));
    }
    if options.prefetch.is_some_and(|prefetch| prefetch < options.concurrency) {
        let reason = format!(
            "is less than concurrency, which is {}: the broker would never send that many",
            options.concurrency
        );
        return Err(wrong("prefetch", reason));
    }
    if options.broadcast {
        if options.queue.is_some() || options.queue_type != QueueType::default() {
            return Err(wrong(
                "broadcast",
                "has queues that the broker names: leave `queue` and `queue_type` out".to_owned(),
            ));
        }
        if !subscription.handler.described.returns.is_empty() {
            let reason = "every instance would publish what the handler returns: return () or Result<(), …>";
            return Err(wrong("broadcast", reason.to_owned()));
        }
    }
    let queue = options.queue.clone().unwrap_or_else(|| format!("{}.{handler}", service.name));
    check_destination(&queue).map_err(|reason| wrong("queue", format!("`{queue}` {reason}")))?;
    if queue.starts_with("rabbitry.") {
        return Err(wrong("queue", format!("`{queue}` begins like rabbitry's own queues: choose another")));
    }
    if options.binding_key.as_ref().is_some_and(|key| key.len() > 255) {
        return Err(wrong("binding_key", "is longer than the 255 bytes that AMQP has for it".to_owned()));
    }
    if let Some(name) = options.binding_arguments.keys().find(|name| name.len() > 255) {
        let start = name.get(..60).unwrap_or_default();
        return Err(wrong("binding_argument", format!("`{start}…` is longer than the 255 bytes that AMQP has for it")));
    }
    let mut bindings: Vec<(String, String, Arguments)> = Vec::new();
    for name in &options.names {
        let exchange = match &options.exchange {
            Some(exchange) => exchanges.named(exchange)?,
            None => exchanges.of_event(takes.iter().find(|event| event.name == *name).copied())?,
        };
        let key = options.binding_key.clone().unwrap_or_else(|| name.clone());
        let binding = (exchange, key, options.binding_arguments.clone());
        if !bindings.contains(&binding) {
            bindings.push(binding);
        }
    }
    if options.queue_type == QueueType::Classic {
        tracing::warn!(
            queue,
            handler,
            "a classic queue is not replicated and counts no deliveries: a message that kills its consumer comes again for ever, and dead letters are moved at most once"
        );
    }
    let subscription =
        PlannedSubscription { queue, queue_type: options.queue_type, broadcast: options.broadcast, bindings };
    Ok(PlannedHandler { name: handler, subscription })
}

/// Checks that what is subscribed to is what the function takes; the events that it takes, none if it takes any.
fn check_names<'a>(
    subscription: &'a Subscription,
    wrong: &impl Fn(&'static str, String) -> BuildError,
) -> Result<Vec<&'a EventType>, BuildError> {
    let names = &subscription.options.names;
    let mut taken = subscription.handler.described.takes.iter().filter_map(|takes| match takes {
        Takes::Event(events) => Some(*events),
        Takes::Nothing => None,
    });
    let (Some(events), None) = (taken.next(), taken.next()) else {
        let reason = "take no event or more than one: a handler takes exactly one by value, `AnyEvent` or an enum with #[derive(EventSet)] for any of several";
        return Err(wrong("arguments", reason.to_owned()));
    };
    for (position, name) in names.iter().enumerate() {
        name::check_pattern(name).map_err(|reason| wrong("subscribes to", format!("`{name}`, which {reason}")))?;
        if names.iter().take(position).any(|other| other == name) {
            return Err(wrong("subscribes to", format!("`{name}` twice")));
        }
    }
    let Events::Of(events) = events else { return Ok(Vec::new()) };
    for name in names {
        if name::is_pattern(name) {
            let reason =
                format!("`{name}`, a pattern, but takes only {}: take `AnyEvent`, or name the events", listed(events));
            return Err(wrong("subscribes to", reason));
        }
        if !events.iter().any(|event| event.name == *name) {
            return Err(wrong("subscribes to", format!("`{name}`, but takes {}", listed(events))));
        }
    }
    match events.iter().find(|event| !names.iter().any(|name| event.name == *name)) {
        Some(event) => {
            let reason = format!(
                "takes `{}`, which it is not subscribed to: add the name, or take it out of the set",
                event.name
            );
            Err(wrong("arguments", reason))
        }
        None => Ok(events.iter().collect()),
    }
}

fn listed(events: &[EventType]) -> String {
    events.iter().map(|event| format!("`{}`", event.name)).collect::<Vec<_>>().join(", ")
}

/// The exchanges of a service, each once, in the order in which they are met.
struct Exchanges<'a> {
    service: &'a Service,
    list: Vec<Exchange>,
}

impl Exchanges<'_> {
    /// Where an event goes through: an exchange of its own, or the service's.
    fn of_event(&mut self, event: Option<&EventType>) -> Result<String, BuildError> {
        match event.and_then(|event| event.exchange.as_deref()) {
            Some(name) if name != self.service.exchange.name => self.own(name),
            _ => {
                let exchange = self.service.exchange.clone();
                self.add(exchange)
            }
        }
    }

    fn of_events(&mut self, events: Events) -> Result<Vec<String>, BuildError> {
        match events {
            Events::Any => Ok(vec![self.of_event(None)?]),
            Events::Of(events) => events.iter().map(|event| self.of_event(Some(event))).collect(),
        }
    }

    /// An exchange that an event names: of whatever type it is said to be elsewhere, else a topic exchange.
    fn own(&mut self, name: &str) -> Result<String, BuildError> {
        let said = self.service.subscriptions.iter().filter_map(|it| it.options.exchange.as_ref());
        let kinds: HashMap<&str, ExchangeKind> = said.map(|exchange| (exchange.name.as_str(), exchange.kind)).collect();
        self.add(Exchange::named(name, kinds.get(name).copied().unwrap_or_default()))
    }

    /// An exchange that a subscription names.
    fn named(&mut self, exchange: &Exchange) -> Result<String, BuildError> {
        if exchange.name == self.service.exchange.name && exchange.kind == self.service.exchange.kind {
            let exchange = self.service.exchange.clone();
            return self.add(exchange);
        }
        self.add(exchange.clone())
    }

    fn add(&mut self, exchange: Exchange) -> Result<String, BuildError> {
        let name = exchange.name.clone();
        check_destination(&name).map_err(|reason| BuildError::Setting {
            service: self.service.name.clone(),
            setting: "exchange",
            reason: format!("`{name}` {reason}"),
        })?;
        match self.list.iter().find(|other| other.name == name) {
            Some(other) if other.kind != exchange.kind => Err(BuildError::ExchangeType {
                exchange: name,
                first: other.kind.to_string(),
                second: exchange.kind.to_string(),
            }),
            Some(_) => Ok(name),
            None => {
                self.list.push(exchange);
                Ok(name)
            }
        }
    }
}
