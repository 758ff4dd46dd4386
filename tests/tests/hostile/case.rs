//! A hostile message, its name, and what becomes of it.

use rabbitry_tests::{Fields, Raw, Text};

/// What a message is, to whom can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    /// An order: there is no harm in it, and it is handled.
    Order,
    /// Some event, or what can be taken for one, but no order.
    Event,
    /// Nothing that can be read.
    Nothing,
}

/// A message.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) key: Vec<u8>,
    pub(super) fields: Fields,
    body: Box<dyn Fn(usize) -> Vec<u8> + Send + Sync>,
    pub(super) is: Is,
    /// What is true of its dead letter beside.
    pub(super) check: Box<dyn Fn(&Raw) -> bool + Send + Sync>,
}

impl Case {
    /// An order in all but these properties, so that it can be read.
    pub(super) fn fields(name: impl Into<String>, fields: Fields) -> Self {
        Self {
            name: name.into(),
            key: b"order".to_vec(),
            fields,
            body: Box::new(order),
            is: Is::Order,
            check: Box::new(|_| true),
        }
    }

    /// A body, without properties.
    pub(super) fn body_of(is: Is, name: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self::body_with(is, name, move |_| body.clone())
    }

    /// A body that has the number of the case in it.
    pub(super) fn body_with(
        is: Is,
        name: impl Into<String>,
        body: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self { is, body: Box::new(body), ..Self::fields(name, Fields::default()) }
    }

    pub(super) fn with(mut self, fields: Fields) -> Self {
        self.fields = fields;
        self
    }

    pub(super) fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = key.into();
        self
    }

    pub(super) fn is(mut self, is: Is) -> Self {
        self.is = is;
        self
    }

    /// Says what is true of its dead letter.
    pub(super) fn check(mut self, check: impl Fn(&Raw) -> bool + Send + Sync + 'static) -> Self {
        self.check = Box::new(check);
        self
    }

    /// The body of the case that has this number.
    pub(super) fn body(&self, number: usize) -> Vec<u8> {
        (self.body)(number)
    }

    /// The properties, with the number in the one that nobody uses.
    pub(super) fn numbered(&self, number: usize) -> Fields {
        let mark = if self.fields.has(Text::ClusterId) {
            [b"\xff", number.to_string().as_bytes()].concat()
        } else {
            number.to_string().into()
        };
        self.fields.clone().text(Text::ClusterId, mark)
    }
}

/// An order with this number.
pub(super) fn order(number: usize) -> Vec<u8> {
    format!(r#"{{"order_id":{number}}}"#).into()
}

/// The number that a dead letter has from its case.
pub(super) fn number_of(dead: &Raw) -> usize {
    let mark = dead.properties.cluster_id().as_ref().map(ToString::to_string).unwrap_or_default();
    mark.trim_start_matches('?').parse().unwrap_or_else(|_| panic!("`{mark}` is no number of a case"))
}

/// Bytes that are not UTF-8, each in its own way.
pub(super) const NO_TEXT: [(&str, &[u8]); 8] = [
    ("a byte that is never there", b"\xff"),
    ("a byte that begins nothing", b"a\x80b"),
    ("a character cut off", b"caf\xc3"),
    ("a character that another cuts off", b"\xe2\x82a"),
    ("a long character cut off", b"\xf0\x9f\x98"),
    ("half a surrogate pair", b"\xed\xa0\x80"),
    ("an overlong slash", b"\xc0\xaf"),
    ("255 bytes of nothing", &[0xfe; 255]),
];
