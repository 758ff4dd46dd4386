//! What one handler wants: which events, from which queue, how often to try, and the function itself.

mod list;

use std::{error::Error, fmt, time::Duration};

use crate::{
    envelope::Format,
    handler::{self, BlockingHandler, Handler, Unbound},
    retry::RetryPolicy,
    time::{IntoDuration, InvalidDuration},
    topology::{Argument, Arguments, Exchange, QueueType},
};

pub use list::{HandlerDef, Registration, Subscriptions};

/// How many events a handler works on at a time in one process.
pub(crate) const CONCURRENCY: u16 = 16;
/// How long a handler may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// What is done with a message that cannot be read as an event that the handler takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undecodable {
    /// To the dead letters at once: no retry makes it readable. Default.
    #[default]
    DeadLetter,
    /// Retry it by the policy: for roll-outs where producers go first and some instances are still old.
    Retry,
}

pub(crate) type RejectIf = Box<dyn Fn(&(dyn Error + 'static)) -> bool + Send + Sync>;

/// A handler with all that it wants. `#[subscribe]` makes one of a function; this is the same by hand.
///
/// ```
/// use std::time::Duration;
/// use rabbitry::{RetryPolicy, Subscription, event};
///
/// #[event("order_created")]
/// pub struct OrderCreated {
///     pub order_id: i64,
/// }
///
/// async fn reserve_stock(event: OrderCreated) -> Result<(), std::io::Error> {
///     Ok(println!("order {}", event.order_id))
/// }
///
/// let subscription = Subscription::to("order_created")
///     .name("reserve_stock")
///     .retry(RetryPolicy::default().attempts(3))
///     .concurrency(4)
///     .timeout(Duration::from_secs(5))
///     .handler(reserve_stock);
/// # let _ = subscription;
/// ```
pub struct Subscription {
    pub(crate) options: SubscriptionOptions,
    pub(crate) handler: Unbound,
}

impl Subscription {
    /// Begins a subscription to an event's name, or to a pattern: `*` stands for one word, `#` for any number of words.
    #[must_use]
    pub fn to(name: impl Into<String>) -> SubscriptionOptions {
        SubscriptionOptions::new(name.into())
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A subscription that waits for its handler: begun with [`Subscription::to`], ended with [`handler`](Self::handler).
pub struct SubscriptionOptions {
    pub(crate) name: Option<String>,
    pub(crate) names: Vec<String>,
    pub(crate) retry: RetryPolicy,
    pub(crate) concurrency: u16,
    pub(crate) prefetch: Option<u16>,
    pub(crate) queue: Option<String>,
    pub(crate) queue_type: QueueType,
    pub(crate) exchange: Option<Exchange>,
    pub(crate) binding_key: Option<String>,
    pub(crate) binding_arguments: Arguments,
    pub(crate) timeout: Result<Duration, InvalidDuration>,
    pub(crate) broadcast: bool,
    pub(crate) undecodable: Undecodable,
    pub(crate) format: Option<Format>,
    pub(crate) reject_if: Option<RejectIf>,
}

impl SubscriptionOptions {
    fn new(name: String) -> Self {
        Self {
            name: None,
            names: vec![name],
            retry: RetryPolicy::default(),
            concurrency: CONCURRENCY,
            prefetch: None,
            queue: None,
            queue_type: QueueType::default(),
            exchange: None,
            binding_key: None,
            binding_arguments: Arguments::new(),
            timeout: Ok(TIMEOUT),
            broadcast: false,
            undecodable: Undecodable::default(),
            format: None,
            reject_if: None,
        }
    }

    /// Subscribes to one more name or pattern.
    #[must_use]
    pub fn and(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// The handler's name: its queue is `{service}.{name}`. Default: the first event's name, with `*` as `any` and `#` as
    /// `all`; `#[subscribe]` gives the function's.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How often and when a failing run is tried again. Default: see [`RetryPolicy`].
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How many events the handler works on at a time, in each process. Default: 16.
    ///
    /// All runs of a handler take turns in one task: while one waits, the others go on. Work that keeps a core busy or blocks
    /// belongs into [`blocking_handler`](SubscriptionOptions::blocking_handler) (`#[subscribe(…, blocking)]`).
    #[must_use]
    pub fn concurrency(mut self, events: u16) -> Self {
        self.concurrency = events;
        self
    }

    /// How many deliveries the broker sends ahead of their acknowledgement. Default: 2 × concurrency.
    #[must_use]
    pub fn prefetch(mut self, deliveries: u16) -> Self {
        self.prefetch = Some(deliveries);
        self
    }

    /// The work queue's name, where it is not `{service}.{handler}`: that of a system that is there already.
    #[must_use]
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.queue = Some(name.into());
        self
    }

    /// The work queue's type. Default: quorum.
    #[must_use]
    pub fn queue_type(mut self, queue_type: QueueType) -> Self {
        self.queue_type = queue_type;
        self
    }

    /// The exchange that the events come from, where it is not the event's or the service's: a name (of a topic exchange,
    /// or of whatever is there already), or an [`Exchange`].
    #[must_use]
    pub fn exchange(mut self, exchange: impl Into<Exchange>) -> Self {
        self.exchange = Some(exchange.into());
        self
    }

    /// The binding key, where it is not the event's name: for an exchange whose senders have routing keys of their own.
    #[must_use]
    pub fn binding_key(mut self, key: impl Into<String>) -> Self {
        self.binding_key = Some(key.into());
        self
    }

    /// An argument of the binding: what an exchange of type `headers` matches (`x-match` and headers by name).
    #[must_use]
    pub fn binding_argument(mut self, name: impl Into<String>, value: impl Into<Argument>) -> Self {
        self.binding_arguments.insert(name.into(), value.into());
        self
    }

    /// How long a run may take before it counts as failed and is cancelled at its next await: a [`Duration`] or a text like
    /// `"5s"`. A blocking handler cannot be cancelled: it keeps its slot until it returns, and then counts as it returned.
    /// Default: 60 s.
    #[must_use]
    pub fn timeout(mut self, timeout: impl IntoDuration) -> Self {
        self.timeout = timeout.into_duration();
        self
    }

    /// Every instance of the service gets every event, on a queue of its own that lives as long as its connection: for
    /// caches and sockets. While it is disconnected it misses events. Retries happen in the process; the handler returns
    /// `()`.
    #[must_use]
    pub fn broadcast(mut self) -> Self {
        self.broadcast = true;
        self
    }

    /// What is done with a message that cannot be read. Default: to the dead letters at once.
    #[must_use]
    pub fn undecodable(mut self, undecodable: Undecodable) -> Self {
        self.undecodable = undecodable;
        self
    }

    /// Reads every message in this format. Default: in the format that it shows.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Which errors of type `E` no retry will help: they, and errors that they caused, go to the dead letters at once.
    ///
    /// The error is found by its type, so the handler may return `E` itself, `HandlerError`, or a box.
    #[must_use]
    pub fn reject_if<E: Error + 'static>(mut self, is_final: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.reject_if = Some(Box::new(move |error| {
            let mut error = Some(error);
            while let Some(cause) = error {
                if cause.downcast_ref::<E>().is_some_and(&is_final) {
                    return true;
                }
                error = cause.source();
            }
            false
        }));
        self
    }

    /// The async function or closure that handles the events.
    #[must_use]
    pub fn handler<Arguments>(self, handler: impl Handler<Arguments>) -> Subscription {
        Subscription { options: self, handler: handler::in_place(handler) }
    }

    /// The function that handles the events, on a thread where it may block.
    #[must_use]
    pub fn blocking_handler<Arguments>(self, handler: impl BlockingHandler<Arguments>) -> Subscription {
        Subscription { options: self, handler: handler::blocking(handler) }
    }

    /// The handler's name.
    pub(crate) fn handler_name(&self) -> String {
        let of_pattern = || {
            let first = self.names.first().map_or("", String::as_str);
            let words = first.split('.').map(|word| match word {
                "*" => "any",
                "#" => "all",
                word => word,
            });
            words.collect::<Vec<_>>().join(".")
        };
        self.name.clone().unwrap_or_else(of_pattern)
    }
}

impl fmt::Debug for SubscriptionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionOptions")
            .field("name", &self.handler_name())
            .field("names", &self.names)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
