//! Quotes a `Debug` that masks `#[sensitive]` fields.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Attribute, Data, DeriveInput, Fields, Ident, WherePredicate, ext::IdentExt as _, parse_quote, spanned::Spanned as _,
};

use super::ast::FieldMarks;
use crate::paths;

pub(crate) fn expand(input: &DeriveInput, marks: &[FieldMarks]) -> TokenStream {
    let name = &input.ident;
    let mut marks = marks.iter();
    let arms: Vec<TokenStream> = match &input.data {
        Data::Struct(data) => vec![arm(&quote!(Self), name, &[], &data.fields, &mut marks)],
        Data::Enum(data) => data
            .variants
            .iter()
            .map(|variant| {
                let ident = &variant.ident;
                arm(&quote!(Self::#ident), ident, &variant.attrs, &variant.fields, &mut marks)
            })
            .collect(),
        Data::Union(_) => Vec::new(),
    };
    let body = if arms.is_empty() { quote!(match *self {}) } else { quote!(match self { #(#arms)* }) };
    let mut generics = input.generics.clone();
    let bounds: Vec<WherePredicate> = generics
        .type_params()
        .map(|parameter| &parameter.ident)
        .map(|parameter| parse_quote!(#parameter: ::core::fmt::Debug))
        .collect();
    if !bounds.is_empty() {
        generics.make_where_clause().predicates.extend(bounds);
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics ::core::fmt::Debug for #name #type_generics #where_clause {
            fn fmt(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                #body
            }
        }
    }
}

fn arm<'a>(
    path: &TokenStream,
    name: &Ident,
    attributes: &[Attribute],
    fields: &Fields,
    marks: &mut impl Iterator<Item = &'a FieldMarks>,
) -> TokenStream {
    let cfg = cfgs(attributes);
    let shown = name.unraw().to_string();
    let builder = match fields {
        Fields::Named(_) => quote!(debug_struct),
        Fields::Unnamed(_) => quote!(debug_tuple),
        Fields::Unit => return quote!(#(#cfg)* #path => __f.write_str(#shown),),
    };
    let mut patterns = Vec::new();
    let mut shows = Vec::new();
    for (i, (field, mark)) in fields.iter().zip(marks).enumerate() {
        let cfg: Vec<_> = cfgs(&field.attrs).collect();
        let binding = format_ident!("__{i}");
        let label = field.ident.as_ref().map(|ident| ident.unraw().to_string());
        let label = label.map(|label| quote!(#label,));
        let member =
            field.ident.as_ref().map_or_else(|| syn::Index::from(i).to_token_stream(), ToTokens::to_token_stream);
        if mark.sensitive.is_some() {
            patterns.push(quote!(#(#cfg)* #member: _,));
            shows.push(quote!(#(#cfg)* __d.field(#label &::core::format_args!("***"));));
        } else {
            patterns.push(quote!(#(#cfg)* #member: #binding,));
            let (at, shown_type) = (field.ty.span(), &field.ty);
            let rabbitry = paths::alias_at(at);
            let shown = quote_spanned!(at=> #rabbitry::handler::check::shown::<#shown_type>(#binding));
            shows.push(quote!(#(#cfg)* __d.field(#label #shown);));
        }
    }
    quote! {
        #(#cfg)* #path { #(#patterns)* } => {
            #[allow(unused_mut)]
            let mut __d = __f.#builder(#shown);
            #(#shows)*
            __d.finish()
        }
    }
}

/// The `#[cfg]`s among them: an attribute macro sees what they will take away.
pub(crate) fn cfgs(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"))
}
