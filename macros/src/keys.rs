//! The words that the attributes know, and the nearest of them to one that they do not.

pub(crate) const CRATE: &str = "crate";

pub(crate) const VERSION: &str = "version";
pub(crate) const EXCHANGE: &str = "exchange";

pub(crate) const NAME: &str = "name";
pub(crate) const RETRY: &str = "retry";
pub(crate) const CONCURRENCY: &str = "concurrency";
pub(crate) const PREFETCH: &str = "prefetch";
pub(crate) const QUEUE: &str = "queue";
pub(crate) const QUEUE_TYPE: &str = "queue_type";
pub(crate) const TIMEOUT: &str = "timeout";
pub(crate) const BROADCAST: &str = "broadcast";
pub(crate) const BLOCKING: &str = "blocking";
pub(crate) const UNDECODABLE: &str = "undecodable";
pub(crate) const FORMAT: &str = "format";
pub(crate) const REJECT_IF: &str = "reject_if";

pub(crate) const ATTEMPTS: &str = "attempts";
pub(crate) const IMMEDIATE: &str = "immediate";
pub(crate) const FIRST: &str = "first";
pub(crate) const FACTOR: &str = "factor";
pub(crate) const MAX: &str = "max";
pub(crate) const JITTER: &str = "jitter";

/// The options of `#[event]`.
pub(crate) const OF_EVENT: &[&str] = &[VERSION, EXCHANGE, CRATE];
/// The options of `#[payload]` and of `#[event_set]`.
pub(crate) const OF_PAYLOAD: &[&str] = &[CRATE];
/// The options of `#[subscribe]`.
pub(crate) const OF_SUBSCRIBE: &[&str] = &[
    RETRY,
    CONCURRENCY,
    PREFETCH,
    TIMEOUT,
    REJECT_IF,
    UNDECODABLE,
    NAME,
    QUEUE,
    QUEUE_TYPE,
    EXCHANGE,
    FORMAT,
    BROADCAST,
    BLOCKING,
    CRATE,
];
/// The settings of `retry(…)`.
pub(crate) const OF_RETRY: &[&str] = &[ATTEMPTS, IMMEDIATE, FIRST, FACTOR, MAX, JITTER];

/// `a`, `b` and `c`.
pub(crate) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// The word that was probably meant: one that a third of the letters lead to.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, nearest) = known.iter().map(|known| (distance(word, known), *known)).min()?;
    (distance <= word.chars().count().div_ceil(3)).then_some(nearest)
}

/// How many letters to insert, remove or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((to, &above), &diagonal) in b.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(from != *to)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_strange_one_has_none() {
        assert_eq!(nearest("concurency", OF_SUBSCRIBE), Some(CONCURRENCY));
        assert_eq!(nearest("verison", OF_EVENT), Some(VERSION));
        assert_eq!(nearest("retries", OF_SUBSCRIBE), Some(RETRY));
        assert_eq!(nearest("zebra", OF_EVENT), None);
        assert_eq!(nearest("", OF_EVENT), None);
    }

    #[test]
    fn words_are_listed_as_a_sentence_lists_them() {
        assert_eq!(listed(&[]), "");
        assert_eq!(listed(&["a"]), "`a`");
        assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
