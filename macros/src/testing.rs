//! What the unit tests share: from source text to the errors of a macro, and where they point.

use std::str::FromStr as _;

use proc_macro2::{Span, TokenStream, TokenTree};

pub(crate) fn tokens(source: &str) -> TokenStream {
    TokenStream::from_str(source).unwrap()
}

/// Each case and below it what it was told, one mistake a line, or that it was fine.
pub(crate) fn told(cases: impl Iterator<Item = (String, TokenStream)>) -> String {
    let mut all = String::new();
    for (case, written) in cases {
        let errors = errors(&written);
        all += &format!("{case}\n{}", if errors.is_empty() { "    fine\n" } else { &errors });
    }
    all
}

/// The `compile_error!`s in what a macro wrote, one a line, each with the source that it points at.
fn errors(written: &TokenStream) -> String {
    let mut lines = String::new();
    let all: Vec<TokenTree> = written.clone().into_iter().collect();
    for (i, token) in all.iter().enumerate() {
        match token {
            TokenTree::Ident(ident) if ident == "compile_error" => {
                let TokenTree::Group(message) = &all[i + 2] else { panic!("compile_error without a message") };
                let text: syn::LitStr = syn::parse2(message.stream()).unwrap();
                lines += &format!("    {} @ {}\n", text.value(), source(ident.span(), message.span()));
            }
            TokenTree::Group(group) => lines += &errors(&group.stream()),
            _ => {}
        }
    }
    lines
}

fn source(from: Span, to: Span) -> String {
    let all = from.join(to).and_then(|span| span.source_text());
    all.filter(|text| !text.is_empty()).unwrap_or_else(|| "the attribute".to_owned())
}
