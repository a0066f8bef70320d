//! A member's story, told over the public APIs.

pub mod people;

pub async fn run(settings: &crate::settings::Settings) -> anyhow::Result<()> {
    let _ = settings;
    Ok(())
}
