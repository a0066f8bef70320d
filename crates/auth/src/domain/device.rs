/// A client's `User-Agent`: shown to the member in the list of sessions, and a hint that two requests come from one
/// client. It proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device(String);

impl Device {
    /// Keeps the first 200 printable characters.
    pub fn new(user_agent: &str) -> Self {
        Self(user_agent.chars().filter(|c| !c.is_control()).take(200).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_short_and_printable() {
        assert_eq!(Device::new("a\u{1b}[31mb\0").as_str(), "a[31mb");
        assert_eq!(Device::new(&"ö".repeat(300)).as_str().chars().count(), 200);
    }
}
