//! From a received event to a run of the user's function: arguments in, outcome out.
//! It knows nothing of queues, acknowledgements or connections.

mod argument;
#[allow(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the compiler runs it: there a panic is an error at the user's token"
)]
pub mod check;
mod error;
mod fresh;
mod function;
mod outcome;
mod received;
mod resources;
mod returned;
mod thread;

pub use argument::{Argument, Attempt, State, Takes};
pub use error::{HandlerError, HandlerResultExt};
pub use function::{BlockingHandler, Handler};
pub use outcome::Outcome;
pub use received::Received;
pub use resources::{MissingResource, Resources};
pub use returned::Returned;

pub(crate) use error::{Verdict, chain};
pub(crate) use fresh::fresh_id;
pub(crate) use function::{Bound, Unbound, blocking, in_place};
pub(crate) use returned::Saying;
