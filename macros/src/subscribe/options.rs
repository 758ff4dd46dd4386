//! Reads the attribute's names and options, and judges each alone.

use std::{ops::RangeInclusive, time::Duration};

use proc_macro2::TokenStream;
use syn::{Expr, LitStr, Path, parse::Parser as _};

use crate::{
    ctxt::Ctxt,
    keys, name,
    parse::{self, Argument, Arguments, Entry, Once},
};

/// The longest delay that the ladder's 28 levels hold.
const LONGEST: Duration = Duration::from_secs((1 << 28) - 1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// What `#[subscribe(…)]` says.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) names: Vec<LitStr>,
    pub(crate) retry: Once<Retry>,
    pub(crate) concurrency: Once<u16>,
    pub(crate) prefetch: Once<u16>,
    pub(crate) timeout: Once<Duration>,
    pub(crate) reject_if: Once<Expr>,
    pub(crate) undecodable: Once<&'static str>,
    pub(crate) name: Once<LitStr>,
    pub(crate) queue: Once<LitStr>,
    pub(crate) queue_type: Once<&'static str>,
    pub(crate) exchange: Once<LitStr>,
    pub(crate) format: Once<&'static str>,
    pub(crate) broadcast: Once<()>,
    pub(crate) blocking: Once<()>,
    pub(crate) root: Once<Path>,
}

/// What `retry(…)` says.
#[derive(Default)]
pub(crate) struct Retry {
    pub(crate) attempts: Once<u32>,
    pub(crate) immediate: Once<u32>,
    pub(crate) first: Once<Duration>,
    pub(crate) factor: Once<f64>,
    pub(crate) max: Once<Duration>,
    pub(crate) jitter: Once<f64>,
}

impl Options {
    pub(crate) fn read(arguments: TokenStream, ctxt: &mut Ctxt) -> Self {
        let mut options = Self::default();
        let arguments = match Arguments::parse_terminated.parse2(arguments) {
            Ok(arguments) => arguments,
            Err(error) => {
                ctxt.add(error);
                return options;
            }
        };
        let mut unreadable = false;
        for argument in &arguments {
            match argument {
                Argument::Option(entry) => options.take(entry, ctxt),
                Argument::Value(value) => match parse::literal_text(value) {
                    Some(name) => options.take_name(name, ctxt),
                    None => {
                        unreadable = true;
                        ctxt.error(value, "an event's name is a string literal: `#[subscribe(\"order_created\")]`");
                    }
                },
            }
        }
        if options.names.is_empty() && !unreadable && ctxt.is_clean() {
            ctxt.error_at(
                proc_macro2::Span::call_site(),
                "which events? Name them: `#[subscribe(\"order_created\")]`, or `#[subscribe(\"order.*\")]` for an `AnyEvent`",
            );
        }
        options
    }

    fn take_name(&mut self, name: LitStr, ctxt: &mut Ctxt) {
        if let Err(rule) = name::check_pattern(&name.value()) {
            ctxt.error(&name, format!("event name `{}` {rule}", name.value()));
        } else if self.names.iter().any(|known| known.value() == name.value()) {
            ctxt.error(&name, format!("`{}` is subscribed to twice: keep one", name.value()));
        }
        self.names.push(name);
    }

    fn take(&mut self, entry: &Entry, ctxt: &mut Ctxt) {
        match &*entry.name() {
            keys::RETRY => self.retry.set(entry, ctxt, |ctxt| Some(Retry::read(entry, ctxt))),
            keys::CONCURRENCY => self.concurrency.set(entry, ctxt, |ctxt| entry.number(1..=u16::MAX, ctxt)),
            keys::PREFETCH => self.prefetch.set(entry, ctxt, |ctxt| entry.number(1..=u16::MAX, ctxt)),
            keys::TIMEOUT => {
                self.timeout.set(entry, ctxt, |ctxt| entry.duration(MILLISECOND..=LONGEST, "1ms to 8.5 years", ctxt));
            }
            keys::REJECT_IF => self.reject_if.set(entry, ctxt, |ctxt| entry.function(ctxt)),
            keys::UNDECODABLE => self
                .undecodable
                .set(entry, ctxt, |ctxt| entry.choice(&[("dead_letter", "DeadLetter"), ("retry", "Retry")], ctxt)),
            keys::NAME => self.name.set(entry, ctxt, |ctxt| entry.checked(name::check_handler, ctxt)),
            keys::QUEUE => self.queue.set(entry, ctxt, |ctxt| entry.checked(name::check_foreign, ctxt)),
            keys::QUEUE_TYPE => self.queue_type.set(entry, ctxt, |ctxt| {
                entry.choice(&[("quorum", "Quorum"), ("classic", "Classic"), ("existing", "Existing")], ctxt)
            }),
            keys::EXCHANGE => self.exchange.set(entry, ctxt, |ctxt| entry.checked(name::check_foreign, ctxt)),
            keys::FORMAT => {
                self.format.set(entry, ctxt, |ctxt| entry.choice(&[("default", "Default"), ("bare", "Bare")], ctxt));
            }
            keys::BROADCAST => self.broadcast.set(entry, ctxt, |ctxt| entry.flag(ctxt)),
            keys::BLOCKING => self.blocking.set(entry, ctxt, |ctxt| entry.flag(ctxt)),
            keys::CRATE => self.root.set(entry, ctxt, |ctxt| entry.path(ctxt)),
            _ => parse::unknown(entry, "`#[subscribe]`", keys::OF_SUBSCRIBE, ctxt),
        }
    }
}

impl Retry {
    fn read(entry: &Entry, ctxt: &mut Ctxt) -> Self {
        let mut retry = Self::default();
        for entry in entry.list("retry(attempts = 6, first = \"1s\")", ctxt) {
            retry.take(entry, ctxt);
        }
        retry.max_holds_first(ctxt);
        retry
    }

    fn take(&mut self, entry: &Entry, ctxt: &mut Ctxt) {
        const DELAY: RangeInclusive<Duration> = Duration::ZERO..=LONGEST;
        match &*entry.name() {
            keys::ATTEMPTS => self.attempts.set(entry, ctxt, |ctxt| entry.number(1..=u32::MAX, ctxt)),
            keys::IMMEDIATE => self.immediate.set(entry, ctxt, |ctxt| entry.number(0..=u32::MAX, ctxt)),
            keys::FIRST => self.first.set(entry, ctxt, |ctxt| entry.duration(DELAY, "0s to 8.5 years", ctxt)),
            keys::FACTOR => self.factor.set(entry, ctxt, |ctxt| {
                entry.fraction(1.0..=f64::MAX, "from 1: delays cannot become shorter, and 1 keeps them equal", ctxt)
            }),
            keys::MAX => self.max.set(entry, ctxt, |ctxt| entry.duration(DELAY, "0s to 8.5 years", ctxt)),
            keys::JITTER => self.jitter.set(entry, ctxt, |ctxt| {
                entry.fraction(0.0..=1.0, "from 0 to 1: the share by which a delay is stretched at most", ctxt)
            }),
            _ => parse::unknown(entry, "`retry(…)`", keys::OF_RETRY, ctxt),
        }
    }

    fn max_holds_first(&self, ctxt: &mut Ctxt) {
        /// `RetryPolicy`'s defaults.
        const FIRST: Duration = Duration::from_secs(1);
        const MAX: Duration = Duration::from_secs(3600);
        match (self.first.get(), self.max.get(), self.first.given(), self.max.given()) {
            (Some(first), Some(max), _, Some(at)) if max < first => {
                ctxt.error_at(at, "`max` is less than `first`: no delay is longer than `max`");
            }
            (Some(first), None, Some(at), None) if *first > MAX => {
                ctxt.error_at(at, "`first` is more than `max`, which is 1h where it is not given: give `max` too");
            }
            (None, Some(max), None, Some(at)) if *max < FIRST => {
                ctxt.error_at(at, "`max` is less than `first`, which is 1s where it is not given: give `first` too");
            }
            _ => {}
        }
    }
}
