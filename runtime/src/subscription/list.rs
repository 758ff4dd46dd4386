//! Lists of handlers: written out, or collected by the linker.

use super::Subscription;

/// What `#[subscribe]` adds to a function: its subscription. It is implemented for a type of the function's name, which the
/// macro writes beside it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not a handler",
    note = "list functions with `#[rabbitry::subscribe(\"…\")]`; a subscription made by hand goes to `Service::subscription`"
)]
pub trait HandlerDef {
    /// The function's subscription.
    fn subscription() -> Subscription;
}

/// Handlers for a service, made by [`subscriptions!`](crate::subscriptions).
#[derive(Debug, Default)]
pub struct Subscriptions {
    pub(crate) list: Vec<Subscription>,
    /// The module below which none was found.
    pub(crate) none_below: Option<&'static str>,
}

impl Subscriptions {
    /// These handlers: what `subscriptions![a, b]` stands for.
    #[must_use]
    pub fn listed(list: impl IntoIterator<Item = Subscription>) -> Self {
        Self { list: list.into_iter().collect(), none_below: None }
    }

    /// All handlers of one target at or below a module: what `subscriptions!()` stands for.
    ///
    /// `package`, `binary` and `module` are the `CARGO_PKG_NAME`, the `CARGO_BIN_NAME` and the module path of the caller:
    /// a library and a binary of one name have equal module paths.
    #[must_use]
    pub fn registered(package: &str, binary: Option<&str>, module: &'static str) -> Self {
        let mut found: Vec<&Registration> = inventory::iter::<Registration>()
            .filter(|it| it.package == package && it.binary == binary && is_at_or_below(it.module, module))
            .collect();
        // The linker's order means nothing and may change from build to build.
        found.sort_by_key(|registration| (registration.module, registration.function));
        let list: Vec<Subscription> = found.iter().map(|registration| (registration.subscription)()).collect();
        let none_below = list.is_empty().then_some(module);
        Self { list, none_below }
    }
}

impl IntoIterator for Subscriptions {
    type Item = Subscription;
    type IntoIter = std::vec::IntoIter<Subscription>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

fn is_at_or_below(module: &str, ancestor: &str) -> bool {
    module.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// A function with `#[subscribe]`, as `subscriptions!()` finds it.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    /// The `CARGO_PKG_NAME` of its crate.
    pub package: &'static str,
    /// The `CARGO_BIN_NAME` of its target; `None` in a library.
    pub binary: Option<&'static str>,
    /// The path of its module.
    pub module: &'static str,
    /// Its name.
    pub function: &'static str,
    /// Makes its subscription.
    pub subscription: fn() -> Subscription,
}

inventory::collect!(Registration);
