//! How a topic exchange matches routing keys. It knows no exchange.

/// The words of a key: an empty key has none; empty words between dots count.
pub(crate) fn words(key: &str) -> Vec<&str> {
    if key.is_empty() { Vec::new() } else { key.split('.').collect() }
}

/// Whether a topic exchange routes a key by a binding key: `*` is one word, `#` any number of them, none included.
pub(crate) fn matches<W: AsRef<str>>(pattern: &[W], key: &[&str]) -> bool {
    let (mut at, mut taken) = (0, 0);
    // Where the last `#` is, and how much of the key is left to what is behind it: only that one is ever taken back, so a
    // binding key of nothing but `#` costs no more than its length times the key's.
    let mut hash: Option<(usize, usize)> = None;
    while let Some(word) = key.get(taken) {
        match pattern.get(at).map(AsRef::as_ref) {
            Some("#") => {
                hash = Some((at, taken));
                at += 1;
            }
            Some(expected) if expected == "*" || expected == *word => {
                at += 1;
                taken += 1;
            }
            _ => {
                let Some((hash_at, from)) = hash else { return false };
                hash = Some((hash_at, from + 1));
                at = hash_at + 1;
                taken = from + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|rest| rest.as_ref() == "#")
}
