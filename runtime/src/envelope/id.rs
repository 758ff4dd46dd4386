//! Ids: fresh ones, and those that follow from their cause.

use std::fmt::Write;

use smol_str::SmolStr;
use uuid::Uuid;

/// The namespace of derived ids. Never to change: downstream, equal ids mean the same event.
const NAMESPACE: Uuid = Uuid::from_u128(0x9b1c_57f0_6c1e_4a55_8f0a_4d1f_52ab_b117);

/// What an id of a returned event follows from. A redelivered cause gives equal facts, so equal ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Derivation<'a> {
    /// The id of the event that was handled.
    pub(crate) cause: &'a str,
    /// The queue of the handler: two handlers of one event say different things. So do two instances of a broadcast
    /// handler: each has a queue of its own, by the name that the broker gave it.
    pub(crate) queue: &'a str,
    /// The name of the returned event.
    pub(crate) event: &'a str,
    /// Its key.
    pub(crate) key: Option<&'a str>,
    /// How many of that name and key came before it in the same outcome.
    pub(crate) before: usize,
}

/// The id that follows from its cause.
pub(crate) fn derived(from: &Derivation<'_>) -> SmolStr {
    // Each part behind its length: `a` + `bc` is not `ab` + `c`.
    let mut said = String::with_capacity(256);
    for part in [Some(from.cause), Some(from.queue), Some(from.event), from.key] {
        // A string takes whatever is written to it.
        _ = match part {
            Some(part) => write!(said, "{}:{part} ", part.len()),
            None => write!(said, "- "),
        };
    }
    _ = write!(said, "{}", from.before);
    text(Uuid::new_v5(&NAMESPACE, said.as_bytes()))
}

/// A UUID as a text.
pub(crate) fn text(id: Uuid) -> SmolStr {
    SmolStr::new(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}
