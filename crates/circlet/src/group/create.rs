use std::collections::{BTreeMap, VecDeque};

use crate::codec::Encode;
use crate::crypto::{CryptoError, Digest, HpkePrivateKey, Rng, RngError};
use crate::error::{Error, Misuse, Refused};
use crate::identity::{Credential, CredentialType, Signer};
use crate::message::{GroupContext, GroupId, KeyPackage, KeyPackageContent};
use crate::rules::leaf::{Requirements, check_key_package, ensure_group_context_extensions};
use crate::schedule::{EpochSecret, SecretTree, SkippedKeys, interim_transcript_hash};
use crate::tree::{
    Capabilities, Extensions, LeafIndex, LeafNode, LeafNodeContent, LeafNodeSource, LeafPosition,
    Lifetime, MLS10, RatchetTree, grease_capabilities, grease_extension, mirror,
};

use super::past::FormerMembers;
use super::pending::ProposalCache;
use super::{EpochState, Grease, GroupState, Settings, Status};

/// What a new leaf says of its member.
#[derive(Clone, Debug)]
pub struct LeafTemplate {
    /// Who it is.
    pub credential: Credential,
    /// What its client supports.
    pub capabilities: Capabilities,
    /// When its key package may be used.
    pub lifetime: Lifetime,
    /// Extensions of the leaf.
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

impl LeafTemplate {
    /// The capabilities of a client that takes basic credentials, in every suite of its provider.
    #[must_use]
    pub fn capabilities(settings: &Settings) -> Capabilities {
        let suites = settings.suite.provider().suites();
        let credentials = settings.context.credential_types.iter().copied().map(CredentialType);
        let proposals = settings.context.proposal_types.keys().copied();
        Capabilities {
            versions: vec![MLS10],
            cipher_suites: suites.iter().map(|spec| spec.suite).collect(),
            extensions: Vec::new(),
            proposals: proposals.map(crate::tree::ProposalType).collect(),
            credentials: [CredentialType::BASIC].into_iter().chain(credentials).collect(),
        }
    }

    /// V-7.2-08, V-13.5-01 and V-13.5-02: with random values of no meaning, as the settings say.
    pub(super) fn greased(
        mut self,
        settings: &Settings,
        rng: &mut dyn Rng,
    ) -> Result<Self, RngError> {
        if settings.grease == Grease::None {
            return Ok(self);
        }
        grease_capabilities(&mut self.capabilities, rng)?;
        let room = self.extensions.len() < settings.limits().extensions;
        if settings.grease == Grease::Everywhere && room {
            let extension = grease_extension(rng)?;
            mirror(&extension, &mut self.capabilities, rng)?;
            self.extensions.set(extension);
        }
        Ok(self)
    }
}

impl JoinKeys {
    /// Makes a key package.
    ///
    /// # Errors
    /// The generator or the signer failed.
    pub fn generate(
        settings: &Settings,
        template: LeafTemplate,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<Self, Error> {
        let suite = &settings.suite;
        let mut template = template.greased(settings, rng)?;
        let mut extensions = Extensions::new();
        // V-10.0-09.
        if settings.grease == Grease::Everywhere {
            let extension = grease_extension(rng)?;
            mirror(&extension, &mut template.capabilities, rng)?;
            extensions.set(extension);
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
        // The leaf of a KeyPackage is signed for no place.
        let nowhere = LeafPosition { group_id: &[], leaf_index: LeafIndex(0) };
        let content = KeyPackageContent {
            cipher_suite: suite.id(),
            init_key: init_keys.public,
            leaf_node: LeafNode::sign(content, nowhere, signer)?,
            extensions,
        };
        let key_package = KeyPackage::sign(content, signer)?;
        Ok(Self { key_package, init_key: init_keys.private, leaf_key: leaf_keys.private })
    }
}

impl GroupState {
    /// Creates a group with one member: this client, whose leaf comes from a key package of its
    /// own (section 11). The epoch secret is random.
    ///
    /// # Errors
    /// [`Error::Violation`] if the leaf does not meet the group's own extensions;
    /// [`Misuse::WrongSigner`] if the key package is of another suite; the generator failed.
    pub fn create(
        settings: Settings,
        group_id: GroupId,
        extensions: Extensions,
        keys: JoinKeys,
        rng: &mut dyn Rng,
    ) -> Result<Self, Error> {
        let suite = &settings.suite;
        if keys.key_package.cipher_suite != suite.id() {
            return Err(Misuse::WrongSigner.into());
        }
        let limit = settings.limits().group_id_bytes;
        if group_id.as_bytes().len() > limit {
            return Err(Refused::GroupId(limit).into());
        }
        ensure_group_context_extensions(&extensions)?;
        settings.ensure_extension_count(&extensions)?;
        extensions.external_senders(&settings.context)?;
        let required = extensions.required_capabilities(&settings.context)?;
        let requirements =
            Requirements { suite, extensions: &extensions, required: required.as_ref() };
        check_key_package(&keys.key_package, requirements)?;

        let tree = RatchetTree::new(keys.key_package.leaf_node.clone());
        let context = GroupContext {
            cipher_suite: suite.id(),
            group_id,
            epoch: 0,
            tree_hash: tree.tree_hash(suite)?.as_bytes().to_vec(),
            confirmed_transcript_hash: Vec::new(),
            extensions,
        };
        let (secrets, encryption_secret) = EpochSecret::random(suite, rng)?.secrets(suite)?;
        let confirmation_tag = suite.mac(&secrets.confirmation_key, &[&[]])?;
        let interim_transcript_hash = interim(&settings, &confirmation_tag)?;
        let leaf = LeafIndex(0);
        let node = leaf.node().ok_or(Error::Internal)?;
        let epoch = EpochState {
            context_bytes: context.to_bytes()?.into(),
            context,
            secret_tree: SecretTree::new(tree.width(), encryption_secret),
            tree,
            secrets,
            interim_transcript_hash,
            confirmation_tag,
            private_keys: BTreeMap::from([(node, keys.leaf_key)]),
        };
        Ok(Self::begin(settings, leaf, epoch))
    }

    /// The first value of a group.
    pub(crate) fn begin(settings: Settings, own_leaf: LeafIndex, epoch: EpochState) -> Self {
        Self {
            settings,
            own_leaf,
            epoch,
            proposals: ProposalCache::default(),
            past: VecDeque::new(),
            former: FormerMembers::default(),
            skipped: SkippedKeys::new(),
            status: Status::Active,
            reinit: None,
            version: 0,
        }
    }
}

/// V-11.0-04: over the empty confirmed transcript hash.
fn interim(settings: &Settings, tag: &crate::crypto::Mac) -> Result<Digest, CryptoError> {
    interim_transcript_hash(&settings.suite, &[], tag)
}
