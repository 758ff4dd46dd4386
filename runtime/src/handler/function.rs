//! The user's function, made uniform.

use std::{fmt, future::Future};

use futures_util::future::BoxFuture;

use super::{
    Argument, HandlerError, MissingResource, Outcome, Received, Resources, Returned, Takes, thread::on_a_thread,
};
use crate::event::{DecodeError, Events};

/// One run of a handler: what it returned, or why it failed.
pub(crate) type Run = BoxFuture<'static, Result<Returned, HandlerError>>;

/// A function with all it needs of the service: from a received event to a run.
pub(crate) type Bound = Box<dyn Fn(&Received<'_>, Returned) -> Result<Run, DecodeError> + Send + Sync>;

/// What a function takes and can publish.
#[derive(Clone, Debug, Default)]
pub(crate) struct Described {
    /// What each of its arguments takes.
    pub(crate) takes: Vec<Takes>,
    /// What it can return.
    pub(crate) returns: Vec<Events>,
    /// What it can publish through its arguments.
    pub(crate) publishes: Vec<Events>,
    /// Whether one of its arguments or what it returns needs the event's metadata.
    pub(crate) reads_metadata: bool,
    /// Whether it runs on a thread for blocking work, where nothing can cancel it.
    pub(crate) blocking: bool,
}

/// Gives a function what it needs.
pub(crate) type Bind = Box<dyn FnOnce(&Resources) -> Result<Bound, MissingResource> + Send>;

/// A function that is not yet given what it needs.
pub(crate) struct Unbound {
    pub(crate) described: Described,
    pub(crate) bind: Bind,
}

impl fmt::Debug for Unbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unbound").field("described", &self.described).finish_non_exhaustive()
    }
}

/// An async function or closure of up to eight [`Argument`]s that returns an [`Outcome`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not a handler",
    note = "a handler is an async function of one to eight arguments that can be `rabbitry::handler::Argument`s, one of them the event, and returns a `rabbitry::handler::Outcome`",
    note = "its future must be `Send`; a closure's arguments need their types: `|event: OrderCreated| async move {{ … }}`"
)]
pub trait Handler<Arguments>: Send + Sync + 'static {
    /// What it takes and can publish.
    #[doc(hidden)]
    fn unbound(self) -> Erased;
}

/// A function of up to eight [`Argument`]s that blocks and returns an [`Outcome`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a blocking handler",
    label = "not a blocking handler",
    note = "a blocking handler is a plain function of one to eight arguments that can be `rabbitry::handler::Argument`s, one of them the event, and returns a `rabbitry::handler::Outcome`"
)]
pub trait BlockingHandler<Arguments>: Clone + Send + Sync + 'static {
    /// What it takes and can publish.
    #[doc(hidden)]
    fn unbound(self) -> Erased;
}

/// A handler without its type.
#[derive(Debug)]
pub struct Erased(Unbound);

pub(crate) fn in_place<Arguments>(handler: impl Handler<Arguments>) -> Unbound {
    handler.unbound().0
}

pub(crate) fn blocking<Arguments>(handler: impl BlockingHandler<Arguments>) -> Unbound {
    handler.unbound().0
}

fn described<O: Outcome>(
    takes: Vec<Takes>,
    publishes: Vec<Option<Events>>,
    reads_metadata: bool,
    blocking: bool,
) -> Described {
    let mut returns = Vec::new();
    O::events(&mut returns);
    // What is returned names its cause.
    let reads_metadata = reads_metadata || !returns.is_empty();
    Described { takes, returns, publishes: publishes.into_iter().flatten().collect(), reads_metadata, blocking }
}

fn finish(outcome: impl Outcome, mut returned: Returned) -> Result<Returned, HandlerError> {
    outcome.collect(&mut returned)?;
    Ok(returned)
}

macro_rules! functions {
    ($($argument:ident)+) => {
        #[allow(non_snake_case, reason = "the type parameters' names")]
        impl<F, Fut, O, $($argument),+> Handler<($($argument,)+)> for F
        where
            F: Fn($($argument),+) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = O> + Send + 'static,
            O: Outcome,
            $($argument: Argument,)+
        {
            fn unbound(self) -> Erased {
                let described = described::<O>(
                    vec![$($argument::TAKES),+],
                    vec![$($argument::publishes()),+],
                    false $(|| $argument::READS_METADATA)+,
                    false,
                );
                let bind = move |resources: &Resources| {
                    $(let $argument = $argument::source(resources)?;)+
                    let bound: Bound = Box::new(move |received, returned| {
                        let future = self($($argument::extract(&$argument, received)?),+);
                        Ok(Box::pin(async move { finish(future.await, returned) }) as Run)
                    });
                    Ok(bound)
                };
                Erased(Unbound { described, bind: Box::new(bind) })
            }
        }

        #[allow(non_snake_case, reason = "the type parameters' names")]
        impl<F, O, $($argument),+> BlockingHandler<($($argument,)+)> for F
        where
            F: Fn($($argument),+) -> O + Clone + Send + Sync + 'static,
            O: Outcome,
            $($argument: Argument,)+
        {
            fn unbound(self) -> Erased {
                let described = described::<O>(
                    vec![$($argument::TAKES),+],
                    vec![$($argument::publishes()),+],
                    false $(|| $argument::READS_METADATA)+,
                    true,
                );
                let bind = move |resources: &Resources| {
                    $(let $argument = $argument::source(resources)?;)+
                    let bound: Bound = Box::new(move |received, returned| {
                        $(let $argument = $argument::extract(&$argument, received)?;)+
                        let function = self.clone();
                        // A panic is caught further up, like that of a handler that runs in place.
                        let run =
                            async move { finish(on_a_thread(move || function($($argument),+)).await?, returned) };
                        Ok(Box::pin(run) as Run)
                    });
                    Ok(bound)
                };
                Erased(Unbound { described, bind: Box::new(bind) })
            }
        }
    };
}

functions!(A1);
functions!(A1 A2);
functions!(A1 A2 A3);
functions!(A1 A2 A3 A4);
functions!(A1 A2 A3 A4 A5);
functions!(A1 A2 A3 A4 A5 A6);
functions!(A1 A2 A3 A4 A5 A6 A7);
functions!(A1 A2 A3 A4 A5 A6 A7 A8);
