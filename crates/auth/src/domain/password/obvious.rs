use std::cmp::Reverse;

use crate::domain::Email;

/// The words of this system. An organization adds its own name, its products and its places.
const WORDS: &[&str] =
    &["auth", "booking", "incidents", "member", "merchant", "operator", "points", "staff"];

/// The shortest word that counts; shorter ones are part of too many other words.
const SHORTEST: usize = 3;

/// The letters beside such words that a password needs.
const LETTERS: usize = 4;

/// True for a password with little more than words of the system or of the address. Digits and signs do not count:
/// guessers add them as well.
pub(super) fn is_obvious(password: &str, email: &Email) -> bool {
    let own = email.as_str().split(|c: char| !c.is_ascii_alphanumeric());
    let words = WORDS.iter().copied().chain(own).filter(|word| word.len() >= SHORTEST);
    let mut words: Vec<_> = words.collect();
    words.sort_unstable_by_key(|word| Reverse(word.len())); // "ada" is in "adalovelace"
    let whole = password.to_lowercase();
    let rest = words.iter().fold(whole.clone(), |rest, word| rest.replace(word, " "));
    rest != whole && rest.chars().filter(|c| c.is_alphabetic()).count() < LETTERS
}
