//! The grammar that the attributes share: literals, `key`, `key = value` and `key(…)`.
//! What a key means is said elsewhere.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use proc_macro2::{Ident, Span};
use syn::{
    Expr, ExprLit, Lit, LitStr, Path, Token, ext::IdentExt as _, parenthesized, parse::Parse, parse::ParseStream,
    punctuated::Punctuated, token::Paren,
};

use crate::{ctxt::Ctxt, keys};

/// The arguments of an attribute.
pub(crate) type Arguments = Punctuated<Argument, Token![,]>;

/// One argument of an attribute.
pub(crate) enum Argument {
    /// A value alone: a name.
    Value(Box<Expr>),
    /// A key, with what belongs to it.
    Option(Entry),
}

/// A key, with what belongs to it.
pub(crate) struct Entry {
    pub(crate) key: Ident,
    pub(crate) value: Value,
}

pub(crate) enum Value {
    /// `key`
    None,
    /// `key = value`
    Is(Box<Expr>),
    /// `key(…)`
    List(Arguments),
}

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let is_key = input.peek(Ident::peek_any)
            && (input.peek2(Token![=]) || input.peek2(Paren) || input.peek2(Token![,]) || is_last(input));
        if !is_key || input.peek(syn::LitBool) {
            return input.parse().map(|value| Self::Value(Box::new(value)));
        }
        let key = input.call(Ident::parse_any)?;
        let value = if input.peek(Paren) {
            let list;
            parenthesized!(list in input);
            Value::List(Arguments::parse_terminated(&list)?)
        } else if input.parse::<Option<Token![=]>>()?.is_some() {
            Value::Is(Box::new(parse_value(input)?))
        } else {
            Value::None
        };
        Ok(Self::Option(Entry { key, value }))
    }
}

/// Whether one token is left.
fn is_last(input: ParseStream<'_>) -> bool {
    let fork = input.fork();
    fork.call(Ident::parse_any).is_ok() && fork.is_empty()
}

/// `crate` alone is a path of a type but not of an expression.
fn parse_value(input: ParseStream<'_>) -> syn::Result<Expr> {
    if input.peek(Token![crate]) && !input.peek2(Token![::]) {
        let path = input.call(Path::parse_mod_style)?;
        return Ok(Expr::Path(syn::ExprPath { attrs: Vec::new(), qself: None, path }));
    }
    input.parse()
}

impl Entry {
    /// What the entry is called in messages.
    pub(crate) fn name(&self) -> String {
        self.key.unraw().to_string()
    }

    /// The value, or an error that says how it is written.
    fn value(&self, form: &str, ctxt: &mut Ctxt) -> Option<&Expr> {
        match &self.value {
            Value::Is(value) => Some(&**value),
            Value::None | Value::List(_) => {
                ctxt.error(&self.key, format!("write `{}`", form.replace("{}", &self.name())));
                None
            }
        }
    }

    /// `key`, without a value.
    pub(crate) fn flag(&self, ctxt: &mut Ctxt) -> Option<()> {
        if matches!(self.value, Value::None) {
            return Some(());
        }
        ctxt.error(&self.key, format!("write `{}` alone: it has no value", self.name()));
        None
    }

    /// `key = "text"`
    pub(crate) fn text(&self, ctxt: &mut Ctxt) -> Option<LitStr> {
        let value = self.value("{} = \"…\"", ctxt)?;
        let text = literal_text(value);
        if text.is_none() {
            ctxt.error(value, format!("`{}` is a string literal: `{} = \"…\"`", self.name(), self.name()));
        }
        text
    }

    /// `key = "text"`, a text that obeys a rule.
    pub(crate) fn checked(&self, check: fn(&str) -> Result<(), String>, ctxt: &mut Ctxt) -> Option<LitStr> {
        let text = self.text(ctxt)?;
        if let Err(rule) = check(&text.value()) {
            ctxt.error(&text, format!("{} `{}` {rule}", self.name(), text.value()));
        }
        Some(text)
    }

    /// `key = 3`
    pub(crate) fn number<N: FromStr + PartialOrd + Display>(
        &self,
        of: RangeInclusive<N>,
        ctxt: &mut Ctxt,
    ) -> Option<N> {
        let value = self.value("{} = 3", ctxt)?;
        let number = match value {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_digits().parse::<N>().ok(),
            _ => None,
        };
        let number = number.filter(|number| of.contains(number));
        if number.is_none() {
            let (from, to) = of.into_inner();
            ctxt.error(value, format!("`{}` is a whole number from {from} to {to}", self.name()));
        }
        number
    }

    /// `key = 1.5`
    pub(crate) fn fraction(&self, of: RangeInclusive<f64>, range: &str, ctxt: &mut Ctxt) -> Option<f64> {
        let value = self.value("{} = 1.5", ctxt)?;
        let number = match value {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse::<f64>().ok(),
            Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => number.base10_parse::<f64>().ok(),
            _ => None,
        };
        let number = number.filter(|number| of.contains(number));
        if number.is_none() {
            ctxt.error(value, format!("`{}` is a number {range}", self.name()));
        }
        number
    }

    /// `key = "1s"`
    pub(crate) fn duration(&self, of: RangeInclusive<Duration>, range: &str, ctxt: &mut Ctxt) -> Option<Duration> {
        let form = "write a number and a unit: \"500ms\", \"1s\", \"5m\", \"1h\", \"30d\"";
        let value = self.value("{} = \"1s\"", ctxt)?;
        let Some(text) = literal_text(value) else {
            ctxt.error(value, format!("`{}` is a length of time: {form}", self.name()));
            return None;
        };
        match humantime::parse_duration(&text.value()) {
            Ok(duration) if of.contains(&duration) => Some(duration),
            Ok(_) => {
                ctxt.error(text, format!("`{}` is a length of time from {range}", self.name()));
                None
            }
            Err(_) => {
                ctxt.error(&text, format!("`{}` is not a length of time: {form}", text.value()));
                None
            }
        }
    }

    /// `key = word` or `key = "word"`, one of these words.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)], ctxt: &mut Ctxt) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let form = format!("{{}} = {}", words.first().copied().unwrap_or_default());
        let value = self.value(&form, ctxt)?;
        let word = match value {
            Expr::Path(path) => path.path.get_ident().map(Ident::to_string),
            _ => literal_text(value).map(|text| text.value()),
        };
        let choice = word.as_deref().and_then(|word| choices.iter().find(|(known, _)| *known == word));
        if choice.is_none() {
            let nearest = word.as_deref().and_then(|word| keys::nearest(word, &words));
            let hint = nearest.map_or_else(String::new, |word| format!(": did you mean `{word}`?"));
            ctxt.error(value, format!("`{}` is one of {}{hint}", self.name(), keys::listed(&words)));
        }
        choice.map(|(_, choice)| *choice)
    }

    /// `key = some::path` or `key = "some::path"`
    pub(crate) fn path(&self, ctxt: &mut Ctxt) -> Option<Path> {
        let value = self.value("{} = some::path", ctxt)?;
        let path = match value {
            Expr::Path(path) if path.qself.is_none() => Some(path.path.clone()),
            _ => literal_text(value).and_then(|text| text.parse_with(Path::parse_mod_style).ok()),
        };
        if path.is_none() {
            ctxt.error(value, format!("`{}` is a path: `{} = some::path`", self.name(), self.name()));
        }
        path
    }

    /// `key = some::function` or `key = |error: &E| …`
    pub(crate) fn function(&self, ctxt: &mut Ctxt) -> Option<Expr> {
        let value = self.value("{} = SomeError::is_final", ctxt)?;
        if matches!(value, Expr::Path(_) | Expr::Closure(_)) {
            return Some(value.clone());
        }
        ctxt.error(value, format!("`{}` is the path of a function, or a closure", self.name()));
        None
    }

    /// `key(…)`, its entries; a mistake is told and left out.
    pub(crate) fn list(&self, form: &str, ctxt: &mut Ctxt) -> Vec<&Entry> {
        let Value::List(list) = &self.value else {
            ctxt.error(&self.key, format!("write `{form}`"));
            return Vec::new();
        };
        let mut entries = Vec::new();
        for argument in list {
            match argument {
                Argument::Option(entry) => entries.push(entry),
                Argument::Value(value) => ctxt.error(value, format!("write `{form}`")),
            }
        }
        entries
    }
}

/// The text of a string literal.
pub(crate) fn literal_text(value: &Expr) -> Option<LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.clone()),
        Expr::Group(group) => literal_text(&group.expr),
        _ => None,
    }
}

/// A key that the attribute does not know.
pub(crate) fn unknown(entry: &Entry, of: &str, known: &[&str], ctxt: &mut Ctxt) {
    let name = entry.name();
    if matches!(entry.value, Value::None) && keys::nearest(&name, known).is_none() && known.len() > 1 {
        let all = keys::listed(known);
        ctxt.error(
            &entry.key,
            format!("`{name}` is no option of {of}: a name is a string literal, `\"{name}\"`, the options are {all}"),
        );
        return;
    }
    let hint = keys::nearest(&name, known).map_or_else(String::new, |nearest| format!(": did you mean `{nearest}`?"));
    let listed = keys::listed(known);
    let all =
        if known.len() == 1 { format!("the only option of {of} is {listed}") } else { format!("{of} has {listed}") };
    let separator = if hint.is_empty() { ":" } else { "" };
    ctxt.error(&entry.key, format!("unknown option `{name}`{hint}{separator} {all}"));
}

/// An option that can be given once.
pub(crate) struct Once<T> {
    given: Option<Span>,
    value: Option<T>,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self { given: None, value: None }
    }
}

impl<T> Once<T> {
    /// Takes what `read` makes of the entry; a second entry is a mistake.
    pub(crate) fn set(&mut self, entry: &Entry, ctxt: &mut Ctxt, read: impl FnOnce(&mut Ctxt) -> Option<T>) {
        if self.given.is_some() {
            ctxt.error(&entry.key, format!("`{}` is given twice: keep one", entry.name()));
            return;
        }
        self.given = Some(entry.key.span());
        self.value = read(ctxt);
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// The place of the key, if it was given.
    pub(crate) fn given(&self) -> Option<Span> {
        self.given
    }
}
