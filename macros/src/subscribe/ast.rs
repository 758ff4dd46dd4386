//! Reads the function's signature.

use proc_macro2::Span;
use syn::{FnArg, Ident, ItemFn, ReturnType, Signature, Type, TypeImplTrait, TypeParamBound, ext::IdentExt as _};

use crate::ctxt::Ctxt;

/// The function that handles.
pub(crate) struct Handler<'a> {
    pub(crate) function: &'a ItemFn,
    pub(crate) arguments: Vec<&'a Type>,
}

impl<'a> Handler<'a> {
    pub(crate) fn read(function: &'a ItemFn, ctxt: &mut Ctxt) -> Self {
        let mut arguments = Vec::new();
        for argument in &function.sig.inputs {
            match argument {
                FnArg::Typed(argument) => {
                    if let Some(cfg) = argument.attrs.iter().find(|attribute| attribute.path().is_ident("cfg")) {
                        ctxt.error(cfg, "an argument of a handler cannot depend on `cfg`: write two functions");
                    }
                    arguments.push(&*argument.ty);
                }
                FnArg::Receiver(receiver) => ctxt.error(
                    receiver,
                    "a handler is a free function without `self`: what it needs of the service comes as `State<T>`",
                ),
            }
        }
        Self { function, arguments }
    }

    pub(crate) fn signature(&self) -> &'a Signature {
        &self.function.sig
    }

    pub(crate) fn ident(&self) -> &'a Ident {
        &self.function.sig.ident
    }

    /// The function's name as it is heard: without `r#`.
    pub(crate) fn name(&self) -> String {
        self.ident().unraw().to_string()
    }

    pub(crate) fn span(&self) -> Span {
        self.ident().span()
    }

    pub(crate) fn is_async(&self) -> bool {
        self.function.sig.asyncness.is_some()
    }

    /// The type that a run ends with, where it is written; `None` where it is up to the compiler to find.
    pub(crate) fn outcome(&self) -> Option<&'a Type> {
        let ReturnType::Type(_, returned) = &self.function.sig.output else { return None };
        match &**returned {
            Type::ImplTrait(future) if !self.is_async() => output(future),
            Type::ImplTrait(_) => None,
            returned => Some(returned),
        }
    }
}

fn output(future: &TypeImplTrait) -> Option<&Type> {
    future.bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let syn::PathArguments::AngleBracketed(arguments) = &bound.path.segments.last()?.arguments else { return None };
        arguments.args.iter().find_map(|argument| match argument {
            syn::GenericArgument::AssocType(output) if output.ident == "Output" => Some(&output.ty),
            _ => None,
        })
    })
}
