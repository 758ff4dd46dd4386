//! The rules of names, for literals: the same as `runtime/src/event/name.rs` has for texts.

/// The longest name, in bytes.
pub(crate) const MAX_BYTES: usize = 190;
/// The most words of a name.
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

/// Checks a name or pattern that is subscribed to.
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

/// Checks the name of a handler, which its queue is named by.
///
/// # Errors
/// The rule that it breaks, as the rest of a sentence that begins with the name.
pub(crate) fn check_handler(name: &str) -> Result<(), String> {
    check(name)?;
    if name == "dead" || name.ends_with(".dead") {
        return Err("ends in `dead`, which the queues of dead letters end in".to_owned());
    }
    Ok(())
}

/// Checks the name of a queue or exchange that is there already.
///
/// # Errors
/// The rule that it breaks, as the rest of a sentence that begins with the name.
pub(crate) fn check_foreign(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if name.len() > MAX_BYTES {
        return Err(format!("has {} bytes, more than {MAX_BYTES}", name.len()));
    }
    Ok(())
}

/// The name of an event that is given none: the type's, in snake case, less a trailing `Event`.
pub(crate) fn of_type(type_name: &str) -> String {
    let base = match type_name.strip_suffix("Event") {
        Some(base) if !base.is_empty() => base,
        _ => type_name,
    };
    let letters: Vec<char> = base.chars().collect();
    let mut name = String::new();
    for (i, &letter) in letters.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| letters.get(i));
        let begins_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                // In a run of capitals only the last begins a word: `HTTPServer` is `http_server`.
                *before != '_' && (!before.is_uppercase() || letters.get(i + 1).is_some_and(|next| next.is_lowercase()))
            });
        if begins_word {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
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
    use super::*;

    /// The same file that the runtime's rules are tested against: the two cannot come apart.
    const VECTORS: &str = include_str!("../../tests/vectors/names.txt");

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
    fn a_type_gives_its_event_a_name() {
        for (type_name, name) in [
            ("OrderCreated", "order_created"),
            ("OrderCreatedEvent", "order_created"),
            ("Event", "event"),
            ("HTTPServerStarted", "http_server_started"),
            ("UserV2Created", "user_v2_created"),
            ("OrderID", "order_id"),
            ("A", "a"),
            ("Order_Created", "order_created"),
        ] {
            assert_eq!(of_type(type_name), name);
        }
    }

    #[test]
    fn a_handler_is_not_called_dead() {
        assert!(check_handler("reserve_stock").is_ok());
        assert!(check_handler("stock.reserve").is_ok());
        assert!(check_handler("dead").is_err());
        assert!(check_handler("stock.dead").is_err());
        assert!(check_handler("Reserve").is_err());
    }
}
