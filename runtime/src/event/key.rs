//! What may be an event's `#[key]`.

use std::borrow::Cow;

/// A value that can be an event's `#[key]`: it has one exact text, so that equal keys are equal on the wire.
///
/// Implemented for integers, `bool`, `char`, `String`, [`Uuid`](uuid::Uuid), and `Option` of one (no key when `None`).
/// Implement it for a newtype of yours by handing on to the inner value.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an event's key",
    label = "not a key",
    note = "a key is an integer, a bool, a char, a String, a Uuid, an Option of one, or a type of yours that implements `rabbitry::Key`"
)]
pub trait Key {
    /// The key's text; `None` for an event without a key.
    fn key(&self) -> Option<Cow<'_, str>>;
}

impl Key for String {
    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self))
    }
}

impl<K: Key> Key for Option<K> {
    fn key(&self) -> Option<Cow<'_, str>> {
        self.as_ref().and_then(Key::key)
    }
}

macro_rules! displayed_key {
    ($($type:ty)*) => {$(
        impl Key for $type {
            fn key(&self) -> Option<Cow<'_, str>> {
                Some(Cow::Owned(self.to_string()))
            }
        }
    )*};
}

displayed_key!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize bool char uuid::Uuid);

#[cfg(test)]
mod tests;
