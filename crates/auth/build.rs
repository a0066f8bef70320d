fn main() {
    // `sqlx::migrate!` embeds the files but cannot see a new one appear.
    println!("cargo:rerun-if-changed=../../migrations/auth");
}
