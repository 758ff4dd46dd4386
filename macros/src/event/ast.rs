//! Reads the attribute's arguments and the marks on fields.

use proc_macro2::TokenStream;
use syn::{Attribute, Data, Fields, LitStr, Meta, Path, parse::Parser as _};

use super::Kind;
use crate::{
    ctxt::Ctxt,
    keys, name,
    parse::{self, Argument, Arguments, Once},
};

/// The arguments of the attribute.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Once<u32>,
    pub(crate) exchange: Once<LitStr>,
    pub(crate) root: Once<Path>,
}

impl Options {
    pub(crate) fn read(kind: Kind, arguments: TokenStream, ctxt: &mut Ctxt) -> Self {
        let mut options = Self::default();
        match Arguments::parse_terminated.parse2(arguments) {
            Ok(arguments) => arguments.iter().for_each(|argument| options.take(kind, argument, ctxt)),
            Err(error) => ctxt.add(error),
        }
        options
    }

    fn take(&mut self, kind: Kind, argument: &Argument, ctxt: &mut Ctxt) {
        let entry = match argument {
            Argument::Option(entry) => entry,
            Argument::Value(value) => {
                if kind == Kind::Payload {
                    ctxt.error(value, "`#[payload]` has no name: only events have one");
                } else if self.name.is_some() {
                    ctxt.error(value, "an event has one name: keep one");
                } else if let Some(name) = parse::literal_text(value) {
                    if let Err(rule) = name::check(&name.value()) {
                        ctxt.error(&name, format!("event name `{}` {rule}", name.value()));
                    }
                    self.name = Some(name);
                } else {
                    ctxt.error(value, "an event's name is a string literal: `#[event(\"order_created\")]`");
                }
                return;
            }
        };
        match (kind, &*entry.name()) {
            (_, keys::CRATE) => self.root.set(entry, ctxt, |ctxt| entry.path(ctxt)),
            (Kind::Event, keys::VERSION) => self.version.set(entry, ctxt, |ctxt| entry.number(1..=u32::MAX, ctxt)),
            (Kind::Event, keys::EXCHANGE) => {
                self.exchange.set(entry, ctxt, |ctxt| entry.checked(name::check_foreign, ctxt));
            }
            (Kind::Event, keys::NAME) => {
                ctxt.error(&entry.key, "the name comes first, without a key: `#[event(\"order_created\")]`");
            }
            (Kind::Event, _) => parse::unknown(entry, "`#[event]`", keys::OF_EVENT, ctxt),
            (Kind::Payload, _) => parse::unknown(entry, "`#[payload]`", keys::OF_PAYLOAD, ctxt),
        }
    }
}

/// What `#[key]` and `#[sensitive]` say of a field.
#[derive(Default)]
pub(crate) struct FieldMarks {
    pub(crate) key: Option<Attribute>,
    pub(crate) sensitive: Option<Attribute>,
}

impl FieldMarks {
    /// The marks of all fields, in their order; they are taken off the fields, for the compiler does not know them.
    pub(crate) fn take(data: &mut Data, ctxt: &mut Ctxt) -> Vec<Self> {
        let fields: Vec<&mut Fields> = match data {
            Data::Struct(data) => vec![&mut data.fields],
            Data::Enum(data) => data.variants.iter_mut().map(|variant| &mut variant.fields).collect(),
            Data::Union(_) => Vec::new(),
        };
        let mut marks = Vec::new();
        for field in fields.into_iter().flat_map(|fields| fields.iter_mut()) {
            let mut mark = Self::default();
            field.attrs.retain(|attribute| !mark.takes(attribute, ctxt));
            marks.push(mark);
        }
        marks
    }

    fn takes(&mut self, attribute: &Attribute, ctxt: &mut Ctxt) -> bool {
        let Some(name) = attribute.path().get_ident().map(ToString::to_string) else { return false };
        let mark = match &*name {
            "key" => &mut self.key,
            "sensitive" => &mut self.sensitive,
            _ => {
                let Some(meant) = misspelt(&name) else { return false };
                ctxt.error(attribute, format!("unknown attribute `{name}`: did you mean `#[{meant}]`?"));
                return true;
            }
        };
        if !matches!(attribute.meta, Meta::Path(_)) {
            ctxt.error(attribute, format!("write `#[{name}]` alone: it has no arguments"));
        }
        if mark.is_some() {
            ctxt.error(attribute, format!("`#[{name}]` is given twice: keep one"));
        }
        *mark = Some(attribute.clone());
        true
    }
}

/// What a field's attribute was probably meant to be; other attributes of that spelling are not known to exist.
fn misspelt(name: &str) -> Option<&'static str> {
    match &*name.to_lowercase() {
        "keys" | "key" | "event_key" | "id_key" => Some("key"),
        "sensitive" | "sensible" | "sensitiv" | "senstive" | "sensetive" | "secret" | "masked" => Some("sensitive"),
        _ => None,
    }
}
