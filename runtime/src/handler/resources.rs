//! What a service gives its handlers.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
};

/// The values that a service was given with [`Service::state`](crate::Service::state), by their types, and what rabbitry
/// itself lends to handlers.
#[derive(Default)]
pub struct Resources {
    values: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl Resources {
    /// Adds a value; one of the same type that was there is given back.
    pub(crate) fn insert<T: Any + Send + Sync>(&mut self, value: T) -> Option<T> {
        let old = self.values.insert(TypeId::of::<T>(), Box::new(value))?;
        old.downcast().ok().map(|old| *old)
    }

    /// The value of this type.
    ///
    /// # Errors
    /// There is none. The error becomes one of [`Service::build`](crate::Service::build), with the handler's name.
    pub fn get<T: Any + Clone>(&self) -> Result<T, MissingResource> {
        let value = self.values.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref::<T>());
        value.cloned().ok_or(MissingResource { type_name: type_name::<T>() })
    }
}

impl std::fmt::Debug for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resources").field("values", &self.values.len()).finish()
    }
}

/// A value that an argument of a handler needs and the service was not given.
#[derive(Clone, Debug, thiserror::Error)]
#[error("it wants a `{type_name}`, which the service was not given: add `.state(…)` with one")]
pub struct MissingResource {
    /// The type's path.
    pub type_name: &'static str,
}
