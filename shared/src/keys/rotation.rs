//! Whether the signing key is overdue for rotation. Nothing else tells that Secrets Manager does not call the rotation.

use crate::keys::{
    jwt::DAY,
    keyring::{KeySecret, Keyring, KeyringSecret},
};

/// What is logged of a signing key that is overdue. An alarm counts these lines.
pub const OVERDUE: &str = "the signing key is overdue for rotation";

/// Days by which a rotation may be late: Secrets Manager makes it at some time of its day, and tries again if it fails.
const LEEWAY_DAYS: u64 = 2;

/// Reads the text of the [`KeyringSecret`], and logs if its newest key is overdue. The keys are good all the same. The secret's
/// version was written at `written_at`; times are in Unix seconds.
///
/// # Errors
/// Says what is wrong with the secret, without quoting it.
pub fn keyring_minding_age(
    secret: &str,
    written_at: Option<u64>,
    rotation_days: u64,
    now: u64,
) -> Result<Keyring, &'static str> {
    let secret = KeyringSecret::parse(secret)?;
    let keyring = Keyring::new(&secret)?;
    if let Some(days) = days_if_overdue(&secret.current, written_at, rotation_days, now) {
        tracing::error!(days, "{OVERDUE}");
    }
    Ok(keyring)
}

/// The newest key's age in whole days, if another should have followed it. The first key has no `signsFrom`, so it is taken to
/// be as old as the secret's version.
fn days_if_overdue(newest: &KeySecret, written_at: Option<u64>, rotation_days: u64, now: u64) -> Option<u64> {
    let age = now.saturating_sub(newest.signs_from.or(written_at)?);
    let latest = rotation_days.saturating_add(LEEWAY_DAYS).saturating_mul(DAY);
    (rotation_days > 0 && age > latest).then_some(age / DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_overdue_when_it_is_two_days_older_than_rotations_are_apart() {
        const SINCE: u64 = 1_800_000_000;
        let (in_time, late) = (SINCE + 92 * DAY, SINCE + 92 * DAY + 1);
        for (signs_from, written_at, rotation_days, now, days) in [
            (Some(SINCE), None, 90, in_time, None),
            (Some(SINCE), None, 90, late, Some(92)),
            (Some(SINCE), None, 90, SINCE + 100 * DAY - 1, Some(99)),
            // A version may be written anew without a new key, as when another one is retired.
            (Some(SINCE), Some(late), 90, late, Some(92)),
            (Some(late), Some(SINCE), 90, late, None),
            (None, Some(SINCE), 90, in_time, None),
            (None, Some(SINCE), 90, late, Some(92)),
            (None, None, 90, late, None),
            (Some(SINCE), Some(SINCE), 0, u64::MAX, None),
            (Some(SINCE), None, 1, SINCE + 3 * DAY + 1, Some(3)),
            (Some(SINCE), None, u64::MAX, late, None),
            // It signs from a later time on.
            (Some(late), None, 1, SINCE, None),
        ] {
            let newest = KeySecret { kid: "a".into(), key: "k".into(), signs_from };
            let case = format!("{signs_from:?} {written_at:?} {rotation_days} {now}");
            assert_eq!(days_if_overdue(&newest, written_at, rotation_days, now), days, "{case}");
        }
    }
}
