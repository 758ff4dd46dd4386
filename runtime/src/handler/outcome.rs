//! What a handler may return.

use super::{HandlerError, Returned};
use crate::event::{EventSet, Events};

/// What a handler returns: nothing, or events that are published and confirmed before the delivery is acknowledged.
///
/// `()`, an event, an [`EventSet`], and `Option`, `Vec`, a tuple or a `Result` of these.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "cannot be published",
    note = "a handler returns `()`, an event, an `EventSet`, an `Option`, `Vec` or tuple of these, or a `Result` of one",
    note = "the error of a `Result` is anything that `?` turns into `rabbitry::HandlerError`: your error types, `anyhow::Error`, strings"
)]
pub trait Outcome: Send + 'static {
    /// Adds what events it can hold.
    fn events(list: &mut Vec<Events>);

    /// Hands the events that it holds to `returned`, in order.
    ///
    /// # Errors
    /// It is a `Result` with an error: none of its events is published.
    fn collect(self, returned: &mut Returned) -> Result<(), HandlerError>;
}

impl Outcome for () {
    fn events(_: &mut Vec<Events>) {}

    fn collect(self, _: &mut Returned) -> Result<(), HandlerError> {
        Ok(())
    }
}

impl<T: EventSet> Outcome for T {
    fn events(list: &mut Vec<Events>) {
        list.push(T::EVENTS);
    }

    fn collect(self, returned: &mut Returned) -> Result<(), HandlerError> {
        returned.push(&self);
        Ok(())
    }
}

impl<T: Outcome> Outcome for Option<T> {
    fn events(list: &mut Vec<Events>) {
        T::events(list);
    }

    fn collect(self, returned: &mut Returned) -> Result<(), HandlerError> {
        self.map_or(Ok(()), |outcome| outcome.collect(returned))
    }
}

impl<T: Outcome> Outcome for Vec<T> {
    fn events(list: &mut Vec<Events>) {
        T::events(list);
    }

    fn collect(self, returned: &mut Returned) -> Result<(), HandlerError> {
        self.into_iter().try_for_each(|outcome| outcome.collect(returned))
    }
}

impl<T: Outcome, E: Into<HandlerError> + Send + 'static> Outcome for Result<T, E> {
    fn events(list: &mut Vec<Events>) {
        T::events(list);
    }

    fn collect(self, returned: &mut Returned) -> Result<(), HandlerError> {
        self.map_err(Into::into)?.collect(returned)
    }
}

macro_rules! tuple {
    ($($name:ident)+) => {
        impl<$($name: Outcome),+> Outcome for ($($name,)+) {
            fn events(list: &mut Vec<Events>) {
                $($name::events(list);)+
            }

            fn collect(self, returned: &mut Returned) -> Result<(), HandlerError> {
                #[allow(non_snake_case, reason = "the type parameters' names")]
                let ($($name,)+) = self;
                $($name.collect(returned)?;)+
                Ok(())
            }
        }
    };
}

tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
