//! Quotes `impl EventSet`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;

use super::ast::{Member, Set};
use crate::paths;

/// All that is said of the events' types is said within one constant: the compiler tells of a type that is no event once
/// for each body that it appears in.
pub(crate) fn expand(set: &Set<'_>) -> TokenStream {
    let (rabbitry, import) = (paths::alias(), paths::import(set.root.get()));
    let name = &set.input.ident;
    let variants: Vec<_> = set.members.iter().map(|member| member.variant).collect();
    let types: Vec<_> = set.members.iter().map(|member| member.event).collect();
    let distinct = set.members.iter().enumerate().skip(1).map(|(i, Member { event, .. })| {
        let rabbitry = paths::alias_at(event.span());
        quote_spanned!(event.span()=> #rabbitry::handler::check::distinct(__EVENTS, #i);)
    });
    // The bounds are at the enum's name: it is shown where one of them is not met.
    let bound = {
        let rabbitry = paths::alias_at(name.span());
        quote_spanned!(name.span()=> #rabbitry::Event)
    };
    let items = quote! {
        const EVENTS: #rabbitry::Events = #rabbitry::Events::Of(__EVENTS);

        fn decode(payload: #rabbitry::Payload<'_>) -> Result<Self, #rabbitry::DecodeError> {
            (__TABLE.decode)(payload)
        }

        fn event_type(&self) -> #rabbitry::EventType {
            (__TABLE.event_type)(self)
        }

        fn key(&self) -> Option<Cow<'_, str>> {
            (__TABLE.key)(self)
        }

        fn encode(&self, out: &mut Vec<u8>) -> Result<(), #rabbitry::EncodeError> {
            (__TABLE.encode)(self, out)
        }
    };
    let implementation = {
        let rabbitry = paths::alias_at(name.span());
        quote_spanned! {name.span()=>
            #[automatically_derived]
            impl #rabbitry::EventSet for #name {
                #items
            }
        }
    };
    quote! {
        #[allow(deprecated, unused_qualifications)]
        const _: () = {
            #import
            use ::std::{borrow::Cow, option::Option, result::Result, vec::Vec};

            struct __Table {
                events: &'static [#rabbitry::EventType],
                decode: fn(#rabbitry::Payload<'_>) -> Result<#name, #rabbitry::DecodeError>,
                event_type: fn(&#name) -> #rabbitry::EventType,
                key: fn(&#name) -> Option<Cow<'_, str>>,
                encode: fn(&#name, &mut Vec<u8>) -> Result<(), #rabbitry::EncodeError>,
            }

            const fn __name<E: #bound>() -> &'static str {
                E::NAME
            }

            const fn __event_type<E: #bound>() -> #rabbitry::EventType {
                #rabbitry::EventType::of::<E>()
            }

            fn __decode<E: #bound>(payload: #rabbitry::Payload<'_>) -> Result<E, #rabbitry::DecodeError> {
                payload.decode()
            }

            fn __key<E: #bound>(event: &E) -> Option<Cow<'_, str>> {
                #rabbitry::Event::key(event)
            }

            fn __encode<E: #bound>(
                event: &E,
                out: &mut Vec<u8>,
            ) -> Result<(), #rabbitry::EncodeError> {
                #rabbitry::EventSet::encode(event, out)
            }

            const __TABLE: __Table = __Table {
                events: &[#(__event_type::<#types>()),*],
                decode: |payload| {
                    #(if payload.name() == __name::<#types>() {
                        return __decode::<#types>(payload).map(#name::#variants);
                    })*
                    Result::Err(payload.unexpected::<#name>())
                },
                event_type: |set| match set {
                    #(#name::#variants(_) => __event_type::<#types>(),)*
                },
                key: |set| match set {
                    #(#name::#variants(event) => __key::<#types>(event),)*
                },
                encode: |set, out| match set {
                    #(#name::#variants(event) => __encode::<#types>(event, out),)*
                },
            };
            const __EVENTS: &[#rabbitry::EventType] = __TABLE.events;
            const _: () = {
                #(#distinct)*
            };

            #implementation
        };
    }
}

/// An `impl EventSet` for an enum with mistakes, so that each place that uses it is not one more error.
pub(crate) fn stub(set: &Set<'_>) -> TokenStream {
    if !set.input.generics.params.is_empty() {
        return TokenStream::new();
    }
    let (rabbitry, import) = (paths::alias(), paths::import(set.root.get()));
    let name = &set.input.ident;
    quote! {
        #[allow(warnings)]
        const _: () = {
            #import
            impl #rabbitry::EventSet for #name {
                const EVENTS: #rabbitry::Events = #rabbitry::Events::Any;
                fn decode(_: #rabbitry::Payload<'_>) -> ::core::result::Result<Self, #rabbitry::DecodeError> {
                    ::core::unreachable!()
                }
                fn event_type(&self) -> #rabbitry::EventType {
                    ::core::unreachable!()
                }
                fn key(&self) -> ::core::option::Option<::std::borrow::Cow<'_, str>> {
                    ::core::unreachable!()
                }
                fn encode(&self, _: &mut ::std::vec::Vec<u8>) -> ::core::result::Result<(), #rabbitry::EncodeError> {
                    ::core::unreachable!()
                }
            }
        };
    }
}
