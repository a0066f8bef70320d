use std::cmp::Reverse;

use crate::domain::Email;

/// What this service is about. An organization adds its own name, its products' and its places'.
const OURS: &[&str] =
    &["auth", "booking", "incidents", "member", "merchant", "operator", "points", "staff"];

/// Shorter ones are in too many other words.
const SHORTEST: usize = 3;

/// How many letters of one's own make a password out of such a word.
const LETTERS: usize = 4;

/// Whether there is little more to it than our words and those of the address: digits and signs around them are
/// what guessers add as well.
pub(super) fn is_obvious(password: &str, email: &Email) -> bool {
    let own = email.as_str().split(|c: char| !c.is_ascii_alphanumeric());
    let words = OURS.iter().copied().chain(own).filter(|word| word.len() >= SHORTEST);
    let mut words: Vec<_> = words.collect();
    words.sort_unstable_by_key(|word| Reverse(word.len())); // "ada" is in "adalovelace"
    let whole = password.to_lowercase();
    let rest = words.iter().fold(whole.clone(), |rest, word| rest.replace(word, " "));
    rest != whole && rest.chars().filter(|c| c.is_alphabetic()).count() < LETTERS
}
