//! Reads an enum of events and judges its shape; whether its types are events is the compiler's to say.

use syn::{Data, DeriveInput, Fields, Ident, Path, Type};

use crate::{
    ctxt::Ctxt,
    keys,
    parse::{self, Argument, Arguments, Once},
};

/// An enum whose variants each hold one event.
pub(crate) struct Set<'a> {
    pub(crate) input: &'a DeriveInput,
    pub(crate) members: Vec<Member<'a>>,
    pub(crate) root: Once<Path>,
}

pub(crate) struct Member<'a> {
    pub(crate) variant: &'a Ident,
    pub(crate) event: &'a Type,
}

impl<'a> Set<'a> {
    pub(crate) fn read(input: &'a DeriveInput, ctxt: &mut Ctxt) -> Self {
        let mut set = Self { input, members: Vec::new(), root: Once::default() };
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("event_set")) {
            match attribute.parse_args_with(Arguments::parse_terminated) {
                Ok(arguments) => arguments.iter().for_each(|argument| set.take(argument, ctxt)),
                Err(error) => ctxt.add(error),
            }
        }
        let (what, at) = match &input.data {
            Data::Enum(data) => {
                set.members = data.variants.iter().filter_map(|variant| member(variant, ctxt)).collect();
                if data.variants.is_empty() {
                    ctxt.error(
                        &input.ident,
                        "a set of no events: add a variant that holds one, `Created(OrderCreated)`",
                    );
                }
                if !input.generics.params.is_empty() {
                    ctxt.error(
                        &input.generics,
                        "a set's events are known by name, so it cannot be generic: write the events out",
                    );
                }
                return set;
            }
            Data::Struct(data) => ("a struct", data.struct_token.span),
            Data::Union(data) => ("a union", data.union_token.span),
        };
        let cure = "a struct becomes an event with `#[event(\"its_name\")]`, which is a set of one";
        ctxt.error_at(at, format!("an `EventSet` is an enum of events, this is {what}: {cure}"));
        set
    }

    fn take(&mut self, argument: &Argument, ctxt: &mut Ctxt) {
        match argument {
            Argument::Value(value) => ctxt.error(value, "write `#[event_set(crate = some::path)]`"),
            Argument::Option(entry) if entry.name() == keys::CRATE => {
                self.root.set(entry, ctxt, |ctxt| entry.path(ctxt));
            }
            Argument::Option(entry) => parse::unknown(entry, "`#[event_set]`", keys::OF_PAYLOAD, ctxt),
        }
    }
}

fn member<'a>(variant: &'a syn::Variant, ctxt: &mut Ctxt) -> Option<Member<'a>> {
    let form = format!("each variant of an `EventSet` holds one event: `{}(TheEvent)`", variant.ident);
    match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            return fields.unnamed.first().map(|field| Member { variant: &variant.ident, event: &field.ty });
        }
        Fields::Unnamed(fields) => ctxt.error(fields, form),
        Fields::Named(fields) => ctxt.error(fields, form),
        Fields::Unit => ctxt.error(variant, form),
    }
    None
}
