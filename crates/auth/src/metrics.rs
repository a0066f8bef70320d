//! The metrics of auth. Requirement O3 fixes names and labels.

use std::sync::LazyLock;

use observability::metrics::{
    Histogram, IntCounter, IntCounterVec, IntGauge, counter, counter_vec, declare_conflict, gauge,
    histogram,
};

const SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

static LOGINS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter_vec("auth_login_total", "Logins by outcome.", &["status"]));

pub(crate) static LOGIN_DURATION: LazyLock<Histogram> = LazyLock::new(|| {
    histogram("auth_login_duration_seconds", "Duration of a login, whatever its outcome.", SECONDS)
});

static REGISTRATIONS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter_vec("auth_register_total", "Registrations by outcome.", &["status"]));

pub(crate) static REFRESHES: LazyLock<IntCounter> =
    LazyLock::new(|| counter("auth_token_refresh_total", "Access tokens renewed."));

static VALIDATIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec("auth_token_validation_total", "Tokens introspected, by outcome.", &["status"])
});

/// The same number in every replica: it comes from the database.
pub(crate) static ACTIVE_SESSIONS: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("auth_active_sessions", "Sessions that have not ended."));

static FAILED_ATTEMPTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec("auth_failed_login_attempts_total", "Failed logins by reason.", &["reason"])
});

static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "auth_refused_secrets_total",
        "Wrong secrets other than the password of a login.",
        &["secret"],
    )
});

static LOCKS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec("auth_locks_total", "Locks: counts of guesses that were used up.", &["secret"])
});

pub(crate) static REFRESHES_REUSED: LazyLock<IntCounter> = LazyLock::new(|| {
    counter("auth_refresh_reused_total", "Sessions ended because a refresh token was used again.")
});

/// The same number in every replica: it comes from the database.
pub(crate) static GUESSED_ACCOUNTS: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge("auth_guessed_accounts", "Addresses with a wrong password in their current window.")
});

/// Its count is the number of hashes: the cost that an attacker causes.
pub(crate) static HASH_DURATION: LazyLock<Histogram> = LazyLock::new(|| {
    histogram("auth_password_hash_duration_seconds", "Duration of one password hash.", SECONDS)
});

/// Sets every label to 0 at start, because `rate()` misses a first 1.
pub(crate) fn declare() {
    for status in ["success", "failed", "blocked"] {
        LOGINS.with_label_values(&[status]);
    }
    for status in ["success", "duplicate", "failed"] {
        REGISTRATIONS.with_label_values(&[status]);
    }
    for status in ["valid", "expired", "invalid"] {
        VALIDATIONS.with_label_values(&[status]);
    }
    for reason in ["wrong_password", "user_not_found", "account_locked"] {
        FAILED_ATTEMPTS.with_label_values(&[reason]);
    }
    for secret in ["current_password", "mail_code", "refresh_token", "client_secret"] {
        REFUSED.with_label_values(&[secret]);
    }
    for secret in ["password", "code"] {
        LOCKS.with_label_values(&[secret]);
    }
    LazyLock::force(&REFRESHES_REUSED);
    LazyLock::force(&GUESSED_ACCOUNTS);
    declare_conflict("profile");
    LazyLock::force(&LOGIN_DURATION);
    LazyLock::force(&HASH_DURATION);
    LazyLock::force(&REFRESHES);
    LazyLock::force(&ACTIVE_SESSIONS);
}

/// Counts a login: `success`, `failed`, or `blocked` when it was refused before the password was checked.
pub(crate) fn login(status: &'static str) {
    LOGINS.with_label_values(&[status]).inc();
}

/// Counts a failed guess: `wrong_password`, `user_not_found` or `account_locked`.
pub(crate) fn failed_attempt(reason: &'static str) {
    FAILED_ATTEMPTS.with_label_values(&[reason]).inc();
}

/// Counts a wrong `current_password`, `mail_code`, `refresh_token` or `client_secret`.
pub(crate) fn refused(secret: &'static str) {
    REFUSED.with_label_values(&[secret]).inc();
}

/// Counts a lock of `password` or `code`.
pub(crate) fn locked(secret: &'static str) {
    LOCKS.with_label_values(&[secret]).inc();
}

/// Counts a registration: `success`, `duplicate` or `failed`.
pub(crate) fn registration(status: &'static str) {
    REGISTRATIONS.with_label_values(&[status]).inc();
}

/// Counts an introspection: `valid`, `expired` or `invalid`.
pub(crate) fn validation(status: &'static str) {
    VALIDATIONS.with_label_values(&[status]).inc();
}
