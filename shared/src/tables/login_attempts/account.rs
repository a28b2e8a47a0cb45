//! The two kinds of accounts, and the keys of their attempts.

/// Whose password is tried. The two are counted apart: a customer who logs in must not clear the count of a backend user
/// with the same e-mail.
#[derive(Clone, Copy, Debug)]
pub enum Account {
    /// A backend user.
    BackendUser,
    /// A customer.
    Customer,
}

impl Account {
    /// What the keys of those of a store begin with. An e-mail holds no white space, so the last space parts it from the store.
    pub(super) fn keys_of_store(self, store_hash: &str) -> String {
        let account = match self {
            Self::BackendUser => "USER",
            Self::Customer => "CUSTOMER",
        };
        format!("{account}#{store_hash} ")
    }
}
