//! Quotes what stands beside the function: its type for lists, the checks, and the registration.

use std::time::Duration;

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::{Attribute, Ident, ReturnType, spanned::Spanned as _};

use super::{
    ast::Handler,
    options::{Options, Retry},
};
use crate::paths;

pub(crate) fn expand(options: &Options, handler: &Handler<'_>) -> TokenStream {
    let (rabbitry, import) = (paths::alias(), paths::import(options.root.get()));
    let (marker, marker_name) = marker(handler);
    let checks = checks(options, handler);
    let (generic, turbofish) = generic(options, handler);
    let cfg: Vec<&Attribute> = cfgs(handler).collect();
    let (function, function_name) = (handler.ident(), handler.name());
    // The call is at the function's name: there the compiler says what its future lacks.
    let call = quote_spanned!(function.span()=> __subscription::<#turbofish>(#function));
    quote! {
        #marker

        #(#cfg)*
        #[allow(deprecated, unused_qualifications)]
        const _: () = {
            #import

            // One constant states each type once, so that a wrong one is one error.
            const __SUBSCRIPTION: fn() -> #rabbitry::Subscription = {
                #checks
                #generic
                || #call
            };

            #[automatically_derived]
            impl #rabbitry::HandlerDef for #marker_name {
                fn subscription() -> #rabbitry::Subscription {
                    __SUBSCRIPTION()
                }
            }

            #rabbitry::__private::inventory::submit! {
                #rabbitry::Registration {
                    package: ::core::env!("CARGO_PKG_NAME"),
                    binary: ::core::option_env!("CARGO_BIN_NAME"),
                    module: ::core::module_path!(),
                    function: #function_name,
                    // Not the constant: one with a mistake would be told of here again.
                    subscription: <#marker_name as #rabbitry::HandlerDef>::subscription,
                }
            }
        };
    }
}

/// The type for lists, for a function with mistakes: what lists it compiles, so one mistake is one error.
pub(crate) fn stub(options: &Options, handler: &Handler<'_>) -> TokenStream {
    if handler.signature().receiver().is_some() {
        return TokenStream::new();
    }
    let (rabbitry, import) = (paths::alias(), paths::import(options.root.get()));
    let (marker, marker_name) = marker(handler);
    quote! {
        #marker

        #[allow(warnings)]
        const _: () = {
            #import
            impl #rabbitry::HandlerDef for #marker_name {
                fn subscription() -> #rabbitry::Subscription {
                    ::core::unreachable!()
                }
            }
        };
    }
}

/// A type, and an alias of the function's name: it lives beside the function, in the namespace of types, and `use` brings in
/// both. All but the alias goes by the type's own name, so that a module of the function's name is one error.
fn marker(handler: &Handler<'_>) -> (TokenStream, Ident) {
    let at = paths::unlinted(handler.span());
    let visibility = unlinted(handler.function.vis.to_token_stream());
    let mut alias = handler.ident().clone();
    alias.set_span(at);
    let name = Ident::new(&format!("__rabbitry_{}", handler.name()), at);
    let cfg: Vec<&Attribute> = cfgs(handler).collect();
    let marker = quote_spanned! {at=>
        #(#cfg)*
        #[doc(hidden)]
        #[derive(::core::fmt::Debug)]
        #visibility struct #name {}

        #(#cfg)*
        #[doc(hidden)]
        #visibility type #alias = #name;
    };
    (marker, name)
}

/// What the names and the types of the arguments say of each other.
fn checks(options: &Options, handler: &Handler<'_>) -> TokenStream {
    let check = |function: &str, at: Span| {
        let (rabbitry, function) = (paths::alias_at(at), Ident::new(function, at));
        quote_spanned!(at=> #rabbitry::handler::check::#function)
    };
    let takes = handler.arguments.iter().map(|argument| {
        let check = check("argument", argument.span());
        quote_spanned!(argument.span()=> #check::<#argument>())
    });
    let (at, take_one) = (handler.span(), check("event", handler.span()));
    let event = quote_spanned!(at=> #take_one(&[#(#takes),*]));
    // Variables are known by their spans too, which differ where a macro of the user's wrote the literals.
    let events = Ident::new("__events", Span::call_site());
    let names = &options.names;
    let each = names.iter().map(|name| {
        let check = check("name", name.span());
        quote_spanned!(name.span()=> #check(#name, #events);)
    });
    let last = names.last().map_or_else(Span::call_site, syn::LitStr::span);
    let take_all = check("all", last);
    let all = quote_spanned!(last=> #take_all(&[#(#names),*], #events));
    quote! {
        let #events = #event;
        #(#each)*
        #all;
    }
}

/// The function that makes the subscription, for all types that can be a handler's, and which types those are here.
fn generic(options: &Options, handler: &Handler<'_>) -> (TokenStream, TokenStream) {
    // Bounds are at the function's name: it is shown where one of them is not met.
    let at = handler.span();
    let rabbitry = paths::alias_at(at);
    let parameters: Vec<Ident> = (0..handler.arguments.len()).map(|i| format_ident!("__A{i}")).collect();
    let arguments = &handler.arguments;
    let builder = builder(options, handler);
    let outcome = if options.broadcast.given().is_some() {
        quote_spanned!(at=> #rabbitry::handler::check::Silent)
    } else {
        quote_spanned!(at=> #rabbitry::handler::Outcome)
    };
    let result = result(options, handler);
    if options.blocking.given().is_some() {
        let function = quote_spanned! {at=>
            fn __subscription<#(#parameters: #rabbitry::handler::Argument,)* __O: #outcome>(
                __function: impl ::core::ops::Fn(#(#parameters),*) -> __O
                    + ::core::clone::Clone
                    + ::core::marker::Send
                    + ::core::marker::Sync
                    + 'static,
            ) -> #rabbitry::Subscription {
                #builder.blocking_handler(__function)
            }
        };
        return (function, quote!(#(#arguments,)* #result));
    }
    let future = if handler.is_async() {
        quote_spanned!(at=> ::core::future::Future)
    } else {
        quote_spanned!(at=> #rabbitry::handler::check::IsFuture)
    };
    let function = quote_spanned! {at=>
        fn __subscription<
            #(#parameters: #rabbitry::handler::Argument,)*
            __O: #outcome,
            __F: #future<Output = __O> + ::core::marker::Send + 'static,
        >(
            __function: impl ::core::ops::Fn(#(#parameters),*) -> __F
                + ::core::marker::Send
                + ::core::marker::Sync
                + 'static,
        ) -> #rabbitry::Subscription {
            #builder.handler(__function)
        }
    };
    (function, quote_spanned!(handler.span()=> #(#arguments,)* #result, _))
}

/// The type of the outcome, for the turbofish.
fn result(options: &Options, handler: &Handler<'_>) -> TokenStream {
    let is_plain_future = !handler.is_async() && options.blocking.given().is_none();
    match (&handler.signature().output, handler.outcome()) {
        (ReturnType::Default, _) => quote_spanned!(handler.span()=> ()),
        // The future of a function that names its type, such as a `BoxFuture`.
        (ReturnType::Type(_, returned), Some(outcome))
            if is_plain_future && !matches!(**returned, syn::Type::ImplTrait(_)) =>
        {
            quote_spanned!(outcome.span()=> _)
        }
        (_, Some(outcome)) => outcome.to_token_stream(),
        (_, None) => quote!(_),
    }
}

/// `Subscription::to(…)` with all options.
fn builder(options: &Options, handler: &Handler<'_>) -> TokenStream {
    let rabbitry = paths::alias();
    let mut names = options.names.iter();
    let first = names.next();
    let mut builder = quote!(#rabbitry::Subscription::to(#first) #(.and(#names))*);
    let function = handler.name();
    builder.extend(options.name.get().map_or_else(|| quote!(.name(#function)), |name| quote!(.name(#name))));
    if let Some(retry) = options.retry.get() {
        let policy = policy(retry);
        builder.extend(quote!(.retry(#policy)));
    }
    if let Some(concurrency) = options.concurrency.get() {
        builder.extend(quote!(.concurrency(#concurrency)));
    }
    if let Some(prefetch) = options.prefetch.get() {
        builder.extend(quote!(.prefetch(#prefetch)));
    }
    if let Some(timeout) = options.timeout.get() {
        let timeout = duration(*timeout);
        builder.extend(quote!(.timeout(#timeout)));
    }
    if let Some(is_final) = options.reject_if.get() {
        builder.extend(quote_spanned!(is_final.span()=> .reject_if(#is_final)));
    }
    if let Some(choice) = options.undecodable.get().map(|choice| format_ident!("{choice}")) {
        builder.extend(quote!(.undecodable(#rabbitry::Undecodable::#choice)));
    }
    if let Some(queue) = options.queue.get() {
        builder.extend(quote!(.queue(#queue)));
    }
    if let Some(choice) = options.queue_type.get().map(|choice| format_ident!("{choice}")) {
        builder.extend(quote!(.queue_type(#rabbitry::QueueType::#choice)));
    }
    if let Some(exchange) = options.exchange.get() {
        builder.extend(quote!(.exchange(#exchange)));
    }
    if let Some(choice) = options.format.get().map(|choice| format_ident!("{choice}")) {
        builder.extend(quote!(.format(#rabbitry::Format::#choice)));
    }
    if options.broadcast.given().is_some() {
        builder.extend(quote!(.broadcast()));
    }
    builder
}

fn policy(retry: &Retry) -> TokenStream {
    let rabbitry = paths::alias();
    let mut policy = quote!(#rabbitry::RetryPolicy::default());
    if let Some(attempts) = retry.attempts.get() {
        policy.extend(quote!(.attempts(#attempts)));
    }
    if let Some(immediate) = retry.immediate.get() {
        policy.extend(quote!(.immediate(#immediate)));
    }
    if let Some(first) = retry.first.get().copied().map(duration) {
        policy.extend(quote!(.first(#first)));
    }
    if let Some(factor) = retry.factor.get() {
        policy.extend(quote!(.factor(#factor)));
    }
    if let Some(max) = retry.max.get().copied().map(duration) {
        policy.extend(quote!(.max(#max)));
    }
    if let Some(jitter) = retry.jitter.get() {
        policy.extend(quote!(.jitter(#jitter)));
    }
    policy
}

fn duration(duration: Duration) -> TokenStream {
    let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
    quote!(::core::time::Duration::new(#seconds, #nanoseconds))
}

fn cfgs<'a>(handler: &Handler<'a>) -> impl Iterator<Item = &'a Attribute> + use<'a> {
    handler.function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg"))
}

/// The same tokens at the same places, as code of the macro: lints have told of the function's own already.
fn unlinted(tokens: TokenStream) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Group(group) => {
                let mut same = Group::new(group.delimiter(), unlinted(group.stream()));
                same.set_span(paths::unlinted(group.span()));
                TokenTree::Group(same)
            }
            mut token => {
                token.set_span(paths::unlinted(token.span()));
                token
            }
        })
        .collect()
}
