//! The rules of event names and of the patterns that subscribe to them.
//!
//! The macros hold the same rules for literals; both are tested against `tests/vectors/names.txt`.

/// The longest name, in bytes: with the ladder's 28 bits and `exchange.` before it, it stays below AMQP's 255.
pub(crate) const MAX_BYTES: usize = 190;
/// The most words: fewer than the 29 words that the bindings of the ladder's end ask for, so that a name in a `CC` header
/// never matches one of them.
const MAX_WORDS: usize = 20;

/// Checks the name of an event.
///
/// # Errors
/// The rule that it breaks, as the rest of a sentence that begins with the name.
pub(crate) fn check(name: &str) -> Result<(), String> {
    check_words(name, |word| {
        if word == "*" || word == "#" {
            return Err("has a wildcard, which only a subscription can have".to_owned());
        }
        check_word(word)
    })
}

/// Checks a name or pattern that is subscribed to: `*` stands for one word, `#` for any number of words.
///
/// # Errors
/// The rule that it breaks, as the rest of a sentence that begins with the pattern.
pub(crate) fn check_pattern(pattern: &str) -> Result<(), String> {
    let mut many = 0;
    check_words(pattern, |word| {
        match word {
            "*" => {}
            "#" => many += 1,
            _ => check_word(word)?,
        }
        if many > 1 {
            Err("has more than one `#`: one stands for any number of words already".to_owned())
        } else {
            Ok(())
        }
    })
}

/// Whether it is a pattern and not a plain name.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.split('.').any(|word| word == "*" || word == "#")
}

fn check_words(name: &str, mut check_word: impl FnMut(&str) -> Result<(), String>) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if name.len() > MAX_BYTES {
        return Err(format!("has {} bytes, more than {MAX_BYTES}", name.len()));
    }
    let words = name.split('.').count();
    if words > MAX_WORDS {
        return Err(format!("has {words} words, more than {MAX_WORDS}"));
    }
    if name.split('.').next() == Some("amq") {
        return Err("begins with `amq.`, which RabbitMQ keeps for itself".to_owned());
    }
    name.split('.').try_for_each(&mut check_word)
}

fn check_word(word: &str) -> Result<(), String> {
    if word.is_empty() {
        return Err("has an empty word: words are joined by single dots".to_owned());
    }
    if word == "0" || word == "1" {
        return Err(format!("has the word `{word}`, which the delay ladder's routing keys are made of"));
    }
    match word.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '-')) {
        None => Ok(()),
        Some('*' | '#') => Err("has a wildcard inside a word: `*` and `#` stand for whole words".to_owned()),
        Some(c) => Err(format!("has `{c}`: words are made of a-z, 0-9, `_` and `-`")),
    }
}

#[cfg(test)]
mod tests {
    use super::{check, check_pattern, is_pattern};

    /// The same file that the macros' rules for literals are tested against.
    const VECTORS: &str = include_str!("../../../tests/vectors/names.txt");

    #[test]
    fn the_rules_are_those_of_the_shared_vectors() {
        for line in VECTORS.lines().filter(|line| !line.starts_with("//") && !line.is_empty()) {
            let mut columns = line.split(" | ");
            let (Some(kind), Some(name), Some(expected)) = (columns.next(), columns.next(), columns.next()) else {
                panic!("not three columns: {line}");
            };
            let name = name.trim_matches('"').replace("{190}", &"a".repeat(190)).replace("{191}", &"a".repeat(191));
            let found = if kind == "event" { check(&name) } else { check_pattern(&name) };
            assert_eq!(found.err().as_deref().unwrap_or("ok"), expected, "{line}");
        }
    }

    #[test]
    fn a_pattern_has_a_word_that_stands_for_others() {
        assert!(is_pattern("#"));
        assert!(is_pattern("order.*"));
        assert!(!is_pattern("order.created"));
    }
}
