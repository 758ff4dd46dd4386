//! What a broker's refusal of a declaration tells of what is there.

use serde_json::Value;

/// The first field that differs, from RabbitMQ's text: `inequivalent arg 'x-delivery-limit' for queue 'a.b' in vhost '/':
/// received the value '20' of type 'signedint' but current is none`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unequal {
    /// `x-delivery-limit`, `durable`, `type`.
    pub(crate) field: String,
    /// What is there; [`Value::Null`] where the text was cut off, as all are at 255 bytes.
    pub(crate) theirs: Option<Value>,
}

/// Reads RabbitMQ's text, wherever in `text` it stands; `None` if it tells of no difference.
pub(crate) fn unequal(text: &str) -> Option<Unequal> {
    let (_, rest) = text.split_once("inequivalent arg '")?;
    let (field, rest) = rest.split_once('\'')?;
    // Names are not escaped, so what stands last counts.
    let theirs = match rest.rsplit_once(" but current is ") {
        Some((_, current)) => value(current),
        None => Some(Value::Null),
    };
    Some(Unequal { field: field.to_owned(), theirs })
}

/// A value as RabbitMQ prints it: `none`, `'3'`, or `the value '3' of type 'signedint'`; something may follow.
fn value(printed: &str) -> Option<Value> {
    if printed.starts_with("none") {
        return None;
    }
    let quoted = printed.strip_prefix("the value ").unwrap_or(printed);
    let Some(text) =
        quoted.strip_prefix('\'').and_then(|rest| rest.split('\'').next().filter(|it| it.len() < rest.len()))
    else {
        return Some(Value::Null);
    };
    let typed = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<bool>().map(Value::from));
    Some(typed.unwrap_or_else(|_| text.into()))
}
