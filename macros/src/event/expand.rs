//! Quotes the type with its derives, and `impl Event`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{DeriveInput, Path, ext::IdentExt as _, parse_quote, spanned::Spanned as _};

use super::{
    Kind,
    ast::{FieldMarks, Options},
    check, debug,
};
use crate::{name, paths};

pub(crate) fn expand(kind: Kind, input: &DeriveInput, options: &Options, marks: &[FieldMarks]) -> TokenStream {
    // serde and schemars take their path as a text, once each; of a path that the user gave they get another name, so that
    // a wrong one is one error.
    let renamed: Option<(TokenStream, Path)> = options.root.get().map(|root| {
        let alias = format_ident!("__rabbitry_of_{}", input.ident.unraw());
        let import = quote! {
            #[doc(hidden)]
            #[allow(unused_imports)]
            use #root as #alias;
        };
        (import, parse_quote!(#alias))
    });
    let (outer_import, root) = renamed.unzip();
    let private = match root.as_ref().and_then(|root| root.get_ident()) {
        Some(alias) => format!("{alias}::__private"),
        None => "::rabbitry::__private".to_owned(),
    };
    let (serde, schemars) = (format!("{private}::serde"), format!("{private}::schemars"));
    let path = paths::root_or_default(root.as_ref());
    let inner_import = paths::import(root.as_ref());
    let debug = debug::expand(input, marks);
    let event = (kind == Kind::Event).then(|| event(input, options, marks));
    let cfg = debug::cfgs(&input.attrs);
    // Before the type: of a field that lacks all that its type's derives need, the compiler first tells what is told here, which
    // names `#[payload]`.
    quote! {
        #outer_import

        #(#cfg)*
        #[allow(deprecated, unused_qualifications)]
        const _: () = {
            #inner_import
            #debug
            #event
        };

        #[derive(
            #path::__private::serde::Serialize,
            #path::__private::serde::Deserialize,
            #path::__private::schemars::JsonSchema
        )]
        #[serde(crate = #serde)]
        #[schemars(crate = #schemars)]
        #input
    }
}

fn event(input: &DeriveInput, options: &Options, marks: &[FieldMarks]) -> TokenStream {
    let (type_name, name) = (&input.ident, event_name(input, options));
    let version = options.version.get().map(|version| quote!(const VERSION: u32 = #version;));
    let exchange = options.exchange.get().map(|exchange| {
        quote!(const EXCHANGE: ::core::option::Option<&'static str> = ::core::option::Option::Some(#exchange);)
    });
    let key = check::fields(&input.data).zip(marks).find(|(_, mark)| mark.key.is_some()).map(|(field, _)| {
        let (ident, key_type, cfg) = (&field.ident, &field.ty, debug::cfgs(&field.attrs));
        // The whole call is at the type, so that a type that is no key is an error there.
        let (rabbitry, this) = (paths::alias_at(key_type.span()), quote!(self));
        let call = quote_spanned!(key_type.span()=> <#key_type as #rabbitry::Key>::key(&#this.#ident));
        quote! {
            #(#cfg)*
            fn key(&self) -> ::core::option::Option<::std::borrow::Cow<'_, str>> {
                #call
            }
        }
    });
    // At the type's name: notes of the compiler show where the types are that are events.
    let at = type_name.span();
    let rabbitry = paths::alias_at(at);
    let items = quote! {
        const NAME: &'static str = #name;
        #version
        #exchange
        #key
    };
    quote_spanned! {at=>
        #[automatically_derived]
        impl #rabbitry::Event for #type_name {
            #items
        }
    }
}

/// An `impl Event` for a type with mistakes, so that each place that uses it is not one more error.
pub(crate) fn stub(rabbitry: &TokenStream, input: &DeriveInput, options: &Options) -> TokenStream {
    let (type_name, name) = (&input.ident, event_name(input, options));
    if !input.generics.params.is_empty() {
        return TokenStream::new();
    }
    quote! {
        impl #rabbitry::Event for #type_name {
            const NAME: &'static str = #name;
        }
    }
}

fn event_name(input: &DeriveInput, options: &Options) -> String {
    options.name.as_ref().map_or_else(|| name::of_type(&input.ident.unraw().to_string()), syn::LitStr::value)
}
