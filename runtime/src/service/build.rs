//! From a checked service to the tasks that will run it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize},
};

use super::{BuildError, BuiltService, Service, plan};
use crate::{
    consumer::{Stuck, Worker},
    handler::Saying,
    management::Management,
    observe::Observer,
    publisher::{Outgoing, Window},
    topology::{Arguments, Binding, Destination},
    transport::Broker,
};

/// RabbitMQ's frame size, until a connection says another.
const FRAME_MAX: usize = 131_072;

/// A handler that is given all it needs.
pub(super) struct BuiltHandler {
    pub(super) worker: Worker,
    pub(super) concurrency: u16,
    pub(super) prefetch: u16,
    /// Of a broadcast handler: the bindings of the queue that each connection makes.
    pub(super) exclusive: Option<Vec<Binding>>,
}

pub(super) fn build(mut service: Service) -> Result<BuiltService, BuildError> {
    let planned = plan::plan(&service)?;
    let broker = broker(&service)?;
    let transport = broker.transport()?;
    let management = management(&service, &broker)?;
    // Checked by the plan.
    let publish_timeout = service.publish_timeout.clone().unwrap_or(super::PUBLISH_TIMEOUT);
    let grace = service.grace.clone().unwrap_or(super::GRACE);
    let start_timeout = service.start_timeout.clone().unwrap_or_default();
    let (window, jobs) =
        Window::new(&service.name, service.publish_window, publish_timeout, Arc::clone(&service.clock));
    let outgoing = Arc::new(Outgoing {
        window,
        saying: Arc::new(Saying {
            service: service.name.as_str().into(),
            exchange: service.exchange.name.as_str().into(),
            format: service.format,
        }),
        ladder: planned.ladder,
        dead_letters: service.plan_version.dead_letters(),
        body_limit: service.body_limit,
        frame_max: Arc::new(AtomicUsize::new(FRAME_MAX)),
    });
    service.resources.insert(Arc::clone(&outgoing));
    let observers: Arc<[Arc<dyn Observer>]> = service.observers.into();
    let mut handlers = Vec::with_capacity(service.subscriptions.len());
    for (subscription, handler) in service.subscriptions.into_iter().zip(planned.subscriptions) {
        let options = subscription.options;
        let (blocking, reads_metadata) =
            (subscription.handler.described.blocking, subscription.handler.described.reads_metadata);
        let bound = (subscription.handler.bind)(&service.resources)
            .map_err(|missing| BuildError::MissingState { handler: handler.name.clone(), missing })?;
        let exclusive = handler.subscription.broadcast.then(|| bindings(&handler.subscription.bindings));
        handlers.push(BuiltHandler {
            concurrency: options.concurrency,
            prefetch: options.prefetch.unwrap_or(options.concurrency.saturating_mul(2)),
            exclusive,
            worker: Worker {
                service: service.name.as_str().into(),
                handler: handler.name,
                queue: handler.subscription.queue.into(),
                retry: options.retry,
                timeout: options.timeout.unwrap_or(crate::subscription::TIMEOUT),
                blocking,
                broadcast: options.broadcast,
                undecodable: options.undecodable,
                format: options.format,
                reject_if: options.reject_if,
                body_limit: service.body_limit,
                bound,
                reads_metadata,
                outgoing: Arc::clone(&outgoing),
                stuck: Stuck::default(),
                observers: Arc::clone(&observers),
                clock: Arc::clone(&service.clock),
            },
        });
    }
    let declared = service.publishes;
    Ok(BuiltService {
        name: service.name,
        transport,
        management,
        topology: Arc::new(planned.topology),
        mode: service.topology_mode,
        unrouted: service.unrouted,
        unrouted_count: Arc::new(AtomicU64::new(0)),
        grace,
        start_timeout,
        dead_letter_limit: service.dead_letter_limit,
        clock: service.clock,
        outgoing,
        jobs,
        handlers,
        declared,
    })
}

pub(super) fn broker(service: &Service) -> Result<Broker, BuildError> {
    let from_environment = || std::env::var("AMQP_URL").ok().filter(|url| !url.is_empty()).map(Broker::amqp);
    let broker = service.broker.clone().or_else(from_environment);
    broker.ok_or_else(|| BuildError::NoBroker { service: service.name.clone() })
}

pub(super) fn management(service: &Service, broker: &Broker) -> Result<Option<Arc<Management>>, BuildError> {
    let Some(url) = &service.management_url else { return Ok(None) };
    let wrong = |reason| BuildError::Setting { service: service.name.clone(), setting: "management_url", reason };
    let login = broker.login().ok_or_else(|| {
        wrong("is set, but the broker is not given by a URL, which would say the virtual host".to_owned())
    })?;
    Ok(Some(Arc::new(Management::new(url, &login, &service.clock).map_err(wrong)?)))
}

fn bindings(bindings: &[(String, String, Arguments)]) -> Vec<Binding> {
    let binding = |(exchange, key, arguments): &(String, String, Arguments)| Binding {
        source: exchange.clone(),
        // The broker names the queue when it is made.
        destination: Destination::Queue(String::new()),
        routing_key: key.clone(),
        arguments: arguments.clone(),
    };
    bindings.iter().map(binding).collect()
}
