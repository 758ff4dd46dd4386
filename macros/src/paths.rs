//! How generated code names rabbitry.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

/// The name that generated code calls rabbitry by, inside a block of its own.
pub(crate) const ALIAS: &str = "__rabbitry";

/// `__rabbitry`, where [`import`] is in scope.
pub(crate) fn alias() -> Ident {
    Ident::new(ALIAS, Span::call_site())
}

/// The same, at a place where an error of the expression that begins with it is to be shown.
pub(crate) fn alias_at(at: Span) -> Ident {
    Ident::new(ALIAS, at)
}

/// Brings rabbitry into scope as `__rabbitry`.
///
/// A path that was given by the user is written once only: a wrong one is one error.
pub(crate) fn import(root: Option<&syn::Path>) -> TokenStream {
    let (root, alias) = (root_or_default(root), alias());
    quote! {
        #[allow(unused_imports)]
        use #root as #alias;
    }
}

pub(crate) fn root_or_default(root: Option<&syn::Path>) -> TokenStream {
    root.map_or_else(|| quote!(::rabbitry), |root| quote!(#root))
}

/// The place of `at` for errors, while lints see it as code of the macro and leave it alone.
pub(crate) fn unlinted(at: Span) -> Span {
    Span::call_site().located_at(at)
}
