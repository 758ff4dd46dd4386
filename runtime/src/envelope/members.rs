//! The members of an envelope's `metadata`, read in one pass.

use std::{borrow::Cow, fmt, ops::Deref};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;
use smol_str::{SmolStr, ToSmolStr};

use super::{headers, is_id};
use crate::event::Metadata;

/// What an envelope says of its event. A member of another type than ours is what a stranger put there, and is left out.
pub(super) struct Members(pub(super) Metadata);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Each).map(Self)
    }
}

struct Each;

impl<'de> Visitor<'de> for Each {
    type Value = Metadata;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Metadata, A::Error> {
        let mut said = Metadata::default();
        while let Some(Name(name)) = members.next_key()? {
            let mut text = || members.next_value().map(|Text(text)| text);
            match &*name {
                "id" => said.id = text()?.map(SmolStr::from).filter(is_id),
                "source" => said.source = text()?.map(SmolStr::from),
                "time" => said.time = text()?.and_then(|time| headers::parse_time(&time)),
                "version" => said.version = text()?.and_then(|version| version.parse().ok()),
                "correlationId" => {
                    let correlated = text()?;
                    // The first of all that come of one beginning has the same twice.
                    said.correlation_id = match (&said.id, correlated) {
                        (Some(id), Some(same)) if **id == *same => said.id.clone(),
                        (_, correlated) => correlated.map(SmolStr::from).filter(is_id),
                    };
                }
                "causationId" => said.causation_id = text()?.map(SmolStr::from),
                "key" => said.key = text()?.map(SmolStr::from),
                _ => _ = said.entries.insert(name.into_owned(), members.next_value()?),
            }
        }
        Ok(said)
    }
}

/// A member's name, copied only if it holds what JSON has to escape.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A text, or a number as one; `None` for all else.
struct Text<'a>(Option<Given<'a>>);

/// A text as it stands in the body, or one that had to be made.
enum Given<'a> {
    There(&'a str),
    Made(SmolStr),
}

impl Deref for Given<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::There(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl From<Given<'_>> for SmolStr {
    fn from(given: Given<'_>) -> Self {
        match given {
            Given::There(text) => Self::new(text),
            Given::Made(text) => text,
        }
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything).map(Self)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Option<Given<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Given::There(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Given::Made(text.into())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(Given::Made(number.to_smolstr())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Given::Made(number.to_smolstr())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(number).map(|number| Given::Made(number.to_smolstr())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
