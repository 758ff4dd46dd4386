//! Judges options and function together: one function a rule. What needs types is the compiler's to say.

use syn::{GenericParam, ReturnType, Type, spanned::Spanned as _};

use super::{ast::Handler, options::Options};
use crate::{ctxt::Ctxt, keys, name};

/// The most arguments that the runtime has a `Handler` for.
const MOST_ARGUMENTS: usize = 8;

pub(crate) fn check(options: &Options, handler: &Handler<'_>, ctxt: &mut Ctxt) {
    broadcast_has_its_own_queue(options, ctxt);
    runs_one_way(options, handler, ctxt);
    has_a_name(options, handler, ctxt);
    is_not_generic(handler, ctxt);
    is_safe(handler, ctxt);
    arguments_are_owned(handler, ctxt);
    arguments_are_few(handler, ctxt);
}

fn broadcast_has_its_own_queue(options: &Options, ctxt: &mut Ctxt) {
    if options.broadcast.given().is_none() {
        return;
    }
    let conflicts = [(keys::QUEUE, options.queue.given()), (keys::QUEUE_TYPE, options.queue_type.given())];
    for (key, at) in conflicts {
        if let Some(at) = at {
            ctxt.error_at(
                at,
                format!("`{key}` and `broadcast` exclude each other: with `broadcast` each instance has a queue of its own, named by the broker"),
            );
        }
    }
}

fn runs_one_way(options: &Options, handler: &Handler<'_>, ctxt: &mut Ctxt) {
    match options.blocking.given() {
        Some(at) if handler.is_async() => ctxt.error_at(
            at,
            "`blocking` and `async` exclude each other: a plain `fn` with `blocking` may block, an `async fn` may not",
        ),
        None if !handler.is_async() && matches!(handler.signature().output, ReturnType::Default) => ctxt.error(
            handler.signature().fn_token,
            "a handler is an `async fn`; a plain `fn`, which may block, has the option `blocking`",
        ),
        _ => {}
    }
}

fn has_a_name(options: &Options, handler: &Handler<'_>, ctxt: &mut Ctxt) {
    if options.name.given().is_none() {
        let name = handler.name();
        if let Err(rule) = name::check_handler(&name) {
            let cure = "give the handler another: `name = \"…\"`";
            ctxt.error(handler.ident(), format!("the queue is named by the function, but `{name}` {rule}; {cure}"));
        }
    }
}

fn is_not_generic(handler: &Handler<'_>, ctxt: &mut Ctxt) {
    for parameter in &handler.signature().generics.params {
        match parameter {
            GenericParam::Lifetime(lifetime) => {
                ctxt.error(lifetime, "a handler's arguments are owned, so it has no lifetimes: take the event by value");
            }
            GenericParam::Type(_) | GenericParam::Const(_) => ctxt.error(
                parameter,
                "a handler's queue is for one function, so it cannot be generic: write one function for each type, or take an `AnyEvent`",
            ),
        }
    }
}

fn is_safe(handler: &Handler<'_>, ctxt: &mut Ctxt) {
    if let Some(unsafety) = &handler.signature().unsafety {
        ctxt.error(unsafety, "a handler is safe to call with any event: take `unsafe` away and use it inside");
    }
}

fn arguments_are_owned(handler: &Handler<'_>, ctxt: &mut Ctxt) {
    for argument in &handler.arguments {
        match argument {
            Type::Reference(_) => {
                ctxt.error(argument, "a handler owns its arguments: take it by value, without the `&`");
            }
            Type::ImplTrait(_) => {
                ctxt.error(argument, "a handler's arguments are made by their types: name the type");
            }
            _ => {}
        }
    }
}

fn arguments_are_few(handler: &Handler<'_>, ctxt: &mut Ctxt) {
    if handler.arguments.is_empty() && handler.signature().receiver().is_none() {
        ctxt.error_at(
            handler.span(),
            "a handler takes the event by value, this one takes none: add an argument of the event's type, or `AnyEvent`",
        );
    }
    if let Some(ninth) = handler.arguments.get(MOST_ARGUMENTS) {
        ctxt.error_at(
            ninth.span(),
            format!("a handler has at most {MOST_ARGUMENTS} arguments: put some of them together in one `State`"),
        );
    }
}
