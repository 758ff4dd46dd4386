//! A type with mistakes, with the traits that it would have had: what uses it compiles, so one mistake is one error.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Path, Token, parse_quote, punctuated::Punctuated};

use crate::paths;

/// The type, less the attributes that only its derives know, and stubs that never run.
pub(crate) fn of_type(
    input: &DeriveInput,
    root: Option<&Path>,
    event: impl FnOnce(&TokenStream) -> Option<TokenStream>,
) -> TokenStream {
    let mut item = input.clone();
    item.attrs.retain(|it| !it.path().is_ident("event") && !it.path().is_ident("payload"));
    let derived: Vec<String> = item.attrs.iter().flat_map(derives).collect();
    let has = |name: &str| derived.iter().any(|derived| derived == name);
    let strip = |attributes: &mut Vec<Attribute>| {
        attributes.retain(|it| {
            let serde = it.path().is_ident("serde") && !has("Serialize") && !has("Deserialize");
            let schemars = it.path().is_ident("schemars") && !has("JsonSchema");
            !serde && !schemars
        });
    };
    strip(&mut item.attrs);
    match &mut item.data {
        Data::Struct(data) => data.fields.iter_mut().for_each(|field| strip(&mut field.attrs)),
        Data::Enum(data) => data.variants.iter_mut().for_each(|variant| {
            strip(&mut variant.attrs);
            variant.fields.iter_mut().for_each(|field| strip(&mut field.attrs));
        }),
        Data::Union(_) => {}
    }
    let name = &item.ident;
    let (impl_generics, type_generics, where_clause) = item.generics.split_for_impl();
    let rabbitry = quote!(__rabbitry);
    let import = paths::import(root);
    let serialize = (!has("Serialize")).then(|| {
        quote! {
            impl #impl_generics __serde::Serialize for #name #type_generics #where_clause {
                fn serialize<__S: __serde::Serializer>(
                    &self,
                    _: __S,
                ) -> ::core::result::Result<__S::Ok, __S::Error> {
                    ::core::unreachable!()
                }
            }
        }
    });
    let mut with_lifetime = item.generics.clone();
    with_lifetime.params.insert(0, parse_quote!('__de));
    let (with_lifetime, _, _) = with_lifetime.split_for_impl();
    let deserialize = (!has("Deserialize")).then(|| {
        quote! {
            impl #with_lifetime __serde::Deserialize<'__de> for #name #type_generics #where_clause {
                fn deserialize<__D: __serde::Deserializer<'__de>>(_: __D) -> ::core::result::Result<Self, __D::Error> {
                    ::core::unreachable!()
                }
            }
        }
    });
    let schema = (!has("JsonSchema")).then(|| {
        quote! {
            impl #impl_generics __schemars::JsonSchema for #name #type_generics #where_clause {
                fn schema_name() -> ::std::borrow::Cow<'static, str> {
                    ::core::unreachable!()
                }
                fn json_schema(_: &mut __schemars::SchemaGenerator) -> __schemars::Schema {
                    ::core::unreachable!()
                }
            }
        }
    });
    let debug = (!has("Debug")).then(|| {
        quote! {
            impl #impl_generics ::core::fmt::Debug for #name #type_generics #where_clause {
                fn fmt(&self, _: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    ::core::unreachable!()
                }
            }
        }
    });
    let event = event(&rabbitry);
    quote! {
        #item

        #[allow(warnings)]
        const _: () = {
            #import
            use __rabbitry::__private::{schemars as __schemars, serde as __serde};
            #serialize
            #deserialize
            #schema
            #debug
            #event
        };
    }
}

/// The last words of what a `#[derive]` names.
fn derives(attribute: &Attribute) -> Vec<String> {
    if !attribute.path().is_ident("derive") {
        return Vec::new();
    }
    let paths = attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated).unwrap_or_default();
    paths.iter().filter_map(|path| path.segments.last()).map(|segment| segment.ident.to_string()).collect()
}
