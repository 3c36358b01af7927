use crate::crypto::{CipherSuite, HpkePrivateKey, Rng, RngError};
use crate::error::Error;
use crate::identity::{Credential, CredentialType, Signer};
use crate::message::{KeyPackage, KeyPackageContent};
use crate::mutation::off;
use crate::rules::leaf::{Requirements, check_key_package};
use crate::tree::{
    Capabilities, Extension, ExtensionType, Extensions, LeafIndex, LeafNode, LeafNodeContent,
    LeafNodeSource, LeafPosition, Lifetime, MLS10, ProposalType, grease_capabilities,
    grease_extension, is_grease, list_extension,
};

use super::{Grease, Settings};

/// What a new leaf says of its member.
#[derive(Clone, Debug)]
pub struct LeafTemplate {
    /// Who it is.
    pub credential: Credential,
    /// What its client supports.
    pub capabilities: Capabilities,
    /// When its key package may be used.
    pub lifetime: Lifetime,
    /// Extensions of the leaf. The types that are not the RFC's own have to be among the
    /// capabilities.
    pub extensions: Extensions,
}

/// A key package with its private keys: what it takes to join or to create a group (RFC 9420
/// section 10).
#[derive(Clone, Debug)]
pub struct JoinKeys {
    /// What is published.
    pub key_package: KeyPackage,
    /// Decrypts the Welcome.
    pub init_key: HpkePrivateKey,
    /// Belongs to the leaf.
    pub leaf_key: HpkePrivateKey,
}

/// The best cipher suite for a group of all these clients: the first of `preference` that the
/// capabilities in each of their key packages have, beside this version of the protocol (RFC 9420
/// section 11). `None` if there is none.
///
/// A key package is for one cipher suite, but says which others its client has: whoever holds back
/// a client's better key packages is found out. Check the key packages before
/// ([`Settings::check_key_package`]): their signatures are what that rests on.
///
/// V-11.0-01; V-13.5-05: a value that means nothing is no suite, though all have it.
pub fn best_cipher_suite<'a>(
    key_packages: impl IntoIterator<Item = &'a KeyPackage>,
    preference: &[CipherSuite],
) -> Option<CipherSuite> {
    let meaningful = |suite: &CipherSuite| !is_grease(suite.0) || off("V-13.5-05");
    let mut common: Vec<CipherSuite> = preference.iter().copied().filter(meaningful).collect();
    for key_package in key_packages {
        let capabilities = &key_package.leaf_node.capabilities;
        let known = capabilities.has_version(MLS10);
        common.retain(|suite| known && capabilities.has_suite(*suite) || off("V-11.0-01"));
    }
    common.first().copied()
}

impl LeafTemplate {
    /// The capabilities of a client that takes basic credentials and those of registered types,
    /// in every suite of its provider: see [`Self::capabilities_with`].
    #[must_use]
    pub fn capabilities(settings: &Settings) -> Capabilities {
        Self::capabilities_with(settings, &[CredentialType::BASIC])
    }

    /// The capabilities of a client that takes credentials of these types and of those that are
    /// registered: every suite of its provider and every registered type (V-13.0-03). Types that
    /// every implementation of RFC 9420 has are not listed (V-7.2-01), but versions, suites and
    /// credential types always are (V-7.2-03).
    #[must_use]
    pub fn capabilities_with(
        settings: &Settings,
        credential_types: &[CredentialType],
    ) -> Capabilities {
        let context = &settings.context;
        let suites = settings.suite.provider().suites();
        let extensions = context.extension_types.iter().copied().map(ExtensionType);
        let proposals = context.proposal_types.keys().copied().map(ProposalType);
        let registered = context.credential_types.iter().copied().map(CredentialType);
        let mut credentials = Vec::new();
        for kind in credential_types.iter().copied().chain(registered) {
            if !credentials.contains(&kind) {
                credentials.push(kind);
            }
        }
        let all = off("V-7.2-01");
        Capabilities {
            versions: [MLS10].into_iter().filter(|_| !off("V-7.2-03")).collect(),
            cipher_suites: suites.iter().map(|spec| spec.suite).collect(),
            extensions: extensions.filter(|kind| all || !kind.is_default()).collect(),
            proposals: proposals.filter(|kind| all || !kind.is_default()).collect(),
            credentials,
        }
    }

    /// V-7.2-08, V-13.5-01 and V-13.5-02: with random values of no meaning, as the settings say.
    pub(super) fn greased(
        mut self,
        settings: &Settings,
        rng: &mut dyn Rng,
    ) -> Result<Self, RngError> {
        if settings.grease == Grease::None || off("V-7.2-08") || off("V-13.5-01") {
            return Ok(self);
        }
        grease_capabilities(&mut self.capabilities, rng)?;
        let room = self.extensions.len() < settings.limits().extensions;
        if settings.grease == Grease::Everywhere && room {
            let extension = grease_extension(rng)?;
            if !off("V-13.5-02") {
                list_extension(extension.extension_type, &mut self.capabilities, rng)?;
            }
            self.extensions.set(extension);
        }
        Ok(self)
    }
}

impl JoinKeys {
    /// Makes a key package for one use.
    ///
    /// # Errors
    /// [`Refused::TotalLifetime`](crate::Refused::TotalLifetime) if others with the same policy
    /// would refuse it; the generator or the signer failed.
    pub fn generate(
        settings: &Settings,
        template: LeafTemplate,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<Self, Error> {
        Self::generate_with(settings, template, Extensions::new(), signer, rng)
    }

    /// Makes a key package of last resort, which is not deleted when it is used (RFC 9420 section
    /// 16.8): an extension of the KeyPackage says so.
    ///
    /// # Errors
    /// As for [`Self::generate`].
    pub fn generate_last_resort(
        settings: &Settings,
        template: LeafTemplate,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<Self, Error> {
        let mark = Extension { extension_type: ExtensionType::LAST_RESORT, data: Vec::new() };
        Self::generate_with(settings, template, Extensions::from_iter([mark]), signer, rng)
    }

    fn generate_with(
        settings: &Settings,
        template: LeafTemplate,
        mut extensions: Extensions,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<Self, Error> {
        let suite = &settings.suite;
        let mut template = template.greased(settings, rng)?;
        // V-10.0-09 and V-13.5-01.
        if settings.grease == Grease::Everywhere && !off("V-10.0-09") && !off("V-13.5-01") {
            extensions.set(grease_extension(rng)?);
        }
        // V-10.0-07: what stands in the KeyPackage is among the leaf's capabilities.
        for extension in extensions.iter().filter(|_| !off("V-10.0-07")) {
            list_extension(extension.extension_type, &mut template.capabilities, rng)?;
        }
        let init_keys = suite.generate_key_pair(rng)?;
        let leaf_keys = suite.generate_key_pair(rng)?;
        let content = LeafNodeContent {
            encryption_key: leaf_keys.public,
            signature_key: signer.public_key().clone(),
            credential: template.credential,
            capabilities: template.capabilities,
            source: LeafNodeSource::KeyPackage(template.lifetime),
            extensions: template.extensions,
        };
        let leaf_node = LeafNode::sign(content, NOWHERE, signer)?;
        settings.ensure_leaf_length(&leaf_node)?;
        settings.ensure_total_lifetime(&leaf_node)?;
        let content = KeyPackageContent {
            cipher_suite: suite.id(),
            init_key: init_keys.public,
            leaf_node,
            extensions,
        };
        let key_package = KeyPackage::sign(content, signer)?;
        Ok(Self { key_package, init_key: init_keys.private, leaf_key: leaf_keys.private })
    }
}

/// The leaf of a KeyPackage is signed for no place.
const NOWHERE: LeafPosition<'static> = LeafPosition { group_id: &[], leaf_index: LeafIndex(0) };

impl Settings {
    /// Checks a key package that was downloaded by itself, before there is a group to add its
    /// client to (RFC 9420 section 10.1; V-10.1-06): of this suite, sound, signed, and of a
    /// lifetime that the policy allows and that includes `now`, if that is given, in seconds since
    /// the Unix epoch. Whose it is, the application's validator has to say.
    ///
    /// # Errors
    /// [`Error::Violation`]; [`Refused::TotalLifetime`](crate::Refused::TotalLifetime).
    pub fn check_key_package(
        &self,
        key_package: &KeyPackage,
        now: Option<u64>,
    ) -> Result<(), Error> {
        if off("V-10.1-06") {
            return Ok(());
        }
        let (suite, extensions) = (&self.suite, Extensions::new());
        let requirements = Requirements { suite, extensions: &extensions, required: None };
        check_key_package(key_package, requirements)?;
        let leaf = &key_package.leaf_node;
        self.ensure_leaf_length(leaf)?;
        self.ensure_total_lifetime(leaf)?;
        now.map_or(Ok(()), |now| self.ensure_lifetime_to_send(leaf, now))?;
        Ok(())
    }
}
