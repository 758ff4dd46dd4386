//! `#[derive(EventSet)]`.

mod ast;
mod expand;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::ctxt::Ctxt;

pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let mut ctxt = Ctxt::new();
    let input = match syn::parse2::<DeriveInput>(item) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let set = ast::Set::read(&input, &mut ctxt);
    if ctxt.is_clean() {
        expand::expand(&set)
    } else {
        let stub = expand::stub(&set);
        let errors = ctxt.into_tokens();
        quote::quote!(#stub #errors)
    }
}
