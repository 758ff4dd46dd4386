use expect_test::{Expect, expect};

use super::expand;
use crate::testing;

/// Arguments and functions.
#[track_caller]
fn check(cases: &[(&str, &str)], expected: &Expect) {
    let told = cases.iter().map(|(arguments, function)| {
        let written = expand(testing::tokens(arguments), &testing::tokens(function));
        (format!("({arguments}) {function}"), written)
    });
    expected.assert_eq(&testing::told(told));
}

/// Arguments on a function that is right.
#[track_caller]
fn options(cases: &[&str], expected: &Expect) {
    let function = testing::tokens("async fn reserve_stock(event: OrderCreated) {}");
    let told = cases.iter().map(|it| ((*it).to_owned(), expand(testing::tokens(it), &function)));
    expected.assert_eq(&testing::told(told));
}

/// Functions under an attribute that is right.
#[track_caller]
fn function(cases: &[&str], expected: &Expect) {
    let arguments = testing::tokens("\"order_created\"");
    let told = cases.iter().map(|it| ((*it).to_owned(), expand(arguments.clone(), &testing::tokens(it))));
    expected.assert_eq(&testing::told(told));
}

#[test]
fn options_that_are_right_are_no_mistake() {
    options(&[r#""order_created""#, r#""order_created", "order.*", "#","#, r#""a", retry(attempts = 6, immediate = 0, first = "1s", factor = 1.5, max = "1h 30m", jitter = 0), concurrency = 4, prefetch = 8, timeout = "500ms", reject_if = StockError::is_final, undecodable = retry, name = "reserve", queue = "stock.in", queue_type = "existing", exchange = "legacy", format = bare, crate = r"#, r#""a", retry(), broadcast, reject_if = |error: &E| error.is_final()"#, r#""a", queue_type = classic, undecodable = "dead_letter", format = default"#], &expect![[""]]);
}

#[test]
fn names_obey_the_rules() {
    options(&["", "concurrency = 3", r#""order.*created""#, r#""##""#, r#""Order", """#, r#""a", "b", "a""#, "order_created", "NAME::OF", r#""a", name = "dead""#, r#""a", name = "Reserve Stock""#, r#""a", queue = """#], &expect![[""]]);
}

#[test]
fn options_are_known_and_given_once() {
    options(&[r#""a", concurency = 3"#, r#""a", zebra = 3"#, r#""a", concurrency = 3, concurrency = 4"#, r#""a", retry(atempts = 3)"#, r#""a", retry(first = "1s", first = "2s")"#, r#""a", retry(attempts = 2), retry(attempts = 3)"#], &expect![[""]]);
}

#[test]
fn values_have_their_form_and_range() {
    options(&[r#""a", concurrency = 0, prefetch = 65536, timeout = "0s""#, r#""a", concurrency = "3""#, r#""a", concurrency"#, r#""a", timeout = 5"#, r#""a", timeout = "5x""#, r#""a", broadcast = true"#, r#""a", queue_type = "qorum""#, r#""a", undecodable = drop"#, r#""a", format = 3"#, r#""a", reject_if = 3"#, r#""a", retry = 3"#, r#""a", retry(3)"#, r#""a", retry(attempts = 0, factor = 0.5, jitter = 1.5, first = "10y")"#, r#""a", retry(factor = -1)"#], &expect![[""]]);
}

#[test]
fn max_is_not_less_than_first() {
    options(&[r#""a", retry(first = "10s", max = "5s")"#, r#""a", retry(first = "2h")"#, r#""a", retry(max = "100ms")"#, r#""a", retry(first = "2h", max = "2h")"#], &expect![[""]]);
}

#[test]
fn options_that_exclude_each_other_are_named_in_pairs() {
    options(&[r#""a", broadcast, queue = "q""#, r#""a", queue_type = quorum, broadcast, queue = "q""#, r#""a", blocking"#], &expect![[""]]);
}

#[test]
fn a_handler_is_a_function_that_is_async_or_blocking() {
    function(&["async fn a(event: A, State(s): State<S>) -> Result<(), E> {}", "pub(crate) async fn a(A { id, .. }: A, mut s: State<S>, _: Attempt) -> Vec<B> {}", "fn a(event: A) -> impl Future<Output = B> + Send {}", "fn a(event: A) -> BoxFuture<'static, B> {}", "async fn r#type(event: A) {}"], &expect![[""]]);
    check(&[(r#""a", blocking"#, "fn a(event: A) -> B {}")], &expect![[""]]);
    function(&["fn a(event: A) {}", "struct A {}", "enum A {}", "impl A {}", "mod a {}", "trait A {}", "async fn a(event: A);"], &expect![[""]]);
}

#[test]
fn a_handler_is_free_safe_and_of_one_type() {
    function(&["async fn a(&self, event: A) {}", "async fn a<T>(event: T) {}", "async fn a<'a>(event: A<'a>) {}", "async fn a(event: impl EventSet) {}", "async fn a(event: &A, metadata: &mut Metadata) {}", "async unsafe fn a(event: A) {}", "async fn a() {}", "async fn a(a: A, b: B, c: C, d: D, e: E, f: F, g: G, h: H, i: I) {}", "async fn a(a: A, #[cfg(x)] b: B) {}", r#"#[subscribe("b")] async fn a(a: A) {}"#], &expect![[""]]);
}

#[test]
fn a_function_gives_its_queue_a_name() {
    function(&["async fn dead(event: A) {}", "async fn onOrder(event: A) {}"], &expect![[""]]);
    check(&[(r#""a", name = "on_order""#, "async fn onOrder(event: A) {}")], &expect![[""]]);
}
