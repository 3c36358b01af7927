use crate::identity::{Credential, Signer};
use crate::tree::{Capabilities, Extension, Extensions, LeafNode, LeafNodeContent, is_grease};

/// What changes in a member's own leaf beside its encryption key; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeafChange {
    /// The credential.
    pub credential: Option<Credential>,
    /// What the client supports.
    pub capabilities: Option<Capabilities>,
    /// Extensions of the leaf.
    pub extensions: Option<Extensions>,
}

/// The key that a member signs with, and the one that takes its place.
#[derive(Clone, Copy)]
pub struct Signers<'a> {
    /// The key of the member's present leaf: it signs the message.
    pub present: &'a dyn Signer,
    /// The key of its new leaf, if that changes: it signs the leaf, and the GroupInfo of the new
    /// epoch.
    pub next: Option<&'a dyn Signer>,
}

impl LeafChange {
    /// The content of the leaf that takes the place of `old`; its keys and source are for the
    /// caller to say.
    pub(super) fn apply(&self, old: &LeafNode) -> LeafNodeContent {
        let mut old = LeafNodeContent::clone(old);
        if let (Some(new), None) = (&self.capabilities, &self.extensions) {
            // What the new capabilities don't mirror goes (section 13.5).
            let kept = |extension: &&Extension| {
                let kind = extension.extension_type;
                !is_grease(kind.0) || new.has_extension(kind)
            };
            old.extensions = old.extensions.iter().filter(kept).cloned().collect();
        }
        LeafNodeContent {
            credential: self.credential.clone().unwrap_or(old.credential),
            capabilities: self.capabilities.clone().unwrap_or(old.capabilities),
            extensions: self.extensions.clone().unwrap_or(old.extensions),
            ..old
        }
    }
}

impl<'a> Signers<'a> {
    /// One key, which stays.
    #[must_use]
    pub fn of(present: &'a dyn Signer) -> Self {
        Self { present, next: None }
    }

    /// The key of the leaf that is made.
    pub(super) fn of_leaf(&self) -> &'a dyn Signer {
        self.next.unwrap_or(self.present)
    }
}

impl std::fmt::Debug for Signers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let next = self.next.map(Signer::public_key);
        f.debug_struct("Signers")
            .field("present", self.present.public_key())
            .field("next", &next)
            .finish()
    }
}
