//! Judges an event or payload: one function a rule.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{
    Data, DeriveInput, Fields, GenericParam, Item, Meta, Path, Token, Type, ext::IdentExt as _, punctuated::Punctuated,
    spanned::Spanned as _,
};

use super::{
    Kind,
    ast::{FieldMarks, Options},
};
use crate::{ctxt::Ctxt, name};

pub(crate) fn check(kind: Kind, input: &DeriveInput, options: &Options, marks: &[FieldMarks], ctxt: &mut Ctxt) {
    if kind == Kind::Event {
        if !is_struct_with_names(input, ctxt) {
            return;
        }
        derived_name(input, options, ctxt);
        no_generics(input, ctxt);
        no_transparent(input, ctxt);
    }
    is_no_union(input, ctxt);
    owns_its_data(kind, input, ctxt);
    no_second_derive(kind, input, ctxt);
    no_second_attribute(kind, input, ctxt);
    key_is_one(kind, marks, ctxt);
}

/// The attribute is on something that is no type.
pub(crate) fn not_a_type(kind: Kind, item: TokenStream, ctxt: &mut Ctxt) {
    let attribute = kind.attribute();
    let (what, at) = match syn::parse2::<Item>(item) {
        Ok(Item::Fn(function)) => {
            let cure = "`#[subscribe(\"…\")]` is what makes a function a handler";
            ctxt.error(function.sig.fn_token, format!("`{attribute}` is for a struct, this is a function: {cure}"));
            return;
        }
        Ok(Item::Trait(item)) => ("a trait", item.trait_token.span()),
        Ok(Item::Mod(item)) => ("a module", item.mod_token.span()),
        Ok(Item::Impl(item)) => ("an impl", item.impl_token.span()),
        Ok(Item::Type(item)) => ("an alias", item.type_token.span()),
        Ok(item) => ("not one", item.span()),
        Err(error) => {
            ctxt.add(error);
            return;
        }
    };
    ctxt.error_at(at, format!("`{attribute}` is for a struct, this is {what}"));
}

fn is_struct_with_names(input: &DeriveInput, ctxt: &mut Ctxt) -> bool {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(_) => return true,
            Fields::Unnamed(fields) => ctxt.error(
                fields,
                "an event's fields have names, which its JSON is made of: write `{ name: Type }`",
            ),
            Fields::Unit => ctxt.error(
                &input.ident,
                format!("an event's data is a JSON object, to which fields can be added: write `struct {} {{}}`", input.ident),
            ),
        },
        Data::Enum(data) => ctxt.error(
            data.enum_token,
            "an event is a struct: for any of several events use `#[derive(EventSet)]`, for a type that events are made of `#[payload]`",
        ),
        Data::Union(data) => ctxt.error(data.union_token, "an event is a struct, and JSON knows no unions"),
    }
    false
}

/// A name made of the type's can break a rule too: `Größe`.
fn derived_name(input: &DeriveInput, options: &Options, ctxt: &mut Ctxt) {
    if options.name.is_none() {
        let name = name::of_type(&input.ident.unraw().to_string());
        if let Err(rule) = name::check(&name) {
            let cure = "give the event a name: `#[event(\"its_name\")]`";
            ctxt.error(&input.ident, format!("the name made of the type's, `{name}`, {rule}; {cure}"));
        }
    }
}

fn no_generics(input: &DeriveInput, ctxt: &mut Ctxt) {
    for parameter in &input.generics.params {
        match parameter {
            // The field that borrows is told of already, and better.
            GenericParam::Lifetime(_) if borrowed(input).next().is_some() => {}
            GenericParam::Lifetime(lifetime) => ctxt.error(
                lifetime,
                "an event owns its data, it outlives the message that it came in: `String` instead of `&str`, `Vec` instead of a slice",
            ),
            GenericParam::Type(_) | GenericParam::Const(_) => ctxt.error(
                parameter,
                "an event has one name and one schema, so it cannot be generic: write one struct for each type, or `#[payload]` for a generic part of an event",
            ),
        }
    }
}

fn no_transparent(input: &DeriveInput, ctxt: &mut Ctxt) {
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let Ok(list) = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated) else { continue };
        for meta in list.iter().filter(|meta| meta.path().is_ident("transparent")) {
            ctxt.error(
                meta,
                "an event's data is a JSON object, to which fields can be added: `transparent` is for `#[payload]`",
            );
        }
    }
}

fn is_no_union(input: &DeriveInput, ctxt: &mut Ctxt) {
    if let Data::Union(data) = &input.data {
        ctxt.error(data.union_token, "JSON knows no unions: use an enum");
    }
}

fn owns_its_data(kind: Kind, input: &DeriveInput, ctxt: &mut Ctxt) {
    let what = if kind == Kind::Event { "an event" } else { "a payload" };
    for borrowed in borrowed(input) {
        ctxt.error(
            borrowed,
            format!("{what} owns its data, it outlives the message that it came in: `String` instead of `&str`, `Vec` instead of a slice"),
        );
    }
}

fn borrowed(input: &DeriveInput) -> impl Iterator<Item = &Type> {
    fields(&input.data).map(|field| &field.ty).filter(|of_type| matches!(of_type, Type::Reference(_)))
}

pub(crate) fn fields(data: &Data) -> Box<dyn Iterator<Item = &syn::Field> + '_> {
    match data {
        Data::Struct(data) => Box::new(data.fields.iter()),
        Data::Enum(data) => Box::new(data.variants.iter().flat_map(|variant| variant.fields.iter())),
        Data::Union(_) => Box::new(std::iter::empty()),
    }
}

/// The traits that a `#[derive]` beside the attribute names.
pub(crate) fn derived(input: &DeriveInput) -> Vec<Path> {
    let derives = input.attrs.iter().filter(|attribute| attribute.path().is_ident("derive"));
    let lists = derives.filter_map(|it| it.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated).ok());
    lists.flatten().collect()
}

fn no_second_derive(kind: Kind, input: &DeriveInput, ctxt: &mut Ctxt) {
    for path in derived(input) {
        let Some(last) = path.segments.last().map(|segment| segment.ident.to_string()) else { continue };
        let more = match &*last {
            "Debug" => ", one that masks `#[sensitive]` fields",
            "Serialize" | "Deserialize" | "JsonSchema" => "",
            _ => continue,
        };
        ctxt.error(&path, format!("`{}` derives `{last}` already{more}: take it out here", kind.attribute()));
    }
}

/// Another `#[event]` or `#[payload]` below this one.
fn no_second_attribute(kind: Kind, input: &DeriveInput, ctxt: &mut Ctxt) {
    for attribute in &input.attrs {
        let name = attribute.path().segments.last().map(|segment: &syn::PathSegment| &segment.ident);
        match name.map(Ident::to_string).as_deref() {
            Some("event") if kind == Kind::Event => ctxt.error(attribute, "`#[event]` is given twice: keep one"),
            Some("payload") if kind == Kind::Payload => ctxt.error(attribute, "`#[payload]` is given twice: keep one"),
            Some("event" | "payload") => {
                ctxt.error(attribute, "`#[event]` does all that `#[payload]` does: keep one of them");
            }
            _ => {}
        }
    }
}

fn key_is_one(kind: Kind, marks: &[FieldMarks], ctxt: &mut Ctxt) {
    let mut first: Option<Span> = None;
    for mark in marks {
        let Some(key) = &mark.key else { continue };
        if kind == Kind::Payload {
            ctxt.error(key, "`#[key]` is for the fields of an event: only events are ordered by a key");
        } else if first.is_some() {
            ctxt.error(key, "an event has one `#[key]`: keep one, or make a field of the two together");
        } else if mark.sensitive.is_some() {
            ctxt.error(key, "a `#[key]` travels in headers and is shown in logs, so it cannot be `#[sensitive]`: choose another key");
        }
        first.get_or_insert(key.span());
    }
}
