//! `#[subscribe]`.

mod ast;
mod check;
mod expand;
mod options;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Item, ItemFn};

use crate::ctxt::Ctxt;

pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut ctxt = Ctxt::new();
    let options = options::Options::read(arguments, &mut ctxt);
    let mut function = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            not_a_function(item.clone(), error, &mut ctxt);
            let errors = ctxt.into_tokens();
            return quote!(#item #errors);
        }
    };
    given_once(&mut function, &mut ctxt);
    let handler = ast::Handler::read(&function, &mut ctxt);
    check::check(&options, &handler, &mut ctxt);
    if ctxt.is_clean() {
        let beside = expand::expand(&options, &handler);
        // A handler takes its arguments by value, whether or not it uses them up.
        let by_value = (!handler.is_async()).then(|| quote!(#[allow(clippy::needless_pass_by_value)]));
        quote!(#by_value #function #beside)
    } else {
        let stub = expand::stub(&options, &handler);
        let errors = ctxt.into_tokens();
        quote!(#function #stub #errors)
    }
}

/// Another `#[subscribe]` below this one would write everything a second time, so it is taken away.
fn given_once(function: &mut ItemFn, ctxt: &mut Ctxt) {
    let is_second =
        |attribute: &Attribute| attribute.path().segments.last().is_some_and(|last| last.ident == "subscribe");
    for second in function.attrs.extract_if(.., |attribute| is_second(attribute)) {
        ctxt.error(
            second,
            "`#[subscribe]` is given twice: name all events in one, `#[subscribe(\"created\", \"cancelled\")]`, or write two functions",
        );
    }
}

fn not_a_function(item: TokenStream, error: syn::Error, ctxt: &mut Ctxt) {
    let (what, at) = match syn::parse2::<Item>(item) {
        Ok(Item::Struct(item)) => ("a struct", item.struct_token.span),
        Ok(Item::Enum(item)) => ("an enum", item.enum_token.span),
        Ok(Item::Impl(item)) => ("an impl", item.impl_token.span),
        Ok(Item::Mod(item)) => ("a module", item.mod_token.span),
        Ok(Item::Trait(item)) => ("a trait", item.trait_token.span),
        _ => {
            ctxt.add(error);
            return;
        }
    };
    let cure = "handlers are free functions: `async fn name(event: TheEvent) { … }`";
    ctxt.error_at(at, format!("`#[subscribe]` is for a function, this is {what}: {cure}"));
}
