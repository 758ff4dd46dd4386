//! A message, read as far as everybody needs it.

use std::{borrow::Cow, sync::OnceLock};

use serde_json::value::RawValue;

use super::{Message, bare, default, metadata_of};
use crate::event::{DecodeError, Metadata, Payload, SaysVersion};

/// A message, read: its event's name and its data, still as JSON. What travels with it is read when somebody first asks: most
/// handlers do not.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) data: &'a [u8],
    message: &'a Message,
    said: Said<'a>,
    metadata: OnceLock<Metadata>,
}

/// Where a message says what travels with its event.
#[derive(Debug)]
pub(super) enum Said<'a> {
    InBody(Option<&'a RawValue>),
    InHeaders,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(message: &'a Message, name: Cow<'a, str>, data: &'a [u8], said: Said<'a>) -> Self {
        Self { name, data, message, said, metadata: OnceLock::new() }
    }

    pub(crate) fn payload(&self) -> Payload<'_> {
        Payload::said(&self.name, self, self.data)
    }

    /// What travels with it.
    ///
    /// # Errors
    /// Its envelope has something else there.
    pub(crate) fn metadata(&self) -> Result<&Metadata, DecodeError> {
        if let Some(metadata) = self.metadata.get() {
            return Ok(metadata);
        }
        let said = match self.said {
            Said::InBody(None) => Metadata::default(),
            Said::InBody(Some(raw)) => default::metadata(raw)?,
            Said::InHeaders => bare::metadata(self.message),
        };
        Ok(self.metadata.get_or_init(|| metadata_of(self.message, said)))
    }

    /// What is known of what travels with it: of an envelope with something else there, what the properties say.
    pub(crate) fn known(&self) -> &Metadata {
        match self.metadata() {
            Ok(metadata) => metadata,
            Err(_) => self.metadata.get_or_init(|| metadata_of(self.message, Metadata::default())),
        }
    }
}

impl SaysVersion for Incoming<'_> {
    fn version(&self) -> u32 {
        self.known().version.unwrap_or(1)
    }
}
