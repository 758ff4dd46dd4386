//! The macros of rabbitry. They are documented where users find them: in the crate `rabbitry`, which re-exports them.

#![allow(missing_docs, reason = "rustdoc would add what is said here to what is said there")]

mod ctxt;
mod event;
mod event_set;
mod fallback;
mod keys;
mod name;
mod parse;
mod paths;
mod subscribe;
mod subscriptions;
#[cfg(test)]
mod testing;

use proc_macro::TokenStream;

#[proc_macro_attribute]
pub fn event(arguments: TokenStream, item: TokenStream) -> TokenStream {
    shown("event", event::expand(event::Kind::Event, arguments.into(), &item.into()))
}

#[proc_macro_attribute]
pub fn payload(arguments: TokenStream, item: TokenStream) -> TokenStream {
    shown("payload", event::expand(event::Kind::Payload, arguments.into(), &item.into()))
}

#[proc_macro_derive(EventSet, attributes(event_set))]
pub fn event_set(item: TokenStream) -> TokenStream {
    shown("EventSet", event_set::expand(item.into()))
}

#[proc_macro_attribute]
pub fn subscribe(arguments: TokenStream, item: TokenStream) -> TokenStream {
    shown("subscribe", subscribe::expand(arguments.into(), &item.into()))
}

#[proc_macro]
pub fn subscriptions(list: TokenStream) -> TokenStream {
    shown("subscriptions", subscriptions::expand(list.into()))
}

/// Prints what a macro wrote to standard error, if the environment asks for it.
fn shown(macro_name: &str, tokens: proc_macro2::TokenStream) -> TokenStream {
    if std::env::var_os("RABBITRY_MACROS_DEBUG").is_some_and(|value| !value.is_empty()) {
        eprintln!("// {macro_name}\n{tokens}\n");
    }
    tokens.into()
}
