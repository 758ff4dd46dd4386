//! `subscriptions![…]` and `subscriptions!()`.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote, quote_spanned};
use syn::{
    Expr, Path, Token,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned as _,
};

use crate::{ctxt::Ctxt, paths};

/// `crate = path,` and then handlers.
struct List {
    root: Option<Path>,
    handlers: Punctuated<Expr, Token![,]>,
}

impl Parse for List {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut root = None;
        if input.peek(Token![crate]) && input.peek2(Token![=]) {
            input.parse::<Token![crate]>()?;
            input.parse::<Token![=]>()?;
            root = Some(if input.peek(syn::LitStr) {
                input.parse::<syn::LitStr>()?.parse_with(Path::parse_mod_style)?
            } else {
                input.call(Path::parse_mod_style)?
            });
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Self { root, handlers: Punctuated::parse_terminated(input)? })
    }
}

pub(crate) fn expand(tokens: TokenStream) -> TokenStream {
    let mut ctxt = Ctxt::new();
    let List { root, handlers } = match syn::parse2(tokens) {
        Ok(list) => list,
        Err(error) => return value_and_errors(None, &error.to_compile_error()),
    };
    let mut seen = HashSet::new();
    let mut paths = Vec::new();
    for handler in &handlers {
        match handler {
            Expr::Path(path) if path.qself.is_none() => {
                if seen.insert(path.to_token_stream().to_string()) {
                    paths.push(&path.path);
                } else {
                    ctxt.error(path, "the handler is listed twice: keep one");
                }
            }
            Expr::Call(call) => ctxt.error(call, "a handler is listed by its name, it is not called: take the `(…)` away"),
            other => ctxt.error(
                other,
                "a handler is listed by its path: `subscriptions![reserve_stock, billing::charge]`; what is no function goes to `Service::subscription`",
            ),
        }
    }
    if !ctxt.is_clean() {
        return value_and_errors(root.as_ref(), &ctxt.into_tokens());
    }
    let (rabbitry, import) = (paths::alias(), paths::import(root.as_ref()));
    if handlers.is_empty() {
        return quote! {{
            #import
            #rabbitry::Subscriptions::registered(
                ::core::env!("CARGO_PKG_NAME"),
                ::core::option_env!("CARGO_BIN_NAME"),
                ::core::module_path!(),
            )
        }};
    }
    let subscriptions = paths.iter().map(|path| {
        // What is no handler is an error at its path.
        quote_spanned!(path.span()=> <#path as #rabbitry::HandlerDef>::subscription())
    });
    quote! {{
        #import
        #rabbitry::Subscriptions::listed([#(#subscriptions),*])
    }}
}

/// The errors, in a value of the type that is expected.
fn value_and_errors(root: Option<&Path>, errors: &TokenStream) -> TokenStream {
    let (rabbitry, import) = (paths::alias(), paths::import(root));
    quote! {{
        #import
        #errors
        #rabbitry::Subscriptions::listed([])
    }}
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::testing;

    #[track_caller]
    fn check(lists: &[&str], expected: &Expect) {
        let told = lists.iter().map(|list| ((*list).to_owned(), expand(testing::tokens(list))));
        expected.assert_eq(&testing::told(told));
    }

    #[test]
    fn handlers_are_listed_by_their_paths() {
        check(
            &[
                "",
                "a, self::b, crate::c::d, super::r#type,",
                "crate = my::rabbitry",
                "crate = \"my::rabbitry\", crate::a, b",
            ],
            &expect![[r#"

                    fine
                a, self::b, crate::c::d, super::r#type,
                    fine
                crate = my::rabbitry
                    fine
                crate = "my::rabbitry", crate::a, b
                    fine
            "#]],
        );
    }

    #[test]
    fn all_mistakes_are_told_where_they_are() {
        check(
            &["a, b, a, b::a, b::a", "a(), |event: A| async {}", "a b", "crate = 3"],
            &expect![[r#"
            a, b, a, b::a, b::a
                the handler is listed twice: keep one @ a
                the handler is listed twice: keep one @ b::a
            a(), |event: A| async {}
                a handler is listed by its name, it is not called: take the `(…)` away @ a()
                a handler is listed by its path: `subscriptions![reserve_stock, billing::charge]`; what is no function goes to `Service::subscription` @ |event: A| async {}
            a b
                expected `,` @ b
            crate = 3
                expected identifier @ 3
        "#]],
        );
    }
}
