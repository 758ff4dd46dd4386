//! `#[event]` and `#[payload]`.

mod ast;
mod check;
mod debug;
mod expand;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use crate::{ctxt::Ctxt, fallback};

/// Which of the two attributes it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    Payload,
}

impl Kind {
    /// What the attribute is called in messages.
    fn attribute(self) -> &'static str {
        match self {
            Self::Event => "#[event]",
            Self::Payload => "#[payload]",
        }
    }
}

pub(crate) fn expand(kind: Kind, arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut ctxt = Ctxt::new();
    let options = ast::Options::read(kind, arguments, &mut ctxt);
    let Ok(mut input) = syn::parse2::<DeriveInput>(item.clone()) else {
        check::not_a_type(kind, item.clone(), &mut ctxt);
        let errors = ctxt.into_tokens();
        return quote!(#item #errors);
    };
    let fields = ast::FieldMarks::take(&mut input.data, &mut ctxt);
    check::check(kind, &input, &options, &fields, &mut ctxt);
    if ctxt.is_clean() {
        expand::expand(kind, &input, &options, &fields)
    } else {
        let stub = fallback::of_type(&input, options.root.get(), |root| {
            (kind == Kind::Event).then(|| expand::stub(root, &input, &options))
        });
        let errors = ctxt.into_tokens();
        quote!(#stub #errors)
    }
}
